"""Texts as evidence: closed forms, exact Bayes as the model, and who may be followed."""

from __future__ import annotations

import json
from importlib.resources import files
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import digamma

import matrixbayes as mb
from matrixbayes import windtunnel
from matrixbayes.elicitation import elicit_prior
from matrixbayes.icl import learning_path

PRIOR = mb.DirichletMixture(
    [0.6, 0.4], [[5.0, 1.0, 1.0], [0.5, 2.0, 3.0]], tokens=("red", "green", "blue")
)
TEXT = [0, 0, 2, 0, 1, 2, 2, 2]
FLAT = windtunnel.Urns(mb.DirichletMixture([1.0], [[1.0, 1.0, 1.0]])).log_predictive


class Sampler:
    """Exact Bayes as a model that samples."""

    n_tokens = 3

    def __call__(self, sequences):
        return windtunnel.Urns(PRIOR).log_predictive(sequences)

    def sample(self, n, length, *, history=(), rng=None):
        rng = np.random.default_rng(rng)
        tokens = list(history)
        for _ in range(length):
            counts = np.bincount(np.array(tokens, dtype=int), minlength=3)
            tokens.append(int(rng.choice(3, p=PRIOR.predictive(counts))))
        return np.tile(tokens[len(tokens) - length :], (n, 1))


def test_one_dirichlet_against_formulas() -> None:
    alpha = np.array([2.0, 1.0, 3.0])
    path = learning_path(mb.DirichletMixture([1.0], [alpha]), FLAT, TEXT)
    assert len(path) == len(TEXT)
    assert path.names is None
    for t, token in enumerate(TEXT):
        counts = np.bincount(TEXT[:t], minlength=3)
        p, q = (alpha + counts) / (6 + t), (1 + counts) / (3 + t)
        assert_allclose(path.predictive[t], p, rtol=1e-13)
        assert_allclose(path.log_probs[t], np.log(q), rtol=1e-12)
        assert_allclose(path.kl[t], q @ np.log(q / p), rtol=1e-9, atol=1e-15)
        assert_allclose(path.predictive_probability[t], p[token], rtol=1e-13)
        assert_allclose(path.model_probability[t], q[token], rtol=1e-12)
        aleatoric = digamma(7 + t) - p @ digamma(alpha + counts + 1)
        assert_allclose(path.total[t], -p @ np.log(p), rtol=1e-12)
        assert_allclose(path.aleatoric[t], aleatoric, rtol=1e-12)
    assert_allclose(path.aleatoric + path.epistemic, path.total, rtol=1e-12)
    assert_allclose(path.mean_kl, path.kl.mean())


def test_exact_bayes_is_followed_exactly_and_history_is_seen() -> None:
    model = Sampler()
    path = learning_path(PRIOR, model, TEXT)
    assert_allclose(path.kl, 0.0, atol=1e-14)
    later = learning_path(PRIOR, model, TEXT[3:], history=TEXT[:3])
    assert later.history.tolist() == TEXT[:3]
    for name in ("log_probs", "predictive", "kl", "total", "aleatoric", "epistemic"):
        assert_allclose(getattr(later, name), getattr(path, name)[3:], rtol=1e-12, atol=1e-15)
    named = learning_path(PRIOR, model, ["red", "blue"], history=["green"])
    assert (named.tokens.tolist(), named.history.tolist()) == ([0, 2], [1])


def test_a_model_may_write_the_text() -> None:
    first, again = (learning_path(PRIOR, Sampler(), 30, history=[1, 1], rng=3) for _ in range(2))
    assert first.tokens.shape == (30,)
    assert first.tokens.tolist() == again.tokens.tolist()
    assert first.tokens.tolist() == Sampler().sample(1, 30, history=[1, 1], rng=3)[0].tolist()
    assert_allclose(first.kl, 0.0, atol=1e-14)


def test_what_is_not_known_falls_as_a_text_is_read() -> None:
    falls = [learning_path(PRIOR, Sampler(), 40, rng=seed).epistemic for seed in range(20)]
    mean = np.mean(falls, axis=0)  # the mutual information of token and row given those before
    assert mean[-1] < 0.2 * mean[0]
    assert (np.diff(mean[::8]) < 0.0).all()


