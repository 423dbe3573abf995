"""Finite mixtures of Dirichlets: the prior over the rows of the Matrix.

The numbers and the kernels live in the C type of the same name; this is its
face: names of tokens, kinds of rows, quantiles, files.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._base import display, files
from .._base.arguments import generator_of, probability, shown, unit_size, whole
from .._base.mapped import read_mapped
from .._base.numbers import plain, reals
from .._base.saving.hub import Hosted
from .._base.saving.made import note, restore, told
from .._base.tokens import column_of, columns_in, counted, labels_of, order_of, string_labels
from .._base.typing import Floats
from .._base.weights import without_weightless
from ..errors import ArgumentError
from ..rows import PartialRows, as_log_probs
from ..rows.rows import Checked
from . import interop, lattice
from .partial.listing import listing_of
from .partial.lumped import posterior_of
from .reduction import Reduction, reduce

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from .kernels import KernelMixture

FORMAT, VERSION = "matrixbayes.prior", 1
OTHER, REST = "<other>", "<rest>"  # the tokens in no group; the same where one is called <other>

Token = str | int


class _Parts(NamedTuple):
    total: float
    aleatoric: float
    epistemic: float


@display.shown
class Uncertainty(_Parts):
    """Entropy of the next token, split, in a ``unit``; see `DirichletMixture.uncertainty`."""

    unit = "nats"

    @classmethod
    def in_base(cls, parts: Iterable[float], base: float | None) -> Self:
        """Parts in nats, in another unit."""
        size = unit_size(base)
        self = cls(*(float(part) / size for part in parts))
        if base is not None:
            units = {2.0: "bits", math.e: "nats"}
            self.unit = units.get(float(base), f"units of ln {base:g}")
        return self

    def to_pandas(self) -> pd.DataFrame:
        """One row, with a column for each part, in ``unit``.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        return display.frame(self._asdict())

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The parts beside each other."""
        from .result_plots import uncertainty  # needs matplotlib

        return uncertainty(self, ax=ax)

    def _table(self) -> display.Table:
        parts = zip(self._fields, self, strict=True)
        return display.Table("Uncertainty of the next token", ["", self.unit], [*map(list, parts)])


class DirichletMixture(Hosted, display.Shown, _core.DirichletMixture):
    r"""A finite mixture of Dirichlets over V tokens; it never changes.

    .. math:: u(p) = \sum_k w_k \, \mathrm{Dir}(p; \alpha_k), \qquad A_k = \sum_v \alpha_{kv}

    after Dalal & Misra (2024).  All logarithms are natural.

    Parameters
    ----------
    weights : array_like of shape (K,)
        Each >= 0; they sum to 1 within 1e-3 and are divided by their sum.
    alpha : array_like of shape (K, V)
        Each at least 1e-300, and the sum of a row at most 2**60.  Counts of a row sum to 2**53 at
        most.  What is computed is right in all of this range.
    tokens : sequence of str, optional
        The V names, all different; those of the columns of alpha, where that is a data frame.

    Attributes
    ----------
    weights, alpha, concentration : ndarray of shape (K,), (K, V), (K,)
        Read-only; ``concentration`` holds the sums A of each row of ``alpha``.
    tokens : tuple of str or None
    n_components, n_tokens : int

    Raises
    ------
    ValueError
        A parameter is not as described; the message says which.
    OverflowError
        A row of ``alpha`` sums to more than 2**60, that of a posterior too.

    Examples
    --------
    >>> import matrixbayes as mb
    >>> coin = mb.DirichletMixture([0.5, 0.5], [[9.0, 1.0], [1.0, 9.0]], tokens=("head", "tail"))
    >>> after = coin.posterior({"head": 3})
    >>> after.weights.round(3), after.mean().round(3)
    (array([0.994, 0.006]), array([0.919, 0.081]))
    """

    __slots__ = ("_made",)

    _file = "prior.safetensors"

    def __new__(
        cls, weights: ArrayLike, alpha: ArrayLike, *, tokens: Iterable[str] | None = None
    ) -> Self:
        names = None if tokens is None else tuple(tokens)
        if type(weights) is np.ndarray and type(alpha) is np.ndarray:
            return super().__new__(cls, weights, alpha, tokens=names)  # the core checks the rest
        order = order_of(labels_of(alpha), names, "the columns of alpha and tokens")
        names = string_labels(alpha) if names is None else names
        table = columns_in(reals(alpha, "alpha"), order)
        return super().__new__(cls, reals(weights, "weights"), table, tokens=names)

    # -- rows -------------------------------------------------------------------

    def log_prob(self, rows: Any, *, kind: str | None = None) -> NDArray[np.float64]:
        """Log-density of rows.

        Parameters
        ----------
        rows : NextTokenRows, PartialRows, or array_like of shape (N, V) or (V,)
            Columns with names are matched to the tokens by them.  Of rows known in part it is the
            density of what they list and the rest, lumped row by row.
        kind : {"logits", "log_probs", "probs"}
            What a bare array holds.

        Returns
        -------
        ndarray of shape (N,), or a float for a single row
            In nats, per unit of volume of the first V - 1 probabilities.

        Raises
        ------
        ValueError
            A row holds an exact zero, where a Dirichlet has no finite density.

        Examples
        --------
        >>> import matrixbayes as mb
        >>> prior = mb.DirichletMixture([1.0], [[2.0, 2.0]])
        >>> prior.log_prob([[0.5, 0.5]], kind="probs").round(9)
        array([0.40546511])
        """
        if isinstance(rows, PartialRows):
            return self._in_part(rows)[1]
        log_probs, single = self._rows(rows, kind)
        result = super().log_prob(log_probs)
        return result[0] if single else result

    def responsibilities(self, rows: Any, *, kind: str | None = None) -> NDArray[np.float64]:
        """Probability of each component given each row.

        Parameters
        ----------
        rows : NextTokenRows, PartialRows, or array_like of shape (N, V) or (V,)
        kind : {"logits", "log_probs", "probs", "counts"}
            What a bare array holds.

        Returns
        -------
        ndarray of shape (N, K), or (K,) for a single row
        """
        if isinstance(rows, PartialRows):
            return self._in_part(rows)[0]
        if kind == "counts":
            counts, single = self._counts(rows)
            result = self.count_responsibilities(counts)
        else:
            log_probs, single = self._rows(rows, kind)
            result = super().responsibilities(log_probs)
        return result[0] if single else result

    def _in_part(self, rows: PartialRows) -> tuple[Floats, Floats]:
        """Responsibilities (N, K) and log-densities (N,) of rows, each lumped as it is."""
        if rows.n_tokens != self.n_tokens:
            raise ValueError(
                f"rows have {rows.n_tokens} columns, the mixture {self.n_tokens} tokens"
            )
        order = order_of(rows.tokens, self.tokens, "the columns of rows and the mixture's tokens")
        return posterior_of(self, listing_of(rows, order))

    def _rows(self, rows: Any, kind: str | None) -> tuple[NDArray[np.floating], bool]:
        """Log-probabilities (N, V) without zeros, and whether a single row was given."""
        single = getattr(rows, "ndim", 2) == 1
        if isinstance(rows, (list, tuple)):
            single = len(rows) > 0 and np.ndim(rows[0]) == 0
        given = labels_of(rows)
        if single:
            rows = plain(rows, "rows")[np.newaxis]
        found = Checked.of(rows, kind)
        log_probs = columns_in(
            found.log_probs,
            order_of(given, self.tokens, "the columns of rows and the mixture's tokens"),
        )
        if log_probs.shape[1] != self.n_tokens:
            raise ValueError(
                f"rows have {log_probs.shape[1]} columns, the mixture {self.n_tokens} tokens"
            )
        if found.n_zeros:
            zeros, row, column = _core.check_log_probs(log_probs)
            raise ValueError(
                f"{zeros} of {len(log_probs)} rows hold an exact zero, where a Dirichlet has no "
                f"finite density; the first is row {row}, column {column}.  Give log-probabilities "
                "from before they underflowed, or add a small probability to every token"
            )
        return log_probs, single

    # -- counts -----------------------------------------------------------------

    def log_evidence(self, counts: Any, *, ordered: bool = True) -> NDArray[np.float64]:
        """Log-probability of observed tokens, the row integrated out.

        Parameters
        ----------
        counts : array_like of shape (N, V) or (V,), mapping of token to count, or tokens
            How often each token was seen, real numbers >= 0; see `posterior`.
        ordered : bool
            Of one sequence with these counts, whatever its order (True), or of the counts
            themselves: of all such sequences together (False), larger by
            ``ln n! - sum_v ln n_v!``.

        Returns
        -------
        ndarray of shape (N,), or a float for a single vector
            In nats.

        Examples
        --------
        >>> import matrixbayes as mb
        >>> prior = mb.DirichletMixture([1.0], [[1.0, 1.0]])
        >>> float(np.exp(prior.log_evidence([1, 1], ordered=False)).round(12))
        0.333333333333
        """
        vectors, single = self._counts(counts)
        result = super().log_evidence(vectors)
        if not ordered:
            total = vectors.sum(axis=1) + 1.0
            result += _core.lgamma(total) - _core.lgamma(vectors + 1.0).sum(axis=1)
        return result[0] if single else result

    def posterior(self, counts: Any) -> DirichletMixture:
        """The mixture after observing tokens: exact Bayesian updating.

        Parameters
        ----------
        counts : array_like of shape (V,), mapping of token to count, or sequence of str
            How often each token was seen, real numbers >= 0; or the tokens themselves, by name,
            to be counted.  What has names (a mapping, a column of pandas, the columns of a data
            frame) is matched to the tokens by them; tokens that a mapping or a column of pandas
            leaves out were not seen.

        Returns
        -------
        DirichletMixture
            With weights ``w_k L_k`` (normalised; L_k the evidence of component k) and
            ``alpha_k + counts``.

        Raises
        ------
        KeyError
            A name is not one of a token; it is said which was likely meant.
        ValueError, TypeError
            A number is not exact, or not finite and >= 0.

        Examples
        --------
        >>> import matrixbayes as mb
        >>> prior = mb.DirichletMixture([1.0], [[1.0, 1.0]], tokens=("no", "yes"))
        >>> prior.posterior(["yes", "no", "yes"]).alpha
        array([[2., 3.]])
        """
        vectors, single = self._counts(counts)
        if not single:
            raise ValueError(f"posterior takes one vector of counts, not shape {vectors.shape}")
        return super().posterior(vectors[0])

    def predictive(self, counts: Any = None) -> NDArray[np.float64]:
        """Probability of the next token, after observing tokens.

        Parameters
        ----------
        counts : array_like of shape (N, V) or (V,), or mapping of token to count, optional
            How often each token was seen; nothing yet by default.

        Returns
        -------
        ndarray of shape (N, V), or (V,) for a single vector
        """
        vectors, single = self._counts(np.zeros(self.n_tokens) if counts is None else counts)
        result = super().predictive(vectors)
        return result[0] if single else result

    def _counts(self, counts: Any) -> tuple[NDArray[np.float64], bool]:
        """Counts (N, V), and whether a single vector was given."""
        return counted(counts, self.tokens, self.n_tokens, "the mixture")

    # -- tokens -----------------------------------------------------------------

    def column(self, token: Token) -> int:
        """The column of a token, by name or by number.

        Raises
        ------
        KeyError
            There is no such token.
        """
        return column_of(token, self.tokens, self.n_tokens, "the mixture")

    def lump(self, groups: Mapping[str, Token | Iterable[Token]]) -> DirichletMixture:
        """The mixture over groups of tokens: exact, a group's alpha is the sum of its tokens'.

        Parameters
        ----------
        groups : mapping of str to token, or to several
            Tokens by name or column number.  Those in no group go to a last one, ``<other>``.

        Examples
        --------
        >>> import matrixbayes as mb
        >>> prior = mb.DirichletMixture([1.0], [[1.0, 2.0, 3.0]], tokens="abc")
        >>> prior.lump({"a or b": ["a", "b"]}).alpha
        array([[3., 3.]])
        """
        names, of_column = self._grouped(groups)
        alpha = np.zeros((self.n_components, len(names)))
        np.add.at(alpha.T, of_column, self.alpha.T)
        return type(self)(self.weights, alpha, tokens=names)

    def _grouped(
        self, groups: Mapping[str, Token | Iterable[Token]]
    ) -> tuple[list[str], NDArray[np.intp]]:
        """The names of groups, and the number of that of each column."""
        if not isinstance(groups, Mapping):
            raise ArgumentError(f"groups are {shown(groups)}; they must be a mapping of names")
        if not groups:
            raise ValueError("there are no groups")
        of_column = np.full(self.n_tokens, -1)
        for g, (name, members) in enumerate(groups.items()):
            of_group: Any = [members] if _is_token(members) else members
            for token in of_group:
                v = self.column(token)
                if of_column[v] >= 0:
                    raise ValueError(f"token {token!r} of group {name!r} is in two groups")
                of_column[v] = g
        names = list(groups)
        if (of_column < 0).any():
            names.append(REST if OTHER in names else OTHER)
            of_column[of_column < 0] = len(names) - 1
        empty = sorted(set(range(len(names))) - set(of_column.tolist()))
        if empty:
            raise ValueError(f"group {names[empty[0]]!r} has no tokens")
        return names, of_column

    def marginal(self, token: Token) -> DirichletMixture:
        """The mixture of Betas of one token's probability, as one over it and ``<other>``."""
        v = self.column(token)
        name = str(token) if self.tokens is None else self.tokens[v]
        if self.n_tokens == 1:
            raise ValueError("the only token has probability 1; there is no marginal")
        return self.lump({name: [v]})

    def interval(self, token: Token, level: float = 0.9) -> tuple[float, float]:
        """The central credible interval of one token's probability.

        Parameters
        ----------
        token : str or int
            By name or by column number.
        level : float
            Between 0 and 1: the probability inside; as much is left below as above.

        Returns
        -------
        low, high : float

        Examples
        --------
        >>> import matrixbayes as mb
        >>> low, high = mb.DirichletMixture([1.0], [[1.0, 1.0]]).interval(0, 0.9)
        >>> round(low, 12), round(high, 12)
        (0.05, 0.95)
        """
        level = probability(level, "level", inside=True)
        a, b = self.marginal(token).alpha.T
        tail = 0.5 * (1.0 - level)
        return _quantile(self.weights, a, b, tail), _quantile(self.weights, a, b, 1.0 - tail)

    # -- moments ----------------------------------------------------------------

    def mean(self) -> NDArray[np.float64]:
        """Mean row: the probability of each next token; shape (V,)."""
        return super().mean()

    def variance(self) -> NDArray[np.float64]:
        """Variance of each token's probability, by the law of total variance; shape (V,)."""
        return super().variance()

    def entropy(self) -> float:
        """Differential entropy of the row in nats, exact; for a single component only.

        Raises
        ------
        ValueError
            There are several components: their mixture has no closed form.

        See Also
        --------
        estimate_entropy : for any mixture, with a standard error.
        """
        if self.n_components > 1:
            raise ValueError(
                "the entropy of a mixture has no closed form; use estimate_entropy(n, rng=...)"
            )
        return float(self.component_entropy()[0])

    def estimate_entropy(self, n: int = 10_000, *, rng: Any = None) -> tuple[float, float]:
        """Differential entropy of the row in nats from n random rows, and its standard error."""
        n = whole(n, "n", 2)  # a standard error needs two
        surprise = -self.log_prob(self.sample(n, rng=rng, kind="log_probs"), kind="log_probs")
        return float(surprise.mean()), float(surprise.std(ddof=1) / np.sqrt(n))

    def uncertainty(self, *, base: float | None = None) -> Uncertainty:
        """Entropy of the next token, split into what data can and cannot reduce.

        Parameters
        ----------
        base : float, optional
            2 for bits; nats by default.

        Returns
        -------
        Uncertainty
            ``total``, the entropy of the mean row; ``aleatoric``, the mean entropy of the rows;
            ``epistemic``, their difference: the mutual information of token and row.

        Examples
        --------
        >>> import matrixbayes as mb
        >>> mb.DirichletMixture([1.0], [[1.0, 1.0]]).uncertainty(base=2).total
        1.0
        """
        return Uncertainty.in_base(super().uncertainty(), base)

    def sample(
        self, size: int | tuple[int, ...] | None = None, *, rng: Any = None, kind: str = "probs"
    ) -> NDArray[np.float64]:
        """Random rows.

        Parameters
        ----------
        size : int or tuple of int, optional
            How many; one by default.
        rng : numpy.random.Generator or int, optional
            Where chance comes from: a generator, a seed, or fresh entropy.
        kind : {"probs", "log_probs"}
            What to return; logarithms keep what underflows as a probability.

        Returns
        -------
        ndarray of shape (V,), or (*size, V)
        """
        if kind not in ("probs", "log_probs"):
            raise ValueError(f"kind={shown(kind)} is not one of 'probs', 'log_probs'")
        sizes: Any = () if size is None else size if np.ndim(size) else (size,)
        shape = tuple(whole(n, "size", 0) for n in sizes)
        generator = generator_of(rng)
        count = int(np.prod(shape, dtype=object)) if shape else 1
        rows = self.sample_log_probs(count, generator.bit_generator)
        rows = rows.reshape(*shape, self.n_tokens)
        return np.exp(rows) if kind == "probs" else rows

    # -- files and display --------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the mixture to one safetensors file, all or nothing."""
        tokens = None if self.tokens is None else list(self.tokens)
        header = {"format": FORMAT, "version": VERSION, "tokens": tokens} | told(self)
        files.write(path, {"weights": self.weights, "alpha": self.alpha}, header)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> DirichletMixture:
        """Read what `save` wrote; every number is checked again.

        Raises
        ------
        ValueError
            The file is damaged, or does not hold a mixture.
        """
        arrays, header = read_mapped(path, FORMAT)
        files.require(path, header, VERSION)
        if set(arrays) != {"weights", "alpha"}:
            raise ValueError(f"{os.fspath(path)} does not hold a mixture")
        with files.naming(path):
            new = cls(arrays["weights"], arrays["alpha"], tokens=header.get("tokens"))
        return restore(new, header)

    # -- from and to other things -----------------------------------------------------

    @classmethod
    def from_density(
        cls, density: Any, *, degree: int, n_tokens: int, tokens: Sequence[str] | None = None
    ) -> DirichletMixture:
        """Bernstein's mixture for a density: Dir(v + 1) weighted by the density at v / degree.

        Parameters
        ----------
        density : function
            From rows (n, V) to densities (n,), finite and >= 0 on the whole simplex.
        degree : int
            The lattice {v : sum(v) = degree} may have at most 200,000 points.
        n_tokens : int
        tokens : sequence of str, optional

        Returns
        -------
        DirichletMixture
            Without components of weight 0.  `approximation_report` says how good it is.

        Examples
        --------
        >>> import matrixbayes as mb
        >>> hill = mb.DirichletMixture.from_density(
        ...     lambda p: 6.0 * p[:, 0] * p[:, 1], degree=32, n_tokens=2
        ... )
        >>> hill.n_components, hill.mean().round(6)
        (31, array([0.5, 0.5]))
        """
        points, raw = lattice.bernstein(density, degree, n_tokens)
        kept = raw > 0.0
        if not kept.any():
            raise ValueError(f"the density is 0 at all {len(raw)} points of the lattice")
        made = cls(raw[kept] / raw.sum(), points[kept] + 1.0, tokens=tokens)
        return note(made, call="from_density", degree=degree)

    @classmethod
    def from_samples(
        cls,
        rows: Any,
        *,
        kind: str | None = None,
        degree: int | None = None,
        bandwidth: float | None = None,
        sample_weight: ArrayLike | None = None,
        tokens: Sequence[str] | None = None,
    ) -> DirichletMixture:
        """A mixture around random rows: Durrmeyer's operator, or Dirichlet kernels.

        Parameters
        ----------
        rows : NextTokenRows, or array_like of shape (N, V)
        kind : {"logits", "log_probs", "probs"}
            What a bare array holds.
        degree : int
            Durrmeyer: Dir(v + 1) on the lattice {v : sum(v) = degree}, weighted by the rows' mean
            probability of the counts v.  For few tokens.
        bandwidth : float
            Instead of degree: a component p / bandwidth + 1 around each row p.  For any V.
        sample_weight : array_like of shape (N,), optional
            A row of weight 0 is not there.
        tokens : sequence of str, optional

        Examples
        --------
        >>> import matrixbayes as mb
        >>> rows = [[0.2, 0.8], [0.6, 0.4]]
        >>> mb.DirichletMixture.from_samples(rows, kind="probs", bandwidth=0.1).alpha
        array([[3., 9.],
               [7., 5.]])
        """
        if (degree is None) == (bandwidth is None):
            raise ValueError("give degree (Durrmeyer's operator) or bandwidth (Dirichlet kernels)")
        sample_weight, rows = without_weightless(sample_weight, rows)
        log_probs, names = as_log_probs(rows, kind)
        tokens = names if tokens is None else tuple(tokens)
        logs = columns_in(
            log_probs, order_of(names, tokens, "the columns of rows and tokens")
        ).astype(np.float64)
        shares = lattice.checked_shares(sample_weight, len(logs))
        if degree is not None:
            points, weights = lattice.durrmeyer(logs, shares, degree)
            made = cls(weights / weights.sum(), points + 1.0, tokens=tokens)
            return note(made, call="from_samples", degree=degree, n_rows=len(logs))
        if bandwidth is None or not 0.0 < bandwidth < np.inf:
            raise ValueError(f"bandwidth={shown(bandwidth)} must be positive and finite")
        made = cls(shares, np.exp(logs) / bandwidth + 1.0, tokens=tokens)
        return note(made, call="from_samples", bandwidth=bandwidth, n_rows=len(logs))

    _around_rows: ClassVar[Any]  # made by kernels.fit, which needs this file

    @classmethod
    def from_rows(
        cls,
        rows: Any,
        *,
        kind: str | None = None,
        sample_weight: ArrayLike | None = None,
        max_rows: int | None = 10_000,
        pairs: ArrayLike | None = None,
        pair_weights: ArrayLike | None = None,
        neighbours: int | None = None,
        fits: DirichletMixture | Iterable[DirichletMixture] = (),
        tokens: Sequence[str] | None = None,
        rng: Any = 0,
    ) -> KernelMixture:
        """A Dirichlet around every row, drawn towards common means: a prior that predicts.

        Row i with concentration A and a share l has alpha = A ((1 - l) p_i + l b_i), b_i nine parts
        of ten the mean of the rows nearest to it and one part the mean of all.  The weights of the
        pairs (A, l), for each quarter of the rows by entropy, are those under which 1, 5, 20 and
        100 tokens drawn from rows kept apart are most probable.  No component is written out: the
        result keeps the rows as they are.

        Parameters
        ----------
        rows : NextTokenRows, or array_like of shape (N, V)
            Log-probabilities in float32 or float64 are kept, not copied.
        kind : {"logits", "log_probs", "probs"}
            What a bare array holds.
        sample_weight : array_like of shape (N,), optional
            A row of weight 0 is not there.
        max_rows : int or None
            Kernels stand around a random sample of so many rows; the mean is that of all.
        pairs : array_like of shape (J, 2), optional
            A > 0 and l from 0 to 1; by default A from 1 to about 3000, l from .01 to 1.
        pair_weights : array_like, optional
            Weights of the pairs, and then of the fits, in place of fitted ones.
        neighbours : int, optional
            How many nearest rows; 2.5 sqrt(N) by default, 0 for none: b_i is then the mean of all.
        fits : DirichletMixture, or several, optional
            Stand beside the kernels; weights of their own are fitted along with the pairs'.
        tokens : sequence of str, optional
        rng : numpy.random.Generator or int
            For the rows that are kept apart and for the draws.

        Returns
        -------
        KernelMixture
            It answers what a `DirichletMixture` answers; `reduce` makes few components of it.

        Raises
        ------
        ValueError
            A token is impossible in every row, or in one where l is 0; or an argument is not as
            described.

        Notes
        -----
        model.md section 7.  A single row says nothing of what others are like: its pairs have
        equal weights.

        Examples
        --------
        >>> import numpy as np
        >>> import matrixbayes as mb
        >>> rows = np.random.default_rng(0).dirichlet([0.5, 0.5, 0.2], size=200)
        >>> prior = mb.DirichletMixture.from_rows(rows, kind="probs")
        >>> bool(abs(prior.mean() - rows.mean(axis=0)).max() < 0.01)
        True
        """
        made: KernelMixture = cls._around_rows(
            rows,
            kind=kind,
            sample_weight=sample_weight,
            max_rows=max_rows,
            pairs=pairs,
            pair_weights=pair_weights,
            neighbours=neighbours,
            fits=fits,
            tokens=tokens,
            rng=rng,
        )
        return made

    def durrmeyer(self, degree: int) -> DirichletMixture:
        """Durrmeyer's operator on this mixture: Dir(v + 1), weighted by the evidence of v.

        What Bernstein's construction makes of an expectation instead of a density.  Weights
        are in closed form, Dirichlet-multinomial; the mean is (degree m + 1) / (degree + V).

        Examples
        --------
        >>> import matrixbayes as mb
        >>> mb.DirichletMixture([1.0], [[3.0, 1.0]]).durrmeyer(8).mean()
        array([0.7, 0.3])
        """
        points = lattice.lattice(degree, self.n_tokens)
        weights = np.exp(self.log_evidence(points, ordered=False))
        made = type(self)(weights / weights.sum(), points + 1.0, tokens=self.tokens)
        return note(made, call="durrmeyer", degree=degree)

    def reduce(
        self, n_components: int, *, rng: Any = None, n_init: int = 8, n_samples: int = 10_000
    ) -> Reduction:
        """Fewer components with the smallest loss, by EM on the mixture itself.

        Parameters
        ----------
        n_components : int
            K; a mixture that has no more is returned as it is.
        rng : numpy.random.Generator or int, optional
            For the starts and the estimate of the loss.
        n_init : int
            Starts; the one with the lowest bound is kept.
        n_samples : int
            Random rows to estimate the loss from.

        Returns
        -------
        Reduction
            ``mixture``; ``bound``, no less than KL(self || mixture) in nats; ``loss`` and
            ``loss_se``, an estimate of it and its standard error.

        Examples
        --------
        >>> import matrixbayes as mb
        >>> twice = mb.DirichletMixture([0.3, 0.3, 0.4], [[1.0, 2.0], [1.0, 2.0], [9.0, 1.0]])
        >>> smaller = twice.reduce(2, rng=0)
        >>> smaller.mixture.weights.round(6), round(smaller.bound, 6)
        (array([0.6, 0.4]), 0.0)
        """
        return reduce(self, n_components, rng, n_init, n_samples)

    def to_scipy(self) -> Any:
        """The only component as a frozen `scipy.stats.dirichlet`.

        Raises
        ------
        ValueError
            There are several.

        Examples
        --------
        >>> import matrixbayes as mb
        >>> mb.DirichletMixture([1.0], [[1.0, 3.0]]).to_scipy().mean()
        array([0.25, 0.75])
        """
        return interop.to_scipy(self)

    def to_pandas(self) -> Any:
        """A DataFrame with a row for each component: ``weight``, ``concentration`` and alphas.

        The columns have two levels; alphas are ``("alpha", token)``, by name or number.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        return interop.to_pandas(self)

    def to_arviz(self, draws: int = 1000, *, chains: int = 1, rng: Any = None) -> Any:
        """Random rows as ArviZ data: the variable ``p`` of ``posterior`` by chain, draw and token.

        Raises
        ------
        ImportError
            arviz-base is not installed.
        """
        return interop.to_arviz(self, draws, chains, rng)

    def __hash__(self) -> int:
        return hash((self.tokens, self.weights.tobytes(), self.alpha.tobytes()))

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Each component's mean and weight; `plot.components`."""
        from .plots import components  # needs matplotlib

        return components(self, ax=ax)

    def _table(self) -> display.Table:
        weights, alpha = self.weights, self.alpha
        total = alpha.sum(axis=1)
        order = np.argsort(-weights, kind="stable")  # the heaviest come first
        plural = "" if len(order) == 1 else "s"
        title = f"DirichletMixture: {len(order)} component{plural} over {self.n_tokens} tokens"
        columns = ["component", "weight", "concentration", "most probable"]
        shown = order[: display.MAX_HTML_ROWS + 1]
        words = [display.top(alpha[k] / total[k], self.tokens) for k in shown]
        words += [""] * (len(order) - len(shown))
        cells = [[int(k), weights[k], total[k], w] for k, w in zip(order, words, strict=True)]
        return display.Table(title, columns, cells)


