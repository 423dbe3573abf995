/* Checks of core/matrix/discount*.c: a hierarchy of random counts against sums in long double, slopes
 * against differences; rows and pairs of counts; what is refused. */
#include "core/matrix/discounts.h"
#include "test/check.h"
#include "test/failing_mem.h"

#include <string.h>

enum { LEVELS = 3, N = 40, ROWS = 7, CLASSES = MB_CLASSES };

static const double least[CLASSES] = {1, 2, 3, 4, 6, 10, 25};
static double counts[LEVELS][N], sizes[LEVELS][ROWS][MB_ROW_SIZES], times[N], q[N];
static double discounts[LEVELS][MB_BUCKETS][MB_DISCOUNTS];
static int64_t row[LEVELS][N], shorter[LEVELS][N], bucket[LEVELS][ROWS];

/* The class of a count, by looking for it. */
static size_t
slow_class(double count)
{
    size_t class = CLASSES;
    for (size_t j = 0; j < CLASSES; j++) {
        class = count >= least[j] ? j : class;
    }
    return class;
}

static size_t
slow_bucket(const double *x)
{
    static const double totals[] = {2, 5, 10, 20, 50, 100, 300, 1000, 10000};
    static const double singles[] = {.2, .3, .4, .5, .6, .7, .8, .9};
    size_t by_total = 0, by_single = 0;
    double seen = 0.0;
    for (size_t j = 1; j <= CLASSES; j++) {
        seen += x[j];
    }
    while (by_total < 9 && x[0] > totals[by_total]) {
        by_total++;
    }
    while (by_single < 8 && x[1] > singles[by_single] * seen) {
        by_single++;
    }
    return by_total * 9 + by_single;
}

static void
fill(void)
{
    for (size_t l = 0; l < LEVELS; l++) {
        for (size_t r = 0; r < ROWS; r++) { /* the first is empty */
            double limit = r == 0 ? 0.0 : r < 4 ? 3.0 : 400.0;
            memset(sizes[l][r], 0, sizeof sizes[l][r]);
            for (size_t j = 0; j < CLASSES && limit > 0.0; j++) {
                double many = (double)(int)(limit * uniform() * uniform());
                sizes[l][r][1 + j] = many;
                sizes[l][r][0] += many * least[j];
            }
            bucket[l][r] = (int64_t)slow_bucket(sizes[l][r]);
        }
        for (size_t i = 0; i < N; i++) {
            row[l][i] = (int64_t)(i * ROWS / N);
            shorter[l][i] = (int64_t)(N * uniform());
            counts[l][i] = row[l][i] == 0 ? 0.0 : (double)(int)(60.0 * uniform() * uniform());
        }
        for (size_t b = 0; b < MB_BUCKETS; b++) {
            for (size_t j = 0; j < MB_DISCOUNTS; j++) {
                discounts[l][b][j] = (j < CLASSES ? least[j] : 3.0) * uniform();
            }
        }
    }
    for (size_t i = 0; i < N; i++) {
        times[i] = i % 5 == 0 ? 0.0 : 3.0 * uniform();
        q[i] = 0.1 + uniform();
    }
}

static mb_discounted
level(size_t l)
{
    return (mb_discounted){N,      ROWS,       N,           MB_BUCKETS, counts[l],
                           row[l], shorter[l], sizes[l][0], bucket[l],  discounts[l][0]};
}

/* The probability of a pair, by recursion. */
static long double
slow_prob(size_t l, size_t i)
{
    const double *x = sizes[l][row[l][i]], *d = discounts[l][bucket[l][row[l][i]]];
    size_t below = (size_t)shorter[l][i], class = slow_class(counts[l][i]);
    long double mean = l == 0 ? (long double)q[below] : slow_prob(l - 1, below);
    long double freed = d[CLASSES];
    if (x[0] == 0.0) {
        return mean;
    }
    for (size_t j = 0; j < CLASSES; j++) {
        freed += (long double)d[j] * x[1 + j];
    }
    return (counts[l][i] - (class < CLASSES ? (long double)d[class] : 0.0L) + freed * mean) /
           ((long double)x[0] + d[CLASSES]);
}

