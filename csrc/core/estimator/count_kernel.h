/* The body of count_expectation.c, included once for each instruction set (hence no
 * guard), see instruction_sets.h. */

#define STRIP (LANES < NARROW ? LANES : NARROW) /* doubles that are added at once */
typedef double NAME(lanes) __attribute__((vector_size(STRIP * 8), aligned(8)));

/* out[0 .. size) += the sum of the table's rows `cells`, `size` of their components. */
MB_INLINE void
NAME(add_evidence)(size_t size, size_t n, const uint32_t *cells, const double *table, size_t width,
                   double *out)
{
    NAME(lanes) even[WIDE / STRIP] = {{0.0}}, odd[WIDE / STRIP] = {{0.0}};
    size_t i = 0;
    for (; i + 2 <= n; i += 2) {
        const double *a = table + (size_t)cells[i] * width;
        const double *b = table + (size_t)cells[i + 1] * width;
        UNROLL
        for (size_t l = 0; l < size / STRIP; l++) {
            even[l] += *(const NAME(lanes) *)(a + l * STRIP);
            odd[l] += *(const NAME(lanes) *)(b + l * STRIP);
        }
    }
    if (i < n) {
        const double *a = table + (size_t)cells[i] * width;
        UNROLL
        for (size_t l = 0; l < size / STRIP; l++) {
            even[l] += *(const NAME(lanes) *)(a + l * STRIP);
        }
    }
    UNROLL
    for (size_t l = 0; l < size / STRIP; l++) {
        *(NAME(lanes) *)(out + l * STRIP) += even[l] + odd[l];
    }
}

/* The sums of each of the `cells` += share[0 .. size). */
MB_INLINE void
NAME(add_share)(size_t size, size_t n, const uint32_t *cells, const double *share, size_t width,
                double *sums)
{
    NAME(lanes) mine[WIDE / STRIP] = {{0.0}};
    UNROLL
    for (size_t l = 0; l < size / STRIP; l++) {
        mine[l] = *(const NAME(lanes) *)(share + l * STRIP);
    }
    for (size_t i = 0; i < n; i++) {
        double *to = sums + (size_t)cells[i] * width;
        UNROLL
        for (size_t l = 0; l < size / STRIP; l++) {
            *(NAME(lanes) *)(to + l * STRIP) += mine[l];
        }
    }
}

/* joint [n][width] += the table's rows, for rows start .. start + n. */
static mb_status
NAME(block_joint)(const mb_counts *counts, size_t start, size_t n, size_t width,
                  const double *table, mb_interrupt *interrupt, double *joint)
{
    for (size_t i = 0; i < n; i++) {
        size_t from = counts->starts[start + i], many = counts->starts[start + i + 1] - from;
        const uint32_t *cells = counts->entries + from;
        double *row = joint + i * width;
        if (width == NARROW) {
            NAME(add_evidence)(NARROW, many, cells, table, width, row);
        } else if (width == WIDE) {
            NAME(add_evidence)(WIDE, many, cells, table, WIDE, row);
        }
        for (size_t l = 0; width > WIDE && l < width; l += WIDE) {
            NAME(add_evidence)(WIDE, many, cells, table + l, width, row + l);
        }
        MB_TRY(mb_ask(interrupt, (many + 1) * width));
    }
    return MB_OK;
}

/* sums [n_cells][width] += shares [n][width] of rows start .. start + n. */
static mb_status
NAME(block_sums)(const mb_counts *counts, size_t start, size_t n, size_t width,
                 const double *shares, mb_interrupt *interrupt, double *sums)
{
    for (size_t i = 0; i < n; i++) {
        size_t from = counts->starts[start + i], many = counts->starts[start + i + 1] - from;
        const uint32_t *cells = counts->entries + from;
        const double *row = shares + i * width;
        if (width == NARROW) {
            NAME(add_share)(NARROW, many, cells, row, width, sums);
        } else if (width == WIDE) {
            NAME(add_share)(WIDE, many, cells, row, WIDE, sums);
        }
        for (size_t l = 0; width > WIDE && l < width; l += WIDE) {
            NAME(add_share)(WIDE, many, cells, row + l, width, sums + l);
        }
        MB_TRY(mb_ask(interrupt, (many + 1) * width));
    }
    return MB_OK;
}
#undef STRIP
