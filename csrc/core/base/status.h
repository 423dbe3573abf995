/* What a function of the core can answer, and how the compiler is told what it needs. */
#ifndef MB_STATUS_H
#define MB_STATUS_H

#include <stddef.h>
#include <stdint.h>

/* A function that can fail returns mb_status; unless that is MB_OK, everything
 * the caller passed is as it was before the call.  mb_x_new() gives the caller
 * an object to end with mb_x_free(), which takes NULL.  Every other pointer is
 * borrowed for the length of the call.  Nothing is global: two calls may run at
 * once unless both are given the same object and one of them may change it. */
typedef enum { MB_OK = 0, MB_NOMEM, MB_INVALID, MB_RANGE, MB_NUMERIC, MB_STOPPED } mb_status;

/* How long work is stopped.  It says by mb_ask() what it has done, and a few milliseconds of work
 * apart that asks `stop`; where the answer is not 0 it ends with MB_STOPPED.  Results may then be
 * partly written; all else is as it was.  A function that takes one takes NULL, never to be stopped.
 * It belongs to one thread, and goes from call to call of what that does. */
typedef struct {
    int (*stop)(void *state);
    void *state;
    size_t since; /* work since the last question; 0 to begin with */
} mb_interrupt;

/* The work between two questions.  Its unit is a nanosecond of a slow machine, so that it is never
 * many milliseconds and may be few microseconds: `stop` answers quickly. */
#define MB_PATIENCE ((size_t)1 << 22)

/* Asks where that much more work has been enough; an addition otherwise. */
static inline mb_status
mb_ask(mb_interrupt *interrupt, size_t work)
{
    if (interrupt == NULL || (interrupt->since += work) < MB_PATIENCE) {
        return MB_OK;
    }
    interrupt->since = 0;
    return interrupt->stop(interrupt->state) ? MB_STOPPED : MB_OK;
}

/* Stands behind an array that loops fill before it is read, which analyzers cannot see where it is
 * filled lane by lane, or its size is told by one number and read by another: for them alone (gcc
 * -fanalyzer is told by -DMB_ANALYZED) zeros come first. */
#if defined(__clang_analyzer__) || defined(MB_ANALYZED)
#define MB_FILLED = {0}
#else
#define MB_FILLED
#endif

/* Leaves the calling function with the status of `call` unless it is MB_OK. */
#define MB_TRY(call)                                                                               \
    do {                                                                                           \
        mb_status mb_try_ = (call);                                                                \
        if (mb_try_ != MB_OK) {                                                                    \
            return mb_try_;                                                                        \
        }                                                                                          \
    } while (0)

/* A piece of a kernel: always part of its caller, so compiled for its target.  (Not where nothing
 * is optimized: a branch is then counted once, not in each caller that knows which way it goes.) */
#ifdef __OPTIMIZE__
#define MB_INLINE static inline __attribute__((always_inline))
#else
#define MB_INLINE static inline
#endif

/* Stands before a loop of few turns that has to go: before the loop around it becomes vectors, or
 * for its array to become registers. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

#endif
