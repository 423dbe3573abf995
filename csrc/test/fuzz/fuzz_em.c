/* The shapes of EM: both E-steps, what rows list in part, and the M-steps, against long double. */
#include "core/base/ranges.h"
#include "core/estimator/count_expectation.h"
#include "core/estimator/expectation.h"
#include "core/estimator/maximization.h"
#include "core/estimator/partial.h"
#include "test/fuzz/provider.h"

enum { MOST_K = 9, MOST_V = 20, MOST_ROWS = 140, MOST_ENTRIES = 60 };

typedef struct {
    size_t n_components, n_tokens;
    double weights[MOST_K], alpha[MOST_K * MOST_V];
    mb_mixture *mixture;
} prior_taken;

static int
take_prior(provider *from, prior_taken *prior)
{
    size_t components = prior->n_components = take_size(from, 1, MOST_K);
    size_t tokens = prior->n_tokens = take_size(from, 1, MOST_V);
    int any = take_size(from, 0, 7) == 0, is_good = 1;
    double sum = 0.0;
    for (size_t k = 0; k < components; k++) {
        prior->weights[k] = any ? take_double(from) : take_part(from);
        is_good &= prior->weights[k] >= 0.0 && isfinite(prior->weights[k]);
        sum += prior->weights[k];
        for (size_t v = 0; v < tokens; v++) {
            double x = any ? take_double(from) : take_scale(from, 1e-6, 1e6);
            prior->alpha[k * tokens + v] = x;
            is_good &= x >= MB_LEAST_ALPHA && x <= MB_MOST_CONCENTRATION;
        }
    }
    prior->mixture = NULL;
    mb_status status =
        mb_mixture_new(components, tokens, prior->weights, prior->alpha, NULL, &prior->mixture);
    HOLDS(status == MB_OK || status == MB_INVALID || status == MB_RANGE);
    HOLDS(status != MB_OK || (is_good && sum > 0.0));
    HOLDS(status == MB_OK || !(is_good && sum > 1e-300) || any);
    return status == MB_OK && !any;
}

/* The logarithm of a sum of exponentials; r becomes the shares. */
static long double
share(size_t n, long double *r)
{
    long double most = -INFINITY, sum = 0.0L;
    for (size_t k = 0; k < n; k++) {
        most = fmaxl(most, r[k]);
    }
    for (size_t k = 0; k < n; k++) {
        sum += expl(r[k] - most);
    }
    for (size_t k = 0; k < n; k++) {
        r[k] = expl(r[k] - most) / sum;
    }
    return most + logl(sum);
}

static void
check_rows(provider *from, const prior_taken *prior)
{
    size_t n = take_size(from, 1, MOST_ROWS), K = prior->n_components, V = prior->n_tokens;
    int is_double = (int)take_size(from, 0, 1);
    double *wide = exactly(n * V, sizeof *wide), *joint = exactly(n * K, sizeof *joint);
    float *narrow = exactly(n * V, sizeof *narrow);
    double *scratch = exactly(mb_expectation_scratch(K), sizeof *scratch);
    double *weight = exactly(K, sizeof *weight), *sums = exactly(K * V, sizeof *sums);
    double *given = exactly(n, sizeof *given);
    long double wanted_weight[MOST_K] = {0}, wanted_sums[MOST_K * MOST_V] = {0}, likelihood = 0.0L;
    long double scale = 1.0L;
    for (size_t i = 0; i < n * V; i++) {
        narrow[i] = -(float)(50.0 * take_part(from) * take_part(from));
        wide[i] = (double)narrow[i];
    }
    mb_log_rows rows = {is_double ? (void *)wide : (void *)narrow, n, is_double};
    HOLDS(mb_mixture_log_joint_rows(prior->mixture, &rows, NULL, joint) == MB_OK);
    for (size_t i = 0; i < n; i++) {
        given[i] = 2.0 * take_part(from);
        long double r[MOST_K];
        for (size_t k = 0; k < K; k++) {
            long double total = 0.0L, sum = logl((long double)prior->mixture->weights[k]);
            long double size = 1.0L;
            for (size_t v = 0; v < V; v++) {
                long double a = (long double)prior->alpha[k * V + v];
                sum += (a - 1.0L) * (long double)wide[i * V + v] - lgammal(a);
                size += fabsl(lgammal(a)) + fabsl((a - 1.0L) * (long double)wide[i * V + v]);
                total += a;
            }
            r[k] = sum + lgammal(total);
            size += fabsl(lgammal(total));
            HOLDS(is_near((long double)joint[i * K + k], r[k], 0.0L, 1e-14L * size));
            r[k] = (long double)joint[i * K + k]; /* what follows is of these */
        }
        long double found = share(K, r);
        likelihood += (long double)given[i] * found;
        scale += fabsl((long double)given[i] * found);
        for (size_t k = 0; k < K; k++) {
            wanted_weight[k] += (long double)given[i] * r[k];
            for (size_t v = 0; v < V; v++) {
                wanted_sums[k * V + v] +=
                    (long double)given[i] * r[k] * (long double)wide[i * V + v];
            }
        }
    }
    mb_sums all = {weight, sums, 0.0};
    HOLDS(mb_expectation(prior->mixture, &rows, given, NULL, scratch, &all) == MB_OK);
    HOLDS(is_near((long double)all.log_likelihood, likelihood, 0.0L, 1e-13L * scale));
    for (size_t k = 0; k < K; k++) { /* shares are off by what the joint is, which may be large */
        long double off = 1e-13L * scale;
        HOLDS(is_near((long double)weight[k], wanted_weight[k], 1e-12L, off));
        for (size_t v = 0; v < V; v++) {
            HOLDS(
                is_near((long double)sums[k * V + v], wanted_sums[k * V + v], 1e-12L, 50.0L * off));
        }
    }
    free(given);
    free(sums);
    free(weight);
    free(scratch);
    free(narrow);
    free(joint);
    free(wide);
}

