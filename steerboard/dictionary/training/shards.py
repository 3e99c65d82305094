"""Activations on disk: float16 rows in shuffled shards, memory-mapped, drawn in a known order.

Rows are shuffled twice: within a shard when it is written, and over ``MIXED`` shards at a time
when they are read. The order follows from seed and epoch alone, so a resumed run goes on with
the very batch at which the killed one stopped.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from steerboard.spec.errors import InvalidRequest, NotFound

SCHEMA = 1
ROWS = 65_536  # in a shard
MIXED = 8  # shards that are shuffled together
Rows = npt.NDArray[np.float16]


@dataclass
class Writer:
    """Collects rows ``[n, d]`` of one token type and writes them as shuffled shards."""

    folder: Path
    part: str
    seed: int
    rows: int = ROWS
    written: list[int] = field(default_factory=list)
    _waiting: list[Rows] = field(default_factory=list)

    def add(self, x: Tensor) -> None:
        """Take rows ``[n, d]``; raises InvalidRequest where half precision cannot hold them."""
        half: Rows = x.half().cpu().numpy()
        if not np.isfinite(half).all():
            raise InvalidRequest(
                f"activations reach {float(x.abs().max()):.3g}, beyond half precision, or are no"
                " numbers: choose an earlier site"
            )
        self._waiting.append(half)
        while sum(map(len, self._waiting)) >= self.rows:
            joined = np.concatenate(self._waiting)
            self._waiting = [joined[self.rows :]]
            self._write(joined[: self.rows])

    def close(self) -> None:
        """Write what is left."""
        rest = np.concatenate(self._waiting) if self._waiting else np.zeros((0, 1), np.float16)
        if len(rest):
            self._write(rest)
        self._waiting = []

    def _write(self, rows: Rows) -> None:
        order = np.random.default_rng([self.seed, len(self.written)]).permutation(len(rows))
        np.save(self.folder / f"{self.part}-{len(self.written):05d}.npy", rows[order])
        self.written.append(len(rows))


@dataclass(frozen=True)
class Store:
    """The shards of a folder, ``prefix`` and ``patches`` apart, and what they were taken from."""

    folder: Path
    record: dict[str, Any]

    @property
    def width(self) -> int:
        """Numbers a row, d."""
        return int(self.record["width"])

    def parts(self) -> list[str]:
        """The token types there."""
        return [part for part, shards in self.record["rows"].items() if shards]

    def count(self, part: str) -> int:
        """Rows of a token type."""
        return int(sum(self.record["rows"][part]))

    def shards(self, part: str) -> list[Rows]:
        """Memory-mapped ``[rows, d]`` each."""
        names = [f"{part}-{i:05d}.npy" for i in range(len(self.record["rows"][part]))]
        return [np.load(self.folder / name, mmap_mode="r") for name in names]

    def sample(self, part: str, count: int) -> Tensor:
        """Up to ``count`` rows ``[n, d]``, evenly from all shards; they lie shuffled there."""
        shards = self.shards(part)
        each = -(-count // len(shards))
        return torch.from_numpy(np.concatenate([s[:each] for s in shards])[:count]).float()

    def save(self) -> None:
        """Write the index, last of all: shards without one are not a store."""
        draft = self.folder / "index.tmp"
        draft.write_text(json.dumps({"schema": SCHEMA, **self.record}, indent=1))
        draft.replace(self.folder / "index.json")


def open_store(folder: Path) -> Store:
    """A finished store; raises NotFound or InvalidRequest."""
    path = folder / "index.json"
    if not path.is_file():
        raise NotFound(f"{path} is missing: no harvest was finished there")
    record = json.loads(path.read_text())
    if record.pop("schema", None) != SCHEMA:
        raise InvalidRequest(f"{path} is of another version: delete {folder} and harvest again")
    return Store(folder, record)


def draws(store: Store, part: str, size: int, seed: int, start: int) -> Iterator[Tensor]:
    """Endless batches ``[size, d]``, beginning with batch number ``start``; no row twice an epoch.

    A batch may join the end of one epoch and the beginning of the next.
    """
    shards = store.shards(part)
    epoch, skip = divmod(start * size, store.count(part))
    held: list[Rows] = []
    while True:
        for group in _groups(len(shards), seed, epoch):
            total = sum(len(shards[i]) for i in group)
            if skip >= total:
                skip -= total
                continue
            held.append(_mixed(shards, group, seed, epoch)[skip:])
            skip = 0
            while sum(map(len, held)) >= size:
                joined = held[0] if len(held) == 1 else np.concatenate(held)
                held = [joined[size:]]
                yield torch.from_numpy(joined[:size]).float()
        epoch += 1


def _groups(count: int, seed: int, epoch: int) -> Iterator[list[int]]:
    order = np.random.default_rng([seed, epoch]).permutation(count).tolist()
    return (order[i : i + MIXED] for i in range(0, count, MIXED))


def _mixed(shards: Sequence[Rows], group: Sequence[int], seed: int, epoch: int) -> Rows:
    rows = np.concatenate([shards[i] for i in group])
    order = np.random.default_rng([seed, epoch, *group]).permutation(len(rows))
    return np.asarray(rows[order])
