"""The slow twin of "tree+balance": one history, value and gradient, for any number of tokens.

A vector holds ln alpha of the root, ln r1, ln o1, ln r2, ln o2, the log-odds of a child, ln
strength, the log-odds of the memory, and the log-odds of the balance.
"""

from __future__ import annotations

import numpy as np


def sg(z):
    return 1.0 / (1.0 + np.exp(-np.clip(z, -700.0, 700.0)))


def walk(theta, history, depth):
    """What is known before each token: a tape of nodes, estimates, chances and sources."""
    width = len(theta) - 8
    a0, (r1, o1, r2, o2) = np.exp(theta[:width]), np.exp(theta[width : width + 4])
    counts, odds = [{} for _ in range(depth + 1)], {}
    c, dc, weight = np.zeros(width), np.zeros(width), theta[width + 7]
    strength, memory = np.exp(theta[width + 5]), sg(theta[width + 6])
    tape = []
    for i in range(len(history) + 1):
        keys = [tuple(history[i - d : i]) for d in range(min(depth, i) + 1)]
        last, e, totals = (history[i - 1] if i else None), [], []
        for d, key in enumerate(keys):
            alpha = a0
            if d > 0:
                alpha = np.full(width, (o1 if d == 1 else o2) / (width - 1))
                alpha[last] = r1 if d == 1 else r2
            n = alpha + counts[d].get(key, np.zeros(width))
            e.append(n / n.sum())
            totals.append(n.sum())
        s = [sg(odds.get(key, theta[width + 4])) for key in keys[:-1]]
        m = [e[-1]]
        for d in range(len(keys) - 2, -1, -1):
            m.insert(0, (1.0 - s[d]) * e[d] + s[d] * m[0])
        b = np.exp(-strength * (c - c.min()))
        tape.append((keys, last, e, totals, s, m, b / b.sum(), c.copy(), dc.copy(), weight))
        if i == len(history):
            return tape
        v = history[i]
        for d, key in enumerate(keys[:-1]):
            odds[key] = odds.get(key, theta[width + 4]) + np.log(m[d + 1][v] / e[d][v])
        weight += np.log(tape[-1][6][v]) - np.log(m[0][v])
        for d, key in enumerate(keys):
            counts[d].setdefault(key, np.zeros(width))[v] += 1.0
        dc, c = memory * dc + c, memory * c
        c[v] += 1.0
    raise AssertionError


def predict(theta, history, depth):
    """The prediction after a history."""
    *_, m, b, _, _, weight = walk(theta, history, depth)[-1]
    return (1.0 - sg(weight)) * m[0] + sg(weight) * b


def value_and_gradient(theta, history, q, depth):
    """-sum_v q_v ln p(v | history), and its gradient."""
    width, tape = len(theta) - 8, walk(theta, history, depth)
    strength, memory = np.exp(theta[width + 5]), sg(theta[width + 6])
    g, slopes = np.zeros_like(theta), {}

    def to_alpha(d, last, e, total, by_e):
        by = (by_e - by_e @ e) / total
        if d == 0:
            g[:width] += by * np.exp(theta[:width])
            return
        at = width + (0 if d == 1 else 2)
        r, o = np.exp(theta[at : at + 2])
        g[at] += by[last] * r
        g[at + 1] += (by.sum() - by[last]) * o / (width - 1)

    def to_balance(b, c, dc, by_b):
        by = by_b * b - b * (by_b @ b)
        g[width + 5] -= (by @ c) * strength
        g[width + 6] -= (by @ dc) * strength * memory * (1.0 - memory)

    keys, last, e, totals, s, m, b, c, dc, weight = tape[-1]
    w = sg(weight)
    p = (1.0 - w) * m[0] + w * b
    by_p = -q / p
    by_weight = (by_p @ (b - m[0])) * w * (1.0 - w)
    to_balance(b, c, dc, by_p * w)
    by_m = by_p * (1.0 - w)
    for d in range(len(m) - 1):
        slopes[keys[d]] = (by_m @ (m[d + 1] - e[d])) * s[d] * (1.0 - s[d])
        to_alpha(d, last, e[d], totals[d], by_m * (1.0 - s[d]))
        by_m = by_m * s[d]
    to_alpha(len(m) - 1, last, e[-1], totals[-1], by_m)
    for i in range(len(history) - 1, -1, -1):
        keys, last, e, totals, s, m, b, c, dc, _ = tape[i]
        one = np.eye(width)[history[i]]
        v = history[i]
        to_balance(b, c, dc, one * by_weight / b[v])
        by_m = -by_weight / m[0][v]
        for d in range(len(m) - 1):
            own = slopes.get(keys[d], 0.0)
            to_alpha(d, last, e[d], totals[d], one * (by_m * (1.0 - s[d]) - own / e[d][v]))
            slopes[keys[d]] = own + by_m * (m[d + 1][v] - e[d][v]) * s[d] * (1.0 - s[d])
            by_m = by_m * s[d] + own / m[d + 1][v]
        to_alpha(len(m) - 1, last, e[-1], totals[-1], one * by_m)
    g[width + 4], g[width + 7] = sum(slopes.values()), by_weight
    return -float(q @ np.log(p)), g
