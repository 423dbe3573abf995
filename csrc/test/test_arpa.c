/* Checks of core/arpa: numbers, a small model line by line, what is refused, and short memory. */
#include "core/arpa/number.h"
#include "core/arpa/read.h"
#include "core/arpa/words.h"
#include "core/arpa/write.h"
#include "check.h"
#include "failing_mem.h"

#include <string.h>

static void
test_numbers(void)
{
    static const struct {
        const char *text;
        double value;
    } cases[] = {
        {"0", 0.0},
        {"-0", 0.0},
        {"-1.5", -1.5},
        {"+2.", 2.0},
        {".5", 0.5},
        {"-99", -99.0},
        {"1e-7", 1e-7},
        {"-1.25E+2", -125.0},
        {"0.0004", 4e-4},
        {"1e400", HUGE_VAL},
        {"-inf", -HUGE_VAL},
        {"Infinity", HUGE_VAL},
        {"1e-400", 0.0},
        {"12345678901234567890123", 12345678901234567890123.0},
        {"0.1234567890123456789012", 0.1234567890123456789012},
        {"1e-300", 1e-300},
    };
    static const char *const wrong[] = {"",    "-",   ".",   "e5", "1e", "1e+",
                                        "1,5", "nan", "--1", "1 ", "in"};
    double got;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int is_read = mb_number_read(strlen(cases[i].text), cases[i].text, &got);
        check(is_read, cases[i].text, (double)i, 0, 1);
        check_close(cases[i].text, (double)i, got, cases[i].value, 1e-15);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        check(!mb_number_read(strlen(wrong[i]), wrong[i], &got), wrong[i], (double)i, 1, 0);
    }
    static const char *const same[] = {"0",         "-1",        "-99",           "-4.3874526",
                                       "-0.301",    "-0.000012", "-1.2345678e-7", "0.5",
                                       "123456789", "-1e-12",    "1200",          "-0.999999999"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        char text[MB_NUMBER_ROOM + 1] = {0};
        check(mb_number_read(strlen(same[i]), same[i], &got), same[i], (double)i, 0, 1);
        size_t n = mb_number_write(got, text);
        check(n == strlen(same[i]) && memcmp(text, same[i], n) == 0, same[i], (double)i, got, 0);
    }
    for (int i = 0; i < 20000; i++) {
        char text[MB_NUMBER_ROOM];
        double x = (uniform() - 0.5) * exp(60.0 * (uniform() - 0.5));
        check(mb_number_read(mb_number_write(x, text), text, &got), "written", x, 0, 1);
        check_close("written and read", x, got, x, 5.1e-9);
    }
    char text[MB_NUMBER_ROOM];
    check(mb_number_write(1e-30, text) == 1 && mb_number_write(1e30, text) == 23, "ends", 0, 0, 0);
    check(mb_number_write(9999999999.0, text) == 11, "rounded up", 0, 0, 0);
}

static const char model[] = "\xEF\xBB\xBF# of a test\r\n\r\n\\data\\\r\n"
                            "ngram 1=4\nngram 2 = 3\nngram 3=1\n\n"
                            "\\1-grams:\n-99\t<s>\t-0.5\n-1 a -0.25\r\n\n-0.5\tb\t0\n-2  </s>\n\n"
                            "\\2-grams:\n-0.25\t<s> a\t-1\n-0.5\ta b\n-0.125\tb </s>\n"
                            "\\3-grams:\n0\t<s> a b\t0\n\n\\end\\\n\n";

/* Reads all of a text; the fault's line where it is refused, else 0. */
static size_t
faulty_line(size_t n, const char *text, mb_status *status)
{
    mb_arpa *arpa = NULL;
    mb_arpa_fault fault = {0};
    uint32_t before[16], words[16];
    double probs[16], backs[16];
    *status = mb_arpa_new(n, text, NULL, &fault, &arpa);
    for (size_t k = 1; *status == MB_OK && k <= mb_arpa_order(arpa); k++) {
        *status = mb_arpa_size(arpa, k) > 16
                      ? MB_RANGE
                      : mb_arpa_read(arpa, NULL, &fault, before, words, probs, backs);
    }
    if (*status == MB_OK) {
        *status = mb_arpa_finish(arpa, NULL, &fault);
    }
    mb_arpa_free(arpa);
    check(*status != MB_INVALID || (fault.why != NULL && fault.start + fault.length <= n),
          "a fault is a piece of the text", 0, (double)fault.start, (double)n);
    return *status == MB_INVALID ? fault.line : 0;
}

