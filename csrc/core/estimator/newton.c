/* Newton's method on the M-step of one Dirichlet.
 *
 * f is a sum of one function of each alpha_v and one, k, of their sum A.  The first are concave,
 * their slopes convex in alpha_v and concave in 1 / alpha_v, so that for any `level` the moves
 *
 *     up    by Newton's step for alpha_v,      a + step
 *     down  by Newton's step for 1 / alpha_v,  a^2 / (a - step)      step = (g_v - level) / q_v
 *
 * do not pass the place where g_v would be `level` (g: the gradient; the Hessian is z - diag(q)).
 * At least what these two models gain is gained, and what k does is known: a step is taken where
 * that, or else f itself, shows that f does not fall.  The levels that are tried are
 *
 *     Newton's, with which A changes by -level / z;
 *     where H is not negative definite (counts only: k is convex), that with which A is doubled
 *     or halved, the way f rises; and where A would pass its bound, that which leads to it;
 *     where f might fall, 0: a step under k's tangent, so that it rises.  (The prior's part in k
 *     is concave: its curvature is then shared out.)
 *
 * Sums are followed from level 0, not from where each g_v is: an alpha far above its place has
 * next to no curvature, and would decide for all the others. */
#include "core/estimator/newton.h"

#include "core/base/sums.h"
#include "core/special/special.h"

#include <math.h>
#include <string.h>

enum { MAX_STEPS = 200, LEVELS = 100, CLIMBS = 8 };
enum { STEP = 8 /* nanoseconds of an alpha moved */ };
#define MOST_GROWTH 8.0 /* of A in a step */
#define ROUNDING 1e-14  /* of f */

void
mb_scale_to(size_t n, double total, double least, double *alpha)
{
    double held = 0.0, free = 0.0;
    for (size_t v = 0; v < n; v++) {
        *(alpha[v] <= least ? &held : &free) += alpha[v];
    }
    double scale = (total - held) / free;
    for (size_t v = 0; v < n && free > 0.0; v++) {
        alpha[v] *= alpha[v] <= least ? 1.0 : scale;
    }
}

/* All of f's derivatives; an alpha that is held, at its least or because nothing speaks of
 * it, has infinite curvature. */
static mb_status
derive(const mb_alpha_problem *p, const double *alpha, double total, mb_alpha_derivatives *d)
{
    const mb_prior_on_alpha *prior = p->prior;
    MB_TRY(p->derive(p->data, alpha, total, p->interrupt, d));
    double slope = prior->total / total - prior->rate;
    d->slope += slope;
    d->z -= prior->total / (total * total);
    for (size_t v = 0; v < p->n_tokens; v++) {
        d->gradient[v] += slope + prior->each / alpha[v];
        d->curvature[v] += prior->each / (alpha[v] * alpha[v]);
        if (d->curvature[v] == 0.0 || (alpha[v] <= prior->least && d->gradient[v] <= 0.0)) {
            d->gradient[v] = 0.0;
            d->curvature[v] = INFINITY;
        }
    }
    return mb_ask(p->interrupt, STEP * p->n_tokens);
}

/* f's part in A. */
static double
of_total(const mb_alpha_problem *p, double total)
{
    double value = p->of_total(p->data, total) - p->prior->rate * total;
    return p->prior->total > 0.0 ? value + p->prior->total * log(total) : value;
}

/* The sum of f's parts in each alpha. */
static double
of_each(const mb_alpha_problem *p, const double *alpha, double *scratch)
{
    double value = p->of_each(p->data, alpha, scratch), logs = 0.0;
    if (p->prior->each > 0.0) {
        mb_log(p->n_tokens, alpha, scratch);
        logs = mb_sum_in_order(p->n_tokens, scratch);
    }
    return value + p->prior->each * logs;
}

/* ---- levels ----------------------------------------------------------------- */

/* Where an alpha goes: its Newton step, the part of it that a step down leaves, and 1 / q. */
typedef struct {
    double step, ratio, inverse, after;
} path;

static inline path
path_of(double a, double gradient, double curvature, double least)
{
    path way = {.inverse = 1.0 / curvature};
    way.step = gradient * way.inverse;
    way.ratio = way.step < 0.0 ? a / (a - way.step) : 1.0;
    way.after = way.step < 0.0 ? a * way.ratio : a + way.step;
    way.after = way.after > least ? way.after : least;
    return way;
}

/* A after the moves of a level, and how much less for each unit of it. */
static double
sum_at(const mb_alpha_problem *p, const mb_alpha_derivatives *d, const double *alpha, double level,
       double *slope)
{
    double sum = 0.0, fall = 0.0, least = p->prior->least;
    for (size_t v = 0; v < p->n_tokens; v++) {
        path way = path_of(alpha[v], d->gradient[v] - level, d->curvature[v], least);
        sum += way.after;
        fall += way.after > least ? way.ratio * way.ratio * way.inverse : 0.0;
    }
    *slope = fall;
    return sum;
}

