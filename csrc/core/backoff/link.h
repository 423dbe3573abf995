/* How a table of a back-off model is put together: its contexts are found and linked, level by level. */
#ifndef MB_BACKOFF_LINK_H
#define MB_BACKOFF_LINK_H

#include "core/backoff/table.h"

/* Where the contexts of a level are found while a table is made: those of the keys of a run. */
typedef struct {
    mb_transitions *counts; /* of this order, and one run; NULL at level 0 */
    uint32_t *numbers;      /* [n of the run], of the context of each key */
} mb_backoff_finder;

/* A table without links: room for n contexts and n_pairs pairs, V tokens; MB_RANGE for too many. */
mb_status mb_backoff_begin(uint64_t n_tokens, size_t n, size_t n_pairs, int with_base,
                           mb_backoff **out);

/* Ends finders [n], which may be empty. */
void mb_backoff_end_finders(size_t n, mb_backoff_finder *finders);

/* Links the contexts of a level > 0: to shorter ones, and from the pairs of the level before.  Pairs,
 * firsts and finders of both levels and of shorter ones are there. MB_INVALID as mb_backoff_new(). */
mb_status mb_backoff_link(mb_backoff *table, size_t level, const mb_backoff_finder *finders,
                          mb_interrupt *interrupt, mb_backoff_fault *fault);

/* The probability of every pair of a level > 0 after the context that is shorter, into means; and where
 * it leads, but for contexts that are longer still. */
mb_status mb_backoff_shorter(mb_backoff *table, size_t level, mb_interrupt *interrupt,
                             double *means);

#endif
