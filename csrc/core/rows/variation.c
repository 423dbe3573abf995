/* Total variation, compiled for each instruction set and chosen at each call.
 *
 * 1/2 sum |p - q| is 1/2 (sum p + sum q) - sum min(p, q): two operations a token, not three. */
#include "core/rows/variation.h"

#include <string.h>

/* Rows of a tile: as many sums as registers hold beside what they are made of. */
#define ROWS 4
#define COLUMNS (LANES == 8 ? 4 : 2)

enum {
    PIECE = 256, /* tokens that a tile goes through before the next one does, in the first cache */
    FEW = 64     /* rows whose own sums are kept */
};

/* A sum is taken as x * 1 + sum, which is the same: a product goes through other units of the
 * processor than a minimum, so that neither waits for the other; a quarter faster.  The compiler is
 * not to know that it is 1. */
#include "core/base/contract.h"
#if defined(__x86_64__)
#define OPAQUE(vector) __asm__("" : "+v"(vector))
#else
#define OPAQUE(vector)
#endif

#define KERNEL "core/rows/variation_kernel.h"
#include "core/base/instruction_sets.h"

/* Adds sum min(p, q) of each pair of rows to out [n_a][n_b]. */
static mb_status
add_minima(size_t n_tokens, size_t n_a, const double *a, size_t n_b, const double *b,
           mb_interrupt *interrupt, double *out)
{
    for (size_t at = 0; at < n_tokens; at += PIECE) {
        size_t n = n_tokens - at < PIECE ? n_tokens - at : PIECE;
        MB_TRY(CHOOSE(minima_of_piece, n, n_tokens, n_a, a + at, n_b, b + at, interrupt, out));
    }
    return MB_OK;
}

/* The sum of a row, in the order in which its minima with others are added: the distance of equal
 * rows is 0. */
static mb_status
own_sum(size_t n_tokens, const double *p, mb_interrupt *interrupt, double *sum)
{
    *sum = 0.0;
    return add_minima(n_tokens, 1, p, 1, p, interrupt, sum);
}

mb_status
mb_block_variation(size_t n_tokens, size_t n_a, const double *a, size_t n_b, const double *b,
                   mb_interrupt *interrupt, double *out)
{
    memset(out, 0, n_a * n_b * sizeof(double));
    MB_TRY(add_minima(n_tokens, n_a, a, n_b, b, interrupt, out));
    for (size_t first = 0; first < n_b; first += FEW) {
        size_t many = n_b - first < FEW ? n_b - first : FEW;
        double sums[FEW] MB_FILLED;
        for (size_t j = 0; j < many; j++) {
            MB_TRY(own_sum(n_tokens, b + (first + j) * n_tokens, interrupt, sums + j));
        }
        for (size_t i = 0; i < n_a; i++) {
            double own, *row = out + i * n_b + first;
            MB_TRY(own_sum(n_tokens, a + i * n_tokens, interrupt, &own));
            for (size_t j = 0; j < many; j++) {
                double found = 0.5 * (own + sums[j]) - row[j];
                row[j] = found > 0.0 ? found : 0.0;
            }
        }
    }
    return MB_OK;
}
