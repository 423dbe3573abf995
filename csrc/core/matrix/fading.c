/* Fading counts: their runs.  What is counted is in fading_updates.c; questions are answered in
 * fading_questions.c, and texts scored in fading_evidence.c. */
#include "core/matrix/fading_runs.h"

#include "core/base/mem.h"

#include <math.h>
#include <string.h>

enum { COST = 32 /* of a row or pair, in units of mb_ask() */ };

/* ---- runs ------------------------------------------------------------------------------ */

/* One block for all arrays.  The sizes are those of what is in memory or fits there: no overflow. */
mb_fading_run *
mb_fading_begin(size_t order, size_t n_rows, size_t n_pairs)
{
    size_t words = 2 * n_rows + 1 + 3 * n_pairs, halves = n_rows * order + n_pairs;
    size_t bytes = sizeof(mb_fading_run) + 8 * words + 4 * halves;
    mb_fading_run *run = mb_calloc(1, bytes);
    if (run != NULL) {
        run->n_users = 1;
        run->clocks = (uint64_t *)(run + 1);
        run->times = run->clocks + n_rows;
        run->counts = (double *)(run->times + n_pairs);
        run->rests = run->counts + n_pairs;
        run->starts = (size_t *)(run->rests + n_pairs);
        run->contexts = (uint32_t *)(run->starts + n_rows + 1);
        run->tokens = run->contexts + n_rows * order;
    }
    return run;
}

void
mb_fading_run_free(mb_fading_run *run)
{
    if (run != NULL && __atomic_sub_fetch(&run->n_users, 1, __ATOMIC_ACQ_REL) == 0) {
        mb_free(run);
    }
}

static mb_fading_run *
share(mb_fading_run *run)
{
    __atomic_add_fetch(&run->n_users, 1, __ATOMIC_RELAXED);
    return run;
}

static size_t
run_bytes(const mb_fading *counts, const mb_fading_run *run)
{
    return sizeof(mb_fading_run) + 8 * (2 * run->n_rows + 1 + 3 * run->n_pairs) +
           4 * (run->n_rows * counts->order + run->n_pairs);
}

mb_status
mb_fading_fit(size_t order, size_t room, mb_fading_run **run)
{
    mb_fading_run *old = *run;
    if (old->n_rows + old->n_pairs == room) {
        return MB_OK;
    }
    mb_fading_run *new = mb_fading_begin(order, old->n_rows, old->n_pairs);
    if (new != NULL) {
        new->n_rows = old->n_rows;
        new->n_pairs = old->n_pairs;
        memcpy(new->clocks, old->clocks, old->n_rows * sizeof(uint64_t));
        memcpy(new->times, old->times, old->n_pairs * sizeof(uint64_t));
        memcpy(new->counts, old->counts, old->n_pairs * sizeof(double));
        memcpy(new->rests, old->rests, old->n_pairs * sizeof(double));
        memcpy(new->starts, old->starts, (old->n_rows + 1) * sizeof(size_t));
        memcpy(new->contexts, old->contexts, old->n_rows * order * sizeof(uint32_t));
        memcpy(new->tokens, old->tokens, old->n_pairs * sizeof(uint32_t));
    }
    mb_fading_run_free(old);
    *run = new;
    return new == NULL ? MB_NOMEM : MB_OK;
}

int
mb_fading_compare(size_t order, const uint32_t *a, const uint32_t *b)
{
    for (size_t i = 0; i < order; i++) {
        if (a[i] != b[i]) {
            return a[i] < b[i] ? -1 : 1;
        }
    }
    return 0;
}

/* ---- counts ----------------------------------------------------------------------------- */

/* What a count is `age` tokens later. */
static double
faded(double discount, double count, uint64_t age)
{
    if (age == 0 || discount == 1.0) {
        return count;
    }
    double share = age == 1 ? discount : pow(discount, (double)age), now = count * share;
    if (share < 1e-280 &&
        age > 1) { /* a share that underflows may leave something of a large count */
        uint64_t half = age / 2;
        now = count * pow(discount, (double)half) * pow(discount, (double)(age - half));
    }
    return now < MB_VANISHED ? 0.0 : now;
}

double
mb_fading_now(double discount, mb_fading_cell cell, uint64_t clock)
{
    return faded(discount, cell.count + cell.rest, clock - cell.time);
}

mb_fading_cell
mb_fading_tick(const mb_fading *counts, mb_fading_cell cell, uint64_t clock)
{
    const uint64_t turn = clock - clock % counts->span;
    /* what has vanished may be left out at any time, so that nothing may depend on it */
    int is_safe = cell.count >= 1e-100 && clock - cell.time < counts->span;
    if (!is_safe && mb_fading_now(counts->discount, cell, clock) == 0.0) {
        return (mb_fading_cell){1.0, 0.0, clock};
    }
    mb_exact_sum sum = {cell.count, cell.rest};
    if (cell.time < turn) {
        sum.sum = faded(counts->discount, cell.count, turn - cell.time);
        sum.rest = cell.rest / cell.count * sum.sum;
        cell.time = turn;
    }
    uint64_t age = clock - cell.time;
    mb_exact_add(&sum, age == 0 ? 1.0 : pow(counts->discount, -(double)age));
    return (mb_fading_cell){sum.sum, sum.rest, cell.time};
}

