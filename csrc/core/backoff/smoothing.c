/* Shares of a row.  With several concentrations they are weighed by their evidence of the row's counts,
 * of which a factor that all have in common is left out: a count of 1 says ln(A mean) under A, of which ln A
 * is enough, so that only what came twice or more often costs anything. */
#include "core/backoff/smoothing.h"

#include "core/special/special.h"

#include <math.h>

/* The weights of concentrations after the counts of a row, of total N, into r. */
static void
weigh_concentrations(const mb_smoothing *smoothing, size_t n, const double *counts,
                     const double *means, double total, double *r)
{
    const size_t k = smoothing->n;
    double *alpha = r + k, *count = alpha + k, *terms = count + k, most = -INFINITY, sum = 0.0;
    double once = 0.0;
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
        sum += r[j];
    }
    for (size_t j = 0; j < k; j++) {
        r[j] /= sum;
    }
}

static mb_row_shares
shares_by_concentrations(const mb_smoothing *smoothing, size_t n, const double *counts,
                         const double *means, double total, double *r)
{
    mb_row_shares shares = {0};
    if (total > 1.0 && smoothing->n > 1) {
        weigh_concentrations(smoothing, n, counts, means, total, r);
    } else { /* one token says nothing of them */
        for (size_t j = 0; j < smoothing->n; j++) {
            r[j] = smoothing->weights[j];
        }
    }
    for (size_t j = 0; j < smoothing->n; j++) {
        double share = r[j] / (smoothing->values[j] + total);
        shares.to_mean += share * smoothing->values[j];
        shares.to_count += share;
    }
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
