"""Every public callable with one valid call of it: what hostile arguments are put into.

Public is what the front names, what its modules `windtunnel` and `plot` name, what the types among
them have without an underscore, and the functions, types and methods of the core.  A call whose
arguments all have defaults is found by itself; the others stand in `CALLS` and `CORE`.

Contents
    Call         a callable and the arguments of a valid call, by parameter
    callables    every public callable, by name
    valid_call   a valid call of one of them, made anew
"""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from core import leak_cases as leaks
from house import test_results as made

import matrixbayes as mb
from matrixbayes import _core, windtunnel

# Exceptions are Python's, and a base class is there for others.
EXCEPTIONS = {"ConvergenceWarning", "MisfitWarning", "NotFittedError"}
ABSTRACT = {"windtunnel.Task"}
# Asks a network, or renders a film for seconds: tests of their own.
ELSEWHERE = {"push_to_hub", "from_pretrained", "animate", "slider"}


@dataclasses.dataclass
class Call:
    function: Callable[..., Any]
    arguments: dict[str, Any]  # by parameter, those with a default too

    def __call__(self, **changed: Any) -> Any:
        """The call, with some arguments changed."""
        given = {**self.arguments, **changed}
        first, rest, named = [], [], {}
        for name, kind in kinds(self.function, tuple(self.arguments)).items():
            if kind == "var":
                rest = list(given[name])
            elif kind == "options":
                named |= given[name]
            elif kind == "named":
                named[name] = given[name]
            else:
                first.append(given[name])
        return self.function(*first, *rest, **named)


@cache
def parameters(function: Any) -> tuple[inspect.Parameter, ...] | None:
    """The parameters of a callable, None where nothing tells them."""
    try:
        return tuple(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None


def kinds(function: Any, names: tuple[str, ...]) -> dict[str, str]:
    known = parameters(function) or ()
    table = {each.name: each for each in known}
    found = {}
    for name in names:
        kind = table[name].kind if name in table else inspect.Parameter.POSITIONAL_ONLY
        found[name] = {2: "var", 3: "named", 4: "options"}.get(int(kind), "placed")
    return found


def bound(function: Any, *args: Any, **kwargs: Any) -> Call:
    """A call, its arguments by the names of the parameters, defaults too."""
    if parameters(function) is None:
        return Call(function, {f"argument {i}": each for i, each in enumerate(args)} | kwargs)
    given = inspect.signature(function).bind(*args, **kwargs)
    given.apply_defaults()
    return Call(function, dict(given.arguments))


# -- the walk ------------------------------


def members(prefix: str, kind: type) -> Iterator[str]:
    """A type and its methods, but for those that tuples and the like give it."""
    yield prefix
    for name in dir(kind):
        method = getattr(kind, name)
        if name.startswith("_") or name in ELSEWHERE or not callable(method):
            continue
        home = getattr(method, "__objclass__", getattr(method, "__self__", method))
        if str(getattr(home, "__module__", "")).startswith("matrixbayes"):
            yield f"{prefix}.{name}"


def homes() -> dict[str, Any]:
    """The modules whose names are public, by prefix."""
    found: dict[str, Any] = {"": mb, "windtunnel.": windtunnel}
    if importlib.util.find_spec("mpltern"):
        from matrixbayes import plot

        found["plot."] = plot
    return found


@cache
def callables() -> tuple[str, ...]:
    """Every public callable, by name."""
    found: list[str] = []
    for prefix, module in homes().items():
        for name in module.__all__:
            thing = getattr(module, name, None) if name != "plot" else None
            full = prefix + name
            if isinstance(thing, type) and full not in ABSTRACT | EXCEPTIONS:
                found += members(full, thing)
            elif callable(thing) and not isinstance(thing, type):
                found.append(full)
    for name, thing in vars(_core).items():
        if isinstance(thing, type):
            found += members(f"_core.{name}", thing)
        elif callable(thing) and not name.startswith("_"):
            found.append(f"_core.{name}")
    return tuple(sorted(found))


def thing_of(name: str) -> Any:
    """What a name stands for: a function, a type, or a method without an owner."""
    parts = name.split(".")
    thing: Any = mb
    if parts[0] in ("windtunnel", "plot", "_core"):
        thing = {"_core": _core, **{k[:-1]: v for k, v in homes().items() if k}}[parts.pop(0)]
    for part in parts:
        thing = getattr(thing, part)
    return thing


def valid_call(name: str) -> Call:
    """A valid call of a public callable, with arguments that nobody else has.

    Raises
    ------
    KeyError
        There is none yet: `CALLS` or `CORE` wants one.
    """
    table = CORE if name.startswith("_core.") else CALLS
    if name in table:
        function, args, kwargs = table[name]()
        return bound(function, *args, **kwargs)
    thing = thing_of(name)
    if isinstance(thing, type):
        return of_fields(thing, owner(name))
    whose, _, method = name.rpartition(".")
    if not whose or isinstance(thing_of(whose), ModuleType):
        return bound(thing)
    return bound(getattr(owner(whose), method))


def of_fields(kind: type, instance: Any) -> Call:
    """What makes a result anew, of what one has."""
    if dataclasses.is_dataclass(kind):
        fields = [each.name for each in dataclasses.fields(kind) if each.init]
        own = {each: getattr(instance, each) for each in fields}
        return bound(kind, **own)
    if hasattr(kind, "_fields"):
        return bound(kind, *instance)
    return bound(kind)


def owner(name: str) -> Any:
    """An object of a public type, made anew."""
    if name in OWNERS:
        return OWNERS[name]()
    return made.EXAMPLES[name.rpartition(".")[2]]()


# -- owners ------------------------------

ROWS = np.log(np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8], [0.3, 0.3, 0.4]]))
PROBS = np.exp(ROWS)
TEXT = [0, 1, 2, 0, 1, 1, 2, 0, 2, 1, 0, 1]
STATES = np.random.default_rng(0).normal(size=(12, 3))
HEAD = np.random.default_rng(1).normal(size=(5, 3))


