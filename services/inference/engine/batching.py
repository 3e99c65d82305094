"""A Kernel whose rows wait in fair turns: a single thread computes what fits together at once.

An idle engine starts at once, and whatever arrives while it computes makes up the next batches, in
the order of ``scheduler``. To wait for more, once a batch is done, was measured to gain nothing.
Where memory does not suffice a batch is computed in halves, and the size is remembered. How much
may wait at all is decided before, in ``admission``.
"""

import math
import threading
import time
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from services.inference.engine.memory import Memory
from services.inference.engine.pace import BATCH_S, Pace
from services.inference.engine.scheduler import KNEE, Scheduler, Turn
from services.inference.engine.ticket import Ticket, current
from steerboard.inprocess.kernel import Kernel, Row, Sensed, unique_rows
from steerboard.inprocess.served import ServedModel
from steerboard.spec.errors import SteerboardError, Unavailable

# Arrays with one entry a row.
Arrays = tuple[Tensor, ...]
Compute = Callable[[list[Any], Tensor], Arrays]
# Texts are short beside pictures: so many cost what one picture does.
TEXTS_A_ROW = 16


class CountingKernel(Kernel, Protocol):
    """A Kernel that tells which pictures its cache knew in the last computation."""

    @property
    def hits(self) -> Collection[str]:
        """Pictures of the last call that needed no full pass."""

    def full_batch(self, served: ServedModel) -> int:
        """Rows below which the device's cores are not used well."""


@dataclass(frozen=True)
class Work:
    """One kind of work: ``a_row`` items of it cost as much as one picture.

    Below ``full`` rows the device's cores are not used well, however long a batch takes.
    """

    key: Hashable
    compute: Compute
    a_row: int = 1
    full: int = 1

    def cost(self, items: int) -> int:
        """In rows."""
        return math.ceil(items / self.a_row)


@dataclass(eq=False, kw_only=True)
class Task(Turn):
    """Rows of one caller; tasks of equal ``key`` may share a batch. ``readouts`` may be empty."""

    work: Work
    rows: Sequence[Any]
    readouts: Tensor
    ticket: Ticket
    future: "Future[Arrays]" = field(default_factory=Future)
    arrived: float = field(default_factory=time.monotonic)


