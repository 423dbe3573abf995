/* TransitionCounts: what it answers. */
#include "bind/matrix/transition_object.h"

static PyArrayObject *
new_array(int ndim, size_t n, size_t columns, int type)
{
    npy_intp shape[] = {(npy_intp)n, (npy_intp)columns};
    return (PyArrayObject *)PyArray_SimpleNew(ndim, shape, type);
}

/* Asks the core for one number for each context; tokens are NULL where totals are asked for. */
static PyObject *
ask(PyObject *self, PyArrayObject *contexts, PyArrayObject *tokens)
{
    size_t n = mb_dim(contexts, 0);
    PyArrayObject *out = new_array(1, n, 0, NPY_UINT64);
    if (out == NULL || mb_begin_use(self, 0) < 0) {
        mb_release(out);
        return NULL;
    }
    const mb_transitions *counts = mb_transitions_of(self);
    mb_token_fault fault = {0};
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = tokens == NULL ? mb_transitions_totals(counts, n, PyArray_DATA(contexts),
                                                              interrupt, PyArray_DATA(out), &fault)
                                      : mb_transitions_counts(counts, n, PyArray_DATA(contexts),
                                                              PyArray_DATA(tokens), interrupt,
                                                              PyArray_DATA(out), &fault);
    mb_end_work(&work);
    mb_end_use(self, 0);
    if (status != MB_OK) {
        mb_release(out);
        return mb_raise_transitions(self, status, &fault, 0);
    }
    return (PyObject *)out;
}

PyObject *
mb_transition_counts_counts(PyObject *self, PyObject *args)
{
    PyObject *contexts_arg, *tokens_arg;
    PyArrayObject *contexts, *tokens;
    if (!PyArg_ParseTuple(args, "OO:counts", &contexts_arg, &tokens_arg) ||
        mb_parse_contexts(self, contexts_arg, tokens_arg, 0, &contexts, &tokens) < 0) {
        return NULL;
    }
    PyObject *result = ask(self, contexts, tokens);
    mb_release(contexts);
    mb_release(tokens);
    return result;
}

PyObject *
mb_transition_counts_totals(PyObject *self, PyObject *contexts_arg)
{
    PyArrayObject *contexts, *none;
    if (mb_parse_contexts(self, contexts_arg, NULL, 0, &contexts, &none) < 0) {
        return NULL;
    }
    PyObject *result = ask(self, contexts, NULL);
    mb_release(contexts);
    return result;
}

/* Fills the arrays for mb_transition_counts_rows, whose sizes the first of two passes tells. */
static PyObject *
read_rows(PyObject *self, PyArrayObject *contexts)
{
    size_t n = mb_dim(contexts, 0);
    PyArrayObject *starts = new_array(1, n + 1, 0, NPY_INT64), *tokens = NULL, *times = NULL;
    PyObject *result = NULL;
    if (starts == NULL) {
        return NULL;
    }
    int64_t *start = PyArray_DATA(starts);
    mb_token_fault fault = {0};
    start[0] = 0;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1) {
            tokens = new_array(1, (size_t)start[n], 0, NPY_UINT32);
            times = new_array(1, (size_t)start[n], 0, NPY_UINT64);
            if (tokens == NULL || times == NULL) {
                goto done;
            }
        }
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status =
            mb_transitions_rows(mb_transitions_of(self), n, PyArray_DATA(contexts), interrupt,
                                start, pass == 0 ? NULL : PyArray_DATA(tokens),
                                pass == 0 ? NULL : PyArray_DATA(times), &fault);
        mb_end_work(&work);
        if (status != MB_OK) {
            mb_raise_transitions(self, status, &fault, 0);
            goto done;
        }
    }
    result = PyTuple_Pack(3, (PyObject *)starts, (PyObject *)tokens, (PyObject *)times);
done:
    mb_release(starts);
    mb_release(tokens);
    mb_release(times);
    return result;
}

PyObject *
mb_transition_counts_rows(PyObject *self, PyObject *contexts_arg)
{
    PyArrayObject *contexts, *none;
    PyObject *result = NULL;
    /* a copy: the second pass relies on what the first has read */
    if (mb_parse_contexts(self, contexts_arg, NULL, NPY_ARRAY_ENSURECOPY, &contexts, &none) < 0) {
        return NULL;
    }
    if (mb_begin_use(self, 0) == 0) {
        result = read_rows(self, contexts);
        mb_end_use(self, 0);
    }
    mb_release(contexts);
    return result;
}

/* Counts contexts; -1 with an exception set. */
static int
count_contexts(const mb_transitions *counts, size_t *n)
{
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_transitions_n_contexts(counts, interrupt, n);
    mb_end_work(&work);
    if (status != MB_OK) {
        mb_raise(status, NULL);
    }
    return status == MB_OK ? 0 : -1;
}

static PyObject *
all_rows(const mb_transitions *counts)
{
    size_t n;
    if (count_contexts(counts, &n) < 0) {
        return NULL;
    }
    size_t n_pairs = counts->n_runs == 0 ? 0 : counts->runs[0]->n;
    PyArrayObject *contexts = new_array(2, n, counts->layout.order, NPY_UINT32);
    PyArrayObject *starts = new_array(1, n + 1, 0, NPY_INT64);
    PyArrayObject *tokens = new_array(1, n_pairs, 0, NPY_UINT32);
    PyArrayObject *times = new_array(1, n_pairs, 0, NPY_UINT64);
    PyObject *result = NULL;
    if (contexts != NULL && starts != NULL && tokens != NULL && times != NULL) {
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status =
            mb_transitions_all(counts, n, interrupt, PyArray_DATA(contexts), PyArray_DATA(starts),
                               PyArray_DATA(tokens), PyArray_DATA(times));
        mb_end_work(&work);
        result = status != MB_OK ? mb_raise(status, NULL)
                                 : PyTuple_Pack(4, (PyObject *)contexts, (PyObject *)starts,
                                                (PyObject *)tokens, (PyObject *)times);
    }
    mb_release(contexts);
    mb_release(starts);
    mb_release(tokens);
    mb_release(times);
    return result;
}

PyObject *
mb_transition_counts_all(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    mb_transitions *counts = mb_settled_copy(self);
    PyObject *result = counts == NULL ? NULL : all_rows(counts);
    mb_transitions_free(counts);
    return result;
}

PyObject *
mb_transition_counts_sizes(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    size_t n = 0;
    mb_transitions *counts = mb_settled_copy(self);
    if (counts == NULL) {
        return NULL;
    }
    int failed = count_contexts(counts, &n);
    size_t n_pairs = counts->n_runs > 0 ? counts->runs[0]->n : 0;
    mb_transitions_free(counts);
    return failed ? NULL : Py_BuildValue("nn", (Py_ssize_t)n, (Py_ssize_t)n_pairs);
}
