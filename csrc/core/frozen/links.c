/* Links: their encoding, and whether words are one. */
#include "core/frozen/links.h"

enum { PER_LINK = 8 /* nanoseconds */, LINKS_PIECE = 1 << 10 };

mb_status
mb_links_bits(uint64_t n_from, uint64_t n_tokens, unsigned *token_bits, unsigned *bits)
{
    unsigned of_token = mb_bits_of(n_tokens - 1);
    *token_bits = of_token > 0 ? of_token : 1;
    *bits = mb_bits_of(n_from - 1) + *token_bits;
    return *bits <= MB_MAX_WIDTH ? MB_OK : MB_RANGE;
}

/* How many buckets n pairs have: of MB_LINKS_FILL on average, or up to twice as many. */
static unsigned
links_bucket_bits(unsigned bits, size_t n)
{
    unsigned of_buckets = mb_bits_of(n / MB_LINKS_FILL);
    of_buckets = of_buckets > 0 ? of_buckets - 1 : 0;
    return of_buckets < bits ? of_buckets : bits;
}

/* Writes how many pairs each bucket has. */
static mb_status
size_buckets(unsigned shift, size_t n, const uint64_t *mixed, mb_interrupt *interrupt,
             uint64_t *sizes)
{
    for (size_t i = 0; i < n; i++) {
        sizes[mixed[i] >> shift]++;
        MB_TRY(i % LINKS_PIECE == 0 ? mb_ask(interrupt, (size_t)PER_LINK * LINKS_PIECE) : MB_OK);
    }
    return MB_OK;
}

/* Words of a head, the sizes (copied) and the rest of each pair. */
static mb_status
write_links(unsigned width, size_t n, const uint64_t *mixed, size_t n_sizes, const uint64_t *sizes,
            mb_interrupt *interrupt, uint64_t **words, size_t *n_words)
{
    size_t packed = 0, before = MB_LINKS_HEAD + n_sizes;
    (void)mb_packed_size(n, width, &packed); /* it is counted: `mixed` is as many words and more */
    *n_words = before + packed;
    uint64_t *made = mb_calloc(*n_words, sizeof(uint64_t)), mask = ((uint64_t)1 << width) - 1;
    if (made == NULL) {
        return MB_NOMEM;
    }
    made[0] = n;
    made[1] = n_sizes;
    for (size_t i = 0; i < n_sizes; i++) {
        made[MB_LINKS_HEAD + i] = sizes[i];
    }
    mb_status status = MB_OK;
    for (size_t i = 0; i < n && status == MB_OK; i++) {
        mb_packed_write(made + before, width, i, mixed[i] & mask);
        status = i % LINKS_PIECE == 0 ? mb_ask(interrupt, (size_t)PER_LINK * LINKS_PIECE) : MB_OK;
    }
    if (status == MB_OK) {
        *words = made;
    } else {
        mb_free(made);
    }
    return status;
}

mb_status
mb_links_encode(unsigned bits, size_t n, const uint64_t *mixed, mb_interrupt *interrupt,
                uint64_t **words, size_t *n_words)
{
    unsigned of_buckets = links_bucket_bits(bits, n), width = bits - of_buckets;
    size_t n_buckets = (size_t)1 << of_buckets, n_sizes = 0, size;
    uint64_t *many = mb_calloc(n_buckets, sizeof(uint64_t)), *sizes = NULL;
    if (many == NULL) {
        return MB_NOMEM;
    }
    mb_status status = size_buckets(width, n, mixed, interrupt, many);
    if (status == MB_OK) {
        status = mb_numbers_encode(n_buckets, many, interrupt, &sizes, &n_sizes);
    }
    mb_free(many);
    if (status == MB_OK) {
        status = write_links(width, n, mixed, n_sizes, sizes, interrupt, words, &size);
        *n_words = status == MB_OK ? size : *n_words;
    }
    mb_free(sizes);
    return status;
}

mb_status
mb_links_open(uint64_t n_from, uint64_t n_tokens, size_t n_words, const uint64_t *words,
              mb_links *out)
{
    mb_links links;
    size_t packed;
    if (n_words < MB_LINKS_HEAD ||
        mb_links_bits(n_from, n_tokens, &links.token_bits, &links.bits) != MB_OK) {
        return MB_INVALID;
    }
    uint64_t n = words[0], n_sizes = words[1];
    size_t left = n_words - MB_LINKS_HEAD;
    if (n > SIZE_MAX || n_sizes > left ||
        mb_numbers_open((size_t)n_sizes, words + MB_LINKS_HEAD, &links.sizes) != MB_OK) {
        return MB_INVALID;
    }
    if (n > (uint64_t)1 << links.bits) { /* they are different */
        return MB_INVALID;
    }
    links.n = (size_t)n;
    links.bucket_bits = links_bucket_bits(links.bits, links.n);
    if (links.sizes.n != (size_t)1 << links.bucket_bits ||
        !mb_packed_size(links.n, links.bits - links.bucket_bits, &packed) ||
        packed != left - n_sizes) {
        return MB_INVALID;
    }
    links.rest = words + MB_LINKS_HEAD + n_sizes;
    *out = links;
    return MB_OK;
}

mb_status
mb_links_check(const mb_links *links, uint64_t n_from, uint64_t n_tokens, mb_interrupt *interrupt)
{
    unsigned width = links->bits - links->bucket_bits;
    uint64_t sum, mask = ((uint64_t)1 << links->token_bits) - 1;
    MB_TRY(mb_numbers_check(&links->sizes, interrupt, &sum));
    if (sum != links->n || !mb_packed_ends(links->rest, width, links->n)) {
        return MB_INVALID;
    }
    for (uint64_t b = 0; b < links->sizes.n; b++) {
        uint64_t before = 0;
        size_t low, high; /* in range, also where sizes have changed since they were checked */
        mb_links_range(links, b << width, &low, &high);
        for (size_t i = low; i < high; i++) {
            uint64_t rest = mb_packed_read(links->rest, width, i);
            uint64_t pair = mb_links_unmix(links->bits, b << width | rest);
            if ((i > low && rest <= before) || (pair & mask) >= n_tokens ||
                pair >> links->token_bits >= n_from) {
                return MB_INVALID;
            }
            before = rest;
        }
        MB_TRY(mb_ask(interrupt, PER_LINK * (1 + high - low)));
    }
    return MB_OK;
}

mb_status
mb_links_pairs(const mb_links *links, mb_interrupt *interrupt, uint64_t *pairs)
{
    unsigned width = links->bits - links->bucket_bits;
    for (size_t i = 0; i < links->n; i++) {
        pairs[i] = 0; /* where the sizes do not say whose it is */
    }
    for (uint64_t b = 0; b < links->sizes.n; b++) {
        size_t low, high;
        mb_links_range(links, b << width, &low, &high);
        for (size_t i = low; i < high; i++) {
            uint64_t rest = mb_packed_read(links->rest, width, i);
            pairs[i] = mb_links_unmix(links->bits, b << width | rest);
        }
        MB_TRY(mb_ask(interrupt, PER_LINK * (1 + high - low)));
    }
    return MB_OK;
}
