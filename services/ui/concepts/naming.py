"""Naming a concept: by what the manifest says, in words, or picture by picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import streamlit as st
from scipy import sparse

from services.ui import markup
from services.ui.backend import backend, model
from services.ui.concepts import address, gathering
from services.ui.concepts.address import HAND, LOOKED, SHORT, Address, Way
from services.ui.concepts.pool import ALL_OTHERS, ALL_PICTURES, Pool, marked
from services.ui.pictures import thumbnail
from steerboard.analysis.expertise import Labels
from steerboard.spec.catalogue import ImageCard
from steerboard.spec.requests import Embed

WAYS: dict[Way, str] = {"facts": "What is known of them", "words": "Words", "hand": "By hand"}
SHELF, COLUMNS, SIDE, PAGES = 24, 8, 104, 4
Choice = tuple["Named | None", Address]
Column = st.delta_generator.DeltaGenerator


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


def show(pool: Pool, at: Address) -> Choice:
    """The concept among the pictures of a rule, None where nothing is named, and that rule.

    Args:
        pool: The pictures, see ``Pool.widened``.
        at: What the boxes begin with, where a link was followed.
    """
    address.begin("concept-way", "" if at == Address() else at.way, list(WAYS))
    way = st.segmented_control(
        "Name it by",
        list(WAYS),
        required=True,
        format_func=WAYS.__getitem__,
        key="concept-way",
        on_change=address.touched,
    )
    match way:
        case "words":
            return by_words(pool.cards, at)
        case "hand":
            return by_hand(pool.cards, at)
    return by_facts(pool, at)


def by_facts(pool: Pool, at: Address) -> Choice:
    """Pictures with one value of one attribute, against all others or those with another value."""
    known = pool.known
    if not known:
        st.info("Nothing in the manifest tells these pictures apart: name a concept in words.")
        return None, Address()
    of, shown, instead, among = st.columns(4)
    names = sorted(known, key=lambda n: (n != "label", n))
    name = box(of, "Attribute", "concept-of", at.of, names)
    values = sorted(known[name])
    value = box(shown, "Shows", f"concept-is-{name}", at.shows, values)
    others = [ALL_OTHERS, *(v for v in values if v != value)]
    other = box(instead, "Does not show", f"concept-not-{name}-{value}", at.instead, others)
    groups = [ALL_PICTURES, *sorted(known.get("group", {}))]
    group = box(among, "Among", "concept-among", at.among, groups)
    rule = Address(of=name, shows=value, instead=other, among=group)
    called = f"{name} {value}" if name != "label" else value
    return by_rule(pool.widened(rule).cards, rule, called), rule


def box(column: Column, label: str, key: str, wanted: str, options: list[str]) -> str:
    """One of several, to begin with the one that the address names."""
    address.begin(key, wanted, options)
    found: str = column.selectbox(label, options, key=key, on_change=address.touched)
    return found


def by_words(cards: tuple[ImageCard, ...], at: Address) -> Choice:
    """The pictures nearest to a text against the farthest ones, by the model's own embeddings."""
    words, count = asked_words(len(cards), at)
    rule = Address(way="words", words=words, count=count)
    if not words:
        return None, rule
    now = gathering.current(None, tuple(card.sha256 for card in cards))
    if not now.ready:
        gathering.follow(now, "Looking at the pictures")
        return None, rule
    return nearest(words, count, now), rule


def nearest(words: str, count: int, now: gathering.Gathering) -> Named:
    """The ``count`` pictures nearest to words against as many farthest ones."""
    places, rows = now.matrix()
    query = backend().runner.embed(Embed(model=model().id, texts=(words,))).one()
    order = places[np.argsort(-(rows @ query.values), kind="stable")]
    marks = np.full(len(now.pictures), -1)
    marks[order[:count]], marks[order[-count:]] = 1, 0
    return Named(words, tuple(marks.tolist()))


