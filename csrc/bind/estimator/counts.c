/* The type Counts: rows of counts, encoded for the E-step. */
#include "bind/estimator/estimator.h"

#include <string.h>

enum { PIECE = 1 << 12, READ = 4 /* nanoseconds of an entry */ };

typedef struct {
    PyObject_HEAD mb_counts *counts;
} counts_object;

mb_counts *
mb_counts_of(PyObject *object)
{
    return ((counts_object *)object)->counts;
}

static void
raise_sparse_fault(mb_status status, const mb_sparse_fault *fault, size_t n_tokens)
{
    if (status != MB_INVALID) {
        mb_raise(status, "more than 2^32 cells or tokens");
        return;
    }
    PyObject *value = PyFloat_FromDouble(fault->value);
    if (value != NULL && fault->error == MB_SPARSE_STARTS) {
        PyErr_Format(PyExc_ValueError, "indptr falls or leaves the entries at row %zu", fault->row);
    } else if (value != NULL && fault->error == MB_SPARSE_COLUMN) {
        PyErr_Format(PyExc_ValueError, "row %zu has an entry in column %S, of %zu columns",
                     fault->row, value, n_tokens);
    } else if (value != NULL && fault->error == MB_SPARSE_TOTAL) {
        PyErr_Format(PyExc_ValueError,
                     "the total of row %zu overflows: it is %S, and counts sum to 2^53 at most",
                     fault->row, value);
    } else if (value != NULL) {
        PyErr_Format(PyExc_ValueError, "a count of row %zu is %S; it must be finite and >= 0",
                     fault->row, value);
    }
    Py_XDECREF(value);
}

static PyObject *
counts_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"indptr", "indices", "data", "n_tokens", NULL};
    PyObject *starts_arg, *columns_arg, *values_arg;
    Py_ssize_t n_tokens;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOn:Counts", names, &starts_arg, &columns_arg,
                                     &values_arg, &n_tokens)) {
        return NULL;
    }
    PyArrayObject *starts = mb_whole_numbers(starts_arg, 1, 0, "indptr"), *columns = NULL,
                  *values = NULL;
    PyObject *self = NULL;
    if (starts == NULL || (columns = mb_whole_numbers(columns_arg, 1, 0, "indices")) == NULL ||
        (values = mb_doubles(values_arg, 1, "data")) == NULL) {
        goto done;
    }
    if (mb_dim(starts, 0) == 0 || mb_dim(columns, 0) != mb_dim(values, 0) || n_tokens < 1) {
        PyErr_Format(PyExc_ValueError,
                     "indptr has %zu entries, indices %zu, data %zu, for %zd columns: these are no "
                     "sparse rows",
                     mb_dim(starts, 0), mb_dim(columns, 0), mb_dim(values, 0), n_tokens);
        goto done;
    }
    mb_sparse_rows rows = {mb_dim(starts, 0) - 1, (size_t)n_tokens,      mb_dim(values, 0),
                           PyArray_DATA(starts),  PyArray_DATA(columns), mb_data(values)};
    mb_counts *counts = NULL;
    mb_sparse_fault fault;
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_counts_new(&rows, interrupt, &counts, &fault);
    mb_end_work(&work);
    if (status != MB_OK) {
        raise_sparse_fault(status, &fault, rows.n_tokens);
        goto done;
    }
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    self = alloc(type, 0);
    if (self == NULL) {
        mb_counts_free(counts);
        goto done;
    }
    ((counts_object *)self)->counts = counts;
done:
    mb_release(starts);
    mb_release(columns);
    mb_release(values);
    return self;
}

static void
counts_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    mb_counts_free(mb_counts_of(self));
    freefunc free_object = (freefunc)PyType_GetSlot(type, Py_tp_free);
    free_object(self);
    Py_DECREF(type);
}

static PyObject *
counts_get_n_rows(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSize_t(mb_counts_of(self)->n_rows);
}

static PyObject *
counts_get_n_tokens(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSize_t(mb_counts_of(self)->n_tokens);
}

static PyObject *
counts_get_n_entries(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSize_t(mb_counts_of(self)->n_entries);
}

static PyObject *
counts_get_tokens(PyObject *self, void *Py_UNUSED(closure))
{
    const mb_counts *c = mb_counts_of(self);
    npy_intp shape[] = {(npy_intp)c->n_cells};
    PyArrayObject *array = (PyArrayObject *)PyArray_SimpleNew(1, shape, NPY_UINT32);
    if (array != NULL) {
        memcpy(PyArray_DATA(array), c->token, c->n_cells * sizeof(uint32_t));
    }
    return (PyObject *)array;
}

static PyObject *
counts_get_counts(PyObject *self, void *Py_UNUSED(closure))
{
    const mb_counts *c = mb_counts_of(self);
    npy_intp shape[] = {(npy_intp)c->n_cells};
    PyArrayObject *array = mb_new_doubles(1, shape);
    if (array != NULL) {
        memcpy(mb_data(array), c->count, c->n_cells * sizeof(double));
    }
    return (PyObject *)array;
}

