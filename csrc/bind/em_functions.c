/* The halves of EM on rows: expectation() makes SufficientStatistics from a block of
 * rows, maximization() parameters from them; accumulate() and squared_distances()
 * serve the start. */
#include "bind.h"
#include "core/expectation.h"
#include "core/maximization.h"
#include "core/mem.h"

#include <math.h>

/* A block of rows on its way into statistics. */
typedef struct {
    const mb_mixture *mixture; /* NULL: the responsibilities are given */
    const double *responsibilities, *sample_weight;
    size_t n_components, n_tokens;
    mb_log_rows rows;
} block;

/* The statistics of the block, made in pieces; NULL with an exception. */
static PyObject *
run_block(PyTypeObject *type, const block *b)
{
    npy_intp shape[] = {(npy_intp)b->n_components, (npy_intp)b->n_tokens};
    PyArrayObject *weight = (PyArrayObject *)PyArray_ZEROS(1, shape, NPY_DOUBLE, 0);
    PyArrayObject *log_sums = (PyArrayObject *)PyArray_ZEROS(2, shape, NPY_DOUBLE, 0);
    double *scratch = mb_calloc(mb_expectation_scratch(b->n_components), sizeof(double));
    if (weight == NULL || log_sums == NULL || scratch == NULL) {
        mb_release(weight);
        mb_release(log_sums);
        mb_free(scratch);
        return mb_raise(MB_NOMEM, NULL);
    }
    mb_sums sums = {mb_data(weight), mb_data(log_sums), 0.0};
    size_t row_bytes = b->n_tokens * (b->rows.is_double ? sizeof(double) : sizeof(float));
    size_t step = mb_piece(b->n_tokens * b->n_components, mb_block_rows(b->n_tokens));
    int stop = 0;
    PyThreadState *thread = PyEval_SaveThread();
    for (size_t start = 0; start < b->rows.n && !stop; start += step) {
        mb_log_rows piece = {(const char *)b->rows.data + start * row_bytes,
                             b->rows.n - start < step ? b->rows.n - start : step,
                             b->rows.is_double};
        if (b->mixture != NULL) {
            mb_expectation(b->mixture, &piece,
                           b->sample_weight == NULL ? NULL : b->sample_weight + start, scratch,
                           &sums);
        } else {
            mb_accumulate(b->n_components, b->n_tokens, &piece,
                          b->responsibilities + start * b->n_components, scratch, &sums);
        }
        stop = mb_check_signals(&thread);
    }
    PyEval_RestoreThread(thread);
    mb_free(scratch);
    if (stop) {
        mb_release(weight);
        mb_release(log_sums);
        return NULL;
    }
    return mb_new_statistics(type, weight, log_sums, sums.log_likelihood, b->rows.n);
}

static mb_log_rows
as_rows(PyArrayObject *log_probs)
{
    mb_log_rows rows = {PyArray_DATA(log_probs), mb_dim(log_probs, 0),
                        PyArray_TYPE(log_probs) == NPY_DOUBLE};
    return rows;
}

/* `arg` as an array of `ndim` axes with one entry a row, each finite and >= 0. */
static PyArrayObject *
per_row(PyObject *arg, int ndim, size_t n_rows, const char *name)
{
    PyArrayObject *array = mb_doubles(arg, ndim, name);
    if (array == NULL) {
        return NULL;
    }
    if (mb_dim(array, 0) != n_rows) {
        PyErr_Format(PyExc_ValueError, "%s has %zu entries for %zu rows", name, mb_dim(array, 0),
                     n_rows);
        mb_release(array);
        return NULL;
    }
    size_t size = (size_t)PyArray_SIZE(array);
    for (size_t i = 0; i < size; i++) {
        double value = mb_data(array)[i];
        if (!(value >= 0.0) || isinf(value)) {
            PyObject *text = PyFloat_FromDouble(value);
            PyErr_Format(PyExc_ValueError, "%s of row %zu is %S; it must be finite and >= 0", name,
                         n_rows > 0 ? i / (size / n_rows) : 0, text);
            Py_XDECREF(text);
            mb_release(array);
            return NULL;
        }
    }
    return array;
}

static PyObject *
expectation(PyObject *module, PyObject *args)
{
    mb_state *state = mb_module_state(module);
    PyObject *mixture, *rows_arg, *weight_arg = Py_None;
    if (!PyArg_ParseTuple(args, "O!O|O:expectation", state->mixture, &mixture, &rows_arg,
                          &weight_arg)) {
        return NULL;
    }
    const mb_mixture *m = mb_mixture_of(mixture);
    PyArrayObject *log_probs = mb_log_prob_rows(rows_arg, m->n_tokens), *weight = NULL;
    PyObject *result = NULL;
    if (log_probs == NULL) {
        return NULL;
    }
    if (weight_arg == Py_None ||
        (weight = per_row(weight_arg, 1, mb_dim(log_probs, 0), "sample_weight")) != NULL) {
        block b = {m,
                   NULL,
                   weight == NULL ? NULL : mb_data(weight),
                   m->n_components,
                   m->n_tokens,
                   as_rows(log_probs)};
        result = run_block(state->statistics, &b);
    }
    mb_release(weight);
    mb_release(log_probs);
    return result;
}

