"""A Kernel whose rows wait in fair turns: a single thread computes what fits together at once.

An idle engine starts at once, and whatever arrives while it computes makes up the next batches, in
the order of ``scheduler``. To wait for more, once a batch is done, was measured to gain nothing.
A batch of the batch lane rests between its blocks for interactive ones (``interlude``). Where
memory does not suffice a batch is computed in halves, and the size is remembered (``fitting``). How
much may wait at all is decided before, in ``admission``.
"""

import threading
import time
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

from services.inference.engine.fitting import Fitting
from services.inference.engine.interlude import Interlude
from services.inference.engine.memory import Memory
from services.inference.engine.pace import BATCH_S, Pace
from services.inference.engine.scheduler import KNEE, Scheduler
from services.inference.engine.ticket import current
from services.inference.engine.work import (
    TEXTS_A_ROW,
    Arrays,
    Task,
    Work,
    dismiss,
    joined,
    wanted,
)
from steerboard.inprocess.between import Between
from steerboard.inprocess.kernel import Row, Sensed, unique_rows
from steerboard.inprocess.rows import joining
from steerboard.inprocess.served import ServedModel
from steerboard.spec.errors import Unavailable

__all__ = ["TEXTS_A_ROW", "BatchingKernel", "CountingKernel"]


class CountingKernel(Protocol):
    """A Kernel that lets others go first, and tells which pictures its cache knew."""

    @property
    def hits(self) -> Collection[str]:
        """Pictures that needed no full pass, of the call that ended last."""

    def full_batch(self, served: ServedModel) -> int:
        """Rows below which the device's cores are not used well."""

    def embed(
        self, served: ServedModel, rows: Sequence[Row], between: Between | None = None
    ) -> Tensor:
        """See ``Kernel``."""

    def read(
        self,
        served: ServedModel,
        rows: Sequence[Row],
        site: str,
        between: Between | None = None,
    ) -> Tensor:
        """See ``Kernel``."""

    def through(
        self,
        served: ServedModel,
        rows: Sequence[Row],
        site: str,
        between: Between | None = None,
    ) -> tuple[Tensor, Tensor]:
        """See ``Kernel``."""

    def texts(self, served: ServedModel, tokens: Tensor, between: Between | None = None) -> Tensor:
        """See ``Kernel``."""

    def sense(
        self,
        served: ServedModel,
        rows: Sequence[Row],
        sites: Sequence[str],
        readouts: Tensor,
        until: str = "",
        between: Between | None = None,
    ) -> dict[str, Sensed]:
        """See ``Kernel``."""


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
        self._scheduler: Scheduler[Task] = Scheduler(knee)
        self.pace = Pace(max_rows, knee, batch_s, memory)
        self._fitting = Fitting(inner, lambda: self.pace.memory, self.pace.memory_limit, make_room)
        self._full: dict[Hashable, int] = {}
        self._closed = False
        self._pauses = 0
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    def embed(self, served: ServedModel, rows: Sequence[Row]) -> Tensor:
        """See ``Kernel``."""
        unique, where = unique_rows(rows)
        (found,) = self._ask(self._embedding(served), joining(unique))
        return found[where]

    def embed_later(self, served: ServedModel, rows: Sequence[Row]) -> "Future[Arrays]":
        """``embed`` of a few clean rows, which take their turn from now on; nobody waits here."""
        work = self._embedding(served)
        self._full[work.key] = work.full
        return self._push(work, rows, torch.empty(len(rows), 0))

    def _embedding(self, served: ServedModel) -> Work:
        def compute(rows: list[Row], _: Tensor, between: Between | None) -> Arrays:
            return (self._inner.embed(served, rows, between),)

        full = self._inner.full_batch(served)
        return Work(("embed", served.info.fingerprint), compute, full=full)

    def read(self, served: ServedModel, rows: Sequence[Row], site: str) -> Tensor:
        """See ``Kernel``."""

        def compute(rows: list[Row], _: Tensor, between: Between | None) -> Arrays:
            return (self._inner.read(served, rows, site, between),)

        (found,) = self._ask(Work(("read", served.info.fingerprint, site), compute), rows)
        return found

    def through(self, served: ServedModel, rows: Sequence[Row], site: str) -> tuple[Tensor, Tensor]:
        """See ``Kernel``."""

        def compute(rows: list[Row], _: Tensor, between: Between | None) -> Arrays:
            return self._inner.through(served, rows, site, between)

        key, full = ("through", served.info.fingerprint, site), self._inner.full_batch(served)
        x, embeddings = self._ask(Work(key, compute, full=full), rows)
        return x, embeddings

    def texts(self, served: ServedModel, tokens: Tensor) -> Tensor:
        """See ``Kernel``."""

        def compute(rows: list[Tensor], _: Tensor, between: Between | None) -> Arrays:
            return (self._inner.texts(served, torch.stack(rows), between),)

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

        def compute(rows: list[Row], readouts: Tensor, between: Between | None) -> Arrays:
            found = self._inner.sense(served, rows, sites, readouts, until, between)
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
            parts.append(self._push(work, rows[turn], readouts[turn]).result())
            start = turn.stop
        return joined(parts)

    def _push(self, work: Work, rows: Sequence[Any], readouts: Tensor) -> "Future[Arrays]":
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
        return task.future

    def _work(self) -> None:
        while batch := self._next():
            self._run(batch, self._interlude(batch))

    def _next(self) -> list[Task]:
        """The batch whose turn it is; empty when closed and done."""
        with self._change:
            while True:
                self._change.wait_for(self._can_go_on)
                self._dismiss_unwanted()
                batch = self._scheduler.take(self._limit)
                if batch or self._closed:
                    return batch

    def _interlude(self, batch: list[Task]) -> Interlude | None:
        """Interactive rows may come between the blocks of a batch of the other lane."""
        if batch[0].lane == "interactive":
            return None
        return Interlude(
            rows=sum(task.cost for task in batch),
            waits=lambda: not self._pauses and self._scheduler.interactive,
            take=self._next_between,
            run=self._run,
        )

    def _next_between(self) -> list[Task]:
        """The interactive batch whose turn it is; empty where nobody wants any."""
        with self._change:
            self._dismiss_unwanted()
            return self._scheduler.take_between(self._limit)

    def _dismiss_unwanted(self) -> None:
        for task in self._scheduler.keep(wanted):
            dismiss(task)

    def _limit(self, key: Hashable) -> int:
        """Rows that a batch may have: as long as it should last, or what the cores need."""
        full = min(self._full.get(key, 1), self.pace.memory_limit(key))
        return max(self.pace.limit(key), full)

    def _can_go_on(self) -> bool:
        return self._closed or (not self._pauses and bool(self._scheduler))

    def _run(self, batch: list[Task], interlude: Interlude | None = None) -> None:
        """Answer every task; where a shared batch fails, each is tried alone."""
        try:
            self._compute(batch, interlude)
        except Exception as error:
            if len(batch) == 1:
                batch[0].future.set_exception(error)
                return
            for task in batch:
                self._run([task], interlude)

    def _compute(self, tasks: list[Task], interlude: Interlude | None) -> None:
        work, begun = tasks[0].work, time.monotonic()
        rows = [row for task in tasks for row in task.rows]
        readouts = torch.cat([task.readouts for task in tasks])
        before = interlude.spent_s if interlude else 0.0
        found, hits = self._fitting.run(work, rows, readouts, interlude)
        waited = interlude.spent_s - before if interlude else 0.0  # for those who came in between
        spent = time.monotonic() - begun - waited
        cost = work.cost(len(rows))
        self.pace.took(work.key, cost, spent)
        stop = 0
        for task in tasks:
            start, stop = stop, stop + len(task.rows)
            images = {row.image for row in task.rows if isinstance(row, Row)}
            task.ticket.served(begun - task.arrived + waited, spent, cost, images, hits)
            task.future.set_result(tuple(array[start:stop] for array in found))
