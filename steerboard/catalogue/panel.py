"""A bounded, uniform sample of whole pictures: those with the smallest digests.

What compares pictures with each other (classes, features that fire together, another dictionary)
needs the responses of all features to the same pictures. Up to ``LIMIT`` pictures that is the
whole set, and exact; of a larger set it is a sample that any order and any split gives again.
"""

from collections.abc import Iterable

import numpy as np
from scipy import sparse

from steerboard.catalogue.records import Array, Record

LIMIT = 20_000
Entry = tuple[tuple[str, ...], Array, Array]  # facts, features, responses


class Panel:
    """Facts and responses of the ``limit`` pictures with the smallest digests."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self._held: dict[str, Entry] = {}
        self._highest = "g"  # above every hex digest

    def add(self, records: Iterable[Record]) -> None:
        """Take in pictures; the same one again changes nothing."""
        for r in records:
            self._put(r.sha256, (r.facts, r.features.copy(), r.peaks.copy()))

    def merge(self, other: "Panel") -> None:
        """Take in another sample."""
        for sha256, entry in other._held.items():
            self._put(sha256, entry)

    def pictures(self) -> list[str]:
        """Their digests, rising: the rows of ``responses``."""
        self._trim(0)
        return sorted(self._held)

    def entries(self) -> list[Entry]:
        """Facts, features and responses of each, in the same order."""
        return [self._held[p] for p in self.pictures()]

    def facts(self) -> list[tuple[str, ...]]:
        """Of each picture, in the same order."""
        return [entry[0] for entry in self.entries()]

    def responses(self, size: int) -> sparse.csr_array:
        """``[picture, feature]`` float32."""
        entries = self.entries()
        starts = np.cumsum([0, *(len(e[1]) for e in entries)])
        if not entries:
            return sparse.csr_array((0, size), dtype=np.float32)
        features = np.concatenate([e[1] for e in entries])
        peaks = np.concatenate([e[2] for e in entries])
        return sparse.csr_array((peaks, features, starts), shape=(len(entries), size))

    def _put(self, sha256: str, entry: Entry) -> None:
        if sha256 < self._highest:
            self._held[sha256] = entry
            self._trim(self.limit // 4 + 16)

    def _trim(self, slack: int) -> None:
        if len(self._held) > self.limit + slack:
            kept = sorted(self._held)[: self.limit]
            self._held = {p: self._held[p] for p in kept}
            self._highest = kept[-1]
