"""The pictures that concepts are named by: of a set, one split of it, a fair draw."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import streamlit as st

from services.ui import sets
from services.ui.backend import image_sets
from services.ui.concepts.address import Address
from services.ui.deck import chosen
from services.ui.recipes.pictures import all_cards, facts_of
from steerboard.spec.catalogue import ImageCard

MOST = 2000  # pictures of a set that are asked about
OF_A_KIND = 200  # of those that show a concept, and that do not, where the draw has fewer
MOST_VALUES = 60  # of what is no class: more are names of single pictures
KEPT_S = 300.0  # for which a set is not asked again what it holds
ALL_OTHERS, ALL_PICTURES = "all others", "all pictures"


@dataclass(frozen=True, eq=False)
class Pool:
    """Pictures of a set, in the order of their digests: the first ones are a fair draw of all.

    Attributes:
        image_set: Its id.
        split: Of it.
        cards: The pictures that are asked about.
        rest: All others, in the same order.
    """

    image_set: str
    split: str
    cards: tuple[ImageCard, ...]
    rest: tuple[ImageCard, ...] = ()
    _wide: dict[tuple[str, ...], "Pool"] = field(default_factory=dict, repr=False)

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """Of each picture."""
        return tuple(card.sha256 for card in self.cards)

    @cached_property
    def known(self) -> dict[str, Counter[str]]:
        """What tells all pictures apart, with how many have each value."""
        return attributes((*self.cards, *self.rest))

    @cached_property
    def _paths(self) -> dict[str, str]:
        return {card.sha256: card.path for card in self.cards}

    def origin(self, sha256: str) -> str:
        """A picture of it as a session's log names it."""
        return f"{self.image_set}/{self._paths[sha256]}"

    def widened(self, rule: Address) -> "Pool":
        """With more pictures behind those of the draw, where a rule over facts finds few in it.

        Of a thousand classes a draw has two pictures each.
        """
        if rule.way != "facts" or not rule.of:
            return self
        asked = (rule.of, rule.shows, rule.instead, rule.among)
        if asked not in self._wide:
            self._wide[asked] = self._widened(rule)
        return self._wide[asked]

    def _widened(self, rule: Address) -> "Pool":
        found = Counter(marked(card, rule) for card in self.cards)
        lacking = {kind: OF_A_KIND - found[kind] for kind in (1, 0)}
        more = list[ImageCard]()
        for card in self.rest:
            if max(lacking.values()) <= 0:
                break
            if lacking.get(kind := marked(card, rule), 0) > 0:
                lacking[kind] -= 1
                more.append(card)
        return Pool(self.image_set, self.split, (*self.cards, *more)) if more else self


def draw(image_set: str, split: str | None = None) -> Pool | None:
    """The pictures of a set: by default of its validation split, where it has one.

    Experts are chosen on one split, so that they can be tried on another. None where there is no
    such set.
    """
    found = next((s for s in image_sets() if s.id == image_set), None)
    if found is None:
        return None
    return drawn(found.id, chosen(found) if split is None else split)


@st.cache_resource(ttl=KEPT_S, max_entries=4, show_spinner=False)
def drawn(image_set: str, split: str) -> Pool:
    """The pictures of a split."""
    cards = tuple(sorted(all_cards(image_set, split), key=lambda card: card.sha256))
    return Pool(image_set, split, cards[:MOST], cards[MOST:])


def others(own: Pool) -> dict[str, tuple[str, str]]:
    """All other pictures that there are, by what they are called: set and split."""
    found = {}
    for one in image_sets():
        for split in (one.splits or ("",)) if one.size else ():
            if (one.id, split) != (own.image_set, own.split):
                found[sets.called(one, split)] = one.id, split
    return found


def attributes(cards: Sequence[ImageCard]) -> dict[str, Counter[str]]:
    """What tells pictures apart, with how many have each value; classes may be many."""
    found: dict[str, Counter[str]] = {}
    for card in cards:
        for name, value in facts_of(card).items():
            found.setdefault(name, Counter())[value] += 1
    return {
        name: values
        for name, values in found.items()
        if name != "split" and len(values) >= 2 and (name == "label" or len(values) <= MOST_VALUES)
    }


def marked(card: ImageCard, rule: Address) -> int:
    """1, 0 or -1 of one picture by a rule over what is known of it."""
    return mark(facts_of(card), rule.of, rule.shows, rule.instead, rule.among)


def mark(facts: dict[str, str], name: str, value: str, other: str, group: str) -> int:
    """Whether a picture shows a concept: 1, 0, or -1 where it is left out."""
    if group not in (ALL_PICTURES, facts.get("group", "")):
        return -1
    own = facts.get(name, "")
    if own == value:
        return 1
    return 0 if other in (ALL_OTHERS, own) else -1
