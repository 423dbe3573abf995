/* The M-step of one Dirichlet: the concentrations alpha that maximise an expected
 * log-likelihood and the logarithm of a prior,
 *
 *     f(alpha) = l(alpha) + each ln alpha_v (summed) + total ln A - rate A,
 *
 * subject to A <= max_concentration.  model.md sections 4 and 5, after T. Minka,
 * "Estimating a Dirichlet distribution" (2000). */
#ifndef MB_MAXIMIZATION_H
#define MB_MAXIMIZATION_H

#include "core/base/status.h"

#include <stddef.h>

/* Exponents and rate of Gamma priors on each alpha and on their sum A, and bounds. */
typedef struct {
    double each, total, rate; /* >= 0; in units of l */
    double max_concentration; /* > 0, may be infinite */
    double least;             /* > 0, no alpha falls below it */
} mb_prior_on_alpha;

/* Rows: l is that of a row, lnG(A) - sum_v lnG(alpha_v) + sum_v (alpha_v - 1) mean_log_v, with the
 * mean log-probabilities [n_tokens], all finite and < 0; it is concave.
 *
 * Moves alpha [n_tokens], a start with each element > 0, to the maximum; *capped says whether
 * nothing but the bound on A, or a rate that costs less than 0.001 there, holds it.  From a start
 * within the bound no f below the start's is returned, but for rounding.  `scratch` has room for
 * 4 n_tokens doubles.  MB_NUMERIC where 200 steps did not settle: alpha is then as far up as they
 * came. */
mb_status mb_maximize_rows(size_t n_tokens, const double *mean_log, const mb_prior_on_alpha *prior,
                           mb_interrupt *interrupt, double *alpha, double *scratch, int *capped);

/* Counts: l is that of all rows, from the weight of each cell (counts.h), cells by token and
 * rising count, the totals last: the sum of weight [lnG(alpha_v + n) - lnG(alpha_v)] over cells
 * (v, n) less the same of A over totals.  An alpha_v of a token never seen, but for 1e-100 of the
 * weight, goes to `least`; where no row has a total above 1, A stays as it is (both unless a prior
 * on alpha speaks of them). */
typedef struct {
    size_t n_cells, stride; /* weight of cell c: weight[c * stride] */
    const uint32_t *token;
    const double *count, *weight;
} mb_cells;

mb_status mb_maximize_counts(size_t n_tokens, const mb_cells *cells, const mb_prior_on_alpha *prior,
                             mb_interrupt *interrupt, double *alpha, double *scratch, int *capped);

/* Rows known in part, model.md section 4d: l is below that of all rows, and touches it at the alpha
 * of the E-step,
 *
 *     weight lnG(A) + sum_v [slope_v alpha_v - listed_v lnG(alpha_v) + single_v ln alpha_v
 *                            - (weight - listed_v) alpha_v ln alpha_v].  */
typedef struct {
    double weight;        /* of the rows */
    const double *listed; /* [n_tokens], the weight of those that list a token */
    const double *single; /* >= 0 */
    const double *slope;
} mb_partial_sums;

mb_status mb_maximize_partial(size_t n_tokens, const mb_partial_sums *sums,
                              const mb_prior_on_alpha *prior, mb_interrupt *interrupt,
                              double *alpha, double *scratch, int *capped);

#endif
