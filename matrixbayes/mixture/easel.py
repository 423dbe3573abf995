"""Mixture-Dirichlet files of Easel and HMMER."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from .._base.arguments import instance
from .._base.files import check_regular
from .._base.saving.whole import write_bytes
from .mixture import DirichletMixture


def read_easel(path: str | os.PathLike[str], *, tokens: Any = None) -> DirichletMixture:
    """A mixture from a file of Easel or HMMER: V and K, then K times a weight and V alphas.

    Parameters
    ----------
    path
        A text file; what follows ``#`` on a line is a comment.
    tokens : sequence of str, optional
        Names of the V tokens, which such files do not hold.

    Raises
    ------
    ValueError
        The file is no such mixture; the message says where.

    Examples
    --------
    >>> import os, tempfile
    >>> import matrixbayes as mb
    >>> path = os.path.join(tempfile.mkdtemp(), "prior.txt")
    >>> mb.write_easel(mb.DirichletMixture([0.5, 0.5], [[1.0, 2.0], [3.0, 4.0]]), path)
    >>> mb.read_easel(path).alpha
    array([[1., 2.],
           [3., 4.]])
    """
    name = os.fspath(path)
    words = _words(name)
    n_tokens, n_components = (_size(name, words, what) for what in ("alphabet", "number"))
    # Nothing is allocated for sizes that the file only claims: a list grows by what is there.
    numbers: list[float] = []
    count = n_components * (n_tokens + 1)
    for line, word in words:
        if len(numbers) == count:
            raise ValueError(f"{name}, line {line}: {word[:40]!r} follows the last number")
        try:
            value = float(word)
        except ValueError:
            raise ValueError(f"{name}, line {line}: {word[:40]!r} is not a number") from None
        is_weight = len(numbers) % (n_tokens + 1) == 0
        if not (math.isfinite(value) and (value >= 0.0 if is_weight else value > 0.0)):
            wanted = "a weight, >= 0" if is_weight else "an alpha, > 0"
            raise ValueError(f"{name}, line {line}: {word[:40]} is not {wanted}")
        numbers.append(value)
    if len(numbers) < count:
        raise ValueError(f"{name} ends after {len(numbers)} of {count} numbers")
    table = np.array(numbers).reshape(n_components, n_tokens + 1)
    try:
        return DirichletMixture(table[:, 0], table[:, 1:], tokens=tokens)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{name}: {error}") from error


def write_easel(mixture: DirichletMixture, path: str | os.PathLike[str]) -> None:
    """Write a mixture as Easel and HMMER read it, to the last digit; all or nothing.

    Parameters
    ----------
    mixture : DirichletMixture
        Names of tokens become a comment.
    path
        The file, replaced if it exists.

    Examples
    --------
    >>> import os, pathlib, tempfile
    >>> import matrixbayes as mb
    >>> path = os.path.join(tempfile.mkdtemp(), "prior.txt")
    >>> mb.write_easel(mb.DirichletMixture([1.0], [[0.5, 2.0]], tokens="ab"), path)
    >>> pathlib.Path(path).read_text().splitlines()
    ['# a b', '2 1', '1.0 0.5 2.0']
    """
    instance(mixture, DirichletMixture, "mixture")
    lines = [f"{mixture.n_tokens} {mixture.n_components}"]
    if mixture.tokens is not None:
        lines.insert(0, "# " + " ".join(ascii(token)[1:-1] for token in mixture.tokens))
    for weight, alpha in zip(mixture.weights, mixture.alpha, strict=True):
        lines.append(" ".join(repr(float(x)) for x in (weight, *alpha)))
    write_bytes(path, "\n".join([*lines, ""]).encode("ascii"))


def _words(name: str) -> Iterator[tuple[int, str]]:
    """Words of a text file with their line numbers, without comments."""
    check_regular(name)
    with open(name, "rb") as file:
        content = file.read()
    if not content.isascii():
        raise ValueError(f"{name} is not a text file of numbers: it holds bytes beyond ASCII")
    for number, line in enumerate(content.decode("ascii").splitlines(), 1):
        for word in line.partition("#")[0].split():
            yield number, word


def _size(name: str, words: Iterator[tuple[int, str]], what: str) -> int:
    """A size of the header."""
    title = {"alphabet": "the size of the alphabet", "number": "the number of components"}[what]
    line, word = next(words, (0, ""))
    if not line:
        raise ValueError(f"{name} ends before {title}")
    if not (word.isdigit() and len(word) < 10 and int(word) > 0):
        raise ValueError(f"{name}, line {line}: {word[:40]!r} is not {title}, a positive integer")
    return int(word)
