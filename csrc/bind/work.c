/* Work of the core without the GIL, which signal handlers may stop. */
#include "bind/bind.h"

#include <math.h>
#include <time.h>

/* To take the GIL may mean to wait for a thread that has it, for 5 ms by default. */
#define BETWEEN_TURNS 0.004 /* seconds */

static double
seconds(void)
{
    struct timespec now;
    (void)timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Whether Python runs signal handlers in this thread: in the main one, and in no other.  -1 with an
 * exception set, perhaps that of a handler, as this may run one. */
static int
runs_handlers(void)
{
    PyObject *threading = PyImport_ImportModule("threading");
    PyObject *main = threading == NULL ? NULL : PyObject_CallMethod(threading, "main_thread", NULL);
    PyObject *ident = main == NULL ? NULL : PyObject_GetAttrString(main, "ident");
    unsigned long number = ident == NULL ? 0 : PyLong_AsUnsignedLong(ident);
    Py_XDECREF(ident);
    Py_XDECREF(main);
    Py_XDECREF(threading);
    return PyErr_Occurred() ? -1 : number == PyThread_get_thread_ident();
}

/* What the core asks.  Only the main thread takes the GIL for that, and seldom; another one does once,
 * to learn that it is another. */
static int
handler_raised(void *state)
{
    mb_work *work = state;
    if (work->is_other || fabs(seconds() - work->seen) < BETWEEN_TURNS) {
        return 0;
    }
    PyEval_RestoreThread(work->thread);
    int raised = PyErr_CheckSignals() < 0;
    if (!raised && work->seen == 0.0) {
        int runs = runs_handlers();
        raised = runs < 0;
        work->is_other = runs == 0;
    }
    work->seen = seconds();
    work->thread = PyEval_SaveThread();
    return raised;
}

mb_interrupt *
mb_begin_work(mb_work *work)
{
    *work = (mb_work){.interrupt = {handler_raised, work, 0}};
    work->thread = PyEval_SaveThread();
    return &work->interrupt;
}

void
mb_end_work(mb_work *work)
{
    PyEval_RestoreThread(work->thread);
}
