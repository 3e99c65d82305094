"""What is known of every feature over a part of a set; parts merge in any order and any split.

Counts and sums are integers, lists have a total order, the sample goes by digest. So the merged
state is a function of the set alone, and the file written from it is the same byte for byte.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from steerboard.catalogue.panel import LIMIT, Panel
from steerboard.catalogue.records import SHADES, Array, Record, pack, totals, unpack
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
WAITING = 2**20  # responses that wait to be taken in together: a list is sorted less often
LISTS = ("order", "peaks", "digests", "maps")
TOTALS = ("fired", "whole", "parts", "maximum", "histogram")


class Partial:
    """Of ``size`` features over the shards taken in.

    Args:
        size: Number of features.
        cells: Number of patches.
        top: Pictures of the largest total kept of each feature.
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
        self._sums = Sums.empty(size)
        self._best, self._drawn = Shortlist(size, top, cells), Shortlist(size, sampled, cells)
        self.panel = Panel(panel)
        self._waiting: list[Record] = []
        self._entries = 0

    @property
    def sums(self) -> Sums:
        """Counts, sums, maxima and histograms."""
        self._settle()
        return self._sums

    @property
    def best(self) -> Shortlist:
        """The pictures of the largest total of each feature."""
        self._settle()
        return self._best

    @property
    def drawn(self) -> Shortlist:
        """Pictures drawn by lot of those on which each feature fires."""
        self._settle()
        return self._drawn

    def add(self, shard: str, records: Sequence[Record]) -> None:
        """Take in a shard, unless it is there already."""
        if shard in self.shards:
            return
        check(records, self.size)
        self.shards.add(shard)
        self.pictures += len(records)
        self.digest = (self.digest + sum(int(r.sha256, 16) for r in records)) % 2**256
        self.panel.add(records)
        self._waiting += records
        self._entries += sum(len(r.features) for r in records)
        if self._entries >= WAITING:
            self._settle()

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
        held = np.concatenate([s.digests[s.order != FREE] for s in (self.best, self.drawn)])
        _, first = np.unique(held[:, 0], return_index=True)  # which names a picture, see ``first``
        found: Array = held[first]
        return found

    def _settle(self) -> None:
        """Take in what waits."""
        records, self._waiting, self._entries = self._waiting, [], 0
        if not records:
            return
        features = np.concatenate([r.features for r in records]).astype(np.int64)
        peaks = np.concatenate([r.peaks for r in records])
        own = numbers(bytes.fromhex("".join(r.sha256 for r in records)))
        digests = np.repeat(own, [len(r.features) for r in records], axis=0)
        maps = Maps.of(records, self.cells).spread
        self._sums.add(features, peaks)
        self._best.offer(Offers(features, strongest(totals(records)), peaks, digests, maps))
        self._drawn.offer(Offers(features, shuffled(features, digests), peaks, digests, maps))


def check(records: Sequence[Record], size: int) -> None:
    """Raises InvalidRequest for a record that names a feature beyond the dictionary."""
    for r in records:
        if len(r.features) and not 0 <= r.features[0] <= r.features[-1] < size:
            raise InvalidRequest(
                f"a record names feature {r.features[-1]}, and the dictionary has {size}"
            )


@dataclass(frozen=True)
class Maps:
    """The maps of all entries of some records, end to end, as they are kept in records."""

    starts: Array
    patches: Array
    shades: Array
    cells: int

    @classmethod
    def of(cls, records: Sequence[Record], cells: int) -> "Maps":
        """Of records."""
        counts = np.concatenate([np.diff(r.starts) for r in records])
        patches = np.concatenate([r.patches for r in records])
        shades = np.concatenate([r.shades for r in records])
        return cls(np.concatenate([[0], np.cumsum(counts)]), patches, shades, cells)

    def spread(self, which: Array) -> Array:
        """``[n, cells]`` the maps of the entries ``which [n]``."""
        own = self.starts[which + 1] - self.starts[which]
        row = np.repeat(np.arange(len(which)), own)
        inside = np.arange(own.sum()) - np.repeat(np.cumsum(own) - own, own)
        at = np.repeat(self.starts[which], own) + inside
        maps = np.zeros((len(which), self.cells), np.int8)
        maps[row, self.patches[at]] = self.shades[at]
        return maps


def heat(shades: Array, peak: float) -> Array:
    """A stored map in units of activation again; off by half a 127th of the peak at most."""
    found: Array = shades.astype(np.float32) * np.float32(peak / SHADES)
    return found


def save(part: Partial) -> bytes:
    """A part as a file, so that a merge can go on elsewhere; soon deleted, so not compressed."""
    fired = np.flatnonzero(part.sums.fired)
    arrays: dict[str, Array] = {"fired_features": fired}
    arrays |= {f"sums_{n}": getattr(part.sums, n)[fired] for n in TOTALS}
    for name in ("best", "drawn"):
        held = getattr(part, name)
        arrays |= {f"{name}_{n}": getattr(held, n)[fired] for n in LISTS}
    words = [*sorted(part.shards), str(part.pictures), str(part.digest)]
    words += [str(n) for n in (part.size, part.cells, part.panel.limit)]
    arrays["words"] = np.frombuffer("\n".join(words).encode(), np.uint8)
    arrays["panel"] = np.frombuffer(pack(panel_records(part.panel)), np.uint8)
    out = io.BytesIO()
    np.savez(out, **arrays)  # type: ignore[arg-type]
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
