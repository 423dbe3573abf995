"""A prior beside the rows that it is to describe: draws of both, and bits per token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._base import display
from .._base.arguments import generator_of, having, listed, times, whole
from .._base.numbers import plain, reals
from .._base.typing import Floats, Ids, Seed
from .._base.weights import checked_weights, weights_of
from ..rows import PartialRows, as_log_probs
from .drawn import BITS, LEAST_LOG, WORK, Counts, Lines, Prior, Seen, curves_at, logarithms, seen_of
from .partial.seen import RowsInPart
from .spread import Spread, spread

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

FOLDS = 10  # of rows whose frequencies are those of all others
UNSEEN = 1e-6  # what frequencies leave to tokens that they do not know
DRAWS, MOST_ROWS = (1, 5, 20, 100), 2000

# When a fit fails.  All of it is to be so: few rows, small losses and chance are no reason.
LEAST_ROWS = 20
ERRORS = 3.0  # standard errors of the difference
SHARE = 0.01  # of the bits that it is compared with; of log2 V, for entropies

FREQUENCIES, SMOOTHING = "frequencies", "smoothing"
REMEDIES = {
    "rows": "Fit at a resolution (resolution=100, or 'auto'), give it more components, or take the "
    "rows themselves (DirichletMixture.from_rows)",
    "counts": "Give it more components, more starts (n_init) or a concentration_prior",
}

MOST_SHOWN = 4  # numbers of draws, in a table


@dataclass(frozen=True, eq=False, repr=False)
class FitCheck(display.Shown):
    """How well a prior describes rows; made by `check_prior`.

    All entropies are in bits, all bits per token.  The curves are means over rows; D is the number
    of ``draws``.

    Attributes
    ----------
    n_rows, n_tokens : int
    kind : {"rows", "counts"}
    draws : tuple of int
        Numbers n of draws from a row.
    bits, bits_se : ndarray of shape (D,)
        What the first n draws of a row cost under the prior, and the standard error over rows.
    frequencies : ndarray of shape (D,)
        By the frequencies of tokens alone: the cross entropy of rows with the mean row of others.
    smoothing, smoothing_concentration : ndarray of shape (D,)
        By Dir(A m), m those frequencies, with the A that is best for this n: row-by-row smoothing,
        (n_v + A m_v) / (n + A); and that A.  With one draw it is the frequencies, whatever A is.
    floor : ndarray of shape (D,)
        The entropy of the rows: what nothing can beat.
    loss, loss_se : ndarray of shape (D,)
        Bits lost to frequencies, row by row, and the standard error; below 0 the prior gains.
    smoothing_loss, smoothing_loss_se : ndarray of shape (D,)
        The same against smoothing.
    rows_at : ndarray of int of shape (D,)
        How many rows have n draws: of rows of counts those whose total is n or more.
    mean_row, prior_mean : ndarray of shape (V,)
        The mean of the rows, and of the prior.
    mean_chance : float
        The total variation that is to be expected of as many rows where their mean is right.
    row_entropies, prior_entropies, row_largest, prior_largest : ndarray
        Entropy and largest probability of each row, and of random rows of the prior; beside counts
        those of their proportions, and of as many draws from random rows.
    row_weights : ndarray of shape (N,)
    tokens : tuple of str or None
    """

    n_rows: int
    n_tokens: int
    kind: str
    draws: tuple[int, ...]
    bits: Floats
    bits_se: Floats
    frequencies: Floats
    smoothing: Floats
    smoothing_concentration: Floats
    floor: Floats
    loss: Floats
    loss_se: Floats
    smoothing_loss: Floats
    smoothing_loss_se: Floats
    rows_at: Ids
    mean_row: Floats
    prior_mean: Floats
    mean_chance: float
    row_entropies: Floats
    prior_entropies: Floats
    row_largest: Floats
    prior_largest: Floats
    row_weights: Floats
    tokens: tuple[str, ...] | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FitCheck):
            return NotImplemented
        mine, theirs = vars(self), vars(other)
        return all(
            np.array_equal(value, theirs[name], equal_nan=name == "smoothing_concentration")
            for name, value in mine.items()
        )

    __hash__ = None  # type: ignore[assignment]

    # -- numbers ------------------------------------------------------------------------

    @property
    def mean_variation(self) -> float:
        """Total variation between the mean row and the prior's mean."""
        return 0.5 * float(np.abs(self.mean_row - self.prior_mean).sum())

    @property
    def row_entropy(self) -> Spread:
        """Quantiles of the rows' entropies, in bits."""
        return spread(self.row_entropies, self.row_weights)

    @property
    def prior_entropy(self) -> Spread:
        """Quantiles of the entropies of draws of the prior, in bits."""
        return spread(self.prior_entropies)

    @property
    def row_top(self) -> Spread:
        """Quantiles of the rows' largest probabilities."""
        return spread(self.row_largest, self.row_weights)

    @property
    def prior_top(self) -> Spread:
        """Quantiles of the largest probabilities of draws of the prior."""
        return spread(self.prior_largest)

    # -- words --------------------------------------------------------------------------

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against the fit."""
        return not self.fails

    @property
    def fails(self) -> tuple[str, ...]:
        """Of "frequencies", "smoothing" and "entropies" those that speak against the fit."""
        found = [name for name in (FREQUENCIES, SMOOTHING) if self._lost(name).any()]
        return (*found, *(["entropies"] if self._is_apart() else []))

    def _lost(self, name: str) -> NDArray[np.bool_]:
        """At which numbers of draws more is lost to a line than chance or rounding would."""
        if name == FREQUENCIES:
            loss, se, line, least = self.loss, self.loss_se, self.frequencies, 1
        else:
            loss, se, line = self.smoothing_loss, self.smoothing_loss_se, self.smoothing
            least = 5  # with fewer it is frequencies that count
        sure = (np.array(self.draws) >= least) & (self.rows_at >= LEAST_ROWS)
        found: NDArray[np.bool_] = sure & (loss > ERRORS * se) & (loss > SHARE * line)
        return found

    def _is_apart(self) -> bool:
        """Whether the median entropy of one side is outside of most of the other."""
        if self.n_rows < LEAST_ROWS:
            return False
        ours, theirs = self.prior_entropy, self.row_entropy
        room = SHARE * float(np.log2(self.n_tokens))
        return not (
            theirs.low - room <= ours.median <= theirs.high + room
            and ours.low - room <= theirs.median <= ours.high + room
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What speaks against the fit, a sentence each that names the remedy."""
        remedy = REMEDIES[self.kind]
        said = []
        for name in self.fails:
            if name == "entropies":
                words = (
                    f"draws of the prior are not like the rows: their entropy is "
                    f"{self.prior_entropy} bits, that of the rows {self.row_entropy}"
                )
            else:
                loss = self.loss if name == FREQUENCIES else self.smoothing_loss
                i = int(np.argmax(np.where(self._lost(name), loss, -np.inf)))
                rival, line = "the frequencies of tokens alone", self.frequencies[i]
                if name == SMOOTHING:
                    a = f"{self.smoothing_concentration[i]:.3g}"
                    rival = f"row-by-row smoothing, one Dirichlet of {a} times the frequencies"
                    line = self.smoothing[i]
                mine, theirs = display.numbers([float(self.bits[i]), float(line)])
                words = (
                    f"the prior predicts worse than {rival}: {mine} bits a token, not "
                    f"{theirs}, after {_draws(self.draws[i])} from a row"
                )
            said.append(f"{words}.  {remedy}")
        return tuple(said)

    @property
    def outcome(self) -> str:
        """What the check found, in a few words: "ok", or what speaks against the fit."""
        if self.n_rows < LEAST_ROWS:
            return "too few rows"
        lost = [name for name in self.fails if name != "entropies"]
        reasons = [f"loses to {' and '.join(lost)}"] if lost else []
        reasons += ["draws have other entropies"] if "entropies" in self.fails else []
        return ", ".join(reasons) or "ok"

    @property
    def verdict(self) -> str:
        """What the check found, in a sentence."""
        i = len(self.draws) // 2
        curves = self.bits, self.frequencies, self.floor
        bits, frequencies, floor = display.numbers([float(curve[i]) for curve in curves])
        measured = (
            f"{bits} bits a token at {_draws(self.draws[i])}, frequencies {frequencies}, floor "
            f"{floor}"
        )
        if self.n_rows < LEAST_ROWS:
            return f"{self.outcome} to judge ({self.n_rows} of {LEAST_ROWS}): {measured}"
        if self.passed:
            return f"describes its rows: {measured}"
        return f"does not describe its rows, {self.outcome}: {measured}"

    def _table(self) -> display.Table:
        n = len(self.draws)
        places = np.unique(np.linspace(0, n - 1, min(n, MOST_SHOWN)).round().astype(int)).tolist()
        curves = self.bits, self.bits_se, self.frequencies, self.smoothing, self.floor
        cells = [[self.draws[i], *(float(curve[i]) for curve in curves)] for i in places]
        lost = {name: self._lost(name) for name in (FREQUENCIES, SMOOTHING)}
        marks = [" and ".join(name for name in lost if lost[name][i]) for i in places]
        return display.Table(
            f"FitCheck: {self.verdict}",
            ["draws", "bits", "±", "frequencies", "smoothing", "floor"],
            cells,
            marks=[f"loses to {mark}" if mark else "" for mark in marks],
            sentence=True,
            words=[
                f"mean row to the prior's mean: total variation "
                f"{display.number(self.mean_variation)}, by chance "
                f"{display.number(self.mean_chance)}",
                f"entropy, bits: rows {self.row_entropy}, draws of the prior {self.prior_entropy}",
                f"largest probability: rows {self.row_top}, draws of the prior {self.prior_top}",
            ],
        )

    def to_arviz(self) -> Any:
        """Rows beside the prior's, as ArviZ data for its predictive checks.

        Returns
        -------
        xarray.DataTree
            ``entropy``, in bits, and ``largest``, the largest probability: of rows in
            ``observed_data``, and of random rows of the prior in ``prior_predictive``, as many for
            each draw as there are rows; the rows' weights are in ``constant_data``.

        Raises
        ------
        ValueError
            There are fewer random rows of the prior than rows.
        ImportError
            arviz-base is not installed.

        Examples
        --------
        >>> import matrixbayes as mb
        >>> truth = mb.DirichletMixture([1.0], [[8.0, 2.0]])
        >>> check = mb.check_prior(truth, truth.sample(50, rng=0), kind="probs", rng=0)
        >>> dict(check.to_arviz()["observed_data"].sizes)
        {'row': 50}
        """
        from .interop import check_to_arviz

        return check_to_arviz(self)

    def to_pandas(self) -> pd.DataFrame:
        """A DataFrame with a row for each number of draws, in bits per token.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        import pandas as pd

        names = ["bits", "bits_se", "frequencies", "smoothing", "smoothing_concentration"]
        names += ["floor", "loss", "loss_se", "smoothing_loss", "smoothing_loss_se", "rows_at"]
        table = {name: getattr(self, name) for name in names}
        return pd.DataFrame(table, index=pd.Index(self.draws, name="draws"))

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Bits per token against draws, with the three lines; `plot.check`."""
        from .check_plots import check  # needs matplotlib

        return check(self, ax=ax)


