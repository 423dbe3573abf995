/* Next-token rows of 16-bit codes, as llama.cpp writes them (tools/perplexity, `--kl-divergence-base`).
 *
 * Code c of a row stands for the log-probability scale * c + least.  The writer lets no code stand for
 * what is more than 16 below the row's largest: there the code is 0, and says only that the token has
 * at most the probability of `least`.  Such an entry is censored. */
#ifndef MB_CODES_H
#define MB_CODES_H

#include "core/base/status.h"

#include <stddef.h>
#include <stdint.h>

/* Rows [n_rows][width] one behind the other: two floats, which are the scale and `least`, n_columns
 * codes, and what is left of the width is padding. */
typedef struct {
    const uint16_t *data;
    size_t n_rows, n_columns, width; /* n_columns >= 1, width >= MB_CODE_HEAD + n_columns */
} mb_code_rows;

enum { MB_CODE_HEAD = 4 };

typedef enum {
    MB_CODE_SCALE, /* it is not finite, below 0, or makes a row longer than the writer's 16 */
    MB_CODE_LEAST, /* it is not finite */
    MB_CODE_SUM    /* the codes are of no distribution, whatever the censored ones are */
} mb_code_fault_kind;

/* Why a row was refused: the first such, and the number; of a sum, that of what is not censored. */
typedef struct {
    mb_code_fault_kind kind;
    size_t row;
    double value;
} mb_code_fault;

/* The log-probabilities into out [n_rows][n_columns]; how many of a row are censored into n_censored
 * [n_rows]; and between which bounds their probability is, all together, into rest [n_rows][2].
 *
 * Bounds: a code is half a step off, and they are no more together than n times the least.  The
 * censored have equal shares of the middle between the bounds, and each row is divided by its sum,
 * which is off by no more than half the step of its codes, 1.3e-4.
 * MB_INVALID: *fault says why; what comes out is then partly written. */
mb_status mb_decode_rows(const mb_code_rows *rows, mb_interrupt *interrupt, float *out,
                         int64_t *n_censored, double *rest, mb_code_fault *fault);

#endif
