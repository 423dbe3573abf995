"""What 05_bigger_than_memory shows, of rows on disk: after the cells that are named."""

# ruff: noqa: F821 - the names are those of the notebook

# after cell-03
assert from_disk.prior_ == fitted.prior_
assert from_disk.lower_bounds_ == fitted.lower_bounds_

# after cell-05
assert chunked.prior_ == fitted.prior_

# after cell-07
assert scores[-1] > fitted.score(rows) - 0.05

# after cell-10
assert abs(loop.score(rows) - fitted.score(rows)) < 1e-6
