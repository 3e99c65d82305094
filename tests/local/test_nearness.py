"""Neighbours by decoder rows: in float64 by hand, and by the runner."""

from pathlib import Path

import numpy as np
import pytest

from steerboard.catalogue.neighbours import nearest
from steerboard.inprocess.runner import open_local
from steerboard.spec.errors import InvalidRequest, NotFound
from steerboard.spec.runner import Near


def test_the_runner_finds_the_neighbours_that_rows_give(tiny_house: Path):
    runner = open_local(tiny_house, "")
    assert isinstance(runner, Near)
    rows = runner.directions("tiny", "middle")
    found = runner.nearest("tiny", "middle", range(48), 5)
    which, cosines = nearest(rows, np.arange(48), 5)
    np.testing.assert_allclose(found.cosines, cosines, atol=1e-6)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    own = (unit[np.arange(48)[:, None]] * unit[found.features]).sum(-1)
    np.testing.assert_allclose(own, cosines, atol=1e-6)
    assert which.shape == found.features.shape
    assert (found.features != np.arange(48)[:, None]).all()
    runner.close()


def test_what_cannot_be_asked_is_refused(tiny_house: Path):
    runner = open_local(tiny_house, "")
    for features, count, why in (
        ([], 8, "1 to 1024 features"),
        ([48], 8, "features 0 to 47, not 48"),
        ([-1], 8, "not -1"),
        ([0] * 1025, 8, "not 1025"),
        ([0], 0, "1 to 64 neighbours"),
    ):
        with pytest.raises(InvalidRequest, match=why):
            runner.nearest("tiny", "middle", features, count)
    with pytest.raises(NotFound):
        runner.nearest("tiny", "none", [0])
    runner.close()
