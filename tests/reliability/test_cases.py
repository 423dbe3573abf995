"""Every public callable has a valid call in cases.py, and that call is one."""

from __future__ import annotations

import warnings

import pytest
from reliability import cases


def test_every_public_callable_has_a_case() -> None:
    pytest.importorskip("torch")
    names = cases.public()
    assert len(names) > 1000
    assert not cases.CALLS.keys() - names.keys() - {"plot", "dask", "study"}
    missing = []
    for name in names.keys() - cases.WITHOUT.keys() - cases.CALLS.keys():
        member = names[name]
        if not isinstance(member.owner, type) or cases.needs_arguments(member):
            missing.append(name)
    assert not missing, "these want a line in CALLS, or a reason in WITHOUT"


def test_a_new_method_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    import matrixbayes as mb

    monkeypatch.setattr(mb.UrnPredictor, "tell", lambda self, what: what, raising=False)
    cases.public.cache_clear()
    try:
        with pytest.raises(KeyError, match=r"UrnPredictor\.tell"):
            cases.call_of("UrnPredictor.tell")
    finally:
        monkeypatch.undo()
        cases.public.cache_clear()


@pytest.mark.parametrize("room", ["quick", pytest.param("slow", marks=pytest.mark.slow)])
def test_each_case_is_a_valid_call(room: str) -> None:
    pytest.importorskip("arviz_base")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in sorted(cases.public()):
            if (name in cases.SLOW or cases.draws(name)) == (room == "slow"):
                try:
                    call = cases.call_of(name)
                    if call is not None:
                        call()
                except pytest.skip.Exception:
                    pass
                except Exception as error:
                    raise AssertionError(name) from error
