"""Every kind of file that the package writes, in two versions of each, and how it is read.

Contents
    Kind            how one kind is written and read
    KINDS           all of them, by name
    PICTURES        the public names that write pictures
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import matrixbayes as mb

Save = Callable[[Path], Any]


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes
    ----------
    name
        Of such a file.
    save
        From a version, 0 or 1, to what writes it.
    read
        Reads it back; None where nobody here does.
    writes, reads
        The public names.
    needs
        A module that may be missing.
    """

    name: str
    save: Callable[[int], Save]
    read: Callable[[Path], Any] | None
    writes: str
    reads: str | None = None
    needs: str | None = None

    def is_here(self) -> bool:
        """Whether it can be written and read."""
        return self.needs is None or find_spec(self.needs) is not None


def prior(version: int) -> mb.DirichletMixture:
    alpha = np.arange(1.0, 601.0).reshape(2, 300) + version
    return mb.DirichletMixture([0.25, 0.75], alpha, tokens=[f"t{v}" for v in range(300)])


def rows(version: int) -> mb.NextTokenRows:
    rng = np.random.default_rng(version)
    found = rng.dirichlet(np.full(40, 0.5), size=30)
    logs = np.log(found).astype(np.float32)
    return mb.NextTokenRows.from_logits(logs, tokens=[f"t{v}" for v in range(40)])


def partial(version: int) -> mb.PartialRows:
    return mb.PartialRows.from_rows(rows(version), 5)


@cache
def kernels(version: int) -> mb.KernelMixture:
    found = np.random.default_rng(version).dirichlet(np.full(7, 0.5), size=12)
    fits = [mb.DirichletMixture([1.0], [[2.0] * 7])]
    options = {"pairs": [[2.0, 0.1], [30.0, 0.4]], "pair_weights": [0.5, 0.3, 0.2], "fits": fits}
    return mb.DirichletMixture.from_rows(found, kind="probs", tokens="abcdefg", **options)


@cache
def matrix(form: str, version: int) -> mb.TransitionMatrix:
    options: dict[str, Any] = {
        "whole": {"order": 2},
        "hierarchical": {"order": 2, "hierarchical": True},
        "discounts": {"order": 2, "discounts": True},
        "tree": {"order": "tree", "depth": 3},
        "fading": {"order": 1, "discount": 0.9},
        "rooted": {"order": 1, "prior": mb.DirichletMixture([1.0], [np.arange(1.0, 10.0)])},
    }[form]
    ids = np.random.default_rng(version).integers(0, 9, size=400) ** 2 // 9
    names = [f"w{v}" for v in range(9)]
    return mb.TransitionMatrix(n_tokens=9, tokens=names, **options).update(ids)


@cache
def backoff(version: int) -> mb.BackoffModel:
    return matrix("discounts", version).prune(0.0)


def path_of(version: int) -> Any:
    return mb.posterior_path(mb.DirichletMixture([1.0], [[1.0, 2.0 + version]]), [0, 1])


def in_cache(version: int) -> Save:
    """A file of `collect`, as it writes one."""
    from matrixbayes._base.mapped import write_mapped
    from matrixbayes.huggingface.runs.cache import FORMAT

    arrays = {"log_probs": rows(version).log_probs}
    header = {"format": FORMAT, "version": 1, "run": "r", "width": 40, "prompts": ["p"]}
    return lambda path: write_mapped(path, arrays, header | {"rows": [30]})


def of_cache(path: Path) -> Any:
    from matrixbayes._base.mapped import open_mapped
    from matrixbayes.huggingface.runs.cache import FORMAT

    return open_mapped(path, FORMAT)


def page(version: int) -> Save:
    """A file of `save_study`, all of which are written alike."""
    from matrixbayes._base.saving.whole import write_bytes

    return lambda path: write_bytes(path, b"<p>%d</p>" % version * 5000)


def of_matrix(form: str) -> Kind:
    return Kind(
        f"{form}.safetensors",
        lambda version: matrix(form, version).save,
        mb.TransitionMatrix.open,
        "TransitionMatrix.save",
        "TransitionMatrix.open",
    )


def frozen(form: str) -> Kind:
    return Kind(
        f"{form}.frozen.safetensors",
        lambda version: matrix(form, version).freeze,
        mb.TransitionMatrix.open,
        "TransitionMatrix.freeze",
        "TransitionMatrix.open",
    )


def arpa(ending: str) -> Kind:
    return Kind(
        f"model.{ending}",
        lambda version: backoff(version).to_arpa,
        mb.read_arpa,
        "BackoffModel.to_arpa",
        "read_arpa",
    )


KINDS = {
    kind.name: kind
    for kind in [
        Kind(
            "prior.safetensors",
            lambda v: prior(v).save,
            mb.DirichletMixture.load,
            "DirichletMixture.save",
            "DirichletMixture.load",
        ),
        Kind(
            "kernels.safetensors",
            lambda v: kernels(v).save,
            mb.KernelMixture.load,
            "KernelMixture.save",
            "KernelMixture.load",
        ),
        Kind(
            "rows.safetensors",
            lambda v: rows(v).save,
            mb.NextTokenRows.load,
            "NextTokenRows.save",
            "NextTokenRows.load",
        ),
        Kind(
            "partial.safetensors",
            lambda v: partial(v).save,
            mb.PartialRows.load,
            "PartialRows.save",
            "PartialRows.load",
        ),
        Kind(
            "rows.parquet",
            lambda v: partial(v).to_parquet,
            mb.PartialRows.from_parquet,
            "PartialRows.to_parquet",
            "PartialRows.from_parquet",
            "pyarrow",
        ),
        *map(of_matrix, ("whole", "hierarchical", "discounts", "tree", "fading", "rooted")),
        *map(frozen, ("whole", "hierarchical", "tree")),
        Kind(
            "backoff.safetensors",
            lambda v: backoff(v).save,
            mb.BackoffModel.open,
            "BackoffModel.save",
            "BackoffModel.open",
        ),
        *map(arpa, ("arpa", "arpa.gz", "arpa.bz2")),
        Kind(
            "matrix.arpa",
            lambda v: matrix("discounts", v).to_arpa,
            mb.read_arpa,
            "TransitionMatrix.to_arpa",
            "read_arpa",
        ),
        Kind(
            "prior.txt",
            lambda v: lambda path: mb.write_easel(prior(v), path),
            mb.read_easel,
            "write_easel",
            "read_easel",
        ),
        Kind("cached.safetensors", in_cache, of_cache, "collect", "collect"),
        Kind("report.html", page, None, "save_study"),
    ]
}
PICTURES = {"PosteriorPath.animate", "LearningPath.animate"}
