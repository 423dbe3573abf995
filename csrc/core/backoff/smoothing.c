/* Shares of a row.  With several concentrations they are weighed by their evidence of the row's counts,
 *
 *     prod_v A m_v (A m_v + 1) ... (A m_v + n_v - 1) / A (A + 1) ... (A + N - 1)
 *
 * without the factors m_v, which all have in common: for few counts as a product, else by logarithms. */
#include "core/backoff/smoothing.h"

#include "core/base/sums.h"
#include "core/special/special.h"

#include <math.h>

void
mb_begin_smoothing(const mb_smoothing *smoothing, double *scratch)
{
    for (size_t i = 0; i < MB_FEW_COUNTS && smoothing->kind == MB_CONCENTRATIONS; i++) {
        for (size_t j = 0; j < smoothing->n; j++) {
            scratch[i * smoothing->n + j] = 1.0 / (smoothing->values[j] + (double)i);
        }
    }
}

#define LEAST 1e-250 /* of products, whose ratios have all their digits then */

/* The weights of concentrations after few counts into r, which has the inverses of A + i before it; their
 * sum. */
static double
multiply_few(const mb_smoothing *smoothing, size_t n, const double *counts, const double *means,
             double *r)
{
    const size_t k = smoothing->n;
    const double *values = smoothing->values, *inverses = r - MB_FEW_COUNTS * k;
    for (size_t j = 0; j < k; j++) {
        r[j] = smoothing->weights[j];
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; c < (size_t)counts[i]; c++, inverses += k) {
            double mean = c > 0 ? means[i] : 1.0;
            for (size_t j = 0; j < k; j++) {
                r[j] *= (values[j] * mean + (double)c) * inverses[j];
            }
        }
    }
    return mb_sum(k, r);
}

/* Likewise after many, by logarithms. */
static double
add_many(const mb_smoothing *smoothing, size_t n, const double *counts, const double *means,
         double total, double *r)
{
    const size_t k = smoothing->n;
    double *alpha = r + k, *count = alpha + k, *terms = count + k, most = -INFINITY, once = 0.0;
    for (size_t j = 0; j < k; j++) {
        r[j] = log(smoothing->weights[j]);
    }
    for (size_t i = 0; i <= n; i++) { /* the last is the total, which counts against */
        if (i < n && counts[i] == 1.0) {
            once += 1.0;
            continue;
        }
        for (size_t j = 0; j < k; j++) {
            alpha[j] = smoothing->values[j] * (i < n ? means[i] : 1.0);
            count[j] = i < n ? counts[i] : total;
        }
        mb_lgamma_differences(k, alpha, count, terms);
        for (size_t j = 0; j < k; j++) {
            r[j] += i < n ? terms[j] : -terms[j];
        }
    }
    for (size_t j = 0; j < k; j++) {
        r[j] += once * log(smoothing->values[j]);
        most = r[j] > most ? r[j] : most;
    }
    for (size_t j = 0; j < k; j++) {
        r[j] = exp(r[j] - most);
    }
    return mb_sum(k, r);
}

static mb_row_shares
shares_by_concentrations(const mb_smoothing *smoothing, size_t n, const double *counts,
                         const double *means, double total, double *scratch)
{
    mb_row_shares shares = {0};
    const size_t k = smoothing->n;
    double *r = scratch + MB_FEW_COUNTS * k, sum = 0.0;
    const double *inverses = scratch + (total < MB_FEW_COUNTS ? (size_t)total : 0) * k;
    if (total <= MB_FEW_COUNTS) {
        sum = multiply_few(smoothing, n, counts, means, r);
    }
    if (sum < LEAST) { /* of many counts, and of huge concentrations */
        sum = add_many(smoothing, n, counts, means, total, r);
    }
    for (size_t j = 0; j < k; j++) {
        double inverse = total < MB_FEW_COUNTS ? inverses[j] : 1.0 / (smoothing->values[j] + total);
        inverse *= r[j];
        shares.to_mean += inverse * smoothing->values[j];
        shares.to_count += inverse;
    }
    shares.to_mean /= sum;
    shares.to_count /= sum;
    return shares;
}

static mb_row_shares
shares_by_discounts(const mb_smoothing *smoothing, size_t n, const double *counts, double total)
{
    double sizes[MB_ROW_SIZES] = {total};
    for (size_t i = 0; i < n; i++) {
        size_t class = mb_class_of_count(counts[i]);
        sizes[class < MB_CLASSES ? 1 + class : 1] += class < MB_CLASSES ? 1.0 : 0.0;
    }
    const double *own = smoothing->values + mb_bucket_of_row(smoothing->n, sizes) * MB_DISCOUNTS;
    mb_discount_shares shares = mb_discount_shares_of(sizes, own);
    return (mb_row_shares){shares.of_shorter, shares.of_count, own};
}

mb_row_shares
mb_shares_of_row(const mb_smoothing *smoothing, size_t n, const double *counts, const double *means,
                 double *scratch)
{
    double total = 0.0;
    for (size_t i = 0; i < n; i++) {
        total += counts[i];
    }
    if (!(total > 0.0)) {
        return (mb_row_shares){.to_mean = 1.0};
    }
    return smoothing->kind == MB_CONCENTRATIONS
               ? shares_by_concentrations(smoothing, n, counts, means, total, scratch)
               : shares_by_discounts(smoothing, n, counts, total);
}
