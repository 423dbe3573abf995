"""Covariates as columns of a design: named, coded, standardised, told apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..._base.numbers import is_named, plain, reals
from ..._base.tokens import difference
from ..._base.typing import Floats
from ..._base.weights import taken
from ...errors import ArgumentError

INTERCEPT = "intercept"
ALIKE = 1e-9  # of a standardised column: what the others leave of it


class Term(NamedTuple):
    """A covariate: one column of numbers, or one for each level but the first."""

    name: str
    levels: tuple[str, ...] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns."""
        if self.levels is None:
            return (self.name,)
        return tuple(f"{self.name}[{level}]" for level in self.levels[1:])


@dataclass(frozen=True)
class Design:
    """What makes a design of covariates, and how its columns are told apart.

    Attributes
    ----------
    terms : tuple of Term
    names : tuple of str
        Of the columns: the intercept, and those of the terms.
    centre, scale : ndarray of shape (P,)
        What makes the columns standard ones, (x - centre) / scale; of the intercept 0 and 1.
    kept : ndarray of bool of shape (P,)
        Which columns are no sum of those before them.
    remarks : tuple of str
        Why the others are left out.
    """

    terms: tuple[Term, ...]
    names: tuple[str, ...]
    centre: Floats
    scale: Floats
    kept: NDArray[np.bool_]
    remarks: tuple[str, ...]

    @classmethod
    def of(
        cls, covariates: Any, there: NDArray[np.bool_], weights: Floats, what: str
    ) -> tuple[Design, Floats]:
        """From the covariates of the rows that are there: what it is, and its matrix (N, P)."""
        given = columns_of_covariates(covariates, what)
        found, terms = {}, []
        for name, values in given.items():
            if np.ndim(values) == 0:
                raise ArgumentError(
                    f"{what} {name!r} is {values!r}; it needs a value for each of {len(there)} rows"
                )
            n = len(values)
            if n != len(there):
                raise ValueError(f"{what} {name!r} has {n} values for {len(there)} rows")
            mine = values if there.all() else taken(values, np.flatnonzero(there))
            column = _values(mine, name, what)
            levels = None
            if is_named(column):
                levels = _levels(values, column)
            found[name] = column
            terms.append(Term(name, levels))
        names = (INTERCEPT, *(column for term in terms for column in term.columns))
        if len(set(names)) < len(names):
            raise ArgumentError(f"two columns of the {what}s have one name, of {', '.join(names)}")
        width = len(names)
        design = cls(
            tuple(terms), names, np.zeros(width), np.ones(width), np.ones(width, dtype=bool), ()
        )
        matrix = design._coded(found, len(weights))
        return design._standard(matrix, weights, what), matrix

    def matrix(self, covariates: Any, what: str = "covariate") -> Floats:
        """Covariates of other rows as a matrix (n, P), matched by name; one value is for all."""
        given = columns_of_covariates(covariates, what)
        wanted = [term.name for term in self.terms]
        if set(given) != set(wanted):
            raise ArgumentError(f"{what}s: {difference(list(given), wanted)}")
        found = {name: _values(np.atleast_1d(v), name, what) for name, v in given.items()}
        sizes = {len(values) for values in found.values()} - {1}
        if len(sizes) > 1:
            raise ValueError(f"{what}s have {' and '.join(map(str, sorted(sizes)))} values")
        n = sizes.pop() if sizes else 1
        return self._coded(found, n)

    def standard(self, matrix: Floats) -> Floats:
        """The columns that are kept, standardised."""
        return ((matrix - self.centre) / self.scale)[:, self.kept]

    def of_standard(self) -> Floats:
        """Coefficients of the columns from those of standard ones: a matrix (P, kept)."""
        back = np.diag(1.0 / self.scale)
        back[0] -= self.centre / self.scale
        return back[:, self.kept]

    def _coded(self, found: Mapping[str, NDArray[Any]], n: int) -> Floats:
        columns = [np.ones(n)]
        for term in self.terms:
            values = found[term.name]
            if (term.levels is None) == is_named(values):
                raise ArgumentError(
                    f"covariate {term.name!r} was "
                    + ("numbers" if term.levels is None else "names")
                    + f" in the fit, and is {values.flat[0]!r}"
                )
            if term.levels is None:
                columns.append(np.broadcast_to(values, n).astype(float))
                continue
            unknown = set(values.tolist()) - set(term.levels)
            if unknown:
                raise ArgumentError(
                    f"covariate {term.name!r} is {min(unknown)!r}; the fit knows "
                    + ", ".join(map(repr, term.levels))
                )
            columns += [
                np.broadcast_to(values == level, n).astype(float) for level in term.levels[1:]
            ]
        return np.column_stack(columns)

    def _standard(self, matrix: Floats, weights: Floats, what: str) -> Design:
        """With centre and scale, and without columns that say what others have said."""
        share = weights / weights.sum()
        centre = share @ matrix
        span = np.abs(matrix - centre).max(axis=0)
        for j in np.flatnonzero((span > 0.0) & ~((span > 1e-100) & (span < 1e100))):
            raise ArgumentError(
                f"{what} {self.names[j]!r} reaches {span[j]:.3g} from its mean: give it in a unit "
                "in which squares are numbers"
            )
        scale = np.sqrt(share @ (matrix - centre) ** 2)
        constant = scale <= 1e-12 * np.maximum(np.abs(centre), 1e-300)
        centre[0], scale[constant] = 0.0, 1.0
        kept, remarks = ~constant, []
        kept[0] = True
        for j in np.flatnonzero(constant)[1:]:
            remarks.append(
                f"{what} {self.names[j]!r} is the same in all rows: its coefficient is not "
                "identified, and left out"
            )
        standard = (matrix - centre) / scale * np.sqrt(share)[:, np.newaxis]
        for j in np.flatnonzero(kept)[1:]:
            before = [i for i in np.flatnonzero(kept) if i < j]
            by, *_ = np.linalg.lstsq(standard[:, before], standard[:, j], rcond=None)
            left = standard[:, j] - standard[:, before] @ by
            if np.sqrt(left @ left) <= ALIKE:
                kept[j] = False
                others = [self.names[i] for i, b in zip(before, by, strict=True) if abs(b) > 1e-6]
                remarks.append(
                    f"{what} {self.names[j]!r} is collinear with "
                    f"{' and '.join(map(repr, others))}: its coefficient is not identified, and "
                    "left out"
                )
        return replace(self, centre=centre, scale=scale, kept=kept, remarks=tuple(remarks))


