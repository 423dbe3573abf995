/* Checks of core/elicitation: what is known in closed form, slopes by differences, refusals. */
#include "core/elicitation/balance.h"
#include "core/elicitation/tree.h"
#include "check.h"
#include "failing_mem.h"

#include <math.h>
#include <string.h>

static void
near(const char *what, double got, double wanted)
{
    check_near(what, 0.0, got, wanted, 1e-8 * (1.0 + fabs(wanted)));
}

/* The text 0 1 0 over three tokens in a tree one token deep, asked about at its end. */
static int64_t tokens[] = {0, 1, 0, -1}, queries[] = {3}, starts[] = {0, 2}, columns[] = {0, 1};
static int64_t paths[4][2] = {
    {0, -1}, {0, (int64_t)1 << 32}, {1, (int64_t)2 << 32}, {0, (int64_t)1 << 32}};
static double held[2][2] = {{2.0, 0.0}, {1.0, 1.0}};
static mb_texts texts = {3, 4, 1, 2, tokens, queries, starts, columns};
static mb_tree_paths tree_paths = {3, 3, &paths[0][0], &held[0][0]};

/* Everything that is predicted, weighed with 1, 2, 3 and 4, 5. */
static double
tree_value(const double theta[8])
{
    mb_tree_prior prior = {1, theta, {theta[3], 1.0}, {theta[4], 1.0}, exp(theta[5])};
    double share, even, evidence, entries[2];
    mb_tree_predictions p = {&share, &even, &evidence, entries};
    if (mb_tree_predict(&prior, &texts, &tree_paths, NULL, &p) != MB_OK) {
        failures++;
    }
    near("a row", share * theta[2] + even + entries[0] + entries[1], 1.0);
    return share + 2.0 * even + 3.0 * evidence + 4.0 * entries[0] + 5.0 * entries[1];
}

static void
test_tree(void)
{
    double theta[8] = {1.0, 2.0, 0.5, 0.7, 1.2, 0.3}, alpha[3], values[6];
    const double by[] = {1.0, 2.0, 3.0, 4.0, 5.0};
    mb_tree_prior prior = {1, theta, {theta[3], 1.0}, {theta[4], 1.0}, exp(theta[5])};
    /* nobody writes to what slopes are by */
    mb_tree_predictions of = {(double *)by, (double *)by + 1, (double *)by + 2, (double *)by + 3};
    mb_tree_slopes slopes = {.alpha = alpha};
    if (mb_tree_pull(&prior, &texts, &tree_paths, &of, NULL, &slopes) != MB_OK) {
        failures++;
    }
    memcpy(values, alpha, sizeof alpha);
    values[3] = slopes.repeat[0];
    values[4] = slopes.others[0];
    values[5] = slopes.log_odds;
    for (size_t i = 0; i < 6; i++) {
        double kept = theta[i], step = 1e-5;
        theta[i] = kept + step;
        double above = tree_value(theta);
        theta[i] = kept - step;
        double slope = (above - tree_value(theta)) / (2.0 * step);
        theta[i] = kept;
        near("a slope of the tree", values[i], slope);
    }
}

/* After 0 1 0: c is 1 + m m, m, 0, and before 1, 0, 0 and m, 1, 0. */
static void
test_balance(void)
{
    int64_t entries[] = {0, 1};
    mb_balance_slots slots = {2, tokens, entries};
    double evidence[2][3], even[2][3], of[2][6];
    const double strength = 0.8, memory = 0.6, step = 1e-6;
    double p[3], sum = 0.0, c[] = {1.0 + memory * memory, memory, 0.0};
    mb_balance_prior prior = {strength, memory};
    mb_balance_predictions out = {evidence[0], even[0], of[0]};
    if (mb_balance_predict(&prior, &texts, &slots, NULL, &out) != MB_OK) {
        failures++;
    }
    for (size_t v = 0; v < 3; v++) {
        sum += p[v] = exp(-strength * c[v]);
    }
    near("entry 0", of[0][0], p[0] / sum);
    near("entry 1", of[0][1], p[1] / sum);
    near("even", even[0][0], p[2] / sum);
    double once = 2.0 + exp(-strength), twice = 1.0 + exp(-strength) + exp(-strength * memory);
    near("evidence", evidence[0][0], -log(3.0 * once * twice) - strength * memory);
    for (size_t k = 0; k < 2; k++) {
        mb_balance_prior moved = {strength + (k == 0 ? step : 0.0), memory + (k == 1 ? step : 0.0)};
        mb_balance_predictions more = {evidence[1], even[1], of[1]};
        if (mb_balance_predict(&moved, &texts, &slots, NULL, &more) != MB_OK) {
            failures++;
        }
        const double tolerance = 1e-5;
        near("slope", tolerance * evidence[0][k + 1],
             tolerance * (evidence[1][0] - evidence[0][0]) / step);
        near("slope", tolerance * even[0][k + 1], tolerance * (even[1][0] - even[0][0]) / step);
        near("slope", tolerance * of[0][2 * (k + 1)], tolerance * (of[1][0] - of[0][0]) / step);
    }
}

