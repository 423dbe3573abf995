/* What a DirichletMixture computes of rows and by itself, and all its methods.  Arrays in, arrays
 * out: names of tokens, kinds of rows and other courtesies are the Python class's. */
#include "bind/mixture/mixture.h"
#include "core/mixture/densities.h"
#include "core/mixture/moments.h"
#include "core/mixture/posterior.h"

/* ---- rows ------------------------------------------------------------------------ */

int
mb_new_shares(size_t n, size_t n_components, PyArrayObject **shares, PyArrayObject **totals)
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

PyObject *
mb_chosen_shares(mb_status status, PyArrayObject *shares, PyArrayObject *totals, int want_totals)
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
    if (mb_new_shares(n, n_components, &shares, &totals) < 0) {
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
    return mb_chosen_shares(status, shares, totals, want_totals);
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

PyMethodDef mb_mixture_methods[] = {
    {"log_prob", mixture_log_prob, METH_O,
     "log_prob($self, log_probs, /)\n--\n\n"
     "Log-density of each row of log-probabilities (n, V), all finite; shape (n,), nats."},
    {"responsibilities", mixture_responsibilities, METH_O,
     "responsibilities($self, log_probs, /)\n--\n\n"
     "Probability of each component given each row (n, V), all finite; shape (n, K)."},
    {"log_evidence", mb_mixture_log_evidence_method, METH_O,
     "log_evidence($self, counts, /)\n--\n\n"
     "Log-probability of a sequence with each row of counts (n, V); shape (n,), nats."},
    {"count_responsibilities", mb_mixture_count_responsibilities_method, METH_O,
     "count_responsibilities($self, counts, /)\n--\n\n"
     "Probability of each component given each row of counts (n, V); shape (n, K)."},
    {"posterior", mb_mixture_posterior_method, METH_O,
     "posterior($self, counts, /)\n--\n\n"
     "The mixture after counts (V,) of tokens seen, of the same type."},
    {"predictive", mb_mixture_predictive_method, METH_O,
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
    {"sample_log_probs", mb_mixture_sample_log_probs_method, METH_VARARGS,
     "sample_log_probs($self, n, bit_generator, /)\n--\n\n"
     "n random rows of log-probabilities by a NumPy bit generator; shape (n, V)."},
    {"__getnewargs_ex__", mb_mixture_getnewargs_ex, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
