"""What a study may say: the arithmetic, and the sentence that each kind of model deserves."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from matrixbayes.study import verdict as verdict_module
from matrixbayes.study.incontext import near_priors
from matrixbayes.study.verdict import (
    Findings,
    brief,
    constant_kl,
    from_uniform,
    measured,
    reaction,
    verdict,
)
from matrixbayes.study.verdict_sections import PLAIN

GOOD = Findings(
    n_prompts=100,
    spread=0.2,
    n_sequences=40,
    n_shots=32,
    even=0.8,
    moves=0.2,
    constant=0.5,
    last=0.4,
    elicited=0.01,
    error=0.002,
    gain_error=0.01,
    learner="a Bayesian learner of independent draws (one Dirichlet, A = 4)",
    p_value=0.31,
)


# ---------------------------------------------------------------------------
# The sentence
# ---------------------------------------------------------------------------


def test_a_bayesian_learner_gets_its_sentence() -> None:
    found = verdict(GOOD)
    assert found.kind == "bayesian"
    assert found.warnings == ()
    assert str(found) == found.sentence == (
        "This model behaves like a Bayesian learner of independent draws (one Dirichlet, A = 4), "
        "which leaves 0.01 ± 0.002 of the 0.5 bits a token that a constant leaves (98.0% "
        "explained); it is not distinguishable from a Bayesian learner with this prior, p = 0.31 "
        "(the smallest of the tests, after Holm's correction); what cannot be said: what happens "
        "after more than 32, which were not shown."
    )  # fmt: skip


def test_what_is_nearly_tied_is_open() -> None:
    words = "the rows are not rather of 4 kinds than of 3, as BIC differs by 1.2"
    found = verdict(replace(GOOD, also=("markov",), near=(words,)))
    assert found.open[:2] == ("whether the family is not rather 'markov'", f"whether {words}")


def test_sizes_of_an_elicited_prior_that_are_nearly_tied() -> None:
    prior = SimpleNamespace(n_components=2)
    report = SimpleNamespace(family="iid", priors={"iid": prior})
    tried = [("iid", 1, 0.5), ("markov", 1, 0.011), ("iid", 2, 0.01), ("iid", 3, 0.012)]
    (words,) = near_priors(report, tried, 0.005)
    assert words == (
        "the elicited prior has not rather 3 components than 2, as left-out sequences tell them "
        "apart by 0.002 bits, within ± 0.005"
    )
    assert near_priors(report, tried, 0.001) == near_priors(report, tried, np.nan) == ()


def test_every_kind_of_verdict_has_plain_words() -> None:
    source = Path(verdict_module.__file__).read_text("utf-8")
    kinds = set(
        re.findall(r'"(\w+)"', source[source.index("def _kind") : source.index("def _beh")])
    )
    assert kinds == {*PLAIN}


def test_one_that_fails_a_test_is_told_from_it() -> None:
    found = verdict(replace(GOOD, p_value=0.025, failed=("martingale", "order", "forgetting")))
    assert found.kind == "bayesian"
    assert "is distinguishable from an exact Bayesian learner with this prior" in found.test
    assert found.test.endswith("p = 0.025 (martingale, order and forgetting)")


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"elicited": 0.2}, "roughly", "behaves roughly like"),
        ({"elicited": 0.3, "last": 0.5}, "partly", "only in part like"),
        ({"elicited": 0.49, "last": 0.5}, "constant", "0.49 ± 0.002 of the 0.5 bits a token"),
        ({"elicited": 0.6, "last": 0.5}, "constant", "does not behave like a Bayesian learner"),
        ({"elicited": 0.3, "last": 0.2}, "last", "its last demonstration alone explains as much"),
        ({"elicited": 0.6, "even": 0.01}, "even", "as an untrained network"),
        ({"moves": 1e-5, "even": 0.01}, "even", "as an untrained network"),
        ({"moves": 1e-5}, "still", "behaves like a constant: it does not react"),
        ({"n_sequences": 0}, "unknown", "was shown no demonstrations"),
        ({"elicited": np.nan}, "unknown", "gave no prior"),
        ({"elicited": 0.39, "gain_error": np.nan}, "partly", "leaves 0.39"),
    ],
)
def test_each_kind_has_its_words(changes: dict[str, Any], kind: str, words: str) -> None:
    found = verdict(replace(GOOD, **changes))
    assert found.kind == kind
    assert words in found.behaves
    assert found.sentence.startswith("This model ")
    assert found.open


def test_nothing_moves_and_no_test_finds_anything() -> None:
    found = verdict(replace(GOOD, moves=0.0, p_value=np.nan))
    assert "not distinguishable" in found.test
    assert "outweighs all 32 demonstrations" in found.test
    assert "by 0 bits" in found.behaves
    assert any("does not react to demonstrations" in note for note in found.warnings)


def test_why_there_is_no_p_value_is_said() -> None:
    found = verdict(replace(GOOD, p_value=np.nan, untested="demonstrations have inputs"))
    assert found.test.endswith("is not known (demonstrations have inputs)")
    assert verdict(replace(GOOD, p_value=np.nan)).test.endswith("(no test was made)")


@pytest.mark.parametrize(
    ("changes", "clause", "warning"),
    [
        ({"n_prompts": 2}, "as it is of 2 prompts", "2 prompts are too few"),
        ({"n_prompts": 1}, "as it is of 1 prompt", "1 prompt is too few"),
        ({"n_sequences": 3}, "3 sequences are too few", "3 sequences are too few"),
        ({"n_sequences": 1}, "one sequence is too few", "1 sequence is too few"),
        ({"n_shots": 3}, "only 3 demonstrations", "3 demonstrations in the longest"),
        ({"other": 0.9}, "where 90.0% of its", "90.0% of the probability is outside"),
        ({"loose": ("x is not identified",)}, "one of its parameters", "x is not identified"),
        ({"loose": ("x", "y")}, "some of its parameters", "x; y"),
        ({"misfits": ("worse than a constant",)}, "", "prior: worse than a constant"),
        ({"spread": 1e-6}, "", "the rows are all but equal"),
        ({"even": 0.01, "elicited": 0.6}, "which prior it has", "near-ties"),
        ({"also": ("markov",)}, "rather 'markov'", ""),
        ({"open": ("what inputs say",)}, "what inputs say", ""),
    ],
)
def test_what_cannot_be_said_is_said(changes: dict[str, Any], clause: str, warning: str) -> None:
    found = verdict(replace(GOOD, **changes))
    if clause:
        assert any(clause in text for text in found.open)
        assert found.open.index(next(t for t in found.open if clause in t)) < 2
    if warning:
        assert sum(warning in text for text in found.warnings) == 1


# ---------------------------------------------------------------------------
# The arithmetic
# ---------------------------------------------------------------------------


def bits(p: Any, q: Any) -> float:
    p, q = np.asarray(p), np.asarray(q)
    return float((p * np.log2(p / q)).sum())


def test_a_constant_is_made_by_the_other_sequences() -> None:
    own = [np.log([[0.5, 0.5], [0.8, 0.2]]), np.log([[0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])]
    constant, last = constant_kl([[0], [1, 0]], own)
    np.testing.assert_allclose(constant[0][1], bits([0.8, 0.2], [0.3, 0.7]), rtol=1e-12)
    np.testing.assert_allclose(constant[1][0], bits([0.4, 0.6], [0.65, 0.35]), rtol=1e-12)
    # After a 0 the other sequence said (.3, .7) once; the constant is one more.
    np.testing.assert_allclose(last[0][1], bits([0.8, 0.2], [0.3, 0.7]), rtol=1e-12)
    by_last = [(0.8 + 0.65) / 2, (0.2 + 0.35) / 2]
    np.testing.assert_allclose(last[1][2], bits([0.3, 0.7], by_last), rtol=1e-12)
    alone, _ = constant_kl([[0]], own[:1])
    np.testing.assert_allclose(alone[0][0], bits([0.5, 0.5], [0.65, 0.35]), rtol=1e-12)


def test_a_function_of_the_last_token_is_known_as_one() -> None:
    rng = np.random.default_rng(0)
    table = np.log(rng.dirichlet([1.0, 1.0, 1.0], 4))
    answers = [rng.integers(0, 3, 20).tolist() for _ in range(30)]
    own = [table[[3, *row]] for row in answers]
    constant, last = constant_kl(answers, own)
    assert np.concatenate(last).mean() < 0.05 * np.concatenate(constant).mean()


def test_evenness_counts_spellings() -> None:
    rows = [np.log([[0.5, 0.25, 0.25]])]
    assert from_uniform(rows, [2, 1, 1]) == 0.0
    np.testing.assert_allclose(from_uniform(rows), np.log2(3) - 1.5, rtol=1e-12)


def test_what_is_measured_is_in_bits_and_by_sequence() -> None:
    own = [np.log([[0.5, 0.5], [0.75, 0.25]]), np.log([[0.5, 0.5], [0.25, 0.75]])]
    found = [np.log([[0.5, 0.5], [0.5, 0.5]])] * 2
    fields = measured([[0], [1]], own, found)
    one = bits([0.75, 0.25], [0.5, 0.5]) / 2
    np.testing.assert_allclose(fields["elicited"], one, rtol=1e-12)
    np.testing.assert_allclose(fields["error"], 0.0, atol=1e-12)
    assert (fields["n_sequences"], fields["n_shots"]) == (2, 1)
    assert measured([[0], [1]], own, found, held_out=np.log(2.0))["elicited"] == 1.0
    np.testing.assert_allclose(fields["moves"], reaction(own), rtol=1e-12)
    assert np.isnan(measured([[0]], own[:1], found[:1])["error"])


def test_figures_are_brief() -> None:
    assert [brief(x) for x in (0.0, 1e-17, 0.12345, 1234.0)] == ["0", "0", "0.12", "1.2e+03"]


# ---------------------------------------------------------------------------
# Models that each deserve their sentence
# ---------------------------------------------------------------------------


STORIES = Path(__file__).resolve().parents[3] / "shared" / "models" / "stories260K"
TALES = ["Once upon a time, there was a little", "Lily and Tom went to the", "The sun was so"]


def studied(kind: str, folder: Path, **options: Any) -> Any:
    """The study of a tiny model that was never trained: as it is made, or without a context."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from toy_models import COMMON, CONFIGS, WORDS, cached_model, make_tokenizer
    from transformers import AutoConfig, AutoModelForCausalLM

    from matrixbayes.study import study

    if kind == "wild":
        model = cached_model("gpt2")
    else:
        state = torch.random.get_rng_state()
        torch.manual_seed(0)
        config = AutoConfig.for_model("gpt2", **{**COMMON, **CONFIGS["gpt2"]})
        model = AutoModelForCausalLM.from_config(config).eval()
        if kind == "constant":
            with torch.no_grad():
                model.transformer.ln_f.weight.zero_()
                model.transformer.ln_f.bias.copy_(8.0 * torch.randn(32))
        torch.random.set_rng_state(state)
    model.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    rng = np.random.default_rng(0)
    prompts = [" ".join(rng.choice(WORDS, size=rng.integers(3, 20))) for _ in range(30)]
    return study(folder, prompts=prompts, components=[1], **options)


