/* Counting of equal keys: the buckets of a partition are sorted. */
#ifndef MB_NGRAM_SORT_H
#define MB_NGRAM_SORT_H

#include "core/matrix/ngram_partition.h"
#include "core/matrix/ngram_run.h"

/* The run of the different keys of a partition and of how often each was seen, `total` times together.
 * MB_INVALID where other elements were scattered than the histogram has.  The elements are used up. */
mb_status mb_partition_count(mb_partition *p, uint64_t total, mb_interrupt *interrupt,
                             mb_run **out);

#endif
