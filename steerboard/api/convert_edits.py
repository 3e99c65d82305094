"""Edits and steer sets <-> messages.

``*_plain`` gives the fields of a spec as a dict: a request is validated once, as a whole, so that
an error names the whole path of its field.
"""

from typing import Any, assert_never

from steerboard.api.convert_enums import enum_value, enum_word, said
from steerboard.api.convert_tensors import tensor_plain, tensor_to_message
from steerboard.spec.edits import (
    Add,
    Condition,
    Direction,
    Edit,
    Feature,
    Head,
    Mask,
    Neuron,
    Op,
    Part,
    Remove,
    Scale,
    Set,
    SteerSet,
    Unit,
)
from steerboard.v1 import types_pb2 as pb


def unit_to_message(unit: Unit) -> pb.Unit:
    """A unit as a message."""
    match unit:
        case Feature():
            return pb.Unit(feature=pb.Feature(dictionary=unit.dictionary, index=unit.index))
        case Neuron():
            return pb.Unit(neuron=pb.Neuron(index=unit.index))
        case Head():
            return pb.Unit(head=pb.Head(index=unit.index))
        case Direction():
            return pb.Unit(direction=pb.Direction(values=tensor_to_message(unit.values)))
        case Part():
            of = enum_value(pb.PartKind, "PART_KIND", unit.of)
            return pb.Unit(part=pb.Part(of=of, dictionary=unit.dictionary))
        case _:
            assert_never(unit)


def unit_plain(message: pb.Unit) -> dict[str, Any]:
    """Fields of a unit."""
    match message.WhichOneof("kind"):
        case "feature":
            feature = message.feature
            return {"kind": "feature", "dictionary": feature.dictionary, "index": feature.index}
        case "neuron":
            return {"kind": "neuron", "index": message.neuron.index}
        case "head":
            return {"kind": "head", "index": message.head.index}
        case "direction":
            return {"kind": "direction", "values": tensor_plain(message.direction.values)}
        case "part":
            of = enum_word(pb.PartKind, "PART_KIND", message.part.of)
            return {"kind": "part", "of": of, "dictionary": message.part.dictionary}
        case _:
            return {}


def op_to_message(op: Op) -> pb.Op:
    """An op as a message."""
    match op:
        case Scale():
            return pb.Op(scale=pb.Scale(m=op.m))
        case Set():
            return pb.Op(set=pb.Set(value=op.value, everywhere=op.everywhere))
        case Add():
            return pb.Op(add=pb.Add(alpha=op.alpha))
        case Remove():
            return pb.Op(remove=pb.Remove())
        case _:
            assert_never(op)


def op_plain(message: pb.Op) -> dict[str, Any]:
    """Fields of an op."""
    match message.WhichOneof("kind"):
        case "scale":
            return {"kind": "scale", "m": message.scale.m}
        case "set":
            change = message.set
            return {"kind": "set", "value": change.value, "everywhere": change.everywhere}
        case "add":
            return {"kind": "add", "alpha": message.add.alpha}
        case "remove":
            return {"kind": "remove"}
        case _:
            return {}


def mask_to_message(mask: Mask) -> pb.Mask:
    """A mask as a message."""
    cells = [pb.Cell(row=row, column=column) for row, column in mask.cells]
    return pb.Mask(kind=enum_value(pb.MaskKind, "MASK_KIND", mask.kind), cells=cells)


def mask_plain(message: pb.Mask) -> dict[str, Any]:
    """Fields of a mask."""
    kind = enum_word(pb.MaskKind, "MASK_KIND", message.kind)
    return said(kind=kind, cells=tuple((cell.row, cell.column) for cell in message.cells))


def _condition_to_message(condition: Condition) -> pb.Condition:
    return pb.Condition(
        unit=unit_to_message(condition.unit),
        when=enum_value(pb.When, "WHEN", condition.when),
        tau=condition.tau,
        per=enum_value(pb.Per, "PER", condition.per),
    )


def _condition_plain(message: pb.Condition) -> dict[str, Any]:
    return said(
        unit=unit_plain(message.unit),
        when=enum_word(pb.When, "WHEN", message.when),
        tau=message.tau,
        per=enum_word(pb.Per, "PER", message.per),
    )


def edit_to_message(edit: Edit) -> pb.Edit:
    """An edit as a message."""
    return pb.Edit(
        site=edit.site,
        unit=unit_to_message(edit.unit),
        op=op_to_message(edit.op),
        mask=mask_to_message(edit.mask),
        condition=None if edit.condition is None else _condition_to_message(edit.condition),
    )


def _edit_plain(message: pb.Edit) -> dict[str, Any]:
    return said(
        site=message.site,
        unit=unit_plain(message.unit),
        op=op_plain(message.op),
        mask=mask_plain(message.mask) if message.HasField("mask") else None,
        condition=_condition_plain(message.condition) if message.HasField("condition") else None,
    )


def steer_set_to_message(steer_set: SteerSet) -> pb.SteerSet:
    """A steer set as a message."""
    return pb.SteerSet(edits=[edit_to_message(edit) for edit in steer_set.edits])


def steer_set_plain(message: pb.SteerSet) -> dict[str, Any]:
    """Fields of a steer set."""
    return {"edits": tuple(_edit_plain(edit) for edit in message.edits)}


def steer_set_from_message(message: pb.SteerSet) -> SteerSet:
    """A message as a steer set; raises pydantic's ValidationError."""
    return SteerSet.model_validate(steer_set_plain(message))
