"""What the steps of a chunk work with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from services.attribution.results import Rows
from steerboard.spec.catalogue import FeatureCard
from steerboard.spec.errors import NotFound, SteerboardError
from steerboard.spec.requests import ImageRef
from steerboard.spec.runner import Runner

T = TypeVar("T")
State = dict[str, Any]  # a chunk's half-done work, see ``compute.written``
Sent = ImageRef | SteerboardError  # a picture as a service is asked about it, or why it is not


@dataclass(frozen=True)
class Tools:
    """What a step works with.

    Attributes:
        runner: Who answers.
        read: Bytes of a picture by digest; raises ImageNotCached.
        cards: What the catalogue knows of features, see ``Library.features``.
        finished: Results of chunks of the same job, None where they are not there.
        folder: fsspec URL of a folder of the job's own, for what is too large for Redis.
        gists: Of the same chunks what was kept for the closing one, None where it is not there.
    """

    runner: Runner
    read: Callable[[str], bytes]
    cards: Callable[..., Sequence[FeatureCard]]
    finished: Callable[[Sequence[int]], list[Rows | None]]
    folder: str = ""
    gists: Callable[[Sequence[int]], list[bytes | None]] = lambda chunks: [None for _ in chunks]


def held(found: Sequence[T | None]) -> list[T]:
    """Of chunks of the same job; raises NotFound where one is no longer there."""
    there = [part for part in found if part is not None]
    if len(there) < len(found):
        raise NotFound(
            "the results of some parts of this set are no longer there: somebody has cleared the"
            " folder of blobs; ask again"
        )
    return there