static long double
slow_log_prob(void)
{
    long double sum = 0.0L;
    for (size_t i = 0; i < N; i++) {
        sum += times[i] * logl(slow_prob(LEVELS - 1, i));
    }
    return sum;
}

static void
test_formula(void)
{
    for (int i = 0; i < 30; i++) {
        double count = i;
        check(mb_class_of_count(count) == slow_class(count), "class", count,
              (double)mb_class_of_count(count), (double)slow_class(count));
    }
    check(mb_class_of_count(NAN) == CLASSES, "class of NaN", 0, 0, 0);
    for (size_t l = 0; l < LEVELS; l++) {
        int64_t found[ROWS];
        double out[N];
        mb_discounted x = level(l);
        check(mb_buckets_of_rows(ROWS, sizes[l][0], MB_BUCKETS, NULL, found) == MB_OK, "buckets", 0,
              0, 0);
        check(memcmp(found, bucket[l], sizeof found) == 0, "buckets", (double)l, 0, 0);
        check(mb_buckets_of_rows(ROWS, sizes[l][0], 1, NULL, found) == MB_OK && found[1] == 0,
              "the only bucket", 0, 0, 0);
        if (l == 0) {
            check(mb_discounted_probs(&x, q, NULL, out) == MB_OK, "probs", 0, 0, 0);
            for (size_t i = 0; i < N; i++) {
                check_close("prob", (double)i, out[i], (double)slow_prob(0, i), 1e-14);
            }
        }
    }
}

static void
test_slopes(void)
{
    mb_discounted levels[LEVELS] = {level(0), level(1), level(2)};
    double log_prob, slopes[LEVELS][MB_BUCKETS][MB_DISCOUNTS];
    check(mb_discounted_fit(LEVELS, levels, q, times, NULL, &log_prob, slopes[0][0]) == MB_OK,
          "fit", 0, 0, 0);
    check_close("log-probability", 0, log_prob, (double)slow_log_prob(), 1e-13);
    for (size_t i = 0; i < (size_t)LEVELS * MB_BUCKETS * MB_DISCOUNTS; i++) {
        size_t j = i % MB_DISCOUNTS, b = i / MB_DISCOUNTS % MB_BUCKETS;
        size_t l = i / MB_DISCOUNTS / MB_BUCKETS;
        double *d = discounts[l][b] + j, kept = *d;
        *d = kept + 1e-6;
        long double up = slow_log_prob();
        *d = kept - 1e-6;
        long double down = slow_log_prob();
        *d = kept;
        check_near("slope", (double)i, slopes[l][b][j], (double)((up - down) / 2e-6L), 1e-6);
    }
}

/* Another's, who changes an index at the last of some questions, each of which is asked. */
typedef struct {
    mb_interrupt interrupt;
    int64_t *index;
    size_t left;
} other_user;

static int
change_index(void *state)
{
    other_user *user = state;
    user->interrupt.since = MB_PATIENCE;
    if (user->left-- == 0) {
        *user->index = N;
    }
    return 0;
}

