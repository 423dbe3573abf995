/* Rows from outside made into log-probabilities, and checked. */
#include "bind/rows/rows.h"

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
        mb_raise_row_shape(array);
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
        mb_raise_row_fault(&fault, kind, view->type);
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
             "    log-probability, no probability at all, or a sum off 1 by more than 1e-3, or\n"
             "    below it by more than the rounding of its numbers explains.\n"
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

PyMethodDef mb_row_functions[] = {
    {"log_probs", (PyCFunction)(void (*)(void))log_probs, METH_VARARGS | METH_KEYWORDS,
     log_probs_doc},
    {"check_log_probs", check_log_probs, METH_O, check_log_probs_doc},
    {NULL, NULL, 0, NULL},
};
