/* Checks of core/frozen/: packed numbers of every width; numbers and their sums against slow ones,
 * with exceptions of any size; words that were cut, lengthened or changed. */
#include "core/frozen/numbers.h"
#include "test/check.h"
#include "test/failing_mem.h"

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
        size_t n_words;
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
            sum += numbers[i];
        }
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
}

int
main(void)
{
    check_packed();
    check_all_numbers();
    return report();
}
