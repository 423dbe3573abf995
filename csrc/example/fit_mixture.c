/* Fits a mixture of Dirichlets to a table of probabilities by EM, with the core alone.
 *
 *     fit_mixture [components [file]]
 *
 * A file begins with the numbers of rows and of tokens; the probabilities follow, row by row.  Without
 * one it is a small table of its own. */
#include "matrixbayes.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 1e6 /* rows or tokens, so that no size overflows */

static const double own_table[] = {
    0.80, 0.15, 0.05, 0.70, 0.20, 0.10, 0.85, 0.05, 0.10, 0.75, 0.15, 0.10, 0.65, 0.25, 0.10,
    0.10, 0.60, 0.30, 0.05, 0.50, 0.45, 0.15, 0.50, 0.35, 0.10, 0.50, 0.40, 0.20, 0.50, 0.30,
};

/* A fit under way: K components, n rows, V tokens.  All arrays are parts of one, `room`. */
typedef struct {
    size_t k, n, v;
    double *room, *log_probs, *shares, *weights, *alpha, *mean_log, *scratch;
    mb_sums sums; /* what the E-step found */
} fit;

static mb_status
begin(fit *f)
{
    if (f->k == 0 || f->k > f->n) {
        return MB_INVALID;
    }
    size_t scratch = mb_expectation_scratch(f->k) + 4 * f->v; /* of either step */
    f->room = mb_calloc(f->n * (f->v + f->k) + 2 * f->k * (f->v + 1) + f->v + scratch, 8);
    if (f->room == NULL) {
        return MB_NOMEM;
    }
    f->log_probs = f->room;
    f->shares = f->log_probs + f->n * f->v;
    f->weights = f->shares + f->n * f->k;
    f->alpha = f->weights + f->k;
    f->mean_log = f->alpha + f->k * f->v;
    f->scratch = f->mean_log + f->v;
    f->sums.weight = f->scratch + scratch;
    f->sums.log_sums = f->sums.weight + f->k;
    return MB_OK;
}

/* The next number of a file; 0 where there is none. */
static int
read_number(FILE *file, double *x)
{
    char word[64], *end;
    if (fscanf(file, "%63s", word) != 1) {
        return 0;
    }
    *x = strtod(word, &end);
    return *end == '\0';
}

/* Reads the numbers of a file, NULL for the table above, and takes their logarithms. */
static mb_status
read_rows(FILE *file, fit *f)
{
    for (size_t i = 0; i < f->n * f->v; i++) {
        if (file == NULL) {
            f->log_probs[i] = own_table[i];
        } else if (!read_number(file, f->log_probs + i)) {
            return MB_INVALID;
        }
    }
    mb_row_view view = {f->log_probs, MB_FLOAT64, f->n, f->v, (ptrdiff_t)(8 * f->v), 8};
    mb_row_zeros zeros = {0, 0, 0};
    mb_row_fault fault;
    mb_status status = mb_log_probs(&view, MB_PROBS, NULL, f->log_probs, &zeros, &fault);
    if (status == MB_INVALID) {
        (void)fprintf(stderr, "row %zu is no distribution: %g\n", fault.row, fault.value);
    } else if (zeros.n_rows > 0) { /* where a Dirichlet has no density */
        (void)fprintf(stderr, "row %zu has a 0\n", zeros.row);
    }
    return zeros.n_rows > 0 ? MB_INVALID : status;
}

/* The sums of each row in the component of its most probable token, but for a tenth of it. */
static mb_status
start(fit *f, const mb_log_rows *rows)
{
    for (size_t i = 0; i < f->n; i++) {
        const double *row = f->log_probs + i * f->v;
        size_t best = 0;
        for (size_t v = 1; v < f->v; v++) {
            best = row[v] > row[best] ? v : best;
        }
        for (size_t k = 0; k < f->k; k++) {
            f->shares[i * f->k + k] = 0.1 / (double)f->k + (k == best % f->k ? 0.9 : 0.0);
        }
    }
    for (size_t i = 0; i < f->k * f->v; i++) {
        f->alpha[i] = 1.0;
    }
    return mb_accumulate(f->k, f->v, rows, f->shares, NULL, f->scratch, &f->sums);
}

/* Weights and alpha from the sums: the M-step. */
static mb_status
maximize(fit *f)
{
    for (size_t k = 0; k < f->k; k++) {
        double weight = f->sums.weight[k];
        int capped;
        f->weights[k] = weight / (double)f->n;
        if (f->weights[k] > 1e-12) { /* else nothing speaks of its alpha */
            for (size_t v = 0; v < f->v; v++) {
                f->mean_log[v] = f->sums.log_sums[k * f->v + v] / weight;
            }
            mb_prior_on_alpha prior = {0.0, 0.0, 1e-12 / weight, 1e8, 1e-15};
            MB_TRY(mb_maximize_rows(f->v, f->mean_log, &prior, NULL, f->alpha + k * f->v,
                                    f->scratch, &capped));
        }
    }
    return MB_OK;
}

/* The sums under weights and alpha: the E-step. */
static mb_status
expect(fit *f, const mb_log_rows *rows)
{
    mb_mixture *mixture;
    MB_TRY(mb_mixture_new(f->k, f->v, f->weights, f->alpha, NULL, &mixture));
    memset(f->sums.weight, 0, f->k * (f->v + 1) * sizeof(double));
    f->sums.log_likelihood = 0.0;
    mb_status status = mb_expectation(mixture, rows, NULL, NULL, f->scratch, &f->sums);
    mb_mixture_free(mixture);
    return status;
}

/* EM until a pass adds nothing. */
static mb_status
run(fit *f)
{
    mb_log_rows rows = {f->log_probs, f->n, 1};
    double before = -INFINITY, rise = INFINITY;
    MB_TRY(start(f, &rows));
    for (int pass = 0; pass < 2000 && rise >= 1e-10; pass++) {
        MB_TRY(maximize(f));
        MB_TRY(expect(f, &rows));
        rise = f->sums.log_likelihood - before;
        before = f->sums.log_likelihood;
    }
    (void)printf("log-likelihood %.12g\n", before);
    for (size_t k = 0; k < f->k; k++) {
        (void)printf("weight %.10g alpha", f->weights[k]);
        for (size_t v = 0; v < f->v; v++) {
            (void)printf(" %.10g", f->alpha[k * f->v + v]);
        }
        (void)printf("\n");
    }
    return MB_OK;
}

int
main(int argc, char **argv)
{
    double n = 10, v = 3;
    FILE *file = argc > 2 ? fopen(argv[2], "r") : NULL;
    int is_read = argc <= 2 || (file != NULL && read_number(file, &n) && read_number(file, &v));
    fit f = {.k = argc > 1 ? strtoul(argv[1], NULL, 10) : 2};
    mb_status status = is_read && n >= 1 && n <= MOST && v >= 1 && v <= MOST ? MB_OK : MB_INVALID;
    if (status == MB_OK) {
        f.n = (size_t)n;
        f.v = (size_t)v;
        status = begin(&f);
    }
    status = status == MB_OK ? read_rows(file, &f) : status;
    status = status == MB_OK ? run(&f) : status;
    mb_free(f.room);
    if (file != NULL) {
        (void)fclose(file);
    }
    if (status != MB_OK) {
        (void)fprintf(stderr, "no fit: status %d of core/base/status.h\n", (int)status);
    }
    return status == MB_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
