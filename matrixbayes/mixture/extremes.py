"""How large a difference of densities is at its largest, and how large second derivatives are.

Contents
    grid          rows all over the simplex
    climb         the best of many rows, searched further from
    curvature     what bounds Bernstein's error, or why nothing does

For a density u with second derivatives on the whole simplex, a mean X of n draws from p has
E|X - p|^2 = (1 - |p|^2) / n, so that Bernstein's polynomial E u(X) is within

    L (1 - 1/V) / (2 n),      L the largest |eigenvalue| of the Hessian along the simplex,

of u(p); for V = 2 that is sup|u''| / (8 n).  L is searched by second differences of ever smaller
steps, which must settle: at a kink, a jump, or an edge steeper than a parabola's they do not.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import comb

import numpy as np

from .._base.typing import Floats
from .lattice import MOST_POINTS, Density, evaluated, lattice

MOST_ROWS = 2_000  # of a grid
STARTS = 12  # of a search: the best of a grid
WORK = 1 << 24  # values of components that a search may take
ROUNDS = 40  # of it, each half as far as the last where nothing was better
EDGE = 1e-9  # of probabilities: their logarithms are finite
LEVELS = 7  # of steps, each a quarter of the last
SETTLED = 1.04  # times as large at the last step as at the one before, at most
NOISE = 8.0  # roundings of a density, in its second difference ...
BLUR = 1e-5  # ... which may be so much of what is found


def grid(n_tokens: int) -> tuple[Floats, float]:
    """Rows inside the simplex, some 2,000 at most, with its corners and its edges, and what
    neighbours differ by in a probability."""
    step = 2
    while step < 400 and comb(step + n_tokens, n_tokens - 1) <= MOST_ROWS:
        step += 2
    if comb(step + n_tokens - 1, n_tokens - 1) > MOST_POINTS:
        return np.full((1, n_tokens), 1.0 / n_tokens), 0.5 / n_tokens
    return inside(lattice(step, n_tokens) / step), 1.0 / step


def inside(rows: Floats, least: float = EDGE) -> Floats:
    """Rows drawn towards the centre until no probability is below the least."""
    n_tokens = rows.shape[1]
    drawn: Floats = (1.0 - n_tokens * least) * rows + least
    return drawn


def climb(height: Callable[[Floats], Floats], n_tokens: int, cost: int = 1) -> tuple[float, Floats]:
    """The greatest height found from the highest of a grid, and where it is.

    A row gives some of one token's probability to another, as long as that leads up; what is given
    becomes less where no gift does.  `cost` is that of one height.
    """
    rows, spacing = grid(n_tokens)
    heights = height(rows)
    moves = [(i, j) for i in range(n_tokens) for j in range(n_tokens) if i != j]
    steps = WORK // (cost * len(moves))
    many, rounds = int(np.clip(steps // ROUNDS, 1, STARTS)), int(np.clip(steps, 4, ROUNDS))
    best = np.argsort(-heights, kind="stable")[:many]
    at, top = rows[best], heights[best]
    far = np.full(len(at), 0.5 * spacing)
    giver, taker = np.transpose(moves)
    for _ in range(rounds):
        tried = np.repeat(at[:, np.newaxis], len(moves), axis=1)
        each = np.arange(len(moves))
        gift = np.minimum(far[:, np.newaxis], tried[:, each, giver] - EDGE)
        tried[:, each, giver] -= gift
        tried[:, each, taker] += gift
        found = height(tried.reshape(-1, n_tokens)).reshape(len(at), -1)
        chosen = found.argmax(axis=1)
        there = found[np.arange(len(at)), chosen]
        up = there > top
        at[up], top[up] = tried[np.flatnonzero(up), chosen[up]], there[up]
        far[~up] *= 0.5
    highest = int(top.argmax())
    return float(top[highest]), at[highest]


def curvature(density: Density, n_tokens: int) -> tuple[float, str]:
    """n times the bound of Bernstein's error; or infinity, and why there is none."""
    rows, spacing = grid(n_tokens)
    step = min(spacing, 0.5 / n_tokens)
    bends = _bends(density, rows, step)
    # the most bent, and those that are most unlike at half the step: a kink or a narrow peak
    with np.errstate(invalid="ignore"):
        unlike = np.abs(_bends(density, rows, 0.5 * step) - bends)
    best = [np.argsort(-each, kind="stable")[:STARTS] for each in (bends, unlike)]
    at = rows[np.unique(np.concatenate(best))]
    scale = float(np.max(evaluated(density, rows, finite=False), initial=0.0))
    dtype = np.asarray(density(rows[:1])).dtype
    rounding = NOISE * scale * float(np.finfo(dtype if dtype.kind == "f" else np.float64).eps)
    largest = float(bends.max())
    grown = 1.0
    for _ in range(LEVELS):
        step *= 0.25
        if rounding > BLUR * largest * step**2:
            break
        at, bends = _most_bent(density, at, step)
        if not np.isfinite(bends).all():
            where = at[~np.isfinite(bends)][0]
            return np.inf, f"no finite density near {where.round(3).tolist()}"
        grown, largest = float(bends.max()) / largest if largest else np.inf, float(bends.max())
        place = at[bends.argmax()]
    if grown > SETTLED:
        return np.inf, f"second derivatives without bound near {place.round(3).tolist()}"
    return 0.5 * (1.0 - 1.0 / n_tokens) * largest, ""


def _most_bent(density: Density, at: Floats, step: float) -> tuple[Floats, Floats]:
    """Rows near these where the density is bent most, and how much it is."""
    n_tokens = at.shape[1]
    bends = _bends(density, at, step)
    for i, j in min(2, n_tokens - 1) * list(combinations(range(n_tokens), 2)):
        here = at
        for way in (-4, -3, -2, -1, -0.5, 0.5, 1, 2, 3, 4):  # the step before was as long as four
            gift = np.clip(way * step, -here[:, i], here[:, j])
            tried = here.copy()
            tried[:, i] += gift
            tried[:, j] -= gift
            found = _bends(density, tried, step)
            up = found > bends
            at, bends = np.where(up[:, np.newaxis], tried, at), np.where(up, found, bends)
    return at, bends


def _bends(density: Density, rows: Floats, step: float) -> Floats:
    """The largest |eigenvalue| of the Hessian along the simplex near each row, by differences.

    D_ij = (u(p + h (e_i - e_j)) + u(p - h (e_i - e_j)) - 2 u(p)) / h^2 is the Hessian's form at
    e_i - e_j, and along the simplex the Hessian is -D/2, as in multidimensional scaling.
    """
    n_tokens = rows.shape[1]
    middle = inside(rows, 1.001 * step)
    forms = np.zeros((len(rows), n_tokens, n_tokens))
    at_middle = evaluated(density, middle, finite=False)
    for i, j in combinations(range(n_tokens), 2):
        shift = np.zeros(n_tokens)
        shift[i], shift[j] = step, -step
        sides = [evaluated(density, middle + way * shift, finite=False) for way in (1.0, -1.0)]
        with np.errstate(invalid="ignore"):
            forms[:, i, j] = forms[:, j, i] = (sides[0] + sides[1] - 2.0 * at_middle) / step**2
    broken = ~np.isfinite(forms).all(axis=(1, 2))
    forms[broken] = 0.0
    centre = np.eye(n_tokens) - 1.0 / n_tokens
    found = np.abs(np.linalg.eigvalsh(-0.5 * centre @ forms @ centre)).max(axis=1)
    return np.where(broken, np.inf, found)
