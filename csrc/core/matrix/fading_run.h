/* A run of fading counts: rows in rising order of their contexts, each with its clock and the counts of
 * its tokens.  It never changes, so that several counts can share it. */
#ifndef MB_FADING_RUN_H
#define MB_FADING_RUN_H

#include "core/base/status.h"
#include "core/matrix/fading_cell.h"

typedef struct {
    size_t n_users; /* references, changed by atomic operations only */
    size_t n_rows, n_pairs;
    size_t *starts;     /* [n_rows + 1] */
    uint64_t *clocks;   /* [n_rows], of the rows */
    double *counts;     /* [n_pairs], 0 where there is none any more */
    double *rests;      /* [n_pairs] */
    uint64_t *times;    /* [n_pairs], at most the row's clock */
    uint32_t *contexts; /* [n_rows][order], rising */
    uint32_t *tokens;   /* [n_pairs], rising within a row */
} mb_fading_run;

/* A run with room for so many rows and pairs, empty; NULL where memory is short. */
mb_fading_run *mb_fading_run_begin(size_t order, size_t n_rows, size_t n_pairs);

/* The same of rows that another has, without its clocks and counts. */
mb_fading_run *mb_fading_run_like(size_t order, const mb_fading_run *other);

/* Moves a run into less memory, unless it has as many rows and pairs as there is room for, altogether;
 * *run is taken in any case. */
mb_status mb_fading_run_fit(size_t order, size_t room, mb_fading_run **run);

/* The same run, for one more user; mb_fading_run_free() ends it for one of them, in any thread. */
mb_fading_run *mb_fading_run_share(mb_fading_run *run);
void mb_fading_run_free(mb_fading_run *run);

size_t mb_fading_run_bytes(size_t order, const mb_fading_run *run);

/* Which context stands first: negative, 0 or positive. */
static inline int
mb_fading_compare(size_t order, const uint32_t *a, const uint32_t *b)
{
    for (size_t i = 0; i < order; i++) {
        if (a[i] != b[i]) {
            return a[i] < b[i] ? -1 : 1;
        }
    }
    return 0;
}

/* A run of what a newer one says, and an older one where the newer says nothing.  Where nothing is
 * below them, what has vanished is left out. */
mb_status mb_fading_run_merge(size_t order, double discount, const mb_fading_run *older,
                              const mb_fading_run *newer, int is_lowest, mb_interrupt *interrupt,
                              mb_fading_run **out);

static inline mb_fading_cell
mb_fading_cell_at(const mb_fading_run *run, size_t i)
{
    return (mb_fading_cell){run->counts[i], run->rests[i], run->times[i]};
}

static inline void
mb_fading_put(mb_fading_run *run, size_t i, mb_fading_cell cell)
{
    run->counts[i] = cell.count;
    run->rests[i] = cell.rest;
    run->times[i] = cell.time;
}

#endif