/* The level that leads to a sum.  Sums fall with the level and are convex: Newton's steps come
 * from below and never pass it, but for the first. */
static mb_status
level_to(const mb_alpha_problem *p, const mb_alpha_derivatives *d, const double *alpha,
         double total, double *level)
{
    double off = INFINITY;
    *level = 0.0;
    for (int i = 0; i < LEVELS && fabs(off) > 1e-7 * total; i++) {
        double slope;
        off = sum_at(p, d, alpha, *level, &slope) - total;
        if (!(slope > 0.0) || off == 0.0) {
            break;
        }
        *level += off / slope;
        MB_TRY(mb_ask(p->interrupt, STEP * p->n_tokens));
    }
    return MB_OK;
}

/* ---- steps ------------------------------------------------------------------ */

typedef struct {
    double level, asked; /* the sum it was asked to lead to; 0: none */
    double gain;         /* of f's parts in each alpha, less `level` for each unit: at least */
    double size;         /* largest relative change it is made of; NaN: no alpha is free */
} move;

/* Moves alpha into `trial`, which may be alpha; returns the new A. */
static double
move_alpha(const mb_alpha_problem *p, const mb_alpha_derivatives *d, move *m, const double *alpha,
           double *trial)
{
    double sum = 0.0, gain = 0.0, size = 0.0, least = p->prior->least;
    size_t n_free = 0;
    for (size_t v = 0; v < p->n_tokens; v++) {
        double a = alpha[v], q = d->curvature[v], g = d->gradient[v] - m->level;
        path way = path_of(a, g, q, least);
        trial[v] = way.after;
        sum += way.after;
        if (isinf(q)) {
            continue;
        }
        n_free++;
        double change = way.after - a;
        double part = way.after > least ? way.ratio - 1.0 : change / a;
        gain += 0.5 * change * (g < 0.0 ? (q * a - g) * part : 2.0 * g - q * change);
        if (!(fabs(way.step) <= size * a)) {
            size = fabs(way.step) / a;
        }
    }
    m->gain = gain;
    m->size = n_free > 0 ? size : NAN;
    if (m->asked > 0.0) {
        mb_scale_to(p->n_tokens, m->asked, least, trial); /* what rounding has left */
        sum = m->asked;
    }
    return sum;
}

/* The same, with a sum that is asked for where that of the level is larger. */
static mb_status
step_within(const mb_alpha_problem *p, const mb_alpha_derivatives *d, move *m, double most,
            const double *alpha, double *trial, double *after)
{
    *after = move_alpha(p, d, m, alpha, trial);
    if (*after > most) {
        m->asked = most;
        MB_TRY(level_to(p, d, alpha, most, &m->level));
        *after = move_alpha(p, d, m, alpha, trial);
    }
    return mb_ask(p->interrupt, STEP * p->n_tokens);
}

/* Whether a step does not lower f, but for rounding.  The bounds tell, or f's values. */
static int
rises(const mb_alpha_problem *p, const mb_alpha_derivatives *d, const move *m, const double *alpha,
      double total, const double *trial, double after, double *scratch)
{
    double before = of_total(p, total), rise = of_total(p, after) - before;
    double least = -ROUNDING * fabs(before);
    if (rise + m->gain + (m->level - d->slope) * (after - total) >= least) {
        return 1;
    }
    double mine = of_each(p, alpha, scratch);
    return rise + of_each(p, trial, scratch) - mine >= least - ROUNDING * fabs(mine);
}

/* The step of Newton's method or, where it has none, the way f rises. */
static mb_status
newton_step(const mb_alpha_problem *p, const mb_alpha_derivatives *d, move *m, const double *alpha,
            double total, double *trial, double *after)
{
    double slope, grown = sum_at(p, d, alpha, 0.0, &slope) - total;
    double bound = p->prior->max_concentration, most = MOST_GROWTH * total;
    *m = (move){0.0, 0.0, 0.0, 0.0};
    if (d->z * slope < 1.0) {
        m->level = d->z * grown / (d->z * slope - 1.0);
    } else {
        m->asked = grown > 0.0 ? 2.0 * total : 0.5 * total;
        m->asked = m->asked < bound ? m->asked : bound;
        MB_TRY(level_to(p, d, alpha, m->asked, &m->level));
    }
    return step_within(p, d, m, most < bound ? most : bound, alpha, trial, after);
}

/* The step that cannot lower f. */
static mb_status
safe_step(const mb_alpha_problem *p, const mb_alpha_derivatives *d, move *m, const double *alpha,
          double total, double *trial, double *after)
{
    for (size_t v = 0; p->prior->total > 0.0 && v < p->n_tokens; v++) {
        d->curvature[v] += p->prior->total / (total * alpha[v]);
    }
    *m = (move){0.0, 0.0, 0.0, 0.0};
    return step_within(p, d, m, p->prior->max_concentration, alpha, trial, after);
}

