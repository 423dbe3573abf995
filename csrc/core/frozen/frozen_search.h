/* Numbers of contexts, many at once. */
#ifndef MB_FROZEN_SEARCH_H
#define MB_FROZEN_SEARCH_H

#include "core/frozen/frozen.h"

enum { MB_FROZEN_MANY = 64 /* contexts of one search at most */ };

/* The places in a row: of a context, where the pairs begin and end. */
typedef struct {
    size_t low[MB_FROZEN_MANY], high[MB_FROZEN_MANY];
} mb_frozen_found;

/* The number of each of contexts [many][level], of tokens below n_tokens, or MB_NO_LINK. */
void mb_frozen_find(const mb_frozen *frozen, size_t level, size_t many, const uint32_t *contexts,
                    uint64_t *numbers);

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
