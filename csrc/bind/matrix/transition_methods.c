/* TransitionCounts and FadingCounts: what both do alike. */
#include "bind/matrix/transition_object.h"

/* ---- objects ------------------------------------------------------------------------------- */

PyObject *
mb_new_transition_object(PyTypeObject *type, mb_transitions *plain, mb_fading *fading)
{
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    PyObject *self = alloc(type, 0);
    if (self == NULL) {
        mb_transitions_free(plain);
        mb_fading_free(fading);
        return NULL;
    }
    mb_transition_object_of(self)->plain = plain;
    mb_transition_object_of(self)->fading = fading;
    return self;
}

void
mb_free_transition_object(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    mb_transitions_free(mb_transitions_of(self));
    mb_fading_free(mb_fading_of(self));
    freefunc free_object = (freefunc)PyType_GetSlot(type, Py_tp_free);
    free_object(self);
    Py_DECREF(type);
}

PyObject *
mb_method_copy(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    mb_transitions *plain = NULL;
    mb_fading *fading = NULL;
    if (mb_begin_use(self, 0) < 0) {
        return NULL;
    }
    mb_status status = mb_fading_of(self) != NULL
                           ? mb_fading_copy(mb_fading_of(self), &fading)
                           : mb_transitions_copy(mb_transitions_of(self), &plain);
    mb_end_use(self, 0);
    return status == MB_OK ? mb_new_transition_object(Py_TYPE(self), plain, fading)
                           : mb_raise(status, NULL);
}

/* Runs never change, so that a copy that shares them is as deep as any. */
PyObject *
mb_method_deepcopy(PyObject *self, PyObject *Py_UNUSED(memo))
{
    return mb_method_copy(self, NULL);
}

PyObject *
mb_method_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    const mb_fading *fading = mb_fading_of(self);
    Py_ssize_t order = (Py_ssize_t)mb_order_of(self);
    unsigned long long n_tokens = mb_n_tokens_of(self);
    PyObject *make = PyObject_GetAttrString((PyObject *)Py_TYPE(self), "from_arrays");
    PyObject *arrays = make == NULL     ? NULL
                       : fading != NULL ? mb_fading_counts_arrays(self, NULL)
                                        : mb_transition_counts_arrays(self, NULL);
    PyObject *result = NULL;
    if (arrays != NULL) {
        result = fading != NULL
                     ? Py_BuildValue("O(nKdO)", make, order, n_tokens, fading->discount, arrays)
                     : Py_BuildValue("O(nKO)", make, order, n_tokens, arrays);
    }
    Py_XDECREF(make);
    Py_XDECREF(arrays);
    return result;
}

PyObject *
mb_getter_order(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSize_t(mb_order_of(self));
}

PyObject *
mb_getter_n_tokens(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(mb_n_tokens_of(self));
}

PyObject *
mb_getter_nbytes(PyObject *self, void *Py_UNUSED(closure))
{
    if (mb_begin_use(self, 0) < 0) {
        return NULL;
    }
    size_t n = mb_fading_of(self) != NULL ? mb_fading_bytes(mb_fading_of(self))
                                          : mb_transitions_bytes(mb_transitions_of(self));
    mb_end_use(self, 0);
    return PyLong_FromSize_t(n);
}

/* ---- changes -------------------------------------------------------------------------------- */

PyObject *
mb_method_update(PyObject *self, PyObject *args)
{
    PyObject *tokens, *starts = Py_None, *ends = Py_None, *result = NULL;
    mb_documents texts;
    mb_job job;
    if (!PyArg_ParseTuple(args, "O|OO:update", &tokens, &starts, &ends)) {
        return NULL;
    }
    if ((starts == Py_None) != (ends == Py_None)) {
        PyErr_SetString(PyExc_TypeError, "starts come with ends");
        return NULL;
    }
    if (starts == Py_None ? mb_parse_texts(tokens, &texts) < 0
                          : mb_parse_pieces(tokens, starts, ends, &texts) < 0) {
        return NULL;
    }
    if (mb_begin_job(&job, self, 1) == 0) {
        mb_status status = mb_fading_of(self) != NULL
                               ? mb_fading_update(mb_fading_of(self), texts.n, texts.documents,
                                                  job.interrupt, &job.fault)
                               : mb_transitions_update(mb_transitions_of(self), texts.n,
                                                       texts.documents, job.interrupt, &job.fault);
        result = mb_finish_job(&job, status, 1);
    }
    mb_release_texts(&texts);
    return result;
}

int
mb_check_pair(PyObject *self, PyObject *other)
{
    if (Py_TYPE(other) != Py_TYPE(self)) {
        PyErr_Format(PyExc_TypeError, "counts merge with %s, not %R",
                     mb_fading_of(self) != NULL ? "FadingCounts" : "TransitionCounts",
                     (PyObject *)Py_TYPE(other));
        return -1;
    }
    if (mb_order_of(self) != mb_order_of(other) || mb_n_tokens_of(self) != mb_n_tokens_of(other)) {
        PyErr_SetString(PyExc_ValueError,
                        "counts merge where order and n_tokens are the same, and these differ");
        return -1;
    }
    return 0;
}

PyObject *
mb_method_merge(PyObject *self, PyObject *other)
{
    const int is_fading = mb_fading_of(self) != NULL, is_other = other != self;
    mb_job job;
    PyObject *result = NULL;
    if (mb_check_pair(self, other) < 0 || (is_other && mb_begin_use(other, 0) < 0)) {
        return NULL;
    }
    if (mb_begin_job(&job, self, 1) == 0) {
        mb_status status =
            is_fading ? mb_fading_merge(mb_fading_of(self), mb_fading_of(other), job.interrupt)
                      : mb_transitions_merge(mb_transitions_of(self), mb_transitions_of(other),
                                             job.interrupt);
        result = mb_finish_job(&job, status, 0);
    }
    if (is_other) {
        mb_end_use(other, 0);
    }
    return result;
}

