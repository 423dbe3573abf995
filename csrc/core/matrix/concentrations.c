/* The evidence of rows under several concentrations, all of them at a time.
 *
 * A token that was seen n times says A m (A m + 1) ... (A m + n - 1): a factor A, a factor m that is left
 * out, and n - 1 factors of 1 or more, which are multiplied before a logarithm is taken of many.  So a
 * token that was seen once costs nothing.  Rows are short: what the totals say is looked up. */
#include "core/matrix/concentrations.h"

#include "core/base/mem.h"
#include "core/special/special.h"

#include <math.h>
#include <string.h>

enum {
    FACTORS = 16,    /* of a count, that are multiplied; a larger one takes a gamma function */
    TOTALS = 64,     /* that are looked up */
    ROW_COST = 16,   /* nanoseconds for each value, of a row, */
    LARGE_COST = 64, /* of a large count */
    FACTOR_COST = 2  /* and of a factor */
};

static const double LN2 = 0x1.62e42fefa39efp-1;

typedef struct {
    size_t k, often; /* so many factors stay in the range of doubles */
    const double *values;
    double *logs;     /* [k] ln A */
    double *product;  /* [k] */
    double *terms;    /* [k] */
    double *alpha;    /* [k] */
    double *one;      /* [k] a count, once for each */
    double *totals;   /* [TOTALS][k] lnG(A + N) - lnG(A + 1) */
    double *evidence; /* [k], and of the weights */
} grid;

/* sum_i ln(A + i), 0 < i < total, into out [k]. */
static void
rise_totals(const grid *g, double total, double *out)
{
    for (size_t j = 0; j < g->k; j++) {
        g->alpha[j] = g->values[j] + 1.0;
        g->one[j] = total - 1.0;
    }
    mb_lgamma_differences(g->k, g->alpha, g->one, out);
}

static mb_status
new_grid(const mb_mean_rows *rows, grid *g)
{
    size_t k = rows->n_values;
    double most = 0.0, *room = mb_calloc(k > 0 ? k : 1, (7 + TOTALS) * sizeof(double));
    if (room == NULL) {
        return MB_NOMEM;
    }
    *g = (grid){.k = k, .values = rows->values, .logs = room, .product = room + k};
    g->terms = room + 2 * k;
    g->alpha = room + 3 * k;
    g->one = room + 4 * k;
    g->evidence = room + 5 * k;
    g->totals = room + 7 * k;
    for (size_t j = 0; j < k; j++) {
        most = rows->values[j] > most ? rows->values[j] : most;
    }
    g->often = (size_t)(1000.0 * LN2 / log(most + 2.0 * FACTORS));
    mb_log(k, rows->values, g->logs);
    for (size_t total = 1; total < TOTALS; total++) {
        rise_totals(g, (double)total, g->totals + total * k);
    }
    return MB_OK;
}

static void
take_logarithms(const grid *g, double *out)
{
    mb_log(g->k, g->product, g->terms);
    for (size_t j = 0; j < g->k; j++) {
        out[j] += g->terms[j];
        g->product[j] = 1.0;
    }
}

/* A count of 2 or more. */
static void
add_large(const grid *g, double mean, double count, double *out)
{
    for (size_t j = 0; j < g->k; j++) {
        g->alpha[j] = g->values[j] * mean + 1.0;
        g->one[j] = count - 1.0;
    }
    mb_lgamma_differences(g->k, g->alpha, g->one, g->terms);
    for (size_t j = 0; j < g->k; j++) {
        out[j] += g->terms[j];
    }
}

/* A pair of a row, of whose evidence so many factors are in the product; the work that it was. */
static size_t
add_pair(const grid *g, double mean, double count, size_t *factors, double *out)
{
    if (!(count >= 2.0)) {
        return 1;
    }
    if (count > FACTORS) {
        add_large(g, mean, count, out);
        return LARGE_COST * g->k;
    }
    if (*factors + (size_t)count > g->often) {
        take_logarithms(g, out);
        *factors = 0;
    }
    for (size_t c = 1; c < (size_t)count; c++) {
        for (size_t j = 0; j < g->k; j++) {
            g->product[j] *= g->values[j] * mean + (double)c;
        }
    }
    *factors += (size_t)count;
    return (size_t)count * FACTOR_COST * g->k;
}

