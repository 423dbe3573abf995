/* Checks that every function of the core that takes an interrupt asks it often, ends at once where the
 * answer is to stop, wherever that is, and then leaves nothing behind.  (The sanitized build of this
 * sees what is lost.) */
#include "core/estimator/count_expectation.h"
#include "core/estimator/draws.h"
#include "core/rows/codes.h"
#include "core/rows/distances.h"
#include "core/mixture/divergence.h"
#include "core/estimator/expectation.h"
#include "core/estimator/partial.h"
#include "core/estimator/regression.h"
#include "core/matrix/fading.h"
#include "core/arpa/read.h"
#include "core/arpa/write.h"
#include "core/frozen/frozen.h"
#include "core/elicitation/balance.h"
#include "core/matrix/concentrations.h"
#include "core/matrix/discounts.h"
#include "core/matrix/documents.h"
#include "core/elicitation/tree.h"
#include "core/mixture/learning.h"
#include "core/mixture/posterior.h"
#include "core/estimator/maximization.h"
#include "core/base/mem.h"
#include "core/matrix/ngram_borrow.h"
#include "core/backoff/prune.h"
#include "core/backoff/smoothed.h"
#include "core/backoff/walk.h"
#include "core/rows/rows.h"
#include "core/mixture/row_kernels.h"
#include "core/mixture/sample.h"
#include "core/mixture/tiles.h"
#include "core/matrix/context_tree.h"
#include "core/matrix/transitions.h"
#include "core/rows/variation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

static void
check(int holds, const char *what, size_t at, double got, double wanted)
{
    if (!holds && failures++ < 20) {
        (void)fprintf(stderr, "%s, shape %zu: %g, not %g\n", what, at, got, wanted);
    }
}

/* ---- an interrupt that counts ------------------------------------------------------ */

typedef struct {
    mb_interrupt interrupt;
    size_t asked, stop_at; /* the question that is answered by yes; 0: none is */
} counter;

/* However little has been done since, mb_ask() asks again. */
static int
count_question(void *state)
{
    counter *c = state;
    c->interrupt.since = MB_PATIENCE;
    return ++c->asked == c->stop_at;
}

/* ---- what the functions work on ----------------------------------------------------- */

enum { MOST = 1 << 17 };
static size_t n, n_tokens, n_components; /* the shape, of at most MOST rows x tokens */
static double log_probs[MOST], probs[MOST], counts[MOST], alpha[MOST], weights[MOST], out[MOST];
static double scratch[16 * MOST], more[4 * MOST];
static int64_t starts[MOST + 1], columns[MOST], numbers[MOST];
static mb_mixture *mixture;
static mb_counts *encoded;
static mb_transitions *transitions;

static double
uniform(void *state)
{
    uint64_t *x = state;
    *x = *x * 6364136223846793005u + 1442695040888963407u;
    return (double)(*x >> 11) * 0x1p-53;
}

/* Every fifth count is no whole number, and some are large. */
static void
fill(void)
{
    uint64_t random = 1;
    for (size_t i = 0; i < n; i++) {
        double sum = 0.0;
        for (size_t v = 0; v < n_tokens; v++) {
            size_t at = i * n_tokens + v;
            probs[at] = 0.1 + uniform(&random);
            sum += probs[at];
            counts[at] = at % 5 == 0 ? 300.0 * uniform(&random) : (double)(1 + at % 3);
            columns[at] = (int64_t)v;
            numbers[at] = (int64_t)(at % n);
        }
        for (size_t v = 0; v < n_tokens; v++) {
            probs[i * n_tokens + v] /= sum;
            log_probs[i * n_tokens + v] = log(probs[i * n_tokens + v]);
        }
        starts[i + 1] = (int64_t)((i + 1) * n_tokens);
    }
    for (size_t i = 0; i < n_components * n_tokens; i++) {
        alpha[i] = 0.5 + uniform(&random);
    }
    for (size_t i = 0; i < MOST; i++) {
        weights[i] = 1.0 / (double)n_components;
    }
}

static mb_sparse_rows
sparse_rows(void)
{
    return (mb_sparse_rows){n, n_tokens, n * n_tokens, starts, columns, counts};
}

static mb_log_rows
log_rows(void)
{
    return (mb_log_rows){log_probs, n, 1};
}

static mb_row_view
view(const double *rows)
{
    ptrdiff_t size = sizeof(double);
    return (mb_row_view){rows, MB_FLOAT64, n, n_tokens, (ptrdiff_t)n_tokens * size, size};
}

/* ---- the functions ------------------------------------------------------------------ */

static mb_status
new_mixture(mb_interrupt *interrupt)
{
    mb_mixture *made = NULL;
    mb_status status = mb_mixture_new(n_components, n_tokens, weights, alpha, interrupt, &made);
    check((made != NULL) == (status == MB_OK), "result of mb_mixture_new", 0, status, 0);
    mb_mixture_free(made);
    return status;
}

static mb_status
log_joint_counts(mb_interrupt *interrupt)
{
    return mb_mixture_log_joint_counts(mixture, n, counts, interrupt, more);
}

static mb_status
log_joint_rows(mb_interrupt *interrupt)
{
    mb_log_rows rows = log_rows();
    return mb_mixture_log_joint_rows(mixture, &rows, interrupt, more);
}

static mb_status
block_log_joint(mb_interrupt *interrupt)
{
    mb_log_rows rows = log_rows();
    mb_short_rows room;
    mb_block x = mb_next_block(&rows, n_tokens, 0, &room);
    return mb_block_log_joint(mixture, &x, interrupt, more);
}

static mb_status
normalize(mb_interrupt *interrupt)
{
    memset(more, 0, n * n_components * sizeof(double));
    return mb_normalize_log_joint(n, n_components, interrupt, more, out);
}

static mb_status
posterior(mb_interrupt *interrupt)
{
    return mb_mixture_posterior(mixture, counts, interrupt, more, scratch);
}

static mb_status
predictive(mb_interrupt *interrupt)
{
    return mb_mixture_predictive(mixture, n, counts, interrupt, out, scratch);
}

static mb_status
learn(mb_interrupt *interrupt)
{
    static mb_uncertainty parts[4];
    const int64_t tokens[] = {0, 1, 0};
    return mb_mixture_learn(mixture, counts, 3, tokens, interrupt, scratch, more, parts);
}

static mb_status
row_kernels(mb_interrupt *interrupt)
{
    static int64_t one_each[MOST + 1];
    static double ones[MOST];
    const double own[] = {1.0, 3.0};
    const mb_row_kernels kernels = {n_tokens, 2, probs, probs, ones, own, own, own};
    for (size_t i = 0; i <= n; i++) {
        one_each[i] = (int64_t)i;
        ones[i] = 1.0;
    }
    return mb_row_kernels_log_evidence(&kernels, n, one_each, one_each, ones, interrupt, scratch,
                                       more);
}

static mb_status
mean(mb_interrupt *interrupt)
{
    return mb_mixture_mean(mixture, interrupt, out);
}

static mb_status
variance(mb_interrupt *interrupt)
{
    return mb_mixture_variance(mixture, interrupt, out);
}

static mb_status
entropy(mb_interrupt *interrupt)
{
    return mb_component_entropy(mixture, interrupt, out);
}

static mb_status
uncertainty(mb_interrupt *interrupt)
{
    mb_uncertainty u;
    return mb_mixture_uncertainty(mixture, interrupt, &u);
}

static mb_status
expectation(mb_interrupt *interrupt)
{
    mb_log_rows rows = log_rows();
    mb_sums sums = {more, out, 0.0};
    return mb_expectation(mixture, &rows, NULL, interrupt, scratch, &sums);
}

