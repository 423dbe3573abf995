/* Encoding of count rows.
 *
 * A pass over the rows copies and checks them, their totals as one more token,
 * and notes which counts each token has: small whole ones as bits, the others in
 * a list.  That numbers the cells: by token, then by count.  A pass over the
 * copies finds the cell of each entry: by the bits below its own or, where a
 * token has other counts too, among its counts. */
#include "core/estimator/counts.h"

#include "core/base/mem.h"
#include "core/base/ranges.h"

#include <math.h>
#include <string.h>

enum { SMALL = 256, PIECE = 1 << 10 };
enum { READ = 4, LOOK_UP = 16 /* nanoseconds, the second of what is in no cache */ };

/* What is known of a token. */
typedef struct {
    uint64_t small[SMALL / 64]; /* bit n: it has the count n */
    size_t latest;              /* its last entry */
    size_t others, n_others;    /* its other counts, in a list of all tokens' */
    size_t first;               /* its first cell */
} column;

typedef struct {
    double *value;   /* [n_entries + n_rows], counts of the entries */
    column *columns; /* [n_tokens + 1] */
    double *others;  /* [2][n_others], counts that are not small, and room to sort them */
    size_t n_others;
    mb_interrupt *interrupt;
} workspace;

static inline int
is_small(double value)
{
    return value < SMALL && value == (double)(int)value;
}

/* ---- the rows ------------------------------------------------------------------- */

/* The row that begins at *start into entries at *n; leaves zeros out and adds equal columns.
 * *start becomes its end.  What belongs to the caller may change meanwhile: each number is
 * read once. */
static mb_status
copy_row(const mb_sparse_rows *rows, size_t row, int64_t *start, workspace *w, uint32_t *entries,
         size_t *n, mb_sparse_fault *fault)
{
    int64_t end = rows->starts[row + 1];
    *fault = (mb_sparse_fault){MB_SPARSE_STARTS, row, 0, 0.0};
    if (*start < 0 || end < *start || (uint64_t)end > rows->n_entries) {
        return MB_INVALID;
    }
    size_t first = *n;
    double total = 0.0;
    for (size_t i = (size_t)*start; i < (size_t)end; i++) {
        MB_TRY(i % PIECE == 0 ? mb_ask(w->interrupt, (size_t)LOOK_UP * PIECE) : MB_OK);
        int64_t v = rows->columns[i];
        double value = rows->values[i];
        if (v < 0 || (uint64_t)v >= rows->n_tokens) {
            *fault = (mb_sparse_fault){MB_SPARSE_COLUMN, row, i, (double)v};
            return MB_INVALID;
        }
        if (!(value >= 0.0) || isinf(value)) {
            *fault = (mb_sparse_fault){MB_SPARSE_VALUE, row, i, value};
            return MB_INVALID;
        }
        if (value == 0.0) {
            continue;
        }
        total += value;
        size_t *latest = &w->columns[v].latest;
        if (*latest >= first && *latest < *n && entries[*latest] == (uint32_t)v) {
            w->value[*latest] += value;
            continue;
        }
        *latest = *n;
        entries[*n] = (uint32_t)v;
        w->value[(*n)++] = value;
    }
    if (!(total <= MB_MOST_TOTAL)) {
        *fault = (mb_sparse_fault){MB_SPARSE_TOTAL, row, 0, total};
        return MB_INVALID;
    }
    if (total > 0.0) {
        entries[*n] = (uint32_t)rows->n_tokens;
        w->value[(*n)++] = total;
    }
    *start = end;
    return MB_OK;
}

/* Notes which counts the entries from `start` on have. */
static void
note_counts(size_t start, size_t end, const uint32_t *entries, workspace *w)
{
    for (size_t i = start; i < end; i++) {
        column *of = &w->columns[entries[i]];
        if (is_small(w->value[i])) {
            size_t count = (size_t)w->value[i];
            of->small[count / 64] |= (uint64_t)1 << count % 64;
        } else {
            of->n_others++;
            w->n_others++;
        }
    }
}

