/* Elements that are partitioned and sorted: a mixed key each (ngram_keys.h) or, where they have counts,
 * one word more.  Functions that take a shape are compiled for each that they are called with. */
#ifndef MB_NGRAM_ELEMENTS_H
#define MB_NGRAM_ELEMENTS_H

#include "core/base/status.h"

/* Narrow: one word, of which the last 32 bits are zeros and are left out; half as much memory is then
 * moved. */
typedef struct {
    size_t stride, n_words;
    int narrow;
} mb_element_shape;

/* A word of the i-th. */
MB_INLINE uint64_t
mb_element_word(mb_element_shape s, const void *elements, size_t i, size_t word)
{
    return s.narrow ? (uint64_t)((const uint32_t *)elements)[i] << 32
                    : ((const uint64_t *)elements)[i * s.stride + word];
}

MB_INLINE void
mb_element_put(mb_element_shape s, void *elements, size_t i, const uint64_t *element)
{
    if (s.narrow) {
        ((uint32_t *)elements)[i] = (uint32_t)(element[0] >> 32);
        return;
    }
    for (size_t w = 0; w < s.stride; w++) {
        ((uint64_t *)elements)[i * s.stride + w] = element[w];
    }
}

/* The k-th of others as the i-th. */
MB_INLINE void
mb_element_copy(mb_element_shape s, void *to, size_t i, const void *from, size_t k)
{
    if (s.narrow) {
        ((uint32_t *)to)[i] = ((const uint32_t *)from)[k];
    } else {
        mb_element_put(s, to, i, (const uint64_t *)from + k * s.stride);
    }
}

/* The elements from the i-th on. */
MB_INLINE void *
mb_elements_from(mb_element_shape s, void *elements, size_t i)
{
    return (char *)elements + i * (s.narrow ? sizeof(uint32_t) : s.stride * sizeof(uint64_t));
}

#endif
