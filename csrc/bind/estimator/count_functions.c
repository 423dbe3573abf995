/* Passes over rows of counts: their evidence, responsibilities and sums. */
#include "bind/estimator/estimator.h"
#include "core/base/mem.h"
#include "core/estimator/count_expectation.h"
#include "core/mixture/posterior.h"

/* Zeros [rows][columns] that begin with a cache line: a row of a table is one or a few of them,
 * and to read it across their edges takes twice the time. */
static PyArrayObject *
new_lines(size_t rows, size_t columns)
{
    enum { LINE = 64 };
    npy_intp shape[] = {(npy_intp)rows, (npy_intp)columns};
    npy_intp room = PyArray_MultiplyList(shape, 2) + LINE / (npy_intp)sizeof(double);
    PyArrayObject *memory = (PyArrayObject *)PyArray_ZEROS(1, &room, NPY_DOUBLE, 0);
    if (memory == NULL) {
        return NULL;
    }
    char *data = PyArray_DATA(memory);
    data += (LINE - (uintptr_t)data % LINE) % LINE;
    PyArrayObject *lines =
        (PyArrayObject *)mb_view((PyObject *)memory, 2, shape, NPY_DOUBLE, (void *)data);
    mb_release(memory);
    if (lines != NULL) {
        PyArray_ENABLEFLAGS(lines, NPY_ARRAY_WRITEABLE);
    }
    return lines;
}

static PyObject *
evidence_table(PyObject *module, PyObject *args)
{
    mb_state *state = mb_module_state(module);
    PyObject *mixture, *object;
    if (!PyArg_ParseTuple(args, "O!O!:evidence_table", state->mixture, &mixture, state->counts,
                          &object)) {
        return NULL;
    }
    const mb_mixture *m = mb_mixture_of(mixture);
    const mb_counts *c = mb_counts_of(object);
    if (c->n_tokens != m->n_tokens) {
        PyErr_Format(PyExc_ValueError, "counts have %zu columns, the mixture %zu tokens",
                     c->n_tokens, m->n_tokens);
        return NULL;
    }
    PyArrayObject *table = new_lines(c->n_cells, mb_table_width(m->n_components));
    if (table == NULL) {
        return NULL;
    }
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_evidence_table(m, c, interrupt, mb_data(table));
    mb_end_work(&work);
    if (status != MB_OK) {
        mb_release(table);
        return mb_raise(status, NULL);
    }
    return (PyObject *)table;
}

/* What a pass goes over, from (mixture, counts, table, start, stop[, sample_weight]). */
typedef struct {
    const mb_mixture *mixture;
    const mb_counts *counts;
    PyArrayObject *table, *sample_weight;
    size_t start, end;
} pass;

static int
parse_pass(PyObject *module, PyObject *args, pass *p)
{
    mb_state *state = mb_module_state(module);
    PyObject *mixture, *object, *table, *weight = Py_None;
    Py_ssize_t start, end;
    *p = (pass){0};
    if (!PyArg_ParseTuple(args, "O!O!Onn|O", state->mixture, &mixture, state->counts, &object,
                          &table, &start, &end, &weight)) {
        return -1;
    }
    p->mixture = mb_mixture_of(mixture);
    p->counts = mb_counts_of(object);
    if (start < 0 || end < start || (size_t)end > p->counts->n_rows) {
        PyErr_Format(PyExc_ValueError, "there are no rows %zd to %zd among %zu", start, end,
                     p->counts->n_rows);
        return -1;
    }
    p->start = (size_t)start;
    p->end = (size_t)end;
    p->table = mb_doubles(table, 2, "table");
    if (p->table == NULL) {
        return -1;
    }
    if (mb_dim(p->table, 0) != p->counts->n_cells ||
        mb_dim(p->table, 1) != mb_table_width(p->mixture->n_components)) {
        PyErr_SetString(PyExc_ValueError,
                        "table is not what evidence_table(mixture, counts) gives");
        mb_release(p->table);
        return -1;
    }
    if (weight != Py_None) {
        p->sample_weight = mb_doubles(weight, 1, "sample_weight");
        if (p->sample_weight != NULL && mb_dim(p->sample_weight, 0) != p->counts->n_rows) {
            PyErr_Format(PyExc_ValueError, "sample_weight has %zu entries for %zu rows",
                         mb_dim(p->sample_weight, 0), p->counts->n_rows);
            mb_release(p->sample_weight);
            p->sample_weight = NULL;
        }
        if (p->sample_weight == NULL) {
            mb_release(p->table);
            return -1;
        }
    }
    return 0;
}

