"""A language model over a few tokens: against its own logits, read without any of our help."""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import matrixbayes as mb
from matrixbayes import windtunnel

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

FOLDER = files("matrixbayes") / "data" / "urns"
IDS = np.array([6, 0, 3])  # white, red, green: not in the order of the ids
BOS = 8


@pytest.fixture(scope="module")
def model():
    return transformers.AutoModelForCausalLM.from_pretrained(str(FOLDER)).eval()


@pytest.fixture(scope="module")
def predictor(model):
    return mb.TokenPredictor(model, IDS, prefix=[BOS], batch_size=2)


def by_hand(model, ids):
    """The row over IDS after a list of token ids, alone in its batch."""
    with torch.no_grad():
        logits = model(torch.tensor([list(map(int, ids))])).logits[0, -1, IDS].double()
    return torch.log_softmax(logits, 0).numpy()


def test_rows_along_sequences_are_the_models_own(model, predictor):
    sequences = np.random.default_rng(0).integers(0, 3, (5, 7))
    rows = predictor(sequences)
    assert rows.shape == (5, 7, 3)
    assert rows.dtype == np.float64
    assert_allclose(np.exp(rows).sum(axis=2), 1.0, rtol=1e-6)
    for i, t in [(0, 0), (1, 1), (4, 6), (2, 3)]:
        assert_allclose(rows[i, t], by_hand(model, [BOS, *IDS[sequences[i, :t]]]), atol=1e-5)
    assert predictor(np.zeros((0, 4), int)).shape == (0, 4, 3)
    assert predictor(np.zeros((2, 0), int)).shape == (2, 0, 3)


def test_a_row_sees_nothing_of_its_token_or_later(predictor):
    one, other = [[0, 1, 2, 0, 0]], [[0, 1, 1, 2, 1]]
    assert_allclose(predictor(one)[0, :3], predictor(other)[0, :3], atol=1e-6)
    assert np.abs(predictor(one)[0, 3] - predictor(other)[0, 3]).max() > 1e-3


def test_ragged_histories_keep_their_order(model, predictor):
    histories = [[0, 1], [], [2, 2, 2, 0, 1], [1], [0, 0]]
    rows = predictor.predict(histories)
    for row, history in zip(rows, histories, strict=True):
        assert_allclose(row, by_hand(model, [BOS, *IDS[history]]), atol=1e-5)
    assert predictor.predict([]).shape == (0, 3)


@pytest.mark.slow
def test_samples_with_the_cache_follow_the_model(model, predictor):
    history = [0, 1, 0]
    found = predictor.sample(5, 6, history=history, rng=3)
    again = mb.TokenPredictor(model, IDS, prefix=[BOS]).sample(5, 6, history=history, rng=3)
    assert_array_equal(found, again)  # the batches do not matter
    draws = np.random.default_rng(3).random((5, 6))
    for i in range(5):  # the inverse of the distribution function, without a cache
        for t in range(6):
            row = np.exp(by_hand(model, [BOS, *IDS[history], *IDS[found[i, :t]]]))
            assert found[i, t] == np.searchsorted(np.cumsum(row), draws[i, t] * row.sum(), "right")
    assert predictor.sample(0, 3).shape == (0, 3)
    assert predictor.sample(3, 0).shape == (3, 0)


def test_a_model_without_a_cache_reads_all_again(model):
    class Forgetful(torch.nn.Module):
        """Keeps nothing and knows of no cache."""

        def __init__(self):
            super().__init__()
            self.inner = model
            self.config = model.config
            self.get_output_embeddings = model.get_output_embeddings
            self.get_input_embeddings = model.get_input_embeddings

        def forward(self, input_ids, attention_mask=None, return_dict=True):
            output = self.inner(input_ids, attention_mask=attention_mask, use_cache=False)
            return transformers.modeling_outputs.CausalLMOutput(logits=output.logits)

    kept = mb.TokenPredictor(model, IDS, prefix=[BOS]).sample(4, 5, rng=0)
    plain = mb.TokenPredictor(Forgetful().eval(), IDS, prefix=[BOS]).sample(4, 5, rng=0)
    assert_array_equal(kept, plain)


def test_training_mode_comes_back_part_by_part():
    own = transformers.AutoModelForCausalLM.from_pretrained(str(FOLDER))
    own.train()
    own.transformer.h[0].eval()
    modes = [module.training for module in own.modules()]
    predictor = mb.TokenPredictor(own, IDS, prefix=[BOS])
    predictor([[0, 1]])
    predictor.predict([[0]])
    predictor.sample(1, 2, rng=0)
    with pytest.raises(ValueError, match="columns are 0 to 2"):
        predictor.predict([[3]])
    assert [module.training for module in own.modules()] == modes
    assert all(parameter.grad is None for parameter in own.parameters())


