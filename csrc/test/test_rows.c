/* Checks of core/rows/rows.c and core/special/half.h: every 16-bit number against arithmetic,
 * rows of all types, kinds, strides and lengths against long double, each fault,
 * groups, and memory that is refused. */
#include "core/special/half.h"
#include "core/base/mem.h"
#include "core/rows/rows.h"
#include "test/check.h"
#include "test/failing_mem.h"

#include <float.h>
#include <string.h>

/* ---- The 16-bit formats ---------------------------------------------------- */

/* A number of `mantissa` bits of mantissa and `exponent` of exponent, by its definition. */
static double
defined(unsigned bits, int mantissa, int exponent)
{
    int top = (1 << exponent) - 1, bias = top / 2, power = (int)(bits >> mantissa) & top;
    double fraction = ldexp((double)(bits & ((1u << mantissa) - 1)), -mantissa);
    double sign = bits & 0x8000 ? -1 : 1;

    if (power == top) {
        return fraction > 0 ? (double)NAN : sign * INFINITY;
    }
    return sign * (power == 0 ? ldexp(fraction, 1 - bias) : ldexp(1 + fraction, power - bias));
}

static void
check_float(const char *what, unsigned bits, float got, double wanted)
{
    int same = isnan(wanted) ? isnan(got) != 0 : (double)got == wanted;
    int sign = (signbit(got) != 0) == (bits >= 0x8000);

    check(same && sign, what, bits, (double)got, wanted);
}

static void
test_half(void)
{
    for (unsigned bits = 0; bits < 0x10000; bits++) {
        check_float("half", bits, mb_half_to_float((uint16_t)bits), defined(bits, 10, 5));
        check_float("bfloat16", bits, mb_bfloat16_to_float((uint16_t)bits), defined(bits, 7, 8));
    }
}

/* ---- Rows --------------------------------------------------------------- */

enum { MOST = 3000, ROOM = 8 * 4 * MOST + 16 };

static const size_t item_sizes[] = {2, 2, 4, 8};

/* x in the given type at `to`, and what it has become. */
static double
store(mb_float_type type, double x, char *to)
{
    float single = (float)x;
    uint16_t bits;

    if (type == MB_FLOAT64) {
        memcpy(to, &x, sizeof x);
        return x;
    }
    if (type == MB_FLOAT32) {
        memcpy(to, &single, sizeof single);
        return (double)single;
    }
    if (type == MB_BFLOAT16) {
        bits = (uint16_t)(mb_bits_of_float(single) >> 16);
    } else { /* towards 0, of normal numbers, infinities and NaN */
        uint32_t wide = mb_bits_of_float(single), sign = wide >> 16 & 0x8000;
        wide &= 0x7fffffff;
        bits = (uint16_t)(sign | (wide >= 0x7f800000  ? wide >> 13 & 0x7fff
                                  : wide < 0x38800000 ? 0
                                                      : (wide - (112u << 23)) >> 13));
    }
    memcpy(to, &bits, sizeof bits);
    return (double)(type == MB_BFLOAT16 ? mb_bfloat16_to_float(bits) : mb_half_to_float(bits));
}

static double
real_at(mb_float_type type, const void *reals, size_t i)
{
    return type == MB_FLOAT64 ? ((const double *)reals)[i] : (double)((const float *)reals)[i];
}

