/* Sorting of keys (ngram_keys.h), and counting of equal ones. */
#ifndef MB_NGRAM_SORT_H
#define MB_NGRAM_SORT_H

#include "ngram_keys.h"

/* The most words that one sort takes. */
#define MB_SORT_LIMIT ((size_t)1 << 25)

/* Sorts elements [n][stride] by their keys and counts equal ones: the different keys come to
 * the front of `sorted` [n][stride] without gaps, [*n_different][n_words], and how often each
 * was seen to counts [n], which may be `elements`.  An element is a mixed key; where stride is n_words + 1, its last
 * word is how often it was seen, and these add (their sum is below 2^64).  n stride <=
 * MB_SORT_LIMIT.  MB_STOPPED or MB_NOMEM leaves the arrays, all
 * the caller's, in any state.
 *
 * A first pass deals elements out by the first bits, into buckets that fit into a cache; there
 * they are sorted by digits, the last first. */
mb_status mb_ngram_count(const mb_key_layout *layout, size_t n, size_t stride, uint64_t *elements,
                         uint64_t *sorted, uint64_t *counts, const mb_interrupt *interrupt,
                         size_t *n_different);

#endif
