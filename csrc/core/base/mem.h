/* The one allocator of the core, chosen when linking: libc for the C library (mem_libc.c), one that
 * fails for its drivers (test/failing_mem.c), PyMem_Raw for the extension (bind/mem_python.c). */
#ifndef MB_MEM_H
#define MB_MEM_H

#include <stddef.h>

/* `count` zeroed objects of `size` bytes, aligned for any type; NULL where
 * count * size overflows or memory is short.  A zero request is not NULL. */
void *mb_calloc(size_t count, size_t size);

/* The same memory cut to its first count * size bytes, perhaps elsewhere; never NULL. */
void *mb_shrink(void *memory, size_t count, size_t size);

/* Ends what mb_calloc() gave; NULL is ignored. */
void mb_free(void *memory);

/* a * b into *product; 0 where it overflows. */
static inline int
mb_multiply(size_t a, size_t b, size_t *product)
{
    return !__builtin_mul_overflow(a, b, product);
}

#endif
