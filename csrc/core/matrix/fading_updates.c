/* Fading counts: what is counted. */
#include "core/matrix/fading_runs.h"

#include "core/base/mem.h"

#include <math.h>
#include <string.h>

enum { COST = 128 /* of a token, in units of mb_ask() */ };

/* ---- sorted texts ------------------------------------------------------------------------ */

/* The row of a run that is being made, and what it was. */
typedef struct {
    mb_fading_row was;
    uint32_t first; /* its first place in the texts */
} own_row;

static void
begin_row(const mb_fading *counts, const mb_fading_texts *texts, size_t row, int ticks,
          mb_fading_run *run, own_row *own)
{
    const uint32_t *context = mb_fading_window(texts, texts->first[row]);
    size_t n = texts->first[row + 1] - texts->first[row];
    mb_fading_find(counts, context, &own->was);
    own->first = texts->first[row];
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

/* A run of sorted texts on top of what there is.  Each token is one, for which the clock ticks; or
 * `more` of the token as they came, and it does not. */
static mb_status
make_run(const mb_fading *counts, const mb_fading_texts *texts, const double *more,
         mb_interrupt *interrupt, mb_fading_run *run)
{
    own_row own = {0};
    uint32_t last = 0;
    for (size_t i = 0; i < texts->n; i++) {
        size_t place = texts->by_pair[i], row = texts->row_of[place];
        uint32_t token = mb_fading_window(texts, place)[texts->order];
        int begins = row == run->n_rows;
        if (begins) {
            begin_row(counts, texts, row, more == NULL, run, &own);
        }
        if (begins || token != last) {
            size_t at = run->n_pairs++;
            run->tokens[at] = last = token;
            mb_fading_put(run, at, mb_fading_newest(counts, &own.was, token));
        }
        size_t at = run->n_pairs - 1;
        mb_fading_cell cell = mb_fading_cell_at(run, at);
        cell = more == NULL
                   ? mb_fading_tick(counts, cell, own.was.clock + (place - own.first + 1))
                   : with_more(counts->discount, cell, own.was.clock, more[texts->by_row[place]]);
        mb_fading_put(run, at, cell);
        MB_TRY(mb_ask(interrupt, COST));
    }
    run->starts[run->n_rows] = run->n_pairs;
    return MB_OK;
}

static mb_status
count_texts(mb_fading *counts, const mb_fading_texts *texts, const double *more,
            mb_interrupt *interrupt)
{
    mb_fading_run *run = mb_fading_begin(counts->order, texts->n_rows, texts->n_pairs);
    if (run == NULL) {
        return MB_NOMEM;
    }
    mb_status status = make_run(counts, texts, more, interrupt, run);
    if (status != MB_OK) {
        mb_fading_run_free(run);
        return status;
    }
    return mb_fading_take(counts, run, interrupt);
}

mb_status
mb_fading_count(mb_fading *counts, const mb_fading_texts *texts, mb_interrupt *interrupt)
{
    MB_TRY(mb_fading_make_room(counts, (double)texts->n, interrupt));
    return count_texts(counts, texts, NULL, interrupt);
}

/* Ends a change that was made to a copy. */
static mb_status
commit(mb_status status, mb_fading *counts, mb_fading *changed)
{
    if (status == MB_OK) {
        mb_fading_become(counts, changed);
    } else {
        mb_fading_free(changed);
    }
    return status;
}

mb_status
mb_fading_update(mb_fading *counts, size_t n_documents, const mb_document *documents,
                 mb_interrupt *interrupt, mb_token_fault *fault)
{
    mb_fading_cursor cursor = {0};
    mb_fading_texts *texts;
    mb_fading *changed;
    MB_TRY(mb_fading_copy(counts, &changed));
    size_t n = mb_fading_section(counts, n_documents, documents);
    mb_status status = mb_fading_texts_new(counts->order, n, &texts);
    if (status != MB_OK) {
        return commit(status, counts, changed);
    }
    do {
        status = mb_fading_gather(counts, n_documents, documents, &cursor, texts, interrupt, fault);
        if (status == MB_OK && texts->n > 0) {
            status = mb_fading_count(changed, texts, interrupt);
        }
    } while (status == MB_OK && texts->n == MB_FADING_SECTION);
    mb_free(texts);
    return commit(status, counts, changed);
}

/* ---- given counts ------------------------------------------------------------------------ */

/* Copies given counts into texts; those of 0 are looked at and left out. */
static mb_status
gather_given(const mb_fading *counts, size_t first, size_t n, const int64_t *contexts,
             const int64_t *tokens, const double *more, mb_interrupt *interrupt,
             mb_fading_texts *texts, double *own, double *sum, mb_token_fault *fault)
{
    size_t order = counts->order;
    texts->n = 0;
    *sum = 0.0;
    for (size_t i = first; i < first + n; i++) {
        uint32_t *window = texts->windows + texts->n * (order + 1);
        int64_t token = tokens[i];
        double times = more[i];
        fault->row = i;
        MB_TRY(mb_fading_context(counts, contexts + i * order, window, fault));
        if ((uint64_t)token >= counts->n_tokens) {
            fault->position = order;
            fault->value = token;
            return MB_INVALID;
        }
        if (!(times >= 0.0 && isfinite(times))) {
            fault->position = order + 1;
            return MB_INVALID;
        }
        window[order] = (uint32_t)token;
        own[texts->n] = times;
        texts->n += times > 0.0;
        *sum += times;
        MB_TRY(mb_ask(interrupt, COST / 2));
    }
    return mb_fading_sort(texts, counts->n_tokens, interrupt);
}

mb_status
mb_fading_add(mb_fading *counts, size_t n, const int64_t *contexts, const int64_t *tokens,
              const double *more, mb_interrupt *interrupt, mb_token_fault *fault)
{
    size_t most = n < MB_FADING_SECTION ? n : MB_FADING_SECTION;
    mb_fading_texts *texts = NULL;
    mb_fading *changed;
    MB_TRY(mb_fading_copy(counts, &changed));
    double *own = mb_calloc(most, sizeof(double)), sum;
    mb_status status = own == NULL ? MB_NOMEM : mb_fading_texts_new(counts->order, most, &texts);
    for (size_t at = 0; at < n && status == MB_OK; at += most) {
        size_t many = n - at < most ? n - at : most;
        status = gather_given(counts, at, many, contexts, tokens, more, interrupt, texts, own, &sum,
                              fault);
        if (status == MB_OK) {
            status = mb_fading_make_room(changed, sum, interrupt);
        }
        if (status == MB_OK && texts->n > 0) {
            status = count_texts(changed, texts, own, interrupt);
        }
    }
    mb_free(texts);
    mb_free(own);
    return commit(status, counts, changed);
}

/* ---- rows of others ---------------------------------------------------------------------- */

/* A run of what `counts` have where `more` has something, and that added as it is now. */
static mb_status
add_run(const mb_fading *counts, const mb_fading_run *more, double discount,
        mb_interrupt *interrupt, mb_fading_run *run)
{
    size_t order = counts->order;
    memcpy(run->contexts, more->contexts, more->n_rows * order * sizeof(uint32_t));
    memcpy(run->starts, more->starts, (more->n_rows + 1) * sizeof(size_t));
    memcpy(run->tokens, more->tokens, more->n_pairs * sizeof(uint32_t));
    run->n_rows = more->n_rows;
    run->n_pairs = more->n_pairs;
    for (size_t i = 0; i < more->n_rows; i++) {
        mb_fading_row was;
        mb_fading_find(counts, more->contexts + i * order, &was);
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
    mb_status status = mb_fading_settle(other, interrupt, &more);
    if (status == MB_OK) {
        status = mb_fading_sum(other, interrupt, &sum);
    }
    if (status == MB_OK) {
        status = mb_fading_make_room(changed, sum, interrupt);
    }
    if (status == MB_OK && more->n_rows > 0) {
        run = mb_fading_begin(counts->order, more->n_rows, more->n_pairs);
        status = run == NULL ? MB_NOMEM : add_run(counts, more, other->discount, interrupt, run);
    }
    if (status == MB_OK && run != NULL) {
        status = mb_fading_take(changed, run, interrupt);
        run = NULL;
    }
    mb_fading_run_free(run);
    mb_fading_run_free(more);
    return commit(status, counts, changed);
}

/* ---- forgetting -------------------------------------------------------------------------- */

static mb_fading_cell
scaled(double now, double factor, uint64_t clock)
{
    return (mb_fading_cell){now * factor < MB_VANISHED ? 0.0 : now * factor, 0.0, clock};
}

/* Writes rows of texts, multiplied, into a run: every pair of theirs, 0 for what vanishes. */
static mb_status
scale_rows(const mb_fading *counts, const mb_fading_texts *texts, double factor,
           mb_interrupt *interrupt, mb_fading_run *run)
{
    size_t order = counts->order;
    for (size_t row = 0; row < texts->n_rows; row++) {
        const uint32_t *context = mb_fading_window(texts, texts->first[row]);
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

/* How many pairs rows of texts have at most, and one for each row that nobody reads. */
static mb_status
length_of_rows(const mb_fading *counts, const mb_fading_texts *texts, mb_interrupt *interrupt,
               size_t *n)
{
    *n = 0;
    for (size_t row = 0; row < texts->n_rows; row++) {
        mb_fading_row was;
        mb_fading_find(counts, mb_fading_window(texts, texts->first[row]), &was);
        *n += was.n + 1;
        MB_TRY(mb_ask(interrupt, (size_t)2 * COST));
    }
    return MB_OK;
}

/* Writes rows of sorted texts, multiplied, on top of what there is. */
static mb_status
scale_texts(const mb_fading *counts, const mb_fading_texts *texts, double factor,
            mb_interrupt *interrupt, mb_fading *changed)
{
    size_t room;
    MB_TRY(length_of_rows(counts, texts, interrupt, &room));
    mb_fading_run *run = mb_fading_begin(counts->order, texts->n_rows, room);
    if (run == NULL) {
        return MB_NOMEM;
    }
    mb_status status = scale_rows(counts, texts, factor, interrupt, run);
    if (status != MB_OK || run->n_rows == 0) {
        mb_fading_run_free(run);
        return status;
    }
    MB_TRY(mb_fading_fit(counts->order, texts->n_rows + room, &run));
    return mb_fading_take(changed, run, interrupt);
}

/* A context that two sections have is written twice, and the same. */
static mb_status
scale_some(const mb_fading *counts, size_t n, const int64_t *contexts, double factor,
           mb_interrupt *interrupt, mb_fading *changed, mb_token_fault *fault)
{
    size_t order = counts->order, most = n < MB_FADING_SECTION ? n : MB_FADING_SECTION;
    mb_fading_texts *texts;
    MB_TRY(mb_fading_texts_new(order, most, &texts));
    mb_status status = MB_OK;
    for (size_t at = 0; at < n && status == MB_OK; at += most) {
        texts->n = n - at < most ? n - at : most;
        for (size_t i = 0; i < texts->n && status == MB_OK; i++) {
            fault->row = at + i;
            status = mb_fading_context(counts, contexts + (at + i) * order,
                                       texts->windows + i * (order + 1), fault);
        }
        if (status == MB_OK) {
            status = mb_fading_sort(texts, counts->n_tokens, interrupt);
        }
        if (status == MB_OK) {
            status = scale_texts(counts, texts, factor, interrupt, changed);
        }
    }
    mb_free(texts);
    return status;
}

/* Writes a run that is settled, multiplied, in the place of all runs. */
static mb_status
scale_all(const mb_fading *counts, double factor, mb_interrupt *interrupt, mb_fading *changed)
{
    mb_fading_run *from, *run;
    MB_TRY(mb_fading_settle(counts, interrupt, &from));
    run = mb_fading_begin(counts->order, from->n_rows, from->n_pairs);
    mb_status status = run == NULL ? MB_NOMEM : MB_OK;
    if (status == MB_OK) {
        memcpy(run->contexts, from->contexts, from->n_rows * counts->order * sizeof(uint32_t));
        memcpy(run->starts, from->starts, (from->n_rows + 1) * sizeof(size_t));
        memcpy(run->tokens, from->tokens, from->n_pairs * sizeof(uint32_t));
        run->n_rows = from->n_rows;
        run->n_pairs = from->n_pairs;
    }
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
    mb_fading_drop(changed);
    return mb_fading_take(changed, run, interrupt);
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
    return commit(status, counts, changed);
}

/* ---- rows from elsewhere ------------------------------------------------------------------ */

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
    const char *found =
        mb_fading_context(counts, rows->contexts + row * order, context, &fault) != MB_OK
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
    mb_fading_run *run = mb_fading_begin(order, rows->n_rows, rows->n_pairs);
    mb_status status = run == NULL ? MB_NOMEM : MB_OK;
    for (size_t i = 0; i < rows->n_rows && status == MB_OK; i++) {
        size_t before = run->n_pairs;
        status = load_row(counts, rows, i, run, wrong);
        for (size_t pair = before; status == MB_OK && pair < run->n_pairs; pair++) {
            sum += mb_fading_now(discount, mb_fading_cell_at(run, pair), run->clocks[i]);
            status = mb_ask(interrupt, COST);
        }
    }
    if (status == MB_OK && (rows->starts[0] != 0 || run->n_pairs != rows->n_pairs)) {
        *wrong = "the rows are not those of all pairs";
        status = MB_INVALID;
    }
    if (status == MB_OK) {
        status = mb_fading_make_room(counts, sum, interrupt);
    }
    if (status == MB_OK && run->n_rows > 0) {
        status = mb_fading_take(counts, run, interrupt);
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
