/* BackoffTable: a table from arrays of its levels, and what is wrong with them. */
#include "bind/backoff/backoff_object.h"

PyObject *
mb_raise_backoff(mb_status status, const mb_backoff_fault *fault)
{
    static const char *const sentences[] = {
        [MB_BACKOFF_ROOT] = "contexts[%zu] must be the empty context alone, of shape (1, 0)",
        [MB_BACKOFF_STARTS] = "starts[%zu][%zu + 1] must not be before the start of the row, nor "
                              "behind the end of tokens; the first start is 0 and the last the end",
        [MB_BACKOFF_TOKEN] = "tokens[%zu]: a token of row %zu is not one, or the begin token with "
                             "a value",
        [MB_BACKOFF_ORDER] = "tokens[%zu]: the tokens of row %zu do not rise",
        [MB_BACKOFF_VALUE] = "values[%zu]: a value of row %zu is negative or infinite",
        [MB_BACKOFF_BACK] = "backs[%zu][%zu] must be from 0 to 2^60",
        [MB_BACKOFF_BASE] = "base[%zu][%zu] must be finite and 0 or above",
        [MB_BACKOFF_MEAN] = "root (below level %zu): its probability %zu must be from 0 to 1",
        [MB_BACKOFF_ABOVE] = "level %zu: a probability after context %zu is above 1",
        [MB_BACKOFF_CONTEXT] = "contexts[%zu]: row %zu has a token that is not one",
        [MB_BACKOFF_TWICE] = "contexts[%zu]: row %zu is there twice",
        [MB_BACKOFF_OPEN] = "contexts[%zu]: row %zu without its newest token is no context that "
                            "lists that one; list it, with the value NaN",
    };
    if (status == MB_INVALID) {
        return PyErr_Format(PyExc_ValueError, sentences[fault->error], fault->level, fault->row);
    }
    return mb_raise(status, "a table has at most 2^32 - 2 contexts and pairs, and 17 levels");
}

enum { STARTS, TOKENS, VALUES, BACKS, CONTEXTS, BASE, N_PARTS };

static const char *const level_names[] = {"starts", "tokens",   "values",
                                          "backs",  "contexts", "base"};

typedef struct {
    size_t n;
    mb_backoff_level levels[MB_MAX_ORDER + 1];
    PyObject *arrays; /* a list of all that they point to */
} some_levels;

/* An item of a part as an array, kept with the levels; NULL with an exception set. */
static PyArrayObject *
parse_part(PyObject *item, int part, some_levels *to)
{
    int is_real = part == VALUES || part == BACKS || part == BASE;
    PyArrayObject *array =
        is_real ? mb_doubles(item, 1, level_names[part])
                : mb_whole_numbers(item, part == CONTEXTS ? 2 : 1, 0, level_names[part]);
    if (array == NULL || PyList_Append(to->arrays, (PyObject *)array) < 0) {
        mb_release(array);
        return NULL;
    }
    Py_DECREF((PyObject *)array); /* the list has it */
    return array;
}

/* Arrays of one part, one for each level, after those of other parts. */
static int
parse_parts(PyObject *arg, int part, some_levels *to)
{
    PyObject *items = mb_items(arg, level_names[part]);
    Py_ssize_t n = items == NULL ? 0 : PyTuple_Size(items);
    int failed = items == NULL;
    if (!failed && (n < 1 || n > MB_MAX_ORDER + 1 || (part != STARTS && (size_t)n != to->n))) {
        PyErr_Format(PyExc_ValueError,
                     "%s has %zd levels; there must be from 1 to %d, of all parts",
                     level_names[part], n, MB_MAX_ORDER + 1);
        failed = 1;
    }
    to->n = (size_t)n;
    for (Py_ssize_t i = 0; i < n && !failed; i++) {
        failed = parse_part(PyTuple_GetItem(items, i), part, to) == NULL;
    }
    Py_XDECREF(items);
    return failed ? -1 : 0;
}

