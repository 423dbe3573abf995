"""Which parameters of an elicited prior the data settle, from the curvature of the objective."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._base import display
from .._base.typing import Floats, Ids
from ..sources.seen import Field
from .parameters import Layout

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Gradient = Callable[[Floats], Floats]
Flags = NDArray[np.bool_]

MAX_ALPHAS = 256  # beyond so many, only concentrations and weights are probed
STEP = 1e-4  # of the central differences, in logarithms
FLAT = 1e-7  # eigenvalues below this share of the largest are taken for zero
MINOR = 1e-3  # tokens of less than this share of a component get no flag of their own
LOOSE = np.log(2.0)  # a parameter this wide is not identified


@display.shown
class PriorWidths(NamedTuple):
    """Half-widths of one prior's parameters, in natural logarithms.

    Attributes
    ----------
    log_weights, log_concentration : ndarray of shape (K,)
    log_alpha : ndarray of shape (K, V) or None
        None when there are more than 256 alphas: then a concentration is moved with its component's
        mean held fixed, and the widths are lower bounds.
    """

    log_weights: Floats
    log_concentration: Floats
    log_alpha: Floats | None

    def to_pandas(self) -> pd.DataFrame:
        """A row for each component: ``log_weights``, ``log_concentration``, the widest alpha.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        return display.frame(self._columns())

    def _columns(self) -> dict[str, Floats]:
        columns = {"log_weights": self.log_weights, "log_concentration": self.log_concentration}
        if self.log_alpha is not None:
            columns["widest_log_alpha"] = self.log_alpha.max(axis=1)
        return columns

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The half-width of each concentration."""
        from .plots import prior_widths  # needs matplotlib

        return prior_widths(self, ax=ax)

    def _table(self) -> display.Table:
        title = "PriorWidths: half-widths, natural logarithms"
        return display.Table.of(title, self._columns())


@dataclass(frozen=True, eq=False, repr=False)
class Identification(display.Shown):
    """How far each parameter may move before the fit is noticeably worse.

    The widths are half-widths in natural logarithms: a width of 0.05 says that the parameter
    may be about 5 % larger or smaller, with all others adapted, before the mean KL rises by
    `rise`; ``inf`` says that no value is worse than another.  They come from the second-order
    expansion of the mean KL at the optimum and say nothing about sampling error.

    Attributes
    ----------
    rise : float
        The rise of the mean KL in nats: a hundredth of the mean KL, at least 1e-8.
    eigenvalues : ndarray
        Spectrum of the Hessian, ascending: in nats per squared log-unit.
    priors : dict of str to PriorWidths
        Of each part that is a mixture.
    scalars : dict of str to float
        Widths of the log-odds of the "weight", of the logarithm of the "temperature", and of
        what the "discount" leaves of the oldest visit.
    flags : tuple of str
        A sentence for each parameter that could double or halve within the rise, or that
        stopped at a limit of the search.
    numbers : dict of str to dict of str to ndarray
        Of each other part, by the names of its numbers: of logarithms, or of log-odds.  Where there
        are more than 256 alphas they are moved together, and all have the width of that.
    """

    rise: float
    eigenvalues: Floats
    priors: dict[str, PriorWidths]
    scalars: dict[str, float]
    flags: tuple[str, ...]
    numbers: dict[str, dict[str, Floats]] = field(default_factory=dict)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({"numbers": {}} | state)  # of before there were others

    def to_pandas(self) -> pd.DataFrame:
        """A row for each parameter: ``part``, ``parameter``, ``place``, half-``width``.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        rows = self._widths()
        names = ["part", "parameter", "place", "width"]
        columns = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {}
        return display.frame(columns, index=range(len(rows)))

    def _widths(self) -> list[tuple[str, str, int, float]]:
        """All widths, one behind the other."""
        groups: list[tuple[str, Mapping[str, Any]]] = [("", self.scalars)]
        groups += [(part, widths._asdict()) for part, widths in self.priors.items()]
        groups += [*self.numbers.items()]
        return [
            (part, name, i, float(width))
            for part, values in groups
            for name, value in values.items()
            if value is not None
            for i, width in enumerate(np.ravel(value))
        ]

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The half-widths of all parameters, the largest first."""
        from .plots import identification  # needs matplotlib

        return identification(self, ax=ax)

    def _table(self) -> display.Table:
        rows = sorted(self._widths(), key=lambda row: -row[3])
        title = f"Identification: half-widths for a rise of {display.number(self.rise)} nats"
        columns = ["part", "parameter", "", "half-width, natural logarithm"]
        return display.Table(title, columns, [list(row) for row in rows], words=self.flags)


def identify(
    gradient: Gradient,
    theta: Floats,
    layout: Layout,
    at_limit: Flags,
    mean_kl: float,
    names: tuple[str, ...] | None,
) -> Identification:
    """The widths and flags at an optimum.

    Parameters
    ----------
    gradient
        The gradient of the objective by the parameter vector.
    theta
        The optimum.
    layout
        What is where in it.
    at_limit
        Which of its numbers the search's limits hold.
    mean_kl
        The objective there.
    names
        The tokens' names.
    """
    rise = max(0.01 * mean_kl, 1e-8)
    basis, every_alpha = _basis(theta, layout, at_limit)
    eigenvalues, vectors = np.linalg.eigh(_hessian(gradient, theta, basis))

    def widths(slopes: Floats) -> Floats:
        return _widths(slopes @ basis @ vectors, eigenvalues, rise)

    priors: dict[str, PriorWidths] = {}
    numbers: dict[str, dict[str, Floats]] = {}
    flags: list[str] = []
    for part in layout.parts:
        prefix = f"{part}, " if len(layout.parts) > 1 else ""
        if part in layout.fields:
            numbers[part] = {}
            for own_field, value, slopes, held in _fields(
                theta, layout, part, at_limit, every_alpha
            ):
                found = np.broadcast_to(widths(slopes), (value.size,)).reshape(value.shape)
                numbers[part][own_field.name] = found
                flags += [
                    prefix + flag for flag in _field_flags(own_field, value, found, held, names)
                ]
            continue
        own = _prior_widths(theta, layout, part, every_alpha, widths)
        priors[part] = own
        alpha = layout.unpack(theta).priors[part][1]
        limits = at_limit[layout.prior(part)][: alpha.size].reshape(alpha.shape)
        flags += [prefix + flag for flag in _flags(own, alpha, limits, names)]
    scalars: dict[str, float] = {}
    slope = gradient(theta)
    for name, place in layout.scalars.items():
        width = widths(np.eye(1, len(theta), place))[0]
        if at_limit[place]:  # a limit holds it, or nothing does
            width = min(rise / max(abs(slope[place]), 1e-300), np.inf)
        scalars[name] = float(width)
    flags += _scalar_flags(scalars, layout, at_limit)
    return Identification(rise, eigenvalues, priors, scalars, tuple(flags), numbers)


def _prior_widths(
    theta: Floats,
    layout: Layout,
    part: str,
    every_alpha: bool,
    widths: Callable[[Floats], Floats],
) -> PriorWidths:
    """The widths of one part's prior."""
    weights, alpha = layout.unpack(theta).priors[part]
    k, first = len(weights), layout.prior(part).start
    by_concentration = np.zeros((k, len(theta)))
    by_weight = np.zeros((k, len(theta)))
    logits = slice(first + alpha.size, first + alpha.size + k)
    by_weight[:, logits] = np.eye(k) - weights
    for i in range(k):
        of_i = first + i * alpha.shape[1]
        by_concentration[i, of_i : of_i + alpha.shape[1]] = alpha[i] / alpha[i].sum()
    log_alpha = None
    if every_alpha:
        log_alpha = widths(np.eye(len(theta))[first : first + alpha.size]).reshape(alpha.shape)
    return PriorWidths(widths(by_weight), widths(by_concentration), log_alpha)


