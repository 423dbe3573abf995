/* Sorted runs of keys: made, merged, subtracted and multiplied. */
#include "core/matrix/ngram_run.h"

#include "core/base/mem.h"

#include <string.h>

enum { PIECE = 1 << 14, PER_BUCKET = 8, COST = 8 /* nanoseconds of a pair */ };

unsigned
mb_run_index_bits(const mb_key_layout *layout, size_t n)
{
    unsigned most = layout->context_bits + layout->token_bits, bits = 0;
    most = most < 40 ? most : 40;
    while (bits < most && n >> (bits + 1) >= PER_BUCKET) {
        bits++;
    }
    return bits;
}

mb_run *
mb_run_begin(const mb_key_layout *layout, size_t n, uint64_t total, uint64_t *keys)
{
    mb_run *run = mb_calloc(1, sizeof(mb_run));
    if (run == NULL) {
        mb_free(keys);
        return NULL;
    }
    run->n_users = 1;
    run->total = total;
    run->room_large = total / UINT32_MAX < n ? (size_t)(total / UINT32_MAX) : n;
    run->keys = keys != NULL ? keys : mb_calloc(n, layout->n_words * sizeof(uint64_t));
    run->counts = mb_calloc(n, sizeof(uint32_t));
    run->large_at = mb_calloc(run->room_large, sizeof(uint64_t));
    run->large = mb_calloc(run->room_large, sizeof(uint64_t));
    if (run->keys == NULL || run->counts == NULL || run->large_at == NULL || run->large == NULL) {
        mb_run_free(run);
        return NULL;
    }
    return run;
}

mb_run *
mb_run_share(mb_run *run)
{
    __atomic_add_fetch(&run->n_users, 1, __ATOMIC_RELAXED);
    return run;
}

void
mb_run_free(mb_run *run)
{
    /* the last user frees what all others have done with it */
    if (run != NULL && __atomic_sub_fetch(&run->n_users, 1, __ATOMIC_ACQ_REL) == 0) {
        if (run->release != NULL) {
            run->release(run->owner);
        } else {
            mb_free(run->keys);
            mb_free(run->counts);
            mb_free(run->large_at);
            mb_free(run->large);
            mb_free(run->index);
            mb_free(run->sums);
        }
        mb_free(run);
    }
}

size_t
mb_run_bytes(const mb_key_layout *layout, const mb_run *run)
{
    size_t n_numbers = run->n * layout->n_words + 2 * run->n_large +
                       mb_run_index_size(layout, run->n) + mb_run_sums_size(run->n);
    return sizeof(mb_run) + run->n * sizeof(uint32_t) + n_numbers * sizeof(uint64_t);
}

MB_INLINE void
append(mb_run *run, size_t n_words, const uint64_t *key, uint64_t count)
{
    uint64_t *to = run->keys + run->n * n_words;
    for (size_t w = 0; w < n_words; w++) {
        to[w] = key[w];
    }
    mb_run_append_count(run, count);
}

/* Without branches that depend on the keys: each says where the next bucket begins, the last of a
 * bucket last; then buckets without keys begin where the next one does. */
MB_INLINE mb_status
build_index(size_t n_words, mb_run *run, mb_interrupt *interrupt)
{
    uint64_t *ends = run->index + 1, last = 0;
    const unsigned shift = 64 - run->index_bits;
    for (size_t start = 0; start < run->n && run->index_bits > 0; start += PIECE) {
        size_t end = run->n - start < PIECE ? run->n : start + PIECE;
        for (size_t i = start; i < end; i++) {
            ends[run->keys[i * n_words] >> shift] = i + 1;
        }
        MB_TRY(mb_ask(interrupt, COST * (end - start)));
    }
    for (size_t bucket = 0; bucket < (size_t)1 << run->index_bits; bucket++) {
        last = ends[bucket] > last ? ends[bucket] : last;
        ends[bucket] = last;
    }
    ends[((size_t)1 << run->index_bits) - 1] = run->n;
    return MB_OK;
}

static mb_status
build_sums(mb_run *run, mb_interrupt *interrupt)
{
    size_t n_large = 0, i = 0;
    uint64_t sum = 0;
    while (i < run->n) {
        size_t end = run->n - i < MB_SUM_BLOCK ? run->n : i + MB_SUM_BLOCK;
        uint64_t block = 0;
        uint32_t most = 0;
        run->sums[i / MB_SUM_BLOCK] = sum;
        for (size_t k = i; k < end; k++) {
            block += run->counts[k];
            most = run->counts[k] > most ? run->counts[k] : most;
        }
        for (; most == UINT32_MAX && i < end; i++) {
            block += run->counts[i] == UINT32_MAX ? run->large[n_large++] - UINT32_MAX : 0;
        }
        sum += block;
        i = end;
        MB_TRY(mb_ask(interrupt, MB_SUM_BLOCK));
    }
    if (run->n % MB_SUM_BLOCK == 0) {
        run->sums[run->n / MB_SUM_BLOCK] = sum;
    }
    return MB_OK;
}

