/* Frozen counts: questions. */
#include "core/frozen/frozen_search.h"

enum { PER_STEP = 32 /* nanoseconds of a step to a longer context */, PER_TOKEN = 8 };

mb_status
mb_frozen_copy(uint64_t n_tokens, size_t level, size_t row, size_t many, const int64_t *contexts,
               const int64_t *tokens, uint32_t *own, uint32_t *own_tokens, mb_token_fault *fault)
{
    for (size_t i = 0; i < many; i++) {
        size_t k = 0;
        int64_t token = 0; /* each is read once */
        for (; k < level && (uint64_t)token < n_tokens; k++) {
            token = contexts[(row + i) * level + k];
            own[i * level + k] = (uint32_t)token;
        }
        if (tokens != NULL && (uint64_t)token < n_tokens) {
            token = tokens[row + i];
            own_tokens[i] = (uint32_t)token;
            k++;
        }
        if ((uint64_t)token >= n_tokens) {
            *fault = (mb_token_fault){row + i, k - 1, token};
            return MB_INVALID;
        }
    }
    return MB_OK;
}

/* Finds the rows of a block of the caller's contexts. */
static mb_status
find_block(const mb_frozen *frozen, size_t level, size_t at, size_t many, const int64_t *contexts,
           const int64_t *tokens, uint32_t *own_tokens, mb_interrupt *interrupt,
           mb_frozen_found *found, mb_token_fault *fault)
{
    uint32_t own[MB_FROZEN_MANY * MB_MAX_ORDER] MB_FILLED;
    mb_frozen_steps steps;
    MB_TRY(mb_frozen_copy(frozen->n_tokens, level, at, many, contexts, tokens, own, own_tokens,
                          fault));
    mb_frozen_find(frozen, level, many, own, &steps);
    mb_frozen_ranges(frozen, level, many, steps.numbers, found);
    return mb_ask(interrupt, PER_STEP * many * (level + 3));
}

static size_t
block_of(size_t n, size_t at)
{
    return n - at < MB_FROZEN_MANY ? n - at : MB_FROZEN_MANY;
}

mb_status
mb_frozen_counts(const mb_frozen *frozen, size_t level, size_t n, const int64_t *contexts,
                 const int64_t *tokens, mb_interrupt *interrupt, uint64_t *out,
                 mb_token_fault *fault)
{
    mb_frozen_found found;
    uint32_t own[MB_FROZEN_MANY] MB_FILLED;
    for (size_t at = 0; at < n; at += MB_FROZEN_MANY) {
        size_t many = block_of(n, at);
        MB_TRY(
            find_block(frozen, level, at, many, contexts, tokens, own, interrupt, &found, fault));
        mb_frozen_look_up(frozen, level, many, &found, own, out + at);
    }
    return MB_OK;
}

mb_status
mb_frozen_totals(const mb_frozen *frozen, size_t level, size_t n, const int64_t *contexts,
                 mb_interrupt *interrupt, uint64_t *out, mb_token_fault *fault)
{
    mb_frozen_found found;
    for (size_t at = 0; at < n; at += MB_FROZEN_MANY) {
        size_t many = block_of(n, at);
        MB_TRY(find_block(frozen, level, at, many, contexts, NULL, NULL, interrupt, &found, fault));
        mb_frozen_sums(frozen, level, many, &found, out + at);
    }
    return MB_OK;
}

mb_status
mb_frozen_numbers(const mb_frozen *frozen, size_t level, size_t n, const int64_t *contexts,
                  mb_interrupt *interrupt, int64_t *out, mb_token_fault *fault)
{
    uint32_t own[MB_FROZEN_MANY * MB_MAX_ORDER] MB_FILLED;
    mb_frozen_steps steps;
    for (size_t at = 0; at < n; at += MB_FROZEN_MANY) {
        size_t many = block_of(n, at);
        MB_TRY(mb_frozen_copy(frozen->n_tokens, level, at, many, contexts, NULL, own, NULL, fault));
        mb_frozen_find(frozen, level, many, own, &steps);
        for (size_t i = 0; i < many; i++) {
            out[at + i] = steps.numbers[i] == MB_NO_LINK ? -1 : (int64_t)steps.numbers[i];
        }
        MB_TRY(mb_ask(interrupt, PER_STEP * many * (level + 1)));
    }
    return MB_OK;
}

mb_status
mb_frozen_walk(const mb_frozen *frozen, size_t n, const int64_t *contexts, const int64_t *tokens,
               mb_interrupt *interrupt, uint64_t *counts, uint64_t *totals, mb_token_fault *fault)
{
    uint32_t own[MB_FROZEN_MANY * MB_MAX_ORDER] MB_FILLED, own_tokens[MB_FROZEN_MANY] MB_FILLED;
    uint64_t seen[MB_FROZEN_MANY] MB_FILLED, sums[MB_FROZEN_MANY] MB_FILLED;
    const size_t n_levels = frozen->n_levels, order = n_levels - 1;
    mb_frozen_steps steps;
    mb_frozen_found found;
    for (size_t at = 0; at < n; at += MB_FROZEN_MANY) {
        size_t many = block_of(n, at);
        MB_TRY(mb_frozen_copy(frozen->n_tokens, order, at, many, contexts, tokens, own, own_tokens,
                              fault));
        mb_frozen_start(frozen, many, &steps);
        for (size_t level = 0; level <= order; level++) {
            if (level > 0) {
                mb_frozen_step(frozen, level, own, order, &steps);
            }
            mb_frozen_ranges(frozen, level, many, steps.numbers, &found);
            mb_frozen_look_up(frozen, level, many, &found, own_tokens, seen);
            mb_frozen_sums(frozen, level, many, &found, sums);
            for (size_t i = 0; i < many; i++) {
                counts[(at + i) * n_levels + level] = seen[i];
                totals[(at + i) * n_levels + level] = sums[i];
            }
        }
        MB_TRY(mb_ask(interrupt, PER_STEP * many * 4 * n_levels));
    }
    return MB_OK;
}

mb_status
mb_frozen_read(const mb_frozen *frozen, size_t level, size_t n, const int64_t *contexts,
               mb_interrupt *interrupt, int64_t *starts, uint32_t *tokens, uint64_t *times,
               mb_token_fault *fault)
{
    const mb_frozen_level *at_level = frozen->levels + level;
    mb_frozen_found found;
    starts[0] = 0;
    for (size_t at = 0; at < n; at += MB_FROZEN_MANY) {
        size_t many = block_of(n, at);
        MB_TRY(find_block(frozen, level, at, many, contexts, NULL, NULL, interrupt, &found, fault));
        for (size_t i = 0; i < many; i++) {
            size_t low = found.low[i], length = found.high[i] - low;
            if (tokens == NULL) {
                starts[at + i + 1] = starts[at + i] + (int64_t)length;
                continue;
            }
            size_t first = (size_t)starts[at + i], room = (size_t)starts[at + i + 1] - first;
            for (size_t k = 0; k < room; k++) { /* nothing where words have changed since */
                uint64_t less = 0, token = 0;
                if (k < length) {
                    token = mb_packed_read(at_level->tokens, frozen->token_bits, low + k);
                    (void)mb_numbers_read(&at_level->counts, low + k, &less);
                }
                tokens[first + k] = token < frozen->n_tokens ? (uint32_t)token : 0;
                times[first + k] = k < length ? less + 1 : 0;
            }
            MB_TRY(mb_ask(interrupt, PER_TOKEN * room));
        }
    }
    return MB_OK;
}
