"""What a long run tells its user: what memory it will need, and that there was none left."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .._base import display
from .._base.arguments import whole

LARGE = 1 << 30  # bytes of rows from which on their size is told
# Words for it of CUDA, XPU and MPS, of the CPU on Linux and Windows, and of a library of CUDA.
NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")


def available_memory() -> int | None:
    """Bytes that a new process could use without swapping; None if the system does not say."""
    found = [n for n in (_free_on_machine(), _free_in_group()) if n is not None]
    return min(found) if found else None


def check_memory(
    n_rows: int, n_columns: int, itemsize: int, extra: int, limit: int | None, quiet: bool
) -> int:
    """The bytes that a run will keep; an error if there is no such memory, a line if it is much.

    Parameters
    ----------
    n_rows, n_columns, itemsize
        The rows.
    extra
        Bytes of what is kept beside them.
    limit
        The most that may be used; None for what the machine has free.
    quiet
        Leave the line out.

    Raises
    ------
    MemoryError
        With the arithmetic and the ways out.
    """
    need = n_rows * n_columns * itemsize + extra
    free = available_memory() if limit is None else whole(limit, "max_memory", 0)
    sum_text = f"{n_rows:,} rows of {n_columns:,} columns ({itemsize} bytes each)"
    sum_text += f" and {display.amount(extra)} beside them" if extra > need // 100 else ""
    sum_text += f" need {display.amount(need)}"
    if free is not None and need > free:
        whose = "are free" if limit is None else "may be used (max_memory)"
        raise MemoryError(
            f"{sum_text}, and {display.amount(free)} {whose}: group the columns with vocab=, ask "
            "for fewer positions (positions='last' is one row per prompt), or collect the prompts "
            "in parts and save each"
        )
    if need > LARGE and not quiet:
        print(f"matrixbayes: {sum_text}", file=sys.stderr)
    return need


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on whatever device.

    Examples
    --------
    >>> is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ..."))
    True
    >>> is_out_of_memory(RuntimeError("expected scalar type Half but found Float"))
    False
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY)


def _free_on_machine() -> int | None:
    """What the kernel says is available."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        fields = next(line.split() for line in lines if line.startswith("MemAvailable:"))
        return int(fields[1]) * 1024
    except (OSError, StopIteration, ValueError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _free_in_group() -> int | None:
    """What the control group of a container has left."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        used = int((folder / "memory.current").read_text(encoding="ascii"))
        stat = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
        cache = sum(int(s.split()[1]) for s in stat if s.startswith("inactive_file "))
        return None if limit == "max" else max(int(limit) - used + cache, 0)
    except (OSError, ValueError):
        return None
