"""Plain-text and static HTML forms of the objects of this package.

Contents
    show, number, percent      one token or one figure, safe to print
    table_text, table_html     a table from column names and rows of cells
    mixture_*, rows_*, path_*, selection_*, matrix_*, comparison_*
                               the `repr` and `_repr_html_` of the public types

The HTML needs no script, no style sheet and no network: inline styles only, colours inherited from
the page, so that it survives notebook sanitisers and dark themes.  Whatever comes from the user is
escaped; a character that does not print (a newline, a control character, a change of writing
direction) is shown as its escape.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._weights import weighted_mean

__all__ = [
    "comparison_html",
    "comparison_text",
    "matrix_html",
    "matrix_text",
    "mixture_html",
    "mixture_text",
    "number",
    "path_html",
    "path_text",
    "percent",
    "rows_html",
    "rows_text",
    "selection_html",
    "selection_text",
    "show",
    "table_html",
    "table_text",
]

MAX_TEXT_LINES = 10
MAX_HTML_ROWS = 20

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
    r"""`text` in one printable line: escapes for what does not print, `␣` for a space at the ends.

    Parameters
    ----------
    text
        A token, or anything with a `str`.
    width
        The longest result, in characters; what is longer is cut and ends in `…`.

    Examples
    --------
    >>> show(" yes"), show("a\nb"), show("\x1b[0m")
    ('␣yes', 'a\\nb', '\\x1b[0m')
    """
    raw = str(text)
    left = len(raw) - len(raw.lstrip(" "))
    right = 0 if left == len(raw) else len(raw) - len(raw.rstrip(" "))
    core = raw[left : len(raw) - right]
    printable = "".join(c if c.isprintable() else _escape(c) for c in core)
    line = "␣" * left + printable + "␣" * right
    return line if len(line) <= width else line[: width - 1] + "…"


def _escape(character: str) -> str:
    """The backslash form of one character that does not print."""
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
    return show(value, width=60)


def percent(value: float) -> str:
    """A probability as a percentage of three digits: `12.3%`, `<0.1%`."""
    if 0.0 < value < 0.0005:
        return "<0.1%"
    return f"{100.0 * value:.1f}%"


# ---------------------------------------------------------------------------
# Tables
# ---------------------------------------------------------------------------


def table_text(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    title: str | None = None,
    max_lines: int = MAX_TEXT_LINES,
) -> str:
    """A table in plain text of at most `max_lines` lines; figures to the right, words to the left.

    Parameters
    ----------
    columns
        The names of the columns.
    rows
        The cells, row by row: figures or words.
    title
        A first line.
    max_lines
        The most lines to return; a last line says how many rows were left out.

    Examples
    --------
    >>> print(table_text(["token", "n"], [["red", 3], ["blue", 12]]))
    token   n
    red     3
    blue   12
    """
    room = max(max_lines - 1 - (title is not None), 1)
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


# ---------------------------------------------------------------------------
# The public types
# ---------------------------------------------------------------------------


def _names(tokens: Sequence[str] | None, n: int) -> Sequence[str]:
    """The tokens' names, or their column numbers where they have none."""
    return [str(j) for j in range(n)] if tokens is None else tokens


def _top(row: NDArray[np.floating], tokens: Sequence[str] | None, n: int = 3) -> str:
    """The `n` most probable tokens of a row of probabilities, in words."""
    order = np.argsort(-row, kind="stable")[:n]
    names = _names(tokens, 0) if tokens is not None else None
    words = (show(names[j] if names is not None else j, width=16) for j in order)
    return ", ".join(f"{word} {_share(row[j])}" for word, j in zip(words, order, strict=True))


def _share(value: float) -> str:
    """A probability with three decimals, or where that says too little with two digits."""
    return f"{value:.3f}" if value == 0.0 or value >= 0.0095 else f"{value:.2g}"


def _mixture_table(mixture: Any) -> tuple[str, list[str], list[list[Any]]]:
    """Title, columns and rows of a mixture; components by weight."""
    weights, alpha = np.asarray(mixture.weights), np.asarray(mixture.alpha)
    total = alpha.sum(axis=1)
    order = np.argsort(-weights, kind="stable")
    plural = "" if len(weights) == 1 else "s"
    title = f"DirichletMixture: {len(weights)} component{plural} over {alpha.shape[1]} tokens"
    columns = ["component", "weight", "concentration", "most probable"]
    top = [_top(alpha[k] / total[k], mixture.tokens) for k in order[: MAX_HTML_ROWS + 1]]
    top += [""] * (len(order) - len(top))
    rows = [[int(k), weights[k], total[k], words] for k, words in zip(order, top, strict=True)]
    return title, columns, rows


