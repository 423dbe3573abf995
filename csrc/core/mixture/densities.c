/* Densities of rows: with X the rows of log-probabilities [n][V], X (alpha - 1)' plus a constant. */
#include "core/mixture/densities.h"

#include <string.h>

/* How many rows share a pass through the caches. */
static size_t
rows_of_block(size_t n_tokens)
{
    /* About 2 MB of float32, so that a second product finds the block in the cache. */
    size_t rows = ((size_t)1 << 19) / n_tokens;
    return rows >= MB_MAX_BLOCK ? MB_MAX_BLOCK : rows < 12 ? 12 : rows;
}

mb_block
mb_next_block(const mb_log_rows *rows, size_t n_tokens, size_t start, mb_short_rows *room)
{
    size_t size = rows->is_double ? sizeof(double) : sizeof(float), most = rows_of_block(n_tokens);
    size_t n = rows->n - start < most ? rows->n - start : most;
    const char *from = (const char *)rows->data + start * n_tokens * size;
    if (n_tokens >= MB_LANES) {
        return (mb_block){from, rows->is_double, n, n_tokens, n_tokens};
    }
    char *to = (char *)room->rows;
    memset(to, 0, n * MB_LANES * size);
    for (size_t i = 0; i < n; i++) {
        memcpy(to + i * MB_LANES * size, from + i * n_tokens * size, n_tokens * size);
    }
    return (mb_block){to, rows->is_double, n, MB_LANES, MB_LANES};
}

mb_status
mb_block_log_joint(const mb_mixture *mixture, const mb_block *x, mb_interrupt *interrupt,
                   double *joint)
{
    size_t n_components = mixture->n_components;
    for (size_t i = 0; i < x->n; i++) {
        for (size_t k = 0; k < n_components; k++) {
            joint[i * n_components + k] = mixture->log_weights[k] + mixture->log_norm[k];
        }
    }
    mb_factors factors = {n_components, mixture->exponents, mixture->ends};
    return mb_tile_densities(x, &factors, interrupt, joint);
}

mb_status
mb_mixture_log_joint_rows(const mb_mixture *mixture, const mb_log_rows *rows,
                          mb_interrupt *interrupt, double *out)
{
    mb_short_rows room;
    for (size_t start = 0; start < rows->n;) {
        mb_block x = mb_next_block(rows, mixture->n_tokens, start, &room);
        MB_TRY(mb_block_log_joint(mixture, &x, interrupt, out + start * mixture->n_components));
        start += x.n;
    }
    return MB_OK;
}
