"""What was once read wrongly, and files that are none: each is refused in words, at once."""

from __future__ import annotations

import ast
import gzip
import inspect
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from house.graph import found
from reliability.kinds import KINDS
from reliability.test_hostile_files import FORMATS, Format

import matrixbayes as mb

PACKAGE = Path(mb.__file__).parent


def refused(read: Callable[[Any], Any], path: Any, *words: str) -> None:
    with pytest.raises(ValueError, match=".*".join(words) or ".") as caught:
        read(path)
    assert str(path) in str(caught.value)


# --- each was a fault


@pytest.mark.promise(12)
def test_a_text_in_a_file_is_never_a_path(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps({"choices": []}), "utf-8")
    for name, content in {
        "a.json": json.dumps([str(secret)]),
        "b.jsonl": json.dumps([[str(secret)]]) + "\n",
        "c.txt": "data: " + json.dumps([str(secret)]),
    }.items():
        path = tmp_path / name
        path.write_text(content, "utf-8")
        refused(mb.from_openai, path, "is no record")
    log = tmp_path / "log.eval"
    with zipfile.ZipFile(log, "w") as archive:
        archive.writestr("samples/1.json", json.dumps(str(secret)))
    refused(mb.from_inspect, log, r"samples/1\.json", "is no record")


