/* Links of a table: each context of a level is looked for in the level before, less its oldest token
 * and less its newest; searches go in lockstep (ngram_search.h). */
#include "core/backoff/link.h"

#include "core/base/mem.h"
#include "core/matrix/ngram_search.h"

#include <string.h>

enum {
    COST = 256, /* nanoseconds of a context that is linked */
    PAIR = 128, /* of a pair that is looked for */
    KEY = 8,    /* and of a key that is passed */
    PIECE = 1 << 10,
    MANY = MB_SEARCHES / 2
};

#define NOWHERE UINT32_MAX

mb_status
mb_backoff_begin(uint64_t n_tokens, size_t n, size_t n_pairs, int with_base, mb_backoff **out)
{
    if (n_tokens < 1 || n_tokens >= UINT32_MAX || n >= UINT32_MAX || n_pairs >= UINT32_MAX) {
        return MB_RANGE;
    }
    mb_backoff *table = mb_calloc(1, sizeof(mb_backoff));
    if (table == NULL) {
        return MB_NOMEM;
    }
    table->n_tokens = n_tokens;
    table->n_pairs = n_pairs;
    table->contexts = mb_calloc(n + 1, sizeof(mb_backoff_context));
    table->pairs = mb_calloc(n_pairs, sizeof(mb_backoff_pair));
    table->row = mb_calloc(n_tokens + 1, sizeof(double));
    table->next = mb_calloc(n_tokens + 1, sizeof(uint32_t));
    if (with_base) {
        table->base = mb_calloc(n, sizeof(double));
        table->mean = mb_calloc(n_tokens, sizeof(double));
    }
    if (table->contexts == NULL || table->pairs == NULL || table->row == NULL ||
        table->next == NULL || (with_base && (table->base == NULL || table->mean == NULL))) {
        mb_backoff_free(table);
        return MB_NOMEM;
    }
    table->contexts[n].first = (uint32_t)n_pairs;
    *out = table;
    return MB_OK;
}

void
mb_backoff_free(mb_backoff *table)
{
    if (table != NULL) {
        mb_free(table->contexts);
        mb_free(table->pairs);
        mb_free(table->row);
        mb_free(table->next);
        mb_free(table->base);
        mb_free(table->mean);
        mb_free(table);
    }
}

void
mb_backoff_end_finders(size_t n, mb_backoff_finder *finders)
{
    for (size_t level = 0; level < n; level++) {
        mb_transitions_free(finders[level].counts);
        mb_free(finders[level].numbers);
    }
}

/* ---- contexts that are looked for ------------------------------------------------------------ */

/* The first key that tokens [order] can have, mixed. */
static void
key_of_tokens(const mb_key_layout *layout, const uint32_t *tokens, uint64_t *key)
{
    memset(key, 0, layout->n_words * sizeof(uint64_t));
    for (size_t i = 0; i < layout->order; i++) {
        mb_key_append(layout, layout->n_words, tokens[i], key);
    }
    mb_key_append(layout, layout->n_words, 0, key);
    mb_key_mix(layout, layout->n_words, key);
}

static void
tokens_of_key(const mb_key_layout *layout, const uint64_t *key, uint32_t *tokens)
{
    uint64_t own[MB_MAX_WORDS];
    memcpy(own, key, layout->n_words * sizeof(uint64_t));
    mb_key_unmix(layout, layout->n_words, own);
    for (size_t i = 0; i < layout->order; i++) {
        tokens[i] = mb_key_token(layout, own, i);
    }
}

/* The contexts of keys [many], or NOWHERE. */
static void
contexts_of_keys(const mb_backoff_finder *finder, size_t many, const uint64_t *keys,
                 uint32_t *contexts)
{
    const mb_transitions *counts = finder->counts;
    const mb_key_layout *layout = &counts->layout;
    size_t places[MB_SEARCHES];
    if (counts->n_runs == 0) {
        for (size_t i = 0; i < many; i++) {
            contexts[i] = NOWHERE;
        }
        return;
    }
    const mb_run *run = counts->runs[0];
    mb_run_search(layout, run, many, keys, places);
    for (size_t i = 0; i < many; i++) {
        int there = places[i] < run->n &&
                    mb_key_same_context(layout, run->keys + places[i] * layout->n_words,
                                        keys + i * layout->n_words);
        contexts[i] = there ? finder->numbers[places[i]] : NOWHERE;
    }
}

