"""A model run with its final norm and head at states between its layers.

Contents
    Lens             runs batches; knows the layers
    layer_numbers    what is asked for, as numbers of layers
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..._base.arguments import is_whole, shown, whole
from ..forward import Batch, Forward
from ..inside.probe import agree
from ..inside.taps import first_tensor, tapped

if TYPE_CHECKING:
    import torch

SECOND = -1  # stands for what enters the second layer
Layers = Literal["all"] | int | Sequence[int]


class Lens(Forward):
    """Runs a model over batches of prompts, and its head at states between its layers.

    Layer 0 is what enters the first layer, layer l what the l-th gives; from there the final norm
    and the head lead to logits as they do from the last one, whose logits are the model's own.

    Parameters
    ----------
    model
        A loaded causal language model.
    layers
        Which; see `layer_numbers`.
    hidden
        Keep the states that enter the output embeddings.

    Attributes
    ----------
    layers
        The numbers of those that were asked for, rising.
    n_layers
        How many the model has.

    Raises
    ------
    ValueError
        What lies between the layers and the logits is not known, or there is no such layer.
    """

    def __init__(self, model: Any, layers: Layers, *, hidden: bool = False) -> None:
        super().__init__(model, hidden=True)
        self.keeps_hidden = hidden
        name = type(self.model).__name__
        if self.head is None:
            raise ValueError(f"layers of {name} have no rows: {self.head_refusal}")
        stack = _stack(self.model, self.head.last_layer)
        if stack is None:
            raise ValueError(
                f"layers of {name} have no rows: between the last layer and the output embeddings "
                "lies more than a chain of modules, so that the state of a layer has no logits"
            )
        self.n_layers = len(stack)
        self.layers = layer_numbers(layers, self.n_layers)
        self._stack = stack
        self._states: dict[int, torch.Tensor] = {}
        self._is_checked = False

    def parts(self, batch: Batch) -> Iterator[tuple[int, Batch]]:
        """The last batch that was run, at each layer."""
        import torch

        for layer in self.layers:
            logits, entered = batch.logits, batch.hidden
            if layer < self.n_layers:
                with torch.no_grad():
                    logits, entered = self._through(self._states.pop(layer))
            yield (
                layer,
                Batch(logits, entered if self.keeps_hidden else None, batch.where, batch.why),
            )

    def _run(
        self, ids: torch.Tensor, mask: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        self._states = {}
        wanted = set(self.layers) - {self.n_layers}
        if not self._is_checked:
            wanted |= {self.n_layers, 1, SECOND}

        def keep(layer: int, states: torch.Tensor | None) -> None:
            if layer not in wanted:
                return
            if states is None or states.ndim != 3 or len(states) != len(ids):
                raise ValueError(
                    f"layer {layer} of {type(self.model).__name__} gives no state for each token"
                )
            if layer in self._states:
                raise ValueError(
                    f"{type(self.model).__name__} runs its layers more than once in a forward "
                    "pass: a layer's number says nothing"
                )
            shift = states.shape[1] - ids.shape[1]  # virtual tokens in front
            at = rows.to(states.device), columns.to(states.device) + shift
            self._states[layer] = states[at]

        with ExitStack() as hooks:
            for i, module in enumerate(self._stack):
                hooks.callback(_watch(module, i, keep).remove)
            for module, layer in zip(self._stack, (0, SECOND), strict=False):
                hooks.callback(_watch_entry(module, layer, keep).remove)
            logits, entered = super()._run(ids, mask, rows, columns)
        self._check(logits)
        return logits, entered

    def _check(self, logits: torch.Tensor) -> None:
        """Hold the way from the last layer against the model's own logits, and the first layer
        against the second, once."""
        if self.head is None:
            raise ValueError(self.head_refusal)
        if self._is_checked:
            return
        self._is_checked = True
        found, _ = self._through(self._states[self.n_layers][:1])
        if not agree(found, logits[:1]):
            away = float((found.double().cpu() - logits[:1].double().cpu()).abs().max())
            raise ValueError(
                f"layers of {type(self.model).__name__} have no rows: final norm and head of what "
                f"the last one gives are up to {away:.3g} from the model's own logits"
            )
        second, one = self._states.pop(SECOND, None), self._states[1]
        if 0 in self.layers and second is not None and not agree(second, one.to(second.device)):
            raise ValueError(
                f"layer 0 of {type(self.model).__name__} has no rows: the model does more between "
                "two of its layers, so that what enters the first is not known; from layer 1 on "
                "there are rows"
            )
        self._states = {i: self._states[i] for i in self.layers if i < self.n_layers}

    def _through(self, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Logits of states of a layer, and what entered the output embeddings on the way."""
        assert self.head is not None
        with tapped(self.model.get_output_embeddings()) as calls:
            logits = self.head.of_layer(states)
        entered = calls[-1].entered if calls else None
        return logits, None if entered is None else entered.reshape(len(states), -1)


def layer_numbers(layers: Layers, n_layers: int) -> tuple[int, ...]:
    """Layers as numbers from 0, what enters the first, to `n_layers`, rising.

    Parameters
    ----------
    layers
        "all", a number, or several; negative ones count from the end, -1 is the last layer.

    Raises
    ------
    ValueError, TypeError
        There is no such layer, or one comes twice.
    """
    if isinstance(layers, str):
        if layers != "all":
            raise ValueError(f"layers={shown(layers)} is neither 'all' nor numbers of layers")
        return tuple(range(n_layers + 1))
    if not is_whole(layers) and not isinstance(layers, (Sequence, np.ndarray)):
        raise TypeError(f"layers={shown(layers)} is neither 'all' nor numbers of layers")
    given: list[Any] = [layers] if is_whole(layers) else list(layers)  # type: ignore[arg-type]
    if not given:
        raise ValueError("layers names no layer; leave it out for the model's own rows")
    numbers: dict[int, Any] = {}
    for each in given:
        number = whole(each, "a layer", -n_layers - 1, n_layers) % (n_layers + 1)
        if number in numbers:
            raise ValueError(
                f"layers names layer {number} twice, as {numbers[number]} and as {each}"
            )
        numbers[number] = each
    return tuple(sorted(numbers))


def _stack(model: Any, last: Any) -> list[Any] | None:
    """The layers of a model up to its last one, in their order; None where that is not known."""
    import torch

    for module in getattr(model, "_orig_mod", model).modules():
        if last is not None and isinstance(module, torch.nn.ModuleList):
            layers = list(module)
            if any(layer is last for layer in layers):
                return layers[: 1 + next(i for i, each in enumerate(layers) if each is last)]
    return None


def _watch(module: Any, i: int, keep: Any) -> Any:
    """A hook that keeps what the i-th layer gives."""
    return module.register_forward_hook(lambda _, args, output: keep(i + 1, first_tensor(output)))


def _watch_entry(module: Any, layer: int, keep: Any) -> Any:
    """A hook that keeps what enters a layer."""
    return module.register_forward_pre_hook(
        lambda _, args, given: keep(layer, first_tensor(args, given)), with_kwargs=True
    )
