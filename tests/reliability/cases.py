"""One valid call of each public callable: what the checks of leaks and of arguments work through.

Contents
    Call         a callable and what it is called with; ``call()`` calls it
    public       every public callable, by name: "compare", "TransitionMatrix.update", "plot.kl"
    CALLS        name -> a function that makes a `Call` with fresh arguments
    THINGS       name of a type -> a function that makes one: its properties and simple methods
    WITHOUT      names without a case, each with its reason
    call_of      the `Call` of a name, or None where WITHOUT says why; skips without a library
    folder       where calls that write write

A method that needs no argument, a property, and what Python calls by a dunder name need no line
here: they are called on what THINGS makes.
"""

from __future__ import annotations

import copy
import importlib.util
import inspect
import pickle
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np
import pytest
from house import test_results as results
from house.test_results import (
    EXAMPLES,
    NASTY,
    card,
    curve,
    design,
    elicited,
    estimator,
    laws,
    matrix,
    mixture,
    regression,
    rows,
    states,
    texts,
)
from records.shown import DATA

import matrixbayes as mb
from matrixbayes import windtunnel
from matrixbayes._core import SufficientStatistics
from matrixbayes.rows import BoundedRows


class Call(NamedTuple):
    """A callable and its arguments."""

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}  # noqa: RUF012

    def __call__(self) -> Any:
        return self.function(*self.args, **self.kwargs)


def of(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Call:
    return Call(function, args, kwargs)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="cases-")


def folder() -> Path:
    """A folder that goes with the process."""
    return Path(_folder().name)


# --- what calls are made of

FIVE = [0, 1, 2, 3, 4]
COUNTS = [[1.0, 0.0, 2.0, 0.0, 0.0], [0.0, 3.0, 0.0, 0.0, 1.0]]
HISTORIES = [[0, 1], [2, 0]]


@cache
def partial() -> Any:
    return mb.PartialRows.from_rows(rows(), 2)


@cache
def kernels() -> Any:
    return mb.DirichletMixture.from_rows(rows(), rng=0)


@cache
def bare() -> Any:
    """A mixture whose samples stay in the range of a Bernstein degree."""
    return mb.DirichletMixture([0.5, 0.5], [[1.0, 2.0, 3.0], [2.0, 2.0, 2.0]])


@cache
def counted() -> Any:
    return mb.TransitionMatrix(2, tokens=("a", "b", "c")).update(list("abcabca"))


@cache
def tree() -> Any:
    return mb.TransitionMatrix("tree", depth=2, n_tokens=3).update([0, 1, 2, 0, 1, 1, 2, 0])


@cache
def fading() -> Any:
    return mb.TransitionMatrix(1, n_tokens=3, discount=0.9).update([0, 1, 2, 0, 1])


@cache
def backoff() -> Any:
    return matrix().prune(0.001)


@cache
def interpolation() -> Any:
    return EXAMPLES["Interpolation"]()


@cache
def path() -> Any:
    return mb.posterior_path(mixture(), FIVE)


@cache
def urns() -> Any:
    return windtunnel.Urns(mb.DirichletMixture([1.0], [[2.0, 1.0]]))


@cache
def urn_predictor() -> Any:
    return mb.UrnPredictor(mb.DirichletMixture([1.0], [[2.0, 1.0]]))


@cache
def embedded() -> Any:
    from matrixbayes.continuity import EmbeddingMap

    hidden, head = states()
    return EmbeddingMap(hidden, hidden @ head.T, kind="logits")


@cache
def counts_estimator() -> Any:
    return mb.DirichletMixtureEstimator(1, kind="counts", random_state=0).fit(COUNTS)


@cache
def demo() -> Any:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    return mb.load_demo()


@cache
def predictor() -> Any:
    return mb.TokenPredictor(demo().model, range(8), prefix=[8])


@cache
def layers() -> Any:
    return mb.LayerRows({0: rows(), 1: rows()})


@cache
def a_head() -> Any:
    return results.head()


def tensors() -> tuple[Any, Any]:
    torch = pytest.importorskip("torch")
    return torch.ones(2, 8), torch.zeros(2, 12)


@cache
def logits_file() -> Any:
    """A file of llama.cpp's, of 15 rows over 9 tokens."""
    from records.test_logits_file import contents

    file = folder() / "model.kld"
    file.write_bytes(contents(9, 9, 5)[0])
    return mb.from_llama_cpp(file)


def saved(made: Any, name: str) -> Path:
    """The file of a thing, written once."""
    file = folder() / name
    if not file.exists():
        made.save(file)
    return file


def a_hub_of(made: Any, name: str, file: str) -> Path:
    """A folder that a thing is loaded from by `from_pretrained`."""
    place = folder() / f"hub {name}"
    if not place.exists():
        place.mkdir()
        made.save(place / file)
    return place


def with_contexts(made: Any) -> Any:
    """The rows, with a context each."""
    ids, offsets = np.arange(3 * len(made)), 3 * np.arange(len(made) + 1)
    return replace(made, input_ids=ids, offsets=offsets)


def refused(made: Any) -> str:
    """Why what is known in part is no array."""
    try:
        np.asarray(made)
    except TypeError as error:
        return str(error)
    raise AssertionError("an array was made")


@cache
def single() -> Any:
    """A mixture of one component."""
    return mb.DirichletMixture([1.0], [[1.0, 2.0, 3.0]])


def with_pyarrow(made: Any) -> Any:
    pytest.importorskip("pyarrow")
    return made


@cache
def arpa() -> Path:
    file = folder() / "model.arpa"
    backoff().to_arpa(file, tokens=("a", "b", "c"))
    return file


@cache
def easel() -> Path:
    file = folder() / "easel.txt"
    mb.write_easel(bare(), file)
    return file


