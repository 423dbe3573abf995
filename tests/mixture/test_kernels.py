"""A Dirichlet around every row: what the rows answer for all components, against the mixture that
has them written out."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaln

import matrixbayes as mb
from matrixbayes import _core
from matrixbayes.mixture.kernels.rows import LOOKED_AT, KernelRows, roots

NAMES = tuple("abcdefg")
PAIRS = [[2.0, 0.1], [30.0, 0.4], [500.0, 1.0]]


def some_rows(n: int = 40, v: int = 7, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).dirichlet(np.linspace(0.2, 1.5, v), size=n)


def some_counts(n: int, v: int = 7, seed: int = 1) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.choice([0.2, 2.0, 40.0], size=(n, 1)), (n, v)).astype(float)
    counts[::3, 1] += 0.25
    return counts


def kernels(**more: Any) -> mb.KernelMixture:
    given = {"kind": "probs", "pairs": PAIRS, "pair_weights": [0.5, 0.3, 0.2], "tokens": NAMES}
    return mb.DirichletMixture.from_rows(more.pop("rows", some_rows()), **{**given, **more})


def beside() -> mb.DirichletMixture:
    return mb.DirichletMixture([0.3, 0.7], [[1.0] * 7, [0.1, 5.0, 1.0, 2.0, 3.0, 0.5, 0.2]])


def with_fits() -> mb.KernelMixture:
    return kernels(fits=[beside()], pair_weights=[0.4, 0.2, 0.1, 0.3])


def seen() -> mb.KernelMixture:
    return with_fits().posterior([1.0, 0.0, 0.5, 0.0, 0.0, 2.0, 0.0])


MADE = {"plain": kernels, "alone": lambda: kernels(neighbours=0), "fits": with_fits, "seen": seen}


@pytest.fixture(params=sorted(MADE))
def prior(request: pytest.FixtureRequest) -> mb.KernelMixture:
    found: mb.KernelMixture = MADE[request.param]()
    return found


# -- against the components written out ------------------------------------------------------


def test_components_are_what_the_formula_says() -> None:
    rows, near = some_rows(), 3
    prior = kernels(neighbours=near)
    dense = prior.dense()
    assert dense.tokens == NAMES
    assert dense.n_components == prior.n_components == 3 * len(rows)
    affinity = np.sqrt(rows) @ np.sqrt(rows).T - 2.0 * np.eye(len(rows))
    mean = rows.mean(axis=0)
    shares = np.zeros((len(rows), len(rows)))
    for i in range(len(rows)):
        shares[i, np.argsort(-affinity[i])[:near]] = 1.0 / near
    for _ in range(20):
        shares /= np.maximum(shares.sum(axis=0), 1e-300)
        shares /= shares.sum(axis=1, keepdims=True)
    for j, (a, share) in enumerate(PAIRS):
        for i, row in enumerate(rows):
            towards = 0.9 * shares[i] @ rows + 0.1 * mean
            wanted = a * ((1.0 - share) * row + share * towards)
            np.testing.assert_allclose(dense.alpha[j * len(rows) + i], wanted, rtol=1e-6)
    np.testing.assert_allclose(dense.weights, np.repeat([0.5, 0.3, 0.2], 40) / 40, rtol=1e-13)
    np.testing.assert_allclose(dense.concentration, prior.concentration, rtol=1e-12)
    np.testing.assert_allclose(prior.pair_weights, [0.5, 0.3, 0.2])
    np.testing.assert_array_equal(prior.alpha, dense.alpha)


def test_evidence_is_that_of_the_components(prior: mb.KernelMixture) -> None:
    dense, counts = prior.dense(), some_counts(60)
    for ordered in (True, False):
        found = prior.log_evidence(counts, ordered=ordered)
        wanted = dense.log_evidence(counts, ordered=ordered)
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)
    one = prior.log_evidence({"b": 2, "g": 40})
    assert np.ndim(one) == 0
    assert one == pytest.approx(dense.log_evidence({"b": 2, "g": 40}), rel=1e-12)
    assert prior.log_evidence(np.zeros(7)) == pytest.approx(0.0, abs=1e-12)
    assert prior.log_evidence(np.zeros((0, 7))).shape == (0,)


def test_predictive_and_responsibilities(prior: mb.KernelMixture) -> None:
    dense, counts = prior.dense(), some_counts(30)
    np.testing.assert_allclose(prior.predictive(counts), dense.predictive(counts), rtol=1e-11)
    np.testing.assert_allclose(prior.predictive(), dense.predictive(), rtol=1e-12)
    np.testing.assert_allclose(
        prior.responsibilities(counts, kind="counts"),
        dense.responsibilities(counts, kind="counts"),
        rtol=1e-9,
        atol=1e-13,
    )
    rows = some_rows(9, seed=5)
    np.testing.assert_allclose(
        prior.responsibilities(rows, kind="probs"),
        dense.responsibilities(rows, kind="probs"),
        rtol=1e-9,
        atol=1e-13,
    )
    assert prior.responsibilities(rows[0], kind="probs").shape == (prior.n_components,)


def test_moments_density_and_uncertainty(prior: mb.KernelMixture) -> None:
    dense, rows = prior.dense(), some_rows(20, seed=3)
    np.testing.assert_allclose(prior.mean(), dense.mean(), rtol=1e-12)
    np.testing.assert_allclose(prior.variance(), dense.variance(), rtol=1e-11)
    np.testing.assert_allclose(prior.uncertainty(), dense.uncertainty(), rtol=1e-10)
    np.testing.assert_allclose(prior.uncertainty(base=2), dense.uncertainty(base=2), rtol=1e-10)
    np.testing.assert_allclose(
        prior.log_prob(rows, kind="probs"), dense.log_prob(rows, kind="probs"), rtol=1e-11
    )
    one = prior.log_prob(rows[0], kind="probs")
    assert one == pytest.approx(dense.log_prob(rows[0], kind="probs"), rel=1e-11)
    ours, theirs = (p.estimate_entropy(3000, rng=0) for p in (prior, dense))
    assert abs(ours[0] - theirs[0]) < 5.0 * np.hypot(ours[1], theirs[1])


def test_posterior_is_the_same_type_without_what_weighs_nothing(prior: mb.KernelMixture) -> None:
    for counts in some_counts(6):
        after, dense = prior.posterior(counts), prior.dense().posterior(counts)
        assert type(after) is mb.KernelMixture
        assert after.tokens == NAMES
        assert after.weights.sum() == pytest.approx(1.0, abs=1e-12)
        lost = np.sort(dense.weights)[: dense.n_components - after.n_components].sum()
        assert lost <= 1.001e-12
        more = some_counts(4, seed=2)
        np.testing.assert_allclose(
            after.log_evidence(more), dense.log_evidence(more), rtol=1e-9, atol=1e-9
        )
        np.testing.assert_allclose(after.mean(), dense.mean(), rtol=1e-9)
        np.testing.assert_allclose(after.variance(), dense.variance(), rtol=1e-9)


def test_much_data_leave_few_components() -> None:
    rows = some_rows(300, 60, seed=8)
    prior = kernels(rows=rows, tokens=None)
    after = prior.posterior(np.random.default_rng(0).multinomial(3000, rows[0]))
    assert after.n_components < prior.n_components // 3


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 12) | st.floats(0.0, 3.0), min_size=7, max_size=7),
    st.lists(st.integers(0, 12) | st.floats(0.0, 3.0), min_size=7, max_size=7),
    st.integers(0, 1),
)
def test_posterior_of_a_posterior_is_that_of_sums(a: Any, b: Any, fits: int) -> None:
    prior = with_fits() if fits else kernels()
    twice = prior.posterior(np.array(a, float)).posterior(np.array(b, float))
    once = prior.posterior(np.add(a, b).astype(float))
    first = prior.log_evidence(np.array(a, float))
    then = prior.posterior(np.array(a, float)).log_evidence(np.array(b, float))
    whole = prior.log_evidence(np.add(a, b).astype(float))
    # what was left out, 1e-12, may be what later counts speak for, with a likelihood of 1 at most
    lost = 1e-12 / np.exp(whole - first) + 1e-10
    np.testing.assert_allclose(twice.mean(), once.mean(), atol=3.0 * lost)
    np.testing.assert_allclose(twice.variance(), once.variance(), atol=6.0 * lost)
    assert np.exp(first + then - whole) == pytest.approx(1.0, abs=2.0 * lost)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_core_evidence_against_lgamma(data: st.DataObject) -> None:
    u, n, j = (data.draw(st.integers(1, most)) for most in (9, 40, 3))
    positive = st.floats(1e-6, 1e3)

    def draw(size: int) -> np.ndarray[Any, Any]:
        return np.array(data.draw(st.lists(positive, min_size=size, max_size=size)))

    p, b = (draw(u)[:, np.newaxis] * np.linspace(0.2, 1.0, n) for _ in range(2))
    before, own, shared = draw(u), draw(j), draw(j)
    counts = np.array(
        data.draw(st.lists(st.integers(1, 40) | st.floats(0.1, 9.0), min_size=u, max_size=u)), float
    )
    alpha = own[:, None, None] * p + shared[:, None, None] * b + before[:, None]
    total = alpha.sum(axis=1).max(axis=1)
    found = _core.kernel_evidence(p, b, before, own, shared, total, [0, u, u], np.arange(u), counts)
    wanted = (gammaln(alpha + counts[:, None]) - gammaln(alpha)).sum(axis=1)
    wanted -= (gammaln(total + counts.sum()) - gammaln(total))[:, np.newaxis]
    assert found.shape == (2, j, n)
    assert not found[1].any()
    np.testing.assert_allclose(found[0], wanted, rtol=1e-9, atol=1e-7)  # SciPy cancels


# -- chance ------------------------------------------------------------------------------------


def test_samples_have_the_moments(prior: mb.KernelMixture) -> None:
    rows = prior.sample(4000, rng=0)
    assert rows.shape == (4000, 7)
    error = np.sqrt(prior.variance() / len(rows))
    assert (abs(rows.mean(axis=0) - prior.mean()) < 5.0 * error).all()
    np.testing.assert_allclose(rows.var(axis=0), prior.variance(), rtol=0.25)
    np.testing.assert_array_equal(prior.sample((2, 3), rng=7).reshape(6, 7), prior.sample(6, rng=7))
    logs = prior.sample(rng=1, kind="log_probs")
    np.testing.assert_allclose(np.exp(logs), prior.sample(rng=1))
    with pytest.raises(ValueError, match="kind"):
        prior.sample(kind="counts")


def test_sequences_are_those_of_random_rows(prior: mb.KernelMixture) -> None:
    """How often two draws are the same ones, against the evidence of both."""
    tokens = prior.draw_tokens(40_000, 3, rng=0)
    pairs = [(0, 0), (1, 1), (4, 4), (0, 4), (6, 3)]
    for first, last in pairs:
        counts = np.bincount([first, last], minlength=7).astype(float)
        wanted = float(np.exp(prior.log_evidence(counts)))
        for places in ([0, 1], [0, 2], [2, 1]):
            found = (tokens[:, places] == [first, last]).all(axis=1).mean()
            assert abs(found - wanted) < 5.0 * np.sqrt(wanted / len(tokens))


# -- tokens, files, faces ------------------------------------------------------------------------


def test_lumping_is_that_of_the_components(prior: mb.KernelMixture) -> None:
    groups = {"x": ["a", "c"], "y": ["b"], "z": ["g"]}
    small, dense = prior.lump(groups), prior.dense().lump(groups)
    assert small.tokens == dense.tokens == ("x", "y", "z", "<other>")
    np.testing.assert_allclose(small.dense().alpha, dense.alpha, rtol=1e-12)
    counts = some_counts(5, 4)
    np.testing.assert_allclose(small.log_evidence(counts), dense.log_evidence(counts), rtol=1e-12)
    assert prior.interval("b", 0.8) == pytest.approx(prior.dense().interval("b", 0.8), rel=1e-9)
    assert prior.column("c") == 2
    with pytest.raises(KeyError):
        prior.column("aa")
    with pytest.raises(ValueError, match="two groups"):
        prior.lump({"x": ["a"], "y": ["a"]})


def test_file_and_pickle(prior: mb.KernelMixture, tmp_path: Path) -> None:
    prior.save(tmp_path / "prior.safetensors")
    counts = some_counts(8)
    for again in (
        mb.KernelMixture.load(tmp_path / "prior.safetensors"),
        pickle.loads(pickle.dumps(prior)),
    ):
        assert again.tokens == prior.tokens
        assert again == prior
        assert hash(again) == hash(prior)
        np.testing.assert_allclose(
            again.log_evidence(counts), prior.log_evidence(counts), rtol=1e-13
        )
        np.testing.assert_allclose(again.mean(), prior.mean(), rtol=1e-13)
    assert prior != prior.posterior([1.0, *[0.0] * (prior.n_tokens - 1)])
    with pytest.raises(ValueError, match="matrixbayes"):
        mb.DirichletMixture.load(tmp_path / "prior.safetensors")


@pytest.mark.parametrize(
    "name", ["near", "near_shares", "kept", "mean", "pairs", "log_weights", "log_sums"]
)
def test_a_file_that_was_changed_is_refused(name: str, tmp_path: Path) -> None:
    from matrixbayes._base import files

    path = tmp_path / "prior.safetensors"
    kernels().save(path)
    arrays, header = files.read(path, "matrixbayes.kernels")
    wrong = {
        "near": arrays["near"] + 100,
        "near_shares": arrays["near_shares"] * 1.1,
        "kept": arrays["kept"] - 1,
        "mean": arrays["mean"] * 0.0,
        "pairs": arrays["pairs"] * -1.0,
        "log_weights": arrays["log_weights"] + 1.0,
        "log_sums": arrays["log_sums"] + 1.0,
    }[name]
    files.write(path, {**arrays, name: wrong}, header)
    with pytest.raises(ValueError, match="does not hold a mixture"):
        mb.KernelMixture.load(path)


def test_a_share_of_fits_below_nothing_is_refused(tmp_path: Path) -> None:
    from matrixbayes._base import files

    fit = mb.DirichletMixture([1.0], [np.linspace(0.2, 1.5, 7)])
    path = tmp_path / "prior.safetensors"
    mb.DirichletMixture.from_rows(some_rows(), kind="probs", fits=fit).save(path)
    arrays, header = files.read(path, "matrixbayes.kernels")
    assert mb.KernelMixture.load(path) == mb.KernelMixture.load(path)
    arrays["fits_weight"] = np.array([-1.0])
    arrays["log_weights"] += np.log(2.0 / np.exp(arrays["log_weights"]).sum())
    files.write(path, arrays, header)
    with pytest.raises(ValueError, match="does not hold a mixture"):
        mb.KernelMixture.load(path)


def test_a_matrix_says_what_it_wants_of_it(prior: mb.KernelMixture) -> None:
    with pytest.raises(TypeError, match=r"reduce\(K\)\.mixture"):
        mb.TransitionMatrix(order=1, prior=prior)
    mb.TransitionMatrix(order=1, prior=prior.reduce(2, n_draws=200).mixture)


def test_what_it_is_reduced_to_says_what_is_lost(prior: mb.KernelMixture) -> None:
    text = repr(prior.reduce(2, n_draws=200))
    assert text.startswith("KernelReduction to 2 components")
    assert len(text.splitlines()) == 6


def test_posterior_paths_take_it(prior: mb.KernelMixture) -> None:
    path = mb.posterior_path(prior, ["a", "c", "a"])
    dense = mb.posterior_path(prior.dense(), ["a", "c", "a"])
    np.testing.assert_allclose(path.mean(), dense.mean(), rtol=1e-11)
    np.testing.assert_allclose(path.weights, dense.weights, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(path.concentration(), dense.concentration(), rtol=1e-10)
    np.testing.assert_allclose(path.surprise(), dense.surprise(), rtol=1e-10)
    np.testing.assert_allclose(path.log_evidence(), dense.log_evidence(), rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(path.interval(tokens=["a"]), dense.interval(tokens=["a"]), rtol=1e-6)
    assert "3 demonstrations" in repr(path)


def test_it_says_what_it_is() -> None:
    text = repr(with_fits())
    assert "around 40 rows of 7 tokens" in text
    assert "2 fitted" in text
    assert "3.5 tokens seen" in repr(seen())
    assert "<table" in with_fits()._repr_html_()


# -- rows --------------------------------------------------------------------------------------


def test_rows_are_kept_and_not_copied() -> None:
    logs = np.log(some_rows()).astype(np.float32)
    logs.flags.writeable = False
    prior = kernels(rows=logs, kind="log_probs")
    assert np.shares_memory(prior._rows_around.log_probs, logs)
    rows = mb.NextTokenRows(logs, tokens=NAMES)
    assert np.shares_memory(kernels(rows=rows, kind=None)._rows_around.log_probs, logs)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_type_and_mapped_rows(dtype: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.log(some_rows()).astype(dtype))
    for rows in (
        np.load(tmp_path / "rows.npy", mmap_mode="r"),
        np.load(tmp_path / "rows.npy"),
        np.asfortranarray(np.load(tmp_path / "rows.npy")),
    ):
        prior = kernels(rows=rows, kind="logits")
        dense = prior.dense()
        np.testing.assert_allclose(dense.concentration, prior.concentration, rtol=1e-12)
        np.testing.assert_allclose(prior.mean(), kernels().mean(), rtol=2e-2)


def test_columns_are_matched_by_name() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(some_rows(), columns=list(NAMES))
    mixed = kernels(rows=frame[list(reversed(NAMES))])
    np.testing.assert_allclose(mixed.mean(), kernels().mean(), rtol=1e-12)
    with pytest.raises(ValueError, match="columns of rows"):
        kernels(rows=frame.rename(columns={"a": "A"}))
    turned = mb.DirichletMixture([1.0], [np.arange(1.0, 8.0)], tokens=NAMES[::-1])
    prior = kernels(fits=turned, pair_weights=[0.0, 0.0, 0.0, 1.0])
    np.testing.assert_allclose(prior.mean(), turned.mean()[::-1])


def test_weights_of_rows_are_repetitions() -> None:
    rows = some_rows(12)
    weighted = kernels(rows=rows, sample_weight=[2, 0, 1] * 4, neighbours=0)
    repeated = kernels(rows=np.repeat(rows, [2, 0, 1] * 4, axis=0), neighbours=0)
    counts = some_counts(6)
    np.testing.assert_allclose(
        weighted.log_evidence(counts), repeated.log_evidence(counts), rtol=1e-12, atol=1e-12
    )


def test_what_cannot_be_is_refused() -> None:
    rows = some_rows()
    bad = rows.copy()
    bad[3, 2] = np.nan
    with pytest.raises(ValueError, match="row 3"):
        kernels(rows=bad)
    for pairs, says in (
        ([[0.0, 0.5]], "A must be positive"),
        ([[-1.0, 0.5]], "A must be positive"),
        ([[np.inf, 0.5]], "A must be positive"),
        ([[1.0, -0.1]], "l from 0 to 1"),
        ([[1.0, 1.1]], "l from 0 to 1"),
        ([1.0, 2.0], "pairs have shape"),
        (np.zeros((0, 2)), "pairs have shape"),
    ):
        with pytest.raises(ValueError, match=says):
            kernels(pairs=pairs, pair_weights=None)
    with pytest.raises(ValueError, match="above 0 in every pair"):
        kernels(pairs=[[3.0, 0.0]], pair_weights=[1.0])
    zeros = rows.copy()
    zeros[:, 2] = 0.0
    zeros /= zeros.sum(axis=1, keepdims=True)
    with pytest.raises(ValueError, match=r"token 2 .* 0 in every row"):
        kernels(rows=zeros)
    with pytest.raises(ValueError, match="pairs and fits"):
        kernels(pair_weights=[1.0])
    with pytest.raises(ValueError, match="a fit 2 tokens"):
        kernels(fits=mb.DirichletMixture([1.0], [[1.0, 1.0]]), pair_weights=None)
    with pytest.raises(TypeError, match="fits are DirichletMixtures"):
        kernels(fits=[3])
    for name in ("max_rows", "neighbours"):
        with pytest.raises((TypeError, ValueError), match=name):
            kernels(**{name: -1})
    prior = kernels()
    for counts, says in (
        (-np.ones(7), "finite and >= 0"),
        (np.full(7, np.nan), "finite and >= 0"),
        (np.full(7, np.inf), "finite and >= 0"),
        (np.ones(6), "7 tokens"),
        (np.full(7, 2.0**53), "overflows"),
    ):
        with pytest.raises(ValueError, match=says):
            prior.log_evidence(counts)
        with pytest.raises(ValueError, match=says):
            prior.posterior(counts)
    with pytest.raises(ValueError, match="one vector"):
        prior.posterior(np.ones((2, 7)))
    with pytest.raises(ValueError, match="exact zero"):
        prior.log_prob(zeros[0], kind="probs")


@pytest.mark.parametrize(
    ("starts", "tokens", "counts", "says"),
    [
        ([1, 2], [0, 1], [1.0, 1.0], "starts begin with 0"),
        ([], [0], [1.0], "starts begin with 0"),
        ([[0, 1]], [0], [1.0], "one axis each"),
        ([0, 2, 1], [0], [1.0], "starts must rise to 1"),
        ([0, 2], [0], [1.0], "starts must rise to 1"),
        ([0, 1], [7], [1.0], "tokens must be from 0 to 6"),
        ([0, 1], [-1], [1.0], "tokens must be from 0 to 6"),
        ([0, 1], [0], [0.0], "finite and above 0"),
        ([0, 1], [0], [np.inf], "finite and above 0"),
    ],
)
def test_vectors_that_are_none_are_refused(
    starts: Any, tokens: Any, counts: Any, says: str
) -> None:
    prior = kernels()
    with pytest.raises(ValueError, match=says):
        prior.log_evidence_of(starts, tokens, counts)
    with pytest.raises(ValueError, match=says):
        prior.group_evidence(np.zeros(40, int), starts, tokens, counts)


@pytest.mark.parametrize("groups", [np.zeros(39, int), np.full(40, -1), np.full(40, 40)])
def test_groups_are_a_number_for_each_row(groups: Any) -> None:
    with pytest.raises(ValueError, match="from 0 to 39 for each of 40 rows"):
        kernels().group_evidence(groups, [0, 1], [0], [1.0])


def test_the_only_token_has_no_marginal() -> None:
    alone = mb.DirichletMixture.from_rows(np.ones((2, 1)), kind="probs", pairs=[[3.0, 0.5]])
    with pytest.raises(ValueError, match="the only token has probability 1"):
        alone.marginal(0)


def test_equality_with_something_else_is_left_to_that() -> None:
    assert kernels() == kernels()
    assert kernels() != 3


def test_what_only_the_fits_explain_leaves_them_alone() -> None:
    rows = np.full((40, 7), 1.0 / 7)
    prior = kernels(
        rows=rows, pairs=[[1e4, 0.5]], pair_weights=[0.5, 0.5], fits=[beside()], neighbours=2
    )
    counts = [0.0, 900.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    found, wanted = prior.posterior(counts), beside().posterior(counts)
    assert found.pair_weights.sum() == 0.0
    np.testing.assert_allclose(found.mean(), wanted.mean(), rtol=1e-12)
    more = [1.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0]
    np.testing.assert_allclose(found.log_evidence(more), wanted.log_evidence(more), rtol=1e-12)


def test_rows_over_many_tokens_are_near_by_the_probable_ones_and_the_rest() -> None:
    rng = np.random.default_rng(0)
    rows = rng.dirichlet(np.full(LOOKED_AT + 50, 0.05), size=5)
    mean = rows.mean(axis=0)
    with np.errstate(divide="ignore"):
        found = roots(np.log(rows), mean, np.array([0, 2, 4]))
    rare = np.argsort(mean)[:50]
    lumped = np.column_stack([np.delete(rows, rare, axis=1), rows[:, rare].sum(axis=1)])[::2]
    assert found.shape == (3, LOOKED_AT + 1)
    np.testing.assert_allclose(found @ found.T, np.sqrt(lumped) @ np.sqrt(lumped).T, atol=1e-5)


def test_a_zero_of_one_row_is_no_impossibility() -> None:
    rows = some_rows()
    rows[0, 3] = 0.0
    rows[0] /= rows[0].sum()
    prior = kernels(rows=rows)
    counts = some_counts(6)
    np.testing.assert_allclose(
        prior.log_evidence(counts), prior.dense().log_evidence(counts), rtol=1e-12, atol=1e-12
    )


def test_what_is_too_many_numbers_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matrixbayes.mixture.kernels.kernel_mixture.LARGEST", 100)
    with pytest.raises(ValueError, match="reduce"):
        kernels().dense()


@pytest.mark.parametrize("name", ["plain", "alone", "fits"])
def test_pieces_of_any_size_say_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few columns at a time, and nothing kept besides the rows' logarithms."""
    whole = MADE[name]()
    counts, rows = some_counts(9), some_rows(3, seed=2)

    def ask(prior: mb.KernelMixture) -> list[Any]:
        return [
            prior.log_evidence(counts),
            prior.predictive(counts),
            prior.variance(),
            np.array(prior.uncertainty()),
            prior.log_prob(rows, kind="probs"),
            prior.sample(3, rng=0),
            prior.posterior(counts[0]).mean(),
        ]

    wanted = ask(whole)
    monkeypatch.setattr("matrixbayes.mixture.kernels.rows.CACHED", 0)
    for size in (1, 100, 300):
        monkeypatch.setattr("matrixbayes.mixture.kernels.rows.BLOCK", size)
        monkeypatch.setattr("matrixbayes.mixture.kernels.kernel_mixture.BLOCK", size)
        for one, other in zip(ask(MADE[name]()), wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-10)


