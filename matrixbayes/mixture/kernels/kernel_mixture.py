"""Mixtures with a Dirichlet around every row: the kernel estimate of a prior.

A component is a row and a pair of numbers, never V numbers of its own; what is asked of all of them
is computed from the rows.  `rows` has the rows, `fit` chooses pairs and weights,
`reduction` makes such a mixture small.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ... import _core
from ..._base import display, files
from ..._base.arguments import generator_of, instance, whole
from ..._base.mapped import read_mapped
from ..._base.numbers import reals, wholes
from ..._base.saving.hub import Hosted
from ..._base.saving.made import restore, told
from ..._base.tokens import counted, token_names
from ..._base.typing import Floats, Ids
from ..mixture import DirichletMixture, Token, Uncertainty
from .reduction import KernelReduction, reduce_kernels
from .rows import BLOCK, KernelRows, inverse

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

FORMAT, VERSION = "matrixbayes.kernels", 1
LOST = 1e-12  # the weight that a posterior may leave out
LARGEST = 1 << 27  # numbers in what `dense` makes: a gigabyte
CHECKED = 1 << 20  # numbers of a file that are checked in one piece
MOST = 2.0**53  # what counts of a vector may sum to


class KernelMixture(Hosted, display.Shown):
    r"""A Dirichlet around every row, at several concentrations; it never changes.

    .. math:: u(p) = \sum_{ij} w_{ij} \, \mathrm{Dir}(p; \; A_j ((1 - l_j) p_i + l_j b_i) + n)

    Row p_i, drawn by a share l_j towards b_i: nine parts of ten the mean of the rows nearest to it,
    one part the mean of all.  n is what was seen since: 0 in a prior.  Fits of few components can
    stand beside.  It is made by `DirichletMixture.from_rows`, and it answers what a
    `DirichletMixture` answers; it keeps the caller's rows and never K times V numbers.

    Attributes
    ----------
    n_components, n_tokens : int
    weights, concentration : ndarray of shape (K,)
        Of each component: pair by pair, each around all rows, and then those of the fits.
    pairs : ndarray of shape (J, 2)
        A and l.
    pair_weights : ndarray of shape (J,)
    tokens : tuple of str or None

    Examples
    --------
    >>> import numpy as np
    >>> import matrixbayes as mb
    >>> rows = np.random.default_rng(0).dirichlet([0.5, 0.5, 0.2], size=200)
    >>> prior = mb.DirichletMixture.from_rows(rows, kind="probs", rng=0)
    >>> bool(abs(prior.mean() - rows.mean(axis=0)).max() < 0.01)
    True
    >>> after = prior.posterior([2, 0, 1])
    >>> bool(after.n_components <= prior.n_components)
    True
    """

    _file = "prior.safetensors"

    def __init__(
        self,
        rows: KernelRows,
        kept: Ids,
        pairs: Floats,
        log_weights: Floats,
        fits: DirichletMixture | None = None,
        fits_weight: float = 0.0,
        seen: Floats | None = None,
        tokens: tuple[str, ...] | None = None,
    ) -> None:
        self._rows_around, self._kept, self.pairs = rows, kept, pairs
        self._log_weights = log_weights  # (J, N), -inf where there is no component
        self._fits, self._fits_weight = fits, fits_weight  # what was seen is in the fits
        self._seen, self.tokens = seen, tokens

    # -- components -----------------------------------------------------------------

    @property
    def n_tokens(self) -> int:
        """V, the number of tokens."""
        return self._rows_around.n_tokens

    @property
    def n_components(self) -> int:
        """K: of the kernels and of the fits beside them."""
        fits = 0 if self._fits is None else self._fits.n_components
        return int(np.isfinite(self._log_weights).sum()) + fits

    @property
    def weights(self) -> Floats:
        """Weights of the components; shape (K,)."""
        own = np.exp(self._log_weights[np.isfinite(self._log_weights)])
        if self._fits is None:
            return own
        return np.concatenate([own, self._fits_weight * self._fits.weights])

    @property
    def pair_weights(self) -> Floats:
        """The weight of each pair around all rows; shape (J,)."""
        return np.asarray(np.exp(self._log_weights).sum(axis=1))

    @property
    def concentration(self) -> Floats:
        """The sum of each component's alphas; shape (K,)."""
        own = np.broadcast_to(self._concentration[:, np.newaxis], self._log_weights.shape)
        own = own[np.isfinite(self._log_weights)]
        return own if self._fits is None else np.concatenate([own, self._fits.concentration])

    @property
    def _factors(self) -> tuple[Floats, Floats]:
        """What alpha has of p and of b; (J,) each."""
        concentration, share = self.pairs.T
        return concentration * (1.0 - share), concentration * share

    @property
    def _n_seen(self) -> float:
        return 0.0 if self._seen is None else float(self._seen.sum())

    @property
    def _concentration(self) -> Floats:
        return self.pairs[:, 0] + self._n_seen

    def _alpha(self, j: int, n: int) -> Floats:
        """Of the n-th kept row at pair j; shape (V,)."""
        own, shared = self._factors
        p, b = self._rows_around.row(int(self._kept[n]))
        alpha: Floats = own[j] * p + shared[j] * b
        return alpha if self._seen is None else alpha + self._seen

    @property
    def alpha(self) -> Floats:
        """The alphas of `dense`, written out for this call; shape (K, V)."""
        return self.dense().alpha

    def dense(self) -> DirichletMixture:
        """The same as a `DirichletMixture`, which holds K times V numbers.

        Raises
        ------
        ValueError
            They are more than 2**27; `reduce` makes fewer components.
        """
        if self.n_components * self.n_tokens > LARGEST:
            raise ValueError(
                f"{self.n_components} components over {self.n_tokens} tokens are too many numbers; "
                "reduce(n) makes n components of them"
            )
        there = np.isfinite(self._log_weights)
        alpha = np.empty((int(there.sum()), self.n_tokens))
        ends = np.cumsum(there.sum(axis=1))
        for columns, p, b, seen in self._columns():
            for own, shared, mine, end in zip(*self._factors, there, ends, strict=True):
                some = own * p[:, mine] + shared * b[:, mine] + seen
                alpha[end - some.shape[1] : end, columns] = some.T
        if self._fits is not None:
            alpha = np.concatenate([alpha, self._fits.alpha])
        return DirichletMixture(self.weights, alpha, tokens=self.tokens)

    # -- counts -----------------------------------------------------------------------

    def log_evidence(self, counts: Any, *, ordered: bool = True) -> Floats:
        """Log-probability of observed tokens, the row integrated out.

        Parameters
        ----------
        counts : array_like of shape (N, V) or (V,), mapping of token to count, or tokens
            How often each token was seen, real numbers >= 0.
        ordered : bool
            Of one sequence with these counts (True), or of the counts themselves (False).

        Returns
        -------
        ndarray of shape (N,), or a float for a single vector
            In nats.  See `DirichletMixture.log_evidence`.
        """
        vectors, single = self._counts(counts)
        found = self.log_evidence_of(*_entries(vectors))
        if not ordered:
            found += _core.lgamma(vectors.sum(axis=1) + 1.0)
            found -= _core.lgamma(vectors + 1.0).sum(axis=1)
        return found[0] if single else found

    def log_evidence_of(self, starts: Ids, tokens: Ids, counts: Floats) -> Floats:
        """The same of R count vectors that are given sparse: vector r has `counts` > 0 of
        ``tokens[starts[r]:starts[r + 1]]``; shape (R,)."""
        starts, tokens, counts = self._checked_vectors(starts, tokens, counts)
        found = np.empty(len(starts) - 1)
        for at, joint, beside in self._joint(starts, tokens, counts):
            found[at] = _log_sum(joint, beside)
        return found

    def _checked_vectors(self, starts: Any, tokens: Any, counts: Any) -> tuple[Ids, Ids, Floats]:
        """Count vectors that are given sparse, as arrays."""
        starts, tokens = wholes(starts, "starts"), wholes(tokens, "tokens")
        counts = reals(counts, "counts", tokens.shape)
        if starts.ndim != 1 or tokens.ndim != 1 or not len(starts) or starts[0] != 0:
            raise ValueError("starts and tokens need one axis each, and starts begin with 0")
        if (np.diff(starts) < 0).any() or starts[-1] != len(tokens):
            raise ValueError(f"starts must rise to {len(tokens)}, the number of tokens")
        if ((tokens < 0) | (tokens >= self.n_tokens)).any():
            raise ValueError(f"tokens must be from 0 to {self.n_tokens - 1}")
        if not ((counts > 0.0) & (counts < np.inf)).all():
            raise ValueError("counts must be finite and above 0")
        return starts, tokens, counts

    def group_evidence(self, groups: Ids, starts: Ids, tokens: Ids, counts: Floats) -> Floats:
        """The same of the kernels by pair and by group g of rows, given the number of each row's:
        ln sum_{i in g} w_ij L_ij, shape (R, J, G)."""
        n = self._log_weights.shape[1]
        groups = wholes(groups, "groups")
        if groups.shape != (n,) or (groups < 0).any() or (groups >= n).any():
            raise ValueError(f"groups need a number from 0 to {n - 1} for each of {n} rows")
        n_groups = int(groups.max()) + 1
        starts, tokens, counts = self._checked_vectors(starts, tokens, counts)
        found = np.empty((len(starts) - 1, len(self.pairs), n_groups))
        for at, joint, _ in self._joint(starts, tokens, counts):
            top = joint.max(axis=(1, 2), keepdims=True)
            np.exp(joint - top, out=joint)
            for g in range(n_groups):
                with np.errstate(divide="ignore"):
                    found[at, :, g] = np.log(joint[:, :, groups == g].sum(axis=2))
            found[at] += top
        return found

    def posterior(self, counts: Any) -> KernelMixture:
        """The mixture after observing tokens; components that together have less than 1e-12 of the
        weight are left out.

        Parameters
        ----------
        counts : array_like of shape (V,), mapping of token to count, or sequence of str
            See `DirichletMixture.posterior`.

        Returns
        -------
        KernelMixture
            Around the same rows.
        """
        vectors, single = self._counts(counts)
        if not single:
            raise ValueError(f"posterior takes one vector of counts, not shape {vectors.shape}")
        ((_, joint, beside),) = self._joint(*_entries(vectors))
        total = _log_sum(joint, beside)[0]
        weights = np.exp(np.concatenate([joint.ravel(), beside.ravel()]) - total)
        order = np.argsort(weights)
        lost = np.cumsum(weights[order])
        weights[order[lost <= LOST * lost[-1]]] = 0.0
        weights /= weights.sum()
        own, of_fits = np.split(weights, [joint.size])
        own = own.reshape(joint.shape[1:])
        rows, pairs = own.max(axis=0) > 0.0, own.max(axis=1) > 0.0
        if not rows.any():  # the fits have all the weight: one row holds the place of the others
            rows[0] = pairs[0] = True
        with np.errstate(divide="ignore"):
            log_weights = np.log(own[pairs][:, rows])
        seen = vectors[0] if self._seen is None else self._seen + vectors[0]
        fits = self._fits if of_fits.any() else None
        if fits is not None:
            fits = fits.posterior(vectors[0])
        return KernelMixture(
            self._rows_around,
            self._kept[rows],
            self.pairs[pairs],
            log_weights,
            fits,
            float(of_fits.sum()),
            seen if seen.any() else None,
            self.tokens,
        )

    def predictive(self, counts: Any = None) -> Floats:
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
        result = np.empty(vectors.shape)
        own, shared = self._factors
        for at, joint, beside in self._joint(*_entries(vectors)):
            total = _log_sum(joint, beside)
            shares = np.exp(joint - total[:, np.newaxis, np.newaxis])
            some = vectors[at]
            shares /= (self._concentration + some.sum(axis=1, keepdims=True))[:, :, np.newaxis]
            of_p, of_b = np.einsum("j,rjn->rn", own, shares), np.einsum("j,rjn->rn", shared, shares)
            result[at] = self._rows_around.combined(of_p, of_b, self._kept)
            seen = some if self._seen is None else some + self._seen
            result[at] += shares.sum(axis=(1, 2))[:, np.newaxis] * seen
            if self._fits is not None:
                weight = np.exp(beside - total[:, np.newaxis]).sum(axis=1, keepdims=True)
                result[at] += weight * self._fits.predictive(some)
        return result[0] if single else result

    def responsibilities(self, rows: Any, *, kind: str | None = None) -> Floats:
        """Probability of each component given each row, or each vector of counts.

        Parameters
        ----------
        rows : NextTokenRows, or array_like of shape (N, V) or (V,)
        kind : {"logits", "log_probs", "probs", "counts"}
            What a bare array holds.

        Returns
        -------
        ndarray of shape (N, K), or (K,) for a single row
        """
        if kind == "counts":
            given, single = self._counts(rows)
            parts = self._joint(*_entries(given))
        else:
            given, single = self._checked(rows, kind)
            parts = self._densities(given)
        there = np.isfinite(self._log_weights)
        result = np.empty((len(given), self.n_components))
        for at, joint, beside in parts:
            logs = np.concatenate([joint[:, there], beside], axis=1)
            result[at] = np.exp(logs - _log_sum(joint, beside)[:, np.newaxis])
        return result[0] if single else result

    def _joint(
        self, starts: Ids, tokens: Ids, counts: Floats
    ) -> Iterator[tuple[slice, Floats, Floats]]:
        """ln w + ln L of count vectors, some at a time: of the kernels (R, J, N), of the fits."""
        n, rows = len(starts) - 1, self._rows_around
        step = max(1, BLOCK // self._log_weights.size)
        widest = max(1, BLOCK // len(rows.log_probs))  # columns at a time
        start = 0
        while start < n:
            most = np.searchsorted(starts, starts[start] + widest, side="right") - 1
            stop = int(min(start + step, n, max(most, start + 1)))
            at = slice(start, stop)
            first, last = int(starts[start]), int(starts[stop])
            local = starts[start : stop + 1] - first
            if last - first <= widest:
                joint = self._kernels(local, tokens[first:last], counts[first:last], 0.0)
            else:  # one vector of many tokens: the chain rule
                joint, before = np.zeros((1, *self._log_weights.shape)), 0.0
                for cut in range(first, last, widest):
                    piece = slice(cut, min(cut + widest, last))
                    ends = np.array([0, piece.stop - cut])
                    joint += self._kernels(ends, tokens[piece], counts[piece], before)
                    before += float(counts[piece].sum())
            joint += self._log_weights
            yield at, joint, self._beside(local, tokens[first:last], counts[first:last])
            start = stop

    def _kernels(self, starts: Ids, tokens: Ids, counts: Floats, before: float) -> Floats:
        """ln L of count vectors under each kernel, after as many other tokens; (R, J, N)."""
        different, places = np.unique(tokens, return_inverse=True)
        p, b = self._rows_around.at(different, self._kept)
        seen = np.zeros(len(different)) if self._seen is None else self._seen[different]
        concentration = self._concentration + before
        return _core.kernel_evidence(
            p, b, seen, *self._factors, concentration, starts, places, counts
        )

    def _beside(self, starts: Ids, tokens: Ids, counts: Floats) -> Floats:
        """ln w + ln L of each component of the fits; (R, 0) where there are none."""
        n = len(starts) - 1
        if self._fits is None:
            return np.empty((n, 0))
        vectors = np.zeros((n, self.n_tokens))
        vectors[np.repeat(np.arange(n), np.diff(starts)), tokens] = counts
        with np.errstate(divide="ignore"):
            shares = np.log(self._fits.responsibilities(vectors, kind="counts"))
        evidence = self._fits.log_evidence(vectors) + np.log(self._fits_weight)
        return np.asarray(shares + evidence[:, np.newaxis])

    def _counts(self, counts: Any) -> tuple[Floats, bool]:
        """Counts (N, V), checked, and whether a single vector was given."""
        vectors, single = counted(counts, self.tokens, self.n_tokens, "the mixture")
        if vectors.shape[1] != self.n_tokens:
            raise ValueError(
                f"counts have {vectors.shape[1]} columns, the mixture {self.n_tokens} tokens"
            )
        if not (vectors.min(initial=0.0) >= 0.0 and vectors.max(initial=0.0) < np.inf):
            i, v = np.argwhere(~((vectors >= 0.0) & (vectors < np.inf)))[0]
            raise ValueError(
                f"the count in row {i}, column {v} is {vectors[i, v]}; a count must be finite and "
                ">= 0"
            )
        if vectors.sum(axis=1).max(initial=0.0) > MOST:
            raise ValueError("the total of a row overflows: counts sum to 2^53 at most")
        return vectors, single

    # -- rows ---------------------------------------------------------------------------

    def log_prob(self, rows: Any, *, kind: str | None = None) -> Floats:
        """Log-density of rows, in nats; see `DirichletMixture.log_prob`."""
        logs, single = self._checked(rows, kind)
        found = np.empty(len(logs))
        for at, joint, beside in self._densities(logs):
            found[at] = _log_sum(joint, beside)
        return found[0] if single else found

    _checked: Any = DirichletMixture._rows  # log-probabilities without zeros, matched by name

    def _densities(self, logs: NDArray[np.floating]) -> Iterator[tuple[slice, Floats, Floats]]:
        """ln w + ln Dir of rows, some at a time; as `_joint`."""
        own, shared = self._factors
        n_pairs = len(own)
        norms = np.zeros(self._log_weights.shape)
        for _, p, b, seen in self._columns():
            for j in range(n_pairs):
                norms[j] += _core.lgamma(own[j] * p + shared[j] * b + seen).sum(axis=0)
        norms = _core.lgamma(self._concentration)[:, np.newaxis] - norms + self._log_weights
        step = max(1, BLOCK // self._log_weights.size)
        for start in range(0, len(logs), step):
            some = logs[start : start + step].astype(np.float64)
            joint = np.broadcast_to(norms, (len(some), *norms.shape)).copy()
            for columns, p, b, seen in self._columns():
                x = some[:, columns]
                of_p, of_b = x @ p, x @ b
                rest = (x @ (seen - 1.0)).reshape(-1, 1)
                for j in range(n_pairs):
                    joint[:, j] += own[j] * of_p + shared[j] * of_b + rest
            beside = np.empty((len(some), 0))
            if self._fits is not None:
                fits = self._fits
                with np.errstate(divide="ignore"):
                    beside = np.log(fits.responsibilities(some, kind="log_probs"))
                density = fits.log_prob(some, kind="log_probs") + np.log(self._fits_weight)
                beside = beside + density[:, np.newaxis]
            yield slice(start, start + len(some)), joint, beside

    def _columns(self) -> Iterator[tuple[slice, Floats, Floats, Floats]]:
        """Some columns at a time, and p, b and what was seen there: (U, N), (U, N), (U, 1)."""
        for columns in self._rows_around.blocks():
            p, b = self._rows_around.at(columns, self._kept)
            seen = np.zeros(len(p)) if self._seen is None else self._seen[columns]
            yield columns, p, b, seen[:, np.newaxis]

    # -- tokens -------------------------------------------------------------------------

    def column(self, token: Token) -> int:
        """The column of a token, by name or by number; see `DirichletMixture.column`."""
        return DirichletMixture.column(self, token)  # type: ignore[arg-type]

    def lump(self, groups: Mapping[str, Token | Iterable[Token]]) -> KernelMixture:
        """The mixture over groups of tokens: exact; see `DirichletMixture.lump`."""
        names, of_column = DirichletMixture._grouped(self, groups)  # type: ignore[arg-type]
        seen = np.zeros(len(names))
        if self._seen is not None:
            np.add.at(seen, of_column, self._seen)
        return KernelMixture(
            self._rows_around.lumped(of_column, len(names)),
            self._kept,
            self.pairs,
            self._log_weights,
            None if self._fits is None else self._fits.lump(groups),
            self._fits_weight,
            None if self._seen is None else seen,
            tuple(names),
        )

    def marginal(self, token: Token) -> DirichletMixture:
        """The mixture of Betas of one token's probability, as one over it and ``<other>``."""
        v = self.column(token)
        name = str(token) if self.tokens is None else self.tokens[v]
        if self.n_tokens == 1:
            raise ValueError("the only token has probability 1; there is no marginal")
        return self.lump({name: [v]}).dense()

    def interval(self, token: Token, level: float = 0.9) -> tuple[float, float]:
        """The central credible interval of one token's probability; see
        `DirichletMixture.interval`."""
        return DirichletMixture.interval(self, token, level)  # type: ignore[arg-type]

    # -- moments ------------------------------------------------------------------------

    def mean(self) -> Floats:
        """Mean row: the probability of each next token; shape (V,)."""
        return self.predictive()

    def variance(self) -> Floats:
        """Variance of each token's probability, by the law of total variance; shape (V,)."""
        own, shared = self._factors
        weights, total = np.exp(self._log_weights), self._concentration
        mean = self.mean()
        result = np.empty(self.n_tokens)
        for columns, p, b, seen in self._columns():
            found = np.zeros(len(p))
            for j in range(len(own)):
                m = (own[j] * p + shared[j] * b + seen) / total[j]
                away = m - mean[columns, np.newaxis]
                found += (m * (1.0 - m) / (total[j] + 1.0) + away * away) @ weights[j]
            result[columns] = found
        if self._fits is not None:
            away = self._fits.mean() - mean
            result += self._fits_weight * (self._fits.variance() + away * away)
        return result

    def uncertainty(self, *, base: float | None = None) -> Uncertainty:
        """Entropy of the next token, split into what data can and cannot reduce; see
        `DirichletMixture.uncertainty`."""
        own, shared = self._factors
        weights, concentration = np.exp(self._log_weights), self._concentration
        mean = self.mean()
        total = -float(mean[mean > 0.0] @ np.log(mean[mean > 0.0]))
        expected = float(weights.sum(axis=1) @ _core.digamma(concentration + 1.0))
        for _, p, b, seen in self._columns():
            for j in range(len(own)):
                alpha = own[j] * p + shared[j] * b + seen
                expected -= float(
                    (alpha * _core.digamma(alpha + 1.0)).sum(axis=0) @ weights[j] / concentration[j]
                )
        if self._fits is not None:
            expected += self._fits_weight * self._fits.uncertainty().aleatoric
        return Uncertainty.in_base((total, expected, max(total - expected, 0.0)), base)

    def estimate_entropy(self, n: int = 10_000, *, rng: Any = None) -> tuple[float, float]:
        """Differential entropy of the row in nats from n random rows, and its standard error."""
        return DirichletMixture.estimate_entropy(self, n, rng=rng)  # type: ignore[arg-type]

    # -- chance -------------------------------------------------------------------------

    def sample(
        self, size: int | tuple[int, ...] | None = None, *, rng: Any = None, kind: str = "probs"
    ) -> Floats:
        """Random rows; see `DirichletMixture.sample`.

        Returns
        -------
        ndarray of shape (V,), or (*size, V)
        """
        return DirichletMixture.sample(self, size, rng=rng, kind=kind)  # type: ignore[arg-type]

    def sample_log_probs(self, n: int, bit_generator: Any) -> Floats:
        """Logarithms of n random rows; shape (n, V)."""
        n = whole(n, "n", 0)
        instance(bit_generator, np.random.BitGenerator, "bit_generator")
        j, i = self._chosen(n, np.random.Generator(bit_generator))
        result = np.empty((n, self.n_tokens))
        for r in range(n):
            alpha = self._alpha(j[r], i[r]) if j[r] >= 0 else self._beside_alpha(i[r])
            one = _core.DirichletMixture(np.ones(1), alpha[np.newaxis])
            result[r] = one.sample_log_probs(1, bit_generator)[0]
        return result

    def _beside_alpha(self, k: int) -> Floats:
        """Of the k-th component of the fits."""
        alpha: Any = None if self._fits is None else self._fits.alpha[k]
        return np.asarray(alpha)

    def component_alphas(self, n: int, rng: np.random.Generator) -> Floats:
        """The alphas of n random components, shape (n, V)."""
        chosen = zip(*self._chosen(whole(n, "n", 0), generator_of(rng)), strict=True)
        return np.array(
            [
                self._alpha(int(j), int(i)) if j >= 0 else self._beside_alpha(int(i))
                for j, i in chosen
            ]
        ).reshape(-1, self.n_tokens)

    def _chosen(self, n: int, rng: np.random.Generator) -> tuple[Ids, Ids]:
        """Pairs and rows of n random components; -1 and its number for one of the fits."""
        weights = np.exp(self._log_weights).ravel()
        if self._fits is not None:
            weights = np.concatenate([weights, self._fits_weight * self._fits.weights])
        which = inverse(np.cumsum(weights), rng.random(n))
        j, i = np.divmod(which, self._log_weights.shape[1])
        beside = which >= self._log_weights.size
        return np.where(beside, -1, j), np.where(beside, which - self._log_weights.size, i)

    def draw_tokens(self, size: int, n: int, *, rng: Any = None) -> Ids:
        """Random sequences of n tokens, each from a random row: its urn, without the row.

        Parameters
        ----------
        size, n : int
        rng : numpy.random.Generator or int, optional

        Returns
        -------
        ndarray of int of shape (size, n)
            Tokens of a sequence are exchangeable: the first m of it are a sequence of m.
        """
        size, n, rng = whole(size, "size", 0), whole(n, "n", 0), generator_of(rng)
        j, i = self._chosen(size, rng)
        around = np.flatnonzero(j >= 0)
        concentration = np.empty(size)
        concentration[around] = self._concentration[j[around]]
        beside = np.flatnonzero(j < 0)
        if self._fits is not None:
            concentration[beside] = self._fits.concentration[i[beside]]
        new = rng.random((size, n)) * (concentration[:, np.newaxis] + np.arange(n))
        is_new = new < concentration[:, np.newaxis]
        tokens = np.zeros((size, n), dtype=np.int64)
        who, when = np.nonzero(is_new)
        tokens[who, when] = self._new_tokens(j[who], i[who], rng)
        earlier = (rng.random((size, n)) * np.arange(n)).astype(np.int64)
        for t in range(1, n):
            again = np.flatnonzero(~is_new[:, t])
            tokens[again, t] = tokens[again, earlier[again, t]]
        return tokens

    def _new_tokens(self, j: Ids, i: Ids, rng: np.random.Generator) -> Ids:
        """A token from the mean of each of these components."""
        rows, (own, shared) = self._rows_around, self._factors
        tokens = np.empty(len(j), dtype=np.int64)
        chance = rng.random(len(j)) * self._concentration[j]
        from_own = chance < own[j]
        from_shared = ~from_own & (chance < own[j] + shared[j])
        source = np.where(from_own, self._kept[np.minimum(i, len(self._kept) - 1)], -1)
        nearby = np.flatnonzero(from_shared & (rng.random(len(j)) < rows.local))
        if len(nearby):
            source[nearby] = rows.draw_near(self._kept[i[nearby]], rng)
        around = np.flatnonzero((j >= 0) & (from_own | from_shared))
        tokens[around] = rows.draw(source[around], rng)
        seen = np.flatnonzero((j >= 0) & ~(from_own | from_shared))
        if len(seen):
            ends = np.cumsum(np.asarray(self._seen))
            tokens[seen] = inverse(ends, rng.random(len(seen)))
        for k in np.unique(i[j < 0]):
            mine = np.flatnonzero((j < 0) & (i == k))
            tokens[mine] = inverse(np.cumsum(self._beside_alpha(k)), rng.random(len(mine)))
        return tokens

    # -- other forms ----------------------------------------------------------------------

    def reduce(
        self, n_components: int, *, rng: Any = None, n_draws: int = 40_000, n_iter: int = 8
    ) -> KernelReduction:
        """Few components with nearly the same evidence, by EM on random draws of this mixture.

        Parameters
        ----------
        n_components : int
            K; a mixture that has no more is returned as it is.
        rng : numpy.random.Generator or int, optional
        n_draws : int
            Sequences of 100 tokens that EM sees.
        n_iter : int
            Its iterations.

        Returns
        -------
        KernelReduction
            ``mixture``, a `DirichletMixture`, and what it loses in bits per token after 1, 5, 20
            and 100 draws.
        """
        return reduce_kernels(self, DirichletMixture, n_components, rng, n_draws, n_iter)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, KernelMixture):
            return NotImplemented
        mine, theirs = self._arrays(), other._arrays()
        local = self._rows_around.local, other._rows_around.local
        return (
            mine.keys() == theirs.keys()
            and all(np.array_equal(mine[name], theirs[name]) for name in mine)
            and local[0] == local[1]
            and self.tokens == other.tokens
        )

    def __hash__(self) -> int:
        return hash((self.pairs.tobytes(), self._log_weights.tobytes(), self.tokens))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the mixture, its rows too, to one safetensors file, all or nothing."""
        tokens = None if self.tokens is None else list(self.tokens)
        local = self._rows_around.local
        header = {"format": FORMAT, "version": VERSION, "tokens": tokens, "local": local}
        files.write(path, self._arrays(), header | told(self))

    def _arrays(self) -> dict[str, NDArray[Any]]:
        """All that it is made of but the names and one number."""
        rows = self._rows_around
        arrays = {
            "log_probs": rows.log_probs,
            "log_sums": rows.log_sums,
            "near": rows.near,
            "near_shares": rows.near_shares,
            "mean": rows.mean,
            "kept": self._kept.astype(np.int64),
            "pairs": self.pairs,
            "log_weights": self._log_weights,
        }
        if self._seen is not None:
            arrays["seen"] = self._seen
        if self._fits is not None:
            arrays["fits_weight"] = np.array([self._fits_weight])
            arrays["fits_weights"] = self._fits.weights
            arrays["fits_alpha"] = self._fits.alpha
        return arrays

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, mapped: bool = True) -> KernelMixture:
        """Open what `save` wrote; every number is checked again.

        Parameters
        ----------
        path : str or path
            The file.
        mapped : bool
            Leave the rows in the file, as `NextTokenRows.load` does; False for a copy in memory.

        Raises
        ------
        ValueError
            The file is damaged, or does not hold such a mixture.
        """
        arrays, header = (read_mapped if mapped else files.read)(path, FORMAT)
        files.require(path, header, VERSION)
        with files.naming(path, " does not hold a mixture"):
            return restore(cls._of_arrays(arrays, header), header)

    @classmethod
    def _of_arrays(cls, arrays: dict[str, Any], header: Mapping[str, Any]) -> KernelMixture:
        logs, near, mean = arrays["log_probs"], arrays["near"], arrays["mean"]
        near_shares = arrays["near_shares"]
        kept, pairs, log_weights = arrays["kept"], arrays["pairs"], arrays["log_weights"]
        weights = np.exp(log_weights)
        n, v = logs.shape
        local = float(header["local"])
        sums = np.exp(arrays["log_sums"])
        right = (
            arrays["log_sums"].shape == (n,)
            and bool((abs(_row_sums(logs) - sums) < 1e-3).all())
            and near.ndim == 2
            and len(near) == n
            and near.dtype == np.int32
            and bool((near[kept] >= 0).all() and (near < n).all())
            and near_shares.shape == near.shape
            and bool((near_shares >= 0.0).all())
            and bool((abs(near_shares[kept].sum(axis=1) - 1.0) < 1e-9).all() or not near.shape[1])
            and 0.0 <= local <= (1.0 if near.shape[1] else 0.0)
            and mean.shape == (v,)
            and bool((mean > 0.0).all() and abs(mean.sum() - 1.0) < 1e-9)
            and kept.ndim == 1
            and bool(((kept >= 0) & (kept < n)).all() and (np.diff(kept) > 0).all())
            and pairs.shape == (len(pairs), 2)
            and weights.shape == (len(pairs), len(kept))
            and bool((weights >= 0.0).all())
        )
        if not right:
            raise ValueError("its arrays do not go together")
        check_pairs(pairs, mean, local)
        fits, share = None, 0.0
        tokens = header.get("tokens")
        names = token_names(tokens, v)
        if "fits_alpha" in arrays:
            (share,) = map(float, arrays["fits_weight"])
            fits = DirichletMixture(arrays["fits_weights"], arrays["fits_alpha"])
        seen = arrays.get("seen")
        if not (0.0 <= share <= 1.0 and abs(weights.sum() + share - 1.0) < 1e-9) or (
            seen is not None and not (seen.shape == (v,) and (seen >= 0.0).all())
        ):
            raise ValueError("its weights do not sum to 1, or its counts are none")
        rows = KernelRows(logs, arrays["log_sums"], near, near_shares, mean, local)
        return cls(rows, kept, pairs, log_weights, fits, share, seen, names)

    def to_pandas(self) -> pd.DataFrame:
        """A row for each pair: ``concentration``, ``drawn_to_mean`` and ``weight``.

        Raises
        ------
        ImportError
            pandas is not installed.
        """
        names = ["concentration", "drawn_to_mean"]
        columns = {name: self.pairs[:, i] for i, name in enumerate(names)}
        return display.frame({**columns, "weight": self.pair_weights})

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """The weights of its pairs."""
        from ..result_plots import kernel_weights  # needs matplotlib

        return kernel_weights(self, ax=ax)

    def _table(self) -> display.Table:
        n, seen = len(self._kept), "" if self._seen is None else f", {self._n_seen:g} tokens seen"
        title = f"KernelMixture around {n} row{'s' * (n != 1)} of {self.n_tokens} tokens{seen}"
        cells: list[list[Any]] = [
            [a, share, weight]
            for (a, share), weight in zip(self.pairs, self.pair_weights, strict=True)
        ]
        if self._fits is not None:
            cells.append([f"{self._fits.n_components} fitted", "", self._fits_weight])
        return display.Table(title, ["concentration", "drawn to the mean", "weight"], cells)


def _row_sums(log_probs: NDArray[np.floating]) -> Floats:
    """The sum of each row's probabilities, some rows at a time: they may be mapped."""
    step = max(1, CHECKED // max(log_probs.shape[1], 1))
    starts = range(0, len(log_probs), step)
    sums = [np.exp(log_probs[i : i + step], dtype=np.float64).sum(axis=1) for i in starts]
    return np.concatenate([*sums, np.zeros(0)])


def check_pairs(pairs: Floats, mean: Floats, local: float) -> None:
    """Refuse pairs that are none, and those under which a token is impossible."""
    for a, share in pairs:
        if not 0.0 < a <= 2.0**53 or not 0.0 <= share <= 1.0:
            raise ValueError(f"pair ({a}, {share}): A must be positive and finite, l from 0 to 1")
    least = float((pairs[:, 0] * pairs[:, 1]).min()) * (1.0 - local) * float(mean.min())
    if not least >= 1e-300:
        v = int(mean.argmin())
        raise ValueError(
            f"token {v} would have an alpha of {least:g}, and a Dirichlet has none of 0: "
            + (
                "l must be above 0 in every pair"
                if (pairs[:, 1] == 0.0).any()
                else "its probability is 0 in every row; lump it with others, or leave it out"
            )
        )


def _entries(vectors: Floats) -> tuple[Ids, Ids, Floats]:
    """Count vectors (R, V) as starts, tokens and counts."""
    rows, tokens = np.nonzero(vectors)
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(vectors)))])
    return starts, tokens, vectors[rows, tokens]


def _log_sum(joint: Floats, beside: Floats) -> Floats:
    """ln sum exp over all components of each of R rows."""
    top = np.maximum(joint.max(axis=(1, 2)), beside.max(axis=1, initial=-np.inf))
    total = np.exp(joint - top[:, np.newaxis, np.newaxis]).sum(axis=(1, 2))
    total += np.exp(beside - top[:, np.newaxis]).sum(axis=1)
    found: Floats = top + np.log(total)
    return found