static mb_status
accumulate(mb_interrupt *interrupt)
{
    mb_log_rows rows = log_rows();
    mb_sums sums = {more, out, 0.0};
    return mb_accumulate(n_components, n_tokens, &rows, weights, interrupt, scratch, &sums);
}

static mb_status
new_counts(mb_interrupt *interrupt)
{
    mb_counts *made = NULL;
    mb_sparse_rows rows = sparse_rows();
    mb_sparse_fault fault;
    mb_status status = mb_counts_new(&rows, interrupt, &made, &fault);
    check((made != NULL) == (status == MB_OK), "result of mb_counts_new", 0, status, 0);
    mb_counts_free(made);
    return status;
}

/* Tokens that no row has. */
static mb_status
new_counts_of_nothing(mb_interrupt *interrupt)
{
    mb_counts *made = NULL;
    mb_sparse_rows rows = {1, n * n_tokens, 0, (int64_t[]){0, 0}, columns, counts};
    mb_sparse_fault fault;
    mb_status status = mb_counts_new(&rows, interrupt, &made, &fault);
    mb_counts_free(made);
    return status;
}

static mb_status
evidence_table(mb_interrupt *interrupt)
{
    return mb_evidence_table(mixture, encoded, interrupt, scratch);
}

static mb_status
counts_log_joint(mb_interrupt *interrupt)
{
    return mb_counts_log_joint(encoded, 0, n, n_components, mixture->log_weights, scratch,
                               interrupt, more, more + (size_t)2 * MOST);
}

static mb_status
count_expectation(mb_interrupt *interrupt)
{
    mb_count_sums sums = {out, scratch + (size_t)8 * MOST, 0.0};
    return mb_count_expectation(encoded, 0, n, n_components, mixture->log_weights, scratch, NULL,
                                interrupt, more, &sums);
}

static mb_status
draws(mb_interrupt *interrupt)
{
    const mb_draw_plan plan = {5, 2, 7};
    static int64_t ends[2], drawn[10];
    for (size_t i = 0; i < n; i++) {
        const mb_draw_row row = {log_probs + i * n_tokens, n_tokens, 1, i, 1.0};
        MB_TRY(mb_draw(&row, &plan, interrupt, scratch, 0, ends, drawn, more, out));
    }
    return MB_OK;
}

static mb_status
count_accumulate(mb_interrupt *interrupt)
{
    mb_count_sums sums = {out, scratch + (size_t)8 * MOST, 0.0};
    return mb_count_accumulate(encoded, 0, n, n_components, weights, interrupt, more, &sums);
}

/* Rows that list every token. */
static mb_listing
listing(void)
{
    static size_t begins[MOST + 1];
    static uint32_t listed[MOST];
    for (size_t i = 0; i < n; i++) {
        begins[i + 1] = (i + 1) * n_tokens;
        for (size_t v = 0; v < n_tokens; v++) {
            listed[i * n_tokens + v] = (uint32_t)v;
        }
    }
    return (mb_listing){n, n_tokens, begins, listed};
}

static mb_status
sum_whole(mb_interrupt *interrupt)
{
    return mb_sum_whole(n_tokens, 1, probs, interrupt, out);
}

static mb_status
sum_unlisted(mb_interrupt *interrupt)
{
    mb_listing rows = listing();
    double whole[] = {1e9, 0.0};
    return mb_sum_unlisted(&rows, 1, probs, whole, interrupt, out);
}

static mb_status
sum_listed(mb_interrupt *interrupt)
{
    mb_listing rows = listing();
    return mb_sum_listed(&rows, 1, probs, probs, interrupt, out);
}

static mb_status
add_to_listed(mb_interrupt *interrupt)
{
    mb_listing rows = listing();
    return mb_add_to_listed(&rows, 1, probs, NULL, interrupt, out);
}

static mb_status
maximize_partial(mb_interrupt *interrupt)
{
    double *listed = more, *single = listed + n_tokens, *slope = single + n_tokens;
    for (size_t v = 0; v < n_tokens; v++) {
        out[v] = 1.0;
        listed[v] = 0.5;
        single[v] = 0.1;
        slope[v] = -2.0 - log((double)n_tokens) - 0.5 * (double)v / (double)n_tokens;
    }
    mb_partial_sums sums = {1.0, listed, single, slope};
    mb_prior_on_alpha prior = {0.0, 0.0, 1e-3, 1e8, 1e-300};
    int capped;
    return mb_maximize_partial(n_tokens, &sums, &prior, interrupt, out, scratch, &capped);
}

/* n units of one row each, all of one mean; of counts, every token once or more. */
static mb_units
units_of(int of_rows)
{
    static int64_t begins[MOST + 1];
    for (size_t i = 0; i <= n; i++) {
        begins[i] = (int64_t)(i * n_tokens);
    }
    for (size_t v = 0; v < n_tokens; v++) {
        out[v] = 1.0 / (double)n_tokens;
    }
    for (size_t i = 0; i < n * n_tokens; i++) {
        more[i] = (double)(1 + i % 40);
    }
    return of_rows ? (mb_units){n, n_tokens, weights, log_probs, NULL, NULL, NULL, NULL}
                   : (mb_units){n, n_tokens, NULL, NULL, begins, columns, more, probs};
}

static mb_status
regression_sums(mb_interrupt *interrupt, int of_rows)
{
    static int64_t places[2];
    places[1] = (int64_t)n;
    mb_units units = units_of(of_rows);
    double *first = scratch + MB_REGRESSION_SCRATCH, *second = first + n_tokens;
    double *value = second + n_tokens;
    mb_regression asked = {weights, out, weights, 1, 1, places};
    mb_regression_sums sums = {value, value + n, value + 2 * n, first, second};
    return mb_regression_derive(&units, &asked, interrupt, scratch, &sums);
}

static mb_status
regress_rows(mb_interrupt *interrupt)
{
    return regression_sums(interrupt, 1);
}

static mb_status
regress_counts(mb_interrupt *interrupt)
{
    return regression_sums(interrupt, 0);
}

static mb_status
regression_mean_of_rows(mb_interrupt *interrupt)
{
    mb_units units = units_of(1);
    return mb_regression_mean(&units, weights, interrupt, out, scratch);
}

static mb_status
regression_mean_of_counts(mb_interrupt *interrupt)
{
    mb_units units = units_of(0);
    return mb_regression_mean(&units, weights, interrupt, out, scratch);
}

static mb_status
normalized_rows(mb_interrupt *interrupt)
{
    mb_row_view rows = view(log_probs);
    mb_row_zeros zeros = {0, 0, 0};
    mb_row_fault fault;
    return mb_log_probs(&rows, MB_LOGITS, interrupt, out, &zeros, &fault);
}

static mb_status
checked_rows(mb_interrupt *interrupt)
{
    mb_row_view rows = view(log_probs);
    mb_row_zeros zeros = {0, 0, 0};
    mb_row_fault fault;
    return mb_log_probs(&rows, MB_LOG_PROBS, interrupt, NULL, &zeros, &fault);
}

/* Rows of equal numbers, whose codes are all 0. */
static mb_status
decoded_rows(mb_interrupt *interrupt)
{
    static uint16_t codes[MOST + (size_t)MB_CODE_HEAD * MOST];
    static float decoded[MOST];
    static int64_t n_censored[MOST];
    mb_code_rows rows = {codes, n, n_tokens, n_tokens + MB_CODE_HEAD};
    mb_code_fault fault;
    float head[] = {0.0F, (float)-log((double)n_tokens)};
    for (size_t i = 0; i < n; i++) {
        memcpy(codes + i * rows.width, head, sizeof head);
    }
    return mb_decode_rows(&rows, interrupt, decoded, n_censored, more, &fault);
}

