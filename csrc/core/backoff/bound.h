/* Whether the numbers of a table are probabilities: none is above 1 after any context. */
#ifndef MB_BACKOFF_BOUND_H
#define MB_BACKOFF_BOUND_H

#include "core/backoff/table.h"

#define MB_BACKOFF_MOST 1.001 /* a 1 that was rounded, as by logarithms of four digits in a text */

/* Of the row after a context, without what a base adds. */
typedef struct {
    double sum, most; /* no probability is above this */
} mb_backoff_bound;

typedef struct {
    mb_backoff_bound *bounds; /* [n] */
    double *row;              /* [V], for one row at a time */
    double mean;              /* the largest one */
    size_t left;              /* numbers of rows that may still be made */
} mb_backoff_bounds;

/* Room for the bounds of a table; ended in any case. */
mb_status mb_backoff_begin_bounds(const mb_backoff *table, mb_backoff_bounds *out);
void mb_backoff_end_bounds(mb_backoff_bounds *bounds);

/* Of the empty context, whose row is there. */
mb_status mb_backoff_bound_root(const mb_backoff *table, mb_backoff_bounds *bounds,
                                mb_interrupt *interrupt, mb_backoff_fault *fault);

/* Of a context of a level > 0 whose values are there, as are the bounds of shorter ones; means are those
 * of its pairs after the shorter context. */
mb_status mb_backoff_bound_row(const mb_backoff *table, size_t level, uint32_t context,
                               const double *means, mb_backoff_bounds *bounds,
                               mb_interrupt *interrupt, mb_backoff_fault *fault);

#endif
