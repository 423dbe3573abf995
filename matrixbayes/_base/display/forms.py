"""What a type has to show, in a terminal and in a notebook alike."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from .tables import (
    MAX_HTML_ROWS,
    MAX_SERIES_ROWS,
    MAX_TEXT_LINES,
    MAX_TEXT_WIDTH,
    table_html,
    table_text,
)

if TYPE_CHECKING:
    import pandas as pd

FEW = 5  # rows that are shown however much there is to say


class Table(NamedTuple):
    """A title, rows of cells, and what else is to be said of them."""

    title: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    best: int | None = None  # a row to point at
    marks: Sequence[str] = ()  # a word after each row, if need be
    series: bool = False  # both ends of the rows are worth a look
    sentence: bool = False  # the title is one, and may be long
    words: Sequence[str] = ()  # lines below the table

    @classmethod
    def of(cls, title: str, fields: Mapping[str, Any]) -> Table:
        """Columns of arrays that are as long as each other, or a line for each single figure."""
        names = [name.replace("_", " ") for name in fields]
        values = [*fields.values()]
        if any(np.ndim(value) for value in values):
            lines = [list(line) for line in zip(*values, strict=True)]
            return cls(title, names, lines, series=True)
        lines = [[name, value] for name, value in zip(names, values, strict=True)]
        return cls(title, ["", ""], lines)

    def text(self) -> str:
        """At most ten lines of at most 98 places; what is said comes before what is listed."""
        marks = [*self.marks] or [""] * len(self.rows)
        if self.best is not None:
            marks[self.best] = ", ".join(filter(None, ["<- best", marks[self.best]]))
        columns, rows = self._marked(marks)
        title = _wrapped(self.title, "")
        words = [line for text in self.words for line in _wrapped(text, "  ")]
        room = MAX_TEXT_LINES - len(title)
        least = min(len(rows), FEW) + any(columns)
        if len(words) > room - least:
            shown = max(room - least - 1, 0)
            words = [*words[:shown], f"... and {len(words) - shown} more lines"]
        room -= len(words)
        if self.series and len(rows) > room - any(columns):
            tail = (room - any(columns) - 1) // 2
            head = room - any(columns) - 1 - tail
            dots = ["...", *[""] * (len(columns) - 1)]
            rows = [*rows[:head], dots, *rows[len(rows) - tail :]]
        table = table_text(columns, rows, most_lines=room) if rows else ""
        return "\n".join([*title, *filter(None, [table]), *words])

    def html(self) -> str:
        """Static HTML, with more rows; the best one is bold."""
        columns, rows = self._marked(self.marks)
        most = MAX_SERIES_ROWS if self.series else MAX_HTML_ROWS
        alone = self.sentence or not rows
        caption = None if alone else self.title
        table = table_html(columns, rows, caption=caption, max_rows=most, bold=self.best)
        head = f'<div style="font-weight:600">{html.escape(self.title)}</div>'
        words = (f"<div>{html.escape(line)}</div>" for line in self.words)
        return "".join([head * alone, table * bool(rows), *words])

    def _marked(self, marks: Sequence[str]) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """Columns and rows, with the marks as a last column where there are any."""
        if not any(marks):
            return self.columns, self.rows
        rows = zip(self.rows, marks, strict=True)
        return [*self.columns, ""], [[*row, mark] for row, mark in rows]


def _wrapped(text: str, indent: str) -> list[str]:
    """A sentence in lines that are not too long; tokens in it keep their blanks."""
    if len(text) <= MAX_TEXT_WIDTH:
        return [text]
    return textwrap.wrap(
        text, MAX_TEXT_WIDTH, subsequent_indent=indent, max_lines=6, break_on_hyphens=False
    )


class Shown:
    """A type that shows itself: `_table` says what, and both forms follow."""

    __slots__ = ()

    def _table(self) -> Table:
        raise NotImplementedError

    def __repr__(self) -> str:
        return self._table().text()

    def _repr_html_(self) -> str:
        return self._table().html()


Tuple = TypeVar("Tuple", bound=type)


def shown(cls: Tuple) -> Tuple:
    """A named tuple that shows itself as `Shown` does: it can have no second base."""
    for name in ("__repr__", "_repr_html_"):
        setattr(cls, name, vars(Shown)[name])
    return cls


def frame(columns: Mapping[str, Any], index: Any = None) -> pd.DataFrame:
    """A data frame of columns; where all of them are single figures, one of one line.

    Raises
    ------
    ImportError
        pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("this needs pandas: pip install pandas") from error
    if index is None and not any(np.ndim(column) for column in columns.values()):
        index = [0]
    return pd.DataFrame(dict(columns), index=index)