static mb_status
new_groups(mb_interrupt *interrupt)
{
    mb_groups *made = NULL;
    mb_status status = mb_groups_new(n_tokens, columns, n_tokens, interrupt, &made);
    check((made != NULL) == (status == MB_OK), "result of mb_groups_new", 0, status, 0);
    mb_groups_free(made);
    return status;
}

static mb_status
lumped_rows(mb_interrupt *interrupt)
{
    mb_groups *groups = NULL;
    mb_row_fault fault;
    mb_status status = mb_groups_new(n_tokens, columns, n_tokens, NULL, &groups);
    if (status == MB_OK) {
        status = mb_lump_log_probs(groups, 1, n, log_probs, interrupt, scratch, out, &fault);
    }
    mb_groups_free(groups);
    return status;
}

static mb_status
sample(mb_interrupt *interrupt)
{
    uint64_t state = 1;
    mb_random random = {&state, uniform};
    return mb_mixture_sample(mixture, n, &random, interrupt, out);
}

/* Of the first rows, 64 at most, so that all pairs have room. */
static mb_status
block(mb_distance kind, const double *rows, mb_interrupt *interrupt)
{
    size_t few = n < 64 ? n : 64;
    return mb_block_distances(kind, n_tokens, few, rows, few, rows, interrupt, out);
}

static mb_status
variations(mb_interrupt *interrupt)
{
    return block(MB_VARIATION, probs, interrupt);
}

static mb_status
variations_of_all(mb_interrupt *interrupt)
{
    return mb_block_variation(n_tokens, n, probs, 1, probs, interrupt, out);
}

static mb_status
divergences_of_blocks(mb_interrupt *interrupt)
{
    return block(MB_JENSEN_SHANNON, probs, interrupt);
}

static mb_status
hilbert(mb_interrupt *interrupt)
{
    return block(MB_HILBERT, log_probs, interrupt);
}

static mb_status
pairs(mb_interrupt *interrupt)
{
    size_t wrong;
    mb_distance_rows rows = {log_probs, n, n_tokens, 1};
    return mb_pair_distances(MB_KULLBACK, &rows, n, numbers, numbers, interrupt, out, &wrong);
}

static mb_status
divergences(mb_interrupt *interrupt)
{
    static const int64_t none[MOST + 1];
    mb_predictives x = {n, n_components, n_tokens, 0, alpha, weights, none, none, NULL, 1.0};
    mb_divergence d = {0.0, 0.0, scratch, more, NULL};
    return mb_divergences(&x, probs, interrupt, &d);
}

static mb_status
tempered_divergences(mb_interrupt *interrupt)
{
    static const int64_t none[MOST + 1];
    mb_predictives x = {n, n_components, n_tokens, 0, alpha, weights, none, none, NULL, 0.5};
    mb_divergence d = {0.0, 0.0, scratch, more, NULL};
    return mb_divergences(&x, probs, interrupt, &d);
}

static mb_status
tile_densities(mb_interrupt *interrupt)
{
    mb_block x = {log_probs, 1, n < 64 ? n : 64, n_tokens, n_tokens};
    mb_factors factors = {n_components, mixture->exponents, mixture->ends};
    return mb_tile_densities(&x, &factors, interrupt, more);
}

static mb_status
tile_sums(mb_interrupt *interrupt)
{
    mb_block x = {log_probs, 1, n < 64 ? n : 64, n_tokens, n_tokens};
    return mb_tile_sums(&x, n_components, weights, interrupt, scratch);
}

static const mb_prior_on_alpha loose = {0.1, 0.0, 1e-3, 1e6, 1e-15};

static mb_status
maximize_rows(mb_interrupt *interrupt)
{
    int capped;
    for (size_t v = 0; v < n_tokens; v++) {
        out[v] = 1.0;
    }
    return mb_maximize_rows(n_tokens, log_probs, &loose, interrupt, out, scratch, &capped);
}

/* Under a bound on A. */
static mb_status
maximize_to_bound(mb_interrupt *interrupt)
{
    const mb_prior_on_alpha tight = {0.0, 0.0, 0.0, 0.1 * (double)n_tokens, 1e-300};
    int capped;
    for (size_t v = 0; v < n_tokens; v++) {
        out[v] = 1.0;
    }
    return mb_maximize_rows(n_tokens, log_probs, &tight, interrupt, out, scratch, &capped);
}

static mb_status
maximize_counts(mb_interrupt *interrupt)
{
    int capped;
    mb_cells cells = {encoded->n_cells, 1, encoded->token, encoded->count, weights};
    for (size_t v = 0; v < n_tokens; v++) {
        out[v] = 1.0;
    }
    return mb_maximize_counts(n_tokens, &cells, &loose, interrupt, out, scratch, &capped);
}

/* ---- transitions --------------------------------------- */

/* Counts of order 1 with a pair for each of 2^16 tokens, in two runs. */
static void
count_pairs(mb_transitions **made)
{
    mb_token_fault fault;
    static int64_t times[MOST], tokens[MOST];
    for (size_t i = 0; i < MOST; i++) {
        times[i] = 1;
        tokens[i] = (int64_t)(i / 2);
    }
    mb_status status = mb_transitions_new(1, MOST, made);
    for (size_t half = 0; half < 2 && status == MB_OK; half++) {
        size_t many = half == 0 ? MOST * 3 / 4 : MOST / 4;
        status = mb_transitions_update_rows(*made, many, tokens + half * (MOST - many), tokens,
                                            times, NULL, &fault);
    }
    check(status == MB_OK, "counts of pairs", 0, status, MB_OK);
}

static mb_status
update_rows(mb_interrupt *interrupt)
{
    static int64_t ones[MOST];
    mb_token_fault fault;
    for (size_t i = 0; i < MOST; i++) {
        ones[i] = 1;
    }
    mb_transitions *more_counts = NULL;
    mb_status status = mb_transitions_copy(transitions, &more_counts);
    if (status == MB_OK) {
        status = mb_transitions_update_rows(more_counts, MOST, ones, ones, ones, interrupt, &fault);
        check(status == MB_OK || more_counts->n_observed == transitions->n_observed,
              "observed after a stop", 0, (double)more_counts->n_observed, 0);
    }
    mb_transitions_free(more_counts);
    return status;
}

static mb_document
text(void)
{
    for (size_t i = 0; i < MOST; i++) {
        numbers[i] = (int64_t)(i * i % 1000);
    }
    return (mb_document){MOST, numbers};
}

static mb_status
update(mb_interrupt *interrupt)
{
    mb_token_fault fault;
    mb_document document = text();
    mb_transitions *own = NULL;
    mb_status status = mb_transitions_copy(transitions, &own);
    if (status == MB_OK) {
        status = mb_transitions_update(own, 1, &document, interrupt, &fault);
        check(status == MB_OK || own->n_observed == transitions->n_observed,
              "observed after a stop", 0, (double)own->n_observed, 0);
    }
    mb_transitions_free(own);
    return status;
}

static mb_status
compact(mb_interrupt *interrupt)
{
    mb_transitions *own = NULL;
    mb_status status = mb_transitions_copy(transitions, &own);
    if (status == MB_OK) {
        status = mb_transitions_compact(own, interrupt);
        check(own->n_runs == (status == MB_OK ? 1 : transitions->n_runs), "runs", 0,
              (double)own->n_runs, 0);
    }
    mb_transitions_free(own);
    return status;
}

