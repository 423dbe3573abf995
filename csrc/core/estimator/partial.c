/* Sums over the tokens that rows list: sparse rows times a table, and back. */
#include "core/estimator/partial.h"

#include <string.h>

enum { ENTRY = 8, EACH = 2 /* nanoseconds of an entry, and of each of its numbers */ };

/* a += x, and lost += what rounding took (Knuth's two-sum). */
static inline void
add_exactly(double x, double *a, double *lost)
{
    double sum = *a + x, part = sum - *a;
    *lost += (*a - (sum - part)) + (x - part);
    *a = sum;
}

mb_status
mb_sum_whole(size_t n_tokens, size_t width, const double *values, mb_interrupt *interrupt,
             double *whole)
{
    double *lost = whole + width;
    memset(whole, 0, 2 * width * sizeof(double));
    for (size_t v = 0; v < n_tokens; v++) {
        for (size_t k = 0; k < width; k++) {
            add_exactly(values[v * width + k], whole + k, lost + k);
        }
        MB_TRY(mb_ask(interrupt, EACH * width));
    }
    return MB_OK;
}

mb_status
mb_sum_unlisted(const mb_listing *rows, size_t width, const double *values, const double *whole,
                mb_interrupt *interrupt, double *out)
{
    enum { LANES_AT_ONCE = 16 };
    for (size_t i = 0; i < rows->n_rows; i++) {
        size_t first = rows->starts[i], end = rows->starts[i + 1];
        for (size_t at = 0; at < width; at += LANES_AT_ONCE) {
            size_t n = width - at < LANES_AT_ONCE ? width - at : LANES_AT_ONCE;
            double sum[LANES_AT_ONCE] MB_FILLED, lost[LANES_AT_ONCE] MB_FILLED;
            memcpy(sum, whole + at, n * sizeof(double));
            memcpy(lost, whole + width + at, n * sizeof(double));
            for (size_t e = first; e < end; e++) {
                const double *value = values + rows->columns[e] * width + at;
                for (size_t k = 0; k < n; k++) {
                    add_exactly(-value[k], sum + k, lost + k);
                }
                MB_TRY(mb_ask(interrupt, ENTRY + EACH * n));
            }
            for (size_t k = 0; k < n; k++) {
                double left = sum[k] + lost[k];
                out[i * width + at + k] = left > 0.0 ? left : 0.0;
            }
        }
    }
    return MB_OK;
}

mb_status
mb_sum_listed(const mb_listing *rows, size_t width, const double *values, const double *factors,
              mb_interrupt *interrupt, double *out)
{
    memset(out, 0, rows->n_rows * width * sizeof(double));
    for (size_t i = 0; i < rows->n_rows; i++) {
        double *sum = out + i * width;
        for (size_t e = rows->starts[i]; e < rows->starts[i + 1]; e++) {
            const double *value = values + rows->columns[e] * width;
            double factor = factors == NULL ? 1.0 : factors[e];
            for (size_t k = 0; k < width; k++) {
                sum[k] += factor * value[k];
            }
            MB_TRY(mb_ask(interrupt, ENTRY + EACH * width));
        }
    }
    return MB_OK;
}

mb_status
mb_add_to_listed(const mb_listing *rows, size_t width, const double *values, const double *factors,
                 mb_interrupt *interrupt, double *out)
{
    for (size_t i = 0; i < rows->n_rows; i++) {
        const double *value = values + i * width;
        for (size_t e = rows->starts[i]; e < rows->starts[i + 1]; e++) {
            double *sum = out + rows->columns[e] * width;
            double factor = factors == NULL ? 1.0 : factors[e];
            for (size_t k = 0; k < width; k++) {
                sum[k] += factor * value[k];
            }
            MB_TRY(mb_ask(interrupt, ENTRY + EACH * width));
        }
    }
    return MB_OK;
}
