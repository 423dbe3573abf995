/* Errors, and ranges of numbers, for the other binding files. */
#include "bind/bind.h"

#include "core/base/ranges.h"

#include <float.h>

mb_state *
mb_module_state(PyObject *module)
{
    return (mb_state *)PyModule_GetState(module);
}

int
mb_traverse_type(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return 0;
}

PyObject *
mb_raise(mb_status status, const char *why)
{
    switch (status) {
    case MB_NOMEM:
        return PyErr_NoMemory();
    case MB_INVALID:
    case MB_NUMERIC:
        PyErr_SetString(PyExc_ValueError, why);
        return NULL;
    case MB_RANGE:
        PyErr_SetString(PyExc_OverflowError, why);
        return NULL;
    case MB_STOPPED: /* by a signal handler, which has raised */
    case MB_OK:
        break;
    }
    return NULL;
}

void
mb_raise_number(double value, const char *advice, const char *place, ...)
{
    va_list parts;
    va_start(parts, place);
    PyObject *where = PyUnicode_FromFormatV(place, parts), *number = NULL;
    va_end(parts);
    if (where != NULL && (number = PyFloat_FromDouble(value)) != NULL) {
        PyErr_Format(PyExc_ValueError, "%U is %S; %s", where, number, advice);
    }
    Py_XDECREF(number);
    Py_XDECREF(where);
}

const mb_range mb_finite_positive = {0.0, DBL_MAX, 1, "finite and above 0"};
const mb_range mb_finite_not_negative = {0.0, DBL_MAX, 0, "finite and 0 or above"};
const mb_range mb_legal_alpha = {MB_LEAST_ALPHA, DBL_MAX, 0, "finite and 1e-300 or above"};

size_t
mb_first_outside(const mb_range *allowed, size_t n, const double *x)
{
    for (size_t i = 0; i < n; i++) {
        if (!(x[i] >= allowed->low && x[i] <= allowed->high) ||
            (allowed->open && x[i] == allowed->low)) {
            return i;
        }
    }
    return n;
}

int
mb_find_outside(const mb_range *allowed, size_t n, const double *x, size_t *first)
{
    const size_t piece = (size_t)1 << 14;
    mb_status status = MB_OK;
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    *first = n;
    for (size_t at = 0; at < n && *first == n && status == MB_OK; at += piece) {
        size_t run = n - at < piece ? n - at : piece;
        size_t found = mb_first_outside(allowed, run, x + at);
        *first = found < run ? at + found : n;
        status = mb_ask(interrupt, 2 * run);
    }
    mb_end_work(&work);
    return status == MB_OK ? 0 : -1;
}
