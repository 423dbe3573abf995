/* Transition counts: questions. */
#include "core/matrix/transitions.h"

#include "core/matrix/ngram_search.h"

#include <string.h>

enum {
    COST = 64, /* nanoseconds of a key that is looked for in a run */
    PAIR = 8,  /* and of a pair that is read */
    PIECE = 1 << 10,
    KEYS = MB_SEARCHES,
    ROWS = MB_SEARCHES / 2 /* a row is found by two keys */
};

/* ---- keys ------------------------------------------------------------------------- */

/* Writes the mixed key of a context and a token; whether one of them is no token. */
MB_INLINE int
key_of_context(const mb_key_layout *layout, size_t n_words, uint64_t n_tokens,
               const int64_t *context, int64_t token, uint64_t *key)
{
    int wrong = (uint64_t)token >= n_tokens;
    for (size_t w = 0; w < n_words; w++) {
        key[w] = 0;
    }
    for (size_t place = 0; place < layout->order; place++) {
        wrong |= (uint64_t)context[place] >= n_tokens;
        mb_key_append(layout, n_words, (uint32_t)context[place], key);
    }
    mb_key_append(layout, n_words, (uint32_t)token, key);
    mb_key_mix(layout, n_words, key);
    return wrong;
}

/* The mixed keys of contexts [many][order] and tokens [many], or token 0 where they are NULL.
 * `row` is where the contexts are among all of the caller's, for the fault. */
static mb_status
keys_of_contexts(const mb_transitions *counts, size_t row, size_t many, const int64_t *contexts,
                 const int64_t *tokens, uint64_t *keys, mb_token_fault *fault)
{
    const mb_key_layout *layout = &counts->layout;
    size_t order = layout->order, n_words = layout->n_words;
    int wrong = 0;
    for (size_t i = 0; i < many; i++) {
        const int64_t *context = contexts + i * order;
        int64_t token = tokens == NULL ? 0 : tokens[i];
        uint64_t *key = keys + i * n_words;
        wrong |= n_words == 1 ? key_of_context(layout, 1, counts->n_tokens, context, token, key)
                 : n_words == 2
                     ? key_of_context(layout, 2, counts->n_tokens, context, token, key)
                     : key_of_context(layout, n_words, counts->n_tokens, context, token, key);
    }
    for (size_t i = 0; wrong && i < many; i++) { /* which one: again, and slowly */
        fault->row = row + i;
        MB_TRY(
            mb_key_read(counts, contexts + i * order, tokens == NULL ? 0 : tokens[i], keys, fault));
    }
    return MB_OK;
}

/* ---- counts ------------------------------------------------------------------------ */

void
mb_key_counts(const mb_transitions *counts, size_t many, const uint64_t *keys, uint64_t *out)
{
    size_t n_words = counts->layout.n_words, places[KEYS];
    for (size_t i = 0; i < many; i++) {
        out[i] = 0;
    }
    for (size_t r = 0; r < counts->n_runs; r++) {
        const mb_run *run = counts->runs[r];
        mb_run_search(&counts->layout, run, many, keys, places);
        for (size_t i = 0; i < many; i++) {
            __builtin_prefetch(run->counts + places[i]);
        }
        for (size_t i = 0; i < many; i++) {
            if (places[i] < run->n &&
                mb_key_equal(n_words, run->keys + places[i] * n_words, keys + i * n_words)) {
                out[i] += mb_run_count(run, places[i]);
            }
        }
    }
}

mb_status
mb_transitions_counts(const mb_transitions *counts, size_t n, const int64_t *contexts,
                      const int64_t *tokens, mb_interrupt *interrupt, uint64_t *out,
                      mb_token_fault *fault)
{
    uint64_t keys[KEYS * MB_MAX_WORDS] MB_FILLED;
    for (size_t at = 0; at < n; at += KEYS) {
        size_t many = n - at < KEYS ? n - at : KEYS;
        MB_TRY(keys_of_contexts(counts, at, many, contexts + at * counts->layout.order, tokens + at,
                                keys, fault));
        mb_key_counts(counts, many, keys, out + at);
        MB_TRY(mb_ask(interrupt, COST * many * (counts->n_runs + 1)));
    }
    return MB_OK;
}

/* ---- rows -------------------------------------------------------------------------- */

/* The places of `many` rows in a run, from low up to high, which is not of it.  `first` are keys
 * of token 0. */
