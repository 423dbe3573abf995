"""A prior beside rows: bits against closed forms and enumeration, and what it says of a fit."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse, stats
from scipy.special import gammaln

import matrixbayes as mb
from matrixbayes.mixture import drawn, fit_check

TRUTH = mb.DirichletMixture(
    [0.5, 0.3, 0.2],
    [[9.0, 1.0, 1.0, 0.5], [0.5, 0.5, 4.0, 0.2], [2.0, 2.0, 2.0, 2.0]],
    tokens=("a", "b", "c", "d"),
)
ROWS = TRUTH.sample(300, rng=0)
LN2 = np.log(2.0)
CURVES = ("bits", "bits_se", "frequencies", "smoothing", "floor", "loss", "smoothing_loss")


def heavy_tailed(n: int, n_tokens: int = 300, rank: int = 8, seed: int = 0) -> np.ndarray:
    """Log-probabilities as of a trained model: softmax of low-rank logits that span 30 nats."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, n_tokens)) * 1.6
    logits += rng.normal(size=n_tokens)
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


def enumerated_bits(prior: mb.DirichletMixture, rows: np.ndarray, n: int) -> float:
    """Mean bits per token of all sequences of n draws, each with its probability."""
    total = 0.0
    for counts in itertools.product(range(n + 1), repeat=rows.shape[1]):
        if sum(counts) == n:
            c = np.array(counts, dtype=float)
            chance = stats.multinomial.pmf(c, n, rows / rows.sum(axis=1, keepdims=True))
            total -= chance.mean() * prior.log_evidence(c)
    return total / n / LN2


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("alpha", [[[1.0, 1.0]], [[8.0, 2.0], [0.3, 0.7]]])
def test_bits_are_those_of_all_sequences(n: int, alpha: list[list[float]]) -> None:
    prior = mb.DirichletMixture(np.full(len(alpha), 1.0 / len(alpha)), alpha)
    rows = mb.DirichletMixture([1.0], [[2.0, 1.0]]).sample(40, rng=1)
    many = np.repeat(rows, 1000, axis=0)  # so that chance has little to say
    found = mb.check_prior(prior, many, kind="probs", draws=(n,), max_rows=40_000)
    assert_allclose(found.bits[0], enumerated_bits(prior, rows, n), atol=1e-12 if n == 1 else 0.006)


def test_one_dirichlet_in_closed_form() -> None:
    """Rows of Dir(a) under Dir(a): H[m] at one draw, E H[p] with all."""
    prior = mb.DirichletMixture([1.0], [[0.5, 1.5, 2.0, 1.0]])
    rows = prior.sample(500, rng=3)
    found = mb.check_prior(prior, rows, kind="probs", draws=(1, 10_000))
    total, aleatoric, _ = prior.uncertainty(base=2)
    assert abs(found.bits[0] - total) < 4.0 * found.bits_se[0]
    assert abs(found.bits[1] - aleatoric) < 4.0 * found.bits_se[1]
    assert 0.0 < found.bits[1] - found.floor[1] < 0.01
    assert abs(found.prior_entropy.median - found.row_entropy.median) < 0.1


