"""Standard errors against SciPy's, against sums by hand, and against the spread of many runs."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

import matrixbayes as mb
from matrixbayes import windtunnel
from matrixbayes.diagnostics.figures import _studentised
from matrixbayes.elicitation.families import compare_families

PRIOR = mb.DirichletMixture([0.6, 0.4], [[4.0, 2.0, 1.0], [1.0, 1.0, 5.0]])


@pytest.mark.parametrize("n", [2, 3, 7])
def test_of_an_entropy(n):
    rows = PRIOR.sample(n, rng=np.random.default_rng(5), kind="log_probs")
    mean, error = PRIOR.estimate_entropy(n, rng=np.random.default_rng(5))
    surprise = -PRIOR.log_prob(rows, kind="log_probs")
    assert_allclose([mean, error], [surprise.mean(), stats.sem(surprise)], rtol=1e-9)


@pytest.mark.parametrize("n", [2, 5])
def test_of_a_score_in_the_wind_tunnel(n):
    task = windtunnel.Urns(PRIOR)
    model = np.array([0.5, 0.3, 0.2])
    tokens = task.sample(n, 4, rng=0)
    found = windtunnel.score(task, lambda x: np.tile(model, (*x.shape, 1)), tokens, kind="probs")
    bayes = np.exp(task.log_predictive(tokens))
    kl = np.sum(bayes * (np.log(bayes) - np.log(model)), axis=2) / np.log(2.0)
    assert_allclose(found.kl, kl.mean(axis=0), rtol=1e-9)
    assert_allclose(found.standard_error, stats.sem(kl, axis=0), rtol=1e-7, atol=1e-12)


def test_of_the_loss_of_a_reduction():
    """It is the spread of the loss over samples of the rows; with two rows, n - 1 is half of n."""
    runs = [PRIOR.reduce(1, rng=seed, n_samples=2) for seed in range(800)]
    losses, errors = np.array([(run.loss, run.loss_se) for run in runs]).T
    assert_allclose(np.mean(errors**2), losses.var(), rtol=0.25)


@pytest.mark.parametrize("n", [2, 6])
def test_of_the_statistics_of_a_diagnosis(n):
    figures = np.random.default_rng(0).normal(0.5, 1.0, (3, n, 4))
    expected = stats.ttest_1samp(figures, 0.0, axis=1).statistic
    assert_allclose(_studentised(figures), expected, rtol=1e-9)


@pytest.mark.parametrize("empty", [0, 3])
def test_of_the_difference_of_two_families(empty):
    """Of groups of equal weight it is that of a mean of differences; groups of no weight are not
    there."""

    class Report:
        n_parameters, mean_kl = 1, 0.0

        def __init__(self, family):
            self.family = family

    rng = np.random.default_rng(0)
    n = 6
    kl = rng.random((2, 2 * n))
    groups = np.repeat(np.arange(n), 2)
    shares = np.full(2 * n, 0.5 / n)
    of_group = kl.reshape(2, n, 2).mean(axis=2)
    low = np.argmin(of_group.mean(axis=1))
    kl = np.column_stack([kl, np.full((2, empty), 9.0)])
    groups, shares = np.append(groups, n + np.arange(empty)), np.append(shares, np.zeros(empty))
    found = compare_families([Report("a"), Report("b")], list(kl), shares, groups, 3)
    expected = stats.sem(of_group[1 - low] - of_group[low])
    assert_allclose(found.standard_error[1 - low], expected, rtol=1e-9)
    assert found.standard_error[low] == 0.0


def test_of_a_predictive_by_importance_sampling():
    """Over two tokens the error is a difference, whose spread over runs is what it says."""
    runs = [
        mb.approximation_report(
            lambda p: p[:, 0] ** 2 * p[:, 1],
            degree=3,
            n_tokens=2,
            counts=[2, 1],
            n_samples=400,
            rng=seed,
        )
        for seed in range(600)
    ]
    errors, told = np.array([(run.predictive_error, run.predictive_se) for run in runs]).T
    assert errors.min() > 0.0
    assert_allclose(np.mean(told**2), errors.var(), rtol=0.2)


@pytest.mark.parametrize("many", [2, 5])
def test_of_points_in_a_picture(many):
    figure = pytest.importorskip("matplotlib.figure")
    plot = pytest.importorskip("matrixbayes.plot", exc_type=ImportError)
    rng = np.random.default_rng(1)
    shots = np.repeat([0.0, 3.0, 6.0, 12.0], many)
    p = np.clip((2 + shots) / (10 + shots) + rng.normal(0.0, 0.05, len(shots)), 0.0, 1.0)
    fit = mb.fit_icl_curve(shots, p, n_boot=0, rng=0)
    ax = plot.icl_curve(fit, ax=figure.Figure().subplots())
    bars = [each for each in ax.containers if type(each).__name__ == "ErrorbarContainer"]
    ends = np.array(bars[0][2][0].get_segments())[:, :, 1]
    expected = p.reshape(4, many).std(axis=1, ddof=1)
    assert_allclose((ends[:, 1] - ends[:, 0]) / 2.0, expected, rtol=1e-9)
