"""Texts of matrices: files of lines or of token numbers, and who reads them.

Contents
    WORDS               the tokenizer that splits at white space
    check_tokenizer     refuses a tokenizer that is not there
    tokenizer_of        what --tokenizer says
    check_texts         refuses texts that are not there
    text_lines          the lines of all files, one after the other
    numbered            token ids of .npy files as documents
    are_numbers         whether files hold token ids
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .files import check_in
from .tables import read_numbers

WORDS = "words"


def check_tokenizer(given: str | None) -> None:
    """Refuse a tokenizer that is not there."""
    if given is None or given == WORDS:
        return
    path = Path(given)
    if path.is_file():
        return
    if not path.is_dir():
        raise UsageError(f"--tokenizer {given}: neither {WORDS} nor the file or folder of one")
    if not any(path.glob("*token*")):
        raise UsageError(f"--tokenizer {given}: a folder without a tokenizer")


def tokenizer_of(given: str | None) -> Any:
    """None for words; a tokenizer of HuggingFace from its folder, or from its tokenizer.json."""
    check_tokenizer(given)
    if given is None or given == WORDS:
        return None
    try:
        if Path(given).is_dir():
            from transformers import AutoTokenizer

            return AutoTokenizer.from_pretrained(given, local_files_only=True)
        from tokenizers import Tokenizer

        return Tokenizer.from_file(given)
    except ImportError as error:
        raise UsageError("tokenizers need transformers: pip install 'matrixbayes[hf]'") from error
    except Exception as error:  # those of Rust are plain
        raise UsageError(f"--tokenizer {given}: {error}") from error


def check_texts(paths: Sequence[str]) -> None:
    """Refuse texts that are not there, or of two kinds."""
    for path in paths:
        if path != "-":
            check_in(path, "text")
    if list(paths).count("-") > 1:
        raise UsageError("standard input can be read once")
    if len({path.endswith(".npy") for path in paths}) > 1:
        raise UsageError("some files are texts and some hold token ids (.npy): give one kind")


def are_numbers(paths: Sequence[str]) -> bool:
    """Whether the files hold token ids."""
    return bool(paths) and paths[0].endswith(".npy")


def text_lines(paths: Sequence[str]) -> Iterator[str]:
    """The lines of all files."""
    from ..study.inputs import lines

    for path in paths:
        yield from lines(path, "text")


def numbered(paths: Sequence[str]) -> list[Any]:
    """Token ids as documents: a file, or each row of one with two axes."""
    found: list[Any] = []
    for path in paths:
        ids = read_numbers(path, "text")
        if ids.ndim not in (1, 2) or ids.dtype.kind not in "iu":
            raise UsageError(f"text {path}: {ids.dtype} of shape {ids.shape} are no token ids")
        found += [ids] if ids.ndim == 1 else list(ids)
    return found