static PyObject *
accumulate(PyObject *module, PyObject *args)
{
    PyObject *rows_arg, *shares_arg;
    if (!PyArg_ParseTuple(args, "O!O:accumulate", &PyArray_Type, &rows_arg, &shares_arg)) {
        return NULL;
    }
    PyArrayObject *rows = (PyArrayObject *)rows_arg;
    size_t n_tokens = PyArray_NDIM(rows) == 2 ? mb_dim(rows, 1) : 0;
    PyArrayObject *log_probs = mb_log_prob_rows(rows_arg, n_tokens), *shares = NULL;
    PyObject *result = NULL;
    if (log_probs == NULL) {
        return NULL;
    }
    shares = per_row(shares_arg, 2, mb_dim(log_probs, 0), "responsibilities");
    if (shares != NULL && (mb_dim(shares, 1) == 0 || n_tokens == 0)) {
        PyErr_SetString(PyExc_ValueError, "there must be at least one component and one token");
    } else if (shares != NULL) {
        block b = {NULL, mb_data(shares), NULL, mb_dim(shares, 1), n_tokens, as_rows(log_probs)};
        result = run_block(mb_module_state(module)->statistics, &b);
    }
    mb_release(shares);
    mb_release(log_probs);
    return result;
}

/* ---- the M-step -------------------------------------------------------------------------- */

enum { AS_IT_WAS = -1, SETTLED = 0, CAPPED = 1 };

/* One component: alpha [V] moves to its maximum; one that has (nearly) no rows keeps it. */
static mb_status
maximize_component(const mb_statistics_object *s, size_t k, double n_rows, double rate,
                   double max_concentration, double *alpha, double *scratch, signed char *outcome)
{
    size_t n_tokens = mb_dim(s->log_sums, 1);
    double weight = mb_data(s->weight)[k];
    *outcome = SETTLED;
    if (!(weight > 1e-12 * n_rows)) {
        return MB_OK;
    }
    double *mean_log = scratch + 3 * n_tokens;
    for (size_t v = 0; v < n_tokens; v++) {
        mean_log[v] = mb_data(s->log_sums)[k * n_tokens + v] / weight;
        if (!isfinite(mean_log[v])) {
            return MB_INVALID;
        }
    }
    int capped;
    mb_bounds bounds = {rate / weight, max_concentration};
    mb_status status = mb_maximize_dirichlet(n_tokens, mean_log, &bounds, alpha, scratch, &capped);
    *outcome = status == MB_NUMERIC ? AS_IT_WAS : capped ? CAPPED : SETTLED;
    return status == MB_NUMERIC ? MB_OK : status;
}

/* All components, with Python's signals between them. */
static mb_status
maximize(const mb_statistics_object *s, double rate, double max_concentration, double *alpha,
         double *scratch, signed char *outcomes, int *stop)
{
    size_t n_components = mb_dim(s->log_sums, 0), n_tokens = mb_dim(s->log_sums, 1);
    double n_rows = 0.0;
    for (size_t k = 0; k < n_components; k++) {
        n_rows += mb_data(s->weight)[k];
    }
    mb_status status = MB_OK;
    PyThreadState *thread = PyEval_SaveThread();
    for (size_t k = 0; k < n_components && status == MB_OK && !*stop; k++) {
        status = maximize_component(s, k, n_rows, rate, max_concentration, alpha + k * n_tokens,
                                    scratch, outcomes + k);
        *stop = mb_check_signals(&thread);
    }
    PyEval_RestoreThread(thread);
    return status;
}

