"""Clean activations of whole sets, kept on disk: the second tier of the prefix cache.

What enters a block is kept for each picture, by model, picture and block, in half precision, in one
memory-mapped LMDB file. Several processes may share it: LMDB's transactions are whole or not at
all, whoever is killed in between, and each entry carries a checksum besides. The file never grows
beyond its limit; what was used longest ago makes room.

Behind the last block of a tower that pools a prefix token the patches are read by nobody, so there
only the prefix tokens are kept: for ViT-B/32 1.5 KiB a picture.
"""

import hashlib
import logging
import struct
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import lmdb
import torch
from torch import Tensor

from steerboard.spec.errors import InvalidRequest

KEPT = "activations kept in float16"
FORMAT = 1  # raised at every change of what lies in the file
LEAST_BYTES = 16 * 2**20
FULL, ROOM = 0.8, 0.7  # shares of the limit: from where, and down to where, the stalest go
TOUCHES = 4096  # reads that are noted together
PAGE = 4096
KINDS = (torch.float16, torch.bfloat16)
HEAD = struct.Struct("<IBII")  # checksum, kind, tokens, width
USE = struct.Struct("<dq")  # when last used, bytes
TOTAL = b"total"
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """What is kept: the input of ``block`` for one picture under one model's fingerprint.

    ``short`` holds the prefix tokens alone.
    """

    fingerprint: str
    image: str
    block: int
    short: bool = False

    @property
    def key(self) -> bytes:
        """Entries of one picture lie side by side."""
        return picture_key(self.fingerprint, self.image) + struct.pack(
            ">HB", self.block, self.short
        )


def picture_key(fingerprint: str, image: str) -> bytes:
    """What the keys of one picture begin with."""
    return hashlib.sha256(f"{FORMAT}\0{fingerprint}\0{image}".encode()).digest()[:20]


def halved(x: Tensor) -> Tensor:
    """``x`` in the precision in which it is kept: its own where that is half, else float16."""
    return x if x.dtype in KINDS else x.to(torch.float16)


class Kept:
    """The file in ``folder``, of at most ``limit`` bytes.

    Raises:
        InvalidRequest: The limit is too small, or the folder cannot be written.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        if limit < LEAST_BYTES:
            raise InvalidRequest(
                f"{limit} bytes are too few to keep activations in: give at least {LEAST_BYTES}"
            )
        self.limit = limit
        self._touched: dict[bytes, float] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # A crash of the machine may undo the last commit (metasync), and damages nothing.
            self._env = lmdb.open(
                str(folder), map_size=limit, max_dbs=2, max_readers=512, metasync=False
            )
        except (OSError, lmdb.Error) as error:
            raise InvalidRequest(f"activations cannot be kept in {folder}: {error}") from error
        self._env.reader_check()
        self._rows = self._env.open_db(b"rows")
        self._uses = self._env.open_db(b"uses")

    def get(self, places: Sequence[Place]) -> list[Tensor | None]:
        """Each ``[t, d]`` in half precision, in this machine's memory; None: it is not there."""
        keys = [place.key for place in places]
        with self._env.begin(db=self._rows, buffers=True) as reading:
            values = [reading.get(key) for key in keys]
            found = [None if value is None else unpacked(value) for value in values]
        now = time.time()
        self._touched |= {k: now for k, row in zip(keys, found, strict=True) if row is not None}
        if len(self._touched) >= TOUCHES:
            self._write([])
        return found

    def holds(self, fingerprint: str, images: Sequence[str]) -> frozenset[str]:
        """The pictures of which anything is kept."""
        with self._env.begin(db=self._rows, buffers=True) as reading:
            cursor = reading.cursor()
            return frozenset(i for i in images if begins(cursor, picture_key(fingerprint, i)))

    def put(self, places: Sequence[Place], rows: Tensor) -> None:
        """Keep ``rows [n, t, d]``; numbers beyond half precision are left out."""
        rows = halved(rows).cpu()
        whole = rows.isfinite().flatten(1).all(1).tolist()
        parts = zip(places, rows, whole, strict=True)
        self._write([(place.key, packed(row)) for place, row, fits in parts if fits])

    @property
    def used(self) -> int:
        """Bytes that are taken, by estimate."""
        with self._env.begin(db=self._uses) as reading:
            return total(reading)

    def close(self) -> None:
        """Note what was read, and close the file."""
        self._write([])
        self._env.close()

    def _write(self, entries: Sequence[tuple[bytes, bytes]]) -> None:
        """Keep what fits; where the file has no page left, the stalest go, and then all."""
        touched, self._touched = self._touched, {}
        for _ in range(3):
            try:
                self._put(entries, touched)
                return
            except lmdb.MapFullError:
                self._make_room(self.limit)
        _LOG.warning("activations are not kept: there is no room in the file")

    def _put(self, entries: Sequence[tuple[bytes, bytes]], touched: dict[bytes, float]) -> None:
        self._make_room(sum(cost(value) for _, value in entries))
        with self._env.begin(write=True) as writing:
            more = 0
            for key, value in entries:
                if writing.put(key, value, db=self._rows, overwrite=False):
                    more += cost(value)
                    use = USE.pack(time.time(), cost(value))
                    writing.put(key, use, db=self._uses)
            for key, when in touched.items():
                known = writing.get(key, db=self._uses)
                if known is not None:
                    writing.put(key, USE.pack(when, USE.unpack(known)[1]), db=self._uses)
            note_total(writing, self._uses, more)

    def _make_room(self, more: int) -> None:
        """Where ``more`` bytes would fill the file: forget the stalest, in a change of its own."""
        with self._env.begin(db=self._uses) as reading:
            if total(reading) + more <= FULL * self.limit:
                return
            stale = list(stalest(reading, total(reading) + more - int(ROOM * self.limit)))
        with self._env.begin(write=True) as writing:
            for key, size in stale:
                if writing.delete(key, db=self._uses):
                    writing.delete(key, db=self._rows)
                    note_total(writing, self._uses, -size)


