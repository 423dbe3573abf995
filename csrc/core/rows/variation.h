/* Total variation between the rows of two blocks, the one distance whose cost is its additions. */
#ifndef MB_VARIATION_H
#define MB_VARIATION_H

#include "core/base/status.h"

#include <stddef.h>

/* 1/2 sum |p - q| of rows a [n_a][n_tokens] and b [n_b][n_tokens], into out [n_a][n_b]. */
mb_status mb_block_variation(size_t n_tokens, size_t n_a, const double *a, size_t n_b,
                             const double *b, mb_interrupt *interrupt, double *out);

#endif
