/* Counts from arrays of a file: runs that are borrowed, and rows of fading counts.  Arrays that lie
 * are refused; those that are not asked whether they do answer without reading behind themselves. */
#include "core/matrix/fading.h"
#include "core/matrix/ngram_borrow.h"
#include "core/matrix/transitions.h"
#include "test/fuzz/provider.h"

enum { MOST_PAIRS = 200, MOST_ASKED = 20, MOST_ORDER = 4 };

/* ---- runs ------------------------------------------------------------------------------ */

static void
end_loan(void *owner)
{
    ++*(int *)owner;
}

static void *
copied(size_t n, size_t size, const void *from)
{
    void *memory = exactly(n, size);
    if (n > 0) {
        memcpy(memory, from, n * size);
    }
    return memory;
}

/* Changes some of n words. */
static void
tamper(provider *from, size_t n, uint64_t *words)
{
    for (size_t times = take_size(from, 0, 15) % 4; times > 0 && n > 0; times--) {
        size_t at = take_size(from, 0, n - 1), how = take_size(from, 0, 3);
        words[at] = how == 0   ? take_bits(from, 8)
                    : how == 1 ? words[at] + 1
                    : how == 2 ? UINT64_MAX
                               : words[at] ^ (uint64_t)1 << take_size(from, 0, 63);
    }
}

/* Every question about counts, at contexts from the input and their own. */
static void
ask(provider *from, mb_transitions *counts, int is_sound)
{
    size_t order = counts->layout.order, n = take_size(from, 1, MOST_ASKED), n_contexts = 0;
    int64_t *contexts = exactly(n * order, 8), *tokens = exactly(n, 8), *starts = exactly(n + 1, 8);
    uint64_t *out = exactly(n, 8), *totals = exactly(n, 8);
    mb_token_fault fault;
    for (size_t i = 0; i < n * order; i++) {
        contexts[i] = (int64_t)(take_bits(from, 4) % counts->n_tokens);
    }
    for (size_t i = 0; i < n; i++) {
        tokens[i] = (int64_t)(take_bits(from, 4) % counts->n_tokens);
    }
    HOLDS(mb_transitions_counts(counts, n, contexts, tokens, NULL, out, &fault) == MB_OK);
    HOLDS(mb_transitions_totals(counts, n, contexts, NULL, totals, &fault) == MB_OK);
    HOLDS(mb_transitions_rows(counts, n, contexts, NULL, starts, NULL, NULL, &fault) == MB_OK);
    size_t pairs = (size_t)starts[n];
    HOLDS(starts[0] == 0 && starts[n] >= 0);
    uint32_t *row_tokens = exactly(pairs, sizeof *row_tokens);
    uint64_t *times = exactly(pairs, sizeof *times);
    HOLDS(mb_transitions_rows(counts, n, contexts, NULL, starts, row_tokens, times, &fault) ==
          MB_OK);
    for (size_t i = 0; i < n && is_sound; i++) {
        uint64_t total = 0, count = 0;
        for (int64_t j = starts[i]; j < starts[i + 1]; j++) {
            total += times[j];
            count += row_tokens[j] == tokens[i] ? times[j] : 0;
        }
        HOLDS(total == totals[i] && count == out[i]);
    }
    HOLDS(mb_transitions_n_contexts(counts, NULL, &n_contexts) == MB_OK);
    size_t all = counts->n_runs > 0 ? counts->runs[0]->n : 0;
    HOLDS(n_contexts <= all);
    uint32_t *every = exactly(n_contexts * order, 4), *all_tokens = exactly(all, 4);
    int64_t *all_starts = exactly(n_contexts + 1, 8);
    uint64_t *all_times = exactly(all, 8), sum = 0;
    mb_status status =
        mb_transitions_all(counts, n_contexts, NULL, every, all_starts, all_tokens, all_times);
    HOLDS(status == MB_OK || (status == MB_INVALID && !is_sound));
    for (size_t i = 0; i < all && is_sound; i++) {
        HOLDS(all_tokens[i] < counts->n_tokens && all_times[i] > 0);
        sum += all_times[i];
    }
    HOLDS(!is_sound || sum == counts->n_observed);
    free(all_times);
    free(all_starts);
    free(all_tokens);
    free(every);
    free(times);
    free(row_tokens);
    free(totals);
    free(out);
    free(starts);
    free(tokens);
    free(contexts);
}

/* What is borrowed can be merged, shortened, copied. */
static void
change(mb_transitions *counts, int is_sound)
{
    mb_transitions *copy = NULL, *shorter = NULL, *none = NULL;
    HOLDS(mb_transitions_copy(counts, &copy) == MB_OK);
    mb_status status = mb_transitions_merge(copy, counts, NULL);
    HOLDS(status == MB_OK || status == MB_RANGE || !is_sound);
    HOLDS(mb_transitions_new(counts->layout.order, counts->n_tokens, &none) == MB_OK);
    if (counts->layout.order > 0) {
        status = mb_transitions_shorten(counts, none, NULL, &shorter);
        HOLDS(status == MB_OK || (status == MB_INVALID && !is_sound));
    }
    mb_transitions_free(shorter);
    mb_transitions_free(none);
    mb_transitions_free(copy);
}

