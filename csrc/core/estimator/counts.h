/* Rows of counts, encoded for the E-step: what a row says of a mixture is a list of cells.
 *
 * A cell is a token with how often it was seen, (v, n); the total N of a row is the cell
 * (V, N).  The evidence of a row is the sum of one number for each of its cells, so that
 * a pass looks these numbers up in a table [n_cells][K] and evaluates no gamma function
 * for a row; and the M-step needs to know only the weight of each cell.
 *
 *     row     3 0 1 0       cells of the row   (0, 3) (2, 1) (4, 4)
 *     cells   (0, 1) (0, 3) (2, 1) ... (4, 4) (4, 9), by token, then by count
 */
#ifndef MB_COUNTS_H
#define MB_COUNTS_H

#include "core/base/status.h"

#include <stddef.h>

typedef struct {
    size_t n_rows, n_tokens, n_entries, n_cells;
    size_t *starts;    /* [n_rows + 1], where the cells of a row begin in `entries` */
    uint32_t *entries; /* [n_entries], each < n_cells */
    uint32_t *token;   /* [n_cells], rising; n_tokens for a total */
    double *count;     /* [n_cells], > 0, rising within a token */
} mb_counts;

/* Compressed sparse rows: the entries of row i are starts[i] .. starts[i + 1]. */
typedef struct {
    size_t n_rows, n_tokens, n_entries;
    const int64_t *starts, *columns;
    const double *values;
} mb_sparse_rows;

/* What is wrong with sparse rows, and where. */
typedef enum {
    MB_SPARSE_STARTS,
    MB_SPARSE_COLUMN,
    MB_SPARSE_VALUE,
    MB_SPARSE_TOTAL
} mb_sparse_error;
typedef struct {
    mb_sparse_error error;
    size_t row, entry;
    double value;
} mb_sparse_fault;

/* Encodes sparse rows: real values, finite and >= 0, with totals in the
 * range of ranges.h; zeros are left out and equal
 * columns of a row add.  MB_INVALID with *fault where the rows are not as described;
 * MB_RANGE beyond 2^32 cells or tokens. */
mb_status mb_counts_new(const mb_sparse_rows *rows, mb_interrupt *interrupt, mb_counts **out,
                        mb_sparse_fault *fault);
void mb_counts_free(mb_counts *counts);

#endif
