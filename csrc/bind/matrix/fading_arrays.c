/* FadingCounts: its rows as arrays, and an object over such arrays. */
#include "bind/matrix/transition_object.h"

/* All runs as one, for a reader; NULL with an exception set. */
static mb_fading_run *
compacted_run(PyObject *self)
{
    mb_fading_run *run = NULL;
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_fading_compact(mb_fading_of(self), interrupt, &run);
    mb_end_work(&work);
    if (status != MB_OK) {
        mb_raise(status, NULL);
        return NULL;
    }
    return run;
}

enum { CONTEXTS, INDPTR, TOKENS, COUNTS, RESTS, TIMES, CLOCKS, N_ARRAYS, N_OF_ALL = 4 };

static const char *const array_names[] = {"contexts", "indptr", "tokens", "counts",
                                          "rests",    "times",  "clocks"};

/* Writes a run into arrays: all of them, or the first N_OF_ALL. */
static mb_status
write_run(const mb_fading *counts, const mb_fading_run *run, int is_now, PyArrayObject **arrays)
{
    mb_fading_arrays out = {0};
    out.contexts = PyArray_DATA(arrays[CONTEXTS]);
    out.starts = PyArray_DATA(arrays[INDPTR]);
    out.tokens = PyArray_DATA(arrays[TOKENS]);
    out.counts = PyArray_DATA(arrays[COUNTS]);
    if (!is_now) {
        out.rests = PyArray_DATA(arrays[RESTS]);
        out.times = PyArray_DATA(arrays[TIMES]);
        out.clocks = PyArray_DATA(arrays[CLOCKS]);
    }
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_fading_write(counts, run, interrupt, &out);
    mb_end_work(&work);
    return status;
}

/* The arrays of a run, a tuple. */
static PyObject *
run_arrays(const mb_fading *counts, const mb_fading_run *run, int is_now)
{
    const size_t sizes[] = {run->n_rows,  run->n_rows + 1, run->n_pairs, run->n_pairs,
                            run->n_pairs, run->n_pairs,    run->n_rows};
    PyArrayObject *arrays[N_ARRAYS];
    int n = is_now ? N_OF_ALL : N_ARRAYS;
    PyObject *result = PyTuple_New(n);
    for (int i = 0; result != NULL && i < n; i++) {
        arrays[i] = mb_new_array(sizes[i], i == CONTEXTS ? counts->order : MB_NO_COLUMNS,
                                 i == COUNTS || i == RESTS ? NPY_DOUBLE : NPY_INT64);
        if (arrays[i] == NULL || PyTuple_SetItem(result, i, (PyObject *)arrays[i]) < 0) {
            Py_CLEAR(result);
        }
    }
    mb_status status = result == NULL ? MB_OK : write_run(counts, run, is_now, arrays);
    if (status != MB_OK) {
        Py_DECREF(result);
        return mb_raise(status, NULL);
    }
    return result;
}

static PyObject *
compacted_arrays(PyObject *self, int is_now)
{
    PyObject *result = NULL;
    if (mb_begin_use(self, 0) < 0) {
        return NULL;
    }
    mb_fading_run *run = compacted_run(self);
    if (run != NULL) {
        result = run_arrays(mb_fading_of(self), run, is_now);
        mb_fading_run_free(run);
    }
    mb_end_use(self, 0);
    return result;
}

PyObject *
mb_fading_counts_all(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return compacted_arrays(self, 1);
}

PyObject *
mb_fading_counts_arrays(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return compacted_arrays(self, 0);
}

PyObject *
mb_fading_counts_sizes(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (mb_begin_use(self, 0) < 0) {
        return NULL;
    }
    mb_fading_run *run = compacted_run(self);
    mb_end_use(self, 0);
    if (run == NULL) {
        return NULL;
    }
    size_t n_rows = run->n_rows, n_pairs = run->n_pairs;
    mb_fading_run_free(run);
    return Py_BuildValue("nn", (Py_ssize_t)n_rows, (Py_ssize_t)n_pairs);
}