def told_apart(named: Named, now: gathering.Gathering) -> tuple[sparse.csc_array, Labels]:
    """Responses to the pictures that count, and which of these show the concept."""
    places, answers = now.matrix()
    marks = named.labels[places]
    return answers.tocsr()[marks >= 0].tocsc(), marks[marks >= 0] == 1


def by_rule(cards: Sequence[ImageCard], rule: Address, name: str) -> Named:
    """The concept of a rule over what is known of pictures, by the facts of other ones."""
    return Named(name, tuple(marked(card, rule) for card in cards))


def asked_words(pictures: int, at: Address) -> tuple[str, int]:
    """The text, and how many pictures are taken for it."""
    text, how_many = st.columns([3, 1])
    most = max(2, pictures // 2)
    if at.words:
        st.session_state["concept-words"] = at.words
    if at.count:
        st.session_state["concept-count"] = min(max(2, at.count), most)
    st.session_state.setdefault("concept-count", min(40, most))
    words = text.text_input(
        "Words",
        key="concept-words",
        placeholder="a picture with water in it",
        on_change=address.touched,
    )
    count = how_many.number_input(
        "Pictures", 2, most, key="concept-count", on_change=address.touched
    )
    st.caption("What the model takes for it: its nearest pictures, mistakes included.")
    return words.strip(), int(count)


def by_hand(cards: tuple[ImageCard, ...], at: Address) -> Choice:
    """Pictures ticked one by one; those without a tick on the pages that were opened lack it."""
    address.tick(at, [card.sha256 for card in cards])
    chosen: set[str] = st.session_state.setdefault(HAND, set())
    looked: set[int] = st.session_state.setdefault(LOOKED, set())
    if at.name:
        st.session_state["concept-name"] = at.name
    st.session_state.setdefault("concept-name", "my concept")
    title, turn = st.columns([3, 1])
    said = title.text_input("What do you call it?", key="concept-name", on_change=address.touched)
    name = said.strip() or "my concept"
    drawn = cards[:: max(1, len(cards) // (PAGES * SHELF))][: PAGES * SHELF]
    page = shelf(drawn, chosen, turn)
    looked.add(page)
    seen = {c.sha256 for p in looked for c in drawn[(p - 1) * SHELF : p * SHELF]} | chosen
    st.caption(
        f"{len(chosen)} pictures show it; the other {len(seen) - len(chosen)} on the pages that you"
        " opened do not."
    )
    rule = Address(way="hand", name=name, looked=tuple(sorted(looked)),
                   ticked=tuple(sorted(d[:SHORT] for d in chosen)))  # fmt: skip
    if not chosen:
        return None, rule
    marks = (1 if c.sha256 in chosen else 0 if c.sha256 in seen else -1 for c in cards)
    return Named(name, tuple(marks)), rule


def shelf(drawn: tuple[ImageCard, ...], chosen: set[str], turn: Column) -> int:
    """One page of pictures with their boxes, turned in ``turn``; its number."""
    last = max(1, -(-len(drawn) // SHELF))
    page = int(
        turn.number_input(
            f"Page, of {last}", 1, last, 1, key="concept-page", on_change=address.touched
        )
    )
    shown = drawn[(page - 1) * SHELF : page * SHELF]
    held = backend().album.get(card.sha256 for card in shown)
    with st.container(key="ticks"):
        for start in range(0, len(shown), COLUMNS):
            columns = st.columns(COLUMNS, gap="small")
            for column, card in zip(columns, shown[start : start + COLUMNS], strict=False):
                with column:
                    tick(card, held.get(card.sha256), chosen)
    return page


def tick(card: ImageCard, data: bytes | None, chosen: set[str]) -> None:
    """A picture over its box."""
    if data is not None:
        st.html(f'<img src="{thumbnail(data, SIDE)}" alt="" style="width:100%">')
    key = f"tick-{card.sha256[:SHORT]}"

    def turn() -> None:
        address.touched()
        if st.session_state[key]:
            chosen.add(card.sha256)
        else:
            chosen.discard(card.sha256)

    st.checkbox(
        markup.plain(card.label) or "shows it", card.sha256 in chosen, key=key, on_change=turn
    )
