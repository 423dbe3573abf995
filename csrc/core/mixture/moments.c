/* What a mixture says by itself: mean, variance, entropies.  None of them cancels, however large an
 * alpha is. */
#include "core/mixture/moments.h"

#include "core/special/special.h"
#include "core/special/special_log.h"

#include <math.h>
#include <string.h>

#define KERNEL "core/mixture/moments_kernel.h"
#include "core/base/instruction_sets.h"

enum { RUN = 128 };

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

/* The entropy of the mean row is more than that of its components' means by their divergence from
 * it, which is positive too: nothing here is less than 0 by rounding. */
static void
add_mixing(const mb_mixture *mixture, size_t start, size_t n, mb_uncertainty *u)
{
    size_t n_tokens = mixture->n_tokens, n_components = mixture->n_components;
    double mean[RUN] = {0.0}, rest[RUN] = {0.0}, between[RUN] = {0.0}, log_mean[RUN];
    for (size_t k = 0; k < n_components; k++) {
        const double *alpha = mixture->alpha + k * n_tokens;
        double total = mixture->concentration[k], scale = 1.0 / total, weight = mixture->weights[k];
        for (size_t i = 0; i < n; i++) { /* weight * scale may be too small to have its digits */
            mean[i] += weight * (scale * alpha[start + i]);
            rest[i] += weight * (scale * sum_of_others(n_tokens, alpha, total, start + i));
        }
    }
    for (size_t k = 0; n_components > 1 && k < n_components; k++) {
        if (mixture->weights[k] > 0.0) {
            CHOOSE(add_divergences, n, mixture->weights[k], 1.0 / mixture->concentration[k],
                   mixture->alpha + k * n_tokens + start, mean, between);
        }
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
