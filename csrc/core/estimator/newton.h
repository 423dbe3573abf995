/* The maximum of l and a prior over the alpha of one Dirichlet, whatever data l is of.
 *
 * l is a sum of one concave function of each alpha_v and one of their sum A. */
#ifndef MB_NEWTON_H
#define MB_NEWTON_H

#include "core/estimator/maximization.h"

/* l's gradient, minus the diagonal of its Hessian, and the slope and bend of its part in A (the
 * slope is in each gradient too). */
typedef struct {
    double *gradient, *curvature, slope, z;
} mb_alpha_derivatives;

typedef struct {
    size_t n_tokens;
    const mb_prior_on_alpha *prior;
    mb_status (*derive)(const void *data, const double *alpha, double total,
                        mb_interrupt *interrupt, mb_alpha_derivatives *d);
    double (*of_total)(const void *data, double total);                        /* l's part in A */
    double (*of_each)(const void *data, const double *alpha, double *scratch); /* the others' */
    const void *data;
    mb_interrupt *interrupt;
} mb_alpha_problem;

/* Moves alpha to the maximum, as maximization.h says; `scratch` has room for 4 n_tokens. */
mb_status mb_maximize(const mb_alpha_problem *p, double *alpha, double *scratch, int *capped);

/* The maximum of f under A = total, from alpha, and whether f still rises with A there; *d has
 * room for derivatives. */
mb_status mb_maximize_at_total(const mb_alpha_problem *p, double total, double *alpha,
                               mb_alpha_derivatives *d, int *rises_on);

/* Multiplies all but those at their least, so that they sum to `total`. */
void mb_scale_to(size_t n, double total, double least, double *alpha);

#endif
