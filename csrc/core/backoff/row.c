/* Whole rows of a table, and the tokens of its contexts. */
#include "core/backoff/walk.h"

#include <math.h>

enum {
    COST = 16, /* nanoseconds of a context or pair */
    PIECE = 1 << 10
};

/* Writes the pairs of a context, times a factor. */
static void
scatter(const mb_backoff *table, uint32_t context, double factor, double *out)
{
    size_t low = table->contexts[context].first, end = table->contexts[context + 1].first;
    if (end > low && table->pairs[end - 1].token >= table->n_tokens) {
        end--; /* the beginning of a text */
    }
    for (size_t i = low; i < end; i++) {
        out[table->pairs[i].token] = factor * fabs(table->pairs[i].value);
    }
}

void
mb_backoff_row(const mb_backoff *table, uint32_t context, double *out)
{
    uint32_t chain[MB_MAX_ORDER + 1];
    double factors[MB_MAX_ORDER + 1], back = 1.0;
    size_t n = 0;
    for (uint32_t c = context; c != 0 && n <= MB_MAX_ORDER; c = table->contexts[c].shorter) {
        chain[n] = c;
        factors[n++] = back;
        back *= table->contexts[c].back;
    }
    for (size_t w = 0; w < table->n_tokens; w++) {
        out[w] = back * table->row[w];
    }
    while (n > 0) { /* longer ones last */
        n--;
        scatter(table, chain[n], factors[n], out);
    }
    if (table->base != NULL) {
        double base = table->base[context];
        for (size_t w = 0; w < table->n_tokens; w++) {
            out[w] += base * table->mean[w];
        }
    }
}

/* The last tokens of contexts that pairs of a context lead to, one longer than it. */
static mb_status
extend_contexts(const mb_backoff *table, size_t level, size_t from, const int64_t *shorter,
                mb_interrupt *interrupt, int64_t *out)
{
    size_t first = table->firsts[level], n = table->firsts[level + 1] - first;
    size_t low = table->contexts[from].first, end = table->contexts[from + 1].first;
    size_t many = level == 1 ? table->n_tokens + 1 : end - low;
    for (size_t i = 0; i < many; i++) {
        const mb_backoff_pair *pair = level == 1 ? NULL : table->pairs + low + i;
        size_t to = (pair == NULL ? table->next[i] : pair->next) - first;
        if (to < n) {
            for (size_t k = 0; k + 1 < level; k++) {
                out[to * level + k] = shorter[k];
            }
            out[to * level + level - 1] = pair == NULL ? (int64_t)i : (int64_t)pair->token;
        }
        MB_TRY(i % PIECE == PIECE - 1 ? mb_ask(interrupt, (size_t)COST * PIECE) : MB_OK);
    }
    return mb_ask(interrupt, COST);
}

mb_status
mb_backoff_contexts(const mb_backoff *table, size_t level, const int64_t *shorter,
                    mb_interrupt *interrupt, int64_t *out)
{
    for (size_t c = table->firsts[level - 1]; c < table->firsts[level]; c++) {
        size_t i = c - table->firsts[level - 1];
        const int64_t *own = level > 1 ? shorter + i * (level - 1) : NULL; /* of no tokens */
        MB_TRY(extend_contexts(table, level, c, own, interrupt, out));
    }
    return MB_OK;
}
