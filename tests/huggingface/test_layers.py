"""Rows at layers of a model, against transformers' hidden states through norm and head by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from huggingface.tiny_models import since_5  # noqa: E402
from toy_models import CONFIGS, GATED, SMALL, WIDTH, cached_model, make_tokenizer  # noqa: E402
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer  # noqa: E402

import matrixbayes as mb  # noqa: E402
from matrixbayes.huggingface.layers.lens import layer_numbers  # noqa: E402

STORIES = Path(__file__).resolve().parents[3] / "shared" / "models" / "stories260K"
PROMPTS = [[0, 1, 2, 3], [5], [4, 4, 1, 0, 7, 2, 1], [0, 1, 2, 3]]
OTHERS: dict[str, dict[str, Any]] = {
    "mamba": {"hidden_size": 32, "num_hidden_layers": 3, "state_size": 4, "expand": 2},
    "opt projected": {**SMALL, "ffn_dim": 48, "word_embed_proj_dim": 16},
    "opt post-norm": {
        **SMALL,
        "ffn_dim": 48,
        "word_embed_proj_dim": 16,
        "do_layer_norm_before": False,
    },
    "cohere": {**GATED, "logit_scale": 0.125},
    "granite": {**GATED, "logits_scaling": 8.0, "embedding_multiplier": 3.0},
    "phi": {**SMALL, "intermediate_size": 48},
    "xlm": {"emb_dim": 32, "n_layers": 2, "n_heads": 4, "causal": True, "n_langs": 1},
    "gpt_neox": {**SMALL, "intermediate_size": 48},
}


def a_model(kind: str) -> Any:
    if kind in CONFIGS:
        return cached_model(kind)
    common = {"vocab_size": WIDTH, "bos_token_id": 8, "eos_token_id": 9, "pad_token_id": 1}
    config = AutoConfig.for_model(kind.split()[0], **{**common, **OTHERS[kind]})
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                parameter.mul_(6.0)
            elif "norm" in name or "bias" in name:  # biases and norms that do something
                parameter.add_(0.3 * torch.randn(parameter.shape))
    return model


def norm_of(model: Any) -> Callable[[Any], Any]:
    """The final norm, and what comes behind it before the output embeddings."""
    base = model.base_model
    base = getattr(base, "decoder", base)
    for name in ("ln_f", "norm", "norm_f", "final_layernorm", "final_layer_norm"):
        found = getattr(base, name, None)
        if found is not None:
            break
    out = getattr(base, "project_out", None)

    def norm(x: Any) -> Any:
        x = x if found is None else found(x)
        return x if out is None else out(x)

    return norm


def by_hand(model: Any, ids: list[int], layer: int, n_layers: int) -> Any:
    """Log-probabilities (tokens, V) at a layer: of hidden_states, the last of which are normed."""
    with torch.no_grad():
        output = model(torch.tensor([ids]), output_hidden_states=True)
        assert len(output.hidden_states) == n_layers + 1
        if layer == n_layers:
            return torch.log_softmax(output.logits[0].double(), -1).numpy()
        states = output.hidden_states
        if model.config.model_type == "mamba":  # it leaves out what enters the first layer
            states = (model.get_input_embeddings()(torch.tensor([ids])), *states[:-1])
        logits = model.get_output_embeddings()(norm_of(model)(states[layer]))[0]
    config = model.config
    logits = logits * getattr(config, "logit_scale", 1.0) / getattr(config, "logits_scaling", 1.0)
    cap = getattr(config, "final_logit_softcapping", None)
    logits = logits if cap is None else cap * torch.tanh(logits / cap)
    return torch.log_softmax(logits.double(), -1).numpy()


@pytest.mark.parametrize(
    "kind", ["llama", "gpt2", "gemma2", "opt", "bloom", *(kind for kind in OTHERS if kind != "xlm")]
)
def test_each_layer_by_hand(kind: str) -> None:
    model = a_model(kind)
    rows = mb.collect(model, None, PROMPTS, positions="all", layers="all", batch_size=3)
    own = mb.collect(model, None, PROMPTS, positions="all", batch_size=3)
    n_layers = model.config.num_hidden_layers
    assert rows.layers == tuple(range(n_layers + 1))
    assert_array_equal(rows.final.log_probs, own.log_probs)
    for layer, part in rows.items():
        wanted = np.concatenate([by_hand(model, ids, layer, n_layers) for ids in PROMPTS])
        assert_allclose(part.log_probs, wanted, rtol=1e-4, atol=2e-5)
        assert (part.meta["layer"], part.meta["n_layers"]) == (layer, n_layers)
        assert part.meta["position"] == own.meta["position"]
        assert_array_equal(part.input_ids, own.input_ids)
    assert np.abs(rows[0].log_probs - own.log_probs).max() > 1e-2


@pytest.mark.parametrize("kind", ["llama", "gemma2", "opt projected", "mamba"])
def test_states_that_enter_the_head_at_each_layer(kind: str) -> None:
    model = a_model(kind)
    rows = mb.collect(model, None, PROMPTS, layers="all", hidden=True)
    own = mb.collect(model, None, PROMPTS, hidden=True)
    assert_array_equal(rows[-1].hidden, own.hidden)
    head = mb.head_of(model, norm=False)
    for part in rows.values():
        assert part.hidden is not None
        logits = head(part.hidden)
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        assert_allclose(part.log_probs, logits, rtol=1e-5, atol=1e-5)
    assert mb.collect(model, None, PROMPTS, layers=0)[0].hidden is None


def test_some_layers_and_answers_of_words() -> None:
    model, tokenizer = a_model("llama"), make_tokenizer()
    texts = ["red green", "blue", "red green"]
    vocab = {"warm": ["red", "orange", "yellow"], "black": "black"}
    rows = mb.collect(model, tokenizer, texts, vocab=vocab, layers=[-1, 0])
    full = mb.collect(model, tokenizer, texts, layers="all")
    assert rows.layers == (0, 2)
    assert rows.final.tokens == ("warm", "black", "<other>")
    for layer, part in rows.items():
        warm = full[layer].probs()[:, :3].sum(axis=1)
        assert_allclose(part.probs()[:, 0], warm, rtol=1e-5)
        assert_array_equal(part.log_probs[0], part.log_probs[2])
    assert mb.collect(model, tokenizer, texts, layers=1).layers == (1,)
    assert mb.collect(model, tokenizer, texts, layers=np.int64(1)).layers == (1,)


def test_batches_do_not_matter_and_double_models_stay_double() -> None:
    model = a_model("llama")
    one, many = (
        mb.collect(model, None, PROMPTS, positions="all", layers="all", batch_size=n)
        for n in (1, 4)
    )
    for layer in one:
        assert_allclose(one[layer].log_probs, many[layer].log_probs, rtol=0, atol=1e-5)
    double = mb.collect(a_model("gpt_neox").double(), None, PROMPTS, layers=0)
    assert double[0].log_probs.dtype == np.float64
    half = mb.collect(a_model("gpt_neox").bfloat16(), None, PROMPTS, layers="all")
    assert_allclose(half[0].log_probs, double[0].log_probs, atol=0.3)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_adapters_and_virtual_tokens() -> None:
    peft = pytest.importorskip("peft")
    lora = peft.LoraConfig(
        r=2, target_modules=["q_proj"], init_lora_weights=False, task_type="CAUSAL_LM"
    )
    tuning = peft.PromptTuningConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=3, num_layers=2, token_dim=32
    )
    plain = mb.collect(a_model("llama"), None, PROMPTS, positions="all", layers="all")
    for config in (lora, tuning):
        model = peft.get_peft_model(copy.deepcopy(a_model("llama")), config).eval()
        rows = mb.collect(model, None, PROMPTS, positions="all", layers="all")
        own = mb.collect(model, None, PROMPTS, positions="all")
        assert_array_equal(rows.final.log_probs, own.log_probs)
        # neither changes what a token's own embedding is
        assert_allclose(rows[0].log_probs, plain[0].log_probs, rtol=1e-5, atol=1e-5)
        assert np.abs(rows[1].log_probs - plain[1].log_probs).max() > 1e-2


# --- which layers


@pytest.mark.parametrize(
    ("given", "numbers"),
    [
        ("all", (0, 1, 2, 3)),
        (2, (2,)),
        (-1, (3,)),
        (-4, (0,)),
        ([3, 0], (0, 3)),
        ((-2, 1), (1, 2)),
        (range(4), (0, 1, 2, 3)),
        (np.array([1, -1]), (1, 3)),
    ],
)
def test_numbers_of_layers(given: Any, numbers: tuple[int, ...]) -> None:
    assert layer_numbers(given, 3) == numbers


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ("last", ValueError, "neither 'all' nor"),
        ([], ValueError, "names no layer"),
        (4, ValueError, "from -4 to 3"),
        (-5, ValueError, "from -4 to 3"),
        ([0, 9], ValueError, "a layer is 9"),
        ([1, 1], ValueError, "layer 1 twice"),
        ([3, -1], ValueError, "layer 3 twice, as 3 and as -1"),
        ([0.5], ValueError, "whole number"),
        ([True], ValueError, "whole number"),
        (True, TypeError, "neither 'all' nor"),
        (1.5, TypeError, "neither 'all' nor"),
        (["0"], ValueError, "whole number"),
        (None, TypeError, "neither 'all' nor"),
    ],
)
def test_layers_that_are_none(given: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        layer_numbers(given, 3)


def test_what_is_refused(tmp_path: Path) -> None:
    model, tokenizer = a_model("llama"), make_tokenizer()
    with pytest.raises(ValueError, match="cache_dir"):
        mb.collect(model, None, PROMPTS, layers=0, cache_dir=tmp_path)
    with pytest.raises(ValueError, match="several tokens"):
        mb.collect(model, tokenizer, ["red"], vocab={"a": [(0, 1)], "b": [2]}, layers=0)
    with pytest.raises(MemoryError):
        mb.collect(model, None, PROMPTS, layers="all", max_memory=100)

    config = AutoConfig.for_model("llama", **{**GATED, "vocab_size": WIDTH})
    other = AutoModelForCausalLM.from_config(config).eval()
    layers = other.model.layers
    layers[1] = layers[0]
    with pytest.raises(ValueError, match="more than once"):
        mb.collect(other, None, PROMPTS, layers="all")


def test_what_the_last_layer_gives_is_held_against_the_logits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from matrixbayes.huggingface.layers import lens

    monkeypatch.setattr(lens, "agree", lambda *_: False)
    with pytest.raises(ValueError, match="LlamaForCausalLM have no rows: final norm and head"):
        mb.collect(a_model("llama"), None, PROMPTS, layers=0)


def test_a_model_whose_layers_lead_nowhere_known() -> None:
    model = a_model("llama")

    class Mixed(type(model)):  # type: ignore[misc]
        """Its head takes more than the last layer's state."""

        def forward(self, input_ids: Any = None, **given: Any) -> Any:
            given.pop("logits_to_keep", None)
            output = self.model(input_ids, **given)
            mixed = output.last_hidden_state + self.model.embed_tokens(input_ids)
            return transformers.modeling_outputs.CausalLMOutput(logits=self.lm_head(mixed))

    mixed = Mixed(model.config).eval()
    with pytest.raises(ValueError, match="layers of Mixed have no rows"):
        mb.collect(mixed, None, PROMPTS, layers=0)


