/* What the binding files of rows share: how a row is refused. */
#ifndef MB_BIND_ROWS_H
#define MB_BIND_ROWS_H

#include "bind/bind.h"
#include "core/rows/rows.h"

/* Raises ValueError for a row of this kind and type: what is wrong, where, and what to do. */
void mb_raise_row_fault(const mb_row_fault *fault, mb_row_kind kind, mb_float_type type);

/* Raises ValueError for an array of rows without two axes, or without a column. */
void mb_raise_row_shape(PyArrayObject *array);

#endif
