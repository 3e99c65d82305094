"""Small pictures beside a catalogue, ``NAME.thumbnails.parquet``: by digest, a few to a group."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from threading import Lock
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from steerboard.catalogue.columns import table as from_columns
from steerboard.catalogue.groups import Groups

THUMBNAILS = ".thumbnails.parquet"
SCHEMA = pa.schema([("sha256", pa.binary(32)), ("jpeg", pa.binary())])
GROUP = 32  # what is read to show one picture
HELD = 4096
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
    """Reads the groups that pictures are in; the latest pictures stay in memory.

    Args:
        fs: An fsspec file system.
        stem: Path of the catalogue without its ending.
    """

    def __init__(self, fs: Any, stem: str) -> None:
        self._fs, self._path = fs, stem + THUMBNAILS
        self._held: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()
        there = fs.exists(stem + THUMBNAILS)
        self._groups = Groups(fs, stem + THUMBNAILS) if there else None

    def get(self, digests: Iterable[str]) -> dict[str, bytes]:
        """JPEGs by hex digest; those that are not there are left out."""
        wanted = list(dict.fromkeys(digests))
        with self._lock:
            found = {d: self._held[d] for d in wanted if d in self._held}
        fresh = self._read([bytes.fromhex(d) for d in wanted if d not in found])
        with self._lock:
            self._held.update(found | fresh)
            for name in found:
                self._held.move_to_end(name)
            while len(self._held) > HELD:
                self._held.popitem(last=False)
        return found | fresh

    def _read(self, digests: list[bytes]) -> dict[str, bytes]:
        """From the file, all in one go."""
        if self._groups is None:
            return {}
        numbers = {bisect_right(self._groups.lowest, d) - 1 for d in digests} - {-1}
        if not numbers:
            return {}
        table = self._groups.read(sorted(numbers), SCHEMA.names)
        asked = pa.array(digests, SCHEMA.field("sha256").type)
        own = table.filter(pc.is_in(table.column("sha256"), asked))
        names = (name.hex() for name in own.column("sha256").to_pylist())
        return dict(zip(names, own.column("jpeg").to_pylist(), strict=True))
