"""Tiny random models of several architectures, and tokenizers of a few words: made, not loaded."""

from __future__ import annotations

import functools
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tokenizers import (  # noqa: E402
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast  # noqa: E402

WORDS = ["red", "orange", "yellow", "green", "blue", "purple", "white", "black"]
SPECIAL = ["<bos>", "<eos>", "<pad>", "<unk>"]
WIDTH = len(WORDS) + len(SPECIAL)
COMMON = {"vocab_size": WIDTH, "bos_token_id": 8, "eos_token_id": 9, "pad_token_id": None}
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
GATED = {**SMALL, "intermediate_size": 48, "num_key_value_heads": 2, "head_dim": 8}
CONFIGS: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64},
    "llama": GATED,
    "gemma2": {**GATED, "final_logit_softcapping": 0.5, "query_pre_attn_scalar": 8},
    "opt": {**SMALL, "ffn_dim": 48, "word_embed_proj_dim": 32},
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
}


@functools.cache
def cached_model(kind: str, width: int = WIDTH) -> Any:
    config = AutoConfig.for_model(kind, **{**COMMON, **CONFIGS[kind], "vocab_size": width})
    state = torch.random.get_rng_state()
    torch.manual_seed(20)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # wide enough for rows to differ
            if parameter.ndim == 2:
                parameter.mul_(8.0)
    torch.random.set_rng_state(state)
    return model


def make_tokenizer(
    *, bos: bool = True, eos: bool = False, pad: bool = True, unk: bool = True, side: str = "left"
) -> PreTrainedTokenizerFast:
    """Words to ids; `bos` and `eos` say what it adds by itself."""
    words = [*WORDS, *SPECIAL] if unk else [*WORDS, *SPECIAL[:-1]]
    vocabulary = {word: i for i, word in enumerate(words)}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>" if unk else None))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    template = f"{'<bos> ' if bos else ''}$A{' <eos>' if eos else ''}"
    backend.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[("<bos>", 8), ("<eos>", 9)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>" if pad else None,
        unk_token="<unk>" if unk else None,
        padding_side=side,
    )


@functools.cache
def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE like GPT-2's, with few merges and no BOS."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=290,
        special_tokens=["<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(["Is it so? yes no yes no Yes No"] * 9, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>", bos_token="<eos>")


SENTENCES = "Is it so? yes no yes no (yes) (no) Answer: yes Answer:no is it a red yes? The soyes"


@functools.cache
def metaspace_tokenizer(scheme: str | None) -> PreTrainedTokenizerFast:
    """A BPE with the mark of SentencePiece; without a scheme as older Llamas have it."""
    backend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme or "first")
    special = ["<unk>", "<s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=340, special_tokens=special, show_progress=False)
    backend.train_from_iterator([SENTENCES] * 5, trainer)
    if scheme is None:
        prepend = normalizers.Prepend("▁")
        swap = normalizers.Replace(" ", "▁")
        backend.normalizer = normalizers.Sequence([prepend, swap])
        backend.pre_tokenizer = None
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", unk_token="<unk>")


PROMPTS = ["red blue", "green", "", "black white black red red orange", "purple purple purple"]
