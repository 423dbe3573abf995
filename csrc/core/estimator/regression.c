/* Sums over units: gamma functions of rows in pieces, of counts a cell at a time. */
#include "core/estimator/regression.h"

#include "core/base/sums.h"
#include "core/estimator/newton.h"
#include "core/special/special.h"

#include <math.h>
#include <string.h>

enum { PIECE = 256, GAMMA = 32, ADD = 2 /* nanoseconds: of gamma functions, of an addition */ };
enum { SHORT = 16 };
#define LEAST 1e-120 /* of a mean: its square times a trigamma is a number */

/* psi'(a) - psi'(a + n). */
static double
trigamma_difference(double a, double n)
{
    if (n > SHORT || n != floor(n)) {
        return mb_trigamma1(a) - mb_trigamma1(a + n);
    }
    double sum = 0.0;
    for (int j = (int)n - 1; j >= 0; j--) { /* the small terms first */
        sum += 1.0 / ((a + j) * (a + j));
    }
    return sum;
}

/* Slope and bend of a unit in tokens at .. at + n (n <= PIECE), of rows: what a = c m is for, and
 * with `value`, l but for its part in c. */
static void
derive_piece(const mb_units *units, size_t u, double total, const double *mean, size_t at, size_t n,
             double *a, double *d, double *t, double *value)
{
    double weight = units->weight[u];
    const double *log_sums = units->log_sums + u * units->n_tokens + at;
    for (size_t v = 0; v < n; v++) {
        a[v] = total * mean[at + v];
    }
    if (value != NULL) {
        mb_lgamma(n, a, d);
        double sum = 0.0;
        for (size_t v = 0; v < n; v++) {
            sum += (a[v] - 1.0) * log_sums[v] - weight * d[v];
        }
        *value += sum;
    }
    mb_digamma(n, a, d);
    mb_trigamma(n, a, t);
    for (size_t v = 0; v < n; v++) {
        d[v] = log_sums[v] - weight * d[v];
        t[v] *= weight;
    }
}

/* Adds e and the products of k with a row of the design. */
static inline void
add_products(double a, double d, double t, const double *row, size_t n_terms, size_t n_tokens,
             double *first, double *second, double *e_sum, double *k_sum)
{
    double e = a * d, k = e - a * a * t;
    *first += e;
    *e_sum += e;
    *k_sum += k;
    for (size_t p = 0; p < n_terms; p++) {
        second[p * n_tokens] += row[p] * k;
    }
}

static mb_status
sums_of_rows(const mb_units *units, const mb_regression *asked, size_t u, const double *mean,
             mb_interrupt *interrupt, double *scratch, double *first, double *second,
             mb_regression_sums *sums)
{
    size_t n_tokens = units->n_tokens;
    double *a = scratch, *d = a + PIECE, *t = d + PIECE, c = asked->total[u];
    double weight = units->weight[u], e_sum = 0.0, k_sum = 0.0;
    sums->value[u] = weight * mb_lgamma1(c);
    for (size_t at = 0; at < n_tokens; at += PIECE) {
        size_t n = n_tokens - at < PIECE ? n_tokens - at : PIECE;
        derive_piece(units, u, c, mean, at, n, a, d, t, sums->value + u);
        for (size_t v = 0; v < n; v++) {
            add_products(a[v], d[v], t[v], asked->design + u * asked->n_terms, asked->n_terms,
                         n_tokens, first + at + v, second + at + v, &e_sum, &k_sum);
        }
        MB_TRY(mb_ask(interrupt, (GAMMA + ADD * asked->n_terms) * n));
    }
    double slope = c * weight * mb_digamma1(c);
    sums->slope[u] = e_sum + slope;
    sums->bend[u] = k_sum + slope + c * c * weight * mb_trigamma1(c);
    return MB_OK;
}

static mb_status
sums_of_counts(const mb_units *units, const mb_regression *asked, size_t u, const double *mean,
               mb_interrupt *interrupt, double *first, double *second, mb_regression_sums *sums)
{
    size_t n_tokens = units->n_tokens;
    double c = asked->total[u], value = 0.0, slope = 0.0, bend = 0.0, e_sum = 0.0, k_sum = 0.0;
    for (int64_t i = units->starts[u]; i < units->starts[u + 1]; i++) {
        size_t v = (size_t)units->token[i];
        double n = units->count[i], weight = units->cell_weight[i];
        double a = v < n_tokens ? c * mean[v] : c;
        double d = weight * mb_digamma_difference(a, n), t = weight * trigamma_difference(a, n);
        double l = weight * mb_lgamma_difference(a, n);
        if (v < n_tokens) {
            value += l;
            add_products(a, d, t, asked->design + u * asked->n_terms, asked->n_terms, n_tokens,
                         first + v, second + v, &e_sum, &k_sum);
        } else {
            value -= l;
            slope -= a * d;
            bend -= a * d - a * a * t;
        }
        MB_TRY(mb_ask(interrupt, (size_t)4 * GAMMA + (size_t)ADD * asked->n_terms));
    }
    sums->value[u] = value;
    sums->slope[u] = e_sum + slope;
    sums->bend[u] = k_sum + bend;
    return MB_OK;
}

