/* TransitionCounts: the levels of a context tree. */
#include "bind/matrix/transition_object.h"
#include "core/base/mem.h"
#include "core/matrix/context_tree.h"

#include <math.h>
#include <string.h>

static size_t
n_pairs_of(const mb_transitions *counts)
{
    return counts->n_runs == 0 ? 0 : counts->runs[0]->n;
}

/* A new array of zeros, one for each pair. */
static PyArrayObject *
zeros_of_pairs(const mb_transitions *counts)
{
    npy_intp n = (npy_intp)n_pairs_of(counts);
    PyArrayObject *array = mb_new_doubles(1, &n);
    if (array != NULL) {
        memset(mb_data(array), 0, (size_t)n * sizeof(double));
    }
    return array;
}

/* -1 with an exception set unless the other counts are of contexts that are a token shorter. */
static int
check_shorter(PyObject *self, PyObject *shorter)
{
    const size_t order = mb_order_of(self);
    if (shorter == Py_None ? order != 0 : Py_TYPE(shorter) != Py_TYPE(self)) {
        PyErr_Format(PyExc_TypeError,
                     "shorter must be TransitionCounts, or None of order 0, not %R",
                     (PyObject *)Py_TYPE(shorter));
    } else if (shorter != Py_None && (mb_order_of(shorter) + 1 != order ||
                                      mb_n_tokens_of(shorter) != mb_n_tokens_of(self))) {
        PyErr_SetString(PyExc_ValueError,
                        "the shorter counts must be of order - 1 and of as many tokens");
    } else {
        return 0;
    }
    return -1;
}

/* -1 with an exception set unless weights (K,) and alpha (K, 1) or (K, V) are a prior's. */
static int
check_leaves(PyObject *self, PyArrayObject *weights, PyArrayObject *alpha, double deeper)
{
    const uint64_t n_tokens = mb_n_tokens_of(self) - 1;
    const size_t k = mb_dim(weights, 0), width = mb_dim(alpha, 1);
    if (n_tokens == 0 || k == 0 || mb_dim(alpha, 0) != k || (width != 1 && width != n_tokens)) {
        PyErr_Format(PyExc_ValueError,
                     "weights are (%zu,), alpha (%zu, %zu); they must be (K,) and (K, 1) or (K, V) "
                     "where the counts have V + 1 tokens, K and V of 1 or more",
                     k, mb_dim(alpha, 0), width);
        return -1;
    }
    if (mb_first_outside(&mb_finite_not_negative, k, mb_data(weights)) < k ||
        mb_first_outside(&mb_legal_alpha, k * width, mb_data(alpha)) < k * width) {
        PyErr_Format(PyExc_ValueError, "weights must be finite and >= 0, alpha %s",
                     mb_legal_alpha.name);
        return -1;
    }
    if (!(deeper > 0.0 && deeper < 1.0)) {
        PyErr_SetString(PyExc_ValueError, "deeper must be above 0 and below 1");
        return -1;
    }
    return 0;
}

/* Folds counts, which have one run each; `below` is NULL where all are leaves. */
static PyObject *
fold_counts(const mb_transitions *counts, const mb_transitions *shorter, PyArrayObject *below,
            mb_leaf_prior *prior)
{
    PyArrayObject *odds = NULL, *above = NULL;
    PyObject *result = NULL;
    double evidence, *sums = mb_calloc(prior->n_components, sizeof(double));
    if (below != NULL && mb_dim(below, 0) != n_pairs_of(counts)) {
        PyErr_Format(PyExc_ValueError, "below has %zu entries for %zu pairs", mb_dim(below, 0),
                     n_pairs_of(counts));
    } else if (sums == NULL) {
        mb_raise(MB_NOMEM, NULL);
    } else if ((odds = zeros_of_pairs(counts)) != NULL &&
               (shorter == NULL || (above = zeros_of_pairs(shorter)) != NULL)) {
        prior->concentration = sums;
        for (size_t i = 0; i < prior->n_components * prior->width; i++) {
            double times = prior->width > 1 ? 1.0 : (double)(counts->n_tokens - 1);
            sums[i / prior->width] += times * prior->alpha[i];
        }
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status = mb_contexts_fold(
            counts, shorter, prior, below == NULL ? NULL : mb_data(below), interrupt, mb_data(odds),
            above == NULL ? NULL : mb_data(above), &evidence);
        mb_end_work(&work);
        result =
            status == MB_OK
                ? Py_BuildValue("OOd", (PyObject *)odds,
                                above == NULL ? Py_None : (PyObject *)above, evidence)
                : mb_raise(
                      status,
                      status == MB_NUMERIC
                          ? "the log-evidence of a context is not finite"
                          : "a shorter context is not in the shorter counts, or the last token, "
                            "which has no alpha, came after a context");
    }
    mb_free(sums);
    mb_release(odds);
    mb_release(above);
    return result;
}

PyObject *
mb_transition_counts_fold(PyObject *self, PyObject *args)
{
    PyObject *shorter, *below_arg, *weights_arg, *alpha_arg, *result = NULL;
    PyArrayObject *below = NULL, *weights = NULL, *alpha = NULL;
    mb_transitions *mine = NULL, *theirs = NULL;
    double deeper;
    int is_best;
    if (!PyArg_ParseTuple(args, "OOOOdp:fold", &shorter, &below_arg, &weights_arg, &alpha_arg,
                          &deeper, &is_best) ||
        check_shorter(self, shorter) < 0) {
        return NULL;
    }
    if ((below_arg == Py_None || (below = mb_doubles(below_arg, 1, "below")) != NULL) &&
        (weights = mb_doubles(weights_arg, 1, "weights")) != NULL &&
        (alpha = mb_doubles(alpha_arg, 2, "alpha")) != NULL &&
        check_leaves(self, weights, alpha, deeper) == 0 &&
        (mine = mb_compacted_copy(self)) != NULL &&
        (shorter == Py_None || (theirs = mb_compacted_copy(shorter)) != NULL)) {
        mb_leaf_prior prior = {
            mb_dim(weights, 0), mb_dim(alpha, 1), mb_data(weights), mb_data(alpha), NULL,
            log1p(-deeper),     log(deeper),      is_best};
        result = fold_counts(mine, theirs, below, &prior);
    }
    mb_transitions_free(mine);
    mb_transitions_free(theirs);
    mb_release(below);
    mb_release(weights);
    mb_release(alpha);
    return result;
}

PyObject *
mb_transition_counts_places(PyObject *self, PyObject *contexts_arg)
{
    PyArrayObject *contexts, *none;
    PyObject *result = NULL;
    if (mb_parse_contexts(self, contexts_arg, NULL, 0, &contexts, &none) < 0) {
        return NULL;
    }
    mb_transitions *counts = mb_compacted_copy(self);
    PyArrayObject *out = mb_new_array(mb_dim(contexts, 0), MB_NO_COLUMNS, NPY_INT64);
    if (counts != NULL && out != NULL) {
        mb_token_fault fault = {0};
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status =
            mb_transitions_places(counts, mb_dim(contexts, 0), PyArray_DATA(contexts), interrupt,
                                  PyArray_DATA(out), &fault);
        mb_end_work(&work);
        result = status == MB_OK ? Py_NewRef((PyObject *)out)
                                 : mb_raise_transitions(self, status, &fault, 0);
    }
    mb_transitions_free(counts);
    mb_release(contexts);
    mb_release(out);
    return result;
}
