/* A table of a back-off model from arrays: every level is copied as it is checked, its contexts are
 * sorted as the keys of transition counts, whose counts are their numbers, and linked; values are made
 * of those of the shorter contexts then. */
#include "core/backoff/bound.h"
#include "core/backoff/link.h"

#include "core/base/mem.h"

#include <string.h>

enum {
    COST = 8, /* nanoseconds of a number that is copied */
    PIECE = 1 << 10
};

static mb_status
backoff_fault(mb_backoff_error error, size_t level, size_t row, mb_backoff_fault *fault)
{
    *fault = (mb_backoff_fault){error, level, row};
    return MB_INVALID;
}

static int
is_not_negative(double x)
{
    return x >= 0.0 && isfinite(x);
}

/* So that products of as many as a context has tokens do not overflow. */
static int
is_back(double x)
{
    return x >= 0.0 && x <= 0x1p60;
}

/* ---- levels that are copied ------------------------------------------------------------------ */

/* The pairs of a row, `from` up to `to` of the level, to their places in the table. */
static mb_status
copy_pairs(const mb_backoff *table, const mb_backoff_level *given, size_t level, size_t row,
           size_t from, size_t to, mb_backoff_pair *pairs, mb_interrupt *interrupt,
           mb_backoff_fault *fault)
{
    for (size_t i = from; i < to; i++) {
        int64_t token = given->tokens[i];
        double value = given->values[i];
        uint64_t most = isnan(value) ? table->n_tokens : table->n_tokens - 1;
        if ((uint64_t)token > most) {
            return backoff_fault(MB_BACKOFF_TOKEN, level, row, fault);
        }
        if (i > from && pairs[i - 1].token >= (uint32_t)token) {
            return backoff_fault(MB_BACKOFF_ORDER, level, row, fault);
        }
        if (!isnan(value) && !is_not_negative(value)) {
            return backoff_fault(MB_BACKOFF_VALUE, level, row, fault);
        }
        pairs[i] = (mb_backoff_pair){value, (uint32_t)token, 0};
        MB_TRY(i % PIECE == 0 ? mb_ask(interrupt, (size_t)COST * PIECE) : MB_OK);
    }
    return MB_OK;
}

static mb_status
copy_level(mb_backoff *table, const mb_backoff_level *given, size_t level, size_t first_pair,
           mb_interrupt *interrupt, mb_backoff_fault *fault)
{
    size_t first = table->firsts[level];
    int64_t start = given->starts[0];
    if (start != 0) {
        return backoff_fault(MB_BACKOFF_STARTS, level, 0, fault);
    }
    for (size_t i = 0; i < given->n; i++) {
        int64_t end = given->starts[i + 1];
        double back = given->backs[i], base = given->base == NULL ? 0.0 : given->base[i];
        if (end < start || (uint64_t)end > given->n_pairs) {
            return backoff_fault(MB_BACKOFF_STARTS, level, i, fault);
        }
        if (!is_back(back) || !is_not_negative(base)) {
            return backoff_fault(is_back(back) ? MB_BACKOFF_BASE : MB_BACKOFF_BACK, level, i,
                                 fault);
        }
        table->contexts[first + i] =
            (mb_backoff_context){back, (uint32_t)(first_pair + (size_t)start), 0};
        if (table->base != NULL) {
            table->base[first + i] = base;
        }
        MB_TRY(copy_pairs(table, given, level, i, (size_t)start, (size_t)end,
                          table->pairs + first_pair, interrupt, fault));
        MB_TRY(i % PIECE == 0 ? mb_ask(interrupt, (size_t)COST * PIECE) : MB_OK);
        start = end;
    }
    if ((uint64_t)start != given->n_pairs) {
        return backoff_fault(MB_BACKOFF_STARTS, level, 0, fault);
    }
    table->contexts[first + given->n].first = (uint32_t)(first_pair + given->n_pairs);
    return MB_OK;
}

/* ---- contexts that are sorted ---------------------------------------------------------------- */

/* The first context that stands in the level twice, whose counts were added: there are fewer keys than
 * contexts, so one of these has another number than its own, whatever others do to them meanwhile. */
