/* Draws of tokens from rows of log-probabilities. */
#include "bind/estimator/estimator.h"
#include "core/base/mem.h"
#include "core/estimator/draws.h"

/* What the draws of some rows go into. */
typedef struct {
    PyArrayObject *starts, *columns, *counts, *mean;
    double *scratch;
} drawn;

static void
release_drawn(drawn *d)
{
    mb_release(d->starts);
    mb_release(d->columns);
    mb_release(d->counts);
    mb_release(d->mean);
    mb_free(d->scratch);
}

/* -1 with an exception set where memory is short. */
static int
new_drawn(size_t n_rows, size_t n_tokens, const mb_draw_plan *plan, drawn *d)
{
    *d = (drawn){0};
    size_t n_draws, entries, each = plan->n < n_tokens ? plan->n : n_tokens, bytes;
    if (!mb_multiply(n_rows, plan->n_each, &n_draws) || !mb_multiply(n_draws, each, &entries) ||
        !mb_multiply(entries, sizeof(double), &bytes) || bytes > PY_SSIZE_T_MAX) {
        mb_raise(MB_NOMEM, NULL);
        return -1;
    }
    npy_intp n_starts = (npy_intp)n_draws + 1, n_entries = (npy_intp)entries,
             width = (npy_intp)n_tokens;
    d->starts = (PyArrayObject *)PyArray_ZEROS(1, &n_starts, NPY_INT64, 0);
    d->columns = (PyArrayObject *)PyArray_SimpleNew(1, &n_entries, NPY_INT64);
    d->counts = mb_new_doubles(1, &n_entries);
    d->mean = (PyArrayObject *)PyArray_ZEROS(1, &width, NPY_DOUBLE, 0);
    d->scratch = mb_calloc(mb_draw_scratch(n_tokens, plan), sizeof(double));
    if (d->starts == NULL || d->columns == NULL || d->counts == NULL || d->mean == NULL ||
        d->scratch == NULL) {
        release_drawn(d);
        mb_raise(MB_NOMEM, NULL);
        return -1;
    }
    return 0;
}

static mb_status
draw_all(PyArrayObject *rows, const double *weights, uint64_t first, const mb_draw_plan *plan,
         mb_interrupt *interrupt, drawn *d, size_t *wrong)
{
    size_t n_tokens = mb_dim(rows, 1), n_rows = mb_dim(rows, 0), start = 0;
    int is_double = PyArray_TYPE(rows) == NPY_DOUBLE;
    size_t stride = n_tokens * (is_double ? sizeof(double) : sizeof(float));
    int64_t *ends = (int64_t *)PyArray_DATA(d->starts) + 1;
    for (size_t i = 0; i < n_rows; i++, ends += plan->n_each) {
        mb_draw_row row = {(const char *)PyArray_DATA(rows) + i * stride, n_tokens, is_double,
                           first + i, weights == NULL ? 1.0 : weights[i]};
        *wrong = i;
        MB_TRY(mb_draw(&row, plan, interrupt, d->scratch, start, ends, PyArray_DATA(d->columns),
                       mb_data(d->counts), mb_data(d->mean)));
        start = (size_t)ends[plan->n_each - 1];
    }
    return MB_OK;
}

/* The first n of a vector. */
static PyObject *
shortened(PyArrayObject *array, size_t n)
{
    return PySequence_GetSlice((PyObject *)array, 0, (Py_ssize_t)n);
}

