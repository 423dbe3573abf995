/* Transition counts: how often each token followed each context of `order` tokens; at order 0, all
 * of them the one empty context.
 *
 * Counts are kept in sorted runs (ngram_run.h), each at least twice as long as the next.  An
 * update makes a run of its own and merges it with those that have become too short: n updates
 * of equal size copy a pair about log2(n) times altogether, and a small update leaves the large
 * runs alone.  Questions ask every run: one after a single update, log2(pairs) at most.
 *
 * Statuses: MB_NOMEM and MB_STOPPED at any point, MB_INVALID with *fault for a token that is
 * not one, MB_RANGE where the number of observations would pass 2^64 - 1 (no count can then
 * pass it).  Each leaves the counts as they were. */
#ifndef MB_TRANSITIONS_H
#define MB_TRANSITIONS_H

#include "core/matrix/ngram_run.h"

enum { MB_MAX_RUNS = 64 };

typedef struct {
    mb_key_layout layout;
    uint64_t n_tokens, n_observed;
    size_t n_runs;
    mb_run *runs[MB_MAX_RUNS]; /* [n_runs], the longest first */
} mb_transitions;

typedef struct {
    size_t n;
    const int64_t *tokens;
} mb_document;

/* The first thing that is not a token, or a count that is negative: where, and what it is.  What is
 * counted is read twice: row MB_CHANGED says that it was something else the second time. */
#define MB_CHANGED SIZE_MAX
typedef struct {
    size_t row, position;
    int64_t value;
} mb_token_fault;

/* Order from 0 to MB_MAX_ORDER, tokens below n_tokens, from 1 to 2^32; MB_RANGE for others. */
mb_status mb_transitions_new(size_t order, uint64_t n_tokens, mb_transitions **out);
void mb_transitions_free(mb_transitions *counts);

/* Counts of their own that begin as these are.  They share runs: costs nothing but the object. */
mb_status mb_transitions_copy(const mb_transitions *counts, mb_transitions **out);

/* Counts every token with a full context in its document. */
mb_status mb_transitions_update(mb_transitions *counts, size_t n_documents,
                                const mb_document *documents, mb_interrupt *interrupt,
                                mb_token_fault *fault);

/* Adds given counts: row i is contexts [n][order], tokens [n], times [n] >= 0. A fault at
 * position `order` is the token, at order + 1 the count. */
mb_status mb_transitions_update_rows(mb_transitions *counts, size_t n, const int64_t *contexts,
                                     const int64_t *tokens, const int64_t *times,
                                     mb_interrupt *interrupt, mb_token_fault *fault);

/* Adds the counts of another of the same order and number of tokens (itself, too).  Runs that
 * need not be merged are shared. */
mb_status mb_transitions_merge(mb_transitions *counts, const mb_transitions *other,
                               mb_interrupt *interrupt);

/* Takes the counts of another of the same order and number of tokens away: the inverse of
 * mb_transitions_merge().  MB_INVALID with *fault where less was counted. */
mb_status mb_transitions_subtract(mb_transitions *counts, const mb_transitions *other,
                                  mb_interrupt *interrupt, mb_pair_fault *fault);

/* Multiplies every count. */
mb_status mb_transitions_scale(mb_transitions *counts, uint64_t factor, mb_interrupt *interrupt);

/* New counts, of an order less, of the pairs that `counts`, of one run at most, have and `known` do
 * not: each counts once, without the oldest token of its context.  Order 1 at least; MB_INVALID
 * where a borrowed run changed meanwhile. */
mb_status mb_transitions_shorten(const mb_transitions *counts, const mb_transitions *known,
                                 mb_interrupt *interrupt, mb_transitions **out);

/* Adds a run, taken in any case. */
mb_status mb_transitions_add_run(mb_transitions *counts, mb_run *run, mb_interrupt *interrupt);

/* Merges all runs into one: no answer changes, but questions are quicker. */
mb_status mb_transitions_compact(mb_transitions *counts, mb_interrupt *interrupt);

/* Gives counts the runs of a copy of theirs whose runs were merged. */
void mb_transitions_adopt(mb_transitions *counts, const mb_transitions *copy);

/* The run of counts that have one, an empty one where they are none; the caller frees it. */
mb_status mb_transitions_run(const mb_transitions *counts, mb_run **out);

/* New counts of this run, shared.  MB_RANGE for what mb_transitions_new() refuses. */
mb_status mb_transitions_from_run(size_t order, uint64_t n_tokens, mb_run *run,
                                  mb_transitions **out);

/* How often each of tokens [n] followed each of contexts [n][order]. */
mb_status mb_transitions_counts(const mb_transitions *counts, size_t n, const int64_t *contexts,
                                const int64_t *tokens, mb_interrupt *interrupt, uint64_t *out,
                                mb_token_fault *fault);

/* The sum of the row of each of contexts [n][order]: as quick for long rows as for short ones. */
mb_status mb_transitions_totals(const mb_transitions *counts, size_t n, const int64_t *contexts,
                                mb_interrupt *interrupt, uint64_t *out, mb_token_fault *fault);

/* The rows of contexts [n][order]: where each begins, starts [n + 1]; and, unless `tokens` is
 * NULL, its tokens in rising order and their counts.  The caller asks first without them. The
 * contexts of the second call must be those of the first. */
mb_status mb_transitions_rows(const mb_transitions *counts, size_t n, const int64_t *contexts,
                              mb_interrupt *interrupt, int64_t *starts, uint32_t *tokens,
                              uint64_t *times, mb_token_fault *fault);

/* How many contexts were seen; for counts of one run. */
mb_status mb_transitions_n_contexts(const mb_transitions *counts, mb_interrupt *interrupt,
                                    size_t *n);

/* All rows, of which there are n_contexts, of counts of one run: contexts [n_contexts][order], starts
 * [n_contexts + 1], tokens and times of every pair. */
mb_status mb_transitions_all(const mb_transitions *counts, size_t n_contexts,
                             mb_interrupt *interrupt, uint32_t *contexts, int64_t *starts,
                             uint32_t *tokens, uint64_t *times);

/* The mixed key of a context and a token. */
mb_status mb_key_read(const mb_transitions *counts, const int64_t *context, int64_t token,
                      uint64_t *key, mb_token_fault *fault);

/* How often each of `many` mixed keys was seen, MB_SEARCHES at most. */
void mb_key_counts(const mb_transitions *counts, size_t many, const uint64_t *keys, uint64_t *out);

size_t mb_transitions_bytes(const mb_transitions *counts);

#endif
