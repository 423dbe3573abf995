/* One row of floats or doubles, included by rows.c for both (hence no guard).
 *
 * The includer defines REAL, its type as a row's REAL_TYPE, its largest number REAL_MAX, NAME(x),
 * x with a suffix, and RUN(x, ...), which calls the loop x of rows_kernel.h for that type. */

/* ---- Sums of exponentials ----------------------------------------------- */

/* What was found in the numbers so far, NaN passed over. */
typedef struct {
    REAL low, high; /* of numbers and the ends of what is finite */
    double sum;     /* of e^(x - high), or of x where these are probabilities; of NaN, NaN */
} NAME(summary);

/* Adds the exponentials of x, at most PIECE numbers. */
static void
NAME(add)(NAME(summary) * total, size_t n, const REAL *x)
{
    REAL before = total->high, exponentials[PIECE] MB_FILLED;
    RUN(stretch, n, x, &total->low, &total->high);
    if (total->high > before) {
        total->sum *= exp_value((double)before - (double)total->high);
    }
    RUN(exponentials, n, x, total->high, exponentials);
    total->sum += RUN(sum, n, exponentials);
}

/* ---- A row -------------------------------------------------------------- */

/* Numbers of a row, at most PIECE: where they are if they are so there, else loaded. */
static const REAL *
NAME(numbers)(const mb_row_view *rows, size_t row, size_t from, size_t n, REAL *loaded)
{
    const void *data = place(rows, row, from);
    if (rows->type == REAL_TYPE && rows->column_stride == (ptrdiff_t)sizeof(REAL) &&
        (uintptr_t)data % sizeof(REAL) == 0) {
        return data;
    }
    NAME(load)(rows, row, from, n, loaded);
    return loaded;
}

/* The first column of a row that is not in [low, high], so NaN too, and its number; the row's
 * length where there is none.  The row is x, or where that is NULL still the caller's. */
static size_t
NAME(find)(const mb_row_view *rows, size_t row, const REAL *x, REAL low, REAL high, REAL *value)
{
    size_t n = rows->n_columns;
    for (size_t from = 0; from < n; from += PIECE) {
        size_t size = n - from < PIECE ? n - from : PIECE;
        REAL loaded[PIECE];
        const REAL *piece = x != NULL ? x + from : NAME(numbers)(rows, row, from, size, loaded);
        size_t end = RUN(any_outside, size, piece, low, high) ? size : 0;
        for (size_t i = 0; i < end; i++) {
            if (!(piece[i] >= low && piece[i] <= high)) {
                *value = piece[i];
                return from + i;
            }
        }
    }
    return n; /* never: only what another thread changes between two looks */
}

/* x less the logarithm of its total, and less what rounding takes from that,
 * which may be much where x is large. */
static void
NAME(normalise)(size_t n, REAL *x, const NAME(summary) * total)
{
    double high = (double)total->high, log_sum = log_value(total->sum);
    REAL rounded = (REAL)(high + log_sum);
    RUN(subtract, n, x, rounded, (REAL)((high - (double)rounded) + log_sum));
}

/* The largest number that a row of this kind may hold. */
static REAL
NAME(most)(mb_row_kind kind)
{
    return kind == MB_LOG_PROBS ? (REAL)MB_ROW_TOLERANCE : REAL_MAX;
}

/* Whether rounding of the row's numbers, or of probabilities whose logarithms they are, explains
 * that so much is missing to 1. */
static mb_status
NAME(explain)(const mb_row_view *rows, size_t row, mb_row_kind kind, const REAL *x,
              const NAME(summary) * found, double missing, mb_interrupt *interrupt, int *explained)
{
    double range = (double)found->high - (double)found->low;
    mb_rounding own = {(double)found->low, range / 65535, {0}}, of_probs = {0, 0, {0}};
    size_t n = rows->n_columns;
    for (size_t from = 0; from < n; from += PIECE) {
        size_t size = n - from < PIECE ? n - from : PIECE;
        REAL loaded[PIECE];
        const REAL *piece = x != NULL ? x + from : NAME(numbers)(rows, row, from, size, loaded);
        for (size_t i = 0; i < size; i++) {
            double value = (double)piece[i];
            if (kind == MB_PROBS) {
                mb_rounding_add(&of_probs, value, 1, FLOAT_PRECISION);
                continue;
            }
            double prob = exp_value(value);
            double spread = prob > 0 ? 1 + fabs(value) : 0; /* of the logarithm's own error */
            mb_rounding_add(&of_probs, prob, 1, FLOAT_PRECISION * spread);
            if (prob > 0) {
                mb_rounding_add(&own, value, prob, FLOAT_PRECISION);
            }
        }
        MB_TRY(mb_ask(interrupt, (size_t)ROUNDING * size));
    }
    double most = mb_rounding_error(&own), other = mb_rounding_error(&of_probs);
    *explained = missing <= (most > other ? most : other) * (1 + 1e-6);
    return MB_OK;
}

