/* A walk through a tree of contexts, place by place: what tree.c and tree_slopes.c have in common.
 *
 * With s the chance of the child, e a node's estimate of the token that comes and m its prediction,
 * m_d = (1 - s_d) e_d + s_d m_{d+1}, and the visit multiplies the odds s / (1 - s) by m_{d+1} / e_d. */
#ifndef MB_TREE_WALK_H
#define MB_TREE_WALK_H

#include "core/base/mem.h"
#include "core/elicitation/tree.h"

#include <string.h>

/* Odds are a double times 2^(512 scale): products of many ratios may be beyond any double, and are
 * certain then. */
#define ODDS_SCALE 0x1p512
enum { NODE_COST = 16 /* nanoseconds for a node of a place */ };

typedef struct {
    double odds, slope; /* slope by their logarithm */
    int32_t scale;
    uint32_t visits;
} tree_node;

/* A node of a path at a place. */
typedef struct {
    tree_node *at;
    double stay, go; /* 1 - s, s; at the deepest 1, 0 */
    double inverse;  /* 1 over alpha and counts, together */
    double e, m;     /* of the token that comes; e before that: how often it came */
} tree_step;

typedef struct {
    size_t n_steps;   /* L + 1 */
    double *inverses; /* [3][longest + 1] */
    tree_step *tape;  /* [places][L + 1] */
    size_t *depths;   /* [places] of the last step */
    tree_node *nodes; /* [n_nodes] */
    size_t n_used;    /* of them, by the text so far */
    double each[2];   /* alpha of each other token */
    double *weights;  /* [L + 1] of counts in a prediction */
    double *slopes;   /* [L + 1] by them */
    double totals[3]; /* slopes by the sum of alpha of a level */
    double others[2]; /* slopes by `each` */
    void *memory;
} tree_work;

MB_INLINE mb_status
tree_work_new(const mb_tree_prior *prior, const mb_texts *x, const mb_tree_paths *paths,
              size_t n_places, tree_work *w)
{
    memset(w, 0, sizeof *w);
    w->n_steps = prior->depth + 1;
    size_t nodes, inverses, steps, depths, weights, total;
    int fits = prior->depth <= SIZE_MAX / 2 && paths->longest <= SIZE_MAX / 64;
    fits &= mb_multiply(paths->n_nodes, sizeof(tree_node), &nodes);
    fits &= mb_multiply(paths->longest + 1, 3 * sizeof(double), &inverses);
    fits &= mb_multiply(w->n_steps, n_places, &steps);
    fits &= mb_multiply(steps, sizeof(tree_step), &steps);
    fits &= mb_multiply(n_places, sizeof(size_t), &depths);
    fits &= mb_multiply(w->n_steps, 2 * sizeof(double), &weights);
    fits &= !__builtin_add_overflow(nodes, inverses, &total);
    fits &= !__builtin_add_overflow(total, steps, &total);
    fits &= !__builtin_add_overflow(total, depths, &total);
    fits &= !__builtin_add_overflow(total, weights, &total);
    if (!fits) {
        return MB_NOMEM;
    }
    char *memory = w->memory = mb_calloc(total, 1);
    if (memory == NULL) {
        return MB_NOMEM;
    }
    w->nodes = (tree_node *)memory;
    w->inverses = (double *)(void *)(memory + nodes);
    w->tape = (tree_step *)(memory + nodes + inverses);
    w->depths = (size_t *)(memory + nodes + inverses + steps);
    w->weights = (double *)(void *)(memory + nodes + inverses + steps + depths);
    w->slopes = w->weights + w->n_steps;
    double sums[3] = {0.0, prior->repeat[0] + prior->others[0],
                      prior->repeat[1] + prior->others[1]};
    for (size_t v = 0; v < x->n_tokens; v++) {
        sums[0] += prior->alpha[v];
    }
    for (size_t level = 0; level < 3; level++) {
        for (size_t n = 0; n <= paths->longest; n++) {
            w->inverses[level * (paths->longest + 1) + n] = 1.0 / (sums[level] + (double)n);
        }
    }
    for (size_t k = 0; k < 2; k++) {
        w->each[k] = prior->others[k] / (double)(x->n_tokens - 1);
    }
    return MB_OK;
}

