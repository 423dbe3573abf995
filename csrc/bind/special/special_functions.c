/* The special functions of the core over arrays of any shape. */
#include "bind/bind.h"

#include "core/special/special.h"

#include <math.h>

enum { PIECE = 1 << 12, BUFFER = 256, COST = 32 /* nanoseconds of an element, without vectors */ };

/* ---- Ranges ---- */

static const mb_range any_number = {-INFINITY, INFINITY, 0, "a number"};
static const mb_range not_negative = {0, INFINITY, 0, "0 or above"};
static const mb_range positive = {0, INFINITY, 1, "above 0"};

/* Where the element number `flat` of such a shape is: an int or a tuple of them. */
static PyObject *
position(size_t flat, int ndim, const npy_intp *shape)
{
    if (ndim == 1) {
        return PyLong_FromSize_t(flat);
    }
    PyObject *index = PyTuple_New(ndim);
    for (int axis = ndim - 1; index != NULL && axis >= 0; axis--) {
        PyObject *i = PyLong_FromSize_t(flat % (size_t)shape[axis]);
        flat /= (size_t)shape[axis];
        if (i == NULL || PyTuple_SetItem(index, axis, i) < 0) {
            Py_CLEAR(index);
        }
    }
    return index;
}

static void
raise_outside(const char *name, const mb_range *allowed, double x, size_t flat, PyArrayObject *out)
{
    PyObject *value = PyFloat_FromDouble(x);
    PyObject *where = position(flat, PyArray_NDIM(out), PyArray_DIMS(out));
    if (value != NULL && where != NULL && PyArray_NDIM(out) == 0) {
        PyErr_Format(PyExc_ValueError, "%s must be %s; it is %R", name, allowed->name, value);
    } else if (value != NULL && where != NULL) {
        PyErr_Format(PyExc_ValueError, "%s must be %s; it is %R at position %R", name,
                     allowed->name, value, where);
    }
    Py_XDECREF(value);
    Py_XDECREF(where);
}

/* ---- One argument ---- */

typedef void array_function(size_t n, const double *x, double *out);

static PyObject *
apply(array_function *function, const mb_range *allowed, PyObject *argument)
{
    PyArrayObject *x = mb_doubles(argument, -1, "x");
    if (x == NULL) {
        return NULL;
    }
    PyArrayObject *out = mb_new_doubles(PyArray_NDIM(x), PyArray_DIMS(x));
    if (out == NULL) {
        Py_DECREF(x);
        return NULL;
    }
    const double *from = mb_data(x);
    double *to = mb_data(out);
    size_t n = (size_t)PyArray_SIZE(x), start = 0, outside = n;
    double bad = 0;
    mb_status status = MB_OK;
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    while (start < n && outside == n && status == MB_OK) {
        size_t run = n - start < PIECE ? n - start : PIECE;
        size_t first = mb_first_outside(allowed, run, from + start);
        if (first < run) {
            outside = start + first;
            bad = from[outside];
        } else {
            function(run, from + start, to + start);
            start += run;
            status = mb_ask(interrupt, COST * run);
        }
    }
    mb_end_work(&work);
    if (outside < n) {
        raise_outside("x", allowed, bad, outside, out);
    }
    Py_DECREF(x);
    if (outside < n || status != MB_OK) {
        Py_DECREF(out);
        return NULL;
    }
    return (PyObject *)out;
}

/* ---- Two arguments, broadcast ---- */

typedef void array_function_of_two(size_t n, const double *a, const double *count, double *out);

