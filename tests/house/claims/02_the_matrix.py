"""What 02_the_matrix shows, of the Matrix of a small language: after the cells that are named."""

# ruff: noqa: F821 - the names are those of the notebook

# after cell-05
assert len(set(names)) == V == tokenizer.get_vocab_size()

# after cell-07
assert len(plain[5]) / V**5 < 1e-8

# after cell-09
assert shared[4].perplexity(held) < shared[1].perplexity(held)

# after cell-19
assert (np.array(scores["hierarchy, one concentration"]) < scores["additive, best alpha"]).all()
assert (ours < scores["additive, best alpha"]).all()
assert (ours < 1.05 * theirs).all()
assert (best < theirs).all()
assert (best < 1.01 * ours).all()

# after cell-21
assert (np.array(learning) < fixed).all()

# after cell-22e
assert not same or all(found[order][0] < KENLM[order][0][0] for order in KENLM)

# after cell-25
assert grid[2].totals(context) == 0

# after cell-30
assert rows.shape == (2000, V)

# after cell-33
assert np.isclose(against[5].matrix_bits, entropy["matrix, order 5"])
assert lead.mean() > 0
