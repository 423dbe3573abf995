/* Functions of the module about trees of contexts. */
#include "bind/bind.h"
#include "core/elicitation/tree.h"

#include <string.h>

enum { ALPHA, REPEAT, OTHERS, TOKENS, QUERIES, STARTS, COLUMNS, PATHS, HELD, N_GIVEN };
enum { SHARE = N_GIVEN, EVEN, EVIDENCE, ENTRIES, N_ARRAYS };

static const char misled[] = "a place, node, entry or column is not one of the arrays";

static const struct {
    const char *name;
    int ndim, is_whole;
} wanted[N_ARRAYS] = {
    [ALPHA] = {"alpha", 1, 0},        [REPEAT] = {"repeat", 1, 0},
    [OTHERS] = {"others", 1, 0},      [TOKENS] = {"tokens", 1, 1},
    [QUERIES] = {"queries", 1, 1},    [STARTS] = {"starts", 1, 1},
    [COLUMNS] = {"columns", 1, 1},    [PATHS] = {"paths", 2, 1},
    [HELD] = {"held", 2, 0},          [SHARE] = {"by_share", 1, 0},
    [EVEN] = {"by_even", 1, 0},       [EVIDENCE] = {"by_evidence", 1, 0},
    [ENTRIES] = {"by_entries", 1, 0},
};

typedef struct {
    mb_tree_prior prior;
    mb_texts texts;
    mb_tree_paths paths;
} given_tree;

/* -1 with an exception set where the arrays do not go together. */
static int
check_tree(PyArrayObject *const *a, size_t n_arrays)
{
    size_t n_tokens = mb_dim(a[ALPHA], 0), n_queries = mb_dim(a[QUERIES], 0);
    size_t n_entries = mb_dim(a[COLUMNS], 0), n_steps = mb_dim(a[PATHS], 1);
    int fits = n_tokens >= 2 && mb_dim(a[REPEAT], 0) == 2 && mb_dim(a[OTHERS], 0) == 2 &&
               mb_dim(a[STARTS], 0) == n_queries + 1 && n_steps >= 2 &&
               mb_dim(a[PATHS], 0) == mb_dim(a[TOKENS], 0) && mb_dim(a[HELD], 0) == n_entries &&
               mb_dim(a[HELD], 1) == n_steps;
    for (size_t i = N_GIVEN; i < n_arrays; i++) {
        fits = fits && mb_dim(a[i], 0) == (i == ENTRIES ? n_entries : n_queries);
    }
    if (!fits) {
        PyErr_Format(PyExc_ValueError,
                     "alpha is (%zu,), repeat (%zu,), others (%zu,), tokens (%zu,), queries "
                     "(%zu,), starts (%zu,), columns (%zu,), paths (%zu, %zu), held (%zu, %zu); "
                     "they must be (V,), (2,), (2,), (P,), (Q,), (Q + 1,), (E,), (P, L + 1), "
                     "(E, L + 1) with V of 2 or more and L of 1 or more, and slopes by "
                     "predictions (Q,), by entries (E,)",
                     n_tokens, mb_dim(a[REPEAT], 0), mb_dim(a[OTHERS], 0), mb_dim(a[TOKENS], 0),
                     n_queries, mb_dim(a[STARTS], 0), n_entries, mb_dim(a[PATHS], 0), n_steps,
                     mb_dim(a[HELD], 0), mb_dim(a[HELD], 1));
        return -1;
    }
    return 0;
}

/* -1 with an exception set where a number of the prior is too small or large. */
static int
check_tree_numbers(PyArrayObject *const *a, double odds, Py_ssize_t n_nodes, Py_ssize_t longest)
{
    static const mb_range allowed = {1e-30, 1e30, 0, "from 1e-30 to 1e30"};
    int fits = n_nodes >= 0 && longest >= 0 && mb_first_outside(&allowed, 1, &odds) == 1;
    for (size_t i = ALPHA; i <= OTHERS; i++) {
        size_t n = mb_dim(a[i], 0);
        fits = fits && mb_first_outside(&allowed, n, mb_data(a[i])) == n;
    }
    if (!fits) {
        PyErr_SetString(PyExc_ValueError, "alpha, repeat, others and odds must be from 1e-30 to "
                                          "1e30, and n_nodes and longest not negative");
        return -1;
    }
    return 0;
}

