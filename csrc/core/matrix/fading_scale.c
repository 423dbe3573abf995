/* Fading counts: rows multiplied by a factor. */
#include "core/matrix/fading_ngrams.h"
#include "core/matrix/fading_row.h"

#include "core/base/mem.h"

#include <string.h>

enum { COST = 128 /* of a count, in units of mb_ask() */ };

static mb_fading_cell
scaled(double now, double factor, uint64_t clock)
{
    return (mb_fading_cell){now * factor < MB_VANISHED ? 0.0 : now * factor, 0.0, clock};
}

/* Writes rows of n-grams, multiplied, into a run: every pair of theirs, 0 for what vanishes. */
static mb_status
scale_rows(const mb_fading *counts, const mb_fading_ngrams *ngrams, double factor,
           mb_interrupt *interrupt, mb_fading_run *run)
{
    size_t order = counts->order;
    for (size_t row = 0; row < ngrams->n_rows; row++) {
        const uint32_t *context = mb_fading_ngram(ngrams, ngrams->first[row]);
        mb_fading_row was;
        mb_fading_find(counts, context, &was);
        size_t at = run->starts[run->n_rows];
        mb_fading_cell cell;
        double now;
        for (; mb_fading_next(counts, &was, &run->tokens[at], &now, &cell); at++) {
            mb_fading_put(run, at, scaled(now, factor, was.clock));
            MB_TRY(mb_ask(interrupt, COST));
        }
        if (at > run->starts[run->n_rows]) {
            memcpy(run->contexts + run->n_rows * order, context, order * sizeof(uint32_t));
            run->clocks[run->n_rows++] = was.clock;
            run->starts[run->n_rows] = at;
        }
        MB_TRY(mb_ask(interrupt, COST));
    }
    run->n_pairs = run->starts[run->n_rows];
    return MB_OK;
}

/* How many pairs rows of n-grams have at most, and one for each row that nobody reads. */
static mb_status
length_of_rows(const mb_fading *counts, const mb_fading_ngrams *ngrams, mb_interrupt *interrupt,
               size_t *n)
{
    *n = 0;
    for (size_t row = 0; row < ngrams->n_rows; row++) {
        mb_fading_row was;
        mb_fading_find(counts, mb_fading_ngram(ngrams, ngrams->first[row]), &was);
        *n += was.n + 1;
        MB_TRY(mb_ask(interrupt, (size_t)2 * COST));
    }
    return MB_OK;
}

/* Writes rows of sorted n-grams, multiplied, on top of what there is. */
static mb_status
scale_ngrams(const mb_fading *counts, const mb_fading_ngrams *ngrams, double factor,
             mb_interrupt *interrupt, mb_fading *changed)
{
    size_t room;
    MB_TRY(length_of_rows(counts, ngrams, interrupt, &room));
    mb_fading_run *run = mb_fading_run_begin(counts->order, ngrams->n_rows, room);
    if (run == NULL) {
        return MB_NOMEM;
    }
    mb_status status = scale_rows(counts, ngrams, factor, interrupt, run);
    if (status != MB_OK || run->n_rows == 0) {
        mb_fading_run_free(run);
        return status;
    }
    MB_TRY(mb_fading_run_fit(counts->order, ngrams->n_rows + room, &run));
    return mb_fading_add_run(changed, run, interrupt);
}

/* A context that two batches have is written twice, and the same. */
static mb_status
scale_some(const mb_fading *counts, size_t n, const int64_t *contexts, double factor,
           mb_interrupt *interrupt, mb_fading *changed, mb_token_fault *fault)
{
    size_t order = counts->order, most = n < MB_FADING_BATCH ? n : MB_FADING_BATCH;
    mb_fading_ngrams *ngrams;
    MB_TRY(mb_fading_ngrams_new(order, most, &ngrams));
    mb_status status = MB_OK;
    for (size_t at = 0; at < n && status == MB_OK; at += most) {
        ngrams->n = n - at < most ? n - at : most;
        for (size_t i = 0; i < ngrams->n && status == MB_OK; i++) {
            fault->row = at + i;
            status = mb_fading_copy_tokens(counts->n_tokens, order, contexts + (at + i) * order, 0,
                                           ngrams->tokens + i * (order + 1), fault);
        }
        if (status == MB_OK) {
            status = mb_fading_ngrams_sort(ngrams, counts->n_tokens, interrupt);
        }
        if (status == MB_OK) {
            status = scale_ngrams(counts, ngrams, factor, interrupt, changed);
        }
    }
    mb_free(ngrams);
    return status;
}

/* One run of all rows, multiplied, in the place of all runs. */
static mb_status
scale_all(const mb_fading *counts, double factor, mb_interrupt *interrupt, mb_fading *changed)
{
    mb_fading_run *from, *run;
    MB_TRY(mb_fading_compact(counts, interrupt, &from));
    run = mb_fading_run_like(counts->order, from);
    mb_status status = run == NULL ? MB_NOMEM : MB_OK;
    for (size_t row = 0; row < from->n_rows && status == MB_OK; row++) {
        uint64_t clock = run->clocks[row] = from->clocks[row];
        for (size_t i = from->starts[row]; i < from->starts[row + 1] && status == MB_OK; i++) {
            double now = mb_fading_now(counts->discount, mb_fading_cell_at(from, i), clock);
            mb_fading_put(run, i, scaled(now, factor, clock));
            status = mb_ask(interrupt, COST);
        }
    }
    mb_fading_run_free(from);
    if (status != MB_OK) {
        mb_fading_run_free(run);
        return status;
    }
    mb_fading_clear(changed);
    return mb_fading_add_run(changed, run, interrupt);
}

mb_status
mb_fading_scale(mb_fading *counts, size_t n, const int64_t *contexts, double factor,
                mb_interrupt *interrupt, mb_token_fault *fault)
{
    mb_fading *changed;
    MB_TRY(mb_fading_copy(counts, &changed));
    mb_status status = contexts == NULL
                           ? scale_all(counts, factor, interrupt, changed)
                           : scale_some(counts, n, contexts, factor, interrupt, changed, fault);
    return mb_fading_commit(status, counts, changed);
}
