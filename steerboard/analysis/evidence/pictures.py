"""What evidence needs of an image set: a name, a split, and pictures that can be read again."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from steerboard.spec.digest import image_digest
from steerboard.spec.errors import InvalidRequest, NotFound
from steerboard.spec.requests import Digest, Encoded

Value = str | float | None


class Picture(Protocol):
    """One picture and what is known of it; ``data`` may be read when it is asked for."""

    @property
    def key(self) -> str:
        """Its name in the set."""

    @property
    def data(self) -> bytes:
        """The encoded bytes."""

    @property
    def label(self) -> str:
        """Its true class."""

    @property
    def attributes(self) -> Mapping[str, Value]:
        """Such as ``group``, ``scene`` (or ``seed``) and ``twin``, the key of its clean twin."""


class PictureSet(Protocol):
    """Pictures in an order that does not change; may be gone through several times."""

    @property
    def name(self) -> str:
        """Of the set."""

    @property
    def split(self) -> str:
        """The split, empty for all."""

    def __len__(self) -> int:
        """How many."""

    def __iter__(self) -> Iterator[Picture]:
        """One after the other."""


@dataclass(frozen=True)
class FilePicture:
    """A picture in a folder."""

    key: str
    path: Path
    label: str
    attributes: Mapping[str, Value]

    @property
    def data(self) -> bytes:
        """Read anew each time: a set of ten thousand never lies in memory."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise NotFound(f"picture {self.key} cannot be read: {error}") from error


@dataclass(frozen=True)
class ManifestSet:
    """A folder with a manifest of JSON lines ``{"path": .., "split": .., "label": .., ...}``.

    Args:
        name: Of the set.
        images: The folder.
        manifest: The file of lines.
        split: Which pictures; empty for all.
    """

    name: str
    images: Path
    manifest: Path
    split: str = ""

    @cached_property
    def _pictures(self) -> list[FilePicture]:
        if not self.manifest.is_file():
            raise NotFound(f"{self.manifest} is missing: an image set has a manifest")
        found = []
        for number, line in enumerate(self.manifest.read_text().splitlines(), 1):
            if line.strip():
                facts = self._parsed(line, number)
                if self.split in ("", facts.get("split", "")):
                    path, label = str(facts["path"]), str(facts.get("label") or "")
                    found.append(FilePicture(path, self.images / path, label, facts))
        if not found:
            raise InvalidRequest(
                f"image set {self.name} has no picture of split {self.split!r}", field="split"
            )
        return found

    def _parsed(self, line: str, number: int) -> dict[str, Value]:
        try:
            facts: dict[str, Value] = json.loads(line)
            facts["path"]
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidRequest(
                f"{self.manifest.name}, line {number}, is no JSON object with a path: mend the line"
            ) from error
        return facts

    def __len__(self) -> int:
        return len(self._pictures)

    def __iter__(self) -> Iterator[FilePicture]:
        return iter(self._pictures)


def encoded(picture: Picture) -> Encoded | Digest:
    """As a Runner wants it: by its digest where the picture says that the Runner has it."""
    if getattr(picture, "held", False):
        return Digest(sha256=digest_of(picture))
    return Encoded(data=picture.data)


def digest_of(picture: Picture) -> str:
    """Hex SHA-256 of its bytes, which are not read where the picture knows its ``sha256``."""
    known = getattr(picture, "sha256", "")
    return str(known) or image_digest(picture.data)


def matches(picture: Picture, wanted: Mapping[str, str]) -> bool:
    """Whether the picture has all the attributes; ``label`` counts as one of them."""
    facts = {"label": picture.label, **picture.attributes}
    return all(str(facts.get(key)) == value for key, value in wanted.items())


def scene_of(picture: Picture) -> str:
    """What is drawn together in the bootstrap: its scene, or seed, or itself."""
    facts = picture.attributes
    return str(facts.get("scene") or facts.get("seed") or picture.key)
