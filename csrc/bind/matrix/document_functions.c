/* Documents that callers have, joined to one array. */
#include "bind/matrix/transition_object.h"
#include "core/matrix/documents.h"

enum { PATIENCE = 1 << 19 /* tokens that are read with the GIL without a break */ };

/* ---- joined ------------------------------------------------------------------------------- */

/* How many tokens a document has; -1 where it is nothing that is joined here. */
static Py_ssize_t
size_of_document(PyObject *item)
{
    if (PyArray_CheckExact(item)) {
        PyArrayObject *array = (PyArrayObject *)item;
        int good = PyArray_NDIM(array) == 1 &&
                   (PyArray_SIZE(array) == 0 ||
                    (PyTypeNum_ISINTEGER(PyArray_TYPE(array)) && PyArray_ISBEHAVED_RO(array)));
        return good ? (Py_ssize_t)mb_dim(array, 0) : -1;
    }
    return PyList_CheckExact(item)    ? PyList_Size(item)
           : PyTuple_CheckExact(item) ? PyTuple_Size(item)
                                      : -1;
}

#define READ_AS(type)                                                                              \
    for (npy_intp i = 0; i < n; i++) {                                                             \
        to[i] = (int64_t)*(const type *)(from + i * stride);                                       \
    }

/* Writes the tokens of an array; whether all of them are int64. */
static int
read_array(PyArrayObject *array, int64_t *to)
{
    const npy_intp n = PyArray_SIZE(array), stride = n > 0 ? PyArray_STRIDE(array, 0) : 0;
    const char *from = PyArray_DATA(array);
    const int is_signed = PyTypeNum_ISSIGNED(PyArray_TYPE(array));
    int64_t least = 0;
    switch (n == 0 ? 0 : PyArray_ITEMSIZE(array) * (is_signed ? 1 : -1)) {
    case 0:
        break;
    case 8:
        READ_AS(int64_t)
        break;
    case 4:
        READ_AS(int32_t)
        break;
    case 2:
        READ_AS(int16_t)
        break;
    case 1:
        READ_AS(int8_t)
        break;
    case -8:
        READ_AS(uint64_t)
        for (npy_intp i = 0; i < n; i++) {
            least = to[i] < least ? to[i] : least;
        }
        break;
    case -4:
        READ_AS(uint32_t)
        break;
    case -2:
        READ_AS(uint16_t)
        break;
    default:
        READ_AS(uint8_t)
        break;
    }
    return least == 0;
}

/* Writes the tokens of a list or a tuple of n; whether all of them are plain integers. */
static int
read_sequence(PyObject *item, Py_ssize_t n, int64_t *to)
{
    const int is_list = PyList_CheckExact(item);
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *token = is_list ? PyList_GetItem(item, i) : PyTuple_GetItem(item, i);
        if (token == NULL || !PyLong_CheckExact(token)) {
            PyErr_Clear();
            return 0;
        }
        to[i] = PyLong_AsLongLong(token);
        if (to[i] == -1 && PyErr_Occurred()) {
            PyErr_Clear();
            return 0;
        }
    }
    return 1;
}

/* Where documents begin, and the last ends: an array, or NULL, with an exception set or, where one
 * of them is nothing that is joined here, without. */
static PyArrayObject *
bounds_of_documents(PyObject *items, Py_ssize_t n)
{
    PyArrayObject *array = mb_new_array((size_t)n + 1, MB_NO_COLUMNS, NPY_INT64);
    if (array == NULL) {
        return NULL;
    }
    int64_t *bounds = PyArray_DATA(array);
    bounds[0] = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        Py_ssize_t size = size_of_document(PyTuple_GetItem(items, i));
        if (size < 0) {
            mb_release(array);
            return NULL;
        }
        bounds[i + 1] = bounds[i] + size;
    }
    return array;
}

/* Lets other threads and signals have their turn: -1 where a handler raised an exception. */
static int
let_others_go(void)
{
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_ask(interrupt, MB_PATIENCE);
    mb_end_work(&work);
    return status == MB_OK ? 0 : -1;
}

/* Writes the tokens of all documents: 1, or 0 where one of them is nothing that is joined here, or -1
 * with an exception set.  What others have changed meanwhile is not joined. */
static int
read_documents(PyObject *items, Py_ssize_t n, const int64_t *bounds, int64_t *tokens)
{
    int64_t since = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *item = PyTuple_GetItem(items, i);
        Py_ssize_t size = (Py_ssize_t)(bounds[i + 1] - bounds[i]);
        if (size_of_document(item) != size) {
            return 0;
        }
        int good = PyArray_CheckExact(item) ? read_array((PyArrayObject *)item, tokens + bounds[i])
                                            : read_sequence(item, size, tokens + bounds[i]);
        if (!good) {
            return 0;
        }
        since += size + 1;
        if (since > PATIENCE) {
            since = 0;
            if (let_others_go() < 0) {
                return -1;
            }
        }
    }
    return 1;
}

