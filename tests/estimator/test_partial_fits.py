"""Fits to rows known in part: slow twins, what is as of complete rows, and what is lost."""

from __future__ import annotations

import pickle
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import linprog, root
from scipy.special import digamma, logsumexp

from matrixbayes import (
    DirichletMixture,
    DirichletMixtureEstimator,
    GammaPrior,
    NextTokenRows,
    PartialRows,
    _core,
    select_prior,
)
from matrixbayes.errors import ConvergenceWarning, MisfitWarning
from matrixbayes.estimator import em
from matrixbayes.estimator.partial.bracket import _dearest
from matrixbayes.estimator.partial.density import PartialData
from matrixbayes.estimator.partial.drawn import PartialResolutionData
from matrixbayes.estimator.penalty import Penalty
from matrixbayes.estimator.resolution import Plan
from matrixbayes.mixture.partial.listing import listing_of

STORIES = Path(__file__).resolve().parents[3] / "shared/reference/stories260K_rows.npz"
ALONE = (None, 1)


def planted(v=12, n=300, seed=0, k=2):
    """A mixture, and complete rows drawn from it."""
    rng = np.random.default_rng(seed)
    truth = DirichletMixture(rng.dirichlet(np.full(k, 5.0)), rng.gamma(1.0, 2.0, (k, v)) + 0.1)
    return truth, NextTokenRows(truth.sample(n, rng=rng, kind="log_probs"))


def ragged(rows, rng):
    """Complete rows cut to any of their tokens, none or all of them in some rows."""
    v = rows.n_tokens
    sizes = rng.integers(0, v + 1, len(rows))
    picked = [np.sort(rng.choice(v, size, replace=False)) for size in sizes]
    logs = [row[columns] for row, columns in zip(rows.log_probs, picked, strict=True)]
    masks = np.ones((len(rows), v), dtype=bool)
    for mask, columns in zip(masks, picked, strict=True):
        mask[columns] = False
    with np.errstate(divide="ignore"):
        rest = np.log((np.exp(rows.log_probs) * masks).sum(axis=1))
    starts = np.cumsum([0, *sizes])
    columns, logs = np.concatenate(picked), np.concatenate(logs)
    return PartialRows(columns, logs, starts, n_tokens=v, rest=rest, cap=rest)


def dense(rows):
    """Log-probabilities (N, V), which of them rows list, and the rest."""
    listing = listing_of(rows)
    listed = np.zeros(rows.shape, dtype=bool)
    logs = np.full(rows.shape, np.nan)
    listed[listing.row, listing.columns] = True
    logs[listing.row, listing.columns] = listing.logs
    return logs, listed, listing.rest


