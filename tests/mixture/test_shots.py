"""A posterior path shot by shot: the slider, its static form, and moving pictures."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import matrixbayes as mb
from matrixbayes.mixture.shots import animation
from matrixbayes.mixture.shots.frames import evenly, frames_of
from matrixbayes.windtunnel import Urns

NAMES = ("red", "<b>bold</b>", "$x_1$", "日本\n")
SEEN = [1, 1, 0, 3]


@pytest.fixture(scope="module")
def path() -> mb.PosteriorPath:
    prior = mb.DirichletMixture([0.6, 0.4], [[8, 2, 1, 1], [1, 8, 1, 2.0]], tokens=NAMES)
    return mb.posterior_path(prior, SEEN)


def test_frames_are_the_path(path: mb.PosteriorPath) -> None:
    frames = frames_of(path, most=10, tokens=["red", 3], level=0.5, rows=path.mean(), kind="probs")
    assert frames.shots == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(frames.mean, path.mean()[:, [0, 3]])
    np.testing.assert_allclose(frames.own, frames.mean)
    ends = path.interval(0.5, tokens=[0, 3])
    np.testing.assert_array_equal(np.stack([frames.low, frames.high], axis=-1), ends)
    np.testing.assert_array_equal(frames.weights, path.weights)
    np.testing.assert_array_equal(frames.concentration, path.concentration())
    assert frames.title(0) == "shot 0 of 4: the prior"
    assert frames.title(3) == "shot 3 of 4: 'red'"
    few = frames_of(path, most=3)
    assert few.shots == [0, 2, 4]
    assert few.mean.shape == (3, 4)
    assert evenly(1, 5) == [0]


def test_what_a_path_refuses_to_show(path: mb.PosteriorPath) -> None:
    with pytest.raises(TypeError, match="must be a sequence"):
        path.slider(tokens="red")
    with pytest.raises(ValueError, match="between 1 and 12"):
        path.slider(tokens=[])
    with pytest.raises(ValueError, match="one row per shot"):
        path.slider(rows=path.mean()[:2], kind="probs")
    with pytest.raises(ValueError, match="most"):
        path.slider(most=1)


class Reader(HTMLParser):
    """Tags and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.add(tag)
        assert all(name == "style" for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_slider_stands_without_a_widget(path: mb.PosteriorPath) -> None:
    slider = path.slider(rows=path.mean(), kind="probs")
    found = slider._repr_mimebundle_()
    assert set(found) == {"text/plain", "text/html"}  # no kernel runs this
    read = Reader(found["text/html"])
    assert read.tags == {"div", "span"}
    for shot in range(5):
        assert f"shot {shot} of 4" in read.text
    assert "<b>bold</b>" in read.text
    assert "\n" not in read.text
    assert f"{100 * path.mean()[4, 1]:.1f}%" in read.text
    assert len(found["text/html"]) < 20_000
    assert found["text/plain"] == repr(slider)
    assert repr(slider).count("\n") < 10


class Trait:
    """A trait that has its first value until a widget is told another."""

    def __init__(self, *_: object) -> None: ...

    def tag(self, *, sync: bool) -> Trait:
        assert sync
        return self


class Widget:
    """What a widget of anywidget's does here, where that is not installed."""

    def __init__(self, **traits: object) -> None:
        vars(self).update(traits)

    def _repr_mimebundle_(self) -> tuple[dict[str, object], dict[str, object]]:
        return {"application/vnd.jupyter.widget-view+json": {}}, {}


STAND_INS: dict[str, Any] = {
    "anywidget": SimpleNamespace(AnyWidget=Widget),
    "traitlets": SimpleNamespace(Dict=Trait, Int=Trait),
}


def test_without_anywidget_a_kernel_shows_what_stands(
    path: mb.PosteriorPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.setitem(
        sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=1))
    )
    slider = path.slider()
    assert set(slider._repr_mimebundle_()) == {"text/plain", "text/html"}
    with pytest.raises(ImportError, match=r"pip install 'matrixbayes\[notebook\]'"):
        slider.widget  # noqa: B018
    monkeypatch.setitem(sys.modules, "IPython", None)
    assert set(slider._repr_mimebundle_()) == {"text/plain", "text/html"}