/* Cuts the arrays of a run that has all its pairs to their lengths, and makes its index and sums. */
static mb_status
complete(const mb_key_layout *layout, mb_run *run, mb_interrupt *interrupt)
{
    run->keys = mb_shrink(run->keys, run->n, layout->n_words * sizeof(uint64_t));
    run->counts = mb_shrink(run->counts, run->n, sizeof(uint32_t));
    run->large_at = mb_shrink(run->large_at, run->n_large, sizeof(uint64_t));
    run->large = mb_shrink(run->large, run->n_large, sizeof(uint64_t));
    run->index_bits = mb_run_index_bits(layout, run->n);
    run->index = mb_calloc(mb_run_index_size(layout, run->n), sizeof(uint64_t));
    run->sums = mb_calloc(mb_run_sums_size(run->n), sizeof(uint64_t));
    if (run->index == NULL || run->sums == NULL) {
        return MB_NOMEM;
    }
    MB_TRY(layout->n_words == 1   ? build_index(1, run, interrupt)
           : layout->n_words == 2 ? build_index(2, run, interrupt)
                                  : build_index(layout->n_words, run, interrupt));
    return build_sums(run, interrupt);
}

mb_status
mb_run_finish(const mb_key_layout *layout, mb_status status, mb_run *run, mb_interrupt *interrupt,
              mb_run **out)
{
    if (status == MB_OK) {
        status = complete(layout, run, interrupt);
    }
    if (status == MB_OK) {
        *out = run;
    } else {
        mb_run_free(run);
    }
    return status;
}

MB_INLINE mb_status
append_rest(size_t n_words, const mb_run *from, size_t start, mb_interrupt *interrupt, mb_run *to)
{
    while (start < from->n) {
        size_t end = from->n - start < PIECE ? from->n : start + PIECE;
        MB_TRY(mb_ask(interrupt, COST * (end - start)));
        for (; start < end; start++) {
            append(to, n_words, from->keys + start * n_words, mb_run_count(from, start));
        }
    }
    return MB_OK;
}

/* Without branches that depend on the keys: which run the next one is from cannot be guessed. */
MB_INLINE mb_status
unite(size_t n_words, const mb_run *a, const mb_run *b, mb_interrupt *interrupt, mb_run *to)
{
    size_t i = 0, j = 0;
    while (i < a->n && j < b->n) {
        for (size_t k = 0; k < PIECE && i < a->n && j < b->n; k++) {
            const uint64_t *x = a->keys + i * n_words, *y = b->keys + j * n_words;
            /* from one of them at least, even where keys change meanwhile: the room is enough */
            int from_a = !mb_key_before(n_words, y, x);
            int from_b = !from_a | !mb_key_before(n_words, x, y);
            uint64_t count =
                (a->counts[i] & -(uint64_t)from_a) + (b->counts[j] & -(uint64_t)from_b);
            if (count >= UINT32_MAX) {
                count = (from_a ? mb_run_count(a, i) : 0) + (from_b ? mb_run_count(b, j) : 0);
            }
            append(to, n_words, from_a ? x : y, count);
            i += (size_t)from_a;
            j += (size_t)from_b;
        }
        MB_TRY(mb_ask(interrupt, (size_t)COST * PIECE));
    }
    MB_TRY(append_rest(n_words, a, i, interrupt, to));
    return append_rest(n_words, b, j, interrupt, to);
}

MB_INLINE mb_status
merge(const mb_key_layout *layout, size_t n_words, const mb_run *a, const mb_run *b,
      mb_interrupt *interrupt, mb_run **out)
{
    /* memory that no key comes to is never mapped, so the sum costs no more than the union */
    mb_run *run = mb_run_begin(layout, a->n + b->n, a->total + b->total, NULL);
    if (run == NULL) {
        return MB_NOMEM;
    }
    return mb_run_finish(layout, unite(n_words, a, b, interrupt, run), run, interrupt, out);
}

mb_status
mb_run_merge(const mb_key_layout *layout, const mb_run *a, const mb_run *b, mb_interrupt *interrupt,
             mb_run **out)
{
    switch (layout->n_words) {
    case 1:
        return merge(layout, 1, a, b, interrupt, out);
    case 2:
        return merge(layout, 2, a, b, interrupt, out);
    default:
        return merge(layout, layout->n_words, a, b, interrupt, out);
    }
}

