"""A posterior path under a slider, and as a grid of pictures where widgets do not run."""

from __future__ import annotations

import html
from functools import cached_property
from importlib.resources import files
from typing import Any

from ..._base.display import percent
from .frames import Frames, evenly

GRID = 8  # pictures where nothing moves
BAR = "rgba(0,114,178,.55)"


class ShotSlider:
    """A posterior path under a slider; made by `PosteriorPath.slider`.

    In a notebook with anywidget it is a widget; elsewhere, and in a notebook that is only looked
    at (on a forge, printed, without a kernel), a grid of pictures of static HTML.  Nothing is
    fetched: the widget's code is part of the package.

    Parameters
    ----------
    frames : Frames
        The numbers of each picture.
    """

    def __init__(self, frames: Frames) -> None:
        self.frames = frames

    def __repr__(self) -> str:
        frames = self.frames
        lines = [
            f"ShotSlider: {len(frames)} of {frames.last + 1} shots, {len(frames.tokens)} tokens"
        ]
        for i in evenly(len(frames), 5):
            order = frames.mean[i].argsort()[::-1][:3]
            top = ", ".join(f"{frames.tokens[j]} {percent(frames.mean[i, j])}" for j in order)
            lines.append(f"{frames.title(i)}: {top}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """The grid."""
        frames = self.frames
        panels = "".join(self._panel(i) for i in evenly(len(frames), GRID))
        return (
            '<div style="color:inherit">'
            f'<div style="opacity:.75;font-size:.9em">{html.escape(self._words())}</div>'
            f'<div style="display:flex;flex-wrap:wrap">{panels}</div></div>'
        )

    def _panel(self, i: int) -> str:
        """One picture of the grid."""
        frames = self.frames
        lines = []
        for k, name in enumerate(frames.tokens):
            width = 100.0 * min(1.0, frames.mean[i, k] / frames.top)
            ends = f"{percent(frames.low[i, k])} to {percent(frames.high[i, k])}"
            own = "" if frames.own is None else f", model {percent(frames.own[i, k])}"
            words = f"{html.escape(name)} {percent(frames.mean[i, k])}"
            words += f' <span style="opacity:.7">({ends}{own})</span>'
            lines.append(
                '<div style="margin:.15em 0">'
                f'<div style="font-size:.85em;unicode-bidi:isolate">{words}</div>'
                '<div style="background-color:rgba(128,128,128,.15)">'
                f'<div style="width:{width:.1f}%;height:.5em;background-color:{BAR}"></div></div>'
                "</div>"
            )
        return (
            '<div style="width:17em;margin:.6em 1.2em .6em 0">'
            f'<div style="font-weight:600">{html.escape(frames.title(i))}</div>{"".join(lines)}'
            f'<div style="opacity:.75;font-size:.85em">{html.escape(frames.below(i))}</div></div>'
        )

    def _words(self, own: str = "the model's own prediction") -> str:
        """What is shown of each token."""
        model = "" if self.frames.own is None else f"; {own}"
        return f"posterior mean of each token, {100 * self.frames.level:g}% band{model}"

    @cached_property
    def widget(self) -> Any:
        """The widget.

        Raises
        ------
        ImportError
            There is no anywidget.
        """
        try:
            import anywidget
            import traitlets
        except ImportError as error:
            raise ImportError(
                "the slider needs anywidget: pip install 'matrixbayes[notebook]'"
            ) from error
        about = {
            "_esm": files(__package__).joinpath("slider.js").read_text("utf-8"),
            "data": traitlets.Dict().tag(sync=True),
            "frame": traitlets.Int(0).tag(sync=True),
            "__module__": __name__,
        }
        made: Any = type("ShotSliderWidget", (anywidget.AnyWidget,), about)
        return made(data=self._data())

    def _data(self) -> dict[str, Any]:
        """The numbers, as JSON can hold them."""
        frames = self.frames
        n = range(len(frames))
        return {
            "shots": frames.shots,
            "titles": [frames.title(i) for i in n],
            "below": [frames.below(i) for i in n],
            "words": self._words("dots: the model's own prediction"),
            "tokens": frames.tokens,
            "top": frames.top,
            "mean": frames.mean.round(6).tolist(),
            "low": frames.low.round(6).tolist(),
            "high": frames.high.round(6).tolist(),
            "own": None if frames.own is None else frames.own.round(6).tolist(),
            "components": frames.components,
            "weights": frames.weights.round(6).tolist(),
        }

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        """The widget where there is a kernel to run it, and always what stands without one."""
        plain = {"text/plain": repr(self), "text/html": self._repr_html_()}
        if not _in_kernel():
            return plain
        try:
            found = self.widget._repr_mimebundle_()
        except ImportError:
            return plain
        data, about = found if isinstance(found, tuple) else (found, {})
        return ({**(data or {}), **plain}, about) if about else {**(data or {}), **plain}


def _in_kernel() -> bool:
    """Whether a notebook's kernel runs this."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return getattr(get_ipython(), "kernel", None) is not None
