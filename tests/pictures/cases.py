"""Every picture of `matrixbayes.plot` over any number of tokens, from results that cost nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from matrixbayes import plot
from matrixbayes.estimator import regress_concentration
from matrixbayes.huggingface import LayerRows
from matrixbayes.mixture import DirichletMixture, posterior_path
from matrixbayes.rows import NextTokenRows

VOCABULARIES = (2, 3, 8, 50, 3000, 50_000)
ODD = ("", " ", "\t\n", "$", "$x^2$", "a$b", "_low", "\\", "'", '"', "%", "{}", "e\u0301\u0327")
ODD += (
    "\u4e2d\u6587\u5b57\u7b26",
    "\U0001f600\U0001f44d\U0001f3fd",
    "\u0928\u093f",
    "\u05e9\u05dc\u05d5\u05dd",
)
LONG = "internationalisation of very long names "


def plain(j: int) -> str:
    """A name as a word has it."""
    return f"word{j}"


def long(j: int) -> str:
    """Names that are told apart by their ends, or by their middles."""
    return LONG * 2 + f"{j}" if j % 2 else LONG + f"{j} {LONG}"


def odd(j: int) -> str:
    """Names that no font has, that do not print, or that mean something to matplotlib."""
    return ODD[j % len(ODD)] + (str(j // len(ODD)) if j >= len(ODD) else "")


NAMES: dict[str, Callable[[int], str] | None] = {
    "plain": plain,
    "long": long,
    "odd": odd,
    "none": None,
}


@lru_cache(maxsize=8)
def mixture(n: int, names: str, k: int = 3) -> DirichletMixture:
    """A mixture over n tokens, whose means fall as those of words do."""
    rng = np.random.default_rng(n + k)
    alpha = 30.0 * rng.dirichlet(np.full(n, 0.5) + 5.0 / np.arange(1, n + 1), size=k) + 1e-6
    name = NAMES[names]
    tokens = None if name is None else tuple(map(name, range(n)))
    return DirichletMixture(
        rng.dirichlet(np.full(k, 5.0)), alpha * [[1.0], [9.0], [4e3]][:k], tokens=tokens
    )


@lru_cache(maxsize=8)
def path(n: int, names: str) -> Any:
    """Demonstrations of tokens that are rare."""
    return posterior_path(mixture(n, names), [n - 1, 0, n - 1, n // 2, n - 1, 1 % n])


def rows(n: int, names: str) -> NextTokenRows:
    """A model's predictions along the path."""
    mean = np.asarray(path(n, names).mean())
    return NextTokenRows(np.log(0.9 * mean + 0.1 / n), tokens=path(n, names).tokens)


def selection(n: int, names: str) -> Any:
    """Scores that differ after their sixth digit."""
    table = [
        {"n_components": k, "bic": 7.33e8 + (k - 4) ** 2 * 11.0, "converged": k < 7}
        for k in range(1, 9)
    ]
    return SimpleNamespace(criterion="bic", best_=SimpleNamespace(n_components=4), table=table)


def fit_check(n: int, names: str) -> Any:
    """What a check has, made up."""
    rng = np.random.default_rng(0)
    mean = np.asarray(mixture(n, names).mean())
    shares = {"row_entropies": 60, "prior_entropies": 60, "row_largest": 60, "prior_largest": 60}
    return SimpleNamespace(
        draws=(1, 2, 4, 8, 16, 32, 64),
        frequencies=np.linspace(9.0, 5.0, 7),
        smoothing=np.linspace(8.0, 5.0, 7),
        floor=np.full(7, 3.0),
        bits=np.linspace(8.5, 4.0, 7),
        bits_se=np.full(7, 0.2),
        passed=False,
        mean_row=mean,
        prior_mean=0.9 * mean + 0.1 / n,
        mean_variation=0.123,
        row_weights=np.ones(60),
        **{name: rng.random(size) for name, size in shares.items()},
    )


def report(n: int, names: str) -> Any:
    """What an elicitation has, made up."""
    rng = np.random.default_rng(0)
    first = np.arange(12)
    last = rng.integers(-1, n, 200)
    whole = {
        "first": first, "last": np.append(first[:-1], 40), "mean_kl": 0.02 + 0.01 * first,
        "constant": 0.5 + 0.0 * first, "floor": 0.01 + 0.0 * first, "error": 0.003 + 0.0 * first,
        "repeated": 0.5 + 0.0 * first, "n_rows": 100 + 0 * first,
    }  # fmt: skip
    cells = {"token": first % min(n, 3), "first": first, "mean_kl": 0.1 + 0.01 * first}
    return SimpleNamespace(
        points=SimpleNamespace(
            length=rng.integers(0, 40, 200).astype(float), last=last,
            observed=rng.random(200) / n, predicted=rng.random(200) / n,
        ),
        tokens=path(n, names).tokens,
        family="chain",
        kl_by_place={"length": SimpleNamespace(**whole), "last": SimpleNamespace(**cells)},
    )  # fmt: skip


