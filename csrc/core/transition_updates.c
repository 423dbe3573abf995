/* Transition counts: what is counted. */
#include "transitions.h"

#include "mem.h"
#include "ngram_sort.h"

#include <string.h>

enum { PIECE = 1 << 20 };

/* An update on its way: what has been counted, and keys that wait to be. */
typedef struct {
    mb_transitions counted;
    size_t stride, n, most;
    uint64_t *elements; /* [most][stride] */
    const mb_interrupt *interrupt;
} update;

static mb_status
begin_update(const mb_transitions *counts, size_t n, size_t stride, const mb_interrupt *interrupt,
             update *u)
{
    size_t most = MB_SORT_LIMIT / stride;
    *u = (update){.stride = stride, .most = n < most ? n : most, .interrupt = interrupt};
    u->counted.layout = counts->layout;
    u->elements = mb_calloc(u->most, stride * sizeof(uint64_t));
    return u->elements == NULL ? MB_NOMEM : MB_OK;
}

static void
end_update(update *u)
{
    for (size_t i = 0; i < u->counted.n_runs; i++) {
        mb_run_free(u->counted.runs[i]);
    }
    mb_free(u->elements);
}

/* Counts the keys that wait.  Large memory is slow to come: the sorted keys become the run's. */
static mb_status
count_waiting(update *u)
{
    const mb_key_layout *layout = &u->counted.layout;
    if (u->n == 0) {
        return MB_OK;
    }
    uint64_t *sorted = mb_calloc(u->n, u->stride * sizeof(uint64_t)), *times = u->elements;
    if (sorted == NULL) {
        return MB_NOMEM;
    }
    size_t n_different;
    mb_status status = mb_ngram_count(layout, u->n, u->stride, u->elements, sorted, times,
                                      u->interrupt, &n_different);
    if (status != MB_OK) {
        mb_free(sorted);
        return status;
    }
    mb_run *run;
    MB_TRY(mb_run_new(layout, n_different, sorted, times, u->interrupt, &run));
    u->n = 0;
    return mb_transitions_add_run(&u->counted, run, u->interrupt);
}

/* Moves what was counted into the counts. */
static mb_status
commit(mb_transitions *counts, update *u)
{
    uint64_t n_observed;
    MB_TRY(count_waiting(u));
    if (__builtin_add_overflow(counts->n_observed, u->counted.n_observed, &n_observed)) {
        return MB_RANGE;
    }
    MB_TRY(mb_transitions_settle(&u->counted, u->interrupt));
    if (u->counted.n_runs > 0) {
        mb_run *run = u->counted.runs[0];
        u->counted.n_runs = 0;
        MB_TRY(mb_transitions_add_run(counts, run, u->interrupt));
    }
    counts->n_observed = n_observed;
    return MB_OK;
}

/* Appends tokens [n] to the window, of which *filled are there, and each full window, mixed, to
 * elements [n][n_words].  Returns how many tokens were good, *full of them with a full context. */
MB_INLINE size_t
take_tokens(const mb_key_layout *layout, size_t n_words, size_t n, const int64_t *tokens,
            uint64_t n_tokens, uint64_t *window, size_t *filled, uint64_t *elements, size_t *full,
            int64_t *wrong)
{
    size_t i = 0;
    *full = 0;
    for (; i < n; i++) {
        int64_t token = tokens[i];
        if ((uint64_t)token >= n_tokens) {
            *wrong = token;
            break;
        }
        mb_key_append(layout, n_words, (uint32_t)token, window);
        if (*filled < layout->order) {
            ++*filled;
            continue;
        }
        uint64_t *key = elements + (*full)++ * n_words;
        memcpy(key, window, n_words * sizeof(uint64_t));
        mb_key_mix(layout, n_words, key);
    }
    return i;
}

