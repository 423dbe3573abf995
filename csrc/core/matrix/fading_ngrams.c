/* N-grams of texts, radix-sorted by context, the last token first. */
#include "core/matrix/fading_ngrams.h"

#include "core/base/mem.h"

#include <string.h>

enum { DIGIT = 11 /* bits that a pass sorts by */, COST = 64 /* of a token, of mb_ask() */ };

mb_status
mb_fading_ngrams_new(size_t order, size_t n, mb_fading_ngrams **out)
{
    /* tokens, four arrays of n, and the first places of n rows and of none after them */
    size_t words = n * (order + 1) + 4 * n + n + 1;
    mb_fading_ngrams *ngrams = mb_calloc(1, sizeof(mb_fading_ngrams) + words * sizeof(uint32_t));
    if (ngrams == NULL) {
        return MB_NOMEM;
    }
    ngrams->order = order;
    ngrams->tokens = (uint32_t *)(ngrams + 1);
    ngrams->by_row = ngrams->tokens + n * (order + 1);
    ngrams->by_pair = ngrams->by_row + n;
    ngrams->row_of = ngrams->by_pair + n;
    ngrams->spare = ngrams->row_of + n;
    ngrams->first = ngrams->spare + n;
    *out = ngrams;
    return MB_OK;
}

/* ---- sorting --------------------------------------------------------------------------- */

/* Brings items [n], numbers below n, into the order of one digit of their keys, key[item * stride]:
 * equal ones stay as they are.  What was in *items is in *spare after. */
static void
sort_by_digit(size_t n, const uint32_t *key, size_t stride, unsigned shift, uint32_t **items,
              uint32_t **spare)
{
    const uint32_t mask = (1u << DIGIT) - 1;
    uint32_t *from = *items, *to = *spare;
    size_t at[1 << DIGIT] = {0}, sum = 0;
    for (size_t i = 0; i < n; i++) {
        at[key[from[i] * stride] >> shift & mask]++;
    }
    if (at[key[from[0] * stride] >> shift & mask] == n) {
        return;
    }
    for (size_t digit = 0; digit <= mask; digit++) {
        size_t many = at[digit];
        at[digit] = sum;
        sum += many;
    }
    for (size_t i = 0; i < n; i++) {
        to[at[key[from[i] * stride] >> shift & mask]++] = from[i];
    }
    *items = to;
    *spare = from;
}

/* The same by whole keys, all at most `last`. */
static mb_status
sort_by_key(size_t n, const uint32_t *key, size_t stride, uint64_t last, uint32_t **items,
            uint32_t **spare, mb_interrupt *interrupt)
{
    for (unsigned shift = 0; n > 1 && shift < 32 && last >> shift != 0; shift += DIGIT) {
        sort_by_digit(n, key, stride, shift, items, spare);
        MB_TRY(mb_ask(interrupt, COST / 4 * n));
    }
    return MB_OK;
}

/* Gives each place its row. */
static void
number_rows(mb_fading_ngrams *t)
{
    size_t context = t->order * sizeof(uint32_t);
    t->n_rows = 0;
    for (size_t place = 0; place < t->n; place++) {
        const uint32_t *own = mb_fading_ngram(t, place);
        if (place == 0 || memcmp(own, mb_fading_ngram(t, place - 1), context) != 0) {
            t->first[t->n_rows++] = (uint32_t)place;
        }
        t->row_of[place] = (uint32_t)(t->n_rows - 1);
    }
    t->first[t->n_rows] = (uint32_t)t->n;
}

static void
count_ngram_pairs(mb_fading_ngrams *t)
{
    t->n_pairs = 0;
    for (size_t i = 0; i < t->n; i++) {
        size_t place = t->by_pair[i], before = i > 0 ? t->by_pair[i - 1] : 0;
        t->n_pairs += i == 0 || t->row_of[place] != t->row_of[before] ||
                      mb_fading_ngram(t, place)[t->order] != mb_fading_ngram(t, before)[t->order];
    }
}

mb_status
mb_fading_ngrams_sort(mb_fading_ngrams *t, uint64_t n_tokens, mb_interrupt *interrupt)
{
    size_t width = t->order + 1;
    uint32_t *token_of = t->first; /* until rows have their first places */
    for (size_t i = 0; i < t->n; i++) {
        t->by_row[i] = (uint32_t)i;
    }
    for (size_t column = t->order; column-- > 0;) {
        MB_TRY(sort_by_key(t->n, t->tokens + column, width, n_tokens - 1, &t->by_row, &t->spare,
                           interrupt));
    }
    for (size_t place = 0; place < t->n; place++) {
        token_of[place] = mb_fading_ngram(t, place)[t->order];
        t->by_pair[place] = (uint32_t)place;
    }
    MB_TRY(sort_by_key(t->n, token_of, 1, n_tokens - 1, &t->by_pair, &t->spare, interrupt));
    number_rows(t);
    MB_TRY(sort_by_key(t->n, t->row_of, 1, t->n_rows, &t->by_pair, &t->spare, interrupt));
    count_ngram_pairs(t);
    return mb_ask(interrupt, COST * t->n);
}

/* ---- documents ------------------------------------------------------------------------- */

size_t
mb_fading_ngrams_first(size_t order, size_t n_documents, const mb_document *documents)
{
    size_t n = 0;
    for (size_t i = 0; i < n_documents && n < MB_FADING_BATCH; i++) {
        n += documents[i].n > order ? documents[i].n - order : 0;
    }
    return n < MB_FADING_BATCH ? n : MB_FADING_BATCH;
}

mb_status
mb_fading_ngrams_read(mb_fading_ngrams *t, uint64_t n_tokens, size_t n_documents,
                      const mb_document *documents, mb_fading_cursor *cursor,
                      mb_interrupt *interrupt, mb_token_fault *fault)
{
    size_t order = t->order;
    uint32_t alone[1] MB_FILLED;
    t->n = 0;
    for (; cursor->document < n_documents; cursor->document++, cursor->at = 0) {
        const mb_document *document = documents + cursor->document;
        fault->row = cursor->document;
        for (; cursor->at < document->n; cursor->at++) {
            if (t->n == MB_FADING_BATCH) {
                goto full;
            }
            int is_whole = cursor->at >= order;
            size_t start = is_whole ? cursor->at - order : cursor->at;
            MB_TRY(mb_fading_copy_tokens(n_tokens, is_whole ? order + 1 : 1,
                                         document->tokens + start, start,
                                         is_whole ? t->tokens + t->n * (order + 1) : alone, fault));
            MB_TRY(mb_ask(interrupt, COST));
            t->n += (size_t)is_whole;
        }
    }
full:
    return mb_fading_ngrams_sort(t, n_tokens, interrupt);
}
