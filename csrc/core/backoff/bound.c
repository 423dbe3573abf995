/* Bounds of rows from those of shorter contexts, in the time of their pairs.
 *
 * What a context does not list has back times its probability at the shorter one: which is not above the
 * largest there, nor above all that is left there by what is listed.  In a model whose rows sum to 1 the
 * second keeps to 1, in one whose backs do not exceed 1 the first does.  Where neither says so, which is
 * where numbers are rounded or lie, the row itself is made: of few contexts, or a file could ask for
 * more time than it has bytes. */
#include "core/backoff/bound.h"

#include "core/backoff/walk.h"
#include "core/base/mem.h"

#define ROUNDED 1e-10 /* of a sum of probabilities */

enum {
    ROWS = 512, /* times as many numbers of rows as there are in the table: honest ones need few */
    COST = 2,   /* nanoseconds of a number */
    PIECE = 1 << 10
};

static double
larger(double a, double b)
{
    return a > b ? a : b;
}

static mb_status
above(size_t level, size_t row, mb_backoff_fault *fault)
{
    *fault = (mb_backoff_fault){MB_BACKOFF_ABOVE, level, row};
    return MB_INVALID;
}

mb_status
mb_backoff_begin_bounds(const mb_backoff *table, mb_backoff_bounds *out)
{
    out->bounds = mb_calloc(mb_backoff_n(table), sizeof(mb_backoff_bound));
    out->row = mb_calloc(table->n_tokens, sizeof(double));
    out->left = ROWS * (table->n_pairs + table->n_tokens);
    return out->bounds == NULL || out->row == NULL ? MB_NOMEM : MB_OK;
}

void
mb_backoff_end_bounds(mb_backoff_bounds *bounds)
{
    mb_free(bounds->bounds);
    mb_free(bounds->row);
}

mb_status
mb_backoff_bound_root(const mb_backoff *table, mb_backoff_bounds *bounds, mb_interrupt *interrupt,
                      mb_backoff_fault *fault)
{
    mb_backoff_bound own = {0};
    for (size_t w = 0; w < table->n_tokens; w++) {
        double mean = table->mean == NULL ? 0.0 : table->mean[w];
        own.sum += table->row[w];
        own.most = larger(own.most, table->row[w]);
        bounds->mean = larger(bounds->mean, mean);
        MB_TRY(w % PIECE == 0 ? mb_ask(interrupt, (size_t)COST * PIECE) : MB_OK);
    }
    bounds->bounds[0] = own;
    double base = table->base == NULL ? 0.0 : table->base[0];
    return own.most + base * bounds->mean <= MB_BACKOFF_MOST ? MB_OK : above(0, 0, fault);
}

/* The largest probability after the shorter context of what a context does not list. */
static double
most_unlisted(const mb_backoff *table, uint32_t context, double *row)
{
    const mb_backoff_context *own = table->contexts + context;
    double most = 0.0;
    mb_backoff_row(table, own->shorter, row);
    for (size_t i = own->first; i < own[1].first; i++) {
        if (table->pairs[i].token < table->n_tokens) {
            row[table->pairs[i].token] = 0.0;
        }
    }
    for (size_t w = 0; w < table->n_tokens; w++) {
        most = larger(most, row[w]);
    }
    return most;
}

mb_status
mb_backoff_bound_row(const mb_backoff *table, size_t level, uint32_t context, const double *means,
                     mb_backoff_bounds *bounds, mb_interrupt *interrupt, mb_backoff_fault *fault)
{
    const mb_backoff_context *own = table->contexts + context;
    const mb_backoff_bound shorter = bounds->bounds[own->shorter];
    double listed = 0.0, most = 0.0, left = shorter.sum;
    for (size_t i = own->first; i < own[1].first; i++) {
        double value = fabs(table->pairs[i].value);
        listed += value;
        most = larger(most, value);
        left -= *means++;
    }
    left = larger(left, 0.0);
    double within = left + ROUNDED * shorter.sum;
    double unlisted = own->back * (shorter.most < within ? shorter.most : within);
    if (unlisted > MB_BACKOFF_MOST && table->base == NULL && bounds->left >= table->n_tokens) {
        bounds->left -= table->n_tokens;
        unlisted = own->back * most_unlisted(table, context, bounds->row);
        MB_TRY(mb_ask(interrupt, COST * table->n_tokens));
    }
    most = larger(most, unlisted);
    bounds->bounds[context] = (mb_backoff_bound){listed + own->back * left, most};
    double base = table->base == NULL ? 0.0 : table->base[context] * bounds->mean;
    return most + base <= MB_BACKOFF_MOST ? MB_OK
                                          : above(level, context - table->firsts[level], fault);
}
