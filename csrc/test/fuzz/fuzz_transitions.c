/* Counts of what follows what, through any series of updates, given rows, merges, subtractions, copies,
 * folds and scalings, against a plain table of all contexts. */
#include "core/matrix/transitions.h"
#include "test/fuzz/provider.h"

enum { MOST_ORDER = 3, MOST_CELLS = 625, MOST_STEPS = 24, MOST_TEXT = 40 };

/* What was counted: [contexts][V], and the counts that should be so. */
typedef struct {
    uint64_t table[MOST_CELLS], total;
    mb_transitions *counts;
} both;

typedef struct {
    size_t order, V, n;      /* tokens that occur, and cells */
    uint64_t n_tokens, step; /* of the counts: tokens are `step` apart */
    both own, other;
} state;

static int64_t
token_of(const state *s, size_t v)
{
    return (int64_t)((uint64_t)v * s->step);
}

static void
context_of(const state *s, size_t context, int64_t *tokens)
{
    for (size_t i = s->order; i-- > 0; context /= s->V) {
        tokens[i] = token_of(s, context % s->V);
    }
}

/* Whether the sum stays a number of 64 bits. */
static int
table_add(both *to, size_t cell, uint64_t times)
{
    if (__builtin_add_overflow(to->total, times, &to->total)) {
        return 0;
    }
    to->table[cell] += times;
    return 1;
}

/* Documents; one of which may have a token that is none. */
static void
update(provider *from, state *s, both *to)
{
    size_t n_documents = take_size(from, 0, 3);
    mb_document documents[3];
    int64_t *texts[3];
    both changed = *to;
    mb_token_fault fault;
    int is_bad = 0;
    for (size_t d = 0; d < n_documents; d++) {
        size_t n = take_size(from, 0, MOST_TEXT), context = 0;
        texts[d] = exactly(n, sizeof **texts);
        for (size_t i = 0; i < n; i++) {
            size_t v = take_size(from, 0, s->V - 1);
            texts[d][i] = token_of(s, v);
            context = (context * s->V + v) % s->n;
            if (i >= s->order) {
                (void)table_add(&changed, context, 1);
            }
        }
        if (n > 0 && take_size(from, 0, 31) == 0) {
            texts[d][take_size(from, 0, n - 1)] = take_size(from, 0, 1) ? -1 : (int64_t)s->n_tokens;
            is_bad = 1;
        }
        documents[d] = (mb_document){n, texts[d]};
    }
    mb_status status = mb_transitions_update(to->counts, n_documents, documents, NULL, &fault);
    HOLDS(status == (is_bad ? MB_INVALID : changed.total >= to->total ? MB_OK : MB_RANGE));
    if (status == MB_OK) {
        memcpy(to->table, changed.table, sizeof changed.table);
        to->total = changed.total;
    }
    for (size_t d = 0; d < n_documents; d++) {
        free(texts[d]);
    }
}

static void
update_rows(provider *from, state *s, both *to)
{
    size_t n = take_size(from, 0, 12);
    int64_t *contexts = exactly(n * s->order, sizeof *contexts), *tokens = exactly(n, 8);
    int64_t *times = exactly(n, 8);
    both changed = *to;
    int fits = 1, is_bad = 0;
    mb_token_fault fault;
    for (size_t i = 0; i < n; i++) {
        size_t cell = take_size(from, 0, s->n - 1), how = take_size(from, 0, 15);
        context_of(s, cell / s->V, contexts + i * s->order);
        tokens[i] = token_of(s, cell % s->V);
        times[i] = (int64_t)(how < 10   ? take_size(from, 0, 5)
                             : how < 14 ? take_bits(from, 4) + (UINT32_MAX - 2)
                                        : take_bits(from, 8) >> 1);
        if (how == 15 && take_size(from, 0, 3) == 0) {
            times[i] = -times[i] - 1;
            is_bad = 1;
            continue;
        }
        fits &= table_add(&changed, cell, (uint64_t)times[i]);
    }
    mb_status status =
        mb_transitions_update_rows(to->counts, n, contexts, tokens, times, NULL, &fault);
    HOLDS(is_bad ? status == MB_INVALID || (!fits && status == MB_RANGE)
                 : status == (fits ? MB_OK : MB_RANGE));
    if (status == MB_OK) {
        memcpy(to->table, changed.table, sizeof changed.table);
        to->total = changed.total;
    }
    free(contexts);
    free(tokens);
    free(times);
}

