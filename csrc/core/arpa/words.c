/* Tables with open addressing, at most half full. */
#include "core/arpa/words.h"

#include "core/base/mem.h"

#include <string.h>

#define FACTOR UINT64_C(0x9E3779B97F4A7C15) /* 2^64 over the golden ratio: Knuth, TAOCP 6.4 */

static uint64_t
mixed(uint64_t hash, uint64_t more)
{
    hash = (hash ^ more) * FACTOR;
    return hash ^ (hash >> 32);
}

static uint64_t
hash_of(const char *word, uint32_t length)
{
    uint64_t hash = length;
    for (; length >= 8; length -= 8, word += 8) {
        uint64_t eight;
        memcpy(&eight, word, 8);
        hash = mixed(hash, eight);
    }
    uint64_t rest = 0;
    for (uint32_t i = 0; i < length; i++) {
        rest = rest << 8 | (unsigned char)word[i];
    }
    return mixed(hash, rest);
}

/* The last of a power of two of slots, for that many things; of more than memory holds where no power
 * is enough. */
static size_t
mask_for(size_t room)
{
    size_t slots = 16;
    while (slots < 2 * room && slots <= SIZE_MAX / 4) {
        slots *= 2;
    }
    return slots - 1;
}

mb_status
mb_words_begin(mb_words *words, size_t room, const char *text)
{
    size_t mask = mask_for(room);
    *words = (mb_words){.text = text, .room = room, .mask = mask};
    words->start = mb_calloc(room, sizeof *words->start);
    words->length = mb_calloc(room, sizeof *words->length);
    words->slots = mb_calloc(mask + 1, sizeof *words->slots);
    if (words->start == NULL || words->length == NULL || words->slots == NULL) {
        mb_words_end(words);
        return MB_NOMEM;
    }
    return MB_OK;
}

void
mb_words_end(mb_words *words)
{
    mb_free(words->start);
    mb_free(words->length);
    mb_free(words->slots);
    *words = (mb_words){0};
}

uint32_t
mb_words_find(mb_words *words, uint64_t start, uint32_t length, uint32_t own)
{
    const char *word = words->text + start;
    uint64_t hash = hash_of(word, length);
    uint32_t tag = (uint32_t)(hash >> 32);
    for (size_t at = (size_t)hash & words->mask;; at = (at + 1) & words->mask) {
        uint64_t slot = words->slots[at];
        if (slot == 0) {
            if (own != MB_NO_ENTRY) {
                words->slots[at] = (uint64_t)tag << 32 | (own + 1);
                words->start[own] = start;
                words->length[own] = length;
            }
            return MB_NO_ENTRY;
        }
        uint32_t number = (uint32_t)slot - 1;
        if (slot >> 32 == tag && words->length[number] == length &&
            memcmp(words->text + words->start[number], word, length) == 0) {
            return number;
        }
    }
}

mb_status
mb_grams_begin(mb_grams *grams, size_t room)
{
    size_t mask = mask_for(room);
    *grams = (mb_grams){.mask = mask};
    grams->slots = mb_calloc(mask + 1, sizeof *grams->slots);
    if (grams->slots == NULL) {
        return MB_NOMEM;
    }
    memset(grams->slots, 0xFF, (mask + 1) * sizeof *grams->slots);
    return MB_OK;
}

void
mb_grams_end(mb_grams *grams)
{
    mb_free(grams->slots);
    *grams = (mb_grams){0};
}

uint32_t
mb_grams_find(mb_grams *grams, uint32_t before, uint32_t word, uint32_t own)
{
    uint64_t hash = mixed((uint64_t)before << 32 | word, 0);
    for (size_t at = (size_t)hash & grams->mask;; at = (at + 1) & grams->mask) {
        mb_gram *slot = grams->slots + at;
        if (slot->number == MB_NO_ENTRY) {
            if (own != MB_NO_ENTRY) {
                *slot = (mb_gram){before, word, own};
            }
            return MB_NO_ENTRY;
        }
        if (slot->before == before && slot->word == word) {
            return slot->number;
        }
    }
}
