/* Frozen counts: whether words are a level. */
#include "core/frozen/frozen_search.h"

enum { PER_PAIR = 16 /* nanoseconds */ };

/* What a bare level has for its lengths, counts and tokens. */
static const uint64_t of_nothing[MB_NUMBERS_HEAD + 4];

mb_status
mb_frozen_open(mb_frozen *frozen, size_t n_words, const uint64_t *words)
{
    size_t sizes[MB_FROZEN_HEAD], packed, left = n_words - MB_FROZEN_HEAD, depth = frozen->n_levels;
    mb_frozen_level level = {0};
    if (n_words < MB_FROZEN_HEAD || depth > MB_MAX_ORDER) {
        return MB_INVALID;
    }
    for (size_t i = 0; i < MB_FROZEN_HEAD; i++) {
        uint64_t size = words[i]; /* read once */
        if (size > left) {
            return MB_INVALID;
        }
        sizes[i] = (size_t)size;
        left -= sizes[i];
    }
    const uint64_t *links = words + MB_FROZEN_HEAD, *lengths = links + sizes[0];
    const uint64_t *counts = lengths + sizes[1];
    level.bare = sizes[1] == 0 && sizes[2] == 0 && left == 0;
    level.tokens = counts + sizes[2];
    if (level.bare) {
        lengths = counts = level.tokens = of_nothing;
        sizes[1] = sizes[2] = sizeof of_nothing / sizeof *of_nothing;
    }
    MB_TRY(mb_numbers_open(sizes[1], lengths, &level.lengths));
    MB_TRY(mb_numbers_open(sizes[2], counts, &level.counts));
    level.n_pairs = level.counts.n;
    if (!mb_packed_size(level.n_pairs, frozen->token_bits, &packed) ||
        (packed != left && !level.bare)) {
        return MB_INVALID;
    }
    if (depth == 0) {
        level.n_contexts = level.bare ? 1 : level.lengths.n;
        if (sizes[0] != 0 || level.n_contexts > 1) {
            return MB_INVALID;
        }
    } else {
        MB_TRY(mb_links_open(mb_frozen_from(frozen, depth), frozen->n_tokens, sizes[0], links,
                             &level.links));
        level.n_contexts = level.links.n;
        if (!level.bare && level.lengths.n != level.n_contexts) {
            return MB_INVALID;
        }
    }
    frozen->levels[depth] = level;
    frozen->n_levels = depth + 1;
    return MB_OK;
}

/* Whether the tokens of each row are rising ones, and the rows all pairs. */
static mb_status
check_rows_of(const mb_frozen_level *at, uint64_t n_after, unsigned width, mb_interrupt *interrupt)
{
    size_t place = 0;
    for (size_t i = 0; i < at->n_contexts; i++) {
        uint64_t less, before = 0;
        (void)mb_numbers_read(&at->lengths, i, &less);
        if (less >= at->n_pairs - place) {
            return MB_INVALID;
        }
        for (size_t k = 0; k <= less; k++) {
            uint64_t token = mb_packed_read(at->tokens, width, place++);
            if (token >= n_after || (k > 0 && token <= before)) {
                return MB_INVALID;
            }
            before = token;
        }
        MB_TRY(mb_ask(interrupt, PER_PAIR * ((size_t)less + 1)));
    }
    return place == at->n_pairs && mb_packed_ends(at->tokens, width, place) ? MB_OK : MB_INVALID;
}

mb_status
mb_frozen_check(const mb_frozen *frozen, size_t level, uint64_t n_after, mb_interrupt *interrupt,
                uint64_t *total)
{
    const mb_frozen_level *at = frozen->levels + level;
    uint64_t sum;
    *total = 0;
    if (level > 0) {
        uint64_t n_from = mb_frozen_from(frozen, level);
        MB_TRY(mb_links_check(&at->links, n_from, frozen->n_tokens, interrupt));
    }
    if (at->bare) {
        return MB_OK;
    }
    MB_TRY(mb_numbers_check(&at->lengths, interrupt, &sum));
    MB_TRY(mb_numbers_check(&at->counts, interrupt, total));
    *total += at->n_pairs;
    return check_rows_of(at, n_after, frozen->token_bits, interrupt);
}
