/* The type FrozenCounts: its object, and what its files share. */
#ifndef MB_FROZEN_OBJECT_H
#define MB_FROZEN_OBJECT_H

#include "bind/contexts.h"
#include "core/frozen/frozen.h"

/* Levels over arrays of words; the last is that of the counts.  They never change. */
typedef struct {
    PyObject_HEAD PyObject *arrays; /* a tuple */
    mb_frozen frozen;
} mb_frozen_object;

static inline const mb_frozen *
mb_frozen_of(PyObject *self)
{
    return &((mb_frozen_object *)self)->frozen;
}

/* Tokens in a context. */
static inline size_t
mb_frozen_order(PyObject *self)
{
    return mb_frozen_of(self)->n_levels - 1;
}

/* The levels of a sequence of arrays: a tuple of those that are read, or NULL with an exception set. */
PyObject *mb_open_levels(long long n_tokens, PyObject *levels, mb_frozen *frozen);

PyObject *mb_method_frozen_counts(PyObject *self, PyObject *args);
PyObject *mb_method_frozen_totals(PyObject *self, PyObject *contexts_arg);
PyObject *mb_method_frozen_rows(PyObject *self, PyObject *contexts_arg);
PyObject *mb_method_frozen_walk(PyObject *self, PyObject *args);
PyObject *mb_method_frozen_places(PyObject *self, PyObject *contexts_arg);
PyObject *mb_method_frozen_all(PyObject *self, PyObject *ignored);
PyObject *mb_method_frozen_encode(PyObject *none, PyObject *args);

#endif
