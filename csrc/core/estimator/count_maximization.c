/* The M-step on counts: l and its derivatives, from the weight of each cell. */
#include "core/estimator/newton.h"

#include "core/base/sums.h"
#include "core/special/special.h"

#include <math.h>
#include <string.h>

enum { PIECE = 256, READ = 4, GAMMA = 32 /* nanoseconds: of a cell, of gamma functions */ };
#define NOTHING 1e-100 /* of the weight: it cannot be told from none */

typedef struct {
    size_t n_tokens;
    const mb_cells *cells;
} count_data;

enum { SHORT = 16 };

/* The cells first .. end of one token, by tails: a row with the cell n has passed the counts
 * below n.  With T_j the weight of the rows that have passed j,
 *
 *     slope = sum_j T_j / (a + j),   bend = sum_j T_j / (a + j)^2,
 *
 * from the last j down; a long run of equal T_j by a difference of digammas. */
static mb_status
derive_token(const mb_cells *cells, size_t first, size_t end, double a, mb_interrupt *interrupt,
             double *slope, double *bend)
{
    double tail = 0.0, sum = 0.0, squares = 0.0;
    for (size_t c = end; c-- > first;) {
        double high = cells->count[c], low = c > first ? cells->count[c - 1] : 0.0;
        double gap = high - low;
        tail += cells->weight[c * cells->stride];
        MB_TRY(c % PIECE == 0 ? mb_ask(interrupt, (size_t)GAMMA * PIECE) : MB_OK);
        if (tail == 0.0) {
            continue;
        }
        if (gap == 1.0) {
            double inverse = 1.0 / (a + low);
            sum += tail * inverse;
            squares += tail * inverse * inverse;
        } else if (gap <= SHORT && gap == floor(gap)) {
            for (int left = (int)gap; left > 0; left--) {
                double inverse = 1.0 / (a + (low + (left - 1)));
                sum += tail * inverse;
                squares += tail * inverse * inverse;
            }
        } else {
            sum += tail * mb_digamma_difference(a + low, gap);
            squares += tail * (mb_trigamma1(a + low) - mb_trigamma1(a + high));
        }
    }
    *slope = sum;
    *bend = squares;
    return MB_OK;
}

static mb_status
derive_counts(const void *data, const double *alpha, double total, mb_interrupt *interrupt,
              mb_alpha_derivatives *d)
{
    const count_data *counts = data;
    const mb_cells *cells = counts->cells;
    memset(d->gradient, 0, counts->n_tokens * sizeof(double));
    memset(d->curvature, 0, counts->n_tokens * sizeof(double));
    double slope = 0.0;
    d->z = 0.0;
    for (size_t first = 0, end; first < cells->n_cells; first = end) {
        uint32_t v = cells->token[first];
        for (end = first; end < cells->n_cells && cells->token[end] == v; end++) {
        }
        if (v == counts->n_tokens) {
            MB_TRY(derive_token(cells, first, end, total, interrupt, &slope, &d->z));
        } else if (end == first + 1 && cells->count[first] == 1.0) { /* most of a long tail */
            double inverse = 1.0 / alpha[v];
            d->gradient[v] = cells->weight[first * cells->stride] * inverse;
            d->curvature[v] = d->gradient[v] * inverse;
            MB_TRY(mb_ask(interrupt, READ));
        } else {
            MB_TRY(derive_token(cells, first, end, alpha[v], interrupt, d->gradient + v,
                                d->curvature + v));
        }
    }
    d->slope = -slope;
    for (size_t v = 0; v < counts->n_tokens; v++) {
        d->gradient[v] -= slope;
    }
    return MB_OK;
}

static double
counts_of_total(const void *data, double total)
{
    const count_data *counts = data;
    const mb_cells *cells = counts->cells;
    double sum = 0.0;
    for (size_t c = cells->n_cells; c-- > 0 && cells->token[c] == counts->n_tokens;) {
        sum -= cells->weight[c * cells->stride] * mb_lgamma_difference(total, cells->count[c]);
    }
    return sum;
}