def _is_token(given: Any) -> bool:
    """Whether this is one token, and not several."""
    return isinstance(given, str) or not np.iterable(given)


def _beta_quantiles(a: Any, b: Any, q: float) -> Any:
    """By SciPy, and by Cornish and Fisher's expansion where its roots lose their digits."""
    from scipy.special import betaincinv, ndtri

    narrow = np.minimum(a, b) > 1e7  # then the expansion is off by 1e-9 standard deviations
    mean, deviation, skew, bulge = _moments(np.where(narrow, a, 1.0), np.where(narrow, b, 1.0))
    z = ndtri(q)
    far = z + skew * (z * z - 1.0) / 6.0 + bulge * (z**3 - 3.0 * z) / 24.0
    far -= skew * skew * (2.0 * z**3 - 5.0 * z) / 36.0
    x = betaincinv(*_seen(np.where(narrow, 1.0, a), np.where(narrow, 1.0, b)), q)
    return np.where(narrow, mean + deviation * far, x)


def _beta_cdf(a: Any, b: Any, p: float) -> Any:
    from scipy.special import betainc, ndtr

    narrow = np.minimum(a, b) > 1e10
    mean, deviation, skew, _ = _moments(np.where(narrow, a, 1.0), np.where(narrow, b, 1.0))
    z = np.clip((p - mean) / deviation, -40.0, 40.0)
    exact = betainc(*_seen(np.where(narrow, 1.0, a), np.where(narrow, 1.0, b)), p)
    return np.where(narrow, ndtr(z - skew * (z * z - 1.0) / 6.0), exact)


