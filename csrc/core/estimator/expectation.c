/* The E-step on rows: responsibilities and sums, block by block.
 *
 * With X the rows of log-probabilities [n][V], the densities are X (alpha - 1)'
 * plus a constant and the sums are R' X: two matrix products that share X.  A
 * block of rows is small enough to stay in the cache between them, so X crosses
 * the memory bus once.
 */
#include "core/estimator/expectation.h"

#include "core/mixture/posterior.h"

#include <string.h>

size_t
mb_expectation_scratch(size_t n_components)
{
    return n_components * (MB_LANES + MB_MAX_BLOCK);
}

/* out [K][V] += R' X; `padded` has room for [K][MB_LANES]. */
static mb_status
add_log_sums(const mb_block *x, const double *r, size_t n_components, size_t n_tokens,
             mb_interrupt *interrupt, double *padded, double *out)
{
    if (n_tokens >= MB_LANES) {
        return mb_tile_sums(x, n_components, r, interrupt, out);
    }
    memset(padded, 0, n_components * MB_LANES * sizeof(double));
    MB_TRY(mb_tile_sums(x, n_components, r, interrupt, padded));
    for (size_t k = 0; k < n_components; k++) {
        for (size_t v = 0; v < n_tokens; v++) {
            out[k * n_tokens + v] += padded[k * MB_LANES + v];
        }
    }
    return MB_OK;
}

mb_status
mb_expectation(const mb_mixture *mixture, const mb_log_rows *rows, const double *sample_weight,
               mb_interrupt *interrupt, double *scratch, mb_sums *result)
{
    size_t n_components = mixture->n_components, n_tokens = mixture->n_tokens;
    double *padded = scratch, *joint = scratch + n_components * MB_LANES;
    mb_short_rows room;
    for (size_t start = 0; start < rows->n;) {
        mb_block x = mb_next_block(rows, n_tokens, start, &room);
        double log_density[MB_MAX_BLOCK];
        MB_TRY(mb_block_log_joint(mixture, &x, interrupt, joint));
        MB_TRY(mb_normalize_log_joint(x.n, n_components, interrupt, joint, log_density));
        double log_likelihood = 0.0;
        for (size_t i = 0; i < x.n; i++) {
            double weight = sample_weight == NULL ? 1.0 : sample_weight[start + i];
            log_likelihood += weight * log_density[i];
            for (size_t k = 0; k < n_components; k++) {
                joint[i * n_components + k] *= weight;
                result->weight[k] += joint[i * n_components + k];
            }
        }
        result->log_likelihood += log_likelihood;
        MB_TRY(
            add_log_sums(&x, joint, n_components, n_tokens, interrupt, padded, result->log_sums));
        start += x.n;
    }
    return MB_OK;
}

mb_status
mb_accumulate(size_t n_components, size_t n_tokens, const mb_log_rows *rows,
              const double *responsibilities, mb_interrupt *interrupt, double *scratch,
              mb_sums *result)
{
    mb_short_rows room;
    for (size_t start = 0; start < rows->n;) {
        mb_block x = mb_next_block(rows, n_tokens, start, &room);
        const double *r = responsibilities + start * n_components;
        for (size_t i = 0; i < x.n; i++) {
            for (size_t k = 0; k < n_components; k++) {
                result->weight[k] += r[i * n_components + k];
            }
        }
        MB_TRY(add_log_sums(&x, r, n_components, n_tokens, interrupt, scratch, result->log_sums));
        start += x.n;
    }
    return MB_OK;
}