/* The j-th pair of b cannot be taken from a, which has `counted` of it. */
static mb_status
fail_pair(size_t n_words, const mb_run *b, size_t j, uint64_t counted, mb_pair_fault *fault)
{
    memcpy(fault->key, b->keys + j * n_words, n_words * sizeof(uint64_t));
    fault->counted = counted;
    fault->taken = mb_run_count(b, j);
    return MB_INVALID;
}

MB_INLINE mb_status
take_away(size_t n_words, const mb_run *a, const mb_run *b, mb_interrupt *interrupt, mb_run *to,
          mb_pair_fault *fault)
{
    size_t i = 0, j = 0;
    while (i < a->n && j < b->n) {
        for (size_t k = 0; k < PIECE && i < a->n && j < b->n; k++, i++) {
            const uint64_t *x = a->keys + i * n_words, *y = b->keys + j * n_words;
            uint64_t count = mb_run_count(a, i);
            if (mb_key_equal(n_words, x, y)) {
                uint64_t taken = mb_run_count(b, j);
                if (taken > count) {
                    return fail_pair(n_words, b, j, count, fault);
                }
                count -= taken;
                j++;
            } else if (mb_key_before(n_words, y, x)) {
                return fail_pair(n_words, b, j, 0, fault);
            }
            if (count > 0) {
                append(to, n_words, x, count);
            }
        }
        MB_TRY(mb_ask(interrupt, (size_t)COST * PIECE));
    }
    return j < b->n ? fail_pair(n_words, b, j, 0, fault)
                    : append_rest(n_words, a, i, interrupt, to);
}

mb_status
mb_run_subtract(const mb_key_layout *layout, const mb_run *a, const mb_run *b,
                mb_interrupt *interrupt, mb_run **out, mb_pair_fault *fault)
{
    uint64_t left = a->total > b->total ? a->total - b->total : 0;
    mb_run *run = mb_run_begin(layout, a->n, left, NULL);
    if (run == NULL) {
        return MB_NOMEM;
    }
    mb_status status = layout->n_words == 1 ? take_away(1, a, b, interrupt, run, fault)
                       : layout->n_words == 2
                           ? take_away(2, a, b, interrupt, run, fault)
                           : take_away(layout->n_words, a, b, interrupt, run, fault);
    return mb_run_finish(layout, status, run, interrupt, out);
}

mb_status
mb_run_multiply(const mb_key_layout *layout, const mb_run *run, uint64_t factor,
                mb_interrupt *interrupt, mb_run **out)
{
    const size_t n_words = layout->n_words;
    mb_run *to = mb_run_begin(layout, run->n, run->total * factor, NULL);
    mb_status status = to == NULL ? MB_NOMEM : MB_OK;
    for (size_t i = 0; i < run->n && status == MB_OK;) {
        size_t end = run->n - i < PIECE ? run->n : i + PIECE;
        status = mb_ask(interrupt, COST * (end - i));
        for (; i < end; i++) {
            append(to, n_words, run->keys + i * n_words, mb_run_count(run, i) * factor);
        }
    }
    return to == NULL ? status : mb_run_finish(layout, status, to, interrupt, out);
}

uint64_t
mb_run_large(const mb_run *run, size_t place)
{
    size_t low = 0, n = run->n_large;
    while (n > 1) {
        size_t half = n / 2;
        low = run->large_at[low + half] <= place ? low + half : low;
        n -= half;
    }
    return run->n_large > 0 ? run->large[low] : UINT32_MAX;
}

/* The sum of the counts at a few places, one by one. */
static uint64_t
add_counts(const mb_run *run, size_t low, size_t high)
{
    uint64_t sum = 0;
    int any_large = 0;
    for (size_t i = low; i < high; i++) {
        any_large |= run->counts[i] == UINT32_MAX;
        sum += run->counts[i];
    }
    for (size_t i = low; any_large && i < high; i++) {
        sum += mb_run_count(run, i) - run->counts[i];
    }
    return sum;
}

static uint64_t
sum_before(const mb_run *run, size_t place)
{
    size_t block = place / MB_SUM_BLOCK;
    return run->sums[block] + add_counts(run, block * MB_SUM_BLOCK, place);
}

uint64_t
mb_run_sum(const mb_run *run, size_t low, size_t high)
{
    if (high <= low || high - low <= MB_SUM_BLOCK) {
        return add_counts(run, low, high);
    }
    return sum_before(run, high) - sum_before(run, low);
}
