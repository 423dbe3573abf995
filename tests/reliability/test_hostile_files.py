"""Files that are not what they should be are refused in words, or say what a valid file says."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import resource
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alarm import alarm
from records.shown import DATA
from records.test_logits_file import contents
from reliability import mutate
from reliability.kinds import KINDS
from tiers import of_tier

import matrixbayes as mb
from matrixbayes._base.files import describe

MUTATIONS = of_tier(1_000, 15_000, 100_000)  # of each format
SECONDS = 10.0  # of a processor, that nothing here takes
SHOWN = 8  # one of so many is shown as well, which takes as long as all the rest
MEMORY = 64 << 20  # bytes, by which no file of some kilobytes makes a process grow


@dataclass(frozen=True)
class Format:
    """Valid files by name, how they are made wrong, and what is true of all that is read."""

    files: Callable[[Path], dict[str, bytes]]
    mutate: mutate.Mutate
    read: Callable[[Path], Any]
    check: Callable[[Any], None]
    needs: str | None = None


def kept(*names: str) -> Callable[[Path], dict[str, bytes]]:
    """Files of these kinds."""

    def files(folder: Path) -> dict[str, bytes]:
        found = {}
        for name in names:
            KINDS[name].save(0)(folder / name)
            found[name] = (folder / name).read_bytes()
            (folder / name).unlink()
        return found

    return files


# --- what is true of what is read


def is_named(tokens: Any, n: int) -> None:
    assert tokens is None or (len(tokens) == n == len({*tokens}))
    assert tokens is None or all(isinstance(token, str) for token in tokens)


def is_mixture(found: mb.DirichletMixture) -> None:
    assert np.isfinite(found.alpha).all()
    assert (found.alpha > 0.0).all()
    assert (found.weights >= 0.0).all()
    assert abs(found.weights.sum() - 1.0) < 1e-9
    assert abs(found.predictive().sum() - 1.0) < 1e-9
    is_named(found.tokens, found.n_tokens)


def is_kernels(found: mb.KernelMixture) -> None:
    assert np.isfinite(found.mean()).all()
    assert abs(found.mean().sum() - 1.0) < 2e-3
    counts = np.zeros(found.n_tokens)
    counts[:2] = 1.0
    assert not np.isnan(found.log_evidence(counts)).any()
    assert abs(found.predictive(counts).sum() - 1.0) < 2e-3  # as rows may be off
    is_named(found.tokens, found.n_tokens)


def is_rows(found: mb.NextTokenRows) -> None:
    with np.errstate(over="raise"):
        sums = np.exp(np.asarray(found.log_probs, dtype=np.float64)).sum(axis=1)
    assert (abs(sums - 1.0) < 2e-3).all()
    is_named(found.tokens, found.log_probs.shape[1])
    if len(found) and found.input_ids is not None:
        assert len(found.context(0)) >= 0


def is_partial(found: mb.PartialRows) -> None:
    assert ((found.columns >= 0) & (found.columns < found.n_tokens)).all()
    assert found.starts[0] == 0
    assert found.starts[-1] == len(found.columns)
    assert (np.diff(found.starts) >= 0).all()
    assert not np.isnan(found.log_probs).any()
    for i in range(len(found)):
        cut = slice(found.starts[i], found.starts[i + 1])
        mass = np.exp(found.log_probs[cut].astype(np.float64)).sum() + np.exp(found.rest[i])
        assert abs(mass - 1.0) < 0.05
        assert len({*found.columns[cut].tolist()}) == len(found.columns[cut])
    is_named(found.tokens, len(found.tokens or ()))


def is_matrix(found: mb.TransitionMatrix) -> None:
    context = np.zeros(found.order, dtype=np.int64)
    if found.n_tokens <= 1000:
        row = found.predict(context)
        assert np.isfinite(row).all()
        assert (row >= 0.0).all()
        assert abs(row.sum() - 1.0) < 1e-6
    assert found.n_observed >= 0
    assert np.isfinite(found.scores(np.arange(min(5, found.n_tokens)))).all()
    is_named(found.tokens, found.n_tokens)
    if not found.frozen or found.n_pairs < 10_000:
        rows = found.rows()
        assert (rows.data >= 0).all()
        assert rows.indices.size == 0 or rows.indices.max() < found.n_tokens


def is_backoff(found: mb.BackoffModel) -> None:
    if found.n_tokens <= 1000:
        contexts = np.full((found.n_tokens + 1, min(2, found.order)), found.n_tokens)
        contexts[:, -1:] = np.arange(found.n_tokens + 1)[:, np.newaxis]
        for rows in (found.predict(np.zeros((1, 0), dtype=np.int64)), found.predict(contexts)):
            assert ((rows >= 0.0) & (rows < 1.0 + 2e-3)).all()  # as rows may be off
    found.scores(np.arange(min(4, found.n_tokens)))
    is_named(found.tokens, found.n_tokens)


def is_cache(found: Any) -> None:
    assert isinstance(found, mb.NextTokenRows)


def is_logits(found: Any) -> None:
    assert (found.texts >= 0).all()
    is_rows(found[:])


def is_table(found: Any) -> None:
    width = found.shape[1]
    is_named(found.tokens, width)
    if found.kind is None:
        return
    numbers = found.rows.tocsr().data if hasattr(found.rows, "tocsr") else found.rows
    assert np.asarray(numbers).dtype.kind in "iufb"
    if hasattr(found.rows, "tocsr"):
        found.rows.tocsr().check_format(full_check=True)


def is_told(found: dict[str, Any]) -> None:
    assert {"kind", "made_by", "shapes"} <= found.keys()


# --- other programs' files


def evals(folder: Path) -> dict[str, bytes]:
    log = json.loads((DATA / "inspect_log.json").read_text("utf-8"))
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("header.json", "_journal/start.json"):
            archive.writestr(name, "{}")
        for i, sample in enumerate(log["samples"]):
            archive.writestr(f"samples/{i}_epoch_1.json", json.dumps(sample))
    return {"log.eval": found.getvalue()}


def records(*names: str) -> Callable[[Path], dict[str, bytes]]:
    def files(folder: Path) -> dict[str, bytes]:
        found = {name: (DATA / name).read_bytes() for name in names}
        first = next(iter(found))
        return found | {f"{first}.gz": gzip.compress(found[first])}

    return files


def unpacked(inner: mutate.Mutate) -> mutate.Mutate:
    """Of what may be compressed, outside or inside."""

    def change(data: bytes, rng: random.Random) -> bytes:
        if data[:2] != b"\x1f\x8b":
            return inner(data, rng)
        if rng.random() < 0.5:
            return mutate.of_bytes(data, rng)
        return gzip.compress(inner(gzip.decompress(data), rng), 1)

    return change


def servers(read: Callable[..., Any], *names: str) -> Format:
    return Format(records(*names), unpacked(mutate.of_json), read, is_partial)


def table(path: Path) -> Any:
    from matrixbayes.cli.tables import read_table

    return read_table(str(path), "probs" if path.suffix != ".safetensors" else None)


def tables(folder: Path) -> dict[str, bytes]:
    from scipy import sparse

    numbers = np.random.default_rng(0).dirichlet(np.ones(5), size=6)
    found = {"rows.csv": b",a,b,c\nx,0.5,0.25,0.25\ny,1,0,0\n", "rows.tsv": b"a\tb\n0.5\t0.5\n"}
    for name, save in {
        "rows.npy": lambda file: np.save(file, numbers),
        "one.npz": lambda file: np.savez(file, numbers),
        "packed.npz": lambda file: np.savez_compressed(file, numbers),
        "csr.npz": lambda file: sparse.save_npz(file, sparse.csr_matrix(numbers > 0.2)),
        "coo.npz": lambda file: sparse.save_npz(file, sparse.coo_matrix(numbers)),
        "csc.npz": lambda file: sparse.save_npz(file, sparse.csc_matrix(numbers)),
        "bsr.npz": lambda file: sparse.save_npz(file, sparse.bsr_matrix(numbers)),
        "dia.npz": lambda file: sparse.save_npz(file, sparse.dia_matrix(numbers)),
    }.items():
        file = io.BytesIO()
        save(file)
        found[name] = file.getvalue()
    return found


def of_table(data: bytes, rng: random.Random) -> bytes:
    if data[:2] == b"PK":
        return mutate.of_archive(mutate.of_bytes)(data, rng)
    return (mutate.of_bytes if data[:1] == b"\x93" else mutate.of_text)(data, rng)


def of_parquet(data: bytes, rng: random.Random) -> bytes:
    """The bytes, what is said beside the columns, or columns of other types."""
    if rng.random() < 0.9:
        return mutate.of_bytes(data, rng)
    import pyarrow
    import pyarrow.parquet

    found = pyarrow.parquet.read_table(io.BytesIO(data))
    told = found.schema.metadata[b"matrixbayes"]
    if rng.random() < 0.7:
        meta = {b"matrixbayes": json.dumps(mutate.changed(told, rng))}
        found = found.replace_schema_metadata(meta)
    else:
        i = rng.randrange(found.num_columns)
        other: Any = rng.choice(
            [["x"] * len(found), [None] * len(found), [[]] * len(found), [[-1]] * len(found),
             [[0.5]] * len(found), [["x"]] * len(found), [[2**40]] * len(found), [1] * len(found),
             [[float("nan")]] * len(found), [float("inf")] * len(found), [[[1]]] * len(found)]
        )  # fmt: skip
        found = found.set_column(i, found.column_names[i], [other])
    out = io.BytesIO()
    pyarrow.parquet.write_table(found, out)
    return out.getvalue()


MATRICES = [name for name, kind in KINDS.items() if kind.reads == "TransitionMatrix.open"]
OURS = [name for name in KINDS if name.endswith(".safetensors")]
FORMATS = {
    "DirichletMixture": Format(
        kept("prior.safetensors"), mutate.of_safetensors, mb.DirichletMixture.load, is_mixture
    ),
    "KernelMixture": Format(
        kept("kernels.safetensors"), mutate.of_safetensors, mb.KernelMixture.load, is_kernels
    ),
    "NextTokenRows": Format(
        kept("rows.safetensors"), mutate.of_safetensors, mb.NextTokenRows.load, is_rows
    ),
    "PartialRows": Format(
        kept("partial.safetensors"), mutate.of_safetensors, mb.PartialRows.load, is_partial
    ),
    "TransitionMatrix": Format(
        kept(*MATRICES), mutate.of_safetensors, mb.TransitionMatrix.open, is_matrix
    ),
    "BackoffModel": Format(
        kept("backoff.safetensors"), mutate.of_safetensors, mb.BackoffModel.open, is_backoff
    ),
    "described": Format(kept(*OURS), mutate.of_safetensors, describe, is_told),
    "parquet": Format(
        kept("rows.parquet"), of_parquet, mb.PartialRows.from_parquet, is_partial, "pyarrow"
    ),
    "ARPA": Format(
        kept("model.arpa", "model.arpa.gz", "model.arpa.bz2"),
        unpacked(mutate.of_text),
        mb.read_arpa,
        is_backoff,
    ),
    "Easel": Format(kept("prior.txt"), mutate.of_text, mb.read_easel, is_mixture),
    "logits": Format(
        lambda folder: {"model.kld": contents(6, 9, 2)[0]},
        mutate.of_bytes,
        mb.from_llama_cpp,
        is_logits,
    ),
    "Inspect": Format(evals, mutate.of_archive(mutate.of_json), mb.from_inspect, is_partial),
    "Inspect as JSON": servers(mb.from_inspect, "inspect_log.json"),
    "llama.cpp": servers(mb.from_llama_cpp, "llama_cpp.json"),
    "Ollama": servers(mb.from_ollama, "ollama_stream.jsonl"),
    "OpenAI": servers(
        mb.from_openai,
        "openai_chat.json",
        "openai_chat_stream.txt",
        "openai_completions.json",
        "openai_responses.json",
    ),
    "lm_eval": servers(mb.from_lm_eval, "samples_toy_2026-01-01T00-00-00.000000.jsonl"),
    "SGLang": servers(mb.from_sglang, "sglang.json"),
    "TGI": servers(mb.from_tgi, "tgi.json"),
    "vLLM": servers(mb.from_vllm, "vllm_chat.json", "vllm_completions.json"),
    "tables": Format(tables, of_table, table, is_table),
}


class TookTooLong(BaseException):
    """A file that is read for ever."""


def too_long(*_: object) -> None:
    raise TookTooLong


def show(found: Any) -> None:
    """What a person looks at first."""
    repr(found)
    if isinstance(found, (mb.NextTokenRows, mb.PartialRows)):
        repr(found[:1])


def fault(format: Format, path: Path, is_shown: bool) -> str | None:
    """What is wrong with how a file is read, if anything is: a refusal names the file."""
    try:
        with alarm(SECONDS, handler=too_long, of_processor=True):
            found = format.read(path)
            format.check(found)
            if is_shown:
                show(found)
    except ValueError as error:
        words = str(error)
        if str(path) not in words:
            return f"the file is not named: {error!r:.300}"
        return None if len(words) < len(str(path)) + 1500 else f"{len(words)} characters"
    except (Exception, TookTooLong) as error:
        return f"{error!r:.300}"
    return None


@pytest.mark.promise(12)
@pytest.mark.parametrize("name", FORMATS)
def test_mutated_files(name: str, tmp_path: Path, figure: Callable[[str], None]) -> None:
    format = FORMATS[name]
    if format.needs:
        pytest.importorskip(format.needs)
    valid = format.files(tmp_path)
    for each, data in valid.items():
        (tmp_path / each).write_bytes(data)
        format.check(format.read(tmp_path / each))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rng = random.Random(name)
    wrong: dict[str, Path] = {}
    names = sorted(valid)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in range(MUTATIONS):
            each = names[i % len(names)]
            path = tmp_path / each
            path.unlink()  # what is mapped still is not changed
            path.write_bytes(format.mutate(valid[each], rng))
            found = fault(format, path, is_shown=i // len(names) % SHOWN == 0)
            if found is not None and found not in wrong:
                wrong[found] = tmp_path / f"wrong{len(wrong)}-{each}"
                os.rename(path, wrong[found])
                path.write_bytes(b"")
    assert not wrong, "\n".join(f"{path}: {found}" for found, path in wrong.items())
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert grown < MEMORY
    figure(f"{MUTATIONS:,} mutated files of {name}: refused by name, or valid")
