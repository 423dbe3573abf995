"""Fitting a prior to rows: the estimator.

scikit-learn's conventions: the constructor stores, `fit` returns the estimator, what was
learned ends in an underscore.
"""

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._base import display, parallel
from .._base.arguments import generator_of, instance, listed, real, shown, times, whole
from .._base.parameters import Parameters
from .._base.progress import LOG, begin
from .._base.saving.made import inherit, note, origin
from .._base.tokens import labels_of, order_of, string_labels
from .._base.typing import Floats
from .._base.weights import checked_weights, present, weights_of
from ..errors import ArgumentError, ConvergenceWarning, MisfitWarning, NotFittedError
from ..mixture import DirichletMixture, FitCheck, check_prior
from ..mixture.partial.listing import listing_of
from ..rows import NextTokenRows, PartialRows
from . import em
from .data import At, check_shape, data_of, in_order
from .information import Information, information
from .partial.bracket import BitsBounds, bounds_at
from .partial.density import PartialData
from .partial.drawn import PartialResolutionData
from .partial.given import as_one
from .penalty import SHRINKAGE, GammaPrior, Penalty
from .resolution import CANDIDATES, CURVE, Plan, ResolutionData, Trial, checked_resolution
from .shortcomings import clear_misfit, misfit, shortcomings, some_of_stream, unidentified
from .starts import INITS, best_split, checked_init, start
from .statistics import (
    Statistics,
    blend,
    permuted,
    row_sum_of,
    scaled,
    step_size,
)
from .streams import Data, StreamData, is_stream

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


