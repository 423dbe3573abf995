/* A pass over the lines.  An n-gram's first words are found a word at a time, from n-gram to longer
 * n-gram, as far as they are not those of the line before. */
#include "core/arpa/read.h"

#include "core/arpa/number.h"
#include "core/arpa/words.h"
#include "core/base/mem.h"

#include <math.h>
#include <string.h>

enum {
    FIELDS = MB_ARPA_ORDERS + 2, /* of a line: the words, and two numbers */
    COST = 400,                  /* nanoseconds of an n-gram */
    PIECE = 1 << 10              /* n-grams, and lines, between two questions */
};

struct mb_arpa {
    const char *text;
    size_t n, at, line; /* what comes next, and the lines before it */
    size_t order, done; /* words of the longest n-grams; orders that were read */
    size_t sizes[MB_ARPA_ORDERS + 1];
    mb_words words;
    mb_grams grams[MB_ARPA_ORDERS + 1]; /* from order 2 on */
    size_t known;                       /* first words of the n-gram before that were found */
    uint32_t last[MB_ARPA_ORDERS], path[MB_ARPA_ORDERS];
};

/* A piece of the text. */
typedef struct {
    size_t start, end;
} piece;

static mb_status
refuse(const mb_arpa *arpa, piece what, const char *why, mb_arpa_fault *fault)
{
    *fault = (mb_arpa_fault){arpa->line, what.start, what.end - what.start, why};
    return MB_INVALID;
}

static int
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next line without spaces at its ends, into *line; 0 where there is none. */
static int
next_line(mb_arpa *arpa, piece *line)
{
    if (arpa->at == arpa->n) {
        return 0;
    }
    size_t start = arpa->at, end = start;
    while (end < arpa->n && arpa->text[end] != '\n') {
        end++;
    }
    arpa->at = end + (end < arpa->n);
    arpa->line++;
    while (start < end && is_blank(arpa->text[start])) {
        start++;
    }
    while (end > start && is_blank(arpa->text[end - 1])) {
        end--;
    }
    *line = (piece){start, end};
    return 1;
}

/* The next line that is not empty. */
static mb_status
next_text(mb_arpa *arpa, mb_interrupt *interrupt, piece *line, int *is_there)
{
    *line = (piece){arpa->n, arpa->n};
    while ((*is_there = next_line(arpa, line)) && line->start == line->end) {
        MB_TRY(arpa->line % PIECE == 0 ? mb_ask(interrupt, (size_t)COST * PIECE) : MB_OK);
    }
    return MB_OK;
}

static int
is_text(const mb_arpa *arpa, piece what, const char *wanted)
{
    size_t n = strlen(wanted);
    return what.end - what.start == n && memcmp(arpa->text + what.start, wanted, n) == 0;
}

/* A whole number that ends where the piece does or `behind` stands, and what is left. */
static int
whole_number(const mb_arpa *arpa, piece *what, char behind, size_t *number)
{
    size_t at = what->start, found = 0;
    for (; at < what->end && is_blank(arpa->text[at]); at++) {
    }
    size_t first = at;
    for (; at < what->end && arpa->text[at] >= '0' && arpa->text[at] <= '9'; at++) {
        found = found <= UINT32_MAX ? 10 * found + (size_t)(arpa->text[at] - '0') : found;
    }
    if (at == first) {
        return 0;
    }
    for (; at < what->end && is_blank(arpa->text[at]); at++) {
    }
    int is_end = behind == '\0' ? at == what->end : at < what->end && arpa->text[at] == behind;
    *what = (piece){at + 1, what->end};
    *number = found;
    return is_end;
}

