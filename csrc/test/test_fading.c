/* Checks of core/matrix/fading*.c: streams of any order and discount against a table in which every number is
 * touched at every token, cut anywhere; what is given and what is scaled; evidence; wrong tokens;
 * memory that is refused. */
#include "core/matrix/fading.h"
#include "test/check.h"
#include "test/failing_mem.h"

#include <string.h>

enum { V = 7, N = 3000, ORDER = 2, ROWS = V * V };

static void
check_count(const char *what, double at, double got, double wanted)
{
    check_near(what, at, got, wanted, 1e-12 * wanted + 1e-299);
}

static size_t
random_below(size_t n)
{
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(state >> 33) % n;
}

/* ---- the table ---------------------------------------------------------------------------- */

static double table[ROWS][V];
static int64_t text[N];

static size_t
row_of(const int64_t *context)
{
    return (size_t)(context[0] * V + context[1]);
}

static void
slow_update(size_t n, const int64_t *tokens, double discount)
{
    for (size_t i = ORDER; i < n; i++) {
        double *row = table[row_of(tokens + i - ORDER)];
        for (size_t v = 0; v < V; v++) {
            row[v] *= discount;
            row[v] = row[v] < MB_VANISHED ? 0.0 : row[v];
        }
        row[tokens[i]] += 1.0;
    }
}

static void
compare(const mb_fading *counts, const char *what)
{
    int64_t contexts[ROWS * V][ORDER], tokens[ROWS * V];
    double found[ROWS * V], total, expected = 0.0;
    mb_token_fault fault;
    for (size_t i = 0; i < (size_t)ROWS * V; i++) {
        contexts[i][0] = (int64_t)(i / V / V);
        contexts[i][1] = (int64_t)(i / V % V);
        tokens[i] = (int64_t)(i % V);
        expected += table[i / V][i % V];
    }
    mb_status status =
        mb_fading_counts(counts, (size_t)ROWS * V, contexts[0], tokens, NULL, found, &fault);
    check(status == MB_OK, what, 0, status, MB_OK);
    for (size_t i = 0; i < (size_t)ROWS * V; i++) {
        check_count(what, (double)i, found[i], table[i / V][i % V]);
    }
    for (size_t row = 0; row < ROWS; row++) {
        double sum = 0.0;
        for (size_t v = 0; v < V; v++) {
            sum += table[row][v];
        }
        status = mb_fading_totals(counts, 1, contexts[row * V], NULL, &total, &fault);
        check(status == MB_OK, "total", (double)row, status, MB_OK);
        check_count("total", (double)row, total, sum);
    }
    check(mb_fading_sum(counts, NULL, &total) == MB_OK, "sum", 0, 0, 0);
    check_count("sum", 0, total, expected);
}

/* ---- streams ------------------------------------------------------------------------------- */

static void
test_streams(double discount)
{
    mb_fading *counts = NULL;
    mb_token_fault fault;
    memset(table, 0, sizeof(table));
    check(mb_fading_new(ORDER, V, discount, &counts) == MB_OK, "new", discount, 0, 0);
    for (size_t i = 0; i < N; i++) {
        text[i] = (int64_t)(random_below(3) > 0 ? random_below(V) : i % V);
    }
    for (size_t start = 0, end; start < N; start = end) {
        size_t left = N - start, lead = start < ORDER ? start : ORDER;
        end = start + 1 + random_below(left < 400 ? left : 400);
        const mb_document pieces[] = {
            {0, text}, {lead + end - start, text + start - lead}, {ORDER, text}};
        check(mb_fading_update(counts, 3, pieces, NULL, &fault) == MB_OK, "update", (double)start,
              0, 0);
    }
    slow_update(N, text, discount);
    compare(counts, "stream");
    const int64_t given[][ORDER] = {{0, 1}, {6, 6}, {0, 1}}, tokens[] = {3, 0, 3};
    const double more[] = {0.25, 1e6, 0.5};
    check(mb_fading_add(counts, 3, given[0], tokens, more, NULL, &fault) == MB_OK, "add", 0, 0, 0);
    table[1][3] += 0.75;
    table[48][0] += 1e6;
    check(mb_fading_scale(counts, 3, given[0], 0.5, NULL, &fault) == MB_OK, "scale", 0, 0, 0);
    for (size_t v = 0; v < V; v++) {
        table[1][v] *= 0.5;
        table[48][v] *= 0.5;
    }
    compare(counts, "given and scaled");
    check(mb_fading_merge(counts, counts, NULL) == MB_OK, "merge", 0, 0, 0);
    for (size_t i = 0; i < (size_t)ROWS * V; i++) {
        table[i / V][i % V] *= 2.0;
    }
    compare(counts, "merged with itself");
    check(mb_fading_scale(counts, 0, NULL, 0.0, NULL, &fault) == MB_OK, "scale", 0, 0, 0);
    memset(table, 0, sizeof(table));
    compare(counts, "forgotten");
    mb_fading_free(counts);
}

