/* Rows of every type, kind and stride against long double: what is taken sums to 1, what is refused
 * has the fault that is named. */
#include "core/rows/rows.h"
#include "test/fuzz/provider.h"

#include <float.h>

enum { MOST_ROWS = 5, MOST_COLUMNS = 70 };

static const size_t sizes[] = {
    [MB_FLOAT16] = 2, [MB_BFLOAT16] = 2, [MB_FLOAT32] = 4, [MB_FLOAT64] = 8};

/* The bits of a number in a type, cut off. */
static uint64_t
bits_of(mb_float_type type, double x)
{
    float narrow = (float)x;
    uint32_t bits;
    uint64_t wide;
    memcpy(&bits, &narrow, sizeof bits);
    memcpy(&wide, &x, sizeof wide);
    if (type == MB_FLOAT64 || type == MB_FLOAT32) {
        return type == MB_FLOAT64 ? wide : bits;
    }
    if (type == MB_BFLOAT16 || isnan(x)) {
        return bits >> 16 | (isnan(x) ? 0x7F80 : 0);
    }
    uint64_t sign = x < 0.0 || (x == 0.0 && signbit(x)) ? 0x8000 : 0;
    double size = fabs(x);
    if (size >= 65536.0) {
        return sign | (isinf(x) ? 0x7C00 : 0x7BFF);
    }
    int e = 0;
    (void)frexp(size, &e);
    if (size < 0x1p-14) {
        return sign | (uint64_t)(size * 0x1p24);
    }
    return sign | (uint64_t)(e + 14) << 10 | ((uint64_t)ldexp(size, 11 - e) & 0x3FF);
}

static double
number_of(mb_float_type type, const uint8_t *bytes)
{
    uint16_t half;
    uint32_t bits;
    float narrow;
    double wide;
    switch (type) {
    case MB_FLOAT64:
        memcpy(&wide, bytes, sizeof wide);
        return wide;
    case MB_FLOAT32:
        memcpy(&narrow, bytes, sizeof narrow);
        return (double)narrow;
    default:
        memcpy(&half, bytes, sizeof half);
    }
    if (type == MB_BFLOAT16) {
        bits = (uint32_t)half << 16;
        memcpy(&narrow, &bits, sizeof narrow);
        return (double)narrow;
    }
    int e = half >> 10 & 31;
    double part = half & 0x3FF;
    double size = e == 31 ? (part > 0.0 ? (double)NAN : (double)INFINITY)
                  : e > 0 ? ldexp(1.0 + part / 1024.0, e - 15)
                          : ldexp(part, -24);
    return half & 0x8000 ? -size : size;
}

/* One row of numbers: any, or what is a distribution but for rounding. */
static void
take_row(provider *from, mb_row_kind kind, size_t n, double *row)
{
    size_t how = take_size(from, 0, 3);
    double sum = 0.0;
    for (size_t v = 0; v < n; v++) {
        row[v] = how == 0 ? take_double(from) : 20.0 * take_part(from) - 15.0;
        sum += exp(row[v]);
    }
    if (how == 0 || kind == MB_LOGITS) {
        return;
    }
    double scale = how == 3 ? pow(10.0, (double)take_size(from, 1, 7)) : 0.0;
    for (size_t v = 0; v < n; v++) {
        row[v] = kind == MB_PROBS ? exp(row[v]) / sum : row[v] - log(sum);
        row[v] = how == 3 ? round(row[v] * scale) / scale : row[v];
    }
    if (how == 2) { /* one of them is something else */
        row[take_size(from, 0, n - 1)] = take_double(from);
    }
}

/* A number of a row as it is seen, and a probability. */
static long double
probability(mb_row_kind kind, double x)
{
    return kind == MB_PROBS ? (long double)x : expl((long double)x);
}

/* Whether one number alone is a reason to refuse a row. */
static int
is_fault(mb_row_kind kind, double x, mb_row_fault_kind *why)
{
    *why = isnan(x)                                       ? MB_ROW_NAN
           : isinf(x) && x > 0.0                          ? MB_ROW_INFINITE
           : kind == MB_PROBS && x < 0.0                  ? MB_ROW_NEGATIVE
           : kind == MB_LOG_PROBS && x > MB_ROW_TOLERANCE ? MB_ROW_POSITIVE
                                                          : MB_ROW_SUM;
    return *why != MB_ROW_SUM;
}

/* What was refused has that fault. */
static void
check_fault(mb_row_kind kind, size_t n, const double *row, const mb_row_fault *fault)
{
    mb_row_fault_kind why;
    long double sum = 0.0L, most = 0.0L;
    for (size_t v = 0; v < n; v++) {
        sum += probability(kind, row[v]);
        most = fmaxl(most, probability(kind, row[v]));
    }
    switch (fault->kind) {
    case MB_ROW_EMPTY:
        HOLDS(kind == MB_LOGITS ? isinf(row[0]) : sum < 1.1e-15L);
        break;
    case MB_ROW_SUM:
        HOLDS(kind != MB_LOGITS && fabsl(sum - 1.0L) > MB_ROW_TOLERANCE * (1.0L - 1e-6L));
        HOLDS(is_near((long double)fault->value, sum, 1e-5L, 1e-6L) || sum > 1e30L);
        break;
    case MB_ROW_PART:
        HOLDS(kind != MB_LOGITS && sum < 1.0L);
        break;
    default:
        HOLDS(fault->column < n && is_fault(kind, row[fault->column], &why) && why == fault->kind);
        HOLDS(fault->value == row[fault->column] || isnan(fault->value));
    }
}

