"""Trees of contexts: against the enumeration of all trees, the chain rule, and laws of learning."""

from __future__ import annotations

import itertools
import math
import pickle
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import gammaln, logsumexp

import matrixbayes as mb

BEGIN = -1
Context = tuple[int, ...]
Tree = frozenset[Context]


def text(n: int, n_tokens: int, seed: int = 0) -> list[int]:
    """Tokens of which each depends on two before, or after 0 on one."""
    rng = np.random.default_rng(seed)
    rows = rng.dirichlet(np.full(n_tokens, 0.3), size=(n_tokens, n_tokens))
    tokens = [0, 1]
    for _ in range(n - 2):
        before = 0 if tokens[-1] == 0 else tokens[-2]
        tokens.append(int(rng.choice(n_tokens, p=rows[before, tokens[-1]])))
    return tokens


# --- the slow twin: all trees, one by one


def all_trees(context: Context, n_tokens: int, depth: int, deeper: float) -> Iterator[Any]:
    """Each set of leaves below a context, with its prior probability."""
    if len(context) == depth or context[:1] == (BEGIN,):
        yield frozenset([context]), 1.0
        return
    yield frozenset([context]), 1.0 - deeper
    longer = [
        list(all_trees((v, *context), n_tokens, depth, deeper)) for v in (BEGIN, *range(n_tokens))
    ]
    for parts in itertools.product(*longer):
        leaves: Tree = frozenset().union(*(each for each, _ in parts))
        yield leaves, deeper * math.prod(p for _, p in parts)


def leaf_of(tree: Tree, before: Sequence[int], depth: int) -> Context:
    led = (*[BEGIN] * depth, *before)
    (found,) = {led[len(led) - d :] for d in range(depth + 1)} & tree
    return found


def log_leaf(prior: mb.DirichletMixture, counts: Counter[int]) -> float:
    terms = []
    for weight, alpha in zip(prior.weights, prior.alpha, strict=True):
        n = np.array([counts[v] for v in range(len(alpha))])
        own = gammaln(alpha + n) - gammaln(alpha)
        total = gammaln(alpha.sum() + n.sum()) - gammaln(alpha.sum())
        terms.append(np.log(weight) + own.sum() - total)
    return float(logsumexp(terms))


def log_joint(tree: Tree, weight: float, documents: Any, prior: Any, depth: int) -> float:
    counts: dict[Context, Counter[int]] = defaultdict(Counter)
    for each in documents:
        for i, token in enumerate(each):
            counts[leaf_of(tree, each[:i], depth)][token] += 1
    return math.log(weight) + sum(log_leaf(prior, each) for each in counts.values())


PRIORS = {
    "one": lambda v: mb.DirichletMixture([1.0], np.linspace(0.3, 1.1, v)[np.newaxis]),
    "two": lambda v: mb.DirichletMixture([0.3, 0.7], [np.full(v, 0.1), np.linspace(1, 2, v)]),
}
CASES = [(2, 3, 0.5, "one"), (2, 3, 0.2, "two"), (3, 2, 0.5, "two"), (3, 2, 0.9, "one")]


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Any:
    n_tokens, depth, deeper, name = request.param
    prior = PRIORS[name](n_tokens)
    documents = [text(40, n_tokens, 1), text(9, n_tokens, 2), [1], []]
    trees = list(all_trees((), n_tokens, depth, deeper))
    joint = np.array([log_joint(*each, documents, prior, depth) for each in trees])
    empty = mb.TransitionMatrix("tree", depth=depth, deeper=deeper, prior=prior)
    return empty, documents, [tree for tree, _ in trees], joint


def ids(tree: Tree, n_tokens: int) -> set[Context]:
    return {tuple(n_tokens if v == BEGIN else v for v in leaf) for leaf in tree}


def test_there_are_as_many_trees_as_there_are() -> None:
    assert len(list(all_trees((), 2, 3, 0.5))) == 26
    assert len(list(all_trees((), 3, 2, 0.5))) == 9
    assert sum(p for _, p in all_trees((), 2, 3, 0.3)) == pytest.approx(1.0, abs=1e-12)


def test_the_evidence_is_the_sum_over_all_trees(case: Any) -> None:
    empty, documents, _, joint = case
    assert empty.log_evidence(documents) == pytest.approx(float(logsumexp(joint)), abs=1e-10)


