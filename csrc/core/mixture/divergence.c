/* Divergences and their slopes, block by block.
 *
 * With p the rows before the power, q after it and s the sums of the mass, the slope by p is
 * G = power (s q - mass) / p.  Those by shares and by alpha are the products of the E-step,
 * G alpha' and share' G, so a block of G stays in the cache for them; from p to G go a few rows at a
 * time, in the first cache.  Rows are padded to whole vectors of tokens, with 0 for G. */
#include "core/mixture/divergence.h"

/* Fused multiply-adds, in the logarithm too, which is as accurate. */
#include "core/base/contract.h"

#include "core/base/mem.h"
#include "core/base/sums.h"
#include "core/special/special.h"
#include "core/special/special_log.h"
#include "core/mixture/tiles.h"

#include <string.h>

enum { CHAINS = 8 /* sums that run side by side */ };
#define KERNEL "core/mixture/divergence_kernel.h"
#include "core/base/instruction_sets.h"

enum { MAX_BLOCK = 64, MIN_BLOCK = 8, BLOCK_ENTRIES = 1 << 16 };
enum { STRIP_ENTRIES = 1 << 11 /* what goes from p to G at once */ };

typedef struct {
    size_t width, n_rows, strip; /* of tokens, padded; of a block and of a strip at most */
    double *memory;
    double *alpha, *by_alpha; /* [J][width] */
    double *p;                /* [n_rows][width]; becomes G */
    double *log_p, *q;        /* [width], of one row */
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
    if (x->n_tokens > SIZE_MAX - MB_LANES) {
        return MB_NOMEM;
    }
    w->width = (x->n_tokens + MB_LANES - 1) / MB_LANES * MB_LANES;
    w->n_rows = at_most(BLOCK_ENTRIES / w->width, MAX_BLOCK);
    w->n_rows = at_most(w->n_rows < MIN_BLOCK ? MIN_BLOCK : w->n_rows, x->n_rows);
    w->strip = at_most(STRIP_ENTRIES / w->width + 1, w->n_rows);
    size_t rows, factors, shares, total;
    if (!mb_multiply(w->n_rows + 2, w->width, &rows) ||
        !mb_multiply(x->n_components, w->width, &factors) ||
        !mb_multiply(x->n_components, w->n_rows, &shares) ||
        __builtin_add_overflow(rows, factors, &total) ||
        __builtin_add_overflow(total, shares, &total) || total > SIZE_MAX / 2) {
        return MB_NOMEM;
    }
    w->memory = mb_calloc(2 * total, sizeof(double));
    if (w->memory == NULL) {
        return MB_NOMEM;
    }
    w->alpha = w->memory;
    w->by_alpha = w->alpha + factors;
    w->p = w->by_alpha + factors;
    w->log_p = w->p + w->n_rows * w->width;
    w->q = w->log_p + w->width;
    w->share = w->q + w->width;
    w->by_share = w->share + shares;
    for (size_t j = 0; j < x->n_components; j++) {
        memcpy(w->alpha + j * w->width, x->alpha + j * x->n_tokens, x->n_tokens * sizeof(double));
    }
    return MB_OK;
}

/* ---- predictives ---------------------------------------------------------------- */

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

/* The rows `row` .. `row` + n before the power into p [n][width]. */
static mb_status
fill(const mb_predictives *x, size_t row, size_t n, const double *share, const workspace *w,
     double *p)
{
    CHOOSE(mix_components, n, x->n_components, w->width, share, w->alpha, p);
    for (size_t i = 0; i < n; i++, p += w->width) {
        size_t start, end;
        MB_TRY(row_entries(x, row + i, &start, &end));
        for (size_t e = start; e < end; e++) {
            int64_t column = x->columns[e];
            if (column < 0 || (uint64_t)column >= x->n_tokens) {
                return MB_INVALID;
            }
            p[column] = x->entries[e];
        }
    }
    return MB_OK;
}

/* ---- powers ----------------------------------------------------------------------- */

/* q from ln p; returns the logarithm of what normalises it. */
static double
temper(size_t n, double power, const double *log_p, double *q)
{
    double log_sum, top = CHOOSE(scale_logs, n, power, log_p, q);
    mb_exp(n, q, q);
    double total = CHOOSE(normalize_powers, n, q);
    mb_log(1, &total, &log_sum);
    return log_sum + power * top;
}

/* ---- slopes ---------------------------------------------------------------------- */

/* From G of the rows `row` .. `row` + n: the slopes by shares, entries and alpha. */
static mb_status
spread(const mb_predictives *x, size_t row, size_t n, workspace *w, mb_interrupt *interrupt,
       mb_divergence *out)
{
    size_t n_components = x->n_components, width = w->width;
    for (size_t i = 0; i < n; i++) {
        size_t start, end;
        MB_TRY(row_entries(x, row + i, &start, &end));
        for (size_t e = start; e < end; e++) {
            int64_t column = x->columns[e];
            if (column < 0 || (uint64_t)column >= x->n_tokens) {
                return MB_INVALID;
            }
            double *slope = w->p + i * width + (size_t)column;
            out->by_entries[e] = *slope;
            *slope = 0.0; /* shares have no part in it */
        }
    }
    mb_block block = {w->p, 1, n, width, width};
    mb_factors factors = {n_components, w->alpha, NULL};
    memset(w->by_share, 0, n * n_components * sizeof(double));
    MB_TRY(mb_tile_densities(&block, &factors, interrupt, w->by_share));
    MB_TRY(mb_tile_sums(&block, n_components, w->share, interrupt, w->by_alpha));
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n_components; j++) {
            out->by_share[j * x->n_rows + row + i] = w->by_share[i * n_components + j];
        }
    }
    return MB_OK;
}

static mb_status
add_block(const mb_predictives *x, const double *mass, size_t row, size_t n, workspace *w,
          mb_interrupt *interrupt, mb_divergence *out)
{
    size_t n_components = x->n_components, n_tokens = x->n_tokens, width = w->width;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n_components; j++) {
            w->share[i * n_components + j] = x->share[j * x->n_rows + row + i];
        }
    }
    for (size_t i = 0; i < n; i += w->strip) {
        size_t many = at_most(w->strip, n - i);
        double *p = w->p + i * width;
        const double *m = mass + (row + i) * n_tokens;
        MB_TRY(fill(x, row + i, many, w->share + i * n_components, w, p));
        MB_TRY(mb_ask(interrupt, many * width * (n_components / 4 + 8)));
        if (x->power == 1.0) {
            CHOOSE(slopes_of_rows, many, n_tokens, width, m, p, out);
            continue;
        }
        for (size_t r = 0; r < many; r++, p += width, m += n_tokens) {
            mb_log(n_tokens, p, w->log_p);
            double log_norm = temper(n_tokens, x->power, w->log_p, w->q);
            CHOOSE(slopes_of_power, n_tokens, width, x->power, m, w->log_p, w->q, log_norm, p, out);
        }
    }
    return spread(x, row, n, w, interrupt, out);
}

mb_status
mb_divergences(const mb_predictives *x, const double *mass, mb_interrupt *interrupt,
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
    for (size_t row = 0; row < x->n_rows && status == MB_OK; row += w.n_rows) {
        size_t n = at_most(w.n_rows, x->n_rows - row);
        status = add_block(x, mass, row, n, &w, interrupt, out);
    }
    for (size_t j = 0; j < x->n_components && status == MB_OK; j++) {
        memcpy(out->by_alpha + j * x->n_tokens, w.by_alpha + j * w.width,
               x->n_tokens * sizeof(double));
    }
    mb_free(w.memory);
    return status;
}
