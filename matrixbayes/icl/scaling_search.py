"""The searches of `fit_scaling_laws`: laws as functions of one vector, and least squares.

Contents
    Law                   a law as a search sees it
    search, Found         the best of many searches
    again                 one more, from where the best ended, for other curves
    bayesian, baseline    the laws
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .._base.typing import Floats

DRAWS, SEARCHES = 256, 64  # starting points that are drawn, and the best that are searched from
STEPS = 400  # of a search; the best may go on for 20 times as many
TOLERANCE = 1e-10
SAME = 1e-4  # NRMSE that makes no difference
FAR = 600.0  # a logarithm that a double's exponential can still bear


class Law(NamedTuple):
    """A law of curves (M, n) as a search sees it: over one vector, without bounds."""

    curve: Callable[[Floats], tuple[Floats, Floats]]  # and its derivatives, (M, n, parameters)
    start: Callable[[np.random.Generator], Floats]
    read: Callable[[Floats], dict[str, Any]]


class Found(NamedTuple):
    parameters: dict[str, Any]
    size: int
    n_agreeing: int
    converged: bool
    theta: Floats


def search(law: Law, p: Floats, rng: np.random.Generator) -> Found:
    """Levenberg-Marquardt from the best of many starting points, by shares of the mean of p."""
    descend = _descent(law, p)
    starts = [law.start(rng) for _ in range(DRAWS)]
    size, scale = len(starts[0]), p.mean()
    costs = [np.sum((law.curve(start)[0] - p) ** 2) / scale**2 for start in starts]
    ends = [descend(starts[i], STEPS) for i in np.argsort(costs)[:SEARCHES]]
    best = min(ends, key=lambda end: np.nan_to_num(end.cost, nan=np.inf))
    if not best.success:
        best = descend(best.x, 20 * STEPS)
    error = np.sqrt(2.0 * np.array([end.cost for end in ends]) / p.size)
    agreeing = error <= 1.01 * np.sqrt(2.0 * best.cost / p.size) + SAME
    return Found(law.read(best.x), size, int(agreeing.sum()), bool(best.success), best.x)


def again(law: Law, p: Floats, theta: Floats) -> dict[str, Any]:
    """Parameters for curves that are not far from those that theta was found for."""
    found: dict[str, Any] = law.read(_descent(law, p)(theta, STEPS).x)
    return found


def _descent(law: Law, p: Floats) -> Callable[[Floats, int], Any]:
    """From a starting point, and with so many steps at most, to the least squares nearby."""
    from scipy.optimize import least_squares

    scale = p.mean()
    asked: list[tuple[Floats, tuple[Floats, Floats]]] = []  # the last one

    def curve(theta: Floats) -> tuple[Floats, Floats]:
        """Slopes are wanted where the residuals were, so both are found at once."""
        if not asked or not np.array_equal(asked[0][0], theta):
            asked[:] = [(theta.copy(), law.curve(theta))]
        return asked[0][1]

    def residuals(theta: Floats) -> Floats:
        idle = max(len(theta) - p.size, 0)  # the method wants as many residuals as parameters
        return np.append((curve(theta)[0] - p).ravel() / scale, np.zeros(idle))

    def slopes(theta: Floats) -> Floats:
        idle = max(len(theta) - p.size, 0)
        found = curve(theta)[1].reshape(-1, len(theta)) / scale
        return np.vstack([found, np.zeros((idle, len(theta)))])

    def descend(start: Floats, steps: int) -> Any:
        goal = {"xtol": TOLERANCE, "ftol": TOLERANCE, "gtol": TOLERANCE}
        with np.errstate(invalid="ignore", over="ignore"):  # a step too far is taken back
            return least_squares(residuals, start, slopes, method="lm", max_nfev=steps, **goal)

    return descend


def bayesian(form: str, n: Floats, p: Floats) -> Law:
    """Searched: log(rho_j / rho_0), the log-odds of each P, log(K times the last n)."""
    m = len(p)
    states = max(m, 2)  # one curve has a task of its own and another
    own = np.arange(m)
    if form == "original":
        where = np.arange(m * states).reshape(m, states)  # the place of each P_mj
    else:
        of_text, of_task = np.indices((m, m))
        where = m + (of_text if form == "sampling" else of_task)
        where[own, own] = own
    one_hot = np.eye(where.max() + 1)[where]
    last, after = n[-1], n[n > 0.0]

    def parts(theta: Floats) -> tuple[Floats, Floats, Floats]:
        """log rho but for a constant, the log-odds of P, and K."""
        theta = np.clip(theta, -FAR, FAR)
        odds = theta[states - 1 : -1][where]
        return np.append(0.0, theta[: states - 1]), odds, np.exp(np.clip(theta[-1], -30, 30)) / last

    def curve(theta: Floats) -> tuple[Floats, Floats]:
        score, odds, efficiency = parts(theta)
        odds, evidence = odds[:, np.newaxis], (efficiency * n)[:, np.newaxis]
        log_p = -np.logaddexp(0.0, -odds)
        each, other = np.exp(log_p), np.exp(-np.logaddexp(0.0, odds))
        joint = score + evidence * log_p
        share = np.exp(joint - joint.max(axis=-1, keepdims=True))
        share /= share.sum(axis=-1, keepdims=True)
        value = (share * each).sum(axis=-1)
        pull = share * (each - value[..., np.newaxis])  # of the softmax
        by_odds = other * (share * each + evidence * pull)
        by_k = (pull * evidence * log_p).sum(axis=-1, keepdims=True)
        return value, np.concatenate([pull[..., 1:], by_odds @ one_hot, by_k], axis=-1)

    def start(rng: np.random.Generator) -> Floats:
        log_rho = np.log(rng.dirichlet(np.full(states, 0.5)) + 1e-6)
        ends = p[:, [0, -1]]
        first, final = (np.log(ends) - np.log1p(-np.minimum(ends, 1.0 - 1e-9))).T
        odds = np.empty(where.max() + 1)
        # of several texts with one P the last decides, which noise makes of little weight
        odds[where] = first[:, np.newaxis]
        odds += 1.5 * rng.normal(size=len(odds))
        odds[where[own, own]] = final + rng.normal(size=m)
        # K n is about 1 at one of the numbers of shots
        log_k = rng.normal() + np.log(last) - rng.uniform(*np.log(after[[0, -1]]))
        return np.concatenate([log_rho[1:] - log_rho[0], odds, [log_k]])

    def read(theta: Floats) -> dict[str, Any]:
        score, odds, efficiency = parts(theta)
        rho = np.exp(score - score.max())
        return {"rho": rho / rho.sum(), "P": np.exp(-np.logaddexp(0.0, -odds)), "K": efficiency}

    return Law(curve, start, read)


def baseline(form: str, n: Floats, p: Floats) -> Law:
    """Of one curve.  Searched: the parameters' logarithms."""
    names = ("C", "alpha", "k") + (() if form == "power" else ("n_c",))

    def read(theta: Floats) -> dict[str, Any]:
        # within what a double's exponential can bear
        return dict(zip(names, np.exp(np.clip(theta, -30.0, 30.0)), strict=True))

    def curve(theta: Floats) -> tuple[Floats, Floats]:
        c, alpha, k, *more = read(theta).values()
        if form == "power":
            log_factor, by_more = np.log1p(n), []
        elif form == "bounded":
            log_factor, by_more = np.log1p(n / more[0]), [alpha * n / (more[0] + n)]
        else:
            with np.errstate(divide="ignore"):
                power = alpha * (np.log(n) - np.log(more[0]))
            log_factor = np.logaddexp(0.0, power)
            share = np.exp(power - log_factor)
            by_more = [alpha * share]
        if form == "logistic":
            fall = c * np.exp(-log_factor)
            by_alpha = -share * np.where(n > 0.0, power, 0.0)
        else:
            fall = c * np.exp(-alpha * log_factor)
            by_alpha = -alpha * log_factor
        value = np.exp(-fall - k)
        columns = [fall, fall * by_alpha, np.full(len(n), k), *(fall * each for each in by_more)]
        return value[np.newaxis], -(value[:, np.newaxis] * np.stack(columns, axis=1))[np.newaxis]

    def start(rng: np.random.Generator) -> Floats:
        first, last = -np.log(np.minimum(p[0, [0, -1]], 1.0 - 1e-9))
        point = [np.log(max(first - last, 1e-2)), 0.0, np.log(last)]
        if form != "power":
            point.append(np.log(np.median(n)))
        return np.array(point) + rng.normal(size=len(point))

    return Law(curve, start, read)
