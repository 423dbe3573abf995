"""Types of the C core; `help` on each name tells the rest."""

from collections.abc import Sequence
from typing import Any, Literal, Self, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

_Floats = NDArray[np.float64]
_Rows = NDArray[np.floating[Any]]

# -- special functions ---------------------------------------------------------

def log(x: ArrayLike, /) -> _Floats: ...
def exp(x: ArrayLike, /) -> _Floats: ...
def lgamma(x: ArrayLike, /) -> _Floats: ...
def digamma(x: ArrayLike, /) -> _Floats: ...
def trigamma(x: ArrayLike, /) -> _Floats: ...
def inverse_digamma(x: ArrayLike, /) -> _Floats: ...
def lgamma_difference(a: ArrayLike, n: ArrayLike, /) -> _Floats: ...
def digamma_difference(a: ArrayLike, n: ArrayLike, /) -> _Floats: ...

# -- rows ------------------------------------------------------------------------

@overload
def log_probs(
    rows: ArrayLike, *, kind: str, bfloat16: bool = False, zeros: Literal[True]
) -> tuple[_Rows, tuple[int, int, int]]: ...
@overload
def log_probs(
    rows: ArrayLike, *, kind: str, bfloat16: bool = False, zeros: Literal[False] = False
) -> _Rows: ...
def check_log_probs(log_probs: _Rows, /) -> tuple[int, int, int]: ...
def decode_rows(
    codes: ArrayLike, n_tokens: int, /
) -> tuple[NDArray[np.float32], NDArray[np.int64], _Floats]: ...
def lump_log_probs(log_probs: _Rows, groups: ArrayLike, n_groups: int, /) -> _Rows: ...
def block_distances(kind: str, a: ArrayLike, b: ArrayLike, /) -> _Floats: ...
def pair_distances(
    kind: str, log_probs: _Rows, first: ArrayLike, second: ArrayLike, /
) -> _Floats: ...
def divergence(
    mass: ArrayLike,
    alpha: ArrayLike,
    share: ArrayLike,
    starts: ArrayLike,
    columns: ArrayLike,
    entries: ArrayLike,
    power: float,
    /,
) -> tuple[float, _Floats, _Floats, _Floats, float]: ...
def tree_predictions(
    alpha: ArrayLike,
    repeat: ArrayLike,
    others: ArrayLike,
    odds: float,
    tokens: ArrayLike,
    queries: ArrayLike,
    starts: ArrayLike,
    columns: ArrayLike,
    paths: ArrayLike,
    held: ArrayLike,
    n_nodes: int,
    longest: int,
    /,
) -> tuple[_Floats, _Floats, _Floats, _Floats]: ...
def tree_slopes(
    alpha: ArrayLike,
    repeat: ArrayLike,
    others: ArrayLike,
    odds: float,
    tokens: ArrayLike,
    queries: ArrayLike,
    starts: ArrayLike,
    columns: ArrayLike,
    paths: ArrayLike,
    held: ArrayLike,
    n_nodes: int,
    longest: int,
    by_share: ArrayLike,
    by_even: ArrayLike,
    by_evidence: ArrayLike,
    by_entries: ArrayLike,
    /,
) -> tuple[_Floats, tuple[float, float], tuple[float, float], float]: ...
def balance_predictions(
    strength: float,
    memory: float,
    n_tokens: int,
    n_slots: int,
    queries: ArrayLike,
    starts: ArrayLike,
    slots: ArrayLike,
    entries: ArrayLike,
    /,
) -> tuple[_Floats, _Floats, _Floats]: ...
def concentration_evidence(
    starts: ArrayLike, counts: ArrayLike, means: ArrayLike, values: ArrayLike, /
) -> _Floats: ...
def concentration_shares(
    starts: ArrayLike,
    counts: ArrayLike,
    means: ArrayLike,
    values: ArrayLike,
    weights: ArrayLike,
    /,
) -> _Floats: ...
def discounted_probs(
    counts: ArrayLike,
    row: ArrayLike,
    shorter: ArrayLike,
    sizes: ArrayLike,
    bucket: ArrayLike,
    discounts: ArrayLike,
    q: ArrayLike,
    /,
) -> _Floats: ...
def row_buckets(sizes: ArrayLike, n_buckets: int, /) -> NDArray[np.int64]: ...
def discounted_fit(
    levels: Sequence[Sequence[ArrayLike]], q: ArrayLike, times: ArrayLike, /
) -> tuple[float, _Floats]: ...
def read_arpa(
    text: bytes, /
) -> tuple[
    NDArray[np.int64],
    list[tuple[NDArray[np.uint32], NDArray[np.uint32], _Floats, _Floats]],
]: ...
def arpa_lines(
    words: ArrayLike,
    log_probs: ArrayLike,
    log_backs: ArrayLike | None,
    names: bytes,
    ends: ArrayLike,
    /,
) -> bytes: ...