/* Counts the tokens of a document, whose window is *filled. */
static mb_status
take_document(const mb_document *document, uint64_t n_tokens, update *u, uint64_t *window,
              size_t *filled, mb_token_fault *fault)
{
    const mb_key_layout *layout = &u->counted.layout;
    for (size_t at = 0; at < document->n;) {
        size_t n = document->n - at < PIECE ? document->n - at : PIECE;
        n = u->most - u->n < n ? u->most - u->n : n;
        uint64_t *to = u->elements + u->n * u->stride;
        const int64_t *tokens = document->tokens + at;
        size_t full, good;
        good = layout->n_words == 1   ? take_tokens(layout, 1, n, tokens, n_tokens, window, filled,
                                                    to, &full, &fault->value)
               : layout->n_words == 2 ? take_tokens(layout, 2, n, tokens, n_tokens, window, filled,
                                                    to, &full, &fault->value)
                                      : take_tokens(layout, layout->n_words, n, tokens, n_tokens,
                                                    window, filled, to, &full, &fault->value);
        if (good < n) {
            fault->position = at + good;
            return MB_INVALID;
        }
        at += n;
        u->n += full;
        u->counted.n_observed += full;
        if (u->n == u->most) {
            MB_TRY(count_waiting(u));
        }
        MB_TRY(n == PIECE ? mb_interrupted(u->interrupt) : MB_OK);
    }
    return MB_OK;
}

mb_status
mb_transitions_update(mb_transitions *counts, size_t n_documents, const mb_document *documents,
                      int continued, const mb_interrupt *interrupt, mb_token_fault *fault)
{
    size_t total = 0, filled = continued ? counts->n_latest : 0;
    for (size_t i = 0; i < n_documents; i++) {
        if (__builtin_add_overflow(total, documents[i].n, &total)) {
            return MB_RANGE;
        }
    }
    uint64_t window[MB_MAX_WORDS] = {0};
    if (continued) {
        memcpy(window, counts->latest, sizeof(window));
    }
    update u;
    mb_status status = begin_update(counts, total, counts->layout.n_words, interrupt, &u);
    for (size_t i = 0; i < n_documents && status == MB_OK; i++) {
        filled = i > 0 ? 0 : filled;
        fault->row = i;
        status = take_document(documents + i, counts->n_tokens, &u, window, &filled, fault);
    }
    if (status == MB_OK) {
        status = commit(counts, &u);
    }
    if (status == MB_OK && n_documents > 0) {
        memcpy(counts->latest, window, sizeof(window));
        counts->n_latest = filled;
    }
    end_update(&u);
    return status;
}

mb_status
mb_key_read(const mb_transitions *counts, const int64_t *context, int64_t token, uint64_t *key,
            mb_token_fault *fault)
{
    const mb_key_layout *layout = &counts->layout;
    memset(key, 0, layout->n_words * sizeof(uint64_t));
    for (size_t place = 0; place <= layout->order; place++) {
        int64_t next = place < layout->order ? context[place] : token;
        if ((uint64_t)next >= counts->n_tokens) {
            fault->position = place;
            fault->value = next;
            return MB_INVALID;
        }
        mb_key_append(layout, layout->n_words, (uint32_t)next, key);
    }
    mb_key_mix(layout, layout->n_words, key);
    return MB_OK;
}

static mb_status
take_rows(const mb_transitions *counts, size_t n, const int64_t *contexts, const int64_t *tokens,
          const int64_t *times, update *u, mb_token_fault *fault)
{
    size_t order = counts->layout.order;
    for (size_t i = 0; i < n; i++) {
        uint64_t *key = u->elements + u->n * u->stride;
        int64_t many = times[i];
        fault->row = i;
        MB_TRY(mb_key_read(counts, contexts + i * order, tokens[i], key, fault));
        if (many < 0) {
            fault->position = order + 1;
            fault->value = many;
            return MB_INVALID;
        }
        if (many == 0) {
            continue;
        }
        if (__builtin_add_overflow(u->counted.n_observed, (uint64_t)many, &u->counted.n_observed)) {
            return MB_RANGE;
        }
        key[u->stride - 1] = (uint64_t)many;
        u->n++;
        if (u->n == u->most) {
            MB_TRY(count_waiting(u));
        }
        MB_TRY(i % (PIECE / 8) == 0 ? mb_interrupted(u->interrupt) : MB_OK);
    }
    return MB_OK;
}

mb_status
mb_transitions_update_rows(mb_transitions *counts, size_t n, const int64_t *contexts,
                           const int64_t *tokens, const int64_t *times,
                           const mb_interrupt *interrupt, mb_token_fault *fault)
{
    update u;
    mb_status status = begin_update(counts, n, counts->layout.n_words + 1, interrupt, &u);
    if (status == MB_OK) {
        status = take_rows(counts, n, contexts, tokens, times, &u, fault);
    }
    if (status == MB_OK) {
        status = commit(counts, &u);
    }
    end_update(&u);
    return status;
}
