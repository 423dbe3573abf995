/* The E-step on rows: expectation() makes SufficientStatistics from a block of rows; accumulate()
 * serves the start. */
#include "bind/estimator/estimator.h"
#include "core/base/mem.h"
#include "core/estimator/expectation.h"

/* A block of rows on its way into statistics. */
typedef struct {
    const mb_mixture *mixture; /* NULL: the responsibilities are given */
    const double *responsibilities, *sample_weight;
    size_t n_components, n_tokens;
    mb_log_rows rows;
} block;

/* The statistics of the block; NULL with an exception. */
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
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status =
        b->mixture != NULL
            ? mb_expectation(b->mixture, &b->rows, b->sample_weight, interrupt, scratch, &sums)
            : mb_accumulate(b->n_components, b->n_tokens, &b->rows, b->responsibilities, interrupt,
                            scratch, &sums);
    mb_end_work(&work);
    mb_free(scratch);
    if (status != MB_OK) {
        mb_release(weight);
        mb_release(log_sums);
        return mb_raise(status, NULL);
    }
    return mb_new_statistics(type, weight, log_sums, sums.log_likelihood, (long long)b->rows.n);
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
    size_t wrong, size = (size_t)PyArray_SIZE(array);
    if (mb_find_outside(&mb_finite_not_negative, size, mb_data(array), &wrong) < 0) {
        mb_release(array);
        return NULL;
    }
    if (wrong < size) {
        mb_raise_number(mb_data(array)[wrong], "it must be finite and >= 0", "%s of row %zu", name,
                        n_rows > 0 ? wrong / (size / n_rows) : 0);
        mb_release(array);
        return NULL;
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

PyMethodDef mb_expectation_functions[] = {
    {"expectation", expectation, METH_VARARGS,
     "expectation($module, mixture, log_probs, sample_weight=None, /)\n--\n\n"
     "SufficientStatistics of rows (n, V), all finite, under a mixture's responsibilities."},
    {"accumulate", accumulate, METH_VARARGS,
     "accumulate($module, log_probs, responsibilities, /)\n--\n\n"
     "SufficientStatistics of rows (n, V) under given responsibilities (n, K); no likelihood."},
    {NULL, NULL, 0, NULL},
};
