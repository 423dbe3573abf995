/* Checks of core/matrix/transition*.c, context_tree.c and the runs below: the counts of a text against a table of all
 * contexts, in one update and in many; look-ups, sums, rows, merges and copies; wrong tokens.  Fading
 * counts are test_fading.c's. */
#include "core/matrix/context_tree.h"
#include "core/matrix/documents.h"
#include "core/matrix/transitions.h"
#include "test/check.h"
#include "test/failing_mem.h"

#include <string.h>

enum { V = 7, ORDER = 2, N_CONTEXTS = V * V, LENGTH = 4000 };

static int64_t text[LENGTH], contexts[N_CONTEXTS * ORDER];
static uint64_t table[N_CONTEXTS][V];

static void
fill(void)
{
    for (size_t i = 0; i < LENGTH; i++) { /* some tokens seldom, the last never */
        text[i] = (int64_t)((V - 1) * uniform() * uniform());
    }
    for (size_t c = 0; c < N_CONTEXTS; c++) {
        contexts[c * ORDER] = (int64_t)(c / V);
        contexts[c * ORDER + 1] = (int64_t)(c % V);
    }
}

static void
slow_update(size_t n, const int64_t *tokens)
{
    for (size_t i = ORDER; i < n; i++) {
        table[tokens[i - 2] * V + tokens[i - 1]][tokens[i]]++;
    }
}

/* Every answer about counts is that of the table. */
static void
check_answers(const mb_transitions *counts)
{
    int64_t each[N_CONTEXTS * V * ORDER], tokens[N_CONTEXTS * V], starts[N_CONTEXTS + 1];
    uint64_t found[N_CONTEXTS * V], totals[N_CONTEXTS], times[N_CONTEXTS * V], sum = 0;
    uint32_t row_tokens[N_CONTEXTS * V];
    mb_token_fault fault;
    for (size_t i = 0; i < (size_t)N_CONTEXTS * V; i++) {
        memcpy(each + i * ORDER, contexts + i / V * ORDER, ORDER * sizeof *each);
        tokens[i] = (int64_t)(i % V);
    }
    check(mb_transitions_counts(counts, (size_t)N_CONTEXTS * V, each, tokens, NULL, found,
                                &fault) == MB_OK,
          "counts", 0, 0, 0);
    check(mb_transitions_totals(counts, N_CONTEXTS, contexts, NULL, totals, &fault) == MB_OK,
          "totals", 0, 0, 0);
    check(mb_transitions_rows(counts, N_CONTEXTS, contexts, NULL, starts, NULL, NULL, &fault) ==
                  MB_OK &&
              mb_transitions_rows(counts, N_CONTEXTS, contexts, NULL, starts, row_tokens, times,
                                  &fault) == MB_OK,
          "rows", 0, 0, 0);
    size_t at = 0;
    for (size_t c = 0; c < N_CONTEXTS; c++) {
        uint64_t total = 0;
        check((size_t)starts[c] == at, "start of a row", (double)c, (double)starts[c], (double)at);
        for (size_t v = 0; v < V; v++) {
            uint64_t wanted = table[c][v];
            total += wanted;
            check(found[c * V + v] == wanted, "count", (double)c, (double)found[c * V + v],
                  (double)wanted);
            if (wanted > 0) {
                check(row_tokens[at] == v && times[at] == wanted, "row", (double)c,
                      (double)times[at], (double)wanted);
                at++;
            }
        }
        check(totals[c] == total, "total", (double)c, (double)totals[c], (double)total);
        sum += total;
    }
    check(counts->n_observed == sum, "observed", 0, (double)counts->n_observed, (double)sum);
}

static mb_transitions *
counted(size_t n, const int64_t *tokens)
{
    mb_transitions *counts = NULL;
    const mb_document document = {n, tokens};
    mb_token_fault fault;
    check(mb_transitions_new(ORDER, V, &counts) == MB_OK, "new", 0, 0, 0);
    check(mb_transitions_update(counts, 1, &document, NULL, &fault) == MB_OK, "update", (double)n,
          0, 0);
    return counts;
}

