/* The type FadingCounts: counts of a row that fade before each of its tokens. */
#include "bind/matrix/transition_object.h"

/* ---- making ----------------------------------------------------------------------------- */

/* A new object with counts that it takes, also on failure. */
static PyObject *
new_object(PyTypeObject *type, mb_fading *counts)
{
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    PyObject *self = alloc(type, 0);
    if (self == NULL) {
        mb_fading_free(counts);
        return NULL;
    }
    ((mb_fading_object *)self)->counts = counts;
    return self;
}

/* -1 with ValueError unless there are such counts. */
static int
check_sizes(long long order, long long n_tokens, double discount)
{
    if (order < 1 || order > MB_MAX_ORDER) {
        PyErr_Format(PyExc_ValueError, "order is %lld; it must be from 1 to %d", order,
                     MB_MAX_ORDER);
    } else if (n_tokens < 1 || n_tokens > 1LL << 32) {
        PyErr_Format(PyExc_ValueError, "n_tokens is %lld; it must be from 1 to 2^32", n_tokens);
    } else if (!(discount > 0.0 && discount <= 1.0)) {
        PyErr_SetString(PyExc_ValueError, "discount must be above 0 and at most 1");
    } else {
        return 0;
    }
    return -1;
}

static PyObject *
fading_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"order", "n_tokens", "discount", NULL};
    long long order, n_tokens;
    double discount;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "LLd:FadingCounts", names, &order, &n_tokens,
                                     &discount) ||
        check_sizes(order, n_tokens, discount) < 0) {
        return NULL;
    }
    mb_fading *counts;
    mb_status status = mb_fading_new((size_t)order, (uint64_t)n_tokens, discount, &counts);
    return status == MB_OK ? new_object(type, counts) : mb_raise(status, NULL);
}

static int
begin_use(PyObject *self, int writes)
{
    return mb_begin_use_of(&((mb_fading_object *)self)->users, writes);
}

static void
end_use(PyObject *self, int writes)
{
    mb_end_use_of(&((mb_fading_object *)self)->users, writes);
}

static PyObject *
fading_copy(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (begin_use(self, 0) < 0) {
        return NULL;
    }
    mb_fading *copy;
    mb_status status = mb_fading_copy(mb_fading_of(self), &copy);
    end_use(self, 0);
    return status == MB_OK ? new_object(Py_TYPE(self), copy) : mb_raise(status, NULL);
}

/* Runs never change, so that a copy that shares them is as deep as any. */
static PyObject *
deepcopy(PyObject *self, PyObject *Py_UNUSED(memo))
{
    return fading_copy(self, NULL);
}

static int
fading_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static void
fading_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    mb_fading_free(mb_fading_of(self));
    freefunc free_object = (freefunc)PyType_GetSlot(type, Py_tp_free);
    free_object(self);
    Py_DECREF(type);
}

static PyObject *
raise_fading(PyObject *self, mb_status status, const mb_token_fault *fault, int of_documents)
{
    const mb_fading *counts = mb_fading_of(self);
    if (status == MB_INVALID && !of_documents && fault->position == counts->order + 1) {
        return PyErr_Format(PyExc_ValueError, "counts[%zu] must be finite and >= 0", fault->row);
    }
    return mb_raise_fault(counts->order, counts->n_tokens, status, fault, of_documents);
}

/* ---- changes ---------------------------------------------------------------------------- */

static PyObject *
fading_update(PyObject *self, PyObject *tokens)
{
    mb_texts texts;
    PyObject *result = NULL;
    if (mb_parse_texts(tokens, &texts) < 0) {
        return NULL;
    }
    if (begin_use(self, 1) == 0) {
        mb_token_fault fault = {0};
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status =
            mb_fading_update(mb_fading_of(self), texts.n, texts.documents, interrupt, &fault);
        mb_end_work(&work);
        end_use(self, 1);
        result = status == MB_OK ? Py_NewRef(Py_None) : raise_fading(self, status, &fault, 1);
    }
    mb_release_texts(&texts);
    return result;
}