/* Logits of one row [n] with the given stride in items and an offset in bytes. */
static void
test_logits(mb_float_type type, size_t n, ptrdiff_t items, size_t offset, double spread)
{
    static char memory[ROOM];
    static double stored[MOST], out[MOST];
    size_t size = item_sizes[type];
    ptrdiff_t stride = items * (ptrdiff_t)size;
    char *first = memory + offset + (items < 0 ? (size_t)(-stride) * (n - 1) : 0);
    long double high = -INFINITY, sum = 0;

    for (size_t v = 0; v < n; v++) {
        double x = v % 7 == 3 && n > 4 ? -INFINITY : spread * (uniform() - 0.5);
        stored[v] = store(type, x, first + (ptrdiff_t)v * stride);
        if (items == 0) {
            stored[0] = stored[v];
        }
    }
    for (size_t v = 0; v < n; v++) {
        stored[v] = items == 0 ? stored[0] : stored[v];
        high = stored[v] > high ? stored[v] : high;
    }
    for (size_t v = 0; v < n; v++) {
        sum += expl((long double)stored[v] - high);
    }
    mb_row_view view = {first, type, 1, n, 0, stride};
    mb_row_fault fault;
    mb_row_zeros zeros = {0, 0, 0};
    mb_status status = mb_log_probs(&view, MB_LOGITS, NULL, out, &zeros, &fault);
    if (items == 0 && !(stored[0] > -INFINITY)) {
        check(status == MB_INVALID && fault.kind == MB_ROW_EMPTY, "empty", (double)n, status, 0);
        return;
    }
    check(status == MB_OK, "status of logits", (double)n, status, MB_OK);
    for (size_t v = 0; v < n; v++) {
        long double wanted = stored[v] - (high + logl(sum));
        double ulp = type == MB_FLOAT64 ? DBL_EPSILON : (double)FLT_EPSILON;
        double tolerance = ulp * (2 + 2 * fabs((double)wanted) + (double)fabsl(high) * 0x1p-20);
        check_near("log-softmax", (double)n, real_at(type, out, v), (double)wanted, tolerance);
    }
    check(zeros.n_rows == (items != 0 && n > 4) && zeros.column == (zeros.n_rows > 0 ? 3 : 0),
          "zeros of logits", (double)n, (double)zeros.column, 3);
}

static void
test_all_logits(void)
{
    static const size_t lengths[] = {1,   2,   7,   15,   31,   32,   33,
                                     127, 128, 129, 1023, 1024, 1025, 2500};
    static const ptrdiff_t strides[] = {1, 2, -1, -3, 0};

    for (int type = MB_FLOAT16; type <= MB_FLOAT64; type++) {
        for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
            for (size_t s = 0; s < sizeof strides / sizeof strides[0]; s++) {
                test_logits((mb_float_type)type, lengths[l], strides[s], 0, 20);
                test_logits((mb_float_type)type, lengths[l], strides[s], 1, 100);
            }
        }
    }
}

/* Row entries that every type holds exactly, and that sum to 1: 1/4 four times,
 * or, to 7e-4, the exponential of 1.9453125 = ln(7) - 6e-4 seven times. */
static double
entry(mb_row_kind kind, size_t column)
{
    if (kind == MB_PROBS) {
        return column < 4 ? 0.25 : 0;
    }
    return column < 7 ? -1.9453125 : -INFINITY;
}

/* Three rows with the last one first in memory. */
static void
test_kinds(mb_float_type type)
{
    enum { N = 3, V = 9 };
    double out[N * V];
    char memory[N * V * 8];
    mb_row_fault fault;
    mb_row_zeros zeros = {0, 0, 0};
    ptrdiff_t size = (ptrdiff_t)item_sizes[type];
    mb_row_view view = {memory + (ptrdiff_t)2 * V * size, type, N, V, -(ptrdiff_t)V * size, size};

    for (int kind = MB_LOG_PROBS; kind <= MB_PROBS; kind++) {
        for (int i = 0; i < N * V; i++) {
            store(type, entry((mb_row_kind)kind, (size_t)i % V), memory + i * size);
        }
        memset(out, 0xff, sizeof out);
        zeros = (mb_row_zeros){0, 0, 0};
        mb_status status = mb_log_probs(&view, (mb_row_kind)kind, NULL, out, &zeros, &fault);
        check(status == MB_OK, "kinds", kind, status, MB_OK);
        for (size_t i = 0; i < (size_t)N * V; i++) {
            double wanted = entry((mb_row_kind)kind, i % V);
            wanted = kind == MB_PROBS ? log(wanted) : wanted;
            check_near("kinds", (double)i, real_at(type, out, i), wanted, 1e-6);
        }
        check(zeros.n_rows == N && zeros.row == 0 && zeros.column == (kind == MB_PROBS ? 4 : 7),
              "zeros of kinds", kind, (double)zeros.column, 4);
    }
    zeros = (mb_row_zeros){0, 0, 0};
    view.data = memory;
    for (int i = 0; i < N * V; i++) {
        double p = i / V == 1 ? -1.9453125 : 0; /* row 0 is certain of column 0 */
        store(type, i % V < (i / V == 1 ? 7 : 1) ? p : -INFINITY, memory + i * size);
    }
    view.row_stride = V * size;
    check(mb_log_probs(&view, MB_LOG_PROBS, NULL, NULL, &zeros, &fault) == MB_OK, "check", type, 0,
          0);
    check(zeros.n_rows == 3 && zeros.row == 0 && zeros.column == 1, "zeros", type,
          (double)zeros.row, 0);
    view.n_rows = 1;
    view.data = memory + V * size;
    check(mb_log_probs(&view, MB_LOG_PROBS, NULL, NULL, &zeros, &fault) == MB_OK, "check", type, 0,
          0);
    check(zeros.n_rows == 4 && zeros.row == 0 && zeros.column == 1, "more zeros", type,
          (double)zeros.row, 0);
    view.data = memory + (ptrdiff_t)(2 * V - 1) * size;
    view.column_stride = -size; /* its last column first */
    check(mb_log_probs(&view, MB_LOG_PROBS, NULL, NULL, &zeros, &fault) == MB_OK, "check", type, 0,
          0);
    check(zeros.n_rows == 5 && zeros.row == 0 && zeros.column == 1, "more zeros", type,
          (double)zeros.row, 0);
}

