/* Random rows from a mixture of Dirichlets. */
#ifndef MB_SAMPLE_H
#define MB_SAMPLE_H

#include "core/mixture/mixture.h"

#include <stddef.h>

/* A source of random doubles, uniform on [0, 1). */
typedef struct {
    void *state;
    double (*next_double)(void *state);
} mb_random;

/* n rows of log-probabilities from the mixture into out [n][V].  Drawn and
 * normalised in logarithms: a probability below 1e-308 is not lost.  What has been
 * drawn when it is stopped stays drawn. */
mb_status mb_mixture_sample(const mb_mixture *mixture, size_t n, mb_random *random,
                            mb_interrupt *interrupt, double *out);

#endif