/* How many tokens make a power of about 2^200. */
static uint64_t
span_of(double discount)
{
    double tokens = discount < 1.0 ? 139.0 / -log(discount) : 0x1p62;
    return tokens < 1.0 ? 1 : (uint64_t)tokens;
}

/* ---- merging --------------------------------------------------------------------------- */

/* How runs are merged: with nothing below them, what has vanished is left out. */
typedef struct {
    size_t order;
    double discount;
    int is_lowest;
    uint64_t safe; /* an age at which counts of 1e-100 and more have not vanished */
    mb_interrupt *interrupt;
} merger;

static merger
merger_of(const mb_fading *counts, int is_lowest, mb_interrupt *interrupt)
{
    double steps = counts->discount < 1.0 ? 400.0 / -log(counts->discount) : 0x1p62;
    uint64_t safe = steps < 0x1p62 ? (uint64_t)steps : (uint64_t)1 << 62;
    return (merger){counts->order, counts->discount, is_lowest, safe, interrupt};
}

static void
put_pair(const merger *m, mb_fading_run *out, uint64_t clock, const mb_fading_run *from, size_t i)
{
    const mb_fading_cell cell = mb_fading_cell_at(from, i);
    if (m->is_lowest && !(cell.count >= 1e-100 && clock - cell.time <= m->safe) &&
        mb_fading_now(m->discount, cell, clock) == 0.0) {
        return;
    }
    out->tokens[out->n_pairs] = from->tokens[i];
    mb_fading_put(out, out->n_pairs++, cell);
}

static void
end_row(const merger *m, mb_fading_run *out, uint64_t clock, const uint32_t *context)
{
    if (m->is_lowest && out->n_pairs == out->starts[out->n_rows]) {
        return;
    }
    memcpy(out->contexts + out->n_rows * m->order, context, m->order * sizeof(uint32_t));
    out->clocks[out->n_rows++] = clock;
    out->starts[out->n_rows] = out->n_pairs;
}

/* The row of one run. */
static mb_status
copy_row(const merger *m, mb_fading_run *out, const mb_fading_run *from, size_t row)
{
    for (size_t i = from->starts[row]; i < from->starts[row + 1]; i++) {
        put_pair(m, out, from->clocks[row], from, i);
        MB_TRY(mb_ask(m->interrupt, COST));
    }
    end_row(m, out, from->clocks[row], from->contexts + row * m->order);
    return mb_ask(m->interrupt, COST);
}

/* The row that both have. */
static mb_status
merge_row(const merger *m, mb_fading_run *out, const mb_fading_run *a, size_t row,
          const mb_fading_run *b, size_t newer)
{
    size_t i = a->starts[row], i_end = a->starts[row + 1];
    size_t j = b->starts[newer], j_end = b->starts[newer + 1];
    uint64_t clock = b->clocks[newer];
    while (i < i_end || j < j_end) {
        MB_TRY(mb_ask(m->interrupt, COST));
        if (j == j_end || (i < i_end && a->tokens[i] < b->tokens[j])) {
            put_pair(m, out, clock, a, i++);
            continue;
        }
        i += i < i_end && a->tokens[i] == b->tokens[j];
        put_pair(m, out, clock, b, j++);
    }
    end_row(m, out, clock, b->contexts + newer * m->order);
    return mb_ask(m->interrupt, COST);
}

/* Both runs as one; where is_lowest, without what has vanished. */
static mb_status
merge(const mb_fading *counts, const mb_fading_run *a, const mb_fading_run *b, int is_lowest,
      mb_interrupt *interrupt, mb_fading_run **out)
{
    const merger m = merger_of(counts, is_lowest, interrupt);
    size_t room_rows = a->n_rows + b->n_rows, room_pairs = a->n_pairs + b->n_pairs, i = 0, j = 0;
    mb_fading_run *run = mb_fading_begin(m.order, room_rows, room_pairs);
    if (run == NULL) {
        return MB_NOMEM;
    }
    while (i < a->n_rows || j < b->n_rows) {
        int side = i == a->n_rows   ? 1
                   : j == b->n_rows ? -1
                                    : mb_fading_compare(m.order, a->contexts + i * m.order,
                                                        b->contexts + j * m.order);
        mb_status status = side < 0   ? copy_row(&m, run, a, i)
                           : side > 0 ? copy_row(&m, run, b, j)
                                      : merge_row(&m, run, a, i, b, j);
        i += side <= 0;
        j += side >= 0;
        if (status != MB_OK) {
            mb_fading_run_free(run);
            return status;
        }
    }
    MB_TRY(mb_fading_fit(m.order, room_rows + room_pairs, &run));
    *out = run;
    return MB_OK;
}

