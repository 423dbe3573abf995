/* Radix sort of keys.  Each function is compiled for elements of one, two and three words, and
 * once for more.
 *
 * A bucket whose keys differ in few bits is sorted by digits, the last first.  One whose keys
 * differ in many is dealt out again by the first of them, which leaves a few elements to each
 * part. */
#include "ngram_sort.h"

#include "mem.h"

#include <string.h>

enum {
    DIGIT = 11,            /* most bits that a pass sorts by */
    BUCKET_SIZE = 1 << 14, /* elements of a bucket, about */
    FEW = 32,              /* elements that are sorted by insertion */
    SMALL = 1 << 10,       /* elements that are sorted by short digits */
    MANY = 5 * DIGIT,      /* bits from which on a bucket is dealt out again */
    PIECE = 1 << 20        /* elements between two questions whether to stop */
};

/* ---- dealing ------------------------------------------------------------------------ */

mb_status
mb_deal_begin(const mb_key_layout *layout, size_t stride, size_t about, size_t n_parts,
              mb_deal *deal)
{
    *deal = (mb_deal){.layout = layout, .stride = stride, .n_parts = n_parts};
    while (deal->bits < MB_DEAL_BITS && about >> deal->bits > BUCKET_SIZE) {
        deal->bits++;
    }
    deal->parts = mb_calloc(n_parts, sizeof(mb_deal_part));
    return deal->parts == NULL ? MB_NOMEM : MB_OK;
}

void
mb_deal_end(mb_deal *deal)
{
    mb_run_free(deal->run);
    mb_free(deal->elements);
    mb_free(deal->parts);
    *deal = (mb_deal){0};
}

static inline size_t
bucket_of(unsigned bits, const uint64_t *element)
{
    return bits == 0 ? 0 : (size_t)(element[0] >> (64 - bits));
}

void
mb_deal_measure(mb_deal *deal, size_t part, size_t n, const uint64_t *elements)
{
    uint32_t *many = deal->parts[part].places;
    const unsigned bits = deal->bits;
    for (size_t i = 0; i < n; i++) {
        many[bucket_of(bits, elements + i * deal->stride)]++;
    }
    deal->parts[part].n += n;
}

/* In each bucket, the parts one after the other. */
mb_status
mb_deal_place(mb_deal *deal)
{
    uint32_t sum = 0;
    for (size_t part = 0; part < deal->n_parts; part++) {
        deal->n += deal->parts[part].n;
    }
    for (size_t bucket = 0; bucket < (size_t)1 << deal->bits; bucket++) {
        for (size_t part = 0; part < deal->n_parts; part++) {
            uint32_t many = deal->parts[part].places[bucket];
            deal->parts[part].places[bucket] = sum;
            sum += many;
            deal->parts[part].ends[bucket] = sum;
        }
    }
    /* one at least, for what was never measured */
    deal->elements = mb_calloc(deal->n > 0 ? deal->n : 1, deal->stride * sizeof(uint64_t));
    return deal->elements == NULL ? MB_NOMEM : MB_OK;
}

MB_INLINE void
take(const mb_deal *deal, size_t stride, uint32_t *places, size_t n, const uint64_t *elements)
{
    uint64_t *to = deal->elements;
    const unsigned bits = deal->bits;
    for (size_t i = 0; i < n; i++) {
        const uint64_t *element = elements + i * stride;
        size_t bucket = bucket_of(bits, element), place = places[bucket]++;
        if (place >= deal->n) { /* never measured; the count finds out */
            place = 0;
        }
        for (size_t w = 0; w < stride; w++) {
            to[place * stride + w] = element[w];
        }
    }
}

void
mb_deal_take(mb_deal *deal, size_t part, size_t n, const uint64_t *elements)
{
    uint32_t *places = deal->parts[part].places;
    switch (deal->stride) {
    case 1:
        take(deal, 1, places, n, elements);
        break;
    case 2:
        take(deal, 2, places, n, elements);
        break;
    default:
        take(deal, deal->stride, places, n, elements);
    }
}

/* ---- sorting ------------------------------------------------------------------------- */

