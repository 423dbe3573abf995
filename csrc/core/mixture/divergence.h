/* How far a model's rows are from predictives of Dirichlet mixtures, and the slopes of that,
 * model.md section 10. */
#ifndef MB_DIVERGENCE_H
#define MB_DIVERGENCE_H

#include "core/base/status.h"

#include <stddef.h>
#include <stdint.h>

/* Predictives: row i is sum_j share_ji alpha_j, but where it has entries, which stand instead; to a
 * power and normalised.  Shares and entries are such that the sum before the power is 1. */
typedef struct {
    size_t n_rows, n_components, n_tokens, n_entries;
    const double *alpha;    /* [J][V]; with the shares such that no sum is below DBL_MIN */
    const double *share;    /* [J][n] */
    const int64_t *starts;  /* [n + 1], of the entries of row i; no token has two */
    const int64_t *columns; /* [E] */
    const double *entries;  /* [E] */
    double power;           /* 1 over the temperature */
} mb_predictives;

/* -sum_iv mass_iv ln predictive_iv, and its derivatives by all that makes the predictives,
 * each of them held apart. */
typedef struct {
    double value, by_power;
    double *by_alpha;   /* [J][V] */
    double *by_share;   /* [J][n] */
    double *by_entries; /* [E] */
} mb_divergence;

/* Of mass [n][V], the model's rows times their weights, into *out.  MB_INVALID where the starts
 * fall or leave the entries, or a column is not below V; then, and where it is stopped, what
 * *out points to is not to be used. */
mb_status mb_divergences(const mb_predictives *predictives, const double *mass,
                         mb_interrupt *interrupt, mb_divergence *out);

#endif
