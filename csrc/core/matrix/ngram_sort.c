/* Radix sort of buckets.  Each function is compiled for elements of one, two and three words, and
 * once for more.
 *
 * A bucket whose keys differ in few bits is sorted by digits, the last first.  One whose keys
 * differ in many is partitioned again by the first of them, which leaves a few elements to each
 * piece. */
#include "core/matrix/ngram_sort.h"

#include "core/base/mem.h"
#include "core/matrix/ngram_elements.h"

#include <string.h>

enum {
    DIGIT = 11,       /* most bits that a pass sorts by */
    SHORT_DIGIT = 8,  /* where elements are few */
    FEW = 32,         /* elements that are sorted by insertion */
    SMALL = 1 << 10,  /* elements that are sorted by short digits */
    MANY = 5 * DIGIT, /* bits from which on a bucket is partitioned again */
    PIECE = 1 << 14,  /* elements between two thoughts of stopping */
    COST = 16         /* nanoseconds of one */
};

/* ---- sorting ------------------------------------------------------------------------- */

/* Which bits of a word a pass sorts by. */
typedef struct {
    size_t word;
    unsigned shift, bits;
} digit;

MB_INLINE size_t
digit_of(mb_element_shape s, const void *elements, size_t i, digit d)
{
    return (size_t)(mb_element_word(s, elements, i, d.word) >> d.shift &
                    (((uint64_t)1 << d.bits) - 1));
}

MB_INLINE void
count_digits(mb_element_shape s, size_t n, const void *elements, digit d, uint32_t *many)
{
    memset(many, 0, sizeof(uint32_t) << d.bits);
    for (size_t i = 0; i < n; i++) {
        many[digit_of(s, elements, i, d)]++;
    }
}

/* Moves elements [n] to where their digits go; place [1 << bits] is how many have each digit and
 * becomes where each ends.  Unless `next` is NULL, it becomes how many have each digit `after`. */
MB_INLINE mb_status
move_by_digit(mb_element_shape s, size_t n, const void *from, void *to, digit d, uint32_t *place,
              digit after, uint32_t *next, mb_interrupt *interrupt)
{
    uint32_t sum = 0;
    for (size_t k = 0; k < (size_t)1 << d.bits; k++) {
        uint32_t many = place[k];
        place[k] = sum;
        sum += many;
    }
    if (next != NULL) {
        memset(next, 0, sizeof(uint32_t) << after.bits);
    }
    for (size_t start = 0; start < n; start += PIECE) {
        size_t end = n - start < PIECE ? n : start + PIECE;
        for (size_t i = start; i < end; i++) {
            if (next != NULL) {
                next[digit_of(s, from, i, after)]++;
            }
            mb_element_copy(s, to, place[digit_of(s, from, i, d)]++, from, i);
        }
        MB_TRY(mb_ask(interrupt, COST * (end - start)));
    }
    return MB_OK;
}

/* Whether `element` stands before the i-th. */
MB_INLINE int
before(mb_element_shape s, const uint64_t *element, const void *elements, size_t i)
{
    return s.narrow ? element[0] < mb_element_word(s, elements, i, 0)
                    : mb_key_before(s.n_words, element, (const uint64_t *)elements + i * s.stride);
}

MB_INLINE void
sort_few(mb_element_shape s, size_t n, void *elements)
{
    for (size_t i = 1; i < n; i++) {
        uint64_t element[MB_MAX_WORDS + 1] MB_FILLED;
        size_t at = i;
        for (size_t w = 0; w < s.stride; w++) {
            element[w] = mb_element_word(s, elements, i, w);
        }
        while (at > 0 && before(s, element, elements, at - 1)) {
            mb_element_copy(s, elements, at, elements, at - 1);
            at--;
        }
        mb_element_put(s, elements, at, element);
    }
}

/* The bits of each word, from low up to high, that are not the same in all of elements [n];
 * returns how many they are. */
