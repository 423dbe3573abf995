"""One EM pass over counts against the same pass in NumPy and scipy.sparse, on the same data.

    python benchmarks/counts.py [--quick]

The first baseline has the same formulation: an indicator matrix of rows by cells (token, count),
made once, times a table of log-gamma differences; and its transpose times the responsibilities.
The second evaluates scipy.special.gammaln for each count (of those not zero, where most are zero),
and digamma once more for the gradient that an M-step begins with: without statistics by cells, each
step of the M-step goes over all counts.  Ours against it is the pass and the whole M-step.
One thread each.
"""

from __future__ import annotations

import argparse

import numpy as np
from em import paired
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import digamma, gammaln
from threadpoolctl import threadpool_limits

from matrixbayes import DirichletMixture
from matrixbayes.estimator import CountStatistics, em
from matrixbayes.estimator.count_data import CountData
from matrixbayes.estimator.penalty import Penalty

# rows, tokens, components, draws a row, and the ratios to reach
CASES = [(100_000, 1_000, 8, 50, 4.0, 80.0), (20_000, 20, 3, 80, 4.0, 80.0)]

Floats = NDArray[np.float64]
PRIOR = Penalty.of(None, 1e8)


def make_case(n: int, v: int, k: int, draws: int) -> tuple[sparse.csr_array, DirichletMixture]:
    """Counts from a mixture, and another mixture to judge them by."""
    rng = np.random.default_rng(0)
    truth = DirichletMixture(np.full(k, 1.0 / k), rng.gamma(0.5, 1.0, (k, v)) + 0.02)
    blocks = []
    for start in range(0, n, 5_000):
        probs = truth.sample(min(5_000, n - start), rng=rng)
        blocks.append(sparse.csr_array(rng.multinomial(draws, probs)))
    judge = DirichletMixture(np.full(k, 1.0 / k), truth.alpha * rng.uniform(0.7, 1.4, (k, v)))
    return sparse.vstack(blocks, format="csr"), judge


class Cells:
    """The indicator matrix of rows by cells, their totals among them."""

    def __init__(self, counts: sparse.csr_array) -> None:
        n, v = counts.shape
        totals = np.asarray(counts.sum(axis=1)).ravel()
        rows = np.concatenate([np.repeat(np.arange(n), np.diff(counts.indptr)), np.arange(n)])
        tokens = np.concatenate([counts.indices, np.full(n, v)])
        values = np.concatenate([counts.data, totals])
        keys, cell = np.unique(tokens * (values.max() + 1) + values, return_inverse=True)
        self.tokens, self.counts = keys // (values.max() + 1), keys % (values.max() + 1)
        ones = np.ones(len(cell))
        self.indicator = sparse.csr_array((ones, (rows, cell)), shape=(n, len(keys)))
        self.transposed = sparse.csr_array(self.indicator.T)

    def expectation(self, mixture: DirichletMixture) -> tuple[Floats, Floats, float]:
        """Weights of components and cells, and the log-likelihood."""
        alpha = np.column_stack([mixture.alpha, mixture.concentration])[:, self.tokens]
        table = gammaln(alpha + self.counts) - gammaln(alpha)
        table[:, self.tokens == mixture.n_tokens] *= -1.0
        joint = self.indicator @ table.T
        joint += np.log(mixture.weights)
        top = joint.max(axis=1, keepdims=True)
        joint -= top
        np.exp(joint, out=joint)
        total = joint.sum(axis=1, keepdims=True)
        joint /= total
        return joint.sum(axis=0), self.transposed @ joint, float((top + np.log(total)).sum())