static mb_transitions *
take_counts(provider *from, size_t order, uint64_t n_tokens)
{
    size_t n = take_size(from, 0, MOST_PAIRS), few = take_size(from, 1, 6);
    int64_t contexts[MOST_PAIRS * MOST_ORDER], tokens[MOST_PAIRS], times[MOST_PAIRS];
    mb_transitions *counts = NULL;
    mb_token_fault fault;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < order; j++) {
            contexts[i * order + j] = (int64_t)(take_size(from, 0, few) % n_tokens);
        }
        tokens[i] = (int64_t)(take_bits(from, 4) % n_tokens);
        times[i] = (int64_t)(take_size(from, 0, 7) == 0 ? take_bits(from, 5) : i % 5);
    }
    HOLDS(mb_transitions_new(order, n_tokens, &counts) == MB_OK);
    HOLDS(mb_transitions_update_rows(counts, n, contexts, tokens, times, NULL, &fault) == MB_OK);
    HOLDS(mb_transitions_compact(counts, NULL) == MB_OK);
    return counts;
}

static void
check_run(provider *from)
{
    static const uint64_t most[] = {1, 2, 7, 1000, 70000, (uint64_t)1 << 32};
    size_t order = take_size(from, 0, MOST_ORDER);
    uint64_t n_tokens = most[take_size(from, 0, sizeof most / sizeof *most - 1)];
    mb_transitions *counts = take_counts(from, order, n_tokens), *borrowed = NULL;
    mb_run *made = NULL, *run = NULL, arrays;
    mb_run_fault fault;
    int ended = 0;
    HOLDS(mb_transitions_run(counts, &made) == MB_OK);
    const mb_key_layout *layout = &counts->layout;
    arrays = *made;
    size_t cut = take_size(from, 0, 15) == 0 ? take_size(from, 0, 5) : 0;
    arrays.n -= cut < arrays.n ? cut : 0;
    arrays.n_large -= take_size(from, 0, 31) == 0 && arrays.n_large > 0;
    size_t n = arrays.n, n_words = layout->n_words, large = arrays.n_large;
    size_t index = mb_run_index_size(layout, n), sums = mb_run_sums_size(n);
    arrays.keys = copied(n * n_words, 8, made->keys);
    arrays.counts = copied(n, 4, made->counts);
    arrays.large_at = copied(large, 8, made->large_at);
    arrays.large = copied(large, 8, made->large);
    arrays.index = exactly(index, 8);
    size_t known = mb_run_index_size(layout, made->n);
    memcpy(arrays.index, made->index, 8 * (index < known ? index : known));
    arrays.sums = copied(sums, 8, made->sums);
    tamper(from, n * n_words, arrays.keys);
    tamper(from, n / 2, (uint64_t *)(void *)arrays.counts);
    tamper(from, large, arrays.large_at);
    tamper(from, large, arrays.large);
    tamper(from, index, arrays.index);
    tamper(from, sums, arrays.sums);
    HOLDS(mb_run_borrow(layout, &arrays, end_loan, &ended, &run) == MB_OK);
    int is_sound = mb_run_check(layout, n_tokens, n_tokens, run, NULL, &fault) == MB_OK;
    int is_same = n == made->n && large == made->n_large &&
                  memcmp(arrays.keys, made->keys, 8 * n * n_words) == 0 &&
                  memcmp(arrays.counts, made->counts, 4 * n) == 0 &&
                  memcmp(arrays.large_at, made->large_at, 8 * large) == 0 &&
                  memcmp(arrays.large, made->large, 8 * large) == 0 &&
                  memcmp(arrays.index, made->index, 8 * index) == 0 &&
                  memcmp(arrays.sums, made->sums, 8 * sums) == 0;
    HOLDS(is_sound || !is_same);
    HOLDS(mb_transitions_from_run(order, n_tokens, run, &borrowed) == MB_OK);
    mb_run_free(run);
    if (n > 0) {
        ask(from, borrowed, is_sound);
        change(borrowed, is_sound);
    }
    mb_transitions_free(borrowed);
    HOLDS(ended == 1);
    mb_run_free(made);
    mb_transitions_free(counts);
    free(arrays.keys);
    free(arrays.counts);
    free(arrays.large_at);
    free(arrays.large);
    free(arrays.index);
    free(arrays.sums);
}

/* ---- fading counts --------------------------------------------------------------------- */

enum { MOST_ROWS = 6, MOST_OF_ROW = 5 };

typedef struct {
    size_t n_rows, n_pairs;
    int64_t contexts[MOST_ROWS * MOST_ORDER], starts[MOST_ROWS + 1], clocks[MOST_ROWS];
    int64_t tokens[MOST_ROWS * MOST_OF_ROW], times[MOST_ROWS * MOST_OF_ROW];
    double counts[MOST_ROWS * MOST_OF_ROW], rests[MOST_ROWS * MOST_OF_ROW];
} fading_taken;