def test_reports_are_followed_by_their_own_posterior() -> None:
    rng = np.random.default_rng(0)
    histories = [rng.integers(0, 3, n).tolist() for n in rng.integers(0, 12, 80)]
    counts = np.array([np.bincount(np.array(h, dtype=int), minlength=3) for h in histories])
    options = {"kind": "probs", "family": "iid", "n_components": 2, "rng": 0}
    found = elicit_prior(histories, PRIOR.predictive(counts), **options)
    path, bare = (learning_path(prior, FLAT, TEXT) for prior in (found, found.prior))
    assert_allclose(path.predictive, bare.predictive, rtol=1e-12)
    assert_allclose(path.epistemic, bare.epistemic, rtol=1e-12)


def test_a_chain_is_followed_row_by_row() -> None:
    prior = mb.DirichletMixture([1.0], [[0.5, 1.0, 2.0]])
    sequences = windtunnel.MarkovChains(prior).sample(30, 12, rng=0)
    histories = [sequence[:t] for sequence in sequences for t in range(1, 12)]
    model = np.exp(windtunnel.MarkovChains(prior).log_predictive(sequences))[:, 1:].reshape(-1, 3)
    found = elicit_prior(histories, model, kind="probs", family="markov", rng=0)
    path = learning_path(found, FLAT, TEXT)
    after = prior.posterior([1, 0, 1])  # before the last token, 2 was followed by 0 and 2
    assert_allclose(path.predictive[-1], after.mean(), rtol=1e-4)
    assert_allclose(path.total[-1], after.uncertainty().total, rtol=1e-4)
    assert_allclose(path.predictive[0], prior.mean(), rtol=1e-4)


def test_either_family_has_its_own_uncertainty() -> None:
    """Which of the two holds is uncertain too: the parts still add up."""
    both = windtunnel.MarkovChains(mb.DirichletMixture([1.0], [[0.5, 0.5, 0.5]]))
    sequences = both.sample(30, 12, rng=1)
    histories = [sequence[:t] for sequence in sequences for t in range(1, 12)]
    chain = np.exp(both.log_predictive(sequences))[:, 1:].reshape(-1, 3)
    urn = np.exp(FLAT(sequences))[:, 1:].reshape(-1, 3)
    found = elicit_prior(
        histories, 0.5 * chain + 0.5 * urn, kind="probs", family="iid+markov", rng=0
    )
    path = learning_path(found, FLAT, TEXT)
    assert_allclose(path.predictive, found.predict([TEXT[:t] for t in range(len(TEXT))]))
    assert_allclose(path.aleatoric + path.epistemic, path.total, rtol=1e-10)
    entropy = -np.sum(path.predictive * np.log(path.predictive), axis=1)
    assert_allclose(path.total, entropy, rtol=1e-10)


def test_kinds_and_certain_models() -> None:
    path = learning_path(PRIOR, FLAT, TEXT)
    for kind, change in (("probs", np.exp), ("logits", lambda rows: rows + 3.0)):
        other = learning_path(PRIOR, lambda x, f=change: f(FLAT(x)), TEXT, kind=kind)
        assert_allclose(other.log_probs, path.log_probs, atol=1e-12)
    sure = learning_path(PRIOR, lambda x: np.eye(3)[x], [0, 2], kind="probs")
    assert_allclose(sure.kl, -np.log(sure.predictive_probability), rtol=1e-12)
    assert_allclose(sure.model_probability, 1.0)


def test_what_is_printed() -> None:
    path = learning_path(PRIOR, FLAT, TEXT * 3)
    text = repr(path)
    assert text.startswith("LearningPath: 24 tokens after 0, mean KL(model || predictive) ")
    assert len(text.splitlines()) <= 10
    assert "red" in text
    assert "..." in text
    assert path._repr_html_().count("<tr>") == 25
    one = learning_path(mb.DirichletMixture([1.0], [[1.0, 1.0, 1.0]]), FLAT, [1], history=[0])
    assert repr(one).startswith("LearningPath: 1 token after 1,")


