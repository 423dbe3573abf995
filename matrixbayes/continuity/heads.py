"""What a model's head does between two states, and how far it can move a row.

Contents
    probe_segment, SegmentProbe    defects of convexity and of log-affinity along a segment
    head_bound, HeadBound          observed distances and a certificate from the head's matrix
    span_of, SoftmaxSpan           the softmax bottleneck: rank of rows, rows outside the span
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._base.numbers import plain, reals
from .._base.typing import Floats
from ..rows import as_log_probs

BLOCK = 1 << 10  # rows of the head's matrix held against others at a time
MOST_PAIRS = 1 << 28  # of rows of the head's matrix that are looked at for its diameter
SLACK = 1e-6  # of logits in float32, what rounding may do to a distance


# ---------------------------------------------------------------------------
# Segments
# ---------------------------------------------------------------------------


@dataclass(frozen=True)
class SegmentProbe:
    """A head along a segment; made by `probe_segment`.

    Attributes
    ----------
    position : ndarray of shape (n,)
        a from 0 to 1, of the state (1 - a) e1 + a e2.
    convexity : ndarray of shape (n,)
        Total variation between the head's row there and the mixture (1 - a) f(e1) + a f(e2).
    log_affinity : ndarray of shape (n,)
        And to the normalised geometric mixture f(e1)^(1-a) f(e2)^a, which a softmax of linear
        logits gives exactly.
    """

    position: Floats
    convexity: Floats
    log_affinity: Floats

    @property
    def convexity_defect(self) -> float:
        """The largest along the segment."""
        return float(self.convexity.max())

    @property
    def log_affinity_defect(self) -> float:
        """The largest along the segment."""
        return float(self.log_affinity.max())


def probe_segment(
    head: Callable[[Any], Any],
    e1: ArrayLike,
    e2: ArrayLike,
    n: int = 33,
    *,
    kind: str = "logits",
) -> SegmentProbe:
    """Follow a head along the segment between two states.

    Parameters
    ----------
    head : callable
        From states (n, d) to rows (n, V): a NumPy function, or a torch module, which is given
        tensors of its own type.
    e1, e2 : array_like of shape (d,)
        Where the segment begins and ends.
    n : int
        Places along it, both ends counted.
    kind : {"logits", "log_probs", "probs"}
        What the head gives.

    Returns
    -------
    SegmentProbe

    Examples
    --------
    >>> import numpy as np
    >>> from matrixbayes.continuity import probe_segment
    >>> weights = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    >>> found = probe_segment(lambda h: h @ weights.T, [0.0, 2.0], [2.0, 0.0])
    >>> found.log_affinity_defect < 1e-14, round(found.convexity_defect, 4)
    (True, 0.0489)
    """
    first, second = reals(e1, "e1"), reals(e2, "e2")
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"e1 and e2 have shapes {first.shape} and {second.shape}; they need (d,)")
    if n < 2:
        raise ValueError(f"n is {n}; both ends are counted, so it must be 2 or more")
    position = np.linspace(0.0, 1.0, n)
    states = (1.0 - position)[:, np.newaxis] * first + position[:, np.newaxis] * second
    log_probs = as_log_probs(_called(head, states), kind)[0].astype(np.float64)
    rows = np.exp(log_probs)
    a = position[:, np.newaxis]
    mixed = (1.0 - a) * rows[0] + a * rows[-1]
    with np.errstate(invalid="ignore"):
        ends = np.where(a == 0.0, 0.0, a * log_probs[-1]) + np.where(
            a == 1.0, 0.0, (1.0 - a) * log_probs[0]
        )
    geometric = np.exp(ends - ends.max(axis=1, keepdims=True))
    geometric /= geometric.sum(axis=1, keepdims=True)
    return SegmentProbe(
        position,
        0.5 * np.abs(rows - mixed).sum(axis=1),
        0.5 * np.abs(rows - geometric).sum(axis=1),
    )


def _called(head: Callable[[Any], Any], states: Floats) -> Any:
    """What a head gives for states, as an array; in the precision of a torch module."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(head, torch.nn.Module):
        return head(states)
    parameter = next(head.parameters(), None)
    like = {} if parameter is None else {"dtype": parameter.dtype, "device": parameter.device}
    with torch.no_grad():
        found = head(torch.as_tensor(states, **like))
    return found.double().cpu().numpy()


