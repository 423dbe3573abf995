/* The divergence of a model's rows from Dirichlet predictives, and its slopes. */
#include "bind/bind.h"
#include "core/mixture/divergence.h"

#include <math.h>

enum { MASS, ALPHA, SHARE, STARTS, COLUMNS, ENTRIES, N_ARRAYS };

/* -1 with an exception set where the arrays do not go together. */
static int
check_shapes(PyArrayObject *const *a, double power)
{
    size_t n = mb_dim(a[MASS], 0), n_tokens = mb_dim(a[MASS], 1), k = mb_dim(a[ALPHA], 0);
    if (n_tokens == 0 || k == 0 || mb_dim(a[ALPHA], 1) != n_tokens || mb_dim(a[SHARE], 0) != k ||
        mb_dim(a[SHARE], 1) != n || mb_dim(a[STARTS], 0) != n + 1 ||
        mb_dim(a[COLUMNS], 0) != mb_dim(a[ENTRIES], 0)) {
        PyErr_Format(PyExc_ValueError,
                     "mass is (%zu, %zu), alpha (%zu, %zu), share (%zu, %zu), starts (%zu,), "
                     "columns (%zu,), entries (%zu,); they must be (n, V), (J, V), (J, n), "
                     "(n + 1,), (E,), (E,)",
                     n, n_tokens, k, mb_dim(a[ALPHA], 1), mb_dim(a[SHARE], 0), mb_dim(a[SHARE], 1),
                     mb_dim(a[STARTS], 0), mb_dim(a[COLUMNS], 0), mb_dim(a[ENTRIES], 0));
        return -1;
    }
    if (!(power > 0.0) || isinf(power)) {
        PyErr_SetString(PyExc_ValueError, "power must be positive and finite");
        return -1;
    }
    return 0;
}

/* The five numbers and arrays of a divergence as a tuple; NULL with an exception set. */
static PyObject *
measure(PyArrayObject *const *a, double power)
{
    PyArrayObject *by_alpha = mb_new_doubles(2, PyArray_DIMS(a[ALPHA]));
    PyArrayObject *by_share = mb_new_doubles(2, PyArray_DIMS(a[SHARE]));
    PyArrayObject *by_entries = mb_new_doubles(1, PyArray_DIMS(a[ENTRIES]));
    PyObject *result = NULL;
    if (by_alpha == NULL || by_share == NULL || by_entries == NULL) {
        goto done;
    }
    mb_predictives predictives = {
        .n_rows = mb_dim(a[MASS], 0),
        .n_components = mb_dim(a[ALPHA], 0),
        .n_tokens = mb_dim(a[MASS], 1),
        .n_entries = mb_dim(a[ENTRIES], 0),
        .alpha = mb_data(a[ALPHA]),
        .share = mb_data(a[SHARE]),
        .starts = PyArray_DATA(a[STARTS]),
        .columns = PyArray_DATA(a[COLUMNS]),
        .entries = mb_data(a[ENTRIES]),
        .power = power,
    };
    mb_divergence out = {0.0, 0.0, mb_data(by_alpha), mb_data(by_share), mb_data(by_entries)};
    for (size_t e = 0; e < predictives.n_entries; e++) {
        out.by_entries[e] = 0.0; /* entries of no row */
    }
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_divergences(&predictives, mb_data(a[MASS]), interrupt, &out);
    mb_end_work(&work);
    if (status == MB_STOPPED) {
        goto done;
    }
    if (status != MB_OK) {
        mb_raise(status, "starts fall or leave the entries, or a column is not one of mass");
        goto done;
    }
    result = Py_BuildValue("dOOOd", out.value, by_alpha, by_share, by_entries, out.by_power);
done:
    mb_release(by_alpha);
    mb_release(by_share);
    mb_release(by_entries);
    return result;
}

static PyObject *
divergence(PyObject *Py_UNUSED(module), PyObject *args)
{
    static const struct {
        const char *name;
        int ndim, is_whole;
    } wanted[N_ARRAYS] = {
        [MASS] = {"mass", 2, 0},     [ALPHA] = {"alpha", 2, 0},     [SHARE] = {"share", 2, 0},
        [STARTS] = {"starts", 1, 1}, [COLUMNS] = {"columns", 1, 1}, [ENTRIES] = {"entries", 1, 0},
    };
    PyObject *given[N_ARRAYS], *result = NULL;
    PyArrayObject *arrays[N_ARRAYS] = {NULL};
    double power;
    if (!PyArg_ParseTuple(args, "OOOOOOd:divergence", given, given + 1, given + 2, given + 3,
                          given + 4, given + 5, &power)) {
        return NULL;
    }
    int complete = 1;
    for (size_t i = 0; i < N_ARRAYS && complete; i++) {
        arrays[i] = wanted[i].is_whole
                        ? mb_whole_numbers(given[i], wanted[i].ndim, 0, wanted[i].name)
                        : mb_doubles(given[i], wanted[i].ndim, wanted[i].name);
        complete = arrays[i] != NULL;
    }
    if (complete && check_shapes(arrays, power) == 0) {
        result = measure(arrays, power);
    }
    for (size_t i = 0; i < N_ARRAYS; i++) {
        mb_release(arrays[i]);
    }
    return result;
}

PyMethodDef mb_divergence_functions[] = {
    {"divergence", divergence, METH_VARARGS,
     "divergence($module, mass, alpha, share, starts, columns, entries, power, /)\n--\n\n"
     "-sum mass ln p, and its derivatives by alpha, share, entries and power, each held apart.\n\n"
     "p has rows i of share[:, i] @ alpha, entries[starts[i]:starts[i + 1]] instead at their\n"
     "columns, to the power and normalised; before that they sum to 1.  Shapes: mass (n, V), alpha "
     "(J, V),\n"
     "share (J, n), starts (n + 1,), columns and entries (E,)."},
    {NULL, NULL, 0, NULL},
};