static PyObject *
maximization(PyObject *module, PyObject *args)
{
    mb_state *state = mb_module_state(module);
    PyObject *statistics, *alpha_arg;
    double max_concentration, rate;
    if (!PyArg_ParseTuple(args, "O!Odd:maximization", state->statistics, &statistics, &alpha_arg,
                          &max_concentration, &rate)) {
        return NULL;
    }
    if (!(max_concentration > 0.0) || !(rate >= 0.0) || isinf(rate)) {
        PyErr_SetString(PyExc_ValueError, "max_concentration must be > 0 and rate finite and >= 0");
        return NULL;
    }
    const mb_statistics_object *s = (mb_statistics_object *)statistics;
    PyArrayObject *start = mb_doubles(alpha_arg, 2, "alpha");
    if (start == NULL) {
        return NULL;
    }
    size_t n_components = mb_dim(s->log_sums, 0), n_tokens = mb_dim(s->log_sums, 1);
    PyArrayObject *alpha = NULL, *outcomes = NULL;
    double *scratch = NULL;
    PyObject *result = NULL;
    if (mb_dim(start, 0) != n_components || mb_dim(start, 1) != n_tokens) {
        PyErr_Format(PyExc_ValueError, "alpha has shape (%zu, %zu), the statistics (%zu, %zu)",
                     mb_dim(start, 0), mb_dim(start, 1), n_components, n_tokens);
        goto done;
    }
    for (size_t i = 0; i < n_components * n_tokens; i++) {
        if (!(mb_data(start)[i] > 0.0) || isinf(mb_data(start)[i])) {
            PyErr_Format(PyExc_ValueError, "alpha[%zu, %zu] is not finite and > 0", i / n_tokens,
                         i % n_tokens);
            goto done;
        }
    }
    npy_intp shape[] = {(npy_intp)n_components};
    alpha = (PyArrayObject *)PyArray_NewCopy(start, NPY_CORDER);
    outcomes = (PyArrayObject *)PyArray_ZEROS(1, shape, NPY_INT8, 0);
    scratch = mb_calloc(n_tokens, 4 * sizeof(double));
    if (alpha == NULL || outcomes == NULL || scratch == NULL) {
        mb_raise(MB_NOMEM, NULL);
        goto done;
    }
    int stop = 0;
    mb_status status = maximize(s, rate, max_concentration, mb_data(alpha), scratch,
                                (signed char *)PyArray_DATA(outcomes), &stop);
    if (status != MB_OK) {
        mb_raise(status, "the statistics hold a sum that is not finite: a row has an exact zero");
    } else if (!stop) {
        result = PyTuple_Pack(2, (PyObject *)alpha, (PyObject *)outcomes);
    }
done:
    mb_free(scratch);
    mb_release(outcomes);
    mb_release(alpha);
    mb_release(start);
    return result;
}

/* ---- the start ----------------------------------------------------------------------------- */

static PyObject *
squared_distances(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *rows_arg, *centre_arg;
    if (!PyArg_ParseTuple(args, "OO:squared_distances", &rows_arg, &centre_arg)) {
        return NULL;
    }
    PyArrayObject *centre = mb_doubles(centre_arg, 1, "centre");
    if (centre == NULL) {
        return NULL;
    }
    size_t n_tokens = mb_dim(centre, 0);
    PyArrayObject *log_probs = mb_log_prob_rows(rows_arg, n_tokens), *out = NULL;
    if (log_probs != NULL) {
        npy_intp shape[] = {PyArray_DIM(log_probs, 0)};
        out = mb_new_doubles(1, shape);
    }
    if (out != NULL) {
        mb_log_rows rows = as_rows(log_probs);
        size_t row_bytes = n_tokens * (rows.is_double ? sizeof(double) : sizeof(float));
        size_t step = mb_piece(n_tokens, 1);
        int stop = 0;
        PyThreadState *thread = PyEval_SaveThread();
        for (size_t at = 0; at < rows.n && !stop; at += step) {
            mb_log_rows piece = {(const char *)rows.data + at * row_bytes,
                                 rows.n - at < step ? rows.n - at : step, rows.is_double};
            mb_squared_distances(n_tokens, &piece, mb_data(centre), mb_data(out) + at);
            stop = mb_check_signals(&thread);
        }
        PyEval_RestoreThread(thread);
        if (stop) {
            mb_release(out);
            out = NULL;
        }
    }
    mb_release(log_probs);
    mb_release(centre);
    return (PyObject *)out;
}

PyMethodDef mb_em_functions[] = {
    {"expectation", expectation, METH_VARARGS,
     "expectation($module, mixture, log_probs, sample_weight=None, /)\n--\n\n"
     "SufficientStatistics of rows (n, V), all finite, under a mixture's responsibilities."},
    {"accumulate", accumulate, METH_VARARGS,
     "accumulate($module, log_probs, responsibilities, /)\n--\n\n"
     "SufficientStatistics of rows (n, V) under given responsibilities (n, K); no likelihood."},
    {"maximization", maximization, METH_VARARGS,
     "maximization($module, statistics, alpha, max_concentration, rate, /)\n--\n\n"
     "The alpha (K, V) that maximise the expected log-likelihood minus rate * sum of alpha, from\n"
     "a start; and an int8 for each component: 1 where the cap holds it, -1 where it did not\n"
     "settle and is as it was, else 0."},
    {"squared_distances", squared_distances, METH_VARARGS,
     "squared_distances($module, log_probs, centre, /)\n--\n\n"
     "Squared Aitchison distance of each row (n, V) to one row (V,); shape (n,)."},
    {NULL, NULL, 0, NULL},
};
