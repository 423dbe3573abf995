/* The type DirichletMixture: making, attributes and pickling.  What it computes
 * stands in mixture_methods.c, count_methods.c and sampling.c. */
#include "bind/mixture/mixture.h"
#include "core/base/ranges.h"

#include <math.h>
#include <string.h>

typedef struct {
    PyObject_HEAD mb_mixture *mixture;
    PyObject *tokens; /* a tuple of n_tokens strings, or None */
} mixture_object;

mb_mixture *
mb_mixture_of(PyObject *object)
{
    return ((mixture_object *)object)->mixture;
}

PyObject *
mb_mixture_tokens(PyObject *object)
{
    return ((mixture_object *)object)->tokens;
}

/* ---- making ------------------------------------------------------------------ */

PyObject *
mb_new_mixture(PyTypeObject *type, size_t n_components, size_t n_tokens, const double *weights,
               const double *alpha, PyObject *tokens)
{
    mb_mixture *mixture = NULL;
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_mixture_new(n_components, n_tokens, weights, alpha, interrupt, &mixture);
    mb_end_work(&work);
    if (status != MB_OK) {
        return mb_raise(status, status == MB_RANGE
                                    ? "the sum of a row of alpha overflows: it is 2^60 at most"
                                    : "weights must be >= 0 with a positive sum, and each alpha "
                                      "finite and >= 1e-300");
    }
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    mixture_object *self = (mixture_object *)alloc(type, 0);
    if (self == NULL) {
        mb_mixture_free(mixture);
        return NULL;
    }
    self->mixture = mixture;
    self->tokens = Py_NewRef(tokens);
    return (PyObject *)self;
}

/* -1 with an error that names the first weight or alpha that cannot be. */
static int
check_parameters(PyArrayObject *weights, PyArrayObject *alpha)
{
    size_t n_components = mb_dim(alpha, 0), n_tokens = mb_dim(alpha, 1);
    if (mb_dim(weights, 0) != n_components || n_components == 0 || n_tokens == 0) {
        PyErr_Format(PyExc_ValueError,
                     "weights must have shape (K,) and alpha (K, V) with K, V >= 1; they have "
                     "(%zu,) and (%zu, %zu)",
                     mb_dim(weights, 0), n_components, n_tokens);
        return -1;
    }
    double sum = 0.0;
    for (size_t k = 0; k < n_components; k++) {
        double weight = mb_data(weights)[k];
        if (!(weight >= 0.0) || isinf(weight)) {
            mb_raise_number(weight, "a weight must be finite and >= 0", "weights[%zu]", k);
            return -1;
        }
        sum += weight;
    }
    size_t wrong, size = n_components * n_tokens;
    if (mb_find_outside(&mb_legal_alpha, size, mb_data(alpha), &wrong) < 0) {
        return -1;
    }
    if (wrong < size) {
        mb_raise_number(mb_data(alpha)[wrong], "an alpha must be finite and > 0, from 1e-300 on",
                        "alpha[%zu, %zu]", wrong / n_tokens, wrong % n_tokens);
        return -1;
    }
    if (!(fabs(sum - 1.0) <= 1e-3)) {
        PyObject *value = PyFloat_FromDouble(sum);
        if (value != NULL) {
            PyErr_Format(PyExc_ValueError, "weights sum to %S, not 1; divide them by their sum",
                         value);
        }
        Py_XDECREF(value);
        return -1;
    }
    return 0;
}

/* -1 with an error unless `tokens` is None or a tuple of n_tokens different strings. */
static int
check_tokens(PyObject *tokens, size_t n_tokens)
{
    if (tokens == Py_None) {
        return 0;
    }
    Py_ssize_t n = PyTuple_Size(tokens);
    if ((size_t)n != n_tokens) {
        PyErr_Format(PyExc_ValueError, "there are %zd tokens for %zu columns of alpha", n,
                     n_tokens);
        return -1;
    }
    PyObject *seen = PySet_New(NULL);
    int failed = seen == NULL ? -1 : 0;
    for (Py_ssize_t v = 0; v < n && !failed; v++) {
        PyObject *name = PyTuple_GetItem(tokens, v);
        if (!PyUnicode_Check(name)) {
            PyErr_Format(PyExc_TypeError, "tokens[%zd] is %R, not a string", v, name);
            failed = -1;
            break;
        }
        int known = PySet_Contains(seen, name);
        if (known > 0) {
            PyErr_Format(PyExc_ValueError, "token %R names two columns, one of them %zd", name, v);
        }
        failed = known != 0 || PySet_Add(seen, name) < 0 ? -1 : 0;
    }
    Py_XDECREF(seen);
    return failed;
}

static PyObject *
mixture_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"weights", "alpha", "tokens", NULL};
    PyObject *weights_arg, *alpha_arg, *tokens_arg = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|$O:DirichletMixture", names, &weights_arg,
                                     &alpha_arg, &tokens_arg)) {
        return NULL;
    }
    PyObject *result = NULL, *tokens = NULL;
    PyArrayObject *alpha = NULL, *weights = mb_doubles(weights_arg, 1, "weights");
    if (weights == NULL || (alpha = mb_doubles(alpha_arg, 2, "alpha")) == NULL) {
        goto done;
    }
    tokens = tokens_arg == Py_None ? Py_NewRef(Py_None) : mb_items(tokens_arg, "tokens");
    if (tokens != NULL && check_parameters(weights, alpha) == 0 &&
        check_tokens(tokens, mb_dim(alpha, 1)) == 0) {
        result = mb_new_mixture(type, mb_dim(alpha, 0), mb_dim(alpha, 1), mb_data(weights),
                                mb_data(alpha), tokens);
    }