def test_rows_are_means_over_trees_and_ratios_of_evidence(case: Any) -> None:
    empty, documents, trees, joint = case
    matrix, n_tokens, depth = empty.copy().update(documents), empty.n_tokens, empty.order
    prior, shares = empty.prior, np.exp(joint - logsumexp(joint))
    for before in ([], [1], [0, 1], [1, 1, 0], [0, 0, 1, 0]):
        context = np.r_[matrix.begin, before].astype(int)
        row = matrix.predict(context)
        assert row.sum() == pytest.approx(1.0, abs=1e-12)
        told = np.zeros(depth + 1)
        for tree, share in zip(trees, shares, strict=True):
            told[len(leaf_of(tree, before, depth))] += share
        assert_allclose(matrix.posterior_order(context), told, atol=1e-10)
        for token in range(n_tokens):
            more = [*documents, [*before, token]]
            ratio = empty.log_evidence(more) - empty.log_evidence([*documents, before])
            # ... of a text that goes on: after it was learnt
            learnt = empty.copy().update([*documents, before])
            assert math.log(learnt.predict(context)[token]) == pytest.approx(ratio, abs=1e-9)
        slow = np.zeros(n_tokens)
        for tree, share in zip(trees, shares, strict=True):
            leaf, counts = leaf_of(tree, before, depth), Counter()
            for each in documents:
                counts.update(
                    t for i, t in enumerate(each) if leaf_of(tree, each[:i], depth) == leaf
                )
            known = log_leaf(prior, counts)
            slow += share * np.exp(
                [log_leaf(prior, counts + Counter([v])) - known for v in range(n_tokens)]
            )
        assert_allclose(row, slow, rtol=1e-10)
        assert_allclose(matrix.posterior(context).mean(), row, rtol=1e-10)


def test_the_best_tree_is_the_most_probable_one(case: Any) -> None:
    empty, documents, trees, joint = case
    matrix, depth = empty.copy().update(documents), empty.order
    seen: dict[frozenset[Context], list[float]] = defaultdict(list)
    for tree, log_p in zip(trees, joint, strict=True):
        met = {leaf_of(tree, each[:i], depth) for each in documents for i in range(len(each))}
        seen[frozenset(met)].append(float(log_p))
    best = max(seen, key=lambda met: logsumexp(seen[met]))
    found = {tuple(map(int, leaf)) for leaves in matrix.best_tree() for leaf in leaves}
    assert found == ids(best, empty.n_tokens)


def test_posterior_order_on_average_weighs_what_came(case: Any) -> None:
    empty, documents, trees, joint = case
    matrix, depth = empty.copy().update(documents), empty.order
    told = np.zeros(depth + 1)
    for tree, share in zip(trees, np.exp(joint - logsumexp(joint)), strict=True):
        for each in documents:
            for i in range(len(each)):
                told[len(leaf_of(tree, each[:i], depth))] += share
    assert_allclose(matrix.posterior_order(), told / told.sum(), atol=1e-10)


# --- laws


def tree(depth: int = 3, n_tokens: int = 4, **options: Any) -> mb.TransitionMatrix:
    return mb.TransitionMatrix("tree", depth=depth, n_tokens=n_tokens, **options)


def test_the_chain_rule() -> None:
    tokens, matrix, total = text(60, 3), tree(3, 3, prior=0.4), 0.0
    for i, token in enumerate(tokens):
        context = np.r_[matrix.begin, tokens[:i]].astype(int)
        total += math.log(matrix.predict(context)[token])
        matrix.update([token], continued=i > 0)
    assert tree(3, 3, prior=0.4).log_evidence(tokens) == pytest.approx(total, abs=1e-10)
    half = tree(3, 3, prior=0.4).update(tokens[:30])
    whole = tree(3, 3, prior=0.4)
    assert half.log_evidence([tokens]) == pytest.approx(
        whole.log_evidence([tokens[:30], tokens]) - whole.log_evidence(tokens[:30]), abs=1e-10
    )


def test_updates_and_merges_in_any_order() -> None:
    documents = [text(200, 4, seed) for seed in range(4)]
    once = tree().update(documents)
    contexts = np.array(list(itertools.product(range(5), repeat=3)))
    parts = tree().update(documents[3]).update(documents[1:3]).update(documents[0])
    merged = sum(tree().update(each) for each in documents)
    cut = tree().update(documents[0][:77]).update(documents[0][77:], continued=True)
    cut.update(documents[1:])
    given = tree().update_rows(once.contexts(), once.rows().toarray().astype(int))
    for other in (parts, merged, cut, given, pickle.loads(pickle.dumps(once))):
        assert_array_equal(other.counts(contexts), once.counts(contexts))
        assert_array_equal(other.predict(contexts), once.predict(contexts))
        assert other.n_observed == once.n_observed == 800
    assert once.empty().log_evidence([]) == 0.0
    assert once.log_evidence([]) == 0.0


