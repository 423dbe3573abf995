#include "test/failing_mem.h"

#include "core/base/mem.h"

#include <stdlib.h>

static long requests_left = -1;

void
fail_request(long n)
{
    requests_left = n;
}

void *
mb_calloc(size_t count, size_t size)
{
    if (requests_left == 0) {
        return NULL;
    }
    requests_left -= requests_left > 0;
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
