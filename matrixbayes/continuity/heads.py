"""What a model's head does between two states, and how far it can move a row.

Contents
    probe_segment, SegmentProbe    defects of convexity and of log-affinity along a segment
    head_bound, HeadBound          observed distances and a certificate from the head's matrix
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._base import display
from .._base.arguments import times
from .._base.asked import asked
from .._base.numbers import plain, reals
from .._base.typing import Floats
from ..huggingface.heads import Head, head_of
from ..rows import NextTokenRows, as_log_probs
from .given import floor_of, head_or_matrix, logits_of
from .span import SoftmaxSpan as SoftmaxSpan  # where old pickles look for it

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

BLOCK = 1 << 10  # rows of the head's matrix held against others at a time
MOST_PAIRS = 1 << 28  # of rows of the head's matrix that are looked at for its diameter
SLACK = 1e-6  # of logits in float32, what rounding may do to a distance
ROUNDED = 1e-6  # what rounding logits in float32 may do to a defect
BFLOAT16 = 2.0**-7  # from 1 to the next number of the coarsest type that models run in
ROUNDING = 8.0  # times what rounding did on the few tokens that a head was tried out on


# ---------------------------------------------------------------------------
# Segments
# ---------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class SegmentProbe(display.Shown):
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

    def verdict(self) -> list[str]:
        """Whether the head is log-affine, and whether it keeps convex combinations: in words."""
        if len(self.position) < 3:
            return ["It cannot be said what the head does between the ends: no place was tried."]
        words = []
        for name, of, defects in (
            ("Log-affinity", "geometric mixture", self.log_affinity),
            ("Convexity preservation", "mixture", self.convexity),
        ):
            worst = int(defects.argmax())
            most, where = float(defects[worst]), float(self.position[worst])
            what = "holds, but for rounding" if most <= ROUNDED else "does not hold"
            words.append(
                f"{name} {what}: the row is at most {display.number(most)} in total variation "
                f"from the {of} of the ends' rows, at a = {display.number(where)}."
            )
        return words

    def to_pandas(self) -> pd.DataFrame:
        """A row for each place: ``position``, ``convexity``, ``log_affinity``.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        return display.frame(vars(self))

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Both defects along the segment."""
        from .plots import segment  # needs matplotlib

        return segment(self, ax=ax)

    def _table(self) -> display.Table:
        title = f"SegmentProbe of {len(self.position)} places"
        return display.Table(title, words=self.verdict())


def probe_segment(
    head: Any,
    e1: ArrayLike,
    e2: ArrayLike,
    n: int = 33,
    *,
    kind: str = "logits",
) -> SegmentProbe:
    """Follow a head along the segment between two states.

    Parameters
    ----------
    head : callable, Head, transformers.PreTrainedModel, or array_like of shape (V, d)
        From states (n, d) to rows (n, V): a NumPy function, or a torch module, which is given
        tensors of its own type; what `head_of` gives, or the model, for its head behind the final
        norm; or the matrix of a head that is nothing else.
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
    n = times(n, "n", 0)
    if n < 2:
        raise ValueError(f"n is {n}; both ends are counted, so it must be 2 or more")
    position = np.linspace(0.0, 1.0, n)
    states = (1.0 - position)[:, np.newaxis] * first + position[:, np.newaxis] * second
    log_probs = as_log_probs(_called(head, states), kind)[0].astype(np.float64)
    if len(log_probs) != n:
        raise ValueError(f"the head gave {len(log_probs)} rows for {n} states")
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


def _called(head: Any, states: Floats) -> Any:
    """What a head gives for states; a torch module is given them in its own precision."""
    if hasattr(head, "get_output_embeddings"):
        head = head_of(head, norm=False)
    if not callable(head):
        return states @ reals(head, "head").T
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(head, torch.nn.Module):
        return asked(f"{len(states)} states", head, states)
    parameter = next(head.parameters(), None)
    like = {} if parameter is None else {"dtype": parameter.dtype, "device": parameter.device}
    with torch.no_grad():
        found = asked(f"{len(states)} states", head, torch.as_tensor(states, **like))
    # on the CPU: not every device has double precision
    return found.cpu().double() if isinstance(found, torch.Tensor) else found


