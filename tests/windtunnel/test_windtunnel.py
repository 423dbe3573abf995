"""Exact predictives against enumeration of everything that may be hidden."""

from __future__ import annotations

import json
from itertools import permutations, product

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit

import matrixbayes as mb
from matrixbayes import windtunnel
from matrixbayes.windtunnel import (
    HMM,
    Bijection,
    MarkovChains,
    Mixture,
    Switch,
    Urns,
    score,
)

MIXTURE = mb.DirichletMixture([0.3, 0.7], [[4.0, 1.0, 1.0], [0.3, 0.5, 2.0]])
RNG = np.random.default_rng(0)
CHAIN = HMM([0.2, 0.8], [[0.7, 0.3], [0.4, 0.6]], [[0.5, 0.5, 0.0], [0.1, 0.2, 0.7]])
TASKS = {
    "urns": Urns(MIXTURE),
    "chains": MarkovChains(MIXTURE),
    "bijection": Bijection(5),
    "hmm": CHAIN,
    "switch": Switch(3, flipped=0.3, noise=0.1),
    "mixture": Mixture([Urns(MIXTURE), MarkovChains(MIXTURE), CHAIN], [0.5, 0.2, 0.3]),
}


@pytest.mark.parametrize("name", TASKS)
def test_a_task_scores_itself_0_and_others_more(name):
    task = TASKS[name]
    found = score(task, task.log_predictive, n=30, length=10, rng=0)
    assert found.mean_kl == found.mean_entropy_error == 0.0
    assert_array_equal(found.bayes_entropy, found.model_entropy)

    def even(tokens):
        return np.zeros((*tokens.shape, task.n_tokens))

    flat = score(task, even, n=30, length=10, kind="logits", rng=0)
    assert flat.mean_kl > 0.03
    assert_allclose(flat.model_entropy, np.log2(task.n_tokens))
    assert_allclose(flat.kl, np.log2(task.n_tokens) - flat.bayes_entropy, atol=1e-9)


@pytest.mark.parametrize("name", TASKS)
def test_predictives_are_distributions_and_samples_follow_them(name):
    task = TASKS[name]
    tokens = task.sample(20_000, 4, rng=1)
    rows = np.exp(task.log_predictive(tokens))
    assert_allclose(rows.sum(axis=2), 1.0, rtol=1e-12)
    for t in range(4):  # calibrated: a token comes as often as it is expected
        seen = np.bincount(tokens[:, t], minlength=task.n_tokens)
        expected = rows[:, t].sum(axis=0)
        assert (np.abs(seen - expected) <= 5.0 * np.sqrt(expected) + 1e-6).all()
        # and where it is expected to
        scores = np.take_along_axis(rows[:, t], tokens[:, t : t + 1], axis=1)[:, 0]
        own = (rows[:, t] ** 2).sum(axis=1)
        assert abs((scores - own).mean()) < 5.0 * (scores - own).std() / np.sqrt(20_000) + 1e-12
    assert_array_equal(task.sample(3, 4, rng=1), task.sample(3, 4, rng=1))


@pytest.mark.parametrize("length", [2, 4, 5])
@pytest.mark.slow
def test_chains_shorter_than_their_vocabulary_come_as_often_as_they_should(length):
    """Their rows are not drawn; every text of 5 tokens is held against its probability."""
    task = MarkovChains(
        mb.DirichletMixture([0.4, 0.6], [[3.0, 1, 0.2, 0.5, 1], [0.1, 0.2, 2, 1, 3]])
    )
    n = 100_000
    texts, seen = np.unique(task.sample(n, length, rng=2), axis=0, return_counts=True)
    rows = task.log_predictive(texts)
    expected = n * np.exp(np.take_along_axis(rows, texts[..., np.newaxis], 2).sum(axis=(1, 2)))
    often = expected > 5.0
    assert often.sum() > 20
    excess = np.sum((seen - expected)[often] ** 2 / expected[often]) - often.sum()
    assert abs(excess) < 4.0 * np.sqrt(2.0 * often.sum())


