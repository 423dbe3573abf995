"""The graph of files that the rules of the house are held against, on a package made up for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from house import graph

FILES = {
    "__init__.py": '"""Front."""\nfrom importlib import import_module\nfrom ._core import Sum\n',
    "plot.py": "from .rows.rows import Rows\nimport matrixbayes.errors\n",
    "errors.py": "",
    "rows/__init__.py": "from .rows import Rows\n",
    "rows/rows.py": """
        from typing import TYPE_CHECKING
        from .. import errors
        if TYPE_CHECKING:
            from .. import plot
        else:
            import matrixbayes
        def draw():
            from . import files as f
            from ..mixture.mixture import Mixture
        """,
    "rows/files.py": "",
    "mixture/__init__.py": "",
    "mixture/mixture.py": 'def f():\n    import_module("matrixbayes.rows.rows").draw()\n',
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        file = tmp_path / "matrixbayes" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("\n        ", "\n"), "utf-8")
    return tmp_path


def test_arrows_are_imports_at_run_time(root: Path) -> None:
    assert graph.arrows(root) == {
        "": {"_core"},
        "_core": set(),
        "errors": set(),
        "mixture": set(),
        "mixture.mixture": {"rows.rows"},
        "plot": {"rows.rows", "errors"},
        "rows": {"rows.rows"},
        "rows.files": set(),
        "rows.rows": {"errors", "", "rows.files", "mixture.mixture"},
    }


def test_type_checkers_see_more(root: Path) -> None:
    assert "plot" in graph.arrows(root, types=True)["rows.rows"]


def test_circles_and_floors(root: Path) -> None:
    arrows = graph.arrows(root)
    assert graph.circles(arrows) == [["mixture.mixture", "rows.rows"]]
    assert graph.chain(arrows) in (
        [top, within, *end]
        for top in ("plot", "rows")
        for within in ("mixture.mixture", "rows.rows")
        for end in (["", "_core"],)
    )
    rooms = graph.between(arrows)
    assert rooms["rows"] == {"errors", "__init__", "mixture"}
    assert graph.circles(rooms) == [["mixture", "rows"]]
    assert graph.circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]


def test_what_is_not_there_is_an_error(root: Path) -> None:
    with pytest.raises(AssertionError, match="nothing is called"):
        graph.found(root, "**/*.c")
    (root / "matrixbayes/errors.py").write_text("from .nowhere import something\n")
    with pytest.raises(AssertionError, match="nowhere"):
        graph.arrows(root)


def test_lines() -> None:
    text = (
        '"""Says\n\nthis."""\n\nx = """a\n# b\n"""  # c\n# d\ndef f():\n    "doc"\n    return 1\n'
    )
    assert graph.python_lines(text) == 5
    c = 'int x; // a\n/* b\n */\n"doc\\n"\n"more");\nchar *s = "/* no */";\n\n'
    assert graph.c_lines(c) == 2


def test_a_report_of_this_checkout() -> None:
    root = Path(__file__).resolve().parents[2]
    assert "largest folder" in graph.report(root)
