"""Fits to what is not in memory: the same bits, flat memory, and errors that say where."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
import reference
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.special import logsumexp

from matrixbayes import DirichletMixture, DirichletMixtureEstimator
from matrixbayes._base import parallel
from matrixbayes.estimator.streams import StreamData

TRUTH = DirichletMixture([0.6, 0.4], [[8.0, 1.0, 2.0, 1.0], [0.5, 3.0, 1.0, 4.0]])
ROWS = TRUTH.sample(5000, rng=0, kind="log_probs")


class Sliced:
    """Like a data set of h5py: a shape and slices, no array."""

    def __init__(self, rows):
        self._rows, self.shape, self.dtype = rows, rows.shape, rows.dtype

    def __getitem__(self, cut):
        assert isinstance(cut, slice)
        return self._rows[cut]


class Chunked:
    """An iterable of chunks that starts anew each time."""

    def __init__(self, *chunks):
        self._chunks = chunks

    def __iter__(self):
        return iter(self._chunks)


def fit(rows, kind="log_probs", **parameters):
    fitted = DirichletMixtureEstimator(2, kind=kind, random_state=0, n_jobs=1, **parameters)
    return fitted.fit(rows)


def memory_mapped(rows, folder):
    path = folder / "rows.npy"
    np.save(path, rows)
    return np.load(path, mmap_mode="r")


def log_joint(fitted, rows, kind="log_probs"):
    """Of each row and component, by the slow twin."""
    if kind == "counts":
        return reference.count_log_joint(rows, fitted.weights_, fitted.alpha_)
    return reference.log_joint(fitted.weights_, fitted.alpha_, rows)


def is_a_fit_to_all(fitted, rows, kind="log_probs", weights=None):
    """Whether the likelihood that a fit ended at is that of every row, by the slow twin."""
    total = logsumexp(log_joint(fitted, rows, kind), axis=1) @ (
        np.ones(len(rows)) if weights is None else weights
    )
    assert_allclose(fitted.log_likelihood_, total, rtol=1e-9)
    assert fitted.n_rows_ == len(rows)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_fit_from_disk_is_the_same_bits(dtype, tmp_path, many_blocks):
    rows = ROWS.astype(dtype)
    expected = fit(rows)
    is_a_fit_to_all(expected, rows)
    joint = log_joint(expected, rows)
    assert_allclose(expected.score_samples(rows), logsumexp(joint, axis=1), rtol=1e-9)
    chunks = Chunked(*np.split(rows, [1, 17, 2049, 2050]))
    for source in (memory_mapped(rows, tmp_path), Sliced(rows), chunks, list(chunks)):
        many_blocks.tasks.clear()
        found = fit(source)
        assert found.prior_ == expected.prior_
        assert found.lower_bounds_ == expected.lower_bounds_
        assert_array_equal(found.score_samples(source), expected.score_samples(rows))
        assert_array_equal(found.predict(source), expected.predict(rows))
        many_blocks.ran("_expectation", "_posterior", "accumulate")


@pytest.mark.promise(18)
@pytest.mark.parametrize("kind", ["log_probs", "counts"])
def test_any_number_of_workers_gives_the_same_bits(kind, tmp_path, many_blocks, figure):
    rows = ROWS if kind == "log_probs" else np.random.default_rng(0).multinomial(9, np.exp(ROWS))
    source = memory_mapped(rows, tmp_path)
    one = DirichletMixtureEstimator(2, kind=kind, random_state=0, n_jobs=1).fit(source)
    five = DirichletMixtureEstimator(2, kind=kind, random_state=0, n_jobs=5).fit(source)
    with ThreadPoolExecutor(2) as executor:
        lent = DirichletMixtureEstimator(2, kind=kind, random_state=0, executor=executor)
        lent.fit(source)
    many_blocks.ran("_expectation")
    assert one.prior_ == five.prior_ == lent.prior_
    assert_array_equal(one.predict_proba(source), five.predict_proba(source))
    is_a_fit_to_all(one, rows, kind)
    figure("1 and 5 workers, a fit from disk: equal bits")


@pytest.mark.parametrize("kind", ["log_probs", "counts"])
def test_weights_go_with_their_rows(kind, many_blocks):
    rows = ROWS if kind == "log_probs" else np.random.default_rng(0).multinomial(9, np.exp(ROWS))
    weights = np.random.default_rng(1).uniform(0.0, 2.0, len(ROWS))
    chunks = Chunked(*np.split(rows, [1, 17, 2049, 2050]))
    for source in (Sliced(rows), chunks):
        found = DirichletMixtureEstimator(2, kind=kind, random_state=0)
        found.fit(source, sample_weight=weights)
        is_a_fit_to_all(found, rows, kind, weights)
        share = np.exp(log_joint(found, rows, kind))
        share /= share.sum(axis=1, keepdims=True)
        statistics = found.summarize(source, sample_weight=weights)
        assert_allclose(statistics.weight, weights @ share, rtol=1e-9)
        assert statistics.n_rows == len(rows)
    many_blocks.ran("_expectation")


def test_weights_give_the_same_bits_as_in_memory(many_blocks):
    weights = np.random.default_rng(1).uniform(0.0, 2.0, len(ROWS))
    settings = {"kind": "log_probs", "random_state": 0}
    expected = DirichletMixtureEstimator(2, **settings).fit(ROWS, sample_weight=weights)
    found = DirichletMixtureEstimator(2, **settings).fit(Sliced(ROWS), sample_weight=weights)
    many_blocks.ran("expectation", "_expectation")
    assert found.prior_ == expected.prior_


@pytest.mark.parametrize("source", [Sliced(ROWS), Chunked(*np.split(ROWS, [1, 17, 2049, 2050]))])
def test_a_start_finds_its_rows_wherever_they_are(source, many_blocks):
    weights = np.arange(1.0, len(ROWS) + 1.0)
    data = StreamData.of(source, kind="log_probs", zeros="error", weights=weights, pool=(None, 1))
    for rows in (np.arange(len(ROWS)), np.array([0, 63, 64, 2048, 4999]), np.array([4999])):
        some = data.some(rows)
        assert_array_equal(some.log_probs, ROWS[rows])
        assert_array_equal(some.weights, weights[rows])
    assert len(list(data.read(parallel.block_size(4)))) > 70
    data.posterior(TRUTH)
    many_blocks.ran("_posterior")


def test_counts_in_chunks(many_blocks):
    rng = np.random.default_rng(0)
    counts = np.array([rng.multinomial(20, p) for p in TRUTH.sample(1000, rng=1)])
    expected = fit(counts, kind="counts", tol=1e-10, max_iter=500)
    is_a_fit_to_all(expected, counts, "counts")
    for source in (
        Sliced(counts),
        Chunked(counts[:10], counts[10:]),
        Chunked(*(sparse.csr_matrix(part) for part in np.array_split(counts, 7))),
    ):
        found = fit(source, kind="counts", tol=1e-10, max_iter=500)
        np.testing.assert_allclose(found.alpha_, expected.alpha_, rtol=1e-6)
        np.testing.assert_allclose(found.log_likelihood_, expected.log_likelihood_, rtol=1e-12)
    many_blocks.ran("count_expectation", "_expectation")


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (iter([ROWS]), TypeError, "can be iterated again"),
        ((block for block in [ROWS]), TypeError, "a generator can be read once"),
        (Chunked(), ValueError, "there are no rows"),
        (Chunked(ROWS[:3], ROWS[:3, :2]), ValueError, r"chunks have \[2, 4\] columns"),
        (Chunked(ROWS[np.newaxis]), ValueError, r"it needs \(n, V\)"),
        (Sliced(ROWS[np.newaxis]), ValueError, r"they need \(N, V\)"),
    ],
)
def test_what_cannot_be_read_is_said(rows, error, message):
    with pytest.raises(error, match=message):
        fit(rows)


def test_a_bad_row_is_said_to_be_where_it_is(many_blocks):
    rows = ROWS.copy()
    rows[4000] = np.nan
    with pytest.raises(ValueError, match="in the rows from"):
        fit(Sliced(rows))
    data = StreamData.of(
        Sliced(rows), kind="log_probs", zeros="error", weights=None, pool=(None, 1)
    )
    with pytest.raises(ValueError, match="in the rows from 3968 on"):
        data.expectation(TRUTH)
    many_blocks.ran("_expectation")
    with pytest.raises(ValueError, match="zeros='drop' needs rows in memory"):
        fit(Sliced(ROWS), zeros="drop")
    with pytest.raises(ValueError, match="kind="):
        fit(Sliced(ROWS), kind=None)


def test_rows_that_change_between_passes_are_refused():
    class Growing:
        n = 0

        def __iter__(self):
            self.n += 1
            return iter([ROWS] * self.n)

    with pytest.raises(ValueError, match="the rows changed between two passes"):
        fit(Growing())


MEMORY = """
import re
import numpy as np
from matrixbayes import DirichletMixtureEstimator
rows = np.load({path!r}, mmap_mode="r")
DirichletMixtureEstimator(2, kind="logits", max_iter=3, tol=0, random_state=0, n_jobs=1).fit(rows)
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""