@pytest.mark.parametrize("kind", [Urns, MarkovChains])
def test_short_texts_over_many_tokens_take_no_memory_for_rows(kind):
    task = kind(mb.DirichletMixture([1.0], np.full((1, 50_000), 1e-4)))
    texts = task.sample(200, 30, rng=0)  # the rows of chains would be 4 TB
    assert texts.max() < 50_000
    assert task.log_predictive(texts[:2]).shape == (2, 30, 50_000)
    assert len(np.unique(texts[:, 0])) > 190


@pytest.mark.parametrize("name", TASKS)
def test_no_sequences_and_no_tokens(name):
    task = TASKS[name]
    for n, length in ((0, 4), (3, 0), (0, 0), (1, 1)):
        tokens = task.sample(n, length, rng=0)
        assert tokens.shape == (n, length)
        assert task.log_predictive(tokens).shape == (n, length, task.n_tokens)


def test_a_rule_that_was_all_but_ruled_out_comes_back():
    """Evidence far below the smallest double is evidence still."""
    switch = Switch(1, flipped=0.1, noise=0.05)
    rows = np.exp(switch.log_predictive([[0, 2] * 300 + [0, 1] * 600])[0, 1::2, 2])
    ahead = np.minimum(np.arange(900), 600 - np.arange(900))  # flipped labels less meant ones
    flipped = expit(np.log(0.1 / 0.9) + np.log(0.95 / 0.05) * ahead)
    assert_allclose(rows, 0.05 + 0.9 * flipped, rtol=1e-9)

    still = HMM([0.5, 0.5], np.eye(2), [[0.99, 0.01], [0.01, 0.99]])
    rows = still.log_predictive([[0] * 200 + [1] * 600])[0]
    assert np.exp(rows[-1, 1]) == pytest.approx(0.99)
    never = HMM([0.5, 0.5], np.eye(2), [[1.0, 0.0], [0.01, 0.99]])
    rows = never.log_predictive([[0] * 200 + [1, 1]])[0]
    assert rows[200, 1] == pytest.approx(200.0 * np.log(0.01) + np.log(0.99))
    assert rows[201, 1] == pytest.approx(np.log(0.99))


def test_a_mixture_says_what_it_thinks_of_its_own_texts():
    """Where a token of one task cannot be of another."""
    silent, even = HMM([1.0], [[1.0]], [[1.0, 0.0]]), HMM([1.0], [[1.0]], [[0.5, 0.5]])
    task = Mixture([silent, even], [0.25, 0.75])
    rows = np.exp(task.log_predictive([[0, 1, 0]]))[0]
    assert_allclose(rows[:, 1], [0.375, 0.3, 0.5])
    rules = Mixture([Switch(2, 0.0, 0.0), Switch(2, 1.0, 0.0), Bijection(2)])
    tokens = rules.sample(60, 4, rng=0)
    rows = np.exp(rules.log_predictive(tokens))
    assert_allclose(rows.sum(axis=2), 1.0)
    assert score(rules, rules.log_predictive, tokens).mean_kl == 0.0
    assert_array_equal(
        Mixture([Switch(2, 0.0, 0.0), Switch(2, 1.0, 0.0)], [0.0, 1.0]).log_predictive([[0, 3]]),
        Switch(2, 1.0, 0.0).log_predictive([[0, 3]]),
    )


def test_a_mask_of_positions_and_scores_by_blocks(monkeypatch):
    task, even = TASKS["switch"], Urns(mb.DirichletMixture([1.0], np.ones((1, 5))))
    tokens = task.sample(40, 8, rng=0)
    whole = score(task, even.log_predictive, tokens, positions=[1, 3, 5, 7])
    monkeypatch.setattr("matrixbayes.windtunnel.scoring.BLOCK_NUMBERS", 100)
    masked = score(task, even.log_predictive, tokens, positions=np.arange(8) % 2 == 1)
    assert_array_equal(masked.positions, whole.positions)
    assert masked.mean_kl == whole.mean_kl
    assert_array_equal(masked.standard_error, whole.standard_error)


