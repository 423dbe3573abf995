"""Which models are taken: wrappers and learned prompts are, what reads ahead is not."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import matrixbayes as mb

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from huggingface.tiny_models import tiny_model  # noqa: E402

from matrixbayes.huggingface.checks import is_plain  # noqa: E402
from matrixbayes.huggingface.forward import Forward  # noqa: E402
from matrixbayes.huggingface.inside.taps import unwrapped  # noqa: E402

TEXTS = [[3, 4, 5, 6, 7], [8, 9], [10, 11, 12]]
SMALL: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    **dict.fromkeys(("pad_token_id", "cls_token_id", "sep_token_id"), 0),
}


@pytest.fixture(scope="module")
def llama() -> Any:
    return tiny_model("LlamaForCausalLM")


def alone(model: Any, text: list[int]) -> Any:
    """The rows of a text by itself, those of a learned prompt left out."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([text]), use_cache=False).logits[0, -len(text) :]
    return torch.log_softmax(logits.double(), -1).numpy()


def assert_taken(model: Any, plain: Any = None) -> None:
    """Its rows are those of single texts, and sampling is predicting."""
    rows = mb.collect(model, None, TEXTS, positions="all", progress=False)
    expected = np.concatenate([alone(plain or model, text) for text in TEXTS])
    assert_allclose(rows.log_probs, expected, atol=1e-5)
    assert mb.preflight(model, None, TEXTS, hidden=True).ok
    predictor = mb.TokenPredictor(model, range(3, 60), prefix=[1])
    found = predictor.sample(2, 6, rng=0)
    draws = np.random.default_rng(0).random((2, 6))
    for t in range(6):
        ends = np.exp(predictor.predict(found[:, :t])).cumsum(axis=1)
        assert_array_equal(found[:, t], (draws[:, t : t + 1] * ends[:, -1:] >= ends).sum(axis=1))


def assert_refused(model: Any, says: str) -> None:
    """Everything says the same sentence."""
    for call in (
        lambda: mb.collect(model, None, TEXTS, progress=False),
        lambda: mb.TokenPredictor(model, [3, 4], prefix=[1]),
    ):
        with pytest.raises((TypeError, ValueError), match=says):
            call()
    (found,) = mb.preflight(model, None, TEXTS).findings
    assert found.level == "error"
    assert found.message.count(". ") == 0
    with pytest.raises(ValueError, match=says):
        raise ValueError(found.message)


TORCH = tuple(map(int, torch.__version__.split(".")[:2]))


def gemma_for_embeddings() -> Any:
    if TORCH < (2, 6):
        pytest.skip("its mask wants torch 2.6")
    more = {"num_key_value_heads": 2, "head_dim": 8, "use_bidirectional_attention": True}
    return transformers.Gemma3ForCausalLM(transformers.Gemma3TextConfig(**SMALL, **more))


MASKED: dict[str, Callable[[], Any]] = {
    "BERT": lambda: transformers.BertForMaskedLM(transformers.BertConfig(**SMALL)),
    "ModernBERT": lambda: transformers.ModernBertForMaskedLM(
        transformers.ModernBertConfig(**SMALL)
    ),
    "a decoder that is none": lambda: transformers.BertLMHeadModel(
        transformers.BertConfig(**SMALL)
    ),
    "RoBERTa likewise": lambda: transformers.RobertaForCausalLM(
        transformers.RobertaConfig(**SMALL)
    ),
    "Gemma for embeddings": gemma_for_embeddings,
    "XLM": lambda: tiny_model("XLMWithLMHeadModel", causal=False),
    "CPM-Ant": lambda: tiny_model("CpmAntForCausalLM"),
}


@pytest.mark.parametrize("kind", MASKED)
def test_what_reads_ahead_is_refused(kind: str) -> None:
    assert_refused(MASKED[kind]().eval(), "is no causal model")


def test_a_decoder_of_the_same_family_is_taken() -> None:
    model = transformers.BertLMHeadModel(transformers.BertConfig(**SMALL, is_decoder=True)).eval()
    assert_taken(model)


