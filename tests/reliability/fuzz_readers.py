"""What is read by Python, as targets of atheris: any bytes give rows, or one sentence.

    python tests/reliability/fuzz_readers.py records -max_total_time=60 a_corpus

Without atheris the targets are functions of bytes, which tests call with what was found.

Contents
    TARGETS    the targets: `arpa_files`, `easel`, `logits`, `records`
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

ATHERIS: Any = None
if __name__ == "__main__":
    import atheris as ATHERIS

    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
WATCHED = ["matrixbayes.records", "matrixbayes.mixture.easel", "matrixbayes.matrix.arpa"]
with ATHERIS.instrument_imports(include=WATCHED) if ATHERIS else nullcontext():
    import numpy as np

    import matrixbayes as mb
    import matrixbayes.matrix.arpa.reading
    import matrixbayes.mixture.easel
    import matrixbayes.records

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_SAID = 600  # characters of an error
SMALL = 1 << 16  # numbers of what is looked at whole


@contextmanager
def refusals(*more: type[Exception]) -> Iterator[None]:
    """Lets errors pass that are refusals: of these kinds, with a short sentence."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (ValueError, *more) as error:
        text = str(error)
        assert text.count(" ") >= 2, text
        assert len(text) <= MOST_SAID, text


@contextmanager
def in_file(data: bytes) -> Iterator[str]:
    """The path of a file of these bytes, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "fuzzed")
        with open(path, "wb") as file:
            file.write(data)
        yield path


def logits(data: bytes) -> None:
    """A file of logits of llama.cpp."""
    with in_file(data) as path, refusals():
        file = mb.LogitsFile(path)
        layout = file.layout
        n_rows = len(file)  # fewer than the layout says, where the file is not complete
        assert 0 < n_rows <= layout.n_rows
        assert n_rows * 2 * layout.width <= len(data)
        assert file.shape == (n_rows, layout.n_vocab)
        if n_rows * layout.n_vocab > SMALL:
            return
        rows = file[:]
        n_censored, mass = file.censored()
        assert rows.shape == file.shape
        assert np.all((n_censored >= 0) & (n_censored <= layout.n_vocab))
        assert np.all((mass[:, 0] >= 0) & (mass[:, 0] <= mass[:, 1]))
        sums = np.exp(rows.log_probs.astype(float)).sum(axis=1)
        assert np.all(np.abs(sums - 1) < 1e-4)
        part = file.partial()
        assert len(part) == len(rows)
        assert np.all((file.texts >= 0) & (file.texts < layout.n_vocab))


READERS: list[Callable[..., Any]] = [
    mb.from_openai,
    mb.from_vllm,
    mb.from_sglang,
    mb.from_tgi,
    mb.from_ollama,
    mb.from_llama_cpp,
    mb.from_inspect,
    mb.from_lm_eval,
    mb.from_samples,
    lambda text: mb.from_openai(text, prompt=True),
    lambda text: mb.from_vllm(text, prompt=True),
    lambda text: mb.from_sglang(text, prompt=True),
    lambda text: mb.from_inspect(text, prompt=True),
]


def records(data: bytes) -> None:
    """JSON as servers write it, after a byte that says which."""
    text = data[1:].lstrip()
    if not data or not text.startswith((b"{", b"[", b"data:")):
        return  # it would be a path
    with refusals(TypeError, FileNotFoundError):
        rows = READERS[data[0] % len(READERS)](text)
        if isinstance(rows, mb.PartialRows):
            listed = np.exp(rows.log_probs)
            assert np.all(np.isfinite(listed))
            assert np.all(np.diff(rows.starts) >= 0)
            sums = np.add.reduceat(np.append(listed, 0.0), rows.starts[:-1]) if len(rows) else 0.0
            assert np.all(np.where(np.diff(rows.starts) > 0, sums, 0.0) <= 1.01)


def easel(data: bytes) -> None:
    """A prior of Easel or HMMER, written and read again."""
    with in_file(data) as path, refusals():
        prior = mb.read_easel(path)
        assert abs(prior.weights.sum() - 1) < 1e-12
        assert np.all(prior.alpha > 0)
        mb.write_easel(prior, path)
        again = mb.read_easel(path)
        assert np.array_equal(again.alpha, prior.alpha)
        assert np.allclose(again.weights, prior.weights, rtol=1e-14, atol=0)


def arpa_files(data: bytes) -> None:
    """A back-off model, written and read again."""
    with in_file(data) as path, refusals():
        model = mb.read_arpa(path)
        if not model.tokens or len(model.tokens) > 1000:
            return
        row = model[[]]
        assert row.shape == (len(model.tokens),)
        assert not np.any(np.isnan(row))
        model.to_arpa(path)
        again = mb.read_arpa(path)
        assert again.tokens == model.tokens
        assert np.allclose(again[[]], row, rtol=1e-6, atol=1e-30)


TARGETS = {"arpa_files": arpa_files, "easel": easel, "logits": logits, "records": records}


if __name__ == "__main__":
    name, *flags = sys.argv[1:]
    ATHERIS.Setup([sys.argv[0], *flags], TARGETS[name])
    ATHERIS.Fuzz()
