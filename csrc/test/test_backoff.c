/* Checks of core/backoff: tables of the counts of a text, against the definition by counting it; the same
 * tables from their own arrays; texts cut anywhere; memory that is refused. */
#include "core/backoff/smoothed.h"
#include "core/backoff/walk.h"
#include "test/check.h"
#include "test/failing_mem.h"

#include <stdlib.h>
#include <string.h>

enum { V = 5, N = 400, M = 3, LEVELS = M + 1, TESTED = 3000, MANY = 2000 };

static int64_t text[M + N], tested[M + TESTED];
static mb_transitions *counts[LEVELS];
static const double weights[2] = {0.25, 0.75}, values[2] = {0.5, 8.0};
static const double discounts[MB_DISCOUNTS] = {0.6, 1.1, 1.5, 1.7, 2.0, 2.5, 3.0, 0.5};
static double mean[V] = {0.1, 0.2, 0.3, 0.3, 0.1};

/* ---- the definition ------------------------------------------------------------------------ */

/* How often a token followed a context [n] in the text, M of which are begin tokens. */
static double
slow_count(size_t n, const int64_t *context, int64_t token)
{
    double found = 0.0;
    for (size_t i = M; i < M + N; i++) {
        found += memcmp(text + i - n, context, n * sizeof(int64_t)) == 0 && text[i] == token;
    }
    return found;
}

static double
slow_discount(double count)
{
    return count < 4.0    ? count == 0.0 ? 0.0 : discounts[(size_t)count - 1]
           : count < 6.0  ? discounts[3]
           : count < 10.0 ? discounts[4]
                          : discounts[count < 25.0 ? 5 : 6];
}

static double
slow_prob(mb_smoothing_kind kind, size_t n, const int64_t *context, int64_t token)
{
    double shorter = n > 0 ? slow_prob(kind, n - 1, context + 1, token) : mean[token];
    double own = slow_count(n, context, token), total = 0.0, freed = discounts[7], sum = 0.0;
    double evidence[2] = {0.0, 0.0}, found = 0.0;
    if (n == 0) {
        return mean[token];
    }
    for (int64_t v = 0; v < V; v++) {
        double count = slow_count(n, context, v);
        double q = slow_prob(kind, n - 1, context + 1, v);
        total += count;
        freed += slow_discount(count);
        for (size_t k = 0; k < 2; k++) {
            evidence[k] += lgamma(values[k] * q + count) - lgamma(values[k] * q);
        }
    }
    if (total == 0.0) {
        return shorter;
    }
    if (kind == MB_DISCOUNTED_ROWS) {
        return (own - slow_discount(own) + freed * shorter) / (total + discounts[7]);
    }
    for (size_t k = 0; k < 2; k++) {
        double r = weights[k] * exp(evidence[k] + lgamma(values[k]) - lgamma(values[k] + total));
        found += r * (own + values[k] * shorter) / (total + values[k]);
        sum += r;
    }
    return found / sum;
}

/* ---- tables -------------------------------------------------------------------------------- */

static void
count_text(void)
{
    mb_token_fault fault;
    for (size_t i = 0; i < M + TESTED; i++) {
        int64_t *to = i < M + N ? text + i : tested;
        *to = i < M ? V : (int64_t)(uniform() * uniform() * V);
        tested[i] = i < M ? V : (int64_t)(uniform() * V);
    }
    tested[0] = V;
    for (size_t level = 0; level < LEVELS; level++) {
        const mb_document document = {level + N, text + M - level};
        check(mb_transitions_new(level, V + 1, counts + level) == MB_OK, "new", 0, 0, 0);
        check(mb_transitions_update(counts[level], 1, &document, NULL, &fault) == MB_OK, "counts",
              (double)level, 0, 0);
    }
}

static mb_status
smooth(mb_smoothing_kind kind, mb_backoff **table)
{
    mb_smoothing smoothing[LEVELS];
    mb_backoff_fault fault;
    for (size_t level = 0; level < LEVELS; level++) {
        smoothing[level] = kind == MB_CONCENTRATIONS
                               ? (mb_smoothing){kind, 2, weights, values, NULL}
                               : (mb_smoothing){kind, 1, NULL, discounts, NULL};
    }
    return mb_backoff_from_counts(LEVELS, (const mb_transitions *const *)counts, smoothing, mean,
                                  NULL, table, &fault);
}

