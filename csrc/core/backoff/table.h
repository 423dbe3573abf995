/* Tables of back-off models: what one has learnt, made for questions (docs/model.md 9d).
 *
 * The probability of a token w after a context u, with u' the longest proper suffix of u that is a
 * context, is
 *
 *     P(w|u) = value(u, w) where the pair is listed, else back(u) P(w|u')
 *
 * down to the empty context, whose row is stored whole.  Smoothed counts are of this form (value =
 * own(u, w) + back(u) P(w|u')), and so are ARPA files and pruned models.  Each pair knows where it
 * leads, the longest suffix of u w that is a context: a text is scored by a walk from context to
 * context, which goes to a shorter one no more often than to a longer one, without hashing.
 *
 * That needs closure: where u w is a context, so is u, and it lists w.  A pair that is listed for
 * this alone has the value NaN when a table is made; a table has the number that it backs off to,
 * with a minus sign.  The token V stands for the beginning of a text: in contexts, and in such pairs.
 *
 * A table never changes.  Statuses: MB_NOMEM and MB_STOPPED at any point. */
#ifndef MB_BACKOFF_TABLE_H
#define MB_BACKOFF_TABLE_H

#include "core/matrix/transitions.h"

#include <math.h>

typedef struct {
    double back;
    uint32_t first, shorter; /* its first pair; the context to go to */
} mb_backoff_context;

typedef struct {
    double value;
    uint32_t token, next; /* the context that it leads to */
} mb_backoff_pair;

/* Contexts are numbered through, those of a level, which have as many tokens, after shorter ones. */
typedef struct {
    uint64_t n_tokens; /* V */
    size_t n_levels, n_pairs;
    size_t firsts[MB_MAX_ORDER + 2]; /* [n_levels + 1], the first context of each level, and n */
    mb_backoff_context *contexts;    /* [n + 1] */
    mb_backoff_pair *pairs;          /* [n_pairs], tokens of a context rising */
    double *row;                     /* [V + 1], after the empty context; 0 of V */
    uint32_t *next;                  /* [V + 1], where it leads */
    double *base;                    /* [n], or NULL: P gets base of the longest context times */
    double *mean;                    /* [V], or NULL */
} mb_backoff;

/* Contexts of `level` tokens. */
typedef struct {
    size_t n, n_pairs;
    const int64_t *contexts; /* [n][level], the oldest token first, V at most */
    const int64_t *starts;   /* [n + 1] */
    const int64_t *tokens;   /* [n_pairs] */
    const double *values;    /* [n_pairs], NaN for what is listed for closure alone */
    const double *backs;     /* [n] */
    const double *base;      /* [n], where all levels have it; else NULL */
} mb_backoff_level;

typedef enum {
    MB_BACKOFF_ROOT,    /* level 0 has not one context */
    MB_BACKOFF_STARTS,  /* where a row begins is before the last one, or behind all pairs */
    MB_BACKOFF_TOKEN,   /* a token of a row is not V - 1 at most, or V without a value */
    MB_BACKOFF_ORDER,   /* tokens of a row do not rise */
    MB_BACKOFF_VALUE,   /* a value is negative or infinite */
    MB_BACKOFF_BACK,    /* a back is negative or above 2^60 */
    MB_BACKOFF_BASE,    /* a base is negative or not finite */
    MB_BACKOFF_MEAN,    /* a probability of the root is not from 0 to 1 */
    MB_BACKOFF_ABOVE,   /* a probability after a context is above 1 */
    MB_BACKOFF_CONTEXT, /* a token of a context is no token */
    MB_BACKOFF_TWICE,   /* a context is there twice */
    MB_BACKOFF_OPEN     /* the context less its newest token does not list that */
} mb_backoff_error;

typedef struct {
    mb_backoff_error error;
    size_t level, row; /* which context of the level; of a mean, which token */
} mb_backoff_fault;

/* A table of levels [n_levels], for n_tokens V from 1 to 2^32 - 2.  `root` [V] is what the back of
 * the empty context multiplies, or where there are bases, what these do; zeros where it is NULL.  With
 * `own` a value is what its pair adds to the back-off.  MB_INVALID with *fault; MB_RANGE for more than
 * 2^32 - 2 contexts or pairs, or levels than MB_MAX_ORDER + 1. */
mb_status mb_backoff_new(uint64_t n_tokens, size_t n_levels, const mb_backoff_level *levels,
                         const double *root, int own, mb_interrupt *interrupt, mb_backoff **out,
                         mb_backoff_fault *fault);
void mb_backoff_free(mb_backoff *table);

/* The bytes it takes. */
size_t mb_backoff_bytes(const mb_backoff *table);

/* The tokens of each context of a level > 0, out [n][level], from those of the level before. */
mb_status mb_backoff_contexts(const mb_backoff *table, size_t level, const int64_t *shorter,
                              mb_interrupt *interrupt, int64_t *out);

static inline size_t
mb_backoff_n(const mb_backoff *table)
{
    return table->firsts[table->n_levels];
}

/* How many tokens a context has. */
static inline size_t
mb_backoff_depth(const mb_backoff *table, uint32_t context)
{
    size_t level = 0;
    while (level + 1 < table->n_levels && table->firsts[level + 1] <= context) {
        level++;
    }
    return level;
}

/* The pair of a context with this token; NULL where it lists none. */
static inline const mb_backoff_pair *
mb_backoff_listed(const mb_backoff *table, uint32_t context, uint32_t token)
{
    size_t low = table->contexts[context].first, many = table->contexts[context + 1].first - low;
    if (many == 0) {
        return NULL;
    }
    while (many > 1) {
        size_t half = many / 2;
        low += half & -(size_t)(table->pairs[low + half].token <= token);
        many -= half;
    }
    return table->pairs[low].token == token ? table->pairs + low : NULL;
}

/* The probability of a token, V at most, after a context, less what a base adds; where it leads. */
static inline double
mb_backoff_step(const mb_backoff *table, uint32_t context, uint32_t token, uint32_t *next)
{
    double back = 1.0;
    for (; context != 0; context = table->contexts[context].shorter) {
        const mb_backoff_pair *pair = mb_backoff_listed(table, context, token);
        if (pair != NULL) {
            *next = pair->next;
            return back * fabs(pair->value);
        }
        back *= table->contexts[context].back;
    }
    *next = table->next[token];
    return back * table->row[token];
}

#endif