/* Each is refused with MB_INVALID, by both ways through the tree. */
static void
test_refusals(void)
{
    const double theta[] = {1.0, 2.0, 0.5};
    double share[3], even[3], evidence[3], entries[6], alpha[3];
    mb_tree_prior prior = {1, theta, {1.0, 1.0}, {1.0, 1.0}, 1.0};
    mb_tree_predictions p = {share, even, evidence, entries};
    mb_tree_slopes slopes = {.alpha = alpha};
    int64_t beyond = (int64_t)3 << 32;
    const struct {
        int64_t *at, value;
    } wrong[] = {{tokens + 1, 3}, {starts, -1},   {starts + 1, 3},        {columns, 3},
                 {columns, -1},   {paths[2], -1}, {paths[1] + 1, beyond}, {tokens, 3}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int64_t kept = *wrong[i].at;
        *wrong[i].at = wrong[i].value;
        near("refused", mb_tree_predict(&prior, &texts, &tree_paths, NULL, &p), MB_INVALID);
        memset(share, 0, sizeof share);
        near("refused", mb_tree_pull(&prior, &texts, &tree_paths, &p, NULL, &slopes), MB_INVALID);
        *wrong[i].at = kept;
    }
    near("no memory", (fail_request(0), mb_tree_predict(&prior, &texts, &tree_paths, NULL, &p)),
         MB_NOMEM);
    near("no memory",
         (fail_request(0), mb_tree_pull(&prior, &texts, &tree_paths, &p, NULL, &slopes)), MB_NOMEM);
    mb_balance_slots slots = {2, tokens, columns};
    mb_balance_prior balance = {1.0, 0.5};
    double more[3][6];
    mb_balance_predictions q = {more[0], more[1], more[2]};
    near("no memory", (fail_request(0), mb_balance_predict(&balance, &texts, &slots, NULL, &q)),
         MB_NOMEM);
    fail_request(-1);
    slots.n_slots = 1;
    near("refused", mb_balance_predict(&balance, &texts, &slots, NULL, &q), MB_INVALID);
    slots.n_slots = SIZE_MAX;
    near("too large", mb_balance_predict(&balance, &texts, &slots, NULL, &q), MB_NOMEM);
    tree_paths.n_nodes = SIZE_MAX;
    near("too large", mb_tree_predict(&prior, &texts, &tree_paths, NULL, &p), MB_NOMEM);
    tree_paths.n_nodes = 3;
    tree_paths.longest = 1; /* where the root is visited three times */
    near("too short", mb_tree_predict(&prior, &texts, &tree_paths, NULL, &p), MB_INVALID);
    tree_paths.longest = 3;
}

typedef struct {
    mb_interrupt interrupt;
    size_t asked, change_at;
} writer;

static int
change_tokens(void *state)
{
    writer *own = state;
    own->interrupt.since = MB_PATIENCE; /* ask again at once */
    if (++own->asked == own->change_at) {
        tokens[0] = -1;
    }
    return 0;
}

/* Another thread may write to the texts meanwhile: what is read then is checked as it was at first. */
static void
test_texts_that_change(void)
{
    const double theta[] = {1.0, 2.0, 0.5};
    double share[3] = {0.0}, even[3] = {0.0}, evidence[3] = {0.0}, entries[6] = {0.0}, alpha[3];
    mb_tree_prior prior = {1, theta, {1.0, 1.0}, {1.0, 1.0}, 1.0};
    mb_tree_predictions p = {share, even, evidence, entries};
    size_t refused = 0, asked = 0;
    const int64_t kept = tokens[0];
    for (size_t at = 1; at <= asked + 1; at++) {
        mb_tree_slopes slopes = {.alpha = alpha};
        writer own = {{change_tokens, &own, MB_PATIENCE}, 0, at};
        mb_status status = mb_tree_pull(&prior, &texts, &tree_paths, &p, &own.interrupt, &slopes);
        tokens[0] = kept;
        near("a status", status == MB_OK || status == MB_INVALID, 1);
        refused += status == MB_INVALID;
        asked = own.asked > asked ? own.asked : asked;
    }
    near("changes are refused, nothing else is", refused > 0 && refused <= asked, 1);
}

int
main(void)
{
    test_tree();
    test_balance();
    test_refusals();
    test_texts_that_change();
    return report();
}
