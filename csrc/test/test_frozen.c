/* Checks of core/frozen/: packed numbers of every width; numbers and their sums against slow ones,
 * with exceptions of any size; links against all pairs; levels of counts against those that they were
 * made of; and of all of them, words that were cut, lengthened or changed. */
#include "core/frozen/frozen.h"
#include "test/check.h"
#include "test/failing_mem.h"

#include <stdlib.h>
#include <string.h>

enum { LENGTH = 1000 };

static uint64_t
random_bits(void)
{
    return (uint64_t)(uniform() * 0x1p32) << 32 | (uint64_t)(uniform() * 0x1p32);
}

/* ---- packed numbers ---------------------------------------------------------------------- */

static void
check_packed(void)
{
    static uint64_t words[LENGTH + 2], numbers[LENGTH];
    for (unsigned width = 0; width <= MB_MAX_WIDTH; width++) {
        size_t n_words = 0;
        check(mb_packed_size(LENGTH, width, &n_words) && n_words <= LENGTH + 2, "packed size",
              width, (double)n_words, LENGTH + 2);
        memset(words, 0, sizeof words);
        for (size_t i = 0; i < LENGTH; i++) {
            numbers[i] = random_bits() & (((uint64_t)1 << width) - 1);
            mb_packed_write(words, width, i, numbers[i]);
        }
        check(mb_packed_ends(words, width, LENGTH), "packed end", width, 0, 1);
        for (size_t i = 0; i < LENGTH; i++) {
            uint64_t found = mb_packed_read(words, width, i);
            check(found == numbers[i], "packed", (double)i, (double)found, (double)numbers[i]);
        }
        words[n_words - 1] = 1;
        check(!mb_packed_ends(words, width, LENGTH), "behind packed", width, 1, 0);
        words[n_words - 1] = 0;
    }
    size_t n_words;
    check(!mb_packed_size(SIZE_MAX / 2, 3, &n_words), "too many to pack", 0, 1, 0);
    check(mb_bits_of(0) == 0 && mb_bits_of(1) == 1 && mb_bits_of(UINT64_MAX) == 64, "bits", 0, 0,
          0);
}

/* ---- numbers with sums ----------------------------------------------------------------- */

static void
check_numbers(size_t n, const uint64_t *numbers)
{
    uint64_t *words = NULL, sum = 0, total = 0;
    size_t n_words = 0;
    mb_numbers opened;
    check(mb_numbers_encode(n, numbers, NULL, &words, &n_words) == MB_OK, "encode", (double)n, 0,
          0);
    if (words == NULL) {
        return;
    }
    check(mb_numbers_open(n_words, words, &opened) == MB_OK, "open", (double)n, 0, 0);
    for (size_t i = 0; i <= n; i++) {
        uint64_t own, found = mb_numbers_read(&opened, i, &own);
        check(found == sum, "sum", (double)i, (double)found, (double)sum);
        if (i < n) {
            check(own == numbers[i], "number", (double)i, (double)own, (double)numbers[i]);
            own = mb_numbers_own(&opened, i);
            check(own == numbers[i], "alone", (double)i, (double)own, (double)numbers[i]);
            sum += numbers[i];
        }
        size_t low = i - (size_t)(uniform() * (double)(i < 90 ? i : 90));
        uint64_t between = 0;
        for (size_t k = low; k < i; k++) {
            between += numbers[k];
        }
        found = mb_numbers_between(&opened, low, i);
        check(found == between, "between", (double)i, (double)found, (double)between);
    }
    check(mb_numbers_check(&opened, NULL, &total) == MB_OK && total == sum, "check", (double)n,
          (double)total, (double)sum);
    check(mb_numbers_open(n_words - 1, words, &opened) == MB_INVALID &&
              mb_numbers_open(n_words + 1, words, &opened) == MB_INVALID &&
              mb_numbers_open(3, words, &opened) == MB_INVALID,
          "cut", (double)n, 0, 0);
    mb_free(words);
}

