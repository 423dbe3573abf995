/* The type TransitionCounts: contexts, the tokens that followed them, and how often. */
#include "bind.h"
#include "core/mem.h"
#include "core/transitions.h"

#include <string.h>

/* It changes, so its users are counted: readers, or -1 for one writer.  The count is read and
 * written with the GIL, or by atomic operations where there is none. */
typedef struct {
    PyObject_HEAD mb_transitions *counts;
    Py_ssize_t users;
} transitions_object;

static mb_transitions *
counts_of(PyObject *self)
{
    return ((transitions_object *)self)->counts;
}

/* ---- one writer or many readers ------------------------------------------------------ */

static int
begin(PyObject *self, int writes)
{
    Py_ssize_t *users = &((transitions_object *)self)->users, now = 0;
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

static void
end(PyObject *self, int writes)
{
    __atomic_fetch_add(&((transitions_object *)self)->users, writes ? 1 : -1, __ATOMIC_ACQ_REL);
}

/* ---- arguments ----------------------------------------------------------------------- */

/* `object` as a new or own int64 array; whole numbers of any type. */
static PyArrayObject *
whole_numbers(PyObject *object, int ndim, int requirements, const char *name)
{
    PyArrayObject *any = (PyArrayObject *)PyArray_FROM_O(object), *array = NULL;
    if (any == NULL) {
        return NULL;
    }
    if (!PyTypeNum_ISINTEGER(PyArray_TYPE(any)) && PyArray_SIZE(any) > 0) {
        PyErr_Format(PyExc_TypeError, "%s must be whole numbers, not %S", name,
                     (PyObject *)PyArray_DESCR(any));
    } else if (PyArray_NDIM(any) != ndim) {
        PyErr_Format(PyExc_ValueError, "%s must have %d axes, not %d", name, ndim,
                     PyArray_NDIM(any));
    } else {
        array = (PyArrayObject *)PyArray_FROM_OTF(
            (PyObject *)any, NPY_INT64, NPY_ARRAY_IN_ARRAY | NPY_ARRAY_FORCECAST | requirements);
    }
    mb_release(any);
    return array;
}

/* Contexts [n][order], and as many tokens or NULL. */
static int
parse_contexts(PyObject *self, PyObject *contexts_arg, PyObject *tokens_arg, int requirements,
               PyArrayObject **contexts, PyArrayObject **tokens)
{
    *contexts = whole_numbers(contexts_arg, 2, requirements, "contexts");
    *tokens = NULL;
    if (*contexts == NULL) {
        return -1;
    }
    if (tokens_arg != NULL) {
        *tokens = whole_numbers(tokens_arg, 1, requirements, "tokens");
    }
    size_t order = counts_of(self)->layout.order;
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

static PyObject *
raise_status(PyObject *self, mb_status status, const mb_token_fault *fault, int of_documents)
{
    const mb_transitions *counts = counts_of(self);
    long long value = fault->value;
    if (status != MB_INVALID) {
        return mb_raise(status, "there would be more than 2^64 - 1 observations");
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

/* ---- making ----------------------------------------------------------------------------- */

static PyObject *
transitions_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"order", "n_tokens", NULL};
    long long order, n_tokens;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "LL:TransitionCounts", names, &order,
                                     &n_tokens)) {
        return NULL;
    }
    if (order < 1 || order > MB_MAX_ORDER) {
        return PyErr_Format(PyExc_ValueError, "order is %lld; it must be from 1 to %d", order,
                            MB_MAX_ORDER);
    }
    if (n_tokens < 1 || n_tokens > 1LL << 32) {
        return PyErr_Format(PyExc_ValueError, "n_tokens is %lld; it must be from 1 to 2^32",
                            n_tokens);
    }
    mb_transitions *counts;
    mb_status status = mb_transitions_new((size_t)order, (uint64_t)n_tokens, &counts);
    if (status != MB_OK) {
        return mb_raise(status, "order or n_tokens is out of range");
    }
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    PyObject *self = alloc(type, 0);
    if (self == NULL) {
        mb_transitions_free(counts);
        return NULL;
    }
    ((transitions_object *)self)->counts = counts;
    return self;
}

static int
transitions_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static void
transitions_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    mb_transitions_free(counts_of(self));
    freefunc free_object = (freefunc)PyType_GetSlot(type, Py_tp_free);
    free_object(self);
    Py_DECREF(type);
}

/* ---- updates ------------------------------------------------------------------------------ */

