"""What 06_a_real_model shows, of a model of text: after the cells that are named."""

# ruff: noqa: F821 - the names are those of the notebook

# after real-05
assert rows.shape == (1250, V)

# after real-09
assert not check.passed
assert check.bits[0] > check.frequencies[0]

# after real-11
assert (checks["kernels"].bits < checks["density"].bits).all()
assert (checks["resolution"].bits < checks["density"].bits).all()
assert checks["kernels"].passed

# after real-22
assert result.check is not None
assert result.fit.tried["kernels"] < result.fit.tried["density"]
assert result.verdict.kind in ("last", "constant", "partly", "roughly")
