/* A function of the module about Dirichlets around rows. */
#include "bind/bind.h"
#include "core/mixture/row_kernels.h"
#include "core/base/mem.h"

enum { P, B, SEEN, OWN, SHARED, CONCENTRATION, COUNTS, N_ARRAYS };

typedef struct {
    PyArrayObject *numbers[N_ARRAYS], *starts, *places;
} kernel_arguments;

static void
release_kernels(kernel_arguments *a)
{
    for (int i = 0; i < N_ARRAYS; i++) {
        mb_release(a->numbers[i]);
    }
    mb_release(a->starts);
    mb_release(a->places);
}

/* All of them converted; -1 with an exception set where one is no such array. */
static int
convert_kernels(PyObject *args, kernel_arguments *a)
{
    static const char *const names[N_ARRAYS] = {
        "p", "b", "seen", "own", "shared", "concentration", "counts"};
    PyObject *objects[N_ARRAYS], *starts, *places;
    *a = (kernel_arguments){0};
    if (!PyArg_ParseTuple(args, "OOOOOOOOO:kernel_evidence", &objects[P], &objects[B],
                          &objects[SEEN], &objects[OWN], &objects[SHARED], &objects[CONCENTRATION],
                          &starts, &places, &objects[COUNTS])) {
        return -1;
    }
    for (int i = 0; i < N_ARRAYS; i++) {
        a->numbers[i] = mb_doubles(objects[i], i <= B ? 2 : 1, names[i]);
        if (a->numbers[i] == NULL) {
            return -1;
        }
    }
    /* copies: what was checked is what is read */
    a->starts = mb_whole_numbers(starts, 1, NPY_ARRAY_ENSURECOPY, "starts");
    a->places =
        a->starts == NULL ? NULL : mb_whole_numbers(places, 1, NPY_ARRAY_ENSURECOPY, "places");
    return a->places == NULL ? -1 : 0;
}

/* -1 with ValueError unless the shapes go together. */
static int
check_kernel_shapes(const kernel_arguments *a)
{
    size_t n_places = mb_dim(a->numbers[P], 0), n_pairs = mb_dim(a->numbers[OWN], 0);
    if (mb_dim(a->numbers[B], 0) != n_places ||
        mb_dim(a->numbers[B], 1) != mb_dim(a->numbers[P], 1) ||
        mb_dim(a->numbers[SEEN], 0) != n_places || mb_dim(a->numbers[SHARED], 0) != n_pairs ||
        mb_dim(a->numbers[CONCENTRATION], 0) != n_pairs) {
        PyErr_Format(PyExc_ValueError,
                     "p (%zu, %zu), b (%zu, %zu), seen (%zu,), own (%zu,), shared (%zu,) and "
                     "concentration (%zu,) need (U, N), (U, N), (U,), (J,), (J,), (J,)",
                     n_places, mb_dim(a->numbers[P], 1), mb_dim(a->numbers[B], 0),
                     mb_dim(a->numbers[B], 1), mb_dim(a->numbers[SEEN], 0), n_pairs,
                     mb_dim(a->numbers[SHARED], 0), mb_dim(a->numbers[CONCENTRATION], 0));
        return -1;
    }
    return 0;
}

/* -1 with ValueError unless starts rise from 0 to the number of entries, and these are counts at
 * places that there are. */
