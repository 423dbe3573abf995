"""Sampling is predicting: whatever a cache does, the tokens are those of the forward pass."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import matrixbayes as mb

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from huggingface.tiny_models import since_5, tiny_model  # noqa: E402

N, LENGTH = 3, 25


def by_hand(predictor: Any, n: int = N, length: int = LENGTH, history: Any = ()) -> Any:
    """The same uniform numbers against what the forward pass predicts, step by step."""
    draws = np.random.default_rng(3).random((n, length))
    found = np.zeros((n, length), dtype=np.int64)
    for t in range(length):
        ends = np.exp(predictor.predict([[*history, *row[:t]] for row in found])).cumsum(axis=1)
        found[:, t] = (draws[:, t : t + 1] * ends[:, -1:] >= ends).sum(axis=1)
    return found


class Counting(torch.nn.Module):  # type: ignore[misc]
    """The sum of the embeddings of all tokens: a state to be carried on, or carried on wrong.

    Its cache is the state and the number of tokens read; it goes wrong behind `limit` of them,
    and takes a mask of all tokens for one of those that are new where `masked` says so.
    """

    name = "cache_params"

    def __init__(self, limit: int = 10**6, masked: bool = False) -> None:
        super().__init__()
        self.words = torch.nn.Embedding(60, 16)
        self.head = torch.nn.Linear(16, 60)
        torch.nn.init.normal_(self.words.weight, 0.0, 2.0, generator=torch.manual_seed(5))
        self.config = SimpleNamespace()
        self.limit, self.masked = limit, masked
        self.lengths: list[int] = []

    def get_input_embeddings(self) -> Any:
        return self.words

    def get_output_embeddings(self) -> Any:
        return self.head

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        cache_params: Any = None,
        cache_position: Any = None,
        use_cache: bool = False,
        return_dict: bool = True,
    ) -> Any:
        self.lengths.append(input_ids.shape[1])
        before, seen = cache_params or (0.0, 0)
        if use_cache:
            if seen and cache_position is None:
                raise ValueError("You have to specify the cache_position manually")
            assert cache_position.tolist() == list(range(seen, seen + input_ids.shape[1]))
        words = self.words(input_ids)
        if attention_mask is not None:
            if attention_mask.shape[1] != words.shape[1]:
                if self.masked:
                    raise RuntimeError("the mask has another length than the text")
            else:
                words = words * attention_mask[..., None]
        seen += input_ids.shape[1]
        sums = words.cumsum(1) + (before if isinstance(before, float) else before[:, None])
        logits = self.head(torch.tanh(sums))
        state = sums[:, -1] if seen < self.limit else 0 * sums[:, -1]
        return SimpleNamespace(logits=logits, cache_params=(state, seen) if use_cache else None)


def test_a_cache_is_used_where_it_is_right() -> None:
    model = Counting().eval()
    predictor = mb.TokenPredictor(model, range(3, 50), prefix=[1, 2])
    expected = by_hand(predictor)
    model.lengths.clear()
    assert_array_equal(predictor.sample(N, LENGTH, rng=3), expected)
    assert sum(model.lengths) < 4 * LENGTH  # read once with the cache, and held against a pass
    model.lengths.clear()
    assert_array_equal(predictor.sample(N, LENGTH, rng=3), expected)
    assert model.lengths == [2] + [1] * (LENGTH - 1)  # it is known to be right
    model.lengths.clear()
    predictor.sample(N, 2 * LENGTH, rng=3)
    assert model.lengths.count(1) == 2 * LENGTH - 1


@pytest.mark.parametrize("limit", [3, 4, 7, 12, 26, 27])
def test_a_cache_that_goes_wrong_is_given_up(limit: int) -> None:
    model = Counting(limit).eval()
    predictor = mb.TokenPredictor(model, range(3, 50), prefix=[1, 2])
    expected = by_hand(predictor)
    assert_array_equal(predictor.sample(N, LENGTH, rng=3), expected)
    assert_array_equal(predictor.sample(N, LENGTH, rng=3), expected)
    assert_array_equal(
        predictor.sample(1, LENGTH, history=[0, 1], rng=3),
        by_hand(predictor, 1, LENGTH, [0, 1]),
    )


def test_an_error_in_a_cache_is_no_error_of_the_model() -> None:
    class Broken(Counting):
        def forward(self, input_ids: Any, cache_params: Any = None, **given: Any) -> Any:
            if cache_params is not None and cache_params[1] > 6:
                raise IndexError("index out of range")
            return super().forward(input_ids, cache_params=cache_params, **given)

    model = Broken().eval()
    predictor = mb.TokenPredictor(model, range(3, 50), prefix=[1, 2])
    assert_array_equal(predictor.sample(N, LENGTH, rng=3), by_hand(predictor))

    class Short(Counting):
        def forward(self, input_ids: Any, cache_params: Any = None, **given: Any) -> Any:
            if input_ids.shape[1] > 9:
                raise IndexError("no such position")
            if cache_params is not None:
                raise IndexError("nor a cache")
            return super().forward(input_ids, **given)

    predictor = mb.TokenPredictor(Short().eval(), range(3, 50), prefix=[1, 2])
    with pytest.raises(IndexError, match="no such position"):
        predictor.sample(N, LENGTH, rng=3)


# Of each kind one: states with a mask, a wrong cache, a window, a cache mixed up between texts, a
# plain one, none at all.
NAMES = ["Mamba", "FalconMamba", "Bamba", "Moshi", "Rwkv", "Mistral", "RecurrentGemma"]


@pytest.mark.parametrize("name", NAMES)
def test_sampling_is_predicting(name: str) -> None:
    predictor = mb.TokenPredictor(tiny_model(f"{name}ForCausalLM"), range(3, 60), prefix=[1])
    assert_array_equal(predictor.sample(2, 12, rng=3), by_hand(predictor, 2, 12))


@since_5  # before, it is not kept
def test_the_cache_of_mamba_is_right_without_a_mask() -> None:
    model = tiny_model("MambaForCausalLM")
    predictor = mb.TokenPredictor(model, range(3, 60), prefix=[1])
    predictor.sample(2, 12, rng=3)
    lengths: list[int] = []
    with_hook = model.register_forward_pre_hook(
        lambda _, args, given: lengths.append(given["input_ids"].shape[1]), with_kwargs=True
    )
    predictor.sample(2, 12, rng=4)
    with_hook.remove()
    assert lengths == [1] * 12
