/* TransitionCounts: its arrays, to be written to a file, and an object over such arrays. */
#include "bind/matrix/transition_object.h"
#include "core/matrix/ngram_borrow.h"

#include <string.h>

enum { KEYS, COUNTS, LARGE_AT, LARGE, INDEX, SUMS, N_ARRAYS };

static const char *const part_names[] = {"keys", "counts", "large_at", "large", "index", "sums"};
static const char capsule_name[] = "matrixbayes._core.run";

static int
type_of(int which)
{
    return which == COUNTS ? NPY_UINT32 : NPY_UINT64;
}

/* ---- arrays of a run --------------------------------------------------------------------- */

static void
end_capsule(PyObject *capsule)
{
    mb_run_free(PyCapsule_GetPointer(capsule, capsule_name));
}

/* The arrays of a run, which this takes. */
static PyObject *
view_run(const mb_key_layout *layout, mb_run *run)
{
    PyObject *capsule = PyCapsule_New(run, capsule_name, end_capsule);
    if (capsule == NULL) {
        mb_run_free(run);
        return NULL;
    }
    size_t sizes[] = {run->n, run->n, run->n_large, run->n_large, 0, mb_run_sums_size(run->n)};
    sizes[INDEX] = mb_run_index_size(layout, run->n);
    void *data[] = {run->keys, run->counts, run->large_at, run->large, run->index, run->sums};
    PyObject *arrays = PyTuple_New(N_ARRAYS);
    for (int i = 0; i < N_ARRAYS && arrays != NULL; i++) {
        npy_intp shape[] = {(npy_intp)sizes[i], (npy_intp)layout->n_words};
        PyObject *array = mb_view(capsule, i == KEYS ? 2 : 1, shape, type_of(i), data[i]);
        if (array == NULL || PyTuple_SetItem(arrays, i, array) < 0) {
            Py_CLEAR(arrays);
        }
    }
    Py_DECREF(capsule);
    return arrays;
}

PyObject *
mb_transition_counts_arrays(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    mb_transitions *counts = mb_compacted_copy(self);
    mb_run *run;
    if (counts == NULL) {
        return NULL;
    }
    mb_status status = mb_transitions_run(counts, &run);
    PyObject *arrays = status == MB_OK ? view_run(&counts->layout, run) : mb_raise(status, NULL);
    mb_transitions_free(counts);
    return arrays;
}

/* ---- a run of arrays --------------------------------------------------------------------- */

/* Ends the loan of a tuple of arrays; called with the GIL and without. */
static void
release_arrays(void *arrays)
{
    PyGILState_STATE state = PyGILState_Ensure();
    Py_DECREF((PyObject *)arrays);
    PyGILState_Release(state);
}

/* Whether an item can be read in place. */
static int
check_run_array(PyObject *object, int which, size_t n_words)
{
    PyArrayObject *array = (PyArrayObject *)object;
    int ndim = which == KEYS ? 2 : 1, type = type_of(which);
    if (!PyArray_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s must be an array, not %R", part_names[which],
                     (PyObject *)Py_TYPE(object));
        return -1;
    }
    if (!PyArray_EquivTypenums(PyArray_TYPE(array), type) || !PyArray_ISCARRAY_RO(array)) {
        PyErr_Format(PyExc_TypeError,
                     "%s must be %s in C order and native byte order, aligned, not %S",
                     part_names[which], which == COUNTS ? "uint32" : "uint64",
                     (PyObject *)PyArray_DESCR(array));
        return -1;
    }
    if (PyArray_NDIM(array) != ndim) {
        PyErr_Format(PyExc_ValueError, "%s must have %d axes, not %d", part_names[which], ndim,
                     PyArray_NDIM(array));
        return -1;
    }
    if (which == KEYS && mb_dim(array, 1) != n_words) {
        PyErr_Format(PyExc_ValueError, "keys have shape (%zu, %zu); they need (n, %zu)",
                     mb_dim(array, 0), mb_dim(array, 1), n_words);
        return -1;
    }
    return 0;
}

/* Fills a run with a tuple of arrays, none of which is looked into. */
static int
parse_run(const mb_key_layout *layout, PyObject *arrays, mb_run *run)
{
    void *data[N_ARRAYS];
    size_t sizes[N_ARRAYS];
    if (PyTuple_Size(arrays) != N_ARRAYS) {
        PyErr_Format(PyExc_ValueError, "there are %zd arrays; they must be the %d of arrays()",
                     PyTuple_Size(arrays), N_ARRAYS);
        return -1;
    }
    for (int i = 0; i < N_ARRAYS; i++) {
        PyObject *item = PyTuple_GetItem(arrays, i);
        if (check_run_array(item, i, layout->n_words) < 0) {
            return -1;
        }
        data[i] = PyArray_DATA((PyArrayObject *)item);
        sizes[i] = mb_dim((PyArrayObject *)item, 0);
    }
    const size_t n = sizes[KEYS];
    size_t expected[N_ARRAYS] = {[KEYS] = n, [COUNTS] = n, [SUMS] = mb_run_sums_size(n)};
    expected[LARGE_AT] = sizes[LARGE_AT];
    expected[LARGE] = sizes[LARGE_AT];
    expected[INDEX] = mb_run_index_size(layout, n);
    for (int i = 0; i < N_ARRAYS; i++) {
        if (sizes[i] != expected[i]) {
            PyErr_Format(PyExc_ValueError, "%s has %zu entries; with %zu keys it needs %zu",
                         part_names[i], sizes[i], n, expected[i]);
            return -1;
        }
    }
    *run = (mb_run){.n = n, .n_large = sizes[LARGE]};
    run->keys = data[KEYS];
    run->counts = data[COUNTS];
    run->large_at = data[LARGE_AT];
    run->large = data[LARGE];
    run->index = data[INDEX];
    run->sums = data[SUMS];
    return 0;
}

