"""Embeddings and thumbnails of the pictures that a catalogue refers to, from its shards."""

from collections.abc import Iterable

import numpy as np

from steerboard.catalogue.partial import Partial
from steerboard.catalogue.records import Array, Record
from steerboard.catalogue.shortlist import FREE, words


class Shelf:
    """Of the pictures that any list of a merged part names, in the order of their digests.

    Attributes:
        thumbnails: JPEG by hex digest; only those that have one.
    """

    def __init__(self, partial: Partial) -> None:
        held = partial.referenced()
        self._digests, self._names = held[:, 0], words(held)
        self._row = {name: i for i, name in enumerate(self._names)}
        self._embeddings: Array | None = None
        self.thumbnails: dict[str, bytes] = {}

    def add(self, records: Iterable[Record]) -> None:
        """Take from a shard what is referred to."""
        for r in records:
            row = self._row.get(r.sha256)
            if row is None:
                continue
            if self._embeddings is None:
                self._embeddings = np.zeros((len(self._names), len(r.embedding)), np.float32)
            self._embeddings[row] = r.embedding
            if r.thumbnail:
                self.thumbnails[r.sha256] = r.thumbnail

    def records(self) -> list[Record]:
        """What is on it, as records that ``add`` takes back."""
        none, begin, small = np.zeros(0, np.int32), np.zeros(1, np.int64), self.thumbnails
        return [
            Record(name, (), none, none, begin, none, none, row, small.get(name, b""))
            for name, row in zip(self._names, self.embeddings, strict=False)
        ]

    @property
    def embeddings(self) -> Array:
        """``[n, d]`` of all pictures referred to, by digest."""
        return np.zeros((0, 0), np.float32) if self._embeddings is None else self._embeddings

    @property
    def width(self) -> int:
        """Of an embedding; 0 without any."""
        return 0 if self._embeddings is None else self._embeddings.shape[1]

    def top(self, partial: Partial, features: Array) -> tuple[Array, Array]:
        """Embeddings ``[b, n, d]`` of the strongest pictures, and where there is one."""
        there = partial.best.order[features] != FREE
        out = np.zeros((*there.shape, self.width), np.float32)
        if self._embeddings is not None:
            first = partial.best.digests[features, :, 0][there]
            out[there] = self._embeddings[np.searchsorted(self._digests, first)]
        return out, there
