"""Who hands chunks to Celery: whoever has just changed something, and a clock for the rest."""

import logging
import time

from celery import Celery

from services.attribution.celery_app import LANES, send_chunk
from services.attribution.members import Turn
from services.attribution.records import Records
from services.attribution.sweeping import Sweeper
from steerboard.spec.errors import SteerboardError, Unavailable
from steerboard.spec.jobs import Lane

TICK_S, MEND_S = 0.5, 10.0
_LOG = logging.getLogger(__name__)


class Dispatcher:
    """Keeps a few chunks of each lane in Celery's queue, in fair turns; the rest wait outside."""

    def __init__(self, records: Records, app: Celery) -> None:
        self._records, self._app = records, app

    def hand_out(self) -> None:
        """Send all chunks whose turn has come; raises Unavailable."""
        for lane in LANES:
            self._send(lane, self._records.release(lane))

    def further(
        self,
        lane: Lane,
        message: str,
        done: tuple[str, int] | None,
        at: tuple[str, int] | None = None,
        more: bool = True,
    ) -> Turn | None:
        """For who has a hand free: see ``Records.further``; the chunks of others are sent.

        Who has that does not look at the other lane: somebody else does, twice a second at least.
        Raises Unavailable.
        """
        turns = self._records.further(lane, message, done, at, more)
        try:
            self._send(lane, turns.others)
        except BaseException:
            if turns.own is not None:
                self.give_back(turns.own)
            raise
        return turns.own

    def give_back(self, turn: Turn) -> None:
        """A chunk that was begun and not worked at; raises Unavailable."""
        if turn.begun is not None:
            self._records.defer(*turn.member, "more")

    def _send(self, lane: Lane, members: list[tuple[str, int]]) -> None:
        """What could not be sent goes back, or where Redis is away is found by ``recover``."""
        unsent = list(members)
        try:
            while unsent:
                send_chunk(self._app, lane, *unsent[0])
                unsent.pop(0)
        except BaseException:  # of the time limit too, which may strike anywhere
            for job, chunk in unsent:
                self._records.defer(job, chunk, "unsent")
            raise

    def recover(self) -> None:
        """Send again what Celery has lost, and put back what is nowhere; raises Unavailable."""
        for lane in LANES if self._records.alive() else ():
            for job, chunk in self._records.stale(lane):
                _LOG.warning("chunk %d of job %s was lost: it is sent again", chunk, job)
                send_chunk(self._app, lane, job, chunk)
        if mended := self._records.mend():
            _LOG.warning("%d chunks were nowhere: they are put back", mended)


class Reconciler:
    """The clock of the door: hands out, recovers, and gives up where no worker comes.

    Args:
        records: The jobs.
        dispatcher: Sends chunks.
        patience_s: Seconds without any worker after which waiting jobs fail.
        sweeper: Deletes what nobody can ask for any more.
    """

    def __init__(
        self,
        records: Records,
        dispatcher: Dispatcher,
        patience_s: float,
        sweeper: Sweeper | None = None,
    ) -> None:
        self._records, self._dispatcher, self._sweeper = records, dispatcher, sweeper
        self._patience_s = patience_s
        self._mended = self._seen = time.monotonic()

    def tick(self) -> None:
        """Once; a Redis that is away is waited out, and judges nobody."""
        try:
            self._dispatcher.hand_out()
            now = time.monotonic()
            if now - self._mended > MEND_S:
                self._mended = now
                self._dispatcher.recover()
            if self._records.alive():
                self._seen = now
            elif now - self._seen > self._patience_s:
                self.give_up()
            if self._sweeper is not None:
                self._sweeper.tick()
        except SteerboardError as error:
            self._seen = time.monotonic()
            _LOG.warning("%s", error.message)

    def give_up(self) -> None:
        """No worker has come: say so to everybody who waits."""
        for job in self._records.waiting():
            self._records.end(job, "failed", no_worker(self._patience_s))


def no_worker(seconds: float) -> Unavailable:
    """What those hear whose job nobody took."""
    return Unavailable(
        f"no worker has taken anything from the queue for {seconds:.0f} s: start one"
        " (`steerboard serve worker`) and ask again",
        retry_after_s=5.0,
    )
