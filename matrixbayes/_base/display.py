"""Plain-text and static HTML forms of what this package makes.

Contents
    show, number, percent      one token or one figure, safe to print
    quoted, printable          a token in quotes, any other text without
    amount                     a number of bytes
    top                        the most probable tokens of a row
    table_text, table_html     a table from column names and rows of cells
    Table, Shown               what a type has to show, and the `repr` and `_repr_html_` from it

The HTML needs no script, no style sheet and no network: inline styles only, colours inherited from
the page, so that it survives notebook sanitisers and dark themes.  Whatever comes from the user is
escaped; a character that does not print (a control character, a change of writing direction) is
shown as its escape, a line break as `⏎`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_TEXT_LINES = 10
MAX_HTML_ROWS = 20
MAX_SERIES_ROWS = 60

_DIGITS = re.compile(r"[<-]?\d+(\.\d+)?( ± \d+(\.\d+)?)?%?")
_RULE = "1px solid rgba(128,128,128,.45)"
_FAINT = "1px solid rgba(128,128,128,.2)"
_TABLE = (
    "border-collapse:collapse;color:inherit;background:transparent;font-size:.95em;margin:.4em 0"
)
_CAPTION = (
    "caption-side:top;text-align:left;font-weight:600;padding:.2em .7em .4em 0;color:inherit;"
    "white-space:nowrap"
)


def show(text: object, *, width: int = 24) -> str:
    r"""A token's name in one printable line: a plain word as it is, others in quotes.

    Quotes go around marks, and what does not show itself: `␣` for a space at the ends, `⏎` for a
    line break, escapes for other characters that do not print.

    Parameters
    ----------
    text
        A token, or anything with a `str`.
    width
        The longest result, in characters; what is longer is cut and ends in `…`.

    Examples
    --------
    >>> show("yes"), show(" yes"), show("a\n"), show("\x1b[0m")
    ('yes', "'␣yes'", "'a⏎'", "'\\x1b[0m'")
    """
    raw = str(text)
    plain = printable(raw, width=max(len(raw), width))
    if plain == raw and (not raw or _is_word(raw)):
        return printable(raw, width=width)
    return quoted(raw, width=width)


def _is_word(text: str) -> bool:
    """Whether a text is more than marks."""
    return any(character.isalnum() for character in text)


def quoted(text: object, *, width: int = 24) -> str:
    """A token's name as `show` has it, in quotes whatever it is."""
    return f"'{printable(text, width=width - 2)}'"


def printable(text: object, *, width: int = 24) -> str:
    r"""Any text in one line without quotes: spaces at the ends and what does not print are marked.

    Examples
    --------
    >>> printable("Is it so?\n"), printable("so ")
    ('Is it so?⏎', 'so␣')
    """
    raw = str(text)
    left = len(raw) - len(raw.lstrip(" "))
    right = 0 if left == len(raw) else len(raw) - len(raw.rstrip(" "))
    core = raw[left : len(raw) - right]
    marked = "".join(c if c.isprintable() else _escape(c) for c in core)
    line = "␣" * left + marked + "␣" * right
    return line if len(line) <= width else line[: width - 1] + "…"


def _escape(character: str) -> str:
    """How one character that does not print is shown."""
    if character == "\n":
        return "⏎"
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def number(value: Any) -> str:
    """A figure with four significant digits; integers, words and `nan` as they are.

    Examples
    --------
    >>> number(3), number(0.123456), number(1234567.0), number(True)
    ('3', '0.1235', '1.235e+06', 'yes')
    """
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        figure = float(value)
        plain = 1000.0 <= abs(figure) < 1e6
        return f"{figure:.1f}" if plain else f"{figure:#.4g}".rstrip(".")
    return (show if _is_word(str(value)) else printable)(value, width=60)


def percent(value: float) -> str:
    """A probability as a percentage of three digits: `12.3%`, `<0.1%`."""
    if 0.0 < value < 0.0005:
        return "<0.1%"
    return f"{100.0 * value:.1f}%"


def amount(n_bytes: float) -> str:
    """A number of bytes with three digits.

    Examples
    --------
    >>> amount(999), amount(402_056_000_000)
    ('999 bytes', '402 GB')
    """
    units = ["PB", "TB", "GB", "MB", "kB", "bytes"]
    while n_bytes >= 999.5 and len(units) > 1:
        n_bytes /= 1000
        units.pop()
    return f"{n_bytes:.3g} {units[-1]}"


def top(row: NDArray[np.floating], tokens: Sequence[str] | None, n: int = 3) -> str:
    """The `n` most probable tokens of a row of probabilities, in words."""
    order = np.argsort(-row, kind="stable")[:n]
    words = (show(j if tokens is None else tokens[j], width=16) for j in order)
    return ", ".join(f"{word} {_share(row[j])}" for word, j in zip(words, order, strict=True))


def _share(value: float) -> str:
    """A probability with three decimals, or where that says too little with two digits."""
    return f"{value:.3f}" if value == 0.0 or value >= 0.0095 else f"{value:.2g}"


