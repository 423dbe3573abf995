"""What a model was shown, from files: demonstrations and histories."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from matrixbayes.cli.histories import read_histories, read_shots


def test_the_query_may_be_without_a_tab(tmp_path: Path) -> None:
    file = tmp_path / "shots.txt"
    file.write_text("Sky:\tcold\nSun:\n\nFire:\twarm\nSea:\tcold\n\nred\nblue\n")
    assert read_shots(str(file), None) == [
        [("Sky:", "cold"), ("Sun:", None)],
        [("Fire:", "warm"), ("Sea:", "cold")],
        ["red", "blue"],
    ]


def test_histories_of_one_length_are_an_array(tmp_path: Path) -> None:
    np.save(tmp_path / "h.npy", [[0, 1], [1, 1]])
    found = read_histories(str(tmp_path / "h.npy"), "tokens", None)
    np.testing.assert_array_equal(found, [[0, 1], [1, 1]])
