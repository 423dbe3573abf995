/* N-grams of texts, each a context and the token after it, in the order of their contexts: what is
 * counted or scored at a time. */
#ifndef MB_FADING_NGRAMS_H
#define MB_FADING_NGRAMS_H

#include "core/matrix/fading.h"

enum { MB_FADING_BATCH = 1 << 18 /* n-grams at a time, at most */ };

/* Sorted by context, and within a row by token; among equal ones they stand as they came.  A place is
 * where one is in the order of contexts alone. */
typedef struct {
    size_t order, n, n_rows, n_pairs;
    uint32_t *tokens;  /* [n][order + 1], context and token, as they came */
    uint32_t *by_row;  /* [n], which of them has a place */
    uint32_t *by_pair; /* [n], the places, sorted by token within a row */
    uint32_t *row_of;  /* [n], the row of a place */
    uint32_t *first;   /* [n_rows + 1], the first place of a row */
    uint32_t *spare;   /* [n] */
} mb_fading_ngrams;

/* Room for so many, MB_FADING_BATCH at most; mb_free() ends it. */
mb_status mb_fading_ngrams_new(size_t order, size_t n, mb_fading_ngrams **out);

/* Sorts what has been written into the tokens. */
mb_status mb_fading_ngrams_sort(mb_fading_ngrams *ngrams, uint64_t n_tokens,
                                mb_interrupt *interrupt);

/* The n-gram at a place. */
static inline const uint32_t *
mb_fading_ngram(const mb_fading_ngrams *ngrams, size_t place)
{
    return ngrams->tokens + ngrams->by_row[place] * (ngrams->order + 1);
}

/* Where a walk through documents is. */
typedef struct {
    size_t document, at;
} mb_fading_cursor;

/* How many n-grams the first batch of documents has: what needs room. */
size_t mb_fading_ngrams_first(size_t order, size_t n_documents, const mb_document *documents);

/* The next n-grams of documents, MB_FADING_BATCH at most, sorted; none at the end. */
mb_status mb_fading_ngrams_read(mb_fading_ngrams *ngrams, uint64_t n_tokens, size_t n_documents,
                                const mb_document *documents, mb_fading_cursor *cursor,
                                mb_interrupt *interrupt, mb_token_fault *fault);

/* Counts them: a run of its own is added. */
mb_status mb_fading_ngrams_count(const mb_fading_ngrams *ngrams, mb_fading *counts,
                                 mb_interrupt *interrupt);

#endif
