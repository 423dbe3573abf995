"""The instruction sets that kernels are compiled for, and how a build of the core is kept to one.

Contents
    KEPT     flags of a build whose kernels take no better set than MB_INSTRUCTION_SET says
    HERE     the sets that this machine has, as that variable wants them
"""

from __future__ import annotations

from pathlib import Path

HEADER = Path(__file__).resolve().parents[2] / "csrc/test/instruction_set.h"
KEPT = ["-include", str(HEADER)]

CPU = Path("/proc/cpuinfo")
FLAGS = {*CPU.read_text().split()} if CPU.exists() else set()
NEEDED = {"any": set(), "avx2": {"avx2", "fma"}, "avx512f": {"avx512f"}}
HERE = [name for name, flags in NEEDED.items() if flags <= FLAGS]
