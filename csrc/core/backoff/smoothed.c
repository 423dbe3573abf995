/* Tables of smoothed counts, a pass over the run of each level: its pairs stand in order already, and its
 * keys are what contexts are found by.  A context's number is how many stand before it in the run.
 *
 * Runs may be borrowed (ngram_run.h), and change: no number of theirs is taken for a place without a
 * look at it. */
#include "core/backoff/smoothed.h"

#include "core/backoff/link.h"
#include "core/base/mem.h"

#include <math.h>
#include <string.h>

enum {
    COST = 16,  /* nanoseconds of a pair that is read */
    PAIR = 128, /* and of one that is smoothed */
    PIECE = 1 << 10
};

static size_t
n_pairs_in(const mb_transitions *counts)
{
    return counts->n_runs == 0 ? 0 : counts->runs[0]->n;
}

/* The first key of the context of begin tokens alone. */
static void
begin_key(const mb_key_layout *layout, uint64_t n_tokens, uint64_t *key)
{
    memset(key, 0, layout->n_words * sizeof(uint64_t));
    for (size_t i = 0; i < layout->order; i++) {
        mb_key_append(layout, layout->n_words, (uint32_t)n_tokens, key);
    }
    mb_key_append(layout, layout->n_words, 0, key);
    mb_key_mix(layout, layout->n_words, key);
}

/* Reads the pairs of a level into the table from *at on, with their counts for values, and the contexts,
 * which `numbers` gets for each pair. */
static mb_status
read_level(mb_backoff *table, size_t level, const mb_transitions *counts, mb_interrupt *interrupt,
           uint32_t *numbers, size_t *at, size_t *longest, mb_backoff_fault *fault)
{
    const mb_key_layout *layout = &counts->layout;
    size_t first = table->firsts[level], n = table->firsts[level + 1] - first, row = 0, many = 0;
    uint64_t begin[MB_MAX_WORDS] MB_FILLED;
    /* whether the row is that of the beginning, which can begin further on; whether one was */
    int is_begin = 0, begun = level == 0 || level + 1 == table->n_levels;
    begin_key(layout, table->n_tokens, begin);
    for (size_t i = 0; i < n_pairs_in(counts); i++) {
        const mb_run *run = counts->runs[0];
        const uint64_t *key = run->keys + i * layout->n_words;
        uint32_t token = mb_key_token(layout, key, layout->order);
        if (i == 0 || (row < n && !mb_key_same_context(layout, key, key - layout->n_words))) {
            if (is_begin) {
                table->pairs[(*at)++] = (mb_backoff_pair){-0.0, (uint32_t)table->n_tokens, 0};
            }
            table->contexts[first + row++].first = (uint32_t)*at;
            is_begin = !begun && mb_key_same_context(layout, key, begin);
            begun |= is_begin;
            *longest = many > *longest ? many : *longest;
            many = 0;
        }
        if (token >= table->n_tokens) {
            *fault = (mb_backoff_fault){MB_BACKOFF_TOKEN, level, row - 1};
            return MB_INVALID;
        }
        table->pairs[(*at)++] = (mb_backoff_pair){(double)mb_run_count(run, i), token, 0};
        numbers[i] = (uint32_t)(first + row - 1);
        many++;
        MB_TRY(i % PIECE == 0 ? mb_ask(interrupt, (size_t)COST * PIECE) : MB_OK);
    }
    if (is_begin) {
        table->pairs[(*at)++] = (mb_backoff_pair){-0.0, (uint32_t)table->n_tokens, 0};
    }
    for (; row <= n; row++) { /* keys changed, for row < n */
        table->contexts[first + row].first = (uint32_t)*at;
    }
    *longest = many > *longest ? many : *longest;
    return MB_OK;
}

/* What a row is worked on with. */
typedef struct {
    double *counts;  /* [of the longest row] */
    double *means;   /* [of the most pairs of a level] */
    double *scratch; /* [MB_SMOOTHING_SCRATCH K] */
    double *left;    /* [n][2], of a tree: how probably the leaf is deeper than a context,
                             * and what leaves so far have of the prior's mean */
} workplace;

/* The counts of a context's row; how many they are. */
static size_t
gather_row(const mb_backoff *table, size_t c, const workplace *w)
{
    size_t low = table->contexts[c].first, n = table->contexts[c + 1].first - low;
    for (size_t i = 0; i < n; i++) {
        w->counts[i] = table->pairs[low + i].value;
    }
    return n > 0 && table->pairs[low + n - 1].token == table->n_tokens ? n - 1 : n;
}

