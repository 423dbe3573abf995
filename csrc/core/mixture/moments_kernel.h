/* The loop of moments.c, included once for each instruction set (hence no guard), see
 * instruction_sets.h. */

/* sum [n] += weight (p ln(p / q) - p + q) of p = scale alpha, each of which is positive: with t =
 * q / p - 1 it is p (t - ln(1 + t)).  Where q / p is far from 1 its own logarithm has all digits, and
 * beside 1e300 p, for which that ratio may be too large, the logarithm counts for nothing. */
static void
NAME(add_divergences)(size_t n, double weight, double scale, const double *alpha,
                      const double *mean, double *sum)
{
    for (size_t i = 0; i < n; i++) {
        double p = alpha[i] * scale, q = mean[i];
        double ratio = q / (q < 1e300 * p ? p : q), t = (q - p) / (q < 1e300 * p ? p : q);
        double near = t * t * (1.0 / 2 - t * (1.0 / 3 - t * (1.0 / 4 - t * (1.0 / 5 - t / 6))));
        double u = fabs(t) < 0.5 ? 1.0 + t : ratio;
        double far = t - log_positive(u, fabs(t) < 0.5 ? t : ratio - 1.0);
        sum[i] += weight * (q < 1e300 * p ? p * (fabs(t) < 1e-3 ? near : far) : q);
    }
}
