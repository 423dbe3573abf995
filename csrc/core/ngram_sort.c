/* Radix sort of keys.  Each function is compiled for elements of one, two and three words, and
 * once for more. */
#include "ngram_sort.h"

#include "mem.h"

#include <string.h>

enum {
    DIGIT = 11,   /* most bits that a pass sorts by */
    BUCKETS = 10, /* most bits that elements are dealt out by */
    BUCKET_SIZE = 1 << 14,
    FEW = 32,       /* elements that are sorted by insertion */
    PIECE = 1 << 20 /* elements between two questions whether to stop */
};

/* place [1 << bits] becomes where the first element of each digit goes; returns whether
 * there are several digits.  The digit is `bits` bits of `word` from `shift` on. */
MB_INLINE int
place_digits(size_t stride, size_t n, const uint64_t *from, size_t word, unsigned shift,
             unsigned bits, uint32_t *place)
{
    uint64_t mask = ((uint64_t)1 << bits) - 1;
    memset(place, 0, sizeof(uint32_t) << bits);
    for (size_t i = 0; i < n; i++) {
        place[from[i * stride + word] >> shift & mask]++;
    }
    if (place[from[word] >> shift & mask] == n) {
        return 0;
    }
    uint32_t sum = 0;
    for (size_t d = 0; d <= mask; d++) {
        uint32_t many = place[d];
        place[d] = sum;
        sum += many;
    }
    return 1;
}

/* Moves elements to where their digits go. */
MB_INLINE mb_status
move_by_digit(size_t stride, size_t n, const uint64_t *from, uint64_t *to, size_t word,
              unsigned shift, unsigned bits, uint32_t *place, const mb_interrupt *interrupt)
{
    uint64_t mask = ((uint64_t)1 << bits) - 1;
    for (size_t start = 0; start < n; start += PIECE) {
        size_t end = n - start < PIECE ? n : start + PIECE;
        for (size_t i = start; i < end; i++) {
            const uint64_t *element = from + i * stride;
            uint64_t *target = to + stride * place[element[word] >> shift & mask]++;
            for (size_t w = 0; w < stride; w++) {
                target[w] = element[w];
            }
        }
        if (end - start == PIECE) {
            MB_TRY(mb_interrupted(interrupt));
        }
    }
    return MB_OK;
}

MB_INLINE void
sort_few(size_t stride, size_t n_words, size_t n, uint64_t *elements)
{
    for (size_t i = 1; i < n; i++) {
        uint64_t element[MB_MAX_WORDS + 1];
        memcpy(element, elements + i * stride, stride * sizeof(uint64_t));
        size_t at = i;
        while (at > 0 && mb_key_before(n_words, element, elements + (at - 1) * stride)) {
            memcpy(elements + at * stride, elements + (at - 1) * stride, stride * sizeof(uint64_t));
            at--;
        }
        memcpy(elements + at * stride, element, stride * sizeof(uint64_t));
    }
}

/* Sorts elements [n] that agree in their first `dealt` bits, with room for as many more;
 * returns in *sorted which of the two holds them in the end. */
MB_INLINE mb_status
sort_bucket(const mb_key_layout *layout, size_t stride, size_t n_words, size_t n, unsigned dealt,
            uint64_t *elements, uint64_t *room, uint32_t *place, const mb_interrupt *interrupt,
            uint64_t **sorted)
{
    *sorted = elements;
    if (n <= FEW) {
        sort_few(stride, n_words, n, elements);
        return MB_OK;
    }
    for (size_t word = n_words; word-- > 0;) {
        unsigned low = word == n_words - 1 ? layout->padding : 0;
        unsigned high = word == 0 ? 64 - dealt : 64;
        unsigned passes = high > low ? (high - low + DIGIT - 1) / DIGIT : 0;
        for (unsigned pass = 0; pass < passes; pass++) {
            unsigned shift = low + (high - low) * pass / passes;
            unsigned bits = low + (high - low) * (pass + 1) / passes - shift;
            if (place_digits(stride, n, *sorted, word, shift, bits, place)) {
                uint64_t *to = *sorted == elements ? room : elements;
                MB_TRY(move_by_digit(stride, n, *sorted, to, word, shift, bits, place, interrupt));
                *sorted = to;
            }
            if (n > PIECE) {
                MB_TRY(mb_interrupted(interrupt));
            }
        }
    }
    return MB_OK;
}