static void
smooth_row(mb_backoff *table, size_t c, const mb_smoothing *smoothing, const double *means,
           const workplace *w)
{
    mb_backoff_context *context = table->contexts + c;
    size_t n = gather_row(table, c, w);
    mb_row_shares shares = mb_shares_of_row(smoothing, n, w->counts, means, w->scratch);
    context->back = shares.to_mean;
    for (size_t i = 0; i < n; i++) {
        table->pairs[context->first + i].value =
            mb_lessened(&shares, w->counts[i]) * shares.to_count + shares.to_mean * means[i];
    }
}

/* The row of a leaf of a tree, or of what may be one: `odds` are those of a context that is none. */
static void
add_leaf(mb_backoff *table, size_t c, const mb_smoothing *smoothing, double odds,
         const double *means, const workplace *w)
{
    mb_backoff_context *context = table->contexts + c;
    size_t n = gather_row(table, c, w);
    double total = 0.0, reached = 1.0, above = 0.0, a = smoothing->values[0];
    for (size_t i = 0; i < n; i++) {
        total += w->counts[i];
    }
    if (c > 0) { /* what shorter contexts' leaves have of the prior's mean */
        reached = w->left[2 * (size_t)context->shorter];
        above = w->left[2 * (size_t)context->shorter + 1];
    }
    double stops = reached / (1.0 + exp(odds));
    double left = odds == -INFINITY ? 0.0 : reached / (1.0 + exp(-odds));
    above += stops * a / (a + total);
    w->left[2 * c] = left;
    w->left[2 * c + 1] = above;
    context->back = 1.0;
    table->base[c] = above + left;
    for (size_t i = 0; i < n; i++) {
        mb_backoff_pair *pair = table->pairs + context->first + i;
        pair->value = means[i] + stops * w->counts[i] / (a + total);
        if (c == 0) {
            table->row[pair->token] = pair->value;
        }
    }
}

/* Smooths a level that is linked. */
static mb_status
smooth_level(mb_backoff *table, size_t level, const mb_transitions *counts,
             const mb_smoothing *smoothing, const uint32_t *numbers, const workplace *w,
             mb_interrupt *interrupt)
{
    const int is_tree = smoothing->kind == MB_TREE_LEAVES;
    size_t place = 0, n = n_pairs_in(counts);
    const size_t first = table->contexts[table->firsts[level]].first;
    mb_begin_smoothing(smoothing, w->scratch);
    if (level > 0) { /* zeros before */
        MB_TRY(mb_backoff_shorter(table, level, interrupt, w->means));
    }
    for (size_t c = table->firsts[level]; c < table->firsts[level + 1]; c++) {
        size_t many = table->contexts[c + 1].first - table->contexts[c].first;
        const double *means = w->means + (table->contexts[c].first - first);
        if (!is_tree) {
            smooth_row(table, c, smoothing, means, w);
        } else {
            while (place < n && numbers[place] < c) {
                place++;
            }
            int knows = smoothing->odds != NULL && place < n;
            add_leaf(table, c, smoothing, knows ? smoothing->odds[place] : -INFINITY, means, w);
        }
        MB_TRY(mb_ask(interrupt, PAIR * (many + 1) * (is_tree ? 1 : smoothing->n)));
    }
    return MB_OK;
}

