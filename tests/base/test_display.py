"""What a notebook and a terminal show: escaped, static, short."""

from __future__ import annotations

import re
from itertools import pairwise
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matrixbayes._base import display
from matrixbayes._base.display import tokens
from matrixbayes.estimator import PriorSelection
from matrixbayes.mixture import DirichletMixture, posterior_path
from matrixbayes.rows import NextTokenRows

NASTY = ("<script>alert(1)</script>", "a\nb", "\x1b[31mred", "\u202eabc", '"><img src=x>', " yes ")


def mixture(k: int = 3, tokens: tuple[str, ...] | None = NASTY) -> DirichletMixture:
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(k))
    return DirichletMixture(weights, rng.uniform(0.5, 5.0, (k, len(NASTY))), tokens=tokens)


def rows(n: int = 3) -> NextTokenRows:
    probs = np.random.default_rng(1).dirichlet(np.ones(len(NASTY)), n)
    return NextTokenRows(np.log(probs), tokens=NASTY)


def selection(n: int = 3) -> PriorSelection:
    table = [
        {
            "n_components": k,
            "log_likelihood": 100.0 + k,
            "n_parameters": 7 * k - 1,
            "aic": -200.0,
            "bic": 10.0 * abs(k - 2),
            "converged": k != 3,
        }
        for k in range(1, n + 1)
    ]
    fits: Any = {k: SimpleNamespace(n_components=k) for k in range(1, n + 1)}
    return PriorSelection(fits, table, "bic")


def path(n: int = 3):
    return posterior_path(mixture(), [t % len(NASTY) for t in range(n)])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("yes", "'yes'"),
        (" yes", "' yes'"),
        ("yes  ", "'yes  '"),
        ("▁yes", "'▁yes'"),
        ("\n", r"'\n'"),
        ("", "''"),
        ("3", "'3'"),
        (3, "3"),
        (np.int64(3), "3"),
        ("it's", '"it\'s"'),
        ("'\"", "'\\'\"'"),
        ("\\n", r"'\\n'"),
        ("a\nb\t\r", r"'a\nb\t\r'"),
        ("\x00\x7f", r"'\x00\x7f'"),
        ("\u202ex", r"'\u202ex'"),
        ("\ud800", r"'\ud800'"),
        ("\xa0", r"'\xa0'"),
        ("\u3164", r"'\u3164'"),  # prints as a blank
        ("\u0301x", r"'\u0301x'"),  # an accent on the quote
        ("e\u0301", "'e\u0301'"),
        ("e" + 9 * "\u0301", "'e\u0301\u0301" + r"\u0301…\u0301\u0301'"),
        ("👩\u200d🚀", r"'👩\u200d🚀'"),
        ("ärger 日本", "'ärger 日本'"),
        ("x" * 30 + "yz", "'" + "x" * 11 + "…" + "x" * 8 + "yz'"),
        ("日" * 30, "'" + "日" * 5 + "…" + "日" * 5 + "'"),
        ("x" * 14 + "\n" + "y" * 20, "'" + "x" * 11 + "…" + "y" * 10 + "'"),
    ],
)
def test_show_makes_one_printable_line(text: Any, shown: str) -> None:
    assert display.show(text) == shown
    assert shown.isprintable()


@given(st.text(max_size=60), st.integers(8, 40))
def test_any_token_prints_in_its_place(text: str, width: int) -> None:
    for line in (display.show(text, width=width), display.printable(text, width=width)):
        assert line.isprintable()
        assert tokens.places(line) <= width
    whole = display.show(text, width=1000)
    if text.isascii():
        assert whole == repr(text)


@given(st.lists(st.text(max_size=3), min_size=2, max_size=2, unique=True))
def test_two_names_are_never_shown_alike(names: list[str]) -> None:
    first, second = (display.show(name, width=1000) for name in names)
    assert first != second


def test_figures() -> None:
    assert display.number(np.int64(3)) == "3"
    assert display.number(np.True_) == "yes"
    assert display.number(None) == "-"
    assert display.number(0.000012345) == "1.234e-05"
    assert display.number(12345.678) == "12345.7"
    assert display.number(float("nan")) == "nan"
    assert display.number(-0.0) == "0.000"
    assert display.number(0.999999) == "0.9999990"
    assert display.number(1.0 - 1e-15) == "1.000"
    assert display.percent(0.1234) == "12.3%"
    assert display.percent(1e-5) == "<0.1%"
    assert display.percent(0.0) == "0.0%"
    assert display.percent(0.99999) == ">99.9%"
    assert display.percent(1.0) == "100.0%"


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0.25, 1e-9, 3, "-"], ["0.2500", "1.000e-09", "3", "-"]),
        ([1.0, 1.0], ["1.000", "1.000"]),
        ([0.3, 0.1 + 0.2], ["0.3000", "0.3000"]),
        ([5.9999999, 6.0000001], ["6.000", "6.000"]),
        ([0.0, 1e-300, np.nan, np.inf], ["0.000", "1.000e-300", "nan", "inf"]),
        ([6.0530001e7, 6.0530011e7], ["60530001.0", "60530011.0"]),
        ([1.0, 1.00002e6, 1.00003e6], ["1.000000", "1000020", "1000030"]),
        ([1.2345e-20, 1.2346e-20], ["1.234500e-20", "1.234600e-20"]),
    ],
)
def test_figures_of_a_column_show_what_they_differ_by(values: list[Any], shown: list[str]) -> None:
    assert display.numbers(values) == shown


