/* Rows lumped by group of columns. */
#include "bind/rows/rows.h"
#include "core/base/mem.h"

/* A copy of group numbers that nobody else can change. */
static PyArrayObject *
own_groups(PyObject *object)
{
    PyArrayObject *any = mb_own_array(object, "groups"), *own = NULL;
    if (any == NULL) {
        return NULL;
    }
    if (!PyTypeNum_ISINTEGER(PyArray_TYPE(any))) {
        PyErr_Format(PyExc_TypeError, "groups must be integers, not %S",
                     (PyObject *)PyArray_DESCR(any));
    } else if (PyArray_NDIM(any) != 1) {
        PyErr_Format(PyExc_ValueError, "groups must have the shape (V,), not %d axes",
                     PyArray_NDIM(any));
    } else {
        own = (PyArrayObject *)PyArray_FromArray(any, PyArray_DescrFromType(NPY_INT64),
                                                 NPY_ARRAY_DEFAULT | NPY_ARRAY_ENSURECOPY |
                                                     NPY_ARRAY_FORCECAST);
    }
    mb_release(any);
    return own;
}

/* The partition that `object` describes, for rows of n_columns; NULL with an exception set. */
static mb_groups *
as_groups(PyObject *object, size_t n_columns, size_t n_groups)
{
    PyArrayObject *array = own_groups(object);
    mb_groups *groups = NULL;
    if (array == NULL) {
        return NULL;
    }
    const int64_t *numbers = PyArray_DATA(array);
    if (mb_dim(array, 0) != n_columns) {
        PyErr_Format(PyExc_ValueError, "groups has %zu entries for %zu columns", mb_dim(array, 0),
                     n_columns);
    } else {
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status = mb_groups_new(n_columns, numbers, n_groups, interrupt, &groups);
        mb_end_work(&work);
        size_t v = 0;
        while (status == MB_INVALID && (uint64_t)numbers[v] < n_groups) {
            v++;
        }
        if (status == MB_INVALID) {
            PyErr_Format(PyExc_ValueError, "groups[%zu] is %lld, which is not below n_groups=%zu",
                         v, (long long)numbers[v], n_groups);
        } else if (status != MB_OK) {
            mb_raise(status, "no more than 4294967295 columns can be lumped");
        }
    }
    mb_release(array);
    return groups;
}

/* All rows; -1 with an exception set. */
static int
run_groups(const mb_groups *groups, PyArrayObject *log_probs, PyArrayObject *out)
{
    int is_double = PyArray_TYPE(log_probs) == NPY_DOUBLE;
    const void *from = PyArray_DATA(log_probs);
    void *to = PyArray_DATA(out);
    size_t n_rows = mb_dim(log_probs, 0);
    void *scratch = mb_calloc(groups->n_columns, is_double ? sizeof(double) : sizeof(float));
    if (scratch == NULL) {
        mb_raise(MB_NOMEM, NULL);
        return -1;
    }
    mb_row_fault fault;
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status =
        mb_lump_log_probs(groups, is_double, n_rows, from, interrupt, scratch, to, &fault);
    mb_end_work(&work);
    mb_free(scratch);
    if (status == MB_INVALID) {
        mb_raise_row_fault(&fault, MB_LOG_PROBS, MB_FLOAT64);
    }
    return status != MB_OK ? -1 : 0;
}

PyDoc_STRVAR(
    lump_log_probs_doc,
    "lump_log_probs($module, log_probs, groups, n_groups, /)\n--\n\n"
    "Log-probabilities of groups of columns.\n\n"
    "Summed in float64 relative to each group's largest member, so that the smallest tails\n"
    "keep their digits. An empty group has -inf; the value of a group of one is unchanged.\n\n"
    "Parameters\n----------\n"
    "log_probs : ndarray of shape (N, V)\n"
    "    float32 or float64, in C order, in nats; without NaN and +inf.\n"
    "groups : array_like of int, shape (V,)\n"
    "    The group of each column, in 0 to n_groups - 1.\n"
    "n_groups : int\n"
    "    How many groups there are.\n\n"
    "Returns\n-------\n"
    "ndarray of shape (N, n_groups)\n"
    "    A new array, of the type of `log_probs`.\n\n"
    "Examples\n--------\n"
    ">>> import numpy as np\n"
    ">>> from matrixbayes import _core\n"
    ">>> _core.lump_log_probs(np.log([[0.2, 0.3, 0.5]]), [0, 1, 0], 2)\n"
    "array([[-0.35667494, -1.2039728 ]])\n");

static PyObject *
lump_log_probs(PyObject *module, PyObject *args)
{
    PyObject *rows_given, *groups_given;
    Py_ssize_t n_groups;
    PyArrayObject *rows, *out = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "OOn:lump_log_probs", &rows_given, &groups_given, &n_groups)) {
        return NULL;
    }
    if (n_groups < 0) {
        PyErr_Format(PyExc_ValueError, "n_groups is %zd", n_groups);
        return NULL;
    }
    size_t n_columns = 0;
    if (PyArray_Check(rows_given)) {
        if (PyArray_NDIM((PyArrayObject *)rows_given) != 2) {
            mb_raise_row_shape((PyArrayObject *)rows_given);
            return NULL;
        }
        n_columns = mb_dim((PyArrayObject *)rows_given, 1);
    }
    if ((rows = mb_log_prob_rows(rows_given, n_columns)) == NULL) {
        return NULL;
    }
    mb_groups *groups = as_groups(groups_given, n_columns, (size_t)n_groups);
    if (groups != NULL) {
        npy_intp shape[] = {PyArray_DIM(rows, 0), n_groups};
        out = (PyArrayObject *)PyArray_SimpleNew(2, shape, PyArray_TYPE(rows));
    }
    if (out != NULL && run_groups(groups, rows, out) < 0) {
        Py_CLEAR(out);
    }
    mb_groups_free(groups);
    mb_release(rows);
    return (PyObject *)out;
}

PyMethodDef mb_group_functions[] = {
    {"lump_log_probs", lump_log_probs, METH_VARARGS, lump_log_probs_doc},
    {NULL, NULL, 0, NULL},
};
