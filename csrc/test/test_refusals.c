/* Checks what the core refuses, with its status and with everything left as it was: memory that is
 * short at any request, sizes that overflow, numbers out of range.  (The sanitized build of this
 * sees what is lost.) */
#include "core/estimator/counts.h"
#include "core/mixture/divergence.h"
#include "core/base/mem.h"
#include "test/failing_mem.h"
#include "core/mixture/mixture.h"
#include "core/matrix/ngram_borrow.h"
#include "core/matrix/ngram_sort.h"
#include "core/rows/rows.h"
#include "core/matrix/transitions.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

static void
check(int holds, const char *what, long at)
{
    if (!holds && failures++ < 20) {
        (void)fprintf(stderr, "%s, at %ld\n", what, at);
    }
}

/* ---- what the functions work on ------------------------------------------------------------- */

enum { ORDER = 3, N_TOKENS = 50, N = 3000 };

static int64_t tokens[N], contexts[N * ORDER], times[N];
static mb_transitions *counts;

static void
fill(void)
{
    uint64_t random = 1;
    for (size_t i = 0; i < N; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        tokens[i] = (int64_t)((random >> 33) % N_TOKENS);
        times[i] = (int64_t)(i % 7) << (i % 11 == 0 ? 32 : 0);
        for (size_t k = 0; k < ORDER; k++) {
            contexts[i * ORDER + k] = (int64_t)((i * (k + 1)) % N_TOKENS);
        }
    }
}

/* A number that changes with anything in the counts. */
static uint64_t
print_of(const mb_transitions *c)
{
    uint64_t print = c->n_observed * 31 + c->n_runs;
    for (size_t i = 0; i < c->n_runs; i++) {
        const mb_run *run = c->runs[i];
        for (size_t w = 0; w < run->n * c->layout.n_words; w++) {
            print = print * 1099511628211u + run->keys[w];
        }
        for (size_t k = 0; k < run->n; k++) {
            print = print * 1099511628211u + mb_run_count(run, k);
        }
    }
    return print;
}

/* ---- memory --------------------------------------------------------------------------------- */

static mb_status
new_mixture(void)
{
    const double weights[] = {0.5, 0.5}, alpha[] = {1.0, 2.0, 3.0, 4.0, 5.0, 6.0};
    mb_mixture *made = NULL;
    mb_status status = mb_mixture_new(2, 3, weights, alpha, NULL, &made);
    check((made != NULL) == (status == MB_OK), "a mixture", status);
    mb_mixture_free(made);
    return status;
}

static mb_status
new_counts(void)
{
    const int64_t starts[] = {0, 3, 3, 5}, columns[] = {0, 2, 0, 1, 1};
    const double values[] = {1.0, 300.0, 2.5, 1.0, 0.5};
    mb_sparse_rows rows = {3, 3, 5, starts, columns, values};
    mb_sparse_fault fault;
    mb_counts *made = NULL;
    mb_status status = mb_counts_new(&rows, NULL, &made, &fault);
    check((made != NULL) == (status == MB_OK), "encoded counts", status);
    mb_counts_free(made);
    return status;
}

static mb_status
divergences(void)
{
    const double alpha[] = {1.0, 1.0, 1.0}, share[] = {0.3, 0.3}, mass[6] = {0.5, 0.2, 0.3};
    const int64_t none[] = {0, 0, 0};
    double by_alpha[3], by_share[2];
    mb_predictives x = {2, 1, 3, 0, alpha, share, none, none, NULL, 1.0};
    mb_divergence out = {0.0, 0.0, by_alpha, by_share, NULL};
    return mb_divergences(&x, mass, NULL, &out);
}

static mb_status
new_groups(void)
{
    const int64_t numbers[] = {0, 1, 1};
    mb_groups *made = NULL;
    mb_status status = mb_groups_new(3, numbers, 2, NULL, &made);
    check((made != NULL) == (status == MB_OK), "groups", status);
    mb_groups_free(made);
    return status;
}

static mb_status
update(void)
{
    const mb_document documents[] = {{N / 2, tokens}, {0, NULL}, {N / 2, tokens + N / 2}};
    mb_token_fault fault;
    return mb_transitions_update(counts, 3, documents, NULL, &fault);
}

static mb_status
update_rows(void)
{
    mb_token_fault fault;
    return mb_transitions_update_rows(counts, N, contexts, tokens, times, NULL, &fault);
}

static mb_status
merge_itself(void)
{
    return mb_transitions_merge(counts, counts, NULL);
}

static mb_status
subtract_some(void)
{
    const mb_document document = {N / 2, tokens};
    mb_transitions *less = NULL;
    mb_token_fault fault;
    mb_pair_fault pair;
    mb_status status = mb_transitions_new(ORDER, N_TOKENS, &less);
    if (status == MB_OK) {
        status = mb_transitions_update(less, 1, &document, NULL, &fault);
    }
    if (status == MB_OK) {
        status = mb_transitions_subtract(counts, less, NULL, &pair);
    }
    mb_transitions_free(less);
    return status;
}

