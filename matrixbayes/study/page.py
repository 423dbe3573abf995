"""The frame of a study's page: a document that loads nothing.

Contents
    page                         a whole document
    paragraph, listed, table     its parts, of plain text
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from .._base.display import table_html

# The policy lets a browser fetch nothing at all; styles and pictures are inside.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

STYLE = """
:root { color-scheme: light dark; --ink: #1c2530; --soft: #5b6673; --paper: #fdfdfc;
        --line: #d9dde2; --tint: #f1f4f7; --mark: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7ea; --soft: #a3adb8; --paper: #16191d; --line: #363d45; --tint: #20252b;
          --mark: #56b4e9; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
       font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 56rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h1 + p { color: var(--soft); margin-top: 0; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; padding-top: 1rem;
     border-top: 1px solid var(--line); }
p, li { max-width: 46rem; overflow-wrap: anywhere; }
li { margin: .35rem 0; }
section:first-of-type ul { background: var(--tint); border-left: 4px solid var(--mark);
     border-radius: 0 6px 6px 0; padding: .7rem 1.2rem .7rem 2.2rem; list-style: disc; }
figure { margin: 1.4rem 0; }
figure img { display: block; width: auto; max-width: 100%; height: auto; background: #fff;
     padding: .6rem; border: 1px solid var(--line); border-radius: 6px; }
figcaption { max-width: 46rem; color: var(--soft); font-size: .93rem; margin-top: .5rem; }
p.verdict { font-size: 1.15rem; font-weight: 600; }
.wide { overflow-x: auto; margin: 1rem 0; font-size: .93rem; }
pre { background: var(--tint); padding: .9rem 1.1rem; border-radius: 6px; overflow-x: auto;
     font-size: .9rem; line-height: 1.45; }
@media print {
  :root { color-scheme: light; --ink: #000; --soft: #333; --paper: #fff; --line: #bbb;
          --tint: #f4f4f4; --mark: #0072b2; }
  main { max-width: none; padding: 0; }
  figure, table, pre { break-inside: avoid; }
  h2 { break-after: avoid; }
  .wide { overflow: visible; font-size: .78rem; } }
"""


def paragraph(text: str, *, kind: str = "") -> str:
    """Plain text as a paragraph."""
    start = f'<p class="{kind}">' if kind else "<p>"
    return f"{start}{html.escape(text)}</p>"


def listed(items: Sequence[str]) -> str:
    """Plain texts as a list."""
    return "<ul>" + "".join(f"<li>{html.escape(item)}</li>" for item in items) + "</ul>"


def table(*args: Any, **kwargs: Any) -> str:
    """A table of all rows, which scrolls where it is wide."""
    return f'<div class="wide">{table_html(*args, max_rows=None, **kwargs)}</div>'


def page(title: str, body: str) -> str:
    """A whole document.

    Parameters
    ----------
    title
        Plain text.
    body
        HTML of the sections.
    """
    name = html.escape(title)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{html.escape(POLICY)}">
<title>{name}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<header>
<h1>{name}</h1>
<p>Is this model doing Bayesian inference over its next token, and under which prior?</p>
</header>
{body}
</main>
</body>
</html>
"""