static void
test_updates(void)
{
    const size_t steps[] = {LENGTH, 1000, 37, 3};
    for (size_t s = 0; s < sizeof steps / sizeof steps[0]; s++) {
        memset(table, 0, sizeof table);
        mb_transitions *counts = counted(0, text);
        for (size_t at = 0; at < LENGTH; at += steps[s]) {
            size_t n = LENGTH - at < steps[s] ? LENGTH - at : steps[s];
            const mb_document halves[] = {{n / 2, text + at}, {n - n / 2, text + at + n / 2}};
            mb_token_fault fault;
            check(mb_transitions_update(counts, 2, halves, NULL, &fault) == MB_OK, "update",
                  (double)at, 0, 0);
            slow_update(halves[0].n, halves[0].tokens);
            slow_update(halves[1].n, halves[1].tokens);
        }
        check_answers(counts);
        check(mb_transitions_compact(counts, NULL) == MB_OK && counts->n_runs <= 1, "compacted", 0,
              (double)counts->n_runs, 1);
        check_answers(counts);
        mb_transitions_free(counts);
    }
}

static void
test_all_rows(void)
{
    memset(table, 0, sizeof table);
    slow_update(LENGTH, text);
    mb_transitions *counts = counted(LENGTH, text);
    uint32_t seen[N_CONTEXTS * ORDER], tokens[N_CONTEXTS * V];
    uint64_t times[N_CONTEXTS * V];
    int64_t starts[N_CONTEXTS + 1];
    size_t n = 0, wanted = 0, pairs = 0;
    check(mb_transitions_compact(counts, NULL) == MB_OK, "compacted", 0, 0, 0);
    check(mb_transitions_n_contexts(counts, NULL, &n) == MB_OK && n <= N_CONTEXTS, "contexts", 0,
          (double)n, 0);
    check(mb_transitions_all(counts, n, NULL, seen, starts, tokens, times) == MB_OK, "all", 0, 0,
          0);
    for (size_t c = 0; c < N_CONTEXTS; c++) {
        uint64_t total = 0;
        for (size_t v = 0; v < V; v++) {
            total += table[c][v];
        }
        wanted += total > 0;
    }
    check(n == wanted, "contexts", 0, (double)n, (double)wanted);
    for (size_t c = 0; c < n; c++) {
        const uint64_t *row = table[seen[c * ORDER] * V + seen[c * ORDER + 1]];
        for (int64_t i = starts[c]; i < starts[c + 1]; i++, pairs++) {
            check(times[i] == row[tokens[i]], "pair", (double)i, (double)times[i],
                  (double)row[tokens[i]]);
        }
    }
    check((size_t)starts[n] == pairs, "pairs", 0, (double)starts[n], (double)pairs);
    mb_transitions_free(counts);
}

/* What is merged adds, itself too; a copy stays as it was; given counts add. */
static void
test_merges(void)
{
    memset(table, 0, sizeof table);
    mb_transitions *counts = counted(1500, text), *more = counted(LENGTH - 1500, text + 1500);
    mb_transitions *copy = NULL;
    slow_update(1500, text);
    check(mb_transitions_copy(counts, &copy) == MB_OK, "copy", 0, 0, 0);
    check(mb_transitions_merge(counts, more, NULL) == MB_OK, "merge", 0, 0, 0);
    check_answers(copy);
    slow_update(LENGTH - 1500, text + 1500);
    check_answers(counts);
    check(mb_transitions_merge(counts, counts, NULL) == MB_OK, "merge with itself", 0, 0, 0);
    for (size_t i = 0; i < (size_t)N_CONTEXTS * V; i++) {
        table[i / V][i % V] *= 2;
    }
    check_answers(counts);
    const int64_t rows[] = {6, 6, 0, 1, 6, 6}, tokens[] = {6, 2, 6};
    const int64_t times[] = {(int64_t)1 << 40, 3, 1};
    mb_token_fault fault;
    check(mb_transitions_update_rows(counts, 3, rows, tokens, times, NULL, &fault) == MB_OK, "rows",
          0, 0, 0);
    table[6 * V + 6][6] += ((uint64_t)1 << 40) + 1;
    table[1][2] += 3;
    check_answers(counts);
    mb_transitions_free(counts);
    mb_transitions_free(more);
    mb_transitions_free(copy);
}

/* ln of the evidence of a row of the table under V - 1 times alpha = 1/2. */
static double
log_row(const uint64_t *row)
{
    double sum = 0.0, total = 0.0;
    for (size_t v = 0; v < V - 1; v++) {
        sum += lgamma(0.5 + (double)row[v]) - lgamma(0.5);
        total += (double)row[v];
    }
    return sum + lgamma(0.5 * (V - 1)) - lgamma(0.5 * (V - 1) + total);
}

