"""Arguments of `elicit_prior`, checked: what is wrong is named, and how to mend it.

Contents
    checked_families          which families
    families_that_fit         which of all there are have a meaning for some histories
    Options, check_options    what every family is searched with
    checked_start             where searches begin, part by part
    group_levels              which histories belong together, and which of those
    check_n_groups            whether there are enough to resample
    fold_numbers              in which fold each row is
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from .._base.arguments import probability, shown, times, whole
from .._base.tokens import difference
from .._base.typing import Floats, Ids
from .._base.weights import group_numbers
from ..mixture import DirichletMixture
from ..sources import seen
from ..sources.names import TIES, canonical, parts_of
from ..sources.tree import MOST_DEPTH
from .families import ALL
from .histories import Histories, check_kind
from .parameters import TEMPERATURE_RANGE, fields_of, pack_prior

MOST_ROWS = 64  # of keys with an alpha of their own for each token, where nobody asked for them
MOST_NUMBERS = 1 << 18  # rows x tokens, of trees and of several parts

Start = DirichletMixture | Mapping[str, DirichletMixture | Mapping[str, Any]] | None


class Options(NamedTuple):
    """What every family is searched with."""

    n_components: int
    order: int
    n_starts: int | None
    max_iter: int
    tol: float
    discount: float | str
    temperature: float | str
    depth: int


def checked_families(family: str | Sequence[str], tie: str = "shared") -> tuple[str, ...]:
    """The families named, with the tie in the name of every chain that has one."""
    if tie not in TIES:
        raise ValueError(f"tie={shown(tie)} is not one of {', '.join(map(repr, TIES))}")
    if isinstance(family, str):
        families: tuple[str, ...] = (str(family),)
    elif isinstance(family, Iterable):
        families = tuple(str(name) for name in family)
    else:
        raise TypeError(f"family is {shown(family)}; it is a name, or several")
    if not families:
        raise ValueError("family is empty; name at least one")
    families = tuple(canonical(name, tie) for name in families)
    if len(set(families)) < len(families):
        raise ValueError(f"family names one twice: {families}")
    return families


def families_that_fit(
    histories: Histories, tie: str, discount: float | str, order: int = 1
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Those of all families that these histories can be held against; why not the others."""
    found: list[str] = []
    left_out: dict[str, str] = {}
    for name in ALL:
        try:
            (own,) = checked_families(name, tie)
            check_kind(histories, own, discount, order)
        except ValueError as error:
            left_out[name] = str(error)
            continue
        too_big = _too_big(own, histories)
        if too_big:
            left_out[own] = too_big
        elif own not in found:
            found.append(own)
    if not found:
        raise ValueError(left_out[ALL[0]])
    return tuple(found), left_out


def _too_big(family: str, histories: Histories) -> str:
    """Why a family takes too long to be fitted where nobody asked for it; nothing if not."""
    parts, width = parts_of(family).values(), histories.n_tokens
    if width > MOST_ROWS and any(part.tie in ("last", "full") for part in parts):
        return f"{width} x {width} numbers, name it to fit it"
    alone = len(parts) == 1 and all(part.reads_rows for part in parts)
    if histories.n * width > MOST_NUMBERS and not alone:
        return f"{histories.n} histories over {width} tokens take long, name it to fit it"
    return ""


def check_options(options: Options, n_boot: int, cv: int | None, level: float) -> None:
    """Raise where an option is not as described."""
    least = {"n_components": 1, "order": 1, "n_starts": 1, "max_iter": 1, "n_boot": 0, "cv": 2}
    least["depth"] = 1
    values = {**options._asdict(), "n_boot": n_boot, "cv": 2 if cv is None else cv}
    for name, low in least.items():
        value = values[name]
        if name == "n_starts" and value is None:
            continue
        (times if name in ("n_boot", "n_starts") else whole)(value, name, low)
    if options.depth > MOST_DEPTH:
        raise ValueError(f"depth must be at most {MOST_DEPTH}, not {options.depth}")
    if not (_is_number(options.tol) and 0.0 < options.tol < np.inf):
        raise ValueError(f"tol must be above 0, not {options.tol!r}")
    probability(level, "level", inside=True)
    discount, temperature = options.discount, options.temperature
    if discount != "fit" and not (_is_number(discount) and 0.0 < discount <= 1.0):
        raise ValueError(
            f"discount must be 'fit' or a number above 0 and at most 1, not {discount!r}"
        )
    coldest, hottest = TEMPERATURE_RANGE
    if temperature != "fit" and not (_is_number(temperature) and coldest <= temperature <= hottest):
        raise ValueError(
            f"temperature must be 'fit' or a number from {coldest:g} to {hottest:g}, "
            f"not {temperature!r}"
        )


