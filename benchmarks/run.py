"""Every benchmark of this folder, one after another: python benchmarks/run.py [--quick]."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

HERE = Path(__file__).parent

if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    names = (
        "em",
        "counts",
        "fits",
        "resolution",
        "ingest",
        "transitions",
        "continuity",
        "elicitation",
    )
    for name in names:
        print(f"\n{name}.py\n")
        runpy.run_path(str(HERE / f"{name}.py"), run_name="__main__")
