"""Results of jobs of several chunks: files in a folder of the job's own, behind fsspec.

They are bounded by the time they are kept and not by the memory of a Redis, and a chunk that was
done stays done: a job that failed or was taken back goes on from there when it is asked for again.
"""

import json
import zlib
from collections.abc import Sequence
from secrets import token_hex
from typing import Any

import fsspec

from services.attribution.results import Rows, pack, unpack

ROWS, ABOUT = "rows", "about.json.z"


class JobFiles:
    """The folder of one job.

    Args:
        place: fsspec URL of the folder.
    """

    def __init__(self, place: str) -> None:
        self._fs, root = fsspec.core.url_to_fs(place)
        self._root = root.rstrip("/")

    def has(self, chunk: int) -> bool:
        """Whether a chunk's result is stored."""
        return bool(self._fs.exists(self._path(chunk)))

    def store(self, chunk: int, rows: Rows) -> None:
        """Store a chunk's result; it appears when it is complete."""
        self._put(self._path(chunk), pack(rows))

    def read(self, chunks: Sequence[int]) -> list[Rows | None]:
        """The results of chunks, None where they are not there."""
        return [self._unpacked(self._path(i)) for i in chunks]

    def describe(self, about: dict[str, Any]) -> None:
        """Keep what is needed to have the job again: spec and provenance."""
        data = json.dumps(about, sort_keys=True, allow_nan=False).encode()
        self._put(f"{self._root}/{ABOUT}", zlib.compress(data, 1))

    def about(self) -> bytes:
        """What was kept, as JSON in UTF-8; empty where nothing was."""
        data = self._get(f"{self._root}/{ABOUT}")
        return b"" if data is None else zlib.decompress(data)

    def _path(self, chunk: int) -> str:
        return f"{self._root}/{ROWS}/{chunk}.json.z"

    def _unpacked(self, path: str) -> Rows | None:
        data = self._get(path)
        return None if data is None else unpack(data)

    def _get(self, path: str) -> bytes | None:
        try:
            data: bytes = self._fs.cat_file(path)
        except FileNotFoundError:
            return None
        return data

    def _put(self, path: str, data: bytes) -> None:
        half = f"{path}.{token_hex(6)}"
        try:
            self._fs.pipe_file(half, data)
        except FileNotFoundError:  # the first file of its folder
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._fs.pipe_file(half, data)
        self._fs.mv(half, path)