def folder() -> Path:
    return Path(tempfile.mkdtemp(dir=FOLDER.name))


FOLDER = tempfile.TemporaryDirectory()


def prior() -> Any:
    return mb.DirichletMixture([0.25, 0.75], [[1.0, 2.0, 3.0], [0.5, 0.5, 4.0]], tokens="abc")


def rows() -> Any:
    return mb.NextTokenRows(ROWS.copy(), tokens=("a", "b", "c"))


def partial() -> Any:
    return mb.PartialRows.from_rows(rows(), 2)


def matrix(**options: Any) -> Any:
    options = {"n_tokens": 3} | options
    return mb.TransitionMatrix(1, **options).update(TEXT)


def backoff() -> Any:
    return mb.TransitionMatrix(2, n_tokens=3, hierarchical=True).update(TEXT).prune(0.001)


def words() -> Any:
    return mb.TransitionMatrix.from_text("a b a b b a", order=2, hierarchical=True)


def tree() -> Any:
    return mb.TransitionMatrix("tree", depth=2, n_tokens=3).update(TEXT)


def kernels() -> Any:
    return mb.DirichletMixture.from_rows(rows(), rng=0)


def fitted(**options: Any) -> Any:
    options = {"kind": "log_probs", "random_state": 0, "max_iter": 5} | options
    return mb.DirichletMixtureEstimator(1, tol=1.0, **options).fit(ROWS)


def urn() -> Any:
    return mb.UrnPredictor(prior())


def design() -> Any:
    return mb.flipped_label_design(
        ["x", "y", "z", "w"], ["p", "q", "p", "q"], shots=(0, 1), n_sequences=2, rng=0
    )


def even(width: int) -> Callable[..., Any]:
    return lambda x: np.full((*np.shape(x), width), 1.0 / width)


def shown_text() -> Any:
    """What `TokenView.of` is given."""
    from matrixbayes.reading import show

    path, view = made.EXAMPLES["LearningPath"](), owner("TokenView")
    _, text = show._of_path(path)
    return text, view.measured, view.columns, view.value, view.with_posterior


def logits_file() -> Any:
    path = folder() / "logits.bin"
    codes = leaks.even_codes(3, 5)
    head = b"_logits_" + np.array([4, 5, 2], np.int32).tobytes()
    tokens = np.arange(8, dtype=np.int32) % 5
    path.write_bytes(
        head + tokens.tobytes() + leaks.even_codes(2, 5).tobytes() + codes[:0].tobytes()
    )
    return path


def empty_head() -> Any:
    return made.head()


@cache
def tiny_model() -> Any:
    import torch
    import transformers

    torch.manual_seed(0)
    shape = {"vocab_size": 12, "n_positions": 16, "n_embd": 8, "n_layer": 1, "n_head": 2}
    config = transformers.GPT2Config(**shape, bos_token_id=0, eos_token_id=0)
    return transformers.GPT2LMHeadModel(config).eval()


@cache
def demo() -> Any:
    return mb.load_demo()


OWNERS: dict[str, Callable[[], Any]] = {
    "BackoffModel": backoff,
    "BitsPerByte": lambda: mb.bits_per_byte(
        mb.TransitionMatrix(1, tokens=("a", "b")).update(list("abab")), ["ab"], list
    ),
    "DirichletMixture": prior,
    "DirichletMixtureEstimator": fitted,
    "ElicitedPredictor": lambda: made.elicited().predictor(),
    "EmbeddingMap": lambda: mb.EmbeddingMap(STATES[:4].copy(), rows()),
    "GammaPrior": lambda: mb.GammaPrior(1.0, 2.0),
    "KernelMixture": kernels,
    "LogitsFile": lambda: mb.LogitsFile(logits_file()),
    "NextTokenRows": rows,
    "PartialRows": partial,
    "PosteriorPath": lambda: mb.posterior_path(prior(), [0, 1, 2]),
    "SufficientStatistics": lambda: leaks.statistics(),
    "TokenPredictor": lambda: mb.TokenPredictor(tiny_model(), [1, 2, 3], prefix=[1]),
    "TransitionMatrix": matrix,
    "UrnPredictor": urn,
    "windtunnel.Bijection": lambda: windtunnel.Bijection(3),
    "windtunnel.HMM": lambda: windtunnel.HMM([0.5, 0.5], [[0.9, 0.1]] * 2, [[0.5, 0.5]] * 2),
    "windtunnel.MarkovChains": lambda: windtunnel.MarkovChains(prior()),
    "windtunnel.Mixture": lambda: windtunnel.Mixture([windtunnel.Urns(prior())]),
    "windtunnel.Switch": lambda: windtunnel.Switch(),
    "windtunnel.Urns": lambda: windtunnel.Urns(prior()),
}

# -- calls ------------------------------

Given = tuple[Any, tuple[Any, ...], dict[str, Any]]


