/* Lines of n-grams in the format of ARPA (read.h). */
#ifndef MB_ARPA_WRITE_H
#define MB_ARPA_WRITE_H

#include "core/base/status.h"

/* n-grams of `order` words. */
typedef struct {
    size_t n, order, n_words;
    const int64_t *words; /* [n][order], below n_words */
    const double *probs;  /* [n], logarithms to base 10, finite */
    const double *backs;  /* [n], or NULL where they have none */
    const int64_t *ends;  /* [n_words], of the names, which stand one behind the other */
    const char *names;    /* [n_names] characters */
    size_t n_names;
} mb_arpa_grams;

/* The most characters that these are; MB_INVALID where a word or an end is out of range,
 * MB_NOMEM where no number holds them. */
mb_status mb_arpa_room(const mb_arpa_grams *grams, mb_interrupt *interrupt, size_t *room);

/* The lines into out [room], of *written characters.  Statuses as above; MB_RANGE where they have
 * grown meanwhile. */
mb_status mb_arpa_write(const mb_arpa_grams *grams, mb_interrupt *interrupt, size_t room, char *out,
                        size_t *written);

#endif
