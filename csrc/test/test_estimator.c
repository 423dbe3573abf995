/* Checks of core/estimator: the sums of E-steps in long double, a row at a time; the maxima of M-steps
 * by their gradients; counts as cells, and what is wrong with those that are none; draws. */
#include "core/base/mem.h"
#include "core/estimator/count_expectation.h"
#include "core/estimator/counts.h"
#include "core/estimator/draws.h"
#include "core/estimator/expectation.h"
#include "core/estimator/partial.h"
#include "core/estimator/maximization.h"
#include "core/mixture/posterior.h"
#include "core/special/special.h"
#include "test/check.h"
#include "test/failing_mem.h"

#include <string.h>

enum { K = 3, N = 150, MOST = 21, WIDTH = 64 };

static size_t v_all;
static mb_mixture *mixture;
static double alpha[K * MOST], log_probs[N * MOST], counts[N * MOST], sample_weight[N];
static double joint[N * K], density[N], scratch[1 << 14];

static void
fill(size_t n_tokens)
{
    double even[K] = {0.2, 0.3, 0.5};
    v_all = n_tokens;
    for (size_t i = 0; i < K * v_all; i++) {
        alpha[i] = 0.2 + 3.0 * uniform();
    }
    for (size_t i = 0; i < N; i++) {
        double sum = 0.0, *row = log_probs + i * v_all;
        for (size_t v = 0; v < v_all; v++) {
            row[v] = 0.01 + uniform() * uniform();
            sum += row[v];
            counts[i * v_all + v] = uniform() < 0.4 ? 0.0 : floor(6.0 * uniform());
        }
        for (size_t v = 0; v < v_all; v++) {
            row[v] = log(row[v] / sum);
        }
        sample_weight[i] = i % 4 == 0 ? 0.0 : 2.0 * uniform();
    }
    check(mb_mixture_new(K, v_all, even, alpha, NULL, &mixture) == MB_OK, "mixture", 0, 0, 0);
    check(mb_expectation_scratch(K) <= sizeof scratch / sizeof scratch[0], "scratch", 0, 0, 0);
}

/* The sums of responsibilities [N][K] times rows [N][V], one after the other. */
static void
slow_sums(const double *shares, const double *rows, const double *by, long double *weight,
          long double *sums)
{
    memset(weight, 0, K * sizeof *weight);
    memset(sums, 0, K * v_all * sizeof *sums);
    for (size_t i = 0; i < N; i++) {
        for (size_t k = 0; k < K; k++) {
            long double share = (long double)shares[i * K + k] * (by == NULL ? 1.0L : by[i]);
            weight[k] += share;
            for (size_t v = 0; v < v_all; v++) {
                sums[k * v_all + v] += share * (long double)rows[i * v_all + v];
            }
        }
    }
}

static void
test_rows(const double *by)
{
    double weight[K] = {0.0}, sums[K * MOST] = {0.0};
    long double slow_weight[K], slow[K * MOST], likelihood = 0.0L;
    mb_log_rows rows = {log_probs, N, 1};
    mb_sums found = {weight, sums, 0.0};
    check(mb_expectation(mixture, &rows, by, NULL, scratch, &found) == MB_OK, "E-step", 0, 0, 0);
    check(mb_mixture_log_joint_rows(mixture, &rows, NULL, joint) == MB_OK &&
              mb_normalize_log_joint(N, K, NULL, joint, density) == MB_OK,
          "shares", 0, 0, 0);
    for (size_t i = 0; i < N; i++) {
        likelihood += (long double)density[i] * (by == NULL ? 1.0L : by[i]);
    }
    slow_sums(joint, log_probs, by, slow_weight, slow);
    check_close("log-likelihood", 0, found.log_likelihood, (double)likelihood, 1e-12);
    for (size_t i = 0; i < K * v_all; i++) {
        check_close("weight", (double)i, weight[i / v_all], (double)slow_weight[i / v_all], 1e-12);
        check_close("log-sum", (double)i, sums[i], (double)slow[i], 1e-12);
    }
    mb_sums again = {weight, sums, 5.0};
    check(mb_accumulate(K, v_all, &rows, joint, NULL, scratch, &again) == MB_OK, "given shares", 0,
          0, 0);
    check(again.log_likelihood == 5.0, "likelihood as it was", 0, again.log_likelihood, 5.0);
    long double more_weight[K], more[K * MOST];
    slow_sums(joint, log_probs, NULL, more_weight, more);
    for (size_t i = 0; i < K * v_all; i++) {
        check_close("they add", (double)i, sums[i], (double)(slow[i] + more[i]), 1e-12);
    }
}

