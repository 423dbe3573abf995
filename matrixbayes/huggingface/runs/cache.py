"""Rows that a run has finished, in a folder: a run that was stopped goes on from there.

Contents
    Cache               the rows of one model, under one question, prompt by prompt
    check_restored      whether the model still says what was found there
    model_fingerprint   what tells a model from others, without a pass over all of it

A file holds the rows of some batches.  It is there complete or not at all, and has checksums.  The
files of a model and a question (columns, hidden states) lie in a folder of their own, named by a
fingerprint of both, and each prompt in them is named by its token ids and positions: whatever list
it stands in, it is found again.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._base.mapped import open_mapped, write_mapped
from ..._base.saving.made import told
from ..._base.saving.whole import clear
from ..answers import Columns
from ..forward import Forward
from ..kept import Kept, largest_difference, tolerance
from ..prompts import Prompt

FORMAT, VERSION = "matrixbayes.cache", 1
BLOCK_BYTES = 64 << 20  # of rows to a file, and
BLOCK_SECONDS = 10.0  # of work, whichever comes first
SAMPLE = 1 << 16  # numbers of a weight that its fingerprint reads
NOT_THE_MODEL = ("_name_or_path", "transformers_version", "use_cache")  # of a configuration


class Cache:
    """Rows of finished prompts in a folder.

    Parameters
    ----------
    folder
        Made where it is missing; None for no cache: nothing is found and nothing written.
    forward
        The model.
    kept
        Where rows are read from, and put.
    asked
        What they depend on besides model and columns, as JSON can hold it.

    Attributes
    ----------
    width
        How many ids the model's rows have, where some were found.
    """

    def __init__(
        self, folder: str | os.PathLike[str] | None, forward: Forward, kept: Kept, **asked: Any
    ) -> None:
        self.folder: Path | None = None
        self.kept = kept
        self.width: int | None = None
        self._waiting: list[int] = []
        self._bytes, self._since = 0, time.monotonic()
        if folder is None:
            return
        what = [VERSION, model_fingerprint(forward.model), _told(kept.columns), asked]
        self.run = _hash(json.dumps(what, sort_keys=True).encode())
        self.folder = Path(folder) / self.run
        self.folder.mkdir(parents=True, exist_ok=True)
        clear(self.folder)  # a run was stopped while it wrote

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *_: object) -> None:
        self._write()

    def restore(self, numbers: Sequence[int]) -> set[int]:
        """Take over what is there of these prompts; which they are."""
        kept = self.kept
        wanted = {_key(kept.prompts[i]): i for i in numbers} if self.folder is not None else {}
        found: set[int] = set()
        for header, arrays in self._blocks():
            start = 0
            for key, n in zip(header["prompts"], header["rows"], strict=True):
                number = wanted.pop(key, None)
                if number is not None:
                    kept.put([number], {name: a[start : start + n] for name, a in arrays.items()})
                    found.add(number)
                    self.width = header["width"]
                start += n
        return found

    def add(self, numbers: Sequence[int]) -> None:
        """These prompts are done: write them, soon."""
        if self.folder is None:
            return
        self._waiting += numbers
        n = sum(len(self.kept.prompts[i].positions) for i in numbers)
        self._bytes += n * sum(a[:1].nbytes for a in self.kept.arrays.values())
        if self._bytes >= BLOCK_BYTES or time.monotonic() - self._since >= BLOCK_SECONDS:
            self._write()

    def _write(self) -> None:
        """Write what waits."""
        if self.folder is None or not self._waiting:
            return
        prompts = [self.kept.prompts[i] for i in self._waiting]
        keys = [_key(prompt) for prompt in prompts]
        header = {
            "format": FORMAT,
            "version": VERSION,
            "run": self.run,
            "width": self.kept.columns.width,
            "prompts": keys,
            "rows": [len(prompt.positions) for prompt in prompts],
            **told(self),
        }
        path = self.folder / f"{_hash(''.join(keys).encode())}.safetensors"
        where = self.kept.places(self._waiting)
        write_mapped(path, {name: a[where] for name, a in self.kept.arrays.items()}, header)
        self._waiting, self._bytes, self._since = [], 0, time.monotonic()

    def _blocks(self) -> Iterator[tuple[dict[str, Any], Mapping[str, NDArray[Any]]]]:
        """The files, checked; what is damaged is told, and taken away."""
        for path in [] if self.folder is None else sorted(self.folder.glob("*.safetensors")):
            try:
                arrays, header = open_mapped(path, FORMAT)
                rows = header["rows"]
                if header["run"] != self.run or len(rows) != len(header["prompts"]):
                    raise ValueError("it is not of this run")
                if any(len(array) != sum(rows) for array in arrays.values()):
                    raise ValueError("it has not the rows that it says")
            except (ValueError, KeyError, TypeError) as error:
                warnings.warn(
                    f"a file of the cache is damaged, and its prompts are read again: {error}",
                    UserWarning,
                    stacklevel=4,
                )
                with suppress(OSError):
                    path.unlink()
            else:
                yield header, arrays


def check_restored(forward: Forward, kept: Kept, numbers: Collection[int]) -> None:
    """Refuse rows that the model does not give today; the shortest of these prompts is asked.

    Hooks, adapters and switches change what a model says, and are not among its weights.
    """
    if not numbers:
        return
    number = min(numbers, key=lambda i: (len(kept.prompts[i]), i))
    batch = forward([kept.prompts[number]], [number])
    if batch.width != kept.columns.width:
        raise ValueError(f"cache_dir: its rows are of {kept.columns.width} ids, not {batch.width}")
    now = kept.columns.apply(batch.log_probs())[0]
    difference = largest_difference(kept.arrays["log_probs"][kept.places([number])], now)
    limit = tolerance(forward)
    if not difference <= 3 * limit:
        raise ValueError(
            f"cache_dir holds rows of a model of these weights that are {difference:.2g} away from "
            f"what it says now of prompt {number}: are its hooks, adapters or settings others? "
            "Give these rows a folder of their own"
        )


def model_fingerprint(model: Any) -> str:
    """A text that models of different class, configuration or weights do not share.

    Of large weights a regular sample is read.
    """
    config = model.config
    settings = dict(config.to_dict() if hasattr(config, "to_dict") else vars(config))
    for name in NOT_THE_MODEL:
        settings.pop(name, None)
    told = [type(model).__module__, type(model).__qualname__, settings]
    found = hashlib.blake2b(json.dumps(told, sort_keys=True, default=str).encode(), digest_size=16)
    for name, value in model.state_dict().items():
        found.update(name.encode())
        for part in value if isinstance(value, (tuple, list)) else (value,):
            found.update(_sample(part))
    return found.hexdigest()


def _sample(weight: Any) -> bytes:
    """Type, shape and some numbers of a weight; no numbers where they are not to be had here."""
    import torch

    if not isinstance(weight, torch.Tensor):
        return type(weight).__name__.encode()
    told = f"{weight.dtype}{tuple(weight.shape)}".encode()
    with suppress(RuntimeError, NotImplementedError):
        flat = (weight.dequantize() if weight.is_quantized else weight).detach().reshape(-1)
        step = max(1, flat.numel() // SAMPLE) | 1  # odd: not always the same column
        return told + bytes(flat[::step].cpu().contiguous().view(torch.uint8).numpy())
    return told


def _told(columns: Columns) -> list[Any]:
    """What the rows say, without the names."""
    groups = None if columns.groups is None else columns.groups.tolist()
    return [groups, columns.token_ids.tolist(), columns.rest, columns.drop_rest]


def _key(prompt: Prompt) -> str:
    """What a prompt is called in every run that asks the same of it."""
    ids, places = (np.asarray(a, dtype=np.int64) for a in (prompt.ids, prompt.positions))
    return _hash(len(ids).to_bytes(8, "little") + ids.tobytes() + places.tobytes())


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
