"""`collect`: its rows are the model's, and neither model nor tokenizer is changed."""

from __future__ import annotations

import copy
import inspect
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax
from toy_models import (
    CONFIGS,
    PROMPTS,
    WIDTH,
    cached_model,
    make_tokenizer,
)

from matrixbayes.huggingface import collect, preflight
from matrixbayes.huggingface.forward import Batch, Forward, batches_of
from matrixbayes.huggingface.prompts import Prompt
from matrixbayes.rows import NextTokenRows

torch = pytest.importorskip("torch")


@pytest.fixture(params=["gpt2", "llama"])
def model(request: pytest.FixtureRequest) -> Any:
    return cached_model(request.param)


def exact(model: Any, ids: Any) -> np.ndarray:
    """The slow twin: all rows of one prompt alone, in float64."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([list(ids)])).logits[0]
    return log_softmax(logits.double().numpy(), axis=1)


# --- the rows are the model's


@pytest.mark.parametrize("kind", list(CONFIGS))
@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_rows_are_the_models_whatever_the_batch(kind: str, batch_size: int) -> None:
    model, tokenizer = cached_model(kind), make_tokenizer()
    rows = collect(model, tokenizer, PROMPTS, positions="all", batch_size=batch_size)
    start = 0
    for number, text in enumerate(PROMPTS):
        ids = tokenizer(text)["input_ids"]
        own = slice(start, start + len(ids))
        assert np.abs(rows[own].log_probs - exact(model, ids)).max() < 1e-4
        assert rows.meta["prompt"][own] == [number] * len(ids)
        assert rows.meta["position"][own] == list(range(len(ids)))
        for k in range(len(ids)):
            assert rows.context(start + k).tolist() == ids[: k + 1]
        start += len(ids)
    assert len(rows) == start
    assert rows.log_probs.dtype == np.float32
    assert np.ptp(rows.log_probs) > 0.1  # the models say something


def test_a_prompt_alone_and_in_a_padded_batch(model: Any) -> None:
    tokenizer = make_tokenizer()
    alone = [collect(model, tokenizer, [text]).log_probs[0] for text in PROMPTS]
    batched = collect(model, tokenizer, PROMPTS).log_probs
    assert np.abs(alone - batched).max() < 1e-4


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_every_way_to_single_logits_agrees(kind: str) -> None:
    model = cached_model(kind)
    prompts = [
        Prompt(np.array([8, 1, 2, 3]), np.array([3, 0])),
        Prompt(np.array([8, 4]), np.array([1])),
        Prompt(np.array([5]), np.array([0])),
    ]
    kept = Forward(model, hidden=True)
    takes = "logits_to_keep" in inspect.signature(model.forward).parameters
    assert kept.route == ("logits_to_keep" if takes else "head")
    full = Forward(model, hidden=True, route="full")
    a, b = kept(prompts, range(3)), full(prompts, range(3))
    assert a.where == b.where == [(0, 3), (0, 0), (1, 1), (2, 0)]
    np.testing.assert_allclose(a.log_probs(), b.log_probs(), atol=1e-5)
    np.testing.assert_allclose(a.hidden, b.hidden, atol=1e-5)
    assert a.logits.shape == (4, WIDTH)
    head = Forward(model, hidden=True, route="head")(prompts, range(3))
    np.testing.assert_allclose(head.hidden, b.hidden, atol=1e-5)
    np.testing.assert_allclose(head.logits, b.logits, atol=1e-5)
    linear = kind != "gemma2"  # which caps its logits after the head
    assert kept.linear_head == full.linear_head == linear


@pytest.mark.parametrize(
    ("kind", "cap", "route"),
    [
        ("gpt2", None, "head"),
        ("llama", None, "head"),
        ("gemma2", 0.5, "head"),
        ("gemma2", 1e6, "head"),
        ("gemma2", "by hand", "full"),  # no tensor of states goes through its output embeddings
    ],
)
def test_the_way_of_a_model_without_logits_to_keep(
    kind: str, cap: Any, route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = copy.deepcopy(cached_model(kind))
    model.config.final_logit_softcapping = None if cap == "by hand" else cap
    hidden = cap != "by hand"
    expected = collect(model, make_tokenizer(), PROMPTS, positions="all", hidden=hidden)
    real = type(model).forward

    def forward(
        self: Any,
        input_ids: Any,
        attention_mask: Any = None,
        return_dict: bool = True,
    ) -> Any:
        assert return_dict
        if hidden:
            return real(self, input_ids=input_ids, attention_mask=attention_mask)
        states = self.model(input_ids=input_ids, attention_mask=attention_mask)[0]
        return SimpleNamespace(logits=states @ self.lm_head.weight.T)

    monkeypatch.setattr(type(model), "forward", forward)
    assert Forward(model).route == route
    rows = collect(model, make_tokenizer(), PROMPTS, positions="all", hidden=hidden)
    np.testing.assert_allclose(rows.log_probs, expected.log_probs, atol=1e-5)
    if hidden:
        np.testing.assert_allclose(rows.hidden, expected.hidden, atol=1e-5)
    else:
        with pytest.raises(ValueError, match="does not give its output embeddings a state"):
            collect(model, make_tokenizer(), PROMPTS, hidden=True)


def test_what_the_model_is_given(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []
    real = type(model).forward

    def forward(self: Any, **given: Any) -> Any:
        assert not torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()  # it would mark what the model caches
        seen.append(given)
        return real(self, **given)

    forward.__signature__ = inspect.signature(real)  # type: ignore[attr-defined]
    monkeypatch.setattr(type(model), "forward", forward)
    collect(model, make_tokenizer(side="left"), ["red blue green", "white"])
    (given,) = seen
    assert given["input_ids"].tolist() == [[8, 0, 4, 3], [8, 6, 0, 0]]
    assert given["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert given["logits_to_keep"].tolist() == [1, 3]
    assert given["use_cache"] is False
    assert "position_ids" not in given


def test_hidden_states_are_what_the_head_gets(model: Any) -> None:
    rows = collect(model, make_tokenizer(), PROMPTS, positions="all", hidden=True)
    assert rows.hidden is not None
    head = model.get_output_embeddings()
    logits = rows.hidden.astype(np.float64) @ head.weight.detach().double().numpy().T
    np.testing.assert_allclose(log_softmax(logits, axis=1), rows.log_probs, atol=1e-4)
    assert rows.meta["linear_head"] is True
    assert collect(model, make_tokenizer(), PROMPTS).hidden is None


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_types_of_weights(dtype: str) -> None:
    model = copy.deepcopy(cached_model("llama")).to(getattr(torch, dtype))
    rows = collect(model, make_tokenizer(), PROMPTS, hidden=True, batch_size=1)
    with torch.no_grad():
        ids = torch.tensor([make_tokenizer()(PROMPTS[3])["input_ids"]])
        logits = model(input_ids=ids).logits[0, -1].double().numpy()
    # The logits as they are, not rounded again on the way.
    assert np.abs(rows.log_probs[3] - log_softmax(logits)).max() < 1e-6
    assert rows.log_probs.dtype == (np.float64 if dtype == "float64" else np.float32)
    assert rows.hidden is not None
    assert rows.hidden.dtype == np.float32
    assert rows.meta["dtype"] == dtype


def test_only_the_wanted_positions_go_through_the_head(model: Any) -> None:
    seen = []
    handle = model.get_output_embeddings().register_forward_hook(
        lambda module, args, out: seen.append(out.shape[:-1].numel())
    )
    try:
        collect(model, make_tokenizer(), ["red " * 20, "blue " * 20])
    finally:
        handle.remove()
    assert seen == [2]


def test_batches_are_of_like_length_and_bounded() -> None:
    prompts = [Prompt(np.zeros(n, int), np.arange(n)) for n in (3, 9, 1, 9, 4)]
    assert batches_of(prompts, 2, 10, "logits_to_keep") == [[1, 3], [4, 0], [2]]
    assert batches_of(prompts, 8, 10, "logits_to_keep") == [[1, 3, 4, 0, 2]]
    many = 64 << 20  # columns, so that a single position fills the limit
    assert batches_of(prompts, 8, many, "full") == [[1], [3], [4], [0], [2]]


def test_equal_prompts_are_read_once(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounding depends on a prompt's place in its batch: only one reading gives equal rows."""
    tokenizer = make_tokenizer()
    prompts = ["red blue", "green", "red blue", "red", "green", "red blue"]
    sizes = []
    real = type(model.base_model).forward

    def counted(self: Any, input_ids: Any, *args: Any, **options: Any) -> Any:
        sizes.append(len(input_ids))
        return real(self, input_ids, *args, **options)

    for batch_size in (1, 2, 16):
        monkeypatch.setattr(type(model.base_model), "forward", counted)
        sizes.clear()
        options = {"vocab": ["red", "blue"], "hidden": True, "positions": "all"}
        rows = collect(model, tokenizer, prompts, batch_size=batch_size, **options)
        monkeypatch.undo()
        read = sum(sizes)
        alone = [collect(model, tokenizer, [prompt], **options) for prompt in prompts]
        assert rows.meta["prompt"] == [i for i, each in enumerate(alone) for _ in range(len(each))]
        expected = np.concatenate([each.log_probs for each in alone])
        np.testing.assert_allclose(rows.log_probs, expected, atol=2e-5)
        np.testing.assert_allclose(
            rows.hidden, np.concatenate([each.hidden for each in alone]), atol=1e-3
        )
        at = [np.flatnonzero(np.equal(rows.meta["prompt"], i)) for i in range(len(prompts))]
        for i, j in ((0, 2), (0, 5), (1, 4)):
            np.testing.assert_array_equal(rows.log_probs[at[i]], rows.log_probs[at[j]])
            np.testing.assert_array_equal(rows.hidden[at[i]], rows.hidden[at[j]])
        assert read == 3 + 3  # what lies between states and logits is seen in three more