class DirichletMixtureEstimator(Parameters):
    """A Dirichlet mixture fitted to rows or counts by EM; `fit` forgets what was learned before.

    Parameters
    ----------
    n_components : int
        K.
    kind : {"logits", "log_probs", "probs", "counts"}, optional
        What a bare array holds; `NextTokenRows` know it themselves.  Counts, whole or real, may be
        dense or compressed sparse rows; the model then is a mixture of Dirichlet-multinomials.
    tol : float
        Stop when a pass raises the mean log-likelihood of a row by less, in nats; at a resolution,
        by less than ten times that for each of the n tokens of a draw.
    max_iter : int
        Passes over the rows, at most.
    n_init : int
        Starts; the one that ends highest is kept.
    init : {"kmeans++", "random"}, DirichletMixture, or array_like of shape (N, K)
        Where to start: rows grouped around spread-out ones (the best of several groupings) or at
        random; a mixture; or each row's probability of each component.
    max_concentration : float
        No component's concentration exceeds it.  The likelihood is unbounded where a component
        closes in on equal rows.  An exponential prior on the concentrations, so weak that
        it costs 0.0001 nats at this bound, is on as well.
    concentration_prior : GammaPrior, optional
        A Gamma prior on each alpha, its logarithm, or the concentrations, for all components: the
        fit then is the maximum of the posterior.
    accelerate : bool
        Try longer steps in EM's direction (SQUAREM), keeping those that raise the bound.
    zeros : {"error", "floor", "drop"}
        What to do with exact zeros, where a Dirichlet has no likelihood: refuse; raise every
        probability to at least 1e-12 and renormalise those rows; or leave those rows out.
    resolution : int, "auto" or None
        None: rows are matched by the density of their logarithms, whose far tail decides in rows
        of a language model.  A number n: by what n tokens drawn from each of them show (1 to
        2**20), so that the prior's predictive is right for about as many tokens of context; 100 is
        a good choice for a whole vocabulary.  "auto": the one of 5, 20, 100 and 400 with the least
        bits on a fifth of the rows, kept apart: the mean of those per token of 1, 5, 20 and 100
        tokens drawn from a row.  The mixture is then fitted to all rows.  Rows are read once for
        each resolution, wherever they lie, and a row of any weight by as many draws as others,
        which share it; a zero is never drawn, whatever ``zeros`` says.
    shrinkage : float
        At a resolution: how many tokens of the mean row each component has seen beside its share of
        the draws; 0 leaves it out, and that the mixture's mean is drawn to that of the rows.
    warm_start : bool
        Let `fit` resume from the mixture of the last one.
    random_state : int or numpy.random.Generator, optional
        Where chance comes from.
    executor : concurrent.futures.Executor, optional
        Who computes blocks of rows; threads of our own by default.  Copies and clones share it;
        what is pickled is without it.
    n_jobs : int, optional
        How many of those threads: None or -1 for one per core.  The result does not depend on it.
    verbose : int
        1 to print a line per start, 2 to print one per pass.

    Attributes
    ----------
    prior_ : DirichletMixture
        Components in the order of falling weight.
    weights_, alpha_ : ndarray of shape (K,), (K, V)
    lower_bound_ : float
        The objective per unit of weight at ``prior_``: the mean log-likelihood of a row, and the
        logarithm of the priors.
    lower_bounds_ : list of float
        The same at each pass of the best start; it never falls.
    restarts_ : list of float
        ``lower_bound_`` of each start.  The best is the highest of those with no concentration at
        its cap, if there is one.
    n_agreed_ : int
        Starts that ended within ten times ``tol`` of the best.
    log_likelihood_ : float
        Of all rows, in nats; of counts as sequences, without multinomial coefficients.
    n_iter_ : int
        Passes over the data of the best start.
    converged_ : bool
        Whether the best start settled, with no concentration at its cap or fallen to 0.
    n_rows_, n_dropped_ : int
        Rows used, and rows left out by ``zeros="drop"``; rows of weight 0 are neither.
    total_weight_ : float
        Sum of the weights of the rows used: how many there are, repetitions counted.
    check_ : FitCheck or None
        `check` of up to 100 of the rows (300 of what is not in memory), at the end of `fit`, which
        warns where the mixture loses 0.2 bits a token and more to the frequencies of tokens.  None
        after other steps.
    resolution_ : int or None
        The resolution of the fit.
    resolution_bits_ : dict of int to ndarray of shape (4,)
        Of "auto": for each resolution the bits per token after 1, 5, 20 and 100 draws.
    n_features_in_ : int
        V.
    feature_names_in_ : ndarray of str of shape (V,)
        The names of the columns, where X was a data frame with some; they are the tokens of
        ``prior_`` too.  Data with names that are given later are matched to them by name.

    Examples
    --------
    >>> import matrixbayes as mb
    >>> truth = mb.DirichletMixture([0.7, 0.3], [[8.0, 1.0, 1.0], [1.0, 5.0, 5.0]])
    >>> rows = truth.sample(2000, rng=0)
    >>> fitted = mb.DirichletMixtureEstimator(2, kind="probs", random_state=0).fit(rows)
    >>> fitted.converged_, fitted.weights_.round(1)
    (True, array([0.7, 0.3]))
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        kind: str | None = None,
        tol: float = 1e-5,
        max_iter: int = 200,
        n_init: int = 1,
        init: str | DirichletMixture | ArrayLike = "kmeans++",
        max_concentration: float = 1e8,
        concentration_prior: GammaPrior | None = None,
        accelerate: bool = True,
        zeros: str = "error",
        warm_start: bool = False,
        random_state: int | np.random.Generator | None = None,
        executor: Executor | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
        resolution: int | str | None = None,
        shrinkage: float = SHRINKAGE,
    ) -> None:
        self.n_components = n_components
        self.kind = kind
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.init = init
        self.max_concentration = max_concentration
        self.concentration_prior = concentration_prior
        self.accelerate = accelerate
        self.zeros = zeros
        self.warm_start = warm_start
        self.random_state = random_state
        self.executor = executor
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.resolution = resolution
        self.shrinkage = shrinkage

    # -- fitting ------------------------------------------------------------------

    def fit(
        self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> DirichletMixtureEstimator:
        """Fit the mixture, forgetting the last one unless ``warm_start`` is set.

        Parameters
        ----------
        X : NextTokenRows, PartialRows, array_like of shape (N, V), sparse counts, or rows on disk
            Rows known in part are taken as what they list and the rest as one lumped token, at
            the cost of their entries: nothing is renormalized, and nothing expanded.  What is not
            in memory is read in blocks, over and over: memory-mapped arrays, data sets of h5py,
            zarr and HuggingFace, and any iterable of chunks (n, V) that can be iterated again.
        y
            Ignored.
        sample_weight : array_like of shape (N,), optional
            Weight k counts a row as k equal rows, here and wherever weights are taken; fractions
            are legal.  A row of weight 0 is not there, and may hold anything.

        Returns
        -------
        DirichletMixtureEstimator
            Itself.

        Raises
        ------
        ValueError
            A row or a parameter cannot be used; the message says which, where and how to
            mend it.
        KeyboardInterrupt
            Stopped from outside: ``prior_`` then holds the best mixture so far, and a fit with
            ``warm_start=True`` resumes from it.
        """
        return self._become(self._fitted(X, sample_weight))

    def fit_predict(
        self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> NDArray[np.intp]:
        """Fit, and the most probable component of each row, those of weight 0 too; shape (N,).

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Examples
        --------
        >>> import matrixbayes as mb
        >>> rows = [[0.9, 0.1], [0.1, 0.9], [0.8, 0.2], [0.85, 0.15], [0.2, 0.8], [0.86, 0.14]]
        >>> mb.DirichletMixtureEstimator(2, kind="probs", random_state=0).fit_predict(rows)
        array([0, 1, 0, 0, 1, 0])
        """
        fitted = self._fitted(X, sample_weight)
        labels = fitted.predict(X)
        self._become(fitted)
        return labels

    def _fitted(self, X: Any, sample_weight: ArrayLike | None) -> Self:
        """Another that has learned from rows, which this one becomes when nothing else can fail.

        What raises changes nothing: rows that cannot be read any more, workers that die, memory
        that is short.  What was learned before somebody pressed Ctrl-C stays, and what a warning
        is about that is raised.
        """
        fitted = copy.copy(self)
        try:
            reasons = fitted._fit(X, sample_weight)
        except KeyboardInterrupt:
            if vars(fitted).get("prior_") is not vars(self).get("prior_"):
                self._become(fitted)
            raise
        try:
            for reason in reasons:
                warnings.warn(reason, ConvergenceWarning, stacklevel=3)
            for reason in clear_misfit(fitted.check_):
                warnings.warn(reason, MisfitWarning, stacklevel=3)
        except Warning:
            self._become(fitted)
            raise
        return fitted

    def _fit(
        self,
        X: Any,
        sample_weight: ArrayLike | None,
        smaller: DirichletMixture | None = None,
        check: bool = True,
    ) -> list[str]:
        """Fit this one, and return what is to be warned of; what raises leaves it half fitted.

        With `smaller`, from a split of that mixture where one of its components can be split.
        The mixture is put beside the data unless `check` is false.
        """
        self._check_parameters()
        with parallel.workers(self.executor, self.n_jobs) as pool:
            rng = generator_of(self.random_state)
            at = self._where_to_look(X, sample_weight, pool, rng)
            data, tokens, kept, n_dropped = data_of(
                X, sample_weight, pool, kind=self.kind, zeros=self.zeros, at=at
            )
            check_shape(data, self.n_components)
            given: Any = self.prior_ if self.warm_start and hasattr(self, "prior_") else self.init
            init = checked_init(given, self.n_components, data.n_tokens, kept, tokens)
            if smaller is not None and not isinstance(data, StreamData):
                init = best_split(data, smaller, self._penalty(), rng) or init
            shape = (data.n_rows, data.n_tokens)
            finish = begin("fit", "%d components, %d rows of %d", self.n_components, *shape)
            self._at, self.resolution_ = at, None if at is None else at.resolution
            self._remember_columns(X, data.n_tokens)
            self.n_rows_, self.total_weight_ = data.n_rows, data.total_weight
            self.n_dropped_ = n_dropped
            best = self._best_start(data, tokens, init, rng)
            if check:
                self.check_, self._mean_row = misfit(self.prior_, data)
            finish("%.10g nats a row after %d passes", self.lower_bound_, self.n_iter_)
            self._note("fit", rows=origin(X), resolution=self.resolution_)
        return self._reasons(best, data)

    def _where_to_look(
        self,
        X: Any,
        sample_weight: ArrayLike | None,
        pool: tuple[Executor | None, int],
        rng: np.random.Generator,
    ) -> At | None:
        """At which resolution rows are seen, and by which draws."""
        kind = None if isinstance(X, (NextTokenRows, PartialRows)) else self.kind
        resolution = checked_resolution(self.resolution, kind)
        if resolution is None:
            return None
        seed = int(rng.integers(2**63))
        if not isinstance(resolution, int):
            trial = self._trial(X, sample_weight, pool, CANDIDATES, rng)
            bits = {n: self._bits(trial, n, rng) for n in CANDIDATES}
            resolution = min(bits, key=lambda n: float(bits[n].mean()))
            self.resolution_bits_ = bits
        return At(resolution, seed)

    def _trial(
        self,
        X: Any,
        sample_weight: ArrayLike | None,
        pool: tuple[Executor | None, int],
        resolutions: Iterable[int],
        rng: np.random.Generator,
    ) -> Trial:
        """Rows at some resolutions, part of them kept apart."""
        seed, data = int(rng.integers(2**63)), {}
        for n in sorted({*CURVE, *resolutions}):
            data[n] = data_of(
                X, sample_weight, pool, kind=self.kind, zeros=self.zeros, at=At(n, seed)
            )[0]
        return Trial.of(data, rng)  # type: ignore[arg-type]

    def _bits(self, trial: Trial, resolution: int, rng: np.random.Generator) -> Floats:
        """Bits per token on the rows kept apart, of a fit to the others."""
        data, penalty = trial.at[resolution], self._penalty()
        check_shape(data, self.n_components)
        init = self.init if isinstance(self.init, (str, DirichletMixture)) else INITS[0]
        mixture = start(data, self.n_components, init, penalty, None, rng)
        tol = self._tol_at(resolution)
        ended = em.fit(data, mixture, tol=tol, max_iter=self.max_iter, penalty=penalty)
        return trial.bits(ended.mixture)

    def _best_start(
        self,
        data: Data,
        tokens: tuple[str, ...] | None,
        init: str | DirichletMixture | Floats,
        rng: np.random.Generator,
    ) -> em.Fit:
        """The best of the fits from each start, its results learned."""
        n_init = self.n_init if isinstance(init, str) else 1
        penalty = self._penalty()
        ended: list[em.Fit] = []
        under_way: list[em.Fit] = []

        def watch(state: em.Fit) -> None:
            under_way[:] = [state]
            LOG.debug("fit, pass %d: %.10g nats a row", len(state.bounds), state.bounds[-1])
            if self.verbose > 1:
                print(f"pass {len(state.bounds)}: {state.bounds[-1]:.10g} nats a row")

        try:
            for i, stream in enumerate(rng.spawn(n_init)):
                mixture = start(data, self.n_components, init, penalty, tokens, stream)
                state = em.fit(
                    data,
                    mixture,
                    tol=self._tol,
                    max_iter=self.max_iter,
                    penalty=penalty,
                    accelerate=self.accelerate,
                    watch=watch,
                )
                ended.append(state)
                under_way.clear()
                if self.verbose:
                    print(
                        f"start {i + 1} of {n_init}: {state.bounds[-1]:.10g} nats a row after "
                        f"{len(state.bounds)} passes"
                    )
        except KeyboardInterrupt:
            self._learn_interrupted([*ended, *under_way])
            raise
        best = em.best(ended)
        self.restarts_ = [state.bounds[-1] for state in ended]
        self.n_agreed_ = sum(abs(b - best.bounds[-1]) <= 10.0 * self._tol for b in self.restarts_)
        if self.verbose and n_init > 1:
            print(f"{self.n_agreed_} of {n_init} starts ended at the best bound")
        self._learn(best)
        if unidentified(data):
            self.converged_ = False
        return best

    def _learn_interrupted(self, states: list[em.Fit]) -> None:
        """Keep the best state there is, and say how to go on from it."""
        if not states:
            return
        best = em.best(states)
        self.restarts_ = [state.bounds[-1] for state in states]
        self._learn(best)
        self.converged_ = False
        warnings.warn(
            f"stopped after {len(best.bounds)} passes; prior_ holds the best mixture so far, and "
            "fit with warm_start=True resumes from it",
            ConvergenceWarning,
            stacklevel=6,
        )

    def _check_parameters(self) -> None:
        for name in ("n_components", "max_iter"):
            whole(getattr(self, name), name, 1)
        times(self.n_init, "n_init", 1)
        if not self.tol >= 0.0:
            raise ValueError(f"tol={self.tol!r} must be >= 0")
        if not 0.0 < self.max_concentration <= 2.0**60:
            raise ValueError(
                f"max_concentration={self.max_concentration!r} must be positive and 2**60 at most"
            )
        if self.zeros not in ("error", "floor", "drop"):
            raise ValueError(f"zeros={self.zeros!r} is not one of 'error', 'floor', 'drop'")
        self._penalty()

    @property
    def _tol(self) -> float:
        """The rise of a row's log-likelihood that is not worth another pass."""
        return self._tol_at(getattr(self, "resolution_", None))

    def _tol_at(self, resolution: int | None) -> float:
        return self.tol if resolution is None else 10.0 * resolution * self.tol

    def _penalty(self) -> Penalty:
        """What EM adds to the log-likelihood, checked."""
        at_resolution = self.resolution is not None
        shrinkage = real(self.shrinkage, "shrinkage", most=np.inf, least=0.0)
        return Penalty.of(
            self.concentration_prior, self.max_concentration, shrinkage if at_resolution else 0.0
        )

    def _learn(self, state: em.Fit) -> None:
        """Keep a state of EM, its components by falling weight."""
        order = np.argsort(-state.mixture.weights, kind="stable")
        self.prior_ = DirichletMixture(
            state.mixture.weights[order], state.mixture.alpha[order], tokens=state.mixture.tokens
        )
        self.weights_, self.alpha_ = self.prior_.weights, self.prior_.alpha
        self.lower_bounds_ = list(state.bounds)
        self.lower_bound_ = state.bounds[-1]
        self.log_likelihood_ = state.log_likelihood
        self.n_iter_ = state.n_passes
        wrong = len(state.capped) + len(state.unsettled) + len(state.vanished)
        self.converged_ = state.settled and not wrong
        self._at_cap = bool(len(state.capped))
        self._n_batches, self._running = 1, None
        self.check_, self._mean_row = None, None
        if state.statistics is not None:
            total = float(state.statistics.weight.sum())
            self._running = permuted(scaled(state.statistics, 1.0 / total), order)
            self._seen = total

    def _note(self, call: str, **how: Any) -> None:
        """Remember with the mixture how it was found; how many worked on it changes no number."""
        names = ("executor", "n_jobs", "verbose", "warm_start")
        settings = {name: x for name, x in self.get_params().items() if name not in names}
        for name in ("n_rows", "total_weight", "n_dropped", "n_iter", "converged", "lower_bound"):
            settings[name] = getattr(self, f"{name}_", None)
        note(self.prior_, call=f"{type(self).__name__}.{call}", **{**settings, **how})

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The components that were found; `plot.components` of ``prior_``."""
        self._check_fitted()
        return self.prior_.plot(ax=ax)

    def to_pandas(self) -> pd.DataFrame:
        """The mixture that was found, a row for each component: that of ``prior_``."""
        self._check_fitted()
        found: pd.DataFrame = self.prior_.to_pandas()
        return found

    def _found(self) -> list[str]:
        """What a fit found, in sentences."""
        prior: DirichletMixture | None = getattr(self, "prior_", None)
        if prior is None:
            return []
        n, total = prior.n_components, np.sort(prior.concentration)
        size = f"concentration {display.number(float(total[0]))}"
        if n > 1:
            size = f"concentrations {display.number(float(total[0]))} to "
            size += display.number(float(total[-1]))
        done = "converged" if self.converged_ else "NOT converged"
        lines = [
            f"  found {n} component{'s' * (n != 1)} over {prior.n_tokens} tokens, {size}; {done} "
            f"after {self.n_iter_} pass{'es' * (self.n_iter_ != 1)}"
        ]
        check: FitCheck | None = getattr(self, "check_", None)
        return lines if check is None else [*lines, f"  {check.verdict}"]

    def __repr__(self) -> str:
        return display.Table(super().__repr__(), words=self._found()).text()

    def _repr_html_(self) -> str:
        found = self.prior_._repr_html_() if hasattr(self, "prior_") else ""
        return display.Table(super().__repr__(), words=self._found()).html() + found

    def _reasons(self, state: em.Fit, data: Data) -> list[str]:
        """Why a fit is not what it seems."""
        found = shortcomings(state, data, self.concentration_prior is not None)
        if not state.settled:
            found.append(
                f"the bound still rose by more than tol={self._tol:g} after max_iter="
                f"{self.max_iter} passes; raise max_iter, or fit again with warm_start=True"
            )
        return found

    def _remember_names(self, X: Any) -> None:
        """The columns' names, of a mixture that was fitted to the numbers of X alone."""
        self._remember_columns(X, self.n_features_in_)
        tokens = string_labels(X)
        if tokens is not None and self.prior_.tokens is None:
            named = DirichletMixture(self.weights_, self.alpha_, tokens=tokens)
            self.prior_ = inherit(named, self.prior_)
            self.weights_, self.alpha_ = self.prior_.weights, self.prior_.alpha

    def _remember_columns(self, X: Any, width: int) -> None:
        self.n_features_in_ = width
        columns = getattr(X, "columns", None) if hasattr(X, "to_numpy") else None
        self._columns_in = labels_of(X) if columns is None else tuple(columns)
        names = string_labels(X)
        if columns is not None and names is not None:
            self.feature_names_in_ = np.asarray(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    # -- mergeable statistics ---------------------------------------------------------

    def summarize(self, X: Any, sample_weight: ArrayLike | None = None) -> Statistics:
        """What an M-step needs to know of rows, under the fitted mixture; ``a + b`` merges.

        Parameters
        ----------
        X : NextTokenRows, PartialRows, or array_like of shape (N, V)
        sample_weight : array_like of shape (N,), optional

        Returns
        -------
        SufficientStatistics, CountStatistics or PartialStatistics
            K (V + 2) numbers, however many rows; of counts, and of draws at a resolution, K and a
            few for each different pair of token and count.  Picklable.
        """
        return self._summarized(X, sample_weight)

    def _summarized(self, X: Any, sample_weight: ArrayLike | None, first: int = 0) -> Statistics:
        with parallel.workers(self.executor, self.n_jobs) as pool:
            return self._judged(X, sample_weight, pool, first).expectation(self.prior_)

    def partial_fit(
        self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> DirichletMixtureEstimator:
        """Go on with a batch of a stream: one step of stepwise EM, that may forget the rows.

        The statistics per row move by a step towards those of the batch, and the mixture follows.
        The step after n batches (a `fit` counts as one) is (n + 2)^-0.6, after Cappe & Moulines
        (2009).  The first batch of all starts the mixture and is fitted as by `fit`: it should
        hold many rows for each component.

        Parameters
        ----------
        X, sample_weight
            As for `fit`.
        y
            Ignored.

        Returns
        -------
        DirichletMixtureEstimator
            Itself.  ``lower_bounds_`` are those of the batches, each before its step;
            ``converged_`` is False: a stream has no end.
        """
        if not hasattr(self, "prior_") or self._running is None:
            first = self._fitted(X, sample_weight)
            first.converged_ = False
            return self._become(first)
        self._check_parameters()
        batch = self._summarized(X, sample_weight, first=self.n_rows_)
        before, n, bounds = self.prior_, self._n_batches, self.lower_bounds_
        penalty = self._penalty()
        weight = float(batch.weight.sum())
        running = blend(self._running, batch, step_size(n))
        seen = self._seen + weight
        statistics = scaled(running, seen)
        mixture, outcomes = em.maximization(statistics, before, penalty)
        of_prior = penalty.log_density(before, row_sum_of(statistics))
        bound = (batch.log_likelihood + of_prior * weight / seen) / weight
        after = copy.copy(self)
        after._learn(
            em.Fit(
                mixture,
                [*bounds, bound],
                batch.log_likelihood,
                outcomes,
                n_passes=len(bounds) + 1,
                statistics=statistics,
            )
        )
        after._n_batches, after.n_rows_ = n + 1, self.n_rows_ + batch.n_rows
        after.total_weight_ += weight
        after._note("partial_fit", n_batches=n + 1)
        return self._become(after)

    def from_summaries(
        self, statistics: Statistics | Iterable[Statistics]
    ) -> DirichletMixtureEstimator:
        """One M-step from merged statistics: a pass of EM over rows that are elsewhere.

        Parameters
        ----------
        statistics : SufficientStatistics or CountStatistics, or several
            From `summarize` of this estimator, as it was everywhere.

        Returns
        -------
        DirichletMixtureEstimator
            Itself; ``lower_bound_`` and ``log_likelihood_`` are those of the mixture before
            the step, as the statistics hold them.
        """
        self._check_fitted()
        if isinstance(statistics, Statistics):
            statistics = [statistics]
        try:
            statistics = [instance(each, get_args(Statistics), "statistics") for each in statistics]
        except TypeError:
            raise ArgumentError(
                f"statistics are {shown(statistics)}; they must be those of summarize, or several"
            ) from None
        if not statistics:
            raise ValueError("there are no statistics")
        merged = parallel.merge(statistics)
        before, penalty = self.prior_, self._penalty()
        mixture, outcomes = em.maximization(merged, before, penalty)
        of_prior = penalty.log_density(before, row_sum_of(merged))
        bound = (merged.log_likelihood + of_prior) / float(merged.weight.sum())
        rise = bound - self.lower_bound_ if self.n_iter_ > 0 else np.inf
        bounds = [*self.lower_bounds_, bound]
        settled = 0.0 <= rise < self._tol
        state = em.Fit(mixture, bounds, merged.log_likelihood, outcomes, settled, len(bounds))
        after = copy.copy(self)
        after._learn(state)
        after.n_rows_, after.total_weight_ = merged.n_rows, float(merged.weight.sum())
        after._note("from_summaries")
        return self._become(after)

    # -- what the mixture says of rows ---------------------------------------------------

    def score_samples(self, X: Any) -> Floats:
        """Log-density of each row, or log-evidence of its counts as a sequence, in nats; (N,).

        Of rows known in part: of what they list and the rest, each row lumped as it is.
        At a resolution: the mean log-evidence of the draws from the row, as sequences.
        """
        return self._log_joint(X)[1]

    def score(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Mean log-density of a row, in nats; by weight, if rows have one."""
        log_likelihood, total_weight = self._scored(X, sample_weight)
        if total_weight == 0.0:
            raise ValueError("X has no rows, of which there is no mean")
        return log_likelihood / total_weight

    def _scored(self, X: Any, sample_weight: ArrayLike | None) -> tuple[float, float]:
        """Log-likelihood of rows, each as often as its weight says, and how many they are."""
        with parallel.workers(self.executor, self.n_jobs) as pool:
            data = self._judged(X, sample_weight, pool)
            scores = data.posterior(self.prior_)[1]
        if data.weights is None:
            return float(scores.sum()), float(len(scores))
        return float(data.weights @ scores), data.total_weight

    def predict_proba(self, X: Any) -> Floats:
        """Probability of each component given each row; shape (N, K).

        At a resolution: given a draw from the row, in the mean over its draws.
        """
        return self._log_joint(X)[0]

    def transform(self, X: Any) -> Any:
        """Probability of each component given each row (N, K), in the container of `set_output`.

        Parameters
        ----------
        X
            As for `fit`.

        Examples
        --------
        >>> import matrixbayes as mb
        >>> rows = mb.DirichletMixture([0.5, 0.5], [[9.0, 1.0], [1.0, 9.0]]).sample(100, rng=0)
        >>> fitted = mb.DirichletMixtureEstimator(2, kind="probs", random_state=0).fit(rows)
        >>> fitted.transform(rows).shape
        (100, 2)
        """
        return self._contained(self.predict_proba(X), list(self.get_feature_names_out()), X)

    def fit_transform(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Any:
        """Fit, and the probability of each component given each row; see `transform`.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        """
        fitted = self._fitted(X, sample_weight)
        shares = fitted.transform(X)
        self._become(fitted)
        return shares

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """The names of the columns of `transform`: of the class, with the component's number.

        Parameters
        ----------
        input_features
            Ignored.
        """
        self._check_fitted()
        name = type(self).__name__.lower()
        return np.array([f"{name}{k}" for k in range(len(self.weights_))], dtype=object)

    def predict(self, X: Any) -> NDArray[np.intp]:
        """The most probable component of each row; shape (N,)."""
        labels: NDArray[np.intp] = self.predict_proba(X).argmax(axis=1)
        return labels

    def sample(self, n_samples: int = 1) -> tuple[Floats, NDArray[np.intp]]:
        """Random rows of probabilities, and the component most probable for each."""
        self._check_fitted()
        rows = self.prior_.sample(n_samples, rng=generator_of(self.random_state), kind="log_probs")
        labels = self.prior_.responsibilities(rows, kind="log_probs").argmax(axis=1)
        return np.exp(rows), labels

    def check(
        self, rows: Any, *, sample_weight: ArrayLike | None = None, **options: Any
    ) -> FitCheck:
        """Whether the fitted mixture describes rows: draws of both, and bits per token.

        Parameters
        ----------
        rows : NextTokenRows, PartialRows, array_like of shape (N, V), sparse counts, or on disk
            Best rows that it was not fitted to.  Of chunks and data sets some are read.
        sample_weight : array_like of shape (N,), optional
        **options
            For `check_prior`: ``draws``, ``n_samples``, ``max_rows``, ``rng``; ``reference``, which
            otherwise is the mean of the rows of the fit, where that was in memory.

        Returns
        -------
        FitCheck

        Examples
        --------
        >>> import matrixbayes as mb
        >>> truth = mb.DirichletMixture([0.7, 0.3], [[8.0, 1.0, 1.0], [1.0, 5.0, 5.0]])
        >>> rows = truth.sample(600, rng=0)
        >>> fitted = mb.DirichletMixtureEstimator(2, kind="probs", random_state=0).fit(rows[:400])
        >>> fitted.check(rows[400:]).passed
        True
        """
        self._check_fitted()
        options.setdefault("reference", getattr(self, "_mean_row", None))
        options.setdefault("kind", self.kind)
        wanted = getattr(self, "_columns_in", self.prior_.tokens)
        rows = as_one(rows)
        if is_stream(rows) and not isinstance(rows, np.memmap):
            zeros = "floor" if self.zeros == "floor" else "error"
            rows, sample_weight = some_of_stream(rows, sample_weight, zeros, wanted, options)
        elif hasattr(rows, "columns") and not isinstance(rows, PartialRows):
            rows = in_order(rows, wanted)
        return check_prior(self.prior_, rows, sample_weight=sample_weight, **options)

    def bits_bounds(
        self,
        rows: PartialRows,
        draws: Sequence[int] = CURVE,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> BitsBounds:
        """Between which bits per token draws from the complete rows cost, whatever is missing.

        Parameters
        ----------
        rows : PartialRows
        draws : sequence of int
            Numbers of tokens.
        sample_weight : array_like of shape (N,), optional

        Returns
        -------
        BitsBounds
            ``draws``, and ``low`` and ``high`` of shape (D,).  On the rows of a fit at a resolution
            no fit to the complete rows does better than ``low``, the one that is best by what rows
            list, but for penalties: a fit to rows known in part has lost at most ``high - low`` of
            bits at its resolution.

        Notes
        -----
        At least: what the lumped draws cost, and the least entropy of tokens none of which is more
        probable than exp(cap).  At most: what they cost if the rest is where alpha is least, as far
        as the cap lets it.  See model.md section 4d.

        Examples
        --------
        >>> import numpy as np
        >>> import matrixbayes as mb
        >>> full = mb.DirichletMixture([1.0], [[4.0, 2.0, 1.0, 1.0]]).sample(200, rng=0)
        >>> rows = mb.PartialRows.from_rows(mb.NextTokenRows(np.log(full)), 2)
        >>> fitted = mb.DirichletMixtureEstimator(1, resolution=20, random_state=0).fit(rows)
        >>> low, high = np.concatenate(fitted.bits_bounds(rows, [20])[1:])
        >>> bool(low < fitted.check(full, kind="probs", draws=[20]).bits[0] < high)
        True
        """
        if not isinstance(rows, PartialRows):
            raise TypeError("bounds are of PartialRows; complete rows have bits, see check")
        self._check_fitted()
        cap, low, high = rows.cap, [], []
        weights = checked_weights(sample_weight)
        if weights is not None and weights.ndim:
            rows, weights, there = present(rows, weights)
            cap = cap if there is None else cap[there]
        wanted = getattr(self, "_columns_in", self.prior_.tokens)
        order = order_of(rows.tokens, wanted, "the columns of rows and those of the fit")
        listing = listing_of(rows, order)
        if rows.n_tokens != self.n_features_in_:
            raise ValueError(f"rows have {rows.n_tokens} columns, the fit {self.n_features_in_}")
        sizes = tuple(whole(n, "draws", 1) for n in listed(draws, "draws"))
        with parallel.workers(self.executor, self.n_jobs) as pool:
            for n in sizes:
                plan = Plan.of(n, listing.n_rows, 0)
                mine = weights_of(weights, np.ones(listing.n_rows, dtype=bool))
                data = PartialResolutionData.of_rows(listing, plan, 0, mine, pool)
                least, most = bounds_at(data, cap, self.prior_, rows.is_open)
                low.append(least)
                high.append(most)
        return BitsBounds(sizes, np.array(low), np.array(high))

    @property
    def n_parameters_(self) -> int:
        """Free parameters: K - 1 weights and K V alphas."""
        self._check_fitted()
        return self.prior_.n_components - 1 + self.prior_.alpha.size

    def aic(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Akaike's criterion of the fitted mixture on rows; lower is better."""
        return 2.0 * self.n_parameters_ - 2.0 * self._scored(X, sample_weight)[0]

    def bic(self, X: Any, sample_weight: ArrayLike | None = None) -> float:
        """Bayesian information criterion of the fitted mixture on rows; lower is better.

        With weights there are as many rows as they sum to.
        """
        log_likelihood, total_weight = self._scored(X, sample_weight)
        return self.n_parameters_ * float(np.log(total_weight)) - 2.0 * log_likelihood

    def information(self, X: Any, sample_weight: ArrayLike | None = None) -> Information:
        """Standard errors, and Laplace's approximation of the evidence, at the fitted mixture.

        Parameters
        ----------
        X : array_like of shape (N, V), NextTokenRows, or sparse counts
            The rows that the mixture was fitted to, in memory.
        sample_weight : array_like of shape (N,), optional

        Returns
        -------
        Information
            ``alpha_se`` (K, V), ``weights_se`` (K,), ``log_evidence``, ``hessian``, and
            ``is_maximum``: whether the parameters are identified.  With weights, of rows repeated
            as often.

        Raises
        ------
        ValueError
            There are more than 4,000 parameters, or the rows are not in memory.

        Notes
        -----
        The Hessian is that of the whole mixture, responsibilities included (Louis 1982).  The
        evidence is under normal priors of ln alpha, mean 0 and standard deviation 3, and a uniform
        prior of the weights, by Laplace's method at the mode of that posterior; of counts as
        sequences, without multinomial coefficients.  At a resolution both are those of the draws,
        each of its share of the row's weight, without shrinkage.

        Examples
        --------
        >>> import matrixbayes as mb
        >>> rows = mb.DirichletMixture([1.0], [[8.0, 2.0]]).sample(400, rng=0)
        >>> fitted = mb.DirichletMixtureEstimator(1, kind="probs").fit(rows)
        >>> fitted.information(rows).alpha_se.round(1)
        array([[0.5, 0.1]])
        """
        with parallel.workers(self.executor, self.n_jobs) as pool:
            data = self._judged(X, sample_weight, pool)
            if isinstance(data, StreamData):
                raise ValueError("the information needs rows in memory; give some of them")
            if isinstance(data, (PartialData, PartialResolutionData)):
                raise ValueError(
                    "the information needs complete rows: make them rows over answers, "
                    "rows.group(vocab), or compare sizes by criterion='bic' or 'cv'"
                )
            if isinstance(data, ResolutionData):
                data = data.draws
            return information(self.prior_, data)

    def _judged(
        self,
        X: Any,
        sample_weight: ArrayLike | None,
        pool: tuple[Executor | None, int],
        first: int = 0,
    ) -> Data:
        """Data to judge by the fitted mixture; at a resolution, of rows from number `first` on."""
        self._check_fitted()
        # Dropping rows here would tear results and rows apart.
        policy = "floor" if self.zeros == "floor" else "error"
        wanted = getattr(self, "_columns_in", self.prior_.tokens)
        at: At | None = getattr(self, "_at", None)
        if at is not None:
            at = at._replace(first=first)
        data, *_ = data_of(
            X, sample_weight, pool, kind=self.kind, zeros=policy, wanted=wanted, at=at
        )
        if data.n_tokens != self.n_features_in_:
            raise ValueError(
                f"X has {data.n_tokens} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input"
            )
        return data

    def _check_fitted(self) -> None:
        if not hasattr(self, "prior_"):
            # both ours and scikit-learn's, where that is loaded, whoever loaded it
            known = sys.modules.get("sklearn.exceptions")
            both = (NotFittedError,) if known is None else (NotFittedError, known.NotFittedError)
            raise type("NotFittedError", both, {})(
                f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with "
                "appropriate arguments before using this estimator."
            )

    def _log_joint(self, X: Any) -> tuple[Floats, Floats]:
        """Probability of each component given each row (N, K), and the row's log-score (N,)."""
        with parallel.workers(self.executor, self.n_jobs) as pool:
            return self._judged(X, None, pool).posterior(self.prior_)
