/* Fading counts, inside: how runs are made, added and searched, and texts brought into the order of
 * their contexts. */
#ifndef MB_FADING_RUNS_H
#define MB_FADING_RUNS_H

#include "core/base/exact_sum.h"
#include "core/matrix/fading.h"

/* A run with room for so many rows and pairs, empty; NULL where memory is short. */
mb_fading_run *mb_fading_begin(size_t order, size_t n_rows, size_t n_pairs);

/* Moves a run into less memory, unless it has as many rows and pairs as there is room for, altogether;
 * *run is taken in any case. */
mb_status mb_fading_fit(size_t order, size_t room, mb_fading_run **run);

/* Which context stands first: negative, 0 or positive. */
int mb_fading_compare(size_t order, const uint32_t *a, const uint32_t *b);

/* Adds a run, which is taken in any case. */
mb_status mb_fading_take(mb_fading *counts, mb_fading_run *run, mb_interrupt *interrupt);

/* Ends all runs. */
void mb_fading_drop(mb_fading *counts);

/* Replaces counts by others, an object that ends here. */
void mb_fading_become(mb_fading *counts, mb_fading *others);

/* Makes sure that the sum of all counts can grow by this. */
mb_status mb_fading_make_room(mb_fading *counts, double more, mb_interrupt *interrupt);

/* ---- a row in all runs ---------------------------------------------------------------- */

typedef struct {
    uint64_t clock;
    size_t n;                                   /* an upper limit of its pairs */
    size_t next[MB_MAX_RUNS], end[MB_MAX_RUNS]; /* its places in each run */
} mb_fading_row;

void mb_fading_find(const mb_fading *counts, const uint32_t *context, mb_fading_row *row);

/* The newest count of a token in a row; 0 at the clock where there is none. */
mb_fading_cell mb_fading_newest(const mb_fading *counts, const mb_fading_row *row, uint32_t token);

static inline mb_fading_cell
mb_fading_cell_at(const mb_fading_run *run, size_t i)
{
    return (mb_fading_cell){run->counts[i], run->rests[i], run->times[i]};
}

static inline void
mb_fading_put(mb_fading_run *run, size_t i, mb_fading_cell cell)
{
    run->counts[i] = cell.count;
    run->rests[i] = cell.rest;
    run->times[i] = cell.time;
}

/* A count after the token that brought the clock to what it is. */
mb_fading_cell mb_fading_tick(const mb_fading *counts, mb_fading_cell cell, uint64_t clock);

/* A walk through a row: the next token whose count is not 0 now, or 0 at the end. */
int mb_fading_next(const mb_fading *counts, mb_fading_row *row, uint32_t *token, double *now,
                   mb_fading_cell *cell);

/* ---- texts ---------------------------------------------------------------------------- */

enum { MB_FADING_SECTION = 1 << 18 /* tokens worked on at a time */ };

/* Some tokens behind their contexts, sorted by context, and within a row by token; among equal ones
 * they stand as they came.  A place is where one is in the order of contexts alone. */
typedef struct {
    size_t order, n, n_rows, n_pairs;
    uint32_t *windows; /* [n][order + 1], context and token, as they came */
    uint32_t *by_row;  /* [n], which of them has a place */
    uint32_t *by_pair; /* [n], the places, sorted by token within a row */
    uint32_t *row_of;  /* [n], the row of a place */
    uint32_t *first;   /* [n_rows + 1], the first place of a row */
    uint32_t *spare;   /* [n] */
} mb_fading_texts;

/* Room for so many, MB_FADING_SECTION at most; mb_free() ends it. */
mb_status mb_fading_texts_new(size_t order, size_t n, mb_fading_texts **out);

/* Sorts what has been written into the windows. */
mb_status mb_fading_sort(mb_fading_texts *texts, uint64_t n_tokens, mb_interrupt *interrupt);

static inline const uint32_t *
mb_fading_window(const mb_fading_texts *texts, size_t place)
{
    return texts->windows + texts->by_row[place] * (texts->order + 1);
}

/* Where a walk through documents is. */
typedef struct {
    size_t document, at;
} mb_fading_cursor;

/* Fills texts with the next tokens of documents, MB_FADING_SECTION at most, and sorts them; none at the
 * end. */
mb_status mb_fading_gather(const mb_fading *counts, size_t n_documents,
                           const mb_document *documents, mb_fading_cursor *cursor,
                           mb_fading_texts *texts, mb_interrupt *interrupt, mb_token_fault *fault);

/* How many tokens that will be in the first section: what texts need room for. */
size_t mb_fading_section(const mb_fading *counts, size_t n_documents, const mb_document *documents);

/* Counts sorted texts: a run of its own is added. */
mb_status mb_fading_count(mb_fading *counts, const mb_fading_texts *texts, mb_interrupt *interrupt);

/* Copies a context that the caller gave; MB_INVALID where one of its tokens is none. */
mb_status mb_fading_context(const mb_fading *counts, const int64_t *given, uint32_t *context,
                            mb_token_fault *fault);

#endif