# --- nothing is changed


def state_of(model: Any, tokenizer: Any) -> tuple[Any, ...]:
    """Whatever of a model and a tokenizer could be changed by using them."""
    weights = {name: t.clone() for name, t in model.state_dict().items()}
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
    backend = tokenizer.backend_tokenizer
    return (
        weights,
        hooks,
        [m.training for m in model.modules()],
        [(p.requires_grad, p.grad is None, str(p.device), p.dtype) for p in model.parameters()],
        model.config.to_dict(),
        (tokenizer.padding_side, tokenizer.pad_token, tokenizer.truncation_side),
        backend.to_str(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.random.get_rng_state().tolist(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
    )


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pad", [True, False])
def test_model_and_tokenizer_are_as_before(model: Any, side: str, pad: bool) -> None:
    tokenizer = make_tokenizer(side=side, pad=pad)
    tokenizer.backend_tokenizer.enable_padding(length=9, direction="left")
    tokenizer.backend_tokenizer.enable_truncation(2)
    before = state_of(model, tokenizer)
    collect(model, tokenizer, PROMPTS, vocab=["red", "blue"], hidden=True)
    preflight(model, tokenizer, PROMPTS)
    for bad in (["red", 3], [("red", "")], ["<bos> red"]):
        with pytest.raises((TypeError, ValueError)):
            collect(model, tokenizer, bad)
    after = state_of(model, tokenizer)
    weights, others = before[0], after[0]
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert before[1:] == after[1:]
    # and a tokenizer that cuts off and pads does neither here
    assert collect(model, tokenizer, ["red blue green"]).context(0).tolist() == [8, 0, 4, 3]


def test_an_interrupt_changes_nothing(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = make_tokenizer()
    before = state_of(model, tokenizer)
    calls = []

    def interrupted(self: Any, *args: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, *args, **options)

    real = type(model.base_model).forward
    monkeypatch.setattr(type(model.base_model), "forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        collect(model, tokenizer, PROMPTS, batch_size=1)
    monkeypatch.undo()
    assert len(calls) == 2
    assert before[1:] == state_of(model, tokenizer)[1:]


def test_gradients_can_be_taken_afterwards() -> None:
    model = copy.deepcopy(cached_model("llama"))
    collect(model, make_tokenizer(), PROMPTS)
    model(input_ids=torch.tensor([[1, 2, 3]])).logits.sum().backward()
    assert next(model.parameters()).grad is not None


# --- models that are refused


def test_a_model_in_training_mode() -> None:
    model = copy.deepcopy(cached_model("gpt2"))
    for module in (model, model.transformer.h[0].attn):
        model.eval()
        module.train()
        with pytest.raises(ValueError, match=r"training mode.*model\.eval\(\)"):
            collect(model, make_tokenizer(), ["red"])


def test_what_is_no_causal_language_model() -> None:
    tokenizer = make_tokenizer()
    with pytest.raises(TypeError, match=r"AutoModelForCausalLM.from_pretrained\('gpt2'\)"):
        collect("gpt2", tokenizer, ["red"])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"object is not a model.*pipeline\.model"):
        collect(object(), tokenizer, ["red"])  # type: ignore[arg-type]
    transformers = pytest.importorskip("transformers")
    headless = transformers.AutoModel.from_config(cached_model("gpt2").config).eval()
    with pytest.raises(ValueError, match=r"no language-model head.*AutoModelForCausalLM"):
        collect(headless, tokenizer, ["red"])
    sizes = {"d_model": 16, "d_ff": 16, "num_layers": 1, "num_heads": 2, "vocab_size": WIDTH}
    config = transformers.AutoConfig.for_model("t5", **sizes)
    t5 = transformers.AutoModel.from_config(config).eval()
    with pytest.raises(ValueError, match="encoder-decoder"):
        collect(t5, tokenizer, ["red"])


def test_nan_is_named() -> None:
    model = copy.deepcopy(cached_model("gpt2"))
    with torch.no_grad():
        model.transformer.wpe.weight[3] = float("nan")
    prompts = ["red", "red blue green", "blue"]  # only prompt 1 reaches position 3
    with pytest.raises(ValueError, match=r"prompt 1 after position \d.*bfloat16 or float32"):
        collect(model, make_tokenizer(), prompts, positions="all")
    logits = torch.zeros(3, 5)
    logits[1, 4], logits[2, 0] = float("inf"), float("nan")
    with pytest.raises(
        ValueError, match="prompt 7 after position 2 are no distribution: column 4 is inf;"
    ):
        Batch(logits, None, [(6, 0), (7, 2), (7, 3)]).log_probs()
    assert len(collect(model, make_tokenizer(), prompts[::2], positions=[0, 1])) == 4


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, None])
def test_batch_sizes_that_are_none(model: Any, batch_size: Any) -> None:
    with pytest.raises(ValueError, match="batch_size"):
        collect(model, make_tokenizer(), ["red"], batch_size=batch_size)


# --- generate


def test_the_logits_of_generate_are_the_rows_of_collect(model: Any) -> None:
    prompt = torch.tensor([[8, 0, 4]])
    how = {"max_new_tokens": 4, "do_sample": False, "return_dict_in_generate": True}
    how |= {"pad_token_id": 10, "eos_token_id": None}
    output = model.generate(prompt, **how, output_logits=True)
    rows = NextTokenRows.from_logits(output)
    every = collect(model, None, [output.sequences[0]], positions=[2, 3, 4, 5])
    np.testing.assert_allclose(rows.log_probs, every.log_probs, atol=1e-5)
    for i in range(4):
        assert rows.context(i).tolist() == every.context(i).tolist()
    scores = model.generate(prompt, **how, output_scores=True)
    with pytest.raises(ValueError, match=r"only scores.*output_logits=True"):
        NextTokenRows.from_logits(scores)