def test_a_model_that_rules_out_what_comes():
    def sure(tokens):
        return np.tile([1.0, 0.0, 0.0], (*tokens.shape, 1))

    found = score(TASKS["urns"], sure, n=5, length=3, kind="probs", rng=0)
    assert found.mean_kl == np.inf
    assert_array_equal(found.standard_error, np.inf)


def test_tensors_of_any_kind_are_scored():
    torch = pytest.importorskip("torch")
    task = TASKS["urns"]
    rows = score(
        task, lambda t: torch.tensor(task.log_predictive(t), requires_grad=True), n=5, rng=0
    )
    assert rows.mean_kl < 1e-9
    coarse = score(
        task, lambda t: torch.tensor(task.log_predictive(t)).bfloat16(), n=5, kind="logits", rng=0
    )
    assert coarse.mean_kl < 1e-3


def log_prob(task, tokens):
    return np.take_along_axis(task.log_predictive([tokens])[0], np.array(tokens)[:, None], 1).sum()


def test_urns_and_chains_are_their_evidence():
    tokens = RNG.integers(0, 3, 30)
    evidence = MIXTURE.log_evidence(np.bincount(tokens, minlength=3))
    assert_allclose(log_prob(TASKS["urns"], tokens.tolist()), evidence, rtol=1e-12)
    rows = np.zeros((3, 3))
    np.add.at(rows, (tokens[:-1], tokens[1:]), 1)
    evidence = MIXTURE.log_evidence(rows).sum() - np.log(3.0)
    assert_allclose(log_prob(TASKS["chains"], tokens.tolist()), evidence, rtol=1e-12)


def test_a_bijection_by_enumeration():
    size = 4
    task = Bijection(size)
    for tokens in task.sample(5, 2 * size, rng=0):
        rows = np.exp(task.log_predictive(tokens[np.newaxis])[0])
        possible = [
            (x, y) for x in permutations(range(size)) for y in permutations(range(size, 2 * size))
        ]
        for t in range(2 * size):
            weight = np.zeros(2 * size)
            for x, y in possible:
                line = [token for pair in zip(x, y, strict=True) for token in pair]
                if line[:t] == tokens[:t].tolist():
                    weight[line[t]] += 1.0
            assert_allclose(rows[t], weight / weight.sum(), atol=1e-12)
    found = score(task, task.log_predictive, n=5, length=8, rng=0, positions=[1, 3, 5, 7])
    assert_allclose(found.bayes_entropy[1::2], np.log2(size - np.arange(1, 5) + 1), atol=1e-12)


def test_a_hidden_chain_by_enumeration():
    tokens = [2, 0, 1, 2, 1]
    total = 0.0
    for states in product(range(2), repeat=5):
        p = CHAIN.initial[states[0]]
        for t, state in enumerate(states):
            p *= CHAIN.emission[state, tokens[t]]
            p *= CHAIN.transition[states[t], states[t + 1]] if t < 4 else 1.0
        total += p
    assert_allclose(log_prob(CHAIN, tokens), np.log(total), rtol=1e-12)


def test_a_switch_by_enumeration():
    task = TASKS["switch"]
    for tokens in task.sample(6, 8, rng=2).tolist():
        total = 0.0
        for flipped in (False, True):
            p = task.flipped if flipped else 1.0 - task.flipped
            for x, y in zip(tokens[::2], tokens[1::2], strict=True):
                right = (y - 3) == (x % 2) ^ flipped
                p *= (1.0 / 3.0) * (1.0 - task.noise if right else task.noise)
            total += p
        assert_allclose(log_prob(task, tokens), np.log(total), rtol=1e-12)


