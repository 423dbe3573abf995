/* Rows from outside made into log-probabilities, checked, and lumped by group of columns. */
#include "bind/bind.h"
#include "core/base/mem.h"
#include "core/rows/rows.h"

#include <math.h>

/* ---- Rows from outside ---------------------------------------------------- */

/* The type of the numbers of `array`; -1 with an exception set where it is none of them. */
static int
float_type(PyArrayObject *array, int bfloat16, mb_float_type *type)
{
    int number = PyArray_TYPE(array);
    PyObject *name = (PyObject *)PyArray_DESCR(array);
    if (bfloat16) {
        *type = MB_BFLOAT16;
        if (number != NPY_UINT16) {
            PyErr_Format(PyExc_TypeError,
                         "rows are %S, but bfloat16=True takes the bits of the numbers, as uint16",
                         name);
            return -1;
        }
        return 0;
    }
    switch (number) {
    case NPY_HALF:
        *type = MB_FLOAT16;
        return 0;
    case NPY_FLOAT:
        *type = MB_FLOAT32;
        return 0;
    case NPY_DOUBLE:
        *type = MB_FLOAT64;
        return 0;
    default:
        PyErr_Format(PyExc_TypeError, "rows are %S, not float16, float32 or float64; %s", name,
                     number == NPY_UINT16
                         ? "pass bfloat16=True if they are the bits of bfloat16 numbers"
                         : "convert them, for example with np.asarray(rows, dtype=float)");
        return -1;
    }
}

static void
raise_shape(PyArrayObject *array)
{
    PyObject *shape = PyObject_GetAttrString((PyObject *)array, "shape");
    if (shape != NULL) {
        PyErr_Format(PyExc_ValueError,
                     "rows need the shape (N, V), one row per context and V > 0, not %S", shape);
        Py_DECREF(shape);
    }
}

/* `object` as rows in this machine's byte order, seen by *view; NULL with an exception set. */
static PyArrayObject *
as_view(PyObject *object, int bfloat16, mb_row_view *view)
{
    PyArrayObject *any = mb_own_array(object, "rows"), *array = NULL;
    if (any != NULL && float_type(any, bfloat16, &view->type) == 0) {
        /* NumPy's own conversion, which without flags leaves strides and alignment alone. */
        array =
            (PyArrayObject *)PyArray_FromArray(any, PyArray_DescrFromType(PyArray_TYPE(any)), 0);
    }
    mb_release(any);
    if (array == NULL) {
        return NULL;
    }
    if (PyArray_NDIM(array) != 2 || PyArray_DIM(array, 1) == 0) {
        raise_shape(array);
        mb_release(array);
        return NULL;
    }
    view->data = PyArray_DATA(array);
    view->n_rows = mb_dim(array, 0);
    view->n_columns = mb_dim(array, 1);
    view->row_stride = PyArray_STRIDE(array, 0);
    view->column_stride = PyArray_STRIDE(array, 1);
    return array;
}

