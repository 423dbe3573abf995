"""What 04_in_context_learning shows, of models beside Bayes: after the cells that are named."""

# ruff: noqa: F821 - the names are those of the notebook

# after cell-03
assert min(certain.values()) > 0.9

# after cell-07
for (size, kind), kl in again.items():
    before = facts[size][0][kind]["mean_kl_bits"]
    assert abs(kl - before) < 0.1 * before + 0.002

# after cell-10
assert not any(pairs[FLAT])
assert all(all(pairs[size]) for size in LADDER[1:])

# after cell-15
assert min(moves["105k"] + moves["406k"]) > max(moves["8k"])
assert max(moves["105k"] + moves["406k"]) < min(moves[LONG]) < 0.8

# after cell-18
assert of_bayes["iid+markov"].mean_kl_bits < 1e-6
assert abs(of_bayes["iid+markov"].weight - 0.5) < 1e-3
assert np.allclose(of_bayes["iid+markov"].priors["iid"].alpha, 1.0, atol=1e-3)
assert np.allclose(of_bayes["iid+markov"].priors["markov"].alpha, 0.5, atol=1e-3)

# after cell-21
exactly = np.concatenate([by_chain[kind][which, ends[kind]] for kind in tokens])
assert np.allclose((after + 0.5) / (after.sum(axis=1, keepdims=True) + 2), exactly)
for size in SIZES:
    for (_, kl), both, pair in zip(
        backing[size], by_family[size]["iid+markov"], pairs[size], strict=True
    ):
        assert not pair or size == LONG or kl < 0.6 * both.mean_kl_bits

# after cell-25
for m in lines:
    shown = np.arange(FLIPS)
    assert np.allclose(curves[m, "Bayes"], (0.5 + shown) / (1 + m + shown), atol=0.02)

# after cell-26
for m in lines:
    for size in SIZES:
        for curve, fit, pair in zip(curves[m, size], fits[m, size], pairs[size], strict=True):
            off = np.abs(curve - curves[m, "Bayes"]).max()
            assert off < 0.1 if pair else off > 0.2
            assert not pair or abs(fit.crossover - m) < 1

# after cell-30
assert undecided["texts of the largest model"] > 1.5 * undecided["sequences of the task"]
assert kl["a chain that backs off"].mean() < kl["exact Bayes"].mean()
