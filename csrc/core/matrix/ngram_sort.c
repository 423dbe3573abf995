/* Radix sort of keys.  Each function is compiled for elements of one, two and three words, and
 * once for more.
 *
 * A bucket whose keys differ in few bits is sorted by digits, the last first.  One whose keys
 * differ in many is dealt out again by the first of them, which leaves a few elements to each
 * part. */
#include "core/matrix/ngram_sort.h"

#include "core/base/mem.h"

#include <string.h>

enum {
    DIGIT = 11,            /* most bits that a pass sorts by */
    SHORT_DIGIT = 8,       /* where elements are few */
    BUCKET_SIZE = 1 << 14, /* elements of a bucket, about */
    FEW = 32,              /* elements that are sorted by insertion */
    SMALL = 1 << 10,       /* elements that are sorted by short digits */
    MANY = 5 * DIGIT,      /* bits from which on a bucket is dealt out again */
    PIECE = 1 << 14,       /* elements between two thoughts of stopping */
    COST = 16              /* nanoseconds of one */
};

/* ---- elements ----------------------------------------------------------------------- */

/* How elements are kept.  Narrow: one word, of which the last 32 bits are zeros and are left out;
 * half as much memory is then moved. */
typedef struct {
    size_t stride, n_words;
    int narrow;
} shape;

static inline int
is_narrow(const mb_deal *deal)
{
    return deal->stride == 1 && deal->layout->padding >= 32;
}

static inline size_t
element_size(const mb_deal *deal)
{
    return is_narrow(deal) ? sizeof(uint32_t) : deal->stride * sizeof(uint64_t);
}

MB_INLINE uint64_t
get_word(shape s, const void *elements, size_t i, size_t word)
{
    return s.narrow ? (uint64_t)((const uint32_t *)elements)[i] << 32
                    : ((const uint64_t *)elements)[i * s.stride + word];
}

MB_INLINE void
put(shape s, void *elements, size_t i, const uint64_t *element)
{
    if (s.narrow) {
        ((uint32_t *)elements)[i] = (uint32_t)(element[0] >> 32);
        return;
    }
    for (size_t w = 0; w < s.stride; w++) {
        ((uint64_t *)elements)[i * s.stride + w] = element[w];
    }
}

MB_INLINE void
copy(shape s, void *to, size_t i, const void *from, size_t k)
{
    if (s.narrow) {
        ((uint32_t *)to)[i] = ((const uint32_t *)from)[k];
    } else {
        put(s, to, i, (const uint64_t *)from + k * s.stride);
    }
}

/* The elements from the i-th on. */
MB_INLINE void *
from_on(shape s, void *elements, size_t i)
{
    return (char *)elements + i * (s.narrow ? sizeof(uint32_t) : s.stride * sizeof(uint64_t));
}

/* ---- dealing ------------------------------------------------------------------------ */

void
mb_deal_begin(const mb_key_layout *layout, size_t stride, size_t about, mb_deal *deal)
{
    *deal = (mb_deal){.layout = layout, .stride = stride};
    while (deal->bits < MB_DEAL_BITS && about >> deal->bits > BUCKET_SIZE) {
        deal->bits++;
    }
}

void
mb_deal_end(mb_deal *deal)
{
    mb_run_free(deal->run);
    mb_free(deal->elements);
    *deal = (mb_deal){0};
}

static inline size_t
bucket_of(unsigned bits, const uint64_t *element)
{
    return bits == 0 ? 0 : (size_t)(element[0] >> (64 - bits));
}

void
mb_deal_measure(mb_deal *deal, size_t n, const uint64_t *elements)
{
    const unsigned bits = deal->bits;
    for (size_t i = 0; i < n; i++) {
        deal->places[bucket_of(bits, elements + i * deal->stride)]++;
    }
    deal->n += n;
}

mb_status
mb_deal_place(mb_deal *deal)
{
    uint32_t sum = 0;
    for (size_t bucket = 0; bucket < (size_t)1 << deal->bits; bucket++) {
        uint32_t many = deal->places[bucket];
        deal->places[bucket] = sum;
        sum += many;
        deal->ends[bucket] = sum;
    }
    /* one at least, for what was never measured */
    deal->elements = mb_calloc(deal->n > 0 ? deal->n : 1, element_size(deal));
    return deal->elements == NULL ? MB_NOMEM : MB_OK;
}