/* ---- questions ------------------------------------------------------------------------------ */

/* The core's answer for each context; tokens are NULL where totals are asked for. */
static mb_status
count_contexts(PyObject *self, PyArrayObject *contexts, PyArrayObject *tokens, void *out,
               mb_job *job)
{
    const mb_fading *fading = mb_fading_of(self);
    const mb_transitions *plain = mb_transitions_of(self);
    size_t n = mb_dim(contexts, 0);
    const int64_t *context = PyArray_DATA(contexts);
    const int64_t *token = tokens == NULL ? NULL : PyArray_DATA(tokens);
    if (fading != NULL) {
        return token == NULL
                   ? mb_fading_totals(fading, n, context, job->interrupt, out, &job->fault)
                   : mb_fading_counts(fading, n, context, token, job->interrupt, out, &job->fault);
    }
    return token == NULL
               ? mb_transitions_totals(plain, n, context, job->interrupt, out, &job->fault)
               : mb_transitions_counts(plain, n, context, token, job->interrupt, out, &job->fault);
}

static int
type_of_counts(PyObject *self)
{
    return mb_fading_of(self) != NULL ? NPY_DOUBLE : NPY_UINT64;
}

/* The answers, an array; tokens_arg is NULL where totals are asked for. */
static PyObject *
answer_contexts(PyObject *self, PyObject *contexts_arg, PyObject *tokens_arg)
{
    PyArrayObject *contexts, *tokens;
    mb_job job;
    if (mb_parse_contexts(self, contexts_arg, tokens_arg, 0, &contexts, &tokens) < 0) {
        return NULL;
    }
    PyArrayObject *out = mb_new_array(mb_dim(contexts, 0), MB_NO_COLUMNS, type_of_counts(self));
    if (out == NULL || mb_begin_job(&job, self, 0) < 0 ||
        mb_end_job(&job, count_contexts(self, contexts, tokens, PyArray_DATA(out), &job), 0) < 0) {
        mb_release(out);
        out = NULL;
    }
    mb_release(contexts);
    mb_release(tokens);
    return (PyObject *)out;
}

PyObject *
mb_method_counts(PyObject *self, PyObject *args)
{
    PyObject *contexts_arg, *tokens_arg;
    return PyArg_ParseTuple(args, "OO:counts", &contexts_arg, &tokens_arg)
               ? answer_contexts(self, contexts_arg, tokens_arg)
               : NULL;
}

PyObject *
mb_method_totals(PyObject *self, PyObject *contexts_arg)
{
    return answer_contexts(self, contexts_arg, NULL);
}

/* Where rows begin; and their tokens and counts unless those are NULL. */
static mb_status
read_counted_rows(PyObject *self, PyArrayObject *contexts, int64_t *starts, uint32_t *tokens,
                  void *counts, mb_job *job)
{
    size_t n = mb_dim(contexts, 0);
    return mb_fading_of(self) != NULL
               ? mb_fading_read(mb_fading_of(self), n, PyArray_DATA(contexts), job->interrupt,
                                starts, tokens, counts, &job->fault)
               : mb_transitions_rows(mb_transitions_of(self), n, PyArray_DATA(contexts),
                                     job->interrupt, starts, tokens, counts, &job->fault);
}

/* The same, -1 with an exception set. */
static int
fill_rows(PyObject *self, PyArrayObject *contexts, int64_t *starts, uint32_t *tokens, void *counts)
{
    mb_job job;
    return mb_begin_job(&job, self, 0) < 0
               ? -1
               : mb_end_job(&job, read_counted_rows(self, contexts, starts, tokens, counts, &job),
                            0);
}

/* The first of two passes tells the sizes of the arrays. */
static PyObject *
rows_of_contexts(PyObject *self, PyArrayObject *contexts)
{
    size_t n = mb_dim(contexts, 0);
    PyArrayObject *starts = mb_new_array(n + 1, MB_NO_COLUMNS, NPY_INT64);
    PyArrayObject *tokens = NULL, *counts = NULL;
    PyObject *result = NULL;
    if (starts != NULL && fill_rows(self, contexts, PyArray_DATA(starts), NULL, NULL) == 0) {
        size_t n_pairs = (size_t)((const int64_t *)PyArray_DATA(starts))[n];
        tokens = mb_new_array(n_pairs, MB_NO_COLUMNS, NPY_UINT32);
        counts = mb_new_array(n_pairs, MB_NO_COLUMNS, type_of_counts(self));
    }
    if (tokens != NULL && counts != NULL &&
        fill_rows(self, contexts, PyArray_DATA(starts), PyArray_DATA(tokens),
                  PyArray_DATA(counts)) == 0) {
        result = PyTuple_Pack(3, (PyObject *)starts, (PyObject *)tokens, (PyObject *)counts);
    }
    mb_release(starts);
    mb_release(tokens);
    mb_release(counts);
    return result;
}

PyObject *
mb_method_rows(PyObject *self, PyObject *contexts_arg)
{
    PyArrayObject *contexts, *none;
    PyObject *result = NULL;
    /* a copy: the second pass relies on what the first has read */
    if (mb_parse_contexts(self, contexts_arg, NULL, NPY_ARRAY_ENSURECOPY, &contexts, &none) < 0) {
        return NULL;
    }
    if (mb_begin_use(self, 0) == 0) { /* of both passes */
        result = rows_of_contexts(self, contexts);
        mb_end_use(self, 0);
    }
    mb_release(contexts);
    return result;
}