/* What was taken is a distribution, as it was given; returns its exact zeros. */
static size_t
check_row(mb_row_kind kind, int is_double, size_t n, const double *row, const void *out)
{
    mb_row_fault_kind why;
    long double most = -INFINITY, sum = 0.0L, given = 0.0L, total = 0.0L;
    size_t zeros = 0;
    for (size_t v = 0; v < n; v++) {
        HOLDS(!is_fault(kind, row[v], &why));
        most = fmaxl(most, (long double)row[v]);
    }
    for (size_t v = 0; v < n; v++) {
        given += probability(kind, row[v]);
        sum += expl((long double)row[v] - most);
    }
    const long double ulp = is_double ? 0x1p-52L : 0x1p-23L;
    const long double off = kind != MB_LOGITS ? (is_double ? 0x1p-1074L : 0x1p-149L)
                            : is_double       ? 2.2e-15L
                                              : 5e-7L;
    for (size_t v = 0; v < n; v++) {
        double got = is_double ? ((const double *)out)[v] : (double)((const float *)out)[v];
        long double wanted = kind == MB_LOGITS  ? (long double)row[v] - most - logl(sum)
                             : kind == MB_PROBS ? logl((long double)row[v])
                                                : (long double)row[v];
        int is_far = wanted < (is_double ? (long double)-DBL_MAX : (long double)-FLT_MAX);
        HOLDS(is_far ? got < -3e38 : is_near((long double)got, wanted, ulp, off));
        HOLDS(kind != MB_LOG_PROBS || got == row[v]);
        total += expl((long double)got);
        zeros += isinf(got) != 0;
    }
    HOLDS(kind == MB_LOGITS || fabsl(given - 1.0L) <= MB_ROW_TOLERANCE * (1.0L + 1e-6L));
    HOLDS(fabsl(total - 1.0L) <= (kind == MB_LOGITS ? 1e-5L : MB_ROW_TOLERANCE * 1.01L));
    return zeros;
}

/* Where the numbers stand: rows behind each other or columns, backwards, padded, at any byte, all the
 * same. */
static size_t
lay_out(provider *from, mb_row_view *view, size_t *start)
{
    ptrdiff_t size = (ptrdiff_t)sizes[view->type];
    ptrdiff_t rows = (ptrdiff_t)view->n_rows, columns = (ptrdiff_t)view->n_columns;
    size_t how = take_size(from, 0, 6);
    ptrdiff_t step = how == 1 ? size + 1 : how == 2 ? 3 * size : size;
    view->column_stride = how == 3 ? step * rows : how == 4 ? 0 : step;
    view->row_stride = how == 3 ? step : how == 5 ? 0 : step * columns;
    ptrdiff_t last_row = view->row_stride * (rows - 1);
    ptrdiff_t last_column = view->column_stride * (columns - 1);
    *start = how == 1;
    size_t room = *start + (size_t)(last_row + last_column + size);
    if (how == 6) {
        *start += (size_t)(last_row + last_column);
        view->row_stride = -view->row_stride;
        view->column_stride = -view->column_stride;
    }
    return room;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    provider from = {data, size};
    mb_row_kind kind = (mb_row_kind)take_size(&from, 0, 2);
    mb_row_view view = {.type = (mb_float_type)take_size(&from, 0, 3),
                        .n_rows = take_size(&from, 1, MOST_ROWS),
                        .n_columns = take_size(&from, 1, MOST_COLUMNS)};
    size_t start, n = view.n_columns, room = lay_out(&from, &view, &start),
                  width = sizes[view.type];
    uint8_t *bytes = exactly(room, 1);
    double rows[MOST_ROWS][MOST_COLUMNS] MB_FILLED;
    for (size_t i = 0; i < view.n_rows; i++) {
        take_row(&from, kind, n, rows[i]);
        for (size_t v = 0; v < n; v++) {
            uint64_t bits = bits_of(view.type, rows[i][v]);
            memcpy(bytes + ((ptrdiff_t)start + (ptrdiff_t)i * view.row_stride +
                            (ptrdiff_t)v * view.column_stride),
                   &bits, width);
        }
    }
    for (size_t i = 0; i < view.n_rows; i++) { /* as they are there */
        for (size_t v = 0; v < n; v++) {
            rows[i][v] =
                number_of(view.type, bytes + ((ptrdiff_t)start + (ptrdiff_t)i * view.row_stride +
                                              (ptrdiff_t)v * view.column_stride));
        }
    }
    view.data = bytes + start;
    int is_double = view.type == MB_FLOAT64;
    size_t out_size = is_double ? sizeof(double) : sizeof(float);
    uint8_t *out = exactly(view.n_rows * n, out_size);
    mb_row_zeros zeros = {0};
    mb_row_fault fault = {MB_ROW_NAN, SIZE_MAX, SIZE_MAX, 0.0};
    mb_status status = mb_log_probs(&view, kind, NULL, out, &zeros, &fault);
    HOLDS(status == MB_OK || status == MB_INVALID);
    HOLDS(status == MB_OK || fault.row < view.n_rows);
    size_t with_zeros = 0, good = status == MB_OK ? view.n_rows : fault.row;
    for (size_t i = 0; i < good; i++) {
        with_zeros += check_row(kind, is_double, n, rows[i], out + i * n * out_size) > 0;
    }
    if (status == MB_OK) {
        HOLDS(zeros.n_rows == with_zeros);
    } else {
        check_fault(kind, n, rows[fault.row], &fault);
    }
    free(out);
    free(bytes);
    return 0;
}
