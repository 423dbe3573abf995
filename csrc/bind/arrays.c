/* Arrays of the caller made into those that the core reads, and new ones. */
#include "bind/bind.h"

/* Whether every entry is there: -1 with an exception set where numpy.ma says that one is not. */
static int
check_unmasked(PyArrayObject *array, const char *name)
{
    if (PyArray_CheckExact(array)) {
        return 0;
    }
    PyObject *mask = PyObject_GetAttrString((PyObject *)array, "mask");
    if (mask == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError)) {
            return -1;
        }
        PyErr_Clear(); /* another subclass */
        return 0;
    }
    PyArrayObject *flags = (PyArrayObject *)PyArray_FROM_OTF(mask, NPY_BOOL, NPY_ARRAY_IN_ARRAY);
    Py_DECREF(mask);
    if (flags == NULL) {
        return -1;
    }
    const npy_bool *masked = PyArray_DATA(flags);
    npy_intp n = PyArray_SIZE(flags), i = 0;
    while (i < n && !masked[i]) {
        i++;
    }
    mb_release(flags);
    if (i < n) {
        PyErr_Format(PyExc_ValueError, "%s has masked entries, which are not used", name);
        return -1;
    }
    return 0;
}

/* Whether a double holds a whole number. */
static int
is_double(uint64_t magnitude)
{
    const uint64_t most = (uint64_t)1 << 53;
    while (magnitude > most && magnitude % 2 == 0) {
        magnitude /= 2;
    }
    return magnitude <= most;
}

/* Whether each of these whole numbers is a double (or with `to_whole`, an int64); -1 with an
 * exception set where one is not. */
static int
check_held(PyArrayObject *array, int to_whole, const char *name)
{
    int type = PyArray_TYPE(array), is_signed = PyTypeNum_ISSIGNED(type), held = 1;
    if (!PyTypeNum_ISINTEGER(type) || PyArray_ITEMSIZE(array) < 8 || (is_signed && to_whole)) {
        return 0;
    }
    PyArrayObject *wide = (PyArrayObject *)PyArray_FROM_OTF(
        (PyObject *)array, is_signed ? NPY_INT64 : NPY_UINT64, NPY_ARRAY_IN_ARRAY);
    if (wide == NULL) {
        return -1;
    }
    const uint64_t *x = PyArray_DATA(wide), most = INT64_MAX;
    uint64_t found = 0;
    npy_intp n = PyArray_SIZE(wide);
    for (npy_intp i = 0; held && i < n; i++) {
        int is_negative = is_signed && x[i] > most;
        found = x[i];
        held = to_whole ? found <= most : is_double(is_negative ? 0 - found : found);
    }
    mb_release(wide);
    if (!held && is_signed) {
        PyErr_Format(PyExc_ValueError, "%s holds %lld, which no double holds exactly", name,
                     (long long)found);
    } else if (!held) {
        PyErr_Format(PyExc_ValueError, "%s holds %llu, which no %s holds exactly", name,
                     (unsigned long long)found, to_whole ? "int64" : "double");
    }
    return held ? 0 : -1;
}

/* What the memory of an object is a part of, borrowed from it; NULL where that is its own. */
static PyObject *
owner_of(PyObject *object)
{
    PyObject *owner = NULL;
    if (PyArray_Check(object) && !PyArray_CHKFLAGS((PyArrayObject *)object, NPY_ARRAY_OWNDATA)) {
        owner = PyArray_BASE((PyArrayObject *)object);
    } else if (PyMemoryView_Check(object)) {
        owner = PyObject_GetAttrString(object, "obj"); /* which the view has a reference to */
        Py_XDECREF(owner);
        PyErr_Clear();
    }
    return owner == Py_None ? NULL : owner;
}

