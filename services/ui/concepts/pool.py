"""The pictures that concepts are named by: of a set, one split of it, a fair draw."""

from dataclasses import dataclass
from functools import cached_property

from services.ui import sets
from services.ui.backend import image_sets
from services.ui.deck import chosen
from services.ui.recipes.pictures import all_cards
from steerboard.spec.catalogue import ImageCard

MOST = 2000  # pictures of a set that are asked about


@dataclass(frozen=True)
class Pool:
    """Pictures of a set, in the order of their digests: the first ones are a fair draw of all."""

    image_set: str
    split: str
    cards: tuple[ImageCard, ...]

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """Of each picture."""
        return tuple(card.sha256 for card in self.cards)

    @cached_property
    def _paths(self) -> dict[str, str]:
        return {card.sha256: card.path for card in self.cards}

    def origin(self, sha256: str) -> str:
        """A picture of it as a session's log names it."""
        return f"{self.image_set}/{self._paths[sha256]}"


def draw(image_set: str, split: str | None = None) -> Pool | None:
    """The pictures of a set: by default of its validation split, where it has one.

    Experts are chosen on one split, so that they can be tried on another. None where there is no
    such set.
    """
    found = next((s for s in image_sets() if s.id == image_set), None)
    if found is None:
        return None
    split = chosen(found) if split is None else split
    cards = sorted(all_cards(found.id, split), key=lambda card: card.sha256)
    return Pool(found.id, split, tuple(cards[:MOST]))


def others(own: Pool) -> dict[str, tuple[str, str]]:
    """All other pictures that there are, by what they are called: set and split."""
    found = {}
    for one in image_sets():
        for split in (one.splits or ("",)) if one.size else ():
            if (one.id, split) != (own.image_set, own.split):
                found[sets.called(one, split)] = one.id, split
    return found
