/* Evidence of counts under Dirichlets around rows.
 *
 * WIDTH rows go side by side.  For each count vector their probabilities of its tokens are gathered
 * once, RUN tokens at a time, and each pair makes of them a product of rising factorials: two
 * multiply-adds and a multiplication for a factor, and one logarithm for all of a run. */
#include "core/mixture/row_kernels.h"

#include "core/base/contract.h"
#include "core/base/mem.h"
#include "core/special/special.h"

#include <string.h>

enum {
    WIDTH = 16,  /* rows */
    RUN = 64,    /* tokens */
    TAME = 8,    /* factors of 2^-60 to 2^60 that a product of them and a mantissa bears */
    LONGEST = 32 /* the count up to which factors are multiplied one by one */
};
#define MANTISSA 0xfffffffffffffULL
#define ONE 0x3ff0000000000000ULL
#define WHOLE 0x4330000000000000ULL

/* Tokens of a count vector: their probabilities in WIDTH rows, what was seen of them before, and
 * how many factors each has. */
typedef struct {
    double p[RUN][WIDTH], b[RUN][WIDTH], seen[RUN];
    unsigned times[RUN];
} kernel_tokens;

#define KERNEL "core/mixture/row_kernels_kernel.h"
#include "core/base/instruction_sets.h"

/* What is computed of a block of rows: [J][WIDTH] each. */
typedef struct {
    double *sums, *mantissa, *exponent;
} kernel_sums;

/* The block's probabilities of place u, padded with ones, as token `at`. */
static void
gather_place(const mb_row_kernels *kernels, size_t u, size_t first, size_t width, size_t at,
             kernel_tokens *to)
{
    size_t from = u * kernels->n_rows + first;
    if (width < WIDTH) {
        for (size_t l = 0; l < WIDTH; l++) {
            to->p[at][l] = to->b[at][l] = 1.0;
        }
    }
    memcpy(to->p[at], kernels->p + from, width * sizeof(double));
    memcpy(to->b[at], kernels->b + from, width * sizeof(double));
    to->seen[at] = kernels->seen[u];
}

/* Whether TAME factors of any pair stay in range: alphas of n tokens from 2^-60 to nearly 2^60. */
static int
are_tame(const mb_row_kernels *kernels, size_t n, const kernel_tokens *tokens)
{
    const double low = 0x1p-60, high = 0x1p59;
    double least[WIDTH], most[WIDTH], shared_least = high, both_most = 0.0, seen_most = 0.0;
    for (size_t l = 0; l < WIDTH; l++) {
        least[l] = high;
        most[l] = 0.0;
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t l = 0; l < WIDTH; l++) {
            double p = tokens->p[i][l], b = tokens->b[i][l];
            least[l] = b < least[l] ? b : least[l];
            most[l] = b > most[l] ? b : most[l];
            most[l] = p > most[l] ? p : most[l];
        }
        seen_most = tokens->seen[i] > seen_most ? tokens->seen[i] : seen_most;
    }
    double least_b = least[0], most_p = most[0];
    for (size_t l = 1; l < WIDTH; l++) {
        least_b = least[l] < least_b ? least[l] : least_b;
        most_p = most[l] > most_p ? most[l] : most_p;
    }
    for (size_t j = 0; j < kernels->n_pairs; j++) {
        double shared = kernels->shared[j], both = kernels->own[j] + shared;
        shared_least = shared < shared_least ? shared : shared_least;
        both_most = both > both_most ? both : both_most;
    }
    return shared_least * least_b >= low && both_most * most_p + seen_most < high;
}

/* The sums of every pair += the logarithms of the run's products. */
static void
add_run(const mb_row_kernels *kernels, size_t n, const kernel_tokens *tokens,
        const kernel_sums *block)
{
    const double ln_2 = 0x1.62e42fefa39efp-1;
    size_t size = kernels->n_pairs * WIDTH;
    int is_tame = are_tame(kernels, n, tokens);
    for (size_t j = 0; j < kernels->n_pairs; j++) {
        CHOOSE(rising_products, is_tame, n, tokens, kernels->own[j], kernels->shared[j],
               block->mantissa + j * WIDTH, block->exponent + j * WIDTH);
    }
    mb_log(size, block->mantissa, block->mantissa);
    for (size_t k = 0; k < size; k++) {
        block->sums[k] += block->mantissa[k] + ln_2 * block->exponent[k];
    }
}

