"""Arguments of a `TransitionMatrix`, checked: what is wrong is named, and how to mend it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._base.arguments import probability, shown, whole
from .._base.numbers import entries, exact_rows, is_named, plain, reals
from .._base.tokens import Vocabulary, counted, order_of, token_names
from .._base.typing import Ids
from ..errors import ArgumentError
from ..mixture import DirichletMixture, KernelMixture
from .fits.row_sizes import MOST, N_BUCKETS, START, expanded
from .prior import Concentration

MAX_TOKENS = 2**32
DEPTH = 5  # of a tree
EVEN = float("1")  # the prior that is no argument, told by identity from a 1.0 that is one


def tree_order(order: Any, depth: Any, deeper: Any, most: int) -> tuple[int, float | None]:
    """Tokens of the longest contexts; and of a tree, how probably one is told from longer ones."""
    if not isinstance(order, str):
        for name, value in (("depth", depth), ("deeper", deeper)):
            if value is not None:
                raise ValueError(
                    f'{name} is of order="tree"; here the order is given, {shown(order)}'
                )
        return whole(order, "order", 1, most), None
    if order != "tree":
        raise ValueError(
            f'order is {shown(order)}; it must be a whole number from 1 to {most}, or "tree"'
        )
    found = probability(0.5 if deeper is None else deeper, "deeper", inside=True)
    return whole(DEPTH if depth is None else depth, "depth", 1, most), found


def check_tree(n_tokens: int, hierarchical: bool, discount: float) -> None:
    """Refuse what a tree of contexts does not go with."""
    if hierarchical:
        raise ValueError(
            "hierarchical and discounts must be False in a tree, whose evidence is exact: the rows "
            "of different contexts are independent"
        )
    if discount < 1.0:
        raise ValueError("the counts of a tree of contexts do not fade: discount must be 1")
    if n_tokens == MAX_TOKENS:
        raise ValueError("n_tokens is 2**32; in a tree it is 2**32 - 1 at most")


def checked_prior(prior: Any, names: tuple[str, ...] | None) -> DirichletMixture | float:
    """A number, or a mixture with its tokens in the order of names."""
    if isinstance(prior, DirichletMixture):
        order = order_of(prior.tokens, names, "the tokens of prior and those of the matrix")
        return (
            prior
            if order is None
            else DirichletMixture(prior.weights, prior.alpha[:, order], tokens=names)
        )
    if isinstance(prior, (bool, str)) or not isinstance(prior, (int, float, np.number)):
        raise TypeError(f"prior must be a DirichletMixture or a number, not {shown(prior)}")
    if not (prior > 0.0 and math.isfinite(prior)):
        raise ValueError(f"prior is {prior}; an alpha is positive and finite")
    return float(prior)


def vocabulary(prior: Any, n_tokens: Any, tokens: Iterable[str] | None) -> Vocabulary:
    """The tokens, on whose number all that tell it must agree; their names are those of `tokens`,
    or else those of the prior."""
    if isinstance(prior, KernelMixture):
        raise TypeError(
            "prior is a KernelMixture, whose components are as many as its rows; a matrix wants "
            "few, all of them in memory: give prior.reduce(K).mixture, or prior.dense()"
        )
    names = token_names(tokens, text=False)
    if names is None and isinstance(prior, DirichletMixture):
        names = prior.tokens
    told = {}
    if n_tokens is not None:
        told["n_tokens"] = whole(n_tokens, "n_tokens", 1, MAX_TOKENS)
    if names is not None:
        told["tokens"] = len(names)
    if isinstance(prior, DirichletMixture):
        told["prior"] = prior.n_tokens
    if not told:
        raise ValueError("how many tokens are there?  Give n_tokens, tokens, or a prior over them")
    if len(set(told.values())) > 1:
        said = ", ".join(f"{name} says {n}" for name, n in told.items())
        raise ValueError(f"the size of the vocabulary differs: {said}")
    return Vocabulary(next(iter(told.values())), names)


def concentrations(given: Any, order: int) -> tuple[bool, tuple[Concentration, ...]]:
    """Whether there is a hierarchy, and its concentrations to begin with."""
    if isinstance(given, (bool, np.bool_)):
        return bool(given), (Concentration(np.ones(1), np.ones(1)),) * order
    found = [_concentration(one) for one in given] if _several(given) else []
    if len(found) != order or None in found:
        raise ValueError(
            f"hierarchical is {shown(given)}; it must be True, False, or {order} positive "
            "numbers or "
            "(weights, values), the concentrations of contexts of 1, 2, ... tokens"
        )
    return True, tuple(one for one in found if one is not None)


def discounts_of(given: Any, order: int) -> NDArray[np.float64] | None:
    """The discounts to begin with, (order + 1, buckets, 8); None where rows have none."""
    if isinstance(given, (bool, np.bool_)):
        return np.tile(START, (order + 1, 1, 1)) if given else None
    return checked_discounts(given, order)


def checked_discounts(given: Any, order: int) -> NDArray[np.float64]:
    """Discounts that were given, (order + 1, buckets, 8)."""
    numbers = reals(given, "discounts").copy()
    if numbers.shape == (order + 1, 4):
        numbers = expanded(numbers)[:, np.newaxis]
    if numbers.shape not in [(order + 1, n, len(MOST)) for n in (1, N_BUCKETS)]:
        raise ValueError(
            f"discounts have shape {numbers.shape}; they need ({order + 1}, 4): D_1, D_2, D_3 and "
            "theta of contexts of 0, 1, ... tokens; or to be what a matrix's `discounts` are"
        )
    if not ((numbers >= 0.0) & np.isfinite(numbers) & (numbers <= MOST)).all():
        raise ValueError(
            "discounts are from 0 to what they are taken from: D_1, D_2, D_3 to 1, 2, 3; theta is "
            "finite, not negative"
        )
    return numbers


def root_prior(prior: Any, hierarchical: Any) -> Any:
    """The prior that was given, or else the one that the concentrations of a matrix remember."""
    if prior is not EVEN:
        return prior
    known = [getattr(one, "_prior", None) for one in hierarchical] if _several(hierarchical) else []
    known = [one for one in known if one is not None]
    if any(one != known[0] for one in known):
        raise ValueError(
            "the concentrations in hierarchical are those of matrices with different priors; say "
            "by prior= which one the empty context has"
        )
    return known[0] if known else 1.0


def _several(hierarchical: Any) -> bool:
    return hasattr(hierarchical, "__len__")


def _concentration(given: Any) -> Concentration | None:
    """One concentration, or several with weights; None where it is neither."""
    try:
        weights, values = (np.ones(1), [given]) if np.ndim(given) == 0 else given
        w, a = reals(weights, "weights").copy(), reals(values, "values").copy()
    except (TypeError, ValueError):
        return None
    good = w.ndim == 1 and w.shape == a.shape and len(w) > 0
    good = good and bool((np.isfinite(a) & (a > 0.0) & (w >= 0.0)).all())
    return Concentration(w, a) if good and abs(w.sum() - 1.0) < 1e-9 else None


def sparse(
    counts: Any, n_rows: int, vocabulary: Vocabulary
) -> tuple[NDArray[np.intp], Ids, NDArray[Any]]:
    """Row, column and value of each count that is not 0; what has names is matched by them."""
    shape = n_rows, vocabulary.n_tokens
    if not hasattr(counts, "tocoo") and (
        isinstance(counts, Mapping)
        or hasattr(counts, "to_numpy")
        or is_named(plain(counts, "counts"))
    ):
        counts = counted(counts, vocabulary.names, vocabulary.n_tokens, "the matrix")[0]
    if hasattr(counts, "tocoo"):
        # halves may add up to a count
        summed = exact_rows(counts, "counts") if counts.dtype.kind == "f" else counts
        found = counts.shape, *entries(summed, "counts")
    else:
        array = np.atleast_2d(plain(counts, "counts"))
        if array.ndim != 2:
            raise ValueError(f"counts have shape {array.shape}; they need {shape}")
        row, column = np.nonzero(array)
        found = array.shape, row, column, array[row, column]
    if found[0] != shape:
        raise ValueError(f"counts have shape {found[0]} for {shape[0]} contexts; need {shape}")
    return found[1].astype(np.intp), found[2].astype(np.int64), found[3]


def check_counts(row: NDArray[np.intp], column: Ids, times: NDArray[Any], kinds: str) -> None:
    """Refuse counts that are not numbers of these kinds (NumPy's letters), or negative; a float
    may be a whole number."""
    if times.size and "f" not in kinds and times.dtype.kind == "f":
        part = np.flatnonzero(np.floor(times) != times)
        if len(part):
            i = int(part[0])
            raise ArgumentError(
                f"the count of row {row[i]}, column {column[i]} is {times[i]}; counts must be "
                "whole numbers: forget() and discount below 1 make real ones"
            )
    most = np.finfo(float).max if "f" in kinds else np.nextafter(2.0**63, 0.0)
    if "f" not in kinds and times.dtype.kind in "iu":
        most = 2**63 - 1
    wrong = ~(times >= 0) | (times > most)
    if wrong.any():
        i = int(np.argmax(wrong))
        raise ValueError(
            f"the count of row {row[i]}, column {column[i]} is {times[i]}; "
            "counts are finite and >= 0"
        )
