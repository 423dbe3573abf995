"""What a mixture says of rows known in part, and how it is checked by them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from matrixbayes import DirichletMixture, NextTokenRows, PartialRows, check_prior
from matrixbayes.mixture.drawn import logarithms
from matrixbayes.mixture.partial.listing import listing_of
from matrixbayes.mixture.partial.seen import RowsInPart

PRIOR = DirichletMixture([0.6, 0.4], [[8.0, 1.0, 1.0, 0.5, 0.5], [0.5, 3.0, 6.0, 2.0, 1.0]])
FULL = NextTokenRows(PRIOR.sample(400, rng=0, kind="log_probs"))


def by_name(columns):
    """Rows that list some columns, and the same lumped, as complete rows."""
    logs = FULL.log_probs[:, columns]
    rest = np.log1p(-np.exp(logs).sum(axis=1))
    n, k = logs.shape
    starts = np.arange(0, n * k + 1, k)
    rows = PartialRows(np.tile(columns, n), logs.ravel(), starts, n_tokens=5, rest=rest, cap=rest)
    return rows, NextTokenRows(np.column_stack([logs, rest]))


def test_what_is_said_of_one_list_is_said_of_the_lumped_mixture():
    """Densities, responsibilities and all that a check finds, but for its random numbers."""
    rows, lumped = by_name([0, 2])
    mixture = PRIOR.lump({"a": [0], "c": [2], "rest": [1, 3, 4]})
    lumped = NextTokenRows(lumped.log_probs, tokens=mixture.tokens)
    assert_allclose(PRIOR.log_prob(rows), mixture.log_prob(lumped), rtol=1e-12)
    assert_allclose(PRIOR.responsibilities(rows), mixture.responsibilities(lumped), rtol=1e-10)
    mine, theirs = check_prior(PRIOR, rows), check_prior(mixture, lumped)
    assert_allclose(mine.floor, theirs.floor, rtol=1e-12)
    assert_allclose(mine.bits[0], theirs.bits[0], rtol=1e-12)
    assert_allclose(mine.bits, theirs.bits, atol=0.03)
    assert_allclose(mine.frequencies, theirs.frequencies, rtol=1e-4)
    assert_allclose(mine.smoothing, theirs.smoothing, atol=0.03)
    assert_allclose(mine.row_entropies, theirs.row_entropies, rtol=1e-10)
    assert_allclose(mine.prior_entropy, theirs.prior_entropy, atol=0.15)
    assert mine.passed
    assert mine.n_tokens == 5


def test_a_wrong_prior_fails():
    rows = PartialRows.from_rows(FULL, 2)
    check = check_prior(PRIOR, rows, sample_weight=np.arange(400) % 2)
    assert check.passed
    assert check.n_rows == 200
    wrong = DirichletMixture([1.0], [[1.0, 90.0, 1.0, 1.0, 1.0]])
    assert check_prior(wrong, rows).fails == ("frequencies", "smoothing", "entropies")


def test_evidence_of_draws_is_that_of_each_rows_own_cells():
    rows = PartialRows.from_rows(FULL, 2)[:5]
    seen = RowsInPart.of(rows, np.arange(5), PRIOR)
    fold, weights = np.zeros(5, dtype=int), np.ones(5)
    looks = seen.look(logarithms(PRIOR.mean()), fold, weights, 30, np.random.default_rng(0))
    cells = looks.draws.counts(30, np.arange(5), 5)
    found = looks.draws.log_evidence(PRIOR, cells, np.arange(5))
    means = looks.draws.means(PRIOR.mean()[np.newaxis], fold, cells, np.arange(5))
    for i, row in enumerate(rows):
        names = [str(c) for c in row.columns]
        lumped = PRIOR.lump({name: int(name) for name in names})
        here = cells[0] == i
        columns = [names.index(str(c)) if c < 5 else 2 for c in cells[1][here]]
        counts = np.bincount(columns, cells[2][here], 3)
        assert_allclose(found[i], lumped.log_evidence(counts), rtol=1e-12)
        assert_allclose(means[here], lumped.mean()[columns], rtol=1e-12)
        cross = -(np.exp(np.append(row.log_probs, row.rest)) @ np.log(lumped.mean()))
        assert_allclose(looks.cross[i], cross, rtol=1e-12)
    assert_allclose(looks.sums.sum(), 5.0)


def test_what_needs_complete_rows_says_so():
    rows = PartialRows.from_rows(FULL, 2)
    with pytest.raises(TypeError, match=r"resolution=100.*\.group\(vocab\)"):
        DirichletMixture.from_rows(rows)
    kernels = DirichletMixture.from_rows(FULL, rng=0)
    with pytest.raises(TypeError, match=r"reduce\(32\)"):
        check_prior(kernels, rows)
    for ask in (PRIOR.predictive, PRIOR.posterior, PRIOR.log_evidence):
        with pytest.raises(TypeError, match=r"group\(vocab\)"):
            ask(rows)
    with pytest.raises(ValueError, match="5"):
        check_prior(DirichletMixture([1.0], [[1.0, 2.0]]), rows)


def test_no_rows_are_none():
    none = PartialRows([], [], [0], n_tokens=5)
    assert PRIOR.log_prob(none).shape == (0,)
    assert PRIOR.responsibilities(none).shape == (0, 2)
    with pytest.raises(ValueError, match="no rows"):
        check_prior(PRIOR, none)
    assert listing_of(none).n_rows == 0
