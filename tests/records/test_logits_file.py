"""Files of whole-vocabulary rows that llama.cpp writes: rows, contexts, fits, damaged files."""

from __future__ import annotations

import pickle
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
from numpy.testing import assert_allclose, assert_array_equal

import matrixbayes as mb
from matrixbayes.records.logits_file import LogitsFile, read_logits_file

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="the files are little-endian")


def head(n_ctx: int, n_vocab: int, n_chunk: int) -> bytes:
    return b"_logits_" + struct.pack("<3i", n_ctx, n_vocab, n_chunk)


def contents(n_ctx: int, n_vocab: int, n_chunk: int, spread: float = 3.0) -> tuple[bytes, Any, Any]:
    """A file by the definition of the format, its tokens, and its rows in double precision."""
    rng = np.random.default_rng(n_ctx)
    tokens = rng.integers(0, n_vocab, (n_chunk, n_ctx)).astype("<i4")
    n_rows = n_chunk * len(range(n_ctx // 2, n_ctx - 1))
    logits = rng.normal(0.0, spread, (n_rows, n_vocab)).astype(np.float32)
    x = logits.astype(float)
    x -= np.log(np.exp(x).sum(axis=1, keepdims=True))
    data = head(n_ctx, n_vocab, n_chunk) + tokens.tobytes()
    return data + reference.codes(logits).astype("<u2").tobytes(), tokens, x


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    path = tmp_path_factory.mktemp("logits") / "model.kld"
    data, tokens, wanted = contents(17, 301, 5)
    path.write_bytes(data)
    return path, tokens, wanted


@pytest.fixture
def file(made: tuple[Path, Any, Any]) -> LogitsFile:
    found = read_logits_file(made[0])
    assert isinstance(found, LogitsFile)
    return found


# --- what is in it


@pytest.mark.parametrize("n_ctx", [3, 4, 5, 16, 33])
@pytest.mark.parametrize("n_vocab", [1, 2, 7, 8])
def test_every_row_and_its_context(n_ctx: int, n_vocab: int, tmp_path: Path) -> None:
    data, tokens, wanted = contents(n_ctx, n_vocab, 3, spread=1.0)
    path = tmp_path / "a file"
    path.write_bytes(data)
    rows = read_logits_file(path)[:]
    places = [(c, k) for c in range(3) for k in range(n_ctx // 2, n_ctx - 1)]
    assert_allclose(rows.log_probs, wanted, rtol=0, atol=2.5e-4)
    assert rows.meta["prompt"] == [c for c, _ in places]
    assert rows.meta["position"] == [k for _, k in places]
    for i, (c, k) in enumerate(places):
        assert rows.context(i).tolist() == tokens[c, : k + 1].tolist()


def test_two_thousand_rows_stream_into_the_fit_of_their_array(tmp_path: Path) -> None:
    data, _, wanted = contents(402, 30, 10, spread=1.0)
    (tmp_path / "file").write_bytes(data)
    file = read_logits_file(tmp_path / "file")
    assert file.shape == (2000, 30)
    fitted = mb.DirichletMixtureEstimator(1, max_iter=30).fit(file)
    again = mb.DirichletMixtureEstimator(1, max_iter=30).fit(file[:])
    assert_array_equal(fitted.prior_.alpha, again.prior_.alpha)
    full = mb.DirichletMixtureEstimator(1, max_iter=30, kind="log_probs").fit(wanted)
    assert_allclose(fitted.prior_.alpha, full.prior_.alpha, rtol=1e-4)
    small = mb.DirichletMixtureEstimator(1, max_iter=5, resolution=20, random_state=0)
    assert_array_equal(small.fit(file).prior_.alpha, small.fit(file[:]).prior_.alpha)


def test_it_is_a_sequence_of_rows(file: LogitsFile, made: tuple[Path, Any, Any]) -> None:
    rows = file[:]
    assert (len(file), file.shape, rows.shape) == (40, (40, 301), (40, 301))
    assert_array_equal(file[7], rows[7])
    assert_array_equal(file[-1], rows[-1])
    for key in (slice(3, 30, 4), slice(None, None, -1), [5, 2, 2], np.arange(40) % 3 == 0, []):
        assert_array_equal(file[key].log_probs, rows[key].log_probs)
        assert_array_equal(file[key].input_ids, rows[key].input_ids)
        assert file[key].meta["position"] == rows[key].meta["position"]
    assert_array_equal(np.stack(list(file)), rows.log_probs)
    assert_array_equal(np.asarray(file), rows.log_probs)
    for wrong in (40, -41):
        with pytest.raises(IndexError):
            file[wrong]
    with pytest.raises(IndexError):
        file["a"]
    part = read_logits_file(made[0], rows=slice(5, None, 3))
    assert_array_equal(part[:].log_probs, rows[5::3].log_probs)
    assert part[:].meta["position"] == rows[5::3].meta["position"]
    assert_array_equal(pickle.loads(pickle.dumps(part))[:].log_probs, part[:].log_probs)
    assert repr(file).startswith("LogitsFile: 40 rows over 301 tokens, of 5 chunks of 17 tokens")
    assert "LogitsFile" in file._repr_html_()
    assert len(repr(file).splitlines()) <= 10


def test_the_file_becomes_a_table_and_a_picture(file: LogitsFile) -> None:
    pytest.importorskip("pandas")
    assert file.to_pandas("probs").shape == file.shape
    figure = pytest.importorskip("matplotlib.figure").Figure()
    ax = figure.subplots()
    assert file.plot(ax=ax) is ax
    assert len(ax.get_yticklabels()) > 2


def test_many_blocks_are_as_one(file: LogitsFile, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, (n, mass) = file[:], file.censored()
    monkeypatch.setattr("matrixbayes.records.logits_file.BLOCK_BYTES", 4 * 301 * 3)
    assert file.chunks == (3, 301)
    assert_array_equal(file[:].log_probs, rows.log_probs)
    assert file[:].meta == rows.meta
    assert_array_equal(file.censored()[0], n)
    assert_array_equal(file.censored()[1], mass)
    assert_array_equal(np.stack(list(file)), rows.log_probs)


def test_censored_tokens_are_counted_and_their_mass_is_bounded(
    file: LogitsFile, made: tuple[Path, Any, Any]
) -> None:
    wanted = made[2]
    below = wanted < wanted.max(axis=1, keepdims=True) - 16.0
    n, mass = file.censored()
    truth = np.where(below, np.exp(wanted), 0.0).sum(axis=1)
    assert n.tolist() == below.sum(axis=1).tolist()
    assert n.sum() > 0
    assert ((mass[:, 0] <= truth) & (truth <= mass[:, 1])).all()
    assert file.censored(slice(3, 5))[0].tolist() == n[3:5].tolist()
    assert file.censored([])[1].shape == (0, 2)
    said = file[:].meta["censored"]
    assert said == {"entries": n.sum(), "most_mass": mass[:, 1].max()}
    assert file[:].meta["half_step"] == pytest.approx(8 / 65535, rel=1e-3)


def test_rows_known_in_part_bound_what_is_censored(
    file: LogitsFile, made: tuple[Path, Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, (n, mass) = made[2], file.censored()
    monkeypatch.setattr("matrixbayes.records.logits_file.BLOCK_BYTES", 4 * 301 * 3)
    rows = file.partial()
    assert rows.n_missing.tolist() == n.tolist()
    assert_allclose(np.exp(rows.rest), mass.mean(axis=1), rtol=1e-6)
    assert_array_equal(rows.input_ids, file[:].input_ids)
    assert rows.meta["position"] == file[:].meta["position"]
    i = int(n.argmax())
    token = int(wanted[i].argmin())
    low, high = rows.prob(token)[i]
    assert low <= np.exp(wanted[i, token]) <= high <= np.exp(wanted[i].max() - 16.0 + 1e-3)
    answer = rows[[i]].group({"far": [token, int(wanted[i].argsort()[1])]})
    assert not isinstance(answer, mb.NextTokenRows)
    assert_array_equal(file.partial([3, 7]).log_probs, rows[[3, 7]].log_probs)
    assert len(file.partial([])) == 0


def test_answers_are_grouped_without_the_rows_of_all_tokens(
    made: tuple[Path, Any, Any], file: LogitsFile
) -> None:
    vocab = {"yes": [3, 5, 300], "no": 7}
    rows = read_logits_file(made[0], vocab=vocab)
    assert isinstance(rows, mb.NextTokenRows)
    probs = np.exp(file[:].log_probs.astype(float))
    wanted = np.stack([probs[:, [3, 5, 300]].sum(axis=1), probs[:, 7]], axis=1)
    assert rows.tokens == ("yes", "no", "<other>")
    assert_allclose(rows.probs()[:, :2], wanted, rtol=1e-5)
    assert rows.meta["groups"] == {"yes": [3, 5, 300], "no": [7]}
    assert rows.meta["rest"]["ids"] == 297
    assert rows.meta["rest"]["mean"] == pytest.approx(1.0 - wanted.sum(axis=1).mean(), abs=1e-4)
    alone = read_logits_file(made[0], vocab=vocab, other="renormalize", rows=slice(4))
    assert_allclose(alone.probs(), (wanted / wanted.sum(axis=1, keepdims=True))[:4], rtol=1e-5)
    with pytest.raises(ValueError, match="no token 301"):
        read_logits_file(made[0], vocab=[301])
    with pytest.raises(TypeError, match="needs a tokenizer"):
        read_logits_file(made[0], vocab=[" yes"])


class Words:
    """A tokenizer of words, as far as names of columns go."""

    def __init__(self, n: int) -> None:
        self.n = n

    def get_vocab(self) -> dict[str, int]:
        return {f"word {i}": i for i in range(self.n)}


def test_a_tokenizer_names_the_columns(made: tuple[Path, Any, Any], file: LogitsFile) -> None:
    named = read_logits_file(made[0], tokenizer=Words(301))
    assert named.tokens is not None
    assert named.tokens[7] == "word 7"
    fewer = read_logits_file(made[0], tokenizer=Words(299))
    assert fewer.shape == (40, 300)
    assert fewer.tokens is not None
    assert fewer.tokens[-1] == "<unused>"
    last = file[:].probs()[:, 299:].sum(axis=1)
    assert_allclose(fewer[:].probs()[:, -1], last, rtol=1e-5)
    assert isinstance(fewer, LogitsFile)
    assert fewer.partial().n_tokens == 301
    with pytest.raises(ValueError, match="the tokenizer has 302 tokens"):
        read_logits_file(made[0], tokenizer=Words(302))


def test_the_bos_that_the_model_saw_stands_first(made: tuple[Path, Any, Any]) -> None:
    path, tokens, _ = made
    rows = read_logits_file(path, bos_token_id=1)[6:9]
    for i, row in enumerate((6, 7, 8)):
        c, k = row // 8, 8 + row % 8
        assert rows.context(i).tolist() == [1, *tokens[c, 1 : k + 1].tolist()]
    for wrong in (-1, 301):
        with pytest.raises(ValueError, match="bos_token_id"):
            read_logits_file(path, bos_token_id=wrong)
    with pytest.raises(ValueError, match="bos_token_id"):
        read_logits_file(path, bos_token_id="<s>")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="rows is a slice"):
        read_logits_file(path, rows=[1, 2])  # type: ignore[arg-type]


def test_many_censored_tokens_leave_a_row_that_sums_to_one(tmp_path: Path) -> None:
    n = 100_001
    logits = np.full((1, n), -90.0, np.float32)
    logits[0, 5] = 0.0
    data = head(3, n, 1) + np.zeros(3, "<i4").tobytes()
    (tmp_path / "file").write_bytes(data + reference.codes(logits).tobytes())
    file = read_logits_file(tmp_path / "file")
    count, mass = file.censored()
    assert count.tolist() == [n - 1]
    assert mass[0, 0] == 0.0 < mass[0, 1] < 2e-4
    assert file[:].probs().sum(dtype=float) == pytest.approx(1.0, abs=1e-5)
    # what the file says, read literally, is no distribution
    assert np.exp(file.texts.size * 0.0 - 16.0) * n > 0.01


# --- what is wrong with it


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


GOOD, _, _ = contents(6, 9, 2)  # 2 rows of 28 bytes to a chunk; 20 + 48 bytes before


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "does not begin"),
        (b"_logit", "does not begin"),
        (b"GGUF" + GOOD[4:], "does not begin"),
        (GOOD[:12], "stopped at once"),
        (GOOD[:19], "stopped at once"),
        (GOOD[:20], "within its 2 x 6 tokens"),
        (GOOD[:67], "within its 2 x 6 tokens"),
        (GOOD[:68], "before its first row"),
        (GOOD[:-1], r"1 of 2 chunks.*slice\(3\)"),
        (GOOD[:100], r"0 of 2 chunks.*slice\(1\)"),
        (GOOD + b"\0", "end at 180"),
        (head(-6, 9, 2) + GOOD[20:], "n_ctx is -6"),
        (head(0, 9, 2) + GOOD[20:], "n_ctx is 0"),
        (head(2, 9, 2) + GOOD[20:], "n_ctx is 2"),
        (head(6, 0, 2) + GOOD[20:], "n_vocab is 0"),
        (head(6, -1, 2) + GOOD[20:], "n_vocab is -1"),
        (head(6, 9, 0) + GOOD[20:], "n_chunk is 0"),
        (head(6, 9, -2) + GOOD[20:], "n_chunk is -2"),
        (head(2**31 - 1, 2**31 - 1, 2**31 - 1) + GOOD[20:], "within its"),
        (head(6, 2**31 - 1, 2) + GOOD[20:], "before its first row"),
        (head(6, 7, 2) + GOOD[20:], "end at"),
        (GOOD[:20] + struct.pack("<i", 9) + GOOD[24:], "token 0 of chunk 0 is 9"),
        (GOOD[:48] + struct.pack("<i", -1) + GOOD[52:], "token 1 of chunk 1 is -1"),
    ],
)
def test_what_is_wrong_is_said_on_opening(data: bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"file.*{says}"):
        read_logits_file(write(tmp_path / "file", data))


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a regular file"):
        read_logits_file(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_logits_file(tmp_path / "none")


def test_a_machine_of_the_other_byte_order_is_refused(
    made: tuple[Path, Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "byteorder", "big")
    with pytest.raises(ValueError, match="need a little-endian machine"):
        LogitsFile(made[0])


def test_rows_that_are_there_of_a_file_that_is_not_complete(tmp_path: Path) -> None:
    path = write(tmp_path / "file", GOOD[:-30])
    rows = read_logits_file(path, rows=slice(2))
    whole = read_logits_file(write(tmp_path / "whole", GOOD))
    assert_array_equal(rows[:].log_probs, whole[:2].log_probs)


def test_a_damaged_row_is_named_by_its_number_in_the_file(tmp_path: Path) -> None:
    at = 68 + 28 * 3
    path = write(tmp_path / "file", GOOD[:at] + struct.pack("<f", np.nan) + GOOD[at + 4 :])
    file = read_logits_file(path)
    assert file[:3].shape == (3, 9)
    for read in (lambda: file[:], lambda: file[3], lambda: file[[0, 3]], file.censored):
        with pytest.raises(ValueError, match=r"file: row 3 is damaged: its scale is nan"):
            read()
    with pytest.raises(ValueError, match="row 3"):
        mb.DirichletMixtureEstimator(1, max_iter=2).fit(file)


def test_a_thousand_damaged_files_give_rows_or_a_sentence(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path, n_read = tmp_path / "file", 0
    change: dict[str, Callable[[bytearray], object]] = {
        "bytes": lambda data: [
            data.__setitem__(int(i), int(rng.integers(256)))
            for i in rng.integers(0, len(data), rng.integers(1, 9))
        ],
        "head": lambda data: data.__setitem__(int(rng.integers(8, 20)), int(rng.integers(256))),
        "cut": lambda data: data.__delitem__(slice(int(rng.integers(len(data))), None)),
        "longer": lambda data: data.extend(rng.bytes(int(rng.integers(1, 99)))),
        "word": lambda data: data.__setitem__(
            slice(at := 4 * int(rng.integers(len(data) // 4)), at + 4), rng.bytes(4)
        ),
    }
    for i in range(1000):
        data = bytearray(GOOD)
        change[list(change)[i % 5]](data)
        path.write_bytes(data)
        with suppress(ValueError):
            rows = read_logits_file(path)[:]
            n_read += 1
            assert rows.shape[1] == 9
            assert np.isfinite(rows.log_probs).all()
            assert_allclose(rows.probs().sum(axis=1, dtype=float), 1.0, atol=2e-6)
    assert 0 < n_read < 100