done:
    Py_XDECREF(tokens);
    mb_release(alpha);
    mb_release(weights);
    return result;
}

static int
mixture_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((mixture_object *)self)->tokens);
    return 0;
}

static void
mixture_dealloc(PyObject *object)
{
    mixture_object *self = (mixture_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    mb_mixture_free(self->mixture);
    Py_XDECREF(self->tokens);
    freefunc free_object = (freefunc)PyType_GetSlot(type, Py_tp_free);
    free_object(object);
    Py_DECREF(type);
}

/* ---- attributes ---------------------------------------------------------------- */

static PyObject *
mixture_get_weights(PyObject *self, void *Py_UNUSED(closure))
{
    mb_mixture *mixture = mb_mixture_of(self);
    npy_intp shape[] = {(npy_intp)mixture->n_components};
    return mb_view(self, 1, shape, NPY_DOUBLE, mixture->weights);
}

static PyObject *
mixture_get_alpha(PyObject *self, void *Py_UNUSED(closure))
{
    mb_mixture *mixture = mb_mixture_of(self);
    npy_intp shape[] = {(npy_intp)mixture->n_components, (npy_intp)mixture->n_tokens};
    return mb_view(self, 2, shape, NPY_DOUBLE, mixture->alpha);
}

static PyObject *
mixture_get_concentration(PyObject *self, void *Py_UNUSED(closure))
{
    mb_mixture *mixture = mb_mixture_of(self);
    npy_intp shape[] = {(npy_intp)mixture->n_components};
    return mb_view(self, 1, shape, NPY_DOUBLE, mixture->concentration);
}

static PyObject *
mixture_get_n_components(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSize_t(mb_mixture_of(self)->n_components);
}

static PyObject *
mixture_get_n_tokens(PyObject *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSize_t(mb_mixture_of(self)->n_tokens);
}

static PyObject *
mixture_get_tokens(PyObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(mb_mixture_tokens(self));
}

PyObject *
mb_mixture_getnewargs_ex(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *weights = mixture_get_weights(self, NULL), *alpha = mixture_get_alpha(self, NULL);
    PyObject *result = NULL;
    if (weights != NULL && alpha != NULL) {
        result = Py_BuildValue("(OO){sO}", weights, alpha, "tokens", mb_mixture_tokens(self));
    }
    Py_XDECREF(weights);
    Py_XDECREF(alpha);
    return result;
}

static int
equal(PyObject *a, PyObject *b)
{
    const mb_mixture *x = mb_mixture_of(a), *y = mb_mixture_of(b);
    if (x->n_components != y->n_components || x->n_tokens != y->n_tokens) {
        return 0;
    }
    size_t bytes = x->n_components * sizeof(double);
    if (memcmp(x->weights, y->weights, bytes) != 0 ||
        memcmp(x->alpha, y->alpha, bytes * x->n_tokens) != 0) {
        return 0;
    }
    return PyObject_RichCompareBool(mb_mixture_tokens(a), mb_mixture_tokens(b), Py_EQ);
}

static PyObject *
mixture_richcompare(PyObject *self, PyObject *other, int op)
{
    PyTypeObject *type = Py_TYPE(self);
    if ((op != Py_EQ && op != Py_NE) || Py_TYPE(other) != type) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    int same = equal(self, other);
    return same < 0 ? NULL : PyBool_FromLong(op == Py_EQ ? same : !same);
}

/* ---- the type ------------------------------------------------------------------- */

static PyGetSetDef mixture_getset[] = {
    {"weights", mixture_get_weights, NULL, "Weights of the components, shape (K,), read-only.",
     NULL},
    {"alpha", mixture_get_alpha, NULL, "Dirichlet parameters, shape (K, V), read-only.", NULL},
    {"concentration", mixture_get_concentration, NULL,
     "Sum of each component's alpha, shape (K,), read-only.", NULL},
    {"n_components", mixture_get_n_components, NULL, "Number of components, K.", NULL},
    {"n_tokens", mixture_get_n_tokens, NULL, "Number of tokens, V.", NULL},
    {"tokens", mixture_get_tokens, NULL, "Names of the V tokens, a tuple, or None.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(mixture_doc,
             "DirichletMixture(weights, alpha, *, tokens=None)\n--\n\n"
             "Storage and kernels of matrixbayes.DirichletMixture, which documents them.\n\n"
             "Here methods take arrays of the exact kind that the kernels read.");

static PyType_Slot mixture_slots[] = {
    {Py_tp_doc, (void *)mixture_doc},
    {Py_tp_new, mixture_new},
    {Py_tp_traverse, mixture_traverse},
    {Py_tp_dealloc, mixture_dealloc},
    {Py_tp_richcompare, mixture_richcompare},
    {Py_tp_hash, PyObject_HashNotImplemented},
    {Py_tp_getset, mixture_getset},
    {Py_tp_methods, mb_mixture_methods},
    {0, NULL},
};

PyType_Spec mb_mixture_spec = {
    .name = "matrixbayes._core.DirichletMixture",
    .basicsize = sizeof(mixture_object),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = mixture_slots,
};
