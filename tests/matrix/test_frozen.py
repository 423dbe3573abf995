"""`TransitionMatrix.freeze`: a small file that answers bit for bit, refused where it is damaged."""

from __future__ import annotations

import copy
import importlib.util
import pickle
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import matrixbayes as mb
from matrixbayes._base.mapped import open_mapped, write_mapped

V = 12
RNG = np.random.default_rng(0)
TEXT = [(V * RNG.random(n) ** 2).astype(np.int64) for n in (400, 1, 250, 0, 90)]
OTHER = [(V * RNG.random(n) ** 1.5).astype(np.int64) for n in (150, 40)]
NAMES = tuple(f"t{i}" for i in range(V))
DICE = mb.DirichletMixture([0.25, 0.75], 0.5 + RNG.random((2, V)))


SEVERAL = [([0.25, 0.75], [0.5, 9.0])] * 2

KINDS = {
    "order 1": lambda: mb.TransitionMatrix(1, n_tokens=V).update(TEXT),
    "order 3, a mixture, names": lambda: mb.TransitionMatrix(3, prior=DICE, tokens=NAMES).update(
        TEXT
    ),
    "a hierarchy": lambda: mb.TransitionMatrix(3, n_tokens=V, hierarchical=[7.0, 0.3, 2.5]).update(
        TEXT
    ),
    "of several concentrations": lambda: mb.TransitionMatrix(
        2, prior=DICE, hierarchical=SEVERAL
    ).update(TEXT),
    "discounts": lambda: mb.TransitionMatrix(3, n_tokens=V, discounts=True).update(TEXT),
    "a tree": lambda: mb.TransitionMatrix("tree", depth=3, n_tokens=V, prior=0.5).update(TEXT),
    "a tree, a mixture": lambda: mb.TransitionMatrix("tree", depth=2, prior=DICE).update(TEXT),
    "nothing": lambda: mb.TransitionMatrix(2, n_tokens=V, hierarchical=True),
    "nothing of one order": lambda: mb.TransitionMatrix(2, n_tokens=V),
    "nothing of a tree": lambda: mb.TransitionMatrix("tree", depth=2, n_tokens=V),
    "order 16": lambda: mb.TransitionMatrix(16, n_tokens=V, hierarchical=True).update(TEXT),
}


