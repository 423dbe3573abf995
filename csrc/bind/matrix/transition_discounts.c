/* TransitionCounts: pairs and rows that have discounts. */
#include "bind/matrix/transition_object.h"
#include "core/matrix/discounts.h"

static size_t
pairs_counted(const mb_transitions *counts)
{
    return counts->n_runs == 0 ? 0 : counts->runs[0]->n;
}

/* (counts, row, sizes) of events. */
static PyObject *
tuple_of_events(const mb_transitions *counts, const mb_transitions *events)
{
    size_t n_rows = 0;
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_transitions_n_contexts(events, interrupt, &n_rows);
    mb_end_work(&work);
    if (status != MB_OK) {
        return mb_raise(status, NULL);
    }
    npy_intp n = (npy_intp)pairs_counted(events), shape[2] = {(npy_intp)n_rows, MB_ROW_SIZES};
    PyArrayObject *out = mb_new_doubles(1, &n), *sizes = mb_new_doubles(2, shape);
    PyArrayObject *row = mb_new_array((size_t)n, MB_NO_COLUMNS, NPY_INT64);
    PyObject *result = NULL;
    if (out != NULL && sizes != NULL && row != NULL) {
        interrupt = mb_begin_work(&work);
        status = mb_discounted_rows(counts, events, n_rows, interrupt, mb_data(out),
                                    PyArray_DATA(row), mb_data(sizes));
        mb_end_work(&work);
        result = status == MB_OK
                     ? PyTuple_Pack(3, (PyObject *)out, (PyObject *)row, (PyObject *)sizes)
                     : mb_raise(status, "the events have changed");
    }
    mb_release(out);
    mb_release(row);
    mb_release(sizes);
    return result;
}

PyObject *
mb_transition_counts_discounted_rows(PyObject *self, PyObject *events)
{
    PyObject *result = NULL;
    mb_transitions *mine, *theirs = NULL;
    if (mb_check_pair(self, events) < 0) {
        return NULL;
    }
    if ((mine = mb_compacted_copy(self)) != NULL && (theirs = mb_compacted_copy(events)) != NULL) {
        result = tuple_of_events(mine, theirs);
    }
    mb_transitions_free(mine);
    mb_transitions_free(theirs);
    return result;
}

static PyObject *
shorter_places(const mb_transitions *events, const mb_transitions *shorter)
{
    PyArrayObject *places = mb_new_array(pairs_counted(events), MB_NO_COLUMNS, NPY_INT64);
    PyObject *result = NULL;
    if (places != NULL) {
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status = mb_shorter_pairs(events, shorter, interrupt, PyArray_DATA(places));
        mb_end_work(&work);
        result = status == MB_OK ? Py_NewRef((PyObject *)places)
                                 : mb_raise(status, "a shorter pair is not in the shorter counts");
    }
    mb_release(places);
    return result;
}

PyObject *
mb_transition_counts_shorter_pairs(PyObject *self, PyObject *shorter)
{
    PyObject *result = NULL;
    mb_transitions *mine, *theirs = NULL;
    if (Py_TYPE(shorter) != Py_TYPE(self)) {
        PyErr_Format(PyExc_TypeError, "shorter must be TransitionCounts, not %R",
                     (PyObject *)Py_TYPE(shorter));
        return NULL;
    }
    if (mb_order_of(shorter) + 1 != mb_order_of(self) ||
        mb_n_tokens_of(shorter) != mb_n_tokens_of(self)) {
        PyErr_SetString(PyExc_ValueError,
                        "the shorter pairs must be of order - 1 and of as many tokens");
        return NULL;
    }
    if ((mine = mb_compacted_copy(self)) != NULL && (theirs = mb_compacted_copy(shorter)) != NULL) {
        result = shorter_places(mine, theirs);
    }
    mb_transitions_free(mine);
    mb_transitions_free(theirs);
    return result;
}

PyObject *
mb_transition_counts_counts_of_counts(PyObject *self, PyObject *most_arg)
{
    PyObject *result = NULL;
    Py_ssize_t most = PyLong_AsSsize_t(most_arg);
    if (PyErr_Occurred()) {
        return NULL;
    }
    if (most < 0 || most > 1 << 20) {
        PyErr_SetString(PyExc_ValueError, "most must be from 0 to 2^20");
        return NULL;
    }
    mb_transitions *counts = mb_compacted_copy(self);
    PyArrayObject *out = mb_new_array((size_t)most, MB_NO_COLUMNS, NPY_UINT64);
    if (counts != NULL && out != NULL) {
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status = mb_counts_of_counts(counts, (size_t)most, interrupt, PyArray_DATA(out));
        mb_end_work(&work);
        result = status == MB_OK ? Py_NewRef((PyObject *)out) : mb_raise(status, NULL);
    }
    mb_transitions_free(counts);
    mb_release(out);
    return result;
}
