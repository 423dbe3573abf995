"""Which histories belong together: equal ones, groups of one level and of two."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from matrixbayes.elicitation import elicit_prior
from matrixbayes.elicitation.arguments import fold_numbers, group_levels
from matrixbayes.elicitation.histories import checked_histories

HISTORIES = st.lists(st.lists(st.integers(0, 2), max_size=3), min_size=8, max_size=40)


@settings(max_examples=60, deadline=None)
@given(HISTORIES, st.integers(0, 2**32 - 1), st.booleans())
def test_equal_histories_are_never_in_two_folds(
    histories: list[list[int]], seed: int, counts: bool
) -> None:
    given = [np.bincount(h, minlength=3).tolist() for h in histories] if counts else histories
    known = checked_histories(given, "counts" if counts else "tokens", 3)
    outer, inner = group_levels(None, known)
    assert inner is None
    by_text: dict[str, set[int]] = {}
    for history, group in zip(given, outer, strict=True):
        by_text.setdefault(str(history), set()).add(int(group))
    assert all(len(groups) == 1 for groups in by_text.values())
    assert len({*outer.tolist()}) == len(by_text) == outer.max() + 1
    shares = np.full(known.n, 1.0 / known.n)
    folds = fold_numbers(outer, min(5, len(by_text)), shares, np.random.default_rng(seed))
    for text in by_text:
        assert len({int(f) for h, f in zip(given, folds, strict=True) if str(h) == text}) == 1


def test_real_counts_and_sparse_ones_are_told_apart() -> None:
    dense = [[0.5, 0.0, 1.0], [0.5, 1.0, 0.0], [0.5, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    for form in (dense, csr_array(np.array(dense))):
        assert checked_histories(form, "counts", 3).equal().tolist() == [0, 1, 0, 2, 2]


def deviating(seed: int) -> tuple[list[list[int]], np.ndarray, list[list[int]], np.ndarray]:
    """32 histories 25 times each, each with a deviation of its own; and 400 fresh ones."""
    rng = np.random.default_rng(seed)

    def some(n: int) -> tuple[list[list[int]], np.ndarray]:
        histories = [rng.integers(0, 2, m).tolist() for m in rng.integers(5, 11, n)]
        ones = np.array([sum(h) for h in histories])
        zeros = np.array([len(h) for h in histories]) - ones
        return histories, np.log((ones + 2) / (zeros + 2)) + rng.normal(size=n)

    def rows(z: np.ndarray) -> np.ndarray:
        return np.column_stack([1 / (1 + np.exp(z)), 1 / (1 + np.exp(-z))])

    histories, z = some(32)
    fresh, fresh_z = some(400)
    many = [h for h in histories for _ in range(25)]
    noise = 0.05 * rng.normal(size=len(many))
    return many, rows(np.repeat(z, 25) + noise), fresh, rows(fresh_z)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_held_out_is_what_fresh_histories_show() -> None:
    """With each history by itself, what is left out has been seen 24 times."""
    together, apart, truth, width = [], [], [], []
    for seed in range(6):
        histories, model, fresh, said = deviating(seed)
        options: dict[str, Any] = {"kind": "probs", "n_components": 2, "n_boot": 30, "rng": 0}
        options |= {"family": "iid", "cv": 4, "n_starts": 2}
        found = elicit_prior(histories, model, **options)
        alone = elicit_prior(histories, model, groups=np.arange(len(histories)), **options)
        assert found.comparison is not None
        assert alone.comparison is not None
        together.append(found.comparison.held_out_kl[0])
        apart.append(alone.comparison.held_out_kl[0])
        p = found.predict(fresh)
        truth.append(np.mean(np.sum(said * np.log(said / p), axis=1)))
        ends = [np.log(each.intervals["iid.weights"][:, 0]) for each in (found, alone)]
        width.append([np.ptp(each) for each in ends])
    assert np.mean(apart) < 0.9 * np.mean(truth)
    assert 0.85 < np.mean(together) / np.mean(truth) < 1.4
    wide, narrow = np.mean(width, axis=0)
    assert narrow < 0.7 * wide


PAIRS = [("a", 1), ("a", 2), ("b", 1), ("b", 1), ("a", 1)]


@pytest.mark.parametrize(
    "groups",
    [
        PAIRS,
        np.array([[0, 1], [0, 2], [1, 1], [1, 1], [0, 1]]),
        [list(pair) for pair in PAIRS],
        np.array(PAIRS),
        iter(PAIRS),
    ],
)
def test_two_levels_in_any_form(groups: Any) -> None:
    known = checked_histories([[]] * 5, "tokens", 2)
    outer, inner = group_levels(groups, known)
    assert outer.tolist() == [0, 0, 1, 1, 0]
    assert inner is not None
    assert inner.tolist() == [0, 1, 2, 2, 0]


def test_two_levels_in_frames() -> None:
    pd = pytest.importorskip("pandas")
    known = checked_histories([[]] * 5, "tokens", 2)
    frame = pd.DataFrame(PAIRS, columns=["template", "prompt"])
    for groups in (frame, pd.MultiIndex.from_frame(frame), pd.Series(PAIRS)):
        assert [level.tolist() for level in group_levels(groups, known)] == [
            [0, 0, 1, 1, 0],
            [0, 1, 2, 2, 0],
        ]


def test_one_level_is_taken_at_its_word() -> None:
    known = checked_histories([[], [], [0]], "tokens", 2)
    assert group_levels(["x", "y", "x"], known)[0].tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("groups", "error", "message"),
    [
        (np.zeros((3, 3)), ValueError, r"groups have shape \(3, 3\); they name one level, or two"),
        ([("a", 1), ("a", 2), "b"], ValueError, "each history has"),
        ([("a", 1, 2)] * 3, ValueError, "each history has"),
        ([("a", 1), ("a", None), ("b", 2)], ValueError, r"groups\[1\] is missing"),
        ([("a", 1)] * 2, ValueError, r"groups have shape \(2,\), but there are 3 histories"),
        ("abc", ValueError, r"groups have shape \(\)"),
        (3, ValueError, r"groups have shape \(\)"),
    ],
)
def test_bad_groups(groups: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        elicit_prior([[], [0], [1]], np.full((3, 2), 0.5), kind="probs", groups=groups)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_folds_and_samples_are_of_the_outer_level() -> None:
    rng = np.random.default_rng(3)
    histories = [rng.integers(0, 2, 6).tolist() for _ in range(60)]
    counts = np.array([np.bincount(h, minlength=2) for h in histories])
    model = rng.dirichlet([4.0, 4.0], 60) + counts
    model /= model.sum(axis=1, keepdims=True)
    templates, prompts = np.arange(60) // 10, np.arange(60) // 2
    options: dict[str, Any] = {"kind": "probs", "family": ["iid", "markov"], "n_boot": 9, "rng": 0}
    outer = elicit_prior(histories, model, groups=templates, **options)
    both = elicit_prior(histories, model, groups=np.column_stack([templates, prompts]), **options)
    assert outer.comparison is not None
    assert both.comparison is not None
    np.testing.assert_array_equal(outer.comparison.held_out_kl, both.comparison.held_out_kl)
    np.testing.assert_array_equal(outer.intervals["iid.alpha"], both.intervals["iid.alpha"])


def test_one_history_many_times_cannot_be_resampled() -> None:
    options: dict[str, Any] = {"kind": "probs", "family": "iid"}
    with pytest.raises(ValueError, match="equal histories are one unless groups= tells them apart"):
        elicit_prior([[0]] * 9, np.full((9, 2), 0.5), n_boot=5, **options)
    with pytest.raises(ValueError, match=r"2 folds .* and there are 1 \(equal histories"):
        elicit_prior([[0]] * 9, np.full((9, 2), 0.5), cv=2, **options)
