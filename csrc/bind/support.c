/* Errors, array converters and signals for the other binding files. */
#include "bind.h"

mb_state *
mb_module_state(PyObject *module)
{
    return (mb_state *)PyModule_GetState(module);
}

PyObject *
mb_raise(mb_status status, const char *why)
{
    switch (status) {
    case MB_NOMEM:
        return PyErr_NoMemory();
    case MB_INVALID:
        PyErr_SetString(PyExc_ValueError, why);
        return NULL;
    case MB_RANGE:
        PyErr_SetString(PyExc_OverflowError, why);
        return NULL;
    case MB_NUMERIC:
        PyErr_SetString(PyExc_FloatingPointError, why);
        return NULL;
    case MB_STOPPED: /* by a signal handler, which has raised */
        return NULL;
    case MB_OK:
        break;
    }
    PyErr_Format(PyExc_SystemError, "core status %d raised", (int)status);
    return NULL;
}

PyArrayObject *
mb_doubles(PyObject *object, int ndim, const char *name)
{
    PyArrayObject *any = (PyArrayObject *)PyArray_FROM_O(object);
    if (any == NULL) {
        return NULL;
    }
    int type = PyArray_TYPE(any);
    if (!PyTypeNum_ISINTEGER(type) && !PyTypeNum_ISFLOAT(type) && !PyTypeNum_ISBOOL(type)) {
        PyErr_Format(PyExc_TypeError, "%s must be an array of real numbers, not of %S", name,
                     (PyObject *)PyArray_DESCR(any));
        mb_release(any);
        return NULL;
    }
    if (ndim >= 0 && PyArray_NDIM(any) != ndim) {
        PyErr_Format(PyExc_ValueError, "%s must have %d axes, not %d", name, ndim,
                     PyArray_NDIM(any));
        mb_release(any);
        return NULL;
    }
    PyArrayObject *array =
        (PyArrayObject *)PyArray_FROM_OTF((PyObject *)any, NPY_DOUBLE, NPY_ARRAY_IN_ARRAY);
    mb_release(any);
    return array;
}

PyArrayObject *
mb_whole_numbers(PyObject *object, int ndim, int requirements, const char *name)
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

PyArrayObject *
mb_log_prob_rows(PyObject *object, size_t n_columns)
{
    if (!PyArray_Check(object)) {
        PyErr_Format(PyExc_TypeError, "log_probs must be an array, not %R",
                     (PyObject *)Py_TYPE(object));
        return NULL;
    }
    PyArrayObject *array = (PyArrayObject *)object;
    int type = PyArray_TYPE(array);
    if ((type != NPY_FLOAT && type != NPY_DOUBLE) || !PyArray_ISCARRAY_RO(array)) {
        PyErr_Format(PyExc_TypeError,
                     "log_probs must be float32 or float64 in C order and native byte order, "
                     "not %S; log_probs(rows, kind=...) gives such an array",
                     (PyObject *)PyArray_DESCR(array));
        return NULL;
    }
    if (PyArray_NDIM(array) != 2 || mb_dim(array, 1) != n_columns) {
        PyObject *shape = PyObject_GetAttrString(object, "shape");
        if (shape != NULL) {
            PyErr_Format(PyExc_ValueError, "log_probs must have shape (n, %zu), not %S", n_columns,
                         shape);
            Py_DECREF(shape);
        }
        return NULL;
    }
    return (PyArrayObject *)Py_NewRef(object);
}

PyArrayObject *
mb_new_doubles(int ndim, const npy_intp *shape)
{
    return (PyArrayObject *)PyArray_SimpleNew(ndim, shape, NPY_DOUBLE);
}

int
mb_check_signals(PyThreadState **thread)
{
    PyEval_RestoreThread(*thread);
    int status = PyErr_CheckSignals();
    *thread = PyEval_SaveThread();
    return status;
}

static int
signal_raised(void *thread)
{
    return mb_check_signals(thread) != 0;
}

mb_interrupt
mb_on_signals(PyThreadState **thread)
{
    return (mb_interrupt){signal_raised, thread};
}

size_t
mb_piece(size_t cost, size_t block)
{
    size_t blocks = ((size_t)1 << 26) / (cost > 0 ? cost : 1) / block;
    return (blocks > 0 ? blocks : 1) * block;
}
