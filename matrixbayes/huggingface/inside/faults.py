"""Why logits are no distribution: damaged weights, or the place where numbers stop being finite.

Contents
    fault_of    the cause in a sentence, found by looking at the weights and running a text again
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from .taps import first_tensor

if TYPE_CHECKING:
    import torch


def fault_of(model: Any, run: Callable[[], torch.Tensor]) -> str:
    """The cause, of a model and what gives the logits of one text by itself."""
    import torch

    for name, weight in model.named_parameters():
        bad = 0 if weight.device.type == "meta" else weight.numel() - _n_finite(weight)
        if bad:
            return (
                f"the weight {name} holds {bad} numbers that are not finite: load the model again, "
                "from a sound file and in bfloat16 or float32"
            )
    with _first_fault(model) as found:
        logits = run()
    if found:
        name, kind, what = found[0]
        if kind == torch.float16:
            return (
                f"float16 ends at 65504, and in {name} numbers go beyond it: load the model in "
                "bfloat16 or float32"
            )
        return f"{name} makes {what} of finite numbers, in {str(kind).removeprefix('torch.')}"
    if bool(torch.isfinite(logits).all()):
        return "by itself the text gives a distribution, in a batch it does not: use batch_size=1"
    return "all weights and all that the modules of the model give are finite"


@contextmanager
def _first_fault(model: Any) -> Iterator[list[tuple[str, torch.dtype, str]]]:
    """The modules whose results have NaN or infinities where what they take has none, in order."""
    import torch

    found: list[tuple[str, torch.dtype, str]] = []

    def watch(name: str) -> Callable[..., None]:
        def after(_: Any, args: Any, given: Any, output: Any) -> None:
            entered, left = first_tensor(args, given), first_tensor(output)
            if found or left is None or _is_sound(left):
                return
            if entered is None or _is_sound(entered):
                what = "NaN" if bool(torch.isnan(left).any()) else "infinities"
                found.append((name, left.dtype, what))

        return after

    with ExitStack() as hooks:
        for name, module in model.named_modules():
            hook = module.register_forward_hook(watch(name or "the model"), with_kwargs=True)
            hooks.callback(hook.remove)
        yield found


def _n_finite(values: torch.Tensor) -> int:
    """How many numbers are finite."""
    import torch

    return int(torch.isfinite(values).sum())


def _is_sound(values: torch.Tensor) -> bool:
    """Whether there is no NaN and no infinity above; those below are what masks are made of."""
    return bool((values < float("inf")).all())