def of(name: str, *args: Any, **kwargs: Any) -> Callable[[], Given]:
    """A call whose arguments are copied anew each time; a callable among them makes one."""
    import copy

    def make() -> Given:
        whose, _, method = name.rpartition(".")
        if whose in ("", "windtunnel", "plot") or inspect.ismethod(thing_of(name)):
            function = thing_of(name)
        else:
            function = getattr(owner(whose), method)
        new = tuple(each.make() if isinstance(each, Made) else copy.deepcopy(each) for each in args)
        named = {
            k: v.make() if isinstance(v, Made) else copy.deepcopy(v) for k, v in kwargs.items()
        }
        return function, new, named

    return make


@dataclasses.dataclass
class Made:
    """An argument that is made for the call."""

    make: Callable[[], Any]


CALLS: dict[str, Callable[[], Given]] = {}


def add(name: str, *args: Any, **kwargs: Any) -> None:
    CALLS[name] = of(name, *args, **kwargs)


def saved(thing: Callable[[], Any], how: str = "save") -> Made:
    def make() -> Path:
        path = folder() / "file"
        getattr(thing(), how)(path)
        return path

    return Made(make)


NEW = Made(lambda: folder() / "new")
RECORDS = Path(__file__).resolve().parents[1] / "data" / "records"
TOPK = {"ids": [[0, 1], [2, 1]], "log_probs": [[-0.5, -1.0], [-0.25, -2.0]]}
for _name, _text in {"BackoffModel": [0, 1, 2, 0], "TransitionMatrix": [0, 1, 2, 0]}.items():
    for _method in ("entropy", "log_prob", "perplexity", "scores"):
        add(f"{_name}.{_method}", _text)
    add(f"{_name}.generate", 3, [0, 1][: 2 if _name == "BackoffModel" else 1], rng=0)
    add(f"{_name}.logscore", 1, [0])
    add(f"{_name}.score", 1, [0])
    add(f"{_name}.predict", [[0], [1]])
    add(f"{_name}.save", NEW)
    add(f"{_name}.to_arpa", NEW)
CALLS["TransitionMatrix.encode"] = lambda: (words().encode, ("a b",), {})
CALLS["BackoffModel.encode"] = lambda: (words().prune(0.001).encode, ("a b",), {})
add("BackoffModel.matched", [0, 1, 2, 0])
CALLS["BackoffModel"] = lambda: (mb.BackoffModel, (backoff()._grams,), {"tokens": tuple("abc")})
add("BackoffModel.open", saved(backoff))
add("BitsPerByte.difference", Made(lambda: OWNERS["BitsPerByte"]()))
add("ConcentrationRegression.log_concentration", np.ones((1, 2)), 0.9)
add("ConcentrationRegression.predict", {"size <b>": [1.0, 2.0]})
add("ConcentrationRegression.prior", {"size <b>": [1.0]})
add("DiagnosticTest.null_quantile", 0.5)
for _name in ("DirichletMixture", "KernelMixture"):
    add(f"{_name}.column", "a")
    add(f"{_name}.interval", "a")
    add(f"{_name}.log_evidence", [1.0, 0.0, 2.0])
    add(f"{_name}.log_prob", ROWS, kind="log_probs")
    add(f"{_name}.responsibilities", ROWS, kind="log_probs")
    add(f"{_name}.lump", {"x": ["a", "b"], "y": "c"})
    add(f"{_name}.marginal", "a")
    add(f"{_name}.posterior", [1.0, 0.0, 2.0])
    add(f"{_name}.sample", 2, rng=0)
    add(f"{_name}.sample_log_probs", 2, Made(lambda: np.random.PCG64(1)))
    add(f"{_name}.save", NEW)
    add(f"{_name}.estimate_entropy", 50, rng=0)
add("DirichletMixture", [0.25, 0.75], [[1.0, 2.0, 3.0], [0.5, 0.5, 4.0]])
add("DirichletMixture.to_arviz", 5, rng=0)
add("DirichletMixture.count_responsibilities", [[1.0, 0.0, 2.0]])
CALLS["DirichletMixture.entropy"] = lambda: (
    mb.DirichletMixture([1.0], [[1.0, 2.0]]).entropy,
    (),
    {},
)
CALLS["DirichletMixture.to_scipy"] = lambda: (
    mb.DirichletMixture([1.0], [[1.0, 2.0]]).to_scipy,
    (),
    {},
)
add("DirichletMixture.durrmeyer", 2)
add("DirichletMixture.from_density", lambda p: 2.0 * p[..., 0], degree=3, n_tokens=2)
add("DirichletMixture.from_rows", PROBS, kind="probs", rng=0)
add("DirichletMixture.from_samples", PROBS, kind="probs", degree=3)
add("DirichletMixture.load", saved(prior))
add("DirichletMixture.reduce", 1, rng=0, n_init=1, n_samples=50)
for _method in ("aic", "bic", "information", "fit", "fit_predict", "fit_transform", "summarize"):
    add(f"DirichletMixtureEstimator.{_method}", ROWS)
for _method in ("partial_fit", "predict", "predict_proba", "score", "score_samples", "transform"):
    add(f"DirichletMixtureEstimator.{_method}", ROWS)
