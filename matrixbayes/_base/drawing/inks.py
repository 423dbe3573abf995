"""Colours that show on the axes that they are drawn on, in light and dark styles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rcParams
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb, to_rgba

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CONTRAST = 4.5  # of text, as the W3C's guidelines ask for


def ground(ax: Axes, *, outside: bool = False) -> str:
    """The colour behind what is drawn on axes, or outside them on their figure."""
    faces: list[Any] = [ax.figure.get_facecolor(), rcParams["figure.facecolor"], "white"]
    if not outside:
        faces.insert(0, ax.get_facecolor())
    return next(to_hex(face) for face in faces if to_rgba(face)[3] > 0.5)


def ink(ax: Axes, *, outside: bool = False) -> str:
    """The style's colour of text where it shows; elsewhere black or white."""
    behind = ground(ax, outside=outside)
    own = to_hex(rcParams["text.color"])
    return own if _contrast(own, behind) >= CONTRAST else on(behind)


def on(colour: Any) -> str:
    """Black or white: what is read more easily on a colour."""
    return max("#000000", "#ffffff", key=lambda text: _contrast(text, colour))


def faint(ax: Axes, share: float = 0.12) -> str:
    """A colour between what is behind the axes and their text."""
    behind, text = np.array(to_rgb(ground(ax))), np.array(to_rgb(ink(ax)))
    return to_hex(behind + share * (text - behind))


def shades(ax: Axes) -> LinearSegmentedColormap:
    """A map of colours without hue, from what is just seen on the axes to their text."""
    return LinearSegmentedColormap.from_list("shades", [faint(ax, 0.2), ink(ax)])


def is_dark(ax: Axes) -> bool:
    """Whether the axes are."""
    return on(ground(ax)) == "#ffffff"


def _contrast(one: Any, other: Any) -> float:
    """The ratio of luminances of two colours (WCAG 2.1), from 1 to 21."""
    low, high = sorted(map(_luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: Any) -> float:
    parts = np.array(to_rgb(colour))
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