static PyObject *
count_log_joint(PyObject *module, PyObject *args)
{
    pass p;
    if (parse_pass(module, args, &p) < 0) {
        return NULL;
    }
    size_t n_components = p.mixture->n_components;
    npy_intp shape[] = {(npy_intp)(p.end - p.start), (npy_intp)n_components};
    PyArrayObject *joint = mb_new_doubles(2, shape);
    double *scratch = mb_calloc(mb_count_scratch(n_components), sizeof(double));
    mb_status status = MB_NOMEM;
    if (joint != NULL && scratch != NULL) {
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        status = mb_counts_log_joint(p.counts, p.start, p.end, n_components, p.mixture->log_weights,
                                     mb_data(p.table), interrupt, scratch, mb_data(joint));
        mb_end_work(&work);
    }
    mb_free(scratch);
    mb_release(p.table);
    mb_release(p.sample_weight);
    if (status != MB_OK) {
        mb_release(joint);
        return mb_raise(status, NULL);
    }
    return (PyObject *)joint;
}

static PyObject *
count_posterior(PyObject *module, PyObject *args)
{
    pass p;
    if (parse_pass(module, args, &p) < 0) {
        return NULL;
    }
    size_t n_components = p.mixture->n_components, n = p.end - p.start;
    npy_intp shape[] = {(npy_intp)n, (npy_intp)n_components};
    PyArrayObject *shares = mb_new_doubles(2, shape), *evidence = mb_new_doubles(1, shape);
    double *scratch = mb_calloc(mb_count_scratch(n_components), sizeof(double));
    PyObject *result = NULL;
    if (shares == NULL || evidence == NULL || scratch == NULL) {
        mb_raise(MB_NOMEM, NULL);
        goto done;
    }
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status =
        mb_counts_log_joint(p.counts, p.start, p.end, n_components, p.mixture->log_weights,
                            mb_data(p.table), interrupt, scratch, mb_data(shares));
    if (status == MB_OK) {
        status =
            mb_normalize_log_joint(n, n_components, interrupt, mb_data(shares), mb_data(evidence));
    }
    mb_end_work(&work);
    result = status != MB_OK ? mb_raise(status, NULL)
                             : PyTuple_Pack(2, (PyObject *)shares, (PyObject *)evidence);
done:
    mb_free(scratch);
    mb_release(shares);
    mb_release(evidence);
    mb_release(p.table);
    mb_release(p.sample_weight);
    return result;
}

/* New arrays for sums of counts, and scratch; 0 where memory is short. */
static int
new_count_sums(const mb_counts *counts, size_t n_components, PyArrayObject **weight,
               PyArrayObject **cells, double **scratch)
{
    npy_intp shape[] = {(npy_intp)n_components};
    *weight = (PyArrayObject *)PyArray_ZEROS(1, shape, NPY_DOUBLE, 0);
    *cells = new_lines(counts->n_cells, mb_table_width(n_components));
    *scratch = mb_calloc(mb_count_scratch(n_components), sizeof(double));
    return *weight != NULL && *cells != NULL && *scratch != NULL;
}

