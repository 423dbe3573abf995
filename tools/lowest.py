"""The lowest version that pyproject.toml allows of each package, as constraints of pip.

    python tools/lowest.py > build/lowest.txt

`make lowest` installs them, with every extra, and runs the tests of what the extras are for.
"""

from __future__ import annotations

import re
import tomllib
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NEED = re.compile(r"([\w.-]+)(?:\[[\w.,-]+\])?>=([\w.]+)")


def lowest(project: dict[str, object]) -> dict[str, str]:
    """Versions by name, of what is needed and of every extra.

    Raises
    ------
    ValueError
        Something has no lower bound, or two.
    """
    found: dict[str, str] = {}
    extras: dict[str, list[str]] = project["optional-dependencies"]  # type: ignore[assignment]
    for need in [*project["dependencies"], *chain(*extras.values())]:  # type: ignore[misc]
        if need.startswith(f"{project['name']}["):
            continue
        match = NEED.fullmatch(need)
        if match is None:
            raise ValueError(f"{need!r} says no lowest version, or more than that")
        name, version = match.groups()
        if found.setdefault(name, version) != version:
            raise ValueError(f"{name} has the lower bounds {found[name]} and {version}")
    return found


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for name, version in sorted(lowest(project).items()):
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
