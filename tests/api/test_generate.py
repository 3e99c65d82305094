"""The committed stubs are those that the protos give, and the protos explain themselves."""

import itertools
from pathlib import Path

import pytest

from steerboard.api.generate import PROTOS, generate, stale


def test_stubs_are_fresh(tmp_path):
    pytest.importorskip("grpc_tools")
    generate(tmp_path)
    assert stale(tmp_path) == []


@pytest.mark.parametrize("proto", sorted(PROTOS.rglob("*.proto")), ids=lambda path: path.name)
def test_every_message_and_field_has_a_comment(proto: Path):
    lines = [line.strip() for line in proto.read_text().splitlines()]
    for before, line in itertools.pairwise(lines):
        if line.startswith(("syntax", "package", "import")) or not line.endswith((";", "{", "{}")):
            continue
        assert before.startswith("//"), f"{proto.name}: no comment above {line!r}"
