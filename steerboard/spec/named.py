"""The pictures of a set by digest: as many as a question names, and none an object of its own.

A set of 100,000 pictures would be 100,000 models to make, check and dump wherever its question
passes; it is read here as what it is, a list of strings.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, overload

from pydantic import Field, GetCoreSchemaHandler, ValidatorFunctionWrapHandler
from pydantic_core import CoreSchema, core_schema

from steerboard.spec.requests import Digest

MOST = 100_000
_HEX = b"0123456789abcdef"
_Each = Annotated[tuple[Digest, ...], Field(min_length=1, max_length=MOST)]


class Named(Sequence[Digest]):
    """Digests, each made when it is asked for.

    Args:
        names: Hex SHA-256 of each picture's encoded bytes.
    """

    __slots__ = ("names",)

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, place: int) -> Digest: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Digest, ...]: ...
    def __getitem__(self, place: int | slice) -> Digest | tuple[Digest, ...]:
        if isinstance(place, slice):
            return tuple(Digest(sha256=name) for name in self.names[place])
        return Digest(sha256=self.names[place])

    def __iter__(self) -> Iterator[Digest]:
        return (Digest(sha256=name) for name in self.names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Named) and self.names == other.names

    def __hash__(self) -> int:
        return hash(self.names)

    def __repr__(self) -> str:
        return f"<{len(self)} pictures>"


class _Listed:
    """Reads a list of digests, as strings or as models, and writes it as strings."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(
            read,
            handler.generate_schema(_Each),
            serialization=core_schema.plain_serializer_function_ser_schema(
                names, return_schema=core_schema.list_schema(core_schema.str_schema())
            ),
        )


Listed = Annotated[Sequence[Digest], _Listed]


def read(value: Any, each: ValidatorFunctionWrapHandler) -> Named:
    """All at once where that goes; else one after the other, to name the one that is wrong."""
    if isinstance(value, Named):
        return value
    if isinstance(value, list | tuple) and 1 <= len(value) <= MOST and of_strings(value):
        return Named(tuple(value))
    if isinstance(value, list | tuple):
        value = tuple({"sha256": v} if isinstance(v, str) else v for v in value)
    return Named(tuple(digest.sha256 for digest in each(value)))


def of_strings(value: Sequence[Any]) -> bool:
    """Whether all are digests as text."""
    try:
        text = "".join(value)
    except TypeError:
        return False
    lengths = set(map(len, value))
    return lengths == {64} and text.isascii() and not text.encode().translate(None, _HEX)


def names(images: Sequence[Digest]) -> list[str]:
    """Hex SHA-256 of each."""
    if isinstance(images, Named):
        return list(images.names)
    return [image.sha256 for image in images]
