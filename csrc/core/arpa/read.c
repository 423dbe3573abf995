/* A pass over the lines.  An n-gram's first words are found a word at a time, from n-gram to longer
 * n-gram, as far as they are not those of the line before. */
#include "core/arpa/read.h"

#include "core/arpa/lines.h"
#include "core/arpa/number.h"
#include "core/arpa/words.h"
#include "core/base/mem.h"

#include <math.h>
#include <string.h>

enum {
    FIELDS = MB_ARPA_ORDERS + 2, /* of a line: the words, and two numbers */
    MOST_BACK = 10, /* log10 of a weight: sixteen of them stay far from the largest double */
    COST = 400,     /* nanoseconds of an n-gram */
    PIECE = 1 << 10 /* n-grams between two questions */
};

struct mb_arpa {
    mb_lines in;
    size_t order, done; /* words of the longest n-grams; orders that were read */
    size_t sizes[MB_ARPA_ORDERS + 1];
    mb_words words;
    mb_grams grams[MB_ARPA_ORDERS + 1]; /* from order 2 on */
    size_t known;                       /* first words of the n-gram before that were found */
    uint32_t last[MB_ARPA_ORDERS], path[MB_ARPA_ORDERS];
    size_t n_seen; /* words of the line before, and their numbers */
    mb_piece seen[MB_ARPA_ORDERS];
    uint32_t seen_ids[MB_ARPA_ORDERS];
};

static mb_status
refuse(const mb_arpa *arpa, mb_piece what, const char *why, mb_arpa_fault *fault)
{
    *fault = (mb_arpa_fault){arpa->in.line, what.start, what.end - what.start, why};
    return MB_INVALID;
}

/* The counts: "ngram 1=20" and so on, until a section begins. */
static mb_status
read_counts(mb_arpa *arpa, mb_interrupt *interrupt, mb_arpa_fault *fault)
{
    mb_piece line;
    size_t least = 0; /* characters that so many n-grams need */
    while (arpa->order <= MB_ARPA_ORDERS) {
        size_t at = arpa->in.at, lines = arpa->in.line, order, size, n_bytes;
        int is_there;
        MB_TRY(mb_lines_next_text(&arpa->in, interrupt, &line, &is_there));
        if (!is_there) {
            return refuse(arpa, line, "the text ends before the n-grams", fault);
        }
        if (arpa->in.text[line.start] == '\\') {
            arpa->in.at = at;
            arpa->in.line = lines;
            break;
        }
        mb_piece rest = {line.start + 5, line.end};
        if (line.end - line.start < 6 || memcmp(arpa->in.text + line.start, "ngram", 5) != 0 ||
            !mb_piece_number(&arpa->in, &rest, '=', &order) ||
            !mb_piece_number(&arpa->in, &rest, '\0', &size)) {
            return refuse(arpa, line, "this is no count, such as 'ngram 1=20'", fault);
        }
        if (order != arpa->order + 1 || order > MB_ARPA_ORDERS) {
            return refuse(arpa, line, "counts are of 1, 2, ... words, of 17 at most", fault);
        }
        if (size >= MB_NO_ENTRY || !mb_multiply(size, 2 * order + 2, &n_bytes) ||
            n_bytes > arpa->in.n + 1 - least) {
            return refuse(arpa, line, "so many n-grams are more than the text holds", fault);
        }
        least += n_bytes;
        arpa->sizes[++arpa->order] = size;
    }
    if (arpa->order == 0) {
        return refuse(arpa, line, "no counts are here, such as 'ngram 1=20'", fault);
    }
    return MB_OK;
}

static mb_status
read_head(mb_arpa *arpa, mb_interrupt *interrupt, mb_arpa_fault *fault)
{
    mb_piece line = {0};
    if (arpa->in.n >= 3 && memcmp(arpa->in.text, "\xEF\xBB\xBF", 3) == 0) {
        arpa->in.at = 3;
    }
    int is_there;
    do {
        MB_TRY(mb_lines_next_text(&arpa->in, interrupt, &line, &is_there));
        if (!is_there) {
            return refuse(arpa, line, "no line is '\\data\\': this is no ARPA file", fault);
        }
    } while (!mb_piece_is(&arpa->in, line, "\\data\\"));
    MB_TRY(read_counts(arpa, interrupt, fault));
    return mb_words_begin(&arpa->words, arpa->sizes[1], arpa->in.text);
}

mb_status
mb_arpa_new(size_t n, const char *text, mb_interrupt *interrupt, mb_arpa_fault *fault,
            mb_arpa **out)
{
    mb_arpa *arpa = mb_calloc(1, sizeof *arpa);
    if (arpa == NULL) {
        return MB_NOMEM;
    }
    arpa->in = (mb_lines){.text = text, .n = n};
    mb_status status = read_head(arpa, interrupt, fault);
    if (status != MB_OK) {
        mb_arpa_free(arpa);
        return status;
    }
    *out = arpa;
    return MB_OK;
}