def mixture_text(mixture: Any) -> str:
    """A `DirichletMixture` in at most ten lines: weight, concentration, top tokens by component."""
    title, columns, rows = _mixture_table(mixture)
    return table_text(columns, rows, title=title)


def mixture_html(mixture: Any, *, name: str = "") -> str:
    """A `DirichletMixture` as a static HTML table; `name` stands before what it is."""
    title, columns, rows = _mixture_table(mixture)
    return table_html(columns, rows, caption=f"{name}: {title}" if name else title)


def _rows_table(rows: Any) -> tuple[str, list[str], list[list[Any]]]:
    """Title, columns and rows of `NextTokenRows`: the first rows with their entropy in bits."""
    log_probs = rows.log_probs
    n, width = log_probs.shape
    size = log_probs.nbytes
    for unit in ("bytes", "kB", "MB", "GB", "TB"):  # noqa: B007
        if size < 1000:
            break
        size /= 1000
    shape = f"{n} row{'' if n == 1 else 's'} over {width} tokens"
    amount = f"{size:.0f} {unit}" if size >= 100 or unit == "bytes" else f"{size:.1f} {unit}"
    title = f"NextTokenRows: {shape}, {log_probs.dtype}, {amount}"
    cells: list[list[Any]] = []
    for i in range(min(n, MAX_HTML_ROWS + 1)):
        log_row = np.asarray(log_probs[i], dtype=np.float64)
        row = np.exp(log_row)
        terms = np.where(row > 0.0, row * np.where(row > 0.0, log_row, 0.0), 0.0)
        cells.append([i, abs(float(terms.sum() / np.log(2.0))), _top(row, rows.tokens)])
    cells += [[i, 0.0, ""] for i in range(len(cells), n)]
    return title, ["row", "entropy (bits)", "most probable"], cells


def rows_text(rows: Any) -> str:
    """`NextTokenRows` in at most ten lines."""
    title, columns, cells = _rows_table(rows)
    return table_text(columns, cells, title=title)


def rows_html(rows: Any) -> str:
    """`NextTokenRows` as a static HTML table of its first rows."""
    title, columns, cells = _rows_table(rows)
    return table_html(columns, cells, caption=title)


def _path_table(path: Any) -> tuple[str, list[str], list[list[Any]]]:
    """Title, columns and rows of a `PosteriorPath`: one row per shot."""
    mean, total = np.asarray(path.mean()), np.asarray(path.concentration())
    names = _names(path.tokens, mean.shape[1])
    n = len(mean) - 1
    title = f"PosteriorPath: {n} demonstration{'' if n == 1 else 's'} over {mean.shape[1]} tokens"
    seen = ["(prior)", *(show(names[j]) for j in path.demonstrations)]
    cells = [[t, seen[t], total[t], _top(mean[t], path.tokens)] for t in range(len(mean))]
    return title, ["shot", "demonstrated", "concentration", "most probable"], cells


def path_text(path: Any) -> str:
    """A `PosteriorPath` in at most ten lines: the first shots and the last ones."""
    title, columns, cells = _path_table(path)
    if len(cells) > MAX_TEXT_LINES - 2:
        cells = [*cells[:4], ["...", "", "", ""], *cells[-3:]]
    return table_text(columns, cells, title=title)


def path_html(path: Any) -> str:
    """A `PosteriorPath` as a static HTML table, one row per shot."""
    title, columns, cells = _path_table(path)
    return table_html(columns, cells, caption=title, max_rows=60)


_SELECTION = (
    "n_components",
    "log_likelihood",
    "n_parameters",
    "aic",
    "bic",
    "icl",
    "log_evidence",
    "cv",
    "cv_se",
    "converged",
)


def _criterion_name(criterion: str) -> str:
    return {"log_evidence": "log-evidence", "cv": "cross-validation"}.get(
        criterion, criterion.upper()
    )


def _selection_table(selection: Any) -> tuple[str, list[str], list[list[Any]], int | None]:
    """Title, columns, rows and the chosen row of a `PriorSelection`."""
    table = list(selection.table)
    columns = [name for name in _SELECTION if any(entry.get(name) is not None for entry in table)]
    rows = [["-" if (x := entry.get(name)) is None else x for name in columns] for entry in table]
    sizes = [entry["n_components"] for entry in table]
    best = getattr(selection.best_, "n_components", None)
    criterion = str(getattr(selection, "criterion", "bic"))
    title = f"PriorSelection: {best} component(s) chosen by {_criterion_name(criterion)}"
    return title, columns, rows, sizes.index(best) if best in sizes else None


