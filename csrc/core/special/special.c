/* The gamma family, and the loops over arrays of it and of the logarithm.
 *
 * Stirling's series in z = x - 1/2, which has even powers only, for large x;
 * smaller x are shifted up to it by recurrence, with care that nothing cancels
 * near a root.  The inverse of psi is a rational start and one Newton step.
 * DLMF is the Digital Library of Mathematical Functions, https://dlmf.nist.gov. */
#include "core/special/special.h"

#include "core/special/special_log.h"

#define HALF_LN_2PI 0.91893853320467274178

/* Numbers printed by tools/make_coefficients.py, as in special_log.h. */
/* clang-format off */
#define DIGAMMA_ROOT_HIGH 1.4616321449683622
#define DIGAMMA_ROOT_LOW 9.549995429965697e-17
/* ln Gamma(2 + t) / t, |t| < 1/2; 2.0e-17. */
static const double near2_c[] = {
    0.42278433509846713, 0.3224670334241132, -0.06735230105319563, 0.02058080842778338,
    -0.007385551028935545, 0.002890510330865901, -0.0011927539009983087, 0.0005096695196526673,
    -0.00022315497746292723, 9.945761692157133e-05, -4.4923727564247656e-05, 2.050601970174762e-05,
    -9.45628851510172e-06, 4.3828545383846665e-06, -1.9743106888421067e-06, 9.242852225162277e-07,
    -5.811277768921246e-07, 2.7475390051909663e-07};
/* (ln Gamma(z + 1/2) - z ln z + z - ln(2 pi) / 2) z in 1 / z^2, z > 3; 6.3e-16. */
static const double lgamma_c[] = {
    -0.041666666666666644, 0.0024305555554976484, -0.0007688491851218624, 0.0005905847136988981,
    -0.000839872333649145, 0.0019058925383427666, -0.0060915824734574285, 0.02302249624345815,
    -0.08132946319170178, 0.20709154424954018, -0.26180697592279095};
/* (psi(z + 1/2) - ln z) z^2 in 1 / z^2, z > 3.5; 8.7e-16. */
static const double digamma_c[] = {
    0.04166666666666663, -0.007291666666557676, 0.003844245977495883, -0.004134103904847518,
    0.007559864351362293, -0.021015172782160037, 0.08065061318730059, -0.37082878911742456,
    1.646596241393581, -5.428998680132625, 9.060378864911641};
/* (psi'(z + 1/2) z - 1) z^2 in 1 / z^2, z > 3.5; 8.1e-15. */
static const double trigamma_c[] = {
    -0.08333333333333265, 0.02916666666462053, -0.023065475170772714, 0.03307271548675571,
    -0.07558887088783323, 0.25170950231740813, -1.115233507300143, 5.681745324080552,
    -26.88982669558773, 91.98157833927941, -156.81575747113965};
/* (x - 1/2 - v) v in 1 / v^2, where v = e^psi(x) > e^(-1/4); 5.8e-8. */
static const double inverse_high_above[] = {
    -0.04166666420826242, -0.15820873674959085, -0.14441329326952937, -0.03177577895231177,
    -0.0008410805140413062};
static const double inverse_high_below[] = {
    1.0, 3.909503439864613, 3.84284098720031, 1.0211720205742196,
    0.04995565684192037};
/* (x - t) / t^2 in t = 1 / (3/2 - psi(x)), psi(x) < -1/4; 4.0e-9. */
static const double inverse_low_above[] = {
    2.0772156653695237, -4.9324271330463585, 19.988927207950546, -16.573377680601705,
    33.7894797204817, -3.677481850171971};
static const double inverse_low_below[] = {
    1.0, -3.6598596381497925, 14.368327199453448, -21.951756192833308,
    38.08177154923919, -20.691596093209778, 20.113325306105473};
/* clang-format on */

/* ---- ln Gamma ----
 *
 * Always factor * ln(q) + rest.  Up to 7/2, t is x less its nearest integer and
 * DLMF 5.5.1 leads to ln Gamma(2 + t), a series that vanishes with t, so that
 * both roots keep their relative accuracy; beyond, DLMF 5.11.1 in z = x - 1/2:
 *
 *     x < 1/2    ln Gamma(2 + t) - ln(x (x + 1))
 *     x < 3/2    ln Gamma(2 + t) - ln x
 *     x < 5/2    ln Gamma(2 + t)
 *     x < 7/2    ln Gamma(2 + t) + ln(x - 1)
 *     else       z (ln z - 1) + ln(2 pi)/2 + series(1/z^2) / z */
