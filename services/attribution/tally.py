"""Over pictures: how many were good; of each feature, how often it was listed, and its sum.

A chunk's own tally is kept beside its rows, as bytes, so that the closing chunk of a set reads no
rows. Tallies are added up chunk after chunk: the sums do not depend on who computed which, or when.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from services.attribution.results import Rows

LISTED = 64  # features of an aggregate


@dataclass(frozen=True, eq=False)
class Tally:
    """Of some pictures.

    Attributes:
        good: Pictures that could be read.
        failed: The others.
        features: Those that were listed, ascending, int64 [n].
        counts: On how many pictures each was, int64 [n].
        totals: Its scores added up in the order of the pictures, float64 [n].
    """

    good: int
    failed: int
    features: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    totals: npt.NDArray[np.float64]

    @classmethod
    def of(cls, rows: Rows) -> "Tally":
        """Of the pictures of a chunk: few enough that plain sums take less than arrays."""
        good = [row for row in rows if "error" not in row]
        found: dict[int, tuple[int, float]] = {}
        for row in good:
            for feature, score in zip(row["features"], row["scores"], strict=True):
                count, total = found.get(feature, (0, 0.0))
                found[feature] = count + 1, total + score
        features = sorted(found)
        counts, totals = ([found[f][i] for f in features] for i in (0, 1))
        return cls(
            len(good),
            len(rows) - len(good),
            np.array(features, np.int64),
            np.array(counts, np.int64),
            np.array(totals, np.float64),
        )

    @classmethod
    def joined(cls, parts: Sequence["Tally"]) -> "Tally":
        """Of several, each added to the sum of those before it."""
        lists = (
            np.concatenate([getattr(p, name) for p in parts])
            for name in ("features", "counts", "totals")
        )
        good, failed = sum(p.good for p in parts), sum(p.failed for p in parts)
        return cls(good, failed, *added(*lists))

    @classmethod
    def read(cls, data: bytes) -> "Tally":
        """From bytes."""
        good, failed, features = np.frombuffer(data, "<i8", 3).tolist()
        whole = np.frombuffer(data, "<i8", 2 * features, 24)
        totals = np.frombuffer(data, "<f8", features, 24 + whole.nbytes)
        return cls(good, failed, whole[:features], whole[features:], totals)

    def packed(self) -> bytes:
        """As bytes: three numbers and the three lists, eight bytes each, little-endian."""
        whole = np.array([self.good, self.failed, len(self.features)])
        lists = np.concatenate([whole, self.features, self.counts]).astype("<i8")
        return lists.tobytes() + self.totals.astype("<f8").tobytes()

    def aggregate(self) -> dict[str, Any]:
        """How often each of the features of largest mean is among the top, and that mean.

        The mean is over all good pictures, and a feature that is not listed adds nothing to it.
        """
        means = self.totals / max(self.good, 1)
        order = np.lexsort((self.features, -np.abs(means)))[:LISTED]
        columns = (self.features[order], self.counts[order], means[order])
        listed = [
            {"feature": f, "pictures": n, "mean": mean}
            for f, n, mean in zip(*(c.tolist() for c in columns), strict=True)
        ]
        return {"pictures": self.good, "failed": self.failed, "features": listed}


def added(
    features: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    totals: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Of each feature once: its counts and totals, added in the order in which they stand."""
    ones, places = np.unique(features, return_inverse=True)
    more, sums = np.zeros(len(ones), np.int64), np.zeros(len(ones))
    np.add.at(more, places, counts)
    np.add.at(sums, places, totals)
    return ones, more, sums


NOTHING = Tally.of([])
