/* Logarithm and the gamma family, one value at a time and over arrays.
 *
 * The array forms take any n, 0 too, and run in vectors.  `out` may be the
 * array of arguments itself, but may not overlap it otherwise.  An argument
 * outside the stated range, NaN too, gives an unspecified value and never a
 * trap: callers check ranges.
 *
 * A value is the same bits from either form and on every instruction set, if
 * the core is compiled with -ffp-contract=off; it is as accurate without.  An
 * ulp is that of the result. */
#ifndef MB_SPECIAL_H
#define MB_SPECIAL_H

#include <stddef.h>

/* ln x, 0 <= x <= inf, subnormal too: -inf at 0, inf at inf; at most 1 ulp off. */
void mb_log(size_t n, const double *x, double *out);

/* e^x, any x: 0 below -745.2, inf above 709.8; at most 1 ulp off. */
void mb_exp(size_t n, const double *x, double *out);

/* ln Gamma(x), 0 < x <= inf; at most 2 ulp of max(1, |result|) off, and by less
 * than 1e-15 of itself near the roots 1 and 2.  DLMF 5.2.1. */
double mb_lgamma1(double x);
void mb_lgamma(size_t n, const double *x, double *out);

/* psi(x), 0 < x <= inf; at most 4 ulp of max(1, |result|) off, and by less than
 * 1e-15 of itself near the root 1.4616...  -inf below 5.6e-309.  DLMF 5.2.2. */
double mb_digamma1(double x);
void mb_digamma(size_t n, const double *x, double *out);

/* psi'(x), 0 < x <= inf; relative error below 1e-15.  inf below 7.4e-155.
 * DLMF 5.15.1. */
double mb_trigamma1(double x);
void mb_trigamma(size_t n, const double *x, double *out);

/* x + ln Gamma(x) + (1 - x) psi(x), the differential entropy of a gamma variate of shape x > 0,
 * and psi(x + 1) - ln x, by which the logarithm of its mean is above the mean of the logarithm
 * after another observation: both without the cancellation of large x.  Relative error below
 * 1e-14, but for the first near its root 0.2976... */
double mb_gamma_entropy1(double x);
double mb_log_excess1(double x);

/* The x > 0 with psi(x) = y, any y; relative error below 2e-15.  0 at -inf,
 * inf above 709.8. */
double mb_inverse_digamma1(double y);
void mb_inverse_digamma(size_t n, const double *y, double *out);

/* ln Gamma(a + n) - ln Gamma(a), the logarithm of a rising factorial, for real
 * a and n; exactly 0 where n = 0 and ln a where n = 1.  For a in [1e-8, 1e12]
 * and n in [0, 1e9] the error is below 2e-15 (|result| + min(n, 1) max(1, |ln a|)):
 * 1e-14 of the result, but for a + n so near the mirror image of a in the minimum
 * of Gamma that the two terms all but cancel. */
double mb_lgamma_difference(double a, double n);
void mb_lgamma_differences(size_t n, const double *a, const double *count, double *out);

/* psi(a + n) - psi(a), the sum of 1 / (a + i) over i < n where n is whole;
 * exactly 0 where n = 0 and 1 / a where n = 1.  Relative error below 1e-15 for
 * a in [1e-8, 1e12] and n in [0, 1e9]. */
double mb_digamma_difference(double a, double n);
void mb_digamma_differences(size_t n, const double *a, const double *count, double *out);

#endif