/* The mean log-probabilities of Dir(alpha), which has to come back from any start. */
static void
test_row_maxima(void)
{
    const mb_prior_on_alpha none = {0.0, 0.0, 0.0, 1e8, 1e-15};
    for (size_t k = 0; k < K; k++) {
        double mean_log[MOST], found[MOST], total = 0.0;
        int capped = 1;
        for (size_t v = 0; v < v_all; v++) {
            total += alpha[k * v_all + v];
        }
        for (size_t v = 0; v < v_all; v++) {
            mean_log[v] = mb_digamma1(alpha[k * v_all + v]) - mb_digamma1(total);
            found[v] = 0.01 + 30.0 * uniform();
        }
        mb_status status = mb_maximize_rows(v_all, mean_log, &none, NULL, found, scratch, &capped);
        check(status == MB_OK && !capped, "M-step of rows", (double)k, status, MB_OK);
        for (size_t v = 0; v < v_all; v++) {
            check_close("its alpha", (double)v, found[v], alpha[k * v_all + v], 1e-7);
        }
        const mb_prior_on_alpha tight = {0.0, 0.0, 0.0, 0.5 * total, 1e-15};
        status = mb_maximize_rows(v_all, mean_log, &tight, NULL, found, scratch, &capped);
        total *= -0.5;
        for (size_t v = 0; v < v_all; v++) {
            total += found[v];
        }
        check(status == MB_OK && capped, "capped", (double)k, capped, 1);
        check_near("at its cap", (double)k, total, 0.0, 1e-9);
    }
}

/* All rows of counts as sparse ones. */
static mb_counts *
encoded(void)
{
    static int64_t starts[N + 1], columns[N * MOST];
    static double values[N * MOST];
    mb_counts *cells = NULL;
    mb_sparse_fault fault;
    size_t n = 0;
    for (size_t i = 0; i < N * v_all; i++) {
        starts[i / v_all] = i % v_all == 0 ? (int64_t)n : starts[i / v_all];
        if (counts[i] > 0.0) {
            columns[n] = (int64_t)(i % v_all);
            values[n++] = counts[i];
        }
    }
    starts[N] = (int64_t)n;
    const mb_sparse_rows rows = {N, v_all, n, starts, columns, values};
    check(mb_counts_new(&rows, NULL, &cells, &fault) == MB_OK, "counts", 0, 0, 0);
    return cells;
}

static void
test_cells(const mb_counts *cells)
{
    for (size_t i = 0; i < N; i++) {
        double seen[MOST] = {0.0}, total = 0.0, sum = 0.0;
        for (size_t e = cells->starts[i]; e < cells->starts[i + 1]; e++) {
            uint32_t cell = cells->entries[e], token = cells->token[cell];
            *(token == v_all ? &total : seen + token) += cells->count[cell];
        }
        for (size_t v = 0; v < v_all; v++) {
            check_near("cell", (double)v, seen[v], counts[i * v_all + v], 0.0);
            sum += counts[i * v_all + v];
        }
        check_near("total", (double)i, total, sum, 0.0);
    }
    for (size_t c = 1; c < cells->n_cells; c++) {
        int rises =
            cells->token[c - 1] < cells->token[c] ||
            (cells->token[c - 1] == cells->token[c] && cells->count[c - 1] < cells->count[c]);
        check(rises, "order of cells", (double)c, cells->count[c], 0);
    }
}

