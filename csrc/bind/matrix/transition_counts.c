/* The type TransitionCounts: contexts, the tokens that followed them, and how often. */
#include "bind/matrix/transition_object.h"

static PyObject *
transitions_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"order", "n_tokens", NULL};
    long long order, n_tokens;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "LL:TransitionCounts", names, &order,
                                     &n_tokens) ||
        mb_check_order(0, order, n_tokens) < 0) {
        return NULL;
    }
    mb_transitions *counts;
    mb_status status = mb_transitions_new((size_t)order, (uint64_t)n_tokens, &counts);
    return status == MB_OK ? mb_new_transition_object(type, counts, NULL)
                           : mb_raise(status, "order or n_tokens is out of range");
}

static PyObject *
transitions_update_rows(PyObject *self, PyObject *args)
{
    PyObject *contexts_arg, *tokens_arg, *counts_arg, *result = NULL;
    PyArrayObject *contexts, *tokens;
    mb_job job;
    if (!PyArg_ParseTuple(args, "OOO:update_rows", &contexts_arg, &tokens_arg, &counts_arg) ||
        mb_parse_contexts(self, contexts_arg, tokens_arg, 0, &contexts, &tokens) < 0) {
        return NULL;
    }
    PyArrayObject *times = mb_whole_numbers(counts_arg, 1, 0, "counts");
    if (times != NULL && mb_dim(times, 0) != mb_dim(tokens, 0)) {
        PyErr_Format(PyExc_ValueError, "there are %zu tokens and %zu counts", mb_dim(tokens, 0),
                     mb_dim(times, 0));
    } else if (times != NULL && mb_begin_job(&job, self, 1) == 0) {
        mb_status status = mb_transitions_update_rows(
            mb_transitions_of(self), mb_dim(tokens, 0), PyArray_DATA(contexts),
            PyArray_DATA(tokens), PyArray_DATA(times), job.interrupt, &job.fault);
        result = mb_finish_job(&job, status, 0);
    }
    mb_release(contexts);
    mb_release(tokens);
    mb_release(times);
    return result;
}

static PyObject *
transitions_n_observed(PyObject *self, void *Py_UNUSED(closure))
{
    if (mb_begin_use(self, 0) < 0) {
        return NULL;
    }
    unsigned long long n = mb_transitions_of(self)->n_observed;
    mb_end_use(self, 0);
    return PyLong_FromUnsignedLongLong(n);
}

/* ---- the type ----------------------------------------------------------------------------- */

