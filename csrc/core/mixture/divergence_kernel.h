/* The loops of divergence.c, included once for each instruction set (hence no guard), see
 * instruction_sets.h. */

/* p [n][width] = share alpha */
static void
NAME(mix_components)(size_t n, size_t n_components, size_t width, const double *share,
                     const double *alpha, double *p)
{
    for (size_t i = 0; i < n; i++, share += n_components, p += width) {
        for (size_t v = 0; v < width; v++) {
            p[v] = share[0] * alpha[v];
        }
        for (size_t j = 1; j < n_components; j++) {
            for (size_t v = 0; v < width; v++) {
                p[v] += share[j] * alpha[j * width + v];
            }
        }
    }
}

/* power (ln p - the largest) into q; returns the largest. */
static double
NAME(scale_logs)(size_t n, double power, const double *log_p, double *q)
{
    double tops[CHAINS], top = log_p[0];
    for (size_t l = 0; l < CHAINS; l++) {
        tops[l] = top;
    }
    size_t whole = n / CHAINS * CHAINS;
    for (size_t v = 0; v < whole; v += CHAINS) {
        for (size_t l = 0; l < CHAINS; l++) {
            tops[l] = log_p[v + l] > tops[l] ? log_p[v + l] : tops[l];
        }
    }
    for (size_t l = 0; l < CHAINS; l++) {
        top = tops[l] > top ? tops[l] : top;
    }
    for (size_t v = whole; v < n; v++) {
        top = log_p[v] > top ? log_p[v] : top;
    }
    for (size_t v = 0; v < n; v++) {
        q[v] = power * (log_p[v] - top);
    }
    return top;
}

/* q over its sum; returns the sum. */
static double
NAME(normalize_powers)(size_t n, double *q)
{
    double total = mb_sum(n, q), factor = 1.0 / total;
    for (size_t v = 0; v < n; v++) {
        q[v] *= factor;
    }
    return total;
}

/* n rows p [n][width] become G, of a power of 1; adds to the value and its slope by the power. */
static void
NAME(slopes_of_rows)(size_t n, size_t n_tokens, size_t width, const double *mass, double *p,
                     mb_divergence *out)
{
    size_t whole = n_tokens / CHAINS * CHAINS, row_bytes = n_tokens * sizeof(double);
    for (size_t i = 0; i < n; i++, mass += n_tokens, p += width) {
        double crosses[CHAINS] = {0.0}, owns[CHAINS] = {0.0}, total = mb_sum(n_tokens, mass);
        for (size_t v = 0; v < whole; v += CHAINS) {
            /* The next row, be it of the next strip; an integer, as no pointer may go behind the
             * last. */
            __builtin_prefetch((const void *)((uintptr_t)(mass + v) + row_bytes));
            for (size_t l = 0; l < CHAINS; l++) {
                double m = mass[v + l], own = p[v + l], inverse;
                double log_own = log_and_inverse(own, &inverse);
                crosses[l] += m * log_own;
                owns[l] += own * log_own;
                p[v + l] = total - m * inverse;
            }
        }
        double cross = mb_sum_in_order(CHAINS, crosses), own = mb_sum_in_order(CHAINS, owns);
        for (size_t v = whole; v < n_tokens; v++) {
            double inverse, log_own = log_and_inverse(p[v], &inverse);
            cross += mass[v] * log_own;
            own += p[v] * log_own;
            p[v] = total - mass[v] * inverse;
        }
        for (size_t v = n_tokens; v < width; v++) {
            p[v] = 0.0;
        }
        out->value -= cross;
        out->by_power -= cross - total * own;
    }
}

/* The same for one row of any power, with ln p, q, and what normalises q. */
static void
NAME(slopes_of_power)(size_t n_tokens, size_t width, double power, const double *mass,
                      const double *log_p, const double *q, double log_norm, double *p,
                      mb_divergence *out)
{
    double total = mb_sum(n_tokens, mass), cross = mb_dot(n_tokens, mass, log_p);
    for (size_t v = 0; v < n_tokens; v++) {
        p[v] = power * (total * q[v] - mass[v]) / p[v];
    }
    for (size_t v = n_tokens; v < width; v++) {
        p[v] = 0.0;
    }
    out->value -= power * cross - total * log_norm;
    out->by_power -= cross - total * mb_dot(n_tokens, q, log_p);
}
