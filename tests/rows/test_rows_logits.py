"""`NextTokenRows.from_logits`: arrays at hand, and the output of `generate`."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax

from matrixbayes.rows import NextTokenRows

P = np.array([[0.1, 0.2, 0.7], [0.25, 0.25, 0.5], [0.0, 0.5, 0.5], [1 / 3, 1 / 3, 1 / 3]])
with np.errstate(divide="ignore"):
    LOG_P = np.log(P)


# --- from logits


def test_from_logits() -> None:
    rows = NextTokenRows.from_logits(LOG_P + 2.0, tokens="abc", meta={"from": "here"})
    np.testing.assert_allclose(rows.log_probs, LOG_P, atol=1e-15)
    assert rows.tokens == ("a", "b", "c")
    assert rows.meta == {"from": "here"}
    np.testing.assert_allclose(NextTokenRows.from_logits(P, kind="probs").probs(), P)


def test_a_whole_batch_of_logits_is_refused() -> None:
    with pytest.raises(ValueError, match="padding included"):
        NextTokenRows.from_logits(np.zeros((2, 5, 3)))
    with pytest.raises(ValueError, match="padding included"):
        NextTokenRows.from_logits(types.SimpleNamespace(logits=np.zeros((2, 5, 3))))
    with pytest.raises(ValueError, match="could be scores as well"):
        NextTokenRows.from_logits((np.zeros((2, 3)), np.zeros((2, 3))))


class Output:
    """What `generate` of a decoder-only model returns."""

    def __init__(self, sequences: Any, logits: Any = None, scores: Any = None) -> None:
        torch = pytest.importorskip("torch")
        self.sequences = torch.tensor(sequences)
        self.logits, self.scores = logits, scores


STEPS = tuple(np.random.default_rng(step).normal(size=(2, 5)) for step in range(3))


def test_the_output_of_generate() -> None:
    output = Output([[0, 1, 2, 3, 4], [3, 3, 4, 1, 1]], STEPS)
    rows = NextTokenRows.from_logits(output, eos_token_id=[])
    exact = [log_softmax(STEPS[s][b]) for b in range(2) for s in range(3)]
    np.testing.assert_allclose(rows.log_probs, exact, atol=1e-15)
    contexts = [rows.context(i).tolist() for i in range(6)]
    assert contexts == [[0, 1], [0, 1, 2], [0, 1, 2, 3], [3, 3], [3, 3, 4], [3, 3, 4, 1]]
    assert rows.meta["prompt"] == [0, 0, 0, 1, 1, 1]
    assert rows.meta["position"] == [1, 2, 3, 1, 2, 3]


def test_what_comes_after_an_end_is_left_out() -> None:
    output = Output([[9, 1, 0, 3, 4], [3, 3, 4, 1, 0]], STEPS)
    rows = NextTokenRows.from_logits(output, eos_token_id=0, attention_mask=[[0, 1], [1, 1]])
    contexts = [rows.context(i).tolist() for i in range(len(rows))]
    assert contexts == [[1], [3, 3], [3, 3, 4], [3, 3, 4, 1]]
    np.testing.assert_allclose(rows.log_probs[0], log_softmax(STEPS[0][0]), atol=1e-15)
    with pytest.raises(ValueError, match="say which ids end one"):
        NextTokenRows.from_logits(output)


def test_scores_are_refused_with_the_fix() -> None:
    for output in (Output([[0, 1]], scores=STEPS), Output([[0, 1]])):
        with pytest.raises(ValueError, match="output_logits=True"):
            NextTokenRows.from_logits(output)
    output = Output([[0, 1]], STEPS)
    output.beam_indices = [0]  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="num_beams=1"):
        NextTokenRows.from_logits(output)
    with pytest.raises(ValueError, match="holds logits, not 'probs'"):
        NextTokenRows.from_logits(Output([[0, 1]], STEPS), kind="probs")
