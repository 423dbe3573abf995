"""Continuity of the map from embeddings to rows: planted maps, certificates, reports."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax

import matrixbayes as mb
from matrixbayes.continuity import affine_test, check_continuity, head_bound, probe_segment, span_of

RNG = np.random.default_rng(0)


def affine_rows(e, V=4, seed=1):
    """Rows that are an affine map of embeddings in the unit cube, and its matrix."""
    rng = np.random.default_rng(seed)
    slope = rng.normal(size=(e.shape[1], V)) * 0.05
    slope -= slope.mean(axis=1, keepdims=True)
    return 1.0 / V + (e - 0.5) @ slope, slope


# -- the report ---------------------------------------------------------------------------


def test_the_steepest_ratio_of_an_affine_map_is_its_operator_norm():
    e = np.vstack([RNG.random((60, 2)), [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]])
    rows, slope = affine_rows(e)
    corners = np.random.default_rng(0).normal(size=(200_000, 2))
    corners /= np.linalg.norm(corners, axis=1, keepdims=True)
    norm = (np.abs(corners @ slope).sum(axis=1) / 2).max()  # from Euclid to total variation
    report = check_continuity(e, rows, kind="probs", rng=0)
    assert norm * 0.99 < report.lipschitz <= norm * (1 + 1e-6)
    assert report.affine.exact
    assert report.all_pairs
    direct = np.abs(rows[:, np.newaxis] - rows).sum(axis=2) / 2
    apart = np.linalg.norm(e[:, np.newaxis] - e, axis=2)
    for delta, modulus in zip(report.delta, report.modulus, strict=True):
        assert_allclose(modulus, direct[apart <= delta * (1 + 1e-12)].max(), rtol=1e-9)
    assert (np.diff(report.modulus) >= 0.0).all()
    assert (report.band[0] <= report.band[1]).all()
    assert (report.band[1] >= report.modulus - 1e-15).all()
    assert_allclose(
        report.lipschitz_quantiles([0.3]),
        np.quantile((direct[np.triu_indices(64, 1)] / apart[np.triu_indices(64, 1)]), 0.3),
        rtol=1e-9,
    )


def test_equal_embeddings_with_unequal_rows_are_discontinuities():
    e = RNG.normal(size=(50, 3))
    e[7], e[9], e[20] = e[3], e[3], e[4]
    rows = softmax(e @ RNG.normal(size=(3, 5)), axis=1)
    rows[9] = rows[9][::-1]
    report = check_continuity(e, rows, kind="probs", rng=0, n_pairs=10)  # too few to meet them
    torn = report.discontinuities
    pairs = {(int(report.pairs.first[k]), int(report.pairs.second[k])) for k in torn}
    assert {(3, 9)} <= pairs <= {(3, 9), (7, 9)}
    worst = report.worst(1)[0]
    assert (worst["second"], worst["ratio"]) == (9, np.inf)
    assert f"not a function of these embeddings: {len(pairs)} pair" in " ".join(report.verdict())
    smooth = check_continuity(e[:7], rows[:7], kind="probs", rng=0)
    assert len(smooth.discontinuities) == 0
    assert "not a function" not in repr(smooth)


def test_rounding_is_no_discontinuity():
    p = np.log(RNG.dirichlet(np.ones(5), 10)).astype(np.float32)
    p = np.vstack([p, np.nextafter(p[:1], np.float32(0))])
    e = RNG.normal(size=(10, 2))
    report = check_continuity(np.vstack([e, e[:1]]), p, kind="log_probs", rng=0)
    assert len(report.discontinuities) == 0
    assert np.isfinite(report.worst(1)[0]["ratio"])


def test_the_curve_is_exact_between_its_steps():
    e = RNG.normal(size=(200, 4))
    report = check_continuity(e, e @ RNG.normal(size=(4, 6)), kind="logits", rng=0, n_boot=3)
    at = np.searchsorted(report.delta, report.pairs.embedding_distance, side="right") - 1
    assert (report.modulus[at] >= report.pairs.row_distance).all()
    assert len(report.delta) < 400


def test_roughness_near_by_is_told_from_slope():
    e = np.linspace(0.0, 1.0, 400)[:, np.newaxis]
    slow = check_continuity(e, np.hstack([3 * e, 0 * e]), kind="logits", rng=0)
    wild = check_continuity(e, np.hstack([np.sin(900 * e), 0 * e]), kind="logits", rng=0)
    assert 0.8 < slow.local_over_global < 1.3
    assert "as far apart" in " ".join(slow.verdict())
    assert wild.local_over_global > 5.0
    assert "steeper" in " ".join(wild.verdict())


def test_steps_are_flatter_near_by():
    rng = np.random.default_rng(0)
    e = np.repeat([0.0, 1.0, 2.0], 12)[:, np.newaxis] + 1e-3 * rng.random((36, 1))
    rows = np.repeat(rng.dirichlet([1.0] * 4, 3), 12, axis=0)
    report = check_continuity(e, rows, kind="probs", rng=0)
    assert report.local_over_global < 0.5
    assert "near by, the map is flatter than far apart" in " ".join(report.verdict())


def test_a_sample_looks_at_as_many_pairs_as_asked_for(many_blocks):
    e = RNG.normal(size=(300, 4))
    report = check_continuity(e, e @ RNG.normal(size=(4, 6)), kind="logits", n_pairs=500, rng=0)
    assert not report.all_pairs
    assert 500 <= len(report.pairs) <= 500 + 3000
    workers = {"kind": "probs", "rng": 0, "n_pairs": 700}
    rows = softmax(e @ RNG.normal(size=(4, 6)), axis=1)
    many_blocks.tasks.clear()
    one, five = (check_continuity(e, rows, n_jobs=n, **workers) for n in (1, 5))
    many_blocks.ran("_nearest", "_directly")
    assert_array_equal(one.modulus, five.modulus)
    assert_array_equal(one.band, five.band)
    assert one.verdict() == five.verdict()
    i, j = one.pairs.first, one.pairs.second
    apart = np.linalg.norm(e[i] - e[j], axis=1)
    change = np.abs(rows[i] - rows[j]).sum(axis=1) / 2.0
    assert_allclose(one.pairs.embedding_distance, apart, rtol=1e-9)
    assert_allclose(one.pairs.row_distance, change, rtol=1e-9)
    assert_allclose(one.lipschitz, (change / apart).max(), rtol=1e-9)


def test_all_pairs_in_blocks_are_those_of_one(many_blocks):
    e = RNG.normal(size=(60, 4))
    rows = softmax(e @ RNG.normal(size=(4, 6)), axis=1)
    one, five = (check_continuity(e, rows, kind="probs", rng=0, n_jobs=n) for n in (1, 5))
    many_blocks.ran("_block_of")
    assert_array_equal(one.modulus, five.modulus)
    i, j = np.triu_indices(60, 1)
    steepest = np.abs(rows[i] - rows[j]).sum(axis=1) / 2.0 / np.linalg.norm(e[i] - e[j], axis=1)
    assert len(one.pairs) == len(steepest)
    assert_allclose(one.lipschitz, steepest.max(), rtol=1e-9)


def test_texts_and_tokens_are_shown():
    e = RNG.normal(size=(12, 2))
    rows = mb.NextTokenRows(
        np.log(softmax(e @ RNG.normal(size=(2, 3)), axis=1)),
        tokens=("<b>", "yes", "no"),
        meta={"prompt": [f"prompt {i} & more" for i in range(12)]},
    )
    report = check_continuity(e, rows, rng=0)
    assert "prompt" in repr(report)
    html = report._repr_html_()
    assert "&lt;b&gt;" in html
    assert "& more" not in html
    assert report.worst(2)[1]["first_top"].count(",") == 2
    frame = report.to_pandas() if pytest.importorskip("pandas") else None
    assert len(frame) == 66
    assert list(frame.columns)[-1] == "ratio"
    long = check_continuity(e, rows, rng=0, texts=[f"{'a' * 90} end {i}" for i in range(12)])
    assert "… end" not in repr(long)
    assert "a end" in repr(long)
    numbered = mb.NextTokenRows(rows.log_probs, meta={"prompt": list(range(12))})
    assert check_continuity(e, numbered, rng=0).texts is None
    named = check_continuity(e, rows, rng=0, texts=[str(i) for i in range(12)])
    assert named.worst(1)[0]["first_text"].isdigit()


def test_rows_that_are_all_equal_or_all_at_one_point():
    same = check_continuity(RNG.normal(size=(9, 2)), np.full((9, 3), 1 / 3), kind="probs", rng=0)
    assert same.lipschitz == 0.0
    assert "all rows are equal" in " ".join(same.verdict())
    point = check_continuity(np.zeros((9, 2)), RNG.dirichlet([1.0] * 3, 9), kind="probs", rng=0)
    assert len(point.discontinuities) == 36
    assert np.isnan(point.lipschitz)
    assert np.isnan(point.lipschitz_quantiles([0.1, 0.9])).all()
    assert "nan" not in repr(point).lower()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"embeddings": np.zeros((2, 1)), "rows": np.full((2, 2), 0.5)}, "at least 3"),
        ({"level": 1.0}, "level is 1.0"),
        ({"n_boot": -1}, "negative"),
        ({"texts": ["a"]}, "1 texts for 5 rows"),
        ({"metric": "l1"}, "is not one of"),
        ({"n_neighbors": 0}, "n_neighbors is 0"),
    ],
)
def test_bad_arguments(arguments, says):
    given = {"embeddings": np.arange(5.0)[:, np.newaxis], "rows": np.full((5, 2), 0.5)} | arguments
    with pytest.raises(ValueError, match=says):
        check_continuity(given.pop("embeddings"), given.pop("rows"), kind="probs", **given)


# -- convexity ------------------------------------------------------------------------------


def test_an_affine_map_leaves_rounding_only():
    e = RNG.random((40, 6))
    rows, _ = affine_rows(e)
    found = affine_test(e, rows, kind="probs", rng=0)
    assert found.residual < 1e-25
    assert (found.rank, found.degrees_of_freedom) == (6, 33)
    assert found.p_value == 1 / 200
    single = affine_test(e.astype(np.float32), rows.astype(np.float32), kind="probs", rng=0)
    assert single.exact
    assert "are preserved" in found.verdict()


def test_a_softmax_map_does_not_preserve_convex_combinations():
    e = RNG.normal(size=(60, 3))
    found = affine_test(e, 2.0 * e @ RNG.normal(size=(3, 5)), kind="logits", rng=0)
    assert 1e-3 < found.residual < found.expected_residual
    assert found.p_value == 1 / 200
    assert "not preserved" in found.verdict()
    noise = affine_test(e, RNG.dirichlet([1.0] * 5, 60), kind="probs", rng=0)
    assert noise.p_value > 0.05
    assert "unrelated" in noise.verdict()


def test_p_values_of_unrelated_rows_are_even():
    values = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        e, p = rng.normal(size=(15, 3)), rng.dirichlet([1.0] * 4, 15)
        found = affine_test(e, p, kind="probs", n_permutations=19, rng=rng)
        values.append(found.p_value)
        assert_allclose(found.expected_residual, 11 / 14)
    assert 0.02 <= np.mean(np.array(values) <= 0.05) <= 0.09
    assert 0.4 <= np.mean(np.array(values) <= 0.5) <= 0.6


def test_the_residual_is_that_of_least_squares():
    e, p = RNG.normal(size=(25, 4)), RNG.dirichlet([1.0] * 6, 25)
    design = np.column_stack([np.ones(25), e])
    rest = p - design @ np.linalg.lstsq(design, p, rcond=None)[0]
    expected = (rest**2).sum() / ((p - p.mean(axis=0)) ** 2).sum()
    assert_allclose(affine_test(e, p, kind="probs", rng=0).residual, expected, rtol=1e-10)


@pytest.mark.parametrize(("n", "d", "more"), [(4, 3, 1), (4, 9, 1), (6, 5, 1), (3, 2, 1)])
def test_without_degrees_of_freedom_it_refuses(n, d, more):
    e, p = RNG.normal(size=(n, d)), RNG.dirichlet([1.0] * 3, n)
    with pytest.raises(ValueError, match=f"at least {more} more row") as caught:
        affine_test(e, p, kind="probs")
    assert f"rank {min(n - 1, d)}" in str(caught.value)
    assert affine_test(
        np.vstack([e, e[:1] / 2 + e[1:2] / 2]), np.vstack([p, p[:1]]), kind="probs", rng=0
    )
    report = check_continuity(e, p, kind="probs", rng=0)
    assert "was not tested" in " ".join(report.verdict())


@pytest.mark.parametrize("n", [0, 1, 2])
def test_of_few_embeddings_none_of_less_than_one_dimension_are_asked_for(n):
    e = np.arange(2.0 * n).reshape(n, 2)
    with pytest.raises(ValueError, match="in the same span") as caught:
        affine_test(e, np.full((n, 3), 1 / 3), kind="probs")
    assert "dimensions" not in str(caught.value)


# -- heads ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "defect"),
    [(0.1, 8e-6), (0.5, 0.000970), (1, 0.007061), (2, 0.040871), (5, 0.183728), (20, 0.383419)],
)
def test_a_planted_softmax_has_its_known_defects(size, defect):
    def head(h):
        return np.hstack([h, np.zeros_like(h)])

    found = probe_segment(head, [-size], [size], 20_001)
    assert_allclose(found.convexity_defect, defect, atol=5e-7)
    assert found.log_affinity_defect < 1e-12
    probs = probe_segment(lambda h: softmax(head(h), axis=1), [-size], [size], 65, kind="probs")
    assert_allclose(probs.convexity, probe_segment(head, [-size], [size], 65).convexity, atol=1e-12)


def test_an_affine_head_has_no_convexity_defect():
    slope = np.array([[0.1, -0.1], [0.05, -0.05]])
    found = probe_segment(lambda h: 0.5 + h @ slope, [0, 1], [1, 0], kind="probs")
    assert found.convexity_defect < 1e-15
    assert found.log_affinity_defect > 1e-6
    with pytest.raises(ValueError, match="shapes"):
        probe_segment(lambda h: h, [0.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="n is 1"):
        probe_segment(lambda h: h, [0.0], [1.0], 1)


def test_torch_modules_are_heads():
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(2, 3)
    found = probe_segment(layer, [0.0, 1.0], [1.0, 0.0])
    w, b = (each.detach().double().numpy() for each in layer.parameters())
    direct = probe_segment(lambda h: h @ w.T + b, [0.0, 1.0], [1.0, 0.0])
    assert_allclose(found.convexity, direct.convexity, atol=1e-6)  # which ran in float32
    without = probe_segment(torch.nn.Identity(), [0.0, 2.0], [2.0, 0.0])  # has no precision
    direct = probe_segment(np.eye(2), [0.0, 2.0], [2.0, 0.0])
    assert_array_equal(without.convexity, direct.convexity)
    with pytest.raises(ValueError, match="one shape is needed"):  # which gives its own states too
        probe_segment(torch.nn.LSTM(2, 3), [0.0, 1.0], [1.0, 0.0])


def test_a_head_that_rules_tokens_out_at_an_end():
    def head(h):
        return np.where(h > 0.5, [[0.0, -np.inf]], [[0.0, 0.0]])

    found = probe_segment(head, [0.0], [1.0], 5)
    assert np.isfinite(found.log_affinity).all()


def test_the_certificate_holds_for_a_million_pairs():
    w, h = RNG.normal(size=(40, 5)), RNG.normal(size=(1500, 5)) * RNG.exponential(1.5, (1500, 1))
    found = head_bound(w, h, n_pairs=10**6, rng=0)
    assert len(found.first) == 10**6
    assert (found.slack >= -1e-12).all()
    assert (found.a_priori >= found.certificate - 1e-12).all()
    assert found.diameter_is_exact
    assert_allclose(found.diameter, max(np.linalg.norm(a - b) for a in w for b in w), rtol=1e-12)
    shifted = head_bound(w, h, h @ w.T + RNG.normal(size=40), n_pairs=1000, rng=0)  # a bias
    assert (shifted.slack >= -1e-12).all()


def test_the_certificate_is_attained_by_two_tokens():
    for range_ in (0.01, 1.0, 7.0):
        h = np.array([[-range_ / 4.0], [range_ / 4.0]])
        found = head_bound([[1.0], [-1.0]], h)
        assert_allclose(found.total_variation, found.certificate, atol=1e-8)
        assert_allclose(found.certificate, np.tanh(range_ / 4.0), rtol=1e-12)


def test_a_certificate_that_does_not_hold_is_told():
    found = head_bound([[1.0], [-1.0]], [[0.0], [0.5], [3.0]])
    wrong = dataclasses.replace(found, certificate=found.total_variation - [0.1, 0.25, -0.1])
    assert "does not hold: 2 of 3 pairs are further apart" in wrong.verdict()
    assert "rows 0 and 2 by 0.25" in wrong.verdict()


def test_rows_of_no_known_head_have_no_certificate():
    rng = np.random.default_rng(0)
    w, h = rng.normal(size=(4, 2)), rng.normal(size=(3, 2))
    said = {"head": {"kind": None, "refusal": "it adds noise"}}
    rows = mb.NextTokenRows(np.full((3, 4), np.log(0.25)), hidden=h, meta=said)
    with pytest.raises(ValueError, match="from no head that is known: it adds noise"):
        head_bound(w, rows)
    with pytest.raises(ValueError, match="from no head that is known: it adds noise"):
        span_of(rows, w)


def test_logits_of_another_head_are_noticed():
    w, h = RNG.normal(size=(20, 4)), RNG.normal(size=(30, 4))
    logits = h @ w.T
    assert len(head_bound(w, h, logits.astype(np.float32)).first) == 435
    with pytest.raises(ValueError, match="not those of W"):
        head_bound(w, h, 3.0 * logits)
    with pytest.raises(ValueError, match="logits have shape"):
        head_bound(w, h, logits[:5])
    with pytest.raises(ValueError, match="need \\(V, d\\)"):
        head_bound(w, h[:, :2])


def test_the_diameter_is_found_from_the_few_rows_far_out(monkeypatch):
    assert head_bound([[2.0]], [[0.0], [1.0]]).diameter == 0.0  # of a single token
    monkeypatch.setattr("matrixbayes.continuity.heads.BLOCK", 1)
    found = head_bound([[1.0], [3.0], [-1.0], [-3.0]], [[0.0], [1.0]])
    assert (found.diameter, found.diameter_is_exact) == (6.0, True)
    w = np.random.default_rng(0).standard_cauchy(size=(30, 2))
    exact = max(np.linalg.norm(a - b) for a in w for b in w)
    for block in (1, 4):
        monkeypatch.setattr("matrixbayes.continuity.heads.BLOCK", block)
        assert_allclose(head_bound(w, [[0.0, 0.0]]).diameter, exact, rtol=1e-12)


def test_a_diameter_that_takes_too_long_is_bounded(monkeypatch):
    w = RNG.normal(size=(300, 30))
    w /= np.linalg.norm(w - w.mean(axis=0), axis=1, keepdims=True)  # nothing can be left out
    exact = head_bound(w, RNG.normal(size=(3, 30)))
    monkeypatch.setattr("matrixbayes.continuity.heads.BLOCK", 16)
    again = head_bound(w, RNG.normal(size=(3, 30)))
    assert again.diameter_is_exact
    assert_allclose(again.diameter, exact.diameter, rtol=1e-12)
    monkeypatch.setattr("matrixbayes.continuity.heads.MOST_PAIRS", 500)
    bounded = head_bound(w, RNG.normal(size=(3, 30)))
    assert not bounded.diameter_is_exact
    assert bounded.diameter >= exact.diameter


def test_logits_that_a_short_type_rounded_are_still_those_of_the_head():
    h = np.array([[1.005], [-1.005]])  # 1.0078125 in bfloat16
    w = np.array([[1.0], [-1.0]])
    rounded = np.sign(h @ w.T).astype(np.float32) * np.float32(1.0078125)
    found = head_bound(w, h, rounded)
    assert found.slack[0] < -1e-5
    assert_allclose(found.floor, 0.0028125, atol=1e-7)
    with pytest.raises(ValueError, match="further apart than this head allows"):
        head_bound(w, h, 1.05 * rounded)
    with pytest.raises(ValueError, match="further apart than this head allows"):
        head_bound(w, h, rounded.astype(np.float64))


def test_the_span_of_a_softmax_head():
    w, h = RNG.normal(size=(50, 6)), RNG.normal(size=(40, 6))
    found = span_of(h @ w.T, w, kind="logits")
    assert found.rank == 6
    assert (found.outside < 1e-20).all()
    assert span_of((h @ w.T).astype(np.float32), kind="logits").rank == 6
    assert span_of(h @ w.T + RNG.normal(size=50), kind="logits").rank == 7  # a bias
    other = span_of(np.log(RNG.dirichlet([1.0] * 50, 40)), w, kind="log_probs")
    assert other.rank == 40
    assert (other.outside > 0.3).all()
    with pytest.raises(ValueError, match="exact zero at column 1"):
        span_of([[1.0, 0.0]], kind="probs")
    with pytest.raises(ValueError, match="W has shape"):
        span_of([[0.5, 0.5]], np.zeros((3, 1)), kind="probs")


def test_heads_of_a_huggingface_model():
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from toy_models import cached_model

    model = cached_model("gpt2")
    ids = torch.arange(1, 6)[None]
    with torch.no_grad():
        full = model(ids, output_hidden_states=True)
        before_norm = model.transformer.h[-1].register_forward_hook(
            lambda module, args, out: kept.append(out[0] if isinstance(out, tuple) else out)
        )
        kept: list = []
        model(ids)
        before_norm.remove()
        inner = kept[0].reshape(-1, kept[0].shape[-1])
        assert_allclose(mb.head_of(model)(inner)[-1], full.logits[0, -1], atol=1e-5)
    hidden = full.hidden_states[-1][0].numpy()
    head = mb.head_of(model, norm=False)
    straight = probe_segment(head, hidden[0], hidden[3])
    assert straight.log_affinity_defect < 1e-5
    normed = probe_segment(mb.head_of(model), *inner.numpy()[[0, 3]])
    assert normed.log_affinity_defect > straight.log_affinity_defect
    words = model.get_input_embeddings().weight.detach().numpy()
    network = mb.embed_of(model, ids[0].tolist())
    assert_allclose(network(words[[5]])[0], full.logits[0, -1], atol=1e-5)
    found = head_bound(head.weight.detach().numpy(), hidden, full.logits[0].numpy())
    assert (found.slack >= -1e-6).all()
