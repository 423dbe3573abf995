/* Searches in lockstep: what each step reads is asked of the memory while others take theirs.  (For each
 * instruction set, because of its count of bits.) */

/* Asks for the block of a number; it may lie in two lines. */
static inline void
NAME(fetch_block)(const mb_numbers *numbers, size_t i)
{
    const uint64_t *block = mb_numbers_block(numbers, i);
    __builtin_prefetch(block);
    __builtin_prefetch(block + 1 + numbers->planes);
}

static inline void
NAME(fetch_packed)(const uint64_t *words, unsigned width, size_t i)
{
    __builtin_prefetch(words + i * width / 64);
}

/* One token more before each context: those that are not there leave. */
static void
NAME(frozen_step)(const mb_links *links, const uint32_t *tokens, size_t stride,
                  mb_frozen_steps *steps)
{
    uint64_t mixed[MB_FROZEN_MANY] MB_FILLED;
    size_t low[MB_FROZEN_MANY] MB_FILLED, high[MB_FROZEN_MANY] MB_FILLED, left = 0;
    const size_t active = steps->active;
    unsigned width = links->bits - links->bucket_bits;
    for (size_t k = 0; k < active; k++) {
        size_t i = steps->which[k];
        uint64_t pair = steps->numbers[i] << links->token_bits | tokens[i * stride];
        mixed[k] = mb_links_mix(links->bits, pair);
        NAME(fetch_block)(&links->sizes, (size_t)mb_links_bucket(links, mixed[k]));
    }
    for (size_t k = 0; k < active; k++) {
        mb_links_range(links, mixed[k], low + k, high + k);
        NAME(fetch_packed)(links->rest, width, low[k]);
    }
    for (size_t k = 0; k < active; k++) {
        size_t i = steps->which[k];
        steps->numbers[i] = mb_links_find(links, mixed[k], low[k], high[k]);
        steps->which[left] = (unsigned char)i;
        left += steps->numbers[i] != MB_NO_LINK;
    }
    steps->active = left;
}

static void
NAME(frozen_ranges)(const mb_frozen_level *at, uint64_t n_tokens, size_t many,
                    const uint64_t *numbers, mb_frozen_found *found)
{
    for (size_t i = 0; i < many; i++) {
        if (numbers[i] < at->lengths.n) {
            NAME(fetch_block)(&at->lengths, (size_t)numbers[i]);
        }
    }
    for (size_t i = 0; i < many; i++) {
        found->low[i] = found->high[i] = 0;
        if (numbers[i] < at->lengths.n) {
            size_t number = (size_t)numbers[i], n = at->n_pairs;
            uint64_t less, low = mb_numbers_read(&at->lengths, number, &less) + number;
            found->low[i] = low < n ? (size_t)low : n;
            uint64_t most = n - found->low[i]; /* and no row has more than all tokens */
            most = most < n_tokens ? most : n_tokens;
            found->high[i] = found->low[i] + (size_t)(less < most ? less + 1 : most);
        }
    }
}

/* Halves what is left of each row, at[i] and n[i] places from there on, until it is one place, the last of
 * a token that is not larger: in rounds, so that no search waits for another's. */
static void
NAME(halve)(const uint64_t *words, unsigned width, size_t many, const uint32_t *tokens, size_t *at,
            size_t *n)
{
    unsigned char which[MB_FROZEN_MANY];
    size_t active = 0;
    for (size_t i = 0; i < many; i++) {
        which[active] = (unsigned char)i;
        active += n[i] > 1;
    }
    while (active > 0) {
        size_t left = 0;
        for (size_t k = 0; k < active; k++) {
            size_t i = which[k], half = n[i] / 2;
            at[i] += half & -(size_t)(mb_packed_read(words, width, at[i] + half) <= tokens[i]);
            n[i] -= half;
            which[left] = (unsigned char)i;
            left += n[i] > 1;
            NAME(fetch_packed)(words, width, at[i] + n[i] / 2);
        }
        active = left;
    }
}

static void
NAME(frozen_look_up)(const mb_frozen_level *at, uint64_t n_tokens, unsigned width, size_t many,
                     const mb_frozen_found *found, const uint32_t *tokens, uint64_t *out)
{
    size_t places[MB_FROZEN_MANY] MB_FILLED, n[MB_FROZEN_MANY] MB_FILLED;
    for (size_t i = 0; i < many; i++) {
        /* tokens rise: so many smaller ones at most, and larger ones, stand before it and behind */
        size_t length = found->high[i] - found->low[i], behind = (size_t)(n_tokens - 1 - tokens[i]);
        size_t first = length > behind + 1 ? length - behind - 1 : 0;
        size_t last = length < tokens[i] + (size_t)1 ? length : tokens[i] + (size_t)1;
        places[i] = found->low[i] + first;
        n[i] = last > first ? last - first : 0;
        NAME(fetch_packed)(at->tokens, width, places[i] + n[i] / 2);
    }
    NAME(halve)(at->tokens, width, many, tokens, places, n);
    for (size_t i = 0; i < many; i++) {
        NAME(fetch_block)(&at->counts, places[i]);
    }
    for (size_t i = 0; i < many; i++) {
        out[i] = 0;
        if (n[i] > 0 && mb_packed_read(at->tokens, width, places[i]) == tokens[i]) {
            out[i] = mb_numbers_own(&at->counts, places[i]) + 1;
        }
    }
}

static void
NAME(frozen_sums)(const mb_frozen_level *at, size_t many, const mb_frozen_found *found,
                  uint64_t *out)
{
    for (size_t i = 0; i < many; i++) {
        NAME(fetch_block)(&at->counts, found->low[i]);
        NAME(fetch_block)(&at->counts, found->high[i]);
    }
    for (size_t i = 0; i < many; i++) {
        size_t low = found->low[i], high = found->high[i];
        out[i] = mb_numbers_between(&at->counts, low, high) + (high - low);
    }
}
