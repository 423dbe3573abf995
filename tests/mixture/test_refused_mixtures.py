"""What mixtures refuse, and the answers that stand in where there is nothing to work out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import matrixbayes as mb
from matrixbayes.mixture.extremes import grid

PRIOR = mb.DirichletMixture([0.25, 0.75], [[1.0, 2.0, 3.0], [2.0, 1.0, 1.0]])
ALONE = mb.DirichletMixture([1.0], [[2.0]])


def uniform(p: Any) -> Any:
    return np.full(len(p), 2.0)


def below_a_half(p: Any) -> Any:
    return np.where(p[:, 0] < 0.5, 4.0, 0.0)


@pytest.mark.parametrize(
    ("wanted", "options"),
    [
        ("tol is 0; it must be above 0", {"tol": 0.0}),
        ("tol is nan; it must be above 0", {"tol": np.nan}),
        ("counts must hold 3 finite numbers >= 0", {"counts": [1.0, 2.0]}),
        ("counts must hold 3 finite numbers >= 0", {"counts": [1.0, -2.0, 0.0]}),
        ("counts must hold 3 finite numbers >= 0", {"counts": [1.0, np.inf, 0.0]}),
    ],
)
def test_approximation_report_refuses(wanted: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=wanted):
        mb.approximation_report(uniform, degree=3, n_tokens=3, n_samples=9, **options)


def test_counts_that_contradict_a_density_are_refused() -> None:
    with pytest.raises(ValueError, match="they contradict it"):
        mb.approximation_report(below_a_half, degree=4, n_tokens=2, counts=[1e9, 1.0], n_samples=50)


def test_groups_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="there are no groups"):
        PRIOR.lump({})
    with pytest.raises(ValueError, match="group 'none' has no tokens"):
        PRIOR.lump({"some": [0, 1, 2], "none": []})


def test_the_only_token_has_no_marginal() -> None:
    with pytest.raises(ValueError, match="the only token has probability 1"):
        ALONE.marginal(0)


def test_equality_with_something_else_is_left_to_that() -> None:
    class Same:
        def __eq__(self, other: object) -> bool:
            return True

    assert PRIOR != 3
    assert Same() == PRIOR


def test_samples_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="there are no samples"):
        mb.DirichletMixture.from_samples(np.zeros((0, 3)), degree=2, kind="probs")


def test_a_grid_over_many_tokens_is_the_middle() -> None:
    rows, width = grid(5000)
    assert rows.shape == (1, 5000)
    assert np.allclose(rows, 1.0 / 5000)
    assert width == 0.5 / 5000
