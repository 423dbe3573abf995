/* Regression of the concentration of rows and counts, model.md section 4e.
 *
 * A unit is what shares its covariates and group: rows of log-probabilities or of counts, of which
 * the sums alone are needed.  Unit u has the concentration c_u, and alpha_uv = c_u m_v with the mean
 * of its block of units. */
#ifndef MB_REGRESSION_H
#define MB_REGRESSION_H

#include "core/base/status.h"

#include <stddef.h>

/* Rows: weight and log_sums; counts: cells of the unit u are starts[u] .. starts[u + 1], by rising
 * token, the totals (token n_tokens) last. */
typedef struct {
    size_t n_units, n_tokens;
    const double *weight;   /* [n_units], of the unit's rows; NULL for counts */
    const double *log_sums; /* [n_units][n_tokens], by weight; all finite */
    const int64_t *starts;  /* [n_units + 1] */
    const int64_t *token;   /* [n_cells] */
    const double *count, *cell_weight;
} mb_units;

/* What is asked of units: their concentrations [n_units], all > 0; the mean [n_means][n_tokens] of
 * the units places[m] .. places[m + 1], > 0; and the design [n_units][n_terms]. */
typedef struct {
    const double *total, *mean, *design;
    size_t n_means, n_terms;
    const int64_t *places; /* [n_means + 1] */
} mb_regression;

/* The log-likelihood of units and what its derivatives are made of.  With d_uv the slope in alpha_uv
 * of what is not of the total, -t_uv its bend, e = alpha d and k = alpha d - alpha^2 t: */
typedef struct {
    double *value, *slope, *bend; /* [n_units]: l; its slope and bend in ln c */
    double *first;                /* [n_means][n_tokens], the sum of e over a mean's units */
    double *second;               /* [n_means][n_terms][n_tokens], that of design times k */
} mb_regression_sums;

/* Writes them.  `scratch` has room for MB_REGRESSION_SCRATCH doubles. */
#define MB_REGRESSION_SCRATCH ((size_t)4 * 256)
mb_status mb_regression_derive(const mb_units *units, const mb_regression *asked,
                               mb_interrupt *interrupt, double *scratch, mb_regression_sums *sums);

/* Moves `mean` [n_tokens], which sums to 1 with each element > 0, to the one that all units with
 * concentrations `total` have in common and that is most likely; l is concave in it.  `scratch`
 * has room for 3 n_tokens and MB_REGRESSION_SCRATCH doubles.  A token of no unit stays as it is. */
mb_status mb_regression_mean(const mb_units *units, const double *total, mb_interrupt *interrupt,
                             double *mean, double *scratch);

#endif