static void
check_rows(const mb_backoff *table, mb_smoothing_kind kind)
{
    for (size_t i = 0; i < 60; i++) {
        double row[V], sum = 0.0;
        uint32_t context = 0;
        size_t position;
        const int64_t *tokens = i < 30 ? text + 7 * i : tested + 7 * i;
        check(mb_backoff_walk(table, M, tokens, &context, &position) == MB_OK, "walk", 0, 0, 0);
        mb_backoff_row(table, context, row);
        for (int64_t v = 0; v < V; v++) {
            check_close("row", (double)i, row[v], slow_prob(kind, M, tokens, v), 1e-12);
            sum += row[v];
        }
        check_near("sum of a row", (double)i, sum, 1.0, 1e-14);
    }
}

static void
check_texts(const mb_backoff *table, mb_smoothing_kind kind)
{
    static double whole[TESTED], cut[TESTED];
    static int64_t matched[TESTED];
    mb_token_fault fault;
    const mb_document one = {M + TESTED, tested};
    mb_document many[TESTED / 10];
    check(mb_backoff_probs(table, 1, &one, 0, M, NULL, whole, matched, &fault) == MB_OK, "probs", 0,
          0, 0);
    for (size_t i = 0; i < TESTED; i += i < 40 ? 1 : 37) {
        size_t longest = 0;
        for (size_t n = 0; n < LEVELS; n++) {
            longest = slow_count(n, tested + M + i - n, tested[M + i]) > 0.0 ? n + 1 : longest;
        }
        check_close("prob", (double)i, whole[i], slow_prob(kind, M, tested + i, tested[M + i]),
                    1e-12);
        check(matched[i] == (int64_t)longest, "matched", (double)i, (double)matched[i],
              (double)longest);
    }
    for (size_t d = 0; d < TESTED / 10; d++) {
        many[d] = (mb_document){M + 10, tested + 10 * d};
    }
    check(mb_backoff_n_scored(TESTED / 10, many, M) == TESTED, "scored", 0, 0, 0);
    check(mb_backoff_probs(table, TESTED / 10, many, 0, M, NULL, cut, NULL, &fault) == MB_OK, "cut",
          0, 0, 0);
    for (size_t i = 0; i < TESTED; i++) {
        check(whole[i] == cut[i], "text that is cut", (double)i, cut[i], whole[i]);
    }
    tested[M + 100] = V;
    check(mb_backoff_probs(table, 1, &one, 0, M, NULL, cut, NULL, &fault) == MB_INVALID, "begin", 0,
          0, 0);
    check(fault.row == 0 && fault.position == M + 100 && fault.value == V, "fault", 0, 0, 0);
    tested[M + 100] = 0;
}

/* ---- arrays -------------------------------------------------------------------------------- */

static int64_t contexts[LEVELS][MANY], starts[LEVELS][MANY], tokens[LEVELS][MANY];
static double listed[LEVELS][MANY], backs[LEVELS][MANY];
static mb_backoff_level levels[LEVELS];

/* The levels of a table, contexts in the opposite order. */
static void
take_apart(const mb_backoff *table)
{
    static int64_t own[LEVELS][MANY];
    for (size_t level = 0; level < LEVELS; level++) {
        size_t first = table->firsts[level], n = table->firsts[level + 1] - first, n_pairs = 0;
        if (level > 0) {
            check(mb_backoff_contexts(table, level, own[level - 1], NULL, own[level]) == MB_OK,
                  "contexts", 0, 0, 0);
        }
        for (size_t i = 0; i < n; i++) {
            const mb_backoff_context *context = table->contexts + first + (n - 1 - i);
            memcpy(contexts[level] + i * level, own[level] + (n - 1 - i) * level,
                   level * sizeof(int64_t));
            backs[level][i] = context->back;
            for (size_t p = context->first; p < context[1].first; p++, n_pairs++) {
                const mb_backoff_pair *pair = table->pairs + p;
                tokens[level][n_pairs] = (int64_t)pair->token;
                listed[level][n_pairs] = signbit(pair->value) ? NAN : pair->value;
            }
            starts[level][i + 1] = (int64_t)n_pairs;
        }
        levels[level] = (mb_backoff_level){n,
                                           n_pairs,
                                           contexts[level],
                                           starts[level],
                                           tokens[level],
                                           listed[level],
                                           backs[level],
                                           NULL};
    }
}

static mb_status
put_together(mb_backoff **table)
{
    mb_backoff_fault fault;
    return mb_backoff_new(V, LEVELS, levels, mean, 0, NULL, table, &fault);
}

static void
test_arrays(mb_smoothing_kind kind)
{
    mb_backoff *table = NULL, *again = NULL;
    check(smooth(kind, &table) == MB_OK, "table", kind, 0, 0);
    take_apart(table);
    check(put_together(&again) == MB_OK, "from arrays", kind, 0, 0);
    check_rows(again, kind);
    check_texts(again, kind);
    check(mb_backoff_bytes(again) > 0, "bytes", 0, 0, 0);
    mb_backoff_free(again);
    mb_backoff_free(table);
}

