/* The M-step: parameters from statistics of rows or of counts. */
#include "bind/estimator/estimator.h"
#include "core/base/mem.h"
#include "core/base/ranges.h"
#include "core/estimator/maximization.h"

#include <math.h>

enum { PIECE = 256 /* cells between two thoughts of stopping */ };
enum { AS_IT_WAS = -1, SETTLED = 0, CAPPED = 1 };

int
mb_read_prior(PyObject *arg, double least, mb_prior_on_alpha *prior)
{
    if (!PyArg_ParseTuple(arg, "dddd;prior must be (each, total, rate, max_concentration)",
                          &prior->each, &prior->total, &prior->rate, &prior->max_concentration)) {
        return -1;
    }
    if (!(prior->max_concentration > 0.0) || !(prior->rate >= 0.0) || isinf(prior->rate) ||
        !(prior->each >= 0.0) || isinf(prior->each) || !(prior->total >= 0.0) ||
        isinf(prior->total)) {
        PyErr_SetString(PyExc_ValueError,
                        "a prior's exponents and rate must be finite and >= 0, and "
                        "max_concentration > 0");
        return -1;
    }
    prior->least = least;
    if (prior->max_concentration > MB_MOST_CONCENTRATION) {
        prior->max_concentration = MB_MOST_CONCENTRATION;
    }
    return 0;
}

/* A step of the M-step under way: what each component is maximised from. */
typedef struct {
    size_t n_components, n_tokens;
    const double *weight;   /* of each component's rows; NULL for counts */
    const double *log_sums; /* of rows */
    mb_cells cells;         /* of counts: `weight` is that of component 0, the others follow */
    double all_cells;       /* their weight, of all components */
    mb_prior_on_alpha prior;
} m_step;

/* Component k of rows; one that has (nearly) none of them keeps its alpha. */
static mb_status
maximize_component_of_rows(const void *data, size_t k, mb_interrupt *interrupt, double *alpha,
                           double *scratch, int *capped)
{
    const m_step *step = data;
    size_t n_tokens = step->n_tokens;
    double n_rows = 0.0, weight = step->weight[k];
    for (size_t j = 0; j < step->n_components; j++) {
        n_rows += step->weight[j];
    }
    MB_TRY(mb_ask(interrupt, step->n_components + 2 * n_tokens));
    if (!(weight > 1e-12 * n_rows)) {
        return MB_OK;
    }
    double *mean_log = scratch + 4 * n_tokens;
    for (size_t v = 0; v < n_tokens; v++) {
        mean_log[v] = step->log_sums[k * n_tokens + v] / weight;
        if (!isfinite(mean_log[v])) {
            return MB_INVALID;
        }
    }
    mb_prior_on_alpha prior = step->prior;
    prior.each /= weight;
    prior.total /= weight;
    prior.rate /= weight;
    return mb_maximize_rows(n_tokens, mean_log, &prior, interrupt, alpha, scratch, capped);
}

/* Component k of counts, its weights side by side; one that no row speaks of keeps its alpha. */
static mb_status
maximize_component_of_counts(const void *data, size_t k, mb_interrupt *interrupt, double *alpha,
                             double *scratch, int *capped)
{
    const m_step *step = data;
    mb_cells cells = step->cells;
    double mine = 0.0, *own = scratch + 4 * step->n_tokens;
    for (size_t c = 0; c < cells.n_cells; c++) {
        own[c] = cells.weight[c * cells.stride + k];
        mine += own[c];
        MB_TRY(c % PIECE == 0 ? mb_ask(interrupt, (size_t)4 * PIECE) : MB_OK);
    }
    if (!(mine > 1e-12 * step->all_cells)) {
        return MB_OK;
    }
    cells.weight = own;
    cells.stride = 1;
    return mb_maximize_counts(step->n_tokens, &cells, &step->prior, interrupt, alpha, scratch,
                              capped);
}