@pytest.mark.no_sanitizer
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path, run_python):
    peaks = []
    for n in (40_000, 80_000):
        path = tmp_path / f"{n}.npy"
        rows = np.lib.format.open_memmap(path, "w+", np.float32, (n, 500))
        rows[...] = np.random.default_rng(0).standard_normal((n, 500), dtype=np.float32)
        rows.flush()
        del rows
        peaks.append(int(run_python(MEMORY.format(path=str(path))).split()[-1]))
    assert peaks[1] < peaks[0] + 16 * 1024  # kB; the rows grew by 80 MB


@pytest.mark.parametrize("kind", ["log_probs", "counts"])
def test_a_stream_comes_to_the_fit_of_all_its_rows(kind):
    rng = np.random.default_rng(4)
    rows = TRUTH.sample(40_000, rng=2, kind="log_probs")
    if kind == "counts":
        rows = rng.multinomial(30, np.exp(rows))
    whole = fit(rows, kind=kind, tol=1e-9)
    stream = DirichletMixtureEstimator(2, kind=kind, random_state=0)
    for batch in np.array_split(rows, 80):
        stream.partial_fit(batch)
    assert stream.n_rows_ == 40_000
    assert not stream.converged_
    assert len(stream.lower_bounds_) >= 80
    np.testing.assert_allclose(stream.weights_, whole.weights_, atol=0.02)
    np.testing.assert_allclose(stream.alpha_, whole.alpha_, rtol=0.05)
    assert stream.score(rows) > whole.score(rows) - 1e-3


