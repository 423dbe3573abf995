/* BackoffTable: which pairs are worth their place. */
#include "bind/backoff/backoff_object.h"
#include "core/backoff/prune.h"

#include <math.h>

/* New arrays, and what a table loses by them: NULL with an exception set. */
static PyObject *
prune_table(const mb_backoff *table, const double *states, double threshold)
{
    PyArrayObject *kept = mb_new_array(table->n_pairs, MB_NO_COLUMNS, NPY_BOOL);
    PyArrayObject *backs = mb_new_array(mb_backoff_n(table), MB_NO_COLUMNS, NPY_DOUBLE);
    PyObject *result = NULL;
    if (kept != NULL && backs != NULL) {
        double loss = 0.0;
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status = mb_backoff_prune(table, states, threshold, interrupt, PyArray_DATA(kept),
                                            mb_data(backs), &loss);
        mb_end_work(&work);
        result = status == MB_OK ? Py_BuildValue("(OOd)", kept, backs, loss)
                                 : mb_raise(status, "the loss is not finite");
    }
    mb_release(kept);
    mb_release(backs);
    return result;
}

PyObject *
mb_backoff_method_prune(PyObject *self, PyObject *args)
{
    const mb_backoff *table = mb_backoff_of(self);
    PyObject *states_arg, *result = NULL;
    double threshold;
    if (!PyArg_ParseTuple(args, "Od:prune", &states_arg, &threshold)) {
        return NULL;
    }
    PyArrayObject *states = mb_doubles(states_arg, 1, "states");
    if (states == NULL) {
        return NULL;
    }
    size_t n = mb_dim(states, 0), wrong = 0;
    while (wrong < n && mb_data(states)[wrong] >= 0.0 && isfinite(mb_data(states)[wrong])) {
        wrong++;
    }
    if (table->base != NULL) {
        PyErr_SetString(PyExc_ValueError, "a table with bases is not pruned");
    } else if (!(threshold >= 0.0 && isfinite(threshold))) {
        PyErr_SetString(PyExc_ValueError, "threshold must be finite and 0 or above");
    } else if (n != mb_backoff_n(table)) {
        PyErr_Format(PyExc_ValueError, "there are %zu states, and %zu contexts", n,
                     mb_backoff_n(table));
    } else if (wrong < n) {
        PyErr_Format(PyExc_ValueError, "states[%zu] is negative or not finite", wrong);
    } else {
        result = prune_table(table, mb_data(states), threshold);
    }
    mb_release(states);
    return result;
}
