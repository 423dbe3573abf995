/* Rows known in part: sums over the tokens that they list, and the M-step from such sums. */
#include "bind/estimator/estimator.h"
#include "core/base/mem.h"
#include "core/estimator/partial.h"

#include <math.h>

enum { READ = 4 /* nanoseconds of an entry */ };

/* ---- listings --------------------------------------------------------------- */

/* A listing, copied: what is checked must not change. */
typedef struct {
    mb_listing rows;
    size_t n_entries;
    size_t *starts;
    uint32_t *columns;
} own_listing;

static void
release_listing(own_listing *own)
{
    mb_free(own->starts);
    mb_free(own->columns);
}

/* Copies; MB_INVALID where row *wrong is not one, whose entry, if that is wrong, is at *entry. */
static mb_status
copy_listing(size_t n_entries, const int64_t *starts, const int64_t *columns,
             mb_interrupt *interrupt, own_listing *own, size_t *wrong, size_t *entry)
{
    size_t at = 0, n_tokens = own->rows.n_tokens;
    *entry = SIZE_MAX;
    for (size_t i = 0; i <= own->rows.n_rows; i++) {
        int64_t start = starts[i];
        *wrong = i;
        if (start < (int64_t)at || (uint64_t)start > n_entries || (i == 0 && start != 0)) {
            return MB_INVALID;
        }
        own->starts[i] = (size_t)start;
        for (; at < (size_t)start; at++) {
            int64_t column = columns[at];
            if (column < 0 || (uint64_t)column >= n_tokens) {
                *wrong = i - 1;
                *entry = at;
                return MB_INVALID;
            }
            own->columns[at] = (uint32_t)column;
            MB_TRY(mb_ask(interrupt, READ));
        }
        MB_TRY(mb_ask(interrupt, READ));
    }
    return at == n_entries ? MB_OK : MB_INVALID;
}

/* From arrays; -1 with an exception set. */
static int
read_listing(PyArrayObject *starts, PyArrayObject *columns, size_t n_tokens, own_listing *own)
{
    size_t n_starts = mb_dim(starts, 0), n_entries = mb_dim(columns, 0), wrong = 0, entry = 0;
    *own = (own_listing){.n_entries = n_entries};
    if (n_starts == 0 || n_tokens > UINT32_MAX) {
        PyErr_Format(PyExc_ValueError, "starts has %zu entries, for %zu tokens: these are no rows",
                     n_starts, n_tokens);
        return -1;
    }
    own->starts = mb_calloc(n_starts, sizeof(size_t));
    own->columns = mb_calloc(n_entries + 1, sizeof(uint32_t));
    if (own->starts == NULL || own->columns == NULL) {
        release_listing(own);
        mb_raise(MB_NOMEM, NULL);
        return -1;
    }
    own->rows = (mb_listing){n_starts - 1, n_tokens, own->starts, own->columns};
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = copy_listing(n_entries, PyArray_DATA(starts), PyArray_DATA(columns),
                                    interrupt, own, &wrong, &entry);
    mb_end_work(&work);
    if (status == MB_INVALID && entry != SIZE_MAX) {
        PyErr_Format(PyExc_ValueError, "entry %zu of row %zu is no column of %zu",
                     entry - own->starts[wrong], wrong, n_tokens);
    } else if (status == MB_INVALID) {
        PyErr_Format(PyExc_ValueError, "starts must rise from 0 to %zu; row %zu does not",
                     n_entries, wrong);
    } else if (status != MB_OK) {
        mb_raise(status, NULL);
    }
    if (status != MB_OK) {
        release_listing(own);
    }
    return status == MB_OK ? 0 : -1;
}

/* ---- sums ------------------------------------------------------------------- */

static PyObject *
sum_whole(PyObject *Py_UNUSED(module), PyObject *arg)
{
    PyArrayObject *values = mb_doubles(arg, 2, "values");
    if (values == NULL) {
        return NULL;
    }
    npy_intp shape[] = {2, PyArray_DIM(values, 1)};
    PyArrayObject *whole = mb_new_doubles(2, shape);
    mb_status status = MB_NOMEM;
    if (whole != NULL) {
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        status = mb_sum_whole(mb_dim(values, 0), mb_dim(values, 1), mb_data(values), interrupt,
                              mb_data(whole));
        mb_end_work(&work);
    }
    mb_release(values);
    if (status != MB_OK) {
        mb_release(whole);
        return mb_raise(status, NULL);
    }
    return (PyObject *)whole;
}

/* Which sum is made, of rows and a table. */
typedef enum { UNLISTED, LISTED, TO_LISTED } which_sum;

/* The arguments of a sum, converted. */
typedef struct {
    PyArrayObject *starts, *columns, *values, *more; /* more: `whole`, or factors or NULL */
    size_t n_tokens;
} sum_arguments;

