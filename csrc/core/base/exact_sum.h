/* A sum that keeps what rounding takes off it (Neumaier 1974): the sum is sum + rest. */
#ifndef MB_EXACT_SUM_H
#define MB_EXACT_SUM_H

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

#endif
