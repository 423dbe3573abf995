/* Fading counts: what is counted. */
#include "core/matrix/fading_ngrams.h"
#include "core/matrix/fading_row.h"

#include "core/base/mem.h"

#include <math.h>
#include <string.h>

enum { COST = 128 /* of a token, in units of mb_ask() */ };

/* ---- sorted n-grams ------------------------------------------------------------------------ */

/* The row of a run that is being made, and what it was. */
typedef struct {
    mb_fading_row was;
    uint32_t first; /* its first place in the n-grams */
} own_row;

static void
begin_row(const mb_fading *counts, const mb_fading_ngrams *ngrams, size_t row, int ticks,
          mb_fading_run *run, own_row *own)
{
    const uint32_t *context = mb_fading_ngram(ngrams, ngrams->first[row]);
    size_t n = ngrams->first[row + 1] - ngrams->first[row];
    mb_fading_find(counts, context, &own->was);
    own->first = ngrams->first[row];
    memcpy(run->contexts + row * counts->order, context, counts->order * sizeof(uint32_t));
    run->clocks[row] = own->was.clock + (ticks ? n : 0);
    run->starts[row] = run->n_pairs;
    run->n_rows++;
}

/* A count with more of now. */
static mb_fading_cell
with_more(double discount, mb_fading_cell cell, uint64_t clock, double more)
{
    return (mb_fading_cell){mb_fading_now(discount, cell, clock) + more, 0.0, clock};
}

/* A run of sorted n-grams on top of what there is.  Each token is one, for which the clock ticks; or
 * `more` of the token as they came, and it does not. */
static mb_status
fill_counted(const mb_fading *counts, const mb_fading_ngrams *ngrams, const double *more,
             mb_interrupt *interrupt, mb_fading_run *run)
{
    own_row own = {0};
    uint32_t last = 0;
    for (size_t i = 0; i < ngrams->n; i++) {
        size_t place = ngrams->by_pair[i], row = ngrams->row_of[place];
        uint32_t token = mb_fading_ngram(ngrams, place)[ngrams->order];
        int begins = row == run->n_rows;
        if (begins) {
            begin_row(counts, ngrams, row, more == NULL, run, &own);
        }
        if (begins || token != last) {
            size_t at = run->n_pairs++;
            run->tokens[at] = last = token;
            mb_fading_put(run, at, mb_fading_newest(counts, &own.was, token));
        }
        size_t at = run->n_pairs - 1;
        mb_fading_cell cell = mb_fading_cell_at(run, at);
        cell = more == NULL
                   ? mb_fading_tick(counts->discount, counts->span, cell,
                                    own.was.clock + (place - own.first + 1))
                   : with_more(counts->discount, cell, own.was.clock, more[ngrams->by_row[place]]);
        mb_fading_put(run, at, cell);
        MB_TRY(mb_ask(interrupt, COST));
    }
    run->starts[run->n_rows] = run->n_pairs;
    return MB_OK;
}

static mb_status
add_ngrams(mb_fading *counts, const mb_fading_ngrams *ngrams, const double *more,
           mb_interrupt *interrupt)
{
    mb_fading_run *run = mb_fading_run_begin(counts->order, ngrams->n_rows, ngrams->n_pairs);
    if (run == NULL) {
        return MB_NOMEM;
    }
    mb_status status = fill_counted(counts, ngrams, more, interrupt, run);
    if (status != MB_OK) {
        mb_fading_run_free(run);
        return status;
    }
    return mb_fading_add_run(counts, run, interrupt);
}

mb_status
mb_fading_ngrams_count(const mb_fading_ngrams *ngrams, mb_fading *counts, mb_interrupt *interrupt)
{
    MB_TRY(mb_fading_reserve(counts, (double)ngrams->n, interrupt));
    return add_ngrams(counts, ngrams, NULL, interrupt);
}

mb_status
mb_fading_update(mb_fading *counts, size_t n_documents, const mb_document *documents,
                 mb_interrupt *interrupt, mb_token_fault *fault)
{
    mb_fading_cursor cursor = {0};
    mb_fading_ngrams *ngrams;
    mb_fading *changed;
    MB_TRY(mb_fading_copy(counts, &changed));
    size_t n = mb_fading_ngrams_first(counts->order, n_documents, documents);
    mb_status status = mb_fading_ngrams_new(counts->order, n, &ngrams);
    if (status != MB_OK) {
        return mb_fading_commit(status, counts, changed);
    }
    do {
        status = mb_fading_ngrams_read(ngrams, counts->n_tokens, n_documents, documents, &cursor,
                                       interrupt, fault);
        if (status == MB_OK && ngrams->n > 0) {
            status = mb_fading_ngrams_count(ngrams, changed, interrupt);
        }
    } while (status == MB_OK && ngrams->n == MB_FADING_BATCH);
    mb_free(ngrams);
    return mb_fading_commit(status, counts, changed);
}