# -- mixtures ----------------------------------------------------------------------

class DirichletMixture:
    def __new__(cls, weights: ArrayLike, alpha: ArrayLike, *, tokens: Any = None) -> Self: ...
    @property
    def weights(self) -> _Floats: ...
    @property
    def alpha(self) -> _Floats: ...
    @property
    def concentration(self) -> _Floats: ...
    @property
    def n_components(self) -> int: ...
    @property
    def n_tokens(self) -> int: ...
    @property
    def tokens(self) -> tuple[str, ...] | None: ...
    def log_prob(self, log_probs: Any, /) -> _Floats: ...
    def responsibilities(self, log_probs: Any, /) -> _Floats: ...
    def log_evidence(self, counts: Any, /) -> _Floats: ...
    def count_responsibilities(self, counts: Any, /) -> _Floats: ...
    def posterior(self, counts: Any, /) -> Self: ...
    def predictive(self, counts: Any, /) -> _Floats: ...
    def mean(self) -> _Floats: ...
    def variance(self) -> _Floats: ...
    def component_entropy(self) -> _Floats: ...
    def uncertainty(self) -> tuple[float, float, float]: ...
    def sample_log_probs(self, n: int, bit_generator: Any, /) -> _Floats: ...
    def __getnewargs_ex__(self) -> tuple[tuple[_Floats, _Floats], dict[str, Any]]: ...

# -- EM ------------------------------------------------------------------------------

class SufficientStatistics:
    def __new__(
        cls, weight: ArrayLike, log_sums: ArrayLike, log_likelihood: float, n_rows: int
    ) -> Self: ...
    @property
    def weight(self) -> _Floats: ...
    @property
    def log_sums(self) -> _Floats: ...
    @property
    def log_likelihood(self) -> float: ...
    @property
    def n_rows(self) -> int: ...
    def __add__(self, other: SufficientStatistics, /) -> SufficientStatistics: ...
    def __radd__(self, other: int, /) -> SufficientStatistics: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

def expectation(
    mixture: DirichletMixture, log_probs: _Rows, sample_weight: ArrayLike | None = None, /
) -> SufficientStatistics: ...
def accumulate(log_probs: _Rows, responsibilities: ArrayLike, /) -> SufficientStatistics: ...
def maximization(
    statistics: SufficientStatistics,
    alpha: ArrayLike,
    prior: tuple[float, float, float, float],
    /,
) -> tuple[_Floats, NDArray[np.int8]]: ...
def count_maximization(
    tokens: ArrayLike,
    counts: ArrayLike,
    weights: ArrayLike,
    alpha: ArrayLike,
    prior: tuple[float, float, float, float],
    /,
) -> tuple[_Floats, NDArray[np.int8]]: ...

# -- counts --------------------------------------------------------------------------

