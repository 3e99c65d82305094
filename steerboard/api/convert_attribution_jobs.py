"""Jobs of attribution <-> messages."""

from typing import Any

from steerboard.api.convert_classifiers import (
    classifier_plain,
    classifier_to_message,
    target_plain,
    target_to_message,
    targets_plain,
)
from steerboard.api.convert_edits import mask_plain, mask_to_message
from steerboard.api.convert_enums import enum_value, enum_word, optional, said
from steerboard.api.convert_requests import NUMBERED, method_value, method_word
from steerboard.api.convert_tensors import tensor_plain, tensor_to_message
from steerboard.spec.jobs import AttributeJob, AttributeSetJob
from steerboard.spec.named import names
from steerboard.v1 import jobs_pb2 as pb
from steerboard.v1 import steering_pb2


def attribute_job_to_message(job: AttributeJob) -> pb.AttributeJob:
    """A job over one picture as a message."""
    return pb.AttributeJob(
        **_shared(job),
        image=job.image.sha256,
        target=target_to_message(job.target),
        verify=job.verify,
        references=job.references,
    )


def attribute_set_job_to_message(job: AttributeSetJob) -> pb.AttributeSetJob:
    """A job over many pictures as a message."""
    return pb.AttributeSetJob(
        **_shared(job),
        images=names(job.images),
        targets=[target_to_message(target) for target in job.targets],
        labels=job.labels,
    )


def _shared(job: AttributeJob | AttributeSetJob) -> dict[str, Any]:
    return {
        "model": job.model,
        "classifier": classifier_to_message(job.classifier),
        "dictionary": job.dictionary,
        "method": method_value(job.method),
        "method_name": "" if job.method in NUMBERED else job.method,
        "top_k": job.top_k,
        "site": job.site or "",
        "units": enum_value(steering_pb2.UnitKind, "UNIT_KIND", job.units),
        "directions": tensor_to_message(job.directions) if job.directions else None,
        "tokens": mask_to_message(job.tokens),
        "steps": job.steps,
    }


def _shared_plain(message: Any) -> dict[str, Any]:
    return said(
        model=message.model,
        classifier=classifier_plain(message.classifier),
        dictionary=message.dictionary,
        method=method_word(message),
        top_k=optional(message, "top_k"),
        site=message.site or None,
        units=enum_word(steering_pb2.UnitKind, "UNIT_KIND", message.units),
        directions=tensor_plain(message.directions) if message.HasField("directions") else None,
        tokens=mask_plain(message.tokens) if message.HasField("tokens") else None,
        steps=optional(message, "steps"),
    )


def attribute_job_plain(message: pb.AttributeJob) -> dict[str, Any]:
    """Fields of a job over one picture."""
    own = said(
        kind="attribute",
        image={"kind": "digest", "sha256": message.image},
        target=target_plain(message.target) if message.HasField("target") else None,
        verify=optional(message, "verify"),
        references=optional(message, "references"),
    )
    return _shared_plain(message) | own


def attribute_set_job_plain(message: pb.AttributeSetJob) -> dict[str, Any]:
    """Fields of a job over many pictures."""
    own = said(
        kind="attribute_set",
        images=tuple(message.images),
        targets=targets_plain(message.targets),
        labels=tuple(message.labels),
    )
    return _shared_plain(message) | own
