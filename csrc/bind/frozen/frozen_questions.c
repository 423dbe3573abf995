/* FrozenCounts: what is asked of it. */
#include "bind/frozen/frozen_object.h"

/* Contexts, and tokens unless tokens_arg is NULL; -1 with an exception set. */
static int
parse_question(PyObject *self, PyObject *contexts_arg, PyObject *tokens_arg, int requirements,
               PyArrayObject **contexts, PyArrayObject **tokens)
{
    return mb_parse_contexts_of(mb_frozen_order(self), contexts_arg, tokens_arg, requirements,
                                contexts, tokens);
}

/* Raises what a function of the core answered and returns NULL. */
static PyObject *
raise_frozen(PyObject *self, mb_status status, const mb_token_fault *fault)
{
    if (status != MB_INVALID) {
        return mb_raise(status, NULL);
    }
    return mb_raise_token(mb_frozen_order(self), mb_frozen_of(self)->n_tokens, fault);
}

/* An answer for each context, an array of `type`; tokens are NULL for totals and places. */
static PyObject *
answer_each(PyObject *self, PyObject *contexts_arg, PyObject *tokens_arg, int type)
{
    const mb_frozen *frozen = mb_frozen_of(self);
    const size_t level = mb_frozen_order(self);
    PyArrayObject *contexts, *tokens;
    if (parse_question(self, contexts_arg, tokens_arg, 0, &contexts, &tokens) < 0) {
        return NULL;
    }
    const size_t n = mb_dim(contexts, 0);
    PyArrayObject *out = mb_new_array(n, MB_NO_COLUMNS, type);
    if (out != NULL) {
        mb_token_fault fault = {0};
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        const int64_t *context = PyArray_DATA(contexts);
        void *into = PyArray_DATA(out);
        mb_status status =
            tokens != NULL ? mb_frozen_counts(frozen, level, n, context, PyArray_DATA(tokens),
                                              interrupt, into, &fault)
            : type == NPY_INT64
                ? mb_frozen_numbers(frozen, level, n, context, interrupt, into, &fault)
                : mb_frozen_totals(frozen, level, n, context, interrupt, into, &fault);
        mb_end_work(&work);
        if (status != MB_OK) {
            mb_release(out);
            out = (PyArrayObject *)raise_frozen(self, status, &fault);
        }
    }
    mb_release(contexts);
    mb_release(tokens);
    return (PyObject *)out;
}

PyObject *
mb_method_frozen_counts(PyObject *self, PyObject *args)
{
    PyObject *contexts_arg, *tokens_arg;
    return PyArg_ParseTuple(args, "OO:counts", &contexts_arg, &tokens_arg)
               ? answer_each(self, contexts_arg, tokens_arg, NPY_UINT64)
               : NULL;
}

PyObject *
mb_method_frozen_totals(PyObject *self, PyObject *contexts_arg)
{
    return answer_each(self, contexts_arg, NULL, NPY_UINT64);
}

PyObject *
mb_method_frozen_places(PyObject *self, PyObject *contexts_arg)
{
    return answer_each(self, contexts_arg, NULL, NPY_INT64);
}

PyObject *
mb_method_frozen_walk(PyObject *self, PyObject *args)
{
    PyObject *contexts_arg, *tokens_arg, *result = NULL;
    PyArrayObject *contexts, *tokens;
    if (!PyArg_ParseTuple(args, "OO:walk", &contexts_arg, &tokens_arg) ||
        parse_question(self, contexts_arg, tokens_arg, 0, &contexts, &tokens) < 0) {
        return NULL;
    }
    const size_t n = mb_dim(contexts, 0), n_levels = mb_frozen_of(self)->n_levels;
    PyArrayObject *counts = mb_new_array(n, n_levels, NPY_UINT64);
    PyArrayObject *totals = counts == NULL ? NULL : mb_new_array(n, n_levels, NPY_UINT64);
    if (totals != NULL) {
        mb_token_fault fault = {0};
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status =
            mb_frozen_walk(mb_frozen_of(self), n, PyArray_DATA(contexts), PyArray_DATA(tokens),
                           interrupt, PyArray_DATA(counts), PyArray_DATA(totals), &fault);
        mb_end_work(&work);
        result = status == MB_OK ? PyTuple_Pack(2, (PyObject *)counts, (PyObject *)totals)
                                 : raise_frozen(self, status, &fault);
    }
    mb_release(contexts);
    mb_release(tokens);
    mb_release(counts);
    mb_release(totals);
    return result;
}

