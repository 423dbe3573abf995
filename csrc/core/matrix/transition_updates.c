/* Transition counts: what is counted. */
#include "core/matrix/transitions.h"

#include "core/base/mem.h"
#include "core/matrix/ngram_sort.h"

#include <string.h>

#define KERNEL "core/matrix/ngram_kernel.h"
#include "core/base/instruction_sets.h"

enum { WORDS = 1 << 11 /* of the keys that are passed at once */ };
enum { TOKEN = 8, ROW = 32 /* nanoseconds of one */ };

/* An update on its way: what has been counted, and the partition of what comes next. */
typedef struct {
    mb_transitions counted;
    mb_partition partition;
} update;

static void
begin_update(update *u, const mb_transitions *counts)
{
    u->counted.layout = counts->layout;
    u->counted.n_tokens = counts->n_tokens;
}

static void
end_update(update *u)
{
    for (size_t i = 0; i < u->counted.n_runs; i++) {
        mb_run_free(u->counted.runs[i]);
    }
    mb_partition_end(&u->partition);
}

/* Counts what is in the partition, `total` observations. */
static mb_status
count_partition(update *u, uint64_t total, mb_interrupt *interrupt)
{
    mb_run *run;
    if (__builtin_add_overflow(u->counted.n_observed, total, &u->counted.n_observed)) {
        return MB_RANGE;
    }
    MB_TRY(mb_partition_count(&u->partition, total, interrupt, &run));
    mb_partition_end(&u->partition);
    if (run->n == 0) {
        mb_run_free(run);
        return MB_OK;
    }
    return mb_transitions_add_run(&u->counted, run, interrupt);
}

/* Moves what was counted into the counts. */
static mb_status
add_counted(mb_transitions *counts, update *u, mb_interrupt *interrupt)
{
    uint64_t n_observed;
    if (__builtin_add_overflow(counts->n_observed, u->counted.n_observed, &n_observed)) {
        return MB_RANGE;
    }
    MB_TRY(mb_transitions_compact(&u->counted, interrupt));
    if (u->counted.n_runs > 0) {
        mb_run *run = u->counted.runs[0];
        u->counted.n_runs = 0;
        MB_TRY(mb_transitions_add_run(counts, run, interrupt));
    }
    counts->n_observed = n_observed;
    return MB_OK;
}

/* ---- documents ------------------------------------------------------------------------ */

/* Appends tokens [n] to the window, of which *filled are there, and each full window, mixed, to
 * elements [n][n_words].  Returns how many tokens were good, *full of them with a full context. */
MB_INLINE size_t
keys_of_tokens(const mb_key_layout *layout, size_t n_words, size_t n, const int64_t *tokens,
               uint64_t n_tokens, uint64_t *window, size_t *filled, uint64_t *elements,
               size_t *full, int64_t *wrong)
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
        for (size_t w = 0; w < n_words; w++) { /* memcpy() would look at how long `keys` is */
            next[w] = key[w];
        }
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

/* The same where the window is full and keys are of one word: first all tokens are looked at, then
 * keys are made of what was seen.  0 where one of them is wrong. */
static int
keys_of_good_tokens(const mb_key_layout *layout, size_t n, const int64_t *tokens, uint64_t n_tokens,
                    uint64_t *window, uint64_t *keys)
{
    const size_t order = layout->order;
    uint32_t seen[MB_MAX_ORDER + WORDS];
    uint64_t wrong = 0;
    for (size_t i = 0; i < order; i++) {
        seen[i] = mb_key_token(layout, window, i + 1);
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t token = (uint64_t)tokens[i];
        seen[order + i] = (uint32_t)token;
        wrong |= token | (n_tokens - 1 - token); /* its first bit: negative, or too large */
    }
    if (wrong >> 63 != 0) {
        return 0;
    }
    CHOOSE(keys_of_ngrams, layout, n, seen, keys);
    for (size_t i = n > order ? n - order - 1 : 0; i < n; i++) {
        mb_key_append(layout, 1, seen[order + i], window);
    }
    return 1;
}

/* keys_of_tokens() at a cursor, WORDS / n_words of them at most. */
static mb_status
step_on(const update *u, const mb_document *documents, size_t n, cursor *c, uint64_t *keys,
        size_t *full, mb_token_fault *fault)
{
    if (n == 0) { /* there may be no tokens to point at */
        *full = 0;
        return MB_OK;
    }
    const mb_key_layout *layout = &u->counted.layout;
    const int64_t *tokens = documents[c->document].tokens + c->at;
    uint64_t n_tokens = u->counted.n_tokens, *window = c->window;
    size_t n_words = layout->n_words, good;
    if (n_words == 1 && c->filled == layout->order &&
        keys_of_good_tokens(layout, n, tokens, n_tokens, window, keys)) {
        c->at += n;
        *full = n;
        return MB_OK;
    }
    good = n_words == 1   ? keys_of_tokens(layout, 1, n, tokens, n_tokens, window, &c->filled, keys,
                                           full, &fault->value)
           : n_words == 2 ? keys_of_tokens(layout, 2, n, tokens, n_tokens, window, &c->filled, keys,
                                           full, &fault->value)
                          : keys_of_tokens(layout, n_words, n, tokens, n_tokens, window, &c->filled,
                                           keys, full, &fault->value);
    c->at += good;
    if (good < n) {
        fault->row = c->document;
        fault->position = c->at;
        return MB_INVALID;
    }
    return MB_OK;
}

