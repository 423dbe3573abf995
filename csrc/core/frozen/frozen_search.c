/* Numbers of contexts, many at once. */
#include "core/frozen/frozen_search.h"

#define KERNEL "core/frozen/frozen_kernel.h"
#include "core/base/instruction_sets.h"

void
mb_frozen_start(const mb_frozen *frozen, size_t many, mb_frozen_steps *steps)
{
    int any = frozen->levels[0].n_contexts > 0;
    steps->active = any ? many : 0;
    for (size_t i = 0; i < many; i++) {
        steps->which[i] = (unsigned char)i;
        steps->numbers[i] = any ? 0 : MB_NO_LINK;
    }
}

void
mb_frozen_step(const mb_frozen *frozen, size_t level, const uint32_t *tokens, size_t stride,
               mb_frozen_steps *steps)
{
    CHOOSE(frozen_step, &frozen->levels[level].links, tokens, stride, steps);
}

void
mb_frozen_find(const mb_frozen *frozen, size_t level, size_t many, const uint32_t *contexts,
               mb_frozen_steps *steps)
{
    mb_frozen_start(frozen, many, steps);
    for (size_t step = 1; step <= level; step++) {
        mb_frozen_step(frozen, step, contexts + level - step, level, steps);
    }
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