MB_INLINE unsigned
find_bits(mb_element_shape s, size_t n, const void *elements, unsigned *low, unsigned *high)
{
    uint64_t differ[MB_MAX_WORDS] = {0};
    unsigned sum = 0;
    for (size_t i = 1; i < n; i++) {
        for (size_t w = 0; w < s.n_words; w++) {
            differ[w] |= mb_element_word(s, elements, i, w) ^ mb_element_word(s, elements, 0, w);
        }
    }
    for (size_t w = 0; w < s.n_words; w++) {
        low[w] = differ[w] == 0 ? 0 : (unsigned)__builtin_ctzll(differ[w]);
        high[w] = differ[w] == 0 ? 0 : 64 - (unsigned)__builtin_clzll(differ[w]);
        sum += high[w] - low[w];
    }
    return sum;
}

/* The digits of these bits, the last first. */
MB_INLINE size_t
cut_digits(mb_element_shape s, unsigned most, const unsigned *low, const unsigned *high,
           digit *digits)
{
    size_t n = 0;
    for (size_t word = s.n_words; word-- > 0;) {
        unsigned width = high[word] - low[word], passes = (width + most - 1) / most;
        for (unsigned pass = 0; pass < passes; pass++) {
            unsigned begin = width * pass / passes, end = width * (pass + 1) / passes;
            digits[n++] = (digit){word, low[word] + begin, end - begin};
        }
    }
    return n;
}

/* Sorts elements [n] by the bits that differ, with room for as many more; *sorted is which of the
 * two holds them in the end. */
MB_INLINE mb_status
sort_digits(mb_element_shape s, size_t n, const unsigned *low, const unsigned *high, void *elements,
            void *room, uint32_t *place, uint32_t *next, mb_interrupt *interrupt, void **sorted)
{
    digit digits[MB_MAX_WORDS * 64 / SHORT_DIGIT];
    size_t passes = cut_digits(s, n < SMALL ? SHORT_DIGIT : DIGIT, low, high, digits);
    *sorted = elements;
    count_digits(s, n, elements, digits[0], place);
    for (size_t pass = 0; pass < passes; pass++) {
        void *to = *sorted == elements ? room : elements;
        digit d = digits[pass];
        if (pass + 1 < passes) {
            MB_TRY(move_by_digit(s, n, *sorted, to, d, place, digits[pass + 1], next, interrupt));
        } else {
            MB_TRY(move_by_digit(s, n, *sorted, to, d, place, d, NULL, interrupt));
        }
        uint32_t *used = place;
        place = next;
        next = used;
        *sorted = to;
    }
    return MB_OK;
}

/* ---- counting ------------------------------------------------------------------------ */

/* What a count writes to, and its tables. */
typedef struct {
    mb_run *run;
    mb_interrupt *interrupt;
    uint32_t ends[1 << DIGIT], place[1 << DIGIT], next[1 << DIGIT];
} counter;

/* Appends the different keys of sorted elements [n], and their counts, to the run.  Its keys may be
 * where the elements begin: they are never written further than has been read. */
MB_INLINE void
count_equal(counter *c, mb_element_shape s, size_t n, const void *sorted)
{
    for (size_t i = 0; i < n;) {
        uint64_t mine[MB_MAX_WORDS] MB_FILLED;
        uint64_t count = 0, different;
        for (size_t w = 0; w < s.n_words; w++) {
            mine[w] = mb_element_word(s, sorted, i, w);
        }
        do {
            count += s.stride > s.n_words ? mb_element_word(s, sorted, i, s.n_words) : 1;
            different = ++i == n;
            for (size_t w = 0; w < s.n_words && i < n; w++) {
                different |= mine[w] ^ mb_element_word(s, sorted, i, w);
            }
        } while (different == 0);
        memcpy(c->run->keys + c->run->n * s.n_words, mine, s.n_words * sizeof(uint64_t));
        mb_run_append_count(c->run, count);
    }
}

MB_INLINE mb_status
count_piece(counter *c, mb_element_shape s, size_t n, void *elements, void *room)
{
    unsigned low[MB_MAX_WORDS] = {0}, high[MB_MAX_WORDS] = {0};
    void *sorted = elements;
    if (n <= FEW) {
        sort_few(s, n, elements);
    } else if (find_bits(s, n, elements, low, high) > 0) {
        MB_TRY(
            sort_digits(s, n, low, high, elements, room, c->place, c->next, c->interrupt, &sorted));
    }
    count_equal(c, s, n, sorted);
    return MB_OK;
}