add("DirichletMixtureEstimator", 2)
add("DirichletMixtureEstimator.bits_bounds", Made(partial))
add("DirichletMixtureEstimator.check", ROWS)
add("DirichletMixtureEstimator.from_summaries", Made(lambda: [fitted().summarize(ROWS)]))
add("DirichletMixtureEstimator.set_params", tol=0.5)
add("ElicitationReport.posterior", [0, 1])
add("ElicitationReport.predict", [[0, 1], [2]])
CALLS["ElicitedPredictor"] = lambda: (mb.ElicitedPredictor, (made.elicited(),), {})
add("ElicitedPredictor.log_evidence", [0, 1])
add("ElicitedPredictor.predict", [[0, 1], [2, 1]])
add("ElicitedPredictor.sample", 2, 3, rng=0)
add("EmbeddingMap", STATES[:4], ROWS, kind="log_probs")
add("EmbeddingMap.pairs", [0, 1], [2, 3])
add("EmbeddingMap.sample", 3, rng=0)
add("EmbeddingMap.neighbours", 2)
add("GammaPrior", 1.0, 2.0)
CALLS["Head"] = lambda: (mb.Head, (tiny_model(),), {})
add("Head.exact", np.ones((2, 8), np.float32))
add("Head.of_layer", Made(lambda: __import__("torch").ones(2, 8)))
add(
    "Head.refusal",
    Made(lambda: __import__("torch").ones(2, 8)),
    Made(lambda: __import__("torch").ones(2, 12)),
)
add("Interpolation.generate", 3, rng=0)
for _method in ("log_prob", "perplexity", "scores"):
    add(f"Interpolation.{_method}", [0, 1, 2])
add("Interpolation.predict", [[0, 1], [1, 1]])
CALLS["KernelMixture"] = lambda: (
    mb.KernelMixture,
    ((it := kernels())._rows_around, it._kept, it.pairs, it._log_weights),
    {},
)
add("KernelMixture.component_alphas", 2, Made(lambda: np.random.default_rng(0)))
add("KernelMixture.draw_tokens", 2, 3, rng=0)
add("KernelMixture.group_evidence", np.zeros(4, int), np.arange(2), np.array([1]), np.ones(1))
add("KernelMixture.log_evidence_of", np.arange(2), np.array([1]), np.ones(1))
add("KernelMixture.load", saved(kernels))
add("KernelMixture.reduce", 1, rng=0, n_draws=50)
for _method in ("curve", "probabilities"):
    CALLS[f"LabelDesign.{_method}"] = lambda method=_method: (
        getattr(it := design(), method),
        (np.full((len(it), 2), 0.5),),
        {"kind": "probs"},
    )
CALLS["LabelDesign.fit"] = lambda: (
    (it := made.design()).fit,
    (np.full((len(it), 2), 0.5),),
    {"kind": "probs", "n_boot": 3, "rng": 0},
)
add("LayerRows", Made(lambda: {0: rows(), 1: rows()}))
add("LogitsFile", Made(logits_file))
add("NextTokenRows.context", 0)
CALLS["NextTokenRows.context"] = lambda: (
    mb.NextTokenRows(ROWS[:2], input_ids=np.arange(3), offsets=np.array([0, 1, 3])).context,
    (0,),
    {},
)
add("NextTokenRows.from_logits", STATES)
add("NextTokenRows.load", saved(rows))
add("NextTokenRows.save", NEW)
CALLS["PartialRows.context"] = lambda: (
    mb.PartialRows.from_rows(
        mb.NextTokenRows(ROWS[:2], input_ids=np.arange(3), offsets=np.array([0, 1, 3])), 2
    ).context,
    (0,),
    {},
)
add("PartialRows.from_parquet", saved(partial, "to_parquet"))
add("PartialRows.from_rows", Made(rows), 2)
add("PartialRows.group", {"x": ["a", "b"], "y": ["c"]})
for _method in ("hellinger", "jensen_shannon", "kl", "total_variation"):
    add(f"PartialRows.{_method}", Made(rows))
add("PartialRows.load", saved(partial))
add("PartialRows.prob", "a")
add("PartialRows.save", NEW)
add("PartialRows.to_parquet", NEW)
add("PartialStatistics.of_complete", Made(lambda: fitted().summarize(ROWS)))
CALLS["PartialStatistics.permuted"] = lambda: (
    (it := owner("PartialStatistics")).permuted,
    (np.arange(len(it.weight))[::-1].copy(),),
    {},
)
add("PartialStatistics.scaled", 2.0)
add("PosteriorPath.kl", PROBS, kind="probs")
add("SufficientStatistics", [1.0, 2.0], -np.ones((2, 3)), -1.0, 3)
CALLS["TokenPredictor"] = lambda: (mb.TokenPredictor, (tiny_model(), [1, 2, 3]), {})
add("TokenPredictor.predict", [[0, 1], [2, 1]])
add("TokenPredictor.sample", 2, 2, rng=0)
add("TokenView.hover", 0)
CALLS["TokenView.of"] = lambda: (mb.TokenView.of, shown_text(), {})
add("TransitionMatrix", 1, n_tokens=3)
for _method in ("log_evidence", "update", "going_on_from", "downdate"):
    add(f"TransitionMatrix.{_method}", [0, 1, 1])
for _method in ("counts", "totals"):
    add(f"TransitionMatrix.{_method}", [[0], [1]])
