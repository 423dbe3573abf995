/* Contexts and tokens as arguments, and what is wrong with them: for all types that count. */
#ifndef MB_CONTEXTS_H
#define MB_CONTEXTS_H

#include "bind/bind.h"
#include "core/matrix/transitions.h"

/* -1 with ValueError unless there are counts of such an order, `least` or more, and so many tokens. */
int mb_check_order(long long least, long long order, long long n_tokens);

/* Contexts [n][order], and as many tokens unless tokens_arg is NULL, as int64 arrays with these
 * `requirements` of NumPy: new references, or -1 with an exception set. */
int mb_parse_contexts_of(size_t order, PyObject *contexts_arg, PyObject *tokens_arg,
                         int requirements, PyArrayObject **contexts, PyArrayObject **tokens);

/* Raises a fault of these, and returns NULL. */
PyObject *mb_raise_token(size_t order, uint64_t n_tokens, const mb_token_fault *fault);

#endif