/* Fills `out` from the broadcast pairs; -1 with an exception set. */
static int
fill_broadcast(array_function_of_two *function, PyArrayMultiIterObject *pairs, PyArrayObject *out)
{
    static const mb_range *const allowed[] = {&mb_finite_positive, &mb_finite_not_negative};
    static const char *const names[] = {"a", "n"};
    double in[2][BUFFER], *to = mb_data(out);
    size_t n = (size_t)PyArray_SIZE(out), start = 0, outside = n;
    int which = 0;
    double bad = 0;
    mb_status status = MB_OK;
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    while (start < n && outside == n && status == MB_OK) {
        size_t run = n - start < BUFFER ? n - start : BUFFER;
        for (size_t i = 0; i < run; i++) {
            in[0][i] = *(const double *)PyArray_MultiIter_DATA(pairs, 0);
            in[1][i] = *(const double *)PyArray_MultiIter_DATA(pairs, 1);
            PyArray_MultiIter_NEXT(pairs);
        }
        for (int k = 0; k < 2; k++) {
            size_t first = mb_first_outside(allowed[k], run, in[k]);
            if (first < run && start + first < outside) {
                outside = start + first;
                which = k;
                bad = in[k][first];
            }
        }
        function(run, in[0], in[1], to + start);
        start += run;
        status = mb_ask(interrupt, (size_t)2 * COST * run);
    }
    mb_end_work(&work);
    if (outside < n && status == MB_OK) {
        raise_outside(names[which], allowed[which], bad, outside, out);
    }
    return outside < n || status != MB_OK ? -1 : 0;
}

static PyObject *
apply_to_pairs(array_function_of_two *function, const char *name, PyObject *arguments)
{
    PyObject *a_given, *n_given, *pairs = NULL;
    PyArrayObject *a = NULL, *n = NULL, *out = NULL;
    if (!PyArg_UnpackTuple(arguments, name, 2, 2, &a_given, &n_given)) {
        return NULL;
    }
    a = mb_doubles(a_given, -1, "a");
    n = a == NULL ? NULL : mb_doubles(n_given, -1, "n");
    pairs = n == NULL ? NULL : PyArray_MultiIterNew(2, (PyObject *)a, (PyObject *)n);
    if (pairs != NULL) {
        PyArrayMultiIterObject *iterator = (PyArrayMultiIterObject *)pairs;
        out = mb_new_doubles(iterator->nd, iterator->dimensions);
        if (out != NULL && fill_broadcast(function, iterator, out) < 0) {
            Py_CLEAR(out);
        }
    }
    Py_XDECREF((PyObject *)a);
    Py_XDECREF((PyObject *)n);
    Py_XDECREF(pairs);
    return (PyObject *)out;
}

/* ---- The functions of the module ---- */

#define IMPORT ">>> from matrixbayes import _core\n"

