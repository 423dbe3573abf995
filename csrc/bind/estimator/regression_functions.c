/* Regression of the concentration: sums over units, and the mean that they have in common. */
#include "bind/estimator/estimator.h"
#include "core/base/mem.h"
#include "core/estimator/regression.h"

#include <float.h>

enum { READ = 4 /* nanoseconds of an entry */ };
enum { ROWS = 2, COUNTS = 4 /* the arrays of units */ };

static const mb_range any_finite = {-DBL_MAX, DBL_MAX, 0, "finite"};

/* Units and the arrays that hold them: (weight, log_sums) of rows, (starts, tokens, counts, weights)
 * of counts. */
typedef struct {
    PyArrayObject *arrays[COUNTS];
    mb_units units;
} given_units;

static void
release_units(given_units *given)
{
    for (int i = 0; i < COUNTS; i++) {
        mb_release(given->arrays[i]);
    }
}

/* -1 with an exception set where a number of `array` is not in the range. */
static int
check_range(const mb_range *allowed, PyArrayObject *array, const char *name)
{
    size_t wrong, n = (size_t)PyArray_SIZE(array);
    if (mb_find_outside(allowed, n, mb_data(array), &wrong) < 0) {
        return -1;
    }
    if (wrong < n) {
        PyErr_Format(PyExc_ValueError, "%s holds a number that is not %s, at place %zu", name,
                     allowed->name, wrong);
        return -1;
    }
    return 0;
}

/* Whether places [n + 1] rise from 0 to `end`. */
static int
do_rise(size_t n, const int64_t *places, size_t end)
{
    int rise = places[0] == 0 && (uint64_t)places[n] == end;
    for (size_t i = 0; rise && i < n; i++) {
        rise = places[i] <= places[i + 1];
    }
    return rise;
}

static mb_status
find_token(size_t n, const int64_t *tokens, size_t n_tokens, mb_interrupt *interrupt, size_t *wrong)
{
    for (*wrong = 0; *wrong < n; ++*wrong) {
        if (tokens[*wrong] < 0 || (uint64_t)tokens[*wrong] > n_tokens) {
            break;
        }
        MB_TRY(mb_ask(interrupt, READ));
    }
    return MB_OK;
}

static int
check_counts(const given_units *given)
{
    const mb_units *units = &given->units;
    size_t n = mb_dim(given->arrays[1], 0), wrong;
    if (mb_dim(given->arrays[2], 0) != n || mb_dim(given->arrays[3], 0) != n ||
        !do_rise(units->n_units, units->starts, n)) {
        PyErr_Format(PyExc_ValueError,
                     "%zu tokens, %zu counts and %zu weights are no units: starts must rise from 0 "
                     "to their number",
                     n, mb_dim(given->arrays[2], 0), mb_dim(given->arrays[3], 0));
        return -1;
    }
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = find_token(n, units->token, units->n_tokens, interrupt, &wrong);
    mb_end_work(&work);
    if (status != MB_OK) {
        mb_raise(status, NULL);
        return -1;
    }
    if (wrong < n) {
        PyErr_Format(PyExc_ValueError, "the token of cell %zu is not from 0 to %zu", wrong,
                     units->n_tokens);
        return -1;
    }
    int wrong_count = check_range(&mb_finite_positive, given->arrays[2], "counts");
    return wrong_count < 0 ? -1 : check_range(&mb_finite_not_negative, given->arrays[3], "weights");
}

static int
check_rows(const given_units *given)
{
    size_t width = mb_dim(given->arrays[1], 1), n = mb_dim(given->arrays[1], 0);
    if (n != given->units.n_units || width != given->units.n_tokens) {
        PyErr_Format(PyExc_ValueError, "log_sums has shape (%zu, %zu), not (%zu, %zu)", n, width,
                     given->units.n_units, given->units.n_tokens);
        return -1;
    }
    int wrong_weight = check_range(&mb_finite_not_negative, given->arrays[0], "weight");
    return wrong_weight < 0 ? -1 : check_range(&any_finite, given->arrays[1], "log_sums");
}

