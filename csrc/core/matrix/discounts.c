/* Rows with discounts: probabilities, and slopes by what they are made of.
 *
 * What pairs of a row share is computed once for the row.  Sums go in the order of the pairs. */
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

/* ---- fit ------------------------------------------------------------------------------------ */

/* What a row multiplies by, and its bucket. */
typedef struct {
    double of_count, of_shorter;
    size_t bucket;
} row_numbers;

static mb_status
numbers_of_row(const mb_discounted *level, size_t row, row_numbers *out)
{
    size_t bucket = (size_t)level->bucket[row];
    if (bucket >= level->n_buckets) {
        return MB_INVALID;
    }
    mb_discount_shares shares = mb_discount_shares_of(level->sizes + row * MB_ROW_SIZES,
                                                      level->discounts + bucket * MB_DISCOUNTS);
    *out = (row_numbers){shares.of_count, shares.of_shorter, bucket};
    return MB_OK;
}

/* Probabilities of a level's pairs, and the numbers of their rows. */
static mb_status
go_forth(const mb_discounted *level, const double *q, mb_interrupt *interrupt, row_numbers *of_row,
         double *probs)
{
    size_t last = SIZE_MAX;
    for (size_t i = 0; i < level->n; i++) {
        size_t row = (size_t)level->row[i], shorter = (size_t)level->shorter[i];
        if (row >= level->n_rows || shorter >= level->n_shorter ||
            (row < last && last != SIZE_MAX)) {
            return MB_INVALID;
        }
        if (row != last) {
            MB_TRY(numbers_of_row(level, row, of_row + row));
            last = row;
        }
        double count = level->counts[i], excess = 0.0;
        size_t class = mb_class_of_count(count);
        if (class < MB_CLASSES) {
            excess = count - level->discounts[of_row[row].bucket * MB_DISCOUNTS + class];
        }
        probs[i] = excess * of_row[row].of_count + of_row[row].of_shorter * q[shorter];
        MB_TRY(i % PIECE == 0 ? mb_ask(interrupt, (size_t)2 * COST * PIECE) : MB_OK);
    }
    return MB_OK;
}

/* Sums of a row over its pairs, each by its slope and divided by N + theta: of each class and of
 * none, by q, and by the probability. */
enum { BY_SHORTER = MB_CLASSES + 1, BY_PROB, SUMS };

/* Adds what the sums of a row say to the slopes of its bucket. */
static void
add_row(const double *sizes, const double *sum, double *slopes)
{
    for (size_t j = 0; j < MB_CLASSES; j++) {
        slopes[j] += sizes[1 + j] * sum[BY_SHORTER] - sum[j];
    }
    slopes[MB_CLASSES] += sum[BY_SHORTER] - sum[BY_PROB];
}

/* Slopes by a level's discounts and, unless `by_shorter` is NULL, by q, which are added, from those by
 * its probabilities. */
static mb_status
go_back(const mb_discounted *level, const double *q, const double *probs, const double *by_probs,
        const row_numbers *of_row, mb_interrupt *interrupt, double *slopes, double *by_shorter)
{
    for (size_t i = 0; i < level->n;) {
        size_t row = (size_t)level->row[i], first = i;
        double sum[SUMS] = {0.0};
        if (row >= level->n_rows) {
            return MB_INVALID;
        }
        const row_numbers own = of_row[row];
        for (; i < level->n && (size_t)level->row[i] == row; i++) {
            size_t shorter = (size_t)level->shorter[i];
            double slope = by_probs[i] * own.of_count;
            if (shorter >= level->n_shorter) {
                return MB_INVALID;
            }
            sum[mb_class_of_count(level->counts[i])] += slope;
            sum[BY_SHORTER] += slope * q[shorter];
            sum[BY_PROB] += slope * probs[i];
            if (by_shorter != NULL) {
                by_shorter[shorter] += by_probs[i] * own.of_shorter;
            }
        }
        add_row(level->sizes + row * MB_ROW_SIZES, sum, slopes + own.bucket * MB_DISCOUNTS);
        MB_TRY(mb_ask(interrupt, COST * (1 + i - first)));
    }
    return MB_OK;
}

/* Of the pairs of all levels, one after the other, their probabilities and what the result has by
 * them; and of their rows. */
typedef struct {
    double *probs, *by_probs;
    row_numbers *of_row;
} fit_memory;

static mb_status
new_memory(size_t n_levels, const mb_discounted *levels, fit_memory *memory)
{
    size_t n = 0, n_rows = 0;
    for (size_t l = 0; l < n_levels; l++) {
        n += levels[l].n;
        n_rows += levels[l].n_rows;
    }
    *memory = (fit_memory){mb_calloc(n, sizeof(double)), mb_calloc(n, sizeof(double)),
                           mb_calloc(n_rows, sizeof(row_numbers))};
    return memory->probs != NULL && memory->by_probs != NULL && memory->of_row != NULL ? MB_OK
                                                                                       : MB_NOMEM;
}

static void
free_memory(const fit_memory *memory)
{
    mb_free(memory->probs);
    mb_free(memory->by_probs);
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

static mb_status
fit_in(size_t n_levels, const mb_discounted *levels, const double *q, const double *times,
       mb_interrupt *interrupt, fit_memory m, double *log_prob, double *slopes)
{
    const size_t width = levels->n_buckets * MB_DISCOUNTS;
    const double *below = q;
    for (size_t l = 0; l < n_levels; l++) {
        if (l > 0 && levels[l].n_shorter != levels[l - 1].n) {
            return MB_INVALID;
        }
        MB_TRY(go_forth(levels + l, below, interrupt, m.of_row, m.probs));
        below = m.probs;
        m.probs += levels[l].n;
        m.by_probs += levels[l].n;
        m.of_row += levels[l].n_rows;
    }
    memset(slopes, 0, n_levels * width * sizeof(double));
    for (size_t l = n_levels; l-- > 0;) {
        const size_t n = levels[l].n, n_before = l > 0 ? levels[l - 1].n : 0;
        m.probs -= n;
        m.by_probs -= n;
        m.of_row -= levels[l].n_rows;
        if (l + 1 == n_levels) {
            MB_TRY(score_pairs(n, times, m.probs, interrupt, m.by_probs, log_prob));
        }
        MB_TRY(go_back(levels + l, l > 0 ? m.probs - n_before : q, m.probs, m.by_probs, m.of_row,
                       interrupt, slopes + l * width, l > 0 ? m.by_probs - n_before : NULL));
    }
    return MB_OK;
}

mb_status
mb_discounted_fit(size_t n_levels, const mb_discounted *levels, const double *q,
                  const double *times, mb_interrupt *interrupt, double *log_prob, double *slopes)
{
    fit_memory memory;
    mb_status status = new_memory(n_levels, levels, &memory);
    if (status == MB_OK) {
        status = fit_in(n_levels, levels, q, times, interrupt, memory, log_prob, slopes);
    }
    free_memory(&memory);
    return status;
}
