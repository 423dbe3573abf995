"""What docstrings mean: formulas, names in single backticks, bars and stars.

Formulas become MathML, which browsers draw themselves: no script, no font, no request.  A name in
single backticks is a link where it is the package's, else what was written.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx


def inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(convert(node.astext()))
    raise nodes.SkipNode


def display(writer: Any, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="formula">{convert(node.astext(), display="block")}</div>\n')
    raise nodes.SkipNode


def leave_as_it_is(
    app: Sphinx, env: Any, node: nodes.Element, contnode: nodes.Element
) -> nodes.Element | None:
    """A name that is no public object: a parameter, an attribute of a result, a word of NumPy."""
    return contnode if node.get("reftype") == "obj" else None


def keep_bars_and_stars(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """|x| is an absolute value and (*size, V) a shape: docstrings are read in a terminal first."""
    printed = False
    for number, line in enumerate(lines):
        printed = bool(line.strip()) and (printed or line.lstrip().startswith(">>>"))
        if not printed:
            line = re.sub(r"(?<![\\`|])\|(?=\S)([^|`]*[^\s|`])\|", r"\|\1\|", line)
            lines[number] = line.replace("(*", "(\\*")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (inline, None), (display, None))
    app.config.html_math_renderer = "mathml"  # type: ignore[attr-defined]
    app.connect("missing-reference", leave_as_it_is)
    app.connect("autodoc-process-docstring", keep_bars_and_stars, priority=900)  # numpydoc's is 500
    return {"parallel_read_safe": True, "parallel_write_safe": True}
