/* Functions of the module about rows with discounts. */
#include "bind/bind.h"
#include "core/base/mem.h"
#include "core/matrix/discounts.h"

/* The arrays of a level. */
enum { COUNTS, ROW, SHORTER, SIZES, BUCKET, DISCOUNTS, N_ARRAYS };

static const struct {
    const char *name;
    int ndim, is_whole;
} of_level[N_ARRAYS] = {
    {"counts", 1, 0}, {"row", 1, 1},    {"shorter", 1, 1},
    {"sizes", 2, 0},  {"bucket", 1, 1}, {"discounts", 2, 0},
};

static void
release_level_arrays(PyArrayObject *const *a, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mb_release(a[i]);
    }
}

/* The first items of a tuple as arrays, which the caller releases; -1 with an exception set. */
static int
parse_arrays(PyObject *tuple, PyArrayObject **a)
{
    for (Py_ssize_t i = 0; i < N_ARRAYS; i++) {
        PyObject *given = PyTuple_GetItem(tuple, i);
        if (given == NULL ||
            (a[i] = of_level[i].is_whole
                        ? mb_whole_numbers(given, 1, 0, of_level[i].name)
                        : mb_doubles(given, of_level[i].ndim, of_level[i].name)) == NULL) {
            return -1;
        }
    }
    return 0;
}

/* -1 with an exception set unless an array has n rows. */
static int
check_length(PyArrayObject *const *a, int which, size_t n)
{
    if (mb_dim(a[which], 0) != n) {
        PyErr_Format(PyExc_ValueError, "%s has length %zu; it needs %zu", of_level[which].name,
                     mb_dim(a[which], 0), n);
        return -1;
    }
    return 0;
}

