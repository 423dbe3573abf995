/* What a DirichletMixture computes.  Arrays in, arrays out: names of tokens, kinds
 * of rows and other courtesies are the Python class's. */
#include "bind/bind.h"
#include "core/base/mem.h"
#include "core/base/ranges.h"
#include "core/base/sums.h"
#include "core/mixture/densities.h"
#include "core/mixture/moments.h"
#include "core/mixture/posterior.h"
#include "core/mixture/sample.h"

#include <numpy/random/bitgen.h>

/* ---- rows ------------------------------------------------------------------------ */

/* New arrays for the responsibilities and the log-sums of n rows; -1 with an exception set. */
static int
new_results(size_t n, size_t n_components, PyArrayObject **shares, PyArrayObject **totals)
{
    npy_intp shape[] = {(npy_intp)n, (npy_intp)n_components};
    *shares = mb_new_doubles(2, shape);
    *totals = *shares == NULL ? NULL : mb_new_doubles(1, shape);
    if (*totals == NULL) {
        mb_release(*shares);
        return -1;
    }
    return 0;
}

/* One of the two, where all went well. */
static PyObject *
choose(mb_status status, PyArrayObject *shares, PyArrayObject *totals, int want_totals)
{
    PyArrayObject *wanted = want_totals ? totals : shares;
    PyObject *result = status == MB_OK ? Py_NewRef((PyObject *)wanted) : mb_raise(status, NULL);
    mb_release(shares);
    mb_release(totals);
    return result;
}

static PyObject *
rows_method(PyObject *self, PyObject *arg, int want_totals)
{
    const mb_mixture *mixture = mb_mixture_of(self);
    PyArrayObject *log_probs = mb_log_prob_rows(arg, mixture->n_tokens), *shares, *totals;
    if (log_probs == NULL) {
        return NULL;
    }
    size_t n = mb_dim(log_probs, 0), n_components = mixture->n_components;
    if (new_results(n, n_components, &shares, &totals) < 0) {
        mb_release(log_probs);
        return NULL;
    }
    mb_log_rows rows = {PyArray_DATA(log_probs), n, PyArray_TYPE(log_probs) == NPY_DOUBLE};
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_mixture_log_joint_rows(mixture, &rows, interrupt, mb_data(shares));
    if (status == MB_OK) {
        status =
            mb_normalize_log_joint(n, n_components, interrupt, mb_data(shares), mb_data(totals));
    }
    mb_end_work(&work);
    mb_release(log_probs);
    return choose(status, shares, totals, want_totals);
}

static PyObject *
mixture_log_prob(PyObject *self, PyObject *log_probs)
{
    return rows_method(self, log_probs, 1);
}

static PyObject *
mixture_responsibilities(PyObject *self, PyObject *log_probs)
{
    return rows_method(self, log_probs, 0);
}

/* ---- counts ------------------------------------------------------------------------ */

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
        PyObject *value = PyFloat_FromDouble(mb_data(counts)[wrong]);
        PyErr_Format(PyExc_ValueError,
                     "the count in row %zu, column %zu is %S; a count must be finite and >= 0",
                     wrong / n_tokens, wrong % n_tokens, value);
        Py_XDECREF(value);
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
    if (new_results(n, n_components, &shares, &totals) < 0) {
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
    return choose(status, shares, totals, want_totals);
}

static PyObject *
mixture_log_evidence(PyObject *self, PyObject *counts)
{
    return counts_method(self, counts, 1);
}

static PyObject *
mixture_count_responsibilities(PyObject *self, PyObject *counts)
{
    return counts_method(self, counts, 0);
}

static PyObject *
mixture_predictive(PyObject *self, PyObject *arg)
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

static PyObject *
mixture_posterior(PyObject *self, PyObject *arg)
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

/* ---- moments ------------------------------------------------------------------------- */

static PyObject *
vector(PyObject *self, size_t n, mb_status (*kernel)(const mb_mixture *, mb_interrupt *, double *))
{
    npy_intp shape[] = {(npy_intp)n};
    PyArrayObject *out = mb_new_doubles(1, shape);
    if (out == NULL) {
        return NULL;
    }
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = kernel(mb_mixture_of(self), interrupt, mb_data(out));
    mb_end_work(&work);
    if (status != MB_OK) {
        mb_release(out);
        return mb_raise(status, NULL);
    }
    return (PyObject *)out;
}

static PyObject *
mixture_mean(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return vector(self, mb_mixture_of(self)->n_tokens, mb_mixture_mean);
}

static PyObject *
mixture_variance(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return vector(self, mb_mixture_of(self)->n_tokens, mb_mixture_variance);
}

static PyObject *
mixture_component_entropy(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return vector(self, mb_mixture_of(self)->n_components, mb_component_entropy);
}