static void
merge(both *to, const both *from, size_t n)
{
    uint64_t total;
    int fits = !__builtin_add_overflow(to->total, from->total, &total);
    HOLDS(mb_transitions_merge(to->counts, from->counts, NULL) == (fits ? MB_OK : MB_RANGE));
    for (size_t c = 0; c < n && fits; c++) {
        to->table[c] += from->table[c];
    }
    to->total = fits ? total : to->total;
}

static void
subtract(both *to, const both *from, size_t n)
{
    mb_pair_fault fault;
    int is_there = 1;
    for (size_t c = 0; c < n; c++) {
        is_there &= to->table[c] >= from->table[c];
    }
    mb_status status = mb_transitions_subtract(to->counts, from->counts, NULL, &fault);
    HOLDS(status == (is_there ? MB_OK : MB_INVALID));
    for (size_t c = 0; c < n && is_there; c++) {
        to->table[c] -= from->table[c];
        to->total -= from->table[c];
    }
}

static void
scale(both *to, uint64_t factor, size_t n)
{
    uint64_t total;
    int fits = !__builtin_mul_overflow(to->total, factor, &total);
    HOLDS(mb_transitions_scale(to->counts, factor, NULL) == (fits ? MB_OK : MB_RANGE));
    for (size_t c = 0; c < n && fits; c++) {
        to->table[c] *= factor;
    }
    to->total = fits ? total : to->total;
}

/* Pairs that are there and not in the other, each once, without their oldest token. */
static void
check_shorter(const state *s)
{
    size_t n = s->n / s->V, V = s->V;
    uint64_t wanted[MOST_CELLS] = {0}, found;
    mb_transitions *counts = NULL, *shorter = NULL;
    mb_token_fault fault;
    int64_t context[MOST_ORDER], token;
    if (s->order == 0) {
        return;
    }
    HOLDS(mb_transitions_copy(s->own.counts, &counts) == MB_OK);
    HOLDS(mb_transitions_compact(counts, NULL) == MB_OK && counts->n_runs <= 1);
    HOLDS(mb_transitions_shorten(counts, s->other.counts, NULL, &shorter) == MB_OK);
    for (size_t c = 0; c < s->n; c++) {
        wanted[c % n] += s->own.table[c] > 0 && s->other.table[c] == 0;
    }
    for (size_t c = 0; c < n; c++) {
        size_t rest = c / V;
        for (size_t i = s->order - 1; i-- > 0; rest /= V) {
            context[i] = token_of(s, rest % V);
        }
        token = token_of(s, c % V);
        HOLDS(mb_transitions_counts(shorter, 1, context, &token, NULL, &found, &fault) == MB_OK);
        HOLDS(found == wanted[c]);
    }
    mb_transitions_free(shorter);
    mb_transitions_free(counts);
}

/* Runs are in order, none is a context's that is none, and each is twice as long as the next. */
static void
check_runs(const mb_transitions *counts)
{
    HOLDS(counts->n_runs <= MB_MAX_RUNS);
    for (size_t r = 0; r < counts->n_runs; r++) {
        const mb_run *run = counts->runs[r];
        size_t n_words = counts->layout.n_words;
        HOLDS(run->n > 0 && (r == 0 || counts->runs[r - 1]->n >= 2 * run->n));
        for (size_t i = 1; i < run->n; i++) {
            HOLDS(mb_key_before(n_words, run->keys + (i - 1) * n_words, run->keys + i * n_words));
        }
        for (size_t i = 0; i < run->n; i++) {
            HOLDS(mb_run_count(run, i) > 0);
        }
    }
}

