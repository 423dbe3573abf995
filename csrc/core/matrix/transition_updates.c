/* Transition counts: what is counted. */
#include "core/matrix/transitions.h"

#include "core/base/mem.h"
#include "core/matrix/ngram_sort.h"

#include <string.h>

enum { WORDS = 1 << 11 /* of the keys that are shown at once */ };
enum { TOKEN = 8, ROW = 32 /* nanoseconds of one */ };

/* An update on its way: what has been counted, and the deal of what comes next. */
typedef struct {
    mb_transitions counted;
    mb_deal deal;
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
    mb_deal_end(&u->deal);
}

/* Adds what a deal has counted, `total` observations. */
static mb_status
end_deal(update *u, uint64_t total, mb_interrupt *interrupt)
{
    mb_run *run;
    if (__builtin_add_overflow(u->counted.n_observed, total, &u->counted.n_observed)) {
        return MB_RANGE;
    }
    MB_TRY(mb_deal_finish(&u->deal, interrupt, &run));
    mb_deal_end(&u->deal);
    if (run->n == 0) {
        mb_run_free(run);
        return MB_OK;
    }
    return mb_transitions_add_run(&u->counted, run, interrupt);
}

/* Moves what was counted into the counts. */
static mb_status
commit(mb_transitions *counts, update *u, mb_interrupt *interrupt)
{
    uint64_t n_observed;
    if (__builtin_add_overflow(counts->n_observed, u->counted.n_observed, &n_observed)) {
        return MB_RANGE;
    }
    MB_TRY(mb_transitions_settle(&u->counted, interrupt));
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

/* The keys, mixed, of tokens [order + n] that each fit into a key of one word. */
MB_CLONES static void
make_keys(const mb_key_layout *layout, size_t n, const uint32_t *tokens, uint64_t *keys)
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

/* Where a walk through documents is: the tokens before fill the window. */
typedef struct {
    size_t document, at, filled;
    uint64_t window[MB_MAX_WORDS];
} cursor;

/* Some tokens of the documents: where they begin, and the walk through them. */
typedef struct {
    size_t n;
    cursor first, now;
} section;

struct mb_update {
    update of;
    size_t n_documents;
    const mb_document *documents;
    cursor next; /* where the tokens begin that no section has */
    size_t n_parts;
    section *parts; /* [n_parts] */
};

/* The same where the window is full and keys are of one word: first all tokens are looked at, then
 * keys are made of what was seen.  0 where one of them is wrong. */
static int
take_good_tokens(const mb_key_layout *layout, size_t n, const int64_t *tokens, uint64_t n_tokens,
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
    make_keys(layout, n, seen, keys);
    for (size_t i = n > order ? n - order - 1 : 0; i < n; i++) {
        mb_key_append(layout, 1, seen[order + i], window);
    }
    return 1;
}

/* take_tokens() at a cursor, WORDS / n_words of them at most. */
static mb_status
step_on(const mb_update *u, size_t n, cursor *c, uint64_t *keys, size_t *full,
        mb_token_fault *fault)
{
    if (n == 0) { /* there may be no tokens to point at */
        *full = 0;
        return MB_OK;
    }
    const mb_key_layout *layout = &u->of.counted.layout;
    const int64_t *tokens = u->documents[c->document].tokens + c->at;
    uint64_t n_tokens = u->of.counted.n_tokens, *window = c->window;
    size_t n_words = layout->n_words, good;
    if (n_words == 1 && c->filled == layout->order &&
        take_good_tokens(layout, n, tokens, n_tokens, window, keys)) {
        c->at += n;
        *full = n;
        return MB_OK;
    }
    good = n_words == 1   ? take_tokens(layout, 1, n, tokens, n_tokens, window, &c->filled, keys,
                                        full, &fault->value)
           : n_words == 2 ? take_tokens(layout, 2, n, tokens, n_tokens, window, &c->filled, keys,
                                        full, &fault->value)
                          : take_tokens(layout, n_words, n, tokens, n_tokens, window, &c->filled,
                                        keys, full, &fault->value);
    c->at += good;
    if (good < n) {
        fault->row = c->document;
        fault->position = c->at;
        return MB_INVALID;
    }
    return MB_OK;
}

static void
go_to_next_document(cursor *c)
{
    c->document++;
    c->at = 0;
    c->filled = 0;
}

/* Fills the window of a cursor with the tokens before it. */
static mb_status
look_back(const mb_update *u, cursor *c, mb_token_fault *fault)
{
    size_t order = u->of.counted.layout.order, back = c->at < order ? c->at : order, none;
    uint64_t key[MB_MAX_WORDS];
    c->at -= back;
    c->filled = 0;
    return step_on(u, back, c, key, &none, fault);
}

/* Shows the keys of a part to the deal, to be measured or taken. */
static mb_status
walk(mb_update *u, size_t part, int take, mb_interrupt *interrupt, mb_token_fault *fault)
{
    section *s = u->parts + part;
    size_t n_words = u->of.counted.layout.n_words, left = s->n;
    uint64_t keys[WORDS];
    cursor now = s->first;
    MB_TRY(part > 0 && u->n_documents > 0 ? look_back(u, &now, fault) : MB_OK);
    while (left > 0) {
        size_t step = u->documents[now.document].n - now.at, full;
        step = step < WORDS / n_words ? step : WORDS / n_words;
        step = step < left ? step : left;
        if (step == 0) {
            go_to_next_document(&now);
        }
        MB_TRY(step_on(u, step, &now, keys, &full, fault));
        if (take) {
            mb_deal_take(&u->of.deal, part, full, keys);
        } else {
            mb_deal_measure(&u->of.deal, part, full, keys);
        }
        left -= step;
        MB_TRY(mb_ask(interrupt, TOKEN * (step + 1)));
    }
    s->now = now;
    return MB_OK;
}

/* Gives each part about as many of the next `many` tokens. */
static void
divide(mb_update *u, size_t many)
{
    cursor c = u->next;
    for (size_t i = 0; i < u->n_parts; i++) {
        section *part = u->parts + i;
        size_t left = part->n = many / u->n_parts + (i < many % u->n_parts);
        part->first = c;
        while (left > 0) {
            size_t step = u->documents[c.document].n - c.at;
            step = step < left ? step : left;
            c.at += step;
            left -= step;
            if (step == 0) {
                go_to_next_document(&c);
            }
        }
    }
}

static mb_status
count_tokens(const mb_update *u, size_t *n)
{
    *n = 0;
    for (size_t i = 0; i < u->n_documents; i++) {
        if (__builtin_add_overflow(*n, u->documents[i].n, n)) {
            return MB_RANGE;
        }
    }
    return MB_OK;
}

/* Begins to count the next `many` tokens. */
static mb_status
begin_section(mb_update *u, size_t many)
{
    const mb_key_layout *layout = &u->of.counted.layout;
    divide(u, many);
    return mb_deal_begin(layout, layout->n_words, many, u->n_parts, &u->of.deal);
}

static mb_status
end_section(mb_update *u, mb_interrupt *interrupt)
{
    u->next = u->parts[u->n_parts - 1].now;
    return end_deal(&u->of, u->of.deal.n, interrupt);
}

static mb_update *
new_update(const mb_transitions *counts, size_t n_documents, const mb_document *documents,
           size_t n_parts)
{
    mb_update *u = mb_calloc(1, sizeof(mb_update));
    section *parts = mb_calloc(n_parts, sizeof(section));
    if (u == NULL || parts == NULL) {
        mb_free(u);
        mb_free(parts);
        u = NULL;
    } else {
        begin_update(&u->of, counts);
        u->parts = parts;
        u->n_documents = n_documents;
        u->documents = documents;
        u->n_parts = n_parts;
    }
    return u;
}

void
mb_update_free(mb_update *u)
{
    if (u != NULL) {
        end_update(&u->of);
        mb_free(u->parts);
        mb_free(u);
    }
}

mb_status
mb_update_new(const mb_transitions *counts, size_t n_documents, const mb_document *documents,
              size_t n_parts, mb_update **out)
{
    mb_update *u = new_update(counts, n_documents, documents, n_parts);
    size_t n;
    mb_status status = u == NULL ? MB_NOMEM : count_tokens(u, &n);
    if (status == MB_OK) {
        status = n > MB_DEAL_LIMIT ? MB_RANGE : begin_section(u, n);
    }
    if (status == MB_OK) {
        *out = u;
    } else {
        mb_update_free(u);
    }
    return status;
}

mb_status
mb_update_step(mb_update *u, mb_update_steps step, size_t part, mb_interrupt *interrupt,
               mb_token_fault *fault)
{
    return step == MB_COUNT ? mb_deal_count(&u->of.deal, part, interrupt)
                            : walk(u, part, step == MB_PLACE, interrupt, fault);
}

mb_status
mb_update_end_step(mb_update *u, mb_update_steps step, mb_token_fault *fault)
{
    fault->row = MB_CHANGED;
    return step == MB_MEASURE ? mb_deal_place(&u->of.deal)
           : step == MB_PLACE ? mb_deal_begin_count(&u->of.deal, u->of.deal.n)
                              : MB_OK;
}

mb_status
mb_update_finish(mb_update *u, mb_transitions *counts, mb_interrupt *interrupt)
{
    MB_TRY(end_section(u, interrupt));
    return commit(counts, &u->of, interrupt);
}

/* Counts the next `many` tokens in one part. */
static mb_status
count_section(mb_update *u, size_t many, mb_interrupt *interrupt, mb_token_fault *fault)
{
    MB_TRY(begin_section(u, many));
    for (mb_update_steps step = MB_MEASURE; step <= MB_COUNT; step++) {
        MB_TRY(mb_update_step(u, step, 0, interrupt, fault));
        MB_TRY(mb_update_end_step(u, step, fault));
    }
    return end_section(u, interrupt);
}

mb_status
mb_transitions_update(mb_transitions *counts, size_t n_documents, const mb_document *documents,
                      mb_interrupt *interrupt, mb_token_fault *fault)
{
    size_t most = MB_SORT_LIMIT / counts->layout.n_words, left = 0;
    mb_update *u = new_update(counts, n_documents, documents, 1);
    mb_status status = u == NULL ? MB_NOMEM : count_tokens(u, &left);
    while (status == MB_OK && left > 0) {
        size_t many = left < most ? left : most;
        status = count_section(u, many, interrupt, fault);
        left -= many;
    }
    if (status == MB_OK) {
        status = commit(counts, &u->of, interrupt);
    }
    mb_update_free(u);
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

/* Shows rows [n] to the deal, as walk() does; *total becomes their observations. */
static mb_status
walk_rows(const mb_transitions *counts, size_t first, size_t n, const int64_t *contexts,
          const int64_t *tokens, const int64_t *times, mb_deal *deal, uint64_t *total,
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
        if (many > 0 && deal->elements == NULL) {
            mb_deal_measure(deal, 0, 1, element);
        } else if (many > 0) {
            mb_deal_take(deal, 0, 1, element);
        }
        MB_TRY(mb_ask(interrupt, ROW));
    }
    return MB_OK;
}

static mb_status
count_rows(const mb_transitions *counts, size_t first, size_t n, const int64_t *contexts,
           const int64_t *tokens, const int64_t *times, update *u, mb_interrupt *interrupt,
           mb_token_fault *fault)
{
    mb_deal *deal = &u->deal;
    uint64_t total;
    MB_TRY(mb_deal_begin(&u->counted.layout, counts->layout.n_words + 1, n, 1, deal));
    MB_TRY(walk_rows(counts, first, n, contexts, tokens, times, deal, &total, interrupt, fault));
    MB_TRY(mb_deal_place(deal));
    MB_TRY(walk_rows(counts, first, n, contexts, tokens, times, deal, &total, interrupt, fault));
    fault->row = MB_CHANGED;
    MB_TRY(mb_deal_begin_count(deal, total));
    MB_TRY(mb_deal_count(deal, 0, interrupt));
    return end_deal(u, total, interrupt);
}

mb_status
mb_transitions_update_rows(mb_transitions *counts, size_t n, const int64_t *contexts,
                           const int64_t *tokens, const int64_t *times, mb_interrupt *interrupt,
                           mb_token_fault *fault)
{
    size_t most = MB_SORT_LIMIT / (counts->layout.n_words + 1);
    update *u = mb_calloc(1, sizeof(update));
    if (u == NULL) {
        return MB_NOMEM;
    }
    mb_status status = MB_OK;
    begin_update(u, counts);
    for (size_t at = 0; at < n && status == MB_OK; at += most) {
        size_t many = n - at < most ? n - at : most;
        status = count_rows(counts, at, many, contexts, tokens, times, u, interrupt, fault);
    }
    if (status == MB_OK) {
        status = commit(counts, u, interrupt);
    }
    end_update(u);
    mb_free(u);
    return status;
}