def _seen(a: Any, b: Any) -> tuple[Any, Any]:
    """The same Betas with shapes that SciPy sees: 1.12 to 1.16 take the product of both, and give
    NaN or 0.5 where it is 0.  Below 1e-20 a Beta is 0 or 1, and which one their ratio tells."""
    scale = np.maximum(1e-20 / np.maximum(a, b), 1.0)
    return a * scale, b * scale


def _moments(a: Any, b: Any) -> tuple[Any, Any, Any, Any]:
    """Mean, standard deviation, skewness and excess kurtosis of Betas."""
    n, product = a + b, a / (a + b) * b
    skewness = 2.0 * (b - a) / (n + 2.0) * np.sqrt((n + 1.0) / a / b)
    kurtosis = 6.0 * ((a - b) / n * (a - b) * (n + 1.0) / product - n - 2.0) / (n + 2.0) / (n + 3.0)
    return a / n, np.sqrt(product / n / (n + 1.0)), skewness, kurtosis


def _quantile(weights: ArrayLike, a: ArrayLike, b: ArrayLike, q: float) -> float:
    """The q-quantile of a mixture of Betas; it lies between those of its components."""
    from scipy.optimize import brentq

    weights, a, b = (np.asarray(x)[np.asarray(weights) > 0.0] for x in (weights, a, b))
    each = _beta_quantiles(a, b, q)
    low, high = float(each.min()), float(each.max())
    if not low < high:
        return low

    def excess(p: float) -> float:
        return float(weights @ _beta_cdf(a, b, p)) - q

    if excess(low) >= 0.0 or excess(high) <= 0.0:  # rounding at an end
        return low if excess(low) >= 0.0 else high
    return float(brentq(excess, low, high, xtol=1e-300, rtol=8.9e-16, maxiter=5000))
