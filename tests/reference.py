"""Slow twins of the C kernels, in NumPy and SciPy: what the tests hold them against."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import gammaln, logsumexp, psi

DATA = Path(__file__).parent / "data"


def load(name: str) -> Any:
    """A table of known answers."""
    return json.loads((DATA / f"{name}.json").read_text())


def numbers(values: Any) -> np.ndarray:
    """Floats of numbers that may be written as strings."""
    return np.vectorize(float, otypes=[float])(np.asarray(values, dtype=object))


def log_joint(weights, alpha, log_probs):
    """ln w_k + ln Dir(p_i; alpha_k), shape (N, K)."""
    constant = gammaln(alpha.sum(1)) - gammaln(alpha).sum(1)
    with np.errstate(divide="ignore"):
        return np.log(weights) + constant + log_probs.astype(float) @ (alpha - 1.0).T


def expectation(weights, alpha, log_probs, sample_weight):
    """N_k, S_kv and the log-likelihood of the E-step."""
    joint = log_joint(weights, alpha, log_probs)
    total = logsumexp(joint, axis=1)
    share = np.exp(joint - total[:, None]) * sample_weight[:, None]
    return share.sum(0), share.T @ log_probs.astype(float), float(sample_weight @ total)


def log_evidence(weights, alpha, counts):
    """Log-probability of a sequence with these counts."""
    a, n = alpha.sum(1), counts.sum()
    each = gammaln(a) - gammaln(a + n) + (gammaln(alpha + counts) - gammaln(alpha)).sum(1)
    return logsumexp(np.log(weights) + each)


def entropies(weights, alpha, counts):
    """The predictive after counts, its entropy, and the mean entropy of the posterior's rows."""
    after, total = alpha + counts, (alpha + counts).sum(1)
    each = gammaln(alpha.sum(1)) - gammaln(total) + (gammaln(after) - gammaln(alpha)).sum(1)
    r = np.exp(np.log(weights) + each - logsumexp(np.log(weights) + each))
    p = (r / total) @ after
    rows = (after * (psi(total + 1)[:, None] - psi(after + 1))).sum(1) / total
    return p, -(p @ np.log(p)), r @ rows


def variance(weights, alpha):
    """Law of total variance, from scipy's Dirichlet."""
    means = np.array([stats.dirichlet(a).mean() for a in alpha])
    within = np.array([stats.dirichlet(a).var() for a in alpha])
    return weights @ (within + means**2) - (weights @ means) ** 2


def gradient(alpha, weight, log_sums, rate):
    """Of the M-step's objective at alpha (V,)."""
    return weight * (psi(alpha.sum()) - psi(alpha)) + log_sums - rate


def count_log_joint(counts, weights, alpha):
    """ln w_k plus the log-evidence of each count vector (n, V) as a sequence; shape (n, K)."""
    n, a = counts[:, np.newaxis, :], alpha[np.newaxis]
    terms = (gammaln(a + n) - gammaln(a)).sum(axis=2)
    totals, big = counts.sum(axis=1)[:, np.newaxis], alpha.sum(axis=1)[np.newaxis]
    return np.log(weights) + terms - (gammaln(big + totals) - gammaln(big))


def count_gradient(counts, shares, alpha):
    """Gradient (K, V) of the expected log-evidence under responsibilities (n, K)."""
    n, a = counts[:, np.newaxis, :], alpha[np.newaxis]
    totals, big = counts.sum(axis=1)[:, np.newaxis], alpha.sum(axis=1)[np.newaxis]
    each = psi(a + n) - psi(a)
    whole = psi(big + totals) - psi(big)
    return (shares[:, :, np.newaxis] * (each - whole[:, :, np.newaxis])).sum(axis=0)


def lumped_log_joint(weights, alpha, log_probs, listed, rest):
    """ln w_k and the log-density of rows, each lumped to what it lists (N, V) and the rest."""
    x = (~listed).astype(float) @ alpha.T
    logs = np.where(listed, log_probs, 0.0)
    each = gammaln(alpha.sum(1)) - listed @ gammaln(alpha).T + logs @ (alpha - 1.0).T
    is_open = ~listed.all(1)[:, None]
    x, rest = np.where(is_open, x, 1.0), np.where(is_open, rest[:, None], 0.0)
    return np.log(weights) + each + (x - 1.0) * rest - gammaln(x)


def lumped_gradient(weights, alpha, log_probs, listed, rest, sample_weight):
    """The slope (K, V) of the log-likelihood of lumped rows by alpha, row by row."""
    joint = lumped_log_joint(weights, alpha, log_probs, listed, rest)
    share = np.exp(joint - logsumexp(joint, axis=1, keepdims=True)) * sample_weight[:, None]
    slope = np.zeros_like(alpha)
    for i, k in np.ndindex(*share.shape):
        x = alpha[k][~listed[i]].sum()
        mine = psi(alpha[k].sum()) - psi(alpha[k]) + np.where(listed[i], log_probs[i], 0.0)
        if not listed[i].all():
            mine[~listed[i]] = psi(alpha[k].sum()) - psi(x) + rest[i]
        slope[k] += share[i, k] * mine
    return slope


