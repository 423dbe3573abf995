/* TransitionCounts and FadingCounts: their users, their arguments, and what is wrong with them. */
#include "bind/matrix/transition_object.h"
#include "core/base/mem.h"

/* ---- one writer or many readers ------------------------------------------------------ */

int
mb_begin_use(PyObject *self, int writes)
{
    Py_ssize_t *users = &mb_transition_object_of(self)->users, now = 0;
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
    __atomic_fetch_add(&mb_transition_object_of(self)->users, writes ? 1 : -1, __ATOMIC_ACQ_REL);
}

int
mb_begin_job(mb_job *job, PyObject *self, int writes)
{
    if (mb_begin_use(self, writes) < 0) {
        return -1;
    }
    *job = (mb_job){.self = self, .writes = writes};
    job->interrupt = mb_begin_work(&job->work);
    return 0;
}

int
mb_end_job(mb_job *job, mb_status status, int of_documents)
{
    mb_end_work(&job->work);
    mb_end_use(job->self, job->writes);
    if (status == MB_OK) {
        return 0;
    }
    mb_raise_transitions(job->self, status, &job->fault, of_documents);
    return -1;
}

PyObject *
mb_finish_job(mb_job *job, mb_status status, int of_documents)
{
    return mb_end_job(job, status, of_documents) == 0 ? Py_NewRef(Py_None) : NULL;
}

/* ---- arguments ----------------------------------------------------------------------- */

int
mb_parse_contexts(PyObject *self, PyObject *contexts_arg, PyObject *tokens_arg, int requirements,
                  PyArrayObject **contexts, PyArrayObject **tokens)
{
    return mb_parse_contexts_of(mb_order_of(self), contexts_arg, tokens_arg, requirements, contexts,
                                tokens);
}

/* Whether an argument is a list of documents, not one document: its first item is no number. */
static int
is_list_of_documents(PyObject *arg)
{
    if (!PyList_Check(arg) || PyList_Size(arg) == 0) {
        return PyList_Check(arg);
    }
    PyObject *first = PyList_GetItem(arg, 0);
    return first != NULL && !PyArray_IsScalar(first, Number) && !PyLong_Check(first);
}

int
mb_is_plain_text(PyObject *item)
{
    PyArrayObject *array = (PyArrayObject *)item;
    return PyArray_CheckExact(item) && PyArray_TYPE(array) == NPY_INT64 &&
           PyArray_NDIM(array) == 1 && PyArray_ISCARRAY_RO(array);
}

/* Adds a document to the texts. */
static int
add_text(PyObject *item, const char *name, mb_documents *texts)
{
    PyArrayObject *tokens = mb_is_plain_text(item) ? (PyArrayObject *)Py_NewRef(item)
                                                   : mb_whole_numbers(item, 1, 0, name);
    PyObject *held = tokens == NULL ? NULL : mb_hold(tokens);
    int failed = held == NULL || PyList_Append(texts->arrays, (PyObject *)tokens) < 0 ||
                         PyList_Append(texts->arrays, held) < 0
                     ? -1
                     : 0;
    if (!failed) {
        texts->documents[texts->n++] = (mb_document){mb_dim(tokens, 0), PyArray_DATA(tokens)};
    }
    Py_XDECREF(held);
    mb_release(tokens);
    return failed;
}

int
mb_parse_texts(PyObject *arg, mb_documents *texts)
{
    /* a tuple of its own: converting an item may run code that changes the caller's list */
    int many = is_list_of_documents(arg), failed = 0;
    PyObject *items = many ? PyList_AsTuple(arg) : PyTuple_Pack(1, arg);
    if (items == NULL) {
        return -1;
    }
    Py_ssize_t n = PyTuple_Size(items);
    *texts = (mb_documents){0, mb_calloc((size_t)n, sizeof(mb_document)), PyList_New(0)};
    if (texts->documents == NULL || texts->arrays == NULL) {
        mb_raise(MB_NOMEM, NULL);
        failed = -1;
    }
    for (Py_ssize_t i = 0; i < n && !failed; i++) {
        failed = add_text(PyTuple_GetItem(items, i), many ? "each document" : "tokens", texts);
    }
    if (failed) {
        mb_release_texts(texts);
    }
    Py_DECREF(items);
    return failed;
}

