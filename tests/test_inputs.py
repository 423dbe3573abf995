"""Numbers in any container and type go in as they are, or are refused with a sentence.

Every entry point is a row of a table, every container a column: what it answers is what it answers
for the plain array of float64 or int64 with the same numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import matrixbayes as mb

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


def matrix(**options: Any) -> mb.TransitionMatrix:
    return mb.TransitionMatrix(1, n_tokens=3, **options)


def selected(X: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mb.select_prior(X, [1], kind="counts").best_.alpha_


def elicited(histories: Any, weights: Any = None, history_kind: str = "counts") -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = mb.elicit_prior(
            histories,
            ROWS,
            kind="probs",
            history_kind=history_kind,
            weights=weights,
            n_components=1,
            n_starts=1,
            max_iter=3,
            n_boot=0,
            rng=0,
        )
    return found.prior.alpha


def curve(shots: Any, p: Any, weights: Any = None) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = mb.fit_icl_curve(shots, p, weights=weights, n_boot=0, rng=0)
    return found.dirichlet.prior.alpha


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
    "elicit_prior": elicited,
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
    "from_samples": lambda w: (
        mb.DirichletMixture.from_samples(ROWS, kind="probs", bandwidth=1.0, sample_weight=w).weights
    ),
    "compare": lambda w: mb.compare(matrix(), ROWS, [[0]] * 4, kind="probs", weights=w).weights,
    "elicit_prior": lambda w: elicited(COUNTS, w),
    "weights of points": lambda w: curve([0, 1, 2, 5], [0.25, 0.5, 0.5, 0.75], w),
    "shots": lambda w: curve(w, [0.25, 0.5, 0.375, 0.375]),
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
WHOLE = {
    f"{d}": (lambda X, d=d: X.astype(d)) for d in ["i1", "i2", "i4", "u1", "u2", "u4", "u8", "f8"]
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


OPTIONAL = ("counts: predictive", "states: hidden")


@pytest.mark.parametrize(("name", "call", "base"), ENTRIES, ids=[entry[0] for entry in ENTRIES])
def test_what_is_not_its_numbers_is_refused(name: str, call: Any, base: np.ndarray) -> None:
    for bad, make in BAD.items():
        if bad == "nothing" and (name in OPTIONAL or name.startswith("vector")):
            continue  # the default
        if bad == "dictionary" and name == "vector: posterior":
            continue  # a count for each column number
        given = make(base)
        try:
            found = answer(call, given)
        except (TypeError, ValueError) as error:
            assert len(str(error)) > 20, f"{name} of {bad}: {error!r}"
            continue
        raise AssertionError(f"{name} takes {bad}: {found}")
