"""Plain-text and static HTML forms of what this package makes.

Contents
    tokens    one token, safe to print: `show`, `quoted`; any other text: `printable`
    figures   numbers whose differences show: `number`, `numbers`, `percent`, `amount`, `top`
    tables    columns and rows in text and HTML: `table_text`, `table_html`
    forms     what a type has to show, and its `repr` and `_repr_html_`: `Table`, `Shown`, `shown`;
              a data `frame`
    pictures  small ones that many types share; nothing here imports it, as it needs matplotlib

The HTML needs no script, no style sheet and no network: inline styles only, colours inherited from
the page, so that it survives notebook sanitisers and dark themes.  Whatever comes from the user is
escaped; a character that does not print (a control character, a change of writing direction) is
shown as its escape.
"""

from .figures import amount, fitting, number, numbers, percent, share, top
from .forms import Shown, Table, frame, shown
from .tables import (
    MAX_HTML_ROWS,
    MAX_SERIES_ROWS,
    MAX_TEXT_LINES,
    MAX_TEXT_WIDTH,
    table_html,
    table_text,
)
from .tokens import cut, printable, quoted, show

__all__ = [
    "MAX_HTML_ROWS",
    "MAX_SERIES_ROWS",
    "MAX_TEXT_LINES",
    "MAX_TEXT_WIDTH",
    "Shown",
    "Table",
    "amount",
    "cut",
    "fitting",
    "frame",
    "number",
    "numbers",
    "percent",
    "printable",
    "quoted",
    "share",
    "show",
    "shown",
    "table_html",
    "table_text",
    "top",
]
