/* A row of fading counts, as all runs together have it. */
#ifndef MB_FADING_ROW_H
#define MB_FADING_ROW_H

#include "core/matrix/fading.h"

typedef struct {
    uint64_t clock;
    size_t n;                                   /* an upper limit of its pairs */
    size_t next[MB_MAX_RUNS], end[MB_MAX_RUNS]; /* its places in each run */
} mb_fading_row;

void mb_fading_find(const mb_fading *counts, const uint32_t *context, mb_fading_row *row);

/* The newest count of a token in a row; 0 at the clock where there is none. */
mb_fading_cell mb_fading_newest(const mb_fading *counts, const mb_fading_row *row, uint32_t token);

/* A walk through a row: the next token whose count is not 0 now, or 0 at the end. */
int mb_fading_next(const mb_fading *counts, mb_fading_row *row, uint32_t *token, double *now,
                   mb_fading_cell *cell);

#endif