# -- fits of pairs -------------------------------------------------------------------------


def bits(prior: Any, rows: Any, n: int, seed: int = 9) -> float:
    counts = np.random.default_rng(seed).multinomial(n, rows).astype(float)
    return float(-prior.log_evidence(counts).mean() / (n * np.log(2.0)))


def planted() -> mb.DirichletMixture:
    rng = np.random.default_rng(4)
    means = rng.dirichlet(np.full(30, 0.3), size=3) * 0.98 + 0.02 / 30
    return mb.DirichletMixture([0.5, 0.3, 0.2], np.array([[5.0], [20.0], [100.0]]) * means)


@pytest.mark.slow
def test_planted_priors_are_nearly_found() -> None:
    truth = planted()
    rows = truth.sample(600, rng=0)
    prior = mb.DirichletMixture.from_rows(rows, kind="probs")
    held = truth.sample(1500, rng=1)
    held /= held.sum(axis=1, keepdims=True)
    for n, most in ((1, 0.01), (5, 0.04), (20, 0.05), (100, 0.04)):
        assert bits(prior, held, n) < bits(truth, held, n) + most
    assert abs(prior.mean() - rows.mean(axis=0)).sum() / 2 < 0.05
    again = mb.DirichletMixture.from_rows(rows, kind="probs")
    np.testing.assert_array_equal(again.weights, prior.weights)


