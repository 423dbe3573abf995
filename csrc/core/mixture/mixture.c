/* Finite mixtures of Dirichlets: construction, evidence of counts, posterior,
 * predictive and moments.  The density of rows shares its kernel with the
 * E-step and stands in em.c. */
#include "core/mixture/mixture.h"

#include "core/base/mem.h"
#include "core/base/ranges.h"
#include "core/special/special.h"
#include "core/special/special_log.h"
#include "core/mixture/tiles.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* ---- construction -------------------------------------------------------- */

enum { PIECE = 256 /* tokens that go through the cache at once */ };

/* Component k from `alpha` [n_tokens], in pieces.  What is checked is
 * our own copy: another thread may write to the caller's. */
static mb_status
fill_component(mb_mixture *mixture, size_t k, const double *alpha, mb_interrupt *interrupt)
{
    size_t n_tokens = mixture->n_tokens;
    double *own = mixture->alpha + k * n_tokens;
    double *exponents = mixture->exponents + k * mb_padded(n_tokens);
    double sum = 0.0, log_gammas = 0.0;
    for (size_t at = 0; at < n_tokens; at += PIECE) {
        size_t n = n_tokens - at < PIECE ? n_tokens - at : PIECE;
        double log_gamma[PIECE], part = 0.0;
        memcpy(own + at, alpha + at, n * sizeof(double));
        for (size_t v = at; v < at + n; v++) {
            if (!(own[v] >= MB_LEAST_ALPHA) || !isfinite(own[v])) {
                return MB_INVALID;
            }
            sum += own[v];
            exponents[v] = own[v] - 1.0;
        }
        mb_lgamma(n, own + at, log_gamma);
        for (size_t v = 0; v < n; v++) {
            part += log_gamma[v];
        }
        log_gammas += part;
        MB_TRY(mb_ask(interrupt, 16 * n));
    }
    if (!(sum <= MB_MOST_CONCENTRATION)) {
        return MB_RANGE;
    }
    mixture->concentration[k] = sum;
    mixture->log_norm[k] = mb_lgamma1(sum) - log_gammas;
    return MB_OK;
}

/* One allocation: the struct, then its arrays. */
static mb_mixture *
allocate(size_t n_components, size_t n_tokens)
{
    size_t width, count;
    if (__builtin_add_overflow(n_tokens, mb_padded(n_tokens), &width) ||
        __builtin_add_overflow(width, 4 + MB_LANES, &width) ||
        !mb_multiply(n_components, width, &count) ||
        __builtin_add_overflow(count, sizeof(mb_mixture) / sizeof(double) + 1, &count)) {
        return NULL;
    }
    mb_mixture *mixture = mb_calloc(count, sizeof(double));
    if (mixture == NULL) {
        return NULL;
    }
    mixture->n_components = n_components;
    mixture->n_tokens = n_tokens;
    mixture->weights = (double *)(mixture + 1);
    mixture->log_weights = mixture->weights + n_components;
    mixture->concentration = mixture->log_weights + n_components;
    mixture->log_norm = mixture->concentration + n_components;
    mixture->alpha = mixture->log_norm + n_components;
    mixture->exponents = mixture->alpha + n_components * n_tokens;
    mixture->ends = mixture->exponents + n_components * mb_padded(n_tokens);
    return mixture;
}

/* The exponents' ends; those of tokens that whole vectors cover stay zero, and so do pads. */
static void
fill_ends(mb_mixture *mixture)
{
    size_t n_padded = mb_padded(mixture->n_tokens);
    size_t whole = n_padded / MB_LANES * MB_LANES, end = n_padded - MB_LANES;
    for (size_t k = 0; k < mixture->n_components; k++) {
        for (size_t v = whole; v < n_padded; v++) {
            mixture->ends[k * MB_LANES + v - end] = mixture->exponents[k * n_padded + v];
        }
    }
}

mb_status
mb_mixture_new(size_t n_components, size_t n_tokens, const double *weights, const double *alpha,
               mb_interrupt *interrupt, mb_mixture **out)
{
    if (n_components == 0 || n_tokens == 0) {
        return MB_INVALID;
    }
    mb_mixture *mixture = allocate(n_components, n_tokens);
    if (mixture == NULL) {
        return MB_NOMEM;
    }
    memcpy(mixture->weights, weights, n_components * sizeof(double));
    mb_status status = MB_OK;
    double sum = 0.0;
    for (size_t k = 0; k < n_components && status == MB_OK; k++) {
        double weight = mixture->weights[k];
        status = weight >= 0.0 && isfinite(weight)
                     ? fill_component(mixture, k, alpha + k * n_tokens, interrupt)
                     : MB_INVALID;
        sum += weight;
    }
    if (status == MB_OK && !(sum > 0.0 && isfinite(sum))) {
        status = MB_INVALID;
    }
    if (status != MB_OK) {
        mb_mixture_free(mixture);
        return status;
    }
    /* Weights that were divided once stay as they are: a copy is equal to the last bit. */
    sum = fabs(sum - 1.0) <= DBL_EPSILON * (double)n_components ? 1.0 : sum;
    for (size_t k = 0; k < n_components; k++) {
        /* fabs: a weight of -0.0 is 0.0 */
        mixture->weights[k] = fabs(mixture->weights[k] / sum);
    }
    mb_log(n_components, mixture->weights, mixture->log_weights);
    fill_ends(mixture);
    *out = mixture;
    return MB_OK;
}

