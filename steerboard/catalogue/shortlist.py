"""A bounded list of pictures for each feature: the first by some order, ties by digest.

The order is total, so what is kept of a set does not depend on the way in which its parts came.
By the total over tokens it gives the reference pictures: by the response alone, features that
answer to a surface are known by whichever single patch stands out. By a hash of feature and picture
it gives a uniform random sample of the pictures on which the feature fires, the same one on every
machine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from steerboard.catalogue.records import Array

FREE = np.uint64(2**64 - 1)
PIECE = 2048  # features that are put in at a time


@dataclass(frozen=True)
class Offers:
    """Pictures offered to features: ``[n]`` each, digests ``[n, 4]``.

    ``maps`` spreads out the maps of some of them, ``[k] -> [k, cells]``: most never need it.
    """

    features: Array
    order: Array
    peaks: Array
    digests: Array
    maps: Callable[[Array], Array]


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

    def offer(self, offers: Offers) -> None:
        """Keep of these, and of what is held, the first of each feature."""
        # Most cannot come in any more, and cost no more than this look.
        wanted = np.flatnonzero(offers.order <= self.order[offers.features, -1])
        features = offers.features[wanted]
        best, _ = first(features, offers.order[wanted], offers.digests[wanted, 0], self.count)
        wanted, features = wanted[best], features[best]
        begins = np.flatnonzero(np.diff(features, prepend=-1))
        cuts = [*begins[::PIECE].tolist(), len(features)]
        for a, b in pairwise(cuts):
            self._put(offers, wanted[a:b])

    def _put(self, offers: Offers, new: Array) -> None:
        """Sort some offers in among what is held of their features."""
        touched = np.unique(offers.features[new])
        row, rank = np.nonzero(self.order[touched] != FREE)
        old = touched[row], rank
        features = np.concatenate([old[0], offers.features[new]])
        order = np.concatenate([self.order[old], offers.order[new]])
        digests = np.concatenate([self.digests[old], offers.digests[new]])
        kept, ranks = first(features, order, digests[:, 0], self.count)
        peaks = np.concatenate([self.peaks[old], offers.peaks[new]])[kept]
        # One copy of each map that stays, old or new, and one back to its place.
        maps = np.empty((len(kept), self.maps.shape[2]), np.int8)
        held = kept < len(row)
        maps[held] = self.maps[old[0][kept[held]], rank[kept[held]]]
        maps[~held] = offers.maps(new[kept[~held] - len(row)])
        self.order[touched] = FREE
        at = features[kept], ranks
        self.order[at], self.peaks[at] = order[kept], peaks
        self.digests[at], self.maps[at] = digests[kept], maps

    def merge(self, other: "Shortlist") -> None:
        """Take in another list."""
        row, rank = np.nonzero(other.order != FREE)
        self.offer(
            Offers(
                row,
                other.order[row, rank],
                other.peaks[row, rank],
                other.digests[row, rank],
                lambda which: other.maps[row[which], rank[which]],
            )
        )


def first(features: Array, order: Array, names: Array, count: int) -> tuple[Array, Array]:
    """The first ``count`` of each feature, by feature and order, and the rank of each ``[k]``.

    Ties go by ``names``, the first 64 bits of the digest; the same picture counts once.
    """
    place = in_order(features, order, names)
    f, n = features[place], names[place]
    again = np.zeros(len(place), bool)
    again[1:] = (f[1:] == f[:-1]) & (n[1:] == n[:-1])
    place, f = place[~again], f[~again]
    begins = np.ones(len(f), bool)
    begins[1:] = f[1:] != f[:-1]
    ranks = np.arange(len(f)) - np.maximum.accumulate(np.where(begins, np.arange(len(f)), 0))
    fits = ranks < count
    return place[fits], ranks[fits]


def in_order(features: Array, order: Array, names: Array) -> Array:
    """``[n]`` places by feature, then order, then name: in half the time of ``lexsort``."""
    place = np.argsort(order)
    small = features.max(initial=0) < 2**16  # then numpy's stable sort only counts
    own = features[place].astype(np.uint16 if small else np.int64)
    place = place[np.argsort(own, kind="stable")]
    f, o = features[place], order[place]
    same = (f[1:] == f[:-1]) & (o[1:] == o[:-1])
    tied = np.zeros(len(place), bool)
    tied[1:] = same
    tied[:-1] |= same
    some = place[tied]
    place[tied] = some[np.lexsort((names[some], order[some], features[some]))]
    return place


def strongest(sizes: Array) -> Array:
    """``[n]`` an order by falling size: positive floats compare as their bits do."""
    bits = sizes.astype(np.float32).view(np.uint32).astype(np.uint64)
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