add("TransitionMatrix.posterior", [0])
CALLS["TransitionMatrix.going_on_from"] = lambda: (matrix().going_on_from, ([0, 1, 1],), {})
CALLS["TransitionMatrix.best_tree"] = lambda: (tree().best_tree, (), {})
CALLS["TransitionMatrix.posterior_order"] = lambda: (tree().posterior_order, ([[0, 1]],), {})
CALLS["TransitionMatrix.forget"] = lambda: (matrix(discount=0.9).forget, (0.5,), {})
add("TransitionMatrix.freeze", NEW)
CALLS["TransitionMatrix.thaw"] = lambda: (
    mb.TransitionMatrix.open(saved(matrix, "freeze").make()).thaw,
    (),
    {},
)
add("TransitionMatrix.fit_prior", 1)
add("TransitionMatrix.from_text", "a b a b", order=1)
add("TransitionMatrix.merge", Made(matrix))
add("TransitionMatrix.open", saved(matrix))
CALLS["TransitionMatrix.prune"] = lambda: (
    mb.TransitionMatrix(2, n_tokens=3, hierarchical=True).update(TEXT).prune,
    (0.001,),
    {},
)
add("TransitionMatrix.update_rows", [[0], [1]], [[1, 0, 2], [0, 1, 0]])
add("UrnPredictor", Made(prior))
add("UrnPredictor.predict", [[0, 1], [2, 1]])
add("UrnPredictor.sample", 2, 3, rng=0)

add("affine_test", STATES, STATES @ HEAD.T, kind="logits", n_permutations=9, rng=0)
add(
    "approximation_report",
    lambda p: 2.0 * p[..., 0],
    degree=4,
    n_tokens=2,
    counts=[1, 0],
    n_samples=50,
)
add("bayesian_law", [0, 1, 2], [0.5, 0.5], [0.2, 0.8])
CALLS["bits_per_byte"] = lambda: (
    mb.bits_per_byte,
    (mb.TransitionMatrix(1, tokens=("a", "b")).update(list("abab")), ["ab"], list),
    {},
)
add(
    "check_continuity",
    STATES,
    STATES @ HEAD.T,
    kind="logits",
    n_pairs=20,
    n_boot=5,
    n_permutations=5,
    n_neighbors=2,
    rng=0,
)
add("check_prior", Made(prior), PROBS, kind="probs", n_samples=20, draws=(1, 2))
add("compare", Made(rows), Made(rows))
CALLS["compare"] = lambda: (mb.compare, (matrix(), PROBS, [[0], [1], [2], [0]]), {"kind": "probs"})
HISTORIES = [[0, 1], [1], [2, 0, 1], [1, 1]]
add("elicit_prior", HISTORIES, PROBS, kind="probs", family="iid", n_starts=1, max_iter=5, rng=0)
OF_PREDICTOR = {"n": 4, "length": 4, "n_boot": 19, "max_components": 1, "rng": 0}
for _name in ("forgetting_test", "martingale_test", "uncertainty_scaling_test"):
    add(_name, Made(urn), **OF_PREDICTOR)
add("exchangeability_test", Made(urn), **OF_PREDICTOR, n_permutations=2)
add("fit_icl_curve", [0, 1, 2, 4, 8], [0.2, 0.3, 0.5, 0.7, 0.8], n_boot=3, rng=0)
add("fit_scaling_laws", [0, 1, 2, 4, 8], [0.2, 0.3, 0.5, 0.7, 0.8], laws="power", rng=0)
LABELS = ["x", "y", "z", "w"], ["p", "q", "p", "q"]
add("flipped_label_design", *LABELS, shots=(0, 1), n_sequences=2, rng=0)
add("unrelated_label_design", *LABELS, shots=(0, 1), n_sequences=2, rng=0)
add("from_openai", RECORDS / "openai_chat.json")
add("from_vllm", RECORDS / "vllm_chat.json")
for _name in ("sglang", "tgi", "llama_cpp"):
    add(f"from_{_name}", RECORDS / f"{_name}.json")
add("from_ollama", RECORDS / "ollama_stream.jsonl")
add("from_inspect", RECORDS / "inspect_log.json")
add("from_lm_eval", next(RECORDS.glob("samples_toy*")))
add("from_samples", [["yes", "no"], ["yes"]])
add("from_topk", TOPK["ids"], TOPK["log_probs"], n_tokens=3)
add("head_bound", HEAD, STATES, n_pairs=9, rng=0)
CALLS["head_of"] = lambda: (mb.head_of, (tiny_model(),), {})
CALLS["embed_of"] = lambda: (mb.embed_of, (tiny_model(), [1, 2]), {})
for _name in ("collect", "preflight"):
    CALLS[_name] = lambda name=_name: (
        getattr(mb, name),
        (demo().model, demo().tokenizer, ["red red", "black white black"]),
        {"vocab": {"warm": ["red", "orange"], "black": "black"}},
    )
