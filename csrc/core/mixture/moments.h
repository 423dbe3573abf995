/* What a mixture of Dirichlets says by itself: moments of its rows, and how uncertain it is. */
#ifndef MB_MOMENTS_H
#define MB_MOMENTS_H

#include "core/mixture/mixture.h"

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
