/* Numbers of a width of 0 to 63 bits each, one behind the other in words of 64, and zeros
 * behind them: a number is read from two words, whether it needs the second or not. */
#ifndef MB_PACKED_H
#define MB_PACKED_H

#include "core/base/mem.h"
#include "core/base/status.h"

enum { MB_MAX_WIDTH = 63 };

/* The bits of a number: 0 for 0. */
static inline unsigned
mb_bits_of(uint64_t number)
{
    return number == 0 ? 0 : 64 - (unsigned)__builtin_clzll(number);
}

/* How many words n of them take; 0 where their bits are too many to be counted. */
static inline int
mb_packed_size(size_t n, unsigned width, size_t *n_words)
{
    size_t bits;
    if (!mb_multiply(n, width, &bits)) {
        return 0;
    }
    *n_words = bits / 64 + 2;
    return 1;
}

/* The 64 bits from the i-th on, i <= n: zeros, or another number's, behind the last one. */
MB_INLINE uint64_t
mb_packed_window(const uint64_t *words, unsigned width, size_t i)
{
    size_t bit = i * width, word = bit / 64, shift = bit % 64;
    return words[word] >> shift | words[word + 1] << 1 << (63 - shift);
}

/* The i-th, i < n. */
MB_INLINE uint64_t
mb_packed_read(const uint64_t *words, unsigned width, size_t i)
{
    return mb_packed_window(words, width, i) & (((uint64_t)1 << width) - 1);
}

/* Writes the i-th, of no more bits, into words that were zeros there. */
static inline void
mb_packed_write(uint64_t *words, unsigned width, size_t i, uint64_t number)
{
    size_t bit = i * width, word = bit / 64, shift = bit % 64;
    words[word] |= number << shift;
    words[word + 1] |= number >> 1 >> (63 - shift);
}

/* Whether all bits behind n numbers are zeros, as they were written. */
static inline int
mb_packed_ends(const uint64_t *words, unsigned width, size_t n)
{
    size_t bit = n * width, word = bit / 64;
    return words[word] >> (bit % 64) == 0 && words[word + 1] == 0;
}

#endif