static void
test_reading(void)
{
    mb_arpa *arpa = NULL;
    mb_arpa_fault fault;
    uint32_t before[4], words[4];
    double probs[4], backs[4];
    size_t start, length;
    check(mb_arpa_new(sizeof model - 1, model, NULL, &fault, &arpa) == MB_OK, "counts", 0, 1, 0);
    check(mb_arpa_order(arpa) == 3 && mb_arpa_size(arpa, 2) == 3, "sizes", 0, 0, 0);
    check(mb_arpa_read(arpa, NULL, &fault, before, words, probs, backs) == MB_OK, "words", 0, 1, 0);
    check(probs[3] == -2.0 && backs[1] == -0.25 && backs[3] == 0.0, "numbers", 0, probs[3], -2.0);
    mb_arpa_word(arpa, 3, &start, &length);
    check(length == 4 && memcmp(model + start, "</s>", 4) == 0, "a word", 0, (double)length, 4);
    check(mb_arpa_read(arpa, NULL, &fault, before, words, probs, backs) == MB_OK, "pairs", 0, 1, 0);
    check(before[1] == 1 && words[1] == 2 && before[2] == 2 && words[2] == 3, "a pair", 0, 0, 0);
    check(mb_arpa_read(arpa, NULL, &fault, before, words, probs, backs) == MB_OK, "three", 0, 1, 0);
    check(before[0] == 0 && words[0] == 2 && probs[0] == 0.0, "three words", 0, before[0], 0);
    check(mb_arpa_finish(arpa, NULL, &fault) == MB_OK, "the end", 0, 1, 0);
    mb_arpa_free(arpa);
}

static void
test_refusals(void)
{
    static const struct {
        const char *text;
        size_t line;
    } cases[] = {
        {"", 0},
        {"mmap lm http://kheafield.com/code\n", 1},
        {"\\data\\\n", 1},
        {"\\data\\\n\\1-grams:\n", 1},
        {"\\data\\\nngram 1\n", 2},
        {"\\data\\\nngram 2=1\n\\", 2},
        {"\\data\\\nngram 1=99999999999999999999\n\\", 2},
        {"\\data\\\nngram 1=17\n\\1-grams:\n", 2},
        {"\\data\\\nngram 1=1\n\\2-grams:\n-1 a\n\\end\\\n", 3},
        {"\\data\\\nngram 1=1\n\n\n\n\n", 6},
        {"\\data\\\nngram 1=1\n\\1-grams:\nx a\n\\end\\\n", 4},
        {"\\data\\\nngram 1=1\n\\1-grams:\n0.1 a\n\\end\\\n", 4},
        {"\\data\\\nngram 1=1\n\\1-grams:\n-1 a inf\n\\end\\\n", 4},
        {"\\data\\\nngram 1=1\n\\1-grams:\n-1 a 0.5\n\\end\\\n", 4},
        {"\\data\\\nngram 1=1\n\\1-grams:\n-1\n\\end\\\n", 4},
        {"\\data\\\nngram 1=1\n\\1-grams:\n-1 a 0 0\n\\end\\\n", 4},
        {"\\data\\\nngram 1=2\n\\1-grams:\n-1 a\n\\end\\\n", 5},
        {"\\data\\\nngram 1=1\n\\1-grams:\n-1 a\n-1 b\n\\end\\\n", 5},
        {"\\data\\\nngram 1=2\n\\1-grams:\n-1 a\n-1 a\n\\end\\\n", 5},
        {"\\data\\\nngram 1=1\n\\1-grams:\n-1 a\n", 4},
        {"\\data\\\nngram 1=1\n\\1-grams:\n-1 a\n\\End\\\n", 5},
        {"\\data\\\nngram 1=1\n\\1-grams:\n-1 a\n\\end\\\n.\n", 6},
        {"\\data\\\nngram 1=1\nngram 2=1\n\\1-grams:\n-1 a\n\\2-grams:\n-1 a b\n\\end\\\n", 7},
        {"\\data\\\nngram 1=1\nngram 2=2\n\\1-grams:\n-1 a\n\\2-grams:\n-1 a a\n-1 a a\n", 8},
        {"\\data\\\nngram 1=1\nngram 2=0\nngram 3=1\n\\1-grams:\n-1 a\n\\3-grams:\n-1 a a a\n", 8},
    };
    mb_status status;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t line = faulty_line(strlen(cases[i].text), cases[i].text, &status);
        check(status == MB_INVALID && line == cases[i].line, cases[i].text, (double)i, (double)line,
              (double)cases[i].line);
    }
    char text[sizeof model];
    for (size_t i = 0; i < sizeof model; i++) { /* cut anywhere */
        faulty_line(i, model, &status);
        check((status == MB_OK) == (i + 3 >= sizeof model), "cut", (double)i, status, 0);
    }
    for (int i = 0; i < 20000; i++) { /* some characters are others */
        memcpy(text, model, sizeof model);
        size_t many = 1 + (size_t)(uniform() * 4.0);
        for (size_t j = 0; j < many; j++) {
            text[(size_t)(uniform() * (double)(sizeof model - 1))] =
                model[(size_t)(uniform() * (double)(sizeof model - 1))];
        }
        faulty_line(sizeof model - 1, text, &status);
    }
}

static void
test_memory(void)
{
    mb_status status = MB_NOMEM;
    for (int i = 0; status == MB_NOMEM && i < 100; i++) {
        fail_request(i);
        faulty_line(sizeof model - 1, model, &status);
        fail_request(-1);
        check(status == MB_OK || status == MB_NOMEM, "short memory", i, status, MB_NOMEM);
    }
    check(status == MB_OK, "enough memory", 0, status, MB_OK);
}