@pytest.mark.parametrize("kind", ["probs", "counts"])
def test_the_lines_by_hand(kind: str) -> None:
    """Entropies by SciPy; frequencies by a loop over rows; smoothing by a finer search."""
    rows = ROWS if kind == "probs" else np.random.default_rng(1).multinomial(30, ROWS)
    p = rows / rows.sum(axis=1, keepdims=True)
    found = mb.check_prior(TRUTH, rows, kind=kind, draws=(1, 5, 20), rng=4)
    assert_allclose(found.row_entropies, stats.entropy(p, axis=1, base=2), rtol=1e-9, atol=1e-12)
    assert_allclose(found.floor, found.row_entropies.mean())
    assert_allclose(found.row_largest, p.max(axis=1))
    assert_allclose(found.mean_row, p.mean(axis=0))
    assert_allclose(found.mean_variation, 0.5 * np.abs(p.mean(axis=0) - TRUTH.mean()).sum())
    little = 1e-6 if kind == "probs" else 1.0 / (1.0 + rows.sum())
    others = np.array(
        [p[[j for j in range(300) if j % 10 != i % 10]].mean(axis=0) for i in range(300)]
    )
    others = (1.0 - little) * others + little / 4
    costs = -(p * np.log2(others)).sum(axis=1)
    assert_allclose(found.frequencies, costs.mean())
    assert_allclose(found.bits[0], -(p @ np.log2(TRUTH.mean())).mean())
    assert_allclose(found.loss[0], found.bits[0] - costs.mean())
    gap = -(p @ np.log2(TRUTH.mean())) - costs
    assert_allclose(found.loss_se[0], gap.std(ddof=1) / np.sqrt(300))
    assert_allclose(found.smoothing[0], found.frequencies[0])
    assert found.rows_at.tolist() == [300, 300, 300]
    # the same draws again
    numbers = np.arange(300)
    seen = drawn.seen_of(rows, kind, numbers, 4, TRUTH.tokens)[0]
    fold = numbers % 10
    draws = seen.look(np.log(TRUTH.mean()), fold, np.ones(300), 20, np.random.default_rng(4)).draws
    for i, n in ((1, 5), (2, 20)):
        counts = np.array([np.bincount(row[:n], minlength=4) for row in draws.tokens])
        with np.errstate(divide="ignore", invalid="ignore"):
            own = np.where(counts > 0, counts * np.log(p), 0.0).sum(axis=1)
        bits = found.row_entropies + (own - TRUTH.log_evidence(counts.astype(float))) / n / LN2
        assert_allclose(found.bits[i], bits.mean(), rtol=1e-10)
        assert_allclose(found.bits_se[i], bits.std(ddof=1) / np.sqrt(300), rtol=1e-10)
        best = np.inf
        for a in np.geomspace(0.1, 100.0, 3000):
            e = gammaln(a) - gammaln(a + n)
            e = e + (gammaln(a * others + counts) - gammaln(a * others)).sum(axis=1)
            best = min(best, (found.row_entropies + (own - e) / n / LN2).mean())
        assert_allclose(found.smoothing[i], best, atol=1e-5)
        assert 0.1 < found.smoothing_concentration[i] < 100.0


def test_counts_are_drawn_without_putting_back() -> None:
    rows = np.array([[5, 0, 3], [0, 1, 0], [2, 2, 2], [0, 0, 0]])
    found = mb.check_prior(
        mb.DirichletMixture([1.0], [[1.0, 2.0, 3.0]]), rows, kind="counts", draws=(1, 6, 8)
    )
    assert found.rows_at.tolist() == [3, 2, 1]
    assert found.n_rows == 3
    # all draws of the first row are its own counts, whatever their order
    prior = mb.DirichletMixture([1.0], [[1.0, 2.0, 3.0]])
    assert_allclose(found.bits[2], -prior.log_evidence([5.0, 0.0, 3.0]) / 8 / LN2)
    csr = mb.check_prior(prior, sparse.csr_array(rows), kind="counts", draws=(1, 6, 8))
    assert_allclose(csr.bits, found.bits)
    longer = mb.check_prior(prior, rows, kind="counts", draws=(1, 6, 8, 50))
    assert longer.draws == (1, 6, 8)
    real = mb.check_prior(prior, rows[:3] * 0.3, kind="counts", draws=(1, 50))
    assert real.rows_at.tolist() == [3, 3]


def test_counts_of_a_known_row_keep_their_lines() -> None:
    """Draws of counts cost what draws of their rows do, but for what is not put back."""
    counts = np.random.default_rng(2).multinomial(100_000, ROWS)
    by_counts = mb.check_prior(TRUTH, counts, kind="counts")
    by_rows = mb.check_prior(TRUTH, ROWS, kind="probs")
    assert_allclose(by_counts.bits, by_rows.bits, atol=0.05)
    assert_allclose(by_counts.floor, by_rows.floor, atol=1e-3)


