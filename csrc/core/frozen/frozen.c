/* Frozen counts: whether words are a level, and how one is written. */
#include "core/frozen/frozen_search.h"

#include <stdlib.h>
#include <string.h>

enum { PER_PAIR = 16 /* nanoseconds */, PER_CONTEXT = 256, LEVEL_PIECE = 1 << 10 };

/* ---- opening ----------------------------------------------------------------------------- */

/* The numbers from which the links of the next level lead; at least 1, as mb_links_open() wants. */
static size_t
contexts_before(const mb_frozen *frozen)
{
    size_t n = frozen->n_levels > 0 ? frozen->levels[frozen->n_levels - 1].n_contexts : 0;
    return n > 0 ? n : 1;
}

mb_status
mb_frozen_open(mb_frozen *frozen, size_t n_words, const uint64_t *words)
{
    size_t sizes[MB_FROZEN_HEAD], packed, left = n_words - MB_FROZEN_HEAD, depth = frozen->n_levels;
    mb_frozen_level level = {0};
    if (n_words < MB_FROZEN_HEAD || depth > MB_MAX_ORDER) {
        return MB_INVALID;
    }
    for (size_t i = 0; i < MB_FROZEN_HEAD; i++) {
        if (words[i] > left) {
            return MB_INVALID;
        }
        sizes[i] = (size_t)words[i];
        left -= sizes[i];
    }
    const uint64_t *links = words + MB_FROZEN_HEAD, *lengths = links + sizes[0];
    const uint64_t *counts = lengths + sizes[1];
    MB_TRY(mb_numbers_open(sizes[1], lengths, &level.lengths));
    MB_TRY(mb_numbers_open(sizes[2], counts, &level.counts));
    level.n_contexts = level.lengths.n;
    level.n_pairs = level.counts.n;
    level.tokens = counts + sizes[2];
    if (!mb_packed_size(level.n_pairs, frozen->token_bits, &packed) || packed != left) {
        return MB_INVALID;
    }
    if (depth == 0) {
        if (sizes[0] != 0 || level.n_contexts > 1) {
            return MB_INVALID;
        }
    } else {
        size_t n_from = contexts_before(frozen);
        MB_TRY(mb_links_open(n_from, frozen->n_tokens, sizes[0], links, &level.links));
        if (level.links.n != level.n_contexts) {
            return MB_INVALID;
        }
    }
    frozen->levels[depth] = level;
    frozen->n_levels = depth + 1;
    return MB_OK;
}

/* Whether the tokens of each row are rising ones, and the rows all pairs. */
static mb_status
check_rows_of(const mb_frozen_level *at, uint64_t n_tokens, unsigned width, mb_interrupt *interrupt)
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
            if (token >= n_tokens || (k > 0 && token <= before)) {
                return MB_INVALID;
            }
            before = token;
        }
        MB_TRY(mb_ask(interrupt, PER_PAIR * ((size_t)less + 1)));
    }
    return place == at->n_pairs && mb_packed_ends(at->tokens, width, place) ? MB_OK : MB_INVALID;
}

mb_status
mb_frozen_check(const mb_frozen *frozen, size_t level, mb_interrupt *interrupt, uint64_t *total)
{
    const mb_frozen_level *at = frozen->levels + level;
    uint64_t sum;
    MB_TRY(mb_numbers_check(&at->lengths, interrupt, &sum));
    MB_TRY(mb_numbers_check(&at->counts, interrupt, total));
    *total += at->n_pairs;
    if (level > 0) {
        size_t n_from = frozen->levels[level - 1].n_contexts;
        MB_TRY(mb_links_check(&at->links, n_from, frozen->n_tokens, interrupt));
    }
    return check_rows_of(at, frozen->n_tokens, frozen->token_bits, interrupt);
}

/* ---- encoding ---------------------------------------------------------------------------- */

/* A row and its scrambled link, by which rows are sorted. */
typedef struct {
    uint64_t mixed;
    size_t row;
} linked_row;

static int
compare_linked(const void *a, const void *b)
{
    const linked_row *x = a, *y = b;
    return (x->mixed > y->mixed) - (x->mixed < y->mixed);
}

/* Links of rows, and the rows in their order. */
static mb_status
link_rows(const mb_frozen *shorter, const mb_frozen_rows *rows, unsigned token_bits, unsigned bits,
          mb_interrupt *interrupt, linked_row *linked)
{
    const size_t level = shorter->n_levels;
    uint32_t contexts[MB_FROZEN_MANY * MB_MAX_ORDER] MB_FILLED;
    uint64_t numbers[MB_FROZEN_MANY] MB_FILLED;
    for (size_t at = 0; at < rows->n_contexts; at += MB_FROZEN_MANY) {
        size_t many = rows->n_contexts - at;
        many = many < MB_FROZEN_MANY ? many : MB_FROZEN_MANY;
        for (size_t i = 0; i < many; i++) {
            const uint32_t *context = rows->contexts + (at + i) * level;
            for (size_t k = 0; k < level; k++) {
                if (context[k] >= shorter->n_tokens) {
                    return MB_INVALID;
                }
            }
            memcpy(contexts + i * (level - 1), context + 1, (level - 1) * sizeof(uint32_t));
        }
        mb_frozen_find(shorter, level - 1, many, contexts, numbers);
        for (size_t i = 0; i < many; i++) {
            if (numbers[i] == MB_NO_LINK) {
                return MB_INVALID;
            }
            uint32_t oldest = rows->contexts[(at + i) * level];
            linked[at + i].mixed = mb_links_mix(bits, numbers[i] << token_bits | oldest);
            linked[at + i].row = at + i;
        }
        MB_TRY(mb_ask(interrupt, PER_CONTEXT * many));
    }
    qsort(linked, rows->n_contexts, sizeof *linked, compare_linked);
    for (size_t i = 1; i < rows->n_contexts; i++) {
        if (linked[i].mixed == linked[i - 1].mixed) {
            return MB_INVALID;
        }
    }
    return MB_OK;
}

