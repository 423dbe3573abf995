/* One row of floats or doubles, included by rows.c for both (hence no guard).
 *
 * The includer defines REAL, its largest number REAL_MAX, NAME(x), x with a suffix, and
 * RUN(x, ...), which calls the loop x of rows_kernel.h for that type. */

/* The first of x that is not in [low, high], so NaN too; n where there is none. */
static size_t
NAME(first_outside)(size_t n, const REAL *x, REAL low, REAL high)
{
    size_t i = RUN(any_outside, n, x, low, high) ? 0 : n;
    while (i < n && x[i] >= low && x[i] <= high) {
        i++;
    }
    return i;
}

/* ---- Sums of exponentials ----------------------------------------------- */

/* The sum of e^(x - high), high the largest x so far but at least -REAL_MAX. */
typedef struct {
    REAL high;
    double sum;
} NAME(exp_sum);

/* Adds what x holds, at most PIECE numbers. */
static void
NAME(add)(NAME(exp_sum) * total, size_t n, const REAL *x)
{
    REAL high = RUN(highest, n, x), exponentials[PIECE];
    if (high > total->high) {
        total->sum *= exp_value((double)total->high - (double)high);
        total->high = high;
    }
    RUN(exponentials, n, x, total->high, exponentials);
    total->sum += RUN(sum, n, exponentials);
}

/* ---- A row -------------------------------------------------------------- */

/* x less the logarithm of its total, and less what rounding takes from that,
 * which may be much where x is large. */
static void
NAME(normalise)(size_t n, REAL *x, NAME(exp_sum) total)
{
    double high = (double)total.high, log_sum = log_value(total.sum);
    REAL rounded = (REAL)(high + log_sum);
    RUN(subtract, n, x, rounded, (REAL)((high - (double)rounded) + log_sum));
}

/* Refuses a row x whose probabilities have this sum. */
static mb_status
NAME(examine)(size_t n, const REAL *x, mb_row_kind kind, double sum, mb_row_fault *fault)
{
    REAL low = kind == MB_PROBS ? 0 : -(REAL)INFINITY;
    REAL high = kind == MB_LOG_PROBS ? (REAL)MB_ROW_TOLERANCE : REAL_MAX;
    /* NaN and infinite logits are in the sum; looking for them takes time. */
    int suspect = kind != MB_LOGITS || !(sum < INFINITY);
    size_t column = suspect ? NAME(first_outside)(n, x, low, high) : n;
    if (column < n) {
        fault->column = column;
        fault->value = (double)x[column];
        fault->kind = fault_of(fault->value);
        return MB_INVALID;
    }
    if (sum < NOTHING || (kind != MB_LOGITS && fabs(sum - 1) > MB_ROW_TOLERANCE)) {
        fault->column = 0;
        fault->value = sum;
        fault->kind = sum < NOTHING ? MB_ROW_EMPTY : MB_ROW_SUM;
        return MB_INVALID;
    }
    return MB_OK;
}

static mb_status
NAME(log_probs)(const mb_row_view *rows, mb_row_kind kind, size_t row, mb_interrupt *interrupt,
                REAL *out, mb_row_fault *fault)
{
    size_t n = rows->n_columns;
    NAME(exp_sum) total = {-REAL_MAX, 0};
    for (size_t from = 0; from < n; from += PIECE) {
        size_t size = n - from < PIECE ? n - from : PIECE;
        NAME(load)(rows, row, from, size, out + from);
        if (kind == MB_PROBS) {
            total.sum += RUN(sum, size, out + from);
        } else {
            NAME(add)(&total, size, out + from);
        }
        MB_TRY(mb_ask(interrupt, LOOK_UP * size));
    }
    double sum = kind == MB_LOG_PROBS ? total.sum * exp_value((double)total.high) : total.sum;
    fault->row = row;
    MB_TRY(NAME(examine)(n, out, kind, sum, fault));
    if (kind == MB_LOGITS) {
        NAME(normalise)(n, out, total);
    } else if (kind == MB_PROBS) {
        RUN(logarithms, n, out);
    }
    return MB_OK;
}

static mb_status
NAME(check)(const mb_row_view *rows, size_t row, mb_interrupt *interrupt, REAL *scratch,
            mb_row_zeros *zeros, mb_row_fault *fault)
{
    MB_TRY(NAME(log_probs)(rows, MB_LOG_PROBS, row, interrupt, scratch, fault));
    size_t column = NAME(first_outside)(rows->n_columns, scratch, -REAL_MAX, REAL_MAX);
    if (column < rows->n_columns && zeros->n_rows++ == 0) {
        zeros->row = row;
        zeros->column = column;
    }
    return MB_OK;
}

/* ---- Groups ------------------------------------------------------------- */

static REAL
NAME(log_sum_exp)(size_t n, const REAL *x)
{
    if (n == 1) { /* as it would be anyway, but at once */
        return x[0];
    }
    NAME(exp_sum) total = {-REAL_MAX, 0};
    for (size_t from = 0; from < n; from += PIECE) {
        NAME(add)(&total, n - from < PIECE ? n - from : PIECE, x + from);
    }
    return total.sum < NOTHING ? -(REAL)INFINITY
                               : (REAL)((double)total.high + log_value(total.sum));
}

static mb_status
NAME(lump)(const mb_groups *groups, const REAL *x, mb_interrupt *interrupt, REAL *members,
           REAL *out, mb_row_fault *fault)
{
    const size_t *starts = groups->starts;
    const uint32_t *order = groups->order;
    for (size_t from = 0; from < groups->n_columns; from += PIECE) {
        size_t end = groups->n_columns - from < PIECE ? groups->n_columns : from + PIECE;
        for (size_t j = from; j < end; j++) {
            members[j] = x[order[j]];
        }
        MB_TRY(mb_ask(interrupt, (size_t)LOOK_UP * PIECE));
    }
    for (size_t g = 0; g < groups->n_groups; g++) {
        size_t n = starts[g + 1] - starts[g];
        out[g] = NAME(log_sum_exp)(n, members + starts[g]);
        MB_TRY(mb_ask(interrupt, LOOK_UP * (n + 1)));
    }
    if (!RUN(any_outside, groups->n_groups, out, -(REAL)INFINITY, REAL_MAX)) {
        return MB_OK;
    }
    fault->column = SIZE_MAX;
    for (size_t j = 0; j < groups->n_columns; j++) {
        if (!(members[j] <= REAL_MAX) && order[j] < fault->column) {
            fault->column = order[j];
            fault->value = (double)members[j];
        }
    }
    fault->kind = fault_of(fault->value);
    return MB_INVALID;
}
