/* Fading counts: the log-probability of texts by the chain rule.
 *
 * Rows do not know of each other, so a row at a time has all its tokens scored, in their order.  With one
 * component a token costs the same in any row; with several, their weights are those of the whole row
 * as it is then: what has faded changes every term of their evidence. */
#include "core/matrix/fading_ngrams.h"
#include "core/matrix/fading_row.h"

#include "core/base/exact_sum.h"
#include "core/base/mem.h"
#include "core/special/special.h"

#include <math.h>

enum { COST = 64 /* of a number that is looked at, in units of mb_ask() */ };

/* A row that is scored: entries are the tokens that it has or will have. */
typedef struct {
    size_t n, room;
    mb_fading_cell *cells; /* [n] */
    mb_fading_cell total;
    double *now;   /* [n] */
    double *terms; /* [n] */
    double *joint; /* [n_components] */
    double *alpha; /* [n_components][n] */
    uint32_t *tokens;
    void *memory;
} scored_row;

/* Room for n entries; what was in it is lost. */
static mb_status
reserve(scored_row *row, const mb_fading_prior *prior, size_t n)
{
    size_t each = prior->n_components + 6, doubles;
    if (n <= row->room) {
        return MB_OK;
    }
    n += n / 2;
    mb_free(row->memory);
    row->room = 0;
    int fits = mb_multiply(n, each, &doubles);
    row->memory = fits ? mb_calloc(doubles + prior->n_components, sizeof(double)) : NULL;
    if (row->memory == NULL) {
        return MB_NOMEM;
    }
    row->room = n;
    row->cells = row->memory; /* of three numbers of 8 bytes each */
    row->now = (double *)(row->cells + n);
    row->terms = row->now + n;
    row->joint = row->terms + n;
    row->alpha = row->joint + prior->n_components;
    row->tokens = (uint32_t *)(void *)(row->alpha + prior->n_components * n);
    return MB_OK;
}

static double
alpha_of(const mb_fading_prior *prior, size_t k, uint32_t token)
{
    return prior->alpha[k * prior->n_columns + (prior->n_columns == 1 ? 0 : token)];
}

/* Fills a row with the tokens that it has and those that it will have; entry_of[place - first] tells
 * which are whose. */
static mb_status
open_row(const mb_fading *counts, const mb_fading_ngrams *ngrams, size_t which,
         const mb_fading_prior *prior, uint32_t *entry_of, mb_interrupt *interrupt, scored_row *row,
         mb_fading_row *was)
{
    size_t first = ngrams->first[which], end = ngrams->first[which + 1], next = first, n = 0;
    uint32_t own = 0;
    double now = 0.0;
    mb_fading_cell cell = {0};
    mb_exact_sum total = {0};
    mb_fading_find(counts, mb_fading_ngram(ngrams, first), was);
    MB_TRY(reserve(row, prior, was->n + (end - first)));
    int is_left = mb_fading_next(counts, was, &own, &now, &cell);
    while (is_left || next < end) {
        size_t place = next < end ? ngrams->by_pair[next] : 0;
        uint32_t token = next < end ? mb_fading_ngram(ngrams, place)[ngrams->order] : 0;
        int is_own = is_left && (next == end || own <= token);
        row->tokens[n] = is_own ? own : token;
        row->cells[n] = is_own ? cell : (mb_fading_cell){.time = was->clock};
        while (next < end &&
               mb_fading_ngram(ngrams, ngrams->by_pair[next])[ngrams->order] == row->tokens[n]) {
            entry_of[ngrams->by_pair[next++] - first] = (uint32_t)n;
        }
        if (is_own) {
            mb_exact_add(&total, now);
            is_left = mb_fading_next(counts, was, &own, &now, &cell);
        }
        n++;
        MB_TRY(mb_ask(interrupt, COST));
    }
    row->n = n;
    row->total = (mb_fading_cell){total.sum, total.rest, was->clock};
    return MB_OK;
}

/* With one component: only what is seen is looked at, and the total is a count like any other. */
static mb_status
score_one(const mb_fading *counts, const mb_fading_prior *prior, size_t n, const uint32_t *entry_of,
          uint64_t clock, scored_row *row, mb_interrupt *interrupt, double *probs)
{
    for (size_t i = 0; i < n; i++, clock++) {
        size_t e = entry_of[i];
        double seen = mb_fading_now(counts->discount, row->cells[e], clock);
        double total = mb_fading_now(counts->discount, row->total, clock);
        probs[i] = (alpha_of(prior, 0, row->tokens[e]) + seen) / (prior->concentration[0] + total);
        row->cells[e] = mb_fading_tick(counts->discount, counts->span, row->cells[e], clock + 1);
        row->total = mb_fading_tick(counts->discount, counts->span, row->total, clock + 1);
        MB_TRY(mb_ask(interrupt, (size_t)4 * COST));
    }
    return MB_OK;
}

