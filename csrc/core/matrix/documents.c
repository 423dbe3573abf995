/* Documents in one array. */
#include "core/matrix/documents.h"

#include <string.h>

enum { DOCUMENT = 32 /* nanoseconds of one, and a nanosecond of each token */ };

static int64_t *
append_tokens(int64_t *to, mb_document document)
{
    if (document.n > 0) { /* there may be no tokens to point at */
        memcpy(to, document.tokens, document.n * sizeof(int64_t));
    }
    return to + document.n;
}

mb_status
mb_documents_lead(size_t n, const mb_document *documents, mb_document first, mb_document lead,
                  mb_interrupt *interrupt, int64_t *tokens, int64_t *bounds)
{
    int64_t *next = tokens;
    bounds[0] = 0;
    for (size_t i = 0; i < n; i++) {
        next = append_tokens(next, i == 0 ? first : lead);
        next = append_tokens(next, documents[i]);
        bounds[i + 1] = next - tokens;
        MB_TRY(mb_ask(interrupt, DOCUMENT + documents[i].n));
    }
    return MB_OK;
}