MB_INLINE double
lgamma_value(double x)
{
    double finite = x < DBL_MAX ? x : DBL_MAX;
    int stirling = finite >= 3.5;
    double t = finite < 2.5 ? finite - 2 : finite - 3;
    double q = finite < 2.5 ? 1 : finite - 1;
    double factor = finite < 2.5 ? 0 : 1;

    t = finite < 1.5 ? finite - 1 : t;
    q = finite < 1.5 ? finite : q;
    factor = finite < 1.5 ? -1 : factor;
    t = finite < 0.5 ? finite : t;
    q = finite < 0.5 ? finite * (finite + 1) : q;
    q = stirling ? finite - 0.5 : q;
    factor = stirling ? q : factor;

    double low, high = log_parts(q, q - 1, &low);
    double one = stirling ? 1 : 0;
    double less = high - one;
    double lost = ((high - less) - one) + low;

    double v = 1 / (stirling ? q : 3);
    double far = HALF_LN_2PI + v * SERIES(lgamma_c, v * v);
    double near = t * SERIES(near2_c, t);
    return factor * less + (factor * lost + (stirling ? far : near));
}

/* ln Gamma(a + n) - ln Gamma(a).  An a below 4 moves up four steps by DLMF
 * 5.5.1, which costs ln(q):
 *
 *     n >= 4         q = a (a+1) (a+2) (a+3), and n - 4 remains of n
 *     n = 1, 2, 3    q = a, a (a+1), a (a+1) (a+2), and nothing remains
 *     else           1/q = (a+n) ... (a+n+3) / (a ... (a+3)), which is 1 and
 *                    something that no cancellation spoils; n remains
 *
 * What remains of n goes into the difference of Stirling's series at y = z + n
 * and z, each term of which is in a form that vanishes with n. */
MB_INLINE double
lgamma_difference_value(double a, double n)
{
    int low = a < 4;
    double two = a * (a + 1), three = two * (a + 2), four = three * (a + 3);
    double pair = a * (a + 3), more = n * (2 * a + 3 + n);
    double ratio_less_1 = low ? more * (2 * pair + more + 2) / (pair * (pair + 2)) : 0;

    int product = (n == 1) | (low & ((n == 2) | (n == 3) | (n >= 4)));
    double q = n >= 4 ? four : (n == 3 ? three : (n == 2 ? two : a));
    double q_less_1 = product ? q - 1 : ratio_less_1;
    q = product ? q : 1 + ratio_less_1;
    double steps = product ? (n >= 4 ? n - 4 : 0) : n;
    double log_q = log_positive(q, q_less_1);

    double z = a + (low ? 3.5 : -0.5), y = z + steps;
    double u = 1 / z, v = 1 / y, change = steps / z;
    double at_z, slope = horner_slope(lgamma_c, DEGREE(lgamma_c), u * u, v * v, &at_z);
    double series = u * v * (at_z + v * (u + v) * slope);
    double growth = (log_positive(y, y - 1) - 1) - series;
    double stirling = steps * growth + z * log_positive(1 + change, change);

    return product ? stirling + log_q : stirling - log_q;
}

/* ---- psi and psi' ---- */

/* psi(b) - psi(a) for b = a + n: DLMF 5.11.2 in z = a - 1/2 and y = b - 1/2,
 *
 *     ln(y / z) + series(1/y^2) / y^2 - series(1/z^2) / z^2,
 *
 * after four steps of DLMF 5.5.2 where a < 4, each of which adds
 * 1/a - 1/b = n / (a b), the first of them given: which of a and b is small says how.  All of
 * it is n times something positive, so nothing cancels but a little in the series. */
MB_INLINE double
digamma_step(double a, double n, double b, double first)
{
    int low = a < 4;
    double shift = low ? 3.5 : -0.5;
    double z = a + shift, y = b + shift;
    double u = 1 / z, v = 1 / y, change = n * u;
    double at_z, slope = horner_slope(digamma_c, DEGREE(digamma_c), u * u, v * v, &at_z);
    double series = u * v * (u + v) * (at_z + v * v * slope);

    double finite_n = n < 0x1p200 ? n : 0x1p200, finite_b = b < 0x1p200 ? b : 0x1p200;
    double p1 = (a + 1) * (finite_b + 1), p2 = (a + 2) * (finite_b + 2);
    double p3 = (a + 3) * (finite_b + 3);
    double later = finite_n * ((p1 * (p2 + p3) + p2 * p3) / (p1 * p2 * p3));
    double steps = low ? first + later : 0;
    double lost, high = log_parts(1 + change, change, &lost);

    return steps + (high + (lost - n * series));
}

MB_INLINE double
digamma_difference_value(double a, double n)
{
    double b = a + n, step = digamma_step(a, n, b, n / b * (1 / a));

    return n == 1 ? 1 / a : step;
}

/* psi(x) as its difference from the root, where it is 0. */
MB_INLINE double
digamma_value(double x)
{
    double n = (x - DIGAMMA_ROOT_HIGH) - DIGAMMA_ROOT_LOW;
    double first = n * (1 / DIGAMMA_ROOT_HIGH) / x;
    double finite = digamma_step(DIGAMMA_ROOT_HIGH, n, x, first);

    return x < INFINITY ? finite : x;
}

