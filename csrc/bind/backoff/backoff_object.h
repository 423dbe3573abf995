/* BackoffTable: the object, and what its files share. */
#ifndef MB_BACKOFF_OBJECT_H
#define MB_BACKOFF_OBJECT_H

#include "bind/bind.h"
#include "core/backoff/walk.h"

/* A table never changes, so that any number of threads read it. */
typedef struct {
    PyObject_HEAD mb_backoff *table;
} mb_backoff_object;

static inline const mb_backoff *
mb_backoff_of(PyObject *self)
{
    return ((mb_backoff_object *)self)->table;
}

/* A new object of `type` with a table that it takes, also on failure. */
PyObject *mb_new_backoff_object(PyTypeObject *type, mb_backoff *table);

/* The type's constructor. */
PyObject *mb_backoff_new_object(PyTypeObject *type, PyObject *args, PyObject *kwargs);

PyObject *mb_backoff_from_counts_method(PyObject *type, PyObject *args, PyObject *kwargs);

/* Raises what is wrong with the levels of a table. */
PyObject *mb_raise_backoff(mb_status status, const mb_backoff_fault *fault);

PyObject *mb_backoff_method_scores(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *mb_backoff_method_matched(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *mb_backoff_method_log_prob(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *mb_backoff_method_pair_values(PyObject *self, PyObject *args);
PyObject *mb_backoff_method_rows(PyObject *self, PyObject *contexts);
PyObject *mb_backoff_method_arrays(PyObject *self, PyObject *ignored);
PyObject *mb_backoff_method_leads(PyObject *self, PyObject *ignored);
PyObject *mb_backoff_method_prune(PyObject *self, PyObject *args);

#endif
