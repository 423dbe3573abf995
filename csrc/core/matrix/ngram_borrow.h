/* Runs over arrays of others, a mapped file's perhaps; and whether they are as a run's own. */
#ifndef MB_NGRAM_BORROW_H
#define MB_NGRAM_BORROW_H

#include "core/matrix/ngram_run.h"

/* A run of what `arrays` says: n, n_large and the arrays, of the sizes that ngram_run.h gives.  They
 * are read only, and only until release(owner), in any thread that ends the run's last use. */
mb_status mb_run_borrow(const mb_key_layout *layout, const mb_run *arrays,
                        void (*release)(void *owner), void *owner, mb_run **out);

/* An array that is not what a run would have, and the first place where: of what is in order up to
 * there. */
typedef enum {
    MB_FAULT_ORDER,   /* keys: does not stand behind the one before */
    MB_FAULT_TOKEN,   /* keys: has a token >= n_tokens */
    MB_FAULT_PADDING, /* keys: does not end with zeros */
    MB_FAULT_COUNTS,  /* is 0 */
    MB_FAULT_LARGE_AT,
    MB_FAULT_LARGE, /* is no large count, or its place is not in large_at */
    MB_FAULT_INDEX,
    MB_FAULT_SUMS,
    MB_FAULT_TOTAL /* the sum of all counts passes 2^64 - 1 */
} mb_run_error;

typedef struct {
    mb_run_error error;
    size_t place;
} mb_run_fault;

/* MB_INVALID with *fault unless a run is what the core would have made of its keys and counts, of
 * n_tokens in contexts and n_after of them after one.  One pass. */
mb_status mb_run_check(const mb_key_layout *layout, uint64_t n_tokens, uint64_t n_after,
                       const mb_run *run, mb_interrupt *interrupt, mb_run_fault *fault);

#endif
