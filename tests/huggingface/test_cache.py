"""`collect(cache_dir=)`: a run that was stopped goes on, and gives what it would have given."""

from __future__ import annotations

import copy
import fcntl
import os
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_models import PROMPTS, cached_model, make_tokenizer

from matrixbayes._base.mapped import open_mapped, write_mapped
from matrixbayes.huggingface import collect
from matrixbayes.huggingface.runs import cache
from matrixbayes.huggingface.runs.cache import model_fingerprint
from matrixbayes.rows import NextTokenRows

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(3)
IDS = [RNG.integers(0, 8, int(n)).tolist() for n in RNG.integers(1, 12, 30)]
IDS[7] = IDS[3]
UNEQUAL = len({tuple(ids) for ids in IDS})  # prompts that are run
ASKED: list[dict[str, Any]] = [
    {},
    {"positions": "all", "hidden": True},
    {"vocab": {"warm": [0, 1, 2], "cold": 4}},
    {"vocab": [0, 3], "other": "renormalize", "hidden": True},
]


class Counted:
    """How many prompts a model reads, and an end to its patience."""

    def __init__(self, model: Any) -> None:
        self.read, self.patience = 0, 1 << 30
        self.handle = model.register_forward_pre_hook(self, with_kwargs=True)

    def __call__(self, module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        if kwargs["input_ids"].tolist() != [[0, 1, 2, 3]]:  # on which the head is tried out
            self.read += len(kwargs["input_ids"])
        if self.read > self.patience:
            raise KeyboardInterrupt


@pytest.fixture
def counted() -> Iterator[tuple[Any, Counted]]:
    model = cached_model("llama")
    counter = Counted(model)
    yield model, counter
    counter.handle.remove()


@pytest.fixture
def each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file to each batch."""
    monkeypatch.setattr(cache, "BLOCK_BYTES", 1)


def assert_same(a: NextTokenRows, b: NextTokenRows) -> None:
    np.testing.assert_array_equal(a.log_probs, b.log_probs)
    np.testing.assert_array_equal(a.input_ids, b.input_ids)
    np.testing.assert_array_equal(a.offsets, b.offsets)
    assert (a.hidden is None) == (b.hidden is None)
    if a.hidden is not None:
        np.testing.assert_array_equal(a.hidden, b.hidden)
    assert a.tokens == b.tokens
    metas = [{k: v for k, v in rows.meta.items() if k != "head"} for rows in (a, b)]
    assert metas[0] == metas[1]  # "head" has what rounding did to the batch that it was held to


def blocks(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.safetensors"))


# --- a run that was stopped


@pytest.mark.parametrize("asked", ASKED)
def test_a_run_goes_on_where_it_was_stopped(
    asked: dict[str, Any], tmp_path: Path, counted: tuple[Any, Counted]
) -> None:
    model, counter = counted
    plain = collect(model, None, IDS, batch_size=4, **asked)
    counter.read, counter.patience = 0, 15
    with pytest.raises(KeyboardInterrupt):
        collect(model, None, IDS, batch_size=4, cache_dir=tmp_path, **asked)
    counter.read, counter.patience = 0, 1 << 30
    rows = collect(model, None, IDS, batch_size=4, cache_dir=str(tmp_path), **asked)
    assert counter.read == UNEQUAL - 12 + 1  # one to compare
    assert_same(rows, plain)
    counter.read = 0
    assert_same(collect(model, None, IDS, batch_size=4, cache_dir=tmp_path, **asked), plain)
    assert counter.read == 1


def test_text_prompts_and_the_names_of_columns(tmp_path: Path) -> None:
    model, tokenizer = cached_model("gpt2"), make_tokenizer()
    plain = collect(model, tokenizer, PROMPTS, vocab=["red", "blue"])
    for _ in range(2):
        assert_same(
            collect(model, tokenizer, PROMPTS, vocab=["red", "blue"], cache_dir=tmp_path), plain
        )
    renamed = collect(
        model, tokenizer, PROMPTS, vocab={"r": "red", "b": "blue"}, cache_dir=tmp_path
    )
    assert len(blocks(tmp_path)) == 1  # the same columns by other names
    np.testing.assert_array_equal(renamed.log_probs, plain.log_probs)
    assert renamed.tokens == ("r", "b", "<other>")


@pytest.mark.usefixtures("each_batch")
def test_a_changed_list_runs_what_is_new(tmp_path: Path, counted: tuple[Any, Counted]) -> None:
    model, counter = counted
    collect(model, None, IDS[:10], cache_dir=tmp_path)
    changed = [*IDS[12:15], *IDS[9:1:-1], [1] * 12]
    plain = collect(model, None, changed)
    counter.read = 0
    rows = collect(model, None, changed, cache_dir=tmp_path)
    assert counter.read == 4 + 1
    np.testing.assert_allclose(rows.log_probs, plain.log_probs, atol=1e-5)
    assert rows.meta == plain.meta
    counter.read = 0  # other positions are another question
    collect(model, None, IDS[:2], positions=[0], cache_dir=tmp_path)
    assert counter.read == 2


def test_another_question_is_not_mixed_up(tmp_path: Path, counted: tuple[Any, Counted]) -> None:
    model, counter = counted
    for number, asked in enumerate(ASKED):
        counter.read = 0
        plain = collect(model, None, IDS, **asked)
        assert_same(collect(model, None, IDS, cache_dir=tmp_path, **asked), plain)
        assert counter.read == 2 * UNEQUAL
        assert len(list(tmp_path.iterdir())) == number + 1
    other = copy.deepcopy(model).double()
    rows = collect(other, None, IDS, cache_dir=tmp_path)
    assert rows.log_probs.dtype == np.float64


def test_a_large_run_writes_as_it_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = cached_model("llama")
    monkeypatch.setattr(cache, "BLOCK_BYTES", 2 * 4 * 4 * 12)  # two batches of four rows
    collect(model, None, IDS, batch_size=4, cache_dir=tmp_path)
    assert len(blocks(tmp_path)) == 4
    monkeypatch.setattr(cache, "BLOCK_SECONDS", -1.0)  # of which every batch takes more
    collect(model, None, IDS, batch_size=4, cache_dir=tmp_path / "again")
    assert len(blocks(tmp_path / "again")) == UNEQUAL // 4


# --- what is believed


@pytest.mark.usefixtures("each_batch")
@pytest.mark.parametrize(
    "harm",
    [
        lambda data: data[:-5],
        lambda data: data[:100],
        lambda data: b"",
        lambda data: data[:-3] + bytes([data[-3] ^ 1]) + data[-2:],
        lambda data: data.replace(b'"rows": [1', b'"rows": [2'),
        lambda data: data.replace(b"matrixbayes.cache", b"matrixbayes.cashe"),
    ],
    ids=["cut", "cut in the header", "empty", "a bit", "header", "format"],
)
def test_damaged_files_are_told_and_done_again(
    harm: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    model = cached_model("llama")
    plain = collect(model, None, IDS, batch_size=4, cache_dir=tmp_path)
    harmed = blocks(tmp_path)[2]
    before = harmed.read_bytes()
    escaped = harm(before) if harm(before) != before else harm(before.replace(b"\\", b""))
    assert escaped != before
    harmed.write_bytes(escaped)
    with pytest.warns(
        UserWarning, match=r"cache is damaged, and its prompts are read again: ."
    ) as w:
        rows = collect(model, None, IDS, batch_size=4, cache_dir=tmp_path)
    assert len(w) == 1
    assert_same(rows, plain)
    assert harmed.read_bytes() == before  # to the last byte
    assert_same(collect(model, None, IDS, batch_size=4, cache_dir=tmp_path), plain)


def test_a_file_that_lacks_a_row_is_told_and_done_again(tmp_path: Path) -> None:
    model = cached_model("llama")
    plain = collect(model, None, IDS[:4], cache_dir=tmp_path)
    (file,) = blocks(tmp_path)
    arrays, header = open_mapped(file, cache.FORMAT)
    write_mapped(file, {name: array[:-1].copy() for name, array in arrays.items()}, header)
    with pytest.warns(UserWarning, match="it has not the rows that it says"):
        assert_same(collect(model, None, IDS[:4], cache_dir=tmp_path), plain)


def test_files_of_other_runs_and_what_was_never_finished(tmp_path: Path) -> None:
    model = cached_model("llama")
    plain = collect(model, None, IDS, cache_dir=tmp_path)
    collect(model, None, IDS, vocab=[1], cache_dir=tmp_path)
    ours = max(blocks(tmp_path), key=lambda block: block.stat().st_size)  # rows of all tokens
    for folder in tmp_path.iterdir():
        if folder != ours.parent:
            (folder / ours.name).write_bytes(ours.read_bytes())
    with pytest.warns(UserWarning, match="not of this run"):
        rows = collect(model, None, IDS, vocab=[1], cache_dir=tmp_path)
    np.testing.assert_allclose(rows.log_probs[:, 0], plain.log_probs[:, 1])
    left, held = (ours.parent / f".a.{digit * 16}.tmp" for digit in "01")
    left.write_bytes(b"torn")
    with held.open("wb") as file:  # of a process that lives
        fcntl.flock(file, fcntl.LOCK_EX)
        assert_same(collect(model, None, IDS, cache_dir=tmp_path), plain)
        assert (left.exists(), held.exists()) == (False, True)


def test_a_model_that_says_other_things_today(tmp_path: Path) -> None:
    model = cached_model("llama")
    collect(model, None, IDS, cache_dir=tmp_path)
    steering = model.model.register_forward_hook(
        lambda module, args, output: setattr(
            output, "last_hidden_state", output.last_hidden_state + 0.1
        )
    )
    try:
        with pytest.raises(ValueError, match=r"away from what it says now of prompt \d+: are its"):
            collect(model, None, IDS, cache_dir=tmp_path)
    finally:
        steering.remove()


def test_fingerprints() -> None:
    model = copy.deepcopy(cached_model("llama"))
    first = model_fingerprint(model)
    assert first == model_fingerprint(copy.deepcopy(model))
    assert first != model_fingerprint(cached_model("gpt2"))
    named = copy.deepcopy(model)
    named.config._name_or_path = "elsewhere"
    assert first == model_fingerprint(named)
    named.config.rope_theta = 7.0
    assert first != model_fingerprint(named)
    seen = {first}
    for parameter in model.parameters():
        with torch.no_grad():
            parameter.reshape(-1)[0] += 1.0
        seen.add(model_fingerprint(model))
    assert len(seen) == 1 + len(list(model.parameters()))
    seen |= {model_fingerprint(copy.deepcopy(model).to(t)) for t in (torch.half, torch.bfloat16)}
    seen.add(model_fingerprint(copy.deepcopy(model).to("meta")))
    assert len(seen) == 4 + len(list(model.parameters()))


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_quantised_weights_are_their_scales_too() -> None:
    numbers = torch.arange(6.0)
    kinds = [torch.quantize_per_tensor(numbers * k, 0.1 * k, 0, torch.qint8) for k in (1, 2)]
    assert torch.equal(kinds[0].int_repr(), kinds[1].int_repr())
    assert cache._sample(kinds[0]) != cache._sample(kinds[1])


def test_a_large_weight_is_sampled_in_all_its_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SAMPLE", 64)
    weight = torch.arange(64 * 64.0).reshape(64, 64)
    assert len(cache._sample(weight)) < 400
    for column in range(64):
        changed = weight.clone()
        changed[:, column] += 1.0
        assert cache._sample(changed) != cache._sample(weight)


def test_memory_of_a_run_that_goes_on(tmp_path: Path) -> None:
    model = cached_model("llama", 20_000)
    prompts = [[i] for i in range(100)]
    collect(model, None, prompts, cache_dir=tmp_path)
    tracemalloc.start()
    rows = collect(model, None, prompts, cache_dir=tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.3 * rows.log_probs.nbytes + (4 << 20)  # names and ids of the columns


# --- killed


KILLED = """
import os, signal, sys
from pathlib import Path
folder, moment, paths = ARGUMENTS
sys.path[:0] = paths
import numpy as np, torch
torch.set_num_threads(1)
from test_cache import IDS
from toy_models import cached_model
from matrixbayes._base.saving import whole
from matrixbayes._base.mapped import open_mapped, write_mapped
from matrixbayes.huggingface import collect
from matrixbayes.huggingface.runs import cache

left = 0

def event():
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

class Half:  # a file that may be torn in the middle of a write
    def __init__(self, file):
        self.file = file
    def __getattr__(self, name):
        return getattr(self.file, name)
    def write(self, data):
        data = bytes(data)
        self.file.write(data[: len(data) // 2])
        self.file.flush()
        event()
        self.file.write(data[len(data) // 2 :])

whole.open = lambda path, mode: Half(open(path, mode))
cache.BLOCK_BYTES = 1

def around(module, name):
    real = getattr(module, name)
    def function(*args, **kwargs):
        event()
        result = real(*args, **kwargs)
        event()
        return result
    setattr(module, name, function)

around(os, "fsync")
around(whole, "_begin")
around(os, "replace")
model = cached_model("llama")
model.register_forward_pre_hook(lambda *_: event())

def run(moment):
    global left
    left = moment
    return collect(model, None, IDS, batch_size=2, hidden=True, cache_dir=folder)

pids, torn = [], 0
for k in range(10):  # each goes on where the one before was killed
    child = os.fork()
    if not child:
        run(moment + 3 * k)
        os._exit(0)
    pids.append(os.waitpid(child, 0)[1])
    torn += len(list(Path(folder).glob("*/.*.tmp")))
rows = run(1 << 30)
plain = collect(model, None, IDS, batch_size=2, hidden=True)
assert np.array_equal(rows.log_probs, plain.log_probs)
assert np.array_equal(rows.hidden, plain.hidden)
print(*(os.WTERMSIG(status) for status in pids), torn, len(list(Path(folder).glob("*/.*.tmp"))))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("moment", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_killed_at_ten_moments(moment: int, tmp_path: Path, run_python: Callable[..., str]) -> None:
    here = Path(__file__).parent
    arguments = str(tmp_path / "rows"), moment, [str(here), str(here.parent)]
    *signals, torn, left = run_python(KILLED.replace("ARGUMENTS", repr(arguments))).split()
    assert signals == ["9"] * 10
    assert int(torn) >= 3
    assert left == "0"