static int
as_kind(PyObject *name, mb_row_kind *kind)
{
    static const char *const names[] = {
        [MB_LOGITS] = "logits", [MB_LOG_PROBS] = "log_probs", [MB_PROBS] = "probs"};
    if (name == NULL || !PyUnicode_Check(name)) {
        PyErr_SetString(PyExc_TypeError, "log_probs() needs kind='logits', 'log_probs' or 'probs'");
        return -1;
    }
    for (int k = 0; k < 3; k++) {
        if (PyUnicode_CompareWithASCIIString(name, names[k]) == 0) {
            *kind = (mb_row_kind)k;
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError, "kind=%R is not one of 'logits', 'log_probs', 'probs'", name);
    return -1;
}

/* ---- What is wrong with them ---------------------------------------------- */

/* What the user can do about it. */
static const char *
remedy(const mb_row_fault *fault, mb_row_kind kind, mb_float_type type)
{
    int is_short = type == MB_FLOAT16 || type == MB_BFLOAT16;
    switch (fault->kind) {
    case MB_ROW_NAN:
        return "run the model in float32 if float16 overflowed, else leave such rows out";
    case MB_ROW_INFINITE:
        return kind == MB_PROBS ? "no probability is above 1"
                                : "nothing but -inf, an exact zero, may be infinite";
    case MB_ROW_POSITIVE:
        return "no log-probability is above 0; pass kind='logits' for unnormalised scores, or "
               "kind='probs' for probabilities";
    case MB_ROW_NEGATIVE:
        return "no probability is below 0; pass kind='logits' for unnormalised scores, or "
               "kind='log_probs' for logarithms";
    case MB_ROW_EMPTY:
        return "no column has any probability; leave such rows out";
    case MB_ROW_SUM:
        break;
    }
    if (is_short && fabs(fault->value - 1) < 0.1) {
        return "16-bit probabilities round this far; take the logits and pass kind='logits'";
    }
    if (fault->value < 1) {
        return kind == MB_PROBS
                   ? "if these are the top tokens of a longer list, add a column such as '<other>' "
                     "with what is missing to 1; divide by the sum only what is unnormalised"
                   : "if these are the top tokens of a longer list, add a column such as '<other>' "
                     "with the logarithm of what is missing to 1; only unnormalised scores are "
                     "kind='logits'";
    }
    return kind == MB_PROBS
               ? "pass kind='logits' for unnormalised scores, or divide each row by its sum"
               : "pass kind='logits', which normalises scores and log-probabilities alike";
}

static void
raise_fault(const mb_row_fault *fault, mb_row_kind kind, mb_float_type type)
{
    const char *advice = remedy(fault, kind, type);
    char *value = PyOS_double_to_string(fault->value, 'g', 6, 0, NULL);
    if (value == NULL) {
        return;
    }
    if (fault->kind == MB_ROW_EMPTY) {
        PyErr_Format(PyExc_ValueError, "row %zu is %s everywhere: %s", fault->row,
                     kind == MB_PROBS ? "0" : "-inf", advice);
    } else if (fault->kind == MB_ROW_SUM) {
        PyErr_Format(PyExc_ValueError, "row %zu %ssums to %s, not 1: %s", fault->row,
                     kind == MB_PROBS ? "" : "of exp(log_probs) ", value, advice);
    } else {
        PyErr_Format(PyExc_ValueError, "row %zu, column %zu is %s: %s", fault->row, fault->column,
                     fault->kind == MB_ROW_NAN ? "NaN" : value, advice);
    }
    PyMem_Free(value);
}

/* ---- log_probs and check_log_probs ---------------------------------------- */

/* Goes through the rows; `out` has room for all of them, or is NULL where they are only to be
 * checked.  -1 with an exception set. */
static int
run_rows(const mb_row_view *view, mb_row_kind kind, void *out, mb_row_zeros *zeros)
{
    mb_row_fault fault;
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_log_probs(view, kind, interrupt, out, zeros, &fault);
    mb_end_work(&work);
    if (status == MB_INVALID) {
        raise_fault(&fault, kind, view->type);
    }
    return status != MB_OK ? -1 : 0;
}

static PyObject *
zeros_tuple(const mb_row_zeros *zeros)
{
    return zeros->n_rows == 0 ? Py_BuildValue("(iii)", 0, -1, -1)
                              : Py_BuildValue("(nnn)", (Py_ssize_t)zeros->n_rows,
                                              (Py_ssize_t)zeros->row, (Py_ssize_t)zeros->column);
}

PyDoc_STRVAR(log_probs_doc,
             "log_probs($module, rows, *, kind, bfloat16=False, zeros=False)\n--\n\n"
             "Log-probabilities of next-token rows.\n\n"
             "Logits get a log-softmax, probabilities a logarithm; log-probabilities are copied.\n"
             "Every row is checked and none is renormalised. Exact zeros become -inf.\n\n"
             "Parameters\n----------\n"
             "rows : array_like of shape (N, V)\n"
             "    float16, float32 or float64, of any strides and byte order.\n"
             "kind : {'logits', 'log_probs', 'probs'}\n"
             "    What the rows hold; never guessed.\n"
             "bfloat16 : bool\n"
             "    Whether `rows` are the bits of bfloat16 numbers, as uint16.\n"
             "zeros : bool\n"
             "    Whether to say what `check_log_probs` would say of the result, too.\n\n"
             "Returns\n-------\n"
             "ndarray of shape (N, V)\n"
             "    A new array in C order, in nats: float64 where `rows` are, else float32.  With\n"
             "    `zeros` a tuple, of it and those three numbers.\n\n"
             "Raises\n------\n"
             "ValueError\n"
             "    At the first row that holds NaN, +inf, a negative probability or a positive\n"
             "    log-probability, no probability at all, or a sum off 1 by more than 1e-3.\n"
             "TypeError\n"
             "    For numbers of another type, integers among them.\n\n"
             "Examples\n--------\n"
             ">>> from matrixbayes import _core\n"
             ">>> _core.log_probs([[0.5, 0.5, 0.0]], kind='probs')\n"
             "array([[-0.69314718, -0.69314718,        -inf]])\n");

static PyObject *
log_probs(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"rows", "kind", "bfloat16", "zeros", NULL};
    PyObject *object, *kind_name = NULL;
    int bfloat16 = 0, with_zeros = 0;
    mb_row_view view;
    mb_row_kind kind;
    mb_row_zeros zeros = {0, 0, 0};
    (void)module;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$Opp:log_probs", names, &object, &kind_name,
                                     &bfloat16, &with_zeros) ||
        as_kind(kind_name, &kind) < 0) {
        return NULL;
    }
    PyArrayObject *rows = as_view(object, bfloat16, &view), *out = NULL;
    if (rows == NULL) {
        return NULL;
    }
    out = (PyArrayObject *)PyArray_SimpleNew(2, PyArray_DIMS(rows),
                                             view.type == MB_FLOAT64 ? NPY_DOUBLE : NPY_FLOAT);
    if (out != NULL && run_rows(&view, kind, PyArray_DATA(out), &zeros) < 0) {
        Py_CLEAR(out);
    }
    mb_release(rows);
    return out == NULL || !with_zeros ? (PyObject *)out
                                      : Py_BuildValue("(NN)", out, zeros_tuple(&zeros));
}

