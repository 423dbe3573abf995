/* Functions of the module about back-off models as text. */
#include "bind/bind.h"
#include "core/arpa/read.h"
#include "core/arpa/write.h"
#include "core/base/mem.h"

#include <string.h>

enum { SHOWN = 60 }; /* bytes of a faulty piece */

/* The exception of a status, with the line and the piece that are at fault; NULL. */
static PyObject *
raise_fault(mb_status status, const mb_arpa_fault *fault, const char *text)
{
    if (status != MB_INVALID) {
        return mb_raise(status, "");
    }
    size_t length = fault->length < SHOWN ? fault->length : SHOWN;
    if (length == 0) {
        PyErr_Format(PyExc_ValueError, "line %zu: %s", fault->line, fault->why);
        return NULL;
    }
    PyObject *piece = PyUnicode_DecodeUTF8(text + fault->start, (Py_ssize_t)length, "replace");
    if (piece != NULL) {
        PyErr_Format(PyExc_ValueError, "line %zu: %s: %R", fault->line, fault->why, piece);
        Py_DECREF(piece);
    }
    return NULL;
}

/* The n-grams of the next order: (before, words, log_probs, log_backs). */
static PyObject *
read_order(mb_arpa *arpa, size_t order, const char *text)
{
    static const int types[4] = {NPY_UINT32, NPY_UINT32, NPY_FLOAT64, NPY_FLOAT64};
    npy_intp n = (npy_intp)mb_arpa_size(arpa, order);
    PyObject *arrays[4] = {NULL}, *result = NULL;
    for (size_t i = 0; i < 4; i++) {
        arrays[i] = PyArray_SimpleNew(1, &n, types[i]);
        if (arrays[i] == NULL) {
            goto done;
        }
    }
    void *data[4];
    for (size_t i = 0; i < 4; i++) {
        data[i] = PyArray_DATA((PyArrayObject *)arrays[i]);
    }
    mb_work work;
    mb_arpa_fault fault = {0};
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_arpa_read(arpa, interrupt, &fault, data[0], data[1], data[2], data[3]);
    mb_end_work(&work);
    result = status == MB_OK ? PyTuple_Pack(4, arrays[0], arrays[1], arrays[2], arrays[3])
                             : raise_fault(status, &fault, text);
done:
    for (size_t i = 0; i < 4; i++) {
        Py_XDECREF(arrays[i]);
    }
    return result;
}

/* Where the words stand: (n, 2), starts and ends. */
static PyObject *
places_of_words(const mb_arpa *arpa)
{
    npy_intp shape[2] = {(npy_intp)mb_arpa_size(arpa, 1), 2};
    PyObject *places = PyArray_SimpleNew(2, shape, NPY_INT64);
    if (places != NULL) {
        int64_t *to = PyArray_DATA((PyArrayObject *)places);
        for (size_t i = 0; i < (size_t)shape[0]; i++) {
            size_t start, length;
            mb_arpa_word(arpa, i, &start, &length);
            to[2 * i] = (int64_t)start;
            to[2 * i + 1] = (int64_t)(start + length);
        }
    }
    return places;
}

/* All orders, and that nothing else follows. */
static PyObject *
read_orders(mb_arpa *arpa, const char *text)
{
    PyObject *orders = PyList_New(0), *places = NULL, *result = NULL;
    for (size_t k = 1; orders != NULL && k <= mb_arpa_order(arpa); k++) {
        PyObject *one = read_order(arpa, k, text);
        if (one == NULL || PyList_Append(orders, one) < 0) {
            Py_CLEAR(orders);
        }
        Py_XDECREF(one);
    }
    if (orders != NULL) {
        mb_work work;
        mb_arpa_fault fault = {0};
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status = mb_arpa_finish(arpa, interrupt, &fault);
        mb_end_work(&work);
        if (status != MB_OK) {
            raise_fault(status, &fault, text);
        } else {
            places = places_of_words(arpa);
        }
    }
    if (places != NULL) {
        result = PyTuple_Pack(2, places, orders);
    }
    Py_XDECREF(places);
    Py_XDECREF(orders);
    return result;
}

/* Random bytes; -1 with an exception set. */
static int
draw_key(uint64_t key[2])
{
    PyObject *os = PyImport_ImportModule("os"), *drawn = NULL;
    char *bytes;
    Py_ssize_t n;
    int result = -1;
    key[0] = key[1] = 0;
    if (os != NULL) {
        drawn = PyObject_CallMethod(os, "urandom", "i", 16);
    }
    if (drawn != NULL && PyBytes_AsStringAndSize(drawn, &bytes, &n) == 0) {
        memcpy(key, bytes, n < 16 ? (size_t)n : 16);
        result = 0;
    }
    Py_XDECREF(drawn);
    Py_XDECREF(os);
    return result;
}