static mb_status
scale(void)
{
    return mb_transitions_scale(counts, 2, NULL);
}

static mb_status
shorten(void)
{
    mb_transitions *none = NULL, *made = NULL;
    mb_status status = mb_transitions_new(ORDER, N_TOKENS, &none);
    if (status == MB_OK) {
        status = mb_transitions_shorten(counts, none, NULL, &made);
    }
    mb_transitions_free(none);
    mb_transitions_free(made);
    return status;
}

static mb_status
compact(void)
{
    return mb_transitions_compact(counts, NULL);
}

static mb_status
copy(void)
{
    mb_transitions *made = NULL;
    mb_status status = mb_transitions_copy(counts, &made);
    check(status != MB_OK || print_of(made) == print_of(counts), "a copy", status);
    mb_transitions_free(made);
    return status;
}

/* Counts of no run, so that an empty one is made. */
static mb_status
from_an_empty_run(void)
{
    mb_transitions *none = NULL, *made = NULL;
    mb_run *run = NULL;
    mb_status status = mb_transitions_new(ORDER, N_TOKENS, &none);
    if (status == MB_OK) {
        status = mb_transitions_run(none, &run);
    }
    if (status == MB_OK) {
        status = mb_transitions_from_run(ORDER, N_TOKENS, run, &made);
    }
    check(status != MB_OK || made->n_observed == 0, "counts of an empty run", status);
    mb_run_free(run);
    mb_transitions_free(none);
    mb_transitions_free(made);
    return status;
}

static int n_released;

static void
release(void *owner)
{
    n_released += *(int *)owner;
}

/* A loan that fails does not end the loan: its owner still has the arrays. */
static mb_status
borrow(void)
{
    static int owner = 1;
    mb_run *run = NULL;
    n_released = 0;
    mb_status status = mb_run_borrow(&counts->layout, counts->runs[0], release, &owner, &run);
    check(n_released == 0, "released while lent", n_released);
    mb_run_free(run);
    check(n_released == (status == MB_OK), "released once", n_released);
    return status;
}

/* Fails each request for memory of a call in turn, and all that follow it. */
static void
test_memory(const char *name, mb_status (*call)(void), int changes, long least)
{
    uint64_t before = print_of(counts);
    long n = 0;
    for (;; n++) {
        fail_request(n);
        mb_status status = call();
        fail_request(-1);
        if (status == MB_OK) {
            break;
        }
        check(status == MB_NOMEM, name, n);
        check(print_of(counts) == before, name, n);
    }
    check(n >= least, name, n);
    check((print_of(counts) != before) == changes, name, n);
}

static void
test_all_memory(void)
{
    check(mb_transitions_new(ORDER, N_TOKENS, &counts) == MB_OK, "new", 0);
    test_memory("mixture", new_mixture, 0, 1);
    test_memory("counts", new_counts, 0, 5);
    test_memory("divergences", divergences, 0, 1);
    test_memory("groups", new_groups, 0, 3);
    test_memory("empty run", from_an_empty_run, 0, 3);
    test_memory("copy", copy, 0, 1);
    for (int again = 0; again < 2; again++) {
        test_memory("update", update, 1, 5);
        test_memory("update_rows", update_rows, 1, 5);
        test_memory("merge", merge_itself, 1, 5);
    }
    test_memory("copy", copy, 0, 1);
    check(mb_transitions_update_rows(counts, 1, contexts, tokens, times + 1, NULL,
                                     &(mb_token_fault){0, 0, 0}) == MB_OK &&
              counts->n_runs > 1,
          "several runs", (long)counts->n_runs);
    test_memory("compact", compact, 1, 5);
    test_memory("scale", scale, 1, 5);
    test_memory("subtract", subtract_some, 1, 5);
    test_memory("shorten", shorten, 0, 5);
    test_memory("borrow", borrow, 0, 1);
    mb_transitions_free(counts);
}

/* ---- sizes ---------------------------------------------------------------------------------- */