static void
find_rows(const mb_key_layout *layout, const mb_run *run, size_t many, const uint64_t *first,
          size_t *low, size_t *high)
{
    size_t n_words = layout->n_words, places[2 * ROWS];
    uint64_t keys[2 * ROWS * MB_MAX_WORDS] = {0}, *last = keys + many * n_words;
    for (size_t i = 0; i < many; i++) {
        for (size_t w = 0; w < n_words; w++) {
            keys[i * n_words + w] = first[i * n_words + w];
            last[i * n_words + w] = first[i * n_words + w] | ~layout->of_context[w];
        }
    }
    mb_run_search(layout, run, 2 * many, keys, places);
    for (size_t i = 0; i < many; i++) {
        size_t end = places[many + i];
        low[i] = places[i];
        /* a key is all ones after its context where it has no padding */
        high[i] = end + (end < run->n &&
                         mb_key_equal(n_words, run->keys + end * n_words, last + i * n_words));
    }
}

mb_status
mb_transitions_totals(const mb_transitions *counts, size_t n, const int64_t *contexts,
                      mb_interrupt *interrupt, uint64_t *out, mb_token_fault *fault)
{
    const mb_key_layout *layout = &counts->layout;
    uint64_t keys[ROWS * MB_MAX_WORDS] MB_FILLED;
    for (size_t at = 0; at < n; at += ROWS) {
        size_t many = n - at < ROWS ? n - at : ROWS, low[ROWS], high[ROWS];
        MB_TRY(
            keys_of_contexts(counts, at, many, contexts + at * layout->order, NULL, keys, fault));
        for (size_t i = 0; i < many; i++) {
            out[at + i] = 0;
        }
        for (size_t r = 0; r < counts->n_runs; r++) {
            const mb_run *run = counts->runs[r];
            find_rows(layout, run, many, keys, low, high);
            for (size_t i = 0; i < many; i++) {
                mb_run_prefetch_sum(run, low[i], high[i]);
            }
            for (size_t i = 0; i < many; i++) {
                out[at + i] += mb_run_sum(run, low[i], high[i]);
            }
        }
        MB_TRY(mb_ask(interrupt, (size_t)2 * COST * many * (counts->n_runs + 1)));
    }
    return MB_OK;
}

/* Rows that have been found in all runs. */
typedef struct {
    size_t next[MB_MAX_RUNS][ROWS], end[MB_MAX_RUNS][ROWS];
} found_rows;

/* Reads the i-th of the rows that were found, merged from all runs: *length is how many tokens it
 * has, `most` of which at most go to tokens and times, unless those are NULL. */
static mb_status
read_row(const mb_transitions *counts, const found_rows *found, size_t i, size_t most,
         mb_interrupt *interrupt, uint32_t *tokens, uint64_t *times, size_t *length)
{
    const mb_key_layout *layout = &counts->layout;
    size_t n_words = layout->n_words, n = 0, next[MB_MAX_RUNS], end[MB_MAX_RUNS];
    for (size_t r = 0; r < counts->n_runs; r++) {
        next[r] = found->next[r][i];
        end[r] = found->end[r][i];
    }
    for (;;) {
        size_t from = counts->n_runs;
        uint64_t first[MB_MAX_WORDS] = {0}, many = 0;
        for (size_t r = 0; r < counts->n_runs; r++) {
            const uint64_t *mine = counts->runs[r]->keys + next[r] * n_words;
            if (next[r] < end[r] &&
                (from == counts->n_runs || mb_key_before(n_words, mine, first))) {
                memcpy(first, mine, n_words * sizeof(uint64_t));
                from = r;
            }
        }
        if (from == counts->n_runs) {
            *length = n;
            return MB_OK;
        }
        for (size_t r = from; r < counts->n_runs; r++) {
            const mb_run *run = counts->runs[r];
            if (r == from ||
                (next[r] < end[r] && mb_key_equal(n_words, run->keys + next[r] * n_words, first))) {
                many += mb_run_count(run, next[r]++);
            }
        }
        if (tokens != NULL && n < most) {
            tokens[n] = mb_key_token(layout, first, layout->order);
            times[n] = many;
        }
        n++;
        MB_TRY(mb_ask(interrupt, PAIR * counts->n_runs));
    }
}

