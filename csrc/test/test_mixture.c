/* Checks of core/mixture, but for the products and divergences of test_tiles.c: every formula of
 * docs/model.md in long double, one number after the other. */
#include "core/base/mem.h"
#include "core/mixture/densities.h"
#include "core/mixture/learning.h"
#include "core/mixture/posterior.h"
#include "core/mixture/row_kernels.h"
#include "core/mixture/sample.h"
#include "test/check.h"
#include "test/failing_mem.h"

#include <string.h>

enum { K = 3, MOST = 19, N = 5 };

static double weights[K] = {1.0, 2.5, 0.5}, alpha[K * MOST], counts[N * MOST];
static size_t v_all;
static mb_mixture *mixture;

/* psi(x) by its recurrence and series. */
static long double
slow_digamma(long double x)
{
    long double sum = 0.0L;
    while (x < 30.0L) {
        sum -= 1.0L / x;
        x += 1.0L;
    }
    long double z = 1.0L / (x * x);
    return sum + logl(x) - 0.5L / x - z * (1.0L / 12 - z * (1.0L / 120 - z / 252));
}

static long double
weight_of(size_t k)
{
    return (long double)weights[k] / 4.0L;
}

static long double
total_of(size_t k)
{
    long double sum = 0.0L;
    for (size_t v = 0; v < v_all; v++) {
        sum += (long double)alpha[k * v_all + v];
    }
    return sum;
}

static void
fill(size_t n_tokens)
{
    v_all = n_tokens;
    for (size_t i = 0; i < K * n_tokens; i++) {
        alpha[i] = 0.05 + 5.0 * uniform() * uniform();
    }
    for (size_t i = 0; i < N * n_tokens; i++) {
        counts[i] = i % 3 == 0 ? 0.0 : floor(20.0 * uniform()) + (i % 5 == 0 ? 0.25 : 0.0);
    }
}

/* ln w_k + ln L_k of counts [V]. */
static long double
slow_evidence(size_t k, const double *seen)
{
    long double n = 0.0L, sum = logl(weight_of(k));
    for (size_t v = 0; v < v_all; v++) {
        long double a = (long double)alpha[k * v_all + v], c = (long double)seen[v];
        sum += lgammal(a + c) - lgammal(a);
        n += c;
    }
    return sum + lgammal(total_of(k)) - lgammal(total_of(k) + n);
}

/* Probabilities of components from logarithms, and the logarithm of their sum. */
static long double
slow_softmax(long double *x)
{
    long double high = x[0], sum = 0.0L;
    for (size_t k = 1; k < K; k++) {
        high = x[k] > high ? x[k] : high;
    }
    for (size_t k = 0; k < K; k++) {
        sum += expl(x[k] - high);
    }
    for (size_t k = 0; k < K; k++) {
        x[k] = expl(x[k] - high) / sum;
    }
    return high + logl(sum);
}

static void
test_made(void)
{
    for (size_t k = 0; k < K; k++) {
        check_close("weight", (double)k, mixture->weights[k], (double)weight_of(k), 1e-15);
        check_close("A", (double)k, mixture->concentration[k], (double)total_of(k), 1e-14);
        long double norm = lgammal(total_of(k));
        for (size_t v = 0; v < v_all; v++) {
            norm -= lgammal((long double)alpha[k * v_all + v]);
        }
        check_near("log_norm", (double)k, mixture->log_norm[k], (double)norm, 1e-12);
    }
}

