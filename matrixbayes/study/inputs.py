r"""What a user hands to the study: files, options, and a model by its name.

Contents
    lines             those of a text file, or of standard input
    blocks            the same with their numbers, cut where a line is blank
    unescape          a line as the text that it stands for
    read_prompts      one prompt a line
    read_vocab        answer groups: JSON, or name=spelling|spelling, each text or id:NUMBER
    read_components   "1:6", "3" or "1,2,4"
    read_shots        demonstrations: input<TAB>answer, or the answer alone
    source_of         where a model is, before anything of it is loaded
    load_model        a folder, or a name in the local cache; the bundled model

In the text files a line break, a tab and a backslash inside a prompt are written ``\n``, ``\t`` and
``\\``; any other backslash stands for itself.  Files are UTF-8; ``-`` is standard input.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from .._base.arguments import shown
from ..errors import UsageError as UsageError
from ..huggingface.demo import BUNDLED
from .held import readable
from .texts import Shots, demonstrations, find_answer

STDIN = "-"
MOST_COMPONENTS = 64
_ESCAPES = {r"\n": "\n", r"\t": "\t", r"\\": "\\"}

Vocab = dict[str, list[str | int]]


# ---------------------------------------------------------------------------
# Text files
# ---------------------------------------------------------------------------


def lines(path: str | os.PathLike[str], what: str) -> Iterator[str]:
    """The lines of a UTF-8 file, or of standard input (``-``), without their ends.

    Raises
    ------
    UsageError
        It cannot be read, or is no text; says which line.
    """
    name = "standard input" if path == STDIN else os.fspath(path)
    start = 0
    try:
        with _opened(path) as file:
            for number, raw in enumerate(file, start=1):
                if b"\0" in raw:
                    raise UsageError(f"{what} {name}, line {number}: a NUL byte: this is no text")
                line = raw.removesuffix(b"\n").removesuffix(b"\r")
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
                start += len(raw)
    except UnicodeDecodeError as error:
        at = start + error.start
        raise UsageError(f"{what} {name}, line {number}: not UTF-8 (byte {at})") from error
    except OSError as error:
        raise UsageError(f"cannot read {what} {name}: {error.strerror or error}") from error


def blocks(path: str | os.PathLike[str], what: str) -> list[list[tuple[int, str]]]:
    """The lines that are not blank, each with its number, in blocks that blank lines part."""
    found: list[list[tuple[int, str]]] = [[]]
    for number, line in enumerate(lines(path, what), start=1):
        if line.strip():
            found[-1].append((number, line))
        elif found[-1]:
            found.append([])
    return [block for block in found if block]


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file of bytes; standard input stays open."""
    if path == STDIN:
        yield sys.stdin.buffer
        return
    with open(path, "rb") as file:
        yield file


def unescape(text: str) -> str:
    r"""`text` with ``\n``, ``\t`` and ``\\`` replaced by what they stand for."""
    return re.sub(r"\\[nt\\]", lambda found: _ESCAPES[found.group()], text)


def read_prompts(path: str | os.PathLike[str]) -> list[str]:
    """The prompts of a file, one a line; blank lines are skipped.

    Raises
    ------
    UsageError
        The file cannot be read, is not UTF-8, or holds no prompt.
    """
    prompts = [unescape(line) for line in lines(path, "prompts file") if line.strip()]
    if not prompts:
        raise UsageError(f"prompts file {path} is empty: it needs one prompt a line")
    return prompts


# ---------------------------------------------------------------------------
# Answers
# ---------------------------------------------------------------------------


def read_vocab(options: Sequence[str]) -> Vocab | None:
    """The answer groups of `--vocab` options: name -> spellings.

    Parameters
    ----------
    options
        Each one is a JSON object (``{"yes": [" yes", " Yes"], "no": [" no"]}``), the path of a file
        that holds one, or one group as ``yes= yes| Yes``.  Several options add up.  A spelling is
        text, or a token id: ``id:645``, in JSON also 645.

    Examples
    --------
    >>> read_vocab(["yes= yes| Yes", "no=id:645"])
    {'yes': [' yes', ' Yes'], 'no': [645]}
    """
    vocab: Vocab = {}
    for option in options:
        for name, spellings in _vocab_option(option).items():
            if name in vocab:
                raise UsageError(f"--vocab: the group {name!r} is given twice")
            vocab[name] = [_spelling(each) for each in spellings] if _many(spellings) else spellings
    return _checked_vocab(vocab) if options else None


