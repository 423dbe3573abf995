/* Finite mixtures of Dirichlets: the prior over the Matrix's rows, and its update.
 *
 * u(p) = sum_k w_k Dir(p; alpha_k), A_k = sum_v alpha_kv, after Dalal & Misra
 * (2024).  K = n_components, V = n_tokens.  Arrays are in C order. */
#ifndef MB_MIXTURE_H
#define MB_MIXTURE_H

#include "core/base/status.h"

#include <stddef.h>

typedef struct {
    size_t n_components, n_tokens;
    double *weights;       /* [K], sum to 1 */
    double *log_weights;   /* [K], -inf where a weight is 0 */
    double *concentration; /* [K], A_k */
    double *log_norm;      /* [K], ln Gamma(A_k) - sum_v ln Gamma(alpha_kv) */
    double *alpha;         /* [K][V] */
    double *exponents;     /* alpha - 1 as tiles.h wants its factors: [K][padded V], */
    double *ends;          /* and [K][MB_LANES] */
} mb_mixture;

/* A mixture of `weights` [K], each >= 0 with a positive sum by which they are
 * divided, and `alpha` [K][V], in the range of ranges.h.  MB_INVALID where they are not,
 * or K or V is 0; MB_RANGE where a sum of alphas is above that range. */
mb_status mb_mixture_new(size_t n_components, size_t n_tokens, const double *weights,
                         const double *alpha, mb_interrupt *interrupt, mb_mixture **out);
void mb_mixture_free(mb_mixture *mixture);

#endif