PyDoc_STRVAR(check_log_probs_doc,
             "check_log_probs($module, log_probs, /)\n--\n\n"
             "Check rows of log-probabilities as `log_probs` does, and find exact zeros.\n\n"
             "Parameters\n----------\n"
             "log_probs : array_like of shape (N, V)\n"
             "    float16, float32 or float64, of any strides and byte order, in nats.\n\n"
             "Returns\n-------\n"
             "tuple of int\n"
             "    How many rows hold -inf, and the first row and column that do; (0, -1, -1)\n"
             "    where none does.\n\n"
             "Examples\n--------\n"
             ">>> import numpy as np\n"
             ">>> from matrixbayes import _core\n"
             ">>> _core.check_log_probs([[np.log(0.5), -np.inf, np.log(0.5)]])\n"
             "(1, 0, 1)\n");

static PyObject *
check_log_probs(PyObject *module, PyObject *object)
{
    mb_row_view view;
    mb_row_zeros zeros = {0, 0, 0};
    PyArrayObject *rows = as_view(object, 0, &view);
    (void)module;
    if (rows == NULL) {
        return NULL;
    }
    int failed = run_rows(&view, MB_LOG_PROBS, NULL, &zeros) < 0;
    mb_release(rows);
    return failed ? NULL : zeros_tuple(&zeros);
}

/* ---- lump_log_probs -------------------------------------------------------- */

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
        raise_fault(&fault, MB_LOG_PROBS, MB_FLOAT64);
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
            raise_shape((PyArrayObject *)rows_given);
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

PyMethodDef mb_row_functions[] = {
    {"log_probs", (PyCFunction)(void (*)(void))log_probs, METH_VARARGS | METH_KEYWORDS,
     log_probs_doc},
    {"check_log_probs", check_log_probs, METH_O, check_log_probs_doc},
    {"lump_log_probs", lump_log_probs, METH_VARARGS, lump_log_probs_doc},
    {NULL, NULL, 0, NULL},
};
