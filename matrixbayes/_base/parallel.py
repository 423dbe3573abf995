"""Blocks of rows over an executor, merged in a fixed tree.

How rows are cut depends on the shape of the data alone, and statistics merge in the
same binary tree whoever computed them: results are the same bits for any number
of workers, in threads, in processes or on a cluster.
"""

from __future__ import annotations

import operator
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from .arguments import having, is_whole, shown

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


T = TypeVar("T")

BLOCK_COST = 1 << 23  # multiplications in a block: a millisecond or so
LEAST_ROWS = 1024  # in a block, so that merging stays cheap against computing
TILE = 64  # rows that the kernels take at a time
MOST_JOBS = 1 << 16  # as good as any number
RETRIES = 3  # on a cluster, of a task whose worker died


def available_cores() -> int:
    """The cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1


def block_size(cost: int) -> int:
    """Rows of a block; `cost` is that of a row."""
    size = max(BLOCK_COST // max(cost, 1), LEAST_ROWS)
    return -(-size // TILE) * TILE


def blocks(n_rows: int, cost: int) -> list[slice]:
    """Slices that cut n_rows into blocks, by shape alone."""
    size = block_size(cost)
    return [slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]


def job_count(n_jobs: int | None) -> int:
    """How many workers that is."""
    if n_jobs is None:
        return available_cores()
    if not is_whole(n_jobs) or n_jobs == 0:
        raise ValueError(
            f"n_jobs is {shown(n_jobs)}; it must be a whole number, positive or negative (-1: all "
            "cores), or None"
        )
    n = operator.index(n_jobs)
    return min(n, MOST_JOBS) if n > 0 else max(1, available_cores() + 1 + n)


@contextmanager
def workers(executor: Executor | None, n_jobs: int | None) -> Iterator[tuple[Executor | None, int]]:
    """An executor and how many tasks to keep under way; no executor for a single worker.

    Parameters
    ----------
    executor
        The user's, left open; or None.
    n_jobs
        Threads where there is no executor: None or -1 for every core, -2 for all but one.  With
        one it may ask for more tasks under way than there are cores here.
    """
    n = job_count(n_jobs)
    if executor is not None:
        having(executor, "executor", "submit")
        yield executor, max(n, available_cores())
    elif n == 1:
        yield None, 1
    else:
        pool = ThreadPoolExecutor(n, thread_name_prefix="matrixbayes")
        try:
            yield pool, n
        except BaseException:
            # Ctrl-C reaches the main thread alone, and a block of long rows takes seconds: what is
            # under way ends by itself, and writes to nothing that anybody else sees.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        pool.shutdown()


class _OneBlasThread:
    """A context in which BLAS has one thread, in the whole process; the last to leave ends it.

    Many short products, in workers that are threads already, wait for the threads of BLAS: a search
    takes up to 1.4 times as long on two idle cores, and several times as long on busy ones.
    To look for libraries takes as long as a small fit: it is done again where modules were imported
    since.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._n_modules = Lock(), 0, 0
        self._libraries: ThreadpoolController | None = None
        self._limits: Any = None

    def __enter__(self) -> None:
        from threadpoolctl import ThreadpoolController

        with self._lock:
            if self._inside == 0:
                if self._libraries is None or self._n_modules != len(sys.modules):
                    self._libraries = ThreadpoolController()
                    self._n_modules = len(sys.modules)
                self._limits = self._libraries.limit(limits=1, user_api="blas")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside = max(self._inside - 1, 0)  # none in a child that was forked inside
            if self._inside == 0 and self._limits is not None:
                self._limits.restore_original_limits()

    def in_child(self) -> None:
        """Nobody is in it: of the threads that were, or held the lock, a forked child has none."""
        self._lock = Lock()
        if self._inside > 0 and self._limits is not None:
            self._limits.restore_original_limits()
        self._inside = 0


one_blas_thread = _OneBlasThread()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=one_blas_thread.in_child)


class OneAtATime:
    """A context that one thread may be in; another is refused with the words that it is made with.

    Leaving it takes no memory, so that a change that was made inside is never followed by an error:
    what a generator is made a context of needs some to say that it has ended.
    """

    def __init__(self, refusal: str) -> None:
        self._lock, self._refusal = Lock(), refusal

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise RuntimeError(self._refusal)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._lock.release()


def in_order(
    pool: tuple[Executor | None, int], task: Callable[..., T], arguments: Iterable[tuple[Any, ...]]
) -> Iterator[T]:
    """The results of task(*arguments), in order, with few tasks under way at once."""
    executor, n = pool
    if executor is None:
        yield from (task(*each) for each in arguments)
        return
    under_way: deque[Future[T]] = deque()
    try:
        for each in arguments:
            if len(under_way) >= 2 * n:
                yield under_way.popleft().result()
            under_way.append(executor.submit(task, *each))
        while under_way:
            yield under_way.popleft().result()
    except BrokenExecutor as error:
        error.add_note(
            "a worker of the executor died before its task was done, often for want of memory; the "
            "call has changed nothing: make it again with a new executor"
        )
        raise
    finally:
        for future in under_way:
            future.cancel()


def merge(parts: Iterable[T]) -> T:
    """The sum of parts, in the binary tree that their number and order alone decide."""
    stack: list[tuple[int, T]] = []
    for part in parts:
        level = 0
        while stack and stack[-1][0] == level:
            part = stack.pop()[1] + part  # type: ignore[operator]
            level += 1
        stack.append((level, part))
    if not stack:
        raise ValueError("there is nothing to merge")
    total = stack.pop()[1]
    while stack:
        total = stack.pop()[1] + total  # type: ignore[operator]
    return total
