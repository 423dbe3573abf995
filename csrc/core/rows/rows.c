/* Rows of any float type and strides, one at a time: loaded in pieces into the
 * result's own row, where they are checked and normalised while the cache holds
 * them.  What is checked is what is kept, even if the caller's memory changes.
 * A row is read once; where a fault is, is looked for only if there is one. */
#include "core/rows/rows.h"

#include "core/rows/rounding.h"
#include "core/special/half.h"
#include "core/base/mem.h"
#include "core/rows/exp_float.h"
#include "core/special/special_log.h"

/* Fused multiply-adds: a tenth of the time of a row, and nothing here needs its
 * products rounded. */
#include "core/base/contract.h"

enum { CHAINS = 32, PIECE = 1024 };
enum {
    LOOK_UP = 8,   /* nanoseconds of a number that is far from the one before */
    ROUNDING = 400 /* of one whose rounding is asked */
};

#define FLOAT_PRECISION 0x1p-23 /* what doubles may have been before */

/* Below every sum of probabilities but 0, and what exp_float() makes of 2^64 zeros. */
#define NOTHING 1e-15

/* What is wrong with a value that is out of range. */
static mb_row_fault_kind
fault_of(double value)
{
    if (isnan(value)) {
        return MB_ROW_NAN;
    }
    if (value == INFINITY) {
        return MB_ROW_INFINITE;
    }
    return value < 0 ? MB_ROW_NEGATIVE : MB_ROW_POSITIVE;
}

#define KERNEL "core/rows/rows_kernel.h"
#include "core/base/instruction_sets.h"

/* ---- Loading, at most PIECE numbers --------------------------------------- */

/* Hardly a logit is special, and the others take half the work. */
static void
widen_half(size_t n, const uint16_t *bits, float *out)
{
    if (CHOOSE(any_special, n, bits)) {
        CHOOSE(widen_any, n, bits, out);
    } else {
        CHOOSE(widen_normal, n, bits, out);
    }
}

static const char *
place(const mb_row_view *rows, size_t row, size_t column)
{
    return (const char *)rows->data + (ptrdiff_t)row * rows->row_stride +
           (ptrdiff_t)column * rows->column_stride;
}

/* n items of `size` bytes that lie `stride` apart, one behind the other. */
MB_INLINE void
gather_items(size_t size, size_t n, const char *from, ptrdiff_t stride, char *to)
{
    for (size_t i = 0; i < n; i++) {
        memcpy(to + i * size, from + (ptrdiff_t)i * stride, size);
    }
}

static void
gather(size_t size, size_t n, const char *from, ptrdiff_t stride, void *to)
{
    if (stride == (ptrdiff_t)size) {
        memcpy(to, from, n * size);
    } else if (size == 2) {
        gather_items(2, n, from, stride, to);
    } else if (size == 4) {
        gather_items(4, n, from, stride, to);
    } else {
        gather_items(8, n, from, stride, to);
    }
}

static void
load_double(const mb_row_view *rows, size_t row, size_t from, size_t n, double *out)
{
    gather(8, n, place(rows, row, from), rows->column_stride, out);
}

static void
load_float(const mb_row_view *rows, size_t row, size_t from, size_t n, float *out)
{
    const char *data = place(rows, row, from);
    if (rows->type == MB_FLOAT32) {
        gather(4, n, data, rows->column_stride, out);
        return;
    }
    uint16_t piece[PIECE];
    const uint16_t *bits = (const uint16_t *)(const void *)data;
    if (rows->column_stride != 2 || (uintptr_t)data % 2 != 0) {
        gather(2, n, data, rows->column_stride, piece);
        bits = piece;
    }
    if (rows->type == MB_FLOAT16) {
        widen_half(n, bits, out);
    } else {
        CHOOSE(widen_bfloat16, n, bits, out);
    }
}

/* ---- One row, in float and in double -------------------------------------- */

#define REAL float
#define REAL_TYPE MB_FLOAT32
#define REAL_MAX FLT_MAX
#define NAME(x) x##_float
#define RUN(x, ...) CHOOSE(x##_float, __VA_ARGS__)
#include "core/rows/row_of_type.h"
#undef RUN
#undef NAME
#undef REAL_MAX
#undef REAL_TYPE
#undef REAL

