"""`posterior_path` against formulas worked out by hand, the chain rule and slow twins."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betainc, gammaln, logsumexp

from matrixbayes.mixture import DirichletMixture, PosteriorPath, posterior_path
from matrixbayes.rows import NextTokenRows

TOKENS = ("red", "green", "blue")
WEIGHTS = np.array([0.6, 0.4])
ALPHA = np.array([[4.0, 1.0, 1.0], [0.5, 0.5, 3.0]])


@pytest.fixture
def prior() -> DirichletMixture:
    return DirichletMixture(WEIGHTS, ALPHA, tokens=TOKENS)


@pytest.fixture
def path(prior: DirichletMixture) -> PosteriorPath:
    return posterior_path(prior, ["blue", "blue", "red", "blue"])


def slow_log_joint(counts: np.ndarray) -> np.ndarray:
    total, mass = ALPHA.sum(axis=1), counts.sum()
    evidence = gammaln(total) - gammaln(total + mass)
    return np.log(WEIGHTS) + evidence + np.sum(gammaln(ALPHA + counts) - gammaln(ALPHA), axis=1)


def test_one_posterior_per_shot(path: PosteriorPath) -> None:
    assert len(path) == 5
    assert path.demonstrations == (2, 2, 0, 2)
    assert path.tokens == TOKENS
    assert path.counts.tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 2], [1, 0, 2], [1, 0, 3]]
    assert [len(path.posteriors), path.weights.shape] == [5, (5, 2)]
    assert path.posteriors[0] == path.prior


def test_posteriors_are_the_conjugate_update(path: PosteriorPath) -> None:
    for counts, posterior, weights in zip(path.counts, path.posteriors, path.weights, strict=True):
        joint = slow_log_joint(counts)
        expected = np.exp(joint - logsumexp(joint))
        np.testing.assert_allclose(posterior.weights, expected, rtol=1e-12)
        np.testing.assert_allclose(weights, expected, rtol=1e-12)
        np.testing.assert_allclose(posterior.alpha, ALPHA + counts, rtol=1e-14)
        assert posterior.tokens == TOKENS


def test_mean_concentration_and_predictive(path: PosteriorPath) -> None:
    for s, posterior in enumerate(path.posteriors):
        total = posterior.alpha.sum(axis=1)
        mean = posterior.weights @ (posterior.alpha / total[:, None])
        np.testing.assert_allclose(path.mean()[s], mean, rtol=1e-12)
        np.testing.assert_allclose(path.concentration()[s], posterior.weights @ total, rtol=1e-12)
    np.testing.assert_allclose(path.predictive(), path.mean(), rtol=1e-15)
    np.testing.assert_allclose(path.predictive("log_probs"), np.log(path.mean()), rtol=1e-15)
    with pytest.raises(ValueError, match="'logits' is not one of 'probs', 'log_probs'"):
        path.predictive("logits")


def test_evidence_is_that_of_the_sequence(path: PosteriorPath) -> None:
    expected = [logsumexp(slow_log_joint(counts)) for counts in path.counts]
    np.testing.assert_allclose(path.log_evidence(), expected, rtol=1e-12, atol=1e-14)


@given(demonstrations=st.lists(st.integers(0, 2), max_size=30))
@pytest.mark.slow
def test_chain_rule(demonstrations: list[int]) -> None:
    path = posterior_path(DirichletMixture(WEIGHTS, ALPHA), demonstrations)
    surprise = path.surprise()
    assert surprise.shape == (len(demonstrations),)
    np.testing.assert_allclose(np.cumsum(surprise), -path.log_evidence()[1:], rtol=1e-11)
    np.testing.assert_allclose(path.surprise(base=2), surprise / np.log(2.0), rtol=1e-15)


def test_intervals_hold_the_mass_they_say(path: PosteriorPath) -> None:
    interval = path.interval(0.8)
    assert interval.shape == (5, 3, 2)
    for posterior, ends in zip(path.posteriors, interval, strict=True):
        a, total = posterior.alpha, posterior.alpha.sum(axis=1, keepdims=True)
        for side, mass in enumerate((0.1, 0.9)):
            cdf = posterior.weights @ betainc(a, total - a, ends[:, side])
            np.testing.assert_allclose(cdf, mass, atol=1e-9)


def test_intervals_of_some_tokens(path: PosteriorPath) -> None:
    by_name = path.interval(tokens=["blue", "red"])
    np.testing.assert_array_equal(by_name, path.interval(0.9)[:, [2, 0]])
    np.testing.assert_array_equal(by_name, path.interval(tokens=[2, 0]))
    assert path.interval(tokens=[]).shape == (5, 0, 2)
    with pytest.raises(ValueError, match=r"tokens\[1\]: 'pink' is not a token"):
        path.interval(tokens=["red", "pink"])
    with pytest.raises(TypeError, match=r"for a single token write \['red'\]"):
        path.interval(tokens="red")


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, 90, float("nan")])
def test_level_is_a_probability(path: PosteriorPath, level: float) -> None:
    with pytest.raises(ValueError, match="it must be between 0 and 1"):
        path.interval(level)


def test_kl_is_from_the_rows_to_the_predictive(path: PosteriorPath) -> None:
    q = np.random.default_rng(0).dirichlet([1.0, 2.0, 3.0], size=5)
    expected = np.sum(q * np.log(q / path.mean()), axis=1)
    np.testing.assert_allclose(path.kl(q, kind="probs"), expected, rtol=1e-12)
    np.testing.assert_allclose(path.kl(np.log(q), kind="log_probs"), expected, rtol=1e-12)
    rows = NextTokenRows(np.log(q), tokens=TOKENS)
    np.testing.assert_allclose(path.kl(rows, base=2), expected / np.log(2.0), rtol=1e-12)
    assert np.all(np.abs(path.kl(path.mean(), kind="probs")) < 1e-15)


def test_kl_of_rows_with_exact_zeros(path: PosteriorPath) -> None:
    q = np.tile([0.0, 0.0, 1.0], (5, 1))
    np.testing.assert_allclose(path.kl(q, kind="probs"), -np.log(path.mean()[:, 2]), rtol=1e-12)


def test_kl_of_float32_rows_is_not_negative(path: PosteriorPath) -> None:
    divergence = path.kl(path.mean().astype(np.float32), kind="probs")
    assert np.all(divergence >= -1e-16)
    assert np.all(divergence < 1e-12)


def test_kl_refuses_rows_that_do_not_fit(path: PosteriorPath) -> None:
    q = np.full((4, 3), 1 / 3)
    with pytest.raises(ValueError, match=r"shape \(4, 3\), but 4 demonstrations.*need \(5, 3\)"):
        path.kl(q, kind="probs")
    with pytest.raises(ValueError, match="kind"):
        path.kl(np.full((5, 3), 1 / 3))
    swapped = NextTokenRows(np.log(np.full((5, 3), 1 / 3)), tokens=("red", "blue", "green"))
    with pytest.raises(ValueError, match="column 1 is 'blue' in the rows and 'green' in the prior"):
        path.kl(swapped)
    with pytest.raises(ValueError, match="base must be a number above 1"):
        path.kl(np.full((5, 3), 1 / 3), kind="probs", base=1)


def test_names_and_numbers_say_the_same(prior: DirichletMixture) -> None:
    by_name = posterior_path(prior, ("green", "red"))
    assert by_name == posterior_path(prior, [1, 0])
    assert by_name == posterior_path(prior, np.array([1, 0], dtype=np.uint8))
    assert by_name == posterior_path(prior, ["green", 0])
    assert by_name != posterior_path(prior, [0, 1])


def test_no_demonstrations_leave_the_prior(prior: DirichletMixture) -> None:
    path = posterior_path(prior, [])
    assert len(path) == 1
    assert path.posteriors == [prior]
    assert path.surprise().shape == (0,)
    np.testing.assert_allclose(path.mean()[0], prior.mean(), rtol=1e-14)


@pytest.mark.parametrize(
    ("demonstrations", "error", "message"),
    [
        (["red", "pink"], ValueError, r"demonstrations\[1\]: 'pink' is not .* 'red', 'green', 'b"),
        (["red", " red"], ValueError, r"demonstrations\[1\]: ' red' .*did you mean 'red'\?"),
        (["gren"], ValueError, r"did you mean 'green'\?"),
        ([0, 3], ValueError, r"demonstrations\[1\] is column 3, .* columns 0 to 2"),
        ([-1], ValueError, r"demonstrations\[0\] is column -1"),
        ([0, 1.0], TypeError, r"demonstrations\[1\] is 1.0 \(float\)"),
        ([True], TypeError, r"demonstrations\[0\] is True \(bool\)"),
        ([None], TypeError, r"demonstrations\[0\] is None"),
        ("red", TypeError, r"for a single demonstration write \['red'\]"),
    ],
)
def test_bad_demonstrations(
    prior: DirichletMixture, demonstrations: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        posterior_path(prior, demonstrations)  # type: ignore[arg-type]


def test_names_need_a_prior_with_names() -> None:
    with pytest.raises(ValueError, match=r"demonstrations\[0\]: 'red' is a name, .* have none"):
        posterior_path(DirichletMixture(WEIGHTS, ALPHA), ["red"])


def test_results_cannot_be_written_to(path: PosteriorPath) -> None:
    for array in (path.counts, path.weights, path.mean()):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1.0


def test_large_vocabulary() -> None:
    prior = DirichletMixture([0.5, 0.5], np.vstack([np.full(50_000, 1e-3), np.full(50_000, 0.1)]))
    path = posterior_path(prior, [7, 7, 49_999])
    np.testing.assert_allclose(path.mean().sum(axis=1), 1.0, rtol=1e-12)
    assert path.interval(tokens=[7]).shape == (4, 1, 2)


def test_it_shows_and_pickles(path: PosteriorPath) -> None:
    assert pickle.loads(pickle.dumps(path)) == path
    assert len(repr(path).splitlines()) <= 10
    assert "blue" in repr(path)
    assert path._repr_html_().startswith("<table")
