/* Functions of the module about rows with discounts. */
#include "bind/bind.h"
#include "core/matrix/discounts.h"

/* Pairs come as five arrays; then what both functions take, q; then what slopes take. */
enum { COUNTS, ROW, SHORTER, SIZES, BUCKET, DISCOUNTS, Q, PROBS, BY_PROBS, N_ARRAYS };

static const struct {
    const char *name;
    int ndim, is_whole;
} arguments[N_ARRAYS] = {
    {"counts", 1, 0},    {"row", 1, 1}, {"shorter", 1, 1}, {"sizes", 2, 0},    {"bucket", 1, 1},
    {"discounts", 2, 0}, {"q", 1, 0},   {"probs", 1, 0},   {"by_probs", 1, 0},
};

static void
release_pairs(PyArrayObject *const *a)
{
    for (size_t i = 0; i < N_ARRAYS; i++) {
        mb_release(a[i]);
    }
}

/* The first n arguments as arrays; -1 with an exception set. */
static int
parse_arrays(PyObject *args, Py_ssize_t n, PyArrayObject **a)
{
    if (PyTuple_Size(args) != n) {
        PyErr_Format(PyExc_TypeError, "takes %zd arguments", n);
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *given = PyTuple_GetItem(args, i);
        a[i] = arguments[i].is_whole ? mb_whole_numbers(given, 1, 0, arguments[i].name)
                                     : mb_doubles(given, arguments[i].ndim, arguments[i].name);
        if (a[i] == NULL) {
            return -1;
        }
    }
    return 0;
}

/* -1 with an exception set unless an array has n rows. */
static int
check_length(PyArrayObject *const *a, Py_ssize_t n_arrays, int which, size_t n)
{
    if (which < n_arrays && mb_dim(a[which], 0) != n) {
        PyErr_Format(PyExc_ValueError, "%s has length %zu; it needs %zu", arguments[which].name,
                     mb_dim(a[which], 0), n);
        return -1;
    }
    return 0;
}

/* -1 with an exception set unless numbers are in range. */
static int
check_pair_numbers(PyArrayObject *const *a)
{
    static const int checked[] = {COUNTS, SIZES, DISCOUNTS};
    for (size_t i = 0; i < sizeof checked / sizeof *checked; i++) {
        PyArrayObject *array = a[checked[i]];
        size_t n = (size_t)PyArray_Size((PyObject *)array), first;
        if (mb_find_outside(&mb_finite_not_negative, n, mb_data(array), &first) < 0) {
            return -1;
        }
        if (first < n) {
            PyErr_Format(PyExc_ValueError, "%s: every number must be %s",
                         arguments[checked[i]].name, mb_finite_not_negative.name);
            return -1;
        }
    }
    return 0;
}

/* The arguments as pairs; -1 with an exception set. */
static int
parse_pairs(PyObject *args, Py_ssize_t n_arrays, PyArrayObject **a, mb_discounted *pairs)
{
    if (parse_arrays(args, n_arrays, a) < 0) {
        return -1;
    }
    size_t n = mb_dim(a[COUNTS], 0), n_rows = mb_dim(a[SIZES], 0);
    if (mb_dim(a[SIZES], 1) != MB_ROW_SIZES || mb_dim(a[DISCOUNTS], 1) != MB_DISCOUNTS) {
        PyErr_SetString(PyExc_ValueError, "sizes are (rows, 4) and discounts (buckets, 4)");
        return -1;
    }
    if (check_length(a, n_arrays, ROW, n) < 0 || check_length(a, n_arrays, SHORTER, n) < 0 ||
        check_length(a, n_arrays, BUCKET, n_rows) < 0 || check_length(a, n_arrays, PROBS, n) < 0 ||
        check_length(a, n_arrays, BY_PROBS, n) < 0 || check_pair_numbers(a) < 0) {
        return -1;
    }
    *pairs = (mb_discounted){
        .n = n,
        .n_rows = n_rows,
        .n_shorter = mb_dim(a[Q], 0),
        .n_buckets = mb_dim(a[DISCOUNTS], 0),
        .counts = mb_data(a[COUNTS]),
        .row = PyArray_DATA(a[ROW]),
        .shorter = PyArray_DATA(a[SHORTER]),
        .sizes = mb_data(a[SIZES]),
        .bucket = PyArray_DATA(a[BUCKET]),
        .discounts = mb_data(a[DISCOUNTS]),
    };
    return 0;
}

static const char out_of_range[] = "an index of row, shorter or bucket is out of range";

static PyObject *
discounted_probs(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyArrayObject *a[N_ARRAYS] = {NULL}, *out = NULL;
    PyObject *result = NULL;
    mb_discounted pairs;
    if (parse_pairs(args, PROBS, a, &pairs) == 0) {
        npy_intp n = (npy_intp)pairs.n;
        out = mb_new_doubles(1, &n);
    }
    if (out != NULL) {
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status = mb_discounted_probs(&pairs, mb_data(a[Q]), interrupt, mb_data(out));
        mb_end_work(&work);
        result = status == MB_OK ? Py_NewRef((PyObject *)out) : mb_raise(status, out_of_range);
    }
    mb_release(out);
    release_pairs(a);
    return result;
}

static PyObject *
discounted_slopes(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyArrayObject *a[N_ARRAYS] = {NULL}, *by_discounts = NULL, *by_shorter = NULL;
    PyObject *result = NULL;
    mb_discounted pairs;
    if (parse_pairs(args, N_ARRAYS, a, &pairs) == 0) {
        npy_intp shape[2] = {(npy_intp)pairs.n_buckets, MB_DISCOUNTS};
        npy_intp n_shorter = (npy_intp)pairs.n_shorter;
        by_discounts = mb_new_doubles(2, shape);
        by_shorter = mb_new_doubles(1, &n_shorter);
    }
    if (by_discounts != NULL && by_shorter != NULL) {
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status =
            mb_discounted_slopes(&pairs, mb_data(a[Q]), mb_data(a[PROBS]), mb_data(a[BY_PROBS]),
                                 interrupt, mb_data(by_discounts), mb_data(by_shorter));
        mb_end_work(&work);
        result = status == MB_OK ? PyTuple_Pack(2, (PyObject *)by_discounts, (PyObject *)by_shorter)
                                 : mb_raise(status, out_of_range);
    }
    mb_release(by_discounts);
    mb_release(by_shorter);
    release_pairs(a);
    return result;
}

PyMethodDef mb_discount_functions[] = {
    {"discounted_probs", discounted_probs, METH_VARARGS,
     "discounted_probs($module, counts, row, shorter, sizes, bucket, discounts, q, /)\n--\n\n"
     "Probabilities of tokens (n,) after contexts whose rows have discounts.\n\n"
     "`counts`, `row` and `shorter` (n,) are a token's count, the number of its row and that of "
     "its\n"
     "probability in `q`, after the shorter context; `sizes` (rows, 4) a row's total and how many "
     "of\n"
     "its tokens were seen once, twice, more often; `bucket` (rows,) its number in `discounts`\n"
     "(buckets, 4): D_1, D_2, D_3, theta."},
    {"discounted_slopes", discounted_slopes, METH_VARARGS,
     "discounted_slopes($module, counts, row, shorter, sizes, bucket, discounts, q, probs,\n"
     "                  by_probs, /)\n--\n\n"
     "Slopes by `discounts` and by `q` of what has the slopes `by_probs` by `probs`."},
    {NULL, NULL, 0, NULL},
};