VOCAB = {"warm": ["red", "orange"], "cold": ["blue"]}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("kind", "verdict_kind", "words"),
    [
        ("untrained", "even", "as an untrained network"),
        ("constant", "still", "it does not react to demonstrations"),
        ("wild", "last", "does not behave like a Bayesian learner"),
    ],
)
def test_what_was_never_trained(kind: str, verdict_kind: str, words: str, tmp_path: Path) -> None:
    found = studied(kind, tmp_path, vocab=VOCAB)
    assert found.verdict.kind == verdict_kind
    assert words in found.verdict.sentence
    assert " ".join(repr(found).split()).startswith(found.verdict.sentence[:300])
    assert any("outside the answers" in note for note in found.notes)
    if kind == "constant":
        assert found.card is None
        assert "(p = 1)" in found.verdict.sentence
        assert any("does not react" in note for note in found.notes)
    else:
        assert "is distinguishable" in found.verdict.sentence
    if kind == "untrained":
        assert any("near-ties" in note for note in found.notes)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_two_prompts(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from matrixbayes.study import study

    found = study(prompts=["red red orange", "white blue"], components=[1], vocab=VOCAB)
    assert "as it is of 2 prompts" in found.verdict.sentence
    assert any("2 prompts are too few" in note for note in found.notes)
    # The model has learned from draws, and goes on so after either prompt.
    assert found.verdict.kind in ("bayesian", "roughly")
    assert found.settings["demonstrations"].startswith("written by the model after")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.skipif(not STORIES.is_dir(), reason="stories260K is not beside the project")
def test_a_model_of_stories() -> None:
    pytest.importorskip("transformers")
    from matrixbayes.study import study

    found = study(STORIES, prompts=TALES, components=[1])
    assert found.verdict.kind in ("constant", "last", "partly", "roughly")
    assert "is distinguishable" in found.verdict.sentence
    assert any("outside the answers" in note for note in found.notes)


@pytest.mark.parametrize(
    ("family", "words"),
    [
        ("markov(last)", "a Bayesian learner of Markov chains with a prior for each last token"),
        ("markov(repeat)", "a Bayesian learner of Markov chains that tell repetition from change"),
        ("tree+balance", "sources of variable order or sources that balance their tokens"),
        ("iid+markov", "or Markov chains (one Dirichlet, A = "),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_family_has_words(family: str, words: str) -> None:
    from matrixbayes.elicitation import elicit_prior
    from matrixbayes.study.incontext import learner

    histories = [[], [0], [1], [0, 1], [1, 1], [0, 0, 1]]
    rows = [[0.5, 0.5], [0.7, 0.3], [0.4, 0.6], [0.5, 0.5], [0.2, 0.8], [0.6, 0.4]]
    assert words in learner(elicit_prior(histories, rows, kind="probs", family=family, rng=0))
