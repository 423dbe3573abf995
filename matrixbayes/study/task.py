"""The model of a study, with what every step needs of it, and a truth that may be known.

Contents
    Task                the model, what its columns are, and the truth
    true_prior          what a model's folder records
    usable_truth        the truth in the columns of rows, if it is about them
    draw, as_shots      sequences from a known truth
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._base.tokens import columns_in, order_of
from ..huggingface.demo import recorded_prior
from .inputs import UsageError
from .texts import Shots

if TYPE_CHECKING:
    from ..huggingface.answers import Other
    from ..huggingface.prompts import Positions
    from ..mixture import DirichletMixture
    from ..rows import NextTokenRows

HISTORY = 48  # draws per sequence of a design
NEGLIGIBLE = 1e-3


@dataclass(frozen=True)
class Task:
    """What every step of a study needs."""

    model: Any
    tokenizer: Any
    vocab: Mapping[str, Sequence[str | int]] | None
    other: Other
    seed: int
    jobs: int | None
    truth: DirichletMixture | None
    batch_size: int = 32

    def collect(
        self, prompts: Sequence[Any], positions: Positions = "last", vocab: Any = None
    ) -> NextTokenRows:
        """The model's rows; what is wrong with the prompts or the vocabulary is the user's."""
        from ..huggingface import collect

        # What the model wrote itself is meant as it is: ids alone, that no tokenizer looks at.
        written = vocab is not None and not any(isinstance(prompt, str) for prompt in prompts)
        written = written and not any(isinstance(s, str) for own in vocab.values() for s in own)
        vocab = self.vocab if vocab is None else vocab
        try:
            return collect(
                self.model,
                None if written else self.tokenizer,
                list(prompts),
                positions=positions,
                vocab=vocab,
                other=self.other if vocab is not None else "keep",
                batch_size=self.batch_size,
                progress=False,
            )
        except (ValueError, TypeError, MemoryError) as error:
            raise UsageError(error) from error


def true_prior(folder: Path) -> DirichletMixture | None:
    """The prior recorded in a model's folder, if it is."""
    try:
        return recorded_prior(folder)
    except (KeyError, TypeError, ValueError) as error:
        path = folder / "training.json"
        raise UsageError(f"{path} does not record a prior as expected: {error!r}") from error


def usable_truth(task: Task, rows: NextTokenRows) -> tuple[DirichletMixture | None, list[str]]:
    """The truth, if it is about the columns of the rows; and notes for the reader."""
    notes = []
    truth = task.truth
    names = None if truth is None else truth.tokens
    if truth is not None and names is not None and set(names) == set(rows.tokens or ()):
        order = order_of(names, rows.tokens, "the tokens of the true prior")
        alpha = columns_in(truth.alpha, order)
        truth = type(truth)(truth.weights, alpha, tokens=rows.tokens)
    elif truth is not None and rows.tokens != names:
        truth = None
        notes.append("the true prior is over other tokens than --vocab: not compared with")
    if task.vocab is not None and rows.tokens is not None and len(rows.tokens) > len(task.vocab):
        share = float(np.exp(rows.log_probs[:, -1].max()))
        if share < NEGLIGIBLE:
            notes.append(
                f"{rows.tokens[-1]} never holds more than {share:.1e}: with other='renormalize' "
                "(--other renormalize) the prior is about the answers alone"
            )
    return truth, notes


def draw(task: Task, n: int, rng: np.random.Generator) -> list[list[str]]:
    """`n` sequences of words: an urn from the true prior, then draws from the urn."""
    truth = task.truth
    assert truth is not None
    assert truth.tokens is not None
    urns = np.asarray(truth.sample(n, rng=rng))
    columns = [rng.choice(len(urn), size=HISTORY, p=urn / urn.sum()) for urn in urns]
    return [[truth.tokens[j] for j in row] for row in columns]


def as_shots(words: Sequence[str]) -> Shots:
    """A sequence of draws as demonstrations without inputs."""
    texts = tuple(" ".join(words[:t]) for t in range(len(words) + 1))
    return Shots(texts, tuple(words))
