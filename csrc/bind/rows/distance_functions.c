/* Distances between rows, of blocks and of single pairs. */
#include "bind/bind.h"
#include "core/rows/distances.h"

static const char *const distance_names[MB_N_DISTANCES] = {
    [MB_VARIATION] = "total_variation",
    [MB_HELLINGER] = "squared_hellinger",
    [MB_JENSEN_SHANNON] = "jensen_shannon_divergence",
    [MB_KULLBACK] = "kl",
    [MB_HILBERT] = "hilbert",
};

static int
as_distance(PyObject *name, mb_distance *kind)
{
    for (int k = 0; k < MB_N_DISTANCES && PyUnicode_Check(name); k++) {
        if (PyUnicode_CompareWithASCIIString(name, distance_names[k]) == 0) {
            *kind = (mb_distance)k;
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError, "%R is not the name of a distance", name);
    return -1;
}

/* -1 with an exception set. */
static int
fill_block(mb_distance kind, PyArrayObject *a, PyArrayObject *b, double *out)
{
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_block_distances(kind, mb_dim(a, 1), mb_dim(a, 0), mb_data(a),
                                          mb_dim(b, 0), mb_data(b), interrupt, out);
    mb_end_work(&work);
    return status == MB_OK ? 0 : -1;
}

static PyObject *
block_distances(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *name, *a_arg, *b_arg;
    mb_distance kind;
    if (!PyArg_ParseTuple(args, "OOO:block_distances", &name, &a_arg, &b_arg) ||
        as_distance(name, &kind) < 0) {
        return NULL;
    }
    if (kind == MB_HELLINGER || kind == MB_KULLBACK) {
        return PyErr_Format(PyExc_ValueError, "%R of blocks is a matrix product", name);
    }
    PyArrayObject *a = mb_doubles(a_arg, 2, "a"), *b = mb_doubles(b_arg, 2, "b"), *out = NULL;
    if (a != NULL && b != NULL && mb_dim(a, 1) != mb_dim(b, 1)) {
        PyErr_Format(PyExc_ValueError, "a has %zu columns and b %zu", mb_dim(a, 1), mb_dim(b, 1));
    } else if (a != NULL && b != NULL) {
        const npy_intp shape[] = {PyArray_DIM(a, 0), PyArray_DIM(b, 0)};
        out = mb_new_doubles(2, shape);
        if (out != NULL && fill_block(kind, a, b, mb_data(out)) < 0) {
            mb_release(out);
            out = NULL;
        }
    }
    mb_release(a);
    mb_release(b);
    return (PyObject *)out;
}

/* The distances of pairs [n]; -1 with an exception set where a number is no row's. */
static int
fill_pairs(mb_distance kind, PyArrayObject *rows, PyArrayObject *first, PyArrayObject *second,
           double *out)
{
    size_t wrong;
    mb_distance_rows all = {PyArray_DATA(rows), mb_dim(rows, 0), mb_dim(rows, 1),
                            PyArray_TYPE(rows) == NPY_DOUBLE};
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_pair_distances(kind, &all, mb_dim(first, 0), PyArray_DATA(first),
                                         PyArray_DATA(second), interrupt, out, &wrong);
    mb_end_work(&work);
    if (status == MB_INVALID) {
        PyErr_Format(PyExc_ValueError, "pair %zu is of rows that are not there; there are %zu",
                     wrong, all.n);
    }
    return status == MB_OK ? 0 : -1;
}

static PyObject *
pair_distances(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *name, *rows_arg, *first_arg, *second_arg;
    mb_distance kind;
    if (!PyArg_ParseTuple(args, "OOOO:pair_distances", &name, &rows_arg, &first_arg, &second_arg) ||
        as_distance(name, &kind) < 0) {
        return NULL;
    }
    if (!PyArray_Check(rows_arg) || PyArray_NDIM((PyArrayObject *)rows_arg) != 2) {
        PyErr_SetString(PyExc_TypeError, "log_probs must be an array of two axes");
        return NULL;
    }
    PyArrayObject *rows = mb_log_prob_rows(rows_arg, mb_dim((PyArrayObject *)rows_arg, 1));
    PyArrayObject *first = rows == NULL ? NULL : mb_whole_numbers(first_arg, 1, 0, "first");
    PyArrayObject *second = first == NULL ? NULL : mb_whole_numbers(second_arg, 1, 0, "second");
    PyArrayObject *out = NULL;
    if (second != NULL && mb_dim(first, 0) != mb_dim(second, 0)) {
        PyErr_Format(PyExc_ValueError, "there are %zu first rows and %zu second ones",
                     mb_dim(first, 0), mb_dim(second, 0));
    } else if (second != NULL) {
        out = mb_new_doubles(1, PyArray_DIMS(first));
        if (out != NULL && fill_pairs(kind, rows, first, second, mb_data(out)) < 0) {
            mb_release(out);
            out = NULL;
        }
    }
    mb_release(rows);
    mb_release(first);
    mb_release(second);
    return (PyObject *)out;
}

PyMethodDef mb_distance_functions[] = {
    {"block_distances", block_distances, METH_VARARGS,
     "block_distances($module, kind, a, b, /)\n--\n\n"
     "Distances of every row of a (n, V) to every row of b (m, V), float64; shape (n, m).\n\n"
     "kind is 'total_variation' or 'jensen_shannon_divergence' (of probabilities), or 'hilbert'\n"
     "(of log-probabilities)."},
    {"pair_distances", pair_distances, METH_VARARGS,
     "pair_distances($module, kind, log_probs, first, second, /)\n--\n\n"
     "Distances of pairs of rows of log_probs (N, V): of row first[i] and row second[i]; (n,).\n\n"
     "kind is one of the above, 'squared_hellinger' or 'kl'."},
    {NULL, NULL, 0, NULL},
};
