/* Divergences and their slopes, block by block.
 *
 * With p the rows before the power, q after it and s the sums of the mass, the slope by p is
 * G = power (s q - mass) / p.  Those by shares and by alpha are the products of the E-step,
 * G alpha' and share' G, so a block of G stays in the cache for them.  Rows are padded to whole
 * vectors of tokens, with 1 for p and 0 for G. */
#include "divergence.h"

#include "mem.h"
#include "special.h"
#include "tiles.h"

#include <string.h>

enum { LANES = MB_LANES, MAX_BLOCK = 64, MIN_BLOCK = 8, BLOCK_ENTRIES = 1 << 16 };
enum { PIECE = 1 << 22 /* multiplications between two looks for signals: milliseconds */ };

typedef struct {
    size_t width, n_rows; /* of tokens, padded; of a block at most */
    double *memory;
    double *alpha, *by_alpha; /* [J][width] */
    double *p, *log_p, *q;    /* [n_rows][width]; p becomes G */
    double *share, *by_share; /* [n_rows][J] */
} workspace;

static size_t
at_most(size_t x, size_t limit)
{
    return x < limit ? x : limit;
}

static mb_status
workspace_new(const mb_predictives *x, workspace *w)
{
    if (x->n_tokens > SIZE_MAX - LANES) {
        return MB_NOMEM;
    }
    w->width = (x->n_tokens + LANES - 1) / LANES * LANES;
    w->n_rows = at_most(BLOCK_ENTRIES / w->width, MAX_BLOCK);
    w->n_rows = at_most(w->n_rows < MIN_BLOCK ? MIN_BLOCK : w->n_rows, x->n_rows);
    size_t block, factors, shares, total;
    if (!mb_multiply(w->n_rows, w->width, &block) ||
        !mb_multiply(x->n_components, w->width, &factors) ||
        !mb_multiply(x->n_components, w->n_rows, &shares) ||
        __builtin_add_overflow(block, factors, &total) ||
        __builtin_add_overflow(total, shares, &total) || total > SIZE_MAX / 3) {
        return MB_NOMEM;
    }
    w->memory = mb_calloc(3 * total, sizeof(double));
    if (w->memory == NULL) {
        return MB_NOMEM;
    }
    w->alpha = w->memory;
    w->by_alpha = w->alpha + factors;
    w->p = w->by_alpha + factors;
    w->log_p = w->p + block;
    w->q = w->log_p + block;
    w->share = w->q + block;
    w->by_share = w->share + shares;
    for (size_t j = 0; j < x->n_components; j++) {
        memcpy(w->alpha + j * w->width, x->alpha + j * x->n_tokens, x->n_tokens * sizeof(double));
    }
    return MB_OK;
}

/* ---- predictives ---------------------------------------------------------------- */

MB_CLONES static void
add_components(size_t n, size_t n_components, size_t width, const double *share,
               const double *alpha, double *p)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n_components; j++) {
            double c = share[i * n_components + j];
            for (size_t v = 0; v < width; v++) {
                p[i * width + v] += c * alpha[j * width + v];
            }
        }
    }
}

/* The entries of a row; MB_INVALID where they are not all there.  The numbers are the caller's
 * and may change meanwhile: each is read once. */
static mb_status
row_entries(const mb_predictives *x, size_t row, size_t *start, size_t *end)
{
    int64_t first = x->starts[row], last = x->starts[row + 1];
    if (first < 0 || last < first || (uint64_t)last > x->n_entries) {
        return MB_INVALID;
    }
    *start = (size_t)first;
    *end = (size_t)last;
    return MB_OK;
}

/* The rows `row` .. `row` + n before the power, padded with ones. */
static mb_status
fill_block(const mb_predictives *x, size_t row, size_t n, workspace *w)
{
    size_t n_components = x->n_components, width = w->width;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n_components; j++) {
            w->share[i * n_components + j] = x->share[j * x->n_rows + row + i];
        }
    }
    memset(w->p, 0, n * width * sizeof(double));
    add_components(n, n_components, width, w->share, w->alpha, w->p);
    for (size_t i = 0; i < n; i++) {
        size_t start, end;
        MB_TRY(row_entries(x, row + i, &start, &end));
        for (size_t e = start; e < end; e++) {
            int64_t column = x->columns[e];
            if (column < 0 || (uint64_t)column >= x->n_tokens) {
                return MB_INVALID;
            }
            w->p[i * width + (size_t)column] += x->entries[e];
        }
        for (size_t v = x->n_tokens; v < width; v++) {
            w->p[i * width + v] = 1.0;
        }
    }
    return MB_OK;
}

