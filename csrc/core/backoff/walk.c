/* Walks through a table.  A walk waits for memory at every step: the context, its pairs, the next
 * context.  So texts are cut into pieces, and many are walked in turn; each asks for what its next turn
 * reads.  What a walk needs to know of the text before a piece are the last tokens, as many as the
 * longest context has. */
#include "core/backoff/walk.h"

#include <math.h>
#include <string.h>

enum {
    WALKS = 24,       /* at once */
    LENGTH = 1 << 10, /* tokens of a piece */
    TURN = 16,        /* nanoseconds of a turn */
    FEW = 4           /* pairs that are searched in one turn */
};

/* Pieces of documents, one after the other. */
typedef struct {
    size_t n_documents, document, at, skip;
    const mb_document *documents;
    double *probs;
    int64_t *matched;
} pieces;

typedef struct {
    const int64_t *tokens; /* of its document */
    size_t document, at, scored,
        end;       /* the next token, the first that is scored, behind the last */
    double *probs; /* of the next token that is scored */
    int64_t *matched;
    double back;
    size_t low, many;              /* pairs that may be its */
    uint32_t from, context, token; /* the longest context; where the token is looked for now */
    int is_new; /* whether the token has still to be read, and the context to be entered */
} walk;

mb_status
mb_backoff_walk(const mb_backoff *table, size_t n, const int64_t *tokens, uint32_t *context,
                size_t *position)
{
    for (size_t i = 0; i < n; i++) {
        int64_t token = tokens[i];
        if ((uint64_t)token > table->n_tokens) {
            *position = i;
            return MB_INVALID;
        }
        (void)mb_backoff_step(table, *context, (uint32_t)token, context);
    }
    return MB_OK;
}

size_t
mb_backoff_n_scored(size_t n_documents, const mb_document *documents, size_t skip)
{
    size_t n = 0;
    for (size_t d = 0; d < n_documents; d++) {
        n += documents[d].n > skip ? documents[d].n - skip : 0;
    }
    return n;
}

/* The next piece as a walk; 0 where there is none. */
static int
next_piece(const mb_backoff *table, pieces *left, uint32_t begin, walk *w)
{
    while (left->document < left->n_documents && left->at >= left->documents[left->document].n) {
        left->document++;
        left->at = 0;
    }
    if (left->document == left->n_documents) {
        return 0;
    }
    const mb_document *document = left->documents + left->document;
    size_t longest = table->n_levels - 1, start = left->at;
    size_t end = document->n - start > LENGTH ? start + LENGTH : document->n;
    *w = (walk){.tokens = document->tokens, .document = left->document, .end = end};
    w->scored = start > left->skip ? start : left->skip;
    w->probs = left->probs;
    w->matched = left->matched;
    w->at = start > longest ? start - longest : 0;
    w->context = w->from = start > longest ? 0 : begin;
    w->is_new = 1;
    size_t n = end > w->scored ? end - w->scored : 0;
    left->at = end;
    left->probs += n;
    if (left->matched != NULL) {
        left->matched += n;
    }
    return 1;
}

/* How long the n-gram is by which a token was found at a context, or where pairs are there for
 * closure alone or the row of the empty context is, at a shorter one. */
static int64_t
matched_tokens(const mb_backoff *table, uint32_t context, uint32_t token)
{
    for (;; context = table->contexts[context].shorter) {
        const mb_backoff_pair *pair = mb_backoff_listed(table, context, token);
        if (pair != NULL && !signbit(pair->value)) {
            return (int64_t)mb_backoff_depth(table, context) + 1;
        }
        if (context == 0) {
            return 0;
        }
    }
}

/* The token was found: writes its probability and goes on. */
static void
arrive(const mb_backoff *table, walk *w, double prob, uint32_t next)
{
    if (w->at >= w->scored) {
        if (table->base != NULL) {
            prob += table->base[w->from] * table->mean[w->token];
        }
        *w->probs++ = prob;
        if (w->matched != NULL) {
            *w->matched++ = matched_tokens(table, w->context, w->token);
        }
    }
    w->context = w->from = next;
    w->at++;
    w->is_new = 1;
    __builtin_prefetch(table->contexts + next);
}

/* A turn of a walk that is not at its end. */
static mb_status
turn(const mb_backoff *table, walk *w, mb_token_fault *fault)
{
    if (w->is_new) {
        int64_t token = w->tokens[w->at];
        uint64_t most = w->at < w->scored ? table->n_tokens : table->n_tokens - 1;
        if ((uint64_t)token > most) {
            *fault = (mb_token_fault){w->document, w->at, token};
            return MB_INVALID;
        }
        w->token = (uint32_t)token;
        w->back = 1.0;
    }
    if (w->is_new || w->many == 0) {
        const mb_backoff_context *context = table->contexts + w->context;
        if (w->context == 0) {
            arrive(table, w, w->back * table->row[w->token], table->next[w->token]);
            return MB_OK;
        }
        w->is_new = 0;
        w->low = context->first;
        w->many = context[1].first - w->low;
        if (w->many > 0) {
            __builtin_prefetch(table->pairs + w->low + w->many / 2);
            return MB_OK;
        }
    }
    while (w->many > 1) {
        size_t half = w->many / 2;
        w->low += half & -(size_t)(table->pairs[w->low + half].token <= w->token);
        w->many -= half;
        if (w->many > FEW) {
            __builtin_prefetch(table->pairs + w->low + w->many / 2);
            return MB_OK;
        }
    }
    const mb_backoff_pair *pair = table->pairs + w->low;
    if (w->many > 0 && pair->token == w->token) {
        arrive(table, w, w->back * fabs(pair->value), pair->next);
        return MB_OK;
    }
    w->many = 0;
    w->back *= table->contexts[w->context].back;
    w->context = table->contexts[w->context].shorter;
    __builtin_prefetch(table->contexts + w->context);
    return MB_OK;
}

mb_status
mb_backoff_probs(const mb_backoff *table, size_t n_documents, const mb_document *documents,
                 uint32_t begin, size_t skip, mb_interrupt *interrupt, double *probs,
                 int64_t *matched, mb_token_fault *fault)
{
    pieces left = {n_documents, 0, 0, skip, documents, probs, matched};
    walk walks[WALKS];
    size_t n = 0;
    while (n < WALKS && next_piece(table, &left, begin, walks + n)) {
        n++;
    }
    while (n > 0) {
        for (size_t i = 0; i < n;) {
            MB_TRY(turn(table, walks + i, fault));
            if (walks[i].at < walks[i].end || next_piece(table, &left, begin, walks + i)) {
                i++;
            } else {
                walks[i] = walks[--n];
            }
        }
        MB_TRY(mb_ask(interrupt, (size_t)TURN * WALKS));
    }
    return MB_OK;
}
