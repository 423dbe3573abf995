/* Lines, a field after the other. */
#include "core/arpa/write.h"

#include "core/arpa/number.h"

#include <string.h>

enum {
    COST = 200,                    /* nanoseconds of a line */
    LINES = 1 << 10,               /* between two questions */
    FRAME = 2 * MB_NUMBER_ROOM + 3 /* characters of a line beside names and spaces before them */
};

/* Where a word's name begins and how long it is; MB_INVALID where there is no such name. */
static mb_status
name_of(const mb_arpa_grams *grams, int64_t word, size_t *start, size_t *length)
{
    if (word < 0 || (uint64_t)word >= grams->n_words) {
        return MB_INVALID;
    }
    int64_t first = word == 0 ? 0 : grams->ends[word - 1], end = grams->ends[word];
    if (first < 0 || end < first || (uint64_t)end > grams->n_names) {
        return MB_INVALID;
    }
    *start = (size_t)first;
    *length = (size_t)(end - first);
    return MB_OK;
}

mb_status
mb_arpa_room(const mb_arpa_grams *grams, mb_interrupt *interrupt, size_t *room)
{
    size_t total = 0;
    for (size_t i = 0; i < grams->n; i++) {
        size_t line = FRAME;
        for (size_t j = 0; j < grams->order; j++) {
            size_t start, length;
            MB_TRY(name_of(grams, grams->words[i * grams->order + j], &start, &length));
            line += 1 + length;
        }
        if (__builtin_add_overflow(total, line, &total)) {
            return MB_NOMEM;
        }
        MB_TRY(i % LINES == 0 ? mb_ask(interrupt, (size_t)COST * LINES) : MB_OK);
    }
    *room = total;
    return MB_OK;
}

mb_status
mb_arpa_write(const mb_arpa_grams *grams, mb_interrupt *interrupt, size_t room, char *out,
              size_t *written)
{
    size_t at = 0;
    for (size_t i = 0; i < grams->n; i++) {
        if (room - at < FRAME) {
            return MB_RANGE;
        }
        at += mb_number_write(grams->probs[i], out + at);
        for (size_t j = 0; j < grams->order; j++) {
            size_t start, length;
            MB_TRY(name_of(grams, grams->words[i * grams->order + j], &start, &length));
            if (room - at < MB_NUMBER_ROOM + 3 || room - at - MB_NUMBER_ROOM - 3 < length) {
                return MB_RANGE;
            }
            out[at++] = j == 0 ? '\t' : ' ';
            memcpy(out + at, grams->names + start, length);
            at += length;
        }
        if (grams->backs != NULL) {
            out[at++] = '\t';
            at += mb_number_write(grams->backs[i], out + at);
        }
        out[at++] = '\n';
        MB_TRY(i % LINES == 0 ? mb_ask(interrupt, (size_t)COST * LINES) : MB_OK);
    }
    *written = at;
    return MB_OK;
}