static void
test_counts(const mb_counts *cells, double *table, double *sums)
{
    size_t width = mb_table_width(K);
    double weight[WIDTH] = {0.0}, own[N * K];
    long double slow_weight[K] = {0.0L}, slow_totals[K] = {0.0L}, likelihood = 0.0L;
    mb_count_sums found = {weight, sums, 0.0};
    check(mb_evidence_table(mixture, cells, NULL, table) == MB_OK, "table", 0, 0, 0);
    check(mb_counts_log_joint(cells, 0, N, K, mixture->log_weights, table, NULL, scratch, joint) ==
              MB_OK,
          "joint", 0, 0, 0);
    check(mb_mixture_log_joint_counts(mixture, N, counts, NULL, own) == MB_OK, "own", 0, 0, 0);
    for (size_t i = 0; i < (size_t)N * K; i++) {
        check_near("evidence of cells", (double)i, joint[i], own[i], 1e-11);
    }
    check(mb_normalize_log_joint(N, K, NULL, own, density) == MB_OK, "shares", 0, 0, 0);
    check(mb_count_expectation(cells, 0, N, K, mixture->log_weights, table, sample_weight, NULL,
                               scratch, &found) == MB_OK,
          "E-step", 0, 0, 0);
    for (size_t i = 0; i < N; i++) {
        likelihood += (long double)(sample_weight[i] * density[i]);
        for (size_t k = 0; k < K; k++) {
            long double share = (long double)(sample_weight[i] * own[i * K + k]);
            slow_weight[k] += share;
            slow_totals[k] += cells->starts[i] < cells->starts[i + 1] ? share : 0.0L;
        }
    }
    check_close("log-likelihood", 0, found.log_likelihood, (double)likelihood, 1e-12);
    for (size_t k = 0; k < K; k++) {
        check_close("weight", (double)k, weight[k], (double)slow_weight[k], 1e-12);
        long double mine = 0.0L;
        for (size_t c = 0; c < cells->n_cells; c++) {
            mine += cells->token[c] == v_all ? (long double)sums[c * width + k] : 0.0L;
        }
        check_close("of totals", (double)k, (double)mine, (double)slow_totals[k], 1e-12);
    }
}

/* The rows (1, 2, 0) and (3, 0, 1). */
static mb_status
maximize_few(mb_interrupt *interrupt)
{
    static const uint32_t token[] = {0, 0, 1, 2, 3, 3};
    static const double count[] = {1.0, 3.0, 2.0, 1.0, 3.0, 4.0};
    static const double weight[] = {1.0, 1.0, 1.0, 1.0, 1.0, 1.0};
    const mb_cells cells = {6, 1, token, count, weight};
    const mb_prior_on_alpha prior = {0.5, 0.0, 0.1, 1e8, 1e-15};
    double found[] = {1.0, 1.0, 1.0};
    int capped;
    return mb_maximize_counts(3, &cells, &prior, interrupt, found, scratch, &capped);
}

/* The slope of l by each alpha, sum of weight [psi(alpha + n) - psi(alpha)] less that of A, is 0. */
static void
test_count_maxima(const mb_counts *cells, const double *sums)
{
    const mb_prior_on_alpha prior = {0.5, 0.0, 0.1, 1e8, 1e-15};
    size_t width = mb_table_width(K);
    for (size_t k = 0; k < K; k++) {
        double found[MOST], slope[MOST + 1] = {0.0}, total = 0.0;
        int capped = 1;
        for (size_t v = 0; v < v_all; v++) {
            found[v] = 1.0;
        }
        const mb_cells mine = {cells->n_cells, width, cells->token, cells->count, sums + k};
        mb_status status = mb_maximize_counts(v_all, &mine, &prior, NULL, found, scratch, &capped);
        check(status == MB_OK && !capped, "M-step of counts", (double)k, status, MB_OK);
        for (size_t v = 0; v < v_all; v++) {
            total += found[v];
        }
        for (size_t c = 0; c < cells->n_cells; c++) {
            uint32_t token = cells->token[c];
            double from = token == v_all ? total : found[token];
            slope[token] += sums[c * width + k] * mb_digamma_difference(from, cells->count[c]);
        }
        for (size_t v = 0; v < v_all; v++) {
            double mine_alone = slope[v] + prior.each / found[v];
            check_near("slope", (double)v, mine_alone - slope[v_all] - prior.rate, 0.0,
                       1e-6 * (1.0 + mine_alone));
        }
    }
}