/* ---- Faults ----------------------------------------------------------------- */

/* Rows of 40 columns, of which row 2 has `value` in column 33, or all over. */
static void
test_fault(mb_float_type type, mb_row_kind kind, double value, mb_row_fault_kind wanted)
{
    enum { N = 3, V = 40 };
    char memory[8 * N * V];
    double out[N * V];
    size_t size = item_sizes[type];
    mb_row_view view = {memory, type, N, V, (ptrdiff_t)(V * size), (ptrdiff_t)size};
    mb_row_fault fault = {MB_ROW_SUM, 99, 99, 0};
    mb_row_zeros zeros = {0, 0, 0};

    for (size_t i = 0; i < (size_t)N * V; i++) {
        store(type, entry(kind, i % V), memory + i * size);
    }
    store(type, value, memory + (2 * V + 33) * size);
    if (wanted == MB_ROW_EMPTY) {
        for (size_t v = 0; v < V; v++) {
            store(type, value, memory + ((size_t)2 * V + v) * size);
        }
    }
    mb_status status = mb_log_probs(&view, kind, NULL, out, &zeros, &fault);
    size_t column = wanted == MB_ROW_EMPTY || wanted == MB_ROW_SUM ? 0 : 33;
    check(status == MB_INVALID, "status of a fault", value, status, MB_INVALID);
    check(fault.kind == wanted, "kind of a fault", value, fault.kind, wanted);
    check(fault.row == 2 && fault.column == column, "place", value, (double)fault.column, 33);
    if (column == 33) {
        check(isnan(value) ? isnan(fault.value) != 0 : fault.value == value, "value", value,
              fault.value, value);
    }
    if (kind == MB_LOG_PROBS) {
        status = mb_log_probs(&view, MB_LOG_PROBS, NULL, NULL, &zeros, &fault);
        check(status == MB_INVALID && fault.kind == wanted, "check", value, status, MB_INVALID);
    }
}

static void
test_faults(void)
{
    for (int t = MB_FLOAT16; t <= MB_FLOAT64; t++) {
        mb_float_type type = (mb_float_type)t;
        for (int kind = MB_LOGITS; kind <= MB_PROBS; kind++) {
            test_fault(type, (mb_row_kind)kind, NAN, MB_ROW_NAN);
            test_fault(type, (mb_row_kind)kind, -(double)NAN, MB_ROW_NAN);
            test_fault(type, (mb_row_kind)kind, INFINITY, MB_ROW_INFINITE);
        }
        test_fault(type, MB_LOGITS, -INFINITY, MB_ROW_EMPTY);
        test_fault(type, MB_LOG_PROBS, -INFINITY, MB_ROW_EMPTY);
        test_fault(type, MB_PROBS, 0, MB_ROW_EMPTY);
        test_fault(type, MB_LOG_PROBS, 0.5, MB_ROW_POSITIVE);
        test_fault(type, MB_LOG_PROBS, 1024, MB_ROW_POSITIVE);
        test_fault(type, MB_LOG_PROBS, -0.5, MB_ROW_SUM);
        test_fault(type, MB_PROBS, -0x1p-14, MB_ROW_NEGATIVE);
        test_fault(type, MB_PROBS, -INFINITY, MB_ROW_NEGATIVE);
        test_fault(type, MB_PROBS, 0x1p-9, MB_ROW_SUM);
        test_fault(type, MB_PROBS, 1024, MB_ROW_SUM);
    }
}