PyObject *
mb_hold(PyArrayObject *array)
{
    PyObject *owner = (PyObject *)array, *next;
    while ((next = owner_of(owner)) != NULL) {
        owner = next;
    }
    if (PyArray_Check(owner)) {
        return PyWeakref_NewRef(owner, NULL);
    }
    PyObject *held =
        PyObject_CheckBuffer(owner) ? PyMemoryView_FromObject(owner) : Py_NewRef(owner);
    if (held == NULL && PyErr_ExceptionMatches(PyExc_BufferError)) { /* it has no such form */
        PyErr_Clear();
        held = Py_NewRef(owner);
    }
    return held;
}

/* A new array that keeps its owner. */
static PyArrayObject *
owned_by(PyArrayObject *array, PyObject *owner)
{
    if (PyArray_SetBaseObject(array, Py_NewRef(owner)) < 0) {
        Py_CLEAR(array); /* never: a new array takes any owner that is none itself */
    }
    return array;
}

/* 0 unless an array repeats few entries so often that nothing comes to their end: -1 then, with an
 * exception set.  NumPy itself makes none of 2^63 bytes or more. */
static int
check_there(PyArrayObject *array, const char *name)
{
    const npy_intp most = (npy_intp)1 << 30, *shape = PyArray_DIMS(array);
    if (PyArray_SIZE(array) <= most) {
        return 0;
    }
    double held = (double)PyArray_ITEMSIZE(array);
    for (int d = 0; d < PyArray_NDIM(array); d++) {
        held += (double)(shape[d] - 1) * fabs((double)PyArray_STRIDES(array)[d]);
    }
    if ((double)PyArray_NBYTES(array) <= held) {
        return 0;
    }
    PyErr_Format(PyExc_ValueError, "%s repeats its entries: %zd are more than can be looked at",
                 name, (Py_ssize_t)PyArray_SIZE(array));
    return -1;
}

PyArrayObject *
mb_own_array(PyObject *object, const char *name)
{
    PyArrayObject *any = (PyArrayObject *)PyArray_FROM_O(object), *own = NULL;
    PyObject *held = NULL, *both = NULL;
    if (any != NULL && check_there(any, name) == 0 && check_unmasked(any, name) == 0 &&
        (held = mb_hold(any)) != NULL && (both = PyTuple_Pack(2, (PyObject *)any, held)) != NULL) {
        PyArray_Descr *type = (PyArray_Descr *)Py_NewRef((PyObject *)PyArray_DESCR(any));
        own = (PyArrayObject *)PyArray_NewFromDescr(
            &PyArray_Type, type, PyArray_NDIM(any), PyArray_DIMS(any), PyArray_STRIDES(any),
            PyArray_DATA(any), PyArray_FLAGS(any) & ~NPY_ARRAY_OWNDATA, NULL);
    }
    own = own == NULL ? NULL : owned_by(own, both);
    Py_XDECREF(both);
    Py_XDECREF(held);
    mb_release(any);
    return own;
}

PyObject *
mb_items(PyObject *given, const char *name)
{
    if (!PyList_Check(given) && !PyTuple_Check(given) && !PyUnicode_Check(given) &&
        !PyIter_Check(given)) {
        PyErr_Format(PyExc_TypeError, "%s must be in a list or a tuple, not in %R", name,
                     (PyObject *)Py_TYPE(given));
        return NULL;
    }
    return PySequence_Tuple(given);
}

PyObject *
mb_view(PyObject *owner, int ndim, const npy_intp *shape, int type, void *data)
{
    PyObject *array = PyArray_SimpleNewFromData(ndim, shape, type, data);
    if (array == NULL) {
        return NULL;
    }
    PyArray_CLEARFLAGS((PyArrayObject *)array, NPY_ARRAY_WRITEABLE);
    return (PyObject *)owned_by((PyArrayObject *)array, owner);
}