def check_prior(
    prior: Prior,
    rows: Any,
    *,
    kind: str | None = None,
    draws: Sequence[int] = DRAWS,
    sample_weight: ArrayLike | None = None,
    reference: ArrayLike | None = None,
    n_samples: int = 500,
    max_rows: int = MOST_ROWS,
    rng: Seed = 0,
) -> FitCheck:
    """Whether a prior describes rows: draws of both beside each other, and bits per token.

    A prior is there to predict.  After n draws from a row that it does not know it should do better
    than the frequencies of tokens, better than row-by-row smoothing, and rows drawn from it should
    look like the data: model.md section 4b.

    Parameters
    ----------
    prior : DirichletMixture or KernelMixture, or whatever answers their questions
        Over V tokens.
    rows : NextTokenRows, PartialRows, array_like of shape (N, V), or sparse counts
        Best rows that the prior was not fitted to.  They are looked at in blocks: nothing of
        their size is made.  Of rows known in part all is lumped, what a row does not list being one
        token of it: bits, entropies and lines compare with each other, not with those of complete
        rows; random rows of the prior are cut as long.
    kind : {"logits", "log_probs", "probs", "counts"}
        What a bare array holds.
    draws : sequence of int
        Numbers of draws from a row.  From whole counts they are drawn without putting back, and
        rows of fewer are left out; from other counts as from the row of their proportions.
    sample_weight : array_like of shape (N,), optional
        Numbers of repetitions.  A row of weight 0 is not there.
    reference : array_like of shape (V,), optional
        The frequencies to compare with: the mean of the rows that the prior was fitted to.
        Without it, and where it is the mean of the very rows given, each tenth of the rows is
        compared with the mean of the others.
    n_samples : int
        Random rows of the prior.
    max_rows : int
        Of more rows as many are looked at, chosen by chance.
    rng : numpy.random.Generator or int

    Returns
    -------
    FitCheck

    Raises
    ------
    ValueError
        The rows are not over the prior's tokens, or hold nothing that can be drawn.

    Notes
    -----
    Bits are those of a code, ``-log2 P(draws) / n``, in the mean over rows.  What the n draws
    happen to be is taken out by the row's own probabilities: the entropy of the row plus
    ``log2 p(draws) - log2 P(draws)``, divided by n; at n = 1 it is exact.
    2,000 rows of 50,257 tokens take some 3.5 seconds of one core, half of them for the random rows
    of the prior, and 130 MB.

    Examples
    --------
    >>> import matrixbayes as mb
    >>> truth = mb.DirichletMixture([0.5, 0.5], [[9.0, 1.0, 1.0], [0.5, 0.5, 4.0]])
    >>> rows = truth.sample(300, rng=0)
    >>> mb.check_prior(truth, rows, kind="probs").passed
    True
    >>> wrong = mb.DirichletMixture([1.0], [[1.0, 90.0, 1.0]])
    >>> mb.check_prior(wrong, rows, kind="probs").fails
    ('frequencies', 'smoothing', 'entropies')
    """
    sizes = tuple(sorted({whole(n, "draws", 1) for n in listed(draws, "draws")}))
    if not sizes:
        raise ValueError("draws is empty; give at least one number of draws, such as 20")
    if not hasattr(rows, "shape"):
        rows = plain(rows, "rows")  # what is not an array is small
    if len(rows.shape) != 2:
        raise ValueError(f"rows have shape {tuple(rows.shape)}; they need (N, V)")
    if kind == "logits" and rows.shape[0]:
        as_log_probs(rows[:1], kind)  # warns of probabilities
    having(prior, "prior", "n_tokens", "mean")
    generator, n_samples = generator_of(rng), times(n_samples, "n_samples", 1)
    numbers, weights = _chosen(rows, sample_weight, whole(max_rows, "max_rows", 1), generator)
    seen: Seen | RowsInPart
    if isinstance(rows, PartialRows):
        seen, kept = RowsInPart.of(rows, numbers, prior), numbers
    else:
        seen, kept = seen_of(rows, kind, numbers, int(prior.n_tokens), prior.tokens)
    weights, known = weights[np.isin(numbers, kept)], None
    if reference is not None:
        known = reals(reference, "reference", (seen.n_tokens,)), np.inf
        if not (known[0] >= 0.0).all() or not 0.0 < known[0].sum() < np.inf:
            raise ValueError("reference must be finite, not negative, and of a sum above 0")
    return compared(prior, seen, weights, sizes, known, n_samples, generator)


