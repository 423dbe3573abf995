/* BackoffTable: tables of smoothed counts. */
#include "bind/backoff/backoff_object.h"
#include "core/backoff/smoothed.h"

#include <string.h>

/* The levels, how each is smoothed, and the arrays that say so. */
typedef struct {
    size_t n;
    mb_transitions *counts[MB_MAX_ORDER + 1]; /* copies, of one run each */
    mb_smoothing smoothing[MB_MAX_ORDER + 1];
    PyObject *kept; /* a list */
} smoothed_levels;

static void
end_smoothed(smoothed_levels *levels)
{
    for (size_t i = 0; i < levels->n; i++) {
        mb_transitions_free(levels->counts[i]);
    }
    Py_XDECREF(levels->kept);
}

/* An argument as doubles that the levels keep, all of them in range unless that is NULL; NULL with an
 * exception set. */
static PyArrayObject *
keep_doubles(smoothed_levels *levels, PyObject *arg, int ndim, const mb_range *range,
             const char *name)
{
    PyArrayObject *array = arg == NULL ? NULL : mb_doubles(arg, ndim, name);
    if (array == NULL || PyList_Append(levels->kept, (PyObject *)array) < 0) {
        mb_release(array);
        return NULL;
    }
    Py_DECREF((PyObject *)array); /* the list has it */
    if (range == NULL) {
        return array;
    }
    size_t n = (size_t)PyArray_Size((PyObject *)array), first = n;
    if (mb_find_outside(range, n, mb_data(array), &first) < 0) {
        return NULL;
    }
    if (first < n) {
        PyErr_Format(PyExc_ValueError, "%s: every number must be %s", name, range->name);
        return NULL;
    }
    return array;
}

/* The counts, each of contexts one token longer; -1 with an exception set. */
static int
parse_counts(PyObject *type, PyObject *arg, smoothed_levels *levels)
{
    mb_state *state = PyType_GetModuleState((PyTypeObject *)type);
    PyObject *items = mb_items(arg, "counts");
    Py_ssize_t n = items == NULL ? 0 : PyTuple_Size(items);
    int failed = items == NULL ? -1 : 0;
    if (!failed && (n < 1 || n > MB_MAX_ORDER + 1)) {
        PyErr_Format(PyExc_ValueError, "there are counts of %zd levels; there must be from 1 to %d",
                     n, MB_MAX_ORDER + 1);
        failed = -1;
    }
    for (Py_ssize_t i = 0; i < n && !failed; i++) {
        PyObject *item = PyTuple_GetItem(items, i);
        if (Py_TYPE(item) != state->transitions) {
            PyErr_Format(PyExc_TypeError, "counts must be TransitionCounts, not %R",
                         (PyObject *)Py_TYPE(item));
            failed = -1;
        } else if ((levels->counts[i] = mb_compacted_copy(item)) == NULL) {
            failed = -1;
        } else {
            levels->n = (size_t)i + 1;
            const mb_transitions *own = levels->counts[i];
            if (own->layout.order != (size_t)i || own->n_tokens != levels->counts[0]->n_tokens ||
                own->n_tokens < 2) {
                PyErr_SetString(PyExc_ValueError, "counts must be of orders 0, 1, ... and of as "
                                                  "many tokens, V + 1, 2 or more");
                failed = -1;
            }
        }
    }
    Py_XDECREF(items);
    return failed;
}

/* ---- how they are smoothed ------------------------------------------------------------------- */

/* Items of a sequence, as many as asked for, kept with the levels; NULL with an exception set. */
static PyObject *
keep_items(smoothed_levels *levels, PyObject *arg, size_t n, const char *name)
{
    PyObject *items = mb_items(arg, name);
    if (items == NULL || PyList_Append(levels->kept, items) < 0) {
        Py_XDECREF(items);
        return NULL;
    }
    Py_DECREF(items);
    if ((size_t)PyTuple_Size(items) != n) {
        PyErr_Format(PyExc_ValueError, "%s has %zd items; it needs %zu", name, PyTuple_Size(items),
                     n);
        return NULL;
    }
    return items;
}

static int
parse_concentrations(smoothed_levels *levels, PyObject *arg)
{
    PyObject *items = keep_items(levels, arg, levels->n - 1, "concentrations");
    levels->smoothing[0] = (mb_smoothing){.kind = MB_CONCENTRATIONS, .n = 1};
    for (size_t i = 1; i < levels->n && items != NULL; i++) {
        PyObject *both = keep_items(levels, PyTuple_GetItem(items, (Py_ssize_t)i - 1), 2,
                                    "one of concentrations");
        if (both == NULL) {
            return -1;
        }
        PyArrayObject *weights =
            keep_doubles(levels, PyTuple_GetItem(both, 0), 1, &mb_finite_not_negative, "weights");
        PyArrayObject *values = weights == NULL ? NULL
                                                : keep_doubles(levels, PyTuple_GetItem(both, 1), 1,
                                                               &mb_finite_positive, "values");
        if (values == NULL) {
            return -1;
        }
        size_t k = mb_dim(weights, 0);
        double most = 0.0;
        for (size_t j = 0; j < k; j++) {
            most = mb_data(weights)[j] > most ? mb_data(weights)[j] : most;
        }
        if (k != mb_dim(values, 0) || !(most > 0.0)) {
            PyErr_SetString(PyExc_ValueError,
                            "weights, not all of them 0, and values must be as many");
            return -1;
        }
        levels->smoothing[i] = (mb_smoothing){.kind = MB_CONCENTRATIONS,
                                              .n = k,
                                              .weights = mb_data(weights),
                                              .values = mb_data(values)};
    }
    return items == NULL ? -1 : 0;
}