PyObject *
mb_maximize_all(size_t n_components, size_t n_tokens, mb_component_step maximize, const void *step,
                size_t more, PyObject *start_arg)
{
    PyArrayObject *start = mb_doubles(start_arg, 2, "alpha"), *alpha = NULL, *outcomes = NULL;
    double *scratch = NULL;
    PyObject *result = NULL;
    if (start == NULL) {
        return NULL;
    }
    if (mb_dim(start, 0) != n_components || mb_dim(start, 1) != n_tokens) {
        PyErr_Format(PyExc_ValueError, "alpha has shape (%zu, %zu), the statistics (%zu, %zu)",
                     mb_dim(start, 0), mb_dim(start, 1), n_components, n_tokens);
        goto done;
    }
    alpha = (PyArrayObject *)PyArray_NewCopy(start, NPY_CORDER);
    outcomes = (PyArrayObject *)PyArray_ZEROS(1, PyArray_DIMS(start), NPY_INT8, 0);
    scratch = mb_calloc(4 * n_tokens + more, sizeof(double));
    if (alpha == NULL || outcomes == NULL || scratch == NULL) {
        mb_raise(MB_NOMEM, NULL);
        goto done;
    }
    size_t wrong, size = n_components * n_tokens;
    if (mb_find_outside(&mb_finite_positive, size, mb_data(alpha), &wrong) < 0) {
        goto done;
    }
    if (wrong < size) {
        PyErr_Format(PyExc_ValueError, "alpha[%zu, %zu] is not finite and > 0", wrong / n_tokens,
                     wrong % n_tokens);
        goto done;
    }
    mb_status status = MB_OK;
    signed char *outcome = PyArray_DATA(outcomes);
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    for (size_t k = 0; k < n_components && status == MB_OK; k++) {
        int capped = 0;
        double *mine = mb_data(alpha) + k * n_tokens;
        status = maximize(step, k, interrupt, mine, scratch, &capped);
        for (size_t v = 0; v < n_tokens; v++) { /* a bound on A may have shrunk the least of all */
            mine[v] = mine[v] < MB_LEAST_ALPHA ? MB_LEAST_ALPHA : mine[v];
        }
        outcome[k] = (signed char)(status == MB_NUMERIC ? AS_IT_WAS : capped ? CAPPED : SETTLED);
        status = status == MB_NUMERIC ? MB_OK : status;
    }
    mb_end_work(&work);
    result = status == MB_OK
                 ? PyTuple_Pack(2, (PyObject *)alpha, (PyObject *)outcomes)
                 : mb_raise(status, "the statistics hold a sum that is not finite: a row has an "
                                    "exact zero");
done:
    mb_free(scratch);
    mb_release(outcomes);
    mb_release(alpha);
    mb_release(start);
    return result;
}

static PyObject *
maximization(PyObject *module, PyObject *args)
{
    mb_state *state = mb_module_state(module);
    PyObject *statistics, *alpha, *prior;
    m_step step = {0};
    if (!PyArg_ParseTuple(args, "O!OO!:maximization", state->statistics, &statistics, &alpha,
                          &PyTuple_Type, &prior) ||
        mb_read_prior(prior, 1e-300, &step.prior) < 0) {
        return NULL;
    }
    const mb_statistics_object *s = (mb_statistics_object *)statistics;
    step.n_components = mb_dim(s->log_sums, 0);
    step.n_tokens = mb_dim(s->log_sums, 1);
    step.weight = mb_data(s->weight);
    step.log_sums = mb_data(s->log_sums);
    return mb_maximize_all(step.n_components, step.n_tokens, maximize_component_of_rows, &step,
                           step.n_tokens, alpha);
}

/* The first cell that is not in order, n_cells where all are: tokens from 0 to n_tokens, counts
 * rising within a token, weights >= 0; *weighs where it is the weight. */
static mb_status
find_fault(const mb_cells *cells, size_t n_components, size_t n_tokens, mb_interrupt *interrupt,
           size_t *fault, int *weighs, double *all)
{
    size_t c = 0;
    *weighs = 0;
    for (; c < cells->n_cells && !*weighs; c += !*weighs) {
        uint32_t v = cells->token[c];
        double count = cells->count[c];
        int follows = c == 0 || v > cells->token[c - 1] ||
                      (v == cells->token[c - 1] && count > cells->count[c - 1]);
        if (v > n_tokens || !(count > 0.0) || isinf(count) || !follows) {
            break;
        }
        const double *weight = cells->weight + c * cells->stride;
        for (size_t k = 0; k < n_components; k++) {
            *weighs |= !(weight[k] >= 0.0) || isinf(weight[k]);
            *all += weight[k];
        }
        MB_TRY(c % PIECE == 0 ? mb_ask(interrupt, PIECE * (n_components + 4)) : MB_OK);
    }
    *fault = c;
    return MB_OK;
}