/* Sparse rows that may lie. */
typedef struct {
    mb_sparse_rows rows;
    int64_t starts[MOST_ROWS + 1], columns[MOST_ENTRIES];
    double values[MOST_ENTRIES];
    int is_good;
} sparse_taken;

static void
take_sparse(provider *from, size_t n_tokens, sparse_taken *taken)
{
    size_t n = take_size(from, 1, 20), entries = take_size(from, 0, MOST_ENTRIES);
    int lies = take_size(from, 0, 3) == 0;
    taken->is_good = 1;
    taken->starts[0] = 0;
    for (size_t i = 1; i <= n; i++) {
        size_t before = (size_t)taken->starts[i - 1];
        taken->starts[i] = (int64_t)(i == n ? entries : before + take_size(from, 0, 5));
        taken->starts[i] =
            taken->starts[i] > (int64_t)entries ? (int64_t)entries : taken->starts[i];
    }
    if (lies) {
        taken->starts[take_size(from, 0, n)] = (int64_t)take_bits(from, 8);
    }
    taken->is_good = taken->starts[0] >= 0 && taken->starts[n] <= (int64_t)entries;
    for (size_t i = 0; i < n; i++) {
        taken->is_good &= taken->starts[i] <= taken->starts[i + 1];
    }
    for (size_t e = 0; e < entries; e++) {
        size_t how = take_size(from, 0, 15);
        taken->columns[e] = (int64_t)take_size(from, 0, n_tokens - 1);
        taken->values[e] = how < 12   ? (double)take_size(from, 0, 9)
                           : how < 14 ? 1000.0 * take_part(from)
                                      : take_scale(from, 1e-300, 1e15);
        if (lies && how == 15) {
            taken->columns[e] = (int64_t)take_bits(from, 8);
            taken->values[e] = take_double(from);
        }
        double x = taken->values[e];
        int is_outside = (int64_t)e < taken->starts[0] || (int64_t)e >= taken->starts[n];
        taken->is_good &=
            is_outside || (taken->columns[e] >= 0 && (uint64_t)taken->columns[e] < n_tokens &&
                           x >= 0.0 && isfinite(x));
    }
    taken->rows =
        (mb_sparse_rows){n, n_tokens, entries, taken->starts, taken->columns, taken->values};
}

/* Cells are in order, and of a row those that it has. */
static void
check_cells(const mb_counts *counts)
{
    for (size_t c = 0; c < counts->n_cells; c++) {
        HOLDS(counts->token[c] <= counts->n_tokens && counts->count[c] > 0.0);
        HOLDS(
            c == 0 || counts->token[c - 1] < counts->token[c] ||
            (counts->token[c - 1] == counts->token[c] && counts->count[c - 1] < counts->count[c]));
    }
    HOLDS(counts->starts[0] == 0 && counts->starts[counts->n_rows] == counts->n_entries);
    for (size_t e = 0; e < counts->n_entries; e++) {
        HOLDS(counts->entries[e] < counts->n_cells);
    }
}

