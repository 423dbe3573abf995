"""What rows refuse, and copies where they are asked for."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import matrixbayes as mb
from matrixbayes.rows.ingest import rows_asked_for
from matrixbayes.rows.partial_groups import Places

LOGS = np.log(np.array([[0.25, 0.75], [0.5, 0.5]]))


def test_contexts_that_are_not_known_are_refused() -> None:
    rows = mb.NextTokenRows(LOGS)
    with pytest.raises(ValueError, match="their contexts are not known"):
        rows.context(0)


def test_an_array_of_rows_is_a_copy_where_that_is_asked_for() -> None:
    rows = mb.NextTokenRows(LOGS)
    copy = np.array(rows, copy=True)
    assert np.array_equal(copy, rows.log_probs)
    assert not np.shares_memory(copy, rows.log_probs)


def test_outputs_of_encoder_decoders_are_refused() -> None:
    output = SimpleNamespace(encoder_hidden_states=None, sequences=np.zeros((1, 2), int))
    with pytest.raises(ValueError, match="encoder-decoder"):
        mb.NextTokenRows.from_logits(output)


def test_a_mask_of_another_shape_is_refused() -> None:
    output = SimpleNamespace(sequences=np.zeros((1, 3), int), logits=[np.zeros((1, 4))])
    with pytest.raises(ValueError, match=r"attention_mask is \(1, 5\), the prompts are \(1, 2\)"):
        mb.NextTokenRows.from_logits(output, attention_mask=np.ones((1, 5), int))


def test_tokens_of_one_text_are_found_together() -> None:
    names, ids = ("a<1>", "a<2>", "b"), np.array([1, 2, 3])
    places = Places(names, ids, 3, False)
    assert places.of("a", "token") == [0, 1]
    assert places.of(3, "token") == [2]
    with pytest.raises(TypeError, match="neither a name nor a number"):
        places.of(1.5, "token")


def test_rows_that_were_asked_for_are_read_from_lists_or_refused() -> None:
    found = rows_asked_for([[0.25, 0.75], [0.5, 0.5]], (1, 2, 2), "probs", "the model")
    np.testing.assert_allclose(found, [LOGS])
    with pytest.raises(ValueError, match=r"the model gave shape \(1, 1\); it must be \(1, 2, 2\)"):
        rows_asked_for([[0.0]], (1, 2, 2), "probs", "the model")
    with pytest.raises(TypeError, match="the model gave no rows: rows are int64"):
        rows_asked_for(np.ones((1, 2, 2), int), (1, 2, 2), "probs", "the model")
    with pytest.raises(ValueError, match="no distribution for sequence 3, position 5"):
        rows_asked_for(np.full((1, 2, 2), [[0.5], [1.0]]), (1, 2, 2), "probs", "the model", (3, 4))
