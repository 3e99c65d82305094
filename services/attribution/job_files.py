"""Results of jobs of several chunks: files in a folder of the job's own, behind fsspec.

They are bounded by the time they are kept and not by the memory of a Redis, and a chunk that was
done stays done: a job that failed or was taken back goes on from there when it is asked for again.
"""

import os
import zlib
from collections.abc import Sequence
from secrets import token_hex
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from services.attribution.results import Rows, pack, unpack

ROWS, ABOUT = "rows", "about.json.z"
LENGTH = 4  # bytes


class JobFiles:
    """The folder of one job.

    Args:
        place: fsspec URL of the folder.
    """

    def __init__(self, place: str) -> None:
        self._fs, root = fsspec.core.url_to_fs(place)
        self._root = root.rstrip("/")
        # Written and read with every chunk: a local file needs the system's calls alone.
        self._local = isinstance(self._fs, LocalFileSystem)

    def has(self, chunk: int) -> bool:
        """Whether a chunk's result is stored."""
        return bool(self._fs.exists(self._path(chunk)))

    def store(self, chunk: int, rows: Rows, gist: bytes = b"") -> None:
        """Store a chunk's result; it appears when it is complete.

        The ``gist``, which the closing chunk reads, stands behind it in the same file, and behind
        that its length.
        """
        length = len(gist).to_bytes(LENGTH, "little")
        self._put(self._path(chunk), b"".join((pack(rows), gist, length)))

    def read(self, chunks: Sequence[int]) -> list[Rows | None]:
        """The results of chunks, None where they are not there."""
        return [self._unpacked(self._path(i)) for i in chunks]

    def gists(self, chunks: Sequence[int]) -> list[bytes | None]:
        """What stands behind the results of chunks, None where they are not there."""
        found = (self._get(self._path(i)) for i in chunks)
        return [None if data is None else behind(data) for data in found]

    def describe(self, about: dict[str, Any]) -> None:
        """Keep what is needed to have the job again: spec and provenance."""
        self._put(f"{self._root}/{ABOUT}", pack(about))

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
            if self._local:
                with open(path, "rb") as file:
                    return file.read()
            data: bytes = self._fs.cat_file(path)
        except FileNotFoundError:
            return None
        return data

    def _put(self, path: str, data: bytes) -> None:
        try:
            self._write(path, data)
        except FileNotFoundError:  # the first file of its folder
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._write(path, data)

    def _write(self, path: str, data: bytes) -> None:
        half = f"{path}.{token_hex(6)}"
        if self._local:
            with open(half, "wb") as file:
                file.write(data)
            os.replace(half, path)
            return
        self._fs.pipe_file(half, data)
        self._fs.mv(half, path)


def behind(data: bytes) -> bytes:
    """What follows a packed result, which ends where it says itself."""
    end = len(data) - LENGTH
    return data[end - int.from_bytes(data[end:], "little") : end]
