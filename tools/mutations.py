"""Change the code where a change must be noticed, and see whether the tests notice.

    python tools/mutations.py                 # all of them, one after another, in a copy
    python tools/mutations.py merge clamp     # those whose name has one of these words in it
    python tools/mutations.py --list

A mutation is one entry of MUTATIONS: what the change does, the file, the text as it is (once in
the file) and as it becomes, and what of the suite must fail.  A text that is not there any more is
an error: the entry is to follow the code.  The tests named must pass on the code as it is, which is
tried first.  Of C only the files that a change reaches are compiled again, at -O1.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 240  # seconds for the tests of one entry; a change that makes them hang is noticed


class Mutation(NamedTuple):
    name: str
    file: str
    old: str
    new: str
    tests: str  # arguments of pytest, with blanks between them


M = Mutation
FROZEN = "tests/matrix/test_frozen_counts.py"
EM = "tests/estimator/test_em.py"
STREAMS = "tests/estimator/test_streams.py"
COUNTS = "tests/estimator/test_counts.py"
CODES = "tests/rows/test_codes.py"
PARTIAL = "tests/rows/test_partial.py"
PARTIAL_BOUNDS = "tests/rows/test_partial_bounds.py"
DASK = "tests/test_dask.py"
SPECIAL = "tests/core/test_special.py"
EMBEDDING = "tests/continuity/test_embedding.py"
FAMILIES = "tests/elicitation/test_elicitation_families.py"
TREES = "tests/elicitation/test_tree_kernels.py"
BOUNDS = "tests/estimator/test_bounds.py"
KERNELS = "tests/mixture/test_kernels.py"
STARTS = "tests/estimator/test_starts.py"
PARTIAL = "tests/estimator/test_partial_fits.py"
RESOLUTION = "tests/estimator/test_resolution.py"
WEIGHTS = "tests/estimator/test_weights.py"
INPUTS = "tests/base/test_inputs.py"
CHECKS = "tests/mixture/test_fit_check.py"
ERRORS = "tests/diagnostics/test_standard_errors.py"
NULLS = "tests/diagnostics/test_nulls.py"
DISPLAY = "tests/base/test_display.py tests/house/test_results.py"
CACHE = "tests/huggingface/test_cache.py"
RUNNING = "tests/huggingface/test_running.py"
ACCELERATORS = "tests/huggingface/test_accelerators.py"
MAPPED = "tests/rows/test_mapped_rows.py"

MUTATIONS = [
    # -- numbers at the ends of what doubles hold
    M(
        "C, digamma: a quotient overflows where the value does not",
        "csrc/core/special/special.c",
        "n * (1 / DIGAMMA_ROOT_HIGH) / x",
        "n / x * (1 / DIGAMMA_ROOT_HIGH)",
        "tests/core/test_special_tables.py",
    ),
    M(
        "C, psi(x + 1) - ln x: the series begins where logarithms have cost digits",
        "csrc/core/special/special.c",
        "#define FAR_OUT 7.0",
        "#define FAR_OUT 10.0",
        "tests/core/test_special_tables.py",
    ),
    # -- what comes after the first block
    M(
        "merge: the first part alone",
        "matrixbayes/_base/parallel.py",
        "    total = stack.pop()[1]\n",
        "    return stack[0][1]\n    total = stack.pop()[1]\n",
        f"{EM} -k same_bits_for",
    ),
    M(
        "blocks: the first slice alone",
        "matrixbayes/_base/parallel.py",
        "for start in range(0, n_rows, size)]",
        "for start in range(0, min(n_rows, size), size)]",
        f"{EM} -k same_bits",
    ),
    M(
        "blocks: the last rows left out",
        "matrixbayes/_base/parallel.py",
        "for start in range(0, n_rows, size)]",
        "for start in range(0, max(n_rows - size + 1, 1), size)]",
        f"{EM} {COUNTS} -k workers",
    ),
    M(
        "in_order: what is under way at the end is lost",
        "matrixbayes/_base/parallel.py",
        "        while under_way:\n            yield under_way.popleft().result()\n",
        "        if under_way:\n            yield under_way.popleft().result()\n",
        f"{EM} -k 'same_bits or order'",
    ),
    M(
        "in_order: the latest first",
        "matrixbayes/_base/parallel.py",
        "        while under_way:\n            yield under_way.popleft().result()\n",
        "        while under_way:\n            yield under_way.pop().result()\n",
        f"{EM} -k order_whoever",
    ),
    M(
        "in_order: futures not cancelled after an error",
        "matrixbayes/_base/parallel.py",
        "        for future in under_way:\n            future.cancel()\n",
        "        pass\n",
        f"{EM} -k cancelled",
    ),
    M(
        "rows: weights of the first block for all",
        "matrixbayes/estimator/row_data.py",
        "else self.weights[cut]\n",
        "else self.weights[: cut.stop - cut.start]\n",
        f"{EM} -k same_bits_for",
    ),
    M(
        "rows: shares of the first block for all",
        "matrixbayes/estimator/row_data.py",
        "yield np.ascontiguousarray(self.log_probs[cut]), share[cut]",
        "yield np.ascontiguousarray(self.log_probs[cut]), share[: cut.stop - cut.start]",
        f"{EM} -k same_bits_for",
    ),
    M(
        "counts: the first block again and again",
        "matrixbayes/estimator/count_data.py",
        "(mixture, self.rows, table, cut.start, cut.stop, self.weights) for cut in blocks",
        "(mixture, self.rows, table, 0, cut.stop - cut.start, self.weights) for cut in blocks",
        f"{COUNTS} -k workers",
    ),
    M(
        "counts: posterior of the first block alone",
        "matrixbayes/estimator/count_data.py",
        "return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])",
        "return parts[0]",
        f"{COUNTS} -k workers",
    ),
    M(
        "streams: weights of the first block for all",
        "matrixbayes/estimator/streams.py",
        "self.weights[start:end]\n",
        "self.weights[: end - start]\n",
        f"{STREAMS} -k weights",
    ),
    M(
        "streams: posterior of the first block alone",
        "matrixbayes/estimator/streams.py",
        "return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])",
        "return parts[0]",
        f"{STREAMS} -k 'from_disk or workers'",
    ),
    M(
        "streams: rows after the first block not read",
        "matrixbayes/estimator/streams.py",
        "        for start in range(0, X.shape[0], size):\n",
        "        for start in [0] * -(-X.shape[0] // size):\n",
        f"{STREAMS} -k 'from_disk or workers'",
    ),
    M(
        "streams: a start looks at the first block alone",
        "matrixbayes/estimator/streams.py",
        "            start = end\n        return _stacked(picked)",
        "            break\n        return _stacked(picked)",
        f"{STREAMS} -k 'start_finds'",
    ),
    M(
        "streams: the last rows of a chunk that is cut, not the first",
        "matrixbayes/estimator/streams.py",
        "            chunk = chunk[:size]\n",
        "            chunk = chunk[-size:]\n",
        f"{STREAMS} -k 'from_disk or start_finds'",
    ),
    M(
        "streams: an error names the first block",
        "matrixbayes/estimator/streams.py",
        "yield given, block, start, self.kind",
        "yield given, block, 0, self.kind",
        f"{STREAMS} -k bad_row",
    ),
    M(
        "dask: the first block of a chunk alone",
        "matrixbayes/estimator/chunks.py",
        "    return results\n",
        "    return results[:1]\n",
        f"{DASK} -k 'cluster_gives'",
    ),
    M(
        "dask: weights of a chunk's first block for all",
        "matrixbayes/estimator/chunks.py",
        "else weights[cut]\n",
        "else weights[: cut.stop - cut.start]\n",
        f"{DASK} -k 'cluster_gives or uneven'",
    ),
    M(
        "dask: weights of the first chunk for all",
        "matrixbayes/estimator/chunks.py",
        "else self.weights[first:end]\n",
        "else self.weights[:length]\n",
        f"{DASK} -k 'cluster_gives or counts_on'",
    ),
    M(
        "pairs: of the first block again and again",
        "matrixbayes/continuity/embedding.py",
        "                    to[at : at + many] = values\n",
        "                    to[:many] = values\n",
        f"{EMBEDDING} -k workers",
    ),
    M(
        "continuity: direct pairs of the first cut for all",
        "matrixbayes/continuity/embedding.py",
        "arguments = ((self, i[cut], j[cut], metric, embedding_metric) for cut in cuts)",
        "arguments = ((self, i[cut], j[: len(i[cut])], metric, embedding_metric) for cut in cuts)",
        f"{EMBEDDING} tests/continuity/test_continuity.py -k 'workers or sample_looks'",
    ),
    M(
        "elicitation: the model's rows of the first block alone",
        "matrixbayes/elicitation/objective.py",
        "for start in range(0, n, step))",
        "for start in range(0, step, step))",
        f"{FAMILIES} -k 'resampling_is_seeded'",
    ),
    M(
        "information: the rows of the first block alone",
        "matrixbayes/estimator/information.py",
        "    for start in range(0, data.n_rows, step):\n",
        "    for start in range(0, step, step):\n",
        "tests/estimator/test_information.py -k numerical",
    ),
    # -- fits
    M(
        "starts: one whose concentrations are at the cap wins",
        "matrixbayes/estimator/em.py",
        "return max(bounded or states, key",
        "return max(states, key",
        STARTS,
    ),
    M(
        "em: a long step of the acceleration settles",
        "matrixbayes/estimator/em.py",
        "settled=rise < tol and not long,",
        "settled=rise < tol,",
        f"{EM} -k long_step",
    ),
    M(
        "em: a bound that falls is reported",
        "matrixbayes/estimator/em.py",
        "        if not rise >= 0.0:\n            # An M-step",
        "        if rise < -np.inf:\n            # An M-step",
        BOUNDS,
    ),
    M(
        "partial_fit: the bound without its prior",
        "matrixbayes/estimator/estimator.py",
        "(batch.log_likelihood + of_prior * weight / seen) / weight",
        "batch.log_likelihood / weight",
        BOUNDS,
    ),
    # -- weights and criteria
    M(
        "weights: rows of weight 0 are there",
        "matrixbayes/_base/weights.py",
        "    there = weights > 0.0\n    return taken(X,",
        "    there = weights >= 0.0\n    return taken(X,",
        f"{WEIGHTS} -k no_weight",
    ),
    M(
        "cross-validation: fits without weights",
        "matrixbayes/estimator/cross/folds.py",
        "sample_weight=np.delete(held, f, axis=0).sum(axis=0)",
        "sample_weight=np.sign(np.delete(held, f, axis=0).sum(axis=0))",
        f"{WEIGHTS} -k held_out",
    ),
    M(
        "cross-validation: scores without weights",
        "matrixbayes/estimator/cross/folds.py",
        "sample_weight=held[f])",
        "sample_weight=np.sign(held[f]))",
        f"{WEIGHTS} -k held_out",
    ),
    M(
        "check of a prior: counts are put back",
        "matrixbayes/mixture/drawn.py",
        "at = rng.choice(int(total), lengths[i], replace=False)",
        "at = rng.choice(int(total), lengths[i])",
        f"{CHECKS} -k putting_back",
    ),
    M(
        "check of a prior: frequencies of a row's own fold",
        "matrixbayes/mixture/fit_check.py",
        "others = np.maximum(m * total - sums, 0.0)",
        "others = np.maximum(m * total - 0.0 * sums, 0.0)",
        f"{CHECKS} -k by_hand",
    ),
    M(
        "check of a prior: what was drawn is left in",
        "matrixbayes/mixture/drawn.py",
        "bits = floor + own - draw.log_evidence(prior, cells, rows) / n",
        "bits = -draw.log_evidence(prior, cells, rows) / n",
        f"{CHECKS} -k by_hand",
    ),
    M(
        "check of a prior: draws beside counts are whole rows",
        "matrixbayes/mixture/drawn.py",
        "        probs = rng.multinomial(some.astype(np.int64), probs) / some[:, np.newaxis]\n",
        "",
        f"{CHECKS} -k speak_against",
    ),
    M(
        "ICL: without weights",
        "matrixbayes/estimator/selection.py",
        "entropy.sum() if weights is None else weights @ entropy",
        "entropy.sum()",
        f"{WEIGHTS} -k icl",
    ),
    M(
        "evidence: without the K! modes",
        "matrixbayes/estimator/evidence.py",
        "modes = float(gammaln(mode.n_components + 1.0))",
        "modes = 0.0 * float(gammaln(mode.n_components + 1.0))",
        "tests/estimator/test_information.py -k 'quadrature'",
    ),
    M(
        "evidence: without the curvature of its prior",
        "matrixbayes/estimator/evidence.py",
        "result[place, place] += SPREAD**-2 - alpha * gradient",
        "result[place, place] += -alpha * gradient",
        "tests/estimator/test_information.py",
    ),
    M(
        "head: a cap that no single row counts under",
        "matrixbayes/continuity/heads.py",
        "diameter, exact = max(diameter, furthest), exact or furthest >= diameter",
        "exact = exact or furthest >= diameter",
        "tests/huggingface/test_heads.py -k single_rows",
    ),
    M(
        "head: a chain of modules that nobody tries out",
        "matrixbayes/huggingface/inside/probe.py",
        "            if _leads(model, end, chain, tail):\n",
        "            if tail is not None:\n",
        "tests/huggingface/test_heads.py -k tried_on_other",
    ),
    M(
        "head: rows of an embedding are fed as they are",
        "matrixbayes/huggingface/inside/inputs.py",
        "fed = _fed(module, states.to(weight.device, weight.dtype))",
        "fed = states.to(weight.device, weight.dtype)",
        "tests/huggingface/test_heads.py -k 'network_of and Gemma3'",
    ),
    M(
        "head: the states of the first rows whatever was asked",
        "matrixbayes/huggingface/forward.py",
        "return logits, self._checked(_at(entered, rows, index), logits)",
        "return logits, self._checked(_at(entered, rows, 0 * index), logits)",
        "tests/huggingface/test_heads.py -k 'kept_give and Llama'",
    ),
    M(
        "continuity: quantiles of curves of the rows for a band",
        "matrixbayes/continuity/band.py",
        "[whole - factor * (high - half), whole + factor * (half - low)]",
        "[low, high]",
        "tests/continuity/test_band.py -k fresh",
    ),
    M(
        "approximation: a density that is bent at its edge has a bound",
        "matrixbayes/mixture/extremes.py",
        "if grown > SETTLED:",
        "if grown > 100.0:",
        "tests/mixture/test_approximation.py -k no_bound",
    ),
    M(
        "approximation: the largest error of a grid",
        "matrixbayes/mixture/extremes.py",
        "up = there > top",
        "up = there < -top",
        "tests/mixture/test_approximation.py -k between",
    ),
    M(
        "matrix: concentrations forget the prior beside them",
        "matrixbayes/matrix/prior.py",
        "shown._prior = prior",
        "shown._prior = None",
        "tests/matrix/test_transition_matrix.py -k handed_on",
    ),
    M(
        "learning curves: a fall is a constant",
        "matrixbayes/icl/curve.py",
        "probabilities=1.0 - points.probabilities)",
        "probabilities=points.probabilities)",
        "tests/icl/test_icl.py -k falling",
    ),
    M(
        "scaling: a law of a flat curve",
        "matrixbayes/icl/scaling.py",
        "self.constant is not None and self.gain < CLEAR:\n            return",
        "self.constant is not None and self.gain < -np.inf:\n            return",
        "tests/icl/test_scaling.py -k flat",
    ),
    M(
        "scaling: samples of as many groups as there are",
        "matrixbayes/icl/scaling_samples.py",
        "round((n - 1) * float(",
        "round(n + 0 * float(",
        "tests/icl/test_scaling.py -k students",
    ),
    M(
        "scaling: the law best in the fit taken for the best in extrapolation",
        "matrixbayes/icl/scaling.py",
        "fit.extrapolation_nrmse if told else fit.nrmse)",
        "fit.nrmse)",
        "tests/icl/test_scaling.py -k extrapolates_best",
    ),
    M(
        "cross-validation: a standard error without n / (n - 1)",
        "matrixbayes/estimator/cross/folds.py",
        "spread.sum() * n_folds / (n_folds - 1)",
        "spread.sum()",
        f"{WEIGHTS} tests/estimator/test_selection.py -k 'held_out or fold'",
    ),
    *(
        M(
            f"standard error of {of}: ddof=0",
            f"matrixbayes/{file}.py",
            old,
            new,
            f"{ERRORS} -k {test}",
        )
        for of, file, old, new, test in [
            ("an entropy", "mixture/mixture", "surprise.std(ddof=1)", "surprise.std()", "entropy"),
            ("a score", "windtunnel/scoring", "kl.std(axis=0, ddof=1)", "kl.std(axis=0)", "score"),
            (
                "a loss",
                "mixture/reduction",
                "difference.std(ddof=1)",
                "difference.std()",
                "reduction",
            ),
        ]
    ),
    # -- what goes in
    M(
        "names: columns in another order are taken as they stand",
        "matrixbayes/_base/tokens.py",
        "    return np.array([place[name] for name in wanted], dtype=np.intp)",
        "    return None",
        INPUTS,
    ),
    M(
        "numbers: what is under a mask is used",
        "matrixbayes/_base/numbers.py",
        "if isinstance(array, np.ma.MaskedArray) and np.ma.getmaskarray(array).any():",
        "if False:",
        INPUTS,
    ),
    M(
        "numbers: whole numbers that no double holds are rounded",
        "matrixbayes/_base/numbers.py",
        "            wrong = np.where(safe, found, 0.0).astype(array.dtype) != array\n",
        "            pass\n",
        INPUTS,
    ),
    # -- rows known in part
    M(
        "rows known in part: what others cannot take is nobody's",
        "matrixbayes/rows/partial_groups.py",
        "least = np.maximum(mass - others, 0.0)",
        "least = np.zeros_like(others)",
        PARTIAL,
    ),
    M(
        "rows known in part: an answer has room for more than the rest",
        "matrixbayes/rows/partial_groups.py",
        "    room = np.minimum(room, mass)\n",
        "",
        PARTIAL,
    ),
    M(
        "rows known in part: a rest that is small is none",
        "matrixbayes/rows/partial_checks.py",
        "np.maximum(1.0 - known, rounding)",
        "np.maximum(1.0 - known, 0.0)",
        PARTIAL,
    ),
    M(
        "rows known in part: tokens that neither row lists are left out",
        "matrixbayes/rows/pairs.py",
        "inner = four & (t > 1.0 / s)",
        "inner = four & (t < 0.0)",
        PARTIAL_BOUNDS,
    ),
    M(
        "rows known in part: a cap of p is none of q",
        "matrixbayes/rows/pairs.py",
        "    s = _level(q, q.mass, p.room)\n",
        "    s = _level(q, q.mass)\n",
        PARTIAL_BOUNDS,
    ),
    M(
        "rows known in part: one token more has the most",
        "matrixbayes/rows/bounds.py",
        "np.floor(np.exp(rest - cap)",
        "np.ceil(np.exp(rest - cap)",
        PARTIAL_BOUNDS,
    ),
    # -- how it is said
    M(
        "importing loads what is not needed",
        "matrixbayes/__init__.py",
        "from importlib import import_module\n",
        "import json\nfrom importlib import import_module\n",
        "tests/house/test_codebase.py -k importing",
    ),
    # -- C
    M(
        "C, rows: rounding of the last number alone",
        "csrc/core/rows/rounding.c",
        "*error += 0.5 * step * slope;",
        "*error = 0.5 * step * slope;",
        "tests/rows/test_row_ingest.py -k rounded",
    ),
    M(
        "C, rows: rounding that one number contradicts",
        "csrc/core/rows/rounding.c",
        "        if (*error < 0) {\n            continue;",
        "        if (*error < -2) {\n            continue;",
        "tests/rows/test_row_ingest.py -k lacks_tokens",
    ),
    M(
        "C, rows: weights of the first tile for all",
        "csrc/core/estimator/expectation.c",
        "sample_weight == NULL ? 1.0 : sample_weight[start + i]",
        "sample_weight == NULL ? 1.0 : sample_weight[i]",
        f"{EM} -k slow_twin",
    ),
    M(
        "C, rows: shares of the first tile for all",
        "csrc/core/estimator/expectation.c",
        "*r = responsibilities + start * n_components;",
        "*r = responsibilities;",
        f"{EM} -k accumulate",
    ),
    M(
        "C, rows: the log-likelihood of the last tile alone",
        "csrc/core/estimator/expectation.c",
        "result->log_likelihood += log_likelihood;",
        "result->log_likelihood = log_likelihood;",
        f"{EM} -k slow_twin",
    ),
    M(
        "C, codes: what is censored is as the floor",
        "csrc/core/rows/codes.c",
        "? (float)log_value(middle / (double)censored)",
        "? head[1]",
        CODES,
    ),
    M(
        "C, codes: a row that does not reach the floor has censored entries",
        "csrc/core/rows/codes.c",
        "reaches ? n_zero : 0",
        "n_zero",
        CODES,
    ),
    M(
        "the sum of a row: what is left over goes to one chain",
        "csrc/core/rows/row_loops.h",
        "    for (size_t l = 0; i < n; i++, l++) {\n        lanes[l]",
        "    for (size_t l = 0; i < n; i++) {\n        lanes[l]",
        "tests/rows/test_row_ingest.py -k equal_terms",
    ),
    M(
        "a file of n-grams: its words' slots are known to who writes it",
        "csrc/bind/arpa/arpa_functions.c",
        "    mb_arpa_set_key(arpa, key);\n",
        "",
        "tests/reliability/test_hash_flooding.py -k no_key",
    ),
    M(
        "C, ARPA: first words are those of the line before",
        "csrc/core/arpa/read.c",
        "while (same < arpa->known && arpa->last[same] == ids[same])",
        "while (same < arpa->known)",
        "tests/matrix/test_arpa_text.py -k any_order",
    ),
    M(
        "ARPA: a context of more begin tokens gives its weight to no shorter one",
        "matrixbayes/matrix/arpa/ngrams.py",
        "        backs[own] *= level.backs\n",
        "        backs[own] = level.backs\n",
        "tests/matrix/test_arpa.py -k there_and_back",
    ),
    M(
        "ARPA: an end that never comes is a token",
        "matrixbayes/matrix/arpa/reading.py",
        "elsewhere or orders[0][2][end] > NOTHING",
        "True",
        "tests/matrix/test_arpa.py -k names_of_words",
    ),
    M(
        "words: text without the token of its end",
        "matrixbayes/matrix/texts/reading.py",
        "found.append(ids if self.end is None else np.append(ids, self.end))",
        "found.append(ids)",
        "tests/matrix/test_words.py -k documents_are_lines",
    ),
    M(
        "C, ARPA: a digit less",
        "csrc/core/arpa/number.c",
        "WRITTEN = 9,",
        "WRITTEN = 8,",
        "tests/matrix/test_arpa_text.py -k lines",
    ),
    M(
        "C, counts: weights of the first block for all",
        "csrc/core/estimator/count_expectation.c",
        "sample_weight == NULL ? 1.0 : sample_weight[at + i]",
        "sample_weight == NULL ? 1.0 : sample_weight[i]",
        f"{COUNTS} -k slow_twin",
    ),
    M(
        "C, counts: entries of a token given twice do not add",
        "csrc/core/estimator/counts.c",
        "w->value[*latest] += value;",
        "w->value[*latest] = value;",
        f"{COUNTS} -k 'equal_columns or come_twice'",
    ),
    M(
        "C, kernels of rows: the exponents of products are lost",
        "csrc/core/mixture/row_kernels.c",
        "block->mantissa[k] + ln_2 * block->exponent[k];",
        "block->mantissa[k];",
        f"{KERNELS} -k evidence",
    ),
    M(
        "C, Jensen-Shannon: the first piece of wide rows alone",
        "csrc/core/rows/distances.c",
        "CHOOSE(add_entropy, n, a + i * n_tokens + at, b + j * n_tokens + at, sum);",
        "CHOOSE(add_entropy, n, a + i * n_tokens, b + j * n_tokens, sum);",
        f"{EMBEDDING} -k rows_against",
    ),
    M(
        "C, variation: the first piece of wide rows alone",
        "csrc/core/rows/variation.c",
        "minima_of_piece, n, n_tokens, n_a, a + at, n_b, b + at, interrupt",
        "minima_of_piece, n, n_tokens, n_a, a, n_b, b, interrupt",
        f"{EMBEDDING} -k rows_against",
    ),
    M(
        "C, divergence: the first block of rows alone",
        "csrc/core/mixture/divergence.c",
        "row < x->n_rows && status == MB_OK; row += w.n_rows",
        "row < 1 && status == MB_OK; row += w.n_rows",
        FAMILIES + " -k 'twin or kernel or gradient'",
    ),
    M(
        "C, tree: a child's success changes no odds",
        "csrc/core/elicitation/tree_walk.h",
        "at->odds *= steps[d + 1].m / steps[d].e;",
        "at->odds *= 1.0;",
        TREES,
    ),
    M(
        "C, tree: slopes of one text alone reach the odds",
        "csrc/core/elicitation/tree_slopes.c",
        "out->log_odds += w->nodes[i].slope;",
        "out->log_odds = w->nodes[i].slope;",
        TREES,
    ),
    M(
        "C, balance: the memory keeps all",
        "csrc/core/elicitation/balance.c",
        "        s->c[i] *= memory;\n",
        "",
        TREES,
    ),
    M(
        "C, mixture: counts of the last run alone",
        "csrc/core/mixture/posterior.c",
        "            total += seen[i];\n",
        "            total = seen[i];\n",
        "tests/mixture/test_mixture.py -k evidence",
    ),
    M(
        "C, sampling: a small shape is not boosted",
        "csrc/core/mixture/sample.c",
        "alpha[v] < 1.0 ? log(uniform(random)) / alpha[v] : 0.0",
        "alpha[v] < 0.0 ? log(uniform(random)) / alpha[v] : 0.0",
        "tests/mixture/test_mixture.py -k sampl",
    ),
    M(
        "C, draws: all rows by the numbers of the first",
        "csrc/bind/estimator/draw_functions.c",
        "first + i, weights == NULL",
        "first, weights == NULL",
        f"{RESOLUTION} -k of_its_row_alone",
    ),
    M(
        "C, draws: a walk that stops too early",
        "csrc/core/estimator/draws.c",
        "        while (v + 1 < n_tokens && sums[v] <= place) {",
        "        while (v + 1 < n_tokens && sums[v] < 0.5 * place) {",
        f"{RESOLUTION} -k 'multinomial or slow_twin'",
    ),
    M(
        "C, rows in part: what rounding took is lost",
        "csrc/core/estimator/partial.c",
        "double left = sum[k] + lost[k];",
        "double left = sum[k];",
        "tests/core/test_c_drivers.py -k estimator",
    ),
    M(
        "C, rows in part: the first row's numbers for all",
        "csrc/core/estimator/partial.c",
        "const double *value = values + i * width;",
        "const double *value = values;",
        "tests/core/test_c_drivers.py -k estimator",
    ),
    M(
        "C, rows in part: those that do not list a token do not hold it back",
        "csrc/core/estimator/partial_maximization.c",
        "rest * (logs[v - at] + 1.0) + single;",
        "rest + single;",
        "tests/core/test_c_drivers.py -k estimator",
    ),
    M(
        "C, regression: the bend forgets the square",
        "csrc/core/estimator/regression.c",
        "k = e - a * a * t;",
        "k = e - a * t;",
        "tests/estimator/test_regression_kernels.py",
    ),
    M(
        "C, regression: a trigamma of a total is not taken off",
        "csrc/core/estimator/regression.c",
        "bend -= a * d - a * a * t;",
        "bend -= a * d;",
        "tests/estimator/test_regression_kernels.py",
    ),
    M(
        "C, regression: the shared mean weighs units alike",
        "csrc/core/estimator/regression.c",
        "out->gradient[at + v] += c * d[v];",
        "out->gradient[at + v] += d[v];",
        "tests/estimator/test_regression_kernels.py -k shared",
    ),
    M(
        "rows in part: the rest has no Jacobian",
        "matrixbayes/mixture/partial/lumped.py",
        "rows.rest[there, np.newaxis] - _core.lgamma(x[there])",
        "rows.rest[there, np.newaxis]",
        f"{PARTIAL} -k density_is_that",
    ),
    M(
        "rows in part: tokens that no row lists hold nothing back",
        "matrixbayes/estimator/partial/density.py",
        " + left * (1.0 + _core.log(alpha)),",
        ",",
        f"{PARTIAL} -k slow_twin",
    ),
    M(
        "rows in part: what falls into the rest is lost",
        "matrixbayes/estimator/partial/drawn.py",
        "        cells[single, :k] += alpha * np.maximum(sums.tables - sums.listed, 0.0)\n",
        "",
        f"{PARTIAL} -k resolution_is_that",
    ),
    M(
        "rows in part: the dearest split leaves some of the rest out",
        "matrixbayes/estimator/partial/bracket.py",
        "left = np.maximum(1.0 - whole * share, 0.0)",
        "left = np.zeros_like(share)",
        f"{PARTIAL} -k dearest",
    ),
    M(
        "resolution: means are drawn to nothing",
        "matrixbayes/estimator/em.py",
        "    shared += alone\n",
        "",
        f"{RESOLUTION} -k is_a_maximum",
    ),
    M(
        "C, M-step: a cap that binds is not told",
        "csrc/core/estimator/newton.c",
        "            *capped = m.asked == bound && m.level >= 0.0;\n",
        "            *capped = 0;\n",
        f"{EM} -k cap_binds",
    ),
    M(
        "C, M-step: a rate that alone holds A below its bound is not seen",
        "csrc/core/estimator/newton.c",
        "return *capped ? MB_OK : held_by_rate(p, total, alpha, &d, trial, capped);",
        "return MB_OK;",
        f"{COUNTS} -k undetermined",
    ),
    M(
        "C, M-step: a step is not held against what it maximises",
        "csrc/core/estimator/newton.c",
        "        if (!rises(p, &d, &m, alpha, total, trial, after, spare)) {",
        "        if (0 && !rises(p, &d, &m, alpha, total, trial, after, spare)) {",
        BOUNDS,
    ),
    M(
        "C, entropy: a large alpha by the formula of a small one",
        "csrc/core/mixture/moments.c",
        "sum += (a < FEW ? near : mb_gamma_entropy1(a)) - psi_total;",
        "sum += near - psi_total;",
        "tests/core/test_ranges.py -k entropy",
    ),
    M(
        "C, arrays: memory that is read may go",
        "csrc/bind/arrays.c",
        "        return PyWeakref_NewRef(owner, NULL);\n",
        "        return Py_NewRef(Py_None);\n",
        "tests/reliability/test_changed_arguments.py -k hold",
    ),
    M(
        "C, views: what getters give may be written to",
        "csrc/bind/arrays.c",
        "    PyArray_CLEARFLAGS((PyArrayObject *)array, NPY_ARRAY_WRITEABLE);\n",
        "",
        "tests/core/test_border.py",
    ),
    M(
        "C, whole numbers: above 2^63 - 1 they wrap around",
        "csrc/bind/arrays.c",
        "held = to_whole ? found <= most : is_double",
        "held = to_whole ? 1 : is_double",
        f"{INPUTS} tests/core/test_refusals.py",
    ),
    M(
        "C, divergence: signals are never asked for",
        "csrc/core/mixture/divergence.c",
        "        MB_TRY(mb_ask(interrupt, many * width * (n_components / 4 + 8)));\n",
        "",
        "tests/core/test_c_drivers.py -k 'plain and interrupt'",
    ),
    M(
        "C, frozen: of a bucket only what stands in one word is seen",
        "csrc/core/frozen/links.h",
        "    if (next < high && found == MB_NO_LINK) {",
        "    if (next > high && found == MB_NO_LINK) {",
        f"{FROZEN} -k dictionary",
    ),
    M(
        "C, frozen: a number's neighbours are taken for it",
        "csrc/core/frozen/numbers.h",
        "? mb_numbers_exception(numbers, k + 1) - low : code;",
        "? mb_numbers_exception(numbers, k) - low : code;",
        f"{FROZEN} -k 'large or dictionary'",
    ),
    M(
        "C, frozen: sums leave out what is large",
        "csrc/core/frozen/numbers.h",
        "    if ((exceptional & those) != 0) {",
        "    if ((exceptional & those) != those) {",
        f"{FROZEN} -k 'large or dictionary'",
    ),
    M(
        "C, frozen: a token is looked for among too few",
        "csrc/core/frozen/frozen_kernel.h",
        "? length - behind - 1 : 0;",
        "? length - behind : 0;",
        f"{FROZEN} -k 'large or dictionary'",
    ),
    M(
        "C, frozen: rows follow links in the order of the last digit",
        "csrc/core/frozen/frozen_encode.c",
        "    for (unsigned shift = 0; shift < bits; shift += DIGIT) {",
        "    for (unsigned shift = 0; shift < DIGIT; shift += DIGIT) {",
        f"{FROZEN} -k 'large or five_bytes'",
    ),
    M(
        "C, frozen: two rows of one context",
        "csrc/core/frozen/frozen_encode.c",
        "        if (i > 0 && mixed[i] == mixed[i - 1]) {",
        "        if (i > 1 && mixed[i] == mixed[i - 1]) {",
        f"{FROZEN} -k rows_that_are_none",
    ),
    M(
        "C, frozen: words are checked but for their links",
        "csrc/core/frozen/frozen.c",
        "        MB_TRY(mb_links_check(&at->links, n_from, frozen->n_tokens, interrupt));",
        "        (void)n_from;",
        f"{FROZEN} -k links_are_checked",
    ),
    M(
        "C, frozen: contexts are listed as their shorter ones were found",
        "csrc/core/frozen/frozen_all.c",
        "            uint64_t rest = at[i] / n_tokens;",
        "            uint64_t rest = at[i] / (n_tokens + 1);",
        f"{FROZEN} -k links_alone",
    ),
    M(
        "a frozen matrix learns",
        "matrixbayes/matrix/matrix.py",
        "        if self.frozen:\n            raise ValueError(REFUSED)",
        "        if self.frozen and self.order > 99:\n            raise ValueError(REFUSED)",
        "tests/matrix/test_frozen.py -k never_changes",
    ),
    M(
        "frozen words are opened unread",
        "matrixbayes/matrix/files.py",
        "return opened(width, words, verify, several)",
        "return opened(width, words, False, several)",
        "tests/matrix/test_frozen.py -k written_otherwise",
    ),
    M(
        "a frozen tree takes the odds of other contexts",
        "matrixbayes/matrix/files.py",
        "= odds[rows.counts[level].places(contexts)]",
        "= odds[np.sort(rows.counts[level].places(contexts))]",
        "tests/matrix/test_frozen.py -k bit_for_bit",
    ),
    M(
        "C, fading: the older count wins",
        "csrc/core/matrix/fading_row.c",
        "own <= least ? r : newest",
        "own < least ? r : newest",
        "tests/matrix/test_fading.py -k several_runs",
    ),
    M(
        "C, back-off: the weight of a context is forgotten",
        "csrc/core/backoff/walk.c",
        "    w->back *= table->contexts[w->context].back;\n",
        "",
        "tests/matrix/test_backoff_table.py -k definition",
    ),
    M(
        "C, back-off: a context without a suffix goes to the empty one",
        "csrc/core/backoff/link.c",
        "return found == NOWHERE ? 0 : found;",
        "return 0;",
        "tests/matrix/test_backoff_table.py -k definition",
    ),
    M(
        "C, back-off: a piece of a text begins without what was before",
        "csrc/core/backoff/walk.c",
        "w->at = start > longest ? start - longest : 0;",
        "w->at = start;",
        "tests/matrix/test_backoff_table.py -k pieces",
    ),
    M(
        "C, back-off: what came once says nothing of concentrations",
        "csrc/core/backoff/smoothing.c",
        "            once += 1.0;\n",
        "",
        "tests/matrix/test_backoff_table.py -k many_counts",
    ),
    M(
        "C, matrix: what runs have in common is counted from the latest alone",
        "csrc/core/matrix/transitions.c",
        "    for (size_t i = counts->n_runs - 1; i-- > 0;) {\n        mb_run *merged;",
        "    for (size_t i = 0; i-- > 0;) {\n        mb_run *merged;",
        "tests/matrix/test_transitions.py -k 'cut or merge or arrays'",
    ),
    M(
        "C, matrix: contexts cross from one document into the next",
        "csrc/core/matrix/transition_walk.c",
        "skipped = order - walk->filled;",
        "skipped = order - order;",
        "tests/matrix/test_transitions.py -k 'order_of_documents or small_updates'",
    ),
    M(
        "C, matrix: a large token of no sign is a negative one",
        "csrc/bind/matrix/document_functions.c",
        "return least == 0;",
        "return least <= 0;",
        "tests/matrix/test_documents.py -k nothing_to_join",
    ),
    M(
        "C, matrix: each document goes on from where the first does",
        "csrc/core/matrix/documents.c",
        "i == 0 ? first : lead",
        "1 ? first : lead",
        "tests/matrix/test_documents.py -k led",
    ),
    M(
        "unlearning: types of shorter contexts stay",
        "matrixbayes/matrix/counts.py",
        "gone = gone.shorten(counts[-1])",
        "gone = gone.shorten(self.counts[level])",
        "tests/matrix/test_unlearning.py -k 'inverse and hierarchical'",
    ),
    M(
        "unlearning: a stream goes on from what is gone",
        "matrixbayes/matrix/documents.py",
        "            del endings[i]\n",
        "            pass\n",
        "tests/matrix/test_unlearning.py -k 'inverse or goes_on'",
    ),
    M(
        "unlearning: what stood before a document is not looked at",
        "matrixbayes/matrix/matrix.py",
        "ending = None if before is None else self._ending(before)",
        "ending = None",
        "tests/matrix/test_unlearning.py -k window",
    ),
    M(
        "C, matrix: more is taken away than was counted",
        "csrc/core/matrix/ngram_run.c",
        "if (taken > count) {",
        "if (taken > count + 1) {",
        "tests/matrix/test_downdate.py -k below_zero",
    ),
    M(
        "C, matrix: pairs of which nothing is left stay",
        "csrc/core/matrix/ngram_run.c",
        "            if (count > 0) {\n                append(to, n_words, x, count);",
        "            if (count + 1 > 0) {\n                append(to, n_words, x, count);",
        "tests/matrix/test_downdate.py -k taken_away",
    ),
    M(
        "C, matrix: types that are known count again",
        "csrc/core/matrix/transition_shorter.c",
        "bits |= (uint64_t)(times[i] == 0) << i;",
        "bits |= (uint64_t)1 << i;",
        "tests/matrix/test_downdate.py -k types",
    ),
    M(
        "C, matrix: a token seen once is none of its row's types",
        "csrc/core/matrix/concentrations.c",
        "types += count > 0.0 ? 1.0 : 0.0;",
        "types += count > 1.0 ? 1.0 : 0.0;",
        "tests/matrix/test_concentrations.py -k sums",
    ),
    M(
        "C, matrix: factors leave the range of doubles",
        "csrc/core/matrix/concentrations.c",
        "if (*factors + (size_t)count > g->often) {",
        "if (*factors > 8 * g->often) {",
        "tests/matrix/test_concentrations.py -k sums",
    ),
    M(
        "C, matrix: shares forget the weights",
        "csrc/core/matrix/concentrations.c",
        "g->evidence[j] += log_weights[j];",
        "g->evidence[j] += 0.0 * log_weights[j];",
        "tests/matrix/test_concentrations.py -k shares",
    ),
    M(
        "concentrations: what does not pay stays",
        "matrixbayes/matrix/fits/evidence.py",
        "found - single < (len(chosen) - 1) * cost",
        "found < single",
        "tests/matrix/test_concentrations.py -k tell",
    ),
    M(
        "C, matrix: an event's count is its neighbour's",
        "csrc/core/matrix/discounted_rows.c",
        "r->counts[low++] = count;",
        "r->counts[low++] = count + 1.0;",
        "tests/matrix/test_discounts.py -k pairs_and_rows",
    ),
    M(
        "C, matrix: the slope by a concentration forgets the probability",
        "csrc/core/matrix/discounts.c",
        "slopes[MB_CLASSES] += sum[BY_SHORTER] - sum[BY_PROB];",
        "slopes[MB_CLASSES] += sum[BY_SHORTER];",
        "tests/matrix/test_discounts.py -k differences",
    ),
    M(
        "C, matrix: what discounts free is not counted",
        "csrc/core/matrix/discounts.h",
        "freed += discounts[j] * sizes[1 + j];",
        "freed += discounts[j] * sizes[j];",
        "tests/matrix/test_discounts.py -k core_gives",
    ),
    M(
        "discounts: tokens that go with their fold count in full",
        "matrixbayes/matrix/fits/left_out.py",
        "np.minimum(1.0, whole / np.maximum(left, 1.0))",
        "np.ones(N_CLASSES + 1)",
        "tests/matrix/test_discounts.py -k as_rare",
    ),
    M(
        "C, matrix: contexts from the beginning of a text have longer ones",
        "csrc/core/matrix/context_tree.c",
        "is_leaf |= shorten(",
        "shorten(",
        "tests/matrix/test_fold.py -k dictionary",
    ),
    M(
        "C, matrix: the most probable tree is all trees",
        "csrc/core/matrix/context_tree.c",
        "own = prior->is_best ?",
        "own = 0 ?",
        "tests/matrix/test_fold.py -k dictionary",
    ),
    M(
        "C, backoff: what is pruned frees no mass",
        "csrc/core/backoff/prune.c",
        "(mass + freed) / share",
        "mass / share",
        "tests/matrix/test_pruning.py -k lost",
    ),
    M(
        "C, backoff: what leads to other n-grams is pruned",
        "csrc/core/backoff/prune.c",
        "int stays = pair->next >= next_level && in_use[pair->next];",
        "int stays = 0;",
        "tests/matrix/test_pruning.py -k lost",
    ),
    M(
        "C, backoff: rows lose nothing with the shorter ones",
        "csrc/core/backoff/prune.c",
        "p->lost[own->shorter] - changed",
        "0.0 - changed",
        "tests/matrix/test_pruning.py -k lost",
    ),
    # -- the null of a test
    M(
        "shuffles: last exits in any order",
        "matrixbayes/diagnostics/contexts.py",
        "    priority[row, last[row, s]] = 2.0\n",
        "",
        f"{NULLS} -k equally_likely",
    ),
    M(
        "chains: rows fade that are not visited",
        "matrixbayes/diagnostics/chains.py",
        "self.counts[self.own, self.place] *= self.gamma",
        "self.counts *= self.gamma",
        f"{NULLS} -k fading_is",
    ),
    M(
        "tests of Bayes: every null is an urn's",
        "matrixbayes/diagnostics/choice.py",
        '[*FAMILIES] if few else ["iid"]',
        '["iid"]',
        f"{NULLS} -k names_it",
    ),
    M(
        "trees of a null: the odds of a child stay",
        "matrixbayes/diagnostics/trees.py",
        "mixed[d + 1] - np.log(self.rows[d][own, tokens])",
        "0.0",
        f"{NULLS} -k slow_twin",
    ),
    M(
        "sums of a null: the weights of parts stay",
        "matrixbayes/diagnostics/sums.py",
        "self.log_weights + np.log(self.rows[:, self.own, tokens])",
        "self.log_weights + 0.0",
        f"{NULLS} -k any_family",
    ),
    # -- runs that were stopped, memory that ran out, files that are mapped
    M(
        "run: a resumed run cuts batches of what is left",
        "matrixbayes/huggingface/runs/batches.py",
        "    batches = batches_of(prompts, batch_size, forward.width, forward.route)\n"
        "    left = ([i for i in places if numbers[i] not in done] for places in batches)\n",
        "    places = [i for i in range(len(prompts)) if numbers[i] not in done]\n"
        "    some = [prompts[i] for i in places]\n"
        "    cut = batches_of(some, batch_size, forward.width, forward.route)\n"
        "    left = ([places[i] for i in each] for each in cut)\n",
        f"{CACHE} -k 'damaged or stopped'",
    ),
    M(
        "run: a batch that does not fit loses one prompt, not half",
        "matrixbayes/huggingface/runs/batches.py",
        "limit = (len(places) + 1) // 2",
        "limit = len(places) - 1",
        f"{RUNNING} -k halved",
    ),
    M(
        "run: the last batch on its way is lost",
        "matrixbayes/huggingface/runs/batches.py",
        "    for called, copy in waiting:\n        yield called, copy.ended()\n",
        "",
        f"{ACCELERATORS} -k 'while_the_next or late'",
    ),
    M(
        "display: figures that differ by little read alike",
        "matrixbayes/_base/display/figures.py",
        "    digits = DIGITS - 2 + np.log10(sizes.max() / spread)\n",
        "    digits = DIGITS\n",
        f"{DISPLAY} -k 'differ or sizes'",
    ),
    M(
        "display: an accent is put on the quote",
        "matrixbayes/_base/display/tokens.py",
        "    room = 0  # for marks on the last letter\n",
        "    room = MOST_MARKS\n    pieces.append('')\n",
        f"{DISPLAY} -k 'printable_line or in_its_place'",
    ),
    M(
        "cache: damaged rows are believed",
        "matrixbayes/huggingface/runs/cache.py",
        "open_mapped(path, FORMAT)",
        "open_mapped(path, FORMAT, verify=False)",
        f"{CACHE} -k damaged",
    ),
    M(
        "cache: positions are no part of a prompt",
        "matrixbayes/huggingface/runs/cache.py",
        "ids.tobytes() + places.tobytes()",
        "ids.tobytes()",
        f"{CACHE} -k changed_list",
    ),
    M(
        "cache: hidden states are no part of the question",
        "matrixbayes/huggingface/runs/cache.py",
        "_told(kept.columns), asked]",
        "_told(kept.columns)]",
        f"{CACHE} -k 'mixed_up'",
    ),
    M(
        "cache: what the model says today is not asked",
        "matrixbayes/huggingface/runs/cache.py",
        "    if not difference <= 3 * limit:\n",
        "    if False:\n",
        f"{CACHE} -k today",
    ),
    M(
        "mapped: what is not aligned is read as if it were",
        "matrixbayes/_base/mapped.py",
        "            data = data.copy()\n",
        "",
        f"{MAPPED} -k aligned",
    ),
    M(
        "files: what is read forgets what made it",
        "matrixbayes/_base/saving/made.py",
        "object.__setattr__(thing, NAME, said(header))",
        "object.__setattr__(thing, NAME, None)",
        "tests/base/test_made.py tests/house/test_before.py -k file",
    ),
    M(
        "hub: a repository is made without its owner",
        "matrixbayes/_base/saving/hub.py",
        'name = getattr(made, "repo_id", repo_id)',
        "name = repo_id",
        "tests/base/test_hub.py -k pushed",
    ),
]


class Copy:
    """A copy of the checkout, in which files are changed, compiled and put back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        for name in listed.stdout.splitlines():
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        # Quickly compiled, for one instruction set: what is looked for is no rounding.
        setup = folder / "setup.py"
        setup.write_text(
            setup.read_text("utf-8").replace('"-O3"', '"-O1", "-DMB_ONE_INSTRUCTION_SET"')
        )
        # What the compiler and the linker were called with, to be called again for one file.
        line = [sys.executable, "setup.py", "build_ext", "--inplace"]
        done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        lines = [line for line in done.stdout.splitlines() if " -o build" in line or ".so" in line]
        self.compile = {
            m[1]: line for line in lines if (m := re.search(r" -c (csrc/\S+\.c)", line))
        }
        self.link = [line for line in lines if " -shared " in line or " -bundle " in line][-1]

    def reached(self, name: str) -> list[str]:
        """The C files that a change of a C file or header reaches."""
        if name.endswith(".c"):
            return [name]
        reached, todo = set(), {Path(name).name}
        while todo:
            header = todo.pop()
            for file in self.folder.glob("csrc/**/*.[ch]"):
                text = file.read_text("utf-8")
                if re.search(rf'(include|KERNEL) "[\w/]*/{re.escape(header)}"', text):
                    if file.suffix == ".h" and file.name not in reached:
                        todo.add(file.name)
                    reached.add(file.relative_to(self.folder).as_posix())
        return sorted(name for name in reached if name in self.compile)

    def build(self, name: str) -> str:
        """Compiles what a change reaches; what the compiler says where it refuses."""
        if not name.startswith("csrc/"):
            return ""
        for file in self.reached(name):
            line = self.compile[file] + " -w"
            done = subprocess.run(
                line, shell=True, cwd=self.folder, capture_output=True, text=True, check=False
            )
            if done.returncode:
                return done.stderr
        subprocess.run(self.link, shell=True, cwd=self.folder, check=True, capture_output=True)
        (linked,) = re.findall(r" -o (\S+\.so)", self.link)
        shutil.copy(self.folder / linked, self.folder / "matrixbayes")
        return ""

    def tests_fail(self, tests: str) -> str:
        """What failed first: an empty text where nothing did."""
        environment = {**os.environ, "PYTHONPATH": str(self.folder), "PYTHONSAFEPATH": "1"}
        line = f"{sys.executable} -m pytest -x -q -p no:cacheprovider {tests}"
        try:
            done = subprocess.run(
                line,
                shell=True,
                cwd=self.folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"nothing ended within {LIMIT} s"
        if done.returncode == 0:
            return ""
        if done.returncode == 5:
            sys.exit(f"no test is called so: {tests}")
        if done.returncode < 0 or done.returncode > 128:
            return "the process died"
        found = re.findall(r"^(?:FAILED|ERROR) (?:tests/)?([^\n]+?)(?: - |$)", done.stdout, re.M)
        return found[0] if found else done.stdout[-300:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("words", nargs="*", help="of the names of those to try")
    parser.add_argument("--list", action="store_true", help="say what there is")
    options = parser.parse_args()
    chosen = [
        m
        for m in MUTATIONS
        if not options.words or any(word.lower() in m.name.lower() for word in options.words)
    ]
    if options.list:
        print(*(m.name for m in chosen), sep="\n")
        return
    survived = stale = 0
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        copy = Copy(Path(folder))
        sound: dict[str, str] = {}
        for m in chosen:
            file, began = copy.folder / m.file, time.monotonic()
            whole = file.read_text("utf-8")
            if m.tests not in sound:
                sound[m.tests] = copy.tests_fail(m.tests)
            if whole.count(m.old) != 1 or sound[m.tests]:
                stale += 1
                reason = sound[m.tests] or f"the text is there {whole.count(m.old)} times"
                print(f"STALE     {m.name}: {reason}", flush=True)
                continue
            file.write_text(whole.replace(m.old, m.new), "utf-8")
            caught = copy.build(m.file) or copy.tests_fail(m.tests)
            file.write_text(whole, "utf-8")
            copy.build(m.file)
            survived += not caught
            seconds = time.monotonic() - began
            word = f"caught    {m.name} ({seconds:.0f} s)" if caught else f"SURVIVED  {m.name}"
            print(f"{word}: {caught.splitlines()[0] if caught else m.tests}", flush=True)
    print(f"{len(chosen) - survived - stale} caught, {survived} survived, {stale} stale")
    sys.exit(bool(survived or stale))


if __name__ == "__main__":
    main()