static PyObject *
run_update(PyObject *self, size_t n, const mb_document *documents, int continued)
{
    if (begin(self, 1) < 0) {
        return NULL;
    }
    mb_token_fault fault = {0};
    PyThreadState *thread = PyEval_SaveThread();
    mb_interrupt interrupt = mb_on_signals(&thread);
    mb_status status =
        mb_transitions_update(counts_of(self), n, documents, continued, &interrupt, &fault);
    PyEval_RestoreThread(thread);
    end(self, 1);
    return status == MB_OK ? Py_NewRef(Py_None) : raise_status(self, status, &fault, 1);
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

static PyObject *
transitions_update(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"", "continued", NULL};
    PyObject *arg, *arrays = NULL, *result = NULL;
    int continued = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$p:update", names, &arg, &continued)) {
        return NULL;
    }
    if (!is_list_of_documents(arg)) {
        PyArrayObject *tokens = whole_numbers(arg, 1, 0, "tokens");
        if (tokens != NULL) {
            mb_document document = {mb_dim(tokens, 0), PyArray_DATA(tokens)};
            result = run_update(self, 1, &document, continued);
            mb_release(tokens);
        }
        return result;
    }
    /* a list of its own: converting an item may run code that changes the caller's */
    PyObject *items = PyList_AsTuple(arg);
    if (items == NULL) {
        return NULL;
    }
    size_t n = (size_t)PyTuple_Size(items);
    mb_document *documents = mb_calloc(n, sizeof(mb_document));
    arrays = PyList_New(0);
    if (documents == NULL || arrays == NULL) {
        mb_raise(MB_NOMEM, NULL);
        goto done;
    }
    for (size_t i = 0; i < n; i++) {
        PyArrayObject *tokens =
            whole_numbers(PyTuple_GetItem(items, (Py_ssize_t)i), 1, 0, "each document");
        if (tokens == NULL || PyList_Append(arrays, (PyObject *)tokens) < 0) {
            mb_release(tokens);
            goto done;
        }
        documents[i] = (mb_document){mb_dim(tokens, 0), PyArray_DATA(tokens)};
        mb_release(tokens);
    }
    result = run_update(self, n, documents, continued);
done:
    mb_free(documents);
    Py_XDECREF(arrays);
    Py_DECREF(items);
    return result;
}

static PyObject *
transitions_update_rows(PyObject *self, PyObject *args)
{
    PyObject *contexts_arg, *tokens_arg, *counts_arg, *result = NULL;
    PyArrayObject *contexts, *tokens, *times = NULL;
    if (!PyArg_ParseTuple(args, "OOO:update_rows", &contexts_arg, &tokens_arg, &counts_arg) ||
        parse_contexts(self, contexts_arg, tokens_arg, 0, &contexts, &tokens) < 0) {
        return NULL;
    }
    times = whole_numbers(counts_arg, 1, 0, "counts");
    if (times != NULL && mb_dim(times, 0) != mb_dim(tokens, 0)) {
        PyErr_Format(PyExc_ValueError, "there are %zu tokens and %zu counts", mb_dim(tokens, 0),
                     mb_dim(times, 0));
    } else if (times != NULL && begin(self, 1) == 0) {
        mb_token_fault fault = {0};
        PyThreadState *thread = PyEval_SaveThread();
        mb_interrupt interrupt = mb_on_signals(&thread);
        mb_status status = mb_transitions_update_rows(counts_of(self), mb_dim(tokens, 0),
                                                      PyArray_DATA(contexts), PyArray_DATA(tokens),
                                                      PyArray_DATA(times), &interrupt, &fault);
        PyEval_RestoreThread(thread);
        end(self, 1);
        result = status == MB_OK ? Py_NewRef(Py_None) : raise_status(self, status, &fault, 0);
    }
    mb_release(contexts);
    mb_release(tokens);
    mb_release(times);
    return result;
}

static PyObject *
transitions_merge(PyObject *self, PyObject *other)
{
    if (Py_TYPE(other) != Py_TYPE(self)) {
        return PyErr_Format(PyExc_TypeError, "counts merge with TransitionCounts, not %R",
                            (PyObject *)Py_TYPE(other));
    }
    mb_transitions *mine = counts_of(self), *more = counts_of(other);
    if (mine->layout.order != more->layout.order || mine->n_tokens != more->n_tokens) {
        PyErr_SetString(PyExc_ValueError,
                        "counts merge where order and n_tokens are the same, and these differ");
        return NULL;
    }
    if (begin(self, 1) < 0) {
        return NULL;
    }
    if (other != self && begin(other, 0) < 0) {
        end(self, 1);
        return NULL;
    }
    const mb_token_fault fault = {0};
    PyThreadState *thread = PyEval_SaveThread();
    mb_interrupt interrupt = mb_on_signals(&thread);
    mb_status status = mb_transitions_merge(mine, more, &interrupt);
    PyEval_RestoreThread(thread);
    if (other != self) {
        end(other, 0);
    }
    end(self, 1);
    return status == MB_OK ? Py_NewRef(Py_None) : raise_status(self, status, &fault, 0);
}