def fitted(rows, k=2, n=None, weights=None, **parameters):
    """A fit, whatever it warns of."""
    estimator = DirichletMixtureEstimator(
        k, **({"random_state": 0, "n_jobs": 1, "resolution": n} | parameters)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", MisfitWarning)
        return estimator.fit(rows, sample_weight=weights)


# -- by their density ---------------------------------------------------------------


def test_the_density_is_that_of_lumped_rows():
    """Row by row that of the mixture lumped by the row's own tokens, and a slow twin."""
    truth, full = planted(n=40)
    rows = ragged(full, np.random.default_rng(1))
    joint = reference.lumped_log_joint(truth.weights, truth.alpha, *dense(rows))
    assert_allclose(truth.log_prob(rows), logsumexp(joint, axis=1), rtol=1e-12, atol=1e-12)
    shares = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    assert_allclose(truth.responsibilities(rows), shares, rtol=1e-10, atol=1e-14)
    for i, row in enumerate(rows):
        listed = {str(c): int(c) for c in row.columns}
        if 0 < len(listed) < rows.n_tokens - 1:
            cells = np.append(row.log_probs, row.rest)
            lumped = truth.lump(listed).log_prob(cells, kind="log_probs")
            assert_allclose(truth.log_prob(rows)[i], lumped, rtol=1e-11)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_expectation_is_that_of_the_slow_twin(weighted, many_blocks):
    """The statistics, and by them the slope of the likelihood at the alpha of the E-step."""
    truth, full = planted(n=200)
    rows, rng = ragged(full, np.random.default_rng(2)), np.random.default_rng(3)
    weights = rng.random(200) * 3 if weighted else None
    w = np.ones(200) if weights is None else weights
    found = PartialData(listing_of(rows), weights, ALONE).expectation(truth)
    many_blocks.ran("_expectation")
    logs, listed, rest = dense(rows)
    joint = reference.lumped_log_joint(truth.weights, truth.alpha, logs, listed, rest)
    share = np.exp(joint - logsumexp(joint, axis=1, keepdims=True)) * w[:, None]
    assert_allclose(found.log_likelihood, w @ logsumexp(joint, axis=1), rtol=1e-12)
    assert_allclose(found.weight, share.sum(axis=0), rtol=1e-12)
    assert_allclose(found.listed, listed.T.astype(float) @ share, rtol=1e-10, atol=1e-12)
    x = np.maximum((~listed).astype(float) @ truth.alpha.T, 1e-300)
    single = truth.alpha.T * ((~listed).T.astype(float) @ (share / x))
    assert_allclose(found.single, single, rtol=1e-10, atol=1e-10)
    assert_allclose(
        slopes(found, truth.alpha),
        reference.lumped_gradient(truth.weights, truth.alpha, logs, listed, rest, w),
        rtol=1e-9,
        atol=1e-9 * share.sum(),
    )


def slopes(statistics, alpha):
    """The slope (K, V) of what the M-step raises."""
    s = statistics
    left = s.weight - s.listed
    rise = s.weight * digamma(alpha.sum(axis=1)) + s.slope - s.listed * digamma(alpha.T)
    return (rise + s.single / alpha.T - left * (1.0 + np.log(alpha.T))).T


def test_the_slope_is_that_of_finite_differences():
    truth, full = planted(v=6, n=30)
    rows = ragged(full, np.random.default_rng(4))
    data = PartialData(listing_of(rows), None, ALONE)
    slope = slopes(data.expectation(truth), truth.alpha)
    for k, v in np.ndindex(*truth.alpha.shape):
        up, down = truth.alpha.copy(), truth.alpha.copy()
        up[k, v], down[k, v] = truth.alpha[k, v] * (1 + 1e-5), truth.alpha[k, v] * (1 - 1e-5)
        ends = [DirichletMixture(truth.weights, a).log_prob(rows).sum() for a in (up, down)]
        assert_allclose(slope[k, v], (ends[0] - ends[1]) / (up - down)[k, v], rtol=1e-5, atol=1e-4)


def test_the_maximization_is_that_of_the_slow_twin():
    """A root of the slope, as scipy finds it from elsewhere."""
    truth, full = planted(v=7, n=50)
    rows = ragged(full, np.random.default_rng(5))
    statistics = PartialData(listing_of(rows), None, ALONE).expectation(truth)
    alpha = em.maximization(statistics, truth, Penalty(0.0, 0.0, 0.0, 1e8))[0].alpha
    scale = statistics.weight[:, None]

    def equations(logs):
        return (slopes(statistics, np.exp(logs).reshape(alpha.shape)) / scale).ravel()

    found = root(equations, np.log(truth.alpha).ravel(), method="hybr", tol=1e-13)
    assert np.abs(equations(found.x)).max() < 1e-10
    assert_allclose(np.log(alpha).ravel(), found.x, atol=1e-10)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 3), st.sampled_from([None, 1, 7]))
def test_the_bound_never_falls(seed, k, n):
    rng = np.random.default_rng(seed)
    v = int(rng.integers(2, 9))
    _, full = planted(v=v, n=25, seed=seed)
    rows = ragged(full, rng)
    found = fitted(rows, k, n, max_iter=25, tol=0.0, weights=rng.random(25) + 0.1)
    assert (np.diff(found.lower_bounds_) >= 0.0).all()
    assert np.isfinite(found.lower_bounds_).all()


