/* Tables with open addressing, at most half full. */
#include "core/arpa/words.h"

#include "core/base/mem.h"

#include <string.h>

static uint64_t
rotated(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static void
sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotated(v[1], 13) ^ v[0];
    v[3] = rotated(v[3], 16) ^ v[2];
    v[0] = rotated(v[0], 32) + v[3];
    v[2] += v[1];
    v[1] = rotated(v[1], 17) ^ v[2];
    v[3] = rotated(v[3], 21) ^ v[0];
    v[2] = rotated(v[2], 32);
}

static void
sip_add(uint64_t v[4], uint64_t eight)
{
    v[3] ^= eight;
    sip_round(v);
    v[0] ^= eight;
}

uint64_t
mb_hash(mb_hash_key key, size_t n, const char *bytes)
{
    uint64_t v[4] = {
        key.half[0] ^ UINT64_C(0x736F6D6570736575), key.half[1] ^ UINT64_C(0x646F72616E646F6D),
        key.half[0] ^ UINT64_C(0x6C7967656E657261), key.half[1] ^ UINT64_C(0x7465646279746573)};
    size_t whole = n - n % 8;
    uint64_t eight, last = (uint64_t)n << 56;
    for (size_t at = 0; at < whole; at += 8) {
        memcpy(&eight, bytes + at, 8);
        sip_add(v, eight);
    }
    for (size_t i = 0; i < n % 8; i++) {
        last |= (uint64_t)(unsigned char)bytes[whole + i] << 8 * i;
    }
    sip_add(v, last);
    v[2] ^= 0xFF;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
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
    uint64_t hash = mb_hash(words->key, length, word);
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
mb_grams_begin(mb_grams *grams, size_t room, mb_hash_key key)
{
    size_t mask = mask_for(room);
    *grams = (mb_grams){.key = key, .mask = mask};
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
    const uint32_t both[2] = {before, word};
    uint64_t hash = mb_hash(grams->key, sizeof both, (const char *)both);
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
