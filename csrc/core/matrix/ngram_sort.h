/* Sorting of keys (ngram_keys.h), and counting of equal ones.
 *
 * Elements are dealt out by their first bits into buckets that fit into a cache.  Whoever has them
 * shows them twice, in pieces: first to be measured, then to be taken to where they go; so they
 * need no memory of their own before.  An element is a mixed key; where a deal says so, one word
 * more, how often it was seen.
 *
 * The work comes in parts: each has some of the elements to show, and then some of the buckets to
 * count.  Different parts may be worked on at once, between
 *
 *     mb_deal_begin()           mb_deal_measure() ..
 *     mb_deal_place()           mb_deal_take() ..
 *     mb_deal_begin_count()     mb_deal_count()
 *     mb_deal_finish()
 *
 * and mb_deal_end() in any case. */
#ifndef MB_NGRAM_SORT_H
#define MB_NGRAM_SORT_H

#include "core/matrix/ngram_run.h"

/* The most words that one deal should take; and the elements that it can take, so that no count of
 * elements is a large one. */
#define MB_SORT_LIMIT ((size_t)1 << 26)
#define MB_DEAL_LIMIT ((size_t)UINT32_MAX - 1)

enum { MB_DEAL_BITS = 10 /* most bits that elements are dealt out by */ };

typedef struct {
    size_t n;                           /* elements that were measured */
    uint32_t places[1 << MB_DEAL_BITS]; /* of its next element in each bucket, */
    uint32_t ends[1 << MB_DEAL_BITS];   /* and of what follows its last one */
    size_t first_bucket, end_bucket;    /* that it counts */
    size_t start, n_different;          /* where its pairs begin, and how many they are */
} mb_deal_part;

typedef struct {
    const mb_key_layout *layout;
    size_t stride;       /* words of an element: n_words, or one more */
    size_t n;            /* elements of all parts */
    unsigned bits;       /* they are dealt out by */
    void *elements;      /* [n][stride]; of 32 bits where a key has no more */
    size_t n_parts;      /* one where elements have counts */
    mb_deal_part *parts; /* [n_parts] */
    mb_run *run;         /* while it is counted; may have taken the elements as its keys */
} mb_deal;

/* Begins a deal of elements of about this number. */
mb_status mb_deal_begin(const mb_key_layout *layout, size_t stride, size_t about, size_t n_parts,
                        mb_deal *deal);
void mb_deal_end(mb_deal *deal);

void mb_deal_measure(mb_deal *deal, size_t part, size_t n, const uint64_t *elements);

/* Makes room for all that was measured. */
mb_status mb_deal_place(mb_deal *deal);

void mb_deal_take(mb_deal *deal, size_t part, size_t n, const uint64_t *elements);

/* Makes room for counts whose sum is `total`, and gives each part its buckets.  MB_INVALID where
 * other elements were taken than were measured. */
mb_status mb_deal_begin_count(mb_deal *deal, uint64_t total);

mb_status mb_deal_count(mb_deal *deal, size_t part, mb_interrupt *interrupt);

/* The run of the different keys and of how often each was seen. */
mb_status mb_deal_finish(mb_deal *deal, mb_interrupt *interrupt, mb_run **out);

#endif
