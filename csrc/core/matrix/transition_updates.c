/* Transition counts: what is counted. */
#include "core/matrix/transitions.h"

#include "core/base/mem.h"
#include "core/matrix/ngram_sort.h"
#include "core/matrix/transition_walk.h"

#include <string.h>

enum { ROW = 32 /* nanoseconds of one */ };

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
        return MB_RANGE; /* never: within a partition it was found, and two are 2 GB of rows */
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
count_batch(update *u, const mb_document *documents, size_t many, mb_walk *walk,
            mb_interrupt *interrupt, mb_token_fault *fault)
{
    const mb_key_layout *layout = &u->counted.layout;
    const uint64_t n_tokens = u->counted.n_tokens;
    mb_walk first = *walk;
    mb_partition_begin(layout, layout->n_words, many, &u->partition);
    MB_TRY(mb_walk_on(&first, n_tokens, documents, many, &u->partition, interrupt, fault));
    MB_TRY(mb_partition_allocate(&u->partition));
    MB_TRY(mb_walk_on(walk, n_tokens, documents, many, &u->partition, interrupt, fault));
    fault->row = MB_CHANGED;
    return count_partition(u, u->partition.n, interrupt);
}

mb_status
mb_transitions_update(mb_transitions *counts, size_t n_documents, const mb_document *documents,
                      mb_interrupt *interrupt, mb_token_fault *fault)
{
    size_t most = MB_PARTITION_LIMIT / counts->layout.n_words, left;
    mb_walk next = {0};
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
