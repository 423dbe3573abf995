"""All families that fit some histories, beside each other."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from elicitation.test_sources import noisy, numbers, predictions, some_histories

import matrixbayes as mb
from matrixbayes import windtunnel
from matrixbayes.elicitation.arguments import families_that_fit
from matrixbayes.elicitation.families import ALL
from matrixbayes.elicitation.histories import checked_histories

FLAT = mb.DirichletMixture([1.0], [[1.0, 1.0]])


def chains(seed: int, n: int = 40) -> tuple[list[list[int]], np.ndarray]:
    """Histories of chains, and noisy answers of one who knows that they are."""
    rng = np.random.default_rng(seed)
    task = windtunnel.MarkovChains(FLAT)
    texts = task.sample(n, 12, rng=rng)
    log_p = task.log_predictive(texts).reshape(-1, 2)
    p = np.exp(log_p + 0.1 * rng.normal(size=log_p.shape))
    histories = [text[:t].tolist() for text in texts for t in range(12)]
    return histories, p / p.sum(axis=1, keepdims=True)


def test_all_families_are_compared_by_default() -> None:
    histories, model = chains(0, 20)
    options: dict[str, Any] = {"kind": "probs", "n_starts": 1, "rng": 0}
    found = mb.elicit_prior(histories, model, **options)
    told = found.comparison
    assert told is not None
    assert told.families == ALL
    assert told.left_out is None
    assert found.family == told.best
    assert found.family in ("markov", "markov(repeat)")
    assert found.mean_kl == told.reports[told.best].mean_kl
    named = mb.elicit_prior(histories, model, family=list(ALL), **options)
    assert repr(named.comparison) == repr(told)
    text = repr(told)
    assert "constant prediction: " in text
    assert "floor of any function of the history: " in text
    assert "starts agree" in text
    assert text in repr(copy.deepcopy(told))
    assert text == repr(pickle.loads(pickle.dumps(told)))
    assert "floor of any function" in told._repr_html_()


def test_intervals_are_of_the_best_of_all() -> None:
    histories, model = chains(0, 20)
    options: dict[str, Any] = {"kind": "probs", "n_starts": 1, "n_boot": 2, "cv": 2, "rng": 0}
    found = mb.elicit_prior(histories, model, **options)
    assert found.comparison is not None
    for name, report in found.comparison.reports.items():
        assert bool(report.intervals) == (name == found.family)
    assert found.intervals.keys() == found.comparison.reports[found.family].intervals.keys()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # chains are no urns
def test_of_counts_the_family_without_order() -> None:
    histories, model = chains(1)
    counts = np.array([np.bincount(h, minlength=2) for h in histories])
    options: dict[str, Any] = {"kind": "probs", "history_kind": "counts", "rng": 0}
    found = mb.elicit_prior(counts, model, **options)
    assert found.family == "iid"
    assert found.comparison is None
    held_out = mb.elicit_prior(counts, model, cv=3, **options).comparison
    assert held_out is not None
    assert [*held_out.left_out] == [*ALL[1:]]
    assert "left out: markov (" in repr(held_out)
    assert "counts have no order" in repr(held_out)
    with pytest.raises(ValueError, match="a discount needs histories of tokens"):
        mb.elicit_prior(counts, model, discount="fit", **options)


def test_what_takes_long_is_left_out_by_default() -> None:
    def left_out(n: int, n_tokens: int, **options: Any) -> dict[str, str]:
        known = checked_histories([[0]] * n, "tokens", n_tokens)
        found, left = families_that_fit(known, options.get("tie", "shared"), options.get("g", 1.0))
        assert len({*found, *left}) == len(found) + len(left)
        return left

    assert left_out(3300, 2) == {}
    assert left_out(10, 100) == {"markov(last)": "100 x 100 numbers, name it to fit it"}
    long = left_out(1000, 1000)
    assert [*long] == ["markov(last)", "iid+markov", "tree+balance", "iid+markov+balance"]
    assert long["tree+balance"] == "1000 histories over 1000 tokens take long, name it to fit it"
    assert [*left_out(10, 2, g=0.5)] == ["tree+balance"]
    assert left_out(10, 2, tie="repeat") == {}


def test_folds_are_as_many_as_there_are_groups() -> None:
    histories = [[], [0], [1]] * 10
    model = np.random.default_rng(0).dirichlet([20.0, 20.0], 30)
    with pytest.warns(RuntimeWarning):  # so little is not identified
        found = mb.elicit_prior(histories, model, kind="probs", n_starts=1, rng=0)
    assert found.comparison is not None
    assert found.comparison.n_folds == 3


def test_one_group_leaves_nothing_to_hold_out() -> None:
    model = np.tile([0.7, 0.3], (4, 1))
    with pytest.warns(RuntimeWarning, match=r"one group.*'iid' was fitted alone"):
        found = mb.elicit_prior([[0, 1]] * 4, model, kind="probs", rng=0)
    assert found.family == "iid"
    assert found.comparison is None
    with pytest.raises(ValueError, match="2 folds need as many groups"):
        mb.elicit_prior([[0, 1]] * 4, model, kind="probs", family=["iid", "markov"], rng=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*not identified")
def test_the_default_names_what_was_planted() -> None:
    """Of 26 sets of data, about four a family, 25 were named."""
    named, told = 0, 0
    for family in ALL:
        for seed in range(2):
            histories = some_histories(150, 25, seed=seed)
            rng = np.random.default_rng(seed)
            rows = noisy(predictions(histories, family, numbers(family)), rng, 100.0)
            found = mb.elicit_prior(histories, rows, kind="probs", n_starts=4, n_jobs=1, rng=seed)
            named += found.family == family
            told += len(found.misfits)
    assert named >= 12
    assert told <= 1