def direct(counts: sparse.csr_array, mixture: DirichletMixture) -> tuple[float, Floats]:
    """The log-likelihood and its gradient in alpha, by functions of every count."""
    n, v = counts.shape
    mostly_zero = counts.nnz < 0.2 * n * v
    dense = None if mostly_zero else counts.toarray()
    row = np.repeat(np.arange(n), np.diff(counts.indptr))
    totals = np.asarray(counts.sum(axis=1)).ravel()
    joint = np.tile(np.log(mixture.weights), (n, 1))
    for k, (alpha, big) in enumerate(zip(mixture.alpha, mixture.concentration, strict=True)):
        if dense is None:
            a = alpha[counts.indices]
            terms = gammaln(a + counts.data) - gammaln(a)
            joint[:, k] += np.bincount(row, terms, minlength=n)
        else:
            joint[:, k] += (gammaln(alpha + dense) - gammaln(alpha)).sum(axis=1)
        joint[:, k] -= gammaln(big + totals) - gammaln(big)
    evidence = np.logaddexp.reduce(joint, axis=1)
    shares = np.exp(joint - evidence[:, np.newaxis])
    gradient = np.empty_like(mixture.alpha)
    for k, (alpha, big) in enumerate(zip(mixture.alpha, mixture.concentration, strict=True)):
        share = shares[:, k]
        if dense is None:
            a = alpha[counts.indices]
            slopes = share[row] * (digamma(a + counts.data) - digamma(a))
            gradient[k] = np.bincount(counts.indices, slopes, minlength=v)
        else:
            gradient[k] = share @ (digamma(alpha + dense) - digamma(alpha))
        gradient[k] -= share @ (digamma(big + totals) - digamma(big))
    return float(evidence.sum()), gradient


def gradient_of(found: CountStatistics, mixture: DirichletMixture) -> Floats:
    """The same gradient, from statistics."""
    k, v = mixture.alpha.shape
    alpha = np.column_stack([mixture.alpha, mixture.concentration])[:, found.tokens]
    slopes = found.cells[:, :k].T * (digamma(alpha + found.counts) - digamma(alpha))
    of_token = np.array([np.bincount(found.tokens, s, minlength=v + 1) for s in slopes])
    return of_token[:, :v] - of_token[:, v:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows, a short time")
    quick = parser.parse_args().quick
    seconds = 0.5 if quick else 4.0
    print(
        f"{'rows':>8}{'tokens':>8}{'K':>4}{'entries':>10}{'cells':>8}"
        f"{'ours ms':>10}{'sparse ms':>11}"
        f"{'ratio':>7}{'goal':>6}{'direct ms':>12}{'ratio':>7}{'goal':>6}{'ns/entry':>10}"
    )
    with threadpool_limits(1):
        for n, v, k, draws, goal, direct_goal in CASES:
            counts, mixture = make_case(n // 10 if quick else n, v, k, draws)
            data, cells = CountData.of(counts), Cells(counts)
            weight, cell_weight, log_likelihood = cells.expectation(mixture)
            found = data.expectation(mixture)
            np.testing.assert_allclose(found.log_likelihood, log_likelihood, rtol=1e-11)
            total, gradient = direct(counts, mixture)
            np.testing.assert_allclose(found.log_likelihood, total, rtol=1e-11)
            size = np.abs(gradient).max()
            np.testing.assert_allclose(gradient_of(found, mixture), gradient, atol=1e-8 * size)
            np.testing.assert_allclose(found.weight, weight, rtol=1e-8)
            np.testing.assert_allclose(found.cells[:, :k], cell_weight, rtol=1e-6, atol=1e-9)
            ours, theirs = paired(
                lambda d=data, m=mixture: d.expectation(m),
                lambda c=cells, m=mixture: c.expectation(m),
                seconds,
            )
            whole, slow = paired(
                lambda d=data, m=mixture: em.maximization(d.expectation(m), m.alpha, PRIOR, None),
                lambda c=counts, m=mixture: direct(c, m),
                0.5,
            )
            entries = data.rows.n_entries
            print(
                f"{counts.shape[0]:8}{v:8}{k:4}{entries:10}{len(found.tokens):8}"
                f"{1e3 * ours:10.2f}{1e3 * theirs:11.1f}{theirs / ours:7.2f}{goal:6.1f}"
                f"{1e3 * slow:12.0f}{slow / whole:7.1f}{direct_goal:6.0f}"
                f"{1e9 * ours / entries:10.2f}"
            )


if __name__ == "__main__":
    main()