/* How many entries are no totals. */
static mb_status
count_entries(const mb_counts *c, mb_interrupt *interrupt, size_t *n)
{
    *n = 0;
    for (size_t i = 0; i < c->n_entries;) {
        size_t end = c->n_entries - i < PIECE ? c->n_entries : i + PIECE;
        for (; i < end; i++) {
            *n += c->token[c->entries[i]] < c->n_tokens;
        }
        MB_TRY(mb_ask(interrupt, (size_t)READ * PIECE));
    }
    return MB_OK;
}

static mb_status
write_sparse(const mb_counts *c, mb_interrupt *interrupt, int64_t *starts, int64_t *columns,
             double *values)
{
    int64_t n = 0;
    for (size_t row = 0; row < c->n_rows; row++) {
        starts[row] = n;
        for (size_t i = c->starts[row]; i < c->starts[row + 1]; i++) {
            uint32_t cell = c->entries[i];
            if (c->token[cell] < c->n_tokens) {
                columns[n] = (int64_t)c->token[cell];
                values[n++] = c->count[cell];
            }
            MB_TRY(i % PIECE == 0 ? mb_ask(interrupt, (size_t)READ * PIECE) : MB_OK);
        }
        MB_TRY(row % PIECE == 0 ? mb_ask(interrupt, (size_t)READ * PIECE) : MB_OK);
    }
    starts[c->n_rows] = n;
    return MB_OK;
}

/* The sparse rows again: (indptr, indices, data). */
static PyObject *
counts_sparse(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    const mb_counts *c = mb_counts_of(self);
    size_t n;
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = count_entries(c, interrupt, &n);
    mb_end_work(&work);
    PyArrayObject *starts = NULL, *columns = NULL, *values = NULL;
    PyObject *result = NULL;
    if (status == MB_OK) {
        npy_intp n_starts[] = {(npy_intp)c->n_rows + 1}, n_entries[] = {(npy_intp)n};
        starts = (PyArrayObject *)PyArray_SimpleNew(1, n_starts, NPY_INT64);
        columns = (PyArrayObject *)PyArray_SimpleNew(1, n_entries, NPY_INT64);
        values = mb_new_doubles(1, n_entries);
    }
    if (starts != NULL && columns != NULL && values != NULL) {
        interrupt = mb_begin_work(&work);
        status = write_sparse(c, interrupt, PyArray_DATA(starts), PyArray_DATA(columns),
                              mb_data(values));
        mb_end_work(&work);
        result = status == MB_OK
                     ? PyTuple_Pack(3, (PyObject *)starts, (PyObject *)columns, (PyObject *)values)
                     : NULL;
    }
    if (status != MB_OK) {
        mb_raise(status, NULL);
    }
    mb_release(starts);
    mb_release(columns);
    mb_release(values);
    return result;
}

static PyObject *
counts_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *sparse = counts_sparse(self, NULL);
    if (sparse == NULL) {
        return NULL;
    }
    PyObject *result =
        Py_BuildValue("O(OOOn)", (PyObject *)Py_TYPE(self), PyTuple_GetItem(sparse, 0),
                      PyTuple_GetItem(sparse, 1), PyTuple_GetItem(sparse, 2),
                      (Py_ssize_t)mb_counts_of(self)->n_tokens);
    Py_DECREF(sparse);
    return result;
}

static PyGetSetDef counts_getset[] = {
    {"n_rows", counts_get_n_rows, NULL, "Number of rows.", NULL},
    {"n_tokens", counts_get_n_tokens, NULL, "Number of columns.", NULL},
    {"n_entries", counts_get_n_entries, NULL, "Cells of all rows, their totals among them.", NULL},
    {"tokens", counts_get_tokens, NULL, "Token of each cell, n_tokens for a total; shape (C,).",
     NULL},
    {"counts", counts_get_counts, NULL, "Count of each cell; shape (C,).", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef counts_methods[] = {
    {"sparse", counts_sparse, METH_NOARGS,
     "sparse($self, /)\n--\n\nThe rows as (indptr, indices, data), zeros left out."},
    {"__reduce__", counts_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(counts_doc, "Counts(indptr, indices, data, n_tokens)\n--\n\n"
                         "Rows of counts, encoded for passes over them.\n\n"
                         "Parameters\n----------\n"
                         "indptr, indices : array_like of int\n    Compressed sparse rows.\n"
                         "data : array_like\n    Counts, real, finite and >= 0.\n"
                         "n_tokens : int\n    Number of columns.\n\n"
                         "Examples\n--------\n"
                         ">>> from matrixbayes import _core\n"
                         ">>> rows = _core.Counts([0, 2, 3], [0, 2, 2], [3, 1, 1], 4)\n"
                         ">>> rows.tokens, rows.counts\n"
                         "(array([0, 2, 4, 4], dtype=uint32), array([3., 1., 1., 4.]))\n");

static PyType_Slot counts_slots[] = {
    {Py_tp_doc, (void *)counts_doc},
    {Py_tp_new, counts_new},
    {Py_tp_traverse, mb_traverse_type},
    {Py_tp_dealloc, counts_dealloc},
    {Py_tp_getset, counts_getset},
    {Py_tp_methods, counts_methods},
    {0, NULL},
};

PyType_Spec mb_counts_spec = {
    .name = "matrixbayes._core.Counts",
    .basicsize = sizeof(counts_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = counts_slots,
};
