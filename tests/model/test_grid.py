"""Cells of a model's grid and the tokens under them, by counting and by drawing."""

import numpy as np
import pytest

from steerboard.model.grid import cell_sums, finer, patches_of, under


@pytest.mark.parametrize("k", [1, 2, 4])
def test_cells_cover_what_a_drawn_mask_covers(k: int) -> None:
    grid = (2, 3)
    drawn = np.zeros(grid, bool)
    drawn[0, 2] = drawn[1, 0] = True
    large = np.kron(drawn, np.ones((k, k), bool))
    assert finer(grid, large.size) == k
    assert sorted(under([(0, 2), (1, 0)], grid, large.size)) == list(np.flatnonzero(large))
    assert under([], grid, large.size) == list(range(large.size))


def test_a_lone_token_is_a_prefix_and_under_no_cell() -> None:
    assert patches_of(1, 0) == 0 and patches_of(1, 1) == 0 and patches_of(7, 1) == 6
    assert under([], (2, 3), 0) == [] and under([(0, 0)], (2, 3), 0) == []


def test_sums_of_a_finer_grid() -> None:
    values = np.arange(24, dtype=np.float32).reshape(1, 24)
    # Rows of 6 patches: under the first cell lie 0, 1, 6 and 7.
    assert cell_sums(values, (2, 3)).tolist() == [[[14, 22, 30], [62, 70, 78]]]
    assert cell_sums(values[:, :6], (2, 3)).tolist() == [[[0, 1, 2], [3, 4, 5]]]
    assert cell_sums(values[:, :0], (2, 3)).tolist() == [[[0, 0, 0], [0, 0, 0]]]
