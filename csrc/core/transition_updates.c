/* Transition counts: what is counted. */
#include "transitions.h"

#include "mem.h"
#include "ngram_sort.h"

#include <string.h>

enum { PIECE = 1 << 20, WORDS = 1 << 11 /* of the keys that are shown at once */ };

/* An update on its way: what has been counted, and the deal of what comes next. */
typedef struct {
    mb_transitions counted;
    mb_deal deal;
    const mb_interrupt *interrupt;
} update;

static update *
new_update(const mb_transitions *counts, const mb_interrupt *interrupt)
{
    update *u = mb_calloc(1, sizeof(update));
    if (u != NULL) {
        u->counted.layout = counts->layout;
        u->interrupt = interrupt;
    }
    return u;
}

static void
free_update(update *u)
{
    for (size_t i = 0; u != NULL && i < u->counted.n_runs; i++) {
        mb_run_free(u->counted.runs[i]);
    }
    if (u != NULL) {
        mb_deal_end(&u->deal);
        mb_free(u);
    }
}

/* Counts what was dealt out, `total` observations. */
static mb_status
count_deal(update *u, uint64_t total)
{
    mb_run *run;
    if (u->deal.n == 0) {
        return MB_OK;
    }
    if (__builtin_add_overflow(u->counted.n_observed, total, &u->counted.n_observed)) {
        return MB_RANGE;
    }
    MB_TRY(mb_deal_count(&u->deal, total, u->interrupt, &run));
    return mb_transitions_add_run(&u->counted, run, u->interrupt);
}

/* Moves what was counted into the counts. */
static mb_status
commit(mb_transitions *counts, update *u)
{
    uint64_t n_observed;
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
    const mb_key_layout own = *layout; /* and a key of its own: elements cannot change them */
    uint64_t key[MB_MAX_WORDS], *next = elements;
    size_t i = 0, missing = own.order - *filled;
    memcpy(key, window, n_words * sizeof(uint64_t));
    for (; i < n; i++) {
        int64_t token = tokens[i];
        if ((uint64_t)token >= n_tokens) {
            *wrong = token;
            break;
        }
        mb_key_append(&own, n_words, (uint32_t)token, key);
        if (missing > 0) {
            missing--;
            continue;
        }
        memcpy(next, key, n_words * sizeof(uint64_t));
        mb_key_mix(&own, n_words, next);
        next += n_words;
    }
    memcpy(window, key, n_words * sizeof(uint64_t));
    *filled = own.order - missing;
    *full = (size_t)(next - elements) / n_words;
    return i;
}

/* Where a walk through documents is: the tokens before fill the window. */
typedef struct {
    size_t document, at, filled;
    uint64_t window[MB_MAX_WORDS];
} cursor;

/* Shows the keys of the documents from a cursor on to the deal, `most` at most, to be measured or
 * (where it has a place for them) taken. */
static mb_status
walk(const mb_document *documents, size_t n_documents, uint64_t n_tokens, size_t most, update *u,
     cursor *c, mb_token_fault *fault)
{
    const mb_key_layout *layout = &u->counted.layout;
    size_t n_words = layout->n_words, n = 0, since = 0;
    uint64_t keys[WORDS];
    while (c->document < n_documents && n < most) {
        const mb_document *document = documents + c->document;
        size_t left = document->n - c->at, step = WORDS / n_words, full, good;
        step = left < step ? left : step;
        step = most - n < step ? most - n : step;
        const int64_t *tokens = document->tokens + c->at;
        good = n_words == 1 ? take_tokens(layout, 1, step, tokens, n_tokens, c->window, &c->filled,
                                          keys, &full, &fault->value)
               : n_words == 2 ? take_tokens(layout, 2, step, tokens, n_tokens, c->window,
                                            &c->filled, keys, &full, &fault->value)
                              : take_tokens(layout, n_words, step, tokens, n_tokens, c->window,
                                            &c->filled, keys, &full, &fault->value);
        c->at += good;
        if (good < step) {
            fault->row = c->document;
            fault->position = c->at;
            return MB_INVALID;
        }
        if (u->deal.elements == NULL) {
            mb_deal_measure(&u->deal, full, keys);
        } else {
            mb_deal_take(&u->deal, full, keys);
        }
        n += full;
        since += step + 1;
        if (c->at == document->n && ++c->document < n_documents) {
            c->at = 0;
            c->filled = 0;
        }
        if (since >= PIECE) {
            since = 0;
            MB_TRY(mb_interrupted(u->interrupt));
        }
    }
    return MB_OK;
}

