/* Tables of smoothed counts. */
#ifndef MB_BACKOFF_SMOOTHED_H
#define MB_BACKOFF_SMOOTHED_H

#include "core/backoff/smoothing.h"
#include "core/backoff/table.h"

/* The table of counts [n_levels], of contexts of 0, 1, ... tokens, one run each, of V + 1 tokens: the last
 * stands for the beginning of a text.  Level i > 0 is smoothed as `smoothing` [n_levels] says, row [V] is
 * what it is after the empty context.  For a context tree smoothing[0] counts too, and row is the mean of
 * the prior of all leaves.
 *
 * MB_INVALID with *fault where counts are not a hierarchy's that began with texts: they are closed then. */
mb_status mb_backoff_from_counts(size_t n_levels, const mb_transitions *const *counts,
                                 const mb_smoothing *smoothing, const double *row,
                                 mb_interrupt *interrupt, mb_backoff **out,
                                 mb_backoff_fault *fault);

#endif
