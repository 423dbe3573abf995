/* Sorting of keys (ngram_keys.h), and counting of equal ones.
 *
 * Elements are dealt out by their first bits into buckets that fit into a cache.  Whoever has them
 * shows them twice, in pieces: first to be measured, then to be taken to where they go; so they
 * need no memory of their own before.  An element is a mixed key; where a deal says so, one word
 * more, how often it was seen.
 *
 *     mb_deal_begin()    mb_deal_measure() ..
 *     mb_deal_place()    mb_deal_take() ..
 *     mb_deal_count()
 *
 * and mb_deal_end() in any case. */
#ifndef MB_NGRAM_SORT_H
#define MB_NGRAM_SORT_H

#include "core/matrix/ngram_run.h"

/* The most words that one deal should take. */
#define MB_SORT_LIMIT ((size_t)1 << 26)

enum { MB_DEAL_BITS = 10 /* most bits that elements are dealt out by */ };

typedef struct {
    const mb_key_layout *layout;
    size_t stride;                      /* words of an element: n_words, or one more */
    size_t n;                           /* elements that were measured */
    unsigned bits;                      /* they are dealt out by */
    void *elements;                     /* [n][stride]; of 32 bits where a key has no more */
    uint32_t places[1 << MB_DEAL_BITS]; /* of the next element of each bucket, */
    uint32_t ends[1 << MB_DEAL_BITS];   /* and of what follows its last one */
    mb_run *run; /* while it is counted; may have taken the elements as its keys */
} mb_deal;

/* Begins a deal of elements of about this number. */
void mb_deal_begin(const mb_key_layout *layout, size_t stride, size_t about, mb_deal *deal);
void mb_deal_end(mb_deal *deal);

void mb_deal_measure(mb_deal *deal, size_t n, const uint64_t *elements);

/* Makes room for all that was measured. */
mb_status mb_deal_place(mb_deal *deal);

void mb_deal_take(mb_deal *deal, size_t n, const uint64_t *elements);

/* The run of the different keys and of how often each was seen, `total` times together.  MB_INVALID
 * where other elements were taken than were measured. */
mb_status mb_deal_count(mb_deal *deal, uint64_t total, mb_interrupt *interrupt, mb_run **out);

#endif
