"""`preflight`, and what `collect` says about memory and progress."""

from __future__ import annotations

import copy
import io as std_io
import sys
import time
import types
from typing import Any

import pytest
from toy_models import (
    PROMPTS,
    WIDTH,
    cached_model,
    make_tokenizer,
)

from matrixbayes._base import progress as bar_module
from matrixbayes.huggingface import collect, preflight
from matrixbayes.huggingface import memory as progress_module
from matrixbayes.huggingface.forward import Forward

torch = pytest.importorskip("torch")


@pytest.fixture(params=["gpt2", "llama"])
def model(request: pytest.FixtureRequest) -> Any:
    return cached_model(request.param)


# --- memory and progress


def test_memory_is_estimated_before_the_model_runs(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Forward, "__call__", None)
    with pytest.raises(MemoryError, match=r"17 rows of 12 columns \(4 bytes each\).*vocab="):
        collect(model, make_tokenizer(), PROMPTS, positions="all", max_memory=500)
    monkeypatch.setattr(progress_module, "available_memory", lambda: 100)
    with pytest.raises(MemoryError, match="100 bytes are free"):
        collect(model, make_tokenizer(), PROMPTS)


def test_a_large_run_says_its_size(capsys: pytest.CaptureFixture[str]) -> None:
    check = progress_module.check_memory
    assert check(10_000, 50_257, 4, 0, 1 << 40, quiet=False) == 10_000 * 50_257 * 4
    assert "10,000 rows of 50,257 columns (4 bytes each) need 2.01 GB" in capsys.readouterr().err
    check(10_000, 50_257, 4, 0, 1 << 40, quiet=True)
    check(10, 50_257, 4, 0, 1 << 40, quiet=False)
    assert capsys.readouterr().err == ""


def test_free_memory_is_a_sensible_number() -> None:
    free = progress_module.available_memory()
    assert free is None or 1 << 20 < free < 1 << 50