/* Draws of a row: rising tokens, all n of them, in the proportions of the row. */
static void
test_draws(void)
{
    enum { TOKENS = 400, EACH = 50 };
    const mb_draw_plan plan = {TOKENS, EACH, 3};
    static int64_t ends[EACH], columns[EACH * MOST];
    static double of_cell[EACH * MOST];
    double mean[MOST] = {0.0}, drawn[MOST] = {0.0}, none[] = {-INFINITY, -INFINITY};
    const mb_draw_row row = {log_probs, v_all, 1, 11, 2.0}, wrong = {none, 2, 1, 0, 1.0};
    check(mb_draw_scratch(v_all, &plan) <= sizeof scratch / sizeof scratch[0], "room", 0, 0, 0);
    mb_status status = mb_draw(&row, &plan, NULL, scratch, 0, ends, columns, of_cell, mean);
    check(status == MB_OK, "draws", 0, status, MB_OK);
    for (int64_t d = 0, i = 0; d < EACH; d++) {
        double total = 0.0;
        for (int64_t last = -1; i < ends[d]; last = columns[i++]) {
            check(columns[i] > last && columns[i] < (int64_t)v_all, "rising", (double)i,
                  (double)columns[i], (double)last);
            total += of_cell[i];
            drawn[columns[i]] += of_cell[i];
        }
        check(total == TOKENS, "all of them", (double)d, total, TOKENS);
    }
    for (size_t v = 0; v < v_all; v++) {
        double p = exp(log_probs[v]), all = (double)TOKENS * EACH;
        check_close("mean", (double)v, mean[v], 2.0 * p, 1e-12);
        check_near("proportions", (double)v, drawn[v] / all, p, 5.0 * sqrt(p * (1.0 - p) / all));
    }
    status = mb_draw(&wrong, &plan, NULL, scratch, 0, ends, columns, of_cell, mean);
    check(status == MB_INVALID, "nothing to draw", 0, status, MB_INVALID);
}

/* Sums over what two rows list, and over what they do not: a cell of 1e-20 beside one of 1. */
static void
test_listed(void)
{
    enum { W = 17 }; /* more than are summed at once */
    const size_t starts[] = {0, 2, 2, 3};
    const uint32_t columns[] = {0, 2, 1};
    const mb_listing rows = {3, 3, starts, columns};
    const double factors[] = {2.0, -1.0, 0.5}, each[] = {1.0, 1e-20, 0.1};
    double values[3 * W], whole[2 * W], sums[3 * W], to[3 * W];
    for (size_t v = 0; v < 3; v++) {
        for (size_t k = 0; k < W; k++) {
            values[v * W + k] = each[v] * (double)(k + 1);
            to[v * W + k] = 1.0;
        }
    }
    check(mb_sum_whole(3, W, values, NULL, whole) == MB_OK, "whole", 0, 0, 0);
    check(mb_sum_unlisted(&rows, W, values, whole, NULL, sums) == MB_OK, "unlisted", 0, 0, 0);
    for (size_t k = 0; k < W; k++) {
        double a = (double)(k + 1);
        check_close("all but two", a, sums[k], 1e-20 * a, 1e-12);
        check_close("all", a, sums[W + k], 1.1 * a, 1e-12);
        check_close("all but one", a, sums[(size_t)2 * W + k], 1.1 * a, 1e-12);
    }
    check(mb_sum_listed(&rows, W, values, factors, NULL, sums) == MB_OK, "listed", 0, 0, 0);
    check(mb_add_to_listed(&rows, W, values, factors, NULL, to) == MB_OK, "added", 0, 0, 0);
    for (size_t k = 0; k < W; k++) {
        double a = (double)(k + 1);
        check_close("two", a, sums[k], 1.9 * a, 1e-12);
        check(sums[W + k] == 0.0, "none", a, sums[W + k], 0.0);
        check_close("one", a, sums[(size_t)2 * W + k], 0.5e-20 * a, 1e-12);
        check_close("to the first", a, to[k], 1.0 + 2.0 * a, 1e-12);
        check_close("to the second", a, to[W + k], 1.0 + 0.05 * a, 1e-12);
        check_close("to the third", a, to[(size_t)2 * W + k], 1.0 - a, 1e-12);
    }
}

