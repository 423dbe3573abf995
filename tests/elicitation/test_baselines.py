"""What every mean KL is held against: floor, constant, and standard errors by group."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from matrixbayes.elicitation import elicit_prior
from matrixbayes.elicitation.histories import checked_histories
from matrixbayes.elicitation.measures import baselines, clustered_error, error_within


def kl(q: np.ndarray, p: np.ndarray) -> float:
    there = q > 0.0
    return float(np.sum(q[there] * np.log(q[there] / p[there])))


def some(n: int, longest: int, seed: int, n_tokens: int = 3) -> tuple[list[list[int]], np.ndarray]:
    rng = np.random.default_rng(seed)
    histories = [rng.integers(0, n_tokens, m).tolist() for m in rng.integers(0, longest + 1, n)]
    model = rng.dirichlet(np.ones(n_tokens), n)
    model[3] = np.eye(n_tokens)[0]
    return histories, model


@pytest.mark.parametrize("block", [1 << 17, 20])
@pytest.mark.parametrize("longest", [2, 12])
def test_floor_and_constant_by_brute_force(
    longest: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matrixbayes.elicitation.measures.BLOCK_ENTRIES", block)
    histories, model = some(80, longest, seed=longest)
    rng = np.random.default_rng(1)
    shares = rng.dirichlet(np.ones(80))
    folds = rng.integers(0, 3, 80)
    equal = checked_histories(histories, "tokens", 3).equal()
    with np.errstate(divide="ignore"):
        found = baselines(np.log(model), shares, equal, np.arange(80), folds)
    by_row = np.zeros(80)
    corrected, repeated = 0.0, 0.0
    for i, history in enumerate(histories):
        same = np.array([h == history for h in histories])
        own = shares * same / shares[same].sum()
        by_row[i] = kl(model[i], own @ model)
        if same.sum() > 1:
            repeated += shares[i]
            corrected += shares[i] * by_row[i] / (1.0 - np.sum(own**2))
    np.testing.assert_allclose(found.row_floor, by_row, atol=1e-12)
    assert found.floor.kl == pytest.approx(shares @ by_row)
    assert found.floor.repeated == pytest.approx(repeated)
    assert found.floor.corrected == pytest.approx(corrected / repeated)
    assert found.constant.kl == pytest.approx(
        shares @ [kl(q, shares @ model) for q in model], rel=1e-12
    )
    held_out = 0.0
    for i, q in enumerate(model):
        rest = np.where(folds == folds[i], 0.0, shares)
        held_out += shares[i] * kl(q, rest @ model / rest.sum())
    assert found.constant.held_out == pytest.approx(held_out)


def test_no_family_is_below_the_floor() -> None:
    """The best function there is: a search over all tables of predictions ends there."""
    histories, model = some(200, 2, seed=5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = elicit_prior(
            histories, model, kind="probs", family=["iid", "markov", "iid+markov"], rng=0
        )
    assert found.comparison is not None
    assert found.floor == found.comparison.floor
    assert 0.0 < found.floor.kl < found.comparison.mean_kl.min()
    assert "floor of any function of the history: 0." in repr(found)
    assert "constant prediction: " in repr(found.comparison)
    assert " of " in repr(found.comparison).splitlines()[2]


def test_the_floor_of_counts_is_of_equal_counts() -> None:
    counts = np.array([[1.0, 0.5], [1.0, 0.5], [0.0, 2.0]])
    model = np.array([[0.5, 0.5], [0.9, 0.1], [0.3, 0.7]])
    equal = checked_histories(csr_array(counts), "counts", 2).equal()
    found = baselines(np.log(model), np.full(3, 1 / 3), equal, np.arange(3))
    expected = [kl(q, model[:2].mean(axis=0)) for q in model[:2]]
    np.testing.assert_allclose(found.row_floor, [*expected, 0.0])
    np.testing.assert_allclose(found.row_corrected, [2 * expected[0], 2 * expected[1], np.nan])
    assert np.isnan(found.constant.held_out)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_floor_that_is_not_known_says_so() -> None:
    histories = [[0] * n for n in range(12)]
    model = np.random.default_rng(0).dirichlet([3.0, 2.0], 12)
    found = elicit_prior(histories, model, kind="probs", family="iid", rng=0)
    assert found.floor is not None
    assert found.floor[:3] == (0.0, 0.0, 0.0)
    assert np.isnan(found.floor.corrected)
    assert "floor of any function of the history: not known, as no history repeats" in repr(found)


def test_the_corrected_floor_is_the_kl_of_the_true_function() -> None:
    """However few repetitions there are: n - 1 of n parts are seen."""
    rng = np.random.default_rng(0)
    truth = np.array([0.5, 0.3, 0.2])
    for n in (2, 3, 10):
        model = rng.dirichlet(200.0 * truth, (4000, n)).reshape(-1, 3)
        equal = np.repeat(np.arange(4000), n)
        floor = baselines(np.log(model), np.full(len(model), 1 / len(model)), equal, equal).floor
        true = np.mean([kl(q, truth) for q in model[:4000]])
        assert floor.corrected == pytest.approx(true, rel=0.06)
        assert floor.kl == pytest.approx((n - 1) / n * true, rel=0.06)


# --- standard errors


def test_errors_of_groups_of_one_are_those_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(size=50)
    shares = np.full(50, 1 / 50)
    expected = np.std(values, ddof=1) / np.sqrt(50)
    assert clustered_error(values, shares, np.arange(50)) == pytest.approx(expected)
    assert np.isnan(clustered_error(values, shares, np.zeros(50, dtype=np.int64)))
    halves, each = np.arange(50) // 25, np.arange(50)
    within = np.sqrt(sum(np.var(v, ddof=1) / 25 for v in values.reshape(2, 25)) / 4)
    assert error_within(values, shares, halves, each) == pytest.approx(within)
    assert np.isnan(error_within(values, shares, halves, halves))


def test_copies_of_rows_change_no_error() -> None:
    rng = np.random.default_rng(1)
    values, groups = rng.normal(size=30), np.arange(30) // 3
    once = clustered_error(values, np.full(30, 1 / 30), groups)
    thrice = clustered_error(np.repeat(values, 3), np.full(90, 1 / 90), np.repeat(groups, 3))
    assert thrice == pytest.approx(once)
    weighted = clustered_error(values, rng.dirichlet(np.ones(30)), np.arange(30))
    assert weighted > 0.0


@pytest.mark.parametrize("effect", [0.0, 0.5])
def test_coverage_of_the_errors(effect: float) -> None:
    """Of 400 samples, 95 % intervals by 30 groups hold the truth; those by rows do not."""
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(30), 10)
    shares = np.full(300, 1 / 300)
    hits = {"groups": 0, "rows": 0}
    for _ in range(400):
        values = rng.exponential(size=300) - 1.0
        values += effect * (rng.exponential(size=30) - 1.0)[groups]
        for name, own in (("groups", groups), ("rows", np.arange(300))):
            hits[name] += abs(values.mean()) < 1.96 * clustered_error(values, shares, own)
    assert 0.905 < hits["groups"] / 400 < 0.975  # 3 standard errors about .94, of skew values
    assert (hits["rows"] / 400 < 0.85) == (effect > 0.0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_coverage_of_the_error_of_a_mean_kl() -> None:
    """60 samples of 80 texts whose histories share a deviation: the mean KL of many more texts."""
    truth = np.array([2.0, 1.0])

    def sample(n: int, rng: np.random.Generator) -> tuple[list[list[int]], np.ndarray, Any]:
        texts = rng.integers(0, 2, (n, 8))
        shift = 0.5 * rng.normal(size=n)
        histories = [text[:m].tolist() for text in texts for m in range(8)]
        groups = np.repeat(np.arange(n), 8)
        p = np.array([np.bincount(h, minlength=2) + truth for h in histories])
        z = np.log(p[:, 1] / p[:, 0]) + shift[groups] + 0.1 * rng.normal(size=8 * n)
        return histories, np.column_stack([1 / (1 + np.exp(z)), 1 / (1 + np.exp(-z))]), groups

    options: dict[str, Any] = {"kind": "probs", "family": "iid", "n_starts": 1, "rng": 0}
    histories, model, groups = sample(4000, np.random.default_rng(0))
    expected = elicit_prior(histories, model, groups=groups, **options).mean_kl
    hits, naive = 0, 0
    for seed in range(60):
        histories, model, groups = sample(80, np.random.default_rng(100 + seed))
        found = elicit_prior(histories, model, groups=groups, **options)
        alone = elicit_prior(histories, model, groups=np.arange(len(histories)), **options)
        assert found.mean_kl == alone.mean_kl
        hits += abs(found.mean_kl - expected) < 1.96 * found.kl_error
        naive += abs(alone.mean_kl - expected) < 1.96 * alone.kl_error
    assert hits >= 52  # of 60 at .95, less 3 standard errors
    assert naive < hits - 5


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_two_levels_have_two_errors() -> None:
    rng = np.random.default_rng(4)
    histories = [rng.integers(0, 2, 4).tolist() for _ in range(120)]
    outer, inner = np.arange(120) // 20, np.arange(120) // 4
    z = rng.normal(size=6)[outer] + 0.1 * rng.normal(size=120)
    model = np.column_stack([1 / (1 + np.exp(z)), 1 / (1 + np.exp(-z))])
    options: dict[str, Any] = {"kind": "probs", "family": "iid", "rng": 0}
    one = elicit_prior(histories, model, groups=outer, **options)
    two = elicit_prior(histories, model, groups=list(zip(outer, inner, strict=True)), **options)
    assert two.kl_error == one.kl_error
    assert np.isnan(one.kl_error_within)
    assert 0.0 < two.kl_error_within < 0.5 * two.kl_error
