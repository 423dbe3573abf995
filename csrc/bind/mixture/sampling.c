/* Random rows of a DirichletMixture by a NumPy bit generator. */
#include "bind/mixture/mixture.h"
#include "core/mixture/sample.h"

#include <numpy/random/bitgen.h>

/* Rows drawn while the generator's lock is held. */
static PyArrayObject *
draw(const mb_mixture *mixture, size_t n, bitgen_t *generator)
{
    npy_intp shape[] = {(npy_intp)n, (npy_intp)mixture->n_tokens};
    PyArrayObject *out = mb_new_doubles(2, shape);
    if (out == NULL) {
        return NULL;
    }
    mb_random random = {generator->state, generator->next_double};
    mb_work work;
    mb_interrupt *interrupt = mb_begin_work(&work);
    mb_status status = mb_mixture_sample(mixture, n, &random, interrupt, mb_data(out));
    mb_end_work(&work);
    if (status != MB_OK) {
        mb_raise(status, NULL);
        Py_CLEAR(out);
    }
    return out;
}

PyObject *
mb_mixture_sample_log_probs_method(PyObject *self, PyObject *args)
{
    Py_ssize_t n;
    PyObject *bit_generator;
    if (!PyArg_ParseTuple(args, "nO:sample_log_probs", &n, &bit_generator)) {
        return NULL;
    }
    if (n < 0) {
        PyErr_Format(PyExc_ValueError, "the number of rows is %zd; it must be >= 0", n);
        return NULL;
    }
    PyObject *capsule = PyObject_GetAttrString(bit_generator, "capsule");
    PyObject *lock = capsule == NULL ? NULL : PyObject_GetAttrString(bit_generator, "lock");
    if (lock == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Format(PyExc_TypeError, "a NumPy bit generator is needed, not %R",
                     (PyObject *)Py_TYPE(bit_generator));
    }
    /* looked up first: once the lock is held, nothing that needs memory may stand before its end */
    PyObject *release = lock == NULL ? NULL : PyObject_GetAttrString(lock, "release");
    PyObject *held = release == NULL ? NULL : PyObject_CallMethod(lock, "acquire", NULL);
    PyArrayObject *out = NULL;
    if (held != NULL) {
        bitgen_t *generator = PyCapsule_GetPointer(capsule, "BitGenerator");
        if (generator != NULL) {
            out = draw(mb_mixture_of(self), (size_t)n, generator);
        }
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        Py_XDECREF(PyObject_CallNoArgs(release));
        PyErr_Restore(type, value, traceback);
    }
    Py_XDECREF(held);
    Py_XDECREF(release);
    Py_XDECREF(lock);
    Py_XDECREF(capsule);
    return (PyObject *)out;
}
