/* The density of rows of log-probabilities under a mixture, model.md section 4, block by block: a
 * block of rows stays in the cache for what else is done with it. */
#ifndef MB_DENSITIES_H
#define MB_DENSITIES_H

#include "core/mixture/mixture.h"
#include "core/mixture/tiles.h"

/* Rows of log-probabilities [n][V], float or double, in C order; each is finite. */
typedef struct {
    const void *data;
    size_t n;
    int is_double;
} mb_log_rows;

/* ln w_k + ln Dir(p_i; alpha_k) of each row under each component, into out [n][K]. */
mb_status mb_mixture_log_joint_rows(const mb_mixture *mixture, const mb_log_rows *rows,
                                    mb_interrupt *interrupt, double *out);

enum { MB_MAX_BLOCK = 64 };

/* Room for a block of rows of fewer than MB_LANES tokens. */
typedef struct {
    double rows[MB_MAX_BLOCK * MB_LANES];
} mb_short_rows;

/* Rows from `start` on that share a pass through the caches, MB_MAX_BLOCK at most; short ones are
 * padded, in `room`. */
mb_block mb_next_block(const mb_log_rows *rows, size_t n_tokens, size_t start, mb_short_rows *room);

/* mb_mixture_log_joint_rows() of a block, into joint [n][K]. */
mb_status mb_block_log_joint(const mb_mixture *mixture, const mb_block *x, mb_interrupt *interrupt,
                             double *joint);

#endif