/* Contexts of two tokens, all leaves, into contexts of one, half of which are. */
static void
test_fold(void)
{
    static double odds[N_CONTEXTS * V], above[V * V], upper[V * V];
    const double one = 1.0, alpha = 0.5, total = 0.5 * (V - 1);
    mb_leaf_prior prior = {1, 1, &one, &alpha, &total, log(0.5), log(0.5), 0};
    mb_transitions *counts = counted(LENGTH, text), *shorter = NULL, *none = NULL;
    const mb_document document = {LENGTH - 1, text + 1};
    mb_token_fault fault;
    uint64_t row[V] = {0};
    double evidence = 0.0, first = 0.0, wanted = 0.0;
    memset(table, 0, sizeof table);
    slow_update(LENGTH, text);
    check(mb_transitions_compact(counts, NULL) == MB_OK &&
              mb_transitions_new(1, V, &shorter) == MB_OK &&
              mb_transitions_new(1, V, &none) == MB_OK &&
              mb_transitions_update(shorter, 1, &document, NULL, &fault) == MB_OK &&
              mb_transitions_compact(shorter, NULL) == MB_OK,
          "levels", 0, 0, 0);
    check(mb_contexts_fold(counts, shorter, &prior, NULL, NULL, odds, above, &first) == MB_OK,
          "fold", 0, 0, 0);
    for (size_t c = 0; c < N_CONTEXTS; c++) {
        wanted += log_row(table[c]);
    }
    check_close("sum of leaves", 0, first, wanted, 1e-12);
    check(mb_contexts_fold(shorter, NULL, &prior, above, NULL, upper, NULL, &evidence) == MB_OK,
          "fold", 1, 0, 0);
    wanted = 0.0;
    for (size_t c = 0; c < V; c++) {
        double deeper = 0.0, stop;
        memset(row, 0, sizeof row);
        for (size_t before = 0; before < V; before++) {
            deeper += log_row(table[before * V + c]);
            for (size_t v = 0; v < V; v++) {
                row[v] += table[before * V + c][v];
            }
        }
        stop = log_row(row);
        wanted += log(0.5) + (stop > deeper ? stop : deeper) + log1p(exp(-fabs(stop - deeper)));
    }
    check_close("evidence", 0, evidence, wanted, 1e-12);
    check(mb_contexts_fold(counts, none, &prior, NULL, NULL, odds, above, &first) == MB_INVALID,
          "no shorter contexts", 0, 0, 0);
    const int64_t last = V - 1, once = 1;
    check(mb_transitions_update_rows(none, 1, &last, &last, &once, NULL, &fault) == MB_OK &&
              mb_contexts_fold(counts, none, &prior, NULL, NULL, odds, above, &first) == MB_INVALID,
          "other shorter contexts", 0, 0, 0);
    mb_transitions_free(counts);
    mb_transitions_free(shorter);
    mb_transitions_free(none);
}

/* What is taken away is gone, and what was never counted is refused; multiples; types of contexts of
 * one token. */
static void
test_differences(void)
{
    memset(table, 0, sizeof table);
    mb_transitions *counts = counted(LENGTH, text), *less = counted(1500, text), *made = NULL;
    mb_pair_fault fault;
    slow_update(LENGTH, text);
    slow_update(LENGTH, text);
    check(mb_transitions_scale(counts, 2, NULL) == MB_OK, "twice", 0, 0, 0);
    check_answers(counts);
    check(mb_transitions_subtract(counts, less, NULL, &fault) == MB_OK, "subtract", 0, 0, 0);
    for (size_t i = ORDER; i < 1500; i++) {
        table[text[i - 2] * V + text[i - 1]][text[i]]--;
    }
    check_answers(counts);
    check(mb_transitions_subtract(less, counts, NULL, &fault) == MB_INVALID, "more than all", 0, 0,
          0);
    check(fault.counted < fault.taken, "a pair", 0, (double)fault.counted, (double)fault.taken);
    check(mb_transitions_shorten(counts, less, NULL, &made) == MB_OK, "shorten", 0, 0, 0);
    for (int64_t c = 0; c < V; c++) {
        for (int64_t v = 0; v < V; v++) {
            uint64_t types = 0, found = 0, known = 0;
            mb_token_fault wrong;
            for (int64_t first = 0; first < V; first++) {
                const int64_t context[] = {first, c};
                check(mb_transitions_counts(less, 1, context, &v, NULL, &known, &wrong) == MB_OK,
                      "known", 0, 0, 0);
                types += table[first * V + c][v] > 0 && known == 0;
            }
            check(mb_transitions_counts(made, 1, &c, &v, NULL, &found, &wrong) == MB_OK, "types", 0,
                  0, 0);
            check(found == types, "types", (double)c, (double)found, (double)types);
        }
    }
    check(mb_transitions_subtract(counts, counts, NULL, &fault) == MB_OK, "all", 0, 0, 0);
    memset(table, 0, sizeof table);
    check_answers(counts);
    check(mb_transitions_scale(less, 0, NULL) == MB_OK, "by nothing", 0, 0, 0);
    check_answers(less);
    mb_transitions_free(counts);
    mb_transitions_free(less);
    mb_transitions_free(made);
}

