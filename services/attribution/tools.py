"""What the steps of a chunk work with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from services.attribution.results import Rows
from steerboard.spec.catalogue import FeatureCard
from steerboard.spec.errors import NotFound, SteerboardError
from steerboard.spec.requests import ImageRef
from steerboard.spec.runner import Runner

State = dict[str, Any]  # a chunk's half-done work, as JSON
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
    """

    runner: Runner
    read: Callable[[str], bytes]
    cards: Callable[..., Sequence[FeatureCard]]
    finished: Callable[[Sequence[int]], list[Rows | None]]
    folder: str = ""


def held(tools: Tools, chunks: Sequence[int]) -> list[Rows]:
    """The results of chunks of the same job; raises NotFound where one is no longer there."""
    found = [part for part in tools.finished(chunks) if part is not None]
    if len(found) < len(chunks):
        raise NotFound(
            "the results of some parts of this set are no longer there: somebody has cleared the"
            " folder of blobs; ask again"
        )
    return found
