"""The chain rule over a tree of answers, against all continuations one by one."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from matrixbayes.huggingface.answers import OTHER, make_columns
from matrixbayes.huggingface.chains import by_chain_rule, passes
from matrixbayes.huggingface.prompts import Prompt
from matrixbayes.rows import NextTokenRows

V, DEPTH = 3, 3


def row(context: tuple[int, ...]) -> np.ndarray:
    """A model: some distribution after each context."""
    seed = int("1" + "".join(map(str, context)))
    return np.random.default_rng(seed).dirichlet(np.full(V, 0.7))


def run(prompts: Any, positions: Any, groups: dict[str, list[int]], states: bool) -> NextTokenRows:
    """What `collect` does, over groups of ids."""
    places = [[-1]] * len(prompts) if positions == "last" else positions
    contexts = [
        tuple(map(int, p[: int(k) % len(p) + 1]))
        for p, own in zip(prompts, places, strict=True)
        for k in own
    ]
    every = np.array([row(context) for context in contexts])
    taken = [i for ids in groups.values() for i in ids]
    columns = [every[:, ids].sum(axis=1) for ids in groups.values()]
    names = [*groups]
    if len(taken) < V:
        columns.append(np.delete(every, taken, axis=1).sum(axis=1))
        names.append(OTHER)
    return NextTokenRows(
        np.log(np.stack(columns, axis=1)),
        tokens=names,
        input_ids=np.concatenate(contexts),
        offsets=np.cumsum([0, *map(len, contexts)]),
    )


spellings = st.lists(st.integers(0, V - 1), min_size=1, max_size=DEPTH).map(tuple)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(spellings, st.sampled_from("abc"), min_size=2, max_size=8),
    st.lists(st.integers(0, V - 1), min_size=1, max_size=3),
)
def test_every_continuation_counts_once(owner: dict[Any, str], prompt: list[int]) -> None:
    vocab: dict[str, list[Any]] = {}
    for pieces, name in owner.items():
        vocab.setdefault(name, []).append(pieces)
    assume(len(vocab) > 1 and max(map(len, owner)) > 1)
    columns = make_columns(None, vocab, V, several=True)
    inner = {pieces[:n] for pieces in owner for n in range(len(pieces))}
    assert passes(columns) <= len(inner) - 1
    places = np.arange(len(prompt))
    found = by_chain_rule(run, [Prompt(np.array(prompt), places)], columns)
    assert found.tokens == (*vocab, OTHER)
    for k in places:
        context = tuple(prompt[: k + 1])
        expected = dict.fromkeys(found.tokens or (), 0.0)
        for future in itertools.product(range(V), repeat=DEPTH):
            p = np.prod([row((*context, *future[:n]))[future[n]] for n in range(DEPTH)])
            begun = [future[:n] for n in range(DEPTH, 0, -1) if future[:n] in owner]
            expected[owner[begun[0]] if begun else OTHER] += float(p)
        np.testing.assert_allclose(found.probs()[k], [*expected.values()], atol=1e-12)
