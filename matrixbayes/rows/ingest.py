"""Numbers as they come from elsewhere, made into log-probabilities.

Contents
    as_floats           any array of floats, on any device, as NumPy's
    log_probs_of        a bare array of a stated kind, checked
    rows_asked_for      what a model of a caller's gave, of a shape that was asked for
    flat_logits         an array of logits, or an error that says why it is not one
    rows_of_generate    the output of transformers' `generate`
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._base.arguments import shown
from .._base.numbers import plain, reals, wholes
from .._base.tokens import string_labels
from .._core import check_log_probs, log_probs
from .known import whole

KINDS = ("logits", "log_probs", "probs")
BLOCK = 1 << 20  # numbers checked in one piece


def as_floats(X: Any) -> tuple[NDArray[Any], bool]:
    """Data as a NumPy array of floats, and whether its numbers are the bits of bfloat16.

    Parameters
    ----------
    X : array_like or torch.Tensor
        Floating-point numbers of 16, 32 or 64 bits.

    Returns
    -------
    array : ndarray
        float16, float32 or float64; or uint16, the bits of a tensor of bfloat16.
    bfloat16 : bool
        Which of the two.
    """
    if str(getattr(X, "dtype", "")) == "torch.bfloat16":
        import torch

        if X.layout == torch.strided and not X.is_meta:
            return X.detach().cpu().contiguous().view(torch.int16).numpy().view(np.uint16), True
    array = plain(whole(X), "rows")
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = reals(array, "rows")
    if array.dtype.name not in ("float16", "float32", "float64"):
        raise TypeError(
            f"rows are {array.dtype}, not floating-point numbers; convert them with "
            ".astype(float), or say kind='counts' where counts are meant and accepted"
        )
    return array, False


def log_probs_of(
    X: Any, kind: str | None
) -> tuple[NDArray[np.floating], tuple[str, ...] | None, int]:
    """Log-probabilities of a bare array or data frame, its column names, and how many rows hold
    an exact zero; see `as_log_probs`.  The numbers are read once.
    """
    whole(X)
    kind = _check_kind(getattr(X, "kind", None) if kind is None else kind)  # some say it themselves
    tokens = string_labels(X)
    array, bfloat16 = as_floats(X)
    if array.ndim != 2:
        raise ValueError(f"rows need the shape (N, V), one row per context, not {array.shape}")
    if kind == "log_probs" and not bfloat16 and _is_stored_form(array):
        return array, tokens, check_log_probs(array)[0] if len(array) else 0
    found, zeros = log_probs(array, kind=kind, bfloat16=bfloat16, zeros=True)
    if kind == "logits" and _are_probabilities(array, bfloat16):
        warnings.warn(
            "kind='logits', but no number is negative and every row sums to 1: if these are "
            "probabilities, say kind='probs' (the softmax of probabilities is nearly even, and a "
            "fit to it far too sure)",
            UserWarning,
            stacklevel=4,
        )
    return found, tokens, zeros[0]


def rows_asked_for(
    found: Any, shape: tuple[int, int, int], kind: str, who: str, first: tuple[int, int] = (0, 0)
) -> NDArray[np.float64]:
    """Log-probabilities (n, length, V) that a model of the caller's gave for n sequences.

    Parameters
    ----------
    found
        What it gave, as arrays of any library; also as (n * length, V).
    shape
        What it had to give.
    kind
        What the numbers are.
    who
        What errors call it.
    first
        What the first sequence, and the first position of each, are called.

    Raises
    ------
    TypeError, ValueError
        It is something else, or no distribution; sequence and position are named.
    """
    if not hasattr(found, "shape"):
        found = plain(found, f"what {who} gave")
    n, length, width = shape
    if tuple(found.shape) not in (shape, (n * length, width)):
        raise ValueError(f"{who} gave shape {tuple(found.shape)}; it must be {shape}")
    try:
        rows = log_probs_of(found.reshape(-1, width), kind)[0]
    except (TypeError, ValueError) as error:
        place = re.match(r"row (\d+),? ", str(error))
        if place is None:
            raise type(error)(f"{who} gave no rows: {error}") from error
        i, t = divmod(int(place[1]), length)
        raise ValueError(
            f"{who} gave no distribution for sequence {first[0] + i}, position {first[1] + t}: "
            f"{str(error)[place.end() :]}"
        ) from error
    return rows.astype(np.float64).reshape(shape)


def _check_kind(kind: str | None) -> str:
    """The kind, which must be given and be one there is."""
    known = ", ".join(repr(k) for k in KINDS)
    if kind is None:
        raise ValueError(f"say what the array holds: kind= one of {known}")
    if kind not in KINDS:
        raise ValueError(f"kind={shown(kind)} is not one of {known}")
    return kind


def _are_probabilities(array: NDArray[Any], bfloat16: bool) -> bool:
    """Whether all rows are >= 0 and sum to 1 within 1e-3, of 16-bit numbers within 1e-2."""
    close = 1e-2 if array.dtype.itemsize == 2 else 1e-3
    start, step = 0, 1  # the first row tells nearly always
    while start < len(array):
        rows = array[start : start + step]
        if bfloat16:
            rows = (rows.astype(np.uint32) << 16).view(np.float32)
        if not (rows.min() >= 0.0 and np.abs(rows.sum(axis=1, dtype=float) - 1.0).max() <= close):
            return False
        start, step = start + step, max(1, BLOCK // array.shape[1])
    return len(array) > 0 and array.shape[1] > 1


def _is_stored_form(array: NDArray[Any]) -> bool:
    """Whether the array could be the memory of `NextTokenRows` as it is."""
    stored = array.dtype in (np.float32, np.float64) and array.dtype.isnative
    return bool(stored and array.flags.c_contiguous and array.flags.aligned)


def flat_logits(logits: Any) -> Any:
    """An array of logits as it is; what looks like one but is not is refused with the remedy."""
    if isinstance(logits, tuple) and logits and hasattr(logits[0], "shape"):
        raise ValueError(
            "a tuple of arrays could be scores as well as logits: pass the whole output of "
            "model.generate(..., return_dict_in_generate=True, output_logits=True)"
        )
    logits = logits.logits if hasattr(logits, "logits") else logits
    if getattr(logits, "ndim", 2) == 3:
        raise ValueError(
            f"logits of shape {tuple(logits.shape)} cover a whole batch, padding included: pick "
            "the positions that count, such as logits[i, length_i - 1], or use matrixbayes.collect"
        )
    return logits


def rows_of_generate(
    output: Any,
    eos_token_id: int | Sequence[int] | None = None,
    attention_mask: ArrayLike | None = None,
) -> dict[str, Any]:
    """The parts of `NextTokenRows` that the output of ``generate`` holds.

    Parameters
    ----------
    output
        Of ``generate(..., return_dict_in_generate=True, output_logits=True)``, without beams,
        from a decoder-only model: S steps for B sequences.
    eos_token_id
        The ids that end a sequence; needed where B > 1.
    attention_mask : array_like of shape (B, P), optional
        That of the prompts.

    Returns
    -------
    dict
        log_probs, input_ids, offsets and meta (prompt, position), sequence by sequence.
    """
    steps = _steps(output)
    sequences = wholes(output.sequences, "sequences")
    batch, prompt = len(sequences), sequences.shape[1] - len(steps)
    mask = np.ones((batch, prompt), bool)
    if attention_mask is not None:
        mask = plain(attention_mask, "attention_mask")
    if mask.shape != (batch, prompt):
        raise ValueError(f"attention_mask is {mask.shape}, the prompts are {(batch, prompt)}")
    if batch > 1 and eos_token_id is None:
        raise ValueError(
            "with several sequences say which ids end one: eos_token_id="
            "model.generation_config.eos_token_id, or [] if none does"
        )
    ends = np.atleast_1d(wholes([] if eos_token_id is None else eos_token_id, "eos_token_id"))
    alive = _alive(sequences[:, prompt:], ends)
    log_rows = np.stack([log_probs_of(step, "logits")[0] for step in steps], axis=1)
    keep = [(b, s) for b in range(batch) for s in range(len(steps)) if alive[b, s]]
    contexts = [
        np.concatenate([sequences[b, :prompt][mask[b] != 0], sequences[b, prompt : prompt + s]])
        for b, s in keep
    ]
    lengths = [len(context) for context in contexts]
    return {
        "log_probs": log_rows[alive],
        "input_ids": np.concatenate(contexts).astype(np.int64),
        "offsets": np.cumsum([0, *lengths]),
        "meta": {
            "source": "generate",
            "prompt": [b for b, _ in keep],
            "position": [length - 1 for length in lengths],
        },
    }


def _steps(output: Any) -> Sequence[Any]:
    """The logits of each generated token, (B, V) each; the model's own or an error."""
    how = "model.generate(..., return_dict_in_generate=True, output_logits=True)"
    if getattr(output, "beam_indices", None) is not None:
        raise ValueError(f"beam search mixes its sequences: use num_beams=1 in {how}")
    if hasattr(output, "encoder_hidden_states"):
        raise ValueError("this is an encoder-decoder model; rows come from decoder-only models")
    if getattr(output, "logits", None):
        return list(output.logits)
    why = "no logits"
    if getattr(output, "scores", None):
        why = "only scores, which temperature, top-k and the like have changed: they are not the"
        why += " model's distribution"
    raise ValueError(f"the output holds {why}; use {how}")


def _alive(generated: NDArray[Any], ends: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which steps (B, S) come before or with the end of their sequence."""
    ended = np.isin(generated, ends).cumsum(axis=1)
    return np.hstack([np.ones((len(generated), 1), bool), ended[:, :-1] == 0])