def test_the_means_of_rows_vary_by_chance() -> None:
    """Over 200 sets of rows the total variation to the true mean is on average what is said."""
    prior = mb.DirichletMixture([0.5, 0.5], [[0.2] * 30, [2.0] * 10 + [0.1] * 20])
    measured, said = [], []
    for seed in range(200):
        rows = prior.sample(40, rng=seed)
        found = mb.check_prior(prior, rows, kind="probs", draws=(1,), n_samples=1)
        measured.append(found.mean_variation)
        said.append(found.mean_chance)
    assert_allclose(np.mean(said), np.mean(measured), rtol=0.1)
    weights = np.where(np.arange(40) < 20, 1.0, 1e-9)
    few = mb.check_prior(prior, rows, kind="probs", draws=(1,), sample_weight=weights)
    alone = mb.check_prior(prior, rows[:20], kind="probs", draws=(1,))
    assert_allclose(few.mean_chance, alone.mean_chance, rtol=0.03)


def test_forms_of_rows_say_the_same(tmp_path: Any) -> None:
    logs = np.log(ROWS)
    found = mb.check_prior(TRUTH, ROWS, kind="probs")
    again = [
        mb.check_prior(TRUTH, logs, kind="log_probs"),
        mb.check_prior(TRUTH, logs + 3.0, kind="logits"),
        mb.check_prior(TRUTH, mb.NextTokenRows(logs, tokens=TRUTH.tokens)),
        mb.check_prior(TRUTH, mb.NextTokenRows(logs[:, ::-1].copy(), tokens=tuple("dcba"))),
        mb.check_prior(TRUTH, ROWS.tolist(), kind="probs"),
    ]
    np.save(tmp_path / "rows.npy", ROWS)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    again.append(mb.check_prior(TRUTH, mapped, kind="probs"))
    for other in again:
        for name in CURVES:
            assert_allclose(getattr(other, name), getattr(found, name), rtol=1e-9)


def test_a_frame_is_matched_by_name() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(ROWS, columns=list("abcd"))[list("cadb")]
    found = mb.check_prior(TRUTH, frame, kind="probs")
    assert_allclose(found.bits, mb.check_prior(TRUTH, ROWS, kind="probs").bits, rtol=1e-9)
    table = found.to_pandas()
    assert table.index.tolist() == [1, 5, 20, 100]
    assert_allclose(table["bits"], found.bits)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = mb.check_prior(TRUTH, ROWS, kind="probs")
    monkeypatch.setattr(drawn, "BLOCK", 28)
    monkeypatch.setattr(drawn, "WORK", 64)
    monkeypatch.setattr(fit_check, "WORK", 64)
    again = mb.check_prior(TRUTH, ROWS, kind="probs")
    for name in CURVES:
        assert_allclose(getattr(again, name), getattr(found, name), rtol=1e-12)


def test_weights_are_repetitions() -> None:
    weights = np.arange(300) % 3.0
    there = weights > 0.0
    rows = np.array(ROWS)
    rows[~there] = np.nan
    found = mb.check_prior(TRUTH, rows, kind="probs", sample_weight=weights)
    alone = mb.check_prior(TRUTH, ROWS[there], kind="probs", sample_weight=weights[there])
    assert found.n_rows == there.sum()
    assert_allclose(found.bits, alone.bits, rtol=1e-12)
    by_hand = -(ROWS[there] @ np.log2(TRUTH.mean()))
    assert_allclose(found.bits[0], np.average(by_hand, weights=weights[there]))
    repeated = np.repeat(np.arange(300), weights.astype(int))
    full = mb.check_prior(TRUTH, ROWS[repeated], kind="probs")
    assert_allclose(full.floor, found.floor)
    assert_allclose(full.row_entropy, found.row_entropy, atol=0.02)


class Another:
    """A prior that answers what a mixture answers, and is none."""

    def __init__(self, prior: mb.DirichletMixture) -> None:
        self._prior = prior
        self.n_tokens, self.tokens = prior.n_tokens, prior.tokens
        self.mean, self.sample = prior.mean, prior.sample

    def log_evidence(self, counts: Any, *, ordered: bool = True) -> np.ndarray:
        assert ordered
        return self._prior.log_evidence(counts, ordered=True)