/* ---- questions ------------------------------------------------------------------------------ */

static PyArrayObject *
new_array(int ndim, size_t n, size_t columns, int type)
{
    npy_intp shape[] = {(npy_intp)n, (npy_intp)columns};
    return (PyArrayObject *)PyArray_SimpleNew(ndim, shape, type);
}

static PyObject *
transitions_counts(PyObject *self, PyObject *args)
{
    PyObject *contexts_arg, *tokens_arg, *result = NULL;
    PyArrayObject *contexts, *tokens;
    if (!PyArg_ParseTuple(args, "OO:counts", &contexts_arg, &tokens_arg) ||
        parse_contexts(self, contexts_arg, tokens_arg, 0, &contexts, &tokens) < 0) {
        return NULL;
    }
    size_t n = mb_dim(tokens, 0);
    PyArrayObject *out = new_array(1, n, 0, NPY_UINT64);
    if (out != NULL && begin(self, 0) == 0) {
        mb_token_fault fault = {0};
        PyThreadState *thread = PyEval_SaveThread();
        mb_interrupt interrupt = mb_on_signals(&thread);
        mb_status status =
            mb_transitions_counts(counts_of(self), n, PyArray_DATA(contexts), PyArray_DATA(tokens),
                                  &interrupt, PyArray_DATA(out), &fault);
        PyEval_RestoreThread(thread);
        end(self, 0);
        result =
            status == MB_OK ? Py_NewRef((PyObject *)out) : raise_status(self, status, &fault, 0);
    }
    mb_release(out);
    mb_release(contexts);
    mb_release(tokens);
    return result;
}