static mb_status
merge(mb_interrupt *interrupt)
{
    mb_transitions *own = NULL;
    mb_status status = mb_transitions_copy(transitions, &own);
    if (status == MB_OK) {
        status = mb_transitions_merge(own, transitions, interrupt);
        check(status == MB_OK || own->n_observed == transitions->n_observed,
              "observed after a stop", 0, (double)own->n_observed, 0);
    }
    mb_transitions_free(own);
    return status;
}

/* Counts of one run, and of no context, which they are folded into. */
static mb_status
fold_contexts(mb_interrupt *interrupt)
{
    static const double one = 1.0, half = 0.5, total = 0.5 * (MOST - 1);
    static double odds[MOST];
    const mb_leaf_prior prior = {1, 1, &one, &half, &total, -0.7, -0.7, 0};
    const int64_t token = 0, times = 1;
    mb_transitions *own = NULL, *shorter = NULL;
    mb_token_fault fault;
    double above = 0.0, evidence;
    mb_status status = mb_transitions_copy(transitions, &own);
    if (status == MB_OK) {
        status = mb_transitions_compact(own, NULL);
    }
    if (status == MB_OK) {
        status = mb_transitions_new(0, MOST, &shorter);
    }
    if (status == MB_OK) {
        status = mb_transitions_update_rows(shorter, 1, &token, &token, &times, NULL, &fault);
    }
    if (status == MB_OK) {
        status = mb_contexts_fold(own, shorter, &prior, NULL, interrupt, odds, &above, &evidence);
    }
    mb_transitions_free(own);
    mb_transitions_free(shorter);
    return status;
}

/* What is stopped leaves n_observed as it was. */
static mb_status
check_stopped(mb_transitions *own, mb_status status)
{
    check(status == MB_OK || own->n_observed == transitions->n_observed, "observed after a stop", 0,
          (double)own->n_observed, 0);
    mb_transitions_free(own);
    return status;
}

static mb_status
subtract(mb_interrupt *interrupt)
{
    mb_transitions *own = NULL;
    mb_pair_fault fault;
    MB_TRY(mb_transitions_copy(transitions, &own));
    return check_stopped(own, mb_transitions_subtract(own, transitions, interrupt, &fault));
}

static mb_status
scale(mb_interrupt *interrupt)
{
    mb_transitions *own = NULL;
    MB_TRY(mb_transitions_copy(transitions, &own));
    return check_stopped(own, mb_transitions_scale(own, 3, interrupt));
}

static mb_status
shorten(mb_interrupt *interrupt)
{
    mb_transitions *own = NULL, *none = NULL, *made = NULL;
    MB_TRY(mb_transitions_copy(transitions, &own));
    mb_status status = mb_transitions_compact(own, NULL);
    if (status == MB_OK) {
        status = mb_transitions_new(own->layout.order, own->n_tokens, &none);
    }
    if (status == MB_OK) {
        status = mb_transitions_shorten(own, none, interrupt, &made);
    }
    check((made != NULL) == (status == MB_OK), "shortened", 0, 0, 0);
    mb_transitions_free(own);
    mb_transitions_free(none);
    mb_transitions_free(made);
    return status;
}

static mb_status
lead_texts(mb_interrupt *interrupt)
{
    static int64_t led[2 * MOST], bounds[MOST + 1];
    static mb_document documents[MOST];
    for (size_t i = 0; i < MOST; i++) {
        documents[i] = (mb_document){1, columns + i};
    }
    return mb_documents_lead(MOST, documents, documents[0], documents[1], interrupt, led, bounds);
}

static mb_status
ask_places(mb_interrupt *interrupt)
{
    static int64_t places[MOST];
    mb_token_fault fault;
    mb_transitions *own = NULL;
    mb_status status = mb_transitions_copy(transitions, &own);
    if (status == MB_OK) {
        status = mb_transitions_compact(own, NULL);
    }
    if (status == MB_OK) {
        status = mb_transitions_places(own, MOST, columns, interrupt, places, &fault);
    }
    mb_transitions_free(own);
    return status;
}

static mb_status
ask_counts(mb_interrupt *interrupt)
{
    static uint64_t times[MOST];
    mb_token_fault fault;
    return mb_transitions_counts(transitions, MOST, columns, columns, interrupt, times, &fault);
}

static mb_status
ask_totals(mb_interrupt *interrupt)
{
    static uint64_t times[MOST];
    mb_token_fault fault;
    return mb_transitions_totals(transitions, MOST, columns, interrupt, times, &fault);
}

static mb_status
ask_rows(mb_interrupt *interrupt)
{
    static int64_t ends[MOST + 1];
    mb_token_fault fault;
    return mb_transitions_rows(transitions, MOST, columns, interrupt, ends, NULL, NULL, &fault);
}

static mb_status
ask_all(mb_interrupt *interrupt)
{
    static uint32_t contexts[MOST], tokens[MOST];
    static int64_t ends[MOST + 1];
    static uint64_t times[MOST];
    mb_transitions *own = NULL;
    size_t n_contexts = 0;
    mb_status status = mb_transitions_copy(transitions, &own);
    if (status == MB_OK) {
        status = mb_transitions_compact(own, NULL);
    }
    if (status == MB_OK) {
        status = mb_transitions_n_contexts(own, interrupt, &n_contexts);
    }
    if (status == MB_OK) {
        status = mb_transitions_all(own, n_contexts, interrupt, contexts, ends, tokens, times);
    }
    mb_transitions_free(own);
    return status;
}

static mb_status
check_run(mb_interrupt *interrupt)
{
    mb_run_fault fault;
    return mb_run_check(&transitions->layout, MOST, MOST, transitions->runs[0], interrupt, &fault);
}

/* ---- counts that fade ---------------------------------------------------------------- */

enum { FEW = 1000 };
static mb_fading *fading;

/* Runs a change on a copy, which must be as it was where that is stopped. */
static mb_status
change(mb_status (*call)(mb_fading *own, mb_interrupt *interrupt), mb_interrupt *interrupt)
{
    mb_fading *own = NULL;
    double before = 0.0, after = 0.0;
    mb_status status = mb_fading_copy(fading, &own);
    if (status == MB_OK) {
        (void)mb_fading_sum(own, NULL, &before);
        status = call(own, interrupt);
        (void)mb_fading_sum(own, NULL, &after);
        check(status == MB_OK || after == before, "sum after a stop", 0, after, before);
    }
    mb_fading_free(own);
    return status;
}

static mb_status
update_own(mb_fading *own, mb_interrupt *interrupt)
{
    const mb_document document = {FEW, numbers};
    mb_token_fault fault;
    return mb_fading_update(own, 1, &document, interrupt, &fault);
}

static mb_status
add_own(mb_fading *own, mb_interrupt *interrupt)
{
    mb_token_fault fault;
    return mb_fading_add(own, FEW, numbers, numbers, counts, interrupt, &fault);
}

static mb_status
merge_own(mb_fading *own, mb_interrupt *interrupt)
{
    return mb_fading_merge(own, fading, interrupt);
}

static mb_status
scale_own(mb_fading *own, mb_interrupt *interrupt)
{
    mb_token_fault fault;
    return mb_fading_scale(own, FEW, numbers, 0.5, interrupt, &fault);
}

static mb_status
scale_all_own(mb_fading *own, mb_interrupt *interrupt)
{
    mb_token_fault fault;
    return mb_fading_scale(own, 0, NULL, 0.5, interrupt, &fault);
}

static mb_status
fading_update(mb_interrupt *interrupt)
{
    return change(update_own, interrupt);
}

static mb_status
fading_add(mb_interrupt *interrupt)
{
    return change(add_own, interrupt);
}