/* Mass that is missing: rounding explains it, or tokens are missing. */
static void
test_part(void)
{
    static const double rows[][4] = {
        {0.5, 0.3, 0.1999, 0},           /* four decimals */
        {0.5, 0x1.33p-2, 0x1.998p-3, 0}, /* float16 */
        {0.5, 0.3, 0.199, 0x1p-12},      /* none of these */
        {0.5, 0.3, 0.19993, 0.00001},    /* five decimals, and more is missing */
    };
    static const mb_status wanted[] = {MB_OK, MB_OK, MB_INVALID, MB_INVALID};

    for (size_t i = 0; i < 4; i++) {
        for (int kind = MB_LOG_PROBS; kind <= MB_PROBS; kind++) {
            double given[4], out[4];
            mb_row_view view = {given, MB_FLOAT64, 1, 4, 0, 8};
            mb_row_fault fault = {MB_ROW_SUM, 99, 99, 0};
            mb_row_zeros zeros = {0, 0, 0};
            for (size_t v = 0; v < 4; v++) {
                given[v] = kind == MB_PROBS ? rows[i][v] : log(rows[i][v]);
            }
            mb_status status = mb_log_probs(&view, (mb_row_kind)kind, NULL, out, &zeros, &fault);
            check(status == wanted[i], "status of a part", (double)i, status, wanted[i]);
            if (status == MB_INVALID) {
                check(fault.kind == MB_ROW_PART && fault.row == 0, "part", (double)i, fault.kind,
                      MB_ROW_PART);
            }
        }
    }
}

/* The ends of the range: scores so far apart that their difference overflows. */
static void
test_extremes(void)
{
    float x[3] = {FLT_MAX, -FLT_MAX, -INFINITY}, out[3];
    double y[3] = {-DBL_MAX, -DBL_MAX, -INFINITY}, out64[3];
    mb_row_view view = {x, MB_FLOAT32, 1, 3, 0, 4}, view64 = {y, MB_FLOAT64, 1, 3, 0, 8};
    mb_row_fault fault;
    mb_row_zeros zeros = {0, 0, 0};

    check(mb_log_probs(&view, MB_LOGITS, NULL, out, &zeros, &fault) == MB_OK, "extremes", 0, 0, 0);
    check_near("largest", 0, (double)out[0], 0, 0);
    check_near("smallest", 1, (double)out[1], -INFINITY, 0);
    check(zeros.n_rows == 1 && zeros.column == 1, "its zero", 1, (double)zeros.column, 1);
    check(mb_log_probs(&view64, MB_LOGITS, NULL, out64, &zeros, &fault) == MB_OK, "extremes", 0, 0,
          0);
    check_near("two alike", 0, out64[0], -log(2.0), 1e-15);
    check_near("none", 2, out64[2], -INFINITY, 0);
}

/* ---- Groups ------------------------------------------------------------------ */