static void
raise_run_fault(mb_status status, const mb_run_fault *fault)
{
    static const char *const sentences[] = {
        [MB_FAULT_ORDER] = "keys[%zu] does not stand behind the one before it",
        [MB_FAULT_TOKEN] = "keys[%zu] has a token that is not below n_tokens, or only begins texts",
        [MB_FAULT_PADDING] = "keys[%zu] does not end with zeros",
        [MB_FAULT_COUNTS] = "counts[%zu] is 0",
        [MB_FAULT_LARGE_AT] = "large_at[%zu] is not the place of a large count",
        [MB_FAULT_LARGE] = "large[%zu] is missing or not large",
        [MB_FAULT_INDEX] = "index[%zu] is not the first key with these bits",
        [MB_FAULT_SUMS] = "sums[%zu] is not the sum of the counts before",
        [MB_FAULT_TOTAL] = "counts[%zu] brings the sum of all past 2^64 - 1",
    };
    if (status == MB_INVALID) {
        PyErr_Format(PyExc_ValueError, sentences[fault->error], fault->place);
    } else {
        mb_raise(status, NULL);
    }
}

/* A run over a tuple of arrays, or NULL with an exception set. */
static mb_run *
borrow_arrays(const mb_key_layout *layout, uint64_t n_tokens, uint64_t n_after, PyObject *arrays,
              int verify)
{
    mb_run fields, *run;
    if (parse_run(layout, arrays, &fields) < 0) {
        return NULL;
    }
    mb_status status = mb_run_borrow(layout, &fields, release_arrays, arrays, &run);
    if (status != MB_OK) {
        mb_raise(status, NULL);
        return NULL;
    }
    Py_INCREF(arrays);
    if (verify) {
        mb_run_fault fault = {0};
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        status = mb_run_check(layout, n_tokens, n_after, run, interrupt, &fault);
        mb_end_work(&work);
        if (status != MB_OK) {
            raise_run_fault(status, &fault);
            mb_run_free(run);
            return NULL;
        }
    }
    return run;
}

static PyObject *
from_run(PyObject *type, size_t order, uint64_t n_tokens, mb_run *run)
{
    mb_transitions *counts;
    mb_status status = mb_transitions_from_run(order, n_tokens, run, &counts);
    return status == MB_OK ? mb_new_transition_object((PyTypeObject *)type, counts, NULL)
                           : mb_raise(status, NULL);
}

/* An array over memory that is held, a copy where it is not aligned (pickles that travel in parts
 * have buffers anywhere); all else is left as it is. */
static PyObject *
aligned_item(PyObject *item)
{
    if (!PyArray_Check(item)) {
        return Py_NewRef(item);
    }
    PyArrayObject *own = mb_own_array(item, "arrays");
    PyObject *aligned =
        own == NULL ? NULL : (PyObject *)PyArray_FromArray(own, NULL, NPY_ARRAY_ALIGNED);
    mb_release(own);
    return aligned;
}

/* A tuple of the items, each aligned. */
static PyObject *
aligned_items(PyObject *items)
{
    PyObject *given = mb_items(items, "arrays");
    PyObject *result = given == NULL ? NULL : PyTuple_New(PyTuple_Size(given));
    for (Py_ssize_t i = 0; result != NULL && i < PyTuple_Size(given); i++) {
        PyObject *aligned = aligned_item(PyTuple_GetItem(given, i));
        if (aligned == NULL || PyTuple_SetItem(result, i, aligned) < 0) {
            Py_CLEAR(result);
        }
    }
    Py_XDECREF(given);
    return result;
}

PyObject *
mb_transition_counts_from_arrays(PyObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"order", "n_tokens", "arrays", "latest", "verify", "begins", NULL};
    long long order, n_tokens;
    PyObject *arrays_arg, *ignored = NULL, *result = NULL;
    int verify = 1, begins = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "LLO|O$pp:from_arrays", keywords, &order,
                                     &n_tokens, &arrays_arg, &ignored, &verify, &begins) ||
        mb_check_order(0, order, n_tokens) < 0) {
        return NULL;
    }
    PyObject *arrays = aligned_items(arrays_arg);
    mb_key_layout layout = mb_layout((size_t)order, (uint64_t)n_tokens);
    mb_run *run = NULL;
    if (arrays != NULL) {
        run = borrow_arrays(&layout, (uint64_t)n_tokens, (uint64_t)(n_tokens - begins), arrays,
                            verify);
    }
    if (run != NULL) {
        result = from_run(type, (size_t)order, (uint64_t)n_tokens, run);
        mb_run_free(run);
    }
    Py_XDECREF(arrays);
    return result;
}
