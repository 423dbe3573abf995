/* TransitionCounts: its users, its arguments, and what is wrong with them. */
#include "bind/matrix/transition_object.h"
#include "core/base/mem.h"

/* ---- one writer or many readers ------------------------------------------------------ */

int
mb_begin_use_of(Py_ssize_t *users, int writes)
{
    Py_ssize_t now = 0;
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
mb_end_use_of(Py_ssize_t *users, int writes)
{
    __atomic_fetch_add(users, writes ? 1 : -1, __ATOMIC_ACQ_REL);
}

int
mb_begin_use(PyObject *self, int writes)
{
    return mb_begin_use_of(&((mb_transitions_object *)self)->users, writes);
}

void
mb_end_use(PyObject *self, int writes)
{
    mb_end_use_of(&((mb_transitions_object *)self)->users, writes);
}

mb_transitions *
mb_settled_copy(PyObject *self)
{
    mb_transitions *mine = mb_transitions_of(self), *copy;
    Py_ssize_t *users = &((mb_transitions_object *)self)->users, alone = 1;
    if (mb_begin_use(self, 0) < 0) {
        return NULL;
    }
    mb_status status = mb_transitions_copy(mine, &copy);
    if (status == MB_OK) {
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        status = mb_transitions_settle(copy, interrupt);
        mb_end_work(&work);
        if (status != MB_OK) {
            mb_transitions_free(copy);
        }
    }
    int changes =
        status == MB_OK && mine->n_runs > 1 &&
        __atomic_compare_exchange_n(users, &alone, -1, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    if (changes) {
        mb_transitions_adopt(mine, copy);
    }
    mb_end_use(self, changes);
    if (status != MB_OK) {
        mb_raise(status, NULL);
        return NULL;
    }
    return copy;
}

/* ---- arguments ----------------------------------------------------------------------- */

int
mb_parse_contexts(PyObject *self, PyObject *contexts_arg, PyObject *tokens_arg, int requirements,
                  PyArrayObject **contexts, PyArrayObject **tokens)
{
    return mb_parse_contexts_of(mb_transitions_of(self)->layout.order, contexts_arg, tokens_arg,
                                requirements, contexts, tokens);
}

int
mb_parse_contexts_of(size_t order, PyObject *contexts_arg, PyObject *tokens_arg, int requirements,
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

/* Adds a document to the texts. */
static int
add_text(PyObject *item, const char *name, mb_texts *texts)
{
    PyArrayObject *tokens = mb_whole_numbers(item, 1, 0, name);
    if (tokens == NULL || PyList_Append(texts->arrays, (PyObject *)tokens) < 0) {
        mb_release(tokens);
        return -1;
    }
    texts->documents[texts->n++] = (mb_document){mb_dim(tokens, 0), PyArray_DATA(tokens)};
    mb_release(tokens);
    return 0;
}

int
mb_parse_texts(PyObject *arg, mb_texts *texts)
{
    /* a tuple of its own: converting an item may run code that changes the caller's list */
    int many = is_list_of_documents(arg), failed = 0;
    PyObject *items = many ? PyList_AsTuple(arg) : PyTuple_Pack(1, arg);
    if (items == NULL) {
        return -1;
    }
    Py_ssize_t n = PyTuple_Size(items);
    *texts = (mb_texts){0, mb_calloc((size_t)n, sizeof(mb_document)), PyList_New(0)};
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

void
mb_release_texts(mb_texts *texts)
{
    mb_free(texts->documents);
    Py_XDECREF(texts->arrays);
    *texts = (mb_texts){0};
}

PyObject *
mb_raise_transitions(PyObject *self, mb_status status, const mb_token_fault *fault,
                     int of_documents)
{
    const mb_transitions *counts = mb_transitions_of(self);
    if (status != MB_INVALID) {
        return mb_raise(status, "there would be more than 2^64 - 1 observations");
    }
    return mb_raise_fault(counts->layout.order, counts->n_tokens, status, fault, of_documents);
}

PyObject *
mb_raise_fault(size_t order, uint64_t n_tokens, mb_status status, const mb_token_fault *fault,
               int of_documents)
{
    long long value = fault->value;
    if (status != MB_INVALID) {
        return mb_raise(status, "the sum of all counts would be infinite");
    }
    if (fault->row == MB_CHANGED) {
        PyErr_SetString(PyExc_RuntimeError,
                        "another thread has changed the numbers that were being counted");
        return NULL;
    }
    PyObject *last = PyLong_FromUnsignedLongLong(n_tokens - 1);
    if (last == NULL) {
        return NULL;
    }
    if (of_documents) {
        PyErr_Format(PyExc_ValueError, "token %zu of document %zu is %lld; tokens are 0 to %S",
                     fault->position, fault->row, value, last);
    } else if (fault->position < order) {
        PyErr_Format(PyExc_ValueError, "contexts[%zu, %zu] is %lld; tokens are 0 to %S", fault->row,
                     fault->position, value, last);
    } else if (fault->position == order) {
        PyErr_Format(PyExc_ValueError, "tokens[%zu] is %lld; tokens are 0 to %S", fault->row, value,
                     last);
    } else {
        PyErr_Format(PyExc_ValueError, "counts[%zu] is %lld; a count must be >= 0", fault->row,
                     value);
    }
    Py_DECREF(last);
    return NULL;
}
