/* Rows of codes as llama.cpp's file has them, of any bits: refused, or distributions that long double
 * finds as well. */
#include "core/rows/codes.h"
#include "test/fuzz/provider.h"

enum { MOST_ROWS = 4, MOST_COLUMNS = 90 };

static const double range = 16.0;

static void
take_code_row(provider *from, size_t n, uint16_t *row)
{
    size_t how = take_size(from, 0, 3);
    float head[2] = {(float)take_double(from), (float)take_double(from)};
    long double sum = 0.0L;
    if (how > 0) { /* as a writer has it, with the floor, or a range of its own */
        head[0] = (float)((how == 1 ? range : range * take_part(from)) / 65535.0);
    }
    for (size_t v = 0; v < n; v++) {
        row[MB_CODE_HEAD + v] = (uint16_t)take_bits(from, 2);
        sum += expl((long double)head[0] * row[MB_CODE_HEAD + v]);
    }
    if (how > 0) {
        head[1] = (float)-logl(sum);
    }
    memcpy(row, head, sizeof head);
}

static void
check_decoded(size_t n, const uint16_t *row, const float *out, int64_t n_censored,
              const double *rest)
{
    float head[2];
    memcpy(head, row, sizeof head);
    HOLDS(head[0] >= 0.0F && (double)head[0] * 65535.0 <= range + 0.011);
    HOLDS(isfinite(head[1]));
    long double sum = 0.0L;
    int64_t least = 0;
    for (size_t v = 0; v < n; v++) {
        sum += expl((long double)out[v]);
        least += row[MB_CODE_HEAD + v] == 0;
        HOLDS(!isnan(out[v]) && out[v] <= 1e-6F);
    }
    HOLDS(fabsl(sum - 1.0L) < 1e-4L);
    HOLDS(n_censored >= 0 && n_censored <= (int64_t)n);
    HOLDS(n_censored == 0 || n_censored >= least);
    HOLDS(rest[0] >= 0.0 && rest[0] <= rest[1]);
    HOLDS(n_censored > 0 || rest[1] < 2e-4);
    for (size_t v = 0; v < n; v++) { /* what is listed is there but for one shift of all */
        uint16_t code = row[MB_CODE_HEAD + v];
        if (code > 0) {
            long double wanted = (long double)head[0] * code + (long double)head[1];
            HOLDS(is_near((long double)out[v], wanted, 1e-6L, 4e-4L));
        }
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    provider from = {data, size};
    size_t n_rows = take_size(&from, 1, MOST_ROWS), n = take_size(&from, 1, MOST_COLUMNS);
    size_t width = MB_CODE_HEAD + n + take_size(&from, 0, 3);
    uint16_t *rows = exactly(n_rows * width, sizeof *rows);
    for (size_t i = 0; i < n_rows; i++) {
        take_code_row(&from, n, rows + i * width);
    }
    float *out = exactly(n_rows * n, sizeof *out);
    int64_t *n_censored = exactly(n_rows, sizeof *n_censored);
    double *rest = exactly(2 * n_rows, sizeof *rest);
    mb_code_fault fault = {MB_CODE_SUM, SIZE_MAX, 0.0};
    mb_code_rows view = {rows, n_rows, n, width};
    mb_status status = mb_decode_rows(&view, NULL, out, n_censored, rest, &fault);
    HOLDS(status == MB_OK || status == MB_INVALID);
    HOLDS(status == MB_OK || fault.row < n_rows);
    size_t good = status == MB_OK ? n_rows : fault.row;
    for (size_t i = 0; i < good; i++) {
        check_decoded(n, rows + i * width, out + i * n, n_censored[i], rest + 2 * i);
    }
    free(rest);
    free(n_censored);
    free(out);
    free(rows);
    return 0;
}
