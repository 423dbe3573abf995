/* Back-off models as text, in the format of ARPA: n-grams of each order, a line each, with the
 * logarithm to base 10 of a probability, and of the weight of what is one word shorter.
 *
 * It is read strictly: the counts are right, words are among the 1-grams, an n-gram's first words
 * are an n-gram, nothing stands twice, no probability is above 1.  Fields are separated by any spaces
 * and tabs, lines end with or without a carriage return, weights that are 0 may be missing, and a
 * byte order mark and any lines before the counts are passed over. */
#ifndef MB_ARPA_READ_H
#define MB_ARPA_READ_H

#include "core/base/status.h"

enum { MB_ARPA_ORDERS = 17 }; /* words of the longest n-grams, at most */

typedef struct mb_arpa mb_arpa;

/* What is wrong with a text: a line, from 1 on, the piece of it, and why. */
typedef struct {
    size_t line, start, length;
    const char *why;
} mb_arpa_fault;

/* Begins to read the n characters, which stay as they are until mb_arpa_free(): the counts.
 * MB_INVALID with a fault, MB_NOMEM, MB_STOPPED; so all that follow. */
mb_status mb_arpa_new(size_t n, const char *text, mb_interrupt *interrupt, mb_arpa_fault *fault,
                      mb_arpa **out);
void mb_arpa_free(mb_arpa *arpa);

/* Gives the tables of words and n-grams a random key, before the first order is read.  Without one a
 * text can be made that takes a time of the square of its length. */
void mb_arpa_set_key(mb_arpa *arpa, const uint64_t key[2]);

/* Words of the longest n-grams, and how many n-grams of `order` words there are. */
size_t mb_arpa_order(const mb_arpa *arpa);
size_t mb_arpa_size(const mb_arpa *arpa, size_t order);

/* Reads the n-grams of the next order, from 1 on: the number of the first words among the n-grams
 * read before (0 for single words), the last word's among the 1-grams, and both logarithms; each
 * array has mb_arpa_size() entries, in the order of the lines. */
mb_status mb_arpa_read(mb_arpa *arpa, mb_interrupt *interrupt, mb_arpa_fault *fault,
                       uint32_t *before, uint32_t *words, double *probs, double *backs);

/* Reads what follows the last order: the end, and nothing behind it. */
mb_status mb_arpa_finish(mb_arpa *arpa, mb_interrupt *interrupt, mb_arpa_fault *fault);

/* Where a word that was read stands in the text. */
void mb_arpa_word(const mb_arpa *arpa, size_t number, size_t *start, size_t *length);

#endif
