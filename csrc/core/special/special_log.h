/* The inline bodies of the logarithm and the exponential, and the pieces that
 * every body of special.c is made of.
 *
 * A body is free of branches, so that a loop over it becomes vectors: what
 * would be a case is an argument chosen for a common formula.  The results do
 * not depend on the instruction set, unless the compiler contracts a * b + c;
 * that is as accurate, so it may.
 *
 * The reductions by powers of 2 and the series of the logarithm are those of
 * fdlibm (https://www.netlib.org/fdlibm), with coefficients of our own. */
#ifndef MB_SPECIAL_LOG_H
#define MB_SPECIAL_LOG_H

#include "core/base/status.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* Numbers printed by tools/make_coefficients.py (mpmath, 60 digits).  The
 * comment on a series ends with its largest relative error. */
/* clang-format off */
#define LN2_HIGH 0.6931471805601177
#define LN2_LOW (-1.7239444525614835e-13)
/* (2 atanh(s) - 2 s) / s^3 in s^2, |s| < 0.172; 4.6e-16. */
static const double log_c[] = {
    0.666666666666667, 0.39999999999899505, 0.28571428625975487, 0.2222221113479508,
    0.18182889125261723, 0.15331721600556042, 0.14616449685043406};
/* (e^r - 1 - r) / r^2, |r| < ln(2) / 2; 2.2e-16. */
static const double exp_c[] = {
    0.5000000000000001, 0.16666666666666669, 0.041666666666624164, 0.008333333333330065,
    0.0013888888917196719, 0.00019841269863040545, 2.4801521322368692e-05, 2.7557268480310024e-06,
    2.7620075879983367e-07, 2.5100375832561234e-08};
/* clang-format on */

/* ---- Pieces ---- */

/* c[0] + c[1] x + ... + c[degree] x^degree, the terms of even and of odd degree
 * side by side; degree >= 2 */
MB_INLINE double
horner(const double *c, int degree, double x)
{
    double square = x * x, sum = c[degree], other = c[degree - 1];

    UNROLL
    for (int i = degree - 2; i > 0; i -= 2) {
        sum = sum * square + c[i];
        other = other * square + c[i - 1];
    }
    return degree % 2 ? sum * x + other : sum * square + c[0] + other * x;
}

/* The slope (p(x) - p(x0)) / (x - x0) of such a polynomial p, and p(x0).  It is
 * the derivative where x is x0. */
MB_INLINE double
horner_slope(const double *c, int degree, double x0, double x, double *at_x0)
{
    double sum = c[degree], slope = 0;

    UNROLL
    for (int i = degree - 1; i >= 0; i--) {
        slope = slope * x + sum;
        sum = sum * x0 + c[i];
    }
    *at_x0 = sum;
    return slope;
}

#define DEGREE(c) ((int)(sizeof(c) / sizeof((c)[0])) - 1)
#define SERIES(c, x) horner(c, DEGREE(c), x)

MB_INLINE double
as_double(uint64_t bits)
{
    double x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

MB_INLINE uint64_t
as_bits(double x)
{
    uint64_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* A sum with 1.5 * 2^52 has the nearest integer to x in its low bits, which
 * unlike a conversion every instruction set does in vectors. */
#define TO_INTEGER 0x1.8p52

MB_INLINE double
nearest_integer(double x)
{
    return (x + TO_INTEGER) - TO_INTEGER;
}

/* 2^k for an integer k in -1022..1023 */
MB_INLINE double
power_of_2(double k)
{
    return as_double(as_bits(k + (TO_INTEGER + 1023)) << 52);
}

/* ---- Logarithm and exponential ---- */

#define ONE_BITS UINT64_C(0x3ff0000000000000)
#define SQRT_HALF_BITS UINT64_C(0x3fe6a09e00000000)
#define MANTISSA UINT64_C(0x000fffffffffffff)

/* ln u, 0 < u < inf, as a sum of the value returned and *low, off by 0.2 ulp of it.
 * `u_less_1` is u - 1, which may know more digits than u does.
 *
 * u = 2^k (1 + f) with sqrt(1/2) < 1 + f < sqrt(2), and s = f / (2 + f) give
 * ln(1 + f) = 2 atanh(s) = f - f^2/2 + s (f^2/2 + 2/3 s^2 + 2/5 s^4 + ...). */
MB_INLINE double
log_parts(double u, double u_less_1, double *low)
{
    int subnormal = u < DBL_MIN;
    uint64_t bits = as_bits(subnormal ? u * 0x1p54 : u) + (ONE_BITS - SQRT_HALF_BITS);
    double exponent = as_double((bits >> 52) | as_bits(0x1p52));
    double k = exponent - (subnormal ? 0x1p52 + 1077 : 0x1p52 + 1023);
    double m = as_double((bits & MANTISSA) + SQRT_HALF_BITS);
    double f = k == 0 ? u_less_1 : m - 1;

    double s = f / (2 + f), z = s * s;
    double half_square = 0.5 * f * f;
    double start = f - half_square;
    double rest = ((f - start) - half_square) + s * (half_square + z * SERIES(log_c, z));

    double power = k * LN2_HIGH; /* exact */
    double high = power + start;
    *low = ((power - high) + start) + (rest + k * LN2_LOW);
    return high;
}

MB_INLINE double
log_positive(double u, double u_less_1)
{
    double low, high = log_parts(u, u_less_1, &low);

    return high + low;
}

/* ln x, 0 <= x <= inf */
MB_INLINE double
log_value(double x)
{
    double finite = log_positive(x, x - 1);
    double above_0 = x > 0 ? finite : -INFINITY;

    return x < INFINITY ? above_0 : x;
}

/* ln x and 1 / x of a normal number x below 2^1023, off by 2 ulp or so: for both one division,
 * and no cases.  x = 2^k m with sqrt(1/2) < m < sqrt(2), and ln m = 2 atanh((m - 1) / (m + 1)). */
MB_INLINE double
log_and_inverse(double x, double *inverse)
{
    uint64_t bits = as_bits(x) + (ONE_BITS - SQRT_HALF_BITS), biased = bits >> 52;
    double k = as_double(biased | as_bits(0x1p52)) - (0x1p52 + 1023);
    double m = as_double((bits & MANTISSA) + SQRT_HALF_BITS);
    double both = 1 / (m * (m + 1));
    double s = (m - 1) * (both * m), z = s * s;

    *inverse = both * (m + 1) * as_double((2046 - biased) << 52);
    return k * LN2_HIGH + (2 * s + (s * (z * SERIES(log_c, z)) + k * LN2_LOW));
}

/* e^x = 2^k e^r with |r| <= ln(2)/2.  The power of 2 comes in two steps, as
 * neither 2^k nor the result need be a normal number. */
MB_INLINE double
exp_value(double x)
{
    double floored = x < -746 ? -746 : x;
    double clamped = floored > 710 ? 710 : floored;
    double k = nearest_integer(clamped * 1.44269504088896340736);
    double high = clamped - k * LN2_HIGH, low = k * LN2_LOW;
    double r = high - low;
    double lost = (high - r) - low;
    double power = 1 + (r + (lost + r * r * SERIES(exp_c, r)));
    double half = nearest_integer(0.5 * k);

    return power * power_of_2(half) * power_of_2(k - half);
}

#endif
