"""Flipped and unrelated labels: what the prompts hold, and exact learners read off their curves."""

from __future__ import annotations

import json
from collections import Counter
from importlib.resources import files

import numpy as np
import pytest
from numpy.testing import assert_allclose

import matrixbayes as mb
from matrixbayes import windtunnel
from matrixbayes.icl import flipped_label_design, unrelated_label_design
from matrixbayes.icl.prompts import Template

TEXTS = [f"{kind} {i}" for i in range(30) for kind in ("nice", "awful")]
LABELS = ["positive", "negative"] * 30
MEANS = dict(zip(TEXTS, LABELS, strict=True))
OTHER = {"positive": "negative", "negative": "positive"}
SHOTS = (0, 1, 2, 3, 5, 8, 13, 20, 40)


def rows_of(design, p):
    """Rows over the words, and one column more, that give the label by the rule `p` of them."""
    by_rule = np.array(design.shown)[:, np.newaxis] == design.words
    share = np.where(by_rule, p[:, np.newaxis], (1 - p[:, np.newaxis]) / (len(design.words) - 1))
    rows = np.column_stack([0.9 * share, np.full(len(share), 0.1)])
    return mb.NextTokenRows(np.log(rows), tokens=(*design.words, "<other>"))


def test_flipped_prompts_hold_what_they_say() -> None:
    design = flipped_label_design(TEXTS, LABELS, shots=SHOTS, n_sequences=12, rng=0)
    assert len(design) == 12 * len(SHOTS)
    assert design.words == ("positive", "negative")
    assert design.vocab == {"positive": " positive", "negative": " negative"}
    assert design.followed.tolist() == design.shots.tolist() == list(SHOTS) * 12
    for i, prompt in enumerate(design.prompts):
        blocks = [f"Input: {t}\nLabel: {w}" for t, w in design.demonstrations[i]]
        assert prompt == "\n\n".join([*blocks, f"Input: {design.queries[i]}\nLabel:"])
        assert all(word == OTHER[MEANS[text]] for text, word in design.demonstrations[i])
        assert MEANS[design.queries[i]] == design.semantic[i] == OTHER[design.shown[i]]
        shown = [text for text, _ in design.demonstrations[i]]
        assert len({*shown, design.queries[i]}) == len(shown) + 1
        counts = Counter(MEANS[text] for text in shown)
        assert abs(counts["positive"] - counts["negative"]) <= 1
    by_sequence = [design.semantic[i] for i in range(0, len(design), len(SHOTS))]
    assert Counter(by_sequence) == {"positive": 6, "negative": 6}
    assert len(set(design.queries)) == 12
    # A sequence shows the first of its demonstrations.
    longest = design.demonstrations[len(SHOTS) - 1]
    assert all(longest[:n] == design.demonstrations[j] for j, n in enumerate(SHOTS))


def test_a_seed_makes_the_prompts() -> None:
    first, same, other = (flipped_label_design(TEXTS, LABELS, rng=s).prompts for s in (1, 1, 2))
    assert first == same != other


def test_a_fraction_is_flipped() -> None:
    fractions = (0.0, 0.25, 0.5, 1.0)
    design = flipped_label_design(
        TEXTS, LABELS, shots=(0, 1, 4, 10), fraction=fractions, n_sequences=8, rng=0
    )
    found = Counter(zip(design.shots.tolist(), design.followed.tolist(), strict=True))
    pairs = [(0, 0), (1, 0), (1, 1), (4, 0), (4, 1), (4, 2), (4, 4)]
    pairs += [(10, 0), (10, 3), (10, 5), (10, 10)]
    assert found == dict.fromkeys(pairs, 8)
    places = set()
    for pairs, k in zip(design.demonstrations, design.followed, strict=True):
        flipped = [i for i, (text, word) in enumerate(pairs) if word != MEANS[text]]
        assert len(flipped) == k
        places |= {flipped[0]} if len(pairs) == 4 and k == 1 else set()
    assert len(places) > 1


@pytest.mark.parametrize("shape", [int, np.int64, np.array])
def test_a_single_number_is_one_value(shape) -> None:
    lists = {"shots": [4], "fraction": [0.5], "n_sequences": 3, "rng": 0}
    single = lists | {"shots": shape(4), "fraction": np.array(0.5)}
    one, same = (flipped_label_design(TEXTS, LABELS, **given) for given in (single, lists))
    assert one.prompts == same.prompts
    assert set(one.followed) == {2}


