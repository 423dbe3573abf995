/* The loops of distances.c, included once for each instruction set (hence no guard), see
 * instruction_sets.h.  Sums and extremes run in CHAINS, which do not wait for each other. */

/* p ln(2p / s), with s = p + q > 0 and p - q = d. */
MB_INLINE double
NAME(share_of_middle)(double p, double d, double s)
{
    double x = d / s; /* 2p / s is 1 + x */
    return p > 0 ? p * log_positive(p > 0 ? 1 + x : 1, p > 0 ? x : 0) : 0;
}

/* sum[l] += term of each token; n is whole CHAINS, what lies behind the end of rows equal in both.
 * (The sums are the loop's own: it need not ask whether they are among the rows.) */
#define ADD_UP(term)                                                                               \
    do {                                                                                           \
        double own[CHAINS];                                                                        \
        memcpy(own, sum, sizeof(own));                                                             \
        for (size_t i = 0; i + CHAINS <= n; i += CHAINS) {                                         \
            for (size_t l = 0; l < CHAINS; l++) {                                                  \
                own[l] += (term);                                                                  \
            }                                                                                      \
        }                                                                                          \
        memcpy(sum, own, sizeof(own));                                                             \
    } while (0)

static void
NAME(exponentials_of)(size_t n, const double *x, double *out)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = exp_value(x[i]);
    }
}

static void
NAME(add_variation)(size_t n, const double *p, const double *q, double *sum)
{
    ADD_UP(fabs(p[i + l] - q[i + l]));
}

static void
NAME(add_hellinger)(size_t n, const double *p, const double *q, double *sum)
{
    double term[PIECE];
    for (size_t i = 0; i < n; i++) {
        double d = sqrt(p[i]) - sqrt(q[i]);
        term[i] = d * d;
    }
    ADD_UP(term[i + l]);
}

static void
NAME(add_jensen_shannon)(size_t n, const double *p, const double *q, double *sum)
{
    double term[PIECE];
    for (size_t i = 0; i < n; i++) {
        double s = p[i] + q[i], d = p[i] - q[i];
        s = s > 0 ? s : 1;
        term[i] = NAME(share_of_middle)(p[i], d, s) + NAME(share_of_middle)(q[i], -d, s);
    }
    ADD_UP(term[i + l]);
}

/* The terms p ln(p / q) - p + q are never negative, and small where p and q are close:
 * with x = ln(p / q), p (x - 1 + e^-x). */
static void
NAME(add_kullback)(size_t n, const double *log_p, const double *log_q, const double *p,
                   const double *q, double *sum)
{
    double term[PIECE];
    for (size_t i = 0; i < n; i++) {
        double x = log_p[i] - log_q[i];
        double series = x * x * (0.5 - x * (1.0 / 6 - x * (1.0 / 24 - x * (1.0 / 120))));
        double near = p[i] * series, far = p[i] * x - p[i] + q[i];
        term[i] = p[i] > 0 ? (fabs(x) < 1e-3 ? near : far) : q[i];
    }
    ADD_UP(term[i + l]);
}

/* NaN, from tokens that are zero in both, is passed over. */
static void
NAME(add_hilbert)(size_t n, const double *log_p, const double *log_q, totals *t)
{
    double high[CHAINS], low[CHAINS];
    memcpy(high, t->high, sizeof(high));
    memcpy(low, t->low, sizeof(low));
    for (size_t i = 0; i < n; i += CHAINS) {
        for (size_t l = 0; l < CHAINS; l++) {
            double x = log_p[i + l] - log_q[i + l];
            high[l] = x > high[l] ? x : high[l];
            low[l] = x < low[l] ? x : low[l];
        }
    }
    memcpy(t->high, high, sizeof(high));
    memcpy(t->low, low, sizeof(low));
}

/* ln x for normal x, off by an ulp of max(1, |ln x|): log_positive() without what makes that 1 ulp of
 * the result. */
MB_INLINE double
NAME(log_normal)(double x)
{
    const uint64_t one = 0x3ff0000000000000, sqrt_half = 0x3fe6a09e00000000;
    uint64_t bits = as_bits(x) + (one - sqrt_half);
    double k = as_double((bits >> 52) | as_bits(0x1p52)) - (0x1p52 + 1023);
    double f = as_double((bits & 0x000fffffffffffff) + sqrt_half) - 1;
    double s = f / (2 + f), z = s * s, half_square = 0.5 * f * f;
    double rest = half_square - s * (half_square + z * SERIES(log_c, z));
    return k * (LN2_HIGH + LN2_LOW) + (f - rest);
}

/* sum s ln s over s = p + q. */
static void
NAME(add_entropy)(size_t n, const double *p, const double *q, double *sum)
{
    double term[PIECE] MB_FILLED;
    for (size_t i = 0; i < n; i++) {
        double s = p[i] + q[i];
        term[i] = s * NAME(log_normal)(s < DBL_MIN ? 1 : s);
    }
    size_t rest = n % CHAINS;
    n -= rest;
    ADD_UP(term[i + l]);
    for (size_t i = 0; i < rest; i++) {
        sum[i] += term[n + i];
    }
}

#undef ADD_UP
