/* Balancing sources.  There are two parameters, so slopes go forward with what they are slopes of.
 * The exponentials of several places are taken at once. */
#include "core/elicitation/balance.h"

#include "core/base/mem.h"
#include "core/special/special.h"

#include <math.h>
#include <string.h>

enum { AT_ONCE = 1 << 10 /* numbers whose exponentials are taken at once */ };

/* A place: its numbers are those of the tokens that came, `n_seen` from `first` on. */
typedef struct {
    size_t first, n_seen;
    double lowest; /* of c */
    int64_t slot;
} spot;

typedef struct {
    const mb_balance_prior *prior;
    const mb_texts *x;
    const mb_balance_slots *slots;
    double *c, *by_memory;        /* [S] of now, and the slope of c */
    size_t n_seen;                /* of them */
    size_t room, n_spots;         /* numbers at most; places so far */
    double *cs, *slopes, *powers; /* [room] of the places */
    spot *spots;                  /* [AT_ONCE] */
    double evidence[3], product;  /* of the text so far: by sums, and a product beside them */
} state;

static mb_status
state_new(const mb_balance_prior *prior, const mb_texts *x, const mb_balance_slots *slots, state *s,
          void **memory)
{
    size_t n = slots->n_slots, spots = AT_ONCE * sizeof(spot);
    memset(s, 0, sizeof *s);
    s->prior = prior;
    s->x = x;
    s->slots = slots;
    s->product = 1.0;
    if (n > SIZE_MAX / 64) {
        return MB_NOMEM;
    }
    s->room = n + AT_ONCE;
    char *all = *memory = mb_calloc(spots + (2 * n + 3 * s->room) * sizeof(double), 1);
    if (all == NULL) {
        return MB_NOMEM;
    }
    s->spots = (spot *)all;
    s->c = (double *)(void *)(all + spots);
    s->by_memory = s->c + n;
    s->cs = s->by_memory + n;
    s->slopes = s->cs + s->room;
    s->powers = s->slopes + s->room;
    return MB_OK;
}

/* Notes a place, then lets its token come. */
static mb_status
note(state *s, int64_t slot)
{
    spot *own = s->spots + s->n_spots;
    size_t first = s->n_spots == 0 ? 0 : own[-1].first + own[-1].n_seen;
    double strength = s->prior->strength, memory = s->prior->memory, lowest = 0.0;
    if (s->n_seen == s->x->n_tokens) { /* else there is a c of 0 */
        lowest = s->c[0];
        for (size_t i = 1; i < s->n_seen; i++) {
            lowest = s->c[i] < lowest ? s->c[i] : lowest;
        }
    }
    memcpy(s->cs + first, s->c, s->n_seen * sizeof(double));
    memcpy(s->slopes + first, s->by_memory, s->n_seen * sizeof(double));
    for (size_t i = 0; i < s->n_seen; i++) {
        s->powers[first + i] = -strength * (s->c[i] - lowest);
    }
    *own = (spot){first, s->n_seen, lowest, slot};
    s->n_spots++;
    if (slot < 0) {
        memset(s->c, 0, s->n_seen * sizeof(double));
        memset(s->by_memory, 0, s->n_seen * sizeof(double));
        s->n_seen = 0;
        return MB_OK;
    }
    if ((uint64_t)slot > s->n_seen || (uint64_t)slot >= s->slots->n_slots) {
        return MB_INVALID;
    }
    s->n_seen += (size_t)slot == s->n_seen;
    for (size_t i = 0; i < s->n_seen; i++) {
        s->by_memory[i] = memory * s->by_memory[i] + s->c[i];
        s->c[i] *= memory;
    }
    s->c[slot] += 1.0;
    return MB_OK;
}

/* Of a token at a place: its c less the lowest, and the slopes of the logarithm of its probability,
 * from the means of c and of its slope. */
typedef struct {
    double above, by[2];
} logit;