def test_the_planted_prior_is_found_from_parts_by_name():
    """Rows that list the same tokens by name lump to a Dirichlet: its prior is that of the lumped
    complete rows, and the others keep their proportions."""
    _, full = planted(n=400, seed=1)
    names = tuple("abcdefghijkl")
    full = NextTokenRows(full.log_probs, tokens=names)
    listed = ["b", "d", "e", "k"]
    logs = full.log_probs[:, [1, 3, 4, 10]]
    columns = np.tile([1, 3, 4, 10], 400)
    starts = np.arange(0, 1601, 4)
    rest = np.log1p(-np.exp(logs).sum(axis=1))
    rows = PartialRows(
        columns, logs.ravel(), starts, n_tokens=12, tokens=names, rest=rest, cap=rest
    )
    start = DirichletMixture([0.5, 0.5], np.linspace(0.5, 4.0, 24).reshape(2, 12), tokens=names)
    mine = fitted(rows, init=start, tol=1e-12, max_iter=3000)
    groups = {name: name for name in listed}
    theirs = fitted(rows.group(groups), init=start.lump(groups), tol=1e-12, max_iter=3000)
    assert_allclose(mine.prior_.lump(groups).alpha, theirs.alpha_, rtol=1e-4)
    assert_allclose(mine.lower_bound_, theirs.lower_bound_, atol=2e-5)


# -- where nothing is missing ---------------------------------------------------------


@pytest.mark.parametrize("n", [None, 30])
@pytest.mark.parametrize("short", [0, 1])
def test_rows_that_list_all_are_complete_rows(n, short):
    """And those that list all but one, whose rest is that one."""
    _, full = planted()
    rows = PartialRows.from_rows(full, full.n_tokens - short)
    mine, theirs = fitted(rows, n=n), fitted(full, n=n)
    assert_allclose(mine.alpha_, theirs.alpha_, rtol=1e-9)
    assert_allclose(mine.weights_, theirs.weights_, rtol=1e-9)
    assert_allclose(mine.lower_bounds_, theirs.lower_bounds_, rtol=1e-9)


def test_draws_are_those_of_the_complete_rows():
    """Where some rows list all, theirs are the same, whatever the others list."""
    _, full = planted(n=6)
    some = PartialRows.from_rows(full, 4)
    columns = np.concatenate([np.arange(12), some.columns[4:]])
    logs = np.concatenate([full.log_probs[0], some.log_probs[4:]])
    starts = np.concatenate([[0], some.starts[1:] + 8])
    rest = np.concatenate([[-np.inf], some.rest[1:]])
    rows = PartialRows(columns, logs, starts, n_tokens=12, rest=rest)
    plan = Plan(50, 8, 3)
    data = PartialResolutionData.of_rows(listing_of(rows), plan, 5, None, ALONE)
    indptr, indices, counts, _ = _core.draw_rows(full.log_probs[:1].copy(), *plan, 5)
    mine = data.draws.rows.sparse()
    assert_array_equal(mine[0][:9], indptr)
    assert_array_equal(mine[1][: indptr[-1]], indices)
    assert_array_equal(mine[2][: indptr[-1]], counts)
    assert (data.others[:8] == 0).all()
    totals = np.add.reduceat(mine[2], mine[0][:-1]) + data.others
    assert_array_equal(totals, 50)


def test_groups_of_lumped_rows_have_the_prior_of_complete_ones():
    """Where all answers are among the 20 that are listed, to 1e-9."""
    rng = np.random.default_rng(7)
    truth = DirichletMixture(
        [0.6, 0.4], [[9.0, 4.0, 1.0, *[0.02] * 97], [2.0, 3.0, 8, *[0.02] * 97]]
    )
    full = NextTokenRows(truth.sample(500, rng=rng, kind="log_probs"))
    some = PartialRows.from_rows(full, 20)
    groups = {"yes": [0, 1], "no": [2]}
    mine, theirs = some.group(groups), full_groups(full, groups)
    for n in (None, 20):
        found = [fitted(rows, n=n).prior_ for rows in (mine, theirs)]
        assert_allclose(found[0].alpha, found[1].alpha, rtol=1e-9)


