/* Rows with discounts: probabilities, and slopes by what they are made of.
 *
 * What pairs of a row share is computed once for the row.  Rows are numbered in any order; sums go
 * in the order of the pairs, and of the rows then. */
#include "core/matrix/discounts.h"

#include "core/base/mem.h"

#include <string.h>

enum {
    COST = 16, /* nanoseconds of a pair or a row */
    PIECE = 1 << 10
};

/* What a row multiplies by: the excess of a count over its discount, and q. */
typedef struct {
    double of_count, of_shorter;
} shares;

static shares
shares_of(const double *sizes, const double *d)
{
    double total = sizes[0] + d[3];
    /* an empty row says nothing, whatever its theta */
    if (!(sizes[0] > 0.0)) {
        return (shares){0.0, 1.0};
    }
    double freed = d[3] + d[0] * sizes[1] + d[1] * sizes[2] + d[2] * sizes[3];
    return (shares){1.0 / total, freed / total};
}

/* Which of the discounts a count has, 3 for none. */
static size_t
class_of(double count)
{
    return count < 1.0 ? 3 : count < 2.0 ? 0 : count < 3.0 ? 1 : 2;
}

/* The shares of all rows, and the bucket of each, which the caller's memory may change. */
static mb_status
share_rows(const mb_discounted *pairs, mb_interrupt *interrupt, shares *of_row, size_t *bucket)
{
    for (size_t r = 0; r < pairs->n_rows; r++) {
        bucket[r] = (size_t)pairs->bucket[r];
        if (bucket[r] >= pairs->n_buckets) {
            return MB_INVALID;
        }
        of_row[r] =
            shares_of(pairs->sizes + r * MB_ROW_SIZES, pairs->discounts + bucket[r] * MB_DISCOUNTS);
        MB_TRY(r % PIECE == 0 ? mb_ask(interrupt, (size_t)COST * PIECE) : MB_OK);
    }
    return MB_OK;
}

static mb_status
probs_of_pairs(const mb_discounted *pairs, const double *q, const shares *of_row,
               const size_t *bucket, mb_interrupt *interrupt, double *out)
{
    for (size_t i = 0; i < pairs->n; i++) {
        size_t row = (size_t)pairs->row[i], shorter = (size_t)pairs->shorter[i];
        if (row >= pairs->n_rows || shorter >= pairs->n_shorter) {
            return MB_INVALID;
        }
        double count = pairs->counts[i];
        size_t class = class_of(count);
        double discount = class == 3 ? 0.0 : pairs->discounts[bucket[row] * MB_DISCOUNTS + class];
        out[i] = (count - discount) * of_row[row].of_count + of_row[row].of_shorter * q[shorter];
        MB_TRY(i % PIECE == 0 ? mb_ask(interrupt, (size_t)COST * PIECE) : MB_OK);
    }
    return MB_OK;
}

/* Room for the shares of rows and their buckets, and for `more` doubles a row. */
static mb_status
new_rows(const mb_discounted *pairs, size_t more, shares **of_row, size_t **bucket, double **sums)
{
    size_t each = sizeof(shares) + sizeof(size_t) + more * sizeof(double);
    char *memory = mb_calloc(pairs->n_rows > 0 ? pairs->n_rows : 1, each);
    if (memory == NULL) {
        return MB_NOMEM;
    }
    *of_row = (shares *)(void *)memory;
    *bucket = (size_t *)(*of_row + pairs->n_rows);
    *sums = (double *)(void *)(*bucket + pairs->n_rows);
    return MB_OK;
}

mb_status
mb_discounted_probs(const mb_discounted *pairs, const double *q, mb_interrupt *interrupt,
                    double *out)
{
    shares *of_row;
    size_t *bucket;
    double *sums;
    MB_TRY(new_rows(pairs, 0, &of_row, &bucket, &sums));
    mb_status status = share_rows(pairs, interrupt, of_row, bucket);
    if (status == MB_OK) {
        status = probs_of_pairs(pairs, q, of_row, bucket, interrupt, out);
    }
    mb_free(of_row);
    return status;
}

/* ---- slopes --------------------------------------------------------------------------------- */

/* Sums of a row over its pairs, each by its slope and divided by N + theta: by q, by the
 * probability, and by whether the discount is the first, the second, the third. */
enum { BY_SHORTER, BY_PROB, BY_CLASS, SUMS = BY_CLASS + 3 };

static mb_status
sum_pairs(const mb_discounted *pairs, const double *q, const double *probs, const double *by_probs,
          const shares *of_row, mb_interrupt *interrupt, double *sums, double *by_shorter)
{
    for (size_t i = 0; i < pairs->n; i++) {
        size_t row = (size_t)pairs->row[i], shorter = (size_t)pairs->shorter[i];
        if (row >= pairs->n_rows || shorter >= pairs->n_shorter) {
            return MB_INVALID;
        }
        double slope = by_probs[i] * of_row[row].of_count, *sum = sums + row * SUMS;
        size_t class = class_of(pairs->counts[i]);
        sum[BY_SHORTER] += slope * q[shorter];
        sum[BY_PROB] += slope * probs[i];
        if (class < 3) {
            sum[BY_CLASS + class] += slope;
        }
        by_shorter[shorter] += by_probs[i] * of_row[row].of_shorter;
        MB_TRY(i % PIECE == 0 ? mb_ask(interrupt, (size_t)COST * PIECE) : MB_OK);
    }
    return MB_OK;
}

static mb_status
sum_rows(const mb_discounted *pairs, const size_t *bucket, const double *sums,
         mb_interrupt *interrupt, double *by_discounts)
{
    for (size_t r = 0; r < pairs->n_rows; r++) {
        const double *sum = sums + r * SUMS, *sizes = pairs->sizes + r * MB_ROW_SIZES;
        double *by = by_discounts + bucket[r] * MB_DISCOUNTS;
        for (size_t j = 0; j < 3; j++) {
            by[j] += sizes[1 + j] * sum[BY_SHORTER] - sum[BY_CLASS + j];
        }
        by[3] += sum[BY_SHORTER] - sum[BY_PROB];
        MB_TRY(r % PIECE == 0 ? mb_ask(interrupt, (size_t)COST * PIECE) : MB_OK);
    }
    return MB_OK;
}

mb_status
mb_discounted_slopes(const mb_discounted *pairs, const double *q, const double *probs,
                     const double *by_probs, mb_interrupt *interrupt, double *by_discounts,
                     double *by_shorter)
{
    shares *of_row;
    size_t *bucket;
    double *sums;
    MB_TRY(new_rows(pairs, SUMS, &of_row, &bucket, &sums));
    memset(by_discounts, 0, pairs->n_buckets * MB_DISCOUNTS * sizeof(double));
    memset(by_shorter, 0, pairs->n_shorter * sizeof(double));
    mb_status status = share_rows(pairs, interrupt, of_row, bucket);
    if (status == MB_OK) {
        status = sum_pairs(pairs, q, probs, by_probs, of_row, interrupt, sums, by_shorter);
    }
    if (status == MB_OK) {
        status = sum_rows(pairs, bucket, sums, interrupt, by_discounts);
    }
    mb_free(of_row);
    return status;
}
