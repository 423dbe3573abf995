/* The drivers' allocator: libc's, with an n-th request that fails. */
#ifndef FAILING_MEM_H
#define FAILING_MEM_H

/* Lets n further requests succeed and every later one fail; n < 0 ends that. */
void fail_request(long n);

#endif
