/* Functions of the module about a posterior that learns a text. */
#include "bind/bind.h"
#include "core/mixture/learning.h"
#include "core/base/mem.h"

/* -1 with ValueError unless counts [V] are finite and >= 0 and tokens [n] are below V. */
static int
check_text(const mb_mixture *mixture, PyArrayObject *counts, PyArrayObject *tokens)
{
    size_t n_tokens = mixture->n_tokens, n = mb_dim(tokens, 0);
    const double *count = mb_data(counts);
    const int64_t *token = PyArray_DATA(tokens);
    if (mb_dim(counts, 0) != n_tokens) {
        PyErr_Format(PyExc_ValueError, "counts have shape (%zu,); they need (%zu,)",
                     mb_dim(counts, 0), n_tokens);
        return -1;
    }
    for (size_t v = 0; v < n_tokens; v++) {
        if (!(count[v] >= 0.0 && count[v] < 1e300)) {
            PyErr_Format(PyExc_ValueError, "counts[%zu] must be finite and >= 0", v);
            return -1;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if ((uint64_t)token[i] >= n_tokens) {
            PyErr_Format(PyExc_ValueError, "tokens[%zu] is %lld; tokens are 0 to %zu", i,
                         (long long)token[i], n_tokens - 1);
            return -1;
        }
    }
    return 0;
}

/* The two results, (n + 1, V) and (n + 1, 3). */
static PyObject *
learn_text(const mb_mixture *mixture, PyArrayObject *counts, PyArrayObject *tokens)
{
    size_t n = mb_dim(tokens, 0);
    const npy_intp rows[] = {(npy_intp)n + 1, (npy_intp)mixture->n_tokens};
    const npy_intp three[] = {(npy_intp)n + 1, 3};
    PyArrayObject *predictive = mb_new_doubles(2, rows), *parts = mb_new_doubles(2, three);
    double *scratch = mb_calloc(mb_learning_scratch(mixture), sizeof(double));
    PyObject *result = NULL;
    if (scratch == NULL) {
        mb_raise(MB_NOMEM, NULL);
    } else if (predictive != NULL && parts != NULL) {
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status =
            mb_mixture_learn(mixture, mb_data(counts), n, PyArray_DATA(tokens), interrupt, scratch,
                             mb_data(predictive), PyArray_DATA(parts));
        mb_end_work(&work);
        result = status == MB_OK ? PyTuple_Pack(2, (PyObject *)predictive, (PyObject *)parts)
                                 : mb_raise(status, NULL);
    }
    mb_free(scratch);
    mb_release(predictive);
    mb_release(parts);
    return result;
}

static PyObject *
posterior_learning(PyObject *module, PyObject *args)
{
    PyObject *mixture, *counts_arg, *tokens_arg, *result = NULL;
    if (!PyArg_ParseTuple(args, "O!OO:posterior_learning", mb_module_state(module)->mixture,
                          &mixture, &counts_arg, &tokens_arg)) {
        return NULL;
    }
    PyArrayObject *counts = mb_doubles(counts_arg, 1, "counts"), *tokens = NULL;
    if (counts != NULL) {
        /* a copy: what was checked is what is read */
        tokens = mb_whole_numbers(tokens_arg, 1, NPY_ARRAY_ENSURECOPY, "tokens");
    }
    if (tokens != NULL && check_text(mb_mixture_of(mixture), counts, tokens) == 0) {
        result = learn_text(mb_mixture_of(mixture), counts, tokens);
    }
    mb_release(counts);
    mb_release(tokens);
    return result;
}

PyDoc_STRVAR(posterior_learning_doc,
             "posterior_learning($module, mixture, counts, tokens, /)\n--\n\n"
             "What the posterior predicts along a text, and how unsure it is.\n\n"
             "Parameters\n----------\n"
             "mixture : DirichletMixture\n    The prior.\n"
             "counts : array_like of shape (V,)\n    What was seen before, >= 0.\n"
             "tokens : array_like of int of shape (T,)\n\n"
             "Returns\n-------\n"
             "predictive : ndarray of shape (T + 1, V)\n"
             "    After `counts` and the first 0, 1, ..., T tokens.\n"
             "parts : ndarray of shape (T + 1, 3)\n"
             "    Entropy of the next token there: total, aleatoric, epistemic, in nats.");

PyMethodDef mb_learning_functions[] = {
    {"posterior_learning", posterior_learning, METH_VARARGS, posterior_learning_doc},
    {NULL, NULL, 0, NULL},
};
