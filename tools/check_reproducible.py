"""Builds wheel and source archive twice and compares them, bit for bit; prints their SHA-256.

Twice in everything that a build may depend on and should not: folder, day, umask, time zone, order
of hashes, and who calls it.  Uses what is installed, and no network.

    python tools/check_reproducible.py [--sdist]      the source archive alone, in seconds
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOT_SOURCES = shutil.ignore_patterns(
    "__pycache__", "*.so", "*.py[cod]", "build", "dist", "*.egg-info", ".venv", ".git", ".*_cache"
)
BUILD = """
import sys
from setuptools import build_meta
target, *kinds = sys.argv[1:]  # setuptools writes into that list
for kind in kinds:
    getattr(build_meta, f"build_{kind}")(target)
"""
# folder, days ago, umask, and what is in the environment
BUILDS = [
    ("a", 0, 0o022, {"TZ": "UTC", "PYTHONHASHSEED": "1", "LC_ALL": "C"}),
    (
        "a folder of another name/and deeper",
        400,
        0o077,
        {"TZ": "Pacific/Auckland", "PYTHONHASHSEED": "2", "LC_ALL": "C.UTF-8", "USER": "nobody"},
    ),
]


def sources() -> list[Path]:
    """The files of this checkout: those that git knows, or all where there is no git."""
    told = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if told.returncode == 0:
        return [ROOT / name for name in told.stdout.decode().split("\0") if name]
    return []


def copied(folder: Path, days_ago: float, umask: int) -> Path:
    """The sources in a folder, of another day."""
    files = sources()
    for file in files:
        target = folder / file.relative_to(ROOT)
        if file.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    if not files:
        shutil.copytree(ROOT, folder, ignore=NOT_SOURCES)
    then = time.time() - 86_400 * days_ago
    for path in [folder, *folder.rglob("*")]:
        path.chmod((0o777 if path.is_dir() or os.access(path, os.X_OK) else 0o666) & ~umask)
        os.utime(path, (then, then))
    return folder


def built(place: Path, kinds: list[str]) -> dict[str, str]:
    """SHA-256 of what each build made, by name; the builds have to agree about the names."""
    found: list[dict[str, str]] = []
    folders = [copied(place / name / "source", ago, umask) for name, ago, umask, _ in BUILDS]
    for folder, (_, _, umask, environment) in zip(folders, BUILDS, strict=True):
        made = place / f"made-{len(found)}"
        kept = {key: value for key, value in os.environ.items() if key != "SOURCE_DATE_EPOCH"}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", BUILD, str(made), *kinds],
            cwd=folder,
            env={**kept, **environment},
            umask=umask,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
        found.append({x.name: hashlib.sha256(x.read_bytes()).hexdigest() for x in made.iterdir()})
    assert len(found[0]) == len(kinds), found
    differ = [name for name in {**found[0], **found[1]} if found[0].get(name) != found[1].get(name)]
    if differ:
        kept_at = Path(tempfile.mkdtemp(prefix="not-reproducible-"))
        shutil.copytree(place, kept_at, dirs_exist_ok=True)
        raise SystemExit(f"two builds differ in {', '.join(differ)}; both are in {kept_at}")
    return found[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sdist", action="store_true", help="the source archive alone")
    kinds = ["sdist"] if parser.parse_args().sdist else ["sdist", "wheel"]
    with tempfile.TemporaryDirectory() as place:
        for name, sha256 in sorted(built(Path(place), kinds).items()):
            print(f"{sha256}  {name}")
    print("the same bits twice")


if __name__ == "__main__":
    main()
