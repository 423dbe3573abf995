/* The body of tiles.c, included once for each instruction set (hence no guard), see
 * instruction_sets.h.  A tile's accumulators fill
 * the registers: R rows x C components of the first product, C components x W
 * vectors of tokens of the second.  Its loops have constant bounds and are
 * unrolled, so that its arrays become those registers. */

typedef double NAME(lanes) __attribute__((vector_size(LANES * 8), aligned(8)));
typedef long long NAME(order) __attribute__((vector_size(LANES * 8)));

/* LANES elements of a row.  (By pointer: vectors by value would change the calling convention.) */
MB_INLINE void
NAME(load)(const void *data, size_t at, int is_double, NAME(lanes) * to)
{
    if (is_double) {
        *to = *(const NAME(lanes) *)((const double *)data + at);
    } else {
        const float *from = (const float *)data + at;
        UNROLL
        for (size_t l = 0; l < LANES; l++) {
            (*to)[l] = (double)from[l];
        }
    }
}

MB_INLINE double
NAME(add_up)(const NAME(lanes) * x)
{
    double sum = 0.0;
    UNROLL
    for (size_t l = 0; l < LANES; l++) {
        sum += (*x)[l];
    }
    return sum;
}

#if LANES > 2
/* to[c] += the sum of x[c * stride], LANES of them at once: halves of two vectors are
 * added into one until each has become a lane. */
