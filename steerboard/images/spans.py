"""Where the bytes of a picture lie, for who reads them later; and whether files have changed."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

LOCAL = "file://"
CHANGED = ("mtime", "ETag", "LastModified", "last_modified", "created")


@dataclass(frozen=True)
class Span:
    """A file, or a part of one.

    Attributes:
        url: Of the file.
        start: Its first byte that counts.
        size: How many bytes; -1: all to the end.
    """

    url: str
    start: int = 0
    size: int = -1

    def read(self) -> bytes:
        """The bytes; raises OSError."""
        if self.url.startswith(LOCAL):  # asked for thousands of times a set
            with open(self.url.removeprefix(LOCAL), "rb") as file:
                file.seek(self.start)
                return file.read(self.size)
        fs, path = fsspec.core.url_to_fs(self.url)
        stop = None if self.size < 0 else self.start + self.size
        data: bytes = fs.cat_file(path, self.start or None, stop)
        return data


def url_of(fs: Any, path: str) -> str:
    """The URL of a path of a file system."""
    return f"{LOCAL}{path}" if isinstance(fs, LocalFileSystem) else str(fs.unstrip_protocol(path))


def stamp_of(files: Iterable[Mapping[str, Any]]) -> str:
    """A digest over names, sizes and times of files: another one where any may have changed."""
    found = hashlib.sha256()
    for info in files:
        when = next((info[name] for name in CHANGED if info.get(name)), "")
        found.update(f"{info['name']}\n{info.get('size')}\n{when}\n".encode())
    return found.hexdigest()
