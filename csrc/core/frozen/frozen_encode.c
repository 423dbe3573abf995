/* Frozen counts: how a level is written. */
#include "core/frozen/frozen_search.h"

#include <string.h>

enum {
    PER_PAIR = 16 /* nanoseconds */,
    PER_CONTEXT = 256,
    PER_MOVE = 8,
    DIGIT = 11 /* bits of a pass */,
    DIGITS = 1 << DIGIT,
};

/* A row and its scrambled link, by which rows are sorted. */
typedef struct {
    uint64_t mixed;
    size_t row;
} linked_row;

/* Sorts rows by their scrambled links of so many bits, digit by digit; other [n] is room for a copy. Which
 * of the two has them then is the answer. */
static mb_status
sort_linked(size_t n, unsigned bits, linked_row *linked, linked_row *other, mb_interrupt *interrupt,
            linked_row **sorted)
{
    *sorted = linked;
    for (unsigned shift = 0; shift < bits; shift += DIGIT) {
        linked_row *from = *sorted, *to = from == linked ? other : linked;
        size_t places[DIGITS] = {0}, place = 0;
        for (size_t i = 0; i < n; i++) {
            places[from[i].mixed >> shift & (DIGITS - 1)]++;
        }
        for (size_t d = 0; d < DIGITS; d++) {
            size_t many = places[d];
            places[d] = place;
            place += many;
        }
        for (size_t i = 0; i < n; i++) {
            to[places[from[i].mixed >> shift & (DIGITS - 1)]++] = from[i];
            MB_TRY(i % DIGITS == 0 ? mb_ask(interrupt, (size_t)PER_MOVE * DIGITS) : MB_OK);
        }
        *sorted = to;
    }
    return MB_OK;
}

/* Links of rows. */
static mb_status
link_rows(const mb_frozen *shorter, const mb_frozen_rows *rows, unsigned token_bits, unsigned bits,
          mb_interrupt *interrupt, linked_row *linked)
{
    const size_t level = shorter->n_levels;
    const int direct = mb_frozen_is_direct(shorter, level);
    uint32_t contexts[MB_FROZEN_MANY * MB_MAX_ORDER] MB_FILLED;
    mb_frozen_steps found;
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
        mb_frozen_find(shorter, level - 1, many, contexts, &found);
        for (size_t i = 0; i < many; i++) {
            if (found.numbers[i] == MB_NO_LINK) {
                return MB_INVALID;
            }
            uint32_t oldest = rows->contexts[(at + i) * level];
            const uint32_t *end = contexts + (i + 1) * (level - 1);
            uint64_t from = direct ? mb_frozen_direct(shorter, level, end) : found.numbers[i];
            linked[at + i].mixed = mb_links_mix(bits, from << token_bits | oldest);
            linked[at + i].row = at + i;
        }
        MB_TRY(mb_ask(interrupt, PER_CONTEXT * many));
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

/* Encodes the links of rows, none of level 0: of `linked`, two times as many as rows, what they are in their
 * order is *sorted.  `mixed` is scratch. */
static mb_status
encode_links(const mb_frozen *shorter, const mb_frozen_rows *rows, uint64_t *mixed,
             mb_interrupt *interrupt, linked_row *linked, linked_row **sorted, level_parts *parts)
{
    unsigned token_bits, bits;
    const size_t n = rows->n_contexts;
    *sorted = linked;
    if (shorter->n_levels == 0) {
        return n > 1 ? MB_INVALID : MB_OK;
    }
    MB_TRY(mb_links_bits(mb_frozen_from(shorter, shorter->n_levels), shorter->n_tokens, &token_bits,
                         &bits));
    MB_TRY(link_rows(shorter, rows, token_bits, bits, interrupt, linked));
    MB_TRY(sort_linked(n, bits, linked, linked + n, interrupt, sorted));
    for (size_t i = 0; i < n; i++) {
        mixed[i] = (*sorted)[i].mixed;
        if (i > 0 && mixed[i] == mixed[i - 1]) {
            return MB_INVALID;
        }
    }
    return mb_links_encode(bits, n, mixed, interrupt, &parts->links, parts->sizes);
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

/* Whether there are rows as encode_rows() expects. */
static int
are_rows(const mb_frozen_rows *rows)
{
    for (size_t i = 0; i < rows->n_contexts; i++) {
        if (rows->starts[i] < 0 || rows->starts[i + 1] <= rows->starts[i]) {
            return 0;
        }
    }
    return rows->starts[0] == 0;
}

mb_status
mb_frozen_encode(const mb_frozen *shorter, const mb_frozen_rows *rows, mb_interrupt *interrupt,
                 uint64_t **words, size_t *n_words)
{
    const int bare = rows->starts == NULL;
    size_t n = rows->n_contexts, n_pairs = bare ? 0 : (size_t)rows->starts[n], n_packed, twice;
    if (shorter->n_levels > MB_MAX_ORDER || !mb_multiply(n, 2, &twice) ||
        !mb_packed_size(n_pairs, shorter->token_bits, &n_packed)) {
        return MB_RANGE;
    }
    if (bare ? shorter->n_levels == 0 && n != 1 : !are_rows(rows)) {
        return MB_INVALID;
    }
    level_parts parts = {0};
    linked_row *linked = mb_calloc(twice, sizeof *linked), *sorted;
    uint64_t *numbers = mb_calloc(n > n_pairs ? n : n_pairs, sizeof(uint64_t));
    uint64_t *packed = mb_calloc(n_packed, sizeof(uint64_t));
    mb_status status = MB_NOMEM;
    if (linked != NULL && numbers != NULL && packed != NULL) {
        status = encode_links(shorter, rows, numbers, interrupt, linked, &sorted, &parts);
    }
    if (status == MB_OK && !bare) {
        status = encode_rows(rows, sorted, shorter->n_tokens, shorter->token_bits, numbers,
                             interrupt, &parts, packed);
    }
    mb_free(numbers);
    mb_free(linked);
    if (status == MB_OK) {
        status = join_parts(&parts, bare ? 0 : n_packed, packed, words, n_words);
    }
    mb_free(packed);
    mb_free(parts.links);
    mb_free(parts.lengths);
    mb_free(parts.counts);
    return status;
}
