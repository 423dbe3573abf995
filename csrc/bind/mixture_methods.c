/* What a DirichletMixture computes.  Arrays in, arrays out: names of tokens, kinds
 * of rows and other courtesies are the Python class's. */
#include "bind.h"
#include "core/expectation.h"
#include "core/mem.h"
#include "core/sample.h"

#include <numpy/random/bitgen.h>

#include <math.h>

/* ---- rows ------------------------------------------------------------------------ */

/* ln w_k + ln Dir(row; alpha_k) of each row, shape (n, K). */
static PyArrayObject *
log_joint_rows(PyObject *self, PyArrayObject *log_probs)
{
    const mb_mixture *mixture = mb_mixture_of(self);
    size_t n = mb_dim(log_probs, 0), n_components = mixture->n_components;
    npy_intp shape[] = {(npy_intp)n, (npy_intp)n_components};
    PyArrayObject *out = mb_new_doubles(2, shape);
    if (out == NULL) {
        return NULL;
    }
    double *scratch = mb_calloc(mb_expectation_scratch(n_components), sizeof(double));
    if (scratch == NULL) {
        mb_release(out);
        mb_raise(MB_NOMEM, NULL);
        return NULL;
    }
    int is_double = PyArray_TYPE(log_probs) == NPY_DOUBLE;
    size_t row_bytes = mixture->n_tokens * (is_double ? sizeof(double) : sizeof(float));
    size_t step = mb_piece(mixture->n_tokens * n_components, mb_block_rows(mixture->n_tokens));
    const char *data = PyArray_BYTES(log_probs);
    double *to = mb_data(out);
    int stop = 0;
    PyThreadState *thread = PyEval_SaveThread();
    for (size_t start = 0; start < n && !stop; start += step) {
        mb_log_rows piece = {data + start * row_bytes, n - start < step ? n - start : step,
                             is_double};
        mb_mixture_log_joint_rows(mixture, &piece, to + start * n_components, scratch);
        stop = mb_check_signals(&thread);
    }
    PyEval_RestoreThread(thread);
    mb_free(scratch);
    if (stop) {
        mb_release(out);
        return NULL;
    }
    return out;
}

/* Of each row of `joint`, which it ends: the log-sum-exp, or the responsibilities. */
static PyObject *
normalize(PyArrayObject *joint, int want_totals)
{
    if (joint == NULL) {
        return NULL;
    }
    npy_intp shape[] = {PyArray_DIM(joint, 0)};
    PyArrayObject *totals = mb_new_doubles(1, shape);
    if (totals == NULL) {
        mb_release(joint);
        return NULL;
    }
    mb_normalize_log_joint(mb_dim(joint, 0), mb_dim(joint, 1), mb_data(joint), mb_data(totals));
    mb_release(want_totals ? joint : totals);
    return (PyObject *)(want_totals ? totals : joint);
}

static PyObject *
rows_method(PyObject *self, PyObject *arg, int want_totals)
{
    PyArrayObject *log_probs = mb_log_prob_rows(arg, mb_mixture_of(self)->n_tokens);
    if (log_probs == NULL) {
        return NULL;
    }
    PyObject *result = normalize(log_joint_rows(self, log_probs), want_totals);
    mb_release(log_probs);
    return result;
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

/* `arg` as counts [n][V], or [V] where ndim is 1; each finite and >= 0. */
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
    size_t size = (size_t)PyArray_SIZE(counts);
    for (size_t i = 0; i < size; i++) {
        double count = mb_data(counts)[i];
        if (!(count >= 0.0) || isinf(count)) {
            PyObject *value = PyFloat_FromDouble(count);
            PyErr_Format(PyExc_ValueError,
                         "the count in row %zu, column %zu is %S; a count must be finite and >= 0",
                         i / n_tokens, i % n_tokens, value);
            Py_XDECREF(value);
            mb_release(counts);
            return NULL;
        }
    }
    return counts;
}

/* Pieces of count vectors for `kernel`, each of them a few milliseconds. */
typedef void count_kernel(const mb_mixture *mixture, size_t n, const double *counts, double *out,
                          double *scratch);