/* Keys of a row that went since its size was told leave nothing in its place. */
static void
test_rows_that_shrink(void)
{
    mb_transitions *counts = counted(LENGTH, text);
    mb_token_fault fault;
    int64_t starts[2];
    uint32_t tokens[V + 2];
    uint64_t times[V + 2];
    check(mb_transitions_rows(counts, 1, text, NULL, starts, NULL, NULL, &fault) == MB_OK, "size",
          0, 0, 0);
    size_t many = (size_t)starts[1];
    starts[1] += 2;
    memset(tokens, 1, sizeof tokens);
    memset(times, 1, sizeof times);
    check(mb_transitions_rows(counts, 1, text, NULL, starts, tokens, times, &fault) == MB_OK,
          "rows", 0, 0, 0);
    for (size_t k = 0; k < 2; k++) {
        check(tokens[many + k] == 0 && times[many + k] == 0, "what went", (double)k,
              (double)times[many + k], 0);
    }
    mb_transitions_free(counts);
}

/* As much with keys of two words and of more. */
static void
test_differences_of_long_keys(void)
{
    static const size_t orders[] = {1, 2, 3, 5}, n_words[] = {1, 2, 2, 3};
    for (size_t i = 0; i < 4; i++) {
        mb_transitions *counts = NULL, *less = NULL, *made = NULL;
        mb_pair_fault fault;
        mb_token_fault wrong;
        const mb_document all = {LENGTH, text}, some = {1500, text};
        check(mb_transitions_new(orders[i], (uint64_t)1 << 30, &counts) == MB_OK &&
                  mb_transitions_new(orders[i], (uint64_t)1 << 30, &less) == MB_OK &&
                  mb_transitions_update(counts, 1, &all, NULL, &wrong) == MB_OK &&
                  mb_transitions_update(less, 1, &some, NULL, &wrong) == MB_OK &&
                  counts->layout.n_words == n_words[i],
              "long keys", (double)i, 0, 0);
        if (counts == NULL || less == NULL) {
            return;
        }
        uint64_t left = counts->n_observed - less->n_observed;
        check(mb_transitions_subtract(less, counts, NULL, &fault) == MB_INVALID, "more", (double)i,
              0, 0);
        check(mb_transitions_subtract(counts, less, NULL, &fault) == MB_OK &&
                  counts->n_observed == left,
              "less", (double)i, (double)counts->n_observed, (double)left);
        check(mb_transitions_compact(less, NULL) == MB_OK &&
                  mb_transitions_shorten(less, counts, NULL, &made) == MB_OK &&
                  made->n_observed <= less->runs[0]->n &&
                  made->n_observed + counts->n_observed >= less->runs[0]->n,
              "shorter", (double)i, 0, 0);
        mb_transitions_free(made);
        mb_transitions_free(counts);
        mb_transitions_free(less);
    }
}

