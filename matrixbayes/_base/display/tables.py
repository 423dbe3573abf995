"""Columns and rows: in plain text of ten lines, and in static HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from .figures import numbers
from .tokens import cut, places

MAX_TEXT_LINES = 10
MAX_TEXT_WIDTH = 98
MAX_HTML_ROWS = 20
MAX_HTML_WIDTH = 400  # letters of a cell
MAX_TITLE = 60  # letters that may reach over a narrow table
MAX_SERIES_ROWS = 60
LEAST_WIDTH = 16  # of a column of words, where a line is too long

_FIGURE = re.compile(r"[<>-]?\d+(\.\d*)?(e[+-]\d+)?( ± \d+(\.\d*)?(e[+-]\d+)?)?%?")
_RULE = "1px solid rgba(128,128,128,.45)"
_FAINT = "1px solid rgba(128,128,128,.2)"
_TABLE = (
    "border-collapse:collapse;color:inherit;background:transparent;font-size:.95em;margin:.4em 0"
)
_CAPTION = "caption-side:top;text-align:left;font-weight:600;padding:.2em .7em .4em 0;color:inherit"
Rows = Sequence[Sequence[Any]]


def table_text(
    columns: Sequence[str],
    rows: Rows,
    *,
    title: str | None = None,
    most_lines: int = MAX_TEXT_LINES,
) -> str:
    """A table in plain text of at most ten lines; figures to the right, words to the left.

    Parameters
    ----------
    columns
        The names of the columns.
    rows
        The cells, row by row: figures or words.
    title
        A first line.
    most_lines
        How many lines there may be.

    Returns
    -------
    str
        A last line says how many rows were left out. No line takes more than 98 places: the
        longest words lose their middle, and the columns that have no room are left out.

    Examples
    --------
    >>> print(table_text(["token", "n"], [["red", 3], ["blue", 12]]))
    token   n
    red     3
    blue   12
    """
    room = most_lines - any(columns) - (title is not None)
    shown = list(rows) if len(rows) <= room else list(rows)[: max(room - 1, 0)]
    names = numbers(columns)
    cells = [[name, *numbers([row[j] for row in shown])] for j, name in enumerate(names)]
    right = [_are_figures([row[j] for row in shown]) for j in range(len(columns))]
    lines = [] if title is None else [title]
    lines += _lines(cells, right)[0 if any(columns) else 1 :]
    if len(shown) < len(rows):
        lines.append(f"... and {len(rows) - len(shown)} more")
    return "\n".join(lines)


def _lines(cells: list[list[str]], right: list[bool]) -> list[str]:
    """Columns of cells side by side, in lines that are not too long."""
    widths = [max(map(places, column)) for column in cells]
    while sum(widths) + 2 * len(widths) - 2 > MAX_TEXT_WIDTH:
        over = sum(widths) + 2 * len(widths) - 2 - MAX_TEXT_WIDTH
        words = [w if not r else 0 for w, r in zip(widths, right, strict=True)]
        widest = int(np.argmax(words))
        if words[widest] > LEAST_WIDTH:
            widths[widest] = max(LEAST_WIDTH, words[widest] - over)
        elif len(widths) > 2:  # the last but one, behind which the dots stand
            at = len(widths) - 2
            if set(cells[at]) != {"..."}:
                cells = [*cells[:at], ["..."] * len(cells[0]), *cells[at + 1 :]]
                widths[at], right = 3, [*right[:at], False, *right[at + 1 :]]
            else:
                cells, widths = [*cells[: at - 1], *cells[at:]], [*widths[: at - 1], *widths[at:]]
                right = [*right[: at - 1], *right[at:]]
        else:  # one or two, of which the widest gives way
            widest, least = int(np.argmax(widths)), (MAX_TEXT_WIDTH + 2) // len(widths) - 2
            widths[widest] = max(least, widths[widest] - over)
    lines = []
    for i in range(len(cells[0]) if cells else 1):
        line = ""
        for column, width, to_right in zip(cells, widths, right, strict=True):
            cell = column[i] if places(column[i]) <= width else cut(column[i], width)
            blanks = " " * (width - places(cell))
            line += f"{blanks}{cell}  " if to_right else f"{cell}{blanks}  "
        lines.append(line.rstrip())
    return lines


def table_html(
    columns: Sequence[str],
    rows: Rows,
    *,
    caption: str | None = None,
    max_rows: int | None = MAX_HTML_ROWS,
    bold: int | None = None,
) -> str:
    """A static HTML table with inline styles; every cell is escaped.

    Parameters
    ----------
    columns
        The names of the columns.
    rows
        The cells, row by row: figures or words.
    caption
        A line above the table.
    max_rows
        The most rows to show (None: all of them); a last row says how many were left out.
    bold
        The number of a row to set in bold.
    """
    shown = list(rows) if max_rows is None or len(rows) <= max_rows else list(rows)[:max_rows]
    cells = [numbers([row[j] for row in shown], width=MAX_HTML_WIDTH) for j in range(len(columns))]
    right = [bool(shown) and _are_figures([row[j] for row in shown]) for j in range(len(columns))]
    parts = [f'<table style="{_TABLE}">']
    if caption is not None:
        style = _CAPTION + ";white-space:nowrap" * (len(caption) <= MAX_TITLE)
        parts.append(f'<caption style="{style}">{html.escape(caption)}</caption>')
    if any(columns):
        head = "".join(
            _cell("th", name, r) for name, r in zip(numbers(columns), right, strict=True)
        )
        parts.append(f"<thead><tr>{head}</tr></thead>")
    parts.append("<tbody>")
    for i in range(len(shown)):
        row = (_cell("td", column[i], r, i == bold) for column, r in zip(cells, right, strict=True))
        parts.append("<tr>" + "".join(row) + "</tr>")
    if len(shown) < len(rows):
        more = f"and {len(rows) - len(shown)} more"
        parts.append(
            f'<tr><td colspan="{len(columns)}" style="padding:.25em .7em">{more}</td></tr>'
        )
    parts.append("</tbody></table>")
    return "".join(parts)


def _cell(tag: str, value: str, right: bool, bold: bool = False) -> str:
    """One escaped cell of a table; blanks in a token are not run together."""
    style = f"padding:.25em .7em;text-align:{'right' if right else 'left'};color:inherit;"
    style += f"border-bottom:{_RULE if tag == 'th' else _FAINT}"
    if right and tag == "td":
        style += ";font-variant-numeric:tabular-nums"
    if tag == "td":
        style += f";white-space:{'pre' if len(value) < 30 else 'pre-wrap'}"
    if bold:
        style += ";font-weight:600"
    scope = ' scope="col"' if tag == "th" else ""
    return f'<{tag}{scope} style="{style}">{html.escape(value)}</{tag}>'


def _are_figures(values: Sequence[Any]) -> bool:
    """Whether a column belongs to the right."""
    return all(map(_is_figure, values))


def _is_figure(value: Any) -> bool:
    if isinstance(value, (bool, np.bool_)):
        return False
    if isinstance(value, str):
        return value in ("", "-", "...") or _FIGURE.fullmatch(value) is not None
    return value is None or isinstance(value, (int, float, np.integer, np.floating))