/* Whether steps have settled, or come as near as rounding lets them: the error after a
 * Newton step is about the square of its size. */
static int
settled(double size, double previous)
{
    return size <= 1e-8 || (size <= 1e-6 && size >= 0.5 * previous);
}

mb_status
mb_maximize_at_total(const mb_alpha_problem *p, double total, double *alpha,
                     mb_alpha_derivatives *d, int *rises_on)
{
    double previous = INFINITY;
    move m = {0.0, total, 0.0, 0.0};
    mb_scale_to(p->n_tokens, total, p->prior->least, alpha);
    for (int i = 0; i < MAX_STEPS; i++) {
        MB_TRY(derive(p, alpha, total, d));
        MB_TRY(level_to(p, d, alpha, total, &m.level));
        move_alpha(p, d, &m, alpha, alpha);
        if (isnan(m.size) || settled(m.size, previous)) {
            break;
        }
        previous = m.size;
    }
    *rises_on = m.level >= 0.0;
    return MB_OK;
}

/* Whether only a rate that says nothing keeps the settled alpha from the bound: l itself
 * rises to it.  (Where A is far below the bound, l has a maximum.) */
static mb_status
held_by_rate(const mb_alpha_problem *p, double total, const double *alpha, mb_alpha_derivatives *d,
             double *trial, int *held)
{
    double bound = p->prior->max_concentration;
    *held = 0;
    if (!(total > 1e-4 * bound && p->prior->rate * bound < 1e-3)) {
        return MB_OK;
    }
    double slope;
    sum_at(p, d, alpha, 0.0, &slope);
    if (p->prior->rate * slope < 0.01 * total * (1.0 - d->z * slope)) {
        return MB_OK; /* without the rate, Newton's step would go nowhere: l bends here */
    }
    mb_prior_on_alpha no_rate = *p->prior;
    no_rate.rate = 0.0;
    mb_alpha_problem without = *p;
    without.prior = &no_rate;
    memcpy(trial, alpha, p->n_tokens * sizeof(double));
    return mb_maximize_at_total(&without, bound, trial, d, held);
}

/* Where A has climbed and climbed: to the bound at once, if f still rises there and is higher.
 * Newton's steps to a maximum that is far or nowhere grow by less than a half each. */
static mb_status
jump(const mb_alpha_problem *p, double total, double *alpha, mb_alpha_derivatives *d, double *trial,
     double *spare, int *capped)
{
    double bound = p->prior->max_concentration;
    memcpy(trial, alpha, p->n_tokens * sizeof(double));
    MB_TRY(mb_maximize_at_total(p, bound, trial, d, capped));
    if (*capped) {
        double rise = of_total(p, bound) - of_total(p, total);
        *capped = rise + of_each(p, trial, spare) - of_each(p, alpha, spare) >= 0.0;
    }
    if (*capped) {
        memcpy(alpha, trial, p->n_tokens * sizeof(double));
    }
    return MB_OK;
}

mb_status
mb_maximize(const mb_alpha_problem *p, double *alpha, double *scratch, int *capped)
{
    size_t n = p->n_tokens;
    mb_alpha_derivatives d = {scratch, scratch + n, 0.0, 0.0};
    double *trial = scratch + 2 * n, *spare = scratch + 3 * n;
    double bound = p->prior->max_concentration, previous = INFINITY;
    *capped = 0;
    if (mb_sum_in_order(n, alpha) > bound) {
        mb_scale_to(n, bound, p->prior->least, alpha);
    }
    double total = mb_sum_in_order(n, alpha);
    int climbs = 0;
    for (int i = 0; i < MAX_STEPS; i++) {
        MB_TRY(derive(p, alpha, total, &d));
        move m;
        double after;
        MB_TRY(newton_step(p, &d, &m, alpha, total, trial, &after));
        int newton = m.asked == 0.0 || m.asked == bound;
        if (!rises(p, &d, &m, alpha, total, trial, after, spare)) {
            MB_TRY(safe_step(p, &d, &m, alpha, total, trial, &after));
            newton = 0;
        }
        if (isnan(m.size) || !isfinite(after)) {
            break;
        }
        memcpy(alpha, trial, n * sizeof(double));
        climbs = after > 1.2 * total ? climbs + 1 : 0;
        total = after;
        if (climbs == CLIMBS) {
            MB_TRY(jump(p, total, alpha, &d, trial, spare, capped));
            if (*capped) {
                return MB_OK;
            }
        }
        if (newton && settled(m.size, previous)) {
            *capped = m.asked == bound && m.level >= 0.0;
            return *capped ? MB_OK : held_by_rate(p, total, alpha, &d, trial, capped);
        }
        previous = m.size;
    }
    return MB_NUMERIC;
}
