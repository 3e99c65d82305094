"""What is known of every feature over a part of a set; parts merge in any order and any split.

Counts and sums are integers, lists have a total order, the sample goes by digest. So the merged
state is a function of the set alone, and the file written from it is the same byte for byte.
"""

import io
from collections.abc import Sequence

import numpy as np

from steerboard.catalogue.panel import LIMIT, Panel
from steerboard.catalogue.records import SHADES, Array, Record, pack, unpack
from steerboard.catalogue.shortlist import (
    FREE,
    Offers,
    Shortlist,
    numbers,
    shuffled,
    strongest,
)
from steerboard.catalogue.sums import Sums
from steerboard.spec.errors import InvalidRequest

TOP, SAMPLED = 12, 16
PIECE = 2**25  # numbers of maps that are spread out at once
LISTS = ("order", "peaks", "digests", "maps")
TOTALS = ("fired", "whole", "parts", "maximum", "histogram")


class Partial:
    """Of ``size`` features over the shards taken in.

    Args:
        size: Number of features.
        cells: Number of patches.
        top: Strongest pictures kept of each feature.
        sampled: Pictures drawn by lot kept of each feature.
        panel: Whole pictures kept at most.

    Attributes:
        shards: Names of what was taken in; a shard counts once, however often it is brought.
        pictures: How many.
        digest: Sum of the digests of all pictures, modulo 2^256: names the set in any order.
    """

    def __init__(
        self, size: int, cells: int, top: int = TOP, sampled: int = SAMPLED, panel: int = LIMIT
    ) -> None:
        self.size, self.cells = size, cells
        self.shards: set[str] = set()
        self.pictures, self.digest = 0, 0
        self.sums = Sums.empty(size)
        self.best, self.drawn = Shortlist(size, top, cells), Shortlist(size, sampled, cells)
        self.panel = Panel(panel)

    def add(self, shard: str, records: Sequence[Record]) -> None:
        """Take in a shard, unless it is there already."""
        if shard in self.shards:
            return
        self.shards.add(shard)
        self.pictures += len(records)
        self.digest = (self.digest + sum(int(r.sha256, 16) for r in records)) % 2**256
        self.panel.add(records)
        if records:
            self._take(records)

    def merge(self, other: "Partial") -> None:
        """Take in another part.

        Raises:
            InvalidRequest: It holds some shards that are here and some that are not.
        """
        if other.shards <= self.shards:
            return
        if other.shards & self.shards:
            raise InvalidRequest("two parts of a catalogue overlap: merge each shard once")
        self.shards |= other.shards
        self.pictures += other.pictures
        self.digest = (self.digest + other.digest) % 2**256
        self.sums.merge(other.sums)
        self.best.merge(other.best)
        self.drawn.merge(other.drawn)
        self.panel.merge(other.panel)

    def referenced(self) -> Array:
        """``[n, 4]`` digests of the pictures that any list names, rising."""
        lists = [s.digests[s.order != FREE] for s in (self.best, self.drawn)]
        found: Array = np.unique(np.concatenate(lists), axis=0)
        return found

    def _take(self, records: Sequence[Record]) -> None:
        features = np.concatenate([r.features for r in records]).astype(np.int64)
        if features.size and not 0 <= features.min() <= features.max() < self.size:
            raise InvalidRequest(
                f"a record names feature {features.max()}, and the dictionary has {self.size}"
            )
        peaks = np.concatenate([r.peaks for r in records])
        own = numbers(bytes.fromhex("".join(r.sha256 for r in records)))
        digests = np.repeat(own, [len(r.features) for r in records], axis=0)
        self.sums.add(features, peaks)
        for held, order in (
            (self.best, strongest(peaks)),
            (self.drawn, shuffled(features, digests)),
        ):
            wanted = np.flatnonzero(held.wants(features, order))
            step = max(1, PIECE // max(self.cells, 1))
            for start in range(0, len(wanted), step):
                which = wanted[start : start + step]
                maps = spread(records, which, self.cells)
                held.offer(
                    Offers(features[which], order[which], peaks[which], digests[which], maps)
                )


def spread(records: Sequence[Record], which: Array, cells: int) -> Array:
    """``[n, cells]`` the maps of the entries ``which [n]``, counted through all records."""
    counts = np.concatenate([np.diff(r.starts) for r in records])
    starts = np.concatenate([[0], np.cumsum(counts)])
    patches = np.concatenate([r.patches for r in records])
    shades = np.concatenate([r.shades for r in records])
    own = counts[which]
    row = np.repeat(np.arange(len(which)), own)
    inside = np.arange(own.sum()) - np.repeat(np.cumsum(own) - own, own)
    at = np.repeat(starts[which], own) + inside
    maps = np.zeros((len(which), cells), np.int8)
    maps[row, patches[at]] = shades[at]
    return maps


def heat(shades: Array, peak: float) -> Array:
    """A stored map in units of activation again; off by half a 127th of the peak at most."""
    found: Array = shades.astype(np.float32) * np.float32(peak / SHADES)
    return found


def save(partial: Partial) -> bytes:
    """A part as a file, so that a merge can go on elsewhere."""
    fired = np.flatnonzero(partial.sums.fired)
    arrays: dict[str, Array] = {"fired_features": fired}
    arrays |= {f"sums_{n}": getattr(partial.sums, n)[fired] for n in TOTALS}
    for name in ("best", "drawn"):
        held = getattr(partial, name)
        arrays |= {f"{name}_{n}": getattr(held, n)[fired] for n in LISTS}
    words = [*sorted(partial.shards), str(partial.pictures), str(partial.digest)]
    words += [str(n) for n in (partial.size, partial.cells, partial.panel.limit)]
    arrays["words"] = np.frombuffer("\n".join(words).encode(), np.uint8)
    arrays["panel"] = np.frombuffer(pack(panel_records(partial.panel)), np.uint8)
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def load(data: bytes) -> Partial:
    """A part that was saved."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        held = {name: file[name] for name in file.files}
    *shards, pictures, digest, size, cells, limit = held["words"].tobytes().decode().split("\n")
    counts = held["best_order"].shape[1], held["drawn_order"].shape[1]
    found = Partial(int(size), int(cells), *counts, int(limit))
    found.shards, found.pictures, found.digest = set(shards), int(pictures), int(digest)
    fired = held["fired_features"]
    for name in TOTALS:
        getattr(found.sums, name)[fired] = held[f"sums_{name}"]
    for name in ("best", "drawn"):
        for n in LISTS:
            getattr(getattr(found, name), n)[fired] = held[f"{name}_{n}"]
    found.panel.add(unpack(held["panel"].tobytes()))
    return found


def panel_records(panel: Panel) -> list[Record]:
    """The pictures of a panel as records without maps."""
    none = np.zeros(0, np.int32)
    return [
        Record(p, facts, f, v, np.zeros(len(f) + 1, np.int64), none, none, none)
        for p, (facts, f, v) in zip(panel.pictures(), panel.entries(), strict=True)
    ]
