"""The question of a job as a worker reads it from the record."""

from pydantic import TypeAdapter, ValidationError

from services.attribution.members import NUMERICS, Asked
from steerboard.spec.jobs import JobSpec

_SPEC: TypeAdapter[JobSpec] = TypeAdapter(JobSpec)


class OtherVersion(Exception):
    """A job is none for this worker; says so in a sentence."""


def question(asked: Asked) -> JobSpec:
    """What is asked; raises OtherVersion, for the parts of a job are computed in one way."""
    if asked.numerics != NUMERICS:
        raise OtherVersion(
            f"the job door computes by version {asked.numerics} and its workers by version"
            f" {NUMERICS}: start all from one release, and ask again"
        )
    try:
        return _SPEC.validate_json(asked.spec)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise OtherVersion(
            f"the workers do not know what the job door asks for ({place}): start all from one"
            " release, and ask again"
        ) from error
