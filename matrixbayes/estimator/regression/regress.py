"""The regression itself: from rows and covariates to coefficients and what is known of them."""

from __future__ import annotations

import warnings
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..._base import parallel
from ..._base.arguments import shown, whole
from ..._base.tokens import column_of
from ..._base.typing import Floats, Ids
from ..._base.weights import group_numbers
from ...errors import ConvergenceWarning, MisfitWarning
from ...rows.known import whole as whole_rows
from ..count_data import CountData
from ..data import data_of
from ..row_data import RowData
from .design import Design
from .fit import (
    MOST_PARAMETERS,
    Maximum,
    MeanOnCovariates,
    SharedMean,
    grouped_covariance,
    profile,
)
from .result import ConcentrationRegression, Observed
from .units import Units

ENOUGH = 1e-6  # nats that a further step may gain where a fit has converged
UNBOUNDED = 1e8
SHOWN = 60  # points of a plot
FEW_ROWS, FEW_GROUPS = 10, 10
LEAST_INFORMATION = 1e-6  # of a standard coefficient: below, its error is a factor of exp(1000)


def regress_concentration(
    rows: Any,
    covariates: Any,
    *,
    kind: str | None = None,
    mean: Any = "constant",
    sample_weight: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    zeros: str = "error",
    reference: str | int | None = None,
    max_iter: int = 100,
    executor: Executor | None = None,
    n_jobs: int | None = None,
) -> ConcentrationRegression:
    """How sure predictions are, by what they come from: regression of the concentration.

    Each row is drawn from a Dirichlet whose concentration is exp(sum of coefficients times
    covariates), or its counts from the Dirichlet-multinomial; its mean is one for all rows, or
    depends on covariates as a multinomial logit does.

    Parameters
    ----------
    rows : NextTokenRows, array_like of shape (N, V), data frame, or sparse counts
        Rows or counts, in memory.
    covariates : dict of str to array_like of shape (N,), data frame, or array_like
        Size, layer, shots, temperature, ...: numbers, of which sizes are best given by their
        logarithm; or names, which become a column for each name but the first.  An intercept is
        added.  A bare array has columns "x" or "x0", "x1", ...  None: the intercept alone.
    kind : {"logits", "log_probs", "probs", "counts"}, optional
        What a bare array holds; `NextTokenRows` know it themselves.
    mean : {"constant", "same"} or covariates
        What the mean depends on: nothing, the same covariates, or others.
    sample_weight : array_like of shape (N,), optional
        Weight k counts a row as k equal rows; a row of weight 0 is not there.
    groups : array_like of shape (N,), optional
        Which rows belong together (of a prompt, a model): standard errors are then those of
        groups that are independent of each other, whatever is within them.
    zeros : {"error", "floor", "drop"}
        What to do with exact zeros, as in `DirichletMixtureEstimator`.
    reference : str or int, optional
        The token to which others are compared where the mean has covariates; the most probable one
        by default.
    max_iter : int
        Steps, at most.
    executor : concurrent.futures.Executor, optional
        Who computes blocks; threads of our own by default.
    n_jobs : int, optional
        How many of those threads: None or -1 for one per core.

    Returns
    -------
    ConcentrationRegression
        Coefficients with standard errors and intervals, the likelihood-ratio test against one
        concentration for all, ``predict``, ``plot``, ``to_pandas``.

    Raises
    ------
    ValueError
        Rows and covariates do not go together, something is missing or not finite, or a mean on
        covariates has more than 2,000 coefficients.

    Warns
    -----
    ConvergenceWarning
        The likelihood has no maximum that was found: it is unbounded where rows are (nearly)
        equal, or nothing tells a coefficient.
    MisfitWarning
        A covariate is constant or collinear with others and left out; or rows or groups are few
        for the intervals; or tokens are so many that the concentration of N rows, too high by a
        factor of about 1 + 1/N, is off by more than its standard error.

    Notes
    -----
    model.md section 4e.  Rows with equal covariates enter by their sums: a step costs
    O(U V) gamma functions for U different settings of the covariates, or for counts one for each
    different count of a token, and memory is 8 U V bytes.  The mean that all rows share is
    maximised exactly at each step, at any V; a mean on covariates has a dense Hessian.

    References
    ----------
    .. [1] M. J. Maier, "DirichletReg: Dirichlet Regression for Compositional Data in R", 2014: the
       "alternative" parametrisation.
    .. [2] Y. Zhang, H. Zhou, J. Zhou and W. Sun, "Regression models for multivariate count data",
       Journal of Computational and Graphical Statistics 26, 2017.

    Examples
    --------
    >>> import numpy as np
    >>> import matrixbayes as mb
    >>> size = np.repeat([1.0, 2.0, 3.0, 4.0], 200)
    >>> mean, draw = np.array([0.5, 0.3, 0.2]), np.random.default_rng(0)
    >>> rows = np.array([draw.dirichlet(np.exp(1.0 + 0.5 * s) * mean) for s in size])
    >>> found = mb.regress_concentration(rows, {"log_size": size}, kind="probs")
    >>> found.coefficients.round(1)
    array([1. , 0.5])
    >>> found.predict({"log_size": 2.5}).concentration.round(1)
    array([9.3])
    """
    most = whole(max_iter, "max_iter", 1)
    with parallel.workers(executor, n_jobs) as pool:
        data, tokens, kept = _data(rows, kind, zeros, sample_weight, pool)
        case = _Case.of(data, tokens, kept, covariates, mean, groups)
        return case.fit(reference, most)