def compared(
    prior: Prior,
    seen: Seen | RowsInPart,
    weights: Floats,
    sizes: tuple[int, ...],
    known: tuple[Floats, float] | None,
    n_samples: int,
    rng: np.random.Generator,
) -> FitCheck:
    """A prior and rows of some weights; `known` are the mean of rows that these are among and
    their weight, infinite where these are others.
    """
    if not len(seen):
        raise ValueError("there are no rows to check with, or all of them are empty")
    mean = np.asarray(prior.mean())
    fold = np.arange(len(seen)) % min(FOLDS, len(seen))
    log_mean = logarithms(mean)
    looks = seen.look(log_mean, fold, weights, sizes[-1], rng)
    entropy, draw, sums = looks.entropy, looks.draws, looks.sums
    mean_row, weight = sums.sum(axis=0) / weights.sum(), float(weights.sum())
    m, total = (mean_row, weight) if known is None else known
    if np.allclose(m, mean_row, rtol=1e-9, atol=1e-12):
        total = weight
    if np.isfinite(total) and len(sums) > 1:
        others = np.maximum(m * total - sums, 0.0)
    else:
        others, fold = m[np.newaxis], np.zeros_like(fold)
    log_others = logarithms(_some_for_all(others, seen))
    lines = Lines(entropy, looks.cross, seen.cross_entropy(log_others, fold), log_others, fold)
    curves = [curves_at(n, prior, draw, weights, lines) for n in sizes if (draw.lengths >= n).any()]
    samples = _random_rows(prior, n_samples, seen, rng)
    return FitCheck(
        n_rows=len(seen),
        n_tokens=seen.n_tokens,
        kind="counts" if isinstance(seen, Counts) else "rows",
        draws=sizes[: len(curves)],
        **{name: np.array([curve[name] for curve in curves]) for name in curves[0]},
        mean_row=mean_row,
        prior_mean=mean,
        mean_chance=_by_chance(looks.squares, mean_row, weights),
        row_entropies=entropy * BITS,
        prior_entropies=samples[0] * BITS,
        row_largest=looks.largest,
        prior_largest=samples[1],
        row_weights=weights,
        tokens=prior.tokens,
    )