/* The counts: "ngram 1=20" and so on, until a section begins. */
static mb_status
read_counts(mb_arpa *arpa, mb_interrupt *interrupt, mb_arpa_fault *fault)
{
    piece line;
    size_t least = 0; /* characters that so many n-grams need */
    for (;;) {
        size_t at = arpa->at, lines = arpa->line, order, size, n_bytes;
        int is_there;
        MB_TRY(next_text(arpa, interrupt, &line, &is_there));
        if (!is_there) {
            return refuse(arpa, line, "the text ends before the n-grams", fault);
        }
        if (arpa->text[line.start] == '\\') {
            arpa->at = at;
            arpa->line = lines;
            break;
        }
        piece rest = {line.start + 5, line.end};
        if (line.end - line.start < 6 || memcmp(arpa->text + line.start, "ngram", 5) != 0 ||
            !whole_number(arpa, &rest, '=', &order) || !whole_number(arpa, &rest, '\0', &size)) {
            return refuse(arpa, line, "this is no count, such as 'ngram 1=20'", fault);
        }
        if (order != arpa->order + 1 || order > MB_ARPA_ORDERS) {
            return refuse(arpa, line, "counts are of 1, 2, ... words, of 17 at most", fault);
        }
        if (size >= MB_NO_ENTRY || !mb_multiply(size, 2 * order + 2, &n_bytes) ||
            n_bytes > arpa->n + 1 - least) {
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
    piece line = {0};
    if (arpa->n >= 3 && memcmp(arpa->text, "\xEF\xBB\xBF", 3) == 0) {
        arpa->at = 3;
    }
    do {
        MB_TRY(arpa->line % PIECE == 0 ? mb_ask(interrupt, (size_t)COST * PIECE) : MB_OK);
        if (!next_line(arpa, &line)) {
            line = (piece){arpa->n, arpa->n};
            return refuse(arpa, line, "no line is '\\data\\': this is no ARPA file", fault);
        }
    } while (!is_text(arpa, line, "\\data\\"));
    MB_TRY(read_counts(arpa, interrupt, fault));
    return mb_words_begin(&arpa->words, arpa->sizes[1], arpa->text);
}

mb_status
mb_arpa_new(size_t n, const char *text, mb_interrupt *interrupt, mb_arpa_fault *fault,
            mb_arpa **out)
{
    mb_arpa *arpa = mb_calloc(1, sizeof *arpa);
    if (arpa == NULL) {
        return MB_NOMEM;
    }
    arpa->text = text;
    arpa->n = n;
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
is_head(const mb_arpa *arpa, piece line, size_t order)
{
    char digits[2] = {(char)('0' + order / 10), (char)('0' + order % 10)};
    size_t many = order < 10 ? 1 : 2;
    piece rest = {line.start + 1 + many, line.end};
    return line.end - line.start > many && arpa->text[line.start] == '\\' &&
           memcmp(arpa->text + line.start + 1, digits + 2 - many, many) == 0 &&
           is_text(arpa, rest, "-grams:");
}

/* The head of the next section; it may be missing where the section is empty. */
static mb_status
read_section_head(mb_arpa *arpa, size_t order, mb_interrupt *interrupt, mb_arpa_fault *fault)
{
    size_t at = arpa->at, lines = arpa->line;
    piece line;
    int is_there;
    MB_TRY(next_text(arpa, interrupt, &line, &is_there));
    if (!is_there) {
        return refuse(arpa, line, "the text ends before '\\end\\'", fault);
    }
    if (is_head(arpa, line, order)) {
        return MB_OK;
    }
    if (arpa->sizes[order] == 0 && arpa->text[line.start] == '\\') {
        arpa->at = at;
        arpa->line = lines;
        return MB_OK;
    }
    return refuse(arpa, line, "here the n-grams of the next order should begin", fault);
}

/* The fields of a line; returns how many, one more than there may be where there are too many. */
static size_t
split(const mb_arpa *arpa, piece line, size_t most, piece *fields)
{
    size_t many = 0;
    for (size_t at = line.start; at < line.end; many++) {
        if (many == most) {
            return most + 1;
        }
        size_t start = at;
        for (; at < line.end && !is_blank(arpa->text[at]); at++) {
        }
        fields[many] = (piece){start, at};
        for (; at < line.end && is_blank(arpa->text[at]); at++) {
        }
    }
    return many;
}

/* The numbers of a line. */
static mb_status
read_numbers(const mb_arpa *arpa, size_t order, size_t many, const piece *fields, double *prob,
             double *back, mb_arpa_fault *fault)
{
    piece first = fields[0], last = fields[order + 1];
    if (!mb_number_read(first.end - first.start, arpa->text + first.start, prob)) {
        return refuse(arpa, first, "the logarithm of a probability is no number", fault);
    }
    if (*prob > 0.0) {
        return refuse(arpa, first, "the logarithm of a probability is not above 0", fault);
    }
    *back = 0.0;
    if (many == order + 1) {
        return MB_OK;
    }
    if (!mb_number_read(last.end - last.start, arpa->text + last.start, back) || !isfinite(*back)) {
        return refuse(arpa, last, "the logarithm of a back-off weight is no finite number", fault);
    }
    if (order == arpa->order && *back != 0.0) {
        return refuse(arpa, last, "the longest n-grams have no back-off weights", fault);
    }
    return MB_OK;
}

/* The number of the first words of an n-gram. */
static mb_status
find_first_words(mb_arpa *arpa, size_t order, const piece *fields, const uint32_t *ids,
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
            piece words = {fields[1].start, fields[j + 1].end};
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

/* The words of a line. */
static mb_status
read_words(mb_arpa *arpa, size_t order, uint32_t own, const piece *fields, uint32_t *before,
           uint32_t *word, mb_arpa_fault *fault)
{
    uint32_t ids[MB_ARPA_ORDERS] MB_FILLED;
    for (size_t j = 0; j < order; j++) {
        piece field = fields[j + 1];
        if (field.end - field.start >= UINT32_MAX) {
            return refuse(arpa, (piece){field.start, field.start}, "a word is too long", fault);
        }
        uint32_t length = (uint32_t)(field.end - field.start);
        uint32_t wanted = order == 1 ? own : MB_NO_ENTRY;
        ids[j] = mb_words_find(&arpa->words, field.start, length, wanted);
        if (ids[j] == MB_NO_ENTRY && order > 1) {
            return refuse(arpa, field, "a word is not among the 1-grams", fault);
        }
    }
    piece all = {fields[1].start, fields[order].end};
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
    arpa->known = 0;
    MB_TRY(read_section_head(arpa, order, interrupt, fault));
    MB_TRY(order == 1 ? MB_OK : mb_grams_begin(arpa->grams + order, size));
    for (size_t i = 0;;) {
        size_t at = arpa->at, lines = arpa->line;
        piece line, fields[FIELDS] MB_FILLED;
        int is_there;
        MB_TRY(next_text(arpa, interrupt, &line, &is_there));
        if (!is_there || arpa->text[line.start] == '\\') {
            if (i < size) {
                return refuse(arpa, line, "fewer n-grams are here than were counted", fault);
            }
            arpa->at = at;
            arpa->line = lines;
            return MB_OK;
        }
        if (i == size) {
            return refuse(arpa, line, "more n-grams are here than were counted", fault);
        }
        size_t many = split(arpa, line, order + 2, fields);
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
    piece line;
    int is_there;
    MB_TRY(next_text(arpa, interrupt, &line, &is_there));
    if (!is_there) {
        return refuse(arpa, line, "the text ends before '\\end\\'", fault);
    }
    if (!is_text(arpa, line, "\\end\\")) {
        return refuse(arpa, line, "here '\\end\\' should stand", fault);
    }
    MB_TRY(next_text(arpa, interrupt, &line, &is_there));
    return is_there ? refuse(arpa, line, "here the text should end", fault) : MB_OK;
}