static double
counts_of_each(const void *data, const double *alpha, double *scratch)
{
    const count_data *counts = data;
    const mb_cells *cells = counts->cells;
    double sum = 0.0;
    (void)scratch;
    for (size_t c = 0; c < cells->n_cells && cells->token[c] < counts->n_tokens; c++) {
        double one = mb_lgamma_difference(alpha[cells->token[c]], cells->count[c]);
        sum += cells->weight[c * cells->stride] * one;
    }
    return sum;
}

/* Tokens that no row holds go to the least at once: nothing bends their likelihood.  The others
 * take their part of A. */
static mb_status
drop_unseen(size_t n_tokens, const mb_cells *cells, double least, mb_interrupt *interrupt,
            double *alpha)
{
    double total = mb_sum_in_order(n_tokens, alpha), all = 0.0;
    for (size_t i = 0; i < cells->n_cells; i++) {
        all += cells->weight[i * cells->stride];
        MB_TRY(mb_ask(interrupt, READ));
    }
    size_t c = 0;
    for (size_t v = 0; v < n_tokens; v++) {
        double weight = 0.0;
        for (; c < cells->n_cells && cells->token[c] == v; c++) {
            weight += cells->weight[c * cells->stride];
            MB_TRY(mb_ask(interrupt, READ));
        }
        if (weight <= NOTHING * all) {
            alpha[v] = least;
        }
    }
    mb_scale_to(n_tokens, total, least, alpha);
    return MB_OK;
}

/* Whether a row has more than one draw: else A does not enter the likelihood. */
static int
identifies_total(size_t n_tokens, const mb_cells *cells)
{
    for (size_t c = cells->n_cells; c-- > 0 && cells->token[c] == n_tokens;) {
        if (cells->count[c] > 1.0 && cells->weight[c * cells->stride] > 0.0) {
            return 1;
        }
    }
    return 0;
}

/* Minka's fixed point, alpha_v times its part of the slope over that of A: it never lowers l, and brings
 * an alpha of a token that is seen once at most in a row where it belongs, however far that is, which
 * Newton's steps would but double. */
static mb_status
approach(const mb_alpha_problem *p, double *alpha, mb_alpha_derivatives *d)
{
    double total = mb_sum_in_order(p->n_tokens, alpha);
    MB_TRY(derive_counts(p->data, alpha, total, p->interrupt, d));
    double slope = -d->slope, after = 0.0, pull = slope + p->prior->rate;
    for (size_t v = 0; v < p->n_tokens; v++) {
        double to = alpha[v] * ((d->gradient[v] + slope) / pull);
        d->gradient[v] = to > p->prior->least ? to : p->prior->least;
        after += d->gradient[v];
    }
    if (slope > 0.0 && after <= p->prior->max_concentration) {
        memcpy(alpha, d->gradient, p->n_tokens * sizeof(double));
    }
    return MB_OK;
}

mb_status
mb_maximize_counts(size_t n_tokens, const mb_cells *cells, const mb_prior_on_alpha *prior,
                   mb_interrupt *interrupt, double *alpha, double *scratch, int *capped)
{
    count_data counts = {n_tokens, cells};
    mb_alpha_problem p = {n_tokens,       prior,   derive_counts, counts_of_total,
                          counts_of_each, &counts, interrupt};
    mb_alpha_derivatives d = {scratch, scratch + n_tokens, 0.0, 0.0};
    if (prior->each == 0.0) {
        MB_TRY(drop_unseen(n_tokens, cells, prior->least, interrupt, alpha));
        if (prior->total == 0.0 && !identifies_total(n_tokens, cells)) {
            int rises_on;
            *capped = 0;
            return mb_maximize_at_total(&p, mb_sum_in_order(n_tokens, alpha), alpha, &d, &rises_on);
        }
        if (prior->total == 0.0) {
            MB_TRY(approach(&p, alpha, &d));
        }
    }
    return mb_maximize(&p, alpha, scratch, capped);
}
