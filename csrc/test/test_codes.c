/* Checks of core/rows/codes.c: rows of any length against long double, what is censored and between
 * which bounds it is, and each fault. */
#include "core/rows/codes.h"
#include "test/check.h"

#include <string.h>

enum { MOST = 2500, STEPS = 65535 };

static uint16_t data[2 * (MOST + 5)];
static float out[2 * MOST];
static int64_t n_censored[2];
static double rest[2][2];
static mb_code_fault fault;

static void
put_head(uint16_t *row, float scale, float least)
{
    float head[] = {scale, least};
    memcpy(row, head, sizeof head);
}

/* A row of logits as codes, by the definition of both; the log-probability of each into `wanted`. */
static void
encode(size_t n, const double *logits, uint16_t *row, double *wanted)
{
    double high = logits[0], low = logits[0];
    for (size_t v = 0; v < n; v++) {
        high = logits[v] > high ? logits[v] : high;
        low = logits[v] < low ? logits[v] : low;
    }
    low = low < high - 16 ? high - 16 : low;
    long double sum = expl((long double)(logits[0] - high));
    for (size_t v = 1; v < n; v++) {
        sum += expl((long double)(logits[v] - high));
    }
    double log_sum = (double)logl(sum), step = (high - low) / STEPS;
    put_head(row, (float)step, (float)(low - high - log_sum));
    for (size_t v = 0; v < n; v++) {
        double code = step > 0 && logits[v] > low ? rint((logits[v] - low) / step) : 0;
        row[MB_CODE_HEAD + v] = (uint16_t)code;
        wanted[v] = logits[v] - high - log_sum;
    }
}

static void
test_rows(size_t n, double spread)
{
    static double logits[MOST], wanted[2][MOST];
    size_t width = n + MB_CODE_HEAD + 1;
    mb_code_rows rows = {data, 2, n, width};
    for (size_t i = 0; i < 2; i++) {
        for (size_t v = 0; v < n; v++) {
            logits[v] = spread * (uniform() - 0.5);
        }
        encode(n, logits, data + i * width, wanted[i]);
    }
    mb_status status = mb_decode_rows(&rows, NULL, out, n_censored, &rest[0][0], &fault);
    check(status == MB_OK, "status of codes", (double)n, status, MB_OK);
    for (size_t i = 0; i < 2; i++) {
        double low = 0, sum = 0, high = -INFINITY;
        int64_t below = 0;
        for (size_t v = 0; v < n; v++) {
            high = wanted[i][v] > high ? wanted[i][v] : high;
        }
        for (size_t v = 0; v < n; v++) {
            double got = (double)out[i * n + v];
            sum += exp(got);
            if (data[i * width + MB_CODE_HEAD + v] == 0 && spread > 20) {
                low += exp(wanted[i][v]);
                below++;
                check(got <= high - 16 + 1e-4, "censored", (double)v, got, high - 16);
            } else {
                check_near("a code", (double)v, got, wanted[i][v], 2.5e-4);
            }
        }
        check_near("sum", spread, sum, 1, 1e-6 + 6e-8 * (double)n);
        check(n_censored[i] == below, "censored ones", spread, (double)n_censored[i],
              (double)below);
        check(rest[i][0] <= low && low <= rest[i][1], "bounds", low, rest[i][0], rest[i][1]);
    }
}

/* A row of two halves, and one thing wrong with the second such row. */
static void
test_fault(float scale, float least, uint16_t code, mb_code_fault_kind kind)
{
    mb_code_rows rows = {data, 2, 2, 6};
    memset(data, 0, sizeof data);
    put_head(data, 0, -0.6931472F);
    put_head(data + 6, scale, least);
    data[11] = code;
    mb_status status = mb_decode_rows(&rows, NULL, out, n_censored, &rest[0][0], &fault);
    check(status == MB_INVALID && fault.kind == kind && fault.row == 1, "fault", (double)scale,
          (double)fault.kind, (double)kind);
}

int
main(void)
{
    static const size_t sizes[] = {1, 2, 3, 31, 32, 33, 1023, 1024, 1025, MOST};
    static const double spreads[] = {0, 1, 10, 30, 100};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t s = 0; s < sizeof spreads / sizeof *spreads; s++) {
            if (sizes[i] > 3 || spreads[s] < 20) { /* which of few is censored is chance */
                test_rows(sizes[i], spreads[s]);
            }
        }
    }
    test_fault(-1e-6F, -1, 0, MB_CODE_SCALE);
    test_fault(NAN, -1, 0, MB_CODE_SCALE);
    test_fault(INFINITY, -1, 0, MB_CODE_SCALE);
    test_fault(3e-4F, -1, 0, MB_CODE_SCALE);
    test_fault(0, NAN, 0, MB_CODE_LEAST);
    test_fault(0, -INFINITY, 0, MB_CODE_LEAST);
    test_fault(0, -0.5F, 0, MB_CODE_SUM);
    test_fault(0, -0.7F, 0, MB_CODE_SUM);
    test_fault(0, -3e38F, 0, MB_CODE_SUM);
    test_fault(0, 3e38F, 0, MB_CODE_SUM);
    test_fault(1e-5F, -0.6931472F, 300, MB_CODE_SUM);
    return report();
}