def _many(spellings: Any) -> bool:
    """Whether there is a list of them."""
    return isinstance(spellings, list)


def _spelling(given: Any) -> Any:
    """A spelling as `collect` takes it: `id:645` is a token id."""
    found = re.fullmatch(r"id:(\d{1,9})", given) if isinstance(given, str) else None
    return int(found[1]) if found else given


def _vocab_option(option: str) -> Vocab:
    """The groups of one option."""
    if option.lstrip().startswith("{"):
        return _vocab_json(option, "--vocab")
    if os.path.isfile(option):
        return _vocab_json("\n".join(lines(option, "vocab file")), f"vocab file {option}")
    name, equals, spellings = option.partition("=")
    if not equals:
        raise UsageError(
            f"--vocab {shown(option)}: no such file, and not a group; write 'yes= yes| Yes' or JSON"
        )
    return {name.strip(): [unescape(spelling) for spelling in spellings.split("|")]}


def _vocab_json(text: str, where: str) -> Vocab:
    """The groups of a JSON object."""
    try:
        groups = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not JSON: {error}") from error
    if not isinstance(groups, dict):
        raise UsageError(f'{where} must be an object like {{"yes": [" yes", " Yes"]}}')
    return {
        name: [spellings] if isinstance(spellings, (str, int)) else spellings
        for name, spellings in groups.items()
    }


def _checked_vocab(vocab: Vocab) -> Vocab:
    """The groups, once they are known to be names with different, non-empty spellings."""
    if len(vocab) < 2:
        raise UsageError(f"--vocab needs at least two answer groups, got {len(vocab)}")
    owner: dict[str | int, str] = {}
    for name, spellings in vocab.items():
        words = isinstance(spellings, list) and all(
            isinstance(s, str) or (isinstance(s, int) and not isinstance(s, bool))
            for s in spellings
        )
        if not name or not words or not spellings or "" in spellings:
            raise UsageError(f"--vocab: the group {name!r} needs a name and non-empty spellings")
        for spelling in spellings:
            if spelling in owner:
                raise UsageError(
                    f"--vocab: the spelling {spelling!r} is in {owner[spelling]!r} and {name!r}"
                )
            owner[spelling] = name
    return vocab


def read_components(text: str) -> list[int]:
    """The numbers of components of ``1:6`` (both ends included), ``3`` or ``1,2,4``."""
    found = re.fullmatch(r"(\d{1,4}):(\d{1,4})", text.strip())
    if found:
        sizes = list(range(int(found[1]), int(found[2]) + 1))
    elif re.fullmatch(r"\d{1,4}(,\d{1,4})*", text.strip()):
        sizes = sorted({int(size) for size in text.split(",")})
    else:
        sizes = []
    if not sizes or sizes[0] < 1 or sizes[-1] > MOST_COMPONENTS:
        raise UsageError(
            f"--components {shown(text)}: write a range like 1:6, or numbers like 3 or 1,2,4, "
            f"between 1 and {MOST_COMPONENTS}"
        )
    return sizes


# ---------------------------------------------------------------------------
# Demonstrations
# ---------------------------------------------------------------------------


def read_shots(
    path: str | os.PathLike[str],
    vocab: Mapping[str, Sequence[str | int]],
    tokenizer: Any = None,
) -> list[Shots]:
    """The sequences of demonstrations of a file.

    Parameters
    ----------
    path
        A UTF-8 file; one demonstration a line, ``input<TAB>answer`` or the answer alone; a blank
        line starts a new sequence.  An answer is a spelling or the name of a group in `vocab`.  In
        a sequence with inputs the last line is the query: its input is shown, its answer is not,
        and may be missing.  Demonstrations with inputs are joined by a line break, answers alone by
        a space unless they begin with one.
    vocab
        The answer groups.
    tokenizer
        Says what text a spelling is that is a token id or the name of a piece.

    Raises
    ------
    UsageError
        The file cannot be read, holds no sequence, or an answer is in no group; says which line.
    """
    texts = None if tokenizer is None else readable(tokenizer, vocab)
    sequences = [_sequence(path, block, vocab, texts) for block in blocks(path, "shots file")]
    if not sequences:
        raise UsageError(f"shots file {path} is empty: it needs one demonstration a line")
    return sequences