/* All arguments but the slopes, converted and checked; -1 with an exception set.  The arrays are to
 * be released in any case. */
static int
convert_tree(PyObject *const *given, size_t n_arrays, double odds, Py_ssize_t n_nodes,
             Py_ssize_t longest, PyArrayObject **a, given_tree *tree)
{
    for (size_t i = 0; i < n_arrays; i++) {
        a[i] = wanted[i].is_whole ? mb_whole_numbers(given[i], wanted[i].ndim, 0, wanted[i].name)
                                  : mb_doubles(given[i], wanted[i].ndim, wanted[i].name);
        if (a[i] == NULL) {
            return -1;
        }
    }
    if (check_tree(a, n_arrays) < 0 || check_tree_numbers(a, odds, n_nodes, longest) < 0) {
        return -1;
    }
    const double *repeat = mb_data(a[REPEAT]), *others = mb_data(a[OTHERS]);
    tree->prior = (mb_tree_prior){mb_dim(a[PATHS], 1) - 1,
                                  mb_data(a[ALPHA]),
                                  {repeat[0], repeat[1]},
                                  {others[0], others[1]},
                                  odds};
    tree->texts = (mb_texts){
        .n_tokens = mb_dim(a[ALPHA], 0),
        .n_places = mb_dim(a[TOKENS], 0),
        .n_queries = mb_dim(a[QUERIES], 0),
        .n_entries = mb_dim(a[COLUMNS], 0),
        .tokens = PyArray_DATA(a[TOKENS]),
        .queries = PyArray_DATA(a[QUERIES]),
        .starts = PyArray_DATA(a[STARTS]),
        .columns = PyArray_DATA(a[COLUMNS]),
    };
    tree->paths =
        (mb_tree_paths){(size_t)n_nodes, (size_t)longest, PyArray_DATA(a[PATHS]), mb_data(a[HELD])};
    return 0;
}

static void
release_all(size_t n, PyArrayObject **arrays)
{
    for (size_t i = 0; i < n; i++) {
        mb_release(arrays[i]);
    }
}

/* The four arrays of the predictions, zeroed; -1 with an exception set. */
static int
new_predictions(const given_tree *tree, PyArrayObject **made, mb_tree_predictions *out)
{
    npy_intp n[4] = {(npy_intp)tree->texts.n_queries, (npy_intp)tree->texts.n_queries,
                     (npy_intp)tree->texts.n_queries, (npy_intp)tree->texts.n_entries};
    for (size_t i = 0; i < 4; i++) {
        made[i] = mb_new_doubles(1, n + i);
        if (made[i] == NULL) {
            return -1;
        }
        memset(mb_data(made[i]), 0, (size_t)n[i] * sizeof(double));
    }
    *out = (mb_tree_predictions){mb_data(made[0]), mb_data(made[1]), mb_data(made[2]),
                                 mb_data(made[3])};
    return 0;
}

