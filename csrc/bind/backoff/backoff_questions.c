/* BackoffTable: scores of texts, pairs and whole rows. */
#include "bind/backoff/backoff_object.h"
#include "core/base/exact_sum.h"
#include "core/base/mem.h"
#include "core/special/special.h"

#include <math.h>

enum { ROW_PIECE = 1 << 13 };

static PyObject *
raise_document_fault(const mb_backoff *table, mb_status status, const mb_token_fault *fault)
{
    if (status != MB_INVALID) {
        return mb_raise(status, NULL);
    }
    return PyErr_Format(PyExc_ValueError, "token %zu of document %zu is %lld; tokens are 0 to %llu",
                        fault->position, fault->row, (long long)fault->value,
                        (unsigned long long)(table->n_tokens - 1));
}

/* The context that some tokens before a text lead to; -1 with an exception set. */
static int
context_of_tokens(const mb_backoff *table, PyObject *arg, uint32_t *context)
{
    size_t position;
    PyArrayObject *tokens = mb_whole_numbers(arg, 1, 0, "before");
    if (tokens == NULL) {
        return -1;
    }
    size_t n = mb_dim(tokens, 0), longest = table->n_levels - 1;
    size_t start = n > longest ? n - longest : 0; /* no others matter */
    const int64_t *data = PyArray_DATA(tokens);
    mb_status status = mb_backoff_walk(table, n - start, data + start, context, &position);
    if (status != MB_OK) {
        PyErr_Format(PyExc_ValueError,
                     "before[%zu] is no token; tokens are 0 to %llu, which is the "
                     "beginning of a text",
                     start + position, (unsigned long long)table->n_tokens);
    }
    mb_release(tokens);
    return status == MB_OK ? 0 : -1;
}

/* ---- documents ------------------------------------------------------------------------------- */

/* Documents of one array, each between two bounds: -1 with an exception set, or what
 * mb_release_texts() ends. */
static int
cut_texts(PyObject *tokens_arg, PyObject *bounds_arg, mb_documents *texts)
{
    PyArrayObject *bounds = mb_whole_numbers(bounds_arg, 1, NPY_ARRAY_ENSURECOPY, "bounds");
    if (bounds == NULL || mb_parse_texts(tokens_arg, texts) < 0) {
        mb_release(bounds);
        return -1;
    }
    const int64_t *at = PyArray_DATA(bounds);
    const mb_document whole = texts->n == 1 ? texts->documents[0] : (mb_document){0, NULL};
    size_t n = mb_dim(bounds, 0), wrong = n == 0 || texts->n != 1 || at[0] != 0;
    for (size_t d = 1; d < n && !wrong; d++) {
        wrong = at[d] < at[d - 1] || (uint64_t)at[d] > whole.n;
    }
    mb_document *documents = NULL;
    if (wrong || (uint64_t)at[n - 1] != whole.n) {
        PyErr_SetString(PyExc_ValueError, "bounds must rise from 0 to the number of tokens, of one "
                                          "array of them");
    } else if ((documents = mb_calloc(n, sizeof(mb_document))) == NULL) {
        mb_raise(MB_NOMEM, NULL);
    } else {
        for (size_t d = 0; d + 1 < n; d++) {
            documents[d] = (mb_document){(size_t)(at[d + 1] - at[d]), whole.tokens + at[d]};
        }
        mb_free(texts->documents);
        texts->documents = documents;
        texts->n = n - 1;
    }
    mb_release(bounds);
    if (documents == NULL) {
        mb_release_texts(texts);
    }
    return documents == NULL ? -1 : 0;
}

/* ln of probabilities, in pieces, and the sum. */
static mb_status
log_of_probs(size_t n, double *probs, mb_interrupt *interrupt, double *sum)
{
    mb_exact_sum all = {0.0, 0.0};
    for (size_t at = 0; at < n; at += ROW_PIECE) {
        size_t many = n - at < ROW_PIECE ? n - at : ROW_PIECE;
        mb_log(many, probs + at, probs + at);
        for (size_t i = 0; i < many; i++) {
            mb_exact_add(&all, probs[at + i]);
        }
        MB_TRY(mb_ask(interrupt, 8 * many));
    }
    *sum = isinf(all.sum) ? all.sum : mb_exact_value(all);
    return MB_OK;
}