/* Counts `most` keys from a cursor on. */
static mb_status
count_documents(const mb_document *documents, size_t n_documents, uint64_t n_tokens, size_t most,
                update *u, cursor *now, mb_token_fault *fault)
{
    cursor first = *now;
    MB_TRY(walk(documents, n_documents, n_tokens, most, u, now, fault));
    *now = first;
    MB_TRY(mb_deal_place(&u->deal));
    MB_TRY(walk(documents, n_documents, n_tokens, most, u, now, fault));
    fault->row = MB_CHANGED;
    return count_deal(u, u->deal.n);
}

mb_status
mb_transitions_update(mb_transitions *counts, size_t n_documents, const mb_document *documents,
                      int continued, const mb_interrupt *interrupt, mb_token_fault *fault)
{
    size_t left = 0, most = MB_SORT_LIMIT / counts->layout.n_words;
    for (size_t i = 0; i < n_documents; i++) {
        if (__builtin_add_overflow(left, documents[i].n, &left)) {
            return MB_RANGE;
        }
    }
    update *u = new_update(counts, interrupt);
    mb_status status = u == NULL ? MB_NOMEM : MB_OK;
    cursor now = {0};
    if (continued) {
        now.filled = counts->n_latest;
        memcpy(now.window, counts->latest, sizeof(now.window));
    }
    while (status == MB_OK && now.document < n_documents) {
        mb_deal_begin(&u->counted.layout, counts->layout.n_words, left < most ? left : most,
                      &u->deal);
        status = count_documents(documents, n_documents, counts->n_tokens, most, u, &now, fault);
        left -= u->deal.n;
        mb_deal_end(&u->deal);
    }
    if (status == MB_OK) {
        status = commit(counts, u);
    }
    if (status == MB_OK && n_documents > 0) {
        memcpy(counts->latest, now.window, sizeof(now.window));
        counts->n_latest = now.filled;
    }
    free_update(u);
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

/* Shows rows [n] to the deal, as walk() does; *total becomes their observations. */
static mb_status
walk_rows(const mb_transitions *counts, size_t first, size_t n, const int64_t *contexts,
          const int64_t *tokens, const int64_t *times, update *u, uint64_t *total,
          mb_token_fault *fault)
{
    size_t order = counts->layout.order, n_words = counts->layout.n_words;
    *total = 0;
    for (size_t i = first; i < first + n; i++) {
        uint64_t element[MB_MAX_WORDS + 1];
        int64_t many = times[i];
        fault->row = i;
        MB_TRY(mb_key_read(counts, contexts + i * order, tokens[i], element, fault));
        if (many < 0) {
            fault->position = order + 1;
            fault->value = many;
            return MB_INVALID;
        }
        if (__builtin_add_overflow(*total, (uint64_t)many, total)) {
            return MB_RANGE;
        }
        element[n_words] = (uint64_t)many;
        if (many > 0 && u->deal.elements == NULL) {
            mb_deal_measure(&u->deal, 1, element);
        } else if (many > 0) {
            mb_deal_take(&u->deal, 1, element);
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
    size_t stride = counts->layout.n_words + 1, most = MB_SORT_LIMIT / stride;
    update *u = new_update(counts, interrupt);
    mb_status status = u == NULL ? MB_NOMEM : MB_OK;
    for (size_t at = 0; at < n && status == MB_OK; at += most) {
        size_t many = n - at < most ? n - at : most;
        uint64_t total;
        mb_deal_begin(&u->counted.layout, stride, many, &u->deal);
        status = walk_rows(counts, at, many, contexts, tokens, times, u, &total, fault);
        if (status == MB_OK) {
            status = mb_deal_place(&u->deal);
        }
        if (status == MB_OK) {
            status = walk_rows(counts, at, many, contexts, tokens, times, u, &total, fault);
        }
        if (status == MB_OK) {
            fault->row = MB_CHANGED;
            status = count_deal(u, total);
        }
        mb_deal_end(&u->deal);
    }
    if (status == MB_OK) {
        status = commit(counts, u);
    }
    free_update(u);
    return status;
}