/* update_rows() with arguments that are arrays. */
static PyObject *
add_rows(PyObject *self, PyArrayObject *contexts, PyArrayObject *tokens, PyArrayObject *more)
{
    size_t n = mb_dim(contexts, 0), order = mb_fading_of(self)->order;
    if (mb_dim(contexts, 1) != order || mb_dim(tokens, 0) != n || mb_dim(more, 0) != n) {
        return PyErr_Format(PyExc_ValueError,
                            "contexts, tokens and counts have shapes (%zu, %zu), (%zu,) and "
                            "(%zu,); they need (n, %zu), (n,) and (n,)",
                            n, mb_dim(contexts, 1), mb_dim(tokens, 0), mb_dim(more, 0), order);
    }
    if (begin_use(self, 1) < 0) {
        return NULL;
    }
    mb_token_fault fault = {0};
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_fading_add(mb_fading_of(self), n, PyArray_DATA(contexts),
                                     PyArray_DATA(tokens), mb_data(more), interrupt, &fault);
    mb_end_work(&work);
    end_use(self, 1);
    return status == MB_OK ? Py_NewRef(Py_None) : raise_fading(self, status, &fault, 0);
}

static PyObject *
fading_update_rows(PyObject *self, PyObject *args)
{
    PyObject *contexts_arg, *tokens_arg, *counts_arg, *result = NULL;
    if (!PyArg_ParseTuple(args, "OOO:update_rows", &contexts_arg, &tokens_arg, &counts_arg)) {
        return NULL;
    }
    PyArrayObject *contexts = mb_whole_numbers(contexts_arg, 2, 0, "contexts");
    PyArrayObject *tokens = contexts == NULL ? NULL : mb_whole_numbers(tokens_arg, 1, 0, "tokens");
    PyArrayObject *more = tokens == NULL ? NULL : mb_doubles(counts_arg, 1, "counts");
    if (more != NULL) {
        result = add_rows(self, contexts, tokens, more);
    }
    mb_release(contexts);
    mb_release(tokens);
    mb_release(more);
    return result;
}

static PyObject *
fading_merge(PyObject *self, PyObject *other)
{
    if (Py_TYPE(other) != Py_TYPE(self)) {
        return PyErr_Format(PyExc_TypeError, "counts merge with FadingCounts, not %R",
                            (PyObject *)Py_TYPE(other));
    }
    const mb_fading *mine = mb_fading_of(self), *more = mb_fading_of(other);
    if (mine->order != more->order || mine->n_tokens != more->n_tokens) {
        PyErr_SetString(PyExc_ValueError,
                        "counts merge where order and n_tokens are the same, and these differ");
        return NULL;
    }
    if (begin_use(self, 1) < 0) {
        return NULL;
    }
    if (other != self && begin_use(other, 0) < 0) {
        end_use(self, 1);
        return NULL;
    }
    const mb_token_fault fault = {0};
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_fading_merge(mb_fading_of(self), more, interrupt);
    mb_end_work(&work);
    if (other != self) {
        end_use(other, 0);
    }
    end_use(self, 1);
    return status == MB_OK ? Py_NewRef(Py_None) : raise_fading(self, status, &fault, 0);
}

static PyObject *
fading_scale(PyObject *self, PyObject *args)
{
    PyObject *contexts_arg = Py_None, *result = NULL;
    PyArrayObject *contexts = NULL, *none;
    double factor;
    if (!PyArg_ParseTuple(args, "d|O:scale", &factor, &contexts_arg)) {
        return NULL;
    }
    if (!(factor >= 0.0 && factor <= 1.0)) {
        PyErr_SetString(PyExc_ValueError, "factor must be from 0 to 1");
        return NULL;
    }
    if (contexts_arg != Py_None && mb_parse_contexts_of(mb_fading_of(self)->order, contexts_arg,
                                                        NULL, 0, &contexts, &none) < 0) {
        return NULL;
    }
    if (begin_use(self, 1) == 0) {
        mb_token_fault fault = {0};
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status =
            contexts == NULL
                ? mb_fading_scale(mb_fading_of(self), 0, NULL, factor, interrupt, &fault)
                : mb_fading_scale(mb_fading_of(self), mb_dim(contexts, 0), PyArray_DATA(contexts),
                                  factor, interrupt, &fault);
        mb_end_work(&work);
        end_use(self, 1);
        result = status == MB_OK ? Py_NewRef(Py_None) : raise_fading(self, status, &fault, 0);
    }
    mb_release(contexts);
    return result;
}

/* ---- questions ---------------------------------------------------------------------------- */

