/* The 16-bit floating-point formats, widened exactly: subnormals, infinities and NaN too. */
#ifndef MB_HALF_H
#define MB_HALF_H

#include "core/base/status.h"

#include <string.h>

MB_INLINE float
mb_float_of_bits(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

MB_INLINE uint32_t
mb_bits_of_float(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* The upper half of a float's bits: sign, 8 bits of exponent, 7 of mantissa. */
MB_INLINE float
mb_bfloat16_to_float(uint16_t bits)
{
    return mb_float_of_bits((uint32_t)bits << 16);
}

/* IEEE 754 binary16: sign, 5 bits of exponent biased by 15, 10 of mantissa.
 *
 * Shifted into place, the exponent lacks 112 of a float's bias.  With 113 added
 * the number stands for 2 |x|, or |x| + 2^-14 where x is subnormal; less 2^-14
 * that is |x| for a subnormal x and at least |x| for any other, so the lesser of
 * both is right.  No operand here is a subnormal float, which would be slow, or
 * lost where a thread flushes them to zero. */
MB_INLINE float
mb_half_to_float(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000) << 16;
    uint32_t magnitude = (uint32_t)(bits & 0x7fff) << 13;
    uint32_t normal = magnitude + (112u << 23);
    float shifted = mb_float_of_bits(magnitude + (113u << 23)) - 0x1p-14f;
    uint32_t subnormal = mb_bits_of_float(shifted);
    uint32_t finite = normal < subnormal ? normal : subnormal;
    /* Exponent 31 has become 143, and what it lacks of 255 is bits that it does not have. */
    uint32_t special = (int32_t)magnitude >= 0x0f800000 ? 112u << 23 : 0;

    return mb_float_of_bits(sign | finite | special);
}

#endif
