/* Frozen counts: levels that are encoded are looked up as they were; words that lie are refused when
 * they are opened or checked, or answer without reading what is not theirs. */
#include "core/frozen/frozen.h"
#include "test/fuzz/provider.h"

enum { MOST_LEVELS = 3, MOST_V = 4, MOST_CONTEXTS = 16, MOST_CHANGES = 6 };

/* A level: [contexts][V]; whether a context is there is said by its row, or in a bare one alone. */
typedef struct {
    size_t n_contexts; /* V to the power of the level */
    uint64_t table[MOST_CONTEXTS * MOST_V];
    int is_there[MOST_CONTEXTS], is_bare;
    uint64_t *words;
    size_t n_words;
} level_taken;

typedef struct {
    size_t V, n_levels;
    uint64_t n_tokens, step;
    level_taken levels[MOST_LEVELS];
    mb_frozen frozen;
} frozen_taken;

static uint32_t
id_of(const frozen_taken *f, size_t v)
{
    return (uint32_t)((uint64_t)v * f->step);
}

static void
ids_of(const frozen_taken *f, size_t level, size_t context, int64_t *ids)
{
    for (size_t i = level; i-- > 0; context /= f->V) {
        ids[i] = (int64_t)id_of(f, context % f->V);
    }
}

static uint64_t
take_times(provider *from)
{
    size_t how = take_size(from, 0, 15);
    return how < 8 ? 0 : how < 14 ? take_size(from, 1, 20) : take_bits(from, how == 14 ? 3 : 7);
}

static void
take_level(provider *from, frozen_taken *f, size_t level)
{
    level_taken *own = f->levels + level;
    own->n_contexts = level == 0 ? 1 : f->V * f->levels[level - 1].n_contexts;
    own->is_bare = level > 0 && take_size(from, 0, 7) == 0;
    for (size_t c = 0; c < own->n_contexts; c++) {
        /* a context is there only where it is without its oldest token */
        size_t rest = level == 0 ? 0 : c % f->levels[level - 1].n_contexts;
        int may_be = level == 0 || f->levels[level - 1].is_there[rest];
        own->is_there[c] = own->is_bare && may_be && take_size(from, 0, 1);
        for (size_t v = 0; v < f->V && may_be && !own->is_bare; v++) {
            own->table[c * f->V + v] = take_times(from);
            own->is_there[c] |= own->table[c * f->V + v] > 0;
        }
    }
    if (level == 0 && !own->is_there[0]) {
        own->table[0] = 1;
        own->is_there[0] = 1;
    }
}

static void
encode_level(frozen_taken *f, size_t level)
{
    level_taken *own = f->levels + level;
    uint32_t contexts[MOST_CONTEXTS * MOST_LEVELS], tokens[MOST_CONTEXTS * MOST_V];
    int64_t starts[MOST_CONTEXTS + 1] = {0}, ids[MOST_LEVELS];
    uint64_t times[MOST_CONTEXTS * MOST_V];
    size_t n = 0, pairs = 0;
    for (size_t c = own->n_contexts; c-- > 0;) { /* in another order than they are numbered */
        if (!own->is_there[c]) {
            continue;
        }
        ids_of(f, level, c, ids);
        for (size_t i = 0; i < level; i++) {
            contexts[n * level + i] = (uint32_t)ids[i];
        }
        for (size_t v = 0; v < f->V; v++) {
            if (own->table[c * f->V + v] > 0) {
                tokens[pairs] = id_of(f, v);
                times[pairs++] = own->table[c * f->V + v];
            }
        }
        starts[++n] = (int64_t)pairs;
    }
    mb_frozen_rows rows = {n, contexts, own->is_bare ? NULL : starts, tokens, times};
    HOLDS(mb_frozen_encode(&f->frozen, &rows, NULL, &own->words, &own->n_words) == MB_OK);
    HOLDS(mb_frozen_open(&f->frozen, own->n_words, own->words) == MB_OK);
}

/* Asks about every context of a level, into what was counted; whether it is what is wanted. */
static int
asks(const frozen_taken *f, size_t level)
{
    const level_taken *own = f->levels + level;
    int64_t ids[MOST_LEVELS] = {0}, number, starts[2] = {0};
    uint64_t total, count;
    mb_token_fault fault;
    int same = 1;
    for (size_t c = 0; c < own->n_contexts; c++) {
        uint64_t wanted = 0;
        ids_of(f, level, c, ids);
        HOLDS(mb_frozen_numbers(&f->frozen, level, 1, ids, NULL, &number, &fault) == MB_OK);
        HOLDS(number >= -1 && number < (int64_t)f->frozen.levels[level].n_contexts);
        same &= (number >= 0) == own->is_there[c];
        for (size_t v = 0; v < f->V; v++) {
            int64_t token = (int64_t)id_of(f, v);
            HOLDS(mb_frozen_counts(&f->frozen, level, 1, ids, &token, NULL, &count, &fault) ==
                  MB_OK);
            same &= count == own->table[c * f->V + v];
            wanted += own->table[c * f->V + v];
        }
        HOLDS(mb_frozen_totals(&f->frozen, level, 1, ids, NULL, &total, &fault) == MB_OK);
        same &= total == wanted;
        HOLDS(mb_frozen_read(&f->frozen, level, 1, ids, NULL, starts, NULL, NULL, &fault) == MB_OK);
        HOLDS(starts[0] == 0 && starts[1] >= 0);
        size_t n = (size_t)starts[1];
        HOLDS(n <= f->frozen.levels[level].n_pairs);
        uint32_t *tokens = exactly(n, sizeof *tokens);
        uint64_t *times = exactly(n, sizeof *times);
        HOLDS(mb_frozen_read(&f->frozen, level, 1, ids, NULL, starts, tokens, times, &fault) ==
              MB_OK);
        for (size_t i = 0; i < n; i++) {
            HOLDS(i == 0 || !same || tokens[i - 1] < tokens[i]);
        }
        free(times);
        free(tokens);
    }
    return same;
}

