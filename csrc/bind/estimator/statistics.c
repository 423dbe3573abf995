/* The type SufficientStatistics: what an M-step needs to know of any number of rows. */
#include "bind/estimator/estimator.h"

#include <limits.h>
#include <math.h>

typedef mb_statistics_object statistics_object;

enum { PIECE = 1 << 14 /* numbers that are added at once */ };

PyObject *
mb_new_statistics(PyTypeObject *type, PyArrayObject *weight, PyArrayObject *log_sums,
                  double log_likelihood, long long n_rows)
{
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    statistics_object *self = (statistics_object *)alloc(type, 0);
    if (self == NULL) {
        mb_release(weight);
        mb_release(log_sums);
        return NULL;
    }
    self->weight = weight;
    self->log_sums = log_sums;
    self->log_likelihood = log_likelihood;
    self->n_rows = n_rows;
    return (PyObject *)self;
}

/* -1 with an error that names the first number that statistics of rows cannot have. */
static int
check_numbers(PyArrayObject *weight, PyArrayObject *sums, double log_likelihood, long long n_rows)
{
    size_t n_components = mb_dim(weight, 0), n_tokens = mb_dim(sums, 1);
    for (size_t k = 0; k < n_components; k++) {
        double x = mb_data(weight)[k];
        if (!(x >= 0.0) || isinf(x)) {
            mb_raise_number(x, "a weight must be finite and >= 0", "weight[%zu]", k);
            return -1;
        }
    }
    for (size_t i = 0; i < n_components * n_tokens; i++) {
        double x = mb_data(sums)[i];
        if (!(x < INFINITY)) { /* -inf is of an exact zero */
            PyErr_Format(PyExc_ValueError, "log_sums[%zu, %zu] is %s; it must be finite or -inf",
                         i / n_tokens, i % n_tokens, isnan(x) ? "nan" : "inf");
            return -1;
        }
    }
    if (isnan(log_likelihood)) {
        PyErr_SetString(PyExc_ValueError, "log_likelihood is nan");
        return -1;
    }
    if (n_rows < 0) {
        PyErr_Format(PyExc_ValueError, "n_rows is %lld; it must be >= 0", n_rows);
        return -1;
    }
    return 0;
}

static PyObject *
statistics_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"weight", "log_sums", "log_likelihood", "n_rows", NULL};
    PyObject *weight_arg, *sums_arg;
    double log_likelihood;
    long long n_rows;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOdL:SufficientStatistics", names, &weight_arg,
                                     &sums_arg, &log_likelihood, &n_rows)) {
        return NULL;
    }
    PyArrayObject *weight = mb_doubles(weight_arg, 1, "weight"), *sums = NULL;
    if (weight == NULL || (sums = mb_doubles(sums_arg, 2, "log_sums")) == NULL) {
        mb_release(weight);
        return NULL;
    }
    if (mb_dim(weight, 0) != mb_dim(sums, 0)) {
        PyErr_Format(PyExc_ValueError,
                     "weight must have shape (K,) and log_sums (K, V); they have (%zu,) and "
                     "(%zu, %zu)",
                     mb_dim(weight, 0), mb_dim(sums, 0), mb_dim(sums, 1));
        mb_release(weight);
        mb_release(sums);
        return NULL;
    }
    /* copies: what is checked must be ours alone */
    PyArrayObject *own_weight = (PyArrayObject *)PyArray_NewCopy(weight, NPY_CORDER);
    PyArrayObject *own_sums = (PyArrayObject *)PyArray_NewCopy(sums, NPY_CORDER);
    mb_release(weight);
    mb_release(sums);
    if (own_weight == NULL || own_sums == NULL ||
        check_numbers(own_weight, own_sums, log_likelihood, n_rows) < 0) {
        mb_release(own_weight);
        mb_release(own_sums);
        return NULL;
    }
    return mb_new_statistics(type, own_weight, own_sums, log_likelihood, n_rows);
}

