/* The allocator of the C library: libc's.  A program that defines these three functions itself has
 * its own; the linker then leaves this file out. */
#include "core/base/mem.h"

#include <stdlib.h>

void *
mb_calloc(size_t count, size_t size)
{
    return calloc(count ? count : 1, size ? size : 1);
}

void *
mb_shrink(void *memory, size_t count, size_t size)
{
    void *smaller = realloc(memory, count * size > 0 ? count * size : 1);
    if (smaller == NULL) {
        return memory;
    }
    return smaller;
}

void
mb_free(void *memory)
{
    free(memory);
}
