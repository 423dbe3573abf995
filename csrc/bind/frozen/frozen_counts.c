/* The type FrozenCounts: counts of all orders in a compact code, and how one is opened. */
#include "bind/frozen/frozen_object.h"

/* ---- opening ----------------------------------------------------------------------------- */

/* An item as words that can be read in place: what is not aligned is copied. */
static PyArrayObject *
words_of(PyObject *item)
{
    PyArrayObject *own;
    if (!PyArray_Check(item)) {
        PyErr_Format(PyExc_TypeError, "each level must be an array, not %R",
                     (PyObject *)Py_TYPE(item));
        return NULL;
    }
    if ((own = mb_own_array(item, "levels")) == NULL) {
        return NULL;
    }
    PyArrayObject *words = NULL;
    if (PyArray_NDIM(own) != 1 || !PyArray_EquivTypenums(PyArray_TYPE(own), NPY_UINT64)) {
        PyErr_Format(PyExc_TypeError, "each level must be uint64 of one axis, not %S of %d",
                     (PyObject *)PyArray_DESCR(own), PyArray_NDIM(own));
    } else {
        words = (PyArrayObject *)PyArray_FromArray(own, NULL, NPY_ARRAY_CARRAY_RO);
    }
    mb_release(own);
    return words;
}

PyObject *
mb_open_levels(long long n_tokens, PyObject *levels, mb_frozen *frozen)
{
    if (mb_check_order(0, 0, n_tokens) < 0) {
        return NULL;
    }
    PyObject *items = mb_items(levels, "levels"), *arrays = NULL;
    if (items == NULL) {
        return NULL;
    }
    const Py_ssize_t n = PyTuple_Size(items);
    *frozen = mb_frozen_begin((uint64_t)n_tokens);
    if (n > MB_MAX_ORDER + 1) {
        PyErr_Format(PyExc_ValueError, "there are %zd levels; there can be %d", n,
                     MB_MAX_ORDER + 1);
    } else {
        arrays = PyTuple_New(n);
    }
    int good = arrays != NULL;
    for (Py_ssize_t i = 0; i < n && good; i++) {
        PyArrayObject *words = words_of(PyTuple_GetItem(items, i));
        good = words != NULL && PyTuple_SetItem(arrays, i, (PyObject *)words) == 0;
        if (good && mb_frozen_open(frozen, mb_dim(words, 0), PyArray_DATA(words)) != MB_OK) {
            PyErr_Format(PyExc_ValueError, "level %zd is damaged: its sizes are not what it says",
                         i);
            good = 0;
        }
    }
    if (!good) {
        Py_CLEAR(arrays);
    }
    Py_DECREF(items);
    return arrays;
}

/* -1 with an exception set unless the words of the last level are in order. */
static int
check_last_level(const mb_frozen *frozen, int begins)
{
    const size_t last = frozen->n_levels - 1;
    uint64_t total;
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status =
        mb_frozen_check(frozen, last, frozen->n_tokens - (uint64_t)begins, interrupt, &total);
    mb_end_work(&work);
    if (status == MB_INVALID) {
        PyErr_Format(PyExc_ValueError, "level %zu is damaged: no counts are written like this",
                     last);
    } else if (status != MB_OK) {
        mb_raise(status, NULL);
    }
    return status == MB_OK ? 0 : -1;
}

static PyObject *
frozen_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"n_tokens", "levels", "verify", "begins", NULL};
    long long n_tokens;
    PyObject *levels, *self = NULL;
    int verify = 1, begins = 0;
    mb_frozen frozen;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "LO|$pp:FrozenCounts", names, &n_tokens, &levels,
                                     &verify, &begins)) {
        return NULL;
    }
    PyObject *arrays = mb_open_levels(n_tokens, levels, &frozen);
    if (arrays != NULL && frozen.n_levels == 0) {
        PyErr_SetString(PyExc_ValueError, "there are no levels; counts have one or more");
    } else if (arrays != NULL && (!verify || check_last_level(&frozen, begins) == 0)) {
        allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
        self = alloc(type, 0);
    }
    if (self == NULL) {
        Py_XDECREF(arrays);
        return NULL;
    }
    ((mb_frozen_object *)self)->arrays = arrays;
    ((mb_frozen_object *)self)->frozen = frozen;
    return self;
}

