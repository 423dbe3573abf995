/* Loops over floats or doubles, included by rows_kernel.h for both (hence no guard).
 *
 * The includer defines REAL, its largest number REAL_MAX, EXP(x), and LOOP(x), x with a suffix.  A
 * reduction runs in CHAINS at once, which no compiler would do with floating-point numbers by
 * itself; more of them than it unrolls. */

/* Lowers *low to the smallest of x and raises *high to its largest; NaN is passed over. */
static void
LOOP(stretch)(size_t n, const REAL *x, REAL *low, REAL *high)
{
    REAL lows[CHAINS], highs[CHAINS];
    size_t i = 0;
    for (size_t l = 0; l < CHAINS; l++) {
        lows[l] = *low;
        highs[l] = *high;
    }
    for (; n - i >= CHAINS; i += CHAINS) {
        for (size_t l = 0; l < CHAINS; l++) {
            lows[l] = x[i + l] < lows[l] ? x[i + l] : lows[l];
            highs[l] = x[i + l] > highs[l] ? x[i + l] : highs[l];
        }
    }
    for (; i < n; i++) {
        lows[0] = x[i] < lows[0] ? x[i] : lows[0];
        highs[0] = x[i] > highs[0] ? x[i] : highs[0];
    }
    for (size_t half = CHAINS / 2; half > 0; half /= 2) {
        for (size_t l = 0; l < half; l++) {
            lows[l] = lows[l + half] < lows[l] ? lows[l + half] : lows[l];
            highs[l] = highs[l + half] > highs[l] ? highs[l + half] : highs[l];
        }
    }
    *low = lows[0];
    *high = highs[0];
}

/* Four at a time in REAL, the rest in double, and all in chains: many equal terms behind a large one
 * would be rounded the same way each. */
static double
LOOP(sum)(size_t n, const REAL *x)
{
    double lanes[CHAINS] = {0};
    const size_t step = (size_t)4 * CHAINS;
    size_t i = 0;
    for (; n - i >= step; i += step) {
        const REAL *y = x + i, *z = y + (size_t)2 * CHAINS;
        for (size_t l = 0; l < CHAINS; l++) {
            lanes[l] += (double)((y[l] + y[l + CHAINS]) + (z[l] + z[l + CHAINS]));
        }
    }
    for (; n - i >= CHAINS; i += CHAINS) {
        for (size_t l = 0; l < CHAINS; l++) {
            lanes[l] += (double)x[i + l];
        }
    }
    for (size_t l = 0; i < n; i++, l++) {
        lanes[l] += (double)x[i];
    }
    for (size_t half = CHAINS / 2; half > 0; half /= 2) {
        for (size_t l = 0; l < half; l++) {
            lanes[l] += lanes[l + half];
        }
    }
    return lanes[0];
}

static void
LOOP(exponentials)(size_t n, const REAL *x, REAL shift, REAL *out)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = EXP(x[i] - shift);
    }
}

static void
LOOP(subtract)(size_t n, REAL *x, REAL high, REAL low)
{
    for (size_t i = 0; i < n; i++) {
        x[i] = (x[i] - high) - low;
    }
}

static void
LOOP(logarithms)(size_t n, REAL *x)
{
    for (size_t i = 0; i < n; i++) {
        x[i] = (REAL)log_value((double)x[i]);
    }
}

static int
LOOP(any_outside)(size_t n, const REAL *x, REAL low, REAL high)
{
    int any = 0;
    for (size_t i = 0; i < n; i++) {
        any |= !((x[i] >= low) & (x[i] <= high));
    }
    return any;
}
