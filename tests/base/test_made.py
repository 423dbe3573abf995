"""Files say what they are and how they were made; the same bytes twice, and old ones as before."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import matrixbayes as mb
from matrixbayes._base import files
from matrixbayes._base.saving import made

BY = f"matrixbayes {mb.__version__}"
OLD = Path(__file__).resolve().parents[1] / "data" / "before" / "files"
META = {"model": "a model", "prompt": list(range(40)), "temperature": 1.0}


def rows() -> mb.NextTokenRows:
    probs = np.random.default_rng(0).dirichlet([1.0, 2.0, 3.0], size=40)
    return mb.NextTokenRows(np.log(probs), tokens="abc", meta=META)


def fit(**options: Any) -> mb.DirichletMixture:
    return mb.DirichletMixtureEstimator(random_state=3, **options).fit(rows()).prior_


@lru_cache
def elicited() -> mb.DirichletMixture:
    """Once: the search ends elsewhere by rounding, where arrays lie otherwise in memory."""
    histories = [[], [0], [1, 0], [2, 2]] * 10
    return mb.elicit_prior(histories, rows(), family="iid", rng=7).prior


def matrix(**options: Any) -> mb.TransitionMatrix:
    return mb.TransitionMatrix(2, n_tokens=3, **options).update([0, 1, 2, 0, 1, 1, 2, 0] * 9)


def frozen(path: Path) -> None:
    matrix(hierarchical=True).fit_prior().freeze(path)


# What writes a file, what the file is, and part of what it was made with.
KINDS: dict[str, tuple[Callable[[Path], Any], str, dict[str, Any]]] = {
    "a prior by hand": (lambda p: mb.DirichletMixture([1.0], [[1.0, 2.0]]).save(p), "prior", {}),
    "a fit": (
        lambda p: fit().save(p),
        "prior",
        {
            "call": "DirichletMixtureEstimator.fit",
            "random_state": 3,
            "n_rows": 40,
            "rows": {"model": "a model", "temperature": 1.0},
        },
    ),
    "a selected size": (
        lambda p: mb.select_prior(rows(), [1, 2], random_state=0).best_.prior_.save(p),
        "prior",
        {"selected_by": "bic", "sizes": [1, 2]},
    ),
    "an elicited prior": (
        lambda p: elicited().save(p),
        "prior",
        {"call": "elicit_prior", "family": "iid", "n_rows": 40, "rng": 7},
    ),
    "rows": (lambda p: rows().save(p), "rows", {"model": "a model", "temperature": 1.0}),
    "rows in part": (
        lambda p: mb.PartialRows.from_rows(rows(), 2).save(p),
        "partial_rows",
        {"model": "a model"},
    ),
    "kernels": (
        lambda p: mb.DirichletMixture.from_rows(rows(), rng=5).save(p),
        "kernels",
        {"call": "DirichletMixture.from_rows", "rng": 5, "n_rows": 40},
    ),
    "a matrix": (
        lambda p: matrix(hierarchical=True).fit_prior().save(p),
        "matrix",
        {"order": 2, "hierarchical": True, "fit_prior": {"n_components": 1, "to_documents": False}},
    ),
    "a frozen matrix": (frozen, "matrix", {"frozen": True}),
    "a back-off model": (
        lambda p: matrix(hierarchical=True).prune(0.01).save(p),
        "backoff",
        {"call": "TransitionMatrix.prune", "threshold": 0.01},
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", KINDS)
def test_a_file_says_what_it_is_and_how_it_was_made(name: str, tmp_path: Path) -> None:
    write, kind, how = KINDS[name]
    once, twice = tmp_path / "once.safetensors", tmp_path / "twice.safetensors"
    write(once)
    write(twice)
    assert once.read_bytes() == twice.read_bytes()
    told = files.describe(once)
    assert (told["kind"], told["made_by"]) == (kind, BY)
    assert told["made_with"].items() >= how.items()
    assert "prompt" not in told["made_with"]
    assert told["bytes"] == once.stat().st_size
    assert told["shapes"].keys() == told["dtypes"].keys() != set()
    assert told["n_tokens"] == (2 if name == "a prior by hand" else 3)
    json.dumps(told)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", KINDS)
def test_what_was_read_is_written_with_what_made_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a later version too: it did not make it."""
    write, kind, _ = KINDS[name]
    path, again = tmp_path / "file.safetensors", tmp_path / "again.safetensors"
    write(path)
    monkeypatch.setattr(made, "BY", "matrixbayes 9")
    homes = {
        "prior": mb.DirichletMixture,
        "rows": mb.NextTokenRows,
        "partial_rows": mb.PartialRows,
        "kernels": mb.KernelMixture,
        "matrix": mb.TransitionMatrix,
        "backoff": mb.BackoffModel,
    }
    home: Any = homes[kind]
    thing = home.load(path) if hasattr(home, "load") else home.open(path)
    (thing.freeze if getattr(thing, "frozen", False) else thing.save)(again)
    assert again.read_bytes() == path.read_bytes()


