/* Contexts and tokens as arguments. */
#include "bind/contexts.h"

int
mb_check_order(long long least, long long order, long long n_tokens)
{
    if (order < least || order > MB_MAX_ORDER) {
        PyErr_Format(PyExc_ValueError, "order is %lld; it must be from %lld to %d", order, least,
                     MB_MAX_ORDER);
    } else if (n_tokens < 1 || n_tokens > 1LL << 32) {
        PyErr_Format(PyExc_ValueError, "n_tokens is %lld; it must be from 1 to 2^32", n_tokens);
    } else {
        return 0;
    }
    return -1;
}

int
mb_parse_contexts_of(size_t order, PyObject *contexts_arg, PyObject *tokens_arg, int requirements,
                     PyArrayObject **contexts, PyArrayObject **tokens)
{
    *contexts = mb_whole_numbers(contexts_arg, 2, requirements, "contexts");
    *tokens = NULL;
    if (*contexts == NULL) {
        return -1;
    }
    if (tokens_arg != NULL) {
        *tokens = mb_whole_numbers(tokens_arg, 1, requirements, "tokens");
    }
    if (tokens_arg != NULL && *tokens == NULL) {
        ;
    } else if (mb_dim(*contexts, 1) != order) {
        PyErr_Format(PyExc_ValueError, "contexts have shape (%zu, %zu); they need (n, %zu)",
                     mb_dim(*contexts, 0), mb_dim(*contexts, 1), order);
    } else if (*tokens != NULL && mb_dim(*tokens, 0) != mb_dim(*contexts, 0)) {
        PyErr_Format(PyExc_ValueError, "there are %zu contexts and %zu tokens",
                     mb_dim(*contexts, 0), mb_dim(*tokens, 0));
    } else {
        return 0;
    }
    mb_release(*contexts);
    mb_release(*tokens);
    return -1;
}

PyObject *
mb_raise_token(size_t order, uint64_t n_tokens, const mb_token_fault *fault)
{
    long long value = fault->value;
    PyObject *last = PyLong_FromUnsignedLongLong(n_tokens - 1);
    if (last == NULL) {
        return NULL;
    }
    if (fault->position < order) {
        PyErr_Format(PyExc_ValueError, "contexts[%zu, %zu] is %lld; tokens are 0 to %S", fault->row,
                     fault->position, value, last);
    } else {
        PyErr_Format(PyExc_ValueError, "tokens[%zu] is %lld; tokens are 0 to %S", fault->row, value,
                     last);
    }
    Py_DECREF(last);
    return NULL;
}
