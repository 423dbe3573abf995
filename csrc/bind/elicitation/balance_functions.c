/* A function of the module about balancing sources. */
#include "bind/bind.h"
#include "core/elicitation/balance.h"

#include <math.h>
#include <string.h>

enum { QUERIES, STARTS, SLOTS, ENTRIES, N_ARRAYS };

/* Three arrays (3, n), zeroed, for what is predicted; -1 with an exception set. */
static int
new_results(const mb_texts *x, PyArrayObject **made, mb_balance_predictions *out)
{
    size_t n[3] = {x->n_queries, x->n_queries, x->n_entries};
    for (size_t i = 0; i < 3; i++) {
        npy_intp shape[2] = {3, (npy_intp)n[i]};
        made[i] = mb_new_doubles(2, shape);
        if (made[i] == NULL) {
            return -1;
        }
        memset(mb_data(made[i]), 0, 3 * n[i] * sizeof(double));
    }
    *out = (mb_balance_predictions){mb_data(made[0]), mb_data(made[1]), mb_data(made[2])};
    return 0;
}

static int
check_balance(const mb_balance_prior *prior, Py_ssize_t n_tokens, Py_ssize_t n_slots,
              PyArrayObject *const *a)
{
    if (!(prior->strength >= 0.0 && prior->memory >= 0.0 && prior->memory <= 1.0) ||
        isinf(prior->strength) || n_tokens < 1 || n_slots < 0) {
        PyErr_SetString(PyExc_ValueError,
                        "strength must be finite and not negative, memory from 0 to 1, n_tokens "
                        "positive and n_slots not negative");
        return -1;
    }
    if (mb_dim(a[STARTS], 0) != mb_dim(a[QUERIES], 0) + 1) {
        PyErr_Format(PyExc_ValueError,
                     "queries are (%zu,), starts (%zu,); they must be (Q,), (Q + 1,)",
                     mb_dim(a[QUERIES], 0), mb_dim(a[STARTS], 0));
        return -1;
    }
    return 0;
}

static PyObject *
predict_balance(const mb_balance_prior *prior, size_t n_tokens, size_t n_slots,
                PyArrayObject *const *a)
{
    mb_texts x = {
        .n_tokens = n_tokens,
        .n_places = mb_dim(a[SLOTS], 0),
        .n_queries = mb_dim(a[QUERIES], 0),
        .n_entries = mb_dim(a[ENTRIES], 0),
        .queries = PyArray_DATA(a[QUERIES]),
        .starts = PyArray_DATA(a[STARTS]),
    };
    mb_balance_slots slots = {n_slots, PyArray_DATA(a[SLOTS]), PyArray_DATA(a[ENTRIES])};
    PyArrayObject *made[3] = {NULL};
    PyObject *result = NULL;
    mb_balance_predictions out;
    if (new_results(&x, made, &out) == 0) {
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status = mb_balance_predict(prior, &x, &slots, interrupt, &out);
        mb_end_work(&work);
        result =
            status == MB_OK
                ? PyTuple_Pack(3, (PyObject *)made[0], (PyObject *)made[1], (PyObject *)made[2])
                : mb_raise(status, "an entry is not one of the arrays, or the numbers of a "
                                   "text's tokens are not in the order of their first places");
    }
    for (size_t i = 0; i < 3; i++) {
        mb_release(made[i]);
    }
    return result;
}

static PyObject *
balance_predictions(PyObject *Py_UNUSED(module), PyObject *args)
{
    static const char *const names[N_ARRAYS] = {"queries", "starts", "slots", "entries"};
    PyObject *given[N_ARRAYS], *result = NULL;
    PyArrayObject *a[N_ARRAYS] = {NULL};
    mb_balance_prior prior;
    Py_ssize_t n_tokens, n_slots;
    if (!PyArg_ParseTuple(args, "ddnnOOOO:balance_predictions", &prior.strength, &prior.memory,
                          &n_tokens, &n_slots, given, given + 1, given + 2, given + 3)) {
        return NULL;
    }
    int complete = 1;
    for (size_t i = 0; i < N_ARRAYS && complete; i++) {
        a[i] = mb_whole_numbers(given[i], 1, 0, names[i]);
        complete = a[i] != NULL;
    }
    if (complete && check_balance(&prior, n_tokens, n_slots, a) == 0) {
        result = predict_balance(&prior, (size_t)n_tokens, (size_t)n_slots, a);
    }
    for (size_t i = 0; i < N_ARRAYS; i++) {
        mb_release(a[i]);
    }
    return result;
}

PyMethodDef mb_balance_functions[] = {
    {"balance_predictions", balance_predictions, METH_VARARGS,
     "balance_predictions($module, strength, memory, n_tokens, n_slots, queries, starts, slots,\n"
     "                    entries, /)\n--\n\n"
     "What a balancing source predicts at places of texts: evidence, even, entries.\n\n"
     "The logarithm of the probability of what came before, (3, Q); the probability of a token\n"
     "that has not come, (3, Q), and of the entries' tokens, (3, E): each with its slopes by\n"
     "strength and by memory.  `slots` (P,) are numbers of the tokens that come, by their first\n"
     "places in a text, -1 at its end; `queries` (Q,) are places, `entries` (E,) numbers."},
    {NULL, NULL, 0, NULL},
};
