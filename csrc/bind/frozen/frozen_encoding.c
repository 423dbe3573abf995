/* FrozenCounts: how a level is written. */
#include "bind/frozen/frozen_object.h"
#include "core/base/mem.h"

#include <string.h>

/* An argument that is an array of exactly this type, in C order, as nobody else holds it; a new
 * reference. */
static PyArrayObject *
array_of_type(PyObject *object, int ndim, int type, const char *name)
{
    PyArrayObject *own = mb_own_array(object, name);
    if (own != NULL &&
        (PyArray_NDIM(own) != ndim || !PyArray_EquivTypenums(PyArray_TYPE(own), type) ||
         !PyArray_ISCARRAY_RO(own))) {
        PyErr_Format(PyExc_TypeError, "%s must be as all() of TransitionCounts gives it, not %S",
                     name, (PyObject *)PyArray_DESCR(own));
        mb_release(own);
        own = NULL;
    }
    return own;
}

/* Hands words that the core made to an array. */
static PyObject *
array_of_words(size_t n_words, const uint64_t *words)
{
    PyArrayObject *array = mb_new_array(n_words, MB_NO_COLUMNS, NPY_UINT64);
    if (array != NULL) {
        memcpy(PyArray_DATA(array), words, n_words * sizeof *words);
    }
    return (PyObject *)array;
}

static PyObject *
encode_level(const mb_frozen *shorter, const mb_frozen_rows *rows)
{
    uint64_t *words = NULL;
    size_t n_words = 0;
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_frozen_encode(shorter, rows, interrupt, &words, &n_words);
    mb_end_work(&work);
    if (status == MB_INVALID) {
        PyErr_Format(PyExc_ValueError,
                     "these are no rows of contexts of %zu tokens: each is different and has its "
                     "shorter one in the levels below, tokens rise in a row, no count is 0",
                     shorter->n_levels);
        return NULL;
    }
    if (status != MB_OK) {
        return mb_raise(status, "there are too many counts for a frozen level");
    }
    PyObject *result = array_of_words(n_words, words);
    mb_free(words);
    return result;
}

/* The rows of arguments, which stay references of the caller's; starts are a copy, for what is checked
 * of them has to stay so. */
static int
parse_rows(PyObject *const *args, size_t level, PyArrayObject **arrays, mb_frozen_rows *rows)
{
    const int bare = args[1] == Py_None;
    if ((arrays[0] = array_of_type(args[0], 2, NPY_UINT32, "contexts")) == NULL) {
        return -1;
    }
    if (mb_dim(arrays[0], 1) != level) {
        PyErr_Format(PyExc_ValueError, "contexts have shape (%zu, %zu); they need (n, %zu)",
                     mb_dim(arrays[0], 0), mb_dim(arrays[0], 1), level);
        return -1;
    }
    *rows = (mb_frozen_rows){.n_contexts = mb_dim(arrays[0], 0)};
    rows->contexts = PyArray_DATA(arrays[0]);
    if (bare) {
        return 0;
    }
    arrays[1] = mb_whole_numbers(args[1], 1, NPY_ARRAY_ENSURECOPY, "indptr");
    arrays[2] = arrays[1] == NULL ? NULL : array_of_type(args[2], 1, NPY_UINT32, "tokens");
    arrays[3] = arrays[2] == NULL ? NULL : array_of_type(args[3], 1, NPY_UINT64, "counts");
    if (arrays[3] == NULL) {
        return -1;
    }
    rows->starts = PyArray_DATA(arrays[1]);
    rows->tokens = PyArray_DATA(arrays[2]);
    rows->times = PyArray_DATA(arrays[3]);
    const size_t n = rows->n_contexts, n_pairs = mb_dim(arrays[2], 0);
    if (mb_dim(arrays[1], 0) != n + 1 || mb_dim(arrays[3], 0) != n_pairs ||
        rows->starts[n] != (int64_t)n_pairs) {
        PyErr_Format(
            PyExc_ValueError,
            "indptr, tokens and counts have %zu, %zu and %zu entries; of %zu contexts they "
            "need %zu, and what indptr ends with",
            mb_dim(arrays[1], 0), n_pairs, mb_dim(arrays[3], 0), n, n + 1);
        return -1;
    }
    return 0;
}

PyObject *
mb_method_frozen_encode(PyObject *Py_UNUSED(none), PyObject *args)
{
    PyObject *levels, *of_rows[4], *result = NULL;
    PyArrayObject *arrays[4] = {NULL, NULL, NULL, NULL};
    long long n_tokens;
    mb_frozen shorter;
    mb_frozen_rows rows;
    if (!PyArg_ParseTuple(args, "LOOOOO:encode", &n_tokens, &levels, of_rows, of_rows + 1,
                          of_rows + 2, of_rows + 3)) {
        return NULL;
    }
    PyObject *words = mb_open_levels(n_tokens, levels, &shorter);
    if (words == NULL) {
        return NULL;
    }
    if (shorter.n_levels > MB_MAX_ORDER) {
        PyErr_Format(PyExc_ValueError, "there are %zu levels; there is none above",
                     shorter.n_levels);
    } else if (parse_rows(of_rows, shorter.n_levels, arrays, &rows) == 0) {
        result = encode_level(&shorter, &rows);
    }
    for (size_t i = 0; i < 4; i++) {
        mb_release(arrays[i]);
    }
    Py_DECREF(words);
    return result;
}