/* The row of the empty context, of which the values of its pairs are a part. */
static mb_status
smooth_root(mb_backoff *table, const mb_transitions *counts, const mb_smoothing *smoothing,
            const double *row, const uint32_t *numbers, const workplace *w, mb_interrupt *interrupt)
{
    for (size_t v = 0; v < table->n_tokens; v++) {
        double mean = row[v];
        if (!(mean >= 0.0 && isfinite(mean))) {
            return MB_NUMERIC;
        }
        *(table->mean != NULL ? table->mean + v : table->row + v) = mean;
        MB_TRY(v % PIECE == 0 ? mb_ask(interrupt, (size_t)COST * PIECE) : MB_OK);
    }
    if (table->mean != NULL) {
        return smooth_level(table, 0, counts, smoothing, numbers, w, interrupt);
    }
    table->contexts[0].back = 1.0;
    for (size_t i = 0; i < table->contexts[1].first; i++) {
        table->pairs[i].value = table->row[table->pairs[i].token];
    }
    return MB_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static mb_status
new_workplace(const mb_backoff *table, size_t longest, const mb_smoothing *smoothing, workplace *w)
{
    size_t k = 1, most = 0;
    for (size_t level = 0; level < table->n_levels; level++) {
        const mb_backoff_context *contexts = table->contexts;
        size_t n = contexts[table->firsts[level + 1]].first - contexts[table->firsts[level]].first;
        k = smoothing[level].n > k ? smoothing[level].n : k;
        most = n > most ? n : most;
    }
    *w = (workplace){.counts = mb_calloc(longest + 1, sizeof(double)),
                     .means = mb_calloc(most, sizeof(double)),
                     .scratch = mb_calloc(k, MB_SMOOTHING_SCRATCH * sizeof(double))};
    if (table->base != NULL) {
        w->left = mb_calloc(mb_backoff_n(table), 2 * sizeof(double));
    }
    int is_short = w->counts == NULL || w->means == NULL || w->scratch == NULL ||
                   (table->base != NULL && w->left == NULL);
    return is_short ? MB_NOMEM : MB_OK;
}

static mb_status
smooth_table(mb_backoff *table, const mb_smoothing *smoothing, const double *row,
             mb_backoff_finder *finders, const workplace *w, mb_interrupt *interrupt,
             mb_backoff_fault *fault)
{
    for (size_t level = 0; level < table->n_levels; level++) {
        const mb_transitions *counts = finders[level].counts;
        const uint32_t *numbers = finders[level].numbers;
        if (level == 0) {
            MB_TRY(smooth_root(table, counts, smoothing, row, numbers, w, interrupt));
            continue;
        }
        MB_TRY(mb_backoff_link(table, level, finders, interrupt, fault));
        MB_TRY(smooth_level(table, level, counts, smoothing + level, numbers, w, interrupt));
    }
    return MB_OK;
}

/* Reads the counts of all levels, into room for the pairs of all. */
static mb_status
read_levels(mb_backoff *table, const mb_transitions *const *counts, mb_backoff_finder *finders,
            mb_interrupt *interrupt, size_t *longest, mb_backoff_fault *fault)
{
    size_t at = 0;
    for (size_t level = 0; level < table->n_levels; level++) {
        MB_TRY(mb_transitions_copy(counts[level], &finders[level].counts));
        finders[level].numbers = mb_calloc(n_pairs_in(counts[level]), sizeof(uint32_t));
        if (finders[level].numbers == NULL) {
            return MB_NOMEM;
        }
        MB_TRY(read_level(table, level, finders[level].counts, interrupt, finders[level].numbers,
                          &at, longest, fault));
    }
    table->n_pairs = at;
    return MB_OK;
}

mb_status
mb_backoff_from_counts(size_t n_levels, const mb_transitions *const *counts,
                       const mb_smoothing *smoothing, const double *row, mb_interrupt *interrupt,
                       mb_backoff **out, mb_backoff_fault *fault)
{
    mb_backoff_finder finders[MB_MAX_ORDER + 1] = {{0}};
    size_t firsts[MB_MAX_ORDER + 2] = {0}, n_pairs = n_levels, n, longest = 0;
    if (n_levels < 1 || n_levels > MB_MAX_ORDER + 1) {
        return MB_RANGE;
    }
    for (size_t level = 0; level < n_levels; level++) {
        MB_TRY(mb_transitions_n_contexts(counts[level], interrupt, &n));
        firsts[level + 1] = firsts[level] + (level == 0 ? 1 : n);
        n_pairs += n_pairs_in(counts[level]);
    }
    mb_backoff *table;
    workplace w = {0};
    int is_tree = smoothing[0].kind == MB_TREE_LEAVES;
    MB_TRY(mb_backoff_begin(counts[0]->n_tokens - 1, firsts[n_levels], n_pairs, is_tree, &table));
    table->n_levels = n_levels;
    memcpy(table->firsts, firsts, sizeof firsts);
    mb_status status = read_levels(table, counts, finders, interrupt, &longest, fault);
    if (status == MB_OK) {
        status = new_workplace(table, longest, smoothing, &w);
    }
    if (status == MB_OK) {
        status = smooth_table(table, smoothing, row, finders, &w, interrupt, fault);
    }
    mb_free(w.counts);
    mb_free(w.means);
    mb_free(w.scratch);
    mb_free(w.left);
    mb_backoff_end_finders(n_levels, finders);
    if (status == MB_OK) {
        *out = table;
    } else {
        mb_backoff_free(table);
    }
    return status;
}
