/* What counts say of a mixture of Dirichlets, model.md section 3.  Counts [n][V] are real, >= 0. */
#ifndef MB_POSTERIOR_H
#define MB_POSTERIOR_H

#include "core/mixture/mixture.h"

/* ln w_k + ln L_k of each count vector under each component, into out [n][K]:
 * L_k is the evidence of a sequence with `counts` [n][V], in any order. */
mb_status mb_mixture_log_joint_counts(const mb_mixture *mixture, size_t n, const double *counts,
                                      mb_interrupt *interrupt, double *out);

/* Each row of joint [n][K], of counts or of rows, becomes its responsibilities softmax(joint),
 * and its log-sum-exp goes to total [n]. */
mb_status mb_normalize_log_joint(size_t n, size_t n_components, mb_interrupt *interrupt,
                                 double *joint, double *total);

/* The posterior given one count vector: weights [K] and alpha [K][V]. */
mb_status mb_mixture_posterior(const mb_mixture *mixture, const double *counts,
                               mb_interrupt *interrupt, double *weights, double *alpha);

/* The probability of each next token given each count vector, into out [n][V];
 * `scratch` has room for K doubles. */
mb_status mb_mixture_predictive(const mb_mixture *mixture, size_t n, const double *counts,
                                mb_interrupt *interrupt, double *out, double *scratch);

/* A component's part in n probabilities of a predictive: p += scale (alpha + counts). */
void mb_add_predictive(size_t n, double scale, const double *alpha, const double *counts,
                       double *p);

#endif
