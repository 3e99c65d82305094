"""Requests <-> messages. From a message: raises pydantic's ValidationError with the whole path."""

from typing import Any

from steerboard.api.convert_classifiers import (
    classifier_plain,
    classifier_to_message,
    image_to_message,
    images_plain,
    target_to_message,
    targets_plain,
)
from steerboard.api.convert_edits import (
    mask_plain,
    mask_to_message,
    steer_set_plain,
    steer_set_to_message,
)
from steerboard.api.convert_enums import enum_value, enum_word, optional, said
from steerboard.api.convert_tensors import tensor_plain, tensor_to_message
from steerboard.spec.requests import Attribute, Embed, Encode, Predict, Steer
from steerboard.v1 import steering_pb2 as pb


def predict_to_message(request: Predict) -> pb.PredictRequest:
    """As a message."""
    return pb.PredictRequest(
        model=request.model,
        images=[image_to_message(image) for image in request.images],
        classifier=classifier_to_message(request.classifier),
    )


def predict_from_message(message: pb.PredictRequest) -> Predict:
    """As a spec."""
    images, classifier = images_plain(message.images), classifier_plain(message.classifier)
    return Predict.model_validate(said(model=message.model, images=images, classifier=classifier))


def steer_to_message(request: Steer) -> pb.SteerRequest:
    """As a message."""
    return pb.SteerRequest(
        model=request.model,
        images=[image_to_message(image) for image in request.images],
        classifier=classifier_to_message(request.classifier),
        steer_sets=[steer_set_to_message(steer_set) for steer_set in request.steer_sets],
        targets=[target_to_message(target) for target in request.targets],
    )


def steer_from_message(message: pb.SteerRequest) -> Steer:
    """As a spec."""
    plain = said(
        model=message.model,
        images=images_plain(message.images),
        classifier=classifier_plain(message.classifier),
        steer_sets=tuple(steer_set_plain(steer_set) for steer_set in message.steer_sets),
        targets=targets_plain(message.targets),
    )
    return Steer.model_validate(plain)


# Methods that have a number on the wire; all others travel by name.
NUMBERED = ("gradient", "activation", "energy")


def method_value(method: str) -> pb.Method:
    """The number of a method, or the one that says that it is named."""
    found: pb.Method = enum_value(pb.Method, "METHOD", method if method in NUMBERED else "named")
    return found


def method_word(message: Any) -> str:
    """The name of the method that a message asks for."""
    word = enum_word(pb.Method, "METHOD", message.method)
    return message.method_name if word == "named" else word


def attribute_to_message(request: Attribute) -> pb.AttributeRequest:
    """As a message."""
    return pb.AttributeRequest(
        model=request.model,
        images=[image_to_message(image) for image in request.images],
        classifier=classifier_to_message(request.classifier),
        dictionary=request.dictionary,
        targets=[target_to_message(target) for target in request.targets],
        method=method_value(request.method),
        method_name="" if request.method in NUMBERED else request.method,
        top_k=request.top_k,
        maps=request.maps,
        steer=steer_set_to_message(request.steer) if request.steer.edits else None,
        site=request.site or "",
        units=enum_value(pb.UnitKind, "UNIT_KIND", request.units),
        directions=tensor_to_message(request.directions) if request.directions else None,
        tokens=mask_to_message(request.tokens),
        steps=request.steps,
    )


def attribute_from_message(message: pb.AttributeRequest) -> Attribute:
    """As a spec."""
    plain = said(
        model=message.model,
        images=images_plain(message.images),
        classifier=classifier_plain(message.classifier),
        dictionary=message.dictionary,
        targets=targets_plain(message.targets),
        method=method_word(message),
        top_k=optional(message, "top_k"),
        maps=message.maps,
        steer=steer_set_plain(message.steer) if message.HasField("steer") else None,
        site=message.site or None,
        units=enum_word(pb.UnitKind, "UNIT_KIND", message.units),
        directions=tensor_plain(message.directions) if message.HasField("directions") else None,
        tokens=mask_plain(message.tokens) if message.HasField("tokens") else None,
        steps=optional(message, "steps"),
    )
    return Attribute.model_validate(plain)


def encode_to_message(request: Encode) -> pb.EncodeRequest:
    """As a message."""
    images = [image_to_message(image) for image in request.images]
    return pb.EncodeRequest(
        model=request.model, images=images, dictionary=request.dictionary, embed=request.embed
    )


def encode_from_message(message: pb.EncodeRequest) -> Encode:
    """As a spec."""
    images = images_plain(message.images)
    plain = said(
        model=message.model, images=images, dictionary=message.dictionary, embed=message.embed
    )
    return Encode.model_validate(plain)


def embed_to_message(request: Embed) -> pb.EmbedRequest:
    """As a message."""
    images = [image_to_message(image) for image in request.images]
    return pb.EmbedRequest(model=request.model, images=images, texts=request.texts)


def embed_from_message(message: pb.EmbedRequest) -> Embed:
    """As a spec."""
    plain = said(
        model=message.model, images=images_plain(message.images), texts=tuple(message.texts)
    )
    return Embed.model_validate(plain)