def curve(n: int, names: str) -> Any:
    """What a fit of a learning curve has, made up."""

    class Curve(SimpleNamespace):
        def __call__(self, shots: Any) -> Any:
            return (0.1 + shots / 50.0) / (1.0 + shots / 50.0)

    shots = np.repeat([0.0, 1, 2, 4, 8, 16, 32, 64, 1000], 2)
    one = Curve(crossover=40.123, intervals={"crossover": (31.25, 50.75)})
    both = {"dirichlet": one, "switch": Curve(crossover=np.inf, intervals={}), "best": one}
    p = np.clip(one(shots) + np.tile([0.02, -0.02], 9), 0.0, 1.0)
    return SimpleNamespace(shots=shots, others=np.zeros(18), probabilities=p, **both)


def laws(n: int, names: str) -> Any:
    """What a fit of scaling laws has, made up."""

    class Law(SimpleNamespace):
        def __call__(self, shots: Any) -> Any:
            return np.array([1.0 - self.scale / (1.0 + shots)])

    shots = np.array([0.0, 1, 2, 4, 8, 16, 32])
    named = {
        name: Law(law=name, scale=0.9 - 0.1 * i, nrmse=0.0123, extrapolation_nrmse=np.nan)
        for i, name in enumerate(("bayesian", "bounded power", "power", "logistic"))
    }
    p = named["power"](shots)
    best = named["power"]
    return SimpleNamespace(shots=shots, probabilities=p, laws=named, best=best, n_fitted=4)


def tunnel(n: int, names: str) -> Any:
    """What a score of a wind tunnel has, made up."""
    kl = np.append(0.01 / np.arange(1, 9), np.inf)
    entropy = {"bayes_entropy": np.full(9, 2.0), "model_entropy": np.full(9, 2.1)}
    return SimpleNamespace(
        positions=np.arange(9), kl=kl, standard_error=0.1 * kl, n_sequences=20, **entropy
    )


def torn(n: int, names: str) -> Any:
    """What a report of continuity has, made up."""
    rng = np.random.default_rng(0)
    pairs = SimpleNamespace(
        embedding_distance=rng.random(500), row_distance=rng.random(500),
        metric="total_variation", embedding_metric="euclidean",
    )  # fmt: skip
    delta = np.linspace(0.0, 1.0, 20)
    return SimpleNamespace(
        pairs=pairs, delta=delta, modulus=delta**0.5, band=np.stack([delta**0.6, delta**0.4]),
        band_begins=0.1, level=0.9, discontinuities=np.arange(3),
    )  # fmt: skip


def comparison(n: int, names: str) -> Any:
    """What a comparison has, made up."""
    model = np.logspace(-6, -0.1, 12)
    bins = np.column_stack([model, model**1.1, np.logspace(2, 4, 12)])
    return SimpleNamespace(bins=bins, names=("matrix of order 3 from a corpus", "model"))


@lru_cache(maxsize=1)
def regression() -> Any:
    """A regression on sizes with long names, and on layers."""
    rng = np.random.default_rng(0)
    sizes = ("70m, the smallest one of them", "410m", "$1b", "the largest: 12b")
    which, depth = np.repeat(np.arange(4), 20), np.tile(np.arange(20.0), 4)
    rows = np.array(
        [rng.dirichlet(np.exp(1.0 + 0.5 * k) * np.array([0.5, 0.3, 0.2])) for k in which]
    )
    covariates = {"size": [sizes[k] for k in which], "depth of the layer": depth}
    return regress_concentration(rows, covariates, kind="probs")


class Sized(SimpleNamespace):
    """What has a length too."""

    def __len__(self) -> int:
        return self.n


def models(n: int, names: str) -> Any:
    """What an interpolation has, made up."""
    found = ["TransitionMatrix of order 2, Kneser\u2013Ney", "_model", "$3", "a model"][
        : max(2, min(n, 4))
    ]
    w = np.full(len(found), 1.0 / len(found))
    return Sized(n=len(found), weights=w, standard_errors=0.1 * w, names=found)


def text(n: int, names: str) -> Any:
    """What a learning path has, made up."""
    values = np.linspace(0.2, 1.0, 24)
    series = ("model_probability", "predictive_probability", "kl", "total", "aleatoric")
    return Sized(
        n=24, names=path(n, names).tokens, tokens=np.arange(24) % n, epistemic=0.1 * values,
        **dict.fromkeys(series, values),
    )  # fmt: skip


