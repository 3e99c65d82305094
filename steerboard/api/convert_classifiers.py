"""Pictures, classifiers and targets <-> messages."""

from collections.abc import Iterable
from typing import Any, assert_never

from steerboard.api.convert_edits import unit_plain, unit_to_message
from steerboard.api.convert_enums import optional
from steerboard.api.convert_tensors import tensor_plain, tensor_to_message
from steerboard.spec.requests import (
    Classifier,
    Cosine,
    Digest,
    Encoded,
    ImageRef,
    Logit,
    LogProb,
    Margin,
    Pixels,
    Probe,
    ProbeOutput,
    Prompts,
    Target,
    UnitActivation,
)
from steerboard.v1 import types_pb2 as pb


def image_to_message(image: ImageRef) -> pb.ImageRef:
    """A picture as a message."""
    match image:
        case Encoded():
            return pb.ImageRef(encoded=image.data)
        case Digest():
            return pb.ImageRef(digest=image.sha256)
        case Pixels():
            return pb.ImageRef(pixels=tensor_to_message(image.tensor))
        case _:
            assert_never(image)


def _image_plain(message: pb.ImageRef) -> dict[str, Any]:
    match message.WhichOneof("image"):
        case "encoded":
            return {"kind": "encoded", "data": message.encoded}
        case "digest":
            return {"kind": "digest", "sha256": message.digest}
        case "pixels":
            return {"kind": "pixels", "tensor": tensor_plain(message.pixels)}
        case _:
            return {}


def images_plain(messages: Iterable[pb.ImageRef]) -> tuple[dict[str, Any], ...]:
    """Fields of each picture."""
    return tuple(_image_plain(message) for message in messages)


def classifier_to_message(classifier: Classifier) -> pb.Classifier:
    """A classifier as a message."""
    match classifier:
        case Prompts():
            prompts = pb.Prompts(prompts=classifier.prompts, template=classifier.template)
            return pb.Classifier(prompts=prompts)
        case Probe():
            weight, bias = (tensor_to_message(t) for t in (classifier.weight, classifier.bias))
            return pb.Classifier(probe=pb.Probe(names=classifier.names, weight=weight, bias=bias))
        case _:
            assert_never(classifier)


def classifier_plain(message: pb.Classifier) -> dict[str, Any]:
    """Fields of a classifier."""
    match message.WhichOneof("kind"):
        case "prompts":
            plain = {"kind": "prompts", "prompts": tuple(message.prompts.prompts)}
            template = optional(message.prompts, "template")
            return plain if template is None else {**plain, "template": template}
        case "probe":
            weight, bias = (tensor_plain(t) for t in (message.probe.weight, message.probe.bias))
            return {
                "kind": "probe",
                "names": tuple(message.probe.names),
                "weight": weight,
                "bias": bias,
            }
        case _:
            return {}


def target_to_message(target: Target) -> pb.Target:
    """A target as a message."""
    match target:
        case Logit():
            return pb.Target(logit=pb.Logit(index=target.index))
        case Margin():
            return pb.Target(margin=pb.Margin(index=target.index, against=target.against))
        case Cosine():
            return pb.Target(cosine=pb.Cosine(index=target.index))
        case LogProb():
            return pb.Target(log_prob=pb.LogProb(index=target.index))
        case ProbeOutput():
            weight = tensor_to_message(target.weight)
            return pb.Target(probe=pb.ProbeOutput(weight=weight, bias=target.bias))
        case UnitActivation():
            unit = unit_to_message(target.unit)
            return pb.Target(unit=pb.UnitActivation(site=target.site, unit=unit))
        case _:
            assert_never(target)


def target_plain(message: pb.Target) -> dict[str, Any]:
    """Fields of a target."""
    match message.WhichOneof("kind"):
        case "logit" | "cosine" | "log_prob" as kind:
            return {"kind": kind, "index": optional(getattr(message, kind), "index")}
        case "margin":
            index, against = (optional(message.margin, name) for name in ("index", "against"))
            return {"kind": "margin", "index": index, "against": against}
        case "probe":
            weight = tensor_plain(message.probe.weight)
            return {"kind": "probe", "weight": weight, "bias": message.probe.bias}
        case "unit":
            unit = unit_plain(message.unit.unit)
            return {"kind": "unit", "site": message.unit.site, "unit": unit}
        case _:
            return {}


def targets_plain(messages: Iterable[pb.Target]) -> tuple[dict[str, Any], ...] | None:
    """Fields of each target; None where there are none."""
    return tuple(target_plain(message) for message in messages) or None
