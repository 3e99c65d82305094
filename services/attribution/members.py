"""Members of a job, its chunks: how many there are, whose turn has come, what is known of one."""

from dataclasses import dataclass
from typing import Any

from steerboard.api.tokens import Identity
from steerboard.spec.jobs import Lane

# Raised when the arithmetic of a job, or the form of its results, changes.
NUMERICS = 5


@dataclass(frozen=True)
class Size:
    """Of a job: chunks, pictures, and pictures a chunk (the price of one)."""

    chunks: int
    pictures: int
    price: int


@dataclass(frozen=True)
class Begun:
    """A chunk in a worker's hands.

    Attributes:
        opened: When the job was, as written: a record that was opened anew has another.
        losses: Times that the chunk was begun and never heard of again.
        slow: Times that it took too long.
        before: Whether some of it may be done already.
    """

    opened: str
    losses: int
    slow: int
    before: bool


@dataclass(frozen=True)
class Asked:
    """What the chunks of a job have in common.

    Attributes:
        opened: As in ``Begun``.
        spec: The question as JSON.
        submitter: Who asked.
        lane: Of the job.
        chunks: Of the job.
        numerics: Those of the door that accepted it.
    """

    opened: str
    spec: str
    submitter: Identity
    lane: Lane
    chunks: int
    numerics: int = NUMERICS


@dataclass(frozen=True)
class Turn:
    """A chunk that a worker takes.

    Attributes:
        member: Job and chunk.
        begun: It, begun; None where nobody wants it any more.
    """

    member: tuple[str, int]
    begun: Begun | None


@dataclass(frozen=True)
class Turns:
    """Whose turn has come.

    Attributes:
        own: Who asked takes that.
        others: To be handed out.
    """

    own: Turn | None
    others: list[tuple[str, int]]


def begun(found: list[Any] | None) -> Begun | None:
    """What the script START answered."""
    if not found:
        return None
    opened, losses, slow, before = found
    return Begun(opened, losses, slow, bool(before))


def pairs(members: list[str]) -> list[tuple[str, int]]:
    """``job:chunk`` taken apart."""
    split = (m.rsplit(":", 1) for m in members)
    return [(job, int(chunk)) for job, chunk in split]
