/* Radix partition of elements (ngram_elements.h): by their first bits into buckets that fit into a cache.
 *
 * Whoever has them passes them twice, in pieces: for the histogram of the buckets, then to be scattered
 * to where each goes; so they need no memory of their own before.
 *
 *     mb_partition_begin()       mb_partition_histogram() ..
 *     mb_partition_allocate()    mb_partition_scatter() ..
 *     mb_partition_count() (ngram_sort.h)
 *
 * and mb_partition_end() in any case. */
#ifndef MB_NGRAM_PARTITION_H
#define MB_NGRAM_PARTITION_H

#include "core/matrix/ngram_keys.h"

/* The most words of elements at a time. */
#define MB_PARTITION_LIMIT ((size_t)1 << 26)

enum { MB_PARTITION_BITS = 12 /* of an element, at most */ };

typedef struct {
    const mb_key_layout *layout;
    size_t stride;  /* words of an element: n_words, or one more */
    size_t n;       /* elements of the histogram */
    unsigned bits;  /* that tell buckets apart */
    void *elements; /* [n][stride]; of 32 bits where a key has no more */
    /* of buckets: elements, then the place of the next one; and what follows the last one */
    uint32_t places[1 << MB_PARTITION_BITS], ends[1 << MB_PARTITION_BITS];
} mb_partition;

/* Begins one of elements of about this number. */
void mb_partition_begin(const mb_key_layout *layout, size_t stride, size_t about, mb_partition *p);
void mb_partition_end(mb_partition *p);

void mb_partition_histogram(mb_partition *p, size_t n, const uint64_t *elements);

/* Makes room for all of the histogram. */
mb_status mb_partition_allocate(mb_partition *p);

void mb_partition_scatter(mb_partition *p, size_t n, const uint64_t *elements);

/* Whether elements are narrow (ngram_elements.h), and their bytes. */
static inline int
mb_partition_is_narrow(const mb_partition *p)
{
    return p->stride == 1 && p->layout->padding >= 32;
}

static inline size_t
mb_partition_element_size(const mb_partition *p)
{
    return mb_partition_is_narrow(p) ? sizeof(uint32_t) : p->stride * sizeof(uint64_t);
}

#endif
