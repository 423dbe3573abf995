/* What is looked up while an ARPA file is read: words by their letters, n-grams by their parts.
 *
 * Both are tables whose slots a secret key chooses: who writes a file and does not know it cannot have
 * its words or n-grams meet in few slots. */
#ifndef MB_ARPA_WORDS_H
#define MB_ARPA_WORDS_H

#include "core/base/status.h"

/* Numbers of things; none has this one. */
#define MB_NO_ENTRY UINT32_MAX

/* 128 secret bits. */
typedef struct {
    uint64_t half[2];
} mb_hash_key;

/* SipHash-1-3 of n bytes (J.-P. Aumasson and D. J. Bernstein, "SipHash: a fast short-input PRF", 2012),
 * with words in the machine's order of bytes. */
uint64_t mb_hash(mb_hash_key key, size_t n, const char *bytes);

/* Words: pieces of a text that stays as it is. */
typedef struct {
    const char *text;
    mb_hash_key key; /* the caller's to set while there are no words */
    size_t room, mask;
    uint64_t *start;  /* [room] */
    uint32_t *length; /* [room] */
    uint64_t *slots;  /* [mask + 1], a hash and a number and 1 */
} mb_words;

/* Room for that many, fewer than MB_NO_ENTRY; MB_NOMEM. */
mb_status mb_words_begin(mb_words *words, size_t room, const char *text);
void mb_words_end(mb_words *words);

/* The number of a word, or MB_NO_ENTRY; `own` is the number that it gets where it is new, or
 * MB_NO_ENTRY for a question. */
uint32_t mb_words_find(mb_words *words, uint64_t start, uint32_t length, uint32_t own);

/* An n-gram: one that is a word shorter, by its number, and its last word. */
typedef struct {
    uint32_t before, word, number;
} mb_gram;

typedef struct {
    mb_hash_key key;
    size_t mask;
    mb_gram *slots; /* [mask + 1]; free where the number is MB_NO_ENTRY */
} mb_grams;

mb_status mb_grams_begin(mb_grams *grams, size_t room, mb_hash_key key);
void mb_grams_end(mb_grams *grams);
uint32_t mb_grams_find(mb_grams *grams, uint32_t before, uint32_t word, uint32_t own);

#endif