def _is_number(value: Any) -> TypeGuard[float]:
    """A real number, and no truth value."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def checked_start(
    start: Start,
    families: tuple[str, ...],
    options: Options,
    n_tokens: int,
    tokens: tuple[str, ...] | None,
) -> tuple[dict[str, Floats], tuple[str, ...] | None]:
    """The vector that each part starts at; the tokens' names, from the predictions or else from
    there."""
    if start is None:
        return {}, tokens
    names: dict[str, Any] = {}
    for family in families:
        names |= parts_of(family, options.order, depth=options.depth)
    mixtures = [name for name, part in names.items() if part.is_mixture]
    fields = fields_of(names, n_tokens)
    starts = start if isinstance(start, Mapping) else dict.fromkeys(mixtures or names, start)
    found = {}
    for part, given in starts.items():
        if part not in names:
            raise ValueError(f"start has the key {part!r}; the parts here are {[*names]}")
        if part in fields:
            found[part] = _start_of_fields(part, given, fields[part])
            continue
        mixture = _mixture(given, options.n_components, n_tokens, tokens)
        tokens = mixture.tokens if tokens is None else tokens
        found[part] = pack_prior(mixture.weights, mixture.alpha)
    return found, tokens


def _start_of_fields(part: str, given: Any, fields: tuple[seen.Field, ...]) -> Floats:
    """The vector of the numbers of a part that is no mixture."""
    wanted = [field.name for field in fields]
    if not isinstance(given, Mapping) or {*given} != {*wanted}:
        raise TypeError(f"start of {shown(part)} must be a mapping with {', '.join(wanted)}")
    for field in fields:
        shape = np.shape(given[field.name])
        if shape != field.shape:
            raise ValueError(
                f"{field.name} of the start of {shown(part)} has shape {shape}, not {field.shape}"
            )
    return seen.pack(fields, given)


def _mixture(
    mixture: Any, n_components: int, n_tokens: int, tokens: tuple[str, ...] | None
) -> DirichletMixture:
    """What is given, if it is a start."""
    if not isinstance(mixture, DirichletMixture):
        raise TypeError(f"start is of type {type(mixture).__name__}, not a DirichletMixture")
    if (mixture.n_components, mixture.n_tokens) != (n_components, n_tokens):
        raise ValueError(
            f"start has {mixture.n_components} components over {mixture.n_tokens} tokens; "
            f"n_components is {n_components} and the predictions have {n_tokens} tokens"
        )
    if tokens is not None and mixture.tokens is not None and tokens != mixture.tokens:
        differ = difference(mixture.tokens, tokens)
        raise ValueError(
            "the tokens of start are not those of the predictions, in their order"
            + ("" if set(mixture.tokens) == set(tokens) else f": {differ}")
        )
    return mixture


def group_levels(groups: Any, histories: Histories) -> tuple[Ids, Ids | None]:
    """The outer group of each history, and where two levels are named the group within it.

    Equal histories are one group where none is named: what is fitted to some of them has seen all.
    """
    if groups is None:
        return histories.equal(), None
    levels = _levels(groups)
    numbers = [group_numbers(level, histories.n, "histories") for level in levels]
    if len(numbers) == 1:
        return numbers[0], None
    outer, inner = numbers
    return outer, np.unique(outer * (int(inner.max()) + 1) + inner, return_inverse=True)[1]


def _levels(groups: Any) -> list[Any]:
    """One level of labels or two: a column each, or a pair for each history."""
    if isinstance(groups, str) or not isinstance(groups, Iterable):
        return [groups]  # for others to refuse
    shape = getattr(groups, "shape", None)
    if shape is not None and len(shape) != 1:
        if len(shape) != 2 or shape[1] != 2:
            raise ValueError(
                f"groups have shape {shape}; they name one level, or two: (N, 2), outer and inner"
            )
        columns: Any = getattr(groups, "iloc", groups)
        return [columns[:, 0], columns[:, 1]]
    labels = groups if shape is not None else list(groups)
    pairs = [isinstance(label, (tuple, list, np.ndarray)) for label in labels]
    if not any(pairs):
        return [labels]
    if not all(pairs) or {len(label) for label in labels} != {2}:
        raise ValueError("groups name one level, or two: then each history has (outer, inner)")
    return [[label[level] for label in labels] for level in (0, 1)]


def fold_numbers(groups: Ids, n_folds: int, shares: Floats, rng: np.random.Generator) -> Ids:
    """The fold of each row: whole groups, about as many of those with weight in each."""
    place = rng.permutation(int(groups.max()) + 1)
    place[np.bincount(groups, shares) == 0.0] += len(place)  # the last to be dealt
    return (np.argsort(np.argsort(place)) % n_folds)[groups]


def check_n_groups(groups: Ids, shares: Floats, n_boot: int, n_folds: int) -> int:
    """How many groups have weight; raise where they are too few for samples or folds of them."""
    many = np.count_nonzero(np.bincount(groups, shares))
    if n_boot and many < 2:
        raise ValueError(
            "n_boot samples groups of histories, and there is one that has weight: all samples "
            "would be the same; give more (equal histories are one unless groups= tells them "
            "apart), or n_boot=0"
        )
    if many < n_folds:
        raise ValueError(
            f"{n_folds} folds need as many groups of histories that have weight, and there are "
            f"{many} (equal histories are one unless groups= tells them apart); choose a smaller cv"
        )
    return int(many)