/* ---- rows -------------------------------------------------------------------------------- */

/* Where rows begin; and their tokens and counts unless those are NULL.  -1 with an exception set. */
static int
read_rows(PyObject *self, PyArrayObject *contexts, int64_t *starts, uint32_t *tokens,
          uint64_t *times)
{
    mb_token_fault fault = {0};
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status =
        mb_frozen_read(mb_frozen_of(self), mb_frozen_order(self), mb_dim(contexts, 0),
                       PyArray_DATA(contexts), interrupt, starts, tokens, times, &fault);
    mb_end_work(&work);
    if (status != MB_OK) {
        raise_frozen(self, status, &fault);
    }
    return status == MB_OK ? 0 : -1;
}

PyObject *
mb_method_frozen_rows(PyObject *self, PyObject *contexts_arg)
{
    PyArrayObject *contexts, *none, *tokens = NULL, *times = NULL;
    PyObject *result = NULL;
    /* a copy: the second pass relies on what the first has read */
    if (parse_question(self, contexts_arg, NULL, NPY_ARRAY_ENSURECOPY, &contexts, &none) < 0) {
        return NULL;
    }
    const size_t n = mb_dim(contexts, 0);
    PyArrayObject *starts = mb_new_array(n + 1, MB_NO_COLUMNS, NPY_INT64);
    if (starts != NULL && read_rows(self, contexts, PyArray_DATA(starts), NULL, NULL) == 0) {
        size_t n_pairs = (size_t)((const int64_t *)PyArray_DATA(starts))[n];
        tokens = mb_new_array(n_pairs, MB_NO_COLUMNS, NPY_UINT32);
        times = mb_new_array(n_pairs, MB_NO_COLUMNS, NPY_UINT64);
    }
    if (tokens != NULL && times != NULL &&
        read_rows(self, contexts, PyArray_DATA(starts), PyArray_DATA(tokens),
                  PyArray_DATA(times)) == 0) {
        result = PyTuple_Pack(3, (PyObject *)starts, (PyObject *)tokens, (PyObject *)times);
    }
    mb_release(contexts);
    mb_release(starts);
    mb_release(tokens);
    mb_release(times);
    return result;
}

PyObject *
mb_method_frozen_all(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    const mb_frozen *frozen = mb_frozen_of(self);
    const size_t level = mb_frozen_order(self), n = frozen->levels[level].n_contexts;
    PyArrayObject *contexts = mb_new_array(n, level, NPY_UINT32);
    PyArrayObject *starts = mb_new_array(n + 1, MB_NO_COLUMNS, NPY_INT64);
    PyArrayObject *tokens = mb_new_array(frozen->levels[level].n_pairs, MB_NO_COLUMNS, NPY_UINT32);
    PyArrayObject *times = mb_new_array(frozen->levels[level].n_pairs, MB_NO_COLUMNS, NPY_UINT64);
    PyObject *result = NULL;
    if (contexts != NULL && starts != NULL && tokens != NULL && times != NULL) {
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status =
            mb_frozen_all(frozen, level, interrupt, PyArray_DATA(contexts), PyArray_DATA(starts),
                          PyArray_DATA(tokens), PyArray_DATA(times));
        mb_end_work(&work);
        result = status != MB_OK
                     ? mb_raise(status, "these frozen counts are damaged: their rows do not hold "
                                        "together")
                     : PyTuple_Pack(4, (PyObject *)contexts, (PyObject *)starts, (PyObject *)tokens,
                                    (PyObject *)times);
    }
    mb_release(contexts);
    mb_release(starts);
    mb_release(tokens);
    mb_release(times);
    return result;
}