/* The M-step on rows known in part, by its slopes; of rows that list all, that on rows. */
static void
test_partial_maxima(void)
{
    double listed[MOST], single[MOST], slope[MOST], found[MOST], whole[MOST];
    const mb_prior_on_alpha prior = {0.3, 0.0, 0.01, 1e8, 1e-300};
    int capped = -1;
    for (int all = 0; all < 2; all++) {
        for (size_t v = 0; v < v_all; v++) {
            listed[v] = all ? 1.0 : (double)v / (double)v_all;
            single[v] = all ? 0.0 : 0.2;
            slope[v] = -1.0 - (double)(v % 3) - log((double)v_all);
            found[v] = whole[v] = 1.0;
        }
        mb_partial_sums sums = {1.0, listed, single, slope};
        mb_status status = mb_maximize_partial(v_all, &sums, &prior, NULL, found, scratch, &capped);
        check(status == MB_OK && capped == 0, "maximum", all, status, MB_OK);
        if (all) {
            status = mb_maximize_rows(v_all, slope, &prior, NULL, whole, scratch, &capped);
            check(status == MB_OK, "of rows", 0, status, MB_OK);
        }
        double total = 0.0;
        for (size_t v = 0; v < v_all; v++) {
            total += found[v];
        }
        for (size_t v = 0; v < v_all; v++) {
            double rest = 1.0 - listed[v], a = found[v];
            double at = mb_digamma1(total) - listed[v] * mb_digamma1(a) + slope[v] + single[v] / a -
                        rest * (log(a) + 1.0) + prior.each / a - prior.rate;
            check_near("slope", (double)v, at, 0.0, 1e-6 * (1.0 + single[v] / a));
            if (all) {
                check_close("as of rows", (double)v, a, whole[v], 1e-9);
            }
        }
    }
    const mb_prior_on_alpha bound = {0.0, 0.0, 0.0, 1e6, 1e-300};
    for (size_t v = 0; v < v_all; v++) { /* equal rows: the likelihood rises without end */
        listed[v] = 1.0;
        single[v] = 0.0;
        slope[v] = -log((double)v_all);
        found[v] = 1.0 + (double)v;
    }
    mb_partial_sums equal = {1.0, listed, single, slope};
    mb_status status = mb_maximize_partial(v_all, &equal, &bound, NULL, found, scratch, &capped);
    check(status == MB_OK && capped == 1, "bound", 0, status, MB_OK);
    for (size_t v = 0; v < v_all; v++) {
        check_close("at the bound", (double)v, found[v], 1e6 / (double)v_all, 1e-6);
    }
}

static void
test_refusals(void)
{
    const int64_t starts[] = {0, 2}, falling[] = {2, 0}, columns[] = {0, 3}, beyond[] = {0, 4};
    const double values[] = {1.0, 2.0}, negative[] = {1.0, -2.0}, large[] = {2.0, 0x1p53};
    const struct {
        mb_sparse_error error;
        mb_sparse_rows rows;
    } wrong[] = {
        {MB_SPARSE_STARTS, {1, 4, 2, falling, columns, values}},
        {MB_SPARSE_COLUMN, {1, 4, 2, starts, beyond, values}},
        {MB_SPARSE_VALUE, {1, 4, 2, starts, columns, negative}},
        {MB_SPARSE_TOTAL, {1, 4, 2, starts, columns, large}},
    };
    mb_counts *made = NULL;
    mb_sparse_fault fault;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        mb_status status = mb_counts_new(&wrong[i].rows, NULL, &made, &fault);
        check(status == MB_INVALID && made == NULL, "refused", (double)i, status, MB_INVALID);
        check(fault.error == wrong[i].error && fault.row == 0, "why", (double)i, fault.error,
              wrong[i].error);
    }
    const mb_sparse_rows good = {1, 4, 2, starts, columns, values};
    mb_status status = MB_NOMEM;
    for (long n = 0; status == MB_NOMEM && n < 30; n++) {
        check(made == NULL, "untouched", (double)n, 0, 0);
        fail_request(n);
        status = mb_counts_new(&good, NULL, &made, &fault);
    }
    fail_request(-1);
    check(status == MB_OK && made != NULL && made->n_cells == 3, "at last", 0, status, MB_OK);
    mb_counts_free(made);
    mb_counts_free(NULL);
}

int
main(void)
{
    const size_t widths[] = {2, 7, 8, MOST};
    test_listed();
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        fill(widths[i]);
        test_rows(NULL);
        test_rows(sample_weight);
        test_row_maxima();
        test_draws();
        test_partial_maxima();
        mb_counts *cells = encoded();
        size_t size = cells == NULL ? 1 : cells->n_cells * mb_table_width(K);
        double *table = mb_calloc(size, sizeof(double)), *sums = mb_calloc(size, sizeof(double));
        if (cells != NULL && table != NULL && sums != NULL) {
            test_cells(cells);
            test_counts(cells, table, sums);
            test_count_maxima(cells, sums);
        }
        mb_free(table);
        mb_free(sums);
        mb_counts_free(cells);
        mb_mixture_free(mixture);
    }
    test_refusals();
    check(stops_at_each(maximize_few, 10000), "questions of an M-step", 0, 0, 1);
    return report();
}