/* Sets the documents of texts; -1 with ValueError where one is not in the array. */
static int
cut_pieces(PyArrayObject *tokens, PyArrayObject *starts, PyArrayObject *ends, mb_documents *texts)
{
    const int64_t *from = PyArray_DATA(starts), *to = PyArray_DATA(ends);
    const size_t n = mb_dim(starts, 0), n_tokens = mb_dim(tokens, 0);
    if (mb_dim(ends, 0) != n) {
        PyErr_Format(PyExc_ValueError, "there are %zu starts and %zu ends", n, mb_dim(ends, 0));
        return -1;
    }
    texts->documents = mb_calloc(n, sizeof(mb_document));
    if (texts->documents == NULL) {
        mb_raise(MB_NOMEM, NULL);
        return -1;
    }
    for (; texts->n < n; texts->n++) {
        int64_t start = from[texts->n], end = to[texts->n];
        if (start < 0 || end < start || (uint64_t)end > n_tokens) {
            PyErr_Format(PyExc_ValueError, "document %zu is from %lld to %lld of %zu tokens",
                         texts->n, (long long)start, (long long)end, n_tokens);
            return -1;
        }
        texts->documents[texts->n] =
            (mb_document){(size_t)(end - start), (int64_t *)PyArray_DATA(tokens) + start};
    }
    return PyList_Append(texts->arrays, (PyObject *)tokens);
}

int
mb_parse_pieces(PyObject *tokens_arg, PyObject *starts_arg, PyObject *ends_arg, mb_documents *texts)
{
    PyArrayObject *tokens = mb_whole_numbers(tokens_arg, 1, 0, "tokens"), *starts = NULL;
    PyArrayObject *ends = NULL;
    int failed = -1;
    if (tokens != NULL) {
        starts = mb_whole_numbers(starts_arg, 1, 0, "starts");
    }
    if (starts != NULL) {
        ends = mb_whole_numbers(ends_arg, 1, 0, "ends");
    }
    *texts = (mb_documents){0, NULL, NULL};
    if (ends != NULL && (texts->arrays = PyList_New(0)) != NULL) {
        failed = cut_pieces(tokens, starts, ends, texts);
    }
    if (failed) {
        mb_release_texts(texts);
    }
    mb_release(tokens);
    mb_release(starts);
    mb_release(ends);
    return failed;
}

void
mb_release_texts(mb_documents *texts)
{
    mb_free(texts->documents);
    Py_XDECREF(texts->arrays);
    *texts = (mb_documents){0};
}

/* ---- faults ---------------------------------------------------------------------------- */

static PyObject *
raise_token_of_document(PyObject *self, const mb_token_fault *fault)
{
    PyObject *last = PyLong_FromUnsignedLongLong(mb_n_tokens_of(self) - 1);
    if (last != NULL) {
        PyErr_Format(PyExc_ValueError, "token %zu of document %zu is %lld; tokens are 0 to %S",
                     fault->position, fault->row, (long long)fault->value, last);
        Py_DECREF(last);
    }
    return NULL;
}

PyObject *
mb_raise_transitions(PyObject *self, mb_status status, const mb_token_fault *fault,
                     int of_documents)
{
    const int is_fading = mb_fading_of(self) != NULL;
    if (status != MB_INVALID) {
        return mb_raise(status, is_fading ? "the sum of all counts would be infinite"
                                          : "there would be more than 2^64 - 1 observations");
    }
    if (fault->row == MB_CHANGED) {
        PyErr_SetString(PyExc_RuntimeError,
                        "another thread has changed the numbers that were being counted");
        return NULL;
    }
    if (of_documents) {
        return raise_token_of_document(self, fault);
    }
    if (fault->position <= mb_order_of(self)) {
        return mb_raise_token(mb_order_of(self), mb_n_tokens_of(self), fault);
    }
    if (is_fading) {
        return PyErr_Format(PyExc_ValueError, "counts[%zu] must be finite and >= 0", fault->row);
    }
    return PyErr_Format(PyExc_ValueError, "counts[%zu] is %lld; a count must be >= 0", fault->row,
                        (long long)fault->value);
}