static mb_status
fading_merge(mb_interrupt *interrupt)
{
    return change(merge_own, interrupt);
}

static mb_status
fading_scale(mb_interrupt *interrupt)
{
    return change(scale_own, interrupt);
}

static mb_status
fading_scale_all(mb_interrupt *interrupt)
{
    return change(scale_all_own, interrupt);
}

/* A copy, whose runs nobody has merged. */
static mb_status
fading_all(mb_interrupt *interrupt)
{
    static int64_t contexts[MOST], begins[MOST], clocks[MOST], tokens[MOST], times[MOST];
    const mb_fading_arrays arrays = {contexts, begins, clocks, tokens, times, out, more};
    mb_fading *own = NULL;
    mb_fading_run *all = NULL;
    mb_status status = mb_fading_copy(fading, &own);
    if (status == MB_OK) {
        status = mb_fading_compact(own, interrupt, &all);
    }
    if (status == MB_OK) {
        status = mb_fading_write(own, all, interrupt, &arrays);
    }
    mb_fading_run_free(all);
    mb_fading_free(own);
    return status;
}

static mb_status
fading_sum(mb_interrupt *interrupt)
{
    return mb_fading_sum(fading, interrupt, out);
}

static mb_status
fading_ask_counts(mb_interrupt *interrupt)
{
    mb_token_fault fault;
    return mb_fading_counts(fading, FEW, numbers, numbers, interrupt, out, &fault);
}

static mb_status
fading_ask_totals(mb_interrupt *interrupt)
{
    mb_token_fault fault;
    return mb_fading_totals(fading, FEW, numbers, interrupt, out, &fault);
}

static mb_status
fading_read(mb_interrupt *interrupt)
{
    static int64_t ends[FEW + 1];
    mb_token_fault fault;
    return mb_fading_read(fading, FEW, numbers, interrupt, ends, NULL, NULL, &fault);
}

static mb_status
fading_load(mb_interrupt *interrupt)
{
    static int64_t contexts[FEW], begins[FEW + 1], tokens[FEW];
    mb_fading *made = NULL;
    const char *wrong;
    for (size_t i = 0; i < FEW; i++) {
        contexts[i] = begins[i] = (int64_t)i;
    }
    begins[FEW] = FEW;
    const mb_fading_rows rows = {.n_rows = FEW,
                                 .n_pairs = FEW,
                                 .contexts = contexts,
                                 .starts = begins,
                                 .tokens = tokens,
                                 .counts = counts};
    mb_status status = mb_fading_load(1, FEW, 0.9, &rows, interrupt, &made, &wrong);
    check((made != NULL) == (status == MB_OK), "result of mb_fading_load", 0, status, 0);
    mb_fading_free(made);
    return status;
}

static mb_status
fading_evidence(mb_interrupt *interrupt)
{
    static const double two[] = {0.5, 0.5}, sums[] = {40.0, 20.0}, each[] = {1.0, 0.5};
    const mb_fading_prior prior = {2, 1, two, sums, each};
    const mb_document document = {FEW, numbers};
    mb_token_fault fault;
    return mb_fading_evidence(fading, 1, &document, &prior, interrupt, out, &fault);
}

/* ---- compact numbers --------------------------------------------------------------------- */

static mb_status
compact_numbers(mb_interrupt *interrupt)
{
    static uint64_t small[MOST];
    uint64_t *words = NULL, sum;
    size_t n_words = 0;
    mb_numbers opened;
    mb_status status = mb_numbers_encode(MOST, small, interrupt, &words, &n_words);
    check((words != NULL) == (status == MB_OK), "result of mb_numbers_encode", 0, status, 0);
    if (status == MB_OK) {
        status = mb_numbers_open(n_words, words, &opened);
    }
    if (status == MB_OK) {
        status = mb_numbers_check(&opened, interrupt, &sum);
    }
    mb_free(words);
    return status;
}

static mb_status
compact_links(mb_interrupt *interrupt)
{
    static uint64_t mixed[MOST];
    uint64_t *words = NULL;
    unsigned token_bits, bits = 0;
    size_t n_words = 0;
    mb_links opened;
    for (size_t i = 0; i < MOST; i++) {
        mixed[i] = i; /* all pairs that there are */
    }
    mb_status status = mb_links_bits(MOST / 2, 2, &token_bits, &bits);
    if (status == MB_OK) {
        status = mb_links_encode(bits, MOST, mixed, interrupt, &words, &n_words);
    }
    check((words != NULL) == (status == MB_OK), "result of mb_links_encode", 0, status, 0);
    if (status == MB_OK) {
        status = mb_links_open(MOST / 2, 2, n_words, words, &opened);
    }
    if (status == MB_OK) {
        status = mb_links_check(&opened, MOST / 2, 2, interrupt);
    }
    if (status == MB_OK) {
        status = mb_links_pairs(&opened, interrupt, mixed);
    }
    mb_free(words);
    return status;
}

/* A level of one context, and one of a context for each token. */
static mb_status
freeze(mb_interrupt *interrupt)
{
    static uint32_t kinds[MOST], others[MOST];
    static int64_t begins[MOST + 1], zeros[MOST], ends_of_rows[MOST + 1];
    static uint64_t times[MOST], both[2][2 * MOST], total;
    const int64_t whole[] = {0, MOST};
    mb_token_fault fault;
    uint64_t *words[2] = {NULL, NULL};
    size_t n_words[2] = {0, 0};
    for (size_t i = 0; i < MOST; i++) {
        kinds[i] = (uint32_t)i;
        begins[i] = (int64_t)i;
        times[i] = 1;
    }
    begins[MOST] = MOST;
    const mb_frozen_rows rows[] = {{1, NULL, whole, kinds, times},
                                   {MOST, kinds, begins, kinds, times}};
    mb_frozen frozen = mb_frozen_begin(MOST);
    mb_status status = MB_OK;
    for (size_t level = 0; level < 2 && status == MB_OK; level++) {
        status = mb_frozen_encode(&frozen, rows + level, interrupt, words + level, n_words + level);
        status = status == MB_OK ? mb_frozen_open(&frozen, n_words[level], words[level]) : status;
        status = status == MB_OK
                     ? mb_frozen_check(&frozen, level, frozen.n_tokens, interrupt, &total)
                     : status;
    }
    if (status == MB_OK) {
        status = mb_frozen_counts(&frozen, 1, MOST, zeros, zeros, interrupt, times, &fault);
    }
    if (status == MB_OK) {
        status = mb_frozen_totals(&frozen, 1, MOST, zeros, interrupt, times, &fault);
    }
    if (status == MB_OK) {
        status =
            mb_frozen_read(&frozen, 1, MOST, zeros, interrupt, ends_of_rows, NULL, NULL, &fault);
    }
    if (status == MB_OK) {
        status = mb_frozen_numbers(&frozen, 1, MOST, zeros, interrupt, ends_of_rows, &fault);
    }
    if (status == MB_OK) {
        status = mb_frozen_walk(&frozen, MOST, zeros, zeros, interrupt, both[0], both[1], &fault);
    }
    if (status == MB_OK) {
        status = mb_frozen_all(&frozen, 1, interrupt, kinds, begins, others, times);
    }
    mb_free(words[0]);
    mb_free(words[1]);
    return status;
}

/* ---- texts ---------------------------------------------------------------------------- */

/* One text of equal tokens, asked about at every place, in a tree two tokens deep. */
enum { PLACES = 300 };
static int64_t coming[PLACES], places[PLACES], ends[PLACES + 1], asked[PLACES], paths[PLACES][3];
static double held[PLACES][3];

