"""What a worker does with one message: its chunk, and those whose turn comes next.

While inference is at a chunk, another thread writes down the result of the one before and takes the
next one from the queue, so that a hand's quick questions follow each other without a pause:

    main   ask 1 | ask 2               | ask 3               | ...
    clerk        | store 1, take 3     | store 2, take 4     | ...

One is taken ahead only while the hand is at a job whose chunks are quick: nobody's waits behind a
slow one.
"""

import time
from concurrent.futures import Future

from services.attribution.dispatch import Dispatcher
from services.attribution.hands import Hands, Progress, insist
from services.attribution.members import Turn
from steerboard.spec.jobs import Lane

AT_IT_S = 1.5  # after which a message takes up no further chunk
LAST_STEP_S = 2.0  # after which it begins no further step of the chunk at hand
QUICK_S = 0.1
LEAVE_S = 0.003  # two threads share an interpreter: the question leaves before the clerk begins


class Shift:
    """The work of one message.

    Args:
        hands: To work with.
        dispatcher: Who knows what is next.
        message: Id of it.
        lane: By which it came.
    """

    def __init__(self, hands: Hands, dispatcher: Dispatcher, message: str, lane: Lane) -> None:
        self._hands, self._dispatcher = hands, dispatcher
        self._message, self._lane = message, lane
        self._began = time.monotonic()
        self._noted: Future[Turn | None] | None = None

    def work(self, member: tuple[str, int]) -> None:
        """A chunk, and further ones while there is time for another one.

        Where the message was delivered before and its worker died, it may have been at others.
        """
        records = self._hands.records
        for lost in records.at(self._message):
            if lost != member:
                self._hands.chunk(*lost, self._message)
        begun = insist(lambda: records.start(*member, self._message))
        try:
            self._go_on(Turn(member, begun))
        finally:
            if self._noted is not None and (left := self._noted.result()) is not None:
                self._dispatcher.give_back(left)
        if self._past(AT_IT_S):
            self._dispatcher.hand_out()

    def _go_on(self, first: Turn) -> None:
        turn: Turn | None = first
        found: Progress | None = None  # of the turn before, where this one was taken ahead
        ahead, quick = False, ""  # the job of which a chunk was quick
        while turn is not None:
            more = turn.member[0] == quick and not self._past(AT_IT_S)
            if ahead or more:
                self._noted = self._hands.clerk.submit(self._meanwhile, found, turn.member, more)
            began = time.monotonic()
            found = self._computed(turn)
            quick = turn.member[0] if time.monotonic() - began < QUICK_S else ""
            turn = self._taken()
            ahead = turn is not None
            if not ahead:  # there is nothing to be at meanwhile
                turn, found = self._note(found, None, not self._past(AT_IT_S)), None

    def _computed(self, turn: Turn) -> Progress | None:
        if turn.begun is None:
            return None
        return self._hands.computed(*turn.member, turn.begun, self._began + LAST_STEP_S)

    def _taken(self) -> Turn | None:
        """What the clerk has taken."""
        if self._noted is None:
            return None
        turn, self._noted = self._noted.result(), None
        return turn

    def _meanwhile(self, found: Progress | None, at: tuple[str, int], more: bool) -> Turn | None:
        """The clerk's part, while the hand is ``at`` a chunk."""
        time.sleep(LEAVE_S)
        return self._note(found, at, more)

    def _note(self, found: Progress | None, at: tuple[str, int] | None, more: bool) -> Turn | None:
        """Store and count what was found; take the next chunk if ``more`` are wanted."""
        done = found.member if found is not None and self._hands.stored(found) else None
        return insist(lambda: self._dispatcher.further(self._lane, self._message, done, at, more))

    def _past(self, seconds: float) -> bool:
        return time.monotonic() >= self._began + seconds