/* The longest suffix of tokens [n] that is a context, of fewer than `n` tokens. */
static uint32_t
longest_suffix(const mb_backoff_finder *finders, size_t n, const uint32_t *tokens)
{
    uint32_t found = NOWHERE;
    for (size_t level = n - 1; level > 0 && found == NOWHERE; level--) {
        uint64_t key[MB_MAX_WORDS] MB_FILLED;
        key_of_tokens(&finders[level].counts->layout, tokens + (n - level), key);
        contexts_of_keys(finders + level, 1, key, &found);
    }
    return found == NOWHERE ? 0 : found;
}

/* ---- pairs that are looked for --------------------------------------------------------------- */

/* Where a token may be among the pairs of a context. */
typedef struct {
    size_t low, many; /* 0 pairs of the empty context, which is not searched */
} some_pairs;

static some_pairs
begin_pairs(const mb_backoff *table, uint32_t context)
{
    size_t low = table->contexts[context].first, end = table->contexts[context + 1].first;
    if (context == 0 || end == low) {
        return (some_pairs){0, 0};
    }
    __builtin_prefetch(table->pairs + low + (end - low) / 2);
    return (some_pairs){low, end - low};
}

/* The places of tokens among the pairs of contexts, all [n], or NOWHERE: all searches halve what is left
 * to them, then all of them again (ngram_search.c). */
static void
places_of_pairs(const mb_backoff *table, size_t n, const uint32_t *contexts, const uint32_t *tokens,
                uint32_t *places)
{
    some_pairs left[MANY];
    size_t most = 1;
    for (size_t i = 0; i < n; i++) {
        __builtin_prefetch(table->contexts + contexts[i]);
    }
    for (size_t i = 0; i < n; i++) {
        left[i] = begin_pairs(table, contexts[i]);
        most = left[i].many > most ? left[i].many : most;
    }
    for (; most > 1; most -= most / 2) {
        for (size_t i = 0; i < n; i++) {
            size_t half = left[i].many / 2;
            left[i].low += half & -(size_t)(table->pairs[left[i].low + half].token <= tokens[i]);
            left[i].many -= half;
            __builtin_prefetch(table->pairs + left[i].low + left[i].many / 2);
        }
    }
    for (size_t i = 0; i < n; i++) {
        int there = left[i].many > 0 && table->pairs[left[i].low].token == tokens[i];
        places[i] = there ? (uint32_t)left[i].low : NOWHERE;
    }
}

/* The same for pairs [n] of contexts [n], MANY at most, after what is shorter than these. */
static void
step_shorter(const mb_backoff *table, size_t n, const uint32_t *contexts, mb_backoff_pair *pairs,
             double *means)
{
    uint32_t shorter[MANY] = {0}, tokens[MANY] = {0}, places[MANY] = {0};
    for (size_t i = 0; i < n; i++) {
        shorter[i] = table->contexts[contexts[i]].shorter;
        tokens[i] = pairs[i].token;
    }
    places_of_pairs(table, n, shorter, tokens, places);
    for (size_t i = 0; i < n; i++) {
        if (places[i] == NOWHERE) {
            means[i] = mb_backoff_step(table, shorter[i], tokens[i], &pairs[i].next);
        } else {
            means[i] = fabs(table->pairs[places[i]].value);
            pairs[i].next = table->pairs[places[i]].next;
        }
    }
}

mb_status
mb_backoff_shorter(mb_backoff *table, size_t level, mb_interrupt *interrupt, double *means)
{
    uint32_t of[MANY] = {0};
    size_t from = table->contexts[table->firsts[level]].first, n = 0;
    for (size_t c = table->firsts[level]; c < table->firsts[level + 1]; c++) {
        for (size_t i = table->contexts[c].first; i < table->contexts[c + 1].first; i++) {
            of[n++] = (uint32_t)c;
            if (n == MANY) {
                step_shorter(table, n, of, table->pairs + from, means);
                MB_TRY(mb_ask(interrupt, (size_t)PAIR * MANY));
                means += n;
                from += n;
                n = 0;
            }
        }
        MB_TRY(mb_ask(interrupt, KEY));
    }
    step_shorter(table, n, of, table->pairs + from, means);
    return MB_OK;
}