def test_a_batch_after_a_fit_goes_on_from_it(many_blocks):
    fitted = fit(ROWS, tol=1e-11, max_iter=1000)
    before = fitted.alpha_
    mean = logsumexp(log_joint(fitted, ROWS), axis=1).mean()
    fitted.partial_fit(ROWS)
    many_blocks.ran("expectation")
    assert fitted.n_rows_ == 2 * len(ROWS)
    assert_allclose(fitted.log_likelihood_, mean * len(ROWS), rtol=1e-11)
    np.testing.assert_allclose(fitted.alpha_, before, rtol=1e-4)
    with pytest.raises(ValueError, match="expecting 4 features"):
        fitted.partial_fit(np.full((3, 3), np.log(1 / 3)))


class Dataset:
    """Like a data set of HuggingFace: columns, of which a slice gives lists."""

    features = None

    def __init__(self, **columns):
        self._columns, self.column_names = columns, list(columns)

    def __len__(self):
        return len(next(iter(self._columns.values())))

    def __getitem__(self, cut):
        return {name: np.asarray(column)[cut].tolist() for name, column in self._columns.items()}


def test_a_column_of_rows_in_a_data_set(many_blocks):
    expected = fit(ROWS)
    assert fit(Dataset(rows=ROWS)).prior_ == expected.prior_
    many_blocks.ran("_expectation")
    assert fit(Dataset(text=["x"] * len(ROWS), log_probs=ROWS)).prior_ == expected.prior_
    with pytest.raises(ValueError, match="select_columns"):
        fit(Dataset(text=["x"] * len(ROWS), rows=ROWS))