def full_groups(full, groups):
    """Complete rows over groups of columns, and the others."""
    probs = full.probs()
    lumped = [probs[:, members].sum(axis=1) for members in groups.values()]
    table = np.column_stack([*lumped, 1.0 - np.sum(lumped, axis=0)])
    return NextTokenRows(np.log(table), tokens=(*groups, "<other>"))


# -- at a resolution --------------------------------------------------------------------


def test_the_expectation_at_a_resolution_is_that_of_the_slow_twin(many_blocks):
    truth, full = planted(n=130)
    rows, weights = ragged(full, np.random.default_rng(8)), np.random.default_rng(9).random(130)
    plan = Plan(15, 3, 1)
    data = PartialResolutionData.of_rows(listing_of(rows), plan, 0, weights, ALONE)
    found = data.expectation(truth)
    many_blocks.ran("_expectation", "draw_listed")
    listed = np.repeat(dense(rows)[1], 3, axis=0)
    indptr, indices, values = data.draws.rows.sparse()
    counts = np.zeros((390, 12))
    counts[np.repeat(np.arange(390), np.diff(indptr)), indices] = values
    w = np.repeat(weights / 3, 3)
    joint = reference.lumped_evidence(truth.weights, truth.alpha, counts, data.others, listed)
    share = np.exp(joint - logsumexp(joint, axis=1, keepdims=True)) * w[:, None]
    assert_allclose(found.log_likelihood, w @ logsumexp(joint, axis=1), rtol=1e-11)
    assert_allclose(found.weight, share.sum(axis=0), rtol=1e-11)
    x = np.maximum((~listed).astype(float) @ truth.alpha.T, 1e-300)
    others = data.others[:, None]
    tables = share * np.where(others > 0, digamma(x + others) - digamma(x), 0.0)
    spread = truth.alpha.T * ((~listed).T.astype(float) @ tables)
    for v in range(12):
        for c in range(1, 16):
            wanted = ((counts[:, v] == c)[:, None] * share).sum(axis=0) + spread[v] * (c == 1)
            at = np.flatnonzero((found.tokens == v) & (found.counts == c))
            got = found.cells[at[0], :2] if len(at) else np.zeros(2)
            assert_allclose(got, wanted, rtol=1e-9, atol=1e-11)
    assert (found.tokens[-1], found.counts[-1]) == (12, 15)
    assert_allclose(found.cells[-1, :2], share.sum(axis=0), rtol=1e-11)
    shares, evidence = data.posterior(truth)
    mean = logsumexp(joint, axis=1).reshape(130, 3).mean(axis=1)
    assert_allclose(evidence, mean, rtol=1e-11, atol=1e-13)
    assert_allclose(shares.sum(axis=1), 1.0)


@pytest.mark.parametrize("n", [1, 2, 25])
def test_a_fit_at_a_resolution_is_a_maximum(n):
    """No shift of an alpha raises the objective, which is computed from its definition."""
    _, full = planted(v=6, n=80)
    rows = PartialRows.from_rows(full, 2)
    found = fitted(rows, 1, n, tol=1e-12, max_iter=3000, shrinkage=3.0)
    data = PartialResolutionData.of_rows(
        listing_of(rows), Plan.of(n, 80, found._at.seed), 0, None, ALONE
    )
    penalty = found._penalty()

    def objective(alpha):
        mixture = DirichletMixture([1.0], alpha)
        statistics = data.expectation(mixture)
        return statistics.log_likelihood + penalty.log_density(mixture, data.row_sum)

    best = objective(found.alpha_)
    assert_allclose(best / 80, found.lower_bound_, rtol=1e-10)
    for v in range(6):
        for factor in (0.97, 1.03):
            other = found.alpha_.copy()
            other[0, v] *= factor
            assert objective(other) < best + 1e-6


