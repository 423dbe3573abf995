"""What 03_continuity shows, of embeddings and rows: after the cells that are named."""

# ruff: noqa: F821 - the names are those of the notebook

# after cell-03
assert affine_rows.min() > 0
assert planted.affine.exact
assert planted.affine.degrees_of_freedom == 80 - 1 - 3

# after cell-05
assert "at least 1 more row" in message

# after cell-07
assert not soft.affine.exact
assert soft.affine.residual < soft.affine.expected_residual

# after cell-09
assert abs(probes[1].convexity_defect - 0.007061) < 1e-6
assert abs(probes[5].convexity_defect - 0.183728) < 1e-6
assert max(probe.log_affinity_defect for probe in probes.values()) < 1e-12

# after cell-12
assert rows.hidden.shape == (500, 64)

# after cell-14
assert report.all_pairs

# after cell-17
assert report.worst(1)[0]["ratio"] == report.lipschitz
assert len(shared) == 1

# after cell-19
assert 0.5 < report.local_over_global < 2

# after cell-21
assert not test.exact
assert test.residual < 0.02 < test.expected_residual
assert test.rank == 63
assert test.p_value == 1 / 200

# after cell-23
assert apart < 1e-5
assert together.sum() > 0
assert report.pairs.row_distance[together].max() < 1e-6

# after cell-25
assert segments["head"].log_affinity_defect < 1e-6
assert segments["layer norm and head"].log_affinity_defect > 1e-3
assert segments["whole network"].log_affinity_defect > 1e-3

# after cell-28
assert bound.slack.min() > -1e-6
assert (bound.a_priori >= bound.certificate - 1e-12).all()
assert report.lipschitz <= bound.diameter / 4

# after cell-31
assert "further apart than this head allows" in refusal

# after cell-33
assert span.rank == 7

# after cell-36
assert np.mean(losses[-50:]) < 0.75 * entropy

# after cell-38
assert len(chosen) == 60

# after cell-45
assert slope["middle"] > slope["last"]
assert all(not found.affine.exact for found in reports.values())
assert reports["last"].affine.residual > 10 * report.affine.residual
assert len(reports["last"].discontinuities) == len(reports["middle"].discontinuities) == 0
assert sum(alike) > 10

# after cell-47
assert len(torn) >= 60
assert reports["bag"].modulus[0] > 0.9

# after cell-49
assert gaps.min() > 0
assert bound.slack.min() > -1e-5
assert np.median(bound.a_priori) > 0.999
assert reports["last"].lipschitz <= bound.diameter / 4
assert span.rank == W.shape[1] == 64
assert span.outside.max() < 1e-9
