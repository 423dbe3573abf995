"""Things on the HuggingFace hub: what is sent there, and what comes back, without any network."""

from __future__ import annotations

import inspect
import json
import shutil
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import matrixbayes as mb
from matrixbayes._base import files


def rows() -> mb.NextTokenRows:
    probs = np.random.default_rng(0).dirichlet([1.0, 2.0, 3.0], size=30)
    return mb.NextTokenRows(np.log(probs), tokens=("a", " the", "```\n"), meta={"model": "m"})


def prior() -> mb.DirichletMixture:
    return mb.DirichletMixtureEstimator(random_state=3).fit(rows()).prior_


def matrix() -> mb.TransitionMatrix:
    return mb.TransitionMatrix(2, n_tokens=3, hierarchical=True).update([0, 1, 2, 0, 1, 1, 2, 0])


THINGS = {
    "prior.safetensors": [prior, lambda: mb.DirichletMixture.from_rows(rows())],
    "matrix.safetensors": [matrix],
    "backoff.safetensors": [lambda: matrix().prune(0.0)],
}
CASES = [(name, make) for name, makers in THINGS.items() for make in makers]


def content(thing: Any, path: Path) -> bytes:
    thing.save(path)
    return path.read_bytes()


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The hub's library, with a folder in the place of the hub."""
    library = pytest.importorskip("huggingface_hub")
    there = tmp_path / "there"
    calls: dict[str, Any] = {"there": there}

    def create_repo(self: Any, repo_id: str, **options: Any) -> Any:
        calls["create_repo"] = {"repo_id": repo_id, "token": self.token, **options}
        return SimpleNamespace(repo_id=f"somebody/{repo_id.rpartition('/')[2]}")

    def upload_folder(self: Any, *, folder_path: str, **options: Any) -> Any:
        calls["upload_folder"] = options
        shutil.copytree(folder_path, there, dirs_exist_ok=True)
        return SimpleNamespace(commit_url="address of the commit")

    def download(repo_id: str, filename: str, **options: Any) -> str:
        calls["download"] = {"repo_id": repo_id, **options}
        return str(there / filename)

    monkeypatch.setattr(library.HfApi, "create_repo", create_repo)
    monkeypatch.setattr(library.HfApi, "upload_folder", upload_folder)
    monkeypatch.setattr(library, "hf_hub_download", download)
    return calls


@pytest.mark.parametrize(("name", "make"), CASES)
def test_what_is_pushed_comes_back(
    name: str, make: Any, hub: Any, no_network: None, tmp_path: Path
) -> None:
    thing = make()
    assert thing.push_to_hub("repo", private=True, token="t") == "address of the commit"
    assert hub["create_repo"] == {
        "repo_id": "repo",
        "token": "t",
        "private": True,
        "exist_ok": True,
    }
    assert hub["upload_folder"].items() >= {"repo_id": "somebody/repo", "revision": None}.items()
    assert {file.name for file in hub["there"].iterdir()} == {name, "README.md"}

    found = type(thing).from_pretrained("somebody/repo", revision="abc")
    assert hub["download"].items() >= {"repo_id": "somebody/repo", "revision": "abc"}.items()
    local = type(thing).from_pretrained(hub["there"])
    before = content(thing, tmp_path / "before")
    assert content(found, tmp_path / "found") == before
    assert content(local, tmp_path / "local") == before


def test_the_page_says_what_it_is_and_how_to_read_it(hub: Any) -> None:
    prior().push_to_hub("somebody/repo")
    page = (hub["there"] / "README.md").read_text("utf-8")
    assert page.startswith("---\nlibrary_name: matrixbayes\n")
    assert "# A DirichletMixture" in page
    assert "mb.DirichletMixture.from_pretrained('somebody/repo')" in page
    assert f"matrixbayes {mb.__version__}" in page
    assert 'call: "DirichletMixtureEstimator.fit"' in page
    assert '"model": "m"' in page
    assert "random_state: 3" in page
    yaml = pytest.importorskip("yaml")
    head = yaml.safe_load(page.split("---\n")[1])
    assert head["tags"][0] == "matrixbayes"
    assert not [line for line in page.splitlines() if line.startswith("```")]


def test_a_page_of_ones_own_or_none(hub: Any) -> None:
    prior().push_to_hub("repo", card=False)
    assert {file.name for file in hub["there"].iterdir()} == {"prior.safetensors"}
    prior().push_to_hub("repo", card="My words.", commit_message="mine", create_pr=True)
    assert (hub["there"] / "README.md").read_text("utf-8") == "My words."
    assert hub["upload_folder"].items() >= {"commit_message": "mine", "create_pr": True}.items()


