"""Rows from the logs of Inspect AI.

Contents
    from_inspect    logs, samples and outputs
"""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

from .._base.files import check_regular
from .._base.saving.unpacked import DAMAGED, most_of
from ..huggingface.answers import Other, Vocab
from .entries import entry
from .gathered import Path, Positions, rows_of
from .reading import Placed, Refused, Where, field, in_words, naming, shown

ZSTANDARD = 93  # how zip numbers it
# What zipfile and what it unpacks with raise of files that are not as they should be.
NO_ZIP: tuple[type[Exception], ...] = (
    *DAMAGED,
    zipfile.BadZipFile,
    struct.error,
    RuntimeError,
    ValueError,
    OverflowError,
)


def from_inspect(
    records: Any,
    *,
    vocab: Vocab | None = None,
    other: Other = "keep",
    tokenizer: Any = None,
    positions: Positions = "all",
    prompt: bool = False,
) -> Any:
    """Rows known in part from the logs of Inspect AI.

    Parameters
    ----------
    records
        Logs of evaluations run with ``logprobs=True, top_logprobs=20``: paths of files ``.eval``
        or ``.json``, what ``read_eval_log`` returned, samples, or outputs of models; or any
        iterable of these.
    vocab, other, tokenizer, positions
        As for `from_openai`.
    prompt : bool
        The places of the prompt (``prompt_logprobs=20``, of vLLM) and not the generated ones.

    Returns
    -------
    PartialRows
        As of `from_openai`; each sample of a log is a record, and ``meta`` has its target.

    Raises
    ------
    ValueError
        As of `from_openai`; or a file ``.eval`` is compressed with Zstandard, and neither this
        Python (3.14) nor the package zstandard knows that.

    Examples
    --------
    >>> import math
    >>> import matrixbayes as mb
    >>> yes = {"token": "yes", "logprob": math.log(0.75), "bytes": None}
    >>> choice = {"logprobs": {"content": [{**yes, "top_logprobs": [yes]}]}}
    >>> sample = {"id": 1, "target": "yes", "output": {"model": "m", "choices": [choice]}}
    >>> mb.from_inspect({"version": 2, "eval": {}, "samples": [sample]}).tokens
    ('yes', '<other>')
    """

    def paths(record: Any, names: dict[int, str]) -> Iterator[Path]:
        return _of_sample(record, prompt)

    with naming(records):
        return rows_of(
            _opened(records),
            paths,
            "from_inspect",
            tokenizer=tokenizer,
            vocab=vocab,
            other=other,
            positions=positions,
            prompt=prompt,
            split=_samples,
        )


def _opened(source: Any) -> Any:
    """The source, with the samples of ``.eval`` files in their place."""
    if isinstance(source, (str, os.PathLike)) and os.fspath(source).endswith(".eval"):
        return _of_zip(os.fspath(source))
    if isinstance(source, (list, tuple, Iterator)):
        return (_opened(each) for each in source)
    return source


def _of_zip(path: str) -> Iterator[Any]:
    """The samples of an ``.eval`` file, which is a zip of JSON."""
    check_regular(path)
    try:
        archive = zipfile.ZipFile(path)
    except NO_ZIP as error:
        raise ValueError(f"{path} is no complete log: {str(error)[:200]}") from None
    with archive:
        for member in archive.infolist():
            if not member.filename.startswith("samples/"):
                continue
            where = f"{path}, {member.filename[:100]}"
            try:
                raw = _member(path, archive, member)
            except NO_ZIP as error:
                raise ValueError(f"{where} is damaged: {str(error)[:200]}") from None
            try:
                record = json.loads(raw)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{where} is not complete JSON: {error}") from error
            yield Placed(record, where)


def _member(path: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """What a member holds, if that is no more than a log can be packed to."""
    if member.file_size > most_of(member.compress_size):
        raise zipfile.BadZipFile(f"it unpacks to {member.file_size:,} bytes: unpack it by hand")
    if member.compress_type == ZSTANDARD and not hasattr(zipfile, "ZIP_ZSTANDARD"):
        return _of_zstandard(path, member)
    return archive.read(member)


def _of_zstandard(path: str, member: zipfile.ZipInfo) -> bytes:
    """A member that is compressed as Python's own zipfile knows from 3.14 on."""
    try:
        import zstandard
    except ImportError as error:
        raise ValueError(
            f"{path} is compressed with Zstandard: install zstandard, or give what read_eval_log "
            "returns"
        ) from error
    with open(path, "rb") as file:
        file.seek(member.header_offset + 26)  # the lengths of its name and of what is said more
        lengths = file.read(4)
        file.seek(sum(int.from_bytes(lengths[i : i + 2], "little") for i in (0, 2)), os.SEEK_CUR)
        reader = zstandard.ZstdDecompressor().stream_reader(
            io.BytesIO(file.read(member.compress_size)), read_across_frames=True
        )
        try:
            found: bytes = reader.read(most_of(member.compress_size))
        except zstandard.ZstdError as error:
            raise ValueError(f"{path}, {member.filename} is damaged: {error}") from error
    return found


def _samples(record: Any, where: Where) -> Iterator[tuple[Any, Where]]:
    """The samples of a log, or the one that a record is, and where they stand."""
    if field(record, "output") is None and field(record, "choices") is None:
        samples = field(record, "samples")
        if samples is None:
            raise Refused("the record is no log with samples, no sample and no output of a model")
        for number, sample in enumerate(samples):
            yield sample, _named(sample, where, number)
    else:
        yield record, _named(record, where, None)


def _named(sample: Any, where: Where, number: int | None) -> Where:
    """Where a sample stands, by its id."""
    name = field(sample, "id", number)
    if field(sample, "choices") is not None or name is None:
        return where
    epoch = field(sample, "epoch")
    said = f"sample {shown(name)}" + (f", epoch {shown(epoch)}" if epoch is not None else "")
    return f"{in_words(where)}, {said}" if where else said


def _of_sample(record: Any, prompt: bool) -> Iterator[Path]:
    """The choices of a sample, or of an output."""
    output = record if field(record, "choices") is not None else field(record, "output")
    target, model = field(record, "target"), field(output, "model")
    for number, choice in enumerate(field(output, "choices", ())):
        found = field(choice, "prompt_logprobs" if prompt else "logprobs")
        if found is None:
            message = field(choice, "message")
            if not prompt and message is not None and not field(message, "content"):
                continue  # nothing was said, or a tool was called
            raise Refused(
                "there are no log-probabilities: run the evaluation with "
                + ("prompt_logprobs=20" if prompt else "logprobs=True, top_logprobs=20")
            )
        content = found if isinstance(found, list) else field(found, "content", ())
        yield Path(
            content,
            entry,
            "prompt" if prompt else "generated",
            number,
            model or None,
            target=target if isinstance(target, (str, int, list, Mapping)) else None,
        )
