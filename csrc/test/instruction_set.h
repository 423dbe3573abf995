/* Put before a file of the core by -include, so that CHOOSE takes no better instruction set than the
 * environment's MB_INSTRUCTION_SET, one of any, avx2 and avx512f; without it, the best there is. */
#ifndef MB_TEST_INSTRUCTION_SET_H
#define MB_TEST_INSTRUCTION_SET_H

#include <stdlib.h>
#include <string.h>

static inline int
set_is_allowed(const char *set)
{
    const char *best = getenv("MB_INSTRUCTION_SET");

    return best == NULL || strcmp(best, "avx512f") == 0 ||
           (strcmp(best, "avx2") == 0 && strcmp(set, "avx512f") != 0);
}

#define __builtin_cpu_supports(set) (set_is_allowed(set) && __builtin_cpu_supports(set))

#endif