PyArrayObject *
mb_doubles(PyObject *object, int ndim, const char *name)
{
    PyArrayObject *any = mb_own_array(object, name);
    if (any == NULL) {
        return NULL;
    }
    int type = PyArray_TYPE(any);
    if (!PyTypeNum_ISINTEGER(type) && !PyTypeNum_ISFLOAT(type) && !PyTypeNum_ISBOOL(type)) {
        PyErr_Format(PyExc_TypeError, "%s must be an array of real numbers, not of %S", name,
                     (PyObject *)PyArray_DESCR(any));
        mb_release(any);
        return NULL;
    }
    if (ndim >= 0 && PyArray_NDIM(any) != ndim) {
        PyErr_Format(PyExc_ValueError, "%s must have %d axes, not %d", name, ndim,
                     PyArray_NDIM(any));
        mb_release(any);
        return NULL;
    }
    if (check_held(any, 0, name) < 0) {
        mb_release(any);
        return NULL;
    }
    PyArrayObject *array =
        (PyArrayObject *)PyArray_FROM_OTF((PyObject *)any, NPY_DOUBLE, NPY_ARRAY_IN_ARRAY);
    mb_release(any);
    return array;
}

PyArrayObject *
mb_whole_numbers(PyObject *object, int ndim, int requirements, const char *name)
{
    PyArrayObject *any = mb_own_array(object, name), *array = NULL;
    if (any == NULL) {
        return NULL;
    }
    int type = PyArray_TYPE(any);
    /* What is empty may be of another type, as an empty list is; of complex ones a cast warns. */
    if (!PyTypeNum_ISINTEGER(type) && (PyArray_SIZE(any) > 0 || PyTypeNum_ISCOMPLEX(type))) {
        PyErr_Format(PyExc_TypeError, "%s must be whole numbers, not %S", name,
                     (PyObject *)PyArray_DESCR(any));
    } else if (PyArray_NDIM(any) != ndim) {
        PyErr_Format(PyExc_ValueError, "%s must have %d axes, not %d", name, ndim,
                     PyArray_NDIM(any));
    } else if (check_held(any, 1, name) == 0) {
        array = (PyArrayObject *)PyArray_FROM_OTF(
            (PyObject *)any, NPY_INT64, NPY_ARRAY_IN_ARRAY | NPY_ARRAY_FORCECAST | requirements);
    }
    mb_release(any);
    return array;
}

PyArrayObject *
mb_log_prob_rows(PyObject *object, size_t n_columns)
{
    if (!PyArray_Check(object)) {
        PyErr_Format(PyExc_TypeError, "log_probs must be an array, not %R",
                     (PyObject *)Py_TYPE(object));
        return NULL;
    }
    PyArrayObject *array = mb_own_array(object, "log_probs");
    if (array == NULL) {
        return NULL;
    }
    int type = PyArray_TYPE(array);
    if ((type != NPY_FLOAT && type != NPY_DOUBLE) || !PyArray_ISCARRAY_RO(array)) {
        PyErr_Format(PyExc_TypeError,
                     "log_probs must be float32 or float64 in C order and native byte order, "
                     "not %S; log_probs(rows, kind=...) gives such an array",
                     (PyObject *)PyArray_DESCR(array));
        mb_release(array);
        return NULL;
    }
    if (PyArray_NDIM(array) != 2 || mb_dim(array, 1) != n_columns) {
        PyObject *shape = PyObject_GetAttrString((PyObject *)array, "shape");
        if (shape != NULL) {
            PyErr_Format(PyExc_ValueError, "log_probs must have shape (n, %zu), not %S", n_columns,
                         shape);
            Py_DECREF(shape);
        }
        mb_release(array);
        return NULL;
    }
    return array;
}

PyArrayObject *
mb_new_doubles(int ndim, const npy_intp *shape)
{
    return (PyArrayObject *)PyArray_SimpleNew(ndim, shape, NPY_DOUBLE);
}

PyArrayObject *
mb_new_array(size_t n, size_t columns, int type)
{
    npy_intp shape[] = {(npy_intp)n, (npy_intp)columns};
    return (PyArrayObject *)PyArray_SimpleNew(columns == MB_NO_COLUMNS ? 1 : 2, shape, type);
}