def _by_chance(squares: Floats, mean: Floats, weights: Floats) -> float:
    """Expected total variation of the mean of rows to what it is the mean of, each of its
    deviations being normal; `squares` are sums of those of rows and weights.
    """
    n, w2 = len(weights), float(weights @ weights)
    variances = np.maximum(squares - w2 * mean * mean, 0.0) * n / max(n - 1.0, 1.0)
    deviations = np.sqrt(variances) / weights.sum()
    return 0.5 * float(np.sqrt(2.0 / np.pi) * deviations.sum())


def _chosen(
    rows: Any, sample_weight: ArrayLike | None, most: int, rng: np.random.Generator
) -> tuple[Ids, Floats]:
    """Numbers of the rows to look at, rising, and their weights."""
    n_rows = int(rows.shape[0])
    given = weights_of(checked_weights(sample_weight), np.ones(n_rows, dtype=bool))
    weights = np.ones(n_rows) if given is None else given
    numbers = np.flatnonzero(weights)
    if len(numbers) > most:
        numbers = np.sort(rng.choice(numbers, most, replace=False))
    return numbers, weights[numbers]


def _some_for_all(masses: Floats, seen: Seen | RowsInPart) -> Floats:
    """Mean rows (F, V) of sums of rows, with a little for tokens that nobody has seen.

    Of counts it is one more token, evenly spread.
    """
    little = 1.0 / (1.0 + float(seen.totals.sum())) if isinstance(seen, Counts) else UNSEEN
    probs = masses / masses.sum(axis=1, keepdims=True)
    found: Floats = (1.0 - little) * probs + little / probs.shape[1]
    return found


def _random_rows(
    prior: Prior, n: int, seen: Seen | RowsInPart, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Entropy in nats and largest probability of random rows, drawn in pieces; beside counts with
    some totals, of what as many draws from them show; beside rows known in part, lumped as these.
    """
    size = max(1, WORK // prior.n_tokens)
    entropies, largest = [], []
    for start in range(0, n, size):
        logs = np.maximum(prior.sample(min(size, n - start), rng=rng, kind="log_probs"), LEAST_LOG)
        found = seen.as_these(logs, rng)
        entropies.append(found[0])
        largest.append(found[1])
    return np.maximum(np.concatenate(entropies), 0.0), np.concatenate(largest)


def _draws(n: int) -> str:
    return "1 draw" if n == 1 else f"{n} draws"
