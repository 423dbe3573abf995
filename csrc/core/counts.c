/* Encoding of count rows.
 *
 * The rows are copied and checked, with their totals as one more token; the
 * entries are sorted by token (counting sort), and within a token the different
 * counts become cells: small whole ones by a table, the others by sorting. */
#include "counts.h"

#include "mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL = 256 };

/* Copies of the rows, and where the entries of each token are. */
typedef struct {
    double *value;   /* [n_entries + n_rows] */
    size_t *order;   /* [n_entries + n_rows], entries by token */
    size_t *from;    /* [n_tokens + 2], where a token begins in `order` */
    size_t *latest;  /* [n_tokens], the last entry of a token */
    double *several; /* [n_entries + n_rows], counts of a token that are not small */
} workspace;

/* One row into entries at *n; leaves zeros out and adds equal columns. */
static mb_status
copy_row(const mb_sparse_rows *rows, size_t row, workspace *w, uint32_t *column, size_t *n,
         mb_sparse_fault *fault)
{
    int64_t start = rows->starts[row], end = rows->starts[row + 1];
    *fault = (mb_sparse_fault){MB_SPARSE_STARTS, row, 0, 0.0};
    if (start < 0 || end < start || (uint64_t)end > rows->n_entries) {
        return MB_INVALID;
    }
    size_t first = *n;
    double total = 0.0;
    for (size_t i = (size_t)start; i < (size_t)end; i++) {
        int64_t v = rows->columns[i];
        double value = rows->values[i];
        *fault = (mb_sparse_fault){MB_SPARSE_COLUMN, row, i, (double)v};
        if (v < 0 || (uint64_t)v >= rows->n_tokens) {
            return MB_INVALID;
        }
        *fault = (mb_sparse_fault){MB_SPARSE_VALUE, row, i, value};
        if (!(value >= 0.0) || isinf(value)) {
            return MB_INVALID;
        }
        total += value;
        size_t at = w->latest[v];
        if (value == 0.0) {
            continue;
        }
        if (at >= first && at < *n && column[at] == (uint32_t)v) {
            w->value[at] += value;
            continue;
        }
        w->latest[v] = *n;
        column[*n] = (uint32_t)v;
        w->value[(*n)++] = value;
    }
    *fault = (mb_sparse_fault){MB_SPARSE_TOTAL, row, 0, total};
    if (isinf(total)) {
        return MB_INVALID;
    }
    if (total > 0.0) {
        column[*n] = (uint32_t)rows->n_tokens;
        w->value[(*n)++] = total;
    }
    return MB_OK;
}

/* Entries by token, in the order of rows. */
static void
sort_by_token(size_t n_tokens, size_t n, const uint32_t *column, workspace *w)
{
    for (size_t i = 0; i < n; i++) {
        w->from[column[i] + 1]++;
    }
    for (size_t v = 0; v <= n_tokens; v++) {
        w->from[v + 1] += w->from[v];
    }
    for (size_t i = 0; i < n; i++) {
        w->order[w->from[column[i]]++] = i;
    }
    for (size_t v = n_tokens + 1; v > 0; v--) {
        w->from[v] = w->from[v - 1];
    }
    w->from[0] = 0;
}

static int
is_small(double value)
{
    return value < SMALL && value == floor(value);
}

static int
compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
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

/* The cells of a token, from cell `first` on: where `counts` has room for n of them (or is
 * NULL, to number them only), and each entry gets its cell.  Returns how many there are. */
static size_t
number_cells(size_t n, const size_t *order, const double *value, double *several, size_t first,
             uint32_t *entries, double *counts)
{
    uint32_t cell_of[SMALL] = {0};
    size_t n_several = 0, n_cells = 0;
    for (size_t i = 0; i < n; i++) {
        double x = value[order[i]];
        if (is_small(x)) {
            cell_of[(size_t)x] = 1;
        } else {
            several[n_several++] = x;
        }
    }
    qsort(several, n_several, sizeof(double), compare);
    size_t n_different = 0;
    for (size_t i = 0; i < n_several; i++) {
        if (i == 0 || several[i] != several[i - 1]) {
            several[n_different++] = several[i];
        }
    }
    /* small and other counts, merged in rising order */
    size_t next = 0;
    for (size_t small = 0; small <= SMALL; small++) {
        while (next < n_different && (small == SMALL || several[next] < (double)small)) {
            counts[n_cells++] = several[next++];
        }
        if (small < SMALL && cell_of[small]) {
            counts[n_cells] = (double)small;
            cell_of[small] = (uint32_t)(first + n_cells++);
        }
    }
    for (size_t i = 0; i < n; i++) {
        double x = value[order[i]];
        entries[order[i]] =
            is_small(x) ? cell_of[(size_t)x] : (uint32_t)(first + place_of(x, n_cells, counts));
    }
    return n_cells;
}

static void
end_workspace(workspace *w)
{
    mb_free(w->value);
    mb_free(w->order);
    mb_free(w->from);
    mb_free(w->latest);
    mb_free(w->several);
}

static mb_status
encode(const mb_sparse_rows *rows, workspace *w, mb_counts *c, mb_sparse_fault *fault)
{
    size_t n = 0;
    for (size_t i = 0; i < rows->n_rows; i++) {
        MB_TRY(copy_row(rows, i, w, c->entries, &n, fault));
        c->starts[i + 1] = n;
    }
    c->n_entries = n;
    sort_by_token(rows->n_tokens, n, c->entries, w);
    /* The cells are written where the sorted values were; their number is known at the end. */
    size_t n_cells = 0;
    for (size_t v = 0; v <= rows->n_tokens; v++) {
        size_t from = w->from[v], many = w->from[v + 1] - from;
        if (n_cells + many > UINT32_MAX) {
            return MB_RANGE;
        }
        size_t found = number_cells(many, w->order + from, w->value, w->several, n_cells,
                                    c->entries, c->count + n_cells);
        for (size_t i = 0; i < found; i++) {
            c->token[n_cells + i] = (uint32_t)v;
        }
        n_cells += found;
    }
    c->n_cells = n_cells;
    return MB_OK;
}

/* Gives back what an array is larger than need be. */
static mb_status
shrink(void **array, size_t count, size_t size)
{
    void *smaller = mb_calloc(count, size);
    if (smaller == NULL) {
        return MB_NOMEM;
    }
    memcpy(smaller, *array, count * size);
    mb_free(*array);
    *array = smaller;
    return MB_OK;
}

mb_status
mb_counts_new(const mb_sparse_rows *rows, mb_counts **out, mb_sparse_fault *fault)
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
    c->token = mb_calloc(most, sizeof(uint32_t));
    c->count = mb_calloc(most, sizeof(double));
    workspace w = {mb_calloc(most, sizeof(double)), mb_calloc(most, sizeof(size_t)),
                   mb_calloc(rows->n_tokens + 2, sizeof(size_t)),
                   mb_calloc(rows->n_tokens, sizeof(size_t)), mb_calloc(most, sizeof(double))};
    mb_status status = MB_NOMEM;
    if (c->starts != NULL && c->entries != NULL && c->token != NULL && c->count != NULL &&
        w.value != NULL && w.order != NULL && w.from != NULL && w.latest != NULL &&
        w.several != NULL) {
        status = encode(rows, &w, c, fault);
    }
    end_workspace(&w);
    if (status == MB_OK) {
        status = shrink((void **)&c->token, c->n_cells, sizeof(uint32_t));
    }
    if (status == MB_OK) {
        status = shrink((void **)&c->count, c->n_cells, sizeof(double));
    }
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
