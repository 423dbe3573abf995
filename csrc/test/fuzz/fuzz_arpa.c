/* Texts in the format of ARPA: what is refused names a piece of the text; what is read stands there,
 * and is written and read again as it was. */
#include "core/arpa/number.h"
#include "core/arpa/read.h"
#include "core/arpa/write.h"
#include "test/fuzz/provider.h"

enum { MOST_GRAMS = 1 << 12 };

typedef struct {
    size_t n;
    uint32_t *before, *words;
    double *probs, *backs;
} order_read;

static void
begin_order(order_read *order, size_t n)
{
    order->n = n;
    order->before = exactly(n, sizeof *order->before);
    order->words = exactly(n, sizeof *order->words);
    order->probs = exactly(n, sizeof *order->probs);
    order->backs = exactly(n, sizeof *order->backs);
}

static void
end_order(order_read *order)
{
    free(order->before);
    free(order->words);
    free(order->probs);
    free(order->backs);
}

/* No two n-grams are the same, and all lead to what is there. */
static void
check_order(const order_read *orders, size_t k)
{
    const order_read *own = orders + k, *shorter = own - 1;
    for (size_t i = 0; i < own->n; i++) {
        HOLDS(own->probs[i] <= 0.0 && isfinite(own->backs[i]) && own->backs[i] <= 10.0);
        HOLDS(own->words[i] < orders[1].n);
        HOLDS(k == 1 ? own->before[i] == 0 : own->before[i] < shorter->n);
        for (size_t j = 0; j < i; j++) {
            HOLDS(own->words[i] != own->words[j] || own->before[i] != own->before[j]);
        }
    }
}

/* Words are pieces of the text without blanks, all different. */
static void
check_words(const mb_arpa *arpa, size_t n, const char *text)
{
    for (size_t i = 0; i < mb_arpa_size(arpa, 1); i++) {
        size_t start, length, other, as_long;
        mb_arpa_word(arpa, i, &start, &length);
        HOLDS(length > 0 && start < n && length <= n - start);
        HOLDS(memchr(text + start, ' ', length) == NULL);
        HOLDS(memchr(text + start, '\n', length) == NULL);
        for (size_t j = 0; j < i; j++) {
            mb_arpa_word(arpa, j, &other, &as_long);
            HOLDS(as_long != length || memcmp(text + start, text + other, length) != 0);
        }
    }
}

/* Numbers are those of strtold(), of at most 15 digits the same, whatever is written is read so. */
static void
check_number(size_t n, const char *text)
{
    char copy[64] = {0}, written[MB_NUMBER_ROOM], *end;
    double got, again;
    if (n >= sizeof copy || !mb_number_read(n, text, &got)) {
        return;
    }
    memcpy(copy, text, n);
    long double wanted = strtold(copy, &end);
    HOLDS(end == copy + n);
    HOLDS(is_near((long double)got, wanted, 0x1p-50L, 0x1p-1070L) ||
          (isinf(got) && fabsl(wanted) > 1.7e308L));
    if (isfinite(got)) {
        size_t length = mb_number_write(got, written);
        HOLDS(length <= MB_NUMBER_ROOM && mb_number_read(length, written, &again));
        HOLDS(is_near((long double)again, (long double)got, 5.1e-9L, 1e-22L) || fabs(got) > 1e22);
    }
}

/* The single words, written and read again. */
static void
check_there_and_back(const mb_arpa *arpa, const order_read *ones, const char *text)
{
    size_t n = ones->n, room = 0, written = 0, names = 0, start, length;
    int64_t *words = exactly(n, sizeof *words), *ends = exactly(n, sizeof *ends);
    for (size_t i = 0; i < n; i++) {
        mb_arpa_word(arpa, i, &start, &length);
        names += length;
        words[i] = (int64_t)i;
        ends[i] = (int64_t)names;
        HOLDS(ones->probs[i] >= -1e22 || !isnan(ones->probs[i]));
    }
    char *all = exactly(names, 1);
    for (size_t i = 0; i < n; i++) {
        mb_arpa_word(arpa, i, &start, &length);
        memcpy(all + (size_t)ends[i] - length, text + start, length);
    }
    mb_arpa_grams grams = {n, 1, n, words, ones->probs, ones->backs, ends, all, names};
    HOLDS(mb_arpa_room(&grams, NULL, &room) == MB_OK);
    char *out = exactly(room, 1);
    HOLDS(mb_arpa_write(&grams, NULL, room, out, &written) == MB_OK && written <= room);
    size_t lines = 0;
    for (size_t i = 0; i < written; i++) {
        lines += out[i] == '\n';
    }
    HOLDS(lines == n);
    free(out);
    free(all);
    free(ends);
    free(words);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mb_arpa *arpa = NULL;
    mb_arpa_fault fault = {0};
    const uint64_t key[2] = {size, 7};
    char *text = exactly(size, 1);
    if (size > 0) {
        memcpy(text, data, size);
    }
    check_number(size, text);
    mb_status status = mb_arpa_new(size, text, NULL, &fault, &arpa);
    order_read orders[MB_ARPA_ORDERS + 1] = {{0}};
    size_t n_read = 0;
    if (status == MB_OK) {
        mb_arpa_set_key(arpa, key);
        HOLDS(mb_arpa_order(arpa) >= 1 && mb_arpa_order(arpa) <= MB_ARPA_ORDERS);
    }
    for (size_t k = 1; status == MB_OK && k <= mb_arpa_order(arpa); k++) {
        HOLDS(mb_arpa_size(arpa, k) <= size);
        begin_order(&orders[k], mb_arpa_size(arpa, k));
        n_read = k;
        status = mb_arpa_read(arpa, NULL, &fault, orders[k].before, orders[k].words,
                              orders[k].probs, orders[k].backs);
        if (status == MB_OK && orders[k].n < MOST_GRAMS) {
            check_order(orders, k);
        }
    }
    status = status == MB_OK ? mb_arpa_finish(arpa, NULL, &fault) : status;
    HOLDS(status == MB_OK || status == MB_INVALID);
    if (status == MB_OK) {
        check_words(arpa, size, text);
        check_there_and_back(arpa, orders + 1, text);
    } else {
        HOLDS(fault.why != NULL && fault.start <= size && fault.length <= size - fault.start);
    }
    for (size_t k = 1; k <= n_read; k++) {
        end_order(orders + k);
    }
    mb_arpa_free(arpa);
    free(text);
    return 0;
}