def _basis(theta: Floats, layout: Layout, at_limit: Flags) -> tuple[Floats, bool]:
    """Directions in which parameters may move, as columns; whether each alpha has its own."""
    k, size = layout.n_components, len(theta)
    n_alpha = k * layout.n_tokens
    alphas = [own[0].size for own in layout.fields.values() if own[0].name == "alpha"]
    every_alpha = len(layout.mixtures) * n_alpha + sum(alphas) <= MAX_ALPHAS
    columns = []
    for part in layout.mixtures:
        start = layout.prior(part).start
        own = start + np.flatnonzero(~at_limit[start : start + n_alpha])
        if every_alpha:
            columns.append(_units(size, own))
        else:
            moves = np.zeros((size, k))
            moves[own, (own - start) // layout.n_tokens] = 1.0
            columns.append(moves)
        columns.append(_contrasts(size, np.arange(start + n_alpha, start + n_alpha + k)))
    for part, fields in layout.fields.items():
        start = layout.prior(part).start
        for own_field in fields:
            own = np.arange(start, start + own_field.size)
            start += own_field.size
            if own_field.name == "alpha" and not every_alpha:
                columns.append(_together(size, own_field, own[~at_limit[own]]))
                continue
            rows = own.reshape(-1, own_field.shape[-1] if own_field.shape else 1)
            for i, row in enumerate(rows):
                inside = row[~at_limit[row]]
                scale_free = i < own_field.scale_free
                columns.append(_contrasts(size, inside) if scale_free else _units(size, inside))
    scalars = [place for place in layout.scalars.values() if not at_limit[place]]
    return np.hstack([*columns, _units(size, scalars)]), every_alpha


def _fields(
    theta: Floats, layout: Layout, part: str, at_limit: Flags, every_alpha: bool
) -> Iterator[tuple[Field, Floats, Floats, Flags]]:
    """The fields of a part: itself, values, slopes of their coordinates, and which limits hold."""
    start = layout.prior(part).start
    for own in layout.fields[part]:
        places = np.arange(start, start + own.size)
        start += own.size
        value = np.exp(theta[places]).reshape(own.shape)
        if own.name == "alpha" and not every_alpha:
            slopes = np.zeros((1, len(theta)))
            slopes[0, places] = 1.0 / own.size
        else:
            slopes = np.zeros((own.size, len(theta)))
            slopes[np.arange(own.size), places] = 1.0
        if own.scale_free and every_alpha:  # what is settled or not is the mean
            first = places.reshape(-1, own.shape[-1])[: own.scale_free]
            mean = np.exp(theta[first])
            mean /= mean.sum(axis=1, keepdims=True)
            for i, row in enumerate(first):
                slopes[i * len(row) : (i + 1) * len(row), row] -= mean[i]
        yield own, value, slopes, at_limit[places].reshape(own.shape)


def _field_flags(
    own: Field, values: Floats, widths: Floats, limits: Flags, names: tuple[str, ...] | None
) -> Iterator[str]:
    """A sentence for what is not settled of a field."""
    name, where = own.name, "at the beginning " * own.scale_free
    share = values / values.sum(axis=-1, keepdims=True) if name == "alpha" else np.ones_like(values)
    matters = share > MINOR
    for flags, says in (
        (widths > LOOSE, "is not identified"),
        (limits, "stopped at a limit of the search"),
    ):
        loose = flags & matters
        if not loose.any():
            continue
        if loose.ndim == 0:
            yield f"its {name} {says}"
        elif name != "alpha":
            depths = ["depth 1", "depths of 2 and more"]
            yield f"its {name} at {' and '.join(np.array(depths)[loose])} {says}"
        elif loose.ndim > 1:
            keys = int(np.count_nonzero(loose.any(axis=1)))
            yield f"its alpha {says} after {keys} of {len(loose)} keys"
        else:
            yield f"its alpha {where}{says} for {_tokens(loose, names)}"


def _contrasts(size: int, places: Ids) -> Floats:
    """Orthonormal directions, each summing to zero (Helmert), as columns."""
    columns = np.zeros((size, max(len(places) - 1, 0)))
    for i in range(1, len(places)):
        columns[places[:i], i - 1] = 1.0 / np.sqrt(i * (i + 1.0))
        columns[places[i], i - 1] = -np.sqrt(i / (i + 1.0))
    return columns


def _together(size: int, own: Field, places: Ids) -> Floats:
    """One direction for all; none where nothing but scales that say nothing would move."""
    of_scale = own.shape[0] if len(own.shape) == 2 else 1
    column = np.zeros((size, int(len(places) > 0 and of_scale > own.scale_free)))
    column[places] = 1.0
    return column


def _units(size: int, places: ArrayLike) -> Floats:
    """Unit vectors as columns; the identity itself would be `size` times as large."""
    chosen = np.asarray(places, dtype=np.intp)
    columns = np.zeros((size, len(chosen)))
    columns[chosen, np.arange(len(chosen))] = 1.0
    return columns


def _hessian(gradient: Gradient, theta: Floats, basis: Floats) -> Floats:
    """Second derivatives along the columns of `basis`, by central differences of the gradient."""
    columns = [
        basis.T @ (gradient(theta + STEP * move) - gradient(theta - STEP * move)) / (2.0 * STEP)
        for move in basis.T
    ]
    hessian = np.array(columns).reshape(basis.shape[1], basis.shape[1])
    return (hessian + hessian.T) / 2.0


def _widths(slopes: Floats, eigenvalues: Floats, rise: float) -> Floats:
    """How far functions with these slopes along the eigenvectors move at a given rise."""
    if not len(eigenvalues):
        return np.zeros(len(slopes))
    flat = eigenvalues <= FLAT * max(eigenvalues[-1], 1e-12)
    steep = np.sum(slopes[:, ~flat] ** 2 / eigenvalues[~flat], axis=1)
    length = np.linalg.norm(slopes, axis=1)
    moves_freely = np.linalg.norm(slopes[:, flat], axis=1) > 0.01 * np.maximum(length, 1e-300)
    return np.where(moves_freely, np.inf, np.sqrt(2.0 * rise * steep))


def _flags(
    widths: PriorWidths, alpha: Floats, limits: Flags, names: tuple[str, ...] | None
) -> Iterator[str]:
    """A sentence for each parameter of a prior that is not settled."""
    log_weights, log_concentration, log_alpha = widths
    share = alpha / alpha.sum(axis=1, keepdims=True)
    for k in range(len(alpha)):
        if log_weights[k] > LOOSE and log_concentration[k] > LOOSE:
            yield f"component {k}: neither its weight nor its concentration is identified"
        elif log_weights[k] > LOOSE:
            yield f"component {k}: its weight is not identified"
        elif log_concentration[k] > LOOSE:
            yield f"component {k}: its concentration is not identified"
        if log_concentration[k] <= LOOSE and log_alpha is not None:
            tokens = _tokens((log_alpha[k] > LOOSE) & (share[k] > MINOR), names)
            if tokens:
                yield f"component {k}: its alpha is not identified for {tokens}"
        tokens = _tokens(limits[k] & (share[k] > MINOR), names)
        if tokens:
            yield f"component {k}: its alpha stopped at a limit of the search for {tokens}"


def _scalar_flags(scalars: dict[str, float], layout: Layout, at_limit: Flags) -> list[str]:
    """The same for single numbers.  A discount of 1 is an answer, not a limit."""
    flags = []
    words = {"weight": f"weight of {layout.parts[-1]}"}  # others say whose they are
    for name, width in scalars.items():
        what = words.get(name, name)
        if width > LOOSE:
            flags.append(f"the {what} is not identified")
        elif at_limit[layout.scalars[name]] and name != "discount":
            flags.append(f"the {what} stopped at a limit of the search")
    return flags


def _tokens(chosen: Flags, names: tuple[str, ...] | None) -> str:
    """The chosen tokens in words, the first few of them."""
    columns = np.flatnonzero(chosen).tolist()
    words = [f"column {v}" if names is None else repr(names[v]) for v in columns[:5]]
    return ", ".join(words) + (f" and {len(columns) - 5} more" if len(columns) > 5 else "")
