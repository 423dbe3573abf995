/* What the binding files of mixtures share: the object, results, and methods that stand elsewhere than
 * their table. */
#ifndef MB_BIND_MIXTURE_H
#define MB_BIND_MIXTURE_H

#include "bind/bind.h"

/* A new DirichletMixture of `type` with what mb_mixture_new() answers for these
 * arrays, and `tokens`, a checked tuple or None. */
PyObject *mb_new_mixture(PyTypeObject *type, size_t n_components, size_t n_tokens,
                         const double *weights, const double *alpha, PyObject *tokens);

/* DirichletMixture.__getnewargs_ex__: what pickle and copy rebuild it from. */
PyObject *mb_mixture_getnewargs_ex(PyObject *self, PyObject *ignored);

/* The tokens of a DirichletMixture, borrowed: a tuple or None. */
PyObject *mb_mixture_tokens(PyObject *object);

/* New arrays for the responsibilities and the log-sums of n rows; -1 with an exception set. */
int mb_new_shares(size_t n, size_t n_components, PyArrayObject **shares, PyArrayObject **totals);

/* One of the two (both stolen), where all went well. */
PyObject *mb_chosen_shares(mb_status status, PyArrayObject *shares, PyArrayObject *totals,
                           int want_totals);

PyObject *mb_mixture_log_evidence_method(PyObject *self, PyObject *counts);
PyObject *mb_mixture_count_responsibilities_method(PyObject *self, PyObject *counts);
PyObject *mb_mixture_predictive_method(PyObject *self, PyObject *counts);
PyObject *mb_mixture_posterior_method(PyObject *self, PyObject *counts);
PyObject *mb_mixture_sample_log_probs_method(PyObject *self, PyObject *args);

extern PyMethodDef mb_mixture_methods[];

#endif
