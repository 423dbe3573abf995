/* What a DirichletMixture computes of counts. */
#include "bind/mixture/mixture.h"
#include "core/base/mem.h"
#include "core/base/ranges.h"
#include "core/base/sums.h"
#include "core/mixture/posterior.h"

/* -1 with an exception set where the counts of a row sum to more than is in range. */
static int
check_totals(size_t n, size_t n_tokens, const double *counts)
{
    size_t row = 0;
    double total = 0.0;
    mb_status status = MB_OK;
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    for (; row < n && status == MB_OK; row++) {
        total = mb_sum(n_tokens, counts + row * n_tokens);
        if (total > MB_MOST_TOTAL) {
            break;
        }
        status = mb_ask(interrupt, n_tokens);
    }
    mb_end_work(&work);
    if (status == MB_OK && row < n) {
        PyErr_Format(PyExc_ValueError, "the total of row %zu overflows: counts sum to 2^53 at most",
                     row);
    }
    return status == MB_OK && row == n ? 0 : -1;
}

/* `arg` as counts [n][V], or [V] where ndim is 1; each finite and >= 0, and their
 * totals in range. */
static PyArrayObject *
count_rows(PyObject *self, PyObject *arg, int ndim)
{
    size_t n_tokens = mb_mixture_of(self)->n_tokens;
    PyArrayObject *counts = mb_doubles(arg, ndim, "counts");
    if (counts == NULL) {
        return NULL;
    }
    if (mb_dim(counts, ndim - 1) != n_tokens) {
        PyErr_Format(PyExc_ValueError, "counts have %zu columns, the mixture %zu tokens",
                     mb_dim(counts, ndim - 1), n_tokens);
        mb_release(counts);
        return NULL;
    }
    size_t wrong, size = (size_t)PyArray_SIZE(counts);
    if (mb_find_outside(&mb_finite_not_negative, size, mb_data(counts), &wrong) < 0) {
        mb_release(counts);
        return NULL;
    }
    if (wrong < size) {
        mb_raise_number(mb_data(counts)[wrong], "a count must be finite and >= 0",
                        "the count in row %zu, column %zu", wrong / n_tokens, wrong % n_tokens);
        mb_release(counts);
        return NULL;
    }
    if (check_totals(size / n_tokens, n_tokens, mb_data(counts)) < 0) {
        mb_release(counts);
        return NULL;
    }
    return counts;
}

static PyObject *
counts_method(PyObject *self, PyObject *arg, int want_totals)
{
    const mb_mixture *mixture = mb_mixture_of(self);
    PyArrayObject *counts = count_rows(self, arg, 2), *shares, *totals;
    if (counts == NULL) {
        return NULL;
    }
    size_t n = mb_dim(counts, 0), n_components = mixture->n_components;
    if (mb_new_shares(n, n_components, &shares, &totals) < 0) {
        mb_release(counts);
        return NULL;
    }
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status =
        mb_mixture_log_joint_counts(mixture, n, mb_data(counts), interrupt, mb_data(shares));
    if (status == MB_OK) {
        status =
            mb_normalize_log_joint(n, n_components, interrupt, mb_data(shares), mb_data(totals));
    }
    mb_end_work(&work);
    mb_release(counts);
    return mb_chosen_shares(status, shares, totals, want_totals);
}

PyObject *
mb_mixture_log_evidence_method(PyObject *self, PyObject *counts)
{
    return counts_method(self, counts, 1);
}

PyObject *
mb_mixture_count_responsibilities_method(PyObject *self, PyObject *counts)
{
    return counts_method(self, counts, 0);
}

PyObject *
mb_mixture_predictive_method(PyObject *self, PyObject *arg)
{
    const mb_mixture *mixture = mb_mixture_of(self);
    PyArrayObject *counts = count_rows(self, arg, 2), *out = NULL;
    if (counts == NULL) {
        return NULL;
    }
    double *scratch = mb_calloc(mixture->n_components, sizeof(double));
    if (scratch == NULL) {
        mb_raise(MB_NOMEM, NULL);
    } else {
        out = mb_new_doubles(2, PyArray_DIMS(counts));
    }
    if (out != NULL) {
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status = mb_mixture_predictive(mixture, mb_dim(counts, 0), mb_data(counts),
                                                 interrupt, mb_data(out), scratch);
        mb_end_work(&work);
        if (status != MB_OK) {
            mb_raise(status, NULL);
            Py_CLEAR(out);
        }
    }
    mb_free(scratch);
    mb_release(counts);
    return (PyObject *)out;
}

PyObject *
mb_mixture_posterior_method(PyObject *self, PyObject *arg)
{
    const mb_mixture *mixture = mb_mixture_of(self);
    size_t n_components = mixture->n_components, n_tokens = mixture->n_tokens;
    PyArrayObject *counts = count_rows(self, arg, 1);
    if (counts == NULL) {
        return NULL;
    }
    PyObject *result = NULL;
    /* K (V + 1) does not overflow: the mixture holds as many */
    double *weights = mb_calloc(n_components * (n_tokens + 1), sizeof(double));
    if (weights == NULL) {
        mb_raise(MB_NOMEM, NULL);
    } else {
        double *alpha = weights + n_components;
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status =
            mb_mixture_posterior(mixture, mb_data(counts), interrupt, weights, alpha);
        mb_end_work(&work);
        result = status != MB_OK ? mb_raise(status, NULL)
                                 : mb_new_mixture(Py_TYPE(self), n_components, n_tokens, weights,
                                                  alpha, mb_mixture_tokens(self));
    }
    mb_free(weights);
    mb_release(counts);
    return result;
}