static mb_texts
write_text(void)
{
    for (size_t i = 0; i < PLACES; i++) {
        coming[i] = i + 1 < PLACES ? 0 : -1;
        places[i] = (int64_t)i;
        ends[i + 1] = (int64_t)i; /* an entry of each question but the first */
        asked[i] = 0;
        for (size_t d = 0; d < 3; d++) {
            paths[i][d] = d <= i ? (int64_t)(d << 32 | (i - d)) : -1;
            held[i][d] = d <= i + 1 ? (double)(i + 1 - d) : 0.0;
        }
    }
    return (mb_texts){2, PLACES, PLACES, PLACES - 1, coming, places, ends, asked};
}

static const double ones[] = {1.0, 1.0};
static const mb_tree_prior tree = {2, ones, {1.0, 1.0}, {1.0, 1.0}, 1.0};
static const mb_tree_paths tree_paths = {3, PLACES - 1, &paths[0][0], &held[0][0]};

static mb_status
tree_predict(mb_interrupt *interrupt)
{
    mb_texts x = write_text();
    mb_tree_predictions p = {out, out + PLACES, scratch, scratch + PLACES};
    return mb_tree_predict(&tree, &x, &tree_paths, interrupt, &p);
}

static mb_status
tree_pull(mb_interrupt *interrupt)
{
    mb_texts x = write_text();
    mb_tree_predictions by = {weights, weights, weights, weights};
    mb_tree_slopes slopes = {.alpha = out};
    return mb_tree_pull(&tree, &x, &tree_paths, &by, interrupt, &slopes);
}

static mb_status
balance_predict(mb_interrupt *interrupt)
{
    mb_texts x = write_text();
    const mb_balance_prior prior = {1.0, 0.5};
    const mb_balance_slots slots = {1, coming, asked};
    mb_balance_predictions p = {out, scratch, scratch + (size_t)4 * PLACES};
    return mb_balance_predict(&prior, &x, &slots, interrupt, &p);
}

/* Rows of one token, which was seen a hundred times, FEW times. */
static mb_mean_rows
hundreds(void)
{
    static int64_t row_starts[FEW + 1];
    static double hundred[FEW];
    static const double value = 2.0;
    for (size_t i = 0; i < FEW; i++) {
        row_starts[i + 1] = (int64_t)i + 1;
        hundred[i] = 100.0;
    }
    return (mb_mean_rows){FEW, FEW, 1, row_starts, hundred, weights, &value};
}

static mb_status
concentration_evidence(mb_interrupt *interrupt)
{
    mb_mean_rows x = hundreds();
    return mb_concentration_evidence(&x, interrupt, out);
}

static mb_status
concentration_shares(mb_interrupt *interrupt)
{
    static double shares[2 * FEW];
    mb_mean_rows x = hundreds();
    return mb_concentration_shares(&x, weights, interrupt, shares);
}

static const double discounts_of[MB_DISCOUNTS] = {0.5, 1.0, 1.5, 1.5, 1.5, 1.5, 1.5, 2.0};

static mb_status
discounted_probs(mb_interrupt *interrupt)
{
    static const int64_t first[MOST];
    const double sizes[MB_ROW_SIZES] = {4.0, 1.0, 0.0, 1.0}, q = 0.5;
    mb_discounted x = {MOST, 1, 1, 1, weights, first, first, sizes, first, discounts_of};
    return mb_discounted_probs(&x, &q, interrupt, out);
}

static mb_status
discounted_fit(mb_interrupt *interrupt)
{
    static const int64_t first[MOST];
    const double sizes[MB_ROW_SIZES] = {4.0, 1.0, 0.0, 1.0}, q = 0.5;
    double log_prob, by[MB_DISCOUNTS];
    mb_discounted x = {MOST, 1, 1, 1, weights, first, first, sizes, first, discounts_of};
    return mb_discounted_fit(1, &x, &q, weights, interrupt, &log_prob, by);
}

static mb_status
row_buckets(mb_interrupt *interrupt)
{
    static const double sizes[FEW * MB_ROW_SIZES];
    static int64_t buckets[FEW];
    mb_status status = MB_OK;
    for (size_t i = 0; i < 32 && status == MB_OK; i++) {
        status = mb_buckets_of_rows(FEW, sizes, MB_BUCKETS, interrupt, buckets);
    }
    return status;
}

/* Rows and shorter pairs of counts, and counts of counts, in one run. */
static mb_status
discounted_rows(mb_interrupt *interrupt)
{
    static double found[MOST], sizes[MOST * MB_ROW_SIZES];
    static int64_t row[MOST];
    mb_transitions *own = NULL, *none = NULL, *shorter = NULL;
    uint64_t times[4];
    size_t n_rows = 0;
    mb_status status = mb_transitions_copy(transitions, &own);
    status = status == MB_OK ? mb_transitions_compact(own, NULL) : status;
    status = status == MB_OK ? mb_transitions_new(own->layout.order, own->n_tokens, &none) : status;
    status = status == MB_OK ? mb_transitions_shorten(own, none, NULL, &shorter) : status;
    status = status == MB_OK ? mb_transitions_n_contexts(own, NULL, &n_rows) : status;
    if (status == MB_OK) {
        status = mb_discounted_rows(own, own, n_rows, interrupt, found, row, sizes);
    }
    status = status == MB_OK ? mb_shorter_pairs(own, shorter, interrupt, row) : status;
    status = status == MB_OK ? mb_counts_of_counts(own, 4, interrupt, times) : status;
    mb_transitions_free(own);
    mb_transitions_free(none);
    mb_transitions_free(shorter);
    return status;
}

/* ---- back-off models as text ----------------------------------------------------------- */

enum { LINES = 1 << 16, LINE = 8 }; /* of words, and as many empty ones before and behind them */

/* Reads a text of many words, a number each. */
static mb_status
arpa_reading(mb_interrupt *interrupt)
{
    static char text[2 * LINES + LINE * LINES + 64];
    static uint32_t before[LINES], words[LINES];
    size_t at = 0;
    memset(text, '\n', sizeof text);
    at += LINES;
    at += (size_t)snprintf(text + at, 48, "\\data\\\nngram 1=%d\n\\1-grams:\n", LINES);
    for (size_t i = 0; i < LINES; i++) {
        at += (size_t)snprintf(text + at, LINE + 1, "-1 %05zx", i);
        text[at++] = '\n';
    }
    text[at - 1] = '\n';
    static const char end[] = {'\\', 'e', 'n', 'd', '\\', '\n'};
    memcpy(text + sizeof text - sizeof end, end, sizeof end);
    mb_arpa *arpa = NULL;
    mb_arpa_fault fault;
    mb_status status = mb_arpa_new(sizeof text, text, interrupt, &fault, &arpa);
    check((arpa != NULL) == (status == MB_OK), "result of mb_arpa_new", 0, status, 0);
    if (status == MB_OK) {
        status = mb_arpa_read(arpa, interrupt, &fault, before, words, out, more);
    }
    if (status == MB_OK) {
        status = mb_arpa_finish(arpa, interrupt, &fault);
    }
    mb_arpa_free(arpa);
    return status;
}

static mb_status
arpa_writing(mb_interrupt *interrupt)
{
    static char text[100 * LINES];
    static const int64_t same[LINES], one_end[1] = {1};
    mb_arpa_grams grams = {LINES, 1, 1, same, weights, weights, one_end, "a", 1};
    size_t room = 0, written = 0;
    mb_status status = mb_arpa_room(&grams, interrupt, &room);
    check(room <= sizeof text, "room for a text", 0, (double)room, 0);
    return status == MB_OK ? mb_arpa_write(&grams, interrupt, sizeof text, text, &written) : status;
}

