/* Numbers in little memory: their encoding, and whether words are one. */
#include "core/frozen/numbers.h"

enum { PER_NUMBER = 8 /* nanoseconds */, PIECE = 1 << 10 };

#define MOST_OF_NUMBERS ((uint64_t)1 << 62)

/* How numbers are written with so many planes. */
typedef struct {
    unsigned planes, width;
    size_t n_exceptions, n_words;
} numbers_plan;

static inline uint64_t
exception_code(unsigned planes)
{
    return ((uint64_t)1 << planes) - 1;
}

/* The words of a plan; 0 where they are too many to be counted. */
static int
size_numbers(size_t n, unsigned planes, size_t n_exceptions, unsigned width, size_t *exceptions,
             size_t *n_words)
{
    size_t blocks, packed;
    if (n_exceptions == SIZE_MAX || !mb_multiply(n / 64 + 1, 2 + planes, &blocks) ||
        !mb_packed_size(n_exceptions + 1, width, &packed) ||
        __builtin_add_overflow(blocks, MB_NUMBERS_HEAD, exceptions)) {
        return 0;
    }
    return !__builtin_add_overflow(*exceptions, packed, n_words);
}

/* The plan of fewest words. */
static mb_status
plan_numbers(size_t n, const uint64_t *numbers, mb_interrupt *interrupt, numbers_plan *best)
{
    enum { LEVELS = MB_NUMBERS_PLANES + 1 };
    /* of the numbers that are exceptions up to so many planes, not with one more */
    size_t many[LEVELS] = {0};
    uint64_t sums[LEVELS] = {0}, total = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t number = numbers[i];
        if (number > MOST_OF_NUMBERS - total) {
            return MB_RANGE;
        }
        total += number;
        unsigned bits = mb_bits_of(number + 1) - 1; /* number >= 2^planes - 1 up to there */
        unsigned level = bits < MB_NUMBERS_PLANES ? bits : MB_NUMBERS_PLANES;
        many[level]++;
        sums[level] += number;
        MB_TRY(i % PIECE == 0 ? mb_ask(interrupt, (size_t)PER_NUMBER * PIECE) : MB_OK);
    }
    size_t n_exceptions = 0;
    uint64_t sum = 0;
    best->n_words = SIZE_MAX;
    for (unsigned planes = LEVELS; planes-- > 0;) {
        numbers_plan plan = {.planes = planes};
        size_t exceptions;
        n_exceptions += many[planes];
        sum += sums[planes];
        plan.n_exceptions = n_exceptions;
        plan.width = mb_bits_of(sum);
        if (size_numbers(n, planes, n_exceptions, plan.width, &exceptions, &plan.n_words) &&
            plan.n_words < best->n_words) {
            *best = plan;
        }
    }
    return best->n_words == SIZE_MAX ? MB_NOMEM : MB_OK;
}

/* Writes the numbers behind a head that says how. */
static mb_status
write_numbers(const numbers_plan *plan, size_t n, const uint64_t *numbers, mb_interrupt *interrupt,
              uint64_t *words)
{
    unsigned planes = plan->planes;
    size_t stride = 2 + planes, k = 0;
    uint64_t *blocks = words + MB_NUMBERS_HEAD, *packed = blocks + (n / 64 + 1) * stride;
    uint64_t sum = 0, of_exceptions = 0;
    for (size_t i = 0; i <= n; i++) {
        uint64_t *block = blocks + i / 64 * stride;
        if (i % 64 == 0) {
            block[0] = sum;
            block[1] = k;
        }
        if (i == n) {
            break;
        }
        uint64_t code = numbers[i];
        if (code >= exception_code(planes)) {
            of_exceptions += code;
            mb_packed_write(packed, plan->width, ++k, of_exceptions);
            code = exception_code(planes);
        } else {
            sum += code;
        }
        for (unsigned p = 0; p < planes; p++) {
            block[2 + p] |= (code >> p & 1) << i % 64;
        }
        MB_TRY(i % PIECE == 0 ? mb_ask(interrupt, (size_t)PER_NUMBER * PIECE) : MB_OK);
    }
    return MB_OK;
}

