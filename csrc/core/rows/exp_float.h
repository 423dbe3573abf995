/* The exponential of a float, for sums over a row. */
#ifndef MB_EXP_FLOAT_H
#define MB_EXP_FLOAT_H

#include "core/base/status.h"
#include "core/special/half.h"

/* e^x as 2^k 2^f with |f| <= 1/2, for x <= 0; 2^-125 below -86.6; some number
 * for x > 88, and NaN for NaN.  A relative error of 1e-7 + 6e-8 |x|; e^0 = 1. */
MB_INLINE float
exp_float(float x)
{
    /* Adding this leaves the nearest integer in the low bits, biased as an exponent is. */
    const float to_integer = 0x1.8p23f + 127;
    /* (2^f - 1) / f, |f| < 1/2: minimax for the relative error of 2^f, 9.1e-8. */
    const float c1 = 0.6931469775578207f, c2 = 0.24022242076983824f, c3 = 0.05550733777650828f;
    const float c4 = 0.009671513022325122f, c5 = 0.001326472036621648f;

    float scaled = x * 1.44269504088896340736f;
    float y = -125 > scaled ? -125 : scaled; /* in this order it keeps NaN */
    float shifted = y + to_integer;
    float f = y - (shifted - to_integer);
    float power = ((((c5 * f + c4) * f + c3) * f + c2) * f + c1) * f + 1;

    return power * mb_float_of_bits(mb_bits_of_float(shifted) << 23);
}

#endif
