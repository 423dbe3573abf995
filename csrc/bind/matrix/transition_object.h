/* What the files of TransitionCounts share: the object, its users, its arguments. */
#ifndef MB_TRANSITION_OBJECT_H
#define MB_TRANSITION_OBJECT_H

#include "bind/bind.h"
#include "core/matrix/fading.h"
#include "core/matrix/transitions.h"

/* It changes, so its users are counted: readers, or -1 for one writer.  The count is read and
 * written with the GIL, or by atomic operations where there is none. */
typedef struct {
    PyObject_HEAD mb_transitions *counts;
    Py_ssize_t users;
} mb_transitions_object;

static inline mb_transitions *
mb_transitions_of(PyObject *self)
{
    return ((mb_transitions_object *)self)->counts;
}

/* A copy of counts whose runs have become one, for a reader, who ends it by mb_transitions_free(); NULL
 * with an exception set.  Where nobody else reads, the object has the same run from then on. */
mb_transitions *mb_settled_copy(PyObject *self);

/* FadingCounts, the same for counts that fade. */
typedef struct {
    PyObject_HEAD mb_fading *counts;
    Py_ssize_t users;
} mb_fading_object;

static inline mb_fading *
mb_fading_of(PyObject *self)
{
    return ((mb_fading_object *)self)->counts;
}

/* Begins a use of an object by a writer or a reader: -1 with RuntimeError where others use it in
 * a way that does not go together.  Every use that has begun ends. */
int mb_begin_use_of(Py_ssize_t *users, int writes);
void mb_end_use_of(Py_ssize_t *users, int writes);
int mb_begin_use(PyObject *self, int writes);
void mb_end_use(PyObject *self, int writes);

/* Contexts [n][order], and as many tokens unless tokens_arg is NULL, as int64 arrays with these
 * `requirements` of NumPy: new references, or -1 with an exception set. */
int mb_parse_contexts_of(size_t order, PyObject *contexts_arg, PyObject *tokens_arg,
                         int requirements, PyArrayObject **contexts, PyArrayObject **tokens);
int mb_parse_contexts(PyObject *self, PyObject *contexts_arg, PyObject *tokens_arg,
                      int requirements, PyArrayObject **contexts, PyArrayObject **tokens);

/* Documents, and the int64 arrays that hold them. */
typedef struct {
    size_t n;
    mb_document *documents; /* [n] */
    PyObject *arrays;       /* a list */
} mb_texts;

/* The document that an argument is, or the documents of a list: -1 with an exception set, or what
 * mb_release_texts() ends. */
int mb_parse_texts(PyObject *arg, mb_texts *texts);
void mb_release_texts(mb_texts *texts);

/* Raises what a function of the core answered and returns NULL.  A fault is of documents, or of
 * contexts, tokens and counts. */
PyObject *mb_raise_fault(size_t order, uint64_t n_tokens, mb_status status,
                         const mb_token_fault *fault, int of_documents);
PyObject *mb_raise_transitions(PyObject *self, mb_status status, const mb_token_fault *fault,
                               int of_documents);

/* A new TransitionCounts of `type` with counts that it takes, also on failure. */
PyObject *mb_new_transitions(PyTypeObject *type, mb_transitions *counts);

/* -1 with ValueError unless there are such counts. */
int mb_check_order(long long order, long long n_tokens);

/* The methods. */
PyObject *mb_transition_counts_update(PyObject *self, PyObject *tokens);
PyObject *mb_transition_counts_update_rows(PyObject *self, PyObject *args);
PyObject *mb_transition_counts_merge(PyObject *self, PyObject *other);
PyObject *mb_transition_counts_copy(PyObject *self, PyObject *ignored);
PyObject *mb_transition_counts_counts(PyObject *self, PyObject *args);
PyObject *mb_transition_counts_totals(PyObject *self, PyObject *contexts_arg);
PyObject *mb_transition_counts_rows(PyObject *self, PyObject *contexts_arg);
PyObject *mb_transition_counts_all(PyObject *self, PyObject *ignored);
PyObject *mb_transition_counts_sizes(PyObject *self, PyObject *ignored);
PyObject *mb_transition_counts_arrays(PyObject *self, PyObject *ignored);
PyObject *mb_transition_counts_from_arrays(PyObject *type, PyObject *args, PyObject *kwargs);
PyObject *mb_transition_counts_reduce(PyObject *self, PyObject *ignored);

#endif