def _data(
    rows: Any,
    kind: str | None,
    zeros: str,
    sample_weight: ArrayLike | None,
    pool: tuple[Executor | None, int],
) -> tuple[RowData | CountData, tuple[str, ...] | None, NDArray[np.bool_]]:
    """Rows or counts in memory, their tokens, and which rows are used."""
    whole_rows(rows)
    if zeros not in ("error", "floor", "drop"):
        raise ValueError(f"zeros={shown(zeros)}; it must be 'error', 'floor' or 'drop'")
    if isinstance(rows, np.memmap):
        rows = np.asarray(rows)
    data, tokens, kept, _ = data_of(rows, sample_weight, pool, kind=kind, zeros=zeros)
    if not isinstance(data, (RowData, CountData)):
        raise ValueError(
            "a regression needs rows in memory: give some of them, or their sums by group as counts"
        )
    if data.n_rows == 0:
        raise ValueError("there are no rows; one at least is needed")
    return data, tokens, kept


@dataclass(frozen=True)
class _Case:
    """Data with the designs of both parts."""

    data: RowData | CountData
    tokens: tuple[str, ...] | None
    design: Design
    matrix: Floats  # (N, P), as given
    mean_design: Design
    mean_matrix: Floats
    groups: Ids | None
    weights: Floats

    @classmethod
    def of(
        cls,
        data: RowData | CountData,
        tokens: tuple[str, ...] | None,
        kept: NDArray[np.bool_],
        covariates: Any,
        mean: Any,
        groups: ArrayLike | None,
    ) -> _Case:
        """With everything checked."""
        weights = np.ones(data.n_rows) if data.weights is None else data.weights
        design, matrix = Design.of(covariates, kept, weights, "covariate")
        if isinstance(mean, str):
            if mean not in ("constant", "same"):
                raise ValueError(
                    f"mean={shown(mean)}; it must be 'constant', 'same', or covariates of the mean"
                )
            mean = None if mean == "constant" else covariates
        mean_design, mean_matrix = Design.of(mean, kept, weights, "covariate of the mean")
        numbers = None if groups is None else group_numbers(groups, len(kept), "rows", kept)
        return cls(data, tokens, design, matrix, mean_design, mean_matrix, numbers, weights)

    def fit(self, reference: str | int | None, most: int) -> ConcentrationRegression:
        """Both fits, with covariates and without, and what is known of the first."""
        x, z = self.design.standard(self.matrix), self.mean_design.standard(self.mean_matrix)
        units, places, rows_of = self._units([z, x])
        seen = units.seen()
        if seen.sum() < 2:
            raise ValueError(f"{int(seen.sum())} of {len(seen)} tokens occur; two at least must")
        units, scale = units.only(seen), float(self.weights.sum())
        x, z = x[rows_of], z[rows_of][places[:-1]]
        one = self._units([np.zeros((len(self.weights), 1))])[0].only(seen)
        start, mean = _start(one)
        null = SharedMean(one, np.ones((1, 1))).fit(np.array([start]), mean, scale, most)
        gamma = np.append(null.gamma, np.zeros(x.shape[1] - 1))
        if z.shape[1] == 1:
            shared = SharedMean(units, x)
            found = null
            if len(gamma) > 1:
                found = shared.fit(gamma, np.exp(null.beta[0]), scale, most)
            return self._of_shared(shared, found, null, seen, most)
        by = self._reference(reference, null.beta[0], seen)
        n_parameters = len(gamma) + z.shape[1] * (int(seen.sum()) - 1)
        if n_parameters > MOST_PARAMETERS:
            raise ValueError(
                f"a mean on covariates of {int(seen.sum())} tokens has {n_parameters} "
                f"coefficients, and at most {MOST_PARAMETERS} are supported: use "
                "mean='constant', or rows over answers, rows.group(vocab)"
            )
        beta = np.zeros((z.shape[1], int(seen.sum())))
        beta[0] = null.beta[0]
        apart, at, _ = self._units([self.mean_design.standard(self.mean_matrix)])
        flat = MeanOnCovariates(apart.only(seen), np.ones((len(z), 1)), z, at, by)
        null = flat.fit(null.gamma, beta, scale, most)
        gamma[0] = null.gamma[0]
        full = MeanOnCovariates(units, x, z, places, by)
        found = full.fit(gamma, null.beta, scale, most) if len(gamma) > 1 else null
        return self._of_covariates(full, found, null, seen, most)

    # -- units ----------------------------------------------------------------------

    def _units(self, keys: list[Floats]) -> tuple[Units, Ids, Ids]:
        """Units of rows with equal keys, the first key's groups of units between places, and a row
        of each unit."""
        stacked = np.hstack(keys)
        _, rows_of, unit = np.unique(stacked, axis=0, return_index=True, return_inverse=True)
        first = stacked[rows_of][:, : keys[0].shape[1]]
        new = np.any(first[1:] != first[:-1], axis=1)
        places = np.concatenate([[0], np.flatnonzero(new) + 1, [len(rows_of)]]).astype(np.int64)
        units = Units.of(self.data, unit.reshape(-1), len(rows_of))
        return units, places, rows_of

    def _reference(self, reference: str | int | None, log_mean: Floats, seen: Any) -> int:
        if reference is None:
            return int(log_mean.argmax())
        column = column_of(reference, self.tokens, len(seen), "the rows")
        if not seen[column]:
            raise ValueError(f"the reference {shown(reference)} occurs in no row")
        return int(seen[:column].sum())

    # -- results --------------------------------------------------------------------

    def _of_shared(
        self, shared: SharedMean, found: Maximum, null: Maximum, seen: Any, most: int
    ) -> ConcentrationRegression:
        """What is known after a fit with one mean."""
        mean = np.exp(found.beta[0])
        sums = shared.sums(found.gamma, mean)
        information, moves, b, ratio = profile(sums, shared.design, mean)
        inverse, told = _inverse(information)
        covariance = inverse
        if self.groups is not None:
            covariance = grouped_covariance(
                inverse, self._scores_of_shared(found, mean, moves, seen)
            )
        variance = 1.0 / b - ratio**2 / (mean @ ratio)
        variance += np.einsum("pv,pq,qv->v", moves, inverse, moves)
        full, error = np.zeros(len(seen)), np.zeros(len(seen))
        full[seen], error[seen] = mean, mean * np.sqrt(np.maximum(variance, 0.0))
        observed = self._observed(
            shared.units, shared.design, found.gamma, mean[np.newaxis], shared.places
        )
        return self._result(found, null, covariance, told, observed, most, mean=full, mean_se=error)

    def _scores_of_shared(self, found: Maximum, mean: Floats, moves: Floats, seen: Any) -> Floats:
        """Scores (G, P) of gamma by group, as the mean follows it."""
        assert self.groups is not None
        x = self.design.standard(self.matrix)
        units, places, rows_of = self._units([self.groups[:, np.newaxis].astype(float), x])
        units, x = units.only(seen), x[rows_of]
        total, none = np.exp(x @ found.gamma), np.zeros((len(x), 0))
        means = np.broadcast_to(mean, (len(places) - 1, len(mean)))
        sums = units.sums(total, means, places, none)
        return np.add.reduceat(x * sums.slope[:, np.newaxis], places[:-1]) + sums.first @ moves.T

    def _of_covariates(
        self, full: MeanOnCovariates, found: Maximum, null: Maximum, seen: Any, most: int
    ) -> ConcentrationRegression:
        """What is known after a fit with covariates of the mean."""
        inverse, told = _inverse(found.information)
        covariance = inverse
        if self.groups is not None:
            scores = self._scores_of_covariates(full, found, seen)
            covariance = grouped_covariance(inverse, scores)
        n, (width, size) = len(found.gamma), found.beta.shape
        back = self.mean_design.of_standard()
        errors = np.full((len(self.mean_design.names), size), np.nan)
        errors[:, full.reference] = 0.0
        blocks = covariance[n:, n:].reshape(width, size - 1, width, size - 1)
        each = np.arange(size - 1)
        own = blocks[:, each, :, each]  # (V - 1, Q, Q)
        errors[:, full.free] = np.sqrt(np.einsum("jq,vqr,jr->jv", back, own, back).clip(0.0))
        beta = back @ found.beta
        beta[~self.mean_design.kept] = errors[~self.mean_design.kept] = np.nan
        wide = np.full((2, len(beta), len(seen)), np.nan)
        wide[0][:, seen], wide[1][:, seen] = beta, errors
        means = full.means(found.beta)
        observed = self._observed(full.units, full.design, found.gamma, means, full.places)
        return self._result(
            found,
            null,
            covariance[:n, :n],
            told,
            observed,
            most,
            mean_coefficients=wide[0],
            mean_coefficients_se=wide[1],
            reference=int(np.flatnonzero(seen)[full.reference]),
        )

    def _scores_of_covariates(self, full: MeanOnCovariates, found: Maximum, seen: Any) -> Floats:
        """Scores (G, P + Q (V - 1)) by group."""
        assert self.groups is not None
        x, z = self.design.standard(self.matrix), self.mean_design.standard(self.mean_matrix)
        units, places, rows_of = self._units([np.column_stack([self.groups.astype(float), z]), x])
        units, x, z = units.only(seen), x[rows_of], z[rows_of][places[:-1]]
        group = self.groups[rows_of]
        means = full.means_of(z, found.beta)
        sums = units.sums(np.exp(x @ found.gamma), means, places, np.zeros((len(x), 0)))
        n_groups = int(self.groups.max()) + 1
        scores = np.zeros((n_groups, len(found.information)))
        np.add.at(scores[:, : x.shape[1]], group, x * sums.slope[:, np.newaxis])
        residual = sums.first - means * sums.first.sum(axis=1, keepdims=True)
        residual = (z[:, :, np.newaxis] * residual[:, np.newaxis, full.free]).reshape(len(z), -1)
        np.add.at(scores[:, x.shape[1] :], group[places[:-1]], residual)
        return scores

    def _observed(
        self, units: Units, x: Floats, gamma: Floats, means: Floats, places: Ids
    ) -> Observed:
        """Concentrations of some groups of units by themselves, the mean being that of the fit."""
        eta, none = x @ gamma, np.zeros((len(x), 0))
        settings, group = np.unique(x, axis=0, return_inverse=True)
        group = group.reshape(-1)
        if len(settings) > SHOWN:  # neighbours by what is predicted
            rank = np.argsort(np.argsort(eta, kind="stable"), kind="stable")
            group = rank * (SHOWN // 3) // len(eta)
        n_groups = int(group.max()) + 1
        shift: Floats = np.zeros(n_groups)
        bend: Floats = np.ones(n_groups)
        for _ in range(8):
            total = np.exp(np.clip(eta + shift[group], -20.0, 20.0))
            sums = units.sums(total, means, places, none)
            slope: Floats = np.bincount(group, sums.slope, n_groups).astype(float)
            bend = np.bincount(group, sums.bend, n_groups).astype(float)
            step = np.clip(slope / np.maximum(np.abs(bend), 1e-300), -1.0, 1.0)
            shift += step
            if np.abs(step).max() < 1e-3:
                break
        size = np.bincount(group, minlength=n_groups).astype(float)
        at = np.stack(
            [np.bincount(group, column, n_groups) / size for column in self._given(x).T], 1
        )
        middle = np.bincount(group, eta, n_groups) / size
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.where(bend < 0.0, 1.0 / np.sqrt(-bend), np.inf)
        return Observed(at, np.exp(middle + shift), error)

    def _given(self, x: Floats) -> Floats:
        """Standardised columns as they were given, (U, P)."""
        full = np.tile(self.design.centre, (len(x), 1))
        full[:, self.design.kept] = (
            x * self.design.scale[self.design.kept] + self.design.centre[self.design.kept]
        )
        return full

    def _result(
        self,
        found: Maximum,
        null: Maximum,
        covariance: Floats,
        told: bool,
        observed: Observed,
        most: int,
        **mean: Any,
    ) -> ConcentrationRegression:
        """The result, after what is to be warned of."""
        back = self.design.of_standard()
        gamma = back @ found.gamma
        wide = back @ covariance @ back.T
        gone = ~self.design.kept
        gamma[gone], wide[gone], wide[:, gone] = np.nan, np.nan, np.nan
        share = self.weights / self.weights.sum()
        n_groups = None if self.groups is None else int(self.groups.max()) + 1
        settled = told and found.gain <= ENOUGH
        result = ConcentrationRegression(
            names=self.design.names,
            coefficients=gamma,
            covariance=wide,
            log_likelihood=found.log_likelihood,
            log_likelihood_constant=min(null.log_likelihood, found.log_likelihood),
            n_rows=self.data.n_rows,
            total_weight=float(self.weights.sum()),
            n_tokens=self.data.n_tokens,
            n_groups=n_groups,
            tokens=self.tokens,
            of_counts=isinstance(self.data, CountData),
            converged=bool(settled),
            n_iter=found.n_iter,
            mean_names=self.mean_design.names,
            centre=share @ self.matrix,
            observed=observed,
            design=self.design,
            mean_design=self.mean_design,
            **mean,
        )
        remarks = (*self.design.remarks, *self.mean_design.remarks)
        for remark in (*remarks, *self._doubts(found, covariance)):
            warnings.warn(remark, MisfitWarning, stacklevel=4)
        eta = self.design.standard(self.matrix) @ found.gamma
        for reason in _reasons(np.exp(eta), told, found, most, result.of_counts):
            warnings.warn(reason, ConvergenceWarning, stacklevel=4)
        return result

    def _doubts(self, found: Maximum, covariance: Floats) -> list[str]:
        """Why intervals may not hold what they promise."""
        doubts, n = [], len(found.gamma)
        rows = max(float(self.data.n_rows), float(self.weights.sum()))
        if rows < FEW_ROWS * n:
            doubts.append(
                f"there are {n} coefficients of the concentration for {rows:g} of "
                f"{'counts' if isinstance(self.data, CountData) else 'rows'}, which are few: "
                "standard errors and intervals are those of many"
            )
        if 1.0 / rows > np.sqrt(covariance[0, 0]):
            doubts.append(
                f"the {self.data.n_tokens:,} numbers of the mean are of the same {rows:,.7g} rows: "
                f"the concentration comes out too high, by about {100.0 / rows:.2g}%, more than "
                "its standard error says; give more rows, or tokens in groups, rows.group(vocab)"
            )
        n_groups = None if self.groups is None else int(self.groups.max()) + 1
        if n_groups is not None and n_groups < max(FEW_GROUPS, n + 1):
            doubts.append(
                f"{n_groups} groups are few for standard errors by group, which are too small then"
            )
        return doubts


def _start(units: Units) -> tuple[float, Floats]:
    """The logarithm of a concentration, and a mean, to begin with."""
    if units.of_counts:
        _, token, counts, weights = units.arrays
        drawn = np.bincount(token, counts * weights, units.n_tokens + 1)
        total = drawn[-1] / max(weights[token == units.n_tokens].sum(), 1e-300)
        return float(np.log(np.clip(total, 1.0, 1e3))), drawn[:-1] / drawn[:-1].sum()
    weight, log_sums = units.arrays
    mean_log = log_sums.sum(axis=0) / weight.sum()
    most = mean_log.max()
    mean = np.exp(np.maximum(mean_log - most, -200.0))
    spread = max(-(most + np.log(mean.sum())), 1e-12)
    return float(np.log(np.clip(0.5 * (len(mean) - 1) / spread, 1e-6, 1e8))), mean / mean.sum()


def _inverse(information: Floats) -> tuple[Floats, bool]:
    """The inverse of an information, and whether it tells all coefficients."""
    values, vectors = np.linalg.eigh(0.5 * (information + information.T))
    told = bool(values.min() > max(LEAST_INFORMATION, 1e-12 * float(values.max())))
    if told:
        return (vectors / values) @ vectors.T, True
    return np.full(information.shape, np.nan), False


def _reasons(total: Floats, told: bool, found: Maximum, most: int, of_counts: bool) -> list[str]:
    """Why a fit has not converged."""
    if total.max() > UNBOUNDED:
        why = "counts scatter no more than draws from one mean"
        if not of_counts:
            why = "rows are equal, or one is by itself"
        return [
            f"the concentration rises without bound, to {total.max():.1e}: where it does, {why}; "
            "coefficients and their errors say no more than that"
        ]
    if total.min() < 1.0 / UNBOUNDED:
        return [
            f"the concentration falls to 0, to {total.min():.1e}: where it does, rows are all of "
            "one token each; coefficients and their errors say no more than that"
        ]
    if not told:
        return [
            "the likelihood has no curvature in some coefficient, as where counts are single draws "
            "or a token never occurs with a covariate: standard errors are not known"
        ]
    if found.gain > ENOUGH:
        return [f"not converged after {found.n_iter} of at most {most} steps; raise max_iter"]
    return []