/* The i-th level of the arrays that were parsed, part after part. */
static int
level_of_arrays(some_levels *to, size_t i, int n_parts)
{
    PyArrayObject *a[N_PARTS] = {NULL};
    for (int part = 0; part < BASE + (n_parts > BASE); part++) {
        a[part] =
            (PyArrayObject *)PyList_GetItem(to->arrays, part * (Py_ssize_t)to->n + (Py_ssize_t)i);
    }
    size_t n = mb_dim(a[BACKS], 0), n_pairs = mb_dim(a[TOKENS], 0);
    if (mb_dim(a[CONTEXTS], 0) != n || mb_dim(a[CONTEXTS], 1) != i ||
        mb_dim(a[STARTS], 0) != n + 1 || mb_dim(a[VALUES], 0) != n_pairs ||
        (a[BASE] != NULL && mb_dim(a[BASE], 0) != n)) {
        PyErr_Format(
            PyExc_ValueError,
            "level %zu: contexts have shape (%zu, %zu), starts, tokens, values and backs "
            "the lengths %zu, %zu, %zu, %zu; they need (n, %zu), n + 1, p, p, n, and base n",
            i, mb_dim(a[CONTEXTS], 0), mb_dim(a[CONTEXTS], 1), mb_dim(a[STARTS], 0), n_pairs,
            mb_dim(a[VALUES], 0), n, i);
        return -1;
    }
    to->levels[i] = (mb_backoff_level){
        .n = n,
        .n_pairs = n_pairs,
        .contexts = PyArray_DATA(a[CONTEXTS]),
        .starts = PyArray_DATA(a[STARTS]),
        .tokens = PyArray_DATA(a[TOKENS]),
        .values = mb_data(a[VALUES]),
        .backs = mb_data(a[BACKS]),
        .base = a[BASE] == NULL ? NULL : mb_data(a[BASE]),
    };
    return 0;
}

static PyObject *
table_of_levels(PyTypeObject *type, long long n_tokens, const some_levels *from,
                PyArrayObject *root, int own)
{
    mb_backoff *table;
    mb_backoff_fault fault = {0};
    mb_work work;
    if (root != NULL && mb_dim(root, 0) != (size_t)n_tokens) {
        return PyErr_Format(PyExc_ValueError, "root has length %zu; it needs %lld", mb_dim(root, 0),
                            n_tokens);
    }
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status =
        mb_backoff_new((uint64_t)n_tokens, from->n, from->levels,
                       root == NULL ? NULL : mb_data(root), own, interrupt, &table, &fault);
    mb_end_work(&work);
    return status == MB_OK ? mb_new_backoff_object(type, table) : mb_raise_backoff(status, &fault);
}

PyObject *
mb_backoff_new_object(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"n_tokens", "starts", "tokens", "values", "backs",
                            "contexts", "own",    "base",   "root",   NULL};
    long long n_tokens;
    PyObject *parts[N_PARTS] = {NULL}, *root_arg = Py_None, *result = NULL;
    PyArrayObject *root = NULL;
    int own = 0, failed = 0;
    parts[BASE] = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "LOOOOO|$pOO:BackoffTable", names, &n_tokens,
                                     parts + STARTS, parts + TOKENS, parts + VALUES, parts + BACKS,
                                     parts + CONTEXTS, &own, parts + BASE, &root_arg)) {
        return NULL;
    }
    if (n_tokens < 1 || n_tokens > (1LL << 32) - 2) {
        return PyErr_Format(PyExc_ValueError, "n_tokens is %lld; it must be from 1 to 2^32 - 2",
                            n_tokens);
    }
    some_levels levels = {.arrays = PyList_New(0)};
    int n_parts = parts[BASE] == Py_None ? BASE : N_PARTS;
    failed = levels.arrays == NULL;
    for (int part = 0; part < n_parts && !failed; part++) {
        failed = parse_parts(parts[part], part, &levels) < 0;
    }
    if (!failed && root_arg != Py_None) {
        root = mb_doubles(root_arg, 1, "root");
        failed = root == NULL;
    }
    for (size_t i = 0; i < levels.n && !failed; i++) {
        failed = level_of_arrays(&levels, i, n_parts) < 0;
    }
    if (!failed) {
        result = table_of_levels(type, n_tokens, &levels, root, own);
    }
    mb_release(root);
    Py_XDECREF(levels.arrays);
    return result;
}