static void
test_refused(void)
{
    mb_discounted levels[LEVELS] = {level(0), level(1), level(2)}, x = level(1);
    double log_prob, slopes[LEVELS * MB_BUCKETS * MB_DISCOUNTS], out[N];
    mb_status status = MB_NOMEM;
    for (long n = 0; n < 20 && status == MB_NOMEM; n++) {
        fail_request(n);
        status = mb_discounted_fit(LEVELS, levels, q, times, NULL, &log_prob, slopes);
        fail_request(-1);
    }
    check(status == MB_OK, "at last", 0, status, MB_OK);
    fail_request(0);
    check(mb_discounted_probs(&x, q, NULL, out) == MB_NOMEM, "no memory", 0, 0, 0);
    fail_request(-1);
    int64_t *wrong[] = {row[1] + 3, shorter[1] + 3, bucket[1] + 3};
    for (size_t i = 0; i < 3; i++) {
        int64_t kept = *wrong[i];
        *wrong[i] = i == 0 ? -1 : (int64_t)1 << 40;
        check(mb_discounted_probs(&x, q, NULL, out) == MB_INVALID, "index", (double)i, 0, 0);
        check(mb_discounted_fit(LEVELS, levels, q, times, NULL, &log_prob, slopes) == MB_INVALID,
              "index", (double)i, 0, 0);
        *wrong[i] = kept;
    }
    int64_t *indices[] = {row[0] + 1, shorter[0] + 1};
    for (size_t i = 0; i < 4; i++) { /* before it is looked at, and between that and its use */
        int64_t *index = indices[i % 2], kept = *index;
        other_user user = {{change_index, &user, MB_PATIENCE}, index, i / 2};
        check(mb_discounted_fit(1, levels, q, times, &user.interrupt, &log_prob, slopes) ==
                  MB_INVALID,
              "a changed index", (double)i, 0, 0);
        *index = kept;
    }
    levels[1].n_shorter = N - 1;
    check(mb_discounted_fit(LEVELS, levels, q, times, NULL, &log_prob, slopes) == MB_INVALID,
          "levels", 0, 0, 0);
    levels[1].n_shorter = N;
    q[shorter[0][1]] = NAN;
    shorter[1][1] = shorter[2][1] = 1;
    check(mb_discounted_fit(LEVELS, levels, q, times, NULL, &log_prob, slopes) == MB_NUMERIC, "NaN",
          0, 0, 0);
}

/* ---- pairs and rows of counts --------------------------------------------------------------- */

enum { V = 9, ORDER = 2, LENGTH = 3000 };

static int64_t text[LENGTH];

static mb_transitions *
counted(size_t order, size_t n)
{
    const mb_document document = {n, text};
    mb_token_fault fault;
    mb_transitions *made = NULL;
    check(mb_transitions_new(order, V, &made) == MB_OK &&
              mb_transitions_update(made, 1, &document, NULL, &fault) == MB_OK,
          "counted", 0, 0, 0);
    return made;
}

/* Counts of contexts a b and token c, in the first n tokens of the text. */
static double
slow_count(size_t n, int64_t a, int64_t b, int64_t c)
{
    double found = 0.0;
    for (size_t i = 2; i < n; i++) {
        found += text[i - 2] == a && text[i - 1] == b && text[i] == c ? 1.0 : 0.0;
    }
    return found;
}

/* Few pairs, those of them that are a token shorter, and none. */
static mb_transitions *few, *few_shorter, *nothing;

static mb_status
ask_few(mb_interrupt *interrupt)
{
    static double found[LENGTH], of_rows[LENGTH][MB_ROW_SIZES];
    static int64_t of[LENGTH], places[LENGTH];
    uint64_t many[2];
    size_t n_rows;
    MB_TRY(mb_transitions_n_contexts(few, interrupt, &n_rows));
    MB_TRY(mb_discounted_rows(few, few, n_rows, interrupt, found, of, of_rows[0]));
    MB_TRY(mb_shorter_pairs(few, few_shorter, interrupt, places));
    return mb_counts_of_counts(few, 2, interrupt, many);
}

static mb_status
shorten_few(mb_interrupt *interrupt)
{
    mb_transitions *made = NULL;
    mb_status status = mb_transitions_shorten(few, nothing, interrupt, &made);
    check((made != NULL) == (status == MB_OK), "what is stopped", 0, status, 0);
    mb_transitions_free(made);
    return status;
}

static void
test_stops(void)
{
    few = counted(ORDER, 50);
    check(mb_transitions_new(ORDER, V, &nothing) == MB_OK &&
              mb_transitions_shorten(few, nothing, NULL, &few_shorter) == MB_OK,
          "few", 0, 0, 0);
    check(stops_at_each(ask_few, 500), "questions about few", 0, 0, 1);
    check(stops_at_each(shorten_few, 500), "questions of what is shorter", 0, 0, 1);
    mb_transitions_free(few);
    mb_transitions_free(few_shorter);
    mb_transitions_free(nothing);
}