PyDoc_STRVAR(draw_rows_doc,
             "draw_rows($module, log_probs, n, n_each, seed, first, sample_weight=None, /)\n--\n\n"
             "Tokens drawn from rows, as sparse rows of counts.\n\n"
             "Parameters\n----------\n"
             "log_probs : ndarray of shape (N, V)\n    float32 or float64, C-ordered.\n"
             "n, n_each : int\n    Tokens of a draw, 2**20 at most, and draws from each row.\n"
             "seed, first : int\n"
             "    >= 0.  Row i of these is number first + i: its draws are decided by that, the\n"
             "    seed and their own number alone.\n"
             "sample_weight : array_like of shape (N,), optional\n\n"
             "Returns\n-------\n"
             "indptr, indices, data : ndarray\n    N n_each sparse rows, those of a row together.\n"
             "mean : ndarray of shape (V,)\n    The sum of the rows' probabilities, by weight.\n\n"
             "Raises\n------\n"
             "ValueError\n    A row has no probabilities.\n\n"
             "Examples\n--------\n"
             ">>> import numpy as np\n"
             ">>> from matrixbayes import _core\n"
             ">>> _core.draw_rows(np.array([[0.0, -np.inf]]), 5, 2, 0, 0)[:3]\n"
             "(array([0, 1, 2]), array([0, 0]), array([5., 5.]))\n");

static PyObject *
draw_rows(PyObject *module, PyObject *args)
{
    PyObject *rows_arg, *weights_arg = Py_None, *result = NULL;
    Py_ssize_t n, n_each, seed, first;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!nnnn|O:draw_rows", &PyArray_Type, &rows_arg, &n, &n_each, &seed,
                          &first, &weights_arg)) {
        return NULL;
    }
    if (n < 1 || (size_t)n > MB_MOST_DRAWN || n_each < 1 || seed < 0 || first < 0) {
        PyErr_Format(PyExc_ValueError,
                     "%zd draws of %zd tokens, seed %zd, rows from %zd on: draws must be at least "
                     "one, of 1 to %zu tokens, and the others >= 0",
                     n_each, n, seed, first, MB_MOST_DRAWN);
        return NULL;
    }
    PyArrayObject *given = (PyArrayObject *)rows_arg, *weights = NULL;
    size_t n_tokens = PyArray_NDIM(given) == 2 ? mb_dim(given, 1) : 0;
    PyArrayObject *rows = mb_log_prob_rows(rows_arg, n_tokens);
    if (rows == NULL) {
        return NULL;
    }
    mb_draw_plan plan = {(size_t)n, (size_t)n_each, (uint64_t)seed};
    drawn d = {0};
    size_t wrong = 0, n_rows = mb_dim(rows, 0);
    if (weights_arg != Py_None && (weights = mb_doubles(weights_arg, 1, "sample_weight")) == NULL) {
        goto done;
    }
    if (n_tokens == 0) {
        PyErr_SetString(PyExc_ValueError, "there must be at least one token");
        goto done;
    }
    if (weights != NULL && mb_dim(weights, 0) != n_rows) {
        PyErr_Format(PyExc_ValueError, "sample_weight has %zu entries for %zu rows",
                     mb_dim(weights, 0), n_rows);
        goto done;
    }
    if (new_drawn(n_rows, n_tokens, &plan, &d) < 0) {
        goto done;
    }
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = draw_all(rows, weights == NULL ? NULL : mb_data(weights), (uint64_t)first,
                                &plan, interrupt, &d, &wrong);
    mb_end_work(&work);
    if (status == MB_INVALID) {
        PyErr_Format(PyExc_ValueError, "row %zu has no probabilities that sum to a number above 0",
                     wrong);
    } else if (status != MB_OK) {
        mb_raise(status, NULL);
    } else {
        size_t used = (size_t)((const int64_t *)PyArray_DATA(d.starts))[mb_dim(d.starts, 0) - 1];
        result = Py_BuildValue("ONNO", (PyObject *)d.starts, shortened(d.columns, used),
                               shortened(d.counts, used), (PyObject *)d.mean);
    }
    release_drawn(&d);
done:
    mb_release(rows);
    mb_release(weights);
    return result;
}

PyMethodDef mb_draw_functions[] = {
    {"draw_rows", draw_rows, METH_VARARGS, draw_rows_doc},
    {NULL, NULL, 0, NULL},
};