void
mb_arpa_free(mb_arpa *arpa)
{
    if (arpa == NULL) {
        return;
    }
    mb_words_end(&arpa->words);
    for (size_t k = 0; k <= MB_ARPA_ORDERS; k++) {
        mb_grams_end(arpa->grams + k);
    }
    mb_free(arpa);
}

void
mb_arpa_set_key(mb_arpa *arpa, const uint64_t key[2])
{
    arpa->words.key = (mb_hash_key){{key[0], key[1]}};
}

size_t
mb_arpa_order(const mb_arpa *arpa)
{
    return arpa->order;
}

size_t
mb_arpa_size(const mb_arpa *arpa, size_t order)
{
    return arpa->sizes[order];
}

void
mb_arpa_word(const mb_arpa *arpa, size_t number, size_t *start, size_t *length)
{
    *start = (size_t)arpa->words.start[number];
    *length = arpa->words.length[number];
}

/* Whether a line is the head of a section, such as "\2-grams:". */
static int
is_head(const mb_arpa *arpa, mb_piece line, size_t order)
{
    char digits[2] = {(char)('0' + order / 10), (char)('0' + order % 10)};
    size_t many = order < 10 ? 1 : 2;
    mb_piece rest = {line.start + 1 + many, line.end};
    return line.end - line.start > many && arpa->in.text[line.start] == '\\' &&
           memcmp(arpa->in.text + line.start + 1, digits + 2 - many, many) == 0 &&
           mb_piece_is(&arpa->in, rest, "-grams:");
}

/* The head of the next section; it may be missing where the section is empty. */
static mb_status
read_section_head(mb_arpa *arpa, size_t order, mb_interrupt *interrupt, mb_arpa_fault *fault)
{
    size_t at = arpa->in.at, lines = arpa->in.line;
    mb_piece line;
    int is_there;
    MB_TRY(mb_lines_next_text(&arpa->in, interrupt, &line, &is_there));
    if (!is_there) {
        return refuse(arpa, line, "the text ends before '\\end\\'", fault);
    }
    if (is_head(arpa, line, order)) {
        return MB_OK;
    }
    if (arpa->sizes[order] == 0 && arpa->in.text[line.start] == '\\') {
        arpa->in.at = at;
        arpa->in.line = lines;
        return MB_OK;
    }
    return refuse(arpa, line, "here the n-grams of the next order should begin", fault);
}

/* The numbers of a line. */
static mb_status
read_numbers(const mb_arpa *arpa, size_t order, size_t many, const mb_piece *fields, double *prob,
             double *back, mb_arpa_fault *fault)
{
    mb_piece first = fields[0], last = fields[order + 1];
    if (!mb_number_read(first.end - first.start, arpa->in.text + first.start, prob)) {
        return refuse(arpa, first, "the logarithm of a probability is no number", fault);
    }
    if (*prob > 0.0) {
        return refuse(arpa, first, "the logarithm of a probability is not above 0", fault);
    }
    *back = 0.0;
    if (many == order + 1) {
        return MB_OK;
    }
    if (!mb_number_read(last.end - last.start, arpa->in.text + last.start, back) ||
        !isfinite(*back)) {
        return refuse(arpa, last, "the logarithm of a back-off weight is no finite number", fault);
    }
    if (*back > MOST_BACK) {
        return refuse(arpa, last, "a back-off weight is above 10^10: this is no logarithm", fault);
    }
    if (order == arpa->order && *back != 0.0) {
        return refuse(arpa, last, "the longest n-grams have no back-off weights", fault);
    }
    return MB_OK;
}

/* The number of the first words of an n-gram. */
static mb_status
find_first_words(mb_arpa *arpa, size_t order, const mb_piece *fields, const uint32_t *ids,
                 uint32_t *before, mb_arpa_fault *fault)
{
    size_t same = 0;
    while (same < arpa->known && arpa->last[same] == ids[same]) {
        same++;
    }
    arpa->known = same;
    for (size_t j = same; j + 1 < order; j++) {
        uint32_t found =
            j == 0 ? ids[0]
                   : mb_grams_find(arpa->grams + j + 1, arpa->path[j - 1], ids[j], MB_NO_ENTRY);
        if (found == MB_NO_ENTRY) {
            mb_piece words = {fields[1].start, fields[j + 1].end};
            return refuse(arpa, words, "these first words of an n-gram are none of their own",
                          fault);
        }
        arpa->last[j] = ids[j];
        arpa->path[j] = found;
        arpa->known = j + 1;
    }
    *before = arpa->path[order - 2];
    return MB_OK;
}

