"""Models, tokenizers and machines that are not what they should be, each said in a sentence."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from toy_models import PROMPTS, cached_model, make_tokenizer

import matrixbayes as mb
from matrixbayes.huggingface import answers, boundary, demo, memory
from matrixbayes.huggingface.forward import Batch
from matrixbayes.huggingface.inside import faults, probe
from matrixbayes.huggingface.inside.outputs import logits_of
from matrixbayes.huggingface.prompts import positions_of
from matrixbayes.huggingface.runs import batches, cache, found
from matrixbayes.huggingface.spellings import pieces_of, size_of

torch = pytest.importorskip("torch")


# --- tokenizers


@pytest.mark.parametrize(
    ("tokenizer", "error", "why"),
    [
        (object(), TypeError, "without get_vocab"),
        ([("a", 0)], TypeError, "gave list, not a dictionary"),
        ({"a": 0.5}, TypeError, "has 'a' with the id 0.5"),
        ({5: 0}, TypeError, "has 5 with the id 0"),
        ({"a": -1}, ValueError, "has 'a' with the id -1"),
    ],
)
def test_vocabularies_that_are_none(tokenizer: Any, error: Any, why: str) -> None:
    if isinstance(tokenizer, (list, dict)):
        vocabulary = tokenizer
        tokenizer = SimpleNamespace(get_vocab=lambda: vocabulary)
    with pytest.raises(error, match=why):
        pieces_of(tokenizer)


def test_the_size_of_a_vocabulary_is_beyond_its_highest_id() -> None:
    assert size_of(SimpleNamespace(get_vocab=lambda: {"a": 0, "b": 6})) == 7
    assert size_of(SimpleNamespace(get_vocab=dict)) == 0


class Fast:
    """A tokenizer that takes texts one by one, and knows its own ids."""

    is_fast = True
    all_special_ids = ()

    def __call__(self, texts: list[str], **_: Any) -> Any:
        raise Exception("one of them is no text")

    def encode(self, text: str, **_: Any) -> list[int]:
        if "?" in text:
            raise Exception("no such text")
        return [ord(c) for c in text]

    def decode(self, ids: list[int], **_: Any) -> str:
        if min(ids) < 0:
            raise Exception("no such id")
        return "".join(map(chr, ids))


def test_a_text_that_cannot_be_encoded_is_left_out_alone() -> None:
    assert boundary.encode_all(Fast(), ["ab", "?", "c"]) == [(97, 98), None, (99,)]


def test_ids_are_a_text_where_the_tokenizer_makes_them_of_it() -> None:
    assert boundary._of_ids(Fast(), [97, 98]) == ("ab", (97, 98))
    assert boundary._of_ids(Fast(), [97, -1]) is None

    class Beginning(Fast):
        """The first two tokens of any text are others."""

        def encode(self, text: str, **_: Any) -> list[int]:
            return [1, 2, *(ord(c) for c in text[2:])]

    long = [97] * (boundary.TAIL + 1)
    text, own = boundary._of_ids(Beginning(), long) or ("", ())
    assert text == "a" * boundary.TAIL
    assert own[:2] == (1, 2)
    assert boundary._of_ids(Beginning(), long[:50]) is None


def test_names_of_what_has_none() -> None:
    columns = answers._every_token(["a", answers.UNUSED, None], 3)
    assert columns.tokens == ("a", answers.UNUSED, f"<{answers.UNUSED}>")


def test_a_tuple_of_ids_is_an_answer_named_by_its_text() -> None:
    tokenizer = make_tokenizer()
    names = mb.collect(cached_model("llama"), tokenizer, ["a"]).tokens
    assert names is not None
    rows = mb.collect(cached_model("llama"), tokenizer, ["a"], vocab=[(1, 2), 3])
    assert rows.tokens is not None
    assert rows.tokens[:2] == (names[1] + names[2], names[3])


def test_positions_that_are_none() -> None:
    with pytest.raises(TypeError, match=r"positions\[1\] is 'last'; a prompt's positions"):
        positions_of(["a", "b"], [[0], "last"])


# --- models


@pytest.mark.parametrize(
    ("output", "why"),
    [
        (SimpleNamespace(), "gives a SimpleNamespace without logits"),
        (SimpleNamespace(logits=[0.0]), "gives logits that are a list and no tensor"),
        (SimpleNamespace(logits=torch.zeros(1, dtype=torch.int64)), "logits of torch.int64"),
    ],
)
def test_outputs_without_logits(output: Any, why: str) -> None:
    with pytest.raises(TypeError, match=why):
        logits_of(object(), output)


def test_a_fault_that_nothing_explains_is_said_to_be_none() -> None:
    said = faults.fault_of(torch.nn.Linear(2, 2), lambda: torch.tensor([float("nan")]))
    assert said == "all weights and all that the modules of the model give are finite"


def test_no_row_is_a_distribution_over_nothing() -> None:
    with pytest.raises(ValueError, match=r"rows? .*shape|shape \(N, V\)"):
        Batch(np.zeros((0, 0)), None, []).log_probs()


def test_logits_of_other_shapes_do_not_agree() -> None:
    assert not probe.agree(torch.zeros(2), torch.zeros(3))


def test_an_offset_is_part_of_what_follows_the_scores() -> None:
    tail = probe.Tail(2.0, None, torch.tensor([1.0, -1.0]), 2, torch.float32)
    assert tail(torch.tensor([3.0, 4.0, 9.0])).tolist() == [7.0, 7.0]


def test_a_release_with_one_precision_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends, "mkldnn", SimpleNamespace())
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "medium")
    assert probe.product_type("cpu") == "bfloat16"


def test_weights_without_numbers_are_told_by_their_type() -> None:
    assert cache._sample(5) == b"int"


def test_batches_of_another_width_are_refused() -> None:
    """Logits that widen from text to text are of no one vocabulary."""
    widths = iter([5, 6])

    def forward(prompts: Any, numbers: Any) -> Batch:
        return Batch(torch.zeros(len(prompts), next(widths)), None, [])

    run = batches._halving(forward, [[0], [0]], [0, 1], [[0], [1]], pytest.fail)  # type: ignore[arg-type]
    assert next(run)[1].width == 5
    with pytest.raises(ValueError, match=r"are over 6 tokens, and those before are over 5"):
        next(run)


# --- machines


def test_free_memory_of_systems_that_say_it_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "Path", lambda _: tmp_path / "nothing")
    pages = {"SC_AVPHYS_PAGES": 10, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)
    assert memory._free_on_machine() == 40_960
    monkeypatch.delattr(os, "sysconf")
    assert memory._free_on_machine() is None


def test_free_memory_of_a_container(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "Path", lambda _: tmp_path)
    assert memory._free_in_group() is None
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 200\n")
    assert memory._free_in_group() == 500  # what files keep there is given back
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._free_in_group() is None


class Device:
    """What torch.cuda has, of a machine without it, and in which order it is called."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def Stream(self, device: Any) -> Any:
        self.calls.append(f"stream on {device}")
        return self

    def stream(self, stream: Any) -> Any:
        return self

    current_stream = stream

    def wait_stream(self, other: Any) -> None:
        self.calls.append("wait")

    def record_event(self) -> Any:
        self.calls.append("event")
        return SimpleNamespace(synchronize=lambda: self.calls.append("synchronize"))

    def __enter__(self) -> None:
        self.calls.append("enter")

    def __exit__(self, *_: Any) -> None:
        self.calls.append("exit")