/* Log-probabilities and their sum, or the lengths of what matched. */
static PyObject *
score_documents(PyObject *self, PyObject *args, PyObject *kwargs, int is_matched, double *sum)
{
    static char *names[] = {"documents", "bounds", "before", "skip", NULL};
    const mb_backoff *table = mb_backoff_of(self);
    PyObject *documents_arg, *bounds_arg = Py_None, *before_arg = NULL, *result = NULL;
    Py_ssize_t skip = 0;
    uint32_t begin = 0;
    mb_documents texts;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O$On", names, &documents_arg, &bounds_arg,
                                     &before_arg, &skip)) {
        return NULL;
    }
    if (skip < 0) {
        return PyErr_Format(PyExc_ValueError, "skip is %zd; it must be 0 or above", skip);
    }
    if ((before_arg != NULL && context_of_tokens(table, before_arg, &begin) < 0) ||
        (bounds_arg == Py_None ? mb_parse_texts(documents_arg, &texts)
                               : cut_texts(documents_arg, bounds_arg, &texts)) < 0) {
        return NULL;
    }
    size_t n = mb_backoff_n_scored(texts.n, texts.documents, (size_t)skip);
    PyArrayObject *probs = mb_new_array(n, MB_NO_COLUMNS, NPY_DOUBLE), *matched = NULL;
    if (is_matched) {
        matched = mb_new_array(n, MB_NO_COLUMNS, NPY_INT64);
    }
    if (probs != NULL && (matched != NULL || !is_matched)) {
        mb_token_fault fault = {0};
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status =
            mb_backoff_probs(table, texts.n, texts.documents, begin, (size_t)skip, interrupt,
                             mb_data(probs), is_matched ? PyArray_DATA(matched) : NULL, &fault);
        if (status == MB_OK && !is_matched) {
            status = log_of_probs(n, mb_data(probs), interrupt, sum);
        }
        mb_end_work(&work);
        result = status != MB_OK ? raise_document_fault(table, status, &fault)
                                 : Py_NewRef((PyObject *)(is_matched ? matched : probs));
    }
    mb_release(probs);
    mb_release(matched);
    mb_release_texts(&texts);
    return result;
}

PyObject *
mb_backoff_method_scores(PyObject *self, PyObject *args, PyObject *kwargs)
{
    double sum;
    return score_documents(self, args, kwargs, 0, &sum);
}

PyObject *
mb_backoff_method_matched(PyObject *self, PyObject *args, PyObject *kwargs)
{
    return score_documents(self, args, kwargs, 1, NULL);
}

PyObject *
mb_backoff_method_log_prob(PyObject *self, PyObject *args, PyObject *kwargs)
{
    double sum;
    PyObject *scores = score_documents(self, args, kwargs, 0, &sum);
    Py_XDECREF(scores);
    return scores == NULL ? NULL : PyFloat_FromDouble(sum);
}

/* ---- pairs and rows -------------------------------------------------------------------------- */

/* Raises that a context (or the token after it, at position `length`) has what is no token. */
static PyObject *
raise_context_fault(const mb_backoff *table, mb_status status, const mb_token_fault *fault,
                    size_t length)
{
    if (status != MB_INVALID) {
        return mb_raise(status, NULL);
    }
    if (fault->position == length) {
        return PyErr_Format(PyExc_ValueError, "tokens[%zu] is %lld; tokens are 0 to %llu",
                            fault->row, (long long)fault->value,
                            (unsigned long long)(table->n_tokens - 1));
    }
    return PyErr_Format(PyExc_ValueError, "contexts[%zu, %zu] is %lld; tokens are 0 to %llu",
                        fault->row, fault->position, (long long)fault->value,
                        (unsigned long long)table->n_tokens);
}

enum { PAIRS = 1 << 10 /* at a time */ };

/* Probabilities of tokens [n] after contexts [n][length], copied together as documents into memory
 * [PAIRS][length + 1]. */