def test_rows_sum_to_one_and_agree_with_pairs() -> None:
    matrix = tree(4, 300, prior=0.01).update(text(3000, 300))
    contexts = np.array([[1, 2, 3, 4], [300, 300, 0, 1], [7, 0, 1, 0], [299, 299, 299, 299]])
    rows = matrix.predict(contexts)
    assert_allclose(rows.sum(axis=1), 1.0, atol=1e-12)
    assert_allclose(matrix.posterior_order(contexts).sum(axis=1), 1.0, atol=1e-12)
    tokens, probs = matrix.predict(contexts, top=3)
    assert_allclose(np.take_along_axis(rows, tokens, 1), probs)
    scored = text(50, 300, 5)
    led = np.r_[matrix.begin, scored]
    each = [matrix.predict(led[i : i + 4])[scored[i]] for i in range(50)]
    assert matrix.log_prob(scored) == pytest.approx(np.log(each).sum(), abs=1e-9)


def test_the_order_of_a_chain_is_found() -> None:
    rng = np.random.default_rng(0)
    rows, tokens = rng.dirichlet(np.full(3, 0.5), size=(3, 3)), [0, 0]
    for _ in range(20_000):
        tokens.append(int(rng.choice(3, p=rows[tokens[-2], tokens[-1]])))
    found = tree(5, 3).update(tokens)
    assert found.posterior_order()[2] > 0.9
    fixed = [mb.TransitionMatrix(m, n_tokens=3).log_evidence(tokens) for m in (1, 2, 3)]
    assert tree(5, 3).log_evidence(tokens) > max(fixed) - 30.0
    drawn = found.generate(2_000, rng=1)
    assert found.perplexity(drawn) == pytest.approx(found.perplexity(tokens), rel=0.1)


def test_the_prior_of_leaves_has_the_highest_evidence() -> None:
    documents = [text(400, 3, seed) for seed in range(3)]
    found = tree(3, 3, prior=2.0).update(documents).fit_prior()
    alpha = found.prior.alpha

    def evidence(scale: Any) -> float:
        prior = mb.DirichletMixture([1.0], alpha * scale)
        return tree(3, 3, prior=prior).log_evidence(documents)

    best = evidence(1.0)
    assert best > tree(3, 3, prior=2.0).log_evidence(documents)
    for scale in (0.97, 1.03, [[1.0, 1.0, 1.05]], [[0.95, 1.0, 1.0]]):
        assert evidence(np.array(scale)) < best
    two = tree(3, 3, prior=2.0).update(documents).fit_prior(2)
    assert two.prior.n_components == 2
    assert two.empty().log_evidence(documents) > best - 1e-3


def test_shorter_contexts_end_where_they_are_known() -> None:
    matrix = tree().update(text(500, 4))
    assert matrix.posterior_order([1]).shape == (2,)
    assert_allclose(matrix.predict(np.zeros((1, 0), dtype=int)).sum(), 1.0)
    shares, row = matrix.posterior_order([1]), matrix.predict([1])
    counts = mb.TransitionMatrix(1, n_tokens=4).update(text(500, 4))
    everything = np.bincount(text(500, 4), minlength=4)
    assert_allclose(row, shares[0] * (1 + everything) / 504 + shares[1] * counts[1], rtol=1e-10)


def test_a_saved_tree_is_opened(tmp_path: Path) -> None:
    matrix = tree(3, 4, prior=0.3, deeper=0.25).update(text(300, 4))
    matrix.save(tmp_path / "tree")
    found = mb.TransitionMatrix.open(tmp_path / "tree")
    assert (found.is_tree, found.deeper, found.order) == (True, 0.25, 3)
    assert_array_equal(found.predict([1, 2, 3]), matrix.predict([1, 2, 3]))
    found.update(text(20, 4), continued=True)
    matrix.update(text(20, 4), continued=True)
    assert_array_equal(found.predict([1, 2, 3]), matrix.predict([1, 2, 3]))
    assert "tree of contexts" in repr(found)


def test_what_a_tree_is_refused() -> None:
    for wrong, said in (
        ({"order": "trie"}, '"tree"'),
        ({"order": 2, "depth": 3}, "depth"),
        ({"order": 2, "deeper": 0.5}, "deeper"),
        ({"depth": 17}, "depth"),
        ({"deeper": 1.0}, "deeper"),
        ({"deeper": 0.0}, "deeper"),
        ({"hierarchical": True}, "hierarchical"),
        ({"discount": 0.5}, "discount"),
        ({"n_tokens": 2**32}, "2\\*\\*32"),
    ):
        with pytest.raises(ValueError, match=said):
            mb.TransitionMatrix(**{"order": "tree", "n_tokens": 3, **wrong})
    with pytest.raises(ValueError, match="fade"):
        tree().forget(0.5)
    plain = mb.TransitionMatrix(3, n_tokens=4)
    with pytest.raises(ValueError, match="posterior_order"):
        plain.posterior_order()
    with pytest.raises(ValueError, match="best_tree"):
        plain.best_tree()
    with pytest.raises(ValueError, match="is_tree"):
        plain.merge(tree())