#define REAL double
#define REAL_TYPE MB_FLOAT64
#define REAL_MAX DBL_MAX
#define NAME(x) x##_double
#define RUN(x, ...) CHOOSE(x##_double, __VA_ARGS__)
#include "core/rows/row_of_type.h"
#undef RUN
#undef NAME
#undef REAL_MAX
#undef REAL_TYPE
#undef REAL

/* ---- Many rows ------------------------------------------------------------ */

mb_status
mb_log_probs(const mb_row_view *rows, mb_row_kind kind, mb_interrupt *interrupt, void *out,
             mb_row_zeros *zeros, mb_row_fault *fault)
{
    for (size_t row = 0; row < rows->n_rows; row++) {
        size_t at = row * rows->n_columns;
        if (rows->type == MB_FLOAT64) {
            double *to = out == NULL ? NULL : (double *)out + at;
            MB_TRY(log_probs_double(rows, kind, row, interrupt, to, zeros, fault));
        } else {
            float *to = out == NULL ? NULL : (float *)out + at;
            MB_TRY(log_probs_float(rows, kind, row, interrupt, to, zeros, fault));
        }
    }
    return MB_OK;
}

mb_status
mb_lump_log_probs(const mb_groups *groups, int is_double, size_t n_rows, const void *log_probs,
                  mb_interrupt *interrupt, void *scratch, void *out, mb_row_fault *fault)
{
    for (size_t row = 0; row < n_rows; row++) {
        size_t from = row * groups->n_columns, to = row * groups->n_groups;
        fault->row = row;
        MB_TRY(is_double ? lump_double(groups, (const double *)log_probs + from, interrupt, scratch,
                                       (double *)out + to, fault)
                         : lump_float(groups, (const float *)log_probs + from, interrupt, scratch,
                                      (float *)out + to, fault));
    }
    return MB_OK;
}

/* ---- Groups --------------------------------------------------------------- */

/* A counting sort: starts[g + 1] is where the next column of group g goes, and
 * so in the end where group g + 1 starts. */
static mb_status
sort_columns(size_t n_columns, const int64_t *groups, size_t n_groups, mb_interrupt *interrupt,
             size_t *starts, uint32_t *order)
{
    for (size_t v = 0; v < n_columns; v++) {
        starts[groups[v] + 2]++;
        MB_TRY(mb_ask(interrupt, LOOK_UP));
    }
    for (size_t g = 2; g < n_groups + 2; g++) {
        starts[g] += starts[g - 1];
        MB_TRY(mb_ask(interrupt, LOOK_UP));
    }
    for (size_t v = 0; v < n_columns; v++) {
        order[starts[groups[v] + 1]++] = (uint32_t)v;
        MB_TRY(mb_ask(interrupt, LOOK_UP));
    }
    return MB_OK;
}

mb_status
mb_groups_new(size_t n_columns, const int64_t *groups, size_t n_groups, mb_interrupt *interrupt,
              mb_groups **result)
{
    if (n_columns > UINT32_MAX || n_groups > SIZE_MAX - 2) {
        return MB_RANGE;
    }
    for (size_t v = 0; v < n_columns; v++) {
        if ((uint64_t)groups[v] >= n_groups) { /* below 0 also */
            return MB_INVALID;
        }
        MB_TRY(mb_ask(interrupt, 1));
    }
    mb_groups *made = mb_calloc(1, sizeof *made);
    if (made == NULL) {
        return MB_NOMEM;
    }
    size_t *starts = mb_calloc(n_groups + 2, sizeof *starts);
    uint32_t *order = mb_calloc(n_columns, sizeof *order);
    *made = (mb_groups){n_columns, n_groups, starts, order};
    if (starts == NULL || order == NULL) {
        mb_groups_free(made);
        return MB_NOMEM;
    }
    mb_status status = sort_columns(n_columns, groups, n_groups, interrupt, starts, order);
    if (status != MB_OK) {
        mb_groups_free(made);
        return status;
    }
    *result = made;
    return MB_OK;
}

void
mb_groups_free(mb_groups *groups)
{
    if (groups != NULL) {
        mb_free(groups->starts);
        mb_free(groups->order);
        mb_free(groups);
    }
}
