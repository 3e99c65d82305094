"""Several cores, each with rows of its own.

A layer that all cores share ends when the slowest is done, a hundred times a pass, and its
activations do not fit near any of them. Where a batch has rows enough each core takes a piece of it
through the whole tower alone instead: nobody waits for anybody, and a piece stays in the core's own
cache. On two cores a batch of sixteen pictures of a ViT-B/16 takes a fifth less time this way.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode, _pop_mode, _push_mode

from steerboard.inprocess.between import Between, Step, onward, step_of
from steerboard.inprocess.served import ServedModel

T = TypeVar("T")
# Tokens of a piece: with fewer the weights are read too often, with more a core's cache is small.
PIECE = 800
# From this ``rows * tokens * width**2`` on cores go their own ways: below, calling costs too much.
WORTH = 2**26
# Calling costs so many times less where a pass is one call (see ``traced``).
CALLED_ONCE = 4


@dataclass(frozen=True)
class Crew:
    """As many threads as torch may use here, each of which computes alone.

    Args:
        piece: Tokens that a core takes at once.
        worth: A batch's ``rows * tokens * width**2`` from which it is cut.
        shares: Whether cores take from one another. How rows are batched then depends on time, and
            with it the last bits of an answer, as in a service they do anyhow.
    """

    piece: int = PIECE
    worth: int = WORTH
    shares: bool = False

    def cut(self, costs: Sequence[float], served: ServedModel) -> list[int]:
        """How many of the rows, in order, make up each piece; ``costs`` are theirs in any unit."""
        cores, rows, tower = torch.get_num_threads(), len(costs), served.loaded.tower
        work = rows * tower.tokens * tower.width**2
        small = served.traced is not None and served.traced.takes()
        worth = self.worth // CALLED_ONCE if small else self.worth
        if served.placement.device.type != "cpu" or cores < 2 or rows < 2 or work < worth:
            return [rows]
        turns = max(1, round(rows * tower.tokens / (self.piece * cores)))
        done = np.cumsum(costs) / sum(costs)
        count = min(rows, turns * cores)
        ends = np.searchsorted(done, np.arange(1, count) / count - 1e-9, side="left") + 1
        sizes = np.diff([0, *ends, rows])
        return [int(size) for size in sizes if size]

    def full(self, served: ServedModel) -> int:
        """Rows with which every core has half a piece, which gains most of what there is."""
        if served.placement.device.type != "cpu":
            return 1
        tokens = served.loaded.tower.tokens
        return max(1, round(torch.get_num_threads() * self.piece / 2 / tokens))

    def map(
        self, call: Callable[[T, Step], Tensor], pieces: Sequence[T], between: Between | None = None
    ) -> list[Tensor]:
        """``call`` of each piece, each on one core; of one alone, here and on all of them.

        A call takes the step that it does before each block. Where others go first, in this thread,
        all pieces rest. Where nobody may, and cores share, the step is a ``Worker``.
        """
        if len(pieces) == 1:
            return [call(pieces[0], step_of(between))]
        if self.shares and between is None:
            return Gang(_as_watched(_own)).map([partial(call, piece) for piece in pieces])
        work, rest = _as_watched(call), None if between is None else Rest(between, len(pieces))
        pool = hands(torch.get_num_threads(), rest is not None)
        run = work if rest is None else rest.within(work)
        futures = [pool.submit(run, piece, onward) for piece in pieces]
        try:
            if rest is not None:
                rest.attend()
        finally:
            wait(futures)
        return [future.result() for future in futures]


Own = Callable[[Step], Tensor]


def _own(call: Own, step: Step) -> Tensor:
    return call(step)


@dataclass(eq=False)
class Part:
    """Rows that one core computes; of those it gave away the last come first."""

    future: "Future[Tensor]" = field(default_factory=Future)
    given: list["Part"] = field(default_factory=list)

    def end(self) -> None:
        """Wait until all of it is done, wherever."""
        wait([self.future])
        for part in self.given:
            part.end()

    def joined(self) -> Tensor:
        """Its rows in their order."""
        own = self.future.result()
        return torch.cat([own, *(part.joined() for part in reversed(self.given))])


class Gang:
    """The cores at work on the pieces of one batch, each of which may take from the others.

    Args:
        run: Computes a piece in another thread.
    """

    def __init__(self, run: Callable[[Own, Step], Tensor]) -> None:
        self._run = run
        self._cores = torch.get_num_threads()
        self._pool = hands(self._cores)
        self._left = 0
        self._lock = threading.Lock()

    def map(self, pieces: Sequence[Own]) -> list[Tensor]:
        """What each piece gives, with what of it others computed; raises what one raised."""
        self._left = len(pieces)
        parts = [self._begin(piece) for piece in pieces]
        for part in parts:
            part.end()
        return [part.joined() for part in parts]

    @property
    def idle(self) -> bool:
        """Whether a core has nothing left to do."""
        return self._left < self._cores

    def give(self, giver: Part, own: Own) -> bool:
        """Let an idle core compute the last rows of a part; False where there is none."""
        with self._lock:
            if not self.idle:
                return False
            self._left += 1
        giver.given.append(self._begin(own))
        return True

    def _begin(self, own: Own) -> Part:
        part = Part()
        part.future = self._pool.submit(self._work, own, part)
        return part

    def _work(self, own: Own, part: Part) -> Tensor:
        try:
            return self._run(own, Worker(self, part))
        finally:
            with self._lock:
                self._left -= 1


@dataclass(frozen=True, eq=False)
class Worker:
    """The step of a core that may be relieved of rows; resting is not its business."""

    gang: Gang
    part: Part

    def __call__(self) -> None:
        """Go on."""

    def give(self, own: Own) -> bool:
        """Whether an idle core has taken ``own``: the last rows that are in hand here."""
        return self.gang.idle and self.gang.give(self.part, own)


class Rest:
    """Where the pieces of one batch stand still while others go first.

    Args:
        between: Who goes first; called by ``attend``, when no piece is at work.
        pieces: How many there are.
    """

    def __init__(self, between: Between, pieces: int) -> None:
        self._between = between
        self._left = pieces
        self._at_work = 0
        self._called = False
        self._over = False
        self._change = threading.Condition()

    def within(self, call: Callable[[T, Step], Tensor]) -> Callable[[T, Step], Tensor]:
        """``call`` for a piece, which rests at its steps."""

        def run(piece: T, _: Step) -> Tensor:
            self._count(at_work=1, left=0)
            try:
                return call(piece, self._step)
            finally:
                self._count(at_work=-1, left=-1)

        return run

    def attend(self) -> None:
        """Until all pieces are done: whenever they rest, let the others go first."""
        while self._all_rest():
            try:
                self._between()
            except BaseException:
                self._over = True
                raise
            finally:
                with self._change:
                    self._called = False
                    self._change.notify_all()

    def _all_rest(self) -> bool:
        """Wait until no piece is at work; False where there are none left."""
        with self._change:
            self._change.wait_for(lambda: not self._left or (self._called and not self._at_work))
            return bool(self._left)

    def _step(self) -> None:
        """In a piece's thread: go on, or rest until who waits is through."""
        if self._over or not (self._called or self._between.asked()):
            return
        with self._change:
            self._called = True
            self._at_work -= 1
            self._change.notify_all()
            self._change.wait_for(lambda: not self._called)
            self._at_work += 1

    def _count(self, at_work: int, left: int) -> None:
        with self._change:
            self._at_work += at_work
            self._left += left
            self._change.notify_all()


def _as_watched(call: Callable[[T, Step], Tensor]) -> Callable[[T, Step], Tensor]:
    """``call`` for another thread, watched there by whatever watches this one's operators."""
    mode = _get_current_dispatch_mode()
    if mode is None:
        return call

    def watched(piece: T, step: Step) -> Tensor:
        _push_mode(mode)
        try:
            return call(piece, step)
        finally:
            _pop_mode()

    return watched


def _alone() -> None:
    """Let this thread use one core. A thread that has not yet looked would undo it at first use."""
    torch.get_num_threads()
    torch.set_num_threads(1)


@cache
def hands(count: int, resting: bool = False) -> ThreadPoolExecutor:
    """``count`` threads in which torch uses one core each.

    Work that may rest has threads of its own: those that others need meanwhile are never its.
    """
    pool = ThreadPoolExecutor(count, "core", initializer=_alone)
    together = threading.Barrier(count + 1)
    for _ in range(count):
        pool.submit(together.wait)
    together.wait()
    # What a thread sets for itself is also what threads born later begin with.
    torch.set_num_threads(count)
    return pool
