/* Runs over borrowed arrays, and their check. */
#include "core/matrix/ngram_borrow.h"

#include "core/base/mem.h"

#include <string.h>

enum { COST = 16 /* nanoseconds of a pair */ };

mb_status
mb_run_borrow(const mb_key_layout *layout, const mb_run *arrays, void (*release)(void *owner),
              void *owner, mb_run **out)
{
    mb_run *run = mb_calloc(1, sizeof(mb_run));
    if (run == NULL) {
        return MB_NOMEM;
    }
    *run = *arrays;
    run->n_users = 1;
    run->release = release;
    run->owner = owner;
    run->index_bits = mb_run_index_bits(layout, run->n);
    run->total = mb_run_sum(run, 0, run->n);
    *out = run;
    return MB_OK;
}

/* What a pass over a run has come to. */
typedef struct {
    const mb_key_layout *layout;
    const mb_run *run;
    uint64_t n_tokens, n_after;
    uint64_t last[MB_MAX_WORDS]; /* the key before */
    size_t n_large, n_index;
    uint64_t total;
    mb_run_fault *fault;
} check;

static mb_status
fail(const check *c, mb_run_error error, size_t place)
{
    c->fault->error = error;
    c->fault->place = place;
    return MB_INVALID;
}

static mb_status
check_key(check *c, size_t i)
{
    const mb_key_layout *layout = c->layout;
    size_t n_words = layout->n_words, first = 0;
    uint64_t key[MB_MAX_WORDS], plain[MB_MAX_WORDS];
    memcpy(key, c->run->keys + i * n_words, n_words * sizeof(uint64_t));
    if (i > 0 && !mb_key_before(n_words, c->last, key)) {
        return fail(c, MB_FAULT_ORDER, i);
    }
    if (key[n_words - 1] & (((uint64_t)1 << layout->padding) - 1)) {
        return fail(c, MB_FAULT_PADDING, i);
    }
    memcpy(plain, key, n_words * sizeof(uint64_t));
    if (i > 0 && mb_key_same_context(layout, c->last, key)) {
        first = layout->order; /* the context has been looked at */
    } else {
        mb_key_unmix(layout, n_words, plain);
    }
    for (size_t place = first; place <= layout->order; place++) {
        uint64_t many = place < layout->order ? c->n_tokens : c->n_after;
        if (mb_key_token(layout, plain, place) >= many) {
            return fail(c, MB_FAULT_TOKEN, i);
        }
    }
    memcpy(c->last, key, n_words * sizeof(uint64_t));
    return MB_OK;
}

static mb_status
check_count(check *c, size_t i)
{
    const mb_run *run = c->run;
    uint64_t count = run->counts[i];
    if (count == 0) {
        return fail(c, MB_FAULT_COUNTS, i);
    }
    if (count == UINT32_MAX) {
        size_t large = c->n_large++;
        if (large == run->n_large) {
            return fail(c, MB_FAULT_LARGE, large);
        }
        if (run->large_at[large] != i) {
            return fail(c, MB_FAULT_LARGE_AT, large);
        }
        count = run->large[large];
        if (count < UINT32_MAX) {
            return fail(c, MB_FAULT_LARGE, large);
        }
    }
    if (__builtin_add_overflow(c->total, count, &c->total)) {
        return fail(c, MB_FAULT_TOTAL, i);
    }
    return MB_OK;
}

/* The entries of the index up to and with `bucket` are i. */
static mb_status
check_index(check *c, size_t bucket, size_t i)
{
    for (; c->n_index <= bucket; c->n_index++) {
        if (c->run->index[c->n_index] != i) {
            return fail(c, MB_FAULT_INDEX, c->n_index);
        }
    }
    return MB_OK;
}

static mb_status
check_sum(check *c, size_t i)
{
    if (i % MB_SUM_BLOCK == 0 && c->run->sums[i / MB_SUM_BLOCK] != c->total) {
        return fail(c, MB_FAULT_SUMS, i / MB_SUM_BLOCK);
    }
    return MB_OK;
}

mb_status
mb_run_check(const mb_key_layout *layout, uint64_t n_tokens, uint64_t n_after, const mb_run *run,
             mb_interrupt *interrupt, mb_run_fault *fault)
{
    check c = {
        .layout = layout, .run = run, .n_tokens = n_tokens, .n_after = n_after, .fault = fault};
    for (size_t i = 0; i < run->n; i++) {
        MB_TRY(check_key(&c, i));
        MB_TRY(check_index(
            &c, run->index_bits == 0 ? 0 : (size_t)(c.last[0] >> (64 - run->index_bits)), i));
        MB_TRY(check_sum(&c, i));
        MB_TRY(check_count(&c, i));
        MB_TRY(mb_ask(interrupt, COST));
    }
    if (c.n_large < run->n_large) {
        return fail(&c, MB_FAULT_LARGE_AT, c.n_large);
    }
    MB_TRY(check_index(&c, (size_t)1 << run->index_bits, run->n));
    return check_sum(&c, run->n);
}
