/* Checks of core/matrix/concentrations.c: evidence and shares of random rows against sums of logarithms in
 * long double; what is refused. */
#include "core/matrix/concentrations.h"
#include "test/check.h"
#include "test/failing_mem.h"

#include <math.h>

enum { ROWS = 200, EACH = 12, N = ROWS * EACH, K = 5 };

static const double values[K] = {1e-6, 0.3, 7.0, 8192.0, 0x1p60};
static const double weights[K] = {0.125, 0.25, 0.25, 0.125, 0.25};
static double counts[N], means[N], found[ROWS * K], shares[ROWS * 2];
static int64_t starts[ROWS + 1];

static void
fill(void)
{
    size_t at = 0;
    for (size_t r = 0; r < ROWS; r++) {
        size_t many = (size_t)(EACH * uniform());
        double limit = r % 5 == 0 ? 1000.0 : r % 5 == 1 ? 40.0 : 5.0;
        for (size_t i = 0; i < many; i++, at++) {
            counts[at] = r % 7 == 0 ? 16.0 : (double)(int)(limit * uniform() * uniform());
            means[at] = uniform() / EACH;
        }
        starts[r + 1] = (int64_t)at;
    }
}

/* A row's log-evidence, a token after the other, less that of the first of each kind but for A. */
static long double
slow_evidence(size_t row, double value, double *total)
{
    long double sum = 0.0L, n = 0.0L, a = value;
    for (int64_t i = starts[row]; i < starts[row + 1]; i++) {
        for (int c = 0; c < (int)counts[i]; c++) {
            sum += logl(c == 0 ? a : a * (long double)means[i] + (long double)c) - logl(a + n);
            n += 1.0L;
        }
    }
    *total = (double)n;
    return sum;
}

static void
test_formula(const mb_mean_rows *rows)
{
    check(mb_concentration_evidence(rows, NULL, found) == MB_OK, "evidence", 0, 0, 0);
    check(mb_concentration_shares(rows, weights, NULL, shares) == MB_OK, "shares", 0, 0, 0);
    for (size_t r = 0; r < ROWS; r++) {
        long double evidence[K], most = -INFINITY, sum = 0.0L, to_mean = 0.0L, to_count = 0.0L;
        double total;
        for (size_t k = 0; k < K; k++) {
            evidence[k] = slow_evidence(r, values[k], &total);
            check_near("evidence", (double)r, found[r * K + k], (double)evidence[k],
                       1e-11 * (1.0 + total) * 60.0);
            evidence[k] += logl(weights[k]);
            most = evidence[k] > most ? evidence[k] : most;
        }
        for (size_t k = 0; k < K; k++) {
            long double share = expl(evidence[k] - most) / ((long double)values[k] + total);
            sum += expl(evidence[k] - most);
            to_mean += share * (long double)values[k];
            to_count += share;
        }
        check_close("to the mean", (double)r, shares[2 * r], (double)(to_mean / sum), 1e-7);
        check_close("to counts", (double)r, shares[2 * r + 1], (double)(to_count / sum), 1e-7);
    }
}

static void
test_refused(mb_mean_rows rows)
{
    fail_request(0);
    check(mb_concentration_evidence(&rows, NULL, found) == MB_NOMEM, "no memory", 0, 0, 0);
    fail_request(0);
    check(mb_concentration_shares(&rows, weights, NULL, shares) == MB_NOMEM, "no memory", 1, 0, 0);
    fail_request(-1);
    for (int64_t wrong = -1; wrong <= N + 1; wrong += N + 2) {
        int64_t bad[3] = {0, wrong, 0};
        mb_mean_rows of = rows;
        of.starts = bad;
        of.n_rows = 2;
        check(mb_concentration_evidence(&of, NULL, found) == MB_INVALID, "starts", 0, 0, 0);
        check(mb_concentration_shares(&of, weights, NULL, shares) == MB_INVALID, "starts", 1, 0, 0);
    }
}

int
main(void)
{
    fill();
    mb_mean_rows rows = {ROWS, N, K, starts, counts, means, values};
    test_formula(&rows);
    test_refused(rows);
    return report();
}