/* ---- links ----------------------------------------------------------------------------------- */

/* Contexts of a level on their way. */
typedef struct {
    size_t n;
    uint32_t numbers[MANY], tokens[MANY][MB_MAX_ORDER];
} some_contexts;

/* Makes the newest token of each context lead there from the context without it. */
static mb_status
lead_there(mb_backoff *table, size_t level, const some_contexts *some, const uint32_t *from,
           mb_backoff_fault *fault)
{
    uint32_t known[MANY] = {0}, last[MANY] = {0}, places[MANY] = {0};
    for (size_t i = 0; i < some->n; i++) {
        last[i] = some->tokens[i][level - 1];
        known[i] = from[i] == NOWHERE ? 0 : from[i];
    }
    places_of_pairs(table, some->n, known, last, places);
    for (size_t i = 0; i < some->n; i++) {
        uint32_t to = some->numbers[i];
        if (level == 1) {
            table->next[last[i]] = to;
            continue;
        }
        if (places[i] == NOWHERE) {
            *fault = (mb_backoff_fault){MB_BACKOFF_OPEN, level, to - table->firsts[level]};
            return MB_INVALID;
        }
        table->pairs[places[i]].next = to;
    }
    return MB_OK;
}

static mb_status
link_some(mb_backoff *table, size_t level, const mb_backoff_finder *finders,
          const some_contexts *some, mb_backoff_fault *fault)
{
    uint32_t found[2 * MANY] = {0};
    if (level > 1 && some->n > 0) {
        const mb_backoff_finder *before = finders + level - 1;
        const mb_key_layout *layout = &before->counts->layout;
        uint64_t keys[2 * MANY * MB_MAX_WORDS] MB_FILLED;
        for (size_t i = 0; i < some->n; i++) {
            key_of_tokens(layout, some->tokens[i], keys + i * layout->n_words);
            key_of_tokens(layout, some->tokens[i] + 1, keys + (some->n + i) * layout->n_words);
        }
        contexts_of_keys(before, 2 * some->n, keys, found);
    }
    for (size_t i = 0; i < some->n; i++) {
        uint32_t shorter = found[some->n + i];
        if (shorter == NOWHERE) {
            shorter = longest_suffix(finders, level, some->tokens[i]);
        }
        table->contexts[some->numbers[i]].shorter = shorter;
    }
    return lead_there(table, level, some, found, fault);
}

mb_status
mb_backoff_link(mb_backoff *table, size_t level, const mb_backoff_finder *finders,
                mb_interrupt *interrupt, mb_backoff_fault *fault)
{
    const mb_transitions *counts = finders[level].counts;
    const uint32_t *numbers = finders[level].numbers;
    const mb_key_layout *layout = &counts->layout;
    some_contexts some = {0};
    size_t n = counts->n_runs == 0 ? 0 : counts->runs[0]->n;
    for (size_t i = 0; i < n; i++) {
        MB_TRY(i % PIECE == 0 ? mb_ask(interrupt, (size_t)KEY * PIECE) : MB_OK);
        if (i > 0 && numbers[i] == numbers[i - 1]) {
            continue;
        }
        uint32_t *tokens = some.tokens[some.n];
        tokens_of_key(layout, counts->runs[0]->keys + i * layout->n_words, tokens);
        for (size_t k = 0; k < level; k++) {
            if (tokens[k] > table->n_tokens) { /* what is mapped has changed */
                *fault = (mb_backoff_fault){MB_BACKOFF_CONTEXT, level,
                                            numbers[i] - table->firsts[level]};
                return MB_INVALID;
            }
        }
        some.numbers[some.n++] = numbers[i];
        if (some.n == MANY) {
            MB_TRY(link_some(table, level, finders, &some, fault));
            MB_TRY(mb_ask(interrupt, (size_t)COST * MANY));
            some.n = 0;
        }
    }
    return link_some(table, level, finders, &some, fault);
}