# ---------------------------------------------------------------------------
# Certificates
# ---------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class HeadBound(display.Shown):
    """Total variation between rows, and what the head allows; made by `head_bound`.

    Attributes
    ----------
    first, second : ndarray of shape (n,)
        The pairs of states.
    total_variation : ndarray of shape (n,)
        Observed.
    certificate : ndarray of shape (n,)
        tanh(r / 4), r the range of the difference of the two states' logits, bias, scale and cap
        counted in.
    a_priori : ndarray of shape (n,)
        tanh(diameter |h - h'| / 4), which knows the states' distance only; with a cap c at most
        tanh(c).
    diameter : float
        Of the rows of W, times the head's scale: the largest distance between two, or a bound on
        it.  With a softcap the origin counts as a row: a cap is not the same for logits that are
        all shifted.
    diameter_is_exact : bool
    floor : float
        How far rounding takes the logits given from the head's, a shift of each row apart; where
        none are given, how far it takes the model's.  By so much at most can an observed distance
        be beyond its certificate.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    total_variation: Floats
    certificate: Floats
    a_priori: Floats
    diameter: float
    diameter_is_exact: bool
    floor: float = 0.0

    @property
    def slack(self) -> Floats:
        """certificate - total_variation, (n,)."""
        return self.certificate - self.total_variation

    def verdict(self) -> str:
        """Whether the certificate holds, and how near the rows come to it: a sentence."""
        if not len(self.first):
            return "It cannot be said whether the certificate holds: there is no pair of states."
        n = len(self.first)
        beyond = int((self.slack < -max(self.floor, SLACK)).sum())
        if beyond:
            worst = int(self.slack.argmin())
            return (
                f"The certificate does not hold: {beyond} of {n} pairs are further apart than the "
                f"head allows, rows {self.first[worst]} and {self.second[worst]} by "
                f"{display.number(float(-self.slack[worst]))}."
            )
        with np.errstate(divide="ignore", invalid="ignore"):
            parts = np.where(self.certificate > 0.0, self.total_variation / self.certificate, 0.0)
        worst = int(parts.argmax())
        near = display.number(float(self.total_variation[worst]))
        return (
            f"The certificate holds for all {n} pairs.  The nearest to it are rows "
            f"{self.first[worst]} and {self.second[worst]}: {near} in total variation, of the "
            f"{display.number(float(self.certificate[worst]))} that the head allows."
        )

    def to_pandas(self) -> pd.DataFrame:
        """A row for each pair: its states, total variation, both bounds, slack.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        names = ["first", "second", "total_variation", "certificate", "a_priori", "slack"]
        return display.frame({name: getattr(self, name) for name in names})

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Observed distances against the certificate."""
        from .plots import head_bound  # needs matplotlib

        return head_bound(self, ax=ax)

    def _table(self) -> display.Table:
        lines = []
        if len(self.first):
            for name, values in (
                ("total variation", self.total_variation),
                ("certificate", self.certificate),
                ("a priori", self.a_priori),
            ):
                lines.append([name, float(np.median(values)), float(values.max())])
        least = "" if self.diameter_is_exact else "at most "
        words = [f"the head's matrix has a diameter of {least}{display.number(self.diameter)}"]
        columns = ["", "median", "largest"]
        title = f"HeadBound: {self.verdict()}"
        return display.Table(title, columns, lines, sentence=True, words=words)


def head_bound(
    W: Any,
    hidden: Any,
    logits: Any = None,
    *,
    n_pairs: int = 10_000,
    rng: np.random.Generator | int | None = None,
) -> HeadBound:
    """How far two states' rows are, and how far the head lets them be.

    For p = softmax(l) and q = softmax(l'), with r the range of l - l': TV(p, q) <= tanh(r / 4).
    Where l = s (W h + b), r <= s diam(W) |h - h'|; and where l = c tanh(s (W h + b) / c), r <=
    s diam(W and 0) |h - h'|, and r <= 4 c.

    Parameters
    ----------
    W : Head, transformers.PreTrainedModel, or array_like of shape (V, d)
        What `head_of` gives with norm=False, or the model; a bare matrix where the head is nothing
        else, or has a bias and `logits` are given.
    hidden : array_like of shape (N, d), or NextTokenRows
        The states that the head is given; or rows with their hidden states, which are then the
        logits too.
    logits : array_like of shape (N, V), or NextTokenRows, optional
        What the model gave for them, or its log-probabilities; by default what the head gives.
    n_pairs : int
        Pairs of states, all where there are no more, else a sample.
    rng : numpy.random.Generator or int, optional

    Returns
    -------
    HeadBound

    Raises
    ------
    ValueError
        The logits are further from this head's, or a distance from its certificate, than rounding
        explains: the logits are not those of this head for these states.  Or a bare matrix is
        given for rows that say that their head is more.

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

    head = head_or_matrix(W, hidden, logits, refused={"a scale", "a softcap"})
    floor = floor_of(head, hidden, logits)
    if isinstance(hidden, NextTokenRows):
        if hidden.hidden is None:
            raise ValueError("these rows have no hidden states: collect them with hidden=True")
        logits = hidden if logits is None else logits
        hidden = hidden.hidden
    w, h = head.matrix if isinstance(head, Head) else head, reals(hidden, "hidden")
    if w.ndim != 2 or h.ndim != 2 or w.shape[1] != h.shape[1]:
        raise ValueError(f"W has shape {w.shape} and hidden {h.shape}; they need (V, d) and (N, d)")
    scores = logits_of(head, h)
    given = scores if logits is None else logits
    given = given.log_probs if isinstance(given, NextTokenRows) else plain(given, "logits")
    if given.shape != scores.shape:
        raise ValueError(f"logits have shape {given.shape}; they need {scores.shape}")
    map = EmbeddingMap(h, given, kind="logits")
    pairs = map.sample(n_pairs, rng=rng)
    ranges = _core.pair_distances("hilbert", scores, pairs.first, pairs.second)
    certificate = np.tanh(0.25 * ranges)
    size = max(1.0, float(np.abs(scores).max(initial=0.0)))
    allowed = 1e-12 if map.log_probs.dtype == np.float64 else SLACK
    if logits is not None and given.dtype != np.float64:
        allowed = SLACK * size
    if isinstance(head, Head) and logits is not None:
        away = _away(given, scores)
        explained = ROUNDING * max(head.floor * max(1.0, size / head.size), allowed)
        if len(away) and away.max() > explained:
            raise ValueError(
                f"the logits of row {int(away.argmax())} are {away.max():.3g} from those of this "
                f"head for its hidden state, and rounding explains {explained:.2g}: they are not "
                "the states that enter it"
            )
        floor = float(away.max(initial=0.0))
    elif logits is not None and given.dtype != np.float64:
        off = given - scores
        off -= off.mean(axis=0)  # a bias, which a bare matrix does not tell
        away = _away(off, np.zeros_like(scores))
        if len(away) and away.max() <= BFLOAT16 * size:  # a model in a short type made them
            floor = max(floor, float(away.max()))
    allowed = max(allowed, floor)
    beyond = pairs.row_distance - certificate
    if len(beyond) and beyond.max() > allowed:
        worst = int(beyond.argmax())
        raise ValueError(
            f"rows {pairs.first[worst]} and {pairs.second[worst]} are {beyond[worst]:.3g} further "
            "apart than this head allows: the logits are not those of W for these hidden states "
            "(is there a final norm between them?)"
        )
    diameter, exact = _diameter(np.asarray(w, dtype=np.float64))
    reach = np.inf
    if isinstance(head, Head):
        if head.cap is not None:
            furthest = float(np.sqrt(np.square(w, dtype=np.float64).sum(axis=1)).max(initial=0.0))
            diameter, exact = max(diameter, furthest), exact or furthest >= diameter
            reach = 4.0 * head.cap
        diameter *= abs(head.scale)
    return HeadBound(
        pairs.first,
        pairs.second,
        pairs.row_distance,
        certificate,
        np.tanh(0.25 * np.minimum(reach, diameter * pairs.embedding_distance)),
        diameter,
        exact,
        floor,
    )


def _away(given: NDArray[Any], scores: Floats) -> Floats:
    """How far rows of logits or log-probabilities are from scores, each up to its best shift."""
    with np.errstate(invalid="ignore"):
        off = np.asarray(given, dtype=np.float64) - scores
    found: Floats = 0.5 * (off.max(axis=1) - off.min(axis=1))
    return np.where(np.isnan(found), np.inf, found)


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
        if radius[0] + radius[start] <= best:
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
            return max(best, float(radius[0] + radius[start + BLOCK])), False
    return best, True