static void
test_posteriors(void)
{
    double joint[N * K], total[N], own[K], new_alpha[K * MOST], predictive[N * MOST], scratch[K];
    check(mb_mixture_log_joint_counts(mixture, N, counts, NULL, joint) == MB_OK, "joint", 0, 0, 0);
    check(mb_mixture_predictive(mixture, N, counts, NULL, predictive, scratch) == MB_OK,
          "predictive", 0, 0, 0);
    for (size_t i = 0; i < N; i++) {
        long double slow[K];
        for (size_t k = 0; k < K; k++) {
            slow[k] = slow_evidence(k, counts + i * v_all);
            check_near("evidence", (double)i, joint[i * K + k], (double)slow[k], 1e-11);
        }
        check(mb_normalize_log_joint(1, K, NULL, joint + i * K, total + i) == MB_OK, "shares", 0, 0,
              0);
        check_near("log-evidence", (double)i, total[i], (double)slow_softmax(slow), 1e-11);
        check(mb_mixture_posterior(mixture, counts + i * v_all, NULL, own, new_alpha) == MB_OK,
              "posterior", 0, 0, 0);
        for (size_t k = 0; k < K; k++) {
            check_near("share", (double)i, joint[i * K + k], (double)slow[k], 1e-11);
            check_near("posterior weight", (double)i, own[k], (double)slow[k], 1e-11);
        }
        for (size_t v = 0; v < v_all; v++) {
            long double p = 0.0L;
            for (size_t k = 0; k < K; k++) {
                double a = alpha[k * v_all + v] + counts[i * v_all + v];
                long double n = total_of(k);
                for (size_t u = 0; u < v_all; u++) {
                    n += (long double)counts[i * v_all + u];
                }
                check_near("posterior alpha", (double)v, new_alpha[k * v_all + v], a, 0.0);
                p += slow[k] * (long double)a / n;
            }
            check_near("predictive", (double)v, predictive[i * v_all + v], (double)p, 1e-12);
        }
    }
}

static void
test_moments(void)
{
    double mean[MOST], variance[MOST];
    mb_uncertainty parts;
    long double total = 0.0L, aleatoric = 0.0L;
    check(mb_mixture_mean(mixture, NULL, mean) == MB_OK, "mean", 0, 0, 0);
    check(mb_mixture_variance(mixture, NULL, variance) == MB_OK, "variance", 0, 0, 0);
    check(mb_mixture_uncertainty(mixture, NULL, &parts) == MB_OK, "uncertainty", 0, 0, 0);
    for (size_t v = 0; v < v_all; v++) {
        long double first = 0.0L, second = 0.0L;
        for (size_t k = 0; k < K; k++) {
            long double a = (long double)alpha[k * v_all + v], sum = total_of(k);
            first += weight_of(k) * a / sum;
            second += weight_of(k) * a * (a + 1.0L) / (sum * (sum + 1.0L));
            aleatoric +=
                weight_of(k) * a / sum * (slow_digamma(sum + 1.0L) - slow_digamma(a + 1.0L));
        }
        total -= first * logl(first);
        check_near("mean", (double)v, mean[v], (double)first, 1e-14);
        check_near("variance", (double)v, variance[v], (double)(second - first * first), 1e-14);
    }
    check_near("total", 0, parts.total, (double)total, 1e-12);
    check_near("aleatoric", 0, parts.aleatoric, (double)aleatoric, 1e-12);
    check_near("epistemic", 0, parts.epistemic, (double)(total - aleatoric), 1e-11);
}

static void
test_rows(void)
{
    static double log_probs[N * MOST], joint[N * K], again[N * K];
    static float singles[N * MOST];
    for (size_t i = 0; i < N * v_all; i++) {
        singles[i] = (float)(-0.01 - 9.0 * uniform());
        log_probs[i] = (double)singles[i];
    }
    mb_log_rows rows = {log_probs, N, 1}, single_rows = {singles, N, 0};
    check(mb_mixture_log_joint_rows(mixture, &rows, NULL, joint) == MB_OK, "rows", 0, 0, 0);
    check(mb_mixture_log_joint_rows(mixture, &single_rows, NULL, again) == MB_OK, "floats", 0, 0,
          0);
    for (size_t i = 0; i < N; i++) {
        for (size_t k = 0; k < K; k++) {
            long double sum = logl(weight_of(k)) + lgammal(total_of(k));
            for (size_t v = 0; v < v_all; v++) {
                long double a = (long double)alpha[k * v_all + v];
                sum += (a - 1.0L) * (long double)log_probs[i * v_all + v] - lgammal(a);
            }
            check_near("density", (double)i, joint[i * K + k], (double)sum, 1e-11);
            check_near("density of floats", (double)i, again[i * K + k], joint[i * K + k], 1e-11);
        }
    }
}