@pytest.mark.promise(12)
@pytest.mark.parametrize("size", [2**31, 2**40, True])
def test_bytes_that_are_a_number_are_not_so_many_zeros(size: int, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    entry = {"token": "a", "logprob": -0.1, "bytes": size}
    for content in (
        {**entry, "top_logprobs": [entry]},
        {**entry, "bytes": None, "top_logprobs": [entry]},
    ):
        path.write_text(json.dumps({"choices": [{"logprobs": {"content": [content]}}]}), "utf-8")
        refused(mb.from_openai, path, "position|record")


@pytest.mark.promise(12)
def test_ids_may_be_any_number_and_take_no_memory(run_python: Callable[..., str]) -> None:
    code = """
        import json, resource
        import matrixbayes as mb
        record = {"generated_text": "x", "details": {"tokens": [], "prefill": []}}
        place = {"id": 2**32 - 1, "text": "a", "logprob": -0.5, "special": False}
        record["details"]["tokens"] = [place]
        record["details"]["top_tokens"] = [[place, {**place, "id": 3, "logprob": -1.5}]]
        limit = 2**30 + int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        print(mb.from_tgi(record).token_ids.tolist())
    """
    assert run_python(inspect.cleandoc(code)).split() == ["[3,", str(2**32 - 1) + ",", "-1]"]


@pytest.mark.promise(12)
def test_indices_of_a_sparse_matrix_are_checked(tmp_path: Path) -> None:
    from matrixbayes.cli.tables import read_table

    path = tmp_path / "bad.npz"
    for name in ("bsr", "csr", "csc"):
        shape = {"data": np.ones((1, 1, 1)) if name == "bsr" else np.ones(1)}
        for index in (10**6, -(10**6), -1):
            np.savez(
                path,
                format=np.array(name.encode()),
                shape=np.array([2, 3]),
                indices=np.array([index], dtype=np.int32),
                indptr=np.array([0, 1, 1] if name != "csc" else [0, 1, 1, 1], dtype=np.int32),
                **shape,
            )
            with pytest.raises(ValueError, match=r"bad\.npz is no archive that can be read"):
                read_table(str(path), "counts")


@pytest.mark.promise(12)
@pytest.mark.parametrize(
    ("kind", "change"),
    [
        *((kind, {"shape": [rows, 3]}) for rows in (2**31, 2**33, 2**62, -1, 10**7)
          for kind in ("csc", "coo", "dia", "bsr")),
        ("coo", {"shape": [2, 2**63 - 1]}),
        ("coo", {"shape": [2.0, 3.0]}),
        ("coo", {"shape": [6]}),
        ("csc", {"indptr": [0, 2**30, 2**30, 0]}),  # nothing there, says the last
        ("csr", {"indptr": [0, 2**30, 0]}),
        ("csc", {"indptr": [0.0, 1.0, 2.0, 2.0]}),
    ],
)  # fmt: skip
def test_sparse_matrices_are_not_left_to_others(
    kind: str, change: dict[str, Any], tmp_path: Path
) -> None:
    from scipy import sparse

    from matrixbayes.cli.tables import read_table

    path = tmp_path / "bad.npz"
    sparse.save_npz(path, sparse.coo_matrix([[0.0, 1.0, 0.0], [2.0, 0.0, 0.0]]).asformat(kind))
    assert read_table(str(path), None).shape == (2, 3)
    with np.load(path) as archive:
        arrays = {**archive}
    np.savez(path, **arrays | {name: np.array(x) for name, x in change.items()})
    with pytest.raises(ValueError, match=r"bad\.npz is no archive that can be read"):
        read_table(str(path), None)


@pytest.mark.promise(12)
def test_numbers_that_json_does_not_know_are_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    arguments = {f"gen_args_{i}": {"arg_0": "q", "arg_1": text} for i, text in enumerate("ab")}
    record = {"doc_id": 0, "target": float("nan"), "arguments": arguments}
    path.write_text(json.dumps({**record, "resps": [[["-1", "0"]], [["-2", "0"]]]}) + "\n", "utf-8")
    refused(mb.from_lm_eval, path, "line 1", "nothing that JSON can hold")


@pytest.mark.promise(12)
def test_what_overflows_is_named(tmp_path: Path) -> None:
    path = tmp_path / "prior.txt"
    path.write_text("2 1\n1.0 1e300 1e300\n", "utf-8")
    refused(mb.read_easel, path, "overflows")


@pytest.mark.promise(12)
def test_long_names_of_columns_are_not_said_whole(tmp_path: Path) -> None:
    from matrixbayes.cli.tables import read_table

    path = tmp_path / "rows.csv"
    for text in ("b" * 5000 + ",a\nx,1\n", "b," * 2 + "a\n1,1,1\n", ("b" * 5000 + ",") * 2 + "a\n"):
        path.write_text(text + "1,1,1\n")
        with pytest.raises(ValueError, match=r"rows\.csv, line") as caught:
            read_table(str(path), "probs")
        assert len(str(caught.value)) < 400


@pytest.mark.promise(12)
def test_names_of_kernels_are_texts(tmp_path: Path) -> None:
    from matrixbayes._base import files

    path = tmp_path / "kernels"
    KINDS["kernels.safetensors"].save(0)(path)
    arrays, header = files.read(path, "matrixbayes.kernels")
    files.write(path, arrays, header | {"tokens": [*range(7)]})
    refused(mb.KernelMixture.load, path, "tokens are strings")


@pytest.mark.promise(12)
@pytest.mark.parametrize(
    ("array", "number"), [("root", 2.0), ("root", 1e300), ("values0", 1.5), ("backs1", 1e300)]
)
def test_numbers_of_a_back_off_model_are_probabilities(
    array: str, number: float, tmp_path: Path
) -> None:
    from matrixbayes._base.mapped import open_mapped, write_mapped

    path = tmp_path / "backoff"
    KINDS["backoff.safetensors"].save(0)(path)
    arrays, header = open_mapped(path, "matrixbayes.backoff")
    arrays = {name: np.array(each) for name, each in arrays.items()}
    arrays[array][0] = number
    write_mapped(path, arrays, header)
    refused(mb.BackoffModel.open, path, r"above 1|from 0 to (1|2\^60)")


@pytest.mark.promise(12)
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize(
    "options", [{"hierarchical": True}, {"discounts": True}, {"order": "tree", "depth": 2}]
)
def test_the_beginning_of_a_text_follows_nothing(
    options: dict[str, Any], frozen: bool, tmp_path: Path
) -> None:
    from matrixbayes.matrix.frozen import levels_of

    path = tmp_path / "matrix"
    made = mb.TransitionMatrix(n_tokens=3, **{"order": 2} | options).update([0, 1, 2, 0, 1, 1])
    save = made.freeze if frozen else made.save
    save(path)
    mb.TransitionMatrix.open(path)
    levels_of(made._rows)[-1].update_rows([[0, 1]], [3], [1])
    save(path)
    refused(mb.TransitionMatrix.open, path, "begins texts|level 2 is damaged")


@pytest.mark.promise(12)
def test_a_tree_has_all_shorter_contexts(tmp_path: Path) -> None:
    from matrixbayes.matrix.frozen import levels_of

    path = tmp_path / "tree"
    made = mb.TransitionMatrix(n_tokens=9, order="tree", depth=2).update([0, 1, 2, 0, 1, 1])
    for counts in levels_of(made._rows):  # one token more in each, and 8 only in the longest
        context = 8 if counts.order == 2 else 0
        counts.update_rows(np.full((1, counts.order), context), [0], [1])
    made.save(path)
    refused(mb.TransitionMatrix.open, path, "a shorter context is not in the shorter counts")
    mb.TransitionMatrix.open(path, verify=False)


# --- bombs


@pytest.mark.promise(12)
def test_what_unpacks_to_far_more_than_it_is_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "log.eval"
    with zipfile.ZipFile(log, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("samples/1.json", b" " * (65 << 20))
    refused(mb.from_inspect, log, "unpacks to 68,157,440 bytes")
    packed = gzip.compress(b" " * (65 << 20), 1)
    records = tmp_path / "r.json.gz"
    records.write_bytes(packed)
    refused(mb.from_openai, records, "unpacks to more than")
    model = tmp_path / "m.arpa.gz"
    model.write_bytes(packed)
    refused(mb.read_arpa, model, "unpacks to more than")


# --- headers


def heads(name: str, data: bytes) -> int:
    """How many bytes of a file are its header."""
    return min(
        len(data), 8 + int.from_bytes(data[:8], "little") if name.endswith("safetensors") else 400
    )


@pytest.mark.promise(22)
@pytest.mark.parametrize("name", sorted({*FORMATS} - {"tables"}))
def test_files_cut_at_every_byte_of_their_headers(
    name: str, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    format: Format = FORMATS[name]
    if format.needs:
        pytest.importorskip(format.needs)
    n = 0
    for each, data in format.files(tmp_path).items():
        path = tmp_path / each
        for length in range(heads(each, data)):
            path.unlink(missing_ok=True)
            path.write_bytes(data[:length])
            n += 1
            try:
                format.check(format.read(path))
            except ValueError as error:
                assert str(path) in str(error)  # noqa: PT017
    assert n > 50
    figure(f"{n:,} files of {name} cut within their headers")


# --- what is no file


@pytest.mark.promise(12)
@pytest.mark.parametrize("name", sorted({*FORMATS} - {"tables"}))
def test_what_is_no_file_is_refused_at_once(name: str, tmp_path: Path) -> None:
    format = FORMATS[name]
    if format.needs:
        pytest.importorskip(format.needs)
    each = next(iter(format.files(tmp_path)))
    path = tmp_path / each
    path.unlink(missing_ok=True)
    with pytest.raises((FileNotFoundError, ValueError), match=each):
        format.read(path)
    path.write_bytes(b"")
    refused(format.read, path)
    path.unlink()
    path.mkdir()
    with pytest.raises((IsADirectoryError, ValueError), match=each):
        format.read(path)
    path.rmdir()
    os.mkfifo(path)
    refused(format.read, path, "[Nn]ot a regular file")
    path.unlink()
    path.symlink_to("/dev/zero")
    refused(format.read, path, "[Nn]ot a regular file")


# --- memory


LYING = """
import resource, struct, json, sys
import numpy as np
import matrixbayes as mb
from matrixbayes._base.files import describe

readers = [mb.DirichletMixture.load, mb.KernelMixture.load, mb.NextTokenRows.load,
           mb.PartialRows.load, mb.TransitionMatrix.open, mb.BackoffModel.open, describe]
formats = ["prior", "kernels", "rows", "partial_rows", "matrix", "backoff", "prior"]
path = "lying"

def write(table, body=b""):
    text = json.dumps(table).encode()
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + body)

limit = 2**26 + int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
n = 0
for read, name in zip(readers, formats):
    for shape, ends in [([2**40], [0, 2**43]), ([2**31, 2**31], [0, 16]), ([0, 2**61], [0, 0]),
                        ([2**62], [0, 2**63]), ([1] * 10_000, [0, 8]), ([2**61] * 50, [0, 8]),
                        ([2**32, 2**32], [0, 0])]:
        meta = {"matrixbayes": json.dumps({"format": "matrixbayes." + name, "version": 1,
            "n_tokens": 2**32, "order": 16, "tokens": None, "meta": {}, "latest": []})}
        names = ["alpha", "weights", "log_probs", "columns"]
        table = {each: {"dtype": "F64", "shape": shape, "data_offsets": ends} for each in names[:1]}
        write({"__metadata__": meta, **table}, b"\\0" * 16)
        try:
            read(path)
        except ValueError as error:
            assert path in str(error), error
            n += 1
        else:
            n += read is describe
with open("model.kld", "wb") as file:
    file.write(b"_logits_" + struct.pack("<3i", 2**31 - 1, 2**31 - 1, 2**31 - 1))
for text in ("2000000000 1000000000\\n1.0", "1 999999999\\n1 1"):
    open("prior.txt", "w").write(text)
    try:
        mb.read_easel("prior.txt")
    except ValueError:
        n += 1
counts = ["ngram 1=4000000000", "ngram 2=4000000000", "", "\\\\1-grams:", ""]
open("m.arpa", "w").write("\\n".join(["\\\\data\\\\", *counts]))
for read, file in ((mb.read_arpa, "m.arpa"), (mb.from_llama_cpp, "model.kld")):
    try:
        read(file)
    except ValueError:
        n += 1
print(n)
"""


@pytest.mark.promise(12)
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
@pytest.mark.no_sanitizer
def test_headers_that_lie_take_no_memory(
    run_python: Callable[..., str], figure: Callable[[str], None]
) -> None:
    assert int(run_python(LYING)) == 7 * 7 + 4
    figure("53 headers that lie about sizes, read within 64 MiB")


# --- nothing in a file is run


CALLS = {
    "eval", "exec", "compile", "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads",
    "torch.load", "yaml.load", "joblib.load", "dill.load", "runpy.run_path", "os.system",
    "numpy.loadtxt", "ctypes.CDLL",
}  # fmt: skip
RUNS = {"pickle", "marshal", "shelve", "dill", "joblib", "yaml"}
WITH = {"allow_pickle", "trust_remote_code"}
UNPACKS = {"extract", "extractall", "unpack_archive"}


def test_nothing_that_is_read_is_run() -> None:
    n = 0
    for path in found(PACKAGE, "**/*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [alias.name for alias in node.names] + [getattr(node, "module", "") or ""]
                assert not {"pickle", "marshal", "shelve", "dill", "joblib", "yaml"} & {*names}, (
                    path
                )
            if not isinstance(node, ast.Call):
                continue
            n += 1
            name = ast.unparse(node.func).replace("np.", "numpy.")
            assert name not in CALLS, f"{path}, line {node.lineno}: {name}"
            assert name.rpartition(".")[2] not in UNPACKS, f"{path}, line {node.lineno}: {name}"
            for keyword in node.keywords:
                if keyword.arg in WITH:
                    assert ast.unparse(keyword.value) == "False", f"{path}, line {node.lineno}"
            if name == "numpy.load":
                assert any(keyword.arg == "allow_pickle" for keyword in node.keywords)
    assert n > 1000


# --- one way to write


WRITE = {"write_text", "write_bytes", "replace", "rename", "savefig", "save", "savez", "tofile"}
ELSEWHERE = {  # files of its own, and pictures in memory
    "_base/saving/whole.py",
    "_base/saving/hub.py",
}


def test_files_are_written_in_one_place() -> None:
    others = []
    for path in found(PACKAGE, "**/*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        if name in ELSEWHERE:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called == "open" or called.endswith(".open"):
                modes = [*node.args, *(k.value for k in node.keywords)]
                texts = [a.value for a in modes if isinstance(a, ast.Constant)]
                if any(isinstance(t, str) and set("wax+") & set(t) and len(t) < 4 for t in texts):
                    others.append(f"{name}:{node.lineno}: {called}")
            if called in ("os.replace", "os.rename", "shutil.move", "np.save", "np.savez"):
                others.append(f"{name}:{node.lineno}: {called}")
            if called.endswith((".write_text", ".to_csv", ".to_json", ".tofile")):
                others.append(f"{name}:{node.lineno}: {called}")
    assert others == []


def test_every_public_way_to_a_file_has_a_case() -> None:
    """Functions and methods with a path, and readers of records, stand in a table here."""
    known = {kind.writes for kind in KINDS.values()} | {kind.reads for kind in KINDS.values()}
    known |= {"LogitsFile", "PosteriorPath.animate", "LearningPath.animate", "study"}
    known |= {f"{owner}.from_pretrained" for owner in ("DirichletMixture", "KernelMixture",
              "TransitionMatrix", "BackoffModel")}  # fmt: skip
    found = set()
    for name in mb.__all__:
        thing = getattr(mb, name)
        if inspect.ismodule(thing):
            continue
        parts = {name: thing}
        if inspect.isclass(thing):
            parts |= {
                f"{name}.{each}": getattr(thing, each) for each in dir(thing) if each[0] != "_"
            }
        for called, function in parts.items():
            if not callable(function):
                continue
            try:
                signature = inspect.signature(function)
            except (ValueError, TypeError):
                continue
            if any("PathLike" in str(p.annotation) for p in signature.parameters.values()):
                found.add(called)
    assert len(found) > 20
    assert found - known == set()
    read = {name for name in mb.__all__ if name.startswith(("from_", "read_"))}
    functions = {getattr(format.read, "__name__", "") for format in FORMATS.values()}
    assert read - functions - {"from_topk", "from_samples"} == set()