def lumped_evidence(weights, alpha, counts, others, listed):
    """ln w_k and the log-evidence of sequences with these counts of listed tokens and others."""
    x, n = (~listed).astype(float) @ alpha.T, counts.sum(1)[:, None] + others[:, None]
    each = gammaln(alpha.sum(1)) - gammaln(alpha.sum(1) + n)
    each += (gammaln(alpha + counts[:, None]) - gammaln(alpha)).sum(2)
    x = np.maximum(x, 1e-300)
    return (
        np.log(weights)
        + each
        + np.where(others[:, None], gammaln(x + others[:, None]), 0.0)
        - (np.where(others[:, None], gammaln(x), 0.0))
    )


def transitions(documents, order):
    """How often each token followed each context: {(*context, token): count}."""
    counts = Counter()
    for document in documents:
        tokens = [int(token) for token in document]
        counts.update(tuple(tokens[i : i + order + 1]) for i in range(len(tokens) - order))
    return dict(counts)


def fade(row, token, discount, times=1.0):
    """Count a token in a row {token: count} whose counts are multiplied by `discount` first."""
    for seen in list(row):
        row[seen] *= discount
        if row[seen] < 1e-300:
            del row[seen]
    row[token] = row.get(token, 0.0) + times


def fading_transitions(documents, order, discount):
    """The counts of `transitions` where a row fades before each of its tokens: numbers > 0."""
    rows = defaultdict(dict)
    for document in documents:
        tokens = [int(token) for token in document]
        for i in range(len(tokens) - order):
            fade(rows[tuple(tokens[i : i + order])], tokens[i + order], discount)
    return {(*c, token): n for c, row in rows.items() for token, n in row.items()}


def type_counts(documents, order, begin):
    """Counts of contexts of 0 to `order` tokens; the shorter ones count longer contexts."""
    levels = [Counter() for _ in range(order + 1)]
    levels[order].update(led_ngrams(documents, order, begin))
    for level in range(order, 0, -1):
        levels[level - 1].update(key[1:] for key in levels[level])
    return levels


def led_ngrams(documents, order, begin):
    """Every context and token of documents behind `order` begin tokens."""
    for document in documents:
        tokens = [begin] * order + [int(token) for token in document]
        yield from (tuple(tokens[i : i + order + 1]) for i in range(len(tokens) - order))


def backoff(levels, context, token, alpha, concentrations):
    """P(token | context): (n + A m) / (N + A), with m that of the context less its first token."""
    row = {key[-1]: n for key, n in levels[len(context)].items() if key[:-1] == tuple(context)}
    if len(context) == 0:
        return (row.get(token, 0) + alpha[token]) / (sum(row.values()) + sum(alpha))
    a = concentrations[len(context) - 1]
    mean = backoff(levels, context[1:], token, alpha, concentrations)
    return (row.get(token, 0) + a * mean) / (sum(row.values()) + a)


def divergence(mass, alpha, share, starts, columns, entries, power):
    """-sum mass ln q with q normalised p^power, and its derivatives by what makes p."""
    p = share.T @ alpha
    row = np.repeat(np.arange(len(mass)), np.diff(starts))
    p[row, columns] = entries
    q = p**power / np.sum(p**power, axis=1, keepdims=True)
    total = mass.sum(axis=1, keepdims=True)
    slope = power * (total * q - mass) / p
    by_power = -np.sum(mass * np.log(p)) + np.sum(total * q * np.log(p))
    value = -np.sum(mass * np.log(q))
    by_entries = slope[row, columns]
    slope[row, columns] = 0.0
    return value, share @ slope, alpha @ slope.T, by_entries, by_power


def codes(logits):
    """Logits (N, V) in float32 as codes (N, 2 ((V + 1) // 2) + 4), after llama.cpp's perplexity."""
    width = logits.shape[1]
    out = np.zeros((len(logits), 2 * ((width + 1) // 2) + 4), np.uint16)
    for x, row in zip(logits.astype(np.float32), out, strict=True):
        high = x.max()
        low = max(x.min(), high - np.float32(16.0))
        log_sum = np.float32(np.log(np.exp(x - high).sum(dtype=float)))
        scale = (high - low) / np.float32(65535.0)
        row[:4] = np.array([scale, low - high - log_sum], np.float32).view(np.uint16)
        if scale > 0.0:
            steps = np.float32(1.0) / scale * np.where(x > low, x - low, np.float32(0.0))
            row[4 : 4 + width] = np.rint(steps)
    return out
