"""The frame of a study's page: a document that loads nothing.

Contents
    page                         a whole document
    section, contents            a part with a heading, and links to all of them
    picture                      a figure with its sentence
    paragraph, listed, table     parts of plain text
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from typing import Any

from .._base.display import table_html

# The policy lets a browser fetch nothing at all; styles and pictures are inside.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

PIXELS = 78  # of the screen to an inch of a picture: ten points are eleven pixels

STYLE = """
:root { color-scheme: light dark; --ink: #1c2530; --soft: #5b6673; --paper: #fdfdfc;
        --line: #d9dde2; --tint: #f1f4f7; --mark: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7ea; --soft: #a3adb8; --paper: #16191d; --line: #363d45; --tint: #20252b;
          --mark: #56b4e9; }
  /* Light to dark, and each colour stays what it is: the pictures need no second copy. */
  figure img { filter: invert(.91) hue-rotate(180deg); } }
* { box-sizing: border-box; }
html { scroll-padding-top: .5rem; }
body { margin: 0; background: var(--paper); color: var(--ink);
       font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 58rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 .3rem; overflow-wrap: anywhere; }
header p { color: var(--soft); margin: 0; }
header p + p { font-size: .9rem; margin-top: .3rem; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; padding-top: 1rem;
     border-top: 1px solid var(--line); }
h2 a { color: inherit; text-decoration: none; }
h2 a:hover::after { content: " #"; color: var(--soft); }
section:first-of-type h2 { margin-top: 1.4rem; }
p, li { max-width: 46rem; overflow-wrap: anywhere; }
li { margin: .35rem 0; }
nav { margin: 1.6rem 0 0; padding: .7rem 1rem; border: 1px solid var(--line); border-radius: 6px;
      font-size: .93rem; }
nav ol { margin: .2rem 0 0; padding-left: 1.5rem; columns: 2 16rem; }
nav li { margin: .1rem 0; break-inside: avoid; }
nav a { color: var(--mark); }
section:first-of-type ul { background: var(--tint); border-left: 4px solid var(--mark);
     border-radius: 0 6px 6px 0; padding: .7rem 1.2rem .7rem 2.2rem; list-style: disc; }
figure { margin: 1.4rem 0; }
figure img { display: block; width: 100%; height: auto; background: #fff;
     padding: .6rem; border: 1px solid #d9dde2; border-radius: 6px; }
figcaption { max-width: 46rem; color: var(--soft); font-size: .93rem; margin-top: .5rem; }
p.verdict { font-size: 1.2rem; line-height: 1.45; font-weight: 600; }
p.sideways { display: none; color: var(--soft); font-size: .85rem; margin: .2rem 0; }
/* What is wider than the screen is moved sideways, and its letters keep their size. */
.wide { overflow-x: auto; margin: 1rem 0; font-size: .93rem; }
.wide table { width: max-content; max-width: max(100%, 44rem); }
figure .wide { margin: 0; }
@media (max-width: 50rem) { p.sideways { display: block; } }
@media (max-width: 30rem) { main { padding: 1.4rem 1rem 3rem; } h1 { font-size: 1.45rem; }
  p.verdict { font-size: 1.1rem; } }
pre { background: var(--tint); padding: .9rem 1.1rem; border-radius: 6px; overflow-x: auto;
     font-size: .9rem; line-height: 1.45; }
@page { margin: 18mm 16mm; }
@media print {
  :root { color-scheme: light; --ink: #000; --soft: #333; --paper: #fff; --line: #bbb;
          --tint: #f4f4f4; --mark: #0072b2; }
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  figure, tr, pre, li { break-inside: avoid; }
  figure img { filter: none; width: auto; min-width: 0 !important; max-width: 100% !important;
    max-height: 125mm; }
  h2 { break-after: avoid; }
  nav { break-after: avoid; }
  p.sideways { display: none; }
  .wide { overflow: visible; font-size: 8pt; }
  .wide table { width: auto; max-width: 100%; } }
"""


def section(name: str, body: str) -> str:
    """A section whose heading can be linked to."""
    return (
        f'<section id="{anchor(name)}">\n<h2><a href="#{anchor(name)}">{html.escape(name)}</a></h2>'
        f"\n{body}\n</section>"
    )


def anchor(name: str) -> str:
    """What a heading is called in an address.

    Examples
    --------
    >>> anchor("Does it learn as Bayes would?")
    'does-it-learn-as-bayes-would'
    """
    return "-".join(re.findall("[a-z0-9]+", name.lower()))


def contents(names: Sequence[str]) -> str:
    """Links to sections."""
    links = "".join(f'<li><a href="#{anchor(name)}">{html.escape(name)}</a></li>' for name in names)
    return f'<nav aria-label="Contents">Contents<ol>{links}</ol></nav>'


def picture(png: bytes, alt: str, sentence: str, width: float) -> str:
    """A picture with its sentence, part of the page; letters stay legible on narrow screens.

    Parameters
    ----------
    png
        The file.
    alt
        What a reader who cannot see it is told.
    sentence
        Below it.
    width
        That it was drawn for, in inches.
    """
    data = base64.b64encode(png).decode("ascii")
    words = html.escape(alt)
    return (
        f'<figure><p class="sideways">Wider than this screen: move it sideways.</p>'
        f'<div class="wide" tabindex="0" role="region" aria-label="{words}">'
        f'<img style="min-width:{PIXELS * width:.0f}px;max-width:{1.3 * PIXELS * width:.0f}px" '
        f'src="data:image/png;base64,{data}" alt="{words}"></div>'
        f"<figcaption>{html.escape(sentence)}</figcaption></figure>"
    )


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


def page(title: str, body: str, *, made: str = "") -> str:
    """A whole document.

    Parameters
    ----------
    title
        Plain text.
    body
        HTML of the sections.
    made
        When and by what, as plain text.
    """
    name = html.escape(title)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{html.escape(POLICY)}">
<title>{name}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<header>
<h1>{name}</h1>
<p>Is this model doing Bayesian inference over its next token, and under which prior?</p>
{paragraph(made) if made else ""}
</header>
{body}
</main>
</body>
</html>
"""
