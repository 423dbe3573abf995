/* What counts say of a mixture: evidence, responsibilities, posterior and predictive. */
#include "core/mixture/posterior.h"

#include "core/special/special.h"

#include <string.h>

#define KERNEL "core/mixture/posterior_kernel.h"
#include "core/base/instruction_sets.h"

enum { RUN = 128 };

/* Up to RUN tokens that were seen, from `*v` on but not far: their columns and counts.  Returns how
 * many, and in *v where to go on. */
static size_t
next_seen(size_t n_tokens, const double *counts, size_t *v, size_t *columns, double *seen)
{
    const size_t far = (size_t)1 << 16;
    size_t n = 0, end = n_tokens - *v < far ? n_tokens : *v + far;
    for (; *v < end && n < RUN; ++*v) {
        columns[n] = *v;
        seen[n] = counts[*v];
        n += counts[*v] > 0.0;
    }
    return n;
}

/* ln w_k + L_k of one count vector; only the tokens seen cost anything. */
static mb_status
log_joint_one(const mb_mixture *mixture, const double *counts, mb_interrupt *interrupt, double *out)
{
    size_t n_components = mixture->n_components, n_tokens = mixture->n_tokens, v = 0;
    double total = 0.0;
    memset(out, 0, n_components * sizeof(double));
    while (v < n_tokens) {
        size_t columns[RUN] MB_FILLED;
        double seen[RUN] MB_FILLED, alpha[RUN] MB_FILLED;
        size_t from = v, n = next_seen(n_tokens, counts, &v, columns, seen);
        for (size_t i = 0; i < n; i++) {
            total += seen[i];
        }
        for (size_t k = 0; k < n_components; k++) {
            for (size_t i = 0; i < n; i++) {
                alpha[i] = mixture->alpha[k * n_tokens + columns[i]];
            }
            mb_lgamma_differences(n, alpha, seen, alpha);
            for (size_t i = 0; i < n; i++) {
                out[k] += alpha[i];
            }
        }
        MB_TRY(mb_ask(interrupt, v - from + 32 * n * n_components));
    }
    for (size_t k = 0; k < n_components; k++) {
        out[k] -= mb_lgamma_difference(mixture->concentration[k], total);
        out[k] += mixture->log_weights[k];
    }
    return mb_ask(interrupt, 32 * n_components);
}

mb_status
mb_mixture_log_joint_counts(const mb_mixture *mixture, size_t n, const double *counts,
                            mb_interrupt *interrupt, double *out)
{
    for (size_t i = 0; i < n; i++) {
        MB_TRY(log_joint_one(mixture, counts + i * mixture->n_tokens, interrupt,
                             out + i * mixture->n_components));
    }
    return MB_OK;
}

/* Each row less its largest entry, which goes to top. */
MB_INLINE void
subtract_top(size_t n, size_t n_components, double *joint, double *top)
{
    for (size_t i = 0; i < n; i++) {
        double *row = joint + i * n_components;
        double most = row[0];
        for (size_t k = 1; k < n_components; k++) {
            most = row[k] > most ? row[k] : most;
        }
        for (size_t k = 0; k < n_components; k++) {
            row[k] -= most;
        }
        top[i] = most;
    }
}

/* Each row divided by its sum, which goes to sums. */
MB_INLINE void
divide_by_sum(size_t n, size_t n_components, double *joint, double *sums)
{
    for (size_t i = 0; i < n; i++) {
        double *row = joint + i * n_components;
        double sum = 0.0;
        for (size_t k = 0; k < n_components; k++) {
            sum += row[k];
        }
        double inverse = 1.0 / sum;
        for (size_t k = 0; k < n_components; k++) {
            row[k] *= inverse;
        }
        sums[i] = sum;
    }
}

/* Short rows of constant length are unrolled. */
#define FOR_LENGTH(function, n, length, ...)                                                       \
    ((length) == 4   ? function(n, 4, __VA_ARGS__)                                                 \
     : (length) == 8 ? function(n, 8, __VA_ARGS__)                                                 \
                     : function(n, length, __VA_ARGS__))

mb_status
mb_normalize_log_joint(size_t n, size_t n_components, mb_interrupt *interrupt, double *joint,
                       double *total)
{
    enum { BATCH = 64 };
    for (size_t start = 0; start < n; start += BATCH) {
        double sums[BATCH], *rows = joint + start * n_components;
        size_t run = n - start < BATCH ? n - start : BATCH;
        FOR_LENGTH(subtract_top, run, n_components, rows, total + start);
        mb_exp(run * n_components, rows, rows);
        FOR_LENGTH(divide_by_sum, run, n_components, rows, sums);
        mb_log(run, sums, sums);
        for (size_t i = 0; i < run; i++) {
            total[start + i] += sums[i];
        }
        MB_TRY(mb_ask(interrupt, 8 * run * (n_components + 1)));
    }
    return MB_OK;
}

mb_status
mb_mixture_posterior(const mb_mixture *mixture, const double *counts, mb_interrupt *interrupt,
                     double *weights, double *alpha)
{
    size_t n_components = mixture->n_components, n_tokens = mixture->n_tokens;
    double log_evidence;
    MB_TRY(log_joint_one(mixture, counts, interrupt, weights));
    MB_TRY(mb_normalize_log_joint(1, n_components, interrupt, weights, &log_evidence));
    for (size_t k = 0; k < n_components; k++) {
        for (size_t v = 0; v < n_tokens; v++) {
            alpha[k * n_tokens + v] = mixture->alpha[k * n_tokens + v] + counts[v];
        }
        MB_TRY(mb_ask(interrupt, 2 * n_tokens));
    }
    return MB_OK;
}

void
mb_add_predictive(size_t n, double scale, const double *alpha, const double *counts, double *p)
{
    CHOOSE(add_predictive, n, scale, alpha, counts, p);
}

static mb_status
predictive_of_one(const mb_mixture *mixture, const double *counts, mb_interrupt *interrupt,
                  double *out, double *shares)
{
    size_t n_components = mixture->n_components, n_tokens = mixture->n_tokens;
    double log_evidence, total = 0.0;
    MB_TRY(log_joint_one(mixture, counts, interrupt, shares));
    MB_TRY(mb_normalize_log_joint(1, n_components, interrupt, shares, &log_evidence));
    for (size_t v = 0; v < n_tokens; v++) {
        total += counts[v];
        out[v] = 0.0;
    }
    for (size_t k = 0; k < n_components; k++) {
        const double *alpha = mixture->alpha + k * n_tokens;
        double scale = shares[k] / (mixture->concentration[k] + total);
        mb_add_predictive(n_tokens, scale, alpha, counts, out);
        MB_TRY(mb_ask(interrupt, n_tokens));
    }
    return MB_OK;
}

mb_status
mb_mixture_predictive(const mb_mixture *mixture, size_t n, const double *counts,
                      mb_interrupt *interrupt, double *out, double *scratch)
{
    for (size_t i = 0; i < n; i++) {
        size_t at = i * mixture->n_tokens;
        MB_TRY(predictive_of_one(mixture, counts + at, interrupt, out + at, scratch));
    }
    return MB_OK;
}