def test_unrelated_words_stand_for_each_label_equally_often() -> None:
    design = unrelated_label_design(TEXTS, LABELS, shots=(0, 4), n_sequences=6, rng=0)
    assert design.words == ("foo", "bar")
    assert len(design) == 6 * 2 * 2
    assert Counter(zip(design.semantic, design.shown, strict=True)) == {
        (label, word): 6 for label in OTHER for word in design.words
    }
    for one, two in zip(range(0, len(design), 2), range(1, len(design), 2), strict=True):
        assert design.queries[one] == design.queries[two]
        assert design.shown[one] != design.shown[two]
        (a, b) = design.demonstrations[one], design.demonstrations[two]
        assert [t for t, _ in a] == [t for t, _ in b]
        assert all(v != w for (_, v), (_, w) in zip(a, b, strict=True))
        assert all((w == design.shown[one]) == (MEANS[t] == design.semantic[one]) for t, w in a)
    three = unrelated_label_design(
        ["a", "b", "c"] * 4, ["x", "y", "z"] * 4, words=["u", "v", "w"], shots=[3], rng=0
    )
    assert set(Counter(three.shown).values()) == {20}
    for pairs in three.demonstrations:
        assert {word for _, word in pairs} == {"u", "v", "w"}


@pytest.mark.parametrize("fraction", [1.0, 0.5, (0.0, 0.5, 1.0)])
def test_exact_bayes_gives_its_prior_back(fraction) -> None:
    a, m = 10.0, 0.8
    design = flipped_label_design(TEXTS, LABELS, shots=SHOTS, fraction=fraction, rng=0)
    p = (a * (1 - m) + design.followed) / (a + design.shots)
    found = design.fit(rows_of(design, p), n_boot=4, rng=0)
    curve = found.dirichlet
    assert found.best is curve
    assert_allclose([curve.concentration, curve.mean], [a, m], rtol=1e-4)
    assert_allclose(curve.crossover, a * (2 * m - 1), rtol=1e-4)
    assert_allclose(curve.intervals["crossover"], a * (2 * m - 1), rtol=1e-3)
    assert_allclose(found.probabilities, p, rtol=1e-6)


def test_two_rules_are_a_switch() -> None:
    # windtunnel.Switch, whose inputs are even and odd numbers: exact Bayes over two rules.
    inputs = [str(j % 4) for j in range(64)]
    labels = ["even" if j % 2 == 0 else "odd" for j in range(64)]
    task = windtunnel.Switch(4, flipped=0.01, noise=0.2)
    design = flipped_label_design(
        inputs, labels, shots=range(12), template="{input} {label}", separator=" ", rng=0
    )
    ids = {**{str(j): j for j in range(4)}, "even": 4, "odd": 5}
    rows = []
    for prompt in design.prompts:
        tokens = [ids[word] for word in prompt.split()]
        rows.append(task.log_predictive([[*tokens, 4]])[0, -1, 4:])
    odds = 4.0**design.shots / 99.0  # each flipped label is four times likelier under that rule
    expected = (0.8 * odds + 0.2) / (1.0 + odds)
    assert_allclose(design.probabilities(np.array(rows), kind="log_probs"), expected, rtol=1e-10)
    found = design.fit(np.array(rows), kind="log_probs", n_boot=0, rng=0)
    assert found.best is found.switch
    assert_allclose(found.switch.crossover, np.log(99.0) / np.log(4.0), rtol=1e-3)


def test_unrelated_labels_start_at_one_half() -> None:
    a = 6.0
    design = unrelated_label_design(TEXTS, LABELS, shots=SHOTS, rng=0)
    p = (a / 2 + design.shots) / (a + design.shots)
    # What the model thinks of the word "foo" itself cancels over who means what.
    rng = np.random.default_rng(0)
    bias = np.where(np.array(design.shown) == "foo", 0.1, -0.1) * (design.shots == 0)
    rows = rows_of(design, p + bias)
    curve = design.curve(rows)
    assert curve.shots.tolist() == curve.followed.tolist() == list(SHOTS)
    assert_allclose(curve.probability, (a / 2 + curve.shots) / (a + curve.shots), rtol=1e-6)
    assert_allclose(curve.standard_error, 0.0, atol=1e-7)
    found = design.fit(rows_of(design, p), n_boot=0, rng=rng).dirichlet
    assert_allclose([found.concentration, found.mean], [a, 0.5], rtol=1e-4)
    assert_allclose(found.crossover, 0.0, atol=1e-3)


