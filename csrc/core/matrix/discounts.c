/* Rows with discounts: probabilities, and slopes by what they are made of.
 *
 * What pairs of a row share is computed once for the row.  Rows are numbered in any order; sums go
 * in the order of the pairs, and of the rows then. */
#include "core/matrix/discounts.h"

#include "core/base/mem.h"

#include <math.h>
#include <string.h>

enum {
    COST = 16, /* nanoseconds of a pair or a row */
    PIECE = 1 << 10
};

mb_status
mb_buckets_of_rows(size_t n, const double *sizes, size_t n_buckets, mb_interrupt *interrupt,
                   int64_t *out)
{
    for (size_t r = 0; r < n; r++) {
        out[r] = (int64_t)mb_bucket_of_row(n_buckets, sizes + r * MB_ROW_SIZES);
        MB_TRY(r % PIECE == 0 ? mb_ask(interrupt, (size_t)COST * PIECE) : MB_OK);
    }
    return MB_OK;
}

/* The shares of all rows. */
static mb_status
share_rows(const mb_discounted *pairs, mb_interrupt *interrupt, mb_discount_shares *of_row)
{
    for (size_t r = 0; r < pairs->n_rows; r++) {
        size_t bucket = (size_t)pairs->bucket[r];
        if (bucket >= pairs->n_buckets) {
            return MB_INVALID;
        }
        of_row[r] = mb_discount_shares_of(pairs->sizes + r * MB_ROW_SIZES,
                                          pairs->discounts + bucket * MB_DISCOUNTS);
        MB_TRY(r % PIECE == 0 ? mb_ask(interrupt, (size_t)COST * PIECE) : MB_OK);
    }
    return MB_OK;
}

static mb_status
probs_of_pairs(const mb_discounted *pairs, const double *q, const mb_discount_shares *of_row,
               mb_interrupt *interrupt, double *out)
{
    for (size_t i = 0; i < pairs->n; i++) {
        size_t row = (size_t)pairs->row[i], shorter = (size_t)pairs->shorter[i];
        if (row >= pairs->n_rows || shorter >= pairs->n_shorter) {
            return MB_INVALID;
        }
        double count = pairs->counts[i];
        size_t class = mb_class_of_count(count);
        double excess = class < MB_CLASSES ? count - of_row[row].discounts[class] : 0.0;
        out[i] = excess * of_row[row].of_count + of_row[row].of_shorter * q[shorter];
        MB_TRY(i % PIECE == 0 ? mb_ask(interrupt, (size_t)COST * PIECE) : MB_OK);
    }
    return MB_OK;
}

mb_status
mb_discounted_probs(const mb_discounted *pairs, const double *q, mb_interrupt *interrupt,
                    double *out)
{
    mb_discount_shares *of_row = mb_calloc(pairs->n_rows, sizeof(mb_discount_shares));
    if (of_row == NULL) {
        return MB_NOMEM;
    }
    mb_status status = share_rows(pairs, interrupt, of_row);
    if (status == MB_OK) {
        status = probs_of_pairs(pairs, q, of_row, interrupt, out);
    }
    mb_free(of_row);
    return status;
}

/* ---- slopes --------------------------------------------------------------------------------- */

/* Sums of a row over its pairs, each by its slope and divided by N + theta: of each class, by q, and
 * by the probability. */
enum { BY_SHORTER = MB_CLASSES + 1, BY_PROB, SUMS };

static mb_status
sum_pairs(const mb_discounted *pairs, const double *q, const double *probs, const double *by_probs,
          const mb_discount_shares *of_row, mb_interrupt *interrupt, double *sums,
          double *by_shorter)
{
    for (size_t i = 0; i < pairs->n; i++) {
        size_t row = (size_t)pairs->row[i], shorter = (size_t)pairs->shorter[i];
        if (row >= pairs->n_rows || shorter >= pairs->n_shorter) {
            return MB_INVALID;
        }
        double slope = by_probs[i] * of_row[row].of_count, *sum = sums + row * SUMS;
        sum[mb_class_of_count(pairs->counts[i])] += slope;
        sum[BY_SHORTER] += slope * q[shorter];
        sum[BY_PROB] += slope * probs[i];
        if (by_shorter != NULL) {
            by_shorter[shorter] += by_probs[i] * of_row[row].of_shorter;
        }
        MB_TRY(i % PIECE == 0 ? mb_ask(interrupt, (size_t)COST * PIECE) : MB_OK);
    }
    return MB_OK;
}

static mb_status
sum_rows(const mb_discounted *pairs, const mb_discount_shares *of_row, const double *sums,
         mb_interrupt *interrupt, double *slopes)
{
    for (size_t r = 0; r < pairs->n_rows; r++) {
        const double *sum = sums + r * SUMS, *sizes = pairs->sizes + r * MB_ROW_SIZES;
        double *by = slopes + (of_row[r].discounts - pairs->discounts);
        for (size_t j = 0; j < MB_CLASSES; j++) {
            by[j] += sizes[1 + j] * sum[BY_SHORTER] - sum[j];
        }
        by[MB_CLASSES] += sum[BY_SHORTER] - sum[BY_PROB];
        MB_TRY(r % PIECE == 0 ? mb_ask(interrupt, (size_t)COST * PIECE) : MB_OK);
    }
    return MB_OK;
}

