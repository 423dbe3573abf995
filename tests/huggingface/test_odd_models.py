"""A model of anybody's own that does something odd: it is said what, and no row is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from toy_models import cached_model, make_tokenizer

import matrixbayes as mb
from matrixbayes.huggingface.forward import Batch, Forward
from matrixbayes.huggingface.layers.lens import Lens
from matrixbayes.huggingface.prompts import Prompt
from matrixbayes.huggingface.runs.text_scores import text_scores

torch = pytest.importorskip("torch")

TEXT = Prompt(np.array([1, 2, 3]), np.array([0, 2]))


class Odd(torch.nn.Module):
    """Next tokens by the last one alone; `change` makes something else of the logits."""

    def __init__(self, change: Callable[[Any], Any] = lambda y: y) -> None:
        super().__init__()
        make = torch.Generator().manual_seed(4)
        self.words, self.lm_head = torch.nn.Embedding(12, 4), torch.nn.Linear(4, 12, bias=False)
        for weight in self.parameters():
            torch.nn.init.normal_(weight, generator=make)
        self.config, self.change = SimpleNamespace(model_type="odd"), change
        self.eval()

    def get_input_embeddings(self) -> Any:
        return self.words

    def get_output_embeddings(self) -> Any:
        return self.lm_head

    def forward(self, input_ids: Any, **_: Any) -> Any:
        self.length = input_ids.shape[1]
        return SimpleNamespace(logits=self.change(self.lm_head(self.words(input_ids))))


def fails(error: BaseException) -> Callable[[Any], Any]:
    def change(_: Any) -> Any:
        raise error

    return change


@pytest.mark.parametrize(
    ("route", "change", "error", "why"),
    [
        ("full", lambda y: y[0], ValueError, r"gives logits of shape \(3, 12\) for 1 texts"),
        ("head", lambda y: y[:, :1], ValueError, r"logits of shape \(1, 1, 12\) for 2 states"),
        (
            "logits_to_keep",
            lambda y: y,
            RuntimeError,
            "3 positions where logits_to_keep asked for 2",
        ),
    ],
)
def test_logits_of_another_shape_than_before(
    route: str, change: Any, error: type[Exception], why: str
) -> None:
    model = Odd()
    forward = Forward(model, route=route)
    model.change = change
    with pytest.raises(error, match=why):
        forward([TEXT], [0])


def test_states_that_no_longer_enter_the_output_embeddings() -> None:
    model = Odd()
    forward = Forward(model, hidden=True, route="full")
    weight = model.lm_head.weight.detach()
    model.forward = lambda input_ids, **_: SimpleNamespace(logits=model.words(input_ids) @ weight.T)
    with pytest.raises(ValueError, match="collect without hidden=True"):
        forward([TEXT], [0])


def test_a_head_that_does_not_give_the_logits_is_dropped() -> None:
    model = Odd()
    forward = Forward(model, hidden=True)
    head = forward.head
    assert head is not None
    assert forward.linear_head
    model.change = lambda y: y + 1.0
    states = forward([TEXT], [0]).hidden
    assert forward.head is None
    assert "not those of its output embeddings" in str(forward.head_refusal)
    logits = states @ model.lm_head.weight.detach().T
    assert head.refusal(states, logits) is None
    assert "up to inf apart" in str(head.refusal(states, logits[:, :3]))


class Doubling(torch.nn.Module):
    """A layer, which may give its states in another shape."""

    def __init__(self, shape: Callable[[Any], Any] = lambda states: states) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, states: Any) -> Any:
        return self.shape(2.0 * states)


class Layered(Odd):
    """The same behind two layers; `shape` is what the first makes of its states."""

    def __init__(self, shape: Callable[[Any], Any] = lambda states: states) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList([Doubling(shape), Doubling()])
        self.eval()

    def forward(self, input_ids: Any, **_: Any) -> Any:
        states = self.words(input_ids)
        inner = self.layers[1](self.layers[0](states).reshape(states.shape))
        return SimpleNamespace(logits=self.change(self.lm_head(inner)))


def test_a_layer_without_a_state_for_each_token_has_no_rows() -> None:
    rows = mb.collect(Layered(), None, [[1, 2, 3]], layers="all")
    assert rows.final.shape == (1, 12)
    with pytest.raises(ValueError, match="layer 1 of Layered gives no state for each token"):
        mb.collect(Layered(lambda states: states.flatten(0, 1)), None, [[1, 2, 3]], layers="all")


def test_layers_of_a_head_that_is_dropped_have_no_rows() -> None:
    model = Layered()
    lens = Lens(model, "all")
    model.change = lambda y: y + 1.0
    with pytest.raises(ValueError, match="not those of its output embeddings"):
        lens([TEXT], [0])


def test_a_text_of_tokens_that_the_logits_lack_has_no_score() -> None:
    few = Odd(lambda y: y[..., :5])
    (found,) = text_scores(few, [np.array([2, 4])], 0, 8)
    assert (found < 0.0).all()
    with pytest.raises(ValueError, match=r"text 1 has token 7, and the model's .* over 5 tokens"):
        text_scores(few, [np.array([2, 4]), np.array([3, 7, 1])], 0, 8)


def test_what_is_no_head_is_said_wherever_one_is_wanted() -> None:
    model = Odd(lambda y: y**3)
    forward = Forward(model, hidden=True)
    assert forward.head is None
    assert forward.linear_head is False
    why = "something else than a scale"
    rows = mb.collect(model, None, [[1, 2]], hidden=True)
    assert rows.meta["head"]["kind"] is None
    assert why in rows.meta["head"]["refusal"]
    report = mb.preflight(model, None, [[1, 2]], hidden=True)
    assert not report.ok
    assert "of hidden states no head is known: " in str(report)
    with pytest.raises(ValueError, match=f"layers of Odd have no rows: .*{why}"):
        mb.collect(model, None, [[1, 2]], layers="all")


def test_a_bias_of_the_model_is_that_of_its_head() -> None:
    offset = torch.linspace(-1.0, 1.0, 12)
    head = mb.head_of(Odd(lambda y: y + offset), norm=False)
    assert_allclose(head.bias, offset, atol=1e-5)
    states = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    logits = Odd().lm_head(states).detach() + offset
    assert_allclose(head(states.numpy()), logits, atol=1e-5)


def test_a_model_that_runs_out_of_memory_when_it_is_tried() -> None:
    error = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    with pytest.raises((MemoryError, torch.cuda.OutOfMemoryError)):
        Forward(Odd(fails(error)))


def test_a_model_without_a_row_for_each_token() -> None:
    with pytest.raises(ValueError, match="it has no row for each token"):
        Forward(Odd(lambda y: y[:, :1]))


def test_a_model_that_does_not_run_has_no_head() -> None:
    with pytest.raises(ValueError, match=r"Odd does not run on .* tokens, so what its logits are"):
        mb.head_of(Odd(fails(LookupError("no such table"))))


def test_why_a_text_has_no_rows_may_be_that_it_fails_alone() -> None:
    model = Odd()
    batch = Forward(model)([TEXT], [0])
    model.change = fails(LookupError("no such table"))
    assert batch.why is not None
    assert "run by itself it raises LookupError" in batch.why(0)


def test_a_cache_of_another_width_is_refused(tmp_path: Path) -> None:
    model = Odd()
    mb.collect(model, None, [[1, 2]], cache_dir=tmp_path)
    for length in (2, 7):  # of what was kept, of what is new
        model.change = lambda y, n=length: (
            torch.cat([y, y[..., :2]], -1) if model.length == n else y
        )
        with pytest.raises(ValueError, match="cache_dir: its rows are of 12 ids, not 14"):
            mb.collect(model, None, [[1, 2], [1, 2, 3, 4, 5, 6, 7]], cache_dir=tmp_path)


def test_a_predictor_of_tokens_that_the_logits_lack() -> None:
    predictor = mb.TokenPredictor(Odd(), range(12), prefix=[1])
    assert repr(predictor) == "TokenPredictor(Odd, 12 tokens, prefix=[1])"
    with pytest.raises(ValueError, match="logits are over 5 tokens, and token_ids has 11"):
        predictor._own(Batch(torch.zeros(1, 5), None, []))


def test_embeddings_that_are_no_matrix_or_have_no_such_token() -> None:
    model = Odd()
    with pytest.raises(ValueError, match="input_ids go from 1 to 99; Odd has 12"):
        mb.embed_of(model, [1, 99])
    model.get_input_embeddings = lambda: torch.nn.Identity()
    with pytest.raises(ValueError, match="input embeddings of Odd are no matrix in memory"):
        mb.embed_of(model, [1, 2])


def test_texts_that_become_no_token() -> None:
    model = cached_model("llama")
    with pytest.raises(ValueError, match="no token holds any of ' '"):
        mb.collect(model, make_tokenizer(), [("red", " ")], positions="continuation")
    with pytest.raises(ValueError, match="'zebra' is not in the vocabulary"):
        mb.collect(model, make_tokenizer(unk=False), ["red"], vocab=["zebra", "red"])


def test_a_head_that_is_wider_than_the_logits(tmp_path: Path) -> None:
    """The logits have the last word; a cache of them, too, and each layer."""
    from huggingface.tiny_models import tiny_model

    model = tiny_model("InklingForCausalLM")
    assert len(model.get_output_embeddings().weight) == 96
    first, again = (mb.collect(model, None, [[3, 4, 5]], cache_dir=tmp_path) for _ in range(2))
    assert first.shape == again.shape == (1, 90)
    np.testing.assert_array_equal(first.log_probs, again.log_probs)
    layers = mb.collect(model, None, [[3, 4, 5]], layers="all")
    assert layers.final.shape == (1, 90)


def test_rows_of_ids_that_were_padded_are_found_before_a_run() -> None:
    report = mb.preflight(cached_model("llama"), make_tokenizer(), [[1, 2], [1, 10]])
    assert not report.ok
    assert "the padding token" in str(report)
