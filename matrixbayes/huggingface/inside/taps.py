"""What passes through the modules of a model while it runs: read, and changed, by hooks.

Contents
    evaluating      a model in evaluation mode for a while
    tapped          what enters and leaves one module, each time it is called
    watched         the same of every module, in the order in which calls end
    Call            one call of a module
    unwrapped       the model itself, out of what compiles it or copies it to other devices
    run_of          the model without a compiler, which would not see hooks
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

WRAPPERS = {
    "OptimizedModule": "_orig_mod",  # torch.compile: the rows are those of what it compiles
    "DataParallel": "module",
    "DistributedDataParallel": "module",
}
Change = Callable[["torch.Tensor"], "torch.Tensor"]


@dataclass(frozen=True)
class Call:
    """One call of a module: the first tensor of numbers that it took, and that it gave."""

    name: str
    module: Any
    entered: torch.Tensor | None
    left: torch.Tensor | None


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Every part of a model in evaluation mode, and back in its own mode afterwards."""
    training = [m for m in getattr(model, "modules", list)() if getattr(m, "training", False)]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def tapped(
    module: Any, *, enter: Change | None = None, leave: Change | None = None
) -> Iterator[list[Call]]:
    """The calls of a module; `enter` and `leave` may put others for what it takes and gives."""
    calls: list[Call] = []
    inputs: list[Any] = []

    def before(_: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        states = first_tensor(args, given)
        if enter is not None and states is not None:
            changed = enter(states)
            args = tuple(changed if each is states else each for each in args)
            given = {key: changed if each is states else each for key, each in given.items()}
            states = changed
        inputs.append(states)
        return args, given

    def after(_: Any, args: tuple[Any, ...], output: Any) -> Any:
        left = first_tensor(output)
        if leave is not None and left is not None:
            changed = leave(left)
            output, left = _exchanged(output, left, changed), changed
        calls.append(Call("", module, inputs.pop() if inputs else None, left))
        return output

    hooks = [
        module.register_forward_pre_hook(before, with_kwargs=True),
        module.register_forward_hook(after),
    ]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def watched(model: Any) -> Iterator[list[Call]]:
    """The calls of all modules but the model itself, with copies of what they took and gave."""
    calls: list[Call] = []

    def note(name: str) -> Callable[..., None]:
        def after(module: Any, args: Any, given: Any, output: Any) -> None:
            entered, left = first_tensor(args, given), first_tensor(output)
            calls.append(Call(name, module, _copied(entered), _copied(left)))

        return after

    with ExitStack() as hooks:
        for name, module in model.named_modules():
            if name:
                hook = module.register_forward_hook(note(name), with_kwargs=True)
                hooks.callback(hook.remove)
        yield calls


def first_tensor(*given: Any) -> torch.Tensor | None:
    """The first tensor of floating-point numbers in arguments or results."""
    import torch

    for each in given:
        if isinstance(each, torch.Tensor):
            if each.is_floating_point():
                return each
        elif isinstance(each, Mapping):
            found = first_tensor(*each.values())
            if found is not None:
                return found
        elif isinstance(each, (tuple, list)):
            found = first_tensor(*each)
            if found is not None:
                return found
    return None


def unwrapped(model: Any) -> Any:
    """The model itself, where it comes in a wrapper that changes nothing in its rows."""
    while type(model).__name__ in WRAPPERS:
        model = getattr(model, WRAPPERS[type(model).__name__])
    return model


def run_of(model: Any) -> Any:
    """What runs a model as it is written: compiled ones would pass by hooks that came later."""
    inner = getattr(model, "_orig_mod", model)
    compiled = getattr(inner, "_compiled_call_impl", None) is not None
    return inner.forward if compiled else inner


def _exchanged(output: Any, old: torch.Tensor, new: torch.Tensor) -> Any:
    """A module's output with one tensor for another: alone, or in a tuple."""
    if output is old:
        return new
    return type(output)(new if each is old else each for each in output)


def _copied(values: torch.Tensor | None) -> torch.Tensor | None:
    return None if values is None else values.detach().clone()
