/* Distances between rows, a piece of their tokens after the other. */
#include "core/rows/distances.h"

#include "core/base/sums.h"
#include "core/special/special_log.h"
#include "core/rows/variation.h"

#include <string.h>

/* Fused multiply-adds, which are no less accurate. */
#include "core/base/contract.h"

enum {
    LANES = 16, /* sums that run side by side */
    PIECE = 512 /* tokens whose working memory stays in the first cache */
};

/* ---- pairs ------------------------------------------------------------------------- */

/* What has been added up, in lanes. */
typedef struct {
    double sum[LANES], high[LANES], low[LANES];
} totals;

static void
start(totals *t)
{
    for (size_t l = 0; l < LANES; l++) {
        t->sum[l] = 0.0;
        t->high[l] = -INFINITY;
        t->low[l] = INFINITY;
    }
}

/* p ln(2p / s), with s = p + q > 0 and p - q = d. */
MB_INLINE double
share_of_middle(double p, double d, double s)
{
    double x = d / s; /* 2p / s is 1 + x */
    return p > 0 ? p * log_positive(p > 0 ? 1 + x : 1, p > 0 ? x : 0) : 0;
}

/* sum[l] += term of each token; n is whole lanes, what lies behind the end of rows equal in both.
 * (The sums are the loop's own: it need not ask whether they are among the rows.) */
#define ADD_UP(term)                                                                               \
    do {                                                                                           \
        double own[LANES];                                                                         \
        memcpy(own, sum, sizeof(own));                                                             \
        for (size_t i = 0; i + LANES <= n; i += LANES) {                                           \
            for (size_t l = 0; l < LANES; l++) {                                                   \
                own[l] += (term);                                                                  \
            }                                                                                      \
        }                                                                                          \
        memcpy(sum, own, sizeof(own));                                                             \
    } while (0)

MB_CLONES static void
exponentials(size_t n, const double *x, double *out)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = exp_value(x[i]);
    }
}

MB_CLONES static void
add_variation(size_t n, const double *p, const double *q, double *sum)
{
    ADD_UP(fabs(p[i + l] - q[i + l]));
}

MB_CLONES static void
add_hellinger(size_t n, const double *p, const double *q, double *sum)
{
    double term[PIECE];
    for (size_t i = 0; i < n; i++) {
        double d = sqrt(p[i]) - sqrt(q[i]);
        term[i] = d * d;
    }
    ADD_UP(term[i + l]);
}

MB_CLONES static void
add_jensen_shannon(size_t n, const double *p, const double *q, double *sum)
{
    double term[PIECE];
    for (size_t i = 0; i < n; i++) {
        double s = p[i] + q[i], d = p[i] - q[i];
        s = s > 0 ? s : 1;
        term[i] = share_of_middle(p[i], d, s) + share_of_middle(q[i], -d, s);
    }
    ADD_UP(term[i + l]);
}

/* The terms p ln(p / q) - p + q are never negative, and small where p and q are close:
 * with x = ln(p / q), p (x - 1 + e^-x). */
MB_CLONES static void
add_kullback(size_t n, const double *log_p, const double *log_q, const double *p, const double *q,
             double *sum)
{
    double term[PIECE];
    for (size_t i = 0; i < n; i++) {
        double x = log_p[i] - log_q[i];
        double series = x * x * (0.5 - x * (1.0 / 6 - x * (1.0 / 24 - x * (1.0 / 120))));
        double near = p[i] * series, far = p[i] * x - p[i] + q[i];
        term[i] = p[i] > 0 ? (fabs(x) < 1e-3 ? near : far) : q[i];
    }
    ADD_UP(term[i + l]);
}

/* NaN, from tokens that are zero in both, is passed over. */
MB_CLONES static void
add_hilbert(size_t n, const double *log_p, const double *log_q, totals *t)
{
    double high[LANES], low[LANES];
    memcpy(high, t->high, sizeof(high));
    memcpy(low, t->low, sizeof(low));
    for (size_t i = 0; i < n; i += LANES) {
        for (size_t l = 0; l < LANES; l++) {
            double x = log_p[i + l] - log_q[i + l];
            high[l] = x > high[l] ? x : high[l];
            low[l] = x < low[l] ? x : low[l];
        }
    }
    memcpy(t->high, high, sizeof(high));
    memcpy(t->low, low, sizeof(low));
}

