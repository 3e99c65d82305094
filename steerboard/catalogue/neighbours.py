"""Features that lie near a feature: in the dictionary's directions, or on the same pictures."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from steerboard.catalogue.measures import blocks, unit
from steerboard.catalogue.records import Array

NEAREST = 8
CROWDED, ROOM = 40, 2**26  # one place in so many is taken; places of an array at most
TOGETHER, ALIKE = 128, 16  # features that are compared at once, and that lie side by side


def nearest(directions: Array, features: Array, count: int = NEAREST) -> tuple[Array, Array]:
    """The features whose decoder rows have the largest cosine to each of ``features [n]``.

    Args:
        directions: ``[f, d]`` decoder rows.
        features: Of which.
        count: How many others, at most all.

    Returns:
        Features and cosines ``[n, count]``, the largest first: that one is the redundancy.
    """
    rows = unit(directions.astype(np.float64))
    which, cosines = [], []
    for part in blocks(len(features)):
        own = features[part]
        near = rows[own] @ rows.T
        near[np.arange(len(own)), own] = -np.inf
        found = largest(near, count)
        which.append(found)
        cosines.append(np.take_along_axis(near, found, 1))
    return np.concatenate(which), np.concatenate(cosines)


def largest(values: Array, count: int) -> Array:
    """``[n, count]`` columns of the largest values of each row, ties by column."""
    count = min(count, values.shape[1] - 1)
    found: Array = np.argsort(-values, axis=1, kind="stable")[:, :count]
    return found


@dataclass(frozen=True)
class Meetings:
    """Which features fire on which pictures, ``[picture, f]``, by feature and by picture.

    Attributes:
        columns: Ones, by feature.
        rows: The same by picture; an array where so many fire that a list of them costs more.
        fired: ``[f]`` pictures of each feature.
    """

    columns: sparse.csc_array
    rows: sparse.csr_array | Array
    fired: Array

    @classmethod
    def of(cls, responses: sparse.csr_array) -> "Meetings":
        """From responses ``[picture, f]``; what is stored fires."""
        pictures, size = responses.shape
        fires = sparse.csc_array(responses, copy=True)
        fires.data = np.ones(len(fires.data), np.int16 if pictures < 2**15 else np.int32)
        places = pictures * size
        crowded = responses.nnz * CROWDED > places and places <= ROOM
        rows = fires.toarray() if crowded else fires.tocsr()
        return cls(fires, rows, np.diff(fires.indptr))

    def likely(self, own: Array, count: int) -> tuple[Array, Array, Array]:
        """Who may be among the ``count`` that meet each of ``own [n]`` most, and nobody of less.

        Returns:
            Which of ``own``, which feature it meets, and on how many pictures.
        """
        met = self.columns[:, own].T @ self.rows
        if isinstance(met, np.ndarray):
            # Of small whole numbers: rounded, overlaps keep their order.
            rough = met / (self.fired[own, None] + self.fired - met).clip(1).astype(np.float32)
            rough[np.arange(len(own)), own] = -1.0
            last = max(0, rough.shape[1] - count)
            cut = np.partition(rough, last, axis=1)[:, [last]]
            row, others = np.nonzero((rough >= cut) & (rough > 0))
            return row, others, met[row, others]
        met = sparse.csr_array(met)
        row = np.repeat(np.arange(len(own)), np.diff(met.indptr))
        found = overlap(self.fired, own[row], met.indices, met.data)
        found[met.indices == own[row]] = -1.0
        near = np.flatnonzero((found >= least(found, met.indptr, count)[row]) & (found > 0))
        return row[near], met.indices[near], met.data[near]


def overlap(fired: Array, a: Array, b: Array, both: Array) -> Array:
    """``[n]`` pictures with both of two features, of those with either (Jaccard)."""
    found: Array = both / (fired[a] + fired[b] - both)
    return found


@dataclass(frozen=True)
class Together:
    """For each of n features those that fire on the same pictures, the largest overlap first.

    Attributes:
        counts: ``[n]`` how many there are of each.
        features, overlaps: Of all, end to end.
    """

    counts: Array
    features: Array
    overlaps: Array


def together(meetings: Meetings, features: Array, count: int = NEAREST) -> Together:
    """The features that fire on the same pictures as each of ``features [n]``, ``count`` at most.

    Measured by overlap: pictures with both, of those with either (Jaccard). Pairs that never meet
    are not stored nor looked at, so that the cost goes with the meetings.
    """
    parts = [overlapping(meetings, features[p], count) for p in blocks(len(features), TOGETHER)]
    return Together(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def overlapping(meetings: Meetings, own: Array, count: int) -> tuple[Array, Array, Array]:
    """The same of some features, as arrays."""
    row, others, both = meetings.likely(own, count)
    overlaps = overlap(meetings.fired, own[row], others, both)
    order = np.lexsort((others, -overlaps, row))
    row = row[order]
    kept = np.arange(len(row)) - np.searchsorted(row, row) < count
    at = order[kept]
    return np.bincount(row[kept], minlength=len(own)), others[at], overlaps[at]


def least(values: Array, ends: Array, count: int) -> Array:
    """``[n]`` the ``count``-th largest of each row, which begins and ends at ``ends [n + 1]``.

    Rows of nearly one length lie side by side meanwhile; one that has fewer gives -inf.
    """
    sizes = np.diff(ends)
    found = np.full(len(sizes), -np.inf)
    order = np.argsort(sizes, kind="stable")
    for rows in np.array_split(order, max(1, len(order) // ALIKE)):
        width = int(sizes[rows].max(initial=0))
        if width <= count:
            continue
        inside = np.arange(width)
        at = np.minimum(ends[rows, None] + inside, len(values) - 1)
        held = np.where(inside < sizes[rows, None], values[at], -np.inf)
        found[rows] = np.partition(held, width - count, axis=1)[:, width - count]
    return found
