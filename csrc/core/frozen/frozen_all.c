/* Frozen counts: all rows of a level. */
#include "core/frozen/frozen_search.h"

enum { PER_ROW = 8 /* nanoseconds, a pair or a token of a context */, ALL_PIECE = 1 << 12 };

uint64_t
mb_frozen_observed(const mb_frozen *frozen, size_t level)
{
    const mb_frozen_level *at = frozen->levels + level;
    uint64_t own;
    return mb_numbers_read(&at->counts, at->n_pairs, &own) + at->n_pairs;
}

/* Writes the contexts of a level, the oldest token first: links lead from one level to the one below.
 * `at` [n_contexts], where each has come to, and pairs, of as many as any level has, are scratch. */
static mb_status
list_contexts(const mb_frozen *frozen, size_t level, mb_interrupt *interrupt, uint64_t *at,
              uint64_t *pairs, uint32_t *contexts)
{
    const size_t n = frozen->levels[level].n_contexts;
    const uint64_t n_tokens = frozen->n_tokens;
    size_t l = level;
    for (size_t i = 0; i < n; i++) {
        at[i] = i;
    }
    for (int direct = 0; l > 0 && !direct; l--) {
        direct = mb_frozen_is_direct(frozen, l);
        const mb_links *links = &frozen->levels[l].links;
        uint64_t mask = ((uint64_t)1 << links->token_bits) - 1;
        MB_TRY(mb_links_pairs(links, interrupt, pairs));
        for (size_t i = 0; i < n; i++) {
            uint64_t pair = at[i] < links->n ? pairs[at[i]] : MB_NO_LINK;
            if (pair == MB_NO_LINK || (pair & mask) >= n_tokens) {
                return MB_INVALID;
            }
            contexts[i * level + level - l] = (uint32_t)(pair & mask);
            at[i] = pair >> links->token_bits;
            MB_TRY(i % ALL_PIECE == 0 ? mb_ask(interrupt, (size_t)PER_ROW * ALL_PIECE) : MB_OK);
        }
    }
    for (size_t k = 1; k <= l; k++) { /* those that a direct link leads from, the newest first */
        for (size_t i = 0; i < n; i++) {
            uint64_t rest = at[i] / n_tokens;
            contexts[i * level + level - k] = (uint32_t)(at[i] - rest * n_tokens);
            if (k == l && rest > 0) {
                return MB_INVALID;
            }
            at[i] = rest;
            MB_TRY(i % ALL_PIECE == 0 ? mb_ask(interrupt, (size_t)PER_ROW * ALL_PIECE) : MB_OK);
        }
    }
    return MB_OK;
}

mb_status
mb_frozen_all(const mb_frozen *frozen, size_t level, mb_interrupt *interrupt, uint32_t *contexts,
              int64_t *starts, uint32_t *tokens, uint64_t *times)
{
    const mb_frozen_level *own = frozen->levels + level;
    size_t most = 0;
    for (size_t l = 1; l <= level; l++) {
        most = frozen->levels[l].n_contexts > most ? frozen->levels[l].n_contexts : most;
    }
    uint64_t *at = mb_calloc(own->n_contexts, sizeof *at), *pairs = mb_calloc(most, sizeof *pairs);
    mb_status status = MB_NOMEM;
    if (at != NULL && pairs != NULL) {
        status = list_contexts(frozen, level, interrupt, at, pairs, contexts);
    }
    mb_free(at);
    mb_free(pairs);
    MB_TRY(status);
    starts[0] = 0;
    for (size_t i = 0; i < own->n_contexts; i++) {
        uint64_t less = 0, left = own->n_pairs - (uint64_t)starts[i];
        if (!own->bare) {
            (void)mb_numbers_read(&own->lengths, i, &less);
        }
        if (less >= left && !own->bare) {
            return MB_INVALID;
        }
        starts[i + 1] = starts[i] + (own->bare ? 0 : (int64_t)less + 1);
        MB_TRY(i % ALL_PIECE == 0 ? mb_ask(interrupt, (size_t)PER_ROW * ALL_PIECE) : MB_OK);
    }
    if ((uint64_t)starts[own->n_contexts] != own->n_pairs) {
        return MB_INVALID;
    }
    for (size_t k = 0; k < own->n_pairs; k++) {
        uint64_t less, token = mb_packed_read(own->tokens, frozen->token_bits, k);
        if (token >= frozen->n_tokens) {
            return MB_INVALID;
        }
        (void)mb_numbers_read(&own->counts, k, &less);
        tokens[k] = (uint32_t)token;
        times[k] = less + 1;
        MB_TRY(k % ALL_PIECE == 0 ? mb_ask(interrupt, (size_t)PER_ROW * ALL_PIECE) : MB_OK);
    }
    return MB_OK;
}
