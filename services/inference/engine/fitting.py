"""Batches in pieces that memory holds: at once where it suffices, in halves where it does not."""

from collections.abc import Callable, Collection
from typing import Any, Protocol

import torch
from torch import Tensor

from services.inference.engine.memory import Memory
from services.inference.engine.work import Arrays, Work, joined
from steerboard.inprocess.between import Between


class Remembering(Protocol):
    """What tells which pictures its cache knew in the computation that ended last."""

    @property
    def hits(self) -> Collection[str]:
        """Pictures that needed no full pass."""


class Fitting:
    """Computes rows whatever their number.

    Args:
        inner: What is computed with.
        memory: What rows of a kind need, and what there is.
        limit: Rows of a kind that are known to fit now.
        make_room: Drops what is kept of pictures, where a batch does not fit.
    """

    def __init__(
        self,
        inner: Remembering,
        memory: Callable[[], Memory],
        limit: Callable[[Any], int],
        make_room: Callable[[], None],
    ) -> None:
        self._inner = inner
        self._memory = memory
        self._limit = limit
        self._make_room = make_room

    def run(
        self, work: Work, rows: list[Any], readouts: Tensor, between: Between | None
    ) -> tuple[Arrays, set[str]]:
        """All rows in pieces that memory is known to hold, and the pictures that were cached."""
        size = self._limit(work.key) * work.a_row
        parts, hits = [], set[str]()
        for start in range(0, len(rows), size):
            piece = slice(start, start + size)
            found, known = self._halving(work, rows[piece], readouts[piece], between)
            parts.append(found)
            hits |= known
        return joined(parts), hits

    def _halving(
        self, work: Work, rows: list[Any], readouts: Tensor, between: Between | None
    ) -> tuple[Arrays, set[str]]:
        """The rows at once, or in halves where memory does not suffice.

        A size is remembered only when it worked: one row that is too large by itself says nothing
        about the others.
        """
        if (found := self._attempt(work, rows, readouts, between)) is not None:
            return found
        self._make_room()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if len(rows) == 1:
            if (found := self._attempt(work, rows, readouts, between)) is not None:
                return found
            raise self._memory().refusal(work.key)
        half = (len(rows) + 1) // 2
        (one, here), (two, there) = (
            self._halving(work, rows[piece], readouts[piece], between)
            for piece in (slice(half), slice(half, None))
        )
        self._memory().only(work.key, work.cost(half))
        return joined([one, two]), here | there

    def _attempt(
        self, work: Work, rows: list[Any], readouts: Tensor, between: Between | None
    ) -> tuple[Arrays, set[str]] | None:
        """The rows at once, or None where memory does not suffice."""
        try:
            with self._memory().watching(work.key, work.cost(len(rows))):
                return work.compute(rows, readouts, between), set(self._inner.hits)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
        return None


def out_of_memory(error: BaseException) -> bool:
    """Whether a device or this machine had no memory left; torch on a CPU says it in words."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return "not enough memory" in str(error) or "can't allocate memory" in str(error)
