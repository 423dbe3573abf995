/* Pairs are judged from the longest contexts down, each against the shorter model as it was; then backs
 * and losses of whole rows are found from the shortest up.  Of a row with listed pairs v, back a and the
 * shorter row s, which becomes t, the part that is not listed is a s there and b t after: it loses
 *
 *     a (KL(s || t) - sum over listed of s ln(s / t)) + A ln(a / b),     A = a (1 - sum over listed of s)
 *
 * so that no row is written down. */
#include "core/backoff/prune.h"

#include "core/backoff/link.h"
#include "core/base/exact_sum.h"
#include "core/base/mem.h"

#define NO_SHARE 1e-12 /* is rounding, of a probability */
#define NOISE 1e-15    /* and of a divergence */

enum {
    COST = 8,  /* nanoseconds of a context */
    PAIR = 128 /* and of a look at a shorter one */
};

/* The model, and what is left of it. */
typedef struct {
    const mb_backoff *table;
    unsigned char *kept;
    double *backs;
    double *shorter; /* [n_pairs], the probability of each pair after the shorter context */
    double *reach;   /* [n], how probably a context is the end of what stands before a token */
    double *lost;    /* [n], of its row */
} pruning;

static int
is_valued(const mb_backoff_pair *pair)
{
    return !signbit(pair->value);
}

static double
positive_part(double x)
{
    return x > 0.0 ? x : 0.0;
}

/* What the shorter row has on tokens that a context does not list. */
static double
unlisted_share(const pruning *p, size_t context)
{
    const mb_backoff *table = p->table;
    mb_exact_sum left = {1.0, 0.0};
    for (size_t i = table->contexts[context].first; i < table->contexts[context + 1].first; i++) {
        if (is_valued(table->pairs + i)) {
            mb_exact_add(&left, -p->shorter[i]);
        }
    }
    return positive_part(mb_exact_value(left));
}

/* x ln(x / y), 0 where x is. */
static double
relative_term(double x, double y)
{
    return x > 0.0 ? x * log(x / y) : 0.0;
}

/* What the row of a context loses without a pair v that the shorter one gives s; `share` is what that
 * has on tokens that are not listed. */
static double
loss_of_pair(double v, double s, double back, double share)
{
    double other = (back * share + v) / (share + s), mass = back * share;
    double found = relative_term(v, other * s);
    return mass > 0.0 ? found + mass * log(back / other) : found;
}

/* Against what pairs of a context are judged: the back, and what the shorter row has on tokens that are
 * not listed.  Where all are, any one goes for nothing, but not two: the least probable is taken to. */
static void
context_to_judge(const pruning *p, size_t context, double *back, double *share)
{
    const mb_backoff *table = p->table;
    const mb_backoff_context *own = table->contexts + context;
    *back = own->back;
    *share = unlisted_share(p, context);
    if (*share > NO_SHARE) {
        return;
    }
    double least = INFINITY;
    for (size_t i = own->first; i < own[1].first; i++) {
        const mb_backoff_pair *pair = table->pairs + i;
        if (is_valued(pair) && pair->value < least && p->shorter[i] > 0.0) {
            least = pair->value;
            *share = p->shorter[i];
            *back = least / *share;
        }
    }
}

/* Which pairs of a context stay; whether any does. */
static int
judge_context(const pruning *p, size_t context, size_t next_level, double threshold,
              const unsigned char *in_use)
{
    const mb_backoff *table = p->table;
    const mb_backoff_context *own = table->contexts + context;
    for (size_t i = own->first; i < own[1].first; i++) {
        uint32_t next;
        p->shorter[i] = mb_backoff_step(table, own->shorter, table->pairs[i].token, &next);
    }
    double back, share;
    int any = 0;
    context_to_judge(p, context, &back, &share);
    for (size_t i = own->first; i < own[1].first; i++) {
        const mb_backoff_pair *pair = table->pairs + i;
        int stays = pair->next >= next_level && in_use[pair->next];
        if (!stays && is_valued(pair)) {
            double loss = loss_of_pair(pair->value, p->shorter[i], back, share);
            stays = !(loss <= NOISE || p->reach[context] * loss <= threshold);
        }
        p->kept[i] = (unsigned char)stays;
        any |= stays;
    }
    return any;
}

