/* The loop of posterior.c, included once for each instruction set (hence no guard), see
 * instruction_sets.h. */

static void
NAME(add_predictive)(size_t n, double scale, const double *alpha, const double *counts, double *p)
{
    for (size_t i = 0; i < n; i++) {
        p[i] += scale * (alpha[i] + counts[i]);
    }
}