CALLS["elicit"] = lambda: (
    mb.elicit,
    (demo().model, demo().tokenizer, ["red red black", "black red red"]),
    {"family": "iid", "n_starts": 1, "max_iter": 3, "rng": 0},
)
add("icl_curve", Made(prior), [[0, 1, 0]])
CALLS["interpolate"] = lambda: (
    mb.interpolate,
    ([mb.TransitionMatrix(k, n_tokens=3).update(TEXT) for k in (1, 2)], [0, 1, 1, 2]),
    {"max_iter": 5},
)
add("learning_path", Made(prior), even(3), [0, 1, 2], kind="probs")
add("posterior_path", Made(prior), [0, 1, 2])
add("probe_segment", HEAD, STATES[0], STATES[1], 5)
CALLS["read_arpa"] = lambda: (
    mb.read_arpa,
    ((lambda path: (backoff().to_arpa(path), path)[1])(folder() / "model.arpa"),),
    {},
)
CALLS["read_easel"] = lambda: (
    mb.read_easel,
    ((lambda path: (mb.write_easel(prior(), path), path)[1])(folder() / "easel.txt"),),
    {"tokens": "abc"},
)
add("write_easel", Made(prior), NEW)
add("regress_concentration", PROBS, {"x": [0.0, 1.0, 2.0, 1.0]}, kind="probs", max_iter=5)
CALLS["score_card"] = lambda: (
    mb.score_card,
    (urn(), None, windtunnel.Urns(prior())),
    {"n": 4, "length": 4, "n_boot": 99, "n_permutations": 2, "max_components": 1, "rng": 0},
)
add("select_prior", PROBS, [1, 2], kind="probs", max_iter=5, tol=1.0, random_state=0)
CALLS["show_tokens"] = lambda: (
    mb.show_tokens,
    (mb.learning_path(prior(), even(3), [0, 1, 2], kind="probs"),),
    {},
)
add("span_of", STATES @ HEAD.T, kind="logits")
for _kind, _tokens in (("HMM", [0, 1]), ("Bijection", [0, 1]), ("Switch", [0, 1])):
    add(f"windtunnel.{_kind}.lenient", np.array([_tokens]))
for _kind in ("HMM", "MarkovChains", "Mixture", "Switch", "Urns", "Bijection"):
    add(f"windtunnel.{_kind}.sample", 2, 4, rng=0)
    CALLS[f"windtunnel.{_kind}.log_predictive"] = lambda kind=_kind: (
        (it := owner(f"windtunnel.{kind}")).log_predictive,
        (it.sample(2, 4, rng=0),),
        {},
    )
add("windtunnel.Mixture.log_posterior", [[0, 1], [2, 1]])
add("windtunnel.HMM", [0.5, 0.5], [[0.9, 0.1]] * 2, [[0.5, 0.5]] * 2)
add("windtunnel.Bijection", 3)
add("windtunnel.MarkovChains", Made(prior))
add("windtunnel.Mixture", Made(lambda: [windtunnel.Urns(prior())]))
add("windtunnel.Switch")
add("windtunnel.Urns", Made(prior))
CALLS["windtunnel.score"] = lambda: (
    windtunnel.score,
    (windtunnel.Urns(prior()), even(3)),
    {"kind": "probs", "n": 3, "length": 4, "rng": 0},
)
CALLS["windtunnel.WindTunnelScore"] = lambda: (
    (
        windtunnel.WindTunnelScore,
        tuple(made.tunnel()),
        {},
    )
    if isinstance(made.tunnel(), tuple)
    else of_given(windtunnel.WindTunnelScore, made.tunnel())
)


def of_given(kind: type, instance: Any) -> Given:
    call = of_fields(kind, instance)
    return kind, (), call.arguments


OF_PICTURES: dict[str, Callable[[], tuple[Any, ...]]] = {
    "calibration": lambda: (made.EXAMPLES["Comparison"](),),
    "check": lambda: (made.EXAMPLES["FitCheck"](),),
    "check_figure": lambda: (made.EXAMPLES["FitCheck"](),),
    "compare_components": lambda: ({"a": made.mixture(), "b": made.mixture()},),
    "component_weights": lambda: (OWNERS["PosteriorPath"](),),
    "components": lambda: (prior(),),
    "concentration": lambda: (OWNERS["PosteriorPath"](),),
    "concentration_figure": lambda: (OWNERS["PosteriorPath"](),),
    "concentration_regression": lambda: (made.regression(),),
    "continuity": lambda: (made.continuity(),),
    "criterion": lambda: (made.EXAMPLES["PriorSelection"](),),
    "curves": lambda: ({"a": [0.1, 0.2], "b": [0.3, 0.4]},),
    "elicitation": lambda: (made.elicited(),),
    "elicitation_figure": lambda: (made.elicited(),),
    "icl_curve": lambda: (made.curve(),),
    "kl": lambda: (OWNERS["PosteriorPath"](), PROBS),
    "layers": lambda: (made.EXAMPLES["LayerRows"](),),
    "layers_figure": lambda: (made.EXAMPLES["LayerRows"](),),
    "learning_path": lambda: (made.EXAMPLES["LearningPath"](),),
    "learning_path_figure": lambda: (made.EXAMPLES["LearningPath"](),),
    "mixture_weights": lambda: (made.EXAMPLES["Interpolation"](),),
    "scaling_laws": lambda: (made.laws(),),
    "ternary": lambda: (prior(),),
    "total_concentration": lambda: (OWNERS["PosteriorPath"](),),
    "wind_tunnel": lambda: (made.tunnel(),),
}
for _name, _make in OF_PICTURES.items():
    CALLS[f"plot.{_name}"] = lambda name=_name, make=_make: (
        thing_of(f"plot.{name}"),
        make(),
        {"kind": "probs"} if name == "kl" else {},
    )

# -- the core ------------------------------


def core_matrix(order: int = 2, n_tokens: int = 4) -> Any:
    counts = _core.TransitionCounts(order, n_tokens)
    counts.update(np.array([0, 1, 2, 3, 0, 1, 2, 2])[2 - order :])
    return counts


def fading() -> Any:
    counts = _core.FadingCounts(2, 4, 0.9)
    counts.update([0, 1, 2, 3, 0, 1, 2, 2])
    return counts


