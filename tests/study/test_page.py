"""The page and the summary of results that are not of the usual kind."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from matrixbayes.elicitation import elicit_prior
from matrixbayes.mixture import DirichletMixture
from matrixbayes.rows import NextTokenRows
from matrixbayes.study import StudyResult, summary
from matrixbayes.study.fitted import fit_prior, near_ties
from matrixbayes.study.sections import sections_of
from matrixbayes.study.verdict import Findings, verdict

TRUTH = DirichletMixture([0.5, 0.5], [[8.0, 1.0, 1.0], [1.0, 2.0, 6.0]], tokens="abc")


@pytest.fixture(scope="module")
def result() -> StudyResult:
    """Rows that are fitted by kernels, a truth of two components, and no demonstrations."""
    rows = NextTokenRows(np.log(TRUTH.sample(20, rng=0)), tokens="abc")
    fit = fit_prior(rows, [1], resolution="kernels")
    return StudyResult("m", rows, fit.selection, fit.prior, fit=fit, truth=TRUTH)


def page(result: StudyResult) -> str:
    return "".join(sections_of(result, ()))


def test_a_prior_of_kernels_is_told_as_one(result: StudyResult) -> None:
    many, shown = result.prior.n_components, result.shown.n_components
    assert many > shown
    assert f"components  {many}, kernels around rows; {shown} shown\n" in summary(result)
    text = page(result)
    assert "The prior of the rows of 20 prompts is fitted by kernels of rows, as it was" in text
    assert "by the best description (BIC)" not in text
    assert "What was tried" not in text
    assert result.fit is not None
    tried = replace(result.fit, tried={"density": 1.25, "kernels": 1.125})
    text = page(replace(result, fit=tried))
    assert "What was tried" in text
    assert "1.250" in text


def test_a_prior_at_a_resolution_is_told_as_one(result: StudyResult) -> None:
    assert result.fit is not None
    fit = replace(result.fit, method="resolution", prior=TRUTH, shown=TRUTH)
    assert "\ncomponents  2\n" in summary(replace(result, fit=fit, prior=TRUTH))


def test_other_numbers_of_components_than_are_true_are_not_paired(result: StudyResult) -> None:
    three = DirichletMixture([0.2, 0.3, 0.5], np.ones((3, 3)), tokens="abc")
    text = page(replace(result, fit=None, prior=three))
    assert "Fitted to rows: 3 components, so not paired with the true ones" in text
    assert "elicited</t" not in text
    assert "The model&#x27;s predictive beside exact Bayes" not in text
    pytest.importorskip("matplotlib")
    from matrixbayes.study.figures import _truth_figure

    assert list(_truth_figure(replace(result, fit=None, prior=three))) == []
    assert [name for name, *_ in _truth_figure(replace(result, fit=None, prior=TRUTH))] == ["truth"]


def test_an_elicited_prior_without_tests_and_of_fewer_components(result: StudyResult) -> None:
    probs = [[0.5, 0.3, 0.2], [0.6, 0.24, 0.16], [2 / 3, 0.2, 2 / 15]]
    rows = NextTokenRows(np.log(probs), tokens="abc")
    report = elicit_prior([[], [0], [0, 0]], rows, family="iid", n_starts=1, rng=0)
    found = replace(result, elicitation=report)
    assert "\nelicited against true: 1 component was found, 2 are true\n" in summary(found) + "\n"
    text = page(found)
    assert "Elicited: 1 component, so not paired with the true ones" in text
    assert "<p>No tests were made.</p>" in text
    open_ = verdict(Findings(n_prompts=20, untested="an answer is several tokens"))
    assert f"<p>No tests were made: {open_.test}.</p>" in page(replace(found, verdict=open_))


def test_sizes_that_bic_does_not_tell_apart() -> None:
    lines = [{"n_components": k, "bic": bic} for k, bic in ((1, 10.0), (2, 11.5))]
    selection = SimpleNamespace(best_=SimpleNamespace(n_components=1), table=lines)
    fit: Any = SimpleNamespace(method="density", selection=selection, check=None)
    rows: Any = None  # which a difference so small does not ask
    (clause,) = near_ties(fit, rows)
    assert clause.startswith("the rows are not rather of 2 kinds than of 1, as BIC differs by 1.5")


def test_priors_that_bits_do_not_tell_apart() -> None:
    best = SimpleNamespace(n_components=1)
    tried = {"density": 1.25, "kernels": 1.0, "resolution": 1.0625}
    check = SimpleNamespace(bits_se=[0.0625, 0.1875])  # 0.125 on average
    fit: Any = SimpleNamespace(
        method="kernels", selection=SimpleNamespace(best_=best), check=check, tried=tried
    )
    rows: Any = None
    assert near_ties(fit, rows) == (
        "a prior at a resolution does not describe the rows as well, as it takes 0.062 bits a "
        "token more, within ± 0.12",
    )
