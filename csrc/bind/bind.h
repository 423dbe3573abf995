/* What every binding file needs: Python, NumPy, the module's state, errors and array converters. */
#ifndef MB_BIND_H
#define MB_BIND_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define PY_ARRAY_UNIQUE_SYMBOL mb_array_api
#ifndef MB_IMPORTS_ARRAY
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

#include "core/matrix/transitions.h"
#include "core/mixture/mixture.h"
#include "core/base/status.h"

typedef struct {
    PyTypeObject *mixture;
    PyTypeObject *statistics;
    PyTypeObject *counts;
    PyTypeObject *transitions;
    PyTypeObject *fading;
    PyTypeObject *frozen;
    PyTypeObject *backoff;
} mb_state;

/* The state of the module that a function (or, by its type, a method) belongs to. */
mb_state *mb_module_state(PyObject *module);

/* What the collector visits of an object that has no Python object but its type. */
int mb_traverse_type(PyObject *self, visitproc visit, void *arg);

/* Looks for Python's raw allocator; to be called before the core makes an object. */
void mb_find_allocator(void);

/* Turns a status into an exception and returns NULL; `why` is the sentence for the user. */
PyObject *mb_raise(mb_status status, const char *why);

/* What keeps the memory of an array where it is while work without the GIL reads it, a new reference:
 * NumPy resizes no array that has a weak reference, whatever it is told, and a buffer that is
 * exported (of a bytearray, a map of a file) neither grows nor closes; one that has been closed is
 * a ValueError. */
PyObject *mb_hold(PyArrayObject *array);

/* `object` as an array of NumPy's own type that nobody else holds, over memory that is held: what is
 * checked of it stays so, also where code of the caller's (the iterator or __array__ of another
 * argument) gives the array that it passed another shape.  A view where it is an array already; a new
 * reference.  A masked entry is a ValueError that names `name`,
 * and so is an array that repeats few entries more often than anything can look at.
 * Every converter below answers with such an array, and a function converts all of its
 * arguments before it checks how they go together. */
PyArrayObject *mb_own_array(PyObject *object, const char *name);

/* What is in a list, a tuple, a text or an iterator, as a tuple of its own: others may change the
 * caller's list.  Other containers (a sparse matrix, a tensor) make rows that have no end.  A new
 * reference. */
PyObject *mb_items(PyObject *given, const char *name);

/* A read-only array of `type` over memory that lives as long as `owner`: what getters give. */
PyObject *mb_view(PyObject *owner, int ndim, const npy_intp *shape, int type, void *data);

/* `object` as a C-ordered float64 array of `ndim` axes (any number where ndim is
 * -1), in its own memory where it is one already; a new reference.  Complex, text and object input
 * is a TypeError, another number of axes a ValueError that names `name`, as is a whole number that
 * no double holds. */
PyArrayObject *mb_doubles(PyObject *object, int ndim, const char *name);

/* `object` as a C-ordered int64 array of `ndim` axes with these `requirements` of NumPy, in its
 * own memory where it is one already; a new reference.  What is no whole number is a TypeError (but
 * for what is empty); another number of axes and a number above 2^63 - 1 are a ValueError that
 * names `name`. */
PyArrayObject *mb_whole_numbers(PyObject *object, int ndim, int requirements, const char *name);

/* `object` as a C-ordered array of log-probabilities [n][n_columns], float32 or
 * float64, never copied: another type or order is a TypeError that says how to get there. A new reference. */
PyArrayObject *mb_log_prob_rows(PyObject *object, size_t n_columns);

/* A new float64 array; its memory is not initialised. */
PyArrayObject *mb_new_doubles(int ndim, const npy_intp *shape);

/* A new array of one axis, or of two where `columns` is not MB_NO_COLUMNS. */
#define MB_NO_COLUMNS SIZE_MAX
PyArrayObject *mb_new_array(size_t n, size_t columns, int type);

/* Ends a reference; NULL is ignored.  (Py_XDECREF takes no arrays in the limited API.) */
static inline void
mb_release(PyArrayObject *array)
{
    Py_XDECREF((PyObject *)array);
}

/* Shorthands for an array's memory and sizes. */
static inline double *
mb_data(PyArrayObject *array)
{
    return (double *)PyArray_DATA(array);
}

static inline size_t
mb_dim(PyArrayObject *array, int axis)
{
    return (size_t)PyArray_DIM(array, axis);
}

