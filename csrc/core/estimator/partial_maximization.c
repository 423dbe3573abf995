/* The M-step on rows known in part: l and its derivatives, in pieces. */
#include "core/estimator/newton.h"

#include "core/special/special.h"

enum { PIECE = 256, GAMMA = 48 /* nanoseconds of gamma functions and a logarithm */ };

typedef struct {
    size_t n_tokens;
    const mb_partial_sums *sums;
} partial_data;

/* The weight of the rows that do not list a token. */
static inline double
unlisted(const mb_partial_sums *sums, size_t v)
{
    double left = sums->weight - sums->listed[v];
    return left > 0.0 ? left : 0.0;
}

static mb_status
derive_partial(const void *data, const double *alpha, double total, mb_interrupt *interrupt,
               mb_alpha_derivatives *d)
{
    const partial_data *p = data;
    const mb_partial_sums *sums = p->sums;
    double level = sums->weight * mb_digamma1(total);
    for (size_t at = 0; at < p->n_tokens; at += PIECE) {
        size_t n = p->n_tokens - at < PIECE ? p->n_tokens - at : PIECE;
        double logs[PIECE];
        mb_log(n, alpha + at, logs);
        mb_digamma(n, alpha + at, d->gradient + at);
        mb_trigamma(n, alpha + at, d->curvature + at);
        for (size_t v = at; v < at + n; v++) {
            double rest = unlisted(sums, v), single = sums->single[v] / alpha[v];
            d->gradient[v] = level + sums->slope[v] - sums->listed[v] * d->gradient[v] -
                             rest * (logs[v - at] + 1.0) + single;
            d->curvature[v] = sums->listed[v] * d->curvature[v] + (rest + single) / alpha[v];
        }
        MB_TRY(mb_ask(interrupt, GAMMA * n));
    }
    d->slope = level;
    d->z = sums->weight * mb_trigamma1(total);
    return MB_OK;
}

static double
partial_of_total(const void *data, double total)
{
    const partial_data *p = data;
    return p->sums->weight * mb_lgamma1(total);
}

static double
partial_of_each(const void *data, const double *alpha, double *scratch)
{
    const partial_data *p = data;
    const mb_partial_sums *sums = p->sums;
    double sum = 0.0;
    mb_lgamma(p->n_tokens, alpha, scratch);
    for (size_t v = 0; v < p->n_tokens; v++) {
        sum += sums->slope[v] * alpha[v] - sums->listed[v] * scratch[v];
    }
    mb_log(p->n_tokens, alpha, scratch);
    for (size_t v = 0; v < p->n_tokens; v++) {
        sum += (sums->single[v] - unlisted(sums, v) * alpha[v]) * scratch[v];
    }
    return sum;
}

mb_status
mb_maximize_partial(size_t n_tokens, const mb_partial_sums *sums, const mb_prior_on_alpha *prior,
                    mb_interrupt *interrupt, double *alpha, double *scratch, int *capped)
{
    partial_data data = {n_tokens, sums};
    mb_alpha_problem p = {n_tokens,        prior, derive_partial, partial_of_total,
                          partial_of_each, &data, interrupt};
    return mb_maximize(&p, alpha, scratch, capped);
}
