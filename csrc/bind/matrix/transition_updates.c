/* TransitionCounts: what changes it. */
#include "bind/matrix/transition_object.h"

static PyObject *
run_update(PyObject *self, size_t n, const mb_document *documents)
{
    if (mb_begin_use(self, 1) < 0) {
        return NULL;
    }
    mb_token_fault fault = {0};
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status =
        mb_transitions_update(mb_transitions_of(self), n, documents, interrupt, &fault);
    mb_end_work(&work);
    mb_end_use(self, 1);
    return status == MB_OK ? Py_NewRef(Py_None) : mb_raise_transitions(self, status, &fault, 1);
}

PyObject *
mb_transition_counts_update(PyObject *self, PyObject *tokens)
{
    mb_texts texts;
    if (mb_parse_texts(tokens, &texts) < 0) {
        return NULL;
    }
    PyObject *result = run_update(self, texts.n, texts.documents);
    mb_release_texts(&texts);
    return result;
}

PyObject *
mb_transition_counts_update_rows(PyObject *self, PyObject *args)
{
    PyObject *contexts_arg, *tokens_arg, *counts_arg, *result = NULL;
    PyArrayObject *contexts, *tokens, *times = NULL;
    if (!PyArg_ParseTuple(args, "OOO:update_rows", &contexts_arg, &tokens_arg, &counts_arg) ||
        mb_parse_contexts(self, contexts_arg, tokens_arg, 0, &contexts, &tokens) < 0) {
        return NULL;
    }
    times = mb_whole_numbers(counts_arg, 1, 0, "counts");
    if (times != NULL && mb_dim(times, 0) != mb_dim(tokens, 0)) {
        PyErr_Format(PyExc_ValueError, "there are %zu tokens and %zu counts", mb_dim(tokens, 0),
                     mb_dim(times, 0));
    } else if (times != NULL && mb_begin_use(self, 1) == 0) {
        mb_token_fault fault = {0};
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status = mb_transitions_update_rows(mb_transitions_of(self), mb_dim(tokens, 0),
                                                      PyArray_DATA(contexts), PyArray_DATA(tokens),
                                                      PyArray_DATA(times), interrupt, &fault);
        mb_end_work(&work);
        mb_end_use(self, 1);
        result =
            status == MB_OK ? Py_NewRef(Py_None) : mb_raise_transitions(self, status, &fault, 0);
    }
    mb_release(contexts);
    mb_release(tokens);
    mb_release(times);
    return result;
}

PyObject *
mb_transition_counts_merge(PyObject *self, PyObject *other)
{
    if (Py_TYPE(other) != Py_TYPE(self)) {
        return PyErr_Format(PyExc_TypeError, "counts merge with TransitionCounts, not %R",
                            (PyObject *)Py_TYPE(other));
    }
    mb_transitions *mine = mb_transitions_of(self), *more = mb_transitions_of(other);
    if (mine->layout.order != more->layout.order || mine->n_tokens != more->n_tokens) {
        PyErr_SetString(PyExc_ValueError,
                        "counts merge where order and n_tokens are the same, and these differ");
        return NULL;
    }
    if (mb_begin_use(self, 1) < 0) {
        return NULL;
    }
    if (other != self && mb_begin_use(other, 0) < 0) {
        mb_end_use(self, 1);
        return NULL;
    }
    const mb_token_fault fault = {0};
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_transitions_merge(mine, more, interrupt);
    mb_end_work(&work);
    if (other != self) {
        mb_end_use(other, 0);
    }
    mb_end_use(self, 1);
    return status == MB_OK ? Py_NewRef(Py_None) : mb_raise_transitions(self, status, &fault, 0);
}