mb_status
mb_numbers_encode(size_t n, const uint64_t *numbers, mb_interrupt *interrupt, uint64_t **words,
                  size_t *n_words)
{
    numbers_plan plan;
    MB_TRY(plan_numbers(n, numbers, interrupt, &plan));
    uint64_t *made = mb_calloc(plan.n_words, sizeof(uint64_t));
    if (made == NULL) {
        return MB_NOMEM;
    }
    made[0] = n;
    made[1] = plan.n_exceptions;
    made[2] = plan.planes;
    made[3] = plan.width;
    mb_status status = write_numbers(&plan, n, numbers, interrupt, made);
    if (status != MB_OK) {
        mb_free(made);
        return status;
    }
    *words = made;
    *n_words = plan.n_words;
    return MB_OK;
}

mb_status
mb_numbers_open(size_t n_words, const uint64_t *words, mb_numbers *out)
{
    size_t exceptions, needed;
    if (n_words < MB_NUMBERS_HEAD) {
        return MB_INVALID;
    }
    uint64_t n = words[0], n_exceptions = words[1], planes = words[2], width = words[3];
    if (n > SIZE_MAX || n_exceptions > n || planes > MB_NUMBERS_PLANES || width > MB_MAX_WIDTH ||
        !size_numbers((size_t)n, (unsigned)planes, (size_t)n_exceptions, (unsigned)width,
                      &exceptions, &needed) ||
        needed != n_words) {
        return MB_INVALID;
    }
    *out = (mb_numbers){.n = (size_t)n, .n_exceptions = (size_t)n_exceptions};
    out->planes = (unsigned)planes;
    out->width = (unsigned)width;
    out->blocks = words + MB_NUMBERS_HEAD;
    out->exceptions = words + exceptions;
    return MB_OK;
}

/* Whether a block says what stands before it, and nothing behind the last number. */
static int
check_block(const mb_numbers *numbers, size_t i, uint64_t sum, size_t k)
{
    const uint64_t *block = mb_numbers_block(numbers, i);
    size_t left = numbers->n - i;
    uint64_t behind = left < 64 ? ~(uint64_t)0 << left : 0;
    int right = block[0] == sum && block[1] == k;
    for (unsigned p = 0; p < numbers->planes; p++) {
        right &= (block[2 + p] & behind) == 0;
    }
    return right;
}

mb_status
mb_numbers_check(const mb_numbers *numbers, mb_interrupt *interrupt, uint64_t *sum)
{
    const unsigned planes = numbers->planes;
    uint64_t total = 0, of_exceptions = 0;
    size_t k = 0;
    if (mb_numbers_exception(numbers, 0) != 0) {
        return MB_INVALID;
    }
    for (size_t i = 0; i <= numbers->n; i++) {
        if (i % 64 == 0 && !check_block(numbers, i, total - of_exceptions, k)) {
            return MB_INVALID;
        }
        if (i == numbers->n) {
            break;
        }
        const uint64_t *block = mb_numbers_block(numbers, i);
        uint64_t number = 0;
        for (unsigned p = 0; p < planes; p++) {
            number |= (block[2 + p] >> i % 64 & 1) << p;
        }
        if (number == exception_code(planes)) {
            if (k == numbers->n_exceptions) {
                return MB_INVALID;
            }
            uint64_t low = mb_numbers_exception(numbers, k), high;
            high = mb_numbers_exception(numbers, ++k);
            number = high - low;
            if (high < low || number < exception_code(planes)) {
                return MB_INVALID;
            }
            of_exceptions = high;
        }
        if (number > MOST_OF_NUMBERS - total) {
            return MB_INVALID;
        }
        total += number;
        MB_TRY(i % PIECE == 0 ? mb_ask(interrupt, (size_t)PER_NUMBER * PIECE) : MB_OK);
    }
    if (k != numbers->n_exceptions || !mb_packed_ends(numbers->exceptions, numbers->width, k + 1)) {
        return MB_INVALID;
    }
    *sum = total;
    return MB_OK;
}
