/* A context and the token after it as one number, the key, of (order + 1) times b bits, where
 * b bits hold a token.  The key is exact: no two pairs have the same, so none are ever mixed up.
 *
 *     words   0                        1
 *     bits    oldest ... newest token  of the context, next token, zeros
 *
 * Keys are kept in the order of these numbers, so the tokens of a context stand together.  In a
 * language few tokens are most of the text: to spread contexts evenly, the first word is mixed
 * with the rest of the context by a bijection, which is undone when a context is read. */
#ifndef MB_NGRAM_KEYS_H
#define MB_NGRAM_KEYS_H

#include "core/base/status.h"

enum { MB_MAX_ORDER = 16, MB_MAX_WORDS = 9 };

typedef struct {
    size_t order, n_words;
    unsigned token_bits;
    unsigned context_bits;
    unsigned padding;                  /* zeros at the end of the last word */
    uint64_t of_context[MB_MAX_WORDS]; /* which bits are the context's */
} mb_key_layout;

static inline mb_key_layout
mb_layout(size_t order, uint64_t n_tokens)
{
    mb_key_layout l = {.order = order, .token_bits = 1};
    while (l.token_bits < 32 && (n_tokens - 1) >> l.token_bits != 0) {
        l.token_bits++;
    }
    l.context_bits = (unsigned)order * l.token_bits;
    unsigned bits = l.context_bits + l.token_bits;
    l.n_words = (bits + 63) / 64;
    l.padding = 64 * (unsigned)l.n_words - bits;
    for (size_t w = 0; w < l.n_words; w++) {
        unsigned before = 64 * (unsigned)w;
        unsigned inside = l.context_bits > before ? l.context_bits - before : 0;
        l.of_context[w] = inside == 0 ? 0 : inside >= 64 ? UINT64_MAX : ~(UINT64_MAX >> inside);
    }
    return l;
}

/* Appends a token to a key that is not mixed; its oldest token falls off. */
MB_INLINE void
mb_key_append(const mb_key_layout *layout, size_t n_words, uint32_t token, uint64_t *key)
{
    unsigned b = layout->token_bits, padding = layout->padding;
    for (size_t w = 0; w + 1 < n_words; w++) {
        /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): keys are n_words apart */
        key[w] = key[w] << b | key[w + 1] >> (64 - b);
    }
    key[n_words - 1] = key[n_words - 1] << b | (uint64_t)token << padding;
    if (n_words > 1 && padding + b > 64) {
        key[n_words - 2] |= (uint64_t)token >> (64 - padding);
    }
}

/* The token at a place of a key: 0 is the oldest, `order` the next token. */
static inline uint32_t
mb_key_token(const mb_key_layout *layout, const uint64_t *key, size_t place)
{
    unsigned b = layout->token_bits, before = b * (unsigned)place, shift = before % 64;
    uint64_t bits = key[before / 64] << shift;
    if (shift + b > 64) {
        bits |= key[before / 64 + 1] >> 1 >> (63 - shift);
    }
    return (uint32_t)(bits >> (64 - b));
}

/* An odd number near 2^64 divided by the golden ratio, and its inverse modulo 2^64. */
#define MB_MIX 0x9e3779b97f4a7c15u
#define MB_UNMIX 0xf1de83e19937733du

/* What the first word is mixed with: a number from the rest of the context. */
MB_INLINE uint64_t
mb_key_rest(const mb_key_layout *layout, size_t n_words, const uint64_t *key)
{
    uint64_t rest = 0;
    for (size_t w = 1; w < n_words; w++) {
        rest = (rest ^ (key[w] & layout->of_context[w])) * MB_MIX;
        rest ^= rest >> 32;
    }
    return rest & layout->of_context[0];
}

MB_INLINE void
mb_key_mix(const mb_key_layout *layout, size_t n_words, uint64_t *key)
{
    uint64_t mask = layout->of_context[0], first = key[0] & mask;
    first = (first ^ mb_key_rest(layout, n_words, key)) * MB_MIX;
    key[0] = first | (key[0] & ~mask);
}

MB_INLINE void
mb_key_unmix(const mb_key_layout *layout, size_t n_words, uint64_t *key)
{
    uint64_t mask = layout->of_context[0], first = (key[0] & mask) * MB_UNMIX;
    first ^= mb_key_rest(layout, n_words, key);
    key[0] = first | (key[0] & ~mask);
}

/* A mixed key without the oldest token of its context, mixed as those of a token less are. */
MB_INLINE void
mb_key_shorten(const mb_key_layout *layout, size_t n_words, const mb_key_layout *shorter,
               size_t n_shorter, const uint64_t *from, uint64_t *to)
{
    const unsigned b = layout->token_bits;
    uint64_t key[MB_MAX_WORDS + 1] = {0};
    for (size_t w = 0; w < n_words; w++) {
        key[w] = from[w];
    }
    mb_key_unmix(layout, n_words, key);
    for (size_t w = 0; w < n_shorter; w++) {
        to[w] = key[w] << b | key[w + 1] >> (64 - b);
    }
    mb_key_mix(shorter, n_shorter, to);
}

/* Whether a stands before b; without branches for one word and two. */
MB_INLINE int
mb_key_before(size_t n_words, const uint64_t *a, const uint64_t *b)
{
    if (n_words == 2) {
        return (a[0] < b[0]) | ((a[0] == b[0]) & (a[1] < b[1]));
    }
    for (size_t w = 0; w + 1 < n_words; w++) {
        if (a[w] != b[w]) {
            return a[w] < b[w];
        }
    }
    return a[n_words - 1] < b[n_words - 1];
}

MB_INLINE int
mb_key_equal(size_t n_words, const uint64_t *a, const uint64_t *b)
{
    uint64_t different = 0;
    for (size_t w = 0; w < n_words; w++) {
        different |= a[w] ^ b[w];
    }
    return different == 0;
}

/* Whether two keys have the same context. */
static inline int
mb_key_same_context(const mb_key_layout *layout, const uint64_t *a, const uint64_t *b)
{
    uint64_t different = 0;
    for (size_t w = 0; w < layout->n_words; w++) {
        different |= (a[w] ^ b[w]) & layout->of_context[w];
    }
    return different == 0;
}

#endif