static PyObject *
count_expectation(PyObject *module, PyObject *args)
{
    pass p;
    if (parse_pass(module, args, &p) < 0) {
        return NULL;
    }
    size_t n_components = p.mixture->n_components;
    PyArrayObject *weight, *cells;
    double *scratch;
    PyObject *result = NULL;
    if (!new_count_sums(p.counts, n_components, &weight, &cells, &scratch)) {
        mb_raise(MB_NOMEM, NULL);
        goto done;
    }
    mb_count_sums sums = {mb_data(weight), mb_data(cells), 0.0};
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_count_expectation(
        p.counts, p.start, p.end, n_components, p.mixture->log_weights, mb_data(p.table),
        p.sample_weight == NULL ? NULL : mb_data(p.sample_weight), interrupt, scratch, &sums);
    mb_end_work(&work);
    result = status != MB_OK
                 ? mb_raise(status, NULL)
                 : Py_BuildValue("OOd", (PyObject *)weight, (PyObject *)cells, sums.log_likelihood);
done:
    mb_free(scratch);
    mb_release(weight);
    mb_release(cells);
    mb_release(p.table);
    mb_release(p.sample_weight);
    return result;
}

static PyObject *
count_accumulate(PyObject *module, PyObject *args)
{
    mb_state *state = mb_module_state(module);
    PyObject *object, *shares_arg;
    Py_ssize_t start = -1;
    if (!PyArg_ParseTuple(args, "O!O|n:count_accumulate", state->counts, &object, &shares_arg,
                          &start)) {
        return NULL;
    }
    const mb_counts *c = mb_counts_of(object);
    PyArrayObject *shares = mb_doubles(shares_arg, 2, "responsibilities"), *weight, *cells;
    if (shares == NULL) {
        return NULL;
    }
    size_t n_components = mb_dim(shares, 1), n = mb_dim(shares, 0);
    size_t first = start < 0 ? 0 : (size_t)start;
    if (first > c->n_rows || n > c->n_rows - first || (start < 0 && n != c->n_rows) ||
        n_components == 0) {
        PyErr_Format(PyExc_ValueError, "responsibilities have shape (%zu, %zu) for %zu rows", n,
                     n_components, c->n_rows - (first < c->n_rows ? first : c->n_rows));
        mb_release(shares);
        return NULL;
    }
    double *scratch;
    PyObject *result = NULL;
    if (!new_count_sums(c, n_components, &weight, &cells, &scratch)) {
        mb_raise(MB_NOMEM, NULL);
        goto done;
    }
    mb_count_sums sums = {mb_data(weight), mb_data(cells), 0.0};
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_count_accumulate(c, first, first + n, n_components, mb_data(shares),
                                           interrupt, scratch, &sums);
    mb_end_work(&work);
    result = status != MB_OK ? mb_raise(status, NULL)
                             : PyTuple_Pack(2, (PyObject *)weight, (PyObject *)cells);
done:
    mb_free(scratch);
    mb_release(weight);
    mb_release(cells);
    mb_release(shares);
    return result;
}

PyMethodDef mb_count_functions[] = {
    {"evidence_table", evidence_table, METH_VARARGS,
     "evidence_table($module, mixture, counts, /)\n--\n\n"
     "What each cell of counts adds to the log-evidence under each component; shape (C, K "
     "padded)."},
    {"count_log_joint", count_log_joint, METH_VARARGS,
     "count_log_joint($module, mixture, counts, table, start, stop, /)\n--\n\n"
     "ln w_k + ln L_k (n, K) of each of the rows start .. stop."},
    {"count_posterior", count_posterior, METH_VARARGS,
     "count_posterior($module, mixture, counts, table, start, stop, /)\n--\n\n"
     "Probability (n, K) of each component given each of the rows start .. stop, and their\n"
     "log-evidence (n,) as sequences."},
    {"count_expectation", count_expectation, METH_VARARGS,
     "count_expectation($module, mixture, counts, table, start, stop, sample_weight=None, "
     "/)\n--\n\n"
     "Weight (K,) of rows start .. stop and of their cells (C, K padded) under a mixture's\n"
     "responsibilities, and their log-likelihood."},
    {"count_accumulate", count_accumulate, METH_VARARGS,
     "count_accumulate($module, counts, responsibilities, start=-1, /)\n--\n\n"
     "The same weights for responsibilities (n, K) that are given: of all rows, or of those from\n"
     "start on."},
    {NULL, NULL, 0, NULL},
};
