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
mb_frozen_step(const mb_frozen *frozen, size_t level, const uint32_t *contexts, size_t stride,
               mb_frozen_steps *steps)
{
    if (mb_frozen_is_direct(frozen, level)) {
        for (size_t k = 0; k < steps->active; k++) {
            size_t i = steps->which[k];
            steps->numbers[i] = mb_frozen_direct(frozen, level, contexts + (i + 1) * stride);
        }
    }
    CHOOSE(frozen_step, &frozen->levels[level].links, contexts + stride - level, stride, steps);
}

void
mb_frozen_find(const mb_frozen *frozen, size_t level, size_t many, const uint32_t *contexts,
               mb_frozen_steps *steps)
{
    mb_frozen_start(frozen, many, steps);
    size_t first = level; /* from where on it goes step by step */
    while (first > 1 && !mb_frozen_is_direct(frozen, first)) {
        first--;
    }
    for (size_t l = first > 0 ? first : 1; l <= level; l++) {
        mb_frozen_step(frozen, l, contexts, level, steps);
    }
}

void
mb_frozen_ranges(const mb_frozen *frozen, size_t level, size_t many, const uint64_t *numbers,
                 mb_frozen_found *found)
{
    CHOOSE(frozen_ranges, frozen->levels + level, frozen->n_tokens, many, numbers, found);
}

void
mb_frozen_look_up(const mb_frozen *frozen, size_t level, size_t many, const mb_frozen_found *found,
                  const uint32_t *tokens, uint64_t *out)
{
    CHOOSE(frozen_look_up, frozen->levels + level, frozen->n_tokens, frozen->token_bits, many,
           found, tokens, out);
}

void
mb_frozen_sums(const mb_frozen *frozen, size_t level, size_t many, const mb_frozen_found *found,
               uint64_t *out)
{
    CHOOSE(frozen_sums, frozen->levels + level, many, found, out);
}
