/* The M-step of one Dirichlet.
 *
 * Newton's method on the whole of alpha.  The Hessian is a diagonal plus a
 * constant, so that a step costs O(V): with g the gradient and q_v = psi'(alpha_v),
 *
 *     step_v = (g_v - b) / q_v,   b = -sum(g / q) / (1 / psi'(A) - sum(1 / q)).
 *
 * f is concave: where the steps settle is the maximum.  A step is shortened where
 * it would leave the positive orthant.  Where it leaves A <= max_concentration, the
 * maximum with A at that bound is found instead (one equation in one unknown), and
 * kept if f still rises there.
 */
#include "maximization.h"

#include "special.h"

#include <math.h>
#include <string.h>

enum { MAX_STEPS = 200 };

static double
sum_of(size_t n, const double *x)
{
    double sum = 0.0;
    for (size_t v = 0; v < n; v++) {
        sum += x[v];
    }
    return sum;
}

/* Newton's step into `step`; returns its largest size relative to alpha, and in
 * *fall the largest relative fall, or a NaN where rounding has eaten the curvature. */
static double
newton_step(size_t n, const double *mean_log, double rate, const double *alpha, double *step,
            double *curvature, double *fall)
{
    double total = sum_of(n, alpha);
    double level = mb_digamma1(total) - rate;
    mb_digamma(n, alpha, step);
    mb_trigamma(n, alpha, curvature);
    double sum_gq = 0.0, sum_q = 0.0;
    for (size_t v = 0; v < n; v++) {
        step[v] = level - step[v] + mean_log[v];
        sum_gq += step[v] / curvature[v];
        sum_q += 1.0 / curvature[v];
    }
    double rest = 1.0 / mb_trigamma1(total) - sum_q;
    double b = rest > 0.0 ? -sum_gq / rest : NAN;
    double largest = 0.0;
    *fall = 0.0;
    for (size_t v = 0; v < n; v++) {
        step[v] = (step[v] - b) / curvature[v];
        double relative = step[v] / alpha[v];
        largest = fabs(relative) > largest ? fabs(relative) : largest;
        *fall = -relative > *fall ? -relative : *fall;
    }
    return isnan(b) ? NAN : largest;
}

/* The maximum of f under A = total: psi(alpha_v) = mu + mean_log_v with the mu that
 * makes the sum right.  The sum is convex in mu, so Newton's method from the right
 * never overshoots.  Returns whether f still rises with A there. */
static int
maximize_at_total(size_t n, const double *mean_log, double rate, double total, double *alpha,
                  double *scratch)
{
    double mu = mb_digamma1(total);
    for (int i = 0; i < MAX_STEPS; i++) {
        for (size_t v = 0; v < n; v++) {
            scratch[v] = mu + mean_log[v];
        }
        mb_inverse_digamma(n, scratch, alpha);
        mb_trigamma(n, alpha, scratch);
        double slope = 0.0;
        for (size_t v = 0; v < n; v++) {
            slope += 1.0 / scratch[v];
        }
        double excess = sum_of(n, alpha) - total;
        mu -= excess / slope;
        if (fabs(excess) <= 1e-14 * total) {
            break;
        }
    }
    double scale = total / sum_of(n, alpha);
    for (size_t v = 0; v < n; v++) {
        alpha[v] *= scale;
    }
    return mb_digamma1(total) - rate - mu >= 0.0;
}

/* The part of the step to take, at most 1: no alpha falls below a tenth of itself, and,
 * where the bound on A is known not to bind, A goes at most half the way to it. */
static double
step_length(double fall, double total, double rise, double max_concentration, int bound_is_free)
{
    double length = fall > 0.9 ? 0.9 / fall : 1.0;
    if (bound_is_free && total + length * rise > max_concentration) {
        length = 0.5 * (max_concentration - total) / rise;
    }
    return length;
}

mb_status
mb_maximize_dirichlet(size_t n, const double *mean_log, const mb_bounds *bounds, double *alpha,
                      double *scratch, int *capped)
{
    double *step = scratch, *curvature = scratch + n, *start = scratch + 2 * n;
    double bound = bounds->max_concentration, previous = INFINITY;
    int bound_is_free = 0;
    *capped = 0;
    memcpy(start, alpha, n * sizeof(double));
    for (int i = 0; i < MAX_STEPS; i++) {
        double fall;
        double size = newton_step(n, mean_log, bounds->rate, alpha, step, curvature, &fall);
        if (isnan(size)) {
            break;
        }
        double total = sum_of(n, alpha), rise = sum_of(n, step);
        double length = step_length(fall, total, rise, bound, bound_is_free);
        for (size_t v = 0; v < n; v++) {
            alpha[v] += length * step[v];
        }
        if (!bound_is_free && sum_of(n, alpha) > bound) {
            if (maximize_at_total(n, mean_log, bounds->rate, bound, alpha, scratch)) {
                *capped = 1;
                return MB_OK;
            }
            bound_is_free = 1;
            continue;
        }
        /* settled, or as near as rounding lets it come */
        if (size <= 1e-13 || (size <= 1e-6 && size >= 0.5 * previous)) {
            return MB_OK;
        }
        previous = size;
    }
    memcpy(alpha, start, n * sizeof(double));
    return MB_NUMERIC;
}
