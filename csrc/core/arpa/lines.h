/* A text line by line, and the fields of a line. */
#ifndef MB_ARPA_LINES_H
#define MB_ARPA_LINES_H

#include "core/base/status.h"

typedef struct {
    const char *text;
    size_t n, at, line; /* characters; where the next line begins, and the lines before it */
} mb_lines;

/* A piece of the text. */
typedef struct {
    size_t start, end;
} mb_piece;

/* The next line that is not empty, without spaces, tabs and carriage returns at its ends, and whether
 * there is one; MB_STOPPED. */
mb_status mb_lines_next_text(mb_lines *in, mb_interrupt *interrupt, mb_piece *line, int *is_there);

int mb_piece_is(const mb_lines *in, mb_piece what, const char *wanted);

/* A whole number, one above 2^32 for any larger, that ends where the piece does or before the
 * character `behind`; *what becomes what is left behind that.  0 where none is. */
int mb_piece_number(const mb_lines *in, mb_piece *what, char behind, size_t *number);

/* The fields of a line, at most `most`; returns how many, most + 1 where there are more. */
size_t mb_piece_split(const mb_lines *in, mb_piece line, size_t most, mb_piece *fields);

#endif
