"""The wire contract never changes what was: no number is used again, no type becomes another.

``contract.txt`` lists every field, enum value and method there ever was, with number and type. A
new one is added with ``python tests/api/test_contract_baseline.py``; lines never leave the file.
A field that goes must leave its number reserved.
"""

import re
from pathlib import Path

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto

from steerboard.v1 import jobs_pb2, library_pb2, steering_pb2, types_pb2

BASELINE = Path(__file__).with_name("contract.txt")
FILES = [m.DESCRIPTOR for m in (jobs_pb2, library_pb2, steering_pb2, types_pb2)]
KINDS = {
    getattr(FieldDescriptor, name): name.removeprefix("TYPE_").lower()
    for name in dir(FieldDescriptor)
    if name.startswith("TYPE_")
}


def field_line(field: FieldDescriptor) -> str:
    """Such as ``steerboard.v1.Edit.site = 1 string``."""
    of = field.message_type or field.enum_type
    words = [KINDS[field.type] if of is None else of.full_name]
    words += ["repeated"] * field.is_repeated
    words += [f"in {field.containing_oneof.name}"] if field.containing_oneof else []
    return f"{field.full_name} = {field.number} {' '.join(words)}"


def message_lines(message: Descriptor) -> list[str]:
    nested = [line for one in message.nested_types for line in message_lines(one)]
    enums = [line for one in message.enum_types for line in enum_lines(one)]
    return [*map(field_line, message.fields), *nested, *enums]


def enum_lines(enum: EnumDescriptor) -> list[str]:
    return [f"{enum.full_name}.{value.name} = {value.number}" for value in enum.values]


def current() -> list[str]:
    """Every line of the contract as it is."""
    out = []
    for file in FILES:
        for message in file.message_types_by_name.values():
            out += message_lines(message)
        for enum in file.enum_types_by_name.values():
            out += enum_lines(enum)
        for service in file.services_by_name.values():
            for m in service.methods:
                asks = f"{'stream ' * m.client_streaming}{m.input_type.full_name}"
                tells = f"{'stream ' * m.server_streaming}{m.output_type.full_name}"
                out.append(f"{m.full_name}({asks}) -> {tells}")
    return sorted(out)


def reserved() -> set[str]:
    """``message.number`` of every number that is said never to be used again."""
    out = set()
    for file in FILES:
        for message in file.message_types_by_name.values():
            for part in as_proto(message).reserved_range:
                out |= {f"{message.full_name}.{n}" for n in range(part.start, part.end)}
    return out


def as_proto(message: Descriptor) -> DescriptorProto:
    proto = DescriptorProto()
    message.CopyToProto(proto)
    return proto


def broken(before: list[str], now: list[str], kept_free: set[str]) -> list[str]:
    """What was promised and is no more."""
    numbers = {}
    for line in now:
        if found := re.match(r"(.+)\.(\w+) = (\d+)", line):
            numbers[f"{found[1]}.{found[3]}"] = line
    out = []
    for line in sorted(set(before) - set(now)):
        found = re.match(r"(.+)\.(\w+) = (\d+)", line)
        slot = f"{found[1]}.{found[3]}" if found else ""
        if slot in kept_free and slot not in numbers:
            continue
        out.append(f"{line}  became  {numbers.get(slot, 'nothing, and is not reserved')}")
    return out


def test_nothing_that_was_promised_has_changed():
    before = BASELINE.read_text().splitlines()
    assert broken(before, current(), reserved()) == []


def test_everything_new_is_promised():
    """If this fails: python tests/api/test_contract_baseline.py"""
    assert sorted(set(current()) - set(BASELINE.read_text().splitlines())) == []


def test_a_change_would_be_noticed():
    site = "steerboard.v1.Edit.site = 1 string"
    now = current()
    assert site in now
    without = [line for line in now if line != site]
    for other in ("Edit.site = 9 string", "Edit.site = 1 bytes", "Edit.place = 1 string"):
        assert broken(now, [*without, f"steerboard.v1.{other}"], set())
    assert broken(now, without, set())
    assert not broken(now, without, {"steerboard.v1.Edit.1"})
    assert broken(now, [*without, "steerboard.v1.Edit.new = 1 string"], {"steerboard.v1.Edit.1"})
    method = next(line for line in now if "RunStream(" in line)
    assert broken(now, [line for line in now if line != method], set())


if __name__ == "__main__":
    held = BASELINE.read_text().splitlines() if BASELINE.exists() else []
    BASELINE.write_text("\n".join(sorted({*held, *current()})) + "\n")