static mb_status
context_that_is_twice(const mb_transitions *counts, const mb_backoff_level *given, size_t level,
                      const int64_t *zeros, mb_interrupt *interrupt, mb_backoff_fault *fault)
{
    mb_token_fault ignored;
    uint64_t number = 0;
    size_t i = 0;
    do {
        MB_TRY(mb_transitions_counts(counts, 1, given->contexts + i * level, zeros, interrupt,
                                     &number, &ignored));
    } while (number == i + 1 && ++i < given->n);
    return backoff_fault(MB_BACKOFF_TWICE, level, i, fault);
}

/* The numbers of the contexts of a level, which are the counts of their keys: as many keys as contexts,
 * so that no counts were added, whatever others do to the contexts meanwhile. */
static mb_status
number_keys(const mb_backoff *table, size_t level, mb_interrupt *interrupt, uint32_t *numbers,
            const mb_run *run)
{
    for (size_t i = 0; i < run->n; i++) {
        numbers[i] = (uint32_t)(table->firsts[level] + mb_run_count(run, i) - 1);
        MB_TRY(i % PIECE == 0 ? mb_ask(interrupt, (size_t)COST * PIECE) : MB_OK);
    }
    return MB_OK;
}

static mb_status
sort_contexts(const mb_backoff *table, const mb_backoff_level *given, size_t level,
              int64_t *numbers, const int64_t *zeros, mb_interrupt *interrupt,
              mb_backoff_finder *finder, mb_backoff_fault *fault)
{
    for (size_t i = 0; i < given->n; i++) {
        numbers[i] = (int64_t)i + 1;
    }
    mb_token_fault of_token = {0};
    MB_TRY(mb_transitions_new(level, table->n_tokens + 1, &finder->counts));
    mb_status status = mb_transitions_update_rows(finder->counts, given->n, given->contexts, zeros,
                                                  numbers, interrupt, &of_token);
    if (status == MB_INVALID) {
        return backoff_fault(MB_BACKOFF_CONTEXT, level, of_token.row, fault);
    }
    MB_TRY(status);
    MB_TRY(mb_transitions_compact(finder->counts, interrupt));
    if (finder->counts->n_runs == 0) {
        return MB_OK;
    }
    const mb_run *run = finder->counts->runs[0];
    if (run->n < given->n) {
        return context_that_is_twice(finder->counts, given, level, zeros, interrupt, fault);
    }
    finder->numbers = mb_calloc(run->n, sizeof(uint32_t));
    if (finder->numbers == NULL) {
        return MB_NOMEM;
    }
    return number_keys(table, level, interrupt, finder->numbers, run);
}

/* ---- values ---------------------------------------------------------------------------------- */

/* A pair's value, of what was given and what it would be without it. */
static double
listed_value(double given, int own, double backed_off)
{
    return isnan(given) ? -backed_off : own ? given + backed_off : fabs(given); /* not -0 */
}

/* The row of the empty context. */
static mb_status
fill_root(mb_backoff *table, const double *root, int own, mb_interrupt *interrupt,
          mb_backoff_fault *fault)
{
    for (size_t w = 0; w < table->n_tokens; w++) {
        double mean = root == NULL ? 0.0 : root[w];
        if (!(mean >= 0.0 && mean <= MB_BACKOFF_MOST)) {
            return backoff_fault(MB_BACKOFF_MEAN, 0, w, fault);
        }
        *(table->mean == NULL ? table->row + w : table->mean + w) =
            table->mean == NULL ? table->contexts[0].back * mean : mean;
        MB_TRY(w % PIECE == 0 ? mb_ask(interrupt, (size_t)COST * PIECE) : MB_OK);
    }
    for (size_t i = 0; i < table->contexts[1].first; i++) {
        mb_backoff_pair *pair = table->pairs + i;
        pair->value = listed_value(pair->value, own, table->row[pair->token]);
        table->row[pair->token] = fabs(pair->value);
        MB_TRY(i % PIECE == 0 ? mb_ask(interrupt, (size_t)COST * PIECE) : MB_OK);
    }
    return MB_OK;
}