# ---------------------------------------------------------------------------
# Tables
# ---------------------------------------------------------------------------


def table_text(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    title: str | None = None,
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

    Returns
    -------
    str
        A last line says how many rows were left out.

    Examples
    --------
    >>> print(table_text(["token", "n"], [["red", 3], ["blue", 12]]))
    token   n
    red     3
    blue   12
    """
    room = MAX_TEXT_LINES - 1 - (title is not None)
    shown = list(rows) if len(rows) <= room else list(rows)[: room - 1]
    cells = [[number(value) for value in row] for row in shown]
    right = [all(_is_figure(row[j]) for row in shown) for j in range(len(columns))]
    widths = [max([len(name), *(len(row[j]) for row in cells)]) for j, name in enumerate(columns)]
    lines = [] if title is None else [title]
    for row in [list(columns), *cells]:
        aligned = (
            cell.rjust(w) if r else cell.ljust(w)
            for cell, w, r in zip(row, widths, right, strict=True)
        )
        lines.append("  ".join(aligned).rstrip())
    if len(shown) < len(rows):
        lines.append(f"... and {len(rows) - len(shown)} more")
    return "\n".join(lines)


def table_html(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
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
    right = [bool(shown) and all(_is_figure(row[j]) for row in shown) for j in range(len(columns))]
    parts = [f'<table style="{_TABLE}">']
    if caption is not None:
        parts.append(f'<caption style="{_CAPTION}">{html.escape(caption)}</caption>')
    head = "".join(_cell("th", name, r) for name, r in zip(columns, right, strict=True))
    parts.append(f"<thead><tr>{head}</tr></thead><tbody>")
    for i, row in enumerate(shown):
        cells = zip(row, right, strict=True)
        parts.append("<tr>" + "".join(_cell("td", v, r, i == bold) for v, r in cells) + "</tr>")
    if len(shown) < len(rows):
        more = f"and {len(rows) - len(shown)} more"
        parts.append(
            f'<tr><td colspan="{len(columns)}" style="padding:.25em .7em">{more}</td></tr>'
        )
    parts.append("</tbody></table>")
    return "".join(parts)


def _cell(tag: str, value: Any, right: bool, bold: bool = False) -> str:
    """One escaped cell of a table."""
    style = f"padding:.25em .7em;text-align:{'right' if right else 'left'};color:inherit;"
    style += f"border-bottom:{_RULE if tag == 'th' else _FAINT}"
    if right and tag == "td":
        style += ";font-variant-numeric:tabular-nums"
    if tag == "td" and len(number(value)) < 30:
        style += ";white-space:nowrap"
    if bold:
        style += ";font-weight:600"
    scope = ' scope="col"' if tag == "th" else ""
    return f'<{tag}{scope} style="{style}">{html.escape(number(value))}</{tag}>'


def _is_figure(value: Any) -> bool:
    """Whether a cell belongs to the right of its column."""
    if isinstance(value, (bool, np.bool_)):
        return False
    if isinstance(value, str):
        return value in ("", "...") or _DIGITS.fullmatch(value) is not None
    return isinstance(value, (int, float, np.integer, np.floating))


class Table(NamedTuple):
    """What a type has to show, in a terminal and in a notebook alike."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    best: int | None = None  # a row to point at
    marks: Sequence[str] = ()  # a word after each row, if need be
    series: bool = False  # both ends of the rows are worth a look
    sentence: bool = False  # the title is one, and may be long
    words: Sequence[str] = ()  # lines below the table

    def text(self) -> str:
        """At most ten lines, and the words."""
        marks = [*self.marks] or [""] * len(self.rows)
        if self.best is not None:
            marks[self.best] = ", ".join(filter(None, ["<- best", marks[self.best]]))
        columns, rows = self._marked(marks)
        if self.series and len(rows) > MAX_TEXT_LINES - 2:
            rows = [*rows[:4], ["...", *[""] * (len(columns) - 1)], *rows[-3:]]
        return "\n".join([table_text(columns, rows, title=self.title), *self.words])

    def html(self) -> str:
        """Static HTML, with more rows; the best one is bold."""
        columns, rows = self._marked(self.marks)
        most = MAX_SERIES_ROWS if self.series else MAX_HTML_ROWS
        caption = None if self.sentence else self.title
        table = table_html(columns, rows, caption=caption, max_rows=most, bold=self.best)
        head = f'<div style="font-weight:600">{html.escape(self.title)}</div>'
        words = (f"<div>{html.escape(line)}</div>" for line in self.words)
        return "".join([head * self.sentence, table, *words])

    def _marked(self, marks: Sequence[str]) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """Columns and rows, with the marks as a last column where there are any."""
        if not any(marks):
            return self.columns, self.rows
        rows = zip(self.rows, marks, strict=True)
        return [*self.columns, ""], [[*row, mark] for row, mark in rows]


class Shown:
    """A type that shows itself: `_table` says what, and both forms follow."""

    __slots__ = ()

    def _table(self) -> Table:
        raise NotImplementedError

    def __repr__(self) -> str:
        return self._table().text()

    def _repr_html_(self) -> str:
        return self._table().html()
