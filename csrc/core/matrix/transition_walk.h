/* A walk through documents, which makes the keys of their n-grams. */
#ifndef MB_TRANSITION_WALK_H
#define MB_TRANSITION_WALK_H

#include "core/matrix/ngram_partition.h"
#include "core/matrix/transitions.h"

/* Where it is: the tokens before, in their document `filled` of the last ones, fill the window. */
typedef struct {
    size_t document, at, filled;
    uint64_t window[MB_MAX_WORDS];
} mb_walk;

/* Passes the keys of the next `left` tokens, which are there, to a partition: to its histogram, or,
 * where it has room for elements, to be scattered.  MB_INVALID with *fault for what is no token. */
mb_status mb_walk_on(mb_walk *walk, uint64_t n_tokens, const mb_document *documents, size_t left,
                     mb_partition *partition, mb_interrupt *interrupt, mb_token_fault *fault);

#endif
