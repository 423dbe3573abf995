/* Whole numbers that are mostly small, in little memory: each is read, and so is the sum of all before
 * it, in a time that neither their size nor their number changes.
 *
 *     blocks of 64    sum of all before that are no exceptions, exceptions before, then `planes`
 *                     words: bit i of word p is bit p of the code of number i
 *     code            the number, or 2^planes - 1 for an exception
 *     exceptions      their running sums, packed: of the k-th, E[k + 1] - E[k]
 *
 * What stands before a number in its block is summed by counting bits; most blocks are one line of a
 * cache.  (Elias and Fano's code of the running sums would take a bit or two less, but finds a number
 * behind a large one by a walk over as many zeros.)
 *
 * Words may be another's, who may have filled them with any numbers, or change them at any time:
 * answers may be wrong then, but no memory is read that is not theirs. */
#ifndef MB_NUMBERS_H
#define MB_NUMBERS_H

#include "core/frozen/packed.h"

enum { MB_NUMBERS_HEAD = 4 /* words: n, exceptions, planes, width */, MB_NUMBERS_PLANES = 12 };

typedef struct {
    size_t n, n_exceptions;
    unsigned planes, width;
    const uint64_t *blocks;     /* [n / 64 + 1][2 + planes] */
    const uint64_t *exceptions; /* [n_exceptions + 1], packed */
} mb_numbers;

/* Encodes numbers in as few words as there are planes for; the caller frees them.  MB_RANGE where
 * their sum passes 2^62. */
mb_status mb_numbers_encode(size_t n, const uint64_t *numbers, mb_interrupt *interrupt,
                            uint64_t **words, size_t *n_words);

/* Numbers over words, which are borrowed.  MB_INVALID where these are not as many as their head
 * says. */
mb_status mb_numbers_open(size_t n_words, const uint64_t *words, mb_numbers *out);

/* MB_INVALID unless the words are what mb_numbers_encode() makes of the numbers in them (with any
 * number of planes); *sum is that of all. One pass. */
mb_status mb_numbers_check(const mb_numbers *numbers, mb_interrupt *interrupt, uint64_t *sum);

static inline const uint64_t *
mb_numbers_block(const mb_numbers *numbers, size_t i)
{
    return numbers->blocks + i / 64 * (2 + numbers->planes);
}

/* The k-th running sum of exceptions, or the last. */
MB_INLINE uint64_t
mb_numbers_exception(const mb_numbers *numbers, uint64_t k)
{
    size_t last = numbers->n_exceptions, at = k < last ? (size_t)k : last;
    return mb_packed_read(numbers->exceptions, numbers->width, at);
}

/* What is below, of so many planes. */
MB_INLINE uint64_t
mb_numbers_read_planes(const mb_numbers *numbers, unsigned planes, size_t i, uint64_t *own)
{
    const uint64_t *block = numbers->blocks + i / 64 * (2 + planes);
    unsigned bit = i % 64;
    uint64_t before = ((uint64_t)1 << bit) - 1, exceptional = ~(uint64_t)0, code = 0;
    uint64_t sum = block[0];
    for (unsigned p = 0; p < planes; p++) {
        uint64_t plane = block[2 + p];
        exceptional &= plane;
        code |= (plane >> bit & 1) << p;
    }
    for (unsigned p = 0; p < planes; p++) {
        sum += (uint64_t)__builtin_popcountll(block[2 + p] & ~exceptional & before) << p;
    }
    uint64_t k = block[1] + (uint64_t)__builtin_popcountll(exceptional & before);
    uint64_t low = mb_numbers_exception(numbers, k);
    *own = exceptional >> bit & 1 ? mb_numbers_exception(numbers, k + 1) - low : code;
    return sum + low;
}

/* The sum of all before number i <= n, and the number itself, 0 for the n-th. */
MB_INLINE uint64_t
mb_numbers_read(const mb_numbers *numbers, size_t i, uint64_t *own)
{
    switch (numbers->planes) { /* most have few: loops of so many turns are none */
    case 2:
        return mb_numbers_read_planes(numbers, 2, i, own);
    case 3:
        return mb_numbers_read_planes(numbers, 3, i, own);
    case 4:
        return mb_numbers_read_planes(numbers, 4, i, own);
    default:
        return mb_numbers_read_planes(numbers, numbers->planes, i, own);
    }
}

/* The sum from number `low` on up to `high`, low <= high <= n, which is not of it: mostly of one block. */
MB_INLINE uint64_t
mb_numbers_between(const mb_numbers *numbers, size_t low, size_t high)
{
    if (low / 64 != high / 64) {
        uint64_t own, before = mb_numbers_read(numbers, low, &own);
        return mb_numbers_read(numbers, high, &own) - before;
    }
    const uint64_t *block = mb_numbers_block(numbers, low);
    uint64_t before = ((uint64_t)1 << low % 64) - 1,
             those = (((uint64_t)1 << high % 64) - 1) ^ before;
    uint64_t exceptional = ~(uint64_t)0, sum = 0;
    for (unsigned p = 0; p < numbers->planes; p++) {
        exceptional &= block[2 + p];
    }
    for (unsigned p = 0; p < numbers->planes; p++) {
        sum += (uint64_t)__builtin_popcountll(block[2 + p] & ~exceptional & those) << p;
    }
    if ((exceptional & those) != 0) {
        uint64_t k = block[1] + (uint64_t)__builtin_popcountll(exceptional & before);
        uint64_t many = (uint64_t)__builtin_popcountll(exceptional & those);
        sum += mb_numbers_exception(numbers, k + many) - mb_numbers_exception(numbers, k);
    }
    return sum;
}

/* Number i < n alone. */
MB_INLINE uint64_t
mb_numbers_own(const mb_numbers *numbers, size_t i)
{
    const uint64_t *block = mb_numbers_block(numbers, i);
    const unsigned planes = numbers->planes, bit = i % 64;
    uint64_t exceptional = ~(uint64_t)0, code = 0;
    for (unsigned p = 0; p < planes; p++) {
        exceptional &= block[2 + p];
        code |= (block[2 + p] >> bit & 1) << p;
    }
    if ((exceptional >> bit & 1) == 0) {
        return code;
    }
    uint64_t before = ((uint64_t)1 << bit) - 1;
    uint64_t k = block[1] + (uint64_t)__builtin_popcountll(exceptional & before);
    return mb_numbers_exception(numbers, k + 1) - mb_numbers_exception(numbers, k);
}

#endif
