"""Results of single pictures, and half-done work, in the cache's Redis; what is old may go."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic_core import from_json, to_json

from services.attribution.redis_link import open_redis, speaking

KEEP_S = 24 * 3600
CACHE = "the result cache (Redis)"
# Of half-done work; raised when the state of a step changes. During an upgrade each worker goes on
# with what its own version kept, and begins a chunk anew where there is nothing of it.
FORM = 3
Rows = list[dict[str, Any]]


class Results:
    """Results of single pictures and half-done work of all chunks: JSON, compressed.

    Args:
        cache: URL of the Redis that evicts what was not read for longest.
    """

    def __init__(self, cache: str) -> None:
        self._redis = open_redis(cache, text=False)

    def has(self, job: str, chunk: int) -> bool:
        """Whether a chunk's result is stored."""
        with speaking(CACHE):
            return bool(self._redis.exists(result_key(job, chunk)))

    def store(self, job: str, chunk: int, rows: Rows) -> None:
        """Store a chunk's result; what was half done goes."""
        with speaking(CACHE):
            self._redis.set(result_key(job, chunk), pack(rows), ex=KEEP_S)
            self._redis.delete(part_key(job, chunk))

    def read(self, job: str, chunks: Sequence[int]) -> list[Rows | None]:
        """The results of chunks, None where they are not there."""
        if not chunks:
            return []
        with speaking(CACHE):
            found = self._redis.mget([result_key(job, i) for i in chunks])
        return [None if data is None else unpack(data) for data in found]

    def packed(self, job: str, chunk: int) -> bytes | None:
        """The result of a chunk as it is stored, see ``unpack``; None where it is not there."""
        with speaking(CACHE):
            data: bytes | None = self._redis.get(result_key(job, chunk))
        return data

    def keep_part(self, job: str, chunk: int, state: dict[str, Any]) -> None:
        """Keep half-done work for the next try."""
        with speaking(CACHE):
            self._redis.set(part_key(job, chunk), pack(state), ex=KEEP_S)

    def part(self, job: str, chunk: int) -> dict[str, Any]:
        """Half-done work; empty where there is none."""
        with speaking(CACHE):
            data = self._redis.get(part_key(job, chunk))
        return {} if data is None else unpack(data)


class Kept(Protocol):
    """Results of the chunks of one job, wherever they are."""

    def has(self, chunk: int) -> bool:
        """Whether a chunk's result is stored."""

    def store(self, chunk: int, rows: Rows, gist: bytes = b"") -> None:
        """Store a chunk's result, with what the closing chunk needs of it."""

    def read(self, chunks: Sequence[int]) -> list[Rows | None]:
        """The results of chunks, None where they are not there."""

    def gists(self, chunks: Sequence[int]) -> list[bytes | None]:
        """What the closing chunk needs of others, None where they are not there."""


@dataclass(frozen=True)
class OfOne:
    """Those of a job of a single chunk: small, and read at once, so that they lie in the cache."""

    results: Results
    job: str

    def has(self, chunk: int) -> bool:
        """Whether a chunk's result is stored."""
        return self.results.has(self.job, chunk)

    def store(self, chunk: int, rows: Rows, gist: bytes = b"") -> None:
        """Store a chunk's result; there is no closing chunk to need more of it."""
        self.results.store(self.job, chunk, rows)

    def read(self, chunks: Sequence[int]) -> list[Rows | None]:
        """The results of chunks, None where they are not there."""
        return self.results.read(self.job, chunks)

    def gists(self, chunks: Sequence[int]) -> list[bytes | None]:
        """None: nothing was kept of them."""
        return [None for _ in chunks]


def pack(value: object) -> bytes:
    """JSON, compressed; raises ValueError for numbers that JSON does not know."""
    data = to_json(value)
    if b"NaN" in data or b"Infinity" in data:  # a number, or no more than a word
        json.dumps(value, allow_nan=False)
    return zlib.compress(data, 1)


def unpack(data: bytes) -> Any:
    """The inverse."""
    return from_json(zlib.decompress(data))  # in a quarter of json's time: sets have thousands


def result_key(job: str, chunk: int) -> str:
    """A chunk's result."""
    return f"steerboard:result:{job}:{chunk}"


def part_key(job: str, chunk: int) -> str:
    """A chunk's half-done work."""
    return f"steerboard:part:{FORM}:{job}:{chunk}"
