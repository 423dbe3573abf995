/* Numbers as text: digits as a whole number, times a power of ten. */
#include "core/arpa/number.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

enum {
    EXACT = 22,       /* powers of ten up to it are doubles */
    MOST_DIGITS = 19, /* of a whole number of 64 bits */
    FAR = 400,        /* an exponent that is out of range whatever the digits */
    WRITTEN = 9,      /* digits */
    LEAST_PLAIN = -6  /* exponents below it are written as such */
};

static const double powers[EXACT + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                         1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                         1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* x * 10^e. */
static double
times_power(double x, int e)
{
    for (; e > EXACT; e -= EXACT) {
        x *= powers[EXACT];
    }
    for (; e < -EXACT; e += EXACT) {
        x /= powers[EXACT];
    }
    return e < 0 ? x / powers[-e] : x * powers[e];
}

static int
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Whether the n characters are a word of small letters, in letters of any case. */
static int
is_word(size_t n, const char *text, const char *word)
{
    if (n != strlen(word)) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        if ((text[i] | 0x20) != word[i]) {
            return 0;
        }
    }
    return 1;
}

/* Digits that are read: a whole number and the power of ten that it is to be multiplied by. */
typedef struct {
    uint64_t digits;
    int many, power;
} decimal;

/* The digits from `at` on; returns where they end. */
static size_t
read_digits(size_t n, const char *text, size_t at, int behind_point, decimal *found)
{
    for (; at < n && is_digit(text[at]); at++) {
        int digit = text[at] - '0';
        if (found->many < MOST_DIGITS) {
            found->digits = 10 * found->digits + (uint64_t)digit;
            found->many += found->digits != 0;
            found->power -= behind_point && found->power > -FAR;
        } else {
            found->power += !behind_point && found->power < FAR;
        }
    }
    return at;
}

int
mb_number_read(size_t n, const char *text, double *out)
{
    size_t at = n > 0 && (text[0] == '-' || text[0] == '+');
    int negative = at > 0 && text[0] == '-', exponent = 0;
    if (is_word(n - at, text + at, "inf") || is_word(n - at, text + at, "infinity")) {
        *out = negative ? -HUGE_VAL : HUGE_VAL;
        return 1;
    }
    decimal found = {0};
    size_t first = at;
    at = read_digits(n, text, at, 0, &found);
    size_t many = at - first;
    if (at < n && text[at] == '.') {
        first = ++at;
        at = read_digits(n, text, at, 1, &found);
        many += at - first;
    }
    if (many == 0) {
        return 0;
    }
    if (at < n && (text[at] | 0x20) == 'e') {
        at++;
        int is_below = at < n && text[at] == '-';
        at += at < n && (text[at] == '-' || text[at] == '+');
        first = at;
        for (; at < n && is_digit(text[at]); at++) {
            exponent = exponent < FAR ? 10 * exponent + (text[at] - '0') : exponent;
        }
        if (at == first) {
            return 0;
        }
        exponent = is_below ? -exponent : exponent;
    }
    if (at < n) {
        return 0;
    }
    double x = found.digits == 0 ? 0.0 : times_power((double)found.digits, found.power + exponent);
    *out = negative ? -x : x;
    return 1;
}

size_t
mb_number_write(double x, char *out)
{
    double size = x < 0.0 ? -x : x;
    size_t at = 0;
    if (size < 1.0 / powers[EXACT]) {
        out[0] = '0';
        return 1;
    }
    size = size > powers[EXACT] ? powers[EXACT] : size;
    int e = 0;
    while (e < EXACT && size >= powers[e + 1]) {
        e++;
    }
    while (e > -EXACT && (e > 0 ? size < powers[e] : size * powers[-e] < 1.0)) {
        e--;
    }
    uint64_t digits = (uint64_t)(times_power(size, WRITTEN - 1 - e) + 0.5);
    if (digits >= (uint64_t)powers[WRITTEN]) {
        digits /= 10;
        e++;
    }
    char figures[WRITTEN];
    int many = WRITTEN;
    for (int i = WRITTEN - 1; i >= 0; i--) {
        figures[i] = (char)('0' + digits % 10);
        digits /= 10;
    }
    for (; many > 1 && figures[many - 1] == '0'; many--) {
    }
    if (x < 0.0) {
        out[at++] = '-';
    }
    int is_plain = e >= LEAST_PLAIN && e <= EXACT, before = is_plain ? e + 1 : 1;
    if (before <= 0) {
        out[at++] = '0';
        out[at++] = '.';
        for (int i = before; i < 0; i++) {
            out[at++] = '0';
        }
    }
    for (int i = 0; i < many || i < before; i++) {
        if (i == before && before > 0) {
            out[at++] = '.';
        }
        out[at++] = (char)(i < many ? figures[i] : '0');
    }
    if (!is_plain) {
        out[at++] = 'e';
        out[at++] = '-'; /* large ones are plain */
        if (e <= -10) {
            out[at++] = (char)('0' + -e / 10);
        }
        out[at++] = (char)('0' + -e % 10);
    }
    return at;
}
