/* The type SufficientStatistics: what an M-step needs to know of any number of rows. */
#include "bind.h"

typedef mb_statistics_object statistics_object;

PyObject *
mb_new_statistics(PyTypeObject *type, PyArrayObject *weight, PyArrayObject *log_sums,
                  double log_likelihood, unsigned long long n_rows)
{
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    statistics_object *self = (statistics_object *)alloc(type, 0);
    if (self == NULL) {
        mb_release(weight);
        mb_release(log_sums);
        return NULL;
    }
    PyArray_CLEARFLAGS(weight, NPY_ARRAY_WRITEABLE);
    PyArray_CLEARFLAGS(log_sums, NPY_ARRAY_WRITEABLE);
    self->weight = weight;
    self->log_sums = log_sums;
    self->log_likelihood = log_likelihood;
    self->n_rows = n_rows;
    return (PyObject *)self;
}

static PyObject *
statistics_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"weight", "log_sums", "log_likelihood", "n_rows", NULL};
    PyObject *weight_arg, *sums_arg;
    double log_likelihood;
    unsigned long long n_rows;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOdK:SufficientStatistics", names, &weight_arg,
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
    /* copies: the arrays become read-only and must be ours alone */
    PyArrayObject *own_weight = (PyArrayObject *)PyArray_NewCopy(weight, NPY_CORDER);
    PyArrayObject *own_sums = (PyArrayObject *)PyArray_NewCopy(sums, NPY_CORDER);
    mb_release(weight);
    mb_release(sums);
    if (own_weight == NULL || own_sums == NULL) {
        mb_release(own_weight);
        mb_release(own_sums);
        return NULL;
    }
    return mb_new_statistics(type, own_weight, own_sums, log_likelihood, n_rows);
}

static int
statistics_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    return 0;
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
    Py_BEGIN_ALLOW_THREADS for (size_t i = 0; i < n; i++)
    {
        z[i] = x[i] + y[i];
    }
    Py_END_ALLOW_THREADS return mb_new_statistics(
        Py_TYPE(left), weight, sums, a->log_likelihood + b->log_likelihood, a->n_rows + b->n_rows);
}

static PyObject *
statistics_reduce(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    statistics_object *self = (statistics_object *)object;
    return Py_BuildValue("O(OOdK)", (PyObject *)Py_TYPE(object), (PyObject *)self->weight,
                         (PyObject *)self->log_sums, self->log_likelihood, self->n_rows);
}

static PyObject *
get_weight(PyObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef((PyObject *)((statistics_object *)self)->weight);
}

static PyObject *
get_log_sums(PyObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef((PyObject *)((statistics_object *)self)->log_sums);
}

static PyObject *
get_log_likelihood(PyObject *self, void *Py_UNUSED(closure))
{
    return PyFloat_FromDouble(((statistics_object *)self)->log_likelihood);
}

static PyObject *
get_n_rows(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(((statistics_object *)self)->n_rows);
}

static PyGetSetDef statistics_getset[] = {
    {"weight", get_weight, NULL, "Weight of the rows in each component, shape (K,).", NULL},
    {"log_sums", get_log_sums, NULL, "Weighted sums of log-probabilities, shape (K, V).", NULL},
    {"log_likelihood", get_log_likelihood, NULL, "Weighted log-likelihood of the rows, nats.",
     NULL},
    {"n_rows", get_n_rows, NULL, "Number of rows.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef statistics_methods[] = {
    {"__reduce__", statistics_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(statistics_doc,
             "SufficientStatistics(weight, log_sums, log_likelihood, n_rows)\n--\n\n"
             "What an M-step needs to know of any number of rows; `a + b` merges.\n\n"
             "Parameters\n----------\n"
             "weight : array_like, shape (K,)\n    Weight of the rows in each component.\n"
             "log_sums : array_like, shape (K, V)\n    Weighted sums of log-probabilities.\n"
             "log_likelihood : float\n    Weighted log-likelihood of the rows, in nats.\n"
             "n_rows : int\n    Number of rows.\n\n"
             "Examples\n--------\n"
             ">>> from matrixbayes import SufficientStatistics\n"
             ">>> a = SufficientStatistics([2.0], [[-1.0, -3.0]], 0.5, 2)\n"
             ">>> (a + a).n_rows\n4\n");

static PyType_Slot statistics_slots[] = {
    {Py_tp_doc, (void *)statistics_doc},   {Py_tp_new, statistics_new},
    {Py_tp_traverse, statistics_traverse}, {Py_tp_dealloc, statistics_dealloc},
    {Py_nb_add, statistics_add},           {Py_tp_getset, statistics_getset},
    {Py_tp_methods, statistics_methods},   {0, NULL},
};

PyType_Spec mb_statistics_spec = {
    .name = "matrixbayes._core.SufficientStatistics",
    .basicsize = sizeof(statistics_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = statistics_slots,
};
