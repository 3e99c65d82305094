"""A Kernel whose rows wait in one queue: a single thread computes what fits together at once.

Work-conserving: an idle engine starts at once, and whatever arrives while it computes makes up the
next batch. Bounded: a queue that is full refuses with the time it needs to drain.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Any, Protocol

import torch
from torch import Tensor

from services.inference.engine.ticket import Ticket, current
from steerboard.inprocess.kernel import Kernel, Row, Sensed
from steerboard.inprocess.served import ServedModel
from steerboard.spec.errors import Overloaded, SteerboardError, Unavailable

# A bulk task older than this goes before interactive ones.
BULK_PATIENCE_S = 2.0
# Computes rows of several tasks: all rows, all read-outs; gives one slice of the answer a task.
Compute = Callable[[list[Row], list[Tensor]], "Slicer"]
Slicer = Callable[[slice], Any]


class CountingKernel(Kernel, Protocol):
    """A Kernel that counts how often its prefix cache helped."""

    prefix_hits: int


@dataclass(eq=False)
class Task:
    """Rows of one caller; tasks of equal ``key`` may share a batch."""

    key: Hashable
    rows: Sequence[Row]
    compute: Compute
    readouts: Tensor | None
    ticket: Ticket
    future: "Future[Any]" = field(default_factory=Future)
    arrived: float = field(default_factory=time.monotonic)


class BatchingKernel:
    """Merges rows of concurrent callers in front of ``inner``.

    Args:
        inner: What computes; called from one thread only.
        max_rows: Rows a batch at most; more only where one picture alone has more.
        max_queued: Rows that may wait; more are refused with Overloaded.
    """

    def __init__(self, inner: CountingKernel, max_rows: int = 128, max_queued: int = 2048) -> None:
        self._inner = inner
        self._max_rows = max_rows
        self._max_queued = max_queued
        self._tasks: deque[Task] = deque()
        self._queued_rows = 0
        self._rows_per_s = 50.0
        self._closed = False
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    def embed(self, served: ServedModel, rows: Sequence[Row]) -> Tensor:
        """See ``Kernel``."""

        def compute(rows: list[Row], _: list[Tensor]) -> Slicer:
            return self._inner.embed(served, rows).__getitem__

        key = ("embed", served.info.fingerprint)
        return torch.cat([self._submit(key, rows[s], compute) for s in self._chunks(rows)])

    def read(self, served: ServedModel, rows: Sequence[Row], site: str) -> Tensor:
        """See ``Kernel``."""

        def compute(rows: list[Row], _: list[Tensor]) -> Slicer:
            return self._inner.read(served, rows, site).__getitem__

        key = ("read", served.info.fingerprint, site)
        return torch.cat([self._submit(key, rows[s], compute) for s in self._chunks(rows)])

    def sense(
        self, served: ServedModel, rows: Sequence[Row], sites: Sequence[str], readouts: Tensor
    ) -> dict[str, Sensed]:
        """See ``Kernel``."""

        def compute(rows: list[Row], readouts: list[Tensor]) -> Slicer:
            found = self._inner.sense(served, rows, sites, torch.cat(readouts))
            return lambda part: {s: Sensed(v.x[part], v.gradient[part]) for s, v in found.items()}

        key = ("sense", served.info.fingerprint, tuple(sites))
        chunks = self._chunks(rows)
        parts = [self._submit(key, rows[s], compute, readouts[s]) for s in chunks]
        return {site: _joined([part[site] for part in parts]) for site in sites}

    def close(self) -> None:
        """Refuse new work, finish what waits, end the thread."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        self._thread.join()

    def _chunks(self, rows: Sequence[Row]) -> list[slice]:
        """Turns of at most ``max_rows`` rows; the rows of one picture stay together.

        So one large question lets others in between, and a clean row shares the batch of the
        steered rows that it is compared with.
        """
        starts = [0]
        for group in _pictures(rows):
            if group.stop - starts[-1] > self._max_rows and group.start > starts[-1]:
                starts.append(group.start)
        return [slice(a, b) for a, b in pairwise([*starts, len(rows)])]

    def _submit(
        self, key: Hashable, rows: Sequence[Row], compute: Compute, readouts: Tensor | None = None
    ) -> Any:
        task = Task(key, rows, compute, readouts, current())
        with self._change:
            self._admit(len(rows))
            self._tasks.append(task)
            self._queued_rows += len(rows)
            self._change.notify()
        return task.future.result()

    def _admit(self, rows: int) -> None:
        if self._closed:
            raise Unavailable("the service is stopping: try again later", retry_after_s=5.0)
        if self._tasks and self._queued_rows + rows > self._max_queued:
            wait = max(0.1, self._queued_rows / self._rows_per_s)
            text = f"{self._queued_rows} rows are waiting: try again in {wait:.1f} s"
            raise Overloaded(text, retry_after_s=wait, details={"limit": str(self._max_queued)})

    def _work(self) -> None:
        while batch := self._next():
            self._run(batch)

    def _next(self) -> list[Task]:
        """The oldest task and all that fit beside it; empty when closed and done."""
        with self._change:
            self._change.wait_for(lambda: self._tasks or self._closed)
            if not self._tasks:
                return []
            first = self._first()
            self._tasks.remove(first)
            batch, total = [first], len(first.rows)
            for task in list(self._tasks):
                if task.key == first.key and total + len(task.rows) <= self._max_rows:
                    self._tasks.remove(task)
                    batch.append(task)
                    total += len(task.rows)
            self._queued_rows -= total
            return batch

    def _first(self) -> Task:
        """The oldest interactive task; a bulk one where there is none, or where it waited long."""
        oldest = self._tasks[0]
        if time.monotonic() - oldest.arrived > BULK_PATIENCE_S:
            return oldest
        return next((t for t in self._tasks if t.ticket.lane == "interactive"), oldest)

    def _run(self, batch: list[Task]) -> None:
        """Answer every task; where a shared batch fails, each is tried alone."""
        alive = [task for task in batch if _wanted(task)]
        if not alive:
            return
        try:
            self._compute(alive)
        except Exception as error:
            if len(alive) == 1:
                alive[0].future.set_exception(error)
                return
            for task in alive:
                self._run([task])

    def _compute(self, tasks: list[Task]) -> None:
        begun, known = time.monotonic(), self._inner.prefix_hits
        rows = [row for task in tasks for row in task.rows]
        readouts = [task.readouts for task in tasks if task.readouts is not None]
        part = tasks[0].compute(rows, readouts)
        spent, hits = time.monotonic() - begun, self._inner.prefix_hits - known
        self._rows_per_s += 0.2 * (len(rows) / max(spent, 1e-6) - self._rows_per_s)
        answers = [part(span) for span in _spans(tasks)]
        for task, answer in zip(tasks, answers, strict=True):
            # In a shared batch hits are not told apart: no caller has more than its pictures.
            own = min(hits, len({row.image for row in task.rows}))
            task.ticket.served(begun - task.arrived, spent, len(rows), own)
            task.future.set_result(answer)


def _wanted(task: Task) -> bool:
    try:
        task.ticket.check()
    except SteerboardError as error:
        task.future.set_exception(error)
        return False
    return True


def _pictures(rows: Sequence[Row]) -> Iterator[slice]:
    """Neighbouring rows of the same picture."""
    start = 0
    for _, group in groupby(rows, lambda row: row.image):
        stop = start + sum(1 for _ in group)
        yield slice(start, stop)
        start = stop


def _joined(parts: Sequence[Sensed]) -> Sensed:
    return Sensed(torch.cat([p.x for p in parts]), torch.cat([p.gradient for p in parts]))


def _spans(tasks: Sequence[Task]) -> list[slice]:
    """Which rows of the batch belong to each task."""
    spans, start = [], 0
    for task in tasks:
        spans.append(slice(start, start + len(task.rows)))
        start += len(task.rows)
    return spans