def test_what_is_not_listed_is_shared_out():
    """By a tenth as rows list tokens, else evenly; all of it is there."""
    rows = PartialRows([0, 1, 0], np.log([0.5, 0.3, 0.6]), [0, 2, 3], n_tokens=4)
    listed = np.array([1.1, 0.3, 0.0, 0.0])
    share = 0.1 * listed / 1.4 + 0.9 / 4
    wanted = listed + 0.2 * share * [0, 0, 1, 1] / share[2:].sum()
    wanted += 0.4 * share * [0, 1, 1, 1] / share[1:].sum()
    assert_allclose(listing_of(rows).row_sum(None), wanted)
    assert_allclose(wanted.sum(), 2.0)


# -- what fits of all kinds can do ------------------------------------------------------


@pytest.mark.parametrize("n", [None, 20])
def test_the_same_bits_for_any_number_of_workers(n, many_blocks):
    _, full = planted(n=700)
    rows = PartialRows.from_rows(full, 4)
    one = fitted(rows, n=n, max_iter=5)
    many_blocks.ran("_expectation", "_accumulate")
    assert_array_equal(one.alpha_, fitted(rows, n=n, max_iter=5, n_jobs=2).alpha_)
    with ThreadPoolExecutor(5) as executor:
        five = fitted(rows, n=n, max_iter=5, n_jobs=5, executor=executor)
        assert_array_equal(one.alpha_, five.alpha_)
        assert_array_equal(one.score_samples(rows), five.score_samples(rows))
    assert pickle.loads(pickle.dumps(five)).check_ == one.check_


@pytest.mark.parametrize("n", [None, 20])
def test_weights_are_repetitions(n):
    _, full = planted(n=60)
    rows = PartialRows.from_rows(full, 4)
    weights = np.arange(60) % 3
    init = DirichletMixture([0.5, 0.5], np.linspace(1.0, 3.0, 24).reshape(2, 12))
    mine = fitted(rows, n=n, weights=weights, init=init)
    if n is None:  # draws go by the number of a row
        theirs = fitted(rows[np.repeat(np.arange(60), weights)], init=init)
        assert_allclose(mine.alpha_, theirs.alpha_, rtol=1e-6)
        assert_allclose(mine.score(rows, sample_weight=weights), theirs.lower_bound_, atol=1e-2)
    there = np.flatnonzero(weights)
    alone = fitted(rows[there], n=n, weights=weights[there], init=init)
    assert_allclose(mine.alpha_, alone.alpha_, rtol=1e-12)
    assert mine.n_rows_ == 40
    assert mine.total_weight_ == 60


def test_chunks_are_one():
    _, full = planted(n=90)
    rows = PartialRows.from_rows(full, 4)
    parts = [rows[:40], rows[40:41], rows[41:]]

    class Chunks:
        def __iter__(self):
            return iter(parts)

    for n in (None, 10):
        whole = fitted(rows, n=n)
        assert_array_equal(whole.alpha_, fitted(parts, n=n).alpha_)
        assert_array_equal(whole.alpha_, fitted(Chunks(), n=n).alpha_)
        assert whole.check(parts) == whole.check(rows)
    with pytest.raises(ValueError, match=r"chunk 1 .* 12 tokens"):
        fitted([rows, PartialRows.from_rows(planted(v=5)[1], 2)])


