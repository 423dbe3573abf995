/* The module matrixbayes._core: its parts put together, and the only import_array. */
#define MB_IMPORTS_ARRAY
#include "bind/bind.h"

static int
add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **slot)
{
    *slot = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    return *slot == NULL ? -1 : PyModule_AddType(module, *slot);
}

static int
module_exec(PyObject *module)
{
    mb_state *state = mb_module_state(module);
    import_array1(-1);
    if (PyModule_AddFunctions(module, mb_special_functions) < 0 ||
        PyModule_AddFunctions(module, mb_row_functions) < 0 ||
        PyModule_AddFunctions(module, mb_group_functions) < 0 ||
        PyModule_AddFunctions(module, mb_code_functions) < 0 ||
        PyModule_AddFunctions(module, mb_expectation_functions) < 0 ||
        PyModule_AddFunctions(module, mb_maximization_functions) < 0 ||
        PyModule_AddFunctions(module, mb_count_functions) < 0 ||
        PyModule_AddFunctions(module, mb_draw_functions) < 0 ||
        PyModule_AddFunctions(module, mb_partial_functions) < 0 ||
        PyModule_AddFunctions(module, mb_partial_maximization_functions) < 0 ||
        PyModule_AddFunctions(module, mb_regression_functions) < 0 ||
        PyModule_AddFunctions(module, mb_distance_functions) < 0 ||
        PyModule_AddFunctions(module, mb_divergence_functions) < 0 ||
        PyModule_AddFunctions(module, mb_learning_functions) < 0 ||
        PyModule_AddFunctions(module, mb_kernel_functions) < 0 ||
        PyModule_AddFunctions(module, mb_tree_functions) < 0 ||
        PyModule_AddFunctions(module, mb_balance_functions) < 0 ||
        PyModule_AddFunctions(module, mb_discount_functions) < 0 ||
        PyModule_AddFunctions(module, mb_concentration_functions) < 0 ||
        PyModule_AddFunctions(module, mb_arpa_functions) < 0 ||
        PyModule_AddFunctions(module, mb_document_functions) < 0) {
        return -1;
    }
    if (add_type(module, &mb_mixture_spec, &state->mixture) < 0 ||
        add_type(module, &mb_statistics_spec, &state->statistics) < 0 ||
        add_type(module, &mb_counts_spec, &state->counts) < 0 ||
        add_type(module, &mb_transitions_spec, &state->transitions) < 0 ||
        add_type(module, &mb_fading_spec, &state->fading) < 0 ||
        add_type(module, &mb_frozen_spec, &state->frozen) < 0 ||
        add_type(module, &mb_backoff_spec, &state->backoff) < 0) {
        return -1;
    }
    return 0;
}

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    mb_state *state = mb_module_state(module);
    Py_VISIT(state->mixture);
    Py_VISIT(state->statistics);
    Py_VISIT(state->counts);
    Py_VISIT(state->transitions);
    Py_VISIT(state->fading);
    Py_VISIT(state->frozen);
    Py_VISIT(state->backoff);
    return 0;
}

static int
module_clear(PyObject *module)
{
    mb_state *state = mb_module_state(module);
    Py_CLEAR(state->mixture);
    Py_CLEAR(state->statistics);
    Py_CLEAR(state->counts);
    Py_CLEAR(state->transitions);
    Py_CLEAR(state->fading);
    Py_CLEAR(state->frozen);
    Py_CLEAR(state->backoff);
    return 0;
}

/* What 3.13 asks of a module: may it run without the GIL?  Not this one: nothing that it says of
 * threads has been tried without.  The limited API of 3.11 names neither of them, and an older
 * Python refuses a slot that it does not know, so that it stands last, to be filled in. */
enum { MOD_GIL = 4 };
#define MOD_GIL_USED NULL

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
    {0, NULL},
};

static PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "matrixbayes._core",
    .m_doc = "The C core of matrixbayes: special functions, rows, Dirichlet mixtures and EM.",
    .m_size = sizeof(mb_state),
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
};

PyMODINIT_FUNC PyInit__core(void);

PyMODINIT_FUNC
PyInit__core(void)
{
    mb_find_allocator();
    module_slots[1] = (PyModuleDef_Slot){Py_Version >= 0x030D0000 ? MOD_GIL : 0, MOD_GIL_USED};
    return PyModuleDef_Init(&module_def);
}
