"""A text with each token coloured: the numbers, the forms, and what is refused."""

from __future__ import annotations

import json
import math
from html.parser import HTMLParser
from importlib.resources import files

import numpy as np
import pytest

import matrixbayes as mb
from matrixbayes.reading.forms import LEVELS, scale_of
from matrixbayes.reading.pieces import characters, columns_of, visible
from matrixbayes.windtunnel import Urns

pytest.importorskip("pandas")  # by its frames the numbers are read

WORDS = ("red", "blue", "green")
TABLE = np.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125], [0.2, 0.2, 0.6], [0.1, 0.8, 0.1]])
TEXT = [0, 1, 1, 2]  # red blue blue green; row i follows token i


def along(text=TEXT, table=TABLE, tokens=WORDS, **about) -> mb.NextTokenRows:
    """Rows after each token of a text."""
    ids = [t for i in range(len(text)) for t in text[: i + 1]]
    offsets = np.cumsum([0, *range(1, len(text) + 1)])
    return mb.NextTokenRows(
        np.log(table[: len(text)]), tokens=tokens, input_ids=ids, offsets=offsets, **about
    )


class Reader(HTMLParser):
    """Text, tags and attributes of a piece of HTML."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.text, self.titles, self.tints = [], "", [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.text += "\n" * (tag == "br")
        about = dict(attrs)
        assert set(about) <= {"style", "title", "dir"}
        if "title" in about:
            self.titles.append(about["title"])
            self.tints.append("background-color" in about.get("style", ""))

    def handle_data(self, data: str) -> None:
        self.text += data


# ---------------------------------------------------------------------------
# The numbers
# ---------------------------------------------------------------------------


def test_surprise_entropy_and_rank_are_those_of_the_rows() -> None:
    frame = mb.show_tokens(along()).to_pandas()
    assert list(frame["token"]) == ["red", "blue", "blue", "green"]
    np.testing.assert_allclose(frame["surprise"], [np.nan, 2.0, -math.log2(0.75), -math.log2(0.6)])
    entropy = -(TABLE * np.log2(TABLE)).sum(axis=1)
    np.testing.assert_allclose(frame["entropy"], [np.nan, *entropy[:3]])
    np.testing.assert_allclose(frame["rank"], [np.nan, 2, 1, 1])  # a tie has the better rank
    assert frame["top"][1].startswith("'red' 50.0%, ")
    assert "posterior" not in frame


def test_a_prior_is_updated_by_every_token_before() -> None:
    prior = mb.DirichletMixture([1.0], [[2.0, 1.0, 1.0]], tokens=WORDS)
    view = mb.show_tokens(along(), prior, "kl")
    frame = view.to_pandas()
    means = np.array([[3, 1, 1], [3, 2, 1], [3, 3, 1]]) / np.array([[5], [6], [7]])
    np.testing.assert_allclose(frame["posterior"], [np.nan, *means[range(3), TEXT[1:]]])
    kl = (TABLE[:3] * np.log2(TABLE[:3] / means)).sum(axis=1)
    np.testing.assert_allclose(view.values, [np.nan, *kl])
    np.testing.assert_allclose(frame["concentration"], [np.nan, 5.0, 6.0, 7.0])
    many = mb.DirichletMixture([0.5, 0.5], [[9.0, 1.0, 1.0], [1.0, 9.0, 1.0]])
    path = mb.posterior_path(many, TEXT)
    found = mb.show_tokens(along(), many, "concentration").values
    np.testing.assert_allclose(found[1:], path.concentration()[1:4])


def test_every_form_of_posterior_says_the_same() -> None:
    prior = mb.DirichletMixture([0.3, 0.7], [[9.0, 1.0, 1.0], [1.0, 9.0, 3.0]], tokens=WORDS)
    rows = along()
    expected = mb.show_tokens(rows, prior).to_pandas()
    model = Urns(prior).log_predictive
    means = mb.NextTokenRows(model(np.array([[*TEXT, 0]]))[0, 1:])
    others = {
        "the whole text": mb.posterior_path(prior, TEXT),
        "predictor": model,
        "rows": means,
        "learning": mb.learning_path(prior, model, TEXT[1:], history=TEXT[:1]),
        "another order": mb.DirichletMixture(
            prior.weights, prior.alpha[:, ::-1], tokens=WORDS[::-1]
        ),
    }
    for name, posterior in others.items():
        found = mb.show_tokens(rows, posterior).to_pandas()
        for column in ("posterior", "kl"):
            np.testing.assert_allclose(
                found[column], expected[column], rtol=1e-9, atol=1e-12, err_msg=name
            )


def test_a_path_along_the_tokens_that_have_rows() -> None:
    prior = mb.DirichletMixture([1.0], [[2.0, 1.0, 1.0]])
    path = mb.posterior_path(prior, TEXT[1:])
    frame = mb.show_tokens(along(), path, "concentration").to_pandas()
    np.testing.assert_allclose(frame["concentration"], [np.nan, 4.0, 5.0, 6.0])
    np.testing.assert_allclose(frame["posterior"][1], 0.25)


def test_a_learning_path_is_text_rows_and_posterior() -> None:
    prior = mb.DirichletMixture([1.0], [[3.0, 3.0]], tokens=("heads", "tails"))
    model = Urns(mb.DirichletMixture([1.0], [[1.0, 1.0]])).log_predictive
    path = mb.learning_path(prior, model, ["heads", "tails"], history=["heads"])
    view = mb.show_tokens(path, value="kl")
    np.testing.assert_allclose(view.values, [np.nan, *(path.kl / np.log(2.0))])
    assert view.tokens == ("heads", "heads", "tails")
    with pytest.raises(ValueError, match="give the prior"):
        mb.show_tokens(path, value="concentration")


def test_a_report_of_an_elicited_prior() -> None:
    histories = [[], [0], [1], [0, 0], [0, 1, 0, 0]]
    counts = np.array([[h.count(0), h.count(1)] for h in histories])
    model = (counts + 3) / (counts + 3).sum(axis=1, keepdims=True)
    report = mb.elicit_prior(histories, model, kind="probs", rng=0)
    rows = along([0, 1, 0], np.array([[0.5, 0.5]] * 3), ("a", "b"))
    frame = mb.show_tokens(rows, report, "concentration").to_pandas()
    np.testing.assert_allclose(frame["posterior"][1:], [3 / 7, 0.5], atol=2e-3)
    np.testing.assert_allclose(frame["concentration"][1:], [7.0, 8.0], rtol=2e-2)
    found = mb.show_tokens(rows, report.predictor()).to_pandas()
    np.testing.assert_allclose(found["posterior"][1:], frame["posterior"][1:])


def test_rows_known_in_part_give_bounds_around_the_truth() -> None:
    rng = np.random.default_rng(1)
    text = rng.integers(0, 40, size=30).tolist()
    rows = along(text, rng.dirichlet(np.full(40, 0.3), size=30), None)
    prior = mb.DirichletMixture([1.0], [np.full(40, 0.5)])
    whole, part = (
        mb.show_tokens(r, prior, "kl").measured for r in (rows, mb.PartialRows.from_rows(rows, 6))
    )
    unsure = 0
    for name in ("probability", "surprise", "entropy", "kl", "rank"):
        low, high = part.of(name)[1:].T
        true = whole.of(name)[1:, 0]
        assert (low <= true + 1e-9 * np.abs(true)).all(), name
        assert (true <= high + 1e-9 * np.abs(true)).all(), name
        unsure += (low < high).sum()
    assert unsure > 30
    np.testing.assert_array_equal(part.top[1:, :5], whole.top[1:, :5])


def test_kl_of_wide_rows_known_in_part_is_made_where_it_is_asked_for() -> None:
    n, width = 90, 50_000
    text = list(range(n))
    about = {"prompt": [0] * n, "position": text, "sampled": text}
    rows = mb.PartialRows(
        text, np.full(n, np.log(0.5)), range(n + 1), n_tokens=width, token_ids=range(width),
        meta=about,
    )  # fmt: skip
    prior = mb.DirichletMixture([1.0], [np.full(width, 0.5)])
    frame = mb.show_tokens(rows, prior).to_pandas()
    assert "kl" not in frame
    assert np.isfinite(frame[["posterior", "concentration"]]).all(axis=None)
    few = rows[:3]
    assert np.isfinite(mb.show_tokens(few, prior, "kl").values).all()


def test_a_record_of_an_api() -> None:
    def entry(token: str, p: float, others: dict[str, float]) -> dict:
        tops = [{"token": t, "logprob": math.log(q)} for t, q in {token: p, **others}.items()]
        return {"token": token, "logprob": math.log(p), "top_logprobs": tops}

    content = [entry("Yes", 0.5, {"No": 0.25}), entry(",", 0.125, {" sir": 0.75})]
    response = {"model": "m", "choices": [{"index": 0, "logprobs": {"content": content}}]}
    view = mb.show_tokens(mb.from_openai(response))
    assert view.tokens == ("Yes", ",")
    np.testing.assert_allclose(view.values, [1.0, 3.0])
    assert "Yes," in Reader(view.html()).text
    two = {**response, "choices": [{**response["choices"][0], "index": i} for i in (0, 1)]}
    with pytest.raises(ValueError, match="several choices"):
        mb.show_tokens(mb.from_openai(two))
    rows = mb.from_openai([response, response])
    with pytest.raises(ValueError, match=r"prompts 0, 1; say prompt="):
        mb.show_tokens(rows)
    assert mb.show_tokens(rows, prompt=1).tokens == ("Yes", ",")


def test_a_model_and_a_text_in_two_lines() -> None:
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = str(files("matrixbayes") / "data" / "urns")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    text = "red red blue black"
    rows = mb.collect(model, tokenizer, [text], positions="all")
    view = mb.show_tokens(rows)
    assert "".join(view.pieces).removeprefix("<bos> ") == text
    assert np.isfinite(view.values[-4:]).sum() >= 3
    # Of a continuation the last token is predicted too, though no row continues it.
    pair = mb.collect(model, tokenizer, [("red red", " blue black")], positions="continuation")
    found = mb.show_tokens(pair)
    np.testing.assert_allclose(found.values[-2:], view.values[-2:], atol=1e-4)
    # Over answers: tokens of no answer count as <other>, and a tokenizer says what they are.
    vocab = {"warm": ["red", "orange", "yellow"], "black": "black"}
    rows = mb.collect(model, tokenizer, [text], positions="all", vocab=vocab)
    frame = mb.show_tokens(rows, tokenizer=tokenizer).to_pandas()
    assert list(frame["token"][-4:]) == ["red", "red", "blue", "black"]
    blue = frame.index[frame["token"] == "blue"][0]
    np.testing.assert_allclose(frame["probability"][blue], rows.probs()[blue - 1, 2], rtol=1e-6)
    prior = mb.DirichletMixture([1.0], [[3.0, 1.0, 5.0]], tokens=rows.tokens)
    found = mb.show_tokens(rows, prior, "concentration", tokenizer=tokenizer).values
    first = 9.0 + (frame["token"][0] != "<bos>")  # what begins a text is no evidence
    np.testing.assert_allclose(found[1:], first + np.arange(len(found) - 1))


# ---------------------------------------------------------------------------
# The forms
# ---------------------------------------------------------------------------


def test_names_that_are_pieces_of_text() -> None:
    names = [
        "caf",
        "<0xC3>",
        "<0xA9>",
        " <b>\n",
        "\t",
        "  ",
        "\u202eabc",
        "日",
        "<0xFF>",
        "a\u200db",
    ]
    assert characters(names)[1:3] == ["·", "é"]
    view = mb.show_tokens(along(list(range(10)), np.full((10, 10), 0.1), names), value="entropy")
    html = view.html()
    read = Reader(html)
    assert "café <b>⏎\n⇥␣␣\\u202eabc日<0xFF>a\u200db" in read.text.replace("·", "")
    assert "<b>" not in html
    assert "\u202e" not in html + repr(view)
    assert {"script", "link", "img", "style"}.isdisjoint(read.tags)
    assert len(read.titles) == 10
    assert read.tints == [False] + [True] * 9
    assert "entropy in bits" in read.text
    assert repr(view).count("\n") < 10


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["ĠOnce", "Ġupon", "Ċ", "Ã", "©"], " Once upon⏎\né"),
        (["▁Once", "▁upon", "<0x0A>", "<0xC3>", "<0xA9>"], " Once upon⏎\né"),
        (["Once", "upon", "a", "time", "there"], "Once upon a time there"),
    ],
)
def test_vocabularies_that_are_named_by_their_pieces(names: list[str], text: str) -> None:
    view = mb.show_tokens(along(list(range(5)), np.full((5, 5), 0.2), names))
    assert text in Reader(view.html()).text.replace("·", "")


def test_the_pointer_tells_top_five_rank_and_posterior_mean() -> None:
    prior = mb.DirichletMixture([1.0], [[2.0, 1.0, 1.0]], tokens=WORDS)
    title = Reader(mb.show_tokens(along(), prior).html()).titles[1]
    assert title.split("\n") == [
        "'blue'",
        "probability 25.0%, posterior mean 20.0%",
        "surprise 2.000 bits, rank 2",
        "entropy 1.500 bits",
        f"KL(model || posterior mean) {0.5 * np.log2(0.5 / 0.6) + 0.5 * np.log2(1.25):#.4g} bits",
        "concentration 5.000 pseudo-counts",
        "most probable:",
        "  'red' 50.0% (posterior mean 60.0%)",
        "  'blue' 25.0% (posterior mean 20.0%)",
        "  'green' 25.0% (posterior mean 20.0%)",
    ]  # fmt: skip


def recorded(sampled, table=TABLE, kind=mb.NextTokenRows, **about):
    """Rows that say what came next."""
    rows = mb.NextTokenRows(
        np.log(table[: len(sampled)]), tokens=WORDS, meta={"sampled": sampled, **about}
    )
    return rows if kind is mb.NextTokenRows else kind.from_rows(rows, 2)


@pytest.mark.parametrize("kind", [mb.NextTokenRows, mb.PartialRows])
def test_a_token_without_a_column_has_a_name_alone(kind) -> None:
    view = mb.show_tokens(recorded(["blue", "violet", "green"], kind=kind), value="entropy")
    assert view.tokens == ("blue", "violet", "green")
    assert "it has no column in the rows" in Reader(view.html()).titles[1]
    assert list(np.isnan(view.measured.probability[:, 0])) == [False, True, False]
    assert np.isfinite(view.values).all()


def test_what_is_between_two_rows_is_a_gap() -> None:
    view = mb.show_tokens(recorded(["blue", "green"], position=[0, 3]))
    assert len(view) == 3
    assert list(np.isnan(view.values)) == [False, True, False]
    assert list(view.positions) == [0, 2, 3]


def test_a_view_of_one_token_by_its_number() -> None:
    view = mb.show_tokens(along())
    assert view[-1].tokens == ("green",)
    assert view[1].values == view.values[1]
    assert view._repr_html_() == view.html()
    with pytest.raises(IndexError):
        view[4]


def test_a_name_from_right_to_left_keeps_its_direction() -> None:
    names = ("שלום", "blue", "green")
    title = Reader(mb.show_tokens(along(tokens=names)).html()).titles[0]
    assert "\u2068" in title
    assert "\u2069" in title


def test_plain_text_says_what_is_a_bound() -> None:
    part = mb.PartialRows.from_rows(along(), 1)
    assert ", at least" in mb.show_tokens(part, value="entropy").text()
    assert ", at least" not in mb.show_tokens(along(), value="entropy").text()


def test_plain_text_has_a_bar_below_every_token() -> None:
    view = mb.show_tokens(along())
    lines = view.text().split("\n")
    assert lines[0].startswith("4 tokens: surprise")
    assert lines[2] == "red blue blue green"
    assert lines[3].startswith("   ")
    assert lines[3][3] == "█"
    wide = along(list(range(3)), np.full((3, 3), 1 / 3), ["日本", "e\u0301", "x"])
    text, bars = mb.show_tokens(wide).text().split("\n")[2:4]
    assert columns_of(text) == len(bars)
    assert visible("\x00") == "\\x00"


def test_long_texts_are_bounded() -> None:
    n = 5000
    rng = np.random.default_rng(0)
    names = [f" word{i}" for i in range(50)]
    text = rng.integers(0, 50, size=n).tolist()
    sampled = [*text[1:], None]
    rows = mb.NextTokenRows(
        np.log(rng.dirichlet(np.ones(50), size=n)), tokens=names, token_ids=range(50),
        meta={"prompt": [0] * n, "position": list(range(n)), "sampled": sampled},
    )  # fmt: skip
    view = mb.show_tokens(rows)
    page = view.html()
    assert len(page) < 2_000_000
    assert page.count("<span title=") == 3000
    assert "1999 tokens not shown" in page
    rest = view[3000:]
    assert len(rest) == 1999
    prior = mb.DirichletMixture([1.0], [np.ones(50)])
    assert len(mb.show_tokens(rows, prior).html()) < 2_000_000
    assert rest.scale == view.scale
    assert repr(view).count("\n") < 10
    assert "tokens more" in repr(view)
    assert "".join(names[t] for t in text[1:]) == "".join(view.pieces)


def test_scales() -> None:
    assert scale_of(np.array([np.nan]), "kl").levels(np.array([np.nan, 1.0])) == [0, LEVELS]
    scale = scale_of(np.array([1.0, 10.0, 100.0]), "concentration")
    assert scale.log
    assert scale.levels(np.array([1.0, 10.0, 100.0, 1000.0])) == [1, 5, 8, 8]
    assert scale_of(np.full(3, 4.0), "concentration").levels(np.full(3, 4.0)) == [1, 1, 1]
    assert scale_of(np.array([1.0, np.inf]), "surprise").levels(np.array([np.inf])) == [LEVELS]


def test_bars_along_the_text() -> None:
    pytest.importorskip("matplotlib")
    from matplotlib import pyplot

    view = mb.show_tokens(mb.PartialRows.from_rows(along(), 1), value="entropy")
    ax = view.plot()
    assert ax.get_ylabel() == "entropy (bits)"
    names = [t.get_text().strip("'") for t in ax.get_xticklabels()]
    assert names == ["red", "blue", "blue", "green"]
    pyplot.close(ax.figure)
    n = 200  # too many to be named: one line, over their numbers
    ax = mb.show_tokens(recorded(["blue"] * n, np.full((n, 3), 1 / 3))).plot()
    assert len(ax.patches) == 0
    assert len(ax.collections) >= 1
    assert all(float(tick).is_integer() for tick in ax.get_xticks())
    assert ax.get_xlabel() == "token of the text"
    pyplot.close(ax.figure)


# ---------------------------------------------------------------------------
# What is refused
# ---------------------------------------------------------------------------


def test_what_is_refused() -> None:
    rows, prior = along(), mb.DirichletMixture([1.0], [[2.0, 1.0, 1.0]])
    with pytest.raises(ValueError, match="value='perplexity' is not one of 'surprise'"):
        mb.show_tokens(rows, value="perplexity")
    for value in ("kl", "concentration"):
        with pytest.raises(ValueError, match="needs posterior="):
            mb.show_tokens(rows, value=value)
    with pytest.raises(ValueError, match="over 2 tokens and the rows over 3"):
        mb.show_tokens(rows, mb.DirichletMixture([1.0], [[1.0, 1.0]]))
    with pytest.raises(ValueError, match="unexpected are"):
        mb.show_tokens(rows, mb.DirichletMixture([1.0], [[1.0, 1, 1]], tokens=("a", "b", "c")))
    with pytest.raises(TypeError, match="posterior is str"):
        mb.show_tokens(rows, "posterior")
    with pytest.raises(TypeError, match="rows is ndarray"):
        mb.show_tokens(TABLE, prior)
    with pytest.raises(ValueError, match="along another text: its token 1"):
        mb.show_tokens(rows, mb.posterior_path(prior, [0, 2, 1, 2]))
    with pytest.raises(ValueError, match="along 2 tokens, and the text has 4"):
        mb.show_tokens(rows, mb.posterior_path(prior, [0, 2]))
    with pytest.raises(ValueError, match="say which token follows"):
        mb.show_tokens(mb.NextTokenRows(np.log(TABLE)))
    with pytest.raises(ValueError, match="row 0 continues other tokens"):
        mb.show_tokens(mb.NextTokenRows(np.log(TABLE[:2]), input_ids=[2, 0, 1], offsets=[0, 1, 3]))
    with pytest.raises(ValueError, match="rows 0 and 1 are at the same place"):
        mb.show_tokens(mb.NextTokenRows(np.log(TABLE[:2]), input_ids=[0, 0], offsets=[0, 1, 2]))
    with pytest.raises(ValueError, match="no row is followed"):
        mb.show_tokens(mb.NextTokenRows(np.log(TABLE[:1]), input_ids=[0, 1], offsets=[0, 2]))
    with pytest.raises(ValueError, match="gave shape"):
        mb.show_tokens(rows, lambda sequences: np.zeros((1, 1, 3)))
    with pytest.raises(ValueError, match="no log-probability is above 0"):
        mb.show_tokens(rows, lambda sequences: np.full((*sequences.shape, 3), 1 / 3))
    with pytest.raises(ValueError, match="no row of prompt 3"):
        mb.show_tokens(along(meta={"prompt": [0, 0, 1, 1]}), prompt=3)
    with pytest.raises(ValueError, match="they are of prompts 0 to 3; say prompt="):
        mb.show_tokens(along(meta={"prompt": [0, 1, 2, 3]}))
    with pytest.raises(ValueError, match="do not say which prompt they are of"):
        mb.show_tokens(rows, prompt=0)
    with pytest.raises(ValueError, match="there are no rows"):
        mb.show_tokens(rows[:0])
    with pytest.raises(ValueError, match="after row 0 comes another token"):
        mb.show_tokens(along(meta={"sampled": [2, 1, 2, None]}))
    with pytest.raises(ValueError, match="rows 0 and 1 are at the same place"):
        mb.show_tokens(recorded(["red", "blue"], position=[1, 1]))
    with pytest.raises(ValueError, match="no token of the text is a column"):
        mb.show_tokens(recorded(["violet", "black"]))
    with pytest.raises(
        ValueError, match=r"posterior has the shape \(2, 3\), and the rows \(4, 3\)"
    ):
        mb.show_tokens(rows, rows[:2])


def test_what_a_sanitiser_leaves_can_be_read() -> None:
    # Without any attribute the text and its legend are still there.
    page = mb.show_tokens(along()).html()
    assert "red blue blue green" in Reader(page).text
    assert json.dumps(page)  # no lone surrogates
    page.encode()
