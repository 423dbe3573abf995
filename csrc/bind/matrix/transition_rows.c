/* TransitionCounts: all of its rows. */
#include "bind/matrix/transition_object.h"

mb_transitions *
mb_compacted_copy(PyObject *self)
{
    mb_transitions *mine = mb_transitions_of(self), *copy;
    Py_ssize_t *users = &mb_transition_object_of(self)->users, alone = 1;
    if (mb_begin_use(self, 0) < 0) {
        return NULL;
    }
    mb_status status = mb_transitions_copy(mine, &copy);
    if (status == MB_OK) {
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        status = mb_transitions_compact(copy, interrupt);
        mb_end_work(&work);
        if (status != MB_OK) {
            mb_transitions_free(copy);
        }
    }
    int changes =
        status == MB_OK && mine->n_runs > 1 &&
        __atomic_compare_exchange_n(users, &alone, -1, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    if (changes) {
        mb_transitions_adopt(mine, copy);
    }
    mb_end_use(self, changes);
    if (status != MB_OK) {
        mb_raise(status, NULL);
        return NULL;
    }
    return copy;
}

/* Counts contexts; -1 with an exception set. */
static int
count_all_contexts(const mb_transitions *counts, size_t *n)
{
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_transitions_n_contexts(counts, interrupt, n);
    mb_end_work(&work);
    if (status != MB_OK) {
        mb_raise(status, NULL);
    }
    return status == MB_OK ? 0 : -1;
}

static PyObject *
tuple_of_rows(const mb_transitions *counts)
{
    size_t n;
    if (count_all_contexts(counts, &n) < 0) {
        return NULL;
    }
    size_t n_pairs = counts->n_runs == 0 ? 0 : counts->runs[0]->n;
    PyArrayObject *contexts = mb_new_array(n, counts->layout.order, NPY_UINT32);
    PyArrayObject *starts = mb_new_array(n + 1, MB_NO_COLUMNS, NPY_INT64);
    PyArrayObject *tokens = mb_new_array(n_pairs, MB_NO_COLUMNS, NPY_UINT32);
    PyArrayObject *times = mb_new_array(n_pairs, MB_NO_COLUMNS, NPY_UINT64);
    PyObject *result = NULL;
    if (contexts != NULL && starts != NULL && tokens != NULL && times != NULL) {
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status =
            mb_transitions_all(counts, n, interrupt, PyArray_DATA(contexts), PyArray_DATA(starts),
                               PyArray_DATA(tokens), PyArray_DATA(times));
        mb_end_work(&work);
        result = status != MB_OK ? mb_raise(status, NULL)
                                 : PyTuple_Pack(4, (PyObject *)contexts, (PyObject *)starts,
                                                (PyObject *)tokens, (PyObject *)times);
    }
    mb_release(contexts);
    mb_release(starts);
    mb_release(tokens);
    mb_release(times);
    return result;
}

PyObject *
mb_transition_counts_all(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    mb_transitions *counts = mb_compacted_copy(self);
    PyObject *result = counts == NULL ? NULL : tuple_of_rows(counts);
    mb_transitions_free(counts);
    return result;
}

PyObject *
mb_transition_counts_sizes(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    size_t n = 0;
    mb_transitions *counts = mb_compacted_copy(self);
    if (counts == NULL) {
        return NULL;
    }
    int failed = count_all_contexts(counts, &n);
    size_t n_pairs = counts->n_runs > 0 ? counts->runs[0]->n : 0;
    mb_transitions_free(counts);
    return failed ? NULL : Py_BuildValue("nn", (Py_ssize_t)n, (Py_ssize_t)n_pairs);
}
