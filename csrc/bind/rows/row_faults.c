/* What is wrong with rows, in words. */
#include "bind/rows/rows.h"

#include <math.h>

void
mb_raise_row_shape(PyArrayObject *array)
{
    PyObject *shape = PyObject_GetAttrString((PyObject *)array, "shape");
    if (shape != NULL) {
        PyErr_Format(PyExc_ValueError,
                     "rows need the shape (N, V), one row per context and V > 0, not %S", shape);
        Py_DECREF(shape);
    }
}

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
    case MB_ROW_PART:
        return "no rounding of these numbers explains what is missing, so some tokens are not "
               "among "
               "the columns; rows known in part are matrixbayes.PartialRows, or add a column such "
               "as "
               "'<other>' with what is missing";
    case MB_ROW_SUM:
        break;
    }
    if (is_short && fabs(fault->value - 1) < 0.1) {
        return "16-bit probabilities round this far; take the logits and pass kind='logits'";
    }
    if (fault->value < 1) {
        return kind == MB_PROBS ? "if these are the top tokens of a longer list, they are "
                                  "matrixbayes.PartialRows, or "
                                  "add a column such as '<other>' with what is missing to 1; "
                                  "divide by the sum only what is unnormalised"
                                : "if these are the top tokens of a longer list, they are "
                                  "matrixbayes.PartialRows, or "
                                  "add a column such as '<other>' with the logarithm of what is "
                                  "missing to 1; only unnormalised scores are "
                                  "kind='logits'";
    }
    return kind == MB_PROBS
               ? "pass kind='logits' for unnormalised scores, or divide each row by its sum"
               : "pass kind='logits', which normalises scores and log-probabilities alike";
}

void
mb_raise_row_fault(const mb_row_fault *fault, mb_row_kind kind, mb_float_type type)
{
    const char *advice = remedy(fault, kind, type);
    char *value = PyOS_double_to_string(fault->value, 'g', 6, 0, NULL);
    if (value == NULL) {
        return;
    }
    if (fault->kind == MB_ROW_EMPTY) {
        PyErr_Format(PyExc_ValueError, "row %zu is %s everywhere: %s", fault->row,
                     kind == MB_PROBS ? "0" : "-inf", advice);
    } else if (fault->kind == MB_ROW_SUM || fault->kind == MB_ROW_PART) {
        PyErr_Format(PyExc_ValueError, "row %zu %ssums to %s, not 1: %s", fault->row,
                     kind == MB_PROBS ? "" : "of exp(log_probs) ", value, advice);
    } else {
        PyErr_Format(PyExc_ValueError, "row %zu, column %zu is %s: %s", fault->row, fault->column,
                     fault->kind == MB_ROW_NAN ? "NaN" : value, advice);
    }
    PyMem_Free(value);
}