static void
take_fading(provider *from, size_t order, fading_taken *taken)
{
    int lies = (int)take_size(from, 0, 1);
    size_t at = 0;
    taken->n_rows = take_size(from, 0, MOST_ROWS);
    for (size_t i = 0; i < taken->n_rows; i++) {
        for (size_t j = 0; j < order; j++) { /* rising by the first token, mostly */
            taken->contexts[i * order + j] = (int64_t)(j == 0 ? i : take_size(from, 0, 6));
        }
        taken->clocks[i] = (int64_t)take_bits(from, take_size(from, 0, 15) == 0 ? 8 : 1);
        size_t n = take_size(from, 1, MOST_OF_ROW);
        for (size_t p = 0; p < n; p++, at++) {
            taken->tokens[at] = (int64_t)p;
            taken->counts[at] = take_scale(from, 1e-3, 1e3);
            taken->rests[at] = (take_part(from) - 0.5) * 1e-10 * taken->counts[at];
            taken->times[at] = taken->clocks[i] > 0 ? (int64_t)take_bits(from, 1) : 0;
        }
        taken->starts[i + 1] = (int64_t)at;
    }
    taken->n_pairs = at;
    for (size_t times = lies ? take_size(from, 1, 3) : 0; times > 0 && at > 0; times--) {
        int64_t any =
            take_size(from, 0, 1) ? (int64_t)take_bits(from, 8) : (int64_t)take_size(from, 0, 9);
        size_t pair = take_size(from, 0, at - 1), row = take_size(from, 0, taken->n_rows - 1);
        switch (take_size(from, 0, 6)) {
        case 0:
            taken->tokens[pair] = any;
            break;
        case 1:
            taken->times[pair] = any;
            break;
        case 2:
            taken->counts[pair] = take_double(from);
            break;
        case 3:
            taken->rests[pair] = take_double(from);
            break;
        case 4:
            taken->starts[row + take_size(from, 0, 1)] = any;
            break;
        case 5:
            taken->clocks[row] = any;
            break;
        default:
            taken->contexts[row * order] = any;
        }
    }
}

static void
check_fading(provider *from)
{
    size_t order = take_size(from, 1, MOST_ORDER);
    double discount = take_size(from, 0, 7) == 0 ? 1.0 : 1e-3 + 0.998 * take_part(from);
    fading_taken taken = {0};
    mb_fading *counts = NULL;
    const char *wrong = NULL;
    take_fading(from, order, &taken);
    size_t n = taken.n_rows, pairs = taken.n_pairs;
    mb_fading_rows rows = {n,
                           pairs,
                           copied(n * order, 8, taken.contexts),
                           copied(n + 1, 8, taken.starts),
                           copied(n, 8, taken.clocks),
                           copied(pairs, 8, taken.tokens),
                           copied(pairs, 8, taken.times),
                           copied(pairs, 8, taken.counts),
                           copied(pairs, 8, taken.rests)};
    mb_status status = mb_fading_load(order, 7, discount, &rows, NULL, &counts, &wrong);
    HOLDS(status == MB_OK || status == MB_RANGE || (status == MB_INVALID && wrong != NULL));
    if (status == MB_OK) {
        mb_fading_run *run = NULL;
        mb_token_fault fault;
        double all = 0.0, *totals = exactly(n, 8), sum = 0.0;
        HOLDS(taken.starts[0] == 0 && (size_t)taken.starts[n] == pairs);
        HOLDS(mb_fading_totals(counts, n, taken.contexts, NULL, totals, &fault) == MB_OK);
        HOLDS(mb_fading_sum(counts, NULL, &all) == MB_OK && all >= 0.0 && isfinite(all));
        for (size_t i = 0; i < n; i++) {
            long double wanted = 0.0L;
            for (int64_t p = taken.starts[i]; p < taken.starts[i + 1]; p++) {
                HOLDS(p == taken.starts[i] || taken.tokens[p - 1] < taken.tokens[p]);
                wanted +=
                    ((long double)taken.counts[p] + (long double)taken.rests[p]) *
                    powl((long double)discount, (long double)(taken.clocks[i] - taken.times[p]));
            }
            HOLDS(is_near((long double)totals[i], wanted, 1e-8L,
                          1e-299L)); /* what fades below 1e-300 is 0 */
            sum += totals[i];
        }
        HOLDS(is_near((long double)all, (long double)sum, 1e-12L, 1e-300L));
        HOLDS(mb_fading_compact(counts, NULL, &run) == MB_OK);
        HOLDS(run->n_rows <= n && run->n_pairs <= pairs);
        mb_fading_run_free(run);
        HOLDS(mb_fading_merge(counts, counts, NULL) == MB_OK || all > 1e300);
        free(totals);
    }
    mb_fading_free(counts);
    free((void *)rows.contexts);
    free((void *)rows.starts);
    free((void *)rows.clocks);
    free((void *)rows.tokens);
    free((void *)rows.times);
    free((void *)rows.counts);
    free((void *)rows.rests);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    provider from = {data, size};
    (take_size(&from, 0, 2) == 0 ? check_fading : check_run)(&from);
    return 0;
}
