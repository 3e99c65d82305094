"""Naming a concept: by what the manifest says, in words, or picture by picture."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import streamlit as st

from services.ui import markup
from services.ui.backend import backend, model
from services.ui.concepts import gathering
from services.ui.pictures import thumbnail
from services.ui.recipes.pictures import facts_of
from steerboard.spec.catalogue import ImageCard
from steerboard.spec.requests import Embed

WAYS = ("What is known of them", "Words", "By hand")
MOST_VALUES = 60
SHELF, COLUMNS, SIDE = 24, 8, 104
HAND = "concept-hand"


@dataclass(frozen=True)
class Named:
    """A concept: its name, and for each picture whether it shows it, or is left out (-1)."""

    name: str
    marks: tuple[int, ...]

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """1 shows it, 0 does not, -1 is left out ``[n]``."""
        return np.array(self.marks)

    @property
    def count(self) -> tuple[int, int]:
        """Positives and negatives."""
        return self.marks.count(1), self.marks.count(0)


def attributes(cards: Sequence[ImageCard]) -> dict[str, Counter[str]]:
    """What tells pictures apart, with how many have each value."""
    found: dict[str, Counter[str]] = {}
    for card in cards:
        for name, value in facts_of(card).items():
            found.setdefault(name, Counter())[value] += 1
    return {n: c for n, c in found.items() if n != "split" and 2 <= len(c) <= MOST_VALUES}


def show(cards: tuple[ImageCard, ...]) -> Named | None:
    """The choice; None where nothing is named yet."""
    way = st.segmented_control(
        "Name it by", WAYS, default=WAYS[0], required=True, key="concept-way"
    )
    if way == WAYS[1]:
        return by_words(cards)
    return by_hand(cards) if way == WAYS[2] else by_facts(cards)


def by_facts(cards: tuple[ImageCard, ...]) -> Named | None:
    """Pictures with one value of one attribute, against all others or those with another value."""
    known = attributes(cards)
    if not known:
        st.info("Nothing in the manifest tells these pictures apart: name a concept in words.")
        return None
    of, shown, instead, among = st.columns(4)
    names = sorted(known, key=lambda n: (n != "label", n))
    name = of.selectbox("Attribute", names, key="concept-of")
    values = sorted(known[name])
    value = shown.selectbox("Shows", values, key=f"concept-is-{name}")
    others = ["all others", *(v for v in values if v != value)]
    other = instead.selectbox("Does not show", others, key=f"concept-not-{name}-{value}")
    groups = ["all pictures", *sorted(known.get("group", {}))]
    group = among.selectbox("Among", groups, key="concept-among")
    return Named(
        f"{name} {value}" if name != "label" else value,
        tuple(mark(facts_of(card), name, value, other, group) for card in cards),
    )


def mark(facts: dict[str, str], name: str, value: str, other: str, group: str) -> int:
    """1, 0 or -1 of one picture."""
    if group not in ("all pictures", facts.get("group", "")):
        return -1
    own = facts.get(name, "")
    if own == value:
        return 1
    return 0 if other in ("all others", own) else -1


def by_words(cards: tuple[ImageCard, ...]) -> Named | None:
    """The pictures nearest to a text against the farthest ones, by the model's own embeddings."""
    text, how_many = st.columns([3, 1])
    words = text.text_input("Words", key="concept-words", placeholder="a picture with water in it")
    most = max(2, len(cards) // 2)
    count = how_many.number_input("Pictures", 2, most, min(40, most), key="concept-count")
    st.caption("What the model takes for it: its nearest pictures, mistakes included.")
    if not words.strip():
        return None
    now = gathering.current("embedding", "", tuple(card.sha256 for card in cards))
    if not now.ready:
        waiting(now, "Looking at the pictures")
        return None
    places, rows = now.matrix()
    query = backend().runner.embed(Embed(model=model().id, texts=(words.strip(),))).one()
    order = places[np.argsort(-(rows @ query.values), kind="stable")]
    marks = np.full(len(cards), -1)
    marks[order[: int(count)]], marks[order[-int(count) :]] = 1, 0
    return Named(words.strip(), tuple(marks.tolist()))


def waiting(now: gathering.Gathering, what: str) -> None:
    """A line that follows the work without holding up the page."""

    def follow() -> None:
        if now.done:
            st.rerun()
        st.html(markup.busy(f"{what}: {len(now.rows)} of {len(now.pictures)}"))

    st.fragment(follow, run_every=0.5)()


def by_hand(cards: tuple[ImageCard, ...]) -> Named | None:
    """Pictures ticked one by one; all that are shown and not ticked are negatives."""
    chosen: set[str] = st.session_state.setdefault(HAND, set())
    name = st.text_input("What do you call it?", "my concept", key="concept-name")
    step = max(1, len(cards) // (4 * SHELF))
    drawn = cards[::step]
    last = max(0, (len(drawn) - 1) // SHELF)
    page = int(st.number_input("Page", 1, last + 1, 1, key="concept-page")) - 1
    shown = drawn[page * SHELF : (page + 1) * SHELF]
    held = backend().album.get(card.sha256 for card in shown)
    for start in range(0, len(shown), COLUMNS):
        for column, card in zip(
            st.columns(COLUMNS, gap="small"), shown[start : start + COLUMNS], strict=False
        ):
            with column:
                tick(card, held.get(card.sha256), chosen)
    st.caption(f"{len(chosen)} pictures show it; those on these pages without a tick do not.")
    if not chosen:
        return None
    looked = {card.sha256 for card in drawn}
    marks = (1 if c.sha256 in chosen else 0 if c.sha256 in looked else -1 for c in cards)
    return Named(name.strip() or "my concept", tuple(marks))


def tick(card: ImageCard, data: bytes | None, chosen: set[str]) -> None:
    """A picture over its box."""
    if data is not None:
        st.html(f'<img src="{thumbnail(data, SIDE)}" alt="" style="width:100%">')
    key = f"tick-{card.sha256[:12]}"

    def turn() -> None:
        if st.session_state[key]:
            chosen.add(card.sha256)
        else:
            chosen.discard(card.sha256)

    st.checkbox(
        markup.plain(card.label) or "shows it", card.sha256 in chosen, key=key, on_change=turn
    )