def test_a_fit_that_is_the_truth_takes_the_weight() -> None:
    truth = planted()
    rows = truth.sample(300, rng=0)
    prior = mb.DirichletMixture.from_rows(rows, kind="probs", fits=truth)
    assert prior.weights[-3:].sum() > 0.8
    alone = mb.DirichletMixture.from_rows(rows, kind="probs")
    held = truth.sample(500, rng=1)
    held /= held.sum(axis=1, keepdims=True)
    assert bits(prior, held, 5) < bits(alone, held, 5)


@pytest.mark.parametrize("n", [1, 2, 3, 10])
def test_few_rows(n: int) -> None:
    rows = some_rows(n)
    prior = mb.DirichletMixture.from_rows(rows, kind="probs")
    assert prior.mean() == pytest.approx(rows.mean(axis=0), abs=0.05)
    assert np.isfinite(prior.log_evidence(some_counts(4))).all()
    assert prior.weights.sum() == pytest.approx(1.0)
    assert prior.posterior([1, 0, 0, 3, 0, 0, 0]).sample(5, rng=0).shape == (5, 7)


def test_equal_rows_want_the_largest_concentration() -> None:
    prior = mb.DirichletMixture.from_rows(np.tile(some_rows(1), (60, 1)), kind="probs")
    assert (prior.pair_weights @ prior.pairs[:, 0]) > 1000.0
    np.testing.assert_allclose(prior.mean(), some_rows(1)[0])


