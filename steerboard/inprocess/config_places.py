"""Line and column of a field in a YAML file, for what is said about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode


@dataclass(frozen=True, order=True)
class Fault:
    """Something wrong at a place: line and column from 1, the field's path, one sentence."""

    line: int
    column: int
    field: str
    message: str

    def __str__(self) -> str:
        """Such as ``line 3, models.demo.path: is missing``."""
        where = f", {self.field}" if self.field else ""
        return f"line {self.line}{where}: {self.message}"


def locate(tree: Node | None, path: Sequence[str | int], message: str, kind: str = "") -> Fault:
    """The fault of a field.

    Args:
        tree: The file's root node; None where it is empty.
        path: Keys and positions from the root to the field.
        message: What is wrong.
        kind: Pydantic's word for it: an unknown field is found at its name, a missing one at the
            entry that lacks it.
    """
    field = ".".join(map(str, path))
    named: Node | None = None
    node = tree
    for step in path:
        key, below = _child(node, step)
        if below is None:
            break
        named, node = key, below
    at_name = kind in ("extra_forbidden", "missing") or node is tree
    found = named if at_name and named is not None else node
    mark = found.start_mark if found is not None else None
    return Fault(mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, field, message)


def _child(node: Node | None, step: str | int) -> tuple[Node | None, Node | None]:
    """The key node and value node below ``node``; None where there is no such."""
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if isinstance(key, ScalarNode) and key.value == str(step):
                return key, value
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None, None


def duplicates(node: Node | None, path: tuple[str, ...] = ()) -> list[Fault]:
    """Keys that stand twice in one mapping: YAML would silently keep the last."""
    faults: list[Fault] = []
    if isinstance(node, SequenceNode):
        for i, value in enumerate(node.value):
            faults += duplicates(value, (*path, str(i)))
    if isinstance(node, MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name = str(key.value)
            here = (*path, name)
            if name in seen:
                message = f"stands twice, first in line {seen[name]}"
                mark = key.start_mark
                faults.append(Fault(mark.line + 1, mark.column + 1, ".".join(here), message))
            seen.setdefault(name, key.start_mark.line + 1)
            faults += duplicates(value, here)
    return faults
