"""Places on the picture: cells of the model's grid, and the tokens of a site that lie under them.

A vision transformer has one token under each cell at every site. The early stages of a
convolutional tower have finer grids: there k x k tokens lie under each cell.
"""

from collections.abc import Sequence
from math import isqrt

import numpy as np
import numpy.typing as npt

Cell = tuple[int, int]


def patches_of(tokens: int, prefix: int) -> int:
    """How many of a site's tokens are patches; a lone token (the embedding) is a prefix."""
    return 0 if tokens == 1 else tokens - prefix


def finer(grid: Cell, patches: int) -> int:
    """k, where k x k patches lie under each cell of ``grid``; 1 where there are no patches."""
    return isqrt(patches // (grid[0] * grid[1])) or 1


def under(cells: Sequence[Cell], grid: Cell, patches: int) -> list[int]:
    """The patches under the cells, counted row by row; all where no cell is named."""
    if not cells or not patches:
        return list(range(patches))
    k = finer(grid, patches)
    return [
        (row * k + i) * grid[1] * k + column * k + j
        for row, column in cells
        for i in range(k)
        for j in range(k)
    ]


def cell_sums(values: npt.NDArray[np.float32], grid: Cell) -> npt.NDArray[np.float32]:
    """Values of patches ``[n, patches]`` summed under each cell, ``[n, rows, columns]``."""
    rows, columns = grid
    if not values.shape[1]:
        return np.zeros((len(values), rows, columns), values.dtype)
    k = finer(grid, values.shape[1])
    summed: npt.NDArray[np.float32] = values.reshape(-1, rows, k, columns, k).sum((2, 4))
    return summed
