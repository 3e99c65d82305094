"""Evidence jobs <-> messages."""

import json
from typing import Any

from steerboard.api.convert_enums import optional, said
from steerboard.spec.evidence_job import EvidenceJob, EvidencePicture
from steerboard.v1 import jobs_pb2 as pb


def evidence_job_to_message(job: EvidenceJob) -> pb.EvidenceJob:
    """An evidence job as a message."""
    return pb.EvidenceJob(
        recipe=job.recipe.model_dump_json().encode(),
        image_set=job.image_set,
        split=job.split,
        images=[pb.EvidencePicture(**picture.model_dump()) for picture in job.images],
        vocabulary=job.vocabulary,
        seed=job.seed,
    )


def evidence_job_plain(message: pb.EvidenceJob) -> dict[str, Any]:
    """A message as the plain fields of an evidence job."""
    return said(
        kind="evidence",
        recipe=recipe_plain(message.recipe),
        image_set=message.image_set,
        split=message.split,
        images=tuple(map(_picture, message.images)),
        vocabulary=tuple(message.vocabulary),
        seed=optional(message, "seed"),
    )


def recipe_plain(data: bytes) -> object:
    """The recipe's fields; what is no JSON stays what it is, for the specs to refuse."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return repr(data[:40])


def _picture(message: pb.EvidencePicture) -> EvidencePicture:
    return EvidencePicture(
        sha256=message.sha256, key=message.key, label=message.label, facts=tuple(message.facts)
    )