/* Whatever is changed, it is not opened, or checked and found, or still says what it says. */
static void
check_changed_numbers(size_t n, const uint64_t *numbers)
{
    uint64_t *words = NULL;
    size_t n_words = 0, refused = 0;
    enum { CHANGES = 1000 };
    if (mb_numbers_encode(n, numbers, NULL, &words, &n_words) != MB_OK) {
        check(0, "encode", 0, 0, 0);
        return;
    }
    for (size_t c = 0; c < CHANGES; c++) {
        size_t at = c % 4 == 0 ? (size_t)(uniform() * MB_NUMBERS_HEAD)
                               : (size_t)(uniform() * (double)n_words);
        uint64_t kept = words[at], sum, own;
        mb_numbers opened;
        words[at] = c % 3 == 0 ? random_bits() : words[at] ^ (uint64_t)1 << (c * 7 % 64);
        if (mb_numbers_open(n_words, words, &opened) != MB_OK) {
            refused++;
        } else {
            int same = mb_numbers_check(&opened, NULL, &sum) == MB_OK && opened.n == n;
            for (size_t i = 0; i <= opened.n; i++) {
                (void)mb_numbers_read(&opened, i, &own);
                same &= i >= n || own == numbers[i];
                (void)mb_numbers_between(&opened, i / 2, i);
                same &= i >= opened.n || mb_numbers_own(&opened, i) == own;
            }
            refused += !same;
            check(!same || words[at] == kept, "a change that was not found", (double)at, 0, 1);
        }
        words[at] = kept;
    }
    check(refused > CHANGES * 9 / 10, "refused", 0, (double)refused, CHANGES);
    mb_free(words);
}

static void
check_all_numbers(void)
{
    static uint64_t numbers[LENGTH];
    static const size_t lengths[] = {0, 1, 63, 64, 65, 128, LENGTH};
    for (int kind = 0; kind < 6; kind++) {
        for (size_t i = 0; i < LENGTH; i++) {
            double u = uniform();
            numbers[i] = kind == 0   ? 0
                         : kind == 1 ? (uint64_t)(0.5 / (u + 1e-6))
                         : kind == 2 ? (uint64_t)(3 * u)
                         : kind == 3 ? (uint64_t)(u * 0x1p52)
                         : kind == 4 ? (i % 97 == 5 ? (uint64_t)1 << 57 : 1)
                                     : i;
        }
        for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
            check_numbers(lengths[k], numbers);
        }
    }
    for (size_t i = 0; i < LENGTH; i++) {
        numbers[i] = (uint64_t)(0.5 / (uniform() + 1e-6));
    }
    check_changed_numbers(LENGTH, numbers);
    uint64_t *words = NULL, large[] = {(uint64_t)1 << 61, (uint64_t)1 << 61, 1};
    size_t n_words;
    check_numbers(2, large);
    check(mb_numbers_encode(3, large, NULL, &words, &n_words) == MB_RANGE, "range", 0, 0, 0);
    fail_request(0);
    check(mb_numbers_encode(2, large, NULL, &words, &n_words) == MB_NOMEM, "no memory", 0, 0, 0);
    fail_request(-1);
    mb_numbers opened;
    uint64_t sum;
    static const uint64_t endless[] = {UINT64_MAX, UINT64_MAX, 0, 0};
    check(mb_numbers_open(4, endless, &opened) == MB_INVALID, "endless", 0, 0, 0);
    /* two numbers in no planes: sums and exceptions before them, then sums of three exceptions */
    uint64_t huge[MB_NUMBERS_HEAD + 2 + 5] = {2, 2, 0, MB_MAX_WIDTH};
    uint64_t *exceptions = huge + MB_NUMBERS_HEAD + 2;
    mb_packed_write(exceptions, MB_MAX_WIDTH, 1, (uint64_t)1 << 62);
    mb_packed_write(exceptions, MB_MAX_WIDTH, 2, ((uint64_t)1 << 62) + 1);
    size_t n_packed = 0;
    check(mb_packed_size(3, MB_MAX_WIDTH, &n_packed) &&
              mb_numbers_open(MB_NUMBERS_HEAD + 2 + n_packed, huge, &opened) == MB_OK &&
              mb_numbers_check(&opened, NULL, &sum) == MB_INVALID,
          "above 2^62", 0, 0, 0);
}

/* ---- links ---------------------------------------------------------------------------------- */

enum { FROM = 37, TOKENS = 50 };