static void
statistics_dealloc(PyObject *object)
{
    statistics_object *self = (statistics_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    mb_release(self->weight);
    mb_release(self->log_sums);
    freefunc free_object = (freefunc)PyType_GetSlot(type, Py_tp_free);
    free_object(object);
    Py_DECREF(type);
}

static PyObject *
statistics_add(PyObject *left, PyObject *right)
{
    if (PyLong_CheckExact(left) && !PyObject_IsTrue(left)) { /* where sum() begins */
        return Py_NewRef(right);
    }
    if (Py_TYPE(left) != Py_TYPE(right)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    statistics_object *a = (statistics_object *)left, *b = (statistics_object *)right;
    if (mb_dim(a->log_sums, 0) != mb_dim(b->log_sums, 0) ||
        mb_dim(a->log_sums, 1) != mb_dim(b->log_sums, 1)) {
        PyErr_Format(PyExc_ValueError, "statistics of shapes (%zu, %zu) and (%zu, %zu) do not add",
                     mb_dim(a->log_sums, 0), mb_dim(a->log_sums, 1), mb_dim(b->log_sums, 0),
                     mb_dim(b->log_sums, 1));
        return NULL;
    }
    if (a->n_rows > LLONG_MAX - b->n_rows) {
        return mb_raise(MB_RANGE, "statistics hold at most 2^63 - 1 rows");
    }
    PyArrayObject *weight = mb_new_doubles(1, PyArray_DIMS(a->weight));
    PyArrayObject *sums = mb_new_doubles(2, PyArray_DIMS(a->log_sums));
    if (weight == NULL || sums == NULL) {
        mb_release(weight);
        mb_release(sums);
        return NULL;
    }
    size_t n_components = mb_dim(weight, 0), n = (size_t)PyArray_SIZE(sums);
    for (size_t k = 0; k < n_components; k++) {
        mb_data(weight)[k] = mb_data(a->weight)[k] + mb_data(b->weight)[k];
    }
    const double *x = mb_data(a->log_sums), *y = mb_data(b->log_sums);
    double *z = mb_data(sums);
    mb_status status = MB_OK;
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    for (size_t at = 0; at < n && status == MB_OK; at += PIECE) {
        size_t end = n - at < PIECE ? n : at + PIECE;
        for (size_t i = at; i < end; i++) {
            z[i] = x[i] + y[i];
        }
        status = mb_ask(interrupt, (size_t)2 * PIECE);
    }
    mb_end_work(&work);
    if (status != MB_OK) {
        mb_release(weight);
        mb_release(sums);
        return mb_raise(status, NULL);
    }
    return mb_new_statistics(Py_TYPE(left), weight, sums, a->log_likelihood + b->log_likelihood,
                             a->n_rows + b->n_rows);
}

static PyObject *
statistics_get_weight(PyObject *object, void *Py_UNUSED(closure))
{
    PyArrayObject *weight = ((statistics_object *)object)->weight;
    return mb_view(object, 1, PyArray_DIMS(weight), NPY_DOUBLE, mb_data(weight));
}

static PyObject *
statistics_get_log_sums(PyObject *object, void *Py_UNUSED(closure))
{
    PyArrayObject *log_sums = ((statistics_object *)object)->log_sums;
    return mb_view(object, 2, PyArray_DIMS(log_sums), NPY_DOUBLE, mb_data(log_sums));
}

static PyObject *
statistics_reduce(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    statistics_object *self = (statistics_object *)object;
    PyObject *weight = statistics_get_weight(object, NULL),
             *log_sums = statistics_get_log_sums(object, NULL);
    if (weight == NULL || log_sums == NULL) {
        Py_XDECREF(weight);
        Py_XDECREF(log_sums);
        return NULL;
    }
    return Py_BuildValue("O(NNdL)", (PyObject *)Py_TYPE(object), weight, log_sums,
                         self->log_likelihood, self->n_rows);
}

static PyObject *
statistics_get_log_likelihood(PyObject *self, void *Py_UNUSED(closure))
{
    return PyFloat_FromDouble(((statistics_object *)self)->log_likelihood);
}

static PyObject *
statistics_get_n_rows(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromLongLong(((statistics_object *)self)->n_rows);
}

static PyObject *
statistics_repr(PyObject *object)
{
    statistics_object *self = (statistics_object *)object;
    PyObject *bound = PyFloat_FromDouble(self->log_likelihood);
    if (bound == NULL) {
        return NULL;
    }
    PyObject *text = PyUnicode_FromFormat(
        "SufficientStatistics of %lld row(s): components %zu, tokens %zu, log-likelihood %R nats",
        self->n_rows, mb_dim(self->weight, 0), mb_dim(self->log_sums, 1), bound);
    Py_DECREF(bound);
    return text;
}

static PyGetSetDef statistics_getset[] = {
    {"weight", statistics_get_weight, NULL,
     "Weight of the rows in each component, shape (K,), read-only.", NULL},
    {"log_sums", statistics_get_log_sums, NULL,
     "Weighted sums of log-probabilities, shape (K, V), read-only.", NULL},
    {"log_likelihood", statistics_get_log_likelihood, NULL,
     "Weighted log-likelihood of the rows, nats.", NULL},
    {"n_rows", statistics_get_n_rows, NULL, "Number of rows.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef statistics_methods[] = {
    {"__reduce__", statistics_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(
    statistics_doc,
    "SufficientStatistics(weight, log_sums, log_likelihood, n_rows)\n--\n\n"
    "What an M-step needs to know of any number of rows; `a + b` merges.\n\n"
    "Parameters\n----------\n"
    "weight : array_like, shape (K,)\n    Weight of the rows in each component, finite and "
    ">= 0.\n"
    "log_sums : array_like, shape (K, V)\n    Weighted sums of log-probabilities, finite "
    "or -inf.\n"
    "log_likelihood : float\n    Weighted log-likelihood of the rows, in nats.\n"
    "n_rows : int\n    Number of rows, 0 to 2^63 - 1.\n\n"
    "Examples\n--------\n"
    ">>> from matrixbayes import SufficientStatistics\n"
    ">>> a = SufficientStatistics([2.0], [[-1.0, -3.0]], 0.5, 2)\n"
    ">>> (a + a).n_rows\n4\n");

static PyType_Slot statistics_slots[] = {
    {Py_tp_doc, (void *)statistics_doc},
    {Py_tp_new, statistics_new},
    {Py_tp_traverse, mb_traverse_type},
    {Py_tp_dealloc, statistics_dealloc},
    {Py_nb_add, statistics_add},
    {Py_tp_getset, statistics_getset},
    {Py_tp_methods, statistics_methods},
    {Py_tp_repr, statistics_repr},
    {0, NULL},
};

PyType_Spec mb_statistics_spec = {
    .name = "matrixbayes._core.SufficientStatistics",
    .basicsize = sizeof(statistics_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = statistics_slots,
};
