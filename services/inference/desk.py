"""Where calls leave the event loop: a bounded pool of threads, each call with its ticket."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from services.inference.engine.ticket import Ticket, carrying
from steerboard.api.interceptor import caller
from steerboard.spec.errors import Overloaded
from steerboard.spec.jobs import Lane

T = TypeVar("T")


class Desk:
    """Runs blocking calls in threads; ``limit`` calls at a time, more are refused at once."""

    def __init__(self, limit: int = 64) -> None:
        self._limit = limit
        self._busy = 0
        self._pool = ThreadPoolExecutor(limit, "call")

    async def run(self, call: Callable[[Ticket], T], seconds_left: float | None) -> T:
        """The result of ``call`` in a thread; where the caller leaves, its ticket is cancelled."""
        if self._busy >= self._limit:
            raise Overloaded(f"{self._busy} calls are in hand: try again in 1 s", retry_after_s=1.0)
        deadline = None if seconds_left is None else time.monotonic() + seconds_left
        ticket = Ticket(deadline, _lane())

        def work() -> T:
            with carrying(ticket):
                return call(ticket)

        self._busy += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        future.add_done_callback(self._leave)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            ticket.cancelled = True
            raise

    def _leave(self, future: "asyncio.Future[T]") -> None:
        self._busy -= 1
        if not future.cancelled():
            future.exception()  # Looked at here: the caller may be gone, and nobody else would.

    def close(self) -> None:
        """Wait for the calls in hand."""
        self._pool.shutdown()


def _lane() -> Lane:
    """The lane that the caller's token gives, not one that it asks for."""
    return "interactive" if "interactive" in caller().lanes else "bulk"