/* Reads rows from row `at` on, whose starts[at] is there already. */
static mb_status
read_found_rows(const mb_transitions *counts, const found_rows *found, size_t many,
                mb_interrupt *interrupt, int64_t *starts, uint32_t *tokens, uint64_t *times)
{
    for (size_t i = 0; i < many; i++) {
        size_t length;
        if (tokens == NULL) {
            MB_TRY(read_row(counts, found, i, 0, interrupt, NULL, NULL, &length));
            starts[i + 1] = starts[i] + (int64_t)length;
            continue;
        }
        size_t most = (size_t)(starts[i + 1] - starts[i]);
        uint32_t *token = tokens + starts[i];
        uint64_t *time = times + starts[i];
        MB_TRY(read_row(counts, found, i, most, interrupt, token, time, &length));
        for (size_t k = length; k < most; k++) {
            token[k] = 0; /* borrowed keys have changed */
            time[k] = 0;
        }
    }
    return MB_OK;
}

mb_status
mb_transitions_rows(const mb_transitions *counts, size_t n, const int64_t *contexts,
                    mb_interrupt *interrupt, int64_t *starts, uint32_t *tokens, uint64_t *times,
                    mb_token_fault *fault)
{
    const mb_key_layout *layout = &counts->layout;
    uint64_t keys[ROWS * MB_MAX_WORDS] MB_FILLED;
    found_rows found;
    starts[0] = 0;
    for (size_t at = 0; at < n; at += ROWS) {
        size_t many = n - at < ROWS ? n - at : ROWS;
        MB_TRY(
            keys_of_contexts(counts, at, many, contexts + at * layout->order, NULL, keys, fault));
        for (size_t r = 0; r < counts->n_runs; r++) {
            find_rows(layout, counts->runs[r], many, keys, found.next[r], found.end[r]);
        }
        MB_TRY(mb_ask(interrupt, (size_t)2 * COST * many * (counts->n_runs + 1)));
        MB_TRY(read_found_rows(counts, &found, many, interrupt, starts + at, tokens, times));
    }
    return MB_OK;
}

/* ---- all rows ---------------------------------------------------------------------- */

mb_status
mb_transitions_n_contexts(const mb_transitions *counts, mb_interrupt *interrupt, size_t *n)
{
    *n = 0;
    if (counts->n_runs == 0) {
        return MB_OK;
    }
    const mb_run *run = counts->runs[0];
    size_t n_words = counts->layout.n_words;
    for (size_t i = 0; i < run->n; i++) {
        const uint64_t *key = run->keys + i * n_words;
        *n += i == 0 || !mb_key_same_context(&counts->layout, key, key - n_words);
        MB_TRY(i % PIECE == 0 ? mb_ask(interrupt, (size_t)PAIR * PIECE) : MB_OK);
    }
    return MB_OK;
}

/* The tokens of a key's context. */
static void
read_context(const mb_key_layout *layout, const uint64_t *key, uint32_t *context)
{
    uint64_t own[MB_MAX_WORDS];
    memcpy(own, key, layout->n_words * sizeof(uint64_t));
    mb_key_unmix(layout, layout->n_words, own);
    for (size_t place = 0; place < layout->order; place++) {
        context[place] = mb_key_token(layout, own, place);
    }
}

mb_status
mb_transitions_all(const mb_transitions *counts, size_t n_contexts, mb_interrupt *interrupt,
                   uint32_t *contexts, int64_t *starts, uint32_t *tokens, uint64_t *times)
{
    const mb_key_layout *layout = &counts->layout;
    size_t n_words = layout->n_words, row = 0, n = counts->n_runs > 0 ? counts->runs[0]->n : 0;
    for (size_t i = 0; i < n; i++) {
        const uint64_t *key = counts->runs[0]->keys + i * n_words;
        int begins = i == 0 || !mb_key_same_context(layout, key, key - n_words);
        if (begins && row < n_contexts) {
            read_context(layout, key, contexts + row * layout->order);
            starts[row++] = (int64_t)i;
        }
        tokens[i] = mb_key_token(layout, key, layout->order);
        times[i] = mb_run_count(counts->runs[0], i);
        MB_TRY(i % PIECE == 0 ? mb_ask(interrupt, (size_t)PAIR * PIECE) : MB_OK);
    }
    for (; row < n_contexts; row++) { /* borrowed keys have changed */
        memset(contexts + row * layout->order, 0, layout->order * sizeof(uint32_t));
        starts[row] = (int64_t)n;
    }
    starts[n_contexts] = (int64_t)n;
    return MB_OK;
}
