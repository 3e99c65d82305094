"""Small pictures beside a catalogue, ``NAME.thumbnails.parquet``: by digest, a few to a group."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

THUMBNAILS = ".thumbnails.parquet"
SCHEMA = pa.schema([("sha256", pa.binary(32)), ("jpeg", pa.binary())])
GROUP = 32  # what is read to show one picture
HELD = 4096


def write_thumbnails(place: str, held: Mapping[str, bytes]) -> None:
    """Write the thumbnails of a catalogue beside it, by hex digest."""
    names = sorted(held)
    parts = (
        pa.table({"sha256": [*map(bytes.fromhex, p)], "jpeg": [held[n] for n in p]}, SCHEMA)
        for p in (names[i : i + GROUP] for i in range(0, len(names), GROUP))
    )
    if names:
        put(place.removesuffix(".parquet") + THUMBNAILS, SCHEMA, parts)


def put(place: str, schema: pa.Schema, parts: Iterable[pa.Table]) -> None:
    """Write tables as row groups into a file that appears when it is complete."""
    fs, path = fsspec.core.url_to_fs(place)
    fs.makedirs(path.rpartition("/")[0], exist_ok=True)
    half = f"{path}.half"
    with (
        fs.open(half, "wb") as file,
        pq.ParquetWriter(file, schema, compression="zstd", compression_level=9) as out,
    ):
        for part in parts:
            out.write_table(part.replace_schema_metadata(schema.metadata))
    fs.mv(half, path)


class Thumbnails:
    """Reads thumbnails group by group; the latest stay in memory.

    Args:
        fs: An fsspec file system.
        stem: Path of the catalogue without its ending.
    """

    def __init__(self, fs: Any, stem: str) -> None:
        self._fs, self._path = fs, stem + THUMBNAILS
        self._held: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()
        self._foot: Any = None
        self._lowest: list[bytes] = []
        if fs.exists(self._path):
            with fs.open(self._path, "rb") as file:
                self._foot = pq.ParquetFile(file).metadata
            groups = map(self._foot.row_group, range(self._foot.num_row_groups))
            self._lowest = [group.column(0).statistics.min for group in groups]

    def get(self, digests: Iterable[str]) -> dict[str, bytes]:
        """JPEGs by hex digest; those that are not there are left out."""
        wanted = list(dict.fromkeys(digests))
        with self._lock:
            for number in sorted({self._group(d) for d in wanted if d not in self._held}):
                if number >= 0:
                    self._held.update(self._read(number))
            found = {d: self._held[d] for d in wanted if d in self._held}
            for name in found:
                self._held.move_to_end(name)
            while len(self._held) > HELD:
                self._held.popitem(last=False)
        return found

    def _group(self, digest: str) -> int:
        return bisect_right(self._lowest, bytes.fromhex(digest)) - 1

    def _read(self, number: int) -> dict[str, bytes]:
        with self._fs.open(self._path, "rb") as file:
            table = pq.ParquetFile(file, metadata=self._foot).read_row_group(number)
        names = (name.hex() for name in table.column("sha256").to_pylist())
        return dict(zip(names, table.column("jpeg").to_pylist(), strict=True))
