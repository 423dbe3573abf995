/* How the rows of a level of counts are smoothed: what becomes of a count, and of the mean, the
 * probability after the context less its oldest token (docs/model.md 9, 9b, 9c). */
#ifndef MB_SMOOTHING_H
#define MB_SMOOTHING_H

#include "core/matrix/discounts.h"

typedef enum {
    MB_CONCENTRATIONS, /* the mixture sum_k w_k Dir(A_k mean) */
    MB_DISCOUNTED_ROWS,
    MB_TREE_LEAVES /* leaves of a context tree: counts alone, by how probably it is one */
} mb_smoothing_kind;

typedef struct {
    mb_smoothing_kind kind;
    size_t n;              /* concentrations K, or buckets of discounts */
    const double *weights; /* [K] */
    const double *values;  /* [K] A_k; discounts [n][MB_DISCOUNTS]; of leaves, A alone */
    const double *odds; /* at the first pair of each leaf's row: ln odds that it is none; NULL where
                            * all are leaves */
} mb_smoothing;

/* P = (n - D(n)) to_count + to_mean mean */
typedef struct {
    double to_mean, to_count;
    const double *discounts; /* [MB_DISCOUNTS], or NULL where D is 0 */
} mb_row_shares;

/* Totals of rows up to which concentrations are weighed by products. */
enum { MB_FEW_COUNTS = 32, MB_SMOOTHING_SCRATCH = MB_FEW_COUNTS + 4 /* doubles for each of K */ };

/* Fills scratch [MB_SMOOTHING_SCRATCH K] for the rows of a level. */
void mb_begin_smoothing(const mb_smoothing *smoothing, double *scratch);

/* The shares of a row that has counts [n] > 0 where its mean is means [n].  Leaves have none. */
mb_row_shares mb_shares_of_row(const mb_smoothing *smoothing, size_t n, const double *counts,
                               const double *means, double *scratch);

/* What is left of a count > 0. */
static inline double
mb_lessened(const mb_row_shares *shares, double count)
{
    return shares->discounts == NULL ? count : count - shares->discounts[mb_class_of_count(count)];
}

#endif