def test_a_folder_needs_no_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: None
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    prior().save(tmp_path / "mine.safetensors")
    assert mb.DirichletMixture.from_pretrained(str(tmp_path)) == prior()
    prior().posterior([1, 0, 0]).save(tmp_path / "prior.safetensors")
    assert mb.DirichletMixture.from_pretrained(tmp_path) != prior()
    assert mb.DirichletMixture.from_pretrained(tmp_path, filename="mine.safetensors") == prior()
    with pytest.raises(ImportError, match=r"needs huggingface_hub: pip install"):
        mb.DirichletMixture.from_pretrained("owner/name")
    with pytest.raises(ImportError, match=r"push_to_hub needs huggingface_hub"):
        prior().push_to_hub("owner/name")


def test_folders_that_do_not_say_which_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no prior\.safetensors.*\(none\)"):
        mb.DirichletMixture.from_pretrained(tmp_path)
    for name in ("a", "b"):
        prior().save(tmp_path / f"{name}.safetensors")
    with pytest.raises(FileNotFoundError, match=r"a\.safetensors, b\.safetensors"):
        mb.DirichletMixture.from_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError):
        mb.DirichletMixture.from_pretrained(tmp_path, filename="c.safetensors")


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder", "a/b/c", Path("owner/name")])
def test_what_is_no_folder_and_no_name(name: Any, no_network: None) -> None:
    with pytest.raises(FileNotFoundError, match="is no folder, and no name of a repository"):
        mb.DirichletMixture.from_pretrained(name)


@pytest.mark.parametrize(
    ("arrays", "header", "message"),
    [
        ({"weights": [1.0], "alpha": [[np.nan, 1.0]]}, {}, "holds NaN"),
        ({"weights": [1.0], "alpha": [[-1.0, 1.0]]}, {}, "alpha"),
        ({"weights": [1.0]}, {}, "does not hold a mixture"),
        ({"weights": [1.0], "alpha": [[1.0]]}, {"format": "matrixbayes.rows"}, "its format is"),
        ({"weights": [1.0], "alpha": [[1.0]]}, {"version": 99}, "install a newer matrixbayes"),
    ],
)
def test_hostile_files_are_refused_as_by_load(
    arrays: Any, header: Any, message: str, tmp_path: Path
) -> None:
    told = {"format": "matrixbayes.prior", "version": 1, "tokens": None, **header}
    path = tmp_path / "prior.safetensors"
    numbers = {name: np.array(array) for name, array in arrays.items()}
    save_file(numbers, path, metadata={files.KEY: json.dumps(told)})
    with pytest.raises(ValueError, match=message) as loaded:
        mb.DirichletMixture.load(path)
    with pytest.raises(ValueError, match=message) as hosted:
        mb.DirichletMixture.from_pretrained(tmp_path)
    assert str(hosted.value) == str(loaded.value)


def test_pickles_are_never_read(tmp_path: Path) -> None:
    (tmp_path / "prior.safetensors").write_bytes(b"\x80\x04cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(ValueError, match="is not a complete safetensors file"):
        mb.DirichletMixture.from_pretrained(tmp_path)


def test_the_library_itself_finds_what_it_has_kept(tmp_path: Path, no_network: None) -> None:
    """Its own cache, and none of the functions above in its place."""
    pytest.importorskip("huggingface_hub")
    commit, place = "a" * 40, tmp_path / "models--owner--name"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(commit)
    (place / "snapshots" / commit).mkdir(parents=True)
    prior().save(place / "snapshots" / commit / "prior.safetensors")
    for revision in (None, "main", commit):
        found = mb.DirichletMixture.from_pretrained(
            "owner/name", revision=revision, cache_dir=tmp_path, local_files_only=True
        )
        assert found == prior()
    with pytest.raises(OSError, match=r"cach|offline|local"):
        mb.DirichletMixture.from_pretrained(
            "owner/other", cache_dir=tmp_path, local_files_only=True
        )


def test_the_library_takes_what_it_is_given() -> None:
    """The names of arguments, of the version that is installed."""
    library = pytest.importorskip("huggingface_hub")
    repository = inspect.signature(library.HfApi.create_repo).parameters
    assert {"repo_id", "private", "exist_ok"} <= repository.keys()
    folder = inspect.signature(library.HfApi.upload_folder).parameters
    wanted = {"repo_id", "folder_path", "revision", "commit_message", "create_pr"}
    assert wanted <= folder.keys()


def test_the_page_is_one_that_the_hub_reads(hub: Any) -> None:
    library = pytest.importorskip("huggingface_hub")
    prior().push_to_hub("repo")
    card = library.ModelCard.load(hub["there"] / "README.md")
    assert card.data.library_name == "matrixbayes"
    assert "next-token-distributions" in card.data.tags