def test_rows_in_parquet_say_it_too(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "rows.parquet"
    mb.PartialRows.from_rows(rows(), 2).to_parquet(path)
    about = json.loads(arrow.read_schema(path).metadata[b"matrixbayes"])
    assert about["made"] == {"by": BY}
    read = mb.PartialRows.from_parquet(path)
    assert made.told(read) == {"made": {"by": BY}}


def test_files_of_old_are_told() -> None:
    kinds = set()
    for path in sorted(OLD.glob("*.safetensors")):
        told = files.describe(path)
        kinds.add(told["kind"])
        assert told["made_by"] is None, path
    assert {"prior", "rows", "matrix"} <= kinds


def test_copies_and_pickles_remember() -> None:
    for thing in (fit(), rows(), matrix().fit_prior(), mb.DirichletMixture.from_rows(rows())):
        told = made.told(thing)
        assert made.told(pickle.loads(pickle.dumps(thing))) == told
        assert made.told(copy.copy(thing)) == told
    assert made.told(fit(n_components=2))["made"]["with"]["n_components"] == 2


def test_what_is_equal_stays_equal() -> None:
    fitted = fit()
    by_hand = mb.DirichletMixture(fitted.weights, fitted.alpha, tokens=fitted.tokens)
    assert fitted == by_hand
    assert hash(fitted) == hash(by_hand)


def test_the_number_of_workers_is_not_told(tmp_path: Path) -> None:
    paths = [tmp_path / "one", tmp_path / "two"]
    for n_jobs, path in enumerate(paths, start=1):
        fit(n_jobs=n_jobs).save(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_what_json_cannot_hold_is_named_by_its_type() -> None:
    given = {
        "rng": np.random.default_rng(0),
        "many": np.zeros(1000),
        "few": np.arange(2),
        "bound": np.inf,
        "deep": [{"x": (np.float32(0.5), None)}],
    }
    thing = made.note(mb.DirichletMixture([1.0], [[1.0, 2.0]]), **given)
    assert made.told(thing)["made"]["with"] == {
        "rng": "<Generator>",
        "many": "<ndarray>",
        "few": [0, 1],
        "bound": "inf",
        "deep": [{"x": [0.5, None]}],
    }


@pytest.mark.parametrize("entry", [3, [], {"with": 3}, {"by": [1]}, {"by": {}, "with": {"a": []}}])
def test_what_a_hostile_file_says_of_its_making_does_no_harm(entry: Any, tmp_path: Path) -> None:
    path = tmp_path / "prior.safetensors"
    header = {"format": "matrixbayes.prior", "version": 1, "tokens": None, "made": entry}
    arrays = {"weights": np.ones(1), "alpha": np.ones((1, 2))}
    save_file(arrays, path, metadata={files.KEY: json.dumps(header)})
    assert isinstance(files.describe(path)["made_by"], str | None)
    mb.DirichletMixture.load(path).save(tmp_path / "again")
    files.describe(tmp_path / "again")


def test_other_files_are_no_files_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    save_file({"x": np.zeros(1)}, path)
    with pytest.raises(ValueError, match="is not a file of this package"):
        files.describe(path)
    save_file({"x": np.zeros(1)}, path, metadata={files.KEY: '{"version": 1}'})
    with pytest.raises(ValueError, match="it names no format"):
        files.describe(path)
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match="not a complete safetensors file"):
        files.describe(path)
    with pytest.raises(FileNotFoundError):
        files.describe(tmp_path / "nowhere")
