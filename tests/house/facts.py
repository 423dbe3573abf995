"""What an object says of itself, as numbers and words that JSON can hold, and public names."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

DEPTH = 3  # of objects within objects
ELEMENTS = 6  # of an array or a sequence, evenly spaced: a table of known answers stays short


def facts(thing: Any, depth: int = DEPTH) -> Any:
    """The type of `thing` and every public attribute's facts."""
    kind = type(thing)
    if thing is None or isinstance(thing, str | bool):
        return thing
    if isinstance(thing, int | np.integer):
        return int(thing)
    if isinstance(thing, float | np.floating):
        return float(thing)
    if isinstance(thing, np.ndarray):
        flat = thing.ravel()
        found = {"shape": list(thing.shape), "dtype": str(thing.dtype)}
        return found | {"values": [facts(x.item()) for x in flat[places(len(flat))]]}
    if isinstance(thing, dict):
        return {str(key): facts(value, depth) for key, value in thing.items()}
    if isinstance(thing, range) or (isinstance(thing, list | tuple) and kind in (list, tuple)):
        return [facts(thing[i], depth) for i in places(len(thing))]
    if not kind.__module__.startswith("matrixbayes"):
        return f"<{kind.__name__}>"
    if not depth:
        return f"<{kind.__name__}>"
    said = {"type": kind.__name__}
    if isinstance(thing, BaseException):
        return said | {"text": str(thing)}
    if kind.__name__ in QUESTIONS:
        said["answers"] = facts(QUESTIONS[kind.__name__](thing))
    for name in public_names(thing):
        if name == "nbytes":
            continue  # nobody's promise
        try:
            value = getattr(thing, name)
        except (AttributeError, NotImplementedError):
            continue  # what an estimator knows after another kind of fit only
        if not callable(value):
            said[name] = facts(value, depth - 1)
    return said


# What methods say that attributes do not.
QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "DirichletMixture": lambda m: [m.mean(), m.predictive([1.0] * m.n_tokens), m.uncertainty()],
    "DirichletMixtureEstimator": lambda e: e.get_params(),
    "NextTokenRows": lambda r: [r.probs(), r[1:].log_probs],
    "PosteriorPath": lambda p: [p.mean(), p.concentration(), p.log_evidence()],
    "TransitionMatrix": lambda m: [
        m.predict(m.begin),
        m.contexts(),
        m.rows().toarray(),
        m.log_prob([0, 1, 2, 0]),
    ],
    "ScoreCard": lambda c: [c["martingale"].p_value],
    "UrnPredictor": lambda u: u.predict([[], [0]]),
    **dict.fromkeys(
        ["Urns", "MarkovChains", "Bijection", "HMM", "Switch", "Mixture"],
        lambda t: t.log_predictive(t.sample(1, 4, rng=0)),
    ),
}


def places(n: int) -> list[int]:
    """Up to ELEMENTS numbers below n, evenly spaced, with both ends."""
    return sorted({round(i * (n - 1) / (ELEMENTS - 1)) for i in range(ELEMENTS)}) if n else []


def public_names(thing: Any) -> list[str]:
    return sorted(name for name in dir(thing) if not name.startswith("_"))


def differences(found: Any, expected: Any, place: str = "") -> list[str]:
    """Where two sets of facts differ by more than the rounding of another machine."""
    if isinstance(expected, dict) and isinstance(found, dict):
        # How a thing looks is no promise; what an error says is.
        keys = [key for key in expected if key != "text" or key in found]
        pairs = [(key, found.get(key, "<missing>"), expected[key]) for key in keys]
    elif isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        pairs = [(str(i), a, b) for i, (a, b) in enumerate(zip(found, expected, strict=True))]
    elif isinstance(expected, float) and isinstance(found, float):
        near = math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-12)
        same = near or (math.isnan(found) and math.isnan(expected))
        return [] if same else [f"{place}: {found!r}, not {expected!r}"]
    else:
        return [] if found == expected else [f"{place}: {found!r}, not {expected!r}"]
    return [text for key, a, b in pairs for text in differences(a, b, f"{place}.{key}")]


def signature(thing: Any) -> str | None:
    """The parameters of something that can be called, without annotations, if any tells."""
    if getattr(thing, "_is_protocol", False):
        return None
    try:
        found = inspect.signature(thing)
    except (TypeError, ValueError):
        return None
    plain = [p.replace(annotation=p.empty) for p in found.parameters.values()]
    return str(inspect.Signature(plain))


def members(module: Any, names: Any) -> dict[str, Any]:
    """The public names of a module: signatures, and of classes those of their public members."""
    table: dict[str, Any] = {}
    for name in sorted(names):
        thing = getattr(module, name)
        if inspect.ismodule(thing):
            continue
        if not inspect.isclass(thing):
            table[name] = signature(thing) if callable(thing) else type(thing).__name__
        elif issubclass(thing, BaseException):
            table[name] = [base.__name__ for base in thing.__mro__[1:]]
        else:
            table[name] = {"": signature(thing)} | {
                each: signature(value) if callable(value) else "attribute"
                for each in public_names(thing)
                for value in [getattr(thing, each)]
            }
    return table