/* The same for one token, the first of `tokens`, whose count is large or not whole. */
static void
add_long(const mb_row_kernels *kernels, double count, const kernel_tokens *tokens,
         const kernel_sums *block)
{
    for (size_t j = 0; j < kernels->n_pairs; j++) {
        double alpha[WIDTH], counts[WIDTH];
        for (size_t l = 0; l < WIDTH; l++) {
            alpha[l] = kernels->own[j] * tokens->p[0][l] + kernels->shared[j] * tokens->b[0][l] +
                       tokens->seen[0];
            counts[l] = count;
        }
        mb_lgamma_differences(WIDTH, alpha, counts, alpha);
        for (size_t l = 0; l < WIDTH; l++) {
            block->sums[j * WIDTH + l] += alpha[l];
        }
    }
}

/* The sums of one count vector, in the rows from `first` on. */
static mb_status
add_vector(const mb_row_kernels *kernels, size_t first, size_t n, const int64_t *places,
           const double *counts, mb_interrupt *interrupt, const kernel_sums *block)
{
    size_t left = kernels->n_rows - first, width = left < WIDTH ? left : WIDTH;
    size_t many = 0, factors = 0;
    kernel_tokens tokens MB_FILLED;
    memset(block->sums, 0, kernels->n_pairs * WIDTH * sizeof(double));
    for (size_t i = 0; i < n; i++) {
        double count = counts[i];
        if (!(count >= 0.0 && count <= LONGEST) || count != (double)(unsigned)count) {
            kernel_tokens alone MB_FILLED;
            gather_place(kernels, (size_t)places[i], first, width, 0, &alone);
            add_long(kernels, count, &alone, block);
            MB_TRY(mb_ask(interrupt, (size_t)32 * WIDTH * kernels->n_pairs));
            continue;
        }
        gather_place(kernels, (size_t)places[i], first, width, many, &tokens);
        tokens.times[many++] = (unsigned)count;
        factors += (size_t)count;
        if (many == RUN) {
            add_run(kernels, many, &tokens, block);
            MB_TRY(mb_ask(interrupt, (factors + 8) * WIDTH * kernels->n_pairs));
            many = factors = 0;
        }
    }
    if (many > 0) {
        add_run(kernels, many, &tokens, block);
    }
    return mb_ask(interrupt, (factors + 8) * WIDTH * kernels->n_pairs);
}

size_t
mb_row_kernels_scratch(size_t n, size_t n_pairs)
{
    size_t width, size;
    if (__builtin_add_overflow(n, (size_t)3 * WIDTH, &width) ||
        !mb_multiply(width, n_pairs, &size)) {
        return 0;
    }
    return size;
}

mb_status
mb_row_kernels_log_evidence(const mb_row_kernels *kernels, size_t n, const int64_t *starts,
                            const int64_t *places, const double *counts, mb_interrupt *interrupt,
                            double *scratch, double *out)
{
    size_t n_rows = kernels->n_rows, n_pairs = kernels->n_pairs;
    const kernel_sums block = {scratch, scratch + n_pairs * WIDTH, scratch + 2 * n_pairs * WIDTH};
    double *totals = scratch + 3 * n_pairs * WIDTH; /* what all tokens together divide by */
    for (size_t r = 0; r < n; r++) {
        double total = 0.0;
        for (int64_t i = starts[r]; i < starts[r + 1]; i++) {
            total += counts[i];
        }
        for (size_t j = 0; j < n_pairs; j++) {
            totals[r * n_pairs + j] = mb_lgamma_difference(kernels->concentration[j], total);
        }
        MB_TRY(mb_ask(interrupt, (size_t)(starts[r + 1] - starts[r]) + 64 * n_pairs));
    }
    for (size_t first = 0; first < n_rows; first += WIDTH) {
        size_t width = n_rows - first < WIDTH ? n_rows - first : WIDTH;
        for (size_t r = 0; r < n; r++) {
            MB_TRY(add_vector(kernels, first, (size_t)(starts[r + 1] - starts[r]),
                              places + starts[r], counts + starts[r], interrupt, &block));
            for (size_t j = 0; j < n_pairs; j++) {
                double *to = out + (r * n_pairs + j) * n_rows + first;
                for (size_t l = 0; l < width; l++) {
                    to[l] = block.sums[j * WIDTH + l] - totals[r * n_pairs + j];
                }
            }
        }
    }
    return MB_OK;
}
