"""A model's rows against a matrix's: divergences, calibration, contexts."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import rel_entr

import matrixbayes as mb
from matrixbayes.matrix.comparison import EDGES

V = 6
RNG = np.random.default_rng(0)
TEXT = RNG.integers(0, V, 400)
ROWS = RNG.dirichlet(np.full(V, 0.7), 40)
CONTEXTS = [TEXT[max(0, i - 3) : i] for i in range(40)]


@pytest.mark.parametrize("hierarchical", [False, True])
def test_divergences_against_scipy(hierarchical, monkeypatch):
    monkeypatch.setattr("matrixbayes.matrix.comparison.CELLS", 7 * V)  # several blocks
    matrix = mb.TransitionMatrix(2, n_tokens=V, hierarchical=hierarchical).update(TEXT)
    weights = RNG.random(40)
    found = mb.compare(matrix, ROWS, CONTEXTS, kind="probs", weights=weights)
    begin = [V] * 2 if hierarchical else []
    p = np.array([matrix.predict([*begin, *context][-2:]) for context in CONTEXTS])
    assert_allclose(found.kl, rel_entr(p, ROWS).sum(axis=1), rtol=1e-12)
    assert_allclose(found.reverse_kl, rel_entr(ROWS, p).sum(axis=1), rtol=1e-12)
    assert_allclose(found.total_variation, abs(p - ROWS).sum(axis=1) / 2, rtol=1e-12)
    assert_allclose(found.hellinger**2, 1.0 - np.sqrt(p * ROWS).sum(axis=1), atol=1e-12)
    shares = weights / weights.sum()
    assert_allclose(found.gap_bits, shares @ found.kl / np.log(2.0), rtol=1e-12)
    assert_allclose(found.matrix_bits, -shares @ (p * np.log2(p)).sum(axis=1), rtol=1e-12)
    assert_allclose(found.model_bits, -shares @ (p * np.log2(ROWS)).sum(axis=1), rtol=1e-12)
    seen = [
        0 if len(c) < 2 and not hierarchical else matrix.totals([*begin, *c][-2:]) for c in CONTEXTS
    ]
    assert_array_equal(found.seen, seen)
    assert_array_equal(found.worst(3), np.argsort(-found.kl)[:3])
    for low, high, (model, ideal, many) in zip(EDGES[:-1], EDGES[1:], found.bins, strict=True):
        inside = (low <= ROWS) & ((high > ROWS) | (high == 1.0))
        share = (inside * shares[:, np.newaxis]).ravel()
        assert_allclose(many, share.sum(), atol=1e-12)
        if share.sum() > 0.0:
            assert_allclose(model, np.average(ROWS.ravel(), weights=share), rtol=1e-9)
            assert_allclose(ideal, np.average(p.ravel(), weights=share), rtol=1e-9)
        else:
            assert np.isnan([model, ideal]).all()


def test_rows_that_know_their_contexts():
    matrix = mb.TransitionMatrix(2, n_tokens=V).update(TEXT)
    offsets = np.cumsum([0, *map(len, CONTEXTS)])
    rows = mb.NextTokenRows(np.log(ROWS), input_ids=np.concatenate(CONTEXTS), offsets=offsets)
    expected = mb.compare(matrix, ROWS, CONTEXTS, kind="probs")
    assert_allclose(mb.compare(matrix, rows).kl, expected.kl, rtol=1e-12)


def test_the_matrix_itself_has_no_gap():
    matrix = mb.TransitionMatrix(1, n_tokens=V).update(TEXT)
    contexts = matrix.contexts()
    found = mb.compare(matrix, matrix.predict(contexts), list(contexts), kind="probs")
    assert abs(found.gap_bits) < 1e-12
    filled = found.bins[found.bins[:, 2] > 0.0]
    assert_allclose(filled[:, 0], filled[:, 1], rtol=1e-12)
    assert "gap" in repr(found)
    assert "<table" in found._repr_html_()


def test_a_model_that_rules_a_token_out():
    matrix = mb.TransitionMatrix(1, n_tokens=2).update([0, 1, 0])
    found = mb.compare(matrix, [[1.0, 0.0]], [[0]], kind="probs")
    assert found.kl[0] == np.inf
    assert_allclose(found.reverse_kl, -np.log(matrix.predict([0])[0]))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"rows": ROWS[:, :5] / ROWS[:, :5].sum(1, keepdims=True)}, "5 columns, the matrix 6"),
        ({"contexts": None}, "give contexts"),
        ({"contexts": CONTEXTS[:3]}, "3 contexts and 40 rows"),
        ({"contexts": [[[0]]] * 40}, "context 0 has shape"),
        ({"contexts": [[9, 9]] * 40}, "is 9; tokens are 0 to 5"),
        ({"weights": [1.0]}, "weights have shape"),
        ({"weights": [-1.0] * 40}, "finite and >= 0"),
        ({"rows": np.zeros((0, V)), "contexts": []}, "no rows"),
    ],
)
def test_what_cannot_be_compared(arguments, says):
    matrix = mb.TransitionMatrix(2, n_tokens=V).update(TEXT)
    given = {"rows": ROWS, "contexts": CONTEXTS, "kind": "probs"} | arguments
    with pytest.raises(ValueError, match=says):
        mb.compare(matrix, given.pop("rows"), given.pop("contexts"), **given)