static mb_status
probs_of_pairs_in(const mb_backoff *table, size_t n, size_t length, const int64_t *contexts,
                  const int64_t *tokens, mb_interrupt *interrupt, int64_t *memory, double *out,
                  mb_token_fault *fault)
{
    mb_document documents[PAIRS];
    for (size_t at = 0; at < n; at += PAIRS) {
        size_t many = n - at < PAIRS ? n - at : PAIRS;
        for (size_t i = 0; i < many; i++) {
            int64_t *to = memory + i * (length + 1);
            for (size_t k = 0; k < length; k++) {
                to[k] = contexts[(at + i) * length + k];
            }
            to[length] = tokens[at + i];
            documents[i] = (mb_document){length + 1, to};
        }
        mb_status status =
            mb_backoff_probs(table, many, documents, 0, length, interrupt, out + at, NULL, fault);
        fault->row += at;
        MB_TRY(status);
    }
    return MB_OK;
}

PyObject *
mb_backoff_method_pair_values(PyObject *self, PyObject *args)
{
    const mb_backoff *table = mb_backoff_of(self);
    PyObject *contexts_arg, *tokens_arg, *result = NULL;
    if (!PyArg_ParseTuple(args, "OO:pair_values", &contexts_arg, &tokens_arg)) {
        return NULL;
    }
    PyArrayObject *contexts = mb_whole_numbers(contexts_arg, 2, 0, "contexts"), *out = NULL;
    PyArrayObject *tokens = contexts == NULL ? NULL : mb_whole_numbers(tokens_arg, 1, 0, "tokens");
    if (tokens != NULL && mb_dim(tokens, 0) != mb_dim(contexts, 0)) {
        PyErr_Format(PyExc_ValueError, "there are %zu contexts and %zu tokens", mb_dim(contexts, 0),
                     mb_dim(tokens, 0));
    } else if (tokens != NULL) {
        out = mb_new_array(mb_dim(tokens, 0), MB_NO_COLUMNS, NPY_DOUBLE);
    }
    if (out != NULL) {
        size_t length = mb_dim(contexts, 1);
        mb_token_fault fault = {0};
        mb_status status = MB_NOMEM;
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        int64_t *memory = mb_calloc(length + 1, PAIRS * sizeof(int64_t));
        if (memory != NULL) {
            status =
                probs_of_pairs_in(table, mb_dim(tokens, 0), length, PyArray_DATA(contexts),
                                  PyArray_DATA(tokens), interrupt, memory, mb_data(out), &fault);
        }
        mb_free(memory);
        mb_end_work(&work);
        result = status == MB_OK ? Py_NewRef((PyObject *)out)
                                 : raise_context_fault(table, status, &fault, length);
    }
    mb_release(contexts);
    mb_release(tokens);
    mb_release(out);
    return result;
}

static mb_status
whole_rows(const mb_backoff *table, size_t n, size_t length, const int64_t *contexts,
           mb_interrupt *interrupt, double *out, mb_token_fault *fault)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t context = 0;
        const int64_t *tokens = contexts + i * length;
        if (mb_backoff_walk(table, length, tokens, &context, &fault->position) != MB_OK) {
            fault->row = i;
            fault->value = tokens[fault->position];
            return MB_INVALID;
        }
        mb_backoff_row(table, context, out + i * table->n_tokens);
        MB_TRY(mb_ask(interrupt, 4 * table->n_tokens + 64 * length));
    }
    return MB_OK;
}

PyObject *
mb_backoff_method_rows(PyObject *self, PyObject *contexts_arg)
{
    const mb_backoff *table = mb_backoff_of(self);
    PyArrayObject *contexts = mb_whole_numbers(contexts_arg, 2, 0, "contexts"), *out = NULL;
    PyObject *result = NULL;
    if (contexts != NULL) {
        out = mb_new_array(mb_dim(contexts, 0), (size_t)table->n_tokens, NPY_DOUBLE);
    }
    if (out != NULL) {
        size_t length = mb_dim(contexts, 1);
        mb_token_fault fault = {0};
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status = whole_rows(table, mb_dim(contexts, 0), length, PyArray_DATA(contexts),
                                      interrupt, mb_data(out), &fault);
        mb_end_work(&work);
        result = status == MB_OK ? Py_NewRef((PyObject *)out)
                                 : raise_context_fault(table, status, &fault, length + 1);
    }
    mb_release(contexts);
    mb_release(out);
    return result;
}