def _unsettled(selection: Any) -> list[str]:
    """A mark for each size: empty where the fit converged."""
    marks = {True: "", False: "did not converge"}
    return [marks[bool(entry.get("converged", True))] for entry in selection.table]


def selection_text(selection: Any) -> str:
    """A `PriorSelection` in at most ten lines; the chosen row is marked, and unsettled fits."""
    title, columns, rows, best = _selection_table(selection)
    marks = [
        ", ".join(filter(None, ["<- best" if i == best else "", mark]))
        for i, mark in enumerate(_unsettled(selection))
    ]
    marked = [[*row, mark] for row, mark in zip(rows, marks, strict=True)]
    return table_text([*columns, ""], marked, title=title)


def selection_html(selection: Any) -> str:
    """A `PriorSelection` as a static HTML table; the chosen row is bold, unsettled fits marked."""
    title, columns, rows, best = _selection_table(selection)
    marks = _unsettled(selection)
    if any(marks):
        columns = [*columns, ""]
        rows = [[*row, mark] for row, mark in zip(rows, marks, strict=True)]
    return table_html(columns, rows, caption=title, bold=best)


def _matrix_table(matrix: Any) -> tuple[str, list[str], list[list[Any]]]:
    """Title, columns and one line about each thing to know of a matrix."""
    kind = "hierarchical" if matrix.hierarchical else "one prior for all rows"
    title = f"TransitionMatrix, order {matrix.order}, {matrix.n_tokens} tokens, {kind}"
    lines: list[list[Any]] = [
        ["contexts", len(matrix)],
        ["(context, token) pairs", matrix.n_pairs],
        ["tokens counted", matrix.n_observed],
        ["memory, MB", matrix.nbytes / 1e6],
    ]
    prior = matrix.prior
    if isinstance(prior, float):
        what = f"alpha {number(prior)}"
    else:
        what = f"{prior.n_components} Dirichlet{'' if prior.n_components == 1 else 's'}"
    lines.append(["prior of the empty context" if matrix.hierarchical else "prior", what])
    if matrix.hierarchical:
        means = [np.exp(weights @ np.log(values)) for weights, values in matrix.concentrations]
        several = max(len(weights) for weights, _ in matrix.concentrations)
        name = "concentrations" + (f", on average ({several})" if several > 1 else "")
        lines.append([name, ", ".join(f"{mean:.3g}" for mean in means)])
    if matrix.discount < 1.0:
        lines.append(["discount", matrix.discount])
    return title, ["", ""], lines


def matrix_text(matrix: Any) -> str:
    """The `repr` of a `TransitionMatrix`."""
    title, columns, lines = _matrix_table(matrix)
    return table_text(columns, lines, title=title, max_lines=12)


def matrix_html(matrix: Any) -> str:
    """The `_repr_html_` of a `TransitionMatrix`."""
    title, columns, lines = _matrix_table(matrix)
    return table_html(columns, lines, caption=title)


def _comparison_table(comparison: Any) -> tuple[str, list[str], list[list[Any]]]:
    """Title, columns and a line for each divergence: mean, median and largest."""
    n = len(comparison)
    title = (
        f"Comparison of {n} row{'' if n == 1 else 's'}: cross-entropy "
        f"{number(comparison.model_bits)} bits where the matrix has "
        f"{number(comparison.matrix_bits)}, a gap of {number(comparison.gap_bits)}"
    )
    lines = []
    for name, values in (
        ("KL(matrix || model), bits", comparison.kl / np.log(2.0)),
        ("KL(model || matrix), bits", comparison.reverse_kl / np.log(2.0)),
        ("total variation", comparison.total_variation),
        ("Hellinger", comparison.hellinger),
    ):
        there = values[comparison.weights > 0.0]
        mean = weighted_mean(values, comparison.weights)
        lines.append([name, mean, float(np.median(there)), float(there.max())])
    return title, ["", "mean", "median", "largest"], lines


def comparison_text(comparison: Any) -> str:
    """The `repr` of a `Comparison`."""
    title, columns, lines = _comparison_table(comparison)
    return table_text(columns, lines, title=title)


def comparison_html(comparison: Any) -> str:
    """The `_repr_html_` of a `Comparison`."""
    title, columns, lines = _comparison_table(comparison)
    return table_html(columns, lines, caption=title)