/* 0, 1, 2: which alpha a node has. */
MB_INLINE size_t
tree_level(size_t depth)
{
    return depth < 2 ? depth : 2;
}

/* Another text begins. */
MB_INLINE void
tree_forget(tree_work *w)
{
    memset(w->nodes, 0, w->n_used * sizeof(tree_node));
    w->n_used = 0;
}

/* The nodes of a place, as they are before its token comes; MB_INVALID where they are not there. */
MB_INLINE mb_status
tree_find_path(const mb_tree_prior *prior, const mb_tree_paths *paths, size_t place, tree_work *w,
               tree_step *steps, size_t *depth)
{
    const int64_t *path = paths->paths + place * w->n_steps;
    size_t d = 0;
    for (; d < w->n_steps; d++) {
        int64_t code = path[d];
        if (code < 0) {
            break;
        }
        size_t number = (size_t)(code >> 32);
        if (number >= paths->n_nodes) {
            return MB_INVALID;
        }
        tree_step *own = steps + d;
        tree_node *at = own->at = w->nodes + number;
        w->n_used = number < w->n_used ? w->n_used : number + 1;
        if (at->visits == 0) {
            *at = (tree_node){prior->odds, 0.0, 0, 0};
        } else if (at->visits > paths->longest) {
            return MB_INVALID;
        }
        own->inverse = w->inverses[tree_level(d) * (paths->longest + 1) + at->visits];
        own->e = (double)(code & 0xffffffff);
        own->stay = 1.0 / (1.0 + at->odds);
        own->go = at->odds * own->stay;
        if (at->scale != 0) {
            own->go = at->scale > 0 ? 1.0 : 0.0;
            own->stay = 1.0 - own->go;
        }
    }
    if (d == 0) {
        return MB_INVALID;
    }
    steps[d - 1].go = 0.0;
    steps[d - 1].stay = 1.0;
    *depth = d - 1;
    return MB_OK;
}

MB_INLINE double
tree_alpha(const mb_tree_prior *prior, const tree_work *w, size_t level, size_t token, int repeats)
{
    return level == 0 ? prior->alpha[token]
                      : (repeats ? prior->repeat[level - 1] : w->each[level - 1]);
}

/* The token comes; its probability. */
MB_INLINE double
tree_visit(const mb_tree_prior *prior, const tree_work *w, size_t depth, size_t token, int repeats,
           tree_step *steps)
{
    double m = 0.0;
    for (size_t d = depth + 1; d-- > 0;) {
        tree_step *own = steps + d;
        own->e = (tree_alpha(prior, w, tree_level(d), token, repeats) + own->e) * own->inverse;
        m = own->m = own->stay * own->e + own->go * m;
    }
    for (size_t d = 0; d <= depth; d++) {
        tree_node *at = steps[d].at;
        at->visits++;
        if (d == depth) {
            break;
        }
        at->odds *= steps[d + 1].m / steps[d].e;
        if (at->odds > ODDS_SCALE) {
            at->odds /= ODDS_SCALE;
            at->scale++;
        } else if (at->odds < 1.0 / ODDS_SCALE) {
            at->odds *= ODDS_SCALE;
            at->scale--;
        }
    }
    return m;
}

/* What counts weigh at each step of a prediction; of all repeats and of each other token. */
MB_INLINE void
tree_weigh(const mb_tree_prior *prior, const tree_work *w, size_t depth, tree_step *steps,
           double *repeated, double *even)
{
    double left = 1.0;
    *repeated = *even = 0.0;
    for (size_t d = 0; d <= depth; d++) {
        tree_step *own = steps + d;
        w->weights[d] = left * own->stay * own->inverse;
        left *= own->go;
        if (d > 0) {
            *repeated += w->weights[d] * prior->repeat[tree_level(d) - 1];
            *even += w->weights[d] * w->each[tree_level(d) - 1];
        }
    }
}

#endif