def test_whatever_answers_like_a_mixture_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    found = mb.check_prior(TRUTH, ROWS, kind="probs")
    monkeypatch.setattr(drawn, "WORK", 64)
    again = mb.check_prior(Another(TRUTH), ROWS, kind="probs")
    for name in CURVES:
        assert_allclose(getattr(again, name), getattr(found, name), rtol=1e-10)


def test_a_prior_may_take_draws_as_they_are() -> None:
    class Sparse(Another):
        def log_evidence(self, counts: Any, *, ordered: bool = True) -> np.ndarray:
            raise AssertionError

        def log_evidence_of(self, starts: Any, tokens: Any, counts: Any) -> np.ndarray:
            vectors = sparse.csr_array((counts, tokens, starts), shape=(len(starts) - 1, 4))
            return self._prior.log_evidence(vectors.toarray())

    found = mb.check_prior(TRUTH, ROWS, kind="probs")
    again = mb.check_prior(Sparse(TRUTH), ROWS, kind="probs")
    for name in CURVES:
        assert_allclose(getattr(again, name), getattr(found, name), rtol=1e-10)


def test_few_of_many_rows_are_looked_at() -> None:
    some = mb.check_prior(TRUTH, ROWS, kind="probs", max_rows=50)
    assert some.n_rows == 50
    apart = abs(some.row_largest[:, np.newaxis] - ROWS.max(axis=1))
    assert apart.min(axis=1).max() < 1e-14  # rows of these, but for the rounding of logarithms
    same = mb.check_prior(TRUTH, ROWS, kind="probs", max_rows=50)
    assert_allclose(same.bits, some.bits, rtol=0)
    other = mb.check_prior(TRUTH, ROWS, kind="probs", max_rows=50, rng=1)
    assert (other.bits != some.bits).all()


def test_zeros_cost_nothing_and_rare_tokens_do_not_break_it() -> None:
    rows = np.array(ROWS)
    rows[:150, 3] = 0.0
    rows[150:, 2] = 0.0
    rows /= rows.sum(axis=1, keepdims=True)
    found = mb.check_prior(TRUTH, rows, kind="probs")
    assert_allclose(found.row_entropies, stats.entropy(rows, axis=1, base=2), atol=1e-12)
    for name in CURVES:
        assert np.isfinite(getattr(found, name)).all()
    alone = np.zeros((30, 4))
    alone[np.arange(30), 0] = 1.0
    found = mb.check_prior(TRUTH, alone, kind="probs", reference=[0.0, 0.5, 0.5, 0.0])
    assert np.isfinite(found.frequencies).all()


# -- the verdict --------------------------------------------------------------------------


def test_rows_of_a_prior_do_not_speak_against_it() -> None:
    """Over 200 priors, sizes and seeds at most 2 % of false alarms; one in a hundred is expected at
    most, three standard errors and a share of the bits being asked for."""
    alarms = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        k, v = int(rng.integers(1, 5)), int(rng.integers(2, 30))
        alpha = rng.gamma(0.7, size=(k, v)) * 10.0 ** rng.uniform(-0.5, 2.0, size=(k, 1)) + 0.02
        prior = mb.DirichletMixture(rng.dirichlet(np.ones(k)), alpha)
        rows = prior.sample(int(rng.integers(20, 200)), rng=rng, kind="log_probs")
        if seed % 2:
            rows = rng.multinomial(int(rng.integers(2, 120)), np.exp(rows))
        kind = "counts" if seed % 2 else "log_probs"
        found = mb.check_prior(prior, rows, kind=kind, n_samples=100, rng=seed)
        alarms += not found.passed
        assert found.passed == (not found.warnings)
    assert alarms <= 4


def test_bits_come_down_to_the_floor_and_not_below() -> None:
    found = mb.check_prior(TRUTH, ROWS, kind="probs", draws=(1, 10, 100, 1000, 10_000))
    over = found.bits - found.floor
    assert (over > -3.0 * found.bits_se / np.sqrt(found.draws)).all()
    assert (np.diff(over) < 0.0).all()
    assert over[-1] < 0.005
    assert (found.smoothing > found.bits - 1e-3).all()