static mb_status
copy_rows(const mb_sparse_rows *rows, workspace *w, mb_counts *c, mb_sparse_fault *fault)
{
    size_t n = 0;
    int64_t start = rows->starts[0];
    for (size_t i = 0; i < rows->n_rows; i++) {
        MB_TRY(copy_row(rows, i, &start, w, c->entries, &n, fault));
        note_counts(c->starts[i], n, c->entries, w);
        MB_TRY(mb_ask(w->interrupt, READ * (n - c->starts[i] + 1)));
        c->starts[i + 1] = n;
    }
    c->n_entries = n;
    return MB_OK;
}

/* ---- counts that are not small --------------------------------------------------- */

/* Merge sort, which can be stopped, of n values; `spare` has room for as many. */
static mb_status
sort(size_t n, double *values, double *spare, workspace *w)
{
    double *from = values, *to = spare;
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t low = 0, high; low < n; low = high) {
            size_t middle = n - low < width ? n : low + width, i = low, j = middle;
            high = n - middle < width ? n : middle + width;
            for (size_t at = low; at < high; at++) {
                int from_left = j == high || (i < middle && from[i] <= from[j]);
                to[at] = from[from_left ? i++ : j++];
                MB_TRY(mb_ask(w->interrupt, READ));
            }
        }
        double *swap = from;
        from = to;
        to = swap;
    }
    if (from != values) {
        memcpy(values, from, n * sizeof(double));
    }
    return MB_OK;
}

/* Leaves the different ones of n rising values; returns how many. */
static size_t
unique(size_t n, double *values)
{
    size_t different = 0;
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || values[i] != values[i - 1]) {
            values[different++] = values[i];
        }
    }
    return different;
}

/* The counts of each token that are not small, in rising order, each once. */
static mb_status
list_others(const mb_counts *c, workspace *w)
{
    size_t numbers;
    if (!mb_multiply(w->n_others, 2, &numbers) ||
        (w->others = mb_calloc(numbers, sizeof(double))) == NULL) {
        return MB_NOMEM;
    }
    size_t from = 0;
    for (size_t v = 0; v <= c->n_tokens; v++) {
        w->columns[v].others = from;
        from += w->columns[v].n_others;
        w->columns[v].n_others = 0;
        MB_TRY(mb_ask(w->interrupt, LOOK_UP));
    }
    for (size_t i = 0; w->n_others > 0 && i < c->n_entries; i++) {
        MB_TRY(mb_ask(w->interrupt, LOOK_UP));
        if (!is_small(w->value[i])) {
            column *of = &w->columns[c->entries[i]];
            w->others[of->others + of->n_others++] = w->value[i];
        }
    }
    for (size_t v = 0; v <= c->n_tokens; v++) {
        column *of = &w->columns[v];
        double *mine = w->others + of->others;
        MB_TRY(sort(of->n_others, mine, mine + w->n_others, w));
        of->n_others = unique(of->n_others, mine);
        MB_TRY(mb_ask(w->interrupt, LOOK_UP));
    }
    return MB_OK;
}

/* ---- cells ------------------------------------------------------------------------ */

static size_t
bits(uint64_t x)
{
    return (size_t)__builtin_popcountll(x);
}

/* How many small counts below `count` a token has. */
static size_t
smaller(const column *of, size_t count)
{
    size_t n = 0;
    for (size_t word = 0; word < count / 64; word++) {
        n += bits(of->small[word]);
    }
    return count == SMALL ? n : n + bits(of->small[count / 64] & (((uint64_t)1 << count % 64) - 1));
}

/* The counts of a token, small and others, in rising order. */
static void
write_counts(const column *of, const double *others, double *counts)
{
    size_t n = 0, next = 0;
    for (size_t small = 0; small < SMALL; small++) {
        if (of->small[small / 64] >> small % 64 & 1) {
            while (next < of->n_others && others[next] < (double)small) {
                counts[n++] = others[next++];
            }
            counts[n++] = (double)small;
        }
    }
    memcpy(counts + n, others + next, (of->n_others - next) * sizeof(double));
}

