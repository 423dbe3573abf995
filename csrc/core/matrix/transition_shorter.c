/* Transition counts: the types that shorter contexts count. */
#include "core/base/mem.h"
#include "core/matrix/ngram_search.h"
#include "core/matrix/ngram_sort.h"
#include "core/matrix/transitions.h"

enum { KEYS = MB_SEARCHES, COST = 64 /* nanoseconds of a key that is looked for in a run */ };

/* Pairs of a run, from one on, and the bits of those that pass. */
typedef struct {
    const mb_key_layout *layout, *shorter;
    const mb_run *run;
    size_t first, n;
    uint64_t *pass; /* [n / KEYS + 1] */
} pairs_to_shorten;

/* Sets the bits of the pairs that are not known. */
static mb_status
find_unknown(const pairs_to_shorten *p, const mb_transitions *known, mb_interrupt *interrupt)
{
    const size_t n_words = p->layout->n_words;
    for (size_t at = 0; at < p->n; at += KEYS) {
        uint64_t times[KEYS] = {0}, bits = 0;
        size_t many = p->n - at < KEYS ? p->n - at : KEYS;
        mb_key_counts(known, many, p->run->keys + (p->first + at) * n_words, times);
        for (size_t i = 0; i < many; i++) {
            bits |= (uint64_t)(times[i] == 0) << i;
        }
        p->pass[at / KEYS] = bits;
        MB_TRY(mb_ask(interrupt, COST * many * known->n_runs));
    }
    return MB_OK;
}

/* Passes the shortened keys to the partition: to its histogram, or to be scattered. */
MB_INLINE mb_status
pass_keys(const pairs_to_shorten *p, size_t n_words, size_t n_shorter, mb_partition *partition,
          mb_interrupt *interrupt)
{
    const uint64_t *keys = p->run->keys + p->first * n_words;
    for (size_t at = 0; at < p->n; at += KEYS) {
        uint64_t shorter[KEYS * MB_MAX_WORDS] MB_FILLED;
        size_t n = 0;
        for (uint64_t bits = p->pass[at / KEYS]; bits != 0; bits &= bits - 1) {
            size_t i = at + (size_t)__builtin_ctzll(bits);
            mb_key_shorten(p->layout, n_words, p->shorter, n_shorter, keys + i * n_words,
                           shorter + n++ * n_shorter);
        }
        if (partition->elements == NULL) {
            mb_partition_histogram(partition, n, shorter);
        } else {
            mb_partition_scatter(partition, n, shorter);
        }
        MB_TRY(mb_ask(interrupt, COST * (n + 1)));
    }
    return MB_OK;
}

static mb_status
pass_all(const pairs_to_shorten *p, mb_partition *partition, mb_interrupt *interrupt)
{
    size_t n_words = p->layout->n_words, n_shorter = p->shorter->n_words;
    if (n_words == 1) {
        return pass_keys(p, 1, 1, partition, interrupt);
    }
    if (n_words == 2) {
        return pass_keys(p, 2, n_shorter == 2 ? 2 : 1, partition, interrupt);
    }
    return pass_keys(p, n_words, n_shorter, partition, interrupt);
}

/* Adds the types of these pairs. */
static mb_status
add_types(const pairs_to_shorten *p, mb_partition *partition, mb_interrupt *interrupt,
          mb_transitions *out)
{
    mb_run *run;
    mb_partition_begin(p->shorter, p->shorter->n_words, p->n, partition);
    MB_TRY(pass_all(p, partition, interrupt));
    const size_t total = partition->n;
    if (total == 0) {
        return MB_OK;
    }
    MB_TRY(mb_partition_allocate(partition));
    MB_TRY(pass_all(p, partition, interrupt));
    MB_TRY(mb_partition_count(partition, total, interrupt, &run));
    MB_TRY(mb_transitions_add_run(out, run, interrupt));
    out->n_observed += total;
    return MB_OK;
}

/* Adds the types of all pairs of the run, which are not known. */
static mb_status
add_all_types(pairs_to_shorten *p, const mb_transitions *known, mb_partition *partition,
              mb_interrupt *interrupt, mb_transitions *out)
{
    const size_t most = MB_PARTITION_LIMIT / p->layout->n_words;
    mb_status status = MB_OK;
    for (; p->first < p->run->n && status == MB_OK; p->first += most) {
        p->n = p->run->n - p->first < most ? p->run->n - p->first : most;
        status = find_unknown(p, known, interrupt);
        if (status == MB_OK) {
            status = add_types(p, partition, interrupt, out);
        }
        mb_partition_end(partition);
    }
    return status == MB_OK ? mb_transitions_compact(out, interrupt) : status;
}

mb_status
mb_transitions_shorten(const mb_transitions *counts, const mb_transitions *known,
                       mb_interrupt *interrupt, mb_transitions **out)
{
    mb_transitions *made;
    MB_TRY(mb_transitions_new(counts->layout.order - 1, counts->n_tokens, &made));
    pairs_to_shorten p = {.layout = &counts->layout, .shorter = &made->layout};
    mb_status status = MB_OK;
    if (counts->n_runs > 0) {
        p.run = counts->runs[0];
        mb_partition *partition = mb_calloc(1, sizeof(mb_partition));
        p.pass = mb_calloc(p.run->n / KEYS + 1, sizeof(uint64_t));
        status = partition == NULL || p.pass == NULL
                     ? MB_NOMEM
                     : add_all_types(&p, known, partition, interrupt, made);
        mb_free(partition);
        mb_free(p.pass);
    }
    if (status == MB_OK) {
        *out = made;
    } else {
        mb_transitions_free(made);
    }
    return status;
}