static int
frozen_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((mb_frozen_object *)self)->arrays);
    return 0;
}

static void
frozen_free(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF(((mb_frozen_object *)self)->arrays);
    freefunc free_object = (freefunc)PyType_GetSlot(type, Py_tp_free);
    free_object(self);
    Py_DECREF(type);
}

/* ---- what it is -------------------------------------------------------------------------- */

static PyObject *
frozen_order(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSize_t(mb_frozen_order(self));
}

static PyObject *
frozen_n_tokens(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(mb_frozen_of(self)->n_tokens);
}

static PyObject *
frozen_n_observed(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(
        mb_frozen_observed(mb_frozen_of(self), mb_frozen_order(self)));
}

/* Of the last level, and of those that are there for it alone. */
static PyObject *
frozen_nbytes(PyObject *self, void *Py_UNUSED(closure))
{
    const mb_frozen *frozen = mb_frozen_of(self);
    size_t bytes = 0, level = frozen->n_levels;
    do {
        PyObject *words = PyTuple_GetItem(((mb_frozen_object *)self)->arrays, (Py_ssize_t)--level);
        bytes += mb_dim((PyArrayObject *)words, 0) * sizeof(uint64_t);
    } while (level > 0 && frozen->levels[level - 1].bare);
    return PyLong_FromSize_t(bytes);
}

static PyObject *
frozen_sizes(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    const mb_frozen_level *last = mb_frozen_of(self)->levels + mb_frozen_order(self);
    return Py_BuildValue("nn", (Py_ssize_t)last->n_contexts, (Py_ssize_t)last->n_pairs);
}

static PyObject *
frozen_arrays(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(((mb_frozen_object *)self)->arrays);
}

static PyObject *
frozen_copy(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(self);
}

static PyObject *
frozen_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_BuildValue("O(KO)", (PyObject *)Py_TYPE(self),
                         (unsigned long long)mb_frozen_of(self)->n_tokens,
                         ((mb_frozen_object *)self)->arrays);
}

static PyObject *
frozen_refuse(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(ignored))
{
    PyErr_SetString(PyExc_ValueError,
                    "these counts are frozen and never change; those of matrix.thaw() do");
    return NULL;
}

/* ---- the type ---------------------------------------------------------------------------- */

