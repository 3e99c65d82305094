"""Records on disk while a catalogue is being built: what was done once is not done again.

A shard is named by what it is of: the pictures in it, the model, the dictionary. A build that was
stopped finds the shards that it had, and two that run at once write the same files.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

import fsspec

from steerboard.catalogue.partial import Partial
from steerboard.catalogue.records import SCHEMA, Record, pack, unpack
from steerboard.catalogue.shelf import Shelf
from steerboard.spec.digest import digest
from steerboard.spec.errors import Internal

SUFFIX = ".npz"


@dataclass(frozen=True)
class Shards:
    """A folder of shards.

    Args:
        place: fsspec URL of the folder.
        about: What all of them depend on besides their pictures: fingerprints, precision.
    """

    place: str
    about: str

    def name(self, pictures: Iterable[str]) -> str:
        """What a shard of these pictures (hex digests) is called."""
        return digest("shard", SCHEMA, self.about, sorted(pictures))[:32]

    def has(self, name: str) -> bool:
        """Whether it was written."""
        fs, root = self._open()
        return bool(fs.exists(f"{root}/{name}{SUFFIX}"))

    def write(self, name: str, records: Sequence[Record]) -> None:
        """Write a shard; it appears when it is complete."""
        self.put(name, pack(records))

    def put(self, name: str, data: bytes) -> None:
        """Write a file of this folder; it appears when it is complete."""
        fs, root = self._open()
        fs.makedirs(root, exist_ok=True)
        half = f"{root}/{name}.{token_hex(6)}"
        try:
            fs.pipe_file(half, data)
        except OSError:  # such as a full disk, which it would fill for ever
            with suppress(OSError):
                fs.rm_file(half)
            raise
        fs.mv(half, f"{root}/{name}{SUFFIX}")

    def get(self, name: str) -> bytes:
        """A file of this folder; raises Internal where it went away."""
        fs, root = self._open()
        try:
            data: bytes = fs.cat_file(f"{root}/{name}{SUFFIX}")
        except FileNotFoundError:
            raise Internal(
                f"a part of the catalogue went away from {self.place}: build it again"
            ) from None
        return data

    def read(self, name: str) -> list[Record]:
        """The records of a shard."""
        return unpack(self.get(name))

    def clear(self) -> None:
        """Delete the folder."""
        fs, root = self._open()
        if fs.exists(root):
            fs.rm(root, recursive=True)

    def _open(self) -> tuple[Any, str]:
        fs, root = fsspec.core.url_to_fs(self.place)
        return fs, root.rstrip("/")


def exists(place: str) -> bool:
    """Whether there is a file at an fsspec URL."""
    fs, path = fsspec.core.url_to_fs(place)
    return bool(fs.exists(path))


def merged(shards: Shards, names: Iterable[str], partial: Partial) -> Iterator[int]:
    """Take shards into ``partial`` one by one; pictures taken in so far."""
    for name in names:
        partial.add(name, shards.read(name))
        yield partial.pictures


def shelved(shards: Shards, names: Iterable[str], partial: Partial) -> Shelf:
    """Embeddings and thumbnails of what ``partial`` refers to."""
    shelf = Shelf(partial)
    for name in names:
        shelf.add(shards.read(name))
    return shelf
