/* What TransitionCounts and FadingCounts share: the object, its users, its arguments and methods. */
#ifndef MB_TRANSITION_OBJECT_H
#define MB_TRANSITION_OBJECT_H

#include "bind/contexts.h"
#include "core/matrix/fading.h"
#include "core/matrix/transitions.h"

/* Counts of one of the two kinds; the other is NULL.  They change, so their users are counted: readers,
 * or -1 for one writer.  The count is read and written with the GIL, or by atomic operations where
 * there is none. */
typedef struct {
    PyObject_HEAD mb_transitions *plain;
    mb_fading *fading;
    Py_ssize_t users;
} mb_transition_object;

static inline mb_transition_object *
mb_transition_object_of(PyObject *self)
{
    return (mb_transition_object *)self;
}

static inline mb_transitions *
mb_transitions_of(PyObject *self)
{
    return mb_transition_object_of(self)->plain;
}

static inline mb_fading *
mb_fading_of(PyObject *self)
{
    return mb_transition_object_of(self)->fading;
}

static inline size_t
mb_order_of(PyObject *self)
{
    const mb_transition_object *object = mb_transition_object_of(self);
    return object->fading != NULL ? object->fading->order : object->plain->layout.order;
}

static inline uint64_t
mb_n_tokens_of(PyObject *self)
{
    const mb_transition_object *object = mb_transition_object_of(self);
    return object->fading != NULL ? object->fading->n_tokens : object->plain->n_tokens;
}

/* A new object of `type` with counts that it takes, also on failure. */
PyObject *mb_new_transition_object(PyTypeObject *type, mb_transitions *plain, mb_fading *fading);
void mb_free_transition_object(PyObject *self);

/* ---- users -------------------------------------------------------------------------------- */

/* Begins a use of an object by a writer or a reader: -1 with RuntimeError where others use it in
 * a way that does not go together.  Every use that has begun ends. */
int mb_begin_use(PyObject *self, int writes);
void mb_end_use(PyObject *self, int writes);

/* A use for one function of the core, without the GIL:
 *
 *     mb_job job;
 *     if (mb_begin_job(&job, self, writes) < 0) { ... }
 *     mb_status status = mb_x(..., job.interrupt, &job.fault);
 *     if (mb_end_job(&job, status, of_documents) < 0) { ... }
 *
 * Both answer -1 with an exception set; where the first does, nothing has begun. */
typedef struct {
    PyObject *self;
    int writes;
    mb_work work;
    mb_interrupt *interrupt;
    mb_token_fault fault;
} mb_job;

int mb_begin_job(mb_job *job, PyObject *self, int writes);
int mb_end_job(mb_job *job, mb_status status, int of_documents);

/* The same for a method without an answer: None or NULL. */
PyObject *mb_finish_job(mb_job *job, mb_status status, int of_documents);

/* Raises what a function of the core answered and returns NULL.  A fault is of documents, or of
 * contexts, tokens and counts. */
PyObject *mb_raise_transitions(PyObject *self, mb_status status, const mb_token_fault *fault,
                               int of_documents);

/* ---- arguments ------------------------------------------------------------------------------ */

/* Contexts [n][order], and as many tokens unless tokens_arg is NULL, as int64 arrays with these
 * `requirements` of NumPy: new references, or -1 with an exception set. */
int mb_parse_contexts(PyObject *self, PyObject *contexts_arg, PyObject *tokens_arg,
                      int requirements, PyArrayObject **contexts, PyArrayObject **tokens);

/* ---- methods ------------------------------------------------------------------------------ */

PyObject *mb_method_update(PyObject *self, PyObject *args);
/* -1 with an exception set unless the other's counts can be added to an object's. */
int mb_check_pair(PyObject *self, PyObject *other);
PyObject *mb_method_merge(PyObject *self, PyObject *other);
PyObject *mb_method_copy(PyObject *self, PyObject *ignored);
PyObject *mb_method_deepcopy(PyObject *self, PyObject *memo);
PyObject *mb_method_reduce(PyObject *self, PyObject *ignored);
PyObject *mb_method_counts(PyObject *self, PyObject *args);
PyObject *mb_method_totals(PyObject *self, PyObject *contexts_arg);
PyObject *mb_method_rows(PyObject *self, PyObject *contexts_arg);
PyObject *mb_getter_order(PyObject *self, void *closure);
PyObject *mb_getter_n_tokens(PyObject *self, void *closure);
PyObject *mb_getter_nbytes(PyObject *self, void *closure);

/* TransitionCounts alone.  The copy has its runs merged into one, for a reader, who ends it by
 * mb_transitions_free(); NULL with an exception set.  Where nobody else reads, the object has the same
 * run from then on. */
mb_transitions *mb_compacted_copy(PyObject *self);
PyObject *mb_transition_counts_subtract(PyObject *self, PyObject *other);
PyObject *mb_transition_counts_scale(PyObject *self, PyObject *factor_arg);
PyObject *mb_transition_counts_shorten(PyObject *self, PyObject *known);
PyObject *mb_transition_counts_all(PyObject *self, PyObject *ignored);
PyObject *mb_transition_counts_sizes(PyObject *self, PyObject *ignored);
PyObject *mb_transition_counts_fold(PyObject *self, PyObject *args);
PyObject *mb_transition_counts_places(PyObject *self, PyObject *contexts_arg);
PyObject *mb_transition_counts_discounted_rows(PyObject *self, PyObject *events);
PyObject *mb_transition_counts_shorter_pairs(PyObject *self, PyObject *shorter);
PyObject *mb_transition_counts_counts_of_counts(PyObject *self, PyObject *most_arg);
PyObject *mb_transition_counts_arrays(PyObject *self, PyObject *ignored);
PyObject *mb_transition_counts_from_arrays(PyObject *type, PyObject *args, PyObject *kwargs);

/* FadingCounts alone. */
PyObject *mb_fading_counts_all(PyObject *self, PyObject *ignored);
PyObject *mb_fading_counts_sizes(PyObject *self, PyObject *ignored);
PyObject *mb_fading_counts_arrays(PyObject *self, PyObject *ignored);
PyObject *mb_fading_counts_from_arrays(PyObject *type, PyObject *args);

/* -1 with ValueError unless it is above 0 and at most 1. */
int mb_check_discount(double discount);

#endif
