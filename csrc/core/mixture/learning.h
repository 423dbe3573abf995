/* A posterior that learns a text token by token: what it predicts, and how unsure it is. */
#ifndef MB_LEARNING_H
#define MB_LEARNING_H

#include "core/mixture/moments.h"

/* Of the posterior given counts [V] (real, >= 0) and then the first t of tokens [n], each below V, for
 * t = 0, ..., n: its predictive, into [n + 1][V], and its uncertainty, into parts [n + 1].  `scratch` has
 * room for mb_learning_scratch() doubles.
 *
 * A token changes one alpha of each component: the mean entropy of its rows follows in O(1), the weights
 * too; only the predictive and its entropy look at all tokens.  model.md section 3. */
mb_status mb_mixture_learn(const mb_mixture *mixture, const double *counts, size_t n,
                           const int64_t *tokens, mb_interrupt *interrupt, double *scratch,
                           double *predictive, mb_uncertainty *parts);
size_t mb_learning_scratch(const mb_mixture *mixture);

#endif
