/* The E-step of a Dirichlet mixture on rows of log-probabilities, model.md section 4. */
#ifndef MB_EXPECTATION_H
#define MB_EXPECTATION_H

#include "core/mixture/densities.h"

/* What an M-step needs to know of any number of rows.  They add. */
typedef struct {
    double *weight;   /* [K], N_k = sum_i s_i r_ik */
    double *log_sums; /* [K][V], S_kv = sum_i s_i r_ik ln p_iv */
    double log_likelihood;
} mb_sums;

/* Doubles of scratch that the next two functions need. */
size_t mb_expectation_scratch(size_t n_components);

/* Adds the sums of `rows`, weighted by `sample_weight` [n] (NULL: ones), under the
 * mixture's responsibilities.  Each row is read from memory once. */
mb_status mb_expectation(const mb_mixture *mixture, const mb_log_rows *rows,
                         const double *sample_weight, mb_interrupt *interrupt, double *scratch,
                         mb_sums *sums);

/* The same for responsibilities [n][K] that are given; the likelihood is left as it is. */
mb_status mb_accumulate(size_t n_components, size_t n_tokens, const mb_log_rows *rows,
                        const double *responsibilities, mb_interrupt *interrupt, double *scratch,
                        mb_sums *sums);

#endif