/* After each token, what the posterior of all counts says at once. */
static void
test_learning(void)
{
    enum { STEPS = 12 };
    int64_t tokens[STEPS];
    static double predictive[(STEPS + 1) * MOST], once[MOST], scratch[K];
    mb_uncertainty parts[STEPS + 1];
    double seen[MOST], *room = mb_calloc(mb_learning_scratch(mixture), sizeof(double));
    for (size_t t = 0; t < STEPS; t++) {
        tokens[t] = (int64_t)(uniform() * (double)v_all);
    }
    memcpy(seen, counts, v_all * sizeof(double));
    check(room != NULL && mb_mixture_learn(mixture, counts, STEPS, tokens, NULL, room, predictive,
                                           parts) == MB_OK,
          "learn", 0, 0, 0);
    for (size_t t = 0; t <= STEPS; t++) {
        check(mb_mixture_predictive(mixture, 1, seen, NULL, once, scratch) == MB_OK, "once", 0, 0,
              0);
        long double entropy = 0.0L;
        for (size_t v = 0; v < v_all; v++) {
            check_near("learned", (double)t, predictive[t * v_all + v], once[v], 1e-12);
            entropy -= (long double)once[v] * logl((long double)once[v]);
        }
        check_near("its entropy", (double)t, parts[t].total, (double)entropy, 1e-12);
        seen[t < STEPS ? tokens[t] : 0] += 1.0;
    }
    mb_free(room);
}

/* Blocks and runs that are full and not, counts that are long, not whole and 0 in all, alphas from
 * 1e-290 to 1e9. */
static void
test_row_kernels(void)
{
    enum { ROWS = 37, PAIRS = 3, PLACES = 70, VECTORS = 5 };
    static double p[PLACES * ROWS], b[PLACES * ROWS], seen[PLACES];
    static double found[VECTORS * PAIRS * ROWS];
    const double own[] = {0.0, 7.0, 1e9}, shared[] = {1e-3, 2.0, 5.0};
    const double concentration[] = {0.9, 30.0, 2e9}, some[] = {1.0, 3.0, 33.0, 0.25, 2.0};
    const int64_t starts[] = {0, 1, 1, 4, 9, 9 + PLACES};
    int64_t places[9 + PLACES];
    double count[9 + PLACES], *room = NULL;
    for (size_t i = 0; i < (size_t)PLACES * ROWS; i++) {
        p[i] = uniform();
        b[i] = i % 11 == 0 ? 1e-287 : uniform();
    }
    for (size_t i = 0; i < 9 + PLACES; i++) {
        places[i] = (int64_t)(i < 9 ? 7 * i : i - 9);
        count[i] = some[i % 5];
        seen[i % PLACES] = i % 4 == 1 ? 2.0 : 0.0;
    }
    const mb_row_kernels kernels = {ROWS, PAIRS, p, b, seen, own, shared, concentration};
    check(mb_row_kernels_scratch((size_t)-1, 2) == 0, "scratch", 0, 0, 0);
    room = mb_calloc(mb_row_kernels_scratch(VECTORS, PAIRS), sizeof(double));
    check(room != NULL && mb_row_kernels_log_evidence(&kernels, VECTORS, starts, places, count,
                                                      NULL, room, found) == MB_OK,
          "row kernels", 0, 0, 0);
    for (size_t k = 0; k < (size_t)VECTORS * PAIRS * ROWS; k++) {
        size_t i = k % ROWS, j = k / ROWS % PAIRS, r = k / ROWS / PAIRS;
        long double sum = 0.0L, size = 0.0L, total = 0.0L, a = (long double)concentration[j];
        for (int64_t e = starts[r]; e < starts[r + 1]; e++) {
            size_t u = (size_t)places[e] * ROWS + i;
            long double x = (long double)own[j] * (long double)p[u] +
                            (long double)shared[j] * (long double)b[u] +
                            (long double)seen[places[e]];
            long double term = lgammal(x + (long double)count[e]) - lgammal(x);
            sum += term;
            size += fabsl(term);
            total += (long double)count[e];
        }
        sum -= lgammal(a + total) - lgammal(a);
        check_near("row kernel", (double)k, found[k], (double)sum,
                   1e-13 * (1.0 + (double)size) + (j == 2 ? 1e-6 : 0.0));
    }
    mb_free(room);
}

static double
next_double(void *state)
{
    (void)state;
    return uniform();
}