@lru_cache(maxsize=4)
def deep(n: int, names: str) -> LayerRows:
    """Rows of six layers."""
    rng = np.random.default_rng(0)
    tokens = path(n, names).tokens
    logs = np.log(rng.dirichlet(np.full(min(n, 3000), 0.5), size=(6, 6)) + 1e-9)
    logs -= np.log(np.exp(logs).sum(axis=-1, keepdims=True))
    tokens = None if tokens is None else tokens[: min(n, 3000)]
    return LayerRows({i: NextTokenRows(logs[i], tokens=tokens) for i in range(6)})


def divergences(n: int, names: str) -> dict[str, Any]:
    """Named curves."""
    found = ("KL(model || predictive)", "KL(model || a constant that was fitted)", "_hidden", "$")
    return {name: np.linspace(1.0, 0.1 * i, 9) for i, name in enumerate(found)}


def compared(n: int, names: str) -> dict[str, DirichletMixture]:
    """Mixtures over the same tokens."""
    first = mixture(n, names)
    other = DirichletMixture(first.weights, np.asarray(first.alpha) * 1.5, tokens=first.tokens)
    return {"true": first, "fitted to the rows of a model": other}


Case = Callable[[int, str, Any], Any]
AXES: dict[str, Case] = {
    "calibration": lambda n, names, ax: plot.calibration(comparison(n, names), ax=ax),
    "check": lambda n, names, ax: plot.check(fit_check(n, names), ax=ax),
    "compare_components": lambda n, names, ax: plot.compare_components(compared(n, names), ax=ax),
    "component_weights": lambda n, names, ax: plot.component_weights(path(n, names), ax=ax),
    "components": lambda n, names, ax: plot.components(mixture(n, names), ax=ax),
    "concentration": lambda n, names, ax: plot.concentration(
        path(n, names), rows=rows(n, names), ax=ax
    ),
    "concentration_regression": lambda n, names, ax: plot.concentration_regression(
        regression(), ax=ax
    ),
    "concentration_regression, depth": lambda n, names, ax: plot.concentration_regression(
        regression(), "depth of the layer", ax=ax
    ),
    "continuity": lambda n, names, ax: plot.continuity(torn(n, names), ax=ax),
    "criterion": lambda n, names, ax: plot.criterion(selection(n, names), ax=ax),
    "curves": lambda n, names, ax: plot.curves(divergences(n, names), ax=ax),
    "elicitation": lambda n, names, ax: plot.elicitation(report(n, names), ax=ax),
    "elicitation, last": lambda n, names, ax: plot.elicitation(report(n, names), by="last", ax=ax),
    "elicitation, kl": lambda n, names, ax: plot.elicitation(report(n, names), by="kl", ax=ax),
    "icl_curve": lambda n, names, ax: plot.icl_curve(curve(n, names), ax=ax),
    "kl": lambda n, names, ax: plot.kl(path(n, names), rows(n, names), ax=ax),
    "layers": lambda n, names, ax: plot.layers(deep(n, names), ax=ax),
    "layers, entropy": lambda n, names, ax: plot.layers(deep(n, names), "entropy", ax=ax),
    "learning_path": lambda n, names, ax: plot.learning_path(text(n, names), ax=ax),
    "mixture_weights": lambda n, names, ax: plot.mixture_weights(models(n, names), ax=ax),
    "scaling_laws": lambda n, names, ax: plot.scaling_laws(laws(n, names), ax=ax),
    "ternary": lambda n, names, ax: plot.ternary(mixture(n, names), resolution=40, ax=ax),
    "total_concentration": lambda n, names, ax: plot.total_concentration(path(n, names), ax=ax),
    "wind_tunnel": lambda n, names, ax: plot.wind_tunnel(tunnel(n, names), ax=ax),
}
FIGURES: dict[str, Callable[[int, str], Any]] = {
    "check_figure": lambda n, names: plot.check_figure(fit_check(n, names)),
    "concentration_figure": lambda n, names: plot.concentration_figure(
        path(n, names), rows=rows(n, names)
    ),
    "elicitation_figure": lambda n, names: plot.elicitation_figure(report(n, names)),
    "layers_figure": lambda n, names: plot.layers_figure(deep(n, names)),
    "learning_path_figure": lambda n, names: plot.learning_path_figure(text(n, names)),
}
OF_TOKENS = ("compare_components", "component_weights", "components", "concentration", "ternary")
OF_TOKENS += ("elicitation, last", "layers", "learning_path_figure", "concentration_figure")
