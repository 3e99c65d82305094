"""Small pictures beside a catalogue, ``NAME.thumbnails.parquet``: by digest, a few to a group."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from threading import Lock
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from steerboard.catalogue.columns import table as from_columns
from steerboard.catalogue.groups import Groups

THUMBNAILS = ".thumbnails.parquet"
SCHEMA = pa.schema([("sha256", pa.binary(32)), ("jpeg", pa.binary())])
GROUP = 32  # what is read to show one picture
HELD = 256  # groups in memory, of up to 256 KB each
LEVEL = 3  # of zstd: at 9 it takes twice as long, for a hundredth


def write_thumbnails(place: str, held: Mapping[str, bytes]) -> None:
    """Write the thumbnails of a catalogue beside it, by hex digest."""
    names = sorted(held)
    parts = (
        from_columns({"sha256": [*map(bytes.fromhex, p)], "jpeg": [held[n] for n in p]}, SCHEMA)
        for p in (names[i : i + GROUP] for i in range(0, len(names), GROUP))
    )
    if names:
        put(place.removesuffix(".parquet") + THUMBNAILS, SCHEMA, parts, level=1)


def put(place: str, schema: pa.Schema, parts: Iterable[pa.Table], level: int = LEVEL) -> None:
    """Write tables as row groups into a file that appears when it is complete.

    Args:
        place: fsspec URL of the file.
        schema: With its metadata.
        parts: A table for each row group.
        level: Of compression; pictures are compressed already.

    Raises:
        OSError: It cannot be written; nothing is left of it.
    """
    fs, path = fsspec.core.url_to_fs(place)
    fs.makedirs(path.rpartition("/")[0], exist_ok=True)
    half = f"{path}.half"
    try:
        with (
            fs.open(half, "wb") as file,
            pq.ParquetWriter(
                file, schema, compression="zstd", compression_level=level, use_dictionary=False
            ) as out,
        ):
            for part in parts:
                out.write_table(part.replace_schema_metadata(schema.metadata))
    except OSError:
        with suppress(OSError):
            fs.rm_file(half)
        raise
    fs.mv(half, path)


class Thumbnails:
    """Reads the groups that pictures are in; the latest groups stay in memory.

    Args:
        fs: An fsspec file system.
        stem: Path of the catalogue without its ending.
    """

    def __init__(self, fs: Any, stem: str) -> None:
        there = fs.exists(stem + THUMBNAILS)
        self._groups = Groups(fs, stem + THUMBNAILS) if there else None
        self._held: OrderedDict[int, dict[str, bytes]] = OrderedDict()
        self._lock = Lock()

    def get(self, digests: Iterable[str]) -> dict[str, bytes]:
        """JPEGs by hex digest; those that are not there are left out."""
        places = {name: self._place(name) for name in digests}
        groups = self._get(set(places.values()) - {-1})
        return {d: groups[n][d] for d, n in places.items() if n >= 0 and d in groups[n]}

    def warm(self) -> None:
        """Read in what stays in memory, where the file lies on this machine."""
        if self._groups is not None and self._groups.near:
            self._get(set(range(min(len(self._groups.lowest), HELD))))

    def _place(self, name: str) -> int:
        """The group that a picture is in if it is there at all; -1 for none."""
        lowest = self._groups.lowest if self._groups is not None else []
        return bisect_right(lowest, bytes.fromhex(name)) - 1

    def _get(self, numbers: set[int]) -> dict[int, dict[str, bytes]]:
        """The pictures of groups."""
        with self._lock:
            found = {n: self._held[n] for n in numbers if n in self._held}
        fresh = self._read(sorted(numbers - found.keys()))
        with self._lock:
            self._held.update(found | fresh)
            for number in found:
                self._held.move_to_end(number)
            while len(self._held) > HELD:
                self._held.popitem(last=False)
        return found | fresh

    def _read(self, numbers: list[int]) -> dict[int, dict[str, bytes]]:
        """From the file, all in one go."""
        found: dict[int, dict[str, bytes]] = {n: {} for n in numbers}
        if self._groups is not None and numbers:
            table = self._groups.read(numbers, SCHEMA.names)
            names = [name.hex() for name in table.column("sha256").to_pylist()]
            for name, jpeg in zip(names, table.column("jpeg").to_pylist(), strict=True):
                found[self._place(name)][name] = jpeg
        return found
