/* Each format has a unit at each number, of which a rounded one is a multiple. */
#include "core/rows/rounding.h"

#include "core/special/half.h"

#include <math.h>

/* The largest power of 10 that is not above x, for x from 1e-7 on; below 1e-7. */
static double
power_of_10(double x)
{
    double power = 1;

    while (power > x && power > 1e-7) {
        power /= 10;
    }
    while (power * 10 <= x && power < 1e7) {
        power *= 10;
    }
    return power;
}

/* The largest power of 2 that is not above x, and not below `least`. */
static double
power_of_2(double x, double least)
{
    uint32_t bits = mb_bits_of_float((float)x) & 0x7f800000;
    double power = (double)mb_float_of_bits(bits);

    return power > least ? power : least;
}

static double
unit(size_t format, double size)
{
    static const double tenths[] = {1, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6};

    if (format < MB_DECIMALS) {
        return tenths[format + 1];
    }
    if (format < MB_DECIMALS + MB_DIGITS) { /* two digits at least */
        return power_of_10(size) * tenths[format - MB_DECIMALS + 1];
    }
    return format == MB_FORMATS - 3 ? power_of_2(size, 0x1p-14) * 0x1p-10
                                    : power_of_2(size, 0x1p-126) * 0x1p-7;
}

void
mb_rounding_add(mb_rounding *rounding, double number, double slope, double precision)
{
    double size = fabs(number);

    for (size_t format = 0; format < MB_FORMATS; format++) {
        double *error = &rounding->error[format];
        if (*error < 0) {
            continue;
        }
        int is_code = format == MB_FORMATS - 1;
        double step = is_code ? rounding->step : unit(format, size);
        double from = is_code ? number - rounding->low : size;
        double off = fabs(from - floor(from / step + 0.5) * step);
        if (off <= (is_code ? 0.03 * step : size * precision + 1e-10)) {
            *error += 0.5 * step * slope;
        } else {
            *error = -1;
        }
    }
}

double
mb_rounding_error(const mb_rounding *rounding)
{
    double most = 0;

    for (size_t format = 0; format < MB_FORMATS; format++) {
        most = rounding->error[format] > most ? rounding->error[format] : most;
    }
    return most;
}
