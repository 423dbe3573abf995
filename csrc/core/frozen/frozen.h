/* Frozen counts: of tokens after contexts of 0, 1, ..., `order` tokens, in a compact code that is read
 * where it lies, and never changes.
 *
 *     level l      contexts of l tokens, numbered from 0 on
 *     links        the context without its oldest token, and that token: its number (links.h)
 *     lengths      of each context, how many tokens follow it, less 1; their sums say where
 *     counts       of each such pair, less 1; their sums say the totals of rows
 *     tokens       of each such pair, rising after a context, packed
 *
 * Each level is an array of words: their sizes, then these four.  Whoever freezes begins with level 0, and
 * opens what is there to write the next.  A bare level has links alone: it only leads to longer contexts,
 * and no token was seen after its own.  Words may be another's (numbers.h). */
#ifndef MB_FROZEN_H
#define MB_FROZEN_H

#include "core/frozen/links.h"
#include "core/matrix/transitions.h"

enum { MB_FROZEN_HEAD = 3 /* words: of links, of lengths, of counts */ };

typedef struct {
    size_t n_contexts, n_pairs; /* of a bare level, no pairs */
    int bare;
    mb_links links; /* not of level 0 */
    mb_numbers lengths, counts;
    const uint64_t *tokens; /* [n_pairs], packed */
} mb_frozen_level;

typedef struct {
    uint64_t n_tokens;
    unsigned token_bits;
    size_t n_levels;
    mb_frozen_level levels[MB_MAX_ORDER + 1];
} mb_frozen;

/* One without levels; n_tokens from 1 to 2^32. */
static inline mb_frozen
mb_frozen_begin(uint64_t n_tokens)
{
    mb_frozen none = {.n_tokens = n_tokens, .token_bits = mb_bits_of(n_tokens - 1)};
    none.token_bits += none.token_bits == 0;
    return none;
}

/* Adds the next level, of words that are borrowed.  MB_INVALID where their sizes are not what they say,
 * or MB_MAX_ORDER is reached. */
mb_status mb_frozen_open(mb_frozen *frozen, size_t n_words, const uint64_t *words);

/* MB_INVALID unless the words of a level are what mb_frozen_encode() makes, with n_after of the tokens after
 * contexts; *total is the sum of its counts.  One pass. */
mb_status mb_frozen_check(const mb_frozen *frozen, size_t level, uint64_t n_after,
                          mb_interrupt *interrupt, uint64_t *total);

/* Rows of the next level, in any order: contexts [n_contexts][n_levels], all different; starts
 * [n_contexts + 1] from 0 on, no row empty; tokens, rising in a row, and times > 0 of each pair.  Of a bare
 * level starts is NULL: contexts alone, one of level 0. */
typedef struct {
    size_t n_contexts;
    const uint32_t *contexts;
    const int64_t *starts;
    const uint32_t *tokens;
    const uint64_t *times;
} mb_frozen_rows;

/* Encodes the next level; the caller frees the words.  MB_INVALID where a shorter context is not there, or
 * rows are not as said; MB_RANGE where there is too much. */
mb_status mb_frozen_encode(const mb_frozen *shorter, const mb_frozen_rows *rows,
                           mb_interrupt *interrupt, uint64_t **words, size_t *n_words);

/* ---- questions, as those of transitions.h; level < n_levels --------------------------------- */

/* How often each of tokens [n] followed each of contexts [n][level]. */
mb_status mb_frozen_counts(const mb_frozen *frozen, size_t level, size_t n, const int64_t *contexts,
                           const int64_t *tokens, mb_interrupt *interrupt, uint64_t *out,
                           mb_token_fault *fault);

/* The sum of the row of each of contexts [n][level]. */
mb_status mb_frozen_totals(const mb_frozen *frozen, size_t level, size_t n, const int64_t *contexts,
                           mb_interrupt *interrupt, uint64_t *out, mb_token_fault *fault);

/* The rows of contexts [n][level], as mb_transitions_rows() gives them. */
mb_status mb_frozen_read(const mb_frozen *frozen, size_t level, size_t n, const int64_t *contexts,
                         mb_interrupt *interrupt, int64_t *starts, uint32_t *tokens,
                         uint64_t *times, mb_token_fault *fault);

/* The number of each of contexts [n][level], -1 of those that are not there. */
mb_status mb_frozen_numbers(const mb_frozen *frozen, size_t level, size_t n,
                            const int64_t *contexts, mb_interrupt *interrupt, int64_t *out,
                            mb_token_fault *fault);

/* One walk over all levels: how often each of tokens [n] followed the last 0, 1, ... of each of contexts
 * [n][n_levels - 1], counts [n][n_levels], and the sum of each of these rows, totals [n][n_levels]. */
mb_status mb_frozen_walk(const mb_frozen *frozen, size_t n, const int64_t *contexts,
                         const int64_t *tokens, mb_interrupt *interrupt, uint64_t *counts,
                         uint64_t *totals, mb_token_fault *fault);

/* All rows of a level by their numbers: contexts [n_contexts][level], starts [n_contexts + 1], tokens and
 * times [n_pairs].  MB_INVALID, with any numbers in them, where the words are not in order. */
mb_status mb_frozen_all(const mb_frozen *frozen, size_t level, mb_interrupt *interrupt,
                        uint32_t *contexts, int64_t *starts, uint32_t *tokens, uint64_t *times);

/* The sum of all counts of a level. */
uint64_t mb_frozen_observed(const mb_frozen *frozen, size_t level);

#endif
