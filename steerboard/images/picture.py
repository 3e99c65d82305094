"""A picture of a set: what is known before its bytes are read, and with them."""

import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from PIL import Image

from steerboard.images.spans import Span
from steerboard.spec.errors import BadImage

Value = str | float | bool | None
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
LISTED = 1000  # broken pictures that a report names


@dataclass(frozen=True)
class Entry:
    """A picture before its bytes are read.

    Attributes:
        key: Its name within the set, such as its path.
        read: Its bytes; raises OSError, or ValueError where there can be none.
        label: Its class, or empty.
        split: As the set itself names it, or empty.
        attributes: Further facts by name.
        at: Where the bytes lie as they are; None: nowhere, as in a table or a compressed tar.
    """

    key: str
    read: Callable[[], bytes]
    label: str = ""
    split: str = ""
    attributes: Mapping[str, Value] = field(default_factory=dict)
    at: Span | None = None


@dataclass(frozen=True)
class Picture:
    """A picture with its bytes; ``sha256`` is their hex digest."""

    key: str
    data: bytes = field(repr=False)
    sha256: str
    label: str = ""
    split: str = ""
    attributes: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Broken:
    """A picture, or a whole file of them, that could not be read; ``why`` is a sentence."""

    key: str
    why: str


class Source(Protocol):
    """Where pictures come from: entries in a fixed order, what is broken among them."""

    def entries(self) -> Iterator[Entry | Broken]:
        """All of them, lazily."""


class Lasting(Source, Protocol):
    """A source of files, which can be asked whether they have changed."""

    def stamp(self) -> str:
        """What changes when the files do, without reading pictures; raises OSError."""


def check(data: bytes) -> None:
    """Decode a picture and throw it away; raises BadImage."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = Image.open(io.BytesIO(data))
            found.draft("L", (1, 1))  # reads all of a JPEG and computes a 64th of its pixels
            found.load()
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise BadImage(f"the picture cannot be decoded ({type(error).__name__})") from error
