"""All diagnostics in one table."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .._base import display
from .._base.arguments import generator_of, having, whole
from .._base.sequences import checked
from .._base.typing import Floats, Seed
from ..huggingface import TokenPredictor
from .order import check_permutations, order_of_continuations, order_of_predictions
from .path_tests import Given, forgetting, martingale, sampled, uncertainty_scaling
from .paths import LEAST_LENGTH
from .predictors import checked_predictor
from .result import DiagnosticTest, check_options

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONGEST = 32  # continuations by default, where the model takes so many
N_TESTS = 5
COLUMNS = ["test", "statistic", "p", "p (Holm)", "verdict"]


@dataclass(frozen=True, eq=False, repr=False)
class ScoreCard(display.Shown):
    """What all diagnostics say of one model; made by `score_card`.

    Attributes
    ----------
    tests : tuple of DiagnosticTest
    history : tuple of int
        What the model had seen before its continuations.
    level : float
        Of the whole card.
    """

    tests: tuple[DiagnosticTest, ...]
    history: tuple[int, ...]
    level: float

    def __getitem__(self, name: str) -> DiagnosticTest:
        for test in self.tests:
            if test.name == name:
                return test
        raise KeyError(f"{name!r} is not one of {[test.name for test in self.tests]}")

    @property
    def family(self) -> str:
        """The family of the tests' nulls."""
        return self.tests[0].family

    @property
    def adjusted(self) -> Floats:
        """p-values after Holm's correction: one is at most the level by chance alone in only that
        share of the cards of Bayesian models."""
        p = np.array([test.p_value for test in self.tests])
        order = np.argsort(p, kind="stable")
        steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
        adjusted = np.empty(len(p))
        adjusted[order] = np.minimum(steps, 1.0)
        return adjusted

    @property
    def verdict(self) -> str:
        """The whole card in a sentence."""
        pairs = zip(self.tests, self.adjusted, strict=True)
        failed = [test.name for test, p in pairs if p <= self.level]
        learner = next((test.learner for test in self.tests if test.learner), "")
        if not failed:
            silent = sum(test.silent for test in self.tests)
            but = f", and {silent} of {len(self.tests)} tests say nothing" if silent else ""
            like = f"like a Bayesian learner of {learner} with this prior, " if learner else ""
            return (
                f"Nothing here speaks against Bayes: {like}the smallest p-value is "
                f"{display.number(float(self.adjusted.min()))} after Holm's correction{but}."
            )
        names = ", ".join(failed[:-1]) + (" and " if failed[1:] else "") + failed[-1]
        beside = f", beside the nearest learner of {learner}" if learner else ""
        return (
            f"Not exactly Bayesian: rejected at level {self.level:g} after Holm's "
            f"correction {'are' if failed[1:] else 'is'} {names}{beside}."
        )

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The p-values of the tests, with the level of the card."""
        from .plots import score_card  # needs matplotlib

        return score_card(self, ax=ax)

    def _table(self) -> display.Table:
        lines = self._lines()
        said = (f"{line[0]}: {line[-1]}" for line in lines if line[2] <= self.level)
        loud = [display.cut(words, display.MAX_TEXT_WIDTH) for words in said]
        short = [line[:-1] for line in lines]
        return display.Table(self.verdict, COLUMNS[:-1], short, sentence=True, words=loud)

    def _repr_html_(self) -> str:
        return display.Table(self.verdict, COLUMNS, self._lines(), sentence=True).html()

    def _lines(self) -> list[list[Any]]:
        """The cells of `COLUMNS` for each test."""
        lines: list[list[Any]] = []
        for test, p in zip(self.tests, self.adjusted, strict=True):
            alone = " (Not after the correction.)" if test.rejected and p > self.level else ""
            lines.append([test.name, test.statistic, test.p_value, float(p), test.verdict + alone])
        return lines

    def to_pandas(self) -> Any:
        """A DataFrame with a row for each test.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        columns = zip(*self._lines(), strict=True)
        return display.frame(dict(zip(COLUMNS, columns, strict=True))).set_index("test")


