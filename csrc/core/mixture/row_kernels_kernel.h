/* The body of row_kernels.c, included once for each instruction set (hence no guard), see
 * instruction_sets.h. */

typedef double NAME(lanes) __attribute__((vector_size(LANES * 8), aligned(8)));
typedef unsigned long long NAME(bits) __attribute__((vector_size(LANES * 8), aligned(8)));

/* The product of rising factorials alpha (alpha + 1) ... of n tokens in each of WIDTH rows, as
 * mantissa 2^exponent.  The exponent is taken off the product after every `often` factors, before
 * it can leave the range of doubles. */
MB_INLINE void
NAME(rising)(size_t often, size_t n, const kernel_tokens *tokens, double own, double shared,
             double *mantissa, double *exponent)
{
    NAME(lanes) product[WIDTH / LANES];
    NAME(bits) exponents[WIDTH / LANES] = {{0}};
    size_t since = 0, times = 1;
    UNROLL
    for (size_t l = 0; l < WIDTH / LANES; l++) {
        product[l] = (NAME(lanes)){0} + 1.0;
    }
    for (size_t i = 0; i < n; i++) {
        NAME(lanes) alpha[WIDTH / LANES];
        UNROLL
        for (size_t l = 0; l < WIDTH / LANES; l++) {
            alpha[l] = own * *(const NAME(lanes) *)(tokens->p[i] + l * LANES) +
                       shared * *(const NAME(lanes) *)(tokens->b[i] + l * LANES) + tokens->seen[i];
        }
        for (unsigned c = tokens->times[i]; c > 0; c--) {
            UNROLL
            for (size_t l = 0; l < WIDTH / LANES; l++) {
                product[l] *= alpha[l];
                alpha[l] += 1.0;
            }
            if (++since == often) {
                UNROLL
                for (size_t l = 0; l < WIDTH / LANES; l++) {
                    NAME(bits) bits = (NAME(bits))product[l];
                    exponents[l] += bits >> 52;
                    product[l] = (NAME(lanes))((bits & MANTISSA) | ONE);
                }
                since = 0;
                times++;
            }
        }
    }
    UNROLL
    for (size_t l = 0; l < WIDTH / LANES; l++) {
        NAME(bits) bits = (NAME(bits))product[l];
        exponents[l] += bits >> 52;
        *(NAME(lanes) *)(mantissa + l * LANES) = (NAME(lanes))((bits & MANTISSA) | ONE);
        /* a whole number below 2^52 put behind the exponent of 2^52 is 2^52 and that number */
        *(NAME(lanes) *)(exponent + l * LANES) =
            (NAME(lanes))(exponents[l] | WHOLE) - (0x1p52 + 1023.0 * (double)times);
    }
}

static void
NAME(rising_products)(int is_tame, size_t n, const kernel_tokens *tokens, double own, double shared,
                      double *mantissa, double *exponent)
{
    if (is_tame) {
        NAME(rising)(TAME, n, tokens, own, shared, mantissa, exponent);
    } else {
        NAME(rising)(1, n, tokens, own, shared, mantissa, exponent);
    }
}
