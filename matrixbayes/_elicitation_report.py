"""What `elicit_prior` returns, and the measures of fit in it.

Contents
    ElicitationReport    the prior, how well it explains the model, and what the data leave open
    scores               the measures of fit of predictions to a model's
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import display
from ._base_typing import Floats, Ids
from ._elicitation_design import design
from ._elicitation_histories import Histories, checked_histories
from ._elicitation_identification import Identification
from ._elicitation_objective import Objective, Predictor
from ._elicitation_parameters import Parameters
from ._rows_divergences import kl_nats
from .mixture import DirichletMixture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ._elicitation_resampling import FamilyComparison

__all__ = ["ElicitationPoints", "ElicitationReport", "KLByLength", "scores"]

POINTS = 4000  # predictions that a report keeps, at most


class KLByLength(NamedTuple):
    """Mean KL(model || predictive) in nats for each length of history, shortest first."""

    length: Floats
    n_rows: NDArray[np.int64]
    mean_kl: Floats


class ElicitationPoints(NamedTuple):
    """Single probabilities, of the model and of the predictive, chosen at random, the same always.

    `last` is the last token of the history: -1 where it is empty, or known by its counts alone.
    """

    observed: Floats
    predicted: Floats
    token: Ids
    length: Floats
    last: Ids


@dataclass(frozen=True, eq=False, repr=False)
class ElicitationReport:
    """What `elicit_prior` found.

    Attributes
    ----------
    family : str
        The family that was fitted, or is the best of those that were.
    priors : dict of str to DirichletMixture
        The elicited prior of each part's rows, "iid" or "markov" or both; components by falling
        weight.
    weight : float
        Prior probability of the "markov" part where there are two; else 1.
    discount, temperature : float
        As fitted or given; 1 for none.
    order : int
        Tokens that key a row of the "markov" part.
    n_parameters : int
        Free numbers of the family.
    mean_kl : float
        Weighted mean of KL(model || predictive) over the rows, in nats.
    baseline_kl : float
        The same for the best constant prediction, the mean row.
    r2 : float
        Share of the variance of the model's probabilities about their mean row that the
        predictive explains; 1 or 0 where they do not vary.
    mae : float
        Mean absolute difference between the model's probabilities and the predictive.
    kl_by_length : KLByLength
        Arrays ``length``, ``n_rows``, ``mean_kl``.  Totals of real-valued counts are rounded down.
    points : ElicitationPoints
        Some thousands of single probabilities, for `plot`.
    n_rows, n_distinct : int
        Rows given, and histories among them that differ in what the family sees of them.
    converged : bool
        Whether the best start ended where the gradient is zero to `tol` or to rounding, or the
        mean KL had all but ceased to fall.
    n_iter : int
        Iterations of the best start.
    start_kls : tuple of float
        The mean KL that each start ended at, in nats.
    largest_slope : float
        The largest derivative where the best start ended, in the units of `tol`.
    identification : Identification
        What the data leave open: see `flags`.
    intervals : dict of str to ndarray
        The ends (axis 0) of the bootstrap intervals at `level`: ``"iid.weights"``,
        ``"iid.concentration"``, ``"iid.alpha"`` and the same of ``"markov"`` as far as the family
        has them, ``"weight"``, ``"discount"``, ``"temperature"``.  Empty without a bootstrap.
    level : float
        Of the intervals.
    comparison : FamilyComparison or None
        The cross-validated comparison of the families, and the reports of the others.

    See Also
    --------
    elicit_prior : makes one, with an example.
    """

    family: str
    priors: dict[str, DirichletMixture]
    weight: float
    discount: float
    temperature: float
    order: int
    n_parameters: int
    mean_kl: float
    baseline_kl: float
    r2: float
    mae: float
    kl_by_length: KLByLength
    points: ElicitationPoints
    n_rows: int
    n_distinct: int
    converged: bool
    n_iter: int
    start_kls: tuple[float, ...]
    largest_slope: float
    identification: Identification
    intervals: dict[str, Floats]
    level: float
    comparison: FamilyComparison | None

    @property
    def prior(self) -> DirichletMixture:
        """The prior of a family that has one."""
        if len(self.priors) > 1:
            raise AttributeError(
                f"family {self.family!r} has two priors: priors['iid'] and priors['markov']"
            )
        return next(iter(self.priors.values()))

    @property
    def n_tokens(self) -> int:
        """V."""
        return next(iter(self.priors.values())).n_tokens

    @property
    def tokens(self) -> tuple[str, ...] | None:
        """Names of the tokens."""
        return next(iter(self.priors.values())).tokens

    @property
    def parameters(self) -> Parameters:
        """The numbers of the family."""
        priors = {part: (prior.weights, prior.alpha) for part, prior in self.priors.items()}
        return Parameters(priors, self.weight, self.discount, self.temperature)

    @property
    def mean_kl_bits(self) -> float:
        """`mean_kl` in bits."""
        return self.mean_kl / float(np.log(2.0))

    @property
    def baseline_kl_bits(self) -> float:
        """`baseline_kl` in bits."""
        return self.baseline_kl / float(np.log(2.0))

    @property
    def n_starts(self) -> int:
        """How many starts were made."""
        return len(self.start_kls)

    @property
    def n_agreeing(self) -> int:
        """How many starts ended within a thousandth of the best mean KL, or within 1e-8 nats."""
        best = min(self.start_kls)
        return sum(kl <= best + max(1e-3 * best, 1e-8) for kl in self.start_kls)

    @property
    def flags(self) -> tuple[str, ...]:
        """A sentence for each parameter that the data do not identify; empty if all is well."""
        return self.identification.flags

    def predict(self, histories: Any, *, history_kind: str = "tokens") -> Floats:
        """The prediction of the elicited prior after each history.

        Parameters
        ----------
        histories
            As for `elicit_prior`.
        history_kind : {"tokens", "counts"}
            As for `elicit_prior`.

        Returns
        -------
        ndarray of shape (N, V)
            Probabilities.
        """
        predictor = self._predictor(checked_histories(histories, history_kind, self.n_tokens))
        found = predictor.forward(self.parameters)
        return predictor.rows(found, self.temperature, predictor.design.group)

    def posterior(self, history: Any, *, history_kind: str = "tokens") -> DirichletMixture:
        """The posterior of the next token's row after one history.

        Its components are those of the active row of each part, and its mean the prediction where
        the temperature is 1.

        Parameters
        ----------
        history : sequence of int, or array_like of shape (V,), or of (1, V), which may be sparse
            As one of those of `elicit_prior`.
        history_kind : {"tokens", "counts"}
            As for `elicit_prior`.

        Returns
        -------
        DirichletMixture
        """
        rows = history if getattr(history, "ndim", 1) == 2 else [history]
        known = checked_histories(rows, history_kind, self.n_tokens)
        if known.n != 1:
            raise ValueError(f"there are {known.n} histories; a posterior is after one")
        predictor = self._predictor(known)
        weights, alpha = predictor.posterior(predictor.forward(self.parameters), 0)
        return DirichletMixture(weights, alpha, tokens=self.tokens)

    def _predictor(self, histories: Histories) -> Predictor:
        check_kind(histories, self.family, self.discount)
        fading = self.discount < 1.0
        return Predictor(design(histories, self.family, self.order, fading), self.discount)

    def plot(self, *, figure: Figure | None = None) -> Figure:
        """Predicted against observed probabilities; `plot.elicitation_figure`."""
        from ._elicitation_plots import elicitation_figure  # needs matplotlib

        return elicitation_figure(self, figure=figure)

    def _measures(self) -> list[list[Any]]:
        state = "converged" if self.converged else "NOT converged"
        lines = [
            ["rows", f"{self.n_rows} ({self.n_distinct} distinct histories)"],
            ["mean KL(model || predictive)", f"{display.number(self.mean_kl_bits)} bits"],
            ["of a constant prediction", f"{display.number(self.baseline_kl_bits)} bits"],
            ["R2, mean absolute error", f"{self.r2:.5f}, {display.number(self.mae)}"],
        ]
        if len(self.priors) > 1:
            lines.append(["prior weight of markov", self._with_interval("weight", self.weight)])
        for name in ("discount", "temperature"):
            value = getattr(self, name)
            if value != 1.0 or name in self.identification.scalars:
                lines.append([name, self._with_interval(name, value)])
        lines += [
            [
                "search",
                f"{state} after {self.n_iter} iterations; "
                f"{self.n_agreeing} of {self.n_starts} starts agree",
            ],
            ["not identified", "; ".join(self.flags) or "nothing"],
        ]
        return lines

    def _with_interval(self, name: str, value: float) -> str:
        if name not in self.intervals:
            return f"{value:.4g}"
        low, high = self.intervals[name]
        return f"{value:.4g} ({100 * self.level:g}%: {low:.4g} to {high:.4g})"

    def __repr__(self) -> str:
        k = next(iter(self.priors.values())).n_components
        title = (
            f"ElicitationReport: family {self.family!r}, {k} component{'' if k == 1 else 's'}"
            f"{' each' if len(self.priors) > 1 else ''} over {self.n_tokens} tokens"
        )
        lines = [f"  {name}: {value}" for name, value in self._measures()]
        return "\n".join([title, *lines])

    def _repr_html_(self) -> str:
        title = f"Elicited prior, family {self.family}"
        parts = [display.Table(title, ["measure", "value"], self._measures()).html()]
        for part, prior in self.priors.items():
            table = prior._table()
            parts.append(table._replace(title=f"rows, {part}: {table.title}").html())
        if self.comparison is not None:
            parts.append(self.comparison._repr_html_())
        return "".join(parts)


def check_kind(histories: Histories, family: str, discount: float | str) -> None:
    """Raise where counts are given and the family needs to know the order of the tokens."""
    if histories.counts is None:
        return
    if family != "iid":
        raise ValueError(f"family {family!r} needs histories of tokens: counts have no order")
    if discount != 1.0:
        raise ValueError("a discount needs histories of tokens: counts have no order")


def scores(
    objective: Objective, parameters: Parameters, histories: Histories, shares: Floats
) -> dict[str, Any]:
    """The measures of fit of an `ElicitationReport`."""
    n_rows, width = objective.log_probs.shape
    centre = objective.mass.sum(axis=0)
    log_centre = np.log(np.where(centre > 0.0, centre, 1.0))
    many = n_rows * width
    # at random: an even step would pick the same few tokens of every row where it is whole rows
    chosen = np.random.default_rng(0).choice(many, min(many, POINTS), replace=False)
    chosen.sort()
    kl, points = np.empty(n_rows), []
    baseline = residual = spread = absolute = 0.0
    for rows, q, p, divergence in objective.predictions(parameters):
        kl[rows] = divergence
        share = shares[rows]
        log_q = np.log(np.where(q > 0.0, q, 1.0))
        baseline += float(share @ kl_nats(q, log_q, centre, log_centre))
        residual += float(share @ np.sum((q - p) ** 2, axis=1))
        spread += float(share @ np.sum((q - centre) ** 2, axis=1))
        absolute += float(share @ np.mean(np.abs(q - p), axis=1))
        first, last = np.searchsorted(chosen, [rows.start * width, rows.stop * width])
        here = chosen[first:last] - rows.start * width
        points.append(np.stack([q.ravel()[here], p.ravel()[here]]))
    r2 = 1.0 - residual / spread if spread > 1e-24 else float(residual <= 1e-12)
    observed, predicted = np.concatenate(points, axis=1)
    lengths = histories.lengths
    return {
        "mean_kl": max(float(shares @ kl), 0.0),
        "baseline_kl": max(baseline, 0.0),
        "r2": r2,
        "mae": absolute,
        "kl_by_length": _by_length(lengths, kl, shares),
        "points": ElicitationPoints(
            observed,
            predicted,
            chosen % width,
            lengths[chosen // width],
            _last_tokens(histories)[chosen // width],
        ),
    }


def _last_tokens(histories: Histories) -> Ids:
    """The last token of each history, or -1."""
    last = np.full(histories.n, -1)
    if histories.tokens is not None and histories.offsets is not None:
        some = np.diff(histories.offsets) > 0
        last[some] = histories.tokens[histories.offsets[1:][some] - 1]
    return last


def _by_length(totals: Floats, kl: Floats, shares: Floats) -> KLByLength:
    """Weighted mean KL of the rows of each length; lengths whose rows all weigh 0 are left out."""
    length, group, n_rows = np.unique(np.floor(totals), return_inverse=True, return_counts=True)
    weight = np.bincount(group, shares)
    known = weight > 0.0
    mean = np.bincount(group, shares * kl)[known] / weight[known]
    return KLByLength(length[known], n_rows[known], np.maximum(mean, 0.0))