void
mb_mixture_free(mb_mixture *mixture)
{
    mb_free(mixture);
}

/* ---- counts --------------------------------------------------------------- */

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
        for (size_t v = 0; v < n_tokens; v++) {
            out[v] += scale * (alpha[v] + counts[v]);
        }
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

/* ---- moments -------------------------------------------------------------- */

mb_status
mb_mixture_mean(const mb_mixture *mixture, mb_interrupt *interrupt, double *mean)
{
    size_t n_tokens = mixture->n_tokens;
    memset(mean, 0, n_tokens * sizeof(double));
    for (size_t k = 0; k < mixture->n_components; k++) {
        double scale = mixture->weights[k] / mixture->concentration[k];
        for (size_t v = 0; v < n_tokens; v++) {
            mean[v] += scale * mixture->alpha[k * n_tokens + v];
        }
        MB_TRY(mb_ask(interrupt, n_tokens));
    }
    return MB_OK;
}

/* The sum of a component's alphas but that of v, also where the total has lost it. */
static double
sum_of_others(size_t n_tokens, const double *alpha, double total, size_t v)
{
    if (alpha[v] <= 0.5 * total) {
        return total - alpha[v];
    }
    double sum = 0.0;
    for (size_t u = 0; u < n_tokens; u++) {
        sum += u == v ? 0.0 : alpha[u];
    }
    return sum;
}

/* E[Var] + Var[E]; the second about the first component's mean, so that equal
 * components cancel exactly. */
mb_status
mb_mixture_variance(const mb_mixture *mixture, mb_interrupt *interrupt, double *variance)
{
    size_t n_tokens = mixture->n_tokens;
    for (size_t v = 0; v < n_tokens; v++) {
        double centre = mixture->alpha[v] / mixture->concentration[0];
        double within = 0.0, shift = 0.0, square = 0.0;
        for (size_t k = 0; k < mixture->n_components; k++) {
            const double *alpha = mixture->alpha + k * n_tokens;
            double total = mixture->concentration[k];
            double weight = mixture->weights[k], mean = alpha[v] / total;
            double others = sum_of_others(n_tokens, alpha, total, v);
            within += weight * mean * (others / total) / (total + 1.0);
            shift += weight * (mean - centre);
            square += weight * (mean - centre) * (mean - centre);
        }
        double between = square - shift * shift;
        variance[v] = within + (between > 0.0 ? between : 0.0);
        MB_TRY(mb_ask(interrupt, 16 * mixture->n_components));
    }
    return MB_OK;
}

/* -p ln p, also where p is near 1 and its distance, `rest`, tells more. */
static double
surprise(double p, double log_p, double rest)
{
    double less = p > 0.5 ? log1p(-rest) : log_p;
    return p > 0.0 ? -p * less : 0.0;
}

#define FEW 4.0 /* up to here the plain formulas of e and g below lose no digit */

/* ln B(a) + (A - V) psi(A) - sum (a_v - 1) psi(a_v), in terms of what the entropy g of a gamma
 * variate is, none of which grows with A but as its logarithm:
 *
 *     sum g(a_v) - g(A) - (V - 1) psi(A) */
mb_status
mb_component_entropy(const mb_mixture *mixture, mb_interrupt *interrupt, double *out)
{
    size_t n_tokens = mixture->n_tokens;
    for (size_t k = 0; k < mixture->n_components; k++) {
        const double *alpha = mixture->alpha + k * n_tokens;
        double total = mixture->concentration[k], psi_total = mb_digamma1(total), sum = 0.0;
        for (size_t start = 0; start < n_tokens; start += RUN) {
            size_t n = n_tokens - start < RUN ? n_tokens - start : RUN;
            double log_gamma[RUN], psi[RUN];
            mb_lgamma(n, alpha + start, log_gamma);
            mb_digamma(n, alpha + start, psi);
            for (size_t i = 0; i < n; i++) {
                double a = alpha[start + i], near = a + log_gamma[i] + (1.0 - a) * psi[i];
                sum += (a < FEW ? near : mb_gamma_entropy1(a)) - psi_total;
            }
            MB_TRY(mb_ask(interrupt, 64 * n));
        }
        out[k] = sum + psi_total - mb_gamma_entropy1(total);
    }
    return MB_OK;
}

/* What is known of the next token of component k: its entropy under the mean, and the mean of
 * its entropy, sum m_v (psi(A + 1) - psi(a_v + 1)), both of positive terms.  Their difference is
 *
 *     sum m_v e(a_v) - e(A),   e(x) = psi(x + 1) - ln x,
 *
 * too: of the two that which has less to cancel. */
