/* Trees of contexts: predictions after texts, and slopes by the prior, model.md section 10. */
#ifndef MB_TREE_H
#define MB_TREE_H

#include "core/base/status.h"
#include "core/elicitation/texts.h"

/* A node stands for the last d tokens.  Its own estimate counts what came after them, with alpha in
 * advance at the root, and elsewhere `repeat` of the last token and `others` of all others
 * together; [0] of nodes one token deep, [1] of deeper ones.  It predicts with that, or as its child
 * does with the odds `odds`, which each visit multiplies by how much better the child did. */
typedef struct {
    size_t depth;        /* L, of the deepest nodes; 1 or more */
    const double *alpha; /* [V], V of 2 or more; these numbers are in [1e-30, 1e30] */
    double repeat[2], others[2], odds;
} mb_tree_prior;

/* Where the texts go in the tree.  A path has an entry for each depth that there are tokens for,
 * node 2^32 + n, node below n_nodes a number of that text's alone and n how often the place's
 * token came after the node before; then -1. */
typedef struct {
    size_t n_nodes, longest; /* at most: nodes of a text, and its tokens */
    const int64_t *paths;    /* [P][L + 1] */
    const double *held;      /* [E][L + 1] how often the entry's token came after each node */
} mb_tree_paths;

/* Of token v after question i: share_i alpha_v + even_i, but for its entries; and the logarithm of
 * the probability of what came before. */
typedef struct {
    double *share, *even, *evidence; /* [Q] */
    double *entries;                 /* [E] */
} mb_tree_predictions;

typedef struct {
    double *alpha; /* [V] */
    double repeat[2], others[2], log_odds;
} mb_tree_slopes;

/* The predictions.  MB_INVALID where a number of the arrays leads out of them; what `out` points to
 * is then, and where it is stopped, not to be used. */
mb_status mb_tree_predict(const mb_tree_prior *prior, const mb_texts *texts,
                          const mb_tree_paths *paths, mb_interrupt *interrupt,
                          mb_tree_predictions *out);

/* From slopes by predictions (read alone) to those by the prior; alpha where it stands with a share
 * is not among them.  One pass forward and one backward.  Statuses as above. */
mb_status mb_tree_pull(const mb_tree_prior *prior, const mb_texts *texts,
                       const mb_tree_paths *paths, const mb_tree_predictions *by,
                       mb_interrupt *interrupt, mb_tree_slopes *out);

#endif