def test_the_widget_has_the_numbers_and_its_own_code(
    path: mb.PosteriorPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec("anywidget") is None:
        for name, module in STAND_INS.items():
            monkeypatch.setitem(sys.modules, name, module)
    slider = path.slider()
    data = slider.widget.data
    expected = np.sort(path.mean(), axis=1)
    np.testing.assert_allclose(np.sort(data["mean"], axis=1), expected, atol=1e-6)
    assert json.loads(json.dumps(data)) == data
    code = files("matrixbayes.mixture.shots").joinpath("slider.js").read_text("utf-8")
    assert str(slider.widget._esm) == code
    for word in ("http", "import(", "import ", "innerHTML", "eval"):
        assert word not in code
    monkeypatch.setattr("matrixbayes.mixture.shots.slider._in_kernel", lambda: True)
    found = slider._repr_mimebundle_()
    found = found[0] if isinstance(found, tuple) else found
    assert {"text/plain", "text/html", "application/vnd.jupyter.widget-view+json"} <= set(found)


def test_the_code_of_the_widget_draws(path: mb.PosteriorPath, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node")
    # A page of a few lines: elements that know children, style, text and listeners.
    source = files("matrixbayes.mixture.shots").joinpath("slider.js").read_text("utf-8")
    (tmp_path / "slider.mjs").write_text(source, "utf-8")
    data = json.dumps(path.slider(rows=path.mean(), kind="probs")._data())
    (tmp_path / "run.mjs").write_text(
        f"""
        class Element {{
          constructor(tag) {{
            Object.assign(this, {{ tag, style: {{}}, children: [], on: {{}} }});
          }}
          appendChild(child) {{ this.children.push(child); }}
          setAttribute() {{}}
          addEventListener(name, what) {{ this.on[name] = what; }}
          all(tag) {{ return [...(this.tag === tag ? [this] : []),
                             ...this.children.flatMap((child) => child.all(tag))]; }}
        }}
        globalThis.document = {{ createElement: (tag) => new Element(tag) }};
        const widget = (await import("./slider.mjs")).default;
        const state = {{ data: {data}, frame: 0 }}, told = [];
        const model = {{ get: (key) => state[key], save_changes() {{}}, off() {{}},
          set(key, value) {{ state[key] = value; told.forEach((what) => what()); }},
          on: (event, what) => told.push(what) }};
        const el = new Element("main");
        const end = widget.render({{ model, el }});
        const input = el.all("input")[0];
        input.value = "3";
        input.on.input();
        console.log(JSON.stringify([state.frame, input.max,
          el.all("div").map((div) => div.textContent).filter(Boolean)]));
        end();
        """,
        "utf-8",
    )
    run = subprocess.run(
        [node, str(tmp_path / "run.mjs")], capture_output=True, text=True, timeout=300, check=True
    )
    frame, last, words = json.loads(run.stdout)
    assert (frame, last) == (3, 4)
    assert "shot 3 of 4: 'red'" in words
    assert {f"{100 * p:.1f}%" for p in path.mean()[3]} <= {*words}
    assert "<b>bold</b>" in " ".join(words)


# ---------------------------------------------------------------------------
# Moving pictures
# ---------------------------------------------------------------------------


def pictures(file: Path) -> list[np.ndarray]:
    """The pictures of a GIF."""
    found = []
    with pytest.importorskip("PIL.Image").open(file) as image:
        for i in range(image.n_frames):
            image.seek(i)
            found.append(np.asarray(image.convert("RGB")).astype(int))
    return found


def test_a_path_moves_and_nothing_jumps(path: mb.PosteriorPath, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    file = path.animate(tmp_path / "x.gif", rows=path.mean(), kind="probs", dpi=50)
    assert file == tmp_path / "x.gif"
    assert [p.name for p in tmp_path.iterdir()] == ["x.gif"]
    found = pictures(file)
    assert len(found) == 5
    assert {one.shape for one in found} == {found[0].shape}
    assert len({one.tobytes() for one in found}) == 5
    # The names at the left and the axes' ends are the same in all of them.
    height, width = found[0].shape[:2]
    names = [one[height // 5 : -height // 4, : width // 12] for one in found]
    assert (names[0] < 128).any()  # there are some
    assert all((one == names[0]).all() for one in names)
    assert (found[0][0, 0] >= 254).all()
    few = path.animate(tmp_path / "y.gif", most=2, dpi=30)
    assert len(pictures(few)) == 2


def test_a_text_moves(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    prior = mb.DirichletMixture([1.0], [[3.0, 3.0]], tokens=("heads", "tails"))
    model = Urns(mb.DirichletMixture([1.0], [[1.0, 1.0]])).log_predictive
    text = mb.learning_path(prior, model, ["heads", "heads", "tails"])
    found = pictures(text.animate(tmp_path / "x.gif", dpi=40))
    assert len(found) == 3
    assert len(pictures(text.animate(tmp_path / "x.gif", tokens=["tails"], most=2, dpi=40))) == 2
    with pytest.raises(TypeError, match="must be a sequence"):
        text.animate(tmp_path / "z.gif", tokens="tails")
    with pytest.raises(ValueError, match="between 1 and 12"):
        text.animate(tmp_path / "z.gif", tokens=[])


def test_endings_are_looked_at_before_anything_is_drawn(
    path: mb.PosteriorPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")

    def never(*_: object, **__: object) -> None:
        raise AssertionError("something was drawn")

    monkeypatch.setattr("matrixbayes.mixture.shots.frames.frames_of", never)
    for name in ("x.png", "x", "x.gif.zip"):
        with pytest.raises(ValueError, match=r"ends in \.gif or \.mp4"):
            path.animate(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="no folder"):
        path.animate(tmp_path / "nowhere" / "x.gif")
    monkeypatch.setattr("matplotlib.animation.FFMpegWriter.isAvailable", lambda: False)
    with pytest.raises(ValueError, match="needs ffmpeg"):
        path.animate(tmp_path / "x.mp4")


def test_films_are_even_pictures_whose_last_one_stays(
    path: mb.PosteriorPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ffmpeg that writes down how it is called, and keeps the pictures as they come."""
    matplotlib = pytest.importorskip("matplotlib")
    ffmpeg = tmp_path / "ffmpeg"
    ffmpeg.write_text(f"""#!/bin/sh
echo "$@" > {tmp_path / "called"}
for file; do :; done
cat > "$file"
""")
    ffmpeg.chmod(0o700)
    monkeypatch.setitem(matplotlib.rcParams, "animation.ffmpeg_path", str(ffmpeg))
    film = path.animate(tmp_path / "x.mp4", fps=3, dpi=20)
    called = (tmp_path / "called").read_text().split()
    width, height = map(int, called[called.index("-s") + 1].split("x"))
    assert called[called.index("-vf") + 1] == "scale=trunc(iw/2)*2:trunc(ih/2)*2"
    assert float(called[called.index("-framerate") + 1]) == 3.0
    shown = np.frombuffer(film.read_bytes(), np.uint8).reshape(-1, height * width * 4)
    assert len(shown) == 5 + animation.HOLD - 1
    assert len({one.tobytes() for one in shown}) == 5
    assert (shown[-animation.HOLD :] == shown[-1]).all()


def test_a_failed_file_leaves_the_old_one(
    path: mb.PosteriorPath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "x.gif"
    file.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise RuntimeError("no more")

    monkeypatch.setattr(animation, "_gif", fail)
    with pytest.raises(RuntimeError, match="no more"):
        path.animate(file)
    with pytest.raises(ValueError, match="fps"):
        path.animate(file, fps=0)
    assert file.read_bytes() == b"old"
    assert len([*tmp_path.iterdir()]) == 1
