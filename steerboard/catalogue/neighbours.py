"""Features that lie near a feature: in the dictionary's directions, or on the same pictures."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from steerboard.catalogue.measures import blocks, unit
from steerboard.catalogue.records import Array

NEAREST = 8


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
        rows: The same by picture.
        fired: ``[f]`` pictures of each feature.
    """

    columns: sparse.csc_array
    rows: sparse.csr_array
    fired: Array

    @classmethod
    def of(cls, responses: sparse.csr_array) -> "Meetings":
        """From responses ``[picture, f]``; what is stored fires."""
        fires = sparse.csc_array(responses, copy=True)
        fires.data = np.ones_like(fires.data, dtype=np.int32)
        return cls(fires, fires.tocsr(), np.diff(fires.indptr))


def together(meetings: Meetings, features: Array, count: int = NEAREST) -> list[Array]:
    """The features that fire on the same pictures as each of ``features [n]``.

    Measured by overlap: pictures with both, of those with either (Jaccard). Pairs that never meet
    are not stored nor looked at, so that the cost goes with the meetings.

    Returns:
        For each an array ``[k, 2]`` of feature and overlap, at most ``count``, the largest first.
    """
    fired = meetings.fired
    out: list[Array] = []
    for part in blocks(len(features), 128):
        met = sparse.csr_array(meetings.columns[:, features[part]].T @ meetings.rows)
        for i, f in enumerate(features[part]):
            a, b = met.indptr[i], met.indptr[i + 1]
            others, counts = met.indices[a:b], met.data[a:b]
            overlap = counts / (fired[f] + fired[others] - counts)
            # The feature itself stands among them with overlap 1. Only what can be kept is sorted.
            if len(overlap) > count + 1:
                least = np.partition(overlap, -(count + 1))[-(count + 1)]
                others, overlap = others[overlap >= least], overlap[overlap >= least]
            order = np.lexsort((others, -overlap))
            order = order[others[order] != f][:count]
            out.append(np.stack([others[order], overlap[order]], 1))
    return out
