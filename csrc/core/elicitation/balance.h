/* A source that balances: it prefers what has not come for long, model.md section 10. */
#ifndef MB_BALANCE_H
#define MB_BALANCE_H

#include "core/base/status.h"
#include "core/elicitation/texts.h"

/* P(v) is proportional to exp(-strength c_v); a token makes c of its own c + 1 after each c became
 * memory c. */
typedef struct {
    double strength, memory; /* >= 0; in [0, 1] */
} mb_balance_prior;

/* Every token of a text has a number, in the order of their first places. */
typedef struct {
    size_t n_slots;         /* at most, of a text */
    const int64_t *slots;   /* [P] the number of the token that comes; -1 at the end */
    const int64_t *entries; /* [E] the numbers of the entries' tokens */
} mb_balance_slots;

/* Each with its slopes by strength and by memory: three arrays of [Q], [Q], [E], one after the
 * other.  `even` is of a token that has not come, if there is one. */
typedef struct {
    double *evidence, *even, *entries;
} mb_balance_predictions;

/* The predictions; of the texts, `columns` are not read.  MB_INVALID where a number of the arrays
 * leads out of them; what `out` points to is then, and where it is stopped, not to be used. */
mb_status mb_balance_predict(const mb_balance_prior *prior, const mb_texts *texts,
                             const mb_balance_slots *slots, mb_interrupt *interrupt,
                             mb_balance_predictions *out);

#endif