def test_a_model_in_bfloat16():
    own = transformers.AutoModelForCausalLM.from_pretrained(str(FOLDER), dtype=torch.bfloat16)
    rows = mb.TokenPredictor(own, IDS, prefix=[BOS])([[0, 1, 2]])
    assert_allclose(np.exp(rows).sum(axis=2), 1.0, rtol=1e-6)


def test_the_longest_history_and_no_longer(predictor):
    assert predictor.max_history == 63
    assert predictor.predict([np.zeros(63, int)]).shape == (1, 3)
    assert predictor(np.zeros((1, 64), int)).shape == (1, 64, 3)
    assert predictor.sample(1, 4, history=np.zeros(60, int), rng=0).shape == (1, 4)
    with pytest.raises(ValueError, match="history 1 needs 64 tokens behind a prefix of 1, and the"):
        predictor.predict([[0], np.zeros(64, int)])
    with pytest.raises(ValueError, match="sequence 0 needs 64"):
        predictor(np.zeros((1, 65), int))
    with pytest.raises(ValueError, match="the continuation needs 64"):
        predictor.sample(1, 5, history=np.zeros(60, int))


def test_without_a_prefix_an_empty_history_is_an_error(model):
    bare = mb.TokenPredictor(model, IDS)
    assert_allclose(bare.predict([[1, 2]])[0], by_hand(model, IDS[[1, 2]]), atol=1e-5)
    for call in (
        lambda: bare.predict([[0], []]),
        lambda: bare([[0, 1]]),
        lambda: bare.sample(1, 1),
    ):
        with pytest.raises(ValueError, match="there is no prefix"):
            call()


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        (lambda m: mb.TokenPredictor("gpt2", IDS), TypeError, "load the model first"),
        (lambda m: mb.TokenPredictor(m, []), ValueError, "token_ids is empty"),
        (lambda m: mb.TokenPredictor(m, [1, 2, 1]), ValueError, "has 1 twice"),
        (lambda m: mb.TokenPredictor(m, [1, 10]), ValueError, r"token_ids\[1\] is 10.*0 to 9"),
        (lambda m: mb.TokenPredictor(m, ["red"]), TypeError, "list of token ids"),
        (lambda m: mb.TokenPredictor(m, [0, 1], prefix=[-1]), ValueError, r"prefix\[0\] is -1"),
        (lambda m: mb.TokenPredictor(m, [0, 1], prefix=[0] * 65), ValueError, "takes 64"),
        (lambda m: mb.TokenPredictor(m, [0, 1], batch_size=0), ValueError, "batch_size is 0"),
    ],
)
def test_a_wrong_model_or_token_is_named(model, call, kind, says):
    with pytest.raises(kind, match=says):
        call(model)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda p: p([0, 1]), "need \\(n, length\\)"),
        (lambda p: p([[0, 3]]), "token 1 of sequence 0 is 3"),
        (lambda p: p([[0.5]]), "sequence 0 has shape"),
        (lambda p: p.predict([[0], [[1]]]), "history 1 has shape"),
        (lambda p: p.predict([[0], [-1]]), "token 0 of history 1 is -1"),
        (lambda p: p.sample(-1, 2), "n is -1"),
        (lambda p: p.sample(1, 2, history=[7]), "token 0 of history is 7"),
    ],
)
def test_wrong_histories_are_named(predictor, call, says):
    with pytest.raises(ValueError, match=says):
        call(predictor)


def test_windtunnel_takes_a_language_model(model):
    record = json.loads((FOLDER / "training.json").read_text("utf-8"))
    task = windtunnel.Urns(mb.DirichletMixture(**record["prior"]))
    found = windtunnel.score(task, model, n=50, length=30, token_ids=range(8), prefix=[BOS], rng=0)
    assert found.mean_kl < 0.02
    same = windtunnel.score(
        task, mb.TokenPredictor(model, range(8), prefix=[BOS]), n=50, length=30, rng=0
    )
    assert same.mean_kl == found.mean_kl
    with pytest.raises(TypeError, match="give token_ids"):
        windtunnel.score(task, model)
    with pytest.raises(TypeError, match="token_ids and a prefix of its own: give it alone"):
        windtunnel.score(task, mb.TokenPredictor(model, range(8)), token_ids=range(8))
    with pytest.raises(ValueError, match="3 ids and the task 8 tokens"):
        windtunnel.score(task, model, token_ids=IDS, prefix=[BOS])