def test_tensors_of_a_device_are_copied_on_a_stream_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The order of calls by a stand-in; tests of accelerators hold the numbers on a true one."""
    device, make = Device(), torch.empty
    monkeypatch.setattr(torch, "cuda", device)
    monkeypatch.setattr(torch, "empty", lambda shape, dtype, pin_memory: make(shape, dtype=dtype))

    class OnDevice(torch.Tensor):
        is_cuda = True

        def record_stream(self, stream: Any) -> None:
            device.calls.append("record")

    logits = torch.arange(6.0).reshape(2, 3).as_subclass(OnDevice)
    copy = batches._copy(Batch(logits, None, []), {})
    assert device.calls == ["stream on cpu", "wait", "enter", "event", "exit", "record"]
    assert copy.ended().logits.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert device.calls[-1] == "synchronize"


def test_what_a_device_keeps_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append("empty"))
    batches._give_back("cuda")
    assert calls == ["empty"]


# --- what is drawn, and tables


def test_findings_are_a_table_and_a_picture() -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("matplotlib")
    from matplotlib import pyplot

    report = mb.preflight(cached_model("llama"), None, [[1, 2], [3]])
    frame = report.to_pandas()
    assert list(frame.columns) == ["level", "message"]
    assert frame["message"].tolist() == [finding.message for finding in report.findings]
    ax = report.plot()
    pyplot.close(ax.figure)
    assert found._seconds_text(240.0) == "4 min"
    assert found._seconds_text(9000.0) == "2.5 h"


def test_layers_are_a_table_and_a_picture() -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("matplotlib")
    from matplotlib import pyplot

    rows = mb.collect(cached_model("llama"), None, [[1, 2], [3]], layers="all")
    frame = rows.to_pandas()
    assert list(frame.columns) == ["layer", "row", "entropy", "divergence"]
    np.testing.assert_array_equal(frame["entropy"], rows.entropy().ravel())
    ax = rows.plot()
    pyplot.close(ax.figure)


def test_a_head_is_a_table_and_a_picture() -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("matplotlib")
    from matplotlib import pyplot

    head = mb.Head(cached_model("llama"))
    frame = head.to_pandas()
    np.testing.assert_allclose(frame["norm"], np.linalg.norm(head.matrix, axis=1), rtol=1e-6)
    assert not frame["bias"].any()
    ax = head.plot()
    pyplot.close(ax.figure)
    assert head.projection == ()


def test_a_folder_need_not_record_a_prior(tmp_path: Path) -> None:
    assert demo.recorded_prior(tmp_path) is None


def test_rows_that_take_more_than_is_free_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from matrixbayes.huggingface import preflight_report

    monkeypatch.setattr(preflight_report, "available_memory", lambda: 100)
    report = mb.preflight(cached_model("llama"), make_tokenizer(), PROMPTS)
    assert not report.ok
    assert "and 100 bytes are free: use vocab=" in str(report)