def test_a_density_of_a_whole_vocabulary_is_found_out() -> None:
    rows = heavy_tailed(900)
    assert np.ptp(rows, axis=1).mean() > 25.0
    fitted = mb.DirichletMixtureEstimator(2, kind="log_probs", random_state=0, max_iter=30)
    fitted._fit(rows[:600], None)
    found = mb.check_prior(fitted.prior_, rows[600:], kind="log_probs")
    assert "frequencies" in found.fails
    assert found.verdict.startswith("does not describe its rows, loses to frequencies")
    first = found.warnings[0]
    assert first.startswith("the prior predicts worse than the frequencies of tokens alone: ")
    assert "resolution=" in first
    assert "DirichletMixture.from_rows" in first
    assert "loses to frequencies" in repr(found)


def test_kernels_of_rows_describe_them() -> None:
    """What the warning of a density names: it does better than the frequencies and smoothing."""
    rows = heavy_tailed(700)
    prior = mb.DirichletMixture.from_rows(rows[:500], kind="log_probs", rng=0)
    found = mb.check_prior(prior, rows[500:], kind="log_probs", n_samples=200)
    assert "frequencies" not in found.fails
    assert "smoothing" not in found.fails
    assert (found.smoothing_loss[1:] < 0.0).all()
    assert (found.bits > found.floor).all()


def test_each_failure_has_its_sentence() -> None:
    sure = mb.DirichletMixture([1.0], [TRUTH.mean() * 1e4], tokens=TRUTH.tokens)
    found = mb.check_prior(sure, ROWS, kind="probs")
    assert found.fails == ("smoothing", "entropies")
    assert found.warnings[0].startswith("the prior predicts worse than row-by-row smoothing")
    assert found.warnings[1].startswith("draws of the prior are not like the rows")
    assert all("more components" in words for words in found.warnings)
    assert "loses to smoothing, draws have other entropies" in found.verdict
    counted = mb.check_prior(sure, np.random.default_rng(0).multinomial(50, ROWS), kind="counts")
    assert "resolution" not in counted.warnings[0]


def test_few_rows_say_nothing() -> None:
    found = mb.check_prior(
        mb.DirichletMixture([1.0], [[1.0, 90.0, 1.0, 1.0]]), ROWS[:19], kind="probs"
    )
    assert found.passed
    assert found.verdict.startswith("too few rows to judge (19 of 20)")
    one = mb.check_prior(TRUTH, ROWS[:1], kind="probs")
    assert one.passed
    assert np.isinf(one.bits_se).all()
    assert repr(one)


@pytest.mark.parametrize("name", ["median_outside", "cap"])
def test_equal_rows_are_like_a_spike_on_them(name: str) -> None:
    rows = np.tile([[0.25, 0.25, 0.25, 0.25]], (50, 1))
    a = 1e8 if name == "cap" else 400.0
    found = mb.check_prior(mb.DirichletMixture([1.0], [[a / 4] * 4]), rows, kind="probs")
    assert "entropies" not in found.fails


