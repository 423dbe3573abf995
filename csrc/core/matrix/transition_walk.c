/* Walks through documents.
 *
 * Keys of one word are made for a batch of tokens at once, whatever documents they are of, and those
 * that reach back into another document are left out.  Others are made one after the other. */
#include "core/matrix/transition_walk.h"

#include <string.h>

#define KERNEL "core/matrix/ngram_kernel.h"
#include "core/base/instruction_sets.h"

enum { WORDS = 1 << 11 /* of the keys that are passed at once */, PIECES = 1 << 8 };
enum { TOKEN = 8 /* nanoseconds of one */ };

static void
pass_elements(mb_partition *partition, size_t n, const uint64_t *elements)
{
    if (partition->elements == NULL) {
        mb_partition_histogram(partition, n, elements);
    } else {
        mb_partition_scatter(partition, n, elements);
    }
}

/* ---- batches ------------------------------------------------------------------------------ */

/* Tokens of a batch that have a full context: from one on, so many. */
typedef struct {
    size_t first, n;
} piece;

typedef struct {
    size_t n, n_pieces;
    uint64_t wrong; /* its first bit: one is negative, or too large */
    piece pieces[PIECES];
    uint32_t tokens[MB_MAX_ORDER + WORDS]; /* the window's, then [n] */
    uint64_t keys[WORDS];
} batch;

/* Notes the next tokens of a document, `most` at most; returns how many. */
static inline size_t
take_piece(size_t order, const mb_document *document, size_t at, size_t most, mb_walk *walk,
           batch *b)
{
    size_t n = document->n - walk->at, skipped = order - walk->filled;
    n = n < most ? n : most;
    skipped = skipped < n ? skipped : n;
    b->pieces[b->n_pieces++] = (piece){at + skipped, n - skipped};
    walk->filled += skipped;
    walk->at += n;
    return n;
}

static inline void
go_on(mb_walk *walk)
{
    walk->document++;
    walk->at = walk->filled = 0;
}

/* Reads what comes next of documents that follow each other in memory, `most` at most; all tokens are
 * looked at, each once. */
static void
read_some(size_t order, uint64_t n_tokens, const mb_document *documents, size_t most, mb_walk *walk,
          batch *b)
{
    while (walk->at == documents[walk->document].n) {
        go_on(walk);
    }
    const int64_t *from = documents[walk->document].tokens + walk->at;
    uint32_t *to = b->tokens + order + b->n;
    uint64_t wrong = 0;
    size_t n = take_piece(order, documents + walk->document, b->n, most, walk, b);
    while (n < most && b->n_pieces < PIECES && documents[walk->document + 1].tokens == from + n) {
        go_on(walk);
        n += take_piece(order, documents + walk->document, b->n + n, most - n, walk, b);
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t token = (uint64_t)from[i];
        to[i] = (uint32_t)token;
        wrong |= token | (n_tokens - 1 - token);
    }
    b->n += n;
    b->wrong |= wrong;
}

/* Passes the keys of a batch, `most` tokens at most.  Returns how many, 0 where one is wrong. */
static size_t
pass_batch(mb_walk *walk, uint64_t n_tokens, const mb_document *documents, size_t most,
           mb_partition *partition)
{
    const mb_key_layout *layout = partition->layout;
    const size_t order = layout->order;
    batch b;
    b.n = b.n_pieces = 0;
    b.wrong = 0;
    for (size_t i = 0; i < order; i++) {
        b.tokens[i] = mb_key_token(layout, walk->window, i + 1);
    }
    most = most < WORDS ? most : WORDS;
    while (b.n < most && b.n_pieces < PIECES) {
        read_some(order, n_tokens, documents, most - b.n, walk, &b);
    }
    if (b.wrong >> 63 != 0) {
        return 0;
    }
    CHOOSE(keys_of_ngrams, layout, b.n, b.tokens, b.keys);
    for (size_t i = 0; i < b.n_pieces; i++) {
        pass_elements(partition, b.pieces[i].n, b.keys + b.pieces[i].first);
    }
    for (size_t i = b.n > order ? b.n - order - 1 : 0; i < b.n; i++) {
        mb_key_append(layout, 1, b.tokens[order + i], walk->window);
    }
    return b.n;
}

