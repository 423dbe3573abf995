/* The type FadingCounts: counts of a row that fade before each of its tokens. */
#include "bind/matrix/transition_object.h"

int
mb_check_discount(double discount)
{
    if (!(discount > 0.0 && discount <= 1.0)) {
        PyErr_SetString(PyExc_ValueError, "discount must be above 0 and at most 1");
        return -1;
    }
    return 0;
}

static PyObject *
fading_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"order", "n_tokens", "discount", NULL};
    long long order, n_tokens;
    double discount;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "LLd:FadingCounts", names, &order, &n_tokens,
                                     &discount) ||
        mb_check_order(1, order, n_tokens) < 0 || mb_check_discount(discount) < 0) {
        return NULL;
    }
    mb_fading *counts;
    mb_status status = mb_fading_new((size_t)order, (uint64_t)n_tokens, discount, &counts);
    return status == MB_OK ? mb_new_transition_object(type, NULL, counts) : mb_raise(status, NULL);
}

/* ---- changes ---------------------------------------------------------------------------- */

/* update_rows() with arguments that are arrays. */
static PyObject *
add_fading_rows(PyObject *self, PyArrayObject *contexts, PyArrayObject *tokens, PyArrayObject *more)
{
    size_t n = mb_dim(contexts, 0), order = mb_order_of(self);
    mb_job job;
    if (mb_dim(contexts, 1) != order || mb_dim(tokens, 0) != n || mb_dim(more, 0) != n) {
        return PyErr_Format(PyExc_ValueError,
                            "contexts, tokens and counts have shapes (%zu, %zu), (%zu,) and "
                            "(%zu,); they need (n, %zu), (n,) and (n,)",
                            n, mb_dim(contexts, 1), mb_dim(tokens, 0), mb_dim(more, 0), order);
    }
    if (mb_begin_job(&job, self, 1) < 0) {
        return NULL;
    }
    mb_status status =
        mb_fading_add(mb_fading_of(self), n, PyArray_DATA(contexts), PyArray_DATA(tokens),
                      mb_data(more), job.interrupt, &job.fault);
    return mb_finish_job(&job, status, 0);
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
        result = add_fading_rows(self, contexts, tokens, more);
    }
    mb_release(contexts);
    mb_release(tokens);
    mb_release(more);
    return result;
}

static PyObject *
fading_scale(PyObject *self, PyObject *args)
{
    PyObject *contexts_arg = Py_None, *result = NULL;
    PyArrayObject *contexts = NULL, *none;
    double factor;
    mb_job job;
    if (!PyArg_ParseTuple(args, "d|O:scale", &factor, &contexts_arg)) {
        return NULL;
    }
    if (!(factor >= 0.0 && factor <= 1.0)) {
        PyErr_SetString(PyExc_ValueError, "factor must be from 0 to 1");
        return NULL;
    }
    if (contexts_arg != Py_None &&
        mb_parse_contexts(self, contexts_arg, NULL, 0, &contexts, &none) < 0) {
        return NULL;
    }
    if (mb_begin_job(&job, self, 1) == 0) {
        size_t n = contexts == NULL ? 0 : mb_dim(contexts, 0);
        mb_status status =
            mb_fading_scale(mb_fading_of(self), n, contexts == NULL ? NULL : PyArray_DATA(contexts),
                            factor, job.interrupt, &job.fault);
        result = mb_finish_job(&job, status, 0);
    }
    mb_release(contexts);
    return result;
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
    for (size_t i = 0; i < k; i++) {
        if (!isfinite(((const double *)mb_data(concentration))[i])) {
            PyErr_SetString(PyExc_ValueError, "concentration must be finite");
            return -1;
        }
    }
    *prior =
        (mb_fading_prior){k, columns, mb_data(weights), mb_data(concentration), mb_data(alpha)};
    return 0;
}

static PyObject *
score_texts(PyObject *self, const mb_documents *texts, const mb_fading_prior *prior)
{
    double found;
    mb_job job;
    if (mb_begin_job(&job, self, 0) < 0) {
        return NULL;
    }
    mb_status status = mb_fading_evidence(mb_fading_of(self), texts->n, texts->documents, prior,
                                          job.interrupt, &found, &job.fault);
    return mb_end_job(&job, status, 1) == 0 ? PyFloat_FromDouble(found) : NULL;
}

static PyObject *
fading_log_evidence(PyObject *self, PyObject *args)
{
    PyObject *tokens, *weights_arg, *concentration_arg, *alpha_arg, *result = NULL;
    mb_documents texts;
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
        result = score_texts(self, &texts, &prior);
    }
    mb_release(weights);
    mb_release(concentration);
    mb_release(alpha);
    mb_release_texts(&texts);
    return result;
}

/* ---- the type ------------------------------------------------------------------------- */

