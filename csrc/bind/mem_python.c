/* The core's allocator in the extension: Python's raw one, so that tracemalloc
 * sees it and failures can be injected; it needs no GIL. */
#include "bind.h"
#include "core/mem.h"

/* In every Python 3.5 and later, but named by the limited API only from 3.13 on. */
#if defined(Py_LIMITED_API) && Py_LIMITED_API < 0x030D0000
extern void *PyMem_RawCalloc(size_t count, size_t size);
extern void *PyMem_RawRealloc(void *memory, size_t size);
extern void PyMem_RawFree(void *memory);
#endif

void *
mb_calloc(size_t count, size_t size)
{
    return PyMem_RawCalloc(count, size);
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
