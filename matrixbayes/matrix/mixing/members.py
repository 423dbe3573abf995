"""The models of a mixture, each asked in its own way about tokens that all number alike.

Contents
    several    the models that a user gave
    Members    models over one vocabulary
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._base.tokens import Vocabulary, columns_in, order_of
from ..._base.typing import Documents, Floats, Ids
from ...errors import ArgumentError

NEEDED = ("n_tokens", "predict", "scores")


def several(models: Any) -> tuple[Any, ...]:
    """The models that a user gave, which are not one."""
    if hasattr(models, "predict"):
        raise TypeError(f"models is one {type(models).__name__}; give a list of models")
    return tuple(models)


class Members:
    """Models over one vocabulary, that of the first with names."""

    def __init__(self, models: tuple[Any, ...]) -> None:
        if not models:
            raise ValueError("there are no models: a mixture has one at least")
        for k, model in enumerate(models):
            for name in NEEDED:
                if not hasattr(model, name):
                    raise ArgumentError(
                        f"model {k} is {type(model).__name__}, which has no {name}: a mixture asks "
                        "its models for n_tokens, predict(contexts) and scores(documents)"
                    )
        widths = [int(model.n_tokens) for model in models]
        if len(set(widths)) > 1:
            raise ValueError(f"models have {widths} tokens; those of a mixture are the same")
        named = [getattr(model, "tokens", None) for model in models]
        first = next((k for k, each in enumerate(named) if each is not None), 0)
        names = None if named[first] is None else tuple(named[first] or ())
        own = getattr(models[first], "_vocabulary", None)
        self.models = models
        self.vocabulary = Vocabulary(widths[0], names, getattr(own, "unknown", None))
        # of each model, where its tokens are that all number alike
        self.orders = [
            order_of(own, names, f"the tokens of model {k} and those of the others")
            for k, own in enumerate(named)
        ]

    def scores(self, documents: Documents) -> Floats:
        """ln p of every token in each model, documents one behind the other, (n, K)."""
        n = sum(map(len, documents))
        found = np.empty((n, len(self.models)))
        for k, model in enumerate(self.models if n else ()):
            scores: Any = model.scores([self._own(k, each) for each in documents])
            if isinstance(scores, (list, tuple)):
                scores = np.concatenate([np.ravel(each) for each in scores])
            if np.shape(scores) != (n,) or np.isnan(scores).any():
                raise ValueError(
                    f"model {k}: scores(documents) gave shape {np.shape(scores)} for {n} tokens, "
                    "or NaN; it must give the log-probability of every token"
                )
            found[:, k] = scores
        return found

    def rows(self, contexts: Ids, weights: Floats) -> Floats:
        """The mean of the models' rows (n, V) after contexts of one length."""
        is_begin = contexts == self.vocabulary.n_tokens
        leads = np.cumprod(is_begin, axis=1, dtype=np.int64).sum(axis=1)
        rows = np.zeros((len(contexts), self.vocabulary.n_tokens))
        for k in np.flatnonzero(weights).tolist():
            if len(getattr(self.models[k], "begin", ())) > 0:
                rows += weights[k] * self._rows(k, contexts)
                continue
            for lead in np.unique(leads):  # these models know a beginning by what is not there
                some = np.flatnonzero(leads == lead)
                rows[some] += weights[k] * self._rows(k, contexts[some, lead:])
        return rows

    def _rows(self, k: int, contexts: Ids) -> Floats:
        rows = np.asarray(self.models[k].predict(self._own(k, contexts)), dtype=np.float64)
        return columns_in(rows, self.orders[k])

    def _own(self, k: int, ids: Ids) -> Ids:
        """Numbers of tokens as model k has them."""
        order = self.orders[k]
        return ids if order is None else np.append(order, self.vocabulary.n_tokens)[ids]
