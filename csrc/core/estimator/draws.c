/* Draws of tokens: sorted uniform numbers walk once along the sums of a row.
 *
 * n of them, sorted, are the first n partial sums of n + 1 exponential variates over their total; so
 * the tokens of a draw come in rising order, and equal ones beside each other. */
#include "core/estimator/draws.h"

#include "core/special/special.h"

#include <math.h>

enum { STRIDE = 64 };
enum { READ = 8, PICK = 32 /* nanoseconds: of a number of a row, of a token drawn */ };
#define GOLDEN 0x9e3779b97f4a7c15u /* 2^64 over the golden ratio */

/* SplitMix64's scrambling (Steele, Lea & Flood 2014): of a counter times GOLDEN, a generator. */
static inline uint64_t
scrambled(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline uint64_t
key_of(uint64_t key, uint64_t number)
{
    return scrambled(key + GOLDEN * (number + 1));
}

size_t
mb_draw_scratch(size_t n_tokens, const mb_draw_plan *plan)
{
    return 2 * n_tokens + plan->n + 1;
}

/* The probabilities of a row into p [n_tokens], their sums up to each into `sums`; their total. */
static double
add_up(const mb_draw_row *row, double *p, double *sums)
{
    size_t n = row->n_tokens;
    for (size_t v = 0; v < n; v++) {
        p[v] = row->is_double ? ((const double *)row->log_probs)[v]
                              : (double)((const float *)row->log_probs)[v];
    }
    mb_exp(n, p, p);
    double total = 0.0;
    for (size_t v = 0; v < n; v++) {
        total += p[v];
        sums[v] = total;
    }
    return total;
}

/* n + 1 exponential variates into `places`, as their partial sums. */
static void
draw_places(uint64_t key, size_t n, double *places)
{
    for (size_t i = 0; i <= n; i++) { /* in the middle of 2^53 intervals, never 0 or 1 */
        places[i] = ((double)(key_of(key, i) >> 11) + 0.5) * 0x1p-53;
    }
    mb_log(n + 1, places, places);
    double sum = 0.0;
    for (size_t i = 0; i <= n; i++) {
        sum -= places[i];
        places[i] = sum;
    }
}

/* Where the n places fall among the sums: columns and counts; how many of them. */
static size_t
walk(size_t n, const double *places, size_t n_tokens, const double *sums, int64_t *columns,
     double *counts)
{
    double total = sums[n_tokens - 1], least = total * (1.0 - 0x1p-53), scale = total / places[n];
    size_t found = 0, v = 0;
    for (size_t i = 0; i < n; i++) {
        double place = places[i] * scale;
        place = place < total ? place : least; /* by rounding alone */
        while (v + STRIDE < n_tokens && sums[v + STRIDE - 1] <= place) {
            v += STRIDE;
        }
        while (v + 1 < n_tokens && sums[v] <= place) {
            v++;
        }
        if (found > 0 && columns[found - 1] == (int64_t)v) {
            counts[found - 1] += 1.0;
        } else {
            columns[found] = (int64_t)v;
            counts[found++] = 1.0;
        }
    }
    return found;
}

mb_status
mb_draw(const mb_draw_row *row, const mb_draw_plan *plan, mb_interrupt *interrupt, double *scratch,
        size_t start, int64_t *ends, int64_t *columns, double *counts, double *mean)
{
    size_t n_tokens = row->n_tokens;
    double *p = scratch, *sums = p + n_tokens, *places = sums + n_tokens;
    double total = add_up(row, p, sums);
    if (!(total > 0.0) || isinf(total)) {
        return MB_INVALID;
    }
    double share = row->weight / total;
    for (size_t v = 0; v < n_tokens; v++) {
        mean[v] += share * p[v];
    }
    MB_TRY(mb_ask(interrupt, READ * n_tokens));
    uint64_t key = key_of(scrambled(plan->seed), row->number);
    for (size_t d = 0; d < plan->n_each; d++) {
        draw_places(key_of(key, d), plan->n, places);
        start += walk(plan->n, places, n_tokens, sums, columns + start, counts + start);
        ends[d] = (int64_t)start;
        MB_TRY(mb_ask(interrupt, PICK * plan->n + n_tokens / STRIDE));
    }
    return MB_OK;
}
