"""Files of Easel, and objects of scipy, pandas and ArviZ."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import reference
from numpy.testing import assert_allclose

import matrixbayes as mb

MIXTURE = mb.DirichletMixture(
    [0.7, 0.3], [[1.5, 0.1, 1e-7], [3.0, 1e5, 0.123456789012345]], tokens=["a", "b", "c d"]
)


def test_a_file_of_easel_comes_back_to_the_last_bit(tmp_path):
    path = tmp_path / "prior.txt"
    mb.write_easel(MIXTURE, path)
    found = mb.read_easel(path, tokens=MIXTURE.tokens)
    assert found == MIXTURE
    mb.write_easel(mb.DirichletMixture([1.0], [[1.0, 2.0]]), path)
    assert mb.read_easel(path).n_tokens == 2


def test_blocks9_as_it_is_printed(tmp_path):
    prior = json.loads((reference.DATA / "blocks9_prior.json").read_text())
    lines = ["# Sjolander et al. 1996", "20 9   # alphabet, components", ""]
    for weight, alpha in zip(prior["weights_as_printed"], prior["alpha"], strict=True):
        lines += [str(weight), " ".join(map(str, alpha)), "# next"]
    path = tmp_path / "blocks9.txt"
    path.write_text("\n".join(lines))
    found = mb.read_easel(path, tokens=list(prior["alphabet"]))
    assert_allclose(found.alpha, prior["alpha"], rtol=1e-15)
    assert_allclose(found.weights, np.array(prior["weights_as_printed"]) / prior["weights_sum"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "ends before the size of the alphabet"),
        ("3", "ends before the number of components"),
        ("x 1", "line 1: 'x' is not the size of the alphabet"),
        ("2 0", "'0' is not the number of components"),
        ("2 1000000000000", "is not the number of components"),
        ("999999999 999999999\n1 2", "ends after 2 of"),
        ("2 1\n1.0 2.0", "ends after 2 of 3 numbers"),
        ("2 1\n1.0 2.0 -3", "line 2: -3 is not an alpha, > 0"),
        ("2 1\n1.0 2.0 0", "line 2: 0 is not an alpha, > 0"),
        ("2 1\n-1.0 2.0 3", "line 2: -1.0 is not a weight"),
        ("2 1\nnan 2.0 3", "nan is not a weight"),
        ("2 1\n1 inf 3", "inf is not an alpha"),
        ("2 1\n1 2\n3 4", "line 3: '4' follows the last number"),
        ("2 1\n1 two 3", "line 2: 'two' is not a number"),
        ("2 2\n.5 1 1\n.1 1 1", "weights"),
        ("2 1\n1 2 \u00e9", "beyond ASCII"),
    ],
)
def test_a_wrong_file_is_refused(text, message, tmp_path):
    path = tmp_path / "prior.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        mb.read_easel(path)


def test_a_damaged_file_raises_value_errors_only(tmp_path):
    path = tmp_path / "prior.txt"
    mb.write_easel(MIXTURE, path)
    good = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for _ in range(1000):
        bad = bytearray(good)
        for at in rng.integers(len(bad), size=rng.integers(1, 5)):
            bad[at] = rng.integers(256)
        path.write_bytes(bad[: rng.integers(len(bad) + 1)] if rng.random() < 0.3 else bad)
        try:
            found = mb.read_easel(path)
        except ValueError:
            continue
        assert np.isfinite(found.alpha).all()


def test_scipy():
    prior = mb.DirichletMixture([1.0], [[2.0, 3.0, 4.0]])
    frozen = prior.to_scipy()
    row = np.array([0.2, 0.3, 0.5])
    assert_allclose(frozen.logpdf(row), prior.log_prob(row, kind="probs"), rtol=1e-12)
    with pytest.raises(ValueError, match="2 components"):
        MIXTURE.to_scipy()


def test_pandas():
    pytest.importorskip("pandas")
    table = MIXTURE.to_pandas()
    assert table.index.name == "component"
    assert_allclose(table["weight"], MIXTURE.weights)
    assert_allclose(table["concentration"], MIXTURE.concentration)
    assert_allclose(table["alpha"].to_numpy(), MIXTURE.alpha)
    assert table["alpha"].columns.tolist() == ["a", "b", "c d"]


def test_arviz():
    pytest.importorskip("arviz_base")
    data = MIXTURE.to_arviz(50, chains=2, rng=0)
    p = data["posterior"]["p"]
    assert p.dims == ("chain", "draw", "token")
    assert p.shape == (2, 50, 3)
    assert p.coords["token"].values.tolist() == ["a", "b", "c d"]
    assert_allclose(p.values, MIXTURE.sample((2, 50), rng=0))


@pytest.mark.parametrize(("call", "package"), [("to_pandas", "pandas"), ("to_arviz", "arviz-base")])
def test_what_is_missing_is_said(call, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package.replace("-", "_"), None)
    with pytest.raises(ImportError, match=f"pip install {package}"):
        getattr(MIXTURE, call)()


def test_a_check_as_arviz_data():
    pytest.importorskip("arviz_base")
    rows = MIXTURE.sample(60, rng=0)
    check = mb.check_prior(MIXTURE, rows, kind="probs", rng=0)
    data = check.to_arviz()
    drawn, seen = data["prior_predictive"], data["observed_data"]
    assert drawn["entropy"].dims == ("chain", "draw", "row")
    assert drawn["entropy"].shape == (1, len(check.prior_entropies) // 60, 60)
    assert_allclose(drawn["largest"].values.ravel(), check.prior_largest[: drawn["largest"].size])
    assert_allclose(seen["entropy"].values, check.row_entropies)
    assert_allclose(data["constant_data"]["weight"].values, check.row_weights)
    few = mb.check_prior(MIXTURE, rows, kind="probs", rng=0, n_samples=20)
    with pytest.raises(ValueError, match="n_samples=600"):
        few.to_arviz()
