/* Control of the C tests' allocator. */
#ifndef MB_MEM_LIBC_H
#define MB_MEM_LIBC_H

/* Lets n further requests succeed and every later one fail; n < 0 ends that. */
void mb_fail_request(long n);

#endif
