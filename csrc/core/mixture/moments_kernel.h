/* The loop of moments.c, included once for each instruction set (hence no guard), see
 * instruction_sets.h. */

/* sum [n] += weight (p ln(p / q) - p + q) of p = scale alpha, each of which is positive: with t =
 * q / p - 1 it is p (t - ln(1 + t)). */
static void
NAME(add_divergences)(size_t n, double weight, double scale, const double *alpha,
                      const double *mean, double *sum)
{
    for (size_t i = 0; i < n; i++) {
        double p = alpha[i] * scale, q = mean[i], t = (q - p) / (p > 0.0 ? p : 1.0);
        double near = t * t * (1.0 / 2 - t * (1.0 / 3 - t * (1.0 / 4 - t * (1.0 / 5 - t / 6))));
        double far = t - log_positive(1.0 + t, t);
        sum[i] += weight * (p > 0.0 ? p * (fabs(t) < 1e-3 ? near : far) : q);
    }
}