@cache
def levels() -> list[Any]:
    found: list[Any] = []
    for order in range(3):
        found.append(_core.FrozenCounts.encode(4, found, *core_matrix(order).all()))
    return found


def frozen() -> Any:
    return _core.FrozenCounts(4, list(levels()))


def table() -> Any:
    return _core.BackoffTable(**leaks.BACKOFF)


CONTEXTS = [[0, 1], [1, 2], [3, 3]]
WEAK = (0.0, 0.0, 0.01, 1e8)
EVEN = np.full((3, 2), 0.5)
SUMS = ([2.0, 1.0], np.ones((3, 2)), 0.1 * np.ones((3, 2)), -3.0 * np.ones((3, 2)))
HALVES = np.full((2, 5), 0.5)
THREE = np.ones(3)


def encoded() -> Any:
    return _core.Counts(*leaks.SPARSE)


def counts_table() -> tuple[Any, Any, Any]:
    return leaks.mixture(), encoded(), _core.evidence_table(leaks.mixture(), encoded())


Arguments = Callable[[], tuple[Any, ...]]
OF_CORE: dict[str, Arguments] = {
    **dict.fromkeys(leaks.SPECIAL, lambda: (leaks.VECTOR.copy(),)),
    "digamma_difference": lambda: (leaks.VECTOR.copy(), [0, 1, 2, 3]),
    "lgamma_difference": lambda: (leaks.VECTOR.copy(), [0, 1, 2, 3]),
    "log_probs": lambda: (PROBS.copy(),),
    "check_log_probs": lambda: (ROWS.copy(),),
    "decode_rows": lambda: (leaks.even_codes(3, 5), 5),
    "lump_log_probs": lambda: (ROWS.copy(), [0, 1, 0], 2),
    "block_distances": lambda: ("hilbert", ROWS.copy(), ROWS[:2].copy()),
    "pair_distances": lambda: ("kl", ROWS.copy(), [0, 1], [1, 2]),
    "divergence": lambda: (
        np.exp(leaks.ROWS),
        np.ones((2, 3)),
        np.full((2, 3), 0.5),
        [0, 1, 1, 2],
        [0, 2],
        [0.1, 0.2],
        0.5,
    ),
    "tree_predictions": lambda: tuple(leaks.TREE),
    "tree_slopes": lambda: tuple(leaks.TREE + leaks.SLOPES),
    "balance_predictions": lambda: tuple(leaks.BALANCE),
    "concentration_evidence": lambda: tuple(leaks.MEAN_ROWS),
    "concentration_shares": lambda: (*leaks.MEAN_ROWS, [0.25, 0.75]),
    "discounted_probs": lambda: leaks.DISCOUNTED,
    "row_buckets": lambda: (leaks.DISCOUNTED[3], 90),
    "discounted_fit": lambda: leaks.DISCOUNTED_FIT,
    "read_arpa": lambda: (
        b"\\data\\\nngram 1=2\nngram 2=1\n\\1-grams:\n-1 a -0.5\n-0.1 b\n\\2-grams:\n-0.5 a b\n"
        b"\\end\\\n",
    ),
    "arpa_lines": lambda: ([[0, 1], [1, 0]], [-0.5, -1.0], [0.0, -0.25], b"abcd", [1, 4]),
    "expectation": lambda: (leaks.mixture(), ROWS.copy(), [1.0, 0.0, 2.0, 1.0]),
    "accumulate": lambda: (leaks.ROWS.copy(), EVEN.copy()),
    "maximization": lambda: (
        _core.expectation(leaks.mixture(), ROWS.copy()),
        leaks.ALPHA,
        WEAK,
    ),
    "count_maximization": lambda: (
        (it := encoded()).tokens,
        it.counts,
        np.ones((len(it.tokens), 4)),
        leaks.ALPHA,
        WEAK,
    ),
    "evidence_table": lambda: (leaks.mixture(), encoded()),
    **dict.fromkeys(
        ("count_posterior", "count_expectation", "count_log_joint"),
        lambda: (*counts_table(), 0, 3),
    ),
    "count_accumulate": lambda: (encoded(), EVEN.copy(), 0),
    "sum_whole": lambda: (leaks.TABLE.copy(),),
    "sum_unlisted": lambda: (*leaks.LISTED, leaks.TABLE.copy(), _core.sum_whole(leaks.TABLE)),
    "sum_listed": lambda: (*leaks.LISTED, leaks.TABLE.copy(), [1.0, 2.0, 0.0]),
    "add_to_listed": lambda: (*leaks.LISTED, leaks.TABLE.copy(), 3, [1.0, 2.0, 0.0]),
    "partial_maximization": lambda: (*SUMS, leaks.ALPHA, WEAK),
    "regression_sums": lambda: (leaks.CELLS, *leaks.ASKED),
    "regression_mean": lambda: (leaks.UNITS, leaks.ASKED[0], [0.5, 0.25, 0.25]),
    "draw_rows": lambda: (ROWS.copy(), 5, 2, 7, 3, [1.0, 0.0, 2.0, 1.0]),
    "posterior_learning": lambda: (leaks.mixture(), [1.0, 0.5, 0.0], [0, 2]),
    "kernel_evidence": lambda: (
        HALVES.copy(),
        HALVES.copy(),
        np.zeros(2),
        *(THREE.copy() for _ in range(3)),
        [0, 1, 3],
        [1, 0, 1],
        [1.0, 2.0, 0.5],
    ),
    "join_documents": lambda: ([np.arange(3), np.arange(4, dtype=np.uint8)],),
    "lead_documents": lambda: (np.arange(5), [0, 2], [2, 5], [7], [8, 9]),
    "DirichletMixture": lambda: (leaks.WEIGHTS, leaks.ALPHA),
    "SufficientStatistics": lambda: ([1.0, 2.0], -np.ones((2, 3)), -1.0, 3),
    "Counts": lambda: leaks.SPARSE,
    "TransitionCounts": lambda: (2, 4),
    "FadingCounts": lambda: (2, 4, 0.9),
    "FrozenCounts": lambda: (4, list(levels())),
    "BackoffTable": lambda: tuple(leaks.BACKOFF.values()),
}
OF_COUNTS: dict[str, Arguments] = {
    "counts": lambda: (CONTEXTS, [2, 3, 0]),
    "totals": lambda: (CONTEXTS,),
    "rows": lambda: (CONTEXTS,),
    "places": lambda: (CONTEXTS,),
    "walk": lambda: (CONTEXTS, [2, 3, 0]),
    "update": lambda: ([0, 1, 2, 3],),
    "update_rows": lambda: (CONTEXTS, [0, 1, 2], [1, 2, 0]),
}
OF_TYPES: dict[str, tuple[Callable[[], Any], dict[str, Arguments]]] = {
    "DirichletMixture": (
        leaks.mixture,
        {
            **dict.fromkeys(("log_prob", "responsibilities"), lambda: (ROWS.copy(),)),
            **dict.fromkeys(
                ("log_evidence", "count_responsibilities", "predictive"),
                lambda: (leaks.COUNTS.copy(),),
            ),
            "posterior": lambda: ([1.0, 0.0, 2.0],),
            "sample_log_probs": lambda: (3, np.random.PCG64(1)),
        },
    ),
    "SufficientStatistics": (leaks.statistics, {}),
    "Counts": (encoded, {}),
    "TransitionCounts": (
        core_matrix,
        OF_COUNTS
        | {
            "merge": lambda: (core_matrix(),),
            "subtract": lambda: (core_matrix(),),
            "scale": lambda: (3,),
            "shorten": lambda: (core_matrix(),),
            "discounted_rows": lambda: (core_matrix(),),
            "shorter_pairs": lambda: (core_matrix().shorten(_core.TransitionCounts(2, 4)),),
            "counts_of_counts": lambda: (4,),
            "fold": lambda: (None, None, [1.0], [[0.5]], 0.5, False),
            "from_arrays": lambda: (2, 4, list(core_matrix().arrays())),
        },
    ),
    "FadingCounts": (
        fading,
        OF_COUNTS
        | {
            "merge": lambda: (fading(),),
            "scale": lambda: (0.5, CONTEXTS),
            "log_evidence": lambda: ([0, 1, 2], [1.0], [2.0], [[0.5]]),
            "from_arrays": lambda: (2, 4, 0.9, list(fading().arrays())),
        },
    ),
    "FrozenCounts": (
        frozen,
        OF_COUNTS
        | {"merge": lambda: (frozen(),), "encode": lambda: (4, [], *core_matrix(0).all())},
    ),
    "BackoffTable": (
        table,
        {
            **dict.fromkeys(("scores", "log_prob", "matched"), lambda: ([0, 1, 1, 0],)),
            "pair_values": lambda: ([[0], [2]], [1, 0]),
            "rows": lambda: ([[0], [2]],),
            "prune": lambda: (np.ones(3), 0.1),
        },
    ),
}
# No valid calls, and calls all the same: counts in a file refuse changes.
REFUSING = {f"_core.FrozenCounts.{name}" for name in ("update", "update_rows", "merge")}
REFUSING |= {"ElicitationReport.to_arviz"}  # there are no draws


