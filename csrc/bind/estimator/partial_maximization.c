/* The M-step from sums of rows known in part. */
#include "bind/estimator/estimator.h"

#include <math.h>

/* Sums [V][K] of all components, and how much weight each has. */
typedef struct {
    size_t n_components, n_tokens;
    const double *weight, *listed, *single, *slope;
    mb_prior_on_alpha prior;
} m_step_in_part;

/* Component k; one that has (nearly) no rows keeps its alpha. */
static mb_status
maximize_component_in_part(const void *data, size_t k, mb_interrupt *interrupt, double *alpha,
                           double *scratch, int *capped)
{
    const m_step_in_part *step = data;
    size_t n = step->n_tokens, n_components = step->n_components;
    double all = 0.0, weight = step->weight[k];
    for (size_t j = 0; j < n_components; j++) {
        all += step->weight[j];
    }
    if (!(weight > 1e-12 * all)) {
        return MB_OK;
    }
    double *listed = scratch + 4 * n, *single = listed + n, *slope = single + n;
    for (size_t v = 0; v < n; v++) {
        size_t at = v * n_components + k;
        listed[v] = step->listed[at];
        single[v] = step->single[at];
        slope[v] = step->slope[at];
        if (!(listed[v] >= 0.0 && single[v] >= 0.0) || !isfinite(listed[v]) ||
            !isfinite(single[v]) || !isfinite(slope[v])) {
            return MB_INVALID;
        }
    }
    MB_TRY(mb_ask(interrupt, 4 * n));
    mb_partial_sums sums = {weight, listed, single, slope};
    return mb_maximize_partial(n, &sums, &step->prior, interrupt, alpha, scratch, capped);
}

static PyObject *
partial_maximization(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *given[4], *alpha, *prior;
    const char *names[] = {"weight", "listed", "single", "slope"};
    PyArrayObject *sums[4] = {NULL};
    m_step_in_part step = {0};
    if (!PyArg_ParseTuple(args, "OOOOOO!:partial_maximization", given, given + 1, given + 2,
                          given + 3, &alpha, &PyTuple_Type, &prior) ||
        mb_read_prior(prior, 1e-300, &step.prior) < 0) {
        return NULL;
    }
    PyObject *result = NULL;
    for (int i = 0; i < 4; i++) {
        sums[i] = mb_doubles(given[i], i == 0 ? 1 : 2, names[i]);
        if (sums[i] == NULL) {
            goto done;
        }
    }
    step.n_components = mb_dim(sums[0], 0);
    step.n_tokens = mb_dim(sums[1], 0);
    for (int i = 1; i < 4; i++) {
        if (mb_dim(sums[i], 0) != step.n_tokens || mb_dim(sums[i], 1) != step.n_components) {
            PyErr_Format(PyExc_ValueError, "%s has shape (%zu, %zu), not (%zu, %zu)", names[i],
                         mb_dim(sums[i], 0), mb_dim(sums[i], 1), step.n_tokens, step.n_components);
            goto done;
        }
    }
    step.weight = mb_data(sums[0]);
    step.listed = mb_data(sums[1]);
    step.single = mb_data(sums[2]);
    step.slope = mb_data(sums[3]);
    result = mb_maximize_all(step.n_components, step.n_tokens, maximize_component_in_part, &step,
                             3 * step.n_tokens, alpha);
done:
    for (int i = 0; i < 4; i++) {
        mb_release(sums[i]);
    }
    return result;
}

PyMethodDef mb_partial_maximization_functions[] = {
    {"partial_maximization", partial_maximization, METH_VARARGS,
     "partial_maximization($module, weight, listed, single, slope, alpha, prior, /)\n--\n\n"
     "As maximization(), for rows known in part: weight (K,), and sums (V, K)."},
    {NULL, NULL, 0, NULL},
};
