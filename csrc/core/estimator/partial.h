/* Rows that are known in part, some of their tokens listed: sums over what they list and over what
 * they do not, model.md section 4d.
 *
 * Numbers are side by side for each token, [n_tokens][width], as they are for each row: what a row
 * asks for is a few cache lines, wherever its tokens are. */
#ifndef MB_PARTIAL_H
#define MB_PARTIAL_H

#include "core/base/status.h"

#include <stddef.h>

/* The tokens that rows list: those of row i are starts[i] .. starts[i + 1] of `columns`. */
typedef struct {
    size_t n_rows, n_tokens;
    const size_t *starts;
    const uint32_t *columns; /* each < n_tokens */
} mb_listing;

/* The sum of `values` [n_tokens][width] over all tokens, into whole [2][width]: in two doubles, of
 * which the second is what rounding took from the first. */
mb_status mb_sum_whole(size_t n_tokens, size_t width, const double *values, mb_interrupt *interrupt,
                       double *whole);

/* The sum over the tokens that a row does not list, into out [n_rows][width]: `whole` less those it
 * lists, as exact where they are nearly all.  Values are >= 0, and so is what comes out. */
mb_status mb_sum_unlisted(const mb_listing *rows, size_t width, const double *values,
                          const double *whole, mb_interrupt *interrupt, double *out);

/* The sum over the tokens that a row lists, each times its entry's factor (NULL: ones), into
 * out [n_rows][width]. */
mb_status mb_sum_listed(const mb_listing *rows, size_t width, const double *values,
                        const double *factors, mb_interrupt *interrupt, double *out);

/* The other way round: to what each token has in out [n_tokens][width], the numbers of the rows that
 * list it, `values` [n_rows][width] times the entry's factor, are added. */
mb_status mb_add_to_listed(const mb_listing *rows, size_t width, const double *values,
                           const double *factors, mb_interrupt *interrupt, double *out);

#endif
