"""The callables of a HuggingFace model that can be probed: its head, and the whole network.

Contents
    head_of     final norm and output embeddings
    embed_of    the network as a function of one token's embedding
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._base.typing import Floats


def head_of(model: Any, *, norm: bool = True) -> Any:
    """The head of a HuggingFace causal model, as a torch module: final norm and output embeddings.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    norm : bool
        Whether the final norm is part of it.  The hidden states that `collect` keeps are behind the
        norm: for those, False.

    Raises
    ------
    ValueError
        The model has no output embeddings, or no final norm that is known.

    Examples
    --------
    >>> from importlib.resources import files
    >>> from transformers import AutoModelForCausalLM
    >>> import matrixbayes as mb
    >>> model = AutoModelForCausalLM.from_pretrained(str(files("matrixbayes") / "data" / "urns"))
    >>> head = mb.head_of(model, norm=False)
    >>> zero, one = [[float(x)] * head.weight.shape[1] for x in (0, 1)]
    >>> mb.probe_segment(head, zero, one).log_affinity_defect < 1e-6
    True
    """
    import torch

    output = model.get_output_embeddings()
    if output is None:
        raise ValueError(f"{type(model).__name__} has no output embeddings")
    if not norm:
        return output
    base = model.base_model
    places = [base, getattr(base, "decoder", None)]
    for place in places:
        for name in ("ln_f", "norm", "final_layer_norm", "final_layernorm", "norm_f"):
            found = getattr(place, name, None)
            if isinstance(found, torch.nn.Module):
                return torch.nn.Sequential(found, output)
    raise ValueError(f"the final norm of {type(model).__name__} is not known; give norm=False")


def embed_of(model: Any, input_ids: ArrayLike, position: int = -1) -> Callable[[Floats], Any]:
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
        From embeddings (n, d) to the logits (n, V) behind the last token, for `probe_segment`.

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

    weights = model.get_input_embeddings().weight
    with torch.no_grad():
        text = model.get_input_embeddings()(torch.as_tensor(np.asarray(input_ids))[None])

    def network(states: Floats) -> Any:
        with torch.no_grad():
            many = text.repeat(len(states), 1, 1)
            many[:, position] = torch.as_tensor(states, dtype=weights.dtype)
            return model(inputs_embeds=many).logits[:, -1].double().cpu().numpy()

    return network
