/* Radix partition of elements. */
#include "core/matrix/ngram_partition.h"

#include "core/base/mem.h"
#include "core/matrix/ngram_elements.h"

enum { BUCKET_SIZE = 1 << 12 /* elements of a bucket, about */ };

void
mb_partition_begin(const mb_key_layout *layout, size_t stride, size_t about, mb_partition *p)
{
    *p = (mb_partition){.layout = layout, .stride = stride};
    while (p->bits < MB_PARTITION_BITS && about >> p->bits > BUCKET_SIZE) {
        p->bits++;
    }
}

void
mb_partition_end(mb_partition *p)
{
    mb_free(p->elements);
    *p = (mb_partition){0};
}

static inline size_t
partition_of(unsigned bits, const uint64_t *element)
{
    return bits == 0 ? 0 : (size_t)(element[0] >> (64 - bits));
}

void
mb_partition_histogram(mb_partition *p, size_t n, const uint64_t *elements)
{
    const unsigned bits = p->bits;
    for (size_t i = 0; i < n; i++) {
        p->places[partition_of(bits, elements + i * p->stride)]++;
    }
    p->n += n;
}

mb_status
mb_partition_allocate(mb_partition *p)
{
    uint32_t sum = 0;
    for (size_t bucket = 0; bucket < (size_t)1 << p->bits; bucket++) {
        uint32_t many = p->places[bucket];
        p->places[bucket] = sum;
        sum += many;
        p->ends[bucket] = sum;
    }
    /* one at least, for what the histogram never saw */
    p->elements = mb_calloc(p->n > 0 ? p->n : 1, mb_partition_element_size(p));
    return p->elements == NULL ? MB_NOMEM : MB_OK;
}

MB_INLINE void
scatter(mb_partition *p, mb_element_shape s, size_t n, const uint64_t *elements)
{
    void *to = p->elements;
    const unsigned bits = p->bits;
    const size_t most = p->n;
    for (size_t i = 0; i < n; i++) {
        const uint64_t *element = elements + i * s.stride;
        size_t bucket = partition_of(bits, element), place = p->places[bucket]++;
        if (place >= most) { /* not in the histogram; the count finds out */
            place = 0;
        }
        mb_element_put(s, to, place, element);
    }
}

void
mb_partition_scatter(mb_partition *p, size_t n, const uint64_t *elements)
{
    if (mb_partition_is_narrow(p)) {
        scatter(p, (mb_element_shape){1, 1, 1}, n, elements);
    } else if (p->stride == 1) {
        scatter(p, (mb_element_shape){1, 1, 0}, n, elements);
    } else if (p->stride == 2) {
        scatter(p, (mb_element_shape){2, 2, 0}, n, elements);
    } else {
        scatter(p, (mb_element_shape){p->stride, p->stride, 0}, n, elements);
    }
}