static int
compare_numbers(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* One of `every` pairs, as far as there are FROM numbers and TOKENS tokens. */
static size_t
make_links(size_t every, uint64_t **words, size_t *n_words)
{
    static uint64_t mixed[FROM * TOKENS];
    size_t n = 0;
    unsigned token_bits = 0, bits = 0;
    check(mb_links_bits(FROM, TOKENS, &token_bits, &bits) == MB_OK && token_bits == 6 && bits == 12,
          "bits of a pair", 0, bits, 12);
    for (uint64_t pair = 0; pair < (uint64_t)FROM * TOKENS; pair += every) {
        mixed[n++] = mb_links_mix(bits, pair / TOKENS << token_bits | pair % TOKENS);
    }
    qsort(mixed, n, sizeof *mixed, compare_numbers);
    *words = NULL;
    check(mb_links_encode(bits, n, mixed, NULL, words, n_words) == MB_OK, "links", (double)n, 0, 0);
    return n;
}

/* Every pair that is there is found, at a place of its own, and no other. */
static int
links_are_right(const mb_links *links, size_t every)
{
    static uint64_t pairs[FROM * TOKENS];
    static unsigned char taken[FROM * TOKENS];
    int right = 1;
    size_t low, high;
    memset(taken, 0, sizeof taken);
    check(mb_links_pairs(links, NULL, pairs) == MB_OK, "pairs", 0, 0, 0);
    for (uint64_t pair = 0; pair < (uint64_t)FROM * TOKENS; pair++) {
        uint64_t packed = pair / TOKENS << links->token_bits | pair % TOKENS;
        uint64_t mixed = mb_links_mix(links->bits, packed);
        mb_links_range(links, mixed, &low, &high);
        uint64_t place = mb_links_find(links, mixed, low, high);
        if (pair % every > 0) {
            right &= place == MB_NO_LINK;
        } else {
            right &= place < links->n && !taken[place] && pairs[place] == packed;
            taken[place < links->n ? place : 0] = 1;
        }
    }
    return right;
}

static void
check_links(void)
{
    uint64_t *words;
    size_t n_words = 0;
    mb_links links;
    for (size_t every = 1; every <= 2048; every *= 2) {
        size_t n = make_links(every, &words, &n_words);
        if (words == NULL) {
            return;
        }
        check(mb_links_open(FROM, TOKENS, n_words, words, &links) == MB_OK && links.n == n, "open",
              (double)every, 0, 0);
        check(links_are_right(&links, every), "links", (double)every, 0, 1);
        check(mb_links_check(&links, FROM, TOKENS, NULL) == MB_OK, "check", (double)every, 0, 0);
        check(every > 16 || (mb_links_check(&links, FROM, TOKENS - 8, NULL) == MB_INVALID &&
                             mb_links_check(&links, FROM - 5, TOKENS, NULL) == MB_INVALID),
              "tokens out of range", (double)every, 0, 0);
        for (size_t fewer = 1; fewer < 3; fewer++) {
            check(mb_links_open(FROM, TOKENS, n_words - fewer, words, &links) == MB_INVALID &&
                      mb_links_open(FROM, TOKENS, n_words + fewer, words, &links) == MB_INVALID,
                  "cut", (double)every, 0, 0);
        }
        check(mb_links_open(FROM, TOKENS, 1, words, &links) == MB_INVALID &&
                  mb_links_open(UINT64_MAX, TOKENS, n_words, words, &links) == MB_INVALID,
              "cut to nothing", (double)every, 0, 0);
        mb_free(words);
    }
}

/* What was changed is not opened, or found, or makes no difference. */
static void
check_changed_links(void)
{
    enum { CHANGES = 1000, EVERY = 3 };
    uint64_t *words;
    size_t n_words = 0, refused = 0;
    (void)make_links(EVERY, &words, &n_words);
    for (size_t c = 0; c < CHANGES && words != NULL; c++) {
        size_t at = (size_t)(uniform() * (double)n_words);
        at = c % 4 == 0 ? at % (MB_LINKS_HEAD + MB_NUMBERS_HEAD) : at;
        uint64_t kept = words[at];
        mb_links links;
        words[at] = c % 3 == 0 ? random_bits() : words[at] ^ (uint64_t)1 << (c * 7 % 64);
        if (mb_links_open(FROM, TOKENS, n_words, words, &links) != MB_OK) {
            refused++;
        } else {
            int same = mb_links_check(&links, FROM, TOKENS, NULL) == MB_OK;
            same &= links.n <= (size_t)FROM * TOKENS && links_are_right(&links, EVERY);
            refused += !same;
            check(!same || words[at] == kept, "a change that was not found", (double)at, 0, 1);
        }
        words[at] = kept;
    }
    check(refused > CHANGES * 9 / 10, "refused", 0, (double)refused, CHANGES);
    mb_free(words);
}

/* Another's, who changes the sizes of buckets while their links are looked at. */
typedef struct {
    uint64_t *sum; /* before a block of sizes */
    int asked;
} other_user;

static int
change_sizes(void *state)
{
    other_user *user = state;
    *user->sum = (uint64_t)1 << 40;
    user->asked++;
    return 0;
}

/* Sizes that were right when they were looked at lead to no memory but that of the links. */
static void
check_links_that_change(void)
{
    enum { BEFORE = 8 << 10 /* nanoseconds until sizes are known to be right */ };
    uint64_t *words;
    size_t n_words = 0;
    mb_links links;
    (void)make_links(3, &words, &n_words);
    if (words == NULL || mb_links_open(FROM, TOKENS, n_words, words, &links) != MB_OK) {
        check(0, "links to change", 0, 0, 0);
        return;
    }
    size_t last = (size_t)(mb_numbers_block(&links.sizes, links.sizes.n - 1) - words);
    other_user user = {words + last, 0};
    mb_interrupt interrupt = {change_sizes, &user, MB_PATIENCE - BEFORE - 1};
    mb_status status = mb_links_check(&links, FROM, TOKENS, &interrupt);
    check(user.asked == 1 && (status == MB_OK || status == MB_INVALID), "changed links",
          (double)last, status, user.asked);
    mb_free(words);
}

static mb_status
encode_three_links(mb_interrupt *interrupt)
{
    static const uint64_t mixed[] = {1, 2, 3};
    uint64_t *words = NULL;
    size_t n_words;
    mb_status status = mb_links_encode(4, 3, mixed, interrupt, &words, &n_words);
    check((words != NULL) == (status == MB_OK), "stopped", 0, status, 0);
    mb_free(words);
    return status;
}

static void
check_refused_links(void)
{
    static const uint64_t mixed[] = {1, 2, 3};
    unsigned token_bits = 0, bits = 0;
    uint64_t *words = NULL;
    size_t n_words = 0;
    check(mb_links_bits((uint64_t)1 << 31, (uint64_t)1 << 32, &token_bits, &bits) == MB_OK, "63", 0,
          bits, 63);
    check(mb_links_bits((uint64_t)1 << 32, (uint64_t)1 << 32, &token_bits, &bits) == MB_RANGE, "64",
          0, bits, 64);
    for (long request = 0; request < 3; request++) {
        fail_request(request);
        check(mb_links_encode(4, 3, mixed, NULL, &words, &n_words) == MB_NOMEM && words == NULL,
              "no memory", (double)request, 0, 0);
    }
    fail_request(-1);
    check(stops_at_each(encode_three_links, 10), "stopped at each question", 0, 0, 0);
    static const uint64_t both[] = {0, 1};
    mb_links links;
    if (mb_links_encode(1, 2, both, NULL, &words, &n_words) == MB_OK) {
        check(mb_links_open(1, 2, n_words, words, &links) == MB_OK, "all pairs", 0, 0, 0);
        words[0] = (uint64_t)1 << 40; /* of no bits each, they would take as little memory */
        check(mb_links_open(1, 2, n_words, words, &links) == MB_INVALID, "more", 0, 0, 0);
        mb_free(words);
    }
    for (unsigned of = 1; of <= MB_MAX_WIDTH; of++) {
        for (int i = 0; i < 100; i++) {
            uint64_t pair = random_bits() >> (64 - of), mixed_pair = mb_links_mix(of, pair);
            check(mixed_pair >> of == 0 && mb_links_unmix(of, mixed_pair) == pair, "mixed", of, 0,
                  0);
        }
    }
}

/* ---- levels ------------------------------------------------------------------------------- */

enum { DEPTH = 3, KINDS = 9, TEXT = 3000, ASKED = 2000 };

static int64_t text[TEXT];

/* The n-grams of a text with contexts of `level` tokens. */
static mb_transitions *
count_text(size_t level)
{
    mb_token_fault fault;
    mb_transitions *counts = NULL;
    const mb_document document = {TEXT - DEPTH + level, text + DEPTH - level};
    mb_status status = mb_transitions_new(level, KINDS, &counts);
    if (status == MB_OK) {
        status = mb_transitions_update(counts, 1, &document, NULL, &fault);
    }
    check(status == MB_OK, "counts", (double)level, status, 0);
    return counts;
}

/* Encodes the next level. */
static mb_status
encode_level(const mb_frozen *shorter, const mb_transitions *counts, uint64_t **words,
             size_t *n_words)
{
    static uint32_t contexts[TEXT * DEPTH], tokens[TEXT];
    static int64_t starts[TEXT + 1];
    static uint64_t times[TEXT];
    size_t n;
    MB_TRY(mb_transitions_n_contexts(counts, NULL, &n));
    MB_TRY(mb_transitions_all(counts, n, NULL, contexts, starts, tokens, times));
    const mb_frozen_rows rows = {n, contexts, starts, tokens, times};
    return mb_frozen_encode(shorter, &rows, NULL, words, n_words);
}

/* Whether a level answers as counts do, about contexts that are there and others. */
static int
answers_are_right(const mb_frozen *frozen, size_t level, const mb_transitions *counts)
{
    static int64_t contexts[ASKED * DEPTH], tokens[ASKED], starts[2][ASKED + 1];
    static uint64_t found[2][ASKED], times[2][ASKED * KINDS];
    static uint32_t after[2][ASKED * KINDS];
    mb_token_fault fault;
    for (size_t i = 0; i < ASKED; i++) {
        size_t at = (size_t)(uniform() * (TEXT - DEPTH));
        for (size_t k = 0; k < level; k++) {
            contexts[i * level + k] = i % 2 == 0 ? text[at + k] : (int64_t)(uniform() * KINDS);
        }
        tokens[i] = i % 3 == 0 ? text[at + level] : (int64_t)(uniform() * KINDS);
    }
    mb_status ours =
        mb_frozen_counts(frozen, level, ASKED, contexts, tokens, NULL, found[0], &fault);
    mb_status theirs =
        mb_transitions_counts(counts, ASKED, contexts, tokens, NULL, found[1], &fault);
    int right = ours == MB_OK && theirs == MB_OK && memcmp(found[0], found[1], sizeof *found) == 0;
    ours = mb_frozen_totals(frozen, level, ASKED, contexts, NULL, found[0], &fault);
    theirs = mb_transitions_totals(counts, ASKED, contexts, NULL, found[1], &fault);
    right &= ours == MB_OK && theirs == MB_OK && memcmp(found[0], found[1], sizeof *found) == 0;
    memset(times, 0, sizeof times);
    memset(after, 0, sizeof after);
    ours = mb_frozen_read(frozen, level, ASKED, contexts, NULL, starts[0], NULL, NULL, &fault);
    theirs = mb_transitions_rows(counts, ASKED, contexts, NULL, starts[1], NULL, NULL, &fault);
    right &= ours == MB_OK && theirs == MB_OK && memcmp(starts[0], starts[1], sizeof *starts) == 0;
    if (right) {
        ours = mb_frozen_read(frozen, level, ASKED, contexts, NULL, starts[0], after[0], times[0],
                              &fault);
        theirs = mb_transitions_rows(counts, ASKED, contexts, NULL, starts[1], after[1], times[1],
                                     &fault);
        right = ours == MB_OK && theirs == MB_OK &&
                memcmp(after[0], after[1], sizeof *after) == 0 &&
                memcmp(times[0], times[1], sizeof *times) == 0;
    }
    return right;
}

/* Whether all rows, and the numbers of their contexts, are those of counts. */
static int
all_is_right(const mb_frozen *frozen, size_t level, const mb_transitions *counts)
{
    static uint32_t contexts[TEXT * DEPTH], tokens[TEXT];
    static int64_t starts[TEXT + 1], own[TEXT * DEPTH], after[TEXT], numbers[TEXT];
    static uint64_t times[TEXT], found[TEXT];
    const mb_frozen_level *at = frozen->levels + level;
    mb_token_fault fault;
    size_t n;
    if (mb_transitions_n_contexts(counts, NULL, &n) != MB_OK || n != at->n_contexts ||
        counts->runs[0]->n != at->n_pairs || mb_frozen_observed(frozen, level) != TEXT - DEPTH ||
        mb_frozen_all(frozen, level, NULL, contexts, starts, tokens, times) != MB_OK) {
        return 0;
    }
    int right = 1;
    for (size_t i = 0; i < n; i++) {
        for (int64_t k = starts[i]; k < starts[i + 1]; k++) {
            for (size_t j = 0; j < level; j++) {
                own[(size_t)k * level + j] = contexts[i * level + j];
            }
            after[k] = tokens[k];
        }
    }
    right &= mb_transitions_counts(counts, at->n_pairs, own, after, NULL, found, &fault) == MB_OK;
    right &= memcmp(found, times, at->n_pairs * sizeof *found) == 0;
    right &= mb_frozen_numbers(frozen, level, at->n_pairs, own, NULL, numbers, &fault) == MB_OK;
    for (size_t i = 0; i < n; i++) {
        right &= numbers[starts[i]] == (int64_t)i;
    }
    return right;
}

/* Whether one walk answers as all levels do. */
static int
walk_is_right(const mb_frozen *frozen)
{
    static int64_t contexts[ASKED * DEPTH], own[ASKED * DEPTH], tokens[ASKED];
    static uint64_t counts[ASKED * (DEPTH + 1)], totals[ASKED * (DEPTH + 1)], found[2][ASKED];
    mb_token_fault fault;
    for (size_t i = 0; i < ASKED; i++) {
        size_t at = (size_t)(uniform() * (TEXT - DEPTH));
        for (size_t k = 0; k < DEPTH; k++) {
            contexts[i * DEPTH + k] = i % 2 == 0 ? text[at + k] : (int64_t)(uniform() * KINDS);
        }
        tokens[i] = text[at + DEPTH];
    }
    int right =
        mb_frozen_walk(frozen, ASKED, contexts, tokens, NULL, counts, totals, &fault) == MB_OK;
    for (size_t level = 0; level <= DEPTH; level++) {
        for (size_t i = 0; i < ASKED; i++) {
            memcpy(own + i * level, contexts + i * DEPTH + DEPTH - level, level * sizeof *own);
        }
        right &=
            mb_frozen_counts(frozen, level, ASKED, own, tokens, NULL, found[0], &fault) == MB_OK &&
            mb_frozen_totals(frozen, level, ASKED, own, NULL, found[1], &fault) == MB_OK;
        for (size_t i = 0; i < ASKED; i++) {
            right &= counts[i * (DEPTH + 1) + level] == found[0][i] &&
                     totals[i * (DEPTH + 1) + level] == found[1][i];
        }
    }
    return right;
}

/* Levels below the longest without rows. */
static void
check_bare_levels(const mb_transitions *counts, const mb_frozen *whole)
{
    static uint32_t contexts[TEXT * DEPTH], tokens[TEXT], shorter[TEXT * DEPTH];
    static int64_t starts[TEXT + 1];
    static uint64_t times[TEXT];
    mb_frozen frozen = mb_frozen_begin(KINDS);
    uint64_t *words[DEPTH + 1] = {NULL}, total = 1;
    size_t n_words = 0;
    for (size_t level = 0; level <= DEPTH; level++) {
        const mb_frozen_level *like = whole->levels + level;
        mb_frozen_rows rows = {like->n_contexts, shorter, NULL, NULL, NULL};
        check(mb_frozen_all(whole, level, NULL, contexts, starts, tokens, times) == MB_OK, "all",
              (double)level, 0, 0);
        memcpy(shorter, contexts, like->n_contexts * level * sizeof *shorter);
        if (level == DEPTH) {
            rows = (mb_frozen_rows){like->n_contexts, contexts, starts, tokens, times};
        }
        check(mb_frozen_encode(&frozen, &rows, NULL, words + level, &n_words) == MB_OK &&
                  mb_frozen_open(&frozen, n_words, words[level]) == MB_OK &&
                  mb_frozen_check(&frozen, level, frozen.n_tokens, NULL, &total) == MB_OK,
              "bare", (double)level, 0, 0);
        if (level < DEPTH) {
            int64_t asked[DEPTH] = {0}, row[2];
            uint64_t found[2] = {7, 7};
            mb_token_fault fault;
            check(total == 0 && mb_frozen_observed(&frozen, level) == 0 &&
                      mb_frozen_counts(&frozen, level, 1, asked, asked, NULL, found, &fault) ==
                          MB_OK &&
                      mb_frozen_totals(&frozen, level, 1, asked, NULL, found + 1, &fault) ==
                          MB_OK &&
                      mb_frozen_read(&frozen, level, 1, asked, NULL, row, NULL, NULL, &fault) ==
                          MB_OK &&
                      found[0] == 0 && found[1] == 0 && row[1] == 0,
                  "of a bare level", (double)level, (double)found[0], 0);
            check(mb_frozen_all(&frozen, level, NULL, contexts, starts, tokens, times) == MB_OK &&
                      starts[like->n_contexts] == 0,
                  "all of a bare level", (double)level, 0, 0);
        }
    }
    check(answers_are_right(&frozen, DEPTH, counts) && all_is_right(&frozen, DEPTH, counts),
          "above bare levels", 0, 0, 1);
    for (size_t level = 0; level <= DEPTH; level++) {
        mb_free(words[level]);
    }
}

/* Wrong tokens are named, whichever they are. */
static void
check_wrong_tokens(const mb_frozen *frozen)
{
    static int64_t contexts[ASKED], tokens[ASKED];
    static uint64_t found[ASKED];
    mb_token_fault fault = {0, 0, 0};
    contexts[99] = KINDS;
    check(mb_frozen_totals(frozen, 1, ASKED, contexts, NULL, found, &fault) == MB_INVALID &&
              fault.row == 99 && fault.position == 0 && fault.value == KINDS,
          "a wrong context", 99, (double)fault.row, 0);
    contexts[99] = 0;
    tokens[1000] = -1;
    check(mb_frozen_counts(frozen, 1, ASKED, contexts, tokens, NULL, found, &fault) == MB_INVALID &&
              fault.row == 1000 && fault.position == 1 && fault.value == -1,
          "a wrong token", 1000, (double)fault.row, 0);
}

/* A changed level is not opened, or found out; and whatever is asked of it stays inside. */
static void
check_changed_level(const mb_frozen *shorter, const mb_transitions *counts, size_t n_words,
                    uint64_t *words)
{
    enum { CHANGES = 1000 };
    size_t level = shorter->n_levels, refused = 0;
    for (size_t c = 0; c < CHANGES; c++) {
        size_t at = (size_t)(uniform() * (double)n_words);
        at = c % 4 == 0 ? at % (MB_FROZEN_HEAD + MB_LINKS_HEAD + MB_NUMBERS_HEAD) : at;
        uint64_t kept = words[at], total;
        mb_frozen changed = *shorter;
        words[at] = c % 3 == 0 ? random_bits() : words[at] ^ (uint64_t)1 << (c * 7 % 64);
        if (mb_frozen_open(&changed, n_words, words) != MB_OK) {
            refused++;
        } else {
            int passes = mb_frozen_check(&changed, level, changed.n_tokens, NULL, &total) == MB_OK;
            int same = answers_are_right(&changed, level, counts);
            same &= c % 8 > 0 || all_is_right(&changed, level, counts);
            refused += !(passes && same);
        }
        words[at] = kept;
    }
    check(refused > CHANGES * 8 / 10, "refused", (double)level, (double)refused, CHANGES);
}

static void
check_levels(void)
{
    mb_frozen frozen = mb_frozen_begin(KINDS);
    uint64_t *words[DEPTH + 1] = {NULL}, total;
    size_t n_words[DEPTH + 1] = {0};
    for (size_t i = 0; i < TEXT; i++) { /* the last token never */
        text[i] = (int64_t)((KINDS - 1) * uniform() * uniform() * uniform());
    }
    for (size_t level = 0; level <= DEPTH; level++) {
        mb_transitions *counts = count_text(level);
        const mb_frozen shorter = frozen;
        for (long request = 0; request < 3 && counts != NULL; request++) {
            fail_request(request);
            check(encode_level(&frozen, counts, words + level, n_words + level) == MB_NOMEM,
                  "no memory", (double)request, 0, 0);
            fail_request(-1);
        }
        if (counts == NULL ||
            encode_level(&frozen, counts, words + level, n_words + level) != MB_OK) {
            check(0, "encode", (double)level, 0, 0);
            mb_transitions_free(counts);
            break;
        }
        check(mb_frozen_open(&frozen, n_words[level], words[level]) == MB_OK &&
                  mb_frozen_check(&frozen, level, frozen.n_tokens, NULL, &total) == MB_OK &&
                  total == TEXT - DEPTH,
              "open", (double)level, 0, 0);
        check(answers_are_right(&frozen, level, counts), "answers", (double)level, 0, 1);
        check(all_is_right(&frozen, level, counts), "all", (double)level, 0, 1);
        check_changed_level(&shorter, counts, n_words[level], words[level]);
        mb_frozen cut = shorter;
        for (size_t n = 0; n < n_words[level]; n += 1 + n / 8) {
            check(mb_frozen_open(&cut, n, words[level]) == MB_INVALID, "cut", (double)n, 0, 0);
        }
        if (level == DEPTH) {
            check(walk_is_right(&frozen), "a walk", 0, 0, 1);
            check_bare_levels(counts, &frozen);
        }
        mb_transitions_free(counts);
    }
    check_wrong_tokens(&frozen);
    for (size_t level = 0; level <= DEPTH; level++) {
        mb_free(words[level]);
    }
}

/* Another's, who takes all from the first row. */
static int
empty_row(void *state)
{
    *(int64_t *)state = 0;
    return 0;
}

/* Contexts that links say the last tokens of have tokens of their own, of more tokens than there are. */
static void
check_unknown_tokens(void)
{
    enum { MANY = 8, FEWER = 5 /* which take as many bits */ };
    /* as many contexts of one token as let links of two lead from the token itself */
    static const uint32_t last[] = {1, 3, 5, 7}, both[] = {0, 7}, tokens[] = {0, 0, 0, 0};
    static const int64_t starts[] = {0, 1, 2, 3, 4};
    static const uint64_t times[] = {1, 1, 1, 1};
    const mb_frozen_rows rows[] = {{1, NULL, starts, tokens, times},
                                   {4, last, starts, tokens, times},
                                   {1, both, starts, tokens, times}};
    mb_frozen right = mb_frozen_begin(MANY), wrong = mb_frozen_begin(FEWER);
    uint64_t *words[3] = {NULL}, found[1];
    uint32_t contexts[2], after[1];
    int64_t begins[2];
    size_t n_words;
    for (size_t level = 0; level < 3; level++) {
        check(mb_frozen_encode(&right, rows + level, NULL, words + level, &n_words) == MB_OK &&
                  mb_frozen_open(&right, n_words, words[level]) == MB_OK &&
                  mb_frozen_open(&wrong, n_words, words[level]) == MB_OK,
              "opened", (double)level, 0, 0);
    }
    check(mb_frozen_all(&right, 2, NULL, contexts, begins, after, found) == MB_OK &&
              memcmp(contexts, both, sizeof both) == 0,
          "tokens", 0, 0, 0);
    check(mb_frozen_all(&wrong, 2, NULL, contexts, begins, after, found) == MB_INVALID,
          "unknown tokens", 0, 0, 0);
    for (size_t level = 0; level < 3; level++) {
        mb_free(words[level]);
    }
}

/* Rows that are none: which are refused. */
static void
check_wrong_rows(void)
{
    static const uint32_t contexts[] = {0, 1}, tokens[] = {0, 1, 1}, falling[] = {1, 0, 1};
    static const uint32_t twice[] = {1, 1}, unknown[] = {0, 2};
    static const int64_t starts[] = {0, 2, 3}, bare[] = {0, 3, 3}, none[] = {0}, all[] = {0, 2};
    static const uint64_t times[] = {1, 2, 3}, zero[] = {1, 0, 3};
    mb_frozen_rows root = {1, NULL, all, tokens, times}, empty = {0, NULL, none, NULL, NULL};
    const mb_frozen_rows good = {2, contexts, starts, tokens, times};
    const mb_frozen_rows wrong[] = {
        {2, contexts, starts, falling, times}, {2, contexts, starts, tokens, zero},
        {2, twice, starts, tokens, times},     {2, unknown, starts, tokens, times},
        {2, contexts, bare, tokens, times},
    };
    mb_frozen frozen = mb_frozen_begin(2);
    uint64_t *first = NULL, *words = NULL;
    size_t n_first = 0, n_words = 0;
    check(mb_frozen_encode(&frozen, &good, NULL, &words, &n_words) == MB_INVALID, "two roots", 0, 0,
          0);
    check(mb_frozen_encode(&frozen, &root, NULL, &first, &n_first) == MB_OK &&
              mb_frozen_open(&frozen, n_first, first) == MB_OK,
          "a root", 0, 0, 0);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        check(mb_frozen_encode(&frozen, wrong + i, NULL, &words, &n_words) == MB_INVALID, "rows",
              (double)i, 0, 0);
    }
    int64_t changed[] = {0, 2, 3};
    const mb_frozen_rows changing = {2, contexts, changed, tokens, times};
    mb_interrupt interrupt = {empty_row, changed + 1, MB_PATIENCE};
    check(mb_frozen_encode(&frozen, &changing, &interrupt, &words, &n_words) == MB_INVALID,
          "rows that change", 0, 0, 0);
    mb_frozen deep = frozen;
    deep.n_levels = MB_MAX_ORDER + 1;
    check(mb_frozen_encode(&deep, &good, NULL, &words, &n_words) == MB_RANGE, "deep", 0, 0, 0);
    const mb_frozen_rows one = {1, contexts, all, tokens, times};
    const mb_frozen_rows longer = {1, contexts, all, tokens, times}; /* after 0, 1 */
    uint64_t *second = NULL, *third = NULL;
    size_t n_second = 0;
    check(mb_frozen_encode(&frozen, &one, NULL, &second, &n_second) == MB_OK &&
              mb_frozen_open(&frozen, n_second, second) == MB_OK &&
              mb_frozen_encode(&frozen, &longer, NULL, &third, &n_words) == MB_INVALID,
          "a context that ends in none", 0, 0, 0);
    mb_free(second);
    frozen.n_levels = 1;
    check(mb_frozen_encode(&frozen, &good, NULL, &words, &n_words) == MB_OK, "good rows", 0, 0, 0);
    mb_free(first);
    mb_free(words);
    frozen = mb_frozen_begin(2);
    const int64_t context[] = {1};
    uint64_t found[] = {7};
    mb_token_fault fault;
    first = words = NULL;
    check(mb_frozen_encode(&frozen, &empty, NULL, &first, &n_first) == MB_OK &&
              mb_frozen_open(&frozen, n_first, first) == MB_OK &&
              mb_frozen_encode(&frozen, &empty, NULL, &words, &n_words) == MB_OK &&
              mb_frozen_open(&frozen, n_words, words) == MB_OK &&
              mb_frozen_counts(&frozen, 1, 1, context, context, NULL, found, &fault) == MB_OK &&
              found[0] == 0,
          "nothing", 0, (double)found[0], 0);
    mb_free(first);
    mb_free(words);
}

int
main(void)
{
    check_packed();
    check_all_numbers();
    check_links();
    check_changed_links();
    check_links_that_change();
    check_refused_links();
    check_levels();
    check_wrong_rows();
    check_unknown_tokens();
    return report();
}
