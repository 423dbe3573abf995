"""The elicited prior as a model of its own: it predicts, writes, and scores texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .._base.arguments import generator_of, whole
from .._base.sequences import checked, checked_history
from .._base.typing import Floats, Ids, Seed
from .design import design
from .histories import checked_histories
from .objective import Predictor

if TYPE_CHECKING:
    from .report import ElicitationReport


class ElicitedPredictor:
    """Exact Bayes under an elicited prior, of whatever family, as a predictor.

    It is what `calibration` and the tests of `matrixbayes.diagnostics` take.

    Parameters
    ----------
    report : ElicitationReport

    Examples
    --------
    >>> import numpy as np, matrixbayes as mb
    >>> histories = [[], [0], [1], [0, 0], [0, 1, 0, 0]]
    >>> counts = np.array([[h.count(0), h.count(1)] for h in histories])
    >>> model = (counts + 3) / (counts + 3).sum(axis=1, keepdims=True)
    >>> predictor = mb.elicit_prior(histories, model, kind="probs", rng=0).predictor()
    >>> np.exp(predictor.predict([[], [0, 0]])).round(4)
    array([[0.5  , 0.5  ],
           [0.625, 0.375]])
    >>> round(predictor.log_evidence([0, 0]), 4)            # ln(1/2 4/7)
    -1.2528
    >>> predictor.sample(2, 4, history=[0, 0], rng=0).shape
    (2, 4)
    """

    def __init__(self, report: ElicitationReport) -> None:
        self.report = report

    @property
    def n_tokens(self) -> int:
        """V."""
        return self.report.n_tokens

    @property
    def tokens(self) -> tuple[str, ...] | None:
        """Names of the tokens."""
        return self.report.tokens

    @property
    def family(self) -> str:
        """The family of the prior."""
        return self.report.family

    def __call__(self, sequences: ArrayLike) -> Floats:
        """Log-probabilities (n, length, V) of each token given those before."""
        rows = checked(sequences, self.n_tokens)
        n, length = rows.shape
        found = self.predict([row[:t] for row in rows for t in range(length)])
        return found.reshape(n, length, self.n_tokens)

    def predict(self, histories: Any) -> Floats:
        """Log-probabilities (N, V) of the token after each history."""
        report = self.report
        known = checked_histories(histories, "tokens", self.n_tokens, self.tokens)
        fading = report.discount < 1.0
        seen = design(known, report.family, report.order, fading, depth=report.depth)
        predictor = Predictor(seen, report.discount)
        found = predictor.forward(report.parameters)
        return predictor.log_rows(found, report.temperature, seen.group)

    def log_evidence(self, sequence: ArrayLike, *, history: ArrayLike = ()) -> float:
        """The natural logarithm of the probability of a sequence, after a history if any."""
        before = checked_history(history, self.n_tokens, "history")
        text = checked_history(sequence, self.n_tokens, "sequence")
        both = np.concatenate([before, text])
        log_p = self.predict([both[: len(before) + t] for t in range(len(text))])
        return float(log_p[np.arange(len(text)), text].sum())

    def sample(self, n: int, length: int, *, history: ArrayLike = (), rng: Seed = None) -> Ids:
        """Continuations (n, length) of one history, each token from the prediction for it."""
        n, length = whole(n, "n", 0), whole(length, "length", 0)
        generator = generator_of(rng)
        before = checked_history(history, self.n_tokens, "history")
        texts = np.empty((n, len(before) + length), dtype=np.int64)
        texts[:, : len(before)] = before
        for t in range(len(before), texts.shape[1] if n else 0):
            p = np.exp(self.predict(texts[:, :t]))
            reached = np.cumsum(p, axis=1)
            chance = generator.random((n, 1)) * reached[:, -1:]
            texts[:, t] = np.minimum((reached <= chance).sum(axis=1), self.n_tokens - 1)
        return texts[:, len(before) :]

    def __repr__(self) -> str:
        return f"ElicitedPredictor({self.family!r} over {self.n_tokens} tokens)"
