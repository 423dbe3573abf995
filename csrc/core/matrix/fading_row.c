/* A row of fading counts: found in all runs, and read. */
#include "core/matrix/fading_row.h"

/* The first row of a run that does not stand before a context. */
static size_t
find_context(size_t order, const mb_fading_run *run, const uint32_t *context)
{
    size_t low = 0, high = run->n_rows;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (mb_fading_compare(order, run->contexts + middle * order, context) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void
mb_fading_find(const mb_fading *counts, const uint32_t *context, mb_fading_row *row)
{
    size_t order = counts->order;
    row->clock = 0;
    row->n = 0;
    for (size_t r = 0; r < counts->n_runs; r++) {
        const mb_fading_run *run = counts->runs[r];
        size_t at = find_context(order, run, context);
        int is_there =
            at < run->n_rows && mb_fading_compare(order, run->contexts + at * order, context) == 0;
        row->next[r] = is_there ? run->starts[at] : 0;
        row->end[r] = is_there ? run->starts[at + 1] : 0;
        row->n += row->end[r] - row->next[r];
        row->clock = is_there ? run->clocks[at] : row->clock;
    }
}

mb_fading_cell
mb_fading_newest(const mb_fading *counts, const mb_fading_row *row, uint32_t token)
{
    for (size_t r = counts->n_runs; r-- > 0;) {
        const mb_fading_run *run = counts->runs[r];
        size_t low = row->next[r], high = row->end[r];
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (run->tokens[middle] < token) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if (low < row->end[r] && run->tokens[low] == token) {
            return mb_fading_cell_at(run, low);
        }
    }
    return (mb_fading_cell){.time = row->clock};
}

int
mb_fading_next(const mb_fading *counts, mb_fading_row *row, uint32_t *token, double *now,
               mb_fading_cell *cell)
{
    for (;;) {
        size_t newest = counts->n_runs;
        uint32_t least = 0;
        for (size_t r = 0; r < counts->n_runs; r++) {
            if (row->next[r] < row->end[r]) {
                uint32_t own = counts->runs[r]->tokens[row->next[r]];
                newest = newest == counts->n_runs || own <= least ? r : newest;
                least = newest == r ? own : least;
            }
        }
        if (newest == counts->n_runs) {
            return 0;
        }
        const mb_fading_run *run = counts->runs[newest];
        *token = least;
        *cell = mb_fading_cell_at(run, row->next[newest]);
        *now = mb_fading_now(counts->discount, *cell, row->clock);
        for (size_t r = 0; r <= newest; r++) {
            row->next[r] +=
                row->next[r] < row->end[r] && counts->runs[r]->tokens[row->next[r]] == least;
        }
        if (*now > 0.0) {
            return 1;
        }
    }
}
