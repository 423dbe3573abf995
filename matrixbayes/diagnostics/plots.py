"""Pictures of diagnostic tests, and of a score card."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._base.display import number
from .._base.display.pictures import named
from .._base.drawing.names import words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .card import ScoreCard
    from .result import DiagnosticTest


def diagnostic_test(test: DiagnosticTest, *, ax: Axes | None = None) -> Axes:
    """Each figure of a test, and a bar for the middle 95 % of it under the null: outside is marked.

    Parameters
    ----------
    test
        From one of the tests, or of a `ScoreCard`.
    ax
        Where to draw; a new figure without it.
    """
    outside = np.flatnonzero((test.values < test.low) | (test.values > test.high))
    return named(
        [words(name, 32) for name in test.figures],
        test.values,
        low=test.low,
        high=test.high,
        marked=set(outside.tolist()),
        xlabel="value, and 95 % of the null",
        title=f"{test.name}: p = {number(float(test.p_value))}",
        ax=ax,
    )


def score_card(card: ScoreCard, *, ax: Axes | None = None) -> Axes:
    """The p-value of each test, and a bar to that with Holm's correction; rejections are marked.

    Parameters
    ----------
    card
        From `score_card`.
    ax
        Where to draw; a new figure without it.
    """
    values = [test.p_value for test in card.tests]
    return named(
        [words(test.name, 32) for test in card.tests],
        values,
        low=values,
        high=card.adjusted,
        marked={i for i, p in enumerate(card.adjusted) if p <= card.level},
        line=card.level,
        xlabel="p, and after Holm's correction",
        title="Score card",
        ax=ax,
    )
