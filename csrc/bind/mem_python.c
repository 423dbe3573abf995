/* The core's allocator in the extension: Python's raw one, so that tracemalloc
 * sees it and failures can be injected; it needs no GIL. */
#include "bind.h"
#include "core/mem.h"

#include <stdint.h>

/* In every Python 3.5 and later, but named by the limited API only from 3.13 on. */
#if defined(Py_LIMITED_API) && Py_LIMITED_API < 0x030D0000
extern void *PyMem_RawCalloc(size_t count, size_t size);
extern void *PyMem_RawRealloc(void *memory, size_t size);
extern void PyMem_RawFree(void *memory);
#endif

#ifdef __linux__
#include <sys/mman.h>
#endif

/* Asks for huge pages under a large block, as NumPy does for its arrays: the system then maps
 * 2 MiB at a time, not 4 KiB, which is most of the price of fresh memory.  Only a wish. */
static void *
wish_for_huge_pages(void *memory, size_t n_bytes)
{
#ifdef MADV_HUGEPAGE
    const uintptr_t page = (uintptr_t)1 << 21;
    if (memory != NULL && n_bytes >= 2 * page) {
        uintptr_t start = ((uintptr_t)memory + page - 1) & ~(page - 1);
        uintptr_t end = ((uintptr_t)memory + n_bytes) & ~(page - 1);
        (void)madvise((void *)start, end - start, MADV_HUGEPAGE);
    }
#else
    (void)n_bytes;
#endif
    return memory;
}

void *
mb_calloc(size_t count, size_t size)
{
    return wish_for_huge_pages(PyMem_RawCalloc(count, size), count * size);
}

void *
mb_shrink(void *memory, size_t count, size_t size)
{
    void *smaller = PyMem_RawRealloc(memory, count * size);
    return smaller == NULL ? memory : smaller;
}

void
mb_free(void *memory)
{
    PyMem_RawFree(memory);
}