static void
check_answers(const state *s, const both *own)
{
    size_t n = s->n / s->V, V = s->V, at = 0;
    int64_t *contexts = exactly(n * s->order, sizeof *contexts), *starts = exactly(n + 1, 8);
    uint64_t *totals = exactly(n, 8), *times = NULL, found;
    uint32_t *tokens = NULL;
    mb_token_fault fault;
    for (size_t c = 0; c < n; c++) {
        context_of(s, c, contexts + c * s->order);
    }
    check_runs(own->counts);
    HOLDS(own->counts->n_observed == own->total);
    HOLDS(mb_transitions_totals(own->counts, n, contexts, NULL, totals, &fault) == MB_OK);
    HOLDS(mb_transitions_rows(own->counts, n, contexts, NULL, starts, NULL, NULL, &fault) == MB_OK);
    tokens = exactly((size_t)starts[n], sizeof *tokens);
    times = exactly((size_t)starts[n], sizeof *times);
    HOLDS(mb_transitions_rows(own->counts, n, contexts, NULL, starts, tokens, times, &fault) ==
          MB_OK);
    for (size_t c = 0; c < n; c++) {
        uint64_t total = 0;
        HOLDS((size_t)starts[c] == at);
        for (size_t v = 0; v < V; v++) {
            uint64_t wanted = own->table[c * V + v];
            int64_t token = token_of(s, v);
            total += wanted;
            HOLDS(mb_transitions_counts(own->counts, 1, contexts + c * s->order, &token, NULL,
                                        &found, &fault) == MB_OK);
            HOLDS(found == wanted);
            if (wanted > 0) {
                HOLDS(at < (size_t)starts[n] && tokens[at] == token && times[at] == wanted);
                at++;
            }
        }
        HOLDS(totals[c] == total);
    }
    HOLDS((size_t)starts[n] == at);
    free(tokens);
    free(times);
    free(totals);
    free(starts);
    free(contexts);
}

static void
do_step(provider *from, state *s)
{
    mb_transitions *copy = NULL;
    switch (take_size(from, 0, 9)) {
    case 0:
    case 1:
        update(from, s, &s->own);
        break;
    case 2:
        update(from, s, &s->other);
        break;
    case 3:
        update_rows(from, s, &s->own);
        break;
    case 4:
        merge(&s->own, &s->other, s->n);
        break;
    case 5:
        subtract(&s->own, &s->other, s->n);
        break;
    case 6: {
        both swapped = s->own;
        s->own = s->other;
        s->other = swapped;
        break;
    }
    case 7:
        scale(&s->own, take_bits(from, take_size(from, 1, 8)), s->n);
        break;
    case 8:
        HOLDS(mb_transitions_copy(s->own.counts, &copy) == MB_OK);
        mb_transitions_free(s->other.counts);
        s->other = s->own;
        s->other.counts = copy;
        break;
    default:
        HOLDS(mb_transitions_compact(s->own.counts, NULL) == MB_OK && s->own.counts->n_runs <= 1);
        check_shorter(s);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t most[] = {4, 5, 300, 65536, (uint64_t)1 << 31, (uint64_t)1 << 32};
    provider from = {data, size};
    state s = {.order = take_size(&from, 0, MOST_ORDER), .V = take_size(&from, 1, 4)};
    s.n_tokens = most[take_size(&from, 0, sizeof most / sizeof *most - 1)];
    s.step = s.V > 1 ? (s.n_tokens - 1) / (s.V - 1) : 1;
    s.n = s.V;
    for (size_t i = 0; i < s.order; i++) {
        s.n *= s.V;
    }
    HOLDS(mb_transitions_new(s.order, s.n_tokens, &s.own.counts) == MB_OK);
    HOLDS(mb_transitions_new(s.order, s.n_tokens, &s.other.counts) == MB_OK);
    for (size_t i = 0; i < MOST_STEPS && from.n > 0; i++) {
        do_step(&from, &s);
    }
    check_answers(&s, &s.own);
    check_answers(&s, &s.other);
    mb_transitions_free(s.own.counts);
    mb_transitions_free(s.other.counts);
    return 0;
}