/* A level of these arrays; -1 with an exception set. */
static int
level_of(PyArrayObject *const *a, size_t n_shorter, mb_discounted *level)
{
    size_t n = mb_dim(a[COUNTS], 0), n_rows = mb_dim(a[SIZES], 0);
    if (mb_dim(a[SIZES], 1) != MB_ROW_SIZES || mb_dim(a[DISCOUNTS], 1) != MB_DISCOUNTS) {
        PyErr_Format(PyExc_ValueError, "sizes are (rows, %d) and discounts (buckets, %d)",
                     MB_ROW_SIZES, MB_DISCOUNTS);
        return -1;
    }
    if (check_length(a, ROW, n) < 0 || check_length(a, SHORTER, n) < 0 ||
        check_length(a, BUCKET, n_rows) < 0) {
        return -1;
    }
    *level = (mb_discounted){
        .n = n,
        .n_rows = n_rows,
        .n_shorter = n_shorter,
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

static const char out_of_range[] =
    "an index of row, shorter or bucket is out of range, or rows do not rise";

static PyObject *
discounted_probs(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyArrayObject *a[N_ARRAYS] = {NULL}, *q = NULL, *out = NULL;
    PyObject *result = NULL;
    mb_discounted level;
    if (PyTuple_Size(args) != N_ARRAYS + 1) {
        PyErr_Format(PyExc_TypeError, "takes %d arguments", N_ARRAYS + 1);
        return NULL;
    }
    if (parse_arrays(args, a) == 0 &&
        (q = mb_doubles(PyTuple_GetItem(args, N_ARRAYS), 1, "q")) != NULL &&
        level_of(a, mb_dim(q, 0), &level) == 0) {
        npy_intp n = (npy_intp)level.n;
        out = mb_new_doubles(1, &n);
    }
    if (out != NULL) {
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status = mb_discounted_probs(&level, mb_data(q), interrupt, mb_data(out));
        mb_end_work(&work);
        result = status == MB_OK ? Py_NewRef((PyObject *)out) : mb_raise(status, out_of_range);
    }
    mb_release(q);
    mb_release(out);
    release_level_arrays(a, N_ARRAYS);
    return result;
}

static PyObject *
row_buckets(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *sizes_arg;
    Py_ssize_t n_buckets;
    if (!PyArg_ParseTuple(args, "On:row_buckets", &sizes_arg, &n_buckets)) {
        return NULL;
    }
    PyArrayObject *sizes = mb_doubles(sizes_arg, 2, "sizes"), *out = NULL;
    PyObject *result = NULL;
    if (sizes != NULL && mb_dim(sizes, 1) != MB_ROW_SIZES) {
        PyErr_Format(PyExc_ValueError, "sizes are (rows, %d)", MB_ROW_SIZES);
    } else if (sizes != NULL) {
        npy_intp n = (npy_intp)mb_dim(sizes, 0);
        out = (PyArrayObject *)PyArray_SimpleNew(1, &n, NPY_INT64);
    }
    if (out != NULL) {
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status = mb_buckets_of_rows(mb_dim(out, 0), mb_data(sizes), (size_t)n_buckets,
                                              interrupt, PyArray_DATA(out));
        mb_end_work(&work);
        result = status == MB_OK ? Py_NewRef((PyObject *)out) : mb_raise(status, NULL);
    }
    mb_release(sizes);
    mb_release(out);
    return result;
}

/* ---- fit ------------------------------------------------------------------------------------ */

/* Levels of a fit: at most as many as there are orders, and the empty context's. */
typedef struct {
    size_t n;
    mb_discounted levels[MB_MAX_ORDER + 1];
    PyArrayObject *arrays[(MB_MAX_ORDER + 1) * N_ARRAYS];
} fit_levels;

/* The arrays of all levels; -1 with an exception set. */
static int
parse_level_arrays(PyObject *list, fit_levels *fit)
{
    PyObject *levels = mb_items(list, "levels");
    int failed = levels == NULL ? -1 : 0;
    size_t n = failed ? 0 : (size_t)PyTuple_Size(levels);
    if (!failed && (n < 1 || n > MB_MAX_ORDER + 1)) {
        PyErr_Format(PyExc_ValueError, "there are %zu levels, which may be 1 to %d", n,
                     MB_MAX_ORDER + 1);
        failed = -1;
    }
    for (size_t i = 0; i < n && !failed; i++) {
        PyObject *each = mb_items(PyTuple_GetItem(levels, (Py_ssize_t)i), "levels");
        failed = each == NULL ? -1 : 0;
        if (!failed && PyTuple_Size(each) != N_ARRAYS) {
            PyErr_Format(PyExc_ValueError, "level %zu has %zd arrays; it needs %d", i,
                         PyTuple_Size(each), N_ARRAYS);
            failed = -1;
        }
        failed = failed ? failed : parse_arrays(each, fit->arrays + i * N_ARRAYS);
        Py_XDECREF(each);
    }
    fit->n = n;
    Py_XDECREF(levels);
    return failed;
}

/* The levels that go together with q and times; -1 with an exception set. */
static int
connect_levels(fit_levels *fit, PyArrayObject *q, PyArrayObject *times)
{
    size_t n = mb_dim(q, 0);
    for (size_t i = 0; i < fit->n; i++) {
        if (level_of(fit->arrays + i * N_ARRAYS, n, fit->levels + i) < 0) {
            return -1;
        }
        n = fit->levels[i].n;
        if (fit->levels[i].n_buckets != fit->levels[0].n_buckets) {
            PyErr_SetString(PyExc_ValueError, "all levels need as many buckets");
            return -1;
        }
    }
    if (mb_dim(times, 0) != n) {
        PyErr_Format(PyExc_ValueError, "times has length %zu; it needs %zu", mb_dim(times, 0), n);
        return -1;
    }
    return 0;
}

static PyObject *
fit_connected(const fit_levels *fit, PyArrayObject *q, PyArrayObject *times)
{
    npy_intp shape[3] = {(npy_intp)fit->n, (npy_intp)fit->levels[0].n_buckets, MB_DISCOUNTS};
    PyArrayObject *slopes = mb_new_doubles(3, shape);
    PyObject *result = NULL;
    double log_prob = 0.0;
    if (slopes != NULL) {
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status = mb_discounted_fit(fit->n, fit->levels, mb_data(q), mb_data(times),
                                             interrupt, &log_prob, mb_data(slopes));
        mb_end_work(&work);
        result = status == MB_OK
                     ? Py_BuildValue("dO", log_prob, (PyObject *)slopes)
                     : mb_raise(status, status == MB_NUMERIC ? "what came has probability 0"
                                                             : out_of_range);
    }
    mb_release(slopes);
    return result;
}

static PyObject *
discounted_fit(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *list, *q_arg, *times_arg, *result = NULL;
    PyArrayObject *q = NULL, *times = NULL;
    fit_levels fit = {0};
    if (!PyArg_ParseTuple(args, "OOO:discounted_fit", &list, &q_arg, &times_arg)) {
        return NULL;
    }
    if (parse_level_arrays(list, &fit) == 0 && (q = mb_doubles(q_arg, 1, "q")) != NULL &&
        (times = mb_doubles(times_arg, 1, "times")) != NULL &&
        connect_levels(&fit, q, times) == 0) {
        result = fit_connected(&fit, q, times);
    }
    mb_release(q);
    mb_release(times);
    release_level_arrays(fit.arrays, (size_t)(MB_MAX_ORDER + 1) * N_ARRAYS);
    return result;
}

PyMethodDef mb_discount_functions[] = {
    {"discounted_probs", discounted_probs, METH_VARARGS,
     "discounted_probs($module, counts, row, shorter, sizes, bucket, discounts, q, /)\n--\n\n"
     "Probabilities of tokens (n,) after contexts whose rows have discounts.\n\n"
     "`counts`, `row` and `shorter` (n,) are a token's count, the number of its row and that of "
     "its\n"
     "probability in `q`, after the shorter context; `sizes` (rows, 8) a row's total and how many "
     "of\n"
     "its tokens were seen once, twice, 3, 4-5, 6-9, 10-24 times, more often; `bucket` (rows,) "
     "its\n"
     "number in `discounts` (buckets, 8): those of these counts, and theta."},
    {"row_buckets", row_buckets, METH_VARARGS,
     "row_buckets($module, sizes, n_buckets, /)\n--\n\n"
     "The bucket of rows of these sizes (n, 8): by total and by the share of tokens seen once "
     "where\n"
     "there are 90, else 0."},
    {"discounted_fit", discounted_fit, METH_VARARGS,
     "discounted_fit($module, levels, q, times, /)\n--\n\n"
     "Log-probability of pairs that came `times` times, and its slopes by the discounts.\n\n"
     "Each level is what `discounted_probs` takes, without q: the empty context's first, whose\n"
     "shorter pairs have the probabilities `q`; the others' are the pairs of the level before.\n"
     "Rows rise with the pairs.  Those of the last level came `times` times.  Slopes are\n"
     "(levels, buckets, 8)."},
    {NULL, NULL, 0, NULL},
};