@pytest.mark.parametrize("n", [None, 10])
def test_streams_go_on(n):
    _, full = planted(n=400)
    rows = PartialRows.from_rows(full, 5)
    found = DirichletMixtureEstimator(2, random_state=0, resolution=n)
    for start in range(0, 400, 100):
        found.partial_fit(rows[start : start + 100])
    assert found.n_rows_ == 400
    whole = fitted(rows, n=n)
    assert found.score(rows) > whole.score(rows) - 0.2
    parts = [whole.summarize(rows[:100]), whole.summarize(rows[100:])]
    both, all_of_them = sum(parts), whole.summarize(rows)
    assert_allclose(both.weight.sum(), all_of_them.weight.sum())
    if n is None:
        assert_allclose(both.slope, all_of_them.slope, rtol=1e-10)
        with pytest.raises(ValueError, match="do not add"):
            _ = parts[0] + fitted(rows, 3).summarize(rows)
    whole.from_summaries(parts)
    assert whole.n_rows_ == 400
    complete = whole.summarize(full)
    for mixed in (complete + parts[0], parts[0] + complete):
        assert mixed.n_rows == 500
        assert_allclose(mixed.weight.sum(), 500.0)
    whole.from_summaries([parts[0], complete])
    assert (np.diff(fitted(full, n=n).partial_fit(rows).weights_) <= 0.0).all()
    with pytest.raises(TypeError):
        _ = parts[0] + 1


def test_starts_of_all_kinds():
    _, full = planted(n=120)
    rows = PartialRows.from_rows(full, 4)
    shares = np.random.default_rng(0).dirichlet([1.0, 1.0], 120)
    prior = GammaPrior(1.1, 0.01)
    for n in (None, 10):
        best = fitted(rows, n=n, n_init=3)
        assert best.lower_bound_ == max(best.restarts_)
        for init in ("random", shares, best.prior_):
            assert fitted(rows, n=n, init=init).lower_bound_ > best.lower_bound_ - 1.0
        assert fitted(rows, n=n, concentration_prior=prior).converged_
        warm = fitted(rows, n=n, warm_start=True, max_iter=2)
        warm.max_iter, before = 200, warm.lower_bound_
        assert warm.fit(rows).converged_
        assert warm.lower_bound_ > before - (0.0 if n is None else 2.0)  # draws are others
        assert fitted(rows, n=n).fit_predict(rows).shape == (120,)
    with pytest.warns(ConvergenceWarning, match="equal rows"):
        DirichletMixtureEstimator(1).fit(rows[np.zeros(30, dtype=int)])
    nothing = PartialRows([], [], [0] * 9, n_tokens=5, rest=np.zeros(8), cap=np.zeros(8))
    for n in (None, 10):  # of which nothing is known but that there are five tokens
        assert_allclose(fitted(nothing, 1, n).prior_.mean(), 0.2)
        assert_allclose(fitted(nothing, 1, n).log_likelihood_, 0.0, atol=1e-9)
    with pytest.raises(ValueError, match="one per component"):
        fitted(rows[:1], 2)
    with pytest.raises(ValueError, match="0 sample"):
        fitted(rows[:0], 1)


def test_exact_zeros_are_refused_raised_or_left_out():
    logs = np.log([0.5, 0.5, 0.4, 0.3, 0.6, 0.2])
    rest = [-np.inf, np.log(0.3), np.log(0.2)]
    rows = PartialRows([0, 1, 0, 1, 1, 2], logs, [0, 2, 4, 6], n_tokens=5, rest=rest)
    with pytest.raises(ValueError, match=r"1 of 3 rows .* the first is row 0"):
        fitted(rows, 1)
    with pytest.raises(ValueError, match=r"1 of 3 rows .* the first is row 0"):
        DirichletMixture([1.0], [[1.0] * 5]).log_prob(rows)
    dropped = fitted(rows, 1, zeros="drop")
    assert (dropped.n_rows_, dropped.n_dropped_) == (2, 1)
    floored = fitted(rows, 1, zeros="floor")
    assert floored.n_rows_ == 3
    raised = PartialRows([0, 1], np.log([0.5, 0.5]), [0, 2], n_tokens=5, rest=[np.log(3e-12)])
    raised = DirichletMixture(floored.weights_, floored.alpha_).log_prob(raised)
    assert_allclose(floored.score_samples(rows)[0], raised[0], rtol=1e-6)
    at = fitted(rows, 1, 10)  # a zero is not drawn
    assert at.n_rows_ == 3