class Counts:
    def __new__(
        cls, indptr: ArrayLike, indices: ArrayLike, data: ArrayLike, n_tokens: int
    ) -> Self: ...
    @property
    def n_rows(self) -> int: ...
    @property
    def n_tokens(self) -> int: ...
    @property
    def n_entries(self) -> int: ...
    @property
    def tokens(self) -> NDArray[np.uint32]: ...
    @property
    def counts(self) -> _Floats: ...
    def sparse(self) -> tuple[NDArray[np.int64], NDArray[np.int64], _Floats]: ...
    def __reduce__(self) -> tuple[Any, ...]: ...

def evidence_table(mixture: DirichletMixture, counts: Counts, /) -> _Floats: ...
def count_posterior(
    mixture: DirichletMixture, counts: Counts, table: _Floats, start: int, stop: int, /
) -> tuple[_Floats, _Floats]: ...
def count_expectation(
    mixture: DirichletMixture,
    counts: Counts,
    table: _Floats,
    start: int,
    stop: int,
    sample_weight: ArrayLike | None = None,
    /,
) -> tuple[_Floats, _Floats, float]: ...
def count_log_joint(
    mixture: DirichletMixture, counts: Counts, table: _Floats, start: int, stop: int, /
) -> _Floats: ...
def count_accumulate(
    counts: Counts, responsibilities: ArrayLike, start: int = -1, /
) -> tuple[_Floats, _Floats]: ...

# -- rows known in part --------------------------------------------------------------

def sum_whole(values: ArrayLike, /) -> _Floats: ...
def sum_unlisted(
    starts: ArrayLike, columns: ArrayLike, values: ArrayLike, whole: ArrayLike, /
) -> _Floats: ...
def sum_listed(
    starts: ArrayLike,
    columns: ArrayLike,
    values: ArrayLike,
    factors: ArrayLike | None = None,
    /,
) -> _Floats: ...
def add_to_listed(
    starts: ArrayLike,
    columns: ArrayLike,
    values: ArrayLike,
    n_tokens: int,
    factors: ArrayLike | None = None,
    /,
) -> _Floats: ...
def partial_maximization(
    weight: ArrayLike,
    listed: ArrayLike,
    single: ArrayLike,
    slope: ArrayLike,
    alpha: ArrayLike,
    prior: tuple[float, float, float, float],
    /,
) -> tuple[_Floats, NDArray[np.int8]]: ...
def regression_sums(
    units: tuple[ArrayLike, ...],
    totals: ArrayLike,
    means: ArrayLike,
    places: ArrayLike,
    design: ArrayLike,
    /,
) -> tuple[_Floats, _Floats, _Floats, _Floats, _Floats]: ...
def regression_mean(
    units: tuple[ArrayLike, ...], totals: ArrayLike, mean: ArrayLike, /
) -> _Floats: ...
def draw_rows(
    log_probs: _Rows,
    n: int,
    n_each: int,
    seed: int,
    first: int,
    sample_weight: ArrayLike | None = None,
    /,
) -> tuple[_Int64, _Int64, _Floats, _Floats]: ...
def posterior_learning(
    mixture: DirichletMixture, counts: ArrayLike, tokens: ArrayLike, /
) -> tuple[_Floats, _Floats]: ...
def kernel_evidence(
    p: ArrayLike,
    b: ArrayLike,
    seen: ArrayLike,
    own: ArrayLike,
    shared: ArrayLike,
    concentration: ArrayLike,
    starts: ArrayLike,
    places: ArrayLike,
    counts: ArrayLike,
    /,
) -> _Floats: ...

# -- transitions -----------------------------------------------------------------------

_Int64 = NDArray[np.int64]
_Uint64 = NDArray[np.uint64]

