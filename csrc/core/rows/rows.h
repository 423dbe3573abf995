/* Next-token rows as they come from a model, turned into log-probabilities. */
#ifndef MB_ROWS_H
#define MB_ROWS_H

#include "core/base/status.h"

#include <stddef.h>

typedef enum { MB_FLOAT16, MB_BFLOAT16, MB_FLOAT32, MB_FLOAT64 } mb_float_type;

typedef enum { MB_LOGITS, MB_LOG_PROBS, MB_PROBS } mb_row_kind;

/* rows [n_rows][n_columns] at any strides (in bytes; also zero, negative or
 * unaligned), n_columns >= 1. */
typedef struct {
    const void *data;
    mb_float_type type;
    size_t n_rows, n_columns;
    ptrdiff_t row_stride, column_stride;
} mb_row_view;

typedef enum {
    MB_ROW_NAN,
    MB_ROW_INFINITE, /* +inf */
    MB_ROW_NEGATIVE, /* a probability below 0 */
    MB_ROW_POSITIVE, /* a log-probability above MB_ROW_TOLERANCE */
    MB_ROW_EMPTY,    /* every probability is 0 */
    MB_ROW_SUM,      /* probabilities sum to `value`, further from 1 than MB_ROW_TOLERANCE */
    MB_ROW_PART      /* or less far below 1, but further than rounding explains */
} mb_row_fault_kind;

#define MB_ROW_TOLERANCE 1e-3

/* What numbers of 32 or 64 bits may lack of 1 without being looked at: V sums of floats, and some.
 * Further, they must have been rounded, to decimals or to 16 bits: see rounding.h. */
#define MB_ROW_MISSING(n_columns) (((double)(n_columns) + 64) * 0x1p-24)

/* Why a row was refused, and where: the first such row and, but for the last
 * three kinds, the first such column and the value there. */
typedef struct {
    mb_row_fault_kind kind;
    size_t row, column;
    double value;
} mb_row_fault;

/* Exact zeros: how many rows hold one, and the first row and column with one
 * (of no meaning where there is none). */
typedef struct {
    size_t n_rows, row, column;
} mb_row_zeros;

/* The log-probabilities of the rows into out [n_rows][n_columns], C order, doubles
 * of MB_FLOAT64 and floats of every other type;
 * what they hold is added to *zeros.  Logits get a log-softmax, whose sum
 * is accumulated in double: floats are at most 1 ulp + 5e-7 off, doubles 1 ulp +
 * 2e-15, and both 2e-16 more for each 1024 columns.  Probabilities get a
 * logarithm, at most 1 ulp off, and exact zeros -inf; log-probabilities are
 * copied, or only checked where out is NULL, as it may be for them alone.
 * Nothing is renormalised.
 * MB_INVALID: *fault says why; the rows of out are then partly written. */
mb_status mb_log_probs(const mb_row_view *rows, mb_row_kind kind, mb_interrupt *interrupt,
                       void *out, mb_row_zeros *zeros, mb_row_fault *fault);

/* A partition of columns into groups 0..n_groups, some perhaps empty. */
typedef struct {
    size_t n_columns, n_groups;
    size_t *starts;  /* [n_groups + 2]: group g owns order[starts[g]..starts[g + 1]) */
    uint32_t *order; /* [n_columns], ascending within a group */
} mb_groups;

/* Column v belongs to group groups[v].  MB_INVALID: that is not in
 * 0..n_groups; MB_RANGE: 2^32 columns or more; MB_NOMEM. */
mb_status mb_groups_new(size_t n_columns, const int64_t *groups, size_t n_groups,
                        mb_interrupt *interrupt, mb_groups **result);
void mb_groups_free(mb_groups *groups);

/* The logarithm of each group's probability, of log_probs [n_rows][n_columns] into
 * out [n_rows][n_groups].  An empty
 * group has -inf, a group of one its column's value.  Sums are in double and
 * relative to the group's largest member.  scratch is [n_columns]; all three are
 * doubles, or all floats.  MB_INVALID: NaN or +inf at *fault. */
mb_status mb_lump_log_probs(const mb_groups *groups, int is_double, size_t n_rows,
                            const void *log_probs, mb_interrupt *interrupt, void *scratch,
                            void *out, mb_row_fault *fault);

#endif