def test_some_rows_and_the_mean_of_all() -> None:
    rows = some_rows(400)
    prior = mb.DirichletMixture.from_rows(rows, kind="probs", max_rows=50, rng=3)
    assert len(prior._kept) == 50
    np.testing.assert_allclose(prior._rows_around.mean, rows.mean(axis=0))
    used = KernelRows.row(prior._rows_around, int(prior._kept[0]))[0]
    np.testing.assert_allclose(used, rows[prior._kept[0]])


# -- fewer components ----------------------------------------------------------------------


@pytest.mark.slow
def test_a_reduction_loses_what_it_says() -> None:
    prior = mb.DirichletMixture.from_rows(planted().sample(300, rng=0), kind="probs")
    small = prior.reduce(6, rng=0, n_draws=4000)
    assert type(small.mixture) is mb.DirichletMixture
    assert small.mixture.n_components == 6
    assert (np.diff(small.mixture.weights) <= 0.0).all()
    rows = prior.sample(3000, rng=5)
    rows /= rows.sum(axis=1, keepdims=True)
    for n, loss, error in zip(small.n_draws, small.loss_bits, small.loss_bits_se, strict=True):
        held = bits(small.mixture, rows, n) - bits(prior, rows, n)
        assert abs(held - loss) < 6.0 * error + 2e-3
    assert small.loss_bits.max() < 0.1
    assert small.loss == pytest.approx(small.loss_bits[-1] * 100 * np.log(2.0))
    assert small.loss_se > 0.0


