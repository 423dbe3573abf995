/* Numbers as text, whatever the locale. */
#ifndef MB_ARPA_NUMBER_H
#define MB_ARPA_NUMBER_H

#include <stddef.h>

/* The longest that mb_number_write() writes. */
enum { MB_NUMBER_ROOM = 32 };

/* The decimal number, or "inf", that the n characters are, all of them; 0 where they are none.
 * The double next to it where it has up to 15 digits and no more than 22 beside them, else within
 * 3 units in the last place. */
int mb_number_read(size_t n, const char *text, double *out);

/* A finite number to nine significant digits, those behind the last that is not 0 left out, so that
 * what had nine when it was read is written as it was.  What is nearer to 0 than 1e-22 is 0; above
 * 1e22 it is 1e22.  Returns how many characters. */
size_t mb_number_write(double x, char *out);

#endif
