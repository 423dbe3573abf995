/* Sums of arrays: in an order that every compiler and instruction set keeps. */
#ifndef MB_SUMS_H
#define MB_SUMS_H

#include "core/base/status.h"

#include <stddef.h>

enum { MB_SUM_LANES = 8 /* partial sums, which do not wait for each other */ };

/* x[0] + x[1] + ...: for few numbers, and lanes. */
MB_INLINE double
mb_sum_in_order(size_t n, const double *x)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        sum += x[i];
    }
    return sum;
}

/* The sum of x in lanes, then what is left over. */
MB_INLINE double
mb_sum(size_t n, const double *x)
{
    double lanes[MB_SUM_LANES] = {0.0};
    size_t whole = n / MB_SUM_LANES * MB_SUM_LANES;
    for (size_t i = 0; i < whole; i += MB_SUM_LANES) {
        for (size_t l = 0; l < MB_SUM_LANES; l++) {
            lanes[l] += x[i + l];
        }
    }
    double sum = mb_sum_in_order(MB_SUM_LANES, lanes);
    for (size_t i = whole; i < n; i++) {
        sum += x[i];
    }
    return sum;
}

/* The sum of x y, likewise. */
MB_INLINE double
mb_dot(size_t n, const double *x, const double *y)
{
    double lanes[MB_SUM_LANES] = {0.0};
    size_t whole = n / MB_SUM_LANES * MB_SUM_LANES;
    for (size_t i = 0; i < whole; i += MB_SUM_LANES) {
        for (size_t l = 0; l < MB_SUM_LANES; l++) {
            lanes[l] += x[i + l] * y[i + l];
        }
    }
    double sum = mb_sum_in_order(MB_SUM_LANES, lanes);
    for (size_t i = whole; i < n; i++) {
        sum += x[i] * y[i];
    }
    return sum;
}

#endif