static int
parse_discounts(smoothed_levels *levels, PyObject *arg)
{
    PyArrayObject *discounts = keep_doubles(levels, arg, 3, &mb_finite_not_negative, "discounts");
    if (discounts == NULL) {
        return -1;
    }
    size_t n = mb_dim(discounts, 1);
    if (mb_dim(discounts, 0) != levels->n || mb_dim(discounts, 2) != MB_DISCOUNTS ||
        (n != 1 && n != MB_BUCKETS)) {
        PyErr_Format(
            PyExc_ValueError, "discounts have shape (%zu, %zu, %zu); they need (%zu, 1 or %d, %d)",
            mb_dim(discounts, 0), n, mb_dim(discounts, 2), levels->n, MB_BUCKETS, MB_DISCOUNTS);
        return -1;
    }
    for (size_t i = 0; i < levels->n; i++) {
        levels->smoothing[i] = (mb_smoothing){.kind = MB_DISCOUNTED_ROWS,
                                              .n = n,
                                              .values = mb_data(discounts) + i * n * MB_DISCOUNTS};
    }
    return 0;
}

static int
parse_leaves(smoothed_levels *levels, PyObject *arg)
{
    PyObject *both = keep_items(levels, arg, 2, "leaves");
    PyArrayObject *values = both == NULL
                                ? NULL
                                : keep_doubles(levels, PyTuple_GetItem(both, 0), 0,
                                               &mb_finite_positive, "the concentration of leaves");
    PyObject *items = values == NULL ? NULL
                                     : keep_items(levels, PyTuple_GetItem(both, 1), levels->n - 1,
                                                  "odds of leaves");
    for (size_t i = 0; i < levels->n && items != NULL; i++) {
        levels->smoothing[i] =
            (mb_smoothing){.kind = MB_TREE_LEAVES, .n = 1, .values = mb_data(values)};
        if (i + 1 == levels->n) {
            continue;
        }
        PyArrayObject *odds =
            keep_doubles(levels, PyTuple_GetItem(items, (Py_ssize_t)i), 1, NULL, "odds");
        if (odds == NULL) {
            return -1;
        }
        const mb_transitions *counts = levels->counts[i];
        size_t n = counts->n_runs == 0 ? 0 : counts->runs[0]->n;
        if (mb_dim(odds, 0) != n) {
            PyErr_Format(PyExc_ValueError, "odds[%zu] has length %zu; it needs %zu", i,
                         mb_dim(odds, 0), n);
            return -1;
        }
        levels->smoothing[i].odds = mb_data(odds);
    }
    return items == NULL ? -1 : 0;
}

static PyObject *
table_of_counts(PyObject *type, const smoothed_levels *levels, PyArrayObject *row)
{
    mb_backoff *table;
    mb_backoff_fault fault = {0};
    mb_work work;
    const uint64_t n_tokens = levels->counts[0]->n_tokens - 1;
    if (mb_dim(row, 0) != n_tokens) {
        return PyErr_Format(PyExc_ValueError, "row has length %zu; it needs %llu", mb_dim(row, 0),
                            (unsigned long long)n_tokens);
    }
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status =
        mb_backoff_from_counts(levels->n, (const mb_transitions *const *)levels->counts,
                               levels->smoothing, mb_data(row), interrupt, &table, &fault);
    mb_end_work(&work);
    return status == MB_OK ? mb_new_backoff_object((PyTypeObject *)type, table)
                           : mb_raise_backoff(status, &fault);
}

PyObject *
mb_backoff_from_counts_method(PyObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"counts", "row", "concentrations", "discounts", "leaves", NULL};
    PyObject *counts_arg, *row_arg, *concentrations = Py_None, *discounts = Py_None;
    PyObject *leaves = Py_None, *result = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|$OOO:from_counts", names, &counts_arg,
                                     &row_arg, &concentrations, &discounts, &leaves)) {
        return NULL;
    }
    if ((concentrations != Py_None) + (discounts != Py_None) + (leaves != Py_None) != 1) {
        PyErr_SetString(PyExc_TypeError, "give one of concentrations, discounts and leaves");
        return NULL;
    }
    smoothed_levels levels = {.kept = PyList_New(0)};
    PyArrayObject *row = NULL;
    if (levels.kept != NULL && parse_counts(type, counts_arg, &levels) == 0 &&
        (concentrations != Py_None ? parse_concentrations(&levels, concentrations)
         : discounts != Py_None    ? parse_discounts(&levels, discounts)
                                   : parse_leaves(&levels, leaves)) == 0) {
        row = keep_doubles(&levels, row_arg, 1, &mb_finite_not_negative, "row");
    }
    if (row != NULL) {
        result = table_of_counts(type, &levels, row);
    }
    end_smoothed(&levels);
    return result;
}
