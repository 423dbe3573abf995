"""Numbers and names along axes.

Contents
    Plain, plain_axis          numbers as they are, without a sum or factor at the end of the axis
    FromBase, from_base        differences from a number, the data staying what they are
    LogTicks, log_axis, log_ticks    powers of ten, and what is between them, as there is room
    far_axis                   from 0 and 1 to far, logarithmic above 1
    NameTicks, name_axis       names, each at a whole number, as many as there is room for
    whole_numbers              ticks at whole numbers only
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rcParams
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import (
    AutoLocator,
    Formatter,
    Locator,
    MaxNLocator,
    NullLocator,
    ScalarFormatter,
)

from .space import LINE, SMALLEST, extent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import XAxis, YAxis

    Axis = XAxis | YAxis

LARGE, SMALL = 1e6, 1e-4  # from here, and below, numbers have an exponent
LOG_LARGE, LOG_SMALL = 1e5, 1e-3


class Plain(Formatter):
    """Numbers with as many digits as tell them apart."""

    def __init__(self, base: float = 0.0, factor: float = 1.0, unit: str = "") -> None:
        self.base, self.factor, self.unit = base, factor, unit

    def __call__(self, x: float, pos: int | None = None) -> str:
        return self._figure(x, [x]) + self.unit

    def format_ticks(self, values: Any) -> list[str]:
        """The ticks of an axis, with the digits that they need beside each other."""
        return [self._figure(x, values) + self.unit for x in values]

    def _figure(self, x: float, all_of_them: Any) -> str:
        values = np.unique(np.asarray(all_of_them, dtype=np.float64) - self.base) * self.factor
        value = (float(x) - self.base) * self.factor
        top = float(np.abs(values).max(initial=0.0))
        step = float(np.diff(values).min()) if len(values) > 1 else top
        if not np.isfinite(step) or step <= 0.0 or abs(value) < 1e-9 * step:
            return "0"
        place = int(np.floor(np.log10(step * (1.0 + 1e-6))))
        if not np.isclose(step / 10.0**place, round(step / 10.0**place), rtol=1e-6):
            place -= 1  # steps of 2.5
        if SMALL <= top < LARGE:
            return self.fix_minus(f"{value:,.{max(0, -place)}f}")
        power = int(np.floor(np.log10(top)))
        figure = f"{value / 10.0**power:.{min(max(0, power - place), 12)}f}"
        return self.fix_minus(f"{figure}e{power}")


class FromBase(AutoLocator):
    """Ticks whose differences from a base are round."""

    def __init__(self, base: float) -> None:
        super().__init__()
        self.base = base

    def tick_values(self, vmin: float, vmax: float) -> Any:
        """The ticks in a range."""
        return np.add(super().tick_values(vmin - self.base, vmax - self.base), self.base)


def from_base(axis: Axis, base: float) -> None:
    """Show what is on a linear axis as differences from a number."""
    axis.set_major_locator(FromBase(base))
    axis.set_major_formatter(Plain(base))


def plain_axis(axis: Axis) -> None:
    """Numbers as they are along a linear axis."""
    if axis.get_scale() == "linear" and isinstance(axis.get_major_formatter(), ScalarFormatter):
        axis.set_major_formatter(Plain())


def whole_numbers(axis: Axis) -> None:
    """Ticks at whole numbers only."""
    axis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(Plain())


class LogTicks(Locator):
    """Powers of ten, or some of them, or what is between them too; and 0 where that is shown."""

    def __call__(self) -> Any:
        """The ticks of the axis."""
        axis: Any = self.axis
        return self.tick_values(*axis.get_view_interval())

    def tick_values(self, vmin: float, vmax: float) -> Any:
        """The ticks in a range."""
        low, high = sorted((float(vmin), float(vmax)))
        room = 6 if self.axis is None else self._room()
        zero = [0.0] if low <= 0.0 else []
        low = low if low > 0.0 else 1.0
        if not low < high < np.inf:
            return np.array([*zero, low])
        first, last = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
        room -= len(zero)
        for between in ((1, 2, 5), (1, 3), (1,)):
            ticks = [m * 10.0**e for e in range(first, last + 1) for m in between]
            ticks = [t for t in ticks if low * (1 - 1e-9) <= t <= high * (1 + 1e-9)]
            if len(ticks) < 2:
                ticks = [t for t in MaxNLocator(min(room, 4)).tick_values(low, high) if t > 0.0]
                return np.array([*zero, *(t for t in ticks if low <= t <= high)])
            if len(ticks) <= room:
                return np.array([*zero, *ticks])
        return np.array([*zero, *ticks[:: -(-len(ticks) // room)]])

    def _room(self) -> int:
        """How many ticks there is room for."""
        axis: Any = self.axis
        space = int(axis.get_tick_space())
        if axis.axis_name == "x":
            space = int(0.7 * space)
        return min(max(space, 2), 8)


class _Short(Formatter):
    """A number by itself."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        if x == 0.0 or LOG_SMALL <= abs(x) < LOG_LARGE:
            return self.fix_minus(f"{x:,.10g}")
        figure, power = f"{x:.9e}".split("e")
        return self.fix_minus(f"{float(figure):.6g}e{int(power)}")


