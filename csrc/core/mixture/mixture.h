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

/* Rows of log-probabilities [n][V], float or double, in C order. */
typedef struct {
    const void *data;
    size_t n;
    int is_double;
} mb_log_rows;

/* A mixture of `weights` [K], each >= 0 with a positive sum by which they are
 * divided, and `alpha` [K][V], in the range of ranges.h.  MB_INVALID where they are not,
 * or K or V is 0; MB_RANGE where a sum of alphas is above that range. */
mb_status mb_mixture_new(size_t n_components, size_t n_tokens, const double *weights,
                         const double *alpha, mb_interrupt *interrupt, mb_mixture **out);
void mb_mixture_free(mb_mixture *mixture);

/* ln w_k + ln L_k of each count vector under each component, into out [n][K]:
 * L_k is the evidence of a sequence with `counts` [n][V] (real, >= 0), in any
 * order.  Dirichlet-multinomial, model.md section 3. */
mb_status mb_mixture_log_joint_counts(const mb_mixture *mixture, size_t n, const double *counts,
                                      mb_interrupt *interrupt, double *out);

/* ln w_k + ln Dir(p_i; alpha_k) of each row under each component, into out [n][K];
 * `scratch` has room for mb_expectation_scratch() doubles.  Every log-probability is finite. */
mb_status mb_mixture_log_joint_rows(const mb_mixture *mixture, const mb_log_rows *rows,
                                    mb_interrupt *interrupt, double *out, double *scratch);

/* Each row of joint [n][K] becomes softmax(joint) and its log-sum-exp goes to total [n]. */
mb_status mb_normalize_log_joint(size_t n, size_t n_components, mb_interrupt *interrupt,
                                 double *joint, double *total);

/* The posterior given one count vector: weights [K] and alpha [K][V]. */
mb_status mb_mixture_posterior(const mb_mixture *mixture, const double *counts,
                               mb_interrupt *interrupt, double *weights, double *alpha);

/* The probability of each next token given each count vector, into out [n][V];
 * `scratch` has room for K doubles. */
mb_status mb_mixture_predictive(const mb_mixture *mixture, size_t n, const double *counts,
                                mb_interrupt *interrupt, double *out, double *scratch);

/* Moments of p: the mean [V], and the variance [V] by the law of total variance. */
mb_status mb_mixture_mean(const mb_mixture *mixture, mb_interrupt *interrupt, double *mean);
mb_status mb_mixture_variance(const mb_mixture *mixture, mb_interrupt *interrupt, double *variance);

/* The differential entropy of each component in nats, into out [K]. */
mb_status mb_component_entropy(const mb_mixture *mixture, mb_interrupt *interrupt, double *out);

/* Entropy of the next token in nats: of the mean row (total), the mean of the rows'
 * (aleatoric), and their difference, the mutual information of token and row
 * (epistemic). */
typedef struct {
    double total, aleatoric, epistemic;
} mb_uncertainty;

mb_status mb_mixture_uncertainty(const mb_mixture *mixture, mb_interrupt *interrupt,
                                 mb_uncertainty *out);

#endif
