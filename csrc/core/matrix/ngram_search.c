/* Binary searches in lockstep: all keys halve what is left to them, then all of them again.  A
 * single search waits for memory at every step; these ask for what the next step reads, and have
 * it when they come to it. */
#include "core/matrix/ngram_search.h"

/* Which entry of the index a key asks first. */
static inline size_t
index_entry(const mb_run *run, const uint64_t *key)
{
    return run->index_bits == 0 ? 0 : (size_t)(key[0] >> (64 - run->index_bits));
}

/* The keys that begin like this one: the first of them, and how many; where there are none, the
 * one behind (or the last of all). */
static inline size_t
begin_search(const mb_run *run, const uint64_t *key, size_t *many)
{
    const uint64_t *entry = run->index + index_entry(run, key);
    uint64_t first = __atomic_load_n(entry, __ATOMIC_RELAXED);
    uint64_t end = __atomic_load_n(entry + 1, __ATOMIC_RELAXED);
    size_t low = first < run->n ? (size_t)first : run->n - 1;
    size_t high = end < run->n ? (size_t)end : run->n;
    *many = high > low ? high - low : 1;
    return low;
}

MB_INLINE void
search(size_t n_words, const mb_run *run, size_t many, const uint64_t *keys, size_t *places)
{
    size_t left[MB_SEARCHES], most = 1;
    for (size_t i = 0; i < many; i++) {
        __builtin_prefetch(run->index + index_entry(run, keys + i * n_words));
    }
    for (size_t i = 0; i < many; i++) {
        places[i] = begin_search(run, keys + i * n_words, left + i);
        most = left[i] > most ? left[i] : most;
        __builtin_prefetch(run->keys + (places[i] + left[i] / 2) * n_words);
    }
    for (; most > 1; most -= most / 2) {
        for (size_t i = 0; i < many; i++) {
            size_t half = left[i] / 2; /* without branches: a guess is as often wrong as right */
            const uint64_t *middle = run->keys + (places[i] + half) * n_words;
            places[i] += half & -(size_t)mb_key_before(n_words, middle, keys + i * n_words);
            left[i] -= half;
            __builtin_prefetch(run->keys + (places[i] + left[i] / 2) * n_words);
        }
    }
    for (size_t i = 0; i < many; i++) {
        const uint64_t *found = run->keys + places[i] * n_words;
        places[i] += (size_t)mb_key_before(n_words, found, keys + i * n_words);
    }
}

void
mb_run_search(const mb_key_layout *layout, const mb_run *run, size_t many, const uint64_t *keys,
              size_t *places)
{
    switch (layout->n_words) {
    case 1:
        search(1, run, many, keys, places);
        break;
    case 2:
        search(2, run, many, keys, places);
        break;
    default:
        search(layout->n_words, run, many, keys, places);
    }
}
