"""What public functions and methods give shows itself, becomes a table, and draws itself.

The types are found by what public callables say that they return: a new one needs an example here,
or its place among those that are no results.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from house import graph

import matrixbayes as mb
from matrixbayes import windtunnel
from matrixbayes._base.display.tokens import places
from matrixbayes.elicitation.misfit import KLByPlace
from matrixbayes.huggingface import Finding, PreflightReport
from matrixbayes.rows import BoundedRows

ROOT = Path(__file__).resolve().parents[2]
NASTY = (" yes", "<script>alert(1)</script>", "a\nb\x1b[31m", "\u202e$x^2$", "日本" * 20)
MOST_LINES, MOST_PLACES = 10, 100

# What is handed out to work with, and has nothing of its own to be drawn.
TOOLS = {
    "Demo": "a model, its tokenizer, and prompts",
    "ElicitedPredictor": "predicts",
    "Finding": "a sentence of a report",
    "Misfit": "a sentence of a report",
    "Parameters of an estimator": "what it was made with",
    "ShotSlider": "moves a path, which has a table and pictures",
    "Task": "makes texts",
}


# --- the types


def modules() -> Iterator[Any]:
    for name in graph.modules(ROOT):
        if name not in ("", "__main__") and not name.endswith("plots"):
            yield importlib.import_module(f"matrixbayes.{name}")


@cache
def classes() -> dict[str, list[type]]:
    """Every class of the package, by name."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    table: dict[str, list[type]] = {}
    for module in modules():
        for name, thing in vars(module).items():
            if isinstance(thing, type) and thing.__module__ == module.__name__:
                table.setdefault(name, []).append(thing)
    return table


def named(annotation: Any, home: Any) -> Iterator[type]:
    """The classes of the package that an annotation names, as its module knows them."""
    if isinstance(annotation, type):
        annotation = annotation.__name__
    for word in set(re.findall(r"[A-Z]\w+", str(annotation))):
        here = getattr(home, word, None)
        known = [here] if isinstance(here, type) else classes().get(word, [])
        yield from (kind for kind in known if kind.__module__.startswith("matrixbayes."))


def results() -> set[type]:
    """What public callables return, and what the public attributes of that are."""
    queue = [getattr(mb, name) for name in mb.__all__]
    queue += [getattr(windtunnel, name) for name in windtunnel.__all__]
    queue += [importlib.import_module("matrixbayes.study").study]
    seen: set[Any] = set()
    found: set[type] = set()
    while queue:
        thing = queue.pop()
        if thing in seen:
            continue
        seen.add(thing)
        home = inspect.getmodule(thing)
        if isinstance(thing, FunctionType):
            kinds = set(named(thing.__annotations__.get("return"), home))
            found |= kinds
            queue += kinds
        elif isinstance(thing, type) and thing.__module__.startswith("matrixbayes."):
            for name in (name for name in dir(thing) if not name.startswith("_")):
                member = inspect.getattr_static(thing, name)
                member = getattr(member, "__func__", getattr(member, "fget", member))
                queue += [member] if isinstance(member, FunctionType) else []
    # A base in C, a base that is never made, and what a caller makes and hands in.
    return {kind for kind in found if kind.__module__ != "matrixbayes._core"}


# --- one of each, small


@cache
def mixture() -> Any:
    alpha = np.random.default_rng(0).uniform(0.5, 5.0, (3, len(NASTY)))
    return mb.DirichletMixture([0.5, 0.3, 0.2], alpha, tokens=NASTY)


@cache
def rows() -> Any:
    return mb.NextTokenRows(mixture().sample(40, rng=0, kind="log_probs"), tokens=NASTY)


@cache
def estimator() -> Any:
    return mb.DirichletMixtureEstimator(2, random_state=0).fit(rows())


@cache
def partial() -> Any:
    return mb.PartialRows.from_rows(rows(), 2)


@cache
def regression() -> Any:
    return mb.regress_concentration(rows(), {"size <b>": np.arange(40) % 4})


@cache
def elicited() -> Any:
    histories = [[(7 * i + t * t) % 5 for t in range(i % 9)] for i in range(60)]
    seen = np.array([np.bincount(h, minlength=5) + 1.0 for h in histories])
    given = mb.NextTokenRows(np.log(seen / seen.sum(axis=1)[:, np.newaxis]), tokens=NASTY)
    return mb.elicit_prior(histories, given, family=["iid", "markov"], rng=0)


@cache
def matrix() -> Any:
    with pytest.warns(RuntimeWarning):
        return (
            mb.TransitionMatrix(2, n_tokens=3, hierarchical=True).update([0, 1, 2] * 9).fit_prior()
        )


