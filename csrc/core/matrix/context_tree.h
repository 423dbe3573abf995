/* Context-tree weighting over transition counts, level by level, model.md section 9c. */
#ifndef MB_CONTEXT_TREE_H
#define MB_CONTEXT_TREE_H

#include "core/matrix/transitions.h"

/* A context is a leaf, whose row is drawn from a mixture of K Dirichlets, or its row depends on one
 * token more; the last token number of the counts stands for the beginning of a text, before which
 * is nothing, so that contexts from there are leaves. */
typedef struct {
    size_t n_components,
        width;             /* K; 1 where all tokens have the same alpha, else how many have one */
    const double *weights; /* [K] */
    const double *alpha;   /* [K][width] */
    const double *concentration; /* [K], the sum of alpha over all tokens that may come */
    double log_stop, log_deeper; /* of a context that may be no leaf */
    int is_best;                 /* of all trees the most probable, not their sum */
} mb_leaf_prior;

/* Folds the contexts of counts of one run into those that are a token shorter.
 *
 * For each row, at the place of its first pair: `below` is the sum of what its longer contexts gave,
 * NULL where all are leaves; `odds` becomes the logarithm of the odds that it is no leaf, -inf of
 * leaves.  What the row gives, the log-probability of all that came after it, is added to `above`,
 * at the place of the shorter context's first pair, unless `shorter` is NULL; *evidence is
 * the sum of all.  The places are those of the one run of each; the counts of the shorter
 * contexts are of these and as many tokens.
 *
 * MB_INVALID where a shorter context is not there, or a beginning came after something; MB_NUMERIC where a
 * log-probability is not finite. */
mb_status mb_contexts_fold(const mb_transitions *counts, const mb_transitions *shorter,
                           const mb_leaf_prior *prior, const double *below, mb_interrupt *interrupt,
                           double *odds, double *above, double *evidence);

/* The place of the first pair of each of contexts [n][order] in counts of one run, or -1. */
mb_status mb_transitions_places(const mb_transitions *counts, size_t n, const int64_t *contexts,
                                mb_interrupt *interrupt, int64_t *places, mb_token_fault *fault);

#endif