static int
check_shapes_of_sum(which_sum which, const sum_arguments *a)
{
    size_t width = mb_dim(a->values, 1), n_entries = mb_dim(a->columns, 0);
    if (which == UNLISTED && (mb_dim(a->more, 0) != 2 || mb_dim(a->more, 1) != width)) {
        PyErr_Format(PyExc_ValueError, "whole has shape (%zu, %zu); it needs (2, %zu)",
                     mb_dim(a->more, 0), mb_dim(a->more, 1), width);
        return -1;
    }
    if (which != UNLISTED && a->more != NULL && mb_dim(a->more, 0) != n_entries) {
        PyErr_Format(PyExc_ValueError, "there are %zu factors for %zu entries", mb_dim(a->more, 0),
                     n_entries);
        return -1;
    }
    if (which == TO_LISTED && mb_dim(a->values, 0) + 1 != mb_dim(a->starts, 0)) {
        PyErr_Format(PyExc_ValueError, "values of %zu rows for %zu starts", mb_dim(a->values, 0),
                     mb_dim(a->starts, 0));
        return -1;
    }
    return 0;
}

static PyObject *
run_sum(which_sum which, const sum_arguments *a)
{
    own_listing own;
    if (check_shapes_of_sum(which, a) < 0 ||
        read_listing(a->starts, a->columns, a->n_tokens, &own) < 0) {
        return NULL;
    }
    size_t width = mb_dim(a->values, 1);
    size_t n = which == TO_LISTED ? a->n_tokens : own.rows.n_rows;
    npy_intp shape[] = {(npy_intp)n, (npy_intp)width};
    PyArrayObject *out = (PyArrayObject *)PyArray_ZEROS(2, shape, NPY_DOUBLE, 0);
    mb_status status = MB_NOMEM;
    if (out != NULL) {
        const double *values = mb_data(a->values), *more = a->more ? mb_data(a->more) : NULL;
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        if (which == UNLISTED) {
            status = mb_sum_unlisted(&own.rows, width, values, more, interrupt, mb_data(out));
        } else if (which == LISTED) {
            status = mb_sum_listed(&own.rows, width, values, more, interrupt, mb_data(out));
        } else {
            status = mb_add_to_listed(&own.rows, width, values, more, interrupt, mb_data(out));
        }
        mb_end_work(&work);
    }
    release_listing(&own);
    if (status != MB_OK) {
        mb_release(out);
        return mb_raise(status, NULL);
    }
    return (PyObject *)out;
}

/* starts, columns, values, [n_tokens,] whole or factors=None */
static PyObject *
sum_of(which_sum which, PyObject *args, const char *format)
{
    PyObject *starts, *columns, *values, *more = Py_None;
    Py_ssize_t n_tokens = 0;
    int parsed = which == TO_LISTED
                     ? PyArg_ParseTuple(args, format, &starts, &columns, &values, &n_tokens, &more)
                     : PyArg_ParseTuple(args, format, &starts, &columns, &values, &more);
    if (!parsed) {
        return NULL;
    }
    if (n_tokens < 0) {
        PyErr_Format(PyExc_ValueError, "n_tokens is %zd", n_tokens);
        return NULL;
    }
    sum_arguments a = {0};
    PyObject *result = NULL;
    if ((a.starts = mb_whole_numbers(starts, 1, 0, "starts")) != NULL &&
        (a.columns = mb_whole_numbers(columns, 1, 0, "columns")) != NULL &&
        (a.values = mb_doubles(values, 2, "values")) != NULL &&
        ((more == Py_None && which != UNLISTED) ||
         (a.more = mb_doubles(more, which == UNLISTED ? 2 : 1,
                              which == UNLISTED ? "whole" : "factors")) != NULL)) {
        a.n_tokens = which == TO_LISTED ? (size_t)n_tokens : mb_dim(a.values, 0);
        result = run_sum(which, &a);
    }
    mb_release(a.starts);
    mb_release(a.columns);
    mb_release(a.values);
    mb_release(a.more);
    return result;
}

static PyObject *
sum_unlisted(PyObject *Py_UNUSED(module), PyObject *args)
{
    return sum_of(UNLISTED, args, "OOOO:sum_unlisted");
}

static PyObject *
sum_listed(PyObject *Py_UNUSED(module), PyObject *args)
{
    return sum_of(LISTED, args, "OOO|O:sum_listed");
}

static PyObject *
add_to_listed(PyObject *Py_UNUSED(module), PyObject *args)
{
    return sum_of(TO_LISTED, args, "OOOn|O:add_to_listed");
}

PyMethodDef mb_partial_functions[] = {
    {"sum_whole", sum_whole, METH_O,
     "sum_whole($module, values, /)\n--\n\n"
     "The sums (2, W) of values (V, W) over all tokens, and what rounding took from them."},
    {"sum_unlisted", sum_unlisted, METH_VARARGS,
     "sum_unlisted($module, starts, columns, values, whole, /)\n--\n\n"
     "For each row the sum (N, W) of values (V, W), >= 0, over the tokens that it does not list;\n"
     "whole is what sum_whole(values) gives."},
    {"sum_listed", sum_listed, METH_VARARGS,
     "sum_listed($module, starts, columns, values, factors=None, /)\n--\n\n"
     "For each row the sum (N, W) of values (V, W) over the tokens that it lists, each times the\n"
     "factor of its entry."},
    {"add_to_listed", add_to_listed, METH_VARARGS,
     "add_to_listed($module, starts, columns, values, n_tokens, factors=None, /)\n--\n\n"
     "For each token the sum (V, W) of values (N, W) over the rows that list it, each times the\n"
     "factor of the entry."},
    {NULL, NULL, 0, NULL},
};