/* One run of all; the caller frees it. */
static mb_status
collapse(const mb_fading *counts, mb_interrupt *interrupt, mb_fading_run **out)
{
    size_t left = counts->n_runs;
    if (left == 0) {
        *out = mb_fading_begin(counts->order, 0, 0);
        return *out == NULL ? MB_NOMEM : MB_OK;
    }
    mb_fading_run *run = share(counts->runs[--left]);
    while (left-- > 0) {
        mb_fading_run *merged;
        mb_status status = merge(counts, counts->runs[left], run, left == 0, interrupt, &merged);
        mb_fading_run_free(run);
        MB_TRY(status);
        run = merged;
    }
    *out = run;
    return MB_OK;
}

mb_status
mb_fading_settle(const mb_fading *counts, mb_interrupt *interrupt, mb_fading_run **out)
{
    mb_fading_run **kept = (mb_fading_run **)&counts->settled, *none = NULL, *run;
    run = __atomic_load_n(kept, __ATOMIC_ACQUIRE);
    if (run == NULL) {
        MB_TRY(collapse(counts, interrupt, &run));
        *out = share(run);
        /* several readers may have come here: one of them leaves its run to the others */
        if (!__atomic_compare_exchange_n(kept, &none, run, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
            mb_fading_run_free(run);
        }
        return MB_OK;
    }
    *out = share(run);
    return MB_OK;
}

static size_t
length(const mb_fading_run *run)
{
    return run->n_rows + run->n_pairs;
}

mb_status
mb_fading_take(mb_fading *counts, mb_fading_run *run, mb_interrupt *interrupt)
{
    static const mb_fading_run none = {0};
    size_t left = counts->n_runs;
    do {
        const mb_fading_run *older = left > 0 ? counts->runs[left - 1] : &none;
        mb_fading_run *merged;
        if (left > 0 && length(older) / 2 >= length(run)) {
            break;
        }
        left -= left > 0;
        /* the first of all is merged with none, to be without what has vanished */
        mb_status status = merge(counts, older, run, left == 0, interrupt, &merged);
        mb_fading_run_free(run);
        MB_TRY(status);
        run = merged;
    } while (left > 0);
    while (counts->n_runs > left) {
        mb_fading_run_free(counts->runs[--counts->n_runs]);
    }
    counts->runs[counts->n_runs++] = run;
    mb_fading_run_free(counts->settled);
    counts->settled = NULL;
    return MB_OK;
}

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
    counts->span = span_of(discount);
    *out = counts;
    return MB_OK;
}

static void
free_runs(mb_fading *counts)
{
    for (size_t i = 0; i < counts->n_runs; i++) {
        mb_fading_run_free(counts->runs[i]);
    }
    mb_fading_run_free(counts->settled);
}

void
mb_fading_drop(mb_fading *counts)
{
    free_runs(counts);
    counts->n_runs = 0;
    counts->settled = NULL;
    counts->bound = 0.0;
}

void
mb_fading_free(mb_fading *counts)
{
    if (counts != NULL) {
        free_runs(counts);
        mb_free(counts);
    }
}

void
mb_fading_become(mb_fading *counts, mb_fading *others)
{
    free_runs(counts);
    *counts = *others;
    mb_free(others);
}

mb_status
mb_fading_copy(const mb_fading *counts, mb_fading **out)
{
    mb_fading *copy = mb_calloc(1, sizeof(mb_fading));
    if (copy == NULL) {
        return MB_NOMEM;
    }
    memcpy(copy, counts, offsetof(mb_fading, settled));
    for (size_t i = 0; i < copy->n_runs; i++) {
        share(copy->runs[i]);
    }
    *out = copy;
    return MB_OK;
}

size_t
mb_fading_bytes(const mb_fading *counts)
{
    const mb_fading_run *settled = __atomic_load_n(&counts->settled, __ATOMIC_ACQUIRE);
    size_t bytes = sizeof(mb_fading);
    for (size_t i = 0; i < counts->n_runs; i++) {
        bytes += run_bytes(counts, counts->runs[i]);
    }
    int is_shared = settled == NULL || (counts->n_runs == 1 && settled == counts->runs[0]);
    return bytes + (is_shared ? 0 : run_bytes(counts, settled));
}

mb_status
mb_fading_sum(const mb_fading *counts, mb_interrupt *interrupt, double *out)
{
    mb_fading_run *run;
    MB_TRY(mb_fading_settle(counts, interrupt, &run));
    mb_exact_sum sum = {0};
    mb_status status = MB_OK;
    for (size_t row = 0; row < run->n_rows; row++) {
        for (size_t i = run->starts[row]; i < run->starts[row + 1] && status == MB_OK; i++) {
            mb_exact_add(
                &sum, mb_fading_now(counts->discount, mb_fading_cell_at(run, i), run->clocks[row]));
            status = mb_ask(interrupt, (size_t)2 * COST);
        }
    }
    mb_fading_run_free(run);
    *out = sum.sum + sum.rest;
    return status;
}

mb_status
mb_fading_make_room(mb_fading *counts, double more, mb_interrupt *interrupt)
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

/* ---- a row in all runs ------------------------------------------------------------------ */

/* The first row of a run that does not stand before a context. */
static size_t
find_row(size_t order, const mb_fading_run *run, const uint32_t *context)
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
        size_t at = find_row(order, run, context);
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
