"""A process that is killed while it saves leaves the old file or the new one, whole."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from reliability.kinds import KINDS
from tiers import of_tier

KILLS = of_tier(1, 3, 200)  # of each kind of file

CODE = """
import os, random, signal, sys, time
from pathlib import Path
n_kills, names, paths = ARGUMENTS
sys.path[:0] = paths
from reliability.kinds import KINDS
from matrixbayes._base.saving import whole

random.seed(0)
left = None  # how many steps a process lives on

def step():
    global left
    if left is not None:
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

def around(module, name):
    real = getattr(module, name)
    def function(*args, **kwargs):
        step()
        found = real(*args, **kwargs)
        step()
        return found
    setattr(module, name, function)

class Halves:  # what is written is torn in the middle of each write
    def __init__(self, file):
        self.file = file
    def __getattr__(self, name):
        return getattr(self.file, name)
    def write(self, data):
        data = bytes(data)
        self.file.write(data[: len(data) // 2])
        self.file.flush()
        step()
        self.file.write(data[len(data) // 2 :])
        return len(data)

for name in ("fsync", "replace", "unlink"):
    around(os, name)
whole.open = lambda path, mode: Halves(open(path, mode)) if left is not None else open(path, mode)

def save_until_killed(kind, saves, path, steps):
    global left
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        left = steps
        while True:
            for save in saves:
                os.write(writing, b".")
                save(path)
    os.read(reading, 2)  # it has begun
    if steps is None:
        time.sleep(random.random() * 3 * kind_seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == 9, status
    os.close(reading), os.close(writing)

n = torn = most = 0
for number, name in enumerate(names):
    kind = KINDS[name]
    folder = Path(name).absolute()
    folder.mkdir()
    path = folder / kind.name
    saves, versions = [kind.save(v) for v in (0, 1)], []
    for save in saves:
        start = time.monotonic()
        save(path)
        kind_seconds = time.monotonic() - start
        versions.append(path.read_bytes())
    assert versions[0] != versions[1]
    for k in range(n_kills):
        steps = None if (number + k) % 3 == 0 else (number + k) % 14
        save_until_killed(kind, saves, path, steps)
        n += 1
        torn += path.read_bytes() not in versions
        most = max(most, len(os.listdir(folder)) - 1)
        if kind.read is not None and k % 20 == 0:
            kind.read(path)
    saves[0](path)
    assert path.read_bytes() == versions[0]
    assert os.listdir(folder) == [path.name], os.listdir(folder)
print(n, torn, most)
"""


@pytest.mark.promise(11)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_while_saving(tmp_path: Path, figure: Callable[[str], None]) -> None:
    names = [name for name, kind in KINDS.items() if kind.is_here()]
    paths = [str(Path(__file__).parents[1])]
    code = CODE.replace("ARGUMENTS", repr((KILLS, names, paths)))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    n, torn, most = map(int, done.stdout.split())
    assert n == KILLS * len(names)
    assert torn == 0
    assert most <= 1
    figure(f"{n} kills over {len(names)} kinds of file, 0 torn, at most {most} unfinished left")
