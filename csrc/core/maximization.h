/* The M-step of one Dirichlet: the concentrations that maximise
 *
 *     f(alpha) = lnG(A) - sum_v lnG(alpha_v) + sum_v (alpha_v - 1) mean_log_v - rate A
 *
 * subject to A <= max_concentration; f is concave.  model.md section 4, after
 * T. Minka, "Estimating a Dirichlet distribution" (2000). */
#ifndef MB_MAXIMIZATION_H
#define MB_MAXIMIZATION_H

#include "status.h"

#include <stddef.h>

typedef struct {
    double rate;              /* of an exponential prior on A, per row seen; >= 0 */
    double max_concentration; /* > 0, may be infinite */
} mb_bounds;

/* Moves alpha [n_tokens], a start with each element > 0, to the maximum for the mean
 * log-probabilities mean_log [n_tokens], all finite and < 0; *capped says whether
 * the bound on A holds it there.  `scratch` has room for 3 n_tokens doubles.
 * MB_NUMERIC where 200 steps did not settle: alpha is then as it was. */
mb_status mb_maximize_dirichlet(size_t n_tokens, const double *mean_log, const mb_bounds *bounds,
                                double *alpha, double *scratch, int *capped);

#endif