/* ---- evidence ------------------------------------------------------------------------------- */

/* One component of alpha 1/2: the product of the predictives. */
static void
test_evidence(void)
{
    const double one = 1.0, sum = 0.5 * V, each = 0.5;
    const mb_fading_prior prior = {1, 1, &one, &sum, &each};
    const mb_document document = {N, text};
    mb_fading *counts = NULL;
    mb_token_fault fault;
    double found, expected = 0.0;
    memset(table, 0, sizeof(table));
    check(mb_fading_new(ORDER, V, 0.75, &counts) == MB_OK, "new", 0, 0, 0);
    for (size_t i = ORDER; i < N; i++) {
        const double *row = table[row_of(text + i - ORDER)];
        double total = sum;
        for (size_t v = 0; v < V; v++) {
            total += row[v];
        }
        expected += log((each + row[text[i]]) / total);
        slow_update(ORDER + 1, text + i - ORDER, 0.75);
    }
    check(mb_fading_evidence(counts, 1, &document, &prior, NULL, &found, &fault) == MB_OK,
          "evidence", 0, 0, 0);
    check(fabs(found / expected - 1.0) < 1e-12, "evidence", 0, found, expected);
    check(counts->n_runs == 0, "counts after evidence", 0, (double)counts->n_runs, 0);
    mb_fading_free(counts);
}

/* ---- what is refused --------------------------------------------------------------------------- */

static void
test_faults(void)
{
    const int64_t wrong[] = {0, 1, 2, V, 0}, right[] = {0, 1, 2, 3};
    const mb_document documents[] = {{4, right}, {5, wrong}};
    mb_fading *counts = NULL;
    mb_token_fault fault;
    double sum = 1.0;
    check(mb_fading_new(0, V, 0.5, &counts) == MB_RANGE, "order", 0, 0, 0);
    check(mb_fading_new(MB_MAX_ORDER + 1, V, 0.5, &counts) == MB_RANGE, "order", 17, 0, 0);
    check(mb_fading_new(1, 0, 0.5, &counts) == MB_RANGE, "tokens", 0, 0, 0);
    check(mb_fading_new(1, ((uint64_t)1 << 32) + 1, 0.5, &counts) == MB_RANGE, "tokens", 1, 0, 0);
    check(mb_fading_new(1, V, 1.5, &counts) == MB_RANGE, "discount", 1.5, 0, 0);
    check(mb_fading_new(1, V, 0.0, &counts) == MB_RANGE, "discount", 0, 0, 0);
    check(mb_fading_new(1, V, (double)NAN, &counts) == MB_RANGE, "discount", NAN, 0, 0);
    check(mb_fading_new(ORDER, V, 0.5, &counts) == MB_OK, "new", 0, 0, 0);
    check(mb_fading_update(counts, 2, documents, NULL, &fault) == MB_INVALID, "token", V, 0, 0);
    check(fault.row == 1 && fault.position == 3 && fault.value == V, "fault", (double)fault.row,
          (double)fault.position, 3);
    check(mb_fading_sum(counts, NULL, &sum) == MB_OK && sum == 0.0, "nothing", 0, sum, 0);
    mb_fading_free(counts);
    mb_fading_free(NULL);
}

/* Two runs take more once they have been merged for a reader, and one does not. */
static void
test_bytes(void)
{
    const mb_document documents[] = {{N, text}, {ORDER + 1, text}};
    mb_fading *counts = NULL;
    mb_token_fault fault;
    double sum;
    check(mb_fading_new(ORDER, V, 0.5, &counts) == MB_OK, "new", 0, 0, 0);
    for (size_t i = 0; i < 2; i++) {
        check(mb_fading_update(counts, 1, documents + i, NULL, &fault) == MB_OK, "update", 0, 0, 0);
        size_t before = mb_fading_bytes(counts);
        check(mb_fading_sum(counts, NULL, &sum) == MB_OK, "sum", 0, 0, 0);
        check((mb_fading_bytes(counts) > before) == (i == 1), "bytes", (double)i,
              (double)mb_fading_bytes(counts), (double)before);
    }
    mb_fading_free(counts);
}

