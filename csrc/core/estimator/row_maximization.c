/* The M-step on rows of log-probabilities: l and its derivatives, in pieces. */
#include "core/estimator/newton.h"

#include "core/special/special.h"

enum { PIECE = 256, GAMMA = 32 /* nanoseconds of gamma functions */ };

typedef struct {
    size_t n_tokens;
    const double *mean_log;
} row_data;

static mb_status
derive_rows(const void *data, const double *alpha, double total, mb_interrupt *interrupt,
            mb_alpha_derivatives *d)
{
    const row_data *rows = data;
    double level = mb_digamma1(total);
    for (size_t at = 0; at < rows->n_tokens; at += PIECE) {
        size_t n = rows->n_tokens - at < PIECE ? rows->n_tokens - at : PIECE;
        mb_digamma(n, alpha + at, d->gradient + at);
        mb_trigamma(n, alpha + at, d->curvature + at);
        for (size_t v = at; v < at + n; v++) {
            d->gradient[v] = level - d->gradient[v] + rows->mean_log[v];
        }
        MB_TRY(mb_ask(interrupt, GAMMA * n));
    }
    d->slope = level;
    d->z = mb_trigamma1(total);
    return MB_OK;
}

static double
rows_of_total(const void *data, double total)
{
    (void)data;
    return mb_lgamma1(total);
}

static double
rows_of_each(const void *data, const double *alpha, double *scratch)
{
    const row_data *rows = data;
    double sum = 0.0;
    mb_lgamma(rows->n_tokens, alpha, scratch);
    for (size_t v = 0; v < rows->n_tokens; v++) {
        sum += (alpha[v] - 1.0) * rows->mean_log[v] - scratch[v];
    }
    return sum;
}

mb_status
mb_maximize_rows(size_t n_tokens, const double *mean_log, const mb_prior_on_alpha *prior,
                 mb_interrupt *interrupt, double *alpha, double *scratch, int *capped)
{
    row_data rows = {n_tokens, mean_log};
    mb_alpha_problem p = {n_tokens,     prior, derive_rows, rows_of_total,
                          rows_of_each, &rows, interrupt};
    return mb_maximize(&p, alpha, scratch, capped);
}
