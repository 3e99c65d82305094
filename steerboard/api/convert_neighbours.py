"""Features near features <-> messages."""

from steerboard.api.convert_tensors import (
    array_to_message,
    floats_from_message,
    indices_to_message,
    ints_from_message,
)
from steerboard.spec.answers import Neighbours
from steerboard.v1 import steering_pb2 as pb


def neighbours_to_message(found: Neighbours) -> pb.GetNeighboursResponse:
    """Neighbours as a message."""
    return pb.GetNeighboursResponse(
        features=indices_to_message(found.features), cosines=array_to_message(found.cosines)
    )


def neighbours_from_message(message: pb.GetNeighboursResponse) -> Neighbours:
    """A message as neighbours."""
    return Neighbours(ints_from_message(message.features), floats_from_message(message.cosines))
