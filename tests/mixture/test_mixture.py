"""DirichletMixture against known answers, slow twins and its own laws."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from matrixbayes import DirichletMixture

RNG = np.random.default_rng(7)


def random_mixture(k: int, v: int, seed: int = 0, tokens=None) -> DirichletMixture:
    rng = np.random.default_rng(seed)
    alpha = np.exp(rng.normal(0.0, 1.5, (k, v)))
    return DirichletMixture(rng.dirichlet(np.ones(k)), alpha, tokens=tokens)


# -- known answers ------------------------------


@pytest.mark.parametrize("case", reference.load("posterior")["posterior"], ids=lambda c: c["name"])
def test_posterior_against_fifty_digits(case):
    counts = np.array(case["counts"], float)
    prior = DirichletMixture(case["weights"], np.array(case["alpha"], float))
    posterior = prior.posterior(counts)
    # Evidence: 1e-13 of the magnitudes of its terms; what follows from it accordingly.
    terms = [np.abs(reference.gammaln(x)).sum() for x in (prior.alpha + counts, prior.alpha)]
    terms += [np.abs(reference.gammaln(x)).max() for x in (prior.alpha.sum(1) + counts.sum(),)]
    slack = 1e-13 * sum(terms)
    assert_allclose(
        prior.log_evidence(counts), float(case["log_evidence_ordered"]), rtol=1e-13, atol=slack
    )
    assert_allclose(
        prior.log_evidence(counts, ordered=False),
        float(case["log_evidence_unordered"]),
        rtol=1e-12,
        atol=slack + 1e-13 * reference.gammaln(counts.sum() + 1.0),
    )
    rtol = 1e-11 if counts.sum() < 1e4 else 1e-7
    assert_allclose(posterior.weights, reference.numbers(case["posterior_weights"]), rtol=rtol)
    assert_allclose(prior.predictive(counts), reference.numbers(case["predictive"]), rtol=1e-10)
    assert_allclose(posterior.mean(), reference.numbers(case["predictive"]), rtol=1e-10)
    assert_allclose(posterior.variance(), reference.numbers(case["posterior_variance"]), rtol=1e-9)
    expected = case["posterior_uncertainty"]
    found = posterior.uncertainty()
    assert_allclose(found.total, float(expected["total"]), rtol=1e-10)
    assert_allclose(found.aleatoric, float(expected["aleatoric"]), rtol=1e-10)
    assert_allclose(found.epistemic, float(expected["epistemic"]), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("case", reference.load("posterior")["density"], ids=lambda c: c["name"])
def test_mixture_density_against_fifty_digits(case):
    mixture = DirichletMixture(case["weights"], np.array(case["alpha"], float))
    found = mixture.log_prob(case["p"], kind="probs")
    assert_allclose(found, float(case["log_prob"]), rtol=1e-12)


@pytest.mark.parametrize("case", reference.load("posterior")["dirichlet_entropy"])
def test_entropy_against_fifty_digits(case):
    mixture = DirichletMixture([1.0], [case["alpha"]])
    assert_allclose(mixture.entropy(), float(case["entropy"]), rtol=1e-12, atol=1e-13)


def density_cases(kind):
    return [c for c in reference.load("log_density_cases") if c["kind"] == kind]


@pytest.mark.parametrize("case", density_cases("dirichlet_logpdf"), ids=lambda c: c["tag"])
def test_densities_easy_and_extreme(case):
    p, alpha = np.array(case["p"]), np.array(case["alpha"])
    mixture = DirichletMixture([1.0], [alpha])
    if (p == 0.0).any():
        with pytest.raises(ValueError, match=r"row 0, column \d+"):
            mixture.log_prob(p, kind="probs")
        return
    magnitude = np.abs(reference.gammaln(alpha)).sum() + np.abs((alpha - 1.0) * np.log(p)).sum()
    found = mixture.log_prob(np.log(p), kind="log_probs")
    assert_allclose(found, float(case["expected_str"]), rtol=0.0, atol=1e-14 * magnitude + 1e-13)


@pytest.mark.parametrize("case", density_cases("dirmult_logpmf"), ids=lambda c: c["tag"])
def test_evidence_easy_and_extreme(case):
    counts, alpha = np.array(case["counts"]), np.array(case["alpha"])
    mixture = DirichletMixture([1.0], [alpha])
    ordered = mixture.log_evidence(counts)
    terms = np.abs(ordered) + counts.sum()
    assert_allclose(ordered, float(case["expected_no_coef_str"]), rtol=1e-12, atol=1e-13 * terms)
    unordered = mixture.log_evidence(counts, ordered=False)
    magnitude = reference.gammaln(counts.sum() + 1.0) + np.abs(ordered)
    assert_allclose(unordered, float(case["expected_str"]), rtol=1e-11, atol=1e-13 * magnitude)


BLOCKS9 = reference.load("blocks9_posterior")["cases"]


@pytest.mark.parametrize("name", BLOCKS9)
def test_blocks9(name):
    printed = reference.load("blocks9_prior")
    prior = DirichletMixture(
        printed["weights_as_printed"], printed["alpha"], tokens=printed["alphabet"]
    )
    case = BLOCKS9[name]
    posterior = prior.posterior(case["counts"])
    rtol = 1e-11 if sum(case["counts"]) < 1e4 else 1e-9
    assert_allclose(posterior.weights, case["component_posterior"], rtol=rtol, atol=1e-300)
    assert_allclose(posterior.mean(), case["posterior_mean"], rtol=1e-12)
    assert_allclose(posterior.variance(), case["posterior_var"], rtol=1e-11)
    ordered = prior.log_evidence(case["counts"])
    assert_allclose(ordered, case["log_marginal_no_coef"], rtol=1e-12, atol=1e-13)
    unordered = prior.log_evidence(case["counts"], ordered=False)
    assert_allclose(unordered, case["log_marginal"], rtol=1e-12, atol=1e-12)


# -- slow twins and scipy ------------------------------


@pytest.mark.parametrize(("k", "v"), [(1, 2), (3, 5), (2, 8), (9, 13), (4, 100)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_density_and_responsibilities_of_rows(k, v, dtype):
    mixture = random_mixture(k, v)
    log_probs = mixture.sample(131, rng=1, kind="log_probs").astype(dtype)
    joint = reference.log_joint(mixture.weights, mixture.alpha, log_probs)
    total = reference.logsumexp(joint, axis=1)
    assert_allclose(mixture.log_prob(log_probs, kind="log_probs"), total, rtol=1e-11, atol=1e-10)
    found = mixture.responsibilities(log_probs, kind="log_probs")
    assert_allclose(found, np.exp(joint - total[:, None]), rtol=1e-8, atol=1e-12)


def test_one_dirichlet_is_scipys():
    alpha = np.array([0.4, 2.0, 7.5])
    mixture = DirichletMixture([1.0], [alpha])
    p = stats.dirichlet(alpha).rvs(50, random_state=0)
    expected = [stats.dirichlet(alpha).logpdf(x / x.sum()) for x in p]
    assert_allclose(mixture.log_prob(p, kind="probs"), expected, rtol=1e-10)
    assert_allclose(mixture.entropy(), stats.dirichlet(alpha).entropy(), rtol=1e-12)
    assert_allclose(mixture.mean(), stats.dirichlet(alpha).mean(), rtol=1e-14)
    assert_allclose(mixture.variance(), stats.dirichlet(alpha).var(), rtol=1e-13)


def test_evidence_is_scipys_dirichlet_multinomial():
    alpha, counts = np.array([0.7, 1.9, 3.1]), np.array([4, 0, 9])
    found = DirichletMixture([1.0], [alpha]).log_evidence(counts, ordered=False)
    assert_allclose(found, stats.dirichlet_multinomial(alpha, 13).logpmf(counts), rtol=1e-12)


def test_variance_and_interval_of_a_mixture():
    mixture = random_mixture(3, 4)
    assert_allclose(
        mixture.variance(), reference.variance(mixture.weights, mixture.alpha), rtol=1e-12
    )
    low, high = mixture.interval(2, 0.8)
    a = mixture.alpha[:, 2]
    betas = stats.beta(a, mixture.concentration - a)
    assert_allclose(
        [mixture.weights @ betas.cdf(low), mixture.weights @ betas.cdf(high)], [0.1, 0.9]
    )


def test_interval_of_extreme_concentrations():
    low, high = DirichletMixture([0.5, 0.5], [[1e-6, 1.0], [1e8, 1e8]]).interval(0, 0.4)
    assert 0.0 <= low <= high <= 1.0
    assert_allclose(high, 0.5, atol=1e-3)


@pytest.mark.parametrize("alpha", [[0.05, 0.3, 2.0], [40.0, 3.0, 500.0]])
def test_samples_have_the_right_marginals(alpha):
    rows = DirichletMixture([1.0], [alpha]).sample(4000, rng=3)
    for v, a in enumerate(alpha):
        result = stats.kstest(rows[:, v], stats.beta(a, sum(alpha) - a).cdf)
        assert result.pvalue > 1e-3
    assert_allclose(rows.sum(axis=1), 1.0, rtol=1e-12)


def test_samples_follow_the_weights_and_keep_the_tail():
    mixture = DirichletMixture([0.75, 0.0, 0.25], [[1e4, 1.0], [1.0, 1.0], [1.0, 1e4]])
    share = (mixture.sample(4000, rng=1)[:, 0] > 0.5).mean()
    assert abs(share - 0.75) < 4.0 * np.sqrt(0.75 * 0.25 / 4000)
    tiny = DirichletMixture([1.0], [[1e-8, 1.0]]).sample(200, rng=0, kind="log_probs")
    assert np.isfinite(tiny).all()
    assert tiny.min() < -1e6


def test_sample_is_reproducible_and_shaped():
    mixture = random_mixture(2, 3)
    assert_array_equal(mixture.sample(5, rng=1), mixture.sample(5, rng=np.random.default_rng(1)))
    assert mixture.sample(rng=1).shape == (3,)
    assert mixture.sample((2, 0), rng=1).shape == (2, 0, 3)
    with pytest.raises(ValueError, match="negative"):
        mixture.sample(-1)


def test_entropy_estimate_agrees_with_the_closed_form():
    mixture = DirichletMixture([1.0], [[2.0, 3.0, 4.0]])
    value, error = mixture.estimate_entropy(20_000, rng=0)
    assert abs(value - mixture.entropy()) < 4.0 * error
    with pytest.raises(ValueError, match="estimate_entropy"):
        random_mixture(2, 3).entropy()


# -- laws ------------------------------

counts_of_four = st.lists(st.integers(0, 50), min_size=4, max_size=4).map(np.array)


@given(counts_of_four, counts_of_four, st.integers(0, 100))
def test_updating_twice_is_updating_once(a, b, seed):
    prior = random_mixture(3, 4, seed)
    twice, once = prior.posterior(a).posterior(b), prior.posterior(a + b)
    assert_allclose(twice.weights, once.weights, rtol=1e-9, atol=1e-300)
    assert_allclose(twice.alpha, once.alpha, rtol=1e-14)


@given(counts_of_four, st.integers(0, 100))
def test_chain_rule_of_evidence(counts, seed):
    prior = random_mixture(2, 4, seed)
    tokens = np.random.default_rng(seed).permutation(np.repeat(np.arange(4), counts))
    state, total = prior, 0.0
    for token in tokens:
        total += np.log(state.predictive()[token])
        state = state.posterior(np.eye(4)[token])
    assert_allclose(total, prior.log_evidence(counts), rtol=1e-10, atol=1e-12)


@given(counts_of_four, st.integers(0, 100))
def test_lumping_commutes_with_the_posterior(counts, seed):
    prior = random_mixture(2, 4, seed, tokens="abcd")
    groups = {"x": ["a", "c"], "y": "b"}
    lumped_counts = {"x": counts[0] + counts[2], "y": counts[1], "<other>": counts[3]}
    first, last = prior.lump(groups).posterior(lumped_counts), prior.posterior(counts).lump(groups)
    # Weights agree only where components differ by their lumped evidence alone: compare
    # what holds for each component.
    assert_allclose(first.alpha, last.alpha, rtol=1e-12)
    assert_allclose(
        prior.lump(groups).mean(), prior.mean() @ [[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1]]
    )


@pytest.mark.parametrize(
    ("base", "unit"), [(None, "nats"), (2, "bits"), (np.e, "nats"), (10.0, "units of ln 10")]
)
def test_uncertainty_says_its_unit(base, unit):
    parts = DirichletMixture([1.0], [[1.0, 1.0]]).uncertainty(base=base)
    assert parts.total == pytest.approx(np.log(2.0) / np.log(base or np.e))
    for same in (parts, pickle.loads(pickle.dumps(parts))):
        assert same.unit == unit
        assert unit in repr(same)
    pytest.importorskip("matplotlib")
    assert parts.plot().get_xlabel() == unit


@pytest.mark.parametrize("base", [1, 0.5, 0, -2.0, np.nan, np.inf, "2"])
def test_a_base_of_no_logarithm_is_refused(base):
    prior = DirichletMixture([1.0], [[1.0, 1.0]])
    with pytest.raises(ValueError, match="base must be a number above 1"):
        prior.uncertainty(base=base)


@given(st.integers(0, 200))
def test_uncertainty_parts_add_up(seed):
    u = random_mixture(3, 5, seed).uncertainty()
    assert u.epistemic >= 0.0
    assert_allclose(u.total, u.aleatoric + u.epistemic, rtol=1e-12)


def test_permuting_tokens_and_components_permutes_results():
    mixture, order, parts = random_mixture(3, 6), RNG.permutation(6), RNG.permutation(3)
    other = DirichletMixture(mixture.weights[parts], mixture.alpha[parts][:, order])
    counts = RNG.integers(0, 9, 6)
    assert_allclose(other.predictive(counts[order]), mixture.predictive(counts)[order], rtol=1e-12)
    assert_allclose(other.log_evidence(counts[order]), mixture.log_evidence(counts), rtol=1e-12)


# -- a value like any other ------------------------------


def test_equality_hash_copy_and_pickle():
    mixture = random_mixture(2, 3, tokens=("a", "b", "c"))
    for again in (copy.copy(mixture), copy.deepcopy(mixture), pickle.loads(pickle.dumps(mixture))):
        assert again == mixture
        assert hash(again) == hash(mixture)
        assert type(again) is DirichletMixture
    assert mixture != random_mixture(2, 3)
    assert mixture != DirichletMixture(mixture.weights, mixture.alpha, tokens=("a", "b", "d"))
    assert mixture != "a mixture"


def test_arrays_are_read_only_and_outlive_the_mixture():
    mixture = random_mixture(2, 3)
    alpha = mixture.alpha
    expected = alpha.copy()
    del mixture
    assert_array_equal(alpha, expected)
    with pytest.raises(ValueError, match="read-only"):
        alpha[0, 0] = 1.0


def test_save_and_load(tmp_path):
    mixture = random_mixture(2, 3, tokens=("a", "b", "\n"))
    mixture.save(tmp_path / "prior.safetensors")
    assert DirichletMixture.load(tmp_path / "prior.safetensors") == mixture
    with pytest.raises(FileNotFoundError):
        DirichletMixture.load(tmp_path / "missing.safetensors")


def test_weights_are_divided_by_their_sum():
    mixture = DirichletMixture([0.5, 0.5003], np.ones((2, 2)))
    assert_allclose(mixture.weights.sum(), 1.0, rtol=1e-15)


def test_repr_is_short_and_html_is_static():
    mixture = random_mixture(30, 40, tokens=[f"<script>{v}" for v in range(40)])
    assert len(repr(mixture).splitlines()) <= 10
    page = mixture._repr_html_()
    assert "<script" not in page
    assert "http" not in page


# -- bad input ------------------------------


@pytest.mark.parametrize(
    ("weights", "alpha", "tokens", "message"),
    [
        ([0.5, 0.5], [[1.0, 1.0]], None, r"\(2,\) and \(1, 2\)"),
        ([1.0], [[1.0, 0.0]], None, r"alpha\[0, 1\] is 0.0"),
        ([1.0], [[np.nan, 1.0]], None, r"alpha\[0, 0\] is nan"),
        ([1.0], [[np.inf, 1.0]], None, r"alpha\[0, 0\] is inf"),
        ([-0.5, 1.5], np.ones((2, 2)), None, r"weights\[0\] is -0.5"),
        ([0.5, 0.4], np.ones((2, 2)), None, "sum to 0.9"),
        ([1.0], np.ones((1, 0)), None, r"\(1, 0\)"),
        (1.0, np.ones((1, 2)), None, "weights must have 1 axes, not 0"),
        ([1.0], [[1.0, 1.0]], ["a"], "1 tokens for 2 columns"),
        ([1.0], [[1.0, 1.0]], ["a", "a"], "'a' names two columns"),
    ],
)
def test_bad_parameters(weights, alpha, tokens, message):
    with pytest.raises(ValueError, match=message):
        DirichletMixture(weights, alpha, tokens=tokens)


def test_bad_types():
    with pytest.raises(TypeError, match="real numbers"):
        DirichletMixture(["a"], [[1.0, 1.0]])
    with pytest.raises(TypeError, match="real numbers"):
        DirichletMixture([1.0], [[1j, 1.0]])
    with pytest.raises(TypeError, match=r"tokens\[1\]"):
        DirichletMixture([1.0], [[1.0, 1.0]], tokens=["a", 2])
    with pytest.raises(OverflowError, match="overflows"):
        DirichletMixture([1.0], [[1e308, 1e308]])


def test_bad_counts_and_tokens():
    mixture = random_mixture(2, 3, tokens=("a", "b", "c"))
    with pytest.raises(ValueError, match=r"row 0, column 1 is -1.0"):
        mixture.posterior([1, -1, 0])
    with pytest.raises(ValueError, match="4 columns, the mixture 3"):
        mixture.predictive(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="one vector"):
        mixture.posterior(np.zeros((2, 3)))
    with pytest.raises(KeyError, match="'z' is not among"):
        mixture.posterior({"z": 1})
    with pytest.raises(KeyError, match="7 is not one of the 3"):
        mixture.interval(7)
    with pytest.raises(ValueError, match="two groups"):
        mixture.lump({"x": ["a"], "y": ["a", "b"]})
    with pytest.raises(ValueError, match="level"):
        mixture.interval("a", 1.0)
    with pytest.raises(ValueError, match="kind="):
        mixture.log_prob([[0.2, 0.3, 0.5]])
    with pytest.raises(ValueError, match="2 columns, the mixture 3"):
        mixture.log_prob([[0.5, 0.5]], kind="probs")


@given(st.integers(0, 10**6), st.integers(1, 40))
def test_a_copy_is_equal_to_the_last_bit(seed, k):
    rng = np.random.default_rng(seed)
    mixture = DirichletMixture(rng.dirichlet(np.ones(k)), rng.uniform(0.1, 3.0, (k, 2)))
    assert DirichletMixture(mixture.weights, mixture.alpha) == mixture