@cache
def texts() -> Any:
    return mb.bits_per_byte(
        mb.TransitionMatrix(1, tokens=("a", "b")).update(list("abab")), ["ab"], list
    )


@cache
def card() -> Any:
    urn = mb.UrnPredictor(mb.DirichletMixture([1.0], [[2.0, 1.0]]))
    return mb.score_card(urn, None, windtunnel.Urns(urn.prior), rng=0, n=40, n_boot=99)


@cache
def curve() -> Any:
    shots = np.array([0, 1, 2, 4, 8, 16, 32])
    return mb.fit_icl_curve(shots, (2 + shots) / (10 + shots), n_boot=9, rng=0)


@cache
def laws() -> Any:
    shots = np.array([0, 1, 2, 4, 8, 16, 32])
    return mb.fit_scaling_laws(shots, [0.9 - 0.8 / (shots + 1)], n_fitted=5, rng=0)


@cache
def design() -> Any:
    inputs, labels = ["good <b>", "bad", "fine", "poor"] * 2, ["positive", "negative"] * 4
    return mb.flipped_label_design(inputs, labels, shots=(0, 1, 2), n_sequences=3, rng=0)


@cache
def states() -> Any:
    rng = np.random.default_rng(0)
    return rng.normal(size=(30, 3)), rng.normal(size=(20, 3))


@cache
def continuity() -> Any:
    hidden, head = states()
    return mb.check_continuity(hidden, hidden @ head.T, kind="logits", rng=0)


def head() -> Any:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    shape = {"vocab_size": 12, "n_positions": 16, "n_embd": 8, "n_layer": 1, "n_head": 2}
    config = transformers.GPT2Config(**shape, bos_token_id=0, eos_token_id=0)
    return mb.head_of(transformers.GPT2LMHeadModel(config).eval())


def study() -> Any:
    from matrixbayes.study import StudyResult

    selection = mb.select_prior(rows(), [1, 2], random_state=0)
    return StudyResult("a <model>", rows(), selection, mixture(), notes=("a note",) * 20)


def tunnel() -> Any:
    task = windtunnel.Urns(mb.DirichletMixture([1.0], [[2.0, 1.0]]))
    return windtunnel.score(
        task, lambda x: np.full((*x.shape, 2), 0.5), kind="probs", n=9, length=6
    )


EXAMPLES: dict[str, Callable[[], Any]] = {
    "AffineTest": lambda: mb.affine_test(states()[0], states()[0] @ states()[1].T, kind="logits"),
    "AnswerCounts": lambda: mb.from_samples([list(NASTY), list(NASTY[:2])]),
    "ApproximationReport": lambda: mb.approximation_report(
        lambda p: 2.0 * p[..., 0], degree=4, n_tokens=2
    ),
    "BackoffModel": lambda: matrix().prune(0.001),
    "BitsBounds": lambda: estimator().bits_bounds(partial()),
    "BitsPerByte": texts,
    "BoundedRows": lambda: BoundedRows(
        rows().log_probs - 0.1, rows().log_probs, np.zeros(40, dtype=bool), tokens=NASTY
    ),
    "Comparison": lambda: mb.compare(rows(), rows()),
    "ComparisonBounds": lambda: mb.compare(partial(), rows()),
    "Concentration": lambda: matrix().concentrations[0],
    "ConcentrationPrediction": lambda: regression().predict({"size <b>": [1.0, 2.0]}),
    "ConcentrationRegression": lambda: regression(),
    "Constant": lambda: elicited().comparison.constant,
    "ContinuityReport": continuity,
    "CountStatistics": lambda: (
        mb.DirichletMixtureEstimator(1, kind="counts").fit([[3, 1], [0, 2]]).summarize([[1, 0]])
    ),
    "DiagnosticTest": lambda: card().tests[0],
    "Difference": lambda: texts().difference(texts()),
    "DirichletMixture": mixture,
    "DirichletMixtureEstimator": estimator,
    "ElicitationPoints": lambda: elicited().points,
    "ElicitationReport": elicited,
    "FamilyComparison": lambda: elicited().comparison,
    "FitCheck": lambda: mb.check_prior(mixture(), rows(), n_samples=40),
    "Floor": lambda: elicited().floor,
    "Head": head,
    "HeadBound": lambda: mb.head_bound(states()[1], states()[0], rng=0),
    "IclCurve": lambda: curve().dirichlet,
    "IclFit": curve,
    "Identification": lambda: elicited().identification,
    "Information": lambda: estimator().information(rows()),
    "Interpolation": lambda: mb.interpolate(
        [mb.TransitionMatrix(k, n_tokens=3).update([0, 1, 1, 2] * 4) for k in (1, 2)], [0, 1, 1, 2]
    ),
    "KLByLength": lambda: elicited().kl_by_length,
    "KLByPlace": lambda: next(iter(elicited().kl_by_place.values())),
    "KernelMixture": lambda: mb.DirichletMixture.from_rows(rows(), rng=0),
    "KernelReduction": lambda: mb.DirichletMixture.from_rows(rows(), rng=0).reduce(2, n_draws=50),
    "LabelCurve": lambda: design().curve(np.full((len(design()), 2), 0.5), kind="probs"),
    "LabelDesign": design,
    "LawFit": lambda: laws().best,
    "LayerRows": lambda: mb.LayerRows({0: rows(), 1: rows()}),
    "LearningPath": lambda: mb.learning_path(
        mixture(), lambda x: np.full((*x.shape, 5), 0.2), [0, 1, 2, 3, 4], kind="probs"
    ),
    "NextTokenRows": rows,
    "Pairs": lambda: continuity().pairs,
    "Parameters": lambda: elicited().parameters,
    "PartialRows": partial,
    "PartialStatistics": lambda: estimator().summarize(partial()),
    "PosteriorPath": lambda: mb.posterior_path(mixture(), [0, 1, 2, 3, 4]),
    "PreflightReport": lambda: PreflightReport((Finding("error", "prompt 3 " * 40),) * 9, n_rows=3),
    "PriorSelection": lambda: mb.select_prior(rows(), [1, 2, 3], random_state=0),
    "PriorWidths": lambda: elicited().identification.priors["iid"],
    "Pruned": lambda: matrix().prune(0.001).pruned,
    "Reduction": lambda: mixture().reduce(2, rng=0),
    "ScalingFit": laws,
    "ScoreCard": card,
    "SegmentProbe": lambda: mb.probe_segment(states()[1], *states()[0][:2]),
    "SoftmaxSpan": lambda: mb.span_of(states()[0] @ states()[1].T, kind="logits"),
    "Spread": lambda: mb.check_prior(mixture(), rows(), n_samples=40).row_top,
    "StudyResult": study,
    "TokenView": lambda: mb.show_tokens(EXAMPLES["LearningPath"]()),
    "TransitionMatrix": matrix,
    "Uncertainty": lambda: mixture().uncertainty(),
    "WindTunnelScore": tunnel,
}