/* None of these looks at an array. */
static void
test_sizes(void)
{
    mb_mixture *mixture = NULL;
    const size_t sizes[][2] = {{1, SIZE_MAX},     {1, SIZE_MAX / 2 + 1}, {SIZE_MAX, 1},
                               {SIZE_MAX / 4, 2}, {2, SIZE_MAX / 4},     {1, SIZE_MAX / 2 - 4},
                               {3, SIZE_MAX / 6}, {SIZE_MAX / 28, 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        mb_status status = mb_mixture_new(sizes[i][0], sizes[i][1], NULL, NULL, NULL, &mixture);
        check(status == MB_NOMEM && mixture == NULL, "size of a mixture", (long)i);
    }
    check(mb_mixture_new(0, 3, NULL, NULL, NULL, &mixture) == MB_INVALID, "no component", 0);
    check(mb_mixture_new(3, 0, NULL, NULL, NULL, &mixture) == MB_INVALID, "no token", 0);

    const size_t shapes[][3] = {
        {1, 0, SIZE_MAX}, {1, 0, SIZE_MAX - 16}, {9, 0, SIZE_MAX / 8}, {1, 0, SIZE_MAX / 4}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        mb_predictives x = {.n_rows = shapes[i][0], .n_tokens = shapes[i][2], .power = 1.0};
        mb_divergence out = {0.0, 0.0, &(double){0.0}, NULL, NULL};
        check(mb_divergences(&x, NULL, NULL, &out) == MB_NOMEM, "size of a divergence", (long)i);
    }

    mb_counts *encoded = NULL;
    mb_sparse_fault fault;
    const mb_sparse_rows rows[] = {{1, UINT32_MAX, 0, NULL, NULL, NULL},
                                   {1, SIZE_MAX, 0, NULL, NULL, NULL},
                                   {2, 3, SIZE_MAX - 1, NULL, NULL, NULL},
                                   {SIZE_MAX, 3, 1, NULL, NULL, NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        mb_status status = mb_counts_new(rows + i, NULL, &encoded, &fault);
        check(status == MB_RANGE && encoded == NULL, "size of counts", (long)i);
    }

    mb_transitions *made = NULL;
    check(mb_transitions_new(MB_MAX_ORDER + 1, 3, &made) == MB_RANGE, "order", 17);
    check(mb_transitions_new(2, 0, &made) == MB_RANGE, "tokens", 0);
    check(mb_transitions_new(2, ((uint64_t)1 << 32) + 1, &made) == MB_RANGE, "tokens", 33);
    check(mb_transitions_from_run(MB_MAX_ORDER + 1, 3, NULL, &made) == MB_RANGE, "order", 17);
    check(made == NULL, "nothing is made", 0);
    mb_transitions_free(made);
    mb_run_free(NULL);

    mb_token_fault wrong;
    const mb_document endless[] = {{SIZE_MAX, NULL}, {2, NULL}};
    check(mb_transitions_new(2, 3, &made) == MB_OK, "new", 0);
    check(mb_transitions_update(made, 2, endless, NULL, &wrong) == MB_RANGE, "tokens overflow", 0);
    mb_transitions_free(made);
}

/* ---- numbers -------------------------------------------------------------------------------- */

static mb_status
with(double weight, double a)
{
    const double weights[] = {0.5, weight}, alpha[] = {1.0, 2.0, 3.0, 4.0, 5.0, a};
    mb_mixture *made = NULL;
    mb_status status = mb_mixture_new(2, 3, weights, alpha, NULL, &made);
    check((made != NULL) == (status == MB_OK), "a mixture", status);
    mb_mixture_free(made);
    return status;
}

static void
test_numbers(void)
{
    const double wrong[] = {-1.0, -DBL_TRUE_MIN, (double)NAN, (double)INFINITY, -(double)INFINITY};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        check(with(wrong[i], 1.0) == MB_INVALID, "weight", (long)i);
        check(with(0.5, wrong[i]) == MB_INVALID, "alpha", (long)i);
    }
    check(with(0.5, 0.0) == MB_INVALID, "alpha of 0", 0);
    check(with(0.0, 1.0) == MB_OK, "one weight of 0", 0);
    check(with(DBL_MAX, 1.0) == MB_OK, "a weight that is large", 0);

    const double none[] = {0.0, 0.0}, huge[] = {DBL_MAX, DBL_MAX}, alpha[] = {1.0, 2.0};
    mb_mixture *made = NULL;
    check(mb_mixture_new(2, 1, none, alpha, NULL, &made) == MB_INVALID, "no weight", 0);
    check(mb_mixture_new(2, 1, huge, alpha, NULL, &made) == MB_INVALID, "weights overflow", 0);
    check(made == NULL, "no mixture", 0);
}

/* Counts of which the sum of all passes 2^64: neither at once nor one after the other. */
static void
test_totals(void)
{
    const int64_t context[] = {0, 0, 0}, token[] = {1, 1, 1}, most[] = {INT64_MAX, INT64_MAX, 2};
    mb_token_fault fault;
    mb_transitions *made = NULL;
    check(mb_transitions_new(1, 3, &made) == MB_OK, "new", 0);
    check(mb_transitions_update_rows(made, 3, context, token, most, NULL, &fault) == MB_RANGE,
          "a sum of 2^64", 0);
    check(made->n_observed == 0 && made->n_runs == 0, "as it was", 0);
    check(mb_transitions_update_rows(made, 2, context, token, most, NULL, &fault) == MB_OK,
          "a sum of 2^64 - 2", 0);
    uint64_t before = print_of(made);
    check(mb_transitions_merge(made, made, NULL) == MB_RANGE, "twice that", 0);
    check(mb_transitions_scale(made, 2, NULL) == MB_RANGE, "twice that", 1);
    check(mb_transitions_update_rows(made, 1, context, token, most + 2, NULL, &fault) == MB_RANGE,
          "two more", 0);
    check(print_of(made) == before, "as it was", 1);
    mb_transitions_free(made);
}

int
main(void)
{
    fill();
    test_all_memory();
    test_sizes();
    test_numbers();
    test_totals();
    return failures > 0;
}
