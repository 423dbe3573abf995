/* A set of pairs of a number and a token, each of which has a number of its own, from 0 on: a step from a
 * context to the one that has one more token before it.
 *
 * A pair as one number of `bits` bits is scrambled by a bijection, whose first bits say the bucket, of
 * a few pairs.  The other bits stand packed, bucket after bucket and rising there; a pair's number is
 * its place.  So a pair takes about two bits more than the information in it, and is found in two lines
 * of memory; and as the bijection can be undone, places say their pairs.
 *
 * Words may be another's (numbers.h). */
#ifndef MB_LINKS_H
#define MB_LINKS_H

#include "core/frozen/numbers.h"

enum {
    MB_LINKS_HEAD = 2 /* words: n, words of the sizes */,
    MB_LINKS_FILL = 1 /* pairs, to twice as many */
};

#define MB_NO_LINK UINT64_MAX

typedef struct {
    unsigned token_bits, bits, bucket_bits;
    mb_numbers sizes;     /* [2^bucket_bits], of buckets */
    const uint64_t *rest; /* [n], packed */
    size_t n;
} mb_links;

/* The scrambled number of a pair, and what it was. */
MB_INLINE uint64_t
mb_links_mix(unsigned bits, uint64_t pair)
{
    uint64_t mask = ((uint64_t)1 << bits) - 1;
    pair ^= pair >> (bits / 2 + 1);
    return pair * 0x9e3779b97f4a7c15u & mask;
}

MB_INLINE uint64_t
mb_links_unmix(unsigned bits, uint64_t mixed)
{
    uint64_t mask = ((uint64_t)1 << bits) - 1;
    mixed = mixed * 0xf1de83e19937733du & mask;
    return mixed ^ mixed >> (bits / 2 + 1);
}

/* The bits of a pair of a number below n_from, >= 1, and a token below n_tokens, >= 1; MB_RANGE
 * above 63. */
mb_status mb_links_bits(uint64_t n_from, uint64_t n_tokens, unsigned *token_bits, unsigned *bits);

/* Encodes n different pairs, scrambled and rising; the caller frees the words.  MB_RANGE where they are
 * too many to be counted. */
mb_status mb_links_encode(unsigned bits, size_t n, const uint64_t *mixed, mb_interrupt *interrupt,
                          uint64_t **words, size_t *n_words);

/* Links over words, which are borrowed.  MB_INVALID where these are not as many as they say, or for
 * other numbers. */
mb_status mb_links_open(uint64_t n_from, uint64_t n_tokens, size_t n_words, const uint64_t *words,
                        mb_links *out);

/* MB_INVALID unless the words are what mb_links_encode() made, of pairs of numbers below n_from and
 * tokens below n_tokens.  One pass. */
mb_status mb_links_check(const mb_links *links, uint64_t n_from, uint64_t n_tokens,
                         mb_interrupt *interrupt);

/* Writes which pair, number << token_bits | token, has each place, pairs [n]. */
mb_status mb_links_pairs(const mb_links *links, mb_interrupt *interrupt, uint64_t *pairs);

static inline uint64_t
mb_links_bucket(const mb_links *links, uint64_t mixed)
{
    return mixed >> (links->bits - links->bucket_bits);
}

/* The places of a bucket, from *low on up to *high, which is not of it; brought into their range. */
MB_INLINE void
mb_links_range(const mb_links *links, uint64_t mixed, size_t *low, size_t *high)
{
    uint64_t many, first;
    first = mb_numbers_read(&links->sizes, (size_t)mb_links_bucket(links, mixed), &many);
    *low = first < links->n ? (size_t)first : links->n;
    *high = *low + (many < links->n - *low ? (size_t)many : links->n - *low);
}

/* The place of a scrambled pair among those of its bucket, or MB_NO_LINK. */
MB_INLINE uint64_t
mb_links_find(const mb_links *links, uint64_t mixed, size_t low, size_t high)
{
    enum { AT_ONCE = 4 };
    const unsigned width = links->bits - links->bucket_bits;
    const uint64_t mask = ((uint64_t)1 << width) - 1, rest = mixed & mask;
    uint64_t found = MB_NO_LINK, window = mb_packed_window(links->rest, width, low);
    /* those that stand in one word, without a branch: a guess how many there are would be wrong */
    for (unsigned k = 0; k < AT_ONCE; k++) {
        unsigned end = (k + 1) * width;
        int same = end <= 64 && low + k < high && (window >> ((end - width) & 63) & mask) == rest;
        found = same ? low + k : found;
    }
    size_t next = low + (AT_ONCE * width <= 64 ? AT_ONCE : width <= 63 ? 64 / width : 1);
    if (next < high && found == MB_NO_LINK) {
        while (high - next > 1) {
            size_t middle = next + (high - next) / 2;
            if (mb_packed_read(links->rest, width, middle) <= rest) {
                next = middle;
            } else {
                high = middle;
            }
        }
        found = mb_packed_read(links->rest, width, next) == rest ? next : MB_NO_LINK;
    }
    return found;
}

#endif