/* ---- tables of back-off models ------------------------------------------------------ */

static mb_backoff *table;
static mb_transitions *longer_counts, *shorter_counts;

/* MOST contexts of one token, with a pair each. */
static mb_status
new_table(mb_interrupt *interrupt)
{
    static const int64_t root_starts[] = {0, MOST};
    static const double one = 1.0;
    mb_backoff_level levels[2] = {
        {1, MOST, columns, root_starts, columns, weights, &one, NULL},
        {MOST, MOST, columns, starts, columns, weights, weights, NULL},
    };
    mb_backoff_fault fault;
    mb_backoff_free(table);
    table = NULL;
    return mb_backoff_new(MOST, 2, levels, weights, 0, interrupt, &table, &fault);
}

static mb_status
smooth_counts(mb_interrupt *interrupt)
{
    const mb_transitions *levels[2] = {shorter_counts, longer_counts};
    const double one = 1.0;
    mb_smoothing smoothing[2] = {{MB_CONCENTRATIONS, 1, &one, &one, NULL},
                                 {MB_CONCENTRATIONS, 1, &one, &one, NULL}};
    mb_backoff *made;
    mb_backoff_fault fault;
    mb_status status =
        mb_backoff_from_counts(2, levels, smoothing, weights, interrupt, &made, &fault);
    if (status == MB_OK) {
        mb_backoff_free(made);
    }
    return status;
}

static mb_status
score_text(mb_interrupt *interrupt)
{
    mb_token_fault fault;
    const mb_document document = {MOST, columns};
    return mb_backoff_probs(table, 1, &document, 0, 0, interrupt, out, NULL, &fault);
}

static mb_status
contexts_of_table(mb_interrupt *interrupt)
{
    return mb_backoff_contexts(table, 1, NULL, interrupt, numbers);
}

static mb_status
prune_table(mb_interrupt *interrupt)
{
    static unsigned char kept[2 * MOST];
    static const double states[MOST + 1];
    double loss;
    return mb_backoff_prune(table, states, 0.0, interrupt, kept, scratch, &loss);
}

/* ---- all of them --------------------------------------------------------------------- */

/* A function, and how often it must ask at least in the shape at hand. */
typedef struct {
    const char *name;
    mb_status (*call)(mb_interrupt *interrupt);
    size_t least;
} test_case;

static void
run(const test_case *c, size_t shape)
{
    counter all = {{count_question, &all, MB_PATIENCE}, 0, 0};
    mb_status status = c->call(&all.interrupt);
    check(status == MB_OK, c->name, shape, status, MB_OK);
    check(all.asked >= c->least && all.asked > 0, c->name, shape, (double)all.asked,
          (double)c->least);
    size_t at[] = {1, all.asked / 3, (all.asked + 1) / 2, all.asked};
    for (size_t i = 0; i < sizeof(at) / sizeof(*at); i++) {
        counter one = {{count_question, &one, MB_PATIENCE}, 0, at[i] > 0 ? at[i] : 1};
        status = c->call(&one.interrupt);
        check(status == MB_STOPPED, c->name, shape, status, MB_STOPPED);
        check(one.asked == one.stop_at, c->name, shape, (double)one.asked, (double)one.stop_at);
    }
    check(c->call(NULL) == MB_OK, c->name, shape, 0, MB_OK);
}

static size_t
larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void
run_all(size_t shape)
{
    size_t few = n < 64 ? n : 64, of_tiles = (n + 63) / 64 * larger(n_components / 8, 1);
    size_t n_pieces = (n_tokens + 255) / 256, n_runs = (n_tokens + 127) / 128;
    size_t n_sparse = n * n_tokens;
    /* what is done with the products, and what comes before them */
    size_t of_divergences = 5 * ((n + 63) / 64) + (n_tokens > 2048 ? n - 1 : 0);
    const test_case cases[] = {
        {"mb_mixture_new", new_mixture, n_components * n_pieces},
        {"mb_mixture_log_joint_counts", log_joint_counts, n * larger(n_tokens / 128, 1)},
        {"mb_mixture_log_joint_rows", log_joint_rows, of_tiles},
        {"mb_block_log_joint", block_log_joint, larger(n_components / 8, 1)},
        {"mb_normalize_log_joint", normalize, n / 64},
        {"mb_mixture_posterior", posterior, n_components},
        {"mb_mixture_predictive", predictive, n * n_components},
        {"mb_mixture_learn", learn, n_components * n_pieces},
        {"mb_row_kernels_log_evidence", row_kernels, n * ((n_tokens + 31) / 16)},
        {"mb_mixture_mean", mean, n_components},
        {"mb_mixture_variance", variance, n_tokens},
        {"mb_component_entropy", entropy, n_components * n_runs},
        {"mb_mixture_uncertainty", uncertainty, (n_components + 1) * n_runs},
        {"mb_expectation", expectation, 2 * of_tiles + n / 64},
        {"mb_accumulate", accumulate, of_tiles},
        {"mb_counts_new", new_counts, n + 3 * (n_sparse >> 10)},
        {"mb_counts_new of nothing", new_counts_of_nothing, 4 * n_sparse},
        {"mb_evidence_table", evidence_table, encoded->n_cells / 256},
        {"mb_counts_log_joint", counts_log_joint, n},
        {"mb_count_expectation", count_expectation, 2 * n},
        {"mb_count_accumulate", count_accumulate, n},
        {"mb_draw", draws, 3 * n},
        {"mb_sum_whole", sum_whole, n_tokens},
        {"mb_sum_unlisted", sum_unlisted, n_sparse},
        {"mb_sum_listed", sum_listed, n_sparse},
        {"mb_add_to_listed", add_to_listed, n_sparse},
        {"mb_maximize_partial", maximize_partial, 2 * n_pieces},
        {"mb_regression_derive, rows", regress_rows, n * n_pieces},
        {"mb_regression_derive, counts", regress_counts, n_sparse},
        {"mb_regression_mean, rows", regression_mean_of_rows, n * n_pieces},
        {"mb_regression_mean, counts", regression_mean_of_counts, n_sparse},
        {"mb_log_probs", normalized_rows, n * larger(n_tokens / 1024, 1)},
        {"mb_log_probs, only checked", checked_rows, n * larger(n_tokens / 1024, 1)},
        {"mb_decode_rows", decoded_rows, n * larger(n_tokens / 1024, 1)},
        {"mb_groups_new", new_groups, 4 * n_tokens},
        {"mb_lump_log_probs", lumped_rows, n * n_tokens},
        {"mb_mixture_sample", sample, 2 * n * n_tokens},
        {"mb_block_distances, variation", variations, few / 4 * n_pieces},
        {"mb_block_variation", variations_of_all, n * n_pieces},
        {"mb_block_distances, Jensen-Shannon", divergences_of_blocks, few * few},
        {"mb_block_distances, Hilbert", hilbert, few * few},
        {"mb_pair_distances", pairs, n},
        {"mb_divergences", divergences, of_divergences},
        {"mb_divergences, tempered", tempered_divergences, of_divergences},
        {"mb_tile_densities", tile_densities, larger(n_components / 8, 1)},
        {"mb_tile_sums", tile_sums, larger(n_components / 8, 1)},
        {"mb_maximize_rows", maximize_rows, 2 * n_pieces},
        {"mb_maximize_rows to a bound", maximize_to_bound, 2 * n_pieces},
        {"mb_maximize_counts", maximize_counts, 2 * (encoded->n_cells >> 8)},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        run(cases + i, shape);
    }
}

