/* TransitionCounts: its users, its arguments, and what is wrong with them. */
#include "transition_object.h"

/* ---- one writer or many readers ------------------------------------------------------ */

int
mb_begin_use(PyObject *self, int writes)
{
    Py_ssize_t *users = &((mb_transitions_object *)self)->users, now = 0;
    __atomic_load(users, &now, __ATOMIC_ACQUIRE);
    while (writes ? now == 0 : now >= 0) {
        if (__atomic_compare_exchange_n(users, &now, writes ? -1 : now + 1, 0, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE)) {
            return 0;
        }
    }
    PyErr_SetString(PyExc_RuntimeError,
                    now < 0 ? "another thread is changing these counts; wait until it is done, or "
                              "give each thread counts of its own and merge them"
                            : "another thread is reading these counts; wait until it is done "
                              "before they change");
    return -1;
}

void
mb_end_use(PyObject *self, int writes)
{
    __atomic_fetch_add(&((mb_transitions_object *)self)->users, writes ? 1 : -1, __ATOMIC_ACQ_REL);
}

/* ---- arguments ----------------------------------------------------------------------- */

int
mb_parse_contexts(PyObject *self, PyObject *contexts_arg, PyObject *tokens_arg, int requirements,
                  PyArrayObject **contexts, PyArrayObject **tokens)
{
    *contexts = mb_whole_numbers(contexts_arg, 2, requirements, "contexts");
    *tokens = NULL;
    if (*contexts == NULL) {
        return -1;
    }
    if (tokens_arg != NULL) {
        *tokens = mb_whole_numbers(tokens_arg, 1, requirements, "tokens");
    }
    size_t order = mb_transitions_of(self)->layout.order;
    if (tokens_arg != NULL && *tokens == NULL) {
        ;
    } else if (mb_dim(*contexts, 1) != order) {
        PyErr_Format(PyExc_ValueError, "contexts have shape (%zu, %zu); they need (n, %zu)",
                     mb_dim(*contexts, 0), mb_dim(*contexts, 1), order);
    } else if (*tokens != NULL && mb_dim(*tokens, 0) != mb_dim(*contexts, 0)) {
        PyErr_Format(PyExc_ValueError, "there are %zu contexts and %zu tokens",
                     mb_dim(*contexts, 0), mb_dim(*tokens, 0));
    } else {
        return 0;
    }
    mb_release(*contexts);
    mb_release(*tokens);
    return -1;
}

PyObject *
mb_raise_transitions(PyObject *self, mb_status status, const mb_token_fault *fault,
                     int of_documents)
{
    const mb_transitions *counts = mb_transitions_of(self);
    long long value = fault->value;
    if (status != MB_INVALID) {
        return mb_raise(status, "there would be more than 2^64 - 1 observations");
    }
    if (fault->row == MB_CHANGED) {
        PyErr_SetString(PyExc_RuntimeError,
                        "another thread has changed the numbers that were being counted");
        return NULL;
    }
    PyObject *last = PyLong_FromUnsignedLongLong(counts->n_tokens - 1);
    if (last == NULL) {
        return NULL;
    }
    if (of_documents) {
        PyErr_Format(PyExc_ValueError, "token %zu of document %zu is %lld; tokens are 0 to %S",
                     fault->position, fault->row, value, last);
    } else if (fault->position < counts->layout.order) {
        PyErr_Format(PyExc_ValueError, "contexts[%zu, %zu] is %lld; tokens are 0 to %S", fault->row,
                     fault->position, value, last);
    } else if (fault->position == counts->layout.order) {
        PyErr_Format(PyExc_ValueError, "tokens[%zu] is %lld; tokens are 0 to %S", fault->row, value,
                     last);
    } else {
        PyErr_Format(PyExc_ValueError, "counts[%zu] is %lld; a count must be >= 0", fault->row,
                     value);
    }
    Py_DECREF(last);
    return NULL;
}