/* The function `name` of one argument, and its docstring. */
#define FUNCTION(name, allowed, each, says, example)                                               \
    PyDoc_STRVAR(name##_doc, #name "($module, x, /)\n--\n\n" says "\n\n"                           \
                                   "Parameters\n----------\n"                                      \
                                   "x : array_like of real numbers\n"                              \
                                   "    Any shape, each " each ".\n\n"                             \
                                   "Returns\n-------\n"                                            \
                                   "ndarray of float64\n"                                          \
                                   "    Of the shape of `x`.\n\n"                                  \
                                   "Raises\n------\n"                                              \
                                   "ValueError\n"                                                  \
                                   "    At the first element out of range.\n\n"                    \
                                   "Examples\n--------\n" IMPORT example "\n");                    \
    static PyObject *name##_function(PyObject *module, PyObject *x)                                \
    {                                                                                              \
        (void)module;                                                                              \
        return apply(mb_##name, allowed, x);                                                       \
    }

/* The same of two arguments, a and n. */
#define FUNCTION_OF_TWO(name, says, example)                                                       \
    PyDoc_STRVAR(name##_doc, #name "($module, a, n, /)\n--\n\n" says "\n\n"                        \
                                   "Parameters\n----------\n"                                      \
                                   "a : array_like of real numbers\n"                              \
                                   "    Each finite and above 0.\n"                                \
                                   "n : array_like of real numbers\n"                              \
                                   "    Each finite and 0 or above; broadcast against `a`.\n\n"    \
                                   "Returns\n-------\n"                                            \
                                   "ndarray of float64\n"                                          \
                                   "    Of the broadcast shape.\n\n"                               \
                                   "Raises\n------\n"                                              \
                                   "ValueError\n"                                                  \
                                   "    At the first pair out of range, and for shapes that do\n"  \
                                   "    not broadcast.\n\n"                                        \
                                   "Examples\n--------\n" IMPORT example "\n");                    \
    static PyObject *name##_function(PyObject *module, PyObject *arguments)                        \
    {                                                                                              \
        (void)module;                                                                              \
        return apply_to_pairs(mb_##name##s, #name, arguments);                                     \
    }

FUNCTION(log, &not_negative, "0 or above", "Natural logarithm, within 1 ulp; -inf at 0.",
         ">>> _core.log([0.0, 1.0, 10.0])\n"
         "array([      -inf, 0.        , 2.30258509])")

FUNCTION(exp, &any_number, "not NaN",
         "Exponential function, within 1 ulp; 0 below -745.2 and inf above 709.8.",
         ">>> _core.exp([-1000.0, 0.0, 1.0])\n"
         "array([0.        , 1.        , 2.71828183])")

FUNCTION(lgamma, &positive, "above 0",
         "Logarithm of the gamma function (DLMF 5.2.1).\n\n"
         "Within 2 ulp of max(1, abs(result)), and relatively correct near the roots\n"
         "1 and 2.",
         ">>> _core.lgamma([0.5, 1.0, 5.0])\n"
         "array([0.57236494, 0.        , 3.17805383])")

FUNCTION(digamma, &positive, "above 0",
         "Derivative of the logarithm of the gamma function (DLMF 5.2.2).\n\n"
         "Within 4 ulp of max(1, abs(result)), and relatively correct near the root\n"
         "1.4616...",
         ">>> _core.digamma([1.0, 2.0])\n"
         "array([-0.57721566,  0.42278434])")

FUNCTION(trigamma, &positive, "above 0",
         "Derivative of the digamma function (DLMF 5.15.1); relative error below 1e-15.",
         ">>> _core.trigamma([1.0, 2.0])\n"
         "array([1.64493407, 0.64493407])")

FUNCTION(inverse_digamma, &any_number, "not NaN",
         "The positive number whose digamma function is `x`.\n\n"
         "Relative error below 2e-15; 0 at -inf and inf above 709.8.",
         ">>> _core.inverse_digamma([-10.0, 0.0, 3.0])\n"
         "array([ 0.1043572 ,  1.46163214, 20.58346304])")

FUNCTION_OF_TWO(lgamma_difference,
                "lgamma(a + n) - lgamma(a) without its cancellation.\n\n"
                "Where n is whole this is the logarithm of a (a + 1) ... (a + n - 1); exactly 0\n"
                "where n is 0, and log(a) where n is 1. The error is below\n"
                "2e-15 (abs(result) + min(n, 1) max(1, abs(log(a)))) for 1e-8 <= a <= 1e12\n"
                "and n <= 1e9.",
                ">>> _core.lgamma_difference(1.0, [0, 1, 4])\n"
                "array([0.        , 0.        , 3.17805383])")

FUNCTION_OF_TWO(digamma_difference,
                "digamma(a + n) - digamma(a) without its cancellation.\n\n"
                "Where n is whole this is the sum of 1 / (a + i) for i from 0 to n - 1; exactly\n"
                "0 where n is 0, and 1 / a where n is 1. Relative error below 1e-15 for\n"
                "1e-8 <= a <= 1e12 and n <= 1e9.",
                ">>> _core.digamma_difference(1.0, [0, 1, 4])\n"
                "array([0.        , 1.        , 2.08333333])")

PyMethodDef mb_special_functions[] = {
    {"log", log_function, METH_O, log_doc},
    {"exp", exp_function, METH_O, exp_doc},
    {"lgamma", lgamma_function, METH_O, lgamma_doc},
    {"digamma", digamma_function, METH_O, digamma_doc},
    {"trigamma", trigamma_function, METH_O, trigamma_doc},
    {"inverse_digamma", inverse_digamma_function, METH_O, inverse_digamma_doc},
    {"lgamma_difference", lgamma_difference_function, METH_VARARGS, lgamma_difference_doc},
    {"digamma_difference", digamma_difference_function, METH_VARARGS, digamma_difference_doc},
    {NULL, NULL, 0, NULL},
};