/* The probability of a token after a context of what is left. */
static double
pruned_step(const pruning *p, uint32_t context, uint32_t token)
{
    const mb_backoff *table = p->table;
    double back = 1.0;
    for (; context != 0; context = table->contexts[context].shorter) {
        const mb_backoff_pair *pair = mb_backoff_listed(table, context, token);
        if (pair != NULL && is_valued(pair) && p->kept[pair - table->pairs]) {
            return back * pair->value;
        }
        back *= p->backs[context];
    }
    return back * table->row[token];
}

/* The back of a context of what is left, and what its row has lost. */
static void
settle_context(const pruning *p, size_t context, int in_use)
{
    const mb_backoff *table = p->table;
    const mb_backoff_context *own = table->contexts + context;
    double mass = own->back * unlisted_share(p, context), lost = 0.0, changed = 0.0;
    double freed = 0.0, freed_share = 0.0;
    mb_exact_sum left = {1.0, 0.0};
    for (size_t i = own->first; i < own[1].first; i++) {
        const mb_backoff_pair *pair = table->pairs + i;
        if (!is_valued(pair)) {
            continue;
        }
        double t = pruned_step(p, own->shorter, pair->token);
        changed += relative_term(p->shorter[i], t);
        mb_exact_add(&left, -t);
        if (!p->kept[i]) {
            lost += relative_term(pair->value, t);
            freed += pair->value;
            freed_share += t;
        }
    }
    double share = positive_part(mb_exact_value(left)) + freed_share;
    double back = !in_use ? 1.0 : share > 0.0 ? (mass + freed) / share : own->back;
    if (freed > 0.0) {
        lost -= freed * log(back);
    }
    if (own->back > 0.0) {
        lost += own->back * (p->lost[own->shorter] - changed);
    }
    p->lost[context] = mass > 0.0 ? lost + mass * log(own->back / back) : lost;
    p->backs[context] = back;
}

static mb_status
prune_in(const pruning *p, const double *states, double threshold, mb_interrupt *interrupt,
         unsigned char *in_use, double *loss)
{
    const mb_backoff *table = p->table;
    const mb_backoff_context *contexts = table->contexts;
    size_t n = mb_backoff_n(table), level = table->n_levels - 1;
    mb_exact_sum sum = {0.0, 0.0};
    for (size_t c = 0; c < n; c++) {
        p->reach[c] = states[c];
    }
    for (size_t c = n; c-- > 1;) {
        p->reach[contexts[c].shorter] += p->reach[c];
        while (c < table->firsts[level]) {
            level--;
        }
        in_use[c] = (unsigned char)judge_context(p, c, table->firsts[level + 1], threshold, in_use);
        MB_TRY(
            mb_ask(interrupt, COST + (size_t)PAIR * (contexts[c + 1].first - contexts[c].first)));
    }
    for (size_t i = 0; i < contexts[1].first; i++) {
        p->kept[i] = 1;
    }
    p->backs[0] = contexts[0].back;
    p->lost[0] = 0.0;
    for (size_t c = 1; c < n; c++) {
        settle_context(p, c, in_use[c]);
        mb_exact_add(&sum, states[c] * p->lost[c]);
        MB_TRY(
            mb_ask(interrupt, COST + (size_t)PAIR * (contexts[c + 1].first - contexts[c].first)));
    }
    double found = mb_exact_value(sum);
    *loss = positive_part(found);
    return isfinite(found) ? MB_OK : MB_RANGE;
}

mb_status
mb_backoff_prune(const mb_backoff *table, const double *states, double threshold,
                 mb_interrupt *interrupt, unsigned char *kept, double *backs, double *loss)
{
    size_t n = mb_backoff_n(table), doubles = 2 * n + table->n_pairs; /* of 32 bits each */
    double *work = mb_calloc(doubles, sizeof(double));
    unsigned char *in_use = mb_calloc(n, 1);
    pruning p = {table, kept, backs, work, NULL, NULL};
    mb_status status = work == NULL || in_use == NULL ? MB_NOMEM : MB_OK;
    if (status == MB_OK) {
        p.reach = work + table->n_pairs;
        p.lost = p.reach + n;
        status = prune_in(&p, states, threshold, interrupt, in_use, loss);
    }
    mb_free(work);
    mb_free(in_use);
    return status;
}
