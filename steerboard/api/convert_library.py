"""Image sets, pictures and feature cards <-> messages."""

from pydantic import Field

from steerboard.api.convert_enums import optional
from steerboard.api.convert_jobs import reference_from_message, reference_to_message
from steerboard.spec.base import Spec
from steerboard.spec.catalogue import Detected, FeatureCard, ImageCard, Neighbour
from steerboard.v1 import library_pb2 as pb


class ImageSet(Spec):
    """A set of pictures, as the library lists it."""

    id: str
    title: str = ""
    size: int = Field(default=0, ge=0)
    splits: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


def image_set_to_message(image_set: ImageSet) -> pb.ImageSet:
    """An image set as a message."""
    return pb.ImageSet(**image_set.model_dump())


def image_set_from_message(message: pb.ImageSet) -> ImageSet:
    """A message as an image set."""
    splits, groups = tuple(message.splits), tuple(message.groups)
    return ImageSet(
        id=message.id, title=message.title, size=message.size, splits=splits, groups=groups
    )


def _value_to_message(value: str | float | None) -> pb.AttributeValue:
    if isinstance(value, str):
        return pb.AttributeValue(text=value)
    return pb.AttributeValue(number=value)


def _value_from_message(message: pb.AttributeValue) -> str | float | None:
    match message.WhichOneof("kind"):
        case "text":
            return message.text
        case "number":
            return message.number
        case _:
            return None


def image_card_to_message(card: ImageCard) -> pb.ImageCard:
    """What is known of a picture as a message."""
    attributes = {name: _value_to_message(value) for name, value in card.attributes.items()}
    return pb.ImageCard(
        sha256=card.sha256,
        path=card.path,
        split=card.split,
        group=card.group,
        label=card.label,
        attributes=attributes,
    )


def image_card_from_message(message: pb.ImageCard) -> ImageCard:
    """A message as what is known of a picture."""
    return ImageCard(
        sha256=message.sha256,
        path=message.path,
        split=message.split,
        group=message.group,
        label=message.label,
        attributes={name: _value_from_message(value) for name, value in message.attributes.items()},
    )


OPTIONAL = ("mean", "label_score", "clarity", "polysemanticity", "redundancy")


def feature_card_to_message(card: FeatureCard) -> pb.FeatureCard:
    """What is known of a feature as a message."""
    return pb.FeatureCard(
        dictionary=card.dictionary,
        feature=card.feature,
        firing_rate=card.firing_rate,
        maximum=card.maximum,
        references=[reference_to_message(reference) for reference in card.references],
        label=card.label,
        histogram=card.histogram,
        classes=[pb.Detected(**found.model_dump()) for found in card.classes],
        neighbours=[pb.Neighbour(**near.model_dump()) for near in card.neighbours],
        coactive=[pb.Neighbour(**near.model_dump()) for near in card.coactive],
        sample=[reference_to_message(reference) for reference in card.sample],
        **{name: getattr(card, name) for name in OPTIONAL},
    )


def feature_card_from_message(message: pb.FeatureCard) -> FeatureCard:
    """A message as what is known of a feature."""
    return FeatureCard(
        dictionary=message.dictionary,
        feature=message.feature,
        firing_rate=message.firing_rate,
        maximum=message.maximum,
        references=tuple(reference_from_message(reference) for reference in message.references),
        label=message.label,
        histogram=tuple(message.histogram),
        classes=tuple(map(_detected, message.classes)),
        neighbours=tuple(map(_neighbour, message.neighbours)),
        coactive=tuple(map(_neighbour, message.coactive)),
        sample=tuple(reference_from_message(reference) for reference in message.sample),
        **{name: optional(message, name) for name in OPTIONAL},
    )


def _detected(message: pb.Detected) -> Detected:
    return Detected(**{name: getattr(message, name) for name in Detected.model_fields})


def _neighbour(message: pb.Neighbour) -> Neighbour:
    return Neighbour(feature=message.feature, value=message.value)
