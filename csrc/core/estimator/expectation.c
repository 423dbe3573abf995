/* The E-step on rows: log-densities, responsibilities and sums, block by block.
 *
 * With X the rows of log-probabilities [n][V], the densities are X (alpha - 1)'
 * plus a constant and the sums are R' X: two matrix products that share X.  A
 * block of rows is small enough to stay in the cache between them, so X crosses
 * the memory bus once.
 */
#include "core/estimator/expectation.h"

#include "core/special/special.h"
#include "core/mixture/tiles.h"

#include <string.h>

enum { LANES = MB_LANES, MAX_BLOCK = 64 };

/* What a run over blocks keeps in its scratch. */
typedef struct {
    double *joint;       /* [MAX_BLOCK][K] */
    double *padded;      /* [MAX_BLOCK][LANES], rows of fewer than LANES tokens */
    double *padded_sums; /* [K][LANES] */
} workspace;

/* How many rows share a pass through the caches. */
static size_t
rows_of_block(size_t n_tokens)
{
    /* About 2 MB of float32, so that the second product finds the block in the cache. */
    size_t rows = ((size_t)1 << 19) / n_tokens;
    return rows >= MAX_BLOCK ? MAX_BLOCK : rows < 12 ? 12 : rows;
}

size_t
mb_expectation_scratch(size_t n_components)
{
    return n_components * (LANES + MAX_BLOCK) + (size_t)MAX_BLOCK * LANES;
}

static workspace
carve(size_t n_components, double *scratch)
{
    workspace w;
    w.padded_sums = scratch;
    w.joint = w.padded_sums + n_components * LANES;
    w.padded = w.joint + n_components * MAX_BLOCK;
    return w;
}

/* Rows start .. start + n as a block; short ones go to the workspace first. */
static mb_block
take_block(const mb_log_rows *rows, size_t n_tokens, size_t start, size_t n, workspace *w)
{
    size_t size = rows->is_double ? sizeof(double) : sizeof(float);
    const char *from = (const char *)rows->data + start * n_tokens * size;
    mb_block x = {from, rows->is_double, n, n_tokens, n_tokens};
    if (n_tokens < LANES) {
        char *to = (char *)w->padded;
        memset(to, 0, n * LANES * size);
        for (size_t i = 0; i < n; i++) {
            memcpy(to + i * LANES * size, from + i * n_tokens * size, n_tokens * size);
        }
        x = (mb_block){to, rows->is_double, n, LANES, LANES};
    }
    return x;
}

static mb_status
block_joint(const mb_mixture *mixture, const mb_block *x, mb_interrupt *interrupt, double *joint)
{
    size_t n_components = mixture->n_components;
    for (size_t i = 0; i < x->n; i++) {
        for (size_t k = 0; k < n_components; k++) {
            joint[i * n_components + k] = mixture->log_weights[k] + mixture->log_norm[k];
        }
    }
    mb_factors factors = {n_components, mixture->exponents, mixture->ends};
    return mb_tile_densities(x, &factors, interrupt, joint);
}

static mb_status
block_sums(const mb_block *x, const double *r, size_t n_components, size_t n_tokens,
           mb_interrupt *interrupt, const workspace *w, double *out)
{
    double *to = n_tokens < LANES ? w->padded_sums : out;
    if (to != out) {
        memset(to, 0, n_components * LANES * sizeof(double));
    }
    MB_TRY(mb_tile_sums(x, n_components, r, interrupt, to));
    if (to != out) {
        for (size_t k = 0; k < n_components; k++) {
            for (size_t v = 0; v < n_tokens; v++) {
                out[k * n_tokens + v] += to[k * LANES + v];
            }
        }
    }
    return MB_OK;
}

mb_status
mb_mixture_log_joint_rows(const mb_mixture *mixture, const mb_log_rows *rows,
                          mb_interrupt *interrupt, double *out, double *scratch)
{
    size_t n_components = mixture->n_components, n_tokens = mixture->n_tokens;
    workspace w = carve(n_components, scratch);
    size_t step = rows_of_block(n_tokens);
    for (size_t start = 0; start < rows->n; start += step) {
        size_t n = rows->n - start < step ? rows->n - start : step;
        mb_block x = take_block(rows, n_tokens, start, n, &w);
        MB_TRY(block_joint(mixture, &x, interrupt, out + start * n_components));
    }
    return MB_OK;
}

mb_status
mb_expectation(const mb_mixture *mixture, const mb_log_rows *rows, const double *sample_weight,
               mb_interrupt *interrupt, double *scratch, mb_sums *result)
{
    size_t n_components = mixture->n_components, n_tokens = mixture->n_tokens;
    workspace w = carve(n_components, scratch);
    size_t step = rows_of_block(n_tokens);
    for (size_t start = 0; start < rows->n; start += step) {
        size_t n = rows->n - start < step ? rows->n - start : step;
        mb_block x = take_block(rows, n_tokens, start, n, &w);
        double log_density[MAX_BLOCK];
        MB_TRY(block_joint(mixture, &x, interrupt, w.joint));
        MB_TRY(mb_normalize_log_joint(n, n_components, interrupt, w.joint, log_density));
        double log_likelihood = 0.0;
        for (size_t i = 0; i < n; i++) {
            double weight = sample_weight == NULL ? 1.0 : sample_weight[start + i];
            log_likelihood += weight * log_density[i];
            for (size_t k = 0; k < n_components; k++) {
                w.joint[i * n_components + k] *= weight;
                result->weight[k] += w.joint[i * n_components + k];
            }
        }
        result->log_likelihood += log_likelihood;
        MB_TRY(block_sums(&x, w.joint, n_components, n_tokens, interrupt, &w, result->log_sums));
    }
    return MB_OK;
}

mb_status
mb_accumulate(size_t n_components, size_t n_tokens, const mb_log_rows *rows,
              const double *responsibilities, mb_interrupt *interrupt, double *scratch,
              mb_sums *result)
{
    workspace w = carve(n_components, scratch);
    size_t step = rows_of_block(n_tokens);
    for (size_t start = 0; start < rows->n; start += step) {
        size_t n = rows->n - start < step ? rows->n - start : step;
        const double *r = responsibilities + start * n_components;
        mb_block x = take_block(rows, n_tokens, start, n, &w);
        for (size_t i = 0; i < n; i++) {
            for (size_t k = 0; k < n_components; k++) {
                result->weight[k] += r[i * n_components + k];
            }
        }
        MB_TRY(block_sums(&x, r, n_components, n_tokens, interrupt, &w, result->log_sums));
    }
    return MB_OK;
}
