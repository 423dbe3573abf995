/* The two matrix products of the E-step, tile by tile: sums of products of rows
 * of log-probabilities, float or double, in double precision. */
#ifndef MB_TILES_H
#define MB_TILES_H

#include "core/base/status.h"

#include <stddef.h>

enum { MB_LANES = 8 };

/* The width of rows of n_tokens as the products take them: short ones are padded. */
static inline size_t
mb_padded(size_t n_tokens)
{
    return n_tokens < MB_LANES ? MB_LANES : n_tokens;
}

/* n rows, `stride` elements from one to the next, the first n_tokens >= MB_LANES
 * of each in use. */
typedef struct {
    const void *data;
    int is_double;
    size_t n, stride, n_tokens;
} mb_block;

/* Factors for each component: [K][V], and for the last MB_LANES tokens again
 * [K][MB_LANES], with zeros for the tokens that whole vectors have covered. */
typedef struct {
    size_t n_components;
    const double *all, *ends; /* ends may be NULL where whole vectors cover all tokens */
} mb_factors;

/* joint[i][k] += sum_v factors[k][v] x[i][v] */
mb_status mb_tile_densities(const mb_block *x, const mb_factors *factors, mb_interrupt *interrupt,
                            double *joint);

/* sums[k][v] += sum_i shares[i][k] x[i][v] */
mb_status mb_tile_sums(const mb_block *x, size_t n_components, const double *shares,
                       mb_interrupt *interrupt, double *sums);

#endif
