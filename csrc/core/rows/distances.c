/* Distances between rows, a piece of their tokens after the other. */
#include "core/rows/distances.h"

#include "core/base/sums.h"
#include "core/special/special_log.h"
#include "core/rows/variation.h"

#include <string.h>

/* Fused multiply-adds, which are no less accurate. */
#include "core/base/contract.h"

enum {
    CHAINS = 16, /* sums or extremes that run side by side */
    PIECE = 512  /* tokens whose working memory stays in the first cache */
};

/* ---- pairs ------------------------------------------------------------------------- */

/* What has been added up. */
typedef struct {
    double sum[CHAINS], high[CHAINS], low[CHAINS];
} totals;

static void
begin_totals(totals *t)
{
    for (size_t l = 0; l < CHAINS; l++) {
        t->sum[l] = 0.0;
        t->high[l] = -INFINITY;
        t->low[l] = INFINITY;
    }
}

#define KERNEL "core/rows/distances_kernel.h"
#include "core/base/instruction_sets.h"

static double
range_of(const totals *t)
{
    double high = -INFINITY, low = INFINITY;
    for (size_t l = 0; l < CHAINS; l++) {
        high = t->high[l] > high ? t->high[l] : high;
        low = t->low[l] < low ? t->low[l] : low;
    }
    return high > low ? high - low : 0.0;
}

/* Up to PIECE log-probabilities as doubles, and -inf up to whole CHAINS. */
static size_t
load_piece(size_t n, size_t at, int is_double, const void *from, double *to)
{
    if (is_double) {
        memcpy(to, (const double *)from + at, n * sizeof(double));
    } else {
        const float *floats = (const float *)from + at;
        for (size_t i = 0; i < n; i++) {
            to[i] = (double)floats[i];
        }
    }
    for (; n % CHAINS != 0; n++) {
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
    begin_totals(&t);
    for (size_t at = 0; at < n_tokens; at += PIECE) {
        size_t many = n_tokens - at < PIECE ? n_tokens - at : PIECE;
        size_t n = load_piece(many, at, is_double, log_p, lp);
        load_piece(many, at, is_double, log_q, lq);
        if (kind == MB_HILBERT) {
            CHOOSE(add_hilbert, n, lp, lq, &t);
            continue;
        }
        CHOOSE(exponentials_of, n, lp, p);
        CHOOSE(exponentials_of, n, lq, q);
        if (kind == MB_VARIATION) {
            CHOOSE(add_variation, n, p, q, t.sum);
        } else if (kind == MB_HELLINGER) {
            CHOOSE(add_hellinger, n, p, q, t.sum);
        } else if (kind == MB_JENSEN_SHANNON) {
            CHOOSE(add_jensen_shannon, n, p, q, t.sum);
        } else {
            CHOOSE(add_kullback, n, lp, lq, p, q, t.sum);
        }
    }
    return kind == MB_HILBERT    ? range_of(&t)
           : kind == MB_KULLBACK ? mb_sum_in_order(CHAINS, t.sum)
                                 : 0.5 * mb_sum_in_order(CHAINS, t.sum);
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

/* With the entropies of the rows by themselves, the logarithm of each sum is all that a pair
 * costs: 1/2 [sum p ln p + sum q ln q - sum s ln s + ln 2 sum s]. */
static double
own_entropy(size_t n_tokens, const double *p)
{
    /* of p + p: sum 2p ln 2p = 2 sum p ln p + 2 ln 2 sum p */
    double sum[CHAINS] = {0};
    for (size_t at = 0; at < n_tokens; at += PIECE) {
        size_t n = n_tokens - at < PIECE ? n_tokens - at : PIECE;
        CHOOSE(add_entropy, n, p + at, p + at, sum);
    }
    return 0.5 * mb_sum_in_order(CHAINS, sum);
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
            double sum[CHAINS] = {0};
            for (size_t at = 0; at < n_tokens; at += PIECE) {
                size_t n = n_tokens - at < PIECE ? n_tokens - at : PIECE;
                CHOOSE(add_entropy, n, a + i * n_tokens + at, b + j * n_tokens + at, sum);
            }
            double found = 0.5 * ((out[i * n_b + j] - mb_sum_in_order(CHAINS, sum)) + own);
            out[i * n_b + j] = found > 0 ? found : 0.0;
            MB_TRY(mb_ask(interrupt, 2 * (n_tokens + CHAINS)));
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
            MB_TRY(mb_ask(interrupt, n_tokens + CHAINS));
        }
    }
    return MB_OK;
}

/* Rows of `a` at once, so that they stay in the cache while those of `b` go by. */
static size_t
rows_in_cache(size_t n_tokens)
{
    size_t rows = ((size_t)1 << 16) / (n_tokens + 1);
    return rows > 8 ? rows : 8;
}

mb_status
mb_block_distances(mb_distance kind, size_t n_tokens, size_t n_a, const double *a, size_t n_b,
                   const double *b, mb_interrupt *interrupt, double *out)
{
    const size_t step = rows_in_cache(n_tokens);
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