def columns_of_covariates(covariates: Any, what: str) -> dict[str, Any]:
    """The columns of a mapping, a data frame, a named column, or an array, by name."""
    if covariates is None:
        return {}
    if isinstance(covariates, Mapping):
        given = dict(covariates)
    elif hasattr(covariates, "columns") and hasattr(covariates, "__getitem__"):
        given = {name: covariates[name] for name in covariates.columns}
    elif getattr(covariates, "name", None) is not None and hasattr(covariates, "to_numpy"):
        given = {covariates.name: covariates}
    else:
        array = plain(covariates, f"{what}s")
        if array.ndim > 2:
            raise ArgumentError(f"{what}s have shape {array.shape}; they need (N,) or (N, P)")
        if array.ndim < 2:
            given = {"x": array}
        else:
            given = {f"x{j}": array[:, j] for j in range(array.shape[1])}
    for name in given:
        if not isinstance(name, str) or name == INTERCEPT:
            raise ArgumentError(
                f"{what} {name!r}: names must be strings, and {INTERCEPT!r} is added by itself"
            )
    return given


def _values(values: Any, name: str, what: str) -> NDArray[Any]:
    """One column, of numbers or of names, nothing missing."""
    where = f"{what} {name!r}"
    if hasattr(values, "cat") and hasattr(values, "astype"):  # categories of pandas: as they are
        values = values.astype(object)
    column = plain(values, where)
    if column.ndim != 1:
        raise ArgumentError(f"{where} has shape {column.shape}; one number for each row is needed")
    if is_named(column):
        return column
    column = reals(column, where)
    wrong = np.flatnonzero(~np.isfinite(column))
    if len(wrong):
        i = int(wrong[0])
        raise ArgumentError(
            f"{where} is {column[i]} at place {i}: give it a number, or leave such rows out by "
            "sample_weight=0"
        )
    return column


def _levels(values: Any, column: NDArray[Any]) -> tuple[str, ...]:
    """The names that occur, in the order of the categories where there are some."""
    found = set(column.tolist())
    ordered = getattr(getattr(values, "cat", None), "categories", None)
    if ordered is None:
        return tuple(sorted(found))
    return tuple(name for name in ordered if name in found)
