"""What lies between a hidden state and the logits of a model: one object, true of every model."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import log_softmax, softmax

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from huggingface.tiny_models import tiny_model  # noqa: E402

import matrixbayes as mb  # noqa: E402
from matrixbayes.huggingface.forward import Forward  # noqa: E402
from matrixbayes.huggingface.inside import probe  # noqa: E402
from matrixbayes.huggingface.prompts import Prompt  # noqa: E402

RNG = np.random.default_rng(3)
PROMPTS = [RNG.integers(3, 96, n).tolist() for n in (2, 3, 5, 8, 4, 6)]

# Of sums in float32, whose order is the processor's.
ROUNDING = {"rtol": 1e-6, "atol": 1e-5}
# kind, scale, cap, bias of heads as different as they come, and what their models need besides.
HEADS: dict[str, tuple[str, float, float | None, bool]] = {
    "LlamaForCausalLM": ("linear", 1.0, None, False),
    "Gemma2ForCausalLM": ("capped", 1.0, 5.0, False),
    "NanoChatForCausalLM": ("capped", 1.0, 5.0, False),
    "CohereForCausalLM": ("scaled", 0.25, None, False),
    "GraniteForCausalLM": ("scaled", 0.25, None, False),
    "FalconH1ForCausalLM": ("scaled", 0.5, None, False),
    "PhiForCausalLM": ("linear", 1.0, None, True),
    "GPTJForCausalLM": ("linear", 1.0, None, True),
    "MiniCPM3ForCausalLM": ("linear", 1.0, None, False),  # scales the state before
    "ModernBertDecoderForCausalLM": ("linear", 1.0, None, True),  # a network before
    "BertLMHeadModel": ("linear", 1.0, None, True),
    "RobertaForCausalLM": ("linear", 1.0, None, True),
    "MambaForCausalLM": ("linear", 1.0, None, False),
    "Gemma3ForCausalLM": ("capped", 1.0, 5.0, False),
    "OPTForCausalLM": ("linear", 1.0, None, False),  # of half the width
    "Lfm2ForCausalLM": ("linear", 1.0, None, False),
    "XGLMForCausalLM": ("linear", 1.0, None, False),
    "DoryForCausalLM": ("linear", 1.0, None, False),  # a factor for each token
    "InklingForCausalLM": ("linear", 1.0, None, False),  # more rows than logits
}
MORE: dict[str, dict[str, Any]] = {"OPTForCausalLM": {"word_embed_proj_dim": 16}}


def made(name: str) -> Any:
    return tiny_model(name, **MORE.get(name, {}))


def rows_of(model: Any) -> mb.NextTokenRows:
    return mb.collect(model, None, PROMPTS, positions="all", hidden=True, progress=False)


@pytest.mark.parametrize("name", HEADS)
def test_states_that_are_kept_give_the_logits(name: str) -> None:
    model = made(name)
    rows = rows_of(model)
    head = mb.head_of(model, norm=False)
    kind, scale, cap, bias = HEADS[name]
    assert (head.kind, head.scale, head.cap, head.bias is not None) == (kind, scale, cap, bias)
    assert rows.meta["linear_head"] is (kind == "linear")
    said = {"kind": kind, "scale": scale, "cap": cap, "bias": bias}
    assert {key: rows.meta["head"][key] for key in said} == said
    assert head.error <= head.floor < 1e-5
    # as the model computes it, in double precision, and by its parts
    assert_allclose(log_softmax(head(rows.hidden), axis=1), rows.log_probs, **ROUNDING)
    tensors = head(torch.from_numpy(np.array(rows.hidden)))
    assert_allclose(torch.log_softmax(tensors, -1).detach(), rows.log_probs, **ROUNDING)
    exact = head.exact(rows.hidden)
    assert_allclose(log_softmax(exact, axis=1), rows.log_probs, **ROUNDING)
    z = rows.hidden.astype(np.float64) @ head.matrix.T.astype(np.float64)
    z = scale * (z + (head.bias if bias else 0.0))
    assert_allclose(exact, z if cap is None else cap * np.tanh(z / cap), atol=1e-12)
    assert head.weight.shape == head.matrix.shape == (rows.shape[1], rows.hidden.shape[1])


@pytest.mark.parametrize("name", HEADS)
def test_certificates_hold_and_rows_are_in_the_span(name: str) -> None:
    model = made(name)
    rows = rows_of(model)
    found = mb.head_bound(model, rows, rng=0)
    p = rows.probs()
    apart = 0.5 * np.abs(p[found.first] - p[found.second]).sum(axis=1)
    assert_allclose(found.total_variation, apart, atol=1e-6)
    assert (found.slack >= -1e-6).all()
    assert (found.certificate <= found.a_priori + 1e-9).all()
    assert found.floor < 1e-4
    head = mb.head_of(model, norm=False)
    span = mb.span_of(rows, head)
    assert span.outside is not None
    assert span.outside.max() < 1e-8
    assert span.rank <= head.matrix.shape[1]
    other = mb.span_of(np.roll(rows.log_probs, 1, axis=1), model, kind="log_probs")
    assert other.outside.min() > 1e-3  # the rows of other tokens


@pytest.mark.parametrize("name", HEADS)
def test_a_layers_state_goes_through_norm_and_projection(name: str) -> None:
    model = made(name)
    head = mb.head_of(model)
    kept: list[Any] = []
    lists = [m for m in model.modules() if isinstance(m, torch.nn.ModuleList)]
    last = max(lists, key=lambda each: sum(1 for _ in each.modules()))[-1]
    hook = last.register_forward_hook(
        lambda module, args, out: kept.append(out[0] if isinstance(out, tuple) else out)
    )
    ids = torch.tensor([PROMPTS[3]])
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits
    hook.remove()
    for through in (head, head.of_layer, mb.head_of(model, norm=False).of_layer):
        assert_allclose(through(kept[-1]).detach(), logits, **ROUNDING)
        assert_allclose(through(kept[-1][0].numpy()), logits[0], **ROUNDING)
    norms = {"BertLMHeadModel": 0, "RobertaForCausalLM": 0}
    assert (head.norm is not None) == norms.get(name, 1)


def test_what_has_no_chain_from_layers_says_so() -> None:
    model = tiny_model("Gemma3nForCausalLM")  # its layers have four streams
    rows = rows_of(model)
    head = mb.head_of(model)
    assert "Norm" in type(head.norm).__name__
    assert_allclose(
        log_softmax(mb.head_of(model, norm=False)(rows.hidden), 1), rows.log_probs, **ROUNDING
    )
    with pytest.raises(ValueError, match="a layer's state has no logits"):
        mb.head_of(model, norm=False).of_layer(rows.hidden)


@pytest.mark.parametrize("name", [*HEADS, "GemmaForCausalLM", "BioGptForCausalLM"])
def test_the_network_of_an_embedding_is_that_of_its_token(name: str) -> None:
    model = made(name)
    ids = [5, 9, 7, 8]
    words = model.get_input_embeddings().weight.detach().numpy()
    for position in (-1, 1):
        network = mb.embed_of(model, ids, position)
        for token in (ids[position], 33, 70):
            other = np.array(ids)
            other[position] = token
            given = torch.from_numpy(other)[None]
            with torch.no_grad():
                logits = model(
                    input_ids=given, attention_mask=given * 0 + 1, use_cache=False
                ).logits
            assert_allclose(network(words[[token]])[0], logits[0, -1], **ROUNDING)
    assert network(words[:3]).shape == (3, logits.shape[-1])


def test_input_embeddings_that_read_more_than_their_matrix_are_refused() -> None:
    class Adapted(torch.nn.Module):
        """As an adapter wraps them: the matrix is that of a part."""

        def __init__(self, base: Any) -> None:
            super().__init__()
            self.base = base

        @property
        def weight(self) -> Any:
            return self.base.weight

        def forward(self, ids: Any) -> Any:
            return self.base(ids)

    model = Toy(RNG.normal(size=(12, 3)), None, lambda y: y)
    model.words = Adapted(model.words)
    with pytest.raises(ValueError, match="input embeddings of Toy are more than a matrix"):
        mb.embed_of(model, [1, 2])


def test_what_is_no_function_of_embeddings_is_refused() -> None:
    model = tiny_model("Gemma4ForCausalLM")  # each layer reads the ids as well
    with pytest.raises(ValueError, match="no function of its input embeddings alone"):
        mb.embed_of(model, [5, 9, 7, 8])
    with pytest.raises(ValueError, match="no position 4"):
        mb.embed_of(model, [5, 9, 7, 8], 4)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(
    "name", ["LlamaForCausalLM", "MambaForCausalLM", "Gemma2ForCausalLM", "DoryForCausalLM"]
)
def test_the_rounding_of_short_types_is_measured_and_said(name: str, dtype: str) -> None:
    if dtype == "float16" and name == "MambaForCausalLM":
        pytest.skip("its scan is not for float16 on a CPU")
    model = copy.deepcopy(made(name)).to(getattr(torch, dtype))
    rows = rows_of(model)
    head = mb.head_of(model, norm=False)
    assert 1e-4 < head.floor < 0.1
    assert head.error == 0.0
    assert dtype in repr(head)
    assert f"{head.floor:.1e}" in repr(head)
    off = head.exact(rows.hidden) - rows.log_probs
    off -= 0.5 * (off.max(axis=1) + off.min(axis=1))[:, np.newaxis]
    found = mb.head_bound(head, rows, rng=0)
    assert found.floor == pytest.approx(np.abs(off).max(), rel=1e-3)
    assert found.floor < 8.0 * head.floor
    assert (found.slack >= -found.floor).all()
    assert mb.span_of(rows, head).rank <= 32
    report = mb.preflight(model, None, PROMPTS, hidden=True)
    (said,) = [str(each) for each in report.findings if "enter" in str(each)]
    assert f"{head.floor:.1g}" in said
    assert report.ok


def test_rows_that_reach_further_than_a_cap_are_outside_the_span() -> None:
    model = made("Gemma2ForCausalLM")
    cap, own = mb.head_of(model, norm=False).cap, rows_of(model).log_probs
    assert cap is not None
    beyond = np.zeros((1, own.shape[1]))
    beyond[0, 0] = 2.5 * cap
    found = mb.span_of(np.vstack([own, beyond]), model, kind="logits")
    assert found.outside is not None
    assert found.outside[-1] == 1.0
    assert found.outside[:-1].max() < 1e-8


def test_a_bare_matrix_is_refused_where_rows_say_that_the_head_is_more() -> None:
    for name, what in (("PhiForCausalLM", "bias"), ("Gemma2ForCausalLM", "softcap")):
        model = made(name)
        rows, head = rows_of(model), mb.head_of(model, norm=False)
        with pytest.raises(ValueError, match=f"from a head with a {what}: give head_of"):
            mb.span_of(rows, head.matrix)
    with pytest.raises(ValueError, match="a softcap"):
        mb.head_bound(head.matrix, rows)
    with pytest.raises(ValueError, match="a softcap"):
        mb.head_bound(head.matrix, rows.hidden, rows)
    model = made("CohereForCausalLM")
    rows, head = rows_of(model), mb.head_of(model, norm=False)
    with pytest.raises(ValueError, match="a scale"):
        mb.head_bound(head.matrix, rows)
    assert mb.span_of(rows, head.matrix).outside.max() < 1e-8  # a scale changes no span
    model = made("PhiForCausalLM")
    rows, head = rows_of(model), mb.head_of(model, norm=False)
    bare = mb.head_bound(head.matrix, rows, rng=0)  # differences of logits have no bias
    assert_allclose(bare.certificate, mb.head_bound(head, rows, rng=0).certificate, atol=1e-9)


def test_states_and_logits_of_another_head_are_refused() -> None:
    model = made("GraniteForCausalLM")
    rows, head = rows_of(model), mb.head_of(model, norm=False)
    with pytest.raises(ValueError, match="not the states that enter it"):
        mb.head_bound(head, rows.hidden, head.scale * rows.log_probs)
    with pytest.raises(ValueError, match="norm=False"):
        mb.head_bound(mb.head_of(model), rows)
    with pytest.raises(ValueError, match="collect them with hidden=True"):
        mb.head_bound(head, mb.collect(model, None, PROMPTS, progress=False))


def test_segments_of_heads_and_models() -> None:
    ends = RNG.normal(size=(2, 32))
    linear = made("PhiForCausalLM")
    matrix = linear.lm_head.weight.detach().numpy()
    for head in (linear, mb.head_of(linear, norm=False), matrix):
        assert mb.probe_segment(head, *ends).log_affinity_defect < 1e-5
    capped = made("Gemma2ForCausalLM")
    found = mb.probe_segment(capped, *(4.0 * ends))
    assert found.log_affinity_defect > 1e-3
    matrix = mb.head_of(capped).matrix
    straight = mb.probe_segment(lambda h: 5.0 * np.tanh(h @ matrix.T / 5.0), *(4.0 * ends))
    assert_allclose(found.log_affinity, straight.log_affinity, atol=1e-5)


# ---------------------------------------------------------------------------
# Ways to run
# ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["GraniteForCausalLM", "xLSTMForCausalLM", "WhisperForCausalLM"])
def test_every_way_gives_the_states_of_its_rows(name: str) -> None:
    model = made(name)
    prompts = [Prompt(np.array(PROMPTS[i]), np.array(at)) for i, at in ((2, [4, 0]), (0, [1]))]
    found = {}
    for route in ("logits_to_keep", "head", "full"):
        if route != "logits_to_keep" or Forward(model).route == route:
            found[route] = Forward(model, hidden=True, route=route)(prompts, range(2))
    for batch in found.values():
        assert_allclose(batch.hidden, found["full"].hidden, atol=1e-5)
        assert_allclose(batch.logits, found["full"].logits, **ROUNDING)
    assert Forward(model).route == ("logits_to_keep" if name == "GraniteForCausalLM" else "head")


def test_the_head_of_a_wrapper_is_that_of_its_text_model() -> None:
    import transformers

    text = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
    text |= {"num_hidden_layers": 2, "vocab_size": 96, "num_key_value_heads": 2}
    sight = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 4}
    sight |= {"num_hidden_layers": 1, "image_size": 28, "patch_size": 14}
    config = transformers.LlavaConfig(
        text_config=transformers.LlamaConfig(**text),
        vision_config=transformers.CLIPVisionConfig(**sight),
        image_token_index=95,
    )
    torch.manual_seed(0)
    model = transformers.LlavaForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 0.3)
    rows = rows_of(model)
    head = mb.head_of(model)
    assert head.norm is model.model.language_model.norm
    assert (mb.head_bound(model, rows, rng=0).slack >= -1e-6).all()
    assert mb.span_of(rows, model).outside.max() < 1e-8
    words = model.get_input_embeddings().weight.detach().numpy()
    assert mb.embed_of(model, [5, 6, 7])(words[[7]]).shape == (1, 96)


def test_a_compiled_model_is_seen_through() -> None:
    model = made("GraniteForCausalLM")
    compiled = torch.compile(model, backend="eager")
    expected = rows_of(model)
    rows = rows_of(compiled)
    assert_allclose(rows.hidden, expected.hidden, atol=1e-5)
    assert rows.meta["head"]["scale"] == mb.head_of(compiled, norm=False).scale == 0.25


def test_a_model_in_training_is_left_so() -> None:
    model = made("GraniteForCausalLM").train()
    assert mb.head_of(model).scale == 0.25
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
@pytest.mark.parametrize("targets", [["q_proj"], ["q_proj", "lm_head"], ["lm_head"]])
def test_adapters_count(targets: list[str]) -> None:
    peft = pytest.importorskip("peft")
    base = copy.deepcopy(made("LlamaForCausalLM"))
    config = peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=targets)
    model = peft.get_peft_model(base, config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(0.0, 0.1)
    rows = rows_of(model)
    head = mb.head_of(model, norm=False)
    assert_allclose(log_softmax(head.exact(rows.hidden), axis=1), rows.log_probs, **ROUNDING)
    own = base.lm_head.weight.detach().numpy()
    assert (np.abs(head.matrix - own).max() > 0.01) == ("lm_head" in targets)
    assert (mb.head_bound(model, rows, rng=0).slack >= -1e-6).all()
    assert mb.span_of(rows, model).outside.max() < 1e-8


# ---------------------------------------------------------------------------
# Any scale, cap and bias
# ---------------------------------------------------------------------------


class Toy(torch.nn.Module):
    """An embedding and a head, and anything done to its scores."""

    def __init__(self, matrix: Any, bias: Any, then: Any) -> None:
        super().__init__()
        width, d = matrix.shape
        self.config = SimpleNamespace(hidden_size=d)
        self.words = torch.nn.Embedding(max(width, 4), d, dtype=torch.float64)
        self.lm_head = torch.nn.Linear(d, width, bias=bias is not None, dtype=torch.float64)
        self.then = then
        with torch.no_grad():
            self.lm_head.weight.copy_(torch.as_tensor(matrix))
            if bias is not None:
                self.lm_head.bias.copy_(torch.as_tensor(bias))

    def get_input_embeddings(self) -> Any:
        return self.words

    def get_output_embeddings(self) -> Any:
        return self.lm_head

    def forward(self, input_ids: Any, attention_mask: Any = None, return_dict: bool = True) -> Any:
        return SimpleNamespace(logits=self.then(self.lm_head(self.words(input_ids))))


def capped(scale: float, cap: float | None) -> Any:
    return lambda y: scale * y if cap is None else cap * torch.tanh(scale * y / cap)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    scale=st.floats(0.02, 16.0),
    cap=st.none() | st.floats(0.2, 60.0),
    has_bias=st.booleans(),
    size=st.floats(0.05, 3.0),
)
def test_certificates_of_any_scale_cap_and_bias(
    seed: int, scale: float, cap: float | None, has_bias: bool, size: float
) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(12, 3))
    bias = rng.normal(size=12) * 3.0 if has_bias else None
    head = mb.head_of(Toy(matrix, bias, capped(scale, cap)), norm=False)
    assert head.scale == pytest.approx(scale, rel=1e-9)
    assert head.cap == (None if cap is None else pytest.approx(cap, rel=1e-9))
    hidden = size * rng.normal(size=(9, 3)) / scale
    z = scale * (hidden @ matrix.T + (0.0 if bias is None else bias))
    logits = z if cap is None else cap * np.tanh(z / cap)
    assert_allclose(head.exact(hidden), logits, rtol=1e-7, atol=1e-9)
    found = mb.head_bound(head, hidden)
    p = softmax(logits, axis=1)
    apart = 0.5 * np.abs(p[found.first] - p[found.second]).sum(axis=1)
    assert_allclose(found.total_variation, apart, atol=1e-9)
    assert (found.certificate - apart >= -1e-9).all()
    assert (found.a_priori - found.certificate >= -1e-9).all()
    step = mb.head_bound(head, np.array([hidden[0], hidden[0] + 1e-3 / scale]))
    assert step.a_priori[0] < 0.01  # near states, and nothing else known of them


@settings(max_examples=30)
@given(scale=st.floats(0.1, 4.0), cap=st.none() | st.floats(0.5, 40.0), z=st.floats(0.01, 3.0))
def test_the_certificate_is_attained(scale: float, cap: float | None, z: float) -> None:
    """By two tokens with opposite rows, at opposite states."""
    head = mb.head_of(Toy(np.array([[1.0], [-1.0]]), None, capped(scale, cap)), norm=False)
    found = mb.head_bound(head, [[z], [-z]])
    assert_allclose(found.total_variation, found.certificate, atol=1e-12)
    assert found.diameter == pytest.approx(2.0 * scale)
    assert found.diameter_is_exact


def test_under_a_cap_single_rows_count() -> None:
    """A cap is not blind to a shift of all logits, so that single rows count."""
    matrix = np.array([[5.0], [5.0], [4.9]])
    plain = mb.head_of(Toy(matrix, None, capped(1.0, None)), norm=False)
    assert mb.head_bound(plain, [[0.0], [1.0]]).diameter == pytest.approx(0.1)
    shifted = mb.head_of(Toy(matrix, np.array([9.0, 0.0, 0.0]), capped(1.0, 2.0)), norm=False)
    found = mb.head_bound(shifted, [[-0.4], [0.4]])
    assert found.diameter == pytest.approx(5.0)
    assert found.total_variation[0] > np.tanh(0.25 * 0.1 * 0.8)
    assert found.slack[0] >= 0.0


@pytest.mark.parametrize(
    ("then", "why"),
    [
        (lambda y: y**3, "something else than a scale, a bias and a tanh cap"),
        (lambda y: torch.log_softmax(y, -1), "something else"),
        (lambda y: y.clamp(-1.0, 1.0), "something else"),
        (lambda y: y + float(y.abs().max() < 1e3), "not those of its output embeddings"),
        (lambda y: torch.cat([y, y[..., :1]], -1), "what lies between is not known"),
        (lambda y: y.sum(), "what lies between is not known"),
    ],
)
def test_what_is_no_such_head_is_refused(then: Any, why: str) -> None:
    model = Toy(RNG.normal(size=(12, 3)), None, then)
    with pytest.raises(ValueError, match=why):
        mb.head_of(model, norm=False)


def test_a_chain_is_tried_on_other_states() -> None:
    """A bound that no state of the trial reaches stands between the layer and the head."""

    class Bounded(Toy):
        def __init__(self) -> None:
            super().__init__(RNG.normal(size=(12, 3)), None, lambda y: y)
            self.layers = torch.nn.ModuleList([torch.nn.Linear(3, 3, dtype=torch.float64)])
            reach = float(self.layers[0](self.words(torch.arange(4))).detach().abs().max())
            self.bound = torch.nn.Hardtanh(-1.2 * reach, 1.2 * reach)

        def forward(self, input_ids: Any, **_: Any) -> Any:
            state = self.bound(self.layers[0](self.words(input_ids)))
            return SimpleNamespace(logits=self.lm_head(state))

    head = mb.head_of(Bounded(), norm=False)
    with pytest.raises(ValueError, match="a layer's state has no logits"):
        head.of_layer(np.ones((1, 3)))


def test_a_chain_is_of_few_modules_and_of_such_as_add_something() -> None:
    class Long(Toy):
        """Linear maps behind a layer, and one beside them that gives nothing yet."""

        def __init__(self, n: int) -> None:
            super().__init__(RNG.normal(size=(12, 3)), None, lambda y: y)
            self.layers = torch.nn.ModuleList([torch.nn.Linear(3, 3, dtype=torch.float64)])
            self.steps = [torch.nn.Linear(3, 3, dtype=torch.float64) for _ in range(n)]
            for i, step in enumerate(self.steps):
                self.add_module(f"step{i}", step)
            self.adapter = torch.nn.Linear(3, 3, bias=False, dtype=torch.float64)
            torch.nn.init.zeros_(self.adapter.weight)

        def forward(self, input_ids: Any, **_: Any) -> Any:
            state = self.layers[0](self.words(input_ids))
            for step in self.steps:
                state = step(state)
            state = state + self.adapter(state)
            return SimpleNamespace(logits=self.lm_head(state))

    few = Long(2)
    states = torch.ones((1, 3), dtype=torch.float64)
    wanted = few.lm_head(few.steps[1](few.steps[0](states)))
    head = mb.head_of(few, norm=False)
    assert_allclose(head.of_layer(states).detach(), wanted.detach(), atol=1e-12)
    with pytest.raises(ValueError, match="a layer's state has no logits"):
        mb.head_of(Long(probe.DEPTH + 1), norm=False).of_layer(states)


def test_memory_that_ends_in_a_head_is_said() -> None:
    model = Toy(RNG.normal(size=(12, 3)), None, lambda y: y)
    head = mb.head_of(model, norm=False)

    def full(*_: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to")

    model.lm_head.register_forward_pre_hook(full)
    with pytest.raises(MemoryError, match=r"states of shape \(1, 3\) and type torch.float64: Def"):
        head(np.ones((1, 3)))


def test_what_is_done_in_the_output_embeddings_counts() -> None:
    class Coarse(torch.nn.Linear):
        def forward(self, states: Any) -> Any:
            return torch.round(4.0 * super().forward(states)) / 4.0

    model = Toy(RNG.normal(size=(12, 3)), None, lambda y: y)
    model.lm_head.register_forward_hook(lambda module, args, scores: 2.0 * scores + 1.0)
    head = mb.head_of(model, norm=False)
    assert_allclose(head.matrix, 2.0 * model.lm_head.weight.detach(), atol=1e-12)
    assert_allclose(head.bias, 1.0)
    model.lm_head = Coarse(3, 12)
    model.words.float()
    with pytest.raises(ValueError, match="no matrix and bias to the rounding of float32"):
        mb.head_of(model, norm=False)


def test_output_embeddings_that_are_not_used_are_refused() -> None:
    model = Toy(RNG.normal(size=(12, 3)), None, lambda y: y)
    model.lm_head, model.other = torch.nn.Linear(3, 12), model.lm_head
    model.forward = lambda input_ids, **_: SimpleNamespace(
        logits=model.other(model.words(input_ids))
    )
    with pytest.raises(ValueError, match="calls its output embeddings 0 times"):
        mb.head_of(model, norm=False)
    model.get_output_embeddings = lambda: None
    with pytest.raises(ValueError, match="has no output embeddings"):
        mb.head_of(model)
    plain = Toy(RNG.normal(size=(12, 3)), None, lambda y: y)
    with pytest.raises(ValueError, match="give norm=False"):
        mb.head_of(plain)
