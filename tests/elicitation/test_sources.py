"""Families of trees, balance, chains with priors of their own keys, and sums of any of them."""

from __future__ import annotations

import copy
import pickle
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from elicitation import tree_twin
from scipy.special import softmax

import matrixbayes as mb
from matrixbayes.elicitation.design import design
from matrixbayes.elicitation.histories import checked_histories
from matrixbayes.elicitation.objective import Objective, Predictor
from matrixbayes.elicitation.parameters import Layout, Parameters, fields_of
from matrixbayes.sources.names import parts_of
from matrixbayes.sources.rows import keys_of, n_keys

FAMILIES = ["tree", "balance", "tree+balance", "markov(repeat)", "markov2(repeat)", "markov(last)"]
FAMILIES += ["markov2(full)", "iid+markov2(repeat)+balance", "iid+markov+markov2", "tree2+iid"]
FAMILIES += ["markov(full)+balance", "tree1", "iid+markov(last)+tree3"]


def some_histories(n: int, longest: int, n_tokens: int = 3, seed: int = 0) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    found = [rng.integers(0, n_tokens, rng.integers(0, longest + 1)).tolist() for _ in range(n)]
    return [*found, *(h[: len(h) // 2] for h in found[: n // 4])]


def numbers(family: str, n_tokens: int = 3, depth: int = 4) -> Parameters:
    """Parameters of a family, the same always."""
    rng = np.random.default_rng(5)
    parts = parts_of(family, depth=depth)
    fields = fields_of(parts, n_tokens)
    priors: dict[str, Any] = {}
    for name, part in parts.items():
        if name not in fields:
            priors[name] = (np.ones(1), rng.gamma(2.0, size=(1, n_tokens)) + 0.2)
        elif part.kind == "balance":
            priors[name] = {"strength": 1.4, "memory": 0.75}
        else:
            own = {f.name: rng.gamma(2.0, size=f.shape) + 0.2 for f in fields[name]}
            priors[name] = own | ({"deeper": 0.6} if part.kind == "tree" else {})
    weight: Any = 1.0 if len(parts) == 1 else 0.4
    if len(parts) > 2:
        weight = np.array([0.3, 0.5, 0.2])
    return Parameters(priors, weight)


def predictions(
    histories: list[list[int]],
    family: str,
    parameters: Parameters,
    n_tokens: int = 3,
    depth: int = 4,
) -> np.ndarray:
    seen = design(
        checked_histories(histories, "tokens", n_tokens),
        family,
        1,
        parameters.discount < 1.0,
        depth=depth,
    )
    predictor = Predictor(seen, parameters.discount)
    found = predictor.forward(parameters)
    return predictor.rows(found, parameters.temperature, seen.group)


def noisy(p: np.ndarray, rng: np.random.Generator, precision: float = 300.0) -> np.ndarray:
    gamma = rng.standard_gamma(precision * p)
    return gamma / gamma.sum(axis=1, keepdims=True)


# --- predictions against slow twins


def slow_key(history: list[int], order: int) -> tuple[int, ...]:
    return tuple(history[max(0, len(history) - order) :])


def slow_alpha(tie: str, prior: dict[str, Any], key: tuple[int, ...], width: int) -> np.ndarray:
    if tie == "repeat":
        if not key:
            return prior["alpha"]
        alpha = np.full(width, prior["others"] / (width - 1))
        alpha[key[-1]] = prior["repeat"]
        return alpha
    if tie == "last":
        return prior["alpha"][1 + key[-1] if key else 0]
    before = sum(width**j for j in range(len(key)))
    # the last token first
    return prior["alpha"][before + sum(v * width**j for j, v in enumerate(reversed(key)))]


@pytest.mark.parametrize("tie", ["repeat", "last", "full"])
@pytest.mark.parametrize(("order", "discount"), [(1, 1.0), (2, 1.0), (3, 0.8)])
def test_chains_with_priors_of_their_own_keys(tie: str, order: int, discount: float) -> None:
    family = f"markov{order}({tie})"
    parameters = numbers(family)._replace(discount=discount)
    histories = some_histories(40, 15)
    (prior,) = parameters.priors.values()
    expected = []
    for history in histories:
        n = np.zeros(3)
        for t, token in enumerate(history):
            if slow_key(history[:t], order) == slow_key(history, order):
                n *= discount
                n[token] += 1.0
        row = slow_alpha(tie, prior, slow_key(history, order), 3) + n
        expected.append(row / row.sum())
    found = predictions(histories, family, parameters)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_numbers_of_keys() -> None:
    given = checked_histories([[2, 0], [1]], "tokens", 3)
    assert keys_of(given, 2).tolist() == [0, 3, 1 + 0 + 3 * (1 + 2), 0, 2]
    for order in (1, 2, 3):
        every = [[a, b, c] for a in range(3) for b in range(3) for c in range(3)]
        found = keys_of(checked_histories(every, "tokens", 3), order)
        assert sorted(set(found.tolist())) == [*range(n_keys(3, order))]


def log_evidence(history: list[int], family: str, parameters: Parameters) -> float:
    """The chain rule, token by token."""
    before = [history[:t] for t in range(len(history))]
    if not before:
        return 0.0
    p = predictions(before, family, parameters)
    return float(np.log(p[np.arange(len(history)), history]).sum())


@pytest.mark.parametrize("family", [f for f in FAMILIES if "+" in f])
def test_parts_are_weighted_by_the_chain_rule(family: str) -> None:
    parameters = numbers(family)
    history = [0, 1, 0, 1, 1, 2, 0, 1, 0, 0, 1, 2, 2]
    joint, alone = [], []
    for share, (name, prior) in zip(parameters.shares, parameters.priors.items(), strict=True):
        own = Parameters({name: prior})
        joint.append(np.log(share) + log_evidence(history, name, own))
        alone.append(predictions([history], name, own)[0])
    expected = softmax(joint) @ np.array(alone)
    np.testing.assert_allclose(predictions([history], family, parameters)[0], expected, rtol=1e-11)


@pytest.mark.parametrize(("width", "depth"), [(2, 5), (4, 2), (3, 1)])
def test_tree_and_balance_are_those_of_the_twin(width: int, depth: int) -> None:
    rng = np.random.default_rng(width)
    histories = some_histories(30, 25, width)
    parameters = numbers("tree+balance", width, depth)
    tree, balance = parameters.priors.values()
    repeat, others = np.resize(tree["repeat"], 2), np.resize(tree["others"], 2)

    def logit(p: float) -> float:
        return float(np.log(p / (1.0 - p)))

    theta = np.concatenate(
        [
            np.log(tree["alpha"]),
            np.log([repeat[0], others[0], repeat[1], others[1]]),
            [logit(tree["deeper"]), np.log(balance["strength"]), logit(balance["memory"])],
            [logit(parameters.weight)],
        ]
    )
    expected = [tree_twin.predict(theta, h, depth) for h in histories]
    found = predictions(histories, "tree+balance", parameters, width, depth)
    np.testing.assert_allclose(found, expected, rtol=1e-11)
    # and so are the objective and its gradient
    q = rng.dirichlet(np.ones(width), len(histories))
    given = checked_histories(histories, "tokens", width)
    seen = design(given, "tree+balance", 1, False, depth=depth)
    layout = Layout(tuple(seen.names), 1, width, 1.0, 1.0, 1.0, fields_of(seen.names, width))
    shares = np.full(len(histories), 1.0 / len(histories))
    objective = Objective(Predictor(seen, 1.0), layout, np.log(q), shares)
    value, gradient = objective(layout.pack(parameters))
    both = zip(histories, q, strict=True)
    slow = [tree_twin.value_and_gradient(theta, h, own, depth) for h, own in both]
    entropy = float(np.mean(np.sum(q * np.log(q), axis=1)))
    assert value == pytest.approx(np.mean([v for v, _ in slow]) + entropy, rel=1e-12)
    wanted = np.mean([g for _, g in slow], axis=0)
    if depth > 1:  # of the twin r1, o1, r2, o2
        wanted[width : width + 4] = wanted[width : width + 4][[0, 2, 1, 3]]
    else:
        wanted = np.delete(wanted, [width + 2, width + 3])
    np.testing.assert_allclose(gradient, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("discount", "temperature"), [(1.0, 1.0), (0.8, None), (None, None)])
def test_gradient_is_that_of_finite_differences(
    family: str, discount: float | None, temperature: float | None
) -> None:
    histories = some_histories(30, 10, seed=1)
    rng = np.random.default_rng(2)
    log_q = np.log(rng.dirichlet(np.ones(3), len(histories)))
    shares = rng.dirichlet(np.ones(len(histories)))
    seen = design(checked_histories(histories, "tokens", 3), family, 1, discount != 1.0)
    fields = fields_of(seen.names, 3)
    layout = Layout(tuple(seen.names), 2, 3, discount, temperature, float(seen.longest), fields)
    objective = Objective(Predictor(seen, discount), layout, log_q, shares)
    theta = rng.normal(scale=0.5, size=layout.size)
    if "discount" in layout.scalars:
        theta[layout.scalars["discount"]] = 1.3
    value, gradient = objective(theta)
    found = objective.predictions(layout.unpack(theta))
    p = np.concatenate([rows for _, _, rows, _ in found])
    np.testing.assert_allclose(value, shares @ np.sum(np.exp(log_q) * (log_q - np.log(p)), axis=1))
    numeric = [
        (objective(theta + step)[0] - objective(theta - step)[0]) / 2e-5
        for step in 1e-5 * np.eye(len(theta))
    ]
    np.testing.assert_allclose(gradient, numeric, atol=3e-9)
    assert layout.unpack(layout.pack(layout.unpack(theta))).shares == pytest.approx(
        layout.unpack(theta).shares
    )


def test_many_tokens_of_which_few_come() -> None:
    """The sums over tokens of a source that is even elsewhere are taken once."""
    histories = some_histories(50, 8, 300)
    log_q = np.log(np.random.default_rng(0).dirichlet(np.ones(300), len(histories)))
    shares = np.full(len(histories), 1.0 / len(histories))
    given = checked_histories(histories, "tokens", 300)
    for family in ("balance", "tree", "tree+balance"):
        seen = design(given, family, 1, False)
        fields = fields_of(seen.names, 300)
        layout = Layout(tuple(seen.names), 1, 300, 1.0, None, 1.0, fields)
        objective = Objective(Predictor(seen, 1.0), layout, log_q, shares)
        assert (objective._factored is None) == (family != "balance")
        theta = np.random.default_rng(1).normal(scale=0.5, size=layout.size)
        value, gradient = objective(theta)
        objective._factored = None
        assert value == pytest.approx(objective(theta)[0], rel=1e-13)
        np.testing.assert_allclose(gradient, objective(theta)[1], rtol=1e-9, atol=1e-13)


# --- planted parameters


@pytest.mark.parametrize(
    "family",
    ["tree", "balance", "tree+balance", "markov(repeat)", "markov(last)", "iid+markov+balance"],
)
def test_planted_parameters_are_recovered(family: str) -> None:
    histories = some_histories(220, 30, seed=4)
    planted = numbers(family)
    model = predictions(histories, family, planted)
    found = mb.elicit_prior(histories, model, kind="probs", family=family, n_starts=6, rng=0)
    assert found.mean_kl < 1e-8
    assert found.family == family
    np.testing.assert_allclose(found.weights, planted.shares, atol=5e-3)
    for part, prior in planted.priors.items():
        if part in found.numbers:
            for name, value in prior.items():
                got = np.array(found.numbers[part][name])
                if name == "alpha" and part != "tree":  # of the beginning the mean alone
                    first = (0,) if value.ndim == 2 else ...
                    got[first] /= got[first].sum() / value[first].sum()
                np.testing.assert_allclose(got, value, rtol=0.02)
        else:
            np.testing.assert_allclose(found.priors[part].alpha, prior[1], rtol=0.02)
    np.testing.assert_allclose(found.predict(histories), model, atol=1e-4)


def test_planted_discount_and_temperature_are_recovered() -> None:
    histories = some_histories(250, 25, seed=5)
    planted = numbers("markov(repeat)+balance")._replace(discount=0.85, temperature=1.4)
    found = mb.elicit_prior(
        histories,
        predictions(histories, "markov(repeat)+balance", planted),
        kind="probs",
        family="markov+balance",
        tie="repeat",
        discount="fit",
        temperature="fit",
        n_starts=6,
        rng=0,
    )
    assert found.family == "markov(repeat)+balance"
    assert found.mean_kl < 1e-8
    assert found.discount == pytest.approx(0.85, abs=5e-3)
    assert found.temperature == pytest.approx(1.4, abs=0.03)


@pytest.mark.filterwarnings("ignore:.*not identified")
@pytest.mark.slow
def test_the_comparison_names_the_family() -> None:
    families = ["iid", "markov", "markov(repeat)", "balance", "tree+balance"]
    rng = np.random.default_rng(3)
    texts = [rng.integers(0, 2, 60).tolist() for _ in range(40)]
    histories = [t[: rng.integers(1, 61)] for t in texts for _ in range(6)]
    for family in families:
        model = noisy(predictions(histories, family, numbers(family, 2), 2), rng)
        found = mb.elicit_prior(
            histories, model, kind="probs", family=families, n_starts=4, rng=0, cv=3
        )
        assert found.family == family


@pytest.mark.parametrize("temperature", [1.0, "fit"])
def test_a_source_that_holds_tokens_for_impossible(temperature: Any) -> None:
    """However strong the balance, its mean KL and slopes are numbers."""
    histories = some_histories(60, 12, 3, seed=8)
    given = checked_histories(histories, "tokens", 3)
    seen = design(given, "balance", 1, False)
    log_q = np.log(np.random.default_rng(0).dirichlet(np.ones(3), len(histories)))
    fields = fields_of(seen.names, 3)
    layout = Layout(tuple(seen.names), 1, 3, 1.0, None, 1.0, fields)
    shares = np.full(len(histories), 1.0 / len(histories))
    objective = Objective(Predictor(seen, 1.0), layout, log_q, shares)
    value, gradient = objective(np.array([8.0, 8.0, -3.0]))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    planted = Parameters({"balance": {"strength": 30.0, "memory": 0.2}})
    model = predictions(histories, "balance", planted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found = mb.elicit_prior(
            histories, model, kind="probs", family="balance", temperature=temperature, rng=0
        )
    assert found.mean_kl < 1e-6


# --- the report


@pytest.fixture(scope="module")
def both() -> tuple[list[list[int]], np.ndarray, Any]:
    histories = some_histories(150, 20, 2, seed=13)
    model = predictions(histories, "tree+balance", numbers("tree+balance", 2), 2)
    model = noisy(model, np.random.default_rng(1), 1000.0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*not identified")
        found = mb.elicit_prior(
            histories,
            mb.NextTokenRows(np.log(model), tokens=("head", "tail")),
            family=["iid", "tree+balance"],
            n_starts=4,
            n_boot=12,
            rng=0,
        )
    return histories, model, found


def test_the_report_says_it(both: tuple) -> None:
    _, _, found = both
    text = repr(found)
    assert "family 'tree+balance' over 2 tokens" in text
    assert "prior weight of balance: 0." in text
    assert "tree, repeat: " in text
    assert "balance, memory: 0." in text
    assert "90%: " in text
    assert "tree+balance" in found._repr_html_()
    assert (found.n_tokens, found.tokens) == (2, ("head", "tail"))
    assert found.parts == ("tree", "balance")
    assert found.n_parameters == 10
    assert {*found.intervals} == {
        *(f"tree.{name}" for name in ("alpha", "repeat", "others", "deeper")),
        *("balance.strength", "balance.memory", "weight"),
    }
    low, high = found.intervals["tree.repeat"]
    assert low.shape == (2,)
    assert np.all(low <= high)
    assert {*found.identification.numbers["tree"]} == {"alpha", "repeat", "others", "deeper"}
    assert found.identification.priors == {}
    with pytest.raises(AttributeError, match="has no Dirichlet prior of rows"):
        found.prior  # noqa: B018
    bare = repr(replace(found, intervals={}))
    assert "balance, memory: 0." in bare
    assert "90%: " not in bare


def test_a_report_without_mixtures_is_a_table_of_numbers(both: tuple) -> None:
    pytest.importorskip("pandas")
    found = both[2]
    frame = found.to_pandas()
    assert [*frame.columns] == ["part", "parameter", "place", "value"]
    for (part, name), own in frame.groupby(["part", "parameter"]):
        assert own.value.tolist() == np.ravel(found.numbers[part][name]).tolist()
        assert own.place.tolist() == list(range(len(own)))


def test_posterior_has_the_predictions_for_its_mean(both: tuple) -> None:
    histories, _, found = both
    for history in histories[:8]:
        posterior = found.posterior(history)
        mean = found.predict([history])[0]
        np.testing.assert_allclose(posterior.mean(), mean, rtol=1e-6)
        assert posterior.tokens == ("head", "tail")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_posteriors(family: str) -> None:
    parameters = numbers(family)
    given = checked_histories([[0, 1, 2, 1, 0, 1], []], "tokens", 3)
    seen = design(given, family, 1, False)
    predictor = Predictor(seen, 1.0)
    found = predictor.forward(parameters)
    rows = predictor.rows(found, 1.0, np.arange(seen.n))
    for h in range(seen.n):
        weights, alpha = predictor.posterior(found, h)
        assert weights.sum() == pytest.approx(1.0)
        mean = weights @ (alpha / alpha.sum(axis=1, keepdims=True))
        np.testing.assert_allclose(mean, rows[h], rtol=1e-6)


def test_a_predictor_of_any_family(both: tuple) -> None:
    histories, _, found = both
    predictor = found.predictor()
    assert (predictor.n_tokens, predictor.family) == (2, "tree+balance")
    np.testing.assert_allclose(np.exp(predictor.predict(histories)), found.predict(histories))
    text = [0, 1, 1, 0, 1]
    rows = predictor([text, text[::-1]])
    assert rows.shape == (2, 5, 2)
    by_hand = sum(rows[0, t, v] for t, v in enumerate(text))
    assert predictor.log_evidence(text) == pytest.approx(by_hand)
    after = predictor.log_evidence(text[3:], history=text[:3])
    assert after == pytest.approx(by_hand - predictor.log_evidence(text[:3]))
    assert predictor.log_evidence([]) == 0.0
    drawn = predictor.sample(4000, 2, history=[0, 1], rng=0)
    assert drawn.shape == (4000, 2)
    p = np.exp([predictor.log_evidence([a, b], history=[0, 1]) for a in (0, 1) for b in (0, 1)])
    assert p.sum() == pytest.approx(1.0)
    often = np.bincount(2 * drawn[:, 0] + drawn[:, 1], minlength=4) / 4000
    np.testing.assert_allclose(often, p, atol=4 * np.sqrt(0.25 / 4000))
    assert predictor.sample(0, 3).shape == (0, 3)
    assert predictor.sample(2, 0).shape == (2, 0)
    assert "tree+balance" in repr(predictor)
    np.testing.assert_array_equal(
        predictor.sample(3, 5, rng=1), found.predictor().sample(3, 5, rng=1)
    )


def test_a_learning_path_follows_any_family(both: tuple) -> None:
    _, _, found = both
    path = mb.learning_path(found, found.predictor(), ["head", "head", "tail", "head"])
    np.testing.assert_allclose(path.kl, 0.0, atol=1e-9)
    assert len(path.total) == 4


def test_copies_and_pickles_of_a_report(both: tuple) -> None:
    histories, _, found = both
    for other in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        np.testing.assert_array_equal(other.predict(histories), found.predict(histories))
        assert repr(other) == repr(found)


def test_a_start_of_numbers(both: tuple) -> None:
    histories, model, found = both
    again = mb.elicit_prior(
        histories, model, kind="probs", family="tree+balance", start=found.numbers, n_starts=1
    )
    assert again.mean_kl == pytest.approx(found.mean_kl, rel=1e-3)
    for start, error, says in (
        ({"tree": 3}, TypeError, "must be a mapping with alpha, repeat, others, deeper"),
        ({"tree": found.numbers["tree"] | {"repeat": 1.0}}, ValueError, r"has shape \(\), not"),
        ({"iid": 3}, ValueError, "start has the key 'iid'"),
    ):
        with pytest.raises(error, match=says):
            mb.elicit_prior(histories, model, kind="probs", family="tree+balance", start=start)


# --- what is refused, and what is not identified


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"family": "markov(x)"}, "tie='x' of 'markov\\(x\\)' is not one of"),
        ({"family": "tree(last)"}, "does not exist"),
        ({"family": "iid+"}, "does not exist"),
        ({"family": "markov+markov1"}, "has a part twice"),
        ({"family": "markov0"}, "does not exist"),
        ({"family": "markov", "tie": "x"}, "tie='x' is not one of"),
        ({"family": "tree", "depth": 0}, "depth"),
        ({"family": "tree", "depth": 65}, "depth must be at most 64"),
        ({"family": "tree+balance", "discount": "fit"}, "no rows of counts that a discount"),
        ({"family": "markov12(full)"}, "at most 262144 are fitted"),
        ({"family": "markov64(full)"}, f"{3 * 2**40} in all"),  # and no more is counted
    ],
)
def test_what_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        mb.elicit_prior([[0], [1]], np.full((2, 3), 1 / 3), kind="probs", **options)


@pytest.mark.parametrize("family", ["tree", "markov(repeat)"])
def test_one_token_has_no_others(family: str) -> None:
    with pytest.raises(ValueError, match="two tokens or more"):
        mb.elicit_prior([[0], [0]], np.ones((2, 1)), kind="probs", family=family)


def test_counts_have_no_order() -> None:
    for family in ("tree+balance", "markov(repeat)"):
        with pytest.raises(ValueError, match="needs histories of tokens"):
            mb.elicit_prior(
                np.eye(3),
                np.full((3, 3), 1 / 3),
                kind="probs",
                history_kind="counts",
                family=family,
            )


def test_what_short_histories_do_not_show() -> None:
    histories = [[], [0], [1], [2]] * 5
    model = predictions(histories, "tree+balance", numbers("tree+balance"))
    with pytest.warns(RuntimeWarning, match="is not identified") as seen:
        found = mb.elicit_prior(
            histories, model, kind="probs", family="tree+balance", n_starts=2, rng=0
        )
    assert "depths of 2 and more" in str(seen[0].message)
    assert any(flag.startswith("tree, its repeat") for flag in found.flags)
    with pytest.warns(RuntimeWarning, match=r"its alpha is not identified after \d+ of 13 keys"):
        mb.elicit_prior(
            histories, model, kind="probs", family="markov2(full)", n_starts=1, max_iter=30, rng=0
        )


def test_ties_keep_few_numbers_of_many_tokens() -> None:
    histories = some_histories(60, 10, 1000)
    model = np.random.default_rng(0).dirichlet(np.full(1000, 0.5), len(histories))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        counts = {
            family: mb.elicit_prior(
                histories, model, kind="probs", family=family, n_starts=1, max_iter=3, rng=0
            ).n_parameters
            for family in ("markov(repeat)", "tree+balance", "iid+markov(repeat)+balance")
        }
    assert counts == {
        "markov(repeat)": 1001,
        "tree+balance": 1008,
        "iid+markov(repeat)+balance": 1000 + 1001 + 2 + 2,
    }
