/* What the drivers count and say; each is a program of its own and ends with report(). */
#ifndef CHECK_H
#define CHECK_H

#include "core/base/status.h"

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

/* Questions that are answered by no, so many of them, however little was done since the last one. */
typedef struct {
    size_t left;
    mb_interrupt interrupt;
} questions;

static inline int
stop_at_last(void *state)
{
    questions *ask = state;
    ask->interrupt.since = MB_PATIENCE;
    return ask->left-- == 0;
}

/* Whether a call stops at each of its questions, and ends well where it has no more. */
static inline int
stops_at_each(mb_status (*call)(mb_interrupt *interrupt), size_t most)
{
    mb_status status = MB_STOPPED;
    for (size_t left = 0; status == MB_STOPPED && left < most; left++) {
        questions ask = {left, {stop_at_last, &ask, MB_PATIENCE}};
        status = call(&ask.interrupt);
    }
    return status == MB_OK;
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
