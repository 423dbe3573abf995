/* A text line by line: characters one after another. */
#include "core/arpa/lines.h"

#include <string.h>

enum {
    COST = 8 /* nanoseconds of a line, and one of each character */
};

static int
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next line, which may be empty; 0 where there is none. */
static int
next_line(mb_lines *in, mb_piece *line)
{
    if (in->at == in->n) {
        return 0;
    }
    size_t start = in->at, end = in->n;
    const char *found = memchr(in->text + start, '\n', end - start);
    if (found != NULL) {
        end = (size_t)(found - in->text);
    }
    in->at = end + (end < in->n);
    in->line++;
    while (start < end && is_blank(in->text[start])) {
        start++;
    }
    while (end > start && is_blank(in->text[end - 1])) {
        end--;
    }
    *line = (mb_piece){start, end};
    return 1;
}

mb_status
mb_lines_next_text(mb_lines *in, mb_interrupt *interrupt, mb_piece *line, int *is_there)
{
    do {
        size_t at = in->at;
        *line = (mb_piece){in->n, in->n};
        *is_there = next_line(in, line);
        MB_TRY(mb_ask(interrupt, COST + in->at - at));
    } while (*is_there && line->start == line->end);
    return MB_OK;
}

int
mb_piece_is(const mb_lines *in, mb_piece what, const char *wanted)
{
    size_t n = strlen(wanted);
    return what.end - what.start == n && memcmp(in->text + what.start, wanted, n) == 0;
}

int
mb_piece_number(const mb_lines *in, mb_piece *what, char behind, size_t *number)
{
    size_t at = what->start, found = 0;
    for (; at < what->end && is_blank(in->text[at]); at++) {
    }
    size_t first = at;
    for (; at < what->end && in->text[at] >= '0' && in->text[at] <= '9'; at++) {
        found = found <= UINT32_MAX ? 10 * found + (size_t)(in->text[at] - '0') : found;
    }
    if (at == first) {
        return 0;
    }
    for (; at < what->end && is_blank(in->text[at]); at++) {
    }
    int is_end = behind == '\0' ? at == what->end : at < what->end && in->text[at] == behind;
    *what = (mb_piece){at + 1, what->end};
    *number = found;
    return is_end;
}

size_t
mb_piece_split(const mb_lines *in, mb_piece line, size_t most, mb_piece *fields)
{
    size_t many = 0;
    for (size_t at = line.start; at < line.end; many++) {
        if (many == most) {
            return most + 1;
        }
        size_t start = at;
        for (; at < line.end && !is_blank(in->text[at]); at++) {
        }
        fields[many] = (mb_piece){start, at};
        for (; at < line.end && is_blank(in->text[at]); at++) {
        }
    }
    return many;
}