def test_what_enters_the_first_layer_may_not_be_known() -> None:
    model = a_model("xlm")
    with pytest.raises(ValueError, match="layer 0 of XLMWithLMHeadModel has no rows"):
        mb.collect(model, None, PROMPTS, layers="all")
    rows = mb.collect(model, None, [[5, 4, 6, 4]], layers=[1, 2], positions="all")
    wanted = by_hand(model, [5, 4, 6, 4], 1, 2)
    assert_allclose(rows[1].log_probs, wanted, rtol=1e-4, atol=2e-5)


# --- a trained model


@since_5  # which wrote its tokenizer
@pytest.mark.skipif(not STORIES.is_dir(), reason="stories260K is not here")
def test_the_stories_model_makes_up_its_mind_from_layer_to_layer() -> None:
    model = AutoModelForCausalLM.from_pretrained(STORIES).eval()
    tokenizer = AutoTokenizer.from_pretrained(STORIES)
    texts = ["Once upon a time there was a little", "Lily and Tom went to the", "The dog was very"]
    rows = mb.collect(model, tokenizer, texts, positions="all", layers="all")
    n_layers = model.config.num_hidden_layers
    for layer in rows:
        ids = rows[layer].context(len(rows[layer]) - 1).tolist()
        wanted = by_hand(model, ids, layer, n_layers)[-1]
        assert_allclose(rows[layer].log_probs[-1], wanted, rtol=1e-4, atol=1e-4)
    away = rows.divergence().mean(axis=1)
    assert away[-1] == 0.0
    assert (np.diff(away) < 0.05).all()
    assert away[0] > 1.0