static mb_status
component_uncertainty(const mb_mixture *mixture, size_t k, mb_interrupt *interrupt,
                      mb_uncertainty *out)
{
    size_t n_tokens = mixture->n_tokens;
    const double *alpha = mixture->alpha + k * n_tokens;
    double total = mixture->concentration[k], excess_of_total = mb_log_excess1(total);
    mb_uncertainty u = {0.0, 0.0, 0.0};
    for (size_t start = 0; start < n_tokens; start += RUN) {
        size_t n = n_tokens - start < RUN ? n_tokens - start : RUN;
        double mean[RUN], others[RUN], next[RUN], steps[RUN], log_mean[RUN], log_alpha[RUN];
        for (size_t i = 0; i < n; i++) {
            mean[i] = alpha[start + i] / total;
            others[i] = sum_of_others(n_tokens, alpha, total, start + i);
            next[i] = alpha[start + i] + 1.0;
        }
        mb_digamma_differences(n, next, others, steps);
        mb_digamma(n, next, next);
        mb_log(n, mean, log_mean);
        mb_log(n, alpha + start, log_alpha);
        for (size_t i = 0; i < n; i++) {
            double a = alpha[start + i], near = next[i] - log_alpha[i];
            u.total += surprise(mean[i], log_mean[i], others[i] / total);
            u.aleatoric += mean[i] * steps[i];
            u.epistemic += mean[i] * (a < FEW ? near : mb_log_excess1(a));
        }
        MB_TRY(mb_ask(interrupt, 128 * n));
    }
    u.epistemic -= excess_of_total;
    if (u.total < excess_of_total) {
        u.epistemic = u.total - u.aleatoric;
    }
    *out = u;
    return MB_OK;
}

/* sum [n] += weight (p ln(p / q) - p + q) of p = scale alpha, each of which is positive: with t =
 * q / p - 1 it is p (t - ln(1 + t)). */
MB_CLONES static void
add_divergences(size_t n, double weight, double scale, const double *alpha, const double *mean,
                double *sum)
{
    for (size_t i = 0; i < n; i++) {
        double p = alpha[i] * scale, q = mean[i], t = (q - p) / (p > 0.0 ? p : 1.0);
        double near = t * t * (1.0 / 2 - t * (1.0 / 3 - t * (1.0 / 4 - t * (1.0 / 5 - t / 6))));
        double far = t - log_positive(1.0 + t, t);
        sum[i] += weight * (p > 0.0 ? p * (fabs(t) < 1e-3 ? near : far) : q);
    }
}

/* The entropy of the mean row is more than that of its components' means by their divergence from
 * it, which is positive too: nothing here is less than 0 by rounding. */
static void
add_mixing(const mb_mixture *mixture, size_t start, size_t n, mb_uncertainty *u)
{
    size_t n_tokens = mixture->n_tokens, n_components = mixture->n_components;
    double mean[RUN] = {0.0}, rest[RUN] = {0.0}, between[RUN] = {0.0}, log_mean[RUN];
    for (size_t k = 0; k < n_components; k++) {
        const double *alpha = mixture->alpha + k * n_tokens;
        double total = mixture->concentration[k], share = mixture->weights[k] / total;
        for (size_t i = 0; i < n; i++) {
            mean[i] += share * alpha[start + i];
            rest[i] += share * sum_of_others(n_tokens, alpha, total, start + i);
        }
    }
    for (size_t k = 0; n_components > 1 && k < n_components; k++) {
        add_divergences(n, mixture->weights[k], 1.0 / mixture->concentration[k],
                        mixture->alpha + k * n_tokens + start, mean, between);
    }
    mb_log(n, mean, log_mean);
    for (size_t i = 0; i < n; i++) {
        u->total += surprise(mean[i], log_mean[i], rest[i]);
        u->epistemic += between[i];
    }
}

mb_status
mb_mixture_uncertainty(const mb_mixture *mixture, mb_interrupt *interrupt, mb_uncertainty *out)
{
    size_t n_tokens = mixture->n_tokens;
    mb_uncertainty result = {0.0, 0.0, 0.0};
    for (size_t k = 0; k < mixture->n_components; k++) {
        if (mixture->weights[k] > 0.0) {
            mb_uncertainty u;
            MB_TRY(component_uncertainty(mixture, k, interrupt, &u));
            result.aleatoric += mixture->weights[k] * u.aleatoric;
            result.epistemic += mixture->weights[k] * u.epistemic;
        }
    }
    for (size_t start = 0; start < n_tokens; start += RUN) {
        add_mixing(mixture, start, n_tokens - start < RUN ? n_tokens - start : RUN, &result);
        MB_TRY(mb_ask(interrupt, (size_t)32 * RUN * mixture->n_components));
    }
    *out = result;
    return MB_OK;
}
