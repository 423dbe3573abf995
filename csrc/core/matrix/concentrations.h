/* Rows whose mean is known, under priors of several concentrations (docs/model.md 9). */
#ifndef MB_CONCENTRATIONS_H
#define MB_CONCENTRATIONS_H

#include "core/base/status.h"

/* Rows of counts, one behind the other: row r has the pairs from starts[r] up to starts[r + 1].  A pair has
 * its count n, a whole number, and the mean m of its token, which matters from a count of 2 on. */
typedef struct {
    size_t n_rows, n_pairs, n_values;
    const int64_t *starts; /* [n_rows + 1] */
    const double *counts;  /* [n_pairs], >= 0 */
    const double *means;   /* [n_pairs], from 0 to 1 */
    const double *values;  /* [n_values], concentrations A, from MB_LEAST_ALPHA to
                            * MB_MOST_CONCENTRATION */
} mb_mean_rows;

/* The log-evidence of each row under each A m, into out [n_rows][n_values], less what is the same for
 * each A: ln m of each token seen.  0 of rows of one token or none.
 *
 *     sum_v lnG(A m_v + n_v) - lnG(A m_v) - ln m_v  -  lnG(A + N) + lnG(A)
 *
 * MB_INVALID where starts do not rise from 0 to n_pairs at most, MB_NOMEM, MB_STOPPED. */
mb_status mb_concentration_evidence(const mb_mean_rows *rows, mb_interrupt *interrupt, double *out);

/* What the mean and each count of a row are multiplied by under the mixture of these weights [n_values]:
 * sum_k r_k A_k / (A_k + N) and sum_k r_k / (A_k + N), into out [n_rows][2], r by that evidence.
 * Statuses as above. */
mb_status mb_concentration_shares(const mb_mean_rows *rows, const double *weights,
                                  mb_interrupt *interrupt, double *out);

#endif