@pytest.fixture(params=EXAMPLES)
def result(request: pytest.FixtureRequest) -> Any:
    made = EXAMPLES[request.param]()
    assert type(made).__name__ == request.param
    return made


def test_every_result_has_an_example() -> None:
    pytest.importorskip("mpltern")
    found = {kind.__name__ for kind in results()}
    assert len(found) > 40
    assert found - TOOLS.keys() <= EXAMPLES.keys()


def test_a_repr_is_short(result: Any) -> None:
    lines = repr(result).split("\n")
    assert 1 <= len(lines) <= MOST_LINES
    assert all(line.isprintable() for line in lines)
    assert all(places(line) <= MOST_PLACES for line in lines)
    assert "array(" not in repr(result)
    assert " object at 0x" not in repr(result)


def test_html_is_static_and_escaped(result: Any) -> None:
    page = result._repr_html_()
    root = ElementTree.fromstring(f"<page>{page}</page>")
    allowed = {"page", "div", "p", "table", "caption", "thead", "tbody", "tr", "th", "td"}
    allowed |= {"span", "br"} if isinstance(result, mb.TokenView) else set()
    assert {element.tag for element in root.iter()} <= allowed
    for element in root.iter():
        assert set(element.attrib) <= {"style", "scope", "colspan", "title", "dir"}
    assert "url(" not in page
    assert "http" not in page
    assert {*re.findall(r"(?<![-\w])color:([^;\"]+)", page)} <= {"inherit"}
    shown = "".join(root.itertext())
    assert shown.isprintable()
    assert not ("bits" in shown and re.search(r"\bnats\b", shown)), "one unit in one display"


def test_a_table_has_columns(result: Any) -> None:
    pandas = pytest.importorskip("pandas")
    table = result.to_pandas()
    assert isinstance(table, pandas.DataFrame)
    assert len(table) >= 1
    assert len(table.columns) >= 1
    assert table.columns.is_unique


def test_a_picture_is_drawn_where_it_is_asked_for(result: Any) -> None:
    pytest.importorskip("mpltern")
    import matplotlib
    from matplotlib import pyplot
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    before, settings = pyplot.get_fignums(), dict(matplotlib.rcParams)
    ax = Figure(layout="constrained").subplots()
    assert result.plot(ax=ax) is ax
    assert pyplot.get_fignums() == before
    assert ax.has_data()
    own = result.plot()
    assert isinstance(own, Axes)
    assert own.get_title(loc="left") or own.get_title()
    pyplot.close(own.figure)
    assert dict(matplotlib.rcParams) == settings


