"""What a call carries down to the queue, and what the queue tells it: who, deadline, timing."""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TypeVar

from steerboard.spec.answers import Answer
from steerboard.spec.errors import Cancelled, DeadlineExceeded
from steerboard.spec.jobs import Lane

T = TypeVar("T")


@dataclass(eq=False)
class Ticket:
    """One call in the engine; ``deadline`` is a moment of ``time.monotonic``.

    ``caller`` shares the machine with other callers by ``weight``; ``tenant`` is whose pictures
    it sees. A call may pass the queue several times: ``queued_ms`` and ``computed_ms`` add up,
    ``batch_rows`` is the largest batch, ``found`` says of each picture whether the cache helped
    when it was first asked for.
    """

    deadline: float | None = None
    lane: Lane = "interactive"
    cancelled: bool = False
    caller: str = ""
    weight: float = 1.0
    tenant: str = ""
    queued_ms: float = field(default=0.0, init=False)
    computed_ms: float = field(default=0.0, init=False)
    batch_rows: int = field(default=0, init=False)
    found: dict[str, bool] = field(default_factory=dict, init=False)

    @property
    def prefix_hits(self) -> int:
        """Pictures whose prefix was in the cache when they were first asked for."""
        return sum(self.found.values())

    def check(self) -> None:
        """Raise where nobody waits for the answer any more."""
        if self.cancelled:
            raise Cancelled("the caller took the question back")
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise DeadlineExceeded("the time for this call ran out while it waited: ask again")

    def served(
        self,
        queued_s: float,
        computed_s: float,
        rows: int,
        images: Collection[str] = (),
        hits: Collection[str] = (),
    ) -> None:
        """Add one pass through the queue, of these ``images``, ``hits`` among them cached."""
        self.queued_ms += queued_s * 1e3
        self.computed_ms += computed_s * 1e3
        self.batch_rows = max(self.batch_rows, rows)
        for image in images:
            self.found.setdefault(image, image in hits)

    def stamp(self, answer: Answer[T]) -> Answer[T]:
        """The answer with the engine's view of its timing, where it passed through the queue."""
        if not self.batch_rows:
            return answer
        timing = replace(
            answer.timing,
            queued_ms=self.queued_ms,
            computed_ms=self.computed_ms,
            batch_rows=self.batch_rows,
            prefix_hits=self.prefix_hits,
        )
        return replace(answer, timing=timing)


_TICKET: ContextVar[Ticket | None] = ContextVar("ticket", default=None)


def current() -> Ticket:
    """The ticket of the call in hand; a fresh one outside of calls."""
    return _TICKET.get() or Ticket()


@contextmanager
def carrying(ticket: Ticket) -> Iterator[None]:
    """Within: ``current()`` is ``ticket``, in this thread."""
    token = _TICKET.set(ticket)
    try:
        yield
    finally:
        _TICKET.reset(token)