def join_documents(
    documents: Sequence[Any], /
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None: ...
def lead_documents(
    tokens: ArrayLike, starts: ArrayLike, ends: ArrayLike, first: ArrayLike, lead: ArrayLike, /
) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...

class TransitionCounts:
    def __new__(cls, order: int, n_tokens: int) -> Self: ...
    @property
    def order(self) -> int: ...
    @property
    def n_tokens(self) -> int: ...
    @property
    def n_observed(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    def update(
        self,
        tokens: ArrayLike | list[ArrayLike],
        starts: ArrayLike | None = None,
        ends: ArrayLike | None = None,
        /,
    ) -> None: ...
    def update_rows(self, contexts: ArrayLike, tokens: ArrayLike, counts: ArrayLike, /) -> None: ...
    def merge(self, other: TransitionCounts, /) -> None: ...
    def subtract(self, other: TransitionCounts, /) -> None: ...
    def scale(self, factor: int, /) -> None: ...
    def shorten(self, known: TransitionCounts, /) -> TransitionCounts: ...
    def discounted_rows(
        self, events: TransitionCounts, /
    ) -> tuple[_Floats, NDArray[np.int64], _Floats]: ...
    def shorter_pairs(self, shorter: TransitionCounts, /) -> NDArray[np.int64]: ...
    def counts_of_counts(self, most: int, /) -> NDArray[np.uint64]: ...
    def copy(self) -> TransitionCounts: ...
    def counts(self, contexts: ArrayLike, tokens: ArrayLike, /) -> NDArray[np.uint64]: ...
    def totals(self, contexts: ArrayLike, /) -> NDArray[np.uint64]: ...
    def rows(
        self, contexts: ArrayLike, /
    ) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint64]]: ...
    def all(
        self,
    ) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint64]]: ...
    def sizes(self) -> tuple[int, int]: ...
    def fold(
        self,
        shorter: TransitionCounts | None,
        below: ArrayLike | None,
        weights: ArrayLike,
        alpha: ArrayLike,
        deeper: float,
        best: bool,
        /,
    ) -> tuple[_Floats, _Floats | None, float]: ...
    def places(self, contexts: ArrayLike, /) -> NDArray[np.int64]: ...
    def arrays(self) -> tuple[_Uint64, NDArray[np.uint32], _Uint64, _Uint64, _Uint64, _Uint64]: ...
    @classmethod
    def from_arrays(
        cls,
        order: int,
        n_tokens: int,
        arrays: Sequence[NDArray[Any]],
        latest: object = (),
        *,
        verify: bool = True,
        begins: bool = False,
    ) -> Self: ...

class FrozenCounts:
    def __new__(
        cls,
        n_tokens: int,
        levels: Sequence[NDArray[np.uint64]],
        *,
        verify: bool = True,
        begins: bool = False,
    ) -> Self: ...
    @property
    def order(self) -> int: ...
    @property
    def n_tokens(self) -> int: ...
    @property
    def n_observed(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    def counts(self, contexts: ArrayLike, tokens: ArrayLike, /) -> NDArray[np.uint64]: ...
    def totals(self, contexts: ArrayLike, /) -> NDArray[np.uint64]: ...
    def rows(
        self, contexts: ArrayLike, /
    ) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint64]]: ...
    def walk(
        self, contexts: ArrayLike, tokens: ArrayLike, /
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]: ...
    def places(self, contexts: ArrayLike, /) -> NDArray[np.int64]: ...
    def all(
        self,
    ) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.uint32], NDArray[np.uint64]]: ...
    def sizes(self) -> tuple[int, int]: ...
    def arrays(self) -> tuple[NDArray[np.uint64], ...]: ...
    def copy(self) -> FrozenCounts: ...
    def update(self, tokens: ArrayLike | list[ArrayLike], /) -> None: ...
    def update_rows(self, contexts: ArrayLike, tokens: ArrayLike, counts: ArrayLike, /) -> None: ...
    def merge(self, other: object, /) -> None: ...
    @staticmethod
    def encode(
        n_tokens: int,
        levels: Sequence[NDArray[np.uint64]],
        contexts: NDArray[np.uint32],
        indptr: ArrayLike | None,
        tokens: NDArray[np.uint32] | None,
        counts: NDArray[np.uint64] | None,
        /,
    ) -> NDArray[np.uint64]: ...

