"""Files in the format of ARPA to back-off models.

Contents
    read_arpa    a file to a `BackoffModel`
"""

from __future__ import annotations

import bz2
import gzip
import io
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._base.files import check_regular
from ..._base.saving.made import note
from ..._base.saving.unpacked import DAMAGED, Unpacked
from ..._base.typing import Ids
from ..._core import BackoffTable
from ..._core import read_arpa as read_text
from ..texts.reading import BEGIN, END
from .model import BackoffModel

NOTHING = -99.0  # the logarithm of a word's probability that programs write for 0


def read_arpa(path: str | os.PathLike[str]) -> BackoffModel:
    r"""Read a back-off model from a file in the format of ARPA, as KenLM, SRILM and others write.

    Parameters
    ----------
    path
        The file, perhaps compressed by gzip or bzip2.  It is read into memory.

    Returns
    -------
    BackoffModel
        Its tokens are the words of the file in their order, without ``<s>``, which stands for the
        beginning of a document; ``</s>`` is a token like others, unless the file gives it
        the probability 0 (-99).

    Raises
    ------
    ValueError
        It is no such file, or damaged; the line is named, and what is wrong with it.
    OSError
        It cannot be read.

    Notes
    -----
    A file is read strictly: the counts at its beginning are right, the words of longer n-grams are
    among the single ones, the first words of an n-gram are an n-gram, none stands twice, and no
    probability is above 1.  Fields may be separated by any spaces and tabs, back-off weights of 1
    may be missing, and so may ``<s>``, ``</s>`` and ``<unk>``.

    Examples
    --------
    >>> import os, tempfile, matrixbayes as mb
    >>> path = os.path.join(tempfile.mkdtemp(), "model.arpa")
    >>> lines = ["\\data\\", "ngram 1=3", "ngram 2=1", "\\1-grams:", "-0.3 a -0.3", "-0.3 b"]
    >>> with open(path, "w") as file:
    ...     _ = file.write("\n".join([*lines, "-99 <s>", "\\2-grams:", "-0.1 a b", "\\end\\"]))
    >>> mb.read_arpa(path).score("a", ["b", "a"]).__round__(3)
    0.251
    """
    data = _content(path)
    try:
        places, orders = read_text(data)
        names = _names(data, places)
        del data
        numbers, n_tokens = _numbers(names, orders)
        table = _table(numbers, n_tokens, orders)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None
    named = tuple(name for name, v in zip(names, numbers, strict=True) if 0 <= v < n_tokens)
    return note(BackoffModel(table, tokens=named), call="read_arpa")


def _content(path: str | os.PathLike[str]) -> bytes:
    """The text of a file, whatever it is compressed by."""
    name = os.fspath(path)
    check_regular(name)
    with open(name, "rb") as file:
        start = file.read(3)
        file.seek(0)
        try:
            if start[:2] == b"\x1f\x8b":
                return _unpacked(gzip.open(file), name)
            if start == b"BZh":
                return _unpacked(bz2.open(file), name)
        except DAMAGED as error:
            raise ValueError(f"{name} is compressed, and damaged: {error}") from error
        return file.read()


def _unpacked(file: Any, name: str) -> bytes:
    with io.BufferedReader(Unpacked(file, os.path.getsize(name), name)) as unpacked:
        return unpacked.read()


def _names(data: bytes, places: NDArray[np.int64]) -> list[str]:
    """The words of a file."""
    names = []
    for start, end in places.tolist():
        try:
            names.append(data[start:end].decode())
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, start) + 1
            raise ValueError(f"line {line}: a word is no UTF-8: {error}") from None
    return names


def _numbers(names: list[str], orders: list[Any]) -> tuple[Ids, int]:
    """The number of each word as a token, V that of ``<s>`` and -1 that of no token; and V."""
    are_tokens = np.array([name != BEGIN for name in names], dtype=bool)
    if END in names:
        end = names.index(END)
        elsewhere = any((before == end).any() for before, *_ in orders[1:2])
        elsewhere = elsewhere or any((words == end).any() for _, words, *_ in orders[1:])
        are_tokens[end] = elsewhere or orders[0][2][end] > NOTHING
    numbers = np.where(are_tokens, np.cumsum(are_tokens) - 1, -1)
    n_tokens = int(are_tokens.sum())
    if n_tokens == 0:
        raise ValueError("the file has no word but those that begin and end a document")
    if BEGIN in names:
        numbers[names.index(BEGIN)] = n_tokens
    return numbers, n_tokens


def _table(numbers: Ids, n_tokens: int, orders: list[Any]) -> BackoffTable:
    """The table of n-grams, each a pair of its first words and its last one."""
    contexts, backs = [np.zeros((1, 0), dtype=np.int64)], [np.ones(1)]
    starts, tokens, values = [], [], []
    rank, place = np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
    for k, (before, words, probs, log_backs) in enumerate(orders, start=1):
        token, parent = numbers[words], rank[before]
        order = np.argsort(parent << 32 | token, kind="stable")
        order = order[np.count_nonzero(token < 0) :] if k == 1 else order  # no tokens come first
        token, parent = token[order], parent[order]
        rank = np.full(len(words), -1, dtype=np.int64)
        rank[order] = np.arange(len(order))
        value = 10.0 ** probs[order]
        value[token == n_tokens] = np.nan
        of_context = np.bincount(place[parent], minlength=len(backs[-1]))
        starts.append(np.concatenate([[0], np.cumsum(of_context)]))
        tokens.append(token)
        values.append(value)
        if k == len(orders):
            break
        log_back = log_backs[order]
        is_context = log_back != 0.0
        is_context[rank[orders[k][0]]] = True
        own, parent = token[is_context, np.newaxis], parent[is_context]
        contexts.append(np.concatenate([contexts[-1][place[parent]], own], axis=1))
        with np.errstate(over="ignore"):  # which the table refuses
            backs.append(10.0 ** log_back[is_context])
        place = np.cumsum(is_context) - 1
    return BackoffTable(n_tokens, starts, tokens, values, backs, contexts)