/* The arrays of a tuple, not checked yet; -1 with an exception set. */
static int
convert_units(PyObject *tuple, given_units *given)
{
    const char *names[] = {"starts", "tokens", "counts", "weights"};
    Py_ssize_t n = PyTuple_Size(tuple);
    *given = (given_units){0};
    if (n != ROWS && n != COUNTS) {
        PyErr_Format(PyExc_ValueError,
                     "units are (weight, log_sums) or (starts, tokens, counts, weights), not %zd "
                     "arrays",
                     n);
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *array = PyTuple_GetItem(tuple, i); /* borrowed */
        if (n == ROWS) {
            given->arrays[i] = mb_doubles(array, i == 0 ? 1 : 2, i == 0 ? "weight" : "log_sums");
        } else if (i < 2) { /* copies: they are indexed by */
            given->arrays[i] = mb_whole_numbers(array, 1, NPY_ARRAY_ENSURECOPY, names[i]);
        } else {
            given->arrays[i] = mb_doubles(array, 1, names[i]);
        }
        if (given->arrays[i] == NULL) {
            return -1;
        }
    }
    mb_units *units = &given->units;
    size_t first = mb_dim(given->arrays[0], 0);
    if (n == ROWS) {
        units->n_units = first;
        units->weight = mb_data(given->arrays[0]);
        units->log_sums = mb_data(given->arrays[1]);
        return 0;
    }
    if (first == 0) {
        PyErr_SetString(PyExc_ValueError, "starts is empty; it ends in the number of cells");
        return -1;
    }
    units->n_units = first - 1;
    units->starts = PyArray_DATA(given->arrays[0]);
    units->token = PyArray_DATA(given->arrays[1]);
    units->count = mb_data(given->arrays[2]);
    units->cell_weight = mb_data(given->arrays[3]);
    return 0;
}

/* Checks units of so many tokens, and their concentrations. */
static int
check_units(given_units *given, size_t n_tokens, PyArrayObject *totals)
{
    given->units.n_tokens = n_tokens;
    if (mb_dim(totals, 0) != given->units.n_units) {
        PyErr_Format(PyExc_ValueError, "totals has %zu entries for %zu units", mb_dim(totals, 0),
                     given->units.n_units);
        return -1;
    }
    if (check_range(&mb_finite_positive, totals, "totals") < 0) {
        return -1;
    }
    return given->arrays[2] == NULL ? check_rows(given) : check_counts(given);
}

static PyObject *
derive_units(const given_units *given, PyArrayObject *totals, PyArrayObject *means,
             PyArrayObject *places, PyArrayObject *design)
{
    npy_intp n = (npy_intp)given->units.n_units;
    npy_intp shape[] = {PyArray_DIM(means, 0), PyArray_DIM(design, 1), PyArray_DIM(means, 1)};
    npy_intp flat[] = {shape[0], shape[2]};
    PyArrayObject *out[5] = {mb_new_doubles(1, &n), mb_new_doubles(1, &n), mb_new_doubles(1, &n),
                             mb_new_doubles(2, flat), mb_new_doubles(3, shape)};
    double *scratch = mb_calloc(MB_REGRESSION_SCRATCH, sizeof(double));
    mb_status status = MB_NOMEM;
    if (out[0] != NULL && out[1] != NULL && out[2] != NULL && out[3] != NULL && out[4] != NULL &&
        scratch != NULL) {
        mb_regression asked = {mb_data(totals),  mb_data(means),    mb_data(design),
                               mb_dim(means, 0), mb_dim(design, 1), PyArray_DATA(places)};
        mb_regression_sums sums = {mb_data(out[0]), mb_data(out[1]), mb_data(out[2]),
                                   mb_data(out[3]), mb_data(out[4])};
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        status = mb_regression_derive(&given->units, &asked, interrupt, scratch, &sums);
        mb_end_work(&work);
    }
    mb_free(scratch);
    PyObject *result =
        status != MB_OK ? mb_raise(status, NULL)
                        : PyTuple_Pack(5, (PyObject *)out[0], (PyObject *)out[1],
                                       (PyObject *)out[2], (PyObject *)out[3], (PyObject *)out[4]);
    for (int i = 0; i < 5; i++) {
        mb_release(out[i]);
    }
    return result;
}

