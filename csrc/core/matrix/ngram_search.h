/* Search of a run for many keys at once. */
#ifndef MB_NGRAM_SEARCH_H
#define MB_NGRAM_SEARCH_H

#include "core/matrix/ngram_run.h"

enum { MB_SEARCHES = 64 /* keys of one search at most */ };

/* For each of keys [many][n_words], mixed, the first place of the run whose key does not stand
 * before it; run->n if there is none.  The run is not empty. */
void mb_run_search(const mb_key_layout *layout, const mb_run *run, size_t many,
                   const uint64_t *keys, size_t *places);

#endif
