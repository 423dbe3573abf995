"""Rows of 16-bit codes: what comes back of rows that a slow writer encoded, bounds, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
from numpy.testing import assert_allclose

from matrixbayes import _core

WIDTHS = (1, 2, 3, 31, 32, 33, 64, 1000, 1024, 1025, 3001)


def rows_of(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities in double precision."""
    x = logits.astype(float)
    x -= x.max(axis=1, keepdims=True)
    return np.asarray(x - np.log(np.exp(x).sum(axis=1, keepdims=True)))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("spread", [0.0, 0.1, 1.0, 4.0, 12.0, 100.0])
def test_codes_are_half_a_step_off_and_bounds_hold(width: int, spread: float) -> None:
    rng = np.random.default_rng(width)
    logits = rng.normal(20.0, 1.0, (4, width)).astype(np.float32) * np.float32(spread)
    codes = reference.codes(logits)
    log_probs, n_censored, rest = _core.decode_rows(codes, width)
    wanted = rows_of(logits)
    assert (log_probs.dtype, log_probs.shape) == (np.float32, logits.shape)
    floor = wanted.max(axis=1) - 16.0
    reaches = wanted.min(axis=1) < floor
    censored = (codes[:, 4 : 4 + width] == 0) & reaches[:, None]
    assert n_censored.tolist() == censored.sum(axis=1).tolist()
    assert_allclose(log_probs[~censored], wanted[~censored], rtol=0, atol=2.5e-4)
    assert (log_probs <= floor[:, None] + 2.5e-4)[censored].all()
    assert np.isfinite(log_probs).all()
    mass = np.where(censored, np.exp(wanted), 0.0).sum(axis=1)
    assert (rest[:, 0] <= mass).all()
    assert (mass <= rest[:, 1] + 1e-300).all()
    assert (rest[:, 1] <= n_censored * np.exp(floor + 1e-4)).all()
    own = np.where(censored, np.exp(log_probs.astype(float)), 0.0).sum(axis=1)
    assert_allclose(own, rest.mean(axis=1), rtol=1.4e-4, atol=1e-300)
    assert_allclose(np.exp(log_probs.astype(float)).sum(axis=1), 1.0, rtol=0, atol=2e-6)
    assert _core.check_log_probs(log_probs)[0] == 0


def test_a_token_that_cannot_come_is_censored_not_zero() -> None:
    logits = np.array([[2.0, 1.0, -np.inf, 0.0], [1.0, 1.0, 1.0, 1.0]], np.float32)
    with np.errstate(invalid="ignore"):
        log_probs, n_censored, rest = _core.decode_rows(reference.codes(logits), 4)
    assert n_censored.tolist() == [1, 0]
    assert np.isfinite(log_probs).all()
    assert rest[0, 0] == 0.0
    assert 0.0 < rest[0, 1] < 1e-7
    assert_allclose(log_probs[1], np.log(0.25), rtol=1e-6)


def test_large_logits_round_as_the_writers_do() -> None:
    logits = np.array([[30_000.0, 29_990.0, 29_000.0], [-9e4, -9e4 - 15.5, -9e4 - 40]], np.float32)
    log_probs, n_censored, _ = _core.decode_rows(reference.codes(logits), 3)
    assert n_censored.tolist() == [1, 1]
    assert_allclose(log_probs[:, :2], rows_of(logits)[:, :2], rtol=0, atol=2e-4)


def even(n: int, width: int, scale: Any = 0.0, least: Any = None) -> np.ndarray:
    codes = np.zeros((n, width + 4), np.uint16)
    least = -np.log(width) if least is None else least
    codes[:, :4] = np.array([scale, least], np.float32).view(np.uint16)
    return codes


@pytest.mark.parametrize(
    ("scale", "least", "says"),
    [
        (np.nan, -1.0, "scale is nan"),
        (np.inf, -1.0, "scale is inf"),
        (-1e-7, -1.0, "scale is -1e-07"),
        (1.0, -1.0, "scale is 1"),
        (0.0, np.nan, "least log-probability is nan"),
        (0.0, -np.inf, "least log-probability is -inf"),
        (0.0, -1.0, "sum to 1.10364"),
        (0.0, -2.0, "sum to 0.406006"),
        (0.0, 3e38, "sum to"),
        (0.0, -3e38, "sum to"),
    ],
)
def test_a_damaged_row_is_named(scale: float, least: float, says: str) -> None:
    codes = np.vstack([even(3, 3), even(1, 3, scale, least), even(1, 3)])
    with pytest.raises(ValueError, match=rf"^row 3 is damaged: .*{says}"):
        _core.decode_rows(codes, 3)


def test_rows_of_a_single_changed_code() -> None:
    rng = np.random.default_rng(3)
    codes = reference.codes(rng.normal(0.0, 2.0, (1, 40)).astype(np.float32))
    codes[0, 4 + codes[0, 4:44].argmax()] -= 500  # 0.12 nats
    with pytest.raises(ValueError, match="no distribution"):
        _core.decode_rows(codes, 40)


def test_the_same_in_any_layout_and_with_padding() -> None:
    codes = reference.codes(np.random.default_rng(0).normal(0, 3, (6, 33)).astype(np.float32))
    assert codes.shape == (6, 38)
    wanted = _core.decode_rows(codes, 33)
    padded = codes.copy()
    padded[:, -1] = 12_345
    swapped, strided = codes.astype(">u2"), np.repeat(codes, 2, axis=1)[:, ::2]
    for given in (padded, swapped, strided, np.asfortranarray(codes), codes[::-1][::-1]):
        for got, right in zip(_core.decode_rows(given, 33), wanted, strict=True):
            np.testing.assert_array_equal(got, right)


@pytest.mark.parametrize(
    ("codes", "n", "error"),
    [
        (even(2, 3).astype(np.int32), 3, TypeError),
        (even(2, 3).astype(np.float32), 3, TypeError),
        (even(2, 3)[0], 3, ValueError),
        (even(2, 3), 4, ValueError),
        (even(2, 3), 0, ValueError),
        (even(2, 3), -1, ValueError),
        (even(2, 3)[:, :3], 1, ValueError),
        (even(2, 3), 2**62, ValueError),
        (even(2, 3), 2**70, OverflowError),
        (np.ma.masked_array(even(2, 3), mask=True), 3, ValueError),
    ],
)
def test_other_arguments_are_refused(codes: Any, n: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        _core.decode_rows(codes, n)