/* The parts of a level, as words. */
typedef struct {
    uint64_t *links, *lengths, *counts;
    size_t sizes[MB_FROZEN_HEAD];
} level_parts;

/* Writes lengths and counts of rows in their order into `numbers`, the larger of both, and encodes them;
 * tokens are packed. */
static mb_status
encode_rows(const mb_frozen_rows *rows, const linked_row *linked, uint64_t n_tokens, unsigned width,
            uint64_t *numbers, mb_interrupt *interrupt, level_parts *parts, uint64_t *packed)
{
    size_t place = 0;
    for (size_t i = 0; i < rows->n_contexts; i++) {
        const int64_t *start = rows->starts + linked[i].row;
        if (start[1] <= start[0]) {
            return MB_INVALID;
        }
        numbers[i] = (uint64_t)(start[1] - start[0]) - 1;
    }
    MB_TRY(
        mb_numbers_encode(rows->n_contexts, numbers, interrupt, &parts->lengths, parts->sizes + 1));
    for (size_t i = 0; i < rows->n_contexts; i++) {
        const int64_t *start = rows->starts + linked[i].row;
        for (int64_t k = start[0]; k < start[1]; k++, place++) {
            uint32_t token = rows->tokens[k];
            if (token >= n_tokens || rows->times[k] == 0 ||
                (k > start[0] && token <= rows->tokens[k - 1])) {
                return MB_INVALID;
            }
            numbers[place] = rows->times[k] - 1;
            mb_packed_write(packed, width, place, token);
        }
        MB_TRY(mb_ask(interrupt, PER_PAIR * (size_t)(start[1] - start[0])));
    }
    return mb_numbers_encode(place, numbers, interrupt, &parts->counts, parts->sizes + 2);
}

/* Encodes the links of rows; none of level 0. */
static mb_status
encode_links(const mb_frozen *shorter, const mb_frozen_rows *rows, uint64_t *mixed,
             mb_interrupt *interrupt, linked_row *linked, level_parts *parts)
{
    unsigned token_bits, bits;
    if (shorter->n_levels == 0) {
        return rows->n_contexts > 1 ? MB_INVALID : MB_OK;
    }
    MB_TRY(mb_links_bits(contexts_before(shorter), shorter->n_tokens, &token_bits, &bits));
    MB_TRY(link_rows(shorter, rows, token_bits, bits, interrupt, linked));
    for (size_t i = 0; i < rows->n_contexts; i++) {
        mixed[i] = linked[i].mixed;
    }
    return mb_links_encode(bits, rows->n_contexts, mixed, interrupt, &parts->links, parts->sizes);
}

/* One array of all parts. */
static mb_status
join_parts(const level_parts *parts, size_t n_packed, const uint64_t *packed, uint64_t **words,
           size_t *n_words)
{
    const uint64_t *const from[] = {parts->links, parts->lengths, parts->counts, packed};
    size_t sizes[] = {parts->sizes[0], parts->sizes[1], parts->sizes[2], n_packed};
    size_t n = MB_FROZEN_HEAD + sizes[0] + sizes[1] + sizes[2] + n_packed, at = MB_FROZEN_HEAD;
    uint64_t *made = mb_calloc(n, sizeof(uint64_t));
    if (made == NULL) {
        return MB_NOMEM;
    }
    for (size_t i = 0; i < 4; i++) {
        if (i < MB_FROZEN_HEAD) {
            made[i] = sizes[i];
        }
        if (sizes[i] > 0) {
            memcpy(made + at, from[i], sizes[i] * sizeof(uint64_t));
        }
        at += sizes[i];
    }
    *words = made;
    *n_words = n;
    return MB_OK;
}

mb_status
mb_frozen_encode(const mb_frozen *shorter, const mb_frozen_rows *rows, mb_interrupt *interrupt,
                 uint64_t **words, size_t *n_words)
{
    size_t n = rows->n_contexts, n_pairs = (size_t)rows->starts[n], n_packed;
    if (shorter->n_levels > MB_MAX_ORDER ||
        !mb_packed_size(n_pairs, shorter->token_bits, &n_packed)) {
        return MB_RANGE;
    }
    for (size_t i = 0; i < n; i++) {
        if (rows->starts[i] < 0 || rows->starts[i + 1] <= rows->starts[i]) {
            return MB_INVALID;
        }
    }
    level_parts parts = {0};
    linked_row *linked = mb_calloc(n, sizeof *linked);
    uint64_t *numbers = mb_calloc(n > n_pairs ? n : n_pairs, sizeof(uint64_t));
    uint64_t *packed = mb_calloc(n_packed, sizeof(uint64_t));
    mb_status status = MB_NOMEM;
    if (linked != NULL && numbers != NULL && packed != NULL) {
        status = encode_links(shorter, rows, numbers, interrupt, linked, &parts);
    }
    if (status == MB_OK) {
        status = encode_rows(rows, linked, shorter->n_tokens, shorter->token_bits, numbers,
                             interrupt, &parts, packed);
    }
    mb_free(numbers);
    mb_free(linked);
    if (status == MB_OK) {
        status = join_parts(&parts, n_packed, packed, words, n_words);
    }
    mb_free(packed);
    mb_free(parts.links);
    mb_free(parts.lengths);
    mb_free(parts.counts);
    return status;
}