static int
check_entries(const kernel_arguments *a)
{
    size_t n = mb_dim(a->starts, 0), n_places = mb_dim(a->numbers[P], 0);
    size_t n_entries = mb_dim(a->places, 0);
    const int64_t *starts = PyArray_DATA(a->starts), *places = PyArray_DATA(a->places);
    const double *counts = mb_data(a->numbers[COUNTS]);
    int rises = n > 0 && starts[0] == 0 && (uint64_t)starts[n - 1] == n_entries;
    for (size_t r = 1; r < n && rises; r++) {
        rises = starts[r] >= starts[r - 1];
    }
    if (!rises || mb_dim(a->numbers[COUNTS], 0) != n_entries) {
        PyErr_Format(PyExc_ValueError,
                     "starts must rise from 0 to the number of places (%zu) and counts (%zu)",
                     n_entries, mb_dim(a->numbers[COUNTS], 0));
        return -1;
    }
    for (size_t i = 0; i < n_entries; i++) {
        if ((uint64_t)places[i] >= n_places || !(counts[i] > 0.0 && counts[i] < 1e300)) {
            PyErr_Format(PyExc_ValueError,
                         "entry %zu: place %lld must be below %zu, its count finite and > 0", i,
                         (long long)places[i], n_places);
            return -1;
        }
    }
    return 0;
}

static PyObject *
evidence_of_kernels(const kernel_arguments *a)
{
    size_t n = mb_dim(a->starts, 0) - 1;
    const mb_row_kernels kernels = {
        mb_dim(a->numbers[P], 1),    mb_dim(a->numbers[OWN], 0),        mb_data(a->numbers[P]),
        mb_data(a->numbers[B]),      mb_data(a->numbers[SEEN]),         mb_data(a->numbers[OWN]),
        mb_data(a->numbers[SHARED]), mb_data(a->numbers[CONCENTRATION])};
    const npy_intp shape[] = {(npy_intp)n, (npy_intp)kernels.n_pairs, (npy_intp)kernels.n_rows};
    PyArrayObject *out = mb_new_doubles(3, shape);
    if (out == NULL) {
        return NULL;
    }
    size_t size = mb_row_kernels_scratch(n, kernels.n_pairs);
    double *scratch = mb_calloc(size + 1, sizeof(double));
    mb_status status = scratch == NULL || (size == 0 && kernels.n_pairs > 0) ? MB_NOMEM : MB_OK;
    if (status == MB_OK) {
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        status = mb_row_kernels_log_evidence(&kernels, n, PyArray_DATA(a->starts),
                                             PyArray_DATA(a->places), mb_data(a->numbers[COUNTS]),
                                             interrupt, scratch, mb_data(out));
        mb_end_work(&work);
    }
    mb_free(scratch);
    if (status != MB_OK) {
        mb_release(out);
        return mb_raise(status, NULL);
    }
    return (PyObject *)out;
}

static PyObject *
kernel_evidence(PyObject *Py_UNUSED(module), PyObject *args)
{
    kernel_arguments a;
    PyObject *result = NULL;
    if (convert_kernels(args, &a) == 0 && check_kernel_shapes(&a) == 0 && check_entries(&a) == 0) {
        result = evidence_of_kernels(&a);
    }
    release_kernels(&a);
    return result;
}

PyDoc_STRVAR(kernel_evidence_doc,
             "kernel_evidence($module, p, b, seen, own, shared, concentration, starts, places, "
             "counts, /)\n--\n\n"
             "Log-evidence of count vectors under Dirichlets around rows.\n\n"
             "Component (j, i) has alpha = own[j] p[u, i] + shared[j] b[u, i] + seen[u] at place "
             "u.\n\n"
             "Parameters\n----------\n"
             "p, b : array_like of shape (U, N)\n    At the U tokens that are looked at.\n"
             "seen : array_like of shape (U,)\n"
             "own, shared, concentration : array_like of shape (J,)\n"
             "    `concentration` is the sum of a component's alphas over all tokens.\n"
             "starts : array_like of int of shape (R + 1,)\n"
             "places : array_like of int of shape (n,)\n"
             "counts : array_like of shape (n,)\n"
             "    Vector r has counts > 0 at places[starts[r]:starts[r + 1]].\n\n"
             "Returns\n-------\n"
             "ndarray of shape (R, J, N)\n    In nats, of sequences with these counts.");

PyMethodDef mb_kernel_functions[] = {
    {"kernel_evidence", kernel_evidence, METH_VARARGS, kernel_evidence_doc},
    {NULL, NULL, 0, NULL},
};