def test_an_open_vocabulary_has_a_column_for_all_others():
    tokens = ("yes", "no", "<other>")
    rng = np.random.default_rng(3)
    table = rng.dirichlet([4.0, 2.0, 1.0], 200)
    rows = PartialRows(
        np.tile([0, 1], 200), np.log(table[:, :2]).ravel(), np.arange(0, 401, 2), n_tokens=3,
        tokens=tokens, cap=np.log(table[:, 2]),
    )  # fmt: skip
    full = NextTokenRows(np.log(table), tokens=tokens)
    for n in (None, 20):
        mine, theirs = fitted(rows, 1, n), fitted(full, 1, n)
        assert_allclose(mine.alpha_, theirs.alpha_, rtol=1e-9)
        assert mine.prior_.tokens == tokens
    some = rows[rng.permutation(200)]
    other = PartialRows(
        1 - some.columns, some.log_probs, some.starts, n_tokens=3, rest=some.rest, cap=some.cap,
        tokens=("no", "yes", "<other>"),
    )  # fmt: skip
    assert_allclose(mine.score(other), mine.score(some), rtol=0.1)
    one = PartialRows([0, 1], np.log([0.5, 0.2]), [0, 1, 2], n_tokens=3, tokens=tokens)
    bounds = mine.bits_bounds(one, [5])
    assert (bounds.low < bounds.high).all()


def test_columns_are_matched_by_name():
    _, full = planted(v=5)
    full = NextTokenRows(full.log_probs, tokens=tuple("abcde"))
    rows = PartialRows.from_rows(full, 2)
    turned = PartialRows.from_rows(NextTokenRows(full.log_probs[:, ::-1], tokens=tuple("edcba")), 2)
    found = fitted(rows)
    assert_allclose(found.score_samples(turned), found.score_samples(rows), rtol=1e-12)
    assert_allclose(found.prior_.log_prob(turned), found.score_samples(rows), rtol=1e-12)
    assert_allclose(found.check(turned).bits, found.check(rows).bits, rtol=0.1)
    with pytest.raises(ValueError, match="unseen at fit time"):
        found.score(PartialRows.from_rows(NextTokenRows(full.log_probs, tokens=tuple("abcdx")), 2))
    with pytest.raises(ValueError, match="5"):
        found.prior_.log_prob(PartialRows.from_rows(planted()[1], 2))


def test_sizes_are_compared():
    truth, full = planted(n=300, v=8)
    rows = PartialRows.from_rows(full, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = select_prior(rows, [1, 2], random_state=0)
        folds = select_prior(rows, [1, 2], criterion="cv", n_folds=3, random_state=0)
        at = select_prior(rows, [1, 2], resolution="auto", random_state=0, max_iter=30)
    assert found.best_.n_components == folds.best_.n_components == truth.n_components
    assert at.best_.resolution_ in (5, 20, 100, 400)
    with pytest.raises(ValueError, match=r"group\(vocab\)"):
        found.best_.information(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        none = select_prior(rows, [1], criterion="log_evidence", random_state=0)
    with pytest.raises(ValueError, match="no size has a log_evidence"):
        _ = none.best_


def test_a_fit_that_loses_to_frequencies_says_so():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 60)) * 8.0
    full = NextTokenRows(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))
    wrong = DirichletMixture([1.0], [np.exp(-full.log_probs.mean(axis=0) / 10) + 1.0])
    check = fitted(PartialRows.from_rows(full, 5), 1, 20).check(PartialRows.from_rows(full, 5))
    assert check.n_rows == 300
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        with pytest.warns(MisfitWarning, match="worse than the frequencies"):
            DirichletMixtureEstimator(1, init=wrong, max_iter=1, random_state=0).fit(
                PartialRows.from_rows(full, 5)
            )