@given(st.lists(st.floats(allow_nan=False), min_size=2, max_size=8, unique=True))
def test_figures_that_differ_read_differently(values: list[float]) -> None:
    cells = dict(zip(values, display.numbers(values), strict=True))
    ordered = sorted(values)
    for low, high in pairwise(ordered):
        with np.errstate(over="ignore"):
            told = np.float64(high) - np.float64(low) > 1.01e-6 * max(abs(low), abs(high))
        if told and np.isfinite(high) and np.isfinite(low) and abs(high) + abs(low) > 1e-290:
            assert cells[low] != cells[high]


def test_a_long_line_loses_its_middle() -> None:
    text = display.table_text(["a", "b", "n"], [["x" * 90, "y" * 90, 1.5]] * 2, title="t")
    assert all(len(line) <= 98 for line in text.split("\n"))
    assert text.split("\n")[2].endswith("1.500")
    wide = display.table_text([f"column {j}" for j in range(90)], [range(90)] * 2)
    assert all(len(line) <= 98 for line in wide.split("\n"))
    assert wide.split("\n")[0].split()[-3:] == ["...", "column", "89"]
    words = display.Table("t " * 90, ["a"], [[k] for k in range(20)], words=["w " * 90] * 9)
    lines = words.text().split("\n")
    assert len(lines) <= 10
    assert all(len(line) <= 98 for line in lines)
    assert re.fullmatch(r"\.\.\. and \d+ more lines", lines[-1])


@pytest.mark.parametrize(
    "text",
    [
        repr(mixture(40)),
        repr(mixture(40, tokens=None)),
        repr(rows(500)),
        repr(path(200)),
        repr(selection(40)),
    ],
)
def test_text_is_at_most_ten_printable_lines(text: str) -> None:
    lines = text.split("\n")
    assert 3 <= len(lines) <= 10
    assert all(line.isprintable() and len(line) <= 98 for line in lines)


@pytest.mark.parametrize(
    "page",
    [
        mixture(40)._repr_html_(),
        rows(500)._repr_html_(),
        path(200)._repr_html_(),
        selection(40)._repr_html_(),
        display.table_html(list(NASTY), [list(NASTY)], caption=NASTY[0]),
    ],
)
def test_html_is_static_and_escaped(page: str) -> None:
    root = ElementTree.fromstring(f"<page>{page}</page>")  # well-formed, whatever the tokens
    allowed = {"page", "div", "table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert {element.tag for element in root.iter()} <= allowed
    for element in root.iter():
        assert set(element.attrib) <= {"style", "scope", "colspan"}
    assert "url(" not in page
    assert "http" not in page
    # Colours come from the page that the table stands in.
    assert set(re.findall(r"(?<![-\w])color:([^;\"]+)", page)) == {"inherit"}


def test_a_mixture_is_shown_by_weight() -> None:
    m = DirichletMixture([0.2, 0.8], [[1.0, 3.0], [9.0, 1.0]], tokens=("no", "yes"))
    lines = repr(m).split("\n")
    assert lines[0] == "DirichletMixture: 2 components over 2 tokens"
    assert lines[2].split() == ["1", "0.8000", "10.00", "'no'", "0.900,", "'yes'", "0.100"]
    assert lines[3].split() == ["0", "0.2000", "4.000", "'yes'", "0.750,", "'no'", "0.250"]


def test_rows_show_their_entropy_in_bits() -> None:
    r = NextTokenRows(np.array([[0.0, -np.inf], [np.log(0.5), np.log(0.5)]]), tokens=("a", "b"))
    lines = repr(r).split("\n")
    assert lines[0] == "NextTokenRows: 2 rows over 2 tokens, float64, 32 bytes"
    assert lines[2].split() == ["0", "0.000", "'a'", "1.000,", "'b'", "0.000"]
    assert lines[3].split() == ["1", "1.000", "'a'", "0.500,", "'b'", "0.500"]


def test_a_long_path_shows_its_beginning_and_its_end() -> None:
    lines = repr(path(100)).split("\n")
    assert [line.split()[0] for line in lines[2:]] == ["0", "1", "2", "3", "...", "98", "99", "100"]
    assert "(prior)" in lines[2]


def test_the_chosen_number_of_components_is_marked() -> None:
    lines = repr(selection()).split("\n")
    assert [line.endswith("<- best") for line in lines[2:5]] == [False, True, False]
    bold = [row for row in selection()._repr_html_().split("<tr>") if "600" in row]
    assert len([row for row in bold if "<td" in row]) == 1


def test_the_objects_show_themselves_this_way() -> None:
    for thing in (mixture(), rows(), path()):
        assert len(repr(thing).split("\n")) <= 10
        ElementTree.fromstring(thing._repr_html_())


def test_what_is_left_out_is_said() -> None:
    text = display.table_text(["a"], [[i] for i in range(100)], title="t")
    assert text.split("\n") == ["t", "a", *map(str, range(7)), "... and 93 more"]
    assert "and 80 more" in display.table_html(["a"], [[i] for i in range(100)])


@pytest.mark.parametrize("digits", [(150,), (150, 150), (90, 90), (90, 30), (30, 90)])
def test_figures_without_room_give_way_too(digits: tuple[int, ...]) -> None:
    names, figures = ["n" * n for n in digits], [10 ** (n - 1) for n in digits]
    for columns, row in ((names, [1] * len(digits)), ([""] * len(digits), figures)):
        lines = display.table_text(columns, [row]).split("\n")
        assert 80 < max(map(len, lines)) <= 98