/* The values of a level > 0, whose contexts are linked; means are for its pairs. */
static mb_status
fill_level(mb_backoff *table, size_t level, int own, mb_interrupt *interrupt, double *means,
           mb_backoff_bounds *bounds, mb_backoff_fault *fault)
{
    const size_t first = table->contexts[table->firsts[level]].first;
    MB_TRY(mb_backoff_shorter(table, level, interrupt, means));
    for (size_t c = table->firsts[level]; c < table->firsts[level + 1]; c++) {
        const mb_backoff_context *context = table->contexts + c;
        for (size_t i = context->first; i < context[1].first; i++) {
            mb_backoff_pair *pair = table->pairs + i;
            pair->value = listed_value(pair->value, own, context->back * means[i - first]);
        }
        MB_TRY(mb_backoff_bound_row(table, level, (uint32_t)c, means + (context->first - first),
                                    bounds, interrupt, fault));
        MB_TRY(mb_ask(interrupt, COST * (1 + (size_t)(context[1].first - context->first))));
    }
    return MB_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* Fills a table that has room; numbers and zeros are for the contexts of any level, means for pairs. */
static mb_status
fill_levels(mb_backoff *table, const mb_backoff_level *levels, const double *root, int own,
            int64_t *numbers, const int64_t *zeros, double *means, mb_backoff_finder *finders,
            mb_backoff_bounds *bounds, mb_interrupt *interrupt, mb_backoff_fault *fault)
{
    size_t first_pair = 0;
    for (size_t level = 0; level < table->n_levels; level++) {
        MB_TRY(copy_level(table, levels + level, level, first_pair, interrupt, fault));
        first_pair += levels[level].n_pairs;
        if (level == 0) {
            MB_TRY(fill_root(table, root, own, interrupt, fault));
            MB_TRY(mb_backoff_bound_root(table, bounds, interrupt, fault));
            continue;
        }
        MB_TRY(sort_contexts(table, levels + level, level, numbers, zeros, interrupt,
                             finders + level, fault));
        MB_TRY(mb_backoff_link(table, level, finders, interrupt, fault));
        MB_TRY(fill_level(table, level, own, interrupt, means, bounds, fault));
    }
    return MB_OK;
}

size_t
mb_backoff_bytes(const mb_backoff *table)
{
    size_t n = mb_backoff_n(table), a_token = sizeof(double) + sizeof(uint32_t);
    size_t based = table->base == NULL ? 0 : (n + table->n_tokens) * sizeof(double);
    return sizeof(mb_backoff) + (n + 1) * sizeof(mb_backoff_context) +
           table->n_pairs * sizeof(mb_backoff_pair) + (table->n_tokens + 1) * a_token + based;
}

mb_status
mb_backoff_new(uint64_t n_tokens, size_t n_levels, const mb_backoff_level *levels,
               const double *root, int own, mb_interrupt *interrupt, mb_backoff **out,
               mb_backoff_fault *fault)
{
    mb_backoff *table = NULL;
    mb_backoff_finder finders[MB_MAX_ORDER + 1] = {{0}};
    size_t firsts[MB_MAX_ORDER + 2] = {0}, n_pairs = 0, most = 1, most_pairs = 0;
    if (n_levels < 1 || n_levels > MB_MAX_ORDER + 1) {
        return MB_RANGE;
    }
    if (levels[0].n != 1) {
        return backoff_fault(MB_BACKOFF_ROOT, 0, 0, fault);
    }
    for (size_t level = 0; level < n_levels; level++) {
        if (__builtin_add_overflow(firsts[level], levels[level].n, firsts + level + 1) ||
            __builtin_add_overflow(n_pairs, levels[level].n_pairs, &n_pairs)) {
            return MB_RANGE;
        }
        most = levels[level].n > most ? levels[level].n : most;
        most_pairs = levels[level].n_pairs > most_pairs ? levels[level].n_pairs : most_pairs;
    }
    MB_TRY(mb_backoff_begin(n_tokens, firsts[n_levels], n_pairs, levels[0].base != NULL, &table));
    table->n_levels = n_levels;
    memcpy(table->firsts, firsts, sizeof firsts);
    mb_backoff_bounds bounds = {0};
    mb_status status = mb_backoff_begin_bounds(table, &bounds);
    int64_t *numbers = mb_calloc(most, sizeof(int64_t)), *zeros = mb_calloc(most, sizeof(int64_t));
    double *means = mb_calloc(most_pairs, sizeof(double));
    if (numbers == NULL || zeros == NULL || means == NULL) {
        status = MB_NOMEM;
    }
    if (status == MB_OK) {
        status = fill_levels(table, levels, root, own, numbers, zeros, means, finders, &bounds,
                             interrupt, fault);
    }
    mb_backoff_end_bounds(&bounds);
    mb_free(numbers);
    mb_free(zeros);
    mb_free(means);
    mb_backoff_end_finders(n_levels, finders);
    if (status == MB_OK) {
        *out = table;
    } else {
        mb_backoff_free(table);
    }
    return status;
}