MB_INLINE mb_status
count_bucket(counter *c, mb_element_shape s, size_t n, void *elements, void *room)
{
    unsigned low[MB_MAX_WORDS] = {0}, high[MB_MAX_WORDS] = {0};
    if (n < SMALL || find_bits(s, n, elements, low, high) <= MANY) {
        return count_piece(c, s, n, elements, room);
    }
    size_t word = 0, start = 0;
    while (high[word] == 0) {
        word++;
    }
    unsigned width = high[word] - low[word], bits = width < DIGIT ? width : DIGIT;
    digit d = {word, high[word] - bits, bits};
    count_digits(s, n, elements, d, c->ends);
    MB_TRY(move_by_digit(s, n, elements, room, d, c->ends, d, NULL, c->interrupt));
    for (size_t k = 0; k < (size_t)1 << bits; k++) {
        size_t many = c->ends[k] - start;
        if (many > 0) {
            MB_TRY(count_piece(c, s, many, mb_elements_from(s, room, start),
                               mb_elements_from(s, elements, start)));
        }
        start = c->ends[k];
    }
    return MB_OK;
}

MB_INLINE mb_status
count_elements(counter *c, const mb_partition *p, mb_element_shape s, void *elements, void *room)
{
    size_t start = 0;
    for (size_t bucket = 0; bucket < (size_t)1 << p->bits; bucket++) {
        size_t many = p->ends[bucket] - start;
        MB_TRY(count_bucket(c, s, many, mb_elements_from(s, elements, start), room));
        start += many;
        MB_TRY(mb_ask(c->interrupt, COST * many));
    }
    return MB_OK;
}

static mb_status
count_all(counter *c, const mb_partition *p, void *elements, void *room)
{
    size_t stride = p->stride, n_words = p->layout->n_words;
    if (mb_partition_is_narrow(p)) {
        return count_elements(c, p, (mb_element_shape){1, 1, 1}, elements, room);
    }
    if (n_words == 1 && stride == 1) {
        return count_elements(c, p, (mb_element_shape){1, 1, 0}, elements, room);
    }
    if (n_words == 1) {
        return count_elements(c, p, (mb_element_shape){2, 1, 0}, elements, room);
    }
    if (n_words == 2 && stride == 2) {
        return count_elements(c, p, (mb_element_shape){2, 2, 0}, elements, room);
    }
    return count_elements(c, p, (mb_element_shape){stride, n_words, 0}, elements, room);
}

/* Whether as many elements of each bucket were scattered as the histogram has. */
static int
all_scattered(const mb_partition *p)
{
    return memcmp(p->places, p->ends, sizeof(uint32_t) << p->bits) == 0;
}

/* Elements of the largest bucket. */
static size_t
largest_bucket(const mb_partition *p)
{
    size_t most = 0, start = 0;
    for (size_t bucket = 0; bucket < (size_t)1 << p->bits; bucket++) {
        size_t many = p->ends[bucket] - start;
        most = many > most ? many : most;
        start += many;
    }
    return most;
}

mb_status
mb_partition_count(mb_partition *p, uint64_t total, mb_interrupt *interrupt, mb_run **out)
{
    if (!all_scattered(p)) {
        return MB_INVALID;
    }
    void *elements = p->elements, *keys = mb_partition_is_narrow(p) ? NULL : elements;
    mb_run *run = mb_run_begin(p->layout, p->n, total, keys);
    if (keys != NULL) {
        p->elements = NULL; /* the run has taken them */
    }
    if (run == NULL) {
        return MB_NOMEM;
    }
    counter *c = mb_calloc(1, sizeof(counter));
    void *room = mb_calloc(largest_bucket(p), mb_partition_element_size(p));
    mb_status status = MB_NOMEM;
    if (c != NULL && room != NULL) {
        c->run = run;
        c->interrupt = interrupt;
        status = count_all(c, p, elements, room);
    }
    mb_free(room);
    mb_free(c);
    return mb_run_finish(p->layout, status, run, interrupt, out);
}