/* -1 with an exception set. */
static int
check_cells(const mb_cells *cells, size_t n_components, size_t n_tokens, double *all)
{
    size_t fault;
    int weighs;
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = find_fault(cells, n_components, n_tokens, interrupt, &fault, &weighs, all);
    mb_end_work(&work);
    if (status != MB_OK) {
        mb_raise(status, NULL);
        return -1;
    }
    if (fault < cells->n_cells && weighs) {
        PyErr_Format(PyExc_ValueError, "the weight of cell %zu is not finite and >= 0", fault);
    } else if (fault < cells->n_cells) {
        PyErr_Format(PyExc_ValueError,
                     "cell %zu is not in order: tokens must rise to at most %zu, and counts, "
                     "finite and > 0, within a token",
                     fault, n_tokens);
    }
    return fault < cells->n_cells ? -1 : 0;
}

/* The tokens of cells as a copy: what is checked must not change.  A negative one becomes large,
 * which no cell may have. */
static PyArrayObject *
own_tokens(PyObject *arg)
{
    PyArrayObject *whole = mb_whole_numbers(arg, 1, 0, "tokens"), *tokens = NULL;
    if (whole == NULL) {
        return NULL;
    }
    tokens = (PyArrayObject *)PyArray_SimpleNew(1, PyArray_DIMS(whole), NPY_UINT32);
    const int64_t *from = PyArray_DATA(whole);
    size_t n = tokens == NULL ? 0 : mb_dim(tokens, 0);
    for (size_t i = 0; i < n; i++) {
        int64_t token = from[i];
        ((uint32_t *)PyArray_DATA(tokens))[i] =
            token < 0 || token > UINT32_MAX ? UINT32_MAX : (uint32_t)token;
    }
    mb_release(whole);
    return tokens;
}

static PyObject *
count_maximization(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *tokens_arg, *counts_arg, *weights_arg, *alpha_arg, *prior;
    m_step step = {0};
    if (!PyArg_ParseTuple(args, "OOOOO!:count_maximization", &tokens_arg, &counts_arg, &weights_arg,
                          &alpha_arg, &PyTuple_Type, &prior) ||
        mb_read_prior(prior, 1e-15, &step.prior) < 0) {
        return NULL;
    }
    PyObject *result = NULL;
    PyArrayObject *tokens = own_tokens(tokens_arg);
    PyArrayObject *counts = mb_doubles(counts_arg, 1, "counts");
    PyArrayObject *weights = mb_doubles(weights_arg, 2, "weights");
    PyArrayObject *alpha = mb_doubles(alpha_arg, 2, "alpha");
    if (tokens != NULL && counts != NULL && weights != NULL && alpha != NULL) {
        step.n_components = mb_dim(alpha, 0);
        step.n_tokens = mb_dim(alpha, 1);
        step.cells = (mb_cells){mb_dim(tokens, 0), mb_dim(weights, 1), PyArray_DATA(tokens),
                                mb_data(counts), mb_data(weights)};
        if (mb_dim(counts, 0) != step.cells.n_cells || mb_dim(weights, 0) != step.cells.n_cells ||
            mb_dim(weights, 1) < step.n_components) {
            PyErr_Format(PyExc_ValueError,
                         "%zu tokens, %zu counts and weights (%zu, %zu) are no statistics of %zu "
                         "components",
                         step.cells.n_cells, mb_dim(counts, 0), mb_dim(weights, 0),
                         mb_dim(weights, 1), step.n_components);
        } else if (check_cells(&step.cells, step.n_components, step.n_tokens, &step.all_cells) ==
                   0) {
            result = mb_maximize_all(step.n_components, step.n_tokens, maximize_component_of_counts,
                                     &step, step.cells.n_cells, (PyObject *)alpha);
        }
    }
    mb_release(tokens);
    mb_release(counts);
    mb_release(weights);
    mb_release(alpha);
    return result;
}

PyMethodDef mb_maximization_functions[] = {
    {"maximization", maximization, METH_VARARGS,
     "maximization($module, statistics, alpha, prior, /)\n--\n\n"
     "The alpha (K, V) that maximise the expected log-likelihood plus, for each component,\n"
     "each * sum(ln alpha) + total * ln A - rate * A, with A = sum(alpha) <= max_concentration\n"
     "and 2^60, from a start; prior is (each, total, rate, max_concentration).  And an int8 for "
     "each\n"
     "component: 1 where the cap holds it, -1 where it did not settle and is as far up as it came, "
     "else 0."},
    {"count_maximization", count_maximization, METH_VARARGS,
     "count_maximization($module, tokens, counts, weights, alpha, prior, /)\n--\n\n"
     "The same for rows of counts, from the weights (C, at least K) of their cells."},
    {NULL, NULL, 0, NULL},
};
