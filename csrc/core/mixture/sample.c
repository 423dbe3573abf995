/* Random rows: a component by its weight, then a Dirichlet from gamma variates. */
#include "core/mixture/sample.h"

#include <math.h>

/* Uniform on (0, 1], so that its logarithm is finite. */
static double
uniform(mb_random *random)
{
    return 1.0 - random->next_double(random->state);
}

/* Draws before a loop of rejections gives up: less than a quarter of them fail, so that of a
 * source of random numbers this is seen once in 10^150 times, and it ends with any other. */
enum { MOST_DRAWS = 256 };

/* Standard normal, by Marsaglia's polar method; a draw fails with probability 1 - pi / 4. */
static double
normal(mb_random *random)
{
    for (int i = 0; i < MOST_DRAWS; i++) {
        double x = 2.0 * uniform(random) - 1.0, y = 2.0 * uniform(random) - 1.0;
        double square = x * x + y * y;
        if (square < 1.0 && square > 0.0) {
            return x * sqrt(-2.0 * log(square) / square);
        }
    }
    return 0.0;
}

/* ln of a gamma variate of shape >= 1 (Marsaglia and Tsang 2000); a draw fails with probability
 * 0.05 at most.  With t = 1 + w and w = x / sqrt(9 d) their bound x^2 / 2 + d - d t^3 + 3 d ln t is
 * 3 d (ln t - w + w^2 / 2 - w^3 / 3), off by 1e-7 at the largest shape, where that was noise. */
static double
log_gamma_variate(double shape, mb_random *random)
{
    double d = shape - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * d);
    for (int i = 0; i < MOST_DRAWS; i++) {
        double w = c * normal(random);
        double log_t = w > -1.0 ? log1p(w) : 0.0;
        double bound = 3.0 * d * (log_t - w + w * w * (1.0 / 2.0 - w / 3.0));
        if (w > -1.0 && log(uniform(random)) < bound) {
            return log(d) + 3.0 * log_t;
        }
    }
    return log(d);
}

static size_t
pick_component(const mb_mixture *mixture, mb_random *random)
{
    double u = random->next_double(random->state), sum = 0.0;
    size_t last = 0;
    for (size_t k = 0; k < mixture->n_components; k++) {
        sum += mixture->weights[k];
        last = mixture->weights[k] > 0.0 ? k : last;
        if (u < sum) {
            return k;
        }
    }
    return last; /* the weights summed to just under 1 */
}

mb_status
mb_mixture_sample(const mb_mixture *mixture, size_t n, mb_random *random, mb_interrupt *interrupt,
                  double *out)
{
    size_t n_tokens = mixture->n_tokens;
    for (size_t i = 0; i < n; i++) {
        const double *alpha = mixture->alpha + pick_component(mixture, random) * n_tokens;
        double *row = out + i * n_tokens;
        double top = -INFINITY;
        for (size_t v = 0; v < n_tokens; v++) {
            /* Gamma(a) is Gamma(a + 1) U^(1/a) */
            double boost = alpha[v] < 1.0 ? log(uniform(random)) / alpha[v] : 0.0;
            double shape = alpha[v] < 1.0 ? alpha[v] + 1.0 : alpha[v];
            row[v] = log_gamma_variate(shape, random) + boost;
            top = row[v] > top ? row[v] : top;
            MB_TRY(mb_ask(interrupt, 64));
        }
        double sum = exp(row[0] - top);
        for (size_t v = 1; v < n_tokens; v++) {
            sum += exp(row[v] - top);
            MB_TRY(mb_ask(interrupt, 16));
        }
        double shift = top + log(sum);
        for (size_t v = 0; v < n_tokens; v++) {
            row[v] -= shift;
        }
        MB_TRY(mb_ask(interrupt, 64 + mixture->n_components));
    }
    return MB_OK;
}
