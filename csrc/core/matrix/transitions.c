/* Transition counts: their runs.  What goes into them is counted in transition_updates.c; questions
 * are answered in transition_rows.c. */
#include "core/matrix/transitions.h"

#include "core/base/mem.h"

#include <string.h>

mb_status
mb_transitions_new(size_t order, uint64_t n_tokens, mb_transitions **out)
{
    if (order > MB_MAX_ORDER || n_tokens < 1 || n_tokens > (uint64_t)1 << 32) {
        return MB_RANGE;
    }
    mb_transitions *counts = mb_calloc(1, sizeof(mb_transitions));
    if (counts == NULL) {
        return MB_NOMEM;
    }
    counts->layout = mb_layout(order, n_tokens);
    counts->n_tokens = n_tokens;
    *out = counts;
    return MB_OK;
}

static void
drop_runs(mb_transitions *counts, size_t from)
{
    for (size_t i = from; i < counts->n_runs; i++) {
        mb_run_free(counts->runs[i]);
    }
    counts->n_runs = from;
}

void
mb_transitions_free(mb_transitions *counts)
{
    if (counts != NULL) {
        drop_runs(counts, 0);
        mb_free(counts);
    }
}

size_t
mb_transitions_bytes(const mb_transitions *counts)
{
    size_t bytes = sizeof(mb_transitions);
    for (size_t i = 0; i < counts->n_runs; i++) {
        bytes += mb_run_bytes(&counts->layout, counts->runs[i]);
    }
    return bytes;
}

/* Merged with those that are not twice as long. */
mb_status
mb_transitions_add_run(mb_transitions *counts, mb_run *run, mb_interrupt *interrupt)
{
    size_t left = counts->n_runs;
    for (; left > 0 && counts->runs[left - 1]->n / 2 < run->n; left--) {
        mb_run *merged;
        mb_status status =
            mb_run_merge(&counts->layout, counts->runs[left - 1], run, interrupt, &merged);
        mb_run_free(run);
        MB_TRY(status);
        run = merged;
    }
    drop_runs(counts, left);
    counts->runs[counts->n_runs++] = run;
    return MB_OK;
}

/* Gives counts without runs those of another. */
static void
share_runs(mb_transitions *counts, const mb_transitions *other)
{
    for (size_t i = 0; i < other->n_runs; i++) {
        counts->runs[i] = mb_run_share(other->runs[i]);
    }
    counts->n_runs = other->n_runs;
}

/* One run of all that `counts` hold, one run at least; the caller frees it. */
static mb_status
merge_runs(const mb_transitions *counts, mb_interrupt *interrupt, mb_run **out)
{
    mb_run *run = mb_run_share(counts->runs[counts->n_runs - 1]);
    for (size_t i = counts->n_runs - 1; i-- > 0;) {
        mb_run *merged;
        mb_status status = mb_run_merge(&counts->layout, counts->runs[i], run, interrupt, &merged);
        mb_run_free(run);
        MB_TRY(status);
        run = merged;
    }
    *out = run;
    return MB_OK;
}

mb_status
mb_transitions_compact(mb_transitions *counts, mb_interrupt *interrupt)
{
    if (counts->n_runs < 2) {
        return MB_OK;
    }
    mb_run *run;
    MB_TRY(merge_runs(counts, interrupt, &run));
    drop_runs(counts, 0);
    counts->runs[counts->n_runs++] = run;
    return MB_OK;
}

void
mb_transitions_adopt(mb_transitions *counts, const mb_transitions *copy)
{
    drop_runs(counts, 0);
    share_runs(counts, copy);
}

mb_status
mb_transitions_run(const mb_transitions *counts, mb_run **out)
{
    if (counts->n_runs == 0) {
        mb_run *run = mb_run_begin(&counts->layout, 0, 0, NULL);
        return run == NULL ? MB_NOMEM : mb_run_finish(&counts->layout, MB_OK, run, NULL, out);
    }
    *out = mb_run_share(counts->runs[0]);
    return MB_OK;
}

/* The run of all that counts hold, an empty one where they are none; the caller frees it. */
static mb_status
whole_run(const mb_transitions *counts, mb_interrupt *interrupt, mb_run **out)
{
    return counts->n_runs > 1 ? merge_runs(counts, interrupt, out)
                              : mb_transitions_run(counts, out);
}

mb_status
mb_transitions_from_run(size_t order, uint64_t n_tokens, mb_run *run, mb_transitions **out)
{
    mb_transitions *counts;
    MB_TRY(mb_transitions_new(order, n_tokens, &counts));
    counts->n_observed = run->total;
    if (run->n > 0) {
        counts->runs[counts->n_runs++] = mb_run_share(run);
    }
    *out = counts;
    return MB_OK;
}

mb_status
mb_transitions_copy(const mb_transitions *counts, mb_transitions **out)
{
    mb_transitions *copy = mb_calloc(1, sizeof(mb_transitions));
    if (copy == NULL) {
        return MB_NOMEM;
    }
    *copy = *counts;
    share_runs(copy, counts);
    *out = copy;
    return MB_OK;
}

mb_status
mb_transitions_merge(mb_transitions *counts, const mb_transitions *other, mb_interrupt *interrupt)
{
    uint64_t n_observed;
    if (__builtin_add_overflow(counts->n_observed, other->n_observed, &n_observed)) {
        return MB_RANGE;
    }
    if (counts->n_runs == 0) {
        share_runs(counts, other);
    } else if (other->n_runs > 0) {
        mb_run *run;
        MB_TRY(merge_runs(other, interrupt, &run));
        MB_TRY(mb_transitions_add_run(counts, run, interrupt));
    }
    counts->n_observed = n_observed;
    return MB_OK;
}

/* Gives counts a run, taken, in place of all that they have. */
static void
replace_runs(mb_transitions *counts, mb_run *run)
{
    drop_runs(counts, 0);
    counts->n_observed = run->total;
    if (run->n > 0) {
        counts->runs[counts->n_runs++] = run;
    } else {
        mb_run_free(run);
    }
}

mb_status
mb_transitions_subtract(mb_transitions *counts, const mb_transitions *other,
                        mb_interrupt *interrupt, mb_pair_fault *fault)
{
    if (other->n_runs == 0) {
        return MB_OK;
    }
    mb_run *all = NULL, *less = NULL, *left;
    mb_status status = whole_run(counts, interrupt, &all);
    if (status == MB_OK) {
        status = whole_run(other, interrupt, &less);
    }
    if (status == MB_OK) {
        status = mb_run_subtract(&counts->layout, all, less, interrupt, &left, fault);
    }
    mb_run_free(all);
    mb_run_free(less);
    if (status == MB_OK) {
        replace_runs(counts, left);
    }
    return status;
}

mb_status
mb_transitions_scale(mb_transitions *counts, uint64_t factor, mb_interrupt *interrupt)
{
    uint64_t n_observed;
    if (__builtin_mul_overflow(counts->n_observed, factor, &n_observed)) {
        return MB_RANGE;
    }
    if (factor == 0) {
        drop_runs(counts, 0);
    } else if (factor > 1 && counts->n_runs > 0) {
        mb_run *run, *product;
        MB_TRY(merge_runs(counts, interrupt, &run));
        mb_status status = mb_run_multiply(&counts->layout, run, factor, interrupt, &product);
        mb_run_free(run);
        MB_TRY(status);
        replace_runs(counts, product);
    }
    counts->n_observed = n_observed;
    return MB_OK;
}
