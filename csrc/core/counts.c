/* Encoding of count rows.
 *
 * The rows are copied and checked, with their totals as one more token; the
 * entries are sorted by token (counting sort), and within a token the different
 * counts become cells: small whole ones by a table, the others by sorting. */
#include "counts.h"

#include "mem.h"

#include <math.h>
#include <string.h>

enum { SMALL = 256, PIECE = 1 << 16 /* entries between two questions whether to stop */ };

/* Copies of the rows, and where the entries of each token are. */
typedef struct {
    double *value;   /* [n_entries + n_rows] */
    size_t *order;   /* [n_entries + n_rows], entries by token */
    size_t *from;    /* [n_tokens + 2], where a token begins in `order` */
    size_t *latest;  /* [n_tokens], the last entry of a token */
    double *several; /* [n_entries + n_rows], counts of a token that are not small */
    double *spare;   /* [n_entries + n_rows], to sort them */
    const mb_interrupt *interrupt;
    size_t since; /* entries since it was asked */
} workspace;

/* To be called after so many entries. */
static inline mb_status
pause_after(size_t n, workspace *w)
{
    w->since += n;
    if (w->since < PIECE) {
        return MB_OK;
    }
    w->since = 0;
    return mb_interrupted(w->interrupt);
}

/* The row that begins at *start into entries at *n; leaves zeros out and adds equal columns.
 * *start becomes its end.  What belongs to the caller may change meanwhile: each number is
 * read once. */
static mb_status
copy_row(const mb_sparse_rows *rows, size_t row, int64_t *start, workspace *w, uint32_t *column,
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
        MB_TRY(pause_after(1, w));
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
    *start = end;
    return MB_OK;
}

/* Entries by token, in the order of rows. */
static mb_status
sort_by_token(size_t n_tokens, size_t n, const uint32_t *column, workspace *w)
{
    for (size_t i = 0; i < n; i++) {
        w->from[column[i] + 1]++;
        MB_TRY(pause_after(1, w));
    }
    for (size_t v = 0; v <= n_tokens; v++) {
        w->from[v + 1] += w->from[v];
    }
    for (size_t i = 0; i < n; i++) {
        w->order[w->from[column[i]]++] = i;
        MB_TRY(pause_after(1, w));
    }
    for (size_t v = n_tokens + 1; v > 0; v--) {
        w->from[v] = w->from[v - 1];
    }
    w->from[0] = 0;
    return MB_OK;
}

static int
is_small(double value)
{
    return value < SMALL && value == floor(value);
}

/* w->several [n] in rising order: merge sort, that can be stopped. */
static mb_status
sort_several(size_t n, workspace *w)
{
    for (size_t width = 1; width < n; width *= 2) {
        double *from = w->several, *to = w->spare;
        for (size_t low = 0, high; low < n; low = high) {
            size_t middle = n - low < width ? n : low + width, i = low, j = middle;
            high = n - middle < width ? n : middle + width;
            for (size_t at = low; at < high; at++) {
                int from_left = j == high || (i < middle && from[i] <= from[j]);
                to[at] = from[from_left ? i++ : j++];
                MB_TRY(pause_after(1, w));
            }
        }
        w->several = to;
        w->spare = from;
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

/* The cells of a token, whose n entries are `order`, from cell `first` on: their counts go to
 * counts [n], their number to *n_cells, and each entry gets its cell. */
static mb_status
number_cells(size_t n, const size_t *order, workspace *w, size_t first, uint32_t *entries,
             double *counts, size_t *n_cells)
{
    uint32_t cell_of[SMALL] = {0};
    size_t n_several = 0, n_different = 0, next = 0, found = 0;
    for (size_t i = 0; i < n; i++) {
        double x = w->value[order[i]];
        if (is_small(x)) {
            cell_of[(size_t)x] = 1;
        } else {
            w->several[n_several++] = x;
        }
        MB_TRY(pause_after(1, w));
    }
    MB_TRY(sort_several(n_several, w));
    const double *several = w->several;
    for (size_t i = 0; i < n_several; i++) {
        if (i == 0 || several[i] != several[i - 1]) {
            w->spare[n_different++] = several[i];
        }
    }
    /* small and other counts, merged in rising order */
    for (size_t small = 0; small <= SMALL; small++) {
        while (next < n_different && (small == SMALL || w->spare[next] < (double)small)) {
            counts[found++] = w->spare[next++];
        }
        if (small < SMALL && cell_of[small]) {
            counts[found] = (double)small;
            cell_of[small] = (uint32_t)(first + found++);
        }
    }
    for (size_t i = 0; i < n; i++) {
        double x = w->value[order[i]];
        entries[order[i]] =
            is_small(x) ? cell_of[(size_t)x] : (uint32_t)(first + place_of(x, found, counts));
        MB_TRY(pause_after(1, w));
    }
    *n_cells = found;
    return MB_OK;
}

static void
end_workspace(workspace *w)
{
    mb_free(w->value);
    mb_free(w->order);
    mb_free(w->from);
    mb_free(w->latest);
    mb_free(w->several);
    mb_free(w->spare);
}

static mb_status
encode(const mb_sparse_rows *rows, workspace *w, mb_counts *c, mb_sparse_fault *fault)
{
    size_t n = 0;
    int64_t start = rows->starts[0];
    for (size_t i = 0; i < rows->n_rows; i++) {
        MB_TRY(copy_row(rows, i, &start, w, c->entries, &n, fault));
        MB_TRY(pause_after(1, w));
        c->starts[i + 1] = n;
    }
    c->n_entries = n;
    MB_TRY(sort_by_token(rows->n_tokens, n, c->entries, w));
    /* The cells are written where the sorted values were; their number is known at the end. */
    size_t n_cells = 0;
    for (size_t v = 0; v <= rows->n_tokens; v++) {
        size_t from = w->from[v], many = w->from[v + 1] - from;
        if (n_cells + many > UINT32_MAX) {
            return MB_RANGE;
        }
        size_t found;
        MB_TRY(number_cells(many, w->order + from, w, n_cells, c->entries, c->count + n_cells,
                            &found));
        for (size_t i = 0; i < found; i++) {
            c->token[n_cells + i] = (uint32_t)v;
        }
        n_cells += found;
        MB_TRY(pause_after(SMALL, w));
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
mb_counts_new(const mb_sparse_rows *rows, const mb_interrupt *interrupt, mb_counts **out,
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
    c->token = mb_calloc(most, sizeof(uint32_t));
    c->count = mb_calloc(most, sizeof(double));
    workspace w = {mb_calloc(most, sizeof(double)),
                   mb_calloc(most, sizeof(size_t)),
                   mb_calloc(rows->n_tokens + 2, sizeof(size_t)),
                   mb_calloc(rows->n_tokens, sizeof(size_t)),
                   mb_calloc(most, sizeof(double)),
                   mb_calloc(most, sizeof(double)),
                   interrupt,
                   0};
    mb_status status = MB_NOMEM;
    if (c->starts != NULL && c->entries != NULL && c->token != NULL && c->count != NULL &&
        w.value != NULL && w.order != NULL && w.from != NULL && w.latest != NULL &&
        w.several != NULL && w.spare != NULL) {
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
