/* TransitionCounts: what is taken away, multiplied, and counted for shorter contexts. */
#include "bind/matrix/transition_object.h"

/* The tokens of a context, in words. */
static PyObject *
context_of_fault(const mb_key_layout *layout, const uint64_t *key)
{
    PyObject *context = PyList_New((Py_ssize_t)layout->order);
    for (size_t i = 0; i < layout->order && context != NULL; i++) {
        PyObject *token = PyLong_FromUnsignedLong(mb_key_token(layout, key, i));
        if (token == NULL || PyList_SetItem(context, (Py_ssize_t)i, token) < 0) {
            Py_CLEAR(context);
        }
    }
    return context;
}

static PyObject *
raise_pair_fault(const mb_key_layout *layout, mb_pair_fault *fault)
{
    mb_key_unmix(layout, layout->n_words, fault->key);
    PyObject *context = context_of_fault(layout, fault->key);
    if (context != NULL) {
        PyErr_Format(PyExc_ValueError,
                     "the count of token %lu after %S is %llu, from which %llu cannot be taken "
                     "away: what was never counted cannot be unlearnt",
                     (unsigned long)mb_key_token(layout, fault->key, layout->order), context,
                     (unsigned long long)fault->counted, (unsigned long long)fault->taken);
        Py_DECREF(context);
    }
    return NULL;
}

PyObject *
mb_transition_counts_subtract(PyObject *self, PyObject *other)
{
    const int is_other = other != self;
    mb_pair_fault fault;
    mb_job job;
    PyObject *result = NULL;
    if (mb_check_pair(self, other) < 0 || (is_other && mb_begin_use(other, 0) < 0)) {
        return NULL;
    }
    if (mb_begin_job(&job, self, 1) == 0) {
        mb_status status = mb_transitions_subtract(mb_transitions_of(self),
                                                   mb_transitions_of(other), job.interrupt, &fault);
        if (status == MB_INVALID) {
            mb_end_job(&job, MB_OK, 0);
            raise_pair_fault(&mb_transitions_of(self)->layout, &fault);
        } else {
            result = mb_finish_job(&job, status, 0);
        }
    }
    if (is_other) {
        mb_end_use(other, 0);
    }
    return result;
}

PyObject *
mb_transition_counts_scale(PyObject *self, PyObject *factor_arg)
{
    mb_job job;
    unsigned long long factor = PyLong_AsUnsignedLongLong(factor_arg);
    if (PyErr_Occurred() || mb_begin_job(&job, self, 1) < 0) {
        return NULL;
    }
    return mb_finish_job(&job, mb_transitions_scale(mb_transitions_of(self), factor, job.interrupt),
                         0);
}

PyObject *
mb_transition_counts_shorten(PyObject *self, PyObject *known)
{
    mb_transitions *made = NULL, *counts = NULL;
    mb_job job;
    int well = 0;
    if (mb_check_pair(self, known) < 0) {
        return NULL;
    }
    if (mb_order_of(self) == 0) {
        PyErr_SetString(PyExc_ValueError, "contexts of no token have none to be shorter by");
        return NULL;
    }
    if ((counts = mb_compacted_copy(self)) == NULL) {
        return NULL;
    }
    if (mb_begin_job(&job, known, 0) == 0) {
        mb_status status =
            mb_transitions_shorten(counts, mb_transitions_of(known), job.interrupt, &made);
        job.fault.row = MB_CHANGED;
        well = mb_end_job(&job, status, 0) == 0;
    }
    mb_transitions_free(counts);
    return well ? mb_new_transition_object(Py_TYPE(self), made, NULL) : NULL;
}