@cache
def parquet() -> Path:
    pytest.importorskip("pyarrow")
    file = folder() / "partial.parquet"
    partial().to_parquet(file)
    return file


def shots() -> Any:
    return np.array([0, 1, 2, 4, 8, 16, 32])


def sparse() -> tuple[Any, ...]:
    """A vector of counts."""
    return np.array([0, 2]), np.array([0, 1]), np.array([1.0, 2.0])


def made_folder(name: str) -> Path:
    (folder() / name).mkdir(exist_ok=True)
    return folder() / name


def uniform(width: int) -> Callable[[Any], Any]:
    return lambda x: np.full((*np.shape(x), width), 1.0 / width)


def arms(n_tokens: int = 2) -> Any:
    return windtunnel.MarkovChains(mb.DirichletMixture([1.0], [[1.0] * n_tokens]))


@cache
def drawn_elicited() -> Any:
    """What was elicited, with draws of the bootstrap."""
    pytest.importorskip("arviz_base")
    given, seen = histories_and_rows()
    return mb.elicit_prior(given, seen, kind="probs", family="iid", n_boot=20, rng=0)


@cache
def in_words() -> tuple[list[str], list[str]]:
    return ["good <b>", "bad", "fine", "poor"] * 2, ["positive", "negative"] * 4


def axes(ternary: bool = False) -> Any:
    pytest.importorskip("mpltern")
    from matplotlib.figure import Figure

    return Figure().add_subplot(projection="ternary" if ternary else None)


def drawn_and_closed(made: Any) -> None:
    from matplotlib import pyplot

    from matrixbayes import plot

    pyplot.close(plot.layers_figure(made))


def figure() -> Any:
    pytest.importorskip("mpltern")
    from matplotlib.figure import Figure

    return Figure()


def histories_and_rows() -> tuple[Any, Any]:
    histories = [[(7 * i + t * t) % 3 for t in range(i % 4)] for i in range(16)]
    seen = np.array([np.bincount(h, minlength=3) + 1.0 for h in histories])
    return histories, seen / seen.sum(axis=1)[:, np.newaxis]


# --- one of each type

THINGS: dict[str, Callable[[], Any]] = {
    **{name: cache(make) for name, make in EXAMPLES.items()},
    "Bijection": lambda: windtunnel.Bijection(3),
    "Demo": demo,
    "ElicitedPredictor": lambda: elicited().predictor(),
    "EmbeddingMap": embedded,
    "Finding": lambda: EXAMPLES["PreflightReport"]().findings[0],
    "GammaPrior": lambda: mb.GammaPrior(1.0, 2.0),
    "HMM": lambda: windtunnel.HMM([0.2, 0.8], [[0.7, 0.3], [0.4, 0.6]], [[0.5, 0.5], [0.1, 0.9]]),
    "LogitsFile": logits_file,
    "MarkovChains": arms,
    "Mixture": lambda: windtunnel.Mixture([urns(), arms()]),
    "ShotSlider": lambda: path().slider(),
    "SufficientStatistics": lambda: SufficientStatistics([2.0], [[-1.0, -2.0]], -1.5, 2),
    "Switch": lambda: windtunnel.Switch(2, flipped=0.3),
    "TokenPredictor": predictor,
    "UrnPredictor": urn_predictor,
    "Urns": urns,
}

# --- what needs arguments, or is nobody's method


