/* What targets of libFuzzer share: numbers out of the bytes of an input, and what must hold of them.
 *
 * A target is a file fuzz_*.c.  What it takes is in arrays of exactly their size, so that a sanitizer
 * sees whoever reads behind them; what comes out is compared with slow code of the target's own. */
#ifndef PROVIDER_H
#define PROVIDER_H

#include "core/base/mem.h"
#include "core/base/status.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The target; it returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the program where something does not hold: what the engine calls a crash. */
#define HOLDS(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);          \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* What is left of an input; zeros behind its end. */
typedef struct {
    const uint8_t *data;
    size_t n;
} provider;

static inline uint64_t
take_bits(provider *from, size_t n_bytes)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < n_bytes && from->n > 0; i++, from->n--) {
        bits |= (uint64_t)*from->data++ << 8 * i;
    }
    return bits;
}

/* A size from low up to high, which is at most 65,535 more. */
static inline size_t
take_size(provider *from, size_t low, size_t high)
{
    size_t many = high - low + 1;
    size_t bits = (size_t)take_bits(from, many <= 256 ? 1 : 2);
    return many > 1 ? low + bits % many : low;
}

/* A number in [0, 1], of 16 bits. */
static inline double
take_part(provider *from)
{
    return (double)take_bits(from, 2) / 65535.0;
}

/* A number in [low, high], both above 0, as likely of any size. */
static inline double
take_scale(provider *from, double low, double high)
{
    double x = low * pow(high / low, take_part(from));
    return x < low ? low : x > high ? high : x;
}

/* A double: mostly an ordinary one, else one that code is wrong about, or any bits. */
static inline double
take_double(provider *from)
{
    static const double odd[] = {0.0,     -0.0,    1.0,        -1.0,       0.5,       0x1p-149,
                                 0x1p-24, 0x1p-14, 0x1p-1074,  0x1p-1022,  -0x1p-126, 65504.0,
                                 1e300,   -1e300,  0x1p128,    -0x1p1023,  1e-3,      -1e-3,
                                 88.7,    -745.2,  4294967295, 4294967296, 0x1p53,    9e15};
    size_t choice = take_size(from, 0, 63);
    double x;
    if (choice < sizeof odd / sizeof *odd) {
        return odd[choice];
    }
    if (choice < 28) {
        return choice == 24 ? (double)NAN : choice == 25 ? -(double)INFINITY : (double)INFINITY;
    }
    if (choice < 32) {
        uint64_t bits = take_bits(from, 8);
        memcpy(&x, &bits, sizeof x);
        return x;
    }
    return (choice < 40 ? 100.0 : 1.0) * (2.0 * take_part(from) - 1.0);
}

/* Memory of exactly that size; the caller frees it.  Of nothing, a byte that is not to be read. */
static inline void *
exactly(size_t n, size_t size)
{
    void *memory = calloc(n > 0 ? n : 1, size);
    HOLDS(memory != NULL);
    return memory;
}

/* Off by no more than that part of the wanted, or that much. */
static inline int
is_near(long double got, long double wanted, long double relative, long double absolute)
{
    return got == wanted || fabsl(got - wanted) <= relative * fabsl(wanted) + absolute;
}

#endif
