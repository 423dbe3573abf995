"""What lies between a hidden state of a HuggingFace model and its logits.

Contents
    Head        final norm, projection, matrix, bias, scale and cap, as one function of states
    head_of     that of a model
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._base import display
from .._base.arguments import instance
from .._base.display import number
from .._base.numbers import reals
from .._base.typing import Floats
from ..errors import ArgumentError
from .inside.probe import Chain, Tail, agree, chain_of, is_norm, probe, rounding, tail_of, through
from .inside.taps import unwrapped
from .memory import is_out_of_memory

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from matplotlib.axes import Axes

ROWS = 1 << 14  # rows of the matrix that are made double at a time
STATES = 1 << 8  # unit states by which a matrix is read off


class Head(display.Shown):
    """What a model does between a hidden state and its logits; made by `head_of`.

    logits = cap tanh(z / cap) with z = scale (matrix h + bias); without a cap, z.  The state h is
    what enters the model's output embeddings; with `norm`, `head(states)` takes the state of the
    stream before the final norm.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        It is run on four tokens, to see what its logits are made of.
    norm : bool
        Whether the head begins before the final norm.

    Attributes
    ----------
    matrix : ndarray of shape (V, d)
        Of the output embeddings, adapters counted in.
    weight : torch.Tensor
        The same, as the model has it.
    bias : ndarray of shape (V,) or None
    scale : float
        By which the model multiplies what its output embeddings give.
    cap : float or None
        Of a softcap.
    norm : torch.nn.Module or None
        The final norm, where it is part of the head.
    projection : tuple
        Modules, and factors, between the norm and the matrix.
    kind : {"linear", "scaled", "capped"}
        "linear": the output embeddings, bias counted in, give the logits as they are.
    error : float
        The largest difference between the model's logits and the head of its states, computed in
        the model's own type.
    floor : float
        The same, with the head computed in double precision: how far rounding takes the model's
        logits from the head's.
    size : float
        The largest logit, in size, of those that `error` and `floor` were seen on; 1 at least.
    dtype : str
        The model's own type, in which the head is computed.
    starts_before_norm : bool
        Whether the final norm is part of it.

    Raises
    ------
    ValueError
        The model has no output embeddings, does not use them, or does something else to what they
        give; or, with `norm`, what lies before them is not known.
    """

    def __init__(self, model: Any, *, norm: bool = False) -> None:
        import torch

        model = unwrapped(model)
        self._name = type(model).__name__
        module = getattr(model, "get_output_embeddings", lambda: None)()
        if module is None:
            raise ValueError(f"{self._name} has no output embeddings")
        self._module = module
        seen = probe(model, module)
        self._tail: Tail = tail_of(model, module, seen)
        self._chain: Chain = chain_of(model, module, seen, self._tail)
        self.starts_before_norm = norm
        if norm and not (self._chain.whole or self._chain.links):
            raise ValueError(f"the final norm of {self._name} is not known; give norm=False")
        self._seen = seen.states[0], seen.logits[0]
        self._like = seen.states.dtype, seen.states.device
        coarsest = max(seen.states.dtype, seen.scores.dtype, key=lambda each: torch.finfo(each).eps)
        self.dtype = str(coarsest).removeprefix("torch.")
        self.size = max(1.0, float(seen.logits.abs().max()))
        self._eps = rounding(seen.states, seen.scores, seen.logits)
        self.error = self._away(*self._seen)
        refusal = self.refusal(*self._seen)
        if refusal is not None:
            raise ValueError(refusal)
        if not self._is_affine():
            raise ValueError(
                f"the output embeddings of {self._name} are no matrix and bias to the rounding of "
                f"{self.dtype} (quantized, say, or changed by a hook)"
            )

    # -- what it is -----------------------------------------------------------------

    @property
    def scale(self) -> float:
        """By which the scores of the output embeddings are multiplied."""
        return self._tail.scale

    @property
    def cap(self) -> float | None:
        """Of a softcap; None without one."""
        return self._tail.cap

    @property
    def kind(self) -> str:
        """ "linear", "scaled" or "capped"."""
        if self.cap is not None:
            return "capped"
        plain = self.scale == 1.0 and self._tail.offset is None
        return "linear" if plain else "scaled"

    @property
    def norm(self) -> Any:
        """The final norm, where it is part of the head."""
        links = self._chain.links
        return links[0] if self.starts_before_norm and is_norm(links) else None

    @property
    def projection(self) -> tuple[Any, ...]:
        """What lies between the final norm and the matrix."""
        if not self.starts_before_norm:
            return ()
        inside = () if self._chain.last is self._module else (self._chain.last,)
        return (*self._chain.links[1 if is_norm(self._chain.links) else 0 :], *inside)

    @property
    def last_layer(self) -> Any:
        """The layer whose states `of_layer` is known to take; None where there is none."""
        return self._chain.end

    @property
    def weight(self) -> Any:
        """The matrix as a tensor, the model's own where it has one."""
        import torch

        if self._is_plain():
            weight = self._plain_weight()
            return weight if len(weight) == self._tail.width else weight[: self._tail.width]
        return torch.tensor(self.matrix)

    @cached_property
    def matrix(self) -> NDArray[np.floating]:
        """Of the output embeddings, (V, d), in float32 or float64."""
        if self._is_plain():
            found = _single(self._plain_weight().detach().cpu()).numpy()[: self._tail.width]
        else:
            found = np.concatenate([part.cpu().numpy() for part in self._columns()], axis=1)
        found.flags.writeable = False  # it may be the model's own memory
        return found

    @cached_property
    def bias(self) -> NDArray[np.floating] | None:
        """Added to the scores, (V,); None without one."""
        found = self._module_bias()
        if self._tail.offset is not None:
            found = found + self._tail.offset.cpu().double().numpy() / self.scale
        return found if found.any() else None

    @cached_property
    def floor(self) -> float:
        """How far rounding takes the model's logits from the head's."""
        import torch

        states, logits = (each.cpu().double() for each in self._seen)
        scores = torch.zeros(logits.shape, dtype=torch.float64)
        if self._is_plain():
            for start in range(0, logits.shape[1], ROWS):
                rows = slice(start, min(start + ROWS, logits.shape[1]))
                part = self._plain_weight()[rows].detach().cpu().double()
                scores[:, rows] = states @ part.T
        else:
            for start, part in zip(range(0, states.shape[1], STATES), self._columns(), strict=True):
                scores += states[:, start : start + STATES] @ part.cpu().double().T
        exact = self._finished(scores.numpy())
        return float(np.abs(exact - logits.numpy()).max())

    def meta(self) -> dict[str, Any]:
        """What rows say of the head that they are from."""
        return {
            "kind": self.kind,
            "scale": self.scale,
            "cap": self.cap,
            "bias": self.bias is not None,
            "error": self.error,
            "floor": self.floor,
        }

    @property
    def parts(self) -> str:
        """What it consists of, in words."""
        width, d = self._seen[1].shape[-1], self._seen[0].shape[-1]
        parts = ["a final norm"] if self.norm is not None else []
        parts += [f"a matrix of {width} x {d}"]
        parts += [] if self.bias is None else ["a bias"]
        parts += [] if self.scale == 1.0 else [f"a scale of {number(self.scale)}"]
        parts += [] if self.cap is None else [f"a tanh cap of {number(self.cap)}"]
        return ", ".join(parts)

    def to_pandas(self) -> pd.DataFrame:
        """A row for each token: its column, the norm of its row of the matrix, its bias.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        norms = np.sqrt(np.square(self.matrix, dtype=np.float64).sum(axis=1))
        bias = np.zeros(len(norms)) if self.bias is None else self.bias
        return display.frame({"token": np.arange(len(norms)), "norm": norms, "bias": bias})

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The norms of the rows of the matrix."""
        from .inside.plots import head_norms  # needs matplotlib

        return head_norms(self, ax=ax)

    def _table(self) -> display.Table:
        said = f"the model's {self.dtype} logits are within {self.floor:.1e}"
        return display.Table(f"Head of {self._name}: {self.parts}; {said}")

    # -- what it does ---------------------------------------------------------------

    def __call__(self, states: Any) -> Any:
        """Logits (..., V) of states (..., d), computed as the model does: tensors for tensors,
        float64 arrays for arrays."""
        return self._called(self.of_layer if self.starts_before_norm else self._of_state, states)

    def of_layer(self, states: Any) -> Any:
        """Logits of what a layer of the model gives (..., d): by final norm, projection and matrix.

        Raises
        ------
        ValueError
            More lies between the last layer and the final norm than a chain of modules.
        """
        if not (self._chain.whole or self.starts_before_norm):
            raise ValueError(
                f"between the last layer of {self._name} and its output embeddings lies more than "
                "a chain of modules: a layer's state has no logits"
            )
        return self._called(self._through_chain, states)

    def exact(self, states: ArrayLike) -> Floats:
        """Logits (N, V) of states (N, d) that enter the matrix, in double precision."""
        h = reals(states, "states")
        found = np.empty((len(h), len(self.matrix)))
        for start in range(0, len(self.matrix), ROWS):
            rows = slice(start, start + ROWS)
            found[:, rows] = h @ self.matrix[rows].astype(np.float64).T
        return self._finished(found)

    def _finished(self, scores: Floats) -> Floats:
        """Logits of what the matrix gives, which are changed."""
        if self.bias is not None:
            scores += self.bias
        scores *= self.scale
        return scores if self.cap is None else self.cap * np.tanh(scores / self.cap)

    def _called(self, function: Callable[[Any], Any], states: Any) -> Any:
        """A function of tensors in the model's type and place, of arrays too."""
        import torch

        is_tensor = isinstance(states, torch.Tensor)
        given = states if is_tensor else torch.from_numpy(reals(states, "states"))
        try:
            with torch.set_grad_enabled(is_tensor and torch.is_grad_enabled()):
                found = function(given)
        except (IndexError, NotImplementedError, RuntimeError) as error:  # torch's, of any argument
            said = f"states of shape {(*given.shape,)} and type {given.dtype}"
            if is_out_of_memory(error):
                raise MemoryError(f"{said}: {error}") from error
            raise ArgumentError(f"{said} do not go through this head: {error}") from error
        return found if is_tensor else found.cpu().double().numpy()

    def _of_state(self, states: torch.Tensor) -> torch.Tensor:
        dtype, device = self._like
        return self._tail(self._module(states.to(device, dtype)))

    def _through_chain(self, states: torch.Tensor) -> torch.Tensor:
        many = states.to(self._like[1], self._chain.first_dtype).reshape(1, -1, states.shape[-1])
        found = self._tail(through(self._chain, many))
        return found.reshape(*states.shape[:-1], found.shape[-1])

    def refusal(self, states: torch.Tensor, logits: torch.Tensor) -> str | None:
        """Hold the head against the model's own logits (n, V) of states (n, d) that entered it:
        None where they are the same up to rounding, else a sentence."""
        import torch

        instance(states, torch.Tensor, "states")
        away = self._away(states, instance(logits, torch.Tensor, "logits"))
        if away == 0.0 or (
            away < float("inf") and away <= 16.0 * self._eps * max(1.0, float(logits.abs().max()))
        ):
            return None
        return (
            f"the logits of {self._name} are not those of its output embeddings for the states "
            f"that enter them: up to {away:.3g} apart"
        )

    def _away(self, states: torch.Tensor, logits: torch.Tensor) -> float:
        import torch

        with torch.no_grad():
            found = self._called(self._of_state, states)
        if found.shape != logits.shape or logits.is_complex():
            return float("inf")
        off = (found.cpu().double() - logits.cpu().double()).abs()
        return float(off.max()) if off.numel() else 0.0

    # -- matrix and bias ------------------------------------------------------------

    def _plain_weight(self) -> Any:
        return getattr(self._module, "weight", None)

    def _is_plain(self) -> bool:
        """Whether the output embeddings are nothing but their weights."""
        import torch

        forward = getattr(type(self._module), "forward", None)
        weight = self._plain_weight()
        return (
            forward is torch.nn.Linear.forward
            and isinstance(weight, torch.Tensor)
            and weight.device.type != "meta"
            and not self._module._forward_hooks
            and not self._module._forward_pre_hooks
        )

    def _is_affine(self) -> bool:
        """Whether the scores of a sum of states are the sum of theirs, less those of no state."""
        if self._is_plain():
            return True
        states = self._seen[0]
        first, second, both, none = (
            self._scores(each).cpu().double()
            for each in (states, states.flip(0), states + states.flip(0), 0 * states)
        )
        return agree(both, first + second - none, self._eps)

    def _columns(self) -> Iterator[torch.Tensor]:
        """Columns (V, n) of the matrix: what the module makes of unit states."""
        import torch

        dtype, device = self._like
        d = self._seen[0].shape[-1]
        zero = _single(self._scores(torch.zeros(1, d, dtype=dtype, device=device)))
        for start in range(0, d, STATES):
            unit = torch.zeros(min(STATES, d - start), d, dtype=dtype, device=device)
            unit[range(len(unit)), range(start, start + len(unit))] = 1.0
            yield (_single(self._scores(unit)) - zero).T

    def _module_bias(self) -> Floats:
        import torch

        if self._is_plain() and self._module.bias is None:
            return np.zeros(self._tail.width)
        dtype, device = self._like
        zero = torch.zeros(1, self._seen[0].shape[-1], dtype=dtype, device=device)
        found: Floats = self._scores(zero)[0].cpu().double().numpy()
        return found

    def _scores(self, states: torch.Tensor) -> torch.Tensor:
        import torch

        with torch.no_grad():
            found: torch.Tensor = self._module(states)[..., : self._tail.width]
        return found


