/* Evidence of counts under Dirichlets that stand around rows, model.md section 7: many components
 * of which none is ever written out. */
#ifndef MB_ROW_KERNELS_H
#define MB_ROW_KERNELS_H

#include "core/base/status.h"

#include <stddef.h>
#include <stdint.h>

/* Component (j, i) of J pairs and N rows has, at place u of the U tokens that are looked at,
 *
 *     alpha = own_j p_ui + shared_j b_ui + seen_u,
 *
 * and `concentration` [J] is the sum of its alphas over all tokens.  Alphas and concentrations are
 * in range (ranges.h); where one is not, its evidence is unspecified. */
typedef struct {
    size_t n_rows, n_pairs;
    const double *p, *b; /* [U][N] */
    const double *seen;  /* [U] */
    const double *own, *shared, *concentration;
} mb_row_kernels;

/* Doubles of scratch for n count vectors and J pairs; 0 where that overflows. */
size_t mb_row_kernels_scratch(size_t n, size_t n_pairs);

/* ln L of n count vectors under each component, into out [n][J][N].  Vector r has counts > 0 at
 * the places of entries starts[r] .. starts[r + 1], different ones, all below U. */
mb_status mb_row_kernels_log_evidence(const mb_row_kernels *kernels, size_t n,
                                      const int64_t *starts, const int64_t *places,
                                      const double *counts, mb_interrupt *interrupt,
                                      double *scratch, double *out);

#endif
