/* The body of variation.c, included once for each instruction set (hence no guard), see
 * instruction_sets.h.  A tile of ROWS x COLUMNS pairs has its sums in registers. */

typedef double NAME(lanes) __attribute__((vector_size(LANES * 8), aligned(8)));

/* Adds sum min(a, b) over n tokens of every pair of a tile to out [.][n_b]. */
MB_INLINE void
NAME(minima_of_tile)(size_t n, size_t stride, size_t n_rows, const double *a, size_t n_columns,
                     const double *b, size_t n_b, double *out)
{
    NAME(lanes) sums[ROWS * COLUMNS], one = (NAME(lanes)){0.0} + 1.0;
    OPAQUE(one);
    size_t whole = n / LANES * LANES;
    UNROLL
    for (size_t t = 0; t < n_rows * n_columns; t++) {
        sums[t] = (NAME(lanes)){0.0};
    }
    for (size_t v = 0; v < whole; v += LANES) {
        NAME(lanes) mine[ROWS];
        UNROLL
        for (size_t i = 0; i < n_rows; i++) {
            mine[i] = *(const NAME(lanes) *)(a + i * stride + v);
        }
        UNROLL
        for (size_t j = 0; j < n_columns; j++) {
            NAME(lanes) other = *(const NAME(lanes) *)(b + j * stride + v);
            UNROLL
            for (size_t i = 0; i < n_rows; i++) {
                NAME(lanes) least = other;
                UNROLL
                for (size_t l = 0; l < LANES; l++) {
                    least[l] = mine[i][l] < other[l] ? mine[i][l] : other[l];
                }
                sums[i * n_columns + j] += least * one;
            }
        }
    }
    UNROLL
    for (size_t i = 0; i < n_rows; i++) {
        UNROLL
        for (size_t j = 0; j < n_columns; j++) {
            double sum = 0.0;
            UNROLL
            for (size_t l = 0; l < LANES; l++) {
                sum += sums[i * n_columns + j][l];
            }
            for (size_t v = whole; v < n; v++) {
                double p = a[i * stride + v], q = b[j * stride + v];
                sum += p < q ? p : q;
            }
            out[i * n_b + j] += sum;
        }
    }
}

/* Adds n tokens of rows `stride` apart. */
static mb_status
NAME(minima_of_piece)(size_t n, size_t stride, size_t n_a, const double *a, size_t n_b,
                      const double *b, mb_interrupt *interrupt, double *out)
{
    for (size_t i = 0; i < n_a;) {
        size_t rows = n_a - i < ROWS ? 1 : ROWS;
        for (size_t j = 0; j < n_b;) {
            size_t columns = n_b - j < COLUMNS ? 1 : COLUMNS;
            const double *mine = a + i * stride, *other = b + j * stride;
            double *to = out + i * n_b + j;
            if (rows == ROWS && columns == COLUMNS) {
                NAME(minima_of_tile)(n, stride, ROWS, mine, COLUMNS, other, n_b, to);
            } else if (rows == ROWS) {
                NAME(minima_of_tile)(n, stride, ROWS, mine, 1, other, n_b, to);
            } else if (columns == COLUMNS) {
                NAME(minima_of_tile)(n, stride, 1, mine, COLUMNS, other, n_b, to);
            } else {
                NAME(minima_of_tile)(n, stride, 1, mine, 1, other, n_b, to);
            }
            j += columns;
        }
        i += rows;
        MB_TRY(mb_ask(interrupt, rows * n_b * (n / 4 + 4)));
    }
    return MB_OK;
}
