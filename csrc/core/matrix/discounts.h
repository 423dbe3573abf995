/* Rows with discounts (docs/model.md 9b): an order of a hierarchy of contexts.
 *
 * The probability of a token that was seen n times after a context, with q its probability after
 * the context less its oldest token,
 *
 *     [ n - D(n) + (theta + D_1 t_1 + D_2 t_2 + D_3 t_3) q ] / (N + theta)
 *
 * where N is the row's total, t_1, t_2, t_3 are how many of its tokens were seen once, twice and
 * more often, and D(n) is 0, D_1, D_2 or D_3; q where N is 0.  With all D = 0 it is the Dirichlet
 * row of concentration theta; with theta = 0, D_j <= j from counts of counts, modified Kneser-Ney. */
#ifndef MB_DISCOUNTS_H
#define MB_DISCOUNTS_H

#include "core/base/status.h"

enum {
    MB_ROW_SIZES = 4, /* N, t_1, t_2, t_3 */
    MB_DISCOUNTS = 4  /* D_1, D_2, D_3, theta */
};

/* Pairs of contexts and tokens: each has its count, the number of its row, and that of the shorter
 * pair, whose probability is q.  Rows of like size share a bucket of numbers. */
typedef struct {
    size_t n, n_rows, n_shorter, n_buckets;
    const double *counts;    /* [n], >= 0 */
    const int64_t *row;      /* [n], below n_rows */
    const int64_t *shorter;  /* [n], below n_shorter */
    const double *sizes;     /* [n_rows][MB_ROW_SIZES], >= 0 */
    const int64_t *bucket;   /* [n_rows], below n_buckets */
    const double *discounts; /* [n_buckets][MB_DISCOUNTS], D_j from 0 to j, theta >= 0 */
} mb_discounted;

/* out [n] from q [n_shorter].  MB_INVALID where an index is out of range, MB_NOMEM, MB_STOPPED. */
mb_status mb_discounted_probs(const mb_discounted *pairs, const double *q, mb_interrupt *interrupt,
                              double *out);

/* The slopes of a function of the probabilities `probs` [n], which mb_discounted_probs() gave and
 * by which it has the slopes `by_probs` [n]: by_discounts [n_buckets][MB_DISCOUNTS] and by_shorter
 * [n_shorter], by q.  Both are written over.  Statuses as above. */
mb_status mb_discounted_slopes(const mb_discounted *pairs, const double *q, const double *probs,
                               const double *by_probs, mb_interrupt *interrupt,
                               double *by_discounts, double *by_shorter);

#endif
