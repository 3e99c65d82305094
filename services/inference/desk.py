"""Where calls leave the event loop: admitted or refused, then in a thread, each with its ticket."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from services.inference.engine.admission import Admission, Load
from services.inference.engine.ticket import Ticket, carrying
from steerboard.api.interceptor import caller
from steerboard.spec.jobs import Lane

T = TypeVar("T")
V = TypeVar("V")
Later = tuple["Future[V]", Callable[[V], T]]


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
        soon: Callable[[Ticket], Later[Any, T] | None] = lambda _: None,
    ) -> T:
        """The result of ``call`` in a thread; where the caller leaves, its ticket is cancelled.

        The call waits in ``lane`` where the caller's token allows it, else in the one it allows.
        A thread costs more than many a small answer: where ``soon`` gives what is waited for, and
        what becomes of it, none is taken.

        Raises:
            Overloaded: Too much is in hand.
        """
        ticket = _ticket(seconds_left, lane)
        self.admission.enter(ticket.caller, load)
        leave = partial(self.admission.leave, ticket.caller, load)
        try:
            with carrying(ticket):
                later = soon(ticket)
        except BaseException:
            leave()
            raise
        if later is None:
            return await _while_wanted(ticket, self._threaded(call, ticket, leave))
        waiting, finish = later
        waiting.add_done_callback(lambda _: leave())
        return finish(await _while_wanted(ticket, asyncio.wrap_future(waiting)))

    def _threaded(
        self, call: Callable[[Ticket], T], ticket: Ticket, leave: Callable[[], None]
    ) -> "asyncio.Future[T]":
        def work() -> T:
            try:
                with carrying(ticket):
                    ticket.check()
                    return call(ticket)
            finally:
                leave()

        return asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        """Wait for the calls in hand."""
        self._pool.shutdown()


async def _while_wanted(ticket: Ticket, future: "asyncio.Future[T]") -> T:
    """What comes; where the caller leaves first, the ticket says so."""
    future.add_done_callback(_look_at)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        ticket.cancelled = True
        raise


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
