"""The question of a job as a worker reads it from the record: that of a set is long."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, overload

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from services.attribution.members import NUMERICS, Asked
from steerboard.spec.jobs import JobSpec
from steerboard.spec.requests import Digest

_SPEC: TypeAdapter[JobSpec] = TypeAdapter(JobSpec)


class OtherVersion(Exception):
    """A job is none for this worker; says so in a sentence."""


class Named(Sequence[Digest]):
    """The pictures of a set, each made when it is asked for: a chunk needs sixteen of 100,000.

    Args:
        images: As the record has them; the door has looked at each.
    """

    def __init__(self, images: list[dict[str, str]]) -> None:
        self._images = images
        self._made: dict[int, Digest] = {}

    def __len__(self) -> int:
        return len(self._images)

    @overload
    def __getitem__(self, place: int) -> Digest: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Digest, ...]: ...
    def __getitem__(self, place: int | slice) -> Digest | tuple[Digest, ...]:
        if isinstance(place, slice):
            return tuple(self[i] for i in range(*place.indices(len(self))))
        if place not in self._made:
            self._made[place] = Digest(**self._images[place])
        return self._made[place]


def question(asked: Asked) -> JobSpec:
    """What is asked; raises OtherVersion, for the parts of a job are computed in one way."""
    if asked.numerics != NUMERICS:
        raise OtherVersion(
            f"the job door computes by version {asked.numerics} and its workers by version"
            f" {NUMERICS}: start all from one release, and ask again"
        )
    try:
        return parsed(asked.spec)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise OtherVersion(
            f"the workers do not know what the job door asks for ({place}): start all from one"
            " release, and ask again"
        ) from error


def parsed(spec: str) -> JobSpec:
    """A question; raises pydantic's ValidationError."""
    with uncollected():
        plain = from_json(spec)
        if plain["kind"] == "attribute_set" and not plain["labels"]:
            return shortened(plain)
        return _SPEC.validate_json(spec)


def shortened(plain: dict[str, Any]) -> JobSpec:
    """One whose parts do not depend on how many pictures there are: these are not looked at."""
    short = _SPEC.validate_json(to_json({**plain, "images": plain["images"][:1]}))
    return short.model_copy(update={"images": Named(plain["images"])})


@contextmanager
def uncollected() -> Iterator[None]:
    """The collector waits: no cycles come of a question, and looking takes as long as parsing."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
