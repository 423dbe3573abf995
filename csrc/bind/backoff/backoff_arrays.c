/* BackoffTable: the arrays that make the same table, and where its pairs lead. */
#include "bind/backoff/backoff_object.h"

#include <math.h>

enum { STARTS, TOKENS, VALUES, BACKS, CONTEXTS, BASE, ROOT, N_RESULTS };

/* New arrays of a level, in the order above; -1 with an exception set. */
static int
new_level_arrays(const mb_backoff *table, size_t level, PyArrayObject **a)
{
    size_t first = table->firsts[level], n = table->firsts[level + 1] - first;
    size_t n_pairs = table->contexts[first + n].first - table->contexts[first].first;
    a[STARTS] = mb_new_array(n + 1, MB_NO_COLUMNS, NPY_INT64);
    a[TOKENS] = mb_new_array(n_pairs, MB_NO_COLUMNS, NPY_INT64);
    a[VALUES] = mb_new_array(n_pairs, MB_NO_COLUMNS, NPY_DOUBLE);
    a[BACKS] = mb_new_array(n, MB_NO_COLUMNS, NPY_DOUBLE);
    a[CONTEXTS] = mb_new_array(n, level, NPY_INT64);
    a[BASE] = table->base == NULL ? NULL : mb_new_array(n, MB_NO_COLUMNS, NPY_DOUBLE);
    for (int part = 0; part < BASE + (table->base != NULL); part++) {
        if (a[part] == NULL) {
            return -1;
        }
    }
    return 0;
}

static mb_status
copy_out(const mb_backoff *table, size_t level, PyArrayObject *const *a, mb_interrupt *interrupt)
{
    size_t first = table->firsts[level], n = mb_dim(a[BACKS], 0);
    size_t first_pair = table->contexts[first].first;
    int64_t *starts = PyArray_DATA(a[STARTS]), *tokens = PyArray_DATA(a[TOKENS]);
    for (size_t i = 0; i <= n; i++) {
        starts[i] = (int64_t)(table->contexts[first + i].first - first_pair);
    }
    for (size_t i = 0; i < n; i++) {
        mb_data(a[BACKS])[i] =
            level == 0 && table->base == NULL ? 1.0 : table->contexts[first + i].back;
        if (table->base != NULL) {
            mb_data(a[BASE])[i] = table->base[first + i];
        }
    }
    MB_TRY(mb_ask(interrupt, 4 * n));
    for (size_t i = 0; i < mb_dim(a[TOKENS], 0); i++) {
        const mb_backoff_pair *pair = table->pairs + first_pair + i;
        tokens[i] = (int64_t)pair->token;
        mb_data(a[VALUES])[i] = signbit(pair->value) ? NAN : pair->value;
        MB_TRY(i % 1024 == 0 ? mb_ask(interrupt, 4096) : MB_OK);
    }
    return MB_OK;
}

/* Adds the arrays of a level to the lists; -1 with an exception set. */
static int
add_level(const mb_backoff *table, size_t level, PyObject *result)
{
    PyArrayObject *a[N_RESULTS] = {NULL};
    mb_status status = MB_OK;
    int failed = new_level_arrays(table, level, a);
    if (!failed) {
        const int64_t *shorter = NULL;
        if (level > 0) {
            PyObject *before =
                PyList_GetItem(PyTuple_GetItem(result, CONTEXTS), (Py_ssize_t)level - 1);
            shorter = PyArray_DATA((PyArrayObject *)before);
        }
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        status = copy_out(table, level, a, interrupt);
        if (status == MB_OK && level > 0) {
            status =
                mb_backoff_contexts(table, level, shorter, interrupt, PyArray_DATA(a[CONTEXTS]));
        }
        mb_end_work(&work);
    }
    if (status != MB_OK) {
        mb_raise(status, NULL);
        failed = -1;
    }
    for (int part = 0; part < ROOT; part++) {
        if (!failed && a[part] != NULL) {
            failed = PyList_Append(PyTuple_GetItem(result, part), (PyObject *)a[part]);
        }
        mb_release(a[part]);
    }
    return failed;
}

PyObject *
mb_backoff_method_arrays(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    const mb_backoff *table = mb_backoff_of(self);
    PyObject *result = PyTuple_New(N_RESULTS);
    npy_intp n_tokens = (npy_intp)table->n_tokens;
    int failed = result == NULL;
    for (int part = 0; part < ROOT && !failed; part++) {
        PyObject *list = part == BASE && table->base == NULL ? Py_NewRef(Py_None) : PyList_New(0);
        failed = list == NULL || PyTuple_SetItem(result, part, list) < 0;
    }
    for (size_t level = 0; level < table->n_levels && !failed; level++) {
        failed = add_level(table, level, result);
    }
    if (!failed) {
        PyArrayObject *root = mb_new_doubles(1, &n_tokens);
        const double *from = table->base == NULL ? table->row : table->mean;
        for (size_t w = 0; root != NULL && w < table->n_tokens; w++) {
            mb_data(root)[w] = from[w];
        }
        failed = root == NULL || PyTuple_SetItem(result, ROOT, (PyObject *)root) < 0;
    }
    if (failed) {
        Py_CLEAR(result);
    }
    return result;
}

/* Which context of the next level each pair of a level is; of the first, each token. */
static PyArrayObject *
leads_of_level(const mb_backoff *table, size_t level)
{
    size_t first = table->firsts[level + 1], end = table->firsts[level + 2];
    size_t from = table->contexts[table->firsts[level]].first;
    size_t n = level == 0 ? (size_t)table->n_tokens + 1 : table->contexts[first].first - from;
    PyArrayObject *leads = mb_new_array(n, MB_NO_COLUMNS, NPY_INT64);
    if (leads != NULL) {
        int64_t *out = PyArray_DATA(leads);
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status = MB_OK;
        for (size_t i = 0; i < n && status == MB_OK; i++) {
            size_t next = level == 0 ? table->next[i] : table->pairs[from + i].next;
            out[i] = next >= first && next < end ? (int64_t)(next - first) : -1;
            status = i % 1024 == 0 ? mb_ask(interrupt, 4096) : MB_OK;
        }
        mb_end_work(&work);
        if (status != MB_OK) {
            mb_raise(status, NULL);
            mb_release(leads);
            return NULL;
        }
    }
    return leads;
}

PyObject *
mb_backoff_method_leads(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    const mb_backoff *table = mb_backoff_of(self);
    PyObject *result = PyList_New(0);
    for (size_t level = 0; result != NULL && level + 1 < table->n_levels; level++) {
        PyArrayObject *leads = leads_of_level(table, level);
        if (leads == NULL || PyList_Append(result, (PyObject *)leads) < 0) {
            Py_CLEAR(result);
        }
        mb_release(leads);
    }
    return result;
}