/* Whether a word is the j-th of the line before, as it mostly is in files that are in order. */
static int
is_as_before(const mb_arpa *arpa, size_t j, mb_piece field)
{
    size_t n = field.end - field.start;
    mb_piece seen = arpa->seen[j];
    return j < arpa->n_seen && seen.end - seen.start == n &&
           memcmp(arpa->in.text + seen.start, arpa->in.text + field.start, n) == 0;
}

/* The words of a line. */
static mb_status
read_words(mb_arpa *arpa, size_t order, uint32_t own, const mb_piece *fields, uint32_t *before,
           uint32_t *word, mb_arpa_fault *fault)
{
    uint32_t ids[MB_ARPA_ORDERS] = {0};
    for (size_t j = 0; j < order; j++) {
        mb_piece field = fields[j + 1], begin = {field.start, field.start};
        if (field.end - field.start >= UINT32_MAX) {
            return refuse(arpa, begin, "a word is too long", fault); /* never: one of 4 GB */
        }
        uint32_t length = (uint32_t)(field.end - field.start);
        uint32_t wanted = order == 1 ? own : MB_NO_ENTRY;
        ids[j] = order > 1 && is_as_before(arpa, j, field)
                     ? arpa->seen_ids[j]
                     : mb_words_find(&arpa->words, field.start, length, wanted);
        if (ids[j] == MB_NO_ENTRY && order > 1) {
            return refuse(arpa, field, "a word is not among the 1-grams", fault);
        }
        arpa->seen[j] = field;
        arpa->seen_ids[j] = ids[j];
    }
    arpa->n_seen = order;
    mb_piece all = {fields[1].start, fields[order].end};
    if (order == 1) {
        *before = 0;
        *word = own;
        return ids[0] == MB_NO_ENTRY ? MB_OK : refuse(arpa, all, "a word stands twice", fault);
    }
    MB_TRY(find_first_words(arpa, order, fields, ids, before, fault));
    *word = ids[order - 1];
    if (mb_grams_find(arpa->grams + order, *before, *word, own) != MB_NO_ENTRY) {
        return refuse(arpa, all, "an n-gram stands twice", fault);
    }
    return MB_OK;
}

mb_status
mb_arpa_read(mb_arpa *arpa, mb_interrupt *interrupt, mb_arpa_fault *fault, uint32_t *before,
             uint32_t *words, double *probs, double *backs)
{
    size_t order = ++arpa->done, size = arpa->sizes[order];
    arpa->known = arpa->n_seen = 0;
    MB_TRY(read_section_head(arpa, order, interrupt, fault));
    MB_TRY(order == 1 ? MB_OK : mb_grams_begin(arpa->grams + order, size, arpa->words.key));
    for (size_t i = 0;;) {
        size_t at = arpa->in.at, lines = arpa->in.line;
        mb_piece line, fields[FIELDS] MB_FILLED;
        int is_there;
        MB_TRY(mb_lines_next_text(&arpa->in, interrupt, &line, &is_there));
        if (!is_there || arpa->in.text[line.start] == '\\') {
            if (i < size) {
                return refuse(arpa, line, "fewer n-grams are here than were counted", fault);
            }
            arpa->in.at = at;
            arpa->in.line = lines;
            return MB_OK;
        }
        if (i == size) {
            return refuse(arpa, line, "more n-grams are here than were counted", fault);
        }
        size_t many = mb_piece_split(&arpa->in, line, order + 2, fields);
        if (many < order + 1 || many > order + 2) {
            return refuse(arpa, line, "these are not a number, words, and perhaps a number", fault);
        }
        MB_TRY(read_numbers(arpa, order, many, fields, probs + i, backs + i, fault));
        MB_TRY(read_words(arpa, order, (uint32_t)i, fields, before + i, words + i, fault));
        MB_TRY(++i % PIECE == 0 ? mb_ask(interrupt, (size_t)COST * PIECE) : MB_OK);
    }
}

mb_status
mb_arpa_finish(mb_arpa *arpa, mb_interrupt *interrupt, mb_arpa_fault *fault)
{
    mb_piece line;
    int is_there;
    MB_TRY(mb_lines_next_text(&arpa->in, interrupt, &line, &is_there));
    if (!is_there) {
        return refuse(arpa, line, "the text ends before '\\end\\'", fault);
    }
    if (!mb_piece_is(&arpa->in, line, "\\end\\")) {
        return refuse(arpa, line, "here '\\end\\' should stand", fault);
    }
    MB_TRY(mb_lines_next_text(&arpa->in, interrupt, &line, &is_there));
    return is_there ? refuse(arpa, line, "here the text should end", fault) : MB_OK;
}
