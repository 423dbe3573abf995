/* Scores of texts by a table of a back-off model: walks from context to context. */
#ifndef MB_BACKOFF_WALK_H
#define MB_BACKOFF_WALK_H

#include "core/backoff/table.h"

/* Where a walk that begins at a context comes to by tokens [n], V at most.  MB_INVALID for others, with
 * their place in *position. */
mb_status mb_backoff_walk(const mb_backoff *table, size_t n, const int64_t *tokens,
                          uint32_t *context, size_t *position);

/* The probability of every token of documents but the first `skip` of each, document after document,
 * into probs; and unless it is NULL, how many tokens the longest n-gram has that is listed there, 0
 * where none is.  All documents begin at context `begin`.  MB_INVALID with *fault for a token that is not
 * one: V - 1 at most, V too where it is skipped. */
mb_status mb_backoff_probs(const mb_backoff *table, size_t n_documents,
                           const mb_document *documents, uint32_t begin, size_t skip,
                           mb_interrupt *interrupt, double *probs, int64_t *matched,
                           mb_token_fault *fault);

/* How many tokens of documents are not skipped. */
size_t mb_backoff_n_scored(size_t n_documents, const mb_document *documents, size_t skip);

/* The whole row after a context, out [V]. */
void mb_backoff_row(const mb_backoff *table, uint32_t context, double *out);

#endif