static void
test_rows(void)
{
    for (size_t i = 0; i < LENGTH; i++) {
        text[i] = (int64_t)(V * uniform() * uniform());
    }
    mb_transitions *all = counted(ORDER, 2000), *some = counted(ORDER, LENGTH), *made = NULL;
    mb_transitions *none = NULL;
    static double found[LENGTH], of_rows[LENGTH][MB_ROW_SIZES];
    static int64_t of[LENGTH], places[LENGTH];
    static uint64_t times_of[LENGTH], short_times[LENGTH];
    static uint32_t contexts[LENGTH][ORDER], tokens[LENGTH], short_contexts[LENGTH],
        short_tokens[LENGTH];
    static int64_t starts[LENGTH], short_starts[LENGTH];
    size_t n_rows = 0, n_short = 0;
    check(mb_transitions_new(ORDER, V, &none) == MB_OK &&
              mb_transitions_shorten(some, none, NULL, &made) == MB_OK &&
              mb_transitions_n_contexts(some, NULL, &n_rows) == MB_OK &&
              mb_transitions_n_contexts(made, NULL, &n_short) == MB_OK &&
              mb_transitions_all(some, n_rows, NULL, contexts[0], starts, tokens, times_of) ==
                  MB_OK &&
              mb_transitions_all(made, n_short, NULL, short_contexts, short_starts, short_tokens,
                                 short_times) == MB_OK,
          "made", 0, 0, 0);
    check(mb_discounted_rows(all, some, n_rows, NULL, found, of, of_rows[0]) == MB_OK &&
              mb_shorter_pairs(some, made, NULL, places) == MB_OK,
          "rows", 0, 0, 0);
    for (size_t r = 0; r < n_rows; r++) {
        double wanted[MB_ROW_SIZES] = {0.0};
        for (int64_t v = 0; v < V; v++) {
            double many = slow_count(2000, contexts[r][0], contexts[r][1], v);
            wanted[0] += many;
            if (many > 0.0) {
                wanted[1 + slow_class(many)] += 1.0;
            }
        }
        for (size_t j = 0; j < MB_ROW_SIZES; j++) {
            check(wanted[j] == of_rows[r][j], "sizes", (double)r, of_rows[r][j], wanted[j]);
        }
        for (int64_t i = starts[r]; i < starts[r + 1]; i++) {
            double many = slow_count(2000, contexts[r][0], contexts[r][1], tokens[i]);
            check(found[i] == many && of[i] == (int64_t)r, "pair", (double)i, found[i], many);
            size_t at = 0;
            while (short_starts[at + 1] <= places[i]) {
                at++;
            }
            check(short_contexts[at] == contexts[r][1] && short_tokens[places[i]] == tokens[i],
                  "shorter pair", (double)i, short_tokens[places[i]], tokens[i]);
        }
    }
    uint64_t of_counts[5] = {0}, wanted_counts[5] = {0};
    check(mb_counts_of_counts(some, 5, NULL, of_counts) == MB_OK, "counts of counts", 0, 0, 0);
    for (int64_t i = 0; i < starts[n_rows]; i++) {
        wanted_counts[times_of[i] < 6 ? times_of[i] - 1 : 0] += times_of[i] < 6;
    }
    check(memcmp(of_counts, wanted_counts, sizeof of_counts) == 0, "counts of counts", 0,
          (double)of_counts[0], (double)wanted_counts[0]);
    check(mb_discounted_rows(all, some, n_rows - 1, NULL, found, of, of_rows[0]) == MB_INVALID &&
              mb_discounted_rows(all, some, n_rows + 1, NULL, found, of, of_rows[0]) == MB_INVALID,
          "other rows", 0, 0, 0);
    check(mb_discounted_rows(none, some, n_rows, NULL, found, of, of_rows[0]) == MB_OK &&
              of_rows[0][0] == 0.0 && found[0] == 0.0,
          "rows of nothing", 0, 0, 0);
    check(mb_shorter_pairs(made, none, NULL, places) == MB_INVALID, "no shorter pair", 0, 0, 0);
    mb_transitions_free(all);
    mb_transitions_free(some);
    mb_transitions_free(made);
    mb_transitions_free(none);
}

int
main(void)
{
    fill();
    test_formula();
    test_slopes();
    test_refused();
    test_rows();
    test_stops();
    return report();
}
