/* The loops of rows.c, included once for each instruction set (hence no guard), see
 * instruction_sets.h. */

/* Whether the exponent of any is 0 or 31: zero, subnormal, infinite or NaN. */
static int
NAME(any_special)(size_t n, const uint16_t *bits)
{
    int16_t lowest = INT16_MAX;
    for (size_t i = 0; i < n; i++) {
        int16_t wrapped = (int16_t)((bits[i] + 0x0400) & 0x7800);
        if (wrapped < lowest) {
            lowest = wrapped;
        }
    }
    return lowest == 0;
}

static void
NAME(widen_normal)(size_t n, const uint16_t *bits, float *out)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t spread = (uint32_t)(int16_t)bits[i] << 13; /* exponent in place, and the sign */
        out[i] = mb_float_of_bits((spread & 0x8fffe000) + (112u << 23));
    }
}

static void
NAME(widen_any)(size_t n, const uint16_t *bits, float *out)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = mb_half_to_float(bits[i]);
    }
}

static void
NAME(widen_bfloat16)(size_t n, const uint16_t *bits, float *out)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = mb_bfloat16_to_float(bits[i]);
    }
}

#define REAL float
#define REAL_MAX FLT_MAX
#define EXP exp_float
#define LOOP(x) NAME(x##_float)
#include "core/rows/row_loops.h"
#undef LOOP
#undef EXP
#undef REAL_MAX
#undef REAL

#define REAL double
#define REAL_MAX DBL_MAX
#define EXP exp_value
#define LOOP(x) NAME(x##_double)
#include "core/rows/row_loops.h"
#undef LOOP
#undef EXP
#undef REAL_MAX
#undef REAL
