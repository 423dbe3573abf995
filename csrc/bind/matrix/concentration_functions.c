/* Functions of the module about rows whose mean is known. */
#include "bind/bind.h"
#include "core/matrix/concentrations.h"

enum { STARTS, COUNTS, MEANS, VALUES, WEIGHTS, N_ARRAYS };

static const struct {
    const char *name;
    const mb_range *range; /* NULL for whole numbers */
} of_mean_rows[N_ARRAYS] = {
    {"starts", NULL},
    {"counts", &mb_finite_not_negative},
    {"means", &mb_finite_not_negative},
    {"values", &mb_legal_alpha},
    {"weights", &mb_finite_not_negative},
};

static void
release_mean_rows(PyArrayObject *const *a)
{
    for (size_t i = 0; i < N_ARRAYS; i++) {
        mb_release(a[i]);
    }
}

/* The n arguments as arrays, which the caller releases; -1 with an exception set. */
static int
parse_mean_arrays(PyObject *args, Py_ssize_t n, PyArrayObject **a)
{
    if (PyTuple_Size(args) != n) {
        PyErr_Format(PyExc_TypeError, "takes %zd arguments", n);
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *given = PyTuple_GetItem(args, i);
        a[i] = i == STARTS ? mb_whole_numbers(given, 1, 0, of_mean_rows[i].name)
                           : mb_doubles(given, 1, of_mean_rows[i].name);
        if (a[i] == NULL) {
            return -1;
        }
    }
    return 0;
}

/* The arguments as rows; -1 with an exception set. */
static int
parse_mean_rows(PyObject *args, Py_ssize_t n_arrays, PyArrayObject **a, mb_mean_rows *rows)
{
    if (parse_mean_arrays(args, n_arrays, a) < 0) {
        return -1;
    }
    if (mb_dim(a[STARTS], 0) == 0 || mb_dim(a[VALUES], 0) == 0 ||
        mb_dim(a[COUNTS], 0) != mb_dim(a[MEANS], 0) ||
        (n_arrays > WEIGHTS && mb_dim(a[WEIGHTS], 0) != mb_dim(a[VALUES], 0))) {
        PyErr_SetString(
            PyExc_ValueError,
            "starts are (rows + 1,), counts and means of one length, values (K,), K of 1 "
            "or more, and so are weights");
        return -1;
    }
    for (Py_ssize_t i = STARTS + 1; i < n_arrays; i++) {
        size_t n = mb_dim(a[i], 0), first;
        if (mb_find_outside(of_mean_rows[i].range, n, mb_data(a[i]), &first) < 0) {
            return -1;
        }
        if (first < n) {
            PyErr_Format(PyExc_ValueError, "%s: every number must be %s", of_mean_rows[i].name,
                         of_mean_rows[i].range->name);
            return -1;
        }
    }
    *rows = (mb_mean_rows){
        .n_rows = mb_dim(a[STARTS], 0) - 1,
        .n_pairs = mb_dim(a[COUNTS], 0),
        .n_values = mb_dim(a[VALUES], 0),
        .starts = PyArray_DATA(a[STARTS]),
        .counts = mb_data(a[COUNTS]),
        .means = mb_data(a[MEANS]),
        .values = mb_data(a[VALUES]),
    };
    return 0;
}

/* What a function of the core makes of rows: `columns` numbers each, 0 for one of each value. */
static PyObject *
of_rows(PyObject *args, Py_ssize_t n_arrays, size_t columns)
{
    PyArrayObject *a[N_ARRAYS] = {NULL}, *out = NULL;
    PyObject *result = NULL;
    mb_mean_rows rows;
    if (parse_mean_rows(args, n_arrays, a, &rows) == 0) {
        npy_intp shape[2] = {(npy_intp)rows.n_rows,
                             (npy_intp)(columns > 0 ? columns : rows.n_values)};
        out = mb_new_doubles(2, shape);
    }
    if (out != NULL) {
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status = columns == 0 ? mb_concentration_evidence(&rows, interrupt, mb_data(out))
                                        : mb_concentration_shares(&rows, mb_data(a[WEIGHTS]),
                                                                  interrupt, mb_data(out));
        mb_end_work(&work);
        result = status == MB_OK
                     ? Py_NewRef((PyObject *)out)
                     : mb_raise(status, "starts must rise from 0 to how many counts there are");
    }
    mb_release(out);
    release_mean_rows(a);
    return result;
}

static PyObject *
concentration_evidence(PyObject *Py_UNUSED(module), PyObject *args)
{
    return of_rows(args, WEIGHTS, 0);
}

static PyObject *
concentration_shares(PyObject *Py_UNUSED(module), PyObject *args)
{
    return of_rows(args, N_ARRAYS, 2);
}

PyMethodDef mb_concentration_functions[] = {
    {"concentration_evidence", concentration_evidence, METH_VARARGS,
     "concentration_evidence($module, starts, counts, means, values, /)\n--\n\n"
     "Log-evidence of rows under each concentration, (rows, K), less ln m of each token seen.\n\n"
     "`counts` and `means` are those of all rows' tokens, row r from `starts[r]` on; `values` "
     "(K,)\n"
     "the concentrations."},
    {"concentration_shares", concentration_shares, METH_VARARGS,
     "concentration_shares($module, starts, counts, means, values, weights, /)\n--\n\n"
     "What the mean and each count of a row are multiplied by in its predictive, (rows, 2)."},
    {NULL, NULL, 0, NULL},
};