@pytest.fixture(autouse=True)
def no_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table, which a matrix in memory makes for many questions, rounds otherwise."""
    if importlib.util.find_spec("matrixbayes.matrix.kept"):
        monkeypatch.setattr("matrixbayes.matrix.kept.KeptTable.after", lambda *_: None)


@pytest.fixture(scope="module", params=KINDS)
def pair(request: Any, tmp_path_factory: Any) -> tuple[Any, Any, Path]:
    """A matrix, the same frozen, and the file."""
    path = tmp_path_factory.mktemp("frozen") / "matrix.safetensors"
    matrix = KINDS[request.param]()
    matrix.freeze(path)
    return matrix, mb.TransitionMatrix.open(path), path


def same(mine: Any, theirs: Any) -> None:
    assert_array_equal(np.asarray(mine), np.asarray(theirs), strict=True)


def ask(matrix: Any) -> dict[str, Any]:
    """What there is to ask."""
    order = matrix.order
    text = np.concatenate(TEXT)
    some = np.stack([text[i : i + order] for i in range(0, 300, 7)])
    some = np.concatenate([some, np.roll(some, 1, axis=1)])
    said = {
        "n_observed": matrix.n_observed,
        "len": len(matrix),
        "n_pairs": matrix.n_pairs,
        "contexts": matrix.contexts(),
        "rows": matrix.rows().toarray(),
        "counts": matrix.counts(some),
        "totals": matrix.totals(some),
        "predict": matrix.predict(some),
        "short": matrix.predict(some[:, 1:]),
        "begin": matrix.predict(matrix.begin),
        "one": matrix.predict(some[3]),
        "top": np.stack(matrix.predict(some, top=3)),
        "log_prob": matrix.log_prob(OTHER),
        "of one": matrix.log_prob(OTHER[1]),
        "log_evidence": matrix.log_evidence(OTHER),
        "perplexity": matrix.perplexity(OTHER),
        "generate": matrix.generate(20, rng=1),
        "cold": matrix.generate(5, some[0], rng=1, temperature=0.5),
    }
    if matrix.discounts is None:
        found = matrix.posterior(some[0])
        said |= {"weights": found.weights, "alpha": found.alpha}
    if matrix.is_tree:
        said |= {"depths": matrix.posterior_order(some), "mean": matrix.posterior_order()}
        said |= {f"leaves {d}": leaves for d, leaves in enumerate(matrix.best_tree())}
    return said


def test_it_answers_bit_for_bit(pair: Any) -> None:
    matrix, frozen, _ = pair
    theirs = ask(frozen)
    for name, mine in ask(matrix).items():
        same(mine, theirs[name])
    for name in ("order", "n_tokens", "tokens", "hierarchical", "is_tree", "deeper", "discount"):
        assert getattr(matrix, name) == getattr(frozen, name)
    same(matrix.begin, frozen.begin)
    assert frozen.frozen
    assert not matrix.frozen
    assert "frozen" in str(frozen)


def test_it_travels(pair: Any, tmp_path: Path) -> None:
    matrix, frozen, path = pair
    mine = ask(matrix)
    again = tmp_path / "again.safetensors"
    frozen.save(again)
    assert again.read_bytes() == path.read_bytes()
    assert frozen.freeze(again).frozen
    for other in (
        pickle.loads(pickle.dumps(frozen)),
        copy.deepcopy(frozen),
        frozen.copy(),
        mb.TransitionMatrix.open(path, verify=False),
    ):
        assert other.frozen
        assert other.log_prob(OTHER) == mine["log_prob"]
        same(other.predict(matrix.begin), mine["begin"])
    assert not frozen.empty().frozen
    assert len(frozen.empty()) == 0


def test_it_thaws(pair: Any) -> None:
    matrix, frozen, _ = pair
    thawed = frozen.thaw()
    assert not thawed.frozen
    for name, mine in ask(matrix).items():
        same(mine, ask(thawed)[name])
    more, other = matrix.copy().update(OTHER), thawed.update(OTHER)
    assert more.log_prob(OTHER) == other.log_prob(OTHER)
    assert frozen.n_observed == matrix.n_observed


def test_it_never_changes(pair: Any) -> None:
    matrix, frozen, _ = pair
    context = matrix.contexts()[:1] if len(matrix) else np.zeros((1, matrix.order), dtype=int)
    for change in (
        lambda: frozen.update(OTHER),
        lambda: frozen.update(OTHER[0], continued=True),
        lambda: frozen.update_rows(context, np.ones((1, V), dtype=int)),
        lambda: frozen.merge(matrix),
        lambda: frozen.forget(0.5),
        lambda: frozen.going_on_from(OTHER[0]),
        lambda: (len(frozen) and frozen.fit_prior()) or frozen.forget(0.5),
    ):
        with pytest.raises(ValueError, match=r"frozen and never changes: matrix\.thaw\(\) gives"):
            change()


def test_others_learn_from_it(pair: Any) -> None:
    matrix, frozen, _ = pair
    both = matrix + matrix
    for other in (matrix + frozen, frozen + matrix, frozen + frozen, sum([frozen, matrix])):
        assert not other.frozen
        assert other.n_observed == both.n_observed
        assert other.log_prob(OTHER) == both.log_prob(OTHER)


def test_real_counts_are_not_frozen(tmp_path: Path) -> None:
    for matrix in (
        mb.TransitionMatrix(1, n_tokens=V, discount=0.5).update(TEXT),
        mb.TransitionMatrix(1, n_tokens=V).update(TEXT).forget(0.5),
    ):
        with pytest.raises(ValueError, match="real counts have no frozen form"):
            matrix.freeze(tmp_path / "matrix")
    assert not list(tmp_path.iterdir())


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 4), max_size=40), max_size=4),
    st.integers(1, 4),
    st.sampled_from(["plain", "hierarchical", "discounts", "tree"]),
    st.data(),
)
def test_round_trips(texts: Any, order: int, kind: str, data: st.DataObject) -> None:
    options: dict[str, Any] = {} if kind in ("plain", "tree") else {kind: True}
    matrix = (
        mb.TransitionMatrix("tree", depth=order, n_tokens=5)
        if kind == "tree"
        else mb.TransitionMatrix(order, n_tokens=5, **options)
    ).update(texts)
    contexts = data.draw(
        st.lists(st.lists(st.integers(0, 4), min_size=order, max_size=order), min_size=1)
    )
    with tempfile.TemporaryDirectory() as folder:
        frozen = matrix.freeze(Path(folder) / "matrix")
        same(matrix.contexts(), frozen.contexts())
        same(matrix.rows().toarray(), frozen.rows().toarray())
        same(matrix.predict(contexts), frozen.predict(contexts))
        assert matrix.log_prob([*texts, *contexts]) == frozen.log_prob([*texts, *contexts])
        assert matrix.log_evidence(contexts) == frozen.log_evidence(contexts)
        del frozen


# --- files that are damaged


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """The bytes of a file with something changed, cut or put in."""
    found, at = bytearray(data), int(rng.integers(len(data)))
    match rng.integers(5):
        case 0:
            found[at] ^= 1 << rng.integers(8)
        case 1:
            found[at : at + 8] = rng.bytes(len(found[at : at + 8]))
        case 2:
            return bytes(found[:at])
        case 3:
            found[at:at] = rng.bytes(int(rng.integers(1, 20)))
        case _:
            other = int(rng.integers(len(data) - 64))
            found[at : at + 64] = found[other : other + len(found[at : at + 64])]
    return bytes(found)


def try_all(matrix: Any) -> None:
    """Every question; wrong answers are none of ours."""
    contexts = np.stack([TEXT[0][i : i + matrix.order] for i in range(40)])
    for question in (
        lambda: matrix.counts(contexts),
        lambda: matrix.totals(contexts),
        lambda: matrix.predict(contexts),
        lambda: matrix.contexts(),
        lambda: matrix.thaw(),
    ):
        with (
            np.errstate(all="ignore"),
            suppress(ValueError, OverflowError, IndexError, MemoryError),
        ):
            question()


FUZZED = ("order 3, a mixture, names", "a hierarchy", "discounts", "a tree")


@pytest.mark.parametrize("kind", FUZZED)
def test_damaged_files_are_refused(kind: str, tmp_path: Path) -> None:
    """And where nobody looks at the numbers, wrong answers are the worst."""
    path = tmp_path / "matrix.safetensors"
    KINDS[kind]().freeze(path)
    data, rng = path.read_bytes(), np.random.default_rng(len(kind))
    for i in range(250):
        changed = damaged(data, rng)
        if changed == data:
            continue
        other = tmp_path / f"{i}"
        other.write_bytes(changed)
        with pytest.raises(ValueError, match=re.escape(str(other))):
            mb.TransitionMatrix.open(other)
        try:
            loose = mb.TransitionMatrix.open(other, verify=False)
        except ValueError:
            continue
        try_all(loose)
        del loose
        other.unlink()


def changed_header(path: Path, to: Path, **changes: Any) -> None:
    arrays, header = open_mapped(path, "matrixbayes.matrix")
    others = {name: changes.pop(name) for name in list(changes) if name in arrays}
    write_mapped(to, {**arrays, **others}, {**header, **changes})


def test_what_is_written_otherwise_is_refused(tmp_path: Path) -> None:
    """Files that are whole, and say what no matrix is."""
    path, other = tmp_path / "tree", tmp_path / "other"
    tree = KINDS["a tree"]().freeze(path)
    behind = tree._rows.longest.arrays()[3].copy()
    behind[-1] = 1  # where zeros end the tokens
    for changes in (
        {"frozen3": behind},
        {"frozen": False},
        {"frozen": 1},
        {"order": 2},
        {"order": 4},
        {"n_tokens": 2**20},
        {"evidence": "3"},
        {"odds1": np.zeros(3)},
        {"odds1": np.full(len(mb.TransitionMatrix.open(path)._rows.folded.odds[1]), np.nan)},
        {"frozen3": np.zeros(4, dtype=np.uint64)},
        {"frozen3": np.zeros(4)},
    ):
        changed_header(path, other, **changes)
        with pytest.raises(ValueError, match="damaged"):
            mb.TransitionMatrix.open(other)
    changed_header(path, other, version=5)
    with pytest.raises(ValueError, match="install a newer matrixbayes"):
        mb.TransitionMatrix.open(other)


def test_the_file_is_small_and_is_not_loaded(tmp_path: Path) -> None:
    text = (30_000 * np.random.default_rng(3).random(60_000) ** 6).astype(np.int64)
    matrix = mb.TransitionMatrix(3, n_tokens=30_000, hierarchical=True).update(text)
    frozen = matrix.freeze(tmp_path / "frozen")
    matrix.save(tmp_path / "saved")
    n_grams = sum(counts.sizes()[1] for counts in matrix._rows.levels.counts)
    size = (tmp_path / "frozen").stat().st_size
    assert size < 5.5 * n_grams  # of text without sense; of real text less
    assert size < (tmp_path / "saved").stat().st_size / 2.5
    assert abs(frozen.nbytes - size) < 5000
    for words in frozen._rows.longest.arrays():
        assert not words.flags.writeable
        base = words
        while not isinstance(base, np.memmap):
            base = base.base if isinstance(base, np.ndarray) else base[0]  # beside what holds it
            assert base is not None
