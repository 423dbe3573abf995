"""What `elicit_prior` returns, and the measures of fit in it.

Contents
    ElicitationReport    the prior, how well it explains the model, and what the data leave open
    scores               the measures of fit of a prior to a model's predictions
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import display
from ._elicitation_histories import counts_of_histories
from ._elicitation_identification import Identification
from .mixture import DirichletMixture

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["ElicitationReport", "KLByLength", "scores"]

Floats = NDArray[np.float64]

BLOCK_ENTRIES = 2**17  # rows x tokens worked on at a time


class KLByLength(NamedTuple):
    """Mean KL(model || predictive) in nats for each length of history, shortest first."""

    length: Floats
    n_rows: NDArray[np.int64]
    mean_kl: Floats


@dataclass(frozen=True, eq=False, repr=False)
class ElicitationReport:
    """What `elicit_prior` found.

    Attributes
    ----------
    family : str
        The family that was fitted.
    prior : DirichletMixture
        The elicited prior, components by falling weight.
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
    n_rows, n_distinct : int
        Rows given, and histories among them that differ in their counts.
    converged : bool
        Whether the best start ended where the gradient is zero to `tol` or to rounding.
    n_iter : int
        Iterations of the best start.
    start_kls : tuple of float
        The mean KL that each start ended at, in nats.
    identification : Identification
        What the data leave open: see `flags`.

    See Also
    --------
    elicit_prior : makes one, with an example.
    """

    family: str
    prior: DirichletMixture
    mean_kl: float
    baseline_kl: float
    r2: float
    mae: float
    kl_by_length: KLByLength
    n_rows: int
    n_distinct: int
    converged: bool
    n_iter: int
    start_kls: tuple[float, ...]
    identification: Identification

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
        """The predictive of the elicited prior after each history.

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
        counts = counts_of_histories(histories, history_kind, self.prior.n_tokens)
        return np.atleast_2d(self.prior.predictive(counts.toarray()))

    def _measures(self) -> list[list[Any]]:
        state = "converged" if self.converged else "NOT converged"
        return [
            ["rows", f"{self.n_rows} ({self.n_distinct} distinct histories)"],
            ["mean KL(model || predictive)", f"{display.number(self.mean_kl_bits)} bits"],
            ["of a constant prediction", f"{display.number(self.baseline_kl_bits)} bits"],
            ["R2, mean absolute error", f"{self.r2:.5f}, {display.number(self.mae)}"],
            [
                "search",
                f"{state} after {self.n_iter} iterations; "
                f"{self.n_agreeing} of {self.n_starts} starts agree",
            ],
            ["not identified", "; ".join(self.flags) or "nothing"],
        ]

    def __repr__(self) -> str:
        prior = self.prior
        title = (
            f"ElicitationReport: family {self.family!r}, {prior.n_components} component"
            f"{'' if prior.n_components == 1 else 's'} over {prior.n_tokens} tokens"
        )
        lines = [f"  {name}: {value}" for name, value in self._measures()]
        return "\n".join([title, *lines])

    def _repr_html_(self) -> str:
        table = display.table_html(
            ["measure", "value"], self._measures(), caption=f"Elicited prior, family {self.family}"
        )
        return table + display.mixture_html(self.prior)


def scores(
    prior: DirichletMixture, counts: csr_array, log_probs: NDArray[np.floating], shares: Floats
) -> dict[str, Any]:
    """The measures of fit of an `ElicitationReport`, from the prior alone."""
    n_rows, width = log_probs.shape
    step = max(1, BLOCK_ENTRIES // width)
    blocks = [slice(i, min(i + step, n_rows)) for i in range(0, n_rows, step)]
    centre = np.zeros(width)
    for rows in blocks:
        centre += shares[rows] @ np.exp(log_probs[rows].astype(np.float64))
    log_centre = np.log(np.where(centre > 0.0, centre, 1.0))
    kl = np.empty(n_rows)
    baseline = residual = spread = absolute = 0.0
    for rows in blocks:
        log_q = log_probs[rows].astype(np.float64)
        q = np.exp(log_q)
        log_q = np.where(q > 0.0, log_q, 0.0)
        p = np.atleast_2d(prior.predictive(counts[rows].toarray()))
        kl[rows] = np.sum(q * (log_q - np.log(p)) - q + p, axis=1)
        share = shares[rows]
        baseline += float(share @ np.sum(q * (log_q - log_centre), axis=1))
        residual += float(share @ np.sum((q - p) ** 2, axis=1))
        spread += float(share @ np.sum((q - centre) ** 2, axis=1))
        absolute += float(share @ np.mean(np.abs(q - p), axis=1))
    r2 = 1.0 - residual / spread if spread > 1e-24 else float(residual <= 1e-12)
    return {
        "mean_kl": max(float(shares @ kl), 0.0),
        "baseline_kl": max(baseline, 0.0),
        "r2": r2,
        "mae": absolute,
        "kl_by_length": _by_length(np.asarray(counts.sum(axis=1)), kl, shares),
    }


def _by_length(totals: Floats, kl: Floats, shares: Floats) -> KLByLength:
    """Weighted mean KL of the rows of each length; lengths whose rows all weigh 0 are left out."""
    length, group, n_rows = np.unique(np.floor(totals), return_inverse=True, return_counts=True)
    weight = np.bincount(group, shares)
    known = weight > 0.0
    mean = np.bincount(group, shares * kl)[known] / weight[known]
    return KLByLength(length[known], n_rows[known], np.maximum(mean, 0.0))
