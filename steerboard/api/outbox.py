"""The questions of a stream on their way out: new ones while few are open, repeats first."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from steerboard.api.sent_images import Question, SentImages

WINDOW = 32


@dataclass(frozen=True)
class Open:
    """A question that has no answer yet; ``known`` are the pictures sent as digests."""

    question: Question
    known: set[str]


class Outbox:
    """Hands questions to the thread that sends them, and keeps them until they are answered.

    Args:
        questions: Taken one by one, no faster than answers come.
        sent: Which pictures the server has.
        window: Questions that may be open at once.
    """

    def __init__(
        self, questions: Iterable[Question], sent: SentImages, window: int = WINDOW
    ) -> None:
        self._questions = enumerate(questions)
        self._sent = sent
        self._window = window
        self._open: dict[int, Open] = {}
        self._again: deque[int] = deque()
        self._ended = False
        self._closed = False
        self._fault: Exception | None = None
        self._change = threading.Condition()

    def __iter__(self) -> Iterator[tuple[int, Question]]:
        """Numbers and questions to send, until all are answered; for one thread."""
        while not self._closed:
            with self._change:
                self._change.wait_for(self._something_to_do)
                again = self._again.popleft() if self._again else None
                if again is None and (self._closed or self._ended):
                    return
            if again is not None:
                yield again, self._open[again].question
            elif (fresh := self._next()) is not None:
                yield fresh

    def __getitem__(self, number: int) -> Open:
        with self._change:
            return self._open[number]

    def repeat(self, number: int) -> None:
        """Send a question again, with all its bytes."""
        with self._change:
            self._open[number] = Open(self._open[number].question, set())
            self._again.append(number)
            self._change.notify_all()

    def answered(self, number: int) -> None:
        """A question is done with."""
        with self._change:
            del self._open[number]
            self._change.notify_all()

    def close(self) -> None:
        """Send nothing more; raises what went wrong while the questions were taken."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        if self._fault is not None:
            raise self._fault

    def _something_to_do(self) -> bool:
        if self._again or self._closed:
            return True
        return not self._open if self._ended else len(self._open) < self._window

    def _next(self) -> tuple[int, Question] | None:
        """The next question as it is sent; None where there is none."""
        try:
            found = next(self._questions, None)
        except Exception as error:  # Raised to the caller by ``close``, not lost in a thread.
            self._fault, found = error, None
        if found is None:
            self._ended = True
            return None
        number, question = found
        short, known = self._sent.shortened(question)
        with self._change:
            self._open[number] = Open(question, known)
        return number, short
