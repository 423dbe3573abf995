/* How far the sum of numbers that were rounded may be from what it was. */
#ifndef MB_ROUNDING_H
#define MB_ROUNDING_H

#include "core/base/status.h"

#include <stddef.h>

/* Decimals, significant digits, the two floating-point formats of 16 bits, and codes of 16 bits. */
enum { MB_DECIMALS = 6, MB_DIGITS = 4, MB_FORMATS = MB_DECIMALS + MB_DIGITS + 3 };

/* What is known of the numbers so far: for each format the largest error of their sum if all were
 * rounded to it; negative where one was not.  Codes are even steps from the least number, `low`, to
 * the largest; `step` is 0 where there can be none. */
typedef struct {
    double low, step, error[MB_FORMATS];
} mb_rounding;

/* One more number, of which `slope` times an error goes into the sum.  It counts as rounded where
 * it is within a relative `precision` of one that is. */
void mb_rounding_add(mb_rounding *rounding, double number, double slope, double precision);

/* The largest error of the sum that rounding explains; 0 where no format fits. */
double mb_rounding_error(const mb_rounding *rounding);

#endif