static PyObject *
mixture_uncertainty(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    mb_uncertainty u;
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_mixture_uncertainty(mb_mixture_of(self), interrupt, &u);
    mb_end_work(&work);
    return status == MB_OK ? Py_BuildValue("(ddd)", u.total, u.aleatoric, u.epistemic)
                           : mb_raise(status, NULL);
}

/* ---- sampling ------------------------------------------------------------------------ */

/* Rows drawn while the generator's lock is held. */
static PyArrayObject *
draw(const mb_mixture *mixture, size_t n, bitgen_t *generator)
{
    npy_intp shape[] = {(npy_intp)n, (npy_intp)mixture->n_tokens};
    PyArrayObject *out = mb_new_doubles(2, shape);
    if (out == NULL) {
        return NULL;
    }
    mb_random random = {generator->state, generator->next_double};
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_mixture_sample(mixture, n, &random, interrupt, mb_data(out));
    mb_end_work(&work);
    if (status != MB_OK) {
        mb_raise(status, NULL);
        Py_CLEAR(out);
    }
    return out;
}

static PyObject *
mixture_sample_log_probs(PyObject *self, PyObject *args)
{
    Py_ssize_t n;
    PyObject *bit_generator;
    if (!PyArg_ParseTuple(args, "nO:sample_log_probs", &n, &bit_generator)) {
        return NULL;
    }
    if (n < 0) {
        PyErr_Format(PyExc_ValueError, "the number of rows is %zd; it must be >= 0", n);
        return NULL;
    }
    PyObject *capsule = PyObject_GetAttrString(bit_generator, "capsule");
    PyObject *lock = capsule == NULL ? NULL : PyObject_GetAttrString(bit_generator, "lock");
    if (lock == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Format(PyExc_TypeError, "a NumPy bit generator is needed, not %R",
                     (PyObject *)Py_TYPE(bit_generator));
    }
    /* looked up first: once the lock is held, nothing that needs memory may stand before its end */
    PyObject *release = lock == NULL ? NULL : PyObject_GetAttrString(lock, "release");
    PyObject *held = release == NULL ? NULL : PyObject_CallMethod(lock, "acquire", NULL);
    PyArrayObject *out = NULL;
    if (held != NULL) {
        bitgen_t *generator = PyCapsule_GetPointer(capsule, "BitGenerator");
        if (generator != NULL) {
            out = draw(mb_mixture_of(self), (size_t)n, generator);
        }
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        Py_XDECREF(PyObject_CallNoArgs(release));
        PyErr_Restore(type, value, traceback);
    }
    Py_XDECREF(held);
    Py_XDECREF(release);
    Py_XDECREF(lock);
    Py_XDECREF(capsule);
    return (PyObject *)out;
}

PyMethodDef mb_mixture_methods[] = {
    {"log_prob", mixture_log_prob, METH_O,
     "log_prob($self, log_probs, /)\n--\n\n"
     "Log-density of each row of log-probabilities (n, V), all finite; shape (n,), nats."},
    {"responsibilities", mixture_responsibilities, METH_O,
     "responsibilities($self, log_probs, /)\n--\n\n"
     "Probability of each component given each row (n, V), all finite; shape (n, K)."},
    {"log_evidence", mixture_log_evidence, METH_O,
     "log_evidence($self, counts, /)\n--\n\n"
     "Log-probability of a sequence with each row of counts (n, V); shape (n,), nats."},
    {"count_responsibilities", mixture_count_responsibilities, METH_O,
     "count_responsibilities($self, counts, /)\n--\n\n"
     "Probability of each component given each row of counts (n, V); shape (n, K)."},
    {"posterior", mixture_posterior, METH_O,
     "posterior($self, counts, /)\n--\n\n"
     "The mixture after counts (V,) of tokens seen, of the same type."},
    {"predictive", mixture_predictive, METH_O,
     "predictive($self, counts, /)\n--\n\n"
     "Probability of each next token after each row of counts (n, V); shape (n, V)."},
    {"mean", mixture_mean, METH_NOARGS, "mean($self, /)\n--\n\nMean row, shape (V,)."},
    {"variance", mixture_variance, METH_NOARGS,
     "variance($self, /)\n--\n\nVariance of each token's probability, shape (V,)."},
    {"component_entropy", mixture_component_entropy, METH_NOARGS,
     "component_entropy($self, /)\n--\n\n"
     "Differential entropy of each component, shape (K,), nats."},
    {"uncertainty", mixture_uncertainty, METH_NOARGS,
     "uncertainty($self, /)\n--\n\n"
     "Entropy of the next token: total, aleatoric and epistemic, nats."},
    {"sample_log_probs", mixture_sample_log_probs, METH_VARARGS,
     "sample_log_probs($self, n, bit_generator, /)\n--\n\n"
     "n random rows of log-probabilities by a NumPy bit generator; shape (n, V)."},
    {"__getnewargs_ex__", mb_mixture_getnewargs_ex, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