def test_a_curve_is_a_mean_over_sequences() -> None:
    design = flipped_label_design(TEXTS, LABELS, shots=(0, 3), n_sequences=5, rng=0)
    own = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    p = own[design.sequence] + 0.1 * (design.shots == 3)
    curve = design.curve(rows_of(design, p))
    assert_allclose(curve.probability, [0.3, 0.4], rtol=1e-6)
    assert_allclose(curve.standard_error, own.std(ddof=1) / np.sqrt(5), rtol=1e-5)
    low, high = design.fit(rows_of(design, p), n_boot=100, rng=0).dirichlet.intervals["mean"]
    assert_allclose(high - low, 2 * 1.645 * curve.standard_error[0], rtol=0.35)
    alone = flipped_label_design(TEXTS, LABELS, shots=(0, 3), n_sequences=1, rng=0)
    rows = rows_of(alone, np.array([0.2, 0.4]))
    assert np.isnan(alone.curve(rows).standard_error).all()
    assert alone.fit(rows, rng=0).dirichlet.intervals == {}  # a sequence has no others to vary with


def test_words_may_be_too_rare_for_exp() -> None:
    design = flipped_label_design(TEXTS, LABELS, shots=[0], n_sequences=2, rng=0)
    rare = mb.NextTokenRows(
        [[-800.0, -801.0, 0.0], [-801.0, -800.0, 0.0]], tokens=("positive", "negative", "else")
    )
    odds = np.where(np.array(design.shown) == "positive", 1.0, -1.0) * [1.0, -1.0]
    assert_allclose(design.probabilities(rare), 1.0 / (1.0 + np.exp(-odds)), rtol=1e-5)


def test_queries_of_ones_own() -> None:
    asked = [("so so", "positive"), ("meh", "negative"), ("oh", "negative")]
    design = flipped_label_design(
        TEXTS, LABELS, shots=[2], n_sequences=4, queries=asked, template="{input}={label}.", rng=0
    )
    assert design.queries == ("so so", "meh", "oh", "so so")
    assert design.prompts[0].endswith(".\n\nso so=")
    assert design.vocab["positive"] == "positive"
    same = flipped_label_design(TEXTS, LABELS, shots=[6], balanced=False, rng=0)
    for pairs, word in zip(same.demonstrations, same.shown, strict=True):
        assert {w for _, w in pairs} == {word}


def test_templates_do_not_look_into_texts() -> None:
    form = Template("{input} -> {label};", "|")
    assert form.prompt([("{label}", "{input}")], "{x}") == "{label} -> {input};|{x} ->"
    assert form.space == " "


def test_what_is_printed() -> None:
    design = flipped_label_design(TEXTS, LABELS, n_sequences=3, rng=0)
    assert repr(design).startswith("LabelDesign: 18 prompts of 3 sequences: 'positive', 'negative'")
    assert len(repr(design).splitlines()) == 10
    assert "<table" in design._repr_html_()


def test_a_data_frame() -> None:
    pytest.importorskip("pandas")
    design = flipped_label_design(TEXTS, LABELS, n_sequences=3, rng=0)
    frame = design.to_pandas()
    assert frame["prompt"].tolist() == list(design.prompts)
    names = ["sequence", "shots", "followed", "query", "semantic", "shown", "prompt"]
    assert list(frame.columns) == names


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_a_model_answers_the_prompts(kind: str) -> None:
    pytest.importorskip("transformers")
    from toy_models import cached_model, make_tokenizer

    inputs, labels = ["red", "orange", "blue", "green"] * 6, ["warm", "warm", "cold", "cold"] * 6
    form = {"template": "{input} {label}", "separator": " ", "shots": (0, 1, 4), "rng": 0}
    design = unrelated_label_design(inputs, labels, words=["white", "black"], **form)
    model, tokenizer = cached_model(kind), make_tokenizer()
    rows = mb.collect(model, tokenizer, design.prompts, vocab=design.vocab)
    curve = design.curve(rows)
    assert_allclose(curve.probability[0], 0.5, atol=1e-6)
    assert ((curve.probability > 0.0) & (curve.probability < 1.0)).all()
    shown = [rows.tokens.index(word) for word in design.shown]
    both = rows.probs()[:, [rows.tokens.index(word) for word in design.words]].sum(axis=1)
    expected = rows.probs()[np.arange(len(rows)), shown] / both
    assert_allclose(design.probabilities(rows), expected, rtol=1e-5)