static mb_status
number_cells(workspace *w, mb_counts *c)
{
    for (size_t v = 0; v <= c->n_tokens; v++) {
        w->columns[v].first = c->n_cells;
        c->n_cells += smaller(&w->columns[v], SMALL) + w->columns[v].n_others;
        MB_TRY(mb_ask(w->interrupt, LOOK_UP));
    }
    if (c->n_cells > UINT32_MAX) {
        return MB_RANGE; /* never: so many cells are 50 GB */
    }
    c->token = mb_calloc(c->n_cells, sizeof(uint32_t));
    c->count = mb_calloc(c->n_cells, sizeof(double));
    if (c->token == NULL || c->count == NULL) {
        return MB_NOMEM;
    }
    for (size_t v = 0; v <= c->n_tokens; v++) {
        const column *of = &w->columns[v];
        size_t end = v < c->n_tokens ? of[1].first : c->n_cells;
        for (size_t cell = of->first; cell < end; cell++) {
            c->token[cell] = (uint32_t)v;
        }
        if (of->first < end) {
            write_counts(of, w->others + of->others, c->count + of->first);
            MB_TRY(mb_ask(w->interrupt, SMALL + READ * (end - of->first)));
        }
        MB_TRY(mb_ask(w->interrupt, LOOK_UP));
    }
    return MB_OK;
}

/* The place of `value` among n different ones, in rising order. */
static size_t
place_of(double value, size_t n, const double *values)
{
    size_t low = 0;
    while (n > 1) {
        size_t half = n / 2;
        low = values[low + half] <= value ? low + half : low;
        n -= half;
    }
    return low;
}

/* From tokens to cells. */
static mb_status
find_cells(workspace *w, mb_counts *c)
{
    for (size_t i = 0; i < c->n_entries; i++) {
        MB_TRY(i % PIECE == 0 ? mb_ask(w->interrupt, (size_t)LOOK_UP * PIECE) : MB_OK);
        const column *of = &w->columns[c->entries[i]];
        size_t place;
        if (of->n_others == 0) {
            place = smaller(of, (size_t)w->value[i]);
        } else {
            size_t n = smaller(of, SMALL) + of->n_others;
            place = place_of(w->value[i], n, c->count + of->first);
        }
        c->entries[i] = (uint32_t)(of->first + place);
    }
    return MB_OK;
}

static mb_status
encode(const mb_sparse_rows *rows, workspace *w, mb_counts *c, mb_sparse_fault *fault)
{
    MB_TRY(copy_rows(rows, w, c, fault));
    MB_TRY(list_others(c, w));
    MB_TRY(number_cells(w, c));
    return find_cells(w, c);
}

mb_status
mb_counts_new(const mb_sparse_rows *rows, mb_interrupt *interrupt, mb_counts **out,
              mb_sparse_fault *fault)
{
    size_t most;
    if (rows->n_tokens >= UINT32_MAX ||
        __builtin_add_overflow(rows->n_entries, rows->n_rows, &most)) {
        return MB_RANGE;
    }
    mb_counts *c = mb_calloc(1, sizeof(mb_counts));
    if (c == NULL) {
        return MB_NOMEM;
    }
    c->n_rows = rows->n_rows;
    c->n_tokens = rows->n_tokens;
    c->starts = mb_calloc(rows->n_rows + 1, sizeof(size_t));
    c->entries = mb_calloc(most, sizeof(uint32_t));
    workspace w = {.value = mb_calloc(most, sizeof(double)),
                   .columns = mb_calloc(rows->n_tokens + 1, sizeof(column)),
                   .interrupt = interrupt};
    mb_status status = MB_NOMEM;
    if (c->starts != NULL && c->entries != NULL && w.value != NULL && w.columns != NULL) {
        status = encode(rows, &w, c, fault);
    }
    mb_free(w.value);
    mb_free(w.columns);
    mb_free(w.others);
    if (status != MB_OK) {
        mb_counts_free(c);
        return status;
    }
    *out = c;
    return MB_OK;
}

void
mb_counts_free(mb_counts *counts)
{
    if (counts != NULL) {
        mb_free(counts->starts);
        mb_free(counts->entries);
        mb_free(counts->token);
        mb_free(counts->count);
        mb_free(counts);
    }
}