/* Which bits of a word a pass sorts by. */
typedef struct {
    size_t word;
    unsigned shift, bits;
} digit;

MB_INLINE size_t
digit_of(const uint64_t *element, digit d)
{
    return (size_t)(element[d.word] >> d.shift & (((uint64_t)1 << d.bits) - 1));
}

/* Moves elements [n] to where their digits go; place [1 << bits] becomes where each digit ends. */
MB_INLINE mb_status
move_by_digit(size_t stride, size_t n, const uint64_t *from, uint64_t *to, digit d, uint32_t *place,
              const mb_interrupt *interrupt)
{
    memset(place, 0, sizeof(uint32_t) << d.bits);
    for (size_t i = 0; i < n; i++) {
        place[digit_of(from + i * stride, d)]++;
    }
    uint32_t sum = 0;
    for (size_t k = 0; k < (size_t)1 << d.bits; k++) {
        uint32_t many = place[k];
        place[k] = sum;
        sum += many;
    }
    for (size_t start = 0; start < n; start += PIECE) {
        size_t end = n - start < PIECE ? n : start + PIECE;
        for (size_t i = start; i < end; i++) {
            const uint64_t *element = from + i * stride;
            uint64_t *target = to + stride * place[digit_of(element, d)]++;
            for (size_t w = 0; w < stride; w++) {
                target[w] = element[w];
            }
        }
        if (end - start == PIECE) {
            MB_TRY(mb_interrupted(interrupt));
        }
    }
    return MB_OK;
}

MB_INLINE void
sort_few(size_t stride, size_t n_words, size_t n, uint64_t *elements)
{
    for (size_t i = 1; i < n; i++) {
        uint64_t element[MB_MAX_WORDS + 1];
        memcpy(element, elements + i * stride, stride * sizeof(uint64_t));
        size_t at = i;
        while (at > 0 && mb_key_before(n_words, element, elements + (at - 1) * stride)) {
            memcpy(elements + at * stride, elements + (at - 1) * stride, stride * sizeof(uint64_t));
            at--;
        }
        memcpy(elements + at * stride, element, stride * sizeof(uint64_t));
    }
}

/* The bits of each word, from low up to high, that are not the same in all of elements [n];
 * returns how many they are. */
MB_INLINE unsigned
find_bits(size_t stride, size_t n_words, size_t n, const uint64_t *elements, unsigned *low,
          unsigned *high)
{
    uint64_t differ[MB_MAX_WORDS] = {0};
    unsigned sum = 0;
    for (size_t i = 1; i < n; i++) {
        for (size_t w = 0; w < n_words; w++) {
            differ[w] |= elements[i * stride + w] ^ elements[w];
        }
    }
    for (size_t w = 0; w < n_words; w++) {
        low[w] = differ[w] == 0 ? 0 : (unsigned)__builtin_ctzll(differ[w]);
        high[w] = differ[w] == 0 ? 0 : 64 - (unsigned)__builtin_clzll(differ[w]);
        sum += high[w] - low[w];
    }
    return sum;
}

/* Sorts elements [n] by the bits that differ, with room for as many more; *sorted is which of the
 * two holds them in the end. */
MB_INLINE mb_status
sort_digits(size_t stride, size_t n_words, size_t n, const unsigned *low, const unsigned *high,
            uint64_t *elements, uint64_t *room, uint32_t *place, const mb_interrupt *interrupt,
            uint64_t **sorted)
{
    unsigned most = n < SMALL ? 8 : DIGIT;
    *sorted = elements;
    for (size_t word = n_words; word-- > 0;) {
        unsigned width = high[word] - low[word], passes = (width + most - 1) / most;
        for (unsigned pass = 0; pass < passes; pass++) {
            unsigned begin = width * pass / passes, end = width * (pass + 1) / passes;
            uint64_t *to = *sorted == elements ? room : elements;
            MB_TRY(move_by_digit(stride, n, *sorted, to,
                                 (digit){word, low[word] + begin, end - begin}, place, interrupt));
            *sorted = to;
            if (n > PIECE) {
                MB_TRY(mb_interrupted(interrupt));
            }
        }
    }
    return MB_OK;
}

