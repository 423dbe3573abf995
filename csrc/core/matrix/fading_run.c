/* Runs of fading counts: made and merged. */
#include "core/matrix/fading_run.h"

#include "core/base/mem.h"

#include <string.h>

enum { COST = 32 /* of a row or pair, in units of mb_ask() */ };

/* ---- memory --------------------------------------------------------------------------------- */

/* The sizes are those of what is in memory or fits there: no overflow. */
static size_t
bytes_of_run(size_t order, size_t n_rows, size_t n_pairs)
{
    size_t words = 2 * n_rows + 1 + 3 * n_pairs, halves = n_rows * order + n_pairs;
    return sizeof(mb_fading_run) + 8 * words + 4 * halves;
}

/* One block for all arrays. */
mb_fading_run *
mb_fading_run_begin(size_t order, size_t n_rows, size_t n_pairs)
{
    mb_fading_run *run = mb_calloc(1, bytes_of_run(order, n_rows, n_pairs));
    if (run != NULL) {
        run->n_users = 1;
        run->clocks = (uint64_t *)(run + 1);
        run->times = run->clocks + n_rows;
        run->counts = (double *)(void *)(run->times + n_pairs);
        run->rests = run->counts + n_pairs;
        run->starts = (size_t *)(void *)(run->rests + n_pairs);
        run->contexts = (uint32_t *)(run->starts + n_rows + 1);
        run->tokens = run->contexts + n_rows * order;
    }
    return run;
}

mb_fading_run *
mb_fading_run_like(size_t order, const mb_fading_run *other)
{
    mb_fading_run *run = mb_fading_run_begin(order, other->n_rows, other->n_pairs);
    if (run != NULL) {
        run->n_rows = other->n_rows;
        run->n_pairs = other->n_pairs;
        memcpy(run->contexts, other->contexts, other->n_rows * order * sizeof(uint32_t));
        memcpy(run->starts, other->starts, (other->n_rows + 1) * sizeof(size_t));
        memcpy(run->tokens, other->tokens, other->n_pairs * sizeof(uint32_t));
    }
    return run;
}

mb_status
mb_fading_run_fit(size_t order, size_t room, mb_fading_run **run)
{
    mb_fading_run *old = *run;
    if (old->n_rows + old->n_pairs == room) {
        return MB_OK;
    }
    mb_fading_run *new = mb_fading_run_like(order, old);
    if (new != NULL) {
        memcpy(new->clocks, old->clocks, old->n_rows * sizeof(uint64_t));
        memcpy(new->times, old->times, old->n_pairs * sizeof(uint64_t));
        memcpy(new->counts, old->counts, old->n_pairs * sizeof(double));
        memcpy(new->rests, old->rests, old->n_pairs * sizeof(double));
    }
    mb_fading_run_free(old);
    *run = new;
    return new == NULL ? MB_NOMEM : MB_OK;
}

mb_fading_run *
mb_fading_run_share(mb_fading_run *run)
{
    __atomic_add_fetch(&run->n_users, 1, __ATOMIC_RELAXED);
    return run;
}

void
mb_fading_run_free(mb_fading_run *run)
{
    if (run != NULL && __atomic_sub_fetch(&run->n_users, 1, __ATOMIC_ACQ_REL) == 0) {
        mb_free(run);
    }
}

size_t
mb_fading_run_bytes(size_t order, const mb_fading_run *run)
{
    return bytes_of_run(order, run->n_rows, run->n_pairs);
}

/* ---- merging -------------------------------------------------------------------------------- */

/* How runs are merged, and what they become. */
typedef struct {
    size_t order;
    double discount;
    int is_lowest;
    uint64_t lasts; /* mb_fading_lasts() */
    mb_interrupt *interrupt;
    mb_fading_run *out;
} merger;

static void
merge_pair(const merger *m, uint64_t clock, const mb_fading_run *from, size_t i)
{
    const mb_fading_cell cell = mb_fading_cell_at(from, i);
    if (m->is_lowest && !(cell.count >= MB_LASTING && clock - cell.time <= m->lasts) &&
        mb_fading_now(m->discount, cell, clock) == 0.0) {
        return;
    }
    m->out->tokens[m->out->n_pairs] = from->tokens[i];
    mb_fading_put(m->out, m->out->n_pairs++, cell);
}

static mb_status
end_merged_row(const merger *m, uint64_t clock, const uint32_t *context)
{
    mb_fading_run *out = m->out;
    if (!m->is_lowest || out->n_pairs > out->starts[out->n_rows]) {
        memcpy(out->contexts + out->n_rows * m->order, context, m->order * sizeof(uint32_t));
        out->clocks[out->n_rows++] = clock;
        out->starts[out->n_rows] = out->n_pairs;
    }
    return mb_ask(m->interrupt, COST);
}

/* The row of one run. */
static mb_status
merge_single_row(const merger *m, const mb_fading_run *from, size_t row)
{
    for (size_t i = from->starts[row]; i < from->starts[row + 1]; i++) {
        merge_pair(m, from->clocks[row], from, i);
        MB_TRY(mb_ask(m->interrupt, COST));
    }
    return end_merged_row(m, from->clocks[row], from->contexts + row * m->order);
}

/* The row that both have. */
static mb_status
merge_both_rows(const merger *m, const mb_fading_run *a, size_t row, const mb_fading_run *b,
                size_t newer)
{
    size_t i = a->starts[row], i_end = a->starts[row + 1];
    size_t j = b->starts[newer], j_end = b->starts[newer + 1];
    uint64_t clock = b->clocks[newer];
    while (i < i_end || j < j_end) {
        MB_TRY(mb_ask(m->interrupt, COST));
        if (j == j_end || (i < i_end && a->tokens[i] < b->tokens[j])) {
            merge_pair(m, clock, a, i++);
            continue;
        }
        i += i < i_end && a->tokens[i] == b->tokens[j];
        merge_pair(m, clock, b, j++);
    }
    return end_merged_row(m, clock, b->contexts + newer * m->order);
}

mb_status
mb_fading_run_merge(size_t order, double discount, const mb_fading_run *older,
                    const mb_fading_run *newer, int is_lowest, mb_interrupt *interrupt,
                    mb_fading_run **out)
{
    const mb_fading_run *a = older, *b = newer;
    merger m = {order, discount, is_lowest, mb_fading_lasts(discount), interrupt, NULL};
    size_t room_rows = a->n_rows + b->n_rows, room_pairs = a->n_pairs + b->n_pairs, i = 0, j = 0;
    m.out = mb_fading_run_begin(order, room_rows, room_pairs);
    if (m.out == NULL) {
        return MB_NOMEM;
    }
    while (i < a->n_rows || j < b->n_rows) {
        int side = i == a->n_rows ? 1
                   : j == b->n_rows
                       ? -1
                       : mb_fading_compare(order, a->contexts + i * order, b->contexts + j * order);
        mb_status status = side < 0   ? merge_single_row(&m, a, i)
                           : side > 0 ? merge_single_row(&m, b, j)
                                      : merge_both_rows(&m, a, i, b, j);
        i += side <= 0;
        j += side >= 0;
        if (status != MB_OK) {
            mb_fading_run_free(m.out);
            return status;
        }
    }
    MB_TRY(mb_fading_run_fit(order, room_rows + room_pairs, &m.out));
    *out = m.out;
    return MB_OK;
}
