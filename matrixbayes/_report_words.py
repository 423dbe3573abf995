"""Findings of a study in words, for the terminal and the page alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ._study_shots import Divergence, aligned
from .display import percent, show

if TYPE_CHECKING:
    from .mixture import DirichletMixture
    from .study import StudyResult

__all__ = ["bits_line", "component_line", "range_line", "recovery_line"]


def component_line(mixture: DirichletMixture, k: int) -> str:
    """One component in words."""
    alpha = np.asarray(mixture.alpha)[k]
    mean = alpha / alpha.sum()
    names = mixture.tokens
    order = np.argsort(-mean, kind="stable")[:3]
    top = ", ".join(f"{show(j if names is None else names[j])} {percent(mean[j])}" for j in order)
    return f"weight {mixture.weights[k]:.3f}, A = {alpha.sum():.4g}: {top}"


def bits_line(divergence: Divergence) -> str:
    """A divergence at its first shot, its last, and on average, in words."""
    mean = divergence.mean
    last = len(mean) - 1
    return (
        f"{float(np.mean(mean)):.5f} bits on average over shots 0 to {last} "
        f"({mean[0]:.5f} at 0, {mean[-1]:.5f} at {last})"
    )


def recovery_line(result: StudyResult) -> str | None:
    """How far the elicited prior is from the true one, in words."""
    if result.truth is None or result.elicited is None:
        return None
    true, found = result.truth, aligned(result.truth, result.elicited)
    if found is None:
        return f"{result.elicited.n_components} components were found, {true.n_components} are true"
    weight = float(np.abs(np.asarray(found.weights) - np.asarray(true.weights)).max())
    means = [np.asarray(m.alpha) / np.asarray(m.concentration)[:, None] for m in (found, true)]
    variation = float(0.5 * np.abs(means[0] - means[1]).sum(axis=1).max())
    ratio = np.asarray(found.concentration) / np.asarray(true.concentration)
    return (
        f"weights within {weight:.3f}, means within {variation:.3f} (total variation), "
        f"concentrations {ratio.min():.2f} to {ratio.max():.2f} times the true ones"
    )


def range_line(sizes: Sequence[int]) -> str:
    """Numbers of components in words."""
    if len(sizes) > 2 and list(sizes) == list(range(sizes[0], sizes[-1] + 1)):
        return f"{sizes[0]} to {sizes[-1]}"
    return ", ".join(map(str, sizes)) or "those given"