def test_nothing_of_the_size_of_complete_rows_is_made():
    rng, n, v = np.random.default_rng(0), 500, 20_000
    columns = np.sort(rng.integers(0, v // 5, (n, 5)) * 5 + np.arange(5), axis=1)
    logs = np.log(rng.dirichlet([3, 2, 1, 1, 1, 1], n))
    rows = PartialRows(columns.ravel(), logs[:, :5].ravel(), np.arange(0, 5 * n + 1, 5), n_tokens=v)
    for resolution in (None, 100):
        tracemalloc.start()
        fitted(rows, 2, resolution, max_iter=3)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 0.5 * 8 * n * v


# -- what is lost -----------------------------------------------------------------------


def bits(mixture, counts):
    """Bits per token of complete draws."""
    return -float(mixture.log_evidence(counts).mean()) / counts[0].sum() / np.log(2.0)


@pytest.mark.parametrize("k", [3, 8])
def test_bits_of_complete_rows_are_within_the_bounds(k):
    """Of rows that were not fitted too; and the full fit is no better than the bound says."""
    _, full = planted(v=40, n=700, k=3)
    rng, probs = np.random.default_rng(0), full.probs()[500:]
    rows, held = PartialRows.from_rows(full[:500], k), PartialRows.from_rows(full[500:], k)
    mine, theirs = fitted(rows, 3, 20), fitted(full[:500], 3, 20)
    for fit in (mine, theirs):
        bounds = fit.bits_bounds(held)
        for n, low, high in zip(*bounds, strict=True):
            table = np.concatenate([rng.multinomial(n, probs) for _ in range(8)]).astype(float)
            assert low - 0.02 < bits(fit.prior_, table) < high + 0.02
    bounds = mine.bits_bounds(rows, [20])
    table = np.concatenate([rng.multinomial(20, full.probs()[:500]) for _ in range(8)]).astype(
        float
    )
    lost = bits(mine.prior_, table) - bits(theirs.prior_, table)
    assert bits(theirs.prior_, table) > bounds.low[0] - 0.02
    assert lost < bounds.high[0] - bounds.low[0]
    assert lost < 0.2
    with pytest.raises(TypeError, match="PartialRows"):
        mine.bits_bounds(full)


def test_the_dearest_split_is_that_of_linear_programming():
    rng = np.random.default_rng(0)
    log_alpha = np.sort(rng.normal(size=(2, 9)), axis=1)
    for share in (0.001, 0.12, 0.3, 0.5, 0.77, 1.0):
        found = _dearest(np.array([share]), log_alpha)[0]
        for k in range(2):
            most = max(share, 1 / 9)
            solved = linprog(log_alpha[k], A_eq=np.ones((1, 9)), b_eq=[1.0], bounds=(0.0, most))
            assert_allclose(found[k], solved.fun, atol=1e-9)


@pytest.mark.slow
@pytest.mark.skipif(not STORIES.exists(), reason="rows of stories260K are not here")
def test_rows_of_a_model_cut_to_their_top():
    """A fit to the top 20 is near to that of complete rows, one to a renormalized top 20 is not."""
    with np.load(STORIES) as given:
        logs = given["log_probs"].astype(float)
        draws = [given[f"draws_{n}"].astype(float) for n in (1, 5, 20, 100)]
    logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
    full = NextTokenRows(logs[:2000])
    rows, held = (
        PartialRows.from_rows(full, 20),
        PartialRows.from_rows(NextTokenRows(logs[2000:]), 20),
    )
    mine, theirs = fitted(rows, 8, 100), fitted(full, 8, 100)
    cut = np.where(np.exp(logs[:2000]) >= np.exp(rows.cap)[:, None], np.exp(logs[:2000]), 0.0)
    cut /= cut.sum(axis=1, keepdims=True)
    wrong = fitted(cut, 8, 100, kind="probs")
    lost = np.array([bits(mine.prior_, c) - bits(theirs.prior_, c) for c in draws])
    assert (lost < 0.25).all()
    assert all(bits(wrong.prior_, c) > bits(mine.prior_, c) + 0.5 for c in draws)
    bounds = mine.bits_bounds(held)
    for n, low, high in zip(range(4), bounds.low, bounds.high, strict=True):
        assert low < bits(mine.prior_, draws[n]) < high
    at = mine.bits_bounds(rows, [100])
    assert lost[3] < (at.high - at.low)[0]
    assert mine.check_.passed