/* ---- given counts ------------------------------------------------------------------------ */

/* Reads given counts as n-grams; those of 0 are looked at and left out. */
static mb_status
read_given(const mb_fading *counts, size_t first, size_t n, const int64_t *contexts,
           const int64_t *tokens, const double *more, mb_interrupt *interrupt,
           mb_fading_ngrams *ngrams, double *own, double *sum, mb_token_fault *fault)
{
    size_t order = counts->order;
    ngrams->n = 0;
    *sum = 0.0;
    for (size_t i = first; i < first + n; i++) {
        uint32_t *ngram = ngrams->tokens + ngrams->n * (order + 1);
        int64_t token = tokens[i];
        double times = more[i];
        fault->row = i;
        MB_TRY(
            mb_fading_copy_tokens(counts->n_tokens, order, contexts + i * order, 0, ngram, fault));
        if ((uint64_t)token >= counts->n_tokens) {
            fault->position = order;
            fault->value = token;
            return MB_INVALID;
        }
        if (!(times >= 0.0 && isfinite(times))) {
            fault->position = order + 1;
            return MB_INVALID;
        }
        ngram[order] = (uint32_t)token;
        own[ngrams->n] = times;
        ngrams->n += times > 0.0;
        *sum += times;
        MB_TRY(mb_ask(interrupt, COST / 2));
    }
    return mb_fading_ngrams_sort(ngrams, counts->n_tokens, interrupt);
}

mb_status
mb_fading_add(mb_fading *counts, size_t n, const int64_t *contexts, const int64_t *tokens,
              const double *more, mb_interrupt *interrupt, mb_token_fault *fault)
{
    size_t most = n < MB_FADING_BATCH ? n : MB_FADING_BATCH;
    mb_fading_ngrams *ngrams = NULL;
    mb_fading *changed;
    MB_TRY(mb_fading_copy(counts, &changed));
    double *own = mb_calloc(most, sizeof(double)), sum;
    mb_status status = own == NULL ? MB_NOMEM : mb_fading_ngrams_new(counts->order, most, &ngrams);
    for (size_t at = 0; at < n && status == MB_OK; at += most) {
        size_t many = n - at < most ? n - at : most;
        status = read_given(counts, at, many, contexts, tokens, more, interrupt, ngrams, own, &sum,
                            fault);
        if (status == MB_OK) {
            status = mb_fading_reserve(changed, sum, interrupt);
        }
        if (status == MB_OK && ngrams->n > 0) {
            status = add_ngrams(changed, ngrams, own, interrupt);
        }
    }
    mb_free(ngrams);
    mb_free(own);
    return mb_fading_commit(status, counts, changed);
}

/* ---- rows of others ---------------------------------------------------------------------- */

/* Fills a run like `more` with what `counts` have there, and what that has now added. */
static mb_status
fill_merged(const mb_fading *counts, const mb_fading_run *more, double discount,
            mb_interrupt *interrupt, mb_fading_run *run)
{
    for (size_t i = 0; i < more->n_rows; i++) {
        mb_fading_row was;
        mb_fading_find(counts, more->contexts + i * counts->order, &was);
        run->clocks[i] = was.clock;
        for (size_t at = more->starts[i]; at < more->starts[i + 1]; at++) {
            mb_fading_cell cell = mb_fading_newest(counts, &was, more->tokens[at]);
            double now = mb_fading_now(discount, mb_fading_cell_at(more, at), more->clocks[i]);
            mb_fading_put(run, at, with_more(counts->discount, cell, was.clock, now));
            MB_TRY(mb_ask(interrupt, COST));
        }
    }
    return MB_OK;
}

mb_status
mb_fading_merge(mb_fading *counts, const mb_fading *other, mb_interrupt *interrupt)
{
    mb_fading *changed;
    mb_fading_run *more = NULL, *run = NULL;
    double sum;
    MB_TRY(mb_fading_copy(counts, &changed));
    mb_status status = mb_fading_compact(other, interrupt, &more);
    if (status == MB_OK) {
        status = mb_fading_sum(other, interrupt, &sum);
    }
    if (status == MB_OK) {
        status = mb_fading_reserve(changed, sum, interrupt);
    }
    if (status == MB_OK && more->n_rows > 0) {
        run = mb_fading_run_like(counts->order, more);
        status =
            run == NULL ? MB_NOMEM : fill_merged(counts, more, other->discount, interrupt, run);
    }
    if (status == MB_OK && run != NULL) {
        status = mb_fading_add_run(changed, run, interrupt);
        run = NULL;
    }
    mb_fading_run_free(run);
    mb_fading_run_free(more);
    return mb_fading_commit(status, counts, changed);
}
