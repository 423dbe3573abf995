"""Numbers in any container and type go in as they are, or are refused with a sentence.

Every entry point is a row of a table, every container a column: what it answers is what it answers
for the plain array of float64 or int64 with the same numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import hypothesis
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import matrixbayes as mb
from matrixbayes import _core
from matrixbayes._base.arguments import whole
from matrixbayes._base.numbers import floats, plain, reals, wholes
from matrixbayes._base.tokens import near
from matrixbayes.elicitation.histories import checked_histories
from matrixbayes.errors import ArgumentError
from matrixbayes.icl.search import Points

pd = pytest.importorskip("pandas")
torch = pytest.importorskip("torch")

COUNTS = np.array([[3, 1, 0], [0, 2, 5], [4, 0, 1], [1, 6, 2]])
ROWS = np.array([[4, 2, 2], [1, 6, 1], [2, 2, 4], [3, 4, 1]]) / 8.0  # exact in 16 bits
TEXT = np.array([[0, 1, 2, 0], [2, 2, 1, 0]])
WEIGHTS = np.array([1, 3, 2, 2])
STATES = np.array([[0.5, 1.0], [2.0, -1.0], [0.25, 0.0], [1.0, 4.0]])
PRIOR = mb.DirichletMixture([0.25, 0.75], [[1.0, 2.0, 3.0], [4.0, 1.0, 0.5]])


def fitted(kind: str, X: Any, weights: Any = None) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mb.DirichletMixtureEstimator(1, kind=kind).fit(X, sample_weight=weights)


BY_COUNTS, BY_ROWS = fitted("counts", COUNTS), fitted("probs", ROWS)


def around(X: Any, weights: Any = None, **options: Any) -> mb.DirichletMixture:
    return mb.DirichletMixture.from_samples(
        X, kind="probs", bandwidth=1.0, sample_weight=weights, **options
    )


def matrix(**options: Any) -> mb.TransitionMatrix:
    return mb.TransitionMatrix(1, n_tokens=3, **options)


def selected(X: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mb.select_prior(X, [1], kind="counts").best_.alpha_


def elicited(weights: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = mb.elicit_prior(
            [[0], [1], [2], [0]],
            ROWS,
            kind="probs",
            weights=weights,
            family="iid",
            n_starts=1,
            max_iter=1,
            rng=0,
        )
    return found.prior.alpha


def points(shots: Any, p: Any, weights: Any = None) -> Any:
    found = Points.checked(shots, p, None, weights, None)
    return np.stack([found.shown, found.probabilities, found.weights])


class Chunks:
    """Rows that are read again and again."""

    def __init__(self, X: Any) -> None:
        self.X = X

    def __iter__(self) -> Any:
        yield self.X
        yield COUNTS


COUNT_ENTRIES: dict[str, Callable[[Any], Any]] = {
    "log_evidence": PRIOR.log_evidence,
    "log_evidence, unordered": lambda X: PRIOR.log_evidence(X, ordered=False),
    "predictive": PRIOR.predictive,
    "responsibilities": lambda X: PRIOR.responsibilities(X, kind="counts"),
    "fit": lambda X: fitted("counts", X).alpha_,
    "partial_fit": lambda X: mb.DirichletMixtureEstimator(1, kind="counts").partial_fit(X).alpha_,
    "score": lambda X: BY_COUNTS.score(X),
    "predict_proba": lambda X: BY_COUNTS.predict_proba(X),
    "summarize": lambda X: BY_COUNTS.summarize(X).cells,
    "chunks": lambda X: fitted("counts", Chunks(X)).alpha_,
    "select_prior": selected,
    "histories": lambda X: checked_histories(X, "counts", 3).as_counts().toarray(),
    "icl_curve": lambda X: mb.icl_curve(PRIOR, X),
    "update_rows": lambda X: matrix(discount=0.5).update_rows([[0], [1], [2], [0]], X).counts([0]),
    "update_rows, whole": lambda X: (
        matrix().update_rows([[0], [1], [2], [0]], X).counts([[0], [1]])
    ),
}

ROW_ENTRIES: dict[str, Callable[[Any], Any]] = {
    "from_logits": lambda X: mb.NextTokenRows.from_logits(X, kind="probs").probs(),
    "NextTokenRows": lambda X: (
        mb.NextTokenRows(mb.NextTokenRows.from_logits(X, kind="probs")).shape
    ),
    "log_prob": lambda X: PRIOR.log_prob(X, kind="probs"),
    "responsibilities": lambda X: PRIOR.responsibilities(X, kind="probs"),
    "fit": lambda X: fitted("probs", X).alpha_,
    "score": lambda X: BY_ROWS.score(X),
    "from_samples": lambda X: (
        mb.DirichletMixture.from_samples(X, kind="probs", bandwidth=1.0).alpha
    ),
    "compare": lambda X: mb.compare(matrix(), X, [[0], [1], [2], [0]], kind="probs").kl,
    "kl": lambda X: mb.posterior_path(PRIOR, [0, 1, 2]).kl(X, kind="probs"),
    "alpha": lambda X: mb.DirichletMixture([0.25] * 4, X).alpha,
}

TEXT_ENTRIES: dict[str, Callable[[Any], Any]] = {
    "update": lambda X: matrix().update(X).rows().toarray(),
    "update, hierarchy": lambda X: matrix(hierarchical=True).update(X).rows().toarray(),
    "log_prob": lambda X: matrix().update(TEXT).log_prob(X),
    "log_evidence": lambda X: matrix().log_evidence(X),
    "perplexity": lambda X: matrix().update(TEXT).perplexity(X),
    "predict": lambda X: matrix().update(TEXT).predict(X),
    "totals": lambda X: mb.TransitionMatrix(4, n_tokens=3).update(TEXT).totals(X),
}

VECTOR_ENTRIES: dict[str, Callable[[Any], Any]] = {
    "sample_weight": lambda w: fitted("counts", COUNTS, w).alpha_,
    "sample_weight of rows": lambda w: fitted("probs", ROWS, w).alpha_,
    "from_samples": lambda w: around(ROWS, w).weights,
    "compare": lambda w: mb.compare(matrix(), ROWS, [[0]] * 4, kind="probs", weights=w).weights,
    "elicit_prior": elicited,
    "weights of points": lambda w: points([0, 1, 2, 5], [0.25, 0.5, 0.5, 0.75], w),
    "shots": lambda w: points(w, [0.25, 0.5, 0.375, 0.375]),
    "posterior": lambda w: mb.DirichletMixture([1.0], [[1.0, 2, 3, 4]]).posterior(w).alpha,
    "bayesian_law": lambda w: mb.bayesian_law(w, [0.5, 0.5], [0.25, 0.75]),
    "rho": lambda w: mb.bayesian_law([0, 1], w, [0.25, 0.75, 0.5, 0.5]),
    "alpha": lambda w: mb.DirichletMixture([1.0], [w]).alpha,
}

STATE_ENTRIES: dict[str, Callable[[Any], Any]] = {
    "EmbeddingMap": lambda E: mb.EmbeddingMap(E, ROWS, kind="probs").all_pairs().embedding_distance,
    "hidden": lambda E: mb.NextTokenRows(np.log(ROWS), hidden=E).hidden,
    "head_bound": lambda E: mb.head_bound([[1.0, 2.0], [0.5, -1.0]], E, rng=0).certificate,
    "W": lambda E: mb.head_bound(E, [[1.0, 2.0], [0.5, -1.0]], rng=0).certificate,
    "span_of": lambda E: mb.span_of(np.log(np.full((2, 4), 0.25)), kind="log_probs", W=E).rank,
}

ENTRIES = [
    *((f"counts: {name}", call, COUNTS) for name, call in COUNT_ENTRIES.items()),
    *((f"rows: {name}", call, ROWS) for name, call in ROW_ENTRIES.items()),
    *((f"text: {name}", call, TEXT) for name, call in TEXT_ENTRIES.items()),
    *((f"vector: {name}", call, WEIGHTS) for name, call in VECTOR_ENTRIES.items()),
    *((f"states: {name}", call, STATES) for name, call in STATE_ENTRIES.items()),
]


# -- containers ----------------------------------------------------------------------


def strided(X: np.ndarray) -> np.ndarray:
    wide = np.zeros([2 * n for n in X.shape], dtype=X.dtype)
    wide[tuple(slice(None, None, 2) for _ in X.shape)] = X
    return wide[tuple(slice(None, None, 2) for _ in X.shape)]


def frozen(X: np.ndarray) -> np.ndarray:
    X = X.copy()
    X.flags.writeable = False
    return X


def frame(X: np.ndarray) -> Any:
    return pd.DataFrame(X) if X.ndim == 2 else pd.Series(X)


def mapped(X: np.ndarray) -> np.ndarray:
    found = np.memmap(MAPPED, dtype=X.dtype, mode="w+", shape=X.shape)
    found[:] = X
    return found


MAPPED = "/dev/null"


@pytest.fixture(scope="module", autouse=True)
def _mapped(tmp_path_factory: pytest.TempPathFactory) -> None:
    globals()["MAPPED"] = tmp_path_factory.mktemp("mapped") / "array"


def nullable(dtype: str) -> Callable[[np.ndarray], Any]:
    return lambda X: frame(X).astype(dtype)


ANY = {  # of whole numbers and of others
    "list": lambda X: X.tolist(),
    "tuple": lambda X: tuple(map(tuple, X.tolist())) if X.ndim == 2 else tuple(X.tolist()),
    "list of arrays": list,
    "scalars of NumPy": lambda X: [list(row) for row in X] if X.ndim == 2 else list(X),
    "Fortran": np.asfortranarray,
    "negative strides": lambda X: X[::-1].copy()[::-1],
    "strides": strided,
    "read-only": frozen,
    "swapped bytes": lambda X: X.astype(X.dtype.newbyteorder()),
    "objects": lambda X: X.astype(object),
    "masked nowhere": np.ma.masked_array,
    "masked nowhere, told": lambda X: np.ma.masked_array(X, np.zeros(X.shape, bool)),
    "list of masked nowhere": lambda X: [np.ma.masked_array(row) for row in X],
    "subclass": lambda X: X.view(type("Own", (np.ndarray,), {})),
    "frame": frame,
    "nullable frame": lambda X: frame(X).convert_dtypes(),
    "frame of Arrow": lambda X: frame(X).convert_dtypes(dtype_backend="pyarrow"),
    "frame of objects": lambda X: frame(X).astype(object),
    "mapped": mapped,
    "float32": lambda X: X.astype(np.float32),
    "float16": lambda X: X.astype(np.float16),
    "longdouble": lambda X: X.astype(np.longdouble),
    "tensor": torch.tensor,
    "tensor with a gradient": lambda X: torch.tensor(X, dtype=torch.float64, requires_grad=True),
    "bfloat16": lambda X: torch.tensor(X, dtype=torch.bfloat16),
    "tensor of halves": lambda X: torch.tensor(X, dtype=torch.float16),
    "tensor, transposed": lambda X: torch.tensor(X.T.copy()).permute(*range(X.ndim)[::-1]),
    "tensor, a view": lambda X: torch.tensor(np.repeat(X, 2, axis=0))[::2],
    "list of tensors": lambda X: [torch.tensor(row) for row in X],
    "list of tensors with gradients": lambda X: [
        torch.tensor(row, dtype=torch.float64, requires_grad=True) for row in X
    ],
}
WHOLE: dict[str, Callable[[np.ndarray], Any]] = {
    dtype: (lambda X, dtype=dtype: X.astype(dtype))
    for dtype in ("i1", "i2", "i4", "u1", "u2", "u4", "u8", "f8")
}
WHOLE |= {f"nullable {d}": nullable(d) for d in ("Int64", "Int8", "UInt64", "Float64", "Float32")}
WHOLE |= {"tensor of uint8": lambda X: torch.tensor(X, dtype=torch.uint8)}
SPARSE = {
    name: (lambda X, name=name: getattr(sp, name)(X))
    for name in (
        *(f"{kind}_array" for kind in ("csr", "csc", "coo", "lil", "dok", "bsr", "dia")),
        "csr_matrix",
        "coo_matrix",
    )
}


def halves(X: np.ndarray) -> Any:
    """Each entry twice, narrow, in a coordinate format: the halves add up."""
    row, column = np.nonzero(X)
    data = X[row, column]
    parts = np.concatenate([data // 2, data - data // 2]).astype(np.int8)
    return sp.coo_array((parts, (np.tile(row, 2), np.tile(column, 2))), shape=X.shape)


SPARSE |= {
    "entries twice": halves,
    "entries twice, csr": lambda X: sp.csr_array(
        (
            np.repeat(X.ravel() / 2.0, 2),
            np.repeat(np.tile(np.arange(3), len(X)), 2),
            np.arange(len(X) + 1) * 6,
        ),
        shape=X.shape,
    ),
}


def containers(name: str) -> dict[str, Callable[[np.ndarray], Any]]:
    group = name.partition(":")[0]
    found: dict[str, Callable[[np.ndarray], Any]] = dict(ANY)
    if group in ("counts", "text", "vector"):
        found |= WHOLE
    if group == "counts" and name not in ("counts: icl_curve",):
        found |= SPARSE
    return found


def answer(call: Callable[[Any], Any], given: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        warnings.simplefilter("ignore", UserWarning)
        return call(given)


@pytest.mark.parametrize(("name", "call", "base"), ENTRIES, ids=[entry[0] for entry in ENTRIES])
def test_any_container_is_its_numbers(name: str, call: Any, base: np.ndarray) -> None:
    expected = answer(call, base)
    for container, make in containers(name).items():
        given = make(base)
        found = answer(call, given)
        close = {"rtol": 2e-6, "atol": 1e-6}  # rows of float32 are worked on in float32
        if name.startswith("rows") or name == "states: EmbeddingMap":
            np.testing.assert_allclose(found, expected, err_msg=f"{name} of {container}", **close)
        else:
            np.testing.assert_allclose(
                found, expected, rtol=1e-13, atol=1e-300, err_msg=f"{name} of {container}"
            )


# -- what is refused ---------------------------------------------------------------------


def with_entry(value: Any) -> Callable[[np.ndarray], Any]:
    def make(X: np.ndarray) -> Any:
        X = X.astype(object)
        X[-1 if X.ndim == 1 else (1, 1)] = value
        return X

    return make


def masked(X: np.ndarray) -> Any:
    mask = np.zeros(X.shape, bool)
    mask[-1 if X.ndim == 1 else (1, 1)] = True
    return np.ma.masked_array(X, mask)


BAD: dict[str, Callable[[np.ndarray], Any]] = {
    "masked": masked,
    "list of masked": lambda X: list(masked(X)) if X.ndim == 2 else [*X[:-1], np.ma.masked],
    "missing": lambda X: frame(X).astype("Float64").mask(masked(X).mask),
    "missing in objects": with_entry(None),
    "NA in objects": with_entry(pd.NA),
    "text": with_entry("x"),
    "all text": lambda X: X.astype(str),
    "bytes": lambda X: X.astype("S8"),
    "complex": lambda X: X.astype(complex),
    "complex in objects": with_entry(1j),
    "dates": lambda X: X.astype("M8[s]"),
    "durations": lambda X: X.astype("m8[s]"),
    "records": lambda X: X.astype([("a", float), ("b", float)]),
    "ragged": lambda X: [*X.tolist()[:-1], [0.5]],
    "meta": lambda X: torch.empty(X.shape, device="meta"),
    "sparse tensor": lambda X: torch.tensor(X).to_sparse(),
    "complex tensor": lambda X: torch.tensor(X).to(torch.complex64),
    "NaN": with_entry(float("nan")),
    "infinite": with_entry(float("inf")),
    "too large": with_entry(10**400),
    "dictionary": lambda X: dict(enumerate(X.tolist())),
    "nothing": lambda X: None,
}


OPTIONAL = ("counts: predictive", "states: hidden", "states: span_of")


@pytest.mark.parametrize(("name", "call", "base"), ENTRIES, ids=[entry[0] for entry in ENTRIES])
def test_what_is_not_its_numbers_is_refused(name: str, call: Any, base: np.ndarray) -> None:
    for bad, make in BAD.items():
        if bad == "nothing" and (name in OPTIONAL or name.startswith("vector")):
            continue  # the default
        if bad == "dictionary" and name == "vector: posterior":
            continue  # a count for each column number
        given = make(base)
        found: Any = None
        with pytest.raises((TypeError, ValueError), match=r"(?s).{20}"):  # noqa: PT012
            found = answer(call, given)
            raise AssertionError(f"{name} takes {bad}: {found}")


WIDE = {
    "int64": np.array([[2**53 + 1, 0, 1]]),
    "uint64": np.array([[2**64 - 1, 0, 1]], dtype=np.uint64),
    "list": [[2**53 + 1, 0, 1]],
    "list of ints and floats": [[2**53 + 1, 0.5, 1]],
    "beyond 64 bits": [[2**64 + 1, 0, 1]],
    "longdouble": np.array([[1, 0, 3]], dtype=np.longdouble) / 3,
    "longdouble, large": np.array([[2**53, 0, 3]], dtype=np.longdouble) + 1,
    "Int64": pd.DataFrame([[2**53 + 1, 0, 1]], dtype="Int64"),
    "beside floats": pd.DataFrame({"a": [2**53 + 1], "b": [0.5], "c": [1.0]}),
    "objects": np.array([[2**53 + 1, 0, 0.5]], dtype=object),
    "tensor": torch.tensor([[2**53 + 1, 0, 1]]),
    "sparse": sp.csr_array(np.array([[2**53 + 1, 0, 1]])),
    "sparse longdouble": sp.coo_array(np.array([[1, 0, 3]], dtype=np.longdouble) / 3),
}


@pytest.mark.parametrize("name", WIDE)
def test_what_no_double_holds_is_refused(name: str) -> None:
    for call in (
        PRIOR.log_evidence,
        lambda X: fitted("counts", X),
        lambda X: checked_histories(X, "counts", 3),
    ):
        with pytest.raises(ValueError, match="no double holds exactly"):
            call(WIDE[name])


@hypothesis.given(
    st.lists(st.integers(-(2**70), 2**70), min_size=1, max_size=4),
    st.sampled_from([list, tuple, np.array, lambda x: np.array(x, dtype=object), pd.Series]),
)
@hypothesis.settings(deadline=None)
def test_a_whole_number_is_exact_or_refused(numbers: list[int], make: Any) -> None:
    given = make(numbers)
    if type(given) is np.ndarray and given.dtype.kind == "f":  # NumPy has rounded them
        return
    held = all(abs(n) <= 2**53 or float(n) == n for n in numbers)
    if held:
        assert [int(x) for x in reals(given, "x").tolist()] == numbers
    else:
        with pytest.raises(ArgumentError, match="no double holds exactly"):
            reals(given, "x")
    if all(-(2**63) <= n < 2**63 for n in numbers):
        assert wholes(given, "x").tolist() == numbers
    else:
        with pytest.raises(ArgumentError):
            wholes(given, "x")


def test_the_core_rounds_and_wraps_nothing() -> None:
    digamma: Any = _core.digamma
    for good in ([2**53], [2**53 + 2], np.array([2**63], dtype="u8"), np.array([2**62], ">i8")):
        assert digamma(good) == digamma(np.asarray(good).astype(float))
    for bad in ([2**53 + 1], [-(2**53) - 1], np.array([2**64 - 1], dtype="u8")):
        with pytest.raises(ValueError, match="no double holds exactly"):
            digamma(bad)
    with pytest.raises(ValueError, match="masked"):
        digamma(masked(STATES))
    assert_array_equal(digamma(np.ma.masked_array([1.0])), digamma([1.0]))
    huge = np.array([2**64 - 1], dtype=np.uint64)
    with pytest.raises(ValueError, match="18446744073709551615, which no int64"):
        _core.Counts([0, 1], huge, [1.0], 3)
    with pytest.raises(ValueError, match="masked"):
        _core.Counts([0, 1], np.ma.masked_array([1], [True]), [1.0], 3)


def test_places_are_named() -> None:
    frame = pd.DataFrame({"x": [3, 2], "y": [1, 5]}, dtype="Int64")
    frame.loc[1, "y"] = pd.NA
    with pytest.raises(ValueError, match="row 1, column 'y' of counts is missing"):
        fitted("counts", frame)
    with pytest.raises(ValueError, match="row 1, column 1 of counts is masked"):
        fitted("counts", masked(COUNTS))
    with pytest.raises(ValueError, match="row 1, column 1 of rows is masked"):
        fitted("probs", masked(ROWS))
    with pytest.raises(TypeError, match=r"the count of row 0, column 1 is 682\.5"):
        matrix().update_rows([[0]], [[1.0, 682.5, 0.0]])
    with pytest.raises(TypeError, match=r"token 1 of document 0 is 0\.5, of type float64"):
        matrix().update([0, 0.5])
    with pytest.raises(TypeError, match="a mask"):
        matrix().update([True, False])
    with pytest.raises(ValueError, match="is 9223372036854775808, above"):
        wholes(np.array([2**63], dtype=np.uint64), "ids")


def test_entries_at_one_place_are_summed_before_they_are_narrow() -> None:
    twice = sp.coo_array((np.array([100, 100, 3], np.int8), ([0, 0, 1], [0, 0, 1])), shape=(2, 3))
    expected = np.array([[200, 0, 0], [0, 3, 0]])
    for form in ("tocoo", "tocsr", "tocsc"):
        made = twice.tocsr(copy=True) if form == "never" else twice
        if form != "tocoo":  # without adding up
            made = getattr(sp, f"{form[2:]}_array")(
                (np.array([100, 100, 3], np.int8), *_compressed(form)), shape=(2, 3)
            )
        assert_array_equal(PRIOR.log_evidence(made), PRIOR.log_evidence(expected))
        assert_array_equal(matrix().update_rows([[0], [1]], made).counts([[0], [1]]), expected)
    flags = sp.coo_array((np.array([True, True]), ([0, 0], [0, 0])), shape=(1, 3))
    assert_array_equal(PRIOR.predictive(flags), PRIOR.predictive([[1, 0, 0]]))
    assert_array_equal(matrix().update_rows([0], flags).counts([0]), [1, 0, 0])


def _compressed(form: str) -> tuple[list[int], list[int]]:
    return ([0, 0, 1], [0, 2, 3]) if form == "tocsr" else ([0, 0, 1], [0, 2, 3, 3])


@pytest.mark.parametrize("value", [True, np.True_, 3.0, 2.5, "3", None, np.array([3]), [3]])
def test_a_size_is_a_whole_number(value: Any) -> None:
    assert whole(np.int8(3), "n", 1) == whole(np.array(3), "n", 1, 3) == whole(3, "n", 3) == 3
    for call in (
        lambda n: whole(n, "n", 1),
        lambda n: mb.DirichletMixtureEstimator(n, kind="counts").fit(COUNTS),
        lambda n: mb.TransitionMatrix(n, n_tokens=3),
        lambda n: PRIOR.reduce(n),
        lambda n: PRIOR.estimate_entropy(n),
        lambda n: mb.TransitionMatrix(1, n_tokens=3).generate(n),
    ):
        if np.ndim(value) and call is not None:
            continue
        with pytest.raises(ValueError, match=r"whole number|positive integer"):
            call(value)
    assert PRIOR.sample(np.int64(2)).shape == (2, 3)
    assert PRIOR.sample((np.int8(2), 1)).shape == (2, 1, 3)


# -- names -------------------------------------------------------------------------------

NAMES = ("no", "yes", "<other>")
NAMED = mb.DirichletMixture(PRIOR.weights, PRIOR.alpha, tokens=NAMES)


def table(X: np.ndarray) -> Any:
    return pd.DataFrame(X, columns=list(NAMES))


def as_rows(frame: Any) -> mb.NextTokenRows:
    rows = frame.to_numpy() / frame.to_numpy().sum(axis=1, keepdims=True)
    return mb.NextTokenRows(np.log(rows), tokens=tuple(frame.columns))


BY_NAMED_COUNTS, BY_NAMED_ROWS = fitted("counts", table(COUNTS)), fitted("probs", table(ROWS))


def named_matrix() -> mb.TransitionMatrix:
    return mb.TransitionMatrix(1, tokens=NAMES)


def resumed(frame: Any) -> Any:
    estimator = fitted("counts", table(COUNTS))
    return estimator.partial_fit(frame).alpha_


NAMED_ENTRIES: dict[str, tuple[Callable[[Any], Any], np.ndarray]] = {
    "score": (lambda X: BY_NAMED_COUNTS.score(X), COUNTS),
    "predict_proba": (lambda X: BY_NAMED_COUNTS.predict_proba(X), COUNTS),
    "summarize": (lambda X: BY_NAMED_COUNTS.summarize(X).cells, COUNTS),
    "bic": (lambda X: BY_NAMED_COUNTS.bic(X), COUNTS),
    "partial_fit": (resumed, COUNTS),
    "score of chunks": (lambda X: BY_NAMED_COUNTS.score(Chunks(X)), COUNTS),
    "score of rows": (lambda X: BY_NAMED_ROWS.score(X), ROWS),
    "information": (lambda X: BY_NAMED_ROWS.information(X).hessian, ROWS),
    "score of NextTokenRows": (lambda X: BY_NAMED_ROWS.score(as_rows(X)), ROWS),
    "log_evidence": (NAMED.log_evidence, COUNTS),
    "predictive": (NAMED.predictive, COUNTS),
    "responsibilities": (lambda X: NAMED.responsibilities(X, kind="counts"), COUNTS),
    "log_prob": (lambda X: NAMED.log_prob(X, kind="probs"), ROWS),
    "log_prob of NextTokenRows": (lambda X: NAMED.log_prob(as_rows(X)), ROWS),
    "log_prob of one row": (lambda X: NAMED.log_prob(X.iloc[0], kind="probs"), ROWS),
    "icl_curve": (lambda X: mb.icl_curve(NAMED, X), COUNTS),
    "NextTokenRows": (lambda X: mb.NextTokenRows(np.log(X), tokens=NAMES).probs(), ROWS),
    "from_logits": (
        lambda X: mb.NextTokenRows.from_logits(X, kind="probs", tokens=NAMES).probs(),
        ROWS,
    ),
    "from_samples": (lambda X: around(X, tokens=NAMES).alpha, ROWS),
    "alpha": (lambda X: mb.DirichletMixture([0.25] * 4, X, tokens=NAMES).alpha, COUNTS + 1.0),
    "compare": (
        lambda X: mb.compare(named_matrix(), X, [[0], [1], [2], [0]], kind="probs").kl,
        ROWS,
    ),
    "update_rows": (
        lambda X: named_matrix().update_rows([[0], [1], [2], [0]], X).counts([[0], [1]]),
        COUNTS,
    ),
    "prior of a matrix": (
        lambda X: mb.TransitionMatrix(
            1, tokens=NAMES, prior=mb.DirichletMixture([0.25] * 4, X)
        ).predict([0]),
        COUNTS + 1.0,
    ),
    "init": (
        lambda X: (
            mb.DirichletMixtureEstimator(
                4, kind="counts", init=mb.DirichletMixture([0.25] * 4, X), max_iter=1
            )
            .fit(table(COUNTS))
            .lower_bound_
        ),
        COUNTS + 1.0,
    ),
    "histories": (
        lambda X: checked_histories(X, "counts", 3, NAMES).as_counts().toarray(),
        COUNTS,
    ),
}


@pytest.mark.parametrize("name", NAMED_ENTRIES)
def test_columns_are_matched_by_name(name: str) -> None:
    call, base = NAMED_ENTRIES[name]
    frame = table(base)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = call(frame)
        if "NextTokenRows of" not in name and "one row" not in name and "init" not in name:
            with_values = call(frame.to_numpy()) if "NextTokenRows" not in name else expected
            np.testing.assert_allclose(with_values, expected, rtol=1e-12)
        for order in ([2, 0, 1], [1, 0, 2]):
            assert_array_equal(call(frame.iloc[:, order]), expected, err_msg=name)
        with pytest.raises(ValueError, match=r"' yes'.*'yes'|- +yes"):
            call(frame.rename(columns={"yes": " yes"}))
        with pytest.raises(ValueError, match="twice"):
            call(frame.iloc[:, [0, 1, 1]])
        if name != "prior of a matrix":
            with pytest.raises(ValueError, match=r"missing|2 tokens"):
                call(frame.iloc[:, :2].div(1.0))


def in_numpys_strings(words: list[str]) -> Any:
    """In the strings that NumPy 2 has, or as they are."""
    kind = getattr(np.dtypes, "StringDType", None)
    return words if kind is None else np.array(words, dtype=kind())


def test_one_column_is_matched_by_its_index() -> None:
    seen = pd.Series(["yes", "no", "yes", "<other>", "yes"])
    expected = NAMED.posterior([1, 3, 1]).alpha
    shuffled = pd.Series([3, 1, 1], index=["yes", "<other>", "no"])
    for given in (
        seen.value_counts(),
        seen.value_counts().astype("Int64"),
        seen.astype("category").value_counts(),
        shuffled,
        shuffled.to_dict(),
        seen,
        seen.tolist(),
        tuple(seen),
        seen.to_numpy(),
        np.array(seen.tolist()),
        in_numpys_strings(seen.tolist()),
        seen.astype("category"),
        seen.astype("string"),
        seen.astype(object),
        (word for word in seen),
    ):
        assert_array_equal(NAMED.posterior(given).alpha, expected)
    assert_array_equal(
        NAMED.predictive([["yes", "yes"], ["no"]]), NAMED.predictive([[0, 2, 0], [1, 0, 0]])
    )
    assert_array_equal(
        PRIOR.posterior(pd.Series([2, 2, 0]).value_counts()).alpha, PRIOR.posterior([1, 0, 2]).alpha
    )
    for bad in (shuffled.rename({"yes": " yes"}), [" yes"], {" yes": 1}, np.array([" yes"])):
        with pytest.raises(ValueError, match=r"' yes' is not .*did you mean 'yes'"):
            NAMED.posterior(bad)
    with pytest.raises(ValueError, match="twice"):
        NAMED.posterior(pd.Series([1, 2], index=["yes", "yes"]))
    with pytest.raises(ValueError, match="have none"):
        PRIOR.posterior(["yes"])
    with pytest.raises(TypeError, match=r"\['yes'\]"):
        NAMED.posterior("yes")


def test_a_fit_keeps_the_names() -> None:
    for fit in (
        fitted("counts", table(COUNTS)),
        fitted("probs", table(ROWS)),
        mb.select_prior(table(COUNTS), [1], kind="counts").best_,
        mb.select_prior(table(ROWS), [1], kind="probs").best_,
        mb.DirichletMixtureEstimator(1, kind="counts").partial_fit(table(COUNTS)),
    ):
        assert fit.prior_.tokens == NAMES
        assert tuple(fit.feature_names_in_) == NAMES
    assert fitted("counts", COUNTS).prior_.tokens is None
    numbered = pd.DataFrame(COUNTS)
    fit = fitted("counts", numbered)
    assert fit.prior_.tokens is None
    assert fit.score(numbered[[2, 0, 1]]) == fit.score(numbered)


def test_matrices_are_merged_by_name() -> None:
    texts = (["no", "yes", "yes", "no"], ["yes", "<other>", "no", "yes"])
    for options in ({}, {"hierarchical": True}, {"discount": 0.5}):
        mine = mb.TransitionMatrix(2, tokens=NAMES, **options).update(texts[0])
        other = mb.TransitionMatrix(2, tokens=(*NAMES[1:], NAMES[0]), **options).update(texts[1])
        same = mb.TransitionMatrix(2, tokens=NAMES, **options).update(texts[1])
        found, expected = mine + other, mine + same
        assert_array_equal(found.contexts(), expected.contexts())
        assert (found.rows() != expected.rows()).nnz == 0
        assert sum([mine, same]).n_observed == expected.n_observed
        if "hierarchical" not in options:  # half counts stay halves
            found, expected = mine + other.forget(0.25), mine + same.forget(0.25)
            assert (found.rows() != expected.rows()).nnz == 0
    with pytest.raises(ValueError, match="do not merge: unexpected are 'nay'"):
        named_matrix().merge(mb.TransitionMatrix(1, tokens=("nay", "yes", "<other>")))
    with pytest.raises(TypeError, match="unsupported"):
        1 + named_matrix()


def test_statistics_are_summed() -> None:
    for by, X in ((BY_COUNTS, COUNTS), (BY_ROWS, ROWS)):
        one = by.summarize(X)
        assert sum([one, one]).n_rows == 8
        with pytest.raises(TypeError):
            1 + one


@hypothesis.given(
    st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=6, unique=True), st.data()
)
@hypothesis.settings(deadline=None)
def test_what_was_meant_is_a_name(names: list[str], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(names))
    meant = near(f" {name} ", names)
    assert meant is not None
    assert meant.strip() == name.strip()
    assert near("@@@@@@@@@@", [n for n in names if "@" not in n]) is None


# -- documents -----------------------------------------------------------------------------


def test_rows_are_documents() -> None:
    frame = pd.DataFrame([[0, 1, 2, 0], [0, 1, 2, 0]])
    for given in (frame, frame.rename(columns=str), frame.astype("Int64"), frame.astype(float)):
        assert matrix().update(given).rows().toarray().tolist() == [[0, 2, 0], [0, 0, 2], [2, 0, 0]]
    texts = [[0, 1, 2], [1, 2]]
    expected = matrix().update(texts).rows().toarray()
    ragged = np.empty(2, dtype=object)
    ragged[:] = texts
    for given in (
        pd.Series(texts),
        pd.Series(texts, index=[7, 3]),
        pd.DataFrame({"ids": texts}),
        ragged,
        [pd.Series(text) for text in texts],
        [torch.tensor(text) for text in texts],
        tuple(map(tuple, texts)),
        iter(texts),
    ):
        assert_array_equal(matrix().update(given).rows().toarray(), expected)
    text = matrix().update([0, 1, 2]).rows().toarray()
    assert_array_equal(matrix().update(pd.Series([0, 1, 2])).rows().toarray(), text)
    for column in (np.array([[0], [1]]), pd.DataFrame({"ids": [0, 1]}), torch.tensor([[0], [1]])):
        with pytest.raises(ValueError, match="documents of one token each"):
            matrix().update(column)


def test_words_in_any_type_of_text() -> None:
    words = ["a", "b", "a"]
    expected = mb.TransitionMatrix(1, tokens=("a", "b")).update(words).rows().toarray()
    for given in (
        np.array(words),
        np.array(words, dtype=object),
        pd.Series(words),
        pd.Series(words, dtype="string"),
        pd.Series(words, dtype="category"),
        in_numpys_strings(words),
        tuple(words),
    ):
        found = mb.TransitionMatrix(1, tokens=("a", "b")).update(given).rows().toarray()
        assert_array_equal(found, expected)
    with pytest.raises(
        ValueError, match=r"token 1 of document 0 is 'zzz'.*tokens=\(\.\.\., '<unk>'\)"
    ):
        mb.TransitionMatrix(1, tokens=("a", "b")).perplexity(["a", "zzz"])


# -- kinds ---------------------------------------------------------------------------------


def test_probabilities_are_no_logits() -> None:
    for rows in (ROWS, ROWS.astype(np.float32), torch.tensor(ROWS).bfloat16(), ROWS[:1]):
        with pytest.warns(UserWarning, match="say kind='probs'"):
            mb.NextTokenRows.from_logits(rows)
    for rows in (np.log(ROWS), ROWS - 0.5, ROWS * 2.0, np.vstack([ROWS, -ROWS]), np.zeros((2, 3))):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            mb.NextTokenRows.from_logits(rows)


def test_a_list_of_the_top_tokens_is_not_to_be_divided() -> None:
    with pytest.raises(ValueError, match=r"sums to 0\.904.*'<other>'"):
        mb.NextTokenRows(np.log([[0.400, 0.286, 0.218]]))
    with pytest.raises(ValueError, match=r"sums to 1\.2.*kind='logits'"):
        mb.NextTokenRows.from_logits([[0.6, 0.6]], kind="probs")


def test_small_probabilities_are_seen() -> None:
    many = mb.DirichletMixture([1.0], np.arange(1.0, 50_001.0)[np.newaxis])
    assert "49999 4e-05" in repr(many)
    assert " 0.000" not in repr(many)


def test_bfloat16_of_embeddings() -> None:
    short = torch.tensor(STATES).bfloat16()
    found = floats(short, "embeddings")
    assert found.dtype == np.float32
    assert_array_equal(found, short.float().numpy())
    assert plain(STATES, "x") is STATES
