"""What a model's forward pass gave, looked at before it is used.

Contents
    logits_of    the logits in it
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def logits_of(model: Any, output: Any) -> torch.Tensor:
    """The logits of an output.

    Raises
    ------
    TypeError
        It has none, or they are no floating-point numbers.
    """
    import torch

    name, found = type(model).__name__, getattr(output, "logits", None)
    if not isinstance(found, torch.Tensor):
        what = f"a {type(output).__name__} without logits"
        if found is not None:
            what = f"logits that are a {type(found).__name__} and no tensor"
        raise TypeError(
            f"{name} gives {what}: its forward pass, or a hook in it, is not that of a causal "
            "language model"
        )
    if not found.is_floating_point():
        raise TypeError(
            f"{name} gives logits of {found.dtype}, which are no floating-point numbers"
        )
    return found