/* Memory of a fit: the probabilities of the pairs of all levels, one after the other, and what the
 * result has by them; the shares of their rows, and sums of the rows of one level. */
typedef struct {
    double *probs, *by_probs, *sums;
    mb_discount_shares *of_row;
} fit_memory;

static size_t
most_rows(size_t n_levels, const mb_discounted *levels)
{
    size_t most = 0;
    for (size_t l = 0; l < n_levels; l++) {
        most = levels[l].n_rows > most ? levels[l].n_rows : most;
    }
    return most;
}

static mb_status
new_memory(size_t n_levels, const mb_discounted *levels, fit_memory *memory)
{
    size_t n = 0, n_rows = 0;
    for (size_t l = 0; l < n_levels; l++) {
        n += levels[l].n;
        n_rows += levels[l].n_rows;
    }
    *memory = (fit_memory){mb_calloc(n, sizeof(double)), mb_calloc(n, sizeof(double)),
                           mb_calloc(most_rows(n_levels, levels), SUMS * sizeof(double)),
                           mb_calloc(n_rows, sizeof(mb_discount_shares))};
    return memory->probs == NULL || memory->by_probs == NULL || memory->sums == NULL ||
                   memory->of_row == NULL
               ? MB_NOMEM
               : MB_OK;
}

static void
free_memory(fit_memory *memory)
{
    mb_free(memory->probs);
    mb_free(memory->by_probs);
    mb_free(memory->sums);
    mb_free(memory->of_row);
}

static mb_status
score_pairs(size_t n, const double *times, const double *probs, mb_interrupt *interrupt,
            double *by_probs, double *log_prob)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) {
        if (times[i] > 0.0 && !(probs[i] > 0.0)) {
            return MB_NUMERIC;
        }
        sum += times[i] > 0.0 ? times[i] * log(probs[i]) : 0.0;
        by_probs[i] = times[i] > 0.0 ? times[i] / probs[i] : 0.0;
        MB_TRY(i % PIECE == 0 ? mb_ask(interrupt, (size_t)COST * PIECE) : MB_OK);
    }
    *log_prob = sum;
    return MB_OK;
}

/* Probabilities of all levels, from the first on. */
static mb_status
go_forth(size_t n_levels, const mb_discounted *levels, const double *q, const fit_memory *m,
         mb_interrupt *interrupt)
{
    double *probs = m->probs;
    mb_discount_shares *of_row = m->of_row;
    for (size_t l = 0; l < n_levels; l++) {
        if (l > 0 && levels[l].n_shorter != levels[l - 1].n) {
            return MB_INVALID;
        }
        MB_TRY(share_rows(levels + l, interrupt, of_row));
        MB_TRY(probs_of_pairs(levels + l, q, of_row, interrupt, probs));
        q = probs;
        probs += levels[l].n;
        of_row += levels[l].n_rows;
    }
    return MB_OK;
}

/* Slopes of all levels, from the last on, whose pairs and rows these begin. */
static mb_status
go_back(size_t n_levels, const mb_discounted *levels, const double *q, const double *probs,
        double *by_probs, const mb_discount_shares *of_row, mb_interrupt *interrupt, double *sums,
        double *slopes)
{
    for (size_t l = n_levels; l-- > 0;) {
        const mb_discounted *level = levels + l;
        size_t n = l > 0 ? level[-1].n : 0;
        memset(sums, 0, level->n_rows * SUMS * sizeof(double));
        MB_TRY(sum_pairs(level, l > 0 ? probs - n : q, probs, by_probs, of_row, interrupt, sums,
                         l > 0 ? by_probs - n : NULL));
        MB_TRY(
            sum_rows(level, of_row, sums, interrupt, slopes + l * level->n_buckets * MB_DISCOUNTS));
        probs -= n;
        by_probs -= n;
        of_row -= l > 0 ? level[-1].n_rows : 0;
    }
    return MB_OK;
}

static mb_status
fit_in(size_t n_levels, const mb_discounted *levels, const double *q, const double *times,
       mb_interrupt *interrupt, const fit_memory *m, double *log_prob, double *slopes)
{
    size_t pairs = 0, rows = 0;
    for (size_t l = 0; l + 1 < n_levels; l++) {
        pairs += levels[l].n;
        rows += levels[l].n_rows;
    }
    memset(slopes, 0, n_levels * levels->n_buckets * MB_DISCOUNTS * sizeof(double));
    MB_TRY(go_forth(n_levels, levels, q, m, interrupt));
    MB_TRY(score_pairs(levels[n_levels - 1].n, times, m->probs + pairs, interrupt,
                       m->by_probs + pairs, log_prob));
    return go_back(n_levels, levels, q, m->probs + pairs, m->by_probs + pairs, m->of_row + rows,
                   interrupt, m->sums, slopes);
}

mb_status
mb_discounted_fit(size_t n_levels, const mb_discounted *levels, const double *q,
                  const double *times, mb_interrupt *interrupt, double *log_prob, double *slopes)
{
    fit_memory memory;
    mb_status status = new_memory(n_levels, levels, &memory);
    if (status == MB_OK) {
        status = fit_in(n_levels, levels, q, times, interrupt, &memory, log_prob, slopes);
    }
    free_memory(&memory);
    return status;
}