/* Fills the arrays for transitions_rows, whose sizes the first of two passes tells. */
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
        PyThreadState *thread = PyEval_SaveThread();
        mb_interrupt interrupt = mb_on_signals(&thread);
        mb_status status =
            mb_transitions_rows(counts_of(self), n, PyArray_DATA(contexts), &interrupt, start,
                                pass == 0 ? NULL : PyArray_DATA(tokens),
                                pass == 0 ? NULL : PyArray_DATA(times), &fault);
        PyEval_RestoreThread(thread);
        if (status != MB_OK) {
            raise_status(self, status, &fault, 0);
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

static PyObject *
transitions_rows(PyObject *self, PyObject *contexts_arg)
{
    PyArrayObject *contexts, *none;
    PyObject *result = NULL;
    /* a copy: the second pass relies on what the first has read */
    if (parse_contexts(self, contexts_arg, NULL, NPY_ARRAY_ENSURECOPY, &contexts, &none) < 0) {
        return NULL;
    }
    if (begin(self, 0) == 0) {
        result = read_rows(self, contexts);
        end(self, 0);
    }
    mb_release(contexts);
    return result;
}

/* Merges all runs and counts contexts; -1 with an exception set. */
static int
settle(PyObject *self, size_t *n_contexts)
{
    PyThreadState *thread = PyEval_SaveThread();
    mb_interrupt interrupt = mb_on_signals(&thread);
    mb_status status = mb_transitions_settle(counts_of(self), &interrupt);
    if (status == MB_OK) {
        status = mb_transitions_n_contexts(counts_of(self), &interrupt, n_contexts);
    }
    PyEval_RestoreThread(thread);
    if (status != MB_OK) {
        mb_raise(status, NULL);
    }
    return status == MB_OK ? 0 : -1;
}

static PyObject *
all_rows(PyObject *self)
{
    const mb_transitions *counts = counts_of(self);
    size_t n;
    if (settle(self, &n) < 0) {
        return NULL;
    }
    size_t n_pairs = counts->n_runs == 0 ? 0 : counts->runs[0]->n;
    PyArrayObject *contexts = new_array(2, n, counts->layout.order, NPY_UINT32);
    PyArrayObject *starts = new_array(1, n + 1, 0, NPY_INT64);
    PyArrayObject *tokens = new_array(1, n_pairs, 0, NPY_UINT32);
    PyArrayObject *times = new_array(1, n_pairs, 0, NPY_UINT64);
    PyObject *result = NULL;
    if (contexts != NULL && starts != NULL && tokens != NULL && times != NULL) {
        PyThreadState *thread = PyEval_SaveThread();
        mb_interrupt interrupt = mb_on_signals(&thread);
        mb_status status =
            mb_transitions_all(counts, &interrupt, PyArray_DATA(contexts), PyArray_DATA(starts),
                               PyArray_DATA(tokens), PyArray_DATA(times));
        PyEval_RestoreThread(thread);
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

/* Merging the runs is a change, though nobody sees it. */
static PyObject *
transitions_all(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (begin(self, 1) < 0) {
        return NULL;
    }
    PyObject *result = all_rows(self);
    end(self, 1);
    return result;
}

static PyObject *
transitions_sizes(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    size_t n = 0, n_pairs = 0;
    if (begin(self, 1) < 0) {
        return NULL;
    }
    int failed = settle(self, &n);
    if (!failed && counts_of(self)->n_runs > 0) {
        n_pairs = counts_of(self)->runs[0]->n;
    }
    end(self, 1);
    return failed ? NULL : Py_BuildValue("nn", (Py_ssize_t)n, (Py_ssize_t)n_pairs);
}

/* ---- the type --------------------------------------------------------------------------------- */

static PyObject *
get_order(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSize_t(counts_of(self)->layout.order);
}

static PyObject *
get_n_tokens(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(counts_of(self)->n_tokens);
}

static PyObject *
get_n_observed(PyObject *self, void *Py_UNUSED(closure))
{
    if (begin(self, 0) < 0) {
        return NULL;
    }
    unsigned long long n = counts_of(self)->n_observed;
    end(self, 0);
    return PyLong_FromUnsignedLongLong(n);
}

static PyObject *
get_nbytes(PyObject *self, void *Py_UNUSED(closure))
{
    if (begin(self, 0) < 0) {
        return NULL;
    }
    size_t n = mb_transitions_bytes(counts_of(self));
    end(self, 0);
    return PyLong_FromSize_t(n);
}

static PyGetSetDef transitions_getset[] = {
    {"order", get_order, NULL, "Tokens in a context.", NULL},
    {"n_tokens", get_n_tokens, NULL, "Size of the vocabulary, V.", NULL},
    {"n_observed", get_n_observed, NULL, "Observations: the sum of all counts.", NULL},
    {"nbytes", get_nbytes, NULL, "Bytes of memory.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef transitions_methods[] = {
    {"update", (PyCFunction)(void (*)(void))transitions_update, METH_VARARGS | METH_KEYWORDS,
     "update($self, tokens, /, *, continued=False)\n--\n\n"
     "Count the tokens of a document (1-D, any type of whole numbers), or of a list of documents.\n"
     "\nNo context crosses from one document to the next; `continued` says that the first one\n"
     "goes on where the last one ended."},
    {"update_rows", transitions_update_rows, METH_VARARGS,
     "update_rows($self, contexts, tokens, counts, /)\n--\n\n"
     "Add counts (n,) of tokens (n,) after contexts (n, order)."},
    {"merge", transitions_merge, METH_O,
     "merge($self, other, /)\n--\n\nAdd the counts of another of the same order and n_tokens."},
    {"counts", transitions_counts, METH_VARARGS,
     "counts($self, contexts, tokens, /)\n--\n\n"
     "How often each of tokens (n,) followed each of contexts (n, order); shape (n,)."},
    {"rows", transitions_rows, METH_O,
     "rows($self, contexts, /)\n--\n\n"
     "Rows of contexts (n, order) as (indptr, tokens, counts); tokens rise within a row."},
    {"all", transitions_all, METH_NOARGS,
     "all($self, /)\n--\n\n"
     "Every row, as (contexts, indptr, tokens, counts); contexts in an order of their own, which\n"
     "depends on nothing but which contexts there are."},
    {"sizes", transitions_sizes, METH_NOARGS,
     "sizes($self, /)\n--\n\nHow many contexts and how many pairs were seen."},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(transitions_doc,
             "TransitionCounts(order, n_tokens)\n--\n\n"
             "How often each token followed each context; it can grow.\n\n"
             "Used by one thread that changes it, or by many that read it: a clash raises\n"
             "RuntimeError.  A call that fails leaves it as it was.\n\n"
             "Parameters\n----------\n"
             "order : int\n    Tokens in a context, 1 to 16.\n"
             "n_tokens : int\n    Size of the vocabulary, 1 to 2^32.\n\n"
             "Examples\n--------\n"
             ">>> from matrixbayes import _core\n"
             ">>> counts = _core.TransitionCounts(1, 3)\n"
             ">>> counts.update([0, 1, 1, 2, 0, 1])\n"
             ">>> counts.counts([[0], [1]], [1, 0])\n"
             "array([2, 0], dtype=uint64)\n");

static PyType_Slot transitions_slots[] = {
    {Py_tp_doc, (void *)transitions_doc},
    {Py_tp_new, transitions_new},
    {Py_tp_traverse, transitions_traverse},
    {Py_tp_dealloc, transitions_dealloc},
    {Py_tp_getset, transitions_getset},
    {Py_tp_methods, transitions_methods},
    {0, NULL},
};

PyType_Spec mb_transitions_spec = {
    .name = "matrixbayes._core.TransitionCounts",
    .basicsize = sizeof(transitions_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = transitions_slots,
};
