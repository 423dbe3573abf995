/* Numbers of contexts, many at once. */
#ifndef MB_FROZEN_SEARCH_H
#define MB_FROZEN_SEARCH_H

#include "core/frozen/frozen.h"

enum { MB_FROZEN_MANY = 64 /* contexts of one search at most */ };

/* The places in a row: of a context, where the pairs begin and end. */
typedef struct {
    size_t low[MB_FROZEN_MANY], high[MB_FROZEN_MANY];
} mb_frozen_found;

/* Whether links of a level lead from the tokens of the shorter context themselves, not from its number: one
 * of two or three tokens is found at once, where that costs a few bits. */
static inline int
mb_frozen_is_direct(const mb_frozen *frozen, size_t level)
{
    enum { MOST = 3, MORE_BITS = 11 /* of two tokens; one has mostly none */ };
    unsigned of_token = frozen->token_bits, of_all = (unsigned)level * of_token;
    if (level < 2 || level > MOST || level > frozen->n_levels || of_all > MB_MAX_WIDTH) {
        return 0;
    }
    unsigned of_number = mb_bits_of(frozen->levels[level - 1].n_contexts);
    return of_all - of_token <= of_number + (level > 2 ? MORE_BITS : 0);
}

/* The numbers from which the links of a level lead; at least 1, as mb_links_open() wants. */
static inline uint64_t
mb_frozen_from(const mb_frozen *frozen, size_t level)
{
    if (mb_frozen_is_direct(frozen, level)) {
        return level == 2 ? frozen->n_tokens : frozen->n_tokens * frozen->n_tokens;
    }
    size_t n = level > 0 ? frozen->levels[level - 1].n_contexts : 0;
    return n > 0 ? n : 1;
}

/* The last tokens of a context as the number from which direct links of a level lead. */
static inline uint64_t
mb_frozen_direct(const mb_frozen *frozen, size_t level, const uint32_t *end)
{
    return level == 2 ? end[-1] : end[-2] * frozen->n_tokens + end[-1];
}

/* Copies contexts [many][level] that the caller gave from row `row` on, and tokens unless they are NULL:
 * each is read once. */
mb_status mb_frozen_copy(uint64_t n_tokens, size_t level, size_t row, size_t many,
                         const int64_t *contexts, const int64_t *tokens, uint32_t *own,
                         uint32_t *own_tokens, mb_token_fault *fault);

/* Contexts on their way to longer ones: the numbers of all, and which of them are still there. */
typedef struct {
    size_t active;
    unsigned char which[MB_FROZEN_MANY];
    uint64_t numbers[MB_FROZEN_MANY];
} mb_frozen_steps;

/* Begins with the empty context. */
void mb_frozen_start(const mb_frozen *frozen, size_t many, mb_frozen_steps *steps);

/* To contexts of `level` tokens, one more, of contexts [many][stride] their last ones. */
void mb_frozen_step(const mb_frozen *frozen, size_t level, const uint32_t *contexts, size_t stride,
                    mb_frozen_steps *steps);

/* The number of each of contexts [many][level], of tokens below n_tokens, or MB_NO_LINK. */
void mb_frozen_find(const mb_frozen *frozen, size_t level, size_t many, const uint32_t *contexts,
                    mb_frozen_steps *steps);

/* Where the rows of contexts with these numbers are; nowhere where there is none. */
void mb_frozen_ranges(const mb_frozen *frozen, size_t level, size_t many, const uint64_t *numbers,
                      mb_frozen_found *found);

/* The count of a token in each of these rows, 0 where it has none. */
void mb_frozen_look_up(const mb_frozen *frozen, size_t level, size_t many,
                       const mb_frozen_found *found, const uint32_t *tokens, uint64_t *out);

/* The sum of each of these rows. */
void mb_frozen_sums(const mb_frozen *frozen, size_t level, size_t many,
                    const mb_frozen_found *found, uint64_t *out);

#endif