/* Appends the different keys of sorted elements [n], and their counts, to *n_different others.
 * Neither is written further than has been read. */
MB_INLINE void
count_equal(size_t stride, size_t n_words, size_t n, const uint64_t *sorted, uint64_t *keys,
            uint64_t *counts, size_t *n_different)
{
    size_t last = *n_different;
    for (size_t i = 0; i < n; last++) {
        const uint64_t *key = sorted + i * stride;
        uint64_t count = 0, mine[MB_MAX_WORDS];
        memcpy(mine, key, n_words * sizeof(uint64_t));
        do {
            count += stride > n_words ? key[n_words] : 1;
            key += stride;
        } while (++i < n && mb_key_equal(n_words, mine, key));
        memcpy(keys + last * n_words, mine, n_words * sizeof(uint64_t));
        counts[last] = count;
    }
    *n_different = last;
}

MB_INLINE mb_status
count_elements(const mb_key_layout *layout, size_t stride, size_t n_words, size_t n,
               uint64_t *elements, uint64_t *sorted, uint64_t *counts, uint32_t *place,
               const mb_interrupt *interrupt, size_t *n_different)
{
    uint32_t *ends = place + (1 << DIGIT);
    unsigned dealt = 0;
    while (dealt < BUCKETS && n >> dealt > BUCKET_SIZE) {
        dealt++;
    }
    *n_different = 0;
    if (dealt == 0) {
        memcpy(sorted, elements, n * stride * sizeof(uint64_t));
        ends[0] = (uint32_t)n;
    } else {
        int several = place_digits(stride, n, elements, 0, 64 - dealt, dealt, ends);
        if (!several) {
            memset(ends, 0, sizeof(uint32_t) << dealt);
        }
        MB_TRY(move_by_digit(stride, n, elements, sorted, 0, 64 - dealt, dealt, ends, interrupt));
        if (!several) {
            ends[0] = (uint32_t)n;
            dealt = 0;
        }
    }
    size_t start = 0, since = 0;
    for (size_t bucket = 0; bucket < (size_t)1 << dealt; bucket++) {
        size_t many = ends[bucket] - start;
        uint64_t *found;
        MB_TRY(sort_bucket(layout, stride, n_words, many, dealt, sorted + start * stride,
                           elements + start * stride, place, interrupt, &found));
        count_equal(stride, n_words, many, found, sorted, counts, n_different);
        start = ends[bucket];
        since += many;
        if (since >= PIECE / 2) {
            since = 0;
            MB_TRY(mb_interrupted(interrupt));
        }
    }
    return MB_OK;
}

mb_status
mb_ngram_count(const mb_key_layout *layout, size_t n, size_t stride, uint64_t *elements,
               uint64_t *sorted, uint64_t *counts, const mb_interrupt *interrupt,
               size_t *n_different)
{
    uint32_t *place = mb_calloc((1 << DIGIT) + (1 << BUCKETS), sizeof(uint32_t));
    if (place == NULL) {
        return MB_NOMEM;
    }
    mb_status status;
    size_t n_words = layout->n_words;
#define COUNT(stride_, n_words_)                                                                   \
    status = count_elements(layout, stride_, n_words_, n, elements, sorted, counts, place,         \
                            interrupt, n_different)
    if (n_words == 1 && stride == 1) {
        COUNT(1, 1);
    } else if (n_words == 1) {
        COUNT(2, 1);
    } else if (n_words == 2 && stride == 2) {
        COUNT(2, 2);
    } else {
        COUNT(stride, n_words);
    }
#undef COUNT
    mb_free(place);
    return status;
}