class Terminal(std_io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("progress", "stream", "shown"),
    [
        (True, std_io.StringIO, True),
        (False, Terminal, False),
        (None, std_io.StringIO, False),
        (None, Terminal, False),  # the work is short
    ],
)
def test_the_bar_is_quiet_in_scripts_and_when_work_is_short(
    model: Any, progress: bool | None, stream: Any, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tqdm")
    error = stream()
    monkeypatch.setattr(sys, "stderr", error)
    collect(model, make_tokenizer(), PROMPTS, progress=progress)
    assert ("collect" in error.getvalue()) == shown


@pytest.mark.parametrize("stream", [std_io.StringIO, Terminal])
def test_the_bar_shows_long_work_only_in_a_terminal(
    stream: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tqdm")
    monkeypatch.setattr(bar_module, "DELAY", 1e-3)
    monkeypatch.setattr(sys, "stderr", error := stream())
    with bar_module.bar(2, name="collect") as advance:
        for _ in range(2):
            time.sleep(0.15)
            advance(1)
    assert ("2/2" in error.getvalue()) == (stream is Terminal)


def test_a_notebook_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = types.SimpleNamespace(kernel=object())
    module = types.SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setattr(sys, "stderr", std_io.StringIO())
    for name, watched in ((module, True), (None, False)):
        monkeypatch.setitem(sys.modules, "IPython", name)
        assert bar_module.watched() == watched
    monkeypatch.setattr(sys, "stderr", None)  # pythonw
    assert not bar_module.watched()


def test_no_tqdm_no_bar(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert len(collect(model, make_tokenizer(), PROMPTS, progress=True)) == 5


# --- preflight


def messages(report: Any, level: str) -> str:
    return "\n".join(f.message for f in report.findings if f.level == level)


def test_preflight_of_a_run_without_trouble(model: Any) -> None:
    tokenizer = make_tokenizer()
    report = preflight(model, tokenizer, PROMPTS, positions="all", hidden=True)
    assert report.ok
    assert report.max_difference is not None
    assert report.max_difference < 1e-4
    assert (report.n_rows, report.n_columns, report.n_tokens) == (17, WIDTH, 17)
    rows = collect(model, tokenizer, PROMPTS, positions="all", hidden=True)
    assert report.n_bytes == sum(
        a.nbytes for a in (rows.log_probs, rows.input_ids, rows.hidden) if a is not None
    )
    assert report.seconds is not None
    assert report.seconds > 0
    text = repr(report)
    assert text.startswith("preflight: ready")
    assert "17 rows of 12 columns" in text
    assert "alone against batched" in text
    assert "5 of 5 prompts begin with '<bos>'" in text
    assert "'<pad>' on the left" in text
    assert "float32 on cpu" in text


def test_preflight_collects_every_bad_prompt(model: Any) -> None:
    prompts = ["red", "<bos> red", 3, "red " * 99, "blue"]
    report = preflight(model, make_tokenizer(), prompts)
    assert not report.ok
    errors = messages(report, "error")
    for part in ("prompt 1 begins with '<bos>' twice", "prompt 2 is 3", "prompt 3 has 100 tokens"):
        assert part in errors
    assert report.n_rows == 2
    assert report.max_difference is not None
    many = preflight(model, make_tokenizer(), ["<bos> red"] * 9)
    assert "and 4 more prompts like these" in messages(many, "error")
    assert many.max_difference is None
    assert repr(many).startswith("preflight: not ready")


@pytest.mark.parametrize("prompts", [["red"], ["red"] * 3, [""], ["red " * 30, "blue"]])
def test_preflight_measures_whatever_the_lengths(model: Any, prompts: list[str]) -> None:
    report = preflight(model, make_tokenizer(), prompts, batch_size=1)
    assert report.ok
    assert report.max_difference is not None


def test_preflight_of_a_bad_call(model: Any) -> None:
    for change in ({"vocab": {"a": "red grue"}}, {"positions": "first"}, {"prompts": []}):
        options = {"prompts": ["red"], **change}
        report = preflight(model, make_tokenizer(), options.pop("prompts"), **options)
        assert [f.level for f in report.findings] == ["error"]
    training = copy.deepcopy(model).train()
    assert "training mode" in messages(preflight(training, make_tokenizer(), ["red"]), "error")


def test_preflight_warns() -> None:
    wide, tokenizer = cached_model("gpt2", 20), make_tokenizer()
    report = preflight(wide, tokenizer, ["red grue", [8, 8, 0]])
    warnings = messages(report, "warning")
    assert "prompt 0 holds '<unk>'" in warnings
    assert "prompt 1 begins with '<bos>' (token 8) more than once" in messages(report, "error")
    assert "8 of the 20 columns of the logits have no name" in messages(report, "note")
    narrow = preflight(cached_model("gpt2", 10), tokenizer, ["red"])
    assert "2 tokens that the logits have no column for" in messages(narrow, "warning")
    bare = preflight(wide, make_tokenizer(bos=False, pad=False), ["red"])
    assert "no prompt begins with '<bos>'" in messages(bare, "note")
    assert "padding (none)" in messages(bare, "note")


def test_preflight_finds_a_model_that_looks_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    model = copy.deepcopy(cached_model("llama"))
    real = type(model.model).forward

    def forward(self: Any, *args: Any, **options: Any) -> Any:
        output = real(self, *args, **options)
        state = output.last_hidden_state
        output.last_hidden_state = state + state.flip(1)
        return output

    monkeypatch.setattr(type(model.model), "forward", forward)
    for prompts in (["red blue green white", "red"], ["red blue green", "white white white"]):
        report = preflight(model, make_tokenizer(), prompts)
        assert "no causal model" in messages(report, "warning")
        assert "in a batch" in messages(report, "warning")
        assert not report.ok


def test_preflight_finds_nan() -> None:
    model = copy.deepcopy(cached_model("gpt2"))
    with torch.no_grad():
        model.transformer.wpe.weight[1] = float("nan")
    assert "no distribution" in messages(preflight(model, make_tokenizer(), ["red"]), "error")