mb_status
mb_regression_derive(const mb_units *units, const mb_regression *asked, mb_interrupt *interrupt,
                     double *scratch, mb_regression_sums *sums)
{
    size_t n_tokens = units->n_tokens, size = asked->n_terms * n_tokens;
    for (size_t m = 0; m < asked->n_means; m++) {
        const double *mean = asked->mean + m * n_tokens;
        double *first = sums->first + m * n_tokens, *second = sums->second + m * size;
        memset(first, 0, n_tokens * sizeof(double));
        memset(second, 0, size * sizeof(double));
        MB_TRY(mb_ask(interrupt, ADD * (n_tokens + size)));
        for (size_t u = (size_t)asked->places[m]; u < (size_t)asked->places[m + 1]; u++) {
            MB_TRY(
                units->weight != NULL
                    ? sums_of_rows(units, asked, u, mean, interrupt, scratch, first, second, sums)
                    : sums_of_counts(units, asked, u, mean, interrupt, first, second, sums));
        }
    }
    return MB_OK;
}

/* ---- the mean that units have in common ----------------------------------------------- */

typedef struct {
    const mb_units *units;
    const double *total;
    double *scratch;
} mean_data;

static mb_status
derive_mean_of_rows(const mean_data *data, size_t u, const double *mean, mb_interrupt *interrupt,
                    mb_alpha_derivatives *out)
{
    double *a = data->scratch, *d = a + PIECE, *t = d + PIECE, c = data->total[u];
    size_t n_tokens = data->units->n_tokens;
    for (size_t at = 0; at < n_tokens; at += PIECE) {
        size_t n = n_tokens - at < PIECE ? n_tokens - at : PIECE;
        derive_piece(data->units, u, c, mean, at, n, a, d, t, NULL);
        for (size_t v = 0; v < n; v++) {
            out->gradient[at + v] += c * d[v];
            out->curvature[at + v] += c * c * t[v];
        }
        MB_TRY(mb_ask(interrupt, GAMMA * n));
    }
    return MB_OK;
}

static mb_status
derive_mean_of_counts(const mean_data *data, size_t u, const double *mean, mb_interrupt *interrupt,
                      mb_alpha_derivatives *out)
{
    const mb_units *units = data->units;
    double c = data->total[u];
    for (int64_t i = units->starts[u]; i < units->starts[u + 1]; i++) {
        size_t v = (size_t)units->token[i];
        if (v < units->n_tokens) {
            double a = c * mean[v], n = units->count[i], weight = c * units->cell_weight[i];
            out->gradient[v] += weight * mb_digamma_difference(a, n);
            out->curvature[v] += c * weight * trigamma_difference(a, n);
        }
        MB_TRY(mb_ask(interrupt, (size_t)GAMMA * 3));
    }
    return MB_OK;
}

static mb_status
derive_mean(const void *data, const double *mean, double sum, mb_interrupt *interrupt,
            mb_alpha_derivatives *out)
{
    const mean_data *all = data;
    const mb_units *units = all->units;
    (void)sum; /* 1 */
    memset(out->gradient, 0, units->n_tokens * sizeof(double));
    memset(out->curvature, 0, units->n_tokens * sizeof(double));
    out->slope = out->z = 0.0;
    for (size_t u = 0; u < units->n_units; u++) {
        MB_TRY(units->weight != NULL ? derive_mean_of_rows(all, u, mean, interrupt, out)
                                     : derive_mean_of_counts(all, u, mean, interrupt, out));
    }
    return MB_OK;
}

mb_status
mb_regression_mean(const mb_units *units, const double *total, mb_interrupt *interrupt,
                   double *mean, double *scratch)
{
    size_t n = units->n_tokens;
    const mean_data data = {units, total, scratch + 2 * n};
    const mb_prior_on_alpha none = {0.0, 0.0, 0.0, INFINITY, LEAST};
    const mb_alpha_problem p = {n, &none, derive_mean, NULL, NULL, &data, interrupt};
    mb_alpha_derivatives d = {scratch, scratch + n, 0.0, 0.0};
    int rises_on;
    return mb_maximize_at_total(&p, 1.0, mean, &d, &rises_on);
}
