"""A file of pictures that follow each other: GIF by Pillow, MP4 by ffmpeg.

Contents
    checked_ending    the path, refused before anything is drawn
    settle            a figure laid out once
    save              the pictures, one after another
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..._base.arguments import shown
from ..._base.saving.whole import replace_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENDINGS = (".gif", ".mp4")
COLOURS = 128
NO_GLYPH = "Glyph .* missing from"  # a token may be of a script that the font lacks
HOLD = 4  # how many times longer the last picture stays


def checked_ending(path: str | os.PathLike[str]) -> Path:
    """The path, if its ending is one that can be written here: before anything is drawn.

    Raises
    ------
    ValueError
        It is not, or there is no ffmpeg for it.
    """
    found = Path(path)
    ending = found.suffix.lower()
    if ending not in ENDINGS:
        raise ValueError(
            f"{os.fspath(path)!r} ends in {ending or 'nothing'!r}; an animation ends in "
            f"{' or '.join(ENDINGS)}"
        )
    if not found.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {os.fspath(found.parent)}")
    if ending == ".mp4":
        from matplotlib.animation import FFMpegWriter

        if not FFMpegWriter.isAvailable():
            raise ValueError(f"{found.name}: MP4 needs ffmpeg, which is not here; write a .gif")
    return found


def settle(figure: Figure, *, top: float, bottom: float = 0.0) -> None:
    """Lay a figure out once and for all: what is drawn later moves nothing.

    Parameters
    ----------
    top, bottom
        Inches that are kept free for words.
    """
    height = figure.get_figheight()
    engine: Any = figure.get_layout_engine()
    engine.set(rect=(0.0, bottom / height, 1.0, 1.0 - (top + bottom) / height))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=NO_GLYPH)
        figure.draw_without_rendering()
    figure.set_layout_engine("none")


def save(
    figure: Figure, draw: Callable[[int], Any], n: int, path: Path, *, fps: float, dpi: float
) -> Path:
    """Write n pictures into one file, all or nothing.

    Parameters
    ----------
    figure
        Drawn on by `draw`, and of one size throughout.
    draw
        Makes picture i of it.
    path
        From `checked_ending`.
    fps
        Pictures to a second.
    dpi
        Pixels to an inch.
    """
    if not 0.0 < fps <= 50.0:
        raise ValueError(f"fps is {shown(fps)}; it is above 0 and at most 50")
    mp4 = path.suffix.lower() == ".mp4"
    write = _mp4 if mp4 else _gif
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=NO_GLYPH)
        replace_file(path, lambda file: write(figure, draw, n, file, fps, dpi))
    return path


def _gif(
    figure: Figure, draw: Callable[[int], Any], n: int, opened: IO[bytes], fps: float, dpi: float
) -> None:
    from PIL import Image

    def pictures() -> Iterator[Any]:
        for i in range(n):
            draw(i)
            with io.BytesIO() as file:
                figure.savefig(file, format="png", dpi=dpi)
                file.seek(0)
                yield Image.open(file).convert("RGB")

    # One palette for all, or colours would flicker; the last picture has all of them.
    draw(n - 1)
    every = list(pictures())
    palette = every[-1].quantize(COLOURS, method=Image.Quantize.FASTOCTREE)
    reduced = [one.quantize(palette=palette, dither=Image.Dither.NONE) for one in every]
    times = [round(1000.0 / fps)] * (n - 1) + [round(HOLD * 1000.0 / fps)]
    reduced[0].save(
        opened, format="GIF", save_all=True, append_images=reduced[1:], duration=times, loop=0
    )


def _mp4(
    figure: Figure, draw: Callable[[int], Any], n: int, opened: IO[bytes], fps: float, dpi: float
) -> None:
    from matplotlib.animation import FFMpegWriter

    # Players want even numbers of pixels; the name says nothing of the format.
    rate: Any = fps
    even = "scale=trunc(iw/2)*2:trunc(ih/2)*2"
    writer = FFMpegWriter(fps=rate, extra_args=["-vf", even, "-pix_fmt", "yuv420p", "-f", "mp4"])
    with writer.saving(figure, opened.name, dpi):
        for i in [*range(n), *[n - 1] * (HOLD - 1)]:
            draw(i)
            writer.grab_frame()