/* power (ln p - the largest) into q; returns the largest. */
MB_CLONES static double
raise_to(size_t n, double power, const double *log_p, double *q)
{
    double tops[LANES], top = log_p[0];
    for (size_t l = 0; l < LANES; l++) {
        tops[l] = top;
    }
    size_t whole = n / LANES * LANES;
    for (size_t v = 0; v < whole; v += LANES) {
        for (size_t l = 0; l < LANES; l++) {
            tops[l] = log_p[v + l] > tops[l] ? log_p[v + l] : tops[l];
        }
    }
    for (size_t l = 0; l < LANES; l++) {
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
MB_CLONES static double
normalize(size_t n, double *q)
{
    double sums[LANES] = {0.0}, sum = 0.0;
    size_t whole = n / LANES * LANES;
    for (size_t v = 0; v < whole; v += LANES) {
        for (size_t l = 0; l < LANES; l++) {
            sums[l] += q[v + l];
        }
    }
    for (size_t l = 0; l < LANES; l++) {
        sum += sums[l];
    }
    for (size_t v = whole; v < n; v++) {
        sum += q[v];
    }
    double factor = 1.0 / sum;
    for (size_t v = 0; v < n; v++) {
        q[v] *= factor;
    }
    return sum;
}

/* q from ln p; returns the logarithm of what normalises it. */
static double
temper(size_t n, double power, const double *log_p, double *q)
{
    double log_sum, top = raise_to(n, power, log_p, q);
    mb_exp(n, q, q);
    double sum = normalize(n, q);
    mb_log(1, &sum, &log_sum);
    return log_sum + power * top;
}

/* ---- slopes ---------------------------------------------------------------------- */

/* Sums over a row: of the mass, and of mass and of q times ln p. */
typedef struct {
    double mass, cross, own;
} row_sums;

MB_INLINE row_sums
sum_row(size_t n, const double *mass, const double *log_p, const double *q)
{
    double total[LANES] = {0.0}, cross[LANES] = {0.0}, own[LANES] = {0.0};
    size_t whole = n / LANES * LANES;
    for (size_t v = 0; v < whole; v += LANES) {
        for (size_t l = 0; l < LANES; l++) {
            total[l] += mass[v + l];
            cross[l] += mass[v + l] * log_p[v + l];
            own[l] += q[v + l] * log_p[v + l];
        }
    }
    row_sums sums = {0.0, 0.0, 0.0};
    for (size_t l = 0; l < LANES; l++) {
        sums.mass += total[l];
        sums.cross += cross[l];
        sums.own += own[l];
    }
    for (size_t v = whole; v < n; v++) {
        sums.mass += mass[v];
        sums.cross += mass[v] * log_p[v];
        sums.own += q[v] * log_p[v];
    }
    return sums;
}

/* p becomes G; adds to the value and its slope by the power, but for the normalisation. */
MB_CLONES static void
slopes(size_t n, size_t n_tokens, double power, const double *mass, double *sums_of_mass,
       const workspace *w, mb_divergence *out)
{
    size_t width = w->width;
    for (size_t i = 0; i < n; i++) {
        const double *m = mass + i * n_tokens, *own = w->q + i * width;
        double *g = w->p + i * width;
        row_sums sums = sum_row(n_tokens, m, w->log_p + i * width, own);
        for (size_t v = 0; v < n_tokens; v++) {
            g[v] = power * (sums.mass * own[v] - m[v]) / g[v];
        }
        for (size_t v = n_tokens; v < width; v++) {
            g[v] = 0.0;
        }
        sums_of_mass[i] = sums.mass;
        out->value -= power * sums.cross;
        out->by_power -= sums.cross - sums.mass * sums.own;
    }
}

/* From G of the rows `row` .. `row` + n: the slopes by shares, entries and alpha. */
static mb_status
spread(const mb_predictives *x, size_t row, size_t n, workspace *w, mb_divergence *out)
{
    size_t n_components = x->n_components, width = w->width;
    mb_block block = {w->p, 1, n, width, width};
    mb_factors factors = {n_components, w->alpha, NULL};
    memset(w->by_share, 0, n * n_components * sizeof(double));
    mb_tile_densities(&block, &factors, w->by_share);
    mb_tile_sums(&block, n_components, w->share, w->by_alpha);
    for (size_t i = 0; i < n; i++) {
        size_t start, end;
        MB_TRY(row_entries(x, row + i, &start, &end));
        for (size_t e = start; e < end; e++) {
            int64_t column = x->columns[e];
            if (column < 0 || (uint64_t)column >= x->n_tokens) {
                return MB_INVALID;
            }
            out->by_entries[e] = w->p[i * width + (size_t)column];
        }
        for (size_t j = 0; j < n_components; j++) {
            out->by_share[j * x->n_rows + row + i] = w->by_share[i * n_components + j];
        }
    }
    return MB_OK;
}

static mb_status
add_block(const mb_predictives *x, const double *mass, size_t row, size_t n, workspace *w,
          mb_divergence *out)
{
    MB_TRY(fill_block(x, row, n, w));
    mb_log(n * w->width, w->p, w->log_p);
    memcpy(w->q, w->p, n * w->width * sizeof(double));
    double log_norm[MAX_BLOCK] = {0.0}, sums_of_mass[MAX_BLOCK];
    for (size_t i = 0; i < n && x->power != 1.0; i++) {
        size_t at = i * w->width;
        log_norm[i] = temper(x->n_tokens, x->power, w->log_p + at, w->q + at);
    }
    slopes(n, x->n_tokens, x->power, mass + row * x->n_tokens, sums_of_mass, w, out);
    for (size_t i = 0; i < n; i++) {
        out->value += sums_of_mass[i] * log_norm[i];
    }
    return spread(x, row, n, w, out);
}

mb_status
mb_divergences(const mb_predictives *x, const double *mass, const mb_interrupt *interrupt,
               mb_divergence *out)
{
    out->value = out->by_power = 0.0;
    memset(out->by_alpha, 0, x->n_components * x->n_tokens * sizeof(double));
    workspace w;
    if (x->n_rows == 0) {
        return MB_OK;
    }
    MB_TRY(workspace_new(x, &w));
    mb_status status = MB_OK;
    size_t cost = w.n_rows * w.width * (x->n_components + 4), since = 0;
    for (size_t row = 0; row < x->n_rows && status == MB_OK; row += w.n_rows) {
        status = add_block(x, mass, row, at_most(w.n_rows, x->n_rows - row), &w, out);
        since += cost;
        if (status == MB_OK && since > PIECE) {
            status = mb_interrupted(interrupt);
            since = 0;
        }
    }
    for (size_t j = 0; j < x->n_components && status == MB_OK; j++) {
        memcpy(out->by_alpha + j * x->n_tokens, w.by_alpha + j * w.width,
               x->n_tokens * sizeof(double));
    }
    mb_free(w.memory);
    return status;
}
