/* The matrix products of the E-step against plain loops, and the divergences that are made of
 * them: for each width of rows, with the factors of whole vectors only too. */
#include "core/mixture/divergence.h"
#include "core/mixture/tiles.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N = 13, MOST_K = 17, MOST_V = 21 };

static int failures;

static void
check_near(const char *what, size_t n_components, size_t n_tokens, double got, double wanted)
{
    if (!(fabs(got - wanted) <= 1e-13 * (1.0 + fabs(wanted))) && failures++ < 20) {
        (void)fprintf(stderr, "%s, K = %zu, V = %zu: %.17g, not %.17g\n", what, n_components,
                      n_tokens, got, wanted);
    }
}

/* A number that looks random, from 1/8 to 9/8. */
static double
number(size_t i)
{
    return 0.125 + (double)(i * 2654435761u % 4096u) / 4096.0;
}

static void
test_products(size_t n_components, size_t n_tokens, int is_double)
{
    static double rows[N * MOST_V], factors[MOST_K * MOST_V], ends[MOST_K * MB_LANES];
    static double shares[N * MOST_K], joint[N * MOST_K], sums[MOST_K * MOST_V];
    static float short_rows[N * MOST_V];
    size_t whole = n_tokens / MB_LANES * MB_LANES;
    for (size_t i = 0; i < N * n_tokens; i++) {
        rows[i] = number(i);
        short_rows[i] = (float)rows[i];
    }
    for (size_t i = 0; i < n_components * n_tokens; i++) {
        factors[i] = number(i + 1000);
    }
    for (size_t i = 0; i < N * n_components; i++) {
        shares[i] = number(i + 2000);
    }
    memset(ends, 0, sizeof ends);
    for (size_t k = 0; k < n_components; k++) {
        for (size_t v = whole; v < n_tokens; v++) {
            ends[k * MB_LANES + v - (n_tokens - MB_LANES)] = factors[k * n_tokens + v];
        }
    }
    memset(joint, 0, sizeof joint);
    memset(sums, 0, sizeof sums);
    mb_block block = {is_double ? (const void *)rows : short_rows, is_double, N, n_tokens,
                      n_tokens};
    mb_factors all = {n_components, factors, whole < n_tokens ? ends : NULL};
    (void)mb_tile_densities(&block, &all, NULL, joint);
    (void)mb_tile_sums(&block, n_components, shares, NULL, sums);
    for (size_t k = 0; k < n_components; k++) {
        for (size_t i = 0; i < N; i++) {
            double wanted = 0.0;
            for (size_t v = 0; v < n_tokens; v++) {
                wanted += factors[k * n_tokens + v] * rows[i * n_tokens + v];
            }
            check_near("densities", n_components, n_tokens, joint[i * n_components + k], wanted);
        }
        for (size_t v = 0; v < n_tokens; v++) {
            double wanted = 0.0;
            for (size_t i = 0; i < N; i++) {
                wanted += shares[i * n_components + k] * rows[i * n_tokens + v];
            }
            check_near("sums", n_components, n_tokens, sums[k * n_tokens + v], wanted);
        }
    }
}

/* Shares that do not sum to 1, and no entries: the value is -sum mass ln(p / sum p). */
static void
test_divergence(size_t n_components, size_t n_tokens)
{
    static double alpha[MOST_K * MOST_V], share[MOST_K * N], mass[N * MOST_V];
    static double by_alpha[MOST_K * MOST_V], by_share[MOST_K * N];
    static const int64_t starts[N + 1];
    double wanted = 0.0, by_power = 0.0, slopes[N] = {0.0}; /* by the share of component 0 */
    for (size_t i = 0; i < n_components * n_tokens; i++) {
        alpha[i] = number(i);
    }
    for (size_t i = 0; i < n_components * N; i++) {
        share[i] = number(i + 3000);
    }
    for (size_t i = 0; i < N; i++) {
        double p[MOST_V] = {0.0}, sum = 0.0, of_0 = 0.0;
        for (size_t v = 0; v < n_tokens; v++) {
            for (size_t k = 0; k < n_components; k++) {
                p[v] += share[k * N + i] * alpha[k * n_tokens + v];
            }
            sum += p[v];
        }
        for (size_t k = 0; k < n_components; k++) {
            share[k * N + i] /= sum;
        }
        for (size_t v = 0; v < n_tokens; v++) {
            double m = mass[i * n_tokens + v] = number(i * n_tokens + v + 4000);
            wanted -= m * log(p[v] / sum);
            slopes[i] -= m * alpha[v] / (p[v] / sum);
        }
        double total = 0.0;
        for (size_t v = 0; v < n_tokens; v++) {
            total += mass[i * n_tokens + v];
            of_0 += alpha[v];
        }
        slopes[i] += total * of_0;
        for (size_t v = 0; v < n_tokens; v++) {
            by_power += (total * (p[v] / sum) - mass[i * n_tokens + v]) * log(p[v] / sum);
        }
    }
    mb_predictives x = {N, n_components, n_tokens, 0, alpha, share, starts, NULL, NULL, 1.0};
    mb_divergence out = {0.0, 0.0, by_alpha, by_share, NULL};
    if (mb_divergences(&x, mass, NULL, &out) != MB_OK) {
        failures++;
    }
    check_near("its slope by the power", n_components, n_tokens, out.by_power, by_power);
    check_near("divergence", n_components, n_tokens, out.value, wanted);
    for (size_t i = 0; i < N; i++) {
        check_near("its slope", n_components, n_tokens, by_share[i], slopes[i]);
    }
}

int
main(void)
{
    for (size_t k = 1; k <= MOST_K; k++) {
        for (size_t v = MB_LANES; v <= MOST_V; v++) {
            test_products(k, v, 0);
            test_products(k, v, 1);
        }
        for (size_t v = 2; v <= MOST_V; v++) {
            test_divergence(k, v);
        }
    }
    if (failures > 0) {
        (void)fprintf(stderr, "%d checks failed\n", failures);
    }
    return failures > 0;
}
