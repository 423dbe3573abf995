/* Numbers of contexts, many at once. */
#include "core/frozen/frozen_search.h"

#define KERNEL "core/frozen/frozen_kernel.h"
#include "core/base/instruction_sets.h"

void
mb_frozen_find(const mb_frozen *frozen, size_t level, size_t many, const uint32_t *contexts,
               uint64_t *numbers)
{
    if (frozen->levels[0].n_contexts == 0) {
        for (size_t i = 0; i < many; i++) {
            numbers[i] = MB_NO_LINK;
        }
        return;
    }
    CHOOSE(frozen_find, frozen, level, many, contexts, numbers);
}

void
mb_frozen_ranges(const mb_frozen *frozen, size_t level, size_t many, const uint64_t *numbers,
                 mb_frozen_found *found)
{
    CHOOSE(frozen_ranges, frozen->levels + level, many, numbers, found);
}

void
mb_frozen_look_up(const mb_frozen *frozen, size_t level, size_t many, const mb_frozen_found *found,
                  const uint32_t *tokens, uint64_t *out)
{
    CHOOSE(frozen_look_up, frozen->levels + level, frozen->token_bits, many, found, tokens, out);
}

void
mb_frozen_sums(const mb_frozen *frozen, size_t level, size_t many, const mb_frozen_found *found,
               uint64_t *out)
{
    CHOOSE(frozen_sums, frozen->levels + level, many, found, out);
}