/* ---- one after the other ------------------------------------------------------------------ */

/* Appends tokens [n] to the window, of which *filled are there, and each full window, mixed, to
 * elements [n][n_words].  Returns how many tokens were good, *full of them with a full context. */
MB_INLINE size_t
keys_of_tokens(const mb_key_layout *layout, size_t n_words, size_t n, const int64_t *tokens,
               uint64_t n_tokens, uint64_t *window, size_t *filled, uint64_t *elements,
               size_t *full, int64_t *wrong)
{
    const mb_key_layout own = *layout; /* and a key of its own: elements cannot change them */
    uint64_t key[MB_MAX_WORDS], *next = elements;
    size_t i = 0, missing = own.order - *filled;
    memcpy(key, window, n_words * sizeof(uint64_t));
    for (; i < n; i++) {
        int64_t token = tokens[i];
        if ((uint64_t)token >= n_tokens) {
            *wrong = token;
            break;
        }
        mb_key_append(&own, n_words, (uint32_t)token, key);
        if (missing > 0) {
            missing--;
            continue;
        }
        for (size_t w = 0; w < n_words; w++) { /* memcpy() would look at how long `keys` is */
            next[w] = key[w];
        }
        mb_key_mix(&own, n_words, next);
        next += n_words;
    }
    memcpy(window, key, n_words * sizeof(uint64_t));
    *filled = own.order - missing;
    *full = (size_t)(next - elements) / n_words;
    return i;
}

/* Passes the keys of the next tokens of a document, `most` at most; *n becomes how many. */
static mb_status
pass_step(mb_walk *walk, uint64_t n_tokens, const mb_document *documents, size_t most,
          mb_partition *partition, size_t *n, mb_token_fault *fault)
{
    const mb_key_layout *layout = partition->layout;
    size_t n_words = layout->n_words, step, good, full;
    uint64_t keys[WORDS];
    while (walk->at == documents[walk->document].n) {
        go_on(walk);
    }
    step = documents[walk->document].n - walk->at;
    step = step < WORDS / n_words ? step : WORDS / n_words;
    step = step < most ? step : most;
    const int64_t *tokens = documents[walk->document].tokens + walk->at;
    good = n_words == 1   ? keys_of_tokens(layout, 1, step, tokens, n_tokens, walk->window,
                                           &walk->filled, keys, &full, &fault->value)
           : n_words == 2 ? keys_of_tokens(layout, 2, step, tokens, n_tokens, walk->window,
                                           &walk->filled, keys, &full, &fault->value)
                          : keys_of_tokens(layout, n_words, step, tokens, n_tokens, walk->window,
                                           &walk->filled, keys, &full, &fault->value);
    walk->at += good;
    if (good < step) {
        fault->row = walk->document;
        fault->position = walk->at;
        return MB_INVALID;
    }
    pass_elements(partition, full, keys);
    *n = step;
    return MB_OK;
}

mb_status
mb_walk_on(mb_walk *walk, uint64_t n_tokens, const mb_document *documents, size_t left,
           mb_partition *partition, mb_interrupt *interrupt, mb_token_fault *fault)
{
    while (left > 0) {
        mb_walk before = *walk;
        size_t n = 0;
        if (partition->layout->n_words == 1) {
            n = pass_batch(walk, n_tokens, documents, left, partition);
        }
        if (n == 0) { /* which token is wrong, too */
            *walk = before;
            MB_TRY(pass_step(walk, n_tokens, documents, left, partition, &n, fault));
        }
        left -= n;
        MB_TRY(mb_ask(interrupt, TOKEN * n));
    }
    return MB_OK;
}
