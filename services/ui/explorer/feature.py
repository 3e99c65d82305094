"""The page of one feature: what it answers to, what lies near it, what people say of it."""

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from urllib.parse import urlencode

import streamlit as st

from services.ui import markup
from services.ui.backend import backend, model
from services.ui.explorer import links, looks, people, pieces, reading, scan
from services.ui.explorer.address import VIEWS, Address, go, here, href
from services.ui.explorer.drawing import figure, on_patches, usual
from services.ui.explorer.sentences import facts, lead, told
from services.ui.pictures import Eye
from services.ui.session import KEY, ORIGIN, PICTURE, UNIT, named
from steerboard.spec.catalogue import CatalogueInfo, FeatureCard, Labels, Neighbour
from steerboard.spec.errors import NotFound, SteerboardError
from steerboard.spec.jobs import Reference

SIDE = 224  # pixels
SHOWN = {"fires": "Where it fires", "close": "Close", "whole": "Whole"}
EDGES = tuple((1 + (k % 2) / 2) * 2.0 ** (k // 2 - 16) for k in range(65))


def show(at: Address, info: CatalogueInfo, number: int) -> None:
    """The whole page."""
    back(at)
    try:
        card = reading.card(info.key, number)
    except NotFound as error:
        st.info(f"{markup.plain(error.message[:1].upper() + error.message[1:])}.")
        return
    labels, said, away = people.read(info.key, number)
    top(card, labels, info)
    st.html(pieces.lead(lead(card, info)) + pieces.soft(told(card, info)))
    left, right = st.columns([1.75, 1], gap="large")
    with left:
        references(card, info)
        scan.show(info, card)
        people.show(info.key, number, labels, said, away)
    with right:
        st.html(pieces.tiles(facts(card)) + pieces.histogram(card.histogram, EDGES))
        near(at, info, card)
        detects(at, info, card)


def back(at: Address) -> None:
    """The way back to the list that one came from, and an address to share."""
    with st.container(horizontal=True, vertical_alignment="center", key="ex-back"):
        words = f"to “{at.words}”" if at.words else "to all features"
        st.button(
            f"Back {markup.plain(words)}",
            key="ex-to-list",
            icon=":material/arrow_back:",
            on_click=go,
            args=(replace(at, feature=None),),
        )


def top(card: FeatureCard, labels: Labels, info: CatalogueInfo) -> None:
    """What it is called, and the way to the workbench."""
    name, open_ = st.columns([3, 1], vertical_alignment="center")
    shown = escape(labels.name) if labels.name else pieces.called(card)
    name.html(pieces.heading(shown, card.feature, reading.title(info)))
    if not at_hand(info):
        open_.caption(f"The workbench has another model than this one, {markup.plain(info.model)}.")
        return
    strongest = card.references[0].image if card.references else ""
    target = st.session_state["pages"][0]
    open_.container(key="ex-open").page_link(
        target,
        label="Open in the workbench",
        icon=":material/tune:",
        query_params=workbench(info, card.feature, strongest),
        width="stretch",
    )


def at_hand(info: CatalogueInfo) -> bool:
    """Whether the workbench is about the model of a catalogue, as far as that is known."""
    try:
        return info.model in ("", model().id)
    except SteerboardError:
        return True


def workbench(info: CatalogueInfo, feature: int, picture: str) -> dict[str, str]:
    """The parameters of an address that opens a picture there, with the feature at hand."""
    origin = f"a picture on which #{feature} of {reading.title(info)} fires"
    unit = f"{info.dictionary}:{feature}" if at_hand(info) else ""
    found = {KEY: named(), UNIT: unit, PICTURE: picture, ORIGIN: origin}
    return {name: value for name, value in found.items() if value}


def opened(info: CatalogueInfo, feature: int, picture: str) -> str:
    """The same as a link."""
    return links.HOME + "?" + urlencode(workbench(info, feature, picture))


def references(card: FeatureCard, info: CatalogueInfo) -> None:
    """The strongest pictures, and some from all over its range."""
    patches = any(on_patches(r) for r in (*card.references, *card.sample))
    title, ways = st.columns([1, 1.3], vertical_alignment="center")
    title.html(pieces.section("Its strongest pictures"))
    view = usual(card)
    if patches:
        with ways.container(horizontal_alignment="right"):
            view = looked_at(here().view or view)
    data = held(info.key, [r.image for r in (*card.references, *card.sample)])
    eye = reading.eye(info)
    st.html(pieces.pictures(figures(card, info, card.references, data, view, eye)))
    if common := looks.words((*card.references, *card.sample), data, eye):
        st.html(pieces.soft(f"<b>{common}</b> (Measured on the patches of these pictures.)"))
    st.caption(captioned(card, view))
    if card.sample:
        st.html(pieces.section("From all over its range"))
        st.html(pieces.pictures(figures(card, info, card.sample, data, view, eye)))
        st.caption("Drawn by lot from the pictures on which it fires, strongest first.")


def captioned(card: FeatureCard, view: str) -> str:
    """What stands in the pictures, and in which order they come."""
    out = []
    if any(map(on_patches, card.references)):
        out.append({
            "fires": "Pale where it is silent; the line goes around what it fires on.",
            "close": "Around the place where it fires most; the line goes around what it fires on.",
            "whole": "",
        }[view])  # fmt: skip
        if view != "whole" and not all(map(on_patches, card.references)):
            out.append("Pictures without a line: it fires on the class token, on all of them.")
    else:
        out.append("It fires on the class token, which stands for the whole picture.")
    out.append("First those on which it fires most in sum; below each its largest response.")
    return " ".join(filter(None, out))


def looked_at(view: str) -> str:
    """How pictures are looked at: the address says it, and is told what a person chooses."""
    st.session_state["ex-view"] = view
    st.segmented_control(
        "Pictures shown",
        VIEWS,
        key="ex-view",
        required=True,
        format_func=SHOWN.__getitem__,
        label_visibility="collapsed",
        on_change=lambda: go(replace(here(), view=st.session_state["ex-view"])),
    )
    return view


def figures(
    card: FeatureCard,
    info: CatalogueInfo,
    shown: Sequence[Reference],
    data: dict[str, bytes],
    view: str,
    eye: Eye,
) -> list[tuple[str, str, str]]:
    """Address, link and caption of each picture that is at hand."""
    return [
        (src, opened(info, card.feature, one.image), f"{one.activation:.2f}")
        for one in shown
        if one.image in data and (src := figure(data[one.image], one, SIDE, view, eye))
    ]


def held(dictionary: str, digests: list[str]) -> dict[str, bytes]:
    """The pictures themselves where the library has them, else the catalogue's small ones."""
    try:
        found = backend().album.get(digests)
        rest = [d for d in digests if d not in found]
        return {**(backend().library.thumbnails(dictionary, rest) if rest else {}), **found}
    except SteerboardError:
        return {}


def near(at: Address, info: CatalogueInfo, card: FeatureCard) -> None:
    """Features with similar decoder rows, and those that fire on the same pictures."""
    st.html(pieces.section("Near it"))
    numbers = [n.feature for n in (*card.coactive, *card.neighbours)]
    names = called(info.key, numbers)
    for title, found in (
        ("fire on the same pictures (overlap)", card.coactive),
        ("similar decoder rows (cosine)", card.neighbours),
    ):
        st.html(pieces.small(title, [neighbour(at, info, one, names) for one in found]))


def called(dictionary: str, features: list[int]) -> dict[int, tuple[str, str]]:
    """Name (HTML) and small picture of features, as far as they are at hand."""
    try:
        cards = backend().library.features(dictionary, features) if features else ()
        firsts = [c.references[0].image for c in cards if c.references]
        small = reading.thumbnails().get(dictionary, firsts)
    except SteerboardError:
        return {}
    return {
        c.feature: (pieces.called(c), small.get(c.references[0].image, "") if c.references else "")
        for c in cards
    }


def neighbour(
    at: Address, info: CatalogueInfo, one: Neighbour, names: dict[int, tuple[str, str]]
) -> str:
    """One feature near another."""
    label, src = names.get(one.feature, ("", ""))
    link = href(replace(at, dictionary=info.key, feature=one.feature))
    return pieces.neighbour(
        link, src, label or "<i>no label</i>", f"#{one.feature} · {one.value:.2f}"
    )


def detects(at: Address, info: CatalogueInfo, card: FeatureCard) -> None:
    """The classes that it detects, each with the way to all features that do."""
    st.html(pieces.section("What it detects"))
    ways = [href(Address(dictionary=info.key, class_name=c.name)) for c in card.classes]
    st.html(pieces.detected(card.classes, ways, info.pictures))
