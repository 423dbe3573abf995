/* Tokens drawn from rows of probabilities: what a fit at a resolution reads, model.md section 4b.
 *
 * A draw is decided by the seed, the number of its row and its own number alone, whoever makes it
 * and beside what. */
#ifndef MB_DRAWS_H
#define MB_DRAWS_H

#include "core/base/status.h"

#include <stddef.h>

#define MB_MOST_DRAWN ((size_t)1 << 20) /* tokens of a draw */

typedef struct {
    size_t n;      /* tokens of a draw, 1 .. MB_MOST_DRAWN */
    size_t n_each; /* draws from a row */
    uint64_t seed;
} mb_draw_plan;

/* Doubles of scratch that a row needs. */
size_t mb_draw_scratch(size_t n_tokens, const mb_draw_plan *plan);

/* A row of log-probabilities [n_tokens], floats or doubles. */
typedef struct {
    const void *log_probs;
    size_t n_tokens;
    int is_double;
    uint64_t number;
    double weight;
} mb_draw_row;

/* The draws from a row as sparse rows: draw d has its columns, rising, and their counts at ends[d - 1]
 * .. ends[d] of `columns` and `counts`, draw 0 from `start` on, each min(n, n_tokens) entries at
 * most.  A token of probability 0 is never drawn.  Adds weight times the row, as it sums to 1, to
 * mean [n_tokens].  MB_INVALID: the row has no finite sum above 0. */
mb_status mb_draw(const mb_draw_row *row, const mb_draw_plan *plan, mb_interrupt *interrupt,
                  double *scratch, size_t start, int64_t *ends, int64_t *columns, double *counts,
                  double *mean);

#endif