def score_card(
    model: Any,
    tokenizer: Any,
    task: Any,
    *,
    tokens: Sequence[str | int] | None = None,
    prefix: Sequence[int] | None = None,
    shots: int = 8,
    n: int = 200,
    length: int | None = None,
    n_permutations: int = 8,
    noise: float = 1e-5,
    null: Given = None,
    family: str = "auto",
    max_components: int = 3,
    n_boot: int = 199,
    level: float = 0.05,
    rng: Seed = None,
) -> ScoreCard:
    """Put a model through all diagnostics.

    Parameters
    ----------
    model
        A causal language model of HuggingFace, or a predictor (see `matrixbayes.diagnostics`).
    tokenizer
        Of the language model; None for a predictor.
    task
        Where demonstrations come from: anything with ``n_tokens`` and ``sample(n, length, rng=)``,
        such as `windtunnel.Urns` or `windtunnel.MarkovChains`.
    tokens : sequence of str or int, optional
        Of a language model: the spelling of each of the task's tokens, a single token each, or its
        id.  By default the names that the prior of the task has.
    prefix : sequence of int, optional
        Of a language model: the ids before every sequence; the tokenizer's BOS by default.
    shots : int
        Tokens of the task that the model sees before it goes on by itself.
    n, length : int
        Continuations, and tokens of each: 32 by default, or what the model takes.
    n_permutations : int
        Of each of 16 histories of the task, `length` tokens long.
    noise : float
        Standard deviation of a log-probability's error; see `exchangeability_test`.
    null, family, max_components
        As in `martingale_test`: one null for all tests, which the verdict names.
    n_boot : int
        Draws of each null: 5 / level - 1 at least, or nothing could be rejected.
    level : float
        Of the whole card, after Holm's correction.
    rng : numpy.random.Generator or int, optional

    Returns
    -------
    ScoreCard

    Notes
    -----
    The model samples once; all tests look at the same continuations.  A small effect is found where
    n is large: see the verdicts for how large it is, and `windtunnel.score` for what it costs.

    Examples
    --------
    >>> import matrixbayes as mb
    >>> from matrixbayes import windtunnel
    >>> prior = mb.DirichletMixture([1.0], [[1.0, 2.0]])
    >>> card = mb.score_card(mb.UrnPredictor(prior), None, windtunnel.Urns(prior), n=60, rng=0)
    >>> card.verdict[:35], len(card.tests)
    ('Nothing here speaks against Bayes: ', 5)
    """
    having(task, "task", "n_tokens", "sample")
    predictor = _predictor(model, tokenizer, task, tokens, prefix)
    width = checked_predictor(predictor)
    if width != task.n_tokens:
        raise ValueError(f"the model has {width} tokens and the task {task.n_tokens}")
    shots = whole(shots, "shots", 0)
    check_options(n_boot, level, N_TESTS)
    generator = generator_of(rng)
    length = _room(predictor, shots) if length is None else length
    check_permutations((16, length), 1, n_permutations, noise)
    history = np.asarray(task.sample(1, shots, rng=generator))[0].tolist()
    histories = checked(task.sample(16, length, rng=generator), width, "the task's sequences")
    nothing = np.zeros(0, dtype=np.int64)
    with warnings.catch_warnings():
        # the verdict of a test without power says so
        warnings.filterwarnings("ignore", ".*has no power", RuntimeWarning)
        found = sampled(
            predictor, history, n, length, null, family, max_components, n_boot, level, generator
        )
        paths, learner, _ = found
        tests = (
            martingale(found, n_boot, level),
            order_of_continuations(paths, learner, n_boot, level, generator),
            order_of_predictions(
                predictor,
                nothing,
                histories,
                learner,
                1,
                n_permutations,
                noise,
                n_boot,
                level,
                generator,
            ),
            uncertainty_scaling(found, n_boot, level),
            forgetting(found, n_boot, level),
        )
    return ScoreCard(tests, tuple(history), level)


def _predictor(
    model: Any,
    tokenizer: Any,
    task: Any,
    tokens: Sequence[str | int] | None,
    prefix: ArrayLike | None,
) -> Any:
    """The model as a predictor of the task's tokens."""
    if not hasattr(model, "get_output_embeddings"):
        if tokens is not None or prefix is not None:
            raise ValueError(
                "tokens and prefix are of a language model; this is a predictor, which has its own"
            )
        return model
    from ..huggingface.answers import make_columns

    names = getattr(getattr(task, "prior", None), "tokens", None) if tokens is None else tokens
    if names is None:
        raise ValueError(
            "the task's tokens have no names: give tokens, the spelling or the id of each"
        )
    if prefix is None:
        begin = getattr(tokenizer, "bos_token_id", None)
        if begin is None:
            raise ValueError("the tokenizer has no BOS token: give prefix, ids to begin with")
        prefix = [begin]
    width = int(model.get_output_embeddings().weight.shape[0])
    columns = make_columns(tokenizer, list(names), width)
    return TokenPredictor(model, columns.token_ids[: len(names)], prefix=prefix)  # type: ignore[arg-type]


def _room(predictor: Any, shots: int) -> int:
    """How long continuations can be."""
    most = getattr(predictor, "max_history", None)
    if most is not None and most < shots + LEAST_LENGTH:
        raise ValueError(
            f"the model takes {most} tokens, which leaves too few after {shots} shots: tests need "
            f"continuations of {LEAST_LENGTH} or more"
        )
    return LONGEST if most is None else min(LONGEST, most - shots)