static void
test_no_memory(void)
{
    mb_backoff *table = NULL;
    for (int of_arrays = 0; of_arrays < 2; of_arrays++) {
        mb_status status = MB_NOMEM;
        for (long n = 0; status != MB_OK && n < 1000; n++) {
            fail_request(n);
            status = of_arrays ? put_together(&table) : smooth(MB_CONCENTRATIONS, &table);
            fail_request(-1);
            check(status == MB_OK || status == MB_NOMEM, "no memory", (double)n, status, MB_NOMEM);
        }
        check(status == MB_OK, "enough memory", of_arrays, status, MB_OK);
        mb_backoff_free(table);
    }
}

/* Sizes and numbers that are none of a table's. */
static void
test_refused(void)
{
    mb_backoff *table = NULL;
    mb_backoff_fault fault;
    check(smooth(MB_DISCOUNTED_ROWS, &table) == MB_OK, "table", 0, 0, 0);
    take_apart(table);
    mb_backoff_free(table);
    check(mb_backoff_from_counts(0, NULL, NULL, NULL, NULL, &table, &fault) == MB_RANGE &&
              mb_backoff_new(V, 0, levels, mean, 0, NULL, &table, &fault) == MB_RANGE,
          "no level", 0, 0, 0);
    check(mb_backoff_new(V, MB_MAX_ORDER + 2, levels, mean, 0, NULL, &table, &fault) == MB_RANGE &&
              mb_backoff_new(0, LEVELS, levels, mean, 0, NULL, &table, &fault) == MB_RANGE &&
              mb_backoff_new(UINT32_MAX, LEVELS, levels, mean, 0, NULL, &table, &fault) == MB_RANGE,
          "levels and tokens", 0, 0, 0);
    levels[0].n = 0;
    check(put_together(&table) == MB_INVALID, "no empty context", 0, 0, 0);
    levels[0].n = 1;
    for (size_t i = 0; i < 2; i++) {
        size_t *size = i == 0 ? &levels[1].n : &levels[1].n_pairs, own = *size;
        *size = SIZE_MAX;
        check(put_together(&table) == MB_RANGE, "sizes", (double)i, 0, 0);
        *size = UINT32_MAX;
        check(put_together(&table) == MB_RANGE, "large sizes", (double)i, 0, 0);
        *size = own;
    }
    check(put_together(&table) == MB_OK, "as it was", 0, 0, 0);
    mb_backoff_free(table);
    static const double wrong[] = {-0.1, INFINITY, NAN};
    const double own = mean[1];
    for (size_t i = 0; i < 3; i++) {
        mean[1] = wrong[i];
        check(smooth(MB_CONCENTRATIONS, &table) == MB_NUMERIC, "mean", (double)i, 0, 0);
        mean[1] = own;
    }
}

/* A context of counts that are mapped has tokens that are none. */
static void
test_contexts_that_change(void)
{
    enum { AFTER = 2 }; /* tokens that take no more bits */
    mb_transitions *kept = counts[M];
    mb_backoff *table = NULL;
    mb_token_fault fault;
    static const int64_t contexts_of[] = {0, 1, V + AFTER}, token[] = {1}, once[] = {1};
    check(mb_transitions_new(M, V + 1 + AFTER, counts + M) == MB_OK &&
              mb_transitions_update_rows(counts[M], 1, contexts_of, token, once, NULL, &fault) ==
                  MB_OK,
          "a context", 0, 0, 0);
    counts[M]->n_tokens = V + 1;
    check(smooth(MB_CONCENTRATIONS, &table) == MB_INVALID, "a changed context", 0, 0, 0);
    mb_transitions_free(counts[M]);
    counts[M] = kept;
}

int
main(void)
{
    static const mb_smoothing_kind kinds[] = {MB_CONCENTRATIONS, MB_DISCOUNTED_ROWS};
    count_text();
    for (size_t i = 0; i < 2; i++) {
        mb_backoff *table = NULL;
        check(smooth(kinds[i], &table) == MB_OK, "table", (double)i, 0, 0);
        if (table != NULL) {
            check_rows(table, kinds[i]);
            check_texts(table, kinds[i]);
            test_arrays(kinds[i]);
        }
        mb_backoff_free(table);
    }
    test_no_memory();
    test_refused();
    test_contexts_that_change();
    for (size_t level = 0; level < LEVELS; level++) {
        mb_transitions_free(counts[level]);
    }
    return report();
}
