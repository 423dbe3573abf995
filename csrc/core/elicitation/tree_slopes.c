/* Slopes of the predictions of trees of contexts.
 *
 * The way back goes through the places of a text in turn, the last one first, and keeps of each node
 * the slope by the logarithm of its odds as they are after the place that it is at. */
#include "core/elicitation/tree_walk.h"

/* From the slope by the estimate of a token that came. */
static void
pull_estimate(const tree_step *own, size_t level, size_t token, int repeats, double by_estimate,
              tree_work *w, mb_tree_slopes *out)
{
    double slope = by_estimate * own->inverse;
    w->totals[level] -= slope * own->e;
    if (level == 0) {
        out->alpha[token] += slope;
    } else if (repeats) {
        out->repeat[level - 1] += slope;
    } else {
        w->others[level - 1] += slope;
    }
}

/* From the slope by the logarithm of a token's probability. */
static void
pull_visit(size_t depth, size_t token, int repeats, double by_log, tree_step *steps, tree_work *w,
           mb_tree_slopes *out)
{
    double by_m = by_log / steps[0].m;
    for (size_t d = 0; d < depth; d++) {
        const tree_step *own = steps + d;
        double by_odds = own->at->slope, below = own[1].m;
        pull_estimate(own, tree_level(d), token, repeats, by_m * own->stay - by_odds / own->e, w,
                      out);
        own->at->slope += by_m * (below - own->e) * own->stay * own->go;
        by_m = by_m * own->go + by_odds / below;
    }
    pull_estimate(steps + depth, tree_level(depth), token, repeats, by_m, w, out);
}

/* From the slopes by an answer. */
static mb_status
pull_answer(const mb_tree_prior *prior, const mb_texts *x, const mb_tree_paths *paths,
            const mb_tree_predictions *by, size_t query, int64_t last, size_t depth,
            mb_interrupt *interrupt, tree_step *steps, tree_work *w, mb_tree_slopes *out)
{
    double repeated, even, by_repeated = 0.0, by_even = by->even[query];
    size_t start, end;
    tree_weigh(prior, w, depth, steps, &repeated, &even);
    if (!mb_entries_of(x, query, &start, &end)) {
        return MB_INVALID;
    }
    for (size_t d = 0; d <= depth; d++) {
        w->slopes[d] = 0.0;
    }
    w->slopes[0] = by->share[query];
    for (size_t e = start; e < end; e++) {
        int64_t column = x->columns[e];
        if (column < 0 || (uint64_t)column >= x->n_tokens) {
            return MB_INVALID;
        }
        const double *held = paths->held + e * w->n_steps;
        double slope = by->entries[e];
        out->alpha[column] += slope * w->weights[0];
        w->slopes[0] += slope * prior->alpha[column];
        *(column == last ? &by_repeated : &by_even) += slope;
        for (size_t d = 0; d <= depth; d++) {
            w->slopes[d] += slope * held[d];
        }
    }
    double left = 1.0, below = 0.0;
    for (size_t d = 0; d <= depth; d++) {
        tree_step *own = steps + d;
        if (d > 0) {
            size_t k = tree_level(d) - 1;
            w->slopes[d] += by_repeated * prior->repeat[k] + by_even * w->each[k];
            out->repeat[k] += by_repeated * w->weights[d];
            w->others[k] += by_even * w->weights[d];
        }
        w->slopes[d] *= own->inverse; /* by the chance of this step */
        w->totals[tree_level(d)] -= w->slopes[d] * w->weights[d];
        own->m = left; /* the chance of coming so far; of no more use as it was */
        left *= own->go;
    }
    for (size_t d = depth + 1; d-- > 0;) {
        tree_step *own = steps + d;
        if (d < depth) {
            own->at->slope += own->m * own->stay * own->go * (below - w->slopes[d]);
        }
        below = own->stay * w->slopes[d] + own->go * below;
    }
    return mb_ask(interrupt, (end - start) * (depth + 1) * NODE_COST / 2);
}

/* The text of places first .. end, the last of them without a token. */
static mb_status
pull_text(const mb_tree_prior *prior, const mb_texts *x, const mb_tree_paths *paths,
          const mb_tree_predictions *by, size_t first, size_t end, size_t *query, tree_work *w,
          mb_interrupt *interrupt, mb_tree_slopes *out)
{
    int64_t last = -1, token;
    tree_forget(w);
    for (size_t i = 0; i < end - first; i++, last = token) {
        tree_step *steps = w->tape + i * w->n_steps;
        MB_TRY(tree_find_path(prior, paths, first + i, w, steps, w->depths + i));
        token = x->tokens[first + i];
        if (i + 1 == end - first ? token >= 0 : token < 0 || (uint64_t)token >= x->n_tokens) {
            return MB_INVALID;
        }
        if (token >= 0) {
            (void)tree_visit(prior, w, w->depths[i], (size_t)token, token == last, steps);
        }
        MB_TRY(mb_ask(interrupt, (size_t)2 * NODE_COST * w->n_steps));
    }
    double by_evidence = 0.0;
    for (size_t i = end - first; i-- > 0;) {
        tree_step *steps = w->tape + i * w->n_steps;
        last = i > 0 ? x->tokens[first + i - 1] : -1;
        token = x->tokens[first + i];
        if (i + 1 < end - first) {
            if (token < 0 || (uint64_t)token >= x->n_tokens) {
                return MB_INVALID;
            }
            pull_visit(w->depths[i], (size_t)token, token == last, by_evidence, steps, w, out);
        }
        while (*query > 0 && x->queries[*query - 1] == (int64_t)(first + i)) {
            --*query;
            MB_TRY(pull_answer(prior, x, paths, by, *query, last, w->depths[i], interrupt, steps, w,
                               out));
            by_evidence += by->evidence[*query];
        }
    }
    for (size_t i = 0; i < w->n_used; i++) {
        out->log_odds += w->nodes[i].slope;
    }
    return MB_OK;
}

mb_status
mb_tree_pull(const mb_tree_prior *prior, const mb_texts *x, const mb_tree_paths *paths,
             const mb_tree_predictions *by, mb_interrupt *interrupt, mb_tree_slopes *out)
{
    tree_work w;
    MB_TRY(tree_work_new(prior, x, paths, paths->longest + 1, &w));
    memset(out->alpha, 0, x->n_tokens * sizeof(double));
    memset(out->repeat, 0, sizeof out->repeat);
    memset(out->others, 0, sizeof out->others);
    out->log_odds = 0.0;
    mb_status status = MB_OK;
    size_t query = x->n_queries;
    for (size_t end = x->n_places, first; end > 0 && status == MB_OK; end = first) {
        first = end - 1;
        while (first > 0 && x->tokens[first - 1] >= 0) {
            first--;
        }
        status = end - first > paths->longest + 1
                     ? MB_INVALID
                     : pull_text(prior, x, paths, by, first, end, &query, &w, interrupt, out);
    }
    for (size_t v = 0; v < x->n_tokens; v++) {
        out->alpha[v] += w.totals[0];
    }
    for (size_t k = 0; k < 2; k++) {
        out->repeat[k] += w.totals[k + 1];
        out->others[k] = w.totals[k + 1] + w.others[k] / (double)(x->n_tokens - 1);
    }
    mb_free(w.memory);
    return status;
}
