"""One stream of questions over several servers, each of which has a stream of its own."""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from steerboard.api.fleet import Fleet, Replica
from steerboard.api.sent_images import Question
from steerboard.spec.answers import Answer
from steerboard.spec.errors import SteerboardError, Unavailable

Outcome = Answer[Any] | SteerboardError
WINDOW = 32  # questions that are open, for each server
TRIES = 5
LOOK_S = 0.2
NOBODY = ""
AWAY_S = 5.0  # how long nobody may be there before the stream is given up


@dataclass(eq=False)
class Line:
    """The stream to one server: what it was sent, by its own count."""

    replica: Replica
    sent: list[int] = field(default_factory=list)
    over: bool = False


class SharedStream:
    """Takes questions no faster than they are answered; what a lost server owed others answer.

    Args:
        fleet: Whom to ask.
        questions: Taken one by one, by whichever line has room.
        key_of: What decides who owns a question.
    """

    def __init__(
        self, fleet: Fleet, questions: Iterable[Question], key_of: Callable[[Question], str]
    ) -> None:
        self._fleet = fleet
        self._questions = enumerate(questions)
        self._key_of = key_of
        self._lines: dict[str, Line] = {}
        self._waiting: dict[str, deque[int]] = {}
        self._open: dict[int, Question] = {}
        self._tries: dict[int, int] = {}
        self._found: queue.SimpleQueue[tuple[int, Outcome] | BaseException | None]
        self._found = queue.SimpleQueue()
        self._taking = self._ended = self._closed = False
        self._change = threading.Condition()

    def answers(self) -> Iterator[tuple[int, Outcome]]:
        """Number and answer of each question, as they are done."""
        try:
            while (found := self._next()) is not None:
                if isinstance(found, BaseException):
                    raise found
                yield found
        finally:
            with self._change:
                self._closed = True
                self._change.notify_all()

    def _next(self) -> tuple[int, Outcome] | BaseException | None:
        """The next outcome; meanwhile whoever comes back is given a line again."""
        begun = time.monotonic()
        while True:
            self._open_lines()
            try:
                return self._found.get(timeout=LOOK_S)
            except queue.Empty:
                if self._lines:
                    begun = time.monotonic()
            if time.monotonic() - begun > AWAY_S:
                return Unavailable("all servers are away: are they running?", retry_after_s=2.0)

    def _open_lines(self) -> None:
        """A line to everyone who is there and has none."""
        with self._change:
            fresh = [
                Line(replica)
                for replica in self._fleet.there()
                if replica.address not in self._lines and not self._ended_all()
            ]
            self._lines |= {line.replica.address: line for line in fresh}
            for number in self._orphans() if fresh else ():
                self._lay_down(number)
        for line in fresh:
            run = partial(copy_context().run, self._run, line)
            threading.Thread(target=run, name="stream", daemon=True).start()

    def _orphans(self) -> list[int]:
        """Questions that nobody was there for."""
        return list(self._waiting.pop(NOBODY, ()))

    def _ended_all(self) -> bool:
        return self._ended and not self._open

    def _run(self, line: Line) -> None:
        """Ask one server, until all is answered or it is lost."""
        try:
            for i, outcome in line.replica.runner.stream(self._share(line)):
                self._answered(line.sent[i], outcome)
                if self._closed:
                    break
        except Unavailable:
            pass  # Others take over what it owed.
        except BaseException as fault:
            self._found.put(fault)
        finally:
            self._hand_over(line)

    def _share(self, line: Line) -> Iterator[Question]:
        """Questions for one server; those of others that come along are laid down for them."""
        while True:
            with self._change:
                self._change.wait_for(lambda: self._something_for(line))
                own = self._waiting.get(line.replica.address)
                if self._closed or line.over or (self._ended_all() and not own):
                    return
                question = None
                if own:
                    line.sent.append(own.popleft())
                    question = self._open[line.sent[-1]]
                else:
                    self._taking = True
            if question is None:
                self._take()
            else:
                yield question

    def _something_for(self, line: Line) -> bool:
        if self._closed or line.over or self._waiting.get(line.replica.address):
            return True
        if self._ended:
            return not self._open
        return not self._taking and len(self._open) < WINDOW * max(1, len(self._lines))

    def _take(self) -> None:
        """One more question, laid down for its owner; a fault of the asker's is his to see."""
        found = None
        try:
            found = next(self._questions, None)
        except BaseException as fault:
            self._found.put(fault)
        with self._change:
            self._taking = False
            if found is None:
                self._ended = True
                self._tell_end()
            else:
                self._open[found[0]] = found[1]
                self._lay_down(found[0])

    def _lay_down(self, number: int) -> None:
        """Under the lock: let the owner's line take the question."""
        order = self._fleet.order(self._key_of(self._open[number]))
        owner = next((one.address for one in order if one.address in self._lines), NOBODY)
        self._waiting.setdefault(owner, deque()).append(number)
        self._change.notify_all()

    def _answered(self, number: int, outcome: Outcome) -> None:
        """Tell the outcome; where a server says that it stops, another is asked."""
        with self._change:
            if number not in self._open:
                return
            self._tries[number] = self._tries.get(number, 0) + 1
            if isinstance(outcome, Unavailable) and self._tries[number] < TRIES:
                self._lay_down(number)
                return
            del self._open[number], self._tries[number]
            self._found.put((number, outcome))
            self._tell_end()

    def _tell_end(self) -> None:
        if self._ended_all():
            self._found.put(None)
        self._change.notify_all()

    def _hand_over(self, line: Line) -> None:
        """What a line that is over still owed goes to whoever is there."""
        address = line.replica.address
        with self._change:
            line.over = True
            del self._lines[address]
            owed = dict.fromkeys([*line.sent, *self._waiting.pop(address, ())])
            for number in owed:
                if number in self._open and not self._closed:
                    self._lay_down(number)
            self._change.notify_all()
