/* Rows of codes, one at a time: each code is read once, by whatever memory it lies in, and what the
 * censored ones have is known when the others are summed. */
#include "core/rows/codes.h"

#include "core/rows/exp_float.h"
#include "core/special/special_log.h"

enum { SUMS = 32, PIECE = 1024 };

#define STEPS 65535.0 /* of the largest code */
#define RANGE 16.0    /* nats that a row's codes are over, at most */
#define NEAR 0.01     /* of RANGE: the writer's logits are floats */

/* Steps that a code is off: half a step, and what the writer's floats make of the last one. */
#define OFF 0.51
/* Relative error of a sum of probabilities: of exp_float(), and of the writer's own sum. */
#define ROUNDING 2e-5

#define KERNEL "core/rows/codes_kernel.h"
#include "core/base/instruction_sets.h"

/* Refuses a head that no writer writes. */
static mb_status
check_head(float scale, float least, size_t row, mb_code_fault *fault)
{
    if (!(scale >= 0 && (double)scale * STEPS <= RANGE + NEAR)) {
        *fault = (mb_code_fault){MB_CODE_SCALE, row, (double)scale};
        return MB_INVALID;
    }
    if (!(fabsf(least) <= FLT_MAX)) {
        *fault = (mb_code_fault){MB_CODE_LEAST, row, (double)least};
        return MB_INVALID;
    }
    return MB_OK;
}

/* The probability that is left for the censored entries; whether there is such a number. */
static int
bound_rest(double listed, float scale, double most, double *rest)
{
    double off = OFF * (double)scale + ROUNDING;
    double low = 1 - listed * (1 + off), high = 1 - listed * (1 - off);
    rest[0] = low > 0 ? low : 0;
    rest[1] = high < most ? high : most;
    return listed > 0 && rest[0] <= rest[1] && (rest[1] > 0 || most <= 0);
}

static mb_status
decode_row(const uint16_t *row, size_t number, size_t n, mb_interrupt *interrupt, float *out,
           int64_t *n_censored, double *rest, mb_code_fault *fault)
{
    float head[2];
    double sum = 0;
    size_t n_zero = 0;
    memcpy(head, row, sizeof head);
    MB_TRY(check_head(head[0], head[1], number, fault));
    for (size_t from = 0; from < n; from += PIECE) {
        size_t size = n - from < PIECE ? n - from : PIECE;
        float *x = out + from, probs[PIECE] MB_FILLED;
        CHOOSE(decode_codes, size, row + MB_CODE_HEAD + from, head[0], head[1], x);
        CHOOSE(exponentials_of_codes, size, x, probs);
        memset(probs + size, 0, (PIECE - size) * sizeof *probs);
        sum += CHOOSE(sum_of_codes, (size + SUMS - 1) / SUMS * SUMS, probs);
        n_zero += CHOOSE(count_least, size, x, head[1]);
        MB_TRY(mb_ask(interrupt, 2 * size));
    }
    int reaches =
        (double)head[0] * STEPS >= RANGE - NEAR; /* the floor, so that some may be below */
    size_t censored = reaches ? n_zero : 0;
    double most = (double)censored * exp_value((double)head[1]);
    double listed = sum - most;
    if (!bound_rest(listed, head[0], most, rest)) {
        *fault = (mb_code_fault){MB_CODE_SUM, number, listed};
        return MB_INVALID;
    }
    double middle = 0.5 * (rest[0] + rest[1]);
    float value = censored > 0 ? (float)log_value(middle / (double)censored) : head[1];
    CHOOSE(replace_least, n, head[1], value, (float)log_value(listed + middle), out);
    MB_TRY(mb_ask(interrupt, n));
    *n_censored = (int64_t)censored;
    return MB_OK;
}

mb_status
mb_decode_rows(const mb_code_rows *rows, mb_interrupt *interrupt, float *out, int64_t *n_censored,
               double *rest, mb_code_fault *fault)
{
    for (size_t i = 0; i < rows->n_rows; i++) {
        MB_TRY(decode_row(rows->data + i * rows->width, i, rows->n_columns, interrupt,
                          out + i * rows->n_columns, n_censored + i, rest + 2 * i, fault));
    }
    return MB_OK;
}