def test_the_bundled_model_counts_labels() -> None:
    # To an urn, inputs and labels are all draws: labels of one kind are learnt, a rule is not.
    transformers = pytest.importorskip("transformers")
    folder = files("matrixbayes") / "data" / "urns"
    prior = json.loads((folder / "training.json").read_text(encoding="utf-8"))["prior"]
    truth = mb.DirichletMixture(prior["weights"], prior["alpha"], tokens=prior["tokens"])
    urns = transformers.AutoModelForCausalLM.from_pretrained(str(folder)).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
    inputs, labels = ["red", "orange", "white", "purple"] * 9, ["red", "red", "white", "white"] * 9
    form = {"template": "{input} {label}", "separator": " ", "shots": (0, 2, 8, 16), "rng": 0}
    ends = []
    for balanced in (True, False):
        design = flipped_label_design(inputs, labels, balanced=balanced, **form)
        rows = mb.collect(urns, tokenizer, design.prompts, vocab=design.vocab)
        counts = [[prompt.split().count(w) for w in truth.tokens] for prompt in design.prompts]
        exact = mb.NextTokenRows(np.log(truth.predictive(counts)), tokens=truth.tokens)
        got, want = design.curve(rows), design.curve(exact)
        assert_allclose(got.probability, want.probability, atol=0.03)
        ends.append(got.probability[-1])
    assert ends[0] < 0.5 < ends[1]


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"inputs": TEXTS[:3]}, ValueError, "3 inputs, but 60 labels"),
        ({"inputs": "nice"}, TypeError, "inputs is one string"),
        ({"inputs": [], "labels": []}, ValueError, "inputs is empty"),
        ({"labels": [1] * 60}, TypeError, r"labels\[0\] is 1"),
        ({"labels": ["same"] * 60}, ValueError, "two different ones are needed"),
        ({"shots": [-1]}, ValueError, "shots is -1"),
        ({"shots": [0.5]}, TypeError, "shots is 0.5"),
        ({"shots": []}, ValueError, "shots is empty"),
        ({"shots": None}, TypeError, "shots is None"),
        ({"shots": "4"}, TypeError, "shots is '4'"),
        ({"shots": [60]}, ValueError, "take 30 inputs of each label and a query; there are 30"),
        ({"n_sequences": 0}, ValueError, "n_sequences is 0"),
        ({"queries": []}, ValueError, "queries are empty"),
        ({"queries": 3}, TypeError, "queries is 3"),
        ({"queries": [3]}, TypeError, r"queries\[0\] is 3"),
        ({"balanced": "no"}, TypeError, "balanced is 'no'; it must be True or False"),
        ({"inputs": None}, TypeError, "inputs is None"),
        ({"labels": 3}, TypeError, "labels is 3"),
        ({"queries": ["so so"]}, TypeError, r"queries\[0\]"),
        ({"queries": [("so so", "neutral")]}, ValueError, "label 'neutral'; labels are 'positive'"),
        ({"template": "{label} of {input}"}, ValueError, "{input} and then {label}"),
        ({"template": "{input}"}, ValueError, "once each"),
        ({"separator": None}, TypeError, "separator is None"),
    ],
)
def test_wrong_designs_are_explained(change, error, says: str) -> None:
    arguments = {"inputs": TEXTS, "labels": LABELS} | change
    for design in (flipped_label_design, unrelated_label_design):
        with pytest.raises(error, match=says):
            design(**arguments)


def test_wrong_options_and_rows_are_explained() -> None:
    for fraction, says in ((1.5, "fraction is 1.5"), (np.nan, "is nan"), ((), "is empty")):
        with pytest.raises(ValueError, match=says):
            flipped_label_design(TEXTS, LABELS, fraction=fraction)
    for fraction in ("1", None, True, [0.5, "1"]):
        with pytest.raises(TypeError, match=r"fraction is .*; it must be a number from"):
            flipped_label_design(TEXTS, LABELS, fraction=fraction)
    for words in (["foo"], ["foo", "foo"]):
        with pytest.raises(ValueError, match="2 different ones, for 'positive', 'negative'"):
            unrelated_label_design(TEXTS, LABELS, words=words)
    with pytest.raises(TypeError, match=r"words\[1\] is 2"):
        unrelated_label_design(TEXTS, LABELS, words=["foo", 2])
    with pytest.raises(TypeError, match="words is one string"):
        unrelated_label_design(TEXTS, LABELS, words="fo")
    design = flipped_label_design(TEXTS, LABELS, shots=(0, 1), n_sequences=1, rng=0)
    with pytest.raises(ValueError, match="1 rows, but 2 prompts"):
        design.curve([[0.5, 0.5]], kind="probs")
    with pytest.raises(ValueError, match="3 columns without names; they need 2"):
        design.fit([[0.5, 0.25, 0.25]] * 2, kind="probs")
    with pytest.raises(ValueError, match="kind"):
        design.fit([[0.5, 0.5]] * 2)
    named = mb.NextTokenRows(np.log([[0.5, 0.5]] * 2), tokens=("positive", "else"))
    with pytest.raises(ValueError, match="no column 'negative'; collect them with vocab"):
        design.curve(named)
    names = ("positive", "negative", "else")
    nothing = mb.NextTokenRows(
        [[np.log(0.5), np.log(0.5), -np.inf], [-np.inf, -np.inf, 0.0]], tokens=names
    )
    with pytest.raises(ValueError, match="row 1 gives every one"):
        design.curve(nothing)
