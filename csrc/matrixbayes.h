/* libmatrixbayes: Dirichlet mixtures over next-token rows, and counts of tokens, in C11.
 *
 * From the bottom: what all take and answer, models as text, special functions, rows, mixtures, fits,
 * sources that texts may come from, counts, tables of back-off models.  Names
 * begin with mb_, and those of macros and constants with MB_.  A header of core/ that is not here is
 * the core's own.  README.md beside this file says how to build it, example/ shows a program. */
#ifndef MATRIXBAYES_H
#define MATRIXBAYES_H

#include "core/base/mem.h"
#include "core/base/ranges.h"
#include "core/base/status.h"

#include "core/arpa/read.h"
#include "core/arpa/write.h"

#include "core/special/special.h"

#include "core/rows/codes.h"
#include "core/rows/distances.h"
#include "core/rows/rows.h"

#include "core/mixture/densities.h"
#include "core/mixture/divergence.h"
#include "core/mixture/learning.h"
#include "core/mixture/mixture.h"
#include "core/mixture/moments.h"
#include "core/mixture/posterior.h"
#include "core/mixture/row_kernels.h"
#include "core/mixture/sample.h"

#include "core/estimator/count_expectation.h"
#include "core/estimator/counts.h"
#include "core/estimator/draws.h"
#include "core/estimator/expectation.h"
#include "core/estimator/maximization.h"
#include "core/estimator/partial.h"

#include "core/elicitation/balance.h"
#include "core/elicitation/tree.h"

#include "core/matrix/context_tree.h"
#include "core/matrix/concentrations.h"
#include "core/matrix/discounts.h"
#include "core/matrix/documents.h"
#include "core/matrix/fading.h"
#include "core/matrix/transitions.h"

#include "core/backoff/prune.h"
#include "core/backoff/smoothed.h"
#include "core/backoff/walk.h"

#endif