static double
range_of(const totals *t)
{
    double high = -INFINITY, low = INFINITY;
    for (size_t l = 0; l < LANES; l++) {
        high = t->high[l] > high ? t->high[l] : high;
        low = t->low[l] < low ? t->low[l] : low;
    }
    return high > low ? high - low : 0.0;
}

/* Up to PIECE log-probabilities as doubles, and -inf up to the next whole lane. */
static size_t
take(size_t n, size_t at, int is_double, const void *from, double *to)
{
    if (is_double) {
        memcpy(to, (const double *)from + at, n * sizeof(double));
    } else {
        const float *floats = (const float *)from + at;
        for (size_t i = 0; i < n; i++) {
            to[i] = (double)floats[i];
        }
    }
    for (; n % LANES != 0; n++) {
        to[n] = -INFINITY;
    }
    return n;
}

static double
pair_distance(mb_distance kind, size_t n_tokens, int is_double, const void *log_p,
              const void *log_q)
{
    double lp[PIECE], lq[PIECE], p[PIECE], q[PIECE];
    totals t;
    start(&t);
    for (size_t at = 0; at < n_tokens; at += PIECE) {
        size_t many = n_tokens - at < PIECE ? n_tokens - at : PIECE;
        size_t n = take(many, at, is_double, log_p, lp);
        take(many, at, is_double, log_q, lq);
        if (kind == MB_HILBERT) {
            add_hilbert(n, lp, lq, &t);
            continue;
        }
        exponentials(n, lp, p);
        exponentials(n, lq, q);
        if (kind == MB_VARIATION) {
            add_variation(n, p, q, t.sum);
        } else if (kind == MB_HELLINGER) {
            add_hellinger(n, p, q, t.sum);
        } else if (kind == MB_JENSEN_SHANNON) {
            add_jensen_shannon(n, p, q, t.sum);
        } else {
            add_kullback(n, lp, lq, p, q, t.sum);
        }
    }
    return kind == MB_HILBERT    ? range_of(&t)
           : kind == MB_KULLBACK ? mb_sum_in_order(LANES, t.sum)
                                 : 0.5 * mb_sum_in_order(LANES, t.sum);
}

mb_status
mb_pair_distances(mb_distance kind, const mb_distance_rows *rows, size_t n, const int64_t *first,
                  const int64_t *second, mb_interrupt *interrupt, double *out, size_t *wrong)
{
    const size_t stride = rows->n_tokens * (rows->is_double ? sizeof(double) : sizeof(float));
    const char *data = rows->data;
    for (size_t at = 0; at < n; at++) {
        int64_t i = first[at], j = second[at];
        if (i < 0 || (uint64_t)i >= rows->n || j < 0 || (uint64_t)j >= rows->n) {
            *wrong = at;
            return MB_INVALID;
        }
        out[at] = pair_distance(kind, rows->n_tokens, rows->is_double, data + (size_t)i * stride,
                                data + (size_t)j * stride);
        MB_TRY(mb_ask(interrupt, 8 * (rows->n_tokens + 1)));
    }
    return MB_OK;
}

/* ---- blocks ------------------------------------------------------------------------ */

/* ln x for normal x, off by an ulp of max(1, |ln x|): log_positive() without what makes that 1 ulp of
 * the result. */
MB_INLINE double
log_normal(double x)
{
    const uint64_t one = 0x3ff0000000000000, sqrt_half = 0x3fe6a09e00000000;
    uint64_t bits = as_bits(x) + (one - sqrt_half);
    double k = as_double((bits >> 52) | as_bits(0x1p52)) - (0x1p52 + 1023);
    double f = as_double((bits & 0x000fffffffffffff) + sqrt_half) - 1;
    double s = f / (2 + f), z = s * s, half_square = 0.5 * f * f;
    double rest = half_square - s * (half_square + z * SERIES(log_c, z));
    return k * (LN2_HIGH + LN2_LOW) + (f - rest);
}