static PyObject *
tree_predictions(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *given[N_GIVEN], *result = NULL;
    PyArrayObject *a[N_GIVEN] = {NULL}, *made[4] = {NULL};
    double odds;
    Py_ssize_t n_nodes, longest;
    given_tree tree;
    mb_tree_predictions out;
    if (!PyArg_ParseTuple(args, "OOOdOOOOOOnn:tree_predictions", given, given + 1, given + 2, &odds,
                          given + 3, given + 4, given + 5, given + 6, given + 7, given + 8,
                          &n_nodes, &longest)) {
        return NULL;
    }
    if (convert_tree(given, N_GIVEN, odds, n_nodes, longest, a, &tree) == 0 &&
        new_predictions(&tree, made, &out) == 0) {
        mb_work work;
        mb_interrupt *interrupt = mb_begin_work(&work);
        mb_status status = mb_tree_predict(&tree.prior, &tree.texts, &tree.paths, interrupt, &out);
        mb_end_work(&work);
        result = status == MB_OK ? PyTuple_Pack(4, (PyObject *)made[0], (PyObject *)made[1],
                                                (PyObject *)made[2], (PyObject *)made[3])
                                 : mb_raise(status, misled);
    }
    release_all(N_GIVEN, a);
    release_all(4, made);
    return result;
}

/* The slopes as a tuple; NULL with an exception set. */
static PyObject *
slopes_of_tree(const given_tree *tree, PyArrayObject *const *a)
{
    npy_intp n_tokens = (npy_intp)tree->texts.n_tokens;
    PyArrayObject *alpha = mb_new_doubles(1, &n_tokens);
    if (alpha == NULL) {
        return NULL;
    }
    const mb_tree_predictions by = {mb_data(a[SHARE]), mb_data(a[EVEN]), mb_data(a[EVIDENCE]),
                                    mb_data(a[ENTRIES])};
    mb_tree_slopes out = {.alpha = mb_data(alpha)};
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_tree_pull(&tree->prior, &tree->texts, &tree->paths, &by, interrupt, &out);
    mb_end_work(&work);
    PyObject *result =
        status == MB_OK ? Py_BuildValue("O(dd)(dd)d", (PyObject *)alpha, out.repeat[0],
                                        out.repeat[1], out.others[0], out.others[1], out.log_odds)
                        : mb_raise(status, misled);
    mb_release(alpha);
    return result;
}

static PyObject *
tree_slopes(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *given[N_ARRAYS], *result = NULL;
    PyArrayObject *a[N_ARRAYS] = {NULL};
    double odds;
    Py_ssize_t n_nodes, longest;
    given_tree tree;
    if (!PyArg_ParseTuple(args, "OOOdOOOOOOnnOOOO:tree_slopes", given, given + 1, given + 2, &odds,
                          given + 3, given + 4, given + 5, given + 6, given + 7, given + 8,
                          &n_nodes, &longest, given + 9, given + 10, given + 11, given + 12)) {
        return NULL;
    }
    if (convert_tree(given, N_ARRAYS, odds, n_nodes, longest, a, &tree) == 0) {
        result = slopes_of_tree(&tree, a);
    }
    release_all(N_ARRAYS, a);
    return result;
}

PyMethodDef mb_tree_functions[] = {
    {"tree_predictions", tree_predictions, METH_VARARGS,
     "tree_predictions($module, alpha, repeat, others, odds, tokens, queries, starts, columns,\n"
     "                 paths, held, n_nodes, longest, /)\n--\n\n"
     "What a tree of contexts predicts at places of texts: share, even, evidence, entries.\n\n"
     "Of token v after question i share[i] alpha[v] + even[i], but for the entries\n"
     "starts[i]:starts[i + 1]; and the logarithm of the probability of what came before.\n"
     "`tokens` (P,) come after each place, -1 at the end of a text; `queries` (Q,) are places;\n"
     "`paths` (P, L + 1) hold node * 2**32 + how often the token came after it, then -1;\n"
     "`held` (E, L + 1) how often the entry's token, one of `columns` (E,), came there."},
    {"tree_slopes", tree_slopes, METH_VARARGS,
     "tree_slopes($module, alpha, repeat, others, odds, tokens, queries, starts, columns, paths,\n"
     "            held, n_nodes, longest, by_share, by_even, by_evidence, by_entries, /)\n--\n\n"
     "From slopes by the predictions to those by alpha, repeat, others and the logarithm of odds."},
    {NULL, NULL, 0, NULL},
};