/* ---- counting ------------------------------------------------------------------------ */

/* What a count writes to, and its tables. */
typedef struct {
    mb_run *run; /* a part of one */
    const mb_interrupt *interrupt;
    uint32_t ends[1 << DIGIT], place[1 << DIGIT];
} counter;

/* Appends the different keys of sorted elements [n], and their counts, to the run.  Its keys are
 * where the elements begin, and never written further than has been read. */
MB_INLINE void
count_equal(counter *c, size_t stride, size_t n_words, size_t n, const uint64_t *sorted)
{
    for (size_t i = 0; i < n;) {
        const uint64_t *key = sorted + i * stride;
        uint64_t count = 0, mine[MB_MAX_WORDS];
        memcpy(mine, key, n_words * sizeof(uint64_t));
        do {
            count += stride > n_words ? key[n_words] : 1;
            key += stride;
        } while (++i < n && mb_key_equal(n_words, mine, key));
        memcpy(c->run->keys + c->run->n * n_words, mine, n_words * sizeof(uint64_t));
        mb_run_append_count(c->run, count);
    }
}

MB_INLINE mb_status
count_part(counter *c, size_t stride, size_t n_words, size_t n, uint64_t *elements, uint64_t *room)
{
    unsigned low[MB_MAX_WORDS] = {0}, high[MB_MAX_WORDS] = {0};
    uint64_t *sorted = elements;
    if (n <= FEW) {
        sort_few(stride, n_words, n, elements);
    } else if (find_bits(stride, n_words, n, elements, low, high) > 0) {
        MB_TRY(sort_digits(stride, n_words, n, low, high, elements, room, c->place, c->interrupt,
                           &sorted));
    }
    count_equal(c, stride, n_words, n, sorted);
    return MB_OK;
}

MB_INLINE mb_status
count_bucket(counter *c, size_t stride, size_t n_words, size_t n, uint64_t *elements,
             uint64_t *room)
{
    unsigned low[MB_MAX_WORDS] = {0}, high[MB_MAX_WORDS] = {0};
    if (n < SMALL || find_bits(stride, n_words, n, elements, low, high) <= MANY) {
        return count_part(c, stride, n_words, n, elements, room);
    }
    size_t word = 0, start = 0;
    while (high[word] == 0) {
        word++;
    }
    unsigned width = high[word] - low[word], bits = width < DIGIT ? width : DIGIT;
    digit d = {word, high[word] - bits, bits};
    MB_TRY(move_by_digit(stride, n, elements, room, d, c->ends, c->interrupt));
    for (size_t k = 0; k < (size_t)1 << bits; k++) {
        size_t many = c->ends[k] - start;
        if (many > 0) {
            MB_TRY(count_part(c, stride, n_words, many, room + start * stride,
                              elements + start * stride));
        }
        start = c->ends[k];
    }
    return MB_OK;
}

/* Where a bucket ends. */
static inline size_t
end_of(const mb_deal *deal, size_t bucket)
{
    return deal->parts[deal->n_parts - 1].ends[bucket];
}

MB_INLINE mb_status
count_elements(counter *c, const mb_deal *deal, const mb_deal_part *part, size_t stride,
               size_t n_words, uint64_t *room)
{
    size_t start = part->start, since = 0;
    for (size_t bucket = part->first_bucket; bucket < part->end_bucket; bucket++) {
        size_t many = end_of(deal, bucket) - start;
        MB_TRY(count_bucket(c, stride, n_words, many, deal->run->keys + start * stride, room));
        start += many;
        since += many;
        if (since >= PIECE / 2) {
            since = 0;
            MB_TRY(mb_interrupted(c->interrupt));
        }
    }
    return MB_OK;
}

