"""What takes workers finds the same bits with 1, 2 or 5 of them, and with any executor.

The walk is that of all public callables: those with a parameter `n_jobs` or `executor`.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from reliability import cases
from reliability.pairs import as_bits


def takes_workers(name: str) -> bool:
    member = cases.public()[name]
    try:
        known = inspect.signature(getattr(member.owner, member.name)).parameters
    except (TypeError, ValueError):
        return False
    return "n_jobs" in known


def found(name: str, **workers: Any) -> Any:
    call = cases.call_of(name)
    assert call is not None
    given = {key: value for key, value in call.kwargs.items() if key not in ("n_jobs", "executor")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = call.function(*call.args, **given | workers)
    return as_bits(result, getattr(call.function, "__self__", None))


@pytest.mark.promise(18)
def test_any_number_of_workers_finds_the_same(
    many_blocks: Any, figure: Callable[[str], None]
) -> None:
    pytest.importorskip("torch")
    names = [name for name in sorted(cases.public()) if takes_workers(name)]
    assert len(names) > 5
    ran, wrong = [], []
    for name in names:
        try:
            one = found(name, n_jobs=1)
        except pytest.skip.Exception:
            continue
        others = [found(name, n_jobs=2), found(name, n_jobs=5)]
        member = cases.public()[name]
        if "executor" in inspect.signature(getattr(member.owner, member.name)).parameters:
            with ThreadPoolExecutor(3) as executor:
                others.append(found(name, executor=executor))
        ran.append(name)
        wrong += [name] * any(other != one for other in others)
    assert not wrong
    figure(f"{len(ran)} callables with 1, 2 and 5 workers and an executor: the same bits")
