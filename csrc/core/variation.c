/* Total variation, compiled for each instruction set and chosen at each call. */
#include "variation.h"

#include <math.h>
#include <string.h>

/* Rows of a tile: as many sums as registers hold beside what they are made of. */
#define ROWS 4
#define COLUMNS (LANES == 8 ? 4 : 2)

/* Tokens that a tile goes through before the next one does: the rows of both sides stay in the
 * first cache. */
enum { PIECE = 256 };

#define KERNEL "variation_kernel.h"
#include "instruction_sets.h"

void
mb_block_variation(size_t n_tokens, size_t n_a, const double *a, size_t n_b, const double *b,
                   double *out)
{
    memset(out, 0, n_a * n_b * sizeof(double));
    for (size_t at = 0; at < n_tokens; at += PIECE) {
        size_t n = n_tokens - at < PIECE ? n_tokens - at : PIECE;
        CHOOSE(variation_piece, n, n_tokens, n_a, a + at, n_b, b + at, out);
    }
    for (size_t i = 0; i < n_a * n_b; i++) {
        out[i] *= 0.5;
    }
}
