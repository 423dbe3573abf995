/* What the estimator's binding files share: the objects that hold statistics and counts. */
#ifndef MB_BIND_ESTIMATOR_H
#define MB_BIND_ESTIMATOR_H

#include "bind/bind.h"
#include "core/estimator/counts.h"

/* SufficientStatistics: arrays that nobody else ever holds. */
typedef struct {
    PyObject_HEAD PyArrayObject *weight; /* (K,), N_k */
    PyArrayObject *log_sums;             /* (K, V), S_kv */
    double log_likelihood;
    long long n_rows; /* >= 0 */
} mb_statistics_object;

/* New statistics of `type` with these arrays (stolen, also on failure). */
PyObject *mb_new_statistics(PyTypeObject *type, PyArrayObject *weight, PyArrayObject *log_sums,
                            double log_likelihood, long long n_rows);

/* What is inside a Counts, borrowed. */
mb_counts *mb_counts_of(PyObject *object);

#endif
