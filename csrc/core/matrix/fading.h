/* Fading counts: before a token of a row is counted, the counts of its row are multiplied by the
 * discount.  A row has a clock, the tokens that it was given, and a count stands for what it was at a
 * time of its own (fading_cell.h).  So a token costs the same in a long row and in a short one.
 *
 * Counts are kept in sorted runs (fading_run.h), each at least twice as long as the next.  A run has
 * what changed after the runs before it were made, and stands for what they say of the same row and
 * token.  Runs never change, so that copies share them; and as merging them computes nothing, a
 * stream gives the same bits wherever it is cut into updates.
 *
 * Statuses: MB_NOMEM and MB_STOPPED at any point, MB_INVALID with *fault for what is no token or no
 * count, MB_RANGE where the sum of all counts would pass the largest double.  Each leaves the counts
 * as they were. */
#ifndef MB_FADING_H
#define MB_FADING_H

#include "core/matrix/fading_run.h"
#include "core/matrix/transitions.h"

typedef struct {
    size_t order;
    uint64_t n_tokens;
    double discount;
    uint64_t span; /* mb_fading_span() */
    double bound;  /* the sum of all counts is at most this */
    size_t n_runs;
    mb_fading_run *runs[MB_MAX_RUNS]; /* [n_runs], the oldest and longest first */
    mb_fading_run *compacted;         /* all of them merged, once somebody has asked; or NULL */
} mb_fading;

/* Order from 1 to MB_MAX_ORDER, tokens below n_tokens, from 1 to 2^32, discount above 0 and at most
 * 1; MB_RANGE for others. */
mb_status mb_fading_new(size_t order, uint64_t n_tokens, double discount, mb_fading **out);
void mb_fading_free(mb_fading *counts);

/* Counts of their own that begin as these are.  They share runs: costs nothing but the object. */
mb_status mb_fading_copy(const mb_fading *counts, mb_fading **out);

size_t mb_fading_bytes(const mb_fading *counts);

/* Copies tokens [n] that the caller gave, the first of which is at `position`: each is read once.
 * MB_INVALID where one is none. */
static inline mb_status
mb_fading_copy_tokens(uint64_t n_tokens, size_t n, const int64_t *given, size_t position,
                      uint32_t *out, mb_token_fault *fault)
{
    for (size_t i = 0; i < n; i++) {
        int64_t token = given[i];
        if ((uint64_t)token >= n_tokens) {
            fault->position = position + i;
            fault->value = token;
            return MB_INVALID;
        }
        out[i] = (uint32_t)token;
    }
    return MB_OK;
}

/* ---- runs -------------------------------------------------------------------------------- */

/* Adds a run, taken in any case. */
mb_status mb_fading_add_run(mb_fading *counts, mb_fading_run *run, mb_interrupt *interrupt);

/* Ends all runs. */
void mb_fading_clear(mb_fading *counts);

/* Makes sure that the sum of all counts can grow by this. */
mb_status mb_fading_reserve(mb_fading *counts, double more, mb_interrupt *interrupt);

/* Ends a change that was made to a copy: that becomes the counts where all went well, and ends in any
 * case.  Returns the status. */
mb_status mb_fading_commit(mb_status status, mb_fading *counts, mb_fading *changed);

/* All runs as one, whose pairs all count now; the caller frees it. */
mb_status mb_fading_compact(const mb_fading *counts, mb_interrupt *interrupt, mb_fading_run **out);

/* The sum of all counts. */
mb_status mb_fading_sum(const mb_fading *counts, mb_interrupt *interrupt, double *out);

/* ---- changes -------------------------------------------------------------------------- */

/* Counts every token with a full context in its document, in their order. */
mb_status mb_fading_update(mb_fading *counts, size_t n_documents, const mb_document *documents,
                           mb_interrupt *interrupt, mb_token_fault *fault);

/* Adds given counts, which fade nothing: more [n] >= 0 and finite of tokens [n] after contexts
 * [n][order].  A fault at position `order` is the token, at order + 1 the count. */
mb_status mb_fading_add(mb_fading *counts, size_t n, const int64_t *contexts, const int64_t *tokens,
                        const double *more, mb_interrupt *interrupt, mb_token_fault *fault);

/* Adds the counts of another of the same order and number of tokens (itself, too), as they are now. */
mb_status mb_fading_merge(mb_fading *counts, const mb_fading *other, mb_interrupt *interrupt);

/* Multiplies the rows of contexts [n][order], each once, or all rows where they are NULL, by a factor
 * from 0 to 1. */
mb_status mb_fading_scale(mb_fading *counts, size_t n, const int64_t *contexts, double factor,
                          mb_interrupt *interrupt, mb_token_fault *fault);

/* ---- questions -------------------------------------------------------------------------- */

/* The count now of each of tokens [n] after contexts [n][order]. */
mb_status mb_fading_counts(const mb_fading *counts, size_t n, const int64_t *contexts,
                           const int64_t *tokens, mb_interrupt *interrupt, double *out,
                           mb_token_fault *fault);

/* The sum of the row of each of contexts [n][order]. */
mb_status mb_fading_totals(const mb_fading *counts, size_t n, const int64_t *contexts,
                           mb_interrupt *interrupt, double *out, mb_token_fault *fault);

/* The rows of contexts [n][order], as mb_transitions_rows() gives them. */
mb_status mb_fading_read(const mb_fading *counts, size_t n, const int64_t *contexts,
                         mb_interrupt *interrupt, int64_t *starts, uint32_t *tokens, double *now,
                         mb_token_fault *fault);

/* ---- arrays ---------------------------------------------------------------------------- */

/* Writes a run that mb_fading_compact() gave: contexts [n_rows][order], starts [n_rows + 1], and of each
 * pair its token and count; as it is now where `clocks` are NULL, else with its rest and time, and
 * clocks [n_rows]. */
typedef struct {
    int64_t *contexts, *starts, *clocks, *tokens, *times;
    double *counts, *rests;
} mb_fading_arrays;
mb_status mb_fading_write(const mb_fading *counts, const mb_fading_run *run,
                          mb_interrupt *interrupt, const mb_fading_arrays *out);

/* Rows from elsewhere: contexts [n_rows][order], starts [n_rows + 1] from 0 to n_pairs, clocks
 * [n_rows], and tokens, counts > 0, rests and times of each pair; clocks, rests and times are all 0
 * where they are NULL.  MB_INVALID where one is not in order: what it is says *wrong. */
typedef struct {
    size_t n_rows, n_pairs;
    const int64_t *contexts, *starts, *clocks, *tokens, *times;
    const double *counts, *rests;
} mb_fading_rows;
mb_status mb_fading_load(size_t order, uint64_t n_tokens, double discount,
                         const mb_fading_rows *rows, mb_interrupt *interrupt, mb_fading **out,
                         const char **wrong);

/* ---- evidence ------------------------------------------------------------------------- */

/* A mixture of Dirichlets, the prior of each row: alpha of component k and token v is
 * alpha[k * n_columns + v], or alpha[k] where n_columns is 1. */
typedef struct {
    size_t n_components, n_columns;
    const double *weights, *concentration, *alpha;
} mb_fading_prior;

/* The log-probability of the tokens with a full context in documents, each counted before the next
 * is scored; the counts stay as they are. */
mb_status mb_fading_evidence(const mb_fading *counts, size_t n_documents,
                             const mb_document *documents, const mb_fading_prior *prior,
                             mb_interrupt *interrupt, double *out, mb_token_fault *fault);

#endif