static PyArrayObject *
map_counts(PyObject *self, PyArrayObject *counts, size_t n_out, count_kernel *kernel)
{
    const mb_mixture *mixture = mb_mixture_of(self);
    size_t n = mb_dim(counts, 0), n_tokens = mixture->n_tokens;
    npy_intp shape[] = {(npy_intp)n, (npy_intp)n_out};
    PyArrayObject *out = mb_new_doubles(2, shape);
    double *scratch = mb_calloc(mixture->n_components, sizeof(double));
    int stop = out == NULL || scratch == NULL;
    if (scratch == NULL) {
        mb_raise(MB_NOMEM, NULL);
    }
    if (!stop) {
        size_t step = mb_piece(16 * n_tokens * mixture->n_components, 1);
        const double *from = mb_data(counts);
        double *to = mb_data(out);
        PyThreadState *thread = PyEval_SaveThread();
        for (size_t start = 0; start < n && !stop; start += step) {
            kernel(mixture, n - start < step ? n - start : step, from + start * n_tokens,
                   to + start * n_out, scratch);
            stop = mb_check_signals(&thread);
        }
        PyEval_RestoreThread(thread);
    }
    mb_free(scratch);
    if (stop) {
        mb_release(out);
        out = NULL;
    }
    return out;
}

static void
joint_kernel(const mb_mixture *mixture, size_t n, const double *counts, double *out,
             double *scratch)
{
    (void)scratch;
    mb_mixture_log_joint_counts(mixture, n, counts, out);
}

static PyObject *
counts_method(PyObject *self, PyObject *arg, int want_totals)
{
    PyArrayObject *counts = count_rows(self, arg, 2);
    if (counts == NULL) {
        return NULL;
    }
    size_t n_components = mb_mixture_of(self)->n_components;
    PyObject *result = normalize(map_counts(self, counts, n_components, joint_kernel), want_totals);
    mb_release(counts);
    return result;
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
    PyArrayObject *counts = count_rows(self, arg, 2);
    if (counts == NULL) {
        return NULL;
    }
    size_t n_tokens = mb_mixture_of(self)->n_tokens;
    PyArrayObject *out = map_counts(self, counts, n_tokens, mb_mixture_predictive);
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
        mb_mixture_posterior(mixture, mb_data(counts), weights, alpha);
        result = mb_new_mixture(Py_TYPE(self), n_components, n_tokens, weights, alpha,
                                mb_mixture_tokens(self));
    }
    mb_free(weights);
    mb_release(counts);
    return result;
}

/* ---- moments ------------------------------------------------------------------------- */

static PyObject *
vector(PyObject *self, size_t n, void (*kernel)(const mb_mixture *, double *))
{
    npy_intp shape[] = {(npy_intp)n};
    PyArrayObject *out = mb_new_doubles(1, shape);
    if (out != NULL) {
        kernel(mb_mixture_of(self), mb_data(out));
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
    mb_uncertainty u = mb_mixture_uncertainty(mb_mixture_of(self));
    return Py_BuildValue("(ddd)", u.total, u.aleatoric, u.epistemic);
}

/* ---- sampling ------------------------------------------------------------------------ */

/* Rows drawn in pieces while the generator's lock is held. */
static PyArrayObject *
draw(const mb_mixture *mixture, size_t n, bitgen_t *generator)
{
    npy_intp shape[] = {(npy_intp)n, (npy_intp)mixture->n_tokens};
    PyArrayObject *out = mb_new_doubles(2, shape);
    if (out == NULL) {
        return NULL;
    }
    mb_random random = {generator->state, generator->next_double};
    size_t step = mb_piece(64 * mixture->n_tokens, 1);
    double *to = mb_data(out);
    int stop = 0;
    PyThreadState *thread = PyEval_SaveThread();
    for (size_t start = 0; start < n && !stop; start += step) {
        mb_mixture_sample(mixture, n - start < step ? n - start : step, &random,
                          to + start * mixture->n_tokens);
        stop = mb_check_signals(&thread);
    }
    PyEval_RestoreThread(thread);
    if (stop) {
        mb_release(out);
        out = NULL;
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
    PyObject *held = lock == NULL ? NULL : PyObject_CallMethod(lock, "acquire", NULL);
    PyArrayObject *out = NULL;
    if (held != NULL) {
        bitgen_t *generator = PyCapsule_GetPointer(capsule, "BitGenerator");
        if (generator != NULL) {
            out = draw(mb_mixture_of(self), (size_t)n, generator);
        }
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        Py_XDECREF(PyObject_CallMethod(lock, "release", NULL));
        PyErr_Restore(type, value, traceback);
    }
    Py_XDECREF(held);
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