/* All rows of a level, of words that may lie. */
static void
ask_all(const frozen_taken *f, size_t level)
{
    const mb_frozen_level *own = f->frozen.levels + level;
    uint32_t *contexts = exactly(own->n_contexts * level, sizeof *contexts);
    uint32_t *tokens = exactly(own->n_pairs, sizeof *tokens);
    int64_t *starts = exactly(own->n_contexts + 1, sizeof *starts);
    uint64_t *times = exactly(own->n_pairs, sizeof *times);
    mb_status status = mb_frozen_all(&f->frozen, level, NULL, contexts, starts, tokens, times);
    HOLDS(status == MB_OK || status == MB_INVALID);
    (void)mb_frozen_observed(&f->frozen, level);
    free(times);
    free(starts);
    free(tokens);
    free(contexts);
}

/* One walk gives what each level says. */
static void
check_walk(const frozen_taken *f)
{
    size_t top = f->n_levels - 1, V = f->V;
    int64_t ids[MOST_LEVELS] = {0};
    uint64_t counts[MOST_LEVELS], totals[MOST_LEVELS];
    mb_token_fault fault;
    for (size_t c = 0; c < f->levels[top].n_contexts; c++) {
        ids_of(f, top, c, ids);
        for (size_t v = 0; v < V; v++) {
            int64_t token = (int64_t)id_of(f, v);
            HOLDS(mb_frozen_walk(&f->frozen, 1, ids, &token, NULL, counts, totals, &fault) ==
                  MB_OK);
            for (size_t level = 0; level < f->n_levels; level++) {
                const level_taken *own = f->levels + level;
                HOLDS(counts[level] == own->table[c % own->n_contexts * V + v]);
            }
        }
    }
}

/* Changes some words of levels and asks again. */
static void
check_lies(provider *from, const frozen_taken *f)
{
    frozen_taken lying = *f;
    int refused = 0, changed = 0, checked = 1;
    lying.frozen = mb_frozen_begin(f->n_tokens);
    for (size_t level = 0; level < f->n_levels; level++) {
        level_taken *own = lying.levels + level;
        size_t cut = take_size(from, 0, 15) == 0 ? take_size(from, 0, 3) : 0;
        own->n_words -= cut < own->n_words ? cut : 0;
        own->words = exactly(own->n_words, sizeof *own->words);
        memcpy(own->words, f->levels[level].words, own->n_words * sizeof *own->words);
        size_t changes = take_size(from, 0, MOST_CHANGES);
        for (size_t i = 0; i < changes && own->n_words > 0; i++) {
            size_t at = take_size(from, 0, own->n_words - 1);
            own->words[at] = take_size(from, 0, 1)
                                 ? take_bits(from, 8)
                                 : own->words[at] ^ (uint64_t)1 << take_size(from, 0, 63);
        }
        changed |=
            own->n_words != f->levels[level].n_words ||
            memcmp(own->words, f->levels[level].words, own->n_words * sizeof *own->words) != 0;
    }
    for (size_t level = 0; level < f->n_levels && !refused; level++) {
        level_taken *own = lying.levels + level;
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the loop at the end frees what the first takes */
        refused = mb_frozen_open(&lying.frozen, own->n_words, own->words) != MB_OK;
    }
    for (size_t level = 0; level < f->n_levels && !refused; level++) {
        uint64_t total;
        checked &=
            mb_frozen_check(&lying.frozen, level, lying.frozen.n_tokens, NULL, &total) == MB_OK;
        ask_all(&lying, level);
        (void)asks(&lying, level);
    }
    HOLDS(changed || (!refused && checked));
    for (size_t level = 0; level < f->n_levels; level++) {
        free(lying.levels[level].words);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t most[] = {4, 5, 200, 50257, (uint64_t)1 << 32};
    provider from = {data, size};
    frozen_taken f = {.V = take_size(&from, 1, MOST_V),
                      .n_levels = take_size(&from, 1, MOST_LEVELS)};
    f.n_tokens = most[take_size(&from, 0, sizeof most / sizeof *most - 1)];
    f.step = f.V > 1 ? (f.n_tokens - 1) / (f.V - 1) : 1;
    f.frozen = mb_frozen_begin(f.n_tokens);
    for (size_t level = 0; level < f.n_levels; level++) {
        uint64_t total = 0, wanted = 0;
        take_level(&from, &f, level);
        encode_level(&f, level);
        for (size_t i = 0; i < f.levels[level].n_contexts * f.V; i++) {
            wanted += f.levels[level].table[i];
        }
        HOLDS(mb_frozen_check(&f.frozen, level, f.frozen.n_tokens, NULL, &total) == MB_OK &&
              total == wanted);
        HOLDS(asks(&f, level));
        ask_all(&f, level);
    }
    check_walk(&f);
    check_lies(&from, &f);
    for (size_t level = 0; level < f.n_levels; level++) {
        mb_free(f.levels[level].words);
    }
    return 0;
}
