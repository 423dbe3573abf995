"""Prove that everything takes a model on a CUDA device, and measure what it takes there.

    python tools/check_cuda.py                    # the first CUDA device, or the CPU where none is
    python tools/check_cuda.py --prompts 2000     # a shorter measurement
    python tools/check_cuda.py --small            # models and prompts of a few kilobytes

First a tiny Llama of random weights in three types: rows, hidden states, head, embeddings,
predictions and samples of the device against those of the CPU or against torch's own logits, in
batches that are halved where memory runs out, and with a cache.  Then the time of collecting
10,000 prompts at V = 151,936 from a random model of half a billion parameters, its configuration
that of a small Qwen, with the shares of the forward pass, the copy and the ingestion in C.

It prints a line for each, and ends with 1 where one is not as it must be.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from scipy.special import log_softmax
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

import matrixbayes as mb
from matrixbayes.huggingface.forward import Forward
from matrixbayes.huggingface.kept import Kept
from matrixbayes.huggingface.runs import batches

WIDTH = 1000
DTYPES = ("float32", "bfloat16", "float16")
ROUNDING = {"float32": 1e-4, "bfloat16": 0.3, "float16": 0.05}  # device against CPU, in nats


def tiny_llama() -> Any:
    """A Llama of 200,000 random parameters on the CPU, wide enough for rows to differ."""
    torch.manual_seed(20)
    config = LlamaConfig(
        vocab_size=WIDTH,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
    )
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(4.0)
    return model


def small_qwen(small: bool) -> Any:
    """A random model with the configuration of Qwen2-0.5B, or a toy of it."""
    torch.manual_seed(20)
    config = Qwen2Config(
        vocab_size=2000 if small else 151_936,
        hidden_size=64 if small else 896,
        intermediate_size=96 if small else 4864,
        num_hidden_layers=2 if small else 24,
        num_attention_heads=4 if small else 14,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
    )
    return Qwen2ForCausalLM(config).eval()


def make_prompts(n: int, longest: int, width: int) -> list[list[int]]:
    """Random token ids, of 8 tokens to the longest."""
    rng = np.random.default_rng(1)
    return [rng.integers(0, width, size).tolist() for size in rng.integers(8, longest + 1, n)]


class Report:
    """Lines of what was found, and whether all of it is as it must be."""

    def __init__(self) -> None:
        self.failed: list[str] = []

    def within(self, name: str, found: float, limit: float) -> None:
        """A difference, and the most that it may be."""
        good = bool(found <= limit)
        print(
            f"  {'ok  ' if good else 'BAD '} {name}: {found:.2g} (at most {limit:.2g})", flush=True
        )
        if not good:
            self.failed.append(name)

    def true(self, name: str, good: bool, said: str = "") -> None:
        """Something that must be so."""
        print(f"  {'ok  ' if good else 'BAD '} {name}{': ' * bool(said)}{said}", flush=True)
        if not good:
            self.failed.append(name)


def away(a: Any, b: Any) -> float:
    """The largest difference."""
    return float(np.abs(np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)).max())


# --- what it says


def check_rows(report: Report, host: Any, model: Any, dtype: str) -> None:
    """Rows, hidden states, columns and the head."""
    prompts = make_prompts(40, 60, WIDTH)
    limit = ROUNDING[dtype]
    ours, theirs = (
        mb.collect(each, None, prompts, positions=[-1, 3], hidden=True) for each in (model, host)
    )
    report.within(f"{dtype} rows against the CPU's", away(ours.log_probs, theirs.log_probs), limit)
    assert ours.hidden is not None
    assert theirs.hidden is not None
    size = float(np.abs(theirs.hidden).max())
    eps = torch.finfo(getattr(torch, dtype)).eps
    difference = away(ours.hidden, theirs.hidden)
    report.within(f"{dtype} hidden states against the CPU's", difference / size, 64 * eps)

    alone = mb.collect(model, None, prompts[:8], batch_size=1)
    device = next(model.parameters()).device
    exact = []
    for prompt in prompts[:8]:
        with torch.no_grad():
            logits = model(torch.tensor([prompt], device=device), use_cache=False).logits[0, -1]
        exact.append(log_softmax(logits.cpu().double().numpy()))
    # the same kernels need not run for one row of logits and for all
    report.within(f"{dtype} rows against torch's logits", away(alone.log_probs, exact), limit / 2)

    groups: dict[str, Any] = {"a": [1, 2, 3], "b": 7}
    lumped = mb.collect(model, None, prompts, vocab=groups)
    summed = np.exp(ours.log_probs[::2, 1:4].astype(float)).sum(axis=1)
    report.within(f"{dtype} answers", away(lumped.log_probs[:, 0], np.log(summed)), limit)

    head = mb.head_of(model, norm=False)
    again = log_softmax(np.asarray(head(ours.hidden)), axis=1)
    report.within(f"{dtype} head of the hidden states", away(again, ours.log_probs), limit)
    report.true(f"{dtype} preflight", mb.preflight(model, None, prompts).ok)


def check_functions(report: Report, host: Any, model: Any, dtype: str) -> None:
    """Embeddings, predictions and samples."""
    limit = ROUNDING[dtype]
    words = host.get_input_embeddings().weight.detach().float().numpy()[5:9]
    ours, theirs = (
        log_softmax(np.asarray(mb.embed_of(each, [3, 4, 5])(words)), axis=1)
        for each in (model, host)
    )
    report.within(f"{dtype} embed_of", away(ours, theirs), limit)

    predictor, other = (mb.TokenPredictor(each, range(20), prefix=[8]) for each in (model, host))
    histories = [[1, 2, 3], [4], [], [7, 7, 7, 7, 9]]
    found, expected = predictor.predict(histories), other.predict(histories)
    report.within(f"{dtype} predict", away(found, expected), limit)
    sample = predictor.sample(6, 12, history=[3, 1], rng=0)
    report.true(f"{dtype} sample", sample.shape == (6, 12) and bool((sample < 20).all()))
    scored = predictor(np.concatenate([np.tile([3, 1], (6, 1)), sample], axis=1))
    report.true(f"{dtype} predictions of the sample", bool(np.isfinite(scored).all()))


def check_memory(report: Report, model: Any) -> None:
    """Batches are halved where memory runs out, and the rows are the same."""
    on_device = next(model.parameters()).device.type == "cuda"
    prompts = make_prompts(48, 1024 if on_device else 32, WIDTH)
    asked: dict[str, Any] = {"positions": list(range(8)), "batch_size": 48}
    plain = mb.collect(model, None, prompts, **asked)
    with scarce(model, prompts), warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        rows = mb.collect(model, None, prompts, **asked)
    said = [str(each.message) for each in told if "going on with" in str(each.message)]
    report.true("memory that runs out halves the batch", len(said) == 1, "".join(said))
    report.within("rows of halved batches", away(rows.log_probs, plain.log_probs), 1e-3)


@contextmanager
def scarce(model: Any, prompts: list[list[int]]) -> Iterator[None]:
    """Less memory than all these prompts need at once: of the device, on the CPU in play."""
    device = next(model.parameters()).device
    if device.type != "cuda":

        def refuse(module: Any, args: Any, given: dict[str, Any]) -> None:
            if len(given["input_ids"]) > len(prompts) // 2:
                raise torch.cuda.OutOfMemoryError("out of memory, in play")

        hook = model.register_forward_pre_hook(refuse, with_kwargs=True)
        try:
            yield
        finally:
            hook.remove()
        return
    torch.cuda.empty_cache()
    start = torch.cuda.memory_reserved(device)
    torch.cuda.reset_peak_memory_stats(device)
    mb.collect(model, None, prompts, positions=[0], batch_size=len(prompts))
    peak = torch.cuda.max_memory_reserved(device)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction((start + 0.6 * (peak - start)) / total, device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)


def check_cache(report: Report, model: Any) -> None:
    """A run that is stopped goes on from its cache."""
    prompts = make_prompts(64, 40, WIDTH)
    plain = mb.collect(model, None, prompts)
    seen = 0

    def stop(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == 5:
            raise KeyboardInterrupt

    with tempfile.TemporaryDirectory() as folder:
        hook = model.register_forward_pre_hook(stop)
        try:
            mb.collect(model, None, prompts, cache_dir=folder)
        except KeyboardInterrupt:
            pass
        finally:
            hook.remove()
        rows = mb.collect(model, None, prompts, cache_dir=folder)
    report.within("rows of a run that went on", away(rows.log_probs, plain.log_probs), 1e-4)


# --- what it takes


def shares(model: Any, prompts: list[list[int]], batch_size: int) -> dict[str, float]:
    """Seconds of the forward pass, the copy and the ingestion, one after another."""
    device = next(model.parameters()).device
    spent = {"forward": 0.0, "copy": 0.0, "ingest": 0.0}

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            start = time.perf_counter()
            found = function(*given)
            wait()
            spent[name] += time.perf_counter() - start
            return found

        return call

    with (
        patch.object(Forward, "__call__", timed("forward", Forward.__call__)),
        patch.object(batches, "_copy", timed("copy", batches._copy)),
        patch.object(Kept, "add", timed("ingest", Kept.add)),
    ):
        mb.collect(model, None, prompts, batch_size=batch_size, progress=False)
    return spent


def measure(device: torch.device, n: int, batch_size: int, small: bool) -> None:
    """The time of collecting n prompts, and where it goes."""
    model = small_qwen(small)
    if device.type == "cuda":
        model = model.to(torch.bfloat16)
    model = model.to(device)
    width = model.config.vocab_size
    prompts = make_prompts(n, 40, width)
    parameters = sum(p.numel() for p in model.parameters())
    dtype = str(model.dtype).removeprefix("torch.")
    print(
        f"collecting {n:,} prompts of 8 to 40 tokens, {sum(map(len, prompts)):,} in all, at V = "
        f"{width:,} from {parameters / 1e6:,.0f} million parameters in {dtype} on {device}, "
        f"{batch_size} at once",
        flush=True,
    )
    some = prompts[: max(batch_size, n // 10)]
    mb.collect(model, None, some[:batch_size], batch_size=batch_size, progress=False)  # warm
    spent = shares(model, some, batch_size)
    total = sum(spent.values())
    for name, seconds in spent.items():
        each = 1e6 * seconds / len(some)
        print(f"  {name}: {each:,.0f} microseconds a prompt, {100 * seconds / total:.0f} %")
    start = time.perf_counter()
    rows = mb.collect(model, None, prompts, batch_size=batch_size, progress=False)
    seconds = time.perf_counter() - start
    moved = n * width * torch.finfo(model.dtype).bits // 8
    print(
        f"  {seconds:.1f} s, {n / seconds:,.0f} prompts a second; {moved / 1e9:.3g} GB moved, "
        f"{rows.log_probs.nbytes / 1e9:.3g} GB of rows; one after another it would be "
        f"{total * n / len(some):.1f} s"
    )
    if device.type == "cuda":
        print(f"  {torch.cuda.max_memory_allocated(device) / 1e9:.2f} GB of the device at most")


def main(arguments: list[str] | None = None) -> int:
    """All checks and the measurement; 1 where something is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", help="cuda, cuda:1, cpu; by default CUDA where it is")
    parser.add_argument("--prompts", type=int, help="how many to take the time of")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--small", action="store_true", help="a toy model for the time")
    given = parser.parse_args(arguments)
    device = torch.device(given.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if device.type == "cuda":
        print(f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}")
    else:
        print(f"on the {device.type.upper()}: no CUDA device, and nothing here is proof of one")
    report = Report()
    for dtype in DTYPES:
        host = tiny_llama().to(getattr(torch, dtype))
        model = copy.deepcopy(host).to(device)
        check_rows(report, host, model, dtype)
        check_functions(report, host, model, dtype)
    model = tiny_llama().to(device)
    check_memory(report, model)
    check_cache(report, model)
    if torch.cuda.device_count() < 2:
        print("  --   models over several devices: there is one at most")
    n = given.prompts or (200 if given.small else 10_000)
    measure(device, n, given.batch_size, given.small)
    print(f"failed: {', '.join(report.failed)}" if report.failed else "all is as it must be")
    return int(bool(report.failed))


if __name__ == "__main__":
    sys.exit(main())