def begins(cursor: "lmdb.Cursor", start: bytes) -> bool:
    """Whether there is a key that begins so."""
    return bool(cursor.set_range(start)) and bytes(cursor.key())[: len(start)] == start


def packed(row: Tensor) -> bytes:
    """``[t, d]`` with its head; bfloat16, which numpy does not know, by its bits."""
    data = row.contiguous().view(torch.int16).numpy().tobytes()
    return HEAD.pack(zlib.crc32(data), KINDS.index(row.dtype), *row.shape) + data


def unpacked(value: memoryview) -> Tensor | None:
    """What ``packed`` made; None where it is damaged."""
    checksum, kind, tokens, width = HEAD.unpack(value[: HEAD.size])
    data = bytearray(value[HEAD.size :])
    if zlib.crc32(data) != checksum or len(data) != 2 * tokens * width:
        return None
    return torch.frombuffer(data, dtype=KINDS[kind]).view(tokens, width)


def cost(value: bytes) -> int:
    """Bytes that an entry takes: whole pages where it is large, half-full ones where it is not."""
    size = len(value) + 128
    return 2 * size if 2 * size <= PAGE else -(-size // PAGE) * PAGE + 256


def total(reading: "lmdb.Transaction") -> int:
    """What all entries cost."""
    found = reading.get(TOTAL)
    return int.from_bytes(found, "little") if found else 0


def note_total(writing: "lmdb.Transaction", uses: "lmdb._Database", more: int) -> None:
    """Add to what all entries cost."""
    if more:
        held = writing.get(TOTAL, db=uses)
        now = max(0, (int.from_bytes(held, "little") if held else 0) + more)
        writing.put(TOTAL, now.to_bytes(8, "little"), db=uses)


def stalest(reading: "lmdb.Transaction", wanted: int) -> Iterator[tuple[bytes, int]]:
    """Keys and costs of the entries used longest ago, until they cost ``wanted``."""
    found = [(*USE.unpack(use), key) for key, use in reading.cursor() if key != TOTAL]
    for _, size, key in sorted(found):
        if wanted <= 0:
            return
        wanted -= size
        yield key, size
