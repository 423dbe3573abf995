/* Rows of 16-bit codes. */
#include "bind/bind.h"
#include "core/rows/codes.h"

/* `object` as codes [n][width] in C order and this machine's byte order; NULL with an exception set. */
static PyArrayObject *
as_codes(PyObject *object)
{
    PyArrayObject *any = mb_own_array(object, "codes"), *codes = NULL;
    if (any == NULL) {
        return NULL;
    }
    if (PyArray_TYPE(any) != NPY_UINT16) {
        PyErr_Format(PyExc_TypeError, "codes must be uint16, not %S",
                     (PyObject *)PyArray_DESCR(any));
    } else if (PyArray_NDIM(any) != 2) {
        PyErr_Format(PyExc_ValueError, "codes must have 2 axes, not %d", PyArray_NDIM(any));
    } else {
        codes = (PyArrayObject *)PyArray_FROM_OTF((PyObject *)any, NPY_UINT16, NPY_ARRAY_IN_ARRAY);
    }
    mb_release(any);
    return codes;
}

static void
raise_code_fault(const mb_code_fault *fault)
{
    char *value = PyOS_double_to_string(fault->value, 'g', 6, 0, NULL);
    if (value == NULL) {
        return;
    }
    if (fault->kind == MB_CODE_SUM) {
        PyErr_Format(
            PyExc_ValueError,
            "row %zu is damaged: its probabilities sum to %s, and no distribution has such "
            "codes",
            fault->row, value);
    } else {
        PyErr_Format(PyExc_ValueError, "row %zu is damaged: its %s is %s", fault->row,
                     fault->kind == MB_CODE_SCALE ? "scale" : "least log-probability", value);
    }
    PyMem_Free(value);
}

/* All rows; -1 with an exception set. */
static int
run_codes(PyArrayObject *codes, PyArrayObject *out, PyArrayObject *censored, PyArrayObject *rest)
{
    mb_code_rows rows = {PyArray_DATA(codes), mb_dim(codes, 0), mb_dim(out, 1), mb_dim(codes, 1)};
    float *to = PyArray_DATA(out);
    int64_t *n_censored = PyArray_DATA(censored);
    double *bounds = mb_data(rest);
    mb_code_fault fault;
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_decode_rows(&rows, interrupt, to, n_censored, bounds, &fault);
    mb_end_work(&work);
    if (status == MB_INVALID) {
        raise_code_fault(&fault);
    }
    return status != MB_OK ? -1 : 0;
}

PyDoc_STRVAR(
    decode_rows_doc,
    "decode_rows($module, codes, n_tokens, /)\n--\n\n"
    "Log-probabilities of rows of 16-bit codes, as llama.cpp writes them.\n\n"
    "Parameters\n----------\n"
    "codes : array_like of uint16, shape (N, W)\n"
    "    Of each row the bits of two float32, a scale and the least log-probability, then\n"
    "    a code for each token: scale * code + least.  W is at least n_tokens + 4.\n"
    "n_tokens : int\n"
    "    How many tokens there are.\n\n"
    "Returns\n-------\n"
    "log_probs : ndarray of shape (N, n_tokens)\n"
    "    float32, in nats; censored entries have equal shares of the middle of `rest`.\n"
    "n_censored : ndarray of shape (N,)\n"
    "    How many entries of a row that goes down to the writer's floor have the code 0.\n"
    "rest : ndarray of shape (N, 2)\n"
    "    Bounds of the probability that these have together.\n\n"
    "Raises\n------\n"
    "ValueError\n"
    "    At the first row that no distribution can have.\n\n"
    "Examples\n--------\n"
    ">>> import numpy as np\n"
    ">>> from matrixbayes import _core\n"
    ">>> head = np.array([0.0, np.log(0.5)], np.float32).view(np.uint16)\n"
    ">>> np.exp(_core.decode_rows([[*head, 0, 0]], 2)[0])\n"
    "array([[0.5, 0.5]], dtype=float32)\n");

static PyObject *
decode_rows(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *given, *answer = NULL;
    Py_ssize_t n_tokens;
    if (!PyArg_ParseTuple(args, "On:decode_rows", &given, &n_tokens)) {
        return NULL;
    }
    PyArrayObject *codes = as_codes(given);
    if (codes == NULL) {
        return NULL;
    }
    if (n_tokens < 1 || PyArray_DIM(codes, 1) - MB_CODE_HEAD < n_tokens) {
        PyErr_Format(PyExc_ValueError, "rows of %zu numbers do not hold %zd tokens behind a head",
                     mb_dim(codes, 1), n_tokens);
        mb_release(codes);
        return NULL;
    }
    npy_intp shape[] = {PyArray_DIM(codes, 0), n_tokens}, pairs[] = {shape[0], 2};
    PyArrayObject *out = (PyArrayObject *)PyArray_SimpleNew(2, shape, NPY_FLOAT);
    PyArrayObject *censored = (PyArrayObject *)PyArray_SimpleNew(1, shape, NPY_INT64);
    PyArrayObject *rest = mb_new_doubles(2, pairs);
    if (out != NULL && censored != NULL && rest != NULL &&
        run_codes(codes, out, censored, rest) == 0) {
        answer = PyTuple_Pack(3, (PyObject *)out, (PyObject *)censored, (PyObject *)rest);
    }
    mb_release(out);
    mb_release(censored);
    mb_release(rest);
    mb_release(codes);
    return answer;
}

PyMethodDef mb_code_functions[] = {
    {"decode_rows", decode_rows, METH_VARARGS, decode_rows_doc},
    {NULL, NULL, 0, NULL},
};