/* The evidence of one row under a component, and how large its numbers are. */
static long double
log_evidence(const prior_taken *prior, size_t k, const double *row, long double *size)
{
    long double total = 0.0L, sum = 0.0L, all = 0.0L;
    for (size_t v = 0; v < prior->n_tokens; v++) {
        long double a = (long double)prior->alpha[k * prior->n_tokens + v];
        long double more = lgammal(a + (long double)row[v]) - lgammal(a);
        sum += more;
        *size += fabsl(more) + fabsl(lgammal(a)) * 1e-4L + 1.0L;
        total += a;
        all += (long double)row[v];
    }
    *size += fabsl(lgammal(total + all));
    return sum + lgammal(total) - lgammal(total + all);
}

static void
check_counts(provider *from, const prior_taken *prior)
{
    sparse_taken taken;
    mb_counts *counts = NULL;
    mb_sparse_fault fault;
    size_t K = prior->n_components, V = prior->n_tokens;
    take_sparse(from, V, &taken);
    mb_status status = mb_counts_new(&taken.rows, NULL, &counts, &fault);
    HOLDS(status == MB_OK || status == MB_INVALID);
    HOLDS(status != MB_OK || taken.is_good);
    if (status != MB_OK) {
        HOLDS(!taken.is_good || fault.error == MB_SPARSE_TOTAL);
        return;
    }
    check_cells(counts);
    size_t width = mb_table_width(K), n = counts->n_rows;
    double *table = exactly(counts->n_cells * width, sizeof *table);
    double *cells = exactly(counts->n_cells * width, sizeof *cells);
    double *scratch = exactly(mb_count_scratch(K), sizeof *scratch);
    double *joint = exactly(n * K, sizeof *joint), *weight = exactly(K, sizeof *weight);
    HOLDS(mb_evidence_table(prior->mixture, counts, NULL, table) == MB_OK);
    HOLDS(mb_counts_log_joint(counts, 0, n, K, prior->mixture->log_weights, table, NULL, scratch,
                              joint) == MB_OK);
    mb_count_sums sums = {weight, cells, 0.0};
    HOLDS(mb_count_expectation(counts, 0, n, K, prior->mixture->log_weights, table, NULL, NULL,
                               scratch, &sums) == MB_OK);
    long double likelihood = 0.0L, scale = 1.0L, all = 0.0L;
    for (size_t i = 0; i < n; i++) {
        double row[MOST_V] = {0};
        long double r[MOST_K];
        for (int64_t e = taken.starts[i]; e < taken.starts[i + 1]; e++) {
            row[taken.columns[e]] += taken.values[e];
        }
        for (size_t k = 0; k < K; k++) {
            long double size = 1.0L;
            long double wanted = log_evidence(prior, k, row, &size);
            wanted += logl((long double)prior->mixture->weights[k]);
            HOLDS(is_near((long double)joint[i * K + k], wanted, 0.0L, 1e-13L * size));
            r[k] = (long double)joint[i * K + k];
        }
        long double found = share(K, r);
        likelihood += found;
        scale += fabsl(found);
    }
    HOLDS(is_near((long double)sums.log_likelihood, likelihood, 0.0L, 1e-13L * scale));
    for (size_t k = 0; k < K; k++) {
        HOLDS(weight[k] >= 0.0);
        all += (long double)weight[k];
    }
    HOLDS(is_near(all, (long double)n, 1e-13L, 0.0L));
    free(weight);
    free(joint);
    free(scratch);
    free(cells);
    free(table);
    mb_counts_free(counts);
}