/* sum s ln s over s = p + q. */
MB_CLONES static void
add_entropy(size_t n, const double *p, const double *q, double *sum)
{
    double term[PIECE] MB_FILLED;
    for (size_t i = 0; i < n; i++) {
        double s = p[i] + q[i];
        term[i] = s * log_normal(s < DBL_MIN ? 1 : s);
    }
    size_t rest = n % LANES;
    n -= rest;
    ADD_UP(term[i + l]);
    for (size_t i = 0; i < rest; i++) {
        sum[i] += term[n + i];
    }
}

/* With the entropies of the rows by themselves, the logarithm of each sum is all that a pair
 * costs: 1/2 [sum p ln p + sum q ln q - sum s ln s + ln 2 sum s]. */
static double
own_entropy(size_t n_tokens, const double *p)
{
    /* of p + p: sum 2p ln 2p = 2 sum p ln p + 2 ln 2 sum p */
    double sum[LANES] = {0};
    for (size_t at = 0; at < n_tokens; at += PIECE) {
        size_t n = n_tokens - at < PIECE ? n_tokens - at : PIECE;
        add_entropy(n, p + at, p + at, sum);
    }
    return 0.5 * mb_sum_in_order(LANES, sum);
}

static mb_status
block_jensen_shannon(size_t n_tokens, size_t n_a, const double *a, size_t n_b, const double *b,
                     mb_interrupt *interrupt, double *out)
{
    for (size_t i = 0; i < n_a; i++) {
        double own = own_entropy(n_tokens, a + i * n_tokens);
        for (size_t j = 0; j < n_b; j++) {
            out[i * n_b + j] = own;
        }
        MB_TRY(mb_ask(interrupt, 2 * n_tokens + n_b));
    }
    for (size_t j = 0; j < n_b; j++) {
        double own = own_entropy(n_tokens, b + j * n_tokens);
        for (size_t i = 0; i < n_a; i++) {
            double sum[LANES] = {0};
            for (size_t at = 0; at < n_tokens; at += PIECE) {
                size_t n = n_tokens - at < PIECE ? n_tokens - at : PIECE;
                add_entropy(n, a + i * n_tokens + at, b + j * n_tokens + at, sum);
            }
            double found = 0.5 * ((out[i * n_b + j] - mb_sum_in_order(LANES, sum)) + own);
            out[i * n_b + j] = found > 0 ? found : 0.0;
            MB_TRY(mb_ask(interrupt, 2 * (n_tokens + LANES)));
        }
    }
    return MB_OK;
}

static mb_status
block_hilbert(size_t n_tokens, size_t n_a, const double *a, size_t n_b, const double *b,
              mb_interrupt *interrupt, double *out)
{
    for (size_t i = 0; i < n_a; i++) {
        for (size_t j = 0; j < n_b; j++) {
            out[i * n_b + j] =
                pair_distance(MB_HILBERT, n_tokens, 1, a + i * n_tokens, b + j * n_tokens);
            MB_TRY(mb_ask(interrupt, n_tokens + LANES));
        }
    }
    return MB_OK;
}

/* Rows of `a` at once, so that they stay in the cache while those of `b` go by. */
static size_t
rows_of_block(size_t n_tokens)
{
    size_t rows = ((size_t)1 << 16) / (n_tokens + 1);
    return rows > 8 ? rows : 8;
}

mb_status
mb_block_distances(mb_distance kind, size_t n_tokens, size_t n_a, const double *a, size_t n_b,
                   const double *b, mb_interrupt *interrupt, double *out)
{
    const size_t step = rows_of_block(n_tokens);
    if (kind == MB_VARIATION) {
        return mb_block_variation(n_tokens, n_a, a, n_b, b, interrupt, out);
    }
    for (size_t i = 0; i < n_a; i += step) {
        size_t n = n_a - i < step ? n_a - i : step;
        const double *mine = a + i * n_tokens;
        double *to = out + i * n_b;
        MB_TRY(kind == MB_JENSEN_SHANNON
                   ? block_jensen_shannon(n_tokens, n, mine, n_b, b, interrupt, to)
                   : block_hilbert(n_tokens, n, mine, n_b, b, interrupt, to));
    }
    return MB_OK;
}