/* Work of the core without the GIL, the one way to it:
 *
 *     mb_work work;
 *     mb_interrupt *interrupt = mb_begin_work(&work);
 *     mb_status status = mb_x(..., interrupt, ...);
 *     mb_end_work(&work);
 *
 * Meanwhile Python's signal handlers run where the core asks.  Where one raises, the status is
 * MB_STOPPED with that exception set, which mb_raise() leaves as it is.  Between the two lines
 * nothing of Python is touched but the memory of arrays. */
typedef struct {
    mb_interrupt interrupt;
    PyThreadState *thread;
    double seen;  /* when the handlers last had their turn, in seconds */
    int is_other; /* whether this is known to be no thread that runs handlers */
} mb_work;

mb_interrupt *mb_begin_work(mb_work *work);
void mb_end_work(mb_work *work);

/* A ValueError, "PLACE is VALUE; ADVICE", its place by a format of PyUnicode_FromFormat().  It is a
 * MemoryError where there is none for the sentence, which PyErr_Format() would say with "<NULL>" in
 * it. */
void mb_raise_number(double value, const char *advice, const char *place, ...);

/* What numbers may be. */
typedef struct {
    double low, high;
    int open; /* whether `low` itself is outside */
    const char *name;
} mb_range;

extern const mb_range mb_finite_positive, mb_finite_not_negative, mb_legal_alpha;

/* The first of x[0..n) that is outside, NaN too; n where none is. */
size_t mb_first_outside(const mb_range *allowed, size_t n, const double *x);

/* The same as work, into *first; -1 with an exception set where a signal handler raised one. */
int mb_find_outside(const mb_range *allowed, size_t n, const double *x, size_t *first);

/* The mixture inside a DirichletMixture, borrowed. */
mb_mixture *mb_mixture_of(PyObject *object);

/* Documents, and the int64 arrays that hold them. */
typedef struct {
    size_t n;
    mb_document *documents; /* [n] */
    PyObject *arrays;       /* a list */
} mb_documents;

/* The document that an argument is, or the documents of a list: -1 with an exception set, or what
 * mb_release_texts() ends. */
int mb_parse_texts(PyObject *arg, mb_documents *texts);

/* Whether a document is an array that is read as it is. */
int mb_is_plain_text(PyObject *item);

/* The documents from starts [n] to ends [n] in one array of tokens, in the same way. */
int mb_parse_pieces(PyObject *tokens_arg, PyObject *starts_arg, PyObject *ends_arg,
                    mb_documents *texts);
void mb_release_texts(mb_documents *texts);

/* A copy of the counts inside TransitionCounts, merged into one run, for a reader, who ends it by
 * mb_transitions_free(); NULL with an exception set.  Where nobody else reads, the object has the same
 * run from then on. */
mb_transitions *mb_compacted_copy(PyObject *self);

/* The parts of the module, each in its own file. */
extern PyMethodDef mb_special_functions[];
extern PyMethodDef mb_row_functions[];
extern PyMethodDef mb_group_functions[];
extern PyMethodDef mb_code_functions[];
extern PyMethodDef mb_expectation_functions[];
extern PyMethodDef mb_maximization_functions[];
extern PyMethodDef mb_count_functions[];
extern PyMethodDef mb_draw_functions[];
extern PyMethodDef mb_partial_functions[];
extern PyMethodDef mb_partial_maximization_functions[];
extern PyMethodDef mb_regression_functions[];
extern PyMethodDef mb_distance_functions[];
extern PyMethodDef mb_divergence_functions[];
extern PyMethodDef mb_learning_functions[];
extern PyMethodDef mb_kernel_functions[];
extern PyMethodDef mb_tree_functions[];
extern PyMethodDef mb_balance_functions[];
extern PyMethodDef mb_discount_functions[];
extern PyMethodDef mb_concentration_functions[];
extern PyMethodDef mb_arpa_functions[];
extern PyMethodDef mb_document_functions[];
extern PyType_Spec mb_mixture_spec;
extern PyType_Spec mb_statistics_spec;
extern PyType_Spec mb_counts_spec;
extern PyType_Spec mb_transitions_spec;
extern PyType_Spec mb_fading_spec;
extern PyType_Spec mb_frozen_spec;
extern PyType_Spec mb_backoff_spec;

#endif