@pytest.mark.parametrize("library", ["h5py", "zarr", "datasets"])
@pytest.mark.parametrize("kind", ["log_probs", "counts"])
def test_data_sets_of_other_libraries(kind, library, tmp_path, many_blocks):
    module = pytest.importorskip(library)
    rows = ROWS[:1000]
    if kind == "counts":
        rows = np.random.default_rng(0).multinomial(9, np.exp(rows))
    expected = fit(rows, kind=kind)
    is_a_fit_to_all(expected, rows, kind)
    many_blocks.tasks.clear()
    if library == "datasets":
        columns = {"text": ["x"] * len(rows), kind: rows.tolist()}
        assert fit(module.Dataset.from_dict(columns), kind=kind).prior_ == expected.prior_
        many_blocks.ran("_expectation")
        return
    with ExitStack() as opened:
        if library == "h5py":
            create = opened.enter_context(module.File(tmp_path / "rows.h5", "w")).create_dataset
        else:
            create = module.open_group(tmp_path / "rows.zarr", mode="w").create_array
        source = create("rows", shape=rows.shape, dtype=rows.dtype, chunks=(100, 4))
        source[...] = rows
        assert fit(source, kind=kind).prior_ == expected.prior_
    many_blocks.ran("_expectation")


def test_chunks_with_labels_by_default_are_as_the_others() -> None:
    pandas = pytest.importorskip("pandas")
    rows = np.random.default_rng(0).dirichlet([5.0, 1.0, 1.0], 60)
    chunks = [pandas.DataFrame(rows[:30], columns=list("abc")), pandas.DataFrame(rows[30:])]
    found = DirichletMixtureEstimator(1, kind="probs").fit(chunks).prior_
    whole = DirichletMixtureEstimator(1, kind="probs").fit(rows).prior_
    assert found.tokens == ("a", "b", "c")
    assert_allclose(found.alpha, whole.alpha, rtol=1e-12)


@pytest.mark.parametrize("first", ["array", "frame", "permuted"])
@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [10, 20, 30, 40], list("abcd")])
def test_chunks_of_frames_are_put_in_order(first: str, labels: list[Any]) -> None:
    """By whatever their columns are labelled, numbers too, as one frame of all rows would be."""
    pandas = pytest.importorskip("pandas")
    if first == "array" and labels != [0, 1, 2, 3]:
        pytest.skip("an array's columns have the numbers of their places alone")
    rows = np.random.default_rng(0).dirichlet([5.0, 1.0, 1.0, 0.5], 60)
    frame = pandas.DataFrame(rows, columns=labels)
    other = [labels[i] for i in (3, 1, 0, 2)]
    begin = {"array": rows, "frame": frame, "permuted": frame[other]}[first][:30]
    expected = frame[other] if first == "permuted" else frame
    whole = DirichletMixtureEstimator(1, kind="probs").fit(expected)
    for rest in (frame[30:], frame[other][30:]):
        chunks = [begin, rest]
        again = DirichletMixtureEstimator(1, kind="probs").fit(chunks)
        assert_allclose(again.alpha_, whole.alpha_, rtol=1e-12)
        assert_allclose(whole.score(chunks), whole.score(expected), rtol=1e-12)