def fold_call() -> Given:
    inner, base, tokens = _core.TransitionCounts(2, 4), _core.TransitionCounts(1, 4), [0, 1, 2] * 3
    inner.update(tokens)
    base.update(tokens[1:])
    return inner.fold, (base, None, [1.0], [[0.5]], 0.5, False), {}


def smoothed_call() -> Given:
    longer, shorter = _core.TransitionCounts(1, 3), _core.TransitionCounts(0, 3)
    longer.update([2, 0, 1, 1, 0, 0])
    shorter.update([0, 1, 1, 0, 0])
    given = (shorter, longer), [0.5, 0.5]
    return _core.BackoffTable.from_counts, given, {"concentrations": [([0.5, 0.5], [1.0, 2.0])]}


def core_calls() -> dict[str, Callable[[], Given]]:
    import copy

    found: dict[str, Callable[[], Given]] = {}
    for name, make in OF_CORE.items():
        options = {"kind": "probs"} if name == "log_probs" else {}
        found[f"_core.{name}"] = lambda name=name, make=make, options=options: (
            getattr(_core, name),
            tuple(copy.deepcopy(each) for each in make()),
            options,
        )
    for kind, (own, methods) in OF_TYPES.items():
        for name in dir(getattr(_core, kind)):
            if not name.startswith("_") and callable(getattr(getattr(_core, kind), name)):
                make = methods.get(name, tuple)
                found[f"_core.{kind}.{name}"] = lambda name=name, own=own, make=make: (
                    getattr(own(), name),
                    make(),
                    {},
                )
    found["_core.TransitionCounts.fold"] = fold_call
    found["_core.BackoffTable.from_counts"] = smoothed_call
    return found


CORE = core_calls()
