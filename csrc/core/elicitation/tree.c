/* Predictions of trees of contexts, text by text. */
#include "core/elicitation/tree_walk.h"

#include <math.h>

static mb_status
answer(const mb_tree_prior *prior, const mb_texts *x, const mb_tree_paths *paths,
       const tree_work *w, size_t query, int64_t last, size_t depth, mb_interrupt *interrupt,
       tree_step *steps, mb_tree_predictions *out)
{
    double repeated, even;
    size_t start, end;
    tree_weigh(prior, w, depth, steps, &repeated, &even);
    if (!mb_entries_of(x, query, &start, &end)) {
        return MB_INVALID;
    }
    for (size_t e = start; e < end; e++) {
        int64_t column = x->columns[e];
        if (column < 0 || (uint64_t)column >= x->n_tokens) {
            return MB_INVALID;
        }
        const double *held = paths->held + e * w->n_steps;
        double p = w->weights[0] * prior->alpha[column] + (column == last ? repeated : even);
        for (size_t d = 0; d <= depth; d++) {
            p += w->weights[d] * held[d];
        }
        out->entries[e] = p;
    }
    out->share[query] = w->weights[0];
    out->even[query] = even;
    return mb_ask(interrupt, (end - start) * (depth + 1) * NODE_COST / 4);
}

/* A logarithm of a product of many numbers, most of them not small. */
typedef struct {
    double log, product;
} logarithm;

static double
value_of(const logarithm *x)
{
    return x->log + log(x->product);
}

static void
multiply(logarithm *x, double factor)
{
    x->product *= factor;
    if (x->product < 1e-200) {
        *x = (logarithm){value_of(x), 1.0};
    }
}

mb_status
mb_tree_predict(const mb_tree_prior *prior, const mb_texts *x, const mb_tree_paths *paths,
                mb_interrupt *interrupt, mb_tree_predictions *out)
{
    tree_work w;
    MB_TRY(tree_work_new(prior, x, paths, 1, &w));
    mb_status status = MB_OK;
    logarithm evidence = {0.0, 1.0};
    int64_t last = -1;
    for (size_t place = 0, query = 0; place < x->n_places && status == MB_OK; place++) {
        size_t depth;
        status = tree_find_path(prior, paths, place, &w, w.tape, &depth);
        while (status == MB_OK && query < x->n_queries && x->queries[query] == (int64_t)place) {
            out->evidence[query] = value_of(&evidence);
            status = answer(prior, x, paths, &w, query, last, depth, interrupt, w.tape, out);
            query++;
        }
        int64_t token = x->tokens[place];
        if (status != MB_OK) {
            break;
        }
        if (token < 0) { /* another text */
            tree_forget(&w);
            evidence = (logarithm){0.0, 1.0};
        } else if ((uint64_t)token < x->n_tokens) {
            multiply(&evidence, tree_visit(prior, &w, depth, (size_t)token, token == last, w.tape));
        } else {
            status = MB_INVALID;
        }
        last = token;
        if (status == MB_OK) {
            status = mb_ask(interrupt, NODE_COST * w.n_steps);
        }
    }
    mb_free(w.memory);
    return status;
}