MB_INLINE void
take(mb_deal *deal, shape s, size_t n, const uint64_t *elements)
{
    void *to = deal->elements;
    const unsigned bits = deal->bits;
    const size_t most = deal->n;
    for (size_t i = 0; i < n; i++) {
        const uint64_t *element = elements + i * s.stride;
        size_t bucket = bucket_of(bits, element), place = deal->places[bucket]++;
        if (place >= most) { /* never measured; the count finds out */
            place = 0;
        }
        put(s, to, place, element);
    }
}

void
mb_deal_take(mb_deal *deal, size_t n, const uint64_t *elements)
{
    if (is_narrow(deal)) {
        take(deal, (shape){1, 1, 1}, n, elements);
    } else if (deal->stride == 1) {
        take(deal, (shape){1, 1, 0}, n, elements);
    } else if (deal->stride == 2) {
        take(deal, (shape){2, 2, 0}, n, elements);
    } else {
        take(deal, (shape){deal->stride, deal->stride, 0}, n, elements);
    }
}

/* ---- sorting ------------------------------------------------------------------------- */

/* Which bits of a word a pass sorts by. */
typedef struct {
    size_t word;
    unsigned shift, bits;
} digit;

MB_INLINE size_t
digit_of(shape s, const void *elements, size_t i, digit d)
{
    return (size_t)(get_word(s, elements, i, d.word) >> d.shift & (((uint64_t)1 << d.bits) - 1));
}

MB_INLINE void
count_digits(shape s, size_t n, const void *elements, digit d, uint32_t *many)
{
    memset(many, 0, sizeof(uint32_t) << d.bits);
    for (size_t i = 0; i < n; i++) {
        many[digit_of(s, elements, i, d)]++;
    }
}

/* Moves elements [n] to where their digits go; place [1 << bits] is how many have each digit and
 * becomes where each ends.  Unless `next` is NULL, it becomes how many have each digit `after`. */
MB_INLINE mb_status
move_by_digit(shape s, size_t n, const void *from, void *to, digit d, uint32_t *place, digit after,
              uint32_t *next, mb_interrupt *interrupt)
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
            copy(s, to, place[digit_of(s, from, i, d)]++, from, i);
        }
        MB_TRY(mb_ask(interrupt, COST * (end - start)));
    }
    return MB_OK;
}

/* Whether `element` stands before the i-th. */
MB_INLINE int
before(shape s, const uint64_t *element, const void *elements, size_t i)
{
    return s.narrow ? element[0] < get_word(s, elements, i, 0)
                    : mb_key_before(s.n_words, element, (const uint64_t *)elements + i * s.stride);
}

MB_INLINE void
sort_few(shape s, size_t n, void *elements)
{
    for (size_t i = 1; i < n; i++) {
        uint64_t element[MB_MAX_WORDS + 1] MB_FILLED;
        size_t at = i;
        for (size_t w = 0; w < s.stride; w++) {
            element[w] = get_word(s, elements, i, w);
        }
        while (at > 0 && before(s, element, elements, at - 1)) {
            copy(s, elements, at, elements, at - 1);
            at--;
        }
        put(s, elements, at, element);
    }
}

/* The bits of each word, from low up to high, that are not the same in all of elements [n];
 * returns how many they are. */
