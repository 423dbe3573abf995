"""A tiny random model of every causal class of the installed transformers that a CPU can build.

Contents
    CLASSES       names of all classes that AutoModelForCausalLM knows
    EXCEPTIONS    those that cannot be built or run on text alone, each with its reason
    BEFORE_5      those that no transformers before 5 builds or runs
    since_5       marks what only transformers 5 does
    tiny_model    one of the others: 96 tokens, 32 wide, a few layers, random wide weights

A class that comes with a later transformers is tried with the general settings; where those do
not do, `tiny_model` says what went wrong, and the class wants a line in OWN or in EXCEPTIONS.
"""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

VOCABULARY = 96
LARGEST = 700_000  # parameters
PAD, BOS, EOS = 0, 1, 2

GENERAL = {
    "vocab_size": VOCABULARY,
    "pad_token_id": PAD,
    "bos_token_id": BOS,
    "eos_token_id": EOS,
    **dict.fromkeys(("hidden_size", "d_model", "n_embd"), 32),
    **dict.fromkeys(("num_hidden_layers", "num_layers", "n_layer", "n_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("encoder_layers", "decoder_layers"), 2),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("intermediate_size", "encoder_ffn_dim", "decoder_ffn_dim", "ffn_dim"), 64),
    **dict.fromkeys(("max_position_embeddings", "n_positions"), 64),
    "num_key_value_heads": 2,
    "sliding_window": 4,
    "is_decoder": True,
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    "moe_num_experts": 4,
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token", "moe_k", "moe_topk"), 2),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 16),
    **dict.fromkeys(("n_group", "topk_group", "num_expert_group"), 1),
    "first_k_dense_replace": 1,
    # what is done to embeddings and logits
    **dict.fromkeys(("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap"), 5.0),
    "logits_scaling": 4.0,
    "logit_scale": 0.25,
    "lm_head_multiplier": 0.5,
    "embedding_multiplier": 3.0,
    # state spaces, linear attention and short convolutions
    **dict.fromkeys(("mamba_n_heads", "mamba_d_head", "mamba_d_state", "state_size"), 8),
    **dict.fromkeys(("mamba_num_heads", "mamba_head_dim", "ssm_state_size"), 8),
    **dict.fromkeys(("mamba_n_groups", "n_groups", "mamba_ngroups"), 1),
    **dict.fromkeys(("mamba_expand", "expand"), 2),
    **dict.fromkeys(("chunk_size", "mamba_chunk_size"), 8),
    "mamba_dt_rank": 4,
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim", "linear_head_dim"), 8),
    **dict.fromkeys(("linear_num_key_heads", "linear_num_value_heads", "linear_num_heads"), 4),
}
LATENT = {  # attention by way of a latent of low rank
    **GENERAL,
    "num_key_value_heads": 4,
    "head_dim": 4,
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank"), 16),
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 8,
    "qk_head_dim": 12,
    "v_head_dim": 8,
    "index_n_heads": 16,  # enough for no two scores to be zero
    **dict.fromkeys(("index_head_dim", "index_topk"), 8),
}
TRIED = ({**GENERAL, "head_dim": 8}, GENERAL, LATENT)  # in turn, until one gives logits

ALTERNATING = ["linear_attention", "full_attention"]
GEMMA4 = {
    "vocab_size_per_layer_input": VOCABULARY,
    "hidden_size_per_layer_input": 8,
    "layer_types": ["sliding_attention", "full_attention"],
}
INKLING = {
    "unpadded_vocab_size": VOCABULARY - 6,  # the width of the logits
    "head_dim": 8,
    "swa_num_attention_heads": 4,
    "swa_num_key_value_heads": 2,
    "swa_head_dim": 8,
    "sliding_window_size": 4,
    "d_rel": 8,
    "rel_extent": 16,
    "layer_types": ["hybrid_sliding", "hybrid"],
}
# What single classes need besides, by the name of the class; a dict goes into a part of that name.
OWN: dict[str, dict[str, Any]] = {
    "BailingHybridForCausalLM": {
        "layer_types": ALTERNATING,
        "mlp_layer_types": ["dense", "sparse"],
    },
    "BambaForCausalLM": {"attn_layer_indices": [1], "num_key_value_heads": 2},
    "BltForCausalLM": {
        "num_hidden_layers": 2,
        "encoder_hash_byte_group_vocab": 50,
        "encoder_config": {"hidden_size_global": 32},
        "decoder_config": {"hidden_size_global": 32},
    },
    "CodeGenForCausalLM": {"rotary_dim": 4},
    "CohereCompassForCausalLM": {
        "layer_types": ["sliding_attention", "full_attention"],
        "rope_parameters": {
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            "full_attention": {"rope_type": "default", "rope_theta": 1e4},
        },
    },
    "CpmAntForCausalLM": {"dim_head": 8, "dim_ff": 64},
    "CTRLLMHeadModel": {"dff": 64},
    "DbrxForCausalLM": {
        "attn_config": {"kv_n_heads": 2, "rope_theta": 1e4, "clip_qkv": 8.0},
        "ffn_config": {"ffn_hidden_size": 64},
    },
    "DeepseekV4ForCausalLM": {
        "num_hidden_layers": 3,
        "layer_types": [
            "heavily_compressed_attention",
            "compressed_sparse_attention",
            "sliding_attention",
        ],
        "mlp_layer_types": ["hash_moe", "moe", "moe"],
        "num_key_value_heads": 1,
        "head_dim": 32,
        "q_lora_rank": 16,
        "o_groups": 2,
        "o_lora_rank": 16,
        "index_n_heads": 16,  # enough for no two scores to be zero
        "index_head_dim": 8,
        "index_topk": 2,
        "compress_rates": {"compressed_sparse_attention": 2, "heavily_compressed_attention": 3},
    },
    "DoryForCausalLM": {
        "num_hidden_layers": 4,
        "n_input_layers": 1,
        "n_recurrent_layers": 2,
        "n_output_layers": 1,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
    },
    "FalconH1ForCausalLM": {"mamba_d_ssm": 64},
    "LongcatFlashForCausalLM": {
        "ffn_hidden_size": 64,
        "expert_ffn_hidden_size": 16,
        "zero_expert_num": 1,
        "head_dim": 4,
    },
    "Mamba2ForCausalLM": {"num_heads": 8, "head_dim": 8},
    "MiniMaxM3VLForCausalLM": {
        "dense_intermediate_size": 64,
        "shared_intermediate_size": 16,
        "rotary_dim": 4,
        "index_head_dim": 8,
        "index_n_heads": 16,  # enough for no two scores to be zero
    },
    "NemotronHForCausalLM": {"moe_shared_expert_intermediate_size": 16},
    "XLNetLMHeadModel": {"d_inner": 64, "d_head": 8, "attn_type": "uni"},
    "Dots1ForCausalLM": {"n_shared_experts": 1, "num_experts_per_tok": 2},
    "Gemma3nForCausalLM": {
        "num_hidden_layers": 4,
        "intermediate_size": 64,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "num_kv_shared_layers": 2,
        "activation_sparsity_pattern": [0.5, 0.0, 0.0, 0.0],
        "vocab_size_per_layer_input": VOCABULARY,
        "hidden_size_per_layer_input": 8,
        "laurel_rank": 8,
    },
    "Gemma4ForCausalLM": GEMMA4,
    "Gemma4ForConditionalGeneration": {"text_config": GEMMA4},
    "GotOcr2ForConditionalGeneration": {"vision_config": {"output_channels": 8}},
    "Phi4MultimodalForCausalLM": {
        "audio_config": {"nemo_conv_channels": 8, "ext_pw_out_channel": 32, "num_blocks": 2}
    },
    "GPTNeoForCausalLM": {"attention_types": [[["global", "local"], 1]], "window_size": 4},
    "GPTJForCausalLM": {"rotary_dim": 4},
    "GraniteMoeHybridForCausalLM": {"layer_types": ALTERNATING, "shared_intermediate_size": 16},
    "JambaForCausalLM": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "KimiLinearForCausalLM": {"layer_types": ALTERNATING, "mlp_layer_types": ["dense", "sparse"]},
    "Lfm2MoeForCausalLM": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "Lfm2ForCausalLM": {"layer_types": ["conv", "full_attention"], "block_multiple_of": 8},
    "Lfm3ForCausalLM": {
        "num_hidden_layers": 3,
        "layer_types": ["conv", "sliding_attention", "full_attention"],
    },
    "MoshiForCausalLM": {"ffn_dim": 64},
    "Qwen3_5ForCausalLM": {"layer_types": ALTERNATING},
    "Qwen3_5MoeForCausalLM": {"layer_types": ALTERNATING},
    "Qwen3NextForCausalLM": {"layer_types": ALTERNATING},
    "RecurrentGemmaForCausalLM": {
        "num_hidden_layers": 3,
        "lru_width": 32,
        "attention_window_size": 4,
    },
    "ReformerModelWithLMHead": {
        "attention_head_size": 8,
        "attn_layers": ["local", "lsh"],
        "axial_pos_embds": False,
        "feed_forward_size": 64,
        "hash_seed": 0,
        "num_buckets": 2,
    },
    "RemBertForCausalLM": {"input_embedding_size": 16, "output_embedding_size": 48},
    "RoCBertForCausalLM": {
        "pronunciation_embed_dim": 8,
        "pronunciation_vocab_size": VOCABULARY,
        "shape_embed_dim": 8,
        "shape_vocab_size": VOCABULARY,
    },
    "XLMWithLMHeadModel": {"causal": True},
    "XmodForCausalLM": {"default_language": "en_XX"},
    "xLSTMForCausalLM": {
        "num_blocks": 2,
        "hidden_size": 64,
        "qk_dim_factor": 1.0,
        "ffn_round_up_to_multiple_of": 8,
    },
    "ZambaForCausalLM": {
        "num_hidden_layers": 4,
        "layers_block_type": ["linear_attention", "hybrid"] * 2,
        "attention_hidden_size": 64,
        "attention_head_dim": 16,
        "n_mamba_heads": 2,
    },
    "Zamba2ForCausalLM": {
        "layers_block_type": ["linear_attention", "hybrid"],
        "n_mamba_heads": 8,
        "mamba_headdim": 8,
        "attention_hidden_size": 64,
        "attention_head_dim": 16,
    },
    "ZayaForCausalLM": {"num_experts_per_tok": 1, "router_hidden_size": 8},
    "InklingForCausalLM": INKLING,
    "Inkling2ForCausalLM": INKLING,
    "Inkling2LoopForCausalLM": INKLING,
    "Qwen4ExpForCausalLM": {
        "layer_types": ["linear_attention", "indexed_attention"],
        "hc_lowrank": 8,
        "ple_embed_dim": 16,
        "ngram_vocab_size_base": 100,
        "make_ngram_vocab_size_divisible_by": 8,
        "split_ngram_parts": 4,
        "indexer_n_heads": 2,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 8,
        "indexer_budget": 4,
        "indexer_compress_ratio": 2,
    },
}

DRAFTS = "drafts for another model: its forward pass wants the states of that one"
AUDIO = "reads several streams of audio codes at once, no text"
EXCEPTIONS: dict[str, str] = {
    "Gemma3nForConditionalGeneration": "its vision tower needs timm",
    "Gemma4AssistantForCausalLM": DRAFTS,
    "Gemma4UnifiedAssistantForCausalLM": DRAFTS,
    "MusicgenForCausalLM": AUDIO,
    "MusicgenMelodyForCausalLM": AUDIO,
}

BEFORE_5 = {
    "MoshiForCausalLM": "its configuration holds one that is taken for a dict",
    "RecurrentGemmaForCausalLM": "its attention fails for batches of several sizes",
    "xLSTMForCausalLM": "it calls a tensor",
}
OLD = int(transformers.__version__.partition(".")[0]) < 5
since_5 = pytest.mark.skipif(OLD, reason="not before transformers 5")

NAMES = transformers.models.auto.modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
CLASSES = tuple(sorted(set(NAMES.values())))


def class_of(name: str) -> Any:
    """The class of that name, and no other is imported; not all are in transformers' front."""
    if name not in CLASSES:
        pytest.skip(f"transformers {transformers.__version__} has no {name}")
    if OLD and name in BEFORE_5:
        pytest.skip(f"transformers {transformers.__version__}: {BEFORE_5[name]}")
    key = next(key for key, each in NAMES.items() if each == name)
    return transformers.MODEL_FOR_CAUSAL_LM_MAPPING[transformers.CONFIG_MAPPING[key]]


def small(kind: Any, settings: dict[str, Any], own: dict[str, Any]) -> Any:
    """A configuration of class `kind`: those of `settings` that it has, then all of `own`."""
    default = vars(kind())
    given = {
        name: value
        for name, value in settings.items()
        if name in default or name in getattr(kind, "attribute_map", {})
    }
    given |= own
    for name, part in default.items():
        if isinstance(part, transformers.PretrainedConfig):
            given[name] = small(type(part), settings, own.get(name, {}))
    return kind(**given)


def _widened(model: Any) -> Any:
    """With wide random weights, so that rows differ and a slip is no rounding."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and not any(part in name for part in ("A_log", "conv")):
                parameter.normal_(0.0, 0.3)
            elif name.endswith("bias"):
                parameter.normal_(0.0, 0.1)
    return model


def tiny_model(name: str, **more: Any) -> Any:
    """A model of that class in evaluation mode and float32; `more` goes into its configuration."""
    kind, reasons = class_of(name), []
    state = torch.random.get_rng_state()
    for settings in TRIED:
        try:
            config = small(kind.config_class, settings, {**OWN.get(name, {}), **more})
            with torch.device("meta"):  # before it takes the memory
                size = sum(parameter.numel() for parameter in kind(config).parameters())
            if size > LARGEST:
                raise ValueError(f"{size} parameters")
            torch.manual_seed(0)
            model = _widened(kind(config).eval())
            with torch.no_grad():
                model(input_ids=torch.tensor([[3, 4, 5, 6, 7]]))
            return model
        except Exception as error:  # whatever a class makes of settings that are not its own
            reasons.append(f"{type(error).__name__}: {error}")
        finally:
            torch.random.set_rng_state(state)
    raise RuntimeError(f"no tiny {name}: " + "; then ".join(dict.fromkeys(reasons)))
