/* Fading counts: as arrays, and from them. */
#include "core/matrix/fading.h"

#include <math.h>

enum { COST = 64 /* of a pair, in units of mb_ask() */ };

static void
write_pair(const mb_fading *counts, const mb_fading_run *run, size_t row, size_t i,
           const mb_fading_arrays *out)
{
    const mb_fading_cell cell = mb_fading_cell_at(run, i);
    out->tokens[i] = run->tokens[i];
    if (out->clocks == NULL) {
        out->counts[i] = mb_fading_now(counts->discount, cell, run->clocks[row]);
    } else {
        out->counts[i] = cell.count;
        out->rests[i] = cell.rest;
        out->times[i] = (int64_t)cell.time;
    }
}

mb_status
mb_fading_write(const mb_fading *counts, const mb_fading_run *run, mb_interrupt *interrupt,
                const mb_fading_arrays *out)
{
    size_t order = counts->order;
    out->starts[0] = 0;
    for (size_t row = 0; row < run->n_rows; row++) {
        for (size_t i = row * order; i < (row + 1) * order; i++) {
            out->contexts[i] = run->contexts[i];
        }
        for (size_t i = run->starts[row]; i < run->starts[row + 1]; i++) {
            write_pair(counts, run, row, i, out);
            MB_TRY(mb_ask(interrupt, COST));
        }
        out->starts[row + 1] = (int64_t)run->starts[row + 1];
        if (out->clocks != NULL) {
            out->clocks[row] = (int64_t)run->clocks[row];
        }
    }
    return MB_OK;
}

/* Copies the pairs of a row, each number read once; what is wrong with them, or NULL. */
static const char *
load_pairs(const mb_fading_rows *rows, size_t start, size_t end, uint64_t n_tokens, size_t row,
           mb_fading_run *run)
{
    uint64_t clock = rows->clocks == NULL ? 0 : (uint64_t)rows->clocks[row];
    run->clocks[row] = clock;
    if (clock > (uint64_t)1 << 62) {
        return "a clock is out of range";
    }
    for (size_t i = start; i < end; i++) {
        int64_t token = rows->tokens[i];
        mb_fading_cell cell = {rows->counts[i], rows->rests == NULL ? 0.0 : rows->rests[i],
                               rows->times == NULL ? 0 : (uint64_t)rows->times[i]};
        if ((uint64_t)token >= n_tokens) {
            return "a token is not one";
        }
        if (!(cell.count > 0.0 && isfinite(cell.count))) {
            return "a count is not positive and finite";
        }
        if (!(fabs(cell.rest) <= 1e-9 * cell.count)) {
            return "a rest is not small";
        }
        if (cell.time > clock) {
            return "a time is after the clock of its row";
        }
        run->tokens[i] = (uint32_t)token;
        mb_fading_put(run, i, cell);
        if (i > start && run->tokens[i] <= run->tokens[i - 1]) {
            return "the tokens of a row do not rise";
        }
    }
    return NULL;
}

/* Copies a row, whose pairs begin at run->n_pairs. */
static mb_status
load_row(const mb_fading *counts, const mb_fading_rows *rows, size_t row, mb_fading_run *run,
         const char **wrong)
{
    size_t order = counts->order, start = run->n_pairs, end = (size_t)rows->starts[row + 1];
    uint32_t *context = run->contexts + row * order;
    mb_token_fault fault;
    const char *found = mb_fading_copy_tokens(counts->n_tokens, order, rows->contexts + row * order,
                                              0, context, &fault) != MB_OK
                            ? "a context has a token that is not one"
                        : row > 0 && mb_fading_compare(order, context - order, context) >= 0
                            ? "the contexts do not rise"
                        : end <= start || end > rows->n_pairs
                            ? "the rows do not begin where the last ones end"
                            : load_pairs(rows, start, end, counts->n_tokens, row, run);
    if (found != NULL) {
        *wrong = found;
        return MB_INVALID;
    }
    run->starts[++run->n_rows] = run->n_pairs = end;
    return MB_OK;
}

mb_status
mb_fading_load(size_t order, uint64_t n_tokens, double discount, const mb_fading_rows *rows,
               mb_interrupt *interrupt, mb_fading **out, const char **wrong)
{
    mb_fading *counts;
    double sum = 0.0;
    MB_TRY(mb_fading_new(order, n_tokens, discount, &counts));
    mb_fading_run *run = mb_fading_run_begin(order, rows->n_rows, rows->n_pairs);
    mb_status status = run == NULL ? MB_NOMEM : MB_OK;
    for (size_t i = 0; i < rows->n_rows && status == MB_OK; i++) {
        size_t before = run->n_pairs;
        status = load_row(counts, rows, i, run, wrong);
        for (size_t pair = before; status == MB_OK && pair < run->n_pairs; pair++) {
            sum += mb_fading_now(discount, mb_fading_cell_at(run, pair), run->clocks[i]);
            status = mb_ask(interrupt, (size_t)2 * COST);
        }
    }
    if (status == MB_OK && (rows->starts[0] != 0 || run->n_pairs != rows->n_pairs)) {
        *wrong = "the rows are not those of all pairs";
        status = MB_INVALID;
    }
    if (status == MB_OK) {
        status = mb_fading_reserve(counts, sum, interrupt);
    }
    if (status == MB_OK && run->n_rows > 0) {
        status = mb_fading_add_run(counts, run, interrupt);
        run = NULL;
    }
    mb_fading_run_free(run);
    if (status == MB_OK) {
        *out = counts;
    } else {
        mb_fading_free(counts);
    }
    return status;
}
