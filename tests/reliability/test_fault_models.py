"""A language model that fails, in its n-th pass: the prompt is named, and model and rows are kept.

See test_faults.py, which looks for callables without a case.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import matrixbayes as mb

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

pytestmark = [
    pytest.mark.promise(22),
    pytest.mark.no_sanitizer,
    pytest.mark.filterwarnings("ignore"),
]

PROMPTS = ["red red", "black white black", "red", "white white red black", "black red"]
GONE = OSError("the disk is gone")


class Fault:
    """A hook that spoils the output from the n-th pass on."""

    def __init__(self, spoil: Callable[[Any], Any], at: int) -> None:
        self.spoil, self.left = spoil, at

    def __call__(self, module: Any, given: Any, output: Any) -> Any:
        self.left -= 1
        return output if self.left > 0 else self.spoil(output)


def logits(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def spoil(output: Any) -> Any:
        output.logits = change(output.logits)
        return output

    return spoil


def one_is_nan(found: Any) -> Any:
    return torch.where(torch.arange(found.shape[-1]) == 1, float("nan"), found)


def raises(error: BaseException) -> Callable[[Any], Any]:
    def spoil(output: Any) -> Any:
        raise error

    return spoil


NO_MEMORY = torch.OutOfMemoryError("no memory on the device")
# What is wrong, what comes out, and what it says; {p} is the prompt.
FAULTS: list[tuple[str, Callable[[Any], Any], type[BaseException], str]] = [
    ("NaN", logits(one_is_nan), ValueError, "{p}.*column 1 is NaN"),
    ("infinity", logits(lambda x: x + float("inf")), ValueError, "{p}.*is inf"),
    ("no token", logits(lambda x: x - float("inf")), ValueError, "{p}.*-inf everywhere"),
    ("flat", logits(lambda x: x[0]), ValueError, r"(?s)of shape \(\d, 10\).*{p}"),
    ("fewer texts", logits(lambda x: x[:0]), ValueError, r"(?s)of shape \(0, .*{p}"),
    ("whole numbers", logits(lambda x: x.long()), TypeError, "(?s)int64.*{p}"),
    ("complex", logits(lambda x: x.to(torch.complex64)), TypeError, "(?s)complex64.*{p}"),
    ("bool", logits(lambda x: x > 0), TypeError, "(?s)torch.bool.*{p}"),
    ("None", logits(lambda x: None), TypeError, "(?s)without logits.*{p}"),
    ("text", logits(lambda x: "abc"), TypeError, "(?s)a str and no tensor.*{p}"),
    ("array", logits(lambda x: x.numpy()), TypeError, "(?s)ndarray and no tensor.*{p}"),
    ("a tuple", lambda output: (output.logits,), TypeError, "(?s)a tuple without logits.*{p}"),
    ("a dictionary", lambda _: {}, TypeError, "(?s)a dict without logits.*{p}"),
    ("no memory", raises(NO_MEMORY), MemoryError, "{p} alone"),
    ("no memory here", raises(MemoryError("none")), MemoryError, "{p} alone"),
    ("raises", raises(GONE), OSError, "(?s)gone.*{p}"),
    ("StopIteration", raises(StopIteration()), RuntimeError, "{p}.*StopIteration"),
]
# Of another vocabulary in the midst of a run; from the first pass on it is that of the model.
LATE = [
    ("wide", logits(lambda x: torch.cat([x, x], -1)), ValueError, "{p} are over 20 tokens"),
    ("narrow", logits(lambda x: x[..., :5]), ValueError, "{p} are over 5 tokens.*before are over"),
]


@pytest.fixture(scope="module")
def demo() -> Any:
    return mb.load_demo()


def kept(model: Any) -> tuple[Any, ...]:
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    return hooks, weights, model.training


def check(
    model: Any, spoil: Any, at: int, call: Callable[[], object], error: Any, says: str
) -> None:
    """The error, and a model with the hooks and weights that it had."""
    before, there = kept(model), {*threading.enumerate()}
    hook = model.register_forward_hook(Fault(spoil, at))
    try:
        with pytest.raises(error) as caught:
            call()
    finally:
        hook.remove()
    said = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", ())])
    assert re.search(says, said), said
    after = kept(model)
    assert after[::2] == before[::2]
    assert all(torch.equal(after[1][name], value) for name, value in before[1].items())
    left = {*threading.enumerate()} - there
    assert not [thread for thread in left if thread.name.startswith("matrixbayes")]


@pytest.mark.parametrize("at", [1, 4])
def test_collect(demo: Any, at: int, tmp_path: Path, figure: Callable[[str], None]) -> None:
    """Rows that were finished are in the cache, and the next call gives what one would have."""
    model, tokenizer = demo.model, demo.tokenizer
    whole = mb.collect(model, tokenizer, PROMPTS, batch_size=1)
    prompt = {1: "prompt 3", 4: "prompt 4"}[at]  # the longest is first
    faults = FAULTS + (LATE if at > 1 else [])
    for name, spoil, error, says in faults:
        folder = tmp_path / f"{name} {at}"

        def call(folder: Path = folder) -> object:
            return mb.collect(model, tokenizer, PROMPTS, batch_size=1, cache_dir=folder)

        check(model, spoil, at, call, error, says.replace("{p}", prompt))
        written = [*folder.glob("*/*.safetensors")]
        assert len(written) == (at > 1)  # what was done before
        assert not [*folder.glob("*/.*")]
        np.testing.assert_array_equal(call().log_probs, whole.log_probs)  # type: ignore[attr-defined]
    figure(f"{len(faults)} faults of a model in pass {at}: the prompt named, finished rows kept")


def test_layers_predictors_and_texts(demo: Any, figure: Callable[[str], None]) -> None:
    model, tokenizer = demo.model, demo.tokenizer
    texts, ran = ["red red", "black red"], 0
    predictor = mb.TokenPredictor(model, range(8), prefix=[8])
    expected = predictor([[1, 2, 3]])
    for name, spoil, error, says in FAULTS:
        said = says.replace("{p}", r"prompts? \[?\d[\d, ]*\]?")
        check(model, spoil, 1, lambda: predictor([[1, 2, 3]]), error, said)
        np.testing.assert_array_equal(predictor([[1, 2, 3]]), expected)
        rate = lambda: mb.bits_per_byte(model, texts, tokenizer, batch_size=1)  # noqa: E731
        check(model, spoil, 1, rate, error, said)
        ran += 2
        if name not in ("NaN", "infinity", "no token"):
            collect = lambda: mb.collect(  # noqa: E731
                model, tokenizer, PROMPTS, batch_size=1, layers="all"
            )
            check(model, spoil, 1, collect, error, said)
            ran += 1
    narrow = LATE[1][1]
    check(model, narrow, 1, lambda: predictor([[1, 2, 3]]), ValueError, "over 5 tokens")
    figure(f"{ran} faults of a model in layers, predictors and texts")


@pytest.mark.parametrize(
    ("what", "error"), [("raises", OSError), ("None", (TypeError, ValueError))]
)
def test_what_looks_into_a_model(demo: Any, what: str, error: Any) -> None:
    """Refused with a sentence, or what the model raised."""
    model, tokenizer = demo.model, demo.tokenizer
    (spoil,) = [spoil for name, spoil, *_ in FAULTS if name == what]
    check(model, spoil, 1, lambda: mb.preflight(model, tokenizer, PROMPTS), error, "gone|logits")
    check(model, spoil, 1, lambda: mb.embed_of(model, [1, 2])([[0.0] * 32]), error, "gone|logits")
    check(
        model, spoil, 1, lambda: mb.elicit(model, tokenizer, ["red", "black"]), error, "gone|logits"
    )


def test_a_cache_that_is_damaged(demo: Any, tmp_path: Path) -> None:
    """It is told, taken away, and made again."""
    model, tokenizer = demo.model, demo.tokenizer
    whole = mb.collect(model, tokenizer, PROMPTS, cache_dir=tmp_path)
    (file,) = tmp_path.glob("*/*.safetensors")
    sound = file.read_bytes()
    for bad in (b"", sound[:100], sound[:-1], sound.replace(b"matrixbayes", b"matrixBayes"), b"x"):
        file.write_bytes(bad)
        with pytest.warns(UserWarning, match="a file of the cache is damaged"):
            again = mb.collect(model, tokenizer, PROMPTS, cache_dir=tmp_path)
        np.testing.assert_array_equal(again.log_probs, whole.log_probs)
        assert file.read_bytes()[:8] == sound[:8]
    taken = tmp_path / "a file"
    taken.write_text("")
    with pytest.raises(OSError, match="a file"):
        mb.collect(model, tokenizer, PROMPTS, cache_dir=taken)