/* Refuses a row of which this was found, and whose probabilities have this sum. */
static mb_status
NAME(examine)(const mb_row_view *rows, size_t row, mb_row_kind kind, const REAL *x,
              const NAME(summary) * found, double sum, mb_interrupt *interrupt, mb_row_fault *fault)
{
    REAL low = kind == MB_PROBS ? 0 : -(REAL)INFINITY;
    REAL high = NAME(most)(kind), value = 0;
    *fault = (mb_row_fault){MB_ROW_SUM, row, 0, sum};
    if (isnan(sum) || found->low < low || found->high > high) {
        size_t column = NAME(find)(rows, row, x, low, high, &value);
        if (column < rows->n_columns) { /* unless it was changed meanwhile */
            *fault = (mb_row_fault){fault_of((double)value), row, column, (double)value};
        }
        return MB_INVALID;
    }
    if (sum < NOTHING) {
        fault->kind = MB_ROW_EMPTY;
        return MB_INVALID;
    }
    if (kind == MB_LOGITS) {
        return MB_OK;
    }
    if (fabs(sum - 1) > MB_ROW_TOLERANCE) {
        return MB_INVALID;
    }
    int explained = 1;
    int is_short = rows->type == MB_FLOAT16 || rows->type == MB_BFLOAT16;
    if (!is_short && 1 - sum > MB_ROW_MISSING(rows->n_columns)) {
        MB_TRY(NAME(explain)(rows, row, kind, x, found, 1 - sum, interrupt, &explained));
        fault->kind = MB_ROW_PART;
    }
    return explained ? MB_OK : MB_INVALID;
}

/* Into out, unless that is NULL: then log-probabilities are only looked at. */
static mb_status
NAME(log_probs)(const mb_row_view *rows, mb_row_kind kind, size_t row, mb_interrupt *interrupt,
                REAL *out, mb_row_zeros *zeros, mb_row_fault *fault)
{
    size_t n = rows->n_columns;
    NAME(summary) total = {REAL_MAX, -REAL_MAX, 0};
    for (size_t from = 0; from < n; from += PIECE) {
        size_t size = n - from < PIECE ? n - from : PIECE;
        REAL loaded[PIECE];
        const REAL *x = out != NULL ? out + from : NAME(numbers)(rows, row, from, size, loaded);
        if (out != NULL) {
            NAME(load)(rows, row, from, size, out + from);
        }
        if (kind == MB_PROBS) {
            RUN(stretch, size, x, &total.low, &total.high);
            total.sum += RUN(sum, size, x);
        } else {
            NAME(add)(&total, size, x);
        }
        if (total.high > NAME(most)(kind)) {
            break; /* it is refused: a row may be one number, seen again and again without end */
        }
        MB_TRY(mb_ask(interrupt, LOOK_UP * size));
    }
    double sum = kind == MB_LOG_PROBS ? total.sum * exp_value((double)total.high) : total.sum;
    MB_TRY(NAME(examine)(rows, row, kind, out, &total, sum, interrupt, fault));
    REAL least = total.low, value; /* what becomes of it says whether there is a zero */
    if (kind == MB_LOGITS) {
        NAME(normalise)(n, out, &total);
        NAME(normalise)(1, &least, &total);
    } else if (kind == MB_PROBS) {
        RUN(logarithms, n, out);
        RUN(logarithms, 1, &least);
    }
    if (least < -REAL_MAX && zeros->n_rows++ == 0) {
        zeros->row = row;
        zeros->column = NAME(find)(rows, row, out, -REAL_MAX, REAL_MAX, &value);
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
    NAME(summary) total = {REAL_MAX, -REAL_MAX, 0};
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
