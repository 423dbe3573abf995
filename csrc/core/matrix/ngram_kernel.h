/* Keys of n-grams, many at once: included once for each instruction set (hence no guard), see
 * instruction_sets.h. */

/* The keys, mixed, of tokens [order + n] that each fit into a key of one word. */
static void
NAME(keys_of_ngrams)(const mb_key_layout *layout, size_t n, const uint32_t *tokens, uint64_t *keys)
{
    const size_t order = layout->order;
    const uint64_t mask = layout->of_context[0];
    for (size_t i = 0; i < n; i++) {
        keys[i] = (uint64_t)tokens[i + order] << layout->padding;
    }
    for (size_t back = 1; back <= order; back++) {
        const unsigned shift = layout->padding + (unsigned)back * layout->token_bits;
        for (size_t i = 0; i < n; i++) {
            keys[i] |= (uint64_t)tokens[i + order - back] << shift;
        }
    }
    for (size_t i = 0; i < n; i++) {
        keys[i] = (keys[i] & mask) * MB_MIX | (keys[i] & ~mask);
    }
}
