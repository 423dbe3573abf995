/* Checks of core/base: the allocator's contract, products that overflow, sums against long double,
 * and when work asks whether it shall stop. */
#include "core/base/exact_sum.h"
#include "core/base/mem.h"
#include "core/base/status.h"
#include "core/base/sums.h"
#include "test/check.h"
#include "test/failing_mem.h"

#include <float.h>
#include <stdalign.h>

static void
test_allocator(void)
{
    for (size_t size = 1; size < 100; size++) {
        unsigned char *bytes = mb_calloc(3, size), any = 0;
        check(bytes != NULL && (uintptr_t)bytes % alignof(max_align_t) == 0, "address",
              (double)size, 0, 0);
        for (size_t i = 0; bytes != NULL && i < 3 * size; i++) {
            any |= bytes[i];
            bytes[i] = (unsigned char)i;
        }
        check(any == 0, "zeroed", (double)size, any, 0);
        bytes = bytes == NULL ? NULL : mb_shrink(bytes, 2, size);
        for (size_t i = 0; bytes != NULL && i < 2 * size; i++) {
            check(bytes[i] == (unsigned char)i, "kept", (double)i, bytes[i], (double)i);
        }
        mb_free(bytes);
    }
    void *empty = mb_calloc(0, 8), *nothing = mb_calloc(8, 0);
    check(empty != NULL && nothing != NULL, "a zero request", 0, 0, 0);
    empty = empty == NULL ? NULL : mb_shrink(empty, 0, 8);
    check(empty != NULL, "shrunk to nothing", 0, 0, 0);
    mb_free(empty);
    mb_free(nothing);
    mb_free(NULL);
    check(mb_calloc(SIZE_MAX / 2, 3) == NULL, "a request that overflows", 0, 0, 0);
}

static void
test_failing_request(void)
{
    fail_request(2);
    void *first = mb_calloc(1, 1), *second = mb_calloc(1, 1);
    check(first != NULL && second != NULL, "requests before", 2, 0, 0);
    check(mb_calloc(1, 1) == NULL && mb_calloc(1, 1) == NULL, "requests after", 2, 0, 0);
    fail_request(-1);
    void *third = mb_calloc(1, 1);
    check(third != NULL, "a request that may succeed again", 0, 0, 0);
    mb_free(first);
    mb_free(second);
    mb_free(third);
}

static void
test_products(void)
{
    const size_t factors[] = {0, 1, 2, 3, 1000, SIZE_MAX / 3, SIZE_MAX / 2, SIZE_MAX - 1, SIZE_MAX};
    const size_t n = sizeof factors / sizeof factors[0];
    for (size_t i = 0; i < n * n; i++) {
        size_t a = factors[i / n], b = factors[i % n], product = 7;
        int fits = b == 0 || a <= SIZE_MAX / b;
        check(mb_multiply(a, b, &product) == fits, "product", (double)a, (double)b, fits);
        check(!fits || product == a * b, "product", (double)a, (double)product, (double)(a * b));
    }
}

static void
test_exact_sums(void)
{
    const double lost[] = {1.0, 1e100, 1.0, -1e100}, halves[] = {0x1p53, 0.5, 0.5};
    check(mb_exact_total(4, lost) == 2.0, "what cancels", 4, mb_exact_total(4, lost), 2.0);
    check(mb_exact_total(3, halves) == 0x1p53 + 1.0, "small ones", 3, mb_exact_total(3, halves), 0);
    check(mb_exact_total(0, lost) == 0.0, "none", 0, mb_exact_total(0, lost), 0.0);
    long double slow = 0.0L;
    mb_exact_sum sum = {0.0, 0.0};
    for (size_t i = 0; i < 100000; i++) {
        double x = (uniform() - 0.5) * exp(20.0 * uniform());
        slow += (long double)x;
        mb_exact_add(&sum, x);
    }
    check_close("a long sum", 0, mb_exact_value(sum), (double)slow, 4 * DBL_EPSILON);
}

static void
test_sums(void)
{
    double x[100] = {0}, y[100] = {0};
    for (size_t n = 0; n < 100; n++) {
        long double sum = 0.0L, dot = 0.0L;
        double in_order = 0.0;
        for (size_t i = 0; i < n; i++) {
            x[i] = uniform() + 0.1;
            y[i] = uniform() + 0.1;
            sum += (long double)x[i];
            dot += (long double)x[i] * (long double)y[i];
            in_order += x[i];
        }
        check_close("sum", (double)n, mb_sum(n, x), (double)sum, 20 * DBL_EPSILON);
        check_close("dot", (double)n, mb_dot(n, x, y), (double)dot, 20 * DBL_EPSILON);
        check_near("sum in order", (double)n, mb_sum_in_order(n, x), in_order, 0.0);
    }
}

static int
stop_at_the_third(void *state)
{
    return ++*(int *)state == 3;
}

static void
test_questions(void)
{
    int asked = 0;
    mb_interrupt interrupt = {stop_at_the_third, &asked, 0};
    check(mb_ask(NULL, SIZE_MAX) == MB_OK, "never stopped", 0, 0, 0);
    for (int i = 0; i < 3; i++) {
        mb_status status = mb_ask(&interrupt, MB_PATIENCE - 1);
        check(status == MB_OK && asked == i, "little work", i, asked, i);
        status = mb_ask(&interrupt, 1);
        check(status == (i < 2 ? MB_OK : MB_STOPPED) && asked == i + 1, "enough", i, asked, i + 1);
        check(interrupt.since == 0, "since", i, (double)interrupt.since, 0);
    }
}

int
main(void)
{
    test_allocator();
    test_failing_request();
    test_products();
    test_exact_sums();
    test_sums();
    test_questions();
    return report();
}
