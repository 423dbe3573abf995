/* Tables of back-off models from arrays of a file, which may lie: refused, or they answer as the
 * definition does that looks contexts up in the arrays. */
#include "core/backoff/table.h"
#include "core/backoff/walk.h"
#include "test/fuzz/provider.h"

enum { MOST_LEVELS = 4, MOST_V = 4, MOST_CONTEXTS = 24, MOST_PAIRS = 120, MOST_TEXT = 12 };

typedef struct {
    size_t n;
    int64_t contexts[MOST_CONTEXTS * MOST_LEVELS], starts[MOST_CONTEXTS + 1], tokens[MOST_PAIRS];
    double values[MOST_PAIRS], backs[MOST_CONTEXTS];
} level_arrays;

typedef struct {
    size_t V, n_levels;
    level_arrays levels[MOST_LEVELS];
    double root[MOST_V];
} arrays_taken;

/* Contexts of a level are pairs of the one before, some of them; pairs are any tokens.  Probabilities are
 * small enough that backs up to 2 mostly leave them below 1. */
static void
take_levels(provider *from, arrays_taken *a)
{
    for (size_t level = 0; level < a->n_levels; level++) {
        level_arrays *own = a->levels + level, *before = own - 1;
        size_t pairs = 0;
        own->n = level == 0;
        for (size_t u = 0; level > 0 && u < before->n; u++) {
            for (int64_t p = before->starts[u]; p < before->starts[u + 1]; p++) {
                int is_needed = isnan(before->values[p]) != 0;
                if (own->n < MOST_CONTEXTS && (is_needed || take_size(from, 0, 1))) {
                    int64_t *to = own->contexts + own->n++ * level;
                    memcpy(to, before->contexts + u * (level - 1), (level - 1) * sizeof *to);
                    to[level - 1] = before->tokens[p];
                }
            }
        }
        for (size_t u = 0; u < own->n; u++) {
            own->backs[u] = take_part(from) + (double)take_size(from, 0, 1);
            for (size_t v = 0; v <= a->V; v++) {
                size_t how = take_size(from, 0, 3);
                int is_begin = v == a->V;
                if (pairs < MOST_PAIRS && how > 1 && (!is_begin || how == 3)) {
                    own->tokens[pairs] = (int64_t)v;
                    own->values[pairs++] = is_begin ? (double)NAN : take_part(from) / 4.0;
                }
            }
            own->starts[u + 1] = (int64_t)pairs;
        }
    }
    for (size_t v = 0; v < a->V; v++) {
        a->root[v] = take_part(from) / 4.0;
    }
}

/* Changes a number or two. */
static void
lie(provider *from, arrays_taken *a)
{
    for (size_t times = take_size(from, 0, 7) % 4; times > 0; times--) {
        size_t level = take_size(from, 0, a->n_levels - 1);
        level_arrays *own = a->levels + level;
        int64_t any = take_size(from, 0, 1) ? (int64_t)take_bits(from, 8)
                                            : (int64_t)take_size(from, 0, a->V + 1);
        size_t row = own->n > 0 ? take_size(from, 0, own->n - 1) : 0;
        size_t pair = take_size(from, 0, MOST_PAIRS - 1);
        switch (take_size(from, 0, 6)) {
        case 0:
            own->tokens[pair] = any;
            break;
        case 1:
            own->values[pair] = take_double(from);
            break;
        case 2:
            own->backs[row] = take_double(from);
            break;
        case 3:
            own->starts[row + 1] = any;
            break;
        case 4:
            own->contexts[row * level + (level > 0 ? take_size(from, 0, level - 1) : 0)] = any;
            break;
        case 5:
            own->n = take_size(from, 0, own->n);
            break;
        default:
            a->root[take_size(from, 0, a->V - 1)] = take_double(from);
        }
    }
}

/* The number of a context of n tokens among those of its level, or -1. */
static int64_t
context_number(const arrays_taken *a, size_t n, const int64_t *tokens)
{
    if (n >= a->n_levels) {
        return -1;
    }
    const level_arrays *level = a->levels + n;
    for (size_t u = 0; u < level->n; u++) {
        if (n == 0 || memcmp(level->contexts + u * n, tokens, n * sizeof *tokens) == 0) {
            return (int64_t)u;
        }
    }
    return -1;
}

