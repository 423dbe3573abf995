/* Context-tree weighting: a level of the tree at a time, from the longest contexts to the empty one.
 *
 * Willems, Shtarkov & Tjalkens (1995): with P_e the evidence of a context's counts as a leaf,
 * P_w = (1 - rho) P_e + rho prod P_w of the contexts that are a token longer. */
#include "core/matrix/context_tree.h"

#include "core/matrix/ngram_search.h"
#include "core/special/special.h"

#include <math.h>
#include <string.h>

enum {
    ROW_COST = 128, /* nanoseconds of a row that is looked for */
    PAIR_COST = 64, /* and of a pair's evidence */
    SEARCHES = MB_SEARCHES
};

/* The log-evidence of pairs low up to high under one Dirichlet. */
static mb_status
dirichlet_evidence(const mb_transitions *counts, const mb_leaf_prior *prior, size_t k, size_t low,
                   size_t high, mb_interrupt *interrupt, double *evidence)
{
    const mb_key_layout *layout = &counts->layout;
    const mb_run *run = counts->runs[0];
    const double *alpha = prior->alpha + k * prior->width;
    double sum = 0.0, total = 0.0;
    for (size_t i = low; i < high; i++) {
        size_t token = mb_key_token(layout, run->keys + i * layout->n_words, layout->order);
        double many = (double)mb_run_count(run, i);
        if (token >= counts->n_tokens - 1) {
            return MB_INVALID;
        }
        sum += mb_lgamma_difference(alpha[prior->width > 1 ? token : 0], many);
        total += many;
        MB_TRY(mb_ask(interrupt, PAIR_COST));
    }
    *evidence = sum - mb_lgamma_difference(prior->concentration[k], total);
    return MB_OK;
}

/* ln(e^a + e^b) */
static double
log_of_both(double a, double b)
{
    double high = a > b ? a : b, low = a > b ? b : a;
    return low == -INFINITY ? high : high + log1p(exp(low - high));
}

static mb_status
leaf_evidence(const mb_transitions *counts, const mb_leaf_prior *prior, size_t low, size_t high,
              mb_interrupt *interrupt, double *evidence)
{
    double found = -INFINITY;
    for (size_t k = 0; k < prior->n_components; k++) {
        double own;
        MB_TRY(dirichlet_evidence(counts, prior, k, low, high, interrupt, &own));
        found = log_of_both(found, own + log(prior->weights[k]));
    }
    *evidence = found;
    return MB_OK;
}

/* Where the row that begins at `low` ends. */
static size_t
row_end(const mb_transitions *counts, size_t low)
{
    const mb_run *run = counts->runs[0];
    size_t n_words = counts->layout.n_words, end = low + 1;
    const uint64_t *first = run->keys + low * n_words;
    while (end < run->n && mb_key_same_context(&counts->layout, run->keys + end * n_words, first)) {
        end++;
    }
    return end;
}

/* The first key that the row of the shorter context may have, mixed; whether a text begins with
 * the longer one, whose key this is. */
static int
shorten(const mb_key_layout *layout, uint64_t n_tokens, const uint64_t *key,
        const mb_key_layout *shorter, uint64_t *out)
{
    uint64_t own[MB_MAX_WORDS];
    memcpy(own, key, layout->n_words * sizeof(uint64_t));
    mb_key_unmix(layout, layout->n_words, own);
    memset(out, 0, shorter->n_words * sizeof(uint64_t));
    for (size_t place = 1; place < layout->order; place++) {
        mb_key_append(shorter, shorter->n_words, mb_key_token(layout, own, place), out);
    }
    mb_key_append(shorter, shorter->n_words, 0, out);
    mb_key_mix(shorter, shorter->n_words, out);
    return mb_key_token(layout, own, 0) == n_tokens - 1;
}

/* Adds what some rows, one at least, gave to the places of their shorter contexts. */
static mb_status
give(const mb_transitions *shorter, size_t many, const uint64_t *keys, const double *given,
     double *above)
{
    const mb_key_layout *layout = &shorter->layout;
    size_t places[SEARCHES];
    if (shorter->n_runs == 0) {
        return MB_INVALID;
    }
    const mb_run *run = shorter->runs[0];
    mb_run_search(layout, run, many, keys, places);
    for (size_t i = 0; i < many; i++) {
        if (places[i] >= run->n ||
            !mb_key_same_context(layout, run->keys + places[i] * layout->n_words,
                                 keys + i * layout->n_words)) {
            return MB_INVALID;
        }
        above[places[i]] += given[i];
    }
    return MB_OK;
}

mb_status
mb_contexts_fold(const mb_transitions *counts, const mb_transitions *shorter,
                 const mb_leaf_prior *prior, const double *below, mb_interrupt *interrupt,
                 double *odds, double *above, double *evidence)
{
    const mb_key_layout *layout = &counts->layout;
    size_t n = counts->n_runs == 0 ? 0 : counts->runs[0]->n, many = 0;
    uint64_t keys[SEARCHES * MB_MAX_WORDS] MB_FILLED;
    double given[SEARCHES], sum = 0.0;
    for (size_t low = 0, high; low < n; low = high) {
        double own;
        high = row_end(counts, low);
        MB_TRY(leaf_evidence(counts, prior, low, high, interrupt, &own));
        int is_leaf = below == NULL;
        if (shorter != NULL) {
            const uint64_t *key = counts->runs[0]->keys + low * layout->n_words;
            uint64_t *to = keys + many * shorter->layout.n_words;
            is_leaf |= shorten(layout, counts->n_tokens, key, &shorter->layout, to);
        }
        double stop = prior->log_stop + own, deeper = 0.0;
        odds[low] = -INFINITY;
        if (!is_leaf) {
            deeper = prior->log_deeper + below[low];
            odds[low] = deeper - stop;
            own = prior->is_best ? (deeper > stop ? deeper : stop) : log_of_both(stop, deeper);
        }
        if (!isfinite(own)) {
            return MB_NUMERIC;
        }
        sum += own;
        given[many++] = own;
        if (many == SEARCHES || high == n) {
            MB_TRY(shorter == NULL ? MB_OK : give(shorter, many, keys, given, above));
            MB_TRY(mb_ask(interrupt, ROW_COST * many));
            many = 0;
        }
    }
    *evidence = sum;
    return MB_OK;
}

mb_status
mb_transitions_places(const mb_transitions *counts, size_t n, const int64_t *contexts,
                      mb_interrupt *interrupt, int64_t *places, mb_token_fault *fault)
{
    const mb_key_layout *layout = &counts->layout;
    size_t n_words = layout->n_words, found[SEARCHES];
    uint64_t keys[SEARCHES * MB_MAX_WORDS] MB_FILLED;
    const mb_run *run = counts->n_runs == 0 ? NULL : counts->runs[0];
    for (size_t at = 0; at < n; at += SEARCHES) {
        size_t many = n - at < SEARCHES ? n - at : SEARCHES;
        for (size_t i = 0; i < many; i++) {
            fault->row = at + i;
            MB_TRY(mb_key_read(counts, contexts + (at + i) * layout->order, 0, keys + i * n_words,
                               fault));
        }
        if (run != NULL) {
            mb_run_search(layout, run, many, keys, found);
        }
        for (size_t i = 0; i < many; i++) {
            int there =
                run != NULL && found[i] < run->n &&
                mb_key_same_context(layout, run->keys + found[i] * n_words, keys + i * n_words);
            places[at + i] = there ? (int64_t)found[i] : -1;
        }
        MB_TRY(mb_ask(interrupt, ROW_COST * many));
    }
    return MB_OK;
}
