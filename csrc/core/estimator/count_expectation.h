/* The E-step of a Dirichlet mixture on rows of counts, model.md section 5. */
#ifndef MB_COUNT_EXPECTATION_H
#define MB_COUNT_EXPECTATION_H

#include "core/estimator/counts.h"
#include "core/mixture/mixture.h"

/* Doubles from a row of a table of K components to the next: K, padded to vectors. */
size_t mb_table_width(size_t n_components);

/* The table [n_cells][width], each the logarithm of a factor of a row's evidence under each
 * component: ln G(a_kv + n) - ln G(a_kv) of the cell (v, n), and ln G(A_k) - ln G(A_k + N) of
 * a total.  Pads are left as they are, 0 for the functions below. */
mb_status mb_evidence_table(const mb_mixture *mixture, const mb_counts *counts,
                            mb_interrupt *interrupt, double *table);

/* Doubles of scratch that the functions below need. */
size_t mb_count_scratch(size_t n_components);

/* ln w_k + ln L_k of rows start .. end, into out [end - start][K]. */
mb_status mb_counts_log_joint(const mb_counts *counts, size_t start, size_t end,
                              size_t n_components, const double *log_weights, const double *table,
                              mb_interrupt *interrupt, double *scratch, double *out);

/* What an M-step needs to know of any number of rows.  They add. */
typedef struct {
    double *weight; /* [K], N_k = sum_i s_i r_ik */
    double *cells;  /* [n_cells][width], the same sum over the rows with a cell */
    double log_likelihood;
} mb_count_sums;

/* Adds the sums of rows start .. end, weighted by `sample_weight` [n_rows] (NULL: ones),
 * under the mixture's responsibilities. */
mb_status mb_count_expectation(const mb_counts *counts, size_t start, size_t end,
                               size_t n_components, const double *log_weights, const double *table,
                               const double *sample_weight, mb_interrupt *interrupt,
                               double *scratch, mb_count_sums *sums);

/* The same for responsibilities [end - start][K] that are given; the likelihood is left as it is. */
mb_status mb_count_accumulate(const mb_counts *counts, size_t start, size_t end,
                              size_t n_components, const double *responsibilities,
                              mb_interrupt *interrupt, double *scratch, mb_count_sums *sums);

#endif
