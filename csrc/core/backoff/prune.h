/* Fewer n-grams, by what the model loses with them (Stolcke 1998; docs/model.md 9i). */
#ifndef MB_BACKOFF_PRUNE_H
#define MB_BACKOFF_PRUNE_H

#include "core/backoff/table.h"

/* What is left of a table without bases whose rows sum to 1.  states [n] says how probably the context
 * at which a walk stands is which, >= 0; what a pair loses is the relative entropy, in nats a token, of
 * the model to that without it, whose context has the back that makes the row's sum 1, and shorter
 * contexts are as they were.  Pairs that lose `threshold` at most are pruned, but those that lead to a
 * context that has pairs.
 *
 * kept [n_pairs]: 1 for those that stay, and all of level 0.  backs [n]: those of the model that is left,
 * 1 of contexts without pairs.  *loss: the relative entropy of the model to that one, sum of states times
 * that of the whole rows.  MB_RANGE where it is not finite: what a row had none of is now more than 0 in
 * no way. */
mb_status mb_backoff_prune(const mb_backoff *table, const double *states, double threshold,
                           mb_interrupt *interrupt, unsigned char *kept, double *backs,
                           double *loss);

#endif
