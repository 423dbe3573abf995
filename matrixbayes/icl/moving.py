"""The pictures of a text as evidence that moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._base.arguments import shown
from .._base.display import show
from .._base.style import COLOURS, label, token_name
from .._base.tokens import columns_of
from ..mixture.shots.animation import settle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .path import LearningPath

TOKENS, MOST_TOKENS = 6, 12


def moving_text(
    path: LearningPath, tokens: Sequence[str] | Sequence[int] | None
) -> tuple[Figure, Callable[[int], None]]:
    """A figure of bars and of KL so far, and what makes it that of token t."""
    from matplotlib.figure import Figure

    own, mean = np.exp(path.log_probs), path.predictive
    columns = _columns(path, tokens, own + mean)
    figure = Figure(layout="constrained", figsize=(8.0, 1.7 + 0.42 * max(len(columns), 4)))
    bars, curve = figure.subplots(1, 2)
    places = np.arange(len(columns))[::-1]
    pairs = []
    for i, (name, rows, shift) in enumerate((("model", own, 0.2), ("posterior", mean, -0.2))):
        values = rows[0, columns]
        look: dict[str, Any] = {"color": COLOURS[i], "height": 0.36, "label": name}
        pairs.append((bars.barh(places + shift, values, **look), rows))
    bars.set_yticks(places, [token_name(path.names, j) for j in columns])
    bars.set_xlim(0.0, min(1.0, 1.05 * float(np.maximum(own, mean)[:, columns].max())))
    bars.set_xlabel("probability of the next token")
    legend: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (-0.02, 1.0), "ncols": 2}
    bars.legend(frameon=False, borderaxespad=0.1, fontsize="small", **legend)
    (line,) = curve.plot([], [], color=COLOURS[3], marker="o", markersize=3)
    curve.set_xlim(-0.5, len(path) - 0.5)
    curve.set_ylim(0.0, 1.08 * max(float(path.kl.max()), 1e-6))
    curve.set_xlabel("token of the text")
    curve.set_title("KL(model || posterior), nats", loc="left", fontsize="small")
    for each in (bars, curve):
        each.spines[["top", "right"]].set_visible(False)
    words = figure.text(0.015, 0.985, "", va="top", fontweight="bold")
    settle(figure, top=0.36)
    names = range(mean.shape[1]) if path.names is None else path.names

    def draw(t: int) -> None:
        for drawn, rows in pairs:
            for bar, value in zip(drawn, rows[t, columns], strict=True):
                bar.set_width(value)
        line.set_data(np.arange(t + 1), path.kl[: t + 1])
        name = label(show(names[path.tokens[t]]))
        words.set_text(f"before token {t + 1} of {len(path)}, which is {name}")

    return figure, draw


def _columns(path: LearningPath, tokens: Any, score: Any) -> list[int]:
    """The columns that have bars."""
    if tokens is None:
        order = np.argsort(-(score.mean(axis=0) + score[-1]), kind="stable")
        return [int(j) for j in order[:TOKENS]]
    if isinstance(tokens, (str, bytes)):
        raise TypeError(f"tokens must be a sequence; for a single token write [{shown(tokens)}]")
    width = path.predictive.shape[1]
    found = list(columns_of(tokens, path.names, width, "the path", "tokens"))
    if not 1 <= len(found) <= MOST_TOKENS:
        raise ValueError(f"tokens names {len(found)}; between 1 and {MOST_TOKENS} are shown")
    return found