class BatchingKernel:
    """Merges rows of concurrent callers in front of ``inner``.

    Args:
        inner: What computes; called from one thread only.
        max_rows: Rows a batch at most.
        knee: Rows from which the device gains nothing by more.
        batch_s: Seconds that a batch should last.
        memory: What batches need and what there is.
        make_room: Drops what is kept of pictures, where a batch does not fit.
    """

    def __init__(
        self,
        inner: CountingKernel,
        max_rows: int = 128,
        knee: int = KNEE,
        batch_s: float = BATCH_S,
        memory: Memory | None = None,
        make_room: Callable[[], None] = lambda: None,
    ) -> None:
        self._inner = inner
        self._make_room = make_room
        self._knee = knee
        self._scheduler: Scheduler[Task] = Scheduler(knee)
        self.pace = Pace(max_rows, knee, batch_s, memory)
        self._full: dict[Hashable, int] = {}
        self._closed = False
        self._pauses = 0
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    def embed(self, served: ServedModel, rows: Sequence[Row]) -> Tensor:
        """See ``Kernel``."""

        def compute(rows: list[Row], _: Tensor) -> Arrays:
            return (self._inner.embed(served, rows),)

        unique, where = unique_rows(rows)
        work = Work(
            ("embed", served.info.fingerprint), compute, full=self._inner.full_batch(served)
        )
        (found,) = self._ask(work, unique)
        return found[where]

    def read(self, served: ServedModel, rows: Sequence[Row], site: str) -> Tensor:
        """See ``Kernel``."""

        def compute(rows: list[Row], _: Tensor) -> Arrays:
            return (self._inner.read(served, rows, site),)

        (found,) = self._ask(Work(("read", served.info.fingerprint, site), compute), rows)
        return found

    def texts(self, served: ServedModel, tokens: Tensor) -> Tensor:
        """See ``Kernel``."""

        def compute(rows: list[Tensor], _: Tensor) -> Arrays:
            return (self._inner.texts(served, torch.stack(rows)),)

        work = Work(("texts", served.info.fingerprint), compute, TEXTS_A_ROW)
        (found,) = self._ask(work, list(tokens))
        return found

    def sense(
        self,
        served: ServedModel,
        rows: Sequence[Row],
        sites: Sequence[str],
        readouts: Tensor,
        until: str = "",
    ) -> dict[str, Sensed]:
        """See ``Kernel``."""

        def compute(rows: list[Row], readouts: Tensor) -> Arrays:
            found = self._inner.sense(served, rows, sites, readouts, until)
            return tuple(t for site in sites for t in (found[site].x, found[site].gradient))

        key = ("sense", served.info.fingerprint, tuple(sites), until)
        found = self._ask(Work(key, compute), rows, readouts)
        pairs = zip(found[::2], found[1::2], strict=True)
        return {site: Sensed(*pair) for site, pair in zip(sites, pairs, strict=True)}

    @property
    def waiting(self) -> int:
        """Tasks in the queue."""
        with self._change:
            return len(self._scheduler)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Within: nothing more is taken out of the queue."""
        with self._change:
            self._pauses += 1
        try:
            yield
        finally:
            with self._change:
                self._pauses -= 1
                self._change.notify_all()

    def close(self) -> None:
        """Refuse new work, finish what waits, end the thread."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        self._thread.join()

    def _ask(self, work: Work, rows: Sequence[Any], readouts: Tensor | None = None) -> Arrays:
        """Let the rows wait in turns, one after the other, and join what comes out.

        So one large question lets others in between.
        """
        readouts = torch.empty(len(rows), 0) if readouts is None else readouts
        self._full[work.key] = work.full
        parts, start = [], 0
        while start < len(rows):
            turn = slice(start, start + self._limit(work.key) * work.a_row)
            parts.append(self._submit(work, rows[turn], readouts[turn]))
            start = turn.stop
        return joined(parts)

    def _submit(self, work: Work, rows: Sequence[Any], readouts: Tensor) -> Arrays:
        ticket = current()
        task = Task(
            key=work.key,
            work=work,
            cost=work.cost(len(rows)),
            caller=ticket.caller,
            weight=ticket.weight,
            lane=ticket.lane,
            rows=rows,
            readouts=readouts,
            ticket=ticket,
        )
        ticket.check()
        self.pace.memory.check(work.key)
        with self._change:
            if self._closed:
                raise Unavailable("the service is stopping: try again later", retry_after_s=5.0)
            self._scheduler.push(task)
            self._change.notify_all()
        return task.future.result()

    def _work(self) -> None:
        while batch := self._next():
            self._run(batch)

    def _next(self) -> list[Task]:
        """The batch whose turn it is; empty when closed and done."""
        with self._change:
            while True:
                self._change.wait_for(self._can_go_on)
                for task in self._scheduler.keep(_wanted):
                    _dismiss(task)
                batch = self._scheduler.take(self._limit)
                if batch or self._closed:
                    return batch

    def _limit(self, key: Hashable) -> int:
        """Rows that a batch may have: as long as it should last, or what the cores need."""
        full = min(self._full.get(key, 1), self.pace.memory_limit(key))
        return max(self.pace.limit(key), full)

    def _can_go_on(self) -> bool:
        return self._closed or (not self._pauses and bool(self._scheduler))

    def _run(self, batch: list[Task]) -> None:
        """Answer every task; where a shared batch fails, each is tried alone."""
        try:
            self._compute(batch)
        except Exception as error:
            if len(batch) == 1:
                batch[0].future.set_exception(error)
                return
            for task in batch:
                self._run([task])

    def _compute(self, tasks: list[Task]) -> None:
        work, begun = tasks[0].work, time.monotonic()
        rows = [row for task in tasks for row in task.rows]
        readouts = torch.cat([task.readouts for task in tasks])
        found, hits = self._fitting(work, rows, readouts)
        spent = time.monotonic() - begun
        cost = work.cost(len(rows))
        self.pace.took(work.key, cost, spent)
        stop = 0
        for task in tasks:
            start, stop = stop, stop + len(task.rows)
            images = {row.image for row in task.rows if isinstance(row, Row)}
            task.ticket.served(begun - task.arrived, spent, cost, images, hits)
            task.future.set_result(tuple(array[start:stop] for array in found))

    def _fitting(self, work: Work, rows: list[Any], readouts: Tensor) -> tuple[Arrays, set[str]]:
        """All rows in pieces that memory is known to hold, and the pictures that were cached."""
        size = self.pace.memory_limit(work.key) * work.a_row
        parts, hits = [], set[str]()
        for start in range(0, len(rows), size):
            piece = slice(start, start + size)
            found, known = self._halving(work, rows[piece], readouts[piece])
            parts.append(found)
            hits |= known
        return joined(parts), hits

    def _halving(self, work: Work, rows: list[Any], readouts: Tensor) -> tuple[Arrays, set[str]]:
        """The rows at once, or in halves where memory does not suffice.

        A size is remembered only when it worked: one row that is too large by itself says nothing
        about the others.
        """
        if (found := self._attempt(work, rows, readouts)) is not None:
            return found
        self._make_room()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if len(rows) == 1:
            if (found := self._attempt(work, rows, readouts)) is not None:
                return found
            raise self.pace.memory.refusal(work.key)
        half = (len(rows) + 1) // 2
        (one, here), (two, there) = (
            self._halving(work, rows[piece], readouts[piece])
            for piece in (slice(half), slice(half, None))
        )
        self.pace.memory.only(work.key, work.cost(half))
        return joined([one, two]), here | there

    def _attempt(
        self, work: Work, rows: list[Any], readouts: Tensor
    ) -> tuple[Arrays, set[str]] | None:
        """The rows at once, or None where memory does not suffice."""
        try:
            with self.pace.memory.watching(work.key, work.cost(len(rows))):
                return work.compute(rows, readouts), set(self._inner.hits)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
        return None


def joined(parts: Sequence[Arrays]) -> Arrays:
    """The arrays of several pieces, one behind the other."""
    if len(parts) == 1:
        return parts[0]
    return tuple(torch.cat(arrays) for arrays in zip(*parts, strict=True))


def out_of_memory(error: BaseException) -> bool:
    """Whether a device or this machine had no memory left; torch on a CPU says it in words."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return "not enough memory" in str(error) or "can't allocate memory" in str(error)


def _wanted(task: Task) -> bool:
    try:
        task.ticket.check()
    except SteerboardError:
        return False
    return True


def _dismiss(task: Task) -> None:
    """Tell a task that nobody waits for why it was not computed."""
    try:
        task.ticket.check()
    except SteerboardError as error:
        task.future.set_exception(error)
