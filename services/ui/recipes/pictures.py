"""The library's image sets as evidence wants them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import streamlit as st

from services.ui.backend import SETS_S, backend, image_sets
from steerboard.spec.catalogue import ImageCard
from steerboard.spec.errors import NotFound
from steerboard.spec.evidence_job import EvidencePicture

PAGE = 1000
FACTS = ("group", "scene", "seed", "twin")  # that evidence counts by


@st.cache_data(ttl=SETS_S, max_entries=8, show_spinner=False)
def all_cards(image_set: str, split: str) -> tuple[ImageCard, ...]:
    """Every picture of a split, in the set's order."""
    found: list[ImageCard] = []
    token: str | None = ""
    while token is not None:
        page = backend().library.images(image_set, split=split, page_token=token, page_size=PAGE)
        found += page.items
        token = page.next or None
    return tuple(found)


def facts_of(card: ImageCard) -> dict[str, str]:
    """What the manifest says of a picture, as texts; whole numbers without a point."""
    known = {**card.attributes, "group": card.group, "split": card.split, "label": card.label}
    return {name: plain(value) for name, value in known.items() if value not in (None, "")}


def plain(value: str | float | None) -> str:
    """Numbers travel as floats: 28.0 was written as 28."""
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)


def evidence_picture(card: ImageCard, wanted: Mapping[str, str]) -> EvidencePicture:
    """A picture with those facts that the run counts by, and that its failure group names."""
    facts = facts_of(card)
    named = [f"{name}={facts[name]}" for name in dict.fromkeys((*FACTS, *wanted)) if name in facts]
    return EvidencePicture(sha256=card.sha256, key=card.path, label=card.label, facts=tuple(named))


def splits() -> list[tuple[str, str]]:
    """Every set and split, test splits first."""
    found = [(s.id, split) for s in image_sets() for split in (s.splits or ("",))]
    return sorted(found, key=lambda pair: pair[1] != "test")


def first_split() -> tuple[str, str]:
    """A split to try things on: a validation split where there is one; raises NotFound."""
    found = splits()
    if not found:
        raise NotFound("there is no image set: name one in steerboard.yaml")
    return next((pair for pair in found if pair[1] == "validation"), found[-1])


@dataclass(frozen=True)
class LibraryPicture:
    """A picture whose bytes are read when they are asked for."""

    key: str
    sha256: str
    label: str
    attributes: Mapping[str, str]

    @property
    def data(self) -> bytes:
        """From the library; raises NotFound."""
        held = backend().album.get([self.sha256]).get(self.sha256)
        if held is None:
            raise NotFound(f"picture {self.key} is no longer in the library")
        return held


@dataclass(frozen=True)
class LibrarySet:
    """Pictures of one split."""

    name: str
    split: str
    pictures: tuple[LibraryPicture, ...]

    @classmethod
    def drawn(cls, image_set: str, split: str, most: int) -> "LibrarySet":
        """At most so many pictures, spread over the whole split; read at once."""
        cards = all_cards(image_set, split)
        step = max(1, len(cards) // most)
        some = [
            LibraryPicture(c.path, c.sha256, c.label, facts_of(c)) for c in cards[::step][:most]
        ]
        backend().album.get(p.sha256 for p in some)
        return cls(image_set, split, tuple(some))

    def __len__(self) -> int:
        return len(self.pictures)

    def __iter__(self) -> Iterator[LibraryPicture]:
        return iter(self.pictures)
