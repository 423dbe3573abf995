"""The command line as a process: what it imports, pipes that close, full disks, encodings."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

COMMAND = [sys.executable, "-m", "matrixbayes"]


def test_help_and_version_load_nothing_heavy(run_python: Callable[..., str]) -> None:
    code = (
        "import sys\nfrom matrixbayes.__main__ import main\n"
        "for words in (['--version'], ['--help'], ['fit', '--help'], ['matrix', 'build', '-h']):\n"
        "    try: main(words)\n    except SystemExit: pass\n"
        "heavy = {'torch', 'scipy', 'matplotlib', 'transformers', 'safetensors', 'shtab'}\n"
        "ours = [m for m in sys.modules if m.startswith('matrixbayes.') and m.count('.') > 1]\n"
        "rooms = {m.split('.')[1] for m in ours} - {'_base', 'cli'}\n"
        "print('LOADED', sorted(heavy & set(sys.modules)), sorted(rooms))\n"
    )
    assert run_python(code).splitlines()[-1] == "LOADED [] []"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A matrix with more tokens than a pipe holds."""
    import matrixbayes as mb

    names = [f"a-word-that-is-rather-long-{i}" for i in range(20_000)]
    mb.TransitionMatrix(1, tokens=names).update([np.arange(5)]).save(tmp_path / "m.st")
    return tmp_path / "m.st"


def test_a_closed_pipe_is_no_traceback(table: Path) -> None:
    words = [*COMMAND, "matrix", "query", str(table), "--top", "all"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(300) == 141
    assert said == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk_is_one_line(table: Path) -> None:
    with open("/dev/full", "w") as full:
        for words in (["matrix", "query", str(table), "--top", "all"], ["--version"]):
            done = subprocess.run(
                [*COMMAND, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
            )
            assert done.returncode == 2
            assert done.stderr == "matrixbayes: cannot write: No space left on device\n"


def test_an_encoding_without_the_letters_is_no_error(tmp_path: Path) -> None:
    import matrixbayes as mb

    mb.DirichletMixture([1.0], [[3.0, 1.0]], tokens=("ж", "\udcff")).save(tmp_path / "p.st")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [*COMMAND, "show", str(tmp_path / "p.st")], env=environment, capture_output=True, check=True
    )
    assert b"\\u0436" in done.stdout
    assert done.stderr == b""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_stops_with_130(tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")
    rng = np.random.default_rng(0)
    np.save(tmp_path / "probs.npy", rng.dirichlet(np.ones(400), 4000))
    words = [*COMMAND, "fit", "probs.npy", "--kind=probs", "--n-components=8", "--n-init=500"]
    process = subprocess.Popen(
        [*words, "--tol=0", "--jobs=1"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    try:
        used = psutil.Process(process.pid).cpu_times
        while used().user < 5:  # by its own clock: imports are over, whoever else is at work
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "matrixbayes: stopped; nothing was written"
    assert not (tmp_path / "prior.safetensors").exists()
