"""Memory that runs out at any point: a call of the core says so, and works the next time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from leak_cases import CASES

testcapi = pytest.importorskip("_testcapi")

MOST = 1000  # allocations of a call
# What calls Python code of others, which loses errors when memory is short.
OTHERS = {"DirichletMixture.sample_log_probs"}


def succeeds(call: Callable[[], object], first: int, last: int) -> bool:
    """Whether a call ends well where its allocations `first` to `last` fail; 0: all the rest."""
    testcapi.set_nomemory(first, last)
    try:
        call()
    except MemoryError:
        return False
    finally:
        testcapi.remove_mem_hooks()
    return True


@pytest.mark.no_sanitizer  # it stands below the allocators that fail here
@pytest.mark.parametrize("name", sorted(CASES.keys() - OTHERS))
def test_each_allocation_may_fail(name: str) -> None:
    _, call = next(CASES[name]())
    call()
    for first in range(MOST):
        succeeds(call, first, first + 1)  # that one alone: some calls can do without
        if succeeds(call, first, 0):
            break
    else:
        raise AssertionError("it never ends well")
    call()


def test_the_core_asks_the_allocators_that_fail_here() -> None:
    for name in ("Counts", "count_expectation", "expectation", "DirichletMixture.posterior"):
        _, call = next(CASES[name]())
        assert not succeeds(call, 0, 0)
