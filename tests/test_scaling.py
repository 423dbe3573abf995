"""Scaling laws: the closed form, planted laws found again, and honest extrapolation."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from matrixbayes.scaling import LAWS, bayesian_law, fit_scaling_laws

SHOTS = np.arange(0, 40)


def test_the_closed_form():
    found = bayesian_law([0, 1, 2, 4, 8, 16], [0.01, 0.99], [0.8, 0.3])
    wanted = [0.305, 0.3131147541, 0.3335078534, 0.4690466364, 0.7813637421, 0.7999924299]
    assert_allclose(found, wanted, atol=5e-11)
    # Bayes' rule, example by example
    rho, p = np.array([0.2, 0.5, 0.3]), np.array([0.9, 0.5, 0.1])
    belief = rho
    for n in range(6):
        assert_allclose(bayesian_law([n], rho, p)[0], belief @ p / belief.sum(), rtol=1e-12)
        belief = belief * p
    assert_allclose(bayesian_law([1e6], [1e-9, 1.0], [0.8, 0.3]), [0.8], rtol=1e-12)
    assert_allclose(
        bayesian_law([3], [1, 1], [0.8, 0.3], 2.0), bayesian_law([6], [1, 1], [0.8, 0.3])
    )


def planted(form):
    rho = np.array([0.7, 0.28, 0.02])
    if form == "original":
        p = np.array([[0.8, 0.3, 0.2], [0.25, 0.7, 0.4], [0.1, 0.35, 0.9]])
    elif form == "sampling":
        p = np.array([[0.8, 0.3, 0.3], [0.25, 0.7, 0.25], [0.1, 0.1, 0.9]])
    else:
        p = np.array([[0.8, 0.3, 0.2], [0.25, 0.7, 0.2], [0.25, 0.3, 0.9]])
    return np.stack([bayesian_law(SHOTS, rho, row, 0.6) for row in p])


@pytest.mark.parametrize("form", ["original", "sampling", "scoring"])
def test_planted_bayesian_laws_are_found_and_extrapolate(form):
    curves = planted(form)
    found = fit_scaling_laws(SHOTS, curves, laws=[form, "power"], n_fitted=25, rng=0)
    assert found[form].nrmse < 5e-4
    assert found[form].extrapolation_nrmse < 1e-3
    assert found.best.law == form
    assert_allclose(found[form].predicted, curves, atol=1e-3)
    assert found[form].n_parameters == {"original": 12, "sampling": 9, "scoring": 9}[form]
    assert_allclose(found[form].parameters["rho"].sum(), 1.0)


@pytest.mark.parametrize("law", ["power", "bounded", "logistic"])
def test_planted_baselines_are_found(law):
    loss = {
        "power": 1.2 * (SHOTS + 1.0) ** -0.7 + 0.3,
        "bounded": 1.2 * (1.0 + SHOTS / 5.0) ** -1.5 + 0.3,
        "logistic": 1.2 / (1.0 + (SHOTS / 8.0) ** 2.0) + 0.3,
    }[law]
    found = fit_scaling_laws(SHOTS, np.exp(-loss), n_fitted=25, rng=0)
    assert list(found.laws) == ["original", "power", "bounded", "logistic"]
    assert found[law].nrmse < 1e-5
    assert found[law].extrapolation_nrmse < 1e-3
    values = {name: float(v[0]) for name, v in found[law].parameters.items()}
    assert_allclose([values["C"], values["k"]], [1.2, 0.3], rtol=0.02)


@pytest.mark.parametrize("law", LAWS)
def test_what_is_held_out_does_not_shape_the_fit(law):
    curves = planted("original")[:2, ::4]
    other, later = curves.copy(), SHOTS[::4].copy()
    other[:, 7:], later[7:] = 0.02, [100, 1000, 10000]
    found = fit_scaling_laws(SHOTS[::4], curves, laws=[law], n_fitted=7, rng=0)[law]
    again = fit_scaling_laws(later, other, laws=[law], n_fitted=7, rng=0)[law]
    assert found.nrmse == again.nrmse
    for name, value in found.parameters.items():
        np.testing.assert_array_equal(value, again.parameters[name])


def test_without_extrapolation_the_best_fit_is_the_best():
    curve = bayesian_law(SHOTS, [0.01, 0.99], [0.8, 0.3])
    found = fit_scaling_laws(SHOTS, curve, rng=0)
    assert np.isnan(found["power"].extrapolation_nrmse)
    assert found.best.law == "original"
    assert "NRMSE" in repr(found)
    assert "<table" in found._repr_html_()
    assert set(found.laws) < set(LAWS)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: bayesian_law([[0]], [1.0], [0.5]), "do not go together"),
        (lambda: bayesian_law([0], [1.0, 1.0], [0.5, 0.0]), "above 0"),
        (lambda: bayesian_law([0], [0.0], [0.5]), "all 0"),
        (lambda: fit_scaling_laws([0, 1], [0.5, 0.5, 0.5]), "have shape"),
        (lambda: fit_scaling_laws([0, 2, 1], [0.5, 0.5, 0.5]), "rise"),
        (lambda: fit_scaling_laws([0, 1, 2], [0.5, 0.0, 0.5]), r"\[0, 1\] is 0.0"),
        (lambda: fit_scaling_laws([0, 1, 2], [0.5] * 3, n_fitted=2), "from 3 to 3"),
        (lambda: fit_scaling_laws([0, 1, 2], [0.5] * 3, laws=["cubic"]), "'cubic' is not one of"),
    ],
)
def test_wrong_arguments_are_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()