class Diffusion(torch.nn.Module):  # type: ignore[misc]
    """Somebody's own model, whose attention says that it is causal and looks at all tokens."""

    def __init__(self, inner: Any, ahead: float) -> None:
        super().__init__()
        self.inner, self.ahead, self.config = inner, ahead, inner.config
        self.get_output_embeddings = inner.get_output_embeddings
        self.get_input_embeddings = inner.get_input_embeddings

    def forward(
        self, input_ids: Any, attention_mask: Any = None, use_cache: bool = False, **options: Any
    ) -> Any:
        output = self.inner(input_ids, attention_mask=attention_mask, use_cache=False, **options)
        output.logits = output.logits + self.ahead * output.logits.mean(1, keepdim=True)
        return output


def test_somebodys_own_model_is_tried_out(llama: Any) -> None:
    assert is_plain(llama)
    assert not is_plain(Diffusion(llama, 0.0))
    assert_taken(Diffusion(llama, 0.0).eval(), llama)
    assert_refused(Diffusion(llama, 0.01).eval(), "is no causal model")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rounding_is_not_reading_ahead(dtype: Any) -> None:
    for name in ("MambaForCausalLM", "BloomForCausalLM", "OpenAIGPTLMHeadModel"):
        Forward(tiny_model(name).to(dtype))
    with pytest.raises(ValueError, match="is no causal model"):
        Forward(tiny_model("CpmAntForCausalLM").to(dtype))


def test_a_model_that_cannot_run_is_refused() -> None:
    assert_refused(tiny_model("XLNetLMHeadModel"), "does not run on a text of token ids alone")


# ---------------------------------------------------------------------------
# Wrappers
# ---------------------------------------------------------------------------


@pytest.mark.skipif(TORCH < (2, 5), reason="torch 2.4 has what it compiles in training mode")
def test_compiled_and_copied_models_are_taken(llama: Any) -> None:
    compiled = torch.compile(llama, backend="eager")
    copied = torch.nn.DataParallel(llama)
    for model in (compiled, copied, torch.compile(copied, backend="eager")):
        assert unwrapped(model) is llama
        assert_taken(model, llama)
        assert mb.collect(model, None, TEXTS).meta["model_class"] == "LlamaForCausalLM"
        states = np.eye(2, 32)
        assert_array_equal(mb.head_of(model)(states), mb.head_of(llama)(states))
        found = mb.embed_of(model, TEXTS[0])(states)
        assert_array_equal(found, mb.embed_of(llama, TEXTS[0])(states))
    in_place = copy.deepcopy(llama)
    in_place.compile(backend="eager")
    assert_taken(in_place, llama)


def test_a_sharded_model_is_refused(llama: Any) -> None:
    sharded = type("FullyShardedDataParallel", (torch.nn.DataParallel,), {})(llama)
    with pytest.raises(TypeError, match="spreads weights over processes"):
        mb.collect(sharded, None, TEXTS)