static PyObject *
fading_discount(PyObject *self, void *Py_UNUSED(closure))
{
    return PyFloat_FromDouble(mb_fading_of(self)->discount);
}

static PyObject *
fading_n_observed(PyObject *self, void *Py_UNUSED(closure))
{
    double sum;
    mb_job job;
    if (mb_begin_job(&job, self, 0) < 0) {
        return NULL;
    }
    mb_status status = mb_fading_sum(mb_fading_of(self), job.interrupt, &sum);
    return mb_end_job(&job, status, 0) == 0 ? PyFloat_FromDouble(sum) : NULL;
}

static PyGetSetDef fading_getset[] = {
    {"order", mb_getter_order, NULL, "Tokens in a context.", NULL},
    {"n_tokens", mb_getter_n_tokens, NULL, "Size of the vocabulary, V.", NULL},
    {"discount", fading_discount, NULL, "What a row is multiplied by before each of its tokens.",
     NULL},
    {"n_observed", fading_n_observed, NULL, "The sum of all counts.", NULL},
    {"nbytes", mb_getter_nbytes, NULL, "Bytes of memory.", NULL},
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

PyDoc_STRVAR(fading_from_arrays_doc,
             "from_arrays($type, order, n_tokens, discount, arrays, /)\n--\n\n"
             "Counts that begin with those of others.\n\n"
             "Parameters\n----------\n"
             "order, n_tokens : int\n"
             "discount : float\n"
             "arrays : sequence of array_like\n"
             "    What `arrays` gave or `all`: contexts and the tokens of a row "
             "rise, and no row is empty.\n\n"
             "Raises\n------\nValueError\n    Something is wrong with them.");

static PyMethodDef fading_methods[] = {
    {"update", mb_method_update, METH_VARARGS,
     "update($self, tokens, starts=None, ends=None, /)\n--\n\n"
     "Count tokens as TransitionCounts does, documents in their order."},
    {"update_rows", fading_update_rows, METH_VARARGS,
     "update_rows($self, contexts, tokens, counts, /)\n--\n\n"
     "Add counts (n,), real and >= 0, of tokens (n,) after contexts (n, order); nothing fades."},
    {"merge", mb_method_merge, METH_O,
     "merge($self, other, /)\n--\n\n"
     "Add the counts of another of the same order and n_tokens; nothing fades."},
    {"scale", fading_scale, METH_VARARGS,
     "scale($self, factor, contexts=None, /)\n--\n\n"
     "Multiply the rows of contexts (n, order), each once, or all, by a factor from 0 to 1."},
    {"copy", mb_method_copy, METH_NOARGS,
     "copy($self, /)\n--\n\n"
     "Counts that begin as these are and change on their own.  Memory is shared until they do."},
    {"counts", mb_method_counts, METH_VARARGS,
     "counts($self, contexts, tokens, /)\n--\n\n"
     "The count of each of tokens (n,) after each of contexts (n, order); shape (n,)."},
    {"totals", mb_method_totals, METH_O,
     "totals($self, contexts, /)\n--\n\nThe sum of the row of each of contexts (n, order); (n,)."},
    {"rows", mb_method_rows, METH_O,
     "rows($self, contexts, /)\n--\n\n"
     "Rows of contexts (n, order) as (indptr, tokens, counts); tokens rise within a row."},
    {"all", mb_fading_counts_all, METH_NOARGS,
     "all($self, /)\n--\n\n"
     "Every row, as (contexts, indptr, tokens, counts); contexts rise."},
    {"sizes", mb_fading_counts_sizes, METH_NOARGS,
     "sizes($self, /)\n--\n\nHow many contexts and how many pairs have a count."},
    {"arrays", mb_fading_counts_arrays, METH_NOARGS,
     "arrays($self, /)\n--\n\n"
     "Every row, as (contexts, indptr, tokens, counts, rests, times, clocks), which round "
     "nothing:\n"
     "a count is now (count + rest) * discount ** (clock - time), with the clock of its row."},
    {"from_arrays", mb_fading_counts_from_arrays, METH_CLASS | METH_VARARGS,
     fading_from_arrays_doc},
    {"log_evidence", fading_log_evidence, METH_VARARGS, log_evidence_doc},
    {"__copy__", mb_method_copy, METH_NOARGS, NULL},
    {"__deepcopy__", mb_method_deepcopy, METH_O, NULL},
    {"__reduce__", mb_method_reduce, METH_NOARGS, NULL},
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
    {Py_tp_traverse, mb_traverse_type},
    {Py_tp_dealloc, mb_free_transition_object},
    {Py_tp_getset, fading_getset},
    {Py_tp_methods, fading_methods},
    {0, NULL},
};

PyType_Spec mb_fading_spec = {
    .name = "matrixbayes._core.FadingCounts",
    .basicsize = sizeof(mb_transition_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = fading_slots,
};
