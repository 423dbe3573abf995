"""Batches in what memory there is: halved where it runs out, and the rows are the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from toy_models import cached_model

from matrixbayes.huggingface import TokenPredictor, collect, preflight
from matrixbayes.huggingface.memory import is_out_of_memory

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(3)
LENGTHS = [3, 9, 4, 9, 2, 7, 9, 5, 6, 9, 1, 8]
IDS = [RNG.integers(0, 8, length).tolist() for length in LENGTHS]
ERRORS = [
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate"
                 " memory: you tried to allocate 4611686018427387904 bytes."),
    RuntimeError("MPS backend out of memory (MPS allocated: 1.00 GB)"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    MemoryError(),
]  # fmt: skip


class Small:
    """A model that takes no more than some tokens at once."""

    def __init__(self, model: Any, error: BaseException) -> None:
        self.room, self.error = 1 << 30, error
        self.seen: list[tuple[int, int]] = []
        model.register_forward_pre_hook(self, with_kwargs=True)

    def __call__(self, module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        shape = tuple(kwargs["input_ids"].shape)
        if kwargs["input_ids"].tolist() == [[0, 1, 2, 3]]:
            return  # the head is tried out
        self.seen.append(shape)
        if shape[0] * shape[1] > self.room:
            raise self.error


@pytest.fixture(params=ERRORS, ids=["cuda", "cpu", "mps", "cublas", "python"])
def small(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Small]]:
    model = cached_model("llama")
    before = dict(model._forward_pre_hooks)
    yield model, Small(model, request.param)
    for handle in set(model._forward_pre_hooks) - set(before):
        del model._forward_pre_hooks[handle]
        model._forward_pre_hooks_with_kwargs.pop(handle, None)


def test_batches_are_halved_until_they_fit(small: tuple[Any, Small]) -> None:
    model, hook = small
    alone = collect(model, None, IDS, batch_size=1, hidden=True)
    hook.room, hook.seen = 20, []
    with pytest.warns(UserWarning, match=r"no memory on cpu for 8 prompts of up to 9 tokens") as w:
        rows = collect(model, None, IDS, batch_size=8, hidden=True)
    assert len(w) == 1  # told once
    np.testing.assert_allclose(rows.log_probs, alone.log_probs, atol=1e-5)
    np.testing.assert_allclose(rows.hidden, alone.hidden, atol=1e-5)
    assert rows.meta["prompt"] == list(range(len(IDS)))
    assert hook.seen[:3] == [(8, 9), (4, 9), (2, 9)]  # the longest first
    assert all(n <= 2 for n, _ in hook.seen[2:])
    assert sum(n for n, _ in hook.seen[2:]) == len(IDS)


def test_a_prompt_that_does_not_fit_alone(small: tuple[Any, Small]) -> None:
    model, hook = small
    hook.room = 8
    with (
        pytest.warns(UserWarning, match="no memory"),
        pytest.raises(MemoryError, match=r"prompt 1 alone, with its 9 tokens: shorten it"),
    ):
        collect(model, None, IDS)
    with pytest.raises(MemoryError, match="prompt 0 alone, with its 9 tokens and 9 rows of it"):
        collect(model, None, IDS[1:2], positions="all")


def test_preflight_says_that_batches_will_be_halved(small: tuple[Any, Small]) -> None:
    model, hook = small
    assert preflight(model, None, IDS).ok
    hook.room = 20
    report = preflight(model, None, IDS)
    assert report.ok
    assert "note: no memory on cpu for 8 prompts of up to 9 tokens at once: going on with" in str(
        report
    )
    assert report.max_difference is not None
    hook.room = 8
    report = preflight(model, None, IDS)
    assert [f.level for f in report.findings][:2] == ["error", "note"]
    assert "prompt 1 alone, with its 9 tokens: shorten it" in report.findings[0].message


def test_a_predictor_goes_on_in_smaller_batches(small: tuple[Any, Small]) -> None:
    model, hook = small
    predictor = TokenPredictor(model, range(8), prefix=[8])
    plain = predictor.predict(IDS)
    hook.room = 20
    with pytest.warns(UserWarning, match="going on with at most") as w:
        rows = predictor.predict(IDS)
    assert len(w) == 1
    np.testing.assert_allclose(rows, plain, atol=1e-5)


def test_the_warning_is_where_the_call_is(small: tuple[Any, Small]) -> None:
    model, hook = small
    hook.room = 20
    with pytest.warns(UserWarning, match="going on") as w:
        collect(model, None, IDS)
    assert w[0].filename == __file__


def test_other_errors_are_not_about_memory() -> None:
    model = cached_model("llama")
    hook = model.register_forward_pre_hook(
        lambda *_: (_ for _ in ()).throw(RuntimeError("expected scalar type Half"))
    )
    try:
        with pytest.raises(RuntimeError, match="scalar type Half"):
            collect(model, None, IDS)
    finally:
        hook.remove()
    assert not is_out_of_memory(ValueError("out of memory"))


def test_the_true_error_of_the_allocator() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert is_out_of_memory(caught.value)
