/* The type TransitionUpdate: an update of TransitionCounts in parts, for several threads. */
#include "bind/matrix/transition_object.h"

enum { MOST_PARTS = 1024 };

/* Where a part is: 2 s where step s is to be done next, 2 s + 1 while it is (and for ever, where
 * it failed).  All numbers that change are read and written by atomic operations. */
typedef struct {
    PyObject_HEAD PyObject *counts;
    mb_update *update;
    mb_texts texts;
    size_t n_parts;
    size_t n_done;   /* parts times steps */
    unsigned step;   /* that parts may do now */
    unsigned failed; /* anything */
    unsigned holds;  /* the counts, as their writer */
    unsigned char parts[MOST_PARTS];
} update_object;

static const char *const step_names[] = {"measure", "place", "count", "finish"};

/* ---- making ----------------------------------------------------------------------------- */

/* Ends the use of the counts, once. */
static void
release_counts(update_object *self)
{
    if (__atomic_exchange_n(&self->holds, 0, __ATOMIC_ACQ_REL)) {
        mb_end_use(self->counts, 1);
    }
}

static void
end_update(update_object *self)
{
    release_counts(self);
    mb_update_free(self->update);
    self->update = NULL;
    mb_release_texts(&self->texts);
}

static void
update_dealloc(PyObject *object)
{
    update_object *self = (update_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    end_update(self);
    Py_XDECREF(self->counts);
    freefunc free_object = (freefunc)PyType_GetSlot(type, Py_tp_free);
    free_object(object);
    Py_DECREF(type);
}

static int
update_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((update_object *)self)->counts);
    return 0;
}

/* A new object that takes the texts, also on failure. */
static PyObject *
new_object(PyTypeObject *type, PyObject *counts, mb_texts *texts, size_t n_parts)
{
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    update_object *self = (update_object *)alloc(type, 0);
    if (self == NULL) {
        mb_release_texts(texts);
        return NULL;
    }
    self->texts = *texts;
    self->n_parts = n_parts;
    self->counts = Py_NewRef(counts);
    if (mb_begin_use(counts, 1) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    self->holds = 1;
    mb_status status = mb_update_new(mb_transitions_of(counts), texts->n, texts->documents, n_parts,
                                     &self->update);
    if (status != MB_OK) {
        Py_DECREF(self);
        return mb_raise(status, "there are more tokens than one update in parts takes, 2^32 - 2");
    }
    return (PyObject *)self;
}

static PyObject *
update_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"counts", "tokens", "n_parts", NULL};
    PyObject *counts, *tokens, *module = PyType_GetModule(type);
    Py_ssize_t n_parts;
    mb_texts texts;
    if (module == NULL || !PyArg_ParseTupleAndKeywords(args, kwargs, "O!On:TransitionUpdate", names,
                                                       mb_module_state(module)->transitions,
                                                       &counts, &tokens, &n_parts)) {
        return NULL;
    }
    if (n_parts < 1 || n_parts > MOST_PARTS) {
        return PyErr_Format(PyExc_ValueError, "n_parts is %zd; it must be from 1 to %d", n_parts,
                            MOST_PARTS);
    }
    if (mb_parse_texts(tokens, &texts) < 0) {
        return NULL;
    }
    return new_object(type, counts, &texts, (size_t)n_parts);
}

/* ---- steps ------------------------------------------------------------------------------- */

/* -1 with RuntimeError unless all parts have done the steps before this one. */
static int
check_step(const update_object *self, unsigned step)
{
    unsigned now = __atomic_load_n(&self->step, __ATOMIC_ACQUIRE);
    if (__atomic_load_n(&self->failed, __ATOMIC_ACQUIRE)) {
        PyErr_SetString(PyExc_RuntimeError, "this update has failed; begin another one");
    } else if (now > MB_N_STEPS) {
        PyErr_SetString(PyExc_RuntimeError, "this update is finished");
    } else if (now < step) {
        PyErr_Format(PyExc_RuntimeError, "every part must %s before %s", step_names[now],
                     step == MB_N_STEPS ? "the update is finished" : "one does what comes next");
    } else {
        return 0;
    }
    return -1;
}

/* Parts that are on their way go on, but never look at the counts. */
static PyObject *
raise_failure(update_object *self, mb_status status, const mb_token_fault *fault)
{
    __atomic_store_n(&self->failed, 1, __ATOMIC_RELEASE);
    release_counts(self);
    return mb_raise_transitions(self->counts, status, fault, 1);
}