/* Passes the keys of the next `left` tokens to the partition: to its histogram, or to be scattered. */
static mb_status
pass_ngrams(update *u, const mb_document *documents, size_t left, int scatters, cursor *c,
            mb_interrupt *interrupt, mb_token_fault *fault)
{
    size_t n_words = u->counted.layout.n_words;
    uint64_t keys[WORDS];
    while (left > 0) {
        size_t step = documents[c->document].n - c->at, full;
        step = step < WORDS / n_words ? step : WORDS / n_words;
        step = step < left ? step : left;
        if (step == 0) {
            *c = (cursor){.document = c->document + 1};
        }
        MB_TRY(step_on(u, documents, step, c, keys, &full, fault));
        if (scatters) {
            mb_partition_scatter(&u->partition, full, keys);
        } else {
            mb_partition_histogram(&u->partition, full, keys);
        }
        left -= step;
        MB_TRY(mb_ask(interrupt, TOKEN * (step + 1)));
    }
    return MB_OK;
}

static mb_status
count_tokens(size_t n_documents, const mb_document *documents, size_t *n)
{
    *n = 0;
    for (size_t i = 0; i < n_documents; i++) {
        if (__builtin_add_overflow(*n, documents[i].n, n)) {
            return MB_RANGE;
        }
    }
    return MB_OK;
}

/* Counts the next `many` tokens. */
static mb_status
count_batch(update *u, const mb_document *documents, size_t many, cursor *c,
            mb_interrupt *interrupt, mb_token_fault *fault)
{
    const mb_key_layout *layout = &u->counted.layout;
    cursor first = *c;
    mb_partition_begin(layout, layout->n_words, many, &u->partition);
    MB_TRY(pass_ngrams(u, documents, many, 0, &first, interrupt, fault));
    MB_TRY(mb_partition_allocate(&u->partition));
    MB_TRY(pass_ngrams(u, documents, many, 1, c, interrupt, fault));
    fault->row = MB_CHANGED;
    return count_partition(u, u->partition.n, interrupt);
}

mb_status
mb_transitions_update(mb_transitions *counts, size_t n_documents, const mb_document *documents,
                      mb_interrupt *interrupt, mb_token_fault *fault)
{
    size_t most = MB_PARTITION_LIMIT / counts->layout.n_words, left;
    cursor next = {0};
    MB_TRY(count_tokens(n_documents, documents, &left));
    update *u = mb_calloc(1, sizeof(update));
    if (u == NULL) {
        return MB_NOMEM;
    }
    mb_status status = MB_OK;
    begin_update(u, counts);
    while (status == MB_OK && left > 0) {
        size_t many = left < most ? left : most;
        status = count_batch(u, documents, many, &next, interrupt, fault);
        left -= many;
    }
    if (status == MB_OK) {
        status = add_counted(counts, u, interrupt);
    }
    end_update(u);
    mb_free(u);
    return status;
}

/* ---- rows ------------------------------------------------------------------------------- */

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

/* Passes rows [n] to the partition, as pass_ngrams() does; *total becomes their observations. */
static mb_status
pass_rows(const mb_transitions *counts, size_t first, size_t n, const int64_t *contexts,
          const int64_t *tokens, const int64_t *times, mb_partition *p, uint64_t *total,
          mb_interrupt *interrupt, mb_token_fault *fault)
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
        if (many > 0 && p->elements == NULL) {
            mb_partition_histogram(p, 1, element);
        } else if (many > 0) {
            mb_partition_scatter(p, 1, element);
        }
        MB_TRY(mb_ask(interrupt, ROW));
    }
    return MB_OK;
}

static mb_status
count_given_rows(const mb_transitions *counts, size_t first, size_t n, const int64_t *contexts,
                 const int64_t *tokens, const int64_t *times, update *u, mb_interrupt *interrupt,
                 mb_token_fault *fault)
{
    mb_partition *p = &u->partition;
    uint64_t total;
    mb_partition_begin(&u->counted.layout, counts->layout.n_words + 1, n, p);
    MB_TRY(pass_rows(counts, first, n, contexts, tokens, times, p, &total, interrupt, fault));
    MB_TRY(mb_partition_allocate(p));
    MB_TRY(pass_rows(counts, first, n, contexts, tokens, times, p, &total, interrupt, fault));
    fault->row = MB_CHANGED;
    return count_partition(u, total, interrupt);
}

mb_status
mb_transitions_update_rows(mb_transitions *counts, size_t n, const int64_t *contexts,
                           const int64_t *tokens, const int64_t *times, mb_interrupt *interrupt,
                           mb_token_fault *fault)
{
    size_t most = MB_PARTITION_LIMIT / (counts->layout.n_words + 1);
    update *u = mb_calloc(1, sizeof(update));
    if (u == NULL) {
        return MB_NOMEM;
    }
    mb_status status = MB_OK;
    begin_update(u, counts);
    for (size_t at = 0; at < n && status == MB_OK; at += most) {
        size_t many = n - at < most ? n - at : most;
        status = count_given_rows(counts, at, many, contexts, tokens, times, u, interrupt, fault);
    }
    if (status == MB_OK) {
        status = add_counted(counts, u, interrupt);
    }
    end_update(u);
    mb_free(u);
    return status;
}