def test_a_mixture_by_its_definition():
    """The probability of a sequence is the mean of those under the tasks; Bayes for the rest."""
    task = TASKS["mixture"]
    for tokens in task.sample(6, 12, rng=4).tolist():
        logs = np.array([log_prob(own, tokens) for own in task.tasks]) + np.log(task.weights)
        assert_allclose(log_prob(task, tokens), np.log(np.exp(logs).sum()), rtol=1e-12)
        for t in range(12):
            joint = [
                w * np.exp(log_prob(own, tokens[:t])) if t else w
                for own, w in zip(task.tasks, task.weights, strict=True)
            ]
            found = np.exp(task.log_posterior([tokens])[0, t])
            assert_allclose(found, np.array(joint) / np.sum(joint), rtol=1e-9)


def test_a_mixture_samples_its_tasks_by_weight_and_tells_them_apart():
    never, always = HMM([1.0], [[1.0]], [[1.0, 0.0]]), HMM([1.0], [[1.0]], [[0.5, 0.5]])
    task = Mixture([never, always], [0.25, 0.75])
    tokens = task.sample(4000, 20, rng=0)
    silent = (tokens == 0).all(axis=1).mean()
    assert abs(silent - 0.25) < 5.0 * np.sqrt(0.25 * 0.75 / 4000)
    odds = 0.25 / (0.75 * 0.5 ** np.arange(4))  # after each 0
    assert_allclose(np.exp(task.log_posterior([[0] * 4]))[0, :, 0], odds / (1.0 + odds), rtol=1e-12)
    assert_array_equal(Mixture([always, always]).weights, [0.5, 0.5])
    assert_array_equal(
        Mixture([always]).log_predictive([[0, 1, 1]]), always.log_predictive([[0, 1, 1]])
    )
    assert Mixture([never, always]).log_predictive(np.zeros((0, 3), int)).shape == (0, 3, 2)


class OnlyZeros:
    """A task whose tokens are all 0, and that says so of any sequence."""

    n_tokens = 2

    def sample(self, n, length, *, rng=None):
        return np.zeros((n, length), dtype=np.int64)

    def log_predictive(self, sequences):
        with np.errstate(divide="ignore"):
            return np.log(np.tile([1.0, 0.0], (*np.shape(sequences), 1)))


def test_a_task_that_a_token_rules_out_has_weight_0_from_there():
    urns = Urns(mb.DirichletMixture([1.0], [[1.0, 1.0]]))
    task = Mixture([OnlyZeros(), urns])
    assert_allclose(np.exp(task.log_posterior([[0, 1, 0]]))[0, :, 0], [0.5, 2 / 3, 0.0])
    assert_allclose(np.exp(task.log_predictive([[1, 0]]))[0], [[0.75, 0.25], [1 / 3, 2 / 3]])
    nothing = Mixture([OnlyZeros(), OnlyZeros()])
    assert_array_equal(nothing.log_predictive([[0, 0]])[0], [[0.0, -np.inf]] * 2)
    with pytest.raises(ValueError, match="token 1 of sequence 1 is impossible in every task"):
        nothing.log_predictive([[0, 0, 0], [0, 1, 0]])


def test_the_trained_model_is_near_bayes():
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from importlib.resources import files

    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = str(files("matrixbayes") / "data" / "urns")
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with open(f"{folder}/training.json") as file:
        prior = mb.DirichletMixture(**json.load(file)["prior"])
    ids = np.array(tokenizer.convert_tokens_to_ids(list(prior.tokens)))
    task = Urns(prior)

    def predictions(tokens):
        begun = np.concatenate([np.full((len(tokens), 1), tokenizer.bos_token_id), ids[tokens]], 1)
        with torch.no_grad():
            logits = model(torch.as_tensor(begun[:, :-1])).logits.double().numpy()
        return logits[:, :, ids]

    found = score(task, predictions, n=50, length=30, kind="logits", rng=0)
    assert found.mean_kl < 0.02
    assert found.mean_entropy_error < 0.05
    assert "H Bayes" in repr(found)
    both = Mixture([task, task], [0.25, 0.75])
    assert repr(both).splitlines()[0].startswith("Mixture over ")
    assert len(repr(both).splitlines()) == 1
    assert "<table" in found._repr_html_()