def test_a_data_frame() -> None:
    pytest.importorskip("pandas")
    frame = learning_path(PRIOR, FLAT, TEXT).to_pandas()
    assert frame["token"].tolist()[:3] == ["red", "red", "blue"]
    names = ["token", "model", "predictive", "kl", "total", "aleatoric", "epistemic"]
    assert list(frame.columns) == names


def test_the_bundled_model_learns_by_its_prior() -> None:
    transformers = pytest.importorskip("transformers")
    folder = files("matrixbayes") / "data" / "urns"
    prior = json.loads((folder / "training.json").read_text(encoding="utf-8"))["prior"]
    words = prior["tokens"]
    urns = transformers.AutoModelForCausalLM.from_pretrained(str(folder)).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))

    def model(sequences):
        prompts = [" ".join(words[j] for j in row) for row in sequences]
        rows = mb.collect(urns, tokenizer, prompts, positions="all", vocab=words)
        probs = rows.probs()[:, : len(words)].reshape(len(prompts), -1, len(words))
        return (probs / probs.sum(axis=2, keepdims=True))[:, : sequences.shape[1]]

    truth = mb.DirichletMixture(prior["weights"], prior["alpha"], tokens=words)
    weak = mb.DirichletMixture([1.0], [[1.0] * 8], tokens=words)
    text = ["black", "white", "white", "purple", "white", "black", "white", "white"] * 3
    own, other = (learning_path(p, model, text, kind="probs") for p in (truth, weak))
    assert own.mean_kl < 0.01
    assert other.mean_kl > 5 * own.mean_kl


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((PRIOR, FLAT, []), ValueError, "no tokens to follow"),
        ((PRIOR, FLAT, [0, 3]), ValueError, r"tokens\[1\] is column 3"),
        ((PRIOR, FLAT, [0, -1]), ValueError, r"tokens\[1\] is column -1"),
        ((PRIOR, FLAT, ["red", "rad"]), ValueError, r"tokens\[1\]: 'rad' .* mean 'red'"),
        ((PRIOR, FLAT, [0.5]), TypeError, r"tokens\[0\] is 0.5"),
        ((PRIOR, FLAT, "red"), TypeError, r"write \['red'\]"),
        ((PRIOR, FLAT, None), TypeError, "how many to sample"),
        ((PRIOR, FLAT, True), TypeError, "tokens is True"),
        ((PRIOR, FLAT, 0), ValueError, "sample one at least"),
        ((PRIOR, FLAT, 5), TypeError, "no method sample"),
        ((PRIOR, lambda x: np.zeros((1, 2, 3)), [0]), ValueError, r"\(1, 2, 3\); .* \(1, 1, 3\)"),
        ((None, FLAT, [0]), TypeError, "found is NoneType"),
        ((SimpleNamespace(prior=PRIOR), FLAT, [0]), TypeError, "found is SimpleNamespace"),
    ],
)
def test_wrong_arguments_are_explained(arguments, error, says: str) -> None:
    with pytest.raises(error, match=says):
        learning_path(*arguments)


def test_wrong_models_and_options_are_explained() -> None:
    with pytest.raises(ValueError, match="kind"):
        learning_path(PRIOR, FLAT, [0], kind="scores")
    with pytest.raises(ValueError, match=r"history\[0\] is column 7"):
        learning_path(PRIOR, FLAT, [0], history=[7])
    for history in (None, 3):
        with pytest.raises(TypeError, match=f"history is {history}; give a sequence of tokens"):
            learning_path(PRIOR, FLAT, [0], history=history)
    wide = Sampler()
    wide.n_tokens = 4
    with pytest.raises(ValueError, match="over 4 tokens and the prior over 3"):
        learning_path(PRIOR, wide, [0])
    short = Sampler()
    short.sample = lambda n, length, **options: np.zeros((n, length - 1), dtype=int)
    with pytest.raises(ValueError, match=r"gave shape \(1, 4\)"):
        learning_path(PRIOR, short, 5)
    short.sample = lambda n, length, **options: np.full((n, length), 3)
    with pytest.raises(ValueError, match="is column 3"):
        learning_path(PRIOR, short, 5)