/* The probability of a token after these, by the definition. */
static long double
defined(const arrays_taken *a, size_t n, const int64_t *tokens, int64_t token)
{
    long double back = 1.0L;
    for (;; n--, tokens++) {
        int64_t u = context_number(a, n, tokens);
        if (u < 0) {
            continue;
        }
        const level_arrays *level = a->levels + n;
        for (int64_t p = level->starts[u]; p < level->starts[u + 1]; p++) {
            if (level->tokens[p] == token && !isnan(level->values[p])) {
                return back * (long double)level->values[p];
            }
        }
        back *= (long double)level->backs[u];
        if (n == 0) {
            return back * (long double)a->root[token];
        }
    }
}

/* A text is scored as the definition says, and whole rows are the same. */
static void
check_table(provider *from, const arrays_taken *a, const mb_backoff *table)
{
    int64_t text[MOST_TEXT];
    double probs[MOST_TEXT], row[MOST_V];
    size_t n = take_size(from, 1, MOST_TEXT), position = 0;
    mb_token_fault fault;
    for (size_t i = 0; i < n; i++) {
        text[i] = (int64_t)take_size(from, 0, a->V - 1);
    }
    const mb_document one = {n, text};
    HOLDS(mb_backoff_n_scored(1, &one, 0) == n);
    HOLDS(mb_backoff_probs(table, 1, &one, 0, 0, NULL, probs, NULL, &fault) == MB_OK);
    uint32_t context = 0;
    for (size_t i = 0; i < n; i++) {
        size_t deep = i < a->n_levels ? i : a->n_levels - 1;
        HOLDS(context < mb_backoff_n(table) || mb_backoff_n(table) == 0);
        mb_backoff_row(table, context, row);
        for (size_t v = 0; v < a->V; v++) {
            long double wanted = defined(a, deep, text + i - deep, (int64_t)v);
            HOLDS(is_near((long double)row[v], wanted, 1e-13L, 1e-250L));
            HOLDS(row[v] <= 1.001001);
        }
        HOLDS(is_near((long double)probs[i], (long double)row[text[i]], 1e-13L, 1e-300L));
        HOLDS(mb_backoff_walk(table, 1, text + i, &context, &position) == MB_OK);
    }
}

static void *
copied(size_t n, size_t size, const void *from)
{
    void *memory = exactly(n, size);
    if (n > 0) {
        memcpy(memory, from, n * size);
    }
    return memory;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    provider from = {data, size};
    static arrays_taken a;
    mb_backoff_level levels[MOST_LEVELS];
    mb_backoff *table = NULL;
    mb_backoff_fault fault;
    memset(&a, 0, sizeof a);
    a.V = take_size(&from, 1, MOST_V);
    a.n_levels = take_size(&from, 1, MOST_LEVELS);
    take_levels(&from, &a);
    size_t n_pairs[MOST_LEVELS];
    for (size_t level = 0; level < a.n_levels; level++) {
        n_pairs[level] = (size_t)a.levels[level].starts[a.levels[level].n];
    }
    lie(&from, &a);
    for (size_t level = 0; level < a.n_levels; level++) {
        const level_arrays *own = a.levels + level;
        levels[level] = (mb_backoff_level){.n = own->n,
                                           .n_pairs = n_pairs[level],
                                           .contexts = copied(own->n * level, 8, own->contexts),
                                           .starts = copied(own->n + 1, 8, own->starts),
                                           .tokens = copied(n_pairs[level], 8, own->tokens),
                                           .values = copied(n_pairs[level], 8, own->values),
                                           .backs = copied(own->n, 8, own->backs)};
    }
    mb_status status = mb_backoff_new(a.V, a.n_levels, levels, a.root, 0, NULL, &table, &fault);
    HOLDS(status == MB_OK || status == MB_INVALID);
    HOLDS(status == MB_OK || fault.level < a.n_levels);
    if (status == MB_OK) {
        check_table(&from, &a, table);
        for (size_t level = 1; level < a.n_levels; level++) {
            int64_t *shorter =
                copied(levels[level - 1].n * (level - 1), 8, a.levels[level - 1].contexts);
            int64_t *contexts = exactly(levels[level].n * level, 8);
            HOLDS(mb_backoff_contexts(table, level, shorter, NULL, contexts) == MB_OK);
            free(contexts);
            free(shorter);
        }
    }
    mb_backoff_free(table);
    for (size_t level = 0; level < a.n_levels; level++) {
        free((void *)levels[level].contexts);
        free((void *)levels[level].starts);
        free((void *)levels[level].tokens);
        free((void *)levels[level].values);
        free((void *)levels[level].backs);
    }
    return 0;
}