static PyObject *
join_documents(PyObject *Py_UNUSED(module), PyObject *documents)
{
    if (!PyList_Check(documents) && !PyTuple_Check(documents)) {
        PyErr_SetString(PyExc_TypeError, "documents must be in a list or a tuple");
        return NULL;
    }
    /* a tuple of its own: others may change the caller's list */
    PyObject *items = PySequence_Tuple(documents), *result = NULL;
    if (items == NULL) {
        return NULL;
    }
    Py_ssize_t n = PyTuple_Size(items);
    PyArrayObject *bounds = bounds_of_documents(items, n), *tokens = NULL;
    int good = bounds != NULL ? 1 : PyErr_Occurred() ? -1 : 0;
    if (good > 0) {
        const int64_t *b = PyArray_DATA(bounds);
        tokens = mb_new_array((size_t)b[n], MB_NO_COLUMNS, NPY_INT64);
        good = tokens == NULL ? -1 : read_documents(items, n, b, PyArray_DATA(tokens));
    }
    if (good >= 0) {
        result =
            good ? PyTuple_Pack(2, (PyObject *)tokens, (PyObject *)bounds) : Py_NewRef(Py_None);
    }
    mb_release(tokens);
    mb_release(bounds);
    Py_DECREF(items);
    return result;
}

/* ---- led ---------------------------------------------------------------------------------- */

/* The documents of these texts behind the tokens that lead them: (tokens, bounds). */
static PyObject *
lead_texts(const mb_documents *texts, PyArrayObject *first, PyArrayObject *lead)
{
    const mb_document one = {mb_dim(first, 0), PyArray_DATA(first)};
    const mb_document each = {mb_dim(lead, 0), PyArray_DATA(lead)};
    size_t n = texts->n > 0 ? one.n : 0;
    PyObject *result = NULL;
    for (size_t i = 0; i < texts->n; i++) {
        n += texts->documents[i].n + (i > 0 ? each.n : 0);
    }
    PyArrayObject *tokens = mb_new_array(n, MB_NO_COLUMNS, NPY_INT64);
    PyArrayObject *bounds = mb_new_array(texts->n + 1, MB_NO_COLUMNS, NPY_INT64);
    if (tokens != NULL && bounds != NULL) {
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status = mb_documents_lead(texts->n, texts->documents, one, each, interrupt,
                                             PyArray_DATA(tokens), PyArray_DATA(bounds));
        mb_end_work(&work);
        result = status == MB_OK ? PyTuple_Pack(2, (PyObject *)tokens, (PyObject *)bounds)
                                 : mb_raise(status, NULL);
    }
    mb_release(tokens);
    mb_release(bounds);
    return result;
}

static PyObject *
lead_documents(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *tokens_arg, *starts_arg, *ends_arg, *first_arg, *lead_arg, *result = NULL;
    mb_documents texts;
    if (!PyArg_ParseTuple(args, "OOOOO:lead_documents", &tokens_arg, &starts_arg, &ends_arg,
                          &first_arg, &lead_arg) ||
        mb_parse_pieces(tokens_arg, starts_arg, ends_arg, &texts) < 0) {
        return NULL;
    }
    PyArrayObject *first = mb_whole_numbers(first_arg, 1, 0, "first"), *lead = NULL;
    if (first != NULL) {
        lead = mb_whole_numbers(lead_arg, 1, 0, "lead");
    }
    if (lead != NULL) {
        result = lead_texts(&texts, first, lead);
    }
    mb_release(first);
    mb_release(lead);
    mb_release_texts(&texts);
    return result;
}

PyMethodDef mb_document_functions[] = {
    {"join_documents", join_documents, METH_O,
     "join_documents(documents, /)\n--\n\n"
     "The tokens of documents in one array, and where each begins, and the last ends (n + 1,).\n\n"
     "None where one of them is no array of integers, (n,), and no list or tuple of int: then it\n"
     "is for others to say what it is."},
    {"lead_documents", lead_documents, METH_VARARGS,
     "lead_documents(tokens, starts, ends, first, lead, /)\n--\n\n"
     "The documents from starts (n,) to ends (n,) in one array of tokens, the first one behind\n"
     "the tokens `first` and each other behind `lead`: tokens and bounds (n + 1,)."},
    {NULL, NULL, 0, NULL},
};
