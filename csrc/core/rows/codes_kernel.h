/* The loops of codes.c, included once for each instruction set (hence no guard), see
 * instruction_sets.h.  Sums run in SUMS lanes, which do not wait for each other. */

/* What n codes stand for, into out; their probabilities are added to *sum, and how many of them are 0
 * to *n_zero.  n <= PIECE. */
static void
NAME(decode_piece)(size_t n, const uint16_t *codes, float scale, float least, float *out,
                   double *sum, size_t *n_zero)
{
    float sums[SUMS] = {0};
    uint32_t zeros[SUMS] = {0};
    size_t i = 0;
    for (; i + SUMS <= n; i += SUMS) {
        for (size_t l = 0; l < SUMS; l++) {
            uint32_t code = codes[i + l];
            float x = scale * (float)(int32_t)code + least;
            out[i + l] = x;
            sums[l] += exp_float(x);
            zeros[l] += code == 0;
        }
    }
    for (size_t l = 0; i < n; i++, l++) {
        uint32_t code = codes[i];
        out[i] = scale * (float)(int32_t)code + least;
        sums[l] += exp_float(out[i]);
        zeros[l] += code == 0;
    }
    for (size_t l = 0; l < SUMS; l++) {
        *sum += (double)sums[l];
        *n_zero += zeros[l];
    }
}

/* `value` where x is `least`. */
static void
NAME(replace_least)(size_t n, float least, float value, float *x)
{
    for (size_t i = 0; i < n; i++) {
        x[i] = x[i] > least ? x[i] : value;
    }
}
