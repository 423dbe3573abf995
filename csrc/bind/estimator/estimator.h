/* What the estimator's binding files share: the objects that hold statistics and counts. */
#ifndef MB_BIND_ESTIMATOR_H
#define MB_BIND_ESTIMATOR_H

#include "bind/bind.h"
#include "core/estimator/counts.h"
#include "core/estimator/maximization.h"

/* SufficientStatistics: arrays that nobody else ever holds. */
typedef struct {
    PyObject_HEAD PyArrayObject *weight; /* (K,), N_k */
    PyArrayObject *log_sums;             /* (K, V), S_kv */
    double log_likelihood;
    long long n_rows; /* >= 0 */
} mb_statistics_object;

/* New statistics of `type` with these arrays (stolen, also on failure). */
PyObject *mb_new_statistics(PyTypeObject *type, PyArrayObject *weight, PyArrayObject *log_sums,
                            double log_likelihood, long long n_rows);

/* What is inside a Counts, borrowed. */
mb_counts *mb_counts_of(PyObject *object);

/* The prior (each, total, rate, max_concentration) of `arg`, no alpha below `least`; -1 with an
 * exception. */
int mb_read_prior(PyObject *arg, double least, mb_prior_on_alpha *prior);

/* The M-step of component k from its alpha; `scratch` has room for 4 n_tokens and `more` doubles. */
typedef mb_status (*mb_component_step)(const void *step, size_t k, mb_interrupt *interrupt,
                                       double *alpha, double *scratch, int *capped);

/* That of all components, from an alpha of the caller's: (alpha, outcomes). */
PyObject *mb_maximize_all(size_t n_components, size_t n_tokens, mb_component_step maximize,
                          const void *step, size_t more, PyObject *start_arg);

#endif