static PyArrayObject *
new_array(int ndim, size_t n, size_t columns, int type)
{
    npy_intp shape[] = {(npy_intp)n, (npy_intp)columns};
    return (PyArrayObject *)PyArray_SimpleNew(ndim, shape, type);
}

/* One number for each context; tokens are NULL where totals are asked for. */
static PyObject *
ask(PyObject *self, PyArrayObject *contexts, PyArrayObject *tokens)
{
    size_t n = mb_dim(contexts, 0);
    PyArrayObject *out = new_array(1, n, 0, NPY_DOUBLE);
    if (out == NULL || begin_use(self, 0) < 0) {
        mb_release(out);
        return NULL;
    }
    const mb_fading *counts = mb_fading_of(self);
    mb_token_fault fault = {0};
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status =
        tokens == NULL
            ? mb_fading_totals(counts, n, PyArray_DATA(contexts), interrupt, mb_data(out), &fault)
            : mb_fading_counts(counts, n, PyArray_DATA(contexts), PyArray_DATA(tokens), interrupt,
                               mb_data(out), &fault);
    mb_end_work(&work);
    end_use(self, 0);
    if (status != MB_OK) {
        mb_release(out);
        return raise_fading(self, status, &fault, 0);
    }
    return (PyObject *)out;
}

static PyObject *
fading_counts(PyObject *self, PyObject *args)
{
    PyObject *contexts_arg, *tokens_arg;
    PyArrayObject *contexts, *tokens;
    if (!PyArg_ParseTuple(args, "OO:counts", &contexts_arg, &tokens_arg) ||
        mb_parse_contexts_of(mb_fading_of(self)->order, contexts_arg, tokens_arg, 0, &contexts,
                             &tokens) < 0) {
        return NULL;
    }
    PyObject *result = ask(self, contexts, tokens);
    mb_release(contexts);
    mb_release(tokens);
    return result;
}

static PyObject *
fading_totals(PyObject *self, PyObject *contexts_arg)
{
    PyArrayObject *contexts, *none;
    if (mb_parse_contexts_of(mb_fading_of(self)->order, contexts_arg, NULL, 0, &contexts, &none) <
        0) {
        return NULL;
    }
    PyObject *result = ask(self, contexts, NULL);
    mb_release(contexts);
    return result;
}

/* Fills the arrays of rows(), whose sizes the first of two passes tells. */
static PyObject *
read_rows(PyObject *self, PyArrayObject *contexts)
{
    size_t n = mb_dim(contexts, 0);
    PyArrayObject *starts = new_array(1, n + 1, 0, NPY_INT64), *tokens = NULL, *now = NULL;
    PyObject *result = NULL;
    if (starts == NULL) {
        return NULL;
    }
    int64_t *start = PyArray_DATA(starts);
    mb_token_fault fault = {0};
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1) {
            tokens = new_array(1, (size_t)start[n], 0, NPY_UINT32);
            now = new_array(1, (size_t)start[n], 0, NPY_DOUBLE);
            if (tokens == NULL || now == NULL) {
                goto done;
            }
        }
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status = mb_fading_read(mb_fading_of(self), n, PyArray_DATA(contexts), interrupt,
                                          start, pass == 0 ? NULL : PyArray_DATA(tokens),
                                          pass == 0 ? NULL : PyArray_DATA(now), &fault);
        mb_end_work(&work);
        if (status != MB_OK) {
            raise_fading(self, status, &fault, 0);
            goto done;
        }
    }
    result = PyTuple_Pack(3, (PyObject *)starts, (PyObject *)tokens, (PyObject *)now);
done:
    mb_release(starts);
    mb_release(tokens);
    mb_release(now);
    return result;
}

static PyObject *
fading_rows(PyObject *self, PyObject *contexts_arg)
{
    PyArrayObject *contexts, *none;
    PyObject *result = NULL;
    /* a copy: the second pass relies on what the first has read */
    if (mb_parse_contexts_of(mb_fading_of(self)->order, contexts_arg, NULL, NPY_ARRAY_ENSURECOPY,
                             &contexts, &none) < 0) {
        return NULL;
    }
    if (begin_use(self, 0) == 0) {
        result = read_rows(self, contexts);
        end_use(self, 0);
    }
    mb_release(contexts);
    return result;
}

