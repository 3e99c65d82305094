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

    def of_each(self, own: Array) -> tuple[Array, Array, Array]:
        """How often the features ``own [n]`` fire with others: numbers, of whom, row by row.

        The last says where each row begins and ends, ``[n + 1]``.
        """
        met = self.columns[:, own].T @ self.rows
        if isinstance(met, np.ndarray):
            n, size = met.shape
            return met.ravel(), np.tile(np.arange(size), n), np.arange(n + 1) * size
        met = sparse.csr_array(met)
        return met.data, met.indices, met.indptr


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
    both, others, ends = meetings.of_each(own)
    sizes, fired = np.diff(ends), meetings.fired
    either = np.repeat(fired[own], sizes) + fired[others] - both
    overlaps = both / np.maximum(either, 1)
    overlaps[others == np.repeat(own, sizes)] = -1.0  # the feature itself
    # Only what can be kept is sorted.
    likely = np.flatnonzero(overlaps >= np.repeat(least(overlaps, ends, count), sizes))
    likely = likely[overlaps[likely] > 0]
    row = np.searchsorted(ends, likely, side="right") - 1
    order = np.lexsort((others[likely], -overlaps[likely], row))
    likely, row = likely[order], row[order]
    kept = np.arange(len(row)) - np.searchsorted(row, row) < count
    at = likely[kept]
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