def test_dynamic_int8_is_refused(llama: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.ao.quantization.quantize_dynamic(llama, {torch.nn.Linear})
    assert_refused(model.eval(), "is quantised dynamically")


def test_a_model_without_weights_is_refused(llama: Any) -> None:
    with torch.device("meta"):
        empty = type(llama)(llama.config).eval()
    assert_refused(empty, "model.embed_tokens.weight is on the meta device")


def test_an_offloaded_model_is_taken(llama: Any, tmp_path: Any) -> None:
    accelerate = pytest.importorskip("accelerate")
    there = accelerate.cpu_offload(copy.deepcopy(llama), execution_device="cpu")
    assert_taken(there, llama)
    there = accelerate.disk_offload(copy.deepcopy(llama), str(tmp_path), execution_device="cpu")
    assert_taken(there, llama)


# ---------------------------------------------------------------------------
# Adapters
# ---------------------------------------------------------------------------


class LearnedPrompt(torch.nn.Module):  # type: ignore[misc]
    """Three learned tokens before every text, as prompt tuning has them."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner, self.config = inner, inner.config
        self.prompt = torch.nn.Parameter(torch.linspace(-1, 1, 96).reshape(3, 32))
        self.get_output_embeddings = inner.get_output_embeddings
        self.get_input_embeddings = inner.get_input_embeddings

    def get_base_model(self) -> Any:
        return self.inner

    def forward(self, input_ids: Any, attention_mask: Any = None, **options: Any) -> Any:
        words = self.get_input_embeddings()(input_ids)
        if attention_mask is not None:
            ones = torch.ones(len(words), 3, dtype=attention_mask.dtype)
            attention_mask = torch.cat([ones, attention_mask], 1)
        states = torch.cat([self.prompt.expand(len(words), -1, -1), words], 1)
        return self.inner(inputs_embeds=states, attention_mask=attention_mask, **options)


def test_a_learned_prompt_shifts_places(llama: Any) -> None:
    model = LearnedPrompt(llama).eval()
    assert Forward(model).n_virtual == 3
    assert_taken(model)
    rows = mb.collect(model, None, TEXTS, hidden=True, progress=False)
    logits = mb.head_of(model, norm=False)(torch.tensor(rows.hidden))
    found = torch.log_softmax(torch.as_tensor(logits).double(), -1).detach()
    assert_allclose(found, rows.log_probs, atol=1e-5)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of each other's new names
@pytest.mark.parametrize("name", ["LlamaForCausalLM", "OPTForCausalLM", "BloomForCausalLM"])
@pytest.mark.parametrize("kind", ["PromptTuning", "PromptEncoder", "PrefixTuning", "Lora", "IA3"])
def test_adapters_are_taken(name: str, kind: str) -> None:
    peft = pytest.importorskip("peft")
    learned = {"num_virtual_tokens": 3} if kind.startswith(("Prompt", "Prefix")) else {}
    inner = tiny_model(name)
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(1)
        model = peft.get_peft_model(
            inner, getattr(peft, f"{kind}Config")(task_type="CAUSAL_LM", **learned)
        ).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.normal_(0.0, 0.3)
    assert_taken(model)
    longest = Forward(inner).max_length
    if longest is not None:
        assert Forward(model).max_length == longest - (3 if learned else 0)


# ---------------------------------------------------------------------------
# What is no distribution
# ---------------------------------------------------------------------------


def message_of(model: Any, texts: list[list[int]] = TEXTS) -> str:
    with pytest.raises(ValueError, match="are no distribution") as caught:
        mb.collect(model, None, texts, positions="all", progress=False)
    return str(caught.value)


def test_a_damaged_weight_is_named(llama: Any) -> None:
    model = copy.deepcopy(llama)
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[3, :2] = float("nan")
    found = message_of(model)
    assert "the weight model.layers.1.mlp.up_proj.weight holds 2 numbers that are not" in found
    assert "overflow" not in found


def test_an_overflow_of_float16_is_named_with_its_place(llama: Any) -> None:
    model = copy.deepcopy(llama).half()
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight.fill_(6e4)
    found = message_of(model)
    assert "prompt 0 after position 0" in found
    assert "float16 ends at 65504, and in model.layers.1.mlp.down_proj numbers go" in found


def test_nan_of_finite_numbers_is_named_with_its_place(llama: Any) -> None:
    model = copy.deepcopy(llama)
    handle = model.model.layers[0].mlp.act_fn.register_forward_hook(
        lambda module, args, output: torch.log(-output.abs())
    )
    found = message_of(model)
    handle.remove()
    assert "model.layers.0.mlp.act_fn makes NaN of finite numbers, in float32" in found
    handle = model.register_forward_hook(
        lambda module, args, output: setattr(
            output, "logits", output.logits / (len(output.logits) == 1)
        )
    )
    found = message_of(model)
    handle.remove()
    assert "by itself the text gives a distribution, in a batch it does not" in found
