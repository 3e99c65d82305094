"""Job specs, states and results <-> messages."""

import json
from typing import Any, assert_never

from steerboard.api.convert_attribution_jobs import (
    attribute_job_plain,
    attribute_job_to_message,
    attribute_set_job_plain,
    attribute_set_job_to_message,
)
from steerboard.api.convert_enums import enum_value, enum_word, optional, said
from steerboard.api.convert_evidence import evidence_job_plain, evidence_job_to_message
from steerboard.api.convert_tensors import array_to_message, floats_from_message
from steerboard.spec.base import Spec
from steerboard.spec.evidence_job import EvidenceJob
from steerboard.spec.jobs import (
    AttributeJob,
    AttributeResult,
    AttributeSetJob,
    CatalogueJob,
    JobSpec,
    JobStatus,
    RankedFeature,
    Reference,
)
from steerboard.spec.named import names
from steerboard.v1 import jobs_pb2 as pb
from steerboard.v1 import types_pb2

Heat = tuple[tuple[float, ...], ...]


class _AnyJob(Spec):
    """Validates a job as a whole, so that errors name the path within it."""

    job: JobSpec


def job_to_message(job: JobSpec) -> pb.JobSpec:
    """A job spec as a message."""
    if isinstance(job, CatalogueJob):
        return pb.JobSpec(catalogue=_catalogue_to_message(job))
    if isinstance(job, EvidenceJob):
        return pb.JobSpec(evidence=evidence_job_to_message(job))
    match job:
        case AttributeJob():
            return pb.JobSpec(attribute=attribute_job_to_message(job))
        case AttributeSetJob():
            return pb.JobSpec(attribute_set=attribute_set_job_to_message(job))
        case _:
            assert_never(job)


def job_from_message(message: pb.JobSpec) -> JobSpec:
    """A message as a job spec; raises pydantic's ValidationError."""
    match message.WhichOneof("kind"):
        case "attribute":
            plain = attribute_job_plain(message.attribute)
        case "attribute_set":
            plain = attribute_set_job_plain(message.attribute_set)
        case "catalogue":
            plain = _catalogue_plain(message.catalogue)
        case "evidence":
            plain = evidence_job_plain(message.evidence)
        case _:
            plain = {}
    return _AnyJob.model_validate({"job": plain}).job


def _catalogue_to_message(job: CatalogueJob) -> pb.CatalogueJob:
    return pb.CatalogueJob(
        model=job.model,
        images=names(job.images),
        dictionary=job.dictionary,
        facts=[pb.Facts(names=names) for names in job.facts],
        words=job.words,
        references=job.references,
    )


def _catalogue_plain(message: pb.CatalogueJob) -> dict[str, Any]:
    return said(
        kind="catalogue",
        model=message.model,
        images=tuple(message.images),
        dictionary=message.dictionary,
        facts=tuple(tuple(one.names) for one in message.facts),
        words=tuple(message.words),
        references=optional(message, "references"),
    )


_STATUS = (
    *("id", "done", "total", "message", "cached", "joined"),
    *("kind", "pictures", "priority"),
)
_STATUS_OPTIONAL = ("rate", "seconds_left", "submitted")


def job_status_to_message(status: JobStatus) -> pb.JobStatus:
    """The state of a job as a message."""
    state = enum_value(pb.JobState, "JOB_STATE", status.state)
    return pb.JobStatus(**{**status.model_dump(), "state": state})


def job_status_from_message(message: pb.JobStatus) -> JobStatus:
    """A message as the state of a job."""
    plain = {name: getattr(message, name) for name in _STATUS}
    plain |= {name: optional(message, name) for name in _STATUS_OPTIONAL}
    state = enum_word(pb.JobState, "JOB_STATE", message.state)
    return JobStatus.model_validate({**plain, "state": state})


def _heat_to_message(heat: Heat) -> types_pb2.Tensor | None:
    return array_to_message(heat) if heat else None


def _heat_from_message(message: Any) -> Heat:
    if not message.HasField("heat"):
        return ()
    return tuple(map(tuple, floats_from_message(message.heat).tolist()))


def reference_to_message(reference: Reference) -> pb.Reference:
    """A reference image as a message; heat at float32."""
    heat = _heat_to_message(reference.heat)
    return pb.Reference(image=reference.image, activation=reference.activation, heat=heat)


def reference_from_message(message: pb.Reference) -> Reference:
    """A message as a reference image."""
    heat = _heat_from_message(message)
    return Reference(image=message.image, activation=message.activation, heat=heat)


_RANKED = ("feature", "score", "activation", "peak", "label")
_RANKED_OPTIONAL = ("measured", "standard_error", "firing_rate", "maximum")


def _ranked_to_message(row: RankedFeature) -> pb.RankedFeature:
    references = [reference_to_message(reference) for reference in row.references]
    same = {name: getattr(row, name) for name in _RANKED + _RANKED_OPTIONAL}
    return pb.RankedFeature(**same, heat=_heat_to_message(row.heat), references=references)


def _ranked_from_message(message: pb.RankedFeature) -> RankedFeature:
    plain = {name: getattr(message, name) for name in _RANKED}
    plain |= {name: optional(message, name) for name in _RANKED_OPTIONAL}
    references = tuple(reference_from_message(reference) for reference in message.references)
    return RankedFeature(**plain, heat=_heat_from_message(message), references=references)


_RESULT = ("index", "value", "rest", "error", "bias", "total")


def attribute_result_to_message(result: AttributeResult) -> pb.AttributeResult:
    """The result of an attribute job as a message."""
    return pb.AttributeResult(
        **{name: getattr(result, name) for name in _RESULT},
        against=result.against,
        kind=result.kind,
        baseline=result.baseline,
        features=[_ranked_to_message(row) for row in result.features],
        provenance_json=json.dumps(result.provenance, sort_keys=True, allow_nan=False),
    )


def attribute_result_from_message(message: pb.AttributeResult) -> AttributeResult:
    """A message as the result of an attribute job."""
    return AttributeResult(
        **{name: getattr(message, name) for name in _RESULT},
        against=optional(message, "against"),
        kind=message.kind or "logit",
        baseline=optional(message, "baseline"),
        features=tuple(_ranked_from_message(row) for row in message.features),
        provenance=json.loads(message.provenance_json or "{}"),
    )


JobResult = AttributeResult | dict[str, Any]


def job_result_to_message(result: JobResult) -> pb.JobResult:
    """A result: typed where its kind has a message, else as JSON."""
    if isinstance(result, AttributeResult):
        return pb.JobResult(attribute=attribute_result_to_message(result))
    return pb.JobResult(json=json.dumps(result, sort_keys=True, allow_nan=False).encode())


def job_result_from_message(message: pb.JobResult) -> JobResult:
    """A message as a result."""
    if message.WhichOneof("kind") == "attribute":
        return attribute_result_from_message(message.attribute)
    found: dict[str, Any] = json.loads(message.json)
    return found
