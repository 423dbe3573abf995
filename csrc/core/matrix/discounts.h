/* Rows with discounts (docs/model.md 9b): orders of a hierarchy of contexts.
 *
 * The probability of a token that was seen n times after a context, with q its probability after
 * the context less its oldest token,
 *
 *     [ n - D(n) + (theta + sum_j D_j t_j) q ] / (N + theta)
 *
 * where N is the row's total, and t_j is how many of its tokens have counts of class j, which are
 * lessened by D_j: 1, 2, 3, 4 to 5, 6 to 9, 10 to 24, and more; D(0) is 0.  It is q where N is 0.
 * With all D = 0 it is the Dirichlet row of concentration theta; with theta = 0, D_j <= j from counts
 * of counts and one D from 3 on, modified Kneser-Ney. */
#ifndef MB_DISCOUNTS_H
#define MB_DISCOUNTS_H

#include "core/matrix/transitions.h"

enum {
    MB_CLASSES = 7,                /* of counts */
    MB_ROW_SIZES = 1 + MB_CLASSES, /* N, t_1, ..., t_7 */
    MB_DISCOUNTS = MB_CLASSES + 1, /* D_1, ..., D_7, theta */
    MB_BY_TOTAL = 10,              /* buckets of rows: by N, and by t_1 / sum_j t_j */
    MB_BY_SINGLE = 9,
    MB_BUCKETS = MB_BY_TOTAL * MB_BY_SINGLE
};

/* The class of a count, MB_CLASSES for none. */
static inline size_t
mb_class_of_count(double count)
{
    static const unsigned char small[25] = {MB_CLASSES, 0, 1, 2, 3, 3, 4, 4, 4, 4, 5, 5, 5,
                                            5,          5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5};
    return count >= 25.0 ? 6 : count > 0.0 ? small[(size_t)count] : MB_CLASSES;
}

/* The bucket of a row of these sizes [MB_ROW_SIZES], where there are MB_BUCKETS; the only one else. */
static inline size_t
mb_bucket_of_row(size_t n_buckets, const double *sizes)
{
    static const double totals[MB_BY_TOTAL - 1] = {2.0,   5.0,   10.0,   20.0,   50.0,
                                                   100.0, 300.0, 1000.0, 10000.0};
    static const double singles[MB_BY_SINGLE - 1] = {0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9};
    size_t by_total = 0, by_single = 0;
    double seen = 0.0;
    for (size_t j = 1; j < MB_ROW_SIZES; j++) {
        seen += sizes[j];
    }
    for (size_t i = 0; i < MB_BY_TOTAL - 1; i++) {
        by_total += (size_t)(sizes[0] > totals[i]);
    }
    for (size_t i = 0; i < MB_BY_SINGLE - 1; i++) {
        by_single += (size_t)(sizes[1] > singles[i] * seen);
    }
    return n_buckets == MB_BUCKETS ? by_total * MB_BY_SINGLE + by_single : 0;
}

/* What a row multiplies by: a count less its discount, and q; and its discounts. */
typedef struct {
    double of_count, of_shorter;
    const double *discounts; /* [MB_DISCOUNTS] */
} mb_discount_shares;

/* Of a row of these sizes and discounts. */
static inline mb_discount_shares
mb_discount_shares_of(const double *sizes, const double *discounts)
{
    double total = sizes[0] + discounts[MB_CLASSES], freed = discounts[MB_CLASSES];
    /* an empty row says nothing, whatever its theta */
    if (!(sizes[0] > 0.0)) {
        return (mb_discount_shares){0.0, 1.0, discounts};
    }
    for (size_t j = 0; j < MB_CLASSES; j++) {
        freed += discounts[j] * sizes[1 + j];
    }
    return (mb_discount_shares){1.0 / total, freed / total, discounts};
}

/* Pairs of contexts and tokens: each has its count, the number of its row, and that of the shorter
 * pair, whose probability is q.  Rows of like size share a bucket of numbers. */
typedef struct {
    size_t n, n_rows, n_shorter, n_buckets;
    const double *counts;    /* [n], whole numbers >= 0 */
    const int64_t *row;      /* [n], below n_rows */
    const int64_t *shorter;  /* [n], below n_shorter */
    const double *sizes;     /* [n_rows][MB_ROW_SIZES], >= 0 */
    const int64_t *bucket;   /* [n_rows], below n_buckets */
    const double *discounts; /* [n_buckets][MB_DISCOUNTS], D_j from 0 to the least count of class j,
                              * theta >= 0 */
} mb_discounted;

/* The buckets of rows [n][MB_ROW_SIZES]. */
mb_status mb_buckets_of_rows(size_t n, const double *sizes, size_t n_buckets,
                             mb_interrupt *interrupt, int64_t *out);

/* out [n] from q [n_shorter].  MB_INVALID where an index is out of range, MB_NOMEM, MB_STOPPED. */
mb_status mb_discounted_probs(const mb_discounted *pairs, const double *q, mb_interrupt *interrupt,
                              double *out);

/* The log-probability of pairs that came `times` [n of the last] times, and its slopes by the
 * discounts of all levels, [n_levels][n_buckets][MB_DISCOUNTS].  The shorter pairs of a level are
 * the pairs of the one before, those of the first have the probabilities q.  All levels have as
 * many buckets, and rows that rise.  Statuses as above; MB_NUMERIC where what came has no
 * probability. */
mb_status mb_discounted_fit(size_t n_levels, const mb_discounted *levels, const double *q,
                            const double *times, mb_interrupt *interrupt, double *log_prob,
                            double *slopes);

/* ---- pairs and rows of counts, which have one run ------------------------------------------- */

/* For each pair of `events`, in the order of their run, its count here, [n], and the number of its
 * row: rows are the different contexts of the events, in order, n_rows of them; and their sizes
 * here, [n_rows][MB_ROW_SIZES].  MB_INVALID where there are not so many. */
mb_status mb_discounted_rows(const mb_transitions *counts, const mb_transitions *events,
                             size_t n_rows, mb_interrupt *interrupt, double *out_counts,
                             int64_t *row, double *sizes);

/* For each pair of events the place of the pair whose context is a token shorter, among those of
 * order - 1.  MB_INVALID where it is not there. */
mb_status mb_shorter_pairs(const mb_transitions *events, const mb_transitions *shorter,
                           mb_interrupt *interrupt, int64_t *places);

/* How many pairs have the count 1, 2, ..., most: out [most]. */
mb_status mb_counts_of_counts(const mb_transitions *counts, size_t most, mb_interrupt *interrupt,
                              uint64_t *out);

#endif