MB_INLINE void
NAME(add_up_all)(const NAME(lanes) * x, size_t stride, double *to)
{
    NAME(lanes) half[LANES / 2];
#if LANES == 8
    UNROLL
    for (size_t c = 0; c < 4; c++) {
        const NAME(lanes) *a = x + c * stride, *b = x + (c + 4) * stride;
        half[c] =
            SHUFFLE(*a, *b, 0, 1, 2, 3, 8, 9, 10, 11) + SHUFFLE(*a, *b, 4, 5, 6, 7, 12, 13, 14, 15);
    }
    UNROLL
    for (size_t c = 0; c < 2; c++) {
        half[c] = SHUFFLE(half[c], half[c + 2], 0, 1, 8, 9, 4, 5, 12, 13) +
                  SHUFFLE(half[c], half[c + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
    half[0] = SHUFFLE(half[0], half[1], 0, 8, 2, 10, 4, 12, 6, 14) +
              SHUFFLE(half[0], half[1], 1, 9, 3, 11, 5, 13, 7, 15);
#else
    UNROLL
    for (size_t c = 0; c < 2; c++) {
        const NAME(lanes) *a = x + c * stride, *b = x + (c + 2) * stride;
        half[c] = SHUFFLE(*a, *b, 0, 1, 4, 5) + SHUFFLE(*a, *b, 2, 3, 6, 7);
    }
    half[0] = SHUFFLE(half[0], half[1], 0, 4, 2, 6) + SHUFFLE(half[0], half[1], 1, 5, 3, 7);
#endif
    *(NAME(lanes) *)to += half[0];
}
#endif

/* ---- densities ------------------------------------------------------------- */

/* LANES tokens from `at` on, with their factors `stride` apart; asks for what lies
 * `ahead` elements further on. */
MB_INLINE void
NAME(density_step)(const mb_block *x, int is_double, size_t row, size_t at, size_t ahead,
                   const double *factors, size_t stride, size_t n_rows, size_t n_components,
                   NAME(lanes) * sums)
{
    NAME(lanes) values[MAX_SIDE] MB_FILLED;
    UNROLL
    for (size_t i = 0; i < n_rows; i++) {
        size_t then = (row + i) * x->stride + at + ahead;
        PREFETCH(x->data, then * (is_double ? 8 : 4), 3);
        NAME(load)(x->data, (row + i) * x->stride + at, is_double, values + i);
    }
    UNROLL
    for (size_t c = 0; c < n_components; c++) {
        NAME(lanes) factor = *(const NAME(lanes) *)(factors + c * stride);
        IN_REGISTER(factor);
        UNROLL
        for (size_t i = 0; i < n_rows; i++) {
            sums[c * n_rows + i] += factor * values[i];
        }
    }
}

MB_INLINE void
NAME(density_tile)(const mb_block *x, int is_double, size_t row, const mb_factors *f, size_t k,
                   size_t n_rows, size_t n_components, double *joint)
{
    NAME(lanes) sums[MAX_TILE];
    UNROLL
    for (size_t t = 0; t < n_rows * n_components; t++) {
        sums[t] = (NAME(lanes)){0.0};
    }
    size_t n_tokens = x->n_tokens, whole = n_tokens / MB_LANES * MB_LANES;
    const double *all = f->all + k * n_tokens;
    const double *ends = whole < n_tokens ? f->ends + k * MB_LANES : NULL;
    /* Short rows: the next tile.  Long ones: further along each of these. */
    size_t ahead = n_rows * x->stride <= AHEAD ? n_rows * x->stride : AHEAD / 4;
    for (size_t v = 0; v < whole; v += LANES) {
        NAME(density_step)(x, is_double, row, v, ahead, all + v, n_tokens, n_rows, n_components,
                           sums);
    }
    for (size_t l = 0; whole < n_tokens && l < MB_LANES; l += LANES) {
        NAME(density_step)(x, is_double, row, n_tokens - MB_LANES + l, ahead, ends + l, MB_LANES,
                           n_rows, n_components, sums);
    }
    UNROLL
    for (size_t i = 0; i < n_rows; i++) {
        double *to = joint + (row + i) * f->n_components + k;
#if LANES > 2
        if (n_components == LANES) {
            NAME(add_up_all)(sums + i, n_rows, to);
            continue;
        }
#endif
        UNROLL
        for (size_t c = 0; c < n_components; c++) {
            to[c] += NAME(add_up)(sums + c * n_rows + i);
        }
    }
}

/* n_components of them for every row of the block, n_rows rows at a time. */
MB_INLINE mb_status
NAME(density_columns)(const mb_block *x, int is_double, const mb_factors *f, size_t k,
                      size_t n_rows, size_t n_components, mb_interrupt *interrupt, double *joint)
{
    size_t row = 0;
    for (; row + n_rows <= x->n; row += n_rows) {
        NAME(density_tile)(x, is_double, row, f, k, n_rows, n_components, joint);
    }
    for (; row < x->n; row++) {
        NAME(density_tile)(x, is_double, row, f, k, 1, n_components, joint);
    }
    return mb_ask(interrupt, x->n * x->n_tokens * n_components / 4);
}

MB_INLINE mb_status
NAME(densities)(const mb_block *x, int is_double, const mb_factors *f, mb_interrupt *interrupt,
                double *joint)
{
    size_t k = 0;
    for (; WIDE == 8 && k + 8 <= f->n_components; k += 8) {
        MB_TRY(NAME(density_columns)(x, is_double, f, k, 3, 8, interrupt, joint));
    }
    for (; k + 4 <= f->n_components; k += 4) {
        MB_TRY(NAME(density_columns)(x, is_double, f, k, WIDE == 8 ? 6 : 3, 4, interrupt, joint));
    }
    for (; k + 2 <= f->n_components; k += 2) {
        MB_TRY(NAME(density_columns)(x, is_double, f, k, WIDE == 8 ? 8 : 5, 2, interrupt, joint));
    }
    for (; k < f->n_components; k++) {
        MB_TRY(NAME(density_columns)(x, is_double, f, k, 8, 1, interrupt, joint));
    }
    return MB_OK;
}

static mb_status
NAME(tile_densities)(const mb_block *x, const mb_factors *f, mb_interrupt *interrupt, double *joint)
{
    return x->is_double ? NAME(densities)(x, 1, f, interrupt, joint)
                        : NAME(densities)(x, 0, f, interrupt, joint);
}

/* ---- sums ------------------------------------------------------------------- */

/* A tile of `width` vectors of tokens from `v` on. */
MB_INLINE void
NAME(sums_tile)(const mb_block *x, int is_double, size_t v, const double *shares, size_t stride,
                size_t n_components, size_t width, double *out)
{
    NAME(lanes) sums[MAX_TILE];
    UNROLL
    for (size_t t = 0; t < n_components * width; t++) {
        sums[t] = (NAME(lanes)){0.0};
    }
    for (size_t i = 0; i < x->n; i++) {
        NAME(lanes) values[MAX_SIDE] MB_FILLED;
        UNROLL
        for (size_t w = 0; w < width; w++) {
            size_t at = i * x->stride + v + w * LANES;
            NAME(load)(x->data, at, is_double, values + w);
            /* what comes next of this row, and of its fellow in the next block */
            PREFETCH(x->data, (at + AHEAD_COLUMNS) * (is_double ? 8 : 4), 3);
            PREFETCH(x->data, (at + x->n * x->stride) * (is_double ? 8 : 4), 2);
        }
        UNROLL
        for (size_t c = 0; c < n_components; c++) {
            double share = shares[i * stride + c];
            UNROLL
            for (size_t w = 0; w < width; w++) {
                sums[c * width + w] += share * values[w];
            }
        }
    }
    UNROLL
    for (size_t c = 0; c < n_components; c++) {
        UNROLL
        for (size_t w = 0; w < width; w++) {
            *(NAME(lanes) *)(out + c * x->n_tokens + v + w * LANES) += sums[c * width + w];
        }
    }
}

MB_INLINE mb_status
NAME(sums_columns)(const mb_block *x, int is_double, const double *shares, size_t stride,
                   size_t n_components, size_t width, mb_interrupt *interrupt, double *out)
{
    size_t v = 0;
    for (; v + width * LANES <= x->n_tokens; v += width * LANES) {
        NAME(sums_tile)(x, is_double, v, shares, stride, n_components, width, out);
    }
    for (; v + LANES <= x->n_tokens; v += LANES) {
        NAME(sums_tile)(x, is_double, v, shares, stride, n_components, 1, out);
    }
    for (size_t c = 0; v < x->n_tokens && c < n_components; c++) {
        for (size_t last = v; last < x->n_tokens; last++) {
            double sum = 0.0;
            for (size_t i = 0; i < x->n; i++) {
                size_t at = i * x->stride + last;
                double value = is_double ? ((const double *)x->data)[at]
                                         : (double)((const float *)x->data)[at];
                sum += shares[i * stride + c] * value;
            }
            out[c * x->n_tokens + last] += sum;
        }
    }
    return mb_ask(interrupt, x->n * x->n_tokens * n_components / 4);
}

MB_INLINE mb_status
NAME(sums)(const mb_block *x, int is_double, size_t n_components, const double *shares,
           mb_interrupt *interrupt, double *out)
{
    size_t k = 0, n = n_components;
    for (; WIDE == 8 && k + 8 <= n; k += 8) {
        MB_TRY(NAME(sums_columns)(x, is_double, shares + k, n, 8, 2, interrupt,
                                  out + k * x->n_tokens));
    }
    for (; k + 4 <= n; k += 4) {
        MB_TRY(NAME(sums_columns)(x, is_double, shares + k, n, 4, WIDE == 8 ? 4 : 2, interrupt,
                                  out + k * x->n_tokens));
    }
    for (; k + 2 <= n; k += 2) {
        MB_TRY(NAME(sums_columns)(x, is_double, shares + k, n, 2, 4, interrupt,
                                  out + k * x->n_tokens));
    }
    for (; k < n; k++) {
        MB_TRY(NAME(sums_columns)(x, is_double, shares + k, n, 1, 8, interrupt,
                                  out + k * x->n_tokens));
    }
    return MB_OK;
}

static mb_status
NAME(tile_sums)(const mb_block *x, size_t n_components, const double *shares,
                mb_interrupt *interrupt, double *out)
{
    return x->is_double ? NAME(sums)(x, 1, n_components, shares, interrupt, out)
                        : NAME(sums)(x, 0, n_components, shares, interrupt, out);
}
