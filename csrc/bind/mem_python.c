/* The core's allocator in the extension: Python's raw one, so that tracemalloc
 * sees it and failures can be injected; it needs no GIL.
 *
 * Every CPython since 3.5 has it, but the stable ABI only since 3.13: an extension for 3.11 may not
 * be linked with it.  So it is looked for when the module is loaded, and the C library's serves
 * where it is not found. */
#include "bind/bind.h"
#include "core/base/mem.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>

#ifdef __linux__
#include <sys/mman.h>
#endif

/* Set once, before there is an object of the core. */
static struct {
    void *(*calloc)(size_t count, size_t size);
    void *(*realloc)(void *memory, size_t size);
    void (*free)(void *memory);
} allocator = {calloc, realloc, free};

void
mb_find_allocator(void)
{
    void *found[] = {dlsym(RTLD_DEFAULT, "PyMem_RawCalloc"),
                     dlsym(RTLD_DEFAULT, "PyMem_RawRealloc"), dlsym(RTLD_DEFAULT, "PyMem_RawFree")};
    int all = (found[0] != NULL) & (found[1] != NULL) & (found[2] != NULL);
    if (all) {
        /* how POSIX makes functions of what dlsym() answers */
        *(void **)&allocator.calloc = found[0];
        *(void **)&allocator.realloc = found[1];
        *(void **)&allocator.free = found[2];
    }
}

/* Asks for huge pages under a large block, as NumPy does for its arrays: the system then maps
 * 2 MiB at a time, not 4 KiB, which is most of the price of fresh memory.  Only a wish. */
static void *
wish_for_huge_pages(void *memory, size_t n_bytes)
{
#ifdef MADV_HUGEPAGE
    const size_t page = (size_t)1 << 21;
    if (memory != NULL && n_bytes >= 2 * page) {
        size_t skip = (0 - (uintptr_t)memory) & (page - 1);
        (void)madvise((char *)memory + skip, (n_bytes - skip) & ~(page - 1), MADV_HUGEPAGE);
    }
#else
    (void)n_bytes;
#endif
    return memory;
}

void *
mb_calloc(size_t count, size_t size)
{
    /* at least a byte: NULL would mean that there is no memory */
    return wish_for_huge_pages(allocator.calloc(count + !count, size + !size), count * size);
}

void *
mb_shrink(void *memory, size_t count, size_t size)
{
    size_t n_bytes = count * size;
    void *smaller = allocator.realloc(memory, n_bytes + !n_bytes);
    return smaller == NULL ? memory : smaller;
}

void
mb_free(void *memory)
{
    allocator.free(memory);
}