/* DLMF 5.11.2's derivative in z = x - 1/2 after four steps of DLMF 5.15.5. */
MB_INLINE double
trigamma_value(double x)
{
    int low = x < 4;
    double z = x + (low ? 3.5 : -0.5), u = 1 / z, w = u * u;
    double p0 = x * x, p1 = (x + 1) * (x + 1), p2 = (x + 2) * (x + 2), p3 = (x + 3) * (x + 3);
    double left = p0 * p1, right = p2 * p3;
    double steps = ((p0 + p1) * right + (p2 + p3) * left) / (left * right);

    return (low ? steps : 0) + u * (1 + w * SERIES(trigamma_c, w));
}

/* Where y is above -1/4 the solution is v + 1/2 - 1/(24 v) + ... in v = e^y, and
 * below it is t + ... in t = 1/(3/2 - y).  A rational function for the dots is
 * right to 1e-8, and one Newton step squares that.  Far out the dots vanish and
 * the start is exact, which a step would spoil by the rounding of psi. */
MB_INLINE double
inverse_digamma_value(double y)
{
    int above = y > -0.25;
    double v = exp_value(above ? y : 0);
    double base = above ? v : 1 / (1.5 - y);
    double small = above ? 1 / v : base;
    double scale = above ? small : base * base;
    double t = above ? small * small : base;
    double top = above ? SERIES(inverse_high_above, t) : SERIES(inverse_low_above, t);
    double bottom = above ? SERIES(inverse_high_below, t) : SERIES(inverse_low_below, t);
    double start = base + ((above ? 0.5 : 0) + scale * (top / bottom));
    double refined = start - (digamma_value(start) - y) / trigamma_value(start);

    int rounded = (y < -1e8) | (y > 9.5);

    return rounded ? start : refined;
}

/* ---- Both without their leading terms ----
 *
 * With c_k = B_2k / (2 k), DLMF 5.11.1 and 5.11.2 are
 *
 *     ln Gamma(x) = (x - 1/2) ln x - x + ln(2 pi) / 2 + sum c_k / (2 k - 1) x^(1 - 2k)
 *     psi(x)      = ln x - 1/(2x) - sum c_k x^(-2k) */
static const double bernoulli_c[] = {
    1.0 / 12,         -1.0 / 120, 1.0 / 252,        -1.0 / 240,        1.0 / 132,
    -691.0 / 32760.0, 1.0 / 12,   -3617.0 / 8160.0, 43867.0 / 14364.0, -174611.0 / 6600.0};
#define FAR_OUT 7.0 /* where these suffice, and the leading terms would cost a digit */

/* psi(x + 1) - ln x = 1/(2x) - sum c_k x^(-2k) */
static double
log_excess_value(double x)
{
    if (x < FAR_OUT) {
        return digamma_value(x + 1) - log_value(x);
    }
    double u = 1 / x, w = u * u;
    return u * (0.5 - u * SERIES(bernoulli_c, w));
}

/* ln(2 pi e x) / 2 - 1/(2x) + sum c_k (2k / (2k - 1) - 1/x) x^(1 - 2k) */
static double
gamma_entropy_value(double x)
{
    if (x < FAR_OUT) {
        return x + lgamma_value(x) + (1 - x) * digamma_value(x);
    }
    double u = 1 / x, w = u * u, sum = 0;
    for (int k = DEGREE(bernoulli_c) + 1; k > 0; k--) {
        sum = sum * w + bernoulli_c[k - 1] * (2.0 * k / (2.0 * k - 1.0) - u);
    }
    return HALF_LN_2PI + 0.5 + 0.5 * log_value(x) + u * (sum - 0.5);
}

/* ---- Arrays ---- */

#define KERNEL "core/special/special_kernel.h"
#include "core/base/instruction_sets.h"

#define ARRAY_FUNCTION(name)                                                                       \
    void mb_##name(size_t n, const double *x, double *out)                                         \
    {                                                                                              \
        CHOOSE(name##_loop, n, x, out);                                                            \
    }

#define ARRAY_FUNCTION_OF_TWO(name)                                                                \
    void mb_##name##s(size_t n, const double *a, const double *count, double *out)                 \
    {                                                                                              \
        CHOOSE(name##_loop, n, a, count, out);                                                     \
    }

ARRAY_FUNCTION(log)
ARRAY_FUNCTION(exp)
ARRAY_FUNCTION(lgamma)
ARRAY_FUNCTION(digamma)
ARRAY_FUNCTION(trigamma)
ARRAY_FUNCTION(inverse_digamma)
ARRAY_FUNCTION_OF_TWO(lgamma_difference)
ARRAY_FUNCTION_OF_TWO(digamma_difference)

/* ---- One value ---- */

double
mb_lgamma1(double x)
{
    return lgamma_value(x);
}

double
mb_digamma1(double x)
{
    return digamma_value(x);
}

double
mb_trigamma1(double x)
{
    return trigamma_value(x);
}

double
mb_gamma_entropy1(double x)
{
    return gamma_entropy_value(x);
}

double
mb_log_excess1(double x)
{
    return log_excess_value(x);
}

double
mb_inverse_digamma1(double y)
{
    return inverse_digamma_value(y);
}

double
mb_lgamma_difference(double a, double n)
{
    return lgamma_difference_value(a, n);
}

double
mb_digamma_difference(double a, double n)
{
    return digamma_difference_value(a, n);
}
