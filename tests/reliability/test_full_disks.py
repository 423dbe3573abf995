"""A save that fails, wherever it does, leaves the old file, no other, and the object as it was."""

from __future__ import annotations

import errno
import inspect
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from reliability.kinds import KINDS, Kind
from tiers import of_tier

import matrixbayes as mb
from matrixbayes._base.saving import whole

HERE = sorted(name for name, kind in KINDS.items() if kind.is_here())
PRIOR = mb.DirichletMixture([1.0], [[1.0, 2.0]])


class Failing:
    """The n-th thing that a save asks of the system fails; `asked` says how many there were."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, n: int, code: int) -> None:
        self.asked, self.n, self.code = 0, n, code
        monkeypatch.setattr(whole, "open", self.open, raising=False)
        for name in ("fsync", "replace"):
            monkeypatch.setattr(os, name, self.around(getattr(os, name)))

    def step(self) -> None:
        self.asked += 1
        if self.asked == self.n:
            raise OSError(self.code, os.strerror(self.code))

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*args: Any, **kwargs: Any) -> Any:
            self.step()
            return function(*args, **kwargs)

        return asked

    def open(self, *args: Any) -> Any:
        self.step()
        return File(open(*args), self)


class File:
    """A file whose writes may fail, after half of what is written."""

    def __init__(self, file: Any, failing: Failing) -> None:
        self.file, self.failing = file, failing

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def write(self, data: Any) -> int:
        data = bytes(data)
        self.file.write(data[: len(data) // 2])
        self.failing.step()
        self.file.write(data[len(data) // 2 :])
        return len(data)

    def flush(self) -> None:
        self.failing.step()
        self.file.flush()


def failure(save: Callable[[Path], Any], path: Path) -> OSError | None:
    """The error of a save, if there is one, and no other."""
    try:
        save(path)
    except OSError as error:
        return error
    return None


@pytest.mark.promise(22)
def test_a_disk_that_is_full_at_every_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: Callable[[str], None]
) -> None:
    failed = 0
    for name, code in product(HERE, [errno.ENOSPC, errno.EIO]):
        kind, path = KINDS[name], tmp_path / name
        save = kind.save(1)
        save(path)
        new = path.read_bytes()
        kind.save(0)(path)
        old = path.read_bytes()
        for n in range(1, 1000):
            with monkeypatch.context() as patch:
                failing = Failing(patch, n, code)
                error = failure(save, path)
            if failing.asked < n:
                break
            if error is None:  # that of the folder: what was written is there
                assert path.read_bytes() == new
                kind.save(0)(path)
                continue
            assert (error.errno, error.filename) == (code, str(path))
            assert "cannot write: " in str(error)
            assert path.read_bytes() == old
            assert os.listdir(tmp_path) == [name]
            failed += 1
        assert n > 5
        assert path.read_bytes() == new  # the object is as it was
        path.unlink()
    figure(f"{failed} failures at all writes of {len(HERE)} kinds of file, nothing lost")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A file system in memory, with options; where nobody may mount one, none."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options: str) -> Path:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        return folder

    try:
        yield mount
    finally:
        subprocess.run(["umount", str(folder)], capture_output=True, check=False)


@pytest.mark.promise(22)
@pytest.mark.skipif(os.name == "nt", reason="mounts")
def test_a_small_disk(
    small_disk: Callable[[str], Path], figure: Callable[[str], None], tmp_path: Path
) -> None:
    disk = small_disk("size=64k")
    names = HERE[:: of_tier(4, 1, 1)]
    failed = 0
    for name in names:
        kind = KINDS[name]
        path = disk / kind.name
        kind.save(0)(path)
        old = path.read_bytes()
        free = os.statvfs(disk)
        for left in range(free.f_bavail):  # pages
            (disk / "rest").write_bytes(b"\1" * ((free.f_bavail - left) * free.f_frsize))
            error = failure(kind.save(1), path)
            if error is None:
                break
            assert error.errno == errno.ENOSPC
            assert "make room, or save elsewhere" in str(error)
            assert path.read_bytes() == old
            failed += 1
            assert sorted(os.listdir(disk)) == sorted([path.name, "rest"])
        assert left > 0
        for file in disk.iterdir():
            file.unlink()
    figure(f"{failed} saves on a full disk, {len(names)} kinds of file")


@pytest.mark.promise(22)
@pytest.mark.skipif(os.name == "nt", reason="mounts")
def test_a_disk_that_is_read_only(small_disk: Callable[[str], Path], tmp_path: Path) -> None:
    path = small_disk("size=64k") / "prior.safetensors"
    PRIOR.save(path)
    subprocess.run(["mount", "-o", "remount,ro", str(path.parent)], check=True)
    with pytest.raises(OSError, match="Read-only file system \\(save elsewhere\\)") as caught:
        PRIOR.save(path)
    assert caught.value.errno == errno.EROFS
    assert mb.DirichletMixture.load(path) == PRIOR


AS_NOBODY = """
import os, tempfile
from pathlib import Path
import matrixbayes as mb
prior, other = (mb.DirichletMixture([1.0], [[1.0, a]]) for a in (2.0, 3.0))
with tempfile.TemporaryDirectory(dir="/tmp") as folder:
    folder = Path(folder)
    closed = folder / "closed"
    closed.mkdir()
    for path in (folder / "kept", closed / "kept"):
        prior.save(path)
    os.chmod(folder / "kept", 0o444)
    os.chmod(closed, 0o555)
    os.chmod(folder, 0o777)
    child = os.fork()
    if not child:
        if os.getuid() == 0:  # whom no permissions bind
            os.setgid(65534)
            os.setuid(65534)
        for path in (folder / "kept", closed / "kept", closed / "new"):
            try:
                other.save(path)
                print("saved")
            except PermissionError as error:
                assert error.filename == str(path), error
                print(error.strerror)
        print(end="", flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    for path in (folder / "kept", closed / "kept"):
        assert mb.DirichletMixture.load(path) == prior
    print(*os.listdir(closed), *sorted(os.listdir(folder)))
    os.chmod(closed, 0o755)
"""


@pytest.mark.promise(22)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_nobody_may_write(run_python: Callable[..., str]) -> None:
    *refused, left = run_python(AS_NOBODY).splitlines()
    words = "cannot write: Permission denied (save elsewhere, or change the permissions of file or"
    assert len(refused) == 3
    assert all(line.startswith(words) for line in refused)
    assert left == "kept closed kept"


# --- paths that are none


@pytest.mark.promise(22)
@pytest.mark.parametrize("kind", map(KINDS.__getitem__, HERE), ids=HERE)
def test_paths_that_cannot_be_written(kind: Kind, tmp_path: Path) -> None:
    save = kind.save(0)
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    ending = kind.name.partition(".")[2]
    for path, error, words in [
        (tmp_path / "nowhere" / kind.name, FileNotFoundError, "make its folder first"),
        (tmp_path / "file" / kind.name, NotADirectoryError, "should be its folder is a file"),
        (tmp_path / "folder", IsADirectoryError, "it is a folder; give the path of a file in it"),
        (f"{tmp_path / 'new'}/", IsADirectoryError, "it is a folder"),
        (tmp_path / ("n" * 256), OSError, "give a shorter name"),
        (tmp_path / "loop", OSError, "symbolic links"),
        (tmp_path / "pipe", OSError, "no regular file"),
        (Path("/dev/null"), OSError, "no regular file"),
        (Path("/dev/full"), OSError, "no regular file"),
    ]:
        with pytest.raises(error, match=f"cannot write: .*{words}") as caught:
            save(path)  # type: ignore[arg-type]
        assert str(caught.value.filename).startswith(str(path).rstrip("/"))
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder", "loop", "pipe"]
    longest = tmp_path / (("n" * (254 - len(ending))) + "." + ending)
    save(longest)
    assert longest.is_file()
    save(longest)


def test_a_pipe_that_the_shell_made_is_left_alone(run_python: Callable[..., str]) -> None:
    code = """
        import matrixbayes as mb
        try:
            mb.write_easel(mb.DirichletMixture([1.0], [[1.0, 2.0]]), "/dev/stdout")
        except OSError as error:
            print(error.strerror)
    """
    assert "no regular file" in run_python(inspect.cleandoc(code))


# --- what is replaced


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_permissions_and_owner_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "prior"
    PRIOR.save(path)
    os.chmod(path, 0o640)
    if os.getuid() == 0:
        os.chown(path, 12345, 12345)
    seen = []

    def look(file: Any) -> None:
        seen.append(stat.S_IMODE(os.fstat(file.fileno()).st_mode))

    whole.replace_file(path, look)
    found = path.stat()
    assert stat.S_IMODE(found.st_mode) == 0o640
    assert seen == [0o640]  # before anything is written
    assert os.getuid() or (found.st_uid, found.st_gid) == (12345, 12345)


@pytest.mark.skipif(os.name == "nt", reason="links")
def test_links_point_where_they_did(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    link = tmp_path / "link"
    link.symlink_to(Path("there") / "prior")
    for _ in range(2):
        PRIOR.save(link)
        assert os.readlink(link) == "there/prior"
        assert os.listdir(there) == ["prior"]
    assert sorted(os.listdir(tmp_path)) == ["link", "there"]


# --- what was not finished


def test_what_is_left_is_cleared_and_what_lives_is_not(tmp_path: Path) -> None:
    path = tmp_path / "prior"
    left = [tmp_path / f".{name}.{'0' * 16}.tmp" for name in ("prior", "other")]
    for file in left:
        file.write_bytes(b"torn")
    (tmp_path / ".prior.tmp").write_bytes(b"somebody's")

    def save_within(file: Any) -> None:
        PRIOR.save(path)  # while another save of that name is under way
        assert os.path.exists(file.name)
        file.write(b"the last one")

    whole.replace_file(path, save_within)
    assert path.read_bytes() == b"the last one"
    assert sorted(os.listdir(tmp_path)) == [left[1].name, ".prior.tmp", "prior"]


def test_a_study_that_was_killed_is_cleared_by_the_next(tmp_path: Path) -> None:
    left = tmp_path / f".study.{'0' * 16}.tmp"
    left.mkdir()
    (left / "report.html").write_bytes(b"torn")

    def stopped() -> None:
        with whole.staging(tmp_path, "study") as folder:
            assert not left.exists()
            (folder / "report.html").write_bytes(b"")
            with whole.staging(tmp_path, "study"):
                assert folder.is_dir()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stopped()
    assert os.listdir(tmp_path) == []
    with whole.staging(tmp_path, "study") as folder:
        (folder / "report.html").write_bytes(b"whole")
    assert os.listdir(tmp_path) == ["report.html"]


MANY = """
import os, sys
import matrixbayes as mb
priors = [mb.DirichletMixture([1.0], [[1.0, a] * 500]) for a in (2.0, 3.0, 4.0)]
pids = []
for prior in priors:
    if not (child := os.fork()):
        for _ in range(ROUNDS):
            prior.save("prior")
            assert mb.DirichletMixture.load("prior") in priors
        os._exit(0)
    pids.append(child)
print(*(os.waitpid(pid, 0)[1] for pid in pids), *os.listdir())
"""


@pytest.mark.promise(11)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_many_save_one_name_at_once(
    run_python: Callable[..., str], figure: Callable[[str], None]
) -> None:
    rounds = of_tier(20, 100, 2000)
    assert run_python(MANY.replace("ROUNDS", str(rounds))).split() == ["0", "0", "0", "prior"]
    figure(f"{3 * rounds} saves of one name by three processes at once, each read whole")