/* Each row sums to 1, and their mean is the mixture's within six of its standard deviations. */
static void
test_sample(void)
{
    enum { DRAWS = 4000 };
    double mean[MOST], variance[MOST], sum[MOST] = {0.0};
    double *rows = mb_calloc((size_t)DRAWS * MOST, sizeof(double));
    mb_random random = {NULL, next_double};
    check(rows != NULL && mb_mixture_sample(mixture, DRAWS, &random, NULL, rows) == MB_OK, "sample",
          0, 0, 0);
    for (size_t i = 0; rows != NULL && i < DRAWS; i++) {
        double total = 0.0;
        for (size_t v = 0; v < v_all; v++) {
            total += exp(rows[i * v_all + v]);
            sum[v] += exp(rows[i * v_all + v]);
        }
        check_near("a row's sum", (double)i, total, 1.0, 1e-12);
    }
    check(mb_mixture_mean(mixture, NULL, mean) == MB_OK, "mean", 0, 0, 0);
    check(mb_mixture_variance(mixture, NULL, variance) == MB_OK, "variance", 0, 0, 0);
    for (size_t v = 0; v < v_all; v++) {
        check_near("mean of rows", (double)v, sum[v] / DRAWS, mean[v],
                   6.0 * sqrt(variance[v] / DRAWS));
    }
    mb_free(rows);
}

static void
test_refusals(void)
{
    const double good[] = {1.0, 2.0, 0.5, 3.0}, even[] = {0.5, 0.5};
    mb_mixture *made = NULL;
    check(mb_mixture_new(0, 2, even, good, NULL, &made) == MB_INVALID, "K = 0", 0, 0, 0);
    check(mb_mixture_new(2, 0, even, good, NULL, &made) == MB_INVALID, "V = 0", 0, 0, 0);
    const double wrong[] = {0.0, -1.0, 1e-301, (double)NAN, INFINITY};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const double bad[] = {1.0, 2.0, wrong[i], 3.0}, uneven[] = {1.0, i == 0 ? -1.0 : wrong[i]};
        check(mb_mixture_new(2, 2, even, bad, NULL, &made) != MB_OK, "alpha", wrong[i], 0, 0);
        check(i == 2 || mb_mixture_new(2, 2, uneven, good, NULL, &made) == MB_INVALID, "weights",
              wrong[i], 0, 0);
    }
    const double large[] = {1.0, 2.0, 0x1p60, 0x1p60};
    check(mb_mixture_new(2, 2, even, large, NULL, &made) == MB_RANGE, "A", 0x1p61, 0, 0);
    mb_status status = MB_NOMEM;
    for (long n = 0; status == MB_NOMEM && n < 20; n++) {
        check(made == NULL, "untouched", (double)n, 0, 0);
        fail_request(n);
        status = mb_mixture_new(2, 2, even, good, NULL, &made);
    }
    fail_request(-1);
    check(status == MB_OK && made != NULL, "at last", 0, status, MB_OK);
    mb_mixture_free(made);
    mb_mixture_free(NULL);
}

static double
same_double(void *state)
{
    return *(const double *)state;
}

/* A source of random numbers that says the same for ever ends with a row nevertheless; and the
 * largest number below 1 draws the last component, whatever rounding leaves of the weights' sum. */
static void
test_sources_without_chance(void)
{
    enum { MOST_K = 40 };
    double even[MOST_K], rows[MOST_K][2], found[2], said[] = {0.0, 0.5, 1.0 - 0x1p-53};
    for (size_t n = 1; n <= MOST_K; n++) {
        mb_mixture *made = NULL;
        for (size_t k = 0; k < n; k++) {
            even[k] = 1.0;
            rows[k][0] = 1.0;
            rows[k][1] = k + 1 < n ? 1e9 : 1.0;
        }
        check(mb_mixture_new(n, 2, even, rows[0], NULL, &made) == MB_OK, "new", (double)n, 0, 0);
        for (size_t i = 0; made != NULL && i < sizeof said / sizeof *said; i++) {
            mb_random random = {said + i, same_double};
            check(mb_mixture_sample(made, 1, &random, NULL, found) == MB_OK, "sample", (double)n, 0,
                  0);
            check_near("a row's sum", (double)n, exp(found[0]) + exp(found[1]), 1.0, 1e-12);
            check(said[i] < 0.99 || found[0] > -1.0, "the last", (double)n, found[0], log(0.5));
        }
        mb_mixture_free(made);
    }
}

int
main(void)
{
    const size_t widths[] = {2, 3, 8, MOST};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        fill(widths[i]);
        check(mb_mixture_new(K, v_all, weights, alpha, NULL, &mixture) == MB_OK, "new", 0, 0, 0);
        test_made();
        test_posteriors();
        test_moments();
        test_rows();
        test_learning();
        test_sample();
        mb_mixture_free(mixture);
    }
    test_row_kernels();
    test_sources_without_chance();
    test_refusals();
    return report();
}