/* The probability of an entry: its components in proportion to what the row is to them. */
static double
predictive_of_entry(const mb_fading_prior *prior, size_t e, scored_row *row)
{
    double total = mb_exact_total(row->n, row->now), most = -INFINITY, share = 0.0, prob = 0.0;
    for (size_t k = 0; k < prior->n_components; k++) {
        mb_lgamma_differences(row->n, row->alpha + k * row->n, row->now, row->terms);
        row->joint[k] = log(prior->weights[k]) + mb_exact_total(row->n, row->terms) -
                        mb_lgamma_difference(prior->concentration[k], total);
        most = row->joint[k] > most ? row->joint[k] : most;
    }
    for (size_t k = 0; k < prior->n_components; k++) {
        double r = exp(row->joint[k] - most);
        share += r;
        prob += r * (row->alpha[k * row->n + e] + row->now[e]) / (prior->concentration[k] + total);
    }
    return prob / share;
}

static mb_status
score_several(const mb_fading *counts, const mb_fading_prior *prior, size_t n,
              const uint32_t *entry_of, uint64_t clock, scored_row *row, mb_interrupt *interrupt,
              double *probs)
{
    for (size_t k = 0; k < prior->n_components; k++) {
        for (size_t e = 0; e < row->n; e++) {
            row->alpha[k * row->n + e] = alpha_of(prior, k, row->tokens[e]);
        }
    }
    for (size_t i = 0; i < n; i++, clock++) {
        size_t own = entry_of[i];
        for (size_t e = 0; e < row->n; e++) {
            row->now[e] = mb_fading_now(counts->discount, row->cells[e], clock);
        }
        probs[i] = predictive_of_entry(prior, own, row);
        row->cells[own] =
            mb_fading_tick(counts->discount, counts->span, row->cells[own], clock + 1);
        MB_TRY(mb_ask(interrupt, COST * row->n * (prior->n_components + 1)));
    }
    return MB_OK;
}

/* Adds the log-probabilities of sorted ngrams to a sum. */
static mb_status
score_ngrams(const mb_fading *counts, const mb_fading_ngrams *ngrams, const mb_fading_prior *prior,
             uint32_t *entry_of, double *probs, scored_row *row, mb_interrupt *interrupt,
             mb_exact_sum *sum)
{
    for (size_t which = 0; which < ngrams->n_rows; which++) {
        size_t n = ngrams->first[which + 1] - ngrams->first[which];
        mb_fading_row was;
        MB_TRY(open_row(counts, ngrams, which, prior, entry_of, interrupt, row, &was));
        MB_TRY(prior->n_components == 1
                   ? score_one(counts, prior, n, entry_of, was.clock, row, interrupt, probs)
                   : score_several(counts, prior, n, entry_of, was.clock, row, interrupt, probs));
        mb_log(n, probs, probs);
        for (size_t i = 0; i < n; i++) {
            mb_exact_add(sum, probs[i]);
        }
        MB_TRY(mb_ask(interrupt, COST * (n + row->n)));
    }
    return MB_OK;
}

/* What a walk through documents needs beside them. */
typedef struct {
    mb_fading *counts;
    mb_fading_ngrams *ngrams;
    uint32_t *entry_of;
    double *probs;
    scored_row row;
} scorer;

static mb_status
begin_scorer(const mb_fading *counts, size_t n, scorer *s)
{
    MB_TRY(mb_fading_copy(counts, &s->counts));
    MB_TRY(mb_fading_ngrams_new(counts->order, n, &s->ngrams));
    s->entry_of = mb_calloc(n, sizeof(uint32_t));
    s->probs = mb_calloc(n, sizeof(double));
    return s->entry_of == NULL || s->probs == NULL ? MB_NOMEM : MB_OK;
}

mb_status
mb_fading_evidence(const mb_fading *counts, size_t n_documents, const mb_document *documents,
                   const mb_fading_prior *prior, mb_interrupt *interrupt, double *out,
                   mb_token_fault *fault)
{
    scorer s = {0};
    mb_exact_sum sum = {0};
    mb_fading_cursor cursor = {0};
    mb_status status =
        begin_scorer(counts, mb_fading_ngrams_first(counts->order, n_documents, documents), &s);
    while (status == MB_OK) {
        status = mb_fading_ngrams_read(s.ngrams, counts->n_tokens, n_documents, documents, &cursor,
                                       interrupt, fault);
        if (status == MB_OK) {
            status = score_ngrams(s.counts, s.ngrams, prior, s.entry_of, s.probs, &s.row, interrupt,
                                  &sum);
        }
        if (status != MB_OK || s.ngrams->n < MB_FADING_BATCH) {
            break;
        }
        status = mb_fading_ngrams_count(s.ngrams, s.counts, interrupt);
    }
    mb_fading_free(s.counts);
    mb_free(s.ngrams);
    mb_free(s.entry_of);
    mb_free(s.probs);
    mb_free(s.row.memory);
    *out = mb_exact_value(sum);
    return status;
}
