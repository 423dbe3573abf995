/* Distances between rows: of every row of one block to every row of another, and of single pairs.
 *
 * Rows p and q of n_tokens probabilities, or their logarithms.  Zeros are exact: 0 ln 0 is 0, and
 * a distance that compares logarithms is infinite where one row alone has a zero.
 *
 *     MB_VARIATION        1/2 sum |p - q|
 *     MB_HELLINGER        1/2 sum (sqrt p - sqrt q)^2, the square of the distance
 *     MB_JENSEN_SHANNON   1/2 sum p ln(2p / (p + q)) + q ln(2q / (p + q)), the divergence in nats
 *     MB_KULLBACK         sum p ln(p / q) - p + q, in nats
 *     MB_HILBERT          max ln(p / q) - min ln(p / q) over tokens that are not zero in both */
#ifndef MB_DISTANCES_H
#define MB_DISTANCES_H

#include "core/base/status.h"

#include <stddef.h>
#include <stdint.h>

typedef enum {
    MB_VARIATION,
    MB_HELLINGER,
    MB_JENSEN_SHANNON,
    MB_KULLBACK,
    MB_HILBERT,
    MB_N_DISTANCES
} mb_distance;

/* Rows a [n_a][n_tokens] to rows b [n_b][n_tokens], all doubles, out [n_a][n_b]; of probabilities
 * for MB_VARIATION and MB_JENSEN_SHANNON, of log-probabilities for MB_HILBERT; the others are
 * matrix products, and none of these.  Jensen-Shannon is off by 1e-15, however small it is. */
mb_status mb_block_distances(mb_distance kind, size_t n_tokens, size_t n_a, const double *a,
                             size_t n_b, const double *b, mb_interrupt *interrupt, double *out);

/* Rows of log-probabilities [n][n_tokens], floats or doubles. */
typedef struct {
    const void *data;
    size_t n, n_tokens;
    int is_double;
} mb_distance_rows;

/* Of n pairs of `rows`, first[i] and second[i], into out [n].  Off by 1e-15 of itself and 1e-15 times
 * the root of itself, the squares and divergences too: small ones are not differences of large numbers.
 * MB_INVALID: pair *wrong, the first such, is of rows that are not there. */
mb_status mb_pair_distances(mb_distance kind, const mb_distance_rows *rows, size_t n,
                            const int64_t *first, const int64_t *second, mb_interrupt *interrupt,
                            double *out, size_t *wrong);

#endif
