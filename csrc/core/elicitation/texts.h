/* Texts as the kernels of elicitation read them, one place after another, with questions on the way:
 * what is predicted of the next token there, and how probable is all that came before?  A text of T
 * tokens has T + 1 places; histories that begin alike are places of one text. */
#ifndef MB_TEXTS_H
#define MB_TEXTS_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    size_t n_tokens, n_places, n_queries, n_entries;
    const int64_t *tokens;  /* [P] that come after each place; -1 at the end of a text */
    const int64_t *queries; /* [Q] places that are asked about, rising */
    const int64_t *starts;  /* [Q + 1], of the entries of each */
    const int64_t *columns; /* [E] tokens that are asked about one by one, none of them twice; all
                             * that came before are among them */
} mb_texts;

/* The entries of a question; 0 where they are not all there.  The numbers are the caller's and may
 * change meanwhile: each is read once. */
static inline int
mb_entries_of(const mb_texts *x, size_t query, size_t *start, size_t *end)
{
    int64_t first = x->starts[query], last = x->starts[query + 1];
    *start = (size_t)first;
    *end = (size_t)last;
    return first >= 0 && last >= first && (uint64_t)last <= x->n_entries;
}

#endif
