/* Fading counts: texts in the order of their contexts. */
#include "core/matrix/fading_runs.h"

#include "core/base/mem.h"

#include <string.h>

enum { DIGIT = 11 /* bits that a pass sorts by */, COST = 64 /* of a token, of mb_ask() */ };

mb_status
mb_fading_texts_new(size_t order, size_t n, mb_fading_texts **out)
{
    /* windows, four arrays of n, and the first places of n rows and of none after them */
    size_t words = n * (order + 1) + 4 * n + n + 1;
    mb_fading_texts *texts = mb_calloc(1, sizeof(mb_fading_texts) + words * sizeof(uint32_t));
    if (texts == NULL) {
        return MB_NOMEM;
    }
    texts->order = order;
    texts->windows = (uint32_t *)(texts + 1);
    texts->by_row = texts->windows + n * (order + 1);
    texts->by_pair = texts->by_row + n;
    texts->row_of = texts->by_pair + n;
    texts->spare = texts->row_of + n;
    texts->first = texts->spare + n;
    *out = texts;
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
sort_by(size_t n, const uint32_t *key, size_t stride, uint64_t last, uint32_t **items,
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
number_rows(mb_fading_texts *t)
{
    size_t context = t->order * sizeof(uint32_t);
    t->n_rows = 0;
    for (size_t place = 0; place < t->n; place++) {
        const uint32_t *own = mb_fading_window(t, place);
        if (place == 0 || memcmp(own, mb_fading_window(t, place - 1), context) != 0) {
            t->first[t->n_rows++] = (uint32_t)place;
        }
        t->row_of[place] = (uint32_t)(t->n_rows - 1);
    }
    t->first[t->n_rows] = (uint32_t)t->n;
}

static void
count_pairs(mb_fading_texts *t)
{
    t->n_pairs = 0;
    for (size_t i = 0; i < t->n; i++) {
        size_t place = t->by_pair[i], before = i > 0 ? t->by_pair[i - 1] : 0;
        t->n_pairs += i == 0 || t->row_of[place] != t->row_of[before] ||
                      mb_fading_window(t, place)[t->order] != mb_fading_window(t, before)[t->order];
    }
}

mb_status
mb_fading_sort(mb_fading_texts *t, uint64_t n_tokens, mb_interrupt *interrupt)
{
    size_t width = t->order + 1;
    uint32_t *token_of = t->first; /* until rows have their first places */
    for (size_t i = 0; i < t->n; i++) {
        t->by_row[i] = (uint32_t)i;
    }
    for (size_t column = t->order; column-- > 0;) {
        MB_TRY(sort_by(t->n, t->windows + column, width, n_tokens - 1, &t->by_row, &t->spare,
                       interrupt));
    }
    for (size_t place = 0; place < t->n; place++) {
        token_of[place] = mb_fading_window(t, place)[t->order];
        t->by_pair[place] = (uint32_t)place;
    }
    MB_TRY(sort_by(t->n, token_of, 1, n_tokens - 1, &t->by_pair, &t->spare, interrupt));
    number_rows(t);
    MB_TRY(sort_by(t->n, t->row_of, 1, t->n_rows, &t->by_pair, &t->spare, interrupt));
    count_pairs(t);
    return mb_ask(interrupt, COST * t->n);
}

/* ---- documents ------------------------------------------------------------------------- */

size_t
mb_fading_section(const mb_fading *counts, size_t n_documents, const mb_document *documents)
{
    size_t n = 0;
    for (size_t i = 0; i < n_documents && n < MB_FADING_SECTION; i++) {
        n += documents[i].n > counts->order ? documents[i].n - counts->order : 0;
    }
    return n < MB_FADING_SECTION ? n : MB_FADING_SECTION;
}

/* The window that ends at a place of a document, copied; each token is read once. */
static mb_status
copy_window(const mb_fading *counts, const mb_document *document, size_t end, size_t length,
            uint32_t *window, mb_token_fault *fault)
{
    for (size_t i = 0; i < length; i++) {
        size_t at = end + 1 + i - length;
        int64_t token = document->tokens[at];
        if ((uint64_t)token >= counts->n_tokens) {
            fault->position = at;
            fault->value = token;
            return MB_INVALID;
        }
        window[i] = (uint32_t)token;
    }
    return MB_OK;
}

mb_status
mb_fading_gather(const mb_fading *counts, size_t n_documents, const mb_document *documents,
                 mb_fading_cursor *cursor, mb_fading_texts *texts, mb_interrupt *interrupt,
                 mb_token_fault *fault)
{
    size_t order = counts->order, width = order + 1;
    uint32_t short_of[MB_MAX_ORDER];
    texts->n = 0;
    for (; cursor->document < n_documents; cursor->document++, cursor->at = 0) {
        const mb_document *document = documents + cursor->document;
        fault->row = cursor->document;
        for (; cursor->at < document->n; cursor->at++) {
            if (texts->n == MB_FADING_SECTION) {
                goto full;
            }
            int is_whole = cursor->at >= order;
            uint32_t *window = is_whole ? texts->windows + texts->n * width : short_of;
            MB_TRY(copy_window(counts, document, cursor->at, is_whole ? width : 1, window, fault));
            MB_TRY(mb_ask(interrupt, COST));
            texts->n += (size_t)is_whole;
        }
    }
full:
    return mb_fading_sort(texts, counts->n_tokens, interrupt);
}

mb_status
mb_fading_context(const mb_fading *counts, const int64_t *given, uint32_t *context,
                  mb_token_fault *fault)
{
    const mb_document whole = {counts->order, given};
    return copy_window(counts, &whole, counts->order - 1, counts->order, context, fault);
}
