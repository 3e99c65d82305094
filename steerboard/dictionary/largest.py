"""The largest few of very many numbers, the same ones wherever there are ties."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Array = npt.NDArray[Any]
GROUPS = 4  # for each number that is looked for
PIECE = 2**20  # numbers that are looked through at once, so that they stay near the core


def largest(p: Tensor, k: int) -> Tensor:
    """Places ``[.., k]`` of the k largest along the last axis of ``p [.., f]``.

    On the CPU they rise, and of equal numbers the first ones count; elsewhere as torch has it. A
    core takes a quarter of the time that torch's own search takes.
    """
    if p.device.type != "cpu" or p.dtype not in (torch.float32, torch.float64):
        return p.topk(k, dim=-1).indices
    rows = p.detach().reshape(-1, p.shape[-1]).numpy()
    size = max(1, PIECE // rows.shape[1])
    parts = [_places(rows[i : i + size], k) for i in range(0, max(len(rows), 1), size)]
    return torch.from_numpy(np.concatenate(parts)).view(*p.shape[:-1], k)


def _places(rows: Array, k: int) -> Array:
    """``[n, k]`` of ``rows [n, f]``. What may be NaN is not smaller than anything."""
    n, f = rows.shape
    at = np.flatnonzero(~(rows < _floor(rows, k)))
    row, values = at // f, rows.ravel()[at]
    if len(at) > n * k:
        least = _kth(_side_by_side(row, values, n), k)[row, 0]
        near = ~(values < least)
        at, row, values, least = at[near], row[near], values[near], least[near]
    if len(at) > n * k:  # There are ties for the last place.
        above = values > least
        room = k - np.bincount(row[above], minlength=n)
        tied = np.cumsum(~above)
        before = np.searchsorted(row, row)  # where its row begins
        kept = above | (tied - tied[before] + ~above[before] <= room[row])
        at = at[kept]
    places: Array = at.reshape(n, k) % f
    return places


def _floor(rows: Array, k: int) -> Array:
    """``[n, 1]`` below which none of the k largest lies: the k-th of the largest of groups."""
    groups = GROUPS * k
    deep = rows.shape[1] // groups
    if deep < 2:
        return _kth(rows, k)
    heads = rows[:, : deep * groups].reshape(len(rows), deep, groups).max(1)
    return _kth(heads, k)


def _kth(rows: Array, k: int) -> Array:
    """``[n, 1]`` the k-th largest of each row."""
    place = rows.shape[1] - k
    found: Array = np.partition(rows, place, axis=1)[:, place, None]
    return found


def _side_by_side(row: Array, values: Array, n: int) -> Array:
    """``[n, most]`` the values of each row, and behind them what is smaller than any."""
    counts = np.bincount(row, minlength=n)
    inside = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    out = np.full((n, int(counts.max(initial=0))), -np.inf, values.dtype)
    out[row, inside] = values
    return out
