/* Rows with discounts: pairs and their rows, found in counts. */
#include "core/matrix/discounts.h"

#include "core/matrix/ngram_search.h"

#include <string.h>

enum {
    KEYS = MB_SEARCHES,
    COST = 128, /* nanoseconds of a row that is looked for */
    PAIR = 8,   /* and of a pair that is read */
    PIECE = 1 << 10
};

/* Events and where they go. */
typedef struct {
    const mb_key_layout *layout;
    const mb_run *run, *events;
    double *counts;
} row_reader;

/* Where the row of events that begins at `low` ends. */
static size_t
end_of_row(const row_reader *r, size_t low)
{
    const size_t n_words = r->layout->n_words;
    size_t end = low + 1;
    while (end < r->events->n && mb_key_same_context(r->layout, r->events->keys + end * n_words,
                                                     r->events->keys + low * n_words)) {
        end++;
    }
    return end;
}

/* Reads the row at `place` whose events are `low` up to `high`: both have their tokens in order. */
static mb_status
read_row_of(const row_reader *r, size_t place, size_t low, size_t high, mb_interrupt *interrupt,
            double *sizes)
{
    const size_t n_words = r->layout->n_words;
    const uint64_t *first = r->events->keys + low * n_words;
    memset(r->counts + low, 0, (high - low) * sizeof(double));
    memset(sizes, 0, MB_ROW_SIZES * sizeof(double));
    for (; place < r->run->n; place++) {
        const uint64_t *key = r->run->keys + place * n_words;
        if (!mb_key_same_context(r->layout, key, first)) {
            break;
        }
        double count = (double)mb_run_count(r->run, place);
        size_t class = mb_class_of_count(count);
        sizes[0] += count;
        if (class < MB_CLASSES) {
            sizes[1 + class] += 1.0;
        }
        while (low < high && mb_key_before(n_words, r->events->keys + low * n_words, key)) {
            low++;
        }
        if (low < high && mb_key_equal(n_words, r->events->keys + low * n_words, key)) {
            r->counts[low++] = count;
        }
        MB_TRY(mb_ask(interrupt, PAIR));
    }
    return MB_OK;
}

/* Reads the rows of `many` contexts, the first of which is number `row` and whose events begin at
 * starts [many + 1]. */
static mb_status
read_rows_of(const row_reader *r, size_t many, const size_t *starts, const uint64_t *keys,
             size_t row, mb_interrupt *interrupt, int64_t *rows, double *sizes)
{
    size_t places[KEYS] = {0};
    if (r->run->n > 0) {
        mb_run_search(r->layout, r->run, many, keys, places);
    }
    for (size_t k = 0; k < many; k++, row++) {
        MB_TRY(read_row_of(r, places[k], starts[k], starts[k + 1], interrupt,
                           sizes + row * MB_ROW_SIZES));
        for (size_t i = starts[k]; i < starts[k + 1]; i++) {
            rows[i] = (int64_t)row;
        }
    }
    return mb_ask(interrupt, COST * many);
}

static mb_status
read_all_rows(const row_reader *r, size_t n_rows, mb_interrupt *interrupt, int64_t *rows,
              double *sizes)
{
    const size_t n_words = r->layout->n_words;
    size_t row = 0, next = 0;
    while (next < r->events->n) {
        uint64_t keys[KEYS * MB_MAX_WORDS] MB_FILLED;
        size_t starts[KEYS + 1] = {0}, many = 0;
        while (many < KEYS && next < r->events->n) {
            for (size_t w = 0; w < n_words; w++) {
                keys[many * n_words + w] =
                    r->events->keys[next * n_words + w] & r->layout->of_context[w];
            }
            starts[many++] = next;
            next = end_of_row(r, next);
            starts[many] = next;
            MB_TRY(mb_ask(interrupt, PAIR * (next - starts[many - 1])));
        }
        if (many > n_rows - row) {
            return MB_INVALID;
        }
        MB_TRY(read_rows_of(r, many, starts, keys, row, interrupt, rows, sizes));
        row += many;
    }
    return row == n_rows ? MB_OK : MB_INVALID;
}

mb_status
mb_discounted_rows(const mb_transitions *counts, const mb_transitions *events, size_t n_rows,
                   mb_interrupt *interrupt, double *out_counts, int64_t *row, double *sizes)
{
    mb_run *run, *pairs;
    MB_TRY(mb_transitions_run(events, &pairs));
    mb_status status = mb_transitions_run(counts, &run);
    if (status == MB_OK) {
        row_reader r = {&events->layout, run, pairs, out_counts};
        status = read_all_rows(&r, n_rows, interrupt, row, sizes);
        mb_run_free(run);
    }
    mb_run_free(pairs);
    return status;
}

/* ---- shorter pairs -------------------------------------------------------------------------- */

static mb_status
find_shorter(const mb_key_layout *layout, const mb_run *events, const mb_key_layout *shorter,
             const mb_run *run, mb_interrupt *interrupt, int64_t *out)
{
    const size_t n_words = shorter->n_words;
    for (size_t at = 0; at < events->n; at += KEYS) {
        uint64_t keys[KEYS * MB_MAX_WORDS] MB_FILLED;
        size_t places[KEYS] = {0}, many = events->n - at < KEYS ? events->n - at : KEYS;
        for (size_t i = 0; i < many; i++) {
            mb_key_shorten(layout, layout->n_words, shorter, n_words,
                           events->keys + (at + i) * layout->n_words, keys + i * n_words);
        }
        if (run->n > 0) {
            mb_run_search(shorter, run, many, keys, places);
        }
        for (size_t i = 0; i < many; i++) {
            if (places[i] >= run->n ||
                !mb_key_equal(n_words, run->keys + places[i] * n_words, keys + i * n_words)) {
                return MB_INVALID;
            }
            out[at + i] = (int64_t)places[i];
        }
        MB_TRY(mb_ask(interrupt, COST * many));
    }
    return MB_OK;
}

mb_status
mb_shorter_pairs(const mb_transitions *events, const mb_transitions *shorter,
                 mb_interrupt *interrupt, int64_t *places)
{
    mb_run *run, *pairs;
    MB_TRY(mb_transitions_run(events, &pairs));
    mb_status status = mb_transitions_run(shorter, &run);
    if (status == MB_OK) {
        status = find_shorter(&events->layout, pairs, &shorter->layout, run, interrupt, places);
        mb_run_free(run);
    }
    mb_run_free(pairs);
    return status;
}

/* ---- counts of counts ----------------------------------------------------------------------- */

mb_status
mb_counts_of_counts(const mb_transitions *counts, size_t most, mb_interrupt *interrupt,
                    uint64_t *out)
{
    memset(out, 0, most * sizeof(uint64_t));
    for (size_t i = 0; counts->n_runs > 0 && i < counts->runs[0]->n; i++) {
        uint64_t count = counts->runs[0]->counts[i];
        if (count > 0 && count <= most) {
            out[count - 1]++;
        }
        MB_TRY(i % PIECE == 0 ? mb_ask(interrupt, (size_t)PIECE) : MB_OK);
    }
    return MB_OK;
}
