/* Errors, array converters and signals for the other binding files. */
#include "bind/bind.h"

#include "core/base/ranges.h"

#include <float.h>
#include <math.h>
#include <time.h>

mb_state *
mb_module_state(PyObject *module)
{
    return (mb_state *)PyModule_GetState(module);
}

PyObject *
mb_raise(mb_status status, const char *why)
{
    switch (status) {
    case MB_NOMEM:
        return PyErr_NoMemory();
    case MB_INVALID:
        PyErr_SetString(PyExc_ValueError, why);
        return NULL;
    case MB_RANGE:
        PyErr_SetString(PyExc_OverflowError, why);
        return NULL;
    case MB_NUMERIC:
        PyErr_SetString(PyExc_FloatingPointError, why);
        return NULL;
    case MB_STOPPED: /* by a signal handler, which has raised */
        return NULL;
    case MB_OK:
        break;
    }
    PyErr_Format(PyExc_SystemError, "core status %d raised", (int)status);
    return NULL;
}

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

PyArrayObject *
mb_own_array(PyObject *object, const char *name)
{
    PyArrayObject *any = (PyArrayObject *)PyArray_FROM_O(object), *own = NULL;
    if (any != NULL && check_unmasked(any, name) == 0) {
        own = (PyArrayObject *)PyArray_View(any, NULL, &PyArray_Type);
    }
    mb_release(any);
    return own;
}

PyObject *
mb_view(PyObject *owner, int ndim, const npy_intp *shape, int type, void *data)
{
    PyArrayObject *array = (PyArrayObject *)PyArray_SimpleNewFromData(ndim, shape, type, data);
    if (array == NULL) {
        return NULL;
    }
    PyArray_CLEARFLAGS(array, NPY_ARRAY_WRITEABLE);
    if (PyArray_SetBaseObject(array, Py_NewRef(owner)) < 0) {
        mb_release(array);
        return NULL;
    }
    return (PyObject *)array;
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
    if (!PyTypeNum_ISINTEGER(PyArray_TYPE(any)) && PyArray_SIZE(any) > 0) {
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

/* ---- work without the GIL ---------------------------------------------------------- */

/* To take the GIL may mean to wait for a thread that has it, for 5 ms by default. */
#define BETWEEN_TURNS 0.004 /* seconds */

static double
seconds(void)
{
    struct timespec now;
    (void)timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Whether Python runs signal handlers in this thread: in the main one, and in no other.  -1 with an
 * exception set, perhaps that of a handler, as this may run one. */
static int
runs_handlers(void)
{
    PyObject *threading = PyImport_ImportModule("threading");
    PyObject *main = threading == NULL ? NULL : PyObject_CallMethod(threading, "main_thread", NULL);
    PyObject *ident = main == NULL ? NULL : PyObject_GetAttrString(main, "ident");
    unsigned long number = ident == NULL ? 0 : PyLong_AsUnsignedLong(ident);
    Py_XDECREF(ident);
    Py_XDECREF(main);
    Py_XDECREF(threading);
    return PyErr_Occurred() ? -1 : number == PyThread_get_thread_ident();
}

/* What the core asks.  Only the main thread takes the GIL for that, and seldom; another one does once,
 * to learn that it is another. */
static int
handler_raised(void *state)
{
    mb_work *work = state;
    if (work->is_other || fabs(seconds() - work->seen) < BETWEEN_TURNS) {
        return 0;
    }
    PyEval_RestoreThread(work->thread);
    int raised = PyErr_CheckSignals() < 0;
    if (!raised && work->seen == 0.0) {
        int runs = runs_handlers();
        raised = runs < 0;
        work->is_other = runs == 0;
    }
    work->seen = seconds();
    work->thread = PyEval_SaveThread();
    return raised;
}

mb_interrupt *
mb_begin_work(mb_work *work)
{
    *work = (mb_work){.interrupt = {handler_raised, work, 0}};
    work->thread = PyEval_SaveThread();
    return &work->interrupt;
}

void
mb_end_work(mb_work *work)
{
    PyEval_RestoreThread(work->thread);
}

/* ---- ranges ------------------------------------------------------------------------ */

const mb_range mb_finite_positive = {0.0, DBL_MAX, 1, "finite and above 0"};
const mb_range mb_finite_not_negative = {0.0, DBL_MAX, 0, "finite and 0 or above"};
const mb_range mb_legal_alpha = {MB_LEAST_ALPHA, DBL_MAX, 0, "finite and 1e-300 or above"};

size_t
mb_first_outside(const mb_range *allowed, size_t n, const double *x)
{
    for (size_t i = 0; i < n; i++) {
        if (!(x[i] >= allowed->low && x[i] <= allowed->high) ||
            (allowed->open && x[i] == allowed->low)) {
            return i;
        }
    }
    return n;
}

int
mb_find_outside(const mb_range *allowed, size_t n, const double *x, size_t *first)
{
    const size_t piece = (size_t)1 << 14;
    mb_status status = MB_OK;
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    *first = n;
    for (size_t at = 0; at < n && *first == n && status == MB_OK; at += piece) {
        size_t run = n - at < piece ? n - at : piece;
        size_t found = mb_first_outside(allowed, run, x + at);
        *first = found < run ? at + found : n;
        status = mb_ask(interrupt, 2 * run);
    }
    mb_end_work(&work);
    return status == MB_OK ? 0 : -1;
}
