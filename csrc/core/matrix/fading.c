/* Fading counts: the object and its runs. */
#include "core/matrix/fading.h"

#include "core/base/exact_sum.h"
#include "core/base/mem.h"

#include <math.h>
#include <string.h>

enum { COST = 64 /* of a count, in units of mb_ask() */ };

/* ---- objects --------------------------------------------------------------------------- */

mb_status
mb_fading_new(size_t order, uint64_t n_tokens, double discount, mb_fading **out)
{
    int good = order >= 1 && order <= MB_MAX_ORDER && n_tokens >= 1;
    if (!good || n_tokens > (uint64_t)1 << 32 || !(discount > 0.0 && discount <= 1.0)) {
        return MB_RANGE;
    }
    mb_fading *counts = mb_calloc(1, sizeof(mb_fading));
    if (counts == NULL) {
        return MB_NOMEM;
    }
    counts->order = order;
    counts->n_tokens = n_tokens;
    counts->discount = discount;
    counts->span = mb_fading_span(discount);
    *out = counts;
    return MB_OK;
}

/* Ends the runs from one on, and what all were together. */
static void
drop_fading_runs(mb_fading *counts, size_t from)
{
    while (counts->n_runs > from) {
        mb_fading_run_free(counts->runs[--counts->n_runs]);
    }
    mb_fading_run_free(counts->compacted);
    counts->compacted = NULL;
}

void
mb_fading_clear(mb_fading *counts)
{
    drop_fading_runs(counts, 0);
    counts->bound = 0.0;
}

void
mb_fading_free(mb_fading *counts)
{
    if (counts != NULL) {
        drop_fading_runs(counts, 0);
        mb_free(counts);
    }
}

mb_status
mb_fading_copy(const mb_fading *counts, mb_fading **out)
{
    mb_fading *copy = mb_calloc(1, sizeof(mb_fading));
    if (copy == NULL) {
        return MB_NOMEM;
    }
    memcpy(copy, counts, offsetof(mb_fading, compacted));
    for (size_t i = 0; i < copy->n_runs; i++) {
        mb_fading_run_share(copy->runs[i]);
    }
    *out = copy;
    return MB_OK;
}

mb_status
mb_fading_commit(mb_status status, mb_fading *counts, mb_fading *changed)
{
    if (status == MB_OK) {
        /* What was decided when they were made is read by other threads, changing or not. */
        const size_t decided = offsetof(mb_fading, span);
        drop_fading_runs(counts, 0);
        memcpy((char *)counts + decided, (const char *)changed + decided,
               sizeof(mb_fading) - decided);
        mb_free(changed);
    } else {
        mb_fading_free(changed);
    }
    return status;
}

size_t
mb_fading_bytes(const mb_fading *counts)
{
    const mb_fading_run *all = __atomic_load_n(&counts->compacted, __ATOMIC_ACQUIRE);
    size_t bytes = sizeof(mb_fading);
    for (size_t i = 0; i < counts->n_runs; i++) {
        bytes += mb_fading_run_bytes(counts->order, counts->runs[i]);
    }
    int is_shared = all == NULL || (counts->n_runs == 1 && all == counts->runs[0]);
    return bytes + (is_shared ? 0 : mb_fading_run_bytes(counts->order, all));
}

/* ---- runs ------------------------------------------------------------------------------ */

static mb_status
merge_into(const mb_fading *counts, const mb_fading_run *older, int is_lowest,
           mb_interrupt *interrupt, mb_fading_run **run)
{
    mb_fading_run *newer = *run;
    mb_status status = mb_fading_run_merge(counts->order, counts->discount, older, newer, is_lowest,
                                           interrupt, run);
    mb_fading_run_free(newer);
    return status;
}

/* Merged with those that are not twice as long. */
mb_status
mb_fading_add_run(mb_fading *counts, mb_fading_run *run, mb_interrupt *interrupt)
{
    static const mb_fading_run none = {0};
    size_t left = counts->n_runs;
    do {
        const mb_fading_run *older = left > 0 ? counts->runs[left - 1] : &none;
        if (left > 0 && (older->n_rows + older->n_pairs) / 2 >= run->n_rows + run->n_pairs) {
            break;
        }
        left -= left > 0;
        /* the first of all is merged with none, to be without what has vanished */
        MB_TRY(merge_into(counts, older, left == 0, interrupt, &run));
    } while (left > 0);
    drop_fading_runs(counts, left);
    counts->runs[counts->n_runs++] = run;
    return MB_OK;
}

/* One run of all; the caller frees it. */
static mb_status
merge_all_runs(const mb_fading *counts, mb_interrupt *interrupt, mb_fading_run **out)
{
    size_t left = counts->n_runs;
    if (left == 0) {
        *out = mb_fading_run_begin(counts->order, 0, 0);
        return *out == NULL ? MB_NOMEM : MB_OK;
    }
    mb_fading_run *run = mb_fading_run_share(counts->runs[--left]);
    while (left-- > 0) {
        MB_TRY(merge_into(counts, counts->runs[left], left == 0, interrupt, &run));
    }
    *out = run;
    return MB_OK;
}

mb_status
mb_fading_compact(const mb_fading *counts, mb_interrupt *interrupt, mb_fading_run **out)
{
    mb_fading_run **kept = (mb_fading_run **)&counts->compacted, *none = NULL, *run;
    run = __atomic_load_n(kept, __ATOMIC_ACQUIRE);
    if (run == NULL) {
        MB_TRY(merge_all_runs(counts, interrupt, &run));
        *out = mb_fading_run_share(run);
        /* several readers may have come here: one of them leaves its run to the others */
        if (!__atomic_compare_exchange_n(kept, &none, run, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            mb_fading_run_free(run);
        }
        return MB_OK;
    }
    *out = mb_fading_run_share(run);
    return MB_OK;
}

/* ---- the sum of all counts ---------------------------------------------------------------- */

mb_status
mb_fading_sum(const mb_fading *counts, mb_interrupt *interrupt, double *out)
{
    mb_fading_run *run;
    MB_TRY(mb_fading_compact(counts, interrupt, &run));
    mb_exact_sum sum = {0};
    mb_status status = MB_OK;
    for (size_t row = 0; row < run->n_rows; row++) {
        for (size_t i = run->starts[row]; i < run->starts[row + 1] && status == MB_OK; i++) {
            mb_exact_add(
                &sum, mb_fading_now(counts->discount, mb_fading_cell_at(run, i), run->clocks[row]));
            status = mb_ask(interrupt, COST);
        }
    }
    mb_fading_run_free(run);
    *out = mb_exact_value(sum);
    return status;
}

mb_status
mb_fading_reserve(mb_fading *counts, double more, mb_interrupt *interrupt)
{
    if (!isfinite(counts->bound + more)) { /* perhaps it has faded meanwhile */
        MB_TRY(mb_fading_sum(counts, interrupt, &counts->bound));
        if (!isfinite(counts->bound + more)) {
            return MB_RANGE;
        }
    }
    counts->bound += more;
    return MB_OK;
}
