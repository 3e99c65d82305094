"""Where calls leave the event loop: admitted or refused, then in a thread, each with its ticket."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from services.inference.engine.admission import Admission, Load
from services.inference.engine.ticket import Ticket, carrying
from steerboard.api.interceptor import caller
from steerboard.spec.jobs import Lane

T = TypeVar("T")


class Desk:
    """Runs blocking calls in threads, as many as ``admission`` takes; more are refused at once."""

    def __init__(self, admission: Admission | None = None) -> None:
        self.admission = admission or Admission()
        self._pool = ThreadPoolExecutor(self.admission.limits.calls, "call")

    async def run(
        self,
        call: Callable[[Ticket], T],
        load: Load,
        seconds_left: float | None,
        lane: Lane = "interactive",
    ) -> T:
        """The result of ``call`` in a thread; where the caller leaves, its ticket is cancelled.

        The call waits in ``lane`` where the caller's token allows it, else in the one it allows.

        Raises:
            Overloaded: Too much is in hand.
        """
        ticket = _ticket(seconds_left, lane)
        self.admission.enter(ticket.caller, load)

        def work() -> T:
            try:
                with carrying(ticket):
                    ticket.check()
                    return call(ticket)
            finally:
                self.admission.leave(ticket.caller, load)

        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        future.add_done_callback(_look_at)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            ticket.cancelled = True
            raise

    def close(self) -> None:
        """Wait for the calls in hand."""
        self._pool.shutdown()


def _look_at(future: "asyncio.Future[T]") -> None:
    """The caller may be gone: then nobody else would look at the error."""
    if not future.cancelled():
        future.exception()


def _ticket(seconds_left: float | None, lane: Lane) -> Ticket:
    """Who calls, as the token says; the lane is the token's, not one that is asked for."""
    who = caller()
    return Ticket(
        deadline=None if seconds_left is None else time.monotonic() + seconds_left,
        lane=lane if lane in who.lanes else (who.lanes[0] if who.lanes else "bulk"),
        caller=who.caller,
        weight=who.weight,
        tenant=who.tenant,
    )
