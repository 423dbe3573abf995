/* A module for tests written in Python: memory that ends in one thread.  _testcapi.set_nomemory ends
 * it in all, those of the test runner too, which may end the process for it. */
#undef Py_LIMITED_API /* which has no allocators */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define N_DOMAINS 3
static const PyMemAllocatorDomain domains[N_DOMAINS] = {PYMEM_DOMAIN_RAW, PYMEM_DOMAIN_MEM,
                                                        PYMEM_DOMAIN_OBJ};

/* What gives memory otherwise, by domain. */
static PyMemAllocatorEx givers[N_DOMAINS];

/* The thread whose requests are counted; those after `first` fail, up to `last`, or 0 for all. */
static unsigned long counted_thread;
static long n_requests, first, last;

static int
fails(void)
{
    if (PyThread_get_thread_ident() != counted_thread) {
        return 0;
    }
    n_requests++;
    return n_requests > first && (last == 0 || n_requests <= last);
}

static void *
short_malloc(void *giver, size_t size)
{
    const PyMemAllocatorEx *from = giver;
    return fails() ? NULL : from->malloc(from->ctx, size);
}

static void *
short_calloc(void *giver, size_t count, size_t size)
{
    const PyMemAllocatorEx *from = giver;
    return fails() ? NULL : from->calloc(from->ctx, count, size);
}

static void *
short_realloc(void *giver, void *memory, size_t size)
{
    const PyMemAllocatorEx *from = giver;
    return fails() ? NULL : from->realloc(from->ctx, memory, size);
}

static void
short_free(void *giver, void *memory)
{
    const PyMemAllocatorEx *from = giver;
    from->free(from->ctx, memory);
}

static PyObject *
call_short(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *call;
    if (!PyArg_ParseTuple(args, "Oll:call_short", &call, &first, &last)) {
        return NULL;
    }
    n_requests = 0;
    counted_thread = PyThread_get_thread_ident();
    for (size_t i = 0; i < N_DOMAINS; i++) {
        PyMem_GetAllocator(domains[i], &givers[i]);
        PyMemAllocatorEx taker = {.ctx = &givers[i],
                                  .malloc = short_malloc,
                                  .calloc = short_calloc,
                                  .realloc = short_realloc,
                                  .free = short_free};
        PyMem_SetAllocator(domains[i], &taker);
    }
    PyObject *result = PyObject_CallNoArgs(call);
    for (size_t i = 0; i < N_DOMAINS; i++) {
        PyMem_SetAllocator(domains[i], &givers[i]);
    }
    return result;
}

static PyMethodDef methods[] = {
    {"call_short", call_short, METH_VARARGS,
     PyDoc_STR("call_short(call, first, last): call() with memory that ends in this thread.")},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "short_memory",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit_short_memory(void);

PyMODINIT_FUNC
PyInit_short_memory(void)
{
    return PyModule_Create(&definition);
}