class BackoffTable:
    def __new__(
        cls,
        n_tokens: int,
        starts: Sequence[ArrayLike],
        tokens: Sequence[ArrayLike],
        values: Sequence[ArrayLike],
        backs: Sequence[ArrayLike],
        contexts: Sequence[ArrayLike],
        *,
        own: bool = False,
        base: Sequence[ArrayLike] | None = None,
        root: ArrayLike | None = None,
    ) -> Self: ...
    @property
    def n_tokens(self) -> int: ...
    @property
    def order(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    def scores(
        self,
        documents: ArrayLike | list[ArrayLike],
        bounds: ArrayLike | None = None,
        *,
        before: ArrayLike = (),
        skip: int = 0,
    ) -> _Floats: ...
    def log_prob(
        self,
        documents: ArrayLike | list[ArrayLike],
        bounds: ArrayLike | None = None,
        *,
        before: ArrayLike = (),
        skip: int = 0,
    ) -> float: ...
    def matched(
        self,
        documents: ArrayLike | list[ArrayLike],
        bounds: ArrayLike | None = None,
        *,
        before: ArrayLike = (),
        skip: int = 0,
    ) -> _Int64: ...
    def pair_values(self, contexts: ArrayLike, tokens: ArrayLike, /) -> _Floats: ...
    def prune(
        self, states: ArrayLike, threshold: float, /
    ) -> tuple[NDArray[np.bool_], _Floats, float]: ...
    def rows(self, contexts: ArrayLike, /) -> _Floats: ...
    @classmethod
    def from_counts(
        cls,
        counts: Sequence[TransitionCounts],
        row: ArrayLike,
        *,
        concentrations: Sequence[tuple[ArrayLike, ArrayLike]] | None = None,
        discounts: ArrayLike | None = None,
        leaves: tuple[float, Sequence[ArrayLike]] | None = None,
    ) -> Self: ...
    def leads(self) -> list[_Int64]: ...
    def arrays(
        self,
    ) -> tuple[
        list[_Int64],
        list[_Int64],
        list[_Floats],
        list[_Floats],
        list[_Int64],
        list[_Floats] | None,
        _Floats,
    ]: ...

class FadingCounts:
    def __new__(cls, order: int, n_tokens: int, discount: float) -> Self: ...
    @property
    def order(self) -> int: ...
    @property
    def n_tokens(self) -> int: ...
    @property
    def discount(self) -> float: ...
    @property
    def n_observed(self) -> float: ...
    @property
    def nbytes(self) -> int: ...
    def update(
        self,
        tokens: ArrayLike | list[ArrayLike],
        starts: ArrayLike | None = None,
        ends: ArrayLike | None = None,
        /,
    ) -> None: ...
    def update_rows(self, contexts: ArrayLike, tokens: ArrayLike, counts: ArrayLike, /) -> None: ...
    def merge(self, other: FadingCounts, /) -> None: ...
    def scale(self, factor: float, contexts: ArrayLike | None = None, /) -> None: ...
    def copy(self) -> FadingCounts: ...
    def counts(self, contexts: ArrayLike, tokens: ArrayLike, /) -> _Floats: ...
    def totals(self, contexts: ArrayLike, /) -> _Floats: ...
    def rows(
        self, contexts: ArrayLike, /
    ) -> tuple[NDArray[np.int64], NDArray[np.uint32], _Floats]: ...
    def all(self) -> tuple[_Int64, _Int64, _Int64, _Floats]: ...
    def sizes(self) -> tuple[int, int]: ...
    def arrays(self) -> tuple[_Int64, _Int64, _Int64, _Floats, _Floats, _Int64, _Int64]: ...
    @classmethod
    def from_arrays(
        cls, order: int, n_tokens: int, discount: float, arrays: Sequence[ArrayLike], /
    ) -> Self: ...
    def log_evidence(
        self,
        tokens: ArrayLike | list[ArrayLike],
        weights: ArrayLike,
        concentration: ArrayLike,
        alpha: ArrayLike,
        /,
    ) -> float: ...
