/* The type BackoffTable: a back-off model made for questions, from arrays of its levels. */
#include "bind/backoff/backoff_object.h"

#include <string.h>

/* ---- the object ------------------------------------------------------------------------------ */

PyObject *
mb_new_backoff_object(PyTypeObject *type, mb_backoff *table)
{
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    PyObject *self = alloc(type, 0);
    if (self == NULL) {
        mb_backoff_free(table);
        return NULL;
    }
    ((mb_backoff_object *)self)->table = table;
    return self;
}

static void
backoff_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    mb_backoff_free(((mb_backoff_object *)self)->table);
    freefunc free_object = (freefunc)PyType_GetSlot(type, Py_tp_free);
    free_object(self);
    Py_DECREF(type);
}

/* ---- the type -------------------------------------------------------------------------------- */

static PyObject *
backoff_n_tokens(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(mb_backoff_of(self)->n_tokens);
}

static PyObject *
backoff_order(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSize_t(mb_backoff_of(self)->n_levels - 1);
}

static PyObject *
backoff_nbytes(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSize_t(mb_backoff_bytes(mb_backoff_of(self)));
}

static PyGetSetDef backoff_getset[] = {
    {"n_tokens", backoff_n_tokens, NULL, "Size of the vocabulary, V.", NULL},
    {"order", backoff_order, NULL, "Tokens of the longest contexts.", NULL},
    {"nbytes", backoff_nbytes, NULL, "Bytes of memory.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(
    backoff_doc,
    "BackoffTable(n_tokens, starts, tokens, values, backs, contexts, *, own=False, base=None,\n"
    "             root=None)\n--\n\n"
    "A back-off model made for questions: scores of texts, whole rows.\n\n"
    "The probability of a token after a context is its value where the context lists it, else the\n"
    "context's back times the probability after its longest suffix that is a context.  It never\n"
    "changes.\n\n"
    "Parameters\n----------\n"
    "n_tokens : int\n    V; the number V stands for the beginning of a text.\n"
    "starts, tokens, values, backs, contexts : sequences of ndarray\n"
    "    Of levels 0 to m: contexts (n, level), the oldest token first; where the tokens of each\n"
    "    begin (n + 1,); tokens, rising in each row, and values (p,); backs (n,).  Where a "
    "context\n"
    "    is listed, so must be the pair of all but its newest token and that: with the value NaN\n"
    "    where it is no n-gram of the model (and where the newest token is V).\n"
    "own : bool\n    Values are what pairs add to their context's back times the shorter value.\n"
    "base : sequence of ndarray, optional\n"
    "    Of each context (n,): probabilities have that of the longest context, times `root`, too.\n"
    "root : array_like of shape (V,), optional\n"
    "    What the back of the empty context multiplies, or `base`; zeros by default.\n\n"
    "Raises\n------\n"
    "ValueError\n    What is wrong, in which level and row.\n"
    "OverflowError\n    More than 2^32 - 2 contexts or pairs.\n\n"
    "Examples\n--------\n"
    ">>> import numpy as np\n"
    ">>> from matrixbayes import _core\n"
    ">>> table = _core.BackoffTable(\n"
    "...     2, [[0, 2], [0, 1]], [[0, 1], [1]], [[0.25, 0.75], [0.5]], [[1.0], [2.0]],\n"
    "...     [np.zeros((1, 0), int), [[0]]])\n"
    ">>> table.rows([[0], [1]])\n"
    "array([[0.5 , 0.5 ],\n"
    "       [0.25, 0.75]])\n");

PyDoc_STRVAR(
    from_counts_doc,
    "from_counts($type, counts, row, *, concentrations=None, discounts=None, leaves=None)\n"
    "--\n\n"
    "The table of smoothed counts; one of the last three says how they are.\n\n"
    "Parameters\n----------\n"
    "counts : sequence of TransitionCounts\n"
    "    Of contexts of 0, 1, ... tokens, and V + 1 tokens: V stands for the beginning of a text.\n"
    "row : array_like of shape (V,)\n"
    "    The row of the empty context; of leaves, the mean of their prior.\n"
    "concentrations : sequence of (weights, values)\n    Of contexts of 1, 2, ... tokens.\n"
    "discounts : array_like of shape (levels, 1 or 30, 8)\n"
    "    As `discounted_probs` takes them, of one bucket or of all.\n"
    "leaves : (float, sequence of ndarray)\n"
    "    Of a context tree: the concentration of the prior, and at the first pair of each context\n"
    "    the log-odds that it is no leaf, for all lengths but the last.\n\n"
    "Raises\n------\n"
    "ValueError\n    Also where counts are not closed: a context is there whose pair is not that\n"
    "    leads there.");

static PyMethodDef backoff_methods[] = {
    {"scores", (PyCFunction)(void (*)(void))mb_backoff_method_scores, METH_VARARGS | METH_KEYWORDS,
     "scores($self, documents, bounds=None, *, before=(), skip=0)\n--\n\n"
     "Log-probabilities of the tokens of documents, one after the other.\n\n"
     "A document, a list of them, or with `bounds` (n + 1,) n documents in one array.  `before` "
     "are "
     "the\ntokens that stand before each (V for its beginning); the first `skip` of each are not "
     "scored."},
    {"log_prob", (PyCFunction)(void (*)(void))mb_backoff_method_log_prob,
     METH_VARARGS | METH_KEYWORDS,
     "log_prob($self, documents, bounds=None, *, before=(), skip=0)\n--\n\n"
     "The sum of `scores`."},
    {"matched", (PyCFunction)(void (*)(void))mb_backoff_method_matched,
     METH_VARARGS | METH_KEYWORDS,
     "matched($self, documents, bounds=None, *, before=(), skip=0)\n--\n\n"
     "How many tokens the longest listed n-gram has that ends with each token; 0 where none has."},
    {"pair_values", mb_backoff_method_pair_values, METH_VARARGS,
     "pair_values($self, contexts, tokens, /)\n--\n\n"
     "Probabilities of tokens (n,) after contexts (n, length) of any length."},
    {"rows", mb_backoff_method_rows, METH_O,
     "rows($self, contexts, /)\n--\n\n"
     "Probabilities (n, V) of all tokens after contexts (n, length) of any length."},
    {"from_counts", (PyCFunction)(void (*)(void))mb_backoff_from_counts_method,
     METH_CLASS | METH_VARARGS | METH_KEYWORDS, from_counts_doc},
    {"leads", mb_backoff_method_leads, METH_NOARGS,
     "leads($self, /)\n--\n\n"
     "Of each level but the last: which context of the next level a pair is (the pairs of "
     "`arrays`;\nof the empty context, all V + 1 tokens); -1 where it is none."},
    {"arrays", mb_backoff_method_arrays, METH_NOARGS,
     "arrays($self, /)\n--\n\n"
     "What makes the same table: (starts, tokens, values, backs, contexts, base, root), with base\n"
     "None where there is none.  Where root is the row of the empty context its back is 1."},
    {"prune", mb_backoff_method_prune, METH_VARARGS,
     "prune($self, states, threshold, /)\n--\n\n"
     "Which pairs (n_pairs,) stay where those go that lose `threshold` nats a token at most, the\n"
     "backs (n,) of what is left, and all that it loses.  `states` (n,) says how probably a token\n"
     "is read at which context, level after level."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot backoff_slots[] = {
    {Py_tp_doc, (void *)backoff_doc},
    {Py_tp_new, mb_backoff_new_object},
    {Py_tp_traverse, mb_traverse_type},
    {Py_tp_dealloc, backoff_dealloc},
    {Py_tp_getset, backoff_getset},
    {Py_tp_methods, backoff_methods},
    {0, NULL},
};

PyType_Spec mb_backoff_spec = {
    .name = "matrixbayes._core.BackoffTable",
    .basicsize = sizeof(mb_backoff_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = backoff_slots,
};