def of_models() -> dict[str, Callable[[], Call]]:
    """Calls on models and their rows."""
    prompts = ["red red", "black white black"]
    colours = ["red", "orange", "white", "black"]
    texts_ = [" ".join(colours[(i * j + j // 3) % 4] for j in range(8)) for i in range(4)]
    words = [8, 3, 4, 5]

    def on(function: str, *args: Any, **kwargs: Any) -> Call:
        return of(getattr(mb, function), demo().model, demo().tokenizer, *args, **kwargs)

    def studied() -> Call:
        from matrixbayes.study import study

        return of(study, prompts=prompts * 8, components=[1], vocab={"a": ["red"], "b": ["black"]})

    def reported(name: str, *more: Any) -> Call:
        from matrixbayes import study

        return of(getattr(study, name), results.study(), *more)

    return {
        "collect": lambda: on("collect", prompts, vocab=colours),
        "preflight": lambda: on("preflight", prompts),
        "elicit": lambda: on("elicit", texts_, family="iid", rng=0),
        "embed_of": lambda: of(mb.embed_of, demo().model, words),
        "Head": lambda: of(type(a_head()), demo().model),
        "head_of": lambda: of(mb.head_of, demo().model),
        "load_demo": lambda: of(mb.load_demo),
        "study.elicit": lambda: on("elicit", texts_, family="iid", rng=0),
        "study.study": studied,
        "study.summary": lambda: reported("summary"),
        "study.report_html": lambda: reported("report_html"),
        "study.save_study": lambda: reported("save_study", made_folder("study")),
        "TokenPredictor": lambda: of(mb.TokenPredictor, demo().model, range(8), prefix=[8]),
        "TokenPredictor.__call__": lambda: of(predictor(), [[0, 1], [2, 3]]),
        "TokenPredictor.predict": lambda: of(predictor().predict, HISTORIES),
        "TokenPredictor.sample": lambda: of(predictor().sample, 2, 3, rng=0),
        "LayerRows": lambda: of(mb.LayerRows, {0: rows(), 1: rows()}),
        "LayerRows.__getitem__": lambda: of(layers().__getitem__, 1),
        "Head.__call__": lambda: of(a_head(), np.ones((2, 8))),
        "Head.exact": lambda: of(a_head().exact, np.ones((2, 8))),
        "Head.of_layer": lambda: of(a_head().of_layer, np.ones((2, 8))),
        "Head.refusal": lambda: of(a_head().refusal, *tensors()),
    }


def of_mixtures() -> dict[str, Callable[[], Call]]:
    """Calls on mixtures of both types, and what is made of them."""
    new = mb.DirichletMixture
    place = mixture, kernels
    names = "DirichletMixture", "KernelMixture"
    calls: dict[str, Callable[[], Call]] = {}
    for make, name in zip(place, names, strict=True):

        def call(method: str, *args: Any, make: Any = make, **kwargs: Any) -> Call:
            return of(getattr(make(), method), *args, **kwargs)

        counts = [1.0, 0.0, 2.0, 0.0, 1.0]
        for method, args, kwargs in (
            ("column", (NASTY[1],), {}),
            ("interval", (0,), {}),
            ("marginal", (1,), {}),
            ("log_evidence", ([counts],), {}),
            ("log_prob", (rows(),), {}),
            ("responsibilities", (rows(),), {}),
            ("lump", ({"a": [0, 1], "b": [2, 3, 4]},), {}),
            ("posterior", (counts,), {}),
            ("predictive", ([counts],), {}),
            ("reduce", (1,), {"rng": 0}),
            ("sample", (3,), {"rng": 0}),
            ("estimate_entropy", (50,), {"rng": 0}),
        ):
            calls[f"{name}.{method}"] = lambda c=call, m=method, a=args, k=kwargs: c(m, *a, **k)
        calls[f"{name}.sample_log_probs"] = lambda c=call: c(
            "sample_log_probs", 3, np.random.PCG64(0)
        )
        calls[f"{name}.save"] = lambda c=call, n=name: c("save", folder() / f"{n}.safetensors")
        calls[f"{name}.load"] = lambda m=make, n=name: of(
            getattr(mb, n).load, saved(m(), f"kept {n}.safetensors")
        )
        calls[f"{name}.from_pretrained"] = lambda m=make, n=name: of(
            getattr(mb, n).from_pretrained, a_hub_of(m(), n, "prior.safetensors")
        )
    return calls | {
        "DirichletMixture": lambda: of(new, [0.25, 0.75], [[1.0, 2.0], [2.0, 0.5]]),
        "DirichletMixture.count_responsibilities": lambda: of(
            bare().count_responsibilities, [[1.0, 0.0, 2.0]]
        ),
        "DirichletMixture.entropy": lambda: of(single().entropy),
        "DirichletMixture.to_scipy": lambda: of(single().to_scipy),
        "DirichletMixture.durrmeyer": lambda: of(bare().durrmeyer, 3),
        "DirichletMixture.from_density": lambda: of(
            new.from_density, lambda p: 1.0 + p[..., 0], degree=3, n_tokens=2
        ),
        "DirichletMixture.from_rows": lambda: of(new.from_rows, rows(), rng=0),
        "DirichletMixture.from_samples": lambda: of(
            new.from_samples, [[0.5, 0.5], [0.2, 0.8]], kind="probs", degree=3
        ),
        "KernelMixture.component_alphas": lambda: of(
            kernels().component_alphas, 2, np.random.default_rng(0)
        ),
        "KernelMixture.draw_tokens": lambda: of(
            kernels().draw_tokens, 3, 2, rng=np.random.default_rng(0)
        ),
        "KernelMixture.group_evidence": lambda: of(
            kernels().group_evidence, np.zeros(40, int), *sparse()
        ),
        "KernelMixture.log_evidence_of": lambda: of(kernels().log_evidence_of, *sparse()),
        "Uncertainty.in_base": lambda: of(
            type(mixture().uncertainty()).in_base, tuple(mixture().uncertainty()), 2.0
        ),
        "posterior_path": lambda: of(mb.posterior_path, mixture(), FIVE),
        "PosteriorPath.kl": lambda: of(path().kl, np.full((6, 5), 0.2), kind="probs"),
        "PosteriorPath.animate": lambda: of(path().animate, folder() / "path.gif", dpi=20),
        "check_prior": lambda: of(mb.check_prior, mixture(), rows(), n_samples=20),
        "approximation_report": lambda: of(
            mb.approximation_report, lambda p: 2.0 * p[..., 0], degree=4, n_tokens=2
        ),
        "icl_curve": lambda: of(mb.icl_curve, bare(), [[0, 0, 0], [1, 0, 0]]),
        "read_easel": lambda: of(mb.read_easel, easel()),
        "write_easel": lambda: of(mb.write_easel, bare(), folder() / "written.txt"),
        "GammaPrior": lambda: of(mb.GammaPrior, 1.0, 2.0),
    }


def of_rows() -> dict[str, Callable[[], Call]]:
    """Calls on rows, known in whole or in part, and the readers of records."""
    calls: dict[str, Callable[[], Call]] = {}
    for name, make in (("NextTokenRows", rows), ("PartialRows", partial)):
        file = f"{name}.safetensors"
        calls |= {
            f"{name}.context": lambda m=make: of(with_contexts(m()).context, 1),
            f"{name}.save": lambda m=make, f=file: of(m().save, folder() / f),
            f"{name}.load": lambda m=make, n=name, f=file: of(
                getattr(mb, n).load, saved(m(), f"kept {f}")
            ),
            f"{name}.__getitem__": lambda m=make: of(m().__getitem__, slice(1, 3)),
        }
    for name in ("hellinger", "jensen_shannon", "kl", "total_variation"):
        calls[f"PartialRows.{name}"] = lambda n=name: of(getattr(partial(), n), rows())
    for name, file in (
        ("from_inspect", "inspect_log.json"),
        ("from_llama_cpp", "llama_cpp.json"),
        ("from_ollama", "ollama_stream.jsonl"),
        ("from_openai", "openai_chat.json"),
        ("from_sglang", "sglang.json"),
        ("from_tgi", "tgi.json"),
        ("from_vllm", "vllm_chat.json"),
    ):
        calls[name] = lambda n=name, f=file: of(getattr(mb, n), DATA / f)
    return calls | {
        "from_lm_eval": lambda: of(mb.from_lm_eval, next(DATA.glob("samples_toy*"))),
        "AnswerCounts.__getitem__": lambda: of(EXAMPLES["AnswerCounts"]().__getitem__, 0),
        "from_samples": lambda: of(mb.from_samples, [["yes", "no", "well"], ["no"]], ["yes", "no"]),
        "from_topk": lambda: of(
            mb.from_topk, [[7, 3], [3, 2]], np.log([[0.5, 0.25], [0.75, 0.125]])
        ),
        "NextTokenRows": lambda: of(mb.NextTokenRows, np.log([[0.5, 0.5]]), tokens=("a", "b")),
        "NextTokenRows.from_logits": lambda: of(
            mb.NextTokenRows.from_logits, np.zeros((2, 3)), tokens=("a", "b", "c")
        ),
        "PartialRows": lambda: of(mb.PartialRows, [0, 1], np.log([0.5, 0.25]), [0, 2], n_tokens=3),
        "PartialRows.__array__": lambda: of(refused, partial()),
        "PartialRows.from_parquet": lambda: of(
            mb.PartialRows.from_parquet, parquet(), n_tokens=len(NASTY)
        ),
        "PartialRows.to_parquet": lambda: of(with_pyarrow(partial()).to_parquet, folder() / "p.pq"),
        "PartialRows.from_rows": lambda: of(mb.PartialRows.from_rows, rows(), 2),
        "PartialRows.group": lambda: of(partial().group, {"a": [NASTY[0]], "b": [NASTY[1]]}),
        "PartialRows.prob": lambda: of(partial().prob, 0),
        "BoundedRows": lambda: of(
            BoundedRows,
            np.log([[0.4, 0.4]]),
            np.log([[0.5, 0.5]]),
            np.zeros(1, dtype=bool),
            tokens=("a", "b"),
        ),
        "BoundedRows.__array__": lambda: of(refused, EXAMPLES["BoundedRows"]()),
        "BoundedRows.__getitem__": lambda: of(EXAMPLES["BoundedRows"]().__getitem__, slice(1, 3)),
        "LogitsFile.__getitem__": lambda: of(logits_file().__getitem__, slice(1, 3)),
        "show_tokens": lambda: of(mb.show_tokens, EXAMPLES["LearningPath"]()),
        "TokenView.__getitem__": lambda: of(THINGS["TokenView"]().__getitem__, slice(1, 3)),
        "TokenView.hover": lambda: of(THINGS["TokenView"]().hover, 0),
    }


def of_fits() -> dict[str, Callable[[], Call]]:
    """Calls on estimators and what they found."""
    calls: dict[str, Callable[[], Call]] = {}

    def on(method: str, *more: Any, **kwargs: Any) -> Call:
        return of(getattr(estimator(), method), rows(), *more, **kwargs)

    for name in ("aic", "bic", "information", "predict", "predict_proba", "score"):
        calls[f"DirichletMixtureEstimator.{name}"] = lambda n=name: on(n)
    for name in ("score_samples", "summarize", "transform"):
        calls[f"DirichletMixtureEstimator.{name}"] = lambda n=name: on(n)

    def fresh(method: str, **parameters: Any) -> Callable[[], Call]:
        def call() -> Call:
            made = mb.DirichletMixtureEstimator(
                2, **{"max_iter": 5, "tol": 1e3, "n_init": 1, "random_state": 0, **parameters}
            )
            return of(getattr(made, method), rows())

        return call

    for name in ("fit", "fit_predict", "fit_transform", "partial_fit"):
        calls[f"DirichletMixtureEstimator.{name}"] = fresh(name)
    statistics = SufficientStatistics([2.0, 1.0], [[-3.0, -4.0], [-1.0, -2.0]], -1.5, 3)
    return calls | {
        "DirichletMixtureEstimator": lambda: of(mb.DirichletMixtureEstimator, 2, random_state=0),
        "DirichletMixtureEstimator.bits_bounds": lambda: of(estimator().bits_bounds, partial()),
        "DirichletMixtureEstimator.check": lambda: on("check", n_samples=20),
        "DirichletMixtureEstimator.from_summaries": lambda: of(
            copy.copy(estimator()).from_summaries, [estimator().summarize(rows())]
        ),
        "DirichletMixtureEstimator.sample": lambda: of(estimator().sample, 2),
        "DirichletMixtureEstimator.set_params": lambda: of(
            mb.DirichletMixtureEstimator(2).set_params, tol=1e-3
        ),
        "DirichletMixtureEstimator.set_output": lambda: of(
            mb.DirichletMixtureEstimator(2).set_output, transform="default"
        ),
        "SufficientStatistics": lambda: of(SufficientStatistics, [2.0], [[-1.0, -2.0]], -1.5, 2),
        "SufficientStatistics.__add__": lambda: of(statistics.__add__, statistics),
        "CountStatistics.__add__": lambda: of(added, counts_estimator().summarize(COUNTS)),
        "PartialStatistics.__add__": lambda: of(added, estimator().summarize(partial())),
        "PartialStatistics.of_complete": lambda: of(
            mb.PartialStatistics.of_complete, estimator().summarize(rows())
        ),
        "PartialStatistics.permuted": lambda: of(estimator().summarize(partial()).permuted, [1, 0]),
        "PartialStatistics.scaled": lambda: of(estimator().summarize(partial()).scaled, 0.5),
        "select_prior": lambda: of(
            mb.select_prior, rows(), [1, 2], random_state=0, max_iter=3, tol=1e3, n_init=1
        ),
        "regress_concentration": lambda: of(
            mb.regress_concentration, rows(), {"size": np.arange(40) % 4}
        ),
        "ConcentrationRegression.log_concentration": lambda: of(
            regression().log_concentration, np.ones((2, 2)), 0.9
        ),
        "ConcentrationRegression.predict": lambda: of(
            regression().predict, {"size <b>": [1.0, 2.0]}
        ),
        "ConcentrationRegression.prior": lambda: of(regression().prior, {"size <b>": [1.0]}),
    }


def added(made: Any) -> Any:
    return made + made


def of_matrices() -> dict[str, Callable[[], Call]]:
    """Calls on matrices and what is compiled or mixed of them."""
    calls: dict[str, Callable[[], Call]] = {}
    text = [0, 1, 2, 0, 1]

    def fresh() -> Any:
        return matrix().copy()

    for name, make in (("TransitionMatrix", matrix), ("BackoffModel", backoff)):
        for method in ("log_prob", "perplexity", "scores"):
            calls[f"{name}.{method}"] = lambda m=make, n=method: of(getattr(m(), n), text)
        for method in ("encode", "entropy"):
            calls[f"{name}.{method}"] = lambda n=method, w=worded[name]: of(
                getattr(w(), n), ["a", "b"]
            )
        for method in ("score", "logscore"):
            calls[f"{name}.{method}"] = lambda n=method, w=worded[name]: of(
                getattr(w(), n), "a", ["b"]
            )
        file, kept = f"{name}.safetensors", HUB_NAMES[name]
        calls |= {
            f"{name}.__getitem__": lambda m=make: of(m().__getitem__, [0, 1]),
            f"{name}.generate": lambda m=make: of(m().generate, 3, rng=0),
            f"{name}.predict": lambda m=make: of(m().predict, [[0, 1], [2, 0]]),
            f"{name}.save": lambda m=make, f=file: of(m().save, folder() / f),
            f"{name}.open": lambda m=make, n=name, f=file: of(
                getattr(mb, n).open, saved(m(), f"kept {f}")
            ),
            f"{name}.from_pretrained": lambda m=make, n=name, k=kept: of(
                getattr(mb, n).from_pretrained, a_hub_of(m(), n, k)
            ),
            f"{name}.to_arpa": lambda m=make, n=name: of(
                m().to_arpa, folder() / f"{n}.arpa", tokens=("a", "b", "c")
            ),
        }
    for method in ("log_prob", "perplexity", "scores"):
        calls[f"Interpolation.{method}"] = lambda n=method: of(getattr(interpolation(), n), text)
    new = mb.TransitionMatrix
    return calls | {
        "BackoffModel": lambda: of(mb.BackoffModel, backoff()._grams, tokens=("a", "b", "c")),
        "BackoffModel.matched": lambda: of(backoff().matched, text),
        "Concentration.beside": lambda: of(matrix().concentrations[0].beside, matrix().prior),
        "Interpolation.__getitem__": lambda: of(interpolation().__getitem__, [0]),
        "Interpolation.generate": lambda: of(interpolation().generate, 3, rng=0),
        "Interpolation.predict": lambda: of(interpolation().predict, [[0, 1], [2, 0]]),
        "TransitionMatrix": lambda: of(new, 2, n_tokens=3, hierarchical=True),
        "TransitionMatrix.__add__": lambda: of(added, counted()),
        "TransitionMatrix.best_tree": lambda: of(tree().best_tree),
        "TransitionMatrix.counts": lambda: of(matrix().counts, [[0, 1]]),
        "TransitionMatrix.downdate": lambda: of(fresh().downdate, [0, 1, 2]),
        "TransitionMatrix.fit_prior": lambda: of(counted().copy().fit_prior, random_state=0),
        "TransitionMatrix.forget": lambda: of(fading().copy().forget, 0.5),
        "TransitionMatrix.freeze": lambda: of(counted().freeze, folder() / "frozen"),
        "TransitionMatrix.from_text": lambda: of(new.from_text, "a b a c a b", order=1),
        "TransitionMatrix.going_on_from": lambda: of(matrix().going_on_from, [0, 1]),
        "TransitionMatrix.log_evidence": lambda: of(matrix().log_evidence, text),
        "TransitionMatrix.merge": lambda: of(fresh().merge, matrix()),
        "TransitionMatrix.posterior": lambda: of(counted().posterior, [0, 1]),
        "TransitionMatrix.posterior_order": lambda: of(tree().posterior_order, [[0, 1]]),
        "TransitionMatrix.prune": lambda: of(matrix().prune, 0.001),
        "TransitionMatrix.thaw": lambda: of(frozen().thaw),
        "TransitionMatrix.totals": lambda: of(matrix().totals, [[0, 1]]),
        "TransitionMatrix.update": lambda: of(fresh().update, [[0, 1, 2], [1, 1]]),
        "TransitionMatrix.update_rows": lambda: of(fresh().update_rows, [[0, 1]], [[1, 0, 2]]),
        "read_arpa": lambda: of(mb.read_arpa, arpa()),
        "interpolate": lambda: of(mb.interpolate, [matrix(), backoff()], text),
        "compare": lambda: of(mb.compare, rows(), rows()),
        "bits_per_byte": lambda: of(mb.bits_per_byte, counted(), ["ab", "c"], list),
        "BitsPerByte.difference": lambda: of(texts().difference, texts()),
    }


@cache
def frozen() -> Any:
    return counted().freeze(folder() / "frozen once")


worded = {"TransitionMatrix": counted, "BackoffModel": lambda: counted().prune(0.001)}
HUB_NAMES = {"TransitionMatrix": "matrix.safetensors", "BackoffModel": "backoff.safetensors"}


def of_studies() -> dict[str, Callable[[], Call]]:
    """Calls that test models, and of learning curves, continuity and wind tunnels."""
    calls: dict[str, Callable[[], Call]] = {}
    few = {"n": 20, "length": 8, "n_boot": 19, "rng": 0}
    for name in ("forgetting_test", "martingale_test", "uncertainty_scaling_test"):
        calls[name] = lambda n=name: of(getattr(mb, n), urn_predictor(), **few)
    for name in ("predict", "__call__"):
        calls[f"ElicitedPredictor.{name}"] = lambda n=name: of(
            getattr(elicited().predictor(), n), HISTORIES
        )
        calls[f"UrnPredictor.{name}"] = lambda n=name: of(
            getattr(urn_predictor(), n), [[0, 1], [1, 1]]
        )
    for name in ("Bijection", "HMM", "MarkovChains", "Mixture", "Switch", "Urns"):
        ids = np.array([[0, 1, 0]]) if name not in ("Bijection", "Switch") else None

        def task_call(method: str, name: str = name, ids: Any = ids) -> Call:
            task = THINGS[name]()
            given = task.sample(2, 4, rng=0) if ids is None else ids
            return of(getattr(task, method), given)

        calls[f"windtunnel.{name}.log_predictive"] = lambda c=task_call: c("log_predictive")
        calls[f"windtunnel.{name}.sample"] = lambda n=name: of(THINGS[n]().sample, 2, 4, rng=0)
        if name in ("Bijection", "HMM", "Switch"):
            calls[f"windtunnel.{name}.lenient"] = lambda c=task_call: c("lenient")
        if name == "Mixture":
            calls[f"windtunnel.{name}.log_posterior"] = lambda c=task_call: c("log_posterior")
    hidden, head = states()
    return calls | {
        "exchangeability_test": lambda: of(
            mb.exchangeability_test, urn_predictor(), n_permutations=2, **few
        ),
        "score_card": lambda: of(
            mb.score_card, urn_predictor(), None, urns(), rng=0, n=20, n_boot=99, length=8
        ),
        "ScoreCard.__getitem__": lambda: of(card().__getitem__, card().tests[0].name),
        "DiagnosticTest.null_quantile": lambda: of(card().tests[0].null_quantile, 0.9),
        "UrnPredictor": lambda: of(mb.UrnPredictor, bare()),
        "UrnPredictor.sample": lambda: of(urn_predictor().sample, 2, 3, rng=0),
        "ElicitedPredictor": lambda: of(mb.ElicitedPredictor, elicited()),
        "ElicitationReport.to_arviz": lambda: of(drawn_elicited().to_arviz),
        "ElicitedPredictor.log_evidence": lambda: of(elicited().predictor().log_evidence, [0, 1]),
        "ElicitedPredictor.sample": lambda: of(elicited().predictor().sample, 2, 3, rng=0),
        "ElicitationReport.posterior": lambda: of(elicited().posterior, [0, 1]),
        "ElicitationReport.predict": lambda: of(elicited().predict, HISTORIES),
        "elicit_prior": lambda: of(
            mb.elicit_prior, *histories_and_rows(), kind="probs", family="iid", rng=0
        ),
        "Floor.text": lambda: of(elicited().floor.text, "bits", 2),
        "Parameters.scalar": lambda: of(elicited().parameters.scalar, "temperature"),
        "learning_path": lambda: of(mb.learning_path, mixture(), uniform(5), FIVE, kind="probs"),
        "LearningPath.animate": lambda: of(
            THINGS["LearningPath"]().animate, folder() / "learning.gif", dpi=20
        ),
        "fit_icl_curve": lambda: of(
            mb.fit_icl_curve, shots(), (2 + shots()) / (10 + shots()), n_boot=3, rng=0
        ),
        "IclCurve.__call__": lambda: of(curve().dirichlet, shots()),
        "fit_scaling_laws": lambda: of(
            mb.fit_scaling_laws, shots(), [0.9 - 0.8 / (shots() + 1)], laws="power", rng=0
        ),
        "LawFit.__call__": lambda: of(laws().best, shots()),
        "ScalingFit.__getitem__": lambda: of(laws().__getitem__, next(iter(laws().laws))),
        "bayesian_law": lambda: of(mb.bayesian_law, shots(), [0.5, 0.5], [0.9, 0.1]),
        "flipped_label_design": lambda: of(
            mb.flipped_label_design, *in_words(), shots=(0, 1), n_sequences=2, rng=0
        ),
        "unrelated_label_design": lambda: of(
            mb.unrelated_label_design, *in_words(), shots=(0, 1), n_sequences=2, rng=0
        ),
        "LabelDesign.curve": lambda: of(
            design().curve, np.full((len(design()), 2), 0.5), kind="probs"
        ),
        "LabelDesign.fit": lambda: of(
            design().fit, np.full((len(design()), 2), 0.5), kind="probs", n_boot=3, rng=0
        ),
        "LabelDesign.probabilities": lambda: of(
            design().probabilities, np.full((len(design()), 2), 0.5), kind="probs"
        ),
        "affine_test": lambda: of(
            mb.affine_test, hidden, hidden @ head.T, kind="logits", n_permutations=19, rng=0
        ),
        "check_continuity": lambda: of(
            mb.check_continuity, hidden, hidden @ head.T, kind="logits", n_boot=19, rng=0
        ),
        "head_bound": lambda: of(mb.head_bound, head, hidden, rng=0),
        "probe_segment": lambda: of(mb.probe_segment, head, hidden[0], hidden[1]),
        "span_of": lambda: of(mb.span_of, hidden @ head.T, kind="logits"),
        "EmbeddingMap": lambda: of(mb.EmbeddingMap, hidden, hidden @ head.T, kind="logits"),
        "EmbeddingMap.pairs": lambda: of(embedded().pairs, [0, 1], [2, 3]),
        "EmbeddingMap.sample": lambda: of(embedded().sample, 10, rng=0),
        "windtunnel.Bijection": lambda: of(windtunnel.Bijection, 3),
        "windtunnel.HMM": lambda: of(
            windtunnel.HMM, [0.2, 0.8], [[0.7, 0.3], [0.4, 0.6]], [[0.5, 0.5], [0.1, 0.9]]
        ),
        "windtunnel.MarkovChains": lambda: of(windtunnel.MarkovChains, bare()),
        "windtunnel.Mixture": lambda: of(windtunnel.Mixture, [urns(), arms()]),
        "windtunnel.Switch": lambda: of(windtunnel.Switch, 2, flipped=0.3),
        "windtunnel.Urns": lambda: of(windtunnel.Urns, bare()),
        "windtunnel.score": lambda: of(
            windtunnel.score, urns(), uniform(2), kind="probs", n=4, length=3, rng=0
        ),
    }


def of_pictures() -> dict[str, Callable[[], Call]]:
    """Calls of `matrixbayes.plot`, each on axes of its own."""
    things: dict[str, Callable[[], tuple[Any, ...]]] = {
        "calibration": lambda: (EXAMPLES["Comparison"](),),
        "check": lambda: (THINGS["FitCheck"](),),
        "compare_components": lambda: ({"a": mixture(), "b": mixture()},),
        "component_weights": lambda: (path(),),
        "components": lambda: (mixture(),),
        "concentration": lambda: (path(),),
        "concentration_regression": lambda: (regression(),),
        "continuity": lambda: (THINGS["ContinuityReport"](),),
        "criterion": lambda: (THINGS["PriorSelection"](),),
        "curves": lambda: ({"a": [1.0, 0.5], "b": [0.2, 0.1]},),
        "elicitation": lambda: (elicited(),),
        "icl_curve": lambda: (curve(),),
        "kl": lambda: (path(), np.full((6, 5), 0.2)),
        "layers": lambda: (layers(),),
        "learning_path": lambda: (THINGS["LearningPath"](),),
        "mixture_weights": lambda: (interpolation(),),
        "scaling_laws": lambda: (laws(),),
        "ternary": lambda: (mixture(),),
        "total_concentration": lambda: (path(),),
        "wind_tunnel": lambda: (THINGS["WindTunnelScore"](),),
    }
    options = {"kl": {"kind": "probs"}, "ternary": {"resolution": 10, "tokens": [0, 1, 2]}}
    figures = {"check": True, "concentration": True, "elicitation": True, "learning_path": True}

    def drawn(name: str) -> Call:
        pytest.importorskip("mpltern")
        from matrixbayes import plot

        whole = name.endswith("_figure")
        on = {"figure": figure()} if whole else {"ax": axes(name == "ternary")}
        made = things[name.removesuffix("_figure")]()
        if name == "layers_figure":
            return of(drawn_and_closed, *made)
        return of(getattr(plot, name), *made, **options.get(name, {}), **on)

    names = [*things, *(f"{name}_figure" for name in figures), "layers_figure"]
    return {f"plot.{name}": lambda n=name: drawn(n) for name in names}


def of_clusters() -> dict[str, Callable[[], Call]]:
    """Calls of `matrixbayes.dask`, on threads of Dask's."""

    def fitted() -> Call:
        dask_array = pytest.importorskip("dask.array")
        from matrixbayes import dask

        made = mb.DirichletMixtureEstimator(1, max_iter=2, tol=1e3, kind="log_probs")
        return of(dask.fit, made, dask_array.from_array(rows().log_probs, (20, 5)))

    def updated() -> Call:
        dask_array = pytest.importorskip("dask.array")
        from matrixbayes import dask

        tokens = dask_array.from_array(np.array([0, 1, 2, 0, 1, 1, 2, 0]), 4)
        return of(dask.update, matrix().copy(), tokens)

    return {"dask.fit": fitted, "dask.update": updated}


CALLS: dict[str, Callable[[], Call]] = {
    name: make
    for table in (
        of_models, of_mixtures, of_rows, of_fits, of_matrices, of_studies, of_pictures, of_clusters
    )
    for name, make in table().items()
}  # fmt: skip

# --- all public callables

# Modules with public names, and what stands before these.
FRONTS = {"": mb, "windtunnel.": windtunnel}
LATER = {"plot.": "plot", "dask.": "dask", "study.": "study"}
NEEDED = {"plot": "mpltern", "dask": "dask.array", "study": "transformers"}


def hashed(x: Any) -> Any:
    """The hash; None of what holds arrays."""
    try:
        return hash(x)
    except TypeError:
        return None


# What Python calls by another name.
OPERATORS: dict[str, Callable[[Any], Any]] = {
    "__repr__": repr,
    "__str__": str,
    "__len__": len,
    "__iter__": list,
    "__float__": float,
    "__array__": np.asarray,
    "__eq__": lambda x: x == x,
    "__hash__": hashed,
    "__radd__": lambda x: sum([x, x]),
    "__copy__": copy.copy,
    "__deepcopy__": copy.deepcopy,
    "__reduce__": lambda x: pickle.loads(pickle.dumps(x)),
    "__sklearn_clone__": lambda x: x.__sklearn_clone__(),
    "__sklearn_tags__": lambda x: x.__sklearn_tags__(),
    "_repr_html_": lambda x: x._repr_html_(),
}
# What every object has, whoever defines it.
OF_ALL = ("__repr__", "__copy__", "__deepcopy__", "__reduce__", "__eq__")
# What goes through one of OPERATORS, is made by Python, or is the type's own business.
ELSEWHERE = {"__getstate__", "__setstate__", "__getnewargs__", "__getnewargs_ex__", "__new__"}
ELSEWHERE |= {"__init__", "__post_init__", "__setattr__", "__delattr__", "__subclasshook__"}
ELSEWHERE |= {"__dict__", "__weakref__", "widget"}
ELSEWHERE |= {f"__{name}__" for name in ("ne", "lt", "le", "gt", "ge")}

IN_HUB = "sends files to the hub: tests/base/test_hub.py has one that is a folder"
INSIDE = "made by others: what it is made of is no argument of a user's"
WITHOUT: dict[str, str] = {
    **{
        f"{name}.push_to_hub": IN_HUB
        for name in ("BackoffModel", "DirichletMixture", "KernelMixture", "TransitionMatrix")
    },
    **dict.fromkeys(("KernelMixture", "LogitsFile", "ShotSlider", "TokenView.of"), INSIDE),
}


class Member(NamedTuple):
    """A public callable: where it is found, and of which type."""

    owner: Any  # a type or a module
    name: str


def types() -> dict[str, type]:
    """Every public type, and the type of every result, by the name that its members begin with."""
    found: dict[str, type] = {}
    for prefix, module in FRONTS.items():
        for name in module.__all__:
            if isinstance(thing := getattr(module, name), type):
                found[f"{prefix}{name}"] = thing
    known = {kind.__name__ for kind in found.values()}
    others = {name for name in THINGS if name not in known}
    for name, kinds in results.classes().items():
        if name in others:  # a result is the tuple, where a mixin has the same name
            found[name] = max(kinds, key=lambda kind: issubclass(kind, tuple))
    return found


def members(kind: type) -> Iterator[str]:
    """What a type of ours lets others call or read."""
    for name in dir(kind):
        owner = next(each for each in kind.__mro__ if name in vars(each))
        value = inspect.getattr_static(kind, name)
        ours = owner.__module__.startswith("matrixbayes")
        shown = not name.startswith("_") or name in OPERATORS or (name[:2] == name[-2:] == "__")
        called = isinstance(value, FunctionType | classmethod | staticmethod | property) or (
            hasattr(value, "__get__") and not isinstance(value, type)
        )
        if (ours and shown and called and name not in ELSEWHERE) or name in OF_ALL:
            yield name


@cache
def public() -> dict[str, Member]:
    """Every public callable, by name."""
    found: dict[str, Member] = {}
    modules = dict(FRONTS)
    for prefix, name in LATER.items():
        if importlib.util.find_spec(NEEDED[name].partition(".")[0]):
            modules[prefix] = importlib.import_module(f"matrixbayes.{name}")
    for prefix, module in modules.items():
        for name in module.__all__:
            thing = getattr(module, name)
            if callable(thing) and not isinstance(thing, type):
                found[f"{prefix}{name}"] = Member(module, name)
    for name, kind in types().items():
        if issubclass(kind, BaseException) or inspect.isabstract(kind) or name.endswith("Task"):
            continue
        found[name] = Member(kind, "__new__")
        found |= {f"{name}.{member}": Member(kind, member) for member in members(kind)}
    return found


def thing(name: str) -> Any:
    """An object of the type that a name begins with."""
    return THINGS[name.removeprefix("windtunnel.").partition(".")[0]]()


def parts(made: Any) -> dict[str, Any]:
    """What a named tuple or a dataclass was made of."""
    if hasattr(made, "_asdict"):
        return dict(made._asdict())
    fields = made.__dataclass_fields__.values()
    return {field.name: getattr(made, field.name) for field in fields if field.init}


VARYING = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def needs_arguments(member: Member) -> bool:
    """Whether a member of a type is one that cannot be called without arguments, or not read."""
    if member.name == "__new__":
        kind = member.owner
        return not (hasattr(kind, "_fields") or hasattr(kind, "__dataclass_fields__"))
    value = inspect.getattr_static(member.owner, member.name)
    if member.name in OPERATORS or not isinstance(value, FunctionType | classmethod | staticmethod):
        return False
    bound = inspect.signature(getattr(member.owner, member.name)).parameters.values()
    given = [each for each in bound if each.name != "self"]
    return any(each.default is each.empty and each.kind not in VARYING for each in given)


def call_of(name: str) -> Call | None:
    """The call of a public callable; None where WITHOUT has its name, KeyError without a case."""
    if name in WITHOUT:
        return None
    if name in CALLS:
        return CALLS[name]()
    member = public()[name]
    if not isinstance(member.owner, type) or needs_arguments(member):
        raise KeyError(name)
    made = thing(name)
    if member.name == "__new__":
        return of(type(made), **parts(made))
    if member.name in OPERATORS:
        return of(OPERATORS[member.name], made)
    if isinstance(
        inspect.getattr_static(member.owner, member.name),
        FunctionType | classmethod | staticmethod,
    ):
        drawn = {"plot": {"ax": axes}, "plot_figure": {"figure": figure}}.get(member.name, {})
        return of(getattr(made, member.name), **{key: make() for key, make in drawn.items()})
    return of(getattr, made, member.name)


# What others keep, each time that we call them.
FROM_PRETRAINED = "AutoModelForCausalLM.from_pretrained keeps some 60 blocks of Python's by itself"
OF_OTHERS = dict.fromkeys(("load_demo", "study.study"), FROM_PRETRAINED)
# Those that take seconds: a fit of a kernel mixture, or the whole analysis of a model.
SLOW = {"KernelMixture.reduce", "study.study", "study.report_html", "study.save_study"}


def draws(name: str) -> bool:
    """Whether a call draws a picture, which takes a tenth of a second of matplotlib's."""
    return "plot" in name or name.endswith((".animate", "_figure"))