static void
run_fading(void)
{
    const test_case cases[] = {
        {"mb_fading_update", fading_update, (size_t)2 * FEW},
        {"mb_fading_add", fading_add, (size_t)2 * FEW},
        {"mb_fading_merge", fading_merge, FEW},
        {"mb_fading_scale", fading_scale, FEW / 2},
        {"mb_fading_scale of all", fading_scale_all, FEW / 2},
        {"mb_fading_compact and _write", fading_all, FEW / 4},
        {"mb_fading_sum", fading_sum, FEW / 4},
        {"mb_fading_counts", fading_ask_counts, FEW},
        {"mb_fading_totals", fading_ask_totals, FEW},
        {"mb_fading_read", fading_read, FEW},
        {"mb_fading_load", fading_load, FEW / 2},
        {"mb_fading_evidence", fading_evidence, (size_t)2 * FEW},
        {"mb_tree_predict", tree_predict, PLACES},
        {"mb_tree_pull", tree_pull, (size_t)2 * PLACES},
        {"mb_balance_predict", balance_predict, 1},
        {"mb_concentration_evidence", concentration_evidence, FEW >> 8},
        {"mb_concentration_shares", concentration_shares, FEW >> 8},
        {"mb_discounted_probs", discounted_probs, MOST >> 11},
        {"mb_arpa_new, _read and _finish", arpa_reading, LINES >> 13},
        {"mb_arpa_room and _write", arpa_writing, LINES >> 14},
        {"mb_discounted_fit", discounted_fit, MOST >> 11},
        {"mb_buckets_of_rows", row_buckets, FEW >> 8},
    };
    mb_token_fault fault;
    const mb_document document = {FEW, numbers};
    for (size_t i = 0; i < FEW; i++) {
        numbers[i] = (int64_t)(i * i % 613 % 40);
        counts[i] = 0.5;
    }
    mb_status made = mb_fading_new(1, 40, 0.9, &fading);
    for (int twice = 0; twice < 2 && made == MB_OK; twice++) {
        made = mb_fading_update(fading, 1, &document, NULL, &fault);
    }
    check(made == MB_OK, "what is worked on", 0, made, MB_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases) && made == MB_OK; i++) {
        run(cases + i, 0);
    }
    mb_fading_free(fading);
}

static void
run_transitions(void)
{
    const test_case cases[] = {
        {"mb_transitions_update", update, (size_t)2 * (MOST >> 11)},
        {"mb_transitions_update_rows", update_rows, (size_t)2 * MOST},
        {"mb_transitions_compact", compact, MOST >> 13},
        {"mb_transitions_merge", merge, MOST >> 13},
        {"mb_documents_lead", lead_texts, MOST},
        {"mb_transitions_subtract", subtract, MOST >> 13},
        {"mb_transitions_scale", scale, MOST >> 13},
        {"mb_transitions_shorten", shorten, MOST >> 10},
        {"mb_transitions_counts", ask_counts, MOST >> 10},
        {"mb_transitions_totals", ask_totals, MOST >> 10},
        {"mb_transitions_rows", ask_rows, MOST / 2},
        {"mb_contexts_fold", fold_contexts, MOST / 2},
        {"mb_transitions_places", ask_places, MOST >> 10},
        {"mb_discounted_rows and what is asked of pairs", discounted_rows, MOST >> 10},
        {"mb_transitions_n_contexts and _all", ask_all, MOST >> 10},
        {"mb_run_check", check_run, MOST / 4},
    };
    count_pairs(&transitions);
    for (size_t i = 0; i < MOST; i++) {
        columns[i] = (int64_t)i;
    }
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        run(cases + i, 0);
    }
    mb_transitions_free(transitions);
}

static void
run_frozen(void)
{
    const test_case cases[] = {
        {"mb_numbers_encode and _check", compact_numbers, (size_t)3 * (MOST >> 10)},
        {"mb_links_encode, _check and _pairs", compact_links, MOST >> 8},
        {"mb_frozen_encode and what is asked", freeze, MOST >> 6},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        run(cases + i, 0);
    }
}

static void
run_backoff(void)
{
    const test_case cases[] = {
        {"mb_backoff_new", new_table, MOST},
        {"mb_backoff_from_counts", smooth_counts, MOST},
        {"mb_backoff_probs", score_text, MOST / 32},
        {"mb_backoff_contexts", contexts_of_table, MOST >> 10},
        {"mb_backoff_prune", prune_table, MOST},
    };
    for (size_t i = 0; i <= MOST; i++) {
        starts[i] = (int64_t)i;
        columns[i < MOST ? i : 0] = (int64_t)(i < MOST ? i : 0);
    }
    mb_token_fault fault;
    const mb_document document = {MOST, columns};
    mb_status made = mb_transitions_new(1, MOST + 1, &longer_counts) == MB_OK
                         ? mb_transitions_new(0, MOST + 1, &shorter_counts)
                         : MB_NOMEM;
    for (int i = 0; i < 2 && made == MB_OK; i++) {
        made = mb_transitions_update(i == 0 ? longer_counts : shorter_counts, 1, &document, NULL,
                                     &fault);
    }
    check(made == MB_OK, "what is smoothed", 0, made, MB_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        check(new_table(NULL) == MB_OK, "what is worked on", i, 0.0, 0.0);
        run(cases + i, 0);
    }
    mb_backoff_free(table);
    table = NULL;
    mb_transitions_free(longer_counts);
    mb_transitions_free(shorter_counts);
}

static int
change_columns(void *state)
{
    counter *c = state;
    c->interrupt.since = MB_PATIENCE;
    if (++c->asked == c->stop_at) {
        columns[0] = -1;
    }
    return 0;
}

/* Another thread may write to the columns of entries meanwhile: each is checked where it is read. */
static void
run_changed_columns(void)
{
    mb_predictives x = {n, n_components, n_tokens, n, alpha, weights, numbers, columns, probs, 1.0};
    mb_divergence d = {0.0, 0.0, scratch, more, out};
    size_t refused = 0, most = 0;
    for (size_t i = 0; i <= n; i++) { /* an entry a row */
        numbers[i] = (int64_t)i;
    }
    for (size_t at = 1; at <= most + 1; at++) {
        counter c = {{change_columns, &c, MB_PATIENCE}, 0, at};
        mb_status status = mb_divergences(&x, probs, &c.interrupt, &d);
        columns[0] = 0;
        check(status == MB_OK || status == MB_INVALID, "changed columns", at, status, MB_OK);
        refused += status == MB_INVALID;
        most = c.asked > most ? c.asked : most;
    }
    check(refused > 0 && refused < most, "changed columns are seen", n, (double)refused, 1.0);
}

int
main(void)
{
    /* many rows, long rows, many components */
    static const size_t shapes[][3] = {{4000, 9, 3}, {5, 20000, 3}, {70, 40, 500}};
    mb_sparse_fault fault;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
        n = shapes[i][0];
        n_tokens = shapes[i][1];
        n_components = shapes[i][2];
        fill();
        mb_sparse_rows rows = sparse_rows();
        mb_status made =
            mb_mixture_new(n_components, n_tokens, weights, alpha, NULL, &mixture) == MB_OK
                ? mb_counts_new(&rows, NULL, &encoded, &fault)
                : MB_INVALID;
        check(made == MB_OK, "what is worked on", i, made, MB_OK);
        if (made == MB_OK) {
            run_all(i);
            if (n == 5) {
                run_changed_columns();
            }
            mb_counts_free(encoded);
        }
        mb_mixture_free(mixture);
    }
    run_transitions();
    run_fading();
    run_frozen();
    run_backoff();
    return failures > 0;
}