/* All runs as one, for a reader; NULL with an exception set. */
static mb_fading_run *
settled(PyObject *self)
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
        arrays[i] = new_array(i == CONTEXTS ? 2 : 1, sizes[i], counts->order,
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
settled_arrays(PyObject *self, int is_now)
{
    PyObject *result = NULL;
    if (begin_use(self, 0) < 0) {
        return NULL;
    }
    mb_fading_run *run = settled(self);
    if (run != NULL) {
        result = run_arrays(mb_fading_of(self), run, is_now);
        mb_fading_run_free(run);
    }
    end_use(self, 0);
    return result;
}

static PyObject *
fading_all(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return settled_arrays(self, 1);
}

static PyObject *
fading_arrays(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return settled_arrays(self, 0);
}

static PyObject *
fading_sizes(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (begin_use(self, 0) < 0) {
        return NULL;
    }
    mb_fading_run *run = settled(self);
    end_use(self, 0);
    if (run == NULL) {
        return NULL;
    }
    size_t n_rows = run->n_rows, n_pairs = run->n_pairs;
    mb_fading_run_free(run);
    return Py_BuildValue("nn", (Py_ssize_t)n_rows, (Py_ssize_t)n_pairs);
}

/* ---- evidence ------------------------------------------------------------------------- */

/* -1 with an exception set unless these are a mixture of Dirichlets over V tokens, or one alpha. */
static int
check_prior(const mb_fading *counts, PyArrayObject *weights, PyArrayObject *concentration,
            PyArrayObject *alpha, mb_fading_prior *prior)
{
    size_t k = mb_dim(weights, 0), columns = mb_dim(alpha, 1);
    if (k < 1 || mb_dim(concentration, 0) != k || mb_dim(alpha, 0) != k ||
        (columns != 1 && columns != counts->n_tokens)) {
        PyErr_Format(PyExc_ValueError,
                     "weights, concentration and alpha have shapes (%zu,), (%zu,) and (%zu, %zu); "
                     "they need (K,), (K,) and (K, V) or (K, 1)",
                     k, mb_dim(concentration, 0), mb_dim(alpha, 0), columns);
        return -1;
    }
    *prior =
        (mb_fading_prior){k, columns, mb_data(weights), mb_data(concentration), mb_data(alpha)};
    return 0;
}

static PyObject *
score(PyObject *self, const mb_texts *texts, const mb_fading_prior *prior)
{
    double found;
    if (begin_use(self, 0) < 0) {
        return NULL;
    }
    mb_token_fault fault = {0};
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_fading_evidence(mb_fading_of(self), texts->n, texts->documents, prior,
                                          interrupt, &found, &fault);
    mb_end_work(&work);
    end_use(self, 0);
    return status == MB_OK ? PyFloat_FromDouble(found) : raise_fading(self, status, &fault, 1);
}

static PyObject *
fading_log_evidence(PyObject *self, PyObject *args)
{
    PyObject *tokens, *weights_arg, *concentration_arg, *alpha_arg, *result = NULL;
    mb_texts texts;
    mb_fading_prior prior;
    if (!PyArg_ParseTuple(args, "OOOO:log_evidence", &tokens, &weights_arg, &concentration_arg,
                          &alpha_arg) ||
        mb_parse_texts(tokens, &texts) < 0) {
        return NULL;
    }
    PyArrayObject *weights = mb_doubles(weights_arg, 1, "weights"), *concentration = NULL;
    PyArrayObject *alpha = NULL;
    if (weights != NULL) {
        concentration = mb_doubles(concentration_arg, 1, "concentration");
    }
    if (concentration != NULL) {
        alpha = mb_doubles(alpha_arg, 2, "alpha");
    }
    if (alpha != NULL &&
        check_prior(mb_fading_of(self), weights, concentration, alpha, &prior) == 0) {
        result = score(self, &texts, &prior);
    }
    mb_release(weights);
    mb_release(concentration);
    mb_release(alpha);
    mb_release_texts(&texts);
    return result;
}

/* ---- arrays --------------------------------------------------------------------------- */

static PyObject *
fading_reduce(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    const mb_fading *counts = mb_fading_of(self);
    PyObject *make = PyObject_GetAttrString((PyObject *)Py_TYPE(self), "from_arrays");
    PyObject *arrays = make == NULL ? NULL : settled_arrays(self, 0), *result = NULL;
    if (arrays != NULL) {
        result = Py_BuildValue("O(nKdO)", make, (Py_ssize_t)counts->order,
                               (unsigned long long)counts->n_tokens, counts->discount, arrays);
    }
    Py_XDECREF(make);
    Py_XDECREF(arrays);
    return result;
}

/* Fills `rows` with all arrays of theirs, or with N_OF_ALL and NULL after them. */
static int
check_rows(size_t order, PyArrayObject *const *arrays, mb_fading_rows *rows)
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
load(PyObject *type, size_t order, uint64_t n_tokens, double discount, const mb_fading_rows *rows)
{
    mb_fading *counts;
    const char *wrong = "the sum of all counts is infinite";
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_fading_load(order, n_tokens, discount, rows, interrupt, &counts, &wrong);
    mb_end_work(&work);
    return status == MB_OK ? new_object((PyTypeObject *)type, counts) : mb_raise(status, wrong);
}

static PyObject *
fading_from_arrays(PyObject *type, PyObject *args)
{
    long long order, n_tokens;
    double discount;
    PyObject *given, *result = NULL;
    PyArrayObject *arrays[N_ARRAYS] = {NULL};
    mb_fading_rows rows;
    if (!PyArg_ParseTuple(args, "LLdO:from_arrays", &order, &n_tokens, &discount, &given) ||
        check_sizes(order, n_tokens, discount) < 0) {
        return NULL;
    }
    PyObject *items = PySequence_Tuple(given);
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
    if (items != NULL && check_rows((size_t)order, arrays, &rows) == 0) {
        result = load(type, (size_t)order, (uint64_t)n_tokens, discount, &rows);
    }
done:
    for (int i = 0; i < N_ARRAYS; i++) {
        mb_release(arrays[i]);
    }
    Py_XDECREF(items);
    return result;
}

/* ---- the type ----------------------------------------------------------------------------- */

static PyObject *
get_order(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSize_t(mb_fading_of(self)->order);
}

static PyObject *
get_n_tokens(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(mb_fading_of(self)->n_tokens);
}

static PyObject *
get_discount(PyObject *self, void *Py_UNUSED(closure))
{
    return PyFloat_FromDouble(mb_fading_of(self)->discount);
}

static PyObject *
get_n_observed(PyObject *self, void *Py_UNUSED(closure))
{
    double sum;
    if (begin_use(self, 0) < 0) {
        return NULL;
    }
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_fading_sum(mb_fading_of(self), interrupt, &sum);
    mb_end_work(&work);
    end_use(self, 0);
    return status == MB_OK ? PyFloat_FromDouble(sum) : mb_raise(status, NULL);
}

static PyObject *
get_nbytes(PyObject *self, void *Py_UNUSED(closure))
{
    if (begin_use(self, 0) < 0) {
        return NULL;
    }
    size_t n = mb_fading_bytes(mb_fading_of(self));
    end_use(self, 0);
    return PyLong_FromSize_t(n);
}

static PyGetSetDef fading_getset[] = {
    {"order", get_order, NULL, "Tokens in a context.", NULL},
    {"n_tokens", get_n_tokens, NULL, "Size of the vocabulary, V.", NULL},
    {"discount", get_discount, NULL, "What a row is multiplied by before each of its tokens.",
     NULL},
    {"n_observed", get_n_observed, NULL, "The sum of all counts.", NULL},
    {"nbytes", get_nbytes, NULL, "Bytes of memory.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(
    log_evidence_doc,
    "log_evidence($self, tokens, weights, concentration, alpha, /)\n--\n\n"
    "Log-probability of the tokens with a whole context in documents, each counted before\n"
    "the next is scored; the counts stay as they are.\n\n"
    "Parameters\n----------\n"
    "tokens : array_like of int, or list of them\n    As for `update`.\n"
    "weights, concentration : array_like of shape (K,)\n"
    "alpha : array_like of shape (K, V), or (K, 1) where all tokens have the same\n"
    "    The prior of each row, a mixture of Dirichlets.\n\n"
    "Returns\n-------\nfloat\n    In nats.");

PyDoc_STRVAR(from_arrays_doc, "from_arrays($type, order, n_tokens, discount, arrays, /)\n--\n\n"
                              "Counts that begin with those of others.\n\n"
                              "Parameters\n----------\n"
                              "order, n_tokens : int\n"
                              "discount : float\n"
                              "arrays : sequence of array_like\n"
                              "    What `arrays` gave or `all`: contexts and the tokens of a row "
                              "rise, and no row is empty.\n\n"
                              "Raises\n------\nValueError\n    Something is wrong with them.");

static PyMethodDef fading_methods[] = {
    {"update", fading_update, METH_O,
     "update($self, tokens, /)\n--\n\n"
     "Count the tokens of a document (1-D, any type of whole numbers), or of a list of documents,\n"
     "in their order.  No context crosses from one document to the next."},
    {"update_rows", fading_update_rows, METH_VARARGS,
     "update_rows($self, contexts, tokens, counts, /)\n--\n\n"
     "Add counts (n,), real and >= 0, of tokens (n,) after contexts (n, order); nothing fades."},
    {"merge", fading_merge, METH_O,
     "merge($self, other, /)\n--\n\n"
     "Add the counts of another of the same order and n_tokens; nothing fades."},
    {"scale", fading_scale, METH_VARARGS,
     "scale($self, factor, contexts=None, /)\n--\n\n"
     "Multiply the rows of contexts (n, order), each once, or all, by a factor from 0 to 1."},
    {"copy", fading_copy, METH_NOARGS,
     "copy($self, /)\n--\n\n"
     "Counts that begin as these are and change on their own.  Memory is shared until they do."},
    {"counts", fading_counts, METH_VARARGS,
     "counts($self, contexts, tokens, /)\n--\n\n"
     "The count of each of tokens (n,) after each of contexts (n, order); shape (n,)."},
    {"totals", fading_totals, METH_O,
     "totals($self, contexts, /)\n--\n\nThe sum of the row of each of contexts (n, order); (n,)."},
    {"rows", fading_rows, METH_O,
     "rows($self, contexts, /)\n--\n\n"
     "Rows of contexts (n, order) as (indptr, tokens, counts); tokens rise within a row."},
    {"all", fading_all, METH_NOARGS,
     "all($self, /)\n--\n\n"
     "Every row, as (contexts, indptr, tokens, counts); contexts rise."},
    {"sizes", fading_sizes, METH_NOARGS,
     "sizes($self, /)\n--\n\nHow many contexts and how many pairs have a count."},
    {"arrays", fading_arrays, METH_NOARGS,
     "arrays($self, /)\n--\n\n"
     "Every row, as (contexts, indptr, tokens, counts, rests, times, clocks), which round "
     "nothing:\n"
     "a count is now (count + rest) * discount ** (clock - time), with the clock of its row."},
    {"from_arrays", fading_from_arrays, METH_CLASS | METH_VARARGS, from_arrays_doc},
    {"log_evidence", fading_log_evidence, METH_VARARGS, log_evidence_doc},
    {"__copy__", fading_copy, METH_NOARGS, NULL},
    {"__deepcopy__", deepcopy, METH_O, NULL},
    {"__reduce__", fading_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(
    fading_doc,
    "FadingCounts(order, n_tokens, discount)\n--\n\n"
    "Real counts of tokens after contexts: before a token of a row is counted, the counts\n"
    "of its row are multiplied by the discount.  Below 1e-300 they are none.\n\n"
    "Used by one thread that changes it, or by many that read it: a clash raises\n"
    "RuntimeError.  A call that fails leaves it as it was.\n\n"
    "Parameters\n----------\n"
    "order : int\n    Tokens in a context, 1 to 16.\n"
    "n_tokens : int\n    Size of the vocabulary, 1 to 2^32.\n"
    "discount : float\n    Above 0, at most 1.\n\n"
    "Examples\n--------\n"
    ">>> from matrixbayes import _core\n"
    ">>> counts = _core.FadingCounts(1, 3, 0.5)\n"
    ">>> counts.update([0, 1, 0, 1, 0, 2])\n"
    ">>> counts.counts([[0], [0]], [1, 2])\n"
    "array([0.75, 1.  ])\n");

static PyType_Slot fading_slots[] = {
    {Py_tp_doc, (void *)fading_doc},
    {Py_tp_new, fading_new},
    {Py_tp_traverse, fading_traverse},
    {Py_tp_dealloc, fading_dealloc},
    {Py_tp_getset, fading_getset},
    {Py_tp_methods, fading_methods},
    {0, NULL},
};

PyType_Spec mb_fading_spec = {
    .name = "matrixbayes._core.FadingCounts",
    .basicsize = sizeof(mb_fading_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = fading_slots,
};
