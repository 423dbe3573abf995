"""The search for the prior whose predictive is closest to a model's predictions."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import Event
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._base.arguments import generator_of
from .._base.parallel import in_order, job_count, one_blas_thread, workers
from .._base.progress import LOG, begin
from .._base.saving.made import note, origin
from .._base.typing import Floats, Pool
from .._base.weights import shares_of, without_weightless
from ..mixture import DirichletMixture
from ..rows import as_log_probs
from .arguments import (
    Options,
    Start,
    check_n_groups,
    check_options,
    checked_families,
    checked_start,
    families_that_fit,
    fold_numbers,
    group_levels,
)
from .design import design
from .families import compare_families
from .histories import check_kind, checked_histories
from .identification import identify
from .measures import Rows, baselines, last_tokens, scores
from .misfit import places_of
from .objective import Objective, Predictor
from .parameters import Layout, fields_of
from .report import ElicitationReport
from .resampling import bootstrap, held_out, intervals
from .search import Search, search, starting_points

FOLDS = 5  # of the comparison of families, where the caller does not say
ALONE = 1 << 19  # rows x tokens x components below which a second thread only waits
GROUPS = 10  # below which intervals over samples of them are too narrow
ROUGH = 1e-5  # slopes that starts are held beside each other at; the best goes on
FEW, MANY = 4, 12  # starts, where the caller does not say


def elicit_prior(
    histories: Sequence[Sequence[int]] | ArrayLike,
    predictions: Any,
    *,
    family: str | Sequence[str] = "all",
    history_kind: str = "tokens",
    kind: str | None = None,
    n_components: int = 1,
    order: int = 1,
    tie: str = "shared",
    depth: int = 4,
    discount: float | str = 1.0,
    temperature: float | str = 1.0,
    start: Start = None,
    weights: ArrayLike | None = None,
    groups: ArrayLike | Sequence[tuple[Any, Any]] | None = None,
    n_starts: int | None = None,
    n_boot: int = 0,
    cv: int | None = None,
    level: float = 0.9,
    max_iter: int = 1000,
    tol: float = 1e-7,
    n_jobs: int | None = None,
    rng: np.random.Generator | int | None = None,
) -> ElicitationReport:
    """Find the prior whose Bayesian predictions are closest to those of a model.

    Minimises the mean of KL(model || predictive) over pairs of a history and the model's
    distribution of the token that follows it.  Families:

    - ``"iid"``: tokens are independent draws from one row with a Dirichlet-mixture prior, so that
      a history enters by its counts alone.
    - ``"markov"``: a token is drawn from a row of its own for the last `order` tokens (fewer at
      the beginning); rows are independent, with one Dirichlet-mixture prior.
    - ``"tree"``: how many of the last tokens matter is found out as the history goes on (a Bayesian
      mixture of chains of all orders up to `depth`).
    - ``"balance"``: the next token is more likely what has not come for long.
    - any of these with ``+`` between them, such as ``"iid+markov"`` or ``"tree+balance"``: one of
      them, with prior weights that the evidence of the history updates.

    A part may say its own order, depth and tie: ``"markov2"``, ``"tree5"``, ``"markov(repeat)"``.

    Parameters
    ----------
    histories : sequence of N sequences of int, or array_like of shape (N, V)
        The tokens seen before each prediction, as column numbers of `predictions`, of any
        lengths (none too); or their counts, for ``"iid"``.
    predictions : NextTokenRows, or array_like of shape (N, V)
        The model's next-token distribution after each history; exact zeros are legal.  Columns
        may be groups of answers.
    family : str, or sequence of str
        One family; or several, to be compared by cross-validation: the report is then that of the
        best and has the others in `comparison`.  By default ``"all"``: ``"iid"``, ``"markov"`` with
        each tie but "full", ``"iid+markov"``, ``"tree+balance"`` and ``"iid+markov+balance"``, as
        far as these histories can be held against them (counts against ``"iid"`` alone) and it
        does not take long; `comparison` says what was left out, and why.
    history_kind : {"tokens", "counts"}
        Whether `histories` are column numbers in their order, or an (N, V) matrix of counts (dense
        or SciPy sparse; whole or real numbers).
    kind : {"logits", "log_probs", "probs"}, optional
        What an array of predictions holds; needed for everything but `NextTokenRows`.
    n_components : int
        K, the components of each mixture: of ``"iid"``, and of chains whose keys share a prior.
    order : int
        Tokens that key a row of a Markov chain, where the family does not say.
    tie : {"shared", "repeat", "last", "full"}
        The priors of a chain's keys, where the family does not say.  All keys share one mixture; or
        a Dirichlet of `repeat` for the last token and `others` for all others together; or one for
        each last token; or one for each key.  But for "shared", beginnings of fewer tokens have
        keys of their own; what is known of the first token's Dirichlet is its mean.
    depth : int
        Tokens that the deepest nodes of ``"tree"`` stand for, where the family does not say.
    discount : float or "fit"
        What a row's counts are multiplied by before each new token of that row; at most 1, which
        is none.  Evidence is then that of the faded counts.  Of ``"iid"`` and ``"markov"``.
    temperature : float or "fit"
        Predictions are the predictive to the power of 1 / temperature, normalised; 1 is none.
    start : DirichletMixture, or mapping of part to DirichletMixture or to numbers, optional
        The first starting point: of ``"iid"`` and ``"markov"`` a mixture, of other parts their
        numbers as in `ElicitationReport.numbers`.  Those not given are made from the predictions,
        as the other starts.
    weights : array_like of shape (N,), optional
        Weights of the rows, not negative; default all equal.  A row of weight 0 is not there.
    groups : array_like of shape (N,) or (N, 2), or sequence of N pairs, optional
        Labels of histories that belong together, as beginnings of one text do: the bootstrap draws
        and the folds keep whole groups.  Equal histories are a group by default: what is fitted to
        one has seen them all.  Two levels are pairs (outer, inner), as of a template and the prompt
        made from it: groups are then the outer ones, which hold what is equal within them.
    n_starts : int, optional
        Starting points: 4 by default, and 12 of several parts, of trees and of keys with priors of
        their own, which have more local optima, where N V K is below half a million.
    n_boot : int
        Samples of the histories behind `intervals`; 0 for none.  Two groups at least; of fewer than
        some twenty, percentiles are too near to each other.  Of ``"all"`` families the best alone
        has intervals.
    cv : int, optional
        Folds of the comparison; 5 by default where there are several families, else none.
    level : float
        Of the intervals.
    max_iter : int
        Iterations of L-BFGS-B from each start.
    tol : float
        A search ends where no derivative of the mean KL (nats) is larger, by the logarithm of
        a parameter in units in which the curvature is about 1; or where 100 iterations have lowered
        the mean KL by less than a hundred-thousandth.
    n_jobs : int, optional
        Threads for starts and samples, where the data are large enough to gain: every core by
        default.
    rng : numpy.random.Generator or int, optional
        Makes the starting points, samples and folds.

    Returns
    -------
    ElicitationReport

    Warns
    -----
    RuntimeWarning
        The best search did not converge, the data do not identify a parameter, or intervals come
        from fewer than 10 groups.

    Raises
    ------
    ValueError, TypeError
        Something is not as described; the history's number and position are named.

    Notes
    -----
    Parameters stay in 1e-8 <= alpha <= 1e8, exp(-5) <= discount <= 1, and temperatures from 0.01
    to 100; those of a tree from exp(-7) (of its root 2 exp(-7) / V) to exp(9).  Time is O(rows x V
    x K) per iteration plus O(stored counts x K), for a single Dirichlet over many tokens the latter
    alone; of a tree plus O(tokens x depth), with histories that begin alike read once.  Memory is
    that of the rows in float64, and for each token of all histories together about 100 bytes, 35
    where their order does not matter.
    BLAS is held to one thread meanwhile: workers are threads already.  Sample the rows first where
    they are very many.  A discount and a concentration are often confounded;
    `flags` of the report say so.

    Examples
    --------
    A model that counts with three of each token in advance:

    >>> import numpy as np
    >>> from matrixbayes.elicitation import elicit_prior
    >>> histories = [[], [0], [1], [0, 0], [0, 1, 0, 0]]
    >>> counts = np.array([[h.count(0), h.count(1)] for h in histories])
    >>> model = (counts + 3) / (counts + 3).sum(axis=1, keepdims=True)
    >>> found = elicit_prior(histories, model, kind="probs", family="iid", rng=0)
    >>> found.prior.alpha.round(4)
    array([[3., 3.]])
    >>> found.converged, found.n_agreeing, found.flags
    (True, 4, ())

    One that counts what followed the last token, among all families:

    >>> rng = np.random.default_rng(0)
    >>> histories = [rng.integers(0, 2, 12).tolist() for _ in range(60)]
    >>> after = [np.bincount([b for a, b in zip(h, h[1:]) if a == h[-1]], minlength=2)
    ...          for h in histories]
    >>> model = (np.array(after) + 0.5) / (np.array(after) + 0.5).sum(axis=1, keepdims=True)
    >>> found = elicit_prior(histories, model, kind="probs", rng=0)
    >>> found.family, found.prior.alpha.round(3).tolist()
    ('markov', [[0.5, 0.5]])

    One that bets on the other side of a coin, and on repetition after repetitions:

    >>> counts = np.array(after) + [[1.0, 3.0] if h[-1] == 0 else [3.0, 1.0] for h in histories]
    >>> model = np.vstack([counts / counts.sum(axis=1, keepdims=True), [0.5, 0.5]])
    >>> histories.append([])
    >>> found = elicit_prior(histories, model, kind="probs", family="markov", tie="repeat", rng=0)
    >>> numbers = found.numbers["markov(repeat)"]
    >>> found.family, round(numbers["repeat"], 3), round(numbers["others"], 3)
    ('markov(repeat)', 1.0, 3.0)
    """
    options = Options(n_components, order, n_starts, max_iter, tol, discount, temperature, depth)
    check_options(options, n_boot, cv, level)
    families = checked_families("iid" if family == "all" else family, tie)
    job_count(n_jobs)  # refused here, not after the checks of the rows
    weights, histories, predictions, groups = without_weightless(
        weights, histories, predictions, groups
    )
    log_probs, tokens = as_log_probs(predictions, kind)
    known = checked_histories(histories, history_kind, log_probs.shape[1], tokens)
    if known.n != log_probs.shape[0]:
        raise ValueError(
            f"{known.n} histories but {log_probs.shape[0]} predictions: "
            "each history needs the model's distribution after it"
        )
    left_out: dict[str, str] = {}
    if family == "all":
        families, left_out = families_that_fit(known, tie, options.discount, options.order)
    for name in families:
        check_kind(known, name, options.discount, options.order)
    starts, tokens = checked_start(start, families, options, log_probs.shape[1], tokens)
    shares = shares_of(weights, known.n, "histories")
    members, inner = group_levels(groups, known)
    alone = len(families) > 1 and family == "all" and cv is None and len(np.unique(members)) < 2
    if alone:  # of one group, none can be held out
        families = families[:1]
    generator = generator_of(rng)
    least = 2 if len(families) > 1 else 0
    n_groups = check_n_groups(members, shares, n_boot, least if cv is None else cv)
    finish = begin("elicit_prior", "%d families, %d histories", len(families), known.n)
    n_folds = cv if cv is not None else min(FOLDS, n_groups) if least else 0
    folds = fold_numbers(members, n_folds, shares, generator) if n_folds else None
    equal = members if groups is None else known.equal()
    held = baselines(log_probs, shares, equal, members, folds)
    places = places_of(known, last_tokens(known), members, groups is not None)
    data = _Data(log_probs, Rows(known, shares, members, inner, held, places), tokens)
    jobs = 1 if data.cost * n_components < ALONE else n_jobs
    reports, row_kls, fits = [], [], []
    comparison = None
    limits = (max_iter, tol)
    with one_blas_thread, workers(None, jobs) as pool, _stopping() as stop:

        def sampled(report: ElicitationReport, fit: tuple[Objective, Search]) -> ElicitationReport:
            draws = bootstrap(*fit, shares, members, n_boot, limits, pool, generator)
            ends = intervals(draws, level)
            return replace(report, intervals=ends, level=level, draws=draws)

        for name in families:
            LOG.debug("elicit_prior, family %s", name)
            report, objective, best = _fit(name, data, options, starts, pool, stop, generator)
            fit = (objective, best)
            fits.append(fit)
            reports.append(sampled(report, fit) if n_boot and family != "all" else report)
            if folds is not None:
                row_kls.append(held_out(*fit, shares, folds, limits, pool))
        if folds is not None:
            comparison = compare_families(
                reports, row_kls, shares, members, n_folds, held, left_out
            )
        chosen = reports[0] if comparison is None else comparison.reports[comparison.best]
        if n_boot and family == "all":  # the others would take as long again each
            chosen = sampled(chosen, fits[families.index(chosen.family)])
    if comparison is not None:
        comparison.reports[chosen.family] = chosen
        chosen = replace(chosen, comparison=comparison)
    for prior in (prior for each in reports for prior in each.priors.values()):
        note(prior, rng=rng, rows=origin(predictions))
    finish("family %s, %d iterations", chosen.family, chosen.n_iter)
    _warn(chosen, not np.any(known.lengths > 0.0), n_groups if n_boot else None, alone)
    return chosen


class _Data(NamedTuple):
    """What every family is fitted to."""

    log_probs: NDArray[np.floating]
    rows: Rows
    tokens: tuple[str, ...] | None

    @property
    def cost(self) -> int:
        """Numbers that a search looks at for each component."""
        return int(self.log_probs.size)


@contextmanager
def _stopping() -> Iterator[Event]:
    """An event that is set where the block ends by an exception, be it a signal's: searches that
    other threads have under way then end at their next evaluation, and are not waited for."""
    stop = Event()
    try:
        yield stop
    except BaseException:
        stop.set()
        raise


def _fit(
    family: str,
    data: _Data,
    options: Options,
    start: Mapping[str, Floats],
    pool: Pool,
    stop: Event,
    rng: np.random.Generator,
) -> tuple[ElicitationReport, Objective, Search]:
    """Search one family, and report."""
    discount, temperature = (
        None if value == "fit" else float(value)
        for value in (options.discount, options.temperature)
    )
    histories, shares = data.rows.histories, data.rows.shares
    seen = design(histories, family, options.order, discount != 1.0, depth=options.depth)
    layout = Layout(
        tuple(seen.names),
        options.n_components,
        seen.n_tokens,
        discount,
        temperature,
        float(max(seen.longest - 1, 1)),
        fields_of(seen.names, seen.n_tokens),
    )
    predictor = Predictor(seen, discount)
    objective = Objective(predictor, layout, data.log_probs, shares, stop)
    points = starting_points(objective, rng)
    several = len(layout.parts) > 1 or bool(layout.fields)
    many = several and data.cost * options.n_components < ALONE
    starts = [next(points) for _ in range(options.n_starts or (MANY if many else FEW))]
    for part in layout.parts:
        if part in start:
            starts[0][layout.prior(part)] = start[part]
    # Where many starts end in one place the way there is short, and its end long: one goes it.
    rough = max(options.tol, ROUGH) if layout.fields and len(starts) > 1 else options.tol
    limits = (options.max_iter, rough)
    searches = list(in_order(pool, search, [(objective, point, *limits) for point in starts]))
    best = min(searches, key=operator.attrgetter("value"))
    if rough > options.tol and best.n_iter < options.max_iter:
        end = search(objective, best.theta, options.max_iter - best.n_iter, options.tol)
        best = end._replace(n_iter=best.n_iter + end.n_iter)
    order = layout.sorted(best.theta)
    best = best._replace(theta=best.theta[order], at_limit=best.at_limit[order])
    parameters = layout.unpack(best.theta)
    identification = identify(
        lambda theta: objective(theta)[1],
        best.theta,
        layout,
        best.at_limit,
        max(best.value, 0.0),
        data.tokens,
    )
    report = ElicitationReport(
        family=family,
        priors={
            part: note(
                DirichletMixture(*parameters.priors[part], tokens=data.tokens),
                call="elicit_prior",
                family=family,
                part=part,
                discount=parameters.discount,
                temperature=parameters.temperature,
                n_rows=histories.n,
                n_starts=len(starts),
                n_iter=best.n_iter,
                converged=best.converged,
            )
            for part in layout.mixtures
        },
        numbers={part: parameters.priors[part] for part in layout.fields},
        columns=seen.n_tokens,
        column_names=data.tokens,
        depth=options.depth,
        weight=parameters.weight,
        discount=parameters.discount,
        temperature=parameters.temperature,
        order=options.order,
        n_parameters=layout.n_parameters,
        n_rows=histories.n,
        n_distinct=seen.n,
        converged=best.converged,
        n_iter=best.n_iter,
        start_kls=tuple(run.value for run in searches),
        largest_slope=best.largest_slope,
        identification=identification,
        intervals={},
        level=np.nan,
        comparison=None,
        **scores(objective, parameters, data.rows, data.tokens),
    )
    return report, objective, best


def _warn(report: ElicitationReport, all_empty: bool, n_groups: int | None, alone: bool) -> None:
    """Say, in one warning, what the caller must not overlook; `n_groups` were sampled from, and
    a family is `alone` that others could not be compared with."""
    complaints = []
    several = any(prior.n_components > 1 for prior in report.priors.values())
    if not report.converged:
        complaints.append(
            f"elicit_prior did not converge in {report.n_iter} iterations (largest derivative "
            f"{report.largest_slope:.1e}): raise max_iter{', or use fewer components' * several}"
        )
    if report.identification.flags:
        advice = f"use {'fewer components, or ' * several}longer and more varied histories"
        if all_empty:
            advice = "all histories are empty, and empty histories show the mean alone"
        complaints.append("; ".join(report.identification.flags) + f": {advice}")
    complaints += report.warnings
    if n_groups is not None and n_groups < GROUPS:
        complaints.append(
            f"intervals from {n_groups} groups are too narrow (of those of a mean at level 0.9, "
            "78% hold it with 5 groups, 84% with 10): give more groups"
        )
    if alone:
        complaints.append(
            f"one group of histories leaves none to compare families on: {report.family!r} was "
            "fitted alone; give more, or name the family"
        )
    if complaints:
        warnings.warn("; ".join(complaints), RuntimeWarning, stacklevel=3)