def log_axis(axis: Axis) -> None:
    """Make an axis logarithmic."""
    getattr(axis.axes, f"set_{axis.axis_name}scale")("log", nonpositive="mask")
    log_ticks(axis)


def far_axis(axis: Axis) -> None:
    """Make an axis logarithmic, and linear from 0 to 1."""
    getattr(axis.axes, f"set_{axis.axis_name}scale")("symlog", linthresh=1.0)
    log_ticks(axis)


def log_ticks(axis: Axis) -> None:
    """Few plain numbers along a logarithmic axis."""
    axis.set_major_locator(LogTicks())
    axis.set_major_formatter(_Short())
    axis.set_minor_locator(NullLocator())


class NameTicks(Locator):
    """The numbers 0 to n - 1, or as many of them as there is room for; the last is always there."""

    def __init__(self, n: int, need: float) -> None:
        self.n = n
        self.need = need  # points that a name takes along the axis

    def __call__(self) -> Any:
        """The ticks of the axis."""
        axis: Any = self.axis
        low, high = sorted(axis.get_view_interval())
        box = axis.axes.get_window_extent()
        length = (box.width if axis.axis_name == "x" else box.height) / (high - low)
        return self.every(length * 72.0 / axis.axes.figure.dpi)

    def tick_values(self, vmin: float, vmax: float) -> Any:
        """All of them."""
        return np.arange(self.n)

    def every(self, length: float) -> Any:
        """Those that have room where each has a length of the axis."""
        step = max(1, int(np.ceil(self.need / max(length, 1e-3))))
        ticks = np.arange(0, self.n, step)
        return ticks if step == 1 else np.append(ticks[ticks <= self.n - 1 - step], self.n - 1)


class _Names(Formatter):
    """The name of a whole number."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def __call__(self, x: float, pos: int | None = None) -> str:
        i = round(x)
        return self.names[i] if 0 <= i < len(self.names) and abs(x - i) < 1e-6 else ""


def most_names(ax: Axes, length: float) -> int:
    """How many names have room beside each other, upright."""
    size = _size(ax.xaxis)
    return max(2, int(length / (1.1 * LINE * max(0.6 * size, min(size, SMALLEST)))))


def name_axis(axis: Axis, names: Sequence[str], length: float, depth: float) -> float:
    """Put names at 0, 1, ... along an axis; upright where they have no room beside each other.

    Parameters
    ----------
    axis
        The x axis, or the y axis, where names are always level.
    names
        Their texts.
    length, depth
        About how long the axis will be, in points, and how much the names may take beside it.

    Returns
    -------
    float
        What they take beside it.
    """
    size, step = _size(axis), length / max(len(names), 1)
    level = axis.axis_name == "y"
    beside = max(extent(name, size)[0] for name in names)
    if axis.axis_name == "x" and beside + 0.6 * size <= step:
        need, takes = beside + 0.6 * size, LINE * size
        rotation = 0
    else:
        least = min(size, SMALLEST)
        size = max(least, min(size, step / (1.1 * LINE), size * depth / beside))
        need, takes = 1.05 * LINE * size, beside * size / _size(axis)
        rotation = 0 if level else 90
    axis.set_major_locator(NameTicks(len(names), need))
    axis.set_major_formatter(_Names(list(names)))
    axis.set_minor_locator(NullLocator())
    axis.set_tick_params(labelsize=size, rotation=rotation)
    return takes


def _size(axis: Axis) -> float:
    """The size of the labels of ticks."""
    usual = rcParams["xtick.labelsize" if axis.axis_name == "x" else "ytick.labelsize"]
    size = axis.get_tick_params().get("labelsize", usual)
    return float(FontProperties(size=size).get_size_in_points())
