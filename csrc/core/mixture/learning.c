/* A posterior that learns a text token by token.
 *
 * A row of Dirichlet a with sum A has the mean entropy D / A, with
 *
 *     D = sum_v a_v (psi(A + 1) - psi(a_v + 1)),
 *
 * and one more of token v adds psi(A + 1) - psi(a_v + 1) to D: all terms are positive, so that nothing
 * cancels however long the text is. */
#include "core/mixture/learning.h"

#include "core/base/exact_sum.h"
#include "core/mixture/posterior.h"
#include "core/special/special.h"

#include <string.h>

enum {
    RUN = 256,
    COST = 2 /* of a component's token, in units of mb_ask(); of its psi, ten times */
};

/* What is known of a component. */
typedef struct {
    mb_exact_sum total; /* A */
    mb_exact_sum joint; /* ln w + ln L */
    mb_exact_sum rows;  /* D */
} component;

/* Where things are in the scratch. */
typedef struct {
    component *known; /* [K] */
    double *weights;  /* [K] */
    double *logs;     /* [K] */
    double *counts;   /* [V] */
} state;

size_t
mb_learning_scratch(const mb_mixture *mixture)
{
    size_t each = sizeof(component) / sizeof(double) + 2;
    return each * mixture->n_components + mixture->n_tokens;
}

static state
carve(const mb_mixture *mixture, double *scratch)
{
    size_t n_components = mixture->n_components;
    state s = {.known = (component *)scratch};
    s.weights = (double *)(s.known + n_components);
    s.logs = s.weights + n_components;
    s.counts = s.logs + n_components;
    return s;
}

/* A - a: the sum of the others, even where they are nothing beside a. */
static double
others(const component *own, double a)
{
    double rest = (own->total.sum - a) + own->total.rest;
    return rest > 0.0 ? rest : 0.0;
}

/* A and D of a component. */
static mb_status
begin_rows(size_t n, const double *alpha, const double *counts, mb_interrupt *interrupt,
           component *own)
{
    for (size_t v = 0; v < n; v++) {
        mb_exact_add(&own->total, alpha[v] + counts[v]);
    }
    double a[RUN], next[RUN], rest[RUN];
    for (size_t start = 0; start < n; start += RUN) {
        size_t run = n - start < RUN ? n - start : RUN;
        for (size_t i = 0; i < run; i++) {
            a[i] = alpha[start + i] + counts[start + i];
            next[i] = a[i] + 1.0;
            rest[i] = others(own, a[i]);
        }
        mb_digamma_differences(run, next, rest, rest);
        for (size_t i = 0; i < run; i++) {
            mb_exact_add(&own->rows, a[i] * rest[i]);
        }
        MB_TRY(mb_ask(interrupt, (size_t)10 * COST * run));
    }
    return MB_OK;
}

static mb_status
begin(const mb_mixture *mixture, const double *counts, mb_interrupt *interrupt, state *s)
{
    size_t n_tokens = mixture->n_tokens;
    memcpy(s->counts, counts, n_tokens * sizeof(double));
    MB_TRY(mb_mixture_log_joint_counts(mixture, 1, s->counts, interrupt, s->logs));
    for (size_t k = 0; k < mixture->n_components; k++) {
        s->known[k] = (component){.joint = {s->logs[k], 0.0}};
        MB_TRY(begin_rows(n_tokens, mixture->alpha + k * n_tokens, s->counts, interrupt,
                          s->known + k));
    }
    return MB_OK;
}

/* The predictive, and its entropy; the weights are those of now. */
static mb_status
predict(const mb_mixture *mixture, const state *s, mb_interrupt *interrupt, double *p,
        double *entropy)
{
    size_t n_tokens = mixture->n_tokens;
    double logs[RUN];
    *entropy = 0.0;
    for (size_t start = 0; start < n_tokens; start += RUN) {
        size_t run = n_tokens - start < RUN ? n_tokens - start : RUN;
        memset(p + start, 0, run * sizeof(double));
        for (size_t k = 0; k < mixture->n_components; k++) {
            mb_add_predictive(run, s->weights[k] / mb_exact_value(s->known[k].total),
                              mixture->alpha + k * n_tokens + start, s->counts + start, p + start);
        }
        mb_log(run, p + start, logs);
        double part = 0.0;
        for (size_t i = 0; i < run; i++) {
            part -= p[start + i] > 0.0 ? p[start + i] * logs[i] : 0.0;
        }
        *entropy += part;
        MB_TRY(mb_ask(interrupt, COST * (mixture->n_components + 4) * run));
    }
    return MB_OK;
}

static mb_status
look(const mb_mixture *mixture, state *s, mb_interrupt *interrupt, double *p, mb_uncertainty *out)
{
    double log_evidence;
    mb_uncertainty u = {0.0, 0.0, 0.0};
    for (size_t k = 0; k < mixture->n_components; k++) {
        s->weights[k] = mb_exact_value(s->known[k].joint);
    }
    MB_TRY(mb_normalize_log_joint(1, mixture->n_components, interrupt, s->weights, &log_evidence));
    MB_TRY(predict(mixture, s, interrupt, p, &u.total));
    for (size_t k = 0; k < mixture->n_components; k++) {
        const component *own = s->known + k;
        u.aleatoric += s->weights[k] * (mb_exact_value(own->rows) / mb_exact_value(own->total));
    }
    u.epistemic = u.total > u.aleatoric ? u.total - u.aleatoric : 0.0;
    *out = u;
    return MB_OK;
}

static void
learn(const mb_mixture *mixture, size_t v, state *s)
{
    for (size_t k = 0; k < mixture->n_components; k++) {
        component *own = s->known + k;
        double a = mixture->alpha[k * mixture->n_tokens + v] + s->counts[v];
        mb_exact_add(&own->rows, mb_digamma_difference(a + 1.0, others(own, a)));
        s->logs[k] = a / mb_exact_value(own->total);
        mb_exact_add(&own->total, 1.0);
    }
    mb_log(mixture->n_components, s->logs, s->logs);
    for (size_t k = 0; k < mixture->n_components; k++) {
        if (mixture->weights[k] > 0.0) { /* -inf stays what it is */
            mb_exact_add(&s->known[k].joint, s->logs[k]);
        }
    }
    s->counts[v] += 1.0;
}

mb_status
mb_mixture_learn(const mb_mixture *mixture, const double *counts, size_t n, const int64_t *tokens,
                 mb_interrupt *interrupt, double *scratch, double *predictive,
                 mb_uncertainty *parts)
{
    size_t n_tokens = mixture->n_tokens;
    state s = carve(mixture, scratch);
    MB_TRY(begin(mixture, counts, interrupt, &s));
    for (size_t t = 0;; t++) {
        MB_TRY(look(mixture, &s, interrupt, predictive + t * n_tokens, parts + t));
        if (t == n) {
            return MB_OK;
        }
        learn(mixture, (size_t)tokens[t], &s);
    }
}
