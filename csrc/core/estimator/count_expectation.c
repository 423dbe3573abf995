/* The E-step on counts: a look-up and a sum for each cell of a row, and back.
 *
 * All components of a cell are side by side: one or two vectors, found by one
 * number.  The sums run in two interleaved chains, so that one does not wait for
 * the other; which is which depends on a cell's place in its row alone, so the
 * result is the same bits on every instruction set. */
#include "core/estimator/count_expectation.h"

#include "core/mixture/posterior.h"
#include "core/special/special.h"

#include <math.h>
#include <string.h>

/* Components side by side in a table: NARROW of them, or a multiple of WIDE. */
#define NARROW 4
#define WIDE 8
enum { BLOCK = 64, RUN = 256 };

#define KERNEL "core/estimator/count_kernel.h"
#include "core/base/instruction_sets.h"

size_t
mb_table_width(size_t n_components)
{
    return n_components <= NARROW ? NARROW : (n_components + WIDE - 1) / WIDE * WIDE;
}

size_t
mb_count_scratch(size_t n_components)
{
    return BLOCK * mb_table_width(n_components);
}

/* Cells `at` .. `at` + n, no more than RUN. */
static void
fill_table(const mb_mixture *mixture, const mb_counts *counts, size_t at, size_t n, double *table)
{
    size_t width = mb_table_width(mixture->n_components);
    double alpha[RUN], result[RUN];
    for (size_t k = 0; k < mixture->n_components; k++) {
        for (size_t c = 0; c < n; c++) {
            uint32_t v = counts->token[at + c];
            alpha[c] = v == mixture->n_tokens ? mixture->concentration[k]
                                              : mixture->alpha[k * mixture->n_tokens + v];
        }
        mb_lgamma_differences(n, alpha, counts->count + at, result);
        for (size_t c = 0; c < n; c++) {
            int is_total = counts->token[at + c] == mixture->n_tokens;
            table[(at + c) * width + k] = is_total ? -result[c] : result[c];
        }
    }
}

mb_status
mb_evidence_table(const mb_mixture *mixture, const mb_counts *counts, mb_interrupt *interrupt,
                  double *table)
{
    for (size_t at = 0; at < counts->n_cells; at += RUN) {
        size_t n = counts->n_cells - at < RUN ? counts->n_cells - at : RUN;
        fill_table(mixture, counts, at, n, table);
        MB_TRY(mb_ask(interrupt, 32 * n * mixture->n_components));
    }
    return MB_OK;
}

/* Each row becomes the weights' logarithms; -inf in the pads, which no share falls to. */
static void
begin_joint(size_t n, size_t n_components, size_t width, const double *log_weights, double *joint)
{
    for (size_t k = 0; k < width; k++) {
        joint[k] = k < n_components ? log_weights[k] : -INFINITY;
    }
    for (size_t i = 1; i < n; i++) {
        memcpy(joint + i * width, joint, width * sizeof(double));
    }
}

/* to[0 .. lanes) += the sum of n rows, `width` apart. */
MB_INLINE void
add_rows(size_t lanes, size_t n, size_t width, const double *rows, double *to)
{
    double sums[WIDE] = {0.0};
    for (size_t i = 0; i < n; i++) {
        for (size_t l = 0; l < lanes; l++) {
            sums[l] += rows[i * width + l];
        }
    }
    for (size_t l = 0; l < lanes; l++) {
        to[l] += sums[l];
    }
}

/* weight [K] += the shares [n][width] of a block's rows. */
static void
add_shares(size_t n, size_t n_components, const double *shares, double *weight)
{
    size_t width = mb_table_width(n_components);
    for (size_t l = 0; l < n_components; l += WIDE) {
        double sums[WIDE] = {0.0};
        if (width == NARROW) {
            add_rows(NARROW, n, NARROW, shares, sums);
        } else {
            add_rows(WIDE, n, width, shares + l, sums);
        }
        for (size_t k = l; k < n_components && k < l + WIDE; k++) {
            weight[k] += sums[k - l];
        }
    }
}

mb_status
mb_counts_log_joint(const mb_counts *counts, size_t start, size_t end, size_t n_components,
                    const double *log_weights, const double *table, mb_interrupt *interrupt,
                    double *scratch, double *out)
{
    size_t width = mb_table_width(n_components);
    for (size_t at = start; at < end; at += BLOCK) {
        size_t n = end - at < BLOCK ? end - at : BLOCK;
        begin_joint(n, n_components, width, log_weights, scratch);
        MB_TRY(CHOOSE(block_joint, counts, at, n, width, table, interrupt, scratch));
        for (size_t i = 0; i < n; i++) {
            memcpy(out + (at - start + i) * n_components, scratch + i * width,
                   n_components * sizeof(double));
        }
    }
    return MB_OK;
}

mb_status
mb_count_expectation(const mb_counts *counts, size_t start, size_t end, size_t n_components,
                     const double *log_weights, const double *table, const double *sample_weight,
                     mb_interrupt *interrupt, double *scratch, mb_count_sums *sums)
{
    size_t width = mb_table_width(n_components);
    for (size_t at = start; at < end; at += BLOCK) {
        size_t n = end - at < BLOCK ? end - at : BLOCK;
        double evidence[BLOCK];
        begin_joint(n, n_components, width, log_weights, scratch);
        MB_TRY(CHOOSE(block_joint, counts, at, n, width, table, interrupt, scratch));
        MB_TRY(mb_normalize_log_joint(n, width, interrupt, scratch, evidence));
        double log_likelihood = 0.0;
        for (size_t i = 0; i < n; i++) {
            double weight = sample_weight == NULL ? 1.0 : sample_weight[at + i];
            log_likelihood += weight * evidence[i];
            for (size_t k = 0; sample_weight != NULL && k < width; k++) {
                scratch[i * width + k] *= weight;
            }
        }
        sums->log_likelihood += log_likelihood;
        add_shares(n, n_components, scratch, sums->weight);
        MB_TRY(CHOOSE(block_sums, counts, at, n, width, scratch, interrupt, sums->cells));
    }
    return MB_OK;
}

mb_status
mb_count_accumulate(const mb_counts *counts, size_t start, size_t end, size_t n_components,
                    const double *responsibilities, mb_interrupt *interrupt, double *scratch,
                    mb_count_sums *sums)
{
    size_t width = mb_table_width(n_components);
    for (size_t at = start; at < end; at += BLOCK) {
        size_t n = end - at < BLOCK ? end - at : BLOCK;
        memset(scratch, 0, n * width * sizeof(double));
        for (size_t i = 0; i < n; i++) {
            for (size_t k = 0; k < n_components; k++) {
                scratch[i * width + k] = responsibilities[(at - start + i) * n_components + k];
            }
        }
        add_shares(n, n_components, scratch, sums->weight);
        MB_TRY(CHOOSE(block_sums, counts, at, n, width, scratch, interrupt, sums->cells));
    }
    return MB_OK;
}
