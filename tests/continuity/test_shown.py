"""What results of continuity say in words, in tables and in pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import matrixbayes as mb

RNG = np.random.default_rng(5)
MATRIX = RNG.normal(size=(12, 3))
STATES = RNG.normal(size=(40, 3))


def rows(states: Any = STATES) -> Any:
    scores = states @ MATRIX.T
    return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


def results() -> dict[str, Any]:
    return {
        "affine": mb.affine_test(STATES, rows(), kind="log_probs"),
        "segment": mb.probe_segment(MATRIX, STATES[0], STATES[1]),
        "bound": mb.head_bound(MATRIX, STATES, rng=0),
        "span": mb.span_of(rows(), MATRIX, kind="log_probs"),
        "span alone": mb.span_of(rows(), kind="log_probs"),
        "pairs": mb.EmbeddingMap(STATES, rows(), kind="log_probs").all_pairs(),
    }


@pytest.mark.parametrize("name", ["affine", "segment", "bound", "span", "span alone", "pairs"])
def test_every_result_is_words_a_table_and_a_picture(name: str) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("matplotlib")
    from matplotlib import pyplot

    found = results()[name]
    assert type(found).__name__ in repr(found)
    assert len(found.to_pandas())
    ax = found.plot()
    pyplot.close(ax.figure)


def test_the_rows_of_a_head_are_in_its_span() -> None:
    found = results()
    assert "the head can produce all of them" in found["span"].verdict()
    assert "a head of width 3 can produce them" in found["span alone"].verdict()
    beside = mb.span_of(rows() + 0.0, RNG.normal(size=(12, 3)), kind="log_probs")
    assert "can produce all of them" not in beside.verdict()
    assert "EmbeddingMap: 40 embeddings of 3 numbers, rows over 12 tokens" in repr(
        mb.EmbeddingMap(STATES, rows(), kind="log_probs")
    )


def test_a_bound_of_no_pair_says_nothing() -> None:
    assert "there is no pair of states" in mb.head_bound(MATRIX, STATES[:1], rng=0).verdict()