static logit
logit_of(const state *s, const spot *own, int64_t slot, const double *means)
{
    int seen = slot >= 0 && (uint64_t)slot < own->n_seen;
    double c = seen ? s->cs[own->first + (size_t)slot] : 0.0;
    double slope = seen ? s->slopes[own->first + (size_t)slot] : 0.0;
    return (logit){c - own->lowest, {means[0] - c, s->prior->strength * (means[1] - slope)}};
}

static mb_status
answer_at(state *s, const spot *own, size_t query, const double *means, double total,
          mb_balance_predictions *out)
{
    size_t start, end, n = s->x->n_queries;
    if (!mb_entries_of(s->x, query, &start, &end)) {
        return MB_INVALID;
    }
    logit none = logit_of(s, own, -1, means);
    out->evidence[query] = s->evidence[0] - log(s->product);
    out->even[query] = own->n_seen < s->x->n_tokens ? 1.0 / total : 0.0;
    for (size_t k = 0; k < 2; k++) {
        out->evidence[(k + 1) * n + query] = s->evidence[k + 1];
        out->even[(k + 1) * n + query] = out->even[query] * none.by[k];
    }
    for (size_t e = start; e < end; e++) {
        int64_t slot = s->slots->entries[e];
        int seen = slot >= 0 && (uint64_t)slot < own->n_seen;
        logit of = logit_of(s, own, slot, means);
        double p = (seen ? s->powers[own->first + (size_t)slot] : 1.0) / total;
        out->entries[e] = p;
        for (size_t k = 0; k < 2; k++) {
            out->entries[(k + 1) * s->x->n_entries + e] = p * of.by[k];
        }
    }
    return MB_OK;
}

/* Everything of the places noted: the last of them is `place` - 1. */
static mb_status
settle(state *s, size_t place, size_t *query, mb_interrupt *interrupt, mb_balance_predictions *out)
{
    if (s->n_spots == 0) {
        return MB_OK;
    }
    size_t n = s->spots[s->n_spots - 1].first + s->spots[s->n_spots - 1].n_seen;
    mb_exp(n, s->powers, s->powers);
    for (size_t i = 0; i < s->n_spots; i++) {
        const spot *own = s->spots + i;
        double total = (double)(s->x->n_tokens - own->n_seen), means[2] = {0.0, 0.0};
        for (size_t j = own->first; j < own->first + own->n_seen; j++) {
            total += s->powers[j];
            means[0] += s->powers[j] * s->cs[j];
            means[1] += s->powers[j] * s->slopes[j];
        }
        means[0] /= total;
        means[1] /= total;
        while (*query < s->x->n_queries &&
               s->x->queries[*query] == (int64_t)(place - s->n_spots + i)) {
            MB_TRY(answer_at(s, own, *query, means, total, out));
            ++*query;
        }
        if (own->slot < 0) {
            memset(s->evidence, 0, sizeof s->evidence);
            s->product = 1.0;
            continue;
        }
        logit of = logit_of(s, own, own->slot, means);
        s->evidence[0] -= s->prior->strength * of.above;
        s->evidence[1] += of.by[0];
        s->evidence[2] += of.by[1];
        s->product *= total;
        if (s->product > 1e200) {
            s->evidence[0] -= log(s->product);
            s->product = 1.0;
        }
    }
    MB_TRY(mb_ask(interrupt, 8 * n + 32 * s->n_spots));
    s->n_spots = 0;
    return MB_OK;
}

mb_status
mb_balance_predict(const mb_balance_prior *prior, const mb_texts *x, const mb_balance_slots *slots,
                   mb_interrupt *interrupt, mb_balance_predictions *out)
{
    state s;
    void *memory;
    MB_TRY(state_new(prior, x, slots, &s, &memory));
    mb_status status = MB_OK;
    size_t query = 0, n = 0;
    for (size_t place = 0; place < x->n_places && status == MB_OK; place++) {
        if (s.n_spots == AT_ONCE || n > AT_ONCE) {
            status = settle(&s, place, &query, interrupt, out);
            n = 0;
        }
        n += s.n_seen;
        status = status == MB_OK ? note(&s, slots->slots[place]) : status;
    }
    status = status == MB_OK ? settle(&s, x->n_places, &query, interrupt, out) : status;
    mb_free(memory);
    return status;
}