/* Fills `rows` with all arrays of theirs, or with N_OF_ALL and NULL after them. */
static int
check_fading_rows(size_t order, PyArrayObject *const *arrays, mb_fading_rows *rows)
{
    size_t n = mb_dim(arrays[CONTEXTS], 0), n_pairs = mb_dim(arrays[TOKENS], 0);
    int is_all = arrays[CLOCKS] != NULL;
    if (mb_dim(arrays[CONTEXTS], 1) != order) {
        PyErr_Format(PyExc_ValueError, "contexts have shape (%zu, %zu); they need (n, %zu)", n,
                     mb_dim(arrays[CONTEXTS], 1), order);
        return -1;
    }
    if (mb_dim(arrays[INDPTR], 0) != n + 1 || mb_dim(arrays[COUNTS], 0) != n_pairs ||
        (is_all && (mb_dim(arrays[RESTS], 0) != n_pairs || mb_dim(arrays[TIMES], 0) != n_pairs ||
                    mb_dim(arrays[CLOCKS], 0) != n))) {
        PyErr_SetString(PyExc_ValueError, "the arrays of the rows have no matching shapes");
        return -1;
    }
    *rows = (mb_fading_rows){.n_rows = n, .n_pairs = n_pairs};
    rows->contexts = PyArray_DATA(arrays[CONTEXTS]);
    rows->starts = PyArray_DATA(arrays[INDPTR]);
    rows->tokens = PyArray_DATA(arrays[TOKENS]);
    rows->counts = PyArray_DATA(arrays[COUNTS]);
    if (is_all) {
        rows->rests = PyArray_DATA(arrays[RESTS]);
        rows->times = PyArray_DATA(arrays[TIMES]);
        rows->clocks = PyArray_DATA(arrays[CLOCKS]);
    }
    return 0;
}

static PyObject *
load_fading(PyObject *type, size_t order, uint64_t n_tokens, double discount,
            const mb_fading_rows *rows)
{
    mb_fading *counts;
    const char *wrong = "the sum of all counts is infinite";
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_fading_load(order, n_tokens, discount, rows, interrupt, &counts, &wrong);
    mb_end_work(&work);
    return status == MB_OK ? mb_new_transition_object((PyTypeObject *)type, NULL, counts)
                           : mb_raise(status, wrong);
}

PyObject *
mb_fading_counts_from_arrays(PyObject *type, PyObject *args)
{
    long long order, n_tokens;
    double discount;
    PyObject *given, *result = NULL;
    PyArrayObject *arrays[N_ARRAYS] = {NULL};
    mb_fading_rows rows;
    if (!PyArg_ParseTuple(args, "LLdO:from_arrays", &order, &n_tokens, &discount, &given) ||
        mb_check_order(1, order, n_tokens) < 0 || mb_check_discount(discount) < 0) {
        return NULL;
    }
    PyObject *items = mb_items(given, "arrays");
    Py_ssize_t n = items == NULL ? 0 : PyTuple_Size(items);
    if (items != NULL && n != N_OF_ALL && n != N_ARRAYS) {
        PyErr_Format(PyExc_ValueError, "there are %zd arrays; they must be the %d of arrays()", n,
                     N_ARRAYS);
        goto done;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *item = PyTuple_GetItem(items, i);
        arrays[i] = i == COUNTS || i == RESTS
                        ? mb_doubles(item, 1, array_names[i])
                        : mb_whole_numbers(item, i == CONTEXTS ? 2 : 1, 0, array_names[i]);
        if (arrays[i] == NULL) {
            goto done;
        }
    }
    if (items != NULL && check_fading_rows((size_t)order, arrays, &rows) == 0) {
        result = load_fading(type, (size_t)order, (uint64_t)n_tokens, discount, &rows);
    }
done:
    for (int i = 0; i < N_ARRAYS; i++) {
        mb_release(arrays[i]);
    }
    Py_XDECREF(items);
    return result;
}
