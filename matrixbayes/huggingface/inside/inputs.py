"""A HuggingFace model as a function of one token's input embedding.

Contents
    embed_of    from rows of the embedding matrix to logits
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from ..._base.arguments import instance, whole
from ..._base.numbers import reals, wholes
from ..._base.typing import Floats
from .outputs import logits_of
from .probe import agree, options_of
from .taps import evaluating, run_of, tapped, unwrapped

if TYPE_CHECKING:
    import torch


def embed_of(model: Any, input_ids: ArrayLike, position: int = -1) -> Callable[[ArrayLike], Floats]:
    """The whole network as a function of the input embedding of one token.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    input_ids : array_like of int of shape (n,)
        The text; its embeddings are kept but for one.
    position : int
        The token whose embedding is replaced.

    Returns
    -------
    callable
        From rows (n, d) such as those of the embedding matrix to the logits (n, V) behind the last
        token, for `probe_segment`.  What the model does to a row before it feeds it on, a scale or
        a norm, is done to these.

    Raises
    ------
    ValueError
        Position and text do not fit; or the network is no function of the embeddings: a row of the
        embedding matrix in the place of another does not give what its token gives.

    Examples
    --------
    >>> from importlib.resources import files
    >>> from transformers import AutoModelForCausalLM
    >>> import matrixbayes as mb
    >>> model = AutoModelForCausalLM.from_pretrained(str(files("matrixbayes") / "data" / "urns"))
    >>> words = model.get_input_embeddings().weight.detach().numpy()
    >>> found = mb.probe_segment(mb.embed_of(model, [3, 4, 5]), words[5], words[6])
    >>> found.log_affinity_defect > 1e-6          # the network is no softmax of a linear map
    True
    """
    import torch

    ids, position = wholes(input_ids, "input_ids"), whole(position, "position", -(1 << 62))
    if ids.ndim != 1 or not -len(ids) <= position < len(ids):
        raise ValueError(f"input_ids have shape {ids.shape}: there is no position {position}")
    model = unwrapped(instance(model, torch.nn.Module, "model"))
    name, module = type(model).__name__, model.get_input_embeddings()
    weight = getattr(module, "weight", None)
    if not isinstance(weight, torch.Tensor) or weight.device.type == "meta":
        raise ValueError(f"the input embeddings of {name} are no matrix in memory")
    if not ((ids >= 0) & (ids < len(weight))).all():
        raise ValueError(f"input_ids go from {ids.min()} to {ids.max()}; {name} has {len(weight)}")
    text = torch.from_numpy(ids).to(weight.device)
    options = options_of(model)

    def logits(many: torch.Tensor) -> torch.Tensor:
        with torch.no_grad(), evaluating(model):
            mask = torch.ones_like(many)
            output = run_of(model)(input_ids=many, attention_mask=mask, return_dict=True, **options)
        return logits_of(model, output)[:, -1]

    def replaced(states: torch.Tensor) -> torch.Tensor:
        many = text.repeat(len(states), 1)
        with torch.no_grad():
            fed = _fed(module, states.to(weight.device, weight.dtype))

        def put(old: torch.Tensor) -> torch.Tensor:
            if old.shape[:2] != many.shape:
                return old
            new = old.clone()
            new[:, position] = fed.to(new.dtype)
            return new

        with tapped(module, leave=put):
            return logits(many)

    def network(states: ArrayLike) -> Floats:
        found: Floats = replaced(torch.from_numpy(reals(states, "states"))).cpu().double().numpy()
        return found

    own = int(ids[position])
    for token in (own, own - 1 if own else 1):
        given = text.clone()
        given[position] = token
        expected = logits(given[None])
        try:
            found = replaced(weight[token][None])
        except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(
                f"the input embeddings of {name} are more than a matrix (adapted, say): no row of "
                "it stands for what a token feeds"
            ) from error
        if not agree(found, expected):
            raise ValueError(
                f"{name} is no function of its input embeddings alone: with the row of token "
                f"{token} at position {position} it does not say what it says of the token"
            )
    return network


def _fed(module: Any, states: torch.Tensor) -> torch.Tensor:
    """What an embedding module would feed on (n, d'), were these the rows (n, d) of its matrix."""
    import torch

    alike = copy.copy(module)
    alike.padding_idx = None  # which may be beyond the rows given
    ids = torch.arange(len(states), device=states.device)[None]
    found: torch.Tensor = torch.func.functional_call(alike, {"weight": states}, (ids,))
    return found[0]