static PyObject *
regression_sums(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *units_arg, *totals_arg, *means_arg, *places_arg, *design_arg, *result = NULL;
    if (!PyArg_ParseTuple(args, "O!OOOO:regression_sums", &PyTuple_Type, &units_arg, &totals_arg,
                          &means_arg, &places_arg, &design_arg)) {
        return NULL;
    }
    given_units given;
    PyArrayObject *totals = NULL, *means = NULL, *places = NULL, *design = NULL;
    if (convert_units(units_arg, &given) < 0 ||
        (totals = mb_doubles(totals_arg, 1, "totals")) == NULL ||
        (means = mb_doubles(means_arg, 2, "means")) == NULL ||
        (places = mb_whole_numbers(places_arg, 1, NPY_ARRAY_ENSURECOPY, "places")) == NULL ||
        (design = mb_doubles(design_arg, 2, "design")) == NULL) {
        goto done;
    }
    size_t n_units = given.units.n_units;
    if (mb_dim(places, 0) != mb_dim(means, 0) + 1 || mb_dim(design, 0) != n_units ||
        !do_rise(mb_dim(means, 0), PyArray_DATA(places), n_units)) {
        PyErr_Format(
            PyExc_ValueError,
            "places must rise from 0 to %zu in %zu steps, a mean each, and the design have "
            "as many rows, not %zu",
            n_units, mb_dim(means, 0), mb_dim(design, 0));
    } else if (check_units(&given, mb_dim(means, 1), totals) == 0 &&
               check_range(&mb_finite_positive, means, "means") == 0 &&
               check_range(&any_finite, design, "design") == 0) {
        result = derive_units(&given, totals, means, places, design);
    }
done:
    release_units(&given);
    mb_release(totals);
    mb_release(means);
    mb_release(places);
    mb_release(design);
    return result;
}

static PyObject *
regression_mean(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *units_arg, *totals_arg, *mean_arg;
    if (!PyArg_ParseTuple(args, "O!OO:regression_mean", &PyTuple_Type, &units_arg, &totals_arg,
                          &mean_arg)) {
        return NULL;
    }
    given_units given;
    PyArrayObject *totals = NULL, *start = NULL, *mean = NULL;
    mb_status status = MB_NOMEM;
    if (convert_units(units_arg, &given) < 0 ||
        (totals = mb_doubles(totals_arg, 1, "totals")) == NULL ||
        (start = mb_doubles(mean_arg, 1, "mean")) == NULL ||
        check_units(&given, mb_dim(start, 0), totals) < 0 ||
        check_range(&mb_finite_positive, start, "mean") < 0) {
        goto done;
    }
    mean = (PyArrayObject *)PyArray_NewCopy(start, NPY_CORDER);
    double *scratch = mb_calloc(3 * mb_dim(start, 0) + MB_REGRESSION_SCRATCH, sizeof(double));
    if (mean != NULL && scratch != NULL) {
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        status =
            mb_regression_mean(&given.units, mb_data(totals), interrupt, mb_data(mean), scratch);
        mb_end_work(&work);
    }
    mb_free(scratch);
    if (status != MB_OK) {
        mb_raise(status, NULL);
        mb_release(mean);
        mean = NULL;
    }
done:
    release_units(&given);
    mb_release(totals);
    mb_release(start);
    return (PyObject *)mean;
}

PyMethodDef mb_regression_functions[] = {
    {"regression_sums", regression_sums, METH_VARARGS,
     "regression_sums($module, units, totals, means, places, design, /)\n--\n\n"
     "Of U units, (weight (U,), log_sums (U, V)) of rows or (starts (U + 1,), tokens, counts,\n"
     "weights (C,)) of counts, with concentrations (U,), the means (M, V) of those from one of "
     "the\n"
     "places (M + 1,) to the next, and a design (U, P): the log-likelihood and its slope and bend\n"
     "in the logarithm of the concentration (U,), and sums (M, V) and (M, P, V) of its parts by\n"
     "token."},
    {"regression_mean", regression_mean, METH_VARARGS,
     "regression_mean($module, units, totals, mean, /)\n--\n\n"
     "The mean (V,) of all units that is most likely, from one of them that is above 0."},
    {NULL, NULL, 0, NULL},
};