static void
test_writing(void)
{
    const int64_t words[] = {0, 1, 1, 0}, ends[] = {1, 4}, back[] = {4, 1}, far[] = {1, 9};
    const double probs[] = {-0.5, -1.0}, backs[] = {0.0, -0.25};
    mb_arpa_grams grams = {2, 2, 2, words, probs, backs, ends, "abcd", 4};
    char text[256];
    size_t room = 0, n = 0;
    static const char wanted[] = "-0.5\ta bcd\t0\n-1\tbcd a\t-0.25\n";
    check(mb_arpa_room(&grams, NULL, &room) == MB_OK && room <= sizeof text, "room", 0, 0, 0);
    check(mb_arpa_write(&grams, NULL, room, text, &n) == MB_OK, "writing", 0, 1, 0);
    check(n == strlen(wanted) && memcmp(text, wanted, n) == 0, "lines", 0, (double)n, 0);
    check(mb_arpa_write(&grams, NULL, 20, text, &n) == MB_RANGE, "no room", 0, 0, MB_RANGE);
    check(mb_arpa_write(&grams, NULL, 70, text, &n) == MB_RANGE, "less room", 0, 0, MB_RANGE);
    grams.backs = NULL;
    check(mb_arpa_write(&grams, NULL, room, text, &n) == MB_OK && n == 20, "bare", 0, (double)n,
          20);
    grams.n_words = 1;
    check(mb_arpa_room(&grams, NULL, &room) == MB_INVALID, "a word", 0, 0, MB_INVALID);
    check(mb_arpa_write(&grams, NULL, 256, text, &n) == MB_INVALID, "a word", 0, 0, MB_INVALID);
    grams.n_words = 2;
    grams.ends = back;
    check(mb_arpa_room(&grams, NULL, &room) == MB_INVALID, "an end", 0, 0, MB_INVALID);
    grams.ends = far;
    check(mb_arpa_room(&grams, NULL, &room) == MB_INVALID, "an end", 1, 0, MB_INVALID);
    enum { MANY = 5, LONG = 100 };
    static const int64_t same[MANY] = {0}, longest[] = {INT64_MAX};
    static const char name[LONG];
    const int64_t end = LONG;
    const mb_arpa_grams named = {1, 1, 1, same, probs, NULL, &end, name, LONG};
    check(mb_arpa_write(&named, NULL, LONG, text, &n) == MB_RANGE, "a name", 0, 0, MB_RANGE);
    const mb_arpa_grams long_ones = {MANY, 1, 1, same, probs, NULL, longest, NULL, INT64_MAX};
    check(mb_arpa_room(&long_ones, NULL, &room) == MB_NOMEM, "no number", 0, 0, MB_NOMEM);
}

/* SipHash-1-3 as CPython computes it, and words that meet under one key and not under another. */
static void
test_hash(void)
{
    enum { MANY = 1 << 8, SLOTS = 1 << 10 };
    static const uint64_t wanted[] = {UINT64_C(0xABAC0158050FC4DC), UINT64_C(0xC9F49BF37D57CA93),
                                      UINT64_C(0x82CB9B024DC7D44D), UINT64_C(0x8BF80AB8E7DDF7FB)};
    mb_hash_key key = {{UINT64_C(0x0706050403020100), UINT64_C(0x0F0E0D0C0B0A0908)}};
    char bytes[16];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char)i;
    }
    for (size_t n = 0; n < sizeof wanted / sizeof *wanted; n++) {
        check(mb_hash(key, n, bytes) == wanted[n], "a hash", (double)n, 0, 0);
    }
    unsigned char used[SLOTS] = {0};
    size_t many = 0, different = 0;
    for (uint64_t word = 0; many < MANY; word++) {
        if (mb_hash((mb_hash_key){{0, 0}}, sizeof word, (const char *)&word) % SLOTS == 0) {
            size_t slot = mb_hash(key, sizeof word, (const char *)&word) % SLOTS;
            many++;
            different += !used[slot];
            used[slot] = 1;
        }
    }
    check(different > MANY * 3 / 4, "words of one slot", 0, (double)different, MANY);
}

static int
stop_at_once(void *state)
{
    (void)state;
    return 1;
}

/* What is no model may be one line, however long; it is stopped nevertheless. */
static void
test_long_lines(void)
{
    enum { LONG = 1 << 23 };
    static char text[LONG];
    mb_arpa *arpa = NULL;
    mb_arpa_fault fault;
    mb_interrupt interrupt = {stop_at_once, NULL, 0};
    memset(text, 'x', sizeof text);
    mb_status status = mb_arpa_new(sizeof text, text, &interrupt, &fault, &arpa);
    check(status == MB_STOPPED, "a long line", 0, status, MB_STOPPED);
}

int
main(void)
{
    test_numbers();
    test_hash();
    test_reading();
    test_long_lines();
    test_refusals();
    test_memory();
    test_writing();
    return report();
}