static PyObject *
run_step(PyObject *object, PyObject *arg, mb_update_steps step)
{
    update_object *self = (update_object *)object;
    Py_ssize_t number = PyNumber_AsSsize_t(arg, PyExc_ValueError);
    size_t part = (size_t)number;
    if (number == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (part >= self->n_parts) {
        return PyErr_Format(PyExc_ValueError, "part is %zd; there are %zu, from 0 on", number,
                            self->n_parts);
    }
    if (check_step(self, step) < 0) {
        return NULL;
    }
    unsigned char ready = (unsigned char)(2 * step);
    if (!__atomic_compare_exchange_n(self->parts + part, &ready, (unsigned char)(2 * step + 1), 0,
                                     __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        return PyErr_Format(PyExc_RuntimeError, "%s(%zu) was called before", step_names[step],
                            part);
    }
    mb_token_fault fault = {0};
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_update_step(self->update, step, part, interrupt, &fault);
    if (status == MB_OK) {
        __atomic_store_n(self->parts + part, (unsigned char)(2 * step + 2), __ATOMIC_RELEASE);
        /* the last one ends the step for all */
        if (__atomic_add_fetch(&self->n_done, 1, __ATOMIC_ACQ_REL) == self->n_parts * (step + 1)) {
            status = mb_update_end_step(self->update, step, &fault);
            if (status == MB_OK) {
                __atomic_store_n(&self->step, step + 1, __ATOMIC_RELEASE);
            }
        }
    }
    mb_end_work(&work);
    return status == MB_OK ? Py_NewRef(Py_None) : raise_failure(self, status, &fault);
}

static PyObject *
update_measure(PyObject *self, PyObject *part)
{
    return run_step(self, part, MB_MEASURE);
}

static PyObject *
update_place(PyObject *self, PyObject *part)
{
    return run_step(self, part, MB_PLACE);
}

static PyObject *
update_count(PyObject *self, PyObject *part)
{
    return run_step(self, part, MB_COUNT);
}

static PyObject *
update_finish(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    update_object *self = (update_object *)object;
    unsigned ready = MB_N_STEPS;
    if (check_step(self, MB_N_STEPS) < 0) {
        return NULL;
    }
    if (!__atomic_compare_exchange_n(&self->step, &ready, MB_N_STEPS + 1, 0, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE)) {
        check_step(self, MB_N_STEPS);
        return NULL;
    }
    const mb_token_fault fault = {0};
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_update_finish(self->update, mb_transitions_of(self->counts), interrupt);
    mb_end_work(&work);
    PyObject *result = status == MB_OK ? Py_NewRef(Py_None) : raise_failure(self, status, &fault);
    end_update(self);
    return result;
}

/* ---- the type ------------------------------------------------------------------------------ */

static PyMethodDef update_methods[] = {
    {"measure", update_measure, METH_O,
     "measure($self, part, /)\n--\n\nStep 1 of a part: see how much of it goes where."},
    {"place", update_place, METH_O,
     "place($self, part, /)\n--\n\nStep 2 of a part, after step 1 of all: bring it there."},
    {"count", update_count, METH_O,
     "count($self, part, /)\n--\n\nStep 3 of a part, after step 2 of all: sort it and count."},
    {"finish", update_finish, METH_NOARGS,
     "finish($self, /)\n--\n\nAdd to the counts what all parts have counted."},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(
    update_doc,
    "TransitionUpdate(counts, tokens, n_parts)\n--\n\n"
    "What `counts.update(tokens)` does, in parts that different threads may work on at once.\n\n"
    "Every part is measured, then every part is placed, then every part is counted; a call\n"
    "out of turn raises RuntimeError.  Until `finish` returns, the counts are as they were, and\n"
    "nobody else can use them; where a call fails, or `finish` is never called, they remain so.\n\n"
    "Parameters\n----------\n"
    "counts : TransitionCounts\n    In use until `finish`, or until this object ends.\n"
    "tokens : array_like of int, or list of them\n    A document, or documents.\n"
    "n_parts : int\n    From 1 to 1024; a few for each thread even out how long they take.\n"
    "\n"
    "Examples\n--------\n"
    ">>> from concurrent.futures import ThreadPoolExecutor\n"
    ">>> from matrixbayes import _core\n"
    ">>> counts = _core.TransitionCounts(1, 3)\n"
    ">>> update = _core.TransitionUpdate(counts, [0, 1, 1, 2, 0, 1], 2)\n"
    ">>> with ThreadPoolExecutor(2) as pool:\n"
    "...     for step in (update.measure, update.place, update.count):\n"
    "...         _ = list(pool.map(step, range(2)))\n"
    ">>> update.finish()\n"
    ">>> counts.counts([[0], [1]], [1, 0])\n"
    "array([2, 0], dtype=uint64)\n");

static PyType_Slot update_slots[] = {
    {Py_tp_doc, (void *)update_doc},   {Py_tp_new, update_new},
    {Py_tp_traverse, update_traverse}, {Py_tp_dealloc, update_dealloc},
    {Py_tp_methods, update_methods},   {0, NULL},
};

PyType_Spec mb_transition_update_spec = {
    .name = "matrixbayes._core.TransitionUpdate",
    .basicsize = sizeof(update_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = update_slots,
};