/* Every request fails once: the counts are those of before, and the next time it goes well. */
static void
test_memory(void)
{
    const mb_document document = {N, text};
    const int64_t contexts[][ORDER] = {{0, 1}, {1, 2}}, tokens[] = {1, 2};
    const double more[] = {1.0, 2.0};
    for (int what = 0; what < 5; what++) {
        for (long n = 0;; n++) {
            mb_fading *counts = NULL;
            mb_token_fault fault;
            double before, after;
            check(mb_fading_new(ORDER, V, 0.5, &counts) == MB_OK, "new", what, 0, 0);
            check(mb_fading_update(counts, 1, &document, NULL, &fault) == MB_OK, "update", what, 0,
                  0);
            check(mb_fading_sum(counts, NULL, &before) == MB_OK, "sum", what, 0, 0);
            fail_request(n);
            mb_status status =
                what == 0   ? mb_fading_update(counts, 1, &document, NULL, &fault)
                : what == 1 ? mb_fading_add(counts, 2, contexts[0], tokens, more, NULL, &fault)
                : what == 2 ? mb_fading_merge(counts, counts, NULL)
                : what == 3 ? mb_fading_scale(counts, 2, contexts[0], 0.5, NULL, &fault)
                            : mb_fading_scale(counts, 0, NULL, 0.5, NULL, &fault);
            fail_request(-1);
            check(mb_fading_sum(counts, NULL, &after) == MB_OK, "sum", what, 0, 0);
            mb_fading_free(counts);
            if (status == MB_OK) {
                check(n > 1 && after != before, "requests", what, (double)n, 2);
                break;
            }
            check(status == MB_NOMEM && after == before, "memory", (double)n, after, before);
        }
    }
}

typedef struct {
    mb_interrupt interrupt;
    const mb_fading *counts;
    mb_fading_run *own;
} second_reader;

static int
read_too(void *state)
{
    second_reader *reader = state;
    if (reader->own == NULL) {
        check(mb_fading_compact(reader->counts, NULL, &reader->own) == MB_OK, "second", 0, 0, 0);
    }
    return 0;
}

/* Of two readers that merge the same runs at once, both have the runs of the one that was first. */
static void
test_two_readers(void)
{
    const mb_document document = {N, text}, some = {20, text};
    mb_fading *counts = NULL;
    mb_fading_run *mine = NULL, *later = NULL;
    mb_token_fault fault;
    check(mb_fading_new(ORDER, V, 0.5, &counts) == MB_OK, "new", 0, 0, 0);
    check(mb_fading_update(counts, 1, &document, NULL, &fault) == MB_OK, "update", 0, 0, 0);
    check(mb_fading_update(counts, 1, &some, NULL, &fault) == MB_OK, "update", 1, 0, 0);
    second_reader reader = {{read_too, &reader, MB_PATIENCE}, counts, NULL};
    check(mb_fading_compact(counts, &reader.interrupt, &mine) == MB_OK, "first", 0, 0, 0);
    check(mb_fading_compact(counts, NULL, &later) == MB_OK, "later", 0, 0, 0);
    check(reader.own != NULL && mine != NULL, "both read", 0, 0, 0);
    if (reader.own != NULL && mine != NULL) {
        check(mine->n_pairs == reader.own->n_pairs, "pairs", 0, (double)mine->n_pairs,
              (double)reader.own->n_pairs);
        check(later == reader.own, "kept", 0, 0, 0);
    }
    mb_fading_run_free(mine);
    mb_fading_run_free(reader.own);
    mb_fading_run_free(later);
    mb_fading_free(counts);
}

int
main(void)
{
    const double discounts[] = {5e-324, 1e-160, 0.01, 0.5, 0.99, 1.0 - 0x1p-53, 1.0};
    for (size_t i = 0; i < sizeof(discounts) / sizeof(*discounts); i++) {
        test_streams(discounts[i]);
    }
    test_evidence();
    test_faults();
    test_bytes();
    test_memory();
    test_two_readers();
    return report();
}
