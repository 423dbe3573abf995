"""Models on accelerators: the order of things, on the CPU; `tools/check_cuda.py` has the rest."""

from __future__ import annotations

import copy
import itertools
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripts import loaded
from toy_models import PROMPTS, WIDTH, cached_model, make_tokenizer

from matrixbayes.huggingface import TokenPredictor, collect, kept
from matrixbayes.huggingface.forward import Batch, Forward
from matrixbayes.huggingface.inside.probe import rounding
from matrixbayes.huggingface.prompts import Prompt
from matrixbayes.huggingface.runs import batches

torch = pytest.importorskip("torch")

IDS = [[1, 2, 3], [4, 5], [6], [7, 0, 1, 2]]


class End:
    """An event that says when it was waited for."""

    def __init__(self, log: list[str], name: str) -> None:
        self.log, self.name = log, name

    def synchronize(self) -> None:
        self.log.append(f"wait {self.name}")


def prompts() -> list[Prompt]:
    return [Prompt(np.array(ids), np.array([len(ids) - 1])) for ids in IDS]


def test_a_batch_is_read_while_the_next_one_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    forward = Forward(cached_model("llama"))
    real = batches._copy

    def call(self: Forward, given: list[Prompt], numbers: list[int]) -> Batch:
        log.append(f"compute {numbers[0]}")
        return real_call(self, given, numbers)

    def begun(batch: Batch, streams: dict[Any, Any]) -> Any:
        name = str(batch.where[0][0])
        log.append(f"copy {name}")
        return batches._Copy(real(batch, streams).batch, [End(log, name)])

    real_call = Forward.__call__
    monkeypatch.setattr(Forward, "__call__", call)
    monkeypatch.setattr(batches, "_copy", begun)
    for numbers, batch in batches.run_batches(forward, prompts(), range(4), 1):
        log.append(f"read {numbers[0]}")
        assert batch.logits.shape == (1, WIDTH)
    order = ["3", "0", "1", "2"]  # the longest first
    expected = [f"compute {order[0]}", f"copy {order[0]}"]
    for before, after in itertools.pairwise(order):
        expected += [f"compute {after}", f"copy {after}", f"wait {before}", f"read {before}"]
    assert log == [*expected, "wait 2", "read 2"]


def test_on_a_cpu_nothing_is_held_back() -> None:
    forward = Forward(cached_model("llama"))
    found = batches._copy(forward(prompts(), range(4)), {})
    assert found.ends == []
    assert found.ended() is found.batch


def test_rows_late_are_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    model = cached_model("llama")
    plain = collect(model, None, IDS, batch_size=2, hidden=True)
    monkeypatch.setattr(batches, "_copy", lambda batch, _: batches._Copy(batch, [End([], "")]))
    late = collect(model, None, IDS, batch_size=2, hidden=True)
    np.testing.assert_array_equal(late.log_probs, plain.log_probs)
    np.testing.assert_array_equal(late.hidden, plain.hidden)


def test_where_no_memory_can_be_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(torch, "empty", refuse)
    tensor, ends = torch.ones(2, 3), []
    assert batches._pinned(tensor, {}, ends) is tensor
    assert ends == []


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_numbers_travel_in_the_models_own_type(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = copy.deepcopy(cached_model("llama")).to(getattr(torch, dtype))
    seen = []
    real = batches._copy
    monkeypatch.setattr(batches, "_copy", lambda b, s: seen.append(b) or real(b, s))
    rows = collect(model, None, IDS, hidden=True)
    (batch,) = seen
    assert batch.logits.dtype == batch.hidden.dtype == getattr(torch, dtype)
    assert rows.hidden is not None
    assert rows.hidden.dtype == np.float32
    assert rows.log_probs.dtype == (np.float64 if dtype == "float64" else np.float32)


@pytest.mark.parametrize("asked", [{}, {"vocab": [1, 2]}, {"positions": "all", "hidden": True}])
def test_rows_read_in_tasks_are_the_rows(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer = cached_model("llama"), make_tokenizer()
    plain = collect(model, tokenizer, PROMPTS, **asked)
    monkeypatch.setattr(kept, "BLOCK", 2 * WIDTH)
    monkeypatch.setattr(kept, "available_cores", lambda: 4)
    names = set()
    real = kept.Kept._take

    def take(self: Any, *given: Any) -> None:
        names.add(threading.current_thread().name)
        real(self, *given)

    monkeypatch.setattr(kept.Kept, "_take", take)
    tasks = collect(model, tokenizer, PROMPTS, **asked)
    np.testing.assert_array_equal(tasks.log_probs, plain.log_probs)
    if plain.hidden is not None:
        np.testing.assert_array_equal(tasks.hidden, plain.hidden)
    assert tasks.meta["rest"] == plain.meta["rest"]
    assert all(name.startswith("matrixbayes") for name in names)


def test_an_error_in_a_task_names_the_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    model = cached_model("llama")
    monkeypatch.setattr(kept, "BLOCK", WIDTH)

    def spoil(module: Any, args: Any, output: Any) -> None:
        output.logits[2:] = float("nan")

    hook = model.register_forward_hook(spoil)
    try:
        with pytest.raises(ValueError, match=r"logits for prompt 1 after position 1"):
            collect(model, None, IDS)  # which are run as 3, 0, 1, 2
    finally:
        hook.remove()


@pytest.mark.parametrize(("setting", "limit"), [("highest", 1e-3), ("high", 0.05), ("medium", 0.3)])
def test_what_rounding_explains_where_products_are_coarser(setting: str, limit: float) -> None:
    forward = Forward(cached_model("llama"))
    double = Forward(copy.deepcopy(cached_model("llama")).double())
    logits = torch.zeros(1)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(setting)
    try:
        assert kept.tolerance(forward) == limit
        assert kept.tolerance(double) == 1e-6
        eps = {"highest": 2.0**-23, "high": 2.0**-10, "medium": 2.0**-7}[setting]
        assert rounding(logits) == eps
        assert rounding(logits.double()) == 2.0**-52
    finally:
        torch.set_float32_matmul_precision(before)


def test_a_predictor_copies_its_columns_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = batches._copy
    monkeypatch.setattr(batches, "_copy", lambda b, s: seen.append(b) or real(b, s))
    predictor = TokenPredictor(cached_model("llama"), [1, 4, 2], prefix=[8])
    assert predictor.predict([[0], [1, 2]]).shape == (2, 3)
    assert [batch.logits.shape for batch in seen] == [(2, 3)]


def test_the_check_of_accelerators_on_a_cpu(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    check = loaded(Path(__file__).parents[2] / "tools" / "check_cuda.py")
    monkeypatch.setattr(check, "DTYPES", ("bfloat16",))
    assert check.main(["--device", "cpu", "--small", "--prompts", "20"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("on the CPU: no CUDA device, and nothing here is proof of one\n")
    for line in (
        "ok   bfloat16 rows against the CPU's",
        "ok   bfloat16 sample",
        "going on with at",
    ):
        assert line in said
    assert "20 prompts of 8 to 40 tokens" in said
    assert "BAD" not in said
    report = check.Report()
    report.within("something", 2.0, 1.0)
    assert report.failed == ["something"]
