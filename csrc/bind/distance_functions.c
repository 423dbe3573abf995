/* Distances between rows, of blocks and of single pairs. */
#include "bind.h"
#include "core/distances.h"

static const char *const names[MB_N_DISTANCES] = {
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
        if (PyUnicode_CompareWithASCIIString(name, names[k]) == 0) {
            *kind = (mb_distance)k;
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError, "%R is not the name of a distance", name);
    return -1;
}

/* Rows of `a` whose distances to all of `b` are a few milliseconds of work. */
static int
fill_block(mb_distance kind, PyArrayObject *a, PyArrayObject *b, double *out)
{
    size_t n_tokens = mb_dim(a, 1), n_a = mb_dim(a, 0), n_b = mb_dim(b, 0);
    size_t step = mb_piece(16 * n_tokens * (n_b + 1), 4);
    int failed = 0;
    PyThreadState *thread = PyEval_SaveThread();
    for (size_t i = 0; i < n_a && !failed; i += step) {
        size_t n = n_a - i < step ? n_a - i : step;
        mb_block_distances(kind, n_tokens, n, mb_data(a) + i * n_tokens, n_b, mb_data(b),
                           out + i * n_b);
        failed = mb_check_signals(&thread) < 0;
    }
    PyEval_RestoreThread(thread);
    return failed ? -1 : 0;
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
    size_t n = mb_dim(first, 0), n_rows = mb_dim(rows, 0), n_tokens = mb_dim(rows, 1);
    int is_double = PyArray_TYPE(rows) == NPY_DOUBLE, failed = 0;
    const char *data = PyArray_DATA(rows);
    size_t stride = n_tokens * (is_double ? sizeof(double) : sizeof(float));
    const int64_t *i = PyArray_DATA(first), *j = PyArray_DATA(second);
    size_t step = mb_piece(64 * n_tokens, 1), wrong = n;
    PyThreadState *thread = PyEval_SaveThread();
    for (size_t at = 0; at < n && wrong == n && !failed; at++) {
        int64_t own[] = {i[at], j[at]}; /* another thread may change the arrays */
        if (own[0] < 0 || (size_t)own[0] >= n_rows || own[1] < 0 || (size_t)own[1] >= n_rows) {
            wrong = at;
        } else {
            out[at] = mb_pair_distance(kind, n_tokens, is_double, data + (size_t)own[0] * stride,
                                       data + (size_t)own[1] * stride);
        }
        failed = at % step == step - 1 && mb_check_signals(&thread) < 0;
    }
    PyEval_RestoreThread(thread);
    if (wrong < n && !failed) {
        PyErr_Format(PyExc_ValueError, "pair %zu is of rows that are not there; there are %zu",
                     wrong, n_rows);
    }
    return wrong < n || failed ? -1 : 0;
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