static PyObject *
read_arpa(PyObject *Py_UNUSED(module), PyObject *bytes)
{
    char *text;
    Py_ssize_t n;
    uint64_t key[2];
    if (PyBytes_AsStringAndSize(bytes, &text, &n) < 0 || draw_key(key) < 0) {
        return NULL;
    }
    mb_arpa *arpa = NULL;
    mb_work work;
    mb_arpa_fault fault = {0};
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_arpa_new((size_t)n, text, interrupt, &fault, &arpa);
    mb_end_work(&work);
    if (status != MB_OK) {
        return raise_fault(status, &fault, text);
    }
    mb_arpa_set_key(arpa, key);
    PyObject *result = read_orders(arpa, text);
    mb_arpa_free(arpa);
    return result;
}

/* -1 with an exception set unless an array of numbers fits the n-grams. */
static int
check_logarithms(PyArrayObject *array, size_t n, const char *name)
{
    static const mb_range finite = {-1e22, 1e22, 0, "finite"};
    size_t first;
    if (array == NULL) {
        return 0;
    }
    if (mb_dim(array, 0) != n) {
        PyErr_Format(PyExc_ValueError, "%s has length %zu; it needs %zu", name, mb_dim(array, 0),
                     n);
        return -1;
    }
    if (mb_find_outside(&finite, n, mb_data(array), &first) < 0) {
        return -1;
    }
    if (first < n) {
        PyErr_Format(PyExc_ValueError, "%s: every number must be finite", name);
        return -1;
    }
    return 0;
}

/* The lines of n-grams as bytes. */
static PyObject *
write_lines(const mb_arpa_grams *grams)
{
    static const char why[] = "a word has no name";
    size_t room = 0, written = 0;
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_arpa_room(grams, interrupt, &room);
    char *out = status == MB_OK ? mb_calloc(room, 1) : NULL;
    status = status == MB_OK && out == NULL ? MB_NOMEM : status;
    if (status == MB_OK) {
        status = mb_arpa_write(grams, interrupt, room, out, &written);
    }
    mb_end_work(&work);
    PyObject *result = status == MB_OK ? PyBytes_FromStringAndSize(out, (Py_ssize_t)written)
                                       : mb_raise(status, why);
    mb_free(out);
    return result;
}

static PyObject *
arpa_lines(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *words, *probs, *backs, *names, *ends, *result = NULL;
    if (!PyArg_ParseTuple(args, "OOOSO", &words, &probs, &backs, &names, &ends)) {
        return NULL;
    }
    char *text;
    Py_ssize_t n_names;
    PyArrayObject *a[4] = {NULL};
    a[0] = mb_whole_numbers(words, 2, 0, "words");
    a[1] = a[0] == NULL ? NULL : mb_doubles(probs, 1, "log_probs");
    a[2] = a[1] == NULL || Py_IsNone(backs) ? NULL : mb_doubles(backs, 1, "log_backs");
    if (a[1] != NULL && (a[2] != NULL || Py_IsNone(backs))) {
        a[3] = mb_whole_numbers(ends, 1, 0, "ends");
    }
    if (a[3] != NULL && PyBytes_AsStringAndSize(names, &text, &n_names) == 0 &&
        check_logarithms(a[1], mb_dim(a[0], 0), "log_probs") == 0 &&
        check_logarithms(a[2], mb_dim(a[0], 0), "log_backs") == 0) {
        mb_arpa_grams grams = {
            .n = mb_dim(a[0], 0),
            .order = mb_dim(a[0], 1),
            .n_words = mb_dim(a[3], 0),
            .words = PyArray_DATA(a[0]),
            .probs = mb_data(a[1]),
            .backs = a[2] == NULL ? NULL : mb_data(a[2]),
            .ends = PyArray_DATA(a[3]),
            .names = text,
            .n_names = (size_t)n_names,
        };
        result = write_lines(&grams);
    }
    for (size_t i = 0; i < 4; i++) {
        mb_release(a[i]);
    }
    return result;
}

PyMethodDef mb_arpa_functions[] = {
    {"read_arpa", read_arpa, METH_O,
     "read_arpa($module, text, /)\n--\n\n"
     "A back-off model from bytes in the format of ARPA.\n\n"
     "Returns where its words stand in the text (n, 2), and for each order its n-grams: the "
     "number\n"
     "of their first words among the n-grams of the order before, that of the last word, the\n"
     "logarithm to base 10 of the probability and of the back-off weight."},
    {"arpa_lines", arpa_lines, METH_VARARGS,
     "arpa_lines($module, words, log_probs, log_backs, names, ends, /)\n--\n\n"
     "Lines of n-grams (n, order), as bytes in the format of ARPA.\n\n"
     "`log_backs` is None where they have none; word i is called by the bytes of `names` between\n"
     "the ends of i - 1 and i."},
    {NULL, NULL, 0, NULL},
};