def _single(values: torch.Tensor) -> torch.Tensor:
    """In float32, or in float64 where it is that."""
    return values if values.dtype.itemsize >= 8 else values.float()


def head_of(model: Any, *, norm: bool = True) -> Head:
    """What a HuggingFace causal model does between a hidden state and its logits.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        It is run on four tokens.
    norm : bool
        Whether the final norm is part of it.  The hidden states that `collect` keeps are behind the
        norm: for those, False.

    Returns
    -------
    Head
        A function from states (..., d) to logits (..., V), of tensors and of arrays, that says what
        it consists of: `matrix`, `bias`, `scale`, `cap`, and how far rounding takes the model's own
        logits from it, `floor`.

    Raises
    ------
    ValueError
        The model has no output embeddings, or no final norm that is known; or its logits are no
        scaled, shifted or capped scores of its output embeddings.

    Examples
    --------
    >>> from importlib.resources import files
    >>> from transformers import AutoModelForCausalLM
    >>> import matrixbayes as mb
    >>> model = AutoModelForCausalLM.from_pretrained(str(files("matrixbayes") / "data" / "urns"))
    >>> head = mb.head_of(model, norm=False)
    >>> head.kind, head.scale, head.cap, head.bias
    ('linear', 1.0, None, None)
    >>> zero, one = [[float(x)] * head.weight.shape[1] for x in (0, 1)]
    >>> mb.probe_segment(head, zero, one).log_affinity_defect < 1e-6
    True
    """
    return Head(model, norm=norm)
