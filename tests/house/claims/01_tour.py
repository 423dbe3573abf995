"""What 01_tour shows, of the bundled model: after the cells that are named."""

# ruff: noqa: F821 - the names are those of the notebook

# after tour-03
prior = selection.best_.prior_
assert rows.shape == (300, 8)
assert np.allclose(rows.probs().sum(axis=1), 1, atol=1e-5)
assert prior.n_components == 3
assert selection.best_.converged_

# after tour-05
prior, truth, acts_on = selection.best_.prior_, demo.truth, found.prior
assert found.converged
assert found.mean_kl_bits < 0.001
assert np.allclose(np.sort(acts_on.weights), np.sort(truth.weights), atol=0.05)
order = [acts_on.tokens.index(token) for token in truth.tokens]
assert np.abs(acts_on.mean()[order] - truth.mean()).max() < 0.02
assert np.allclose(np.sort(acts_on.concentration), np.sort(truth.concentration), rtol=0.35)
assert (np.sort(prior.concentration) > 1.3 * np.sort(truth.concentration)).all()

# after tour-07
bits = path.kl(own, base=2)
assert len(bits) == len(shown.split()) + 1
assert bits.mean() < 0.005

# after tour-09
assert "exchangeability of predictions" in card.verdict
