"""The fold of one level of a context tree into the next, and places of contexts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import gammaln, logsumexp

from matrixbayes import _core

BEGIN = 4
WEIGHTS, ALPHA = np.array([0.3, 0.7]), np.array([[0.1, 0.2, 0.3, 0.4], [2.0, 1.0, 1.0, 1.0]])


def levels(n: int = 300, depth: int = 3) -> list[_core.TransitionCounts]:
    """Counts of contexts of 0 to `depth` of four tokens, in several runs."""
    tokens = np.random.default_rng(0).integers(0, 4, n)
    led = np.concatenate([np.full(depth, BEGIN), tokens])
    found = [_core.TransitionCounts(d, 5) for d in range(depth + 1)]
    for d, each in enumerate(found):
        each.update(led[depth - d :])
        each.update([[BEGIN] * d + [1, 2]])
    return found


def log_leaf(counts: np.ndarray[Any, Any], alpha: np.ndarray[Any, Any]) -> float:
    own = (gammaln(alpha + counts) - gammaln(alpha)).sum(axis=1)
    total = alpha.sum(axis=1)
    return float(logsumexp(np.log(WEIGHTS) + own - gammaln(total + counts.sum()) + gammaln(total)))


@pytest.mark.parametrize("best", [False, True])
@pytest.mark.parametrize("alpha", [ALPHA, np.array([[0.5], [2.0]])], ids=["(K, V)", "(K, 1)"])
def test_a_fold_is_what_a_dictionary_says(alpha: np.ndarray[Any, Any], best: bool) -> None:
    """Slow twin: contexts as keys, from the longest to the empty one."""
    counts, below, told, rho = levels(), None, {}, 0.3
    wide = np.broadcast_to(alpha, (2, 4))
    for d in (3, 2, 1, 0):
        shorter = counts[d - 1] if d > 0 else None
        odds, above, evidence = counts[d].fold(shorter, below, WEIGHTS, alpha, rho, best)
        contexts, indptr, tokens, times = counts[d].all()
        give: dict[tuple[int, ...], float] = {}
        for i, context in enumerate(map(tuple, contexts.tolist())):
            cut = slice(indptr[i], indptr[i + 1])
            own = log_leaf(np.bincount(tokens[cut], times[cut], minlength=4), wide)
            place, wanted = indptr[i], -np.inf
            if d < 3 and context[:1] != (BEGIN,):
                stop, deeper = np.log1p(-rho) + own, np.log(rho) + told[context]
                own = max(stop, deeper) if best else np.logaddexp(stop, deeper)
                wanted = deeper - stop
            assert_allclose(odds[place], wanted, atol=1e-9)
            give[context[1:]] = give.get(context[1:], 0.0) + own
        told, below = give, above
        assert_allclose(evidence, sum(give.values()), rtol=1e-12)
    assert above is None


def test_nothing_folds_into_nothing() -> None:
    none = _core.TransitionCounts(1, 3), _core.TransitionCounts(0, 3)
    odds, above, evidence = none[0].fold(none[1], None, [1.0], [[1.0]], 0.5, False)
    assert above is not None
    assert (odds.size, above.size, evidence) == (0, 0, 0.0)


def test_places_are_those_of_all_pairs() -> None:
    counts = levels()[2]
    contexts, indptr, _, _ = counts.all()
    assert_array_equal(counts.places(contexts), indptr[:-1])
    assert_array_equal(counts.places([[3, 4]]), [-1])
    assert_array_equal(_core.TransitionCounts(2, 5).places([[3, 4]]), [-1])
    for wrong, error in (([[0, 5]], ValueError), ([[0]], ValueError), ([[0.5, 1]], TypeError)):
        with pytest.raises(error):
            counts.places(wrong)


def test_wrong_arguments_of_a_fold() -> None:
    short, counts = levels()[1:3]
    n = counts.sizes()[1]
    good: list[Any] = [short, np.zeros(n), [1.0], [[0.5]], 0.5, False]
    counts.fold(*good)
    for place, value, error in (
        (0, None, TypeError),
        (0, 3, TypeError),
        (0, counts, ValueError),
        (0, _core.TransitionCounts(1, 6), ValueError),
        (0, _core.TransitionCounts(1, 5), ValueError),  # it does not hold these contexts
        (1, np.zeros(n + 1), ValueError),
        (1, np.full(n, np.nan), ValueError),
        (1, "x", TypeError),
        (2, [], ValueError),
        (2, [np.nan], ValueError),
        (2, [0.0], ValueError),
        (3, [[0.5, 0.5]], ValueError),
        (3, [[0.0]], ValueError),
        (4, 0.0, ValueError),
        (4, 1.0, ValueError),
        (4, np.nan, ValueError),
    ):
        with pytest.raises(error):
            counts.fold(*[value if i == place else each for i, each in enumerate(good)])
    begins = levels()[0]
    begins.update([BEGIN])  # a token without an alpha
    with pytest.raises(ValueError, match="alpha"):
        begins.fold(None, None, [1.0], ALPHA[:1], 0.5, False)
