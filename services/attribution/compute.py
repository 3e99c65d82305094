"""What a chunk computes, over any Runner, in steps that are short enough to be cut off.

A chunk's half-done work is a JSON object, once it is ``written``. ``step`` takes it further by at
most ``batch`` pictures or ablations, and ``rows`` reads the result from it once it is complete. A
job over a set has chunks of pictures and a closing one, which puts them together.
"""

from typing import assert_never

from services.attribution import catalogue_set, evidence_set, one_picture, picture_set
from services.attribution.members import Size
from services.attribution.picture_set import CHUNK
from services.attribution.results import Rows
from services.attribution.tools import State, Tools
from steerboard.spec.evidence_job import EvidenceJob
from steerboard.spec.jobs import AttributeJob, AttributeSetJob, CatalogueJob, JobSpec

BATCH = 16  # pictures or ablations of a step


def size(spec: JobSpec) -> Size:
    """Chunks, pictures, and the price of a chunk."""
    match spec:
        case AttributeJob():
            return Size(1, 1, 1)
        case AttributeSetJob():
            return Size(
                picture_set.chunks(spec) + 1, len(spec.images), min(CHUNK, len(spec.images))
            )
        case CatalogueJob():
            return Size(
                catalogue_set.chunks(spec) + 1, len(spec.images), min(CHUNK, len(spec.images))
            )
        case EvidenceJob():
            return Size(
                evidence_set.chunks(spec) + 1, len(spec.images), min(CHUNK, len(spec.images))
            )
    assert_never(spec)


def complete(spec: JobSpec, chunk: int, state: State) -> bool:
    """Whether nothing is left to do."""
    match spec:
        case AttributeJob():
            return one_picture.complete(spec, state)
        case AttributeSetJob():
            if chunk == picture_set.chunks(spec):
                return bool(state) and state["chunks"] == chunk and "parts" not in state
            return len(state.get("rows", ())) == len(picture_set.pictures_of(spec, chunk))
        case CatalogueJob():
            return catalogue_set.closed(spec, chunk, state)
        case EvidenceJob():
            return evidence_set.closed(spec, chunk, state)
    assert_never(spec)


def units(state: State) -> int:
    """How far a chunk is: pictures, ablations, or chunks put together."""
    now = state.get("now", state)  # of the picture in hand
    done = len(state.get("rows", ())) + len(now.get("measured", ())) + len(now.get("pairs", ()))
    return done + int(state.get("chunks", 0)) + evidence_set.units(state)


def told(spec: JobSpec, state: State) -> str:
    """How far a long chunk is, in words; empty where its part of the job says enough."""
    return evidence_set.told(state) if isinstance(spec, EvidenceJob) else ""


def step(spec: JobSpec, chunk: int, state: State, tools: Tools, batch: int) -> State:
    """The state after a little more work; raises SteerboardError."""
    match spec:
        case AttributeJob():
            return (
                one_picture.verified(spec, state, tools, batch)
                if state
                else one_picture.scored(spec, tools)
            )
        case AttributeSetJob():
            if chunk == picture_set.chunks(spec):
                return picture_set.closing(spec, state, tools)
            return picture_set.further(spec, chunk, state, tools, batch)
        case CatalogueJob():
            if chunk == catalogue_set.chunks(spec):
                return catalogue_set.gathered(spec, state, tools)
            return catalogue_set.observed(spec, chunk, state, tools, batch)
        case EvidenceJob():
            if chunk == evidence_set.chunks(spec):
                return evidence_set.gathered(spec, state, tools, batch)
            return evidence_set.looked(spec, chunk, state, tools, batch)
    assert_never(spec)


def written(spec: JobSpec, state: State) -> State:
    """The state as JSON, to be gone on with by whoever reads it."""
    if isinstance(spec, AttributeSetJob) and "rows" in state:
        return {**state, "rows": picture_set.rows(state)}
    return state


def rows(spec: JobSpec, chunk: int, state: State) -> Rows:
    """The result of a chunk that is complete."""
    match spec:
        case AttributeJob():
            return [one_picture.result(spec, state)]
        case AttributeSetJob():
            last = chunk == picture_set.chunks(spec)
            return [picture_set.total(spec, state)] if last else picture_set.rows(state)
        case CatalogueJob():
            last = chunk == catalogue_set.chunks(spec)
            return [catalogue_set.summary(state)] if last else list(state["rows"])
        case EvidenceJob():
            last = chunk == evidence_set.chunks(spec)
            return [evidence_set.summary(state)] if last else list(state["rows"])
    assert_never(spec)


def gist(spec: JobSpec, chunk: int, rows: Rows) -> bytes:
    """What the closing chunk needs of another one; nothing where it reads all of it."""
    if isinstance(spec, AttributeSetJob) and chunk < picture_set.chunks(spec):
        return picture_set.gist(spec, rows)
    return b""