/* Each document behind what leads it, none too. */
static void
test_led(void)
{
    const int64_t lead[] = {8, 9}, first[] = {7}, wanted[] = {7, 0, 1, 8, 9, 8, 9, 2};
    const int64_t given[] = {0, 1, 2};
    const mb_document documents[] = {{2, given}, {0, NULL}, {1, given + 2}};
    int64_t tokens[8], bounds[4];
    check(mb_documents_lead(3, documents, (mb_document){1, first}, (mb_document){2, lead}, NULL,
                            tokens, bounds) == MB_OK,
          "led", 0, 0, 0);
    check(memcmp(tokens, wanted, sizeof wanted) == 0, "led tokens", 0, 0, 0);
    check(bounds[0] == 0 && bounds[1] == 3 && bounds[2] == 5 && bounds[3] == 8, "bounds", 0, 0, 0);
    check(mb_documents_lead(0, NULL, (mb_document){1, first}, (mb_document){0, NULL}, NULL, tokens,
                            bounds) == MB_OK &&
              bounds[0] == 0,
          "no documents", 0, 0, 0);
}

static void
test_refusals(void)
{
    int64_t wrong[] = {1, 2, V, 3};
    const mb_document document = {4, wrong};
    mb_token_fault fault = {9, 9, 9};
    memset(table, 0, sizeof table);
    slow_update(500, text);
    mb_transitions *counts = counted(500, text), *made = NULL;
    check(mb_transitions_update(counts, 1, &document, NULL, &fault) == MB_INVALID, "no token", 0, 0,
          0);
    check(fault.row == 0 && fault.position == 2 && fault.value == V, "where", 0,
          (double)fault.position, 2);
    check_answers(counts);
    check(mb_transitions_new(MB_MAX_ORDER + 1, V, &made) == MB_RANGE, "order", 0, 0, 0);
    check(mb_transitions_new(1, 0, &made) == MB_RANGE, "no tokens", 0, 0, 0);
    check(mb_transitions_new(1, ((uint64_t)1 << 32) + 1, &made) == MB_RANGE, "tokens", 0, 0, 0);
    const mb_document more = {700, text};
    mb_status status = MB_NOMEM;
    for (long n = 0; status == MB_NOMEM && n < 100; n++) {
        check_answers(counts);
        fail_request(n);
        status = mb_transitions_update(counts, 1, &more, NULL, &fault);
        fail_request(-1);
    }
    slow_update(700, text);
    check(status == MB_OK, "at last", 0, status, MB_OK);
    check_answers(counts);
    mb_transitions_free(counts);
    mb_transitions_free(NULL);
}

/* Contexts that somebody chose so that their mixed keys begin with the same word: no bucket but one
 * has any, and all is counted nevertheless. */
static void
test_colliding_contexts(void)
{
    enum { MANY = 4096, LONG = 3 };
    static int64_t all[MANY * LONG], next[MANY], times[MANY];
    static uint64_t found[MANY];
    const uint64_t n_tokens = UINT64_C(1) << 32;
    const mb_key_layout layout = mb_layout(LONG, n_tokens);
    mb_transitions *counts = NULL;
    mb_token_fault fault;
    check(layout.n_words == 2, "words", 0, (double)layout.n_words, 2);
    for (size_t i = 0; i < MANY; i++) {
        uint64_t high = (uint64_t)(0x1p32 * uniform()), low = (uint64_t)(0x1p32 * uniform());
        uint64_t key[MB_MAX_WORDS] = {UINT64_C(0x0123456789abcdef), high << 32 | low};
        mb_key_unmix(&layout, 2, key);
        for (size_t place = 0; place < LONG; place++) {
            all[i * LONG + place] = (int64_t)mb_key_token(&layout, key, place);
        }
        next[i] = (int64_t)mb_key_token(&layout, key, LONG);
        times[i] = (int64_t)(1 + i);
    }
    check(mb_transitions_new(LONG, n_tokens, &counts) == MB_OK, "new", 0, 0, 0);
    check(mb_transitions_update_rows(counts, MANY, all, next, times, NULL, &fault) == MB_OK,
          "colliding", 0, 0, 0);
    check(mb_transitions_counts(counts, MANY, all, next, NULL, found, &fault) == MB_OK, "counts", 0,
          0, 0);
    for (size_t i = 0; i < MANY; i++) {
        check(found[i] == 1 + i, "colliding", (double)i, (double)found[i], (double)(1 + i));
    }
    mb_transitions_free(counts);
}

int
main(void)
{
    fill();
    test_updates();
    test_all_rows();
    test_merges();
    test_differences();
    test_differences_of_long_keys();
    test_rows_that_shrink();
    test_led();
    test_fold();
    test_colliding_contexts();
    test_refusals();
    return report();
}