/* The evidence of a row, into out [k], and its total. */
static mb_status
evidence_of_row(const mb_mean_rows *rows, const grid *g, size_t low, size_t high,
                mb_interrupt *interrupt, double *total_of, double *out)
{
    size_t factors = 0;
    double total = 0.0, types = 0.0;
    memset(out, 0, g->k * sizeof(double));
    for (size_t j = 0; j < g->k; j++) {
        g->product[j] = 1.0;
    }
    for (size_t i = low; i < high; i++) {
        double count = rows->counts[i];
        total += count;
        types += count > 0.0 ? 1.0 : 0.0;
        MB_TRY(mb_ask(interrupt, add_pair(g, rows->means[i], count, &factors, out)));
    }
    *total_of = total;
    if (!(total > 1.0)) {
        memset(out, 0, g->k * sizeof(double));
        return MB_OK;
    }
    if (factors > 0) {
        take_logarithms(g, out);
    }
    const double *against = g->totals + (total < TOTALS ? (size_t)total : 0) * g->k;
    if (!(total < TOTALS)) {
        rise_totals(g, total, g->terms);
        against = g->terms;
    }
    for (size_t j = 0; j < g->k; j++) {
        out[j] += (types - 1.0) * g->logs[j] - against[j];
    }
    return mb_ask(interrupt, ROW_COST * (g->k + 1));
}

/* Where a row ends, which begins at `low`; MB_INVALID for one that does not. */
static mb_status
row_of(const mb_mean_rows *rows, size_t row, size_t *low, size_t *high)
{
    int64_t start = rows->starts[row], end = rows->starts[row + 1];
    *low = (size_t)start;
    *high = (size_t)end;
    return start >= 0 && end >= start && (size_t)end <= rows->n_pairs ? MB_OK : MB_INVALID;
}

static mb_status
evidence_of_rows(const mb_mean_rows *rows, const grid *g, mb_interrupt *interrupt, double *out)
{
    for (size_t row = 0; row < rows->n_rows; row++) {
        size_t low, high;
        double total;
        MB_TRY(row_of(rows, row, &low, &high));
        MB_TRY(evidence_of_row(rows, g, low, high, interrupt, &total, out + row * g->k));
    }
    return MB_OK;
}

mb_status
mb_concentration_evidence(const mb_mean_rows *rows, mb_interrupt *interrupt, double *out)
{
    grid g;
    MB_TRY(new_grid(rows, &g));
    mb_status status = evidence_of_rows(rows, &g, interrupt, out);
    mb_free(g.logs);
    return status;
}

/* ---- shares ----------------------------------------------------------------------------------- */

/* The shares of a row of this total from its log-evidence, which includes that of the weights. */
static void
shares_of_evidence(const grid *g, const double *evidence, double total, double *shares)
{
    double most = -INFINITY, sum = 0.0, to_mean = 0.0, to_count = 0.0;
    for (size_t j = 0; j < g->k; j++) {
        most = evidence[j] > most ? evidence[j] : most;
    }
    for (size_t j = 0; j < g->k; j++) {
        g->terms[j] = evidence[j] - most;
    }
    mb_exp(g->k, g->terms, g->terms);
    for (size_t j = 0; j < g->k; j++) {
        double share = g->terms[j] / (g->values[j] + total);
        sum += g->terms[j];
        to_mean += share * g->values[j];
        to_count += share;
    }
    shares[0] = to_mean / sum;
    shares[1] = to_count / sum;
}

static mb_status
shares_of_rows(const mb_mean_rows *rows, const grid *g, mb_interrupt *interrupt, double *out)
{
    const double *log_weights = g->evidence + g->k;
    for (size_t row = 0; row < rows->n_rows; row++) {
        size_t low, high;
        double total;
        MB_TRY(row_of(rows, row, &low, &high));
        MB_TRY(evidence_of_row(rows, g, low, high, interrupt, &total, g->evidence));
        for (size_t j = 0; j < g->k; j++) {
            g->evidence[j] += log_weights[j];
        }
        shares_of_evidence(g, g->evidence, total, out + 2 * row);
    }
    return MB_OK;
}

mb_status
mb_concentration_shares(const mb_mean_rows *rows, const double *weights, mb_interrupt *interrupt,
                        double *out)
{
    grid g;
    MB_TRY(new_grid(rows, &g));
    mb_log(g.k, weights, g.evidence + g.k);
    mb_status status = shares_of_rows(rows, &g, interrupt, out);
    mb_free(g.logs);
    return status;
}