OUTSIDE = r"sequences\[0, 1\] is 3; tokens are 0 to 2"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda: Urns(MIXTURE).log_predictive([[0, 3]]),
            r"sequences\[0, 1\] is 3; tokens are 0 to 2",
        ),
        (lambda: Urns(MIXTURE).log_predictive([0]), "need \\(n, length\\)"),
        (lambda: Urns(MIXTURE).log_predictive([[0.5]]), "whole numbers"),
        (lambda: Bijection(0), "size is 0"),
        (lambda: Bijection(2).sample(1, 5), "2 pairs have 4 tokens"),
        (lambda: Bijection(2).log_predictive([[2, 0]]), "token 0 of sequence 0 is 2, which"),
        (lambda: Bijection(2).log_predictive([[0, 1]]), "token 1 of sequence 0 is 1, which"),
        (lambda: Bijection(2).log_predictive([[0, 2, 0]]), "token 2 of sequence 0 is 0, which"),
        (lambda: HMM([1.0], [[1.0]], [[0.5, 0.4]]), "emission does not sum to 1"),
        (lambda: HMM([1.0], [1.0], [[1.0]]), "transition must be 2-dimensional"),
        (lambda: HMM([1.0, 0.0], [[1.0]], [[1.0]]), "do not go together"),
        (lambda: HMM([1.0], [[1.0]], [[1.0, 0.0]]).log_predictive([[1]]), "cannot come there"),
        (lambda: Switch(2, flipped=2.0), "flipped is 2.0"),
        (lambda: Switch(0), "n_inputs is 0"),
        (lambda: Switch(2).log_predictive([[2, 0]]), "token 0 of sequence 0 is 2, which"),
        (lambda: Switch(2, flipped=0.0).log_predictive([[0, 3]]), "cannot come there"),
        (lambda: Switch(2.5), "n_inputs is 2.5; it must be a whole number"),
        (lambda: Bijection(2.5), "size is 2.5; it must be a whole number"),
        (lambda: Mixture([]), "at least one task"),
        (lambda: Mixture([Urns(MIXTURE), Switch(2)]), r"\[3, 4\] tokens"),
        (lambda: Mixture([Urns(MIXTURE)], [0.5, 0.5]), "shape \\(2,\\); there are 1 tasks"),
        (lambda: Mixture([CHAIN, CHAIN], [1.5, -0.5]), "not negative"),
        (lambda: Mixture([CHAIN, CHAIN], [0.5, 0.6]), "do not sum to 1"),
        (
            lambda: Mixture([CHAIN, CHAIN]).log_posterior([[0, 3]]),
            r"sequences\[0, 1\] is 3; tokens are 0 to 2",
        ),
        (lambda: score(Urns(MIXTURE), lambda t: t), "the model gave shape"),
        (lambda: score(Urns(MIXTURE), None, np.zeros((0, 3), int)), "nothing to predict"),
        (
            lambda: score(Urns(MIXTURE), Urns(MIXTURE).log_predictive, positions=[64]),
            "from 0 to 63",
        ),
        (
            lambda: score(Urns(MIXTURE), Urns(MIXTURE).log_predictive, positions=[1.7]),
            "type float64; they must be whole numbers",
        ),
        (
            lambda: score(Urns(MIXTURE), Urns(MIXTURE).log_predictive, positions=[True, False]),
            r"a mask of shape \(64,\)",
        ),
        (
            lambda: score(Urns(MIXTURE), Urns(MIXTURE).log_predictive, prefix=[3]),
            "prefix is for a language model",
        ),
    ],
)
def test_wrong_arguments_are_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_the_module_is_public():
    assert mb.windtunnel is windtunnel
    assert dir(windtunnel) == sorted(windtunnel.__all__)
