/* A sum that keeps what rounding takes off it (Neumaier 1974): the sum is sum + rest. */
#ifndef MB_EXACT_SUM_H
#define MB_EXACT_SUM_H

#include <stddef.h>

typedef struct {
    double sum, rest;
} mb_exact_sum;

static inline void
mb_exact_add(mb_exact_sum *s, double x)
{
    double sum = s->sum + x, size = s->sum < 0.0 ? -s->sum : s->sum;
    s->rest += size >= (x < 0.0 ? -x : x) ? (s->sum - sum) + x : (x - sum) + s->sum;
    s->sum = sum;
}

static inline double
mb_exact_value(mb_exact_sum s)
{
    return s.sum + s.rest;
}

/* The sum of n numbers in that way. */
static inline double
mb_exact_total(size_t n, const double *x)
{
    mb_exact_sum s = {0.0, 0.0};
    for (size_t i = 0; i < n; i++) {
        mb_exact_add(&s, x[i]);
    }
    return mb_exact_value(s);
}

#endif
