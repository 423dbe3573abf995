/* Finite mixtures of Dirichlets: how one is made. */
#include "core/mixture/mixture.h"

#include "core/base/mem.h"
#include "core/base/ranges.h"
#include "core/special/special.h"
#include "core/mixture/tiles.h"

#include <float.h>
#include <math.h>
#include <string.h>

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
