/* Documents in one array. */
#ifndef MB_DOCUMENTS_H
#define MB_DOCUMENTS_H

#include "core/matrix/transitions.h"

/* Writes documents [n], the first one behind the tokens of `first` and each other one behind those
 * of `lead`, to tokens, which has room for all, and where each begins, and the last ends, to bounds
 * [n + 1]. */
mb_status mb_documents_lead(size_t n, const mb_document *documents, mb_document first,
                            mb_document lead, mb_interrupt *interrupt, int64_t *tokens,
                            int64_t *bounds);

#endif