static void
test_lump(int is_double)
{
    enum { N = 2, V = 2500, G = 5 };
    static double x[N * V], out[N * G], scratch[V], wanted[N][G];
    static int64_t numbers[V];
    mb_float_type type = is_double ? MB_FLOAT64 : MB_FLOAT32;
    size_t size = item_sizes[type];
    mb_groups *groups = NULL;
    mb_row_fault fault;

    memset(wanted, 0, sizeof wanted);
    for (size_t v = 0; v < V; v++) { /* 0: far tails; 1: one column; 2: none; 3, 4: the rest */
        numbers[v] = v == 1234 ? 1 : v % 50 == 0 ? 0 : 3 + (int64_t)(v % 2);
    }
    for (size_t i = 0; i < (size_t)N * V; i++) {
        int64_t g = numbers[i % V];
        double value = g == 0 ? -200 : g == 4 ? -INFINITY : -20 * uniform();
        value = store(type, value, (char *)x + i * size);
        wanted[i / V][g] += exp(value + (g == 0 ? 200 : 0));
    }
    check(mb_groups_new(V, numbers, G, NULL, &groups) == MB_OK, "groups", G, 0, 0);
    check(mb_lump_log_probs(groups, is_double, N, x, NULL, scratch, out, &fault) == MB_OK, "lump",
          is_double, 0, 0);
    for (size_t i = 0; i < (size_t)N * G; i++) {
        double sum = log(wanted[i / G][i % G]) - (i % G == 0 ? 200 : 0);
        check_near("lump", (double)i, real_at(type, out, i), sum, is_double ? 1e-13 : 1e-5);
    }
    double alone = real_at(type, x, V + 1234);
    check_near("a group of one", 1234, real_at(type, out, G + 1), alone, 0);

    store(type, NAN, (char *)x + (V + 2000) * size);
    store(type, INFINITY, (char *)x + (V + 1001) * size);
    check(mb_lump_log_probs(groups, is_double, N, x, NULL, scratch, out, &fault) == MB_INVALID,
          "lump of NaN", 0, 0, 0);
    check(fault.kind == MB_ROW_INFINITE && fault.row == 1 && fault.column == 1001, "fault", 0,
          (double)fault.column, 1001);
    mb_groups_free(groups);
}

static void
test_groups(void)
{
    int64_t numbers[] = {2, 0, 2, 0};
    mb_groups *groups = NULL;

    check(mb_groups_new(4, numbers, 2, NULL, &groups) == MB_INVALID, "group too large", 2, 0, 0);
    numbers[1] = -1;
    check(mb_groups_new(4, numbers, 3, NULL, &groups) == MB_INVALID, "negative group", -1, 0, 0);
    numbers[1] = 0;
    for (long n = 0; n < 3; n++) {
        fail_request(n);
        check(mb_groups_new(4, numbers, 3, NULL, &groups) == MB_NOMEM, "memory", (double)n, 0, 0);
        check(groups == NULL, "result untouched", (double)n, 0, 0);
    }
    fail_request(-1);
    check(mb_groups_new(4, numbers, SIZE_MAX - 1, NULL, &groups) == MB_RANGE, "groups", 0, 0, 0);
    check(mb_groups_new((size_t)UINT32_MAX + 1, numbers, 3, NULL, &groups) == MB_RANGE, "columns",
          0, 0, 0);
    check(mb_groups_new(4, numbers, 3, NULL, &groups) == MB_OK, "groups", 0, 0, 0);
    check(groups->starts[0] == 0 && groups->starts[1] == 2 && groups->starts[2] == 2 &&
              groups->starts[3] == 4,
          "starts", 0, 0, 0);
    check(groups->order[0] == 1 && groups->order[1] == 3 && groups->order[2] == 0, "order", 0, 0,
          0);
    mb_groups_free(groups);
    mb_groups_free(NULL);
}

/* Equal terms behind a large one, each of which is rounded the same way: e^0 and n e^-11. */
static void
test_equal_terms(void)
{
    enum { LENGTHS = 200 };
    double x[LENGTHS], out[LENGTHS];
    for (size_t n = 1; n < LENGTHS; n++) {
        mb_row_view view = {x, MB_FLOAT64, 1, n, sizeof x, sizeof *x};
        mb_row_zeros zeros = {0};
        mb_row_fault fault;
        for (size_t v = 0; v < n; v++) {
            x[v] = v == 0 ? -3.9735255970092318 : -15.0;
        }
        check(mb_log_probs(&view, MB_LOGITS, NULL, out, &zeros, &fault) == MB_OK, "equal terms",
              (double)n, 0, 0);
        double wanted = (double)-log1pl((long double)(n - 1) * expl(-15.0L - (long double)x[0]));
        check_near("equal terms", (double)n, out[0], wanted, 2e-15);
    }
}

int
main(void)
{
    test_half();
    test_equal_terms();
    test_all_logits();
    for (int type = MB_FLOAT16; type <= MB_FLOAT64; type++) {
        test_kinds((mb_float_type)type);
    }
    test_faults();
    test_part();
    test_extremes();
    test_lump(0);
    test_lump(1);
    test_groups();
    return report();
}
