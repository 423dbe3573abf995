/* Transition counts: questions. */
#include "transitions.h"

#include <string.h>

enum { PIECE = 1 << 18, BLOCK = 64 /* keys that are looked for at once */ };

/* How often each of `many` keys was seen; all of them ask for memory before the first waits. */
static void
look_up(const mb_transitions *counts, size_t many, const uint64_t *keys, uint64_t *out)
{
    const mb_key_layout *layout = &counts->layout;
    for (size_t i = 0; i < many; i++) {
        out[i] = 0;
    }
    for (size_t r = 0; r < counts->n_runs; r++) {
        const mb_run *run = counts->runs[r];
        for (size_t i = 0; i < many; i++) {
            mb_run_prefetch(run, keys + i * layout->n_words);
        }
        for (size_t i = 0; i < many; i++) {
            mb_run_prefetch_keys(layout, run, keys + i * layout->n_words);
        }
        for (size_t i = 0; i < many; i++) {
            const uint64_t *key = keys + i * layout->n_words;
            size_t at = mb_run_search(layout, run, key);
            if (at < run->n &&
                mb_key_equal(layout->n_words, run->keys + at * layout->n_words, key)) {
                out[i] += mb_run_count(run, at);
            }
        }
    }
}

mb_status
mb_transitions_counts(const mb_transitions *counts, size_t n, const int64_t *contexts,
                      const int64_t *tokens, const mb_interrupt *interrupt, uint64_t *out,
                      mb_token_fault *fault)
{
    size_t order = counts->layout.order, n_words = counts->layout.n_words;
    uint64_t keys[BLOCK * MB_MAX_WORDS];
    for (size_t at = 0; at < n; at += BLOCK) {
        size_t many = n - at < BLOCK ? n - at : BLOCK;
        for (size_t i = 0; i < many; i++) {
            fault->row = at + i;
            MB_TRY(mb_key_read(counts, contexts + (at + i) * order, tokens[at + i],
                               keys + i * n_words, fault));
        }
        look_up(counts, many, keys, out + at);
        if (at % (PIECE / 8) == 0) {
            MB_TRY(mb_interrupted(interrupt));
        }
    }
    return MB_OK;
}

/* The places of a row in a run, from *low up to *high, which is not of it.  `key` is the first
 * that the row can have: its token is 0. */
static void
find_row(const mb_key_layout *layout, const mb_run *run, const uint64_t *key, size_t *low,
         size_t *high)
{
    size_t n_words = layout->n_words;
    uint64_t last[MB_MAX_WORDS];
    for (size_t w = 0; w < n_words; w++) {
        last[w] = key[w] | ~layout->of_context[w];
    }
    *low = mb_run_search(layout, run, key);
    *high = mb_run_search(layout, run, last);
    /* a key is all ones after its context where it has no padding */
    *high += *high < run->n && mb_key_equal(n_words, run->keys + *high * n_words, last);
}

mb_status
mb_transitions_totals(const mb_transitions *counts, size_t n, const int64_t *contexts,
                      const mb_interrupt *interrupt, uint64_t *out, mb_token_fault *fault)
{
    const mb_key_layout *layout = &counts->layout;
    for (size_t i = 0; i < n; i++) {
        uint64_t key[MB_MAX_WORDS];
        fault->row = i;
        MB_TRY(mb_key_read(counts, contexts + i * layout->order, 0, key, fault));
        out[i] = 0;
        for (size_t r = 0; r < counts->n_runs; r++) {
            size_t low, high;
            find_row(layout, counts->runs[r], key, &low, &high);
            out[i] += mb_run_sum(counts->runs[r], low, high);
        }
        if (i % (PIECE / 16) == 0) {
            MB_TRY(mb_interrupted(interrupt));
        }
    }
    return MB_OK;
}

/* Reads the row whose first key is `key`, merged from all runs: returns how many tokens it has,
 * `most` of which at most go to tokens and times, unless those are NULL. */
static size_t
read_row(const mb_transitions *counts, const uint64_t *key, size_t most, uint32_t *tokens,
         uint64_t *times)
{
    const mb_key_layout *layout = &counts->layout;
    size_t n_words = layout->n_words, n = 0, next[MB_MAX_RUNS], end[MB_MAX_RUNS];
    for (size_t r = 0; r < counts->n_runs; r++) {
        find_row(layout, counts->runs[r], key, next + r, end + r);
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
            return n;
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
    }
}

mb_status
mb_transitions_rows(const mb_transitions *counts, size_t n, const int64_t *contexts,
                    const mb_interrupt *interrupt, int64_t *starts, uint32_t *tokens,
                    uint64_t *times, mb_token_fault *fault)
{
    size_t since = 0;
    int64_t start = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t key[MB_MAX_WORDS];
        fault->row = i;
        MB_TRY(mb_key_read(counts, contexts + i * counts->layout.order, 0, key, fault));
        size_t many;
        if (tokens == NULL) {
            many = read_row(counts, key, 0, NULL, NULL);
            starts[i] = start;
            start += (int64_t)many;
            starts[i + 1] = start;
        } else {
            size_t most = (size_t)(starts[i + 1] - starts[i]);
            many = read_row(counts, key, most, tokens + starts[i], times + starts[i]);
            for (size_t rest = many; rest < most; rest++) { /* borrowed keys have changed */
                tokens[starts[i] + (int64_t)rest] = 0;
                times[starts[i] + (int64_t)rest] = 0;
            }
        }
        since += many + 1;
        if (since >= PIECE) {
            since = 0;
            MB_TRY(mb_interrupted(interrupt));
        }
    }
    return MB_OK;
}

mb_status
mb_transitions_n_contexts(const mb_transitions *counts, const mb_interrupt *interrupt, size_t *n)
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
        MB_TRY(i % PIECE == PIECE - 1 ? mb_interrupted(interrupt) : MB_OK);
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
mb_transitions_all(const mb_transitions *counts, size_t n_contexts, const mb_interrupt *interrupt,
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
        MB_TRY(i % PIECE == PIECE - 1 ? mb_interrupted(interrupt) : MB_OK);
    }
    for (; row < n_contexts; row++) { /* borrowed keys have changed */
        memset(contexts + row * layout->order, 0, layout->order * sizeof(uint32_t));
        starts[row] = (int64_t)n;
    }
    starts[n_contexts] = (int64_t)n;
    return MB_OK;
}
