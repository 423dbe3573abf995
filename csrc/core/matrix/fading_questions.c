/* Fading counts: questions. */
#include "core/matrix/fading_row.h"

#include "core/base/exact_sum.h"

enum { COST = 256 /* of a context that is looked for, in units of mb_ask() */ };

/* Finds the i-th of the caller's contexts. */
static mb_status
find_given(const mb_fading *counts, size_t i, const int64_t *contexts, mb_interrupt *interrupt,
           mb_fading_row *row, mb_token_fault *fault)
{
    uint32_t context[MB_MAX_ORDER];
    fault->row = i;
    MB_TRY(mb_fading_copy_tokens(counts->n_tokens, counts->order, contexts + i * counts->order, 0,
                                 context, fault));
    mb_fading_find(counts, context, row);
    return mb_ask(interrupt, COST);
}

mb_status
mb_fading_counts(const mb_fading *counts, size_t n, const int64_t *contexts, const int64_t *tokens,
                 mb_interrupt *interrupt, double *out, mb_token_fault *fault)
{
    for (size_t i = 0; i < n; i++) {
        mb_fading_row row;
        int64_t token = tokens[i];
        MB_TRY(find_given(counts, i, contexts, interrupt, &row, fault));
        if ((uint64_t)token >= counts->n_tokens) {
            fault->position = counts->order;
            fault->value = token;
            return MB_INVALID;
        }
        mb_fading_cell cell = mb_fading_newest(counts, &row, (uint32_t)token);
        out[i] = mb_fading_now(counts->discount, cell, row.clock);
    }
    return MB_OK;
}

mb_status
mb_fading_totals(const mb_fading *counts, size_t n, const int64_t *contexts,
                 mb_interrupt *interrupt, double *out, mb_token_fault *fault)
{
    for (size_t i = 0; i < n; i++) {
        mb_fading_row row;
        mb_exact_sum sum = {0};
        mb_fading_cell cell;
        uint32_t token;
        double now;
        MB_TRY(find_given(counts, i, contexts, interrupt, &row, fault));
        while (mb_fading_next(counts, &row, &token, &now, &cell)) {
            mb_exact_add(&sum, now);
            MB_TRY(mb_ask(interrupt, COST / 4));
        }
        out[i] = mb_exact_value(sum);
    }
    return MB_OK;
}

mb_status
mb_fading_read(const mb_fading *counts, size_t n, const int64_t *contexts, mb_interrupt *interrupt,
               int64_t *starts, uint32_t *tokens, double *now, mb_token_fault *fault)
{
    starts[0] = 0;
    for (size_t i = 0; i < n; i++) {
        mb_fading_row row;
        uint32_t token;
        double count;
        mb_fading_cell cell;
        int64_t at = starts[i];
        MB_TRY(find_given(counts, i, contexts, interrupt, &row, fault));
        for (; mb_fading_next(counts, &row, &token, &count, &cell); at++) {
            if (tokens != NULL) {
                tokens[at] = token;
                now[at] = count;
            }
            MB_TRY(mb_ask(interrupt, COST / 4));
        }
        starts[i + 1] = at;
    }
    return MB_OK;
}