def _sequence(
    path: Any,
    block: list[tuple[int, str]],
    vocab: Mapping[str, Sequence[str | int]],
    texts: Mapping[str, Sequence[str]] | None,
) -> Shots:
    """The prompts and answers of one block of numbered lines."""
    with_inputs = any("\t" in line for _, line in block)
    items = []
    for i, (number, line) in enumerate(block):
        where = f"shots file {path}, line {number}"
        query = with_inputs and i == len(block) - 1
        start, tab, answer = line.rpartition("\t")
        if with_inputs and not tab:
            if not query:
                raise UsageError(f"{where}: no tab between input and answer")
            start, answer = line, ""
        group, spelling = "", ""
        if not query or answer.strip():
            try:
                given = _spelling(unescape(answer).strip())
                given = given if isinstance(given, int) else unescape(answer)
                group, spelling = find_answer(given, vocab, where, texts)
            except ValueError as error:
                raise UsageError(error) from error
        items.append((unescape(start), group, spelling))
    return demonstrations(items, with_inputs=with_inputs)


# ---------------------------------------------------------------------------
# The model
# ---------------------------------------------------------------------------


def source_of(name: str | os.PathLike[str] | None) -> str:
    """A model's folder, or its name on the hub; None is the bundled model.

    Raises
    ------
    UsageError
        There is no such folder, and it cannot be a name.
    """
    name = str(BUNDLED if name is None else name)
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UsageError(
                f"folder {name} holds no config.json: not a model in HuggingFace format"
            )
        return str(folder)
    if folder.exists() or not re.fullmatch(r"[\w-][\w.-]*(/[\w.-]+)?", name):
        raise UsageError(f"no model folder {name}")
    return name


def load_model(
    name: str | os.PathLike[str] | None,
    *,
    download: bool = False,
    device: str | None = None,
    dtype: str | None = None,
) -> tuple[Any, Any]:
    """A causal language model and its tokenizer, ready to predict.

    Parameters
    ----------
    name
        A folder in HuggingFace format, or a model's name on the hub; None is the bundled model.
    download
        Whether a name may be fetched; otherwise only the local cache is looked at.
    device
        Where it is to compute, as torch names devices: ``"cpu"``, ``"cuda"``, ``"cuda:1"``.
    dtype
        Its numbers: ``"float32"``, ``"bfloat16"``, ..., or ``"auto"`` for those of its files.

    Raises
    ------
    UsageError
        There is no such folder, model or device, or it is not a causal language model.
    """
    source = source_of(name)
    local = os.path.isdir(source)
    try:
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers import __version__ as version
    except ImportError as error:
        raise UsageError("models need torch: pip install 'matrixbayes[hf]'") from error
    if device is not None:
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            first = str(error).strip().partition("\n")[0]
            raise UsageError(f"there is no device {device}: {first}") from error
    offline = local or not download
    named = tuple(map(int, version.split(".")[:2])) >= (4, 56)
    chosen = {} if dtype is None else {"dtype" if named else "torch_dtype": dtype}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=offline)
        model: Any = AutoModelForCausalLM.from_pretrained(
            source, local_files_only=offline, **chosen
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        if local:
            first = str(error).strip().partition("\n")[0]
            raise UsageError(f"cannot load the model in {name or source}: {first}") from error
        missing = f"no folder {name}, and no model of that name in the local HuggingFace cache"
        hint = "it could not be fetched" if download else "--download fetches it"
        raise UsageError(f"{missing} ({hint})") from error
    if device is not None:
        model = model.to(device)
    return model.eval(), tokenizer
