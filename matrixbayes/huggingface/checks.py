"""Which models are taken; each of the others is refused in a sentence that says why.

Contents
    check_model     refuses what is no loaded causal language model, or would give random rows
    learned_prompt  how many learned tokens an adapter puts before a text
    is_plain        whether it says of itself that it reads from left to right, a row for a token
    try_out         runs it on two short texts, and refuses what reads ahead
    Trial           what that showed
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._base.arguments import shown

if TYPE_CHECKING:
    import torch

SHARDED = ("FullyShardedDataParallel", "DeepSpeedEngine")  # each process holds parts of weights
LENGTH = 8  # tokens of a text that a model is tried out on
# What a model may raise where a text of token ids is not what it takes.
REFUSALS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError)
# Reading ahead is a change of a row, when what follows is cut off, by more than this part of what
# another text does to a row.  Rounding is below 3e-6 in float32; masked models begin at 2e-3.
FORESIGHT = 3e-4


def check_model(model: Any) -> None:
    """Refuse what is no loaded causal language model, or would give random or wrong rows."""
    name = type(model).__name__
    if isinstance(model, str):
        raise TypeError(
            f"load the model first: AutoModelForCausalLM.from_pretrained({shown(model)}), and "
            "AutoTokenizer likewise"
        )
    if name in SHARDED:
        raise TypeError(
            f"{name} spreads weights over processes: gather them, and give the plain model"
        )
    if not hasattr(model, "forward") or not hasattr(model, "config"):
        raise TypeError(
            f"{name} is not a model of transformers; of a pipeline pass "
            "pipeline.model and pipeline.tokenizer"
        )
    if getattr(model.config, "is_encoder_decoder", False):
        raise ValueError(
            "an encoder-decoder model has no single next token; use a decoder-only one"
        )
    if getattr(model, "get_output_embeddings", lambda: None)() is None:
        raise ValueError(f"{name} has no language-model head: load it with AutoModelForCausalLM")
    if name.endswith("ForMaskedLM"):
        raise ValueError(
            f"{name} fills in masked tokens, from both sides: it is no causal model, and its rows "
            "are no predictions of a next token"
        )
    kinds = {type(module).__module__ for module in model.modules()}
    if any(kind.startswith("torch.ao.nn.quantized.dynamic") for kind in kinds):
        raise ValueError(
            f"{name} is quantised dynamically: one scale is measured over all tokens that run "
            "together, so that rows change with what stands beside them; quantise weights alone"
        )
    if any(module.training for module in model.modules()):
        raise ValueError(
            "the model is in training mode, where dropout makes rows random: call model.eval() "
            "first, and model.train() again afterwards if you are training it"
        )
    absent = [key for key, weight in model.named_parameters() if weight.device.type == "meta"]
    if absent and not any(hasattr(module, "_hf_hook") for module in model.modules()):
        raise ValueError(
            f"{absent[0]} is on the meta device, and nothing is there to load it: the model has "
            "no weights yet"
        )


def learned_prompt(model: Any) -> int:
    """How many learned tokens an adapter puts before every text."""
    adapter = getattr(model, "active_peft_config", None) if hasattr(model, "peft_config") else None
    return int(getattr(adapter, "num_virtual_tokens", None) or 0)


def is_plain(model: Any) -> bool:
    """Whether a model of transformers says that it reads from left to right, a row for a token.

    All its attention does; BERT's and CPM-Ant's, say, do not, and a model of anybody's own, an
    adapter with a learned prompt or a head that hides its weight has to be tried out.
    """
    config = getattr(model.config, "get_text_config", lambda: model.config)()
    said = [module.is_causal for module in model.modules() if hasattr(module, "is_causal")]
    return (
        type(model).__module__.partition(".")[0] in ("transformers", "peft")
        and bool(said)
        and all(each is True for each in said)
        and getattr(config, "is_causal", True) is not False
        and not learned_prompt(model)
    )


@dataclass(frozen=True)
class Trial:
    """What a model gave for two texts.

    Attributes
    ----------
    width
        The width of its logits.
    n_virtual
        How many positions of them stand before those of the text: the tokens of a learned prompt.
    """

    width: int
    n_virtual: int


def try_out(
    model: Any, run: Callable[[NDArray[np.int64]], torch.Tensor], max_length: int | None
) -> Trial:
    """Run a model on two texts and on half of them; ValueError where it reads ahead.

    Parameters
    ----------
    model
        The model, for its name and its configuration.
    run
        Its logits of texts (2, n), at all positions.
    max_length
        The most tokens that it takes; None if it does not say.
    """
    import torch

    name = type(model).__name__
    weight = model.get_input_embeddings().weight
    length = LENGTH if max_length is None else min(LENGTH, max_length)
    special = _special_ids(model)
    usual = list(islice((i for i in range(len(weight)) if i not in special), 2 * LENGTH))
    ids = np.resize(usual or [0], (2, length)).astype(np.int64)
    try:
        logits, cut = run(ids), run(ids[:, : (length + 1) // 2])
    except REFUSALS as error:
        raise ValueError(f"{name} does not run on a text of token ids alone: {error}") from error
    eps = max(torch.finfo(each).eps for each in (logits.dtype, weight.dtype))
    n_virtual = int(logits.shape[1]) - length
    if len(logits) != 2 or n_virtual < 0 or logits.shape[1] - cut.shape[1] != length // 2:
        raise ValueError(
            f"{name} gives logits of shape {tuple(logits.shape)} for 2 texts of {length} tokens: "
            "it has no row for each token"
        )
    ahead = _foresight(logits, cut, eps)
    if ahead is not None:
        raise ValueError(
            f"{name} is no causal model: its rows change by {ahead:.2g} with what follows, so that "
            "they are no predictions of a next token (a model of the BERT family needs "
            "is_decoder=True in its configuration, and training for it)"
        )
    return Trial(int(logits.shape[2]), n_virtual)


def _foresight(logits: torch.Tensor, cut: torch.Tensor, eps: float) -> float | None:
    """By how much rows change where the text ends sooner, if that is more than rounding."""
    whole, part = (each.double().log_softmax(-1) for each in (logits, cut))
    ahead, other = (
        float((a - b).abs().nan_to_num(0.0, 0.0).max())
        for a, b in ((whole[:, : part.shape[1]], part), (whole[0], whole[1]))
    )
    size = 1.0 + float(logits.double().nan_to_num(0.0, 0.0, 0.0).abs().max())
    return ahead if ahead > max(FORESIGHT, 16.0 * eps) * other + 2.0 * eps * size else None


def _special_ids(model: Any) -> set[int]:
    """The ids that a configuration sets apart: padding, images, ends."""
    config = model.config
    inner = getattr(config, "get_text_config", lambda: config)()
    found: set[int] = set()
    for each in (config, inner):
        for name, value in vars(each).items():
            if "token_id" in name or "token_index" in name:
                values = value if isinstance(value, (list, tuple)) else [value]
                found |= {v for v in values if isinstance(v, int)}
    return found