static PyGetSetDef transitions_getset[] = {
    {"order", mb_getter_order, NULL, "Tokens in a context.", NULL},
    {"n_tokens", mb_getter_n_tokens, NULL, "Size of the vocabulary, V.", NULL},
    {"n_observed", transitions_n_observed, NULL, "Observations: the sum of all counts.", NULL},
    {"nbytes", mb_getter_nbytes, NULL, "Bytes of memory.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(
    transitions_from_arrays_doc,
    "from_arrays($type, order, n_tokens, arrays, latest=(), *, verify=True,\n"
    "            begins=False)\n--\n\n"
    "Counts over what `arrays` of others were, perhaps mapped from a file.\n\n"
    "The arrays are kept and read in place.  No number in them can make a crash, but a\n"
    "wrong one makes wrong answers: `verify` looks at all of them first.  (A file that\n"
    "becomes shorter while it is mapped ends the process: that is the system's doing.)\n\n"
    "Parameters\n----------\n"
    "order, n_tokens : int\n    As the counts had them.\n"
    "arrays : sequence of ndarray\n    What `arrays` gave: of these types and shapes.\n"
    "latest : object\n    Not looked at: older pickles have something here.\n"
    "verify : bool\n    Whether to make sure, in one pass, that arrays are in order.\n"
    "begins : bool\n    Whether the last token begins texts, and so follows no context.\n\n"
    "Raises\n------\n"
    "ValueError\n    Where something is wrong: names the array and the place.");

PyDoc_STRVAR(
    transitions_fold_doc,
    "fold($self, shorter, below, weights, alpha, deeper, best, /)\n--\n\n"
    "A level of a context tree: its contexts folded into those that are a token shorter.\n\n"
    "The last token stands for the beginning of a text; alpha has no column for it.\n\n"
    "Parameters\n----------\n"
    "shorter : TransitionCounts or None\n    Of order - 1; None of order 0.\n"
    "below : array_like of shape (n_pairs,) or None\n"
    "    What `above` of the longer contexts was; None where all contexts are leaves.\n"
    "weights, alpha : array_like of shapes (K,), and (K, V) or (K, 1)\n"
    "    The prior of a leaf's row.\n"
    "deeper : float\n    The probability that a context is no leaf.\n"
    "best : bool\n    Of the most probable tree, not of all.\n\n"
    "Returns\n-------\n"
    "odds, above : ndarray of shapes (n_pairs,), and that of the shorter or None\n"
    "    At the first pair of each context: the log-odds that it is no leaf, and the sum\n"
    "    of the log-probabilities of what its longer contexts hold.\n"
    "evidence : float\n    The sum of all log-probabilities.");

static PyMethodDef transitions_methods[] = {
    {"update", mb_method_update, METH_VARARGS,
     "update($self, tokens, starts=None, ends=None, /)\n--\n\n"
     "Count the tokens of a document (1-D, any type of whole numbers), or of a list of documents,\n"
     "or of the documents from starts (n,) to ends (n,) in one array.  No context crosses from one "
     "document\n"
     "to the next."},
    {"update_rows", transitions_update_rows, METH_VARARGS,
     "update_rows($self, contexts, tokens, counts, /)\n--\n\n"
     "Add counts (n,) of tokens (n,) after contexts (n, order)."},
    {"merge", mb_method_merge, METH_O,
     "merge($self, other, /)\n--\n\nAdd the counts of another of the same order and n_tokens."},
    {"subtract", mb_transition_counts_subtract, METH_O,
     "subtract($self, other, /)\n--\n\n"
     "Take the counts of another away: the inverse of `merge`.\n\n"
     "ValueError where less was counted of a pair, which is named."},
    {"scale", mb_transition_counts_scale, METH_O,
     "scale($self, factor, /)\n--\n\nMultiply every count by a whole number."},
    {"shorten", mb_transition_counts_shorten, METH_O,
     "shorten($self, known, /)\n--\n\n"
     "Counts of order - 1: each pair that `known` does not have, once, with the oldest token of\n"
     "its context left out."},
    {"discounted_rows", mb_transition_counts_discounted_rows, METH_O,
     "discounted_rows($self, events, /)\n--\n\n"
     "Pairs of `events`, counts of the same order, here: (counts, row, sizes).\n\n"
     "`counts` and `row` (n,) are each pair's count and the number of its context, of all that\n"
     "events have, in the order of `events.all()`; `sizes` (rows, 8) a context's total, and how\n"
     "many tokens were seen once, twice, 3, 4-5, 6-9, 10-24 times, more often after it."},
    {"shorter_pairs", mb_transition_counts_shorter_pairs, METH_O,
     "shorter_pairs($self, shorter, /)\n--\n\n"
     "Which pair of `shorter`, counts of order - 1, each pair is without its oldest token (n,)."},
    {"counts_of_counts", mb_transition_counts_counts_of_counts, METH_O,
     "counts_of_counts($self, most, /)\n--\n\n"
     "How many pairs were seen once, twice, ..., `most` times; shape (most,)."},
    {"copy", mb_method_copy, METH_NOARGS,
     "copy($self, /)\n--\n\n"
     "Counts that begin as these are and change on their own.  Memory is shared until they do."},
    {"counts", mb_method_counts, METH_VARARGS,
     "counts($self, contexts, tokens, /)\n--\n\n"
     "How often each of tokens (n,) followed each of contexts (n, order); shape (n,)."},
    {"totals", mb_method_totals, METH_O,
     "totals($self, contexts, /)\n--\n\n"
     "How often each of contexts (n, order) was followed by any token; shape (n,)."},
    {"rows", mb_method_rows, METH_O,
     "rows($self, contexts, /)\n--\n\n"
     "Rows of contexts (n, order) as (indptr, tokens, counts); tokens rise within a row."},
    {"all", mb_transition_counts_all, METH_NOARGS,
     "all($self, /)\n--\n\n"
     "Every row, as (contexts, indptr, tokens, counts); contexts in an order of their own, which\n"
     "depends on nothing but which contexts there are."},
    {"sizes", mb_transition_counts_sizes, METH_NOARGS,
     "sizes($self, /)\n--\n\nHow many contexts and how many pairs were seen."},
    {"fold", mb_transition_counts_fold, METH_VARARGS, transitions_fold_doc},
    {"places", mb_transition_counts_places, METH_O,
     "places($self, contexts, /)\n--\n\n"
     "Which pair of `all` is the first of each of contexts (n, order); -1 where it was not seen."},
    {"arrays", mb_transition_counts_arrays, METH_NOARGS,
     "arrays($self, /)\n--\n\n"
     "All that is counted, as read-only arrays (keys, counts, large_at, large, index, sums) over\n"
     "the memory of the counts: nothing is copied, and they stay as they are when counts change."},
    {"from_arrays", (PyCFunction)(void (*)(void))mb_transition_counts_from_arrays,
     METH_CLASS | METH_VARARGS | METH_KEYWORDS, transitions_from_arrays_doc},
    {"__copy__", mb_method_copy, METH_NOARGS, NULL},
    {"__deepcopy__", mb_method_deepcopy, METH_O, NULL},
    {"__reduce__", mb_method_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(transitions_doc,
             "TransitionCounts(order, n_tokens)\n--\n\n"
             "How often each token followed each context; it can grow.\n\n"
             "Used by one thread that changes it, or by many that read it: a clash raises\n"
             "RuntimeError.  A call that fails leaves it as it was.\n\n"
             "Parameters\n----------\n"
             "order : int\n    Tokens in a context, 0 to 16; at 0, all tokens follow the one "
             "context without any.\n"
             "n_tokens : int\n    Size of the vocabulary, 1 to 2^32.\n\n"
             "Examples\n--------\n"
             ">>> from matrixbayes import _core\n"
             ">>> counts = _core.TransitionCounts(1, 3)\n"
             ">>> counts.update([0, 1, 1, 2, 0, 1])\n"
             ">>> counts.counts([[0], [1]], [1, 0])\n"
             "array([2, 0], dtype=uint64)\n");

static PyType_Slot transitions_slots[] = {
    {Py_tp_doc, (void *)transitions_doc},
    {Py_tp_new, transitions_new},
    {Py_tp_traverse, mb_traverse_type},
    {Py_tp_dealloc, mb_free_transition_object},
    {Py_tp_getset, transitions_getset},
    {Py_tp_methods, transitions_methods},
    {0, NULL},
};

PyType_Spec mb_transitions_spec = {
    .name = "matrixbayes._core.TransitionCounts",
    .basicsize = sizeof(mb_transition_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = transitions_slots,
};