def test_names_stand_beside_their_figures() -> None:
    pytest.importorskip("mpltern")
    from matplotlib.figure import Figure

    ax = Figure(layout="constrained").subplots()
    mixture().uncertainty().plot(ax=ax)
    ax.figure.canvas.draw()
    names = [text.get_text() for text in ax.get_yticklabels() if text.get_text()]
    assert names == ["total", "aleatoric", "epistemic"]


def test_named_tuples_are_what_they_were() -> None:
    total, aleatoric, epistemic = found = mixture().uncertainty()
    assert found == (total, aleatoric, epistemic)
    assert found._asdict() == {"total": total, "aleatoric": aleatoric, "epistemic": epistemic}
    weights, values = matrix().concentrations[0]
    assert len(weights) == len(values)
    assert isinstance(next(iter(elicited().kl_by_place.values())), KLByPlace)


def test_pictures_of_several_axes_say_so() -> None:
    pytest.importorskip("mpltern")
    from matrixbayes import plot

    for name in plot.__all__:
        given = getattr(plot, name).__annotations__["return"]
        assert (given == "Figure") is name.endswith("_figure"), name


def test_completion_offers_what_there_is_to_use() -> None:
    pytest.importorskip("mpltern")
    from matrixbayes import plot

    for module in (plot, windtunnel):
        assert dir(module) == sorted(module.__all__)
    assert {*dir(mb)} == {*mb.__all__, "__version__"}


def test_a_verdict_is_said_instead_of_arrays() -> None:
    hidden, matrix = states()
    assert repr(mb.head_bound(matrix, hidden, rng=0)).startswith("HeadBound: The certificate holds")
    none = mb.head_bound(matrix, hidden[:1], rng=0)
    assert "cannot be said" in repr(none)
    probe = mb.probe_segment(matrix, *hidden[:2])
    assert "Log-affinity holds" in repr(probe)
    assert "Convexity preservation does not hold" in repr(probe)
    assert "cannot be said" in repr(mb.probe_segment(matrix, *hidden[:2], 2))
    rows = hidden @ matrix.T
    assert "does not hold" in repr(mb.affine_test(hidden, rows, kind="logits", rng=0))
    linear = np.column_stack([hidden, -hidden.sum(axis=1)]) / 50 + 0.25
    assert "preservation holds" in repr(mb.affine_test(hidden, linear, kind="probs", rng=0))
    assert "can produce all of them" in repr(mb.span_of(rows, matrix, kind="logits"))
    other = np.random.default_rng(1).normal(size=rows.shape)
    assert "cannot produce 30 of 30" in repr(mb.span_of(other, matrix, kind="logits"))
    assert "cannot be said" in repr(mb.span_of(other[:5], kind="logits"))


def test_four_sizes_do_not_read_alike() -> None:
    table = [
        {"n_components": k, "log_likelihood": 6.053e7 + k, "n_parameters": k, "converged": True}
        | {"aic": -1.2106e8 - k, "bic": -1.2106e8 - 0.5 * k, "icl": -1.2106e8 + k}
        for k in range(1, 5)
    ]
    fits: Any = dict.fromkeys(range(1, 5))
    lines = repr(mb.PriorSelection(fits, table, "bic")).splitlines()
    for column in range(1, 6):
        assert len({line.split()[column] for line in lines[2:6]}) == 4


def test_a_choice_by_bits_shows_bits() -> None:
    found = mb.select_prior(rows(), [1, 2], resolution=20, random_state=0)
    assert "log_likelihood" not in repr(found)
    assert "nats" not in repr(found)
    figure = pytest.importorskip("matplotlib.figure").Figure()
    pytest.importorskip("mpltern")
    assert "bits" in found.plot(ax=figure.subplots()).get_ylabel()


def test_a_fitted_estimator_says_what_it_found() -> None:
    assert repr(mb.DirichletMixtureEstimator(2)) == "DirichletMixtureEstimator(n_components=2)"
    assert "found 2 components over 5 tokens" in repr(estimator())
    assert "converged after" in repr(estimator())
    with pytest.raises(mb.NotFittedError):
        mb.DirichletMixtureEstimator(2).plot()


def test_nothing_of_many_tokens_reads_as_zero() -> None:
    width = 50_000
    log_probs = np.full((3, width), -np.log(width))
    many = mb.NextTokenRows(log_probs)
    wide = mb.DirichletMixture([1.0], np.full((1, width), 0.5))
    listed = mb.PartialRows.from_rows(many, 5)
    for thing in (many, wide, listed, mb.posterior_path(wide, [1, 2])):
        assert not re.search(r"\b0\.0+\b", repr(thing)), repr(thing)
