/* What the drivers count and say; each is a program of its own and ends with report(). */
#ifndef CHECK_H
#define CHECK_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>

static int failures;

static inline void
check(int holds, const char *what, double at, double got, double wanted)
{
    if (!holds && failures++ < 20) {
        (void)fprintf(stderr, "%s at %.17g: %.17g, not %.17g\n", what, at, got, wanted);
    }
}

/* Off by no more than that. */
static inline void
check_near(const char *what, double at, double got, double wanted, double tolerance)
{
    int same = got == wanted || fabs(got - wanted) <= tolerance;

    check(same, what, at, got, wanted);
}

/* Off by no more than that part of it. */
static inline void
check_close(const char *what, double at, double got, double wanted, double tolerance)
{
    check_near(what, at, got, wanted, tolerance * fabs(wanted));
}

/* Numbers in [0, 1), the same in each run. */
static inline double
uniform(void)
{
    static uint64_t state = 1;

    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 11) * 0x1p-53;
}

static inline int
report(void)
{
    if (failures > 0) {
        (void)fprintf(stderr, "%d checks failed\n", failures);
    }
    return failures > 0;
}

#endif
