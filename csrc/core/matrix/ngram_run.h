/* A run: different keys (ngram_keys.h) in order, how often each was seen, an index of the keys and
 * running sums of the counts.  It never changes, so that several counts can share it.
 *
 * A key of one word takes 8 bytes, its count 4, the index at most 1 and the sums 1/8; a count that
 * needs more than 32 bits stands in full in a list of its own. */
#ifndef MB_NGRAM_RUN_H
#define MB_NGRAM_RUN_H

#include "core/matrix/ngram_keys.h"

enum { MB_SUM_BLOCK = 64 /* pairs to one running sum */ };

/* Its arrays may be another's (ngram_borrow.h), who may have filled them with any numbers, or
 * change them at any time.  Whoever reads them therefore takes each number once, and addresses
 * memory by none that was not brought into its range before: answers may be wrong then, no more. */
typedef struct {
    size_t n_users;               /* references, changed by atomic operations only */
    void (*release)(void *owner); /* ends the loan of all arrays; NULL where they are its own */
    void *owner;
    size_t n, n_large;
    size_t room_large;  /* while it is made */
    uint64_t total;     /* of the counts */
    uint64_t *keys;     /* [n][n_words], mixed, rising */
    uint32_t *counts;   /* [n], UINT32_MAX for a large one */
    uint64_t *large_at; /* [n_large], which counts are large, rising */
    uint64_t *large;    /* [n_large] */
    unsigned index_bits;
    uint64_t *index; /* [mb_run_index_size()], the first key of those that begin with these bits */
    uint64_t *sums;  /* [mb_run_sums_size()], of the counts before every MB_SUM_BLOCK-th */
} mb_run;

/* How many of the first bits of a key the index of n keys tells apart, and its entries: one for
 * each number of these bits, and n. */
unsigned mb_run_index_bits(const mb_key_layout *layout, size_t n);

static inline size_t
mb_run_index_size(const mb_key_layout *layout, size_t n)
{
    return ((size_t)1 << mb_run_index_bits(layout, n)) + 1;
}

static inline size_t
mb_run_sums_size(size_t n)
{
    return n / MB_SUM_BLOCK + 1;
}

/* Begins a run of n pairs at most whose counts have this total, below 2^64; with these keys, taken
 * in any case, or with room for them where they are NULL.  NULL where memory is short. */
mb_run *mb_run_begin(const mb_key_layout *layout, size_t n, uint64_t total, uint64_t *keys);

/* Appends the count, > 0, of the key that stands at place n. */
static inline void
mb_run_append_count(mb_run *run, uint64_t count)
{
    if (count >= UINT32_MAX) {
        if (run->n_large < run->room_large) {
            run->large_at[run->n_large] = run->n;
            run->large[run->n_large++] = count;
            count = UINT32_MAX;
        } else {
            count = UINT32_MAX - 1; /* the total was a lie */
        }
    }
    run->counts[run->n++] = (uint32_t)count;
}

/* Gives a run that has all its pairs, in order, to the caller; ends it unless `status`, of all
 * that was done, is MB_OK, and where this fails. */
mb_status mb_run_finish(const mb_key_layout *layout, mb_status status, mb_run *run,
                        mb_interrupt *interrupt, mb_run **out);

/* The same run, for one more user; mb_run_free() ends it for one of them, in any thread. */
mb_run *mb_run_share(mb_run *run);
void mb_run_free(mb_run *run);

/* The run of all keys of both, equal ones added; their total is below 2^64.  Costs a pass over
 * both. */
mb_status mb_run_merge(const mb_key_layout *layout, const mb_run *a, const mb_run *b,
                       mb_interrupt *interrupt, mb_run **out);

/* A pair of which less was counted than is to be taken away. */
typedef struct {
    uint64_t key[MB_MAX_WORDS];
    uint64_t counted, taken;
} mb_pair_fault;

/* The run of a without what b holds; no pair is left whose count is then 0.  MB_INVALID with *fault
 * where a holds less of a pair.  Costs a pass over both. */
mb_status mb_run_subtract(const mb_key_layout *layout, const mb_run *a, const mb_run *b,
                          mb_interrupt *interrupt, mb_run **out, mb_pair_fault *fault);

/* The run whose counts are `factor` > 0 times those; their total is below 2^64. */
mb_status mb_run_multiply(const mb_key_layout *layout, const mb_run *run, uint64_t factor,
                          mb_interrupt *interrupt, mb_run **out);

uint64_t mb_run_large(const mb_run *run, size_t place);

/* The count at a place. */
static inline uint64_t
mb_run_count(const mb_run *run, size_t place)
{
    uint32_t count = run->counts[place];
    return count == UINT32_MAX ? mb_run_large(run, place) : count;
}

/* The sum of the counts at places low <= place < high, both n at most. */
uint64_t mb_run_sum(const mb_run *run, size_t low, size_t high);

/* Asks the memory for what that sum begins with. */
static inline void
mb_run_prefetch_sum(const mb_run *run, size_t low, size_t high)
{
    __builtin_prefetch(run->counts + low);
    __builtin_prefetch(run->counts + high);
    __builtin_prefetch(run->sums + low / MB_SUM_BLOCK);
    __builtin_prefetch(run->sums + high / MB_SUM_BLOCK);
}

/* The bytes it takes. */
size_t mb_run_bytes(const mb_key_layout *layout, const mb_run *run);

#endif