/* Sums over what rows list and what they do not. */
static void
check_partial(provider *from)
{
    size_t n = take_size(from, 1, 8), V = take_size(from, 1, MOST_V), width = take_size(from, 1, 9);
    size_t starts[9] = {0}, at = 0;
    uint32_t columns[8 * MOST_V];
    for (size_t i = 0; i < n; i++) {
        for (uint32_t v = 0; v < V; v++) {
            if (take_size(from, 0, 1)) {
                columns[at++] = v;
            }
        }
        starts[i + 1] = at;
    }
    uint32_t *listed = exactly(at, sizeof *listed);
    memcpy(listed, columns, at * sizeof *listed);
    double *values = exactly(V * width, sizeof *values), *out = exactly(n * width, sizeof *out);
    double *rest = exactly(n * width, sizeof *rest), *whole = exactly(2 * width, sizeof *whole);
    for (size_t i = 0; i < V * width; i++) {
        values[i] = take_scale(from, 1e-200, 1e100);
    }
    mb_listing rows = {n, V, starts, listed};
    HOLDS(mb_sum_whole(V, width, values, NULL, whole) == MB_OK);
    HOLDS(mb_sum_listed(&rows, width, values, NULL, NULL, out) == MB_OK);
    HOLDS(mb_sum_unlisted(&rows, width, values, whole, NULL, rest) == MB_OK);
    for (size_t i = 0; i < n; i++) {
        for (size_t w = 0; w < width; w++) {
            long double sum = 0.0L, unlisted = 0.0L, all = 0.0L;
            size_t e = starts[i];
            for (size_t v = 0; v < V; v++) {
                long double x = (long double)values[v * width + w];
                int is_listed = e < starts[i + 1] && listed[e] == v;
                *(is_listed ? &sum : &unlisted) += x;
                e += (size_t)is_listed;
                all += x;
            }
            HOLDS(is_near((long double)out[i * width + w], sum, 1e-14L, 0.0L));
            HOLDS(is_near((long double)rest[i * width + w], unlisted, 1e-14L, 1e-30L * all));
            HOLDS(rest[i * width + w] >= 0.0);
        }
    }
    free(whole);
    free(rest);
    free(out);
    free(values);
    free(listed);
}

/* What the M-step on rows goes up. */
static long double
objective(size_t n, const double *mean_log, const mb_prior_on_alpha *prior, const double *alpha)
{
    long double total = 0.0L, sum = 0.0L;
    for (size_t v = 0; v < n; v++) {
        long double a = (long double)alpha[v];
        total += a;
        sum +=
            (a - 1.0L) * (long double)mean_log[v] - lgammal(a) + (long double)prior->each * logl(a);
    }
    return sum + lgammal(total) + (long double)prior->total * logl(total) -
           (long double)prior->rate * total;
}

static void
check_maximum(provider *from)
{
    size_t n = take_size(from, 1, MOST_V);
    double mean_log[MOST_V], start[MOST_V], scratch[4 * MOST_V], total = 0.0, sum = 0.0;
    double *alpha = exactly(n, sizeof *alpha);
    int capped = 0;
    for (size_t v = 0; v < n; v++) {
        mean_log[v] = -30.0 * take_part(from) * take_part(from) - 1e-3;
        sum += exp(mean_log[v]);
        start[v] = alpha[v] = take_scale(from, 1e-3, 1e3);
        total += alpha[v];
    }
    for (size_t v = 0; v < n && sum > 1.0; v++) { /* as means of logarithms of rows are */
        mean_log[v] -= log(sum) + 1e-9;
    }
    mb_prior_on_alpha prior = {0.0, 0.0, 0.0, 1e9, 1e-12};
    if (take_size(from, 0, 1)) {
        prior = (mb_prior_on_alpha){take_part(from), take_part(from), take_part(from),
                                    total * (1.0 + take_part(from)), 1e-12};
    }
    mb_status status = mb_maximize_rows(n, mean_log, &prior, NULL, alpha, scratch, &capped);
    HOLDS(status == MB_OK || status == MB_NUMERIC);
    long double before = objective(n, mean_log, &prior, start), size = fabsl(before) + 1.0L;
    long double after = objective(n, mean_log, &prior, alpha);
    total = 0.0;
    for (size_t v = 0; v < n; v++) {
        HOLDS(isfinite(alpha[v]) && alpha[v] > 0.0);
        total += alpha[v];
        size += fabsl(lgammal((long double)alpha[v]));
    }
    HOLDS(total <= prior.max_concentration * (1.0 + 1e-12));
    size += fabsl(lgammal((long double)total));
    HOLDS(after >= before - 1e-12L * size);
    free(alpha);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    provider from = {data, size};
    prior_taken prior;
    size_t which = take_size(&from, 0, 3);
    if (which == 2) {
        check_partial(&from);
    } else if (which == 3) {
        check_maximum(&from);
    } else if (take_prior(&from, &prior)) {
        (which == 0 ? check_rows : check_counts)(&from, &prior);
        mb_mixture_free(prior.mixture);
    } else {
        mb_mixture_free(prior.mixture);
    }
    return 0;
}