# ---------------------------------------------------------------------------
# Certificates
# ---------------------------------------------------------------------------


@dataclass(frozen=True)
class HeadBound:
    """Total variation between rows, and what the head allows; made by `head_bound`.

    Attributes
    ----------
    first, second : ndarray of shape (n,)
        The pairs of states.
    total_variation : ndarray of shape (n,)
        Observed.
    certificate : ndarray of shape (n,)
        tanh(r / 4), r the range of the difference of the two states' logits.
    a_priori : ndarray of shape (n,)
        tanh(diameter |h - h'| / 4), which knows the states' distance only.
    diameter : float
        Of the rows of W: the largest distance between two, or a bound on it.
    diameter_is_exact : bool
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    total_variation: Floats
    certificate: Floats
    a_priori: Floats
    diameter: float
    diameter_is_exact: bool

    @property
    def slack(self) -> Floats:
        """certificate - total_variation, (n,)."""
        return self.certificate - self.total_variation


def head_bound(
    W: ArrayLike,
    hidden: ArrayLike,
    logits: ArrayLike | None = None,
    *,
    n_pairs: int = 10_000,
    rng: np.random.Generator | int | None = None,
) -> HeadBound:
    """How far two states' rows are, and how far the head lets them be.

    For p = softmax(W h + b) and q = softmax(W h' + b), with r the range of W (h - h'):
    TV(p, q) <= tanh(r / 4), and r <= diam(W) |h - h'|.

    Parameters
    ----------
    W : array_like of shape (V, d)
        The output embeddings.
    hidden : array_like of shape (N, d)
        The states that the head is given.
    logits : array_like of shape (N, V), optional
        What the model gave for them; W h by default.
    n_pairs : int
        Pairs of states, all where there are no more, else a sample.
    rng : numpy.random.Generator or int, optional

    Returns
    -------
    HeadBound

    Raises
    ------
    ValueError
        A distance is larger than its certificate by more than rounding: the logits are not those of
        this head for these states.

    Examples
    --------
    >>> import numpy as np, matrixbayes as mb
    >>> found = mb.head_bound([[1.0], [-1.0]], [[0.0], [0.5], [3.0]])
    >>> np.allclose(found.total_variation, [0.231, 0.498, 0.266], atol=1e-3)
    True
    >>> bool((found.slack >= 0).all()), found.diameter, found.diameter_is_exact
    (True, 2.0, True)
    """
    from .embedding import EmbeddingMap

    w, h = reals(W, "W"), reals(hidden, "hidden")
    if w.ndim != 2 or h.ndim != 2 or w.shape[1] != h.shape[1]:
        raise ValueError(f"W has shape {w.shape} and hidden {h.shape}; they need (V, d) and (N, d)")
    scores = h @ w.T
    given = scores if logits is None else plain(logits, "logits")
    if given.shape != scores.shape:
        raise ValueError(f"logits have shape {given.shape}; they need {scores.shape}")
    map = EmbeddingMap(h, given, kind="logits")
    pairs = map.sample(n_pairs, rng=rng)
    ranges = _core.pair_distances("hilbert", scores, pairs.first, pairs.second)
    certificate = np.tanh(0.25 * ranges)
    diameter, exact = _diameter(w)
    beyond = pairs.row_distance - certificate
    allowed = 1e-12 if map.log_probs.dtype == np.float64 else SLACK
    if logits is not None and given.dtype != np.float64:
        allowed = SLACK * max(1.0, float(np.abs(scores).max(initial=0.0)))
    if len(beyond) and beyond.max() > allowed:
        worst = int(beyond.argmax())
        raise ValueError(
            f"rows {pairs.first[worst]} and {pairs.second[worst]} are {beyond[worst]:.3g} further "
            "apart than this head allows: the logits are not those of W for these hidden states "
            "(is there a final norm between them?)"
        )
    return HeadBound(
        pairs.first,
        pairs.second,
        pairs.row_distance,
        certificate,
        np.tanh(0.25 * diameter * pairs.embedding_distance),
        diameter,
        exact,
    )


def _diameter(w: Floats) -> tuple[float, bool]:
    """The largest distance between two rows of W, and whether it is that or a bound.

    Rows go from the furthest from the centre inwards: two rows can be no further apart than the
    sum of their distances from it, so that most are never compared.
    """
    if len(w) < 2:
        return 0.0, True
    centred = w - w.mean(axis=0)
    radius = np.sqrt(np.square(centred).sum(axis=1))
    order = np.argsort(-radius, kind="stable")
    centred, radius = centred[order], radius[order]
    best, looked_at = 0.0, 0
    for start in range(0, len(w), BLOCK):
        if 2.0 * radius[start] <= best:
            return best, True
        mine = centred[start : start + BLOCK]
        for other in range(0, start + 1, BLOCK):
            reach = radius[start] + radius[other]
            if reach <= best:
                break  # those that follow are nearer to the centre
            theirs = centred[other : other + BLOCK]
            squared = (
                np.square(mine).sum(axis=1)[:, np.newaxis]
                + np.square(theirs).sum(axis=1)
                - 2.0 * mine @ theirs.T
            )
            i, j = np.unravel_index(int(squared.argmax()), squared.shape)
            best = max(best, float(np.linalg.norm(mine[i] - theirs[j])))
            looked_at += squared.size
        if looked_at > MOST_PAIRS and start + BLOCK < len(w):
            return float(radius[0] + radius[1]), False
    return best, True


# ---------------------------------------------------------------------------
# The softmax bottleneck
# ---------------------------------------------------------------------------


@dataclass(frozen=True)
class SoftmaxSpan:
    """The linear span of log-probabilities; made by `span_of`.

    Attributes
    ----------
    rank : int
        Numerical rank of the log-probabilities, each row less its mean.
    singular_values : ndarray
    outside : ndarray of shape (N,) or None
        With W given: the share of each centred row that lies outside the span of the head, 0 for a
        row that the head can produce, whatever the state.
    """

    rank: int
    singular_values: Floats
    outside: Floats | None


def span_of(rows: Any, W: ArrayLike | None = None, *, kind: str | None = None) -> SoftmaxSpan:
    """The rank of rows as logits: at most d for a head of width d (one more with a bias).

    Parameters
    ----------
    rows : NextTokenRows, or array_like of shape (N, V)
        Without exact zeros.
    W : array_like of shape (V, d), optional
        A head, to say which rows it can produce.
    kind : {"logits", "log_probs", "probs"}, optional
        What a bare array of rows holds.

    Returns
    -------
    SoftmaxSpan

    Notes
    -----
    Singular values count down to the rounding of the rows' type.

    Examples
    --------
    >>> import numpy as np, matrixbayes as mb
    >>> rng = np.random.default_rng(0)
    >>> W, hidden = rng.normal(size=(30, 4)), rng.normal(size=(20, 4))
    >>> found = mb.span_of(hidden @ W.T, W, kind="logits")
    >>> found.rank, bool(found.outside.max() < 1e-20)
    (4, True)
    """
    log_probs, _ = as_log_probs(rows, kind)
    if not np.isfinite(log_probs).all():
        i, j = np.argwhere(~np.isfinite(log_probs))[0]
        raise ValueError(f"row {i} has an exact zero at column {j}: no logits give it")
    centred = log_probs.astype(np.float64)
    centred -= centred.mean(axis=1, keepdims=True)
    values: Floats = np.linalg.svd(centred, compute_uv=False).astype(np.float64)
    precision = float(np.finfo(log_probs.dtype).eps)
    scale = float(np.abs(log_probs).max(initial=0.0)) * np.sqrt(centred.size)
    rank = int(
        (values > precision * max(max(centred.shape) * values.max(initial=0.0), scale)).sum()
    )
    if W is None:
        return SoftmaxSpan(rank, values, None)
    w = reals(W, "W")
    if w.ndim != 2 or w.shape[0] != centred.shape[1]:
        raise ValueError(f"W has shape {w.shape}; it needs ({centred.shape[1]}, d)")
    if not np.isfinite(w).all():
        i, j = np.argwhere(~np.isfinite(w))[0]
        raise ValueError(f"W[{i}, {j}] is {w[i, j]}; weights are finite")
    basis = np.linalg.qr(w - w.mean(axis=0))[0]
    rest = centred - (centred @ basis) @ basis.T
    size = np.square(centred).sum(axis=1)
    outside = np.square(rest).sum(axis=1) / np.where(size > 0.0, size, 1.0)
    return SoftmaxSpan(rank, values, outside)
