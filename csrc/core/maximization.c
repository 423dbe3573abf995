/* The M-step of one Dirichlet.
 *
 * Newton's method on the whole of alpha.  The Hessian is a diagonal plus a constant,
 * H = z - diag(q), so that a step costs O(V): with g the gradient,
 *
 *     step_v = (g_v - b) / q_v,   b = sum(g / q) / (sum(1 / q) - 1 / z).
 *
 * A step down is taken as alpha^2 / (alpha - step): Newton's step for 1 / alpha, in which
 * a gradient like c / alpha is linear; it never leaves the positive orthant and never
 * overshoots.  Where H is not negative definite (counts only: l is not concave), A is
 * doubled or halved the way f rises, and the rest moves as under a fixed A.
 *
 * Where a step leaves A <= max_concentration, the maximum with A at that bound is found
 * instead, by the same steps with b such that A stays (l is concave there), and kept if f
 * still rises with A. */
#include "maximization.h"

#include "special.h"

#include <math.h>
#include <string.h>

enum { MAX_STEPS = 200 };
enum { PIECE = 256 };
enum { READ = 4, GAMMA = 32, STEP = 32 }; /* nanoseconds: a cell, gamma functions, a step */
#define MOST_GROWTH 8.0                   /* of A in a step */

/* l's gradient, minus the diagonal of its Hessian, and the Hessian's constant z. */
typedef struct {
    double *gradient, *curvature, z;
} derivatives;

typedef struct {
    size_t n_tokens;
    const mb_prior_on_alpha *prior;
    mb_status (*derive)(const void *data, const double *alpha, double total,
                        mb_interrupt *interrupt, derivatives *d);
    const void *data;
    mb_interrupt *interrupt;
} problem;

static double
sum_of(size_t n, const double *x)
{
    double sum = 0.0;
    for (size_t v = 0; v < n; v++) {
        sum += x[v];
    }
    return sum;
}

/* All of f's derivatives; an alpha that is held, at its least or because nothing speaks of
 * it, has infinite curvature. */
static mb_status
derive(const problem *p, const double *alpha, double total, derivatives *d)
{
    const mb_prior_on_alpha *prior = p->prior;
    MB_TRY(p->derive(p->data, alpha, total, p->interrupt, d));
    double slope = prior->total / total - prior->rate;
    d->z -= prior->total / (total * total);
    for (size_t v = 0; v < p->n_tokens; v++) {
        d->gradient[v] += slope + prior->each / alpha[v];
        d->curvature[v] += prior->each / (alpha[v] * alpha[v]);
        if (d->curvature[v] == 0.0 || (alpha[v] <= prior->least && d->gradient[v] <= 0.0)) {
            d->gradient[v] = 0.0;
            d->curvature[v] = INFINITY;
        }
    }
    return mb_ask(p->interrupt,
                  STEP * p->n_tokens); /* of this, and of the step that is made of it */
}

/* A step, with what it was made from. */
typedef struct {
    double level; /* b, taken from each gradient */
    double scale; /* then everything is multiplied by it */
    double size;  /* largest relative change, not counting `scale` */
} move;

/* Chooses the step at alpha; NaN as its size where rounding has eaten the curvature. */
static move
choose(const problem *p, const derivatives *d, const double *alpha, int fixed_total)
{
    double sum_gq = 0.0, sum_q = 0.0;
    for (size_t v = 0; v < p->n_tokens; v++) {
        sum_gq += d->gradient[v] / d->curvature[v];
        sum_q += 1.0 / d->curvature[v];
    }
    move m = {sum_gq / sum_q, 1.0, 0.0};
    if (!fixed_total && d->z * sum_q < 1.0) {
        m.level = d->z * sum_gq / (d->z * sum_q - 1.0);
    } else if (!fixed_total) {
        m.scale = m.level > 0.0 ? 2.0 : 0.5;
        m.size = 1.0;
    }
    for (size_t v = 0; v < p->n_tokens; v++) {
        double relative = fabs((d->gradient[v] - m.level) / d->curvature[v] / alpha[v]);
        m.size = relative > m.size ? relative : m.size;
    }
    return isnan(sum_gq) || !(sum_q > 0.0) ? (move){0.0, 1.0, NAN} : m;
}

/* Takes it; returns the new A. */
static double
take(const problem *p, const derivatives *d, const move *m, double total, double *alpha)
{
    double least = p->prior->least, after = 0.0;
    for (size_t v = 0; v < p->n_tokens; v++) {
        double step = (d->gradient[v] - m->level) / d->curvature[v], a = alpha[v];
        a = m->scale * (step < 0.0 ? a * (a / (a - step)) : a + step);
        alpha[v] = a > least ? a : least;
        after += alpha[v];
    }
    if (after > MOST_GROWTH * total) {
        double shrink = MOST_GROWTH * total / after;
        for (size_t v = 0; v < p->n_tokens; v++) {
            alpha[v] *= shrink;
        }
        after = MOST_GROWTH * total;
    }
    return after;
}

/* Whether steps have settled, or come as near as rounding lets them: the error after a
 * Newton step is about the square of its size. */
static int
settled(double size, double previous)
{
    return size <= 1e-8 || (size <= 1e-6 && size >= 0.5 * previous);
}

static void
scale_to(size_t n, double total, double *alpha)
{
    double scale = total / sum_of(n, alpha);
    for (size_t v = 0; v < n; v++) {
        alpha[v] *= scale;
    }
}