def test_what_it_shows() -> None:
    found = mb.check_prior(TRUTH, ROWS, kind="probs")
    text = repr(found)
    assert len(text.splitlines()) <= 10
    assert text.startswith("FitCheck: describes its rows: ")
    many = mb.check_prior(TRUTH, ROWS, kind="probs", draws=range(1, 30))
    assert len(repr(many).splitlines()) <= 10
    assert "frequencies" in found._repr_html_()
    assert "<table" in found._repr_html_()
    again = pickle.loads(pickle.dumps(found))
    assert repr(again) == text
    assert str(found.row_entropy).count("to") == 1


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"draws": ()}, ValueError, "draws is empty"),
        ({"draws": (0,)}, ValueError, "draws is 0"),
        ({"draws": (1.5,)}, TypeError, "draws is 1.5"),
        ({"kind": None}, ValueError, "kind"),
        ({"n_samples": 0}, ValueError, "n_samples"),
        ({"max_rows": 0}, ValueError, "max_rows"),
        ({"reference": [0.5, 0.5]}, ValueError, "reference has shape"),
        ({"rows": ROWS[0]}, ValueError, r"shape \(4,\)"),
        ({"rows": "rows"}, ValueError, r"shape \(\)"),
        ({"rows": None}, TypeError, "rows"),
        ({"rows": ROWS[:, :3]}, ValueError, "the tokens of the prior"),
        ({"rows": np.zeros((3, 4)), "kind": "counts"}, ValueError, "all of them are empty"),
        ({"rows": np.zeros((3, 5)), "kind": "counts"}, ValueError, "5 columns"),
        ({"rows": -np.ones((3, 4)), "kind": "counts"}, ValueError, ">= 0"),
        ({"rows": np.ones((3, 4))}, ValueError, "sum"),
        ({"sample_weight": [1.0]}, ValueError, "sample_weight"),
        ({"reference": [0.5, 0.5, 0.5, -0.5]}, ValueError, "not negative"),
        ({"reference": np.zeros(4)}, ValueError, "a sum above 0"),
        ({"rows": mb.NextTokenRows(np.log(ROWS), tokens=tuple("wxyz"))}, ValueError, "columns"),
    ],
)
def test_what_cannot_be_checked_is_said(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    given = {"rows": ROWS, "kind": "probs", **change}
    if isinstance(given["rows"], mb.NextTokenRows):
        given["kind"] = None
    with pytest.raises(error, match=message):
        mb.check_prior(TRUTH, given.pop("rows"), **given)


def test_a_row_of_a_later_block_is_told_where_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawn, "BLOCK", 28)  # seven rows
    rows = ROWS.copy()
    rows[9, 1] = -1.0
    with pytest.raises(ValueError, match=r"in the rows from 7 on: .*row 2"):
        mb.check_prior(TRUTH, rows, kind="probs")


def test_checks_are_equal_where_all_numbers_are() -> None:
    found, again, other = (
        mb.check_prior(TRUTH, ROWS, kind="probs", draws=(1, 5), rng=rng) for rng in (0, 0, 1)
    )
    assert np.isnan(found.smoothing_concentration[0])
    assert found == again
    assert found != other
    assert found != 3


def test_probabilities_that_are_called_logits_are_noticed_once() -> None:
    with pytest.warns(UserWarning, match="kind='probs'") as caught:
        mb.check_prior(TRUTH, ROWS, kind="logits")
    assert [warning.filename for warning in caught] == [__file__]


def test_pictures() -> None:
    figure = pytest.importorskip("matplotlib.figure")
    plot = pytest.importorskip("matrixbayes.plot", exc_type=ImportError)
    found = mb.check_prior(TRUTH, ROWS, kind="probs", rng=0)
    ax = found.plot(ax=figure.Figure().subplots())
    lines = {line.get_label(): np.asarray(line.get_ydata()) for line in ax.lines}
    assert_allclose(lines["frequencies alone"], found.frequencies)
    assert_allclose(lines["best smoothing"], found.smoothing)
    assert_allclose(lines["rows' entropy"], found.floor)
    assert any(np.array_equal(line.get_ydata(), found.bits) for line in ax.lines)
    whole = plot.check_figure(found, figure=figure.Figure(layout="constrained"))
    assert len(whole.axes) == 4
    assert f"{found.mean_variation:.2g}" in whole.axes[1].get_title(loc="left")
    steps = whole.axes[2].lines[0]
    assert_allclose(np.sort(steps.get_xdata())[1:], np.sort(found.row_entropies))


def test_means_close_to_each_other_are_drawn_on_even_axes() -> None:
    figure = pytest.importorskip("matplotlib.figure")
    plot = pytest.importorskip("matrixbayes.plot", exc_type=ImportError)
    even = mb.DirichletMixture([1.0], [[9.0, 8.0, 7.0, 6.0]])
    found = mb.check_prior(even, even.sample(50, rng=0), kind="probs")
    means = plot.check_figure(found, figure=figure.Figure()).axes[1]
    assert means.get_xscale() == means.get_yscale() == "linear"
    assert means.get_xlim() == means.get_ylim()
    largest = max(found.mean_row.max(), found.prior_mean.max())
    assert_allclose(means.get_xlim(), (0.0, 1.1 * largest))