MB_INLINE unsigned
find_bits(shape s, size_t n, const void *elements, unsigned *low, unsigned *high)
{
    uint64_t differ[MB_MAX_WORDS] = {0};
    unsigned sum = 0;
    for (size_t i = 1; i < n; i++) {
        for (size_t w = 0; w < s.n_words; w++) {
            differ[w] |= get_word(s, elements, i, w) ^ get_word(s, elements, 0, w);
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
cut_digits(shape s, unsigned most, const unsigned *low, const unsigned *high, digit *digits)
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
sort_digits(shape s, size_t n, const unsigned *low, const unsigned *high, void *elements,
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
count_equal(counter *c, shape s, size_t n, const void *sorted)
{
    for (size_t i = 0; i < n;) {
        uint64_t count = 0, mine[MB_MAX_WORDS], different;
        for (size_t w = 0; w < s.n_words; w++) {
            mine[w] = get_word(s, sorted, i, w);
        }
        do {
            count += s.stride > s.n_words ? get_word(s, sorted, i, s.n_words) : 1;
            different = ++i == n;
            for (size_t w = 0; w < s.n_words && i < n; w++) {
                different |= mine[w] ^ get_word(s, sorted, i, w);
            }
        } while (different == 0);
        memcpy(c->run->keys + c->run->n * s.n_words, mine, s.n_words * sizeof(uint64_t));
        mb_run_append_count(c->run, count);
    }
}

MB_INLINE mb_status
count_part(counter *c, shape s, size_t n, void *elements, void *room)
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
count_bucket(counter *c, shape s, size_t n, void *elements, void *room)
{
    unsigned low[MB_MAX_WORDS] = {0}, high[MB_MAX_WORDS] = {0};
    if (n < SMALL || find_bits(s, n, elements, low, high) <= MANY) {
        return count_part(c, s, n, elements, room);
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
            MB_TRY(count_part(c, s, many, from_on(s, room, start), from_on(s, elements, start)));
        }
        start = c->ends[k];
    }
    return MB_OK;
}

MB_INLINE mb_status
count_elements(counter *c, const mb_deal *deal, shape s, void *room)
{
    void *elements = deal->elements != NULL ? deal->elements : deal->run->keys;
    size_t start = 0;
    for (size_t bucket = 0; bucket < (size_t)1 << deal->bits; bucket++) {
        size_t many = deal->ends[bucket] - start;
        MB_TRY(count_bucket(c, s, many, from_on(s, elements, start), room));
        start += many;
        MB_TRY(mb_ask(c->interrupt, COST * many));
    }
    return MB_OK;
}

static mb_status
count_all(counter *c, const mb_deal *deal, void *room)
{
    size_t stride = deal->stride, n_words = deal->layout->n_words;
    if (is_narrow(deal)) {
        return count_elements(c, deal, (shape){1, 1, 1}, room);
    }
    if (n_words == 1 && stride == 1) {
        return count_elements(c, deal, (shape){1, 1, 0}, room);
    }
    if (n_words == 1) {
        return count_elements(c, deal, (shape){2, 1, 0}, room);
    }
    if (n_words == 2 && stride == 2) {
        return count_elements(c, deal, (shape){2, 2, 0}, room);
    }
    return count_elements(c, deal, (shape){stride, n_words, 0}, room);
}

/* Whether as many elements of each bucket were taken as were measured. */
static int
all_taken(const mb_deal *deal)
{
    return memcmp(deal->places, deal->ends, sizeof(uint32_t) << deal->bits) == 0;
}

/* Elements of the largest bucket. */
static size_t
largest_bucket(const mb_deal *deal)
{
    size_t most = 0, start = 0;
    for (size_t bucket = 0; bucket < (size_t)1 << deal->bits; bucket++) {
        size_t many = deal->ends[bucket] - start;
        most = many > most ? many : most;
        start += many;
    }
    return most;
}

/* A run with room for all elements, which it takes as its keys where it can. */
static mb_status
begin_run(mb_deal *deal, uint64_t total)
{
    void *keys = is_narrow(deal) ? NULL : deal->elements;
    deal->run = mb_run_begin(deal->layout, deal->n, total, keys);
    if (keys != NULL) {
        deal->elements = NULL;
    }
    return deal->run == NULL ? MB_NOMEM : MB_OK;
}

mb_status
mb_deal_count(mb_deal *deal, uint64_t total, mb_interrupt *interrupt, mb_run **out)
{
    if (!all_taken(deal)) {
        return MB_INVALID;
    }
    MB_TRY(begin_run(deal, total));
    counter *c = mb_calloc(1, sizeof(counter));
    void *room = mb_calloc(largest_bucket(deal), element_size(deal));
    mb_status status = MB_NOMEM;
    if (c != NULL && room != NULL) {
        c->run = deal->run;
        c->interrupt = interrupt;
        status = count_all(c, deal, room);
    }
    mb_free(room);
    mb_free(c);
    MB_TRY(status);
    mb_run *run = deal->run;
    deal->run = NULL;
    return mb_run_finish(deal->layout, MB_OK, run, interrupt, out);
}
