"""A bounded list of pictures for each feature: the first by some order, ties by digest.

The order is total, so what is kept of a set does not depend on the way in which its parts came.
Strongest first gives the reference pictures. By a hash of feature and picture it gives a uniform
random sample of the pictures on which the feature fires, the same one on every machine.
"""

from dataclasses import dataclass

import numpy as np

from steerboard.catalogue.records import Array

FREE = np.uint64(2**64 - 1)


@dataclass(frozen=True)
class Offers:
    """Pictures offered to features: ``[n]`` each, digests ``[n, 4]``, maps ``[n, cells]``."""

    features: Array
    order: Array
    peaks: Array
    digests: Array
    maps: Array

    def take(self, which: Array) -> "Offers":
        """Some of them."""
        return Offers(
            self.features[which],
            self.order[which],
            self.peaks[which],
            self.digests[which],
            self.maps[which],
        )

    def sorted(self) -> "Offers":
        """By feature, order and digest; the same picture twice for a feature is there once."""
        d = self.digests
        place = np.lexsort((d[:, 3], d[:, 2], d[:, 1], d[:, 0], self.order, self.features))
        found = self.take(place)
        same = (found.features[1:] == found.features[:-1]) & (
            found.digests[1:] == found.digests[:-1]
        ).all(1)
        return found.take(np.concatenate([[True], ~same])) if len(place) else found

    def ranks(self) -> Array:
        """``[n]`` the place of each within its feature; they must be sorted."""
        n = len(self.features)
        begins = np.concatenate([[True], self.features[1:] != self.features[:-1]])[:n]
        first = np.maximum.accumulate(np.where(begins, np.arange(n), 0))
        ranks: Array = np.arange(n) - first
        return ranks


class Shortlist:
    """The first ``count`` pictures of each of ``size`` features.

    Attributes:
        order: ``[f, count]`` uint64, rising; ``FREE`` where there is no picture.
        peaks: ``[f, count]`` the response.
        digests: ``[f, count, 4]`` the picture's digest, in four numbers.
        maps: ``[f, count, cells]`` shades on the patches.
    """

    def __init__(self, size: int, count: int, cells: int) -> None:
        self.count = count
        self.order = np.full((size, count), FREE, np.uint64)
        self.peaks = np.zeros((size, count), np.float32)
        self.digests = np.zeros((size, count, 4), np.uint64)
        self.maps = np.zeros((size, count, cells), np.int8)

    def wants(self, features: Array, order: Array) -> Array:
        """``[n]`` whether each could still come in: most cannot, and cost no more than this."""
        wanted: Array = order <= self.order[features, -1]
        return wanted

    def offer(self, offers: Offers) -> None:
        """Keep of these, and of what is held, the first of each feature."""
        offers = offers.take(self.wants(offers.features, offers.order))
        touched = np.unique(offers.features)
        both = joined(self.held(touched), offers).sorted()
        ranks = both.ranks()
        kept, ranks = both.take(ranks < self.count), ranks[ranks < self.count]
        self.order[touched] = FREE
        at = kept.features, ranks
        self.order[at], self.peaks[at] = kept.order, kept.peaks
        self.digests[at], self.maps[at] = kept.digests, kept.maps

    def held(self, features: Array) -> Offers:
        """What is kept of some features, as offers."""
        order = self.order[features]
        row, rank = np.nonzero(order != FREE)
        at = features[row], rank
        return Offers(at[0], self.order[at], self.peaks[at], self.digests[at], self.maps[at])

    def merge(self, other: "Shortlist", piece: int = 2048) -> None:
        """Take in another list, some features at a time."""
        fired = np.flatnonzero(other.order[:, 0] != FREE)
        for start in range(0, len(fired), piece):
            self.offer(other.held(fired[start : start + piece]))


def joined(a: Offers, b: Offers) -> Offers:
    """Both together."""
    return Offers(
        np.concatenate([a.features, b.features]),
        np.concatenate([a.order, b.order]),
        np.concatenate([a.peaks, b.peaks]),
        np.concatenate([a.digests, b.digests]),
        np.concatenate([a.maps, b.maps]),
    )


def strongest(peaks: Array) -> Array:
    """``[n]`` an order by falling response: positive floats compare as their bits do."""
    bits = peaks.astype(np.float32).view(np.uint32).astype(np.uint64)
    order: Array = np.uint64(2**32 - 1) - bits
    return order


def shuffled(features: Array, digests: Array) -> Array:
    """``[n]`` an order as if by lot: splitmix64 of feature and digest."""
    x = digests[:, 0] ^ (features.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    order: Array = np.minimum(x ^ (x >> np.uint64(31)), FREE - np.uint64(1))
    return order


def numbers(digests: bytes) -> Array:
    """Digests of 32 bytes end to end as ``[n, 4]`` numbers, which compare as the digests do."""
    found: Array = np.frombuffer(digests, ">u8").reshape(-1, 4).astype(np.uint64)
    return found


def words(digests: Array) -> list[str]:
    """Digests ``[n, 4]`` in hex."""
    data = digests.astype(">u8").tobytes()
    return [data[i : i + 32].hex() for i in range(0, len(data), 32)]