static PyGetSetDef frozen_getset[] = {
    {"order", frozen_order, NULL, "Tokens in a context.", NULL},
    {"n_tokens", frozen_n_tokens, NULL, "Size of the vocabulary, V.", NULL},
    {"n_observed", frozen_n_observed, NULL, "Observations: the sum of all counts.", NULL},
    {"nbytes", frozen_nbytes, NULL,
     "Bytes of the last level and of those below it that have no rows of their own.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef frozen_methods[] = {
    {"counts", mb_method_frozen_counts, METH_VARARGS,
     "counts($self, contexts, tokens, /)\n--\n\n"
     "How often each of tokens (n,) followed each of contexts (n, order); shape (n,)."},
    {"totals", mb_method_frozen_totals, METH_O,
     "totals($self, contexts, /)\n--\n\n"
     "How often each of contexts (n, order) was followed by any token; shape (n,)."},
    {"rows", mb_method_frozen_rows, METH_O,
     "rows($self, contexts, /)\n--\n\n"
     "Rows of contexts (n, order) as (indptr, tokens, counts); tokens rise within a row."},
    {"walk", mb_method_frozen_walk, METH_VARARGS,
     "walk($self, contexts, tokens, /)\n--\n\n"
     "Counts and totals, each (n, order + 1), of tokens (n,) after the last 0, 1, ... tokens of\n"
     "contexts (n, order): what `counts` and `totals` of all levels say, in one walk."},
    {"places", mb_method_frozen_places, METH_O,
     "places($self, contexts, /)\n--\n\n"
     "The number of each of contexts (n, order), by which `all` lists them; -1 of others."},
    {"all", mb_method_frozen_all, METH_NOARGS,
     "all($self, /)\n--\n\n"
     "Every row, as (contexts, indptr, tokens, counts); contexts in an order of their own."},
    {"sizes", frozen_sizes, METH_NOARGS,
     "sizes($self, /)\n--\n\nHow many contexts and how many pairs were seen."},
    {"arrays", frozen_arrays, METH_NOARGS, "arrays($self, /)\n--\n\nThe levels that it reads."},
    {"copy", frozen_copy, METH_NOARGS, "copy($self, /)\n--\n\nItself: it never changes."},
    {"update", frozen_refuse, METH_O, "update($self, tokens, /)\n--\n\nRefused."},
    {"update_rows", frozen_refuse, METH_VARARGS,
     "update_rows($self, contexts, tokens, counts, /)\n--\n\nRefused."},
    {"merge", frozen_refuse, METH_O, "merge($self, other, /)\n--\n\nRefused."},
    {"encode", mb_method_frozen_encode, METH_VARARGS | METH_STATIC,
     "encode(n_tokens, levels, contexts, indptr, tokens, counts, /)\n--\n\n"
     "The next of `levels`, uint64 words, of rows in any order.\n\n"
     "Parameters\n----------\n"
     "n_tokens : int\n    Size of the vocabulary.\n"
     "levels : sequence of ndarray\n    Those of shorter contexts, from the empty one on.\n"
     "contexts, indptr, tokens, counts : ndarray\n"
     "    What `all` of `TransitionCounts` gives.  None for the last three: contexts alone, that\n"
     "    lead to longer ones.\n\n"
     "Raises\n------\n"
     "ValueError\n    A shorter context is not there, or rows are not as said."},
    {"__copy__", frozen_copy, METH_NOARGS, NULL},
    {"__deepcopy__", frozen_copy, METH_O, NULL},
    {"__reduce__", frozen_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(
    frozen_doc,
    "FrozenCounts(n_tokens, levels, *, verify=True, begins=False)\n--\n\n"
    "Counts of tokens after contexts, in a compact code that is read where it lies.\n\n"
    "They answer what `TransitionCounts` do, and never change.  No number in them can make\n"
    "a crash, but a wrong one makes wrong answers.\n\n"
    "Parameters\n----------\n"
    "n_tokens : int\n    Size of the vocabulary, 1 to 2^32.\n"
    "levels : sequence of ndarray of uint64\n"
    "    What `encode` gave for contexts of 0, 1, ..., order tokens.\n"
    "verify : bool\n"
    "    Whether to make sure, in one pass, that the last of them is in order.\n"
    "begins : bool\n    Whether the last token begins texts, and so follows no context.\n\n"
    "Examples\n--------\n"
    ">>> from matrixbayes import _core\n"
    ">>> counts = _core.TransitionCounts(0, 3)\n"
    ">>> counts.update([0, 1, 1, 2, 0, 1])\n"
    ">>> words = _core.FrozenCounts.encode(3, [], *counts.all())\n"
    ">>> _core.FrozenCounts(3, [words]).rows([[]])[2]\n"
    "array([2, 3, 1], dtype=uint64)\n");

static PyType_Slot frozen_slots[] = {
    {Py_tp_doc, (void *)frozen_doc},
    {Py_tp_new, frozen_new},
    {Py_tp_traverse, frozen_traverse},
    {Py_tp_dealloc, frozen_free},
    {Py_tp_getset, frozen_getset},
    {Py_tp_methods, frozen_methods},
    {0, NULL},
};

PyType_Spec mb_frozen_spec = {
    .name = "matrixbayes._core.FrozenCounts",
    .basicsize = sizeof(mb_frozen_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = frozen_slots,
};
