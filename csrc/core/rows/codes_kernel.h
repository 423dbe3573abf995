/* The loops of codes.c, included once for each instruction set (hence no guard), see
 * instruction_sets.h. */

/* What n codes stand for. */
static void
NAME(decode_codes)(size_t n, const uint16_t *codes, float scale, float least, float *out)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = scale * (float)(int32_t)codes[i] + least;
    }
}

/* How many of n numbers are no larger than `least`. */
static uint32_t
NAME(count_least)(size_t n, const float *x, float least)
{
    uint32_t count = 0;
    for (size_t i = 0; i < n; i++) {
        count += x[i] <= least;
    }
    return count;
}

static void
NAME(exponentials_of_codes)(size_t n, const float *x, float *out)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = exp_float(x[i]);
    }
}

/* In lanes, which do not wait for each other: n is whole SUMS. */
static double
NAME(sum_of_codes)(size_t n, const float *x)
{
    float sums[SUMS] = {0};
    double total = 0;
    for (size_t i = 0; i < n; i += SUMS) {
        for (size_t l = 0; l < SUMS; l++) {
            sums[l] += x[i + l];
        }
    }
    for (size_t l = 0; l < SUMS; l++) {
        total += (double)sums[l];
    }
    return total;
}

/* `value` where x is `least`; all less `shift`. */
static void
NAME(replace_least)(size_t n, float least, float value, float shift, float *x)
{
    for (size_t i = 0; i < n; i++) {
        x[i] = (x[i] > least ? x[i] : value) - shift;
    }
}
