"""What keeps pictures readable at any size, in any style and with any font.

Contents
    inks       colours that show on the axes that they are drawn on
    names      names of tokens, and other texts of callers, that matplotlib can print
    space      how much of a figure axes have, and how much of it a text takes
    ticks      numbers and names along axes
    legends    legends that have room
"""

try:
    import matplotlib as _needed  # noqa: F401
except ImportError as error:  # pragma: no cover - depends on the installation
    raise ImportError("plots need matplotlib: pip install 'matrixbayes[plot]'") from error