static mb_status
count_all(counter *c, const mb_deal *deal, const mb_deal_part *part, uint64_t *room)
{
    size_t stride = deal->stride, n_words = deal->layout->n_words;
    if (n_words == 1 && stride == 1) {
        return count_elements(c, deal, part, 1, 1, room);
    }
    if (n_words == 1) {
        return count_elements(c, deal, part, 2, 1, room);
    }
    if (n_words == 2 && stride == 2) {
        return count_elements(c, deal, part, 2, 2, room);
    }
    return count_elements(c, deal, part, stride, n_words, room);
}

/* Whether each part has taken as many elements of each bucket as it has measured. */
static int
all_taken(const mb_deal *deal)
{
    for (size_t i = 0; i < deal->n_parts; i++) {
        const mb_deal_part *part = deal->parts + i;
        if (memcmp(part->places, part->ends, sizeof(uint32_t) << deal->bits) != 0) {
            return 0;
        }
    }
    return 1;
}

/* Buckets that follow each other, with about as many elements for each part. */
static void
divide_buckets(mb_deal *deal)
{
    size_t bucket = 0, start = 0, left = deal->n;
    for (size_t i = 0; i < deal->n_parts; i++) {
        mb_deal_part *part = deal->parts + i;
        size_t share = left / (deal->n_parts - i), n = 0;
        part->first_bucket = bucket;
        part->start = start;
        while (bucket < (size_t)1 << deal->bits && (n < share || i + 1 == deal->n_parts)) {
            size_t end = end_of(deal, bucket++);
            n += end - start;
            start = end;
        }
        part->end_bucket = bucket;
        left -= n;
    }
}

mb_status
mb_deal_begin_count(mb_deal *deal, uint64_t total)
{
    if (!all_taken(deal)) {
        return MB_INVALID;
    }
    divide_buckets(deal);
    deal->run = mb_run_begin(deal->layout, deal->n, total, deal->elements);
    deal->elements = NULL; /* the run has taken them */
    return deal->run == NULL ? MB_NOMEM : MB_OK;
}

mb_status
mb_deal_count(mb_deal *deal, size_t which, const mb_interrupt *interrupt)
{
    mb_deal_part *part = deal->parts + which;
    size_t n_words = deal->layout->n_words, most = 0, start = part->start;
    for (size_t bucket = part->first_bucket; bucket < part->end_bucket; bucket++) {
        size_t many = end_of(deal, bucket) - start;
        most = many > most ? many : most;
        start += many;
    }
    counter *c = mb_calloc(1, sizeof(counter));
    uint64_t *room = mb_calloc(most, deal->stride * sizeof(uint64_t));
    mb_status status = MB_NOMEM;
    if (c != NULL && room != NULL) {
        mb_run mine = *deal->run;
        mine.keys += part->start * n_words;
        mine.counts += part->start;
        c->run = &mine;
        c->interrupt = interrupt;
        status = count_all(c, deal, part, room);
        part->n_different = mine.n;
        if (deal->n_parts == 1) {
            deal->run->n_large = mine.n_large;
        }
    }
    mb_free(room);
    mb_free(c);
    return status;
}

/* Moves what a part has counted to the end of what stands before. */
static mb_status
append_part(mb_run *run, size_t n_words, const mb_deal_part *part, const mb_interrupt *interrupt)
{
    for (size_t at = 0; at < part->n_different;) {
        size_t left = part->n_different - at, n = left < PIECE ? left : PIECE;
        size_t from = part->start + at;
        if (from != run->n) {
            memmove(run->keys + run->n * n_words, run->keys + from * n_words,
                    n * n_words * sizeof(uint64_t));
            memmove(run->counts + run->n, run->counts + from, n * sizeof(uint32_t));
        }
        run->n += n;
        at += n;
        MB_TRY(n == PIECE ? mb_interrupted(interrupt) : MB_OK);
    }
    return MB_OK;
}

mb_status
mb_deal_finish(mb_deal *deal, const mb_interrupt *interrupt, mb_run **out)
{
    mb_run *run = deal->run;
    for (size_t i = 0; i < deal->n_parts; i++) {
        MB_TRY(append_part(run, deal->layout->n_words, deal->parts + i, interrupt));
    }
    deal->run = NULL;
    return mb_run_finish(deal->layout, MB_OK, run, interrupt, out);
}