/* The maximum of f under A = total, from alpha, and whether f still rises with A there. */
static mb_status
maximize_at_total(const problem *p, double total, double *alpha, derivatives *d, int *rises)
{
    double previous = INFINITY;
    move m = {0.0, 1.0, 0.0};
    scale_to(p->n_tokens, total, alpha);
    for (int i = 0; i < MAX_STEPS; i++) {
        MB_TRY(derive(p, alpha, total, d));
        m = choose(p, d, alpha, 1);
        if (isnan(m.size)) {
            break;
        }
        take(p, d, &m, total, alpha);
        scale_to(p->n_tokens, total, alpha);
        if (settled(m.size, previous)) {
            break;
        }
        previous = m.size;
    }
    *rises = m.level >= 0.0;
    return MB_OK;
}

/* Whether only a rate that says nothing keeps the settled alpha from the bound: l itself
 * rises to it.  (Where A is far below the bound, l has a maximum.) */
static mb_status
held_by_rate(const problem *p, double total, const double *alpha, derivatives *d, double *trial,
             int *held)
{
    double bound = p->prior->max_concentration;
    *held = 0;
    if (!(total > 1e-4 * bound && p->prior->rate * bound < 1e-3)) {
        return MB_OK;
    }
    mb_prior_on_alpha no_rate = *p->prior;
    no_rate.rate = 0.0;
    problem free = *p;
    free.prior = &no_rate;
    memcpy(trial, alpha, p->n_tokens * sizeof(double));
    return maximize_at_total(&free, bound, trial, d, held);
}

static mb_status
maximize(const problem *p, double *alpha, double *scratch, int *capped)
{
    size_t n = p->n_tokens;
    derivatives d = {scratch, scratch + n, 0.0};
    double *start = scratch + 2 * n, *before = scratch + 3 * n;
    double bound = p->prior->max_concentration, previous = INFINITY;
    int bound_is_free = 0;
    *capped = 0;
    memcpy(start, alpha, n * sizeof(double));
    double total = sum_of(n, alpha);
    for (int i = 0; i < MAX_STEPS; i++) {
        MB_TRY(derive(p, alpha, total, &d));
        move m = choose(p, &d, alpha, 0);
        if (isnan(m.size)) {
            break;
        }
        memcpy(before, alpha, n * sizeof(double));
        double after = take(p, &d, &m, total, alpha);
        if (after > bound && bound_is_free) {
            /* f falls at the bound: the maximum is on this side, half the way at most */
            double part = 0.5 * (bound - total) / (after - total);
            for (size_t v = 0; v < n; v++) {
                alpha[v] = before[v] + part * (alpha[v] - before[v]);
            }
            after = sum_of(n, alpha);
        } else if (after > bound) {
            MB_TRY(maximize_at_total(p, bound, alpha, &d, capped));
            if (*capped) {
                return MB_OK;
            }
            bound_is_free = 1;
            if (total <= bound) {
                memcpy(alpha, before, n * sizeof(double));
            }
            total = sum_of(n, alpha);
            continue;
        }
        total = after;
        if (settled(m.size, previous)) {
            return held_by_rate(p, total, alpha, &d, before, capped);
        }
        previous = m.size;
    }
    memcpy(alpha, start, n * sizeof(double));
    return MB_NUMERIC;
}

/* ---- rows ------------------------------------------------------------------- */

typedef struct {
    size_t n_tokens;
    const double *mean_log;
} row_data;

static mb_status
derive_rows(const void *data, const double *alpha, double total, mb_interrupt *interrupt,
            derivatives *d)
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
    d->z = mb_trigamma1(total);
    return MB_OK;
}

mb_status
mb_maximize_rows(size_t n_tokens, const double *mean_log, const mb_prior_on_alpha *prior,
                 mb_interrupt *interrupt, double *alpha, double *scratch, int *capped)
{
    row_data rows = {n_tokens, mean_log};
    problem p = {n_tokens, prior, derive_rows, &rows, interrupt};
    return maximize(&p, alpha, scratch, capped);
}

/* ---- counts ----------------------------------------------------------------- */

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
        MB_TRY(mb_ask(interrupt, GAMMA));
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
              derivatives *d)
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
        } else {
            MB_TRY(derive_token(cells, first, end, alpha[v], interrupt, d->gradient + v,
                                d->curvature + v));
        }
    }
    for (size_t v = 0; v < counts->n_tokens; v++) {
        d->gradient[v] -= slope;
    }
    return MB_OK;
}

/* Tokens that no row holds go to the least at once: nothing bends their likelihood. */
static mb_status
drop_unseen(size_t n_tokens, const mb_cells *cells, double least, mb_interrupt *interrupt,
            double *alpha)
{
    size_t c = 0;
    for (size_t v = 0; v < n_tokens; v++) {
        double weight = 0.0;
        for (; c < cells->n_cells && cells->token[c] == v; c++) {
            weight += cells->weight[c * cells->stride];
            MB_TRY(mb_ask(interrupt, READ));
        }
        if (weight == 0.0) {
            alpha[v] = least;
        }
    }
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

mb_status
mb_maximize_counts(size_t n_tokens, const mb_cells *cells, const mb_prior_on_alpha *prior,
                   mb_interrupt *interrupt, double *alpha, double *scratch, int *capped)
{
    count_data counts = {n_tokens, cells};
    problem p = {n_tokens, prior, derive_counts, &counts, interrupt};
    if (prior->each == 0.0) {
        MB_TRY(drop_unseen(n_tokens, cells, prior->least, interrupt, alpha));
        if (prior->total == 0.0 && !identifies_total(n_tokens, cells)) {
            derivatives d = {scratch, scratch + n_tokens, 0.0};
            int rises;
            *capped = 0;
            return maximize_at_total(&p, sum_of(n_tokens, alpha), alpha, &d, &rises);
        }
    }
    return maximize(&p, alpha, scratch, capped);
}