def test_posteriors_and_fits_are_reduced_too() -> None:
    small = seen().reduce(5, rng=0, n_draws=3000)
    np.testing.assert_allclose(small.mixture.mean(), seen().mean(), atol=0.03)
    assert small.mixture.tokens == NAMES


def test_nothing_to_reduce() -> None:
    prior = kernels()
    same = prior.reduce(1000)
    assert same.mixture is prior
    assert (same.loss, *same.loss_bits) == (0.0,) * 5
    with pytest.raises((TypeError, ValueError), match="n_components"):
        prior.reduce(0)


ROWS = Path(__file__).parents[2] / "../shared/reference/stories260K_rows.npz"


@pytest.mark.slow
@pytest.mark.skipif(not ROWS.exists(), reason="the rows of stories260K are not beside the project")
def test_rows_of_a_real_model() -> None:
    data = np.load(ROWS)
    logs = data["log_probs"][:2000]
    prior = mb.DirichletMixture.from_rows(logs, kind="log_probs")
    small = prior.reduce(128, rng=0).mixture
    for n, most, most_of_few in (
        (1, 7.88, 7.90),
        (5, 6.00, 6.10),
        (20, 4.93, 5.04),
        (100, 4.30, 4.36),
    ):
        counts = data[f"draws_{n}"].astype(float)
        for one, bound in ((prior, most), (small, most_of_few)):
            assert -one.log_evidence(counts).mean() / (n * np.log(2.0)) <= bound
    assert abs(prior.mean() - np.exp(logs).mean(axis=0)).sum() / 2 <= 0.05
